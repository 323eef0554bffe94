//! Where in the log something stands, for as long as that may have to be told.

use super::row::Row;

/// An event's place, without its content.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) position: i64,
    pub(super) stream: String,
    pub(super) event_type: String,
}

impl Place {
    pub(super) fn of(row: &Row) -> Self {
        Self {
            position: row.position,
            stream: format!("{}:{}", row.stream_type, row.stream_id),
            event_type: row.event_type.clone(),
        }
    }
}
