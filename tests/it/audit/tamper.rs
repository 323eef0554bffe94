//! A log spoilt by SQL, and restored.

use serde_json::Value;
use sqlx::{Connection as _, PgConnection, Row as _};

use crate::event_log::support::{Engine, TestDb};

/// Further than any position or version of a test: shifted rows pass through here, so that no two
/// of them meet on the way.
const FAR: i64 = 1_000_000;

const SELECT: &str = "SELECT position, aggregate_type, aggregate_id, sequence, event_type, ";

/// A row as it was written.
#[derive(Debug, Clone)]
pub struct Row {
    pub position: i64,
    pub stream_type: String,
    pub stream_id: String,
    pub version: i64,
    pub event_type: String,
    pub payload: Value,
}

impl Row {
    /// A field of the body.
    pub fn get(&self, field: &str) -> &Value {
        &self.payload[&self.event_type][field]
    }

    fn is_about(&self, id: &str) -> bool {
        self.stream_id == id || self.get("execution_id").as_str() == Some(id)
    }
}

/// The rows of a log, to find one's way.
pub struct Log(pub Vec<Row>);

impl Log {
    pub async fn read(db: &TestDb) -> Self {
        let order = "FROM events ORDER BY position";
        let rows: Vec<Row> = match db.engine {
            Engine::Sqlite => {
                let connection = rusqlite::Connection::open(db.path()).unwrap();
                let mut select = connection.prepare(&format!("{SELECT} payload {order}")).unwrap();
                let rows = select.query_map([], |row| {
                    Ok(Row {
                        position: row.get(0)?,
                        stream_type: row.get(1)?,
                        stream_id: row.get(2)?,
                        version: row.get(3)?,
                        event_type: row.get(4)?,
                        payload: serde_json::from_str(&row.get::<_, String>(5)?).unwrap(),
                    })
                });
                rows.unwrap().map(Result::unwrap).collect()
            }
            Engine::Postgres => {
                let mut connection = PgConnection::connect(db.url()).await.unwrap();
                let select = format!("{SELECT} payload::text {order}");
                let rows = sqlx::query(&select).fetch_all(&mut connection).await.unwrap();
                connection.close().await.unwrap();
                let row = |row: &sqlx::postgres::PgRow| Row {
                    position: row.get(0),
                    stream_type: row.get(1),
                    stream_id: row.get(2),
                    version: row.get(3),
                    event_type: row.get(4),
                    payload: serde_json::from_str(row.get(5)).unwrap(),
                };
                rows.iter().map(row).collect()
            }
        };
        Self(rows)
    }

    pub fn last(&self) -> &Row {
        self.0.last().unwrap()
    }

    pub fn at(&self, position: i64) -> &Row {
        &self.0[usize::try_from(position - 1).unwrap()]
    }

    /// The n-th event of the type, from 0.
    pub fn nth(&self, event_type: &str, n: usize) -> &Row {
        let mut all = self.0.iter().filter(|row| row.event_type == event_type);
        all.nth(n).unwrap_or_else(|| panic!("no {n}th {event_type}"))
    }

    /// The id of the n-th execution of an agent, from 0.
    pub fn run(&self, agent: &str, n: usize) -> String {
        let mut all = self.0.iter().filter(|row| {
            row.event_type == "ExecutionRequested" && row.get("agent").as_str() == Some(agent)
        });
        all.nth(n).unwrap().stream_id.clone()
    }

    /// The first event of the type in that stream, or about that execution.
    pub fn of(&self, event_type: &str, id: &str) -> &Row {
        let mut all = self.0.iter().filter(|row| row.event_type == event_type && row.is_about(id));
        all.next().unwrap_or_else(|| panic!("no {event_type} of {id}"))
    }

    /// The first event of the type after a position.
    pub fn after(&self, event_type: &str, position: i64) -> &Row {
        let mut all =
            self.0.iter().filter(|row| row.event_type == event_type && row.position > position);
        all.next().unwrap()
    }

    /// The current id of an agent's life, by the order of creations.
    pub fn life(&self, agent: &str, n: usize) -> String {
        let mut all =
            self.0.iter().filter(|row| row.event_type == "AgentCreated" && row.stream_id == agent);
        all.nth(n).unwrap().get("incarnation").as_str().unwrap().to_owned()
    }
}

