//! The life of an execution: one way through, one end.

use std::collections::HashSet;

use uuid::Uuid;

use super::calls;
use super::report::Invariant;
use super::row::{Entry, Row};
use super::world::{Past, World};

/// How many tool calls of one run become events.
const TOOL_CALLS_MAX: usize = 2_000;

/// How far an execution is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Phase {
    /// No event that says what was asked for.
    #[default]
    Unknown,
    Pending,
    Running,
    Ended,
}

/// The slot that an execution was granted last.
#[derive(Debug, Clone, Copy)]
pub(super) struct Grant {
    pub(super) epoch: u64,
    /// Where it was granted.
    pub(super) position: i64,
}

/// The agent that called for an execution.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    pub(super) agent: String,
    pub(super) incarnation: Uuid,
}

#[derive(Debug, Default)]
pub(super) struct Execution {
    pub(super) version: i64,
    pub(super) phase: Phase,
    pub(super) agent: String,
    pub(super) incarnation: Uuid,
    pub(super) source_user: Option<Uuid>,
    pub(super) caller: Option<Caller>,
    /// The last grant, held or not.
    pub(super) grant: Option<Grant>,
    pub(super) is_cancel_requested: bool,
    started_epochs: Vec<u64>,
    is_bound: bool,
    /// 1 after the interrupt, 2 after the kill.
    signal: u8,
    is_out_of_contact: bool,
    late: i64,
    removals: i64,
    tool_line: u64,
    tool_calls: usize,
    open_tool_calls: HashSet<String>,
}

/// Takes up an execution again that had ended before the append being read.
pub(super) fn recall(world: &mut World, row: &Row, past: Past) {
    let Ok(id) = Uuid::parse_str(&row.stream_id) else { return };
    let phase = if past.ends > 0 { Phase::Ended } else { Phase::Unknown };
    let Past { version, late, removals, .. } = past;
    let execution = Execution { version, phase, late, removals, ..Execution::default() };
    world.executions.insert(id, execution);
    world.append.recalled(id);
}

pub(super) fn observe(world: &mut World, entry: &Entry<'_>) {
    let id = entry.stream_uuid();
    let mut execution = world.executions.remove(&id).unwrap_or_default();
    transition(world, entry, &execution);
    match entry.row.event_type.as_str() {
        "ExecutionRequested" => {
            requested(world, entry, &mut execution);
            world.append.requested(entry.row, id);
        }
        "ExecutionStarted" => start(world, entry, &mut execution),
        "SessionBound" => execution.is_bound = true,
        "ToolCallStarted" | "ToolCallFinished" => tool_call(world, entry, &mut execution),
        "CancelRequested" => execution.is_cancel_requested = true,
        "InterruptSent" => execution.signal = 1,
        "KillSent" => execution.signal = 2,
        "ContactLost" => execution.is_out_of_contact = true,
        "ContactRegained" => execution.is_out_of_contact = false,
        "LateResultObserved" => late(world, entry, &mut execution),
        "TranscriptRemoved" => removed(world, entry, &mut execution),
        _ => {
            execution.phase = Phase::Ended;
            world.append.ended(entry.row, id);
        }
    }
    world.executions.insert(id, execution);
}

