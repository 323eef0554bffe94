//! The store that the suite runs on: SQLite, or a fresh database on the private Postgres server.

use sqlx::{Connection as _, PgConnection};

use crate::event_log::support::environment;

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
    let admin = environment("TRINITY_TEST_POSTGRES_URL")
        .expect("TRINITY_TEST_POSTGRES_URL is not set; run the tests by `make test`");
    let name = format!("t{}", uuid::Uuid::new_v4().simple());
    let mut connection = PgConnection::connect(&admin).await.unwrap();
    sqlx::query(&format!("CREATE DATABASE {name}")).execute(&mut connection).await.unwrap();
    let (base, _) = admin.rsplit_once('/').unwrap();
    format!("{base}/{name}")
}
