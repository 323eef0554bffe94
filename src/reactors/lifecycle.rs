//! The steps of creation, start and stop, and what to do when an agent goes down by itself.
//!
//! Each step is idempotent: a server that was killed in the middle of one begins it again.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use sha2::{Digest as _, Sha256};
use trinity_agent_protocol::{Exit, StartRequest, StopReason};

use super::look::{Look, Next};
use super::{chain, dispatch};
use crate::clock;
use crate::commands::{reports, runs};
use crate::domain::agent::{Life, ObservedStatus, Phase, Step};
use crate::domain::execution::CancelReason;
use crate::hosts::{self, AgentSpec, Status};

/// How long the agent's own `startup.sh` may take.
const STARTUP_TIMEOUT: Duration = Duration::from_mins(2);
/// How much longer than a timeout and the grace its deadline is: nothing waits for the slot.
const SUPERVISOR_MARGIN: Duration = Duration::from_secs(30);
/// How often a started script is asked for its end.
const STARTUP_POLL: Duration = Duration::from_millis(100);
/// The wait before the first restart after a crash; it doubles with every further crash.
const RESTART_WAIT_MIN: Duration = Duration::from_millis(500);
/// How much of a script's last words an event keeps, in bytes.
const SCRIPT_ERROR_BYTES_MAX: usize = 2 * 1024;

/// A step that failed, and why.
struct Failure {
    step: Step,
    error: String,
}

impl Failure {
    fn at<E: std::error::Error + 'static>(step: Step) -> impl FnOnce(E) -> Self {
        move |error| Self { step, error: chain(&error) }
    }
}

/// Makes the agent's place: the steps from the template to the container.
pub(super) async fn provision(look: &Look<'_>) -> anyhow::Result<Next> {
    let Look { context, life_ref, life, cause, .. } = look;
    let spec = AgentSpec {
        name: life_ref.name.to_string(),
        incarnation: life_ref.incarnation.0,
        labels: labels(look),
        workspace_files: instructions(look).into_iter().collect(),
    };
    match context.host.create(&spec).await {
        Ok(host_ref) => {
            tracing::info!(agent = %life_ref.name, runtime = ?life.config.runtime, "made");
            reports::provisioned(&context.log, life_ref, host_ref, cause).await?;
            Ok(Next::Again)
        }
        Err(error) => {
            let Failure { step, error } = Failure::at(Step::Container)(error);
            tracing::warn!(agent = %life_ref.name, "could not be made: {error}");
            reports::provision_failed(&context.log, life_ref, step, error, cause).await?;
            Ok(Next::Wait)
        }
    }
}

/// The file in which the agent's CLI looks for the instructions of its creator.
fn instructions(look: &Look<'_>) -> Option<(String, String)> {
    let text = look.life.config.custom_instructions.clone()?;
    let adapter = look.context.adapters.get(look.life.config.runtime);
    Some((adapter.instructions_file().to_owned(), text))
}

fn labels(look: &Look<'_>) -> std::collections::BTreeMap<String, String> {
    let Look { context, life_ref, .. } = look;
    [
        ("trinity.agent-name", life_ref.name.to_string()),
        ("trinity.incarnation", life_ref.incarnation.to_string()),
        ("trinity.log-id", context.log.log_id().to_string()),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value))
    .collect()
}

/// Brings the agent up: its place, its script, its health.
pub(super) async fn start(look: &Look<'_>) -> anyhow::Result<Next> {
    let Look { context, life_ref, life, cause, .. } = look;
    match bring_up(look).await {
        Ok(()) => {
            let host_ref = life.host_ref.clone().unwrap_or_default();
            let now = context.log.now();
            let hash = config_hash(life);
            reports::started(&context.log, life_ref, host_ref, hash, now, cause).await?;
            tracing::info!(agent = %life_ref.name, "running");
            Ok(Next::Again)
        }
        Err(Failure { step, error }) => {
            tracing::warn!(agent = %life_ref.name, ?step, "did not start: {error}");
            let now = context.log.now();
            reports::start_failed(&context.log, life_ref, step, error, now, cause).await?;
            Ok(Next::Wait)
        }
    }
}

