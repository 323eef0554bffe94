//! What must hold at the end of every append: the rows with one `command_id` in a row.

use std::collections::{BTreeMap, HashSet};

use uuid::Uuid;

use super::executions::Phase;
use super::life;
use super::place::Place;
use super::pools;
use super::report::Invariant;
use super::row::Row;
use super::world::World;

/// The most events of one append; what a damaged log strings together is cut there.
const APPEND_EVENTS_MAX: usize = 4_096;

/// The ranges of what is set on an agent.
const CAPACITY: std::ops::RangeInclusive<u64> = 1..=32;
const TIMEOUT_SECONDS: std::ops::RangeInclusive<u64> = 10..=86_400;

/// The rows of one append, and what they touched.
#[derive(Debug, Default)]
pub(super) struct Append {
    command_id: String,
    events: usize,
    event_ids: HashSet<String>,
    requested: Vec<(Uuid, Place)>,
    ended: Vec<(Uuid, Place)>,
    recalled: Vec<Uuid>,
    freed: Vec<(Uuid, Place)>,
    dequeued: Vec<(Uuid, Place)>,
    pools: BTreeMap<Uuid, Place>,
    /// By incarnation; whether anything but settings was touched.
    agents: BTreeMap<Uuid, (Place, bool)>,
}

impl Append {
    pub(super) fn begin(command_id: &str) -> Self {
        Self { command_id: command_id.to_owned(), ..Self::default() }
    }

    /// Whether a row of that command is part of this append.
    pub(super) fn goes_on_with(&self, command_id: &str) -> bool {
        let is_same = !command_id.is_empty() && command_id == self.command_id;
        is_same && (1..APPEND_EVENTS_MAX).contains(&self.events)
    }

    pub(super) fn grow(&mut self) {
        self.events += 1;
    }

    pub(super) fn add(&mut self, event_id: &str) {
        self.event_ids.insert(event_id.to_owned());
    }

    /// Whether an event of this append has that id.
    pub(super) fn has(&self, event_id: &str) -> bool {
        self.event_ids.contains(event_id)
    }

    pub(super) fn is_at_start(&self) -> bool {
        self.events == 1
    }

    pub(super) fn requested(&mut self, row: &Row, execution: Uuid) {
        self.requested.push((execution, Place::of(row)));
    }

    pub(super) fn ended(&mut self, row: &Row, execution: Uuid) {
        self.ended.push((execution, Place::of(row)));
    }

    pub(super) fn recalled(&mut self, execution: Uuid) {
        self.recalled.push(execution);
    }

    pub(super) fn freed(&mut self, row: &Row, execution: Uuid) {
        self.freed.push((execution, Place::of(row)));
    }

    pub(super) fn dequeued(&mut self, row: &Row, execution: Uuid) {
        self.dequeued.push((execution, Place::of(row)));
    }

    pub(super) fn touch_pool(&mut self, row: &Row, incarnation: Uuid) {
        self.pools.insert(incarnation, Place::of(row));
    }

    pub(super) fn touch_agent(&mut self, row: &Row, incarnation: Uuid, is_setting: bool) {
        let touched = self.agents.entry(incarnation).or_default();
        *touched = (Place::of(row), touched.1 || !is_setting);
    }
}

/// Checks the append that has been read, and forgets the executions that ended in it.
pub(super) fn close(world: &mut World) {
    let append = std::mem::take(&mut world.append);
    let ids: Vec<Uuid> = append.pools.keys().copied().collect();
    for id in ids {
        if let Some(mut pool) = world.pools.remove(&id) {
            pools::settle(world, &mut pool);
            world.pools.insert(id, pool);
        }
    }
    ends_and_slots(world, &append);
    queue(world, &append);
    for (incarnation, place) in &append.pools {
        let owed = world.pools.get(incarnation).and_then(pools::Pool::owed);
        world.tally.check_at(
            Invariant::WorkConserving,
            owed.is_none(),
            || place.clone(),
            || format!("a slot is free, and execution {} waits", owed.unwrap_or_default()),
        );
    }
    agents(world, &append);
    let ended = append.ended.iter().map(|(id, _)| id).chain(&append.recalled);
    for id in ended {
        if world.executions.get(id).is_some_and(|execution| execution.phase == Phase::Ended) {
            world.executions.remove(id);
        }
    }
}

