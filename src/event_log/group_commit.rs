//! Group commit: appends that wait at the same time share one transaction and one fsync.
//!
//! Nothing lingers: an append that finds the writer idle is committed at once, alone. While a batch
//! is being committed the next one gathers.

use std::collections::hash_map::RandomState;
use std::collections::{HashSet, VecDeque};
use std::future::Future;
use std::hash::BuildHasher;
use std::sync::Arc;

use tokio::sync::{Mutex, Semaphore, mpsc, oneshot};

use super::append::{APPEND_BYTES_MAX, Append, AppendError, Outcome, Submitted};
use super::error::{Invalid, Unavailable};
use super::feed::{Feed, Placed};
use super::snapshots::KeptState;

/// The most appends that wait; one more is refused as unavailable.
pub const QUEUE_APPENDS_MAX: usize = 8192;
/// The most bytes that wait.
pub const QUEUE_BYTES_MAX: usize = 128 << 20;
/// The most appends of one transaction.
pub const BATCH_APPENDS_MAX: usize = 512;
/// The most bytes of one transaction; a single append may be larger.
pub const BATCH_BYTES_MAX: usize = 4 << 20;
/// The queue counts bytes in units of so many.
const SHARE_BYTES: usize = 256;

const _: () = assert!(APPEND_BYTES_MAX < QUEUE_BYTES_MAX);

/// Commits batches; one per database connection.
pub(super) trait Engine: Send {
    /// Commits what can be, in this order; an outcome for each append, or nothing is committed.
    fn commit(
        &mut self,
        appends: &[Append],
    ) -> impl Future<Output = Result<Vec<Outcome>, BatchError>> + Send;

    /// Keeps a state for later loads; a failure costs time then, nothing else.
    fn keep_state(&mut self, state: KeptState) -> impl Future<Output = ()> + Send;
}

/// Why a batch as a whole was not committed.
#[derive(Debug)]
pub(super) enum BatchError {
    /// Some row of it was refused by the database, for good.
    Rejected(String),
    /// The database could not do it now.
    Unavailable(Unavailable),
}

#[derive(Debug)]
enum Job {
    Append(Submitted),
    State(KeptState),
}

/// The way in.
#[derive(Debug)]
pub(super) struct Queue {
    jobs: mpsc::Sender<Job>,
    /// The bytes that may still wait, in units of [`SHARE_BYTES`].
    room: Arc<Semaphore>,
}

/// The way out: gathers batches.
#[derive(Debug)]
pub(super) struct Batcher {
    jobs: mpsc::Receiver<Job>,
    /// Appends that meet a stream written earlier in the batch they would have been in.
    deferred: VecDeque<Submitted>,
    hasher: RandomState,
}

#[derive(Debug, Default)]
struct Batch {
    appends: Vec<Submitted>,
    bytes: usize,
    /// Hashes of the streams written to; two streams with one hash merely wait for each other.
    written: HashSet<u64>,
    states: Vec<KeptState>,
}

pub(super) fn queue() -> (Queue, Batcher) {
    let (sender, receiver) = mpsc::channel(QUEUE_APPENDS_MAX);
    let room = Arc::new(Semaphore::new(QUEUE_BYTES_MAX / SHARE_BYTES));
    let batcher = Batcher { jobs: receiver, deferred: VecDeque::new(), hasher: RandomState::new() };
    (Queue { jobs: sender, room }, batcher)
}

impl Queue {
    /// Waits until the append is committed, or refused.
    pub(super) async fn append(&self, append: Append) -> Result<Vec<Placed>, AppendError> {
        let unavailable = |reason: &str| AppendError::Unavailable(Unavailable::new(reason));
        let units = u32::try_from(append.bytes().div_ceil(SHARE_BYTES)).unwrap_or(u32::MAX);
        let share = Arc::clone(&self.room)
            .try_acquire_many_owned(units)
            .map_err(|_| unavailable("too much is waiting to be written"))?;
        let (answer, answered) = oneshot::channel();
        self.jobs
            .try_send(Job::Append(Submitted { append, answer, share }))
            .map_err(|_| unavailable("too much is waiting to be written"))?;
        answered.await.unwrap_or_else(|_| Err(unavailable("the writer has ended")))
    }

    /// Hands over a state to keep; dropped when the queue is full.
    pub(super) fn keep_state(&self, state: KeptState) {
        drop(self.jobs.try_send(Job::State(state)));
    }

