//! The one place that decides who may do what: every route passes it, by its row in [`TABLE`].

use std::sync::Arc;

use axum::extract::{FromRequestParts, MatchedPath, RawPathParams, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::caller::passed;
use super::deleted::no_agent_any_more;
use super::origins::Origin;
use super::{Caller, Identity, authenticate};
use crate::api::ApiState;
use crate::api::error::{ApiError, Code, Result};
use crate::commands::reports::LifeRef;
use crate::domain::agent::{Agent, Life};
use crate::domain::{AgentName, ExecutionId, IncarnationId};

/// Who may pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Anybody.
    Open,
    /// Whoever is logged in; what they see is filtered item by item.
    Auth,
    /// Whoever may operate the agent: its owner, those it is shared with, administrators, and
    /// agents that may call it.
    Access,
    /// Whoever may operate the agent, and of agents it alone.
    Inside,
    /// Whoever may operate the agent, but no agent: its runs have ways of their own, and are held there.
    Operator,
    /// Its owner and administrators; not the agent itself.
    Owner,
    /// Administrators.
    Admin,
}

use Level::{Access, Admin, Auth, Inside, Open, Operator, Owner};

/// Every route, and who may pass; one without a row lets nobody pass.
pub const TABLE: &[(&str, &str, Level)] = &[
    ("GET", "/health", Open),
    ("GET", "/api/health", Open),
    ("GET", "/livez", Open),
    ("GET", "/readyz", Open),
    ("GET", "/api/openapi.json", Open),
    ("GET", "/api/docs", Open),
    ("GET", "/api/docs/{file}", Open),
    ("GET", "/metrics", Admin),
    ("GET", "/api/system", Admin),
    ("POST", "/token", Open),
    ("POST", "/api/token", Open),
    ("DELETE", "/api/token", Auth),
    ("GET", "/api/setup/status", Open),
    ("POST", "/api/setup/admin-password", Open),
    ("GET", "/api/users/me", Auth),
    ("PUT", "/api/users/me/password", Auth),
    ("GET", "/api/users", Admin),
    ("POST", "/api/users", Admin),
    ("GET", "/api/users/{id}", Admin),
    ("DELETE", "/api/users/{id}", Admin),
    ("GET", "/api/mcp/keys", Auth),
    ("POST", "/api/mcp/keys", Auth),
    ("GET", "/api/mcp/keys/{id}", Auth),
    ("DELETE", "/api/mcp/keys/{id}", Auth),
    ("POST", "/api/mcp/keys/{id}/revoke", Auth),
    ("POST", "/api/mcp/validate", Auth),
    ("GET", "/api/agents", Auth),
    ("POST", "/api/agents", Auth),
    ("GET", "/api/agents/slots", Auth),
    ("GET", "/api/agents/{name}", Access),
    ("GET", "/api/templates", Auth),
    ("GET", "/api/skills/library", Auth),
    ("GET", "/api/skills/library/{id}", Auth),
    ("GET", "/api/agents/{name}/skills", Access),
    ("PUT", "/api/agents/{name}/skills", Owner),
    ("POST", "/api/agents/{name}/skills", Owner),
    ("DELETE", "/api/agents/{name}/skills/{skill}", Owner),
    ("GET", "/api/templates/{id}", Auth),
    ("POST", "/api/templates/pull", Admin),
    ("POST", "/api/skills/library/pull", Admin),
    ("DELETE", "/api/agents/{name}", Owner),
    ("POST", "/api/agents/{name}/start", Access),
    ("POST", "/api/agents/{name}/stop", Access),
    ("POST", "/api/agents/{name}/reinitialize", Owner),
    ("GET", "/api/system-agent/status", Admin),
    ("POST", "/api/system-agent/restart", Admin),
    ("POST", "/api/system-agent/reinitialize", Admin),
    ("POST", "/api/agents/{name}/pause", Access),
    ("POST", "/api/agents/{name}/unpause", Access),
    ("GET", "/api/agents/{name}/autonomy", Access),
    ("PUT", "/api/agents/{name}/autonomy", Owner),
    ("GET", "/api/agents/{name}/capacity", Access),
    ("PUT", "/api/agents/{name}/capacity", Owner),
    ("GET", "/api/agents/{name}/timeout", Access),
    ("PUT", "/api/agents/{name}/timeout", Owner),
    ("GET", "/api/agents/{name}/model", Access),
    ("PUT", "/api/agents/{name}/model", Owner),
    ("GET", "/api/agents/{name}/resources", Access),
    ("PUT", "/api/agents/{name}/resources", Owner),
    ("GET", "/api/agents/{name}/capabilities", Access),
    ("PUT", "/api/agents/{name}/capabilities", Owner),
    ("GET", "/api/agents/{name}/read-only", Access),
    ("PUT", "/api/agents/{name}/read-only", Owner),
    ("GET", "/api/agents/{name}/tools", Access),
    ("PUT", "/api/agents/{name}/tools", Owner),
    ("GET", "/api/agents/{name}/avatar", Access),
    ("PUT", "/api/agents/{name}/avatar", Owner),
    ("DELETE", "/api/agents/{name}/avatar", Owner),
    ("GET", "/api/agents/{name}/mcp-servers", Access),
    ("PUT", "/api/agents/{name}/mcp-servers", Owner),
    ("GET", "/api/agents/{name}/tags", Access),
    ("PUT", "/api/agents/{name}/tags", Owner),
    ("GET", "/api/agents/{name}/shares", Access),
    ("POST", "/api/agents/{name}/share", Owner),
    ("DELETE", "/api/agents/{name}/share/{username}", Owner),
    ("GET", "/api/agents/{name}/credentials/status", Access),
    ("PUT", "/api/agents/{name}/credentials/{key}", Owner),
    ("DELETE", "/api/agents/{name}/credentials/{key}", Owner),
    ("POST", "/api/agents/{name}/credentials/inject", Owner),
    ("POST", "/api/agents/{name}/credentials/hot-reload", Owner),
    ("POST", "/api/agents/{name}/credentials/reload", Owner),
    ("GET", "/api/agents/{name}/logs", Inside),
    ("GET", "/api/agents/{name}/stats", Inside),
    ("GET", "/api/agents/{name}/info", Inside),
    ("GET", "/api/agents/{name}/files", Inside),
    ("PUT", "/api/agents/{name}/files", Operator),
    ("DELETE", "/api/agents/{name}/files", Operator),
    ("GET", "/api/agents/{name}/files/download", Inside),
    ("GET", "/api/agents/{name}/git", Access),
    ("PUT", "/api/agents/{name}/git", Owner),
    ("DELETE", "/api/agents/{name}/git", Owner),
    ("GET", "/api/agents/{name}/git/status", Operator),
    ("POST", "/api/agents/{name}/git/pull", Operator),
    ("POST", "/api/agents/{name}/git/commit", Operator),
    ("POST", "/api/agents/{name}/git/push", Operator),
    ("GET", "/api/agents/{name}/queue", Access),
    ("GET", "/api/agents/{name}/slots/history", Access),
    ("POST", "/api/agents/{name}/queue/clear", Owner),
    ("POST", "/api/agents/{name}/queue/release", Owner),
    ("POST", "/api/agents/{name}/task", Access),
    ("GET", "/api/agents/{name}/executions", Access),
    ("GET", "/api/agents/{name}/executions/running", Access),
    ("GET", "/api/agents/{name}/executions/{id}", Access),
    ("GET", "/api/agents/{name}/executions/{id}/log", Access),
    ("GET", "/api/agents/{name}/executions/{id}/stream", Access),
    ("POST", "/api/agents/{name}/executions/{id}/rerun", Access),
    ("POST", "/api/agents/{name}/executions/{id}/terminate", Access),
    ("GET", "/api/executions", Auth),
    ("GET", "/api/executions/facets", Auth),
    ("GET", "/api/executions/latest", Auth),
    ("GET", "/api/executions/stats", Auth),
    ("GET", "/api/executions/history", Auth),
    ("GET", "/api/executions/failures", Auth),
    ("POST", "/api/executions/bulk/preview", Auth),
    ("POST", "/api/executions/bulk/{selection_id}/commit", Auth),
    ("GET", "/api/executions/{id}", Access),
    ("GET", "/api/agents/{name}/activities", Access),
    ("GET", "/api/activities/timeline", Auth),
    ("GET", "/api/activities/{id}", Auth),
    ("GET", "/api/agents/{name}/permissions", Access),
    ("PUT", "/api/agents/{name}/permissions", Access),
    ("POST", "/api/agents/{name}/permissions/{target}", Access),
    ("DELETE", "/api/agents/{name}/permissions/{target}", Auth),
    ("GET", "/api/permissions", Auth),
    ("GET", "/api/permissions/check", Auth),
    ("POST", "/api/permissions/preset", Auth),
    ("GET", "/api/events", Auth),
    ("GET", "/api/events/{position}", Auth),
    ("POST", "/api/projections/{name}/rebuild", Admin),
    ("GET", "/api/replay", Auth),
    ("GET", "/api/stream", Auth),
];

