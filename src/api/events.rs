//! The log itself: a filtered reading of it, one event with what led to it, and the rebuilding of
//! what is derived from it.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ApiState;
use super::auth::{Caller, Gate};
use super::error::{ApiError, Result};
use super::extract::{Path, ReadQuery};
use super::page;
use super::reply::Reply;
use super::wire::WireEvent;
use crate::domain::{Recorded, StreamId};

/// How many events are read from the log at once.
const SCAN_PAGE_EVENTS: usize = 500;

/// After how many events a page that has something to show is closed before it is full.
const SCAN_EVENTS_MAX: usize = 20_000;

/// How many events lead to one, at most, as far as they are shown.
const CAUSES_MAX: usize = 64;

/// How far back the cause of an event is looked for, in events.
const CAUSE_DISTANCE_MAX: usize = 20_000;

#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct EventsQuery {
    /// Only events after this position; 0 when left out.
    #[param(minimum = 0)]
    after: Option<i64>,
    /// The most events to answer with.
    #[param(minimum = 1, maximum = 1000, default = 50)]
    limit: Option<u32>,
    /// Only this stream: `stream_type:id`, such as `agent:scout`.
    stream: Option<String>,
    /// Only these types, separated by commas, such as `ExecutionStarted`.
    #[serde(rename = "type")]
    #[param(rename = "type")]
    kind: Option<String>,
    /// Only these actors, separated by commas: `user:ID`, `agent:NAME`, `system`.
    actor: Option<String>,
    /// `json` (default), `ndjson`, or `cloudevents`.
    #[param(inline)]
    format: Option<Format>,
}

#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Format {
    /// One object with the events in `items`.
    #[default]
    Json,
    /// One event a line.
    Ndjson,
    /// A batch of CloudEvents 1.0.
    Cloudevents,
}

/// A reading of the log, oldest first.
#[derive(Debug, Serialize, ToSchema)]
struct Events {
    /// The events; empty at the end of the log.
    items: Vec<WireEvent>,
    /// Where to go on: pass it as `after`.
    position: i64,
}

/// An event with what led to it.
#[derive(Debug, Serialize, ToSchema)]
struct EventWithCauses {
    /// The event.
    event: WireEvent,
    /// The event that led to it, then the one that led to that, and so on.
    causes: Vec<WireEvent>,
    /// The position up to which the log was read.
    position: i64,
}

/// The routes of this resource.
pub(super) fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(show))
}

/// Reads the log: an administrator sees every event, others those of agents they may operate.
#[utoipa::path(
    get, path = "/api/events", tag = "events",
    params(EventsQuery, super::extract::Fresh),
    responses((status = 200, content(
        (Events = "application/json"),
        (String = "application/x-ndjson"),
        (Vec<Value> = "application/cloudevents-batch+json"),
    ))),
)]
async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    query: ReadQuery<EventsQuery>,
) -> Result<Response> {
    let limit = page::limit(query.params.limit)?;
    let filter = EventFilter::parse(&query.params)?;
    state.wait_for_log(query.fresh).await?;
    let mut scan = Scan {
        gate: Gate::new(caller),
        state: &state,
        filter,
        position: query.params.after.unwrap_or_default(),
        limit,
        found: Vec::new(),
    };
    scan.run().await?;
    render(&scan.found, scan.position, query.params.format.unwrap_or_default())
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
    let mut causes = Vec::new();
    let mut last = Arc::clone(&recorded);
    while causes.len() < CAUSES_MAX
        && let Some(cause) = cause(&state, &last).await?
        && gate.shows(&state, &cause).await?
    {
        causes.push(WireEvent::new(&cause)?);
        last = cause;
    }
    let head = state.app.log.head();
    let event = WireEvent::new(&recorded)?;
    Ok(Reply::ok(head, EventWithCauses { event, causes, position: head }))
}

/// The event that led to another one: before it, and in most cases not far.
async fn cause(state: &ApiState, of: &Recorded) -> Result<Option<Arc<Recorded>>> {
    let Some(id) = &of.metadata.causation_id else { return Ok(None) };
    let mut before = of.position;
    let mut looked_at = 0;
    while before > 1 && looked_at < CAUSE_DISTANCE_MAX {
        let page = i64::try_from(SCAN_PAGE_EVENTS).unwrap_or(i64::MAX).min(before - 1);
        let count = usize::try_from(page).unwrap_or(SCAN_PAGE_EVENTS);
        let events = state.app.log.after(before - 1 - page, count).await?;
        if let Some(cause) = events.iter().rev().find(|event| event.event_id.to_string() == *id) {
            return Ok(Some(Arc::clone(cause)));
        }
        before -= page;
        looked_at += count;
    }
    Ok(None)
}

/// Which events are wanted.
struct EventFilter {
    stream: Option<StreamId>,
    kinds: Option<Vec<String>>,
    actors: Option<Vec<String>>,
}

