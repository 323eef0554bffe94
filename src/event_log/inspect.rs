//! A look at a log, and at other tables, from outside, for whoever wants to know whether they can be
//! used: reads alone, changes nothing, and needs no server to be stopped.

use std::path::{Path, PathBuf};
use std::str::FromStr as _;
use std::time::Duration;

use chrono::{DateTime, Utc};
use rusqlite::{Connection as SqliteConnection, OpenFlags, OptionalExtension as _};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions as _, Connection as _, Row as _};

use super::migrations::SELECT_VERSION;
use super::{MIGRATIONS, Migrations, time};

/// How long a database may take to answer at all.
const ANSWER_MS_MAX: u64 = 5_000;

const SELECT_HEAD: &str = "SELECT log_id, position, recorded_at FROM event_log_head";

const HAS_TABLE_SQLITE: &str =
    "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = ?1";
const HAS_LOG_POSTGRES: &str = "SELECT to_regclass('schema_version') IS NOT NULL \
     AND to_regclass('event_log_head') IS NOT NULL";
const HAS_VERSIONS_POSTGRES: &str = "SELECT to_regclass('schema_version') IS NOT NULL";

/// How a log stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// The engine and its version.
    pub engine: String,
    /// The schema version of the log's tables; 0 when there are none yet.
    pub schema: i64,
    /// The schema version that this build knows.
    pub schema_known: i64,
    /// Where the log ends; `None` before its first start.
    pub head: Option<Head>,
}

/// Where a log ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Which log it is.
    pub log_id: String,
    /// The position of its last event.
    pub position: i64,
    /// When its last event was recorded.
    pub recorded_at: DateTime<Utc>,
}

/// How the tables of a component stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SchemaVersion {
    /// The version of the tables; 0 when there are none yet.
    pub found: i64,
    /// The version that this build knows.
    pub known: i64,
}

/// Why a database could not be looked at.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// The file cannot be read as a database of ours.
    #[error("SQLite cannot read {}", .0.display())]
    Sqlite(PathBuf, #[source] rusqlite::Error),
    /// The database cannot be reached or read.
    #[error("Postgres cannot be asked")]
    Postgres(#[source] sqlx::Error),
    /// The database says nothing.
    #[error("Postgres does not answer within {ANSWER_MS_MAX} ms")]
    Silent,
}

/// Looks at a log in a SQLite file, which must exist. Blocks.
///
/// # Errors
/// When the file cannot be read as a log.
pub fn inspect_sqlite(path: &Path) -> Result<Inspection, InspectError> {
    read_sqlite(path, |connection| {
        let schema = found_sqlite(connection, MIGRATIONS.component)?;
        let read_head = |row: &rusqlite::Row<'_>| {
            let recorded_at = time::from_micros(row.get(2)?);
            Ok(Head { log_id: row.get(0)?, position: row.get(1)?, recorded_at })
        };
        let head = if has_sqlite(connection, "event_log_head")? {
            Some(connection.query_row(SELECT_HEAD, [], read_head)?)
        } else {
            None
        };
        let engine = format!("SQLite {}", rusqlite::version());
        Ok(Inspection { engine, schema, schema_known: MIGRATIONS.known_sqlite(), head })
    })
}

/// Looks at the tables of a component in a SQLite file, which must exist. Blocks.
///
/// # Errors
/// When the file cannot be read as a database.
pub fn version_sqlite(path: &Path, of: &Migrations) -> Result<SchemaVersion, InspectError> {
    let found = read_sqlite(path, |connection| found_sqlite(connection, of.component))?;
    Ok(SchemaVersion { found, known: of.known_sqlite() })
}

/// Reads a SQLite file, which must exist. Blocks.
///
/// # Errors
/// When the file cannot be read as a database, or not what is wanted of it.
pub fn read_sqlite<T>(
    path: &Path,
    read: impl FnOnce(&SqliteConnection) -> rusqlite::Result<T>,
) -> Result<T, InspectError> {
    let read = open_sqlite(path).and_then(|connection| read(&connection));
    read.map_err(|error| InspectError::Sqlite(path.to_owned(), error))
}

