//! The event log: every decision that was ever made, in one order, on SQLite or Postgres.
//!
//! * An **append** spans 1 to 3 streams, each at an expected version, and up to 2 guards: all or
//!   nothing ([`EventLog::transact`]).
//! * **Positions** are 1..N without gaps, in commit order, so a reader asks for what comes after the
//!   last one it has seen, and a gap is damage.
//! * **Group commit**: appends that wait at the same time share one transaction and one fsync.
//! * The **feed** ([`EventLog::subscribe`]) replays from the database and goes on live, without a gap
//!   or a repeat.
//!
//! Table `events` is that of `cqrs-es`' stock stores plus columns with defaults: they can read and
//! write it too.

mod append;
mod cache;
mod cqrs;
mod error;
mod feed;
mod follow;
mod group_commit;
mod inspect;
mod kind;
mod locks;
mod migrations;
mod moment;
mod plan;
mod postgres;
mod rows;
mod snapshots;
mod sqlite;
mod standings;
mod store;
mod subscribe;
mod time;
mod transact;

pub use append::{APPEND_BYTES_MAX, APPEND_EVENTS_MAX, EVENT_BYTES_MAX, STREAM_ID_BYTES_MAX};
pub use cqrs::LogContext;
pub use error::{ExecuteError, Invalid, LogError, OpenError, Unavailable};
pub use feed::{RING_BYTES_MAX, RING_EVENTS_MAX};
pub use group_commit::{BATCH_APPENDS_MAX, BATCH_BYTES_MAX, QUEUE_APPENDS_MAX, QUEUE_BYTES_MAX};
pub use inspect::{
    Head, InspectError, Inspection, SchemaVersion, inspect_postgres, inspect_sqlite, read_postgres,
    read_sqlite, version_sqlite, versions_postgres,
};
pub use migrations::{MigrateError, Migrations};
pub use plan::{Decision, GUARDS_MAX, Plan, STREAMS_MAX, Seen};
pub use rows::Upcasters;
pub use snapshots::SNAPSHOT_EVENTS;
pub use transact::{RETRIES_MAX, Receipt};

use std::fmt::{self, Display};
use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

use crate::clock;
use crate::domain::{Decider, Recorded, StreamId};
use cache::Cache;
use feed::{Feed, Placed, Tail};
use group_commit::Queue;
use kind::Kind;
use locks::Locks;
use store::{Reader, Store};

const MIGRATIONS: Migrations = Migrations {
    component: "event_log",
    sqlite: &[include_str!("../../migrations/sqlite/event_log_0001.sql")],
    postgres: &[include_str!("../../migrations/postgres/event_log_0001.sql")],
};

/// The log. A clone is another handle to the same log.
///
/// The last handle that goes ends the tasks and the thread behind it, after what was submitted is
/// committed.
#[derive(Clone)]
pub struct EventLog(Arc<Inner>);

struct Inner {
    log_id: Uuid,
    store: Arc<Store>,
    feed: Arc<Feed>,
    queue: Queue,
    cache: Cache,
    locks: Locks,
    _background: DropGuard,
}

/// An aggregate's state with the version of its stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded<A> {
    /// The state; the default one when the stream is empty.
    pub state: A,
    /// The version of the last event folded in; 0 when the stream is empty.
    pub version: i64,
}

impl EventLog {
    /// Opens the log in a SQLite file, made when it is not there.
    ///
    /// One process at a time should have it open; the caller sees to that.
    pub async fn open_sqlite(path: &Path) -> Result<Self, OpenError> {
        Self::open_sqlite_with(path, Upcasters::default()).await
    }

