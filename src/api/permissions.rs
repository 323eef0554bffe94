//! Which agent may call which: reading it, granting it, taking it back.

mod answers;
mod preset;

use std::collections::BTreeSet;

use axum::extract::State;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use self::answers::{Checked, Matrix, Peer, Permissions, Reason, Replaced, Toggled};
use super::ApiState;
use super::auth::{Caller, OnAgent, Rights, no_agent, on_name, require_owner};
use super::error::{ApiError, Code, Result};
use super::etag::IfMatch;
use super::extract::{Body, Fields, Fresh, NoFields, NoParams, Path, Query, ReadQuery};
use super::moment::{AgentAsOf, AsOf, Moment, PlaceText};
use super::reply::Reply;
use crate::commands::permissions::{Change, change};
use crate::commands::reports::LifeRef;
use crate::domain::AgentName;
use crate::domain::agent::{Agent, RevokeReason};
use crate::event_log::Receipt;
use crate::projections::agents::AgentFilter;
use crate::projections::permissions::PermissionRow;
use crate::projections::{LIMIT_MAX, PageRequest, Viewer};

/// The read models that these answers are made of.
const VIEWS: &[&str] = &["permissions", "agents", "slots", "accounts"];

/// The most agents that one request lets an agent call.
const PERMITTED_MAX: usize = 1_000;

/// The most grants that the matrix shows.
const GRANTS_MAX: usize = 10_000;

/// Whom an agent may call, all of them.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Replace {
    /// Their names; at most 1000.
    #[schema(max_items = 1000)]
    permitted_agents: Vec<String>,
}

impl Fields for Replace {}

#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct CheckQuery {
    /// The agent that calls.
    #[param(required = true)]
    caller: Option<String>,
    /// The agent that is called.
    #[param(required = true)]
    callee: Option<String>,
    /// Answer with what was so at this position of the log or at this time (RFC 3339).
    #[param(inline, value_type = Option<PlaceText>)]
    as_of: Option<String>,
}

/// The routes of this resource.
pub(super) fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(show, replace))
        .routes(routes!(allow, deny))
        .routes(routes!(matrix))
        .routes(routes!(check))
        .merge(preset::router())
}

/// Shows whom an agent may call, and who may call it.
///
/// Every other agent is listed, by name only where the caller may not read it.
#[utoipa::path(
    get, path = "/api/agents/{name}/permissions", tag = "permissions",
    params(("name" = String, Path, description = "The agent's name"), AgentAsOf, Fresh),
    responses((status = 200, body = Permissions)),
)]
async fn show(
    State(state): State<ApiState>,
    caller: Caller,
    on: OnAgent,
    query: ReadQuery<AgentAsOf>,
) -> Result<Reply<Permissions>> {
    let moment = state.moment(query.params.as_of.as_deref(), query.fresh, VIEWS).await?;
    moment.must_have(&on).await?;
    let source = on.life.name.clone();
    let callees = moment.permissions().callees(&source).await?;
    let callees: BTreeSet<_> = callees.into_iter().map(|grant| grant.callee).collect();
    let callers = moment.permissions().callers(&source).await?;
    let callers: BTreeSet<_> = callers.into_iter().map(|grant| grant.caller).collect();
    let mut all = peers(&state, &caller, &moment).await?;
    all.retain(|peer| peer.name != source);
    // Whoever is beyond the end of that list is known by name.
    let known: BTreeSet<_> = all.iter().map(|peer| peer.name.clone()).collect();
    all.extend(callees.union(&callers).filter(|name| !known.contains(name)).map(Peer::unknown));
    let of = |names: &BTreeSet<AgentName>| {
        let among = all.iter().filter(|peer| names.contains(&peer.name));
        among.map(|peer| Peer { permitted: true, ..peer.clone() }).collect()
    };
    let position = moment.position;
    Ok(Reply::ok(
        position,
        Permissions {
            permitted_agents: of(&callees),
            callers: of(&callers),
            available_agents: all
                .iter()
                .map(|peer| Peer { permitted: callees.contains(&peer.name), ..peer.clone() })
                .collect(),
            source_agent: source,
            position,
        },
    ))
}

/// The newest agents there are, as far as the caller may read them.
async fn peers(state: &ApiState, caller: &Caller, moment: &Moment<'_>) -> Result<Vec<Peer>> {
    let (agents, page) = (moment.agents(), PageRequest::first(LIMIT_MAX));
    let filter = AgentFilter::default();
    let all = agents.list(&Viewer::System, &filter, &page).await?.items;
    let viewer = state.viewer_at(caller, moment).await?;
    let readable = agents.list(&viewer, &filter, &page).await?.items;
    let readable: BTreeSet<_> = readable.into_iter().map(|agent| agent.name).collect();
    let mut peers: Vec<_> = all.into_iter().map(|agent| Peer::of(&readable, agent)).collect();
    peers.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(peers)
}

