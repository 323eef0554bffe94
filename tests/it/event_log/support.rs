//! A log of one's own on either engine, and SQL beside it.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection, Row};
use tempfile::TempDir;
use trinity::domain::account::{Account, AccountCommand, Role};
use trinity::domain::{Actor, Metadata};
use trinity::event_log::{EventLog, Receipt, Upcasters};
use uuid::Uuid;

/// The longest that a test waits for something that must come.
pub const LIMIT: Duration = Duration::from_mins(1);

/// The one parameter of the whole suite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    Sqlite,
    Postgres,
}

impl Engine {
    /// What `TRINITY_TEST_STORE` says; SQLite when it says nothing.
    pub fn of_this_run() -> Self {
        match environment("TRINITY_TEST_STORE").as_deref() {
            None | Some("sqlite") => Self::Sqlite,
            Some("postgres") => Self::Postgres,
            Some(other) => panic!("TRINITY_TEST_STORE is `{other}`; it is sqlite or postgres"),
        }
    }
}

/// An empty database of one's own.
pub struct TestDb {
    pub engine: Engine,
    folder: TempDir,
    url: String,
}

impl TestDb {
    pub async fn new() -> Self {
        Self::on(Engine::of_this_run()).await
    }

    pub async fn on(engine: Engine) -> Self {
        let folder = TempDir::new().unwrap();
        let url = match engine {
            Engine::Sqlite => String::new(),
            Engine::Postgres => create_database(&postgres_url()).await,
        };
        Self { engine, folder, url }
    }

    /// The SQLite file.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("log.db")
    }

    /// The Postgres database.
    pub fn url(&self) -> &str {
        &self.url
    }

    pub async fn open(&self) -> EventLog {
        self.open_with(Upcasters::default()).await
    }

    pub async fn open_with(&self, upcasters: Upcasters) -> EventLog {
        match self.engine {
            Engine::Sqlite => EventLog::open_sqlite_with(&self.path(), upcasters).await.unwrap(),
            Engine::Postgres => EventLog::open_postgres_with(&self.url, upcasters).await.unwrap(),
        }
    }

    /// Runs statements as somebody who knows nothing of the log.
    pub async fn run(&self, sql: &str) {
        match self.engine {
            Engine::Sqlite => {
                let connection = rusqlite::Connection::open(self.path()).unwrap();
                connection.busy_timeout(LIMIT).unwrap();
                connection.execute_batch(sql).unwrap();
            }
            Engine::Postgres => {
                let mut connection = PgConnection::connect(&self.url).await.unwrap();
                sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
                connection.close().await.unwrap();
            }
        }
    }

    /// The rows of a query of one column of integers.
    pub async fn integers(&self, sql: &str) -> Vec<i64> {
        match self.engine {
            Engine::Sqlite => {
                let connection = rusqlite::Connection::open(self.path()).unwrap();
                connection.busy_timeout(LIMIT).unwrap();
                let mut select = connection.prepare(sql).unwrap();
                select.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
            }
            Engine::Postgres => {
                let mut connection = PgConnection::connect(&self.url).await.unwrap();
                let rows = sqlx::query(sql).fetch_all(&mut connection).await.unwrap();
                connection.close().await.unwrap();
                rows.iter().map(|row| row.get(0)).collect()
            }
        }
    }

    /// Asserts that positions and versions are contiguous and that times never step back.
    pub async fn assert_dense(&self) {
        let holes = "SELECT position FROM (SELECT position, row_number() OVER (ORDER BY position) \
             AS expected FROM events) AS numbered WHERE position <> expected";
        assert_eq!(self.integers(holes).await, Vec::<i64>::new(), "positions are 1..N");
        let versions = "SELECT position FROM (SELECT position, sequence, row_number() OVER \
             (PARTITION BY aggregate_type, aggregate_id ORDER BY position) AS expected \
             FROM events) AS numbered WHERE sequence <> expected";
        assert_eq!(self.integers(versions).await, Vec::<i64>::new(), "versions are 1..n");
        let back = "SELECT position FROM (SELECT position, recorded_at, \
             lag(recorded_at) OVER (ORDER BY position) AS before FROM events) AS timed \
             WHERE recorded_at < before";
        assert_eq!(self.integers(back).await, Vec::<i64>::new(), "recorded_at never steps back");
        let heads = "SELECT (SELECT position FROM event_log_head) - (SELECT count(*) FROM events)";
        assert_eq!(self.integers(heads).await, [0], "the head is the last position");
    }
}

#[expect(clippy::disallowed_methods, reason = "the runner of the tests speaks by the environment")]
pub fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

pub fn postgres_url() -> String {
    environment("TRINITY_TEST_POSTGRES_URL").expect(
        "TRINITY_TEST_POSTGRES_URL is not set: run the tests by `make test`, \
         or as `scripts/with-postgres cargo test`",
    )
}

/// Makes an empty database on the server and answers with its URL.
pub async fn create_database(server_url: &str) -> String {
    let name = format!("test_{}", Uuid::new_v4().simple());
    let server = PgConnectOptions::from_str(server_url).unwrap();
    let mut connection = server.connect().await.unwrap();
    let create = format!("CREATE DATABASE {name}");
    sqlx::raw_sql(&create).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    server.database(&name).to_url_lossy().to_string()
}

pub fn metadata() -> Metadata {
    Metadata {
        actor: Actor::System.to_string(),
        correlation_id: Uuid::new_v4().to_string(),
        causation_id: None,
        command_id: Uuid::new_v4().to_string(),
        body_sha256: None,
        traceparent: None,
    }
}

pub fn create_user(name: &str) -> AccountCommand {
    AccountCommand::CreateUser { name: name.to_owned(), role: Role::User }
}

/// Makes a user whose stream bears the name too.
pub async fn make_user(log: &EventLog, name: &str) -> Receipt {
    log.execute::<Account>(name, create_user(name), metadata()).await.unwrap()
}

/// Appends one event to an existing user.
pub async fn touch(log: &EventLog, name: &str) -> Receipt {
    let command = AccountCommand::RecordPasswordChanged;
    log.execute::<Account>(name, command, metadata()).await.unwrap()
}

/// Waits for something that must happen, with a limit.
pub async fn within<F: Future>(what: &str, future: F) -> F::Output {
    let result = tokio::time::timeout(LIMIT, future).await;
    result.unwrap_or_else(|_| panic!("{what} did not happen within {LIMIT:?}"))
}
