//! Schema versions: numbered SQL files, embedded, applied in order when a database is opened.
//!
//! One way for both engines and for every component that keeps tables of its own: table
//! `schema_version` holds one row per component. On Postgres an advisory lock lets several nodes
//! start at once; on SQLite the write lock does.

use sqlx::{Executor, PgPool, Row};

/// Names the advisory lock under which Postgres migrations run; any constant would do.
const ADVISORY_LOCK: i64 = 0x7472_696e_6974_7901;

const CREATE_VERSIONS: &str = "CREATE TABLE IF NOT EXISTS schema_version \
     (component text PRIMARY KEY, version bigint NOT NULL)";
const CREATE_VERSIONS_STRICT: &str = "CREATE TABLE IF NOT EXISTS schema_version \
     (component text PRIMARY KEY, version integer NOT NULL) STRICT";
pub(super) const SELECT_VERSION: &str = "SELECT version FROM schema_version WHERE component = $1";
const UPSERT_VERSION: &str = "INSERT INTO schema_version (component, version) VALUES ($1, $2) \
     ON CONFLICT (component) DO UPDATE SET version = excluded.version";

/// The SQL files of one component, the first bringing an empty database to version 1.
#[derive(Debug, Clone, Copy)]
pub struct Migrations {
    /// The component's word in table `schema_version`.
    pub component: &'static str,
    /// The files for SQLite, in order.
    pub sqlite: &'static [&'static str],
    /// The files for Postgres, in order; as many as for SQLite.
    pub postgres: &'static [&'static str],
}

/// Why a database could not be brought to the schema of this build.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// A later build has changed the tables; this one would misread them.
    #[error(
        "the tables of `{component}` have schema version {found}, this build knows versions up to \
         {known}; run the newer build that wrote them"
    )]
    Newer {
        /// Whose tables.
        component: &'static str,
        /// The version in the database.
        found: i64,
        /// The newest version of this build.
        known: i64,
    },
    /// SQLite refused.
    #[error("could not bring the tables of `{0}` up to date")]
    Sqlite(&'static str, #[source] rusqlite::Error),
    /// Postgres refused.
    #[error("could not bring the tables of `{0}` up to date")]
    Postgres(&'static str, #[source] sqlx::Error),
}

impl Migrations {
    /// The newest version of this build on SQLite.
    pub fn known_sqlite(&self) -> i64 {
        version_of(self.sqlite)
    }

    /// The newest version of this build on Postgres.
    pub fn known_postgres(&self) -> i64 {
        version_of(self.postgres)
    }

    /// Applies what is missing, all in one transaction.
    pub fn apply_sqlite(&self, connection: &mut rusqlite::Connection) -> Result<(), MigrateError> {
        let failed = |error| MigrateError::Sqlite(self.component, error);
        let tx = connection
            .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)
            .map_err(failed)?;
        tx.execute_batch(CREATE_VERSIONS_STRICT).map_err(failed)?;
        let found = tx.query_row(SELECT_VERSION, [self.component], |row| row.get::<_, i64>(0));
        let found = match found {
            Err(rusqlite::Error::QueryReturnedNoRows) => 0,
            found => found.map_err(failed)?,
        };
        for file in self.missing(found, self.sqlite)? {
            tx.execute_batch(file).map_err(failed)?;
        }
        tx.execute(UPSERT_VERSION, (self.component, version_of(self.sqlite))).map_err(failed)?;
        tx.commit().map_err(failed)
    }

    /// Applies what is missing, all in one transaction, while no other node does.
    pub async fn apply_postgres(&self, pool: &PgPool) -> Result<(), MigrateError> {
        let failed = |error| MigrateError::Postgres(self.component, error);
        let mut tx = pool.begin().await.map_err(failed)?;
        sqlx::query("SELECT pg_advisory_xact_lock($1)")
            .bind(ADVISORY_LOCK)
            .execute(&mut *tx)
            .await
            .map_err(failed)?;
        (&mut *tx).execute(CREATE_VERSIONS).await.map_err(failed)?;
        let found = sqlx::query(SELECT_VERSION)
            .bind(self.component)
            .fetch_optional(&mut *tx)
            .await
            .and_then(|row| row.map_or(Ok(0), |row| row.try_get::<i64, _>(0)))
            .map_err(failed)?;
        for file in self.missing(found, self.postgres)? {
            (&mut *tx).execute(*file).await.map_err(failed)?;
        }
        sqlx::query(UPSERT_VERSION)
            .bind(self.component)
            .bind(version_of(self.postgres))
            .execute(&mut *tx)
            .await
            .map_err(failed)?;
        tx.commit().await.map_err(failed)
    }

    fn missing(
        &self,
        found: i64,
        files: &'static [&'static str],
    ) -> Result<&'static [&'static str], MigrateError> {
        usize::try_from(found).ok().and_then(|applied| files.get(applied..)).ok_or(
            MigrateError::Newer { component: self.component, found, known: version_of(files) },
        )
    }
}

fn version_of(files: &[&str]) -> i64 {
    i64::try_from(files.len()).unwrap_or(i64::MAX)
}
