//! A log in Postgres, read in pages inside one read-only transaction.

use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection, PgRow};
use sqlx::{ConnectOptions, Connection, Row as _};

use super::super::Options;
use super::super::row::Row;
use super::super::world::{Past, Standing, World};
use super::Progress;

/// How long the server may take to answer at all.
const CONNECT_TIMEOUT_MS: u64 = 10_000;
/// The most rows of one page.
const PAGE_ROWS_MAX: i64 = 1_000;
/// The most bytes of payloads of one page, unless its first row alone is larger.
const PAGE_BYTES_MAX: i64 = 8 << 20;

const BEGIN: &str = "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY";
const SELECT_HEAD: &str = "SELECT log_id, position, recorded_at FROM event_log_head";
const SELECT_ROWS: &str = "SELECT count(*) FROM events";
const SELECT_PAGE: &str = "SELECT position, aggregate_type, aggregate_id, sequence, event_type, \
     event_version, payload, metadata, event_id, recorded_at FROM ( \
         SELECT *, sum(octet_length(payload)) OVER (ORDER BY position) - octet_length(payload) \
             AS bytes_before FROM ( \
             SELECT position, aggregate_type, aggregate_id, sequence, event_type, event_version, \
                 payload::text AS payload, metadata::text AS metadata, event_id, recorded_at \
             FROM events WHERE position > $1 ORDER BY position LIMIT $2) AS page) AS measured \
     WHERE bytes_before < $3 ORDER BY position";
const SELECT_PAST: &str = "SELECT coalesce(max(sequence), 0), \
     count(*) FILTER (WHERE event_type IN \
         ('ExecutionCompleted', 'ExecutionFailed', 'ExecutionCancelled')), \
     count(*) FILTER (WHERE event_type = 'LateResultObserved'), \
     count(*) FILTER (WHERE event_type = 'TranscriptRemoved') \
     FROM events WHERE aggregate_type = $1 AND aggregate_id = $2 AND position < $3";
const SELECT_REPEATS: &str = "SELECT min(position), count(*) FROM ( \
     SELECT position, row_number() OVER (PARTITION BY event_id ORDER BY position) AS nth \
     FROM events) AS numbered WHERE nth > 1";
const SELECT_STRAYS: &str = "SELECT min(position), count(*) FROM ( \
         SELECT position, metadata ->> 'causation_id' AS causation_id FROM events) AS effect \
     WHERE causation_id IS NOT NULL AND NOT EXISTS ( \
         SELECT 1 FROM events AS cause \
         WHERE cause.event_id = effect.causation_id AND cause.position < effect.position)";
const SELECT_EVENT: &str = "SELECT position, aggregate_type, aggregate_id, sequence, event_type, \
     event_version, payload::text, metadata::text, event_id, recorded_at \
     FROM events WHERE position = $1";

/// The server and the database of a URL, without user and password.
pub(super) fn name(url: &str) -> String {
    let options = PgConnectOptions::from_str(url).unwrap_or_default();
    let database = options.get_database().unwrap_or_default();
    format!("postgres://{}:{}/{database}", options.get_host(), options.get_port())
}

pub(super) async fn read(
    url: &str,
    world: &mut World,
    options: Options,
) -> Result<Standing, sqlx::Error> {
    let server = PgConnectOptions::from_str(url)?;
    let limit = Duration::from_millis(CONNECT_TIMEOUT_MS);
    let connected = tokio::time::timeout(limit, server.connect()).await;
    let silent = || std::io::Error::new(std::io::ErrorKind::TimedOut, "the server does not answer");
    let mut connection = connected.map_err(|_| sqlx::Error::Io(silent()))??;
    sqlx::query(BEGIN).execute(&mut connection).await?;
    let standing = read_all(&mut connection, world, options).await?;
    sqlx::query("ROLLBACK").execute(&mut connection).await?;
    connection.close().await?;
    Ok(standing)
}

async fn read_all(
    connection: &mut PgConnection,
    world: &mut World,
    options: Options,
) -> Result<Standing, sqlx::Error> {
    let rows = sqlx::query_scalar(SELECT_ROWS).fetch_one(&mut *connection).await?;
    let mut standing = Standing { rows, ..Standing::default() };
    if let Some(head) = sqlx::query(SELECT_HEAD).fetch_optional(&mut *connection).await? {
        standing.log_id = head.try_get(0)?;
        standing.head = Some((head.try_get(1)?, head.try_get(2)?));
    }
    let mut progress = Progress::new(options, standing.rows);
    let mut after = i64::MIN;
    loop {
        let page = sqlx::query(SELECT_PAGE)
            .bind(after)
            .bind(PAGE_ROWS_MAX)
            .bind(PAGE_BYTES_MAX)
            .fetch_all(&mut *connection)
            .await?;
        if page.is_empty() {
            break;
        }
        for stored in page {
            let row = row(&stored)?;
            after = row.position;
            let past = if world.begin(&row) { Some(past(connection, &row).await?) } else { None };
            world.observe(&row, past);
            progress.step();
        }
    }
    standing.repeated = first_of(connection, SELECT_REPEATS).await?;
    standing.strays = first_of(connection, SELECT_STRAYS).await?;
    Ok(standing)
}

/// The first of the events that the statement finds, and how many they are.
async fn first_of(
    connection: &mut PgConnection,
    select: &'static str,
) -> Result<Option<(Row, i64)>, sqlx::Error> {
    let found = sqlx::query(select).fetch_one(&mut *connection).await?;
    let Some(first) = found.try_get::<Option<i64>, _>(0)? else { return Ok(None) };
    let event = sqlx::query(SELECT_EVENT).bind(first).fetch_one(connection).await?;
    Ok(Some((row(&event)?, found.try_get(1)?)))
}

async fn past(connection: &mut PgConnection, row: &Row) -> Result<Past, sqlx::Error> {
    let past = sqlx::query(SELECT_PAST)
        .bind(&row.stream_type)
        .bind(&row.stream_id)
        .bind(row.position)
        .fetch_one(connection)
        .await?;
    let (version, ends) = (past.try_get(0)?, past.try_get(1)?);
    Ok(Past { version, ends, late: past.try_get(2)?, removals: past.try_get(3)? })
}

fn row(stored: &PgRow) -> Result<Row, sqlx::Error> {
    Ok(Row {
        position: stored.try_get(0)?,
        stream_type: stored.try_get(1)?,
        stream_id: stored.try_get(2)?,
        version: stored.try_get(3)?,
        event_type: stored.try_get(4)?,
        event_version: stored.try_get(5)?,
        payload: stored.try_get(6)?,
        metadata: stored.try_get(7)?,
        event_id: stored.try_get(8)?,
        recorded_at: stored.try_get(9)?,
        damaged: None,
    })
}
