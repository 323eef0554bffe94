//! Who caused an event: the strings of column `metadata`.

use serde_json::{Map, Value};

use super::report::{Invariant, Tally};
use super::row::Row;
use super::schema;

/// The words before the colon of an actor, apart from `system`, which stands alone.
const ACTORS: [&str; 4] = ["user", "agent", "key", "schedule"];

/// The metadata of one event; empty where it cannot be read.
#[derive(Debug, Default)]
pub(super) struct Metadata(Option<Map<String, Value>>);

impl Metadata {
    pub(super) fn read(text: &str) -> Self {
        Self(serde_json::from_str(text).ok())
    }

    fn text(&self, key: &str) -> &str {
        self.0.as_ref().and_then(|map| map.get(key)).and_then(Value::as_str).unwrap_or_default()
    }

    /// What the events of one append share; empty when it is missing.
    pub(super) fn command_id(&self) -> &str {
        self.text("command_id")
    }

    /// The event that led to this one.
    pub(super) fn causation_id(&self) -> Option<&str> {
        self.0.as_ref()?.get("causation_id")?.as_str()
    }

    /// The agent by whose key the event was caused.
    pub(super) fn acting_agent(&self) -> Option<&str> {
        self.text("actor").strip_prefix("agent:")
    }

    /// Whether a person caused the event.
    pub(super) fn is_by_person(&self) -> bool {
        self.text("actor").starts_with("user:")
    }

    /// Whether the server itself, or its own key, caused the event.
    pub(super) fn is_by_system(&self) -> bool {
        self.text("actor") == "system"
    }

    pub(super) fn check(&self, row: &Row, tally: &mut Tally) {
        let fault = self.fault();
        tally.check(Invariant::Metadata, row, fault.is_none(), || fault.unwrap_or_default());
    }

    fn fault(&self) -> Option<String> {
        let Some(map) = &self.0 else {
            return Some("the metadata is not a JSON object".to_owned());
        };
        if let Some((key, _)) = map.iter().find(|(_, value)| !value.is_string()) {
            return Some(format!("`{key}` is not a string"));
        }
        let actor = self.text("actor");
        let is_named = actor
            .split_once(':')
            .is_some_and(|(kind, name)| ACTORS.contains(&kind) && !name.is_empty());
        if actor != "system" && !is_named {
            return Some(format!("`{actor}` is no actor"));
        }
        if self.text("correlation_id").is_empty() {
            return Some("there is no correlation_id".to_owned());
        }
        if !schema::is_uuid(self.command_id()) {
            return Some("command_id is not a UUID".to_owned());
        }
        let has_bad_cause =
            map.contains_key("causation_id") && !schema::is_uuid(self.text("causation_id"));
        has_bad_cause.then(|| "causation_id is not a UUID".to_owned())
    }
}
