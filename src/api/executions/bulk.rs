//! Many executions at once: first what would be done to which is shown, then it is done.

use std::collections::BTreeMap;

use axum::extract::State;
use chrono::{DateTime, Utc};
use futures::StreamExt as _;
use serde::{Deserialize, Serialize};
use strum::VariantNames;
use utoipa::ToSchema;
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, Type};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::filter::{check_text, cost};
use super::{TerminatedStatus, VIEWS, end};
use crate::api::ApiState;
use crate::api::auth::{Caller, Rights, no_execution, on_origin};
use crate::api::error::{ApiError, Result};
use crate::api::extract::{Body, Fields, Fresh, NoFields, NoParams, Path, Query};
use crate::api::reply::Reply;
use crate::api::wire::millis;
use crate::clock;
use crate::domain::execution::{Status, Trigger, Urgency};
use crate::domain::{AgentName, ExecutionId};
use crate::projections::executions::{ExecutionFilter, ExecutionRow};
use crate::projections::{Filter as _, LIMIT_MAX};

/// How many executions one selection holds.
const SELECTED_MAX: usize = LIMIT_MAX as usize;

/// How many executions a preview shows.
const SAMPLE_MAX: usize = 10;

/// How many pages of the list are read for one selection; each looks at a bounded number of rows.
const PAGES_MAX: usize = 8;

/// How many executions are acted on at once.
const CONCURRENT_MAX: usize = 16;

/// What to do to which executions.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct BulkPreview {
    action: BulkAction,
    /// These executions, at most 1000; or else those that a filter finds.
    #[schema(value_type = Option<Vec<Uuid>>, max_items = 1000)]
    ids: Option<Vec<ExecutionId>>,
    /// Those that the list of executions shows with the same filter, the newest first.
    filter: Option<BulkFilter>,
}

impl Fields for BulkPreview {}

/// What can be done to many executions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum BulkAction {
    /// End them: SIGINT, a grace, SIGKILL; those that wait are cancelled at once.
    Terminate,
}

/// Which executions; values of one field are alternatives, and an empty list is none.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct BulkFilter {
    /// Of these agents.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    agent: Vec<AgentName>,
    /// With one of these statuses.
    #[serde(default)]
    #[schema(schema_with = list_of::<Status>)]
    status: Vec<Status>,
    /// That came about in one of these ways.
    #[serde(default)]
    #[schema(schema_with = list_of::<Trigger>)]
    triggered_by: Vec<Trigger>,
    /// Created at this time or later.
    #[schema(value_type = Option<String>, format = DateTime)]
    from: Option<DateTime<Utc>>,
    /// Created before this time.
    #[schema(value_type = Option<String>, format = DateTime)]
    to: Option<DateTime<Utc>>,
    /// With every word of this text in the message.
    #[schema(max_length = 1000)]
    q: Option<String>,
    /// Known to have cost so many dollars or more.
    #[schema(minimum = 0)]
    cost_min: Option<f64>,
    /// Known to have cost so many dollars or less.
    #[schema(minimum = 0)]
    cost_max: Option<f64>,
}

/// What would be done.
#[derive(Debug, Serialize, ToSchema)]
struct Selected {
    /// Commits to it, once.
    selection_id: Uuid,
    action: BulkAction,
    /// How many executions.
    count: usize,
    /// Some of them, at most 10.
    sample: Vec<SelectedExecution>,
    /// How many of each agent.
    agents: BTreeMap<String, usize>,
    /// Whether there are, or may be, more than one selection holds.
    is_cut: bool,
    /// Until when the selection is kept.
    #[schema(format = DateTime)]
    expires_at: String,
    position: i64,
}

/// An execution that is selected.
#[derive(Debug, Serialize, ToSchema)]
struct SelectedExecution {
    #[schema(value_type = Uuid)]
    id: ExecutionId,
    #[schema(value_type = String)]
    agent_name: AgentName,
    #[schema(schema_with = word_of::<Status>)]
    status: Status,
    /// Cut at 2000 characters.
    message: String,
}

/// What was done.
#[derive(Debug, Serialize, ToSchema)]
struct Committed {
    /// One for each execution of the selection.
    results: Vec<BulkResult>,
    /// How many of each status.
    counts: BTreeMap<&'static str, usize>,
    position: i64,
}

