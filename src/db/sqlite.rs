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
/// What a database consists of, tables before their indexes; an index of words is not copied.
const SELECT_SCHEMA: &str = "SELECT type = 'table', name, sql FROM sqlite_master \
     WHERE sql IS NOT NULL AND tbl_name NOT IN \
         (SELECT name FROM pragma_table_list WHERE type IN ('virtual', 'shadow')) \
     ORDER BY type DESC";
/// How many prepared statements a connection keeps.
const STATEMENTS_MAX: usize = 256;
/// How long a statement waits for another process's lock, in milliseconds.
const BUSY_TIMEOUT_MS: u64 = 5_000;

/// Where a database lives.
#[derive(Debug)]
enum Place {
    File(PathBuf, Durability),
    Memory,
}

/// The connections of one file; one connection is all that a database in memory has.
#[derive(Debug)]
pub(super) struct Sqlite {
    writer: Arc<Lane>,
    readers: Arc<Lane>,
}

/// Connections that are used by one job each; opened when first needed.
#[derive(Debug)]
struct Lane {
    place: Place,
    idle: Mutex<Vec<Connection>>,
    permits: Arc<Semaphore>,
}

impl Sqlite {
    pub(super) fn open(path: &Path, durability: Durability) -> Result<Self, Error> {
        let lane = |connections_max| {
            Arc::new(Lane {
                place: Place::File(path.to_owned(), durability),
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

    pub(super) fn open_memory() -> Result<Self, Error> {
        Ok(Self::of_memory(Connection::open_in_memory()?))
    }

    /// The same contents in memory, whatever becomes of these.
    pub(super) fn copy_in_memory(connection: &mut Connection) -> Result<Self, Error> {
        let copy = Connection::open_in_memory()?;
        let tx = copy.unchecked_transaction()?;
        let mut schema = connection.prepare(SELECT_SCHEMA)?;
        let mut parts = schema.query([])?;
        while let Some(part) = parts.next()? {
            let (is_table, name, sql): (bool, String, String) =
                (part.get(0)?, part.get(1)?, part.get(2)?);
            tx.execute_batch(&sql)?;
            if is_table {
                copy_rows(connection, &tx, &name)?;
            }
        }
        tx.commit()?;
        Ok(Self::of_memory(copy))
    }

    fn of_memory(connection: Connection) -> Self {
        connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
        let lane = Arc::new(Lane {
            place: Place::Memory,
            idle: Mutex::new(vec![connection]),
            permits: Arc::new(Semaphore::new(1)),
        });
        Self { writer: Arc::clone(&lane), readers: lane }
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

    /// Moves the journal into the file and empties it; what reads at this moment may hinder it.
    pub(super) async fn scrub(&self) -> Result<(), Error> {
        let checkpoint = |connection: &mut Connection| {
            connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0))
        };
        if self.with_writer(checkpoint).await?? != 0 {
            tracing::debug!("the journal of a database is in use; it is emptied later");
        }
        Ok(())
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
        let Place::File(path, durability) = &self.place else {
            return Err(Error::unavailable("what was in memory is gone"));
        };
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(Duration::from_millis(BUSY_TIMEOUT_MS))?;
        connection.pragma_update(None, "journal_mode", "wal")?;
        let synchronous = match durability {
            Durability::Full => "full",
            Durability::Normal => "normal",
            Durability::Off => "off",
        };
        connection.pragma_update(None, "synchronous", synchronous)?;
        // What is removed from the files that hold secrets is not left in their free pages.
        connection.pragma_update(None, "secure_delete", *durability == Durability::Full)?;
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

fn copy_rows(from: &Connection, to: &Connection, table: &str) -> rusqlite::Result<()> {
    let mut select = from.prepare(&format!("SELECT * FROM {table}"))?;
    let columns = select.column_count();
    let values = vec!["?"; columns].join(", ");
    let mut insert = to.prepare(&format!("INSERT INTO {table} VALUES ({values})"))?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let values = (0..columns).map(|column| row.get::<_, rusqlite::types::Value>(column));
        insert.execute(params_from_iter(values.collect::<rusqlite::Result<Vec<_>>>()?))?;
    }
    Ok(())
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
