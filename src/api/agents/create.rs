//! Creation.

use axum::extract::{OriginalUri, State};
use axum::http::{HeaderMap, StatusCode};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::{add_isolation, not_shown_yet, read_only};
use crate::adapters::{mcp, tools};
use crate::api::ApiState;
use crate::api::auth::{Caller, FIRST_USER, Identity};
use crate::api::error::{ApiError, Code, Result};
use crate::api::extract::{Body, Fields, Fresh, Query};
use crate::api::git;
use crate::api::idempotency;
use crate::api::mcp_servers::invalid;
use crate::api::reply::Reply;
use crate::commands::agents::Created;
use crate::commands::reports::LifeRef;
use crate::commands::{agents, ids};
use crate::domain::agent::{
    Agent, AgentConfig, Create, McpServers, ReadOnly, Resources, Runtime, Setting,
};
use crate::domain::{AccountId, AgentName, IncarnationId};
use crate::library::templates::{Manifest, Template, TemplateError};
use crate::projections::agents::AgentRow;

/// The longest of the free texts of a configuration, in bytes.
const TEXT_BYTES_MAX: usize = 1_024;

/// The longest instructions of an agent, in bytes.
const INSTRUCTIONS_BYTES_MAX: usize = 32 * 1_024;

#[derive(Debug, Clone, Copy, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct CreateQuery {
    /// Whether the agent starts once it is made.
    #[param(default = true)]
    start: Option<bool>,
}

/// An agent as asked for.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateAgent {
    /// 1 to 63 lowercase letters, digits and inner hyphens.
    #[schema(pattern = "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
    name: String,
    /// A word of the creator's for what the agent is for.
    #[serde(rename = "type")]
    kind: Option<String>,
    /// The CLI that does the work: `claude-code` (default), `gemini-cli` or `demo`.
    #[schema(value_type = Option<String>)]
    runtime: Option<Runtime>,
    /// The model that tasks use when they name none.
    model: Option<String>,
    /// The container image, on hosts that have images.
    base_image: Option<String>,
    /// Processor and memory limits, on hosts that can enforce them.
    resources: Option<CreateResources>,
    /// The default and the upper bound of every task's `allowed_tools`; empty is no bound.
    tools: Option<Vec<String>>,
    /// External MCP servers by name, each with `command` or `url`; `${NAME}` stands for a credential.
    #[schema(value_type = Option<BTreeMap<String, Object>>)]
    mcp_servers: Option<McpServers>,
    /// The template the workspace is made from; it also says what is not said here.
    template: Option<String>,
    /// The repository that a workspace is cloned from at its first start, by https or http; what
    /// opens it is the credential `GIT_TOKEN`.
    #[schema(max_length = 2048)]
    github_repo: Option<String>,
    /// The branch of that repository; `main` when left out.
    #[schema(max_length = 244)]
    github_branch: Option<String>,
    /// Instructions for the CLI, 1 byte to 32 KiB: `CLAUDE.md` or `GEMINI.md` of a new workspace.
    #[schema(min_length = 1, max_length = 32768)]
    custom_instructions: Option<String>,
    /// Whether scheduled work runs.
    autonomy: Option<bool>,
    /// Which files of the workspace the agent may not change.
    read_only: Option<CreateReadOnly>,
    /// How many executions may run at once.
    #[schema(minimum = 1, maximum = 32, default = 3)]
    max_parallel_tasks: Option<u32>,
    /// The longest time an execution may run, in seconds.
    #[schema(minimum = 10, maximum = 86400, default = 900)]
    execution_timeout_seconds: Option<u32>,
    /// Whether runs may become root inside of their container, on hosts that have containers.
    full_capabilities: Option<bool>,
}

impl CreateAgent {
    /// Takes what was not said from a template.
    fn or(self, manifest: &Manifest) -> Self {
        let limits = &manifest.resources;
        let has_limits = limits.cpu.is_some() || limits.memory.is_some();
        let resources =
            || CreateResources { cpu: limits.cpu.clone(), memory: limits.memory.clone() };
        Self {
            kind: self.kind.or_else(|| manifest.kind.clone()),
            runtime: self.runtime.or(manifest.runtime),
            model: self.model.or_else(|| manifest.model.clone()),
            base_image: self.base_image.or_else(|| manifest.base_image.clone()),
            resources: self.resources.or_else(|| has_limits.then(resources)),
            tools: self.tools.or_else(|| Some(manifest.tools.clone())),
            autonomy: self.autonomy.or(manifest.autonomy),
            max_parallel_tasks: self.max_parallel_tasks.or(manifest.max_parallel_tasks),
            execution_timeout_seconds: self
                .execution_timeout_seconds
                .or(manifest.execution_timeout_seconds),
            ..self
        }
    }
}