/// The one route that a setting opens.
const METRICS: &str = "/metrics";

/// The level of a route, as axum or OpenAPI writes its path.
pub fn level(method: &str, path: &str) -> Option<Level> {
    let method = if method == Method::HEAD.as_str() { "GET" } else { method };
    let row = TABLE.iter().find(|(of, at, _)| *of == method && *at == path);
    row.map(|(_, _, level)| *level)
}

/// What somebody may do with an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rights {
    /// Not even know that it exists.
    Nothing,
    /// Use it and read about it.
    Operate,
    /// Change and delete it.
    Own,
}

/// The agent that a request is about, once the caller may reach it.
#[derive(Debug, Clone)]
pub struct OnAgent {
    /// Which life.
    pub life: LifeRef,
    /// What the caller may do with it.
    pub rights: Rights,
    /// The version of the agent's stream when the request came.
    pub version: i64,
    current: Option<Arc<Life>>,
}

impl OnAgent {
    /// The life as it stands.
    ///
    /// # Errors
    /// 404 when the request is about a life that is over: that one can only be read about.
    pub fn current(&self) -> Result<&Life> {
        self.current.as_deref().ok_or_else(|| no_agent(&self.life.name))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for OnAgent {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self> {
        passed(parts)
    }
}

/// The answer when there is no such agent, or the caller may not know of it.
pub fn no_agent(name: impl std::fmt::Display) -> ApiError {
    ApiError::not_found(format_args!("agent `{name}`"))
}

/// The answer when there is no such execution, or the caller may not know of it.
pub fn no_execution(id: impl std::fmt::Display) -> ApiError {
    ApiError::not_found(format_args!("execution `{id}`"))
}

/// Lets a request pass as the row of its route says, and tells the handler who calls about what.
pub async fn authorize(
    State(state): State<ApiState>,
    path: MatchedPath,
    request: Request,
    next: Next,
) -> Result<Response> {
    let (mut parts, body) = request.into_parts();
    let Some(level) = level(parts.method.as_str(), path.as_str()) else {
        return Ok(not_allowed(path.as_str()));
    };
    let is_open = level == Open || (path.as_str() == METRICS && state.app.config.metrics_open);
    let rates = state.rates.as_deref();
    if is_open {
        rates.map_or(Ok(()), |rates| rates.check(&parts, None))?;
    } else {
        let caller = match authenticate(&state, &parts).await {
            Ok(caller) => caller,
            // Whoever tries tokens is counted too.
            Err(error) => {
                rates.map_or(Ok(()), |rates| rates.check(&parts, None))?;
                return Err(error);
            }
        };
        rates.map_or(Ok(()), |rates| rates.check(&parts, Some(&caller)))?;
        match level {
            Open | Auth => {}
            Admin => require_admin(&caller)?,
            Access | Inside | Operator | Owner => {
                let target = target(&state, &caller, &mut parts).await?;
                require(&caller, &target, level)?;
                parts.extensions.insert(target);
            }
        }
        parts.extensions.insert(caller);
    }
    Ok(next.run(Request::from_parts(parts, body)).await)
}

/// The answer to a method that the route does not know, or that no row of the table lets pass.
fn not_allowed(path: &str) -> Response {
    let rows = TABLE.iter().filter(|(_, at, _)| *at == path);
    let allowed: Vec<&str> = rows.map(|(method, ..)| *method).collect();
    let detail = format!("this route knows {}", allowed.join(", "));
    let mut response = ApiError::new(Code::MethodNotAllowed, detail).into_response();
    if let Ok(allow) = HeaderValue::from_str(&allowed.join(", ")) {
        response.headers_mut().insert(header::ALLOW, allow);
    }
    response
}

fn require_admin(caller: &Caller) -> Result<()> {
    if caller.is_admin() {
        return Ok(());
    }
    Err(ApiError::new(Code::MissingScope, "only an administrator may do this"))
}

fn require(caller: &Caller, target: &OnAgent, level: Level) -> Result<()> {
    let name = &target.life.name;
    match (&caller.identity, target.rights, level) {
        // Every run has the key of its agent: what the agent is held to, it must not lift.
        (Identity::Agent(by), Rights::Own, Operator | Owner) => Err(permission_denied(
            &by.name,
            name,
            format!("agent `{name}` may not administer itself; its owner can"),
        )),
        (_, Rights::Own, _)
        | (_, Rights::Operate, Access)
        | (Identity::User { .. }, Rights::Operate, Inside | Operator) => Ok(()),
        (Identity::Agent(by), Rights::Operate, _) => Err(permission_denied(
            &by.name,
            name,
            format!("agent `{}` may call agent `{name}`, not administer it", by.name),
        )),
        (Identity::Agent(by), Rights::Nothing, _) => Err(permission_denied(
            &by.name,
            name,
            format!("agent `{}` may not call agent `{name}`; its owner can allow it", by.name),
        )),
        (_, Rights::Nothing, _) => Err(no_agent(name)),
        (_, Rights::Operate, _) => {
            let detail =
                format!("only the owner of agent `{name}` or an administrator may do this");
            Err(ApiError::new(Code::Forbidden, detail))
        }
    }
}

/// Refuses whoever may not administer the agent.
///
/// # Errors
/// As a route at the level of owners refuses.
pub fn require_owner(caller: &Caller, target: &OnAgent) -> Result<()> {
    require(caller, target, Owner)
}

/// The refusal of a call between agents.
pub fn permission_denied(caller: &AgentName, callee: &AgentName, detail: String) -> ApiError {
    let error = ApiError::new(Code::PermissionDenied, detail);
    error.with("caller", caller.as_str()).with("callee", callee.as_str())
}

/// The agent that a request names, directly or by one of its executions.
async fn target(state: &ApiState, caller: &Caller, parts: &mut Parts) -> Result<OnAgent> {
    let params = RawPathParams::from_request_parts(parts, state).await;
    let params = params.map_err(|_| ApiError::not_found("resource of this name"))?;
    let param = |name| params.iter().find(|(key, _)| *key == name).map(|(_, value)| value);
    match (param("name"), param("id")) {
        (Some(name), _) => match asked_incarnation(parts) {
            Some(incarnation) => on_life(state, caller, name, incarnation).await,
            None => on_name(state, caller, name).await,
        },
        (None, Some(id)) => on_execution(state, caller, id).await,
        (None, None) => {
            let path = parts.uri.path();
            Err(ApiError::internal(&anyhow::anyhow!("{path} names no agent and no execution")))
        }
    }
}

/// The life that `?incarnation=` names; nonsense names a life that never was.
fn asked_incarnation(parts: &Parts) -> Option<IncarnationId> {
    let query = parts.uri.query().unwrap_or_default().as_bytes();
    let (_, value) = form_urlencoded::parse(query).find(|(name, _)| name == "incarnation")?;
    Some(value.parse().unwrap_or(IncarnationId(uuid::Uuid::nil())))
}

/// What the caller may do with the agent of that name, which may be nothing.
///
/// # Errors
/// 404 when there is none.
pub async fn on_name(state: &ApiState, caller: &Caller, text: &str) -> Result<OnAgent> {
    let name: AgentName = text.parse().map_err(|_| no_agent(text))?;
    let agent = state.app.log.state::<Agent>(&name).await?;
    let Some(life) = agent.state.life else {
        return Err(no_agent_any_more(state, caller, &name, agent.version).await?);
    };
    let rights = rights_on(state, caller, &life).await?;
    let life_ref = LifeRef { name, incarnation: life.incarnation };
    let version = agent.version;
    Ok(OnAgent { life: life_ref, rights, version, current: Some(Arc::new(life)) })
}

async fn on_life(
    state: &ApiState,
    caller: &Caller,
    text: &str,
    incarnation: IncarnationId,
) -> Result<OnAgent> {
    let origin = state.origins.of_incarnation(&state.app.log, incarnation).await?;
    let origin = origin.filter(|origin| origin.life.name.as_str() == text);
    let origin = origin.ok_or_else(|| no_agent(text))?;
    on_origin(state, caller, &origin).await
}

async fn on_execution(state: &ApiState, caller: &Caller, text: &str) -> Result<OnAgent> {
    let id: ExecutionId = text.parse().map_err(|_| no_execution(text))?;
    let origin = state.origins.of_execution(&state.app.log, id).await?;
    let origin = origin.ok_or_else(|| no_execution(id))?;
    let target = on_origin(state, caller, &origin).await?;
    // Whose execution it is, is nothing a stranger may learn.
    let is_stranger = target.rights == Rights::Nothing;
    if is_stranger && !matches!(caller.identity, Identity::Agent(_)) {
        return Err(no_execution(id));
    }
    Ok(target)
}

/// What the caller may do with one life: the current one of its name, or one that is over, which
/// is for its owner then and for administrators.
pub async fn on_origin(state: &ApiState, caller: &Caller, origin: &Origin) -> Result<OnAgent> {
    let agent = state.app.log.state::<Agent>(&origin.life.name).await?;
    let version = agent.version;
    let current = agent.state.life.filter(|life| life.incarnation == origin.life.incarnation);
    let rights = match &current {
        Some(life) => rights_on(state, caller, life).await?,
        None if caller.is_admin() || caller.user_id() == Some(origin.owner) => Rights::Own,
        None => Rights::Nothing,
    };
    let (life, current) = (origin.life.clone(), current.map(Arc::new));
    Ok(OnAgent { life, rights, version, current })
}

/// What the caller may do with the current life of an agent.
pub async fn rights_on(state: &ApiState, caller: &Caller, life: &Life) -> Result<Rights> {
    match &caller.identity {
        _ if caller.is_admin() => Ok(Rights::Own),
        Identity::User { id, .. } if *id == life.owner => Ok(Rights::Own),
        Identity::User { id, .. } if life.shares.contains(id) => Ok(Rights::Operate),
        Identity::Agent(by) if by.incarnation == life.incarnation => Ok(Rights::Own),
        Identity::Agent(by) => {
            let calling = state.app.log.state::<Agent>(&by.name).await?.state;
            let may_call = calling.may_call(&life.config.name, life.incarnation);
            Ok(if may_call { Rights::Operate } else { Rights::Nothing })
        }
        Identity::User { .. } | Identity::System => Ok(Rights::Nothing),
    }
}
