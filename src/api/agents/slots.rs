//! Slots and queues: how full agents are, how many may run at once, and what waits.

use std::collections::BTreeMap;

use axum::extract::State;
use chrono::SecondsFormat;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::ApiState;
use crate::api::auth::{Caller, OnAgent};
use crate::api::error::Result;
use crate::api::etag::IfMatch;
use crate::api::extract::{Body, Fields, Fresh, NoFields, NoParams, Query, ReadQuery};
use crate::api::moment::{AgentAsOf, AsOf};
use crate::api::reply::{Reply, Written};
use crate::commands::{agents, tasks};
use crate::domain::AgentName;
use crate::domain::execution::{CancelReason, Urgency};
use crate::domain::slots::Slots;
use crate::projections::Timestamp;
use crate::projections::slots::{Capacity, Queue, SlotCounts};

/// The read models that these answers are made of.
const VIEWS: &[&str] = &["slots", "executions"];

/// How full every agent is.
#[derive(Debug, Serialize, ToSchema)]
struct AllSlots {
    /// By name.
    agents: BTreeMap<String, SlotCounts>,
    /// When this was so.
    #[schema(format = DateTime)]
    timestamp: String,
    /// The position at which it was so.
    position: i64,
}

/// How many executions may run at once.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SetCapacity {
    /// The number.
    #[schema(minimum = 1, maximum = 32)]
    max_parallel_tasks: u32,
}

impl Fields for SetCapacity {}

/// A queue that was emptied.
#[derive(Debug, Serialize, ToSchema)]
struct EmptiedQueue {
    /// `cleared`.
    status: &'static str,
    #[schema(value_type = String)]
    agent: AgentName,
    /// How many executions were cancelled.
    cleared_count: usize,
    position: i64,
}

/// An agent whose slots were asked back.
#[derive(Debug, Serialize, ToSchema)]
struct Released {
    /// `released`.
    status: &'static str,
    #[schema(value_type = String)]
    agent: AgentName,
    /// Whether anything held a slot.
    was_running: bool,
    position: i64,
}

pub(super) fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(all))
        .routes(routes!(capacity, set_capacity))
        .routes(routes!(queue))
        .routes(routes!(clear))
        .routes(routes!(release))
}

/// Shows how full each agent is that the caller may see.
#[utoipa::path(
    get, path = "/api/agents/slots", tag = "agents",
    params(AsOf, Fresh),
    responses((status = 200, body = AllSlots)),
)]
async fn all(
    State(state): State<ApiState>,
    caller: Caller,
    query: ReadQuery<AsOf>,
) -> Result<Reply<AllSlots>> {
    let moment = state.moment(query.params.as_of.as_deref(), query.fresh, VIEWS).await?;
    let viewer = state.viewer_at(&caller, &moment).await?;
    let counts = moment.slots().counts(&viewer).await?;
    let agents = counts.into_iter().map(|(name, counts)| (name.to_string(), counts)).collect();
    let timestamp = moment.at.to_rfc3339_opts(SecondsFormat::Millis, true);
    let position = moment.position;
    Ok(Reply::ok(position, AllSlots { agents, timestamp, position }))
}

/// Shows an agent's slots, one by one.
#[utoipa::path(
    get, path = "/api/agents/{name}/capacity", tag = "agents",
    params(("name" = String, Path, description = "The agent's name"), AgentAsOf, Fresh),
    responses((status = 200, body = Capacity)),
)]
async fn capacity(
    State(state): State<ApiState>,
    on: OnAgent,
    query: ReadQuery<AgentAsOf>,
) -> Result<Reply<Capacity>> {
    show_capacity(&state, &on, query.params.as_of.as_deref(), query.fresh).await
}

