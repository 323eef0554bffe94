//! Settings of the container that an agent lives in: resources, capabilities. They are in force from
//! the next start on, which answers say until then.

use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::create::refuse_without_container;
use super::read_only;
use super::settings::{Current, current};
use crate::api::ApiState;
use crate::api::auth::{Caller, OnAgent};
use crate::api::error::{ApiError, Result};
use crate::api::etag::{IfMatch, IfNoneMatch};
use crate::api::extract::{Body, Fields, Fresh, NoParams, Query, ReadQuery};
use crate::api::reply::Reply;
use crate::commands::agents;
use crate::domain::AgentName;
use crate::domain::agent::{Life, Resources, Setting};

/// Processor and memory limits; both, since the request replaces what was set.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SetResources {
    /// Processors, as a decimal number such as `1.5`; null is the server's own limit.
    #[schema(required = true)]
    #[serde(deserialize_with = "Option::deserialize")]
    cpu: Option<String>,
    /// Memory with a unit, such as `2g`; null is the server's own limit.
    #[schema(required = true)]
    #[serde(deserialize_with = "Option::deserialize")]
    memory: Option<String>,
}

impl Fields for SetResources {}

/// Whether runs may become root inside of their container.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SetCapabilities {
    /// Whether they may.
    full_capabilities: bool,
}

impl Fields for SetCapabilities {}

/// Processor and memory limits.
#[derive(Debug, Serialize, ToSchema)]
struct AgentResources {
    #[schema(value_type = String)]
    agent_name: AgentName,
    /// Null is the server's own limit.
    cpu: Option<String>,
    /// Null is the server's own limit.
    memory: Option<String>,
    /// Whether something was set that is in force only from the next start on.
    restart_needed: bool,
    position: i64,
}

/// Whether runs may become root inside of their container.
#[derive(Debug, Serialize, ToSchema)]
struct AgentCapabilities {
    #[schema(value_type = String)]
    agent_name: AgentName,
    full_capabilities: bool,
    /// Whether something was set that is in force only from the next start on.
    restart_needed: bool,
    position: i64,
}

pub(super) fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(resources, set_resources))
        .routes(routes!(capabilities, set_capabilities))
}

impl AgentResources {
    fn of(state: &ApiState, agent_name: AgentName, life: &Life, position: i64) -> Self {
        let Resources { cpu, memory } = life.config.resources.clone();
        let restart_needed = needs_restart(state, life);
        Self { agent_name, cpu, memory, restart_needed, position }
    }
}

impl AgentCapabilities {
    fn of(state: &ApiState, agent_name: AgentName, life: &Life, position: i64) -> Self {
        let full_capabilities = life.config.full_capabilities;
        let restart_needed = needs_restart(state, life);
        Self { agent_name, full_capabilities, restart_needed, position }
    }
}

/// Whether something was set, on the agent or on its host, that is in force only from its next start on.
fn needs_restart(state: &ApiState, life: &Life) -> bool {
    let host_hash = host_hash(state, life.node_id, life.config.base_image.as_deref());
    life.needs_restart(host_hash.as_deref())
}

/// By what the settings of an agent's host go now; unknown of the host of another node.
pub(super) fn host_hash(
    state: &ApiState,
    node_id: Option<Uuid>,
    base_image: Option<&str>,
) -> Option<String> {
    let is_here = node_id.is_none_or(|node_id| node_id == state.app.node_id);
    is_here.then(|| state.app.host.settings_hash(base_image))
}

/// Shows an agent's processor and memory limits.
#[utoipa::path(
    get, path = "/api/agents/{name}/resources", tag = "agents",
    params(("name" = String, Path, description = "The agent's name"), Fresh, IfNoneMatch),
    responses((status = 200, body = AgentResources)),
)]
async fn resources(
    State(state): State<ApiState>,
    on: OnAgent,
    known: IfNoneMatch,
    query: ReadQuery<NoParams>,
) -> Result<Response> {
    let Current { life, version, position } = current(&state, &on, query.fresh).await?;
    let body = AgentResources::of(&state, on.life.name, &life, position);
    Ok(Reply::ok(position, body).unless_known(version, &known))
}

