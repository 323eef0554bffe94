//! What the streams have in common: headers, control frames, the beat.

use std::convert::Infallible;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use futures::Stream;
use serde::Serialize;
use tokio::sync::OwnedSemaphorePermit;
use utoipa::ToSchema;

use super::error::{ApiError, Result};

/// How often a stream without news says that it lives.
pub const HEARTBEAT: Duration = Duration::from_secs(15);

/// A client waits this long before it connects again, in milliseconds; drawn for each, so that
/// not all come back at once.
const RETRY_MS: std::ops::RangeInclusive<u64> = 1_000..=5_000;

/// Where a client wants to go on, by the header that browsers send by themselves.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Keeps proxies from holding frames back.
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// One of the frames that the body of a stream is made of.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "it describes what the frames of axum write")]
pub struct StreamFrame {
    /// What it is about: the name of an event, or of a control frame.
    event: String,
    /// A JSON document.
    #[schema(content_media_type = "application/json")]
    data: String,
    /// Where to go on after it. Control frames are sent without one, so a client's place stays where it
    /// was.
    #[schema(nullable = false)]
    id: Option<String>,
}

/// A control frame; it never carries an id, so a client's place stays where it was.
pub fn control(name: &str, data: &impl Serialize) -> Event {
    let event = Event::default().event(name);
    // What is sent here is made of strings and numbers, which are always JSON.
    event.json_data(data).unwrap_or_default()
}

/// The first frame: when to come back after the connection is lost.
pub fn retry() -> Event {
    Event::default().retry(Duration::from_millis(rand::random_range(RETRY_MS)))
}

/// Where the client wants to go on: `Last-Event-ID` wins over `after`.
///
/// A header that is no number names a place that no stream of ours has had: the client is told to
/// begin anew, as with any place beyond the end.
pub fn position(headers: &HeaderMap, after: Option<i64>) -> Result<Option<i64>> {
    if after.is_some_and(|after| after < 0) {
        return Err(ApiError::parameter("after", "after is 0 or more"));
    }
    if let Some(id) = headers.get(&LAST_EVENT_ID).filter(|id| !id.is_empty()) {
        let id = id.to_str().ok().and_then(|id| id.trim().parse::<i64>().ok());
        return Ok(Some(id.filter(|id| *id >= 0).unwrap_or(i64::MAX)));
    }
    Ok(after)
}

/// The answer that carries the stream, and its place among those of this node.
pub fn respond(
    place: OwnedSemaphorePermit,
    frames: impl Stream<Item = Event> + Send + 'static,
) -> Response {
    use futures::StreamExt as _;
    let frames = frames.map(move |frame| {
        let _held = &place;
        Ok::<_, Infallible>(frame)
    });
    let mut response = Sse::new(frames).into_response();
    let headers = response.headers_mut();
    let no_store = HeaderValue::from_static("no-store, no-transform");
    headers.insert(header::CACHE_CONTROL, no_store);
    headers.insert(X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
    response
}

/// Ticks of the heartbeat, the first one a whole period from now.
pub fn heartbeat() -> tokio::time::Interval {
    let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + HEARTBEAT, HEARTBEAT);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    ticks
}