    /// Refuses further appends and waits until those before are answered.
    pub(super) async fn close(&self) {
        let all = u32::try_from(QUEUE_BYTES_MAX / SHARE_BYTES).unwrap_or(u32::MAX);
        drop(self.room.acquire_many(all).await);
        self.room.close();
    }
}

impl Batcher {
    /// Waits for work; `None` when no more can come.
    async fn next(&mut self) -> Option<Batch> {
        let mut batch = Batch::default();
        for append in std::mem::take(&mut self.deferred) {
            self.place(&mut batch, append);
        }
        if batch.appends.is_empty() {
            let job = self.jobs.recv().await?;
            self.add(&mut batch, job);
        }
        while batch.has_room() && self.deferred.len() < BATCH_APPENDS_MAX {
            let Ok(job) = self.jobs.try_recv() else { break };
            self.add(&mut batch, job);
        }
        Some(batch)
    }

    fn add(&mut self, batch: &mut Batch, job: Job) {
        match job {
            Job::Append(append) => self.place(batch, append),
            Job::State(state) => batch.states.push(state),
        }
    }

    fn place(&mut self, batch: &mut Batch, submitted: Submitted) {
        let append = &submitted.append;
        let meets = |stream| batch.written.contains(&self.hasher.hash_one(stream));
        if !batch.has_room() || append.checks.iter().any(|check| meets(&check.stream)) {
            self.deferred.push_back(submitted);
            return;
        }
        batch.written.extend(append.written().map(|stream| self.hasher.hash_one(stream)));
        batch.bytes += append.bytes();
        batch.appends.push(submitted);
    }
}

impl Batch {
    fn has_room(&self) -> bool {
        self.appends.len() < BATCH_APPENDS_MAX && self.bytes < BATCH_BYTES_MAX
    }
}

/// Commits batches until the queue's last sender is gone and everything is answered.
pub(super) async fn run<E: Engine>(mut engine: E, batcher: Arc<Mutex<Batcher>>, feed: Arc<Feed>) {
    loop {
        let batch = batcher.lock().await.next().await;
        let Some(batch) = batch else { return };
        let (appends, waiting): (Vec<_>, Vec<_>) = batch
            .appends
            .into_iter()
            .map(|Submitted { append, answer, share }| (append, (answer, share)))
            .unzip();
        count_batch(appends.len());
        let outcomes = commit_isolated(&mut engine, &appends).await;
        outcomes.iter().for_each(count_outcome);
        let mut placed = Vec::with_capacity(appends.len());
        for (append, outcome) in appends.into_iter().zip(outcomes) {
            placed.push(outcome.map(|place| append.into_placed(place)));
        }
        // Readers first: whoever is told a position then finds it in the feed.
        feed.publish(placed.iter().flatten().flatten().cloned());
        for ((answer, share), result) in waiting.into_iter().zip(placed) {
            drop(share);
            // Nobody listens when the caller's task was ended with the runtime.
            drop(answer.send(result));
        }
        for state in batch.states {
            engine.keep_state(state).await;
        }
    }
}

/// Tells metrics how many appends share a transaction.
fn count_batch(appends: usize) {
    if let Ok(appends) = u32::try_from(appends) {
        metrics::histogram!("trinity_log_batch_appends").record(appends);
    }
}

/// Tells metrics what became of an append.
fn count_outcome(outcome: &Outcome) {
    let outcome = match outcome {
        Ok(_) => "committed",
        Err(AppendError::Conflict) => "conflict",
        Err(AppendError::Unavailable(_)) => "unavailable",
        Err(AppendError::Invalid(_)) => "invalid",
    };
    metrics::counter!("trinity_log_appends_total", "outcome" => outcome).increment(1);
}

