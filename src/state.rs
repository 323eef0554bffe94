//! What must survive and events cannot rebuild: sessions, password hashes, pictures, transcripts.
//!
//! On SQLite these are files of the data directory; on Postgres tables of the one database that all
//! nodes share.

pub mod avatars;
pub mod claims;
pub mod key_usage;
pub mod logins;
pub mod passwords;
pub mod sessions;
pub mod transcripts;

use std::path::Path;

use anyhow::Context as _;
use sqlx::PgPool;

use crate::db::{Db, Durability};
use crate::event_log::Migrations;
use avatars::Avatars;
use claims::Claims;
use key_usage::KeyUsages;
use logins::Logins;
use passwords::Passwords;
use sessions::Sessions;
use transcripts::Transcripts;

const STATE: Migrations = Migrations {
    component: "state",
    sqlite: &[
        include_str!("../migrations/sqlite/state_0001.sql"),
        include_str!("../migrations/sqlite/state_0002.sql"),
        include_str!("../migrations/sqlite/state_0003.sql"),
        include_str!("../migrations/sqlite/state_0004.sql"),
        include_str!("../migrations/sqlite/state_0005.sql"),
    ],
    postgres: &[
        include_str!("../migrations/postgres/state_0001.sql"),
        include_str!("../migrations/postgres/state_0002.sql"),
        include_str!("../migrations/postgres/state_0003.sql"),
        include_str!("../migrations/postgres/state_0004.sql"),
        include_str!("../migrations/postgres/state_0005.sql"),
    ],
};

const TRANSCRIPTS: Migrations = Migrations {
    component: "transcripts",
    sqlite: &[
        include_str!("../migrations/sqlite/transcripts_0001.sql"),
        include_str!("../migrations/sqlite/transcripts_0002.sql"),
    ],
    postgres: &[
        include_str!("../migrations/postgres/transcripts_0001.sql"),
        include_str!("../migrations/postgres/transcripts_0002.sql"),
    ],
};

/// The tables of the state, each with its file in the data directory on SQLite.
pub const STORES: [(&str, Migrations); 2] = [(STATE_FILE, STATE), (TRANSCRIPTS_FILE, TRANSCRIPTS)];

const STATE_FILE: &str = "state.db";
const TRANSCRIPTS_FILE: &str = "transcripts.db";

/// Everything durable that is not an event. A clone is another handle to the same.
#[derive(Debug, Clone)]
pub struct State {
    /// Who is logged in.
    pub sessions: Sessions,
    /// With which password.
    pub passwords: Passwords,
    /// How often somebody failed to log in.
    pub logins: Logins,
    /// How often a key was used.
    pub key_usages: KeyUsages,
    /// What came under an idempotency key.
    pub claims: Claims,
    /// What agents look like.
    pub avatars: Avatars,
    /// The output of runs.
    pub transcripts: Transcripts,
    /// The database itself, for the tables of the vault.
    pub db: Db,
}

impl State {
    /// Opens `state.db` and `transcripts.db` in the data directory.
    ///
    /// # Errors
    /// When a file cannot be opened, or a newer build has written it.
    pub async fn open_sqlite(dir: &Path) -> anyhow::Result<Self> {
        let state = open_file(&dir.join(STATE_FILE), Durability::Full, STATE).await?;
        // A line that is lost with the power is still in the agent server's own file, unless that
        // went with the power too, and then the run is lost anyway.
        let transcripts = dir.join(TRANSCRIPTS_FILE);
        let transcripts = open_file(&transcripts, Durability::Normal, TRANSCRIPTS).await?;
        Ok(Self::on(&state, transcripts))
    }

    /// Uses a Postgres database.
    ///
    /// # Errors
    /// When it cannot be reached, or a newer build has written it.
    pub async fn open_postgres(pool: PgPool) -> anyhow::Result<Self> {
        for migrations in [STATE, TRANSCRIPTS] {
            migrations.apply_postgres(&pool).await.context("cannot prepare the state tables")?;
        }
        let state = Db::postgres(pool.clone(), Durability::Full);
        Ok(Self::on(&state, Db::postgres(pool, Durability::Normal)))
    }

    fn on(state: &Db, transcripts: Db) -> Self {
        Self {
            sessions: Sessions::new(state.clone()),
            passwords: Passwords::new(state.clone()),
            logins: Logins::new(state.clone()),
            key_usages: KeyUsages::new(state.clone()),
            claims: Claims::new(state.clone()),
            avatars: Avatars::new(state.clone()),
            transcripts: Transcripts::new(transcripts),
            db: state.clone(),
        }
    }
}

async fn open_file(
    path: &Path,
    durability: Durability,
    migrations: Migrations,
) -> anyhow::Result<Db> {
    let failed = || format!("cannot open {}", path.display());
    let db = Db::open_sqlite(path, durability).with_context(failed)?;
    let applied = db.with_sqlite(move |connection| migrations.apply_sqlite(connection)).await;
    applied.transpose().with_context(failed)?.transpose().with_context(failed)?;
    Ok(db)
}
