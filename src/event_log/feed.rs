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
/// The most payload bytes that wait in memory for a gap before them.
pub const PARKED_BYTES_MAX: usize = 64 << 20;

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
    parked_bytes: usize,
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
            parked_bytes: 0,
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
            let bytes = self.parked_bytes + event.bytes;
            if self.parked.len() >= PARKED_EVENTS_MAX || bytes > PARKED_BYTES_MAX {
                self.parked.clear();
                self.parked_bytes = 0;
            }
            self.parked_bytes += event.bytes;
            if let Some(again) = self.parked.insert(position, event) {
                self.parked_bytes -= again.bytes;
            }
        }
    }

    /// Moves what has come into line; what the database gave meanwhile is dropped.
    fn unpark(&mut self) {
        while let Some(first) = self.parked.first_entry() {
            if *first.key() > self.head + 1 {
                break;
            }
            let event = first.remove();
            self.parked_bytes -= event.bytes;
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

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::account::{Account, AccountEvent};
    use crate::domain::{AccountId, Event, EventId, Metadata};

    fn stream(number: u128) -> StreamId {
        StreamId::of::<Account>(AccountId(Uuid::from_u128(number)))
    }

    /// An event of so many bytes.
    fn placed(position: i64, stream: StreamId, version: i64, bytes: usize) -> Placed {
        let recorded = Recorded {
            position,
            event_id: EventId(Uuid::from_u128(position.unsigned_abs().into())),
            stream,
            version,
            recorded_at: from_micros(position),
            metadata: Metadata {
                actor: "system".to_owned(),
                correlation_id: String::new(),
                causation_id: None,
                command_id: String::new(),
                body_sha256: None,
                traceparent: None,
            },
            event: Event::Account(AccountEvent::PasswordChanged {}),
        };
        Placed { recorded: Arc::new(recorded), bytes }
    }

    fn positions(tail: Tail) -> Vec<i64> {
        match tail {
            Tail::Events(events) => events.iter().map(|event| event.position).collect(),
            tail => panic!("{tail:?}"),
        }
    }

    #[test]
    fn a_stream_is_as_it_was_until_an_event_of_its_own_arrives() {
        let feed = Feed::new(10, 0);
        let (ours, other) = (stream(1), stream(2));
        assert!(feed.is_newest(&ours, 3, 10), "nothing has happened since");
        feed.publish([placed(11, other.clone(), 1, 1)]);
        assert!(feed.is_newest(&ours, 3, 10));
        assert!(!feed.is_newest(&other, 0, 10));
        assert!(feed.is_newest(&other, 1, 10));
        feed.publish([placed(12, ours.clone(), 4, 1)]);
        assert!(!feed.is_newest(&ours, 3, 10));
        assert!(feed.is_newest(&ours, 4, 12));
    }

    #[test]
    fn what_has_left_the_memory_is_not_vouched_for() {
        let feed = Feed::new(0, 0);
        let (ours, other) = (stream(1), stream(2));
        feed.publish([placed(1, ours.clone(), 1, RING_BYTES_MAX / 2)]);
        assert!(feed.is_newest(&ours, 1, 0), "the memory reaches back to the first event");
        // The first event leaves: whether there were others of its stream before, nobody here knows.
        feed.publish([placed(2, other.clone(), 1, RING_BYTES_MAX)]);
        assert!(!feed.is_newest(&ours, 0, 0));
        assert!(!feed.is_newest(&ours, 1, 0));
        assert!(feed.is_newest(&ours, 1, 1), "all since then is here");
        assert!(matches!(feed.tail(0, 10), Tail::Behind));

        feed.skip_to(5);
        assert!(!feed.is_newest(&other, 1, 2));
        assert!(feed.is_newest(&other, 1, 5));
    }

    #[test]
    fn what_comes_early_waits_for_the_gap_before_it() {
        let feed = Feed::new(0, 0);
        let ours = stream(1);
        feed.publish([placed(3, ours.clone(), 3, 1), placed(1, ours.clone(), 1, 1)]);
        assert_eq!(feed.head(), 1);
        assert!(feed.is_newest(&ours, 1, 0), "a later one is not heard before its turn");
        // The database gives what lay between, and once more what was parked.
        feed.publish([placed(2, ours.clone(), 2, 1), placed(3, ours.clone(), 3, 1)]);
        assert_eq!((feed.head(), positions(feed.tail(0, 10))), (3, vec![1, 2, 3]));
        assert_eq!(positions(feed.tail(1, 1)), [2]);
        assert!(matches!(feed.tail(3, 10), Tail::CaughtUp));
        assert!(!feed.is_newest(&ours, 1, 0));
        assert_eq!(feed.lock().parked_bytes, 0);
    }

    #[test]
    fn what_waits_for_a_gap_is_bounded() {
        let feed = Feed::new(0, 0);
        let ours = stream(1);
        let half = PARKED_BYTES_MAX / 2;
        for position in 3..6 {
            feed.publish([placed(position, ours.clone(), position, half)]);
            assert!(feed.lock().parked_bytes <= PARKED_BYTES_MAX);
        }
        feed.publish([placed(5, ours.clone(), 5, half)]);
        assert_eq!(feed.lock().parked_bytes, half, "what comes again is counted once");
        // What was dropped is read from the database in its turn.
        feed.publish([1, 2].map(|position| placed(position, ours.clone(), position, 1)));
        assert_eq!(feed.head(), 2);
        feed.publish([3, 4].map(|position| placed(position, ours.clone(), position, 1)));
        assert_eq!((feed.head(), feed.lock().parked_bytes), (5, 0));
    }
}
