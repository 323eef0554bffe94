//! The transcript of an execution, page by page.

use std::sync::Arc;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use trinity_agent_protocol::OutputLine;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::filter::TEXT_CHARS_MAX;
use super::{OnExecution, state_of};
use crate::adapters::transcript::{Entry, entry};
use crate::api::ApiState;
use crate::api::error::{ApiError, Code, Problem, Result};
use crate::api::extract::ReadQuery;
use crate::api::page;
use crate::api::reply::Reply;
use crate::api::wire::millis;
use crate::domain::{ExecutionId, IncarnationId};

#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct LogQuery {
    /// Only lines after this one: `next` of the page before.
    #[param(minimum = 0)]
    after: Option<u64>,
    /// Only lines before this one, the last of them; for reading backwards.
    #[param(minimum = 0)]
    before: Option<u64>,
    /// The most lines to answer with.
    #[param(minimum = 1, maximum = 1000, default = 50)]
    limit: Option<u32>,
    /// Only lines that show this text, without regard to case; from the beginning, or after `after`.
    /// One request looks through a bounded part: go on with `next` until it is `total`.
    #[param(max_length = 1000)]
    q: Option<String>,
    /// An earlier life of the name, for its owner then and for administrators.
    #[param(value_type = Option<uuid::Uuid>)]
    #[expect(dead_code, reason = "the authorization reads it")]
    incarnation: Option<IncarnationId>,
}

/// A part of a transcript; without a place it is the end.
#[derive(Debug, Serialize, ToSchema)]
struct Log {
    #[schema(value_type = uuid::Uuid)]
    execution_id: ExecutionId,
    /// The lines, oldest first.
    entries: Vec<Entry>,
    /// Pass it as `after` to go on; it is the last line that was looked at.
    next: u64,
    /// How many lines there are by now.
    total: u64,
}

pub(super) fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(show))
}

/// Shows lines of an execution's transcript: the last ones, or those around a place.
#[utoipa::path(
    get, path = "/api/agents/{name}/executions/{id}/log", tag = "executions",
    params(
        ("name" = String, Path, description = "The agent's name"),
        ("id" = uuid::Uuid, Path, description = "The execution's id"),
        LogQuery, crate::api::extract::Fresh,
    ),
    responses(
        (status = 200, body = Log),
        (
            status = 410, body = Problem, content_type = "application/problem+json",
            description = "The transcript was removed, as the retention setting says",
        ),
    ),
)]
async fn show(
    State(state): State<ApiState>,
    OnExecution(id): OnExecution,
    query: ReadQuery<LogQuery>,
) -> Result<Reply<Log>> {
    state.wait_for_log(query.fresh).await?;
    let LogQuery { after, before, limit, q, .. } = query.params;
    let limit = page::limit(limit)?;
    for (name, line) in [("after", after), ("before", before)] {
        if line.is_some_and(|line| i64::try_from(line).is_err()) {
            return Err(ApiError::parameter(name, format!("{name} is at most {}", i64::MAX)));
        }
    }
    let position = state.app.log.head();
    let transcripts = &state.app.state.transcripts;
    let lines = match (after, before, &q) {
        (Some(_), Some(_), _) | (_, Some(_), Some(_)) => {
            let detail = "before goes neither with after nor with q";
            return Err(ApiError::parameter("before", detail));
        }
        (after, None, Some(q)) => search(&state, id, after.unwrap_or_default(), limit, q).await?,
        (Some(after), None, None) => seen(transcripts.after(id, after, limit).await?, after),
        (None, before, None) => seen(transcripts.before(id, before, limit).await?, 0),
    };
    let total = transcripts.last_seq(id).await?;
    if total == 0 {
        refuse_removed(&state, id).await?;
    }
    let (found, next) = lines;
    let log = Log { execution_id: id, entries: entries(&found), next, total };
    Ok(Reply::ok(position, log))
}

/// Refuses to show nothing as if there had been nothing.
pub(super) async fn refuse_removed(state: &ApiState, id: ExecutionId) -> Result<()> {
    let Some(at) = state_of(state, id).await?.transcript_removed_at else { return Ok(()) };
    let detail = format!(
        "the transcript of this execution was removed at {}, as the retention setting of this \
         server says; the event TranscriptRemoved tells how much it was",
        millis(at)
    );
    Err(ApiError::new(Code::TranscriptRemoved, detail))
}

/// The lines with the number of the last one.
fn seen(lines: Vec<OutputLine>, before: u64) -> (Vec<OutputLine>, u64) {
    let last = lines.last().map_or(before, |line| line.seq);
    (lines, last)
}

/// The lines after a place that show a text, and how far it was looked for.
async fn search(
    state: &ApiState,
    id: ExecutionId,
    after: u64,
    limit: usize,
    q: &str,
) -> Result<(Vec<OutputLine>, u64)> {
    if q.chars().count() > TEXT_CHARS_MAX {
        let detail = format!("q has more than {TEXT_CHARS_MAX} characters");
        return Err(ApiError::parameter("q", detail));
    }
    let needle = Needle::new(q);
    let fits = Arc::new(move |line: &OutputLine| {
        needle.may_be_in(&line.line) && entry(line).shows(|text| needle.is_in(text))
    });
    let found = state.app.state.transcripts.search(id, after, limit, fits).await?;
    Ok((found.lines, found.last_seq))
}

/// A text that is looked for without regard to case.
struct Needle {
    lowercase: String,
    /// Whether JSON writes it as it is, so that a line without it cannot show it.
    is_plain: bool,
}

impl Needle {
    fn new(text: &str) -> Self {
        let is_plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b' ');
        Self { lowercase: text.to_lowercase(), is_plain }
    }

    fn is_in(&self, text: &str) -> bool {
        text.to_lowercase().contains(&self.lowercase)
    }

    fn may_be_in(&self, line: &str) -> bool {
        !self.is_plain || line.to_ascii_lowercase().contains(&self.lowercase) || !line.is_ascii()
    }
}

/// The lines as clients see them.
pub(in crate::api) fn entries(lines: &[OutputLine]) -> Vec<Entry> {
    lines.iter().map(entry).collect()
}
