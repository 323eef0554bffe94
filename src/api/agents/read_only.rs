//! Read-only mode: what of its workspace an agent may still change. In force for runs that start from
//! then on.

use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::settings::{Current, current};
use crate::api::auth::{Caller, OnAgent};
use crate::api::error::{ApiError, Code, Result};
use crate::api::etag::{IfMatch, IfNoneMatch};
use crate::api::extract::{Body, Fields, Fresh, NoParams, Query, ReadQuery};
use crate::api::reply::Reply;
use crate::api::{ApiState, inside};
use crate::commands::agents;
use crate::domain::AgentName;
use crate::domain::agent::{Life, ReadOnly, Setting};

/// Whether the workspace is read-only, and where not.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SetReadOnly {
    /// Whether it is.
    enabled: bool,
    /// Where not; as it was when left out.
    config: Option<ReadOnlyConfig>,
}

impl Fields for SetReadOnly {}

/// Patterns of paths below the workspace, at most 100 of each kind.
#[derive(Debug, Clone, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ReadOnlyConfig {
    /// Files that the agent may not change, in folders that it may.
    #[serde(default)]
    blocked_patterns: Vec<String>,
    /// What the agent may change: folders, as `out/` or `out/**`.
    #[serde(default)]
    allowed_patterns: Vec<String>,
}

/// Whether the workspace is read-only, and where not.
#[derive(Debug, Serialize, ToSchema)]
struct AgentReadOnly {
    #[schema(value_type = String)]
    agent_name: AgentName,
    enabled: bool,
    config: ReadOnlyConfig,
    /// Each pattern, and whether the kernel sees to it.
    patterns: Vec<ReadOnlyPattern>,
    /// Whether the running agent is held to it; null while that cannot be asked. Runs that could not be
    /// held to it do not start.
    #[schema(required = true)]
    enforced: Option<bool>,
    /// Whether the agent must be started again before its runs can be held to it.
    restart_needed: bool,
    position: i64,
}

/// A pattern, and whether it holds against a shell too.
#[derive(Debug, Serialize, ToSchema)]
struct ReadOnlyPattern {
    pattern: String,
    kind: ReadOnlyPatternKind,
    /// False for what is finer than a folder: what is allowed so stays read-only, and what is blocked so is
    /// told to the CLI alone, where that knows such rules.
    enforced: bool,
}

#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum ReadOnlyPatternKind {
    Allowed,
    Blocked,
}

pub(super) fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(show, set))
}

/// Shows whether an agent's workspace is read-only, and where not.
#[utoipa::path(
    get, path = "/api/agents/{name}/read-only", tag = "agents",
    params(("name" = String, Path, description = "The agent's name"), Fresh, IfNoneMatch),
    responses((status = 200, body = AgentReadOnly)),
)]
async fn show(
    State(state): State<ApiState>,
    on: OnAgent,
    known: IfNoneMatch,
    query: ReadQuery<NoParams>,
) -> Result<Response> {
    let now = current(&state, &on, query.fresh).await?;
    let version = now.version;
    let body = answer(&state, on, now).await;
    Ok(Reply::ok(body.position, body).unless_known(version, &known))
}

/// Makes an agent's workspace read-only for its runs, or no longer; in force for those that start from
/// then on.
///
/// HOME and temporary files stay writable. What is written as a file of the agent, and what is pulled from
/// its repository, is its owner's doing and goes on to work.
#[utoipa::path(
    put, path = "/api/agents/{name}/read-only", tag = "agents",
    params(("name" = String, Path, description = "The agent's name"), IfMatch),
    request_body = SetReadOnly,
    responses((status = 200, body = AgentReadOnly)),
)]
async fn set(
    State(state): State<ApiState>,
    caller: Caller,
    on: OnAgent,
    if_match: IfMatch,
    _query: Query<NoParams>,
    body: Body<SetReadOnly>,
) -> Result<Reply<AgentReadOnly>> {
    let life = current(&state, &on, Fresh::default()).await?.life;
    let SetReadOnly { enabled, config } = body.value;
    let (blocked_patterns, allowed_patterns) = match config {
        Some(config) => (config.blocked_patterns, config.allowed_patterns),
        None => (life.config.read_only.blocked_patterns, life.config.read_only.allowed_patterns),
    };
    let read_only = ReadOnly { enabled, blocked_patterns, allowed_patterns };
    check(&read_only, life.config.full_capabilities, "/enabled", "/config")?;
    let (target, setting) = (if_match.target(&on), Setting::SetReadOnly(read_only));
    let receipt = agents::set(&state.app.log, target, setting, caller.metadata()).await?;
    let fresh = Fresh { min_position: Some(receipt.position), ..Fresh::default() };
    let now = current(&state, &on, fresh).await?;
    let version = now.version;
    let body = answer(&state, on, now).await;
    Ok(Reply::ok(body.position, body).version(version))
}

/// Refuses patterns that name nothing, and read-only mode where runs may become root.
pub(super) fn check(
    read_only: &ReadOnly,
    full_capabilities: bool,
    pointer: &str,
    pointer_of_patterns: &str,
) -> Result<()> {
    read_only.check().map_err(|error| ApiError::field(pointer_of_patterns, error.to_string()))?;
    if read_only.enabled && full_capabilities {
        let detail = "a run that may become root cannot be held to a read-only workspace; have either \
                      read-only mode or full capabilities";
        return Err(ApiError::field(pointer, detail).with_code(Code::NotEnforceable));
    }
    Ok(())
}

async fn answer(state: &ApiState, on: OnAgent, now: Current) -> AgentReadOnly {
    let Current { life, position, .. } = now;
    let says = says_of_writes(state, &on).await;
    let restart_needed = life.config.read_only.enabled && says == Some(None);
    let patterns = patterns(&life);
    let ReadOnly { enabled, blocked_patterns, allowed_patterns } = life.config.read_only;
    AgentReadOnly {
        agent_name: on.life.name,
        enabled,
        config: ReadOnlyConfig { blocked_patterns, allowed_patterns },
        patterns,
        enforced: says.map(|says| enabled && says == Some(true)),
        restart_needed,
        position,
    }
}

/// What a running agent's server says of holding runs in what they change; nothing where none answers.
async fn says_of_writes(state: &ApiState, on: &OnAgent) -> Option<Option<bool>> {
    let link = inside::link(state, on).await.ok()?;
    Some(link.info().await.ok()?.restricts_writes)
}

fn patterns(life: &Life) -> Vec<ReadOnlyPattern> {
    let read_only = &life.config.read_only;
    let allowed = read_only.allowed_patterns.iter().map(|pattern| ReadOnlyPattern {
        pattern: pattern.clone(),
        kind: ReadOnlyPatternKind::Allowed,
        enforced: read_only.is_allowance_enforced(pattern),
    });
    let blocked = read_only.blocked_patterns.iter().map(|pattern| ReadOnlyPattern {
        pattern: pattern.clone(),
        kind: ReadOnlyPatternKind::Blocked,
        enforced: read_only.is_block_enforced(pattern),
    });
    allowed.chain(blocked).collect()
}