/// What has become of one execution.
#[derive(Debug, Serialize, ToSchema)]
struct BulkResult {
    #[schema(value_type = Uuid)]
    id: ExecutionId,
    status: BulkStatus,
    /// Why it was not done.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[derive(Debug, Clone, Copy, Serialize, strum::IntoStaticStr, ToSchema)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
enum BulkStatus {
    /// It is being ended.
    Cancelling,
    /// It was cancelled before.
    Cancelled,
    /// It had ended by itself before.
    AlreadyFinished,
    /// It was waiting, and is cancelled now.
    CancelledWhileQueued,
    /// It could not be asked to end.
    Failed,
}

impl From<TerminatedStatus> for BulkStatus {
    fn from(status: TerminatedStatus) -> Self {
        match status {
            TerminatedStatus::Cancelling => Self::Cancelling,
            TerminatedStatus::Cancelled => Self::Cancelled,
            TerminatedStatus::AlreadyFinished => Self::AlreadyFinished,
            TerminatedStatus::CancelledWhileQueued => Self::CancelledWhileQueued,
        }
    }
}

pub(super) fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(preview)).routes(routes!(commit))
}

fn word_of<T: VariantNames>() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(T::VARIANTS.iter().copied()))
}

fn list_of<T: VariantNames>() -> ArrayBuilder {
    ArrayBuilder::new().items(word_of::<T>())
}

/// Selects executions to be ended together, and shows which they are.
///
/// Only those are selected that the caller may end and that have not ended, 1000 at most. The
/// selection is kept for 10 minutes, for this caller and on this node.
#[utoipa::path(
    post, path = "/api/executions/bulk/preview", tag = "executions",
    request_body = BulkPreview,
    responses((status = 200, body = Selected)),
)]
async fn preview(
    State(state): State<ApiState>,
    caller: Caller,
    _query: Query<NoParams>,
    body: Body<BulkPreview>,
) -> Result<Reply<Selected>> {
    let BulkPreview { action, ids, filter } = body.value;
    let position = state.caught_up(Fresh::default(), VIEWS).await?;
    let (rows, is_cut) = match (ids, filter) {
        (Some(ids), None) => (chosen(&state, &caller, ids).await?, false),
        (None, Some(filter)) => found(&state, &caller, filter).await?,
        _ => return Err(ApiError::field("/ids", "give either ids or filter")),
    };
    let ids: Vec<_> = rows.iter().map(|row| row.id).collect();
    let count = ids.len();
    let kept = state.selections.keep(caller.identity, ids, clock::now());
    let mut agents = BTreeMap::new();
    for row in &rows {
        *agents.entry(row.agent_name.to_string()).or_default() += 1;
    }
    let sample = rows.into_iter().take(SAMPLE_MAX).map(|row| {
        let ExecutionRow { id, agent_name, status, message, .. } = row;
        SelectedExecution { id, agent_name, status, message }
    });
    let selected = Selected {
        selection_id: kept.0,
        action,
        count,
        sample: sample.collect(),
        agents,
        is_cut,
        expires_at: millis(kept.1),
        position,
    };
    Ok(Reply::ok(position, selected))
}

/// Those of the executions that the caller may end and that have not ended.
async fn chosen(
    state: &ApiState,
    caller: &Caller,
    ids: Vec<ExecutionId>,
) -> Result<Vec<ExecutionRow>> {
    if ids.len() > SELECTED_MAX {
        let detail = format!("ids has {} items; at most {SELECTED_MAX} are taken", ids.len());
        return Err(ApiError::field("/ids", detail));
    }
    let viewer = state.viewer(caller).await?;
    Ok(state.app.views.executions().open_among(&viewer, &ids).await?)
}