impl Fields for CreateAgent {
    const LEGACY: &'static [&'static str] = &["port", "ssh_port"];
}

/// Processor and memory limits.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CreateResources {
    /// Processors, as a decimal number such as `1.5`.
    cpu: Option<String>,
    /// Memory with a unit, such as `2g`.
    memory: Option<String>,
}

/// Files of the workspace protected from the agent.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CreateReadOnly {
    /// Whether the protection is on.
    enabled: bool,
    /// Patterns of protected files.
    #[serde(default)]
    blocked_patterns: Vec<String>,
    /// Patterns of files excepted from that.
    #[serde(default)]
    allowed_patterns: Vec<String>,
}

/// Creates an agent, and starts it unless `start=false`; the answer does not wait for that.
///
/// A host that fails shows as phase `failed`, with the step that failed.
#[utoipa::path(
    post, path = "/api/agents", tag = "agents",
    params(CreateQuery, idempotency::Header),
    request_body = CreateAgent,
    responses((status = 201, body = AgentRow)),
)]
pub(super) async fn create(
    State(state): State<ApiState>,
    caller: Caller,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    Query(query): Query<CreateQuery>,
    body: Body<CreateAgent>,
) -> Result<Reply<AgentRow>> {
    let actor = caller.actor().to_string();
    let key = idempotency::key(&headers, &actor, uri.path())?;
    let incarnation = ids::incarnation_id(key);
    let (name, start) = (body.value.name.clone(), query.start.unwrap_or(true));
    let made = match plan(&state, &caller, body.value, (incarnation, start)).await {
        Ok((create, settings)) => {
            let metadata = caller.metadata_with_body(&body.sha256);
            let (log, now) = (&state.app.log, state.app.log.now());
            agents::create(log, create, settings, metadata, now).await?
        }
        Err(refused) => {
            let log = &state.app.log;
            let before = match (key, name.parse()) {
                (Some(_), Ok(name)) => {
                    let life = LifeRef { name, incarnation };
                    agents::created_before(log, life, Some(&body.sha256)).await?
                }
                _ => None,
            };
            // What it is checked against may have changed since the same request made its agent.
            before.ok_or(refused)?
        }
    };
    let mut row = row(&state, &caller, &made).await?;
    add_isolation(&state, &mut row);
    let location = format!("/api/agents/{}", row.name);
    let reply = Reply::ok(made.position, row).status(StatusCode::CREATED);
    Ok(reply.location(&location).replayed(made.is_replay).ignored(&body.legacy))
}

/// What is written for an agent that may be made as asked.
async fn plan(
    state: &ApiState,
    caller: &Caller,
    asked: CreateAgent,
    (incarnation, start): (IncarnationId, bool),
) -> Result<(Create, Vec<Setting>)> {
    let (mut asked, manifest) = with_template(state, asked).await?;
    let servers = asked.mcp_servers.take().unwrap_or_default();
    mcp::check(&servers).map_err(|error| invalid(&error))?;
    let synchronise = synchronise(&asked)?;
    refuse_more(state, caller, &asked).await?;
    let config = config(state, asked)?;
    let owner = owner(state, caller).await?;
    let node_id = Some(state.app.node_id);
    let create = Create { incarnation, owner, is_system: false, node_id, config, start };
    let settings = [
        Setting::SetSkills { names: manifest.skills },
        Setting::SetTags { tags: manifest.tags },
        Setting::SetMcpServers { servers },
    ];
    Ok((create, settings.into_iter().chain(synchronise).collect()))
}

/// The row of the life that was made, and of no other: a repeat may come when that one is over and
/// the name is free or another's.
async fn row(state: &ApiState, caller: &Caller, made: &Created) -> Result<AgentRow> {
    let LifeRef { name, incarnation } = &made.life;
    let fresh = Fresh { min_position: Some(made.position), ..Fresh::default() };
    state.caught_up(fresh, super::VIEWS).await?;
    let viewer = state.viewer_of_agents(caller).await?;
    let row = state.app.views.agents().get(&viewer, name).await?;
    if let Some(row) = row.filter(|row| row.incarnation == *incarnation) {
        return Ok(row);
    }
    let agent = state.app.log.state::<Agent>(name).await?;
    if agent.state.life.is_some_and(|life| life.incarnation == *incarnation) {
        return Err(not_shown_yet(made.position));
    }
    let detail = format!(
        "the agent `{name}` that this request made is gone; its executions are at \
         /api/agents/{name}/executions?incarnation={incarnation}"
    );
    Err(ApiError::new(Code::NotFound, detail).with("incarnation", incarnation.to_string()))
}

