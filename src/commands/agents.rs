//! What is asked of an agent, decided by the agent and its slots in one append.

use chrono::{DateTime, Utc};

use super::reports::{LifeRef, decide_with_admission};
use super::tasks::SubmitError;
use super::{Refusal, Result, Target, begun_by};
use crate::domain::agent::{Agent, AgentCommand, AgentError, Create, Setting};
use crate::domain::slots::{Slots, SlotsCommand};
use crate::domain::{Metadata, StreamId};
use crate::event_log::{Decision, EventLog, ExecuteError, LogError, Plan, Receipt};

/// How many events a creation appends at most, beside the first two.
const CREATION_EVENTS_MAX: usize = 16;

/// What has become of a request to create an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    /// The new life.
    pub life: LifeRef,
    /// The position up to which the log says so.
    pub position: i64,
    /// Whether an earlier request with the same key and body had done it already.
    pub is_replay: bool,
}

/// Begins a life of a name, with its capacity and timeout and whatever else it has from the beginning,
/// in one append.
///
/// # Errors
/// What the agent refuses; [`SubmitError::KeyReused`] when the life's id derives from an
/// idempotency key that came with another body before.
pub async fn create(
    log: &EventLog,
    create: Create,
    settings: Vec<Setting>,
    metadata: Metadata,
    now: DateTime<Utc>,
) -> Result<Created> {
    let life = LifeRef { name: create.config.name.clone(), incarnation: create.incarnation };
    let body_sha256 = metadata.body_sha256.clone();
    let incarnation = life.incarnation;
    let plan = Plan::new().stream::<Agent>(&life.name).stream::<Slots>(incarnation);
    let decide = move |d: &mut Decision<'_>| {
        // This very life was begun before; it may even be over.
        if d.version::<Slots>(incarnation) > 0 {
            return Ok(false);
        }
        let name = create.config.name.clone();
        let max_parallel_tasks = create.config.max_parallel_tasks;
        let seconds = create.config.execution_timeout_seconds;
        d.decide::<Agent>(&name, AgentCommand::Create(Box::new(create.clone())))?;
        // Right after it: by that, whoever has a slot finds the agent.
        d.decide::<Slots>(incarnation, SlotsCommand::SetCapacity { max_parallel_tasks, now })?;
        d.decide::<Slots>(incarnation, SlotsCommand::SetTimeout { seconds })?;
        for setting in &settings {
            d.decide::<Agent>(&name, AgentCommand::Configure(setting.clone()))?;
        }
        Ok::<_, Refusal>(true)
    };
    let (is_new, receipt) = log.transact(plan, metadata, decide).await?;
    if is_new {
        return Ok(Created { life, position: receipt.position, is_replay: false });
    }
    let before = created_before(log, life, body_sha256.as_deref()).await?;
    before.ok_or_else(|| ExecuteError::Refused(SubmitError::KeyReused.into()))
}

/// What a request with this very body made before: a life whose id derives from its key.
///
/// # Errors
/// When the log does not answer.
pub async fn created_before(
    log: &EventLog,
    life: LifeRef,
    body_sha256: Option<&str>,
) -> std::result::Result<Option<Created>, LogError> {
    // The stream of a life's slots begins in the append that creates the agent.
    let stream = StreamId::of::<Slots>(life.incarnation);
    let Some(first) = begun_by(log, &stream, body_sha256).await? else { return Ok(None) };
    let command_id = &first.metadata.command_id;
    let next = log.after(first.position, CREATION_EVENTS_MAX).await?;
    let same = next.iter().rfind(|next| next.metadata.command_id == *command_id);
    let position = same.map_or(first.position, |last| last.position);
    Ok(Some(Created { life, position, is_replay: true }))
}

/// Asks for the agent to run.
pub async fn request_start(
    log: &EventLog,
    target: impl Into<Target>,
    metadata: Metadata,
) -> Result<Receipt> {
    ask(log, target.into(), AgentCommand::RequestStart, metadata).await
}

/// Asks for the agent to stop, and closes admission.
pub async fn request_stop(
    log: &EventLog,
    target: impl Into<Target>,
    metadata: Metadata,
) -> Result<Receipt> {
    ask(log, target.into(), AgentCommand::RequestStop, metadata).await
}

/// Asks for a running agent to be frozen, with everything that runs on it.
pub async fn request_pause(
    log: &EventLog,
    target: impl Into<Target>,
    metadata: Metadata,
) -> Result<Receipt> {
    ask(log, target.into(), AgentCommand::RequestPause, metadata).await
}

