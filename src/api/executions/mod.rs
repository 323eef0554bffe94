//! Executions: lists, one record, its end on request.

mod bulk;
mod filter;
mod follow;
mod history;
mod latest;
mod log;
mod summary;

use axum::extract::{FromRequestParts, OriginalUri, RawPathParams, State};
use axum::http::Uri;
use axum::http::request::Parts;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ApiState;
use super::auth::{Caller, OnAgent, no_execution};
use super::error::{ApiError, Result};
use super::extract::{Body, Fresh, NoFields, NoParams, Query, ReadQuery};
use super::page::{self, ListQuery};
use super::reply::Reply;
use crate::commands::tasks::{self, Cancelled};
use crate::domain::execution::{CancelReason, Execution, Status, Urgency};
use crate::domain::{ExecutionId, IncarnationId, Metadata};
use crate::projections::executions::{ExecutionFilter, ExecutionRow};
use crate::projections::{Filter as _, Order, Viewer};

pub use filter::ExecutionQuery;
pub(super) use filter::{dollars, names, text, words};
pub(super) use log::entries;

/// The read models that an execution's row is made of, and the one that says whose it is.
const VIEWS: &[&str] = &["agents", "executions", "slots"];

/// Which page of one agent's executions is wanted.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct OfAgentQuery {
    /// The most executions to answer with. Where no index knows which fit, a page may hold fewer
    /// and still have a next one.
    #[param(minimum = 1, maximum = 1000, default = 50)]
    limit: Option<u32>,
    /// Where the page begins: from the `Link` header of the page before.
    cursor: Option<String>,
    /// `-created_at` (newest first, as without it) or `created_at`.
    #[param(inline)]
    sort: Option<Sort>,
    /// An earlier life of the name, for its owner then and for administrators.
    #[param(value_type = Option<uuid::Uuid>)]
    #[expect(dead_code, reason = "the authorization reads it")]
    incarnation: Option<IncarnationId>,
}

/// Which page of all agents' executions is wanted.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct AllQuery {
    /// Only these agents, separated by commas.
    agent: Option<String>,
    /// The most executions to answer with. Where no index knows which fit, a page may hold fewer
    /// and still have a next one.
    #[param(minimum = 1, maximum = 1000, default = 50)]
    limit: Option<u32>,
    /// Where the page begins: from the `Link` header of the page before.
    cursor: Option<String>,
    /// `-created_at` (newest first, as without it) or `created_at`.
    #[param(inline)]
    sort: Option<Sort>,
}

/// In which order.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema, clap::ValueEnum, strum::Display)]
pub enum Sort {
    #[serde(rename = "-created_at")]
    #[strum(to_string = "-created_at")]
    #[value(name = "-created_at")]
    NewestFirst,
    #[serde(rename = "created_at")]
    #[strum(to_string = "created_at")]
    #[value(name = "created_at")]
    OldestFirst,
}

impl From<Option<Sort>> for Order {
    fn from(sort: Option<Sort>) -> Self {
        match sort {
            None | Some(Sort::NewestFirst) => Self::NewestFirst,
            Some(Sort::OldestFirst) => Self::OldestFirst,
        }
    }
}

/// The one parameter of reads below an agent that lead to earlier lives.
#[derive(Debug, Clone, Copy, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct LifeQuery {
    /// An earlier life of the name, for its owner then and for administrators.
    #[param(value_type = Option<uuid::Uuid>)]
    #[expect(dead_code, reason = "the authorization reads it")]
    incarnation: Option<IncarnationId>,
}

#[derive(Debug, Clone, Copy, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct TerminateQuery {
    /// Whether to kill at once, without the interrupt and the grace.
    #[param(default = false)]
    force: Option<bool>,
}

/// What the request to end an execution has led to.
#[derive(Debug, Serialize, ToSchema)]
struct Terminated {
    status: TerminatedStatus,
    #[schema(value_type = uuid::Uuid)]
    execution_id: ExecutionId,
    position: i64,
}

#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum TerminatedStatus {
    /// It is being ended.
    Cancelling,
    /// It was cancelled before.
    Cancelled,
    /// It had ended by itself before.
    AlreadyFinished,
    /// It was waiting, and is cancelled now.
    CancelledWhileQueued,
}

