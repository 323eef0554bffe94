//! Read models built again.

use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ApiState;
use super::error::{ApiError, Result};
use super::extract::{Body, NoFields, NoParams, Path, Query};
use super::reply::Reply;
use crate::projections::RebuildError;

/// A rebuild that goes on.
#[derive(Debug, Serialize, ToSchema)]
struct Rebuilding {
    name: String,
    /// `rebuilding`; `/api/health` shows how far it is.
    status: &'static str,
    position: i64,
}

/// The routes of this resource.
pub(super) fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(rebuild))
}

/// Builds a read model again from the first event, beside the live one, and swaps it in.
#[utoipa::path(
    post, path = "/api/projections/{name}/rebuild", tag = "events",
    params(("name" = String, Path, description = "The read model, such as `executions`")),
    responses((status = 202, body = Rebuilding)),
)]
async fn rebuild(
    State(state): State<ApiState>,
    Path(name): Path<String>,
    _query: Query<NoParams>,
    _body: Body<NoFields>,
) -> Result<Reply<Rebuilding>> {
    match state.app.views.rebuild(&name).await {
        Ok(()) => {}
        Err(error @ RebuildError::Unknown { .. }) => {
            return Err(ApiError::new(super::error::Code::NotFound, error.to_string()));
        }
        Err(RebuildError::Db(error)) => return Err(error.into()),
        Err(error) => return Err(ApiError::internal(&anyhow::Error::new(error))),
    }
    let position = state.app.log.head();
    let body = Rebuilding { name, status: "rebuilding", position };
    Ok(Reply::ok(position, body).status(StatusCode::ACCEPTED))
}
