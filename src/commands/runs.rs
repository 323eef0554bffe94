//! What the supervisor of a run reports: its start, its end, or that there is nothing to report.

use chrono::{DateTime, Utc};

use super::{Cause, Refusal, Result};
use crate::domain::execution::{
    CancelReason, ErrorClass, Evidence, Execution, ExecutionCommand, ExecutionEvent, Outcome,
    Urgency, Verdict,
};
use crate::domain::slots::{ReleaseReason, Slots, SlotsCommand};
use crate::domain::{Event, ExecutionId, IncarnationId, StreamId};
use crate::event_log::{Decision, EventLog, Plan, Receipt};

/// How many events of an execution are read at once, from its end, to find who asked for it.
const END_PAGE_EVENTS: i64 = 200;

/// A granted execution: which, and where its slot is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant {
    /// Which execution.
    pub execution_id: ExecutionId,
    /// Whose slot it holds.
    pub incarnation: IncarnationId,
    /// The slot.
    pub slot: u32,
    /// The epoch of the grant.
    pub epoch: u32,
}

/// Records that the supervisor has started the run.
pub async fn record_started(
    log: &EventLog,
    grant: Grant,
    claude_session_id: String,
    started_at: DateTime<Utc>,
    cause: &Cause,
) -> Result<Receipt> {
    let Grant { execution_id, slot, epoch, .. } = grant;
    let plan = Plan::new().stream::<Execution>(execution_id);
    let command = ExecutionCommand::RecordStarted { slot, epoch, claude_session_id, started_at };
    let decide =
        move |d: &mut Decision<'_>| Ok(d.decide::<Execution>(execution_id, command.clone())?);
    Ok(log.transact(plan, cause.metadata(), decide).await?.1)
}

/// Records how the run ended and gives its slot to the next, in one append.
pub async fn record_exit(
    log: &EventLog,
    grant: Grant,
    verdict: Verdict,
    outcome: Outcome,
    now: DateTime<Utc>,
    cause: &Cause,
) -> Result<Receipt> {
    let command = ExecutionCommand::RecordExit { verdict, outcome: Box::new(outcome) };
    end(log, grant, command, ReleaseReason::Exited, now, cause).await
}

/// What the last request to end a run leads to; none without such a request.
pub async fn end_request(log: &EventLog, id: ExecutionId) -> Result<Option<Cause>> {
    let stream = StreamId::of::<Execution>(id);
    let mut before = log.state::<Execution>(id).await?.version;
    while before > 0 {
        let after = (before - END_PAGE_EVENTS).max(0);
        let count = usize::try_from(before - after).unwrap_or_default();
        let page = log.stream(&stream, after, count).await?;
        let asked = page.iter().rfind(|recorded| {
            matches!(recorded.event, Event::Execution(ExecutionEvent::CancelRequested { .. }))
        });
        if let Some(asked) = asked {
            return Ok(Some(Cause::of(asked)));
        }
        before = after;
    }
    Ok(None)
}

/// Records that a cancelled run was never started and never will be, and frees its slot.
pub async fn record_never_started(
    log: &EventLog,
    grant: Grant,
    now: DateTime<Utc>,
    cause: &Cause,
) -> Result<Receipt> {
    let command = ExecutionCommand::RecordNeverStarted { at: now };
    end(log, grant, command, ReleaseReason::NeverStarted, now, cause).await
}

/// Records that the grant cannot be carried out, and frees its slot.
pub async fn reject(
    log: &EventLog,
    grant: Grant,
    class: ErrorClass,
    error: String,
    now: DateTime<Utc>,
    cause: &Cause,
) -> Result<Receipt> {
    let command = ExecutionCommand::Reject { class, error, at: now };
    end(log, grant, command, ReleaseReason::Rejected, now, cause).await
}

/// Records that the run is gone with its agent, and frees its slot.
pub async fn record_lost(
    log: &EventLog,
    grant: Grant,
    error: String,
    now: DateTime<Utc>,
    cause: &Cause,
) -> Result<Receipt> {
    let command = ExecutionCommand::RecordLost { evidence: Evidence::Observed, error, at: now };
    end(log, grant, command, ReleaseReason::Lost, now, cause).await
}