/// What was asked for, completed by the template that it names, and that template.
async fn with_template(state: &ApiState, asked: CreateAgent) -> Result<(CreateAgent, Manifest)> {
    let Some(template) = asked.template.clone() else { return Ok((asked, Manifest::default())) };
    let read = state.app.library.read(move |library| {
        // Whoever creates an agent learns now what would fail later.
        let Template { manifest, mut files } = library.templates.get(&template)?;
        library.skills.files(&manifest.skills).map_err(|error| {
            let reason = error.to_string();
            TemplateError::Manifest { name: template, reason }
        })?;
        Ok((manifest, files.remove(mcp::TEMPLATE_FILE)))
    });
    let invalid =
        |detail: String| ApiError::field("/template", detail).with_code(Code::InvalidParameter);
    let read = read.await.map_err(|error: TemplateError| invalid(error.to_string()));
    let (manifest, servers) = read?;
    let servers = servers.map(|file| mcp::parse(&file.content)).transpose();
    let servers = servers.map_err(|error| invalid(format!("{}: {error}", mcp::TEMPLATE_FILE)))?;
    let asked = asked.or(&manifest);
    let mcp_servers = asked.mcp_servers.clone().or(servers);
    Ok((CreateAgent { mcp_servers, ..asked }, manifest))
}

/// What the new workspace is synchronised with, if that was said.
fn synchronise(asked: &CreateAgent) -> Result<Option<Setting>> {
    match (&asked.github_repo, &asked.github_branch) {
        (Some(repository), branch) => {
            let pointers = ["/github_repo", "/github_branch"];
            git::synchronise(repository, branch.clone(), pointers).map(Some)
        }
        (None, None) => Ok(None),
        (None, Some(_)) => {
            let detail = "github_branch: say of which repository, as github_repo";
            Err(ApiError::field("/github_branch", detail))
        }
    }
}

/// Refuses an agent that would make one with more rights over its place than it has itself.
async fn refuse_more(state: &ApiState, caller: &Caller, asked: &CreateAgent) -> Result<()> {
    let Identity::Agent(life) = &caller.identity else { return Ok(()) };
    if asked.full_capabilities != Some(true) {
        return Ok(());
    }
    let agent = state.app.log.state::<Agent>(&life.name).await?;
    if agent.state.life.is_some_and(|life| life.config.full_capabilities) {
        return Ok(());
    }
    let detail = "full_capabilities: an agent without them makes none that has them";
    Err(ApiError::new(Code::Forbidden, detail))
}

/// Whose the new agent is: the caller's, or of whoever owns the calling agent.
async fn owner(state: &ApiState, caller: &Caller) -> Result<AccountId> {
    match &caller.identity {
        Identity::User { id, .. } => Ok(*id),
        Identity::System => Ok(ids::user_id(FIRST_USER)),
        Identity::Agent(life) => {
            let agent = state.app.log.state::<Agent>(&life.name).await?;
            let owner = agent.state.life.map(|life| life.owner);
            owner.ok_or_else(|| crate::api::auth::no_agent(&life.name))
        }
    }
}