/// What somebody does to a log.
#[derive(Debug, Clone)]
pub enum Op {
    /// Replaces a text in the payload.
    Payload(i64, String, String),
    /// Replaces a text in the metadata.
    Metadata(i64, String, String),
    /// Sets columns, as SQL says it.
    Set(i64, String),
    /// Takes a row out and closes the gaps behind it.
    Remove(i64),
    /// Exchanges the positions of two rows.
    Swap(i64, i64),
    /// Puts a copy of the first row behind the second, as the next event of its stream.
    Repeat(i64, i64),
    /// Anything else.
    Sql(String),
}

impl Op {
    fn sql(&self, engine: Engine, log: &Log) -> String {
        let (text, json) = match engine {
            Engine::Sqlite => ("", ""),
            Engine::Postgres => ("::text", "::json"),
        };
        let replace = |column: &str, position: i64, from: &str, to: &str| {
            format!(
                "UPDATE events SET {column} = replace({column}{text}, '{from}', '{to}'){json} \
                 WHERE position = {position};"
            )
        };
        match self {
            Self::Payload(position, from, to) => replace("payload", *position, from, to),
            Self::Metadata(position, from, to) => replace("metadata", *position, from, to),
            Self::Set(position, columns) => {
                format!("UPDATE events SET {columns} WHERE position = {position};")
            }
            Self::Remove(position) => remove(log.at(*position)),
            Self::Swap(one, other) => format!(
                "UPDATE events SET position = {FAR} WHERE position = {one}; \
                 UPDATE events SET position = {one} WHERE position = {other}; \
                 UPDATE events SET position = {other} WHERE position = {FAR};"
            ),
            Self::Repeat(row, behind) => repeat(log.at(*row), *behind),
            Self::Sql(sql) => sql.clone(),
        }
    }
}

fn remove(row: &Row) -> String {
    let Row { position, stream_type, stream_id, version, .. } = row;
    let stream = format!("aggregate_type = '{stream_type}' AND aggregate_id = '{stream_id}'");
    let back = FAR + 1;
    format!(
        "DELETE FROM events WHERE position = {position}; \
         UPDATE events SET position = position + {FAR} WHERE position > {position}; \
         UPDATE events SET position = position - {back} WHERE position > {FAR}; \
         UPDATE events SET sequence = sequence + {FAR} WHERE {stream} AND sequence > {version}; \
         UPDATE events SET sequence = sequence - {back} WHERE {stream} AND sequence > {FAR}; \
         UPDATE event_log_head SET position = position - 1;"
    )
}

fn repeat(row: &Row, behind: i64) -> String {
    let Row { position, stream_type, stream_id, .. } = row;
    let stream = format!("aggregate_type = '{stream_type}' AND aggregate_id = '{stream_id}'");
    let shift = FAR - 1;
    let at = behind + 1;
    // The source may have moved on by one itself.
    let source = if *position > behind { position + 1 } else { *position };
    let version = format!("(SELECT count(*) FROM events WHERE {stream} AND position < {at}) + 1");
    format!(
        "UPDATE events SET position = position + {FAR} WHERE position > {behind}; \
         UPDATE events SET position = position - {shift} WHERE position > {FAR}; \
         UPDATE events SET sequence = sequence + {FAR} WHERE {stream} AND position > {at}; \
         UPDATE events SET sequence = sequence - {shift} WHERE {stream} AND sequence > {FAR}; \
         INSERT INTO events (aggregate_type, aggregate_id, sequence, event_type, event_version, \
             payload, metadata, position, event_id, recorded_at) \
         SELECT aggregate_type, aggregate_id, {version}, event_type, event_version, payload, \
             (SELECT metadata FROM events WHERE position = {behind}), {at}, \
             '00000000-0000-4000-8000-000000000001', \
             (SELECT recorded_at FROM events WHERE position = {behind}) \
         FROM events WHERE position = {source}; \
         UPDATE event_log_head SET position = position + 1;"
    )
}

/// Keeps a copy of the log inside its database.
pub async fn keep(db: &TestDb) {
    db.run("CREATE TABLE kept AS SELECT * FROM events").await;
    db.run("CREATE TABLE kept_head AS SELECT * FROM event_log_head").await;
}

/// What brings the log back to what was kept.
const RESTORE: &str = "DELETE FROM events; INSERT INTO events SELECT * FROM kept; \
     DELETE FROM event_log_head; INSERT INTO event_log_head SELECT * FROM kept_head;";

pub async fn restore(db: &TestDb) {
    db.run(RESTORE).await;
}

/// Does it to the log as it was kept, all or nothing.
pub async fn spoil(db: &TestDb, log: &Log, ops: &[Op]) {
    let sql: Vec<String> = ops.iter().map(|op| op.sql(db.engine, log)).collect();
    db.run(&format!("BEGIN; {RESTORE} {} COMMIT;", sql.join(" "))).await;
}
