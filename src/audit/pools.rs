//! The pool and the queue of an agent: what may be granted, to whom, and on what terms.

use std::collections::{BTreeMap, VecDeque};

use uuid::Uuid;

use super::executions::{Grant, Phase};
use super::place::Place;
use super::report::Invariant;
use super::row::Entry;
use super::world::World;

/// How long a slot outlives the agent's timeout, in seconds.
const SLOT_BUFFER_SECONDS: u64 = 300;

/// How far the time of a decision may be from that of its commit, in microseconds: retries, an
/// outage of the database in between, and the difference between two machines' clocks.
const CLOCK_TOLERANCE_MICROS: i64 = 120 * 1_000_000;

/// How far a node's clock may be ahead of the log's, in microseconds. Such a node gives a slot back
/// later than need be, which endangers nothing; a node that lags would give it back too early.
const CLOCK_AHEAD_MICROS_MAX: i64 = 86_400 * 1_000_000;

const MICROS_PER_SECOND: i64 = 1_000_000;

/// An execution that waits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waiting {
    pub(super) execution: Uuid,
    is_chat_turn: bool,
    timeout_seconds: Option<u64>,
}

/// An execution that holds a slot.
#[derive(Debug, Clone, Copy)]
pub(super) struct Held {
    pub(super) execution: Uuid,
    pub(super) epoch: u64,
    is_chat_turn: bool,
    timeout_seconds: u64,
    expires_at: i64,
}

/// A slot that was taken back; what follows says whether its time was over or it is granted anew.
#[derive(Debug)]
struct TakenBack {
    slot: u64,
    held: Held,
    recorded_at: i64,
    place: Place,
}

#[derive(Debug, Default)]
pub(super) struct Pool {
    pub(super) version: i64,
    pub(super) capacity: u64,
    pub(super) timeout_seconds: u64,
    pub(super) is_open: bool,
    is_paused: bool,
    queue_no: u64,
    pub(super) waiting: VecDeque<Waiting>,
    pub(super) held: BTreeMap<u64, Held>,
    /// Whose slot was granted to another while it was held; never, in an undamaged log.
    displaced: Vec<Uuid>,
    taken_back: Option<TakenBack>,
}

impl Pool {
    fn has_chat_turn(&self) -> bool {
        self.held.values().any(|held| held.is_chat_turn)
    }

    fn has_free_slot(&self) -> bool {
        u64::try_from(self.held.len()).is_ok_and(|held| held < self.capacity)
    }

    /// The place in the queue of the entry whose turn it is.
    fn turn(&self) -> Option<usize> {
        let is_blocked = self.has_chat_turn();
        self.waiting.iter().position(|waiting| !(waiting.is_chat_turn && is_blocked))
    }

    /// The entry that should have been granted a slot and was not.
    pub(super) fn owed(&self) -> Option<Uuid> {
        let turn = self.turn().filter(|_| self.is_open && self.has_free_slot())?;
        self.waiting.get(turn).map(|waiting| waiting.execution)
    }

    pub(super) fn waits(&self, execution: Uuid) -> bool {
        self.waiting.iter().any(|waiting| waiting.execution == execution)
    }

    pub(super) fn holds(&self, execution: Uuid) -> bool {
        self.held.values().any(|held| held.execution == execution)
            || self.displaced.contains(&execution)
    }

    fn leave(&mut self, execution: Uuid) -> Option<(usize, Waiting)> {
        let place = self.waiting.iter().position(|waiting| waiting.execution == execution)?;
        Some((place, self.waiting.remove(place)?))
    }
}

pub(super) fn observe(world: &mut World, entry: &Entry<'_>) {
    let id = entry.stream_uuid();
    let is_of_a_life = world.lives.get(&id).is_some_and(|life| !life.is_over);
    world.tally.check(Invariant::AgentLife, entry.row, is_of_a_life, || {
        "slots of a life that has not begun or is over".to_owned()
    });
    let mut pool = world.pools.remove(&id).unwrap_or_default();
    if entry.row.event_type != "SlotAcquired" {
        settle(world, &mut pool);
    }
    match entry.row.event_type.as_str() {
        "CapacitySet" => pool.capacity = entry.number("max_parallel_tasks"),
        "AgentTimeoutSet" => pool.timeout_seconds = entry.number("seconds"),
        "ExecutionEnqueued" => enqueue(world, entry, &mut pool),
        "SlotAcquired" => acquire(world, entry, &mut pool),
        "SlotReleased" | "SlotExpired" => give_back(world, entry, &mut pool),
        "ExecutionDequeued" => dequeue(world, entry, &mut pool),
        _ => admit(world, entry, &mut pool),
    }
    world.append.touch_pool(entry.row, id);
    world.pools.insert(id, pool);
}