/// Commits in one piece; when the database refuses a row, halves the batch until that row is alone.
async fn commit_isolated<E: Engine>(engine: &mut E, appends: &[Append]) -> Vec<Outcome> {
    let mut outcomes: Vec<Outcome> = Vec::with_capacity(appends.len());
    let mut open = vec![(0, appends.len())];
    while let Some((start, end)) = open.pop() {
        if start == end {
            continue;
        }
        match engine.commit(&appends[start..end]).await {
            Ok(results) => outcomes.extend(results),
            Err(BatchError::Unavailable(reason)) => {
                outcomes
                    .extend((start..end).map(|_| Err(AppendError::Unavailable(reason.clone()))));
            }
            Err(BatchError::Rejected(reason)) if end - start == 1 => {
                outcomes.push(Err(AppendError::Invalid(Invalid::Rejected(reason))));
            }
            Err(BatchError::Rejected(_)) => {
                let middle = start.midpoint(end);
                // The first half is next: outcomes stay in order.
                open.push((middle, end));
                open.push((start, middle));
            }
        }
    }
    outcomes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::account::{AccountEvent, Role};
    use crate::domain::{Event, Metadata, StreamId, StreamType};
    use crate::event_log::append::{Check, Place};

    /// Commits nothing and remembers the batches; goes on when it is let.
    struct Gated {
        gate: Arc<Semaphore>,
        batches: Arc<std::sync::Mutex<Vec<Vec<String>>>>,
        position: i64,
    }

    impl Engine for Gated {
        async fn commit(&mut self, appends: &[Append]) -> Result<Vec<Outcome>, BatchError> {
            self.gate.acquire().await.unwrap().forget();
            let streams = appends.iter().map(|append| append.checks[0].stream.id.clone());
            self.batches.lock().unwrap().push(streams.collect());
            let outcomes = appends.iter().map(|append| {
                let first_position = self.position + 1;
                self.position += i64::try_from(append.events.len()).unwrap();
                Ok(Place { first_position, recorded_at_micros: 0 })
            });
            Ok(outcomes.collect())
        }

        async fn keep_state(&mut self, _state: KeptState) {}
    }

    fn stream(id: &str) -> StreamId {
        StreamId { kind: StreamType::Account, id: id.to_owned() }
    }

    fn append(written: &str, guard: Option<&str>, bytes: usize) -> Append {
        let checks = [Some(written), guard].into_iter().flatten();
        let checks = checks.map(|id| Check { stream: stream(id), version: 0 }).collect();
        let event = AccountEvent::UserCreated { name: "x".repeat(bytes), role: Role::User };
        let events = vec![(stream(written), 1, Event::Account(event))];
        Append::new(checks, events, Metadata::default(), &Metadata::default()).unwrap()
    }

    #[tokio::test]
    async fn an_append_that_meets_a_stream_of_its_batch_waits_for_the_next() {
        let (gate, batches) = (Arc::new(Semaphore::new(0)), Arc::default());
        let engine = Gated { gate: Arc::clone(&gate), batches: Arc::clone(&batches), position: 0 };
        let (queue, batcher) = queue();
        let feed = Arc::new(Feed::new(0, 0));
        let writer = tokio::spawn(run(engine, Arc::new(Mutex::new(batcher)), Arc::clone(&feed)));
        // The first is alone; the others find themselves together in the queue.
        let all = tokio::spawn(async move {
            tokio::join!(queue.append(append("first", None, 1)), async {
                tokio::task::yield_now().await;
                tokio::join!(
                    queue.append(append("a", None, 1)),
                    queue.append(append("b", Some("a"), 1)),
                    queue.append(append("a", None, 1)),
                    queue.append(append("c", None, 1)),
                )
            })
        });
        gate.add_permits(10);
        let (first, rest) = all.await.unwrap();
        assert!(first.is_ok() && rest.0.is_ok() && rest.1.is_ok() && rest.2.is_ok());
        writer.await.unwrap();
        assert_eq!(feed.head(), 5);
        let batches = batches.lock().unwrap().clone();
        assert_eq!(batches, [vec!["first"], vec!["a", "c"], vec!["b", "a"]]);
    }

    #[tokio::test]
    async fn a_full_queue_refuses_and_takes_again_when_there_is_room() {
        const BYTES: usize = 4 << 20;
        let gate = Arc::new(Semaphore::new(0));
        let engine = Gated { gate: Arc::clone(&gate), batches: Arc::default(), position: 0 };
        let (queue, batcher) = queue();
        let queue = Arc::new(queue);
        let writer =
            tokio::spawn(run(engine, Arc::new(Mutex::new(batcher)), Arc::new(Feed::new(0, 0))));
        let submit = |n: usize| {
            let queue = Arc::clone(&queue);
            tokio::spawn(async move { queue.append(append(&n.to_string(), None, BYTES)).await })
        };
        let fitting = QUEUE_BYTES_MAX / (BYTES + SHARE_BYTES);
        let waiting: Vec<_> = (0..fitting).map(submit).collect();
        tokio::task::yield_now().await;
        let refused = submit(fitting).await.unwrap();
        assert!(matches!(refused, Err(AppendError::Unavailable(_))));
        gate.add_permits(fitting + 1);
        for append in waiting {
            assert!(append.await.unwrap().is_ok());
        }
        assert!(submit(fitting + 1).await.unwrap().is_ok());
        drop(queue);
        writer.await.unwrap();
    }
}
