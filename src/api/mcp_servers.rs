//! MCP servers of an agent: how each is started or reached, with placeholders for its credentials.

use std::collections::{BTreeMap, BTreeSet};

use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ApiState;
use super::agents::{Current, current};
use super::auth::{Caller, OnAgent};
use super::error::{ApiError, Result};
use super::etag::IfMatch;
use super::extract::{Body, Fields, Fresh, NoParams, Query, ReadQuery};
use super::reply::Reply;
use crate::adapters::mcp::{self, McpError};
use crate::commands::agents;
use crate::domain::AgentName;
use crate::domain::agent::{McpServers, Setting};
use crate::event_log::Receipt;
use crate::vault::{API_KEY_VARIABLE, Kind};

/// The variable by which a run finds this server.
const URL_VARIABLE: &str = "TRINITY_URL";

/// The MCP servers that an agent is to have.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SetMcpServers {
    /// All of them by name, each as `mcpServers` of an MCP configuration says it: with `command` or
    /// `url`. In its texts `${NAME}` stands for a credential. At most 50.
    #[schema(value_type = BTreeMap<String, Object>)]
    mcp_servers: BTreeMap<String, Value>,
}

impl Fields for SetMcpServers {}

/// The MCP servers that an agent has.
#[derive(Debug, Serialize, ToSchema)]
struct AgentMcpServers {
    #[schema(value_type = String)]
    agent_name: AgentName,
    /// All of them by name, as they were set.
    #[schema(value_type = BTreeMap<String, Object>)]
    mcp_servers: McpServers,
    /// The credentials that they need, by name.
    credentials: BTreeSet<String>,
    /// Those of them that the agent does not have: its runs cannot start without.
    missing: BTreeSet<String>,
    position: i64,
}

/// The routes of this resource.
pub(super) fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(mcp_servers, set_mcp_servers))
}

/// Shows which MCP servers an agent has, with placeholders and never with a credential.
#[utoipa::path(
    get, path = "/api/agents/{name}/mcp-servers", tag = "agents",
    params(("name" = String, Path, description = "The agent's name"), Fresh),
    responses((status = 200, body = AgentMcpServers)),
)]
async fn mcp_servers(
    State(state): State<ApiState>,
    on: OnAgent,
    query: ReadQuery<NoParams>,
) -> Result<Reply<AgentMcpServers>> {
    let Current { life, version, position } = current(&state, &on, query.fresh).await?;
    let body = shown(&state, &on, life.mcp_servers, position).await?;
    Ok(Reply::ok(position, body).version(version))
}

/// Sets which MCP servers an agent has: runs that start from now on have these and no others.
///
/// Credentials that they need are set before.
#[utoipa::path(
    put, path = "/api/agents/{name}/mcp-servers", tag = "agents",
    params(("name" = String, Path, description = "The agent's name"), IfMatch),
    request_body = SetMcpServers,
    responses((status = 200, body = AgentMcpServers)),
)]
async fn set_mcp_servers(
    State(state): State<ApiState>,
    caller: Caller,
    on: OnAgent,
    if_match: IfMatch,
    _query: Query<NoParams>,
    body: Body<SetMcpServers>,
) -> Result<Reply<AgentMcpServers>> {
    on.current()?;
    let servers: McpServers = body.value.mcp_servers.into_iter().collect();
    mcp::check(&servers).map_err(|error| invalid(&error))?;
    let missing = missing(&state, &on, &servers).await?;
    if let Some((name, server)) = missing.into_iter().next() {
        return Err(invalid(&McpError::Missing { server, name }));
    }
    let (target, setting) =
        (if_match.target(&on), Setting::SetMcpServers { servers: servers.clone() });
    let Receipt { position, version, .. } =
        agents::set(&state.app.log, target, setting, caller.metadata()).await?;
    let body = shown(&state, &on, servers, position).await?;
    Ok(Reply::ok(position, body).version(version))
}

/// Says what is wrong with a configuration, and where.
pub(super) fn invalid(error: &McpError) -> ApiError {
    let server =
        error.server().map(|name| format!("/{}", name.replace('~', "~0").replace('/', "~1")));
    let pointer = format!("/mcp_servers{}", server.unwrap_or_default());
    ApiError::field(&pointer, error.to_string())
}

async fn shown(
    state: &ApiState,
    on: &OnAgent,
    mcp_servers: McpServers,
    position: i64,
) -> Result<AgentMcpServers> {
    let missing = missing(state, on, &mcp_servers).await?.into_keys().collect();
    Ok(AgentMcpServers {
        agent_name: on.life.name.clone(),
        credentials: mcp::needed(&mcp_servers).into_keys().collect(),
        mcp_servers,
        missing,
        position,
    })
}

/// What the servers need and the agent does not have, with the first server that needs each.
async fn missing(
    state: &ApiState,
    on: &OnAgent,
    servers: &McpServers,
) -> Result<BTreeMap<String, String>> {
    let mut needed = mcp::needed(servers);
    if needed.is_empty() {
        return Ok(needed);
    }
    for entry in state.app.vault.entries(on.life.incarnation.0).await? {
        if entry.kind == Kind::Variable {
            needed.remove(&entry.name);
        }
    }
    // What every run has of the server, its agent's own key first of all.
    needed.remove(API_KEY_VARIABLE);
    let config = &state.app.config;
    if config.url_for_agents(config.listen).is_some() {
        needed.remove(URL_VARIABLE);
    }
    Ok(needed)
}
