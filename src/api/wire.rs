//! An event on the wire.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::error::{ApiError, Result};
use crate::domain::{Event, Recorded};

/// An event as recorded.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = Event)]
pub struct WireEvent {
    /// The place in the order of the whole log: 1, 2, 3 … without gaps.
    pub position: i64,
    /// The event's own name.
    pub event_id: Uuid,
    /// What happened, such as `ExecutionStarted`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The kind of stream: `agent`, `slots`, `execution`, `account`.
    pub stream_type: &'static str,
    /// Which stream of that kind: an agent's name, or a UUID.
    pub stream_id: String,
    /// The place in its stream: 1, 2, 3 … without gaps.
    pub version: i64,
    /// When it was recorded; never steps back along positions.
    #[schema(format = DateTime)]
    pub recorded_at: String,
    /// Who caused it: `user:ID`, `agent:NAME`, `system`.
    pub actor: String,
    /// Shared by everything that follows from one request.
    pub correlation_id: String,
    /// The `event_id` that led to this event, if one did.
    pub causation_id: Option<String>,
    /// The command that it came of.
    pub command_id: String,
    /// The body of the event, as its type has it.
    #[schema(value_type = Object)]
    pub data: Value,
}

impl WireEvent {
    /// The event as clients see it.
    pub fn new(recorded: &Recorded) -> Result<Self> {
        Ok(Self {
            position: recorded.position,
            event_id: recorded.event_id.0,
            kind: recorded.event.name(),
            stream_type: recorded.stream.kind.as_str(),
            stream_id: recorded.stream.id.clone(),
            version: recorded.version,
            recorded_at: millis(recorded.recorded_at),
            actor: recorded.metadata.actor.clone(),
            correlation_id: recorded.metadata.correlation_id.clone(),
            causation_id: recorded.metadata.causation_id.clone(),
            command_id: recorded.metadata.command_id.clone(),
            data: data(&recorded.event)?,
        })
    }
}

/// A time as the wire has it: UTC with milliseconds.
pub fn millis(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// The body of the variant, without the variant's name around it.
fn data(event: &Event) -> Result<Value> {
    let value = match event {
        Event::Agent(event) => serde_json::to_value(event),
        Event::Slots(event) => serde_json::to_value(event),
        Event::Execution(event) => serde_json::to_value(event),
        Event::Account(event) => serde_json::to_value(event),
    };
    match value.map_err(|error| ApiError::internal(&error.into()))? {
        Value::Object(variant) => Ok(variant.into_iter().next().map_or(Value::Null, |(_, v)| v)),
        other => Ok(other),
    }
}

/// The event's name on a stream: `execution.started` for `ExecutionStarted`.
pub fn event_name(recorded: &Recorded) -> String {
    let stream_type = recorded.stream.kind.as_str();
    let words = snake_case(recorded.event.name());
    let prefix = format!("{stream_type}_");
    format!("{stream_type}.{}", words.strip_prefix(&prefix).unwrap_or(&words))
}

fn snake_case(name: &str) -> String {
    let mut words = String::with_capacity(name.len() + 4);
    for (index, character) in name.char_indices() {
        if character.is_ascii_uppercase() && index > 0 {
            words.push('_');
        }
        words.push(character.to_ascii_lowercase());
    }
    words
}