/// Sets whom an agent may call: these, and nobody else.
#[utoipa::path(
    put, path = "/api/agents/{name}/permissions", tag = "permissions",
    params(("name" = String, Path, description = "The agent's name"), IfMatch),
    request_body = Replace,
    responses((status = 200, body = Replaced)),
)]
async fn replace(
    State(state): State<ApiState>,
    caller: Caller,
    on: OnAgent,
    if_match: IfMatch,
    _query: Query<NoParams>,
    body: Body<Replace>,
) -> Result<Reply<Replaced>> {
    let wanted = wanted(&on, &body.value.permitted_agents)?;
    let grants = on.current()?.grants.clone();
    let mut change_of = Change::default();
    for (index, name) in wanted.iter().enumerate() {
        let pointer = format!("/permitted_agents/{index}");
        let target = on_name(&state, &caller, name.as_str()).await.map_err(|error| {
            let error = ApiError::field(&pointer, error.to_string());
            error.with_code(Code::InvalidParameter)
        })?;
        if grants.get(name) != Some(&target.life.incarnation) {
            require_owner(&caller, &target)?;
            change_of.grant.push(target.life);
        }
    }
    let wanted: BTreeSet<_> = wanted.into_iter().collect();
    for name in grants.into_keys().filter(|name| !wanted.contains(name)) {
        may_revoke(&state, &caller, &on, &name).await?;
        change_of.revoke.push(name);
    }
    let (log, target) = (&state.app.log, if_match.target(&on));
    let reason = RevokeReason::Replaced;
    let Receipt { position, version, .. } =
        change(log, target, change_of, reason, caller.metadata()).await?;
    let (source_agent, permitted_count) = (on.life.name, wanted.len());
    let body = Replaced { status: "updated", source_agent, permitted_count, position };
    Ok(Reply::ok(position, body).version(version))
}

/// The names, each once, in their order.
fn wanted(on: &OnAgent, texts: &[String]) -> Result<Vec<AgentName>> {
    let refuse = |pointer: &str, detail: String| {
        Err(ApiError::field(pointer, detail).with_code(Code::InvalidParameter))
    };
    if texts.len() > PERMITTED_MAX {
        return refuse("/permitted_agents", format!("at most {PERMITTED_MAX} agents"));
    }
    let mut names: Vec<AgentName> = Vec::with_capacity(texts.len());
    for (index, text) in texts.iter().enumerate() {
        let pointer = format!("/permitted_agents/{index}");
        match text.parse() {
            Ok(name) if name == on.life.name => {
                return refuse(&pointer, "an agent may call itself without a grant".to_owned());
            }
            Ok(name) if names.contains(&name) => {}
            Ok(name) => names.push(name),
            Err(_) => return refuse(&pointer, no_agent(text).to_string()),
        }
    }
    Ok(names)
}

/// Taking back is for the owner of either agent.
async fn may_revoke(
    state: &ApiState,
    caller: &Caller,
    source: &OnAgent,
    target: &AgentName,
) -> Result<()> {
    if source.rights == Rights::Own {
        return Ok(());
    }
    match on_name(state, caller, target.as_str()).await {
        Ok(target) => require_owner(caller, &target),
        // A grant to nobody protects nobody.
        Err(error) if error.code() == Code::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Lets an agent call another one; for the owner of that other one.
#[utoipa::path(
    post, path = "/api/agents/{name}/permissions/{target}", tag = "permissions",
    params(("name" = String, Path, description = "The agent that calls"),
        ("target" = String, Path, description = "The agent that is called"), IfMatch),
    responses((status = 200, body = Toggled)),
)]
async fn allow(
    State(state): State<ApiState>,
    caller: Caller,
    on: OnAgent,
    Path((name, target)): Path<(String, String)>,
    if_match: IfMatch,
    _query: Query<NoParams>,
    _body: Body<NoFields>,
) -> Result<Reply<Toggled>> {
    not_itself(&name, &target)?;
    let target = on_name(&state, &caller, &target).await?;
    require_owner(&caller, &target)?;
    target.current()?;
    let LifeRef { name: callee, incarnation } = target.life.clone();
    let is_there = on.current()?.grants.get(&callee) == Some(&incarnation);
    let change_of = Change { grant: vec![target.life], ..Change::default() };
    let (log, on_version) = (&state.app.log, if_match.target(&on));
    let reason = RevokeReason::Requested;
    let receipt = change(log, on_version, change_of, reason, caller.metadata()).await?;
    let status = if is_there { "already_exists" } else { "added" };
    Ok(Toggled::reply(status, on.life.name, callee, &receipt))
}

