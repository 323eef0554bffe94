//! Files: rusqlite connections on blocking threads, one that writes and a few that read.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ErrorCode, OpenFlags, ToSql, TransactionBehavior, params_from_iter};
use tokio::sync::Semaphore;

use super::{ACQUIRE_TIMEOUT_MS, Durability, Error, Row, Statement, Value};

/// How many connections of one file read at the same time.
pub const READERS_MAX: usize = 4;
/// How many prepared statements a connection keeps.
const STATEMENTS_MAX: usize = 256;
/// How long a statement waits for another process's lock, in milliseconds.
const BUSY_TIMEOUT_MS: u64 = 5_000;

/// The connections of one file.
#[derive(Debug)]
pub(super) struct Sqlite {
    writer: Arc<Lane>,
    readers: Arc<Lane>,
}

/// Connections that are used by one job each; opened when first needed.
#[derive(Debug)]
struct Lane {
    path: PathBuf,
    durability: Durability,
    idle: Mutex<Vec<Connection>>,
    permits: Arc<Semaphore>,
}

impl Sqlite {
    pub(super) fn open(path: &Path, durability: Durability) -> Result<Self, Error> {
        let lane = |connections_max| {
            Arc::new(Lane {
                path: path.to_owned(),
                durability,
                idle: Mutex::new(Vec::new()),
                permits: Arc::new(Semaphore::new(connections_max)),
            })
        };
        let (writer, readers) = (lane(1), lane(READERS_MAX));
        // Opening now shows at once what is wrong with the file.
        let connection = writer.connect()?;
        writer.put_back(connection);
        Ok(Self { writer, readers })
    }

    pub(super) async fn query(&self, statement: Statement) -> Result<Vec<Row>, Error> {
        // `INSERT … RETURNING` reads and writes.
        let lane = if statement.only_reads() { &self.readers } else { &self.writer };
        lane.run(move |connection| Ok(query(connection, &statement)?)).await
    }

    pub(super) async fn execute(&self, statement: Statement) -> Result<u64, Error> {
        self.writer.run(move |connection| Ok(execute(connection, &statement)?)).await
    }

    pub(super) async fn transaction(&self, statements: Vec<Statement>) -> Result<bool, Error> {
        let job = move |connection: &mut Connection| Ok(transaction(connection, &statements)?);
        self.writer.run(job).await
    }

    pub(super) async fn with_writer<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Connection) -> T + Send + 'static,
    ) -> Result<T, Error> {
        self.writer.run(move |connection| Ok(job(connection))).await
    }
}

impl Lane {
    fn connect(&self) -> Result<Connection, Error> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.path, flags)?;
        connection.busy_timeout(Duration::from_millis(BUSY_TIMEOUT_MS))?;
        connection.pragma_update(None, "journal_mode", "wal")?;
        let synchronous = match self.durability {
            Durability::Full => "full",
            Durability::Normal => "normal",
            Durability::Off => "off",
        };
        connection.pragma_update(None, "synchronous", synchronous)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
        Ok(connection)
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        // Nothing panics while the lock is held, so a poisoned one is as good as any.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put_back(&self, connection: Connection) {
        self.idle().push(connection);
    }

    /// Runs a job on a connection of its own; it ends even when nobody waits for it any more.
    async fn run<T: Send + 'static>(
        self: &Arc<Self>,
        job: impl FnOnce(&mut Connection) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let acquire = Arc::clone(&self.permits).acquire_owned();
        let permit = tokio::time::timeout(Duration::from_millis(ACQUIRE_TIMEOUT_MS), acquire)
            .await
            .map_err(|_| Error::unavailable("every connection is busy"))?
            .map_err(|_| Error::unavailable("the database is closed"))?;
        let lane = Arc::clone(self);
        let ran = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let idle = lane.idle().pop();
            let mut connection = idle.map_or_else(|| lane.connect(), Ok)?;
            let result = job(&mut connection);
            lane.put_back(connection);
            result
        });
        ran.await.map_err(|_| Error::unavailable("the database thread ended early"))?
    }
}

/// The text with placeholders as SQLite numbers them: to it `$2` is a mere name, counted in the order
/// of appearance. No statement has a `$` that is not a placeholder.
fn numbered(statement: &Statement) -> String {
    statement.sql.replace('$', "?")
}

fn query(connection: &Connection, statement: &Statement) -> rusqlite::Result<Vec<Row>> {
    let mut prepared = connection.prepare_cached(&numbered(statement))?;
    let columns = prepared.column_count();
    let mut rows = prepared.query(params_from_iter(&statement.params))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let values = (0..columns).map(|column| row.get_ref(column).map(value));
        found.push(Row::new(values.collect::<rusqlite::Result<_>>()?));
    }
    Ok(found)
}

fn execute(connection: &Connection, statement: &Statement) -> rusqlite::Result<u64> {
    let mut prepared = connection.prepare_cached(&numbered(statement))?;
    prepared.execute(params_from_iter(&statement.params)).map(|rows| rows as u64)
}

fn transaction(connection: &mut Connection, statements: &[Statement]) -> rusqlite::Result<bool> {
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for statement in statements {
        let rows = execute(&tx, statement)?;
        if statement.expected_rows.is_some_and(|expected| expected != rows) {
            tx.rollback()?;
            return Ok(false);
        }
    }
    tx.commit()?;
    Ok(true)
}

fn value(stored: ValueRef<'_>) -> Value {
    match stored {
        ValueRef::Null => Value::Text(None),
        ValueRef::Integer(number) => Value::Int(Some(number)),
        // No column of ours holds fractions; a computed one is rounded towards zero.
        #[expect(clippy::cast_possible_truncation, reason = "whole numbers are all there is")]
        ValueRef::Real(number) => Value::Int(Some(number as i64)),
        ValueRef::Text(text) => Value::Text(Some(String::from_utf8_lossy(text).into_owned())),
        ValueRef::Blob(bytes) => Value::Blob(Some(bytes.to_vec())),
    }
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Int(Some(number)) => ValueRef::Integer(*number),
            Self::Text(Some(text)) => ValueRef::Text(text.as_bytes()),
            Self::Blob(Some(bytes)) => ValueRef::Blob(bytes),
            Self::Int(None) | Self::Text(None) | Self::Blob(None) => ValueRef::Null,
        }))
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        use ErrorCode as C;
        match error.sqlite_error_code() {
            Some(C::DatabaseCorrupt | C::NotADatabase) => Self::Damaged(error.to_string()),
            Some(
                C::DatabaseBusy
                | C::DatabaseLocked
                | C::DiskFull
                | C::SystemIoFailure
                | C::CannotOpen
                | C::OutOfMemory
                | C::ReadOnly
                | C::FileLockingProtocolFailed,
            ) => Self::Unavailable(error.to_string()),
            _ => Self::Refused(Box::new(error)),
        }
    }
}
