//! The past: what the read models showed at an earlier position, folded again in memory.
//!
//! The folds are those of the read models themselves, and so are the queries: only the tables are
//! others, in a database in memory that nothing else sees. Nothing is stored.
//!
//! What a question costs is bounded like this. The fold of the fleet reads the events of agents,
//! slots and accounts alone, [`FOLD_SPAN_POSITIONS`] positions at a time, and holds the state of one
//! moment and no history. [`FOLDS_MAX`] run at once and [`PASTS_MAX`] are kept, so that the next
//! question about the same moment costs nothing, and one about a later moment goes on from there. A
//! fold that takes longer than its request has time goes on without it; whoever asks again finds it
//! further. Activities are folded from the streams of the executions that a page is about.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use super::accounts::AccountsProjection;
use super::agents::{Agents, AgentsProjection};
use super::executions::ExecutionsProjection;
use super::permissions::{Permissions, PermissionsProjection};
use super::slots::{Slots, SlotsProjection};
use super::{Build, FoldError, Projection, builds};
use crate::db::{self, Db};
use crate::domain::{IncarnationId, Recorded, StreamId, StreamType};
use crate::event_log::{EventLog, LogError};

/// How many positions of the log one step of a fold covers.
pub const FOLD_SPAN_POSITIONS: i64 = 4_096;
/// How many moments are kept in memory; the one asked for longest ago goes first.
pub const PASTS_MAX: usize = 8;
/// How many folds run at once.
pub const FOLDS_MAX: usize = 2;
/// How many events of a stream are read at once.
const STREAM_PAGE_EVENTS: usize = 500;

/// The streams that the state of the fleet is made of.
const FLEET_STREAMS: [StreamType; 3] = [StreamType::Agent, StreamType::Slots, StreamType::Account];

/// The read models of the fleet, beside which stand the executions that hold or await slots.
fn fleet() -> [&'static dyn Projection; 4] {
    [&AgentsProjection, &SlotsProjection, &AccountsProjection, &PermissionsProjection]
}

/// Why the past cannot be shown.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PastError {
    /// It takes longer than there was time; asked again, it is further.
    #[error("the state at position {wanted} is being folded and has got to {reached}; ask again")]
    Folding {
        /// The position asked for.
        wanted: i64,
        /// How far the fold is.
        reached: i64,
    },
    /// As many folds run as may.
    #[error("{FOLDS_MAX} other moments are being folded; ask again in a moment")]
    Busy,
    /// The log or the memory is not available.
    #[error("{0}")]
    Unavailable(String),
    /// An event is damaged, or makes no sense to a read model.
    #[error("{0}")]
    Damaged(String),
}

impl From<LogError> for PastError {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Unavailable(error) => Self::Unavailable(error.to_string()),
            error => Self::Damaged(error.to_string()),
        }
    }
}

impl From<FoldError> for PastError {
    fn from(error: FoldError) -> Self {
        match error {
            FoldError::Db(error) => error.into(),
            FoldError::Event { position, reason } => {
                Self::Damaged(format!("position {position}: {reason}"))
            }
        }
    }
}

impl From<db::Error> for PastError {
    fn from(error: db::Error) -> Self {
        Self::Unavailable(error.to_string())
    }
}

/// Tables of some read models in memory.
#[derive(Debug)]
pub(super) struct Folded {
    pub(super) db: Db,
}

impl Folded {
    /// The empty tables of these read models.
    pub(super) async fn empty(projections: &[&dyn Projection]) -> Result<Self, PastError> {
        let folded = Self { db: Db::open_memory()? };
        folded.make(projections).await?;
        Ok(folded)
    }

    /// Empties the tables of these read models, or makes them.
    async fn make(&self, projections: &[&dyn Projection]) -> Result<(), PastError> {
        for projection in projections {
            let statements = builds::create_tables(&self.db, *projection, Build::Live, 0);
            self.db.transaction(statements).await?;
        }
        Ok(())
    }

    /// Folds events in the order of their positions.
    pub(super) async fn fold(
        &self,
        projections: &[&dyn Projection],
        events: &[Arc<Recorded>],
    ) -> Result<(), PastError> {
        if events.is_empty() {
            return Ok(());
        }
        for projection in projections {
            let statements = projection.fold(&self.db, Build::Live, events).await?;
            self.db.transaction(statements).await?;
        }
        Ok(())
    }
}

/// The events of a stream up to a position.
pub(super) async fn stream_until(
    log: &EventLog,
    stream: &StreamId,
    position: i64,
) -> Result<Vec<Arc<Recorded>>, LogError> {
    let mut events: Vec<Arc<Recorded>> = Vec::new();
    loop {
        let version = events.last().map_or(0, |last| last.version);
        let page = log.stream(stream, version, STREAM_PAGE_EVENTS).await?;
        let (before, is_last) = (events.len(), page.len() < STREAM_PAGE_EVENTS);
        events.extend(page.into_iter().take_while(|event| event.position <= position));
        if is_last || events.len() < before + STREAM_PAGE_EVENTS {
            return Ok(events);
        }
    }
}

/// The fleet as it was at a position: agents, slots, accounts, permissions.
#[derive(Debug)]
pub struct Past {
    log: EventLog,
    folded: Folded,
    position: i64,
    /// Held while the executions are read that a pool speaks of.
    reading: tokio::sync::Mutex<()>,
}