/// The routes of this resource.
pub(super) fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(of_agent))
        .routes(routes!(running))
        .routes(routes!(show_of_agent))
        .routes(routes!(terminate))
        .routes(routes!(all))
        .routes(routes!(show))
        .merge(bulk::router())
        .merge(latest::router())
        .merge(summary::router())
        .merge(history::router())
        .merge(log::router())
        .merge(follow::router())
}

/// Lists the executions of an agent, newest first; the header `Link` leads to the next page.
#[utoipa::path(
    get, path = "/api/agents/{name}/executions", tag = "executions",
    params(
        ("name" = String, Path, description = "The agent's name"),
        ExecutionQuery, OfAgentQuery, Fresh,
    ),
    responses((status = 200, body = Vec<ExecutionRow>)),
)]
async fn of_agent(
    State(state): State<ApiState>,
    on: OnAgent,
    OriginalUri(uri): OriginalUri,
    query: ListQuery<ExecutionQuery, OfAgentQuery>,
) -> Result<Reply<Vec<ExecutionRow>>> {
    let asked = query.params;
    let filter = ExecutionFilter {
        incarnation: Some(on.life.incarnation),
        order: asked.sort.into(),
        ..query.filter.filter()?
    };
    let bounds = (asked.limit, asked.cursor.as_deref());
    list(&state, &Viewer::System, &filter, bounds, query.fresh, &uri).await
}

/// Lists the executions of every agent the caller may see, newest first; the header `Link` leads
/// to the next page.
#[utoipa::path(
    get, path = "/api/executions", tag = "executions",
    params(ExecutionQuery, AllQuery, Fresh),
    responses((status = 200, body = Vec<ExecutionRow>)),
)]
async fn all(
    State(state): State<ApiState>,
    caller: Caller,
    OriginalUri(uri): OriginalUri,
    query: ListQuery<ExecutionQuery, AllQuery>,
) -> Result<Reply<Vec<ExecutionRow>>> {
    let asked = query.params;
    let filter = ExecutionFilter {
        agent: names("agent", asked.agent.as_deref())?,
        order: asked.sort.into(),
        ..query.filter.filter()?
    };
    let viewer = state.viewer(&caller).await?;
    let bounds = (asked.limit, asked.cursor.as_deref());
    list(&state, &viewer, &filter, bounds, query.fresh, &uri).await
}

async fn list(
    state: &ApiState,
    viewer: &Viewer,
    filter: &ExecutionFilter,
    (limit, cursor): (Option<u32>, Option<&str>),
    fresh: Fresh,
    uri: &Uri,
) -> Result<Reply<Vec<ExecutionRow>>> {
    let page = filter.page(limit, cursor)?;
    let position = state.caught_up(fresh, VIEWS).await?;
    let found = state.app.views.executions().list(viewer, filter, &page).await?;
    let next = found.next_cursor.as_deref().and_then(|cursor| page::next_link(uri, cursor));
    Ok(Reply::ok(position, found.items).link(next))
}

/// Lists what runs on an agent at the moment, newest first.
#[utoipa::path(
    get, path = "/api/agents/{name}/executions/running", tag = "executions",
    params(("name" = String, Path, description = "The agent's name"), Fresh),
    responses((status = 200, body = Vec<ExecutionRow>)),
)]
async fn running(
    State(state): State<ApiState>,
    on: OnAgent,
    OriginalUri(uri): OriginalUri,
    query: ReadQuery<NoParams>,
) -> Result<Reply<Vec<ExecutionRow>>> {
    let filter = ExecutionFilter {
        incarnation: Some(on.life.incarnation),
        status: vec![Status::Running],
        ..ExecutionFilter::default()
    };
    list(&state, &Viewer::System, &filter, (None, None), query.fresh, &uri).await
}

/// Shows an execution of an agent.
#[utoipa::path(
    get, path = "/api/agents/{name}/executions/{id}", tag = "executions",
    params(
        ("name" = String, Path, description = "The agent's name"),
        ("id" = uuid::Uuid, Path, description = "The execution's id"),
        LifeQuery, Fresh,
    ),
    responses((status = 200, body = ExecutionRow)),
)]
async fn show_of_agent(
    State(state): State<ApiState>,
    OnExecution(id): OnExecution,
    query: ReadQuery<LifeQuery>,
) -> Result<Reply<ExecutionRow>> {
    record(&state, id, query.fresh).await
}

