//! Settings that apply at once: autonomy, timeout, model, tools, tags.

use std::collections::BTreeSet;

use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::create::check_text;
use crate::adapters::tools as tool_names;
use crate::api::ApiState;
use crate::api::auth::{Caller, OnAgent, no_agent};
use crate::api::error::{ApiError, Result};
use crate::api::etag::{IfMatch, IfNoneMatch};
use crate::api::extract::{Body, Fields, Fresh, NoParams, Query, ReadQuery};
use crate::api::reply::Reply;
use crate::commands::agents;
use crate::domain::AgentName;
use crate::domain::agent::{Agent, Life, Setting};
use crate::event_log::Receipt;

/// How many tags an agent may have.
const TAGS_MAX: usize = 20;
/// How long a tag may be, in characters.
const TAG_CHARS_MAX: usize = 50;

/// Whether scheduled work runs.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SetAutonomy {
    /// Whether it does.
    enabled: bool,
}

impl Fields for SetAutonomy {}

/// How long an execution may run.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SetTimeout {
    /// The longest time, in seconds.
    #[schema(minimum = 10, maximum = 86400)]
    execution_timeout_seconds: u32,
}

impl Fields for SetTimeout {}

/// The model that tasks use when they name none.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SetModel {
    /// Its name; null is the CLI's own default.
    #[schema(required = true)]
    model: Option<String>,
}

impl Fields for SetModel {}

/// The tools that bound every task's.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SetTools {
    /// The default and the upper bound of every task's `allowed_tools`; empty is no bound.
    tools: Vec<String>,
}

impl Fields for SetTools {}

/// Words by which an agent is found.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SetTags {
    /// All of them, at most 20, each 1 to 50 letters, digits and `.`, `:`, `_`, `-`. One that is
    /// given twice counts once.
    #[schema(max_items = 20)]
    tags: Vec<String>,
}

impl Fields for SetTags {}

/// Whether scheduled work runs.
#[derive(Debug, Serialize, ToSchema)]
struct Autonomy {
    #[schema(value_type = String)]
    agent_name: AgentName,
    enabled: bool,
    position: i64,
}

/// How long an execution may run.
#[derive(Debug, Serialize, ToSchema)]
struct Timeout {
    #[schema(value_type = String)]
    agent_name: AgentName,
    execution_timeout_seconds: u32,
    position: i64,
}

/// The model that tasks use when they name none.
#[derive(Debug, Serialize, ToSchema)]
struct ModelSetting {
    #[schema(value_type = String)]
    agent_name: AgentName,
    model: Option<String>,
    position: i64,
}

/// The tools that bound every task's.
#[derive(Debug, Serialize, ToSchema)]
struct ToolsSetting {
    #[schema(value_type = String)]
    agent_name: AgentName,
    tools: Vec<String>,
    position: i64,
}

/// Words by which an agent is found.
#[derive(Debug, Serialize, ToSchema)]
struct TagsSetting {
    #[schema(value_type = String)]
    agent_name: AgentName,
    tags: BTreeSet<String>,
    position: i64,
}

pub(super) fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(autonomy, set_autonomy))
        .routes(routes!(timeout, set_timeout))
        .routes(routes!(model, set_model))
        .routes(routes!(tools, set_tools))
        .routes(routes!(tags, set_tags))
}

/// Shows whether scheduled work runs.
#[utoipa::path(
    get, path = "/api/agents/{name}/autonomy", tag = "agents",
    params(("name" = String, Path, description = "The agent's name"), Fresh, IfNoneMatch),
    responses((status = 200, body = Autonomy)),
)]
async fn autonomy(
    State(state): State<ApiState>,
    on: OnAgent,
    known: IfNoneMatch,
    query: ReadQuery<NoParams>,
) -> Result<Response> {
    let Current { life, version, position } = current(&state, &on, query.fresh).await?;
    let body = Autonomy { agent_name: on.life.name, enabled: life.config.autonomy, position };
    Ok(Reply::ok(position, body).unless_known(version, &known))
}

/// Switches scheduled work on or off.
///
/// What people and other agents ask for runs all the same. Schedules alone heed it; there are none yet, and
/// until then it is kept and changes nothing.
#[utoipa::path(
    put, path = "/api/agents/{name}/autonomy", tag = "agents",
    params(("name" = String, Path, description = "The agent's name"), IfMatch),
    request_body = SetAutonomy,
    responses((status = 200, body = Autonomy)),
)]
async fn set_autonomy(
    State(state): State<ApiState>,
    caller: Caller,
    on: OnAgent,
    if_match: IfMatch,
    _query: Query<NoParams>,
    body: Body<SetAutonomy>,
) -> Result<Reply<Autonomy>> {
    let enabled = body.value.enabled;
    let (target, setting) = (if_match.target(&on), Setting::SetAutonomy { enabled });
    let Receipt { position, version, .. } =
        agents::set(&state.app.log, target, setting, caller.metadata()).await?;
    let body = Autonomy { agent_name: on.life.name, enabled, position };
    Ok(Reply::ok(position, body).version(version))
}