impl Past {
    /// Folds the log up to a position, from an earlier moment if there is one.
    async fn fold(
        log: EventLog,
        earlier: Option<Arc<Self>>,
        position: i64,
        progress: &watch::Sender<Progress>,
    ) -> Result<Self, PastError> {
        let (folded, mut reached) = match earlier {
            Some(earlier) => {
                let db = earlier.folded.db.copy_in_memory().await?;
                (Folded { db }, earlier.position)
            }
            None => (Folded::empty(&fleet()).await?, 0),
        };
        folded.make(&[&ExecutionsProjection]).await?;
        while reached < position {
            let until = position.min(reached + FOLD_SPAN_POSITIONS);
            let events = log.of_types(&FLEET_STREAMS, reached, until).await?;
            folded.fold(&fleet(), &events).await?;
            reached = until;
            progress.send_replace(Progress::At(reached));
        }
        Ok(Self { log, folded, position, reading: tokio::sync::Mutex::default() })
    }

    /// The position whose state this is.
    pub fn position(&self) -> i64 {
        self.position
    }

    /// Agents as they were.
    pub fn agents(&self) -> Agents<'_> {
        Agents(&self.folded.db)
    }

    /// Who might call whom.
    pub fn permissions(&self) -> Permissions<'_> {
        Permissions(&self.folded.db)
    }

    /// How full agents were.
    pub fn slots(&self) -> Slots<'_> {
        Slots(&self.folded.db)
    }

    /// The slots of one life, with the executions in them: those streams are folded now, of which
    /// there are as many as hold or await a slot.
    pub async fn slots_of(&self, incarnation: IncarnationId) -> Result<Slots<'_>, PastError> {
        let _one_reader = self.reading.lock().await;
        let mut events = Vec::new();
        for id in self.slots().without_execution(incarnation).await? {
            let stream = StreamId { kind: StreamType::Execution, id: id.to_string() };
            events.extend(stream_until(&self.log, &stream, self.position).await?);
        }
        events.sort_by_key(|event| event.position);
        self.folded.fold(&[&ExecutionsProjection], &events).await?;
        Ok(self.slots())
    }
}

/// How far a fold is.
#[derive(Debug, Clone)]
enum Progress {
    At(i64),
    Done(Arc<Past>),
    Failed(PastError),
}

#[derive(Debug)]
struct Kept {
    position: i64,
    progress: watch::Receiver<Progress>,
    _task: AbortOnDropHandle<()>,
}

impl Kept {
    fn past(&self) -> Option<Arc<Past>> {
        match &*self.progress.borrow() {
            Progress::Done(past) => Some(Arc::clone(past)),
            Progress::At(_) | Progress::Failed(_) => None,
        }
    }

    fn is_folding(&self) -> bool {
        matches!(&*self.progress.borrow(), Progress::At(_))
    }
}

/// The moments that somebody has asked for, the latest question first.
#[derive(Debug, Default)]
pub(super) struct Pasts(Mutex<VecDeque<Kept>>);

impl Pasts {
    /// The fleet as it was at a position up to the head.
    ///
    /// # Errors
    /// [`PastError::Folding`] when it takes longer than `wait`.
    pub(super) async fn at(
        &self,
        log: &EventLog,
        position: i64,
        wait: Duration,
    ) -> Result<Arc<Past>, PastError> {
        let mut progress = self.begin(log, position)?;
        let is_over = |progress: &Progress| !matches!(progress, Progress::At(_));
        let waited = tokio::time::timeout(wait, progress.wait_for(is_over)).await;
        let is_given_up = matches!(waited, Ok(Err(_)));
        drop(waited);
        let reached = progress.borrow().clone();
        match reached {
            Progress::At(_) if is_given_up => {
                Err(PastError::Unavailable("the fold was given up".to_owned()))
            }
            Progress::Done(past) => Ok(past),
            Progress::At(reached) => Err(PastError::Folding { wanted: position, reached }),
            Progress::Failed(error) => {
                self.lock().retain(|kept| kept.position != position);
                Err(error)
            }
        }
    }

    /// Begins the fold, unless it runs or is kept.
    fn begin(&self, log: &EventLog, position: i64) -> Result<watch::Receiver<Progress>, PastError> {
        let mut all = self.lock();
        if let Some(index) = all.iter().position(|kept| kept.position == position)
            && let Some(kept) = all.remove(index)
        {
            let progress = kept.progress.clone();
            all.push_front(kept);
            return Ok(progress);
        }
        if all.iter().filter(|kept| kept.is_folding()).count() >= FOLDS_MAX {
            return Err(PastError::Busy);
        }
        let earlier = all.iter().filter(|kept| kept.position <= position);
        let earlier = earlier.filter_map(Kept::past).max_by_key(|past| past.position);
        let (sender, progress) = watch::channel(Progress::At(0));
        let log = log.clone();
        let task = tokio::spawn(async move {
            let over = match Past::fold(log, earlier, position, &sender).await {
                Ok(past) => Progress::Done(Arc::new(past)),
                Err(error) => Progress::Failed(error),
            };
            sender.send_replace(over);
        });
        let told = progress.clone();
        all.push_front(Kept { position, progress, _task: AbortOnDropHandle::new(task) });
        while all.len() > PASTS_MAX {
            let Some(index) = all.iter().rposition(|kept| !kept.is_folding()) else { break };
            all.remove(index);
        }
        Ok(told)
    }

    /// Nothing panics while the lock is held, so a poisoned one is as good as any.
    fn lock(&self) -> MutexGuard<'_, VecDeque<Kept>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
