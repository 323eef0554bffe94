//! Metrics for Prometheus.

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use metrics::{counter, gauge};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ApiState;
use super::error::Result;
use super::extract::{NoParams, Query};
use crate::telemetry::metrics as collected;

/// The text format of Prometheus.
const TEXT_FORMAT: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4");

/// The routes of this resource.
pub(super) fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(show))
}

/// Shows what this node has counted, for Prometheus; open to all if the server is set up so.
#[utoipa::path(
    get, path = "/metrics", tag = "health",
    responses((status = 200, body = String, content_type = "text/plain")),
)]
async fn show(State(state): State<ApiState>, _query: Query<NoParams>) -> Result<Response> {
    look(&state).await?;
    Ok(([(header::CONTENT_TYPE, TEXT_FORMAT)], collected::render()).into_response())
}

/// Looks at what merely is, and is not counted by whoever does it.
#[expect(clippy::cast_precision_loss, reason = "Prometheus knows no other numbers")]
async fn look(state: &ApiState) -> Result<()> {
    let app = &state.app;
    gauge!(collected::LOG_POSITION).set(app.log.head() as f64);
    for (name, health) in app.views.health() {
        gauge!(collected::PROJECTION_LAG, "projection" => name).set(health.lag as f64);
        let degraded = f64::from(u8::from(health.degraded));
        gauge!(collected::PROJECTION_DEGRADED, "projection" => name).set(degraded);
    }
    let slots = app.views.slots().totals().await?;
    gauge!(collected::EXECUTIONS, "status" => "running").set(slots.active as f64);
    gauge!(collected::EXECUTIONS, "status" => "queued").set(slots.queued as f64);
    gauge!(collected::SLOTS).set(slots.max as f64);
    gauge!(collected::STREAMS).set(state.streams_open() as f64);
    counter!(collected::SLOW_RESETS).absolute(state.slow_resets());
    if let Some(bytes) = collected::resident_memory_bytes() {
        gauge!(collected::RESIDENT_MEMORY).set(bytes as f64);
    }
    Ok(())
}
