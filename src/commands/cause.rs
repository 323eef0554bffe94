//! What a reactor's command follows from.

use uuid::Uuid;

use crate::domain::{Actor, EventId, Metadata, Recorded};

/// The event that led to a command of the server's own, and the request it all began with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    correlation_id: String,
    event_id: EventId,
    traceparent: Option<String>,
}

impl Cause {
    /// Follows from `event`.
    pub fn of(event: &Recorded) -> Self {
        Self {
            correlation_id: event.metadata.correlation_id.clone(),
            event_id: event.event_id,
            traceparent: event.metadata.traceparent.clone(),
        }
    }

    /// The span of the request it all began with.
    pub fn traceparent(&self) -> Option<&str> {
        self.traceparent.as_deref()
    }

    /// The metadata of a command of the server's own.
    pub fn metadata(&self) -> Metadata {
        Metadata {
            actor: Actor::System.to_string(),
            correlation_id: self.correlation_id.clone(),
            causation_id: Some(self.event_id.to_string()),
            command_id: Uuid::now_v7().to_string(),
            body_sha256: None,
            traceparent: self.traceparent.clone(),
        }
    }
}
