//! Agents: the list, one agent, creation, start, stop, deletion.

mod container;
mod create;
mod read_only;
mod settings;
mod sharing;
mod slot_history;
mod slots;
mod system;
mod transition;

pub(super) use settings::{Current, check_model, current};

use axum::extract::{OriginalUri, State};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ApiState;
use super::auth::{Caller, OnAgent};
use super::error::{ApiError, Code, Result};
use super::etag::IfNoneMatch;
use super::extract::{Fresh, ReadQuery};
use super::moment::{AgentAsOf, PlaceText};
use super::page;
use super::reply::Reply;
use crate::domain::StreamId;
use crate::domain::agent::Agent;
use crate::projections::Filter as _;
use crate::projections::agents::{AgentDetail, AgentFilter, AgentRow};

/// The read models that an agent's row is made of.
pub(super) const VIEWS: &[&str] = &["agents", "slots", "accounts"];

#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// The most agents to answer with.
    #[param(minimum = 1, maximum = 1000, default = 50)]
    limit: Option<u32>,
    /// Where the page begins: from the `Link` header of the page before.
    cursor: Option<String>,
    /// Only agents with this tag.
    tag: Option<String>,
    /// Answer with what was so at this position of the log or at this time (RFC 3339).
    #[param(inline, value_type = Option<PlaceText>)]
    as_of: Option<String>,
}

/// The routes of this resource.
pub(super) fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list, create::create))
        .routes(routes!(show, transition::delete))
        .routes(routes!(transition::start))
        .routes(routes!(transition::stop))
        .routes(routes!(transition::pause))
        .routes(routes!(transition::unpause))
        .merge(settings::router())
        .merge(container::router())
        .merge(read_only::router())
        .merge(sharing::router())
        .merge(slots::router())
        .merge(slot_history::router())
        .merge(system::router())
}

/// Lists the agents the caller may see, newest first; an agent's key sees the names of all.
///
/// The header `Link` leads to the next page.
#[utoipa::path(
    get, path = "/api/agents", tag = "agents",
    params(ListQuery, Fresh),
    responses((status = 200, body = Vec<AgentRow>)),
)]
async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    OriginalUri(uri): OriginalUri,
    query: ReadQuery<ListQuery>,
) -> Result<Response> {
    let ListQuery { limit, cursor, tag, as_of } = query.params;
    let filter = AgentFilter { tag };
    let page = filter.page(limit, cursor.as_deref())?;
    let moment = state.moment(as_of.as_deref(), query.fresh, VIEWS).await?;
    let viewer = state.viewer_of_agents_at(&caller, &moment).await?;
    let mut found = moment.agents().list(&viewer, &filter, &page).await?;
    if as_of.is_none() {
        found.items.iter_mut().for_each(|row| add_isolation(&state, row));
    }
    let next = found.next_cursor.as_deref().and_then(|cursor| page::next_link(&uri, cursor));
    Ok(Reply::ok(moment.position, found.items).link(next).into_response())
}

/// Shows an agent with everything that its page needs.
#[utoipa::path(
    get, path = "/api/agents/{name}", tag = "agents",
    params(
        ("name" = String, Path, description = "The agent's name"), AgentAsOf, Fresh, IfNoneMatch,
    ),
    responses((status = 200, body = AgentDetail)),
)]
async fn show(
    State(state): State<ApiState>,
    caller: Caller,
    on: OnAgent,
    known: IfNoneMatch,
    query: ReadQuery<AgentAsOf>,
) -> Result<Response> {
    let moment = state.moment(query.params.as_of.as_deref(), query.fresh, VIEWS).await?;
    let viewer = state.viewer_at(&caller, &moment).await?;
    let found = moment.agents().detail(&viewer, &on.life.name).await?;
    let found = found.filter(|detail| detail.agent.incarnation == on.life.incarnation);
    let mut found = found.ok_or_else(|| moment.not_there(&on))?;
    if query.params.as_of.is_none() {
        add_isolation(&state, &mut found.agent);
        add_changes_of_host(&state, &mut found);
    }
    let reply = Reply::ok(moment.position, found);
    // Only a version that the row shows may be named: a caller that relies on it has seen it all.
    let stream = StreamId::of::<Agent>(&on.life.name);
    let named = state.app.log.stream(&stream, on.version - 1, 1).await?.pop();
    Ok(match named.filter(|event| event.position <= moment.position) {
        Some(event) => reply.unless_known(event.version, &known),
        None => reply.into_response(),
    })
}

/// Adds to an agent's row what its host says of this moment and no event does.
pub(super) fn add_isolation(state: &ApiState, row: &mut AgentRow) {
    let (app, host) = (&state.app, &state.app.host);
    let is_here = row.node_id.is_none_or(|node_id| node_id == app.node_id);
    // Before it has a place, it is what it will be.
    let expected = || is_here.then(|| host.isolation_plan().of(None));
    if let Some(isolation) = host.isolation(row.incarnation.0).or_else(expected) {
        row.isolation = Some(isolation.kind.word());
        row.landlock_abi = isolation.landlock_abi;
        row.run_uid = isolation.uid;
    }
}

/// Adds to an agent what was set on its host since it started.
fn add_changes_of_host(state: &ApiState, detail: &mut AgentDetail) {
    let now = container::host_hash(state, detail.agent.node_id, detail.base_image.as_deref());
    let changes = detail.host_hash.as_ref().zip(now);
    detail.restart_needed |= changes.is_some_and(|(then, now)| *then != now);
}

/// The answer when the log has it and the read model does not, yet.
pub(super) fn not_shown_yet(position: i64) -> ApiError {
    let detail = format!("the read model has got to position {position}; try again in a moment");
    ApiError::new(Code::ProjectionLag, detail)
}
