//! The steps of creation, start and stop, and what to do when an agent goes down by itself.
//!
//! Each step is idempotent: a server that was killed in the middle of one begins it again.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, TimeDelta};
use trinity_agent_protocol::Info;

use super::look::{Look, Next};
use super::{chain, credentials, dispatch, own_key, repository, startup};
use crate::adapters::mcp;
use crate::clock;
use crate::commands::reports::LifeRef;
use crate::commands::{reports, runs};
use crate::domain::agent::{AgentConfig, CrashCause, ObservedStatus, Phase, Step};
use crate::domain::execution::CancelReason;
use crate::hosts::{self, AgentSpec, ContainerSpec, Status, WorkspaceFile};
use crate::vault;

/// The wait before the first restart after a crash; it doubles with every further crash.
const RESTART_WAIT_MIN: Duration = Duration::from_millis(500);

/// How often a place is started in one start of its agent.
const STARTS_MAX: u32 = 3;

/// The label that says which configuration a place was made with.
const CONFIG_HASH: &str = "trinity.config-hash";

/// A step that failed, and why.
struct Failure {
    step: Step,
    error: String,
    /// Whether a store was away, so that the same may succeed later.
    is_passing: bool,
}

impl Failure {
    fn at<E: std::error::Error + 'static>(step: Step) -> impl FnOnce(E) -> Self {
        move |error| Self { step, error: chain(&error), is_passing: false }
    }

    /// A failure of what needs the stores.
    fn of_stores<E: std::error::Error + 'static>(
        step: Step,
        is_away: fn(&E) -> bool,
    ) -> impl FnOnce(E) -> Self {
        move |error| Self { is_passing: is_away(&error), ..Self::at(step)(error) }
    }
}

/// Makes the agent's place: the steps from the template to the container.
pub(super) async fn provision(look: &Look<'_>) -> anyhow::Result<Next> {
    let Look { context, life_ref, life, cause, .. } = look;
    let unreached = context.host.unreached();
    // What runs in the place that is to go ends like that of an agent that is stopped.
    if life.rebuild_wanted && !runs_have_ended(look, CancelReason::AgentStopped).await? {
        return Ok(Next::Wait);
    }
    match make_anew(look).await {
        Ok(host_ref) => {
            tracing::info!(agent = %life_ref.name, runtime = ?life.config.runtime, "made");
            reports::provisioned(&context.log, life_ref, host_ref, cause).await?;
            Ok(Next::Again)
        }
        Err(failure) => {
            wait_for_what_passes(look, &failure, unreached)?;
            let Failure { step, error, .. } = failure;
            tracing::warn!(agent = %life_ref.name, ?step, "could not be made: {error}");
            reports::provision_failed(&context.log, life_ref, step, error, cause).await?;
            Ok(Next::Wait)
        }
    }
}

/// Makes the agent's place with all that its workspace begins with, after the removal of the one that
/// is to be rebuilt.
async fn make_anew(look: &Look<'_>) -> Result<String, Failure> {
    // First what may fail and takes nothing away.
    let mut files = BTreeMap::new();
    if let Some(template) = look.life.config.template.clone() {
        let read = look.context.library.read(move |library| library.templates.get(&template));
        files = read.await.map_err(Failure::at(Step::Template))?.files;
        // What it says is a setting by now, from which the file is written.
        files.remove(mcp::TEMPLATE_FILE);
    }
    let has_key = own_key::ensure(look).await;
    has_key.map_err(Failure::of_stores(Step::Key, own_key::Failed::is_away))?;
    files.extend(instructions(look));
    if look.life.rebuild_wanted {
        let removed = look.context.host.remove(look.life_ref.incarnation.0).await;
        removed.map_err(Failure::at(Step::Volume))?;
    }
    make(look, files).await
}