    /// Opens the log in a SQLite file, with upcasters for older events.
    pub async fn open_sqlite_with(path: &Path, upcasters: Upcasters) -> Result<Self, OpenError> {
        let file = path.to_owned();
        let failed = |source: Box<dyn std::error::Error + Send + Sync>| OpenError::File {
            path: path.display().to_string(),
            source,
        };
        let opened = tokio::task::spawn_blocking(move || sqlite::open(&file));
        let (engine, reader, log_id) = opened.await.map_err(|error| failed(error.into()))??;
        let store = Arc::new(Store { engine: Reader::Sqlite(reader), upcasters });
        let feed = Arc::new(at_head(&store).await?);
        let (queue, batcher) = group_commit::queue();
        sqlite::spawn(engine, batcher, Arc::clone(&feed)).map_err(|error| failed(error.into()))?;
        Ok(Self::assemble(log_id, store, feed, queue, CancellationToken::new()))
    }

    /// Opens the log in a Postgres database, 15 or later, and makes its tables when they are not
    /// there. Several nodes may have it open.
    pub async fn open_postgres(url: &str) -> Result<Self, OpenError> {
        Self::open_postgres_with(url, Upcasters::default()).await
    }

    /// Opens the log in a Postgres database, with upcasters for older events.
    pub async fn open_postgres_with(url: &str, upcasters: Upcasters) -> Result<Self, OpenError> {
        let postgres::Opened { writers, reader, log_id, node } = postgres::open(url).await?;
        let store = Arc::new(Store { engine: Reader::Postgres(reader.clone()), upcasters });
        let feed = Arc::new(at_head(&store).await?);
        let (queue, batcher) = group_commit::queue();
        let batcher = Arc::new(tokio::sync::Mutex::new(batcher));
        for writer in writers {
            tokio::spawn(group_commit::run(writer, Arc::clone(&batcher), Arc::clone(&feed)));
        }
        let stop = CancellationToken::new();
        let listener = postgres::listen(reader, node, Arc::clone(&feed));
        tokio::spawn(stop.clone().run_until_cancelled_owned(listener));
        Ok(Self::assemble(log_id, store, feed, queue, stop))
    }

    fn assemble(
        log_id: Uuid,
        store: Arc<Store>,
        feed: Arc<Feed>,
        queue: Queue,
        stop: CancellationToken,
    ) -> Self {
        let follower = follow::follow(Arc::clone(&store), Arc::clone(&feed));
        tokio::spawn(stop.clone().run_until_cancelled_owned(follower));
        Self(Arc::new(Inner {
            log_id,
            store,
            feed,
            queue,
            cache: Cache::default(),
            locks: Locks::default(),
            _background: stop.drop_guard(),
        }))
    }

    /// The log's own id: another id is another log, whatever its positions.
    pub fn log_id(&self) -> Uuid {
        self.0.log_id
    }

    /// The position up to which this node has seen everything.
    pub fn head(&self) -> i64 {
        self.0.feed.head()
    }

    /// Whether a position is one that this log does not have, because a reader speaks of another log or
    /// a backup was restored.
    ///
    /// Another node may have shown what is still on its way here; the database knows.
    pub async fn is_beyond_head(&self, position: i64) -> Result<bool, LogError> {
        Ok(position > self.head() && self.event(position).await?.is_none())
    }

    /// The time for decisions: this machine's, but never one before the newest event seen.
    ///
    /// A clock that was set back, or that lags behind the database's, would else grant slots that are
    /// over already.
    pub fn now(&self) -> DateTime<Utc> {
        clock::now().max(self.0.feed.recorded_at())
    }

    /// Follows [`EventLog::head`]: changes once per batch.
    pub fn watch_head(&self) -> watch::Receiver<i64> {
        self.0.feed.watch()
    }

    /// The fresh state of an aggregate.
    pub async fn state<A: Decider>(&self, id: impl Display) -> Result<Loaded<A>, LogError> {
        let stream = StreamId::of::<A>(id);
        let head = self.head();
        let versioned = match self.0.cache.get_checked(&stream) {
            Some((cached, checked)) if self.is_fresh(&stream, cached.version, checked).await? => {
                self.0.cache.insert(&stream, &cached, head);
                cached
            }
            _ => {
                let loaded = self.0.store.load(&stream, Kind::of::<A>()).await?;
                self.0.cache.insert(&stream, &loaded, head);
                loaded
            }
        };
        let state = versioned.downcast::<A>().cloned().unwrap_or_default();
        Ok(Loaded { state, version: versioned.version })
    }

