//! The forms in which events are handed out: one object, lines, CloudEvents.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures::Stream;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::OwnedSemaphorePermit;
use utoipa::ToSchema;
use uuid::Uuid;

use super::Events;
use super::scan::{SCAN_PAGE_EVENTS, Scan};
use crate::api::error::{ApiError, Result};
use crate::api::reply::{POSITION, Reply};
use crate::api::wire::WireEvent;
use crate::domain::Recorded;

/// How events are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Format {
    /// One object with the events in `items`.
    #[default]
    Json,
    /// One event a line; without `limit`, every one up to the end of the log.
    Ndjson,
    /// A batch of CloudEvents 1.0.
    Cloudevents,
    /// One CloudEvent a line; without `limit`, every one up to the end of the log.
    CloudeventsNdjson,
}

impl Format {
    /// Whether each event is a line of its own.
    pub fn is_lines(self) -> bool {
        matches!(self, Self::Ndjson | Self::CloudeventsNdjson)
    }

    fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Ndjson | Self::CloudeventsNdjson => "application/x-ndjson",
            Self::Cloudevents => "application/cloudevents-batch+json",
        }
    }

    /// The events as lines.
    fn lines(self, found: &[Arc<Recorded>]) -> Result<String> {
        let mut text = String::new();
        for recorded in found {
            let event = WireEvent::new(recorded)?;
            text.push_str(&match self {
                Self::CloudeventsNdjson => json_text(&CloudEvent::from(event))?,
                Self::Json | Self::Ndjson | Self::Cloudevents => json_text(&event)?,
            });
            text.push('\n');
        }
        Ok(text)
    }
}

/// A page of events that a scan has found, with the header that leads to the next one if the log goes on.
pub(super) fn page(
    found: &[Arc<Recorded>],
    scan: &Scan,
    next: Option<HeaderValue>,
    format: Format,
) -> Result<Response> {
    let position = scan.position;
    let items = || found.iter().map(|recorded| WireEvent::new(recorded));
    let text = match format {
        Format::Json => {
            let items: Vec<WireEvent> = items().collect::<Result<_>>()?;
            let events = Events { items, position, is_end: scan.is_at_end };
            return Ok(Reply::ok(position, events).link(next).into_response());
        }
        Format::Ndjson | Format::CloudeventsNdjson => format.lines(found)?,
        Format::Cloudevents => {
            let batch = items().map(|event| event.map(CloudEvent::from));
            json_text(&batch.collect::<Result<Vec<CloudEvent>>>()?)?
        }
    };
    let mut response = respond(position, format, Body::from(text));
    if let Some(next) = next {
        response.headers_mut().insert(header::LINK, next);
    }
    Ok(response)
}

/// All events of a walk as lines, read as fast as the client takes them and never held together.
///
/// A client that is cut off goes on `after` the position in the last line it has.
pub(super) fn whole(
    scan: Scan,
    until: i64,
    format: Format,
    place: OwnedSemaphorePermit,
) -> Response {
    respond(until, format, Body::from_stream(chunks(scan, format, place)))
}

fn chunks(
    mut scan: Scan,
    format: Format,
    place: OwnedSemaphorePermit,
) -> impl Stream<Item = Result<Bytes, axum::Error>> {
    async_stream::try_stream! {
        let _held = place;
        while !scan.is_at_end {
            let found = scan.next(SCAN_PAGE_EVENTS).await.map_err(cut_off)?;
            if !found.is_empty() {
                yield Bytes::from(format.lines(&found).map_err(cut_off)?);
            }
            scan.renew().await.map_err(cut_off)?;
        }
    }
}

/// An answer that has begun can only be cut off; its missing end tells the client.
fn cut_off(error: ApiError) -> axum::Error {
    tracing::warn!(%error, "an export of the log was cut off");
    axum::Error::new(error)
}

fn respond(position: i64, format: Format, body: Body) -> Response {
    let headers =
        [(header::CONTENT_TYPE, format.media_type().to_owned()), (POSITION, position.to_string())];
    (headers, body).into_response()
}

fn json_text(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|error| ApiError::internal(&error.into()))
}

/// An event in the words of CloudEvents 1.0; extension names have only letters and digits.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CloudEvent {
    /// `1.0`, of CloudEvents.
    specversion: &'static str,
    id: Uuid,
    /// The kind of stream, such as `/streams/agent`.
    source: String,
    /// Which stream of that kind.
    subject: String,
    /// What happened, such as `trinity.AgentCreated`.
    #[serde(rename = "type")]
    kind: String,
    #[schema(format = DateTime)]
    time: String,
    datacontenttype: &'static str,
    /// The position in the log.
    sequence: String,
    actor: String,
    correlationid: String,
    commandid: String,
    /// Left out where no event led to this one: there is no null.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    causationid: Option<String>,
    /// The body of the event, as its type has it.
    #[schema(value_type = Object)]
    data: Value,
}

impl From<WireEvent> for CloudEvent {
    fn from(event: WireEvent) -> Self {
        Self {
            specversion: "1.0",
            id: event.event_id,
            source: format!("/streams/{}", event.stream_type),
            subject: event.stream_id,
            kind: format!("trinity.{}", event.kind),
            time: event.recorded_at,
            datacontenttype: "application/json",
            sequence: event.position.to_string(),
            actor: event.actor,
            correlationid: event.correlation_id,
            commandid: event.command_id,
            causationid: event.causation_id,
            data: event.data,
        }
    }
}
