//! The last run of each agent.

use std::collections::BTreeMap;

use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::ApiState;
use crate::api::auth::Caller;
use crate::api::error::Result;
use crate::api::extract::{Fresh, NoParams, ReadQuery};
use crate::api::reply::Reply;
use crate::domain::AgentName;
use crate::projections::executions::LatestExecution;

const VIEWS: &[&str] = &["agents", "executions"];

/// What each agent was given last.
#[derive(Debug, Serialize, ToSchema)]
struct LatestExecutions {
    /// By name; an agent that has never run anything is left out.
    #[schema(value_type = BTreeMap<String, LatestExecution>)]
    agents: BTreeMap<AgentName, LatestExecution>,
    position: i64,
}

pub(super) fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(latest))
}

/// Shows the newest execution of each agent that the caller may see.
#[utoipa::path(
    get, path = "/api/executions/latest", tag = "executions",
    params(Fresh),
    responses((status = 200, body = LatestExecutions)),
)]
async fn latest(
    State(state): State<ApiState>,
    caller: Caller,
    query: ReadQuery<NoParams>,
) -> Result<Reply<LatestExecutions>> {
    let position = state.caught_up(query.fresh, VIEWS).await?;
    let viewer = state.viewer(&caller).await?;
    let agents = state.app.views.executions().latest(&viewer).await?;
    Ok(Reply::ok(position, LatestExecutions { agents, position }))
}