/// What the filter finds of those that the caller may end and that have not ended, and whether there
/// may be more.
async fn found(
    state: &ApiState,
    caller: &Caller,
    filter: BulkFilter,
) -> Result<(Vec<ExecutionRow>, bool)> {
    let Some(filter) = filter.of_open()? else { return Ok((Vec::new(), false)) };
    let viewer = state.viewer(caller).await?;
    let (mut rows, mut cursor): (Vec<ExecutionRow>, Option<String>) = (Vec::new(), None);
    for _ in 0..PAGES_MAX {
        let page = filter.page(Some(LIMIT_MAX), cursor.as_deref())?;
        let found = state.app.views.executions().list(&viewer, &filter, &page).await?;
        rows.extend(found.items);
        cursor = found.next_cursor;
        if cursor.is_none() || rows.len() >= SELECTED_MAX {
            break;
        }
    }
    let is_cut = cursor.is_some() || rows.len() > SELECTED_MAX;
    rows.truncate(SELECTED_MAX);
    Ok((rows, is_cut))
}

impl BulkFilter {
    /// The filter of the read model, narrowed to what has not ended; none when nothing can fit.
    fn of_open(self) -> Result<Option<ExecutionFilter>> {
        let in_body = |field: &'static str| {
            move |detail: String| ApiError::field(&format!("/filter/{field}"), detail)
        };
        let q = self.q.map(check_text).transpose().map_err(in_body("q"))?;
        let cost_min = cost("cost_min", self.cost_min).map_err(in_body("cost_min"))?;
        let cost_max = cost("cost_max", self.cost_max).map_err(in_body("cost_max"))?;
        let is_wanted = |status: &Status| self.status.is_empty() || self.status.contains(status);
        let status: Vec<_> =
            [Status::Pending, Status::Running].into_iter().filter(is_wanted).collect();
        Ok((!status.is_empty()).then(|| ExecutionFilter {
            agent: self.agent,
            status,
            triggered_by: self.triggered_by,
            from: self.from,
            to: self.to,
            cost_min,
            cost_max,
            q,
            ..ExecutionFilter::default()
        }))
    }
}

/// Does what was shown to every execution of a selection; once.
///
/// What has ended since is left as it is. All of it is tried, also when the client leaves; an
/// execution that the caller may not end any more is `failed`. A selection is gone once its commit
/// has begun: a second one does nothing and is answered 404, and the executions themselves say what has
/// become of them.
#[utoipa::path(
    post, path = "/api/executions/bulk/{selection_id}/commit", tag = "executions",
    params(("selection_id" = Uuid, Path, description = "The id that the preview gave")),
    responses((status = 200, body = Committed)),
)]
async fn commit(
    State(state): State<ApiState>,
    caller: Caller,
    Path(selection_id): Path<Uuid>,
    _query: Query<NoParams>,
    _body: Body<NoFields>,
) -> Result<Reply<Committed>> {
    let taken = state.selections.take(selection_id, &caller.identity, clock::now());
    let ids = taken.ok_or_else(|| {
        ApiError::not_found(format_args!(
            "selection `{selection_id}`: it was committed, is too old, or is another caller's"
        ))
    })?;
    let work = tokio::spawn(async move {
        let position = state.app.log.head();
        let ends = ids.into_iter().map(|id| end_one(&state, &caller, id));
        let ended: Vec<_> = futures::stream::iter(ends).buffered(CONCURRENT_MAX).collect().await;
        let (results, positions): (Vec<_>, Vec<_>) = ended.into_iter().unzip();
        (results, positions.into_iter().flatten().fold(position, i64::max))
    });
    let (results, position) = work.await.map_err(|error| ApiError::internal(&error.into()))?;
    let mut counts = BTreeMap::new();
    for BulkResult { status, .. } in &results {
        *counts.entry(status.into()).or_default() += 1;
    }
    Ok(Reply::ok(position, Committed { results, counts, position }))
}

/// Asks for the end of one execution; gives the position up to which the log says so.
async fn end_one(state: &ApiState, caller: &Caller, id: ExecutionId) -> (BulkResult, Option<i64>) {
    let asked = async {
        let origin = state.origins.of_execution(&state.app.log, id).await?;
        let origin = origin.ok_or_else(|| no_execution(id))?;
        // The rights of now, not those of the preview.
        if on_origin(state, caller, &origin).await?.rights < Rights::Operate {
            return Err(no_execution(id));
        }
        end(state, id, Urgency::Graceful, caller.metadata()).await
    };
    match asked.await {
        Ok((status, position)) => {
            (BulkResult { id, status: status.into(), error: None }, Some(position))
        }
        Err(error) => {
            (BulkResult { id, status: BulkStatus::Failed, error: Some(error.to_string()) }, None)
        }
    }
}