    /// Whether a stream is at this version still, when it was while the head stood at `checked`.
    ///
    /// Of a log that no other node writes, this one has heard everything; else the database knows. What
    /// another program writes into a SQLite log is heard of a moment later: decisions check it anyway.
    async fn is_fresh(
        &self,
        stream: &StreamId,
        version: i64,
        checked: i64,
    ) -> Result<bool, LogError> {
        let is_only_writer = matches!(self.0.store.engine, Reader::Sqlite(_));
        if is_only_writer && self.0.feed.is_newest(stream, version, checked) {
            return Ok(true);
        }
        Ok(self.0.store.standing(vec![stream.clone()]).await?.versions == [version])
    }

    /// The events after a position, at most `limit`, contiguous.
    ///
    /// # Errors
    /// [`LogError::Hole`] when a position up to the head is missing.
    pub async fn after(&self, position: i64, limit: usize) -> Result<Vec<Arc<Recorded>>, LogError> {
        match self.0.feed.tail(position, limit) {
            Tail::Events(events) => Ok(events),
            Tail::CaughtUp if position <= self.head() => Ok(Vec::new()),
            // Beyond what this node has seen, or no longer in memory.
            Tail::CaughtUp | Tail::Behind => {
                let head = self.head();
                let page = self.0.store.after(position, limit).await?;
                if page.is_empty() && limit > 0 && position < head {
                    return Err(LogError::Hole { expected: position + 1 });
                }
                Ok(recorded(page))
            }
        }
    }

    /// The events of one stream after a version, at most `limit`.
    pub async fn stream(
        &self,
        stream: &StreamId,
        after_version: i64,
        limit: usize,
    ) -> Result<Vec<Arc<Recorded>>, LogError> {
        Ok(recorded(self.0.store.stream(stream, after_version, limit).await?))
    }

    /// The event at a position, if the log reaches so far; that of another node, too, which this
    /// one has not heard of yet.
    pub async fn event(&self, position: i64) -> Result<Option<Arc<Recorded>>, LogError> {
        let Some(before) = position.checked_sub(1).filter(|before| *before >= 0) else {
            return Ok(None);
        };
        let page = match self.0.feed.tail(before, 1) {
            Tail::Events(events) => events,
            Tail::CaughtUp | Tail::Behind => recorded(self.0.store.after(before, 1).await?),
        };
        Ok(page.into_iter().find(|event| event.position == position))
    }

    /// Asks the store whether it is there.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn probe(&self) -> Result<(), LogError> {
        self.0.store.standing(Vec::new()).await.map(drop)
    }

    /// The version of the log's tables, which opening has brought them to.
    pub fn schema_version(&self) -> i64 {
        match &self.0.store.engine {
            Reader::Sqlite(_) => MIGRATIONS.known_sqlite(),
            Reader::Postgres(_) => MIGRATIONS.known_postgres(),
        }
    }

    /// Refuses further appends as unavailable and waits until those before are answered.
    pub async fn close(&self) {
        self.0.queue.close().await;
    }
}

impl fmt::Debug for EventLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (log_id, head) = (self.log_id(), self.head());
        f.debug_struct("EventLog").field("log_id", &log_id).field("head", &head).finish()
    }
}

/// The feed of what comes after the last event there is.
async fn at_head(store: &Store) -> Result<Feed, LogError> {
    let head = store.standing(Vec::new()).await?.head;
    // One that cannot be read is said to its readers, not here.
    let last = store.after(head.saturating_sub(1), 1).await.unwrap_or_default();
    let recorded_at = last.last().map_or(0, |last| last.recorded.recorded_at.timestamp_micros());
    Ok(Feed::new(head, recorded_at))
}

fn recorded(placed: Vec<Placed>) -> Vec<Arc<Recorded>> {
    placed.into_iter().map(|placed| placed.recorded).collect()
}
