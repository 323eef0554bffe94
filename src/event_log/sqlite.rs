//! The log in a SQLite file: one writer thread, a few readers, WAL, `synchronous=FULL`.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{
    Connection, ErrorCode, OpenFlags, OptionalExtension, Params, Statement, Transaction, params,
};
use tokio::sync::Semaphore;
use tokio::task::JoinError;
use uuid::Uuid;

use super::MIGRATIONS;
use super::append::{Append, AppendError, Check, Outcome, Place};
use super::error::{LogError, OpenError, Unavailable};
use super::feed::{Feed, Placed};
use super::group_commit::{self, BatchError, Batcher, Engine};
use super::rows::{COLUMNS_SQLITE, Reading, Row, SELECT_RECORDED_AT, Upcasters, select_of_types};
use super::snapshots::{FINGERPRINT, KeptState};
use super::store::Standing;
use crate::clock;
use crate::domain::{StreamId, StreamType};

/// The most reads at the same time.
pub const READERS_MAX: usize = 4;
/// How long a foreign writer (a backup, a tool) may hold the file before appends fail.
const BUSY_TIMEOUT_MS: u64 = 5_000;

const SELECT_HEAD: &str = "SELECT position, recorded_at FROM event_log_head";
const UPDATE_HEAD: &str = "UPDATE event_log_head SET position = $1, recorded_at = $2";
const SELECT_VERSION: &str = "SELECT sequence FROM events \
     WHERE aggregate_type = $1 AND aggregate_id = $2 ORDER BY sequence DESC LIMIT 1";
const INSERT_EVENT: &str = "INSERT INTO events (aggregate_type, aggregate_id, sequence, event_type, \
     event_version, payload, metadata, position, event_id, recorded_at) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
const UPSERT_STATE: &str = "INSERT INTO aggregate_states AS kept \
     (aggregate_type, aggregate_id, version, position, fingerprint, state) \
     VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (aggregate_type, aggregate_id) DO UPDATE SET \
     version = excluded.version, position = excluded.position, \
     fingerprint = excluded.fingerprint, state = excluded.state \
     WHERE kept.version < excluded.version OR kept.fingerprint <> excluded.fingerprint";
const SELECT_STATE: &str = "SELECT version, position, state FROM aggregate_states \
     WHERE aggregate_type = $1 AND aggregate_id = $2 AND fingerprint = $3";

/// The writing side; lives on its own thread.
pub(super) struct SqliteEngine {
    connection: Connection,
}

/// The reading side.
#[derive(Debug, Clone)]
pub(super) struct SqliteReader {
    path: PathBuf,
    idle: Arc<Mutex<Vec<Connection>>>,
    permits: Arc<Semaphore>,
}

/// Opens the file, made with its tables when it is not there; answers with the log's id too.
pub(super) fn open(path: &Path) -> Result<(SqliteEngine, SqliteReader, Uuid), OpenError> {
    let file_error = |source: Box<dyn std::error::Error + Send + Sync>| OpenError::File {
        path: path.display().to_string(),
        source,
    };
    // SQLite would make it readable for everybody.
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .mode(0o600)
        .open(path)
        .map_err(|error| file_error(error.into()))?;
    let mut connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)
        .and_then(|connection| {
            connection.pragma_update(None, "journal_mode", "WAL")?;
            connection.pragma_update(None, "synchronous", "FULL")?;
            Ok(connection)
        })
        .map_err(|error| file_error(error.into()))?;
    MIGRATIONS.apply_sqlite(&mut connection)?;
    let log_id = log_id(&connection).map_err(file_error)?;
    let reader = SqliteReader {
        path: path.to_owned(),
        idle: Arc::default(),
        permits: Arc::new(Semaphore::new(READERS_MAX)),
    };
    Ok((SqliteEngine { connection }, reader, log_id))
}

/// Starts the writer's thread; it ends when the queue's other end is gone and everything is answered.
pub(super) fn spawn(engine: SqliteEngine, batcher: Batcher, feed: Arc<Feed>) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let batcher = Arc::new(tokio::sync::Mutex::new(batcher));
    std::thread::Builder::new()
        .name("event-log-writer".to_owned())
        .spawn(move || runtime.block_on(group_commit::run(engine, batcher, feed)))?;
    Ok(())
}

fn connect(path: &Path, mode: OpenFlags) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, mode | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(Duration::from_millis(BUSY_TIMEOUT_MS))?;
    Ok(connection)
}

fn log_id(connection: &Connection) -> Result<Uuid, Box<dyn std::error::Error + Send + Sync>> {
    connection.execute(
        "INSERT INTO event_log_head (singleton, log_id, position, recorded_at) \
         VALUES (1, $1, 0, 0) ON CONFLICT DO NOTHING",
        [Uuid::new_v4().to_string()],
    )?;
    let log_id: String =
        connection.query_row("SELECT log_id FROM event_log_head", [], |row| row.get(0))?;
    Ok(Uuid::parse_str(&log_id)?)
}