/// Reads alone: a server that runs goes on writing, and what is not there is not made.
fn open_sqlite(path: &Path) -> rusqlite::Result<SqliteConnection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = SqliteConnection::open_with_flags(path, flags)?;
    connection.busy_timeout(Duration::from_millis(ANSWER_MS_MAX))?;
    Ok(connection)
}

fn has_sqlite(connection: &SqliteConnection, table: &str) -> rusqlite::Result<bool> {
    connection.query_row(HAS_TABLE_SQLITE, [table], |row| row.get(0))
}

fn found_sqlite(connection: &SqliteConnection, component: &str) -> rusqlite::Result<i64> {
    if !has_sqlite(connection, "schema_version")? {
        return Ok(0);
    }
    let found = connection.query_row(SELECT_VERSION, [component], |row| row.get(0));
    Ok(found.optional()?.unwrap_or(0))
}

/// Looks at a log in a Postgres database.
///
/// # Errors
/// When the database cannot be reached, does not answer in time, or cannot be read.
pub async fn inspect_postgres(url: &str) -> Result<Inspection, InspectError> {
    read_postgres(url, async |connection| {
        let version: String =
            sqlx::query_scalar("SHOW server_version").fetch_one(&mut *connection).await?;
        let (mut schema, mut head) = (0, None);
        if sqlx::query_scalar(HAS_LOG_POSTGRES).fetch_one(&mut *connection).await? {
            let component = MIGRATIONS.component;
            let found = sqlx::query_scalar(SELECT_VERSION).bind(component);
            schema = found.fetch_optional(&mut *connection).await?.unwrap_or(0);
            if let Some(row) = sqlx::query(SELECT_HEAD).fetch_optional(&mut *connection).await? {
                let recorded_at = time::from_micros(row.try_get(2)?);
                let (log_id, position) = (row.try_get(0)?, row.try_get(1)?);
                head = Some(Head { log_id, position, recorded_at });
            }
        }
        let engine = format!("Postgres {version}");
        Ok(Inspection { engine, schema, schema_known: MIGRATIONS.known_postgres(), head })
    })
    .await
}

/// Looks at the tables of components in a Postgres database, in their order.
///
/// # Errors
/// When the database cannot be reached, does not answer in time, or cannot be read.
pub async fn versions_postgres(
    url: &str,
    of: &[Migrations],
) -> Result<Vec<SchemaVersion>, InspectError> {
    read_postgres(url, async |connection| {
        let has_any: bool =
            sqlx::query_scalar(HAS_VERSIONS_POSTGRES).fetch_one(&mut *connection).await?;
        let mut versions = Vec::new();
        for migrations in of {
            let mut found = None;
            if has_any {
                let select = sqlx::query_scalar(SELECT_VERSION).bind(migrations.component);
                found = select.fetch_optional(&mut *connection).await?;
            }
            let (found, known) = (found.unwrap_or(0), migrations.known_postgres());
            versions.push(SchemaVersion { found, known });
        }
        Ok(versions)
    })
    .await
}

/// Reads a Postgres database.
///
/// # Errors
/// When the database cannot be reached, does not answer in time, or cannot be read.
pub async fn read_postgres<T>(
    url: &str,
    read: impl AsyncFnOnce(&mut PgConnection) -> Result<T, sqlx::Error>,
) -> Result<T, InspectError> {
    let look = async {
        let mut connection = PgConnectOptions::from_str(url)?.connect().await?;
        let read = read(&mut connection).await?;
        connection.close().await?;
        Ok(read)
    };
    let looked = tokio::time::timeout(Duration::from_millis(ANSWER_MS_MAX), look).await;
    looked.map_err(|_| InspectError::Silent)?.map_err(InspectError::Postgres)
}
