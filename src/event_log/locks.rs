//! One command at a time per stream, inside this node.
//!
//! Not needed for safety, which the expected version gives; it keeps commands of one node from
//! losing against each other. Streams share a fixed number of locks by hash: now and then two that
//! have nothing to do with each other take turns.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use tokio::sync::{Mutex, MutexGuard};

use crate::domain::StreamId;

/// How many locks there are; with 256 commands under way one in 64 meets a stranger.
const LOCKS: usize = 16_384;

#[derive(Debug)]
pub(super) struct Locks {
    locks: Box<[Mutex<()>]>,
    hasher: RandomState,
}

impl Default for Locks {
    fn default() -> Self {
        let locks = std::iter::repeat_with(Mutex::default).take(LOCKS).collect();
        Self { locks, hasher: RandomState::new() }
    }
}

impl Locks {
    /// Waits for every stream, always in one order, so that no two commands wait for each other.
    pub(super) async fn acquire<'a>(
        &self,
        streams: impl Iterator<Item = &'a StreamId>,
    ) -> Vec<MutexGuard<'_, ()>> {
        let mut indices: Vec<usize> = streams.map(|stream| self.index(stream)).collect();
        indices.sort_unstable();
        indices.dedup();
        let mut held = Vec::with_capacity(indices.len());
        for index in indices {
            held.push(self.locks[index].lock().await);
        }
        held
    }

    fn index(&self, stream: &StreamId) -> usize {
        #[expect(clippy::cast_possible_truncation, reason = "any bits of the hash will do")]
        let hash = self.hasher.hash_one(stream) as usize;
        hash % LOCKS
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::domain::StreamType;

    fn stream(id: usize) -> StreamId {
        StreamId { kind: StreamType::Agent, id: id.to_string() }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn one_at_a_time_whatever_the_order_in_which_streams_are_named() {
        const STREAMS: usize = 5;
        let locks = Arc::new(Locks::default());
        let inside: Arc<[AtomicUsize; STREAMS]> = Arc::default();
        let mut tasks = Vec::new();
        for task in 0..400 {
            let (locks, inside) = (Arc::clone(&locks), Arc::clone(&inside));
            tasks.push(tokio::spawn(async move {
                let named = [task % STREAMS, (task * 3 + 1) % STREAMS];
                let streams = named.map(stream);
                let held = locks.acquire(streams.iter()).await;
                let mut own = named.to_vec();
                own.dedup();
                for stream in &own {
                    assert_eq!(inside[*stream].fetch_add(1, Ordering::SeqCst), 0);
                }
                tokio::task::yield_now().await;
                for stream in &own {
                    inside[*stream].fetch_sub(1, Ordering::SeqCst);
                }
                drop(held);
            }));
        }
        for task in tasks {
            task.await.unwrap();
        }
    }
}
