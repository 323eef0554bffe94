//! One append: what it writes, what must hold for it, and what an engine says of it.

use std::sync::Arc;

use serde::Serialize;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::error::{Invalid, Unavailable};
use super::feed::Placed;
use crate::domain::{Event, EventId, Metadata, Recorded, StreamId};

/// The most events of one append.
pub const APPEND_EVENTS_MAX: usize = 4096;
/// The most bytes of one event's payload, as JSON; a 1 MiB message whose every byte is escaped fits.
pub const EVENT_BYTES_MAX: usize = 8 << 20;
/// The most bytes of all payloads of one append.
pub const APPEND_BYTES_MAX: usize = 16 << 20;
/// The longest stream id in bytes; both engines keep it in an index.
pub const STREAM_ID_BYTES_MAX: usize = 512;

/// The version a stream must be at for the append to stand: one written to, or a guard.
#[derive(Debug, Clone)]
pub(super) struct Check {
    pub(super) stream: StreamId,
    pub(super) version: i64,
}

/// An event on its way into the log.
#[derive(Debug)]
pub(super) struct NewEvent {
    pub(super) stream: StreamId,
    pub(super) version: i64,
    pub(super) event_id: EventId,
    pub(super) event: Event,
    pub(super) payload: String,
}

/// What is written in one piece or not at all.
#[derive(Debug)]
pub(super) struct Append {
    /// Streams written to first, then guards; no stream twice.
    pub(super) checks: Vec<Check>,
    /// In the order of their positions.
    pub(super) events: Vec<NewEvent>,
    pub(super) metadata: Metadata,
    pub(super) metadata_json: String,
}

/// Why an append was not acknowledged.
#[derive(Debug, Clone)]
pub(super) enum AppendError {
    /// A stream was not at its version.
    Conflict,
    Unavailable(Unavailable),
    Invalid(Invalid),
}

/// Where a committed append stands: its events have consecutive positions from `first_position`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) first_position: i64,
    pub(super) recorded_at_micros: i64,
}

/// What an engine answers for one append of a batch.
pub(super) type Outcome = Result<Place, AppendError>;

/// An append in the queue, with the place its answer goes to.
#[derive(Debug)]
pub(super) struct Submitted {
    pub(super) append: Append,
    pub(super) answer: oneshot::Sender<Result<Vec<Placed>, AppendError>>,
    /// The append's share of the queue's bytes, given back when it leaves.
    pub(super) share: tokio::sync::OwnedSemaphorePermit,
}

impl Append {
    /// Serializes the events and refuses what no database would take. `stored` is the metadata as the
    /// database gets it: the framework's may have keys of its own.
    pub(super) fn new(
        checks: Vec<Check>,
        events: Vec<(StreamId, i64, Event)>,
        metadata: Metadata,
        stored: &impl Serialize,
    ) -> Result<Self, Invalid> {
        within("events", events.len(), APPEND_EVENTS_MAX)?;
        checks.iter().try_for_each(|check| check_id(&check.stream))?;
        let metadata_json = serde_json::to_string(stored).map_err(|error| {
            Invalid::Unserialisable { event_type: "metadata".into(), reason: error.to_string() }
        })?;
        if escapes_nul(&metadata_json) {
            return Err(Invalid::NulCharacter("the metadata"));
        }
        let mut bytes = metadata_json.len();
        let mut encoded = Vec::with_capacity(events.len());
        for (stream, version, event) in events {
            let payload = encode(&event)?;
            bytes += payload.len();
            let event_id = EventId(Uuid::now_v7());
            encoded.push(NewEvent { stream, version, event_id, event, payload });
        }
        within("bytes", bytes, APPEND_BYTES_MAX)?;
        Ok(Self { checks, events: encoded, metadata, metadata_json })
    }

    /// The bytes the append holds in the queue.
    pub(super) fn bytes(&self) -> usize {
        let payloads: usize = self.events.iter().map(|event| event.payload.len()).sum();
        payloads + self.events.len() * self.metadata_json.len()
    }

    /// The streams it writes to, each once.
    pub(super) fn written(&self) -> impl Iterator<Item = &StreamId> {
        self.checks
            .iter()
            .map(|check| &check.stream)
            .filter(|stream| self.events.iter().any(|event| event.stream == **stream))
    }

    /// Turns the events into what readers see, once they have been committed.
    pub(super) fn into_placed(self, place: Place) -> Vec<Placed> {
        let recorded_at = super::time::from_micros(place.recorded_at_micros);
        let metadata = self.metadata;
        (place.first_position..)
            .zip(self.events)
            .map(|(position, new)| Placed {
                bytes: new.payload.len(),
                recorded: Arc::new(Recorded {
                    position,
                    event_id: new.event_id,
                    stream: new.stream,
                    version: new.version,
                    recorded_at,
                    metadata: metadata.clone(),
                    event: new.event,
                }),
            })
            .collect()
    }
}

/// Refuses an id under which neither engine could keep a stream.
pub(super) fn check_id(stream: &StreamId) -> Result<(), Invalid> {
    within("bytes of a stream's id", stream.id.len(), STREAM_ID_BYTES_MAX)?;
    if stream.id.contains('\0') {
        return Err(Invalid::NulCharacter("the stream's id"));
    }
    Ok(())
}

fn within(what: &'static str, found: usize, max: usize) -> Result<(), Invalid> {
    if found > max { Err(Invalid::TooLarge { what, found, max }) } else { Ok(()) }
}

fn encode(event: &Event) -> Result<String, Invalid> {
    let payload = event.encode().map_err(|error| Invalid::Unserialisable {
        event_type: event.name().to_owned(),
        reason: error.to_string(),
    })?;
    within("bytes of one event", payload.len(), EVENT_BYTES_MAX)?;
    if escapes_nul(&payload) { Err(Invalid::NulCharacter("the event")) } else { Ok(payload) }
}

/// Whether JSON text holds the character U+0000, which serde writes as an escape.
///
/// A backslash that is itself escaped does not begin one: `"\\u0000"` is six harmless characters.
fn escapes_nul(json: &str) -> bool {
    const ESCAPE: &str = "\\u0000";
    if !json.contains(ESCAPE) {
        return false;
    }
    let bytes = json.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if bytes[at..].starts_with(ESCAPE.as_bytes()) => return true,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nul_is_told_from_text_that_looks_like_its_escape() {
        let escaped = |text: &str| escapes_nul(&serde_json::to_string(text).unwrap());
        assert!(escaped("\0"));
        assert!(escaped("a\\\0"));
        assert!(escaped("\\u0000 and \0"));
        assert!(!escaped("\\u0000"));
        assert!(!escaped("\\\\u0000"));
        assert!(!escaped("u0000\u{1}"));
    }
}