/// Decides about a slot that was taken back and not granted anew: its time must have been over.
pub(super) fn settle(world: &mut World, pool: &mut Pool) {
    let Some(TakenBack { held, recorded_at, place, .. }) = pool.taken_back.take() else { return };
    let is_due = recorded_at >= held.expires_at - CLOCK_TOLERANCE_MICROS;
    world.tally.check_at(
        Invariant::SlotEnds,
        is_due,
        || place,
        || "the slot was taken back before its time".to_owned(),
    );
}

fn admit(world: &mut World, entry: &Entry<'_>, pool: &mut Pool) {
    let opens = entry.row.event_type == "AdmissionResumed";
    world.tally.check(Invariant::Admission, entry.row, !(opens && pool.is_open), || {
        "admission was open already".to_owned()
    });
    pool.is_open = opens;
    pool.is_paused = entry.text("reason") == "agent-paused";
}

fn enqueue(world: &mut World, entry: &Entry<'_>, pool: &mut Pool) {
    let (execution, queue_no) = (entry.id("execution_id"), entry.number("queue_no"));
    let timeout_seconds = entry.optional_number("timeout_seconds");
    let is_open = pool.is_open;
    world.tally.check(Invariant::Admission, entry.row, is_open, || {
        "it is taken while admission is suspended".to_owned()
    });
    let expected = pool.queue_no + 1;
    world.tally.check(Invariant::Fifo, entry.row, queue_no == expected, || {
        format!("queue_no is {queue_no}, expected {expected}")
    });
    let is_known = pool.waits(execution) || pool.holds(execution);
    let is_requested = world.executions.get(&execution).is_some_and(|requested| {
        requested.phase == Phase::Pending && requested.incarnation == entry.stream_uuid()
    });
    world.tally.check(Invariant::Queue, entry.row, is_requested && !is_known, || {
        "it waits already, or is no pending execution of this agent".to_owned()
    });
    let fits = timeout_seconds.is_none_or(|asked| asked <= pool.timeout_seconds);
    world.tally.check(Invariant::GrantTerms, entry.row, fits, || {
        "it asks for more time than the agent allows".to_owned()
    });
    pool.queue_no = queue_no;
    let is_chat_turn = entry.flag("is_chat_turn");
    pool.waiting.push_back(Waiting { execution, is_chat_turn, timeout_seconds });
}

fn acquire(world: &mut World, entry: &Entry<'_>, pool: &mut Pool) {
    let (execution, slot) = (entry.id("execution_id"), entry.number("slot"));
    let taken_back =
        pool.taken_back.take_if(|back| back.held.execution == execution && back.slot == slot);
    settle(world, pool);
    let is_open = pool.is_open;
    world.tally.check(Invariant::Admission, entry.row, is_open, || {
        "it is granted while admission is suspended".to_owned()
    });
    let is_chat_turn = match &taken_back {
        // The slot never left its holder, so neither capacity nor queue are asked.
        Some(back) => back.held.is_chat_turn,
        None => first_grant(world, entry, pool, execution),
    };
    let is_taken = pool.held.contains_key(&slot);
    world.tally.check(Invariant::GrantTerms, entry.row, !is_taken && slot > 0, || {
        format!("slot {slot} is held already, or no slot")
    });
    let is_second = is_chat_turn && pool.has_chat_turn();
    let is_told = entry.flag("is_chat_turn") == is_chat_turn;
    world.tally.check(Invariant::ChatTurns, entry.row, !is_second && is_told, || {
        "a second chat turn, or not what was enqueued".to_owned()
    });
    let epoch = entry.number("epoch");
    holder(world, entry, execution, taken_back.is_some());
    let asked = taken_back.as_ref().map(|back| back.held.timeout_seconds);
    let held = Held {
        execution,
        epoch,
        is_chat_turn,
        timeout_seconds: entry.number("timeout_seconds"),
        expires_at: entry.micros("expires_at"),
    };
    expiry(world, entry, pool, held.expires_at);
    if let Some(asked) = asked {
        timeout(world, entry, pool, Some(asked));
    }
    let displaced = pool.held.insert(slot, held);
    pool.displaced.extend(displaced.map(|displaced| displaced.execution));
}

