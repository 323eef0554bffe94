//! Times as the log stores them: microseconds since 1970 UTC.

use chrono::{DateTime, Utc};

/// Reads a stored time; one that no calendar has becomes the nearest end of the calendar.
pub(super) fn from_micros(micros: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(micros).unwrap_or(if micros < 0 {
        DateTime::<Utc>::MIN_UTC
    } else {
        DateTime::<Utc>::MAX_UTC
    })
}
