//! The handle to all read models.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::{Notify, watch};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use utoipa::ToSchema;

use super::accounts::Accounts;
use super::activities::{Activities, PastActivities};
use super::agents::Agents;
use super::builds::{self, OpenError};
use super::executions::Executions;
use super::past::{Past, PastError, Pasts};
use super::permissions::Permissions;
use super::runner::{Runner, Standing, Stopped};
use super::slots::Slots;
use super::statistics::Statistics;
use super::{Projection, all};
use crate::db::{self, Db};
use crate::event_log::EventLog;

/// Every read model, and the tasks that keep them up to date. A clone is another handle to the same.
///
/// The tasks end with the last handle, or with [`Views::shutdown`].
#[derive(Clone)]
pub struct Views(Arc<Inner>);

struct Inner {
    log: EventLog,
    db: Db,
    models: BTreeMap<&'static str, Model>,
    pasts: Pasts,
    tasks: TaskTracker,
    stop: CancellationToken,
    _stop: DropGuard,
}

struct Model {
    projection: Arc<dyn Projection>,
    standing: watch::Receiver<Standing>,
    bell: Arc<Notify>,
}

/// A read model in the health report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ProjectionHealth {
    /// The position of the last event folded in.
    pub position: i64,
    /// How many events are to be folded in.
    pub lag: i64,
    /// Whether it stands still at an event.
    pub degraded: bool,
    /// Which event, and what is wrong with it.
    #[schema(required = true)]
    pub error: Option<String>,
    /// How far the tables have got that are built beside the live ones.
    #[schema(required = true)]
    pub rebuilding: Option<i64>,
}

/// A read model was not there in time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the read model {projection} has got to position {reached}, not yet to {wanted}")]
pub struct Lag {
    /// Which one.
    pub projection: &'static str,
    /// The position asked for.
    pub wanted: i64,
    /// The position it has got to.
    pub reached: i64,
}

/// Why a rebuild did not begin or end.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// No read model has that name.
    #[error("there is no read model `{name}`; there are {}", .known.join(", "))]
    Unknown {
        /// The name asked for.
        name: String,
        /// The names there are.
        known: Vec<&'static str>,
    },
    /// The database did not do it.
    #[error(transparent)]
    Db(#[from] db::Error),
    /// An event cannot be folded.
    #[error("the rebuild stopped at position {position}: {reason}")]
    Stopped {
        /// Where the event stands.
        position: i64,
        /// What is wrong with it.
        reason: String,
    },
    /// The server is shutting down.
    #[error("the server is shutting down")]
    ShuttingDown,
}

impl Views {
    /// Opens the read models in `db` and begins to keep them up to date with the log.
    pub async fn start(log: EventLog, db: Db) -> Result<Self, OpenError> {
        Self::start_with(log, db, all()).await
    }

    /// The same with read models of one's own choice.
    pub async fn start_with(
        log: EventLog,
        db: Db,
        projections: Vec<Arc<dyn Projection>>,
    ) -> Result<Self, OpenError> {
        builds::open(&db, log.log_id()).await?;
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let mut models = BTreeMap::new();
        for projection in projections {
            let cursors = builds::cursors(&db, &*projection).await?;
            let position = cursors.live.position;
            let (sender, standing) = watch::channel(Standing { position, ..Standing::default() });
            let bell = Arc::new(Notify::new());
            let runner = Runner {
                projection: Arc::clone(&projection),
                log: log.clone(),
                db: db.clone(),
                standing: sender,
                bell: Arc::clone(&bell),
                given_up: None,
            };
            tasks.spawn(stop.clone().run_until_cancelled_owned(runner.run()));
            models.insert(projection.name(), Model { projection, standing, bell });
        }
        tasks.close();
        let guard = stop.clone().drop_guard();
        Ok(Self(Arc::new(Inner {
            log,
            db,
            models,
            pasts: Pasts::default(),
            tasks,
            stop,
            _stop: guard,
        })))
    }

    /// Ends the tasks; whatever was being written is written or not, as a whole.
    pub async fn shutdown(&self) {
        self.0.stop.cancel();
        self.0.tasks.wait().await;
    }