/// Takes back that an agent may call another one; for the owner of either.
#[utoipa::path(
    delete, path = "/api/agents/{name}/permissions/{target}", tag = "permissions",
    params(("name" = String, Path, description = "The agent that calls"),
        ("target" = String, Path, description = "The agent that is called"), IfMatch),
    responses((status = 200, body = Toggled)),
)]
async fn deny(
    State(state): State<ApiState>,
    caller: Caller,
    Path((name, target)): Path<(String, String)>,
    if_match: IfMatch,
    _query: Query<NoParams>,
    _body: Body<NoFields>,
) -> Result<Reply<Toggled>> {
    not_itself(&name, &target)?;
    let target: AgentName = target.parse().map_err(|_| no_agent(&target))?;
    let on = on_name(&state, &caller, &name).await?;
    if on.rights < Rights::Own {
        // Whoever may not even know the caller's agent may still close a door of their own.
        let callee = on_name(&state, &caller, target.as_str()).await?;
        require_owner(&caller, &callee)?;
    }
    let agent = state.app.log.state::<Agent>(&on.life.name).await?.state;
    let is_there = agent.life.is_some_and(|life| life.grants.contains_key(&target));
    let change_of = Change { revoke: vec![target.clone()], ..Change::default() };
    let (log, on_version) = (&state.app.log, if_match.target(&on));
    let reason = RevokeReason::Requested;
    let receipt = change(log, on_version, change_of, reason, caller.metadata()).await?;
    let status = if is_there { "removed" } else { "not_found" };
    Ok(Toggled::reply(status, on.life.name, target, &receipt))
}

fn not_itself(name: &str, target: &str) -> Result<()> {
    if name != target {
        return Ok(());
    }
    Err(ApiError::parameter("target", "an agent may call itself without a grant"))
}

/// Shows every grant from or to an agent that the caller may see.
#[utoipa::path(
    get, path = "/api/permissions", tag = "permissions",
    params(AsOf, Fresh),
    responses((status = 200, body = Matrix)),
)]
async fn matrix(
    State(state): State<ApiState>,
    caller: Caller,
    query: ReadQuery<AsOf>,
) -> Result<Reply<Matrix>> {
    let moment = state.moment(query.params.as_of.as_deref(), query.fresh, VIEWS).await?;
    let agents = peers(&state, &caller, &moment).await?;
    let agents: Vec<_> =
        agents.into_iter().filter(Peer::is_readable).map(|peer| peer.name).collect();
    let is_shown = |grant: &PermissionRow| {
        [&grant.caller, &grant.callee].iter().any(|name| agents.binary_search(name).is_ok())
    };
    let mut permissions = moment.permissions().all().await?;
    permissions.retain(is_shown);
    let is_complete = permissions.len() <= GRANTS_MAX;
    permissions.truncate(GRANTS_MAX);
    let position = moment.position;
    Ok(Reply::ok(position, Matrix { agents, permissions, is_complete, position }))
}

/// Tells whether one agent may call another, and why.
#[utoipa::path(
    get, path = "/api/permissions/check", tag = "permissions",
    params(CheckQuery, Fresh),
    responses((status = 200, body = Checked)),
)]
async fn check(
    State(state): State<ApiState>,
    by: Caller,
    query: ReadQuery<CheckQuery>,
) -> Result<Reply<Checked>> {
    let asked = query.params;
    let name = |name: &str, text: Option<String>| {
        let text = text.ok_or_else(|| ApiError::parameter(name, format!("{name} is missing")))?;
        text.parse::<AgentName>().map_err(|error| ApiError::parameter(name, error.to_string()))
    };
    let (caller, callee) = (name("caller", asked.caller)?, name("callee", asked.callee)?);
    let moment = state.moment(asked.as_of.as_deref(), query.fresh, VIEWS).await?;
    let viewer = state.viewer_at(&by, &moment).await?;
    let agents = moment.agents();
    let sees_caller = agents.get(&viewer, &caller).await?.is_some();
    if !sees_caller && agents.get(&viewer, &callee).await?.is_none() {
        return Err(no_agent(&caller));
    }
    let calling = agents.find(&caller).await?.ok_or_else(|| no_agent(&caller))?;
    agents.find(&callee).await?.ok_or_else(|| no_agent(&callee))?;
    let allowed = moment.permissions().may_call(&caller, &callee).await?;
    let reason = match allowed {
        true if caller == callee => Reason::Itself,
        true if calling.is_system => Reason::System,
        true => Reason::Granted,
        false => Reason::NotGranted,
    };
    let position = moment.position;
    Ok(Reply::ok(position, Checked { caller, callee, allowed, reason, position }))
}