/// Sets an agent's processor and memory limits, in force from its next start on.
///
/// Agents that do not live in containers cannot have any.
#[utoipa::path(
    put, path = "/api/agents/{name}/resources", tag = "agents",
    params(("name" = String, Path, description = "The agent's name"), IfMatch),
    request_body = SetResources,
    responses((status = 200, body = AgentResources)),
)]
async fn set_resources(
    State(state): State<ApiState>,
    caller: Caller,
    on: OnAgent,
    if_match: IfMatch,
    _query: Query<NoParams>,
    body: Body<SetResources>,
) -> Result<Reply<AgentResources>> {
    let SetResources { cpu, memory } = body.value;
    let said = [("/cpu", cpu.is_some()), ("/memory", memory.is_some())];
    refuse_without_container(&state, &said)?;
    let resources = Resources { cpu, memory };
    let cpu = resources.nano_cpus().map(drop);
    cpu.map_err(|error| ApiError::field("/cpu", error.to_string()))?;
    let memory = resources.memory_bytes().map(drop);
    memory.map_err(|error| ApiError::field("/memory", error.to_string()))?;
    let setting = Setting::SetResources(resources);
    let Current { life, version, position } = set(&state, &caller, &on, if_match, setting).await?;
    let body = AgentResources::of(&state, on.life.name, &life, position);
    Ok(Reply::ok(position, body).version(version))
}

/// Shows whether an agent's runs may become root inside of their container.
#[utoipa::path(
    get, path = "/api/agents/{name}/capabilities", tag = "agents",
    params(("name" = String, Path, description = "The agent's name"), Fresh, IfNoneMatch),
    responses((status = 200, body = AgentCapabilities)),
)]
async fn capabilities(
    State(state): State<ApiState>,
    on: OnAgent,
    known: IfNoneMatch,
    query: ReadQuery<NoParams>,
) -> Result<Response> {
    let Current { life, version, position } = current(&state, &on, query.fresh).await?;
    let body = AgentCapabilities::of(&state, on.life.name, &life, position);
    Ok(Reply::ok(position, body).unless_known(version, &known))
}

/// Lets an agent's runs become root inside of their container, to install packages for example, or no
/// longer; in force from its next start on.
///
/// Agents that do not live in containers cannot have this.
#[utoipa::path(
    put, path = "/api/agents/{name}/capabilities", tag = "agents",
    params(("name" = String, Path, description = "The agent's name"), IfMatch),
    request_body = SetCapabilities,
    responses((status = 200, body = AgentCapabilities)),
)]
async fn set_capabilities(
    State(state): State<ApiState>,
    caller: Caller,
    on: OnAgent,
    if_match: IfMatch,
    _query: Query<NoParams>,
    body: Body<SetCapabilities>,
) -> Result<Reply<AgentCapabilities>> {
    let full_capabilities = body.value.full_capabilities;
    refuse_without_container(&state, &[("/full_capabilities", full_capabilities)])?;
    let read_only = current(&state, &on, Fresh::default()).await?.life.config.read_only;
    read_only::check(&read_only, full_capabilities, "/full_capabilities", "")?;
    let setting = Setting::SetCapabilities { full_capabilities };
    let Current { life, version, position } = set(&state, &caller, &on, if_match, setting).await?;
    let body = AgentCapabilities::of(&state, on.life.name, &life, position);
    Ok(Reply::ok(position, body).version(version))
}

/// Changes a setting; gives the agent as it then stands.
async fn set(
    state: &ApiState,
    caller: &Caller,
    on: &OnAgent,
    if_match: IfMatch,
    setting: Setting,
) -> Result<Current> {
    let target = if_match.target(on);
    let receipt = agents::set(&state.app.log, target, setting, caller.metadata()).await?;
    let fresh = Fresh { min_position: Some(receipt.position), ..Fresh::default() };
    current(state, on, fresh).await
}
