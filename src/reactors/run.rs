//! One granted execution, from the start request to the release of its slot.
//!
//! | log says | agent server says | what is done |
//! |---|---|---|
//! | granted, not started | nothing | ask for the start; refused for good: reject; too late: regrant, unless clocks differ |
//! | granted, to be ended | nothing | leave a tombstone, record that it never started |
//! | granted | tombstone | to be ended: never started; else: regrant under the next epoch |
//! | granted | it runs, or has ended | record the start |
//! | started | it runs | follow the output; carry out a stop; record the end |
//! | started | no answer for ten seconds | record that contact is lost, and go on asking |
//! | started | nothing | lost |
//! | ended | anything | forget the run there |

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use tokio::sync::{Notify, OnceCell};
use tokio::time::Instant;
use trinity_agent_protocol::{ErrorBody, ErrorCode, ExecutionState, ExecutionStatus, StopReason};

use super::dispatch::{self, Refused, stop_request};
use super::output::Follower;
use super::wait::Waits;
use super::{Context, chain};
use crate::adapters::Adapter;
use crate::clock;
use crate::commands::Cause;
use crate::commands::runs::{self, Grant};
use crate::domain::agent::Agent;
use crate::domain::execution::{ErrorClass, Execution, ExecutionCommand, Request, Status, Urgency};
use crate::domain::slots::{Active, Slots};
use crate::domain::{AgentName, ExecutionId, StreamId};
use crate::event_log::LogError;
use crate::gateway::Way;
use crate::hosts::link::{self, Link};
use crate::telemetry::traces::{self, Side, Span};
use crate::vault;

/// Why a run is refused for good whose time is over there, but not here.
const CLOCKS_DIFFER: &str = "the clock of the agent's host is ahead of this server's by more than \
     a slot lasts; set both by NTP, then send the task again";

/// How long an agent server may be out of reach before it counts as an event.
const OUT_OF_REACH_MAX: Duration = Duration::from_secs(10);

/// How long to wait before asking again for what must come by itself: a process that starts, a
/// grant that is taken back and given anew.
const SOON: Duration = Duration::from_millis(50);
/// A step that took so long got somewhere: the failure at its end is a new one.
const STEP_MIN: Duration = Duration::from_secs(5);

/// How far a run has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Look again at once.
    Again,
    /// Nothing is left to do.
    Done,
}

/// Follows one grant until its slot is released.
pub(super) struct Run {
    pub(super) context: Arc<Context>,
    pub(super) agent: AgentName,
    pub(super) grant: Grant,
    pub(super) link: Link,
    pub(super) hint: Arc<Notify>,
    /// Since when the agent server does not answer, if it does not.
    silence: Mutex<Option<Silence>>,
    /// The way to the agent's model, if it has one, once that is known.
    way: OnceCell<Option<Arc<Way>>>,
    /// The span of the request that submitted the task, once it was looked up.
    traceparent: OnceCell<Option<String>>,
}

/// What a look at a grant finds.
enum Found {
    /// The grant stands.
    Granted(Box<Look>),
    /// The execution has ended.
    Ended,
    /// Another epoch has been granted.
    GrantedAnew,
}

/// Since when the agent server does not answer, by the wall clock and by one that nobody sets.
#[derive(Clone, Copy)]
struct Silence {
    since: DateTime<Utc>,
    timer: Instant,
}

/// An execution as a look finds it.
struct Look {
    execution: Execution,
    active: Active,
    cause: Cause,
}

impl Drop for Run {
    fn drop(&mut self) {
        self.context.runs.forget(self.grant.execution_id);
    }
}

impl Run {
    pub(super) fn new(context: Arc<Context>, agent: AgentName, grant: Grant, link: Link) -> Self {
        let hint = context.runs.register(grant.execution_id);
        let (silence, way, traceparent) = (Mutex::default(), OnceCell::new(), OnceCell::new());
        Self { context, agent, grant, link, hint, silence, way, traceparent }
    }

