//! The live end of the log: the newest events in memory, in order and without gaps, and who waits
//! for more.
//!
//! Batches of this node arrive here as they commit, those of other writers by way of the database.
//! Whatever is not next in line is parked until the gap before it has been read.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use tokio::sync::{Notify, watch};

use super::time::from_micros;
use crate::domain::{Recorded, StreamId};

/// The most events kept in memory for readers at the live end.
pub const RING_EVENTS_MAX: usize = 16_384;
/// The most payload bytes kept in memory for readers at the live end.
pub const RING_BYTES_MAX: usize = 64 << 20;
/// The most events that wait in memory for a gap before them; beyond it they are read again.
pub const PARKED_EVENTS_MAX: usize = 16_384;

/// A committed event with the size of its payload.
#[derive(Debug, Clone)]
pub(super) struct Placed {
    pub(super) recorded: Arc<Recorded>,
    pub(super) bytes: usize,
}

impl Placed {
    pub(super) fn position(&self) -> i64 {
        self.recorded.position
    }
}

/// What the memory holds for a reader.
#[derive(Debug)]
pub(super) enum Tail {
    /// The next events, contiguous from the reader's place.
    Events(Vec<Arc<Recorded>>),
    /// Nothing is newer.
    CaughtUp,
    /// The next events have left the memory, or never were in it; the database has them.
    Behind,
}

#[derive(Debug)]
pub(super) struct Feed {
    ring: Mutex<Ring>,
    head: watch::Sender<i64>,
    /// When the newest event that was taken in was recorded, in microseconds.
    recorded_at: AtomicI64,
    /// Rung when the database holds events that the ring lacks.
    gap: Notify,
}

#[derive(Debug)]
struct Ring {
    /// Contiguous, the last one at `head`.
    events: VecDeque<Placed>,
    bytes: usize,
    head: i64,
    /// The version of the newest event here of each stream that has one here.
    versions: HashMap<StreamId, i64>,
    /// Events beyond the next position.
    parked: BTreeMap<i64, Placed>,
}

impl Feed {
    /// Begins at the head of the log, where the last event was recorded at that time.
    pub(super) fn new(head: i64, recorded_at_micros: i64) -> Self {
        let ring = Ring {
            events: VecDeque::new(),
            bytes: 0,
            head,
            versions: HashMap::new(),
            parked: BTreeMap::new(),
        };
        Self {
            ring: Mutex::new(ring),
            head: watch::Sender::new(head),
            recorded_at: AtomicI64::new(recorded_at_micros),
            gap: Notify::new(),
        }
    }

    /// When the newest event that was taken in was recorded.
    pub(super) fn recorded_at(&self) -> DateTime<Utc> {
        from_micros(self.recorded_at.load(Ordering::Relaxed))
    }

    /// The position up to which every event is known here.
    pub(super) fn head(&self) -> i64 {
        *self.head.borrow()
    }

    pub(super) fn watch(&self) -> watch::Receiver<i64> {
        self.head.subscribe()
    }

    /// Waits until somebody says that the database holds more than the ring.
    pub(super) async fn gap(&self) {
        self.gap.notified().await;
    }

    /// Says that another writer may have written.
    pub(super) fn hint(&self) {
        self.gap.notify_one();
    }

    /// Takes in committed events, in any order and possibly again.
    pub(super) fn publish(&self, events: impl IntoIterator<Item = Placed>) {
        let (head, gap) = {
            let mut ring = self.lock();
            for event in events {
                let recorded_at = event.recorded.recorded_at.timestamp_micros();
                self.recorded_at.fetch_max(recorded_at, Ordering::Relaxed);
                ring.take(event);
            }
            ring.unpark();
            (ring.head, !ring.parked.is_empty())
        };
        self.announce(head);
        if gap {
            self.gap.notify_one();
        }
    }

    /// Gives up on what lies before `head`: it cannot be read, so readers must hear that from the
    /// database themselves.
    pub(super) fn skip_to(&self, head: i64) {
        {
            let mut ring = self.lock();
            if head <= ring.head {
                return;
            }
            ring.events.clear();
            ring.versions.clear();
            ring.bytes = 0;
            ring.head = head;
            ring.unpark();
        }
        self.announce(head);
    }

    /// The events after `after`, at most `limit`.
    pub(super) fn tail(&self, after: i64, limit: usize) -> Tail {
        let ring = self.lock();
        if after >= ring.head {
            return Tail::CaughtUp;
        }
        let first = ring.events.front().map_or(i64::MAX, Placed::position);
        match usize::try_from(after + 1 - first) {
            Ok(skip) => {
                let events = ring.events.range(skip..).take(limit);
                Tail::Events(events.map(|placed| Arc::clone(&placed.recorded)).collect())
            }
            Err(_) => Tail::Behind,
        }
    }

    /// Whether the stream still is at this version, which it had when the log's head was at `checked`,
    /// as far as this node has heard. `false` also when the memory does not reach back so far.
    pub(super) fn is_newest(&self, stream: &StreamId, version: i64, checked: i64) -> bool {
        let ring = self.lock();
        let reaches = ring.events.front().map_or(ring.head + 1, Placed::position) <= checked + 1;
        reaches && ring.versions.get(stream).is_none_or(|newest| *newest <= version)
    }

    fn announce(&self, head: i64) {
        self.head.send_if_modified(|known| {
            let newer = head > *known;
            if newer {
                *known = head;
            }
            newer
        });
    }

    /// Nothing panics while the lock is held, so a poisoned one is as good as any.
    fn lock(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ring {
    fn take(&mut self, event: Placed) {
        let position = event.position();
        if position == self.head + 1 {
            self.push(event);
        } else if position > self.head {
            if self.parked.len() >= PARKED_EVENTS_MAX {
                self.parked.clear();
            }
            self.parked.insert(position, event);
        }
    }

    /// Moves what has come into line; what the database gave meanwhile is dropped.
    fn unpark(&mut self) {
        while let Some(first) = self.parked.first_entry() {
            if *first.key() > self.head + 1 {
                break;
            }
            let event = first.remove();
            if event.position() == self.head + 1 {
                self.push(event);
            }
        }
    }

    fn push(&mut self, event: Placed) {
        self.head = event.position();
        self.bytes += event.bytes;
        let Recorded { stream, version, .. } = &*event.recorded;
        match self.versions.get_mut(stream) {
            Some(newest) => *newest = *version,
            None => {
                self.versions.insert(stream.clone(), *version);
            }
        }
        self.events.push_back(event);
        while self.events.len() > RING_EVENTS_MAX || self.bytes > RING_BYTES_MAX {
            let Some(oldest) = self.events.pop_front() else { break };
            self.bytes -= oldest.bytes;
            let Recorded { stream, version, .. } = &*oldest.recorded;
            if self.versions.get(stream) == Some(version) {
                self.versions.remove(stream);
            }
        }
    }
}