/// Makes the agent's place as its configuration stands, or makes sure that it is like that.
///
/// The files are those of a workspace that is new.
async fn make(
    look: &Look<'_>,
    workspace_files: BTreeMap<String, WorkspaceFile>,
) -> Result<String, Failure> {
    let Look { context, life_ref, life, .. } = look;
    let AgentConfig { base_image, resources, full_capabilities, .. } = &life.config;
    let spec = AgentSpec {
        name: life_ref.name.to_string(),
        incarnation: life_ref.incarnation.0,
        labels: labels(look),
        container: ContainerSpec {
            image: base_image.clone(),
            nano_cpus: resources.nano_cpus().map_err(Failure::at(Step::Validate))?,
            memory_bytes: resources.memory_bytes().map_err(Failure::at(Step::Validate))?,
            full_capabilities: *full_capabilities,
        },
        workspace_files,
    };
    let made = context.host.create(&spec).await;
    made.map_err(|error| {
        let step = match error {
            hosts::Error::Workspace(_) => Step::Volume,
            hosts::Error::Contents(_) => Step::Configure,
            _ => Step::Container,
        };
        Failure::at(step)(error)
    })
}

/// Fails when what failed may pass by itself, so that it is tried again and not recorded.
///
/// `unreached` is how often the host had not been reached when it began.
fn wait_for_what_passes(look: &Look<'_>, failure: &Failure, unreached: u64) -> anyhow::Result<()> {
    // These are answered without the host, or by what runs there.
    let is_of_host = !matches!(
        failure.step,
        Step::Validate | Step::Template | Step::Key | Step::Credentials | Step::Startup
    );
    if is_of_host {
        wait_for_host(look, unreached)?;
    }
    if failure.is_passing {
        anyhow::bail!("waits for the stores: {}", failure.error);
    }
    let needs_library = matches!(failure.step, Step::Template | Step::EnvFiles);
    if needs_library && look.context.library.is_awaited() {
        anyhow::bail!("waits for the library, which is being copied");
    }
    Ok(())
}

/// Fails when the host is away, or was meanwhile: that it answers somebody else by now says nothing of
/// what failed with it.
fn wait_for_host(look: &Look<'_>, unreached: u64) -> anyhow::Result<()> {
    let host = &look.context.host;
    match host.outage() {
        Some(outage) => Err(anyhow::anyhow!("waits for its host: {outage}")),
        None if host.unreached() > unreached => {
            Err(anyhow::anyhow!("is tried again: its host was away"))
        }
        None => Ok(()),
    }
}

/// The file in which the agent's CLI looks for the instructions of its creator.
fn instructions(look: &Look<'_>) -> Option<(String, WorkspaceFile)> {
    let text = look.life.config.custom_instructions.clone()?;
    let adapter = look.context.adapters.get(look.life.config.runtime);
    Some((adapter.instructions_file().to_owned(), text.into()))
}

/// Everything that a host tells about an agent without the log.
fn labels(look: &Look<'_>) -> BTreeMap<String, String> {
    let Look { context, life_ref, life, .. } = look;
    let AgentConfig { kind, runtime, resources, template, full_capabilities, .. } = &life.config;
    let runtime: &str = runtime.into();
    let labels = [
        ("platform", Some(context.log.log_id().to_string())),
        ("agent-name", Some(life_ref.name.to_string())),
        ("incarnation", Some(life_ref.incarnation.to_string())),
        ("agent-type", Some(kind.clone())),
        ("runtime", Some(runtime.to_owned())),
        ("cpu", resources.cpu.clone()),
        ("memory", resources.memory.clone()),
        ("created", created(life_ref)),
        ("template", template.clone()),
        ("full-capabilities", Some(full_capabilities.to_string())),
    ];
    let said = labels.into_iter().filter_map(|(key, value)| Some((key, value?)));
    let said = said.map(|(key, value)| (format!("trinity.{key}"), value));
    said.chain([(CONFIG_HASH.to_owned(), config_hash(look))]).collect()
}

/// Names what the agent's place is made from now.
fn config_hash(look: &Look<'_>) -> String {
    let host_hash = look.context.host.settings_hash(look.life.config.base_image.as_deref());
    look.life.config_hash_on(&host_hash)
}

/// When a life began, which its id tells.
fn created(life_ref: &LifeRef) -> Option<String> {
    let (seconds, nanos) = life_ref.incarnation.0.get_timestamp()?.to_unix();
    let began = DateTime::from_timestamp(i64::try_from(seconds).ok()?, nanos)?;
    Some(began.to_rfc3339_opts(SecondsFormat::Secs, true))
}

