//! Tasks: an execution and the slots of its agent, decided in one append.

use std::collections::HashSet;

use chrono::{DateTime, Utc};

use super::reports::LifeRef;
use super::{Refusal, Result, begun_by};
use crate::domain::agent::{Agent, AgentError, Life, Phase};
use crate::domain::execution::{
    CancelReason, Execution, ExecutionCommand, ExecutionError, ExecutionEvent, Request, Status,
    Urgency,
};
use crate::domain::slots::{
    DequeueReason, Entry, QUEUE_LENGTH_MAX, Slots, SlotsCommand, SlotsError, SlotsEvent,
};
use crate::domain::{
    AgentName, Event, ExecutionId, IncarnationId, Metadata, Recorded, StreamId, StreamType,
};
use crate::event_log::{Decision, EventLog, ExecuteError, LogError, Plan};

/// How deep calls between executions nest: the ancestors that an execution may have.
pub const CALL_DEPTH_MAX: usize = 8;

/// How many events of an agent's slots are read at once to find a place in its queue.
const PLACE_PAGE_EVENTS: i64 = 500;

/// How many events of an execution are read at once to find its start, which is among its first.
const BEGIN_PAGE_EVENTS: usize = 16;

/// The most events of a submission: requested, enqueued, a slot acquired.
const SUBMIT_EVENTS_MAX: usize = 3;

/// A task on its way in.
#[derive(Debug, Clone)]
pub struct Submit {
    /// The id it will have; see [`execution_id`](super::ids::execution_id).
    pub execution_id: ExecutionId,
    /// What to do, on which life of which agent, and for whom.
    pub request: Request,
    /// The agent that calls, when one does.
    pub caller: Option<LifeRef>,
    /// Whether the caller waits for the end.
    pub waits: Waits,
    /// How many executions may wait for this agent.
    pub queue_length_max: usize,
    /// The time now.
    pub now: DateTime<Utc>,
}

/// Whether the sender of a task waits for its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waits {
    /// It does, so a call that waits for its own caller would never end.
    ForTheEnd,
    /// It goes on with something else.
    ForNothing,
}

/// What has become of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submitted {
    /// Its id.
    pub execution_id: ExecutionId,
    /// Its place in the queue, from 1; none when it has a slot.
    pub queue_position: Option<usize>,
    /// The position up to which the log says so.
    pub position: i64,
    /// Whether an earlier request with the same key and body had done it already.
    pub is_replay: bool,
}

/// Why a task is not taken, beyond what the aggregates refuse.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// No live grant from the calling agent to this one.
    #[error("agent `{caller}` may not call agent `{callee}`; the owner of `{callee}` can allow it")]
    NotPermitted {
        /// Who calls.
        caller: AgentName,
        /// Whom.
        callee: AgentName,
    },
    /// The parent is somebody else's, or does not run.
    #[error("parent_execution_id must name a running execution of the caller")]
    InvalidParent,
    /// Too many callers in a chain.
    #[error("calls between executions nest at most {CALL_DEPTH_MAX} deep")]
    TooDeep,
    /// It would wait for a slot that one of its own callers holds until it answers.
    #[error("this call would wait in the queue of an agent that itself waits for its answer")]
    WouldDeadlock,
    /// The agent takes no work now.
    #[error("agent `{agent}` is {}", <&str>::from(.phase))]
    NotRunning {
        /// Which.
        agent: AgentName,
        /// What it does instead.
        phase: Phase,
    },
    /// The idempotency key came with another body before.
    #[error("this idempotency key was used for another request body")]
    KeyReused,
}