/// Starts a crashed agent again, later each time.
pub(super) async fn restart(look: &Look<'_>) -> anyhow::Result<Next> {
    let doublings = u32::try_from(look.life.crashes.len().saturating_sub(1)).unwrap_or(u32::MAX);
    let wait = RESTART_WAIT_MIN * 2u32.saturating_pow(doublings);
    let since = look.life.crashes.last().map_or(TimeDelta::MAX, |crash| clock::now() - *crash);
    match since.to_std() {
        // A crash in the future means that the clock was set back: do not wait for it.
        Ok(since) if since < wait => Ok(Next::After(wait.saturating_sub(since))),
        _ => start(look).await,
    }
}

async fn bring_up(look: &Look<'_>) -> Result<(), Failure> {
    let Look { context, life_ref, link, .. } = look;
    let incarnation = life_ref.incarnation.0;
    context.host.start(incarnation).await.map_err(Failure::at(Step::Start))?;
    let info = link.info().await.map_err(Failure::at(Step::Health))?;
    run_startup_script(look, &info.boot_id).await?;
    Ok(())
}

/// Runs the agent's own `startup.sh`, if there is one, once per start.
async fn run_startup_script(look: &Look<'_>, boot_id: &str) -> Result<(), Failure> {
    let Look { context, link, .. } = look;
    let id = format!("startup-{boot_id}");
    let grace = Duration::from_millis(context.grace_ms);
    let script = "test ! -e startup.sh || exec sh ./startup.sh";
    let info = link.info().await.map_err(Failure::at(Step::Startup))?;
    let env = [("PATH", context.path.as_str()), ("HOME", &info.home), ("LANG", "C.UTF-8")];
    let named = env.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
    let request = StartRequest {
        epoch: 1,
        argv: ["/bin/sh", "-c", script].map(str::to_owned).to_vec(),
        env: named.chain(dispatch::temporary(&info)).collect(),
        stdin: String::new(),
        files: Vec::new(),
        cwd: None,
        timeout_ms: millis(STARTUP_TIMEOUT),
        grace_ms: context.grace_ms,
        deadline: after(context.log.now(), STARTUP_TIMEOUT + grace + SUPERVISOR_MARGIN),
        uid: None,
        gid: None,
        allow_new_privileges: false,
    };
    link.start(&id, &request).await.map_err(Failure::at(Step::Startup))?;
    let exit = loop {
        let status = link.status(&id).await.map_err(Failure::at(Step::Startup))?;
        match status.map(|status| (status.exit, status.state)) {
            Some((Some(exit), _)) => break exit,
            Some((None, state)) if !state.is_final() => tokio::time::sleep(STARTUP_POLL).await,
            Some((None, _)) | None => {
                let error = "the agent server has no trace of startup.sh".to_owned();
                return Err(Failure { step: Step::Startup, error });
            }
        }
    };
    link.delete(&id).await.map_err(Failure::at(Step::Startup))?;
    match script_error(&exit) {
        None => Ok(()),
        Some(error) => Err(Failure { step: Step::Startup, error }),
    }
}

fn script_error(exit: &Exit) -> Option<String> {
    let how = match (exit.stop_reason, exit.code, exit.signal) {
        (Some(StopReason::Timeout), ..) => {
            format!("took longer than {} s", STARTUP_TIMEOUT.as_secs())
        }
        (_, Some(0), _) => return None,
        (_, Some(code), _) => format!("exited with code {code}"),
        (_, None, Some(signal)) => format!("was ended by signal {signal}"),
        (_, None, None) => "ended in an unknown way".to_owned(),
    };
    let words = exit.stderr_tail.trim();
    let from = words.ceil_char_boundary(words.len().saturating_sub(SCRIPT_ERROR_BYTES_MAX));
    Some(format!("startup.sh {how}: {}", &words[from..]).trim_end_matches([':', ' ']).to_owned())
}

