//! Executions counted: how many of each kind, and how they went.

use axum::extract::State;
use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{ExecutionQuery, names};
use crate::api::ApiState;
use crate::api::auth::Caller;
use crate::api::error::{ApiError, Result};
use crate::api::extract::{Fresh, ReadQuery};
use crate::api::page::ListQuery;
use crate::api::reply::Reply;
use crate::clock;
use crate::projections::executions::ExecutionFilter;
use crate::projections::statistics;

const VIEWS: &[&str] = &["agents", "executions"];

/// How far back executions are counted unless the client says so, in hours.
const HOURS_DEFAULT: u32 = 24;

/// How far back executions are counted at most, in hours: a year.
const HOURS_MAX: u32 = 24 * 366;

#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct FacetsQuery {
    /// Only these agents, separated by commas.
    agent: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct StatsQuery {
    /// How far back to count, in hours.
    #[param(minimum = 1, maximum = 8784, default = 24)]
    hours: Option<u32>,
    /// Only these agents, separated by commas.
    agent: Option<String>,
}

/// How many executions there are of each value.
#[derive(Debug, Serialize, ToSchema)]
struct Facets {
    #[serde(flatten)]
    facets: statistics::FacetCounts,
    position: i64,
}

/// How the executions of the last hours went.
#[derive(Debug, Serialize, ToSchema)]
struct Stats {
    /// How far back was counted.
    hours: u32,
    #[serde(flatten)]
    totals: statistics::Totals,
    position: i64,
}

pub(super) fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(facets)).routes(routes!(stats))
}

/// Counts executions by status, trigger and agent, and adds up what they cost.
#[utoipa::path(
    get, path = "/api/executions/facets", tag = "executions",
    params(ExecutionQuery, FacetsQuery, Fresh),
    responses((status = 200, body = Facets)),
)]
async fn facets(
    State(state): State<ApiState>,
    caller: Caller,
    query: ListQuery<ExecutionQuery, FacetsQuery>,
) -> Result<Reply<Facets>> {
    let filter = ExecutionFilter {
        agent: names("agent", query.params.agent.as_deref())?,
        ..query.filter.filter()?
    };
    let position = state.caught_up(query.fresh, VIEWS).await?;
    let viewer = state.viewer(&caller).await?;
    let facets = state.app.views.statistics().facets(&viewer, &filter).await?;
    Ok(Reply::ok(position, Facets { facets, position }))
}

/// Says how the executions of the last hours went.
#[utoipa::path(
    get, path = "/api/executions/stats", tag = "executions",
    params(StatsQuery, Fresh),
    responses((status = 200, body = Stats)),
)]
async fn stats(
    State(state): State<ApiState>,
    caller: Caller,
    query: ReadQuery<StatsQuery>,
) -> Result<Reply<Stats>> {
    let hours = query.params.hours.unwrap_or(HOURS_DEFAULT);
    if !(1..=HOURS_MAX).contains(&hours) {
        let detail = format!("hours is {hours}; it must be 1 to {HOURS_MAX}");
        return Err(ApiError::parameter("hours", detail));
    }
    let filter = ExecutionFilter {
        agent: names("agent", query.params.agent.as_deref())?,
        from: Some(clock::now() - TimeDelta::hours(i64::from(hours))),
        ..ExecutionFilter::default()
    };
    let position = state.caught_up(query.fresh, VIEWS).await?;
    let viewer = state.viewer(&caller).await?;
    let totals = state.app.views.statistics().totals(&viewer, &filter).await?;
    Ok(Reply::ok(position, Stats { hours, totals, position }))
}
