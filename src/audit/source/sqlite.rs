//! A log in a SQLite file, read in one read transaction: writers go on beside it.

use std::path::Path;
use std::time::Duration;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension as _};

use super::super::Options;
use super::super::row::Row;
use super::super::world::{Past, Standing, World};
use super::{OpenError, Progress};

/// How long a checkpoint or a recovery may keep the file to itself.
const BUSY_TIMEOUT_MS: u64 = 5_000;

const SELECT_HEAD: &str = "SELECT log_id, position, recorded_at FROM event_log_head";
const SELECT_ROWS: &str = "SELECT count(*) FROM events";
const SELECT_EVENTS: &str = "SELECT position, aggregate_type, aggregate_id, sequence, event_type, \
     event_version, payload, metadata, event_id, recorded_at \
     FROM events WHERE position IS NOT NULL ORDER BY position";
const SELECT_PAST: &str = "SELECT coalesce(max(sequence), 0), \
     coalesce(sum(event_type IN ('ExecutionCompleted', 'ExecutionFailed', 'ExecutionCancelled')), 0), \
     coalesce(sum(event_type = 'LateResultObserved'), 0), \
     coalesce(sum(event_type = 'TranscriptRemoved'), 0) \
     FROM events WHERE aggregate_type = ?1 AND aggregate_id = ?2 AND position < ?3";
const SELECT_REPEATS: &str = "SELECT min(position), count(*) FROM ( \
     SELECT position, row_number() OVER (PARTITION BY event_id ORDER BY position) AS nth \
     FROM events WHERE event_id IS NOT NULL) WHERE nth > 1";
// Joined, because SQLite makes an index for a join, and none for a subquery; the `+` keeps it from
// going by position instead.
const SELECT_STRAYS: &str = "SELECT min(effect.position), count(*) FROM ( \
         SELECT position, CASE WHEN json_valid(metadata) \
             THEN metadata ->> '$.causation_id' END AS causation_id \
         FROM events WHERE position IS NOT NULL) AS effect \
     LEFT JOIN events AS cause \
         ON cause.event_id = effect.causation_id AND +cause.position < effect.position \
     WHERE effect.causation_id IS NOT NULL AND cause.event_id IS NULL";
const SELECT_EVENT: &str = "SELECT position, aggregate_type, aggregate_id, sequence, event_type, \
     event_version, payload, metadata, event_id, recorded_at FROM events WHERE position = ?1";

pub(super) fn read(
    path: &Path,
    world: &mut World,
    options: Options,
) -> Result<Standing, OpenError> {
    if !path.exists() {
        return Err(OpenError::Missing(path.to_owned()));
    }
    let failed = |source| OpenError::Sqlite { path: path.to_owned(), source };
    let connection = open(path).map_err(failed)?;
    read_all(&connection, world, options).map_err(failed)
}

/// Opens for reading only. A file that nobody has open, in a folder where SQLite may not make the
/// files it shares with writers, is read as it lies there.
fn open(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(Duration::from_millis(BUSY_TIMEOUT_MS))?;
    let readable = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()));
    match readable {
        Err(rusqlite::Error::SqliteFailure(error, _))
            if matches!(error.code, ErrorCode::CannotOpen | ErrorCode::ReadOnly)
                && !has_writer_files(path) =>
        {
            let uri = format!("file:{}?immutable=1", escape(path));
            let flags = flags | OpenFlags::SQLITE_OPEN_URI;
            Connection::open_with_flags(uri, flags)
        }
        readable => readable.map(|()| connection),
    }
}

fn has_writer_files(path: &Path) -> bool {
    let mut wal = path.as_os_str().to_owned();
    wal.push("-wal");
    Path::new(&wal).exists()
}

/// Spells a path inside a URI.
fn escape(path: &Path) -> String {
    let text = path.to_string_lossy();
    text.replace('%', "%25").replace('?', "%3f").replace('#', "%23")
}

fn read_all(
    connection: &Connection,
    world: &mut World,
    options: Options,
) -> rusqlite::Result<Standing> {
    let snapshot = connection.unchecked_transaction()?;
    let head = snapshot.query_row(SELECT_HEAD, [], |row| {
        Ok((row.get::<_, String>(0)?, (row.get(1)?, row.get(2)?)))
    });
    let (log_id, head) = head.optional()?.unzip();
    let mut standing = Standing { log_id: log_id.unwrap_or_default(), head, ..Standing::default() };
    standing.rows = snapshot.query_row(SELECT_ROWS, [], |row| row.get(0))?;
    let mut progress = Progress::new(options, standing.rows);
    let mut select_past = snapshot.prepare(SELECT_PAST)?;
    let mut select_events = snapshot.prepare(SELECT_EVENTS)?;
    let mut events = select_events.query([])?;
    loop {
        let row = match events.next() {
            Ok(Some(stored)) => row(stored)?,
            Ok(None) => break,
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt) => {
                world.break_off(&error.to_string());
                return Ok(standing);
            }
            Err(error) => return Err(error),
        };
        let past = if world.begin(&row) {
            let key = (&row.stream_type, &row.stream_id, row.position);
            Some(select_past.query_row(key, |row| {
                let (version, ends) = (row.get(0)?, row.get(1)?);
                Ok(Past { version, ends, late: row.get(2)?, removals: row.get(3)? })
            })?)
        } else {
            None
        };
        world.observe(&row, past);
        progress.step();
    }
    standing.repeated = first_of(&snapshot, SELECT_REPEATS)?;
    standing.strays = first_of(&snapshot, SELECT_STRAYS)?;
    Ok(standing)
}

/// The first of the events that the statement finds, and how many they are.
fn first_of(connection: &Connection, select: &str) -> rusqlite::Result<Option<(Row, i64)>> {
    let (first, count): (Option<i64>, i64) =
        connection.query_row(select, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let first = first.map(|first| connection.query_row(SELECT_EVENT, [first], row));
    Ok(first.transpose()?.map(|row| (row, count)))
}

fn row(stored: &rusqlite::Row<'_>) -> rusqlite::Result<Row> {
    let mut damaged = None;
    let mut text = |index: usize, column: &'static str| -> rusqlite::Result<String> {
        let value = stored.get_ref(index)?;
        if let ValueRef::Text(bytes) = value
            && let Ok(text) = std::str::from_utf8(bytes)
        {
            return Ok(text.to_owned());
        }
        damaged = damaged.or(Some(column));
        Ok(String::new())
    };
    Ok(Row {
        stream_type: text(1, "aggregate_type")?,
        stream_id: text(2, "aggregate_id")?,
        event_type: text(4, "event_type")?,
        event_version: text(5, "event_version")?,
        payload: text(6, "payload")?,
        metadata: text(7, "metadata")?,
        event_id: text(8, "event_id")?,
        position: stored.get(0)?,
        version: stored.get(3)?,
        recorded_at: stored.get(9)?,
        damaged,
    })
}
