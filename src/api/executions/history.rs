//! The course of things: how executions went from hour to hour or day to day, and what fails.

use axum::extract::State;
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::names;
use crate::api::ApiState;
use crate::api::auth::Caller;
use crate::api::error::{ApiError, Result};
use crate::api::extract::{Fresh, ReadQuery};
use crate::api::reply::Reply;
use crate::clock;
use crate::projections::Timestamp;
use crate::projections::statistics::{
    BUCKETS_MAX, BucketWidth, FAILURE_HOURS_MAX, FailureGroup, HistoryBucket, Span,
};

const VIEWS: &[&str] = &["agents", "executions"];

/// How far back to look unless the client says so, in hours.
const HOURS_DEFAULT: i64 = 24;

#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct HistoryQuery {
    /// Only these agents, separated by commas.
    agent: Option<String>,
    /// From the hour or day of this time on; 24 hours before `to` when left out.
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<DateTime<Utc>>,
    /// Up to the end of the hour or day of this time; now when left out.
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<DateTime<Utc>>,
    /// How long a bucket is; days are those of UTC.
    #[param(inline)]
    bucket: Option<BucketWidth>,
}

#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct FailuresQuery {
    /// Only these agents, separated by commas.
    agent: Option<String>,
    /// From the hour of this time on; 24 hours before `to` when left out.
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<DateTime<Utc>>,
    /// Up to the end of the hour of this time; now when left out.
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<DateTime<Utc>>,
}

/// How executions went, bucket by bucket.
#[derive(Debug, Serialize, ToSchema)]
struct History {
    /// How long each bucket is.
    bucket: BucketWidth,
    /// Every bucket of the time, the oldest first; at most 400.
    buckets: Vec<HistoryBucket>,
    position: i64,
}

/// What fails.
#[derive(Debug, Serialize, ToSchema)]
struct Failures {
    /// The most frequent ones first; at most 50.
    failures: Vec<FailureGroup>,
    position: i64,
}

pub(super) fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(history)).routes(routes!(failures))
}

/// Says how the executions went that ended within each hour or day.
///
/// Executions are counted as they end, under the time of their end, together with their durations in
/// classes three percent wide: percentiles are of all of them, to within three percent. The first
/// and the last bucket are counted whole.
#[utoipa::path(
    get, path = "/api/executions/history", tag = "executions",
    params(HistoryQuery, Fresh),
    responses((status = 200, body = History)),
)]
async fn history(
    State(state): State<ApiState>,
    caller: Caller,
    query: ReadQuery<HistoryQuery>,
) -> Result<Reply<History>> {
    let HistoryQuery { agent, from, to, bucket } = query.params;
    let agents = names("agent", agent.as_deref())?;
    let bucket = bucket.unwrap_or_default();
    let span = span(bucket, from, to, BUCKETS_MAX)?;
    let position = state.caught_up(query.fresh, VIEWS).await?;
    let viewer = state.viewer(&caller).await?;
    let buckets = state.app.views.statistics().history(&viewer, &agents, span).await?;
    Ok(Reply::ok(position, History { bucket, buckets, position }))
}

/// Shows what failed and ended within a time, by kind of failure and agent.
///
/// The first and the last hour are counted whole.
#[utoipa::path(
    get, path = "/api/executions/failures", tag = "executions",
    params(FailuresQuery, Fresh),
    responses((status = 200, body = Failures)),
)]
async fn failures(
    State(state): State<ApiState>,
    caller: Caller,
    query: ReadQuery<FailuresQuery>,
) -> Result<Reply<Failures>> {
    let FailuresQuery { agent, from, to } = query.params;
    let agents = names("agent", agent.as_deref())?;
    let span = span(BucketWidth::Hour, from, to, FAILURE_HOURS_MAX)?;
    let position = state.caught_up(query.fresh, VIEWS).await?;
    let viewer = state.viewer(&caller).await?;
    let failures = state.app.views.statistics().failures(&viewer, &agents, span).await?;
    Ok(Reply::ok(position, Failures { failures, position }))
}

/// The buckets that are asked for.
fn span(
    width: BucketWidth,
    from: Option<DateTime<Utc>>,
    to: Option<DateTime<Utc>>,
    buckets_max: i64,
) -> Result<Span> {
    let end = Timestamp(to.unwrap_or_else(clock::now));
    let span = match (from, width) {
        (Some(from), _) => Span::around(width, Timestamp(from), end),
        (None, BucketWidth::Hour) => Span::last(width, HOURS_DEFAULT, end),
        (None, BucketWidth::Day) => {
            let from = end.0.checked_sub_signed(TimeDelta::hours(HOURS_DEFAULT));
            Span::around(width, Timestamp(from.unwrap_or(end.0)), end)
        }
    };
    if span.is_empty() {
        let name = if from.is_some() { "from" } else { "to" };
        return Err(ApiError::parameter(name, "from must be before to"));
    }
    if span.len() > buckets_max {
        let detail = format!(
            "this is {} buckets; at most {buckets_max} are counted: ask for less time or for days",
            span.len()
        );
        return Err(ApiError::parameter("from", detail));
    }
    Ok(span)
}
