//! Tasks: what an agent is asked to do.

mod answer;
mod rerun;

use axum::extract::{DefaultBodyLimit, OriginalUri, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouterExt as _};
use utoipa_axum::routes;

use super::ApiState;
use super::agents::check_model;
use super::auth::{Caller, Identity, OnAgent};
use super::error::{ApiError, Code, Problem, Result};
use super::extract::{Body, Fields, NoParams, Query};
use super::idempotency;
use super::reply::{Reply, replayed};
use crate::adapters::claude::SYSTEM_PROMPT_BYTES_MAX;
use crate::adapters::tools::ToolSet;
use crate::commands::ids::IdempotencyKey;
use crate::commands::tasks::{Submit, SubmitError, Submitted, Waits};
use crate::commands::{Refusal, ids, tasks};
use crate::domain::execution::{Request, Source, Trigger};
use crate::domain::name::SYSTEM_AGENT;
use crate::domain::{AgentName, ExecutionId, Metadata};
use crate::event_log::ExecuteError;

/// The longest message, in bytes.
pub const MESSAGE_BYTES_MAX: usize = 1 << 20;

/// The largest body of a task: a message of the longest kind fits however it is escaped.
pub const TASK_BODY_BYTES_MAX: usize = 8 << 20;

/// The most turns that a task may ask for.
const TURNS_MAX: u32 = 10_000;

/// The longest name of a session to go on with, in bytes.
const SESSION_ID_BYTES_MAX: usize = 128;

/// A task.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Task {
    /// What to do: 1 byte to 1 MiB.
    #[schema(min_length = 1, max_length = 1_048_576)]
    message: String,
    /// The model, if not the agent's.
    model: Option<String>,
    /// The only tools it may use; the agent's when left out, none when empty.
    allowed_tools: Option<Vec<String>>,
    /// Text added to the CLI's own system prompt.
    system_prompt: Option<String>,
    /// How long it may run, in seconds: as long as the agent allows, or less.
    #[schema(minimum = 1)]
    timeout_seconds: Option<u32>,
    /// How many turns it may take.
    #[schema(minimum = 1, maximum = 10000)]
    max_turns: Option<u32>,
    /// Whether to answer at once, with 202, instead of at the end.
    #[serde(default)]
    #[schema(default = false)]
    async_mode: bool,
    /// The running execution of the caller that this one is called from.
    #[schema(value_type = Option<uuid::Uuid>)]
    parent_execution_id: Option<ExecutionId>,
    /// The CLI session to go on with; a fresh one when left out.
    resume_session_id: Option<String>,
}

impl Fields for Task {}

/// A task that was taken.
#[derive(Debug, Serialize, ToSchema)]
struct Taken {
    /// `accepted` when it has a slot, `queued` when it waits for one.
    status: TakenStatus,
    #[schema(value_type = uuid::Uuid)]
    execution_id: ExecutionId,
    #[schema(value_type = String)]
    agent_name: AgentName,
    /// Always true here.
    async_mode: bool,
    /// Its place in the queue, from 1; null when it has a slot.
    queue_position: Option<usize>,
    position: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum TakenStatus {
    Accepted,
    Queued,
}

/// The routes of this resource.
pub(super) fn router() -> OpenApiRouter<ApiState> {
    let limit = DefaultBodyLimit::max(TASK_BODY_BYTES_MAX);
    OpenApiRouter::new().routes(routes!(submit).layer(limit)).merge(rerun::router())
}

/// Submits a task.
///
/// With `async_mode` the answer is 202 as soon as the log has the task. Otherwise it comes at the
/// end: 200 with the response, 502 when it failed, 504 when it ran out of time, 409 when it was
/// cancelled; each with `execution_id`. A client that leaves does not end its run.
#[utoipa::path(
    post, path = "/api/agents/{name}/task", tag = "executions",
    params(("name" = String, Path, description = "The agent's name"), idempotency::Header),
    request_body = Task,
    responses(
        (status = 200, body = answer::Answer),
        (status = 202, body = Taken),
        (
            status = 502, body = Problem, content_type = "application/problem+json",
            description = "The run failed",
        ),
        (
            status = 504, body = Problem, content_type = "application/problem+json",
            description = "The run took longer than it may",
        ),
    ),
)]
async fn submit(
    State(state): State<ApiState>,
    caller: Caller,
    on: OnAgent,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    _query: Query<NoParams>,
    body: Body<Task>,
) -> Result<Response> {
    let task = body.value;
    let actor = caller.actor().to_string();
    let key = idempotency::key(&headers, &actor, uri.path())?;
    let execution_id = ids::execution_id(key);
    let waits = if task.async_mode { Waits::ForNothing } else { Waits::ForTheEnd };
    // Before the task is there, so that its end cannot be missed.
    let changes = state.watchers.watch(execution_id);
    let submitted = match check(&state, &on, &task) {
        Ok(()) => {
            let (request, metadata) =
                (request(&caller, &on, task), caller.metadata_with_body(&body.sha256));
            send(&state, &caller, execution_id, request, waits, metadata).await?
        }
        Err(refused) => taken_before(&state, key, &body.sha256, refused).await?,
    };
    match waits {
        Waits::ForNothing => Ok(taken(&on, &submitted).into_response()),
        Waits::ForTheEnd => {
            let answered = answer::at_the_end(&state, &submitted, changes).await;
            Ok(replayed(answered.into_response(), submitted.is_replay))
        }
    }
}

