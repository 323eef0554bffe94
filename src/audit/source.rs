//! Where the rows come from. Only reads: a server may write meanwhile.

mod postgres;
mod sqlite;

use std::path::PathBuf;

use super::Options;
use super::world::{Standing, World};

/// A log.
#[derive(Debug, Clone)]
pub enum Source {
    /// A SQLite file.
    Sqlite(PathBuf),
    /// A Postgres database, by its URL.
    Postgres(String),
}

/// Why a log could not be checked.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is no such file.
    #[error("there is no log at {0}; name its folder with --data-dir")]
    Missing(PathBuf),
    /// The file cannot be read as a log.
    #[error("cannot read the log {path}")]
    Sqlite {
        /// Which file.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// The database cannot be reached or read.
    #[error("cannot read the log in Postgres; check the database URL")]
    Postgres(#[source] sqlx::Error),
    /// The reading was ended from outside.
    #[error("the check was interrupted")]
    Interrupted(#[source] tokio::task::JoinError),
}

impl Source {
    /// What to call the log in a report; never holds a password.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Sqlite(path) => path.display().to_string(),
            Self::Postgres(url) => postgres::name(url),
        }
    }

    /// Shows every row to `world` in the order of positions, as they stand at one moment.
    pub(super) async fn read(
        &self,
        world: &mut World,
        options: Options,
    ) -> Result<Standing, OpenError> {
        match self {
            Self::Sqlite(path) => {
                let (path, mut reading) = (path.clone(), std::mem::take(world));
                let done = tokio::task::spawn_blocking(move || {
                    let standing = sqlite::read(&path, &mut reading, options);
                    (standing, reading)
                });
                let (standing, read) = done.await.map_err(OpenError::Interrupted)?;
                *world = read;
                standing
            }
            Self::Postgres(url) => {
                postgres::read(url, world, options).await.map_err(OpenError::Postgres)
            }
        }
    }
}

/// Tells how far the reading is, now and then.
#[derive(Debug)]
struct Progress {
    options: Options,
    done: u64,
    all: u64,
}

impl Progress {
    fn new(options: Options, all: i64) -> Self {
        Self { options, done: 0, all: u64::try_from(all).unwrap_or_default() }
    }

    fn step(&mut self) {
        self.done += 1;
        if let Some(tell) = self.options.progress
            && self.done.is_multiple_of(super::PROGRESS_EVENTS)
        {
            tell(self.done, self.all);
        }
    }
}
