//! Rows of table `events`, and how they become events again.

use std::sync::Arc;

use cqrs_es::persist::{EventUpcaster, SerializedEvent};
use uuid::Uuid;

use super::error::LogError;
use super::feed::Placed;
use super::time;
use crate::domain::{Event, EventId, Metadata, Recorded, StreamId, StreamType};

/// The columns of [`Row`], in its order; the payload as text on both engines.
pub(super) const COLUMNS_SQLITE: &str = "aggregate_type, aggregate_id, sequence, event_type, \
     event_version, payload, metadata, position, event_id, recorded_at";
pub(super) const COLUMNS_POSTGRES: &str = "aggregate_type, aggregate_id, sequence, event_type, \
     event_version, payload::text, metadata::text, position, event_id, recorded_at";

/// When the event at a position was recorded.
pub(super) const SELECT_RECORDED_AT: &str = "SELECT recorded_at FROM events WHERE position = $1";

/// The statement that reads the events of these kinds of streams between two positions.
///
/// The type is an expression, so that no engine looks for it in the primary key: that would be every
/// event of these types there is, sorted, for each reading of a few.
pub(super) fn select_of_types(columns: &str, types: &[StreamType]) -> String {
    let types: Vec<String> = types.iter().map(|kind| format!("'{}'", kind.as_str())).collect();
    format!(
        "SELECT {columns} FROM events WHERE position > $1 AND position <= $2 \
         AND aggregate_type || '' IN ({}) ORDER BY position",
        types.join(", ")
    )
}

/// The framework's upcasters write `1.0.0` where an event says `1`.
const ZERO_PART: &str = ".0";

/// A stored event, unread; its texts are the driver's still.
#[derive(Debug)]
pub(super) struct Row<'a> {
    pub(super) aggregate_type: &'a str,
    pub(super) aggregate_id: &'a str,
    pub(super) sequence: i64,
    pub(super) event_type: &'a str,
    pub(super) event_version: &'a str,
    pub(super) payload: &'a str,
    pub(super) metadata: &'a str,
    pub(super) position: i64,
    pub(super) event_id: &'a str,
    pub(super) recorded_at: i64,
}

/// Brings events of older versions up to what this build reads.
///
/// A field that was added later needs none: it has a serde default.
#[derive(Clone, Default)]
pub struct Upcasters(Arc<[Box<dyn EventUpcaster>]>);

impl Upcasters {
    /// Applies the upcasters in this order to every event that is read.
    pub fn new(upcasters: Vec<Box<dyn EventUpcaster>>) -> Self {
        Self(upcasters.into())
    }

    /// Reads rows of any streams, with others between them.
    pub(super) fn scattered(&self) -> Reading {
        Reading { upcasters: self.clone(), next: Next::Any }
    }

    /// Reads the rows that follow a position.
    pub(super) fn positions_after(&self, position: i64) -> Reading {
        Reading { upcasters: self.clone(), next: Next::Position(position.saturating_add(1)) }
    }

    /// Reads the rows of a stream that follow a version.
    pub(super) fn versions_after(&self, version: i64) -> Reading {
        Reading { upcasters: self.clone(), next: Next::Version(version.saturating_add(1)) }
    }

    fn decode(&self, row: &Row<'_>) -> Result<Placed, String> {
        let kind: StreamType = row.aggregate_type.parse().map_err(text)?;
        let metadata: Metadata = serde_json::from_str(row.metadata).map_err(text)?;
        let event_id = Uuid::parse_str(row.event_id).map_err(text)?;
        let stream = StreamId { kind, id: row.aggregate_id.to_owned() };
        let (version, payload) = (row.sequence, row.payload);
        let event = self.event(&stream, version, row.event_type, row.event_version, payload)?;
        let recorded = Recorded {
            position: row.position,
            event_id: EventId(event_id),
            stream,
            version,
            recorded_at: time::from_micros(row.recorded_at),
            metadata,
            event,
        };
        Ok(Placed { recorded: Arc::new(recorded), bytes: row.payload.len() })
    }

    /// Makes the event of a stored payload, which is brought up to date first.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn event(
        &self,
        stream: &StreamId,
        version: i64,
        event_type: &str,
        event_version: &str,
        payload: &str,
    ) -> Result<Event, String> {
        if self.concerns(event_type, event_version) {
            let upcast = self.upcast(stream, version, event_type, event_version, payload)?;
            let event = Event::decode(stream.kind, &upcast.payload.to_string()).map_err(chain)?;
            check(event, &upcast.event_type, &upcast.event_version)
        } else {
            let event = Event::decode(stream.kind, payload).map_err(chain)?;
            check(event, event_type, event_version)
        }
    }

    fn concerns(&self, event_type: &str, event_version: &str) -> bool {
        self.0.iter().any(|upcaster| upcaster.can_upcast(event_type, event_version))
    }

    fn upcast(
        &self,
        stream: &StreamId,
        version: i64,
        event_type: &str,
        event_version: &str,
        payload: &str,
    ) -> Result<SerializedEvent, String> {
        let event = SerializedEvent::new(
            stream.id.clone(),
            usize::try_from(version).map_err(text)?,
            stream.kind.to_string(),
            event_type.to_owned(),
            event_version.to_owned(),
            serde_json::from_str(payload).map_err(text)?,
            serde_json::Value::Null,
        );
        Ok(self.0.iter().fold(event, |event, upcaster| {
            if upcaster.can_upcast(&event.event_type, &event.event_version) {
                upcaster.upcast(event)
            } else {
                event
            }
        }))
    }
}

/// Reads the rows of one query, in their order: the first one that is missing, or that cannot be read, is
/// what is said of them.
pub(super) struct Reading {
    upcasters: Upcasters,
    next: Next,
}

/// Which row must be next.
enum Next {
    Any,
    Position(i64),
    Version(i64),
}

impl Reading {
    pub(super) fn read(&mut self, row: &Row<'_>) -> Result<Placed, LogError> {
        let unreadable = |reason: String| {
            let position = row.position;
            LogError::Unreadable { position, reason: reason.into() }
        };
        match &mut self.next {
            Next::Any => {}
            Next::Position(expected) if row.position != *expected => {
                return Err(LogError::Hole { expected: *expected });
            }
            Next::Version(expected) if row.sequence != *expected => {
                return Err(unreadable(format!("version {expected} of its stream is missing")));
            }
            Next::Position(next) | Next::Version(next) => *next += 1,
        }
        self.upcasters.decode(row).map_err(unreadable)
    }
}

/// Refuses an event that is not what its row calls it.
fn check(event: Event, event_type: &str, event_version: &str) -> Result<Event, String> {
    if event_version.trim_end_matches(ZERO_PART) != event.version() {
        return Err(format!("{event_type} has version {event_version}, which is unknown"));
    }
    if event_type != event.name() {
        return Err(format!("it is called {event_type}, but holds {}", event.name()));
    }
    Ok(event)
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// The error with its sources, in one line.
fn chain(error: impl std::error::Error) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        line = format!("{line}: {cause}");
        source = cause.source();
    }
    line
}