/// Takes a task: into a slot or into the queue, in one append, or not at all.
///
/// The callee's agent stream is guarded, so that it is this life of it, and the caller's, so that
/// the grant is live at the position of the submission.
///
/// # Errors
/// See [`SubmitError`], and what the agent, its slots and the execution refuse.
pub async fn submit(log: &EventLog, submit: Submit, mut metadata: Metadata) -> Result<Submitted> {
    let parent = submit.request.parent_execution_id;
    let ancestors = ancestors(log, parent).await?;
    // A start is recorded once and never changes, so it may be read before the decision. The decision
    // refuses a parent that began only after this.
    let begun = match parent {
        Some(parent) => begun(log, parent).await?,
        None => None,
    };
    let has_begun = begun.is_some();
    metadata.causation_id = begun.or(metadata.causation_id);
    let execution_id = submit.execution_id;
    let body_sha256 = metadata.body_sha256.clone();
    let plan = plan(&submit);
    let decide = move |d: &mut Decision<'_>| decide(d, &submit, &ancestors, has_begun);
    match log.transact(plan, metadata, decide).await {
        Ok((queue_position, receipt)) => {
            let position = receipt.position;
            Ok(Submitted { execution_id, queue_position, position, is_replay: false })
        }
        Err(ExecuteError::Refused(Refusal::Execution(ExecutionError::AlreadyExists))) => {
            let before = submitted_before(log, execution_id, body_sha256.as_deref()).await?;
            before.ok_or_else(|| ExecuteError::Refused(SubmitError::KeyReused.into()))
        }
        Err(error) => Err(error),
    }
}

fn plan(submit: &Submit) -> Plan {
    let Request { agent, incarnation, parent_execution_id, .. } = &submit.request;
    let mut plan = Plan::new()
        // A repeat under the same key is rare; it finds the stream there and is decided again.
        .create::<Execution>(submit.execution_id)
        .stream::<Slots>(incarnation)
        .guard::<Agent>(agent);
    if let Some(caller) = &submit.caller {
        plan = plan.guard::<Agent>(&caller.name);
    }
    if let Some(parent) = parent_execution_id {
        // Nothing is decided on it; it must only not end before this is written.
        plan = plan.stream::<Execution>(parent);
    }
    plan
}

fn decide(
    d: &mut Decision<'_>,
    submit: &Submit,
    ancestors: &[Ancestor],
    parent_has_begun: bool,
) -> std::result::Result<Option<usize>, Refusal> {
    let Submit { execution_id, request, caller, .. } = submit;
    let Request { agent: callee, incarnation, .. } = request;
    // First, so that a repeat is answered as a repeat whatever has changed since.
    d.decide::<Execution>(execution_id, ExecutionCommand::Request(Box::new(request.clone())))?;
    if current(d, callee)?.incarnation != *incarnation {
        return Err(AgentError::NotFound.into());
    }
    if let Some(caller) = caller {
        may_call(d, caller, callee, *incarnation)?;
    }
    if let Some(parent) = request.parent_execution_id {
        check_parent(d, parent, submit)?;
        if !parent_has_begun {
            return Err(SubmitError::InvalidParent.into());
        }
    }
    if ancestors.len() > CALL_DEPTH_MAX {
        return Err(SubmitError::TooDeep.into());
    }
    let entry = Entry {
        execution_id: *execution_id,
        is_chat_turn: request.is_chat_turn,
        timeout_seconds: request.timeout_seconds,
    };
    let queue_length_max = submit.queue_length_max;
    let enqueue = SlotsCommand::Enqueue { entry, queue_length_max, now: submit.now };
    d.decide::<Slots>(incarnation, enqueue).map_err(|refused| match refused {
        // Its slots know only why; the next step depends on what the agent does now.
        SlotsError::Suspended(_) => {
            let phase = d.state::<Agent>(callee).phase;
            Refusal::from(SubmitError::NotRunning { agent: callee.clone(), phase })
        }
        refused => refused.into(),
    })?;
    let queue_position = d.state::<Slots>(incarnation).queue_position(*execution_id);
    let is_own_chain = ancestors.iter().any(|ancestor| ancestor.incarnation == *incarnation);
    if queue_position.is_some() && is_own_chain && submit.waits == Waits::ForTheEnd {
        return Err(SubmitError::WouldDeadlock.into());
    }
    Ok(queue_position)
}

fn current(d: &Decision<'_>, name: &AgentName) -> std::result::Result<Life, AgentError> {
    d.state::<Agent>(name).live().cloned()
}

fn may_call(
    d: &Decision<'_>,
    caller: &LifeRef,
    callee: &AgentName,
    callee_incarnation: IncarnationId,
) -> std::result::Result<(), Refusal> {
    let state = d.state::<Agent>(&caller.name);
    let is_that_life = state.life.as_ref().is_some_and(|l| l.incarnation == caller.incarnation);
    if is_that_life && state.may_call(callee, callee_incarnation) {
        return Ok(());
    }
    let (caller, callee) = (caller.name.clone(), callee.clone());
    Err(SubmitError::NotPermitted { caller, callee }.into())
}

