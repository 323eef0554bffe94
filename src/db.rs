//! The thin drivers behind one SQL text for both engines.
//!
//! What the engines share is what every statement keeps to: `$1` placeholders, BIGINT and TEXT, times
//! in microseconds, 0 and 1 for no and yes, JSON as TEXT, `ON CONFLICT`, `RETURNING`, row values. What
//! differs lives below this file. A transaction is a list of statements, some of which expect to change
//! a number of rows: nothing is held open while somebody thinks, and a caller that leaves in the
//! middle leaves nothing half done.

mod postgres;
mod record;
mod sqlite;
mod value;

use std::borrow::Cow;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use sqlx::PgPool;

pub use postgres::settings as postgres_settings;
pub use record::{
    ColumnDef, LOOKUP_KEYS_MAX, PARAMETERS_MAX, Record, Rows, UPSERT_ROWS_MAX, delete, lookup,
    power_chunks, upsert,
};
pub(crate) use record::{key_of, record};
pub use sqlite::READERS_MAX;
pub use value::{Column, Json, Kind, Param, Row, Value};
pub(crate) use value::{text_columns, word_columns};

/// How long a statement waits for a connection before the database counts as unavailable, in
/// milliseconds. A Postgres pool brings its own limit.
pub const ACQUIRE_TIMEOUT_MS: u64 = 5_000;

/// What a commit survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// The loss of power.
    Full,
    /// The end of the process; after a loss of power the newest commits may be gone, all or none of
    /// each.
    Normal,
    /// The end of the process; after a loss of power a file may be damaged.
    Off,
}

/// Why the database did not do it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is away, full or overloaded; the same may succeed later.
    #[error("the database is not available: {0}")]
    Unavailable(String),
    /// The file is damaged, or is none of SQLite's.
    #[error("the database file is damaged: {0}")]
    Damaged(String),
    /// It refused the statement, and will again.
    #[error("the database refused a statement")]
    Refused(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A column holds what the code cannot read.
    #[error("column {number} of a row is not a {expected}")]
    Column {
        /// Which column, from 1.
        number: usize,
        /// What was to be read.
        expected: &'static str,
    },
}

impl Error {
    fn unavailable(reason: &str) -> Self {
        Self::Unavailable(reason.to_owned())
    }
}

/// SQL with its parameters.
#[derive(Debug, Clone)]
pub struct Statement {
    sql: Cow<'static, str>,
    params: Vec<Value>,
    expected_rows: Option<u64>,
}

impl Statement {
    /// Begins with this text.
    pub fn new(sql: impl Into<Cow<'static, str>>) -> Self {
        Self { sql: sql.into(), params: Vec::new(), expected_rows: None }
    }

    /// Appends text.
    pub fn push(&mut self, sql: &str) -> &mut Self {
        self.sql.to_mut().push_str(sql);
        self
    }

    /// Appends the next placeholder, with its value.
    pub fn bind(&mut self, param: impl Param) -> &mut Self {
        self.params.push(param.to_value());
        self.push_placeholder()
    }

    /// Appends placeholders with commas between them.
    pub fn bind_list(&mut self, values: Vec<Value>) -> &mut Self {
        for (index, value) in values.into_iter().enumerate() {
            if index > 0 {
                self.push(", ");
            }
            self.params.push(value);
            self.push_placeholder();
        }
        self
    }

    /// Appends the placeholder of the parameter given last; a batch has thousands, so nothing is
    /// allocated for each.
    fn push_placeholder(&mut self) -> &mut Self {
        // A string takes whatever is written.
        let _ = write!(self.sql.to_mut(), "${}", self.params.len());
        self
    }

    /// Appends the condition that what stands before is one of these numbers.
    ///
    /// They are one parameter however many there are, so that the statement is planned once.
    pub fn among(&mut self, db: &Db, numbers: &[i64]) -> &mut Self {
        let list = numbers.iter().map(i64::to_string).collect::<Vec<_>>().join(",");
        if db.is_sqlite() {
            self.push(" IN (SELECT value FROM json_each(").bind(format!("[{list}]")).push("))")
        } else {
            self.push(" = ANY(").bind(format!("{{{list}}}")).push("::bigint[])")
        }
    }

    /// Appends another statement to one that has no placeholder yet.
    #[cfg(test)]
    pub(crate) fn append(&mut self, other: &Self) -> &mut Self {
        assert!(self.params.is_empty(), "placeholders are numbered");
        self.params.clone_from(&other.params);
        self.push(&other.sql)
    }

    /// Gives the value of the next placeholder that the text has already.
    #[must_use]
    pub fn with(mut self, param: impl Param) -> Self {
        self.params.push(param.to_value());
        self
    }

    /// Makes a transaction depend on this many rows being changed.
    #[must_use]
    pub fn expecting(mut self, rows: u64) -> Self {
        self.expected_rows = Some(rows);
        self
    }

