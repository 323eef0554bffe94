//! Start, stop and delete: asked for in the log, done by the server, and waited for.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::api::ApiState;
use crate::api::auth::{Caller, OnAgent};
use crate::api::error::{ApiError, Code, Result};
use crate::api::etag::IfMatch;
use crate::api::extract::{Body, Fresh, NoFields, Query, WAIT_MS_MAX, check_wait_ms};
use crate::api::reply::Reply;
use crate::commands::agents;
use crate::commands::reports::LifeRef;
use crate::domain::agent::{Agent, Life, Phase, Step};
use crate::event_log::Loaded;
use crate::hosts;
use crate::projections::agents::AgentStatus;

#[derive(Debug, Clone, Copy, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct WaitQuery {
    /// How long to wait for the end of it, in milliseconds; 10000 when left out.
    #[param(maximum = 10000)]
    wait_ms: Option<u64>,
}

impl WaitQuery {
    pub(super) fn duration(self) -> Result<Duration> {
        check_wait_ms(self.wait_ms)?;
        Ok(Duration::from_millis(self.wait_ms.unwrap_or(WAIT_MS_MAX)))
    }
}

/// Where an agent has got to.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Transition {
    /// What has happened, in words.
    message: String,
    /// What the agent does now.
    status: AgentStatus,
    /// The same in finer words, such as `starting`.
    phase: &'static str,
    /// The position up to which this holds.
    position: i64,
}

/// Starts the agent; starting a running one does nothing.
///
/// Answers 200 with the status reached within `wait_ms`, 202 if it takes longer.
#[utoipa::path(
    post, path = "/api/agents/{name}/start", tag = "agents",
    params(("name" = String, Path, description = "The agent's name"), WaitQuery, IfMatch),
    responses((status = 200, body = Transition), (status = 202, body = Transition)),
)]
pub(super) async fn start(
    State(state): State<ApiState>,
    caller: Caller,
    on: OnAgent,
    if_match: IfMatch,
    Query(query): Query<WaitQuery>,
    _body: Body<NoFields>,
) -> Result<Reply<Transition>> {
    let wait = query.duration()?;
    let (log, target) = (&state.app.log, if_match.target(&on));
    let receipt = agents::request_start(log, target, caller.metadata()).await?;
    until_started(&state, &on.life, wait, receipt.position).await
}

/// Waits for the end of a start, and says which step failed if one did.
pub(super) async fn until_started(
    state: &ApiState,
    life: &LifeRef,
    wait: Duration,
    asked_at: i64,
) -> Result<Reply<Transition>> {
    let reached =
        settle(state, life, wait, |phase| matches!(phase, Phase::Running | Phase::Failed));
    let reached = reached.await?;
    failed(&reached, asked_at)?;
    answer(state, life, &reached, Phase::Running, asked_at).await
}

/// Says which step failed, if one did.
pub(super) fn failed(reached: &Reached, asked_at: i64) -> Result<()> {
    let (Phase::Failed, Some((step, error))) = (reached.phase, &reached.failure) else {
        return Ok(());
    };
    let step: &str = step.into();
    let detail = format!("the start failed at step `{step}`: {error}");
    let failed = ApiError::new(Code::AgentNotRunning, detail);
    Err(failed.with("step", step).with("position", asked_at))
}

/// Stops the agent: what runs on it is ended, what waits waits on; stopping twice does nothing.
///
/// Answers 200 with the status reached within `wait_ms`, 202 if it takes longer.
#[utoipa::path(
    post, path = "/api/agents/{name}/stop", tag = "agents",
    params(("name" = String, Path, description = "The agent's name"), WaitQuery, IfMatch),
    responses((status = 200, body = Transition), (status = 202, body = Transition)),
)]
pub(super) async fn stop(
    State(state): State<ApiState>,
    caller: Caller,
    on: OnAgent,
    if_match: IfMatch,
    Query(query): Query<WaitQuery>,
    _body: Body<NoFields>,
) -> Result<Reply<Transition>> {
    let wait = query.duration()?;
    let (log, target) = (&state.app.log, if_match.target(&on));
    let receipt = agents::request_stop(log, target, caller.metadata()).await?;
    let reached =
        settle(&state, &on.life, wait, |phase| matches!(phase, Phase::Stopped | Phase::Failed));
    answer(&state, &on.life, &reached.await?, Phase::Stopped, receipt.position).await
}

/// Freezes the agent with everything that runs on it, until it is started or unpaused.
///
/// Nothing is granted meanwhile; what runs keeps its slot, and its time goes on. Agents that do not live
/// in containers cannot be frozen. Answers 200 with the status reached within `wait_ms`, 202 if it takes
/// longer.
#[utoipa::path(
    post, path = "/api/agents/{name}/pause", tag = "agents",
    params(("name" = String, Path, description = "The agent's name"), WaitQuery, IfMatch),
    responses((status = 200, body = Transition), (status = 202, body = Transition)),
)]
pub(super) async fn pause(
    State(state): State<ApiState>,
    caller: Caller,
    on: OnAgent,
    if_match: IfMatch,
    Query(query): Query<WaitQuery>,
    _body: Body<NoFields>,
) -> Result<Reply<Transition>> {
    let wait = query.duration()?;
    if !state.app.host.enforces_limits() {
        let detail = hosts::Error::CannotPause.to_string();
        return Err(ApiError::new(Code::NotEnforceable, detail));
    }
    let (log, target) = (&state.app.log, if_match.target(&on));
    let receipt = agents::request_pause(log, target, caller.metadata()).await?;
    let reached = settle_when(&state, &on.life, wait, |reached| !reached.pause_wanted).await?;
    if reached.phase != Phase::Paused && !reached.pause_wanted {
        let phase: &'static str = reached.phase.into();
        let detail = format!("the agent could not be frozen, and is {phase} now");
        return Err(ApiError::new(Code::Conflict, detail).with("position", receipt.position));
    }
    answer(&state, &on.life, &reached, Phase::Paused, receipt.position).await
}

