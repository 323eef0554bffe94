//! States kept beside the log, so that a long stream is not read from its beginning.
//!
//! They are a cache in the database: written after the append, by nobody's leave, and ignored when
//! the code that made them was another. State plus later events equals the whole replay.

use crate::domain::StreamId;

/// A state is kept when the stream has grown by so many events since the last one kept.
pub const SNAPSHOT_EVENTS: i64 = 200;
/// The largest state kept, in bytes of JSON.
pub const SNAPSHOT_BYTES_MAX: usize = 4 << 20;

/// A hash over the source of `src/domain`: a changed aggregate reads no state of its former self.
pub(super) const FINGERPRINT: &str = env!("TRINITY_DOMAIN_FINGERPRINT");

/// A state in its stored form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KeptState {
    pub(super) stream: StreamId,
    pub(super) version: i64,
    pub(super) position: i64,
    pub(super) json: String,
}

/// Whether appending from `before` to `after` passes a multiple of [`SNAPSHOT_EVENTS`].
pub(super) fn is_due(before: i64, after: i64) -> bool {
    before / SNAPSHOT_EVENTS != after / SNAPSHOT_EVENTS
}