/// The parent runs, and it is the caller's own: of the calling agent, else of the same person.
fn check_parent(
    d: &Decision<'_>,
    parent: ExecutionId,
    submit: &Submit,
) -> std::result::Result<(), SubmitError> {
    let state = d.state::<Execution>(parent);
    let request = state.request.as_ref().filter(|_| state.status == Some(Status::Running));
    let is_own = request.is_some_and(|request| match &submit.caller {
        Some(caller) => request.agent == caller.name && request.incarnation == caller.incarnation,
        None => request.source_user.is_some() && request.source_user == submit.request.source_user,
    });
    if is_own { Ok(()) } else { Err(SubmitError::InvalidParent) }
}

/// An execution that waits, directly or not, for another one.
#[derive(Debug, Clone, Copy)]
struct Ancestor {
    incarnation: IncarnationId,
}

/// The chain of callers from `parent` up; as far as a chain that is too long needs.
async fn ancestors(log: &EventLog, parent: Option<ExecutionId>) -> Result<Vec<Ancestor>> {
    let mut chain = Vec::new();
    let mut next = parent;
    while let Some(id) = next
        && chain.len() <= CALL_DEPTH_MAX
    {
        let Some(request) = log.state::<Execution>(id).await?.state.request else { break };
        chain.push(Ancestor { incarnation: request.incarnation });
        next = request.parent_execution_id;
    }
    Ok(chain)
}

/// The event with which an execution began to run, which led to whatever it asks of others.
async fn begun(log: &EventLog, id: ExecutionId) -> Result<Option<String>> {
    let stream = StreamId::of::<Execution>(id);
    let mut after = 0;
    loop {
        let page = log.stream(&stream, after, BEGIN_PAGE_EVENTS).await?;
        let start = page.iter().find(|recorded| {
            matches!(recorded.event, Event::Execution(ExecutionEvent::ExecutionStarted { .. }))
        });
        match (start, page.last()) {
            (Some(start), _) => return Ok(Some(start.event_id.to_string())),
            (None, Some(last)) if page.len() == BEGIN_PAGE_EVENTS => after = last.version,
            _ => return Ok(None),
        }
    }
}

/// What became of a request with this very body that came before: of the execution whose id derives
/// from its key.
///
/// # Errors
/// When the log does not answer.
pub async fn submitted_before(
    log: &EventLog,
    execution_id: ExecutionId,
    body_sha256: Option<&str>,
) -> std::result::Result<Option<Submitted>, LogError> {
    let stream = StreamId::of::<Execution>(execution_id);
    let Some(first) = begun_by(log, &stream, body_sha256).await? else { return Ok(None) };
    let written = log.after(first.position - 1, SUBMIT_EVENTS_MAX).await?;
    let command_id = &first.metadata.command_id;
    let own: Vec<_> =
        written.iter().filter(|recorded| recorded.metadata.command_id == *command_id).collect();
    let has_slot = own.iter().any(|recorded| acquires(recorded, execution_id));
    let enqueued = own.iter().find(|recorded| recorded.stream.kind == StreamType::Slots);
    let queue_position = match enqueued {
        Some(enqueued) if !has_slot => Some(place_at(log, enqueued).await?),
        _ => None,
    };
    let position = own.last().map_or(first.position, |recorded| recorded.position);
    Ok(Some(Submitted { execution_id, queue_position, position, is_replay: true }))
}

fn acquires(recorded: &Recorded, id: ExecutionId) -> bool {
    matches!(&recorded.event, Event::Slots(SlotsEvent::SlotAcquired { execution_id, .. })
        if *execution_id == id)
}