impl Engine for SqliteEngine {
    async fn commit(&mut self, appends: &[Append]) -> Result<Vec<Outcome>, BatchError> {
        self.commit_batch(appends).map_err(|error| batch_error(&error))
    }

    async fn keep_state(&mut self, state: KeptState) {
        let KeptState { stream, version, position, json } = state;
        let kept = self.connection.prepare_cached(UPSERT_STATE).and_then(|mut upsert| {
            let kind = stream.kind.as_str();
            upsert.execute(params![kind, stream.id, version, position, FINGERPRINT, json])
        });
        if let Err(error) = kept {
            tracing::warn!(%stream, %error, "could not keep an aggregate's state");
        }
    }
}

impl SqliteEngine {
    fn commit_batch(&mut self, appends: &[Append]) -> rusqlite::Result<Vec<Outcome>> {
        let tx =
            self.connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        let (head, last_at): (i64, i64) =
            tx.prepare_cached(SELECT_HEAD)?.query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let recorded_at_micros = clock::now().timestamp_micros().max(last_at);
        let mut position = head;
        let mut outcomes = Vec::with_capacity(appends.len());
        for append in appends {
            if !holds(&tx, &append.checks)? {
                outcomes.push(Err(AppendError::Conflict));
                continue;
            }
            outcomes.push(Ok(Place { first_position: position + 1, recorded_at_micros }));
            for event in &append.events {
                position += 1;
                tx.prepare_cached(INSERT_EVENT)?.execute(params![
                    event.stream.kind.as_str(),
                    event.stream.id,
                    event.version,
                    event.event.name(),
                    event.event.version(),
                    event.payload,
                    append.metadata_json,
                    position,
                    event.event_id.0.hyphenated().to_string(),
                    recorded_at_micros,
                ])?;
            }
        }
        if position > head {
            tx.prepare_cached(UPDATE_HEAD)?.execute(params![position, recorded_at_micros])?;
        }
        tx.commit()?;
        Ok(outcomes)
    }
}

fn holds(tx: &Transaction<'_>, checks: &[Check]) -> rusqlite::Result<bool> {
    let mut select = tx.prepare_cached(SELECT_VERSION)?;
    for check in checks {
        let found: Option<i64> = select
            .query_row(params![check.stream.kind.as_str(), check.stream.id], |row| row.get(0))
            .optional()?;
        if found.unwrap_or(0) != check.version {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A broken constraint is the row's fault; everything else is the disk's, the file's or the lock's.
fn batch_error(error: &rusqlite::Error) -> BatchError {
    let fault_of_row = matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::ConstraintViolation | ErrorCode::TooBig | ErrorCode::TypeMismatch)
    );
    if fault_of_row {
        BatchError::Rejected(error.to_string())
    } else {
        BatchError::Unavailable(unavailable(error))
    }
}

fn unavailable(error: &rusqlite::Error) -> Unavailable {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => {
            Unavailable::new("the disk of the data directory is full; make room and try again")
        }
        _ => Unavailable::new(error),
    }
}

impl SqliteReader {
    pub(super) async fn after(
        &self,
        upcasters: &Upcasters,
        position: i64,
        limit: usize,
    ) -> Result<Vec<Placed>, LogError> {
        let reading = upcasters.positions_after(position);
        let sql = format!(
            "SELECT {COLUMNS_SQLITE} FROM events WHERE position > $1 ORDER BY position LIMIT $2"
        );
        self.read(move |connection| {
            let mut select = connection.prepare_cached(&sql)?;
            page(reading, &mut select, params![position, to_i64(limit)])
        })
        .await?
    }

    /// The events of these kinds of streams between two positions, the first excluded.
    pub(super) async fn of_types(
        &self,
        upcasters: &Upcasters,
        types: &[StreamType],
        (after, until): (i64, i64),
    ) -> Result<Vec<Placed>, LogError> {
        let reading = upcasters.scattered();
        let sql = select_of_types(COLUMNS_SQLITE, types);
        self.read(move |connection| {
            let mut select = connection.prepare_cached(&sql)?;
            page(reading, &mut select, params![after, until])
        })
        .await?
    }

    /// When the event at a position was recorded, in microseconds.
    pub(super) async fn recorded_at(&self, position: i64) -> Result<Option<i64>, LogError> {
        self.read(move |connection| {
            let mut select = connection.prepare_cached(SELECT_RECORDED_AT)?;
            select.query_row(params![position], |row| row.get(0)).optional()
        })
        .await
    }