impl EventFilter {
    fn parse(query: &EventsQuery) -> Result<Self> {
        if query.after.is_some_and(|after| after < 0) {
            return Err(ApiError::parameter("after", "after is a position: 0 or more"));
        }
        let list = |text: &Option<String>| {
            let text = text.as_deref()?;
            Some(text.split(',').map(|word| word.trim().to_owned()).collect())
        };
        Ok(Self {
            stream: query.stream.as_deref().map(stream_id).transpose()?,
            kinds: list(&query.kind),
            actors: list(&query.actor),
        })
    }

    fn takes(&self, recorded: &Recorded) -> bool {
        let is_in = |words: &Option<Vec<String>>, word: &str| {
            words.as_ref().is_none_or(|words| words.iter().any(|known| known == word))
        };
        self.stream.as_ref().is_none_or(|stream| *stream == recorded.stream)
            && is_in(&self.kinds, recorded.event.name())
            && is_in(&self.actors, &recorded.metadata.actor)
    }
}

fn stream_id(text: &str) -> Result<StreamId> {
    let (kind, id) = text.split_once(':').ok_or_else(|| {
        ApiError::parameter("stream", "stream is stream_type:id, such as agent:scout")
    })?;
    let kind = kind.parse().map_err(|error| {
        ApiError::parameter("stream", crate::domain::UnknownStreamType::to_string(&error))
    })?;
    Ok(StreamId { kind, id: id.to_owned() })
}

/// A walk along the log that keeps what the caller may see and has asked for.
struct Scan<'a> {
    state: &'a ApiState,
    gate: Gate,
    filter: EventFilter,
    /// Everything up to here has been looked at.
    position: i64,
    limit: usize,
    found: Vec<Arc<Recorded>>,
}

impl Scan<'_> {
    /// Goes on until the page is full or the log ends. A page with nothing in it would look like
    /// the end of the log, so it is never closed early.
    async fn run(&mut self) -> Result<()> {
        let mut looked_at = 0;
        while self.found.is_empty() || looked_at < SCAN_EVENTS_MAX {
            let page = self.next_page().await?;
            if page.is_empty() {
                return Ok(());
            }
            for recorded in page {
                looked_at += 1;
                self.position = recorded.position;
                let wanted = self.filter.takes(&recorded);
                if wanted && self.gate.shows(self.state, &recorded).await? {
                    self.found.push(recorded);
                }
                if self.found.len() == self.limit {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    async fn next_page(&mut self) -> Result<Vec<Arc<Recorded>>> {
        let log = &self.state.app.log;
        let Some(stream) = &self.filter.stream else {
            return Ok(log.after(self.position, SCAN_PAGE_EVENTS).await?);
        };
        let version = version_at(self.state, stream, self.position).await?;
        Ok(log.stream(stream, version, SCAN_PAGE_EVENTS).await?)
    }
}

/// The version of the last event of a stream up to a position: both grow together, so it is found
/// in few steps however long the stream is.
async fn version_at(state: &ApiState, stream: &StreamId, position: i64) -> Result<i64> {
    let is_after = async |version: i64| -> Result<bool> {
        let next = state.app.log.stream(stream, version, 1).await?.pop();
        Ok(next.is_none_or(|next| next.position > position))
    };
    let (mut low, mut step) = (0, 1);
    while !is_after(low + step - 1).await? {
        low += step;
        step *= 2;
    }
    let mut high = low + step - 1;
    while low < high {
        let middle = low + (high - low) / 2;
        if is_after(middle).await? {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    Ok(low)
}

fn render(found: &[Arc<Recorded>], position: i64, format: Format) -> Result<Response> {
    let items = found.iter().map(|recorded| WireEvent::new(recorded));
    let items: Vec<WireEvent> = items.collect::<Result<_>>()?;
    let other = |kind: &'static str, text: String| {
        let headers = [
            (header::CONTENT_TYPE, kind.to_owned()),
            (super::reply::POSITION, position.to_string()),
        ];
        Ok((headers, Body::from(text)).into_response())
    };
    match format {
        Format::Json => Ok(Reply::ok(position, Events { items, position }).into_response()),
        Format::Ndjson => {
            let mut text = String::new();
            for item in &items {
                text.push_str(&json_text(item)?);
                text.push('\n');
            }
            other("application/x-ndjson", text)
        }
        Format::Cloudevents => {
            let batch: Vec<Value> = items.iter().map(cloud_event).collect();
            other("application/cloudevents-batch+json", json_text(&batch)?)
        }
    }
}

fn json_text(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|error| ApiError::internal(&error.into()))
}

/// The event in the words of CloudEvents 1.0; extension names have only letters and digits.
fn cloud_event(event: &WireEvent) -> Value {
    json!({
        "specversion": "1.0",
        "id": event.event_id,
        "source": format!("/streams/{}", event.stream_type),
        "subject": event.stream_id,
        "type": format!("trinity.{}", event.kind),
        "time": event.recorded_at,
        "datacontenttype": "application/json",
        "sequence": event.position.to_string(),
        "actor": event.actor,
        "correlationid": event.correlation_id,
        "data": event.data,
    })
}