    /// Agents.
    pub fn agents(&self) -> Agents<'_> {
        Agents(&self.0.db)
    }

    /// Pools and queues.
    pub fn slots(&self) -> Slots<'_> {
        Slots(&self.0.db)
    }

    /// Executions.
    pub fn executions(&self) -> Executions<'_> {
        Executions(&self.0.db)
    }

    /// Executions counted.
    pub fn statistics(&self) -> Statistics<'_> {
        Statistics(&self.0.db)
    }

    /// The activity stream.
    pub fn activities(&self) -> Activities<'_> {
        Activities(&self.0.db)
    }

    /// Who may call whom.
    pub fn permissions(&self) -> Permissions<'_> {
        Permissions(&self.0.db)
    }

    /// Users and keys.
    pub fn accounts(&self) -> Accounts<'_> {
        Accounts(&self.0.db)
    }

    /// How much room the database takes, in bytes: on Postgres the one that holds everything, on
    /// SQLite the file of the read models.
    pub async fn database_bytes(&self) -> Result<u64, db::Error> {
        self.0.db.size_bytes().await
    }

    /// The fleet as it was at a position up to the head, folded within `wait` or not.
    pub async fn past(&self, position: i64, wait: Duration) -> Result<Arc<Past>, PastError> {
        self.0.pasts.at(&self.0.log, position, wait).await
    }

    /// The activity stream as it was at a position that the read model has reached.
    pub fn activities_at(&self, position: i64) -> PastActivities<'_> {
        PastActivities { live: self.activities(), log: &self.0.log, position }
    }

    /// The position up to which all of these read models have got; of every one, when none is named.
    ///
    /// Rows read afterwards hold at least what happened until then.
    pub fn position(&self, names: &[&str]) -> i64 {
        let of = |(_, model): (_, &Model)| model.standing.borrow().position;
        self.named(names).map(of).min().unwrap_or_default()
    }

    /// Waits until these read models have got to a position; for every one, when none is named.
    pub async fn wait_for(
        &self,
        names: &[&str],
        position: i64,
        timeout: Duration,
    ) -> Result<(), Lag> {
        let deadline = tokio::time::Instant::now() + timeout;
        for (projection, model) in self.named(names) {
            let mut standing = model.standing.clone();
            let there = standing
                .wait_for(|standing| standing.position >= position || standing.stands_still());
            let waited = tokio::time::timeout_at(deadline, there).await;
            let reached = match waited {
                Ok(Ok(standing)) => standing.position,
                Ok(Err(_)) | Err(_) => model.standing.borrow().position,
            };
            if reached < position {
                return Err(Lag { projection, wanted: position, reached });
            }
        }
        Ok(())
    }

    /// Where every read model stands, by name.
    pub fn health(&self) -> BTreeMap<&'static str, ProjectionHealth> {
        let head = self.0.log.head();
        let of = |(name, model): (&&'static str, &Model)| {
            let standing = model.standing.borrow().clone();
            let degraded = standing.stands_still();
            let error = standing.stopped.map(|stopped| {
                let event = stopped.event_type.unwrap_or("an unreadable event");
                format!("{event} at position {}: {}", stopped.position, stopped.reason)
            });
            let health = ProjectionHealth {
                position: standing.position,
                lag: (head - standing.position).max(0),
                degraded,
                error,
                rebuilding: standing.rebuilding,
            };
            (*name, health)
        };
        self.0.models.iter().map(of).collect()
    }

    /// Begins to build a read model again from the first event, beside the live one.
    pub async fn rebuild(&self, name: &str) -> Result<(), RebuildError> {
        let model = self.model(name)?;
        // `false` says that another node has just begun the same.
        builds::begin_rebuild(&self.0.db, &*model.projection).await?;
        model.bell.notify_one();
        Ok(())
    }

    /// Waits until a rebuild that has begun is swapped in; gives the position up to which it goes.
    pub async fn rebuilt(&self, name: &str) -> Result<i64, RebuildError> {
        let model = self.model(name)?;
        let mut standing = model.standing.clone();
        loop {
            // Marked as seen before the cursors are read: what changes in between is looked at again.
            let seen = standing.borrow_and_update().stopped.clone();
            let cursors = builds::cursors(&self.0.db, &*model.projection).await?;
            let Some(rebuild) = cursors.rebuild else { return Ok(cursors.live.position) };
            let here = |stopped: &Stopped| stopped.in_rebuild == Some(rebuild.generation);
            if let Some(stopped) = seen.filter(here) {
                let (position, reason) = (stopped.position, stopped.reason);
                return Err(RebuildError::Stopped { position, reason });
            }
            standing.changed().await.map_err(|_| RebuildError::ShuttingDown)?;
        }
    }

    fn model(&self, name: &str) -> Result<&Model, RebuildError> {
        self.0.models.get(name).ok_or_else(|| RebuildError::Unknown {
            name: name.to_owned(),
            known: self.0.models.keys().copied().collect(),
        })
    }

    fn named(&self, names: &[&str]) -> impl Iterator<Item = (&'static str, &Model)> {
        let chosen = move |name: &str| names.is_empty() || names.contains(&name);
        let models = self.0.models.iter().filter(move |(name, _)| chosen(name));
        models.map(|(name, model)| (*name, model)).collect::<Vec<_>>().into_iter()
    }
}

impl fmt::Debug for Views {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Views").field("health", &self.health()).finish_non_exhaustive()
    }
}