    pub(super) async fn stream(
        &self,
        upcasters: &Upcasters,
        stream: &StreamId,
        after_version: i64,
        limit: usize,
    ) -> Result<Vec<Placed>, LogError> {
        let (upcasters, stream) = (upcasters.clone(), stream.clone());
        self.read(move |connection| {
            select_stream(connection, &upcasters, &stream, after_version, limit)
        })
        .await?
    }

    pub(super) async fn standing(&self, streams: Vec<StreamId>) -> Result<Standing, LogError> {
        self.read(move |connection| {
            let tx = connection.unchecked_transaction()?;
            let head = tx.prepare_cached(SELECT_HEAD)?.query_row([], |row| row.get(0))?;
            let mut select = tx.prepare_cached(SELECT_VERSION)?;
            let mut versions = Vec::with_capacity(streams.len());
            for stream in &streams {
                let found = select
                    .query_row(params![stream.kind.as_str(), stream.id], |row| row.get(0))
                    .optional()?;
                versions.push(found.unwrap_or(0));
            }
            Ok(Standing { head, versions })
        })
        .await
    }

    /// The state kept of a stream, and the first events since.
    pub(super) async fn load(
        &self,
        upcasters: &Upcasters,
        stream: &StreamId,
        limit: usize,
    ) -> Result<(Option<KeptState>, Vec<Placed>), LogError> {
        let (upcasters, stream) = (upcasters.clone(), stream.clone());
        self.read(move |connection| {
            let tx = connection.unchecked_transaction()?;
            let kind = stream.kind.as_str();
            let kept = tx
                .prepare_cached(SELECT_STATE)?
                .query_row(params![kind, stream.id, FINGERPRINT], |row| {
                    let stream = stream.clone();
                    let (version, position, json) = (row.get(0)?, row.get(1)?, row.get(2)?);
                    Ok(KeptState { stream, version, position, json })
                })
                .optional()?;
            let since = kept.as_ref().map_or(0, |kept| kept.version);
            let page = select_stream(&tx, &upcasters, &stream, since, limit)?;
            Ok(page.map(|page| (kept, page)))
        })
        .await?
    }

    /// Runs a query on a connection of its own, on a thread that may block.
    async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, LogError> {
        let ended = |error: &dyn std::fmt::Display| LogError::from(Unavailable::new(error));
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        let permit = permit.map_err(|error| ended(&error))?;
        let reader = self.clone();
        let task = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let idle = reader.lock().pop();
            let connection =
                idle.map_or_else(|| connect(&reader.path, OpenFlags::SQLITE_OPEN_READ_ONLY), Ok)?;
            let result = query(&connection)?;
            // Not after an error: the next reader gets a fresh connection.
            reader.lock().push(connection);
            Ok(result)
        });
        let result = match task.await.map_err(JoinError::try_into_panic) {
            Ok(result) => result,
            // An upcaster's, which is no reason to wait for the disk.
            Err(Ok(panic)) => std::panic::resume_unwind(panic),
            Err(Err(error)) => return Err(ended(&error)),
        };
        result.map_err(|error: rusqlite::Error| unavailable(&error).into())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn select_stream(
    connection: &Connection,
    upcasters: &Upcasters,
    stream: &StreamId,
    after_version: i64,
    limit: usize,
) -> rusqlite::Result<Result<Vec<Placed>, LogError>> {
    let mut select = connection.prepare_cached(&format!(
        "SELECT {COLUMNS_SQLITE} FROM events WHERE aggregate_type = $1 AND aggregate_id = $2 \
         AND sequence > $3 ORDER BY sequence LIMIT $4"
    ))?;
    let kind = stream.kind.as_str();
    let reading = upcasters.versions_after(after_version);
    page(reading, &mut select, params![kind, stream.id, after_version, to_i64(limit)])
}

/// Reads the events of a query, each in place: the texts of a row are gone with the next one.
fn page(
    mut reading: Reading,
    select: &mut Statement<'_>,
    params: impl Params,
) -> rusqlite::Result<Result<Vec<Placed>, LogError>> {
    let mut rows = select.query(params)?;
    let mut page = Vec::new();
    while let Some(row) = rows.next()? {
        match reading.read(&borrowed(row)?) {
            Ok(placed) => page.push(placed),
            Err(error) => return Ok(Err(error)),
        }
    }
    Ok(Ok(page))
}

fn borrowed<'a>(row: &'a rusqlite::Row<'_>) -> rusqlite::Result<Row<'a>> {
    let text = |column| Ok::<_, rusqlite::Error>(row.get_ref(column)?.as_str()?);
    Ok(Row {
        aggregate_type: text(0)?,
        aggregate_id: text(1)?,
        sequence: row.get(2)?,
        event_type: text(3)?,
        event_version: text(4)?,
        payload: text(5)?,
        metadata: text(6)?,
        position: row.get(7)?,
        event_id: text(8)?,
        recorded_at: row.get(9)?,
    })
}

fn to_i64(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
