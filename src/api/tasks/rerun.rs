//! An execution once more.

use axum::extract::{OriginalUri, State};
use axum::http::HeaderMap;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Taken, Task, check, request, send, taken, taken_before};
use crate::api::ApiState;
use crate::api::auth::{Caller, OnAgent, no_execution};
use crate::api::error::Result;
use crate::api::executions::OnExecution;
use crate::api::extract::{Body, NoFields, NoParams, Query};
use crate::api::idempotency;
use crate::api::reply::Reply;
use crate::commands::ids;
use crate::commands::tasks::Waits;
use crate::domain::execution::{Execution, ExecutionEvent, Request};
use crate::domain::{Event, Metadata, StreamId};

pub(super) fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(rerun))
}

/// Submits the task of an execution once more, on the same agent as it is now.
///
/// The message, the options and the tags are those of that execution; the session is a fresh one,
/// and no other execution calls for it. Its first event names the request that it repeats as its
/// cause. Options that the agent does not allow any more are refused like those of a new task.
#[utoipa::path(
    post, path = "/api/agents/{name}/executions/{id}/rerun", tag = "executions",
    params(
        ("name" = String, Path, description = "The agent's name"),
        ("id" = uuid::Uuid, Path, description = "The execution's id"),
        idempotency::Header,
    ),
    responses((status = 202, body = Taken)),
)]
#[expect(clippy::too_many_arguments, reason = "each is a part of the request that is read")]
async fn rerun(
    State(state): State<ApiState>,
    caller: Caller,
    on: OnAgent,
    OnExecution(id): OnExecution,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    _query: Query<NoParams>,
    body: Body<NoFields>,
) -> Result<Reply<Taken>> {
    let first = state.app.log.stream(&StreamId::of::<Execution>(id), 0, 1).await?.pop();
    let first = first.ok_or_else(|| no_execution(id))?;
    let Event::Execution(ExecutionEvent::ExecutionRequested(before)) = &first.event else {
        return Err(no_execution(id));
    };
    let task = again(before);
    let actor = caller.actor().to_string();
    let key = idempotency::key(&headers, &actor, uri.path())?;
    if let Err(refused) = check(&state, &on, &task) {
        return Ok(taken(&on, &taken_before(&state, key, &body.sha256, refused).await?));
    }
    let tags = before.tags.clone();
    let request = Request { tags, ..request(&caller, &on, task) };
    let execution_id = ids::execution_id(key);
    let metadata = Metadata {
        causation_id: Some(first.event_id.to_string()),
        ..caller.metadata_with_body(&body.sha256)
    };
    let submitted =
        send(&state, &caller, execution_id, request, Waits::ForNothing, metadata).await?;
    Ok(taken(&on, &submitted))
}

/// The task that a request came from, without what was of that time alone.
fn again(before: &Request) -> Task {
    Task {
        message: before.message.clone(),
        model: before.model.clone(),
        allowed_tools: before.allowed_tools.clone(),
        system_prompt: before.system_prompt.clone(),
        timeout_seconds: before.timeout_seconds,
        max_turns: before.max_turns,
        async_mode: true,
        parent_execution_id: None,
        resume_session_id: None,
    }
}
