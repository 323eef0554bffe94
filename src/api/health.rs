//! How the server is.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::ApiState;
use super::error::{ApiError, Code, Result};
use super::extract::{NoParams, Query};
use super::reply::Reply;
use super::wire::millis;
use crate::clock;
use crate::projections::ProjectionHealth;

/// How long the event log may take to answer before the server counts as degraded.
const PROBE_MAX: Duration = Duration::from_secs(1);

/// How the server is.
#[derive(Debug, Serialize, ToSchema)]
struct Health {
    /// `healthy`, or `degraded` when the event log does not answer, or something that is shown may
    /// be out of date.
    status: Status,
    #[schema(format = DateTime)]
    timestamp: String,
    version: &'static str,
    node_id: Uuid,
    /// The end of the log, as this node knows it.
    log_position: i64,
    /// Every read model by name.
    projections: BTreeMap<&'static str, ProjectionHealth>,
    /// Where agents live.
    agent_host: &'static str,
    /// What keeps agents apart that are started from now on.
    isolation: IsolationHealth,
    /// Redis, where it is used: `connected` or `away`, which costs latency alone; null where it is not.
    redis: Option<&'static str>,
    /// What of the library was not copied from its repository yet: `skills`, `templates`. What needs
    /// it is refused with the reason.
    library_missing: Vec<&'static str>,
}

/// What keeps agents apart.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = HostIsolation)]
pub(super) struct IsolationHealth {
    /// `container`: each agent is alone in one; `uid`: each has a user of its own; `landlock`: runs
    /// are confined; or `none`.
    kind: &'static str,
    /// The version of Landlock that confines runs; null where none does.
    #[schema(required = true)]
    landlock_abi: Option<u32>,
    /// Why it is not more, and what would make it so; null when nothing is missing.
    #[schema(required = true)]
    shortfall: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Status {
    Healthy,
    Degraded,
}

/// A server that answers.
#[derive(Debug, Serialize, ToSchema)]
struct Alive {
    /// `alive` or `ready`.
    status: &'static str,
}

impl IsolationHealth {
    /// What keeps agents of this node apart.
    pub(super) fn of(state: &ApiState) -> Self {
        let plan = state.app.host.isolation_plan();
        let (kind, landlock_abi) = (plan.kind.word(), plan.landlock_abi);
        Self { kind, landlock_abi, shortfall: plan.shortfall.clone() }
    }
}

/// The routes of this resource.
pub(super) fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(health))
        .routes(routes!(short_health))
        .routes(routes!(alive))
        .routes(routes!(ready))
}

async fn look(state: &ApiState) -> Health {
    let app = &state.app;
    let projections = app.views.health();
    let answers = matches!(tokio::time::timeout(PROBE_MAX, app.log.probe()).await, Ok(Ok(())));
    let degraded = !answers || projections.values().any(|projection| projection.degraded);
    Health {
        status: if degraded { Status::Degraded } else { Status::Healthy },
        timestamp: millis(clock::now()),
        version: env!("CARGO_PKG_VERSION"),
        node_id: app.node_id,
        log_position: app.log.head(),
        projections,
        agent_host: app.config.agent_host.into(),
        isolation: IsolationHealth::of(state),
        redis: match &app.redis {
            Some(redis) if redis.is_there().await => Some("connected"),
            Some(_) => Some("away"),
            None => None,
        },
        library_missing: app.library.missing(),
    }
}

/// Says how the server is; 200 as long as it serves requests, also when it is degraded.
#[utoipa::path(get, path = "/api/health", tag = "health",
    responses((status = 200, body = Health)))]
async fn health(State(state): State<ApiState>, _query: Query<NoParams>) -> Reply<Health> {
    let health = look(&state).await;
    Reply::ok(health.log_position, health)
}

/// The same under the short path.
#[utoipa::path(get, path = "/health", tag = "health", responses((status = 200, body = Health)))]
async fn short_health(State(state): State<ApiState>, _query: Query<NoParams>) -> Reply<Health> {
    let health = look(&state).await;
    Reply::ok(health.log_position, health)
}

/// Says that the process answers.
#[utoipa::path(get, path = "/livez", tag = "health", responses((status = 200, body = Alive)))]
async fn alive(_query: Query<NoParams>) -> axum::Json<Alive> {
    axum::Json(Alive { status: "alive" })
}

/// Says whether requests should be sent here: 503 while degraded or shutting down.
#[utoipa::path(get, path = "/readyz", tag = "health", responses((status = 200, body = Alive)))]
async fn ready(State(state): State<ApiState>, _query: Query<NoParams>) -> Result<Response> {
    if state.app.shutdown.is_cancelled() {
        return Err(ApiError::new(Code::NotReady, "the server is shutting down"));
    }
    if look(&state).await.status == Status::Degraded {
        let detail = "the event log does not answer or a read model stands still; \
                      /api/health says more";
        return Err(ApiError::new(Code::NotReady, detail));
    }
    Ok((StatusCode::OK, axum::Json(Alive { status: "ready" })).into_response())
}
