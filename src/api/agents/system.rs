//! System agents, of which the server's own is one: rebuilt instead of deleted.

use std::time::Duration;

use axum::extract::State;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::transition::{Transition, WaitQuery, answer, failed, settle, until_started};
use super::{VIEWS, add_isolation};
use crate::api::ApiState;
use crate::api::auth::{Caller, OnAgent, no_agent};
use crate::api::error::{ApiError, Code, Result};
use crate::api::etag::IfMatch;
use crate::api::extract::{Body, Fresh, NoFields, NoParams, Query, ReadQuery};
use crate::api::reply::Reply;
use crate::commands::reports::LifeRef;
use crate::commands::{Target, agents};
use crate::domain::agent::{Agent, Phase};
use crate::domain::name::SYSTEM_AGENT;
use crate::domain::{AgentName, Metadata};
use crate::projections::agents::AgentRow;

/// How long a restart waits for the stop before it gives up the start.
const STOP_MAX: Duration = Duration::from_mins(2);

/// The routes of this resource.
pub(super) fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(reinitialize))
        .routes(routes!(status))
        .routes(routes!(restart))
        .routes(routes!(reinitialize_own))
}

/// Rebuilds a system agent: what runs on it is cancelled, and its workspace begins anew.
///
/// Its name, life, permissions, keys and credentials stay, and what waits goes on afterwards. Answers 200
/// with the status reached within `wait_ms`, 202 if it takes longer.
#[utoipa::path(
    post, path = "/api/agents/{name}/reinitialize", tag = "agents",
    params(("name" = String, Path, description = "The agent's name"), WaitQuery, IfMatch),
    responses((status = 200, body = Transition), (status = 202, body = Transition)),
)]
async fn reinitialize(
    State(state): State<ApiState>,
    caller: Caller,
    on: OnAgent,
    if_match: IfMatch,
    Query(query): Query<WaitQuery>,
    _body: Body<NoFields>,
) -> Result<Reply<Transition>> {
    if on.current()?.is_system && !caller.is_admin() {
        let detail = "only an administrator may reinitialize a system agent";
        return Err(ApiError::new(Code::MissingScope, detail));
    }
    rebuild(&state, if_match.target(&on), query.duration()?, caller.metadata()).await
}

/// Shows the server's own agent.
#[utoipa::path(
    get, path = "/api/system-agent/status", tag = "agents", params(Fresh),
    responses((status = 200, body = AgentRow)),
)]
async fn status(
    State(state): State<ApiState>,
    caller: Caller,
    query: ReadQuery<NoParams>,
) -> Result<Reply<AgentRow>> {
    let position = state.caught_up(query.fresh, VIEWS).await?;
    let viewer = state.viewer_of_agents(&caller).await?;
    let life = own_life(&state).await?;
    let row = state.app.views.agents().get(&viewer, &life.name).await?;
    let mut row = row.ok_or_else(|| no_agent(&life.name))?;
    add_isolation(&state, &mut row);
    Ok(Reply::ok(position, row))
}

/// Stops the server's own agent and starts it again: what runs on it is cancelled, what waits goes on.
///
/// Answers 200 with the status reached within `wait_ms`, 202 if it takes longer.
#[utoipa::path(
    post, path = "/api/system-agent/restart", tag = "agents", params(WaitQuery),
    responses((status = 200, body = Transition), (status = 202, body = Transition)),
)]
async fn restart(
    State(state): State<ApiState>,
    caller: Caller,
    Query(query): Query<WaitQuery>,
    _body: Body<NoFields>,
) -> Result<Reply<Transition>> {
    let wait = query.duration()?;
    let life = own_life(&state).await?;
    let stopping = agents::request_stop(&state.app.log, &life, caller.metadata()).await?;
    // A client that leaves must not leave it stopped.
    let (goes_on, of) = (state.clone(), life.clone());
    let start = tokio::spawn(async move {
        let is_down = |phase| matches!(phase, Phase::Stopped | Phase::Failed | Phase::Creating);
        settle(&goes_on, &of, STOP_MAX, is_down).await?;
        let started = agents::request_start(&goes_on.app.log, &of, caller.metadata()).await?;
        Ok::<_, ApiError>(started.position)
    });
    match tokio::time::timeout(wait, start).await {
        Ok(Ok(started)) => until_started(&state, &life, wait, started?).await,
        Ok(Err(panic)) => Err(ApiError::internal(&anyhow::Error::new(panic))),
        Err(_) => {
            let reached = settle(&state, &life, Duration::ZERO, |_| true).await?;
            answer(&state, &life, &reached, Phase::Running, stopping.position).await
        }
    }
}

/// Rebuilds the server's own agent: what runs on it is cancelled, and its workspace begins anew.
///
/// Answers 200 with the status reached within `wait_ms`, 202 if it takes longer.
#[utoipa::path(
    post, path = "/api/system-agent/reinitialize", tag = "agents", params(WaitQuery),
    responses((status = 200, body = Transition), (status = 202, body = Transition)),
)]
async fn reinitialize_own(
    State(state): State<ApiState>,
    caller: Caller,
    Query(query): Query<WaitQuery>,
    _body: Body<NoFields>,
) -> Result<Reply<Transition>> {
    let target = Target::from(&own_life(&state).await?);
    rebuild(&state, target, query.duration()?, caller.metadata()).await
}

/// The life of the server's own agent, unless it was configured away.
async fn own_life(state: &ApiState) -> Result<LifeRef> {
    let name: AgentName = SYSTEM_AGENT.parse().map_err(|_| no_agent(SYSTEM_AGENT))?;
    let life = state.app.log.state::<Agent>(&name).await?.state.life;
    let incarnation = life.ok_or_else(|| no_agent(&name))?.incarnation;
    Ok(LifeRef { name, incarnation })
}

async fn rebuild(
    state: &ApiState,
    target: Target,
    wait: Duration,
    metadata: Metadata,
) -> Result<Reply<Transition>> {
    let life = target.life.clone();
    let receipt = agents::reinitialize(&state.app.log, target, metadata).await?;
    let is_settled = |phase| matches!(phase, Phase::Running | Phase::Stopped | Phase::Failed);
    let reached = settle(state, &life, wait, is_settled).await?;
    failed(&reached, receipt.position)?;
    // One that was stopped is so again.
    let wanted = if reached.phase == Phase::Stopped { Phase::Stopped } else { Phase::Running };
    answer(state, &life, &reached, wanted, receipt.position).await
}
