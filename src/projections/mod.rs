//! Read models: what the events add up to, in tables that can be thrown away and built again.
//!
//! A read model is one file: the events it reads, its rows, its fold, its queries. Rows are a function
//! of the events alone (ids come from event ids, times from `recorded_at`), so a table that was built
//! again is the table that was there. The rows of a batch and the cursor move in one transaction, by
//! compare-and-set on the cursor, so a second runner loses and nothing is applied twice.

pub mod accounts;
pub mod activities;
pub mod agents;
mod builds;
pub mod executions;
pub mod inspect;
mod keyset;
mod lives;
mod narrow;
mod page;
mod past;
pub mod permissions;
mod runner;
mod sift;
pub mod slots;
pub mod statistics;
#[cfg(test)]
mod testing;
mod views;
mod wire;

use std::sync::Arc;

use async_trait::async_trait;

pub use crate::db::Error;
pub use builds::{OpenError, open_file};
pub use page::{
    Filter, LIMIT_DEFAULT, LIMIT_MAX, Listed, Order, Page, PageError, PageRequest, Place,
};
pub use past::{FOLD_SPAN_POSITIONS, FOLDS_MAX, PASTS_MAX, Past, PastError};
pub use runner::{ATTEMPTS_MAX, BATCH_BYTES_MAX, BATCH_EVENTS_MAX, Standing, Stopped};
pub use sift::LOOKED_AT_MAX;
pub use views::{Lag, ProjectionHealth, RebuildError, Views};
pub use wire::{Cost, Timestamp};

use crate::db::{self, Db, Record, Statement};
use crate::domain::{AccountId, IncarnationId, Recorded};

/// Through whose eyes a list is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Viewer {
    /// An administrator, who sees everything.
    Admin(AccountId),
    /// A user, who sees their own agents and those shared with them.
    User(AccountId),
    /// An agent, which sees these lives: its own and those it may call.
    Lives(Vec<IncarnationId>),
    /// A user who looks at the past, where the rights of today tell which lives they see.
    UserOf(AccountId, Vec<IncarnationId>),
    /// The server itself, and whoever may see everything without being anyone's.
    System,
}

impl Viewer {
    /// The person, if it is one.
    pub fn user(&self) -> Option<AccountId> {
        match self {
            Self::Admin(id) | Self::User(id) | Self::UserOf(id, _) => Some(*id),
            Self::Lives(_) | Self::System => None,
        }
    }
}

/// The file of the read models in the data directory, on SQLite.
pub const FILE: &str = "views.db";

/// Every read model.
pub fn all() -> Vec<Arc<dyn Projection>> {
    vec![
        Arc::new(agents::AgentsProjection),
        Arc::new(slots::SlotsProjection),
        Arc::new(executions::ExecutionsProjection),
        Arc::new(activities::ActivitiesProjection),
        Arc::new(permissions::PermissionsProjection),
        Arc::new(accounts::AccountsProjection),
    ]
}

/// The read model of this name.
///
/// # Errors
/// When there is none; the names there are are told.
pub fn named(name: &str) -> Result<Arc<dyn Projection>, RebuildError> {
    let all = all();
    let known = all.iter().map(|projection| projection.name()).collect();
    let found = all.into_iter().find(|projection| projection.name() == name);
    found.ok_or_else(|| RebuildError::Unknown { name: name.to_owned(), known })
}

/// A read model, as the catch-up loop sees it.
#[async_trait]
pub trait Projection: Send + Sync + 'static {
    /// Its name in health, cursors and commands.
    fn name(&self) -> &'static str;

    /// Its version, which is in the names of its tables; another one is built beside it.
    fn version(&self) -> u32;

    /// Its tables.
    fn tables(&self) -> Vec<TableDef>;

    /// Folds a batch: reads the rows it touches, changes them in memory, and says what to write.
    async fn fold(
        &self,
        db: &Db,
        build: Build,
        events: &[Arc<Recorded>],
    ) -> Result<Vec<Statement>, FoldError>;
}

/// Which set of a read model's tables is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Build {
    /// The one that queries read.
    Live,
    /// The one that is built beside it.
    Rebuild,
}

impl Build {
    /// The name of a table in this build.
    pub fn table<R: Record>(self) -> String {
        self.of(R::TABLE)
    }

    fn of(self, table: &str) -> String {
        match self {
            Self::Live => table.to_owned(),
            Self::Rebuild => format!("{table}_rebuild"),
        }
    }
}

/// A table of a read model.
#[derive(Debug)]
pub struct TableDef {
    /// Its name, which ends in the version.
    pub name: &'static str,
    create: fn(&str) -> String,
    on_sqlite: Option<fn(&str) -> String>,
    indexes: &'static [&'static str],
}

impl TableDef {
    /// The table of a record, with indexes over these columns.
    pub fn of<R: Record>(indexes: &'static [&'static str]) -> Self {
        Self { name: R::TABLE, create: R::create, on_sqlite: None, indexes }
    }

    /// The same where SQLite needs another table, which is an index by itself.
    #[must_use]
    pub fn on_sqlite(self, create: fn(&str) -> String) -> Self {
        Self { on_sqlite: Some(create), ..self }
    }

    /// The statement that makes the table, and the columns of its indexes.
    fn on(&self, is_sqlite: bool) -> (fn(&str) -> String, &'static [&'static str]) {
        match self.on_sqlite.filter(|_| is_sqlite) {
            Some(create) => (create, &[]),
            None => (self.create, self.indexes),
        }
    }
}

/// Why a batch could not be folded.
#[derive(Debug, thiserror::Error)]
pub enum FoldError {
    /// The database did not do it.
    #[error(transparent)]
    Db(#[from] db::Error),
    /// An event makes no sense to this read model.
    #[error("{reason}")]
    Event {
        /// Which event.
        position: i64,
        /// What is wrong.
        reason: String,
    },
}

impl FoldError {
    fn event(recorded: &Recorded, reason: &str) -> Self {
        Self::Event { position: recorded.position, reason: reason.to_owned() }
    }
}
