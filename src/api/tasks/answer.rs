//! The answer to a task whose sender waits for its end.

use std::time::Duration;

use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use tokio::sync::watch;
use utoipa::ToSchema;

use super::ended_badly;
use crate::adapters::transcript::Entry;
use crate::api::ApiState;
use crate::api::error::{ApiError, Code, Result};
use crate::api::executions::{complete_response, entries};
use crate::api::extract::Fresh;
use crate::api::reply::Reply;
use crate::api::wire::millis;
use crate::clock;
use crate::commands::tasks::Submitted;
use crate::domain::execution::{ErrorClass, Execution, Status};
use crate::domain::{ExecutionId, StreamId};
use crate::projections::executions::ExecutionRow;

/// How long the read models have to reach the end of a run before the answer goes without them.
const CATCH_UP_MS: u64 = 10_000;

/// How often a waiting request looks at the log without having been told to.
const LOOK_PERIOD: Duration = Duration::from_secs(2);

/// The longest that a request waits: two days, twice the longest timeout of an agent.
const WAIT_MAX: Duration = Duration::from_hours(48);

/// How many lines of the transcript the answer holds; the rest is at `…/log`.
const LOG_LINES_MAX: usize = 1_000;

/// A task that is done.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Answer {
    /// What the agent answers.
    response: Option<String>,
    /// The last lines of the transcript, at most 1000.
    execution_log: Vec<Entry>,
    metadata: Metadata,
    /// The CLI session it ran in.
    session_id: Option<String>,
    #[schema(value_type = uuid::Uuid)]
    execution_id: ExecutionId,
    /// `completed`.
    status: &'static str,
    #[schema(format = DateTime)]
    timestamp: String,
    position: i64,
}

/// What the run took.
#[derive(Debug, Serialize, ToSchema)]
struct Metadata {
    cost_usd: Option<crate::projections::Cost>,
    duration_ms: Option<u64>,
    num_turns: Option<u32>,
    tool_count: u32,
    session_id: Option<String>,
    model_used: Option<String>,
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    cache_read_tokens: Option<u64>,
    cache_creation_tokens: Option<u64>,
    context_used: Option<u64>,
    context_max: Option<u64>,
}

/// Waits for the end of the run, and for everything that can be read about it.
pub(super) async fn at_the_end(
    state: &ApiState,
    submitted: &Submitted,
    mut changes: watch::Receiver<i64>,
) -> Result<Response> {
    let execution_id = submitted.execution_id;
    let deadline = tokio::time::Instant::now() + WAIT_MAX;
    let ended_at = loop {
        let execution = state.app.log.state::<Execution>(execution_id).await?;
        if execution.state.is_terminal() {
            break position_of(state, execution_id, execution.version).await?;
        }
        tokio::select! {
            _changed = changes.changed() => {}
            () = tokio::time::sleep(LOOK_PERIOD) => {}
            () = state.app.shutdown.cancelled() => {
                let detail = "the server is shutting down; the run goes on, ask for it again later";
                return Err(ended_badly(Code::NotReady, detail.to_owned(), execution_id));
            }
            () = tokio::time::sleep_until(deadline) => {
                let detail = "the run goes on for longer than a request waits";
                return Err(ended_badly(Code::ExecutionTimeout, detail.to_owned(), execution_id));
            }
        }
    };
    let fresh = Fresh { min_position: Some(ended_at), wait_ms: Some(CATCH_UP_MS) };
    let caught_up = state.caught_up(fresh, &["executions", "activities"]).await;
    let position = caught_up.map_err(|lag| lag.with("execution_id", execution_id.to_string()))?;
    let row = state.app.views.executions().get(execution_id).await?;
    let mut row = row.ok_or_else(|| {
        ApiError::internal(&anyhow::anyhow!("no row of execution {execution_id} at {position}"))
    })?;
    complete_response(state, &mut row).await?;
    match row.status {
        Status::Completed => {
            Ok(Reply::ok(position, answer(state, row, position).await?).into_response())
        }
        Status::Failed | Status::Cancelled | Status::Pending | Status::Running => {
            Err(failure(row, position))
        }
    }
}

/// Where in the log the event of that version of an execution's stream stands.
async fn position_of(state: &ApiState, id: ExecutionId, version: i64) -> Result<i64> {
    let stream = StreamId::of::<Execution>(id);
    let event = state.app.log.stream(&stream, version - 1, 1).await?.pop();
    Ok(event.map_or_else(|| state.app.log.head(), |event| event.position))
}

fn failure(row: ExecutionRow, position: i64) -> ApiError {
    let error = row.error.unwrap_or_else(|| "the run ended without a result".to_owned());
    let (code, detail) = match (row.status, row.error_class) {
        (Status::Cancelled, _) => (Code::ExecutionCancelled, "the execution was cancelled".into()),
        (_, Some(ErrorClass::Timeout)) => (Code::ExecutionTimeout, error),
        _ => (Code::ExecutionFailed, error),
    };
    let class: Option<&'static str> = row.error_class.map(Into::into);
    let status: &'static str = row.status.into();
    ended_badly(code, detail, row.id)
        .with("execution_status", status)
        .with("error_class", class)
        .with("response", row.response)
        .with("position", position)
}

async fn answer(state: &ApiState, row: ExecutionRow, position: i64) -> Result<Answer> {
    let lines = state.app.state.transcripts.before(row.id, None, LOG_LINES_MAX).await?;
    let usage = row.usage.as_ref().map(|usage| &usage.0);
    Ok(Answer {
        response: row.response,
        execution_log: entries(&lines),
        metadata: Metadata {
            cost_usd: row.cost,
            duration_ms: row.duration_ms,
            num_turns: row.num_turns,
            tool_count: row.tool_call_count,
            session_id: row.claude_session_id.clone(),
            model_used: row.model_used,
            input_tokens: usage.map(|usage| usage.input_tokens),
            output_tokens: usage.map(|usage| usage.output_tokens),
            cache_read_tokens: usage.map(|usage| usage.cache_read_tokens),
            cache_creation_tokens: usage.map(|usage| usage.cache_creation_tokens),
            context_used: row.context_used,
            context_max: row.context_max,
        },
        session_id: row.claude_session_id,
        execution_id: row.id,
        status: row.status.into(),
        timestamp: millis(clock::now()),
        position,
    })
}