/// The place in the queue that an entry had when it came: how many before it had not left yet.
///
/// Read backwards from the entry, over as many entries as a queue holds by default.
async fn place_at(log: &EventLog, enqueued: &Recorded) -> std::result::Result<usize, LogError> {
    let (mut left, mut waiting, mut entries) = (HashSet::new(), 0, 0);
    let mut before = enqueued.version - 1;
    while before > 0 && entries < QUEUE_LENGTH_MAX {
        let after = (before - PLACE_PAGE_EVENTS).max(0);
        let count = usize::try_from(before - after).unwrap_or_default();
        let page = log.stream(&enqueued.stream, after, count).await?;
        for recorded in page.iter().rev() {
            let Event::Slots(event) = &recorded.event else { continue };
            match event {
                SlotsEvent::SlotAcquired { execution_id, .. }
                | SlotsEvent::ExecutionDequeued { execution_id, .. } => {
                    left.insert(*execution_id);
                }
                SlotsEvent::ExecutionEnqueued { execution_id, .. } => {
                    entries += 1;
                    waiting += usize::from(!left.contains(execution_id));
                }
                _ => {}
            }
        }
        before = after;
    }
    Ok(waiting + 1)
}

/// What a request to end an execution has led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cancelled {
    /// It was waiting; now it is cancelled.
    WhileQueued,
    /// It has a slot; it is cancelled once its processes are gone.
    Requested,
    /// It had ended before.
    AlreadyFinished(Status),
}

/// Asks for the end of an execution; in the queue it ends at once.
///
/// Answers with what that led to and the position up to which the log says so.
///
/// # Errors
/// [`ExecutionError::NotFound`] for an unknown id.
pub async fn cancel(
    log: &EventLog,
    execution_id: ExecutionId,
    reason: CancelReason,
    urgency: Urgency,
    metadata: Metadata,
) -> Result<(Cancelled, i64)> {
    let by = metadata.actor.clone();
    let incarnation = incarnation_of(log, execution_id).await?;
    let plan = Plan::new().stream::<Execution>(execution_id).stream::<Slots>(incarnation);
    let decide = move |d: &mut Decision<'_>| {
        let status = d.state::<Execution>(execution_id).status;
        if let Some(status) = status.filter(|status| status.is_terminal()) {
            return Ok(Cancelled::AlreadyFinished(status));
        }
        if cancel_queued(d, execution_id, incarnation, &by, reason)? {
            return Ok(Cancelled::WhileQueued);
        }
        let request = ExecutionCommand::RequestCancel { by: by.clone(), reason, urgency };
        d.decide::<Execution>(execution_id, request)?;
        Ok(Cancelled::Requested)
    };
    let (cancelled, receipt) = log.transact(plan, metadata, decide).await?;
    Ok((cancelled, receipt.position))
}

/// Cancels an execution if it still waits; says whether it did, and up to which position.
///
/// # Errors
/// [`ExecutionError::NotFound`] for an unknown id.
pub async fn cancel_if_queued(
    log: &EventLog,
    execution_id: ExecutionId,
    reason: CancelReason,
    metadata: Metadata,
) -> Result<(bool, i64)> {
    let by = metadata.actor.clone();
    let incarnation = incarnation_of(log, execution_id).await?;
    let plan = Plan::new().stream::<Execution>(execution_id).stream::<Slots>(incarnation);
    let decide =
        move |d: &mut Decision<'_>| cancel_queued(d, execution_id, incarnation, &by, reason);
    let (cancelled, receipt) = log.transact(plan, metadata, decide).await?;
    Ok((cancelled, receipt.position))
}

fn cancel_queued(
    d: &mut Decision<'_>,
    execution_id: ExecutionId,
    incarnation: IncarnationId,
    by: &str,
    reason: CancelReason,
) -> std::result::Result<bool, Refusal> {
    let waits = d.state::<Slots>(incarnation).queue_position(execution_id).is_some();
    if waits {
        let cancel = ExecutionCommand::CancelQueued { by: by.to_owned(), reason };
        d.decide::<Execution>(execution_id, cancel)?;
        let reason = match reason {
            CancelReason::AgentDeleted => DequeueReason::AgentDeleted,
            CancelReason::Requested | CancelReason::QueueCleared | CancelReason::AgentStopped => {
                DequeueReason::Cancelled
            }
        };
        d.decide::<Slots>(incarnation, SlotsCommand::Dequeue { execution_id, reason })?;
    }
    Ok(waits)
}

async fn incarnation_of(log: &EventLog, execution_id: ExecutionId) -> Result<IncarnationId> {
    let request = log.state::<Execution>(execution_id).await?.state.request;
    let request = request.ok_or(ExecuteError::Refused(ExecutionError::NotFound.into()))?;
    Ok(request.incarnation)
}