/// Shows how long an execution may run.
#[utoipa::path(
    get, path = "/api/agents/{name}/timeout", tag = "agents",
    params(("name" = String, Path, description = "The agent's name"), Fresh, IfNoneMatch),
    responses((status = 200, body = Timeout)),
)]
async fn timeout(
    State(state): State<ApiState>,
    on: OnAgent,
    known: IfNoneMatch,
    query: ReadQuery<NoParams>,
) -> Result<Response> {
    let Current { life, version, position } = current(&state, &on, query.fresh).await?;
    let execution_timeout_seconds = life.config.execution_timeout_seconds;
    let body = Timeout { agent_name: on.life.name, execution_timeout_seconds, position };
    Ok(Reply::ok(position, body).unless_known(version, &known))
}

/// Sets how long an execution may run; those that have a slot keep theirs.
#[utoipa::path(
    put, path = "/api/agents/{name}/timeout", tag = "agents",
    params(("name" = String, Path, description = "The agent's name"), IfMatch),
    request_body = SetTimeout,
    responses((status = 200, body = Timeout)),
)]
async fn set_timeout(
    State(state): State<ApiState>,
    caller: Caller,
    on: OnAgent,
    if_match: IfMatch,
    _query: Query<NoParams>,
    body: Body<SetTimeout>,
) -> Result<Reply<Timeout>> {
    let SetTimeout { execution_timeout_seconds } = body.value;
    let (log, metadata, target) = (&state.app.log, caller.metadata(), if_match.target(&on));
    let Receipt { position, version, .. } =
        agents::set_timeout(log, target, execution_timeout_seconds, metadata).await?;
    let body = Timeout { agent_name: on.life.name, execution_timeout_seconds, position };
    Ok(Reply::ok(position, body).version(version))
}

/// Shows the model that tasks use when they name none.
#[utoipa::path(
    get, path = "/api/agents/{name}/model", tag = "agents",
    params(("name" = String, Path, description = "The agent's name"), Fresh, IfNoneMatch),
    responses((status = 200, body = ModelSetting)),
)]
async fn model(
    State(state): State<ApiState>,
    on: OnAgent,
    known: IfNoneMatch,
    query: ReadQuery<NoParams>,
) -> Result<Response> {
    let Current { life, version, position } = current(&state, &on, query.fresh).await?;
    let body = ModelSetting { agent_name: on.life.name, model: life.config.model, position };
    Ok(Reply::ok(position, body).unless_known(version, &known))
}

/// Sets the model that tasks use when they name none.
#[utoipa::path(
    put, path = "/api/agents/{name}/model", tag = "agents",
    params(("name" = String, Path, description = "The agent's name"), IfMatch),
    request_body = SetModel,
    responses((status = 200, body = ModelSetting)),
)]
async fn set_model(
    State(state): State<ApiState>,
    caller: Caller,
    on: OnAgent,
    if_match: IfMatch,
    _query: Query<NoParams>,
    body: Body<SetModel>,
) -> Result<Reply<ModelSetting>> {
    let model = body.value.model;
    check_text("/model", model.as_deref())?;
    if let Some(name) = &model {
        check_model(&state, &on, name)?;
    }
    let (target, setting) = (if_match.target(&on), Setting::SetModel { model: model.clone() });
    let Receipt { position, version, .. } =
        agents::set(&state.app.log, target, setting, caller.metadata()).await?;
    let body = ModelSetting { agent_name: on.life.name, model, position };
    Ok(Reply::ok(position, body).version(version))
}

/// Refuses a model that the agent's CLI does not have.
pub(in crate::api) fn check_model(state: &ApiState, on: &OnAgent, name: &str) -> Result<()> {
    let runtime = on.current()?.config.runtime;
    let resolved = state.app.adapters.get(runtime).model(name);
    resolved.map(|_| ()).map_err(|error| ApiError::field("/model", error.to_string()))
}

/// Shows the tools that bound every task's.
#[utoipa::path(
    get, path = "/api/agents/{name}/tools", tag = "agents",
    params(("name" = String, Path, description = "The agent's name"), Fresh, IfNoneMatch),
    responses((status = 200, body = ToolsSetting)),
)]
async fn tools(
    State(state): State<ApiState>,
    on: OnAgent,
    known: IfNoneMatch,
    query: ReadQuery<NoParams>,
) -> Result<Response> {
    let Current { life, version, position } = current(&state, &on, query.fresh).await?;
    let body = ToolsSetting { agent_name: on.life.name, tools: life.config.tools, position };
    Ok(Reply::ok(position, body).unless_known(version, &known))
}

