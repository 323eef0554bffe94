//! The store that the suite runs on: SQLite, or a fresh database on the private Postgres server.

use crate::event_log::support::{create_database, environment, postgres_url};

/// The URL of an empty Postgres database; none when the suite runs on SQLite.
///
/// `TRINITY_TEST_STORE` says which: `sqlite` unless it is `postgres`.
pub async fn fresh_database() -> Option<String> {
    if environment("TRINITY_TEST_STORE").as_deref() != Some("postgres") {
        return None;
    }
    Some(fresh_postgres_database().await)
}

/// The URL of an empty Postgres database, whatever store the suite runs on: for what only Postgres
/// can do.
pub async fn fresh_postgres_database() -> String {
    create_database(&postgres_url()).await
}
