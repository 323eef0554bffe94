//! The log in a Postgres database, 15 or later; several nodes may share it.
//!
//! A batch is one call of the function `event_log_append`: one round trip, one commit. The writers
//! have connections of their own, readers share a pool.

use std::collections::HashSet;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::postgres::{PgConnectOptions, PgConnection, PgListener, PgPool, PgPoolOptions, PgRow};
use sqlx::{ConnectOptions, Row as _};
use uuid::Uuid;

use super::MIGRATIONS;
use super::append::{Append, AppendError, Outcome, Place};
use super::error::{LogError, OpenError, Unavailable};
use super::feed::{Feed, Placed};
use super::group_commit::{BatchError, Engine};
use super::rows::{COLUMNS_POSTGRES, Reading, Row, SELECT_RECORDED_AT, Upcasters, select_of_types};
use super::snapshots::{FINGERPRINT, KeptState};
use super::standings::Standings;
use super::store::Standing;
use crate::db::postgres_settings;
use crate::domain::{StreamId, StreamType};

/// The oldest server that works.
const SERVER_VERSION_MIN: i32 = 15;
/// Connections that append: while one waits for its commit the other has its batch at the server.
pub(super) const WRITERS: usize = 2;
/// The most connections that read.
const READERS_MAX: u32 = 16;
/// How long a reader waits for a connection.
const ACQUIRE_TIMEOUT_MS: u64 = 3_000;
/// How long a query may take before the server is given up as dead.
const READ_TIMEOUT_MS: u64 = 10_000;
/// How long another writer may hold the head of the log.
const LOCK_TIMEOUT_MS: u64 = 5_000;
/// How long a batch may take before its connection is given up as dead.
const COMMIT_TIMEOUT_MS: u64 = 10_000;
/// How long a batch is tried again while the server is away.
const OUTAGE_MS_MAX: u64 = 3_000;
/// The pause between two tries.
const RETRY_MS: u64 = 50;
/// How long after a lost connection a conflict may be with an append of our own.
const UNCERTAIN_MS: u64 = 60_000;
/// The channel that tells other nodes of a batch.
const CHANNEL: &str = "event_log";

const APPEND: &str = "SELECT base, stamp, losers FROM \
     event_log_append($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)";
const SELECT_PLACE: &str = "SELECT event_id, position, recorded_at FROM events \
     WHERE aggregate_type = $1 AND aggregate_id = $2 AND sequence = $3";
const UPSERT_STATE: &str = "INSERT INTO aggregate_states AS kept \
     (aggregate_type, aggregate_id, version, position, fingerprint, state) \
     VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (aggregate_type, aggregate_id) DO UPDATE SET \
     version = excluded.version, position = excluded.position, \
     fingerprint = excluded.fingerprint, state = excluded.state \
     WHERE kept.version < excluded.version OR kept.fingerprint <> excluded.fingerprint";

/// A writing connection.
pub(super) struct PostgresEngine {
    options: PgConnectOptions,
    connection: Option<PgConnection>,
    /// This node's word in notifications, so that it need not listen to itself.
    node: String,
    /// Until when a conflict is looked at twice: an append whose answer was lost may stand already.
    uncertain_until: Option<Instant>,
}

/// The reading side.
#[derive(Debug, Clone)]
pub(super) struct PostgresReader {
    pool: PgPool,
    standings: Standings,
}

/// What opening gives.
pub(super) struct Opened {
    pub(super) writers: Vec<PostgresEngine>,
    pub(super) reader: PostgresReader,
    pub(super) log_id: Uuid,
    /// This node's word in notifications.
    pub(super) node: String,
}

/// Connects and brings the tables up to date.
pub(super) async fn open(url: &str) -> Result<Opened, OpenError> {
    let options = PgConnectOptions::from_str(url).map_err(OpenError::Connect)?;
    let options = postgres_settings(options).options([
        ("synchronous_commit", "on"),
        ("default_transaction_isolation", r"read\ committed"),
        ("lock_timeout", &LOCK_TIMEOUT_MS.to_string()),
    ]);
    let pool = PgPoolOptions::new()
        .max_connections(READERS_MAX)
        .acquire_timeout(Duration::from_millis(ACQUIRE_TIMEOUT_MS))
        // That would be a round trip before every query; `read` tries again instead.
        .test_before_acquire(false)
        .connect_with(options.clone())
        .await
        .map_err(OpenError::Connect)?;
    check_server(&pool).await?;
    MIGRATIONS.apply_postgres(&pool).await?;
    let log_id = log_id(&pool).await?;
    let node = Uuid::new_v4().simple().to_string();
    let writer = || PostgresEngine {
        options: options.clone(),
        connection: None,
        node: node.clone(),
        uncertain_until: None,
    };
    let writers = std::iter::repeat_with(writer).take(WRITERS).collect();
    let standings = Standings::of(&pool);
    Ok(Opened { writers, reader: PostgresReader { pool, standings }, log_id, node })
}