/// Ends a run: by the last request to end it where there is one, else by `cause`.
async fn end(
    log: &EventLog,
    grant: Grant,
    command: ExecutionCommand,
    reason: ReleaseReason,
    now: DateTime<Utc>,
    cause: &Cause,
) -> Result<Receipt> {
    let first = command.clone();
    let decide = move |d: &mut Decision<'_>| {
        let execution = d.state::<Execution>(grant.execution_id);
        let is_asked_for = execution.cancel.is_some() && !execution.is_terminal();
        if !is_asked_for {
            decide_end(d, grant, first.clone(), reason, now)?;
        }
        Ok(is_asked_for)
    };
    let (is_asked_for, receipt) = log.transact(end_plan(grant), cause.metadata(), decide).await?;
    if !is_asked_for {
        return Ok(receipt);
    }
    let asked = end_request(log, grant.execution_id).await?;
    let by = asked.as_ref().unwrap_or(cause).metadata();
    let decide = move |d: &mut Decision<'_>| decide_end(d, grant, command.clone(), reason, now);
    Ok(log.transact(end_plan(grant), by, decide).await?.1)
}

fn end_plan(grant: Grant) -> Plan {
    Plan::new().stream::<Execution>(grant.execution_id).stream::<Slots>(grant.incarnation)
}

fn decide_end(
    d: &mut Decision<'_>,
    grant: Grant,
    command: ExecutionCommand,
    reason: ReleaseReason,
    now: DateTime<Utc>,
) -> std::result::Result<(), Refusal> {
    let Grant { execution_id, incarnation, .. } = grant;
    d.decide::<Execution>(execution_id, command)?;
    // Only an end frees the slot: whatever was reported, a live run keeps it.
    if d.state::<Execution>(execution_id).is_terminal() {
        let release = SlotsCommand::Release { execution_id, reason, now };
        d.decide::<Slots>(incarnation, release)?;
    }
    Ok(())
}

/// Takes the slot back after its time, when nothing has answered for too long.
pub async fn expire(
    log: &EventLog,
    grant: Grant,
    error: String,
    now: DateTime<Utc>,
    cause: &Cause,
) -> Result<Receipt> {
    let Grant { execution_id, incarnation, epoch, .. } = grant;
    let plan = Plan::new().stream::<Execution>(execution_id).stream::<Slots>(incarnation);
    let decide = move |d: &mut Decision<'_>| {
        let held =
            |d: &Decision<'_>| d.state::<Slots>(incarnation).may_expire(execution_id, epoch, now);
        if held(d) {
            let evidence = Evidence::Expired;
            let lost = ExecutionCommand::RecordLost { evidence, error: error.clone(), at: now };
            d.decide::<Execution>(execution_id, lost)?;
            d.decide::<Slots>(incarnation, SlotsCommand::Expire { execution_id, epoch, now })?;
        }
        Ok(())
    };
    Ok(log.transact(plan, cause.metadata(), decide).await?.1)
}

/// Grants the slot anew under the next epoch, because this one can no longer start.
pub async fn regrant(
    log: &EventLog,
    grant: Grant,
    now: DateTime<Utc>,
    cause: &Cause,
) -> Result<Receipt> {
    let Grant { execution_id, incarnation, epoch, .. } = grant;
    let plan = Plan::new().guard::<Execution>(execution_id).stream::<Slots>(incarnation);
    let decide = move |d: &mut Decision<'_>| {
        if d.state::<Execution>(execution_id).may_start() {
            d.decide::<Slots>(incarnation, SlotsCommand::Regrant { execution_id, epoch, now })?;
        }
        Ok(())
    };
    Ok(log.transact(plan, cause.metadata(), decide).await?.1)
}

/// Asks for the end of a granted run because its agent ends.
pub async fn cancel_with_agent(
    log: &EventLog,
    grant: Grant,
    reason: CancelReason,
    cause: &Cause,
) -> Result<Receipt> {
    let metadata = cause.metadata();
    let by = metadata.actor.clone();
    let command = ExecutionCommand::RequestCancel { by, reason, urgency: Urgency::Graceful };
    let execution_id = grant.execution_id;
    let plan = Plan::new().stream::<Execution>(execution_id);
    let decide =
        move |d: &mut Decision<'_>| Ok(d.decide::<Execution>(execution_id, command.clone())?);
    Ok(log.transact(plan, metadata, decide).await?.1)
}