/// Sets how many executions may run at once; a smaller number ends nothing that runs.
#[utoipa::path(
    put, path = "/api/agents/{name}/capacity", tag = "agents",
    params(("name" = String, Path, description = "The agent's name"), IfMatch),
    request_body = SetCapacity,
    responses((status = 200, body = Written<Capacity>)),
)]
async fn set_capacity(
    State(state): State<ApiState>,
    caller: Caller,
    on: OnAgent,
    if_match: IfMatch,
    _query: Query<NoParams>,
    body: Body<SetCapacity>,
) -> Result<Reply<Written<Capacity>>> {
    let SetCapacity { max_parallel_tasks } = body.value;
    let (log, metadata, target) = (&state.app.log, caller.metadata(), if_match.target(&on));
    let set = agents::set_capacity(log, target, max_parallel_tasks, metadata, log.now());
    let receipt = set.await?;
    let fresh = Fresh { min_position: Some(receipt.position), ..Fresh::default() };
    let shown = show_capacity(&state, &on, None, fresh).await?;
    Ok(shown.map(|capacity| Written::at(receipt.position, capacity)).version(receipt.version))
}

async fn show_capacity(
    state: &ApiState,
    on: &OnAgent,
    as_of: Option<&str>,
    fresh: Fresh,
) -> Result<Reply<Capacity>> {
    let moment = state.moment(as_of, fresh, VIEWS).await?;
    let (incarnation, at) = (on.life.incarnation, Timestamp(moment.at));
    let found = moment.slots_of(incarnation).await?.capacity(incarnation, at).await?;
    Ok(Reply::ok(moment.position, found.ok_or_else(|| moment.not_there(on))?))
}

/// Shows what waits for an agent, in order.
#[utoipa::path(
    get, path = "/api/agents/{name}/queue", tag = "agents",
    params(("name" = String, Path, description = "The agent's name"), AgentAsOf, Fresh),
    responses((status = 200, body = Queue)),
)]
async fn queue(
    State(state): State<ApiState>,
    on: OnAgent,
    query: ReadQuery<AgentAsOf>,
) -> Result<Reply<Queue>> {
    let moment = state.moment(query.params.as_of.as_deref(), query.fresh, VIEWS).await?;
    let incarnation = on.life.incarnation;
    let found = moment.slots_of(incarnation).await?.queue(incarnation).await?;
    Ok(Reply::ok(moment.position, found.ok_or_else(|| moment.not_there(&on))?))
}

/// Cancels everything that waits for an agent; what runs goes on.
#[utoipa::path(
    post, path = "/api/agents/{name}/queue/clear", tag = "agents",
    params(("name" = String, Path, description = "The agent's name")),
    responses((status = 200, body = EmptiedQueue)),
)]
async fn clear(
    State(state): State<ApiState>,
    caller: Caller,
    on: OnAgent,
    _query: Query<NoParams>,
    _body: Body<NoFields>,
) -> Result<Reply<EmptiedQueue>> {
    let log = &state.app.log;
    let slots = log.state::<Slots>(on.life.incarnation).await?.state;
    let (mut cleared_count, mut position) = (0, log.head());
    for waiting in &slots.queue {
        let (id, metadata) = (waiting.execution_id, caller.metadata());
        let cancel = tasks::cancel_if_queued(log, id, CancelReason::QueueCleared, metadata);
        let (was_waiting, at) = cancel.await?;
        cleared_count += usize::from(was_waiting);
        position = position.max(at);
    }
    let agent = on.life.name;
    Ok(Reply::ok(position, EmptiedQueue { status: "cleared", agent, cleared_count, position }))
}

/// Asks for the end of everything that holds a slot of the agent.
///
/// A slot is given back when the end of its processes was seen, never before: so no more run at
/// once than may.
#[utoipa::path(
    post, path = "/api/agents/{name}/queue/release", tag = "agents",
    params(("name" = String, Path, description = "The agent's name")),
    responses((status = 200, body = Released)),
)]
async fn release(
    State(state): State<ApiState>,
    caller: Caller,
    on: OnAgent,
    _query: Query<NoParams>,
    _body: Body<NoFields>,
) -> Result<Reply<Released>> {
    let log = &state.app.log;
    let slots = log.state::<Slots>(on.life.incarnation).await?.state;
    let mut position = log.head();
    for active in slots.active.values() {
        let (id, metadata) = (active.execution_id, caller.metadata());
        let cancel =
            tasks::cancel(log, id, CancelReason::Requested, Urgency::Graceful, metadata).await?;
        position = position.max(cancel.1);
    }
    let (agent, was_running) = (on.life.name, !slots.active.is_empty());
    Ok(Reply::ok(position, Released { status: "released", agent, was_running, position }))
}