async fn check_server(pool: &PgPool) -> Result<(), OpenError> {
    let settings = "SELECT current_setting('server_version'), \
         current_setting('server_version_num')::integer, current_setting('fsync')";
    let (found, number, fsync): (String, i32, String) =
        sqlx::query_as(settings).fetch_one(pool).await.map_err(OpenError::Connect)?;
    if number / 10_000 < SERVER_VERSION_MIN {
        return Err(OpenError::ServerTooOld { found, needed: SERVER_VERSION_MIN });
    }
    if fsync != "on" {
        tracing::warn!(
            "this Postgres runs with fsync=off: a power cut can lose acknowledged events"
        );
    }
    Ok(())
}

async fn log_id(pool: &PgPool) -> Result<Uuid, OpenError> {
    let insert = "INSERT INTO event_log_head (log_id, position, recorded_at) \
         VALUES ($1, 0, 0) ON CONFLICT DO NOTHING";
    let new_id = Uuid::new_v4().to_string();
    sqlx::query(insert).bind(new_id).execute(pool).await.map_err(OpenError::Connect)?;
    let select = sqlx::query_scalar("SELECT log_id FROM event_log_head");
    let text: String = select.fetch_one(pool).await.map_err(OpenError::Connect)?;
    Uuid::parse_str(&text).map_err(|error| OpenError::Connect(sqlx::Error::Decode(error.into())))
}

/// Rings the feed when another node has written; runs until it is dropped.
pub(super) async fn listen(reader: PostgresReader, node: String, feed: Arc<Feed>) {
    loop {
        if let Ok(mut listener) = PgListener::connect_with(&reader.pool).await
            && listener.listen(CHANNEL).await.is_ok()
        {
            // What was said before, or while the connection was down, nobody has heard.
            feed.hint();
            while let Ok(heard) = listener.try_recv().await {
                if heard.is_none_or(|notification| notification.payload() != node) {
                    feed.hint();
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(RETRY_MS)).await;
    }
}

impl Engine for PostgresEngine {
    async fn commit(&mut self, appends: &[Append]) -> Result<Vec<Outcome>, BatchError> {
        let deadline = Instant::now() + Duration::from_millis(OUTAGE_MS_MAX);
        loop {
            match self.try_commit(appends).await {
                Ok(outcomes) => return Ok(outcomes),
                Err(error) if is_fault_of_row(&error) => {
                    return Err(BatchError::Rejected(error.to_string()));
                }
                Err(error) => {
                    self.connection = None;
                    let until = Instant::now() + Duration::from_millis(UNCERTAIN_MS);
                    self.uncertain_until = Some(until);
                    if Instant::now() >= deadline {
                        return Err(BatchError::Unavailable(unavailable(&error)));
                    }
                    tokio::time::sleep(Duration::from_millis(RETRY_MS)).await;
                }
            }
        }
    }

    async fn keep_state(&mut self, state: KeptState) {
        let Some(connection) = &mut self.connection else { return };
        let kept = sqlx::query(UPSERT_STATE)
            .bind(state.stream.kind.as_str())
            .bind(&state.stream.id)
            .bind(state.version)
            .bind(state.position)
            .bind(FINGERPRINT)
            .bind(&state.json)
            .execute(connection)
            .await;
        if let Err(error) = kept {
            tracing::warn!(stream = %state.stream, %error, "could not keep an aggregate's state");
        }
    }
}

impl PostgresEngine {
    async fn try_commit(&mut self, appends: &[Append]) -> sqlx::Result<Vec<Outcome>> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(self.options.connect().await?),
        };
        let limit = Duration::from_millis(COMMIT_TIMEOUT_MS);
        let called = tokio::time::timeout(limit, append(connection, appends, &self.node)).await;
        let mut outcomes =
            called.map_err(|_| sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()))??;
        if self.uncertain_until.is_some_and(|until| Instant::now() < until) {
            for (append, outcome) in appends.iter().zip(&mut outcomes) {
                if outcome.is_err()
                    && let Some(place) = stands_already(connection, append).await?
                {
                    *outcome = Ok(place);
                }
            }
        }
        Ok(outcomes)
    }
}