/// A grant from the queue: in its turn, within the capacity. Answers whether it is a chat turn.
fn first_grant(world: &mut World, entry: &Entry<'_>, pool: &mut Pool, execution: Uuid) -> bool {
    let (slot, capacity) = (entry.number("slot"), pool.capacity);
    let fits = pool.has_free_slot() && slot <= capacity;
    world.tally.check(Invariant::Capacity, entry.row, fits, || {
        format!("slot {slot} with {} held of {capacity}", pool.held.len())
    });
    let turn = pool.turn();
    let Some((place, waiting)) = pool.leave(execution) else {
        world.tally.check(Invariant::NoStartAfterEnd, entry.row, false, || {
            format!("execution {execution} does not wait in the queue")
        });
        return entry.flag("is_chat_turn");
    };
    world.tally.check(Invariant::NoStartAfterEnd, entry.row, true, String::new);
    world.tally.check(Invariant::Fifo, entry.row, turn == Some(place), || {
        format!("execution {execution} stands {} in the queue and passes others", place + 1)
    });
    timeout(world, entry, pool, waiting.timeout_seconds);
    waiting.is_chat_turn
}

/// The execution may start, under an epoch that is the next one.
fn holder(world: &mut World, entry: &Entry<'_>, id: Uuid, is_regrant: bool) {
    let (epoch, position) = (entry.number("epoch"), entry.row.position);
    let execution = world.executions.get_mut(&id);
    let may_start = execution.as_ref().is_some_and(|execution| {
        execution.phase == Phase::Pending && !execution.is_cancel_requested
    });
    let last = execution.as_ref().and_then(|execution| execution.grant);
    if let Some(execution) = execution {
        execution.grant = Some(Grant { epoch, position });
    }
    world.tally.check(Invariant::NoStartAfterEnd, entry.row, may_start, || {
        format!("execution {id} has started, has ended, is to end, or was never asked for")
    });
    let expected = last.map_or(1, |grant| grant.epoch + 1);
    let is_next = epoch == expected && is_regrant == last.is_some();
    world.tally.check(Invariant::Epochs, entry.row, is_next, || {
        format!("epoch {epoch}, expected {expected}")
    });
}

/// The shorter of what was asked for and what the agent allows now.
fn timeout(world: &mut World, entry: &Entry<'_>, pool: &Pool, asked: Option<u64>) {
    let allowed = pool.timeout_seconds;
    let expected = asked.map_or(allowed, |asked| asked.min(allowed));
    let found = entry.number("timeout_seconds");
    world.tally.check(Invariant::GrantTerms, entry.row, found == expected, || {
        format!("timeout_seconds is {found}, expected {expected}")
    });
}

/// The time of the grant, the agent's timeout and the buffer.
fn expiry(world: &mut World, entry: &Entry<'_>, pool: &Pool, expires_at: i64) {
    let seconds = i64::try_from(pool.timeout_seconds + SLOT_BUFFER_SECONDS).unwrap_or(i64::MAX);
    let granted_at = expires_at.saturating_sub(seconds.saturating_mul(MICROS_PER_SECOND));
    let late = granted_at.saturating_sub(world.order.recorded_at());
    // A row that repeats the time of the one before may have been decided any time earlier.
    let is_early = world.order.is_later() && late < -CLOCK_TOLERANCE_MICROS;
    let holds = late <= CLOCK_AHEAD_MICROS_MAX && !is_early;
    world.tally.check(Invariant::GrantTerms, entry.row, holds, || {
        let seconds = late / MICROS_PER_SECOND;
        format!(
            "expires_at is {seconds} s off the time of the grant, the agent's timeout and 300 s"
        )
    });
}

fn give_back(world: &mut World, entry: &Entry<'_>, pool: &mut Pool) {
    let (execution, slot) = (entry.id("execution_id"), entry.number("slot"));
    let held = pool.held.get(&slot).filter(|held| held.execution == execution).copied();
    world.tally.check(Invariant::SlotEnds, entry.row, held.is_some(), || {
        format!("execution {execution} does not hold slot {slot}")
    });
    let Some(held) = held else { return };
    pool.held.remove(&slot);
    world.append.freed(entry.row, execution);
    if entry.row.event_type == "SlotExpired" {
        let is_paused = pool.is_paused;
        world.tally.check(Invariant::SlotEnds, entry.row, !is_paused, || {
            "it expires while the agent is paused".to_owned()
        });
        let recorded_at = world.order.recorded_at();
        let place = Place::of(entry.row);
        pool.taken_back = Some(TakenBack { slot, held, recorded_at, place });
    }
}

fn dequeue(world: &mut World, entry: &Entry<'_>, pool: &mut Pool) {
    let execution = entry.id("execution_id");
    let has_left = pool.leave(execution).is_some();
    world.tally.check(Invariant::Queue, entry.row, has_left, || {
        format!("execution {execution} does not wait in the queue")
    });
    world.append.dequeued(entry.row, execution);
}