/// Whether the event may come where the execution is.
fn transition(world: &mut World, entry: &Entry<'_>, execution: &Execution) {
    let Execution { phase, is_cancel_requested, .. } = *execution;
    let is_open = matches!(phase, Phase::Pending | Phase::Running);
    let is_legal = match entry.row.event_type.as_str() {
        "ExecutionRequested" => phase == Phase::Unknown && entry.row.version == 1,
        "ExecutionStarted" => phase == Phase::Pending,
        "SessionBound" => phase == Phase::Running && !execution.is_bound,
        "InterruptSent" => phase == Phase::Running && execution.signal == 0,
        "KillSent" => phase == Phase::Running && execution.signal < 2,
        "ContactLost" => phase == Phase::Running && !execution.is_out_of_contact,
        "ContactRegained" => phase == Phase::Running && execution.is_out_of_contact,
        "ExecutionCompleted" => phase == Phase::Running && !is_cancel_requested,
        "ExecutionFailed" | "CancelRequested" => is_open,
        "ExecutionCancelled" if entry.text("phase") == "queued" => {
            phase == Phase::Pending && execution.grant.is_none()
        }
        "ExecutionCancelled" => is_open && is_cancel_requested,
        "LateResultObserved" | "TranscriptRemoved" => phase == Phase::Ended,
        _ => phase == Phase::Running,
    };
    let may_follow = ["LateResultObserved", "TranscriptRemoved"];
    let follows_end = phase == Phase::Ended && !may_follow.contains(&entry.row.event_type.as_str());
    world.tally.check(Invariant::OneEnd, entry.row, !follows_end, || {
        "it follows the end of its execution".to_owned()
    });
    world.tally.check(Invariant::Transitions, entry.row, is_legal, || {
        let asked = if is_cancel_requested { ", its end asked for" } else { "" };
        format!("it may not come while the execution is {phase:?}{asked}")
    });
}

fn requested(world: &mut World, entry: &Entry<'_>, execution: &mut Execution) {
    execution.phase = Phase::Pending;
    entry.text("agent").clone_into(&mut execution.agent);
    execution.incarnation = entry.id("incarnation");
    execution.source_user = entry.optional_id("source_user");
    execution.caller = calls::check_request(world, entry);
}

fn start(world: &mut World, entry: &Entry<'_>, execution: &mut Execution) {
    let (slot, epoch) = (entry.number("slot"), entry.number("epoch"));
    world.tally.check(
        Invariant::NoStartAfterEnd,
        entry.row,
        execution.phase != Phase::Ended,
        || "it starts after its end".to_owned(),
    );
    let is_first = !execution.started_epochs.contains(&epoch);
    world.tally.check(Invariant::Epochs, entry.row, is_first, || {
        format!("a second start under epoch {epoch}")
    });
    let holder = world.pools.get(&execution.incarnation).and_then(|pool| pool.held.get(&slot));
    let holds =
        holder.is_some_and(|held| held.execution == entry.stream_uuid() && held.epoch == epoch);
    world.tally.check(Invariant::Epochs, entry.row, holds, || {
        format!("it does not hold slot {slot} under epoch {epoch}")
    });
    calls::check_start(world, entry, execution);
    execution.started_epochs.push(epoch);
    if execution.phase != Phase::Ended {
        execution.phase = Phase::Running;
    }
}

fn late(world: &mut World, entry: &Entry<'_>, execution: &mut Execution) {
    let is_first = execution.late == 0;
    world.tally.check(Invariant::OneEnd, entry.row, is_first, || "a second late report".to_owned());
    execution.late += 1;
}

fn removed(world: &mut World, entry: &Entry<'_>, execution: &mut Execution) {
    let is_first = execution.removals == 0;
    world.tally.check(Invariant::OneEnd, entry.row, is_first, || {
        "its transcript was removed before".to_owned()
    });
    execution.removals += 1;
}

fn tool_call(world: &mut World, entry: &Entry<'_>, execution: &mut Execution) {
    let call = entry.text("tool_call_id");
    let line = entry.number("seq");
    let in_order = line >= execution.tool_line;
    execution.tool_line = line;
    let is_legal = if entry.row.event_type == "ToolCallStarted" {
        execution.tool_calls += 1;
        execution.open_tool_calls.insert(call.to_owned()) && execution.tool_calls <= TOOL_CALLS_MAX
    } else {
        execution.open_tool_calls.remove(call)
    };
    world.tally.check(Invariant::Transitions, entry.row, is_legal && in_order, || {
        "a tool call is begun twice, answered unasked, out of its line, or one too many".to_owned()
    });
}
