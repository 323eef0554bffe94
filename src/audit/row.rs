//! A row of table `events` as it is stored, and what it says once its JSON is understood.

use chrono::DateTime;
use serde_json::{Map, Value};
use uuid::Uuid;

/// The `event_version` whose shapes are known here.
const VERSION_KNOWN: &str = "1";

/// A row, unread.
#[derive(Debug, Clone, Default)]
pub(super) struct Row {
    pub(super) position: i64,
    pub(super) stream_type: String,
    pub(super) stream_id: String,
    pub(super) version: i64,
    pub(super) event_type: String,
    pub(super) event_version: String,
    pub(super) payload: String,
    pub(super) metadata: String,
    pub(super) event_id: String,
    /// Microseconds since 1970; none where the column is empty.
    pub(super) recorded_at: Option<i64>,
    /// The first column that holds no text at all.
    pub(super) damaged: Option<&'static str>,
}

impl Row {
    /// The body of the payload, `{"EventType": {…}}`, when it has the shape of its type.
    pub(super) fn body(&self) -> Result<Map<String, Value>, String> {
        if let Some(column) = self.damaged {
            return Err(format!("column {column} is not text"));
        }
        let fields =
            super::schema::fields(&self.stream_type, &self.event_type).ok_or_else(|| {
                format!("no event of this type is known in a {} stream", self.stream_type)
            })?;
        if self.event_version != VERSION_KNOWN {
            return Err(format!(
                "event_version is `{}`, known is {VERSION_KNOWN}",
                self.event_version
            ));
        }
        let value: Value = serde_json::from_str(&self.payload)
            .map_err(|error| format!("the payload is not JSON: {error}"))?;
        let Value::Object(outer) = value else {
            return Err("the payload is not an object".to_owned());
        };
        let mut variants = outer.into_iter();
        let (Some((variant, inner)), None) = (variants.next(), variants.next()) else {
            return Err("the payload does not have exactly one variant".to_owned());
        };
        if variant != self.event_type {
            return Err(format!(
                "event_type is {}, the payload's variant {variant}",
                self.event_type
            ));
        }
        let Value::Object(body) = inner else {
            return Err("the payload's variant is not an object".to_owned());
        };
        super::schema::check(&body, fields)?;
        Ok(body)
    }
}

/// A row whose payload is understood; a field that the shape has not is empty.
pub(super) struct Entry<'r> {
    pub(super) row: &'r Row,
    pub(super) body: &'r Map<String, Value>,
}

impl<'r> Entry<'r> {
    pub(super) fn text(&self, field: &str) -> &'r str {
        self.optional_text(field).unwrap_or_default()
    }

    pub(super) fn optional_text(&self, field: &str) -> Option<&'r str> {
        self.body.get(field).and_then(Value::as_str)
    }

    pub(super) fn number(&self, field: &str) -> u64 {
        self.optional_number(field).unwrap_or_default()
    }

    pub(super) fn optional_number(&self, field: &str) -> Option<u64> {
        self.body.get(field).and_then(Value::as_u64)
    }

    pub(super) fn flag(&self, field: &str) -> bool {
        self.body.get(field).and_then(Value::as_bool).unwrap_or_default()
    }

    pub(super) fn id(&self, field: &str) -> Uuid {
        self.optional_id(field).unwrap_or_default()
    }

    pub(super) fn optional_id(&self, field: &str) -> Option<Uuid> {
        self.optional_text(field).and_then(|text| Uuid::parse_str(text).ok())
    }

    /// A time in microseconds since 1970.
    pub(super) fn micros(&self, field: &str) -> i64 {
        let time =
            self.optional_text(field).and_then(|text| DateTime::parse_from_rfc3339(text).ok());
        time.map(|time| time.timestamp_micros()).unwrap_or_default()
    }

    /// The stream's id, where it is a UUID.
    pub(super) fn stream_uuid(&self) -> Uuid {
        Uuid::parse_str(&self.row.stream_id).unwrap_or_default()
    }
}