/// Calls `event_log_append` with the batch as arrays.
async fn append(
    connection: &mut PgConnection,
    appends: &[Append],
    node: &str,
) -> sqlx::Result<Vec<Outcome>> {
    let checks = || numbered(appends).flat_map(|(n, a)| a.checks.iter().map(move |c| (n, c)));
    let rows = || numbered(appends).flat_map(|(n, a)| a.events.iter().map(move |e| (n, a, e)));
    let (base, recorded_at_micros, losers): (i64, i64, Option<Vec<i32>>) = sqlx::query_as(APPEND)
        .bind(checks().map(|(n, _)| n).collect::<Vec<i32>>())
        .bind(checks().map(|(_, c)| c.stream.kind.as_str()).collect::<Vec<_>>())
        .bind(checks().map(|(_, c)| c.stream.id.as_str()).collect::<Vec<_>>())
        .bind(checks().map(|(_, c)| c.version).collect::<Vec<i64>>())
        .bind(rows().map(|(n, _, _)| n).collect::<Vec<i32>>())
        .bind(rows().map(|(_, _, e)| e.stream.kind.as_str()).collect::<Vec<_>>())
        .bind(rows().map(|(_, _, e)| e.stream.id.as_str()).collect::<Vec<_>>())
        .bind(rows().map(|(_, _, e)| e.version).collect::<Vec<i64>>())
        .bind(rows().map(|(_, _, e)| e.event.name()).collect::<Vec<_>>())
        .bind(rows().map(|(_, _, e)| e.event.version()).collect::<Vec<_>>())
        .bind(rows().map(|(_, _, e)| e.payload.as_str()).collect::<Vec<_>>())
        .bind(rows().map(|(_, a, _)| a.metadata_json.as_str()).collect::<Vec<_>>())
        .bind(rows().map(|(_, _, e)| e.event_id.to_string()).collect::<Vec<_>>())
        .bind(node)
        .fetch_one(connection)
        .await?;
    let losers: HashSet<i32> = losers.unwrap_or_default().into_iter().collect();
    let mut first_position = base + 1;
    let outcomes = numbered(appends).map(|(number, append)| {
        if losers.contains(&number) {
            return Err(AppendError::Conflict);
        }
        let place = Place { first_position, recorded_at_micros };
        first_position += i64::try_from(append.events.len()).unwrap_or(i64::MAX);
        Ok(place)
    });
    Ok(outcomes.collect())
}

fn numbered(appends: &[Append]) -> impl Iterator<Item = (i32, &Append)> {
    (0..).zip(appends)
}

/// Finds an append by its first event's id: its answer was lost, but not the append.
async fn stands_already(
    connection: &mut PgConnection,
    append: &Append,
) -> sqlx::Result<Option<Place>> {
    let Some(first) = append.events.first() else { return Ok(None) };
    let found: Option<(String, i64, i64)> = sqlx::query_as(SELECT_PLACE)
        .bind(first.stream.kind.as_str())
        .bind(&first.stream.id)
        .bind(first.version)
        .fetch_optional(connection)
        .await?;
    let own = found.filter(|(event_id, _, _)| *event_id == first.event_id.to_string());
    Ok(own.map(|(_, first_position, recorded_at_micros)| Place {
        first_position,
        recorded_at_micros,
    }))
}

/// Whether the server refused the data itself: malformed (22), against a constraint (23), or beyond
/// a limit of the server (54). Everything else may pass another time.
fn is_fault_of_row(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| ["22", "23", "54"].iter().any(|class| code.starts_with(class)))
}

fn unavailable(error: &sqlx::Error) -> Unavailable {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    match code.as_deref() {
        Some("53100") => Unavailable::new("the disk of the Postgres server is full"),
        Some("55P03") => Unavailable::new("another writer holds the head of the log"),
        _ => Unavailable::new(error),
    }
}

impl PostgresReader {
    pub(super) async fn after(
        &self,
        upcasters: &Upcasters,
        position: i64,
        limit: usize,
    ) -> Result<Vec<Placed>, LogError> {
        let reading = upcasters.positions_after(position);
        let sql = format!(
            "SELECT {COLUMNS_POSTGRES} FROM events WHERE position > $1 ORDER BY position LIMIT $2"
        );
        let query = || sqlx::query(&sql).bind(position).bind(to_i64(limit)).fetch_all(&self.pool);
        page(reading, &read(query).await?)
    }

    /// The events of these kinds of streams between two positions, the first excluded.
    pub(super) async fn of_types(
        &self,
        upcasters: &Upcasters,
        types: &[StreamType],
        (after, until): (i64, i64),
    ) -> Result<Vec<Placed>, LogError> {
        let reading = upcasters.scattered();
        let sql = select_of_types(COLUMNS_POSTGRES, types);
        let query = || sqlx::query(&sql).bind(after).bind(until).fetch_all(&self.pool);
        page(reading, &read(query).await?)
    }

    /// When the event at a position was recorded, in microseconds.
    pub(super) async fn recorded_at(&self, position: i64) -> Result<Option<i64>, LogError> {
        let query =
            || sqlx::query_scalar(SELECT_RECORDED_AT).bind(position).fetch_optional(&self.pool);
        Ok(read(query).await?)
    }