/// An end gives the slot back, and a slot that is given back has seen the end of its execution.
fn ends_and_slots(world: &mut World, append: &Append) {
    let holds = |world: &World, id: &Uuid| {
        let pool = world.executions.get(id).and_then(|e| world.pools.get(&e.incarnation));
        pool.is_some_and(|pool| pool.holds(*id))
    };
    for (id, place) in &append.ended {
        let is_free = !holds(world, id);
        world.tally.check_at(
            Invariant::SlotEnds,
            is_free,
            || place.clone(),
            || "it ends, and its append leaves it its slot".to_owned(),
        );
    }
    for (id, place) in &append.freed {
        let is_open = world.executions.get(id).is_some_and(|e| e.phase != Phase::Ended);
        let is_regrant = holds(world, id);
        world.tally.check_at(
            Invariant::SlotEnds,
            !is_open || is_regrant,
            || place.clone(),
            || format!("execution {id} loses its slot, and its append does not end it"),
        );
    }
}

/// A request waits or runs, and what leaves the queue otherwise has ended.
fn queue(world: &mut World, append: &Append) {
    let state = |world: &World, id: &Uuid| {
        let execution = world.executions.get(id);
        let has_ended = execution.is_none_or(|execution| execution.phase == Phase::Ended);
        let pool = execution.and_then(|execution| world.pools.get(&execution.incarnation));
        (has_ended, pool.is_some_and(|pool| pool.waits(*id)), pool.is_some_and(|p| p.holds(*id)))
    };
    for (id, place) in &append.requested {
        let (has_ended, waits, holds) = state(world, id);
        let is_taken = has_ended || waits || holds;
        world.tally.check_at(
            Invariant::Queue,
            is_taken,
            || place.clone(),
            || "its append does not put it into the queue".to_owned(),
        );
    }
    for (id, place) in &append.ended {
        let (_, waits, _) = state(world, id);
        world.tally.check_at(
            Invariant::Queue,
            !waits,
            || place.clone(),
            || "it ends, and its append leaves it in the queue".to_owned(),
        );
    }
    for (id, place) in &append.dequeued {
        let (has_ended, ..) = state(world, id);
        world.tally.check_at(
            Invariant::Queue,
            has_ended,
            || place.clone(),
            || format!("execution {id} leaves the queue, and its append does not cancel it"),
        );
    }
}

/// Slots follow their agent: open while it runs, of its capacity, empty when it goes.
fn agents(world: &mut World, append: &Append) {
    let mut touched: BTreeMap<Uuid, (Place, bool)> = append.agents.clone();
    for (incarnation, place) in &append.pools {
        touched.entry(*incarnation).or_insert_with(|| (place.clone(), true));
    }
    for (incarnation, (place, is_life)) in touched {
        let Some(life) = world.lives.get(&incarnation) else { continue };
        let Some(agent) = world.agents.get(&life.agent) else { continue };
        let is_current = agent.incarnation == incarnation && !life.is_over;
        let pool = world.pools.get(&incarnation);
        let is_open = pool.is_some_and(|pool| pool.is_open);
        let is_empty = pool.is_none_or(|pool| pool.held.is_empty() && pool.waiting.is_empty());
        let runs = is_current && agent.phase == life::Phase::Running;
        if is_life {
            world.tally.check_at(
                Invariant::Admission,
                is_open == runs,
                || place.clone(),
                || format!("admission is {} and the agent {}", word(is_open), phase(agent.phase)),
            );
        }
        if !is_current {
            world.tally.check_at(
                Invariant::AgentLife,
                is_empty,
                || place.clone(),
                || "the agent is deleted while executions wait or hold slots".to_owned(),
            );
            continue;
        }
        let (capacity, seconds) = (agent.capacity, agent.timeout_seconds);
        let agrees = pool.is_some_and(|p| p.capacity == capacity && p.timeout_seconds == seconds);
        let is_in_range = CAPACITY.contains(&capacity) && TIMEOUT_SECONDS.contains(&seconds);
        world.tally.check_at(
            Invariant::Configuration,
            agrees && is_in_range,
            || place,
            || {
                format!(
                    "the agent has capacity {capacity} and timeout {seconds} s; its slots differ"
                )
            },
        );
    }
}

fn word(is_open: bool) -> &'static str {
    if is_open { "open" } else { "suspended" }
}

fn phase(phase: life::Phase) -> String {
    format!("{phase:?}").to_lowercase()
}
