//! The log itself: a filtered reading of it, one event with what led to it, and the rebuilding of
//! what is derived from it.

mod causes;
mod export;
mod scan;

use std::sync::Arc;

use axum::extract::{OriginalUri, State};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use self::causes::CAUSE_DISTANCE_MAX;
use self::export::{CloudEvent, Format};
pub use self::scan::SCAN_EVENTS_MAX;
use self::scan::{EventFilter, Scan};
use super::ApiState;
use super::auth::{Caller, Gate};
use super::error::{ApiError, Result};
use super::extract::{Path, ReadQuery};
use super::page;
use super::reply::Reply;
use super::wire::WireEvent;
use crate::domain::Recorded;

#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct EventsQuery {
    /// Only events after this position; 0 when left out.
    #[param(minimum = 0)]
    after: Option<i64>,
    /// The most events to answer with: 50 when left out, except for lines.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// Only this stream: `stream_type:id`, such as `agent:scout`.
    stream: Option<String>,
    /// Only these types, separated by commas, such as `ExecutionStarted`.
    #[serde(rename = "type")]
    #[param(rename = "type")]
    kind: Option<String>,
    /// Only these actors, separated by commas: `user:ID`, `agent:NAME`, `system`.
    actor: Option<String>,
    /// `json` (default), `ndjson`, `cloudevents`, or `cloudevents-ndjson`. Lines without `limit` are
    /// all that there is up to the end of the log, which may be long: they are sent as they are read.
    #[param(inline)]
    format: Option<Format>,
}

/// A reading of the log, oldest first.
#[derive(Debug, Serialize, ToSchema)]
struct Events {
    /// The events; none of them may be wanted for a long way, so it can be empty before the end.
    items: Vec<WireEvent>,
    /// Where to go on: pass it as `after`.
    position: i64,
    /// Whether the log ended here. A page with as many events as were asked for may be the last one
    /// without saying so: then the next one is empty and says it.
    is_end: bool,
}

/// An event with what led to it and what it led to.
#[derive(Debug, Serialize, ToSchema)]
struct EventWithCauses {
    /// The event.
    event: WireEvent,
    /// The event that led to it, then the one that led to that, and so on.
    causes: Vec<WireEvent>,
    /// Whether the first cause of all is among them, or the event has none.
    is_complete: bool,
    /// The events that it led to at once, oldest first, as far as they follow soon.
    effects: Vec<WireEvent>,
    /// The position up to which the log was read.
    position: i64,
}

/// The routes of this resource.
pub(super) fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(show))
}

/// Reads the log: an administrator sees every event, others those of agents they may operate.
///
/// A page may have few events, or none, before the end of the log is reached. The header `Link` leads
/// to the next one unless it is.
#[utoipa::path(
    get, path = "/api/events", tag = "events",
    params(EventsQuery, super::extract::Fresh),
    responses((status = 200, content(
        (Events = "application/json"),
        (String = "application/x-ndjson"),
        (Vec<CloudEvent> = "application/cloudevents-batch+json"),
    ))),
)]
async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    OriginalUri(uri): OriginalUri,
    query: ReadQuery<EventsQuery>,
) -> Result<Response> {
    let limit = page::limit(query.params.limit)?;
    let filter = EventFilter::parse(&query.params)?;
    state.wait_for_log(query.fresh).await?;
    let after = query.params.after.unwrap_or_default();
    let format = query.params.format.unwrap_or_default();
    if format.is_lines() && query.params.limit.is_none() {
        let (place, until) = (state.open_stream()?, state.app.log.head());
        let scan = Scan::new(&state, caller, filter, (after, until));
        return Ok(export::whole(scan, until, format, place));
    }
    let mut scan = Scan::new(&state, caller, filter, (after, i64::MAX));
    let found = scan.next(limit).await?;
    let next = page::next_link_to(&uri, "after", &scan.position.to_string());
    export::page(&found, &scan, next.filter(|_| !scan.is_at_end), format)
}

/// Shows one event and the chain of events that led to it.
#[utoipa::path(
    get, path = "/api/events/{position}", tag = "events",
    params(("position" = i64, Path, description = "The event's place in the log"),
        super::extract::Fresh),
    responses((status = 200, body = EventWithCauses)),
)]
async fn show(
    State(state): State<ApiState>,
    caller: Caller,
    Path(position): Path<i64>,
    query: ReadQuery<super::extract::NoParams>,
) -> Result<Reply<EventWithCauses>> {
    state.wait_for_log(query.fresh).await?;
    let missing = || ApiError::not_found(format_args!("event at position {position}"));
    let recorded = state.app.log.event(position).await?.ok_or_else(missing)?;
    let mut gate = Gate::new(caller);
    if !gate.shows(&state, &recorded).await? {
        return Err(missing());
    }
    let chain = causes::chain(&state, &mut gate, &recorded).await?;
    let effects = causes::effects(&state, &mut gate, &recorded).await?;
    let wire = |events: &[Arc<Recorded>]| -> Result<Vec<WireEvent>> {
        events.iter().map(|event| WireEvent::new(event)).collect()
    };
    let head = state.app.log.head();
    let event = WireEvent::new(&recorded)?;
    let (causes, is_complete) = (wire(&chain.causes)?, chain.is_complete);
    let effects = wire(&effects)?;
    Ok(Reply::ok(head, EventWithCauses { event, causes, is_complete, effects, position: head }))
}