/// Brings the agent up: its place, its repository, its script, what is written for it, its health.
pub(super) async fn start(look: &Look<'_>) -> anyhow::Result<Next> {
    let Look { context, life_ref, cause, .. } = look;
    let unreached = context.host.unreached();
    match bring_up(look).await {
        Ok(up) => {
            let now = context.log.now();
            let Up { host_ref, config_hash } = up;
            reports::started(&context.log, life_ref, host_ref, config_hash, now, cause).await?;
            tracing::info!(agent = %life_ref.name, "running");
            Ok(Next::Again)
        }
        Err(failure) => {
            wait_for_what_passes(look, &failure, unreached)?;
            let Failure { step, error, .. } = failure;
            tracing::warn!(agent = %life_ref.name, ?step, "did not start: {error}");
            end_without_runs(look).await;
            let now = context.log.now();
            reports::start_failed(&context.log, life_ref, step, error, now, cause).await?;
            Ok(Next::Wait)
        }
    }
}

/// Ends what a failed start has left of the agent, so that nothing runs of one that is shown as stopped, and
/// the next start is one. With runs on it, its agent server is left to them: one that is mute may hear again.
async fn end_without_runs(look: &Look<'_>) {
    if !look.slots.active.is_empty() {
        return;
    }
    if let Err(error) = end(look).await {
        tracing::warn!(agent = %look.life_ref.name, "cannot be ended: {}", chain(&error));
    }
}

