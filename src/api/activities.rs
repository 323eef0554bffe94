//! The activity stream: what happened, for people.

use axum::extract::{OriginalUri, State};
use axum::http::Uri;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ApiState;
use super::auth::{Caller, OnAgent};
use super::error::{ApiError, Result};
use super::executions::{dollars, names, text, words};
use super::extract::{Fresh, Path, ReadQuery};
use super::moment::{AsOf, PlaceText};
use super::page::{self, ListQuery};
use super::reply::Reply;
use crate::domain::{EventId, ExecutionId, IncarnationId};
use crate::projections::activities::{ActivityFilter, ActivityRow};
use crate::projections::{Filter as _, Viewer};

const VIEWS: &[&str] = &["activities", "agents"];
/// Words of messages are found by those of executions.
const VIEWS_OF_SEARCH: &[&str] = &["activities", "agents", "executions"];

/// Which entries are wanted.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ActivityQuery {
    /// Only these states, separated by commas.
    activity_state: Option<String>,
    /// Only what was triggered by these: `user`, `schedule` or `agent`, separated by commas.
    triggered_by: Option<String>,
    /// Only entries of this time or later.
    #[param(value_type = Option<String>, format = DateTime)]
    start_time: Option<DateTime<Utc>>,
    /// Only entries before this time.
    #[param(value_type = Option<String>, format = DateTime)]
    end_time: Option<DateTime<Utc>>,
    /// Only beginnings and ends of runs known to have cost so many dollars or more.
    #[param(minimum = 0)]
    cost_min: Option<f64>,
    /// Only beginnings and ends of runs known to have cost so many dollars or less.
    #[param(minimum = 0)]
    cost_max: Option<f64>,
    /// Only entries that open with a message with every word of this text, whole and without regard to
    /// case; a sign such as `%` counts as a word.
    #[param(max_length = 1000)]
    q: Option<String>,
}

impl ActivityQuery {
    /// The filter of the read model, but for whose entries and of which types.
    fn filter(self) -> Result<ActivityFilter> {
        Ok(ActivityFilter {
            activity_state: words("activity_state", self.activity_state.as_deref())?,
            triggered_by: words("triggered_by", self.triggered_by.as_deref())?,
            start_time: self.start_time,
            end_time: self.end_time,
            cost_min: dollars("cost_min", self.cost_min)?,
            cost_max: dollars("cost_max", self.cost_max)?,
            q: text("q", self.q)?,
            ..ActivityFilter::default()
        })
    }
}

/// Which page of one agent's entries is wanted.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct OfAgentQuery {
    /// Only these types, separated by commas.
    activity_type: Option<String>,
    /// Only entries about this execution.
    #[param(value_type = Option<uuid::Uuid>)]
    related_execution_id: Option<ExecutionId>,
    /// The most entries to answer with. Where no index knows which fit, a page may hold fewer and
    /// still have a next one.
    #[param(minimum = 1, maximum = 1000, default = 50)]
    limit: Option<u32>,
    /// Where the page begins: `next_cursor` of the page before.
    cursor: Option<String>,
    /// An earlier life of the name, for its owner then and for administrators.
    #[param(value_type = Option<uuid::Uuid>)]
    #[expect(dead_code, reason = "the authorization reads it")]
    incarnation: Option<IncarnationId>,
    /// Answer with what was so at this position of the log or at this time (RFC 3339).
    #[param(inline, value_type = Option<PlaceText>)]
    as_of: Option<String>,
}

/// Which page of all agents' entries is wanted.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct TimelineQuery {
    /// Only these types, separated by commas.
    activity_types: Option<String>,
    /// Only these agents, separated by commas.
    agent: Option<String>,
    /// The most entries to answer with. Where no index knows which fit, a page may hold fewer and
    /// still have a next one.
    #[param(minimum = 1, maximum = 1000, default = 50)]
    limit: Option<u32>,
    /// Where the page begins: `next_cursor` of the page before.
    cursor: Option<String>,
    /// Answer with what was so at this position of the log or at this time (RFC 3339).
    #[param(inline, value_type = Option<PlaceText>)]
    as_of: Option<String>,
}

/// A page of the activity stream, newest first.
#[derive(Debug, Serialize, ToSchema)]
struct ActivityPage {
    /// How many entries this page has.
    count: usize,
    activities: Vec<ActivityRow>,
    /// Where the next page begins; null on the last one.
    next_cursor: Option<String>,
    position: i64,
}

/// The routes of this resource.
pub(super) fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(of_agent)).routes(routes!(timeline)).routes(routes!(show))
}