/// Lets a frozen agent go on, as a start would; one that runs is left as it is.
///
/// Answers 200 with the status reached within `wait_ms`, 202 if it takes longer.
#[utoipa::path(
    post, path = "/api/agents/{name}/unpause", tag = "agents",
    params(("name" = String, Path, description = "The agent's name"), WaitQuery, IfMatch),
    responses((status = 200, body = Transition), (status = 202, body = Transition)),
)]
pub(super) async fn unpause(
    State(state): State<ApiState>,
    caller: Caller,
    on: OnAgent,
    if_match: IfMatch,
    Query(query): Query<WaitQuery>,
    _body: Body<NoFields>,
) -> Result<Reply<Transition>> {
    let wait = query.duration()?;
    let (log, target) = (&state.app.log, if_match.target(&on));
    let receipt = agents::request_unpause(log, target, caller.metadata()).await?;
    until_started(&state, &on.life, wait, receipt.position).await
}

/// Deletes the agent with its workspace and everything that is its own; its history stays.
///
/// Answers 200 once it is gone, 202 if that takes longer than `wait_ms`.
#[utoipa::path(
    delete, path = "/api/agents/{name}", tag = "agents",
    params(("name" = String, Path, description = "The agent's name"), WaitQuery, IfMatch),
    responses((status = 200, body = Transition), (status = 202, body = Transition)),
)]
pub(super) async fn delete(
    State(state): State<ApiState>,
    caller: Caller,
    on: OnAgent,
    if_match: IfMatch,
    Query(query): Query<WaitQuery>,
    _body: Body<NoFields>,
) -> Result<Reply<Transition>> {
    let wait = query.duration()?;
    let (log, target) = (&state.app.log, if_match.target(&on));
    let receipt = agents::request_delete(log, target, caller.metadata()).await?;
    let reached = settle(&state, &on.life, wait, |phase| phase == Phase::Absent).await?;
    answer(&state, &on.life, &reached, Phase::Absent, receipt.position).await
}

/// Where an agent stands.
pub(super) struct Reached {
    pub(super) phase: Phase,
    /// The version of the agent, unless the name has another life by now.
    version: Option<i64>,
    pause_wanted: bool,
    failure: Option<(Step, String)>,
}

/// Waits until the life is in one of the phases it settles in, or the time is over.
pub(super) async fn settle(
    state: &ApiState,
    life: &LifeRef,
    wait: Duration,
    is_settled: impl Fn(Phase) -> bool,
) -> Result<Reached> {
    settle_when(state, life, wait, |reached| is_settled(reached.phase)).await
}

/// Waits until the life stands as is wanted, or the time is over.
async fn settle_when(
    state: &ApiState,
    life: &LifeRef,
    wait: Duration,
    is_settled: impl Fn(&Reached) -> bool,
) -> Result<Reached> {
    let deadline = tokio::time::Instant::now() + wait;
    let mut head = state.app.log.watch_head();
    loop {
        head.mark_unchanged();
        let Loaded { state: agent, version } = state.app.log.state::<Agent>(&life.name).await?;
        let is_it = |current: &Life| current.incarnation == life.incarnation;
        let version = agent.life.as_ref().is_none_or(is_it).then_some(version);
        let reached = match agent.life.filter(is_it) {
            Some(Life { pause_wanted, failure, .. }) => {
                Reached { phase: agent.phase, version, pause_wanted, failure }
            }
            None => Reached { phase: Phase::Absent, version, pause_wanted: false, failure: None },
        };
        if is_settled(&reached) {
            return Ok(reached);
        }
        match tokio::time::timeout_at(deadline, head.changed()).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => return Ok(reached),
        }
    }
}

pub(super) async fn answer(
    state: &ApiState,
    life: &LifeRef,
    reached: &Reached,
    wanted: Phase,
    asked_at: i64,
) -> Result<Reply<Transition>> {
    let position = state.app.log.head().max(asked_at);
    let is_there = reached.phase == wanted;
    if let Some(outage) = state.app.host.outage().filter(|_| !is_there) {
        let detail = format!(
            "this goes on by itself once the host of agents is back, which cannot be reached: {outage}"
        );
        return Err(ApiError::new(Code::HostUnavailable, detail).with("position", position));
    }
    let phase: &'static str = reached.phase.into();
    let name = &life.name;
    let message = match (is_there, wanted) {
        (true, Phase::Absent) => format!("agent `{name}` is deleted"),
        (true, _) => format!("agent `{name}` is {phase}"),
        (false, _) => format!("agent `{name}` is {phase}; this goes on by itself"),
    };
    if is_there {
        // What this answer says can be read at once.
        let fresh = Fresh { min_position: Some(position), ..Fresh::default() };
        let _in_time = state.caught_up(fresh, super::VIEWS).await;
    }
    let status = reached.phase.into();
    let code = if is_there { StatusCode::OK } else { StatusCode::ACCEPTED };
    let reached_at = Transition { message, status, phase, position };
    let reply = Reply::ok(position, reached_at).status(code);
    Ok(match reached.version {
        Some(version) => reply.version(version),
        None => reply,
    })
}