    /// Does what is missing until nothing is; failures are tried again, later each time.
    pub(super) async fn follow(self) -> (ExecutionId, u32) {
        let mut waits = Waits::new();
        loop {
            let began = Instant::now();
            match self.step().await {
                Ok(Step::Done) => break,
                Ok(Step::Again) => waits.succeeded(),
                Err(error) => {
                    if began.elapsed() > STEP_MIN {
                        waits.succeeded();
                    }
                    if !waits.failing() {
                        let (agent, execution) = (&self.agent, self.grant.execution_id);
                        tracing::warn!(%agent, %execution, "{error:#}; trying again");
                    }
                    if let Err(error) = self.note_silence(&error).await {
                        tracing::debug!("to be noted at the next attempt: {error:#}");
                    }
                    tokio::select! {
                        () = tokio::time::sleep(waits.failed()) => {}
                        () = self.hint.notified() => {}
                    }
                }
            }
        }
        (self.grant.execution_id, self.grant.epoch)
    }

    /// Records that contact is lost once the agent server has been out of reach for long enough.
    async fn note_silence(&self, error: &anyhow::Error) -> anyhow::Result<()> {
        if !matches!(error.downcast_ref(), Some(link::Error::Unreachable(_))) {
            return Ok(());
        }
        let log = &self.context.log;
        let began = || Silence { since: log.now(), timer: Instant::now() };
        let Silence { since, timer } = *self.silence().get_or_insert_with(began);
        if timer.elapsed() < OUT_OF_REACH_MAX {
            return Ok(());
        }
        let Found::Granted(look) = self.look().await? else { return Ok(()) };
        self.record(ExecutionCommand::RecordContactLost { since }, &look.cause).await
    }

    fn silence(&self) -> MutexGuard<'_, Option<Silence>> {
        self.silence.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn record(&self, command: ExecutionCommand, cause: &Cause) -> anyhow::Result<()> {
        let id = self.grant.execution_id;
        let recorded = self.context.log.execute::<Execution>(id, command, cause.metadata()).await;
        recorded.context("cannot record what became of the contact")?;
        Ok(())
    }

    async fn step(&self) -> anyhow::Result<Step> {
        let look = match self.look().await? {
            Found::Granted(look) => *look,
            Found::Ended => return Ok(self.forget().await),
            Found::GrantedAnew => return Ok(Step::Done),
        };
        let status = self.link.status(&self.id()).await.context("cannot ask the agent server")?;
        *self.silence() = None;
        if look.execution.lost_contact_at.is_some() {
            let at = self.context.log.now();
            self.record(ExecutionCommand::RecordContactRegained { at }, &look.cause).await?;
        }
        // What the agent server holds of an earlier epoch says nothing about this one.
        let status = status.filter(|status| status.epoch == u64::from(self.grant.epoch));
        match (look.execution.status, status) {
            (Some(Status::Pending), None) if look.execution.may_start() => self.start(look).await,
            (Some(Status::Pending), None) => self.prevent().await,
            (Some(Status::Pending), Some(status)) => self.begun(&look, &status).await,
            (Some(Status::Running), None) => {
                let error = "the agent server has no trace of the run".to_owned();
                let now = self.context.log.now();
                runs::record_lost(&self.context.log, self.grant, error, now, &look.cause).await?;
                Ok(Step::Again)
            }
            (Some(Status::Running), Some(_)) => {
                self.keep_model_in_reach().await?;
                Follower::new(self, &look.execution, look.cause).await?.follow().await
            }
            (Some(Status::Completed | Status::Failed | Status::Cancelled) | None, _) => {
                Ok(self.forget().await)
            }
        }
    }

    async fn look(&self) -> anyhow::Result<Found> {
        let log = &self.context.log;
        let Grant { execution_id, incarnation, epoch, .. } = self.grant;
        let execution = log.state::<Execution>(execution_id).await;
        let execution = execution.context("cannot read the execution")?;
        let slots = log.state::<Slots>(incarnation).await.context("cannot read the slots")?.state;
        let active = slots.slot_of(execution_id).map(|(_, active)| active);
        let Some(active) = active.filter(|active| active.epoch == epoch).cloned() else {
            let ended = execution.state.is_terminal();
            return Ok(if ended { Found::Ended } else { Found::GrantedAnew });
        };
        let stream = StreamId::of::<Execution>(execution_id);
        let last = log.stream(&stream, execution.version - 1, 1).await;
        let last = last.context("cannot read the execution's last event")?;
        let cause = Cause::of(last.first().context("the execution has no event")?);
        Ok(Found::Granted(Box::new(Look { execution: execution.state, active, cause })))
    }