/// Asks for a frozen agent to go on.
pub async fn request_unpause(
    log: &EventLog,
    target: impl Into<Target>,
    metadata: Metadata,
) -> Result<Receipt> {
    ask(log, target.into(), AgentCommand::RequestUnpause, metadata).await
}

/// Asks for a system agent's workspace to be rebuilt, and closes admission until it has started again.
pub async fn reinitialize(
    log: &EventLog,
    target: impl Into<Target>,
    metadata: Metadata,
) -> Result<Receipt> {
    ask(log, target.into(), AgentCommand::Reinitialize, metadata).await
}

/// Asks for the agent and all its belongings to go, and closes admission.
pub async fn request_delete(
    log: &EventLog,
    target: impl Into<Target>,
    metadata: Metadata,
) -> Result<Receipt> {
    ask(log, target.into(), AgentCommand::RequestDelete, metadata).await
}

/// Sets how many executions may run at once, for the agent and its slots.
pub async fn set_capacity(
    log: &EventLog,
    target: impl Into<Target>,
    max_parallel_tasks: u32,
    metadata: Metadata,
    now: DateTime<Utc>,
) -> Result<Receipt> {
    let setting = Setting::SetCapacity { max_parallel_tasks };
    let slots = SlotsCommand::SetCapacity { max_parallel_tasks, now };
    configure(log, target.into(), setting, Some(slots), metadata).await
}

/// Sets the longest time an execution may run, in seconds, for the agent and its slots.
pub async fn set_timeout(
    log: &EventLog,
    target: impl Into<Target>,
    seconds: u32,
    metadata: Metadata,
) -> Result<Receipt> {
    let setting = Setting::SetExecutionTimeout { seconds };
    configure(log, target.into(), setting, Some(SlotsCommand::SetTimeout { seconds }), metadata)
        .await
}

/// Refuses what a change of a setting would be refused for, and changes nothing.
pub async fn check(log: &EventLog, target: impl Into<Target>, metadata: Metadata) -> Result<()> {
    let Target { life, expected } = target.into();
    let plan = Plan::new().stream::<Agent>(&life.name);
    let decide = move |d: &mut Decision<'_>| {
        is_current(d, &life)?;
        expected.check(d, &life.name)?;
        d.state::<Agent>(&life.name).live().map(drop)?;
        Ok::<_, Refusal>(())
    };
    log.transact(plan, metadata, decide).await?;
    Ok(())
}

/// Changes a setting that concerns the agent alone.
pub async fn set(
    log: &EventLog,
    target: impl Into<Target>,
    setting: Setting,
    metadata: Metadata,
) -> Result<Receipt> {
    configure(log, target.into(), setting, None, metadata).await
}

async fn configure(
    log: &EventLog,
    target: Target,
    setting: Setting,
    slots: Option<SlotsCommand>,
    metadata: Metadata,
) -> Result<Receipt> {
    let Target { life: LifeRef { name, incarnation }, expected } = target;
    let plan = Plan::new().stream::<Agent>(&name).stream::<Slots>(incarnation);
    let decide = move |d: &mut Decision<'_>| {
        is_current(d, &LifeRef { name: name.clone(), incarnation })?;
        expected.check(d, &name)?;
        d.decide::<Agent>(&name, AgentCommand::Configure(setting.clone()))?;
        if let Some(slots) = &slots {
            d.decide::<Slots>(incarnation, slots.clone())?;
        }
        Ok(())
    };
    let ((), receipt) = log.transact(plan, metadata, decide).await?;
    Ok(receipt)
}

async fn ask(
    log: &EventLog,
    target: Target,
    command: AgentCommand,
    metadata: Metadata,
) -> Result<Receipt> {
    let Target { life, expected } = target;
    let plan = Plan::new().stream::<Agent>(&life.name).stream::<Slots>(life.incarnation);
    let decide = move |d: &mut Decision<'_>| {
        is_current(d, &life)?;
        expected.check(d, &life.name)?;
        decide_with_admission(d, &life.name, life.incarnation, command.clone(), None)
    };
    let ((), receipt) = log.transact(plan, metadata, decide).await?;
    Ok(receipt)
}

/// The name may have been deleted, or begun anew, since the caller looked.
pub(super) fn is_current(d: &Decision<'_>, life: &LifeRef) -> std::result::Result<(), Refusal> {
    let state = d.state::<Agent>(&life.name);
    let incarnation = state.life.as_ref().map(|current| current.incarnation);
    if incarnation == Some(life.incarnation) { Ok(()) } else { Err(AgentError::NotFound.into()) }
}