/// Lists what happened on an agent, newest first.
#[utoipa::path(
    get, path = "/api/agents/{name}/activities", tag = "activities",
    params(("name" = String, Path, description = "The agent's name"), ActivityQuery, OfAgentQuery, Fresh),
    responses((status = 200, body = ActivityPage)),
)]
async fn of_agent(
    State(state): State<ApiState>,
    on: OnAgent,
    OriginalUri(uri): OriginalUri,
    query: ListQuery<ActivityQuery, OfAgentQuery>,
) -> Result<Reply<ActivityPage>> {
    let asked = query.params;
    let filter = ActivityFilter {
        incarnation: Some(on.life.incarnation),
        activity_type: words("activity_type", asked.activity_type.as_deref())?,
        related_execution_id: asked.related_execution_id,
        ..query.filter.filter()?
    };
    let bounds = (asked.limit, asked.cursor.as_deref());
    let when = (asked.as_of.as_deref(), query.fresh);
    list((&state, &uri), &Viewer::System, filter, bounds, when).await
}

/// Lists what happened on every agent the caller may see, newest first.
#[utoipa::path(
    get, path = "/api/activities/timeline", tag = "activities",
    params(ActivityQuery, TimelineQuery, Fresh),
    responses((status = 200, body = ActivityPage)),
)]
async fn timeline(
    State(state): State<ApiState>,
    caller: Caller,
    OriginalUri(uri): OriginalUri,
    query: ListQuery<ActivityQuery, TimelineQuery>,
) -> Result<Reply<ActivityPage>> {
    let asked = query.params;
    let filter = ActivityFilter {
        agent: names("agent", asked.agent.as_deref())?,
        activity_type: words("activity_types", asked.activity_types.as_deref())?,
        ..query.filter.filter()?
    };
    let viewer = state.viewer(&caller).await?;
    let bounds = (asked.limit, asked.cursor.as_deref());
    let when = (asked.as_of.as_deref(), query.fresh);
    list((&state, &uri), &viewer, filter, bounds, when).await
}

async fn list(
    (state, uri): (&ApiState, &Uri),
    viewer: &Viewer,
    mut filter: ActivityFilter,
    (limit, cursor): (Option<u32>, Option<&str>),
    (as_of, fresh): (Option<&str>, Fresh),
) -> Result<Reply<ActivityPage>> {
    let views = if filter.words().is_some() { VIEWS_OF_SEARCH } else { VIEWS };
    let (position, found) = if let Some(as_of) = as_of {
        let until = state.place("as_of", as_of).await?;
        filter.until = Some(until);
        let page = filter.page(limit, cursor)?;
        reached(state, views, until.0, fresh).await?;
        let activities = state.app.views.activities_at(until.0);
        (until.0, activities.list(viewer, &filter, &page).await?)
    } else {
        let page = filter.page(limit, cursor)?;
        let position = state.caught_up(fresh, views).await?;
        (position, state.app.views.activities().list(viewer, &filter, &page).await?)
    };
    let (activities, next_cursor) = (found.items, found.next_cursor);
    let count = activities.len();
    let next = next_cursor.as_deref().and_then(|cursor| page::next_link(uri, cursor));
    let body = ActivityPage { count, activities, next_cursor, position };
    Ok(Reply::ok(position, body).link(next))
}

/// Waits until the entries are known that a moment had.
async fn reached(state: &ApiState, views: &[&str], position: i64, fresh: Fresh) -> Result<()> {
    let min_position = Some(fresh.min_position.unwrap_or_default().max(position));
    state.caught_up(Fresh { min_position, ..fresh }, views).await?;
    Ok(())
}

/// Shows one entry.
#[utoipa::path(
    get, path = "/api/activities/{id}", tag = "activities",
    params(("id" = uuid::Uuid, Path, description = "The entry's id"), AsOf, Fresh),
    responses((status = 200, body = ActivityRow)),
)]
async fn show(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<EventId>,
    query: ReadQuery<AsOf>,
) -> Result<Reply<ActivityRow>> {
    let viewer = state.viewer(&caller).await?;
    let (position, found) = if let Some(as_of) = &query.params.as_of {
        let (position, _) = state.place("as_of", as_of).await?;
        reached(&state, VIEWS, position, query.fresh).await?;
        (position, state.app.views.activities_at(position).get(&viewer, id).await?)
    } else {
        let position = state.caught_up(query.fresh, VIEWS).await?;
        (position, state.app.views.activities().get(&viewer, id).await?)
    };
    let found = found.ok_or_else(|| ApiError::not_found(format_args!("activity `{id}`")))?;
    Ok(Reply::ok(position, found))
}
