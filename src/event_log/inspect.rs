//! A look at a log from outside, for whoever wants to know whether it can be used: reads alone,
//! changes nothing, and needs no server to be stopped.

use std::path::Path;
use std::str::FromStr as _;
use std::time::Duration;

use chrono::{DateTime, Utc};
use rusqlite::{Connection as SqliteConnection, OpenFlags};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, Row as _};

use super::migrations::SELECT_VERSION;
use super::{MIGRATIONS, time};

/// How long a database may take to answer at all.
const ANSWER_MS_MAX: u64 = 5_000;

const SELECT_HEAD: &str = "SELECT log_id, position, recorded_at FROM event_log_head";

const HAS_TABLE_SQLITE: &str =
    "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = ?1";
const HAS_LOG_POSTGRES: &str = "SELECT to_regclass('schema_version') IS NOT NULL \
     AND to_regclass('event_log_head') IS NOT NULL";

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

/// Why a log could not be looked at.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// The file cannot be read as a log.
    #[error("SQLite cannot read the log")]
    Sqlite(#[source] rusqlite::Error),
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
    let look = || {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = SqliteConnection::open_with_flags(path, flags)?;
        connection.busy_timeout(Duration::from_millis(ANSWER_MS_MAX))?;
        let has = |table: &str| {
            connection.query_row(HAS_TABLE_SQLITE, [table], |row| row.get::<_, bool>(0))
        };
        let component = [MIGRATIONS.component];
        let schema = if has("schema_version")? {
            connection.query_row(SELECT_VERSION, component, |row| row.get(0))?
        } else {
            0
        };
        let read_head = |row: &rusqlite::Row<'_>| {
            let recorded_at = time::from_micros(row.get(2)?);
            Ok(Head { log_id: row.get(0)?, position: row.get(1)?, recorded_at })
        };
        let head = if has("event_log_head")? {
            Some(connection.query_row(SELECT_HEAD, [], read_head)?)
        } else {
            None
        };
        let engine = format!("SQLite {}", rusqlite::version());
        Ok(Inspection { engine, schema, schema_known: MIGRATIONS.known_sqlite(), head })
    };
    look().map_err(InspectError::Sqlite)
}

/// Looks at a log in a Postgres database.
///
/// # Errors
/// When the database cannot be reached, does not answer in time, or cannot be read.
pub async fn inspect_postgres(url: &str) -> Result<Inspection, InspectError> {
    let limit = Duration::from_millis(ANSWER_MS_MAX);
    let looked = tokio::time::timeout(limit, look_at_postgres(url)).await;
    looked.map_err(|_| InspectError::Silent)?.map_err(InspectError::Postgres)
}

async fn look_at_postgres(url: &str) -> Result<Inspection, sqlx::Error> {
    let mut connection = PgConnectOptions::from_str(url)?.connect().await?;
    let version: String =
        sqlx::query_scalar("SHOW server_version").fetch_one(&mut connection).await?;
    let (mut schema, mut head) = (0, None);
    if sqlx::query_scalar(HAS_LOG_POSTGRES).fetch_one(&mut connection).await? {
        let component = MIGRATIONS.component;
        let found = sqlx::query_scalar(SELECT_VERSION).bind(component);
        schema = found.fetch_optional(&mut connection).await?.unwrap_or(0);
        if let Some(row) = sqlx::query(SELECT_HEAD).fetch_optional(&mut connection).await? {
            let recorded_at = time::from_micros(row.try_get(2)?);
            let (log_id, position) = (row.try_get(0)?, row.try_get(1)?);
            head = Some(Head { log_id, position, recorded_at });
        }
    }
    connection.close().await?;
    let engine = format!("Postgres {version}");
    Ok(Inspection { engine, schema, schema_known: MIGRATIONS.known_postgres(), head })
}