/// Ends what runs in the agent's place, which stays.
async fn end(look: &Look<'_>) -> Result<(), hosts::Error> {
    let Look { context, life_ref, .. } = look;
    let grace = Duration::from_millis(context.grace_ms);
    context.host.stop(life_ref.incarnation.0, grace).await
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

/// A place that is up, and the configuration it was made with.
struct Up {
    host_ref: String,
    config_hash: String,
}

async fn bring_up(look: &Look<'_>) -> Result<Up, Failure> {
    let Look { context, life_ref, link, .. } = look;
    let incarnation = life_ref.incarnation.0;
    // What is frozen, or was started by a server that did not live to say so, is not made anew.
    let before = context.host.inspect(incarnation).await.map_err(Failure::at(Step::Start))?;
    let goes_on = before.filter(|before| !before.state.is_at_rest());
    // What runs there goes on with the key that it has.
    let has_key = match goes_on {
        Some(_) => own_key::ensure(look).await,
        None => own_key::renew(look).await,
    };
    has_key.map_err(Failure::of_stores(Step::Key, own_key::Failed::is_away))?;
    let was_up = goes_on.is_some();
    let made_with = goes_on.and_then(|mut before| before.labels.remove(CONFIG_HASH));
    let Serving { host_ref, info, went_on } = come_up(look, was_up).await?;
    let made_with = made_with.filter(|_| went_on);
    let config_hash = made_with.unwrap_or_else(|| config_hash(look));
    let read = context.vault.read(incarnation).await;
    let credentials = read.map_err(Failure::of_stores(Step::Credentials, vault::Error::is_away))?;
    // Whoever starts an agent learns now what would fail with each of its runs.
    let variables = dispatch::variables(context, &credentials);
    dispatch::mcp_config(look.life, &variables).map_err(Failure::at(Step::Credentials))?;
    let cloned = repository::bring(look, &credentials).await;
    cloned.map_err(Failure::at(Step::Repository))?;
    let script = startup::run(look, &info, &credentials).await;
    script.map_err(|failed| match failed {
        startup::Failed::Script(error) => Failure { step: Step::Startup, error, is_passing: false },
        startup::Failed::Silence(error) => Failure::at(Step::Health)(error),
    })?;
    credentials::inject(look, &credentials).await.map_err(|error| {
        let step = if error.is_silence() { Step::Health } else { Step::EnvFiles };
        Failure::of_stores(step, credentials::Failed::is_away)(error)
    })?;
    // Whatever its script has done, and it was given.
    link.info().await.map_err(Failure::at(Step::Health))?;
    Ok(Up { host_ref, config_hash })
}

/// A place whose agent server answers.
struct Serving {
    host_ref: String,
    info: Info,
    /// Whether it was up before.
    went_on: bool,
}

/// Starts the agent's place until its agent server answers. What cannot be started any more is made anew,
/// and what was up before and is mute is ended first: an engine that was killed may have left either.
async fn come_up(look: &Look<'_>, was_up: bool) -> Result<Serving, Failure> {
    let Look { context, life_ref, link, .. } = look;
    let (mut starts, mut went_on) = (0, was_up);
    loop {
        starts += 1;
        let host_ref = make(look, BTreeMap::new()).await?;
        match context.host.start(life_ref.incarnation.0).await {
            Err(error @ hosts::Error::Broken(_)) if starts < STARTS_MAX => {
                tracing::warn!(agent = %life_ref.name, "{error}");
                went_on = false;
                continue;
            }
            started => started.map_err(Failure::at(Step::Start))?,
        }
        match link.info().await {
            Err(error) if went_on && error.is_silence() && context.host.outage().is_none() => {
                tracing::warn!(agent = %life_ref.name, "was up, and is mute: {}", chain(&error));
                end_without_runs(look).await;
                went_on = false;
            }
            info => {
                let info = info.map_err(Failure::at(Step::Health))?;
                return Ok(Serving { host_ref, info, went_on });
            }
        }
    }
}

/// Compares a running agent with what its host shows.
pub(super) async fn observe(look: &Look<'_>, phase: Phase) -> anyhow::Result<Next> {
    let Look { context, life_ref, life, cause, .. } = look;
    let incarnation = life_ref.incarnation.0;
    let unreached = context.host.unreached();
    if life.pause_wanted
        && let Err(error) = context.host.pause(incarnation).await
    {
        wait_for_host(look, unreached)?;
        tracing::warn!(agent = %life_ref.name, "cannot be paused: {}", chain(&error));
    }
    let shown = context.host.inspect(incarnation).await?;
    let out_of_memory = shown.as_ref().is_some_and(|shown| shown.out_of_memory);
    let crash_cause = out_of_memory.then_some(CrashCause::OutOfMemory);
    let status = shown.map_or(Status::Stopped, |hosted| hosted.state.normalised());
    let observed = match (phase, status) {
        (Phase::Running, Status::Running) if life.pause_wanted => ObservedStatus::Running,
        (Phase::Running, Status::Running) | (Phase::Paused, Status::Paused) => {
            return Ok(Next::Wait);
        }
        (_, Status::Running) => ObservedStatus::Running,
        (_, Status::Paused) => ObservedStatus::Paused,
        (_, Status::Restarting) => ObservedStatus::Restarting,
        (_, Status::Stopped) => ObservedStatus::Stopped,
    };
    if !life.pause_wanted {
        tracing::warn!(agent = %life_ref.name, ?observed, ?crash_cause, "changed by itself");
    }
    let observed = (observed, crash_cause);
    reports::observed(&context.log, life_ref, observed, context.log.now(), cause).await?;
    Ok(Next::Again)
}

/// Ends the agent's runs, then the agent.
pub(super) async fn stop(look: &Look<'_>) -> anyhow::Result<Next> {
    let Look { context, life_ref, cause, .. } = look;
    if !runs_have_ended(look, CancelReason::AgentStopped).await? {
        return Ok(Next::Wait);
    }
    end(look).await?;
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

/// What may still be open when an agent is down: runs whose end nobody will report, and what a failed start
/// has left, because runs were on it or it could not be ended then.
pub(super) async fn down(look: &Look<'_>) -> anyhow::Result<Next> {
    let has_runs = !look.slots.active.is_empty();
    if !has_runs && look.life.failure.is_none() {
        return Ok(Next::Wait);
    }
    match (has_runs, is_up(look).await?) {
        (true, false) => {
            give_up_runs(look).await?;
            Ok(Next::Again)
        }
        (false, true) => {
            end(look).await?;
            Ok(Next::Wait)
        }
        (true, true) | (false, false) => Ok(Next::Wait),
    }
}

async fn give_up_runs(look: &Look<'_>) -> anyhow::Result<()> {
    for grant in look.grants() {
        let error = look.life.loss();
        let now = look.context.log.now();
        runs::record_lost(&look.context.log, grant, error, now, &look.cause).await?;
    }
    Ok(())
}

async fn is_up(look: &Look<'_>) -> Result<bool, hosts::Error> {
    let shown = look.context.host.inspect(look.life_ref.incarnation.0).await?;
    Ok(shown.is_some_and(|hosted| hosted.state.normalised() != Status::Stopped))
}