    fn id(&self) -> String {
        self.grant.execution_id.to_string()
    }

    async fn start(&self, look: Look) -> anyhow::Result<Step> {
        let request = look.execution.request.as_deref().context("the execution asks nothing")?;
        let log = &self.context.log;
        if let Err(refused) = dispatch::check_permission(&self.context, request).await? {
            return self.reject(refused, &look.cause).await;
        }
        let agent = log.state::<Agent>(&self.agent).await.context("cannot read the agent")?.state;
        let life = agent.life.context("the agent is gone")?;
        let adapter = self.context.adapters.get(life.config.runtime);
        let info = self.link.info().await.context("cannot ask the agent server")?;
        let adapter = adapter.as_ref();
        let credentials = match self.context.vault.read(life.incarnation.0).await {
            Ok(credentials) => credentials,
            Err(error @ (vault::Error::Damaged { .. } | vault::Error::Rotated)) => {
                let refused = Refused { class: ErrorClass::Spawn, error: chain(&error) };
                return self.reject(refused, &look.cause).await;
            }
            Err(error) => return Err(error).context("cannot open the agent's credentials"),
        };
        let start = dispatch::start_request(
            &self.context,
            adapter,
            &life,
            request,
            &self.grant,
            &look.active,
            (&info, &credentials),
        );
        let start = match start {
            Ok(start) => start,
            Err(refused) => return self.reject(refused, &look.cause).await,
        };
        self.keep_model_in_reach().await?;
        let span = self.span("execution.dispatch", Side::Client).await;
        let started = self.link.start(&self.id(), &start).await;
        if let Err(error) = &started {
            span.failed(chain(error));
        }
        drop(span);
        match started {
            Ok(_) => Ok(Step::Again),
            // A later epoch would be too late as well: what is late there is not late here.
            Err(link::Error::Refused(body))
                if body.code == ErrorCode::DeadlineTooNear
                    && start.fits_before_deadline(self.context.log.now()) =>
            {
                let error = CLOCKS_DIFFER.to_owned();
                self.reject(Refused { class: ErrorClass::Spawn, error }, &look.cause).await
            }
            Err(link::Error::Refused(body)) => self.not_started(adapter, body, &look.cause).await,
            Err(error) => Err(error).context("cannot start the run"),
        }
    }

    /// Keeps the way to the agent's model open for as long as this run is followed, if its agent server
    /// offers a gateway. Whether the run goes there was decided when it started.
    async fn keep_model_in_reach(&self) -> anyhow::Result<()> {
        let open = || async {
            let Context { log, adapters, gateway, .. } = self.context.as_ref();
            let agent = log.state::<Agent>(&self.agent).await.context("cannot read the agent")?;
            let life = agent.state.life.context("the agent is gone")?;
            let Some(api) = adapters.get(life.config.runtime).model_api() else { return Ok(None) };
            let info = self.link.info().await.context("cannot ask the agent server")?;
            let way = info.gateway.map(|_| gateway.keep_open(self.grant.incarnation.0, api));
            anyhow::Ok(way)
        };
        self.way.get_or_try_init(open).await.map(drop)
    }

    /// A span of this run, in the trace of the request that submitted the task.
    pub(super) async fn span(&self, name: &'static str, side: Side) -> Span {
        let span = Span::begin(name, side, self.traceparent().await);
        span.set("trinity.agent", self.agent.to_string());
        span.set("trinity.execution_id", self.id());
        span.set("trinity.epoch", i64::from(self.grant.epoch));
        span
    }

    /// The span of the request that submitted the task; whoever asks for the end of a run later on
    /// does so in a trace of another kind.
    pub(super) async fn traceparent(&self) -> Option<&str> {
        if !traces::is_exporting() {
            return None;
        }
        let look_up = || async {
            let stream = StreamId::of::<Execution>(self.grant.execution_id);
            let first = self.context.log.stream(&stream, 0, 1).await?.pop();
            Ok::<_, LogError>(first.and_then(|first| first.metadata.traceparent.clone()))
        };
        // Without it there is a trace of its own: no reason for a run to wait.
        self.traceparent.get_or_try_init(look_up).await.ok()?.as_deref()
    }

