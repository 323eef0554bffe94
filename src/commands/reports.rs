//! What a host reports of an agent, decided by the agent and its slots in one append.

use chrono::{DateTime, Utc};

use super::{Cause, Refusal, Result};
use crate::domain::agent::{Agent, AgentCommand, CrashCause, ObservedStatus, Phase, Step};
use crate::domain::slots::{Slots, SlotsCommand, SuspendReason};
use crate::domain::{AgentName, IncarnationId};
use crate::event_log::{Decision, EventLog, Plan, Receipt};

/// One life of an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LifeRef {
    /// The name.
    pub name: AgentName,
    /// Which life of it; a report about another life is ignored.
    pub incarnation: IncarnationId,
}

/// Records that the place of the agent is made.
pub async fn provisioned(
    log: &EventLog,
    life: &LifeRef,
    host_ref: String,
    cause: &Cause,
) -> Result<Receipt> {
    report(log, life, AgentCommand::RecordProvisioned { host_ref }, None, cause).await
}

/// Records the step of the creation that failed.
pub async fn provision_failed(
    log: &EventLog,
    life: &LifeRef,
    step: Step,
    error: String,
    cause: &Cause,
) -> Result<Receipt> {
    report(log, life, AgentCommand::RecordProvisionFailed { step, error }, None, cause).await
}

/// Records that the agent runs, and opens admission.
pub async fn started(
    log: &EventLog,
    life: &LifeRef,
    host_ref: String,
    config_hash: String,
    now: DateTime<Utc>,
    cause: &Cause,
) -> Result<Receipt> {
    let command = AgentCommand::RecordStarted { host_ref, config_hash };
    report(log, life, command, Some(now), cause).await
}

/// Records the step of the start that failed.
pub async fn start_failed(
    log: &EventLog,
    life: &LifeRef,
    step: Step,
    error: String,
    now: DateTime<Utc>,
    cause: &Cause,
) -> Result<Receipt> {
    let command = AgentCommand::RecordStartFailed { step, error, at: now };
    report(log, life, command, Some(now), cause).await
}

/// Records that the agent has stopped as asked.
pub async fn stopped(log: &EventLog, life: &LifeRef, cause: &Cause) -> Result<Receipt> {
    report(log, life, AgentCommand::RecordStopped { exit_code: None }, None, cause).await
}

/// Records what the host shows, and closes or opens admission with it.
pub async fn observed(
    log: &EventLog,
    life: &LifeRef,
    (status, crash_cause): (ObservedStatus, Option<CrashCause>),
    now: DateTime<Utc>,
    cause: &Cause,
) -> Result<Receipt> {
    let command = AgentCommand::RecordObserved { status, cause: crash_cause, at: now };
    report(log, life, command, Some(now), cause).await
}

/// Records that everything of this life is removed.
pub async fn deleted(log: &EventLog, life: &LifeRef, cause: &Cause) -> Result<Receipt> {
    report(log, life, AgentCommand::RecordDeleted, None, cause).await
}

/// Lets the agent decide on a report about this life, its slots following.
async fn report(
    log: &EventLog,
    life: &LifeRef,
    command: AgentCommand,
    now: Option<DateTime<Utc>>,
    cause: &Cause,
) -> Result<Receipt> {
    let LifeRef { name, incarnation } = life.clone();
    let plan = Plan::new().stream::<Agent>(&name).stream::<Slots>(incarnation);
    let decide = move |d: &mut Decision<'_>| {
        let before = d.state::<Agent>(&name).life.clone();
        if before.as_ref().is_none_or(|life| life.incarnation != incarnation) {
            return Ok(());
        }
        decide_with_admission(d, &name, incarnation, command.clone(), now)
    };
    Ok(log.transact(plan, cause.metadata(), decide).await?.1)
}

/// Lets the agent decide, then makes its slots admit or refuse work as its new phase says.
pub(super) fn decide_with_admission(
    d: &mut Decision<'_>,
    name: &AgentName,
    incarnation: IncarnationId,
    command: AgentCommand,
    now: Option<DateTime<Utc>>,
) -> std::result::Result<(), Refusal> {
    let before = d.state::<Agent>(name).phase;
    d.decide::<Agent>(name, command)?;
    let after = d.state::<Agent>(name).phase;
    if let (Some(admission), true) = (admission(after, now), before != after) {
        d.decide::<Slots>(incarnation, admission)?;
    }
    Ok(())
}

/// What an agent's phase means for its slots; none where nothing changes.
fn admission(phase: Phase, now: Option<DateTime<Utc>>) -> Option<SlotsCommand> {
    let suspend = |reason| Some(SlotsCommand::Suspend { reason });
    match phase {
        Phase::Running => now.map(|now| SlotsCommand::Resume { now }),
        Phase::Paused => suspend(SuspendReason::AgentPaused),
        Phase::Restarting => suspend(SuspendReason::AgentCrashed),
        Phase::Stopping | Phase::Stopped => suspend(SuspendReason::AgentStopped),
        Phase::Deleting => suspend(SuspendReason::AgentDeleted),
        // A life that is new was never open; one that is rebuilt begins like it.
        Phase::Creating => suspend(SuspendReason::NotStarted),
        Phase::Absent | Phase::Failed | Phase::Starting => None,
    }
}
