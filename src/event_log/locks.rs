//! One command at a time per stream, inside this node.
//!
//! Not needed for safety, which the expected version gives; it keeps commands of one node from
//! losing against each other.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OwnedMutexGuard;

use crate::domain::StreamId;

type Lock = Arc<tokio::sync::Mutex<()>>;

#[derive(Debug, Default)]
pub(super) struct Locks {
    held: Arc<Mutex<HashMap<StreamId, Lock>>>,
}

/// Streams held by one command.
#[derive(Debug)]
pub(super) struct Held {
    locks: Arc<Mutex<HashMap<StreamId, Lock>>>,
    guards: Vec<(StreamId, OwnedMutexGuard<()>)>,
}

impl Locks {
    /// Waits for every stream, in their one order, so that no two commands wait for each other.
    pub(super) async fn acquire(&self, streams: impl Iterator<Item = StreamId>) -> Held {
        let mut streams: Vec<StreamId> = streams.collect();
        streams.sort_unstable();
        let mut held =
            Held { locks: Arc::clone(&self.held), guards: Vec::with_capacity(streams.len()) };
        for stream in streams {
            let lock = Arc::clone(lock(&self.held).entry(stream.clone()).or_default());
            held.guards.push((stream, lock.lock_owned().await));
        }
        held
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut locks = lock(&self.locks);
        for (stream, guard) in self.guards.drain(..) {
            drop(guard);
            // A waiter has a clone; only a lock that nobody wants leaves the table.
            if let Entry::Occupied(entry) = locks.entry(stream)
                && Arc::strong_count(entry.get()) == 1
            {
                entry.remove();
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::StreamType;

    fn stream(id: &str) -> StreamId {
        StreamId { kind: StreamType::Agent, id: id.to_owned() }
    }

    #[tokio::test]
    async fn one_at_a_time_and_nothing_left_behind() {
        let locks = Arc::new(Locks::default());
        let inside = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let mut tasks = Vec::new();
        for task in 0..50 {
            let (locks, inside) = (Arc::clone(&locks), Arc::clone(&inside));
            tasks.push(tokio::spawn(async move {
                // Named in either order.
                let ids = if task % 2 == 0 { ["a", "b"] } else { ["b", "a"] };
                let _held = locks.acquire(ids.into_iter().map(stream)).await;
                assert_eq!(inside.fetch_add(1, std::sync::atomic::Ordering::SeqCst), 0);
                tokio::task::yield_now().await;
                inside.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
            }));
        }
        for task in tasks {
            task.await.unwrap();
        }
        assert!(lock(&locks.held).is_empty());
    }
}
