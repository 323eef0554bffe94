//! An execution as it runs: its transcript from any line on, then live, then the end.

use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use axum::response::sse::Event as Frame;
use futures::Stream;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::log::refuse_removed;
use super::{OnExecution, state_of};
use crate::adapters::transcript::entry;
use crate::api::ApiState;
use crate::api::auth::{Caller, Gate, Rights, on_origin};
use crate::api::error::{Problem, Result};
use crate::api::extract::{Fresh, Query, WAIT_MS_MAX};
use crate::api::sse::{self, StreamFrame};
use crate::api::wire::millis;
use crate::clock;
use crate::domain::execution::{Execution, Status};
use crate::domain::{ExecutionId, IncarnationId};
use crate::state::transcripts::FOREIGN_POLL;

/// How many lines are read at once.
const LINES_PER_READ: usize = 500;

/// How long to wait before the store is asked again when it did not answer.
const RETRY: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct FollowQuery {
    /// Begin after this line; the header `Last-Event-ID` wins. From the first one without both.
    #[param(minimum = 0)]
    after: Option<i64>,
    /// An earlier life of the name, for its owner then and for administrators.
    #[param(value_type = Option<uuid::Uuid>)]
    #[expect(dead_code, reason = "the authorization reads it")]
    incarnation: Option<IncarnationId>,
}

pub(super) fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(follow))
}

/// Streams an execution's transcript (Server-Sent Events).
///
/// `event: log` carries `id:`, the number of the line, and the entry that `…/log` has; `status` and
/// `usage` say how the run stands. First what there is, then what comes, then `stream.end`.
#[utoipa::path(
    get, path = "/api/agents/{name}/executions/{id}/stream", tag = "executions",
    params(
        ("name" = String, Path, description = "The agent's name"),
        ("id" = uuid::Uuid, Path, description = "The execution's id"),
        FollowQuery,
        ("Last-Event-ID" = Option<i64>, Header, description = "Begin after this line"),
    ),
    responses(
        (status = 200, body = StreamFrame, content_type = "text/event-stream"),
        (
            status = 410, body = Problem, content_type = "application/problem+json",
            description = "The transcript was removed, as the retention setting says",
        ),
    ),
)]
async fn follow(
    State(state): State<ApiState>,
    caller: Caller,
    OnExecution(id): OnExecution,
    headers: HeaderMap,
    Query(query): Query<FollowQuery>,
) -> Result<Response> {
    let after = sse::position(&headers, query.after)?.unwrap_or_default();
    let after = u64::try_from(after).unwrap_or_default();
    if state.app.state.transcripts.last_seq(id).await? == 0 {
        refuse_removed(&state, id).await?;
    }
    let place = state.open_stream()?;
    Ok(sse::respond(place, frames(state, caller, id, after)))
}

fn frames(
    state: ApiState,
    caller: Caller,
    id: ExecutionId,
    after: u64,
) -> impl Stream<Item = Frame> {
    async_stream::stream! {
        yield sse::retry();
        let transcripts = state.app.state.transcripts.clone();
        let mut lines = transcripts.watch(id);
        let mut changes = state.watchers.watch(id);
        let mut heartbeat = sse::heartbeat();
        let mut last = after;
        let mut shown: Option<Value> = None;
        yield sse::control("stream.ready", &json!({"execution_id": id.to_string(), "seq": last}));
        match transcripts.last_seq(id).await {
            // The client has seen more than there is: of another run, or before a backup.
            Ok(total) if last > total => {
                last = 0;
                let reset = json!({"reason": "unknown-position", "seq": last});
                yield sse::control("stream.reset", &reset);
            }
            _ => {}
        }
        loop {
            // The end is looked for first: what was written before it is then there to be read.
            let Ok(execution) = state_of(&state, id).await else {
                tokio::time::sleep(RETRY).await;
                continue;
            };
            let Ok(page) = transcripts.after(id, last, LINES_PER_READ).await else {
                tokio::time::sleep(RETRY).await;
                continue;
            };
            let is_the_rest = page.len() < LINES_PER_READ;
            let is_empty = page.is_empty();
            for line in page {
                last = line.seq;
                let frame = Frame::default().event("log").id(last.to_string());
                yield frame.json_data(entry(&line)).unwrap_or_default();
            }
            let status = status(&execution);
            if shown.as_ref() != Some(&status) {
                yield sse::control("status", &status);
                shown = Some(status);
            }
            if execution.is_terminal() && is_the_rest && is_empty {
                if let Some(usage) = usage(&state, id).await {
                    yield sse::control("usage", &usage);
                }
                yield sse::control("stream.end", &json!({"reason": "finished", "seq": last}));
                return;
            }
            if !is_empty {
                continue;
            }
            tokio::select! {
                () = state.app.shutdown.cancelled() => {
                    yield sse::control("stream.end", &json!({"reason": "shutdown"}));
                    return;
                }
                _ = heartbeat.tick() => {
                    if !may_still_see(&state, &caller, id).await {
                        let end = json!({"reason": "not-authenticated"});
                        yield sse::control("stream.end", &end);
                        return;
                    }
                    let beat = json!({"seq": last, "at": millis(clock::now())});
                    yield sse::control("heartbeat", &beat);
                }
                _ = lines.changed() => {}
                _ = changes.changed() => {}
                // Lines that another node has stored ring no bell here.
                () = tokio::time::sleep(FOREIGN_POLL) => {}
            }
        }
    }
}

fn status(execution: &Execution) -> Value {
    let status: &'static str = execution.status.unwrap_or(Status::Pending).into();
    let cancel_phase: Option<&'static str> = execution.cancel_phase.map(Into::into);
    json!({"status": status, "cancel_phase": cancel_phase})
}

/// What the run took, once it is over; nothing when the read model does not say so in time.
async fn usage(state: &ApiState, id: ExecutionId) -> Option<Value> {
    let min_position = Some(state.app.log.head());
    let fresh = Fresh { min_position, wait_ms: Some(WAIT_MS_MAX) };
    state.caught_up(fresh, &["executions"]).await.ok()?;
    let row = state.app.views.executions().get(id).await.ok()??;
    let usage = row.usage.map(|usage| usage.0);
    Some(json!({
        "cost": row.cost,
        "usage": usage,
        "num_turns": row.num_turns,
        "duration_ms": row.duration_ms,
        "model_used": row.model_used,
    }))
}

/// Whether the caller is still who it was, and may still see the agent.
async fn may_still_see(state: &ApiState, caller: &Caller, id: ExecutionId) -> bool {
    let mut gate = Gate::new(caller.clone());
    if gate.renew(state).await.is_err() {
        return false;
    }
    let Ok(Some(origin)) = state.origins.of_execution(&state.app.log, id).await else {
        return false;
    };
    let rights = on_origin(state, gate.caller(), &origin).await.map(|on| on.rights);
    rights.is_ok_and(|rights| rights > Rights::Nothing)
}