/// What became of a request that would be refused now, if it was taken before under its key: what it
/// is checked against may have changed since.
async fn taken_before(
    state: &ApiState,
    key: Option<IdempotencyKey<'_>>,
    body_sha256: &str,
    refused: ApiError,
) -> Result<Submitted> {
    if key.is_none() {
        return Err(refused);
    }
    let id = ids::execution_id(key);
    let before = tasks::submitted_before(&state.app.log, id, Some(body_sha256)).await?;
    before.ok_or(refused)
}

/// Sends what is wanted to the log, on behalf of the caller.
async fn send(
    state: &ApiState,
    caller: &Caller,
    execution_id: ExecutionId,
    request: Request,
    waits: Waits,
    metadata: Metadata,
) -> Result<Submitted> {
    let submit = Submit {
        execution_id,
        request,
        caller: match &caller.identity {
            Identity::Agent(life) => Some(life.clone()),
            Identity::User { .. } | Identity::System => None,
        },
        waits,
        queue_length_max: state.app.config.queue_length_max,
        now: state.app.log.now(),
    };
    let submitted = tasks::submit(&state.app.log, submit, metadata).await;
    submitted.map_err(|error| refused(error, execution_id))
}

/// The refusal, with the id where a client waits for one.
fn refused(error: ExecuteError<Refusal>, execution_id: ExecutionId) -> ApiError {
    let is_deadlock =
        matches!(error, ExecuteError::Refused(Refusal::Submit(SubmitError::WouldDeadlock)));
    let error = ApiError::from(error);
    if is_deadlock { error.with("execution_id", execution_id.to_string()) } else { error }
}

fn taken(on: &OnAgent, submitted: &Submitted) -> Reply<Taken> {
    let Submitted { execution_id, queue_position, position, is_replay } = *submitted;
    let status = match queue_position {
        None => TakenStatus::Accepted,
        Some(_) => TakenStatus::Queued,
    };
    let agent_name = on.life.name.clone();
    let location = format!("/api/agents/{agent_name}/executions/{execution_id}");
    let body =
        Taken { status, execution_id, agent_name, async_mode: true, queue_position, position };
    Reply::ok(position, body).status(StatusCode::ACCEPTED).location(&location).replayed(is_replay)
}

/// How the task came to be follows from who sends it and on which route, never from a field.
fn request(caller: &Caller, on: &OnAgent, task: Task) -> Request {
    let (triggered_by, source, source_agent) = match &caller.identity {
        Identity::User { .. } => (Trigger::Manual, Source::User, None),
        Identity::Agent(life) => (Trigger::Mcp, Source::Agent, Some(life.name.clone())),
        Identity::System => (Trigger::Mcp, Source::Agent, SYSTEM_AGENT.parse().ok()),
    };
    Request {
        agent: on.life.name.clone(),
        incarnation: on.life.incarnation,
        triggered_by,
        source,
        source_user: caller.user_id(),
        source_agent,
        message: task.message,
        model: task.model,
        allowed_tools: task.allowed_tools,
        system_prompt: task.system_prompt,
        timeout_seconds: task.timeout_seconds,
        max_turns: task.max_turns,
        resume_session_id: task.resume_session_id,
        is_chat_turn: false,
        parent_execution_id: task.parent_execution_id,
        schedule_id: None,
        chat_session_id: None,
        process_run_id: None,
        step_id: None,
        payment_id: None,
        tags: Vec::new(),
    }
}

/// Refuses what no run could be made of.
fn check(state: &ApiState, on: &OnAgent, task: &Task) -> Result<()> {
    let length = task.message.len();
    if task.message.trim().is_empty() {
        return Err(ApiError::field("/message", "message is empty; say what to do"));
    }
    if length > MESSAGE_BYTES_MAX {
        let detail = format!("message has {length} bytes; at most {MESSAGE_BYTES_MAX} are taken");
        return Err(ApiError::field("/message", detail));
    }
    if let Some(model) = &task.model {
        check_model(state, on, model)?;
    }
    let config = &on.current()?.config;
    let adapter = state.app.adapters.get(config.runtime);
    ToolSet::resolve(&config.tools, task.allowed_tools.as_deref())
        .and_then(|tools| adapter.tools(tools.names()))
        .map_err(|error| ApiError::field("/allowed_tools", error.to_string()))?;
    let prompt_length = task.system_prompt.as_ref().map_or(0, String::len);
    if prompt_length > SYSTEM_PROMPT_BYTES_MAX {
        let detail = format!(
            "system_prompt has {prompt_length} bytes; at most {SYSTEM_PROMPT_BYTES_MAX} are taken"
        );
        return Err(ApiError::field("/system_prompt", detail));
    }
    if task.timeout_seconds == Some(0) {
        return Err(ApiError::field("/timeout_seconds", "timeout_seconds must be 1 or more"));
    }
    if task.max_turns.is_some_and(|turns| !(1..=TURNS_MAX).contains(&turns)) {
        let detail = format!("max_turns must be 1 to {TURNS_MAX}");
        return Err(ApiError::field("/max_turns", detail));
    }
    match &task.resume_session_id {
        Some(id) if !is_session_id(id) || !adapter.is_session(id) => {
            let detail = "resume_session_id must be the claude_session_id of an execution";
            Err(ApiError::field("/resume_session_id", detail))
        }
        _ => Ok(()),
    }
}

/// Whether a CLI would read it as the id of a session and as nothing else.
fn is_session_id(id: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    (1..=SESSION_ID_BYTES_MAX).contains(&id.len())
        && id.starts_with(|first: char| first.is_ascii_alphanumeric())
        && id.chars().all(is_plain)
}

/// The answers to a task that did not end well.
fn ended_badly(code: Code, detail: String, execution_id: ExecutionId) -> ApiError {
    ApiError::new(code, detail).with("execution_id", execution_id.to_string())
}