    fn only_reads(&self) -> bool {
        let word = self.sql.trim_start().get(..6);
        word.is_some_and(|word| word.eq_ignore_ascii_case("select"))
    }
}

/// One database of either engine; clones share it.
#[derive(Debug, Clone)]
pub struct Db(Engine);

#[derive(Debug, Clone)]
enum Engine {
    Sqlite(Arc<sqlite::Sqlite>),
    Postgres(postgres::Server),
}

impl Db {
    /// Opens a file, which is made when it is missing, with a write-ahead log beside it.
    pub fn open_sqlite(path: &Path, durability: Durability) -> Result<Self, Error> {
        Ok(Self(Engine::Sqlite(Arc::new(sqlite::Sqlite::open(path, durability)?))))
    }

    /// Opens an empty database in memory, which goes with its last handle.
    pub fn open_memory() -> Result<Self, Error> {
        Ok(Self(Engine::Sqlite(Arc::new(sqlite::Sqlite::open_memory()?))))
    }

    /// A copy in memory of a database that is in memory itself, without indexes of words.
    pub async fn copy_in_memory(&self) -> Result<Self, Error> {
        let copied = self.with_sqlite(sqlite::Sqlite::copy_in_memory).await;
        let copied = copied.ok_or_else(|| Error::unavailable("it is not in memory"))???;
        Ok(Self(Engine::Sqlite(Arc::new(copied))))
    }

    /// Uses a pool; anything less than [`Durability::Full`] commits without waiting for the disk.
    pub fn postgres(pool: PgPool, durability: Durability) -> Self {
        Self(Engine::Postgres(postgres::Server { pool, durability }))
    }

    /// Runs a statement that answers with rows.
    pub async fn query(&self, statement: Statement) -> Result<Vec<Row>, Error> {
        match &self.0 {
            Engine::Sqlite(file) => file.query(statement).await,
            Engine::Postgres(server) => server.query(&statement).await,
        }
    }

    /// Runs a query whose rows are records.
    pub async fn fetch<R: Record>(&self, statement: Statement) -> Result<Vec<R>, Error> {
        self.query(statement).await?.iter_mut().map(R::from_row).collect()
    }

    /// Runs a query whose rows have one column.
    pub async fn fetch_column<T: Column>(&self, statement: Statement) -> Result<Vec<T>, Error> {
        self.query(statement).await?.iter_mut().map(Row::take).collect()
    }

    /// Runs a statement by itself; answers with the number of rows it changed.
    pub async fn execute(&self, statement: Statement) -> Result<u64, Error> {
        match &self.0 {
            Engine::Sqlite(file) => file.execute(statement).await,
            Engine::Postgres(server) => server.execute(&statement).await,
        }
    }

    /// Runs statements all or nothing; `false` when one did not change the rows it expected to, and
    /// so nothing was changed. It goes on when the caller leaves.
    pub async fn transaction(&self, statements: Vec<Statement>) -> Result<bool, Error> {
        match &self.0 {
            Engine::Sqlite(file) => file.transaction(statements).await,
            Engine::Postgres(server) => server.transaction(statements).await,
        }
    }

    /// Empties the journal of a file, so that nothing of removed rows is left beside it.
    ///
    /// What Postgres keeps of dead rows, in its tables and archives, is its own.
    pub async fn scrub(&self) -> Result<(), Error> {
        match &self.0 {
            Engine::Sqlite(file) => file.scrub().await,
            Engine::Postgres(_) => Ok(()),
        }
    }

    /// Whether it is SQLite: for the few places where the engines must differ.
    pub fn is_sqlite(&self) -> bool {
        matches!(self.0, Engine::Sqlite(_))
    }

    /// How much room it takes, in bytes.
    pub async fn size_bytes(&self) -> Result<u64, Error> {
        let select = match &self.0 {
            Engine::Sqlite(_) => {
                "SELECT p.page_count * s.page_size FROM pragma_page_count() p, pragma_page_size() s"
            }
            Engine::Postgres(_) => "SELECT pg_database_size(current_database())",
        };
        let size: Vec<u64> = self.fetch_column(Statement::new(select)).await?;
        Ok(size.into_iter().sum())
    }

    /// Runs a job on the writing connection of a file; `None` on Postgres.
    pub async fn with_sqlite<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut rusqlite::Connection) -> T + Send + 'static,
    ) -> Option<Result<T, Error>> {
        match &self.0 {
            Engine::Sqlite(file) => Some(file.with_writer(job).await),
            Engine::Postgres(_) => None,
        }
    }

    /// The pool, on Postgres.
    pub fn pool(&self) -> Option<&PgPool> {
        match &self.0 {
            Engine::Sqlite(_) => None,
            Engine::Postgres(server) => Some(&server.pool),
        }
    }
}