    /// What follows from the agent server's refusal to start the run.
    async fn not_started(
        &self,
        adapter: &dyn Adapter,
        body: ErrorBody,
        cause: &Cause,
    ) -> anyhow::Result<Step> {
        let for_good = |error| Refused { class: ErrorClass::Spawn, error };
        match (body.code, body.class) {
            (ErrorCode::StaleEpoch | ErrorCode::Tombstone, _) => Ok(Step::Again),
            (ErrorCode::DeadlineTooNear, _) => self.begin_anew(cause).await,
            (ErrorCode::SpawnFailed, Some(class)) if !class.is_transient() => {
                let error = adapter.spawn_error(class, &body.message);
                self.reject(for_good(error), cause).await
            }
            (ErrorCode::InvalidRequest, _) => self.reject(for_good(body.message), cause).await,
            _ => Err(link::Error::Refused(body)).context("the agent server cannot start the run"),
        }
    }

    async fn reject(&self, refused: Refused, cause: &Cause) -> anyhow::Result<Step> {
        let Refused { class, error } = refused;
        let log = &self.context.log;
        let span = self.span("execution.exit", Side::Internal).await;
        span.failed(error.clone());
        runs::reject(log, self.grant, class, error, log.now(), cause).await?;
        Ok(Step::Again)
    }

    /// Makes sure that this epoch never starts, then grants the next one.
    async fn begin_anew(&self, cause: &Cause) -> anyhow::Result<Step> {
        let request = stop_request(self.grant.epoch, StopReason::Cancel, false);
        self.link.stop(&self.id(), &request).await.context("cannot leave a tombstone")?;
        let log = &self.context.log;
        runs::regrant(log, self.grant, log.now(), cause).await?;
        Ok(Step::Again)
    }

    /// Leaves a tombstone for a run that is to end before it began.
    async fn prevent(&self) -> anyhow::Result<Step> {
        let request = stop_request(self.grant.epoch, StopReason::Cancel, false);
        self.link.stop(&self.id(), &request).await.context("cannot leave a tombstone")?;
        Ok(Step::Again)
    }

    /// Records what the agent server knows of a run that the log does not know to have started.
    async fn begun(&self, look: &Look, status: &ExecutionStatus) -> anyhow::Result<Step> {
        let log = &self.context.log;
        match (status.state, look.execution.may_start()) {
            (ExecutionState::Tombstone, true) => {
                runs::regrant(log, self.grant, log.now(), &look.cause).await?;
                // While nothing is granted, this changes nothing.
                tokio::time::sleep(SOON).await;
            }
            (ExecutionState::Tombstone, false) => {
                runs::record_never_started(log, self.grant, log.now(), &look.cause).await?;
            }
            (ExecutionState::Starting, _) => tokio::time::sleep(SOON).await,
            (ExecutionState::Running | ExecutionState::Exited | ExecutionState::Lost, _) => {
                let request: &Request =
                    look.execution.request.as_deref().context("the execution asks nothing")?;
                let agent =
                    log.state::<Agent>(&self.agent).await.context("cannot read the agent")?;
                let life = agent.state.life.context("the agent is gone")?;
                let adapter = self.context.adapters.get(life.config.runtime).as_ref();
                let session = dispatch::session(adapter, request, &self.grant).id().to_owned();
                let at = status.started_at.unwrap_or_else(clock::now);
                let _span = self.span("execution.start", Side::Internal).await;
                runs::record_started(log, self.grant, session, at, &look.cause).await?;
            }
        }
        Ok(Step::Again)
    }

    /// Lets the agent server forget a run that has ended in the log, transcript and all.
    async fn forget(&self) -> Step {
        if let Err(error) = self.link.delete(&self.id()).await {
            // Out of reach, or it still runs although its execution has ended.
            tracing::debug!(agent = %self.agent, "left to the reconciler: {}", chain(&error));
        }
        Step::Done
    }

    /// Asks the agent server for the end of the run, as urgently as the log says.
    pub(super) async fn stop(&self, execution: &Execution) -> anyhow::Result<()> {
        let force = execution.urgency == Some(Urgency::Kill);
        let request = stop_request(self.grant.epoch, StopReason::Cancel, force);
        self.link.stop(&self.id(), &request).await.context("cannot stop the run")?;
        Ok(())
    }
}