/// What the place of the agent was started with; another value means that it must be made anew.
fn config_hash(life: &Life) -> String {
    let config = &life.config;
    let parts = serde_json::json!({
        "base_image": config.base_image,
        "resources": config.resources,
        "full_capabilities": config.full_capabilities,
        "folders": life.folders,
        "runtime": config.runtime,
    });
    Sha256::digest(parts.to_string())
        .iter()
        .fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
}

/// Compares a running agent with what its host shows.
pub(super) async fn observe(look: &Look<'_>, phase: Phase) -> anyhow::Result<Next> {
    let Look { context, life_ref, cause, .. } = look;
    let shown = context.host.inspect(life_ref.incarnation.0).await?;
    let status = shown.map_or(Status::Stopped, |hosted| hosted.state.normalised());
    let observed = match (phase, status) {
        (Phase::Running, Status::Running) | (Phase::Paused, Status::Paused) => {
            return Ok(Next::Wait);
        }
        (_, Status::Running) => ObservedStatus::Running,
        (_, Status::Paused) => ObservedStatus::Paused,
        (_, Status::Restarting) => ObservedStatus::Restarting,
        (_, Status::Stopped) => ObservedStatus::Stopped,
    };
    tracing::warn!(agent = %life_ref.name, ?observed, "changed by itself");
    reports::observed(&context.log, life_ref, observed, context.log.now(), cause).await?;
    Ok(Next::Again)
}

/// Ends the agent's runs, then the agent.
pub(super) async fn stop(look: &Look<'_>) -> anyhow::Result<Next> {
    let Look { context, life_ref, cause, .. } = look;
    if !runs_have_ended(look, CancelReason::AgentStopped).await? {
        return Ok(Next::Wait);
    }
    let grace = Duration::from_millis(context.grace_ms);
    context.host.stop(life_ref.incarnation.0, grace).await?;
    reports::stopped(&context.log, life_ref, cause).await?;
    tracing::info!(agent = %life_ref.name, "stopped");
    Ok(Next::Again)
}

/// Whether no execution holds a slot any more; asks for the end of those that do.
pub(super) async fn runs_have_ended(look: &Look<'_>, reason: CancelReason) -> anyhow::Result<bool> {
    let Look { context, life_ref, cause, .. } = look;
    let mut none = true;
    for grant in look.grants() {
        none = false;
        runs::cancel_with_agent(&context.log, grant, reason, cause).await?;
        context.runs.wake(grant.execution_id);
    }
    if none || is_up(look).await? {
        return Ok(none);
    }
    // Nothing of a run outlives its agent server; started again, it says how each one ended.
    if let Err(error) = context.host.start(life_ref.incarnation.0).await {
        tracing::warn!(agent = %life_ref.name, "ends without its agent server: {}", chain(&error));
        give_up_runs(look).await?;
    }
    Ok(false)
}

/// What may still be open when an agent is down: runs whose end nobody will report.
pub(super) async fn down(look: &Look<'_>) -> anyhow::Result<Next> {
    if look.slots.active.is_empty() || is_up(look).await? {
        return Ok(Next::Wait);
    }
    give_up_runs(look).await?;
    Ok(Next::Again)
}

async fn give_up_runs(look: &Look<'_>) -> anyhow::Result<()> {
    for grant in look.grants() {
        let error = "the agent went down and took the run with it".to_owned();
        let now = look.context.log.now();
        runs::record_lost(&look.context.log, grant, error, now, &look.cause).await?;
    }
    Ok(())
}

async fn is_up(look: &Look<'_>) -> Result<bool, hosts::Error> {
    let shown = look.context.host.inspect(look.life_ref.incarnation.0).await?;
    Ok(shown.is_some_and(|hosted| hosted.state.normalised() != Status::Stopped))
}

/// Whole milliseconds of a duration that is known to be short.
fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The time `wait` after `now`.
fn after(now: DateTime<Utc>, wait: Duration) -> DateTime<Utc> {
    TimeDelta::from_std(wait).ok().and_then(|wait| now.checked_add_signed(wait)).unwrap_or(now)
}
