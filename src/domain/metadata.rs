//! What is recorded beside every event: who, why, and as part of what.

use std::collections::HashMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{AccountId, AgentName};

/// Who caused an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    /// A person, by the web pages, the command line, or a key of theirs.
    User(AccountId),
    /// An agent, by its own key.
    Agent(AgentName),
    /// The server itself: reactors, first run.
    System,
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(id) => write!(f, "user:{id}"),
            Self::Agent(name) => write!(f, "agent:{name}"),
            Self::System => f.write_str("system"),
        }
    }
}

/// The strings stored in an event's `metadata` column.
///
/// Strings only, because `cqrs-es` stores a map of strings and must stay able to read ours. An absent
/// value has no key. What a foreign writer left out is empty, and what else it wrote is passed over.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Metadata {
    /// Who caused the event, as [`Actor`] prints it.
    pub actor: String,
    /// Shared by everything that follows from one request.
    pub correlation_id: String,
    /// The event that led to this one, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub causation_id: Option<String>,
    /// The command, so that an acknowledged answer can be found in the log.
    pub command_id: String,
    /// SHA-256 of the request body, when the stream's id derives from an idempotency key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_sha256: Option<String>,
    /// The span of the request it all began with, as the header `traceparent` of W3C Trace Context
    /// has it, so that what follows belongs to the same trace, also after a restart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
}

impl Metadata {
    const ACTOR: &str = "actor";
    const CORRELATION_ID: &str = "correlation_id";
    const CAUSATION_ID: &str = "causation_id";
    const COMMAND_ID: &str = "command_id";
    const BODY_SHA256: &str = "body_sha256";
    const TRACEPARENT: &str = "traceparent";

    /// What the server does by itself, and not because of an event: `id` names it.
    pub fn by_system(id: Uuid) -> Self {
        let id = id.to_string();
        Self {
            actor: Actor::System.to_string(),
            correlation_id: id.clone(),
            causation_id: None,
            command_id: id,
            body_sha256: None,
            traceparent: None,
        }
    }

    /// Flattens into the map that `cqrs-es` stores; absent values have no key.
    pub fn to_map(&self) -> HashMap<String, String> {
        let mut map = HashMap::from([
            (Self::ACTOR.to_owned(), self.actor.clone()),
            (Self::CORRELATION_ID.to_owned(), self.correlation_id.clone()),
            (Self::COMMAND_ID.to_owned(), self.command_id.clone()),
        ]);
        let optional = [
            (Self::CAUSATION_ID, &self.causation_id),
            (Self::BODY_SHA256, &self.body_sha256),
            (Self::TRACEPARENT, &self.traceparent),
        ];
        for (key, value) in optional {
            if let Some(value) = value {
                map.insert(key.to_owned(), value.clone());
            }
        }
        map
    }

    /// Reads a stored map; what a foreign writer left out is empty.
    pub fn from_map(mut map: HashMap<String, String>) -> Self {
        Self {
            actor: map.remove(Self::ACTOR).unwrap_or_default(),
            correlation_id: map.remove(Self::CORRELATION_ID).unwrap_or_default(),
            causation_id: map.remove(Self::CAUSATION_ID),
            command_id: map.remove(Self::COMMAND_ID).unwrap_or_default(),
            body_sha256: map.remove(Self::BODY_SHA256),
            traceparent: map.remove(Self::TRACEPARENT),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_map_of_the_framework_is_what_is_stored() {
        let bare = Metadata::by_system(Uuid::from_u128(7));
        let full = Metadata {
            causation_id: Some("cause".to_owned()),
            body_sha256: Some("sum".to_owned()),
            traceparent: Some("span".to_owned()),
            ..bare.clone()
        };
        for metadata in [bare, full] {
            let stored = serde_json::to_string(&metadata).unwrap();
            assert_eq!(serde_json::from_str::<Metadata>(&stored).unwrap(), metadata);
            let map: HashMap<String, String> = serde_json::from_str(&stored).unwrap();
            assert_eq!(map, metadata.to_map());
            assert_eq!(Metadata::from_map(map), metadata);
        }
        let foreign = r#"{"actor":"somebody","their_own":7}"#;
        let read: Metadata = serde_json::from_str(foreign).unwrap();
        assert_eq!(read, Metadata { actor: "somebody".to_owned(), ..Metadata::default() });
    }
}
