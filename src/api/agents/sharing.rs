//! Sharing: which other users may operate an agent.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::VIEWS;
use crate::api::ApiState;
use crate::api::auth::{Caller, OnAgent};
use crate::api::error::{ApiError, Result};
use crate::api::etag::IfMatch;
use crate::api::extract::{Body, Fields, Fresh, NoParams, Path, Query, ReadQuery};
use crate::api::moment::AgentAsOf;
use crate::api::reply::Reply;
use crate::commands::{agents, ids};
use crate::domain::AgentName;
use crate::domain::account::Account;
use crate::domain::agent::Setting;
use crate::projections::agents::SharedWith;

/// Who is let in.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ShareWith {
    /// The user's name, without regard to case.
    #[schema(min_length = 1, max_length = 64)]
    username: String,
}

impl Fields for ShareWith {}

/// Who may operate an agent beside its owner and administrators.
#[derive(Debug, Serialize, ToSchema)]
struct AgentShares {
    #[schema(value_type = String)]
    agent_name: AgentName,
    /// By name.
    shares: Vec<SharedWith>,
    position: i64,
}

/// What has become of a share.
#[derive(Debug, Serialize, ToSchema)]
struct Shared {
    status: SharedStatus,
    #[schema(value_type = String)]
    agent_name: AgentName,
    username: String,
    position: i64,
}

#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum SharedStatus {
    /// The user may operate the agent from now on.
    Shared,
    /// The user could already.
    AlreadyShared,
    /// The user may not any more.
    Unshared,
    /// It was not shared with the user.
    NotShared,
}

pub(super) fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(shares)).routes(routes!(share)).routes(routes!(unshare))
}

/// Shows which users an agent is shared with.
#[utoipa::path(
    get, path = "/api/agents/{name}/shares", tag = "agents",
    params(("name" = String, Path, description = "The agent's name"), AgentAsOf, Fresh),
    responses((status = 200, body = AgentShares)),
)]
async fn shares(
    State(state): State<ApiState>,
    on: OnAgent,
    query: ReadQuery<AgentAsOf>,
) -> Result<Reply<AgentShares>> {
    let moment = state.moment(query.params.as_of.as_deref(), query.fresh, VIEWS).await?;
    moment.must_have(&on).await?;
    let agent_name = on.life.name.clone();
    let shares = moment.agents().shares(&agent_name).await?;
    let position = moment.position;
    Ok(Reply::ok(position, AgentShares { agent_name, shares, position }))
}

/// Lets another user operate an agent: see it, give it tasks, start and stop it, not delete it.
#[utoipa::path(
    post, path = "/api/agents/{name}/share", tag = "agents",
    params(("name" = String, Path, description = "The agent's name"), IfMatch),
    request_body = ShareWith,
    responses((status = 200, body = Shared)),
)]
async fn share(
    State(state): State<ApiState>,
    caller: Caller,
    on: OnAgent,
    if_match: IfMatch,
    _query: Query<NoParams>,
    body: Body<ShareWith>,
) -> Result<Reply<Shared>> {
    let user = ids::user_id(&body.value.username);
    let refuse = |detail: String| Err(ApiError::field("/username", detail));
    let Account::User { name: username, .. } = state.app.log.state::<Account>(user).await?.state
    else {
        return refuse(format!("there is no user `{}`", body.value.username));
    };
    if on.current()?.owner == user {
        return refuse(format!("`{username}` owns this agent"));
    }
    let status = if on.current()?.shares.contains(&user) {
        SharedStatus::AlreadyShared
    } else {
        SharedStatus::Shared
    };
    set(&state, &caller, on, if_match, Setting::Share { user }, (status, username)).await
}

/// Takes back that a user may operate an agent.
#[utoipa::path(
    delete, path = "/api/agents/{name}/share/{username}", tag = "agents",
    params(
        ("name" = String, Path, description = "The agent's name"),
        ("username" = String, Path, description = "The user's name, without regard to case"),
        IfMatch,
    ),
    responses((status = 200, body = Shared)),
)]
async fn unshare(
    State(state): State<ApiState>,
    caller: Caller,
    on: OnAgent,
    if_match: IfMatch,
    Path((_name, username)): Path<(String, String)>,
    _query: Query<NoParams>,
) -> Result<Reply<Shared>> {
    // A user who is gone can still be taken out: the id follows from the name.
    let user = ids::user_id(&username);
    let status = if on.current()?.shares.contains(&user) {
        SharedStatus::Unshared
    } else {
        SharedStatus::NotShared
    };
    set(&state, &caller, on, if_match, Setting::Unshare { user }, (status, username)).await
}

async fn set(
    state: &ApiState,
    caller: &Caller,
    on: OnAgent,
    if_match: IfMatch,
    setting: Setting,
    (status, username): (SharedStatus, String),
) -> Result<Reply<Shared>> {
    let target = if_match.target(&on);
    let receipt = agents::set(&state.app.log, target, setting, caller.metadata()).await?;
    let (agent_name, position) = (on.life.name, receipt.position);
    let shared = Shared { status, agent_name, username, position };
    Ok(Reply::ok(position, shared).version(receipt.version))
}
