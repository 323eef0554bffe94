//! States of the aggregates in use, so that a hot one is not read again for every command.
//!
//! An entry may be stale, because another node may write: whoever decides on one either commits
//! against its version or confirms it in the database.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::feed::Placed;
use super::kind::Versioned;
use crate::domain::StreamId;

/// The most states kept.
pub const CACHE_STREAMS_MAX: usize = 8192;
/// The most payload bytes folded into the states kept.
pub const CACHE_BYTES_MAX: usize = 128 << 20;
/// Of a full cache, one entry in so many is dropped at once, the longest unused first.
const DROPPED_SHARE: usize = 8;

#[derive(Default)]
pub(super) struct Cache {
    entries: Mutex<Entries>,
}

#[derive(Default)]
struct Entries {
    by_stream: HashMap<StreamId, Entry>,
    bytes: usize,
    /// Counts uses; an entry remembers its last.
    clock: u64,
}

struct Entry {
    versioned: Versioned,
    /// No event of the stream up to this position is missing from the state.
    checked: i64,
    used: u64,
}

impl Cache {
    pub(super) fn get(&self, stream: &StreamId) -> Option<Versioned> {
        self.get_checked(stream).map(|(versioned, _)| versioned)
    }

    /// The state with the position up to which nothing is missing from it.
    pub(super) fn get_checked(&self, stream: &StreamId) -> Option<(Versioned, i64)> {
        let mut entries = self.lock();
        entries.clock += 1;
        let clock = entries.clock;
        let entry = entries.by_stream.get_mut(stream)?;
        entry.used = clock;
        Some((entry.versioned.clone(), entry.checked))
    }

    /// Keeps what was loaded when the log's head was at `checked` or beyond, unless something newer
    /// is there.
    pub(super) fn insert(&self, stream: &StreamId, versioned: &Versioned, checked: i64) {
        let mut entries = self.lock();
        match entries.by_stream.get_mut(stream) {
            Some(known) if known.versioned.version > versioned.version => {}
            Some(known) if known.versioned.version == versioned.version => {
                known.checked = known.checked.max(checked);
            }
            _ => entries.put(stream.clone(), versioned.clone(), checked),
        }
    }

    /// Moves an entry by events that follow it, and drops it when they do not; answers with what
    /// it has become.
    ///
    /// The caller should hold no clone of the state: then it is moved in place.
    pub(super) fn advance(&self, stream: &StreamId, events: &[&Placed]) -> Option<Versioned> {
        let mut entries = self.lock();
        let Entry { mut versioned, checked, .. } = entries.remove(stream)?;
        for placed in events {
            if placed.recorded.version != versioned.version + 1 {
                return None;
            }
            versioned.evolve(placed);
        }
        entries.put(stream.clone(), versioned.clone(), checked);
        Some(versioned)
    }

    pub(super) fn evict(&self, stream: &StreamId) {
        self.lock().remove(stream);
    }

    /// Nothing panics while the lock is held but an aggregate's `evolve`, and then its entry has
    /// been taken out.
    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entries {
    fn put(&mut self, stream: StreamId, versioned: Versioned, checked: i64) {
        self.remove(&stream);
        self.clock += 1;
        self.bytes += versioned.bytes;
        self.by_stream.insert(stream, Entry { versioned, checked, used: self.clock });
        if self.by_stream.len() > CACHE_STREAMS_MAX || self.bytes > CACHE_BYTES_MAX {
            self.shrink();
        }
    }

    fn remove(&mut self, stream: &StreamId) -> Option<Entry> {
        let entry = self.by_stream.remove(stream)?;
        self.bytes -= entry.versioned.bytes;
        Some(entry)
    }

    fn shrink(&mut self) {
        let mut ages: Vec<(u64, StreamId)> =
            self.by_stream.iter().map(|(stream, entry)| (entry.used, stream.clone())).collect();
        ages.sort_unstable();
        let dropped = ages.len().div_ceil(DROPPED_SHARE);
        for (_, stream) in ages.into_iter().take(dropped) {
            self.remove(&stream);
        }
    }
}
