//! The server as those who run it see it.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use axum::extract::State;
use chrono::TimeDelta;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::ApiState;
use super::error::{ApiError, Result};
use super::extract::{Fresh, NoParams, ReadQuery};
use super::health::IsolationHealth;
use super::reply::Reply;
use super::wire::millis;
use crate::clock;
use crate::data_dir;
use crate::domain::agent::Phase;
use crate::projections::ProjectionHealth;
use crate::projections::agents::AgentStatus;
use crate::telemetry::metrics::resident_memory_bytes;

/// The read models that something is counted in.
const VIEWS: &[&str] = &["agents", "slots"];

/// Over how long the speed of the log is measured, in seconds.
const SPEED_SECONDS: i32 = 60;

/// How the server is, and what it holds.
#[derive(Debug, Serialize, ToSchema)]
struct System {
    version: &'static str,
    node_id: Uuid,
    /// Since when this node serves.
    #[schema(format = DateTime)]
    started_at: String,
    uptime_seconds: u64,
    store: StoreOfSystem,
    log: LogOfSystem,
    streams: StreamsOfSystem,
    /// Every read model by name.
    projections: BTreeMap<&'static str, ProjectionHealth>,
    disk: DiskOfSystem,
    /// The resident memory of this process; null where the system does not say.
    #[schema(required = true)]
    memory_bytes: Option<u64>,
    agents: AgentsOfSystem,
    executions: ExecutionsOfSystem,
    /// What keeps agents apart that are started from now on.
    isolation: IsolationHealth,
    position: i64,
}

/// Where everything is kept.
#[derive(Debug, Serialize, ToSchema)]
struct StoreOfSystem {
    /// `sqlite` or `postgres`.
    engine: &'static str,
    /// The version of the log's tables.
    schema: i64,
    /// How much room the databases take.
    size_bytes: u64,
}

/// The event log.
#[derive(Debug, Serialize, ToSchema)]
struct LogOfSystem {
    /// Its end, as this node knows it.
    position: i64,
    /// When the last event was recorded; null while there is none.
    #[schema(required = true, format = DateTime)]
    recorded_at: Option<String>,
    /// How many events a second the last minute had.
    events_per_second: f64,
}

/// The streams of this node.
#[derive(Debug, Serialize, ToSchema)]
struct StreamsOfSystem {
    /// How many are open.
    open: usize,
    /// How many were ended because their clients read too slowly, since the start.
    slow_resets_total: u64,
}

/// The disk of the data directory.
#[derive(Debug, Serialize, ToSchema)]
struct DiskOfSystem {
    /// What this server may still take; null where the system does not say.
    #[schema(required = true)]
    data_dir_free_bytes: Option<u64>,
    /// How large it is.
    #[schema(required = true)]
    data_dir_total_bytes: Option<u64>,
}

/// How many agents there are.
#[derive(Debug, Default, Serialize, ToSchema)]
struct AgentsOfSystem {
    running: u64,
    /// Those that are neither running nor failed.
    stopped: u64,
    failed: u64,
}

/// How many executions are under way.
#[derive(Debug, Serialize, ToSchema)]
struct ExecutionsOfSystem {
    running: u64,
    queued: u64,
}

/// The routes of this resource.
pub(super) fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(show))
}

/// Shows how the server is, for those who run it.
#[utoipa::path(
    get, path = "/api/system", tag = "health", params(Fresh),
    responses((status = 200, body = System)),
)]
async fn show(
    axum::extract::State(state): State<ApiState>,
    query: ReadQuery<NoParams>,
) -> Result<Reply<System>> {
    let position = state.caught_up(query.fresh, VIEWS).await?;
    let app = &state.app;
    let uptime = (clock::now() - app.started_at).num_seconds();
    let space = data_dir::space(app.data_dir.path()).ok();
    let slots = app.views.slots().totals().await?;
    let system = System {
        version: env!("CARGO_PKG_VERSION"),
        node_id: app.node_id,
        started_at: millis(app.started_at),
        uptime_seconds: u64::try_from(uptime).unwrap_or_default(),
        store: store(&state).await?,
        log: log(&state).await?,
        streams: StreamsOfSystem {
            open: state.streams_open(),
            slow_resets_total: state.slow_resets(),
        },
        projections: app.views.health(),
        disk: DiskOfSystem {
            data_dir_free_bytes: space.map(|space| space.free_bytes),
            data_dir_total_bytes: space.map(|space| space.total_bytes),
        },
        memory_bytes: resident_memory_bytes(),
        agents: agents(&state).await?,
        executions: ExecutionsOfSystem { running: slots.active, queued: slots.queued },
        isolation: IsolationHealth::of(&state),
        position,
    };
    Ok(Reply::ok(position, system))
}

async fn store(state: &ApiState) -> Result<StoreOfSystem> {
    let app = &state.app;
    let schema = app.log.schema_version();
    if app.config.database_url.is_some() {
        let size_bytes = app.views.database_bytes().await?;
        return Ok(StoreOfSystem { engine: "postgres", schema, size_bytes });
    }
    let size_bytes = databases_bytes(app.data_dir.path()).await;
    let size_bytes = size_bytes.map_err(|error| ApiError::internal(&error))?;
    Ok(StoreOfSystem { engine: "sqlite", schema, size_bytes })
}

/// The size of the databases in the data directory, with their write-ahead logs.
async fn databases_bytes(dir: &Path) -> anyhow::Result<u64> {
    let mut entries = tokio::fs::read_dir(dir).await.context("cannot list the data directory")?;
    let mut bytes = 0;
    while let Some(entry) = entries.next_entry().await? {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.ends_with(".db") || name.ends_with(".db-wal") {
            // One that goes while it is looked at takes no room.
            bytes += entry.metadata().await.map_or(0, |metadata| metadata.len());
        }
    }
    Ok(bytes)
}

async fn log(state: &ApiState) -> Result<LogOfSystem> {
    let log = &state.app.log;
    let position = log.head();
    let before = clock::now() - TimeDelta::seconds(i64::from(SPEED_SECONDS));
    let events = (position - log.position_at(before).await?).max(0);
    let recorded_at = log.recorded_at(position).await?.map(millis);
    #[expect(clippy::cast_precision_loss, reason = "a speed needs no more")]
    let events_per_second = events as f64 / f64::from(SPEED_SECONDS);
    Ok(LogOfSystem { position, recorded_at, events_per_second })
}

async fn agents(state: &ApiState) -> Result<AgentsOfSystem> {
    let mut agents = AgentsOfSystem::default();
    for (phase, count) in state.app.views.agents().phases().await? {
        let kind = match (phase, phase.into()) {
            (Phase::Failed, _) => &mut agents.failed,
            (_, AgentStatus::Running) => &mut agents.running,
            _ => &mut agents.stopped,
        };
        *kind += count;
    }
    Ok(agents)
}