fn config(state: &ApiState, asked: CreateAgent) -> Result<AgentConfig> {
    let name = parse_name(&asked.name)?;
    let runtime = asked.runtime.unwrap_or_default();
    refuse_without_effect(state, &asked)?;
    if let Some(image) =
        asked.base_image.as_ref().filter(|image| !state.app.config.allows_image(image))
    {
        let detail =
            format!("`{image}` is no image that agents may have here, see --allowed-images");
        return Err(ApiError::field("/base_image", detail));
    }
    let adapter = state.app.adapters.get(runtime);
    if let Some(model) = &asked.model {
        adapter.model(model).map_err(|error| ApiError::field("/model", error.to_string()))?;
    }
    let tools = asked.tools.unwrap_or_default();
    tools::check(&tools)
        .and_then(|()| adapter.tools(&tools))
        .map_err(|error| ApiError::field("/tools", error.to_string()))?;
    let texts = [("/type", &asked.kind), ("/model", &asked.model)];
    for (pointer, text) in texts {
        check_text(pointer, text.as_deref())?;
    }
    let instructions = asked.custom_instructions.as_deref();
    check_length("/custom_instructions", instructions, INSTRUCTIONS_BYTES_MAX)?;
    let defaults = AgentConfig::new(name, runtime);
    let resources = asked.resources.unwrap_or_default();
    let read_only = asked.read_only.unwrap_or_default();
    let read_only = ReadOnly {
        enabled: read_only.enabled,
        blocked_patterns: read_only.blocked_patterns,
        allowed_patterns: read_only.allowed_patterns,
    };
    let full_capabilities = asked.full_capabilities.unwrap_or_default();
    read_only::check(&read_only, full_capabilities, "/read_only", "/read_only")?;
    Ok(AgentConfig {
        kind: asked.kind.unwrap_or_else(|| defaults.kind.clone()),
        model: asked.model,
        base_image: asked.base_image,
        resources: Resources { cpu: resources.cpu, memory: resources.memory },
        tools,
        template: asked.template,
        github_repo: asked.github_repo,
        custom_instructions: asked.custom_instructions,
        autonomy: asked.autonomy.unwrap_or_default(),
        read_only,
        max_parallel_tasks: asked.max_parallel_tasks.unwrap_or(defaults.max_parallel_tasks),
        execution_timeout_seconds: asked
            .execution_timeout_seconds
            .unwrap_or(defaults.execution_timeout_seconds),
        full_capabilities,
        ..defaults
    })
}

/// A name, or why it is none, with the nearest one that is.
fn parse_name(text: &str) -> Result<AgentName> {
    let invalid = |detail: String| ApiError::field("/name", detail).with_code(Code::InvalidName);
    let parsed: std::result::Result<AgentName, _> = text.parse();
    let name = parsed.map_err(|error: crate::domain::name::InvalidName| {
        let suggestion = error.suggestion.clone();
        invalid(error.to_string()).with("suggestion", suggestion)
    })?;
    if name.is_reserved() {
        return Err(invalid(format!("`{name}` is reserved")));
    }
    Ok(name)
}

/// No setting is taken that would change nothing: whoever asks for a limit relies on it.
fn refuse_without_effect(state: &ApiState, asked: &CreateAgent) -> Result<()> {
    let resources = asked.resources.clone().unwrap_or_default();
    let of_containers = [
        ("/resources/cpu", resources.cpu.is_some()),
        ("/resources/memory", resources.memory.is_some()),
        ("/base_image", asked.base_image.is_some()),
        ("/full_capabilities", asked.full_capabilities == Some(true)),
    ];
    refuse_without_container(state, &of_containers)
}

/// Refuses what only a container can be held to, where agents live in none.
pub(super) fn refuse_without_container(
    state: &ApiState,
    settings: &[(&'static str, bool)],
) -> Result<()> {
    match first(settings).filter(|_| !state.app.host.enforces_limits()) {
        Some(pointer) => {
            let detail = "agents that live as processes of this machine cannot have this; those in \
                          containers can, see --agent-host";
            Err(not_enforceable(pointer, detail))
        }
        None => Ok(()),
    }
}

/// The first of the settings that is made.
fn first(settings: &[(&'static str, bool)]) -> Option<&'static str> {
    settings.iter().find(|(_, is_set)| *is_set).map(|(pointer, _)| *pointer)
}

fn not_enforceable(pointer: &str, detail: &str) -> ApiError {
    let name = pointer.trim_start_matches('/');
    ApiError::field(pointer, format!("{name}: {detail}")).with_code(Code::NotEnforceable)
}

/// Refuses a free text that is longer than anybody means.
pub(super) fn check_text(pointer: &str, text: Option<&str>) -> Result<()> {
    check_length(pointer, text, TEXT_BYTES_MAX)
}

fn check_length(pointer: &str, text: Option<&str>, bytes_max: usize) -> Result<()> {
    let length = text.map_or(0, str::len);
    if length <= bytes_max && text.is_none_or(|text| !text.trim().is_empty()) {
        return Ok(());
    }
    let name = pointer.trim_start_matches('/');
    let detail = format!("{name} must have 1 to {bytes_max} bytes, not only spaces");
    Err(ApiError::field(pointer, detail))
}