    pub(super) async fn stream(
        &self,
        upcasters: &Upcasters,
        stream: &StreamId,
        after_version: i64,
        limit: usize,
    ) -> Result<Vec<Placed>, LogError> {
        let reading = upcasters.versions_after(after_version);
        let sql = format!(
            "SELECT {COLUMNS_POSTGRES} FROM events WHERE aggregate_type = $1 AND aggregate_id = $2 \
             AND sequence > $3 ORDER BY sequence LIMIT $4"
        );
        let query = || {
            sqlx::query(&sql)
                .bind(stream.kind.as_str())
                .bind(&stream.id)
                .bind(after_version)
                .bind(to_i64(limit))
                .fetch_all(&self.pool)
        };
        page(reading, &read(query).await?)
    }

    pub(super) async fn standing(&self, streams: Vec<StreamId>) -> Result<Standing, LogError> {
        self.standings.ask(streams).await
    }

    /// The state kept of a stream, and the first events since.
    pub(super) async fn load(
        &self,
        upcasters: &Upcasters,
        stream: &StreamId,
        limit: usize,
    ) -> Result<(Option<KeptState>, Vec<Placed>), LogError> {
        let sql = format!(
            "WITH kept AS MATERIALIZED (SELECT version, position, state FROM aggregate_states \
                 WHERE aggregate_type = $1 AND aggregate_id = $2 AND fingerprint = $4) \
             SELECT '', '', version, '', '', state, '', position, '', 0::bigint FROM kept \
             UNION ALL (SELECT {COLUMNS_POSTGRES} FROM events \
                 WHERE aggregate_type = $1 AND aggregate_id = $2 \
                 AND sequence > coalesce((SELECT version FROM kept), 0) \
                 ORDER BY sequence LIMIT $3)"
        );
        let query = || {
            sqlx::query(&sql)
                .bind(stream.kind.as_str())
                .bind(&stream.id)
                .bind(to_i64(limit))
                .bind(FINGERPRINT)
                .fetch_all(&self.pool)
        };
        let rows = read(query).await?;
        let rows: sqlx::Result<Vec<Row<'_>>> = rows.iter().map(borrowed).collect();
        let rows = rows.map_err(|error| unavailable(&error))?;
        // Only the kept state has no event's id.
        let (kept, events): (Vec<_>, Vec<_>) = rows.iter().partition(|row| row.event_id.is_empty());
        let kept = kept.first().map(|row| KeptState {
            stream: stream.clone(),
            version: row.sequence,
            position: row.position,
            json: row.payload.to_owned(),
        });
        let mut reading = upcasters.versions_after(kept.as_ref().map_or(0, |kept| kept.version));
        let events: Result<_, _> = events.into_iter().map(|row| reading.read(row)).collect();
        Ok((kept, events?))
    }
}

/// Runs a query; again when its connection turns out to be dead, as all of the pool's are after a
/// restart of the server. Gives up on a server that does not answer.
pub(super) async fn read<T, F>(query: impl Fn() -> F) -> Result<T, Unavailable>
where
    F: Future<Output = sqlx::Result<T>>,
{
    let limit = Duration::from_millis(READ_TIMEOUT_MS);
    for _ in 0..READERS_MAX {
        match tokio::time::timeout(limit, query()).await {
            Ok(Ok(result)) => return Ok(result),
            Ok(Err(sqlx::Error::Io(_) | sqlx::Error::Protocol(_))) => {}
            Ok(Err(error)) if is_shutdown(&error) => {}
            Ok(Err(error)) => return Err(unavailable(&error)),
            Err(_) => return Err(Unavailable::new("the Postgres server does not answer")),
        }
    }
    Err(Unavailable::new("the Postgres server closes every connection"))
}

/// Whether the server has ended the session: it says so to each, once.
fn is_shutdown(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| code.starts_with("57P"))
}

fn page(mut reading: Reading, rows: &[PgRow]) -> Result<Vec<Placed>, LogError> {
    let read = |row| reading.read(&borrowed(row).map_err(|error| unavailable(&error))?);
    rows.iter().map(read).collect()
}

fn borrowed(row: &PgRow) -> sqlx::Result<Row<'_>> {
    Ok(Row {
        aggregate_type: row.try_get(0)?,
        aggregate_id: row.try_get(1)?,
        sequence: row.try_get(2)?,
        event_type: row.try_get(3)?,
        event_version: row.try_get(4)?,
        payload: row.try_get(5)?,
        metadata: row.try_get(6)?,
        position: row.try_get(7)?,
        event_id: row.try_get(8)?,
        recorded_at: row.try_get(9)?,
    })
}

fn to_i64(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