/// Sets the tools that bound every task's; what runs keeps its own.
#[utoipa::path(
    put, path = "/api/agents/{name}/tools", tag = "agents",
    params(("name" = String, Path, description = "The agent's name"), IfMatch),
    request_body = SetTools,
    responses((status = 200, body = ToolsSetting)),
)]
async fn set_tools(
    State(state): State<ApiState>,
    caller: Caller,
    on: OnAgent,
    if_match: IfMatch,
    _query: Query<NoParams>,
    body: Body<SetTools>,
) -> Result<Reply<ToolsSetting>> {
    let tools = body.value.tools;
    let adapter = state.app.adapters.get(on.current()?.config.runtime);
    tool_names::check(&tools)
        .and_then(|()| adapter.tools(&tools))
        .map_err(|error| ApiError::field("/tools", error.to_string()))?;
    let (target, setting) = (if_match.target(&on), Setting::SetTools { tools: tools.clone() });
    let Receipt { position, version, .. } =
        agents::set(&state.app.log, target, setting, caller.metadata()).await?;
    let body = ToolsSetting { agent_name: on.life.name, tools, position };
    Ok(Reply::ok(position, body).version(version))
}

/// Shows the words by which an agent is found.
#[utoipa::path(
    get, path = "/api/agents/{name}/tags", tag = "agents",
    params(("name" = String, Path, description = "The agent's name"), Fresh, IfNoneMatch),
    responses((status = 200, body = TagsSetting)),
)]
async fn tags(
    State(state): State<ApiState>,
    on: OnAgent,
    known: IfNoneMatch,
    query: ReadQuery<NoParams>,
) -> Result<Response> {
    let Current { life, version, position } = current(&state, &on, query.fresh).await?;
    let body = TagsSetting { agent_name: on.life.name, tags: life.tags, position };
    Ok(Reply::ok(position, body).unless_known(version, &known))
}

/// Sets the words by which an agent is found.
#[utoipa::path(
    put, path = "/api/agents/{name}/tags", tag = "agents",
    params(("name" = String, Path, description = "The agent's name"), IfMatch),
    request_body = SetTags,
    responses((status = 200, body = TagsSetting)),
)]
async fn set_tags(
    State(state): State<ApiState>,
    caller: Caller,
    on: OnAgent,
    if_match: IfMatch,
    _query: Query<NoParams>,
    body: Body<SetTags>,
) -> Result<Reply<TagsSetting>> {
    let tags = body.value.tags;
    check_tags(&tags)?;
    let tags: BTreeSet<String> = tags.into_iter().collect();
    let (target, setting) = (if_match.target(&on), Setting::SetTags { tags: tags.clone() });
    let Receipt { position, version, .. } =
        agents::set(&state.app.log, target, setting, caller.metadata()).await?;
    let body = TagsSetting { agent_name: on.life.name, tags, position };
    Ok(Reply::ok(position, body).version(version))
}

/// Refuses too many tags, and what is none.
fn check_tags(tags: &[String]) -> Result<()> {
    let plain = |c: char| c.is_alphanumeric() || ".:_-".contains(c);
    let is_tag =
        |tag: &String| (1..=TAG_CHARS_MAX).contains(&tag.chars().count()) && tag.chars().all(plain);
    if tags.len() <= TAGS_MAX && tags.iter().all(is_tag) {
        return Ok(());
    }
    let detail = format!(
        "tags: at most {TAGS_MAX}, each 1 to {TAG_CHARS_MAX} letters, digits and `.`, `:`, `_`, `-`"
    );
    Err(ApiError::field("/tags", detail))
}

/// The agent as it stands, once the log has what the caller must see.
pub(in crate::api) struct Current {
    /// Its life.
    pub life: Life,
    /// The version of its stream.
    pub version: i64,
    /// The position up to which that is so.
    pub position: i64,
}

/// The agent as it stands.
///
/// # Errors
/// 404 when the life that the request is about is over.
pub(in crate::api) async fn current(
    state: &ApiState,
    on: &OnAgent,
    fresh: Fresh,
) -> Result<Current> {
    state.wait_for_log(fresh).await?;
    let agent = state.app.log.state::<Agent>(&on.life.name).await?;
    let life = agent.state.life.filter(|life| life.incarnation == on.life.incarnation);
    let life = life.ok_or_else(|| no_agent(&on.life.name))?;
    Ok(Current { life, version: agent.version, position: state.app.log.head() })
}