/// Shows an execution of any agent.
#[utoipa::path(
    get, path = "/api/executions/{id}", tag = "executions",
    params(("id" = uuid::Uuid, Path, description = "The execution's id"), Fresh),
    responses((status = 200, body = ExecutionRow)),
)]
async fn show(
    State(state): State<ApiState>,
    OnExecution(id): OnExecution,
    query: ReadQuery<NoParams>,
) -> Result<Reply<ExecutionRow>> {
    record(&state, id, query.fresh).await
}

/// The execution that a request is about: one of the life that the caller may reach.
pub(super) struct OnExecution(pub(super) ExecutionId);

impl FromRequestParts<ApiState> for OnExecution {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self> {
        let on = OnAgent::from_request_parts(parts, state).await?;
        let params = RawPathParams::from_request_parts(parts, state).await;
        let params = params.map_err(|_| no_execution("?"))?;
        let id = params.iter().find(|(name, _)| *name == "id").map(|(_, id)| id);
        let text = id.unwrap_or_default();
        let id: ExecutionId = text.parse().map_err(|_| no_execution(text))?;
        let origin = state.origins.of_execution(&state.app.log, id).await?;
        match origin.filter(|origin| origin.life == on.life) {
            Some(_) => Ok(Self(id)),
            None => Err(no_execution(id)),
        }
    }
}

async fn record(state: &ApiState, id: ExecutionId, fresh: Fresh) -> Result<Reply<ExecutionRow>> {
    let position = state.caught_up(fresh, VIEWS).await?;
    let row = state.app.views.executions().get(id).await?;
    let mut row = row.ok_or_else(|| super::agents::not_shown_yet(position))?;
    complete_response(state, &mut row).await?;
    Ok(Reply::ok(position, row))
}

/// Puts the whole of a long answer where a row has only its beginning.
pub(super) async fn complete_response(state: &ApiState, row: &mut ExecutionRow) -> Result<()> {
    if row.response_ref.is_some()
        && let Some(whole) = state.app.state.transcripts.response(row.id).await?
    {
        row.response = Some(whole);
    }
    Ok(())
}

/// Ends an execution: SIGINT, a grace, SIGKILL; one that waits is cancelled at once.
///
/// Asking again, or for one that has ended, changes nothing.
#[utoipa::path(
    post, path = "/api/agents/{name}/executions/{id}/terminate", tag = "executions",
    params(
        ("name" = String, Path, description = "The agent's name"),
        ("id" = uuid::Uuid, Path, description = "The execution's id"),
        TerminateQuery,
    ),
    responses((status = 200, body = Terminated)),
)]
async fn terminate(
    State(state): State<ApiState>,
    caller: Caller,
    OnExecution(execution_id): OnExecution,
    Query(query): Query<TerminateQuery>,
    _body: Body<NoFields>,
) -> Result<Reply<Terminated>> {
    let urgency = if query.force == Some(true) { Urgency::Kill } else { Urgency::Graceful };
    let (status, position) = end(&state, execution_id, urgency, caller.metadata()).await?;
    Ok(Reply::ok(position, Terminated { status, execution_id, position }))
}

/// Asks for the end of an execution; gives the position up to which the log says so.
async fn end(
    state: &ApiState,
    id: ExecutionId,
    urgency: Urgency,
    metadata: Metadata,
) -> Result<(TerminatedStatus, i64)> {
    let cancel = tasks::cancel(&state.app.log, id, CancelReason::Requested, urgency, metadata);
    let (cancelled, position) = cancel.await?;
    let status = match cancelled {
        Cancelled::WhileQueued => TerminatedStatus::CancelledWhileQueued,
        Cancelled::Requested => TerminatedStatus::Cancelling,
        Cancelled::AlreadyFinished(Status::Cancelled) => TerminatedStatus::Cancelled,
        Cancelled::AlreadyFinished(_) => TerminatedStatus::AlreadyFinished,
    };
    Ok((status, position))
}

/// The state of an execution, and whether anything of it can still change.
async fn state_of(state: &ApiState, id: ExecutionId) -> Result<Execution> {
    Ok(state.app.log.state::<Execution>(id).await?.state)
}
