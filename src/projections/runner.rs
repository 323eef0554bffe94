//! The catch-up loop: one task per read model, so that none waits for another.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::builds::{self, Cursor, Cursors};
use super::{Build, FoldError, Projection};
use crate::db::{self, Db};
use crate::domain::agent::AgentEvent;
use crate::domain::execution::ExecutionEvent;
use crate::domain::{Event, Recorded};
use crate::event_log::{EventLog, LogError};

/// The most events that one transaction folds.
pub const BATCH_EVENTS_MAX: usize = 10_000;
/// How many bytes of text a batch may hold before nothing is added to it.
pub const BATCH_BYTES_MAX: usize = 32 << 20;
/// How many events are read at once, each of which may be as large as an event can be.
const PAGE_EVENTS: usize = 100;
/// The shortest pause between a batch that took all there was and the next: what happens meanwhile
/// shares one transaction.
const PACE_MIN: Duration = Duration::from_millis(10);
/// The longest such pause.
const PACE_MAX: Duration = Duration::from_millis(200);
/// The pause in durations of the batch before it: the busier the machine, the fewer and the
/// larger the batches, so that read models leave it to those who write.
const PACE_BATCHES: u32 = 2;
/// How often an event is tried before its read model stops.
pub const ATTEMPTS_MAX: u32 = 5;
/// The first pause after a failure, in milliseconds; each further one is twice as long.
const BACKOFF_MS_MIN: u64 = 50;
/// The longest pause after a failure, in milliseconds.
const BACKOFF_MS_MAX: u64 = 5_000;

/// Where a read model stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// The position of the last event folded in.
    pub position: i64,
    /// Why it stands still, if it does.
    pub stopped: Option<Stopped>,
    /// How far the tables have got that are built beside the live ones, if any are.
    pub rebuilding: Option<i64>,
}

impl Standing {
    /// Whether the tables that queries read do not follow the log any more.
    pub fn stands_still(&self) -> bool {
        self.stopped.as_ref().is_some_and(|stopped| stopped.in_rebuild.is_none())
    }
}

/// What made a read model stop: an event that failed at every attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stopped {
    /// Where the event stands in the log.
    pub position: i64,
    /// What it is called; none when it cannot be read.
    pub event_type: Option<&'static str>,
    /// What is wrong with it.
    pub reason: String,
    /// The generation of the tables beside the live ones, when it was met while building those.
    pub in_rebuild: Option<i64>,
}

/// A failed step.
enum Failure {
    /// It may succeed later without anyone doing anything.
    Passing(String),
    /// An event is at fault.
    Event(Stopped),
}

/// What a step has done.
#[derive(PartialEq, Eq)]
enum Step {
    /// Folded, or moved by another node; more may be there.
    Moved,
    /// Folded all there was.
    Folded,
    /// Found nothing to fold.
    CaughtUp,
}

/// Events to fold at once.
struct Batch {
    events: Vec<Arc<Recorded>>,
    /// Whether there were no more.
    is_all: bool,
}

/// One read model with everything its loop needs.
pub(super) struct Runner {
    pub(super) projection: Arc<dyn Projection>,
    pub(super) log: EventLog,
    pub(super) db: Db,
    pub(super) standing: watch::Sender<Standing>,
    /// Rung when somebody asked for a rebuild.
    pub(super) bell: Arc<Notify>,
    /// The generation of a rebuild that met an event which cannot be folded.
    pub(super) given_up: Option<i64>,
}

impl Runner {
    /// Follows the log until it is dropped.
    pub(super) async fn run(mut self) {
        let mut head = self.log.watch_head();
        let (mut attempts, mut pauses) = (0, 0);
        let mut failing_at = None;
        loop {
            head.mark_unchanged();
            let began = Instant::now();
            match self.step().await {
                Ok(Step::Moved) => (attempts, pauses) = (0, 0),
                Ok(Step::Folded) => {
                    (attempts, pauses) = (0, 0);
                    let pace = (began.elapsed() * PACE_BATCHES).clamp(PACE_MIN, PACE_MAX);
                    tokio::time::sleep(pace).await;
                }
                Ok(Step::CaughtUp) => {
                    (attempts, pauses) = (0, 0);
                    tokio::select! {
                        changed = head.changed() => if changed.is_err() { return },
                        () = self.bell.notified() => {}
                    }
                }
                Err(Failure::Passing(error)) => {
                    pauses += 1;
                    if pauses == 1 {
                        tracing::warn!(projection = self.name(), error, "a read model waits");
                    }
                    pause(pauses).await;
                }
                Err(Failure::Event(stopped)) => {
                    let at = (stopped.position, stopped.in_rebuild);
                    attempts = if failing_at == Some(at) { attempts + 1 } else { 1 };
                    failing_at = Some(at);
                    if attempts < ATTEMPTS_MAX {
                        pause(attempts).await;
                    } else {
                        attempts = 0;
                        self.stop(stopped, &mut head).await;
                    }
                }
            }
        }
    }

    fn name(&self) -> &'static str {
        self.projection.name()
    }

    /// Says what is wrong, and leaves the build alone that it happened in.
    async fn stop(&mut self, stopped: Stopped, head: &mut watch::Receiver<i64>) {
        let Stopped { position, event_type, reason, in_rebuild } = stopped.clone();
        tracing::error!(
            projection = self.name(),
            position,
            event_type,
            reason,
            in_rebuild = in_rebuild.is_some(),
            "a read model stops at an event; rebuild it once that is mended"
        );
        self.standing.send_modify(|standing| standing.stopped = Some(stopped));
        if in_rebuild.is_some() {
            self.given_up = in_rebuild;
            return;
        }
        let Ok(seen) = builds::cursors(&self.db, &*self.projection).await else { return };
        // Somebody asks for a rebuild, or another node has got past the event.
        loop {
            tokio::select! {
                () = self.bell.notified() => return,
                changed = head.changed() => if changed.is_err() { return },
            }
            let now = builds::cursors(&self.db, &*self.projection).await;
            if now.is_ok_and(|now| now != seen) {
                return;
            }
        }
    }

    /// Folds a batch into the live tables, and one into those beside them.
    async fn step(&self) -> Result<Step, Failure> {
        let projection = &*self.projection;
        let cursors = builds::cursors(&self.db, projection).await?;
        self.publish(cursors);
        if self.is_beyond_head(cursors).await? {
            tracing::warn!(projection = self.name(), "it has seen more than there is; built again");
            builds::reset(&self.db, projection, cursors).await?;
            return Ok(Step::Moved);
        }
        let tried = |cursor: &Cursor| Some(cursor.generation) != self.given_up;
        let Some(rebuilt) = cursors.rebuild.filter(tried) else {
            let step = self.advance(Build::Live, cursors.live).await?;
            if step == Step::CaughtUp {
                builds::drop_earlier(&self.db, projection).await?;
                self.go_on(Build::Live);
            }
            return Ok(step);
        };
        self.go_on(Build::Rebuild);
        let rebuild = self.advance(Build::Rebuild, rebuilt).await?;
        if rebuild == Step::CaughtUp && rebuilt.position >= cursors.live.position {
            builds::swap(&self.db, projection, cursors.live, rebuilt).await?;
            return Ok(Step::Moved);
        }
        // The live tables go on meanwhile, unless they are why others are built.
        match self.advance(Build::Live, cursors.live).await {
            Err(Failure::Event(_)) => Ok(Step::Moved),
            // What another node has folded into the live ones is still on its way here.
            Ok(Step::CaughtUp) if rebuild == Step::CaughtUp => Ok(Step::Folded),
            step => step.map(|_| Step::Moved),
        }
    }

    /// Takes back what was said about a build that has got past its trouble.
    fn go_on(&self, build: Build) {
        self.standing.send_if_modified(|standing| {
            let past =
                |stopped: &mut Stopped| stopped.in_rebuild.is_some() == (build == Build::Rebuild);
            standing.stopped.take_if(past).is_some()
        });
    }

    fn publish(&self, cursors: Cursors) {
        let rebuilding = cursors.rebuild.map(|cursor| cursor.position);
        let position = cursors.live.position;
        self.standing.send_if_modified(|standing| {
            let changed = (standing.position, standing.rebuilding) != (position, rebuilding);
            (standing.position, standing.rebuilding) = (position, rebuilding);
            changed
        });
    }

    /// Whether the rows speak of events that this log does not have: a backup was restored.
    async fn is_beyond_head(&self, cursors: Cursors) -> Result<bool, Failure> {
        let beyond = self.log.is_beyond_head(cursors.live.position).await;
        beyond.map_err(|error| failure(None, &error))
    }

    async fn advance(&self, build: Build, cursor: Cursor) -> Result<Step, Failure> {
        let batch = self.batch(cursor.position).await;
        let Batch { events, is_all } =
            batch.map_err(|error| failure(rebuild_of(build, cursor), &error))?;
        if events.is_empty() {
            return Ok(Step::CaughtUp);
        }
        match self.write(build, cursor, &events).await {
            Ok(true) if is_all => Ok(Step::Folded),
            Ok(_) => Ok(Step::Moved),
            Err(FoldError::Db(db::Error::Unavailable(reason))) => Err(Failure::Passing(reason)),
            Err(error) if events.len() > 1 => {
                tracing::debug!(projection = self.name(), %error, "one event at a time");
                self.one_at_a_time(build, cursor, &events).await
            }
            Err(error) => self.blame(build, cursor, &events[0], &error).await,
        }
    }

    /// The next events, as many as one transaction folds; an error only when there are none before it.
    async fn batch(&self, after: i64) -> Result<Batch, LogError> {
        let (mut events, mut bytes, mut is_all) = (Vec::new(), 0, false);
        while events.len() < BATCH_EVENTS_MAX && bytes < BATCH_BYTES_MAX {
            let position = after + i64::try_from(events.len()).unwrap_or(i64::MAX);
            let page = match self.log.after(position, PAGE_EVENTS).await {
                Err(LogError::Unreadable { position: at, .. }) if at > position + 1 => {
                    let readable = usize::try_from(at - position - 1).unwrap_or(PAGE_EVENTS);
                    self.log.after(position, readable.min(PAGE_EVENTS)).await
                }
                Err(_) if !events.is_empty() => break,
                page => page,
            };
            let page = page?;
            is_all = page.len() < PAGE_EVENTS;
            bytes += page.iter().map(|event| text_bytes(&event.event)).sum::<usize>();
            events.extend(page);
            if is_all {
                break;
            }
        }
        Ok(Batch { events, is_all })
    }

    /// Folds event by event, so that the one at fault is known and all before it are kept.
    async fn one_at_a_time(
        &self,
        build: Build,
        mut cursor: Cursor,
        events: &[Arc<Recorded>],
    ) -> Result<Step, Failure> {
        for event in events {
            match self.write(build, cursor, std::slice::from_ref(event)).await {
                Ok(_) => cursor.position = event.position,
                Err(error) => return self.blame(build, cursor, event, &error).await,
            }
        }
        Ok(Step::Moved)
    }

    /// Says that an event is at fault, unless the rows were moved on by another node meanwhile, so
    /// that the batch was folded on rows that were already beyond it.
    async fn blame(
        &self,
        build: Build,
        seen: Cursor,
        event: &Recorded,
        error: &FoldError,
    ) -> Result<Step, Failure> {
        if let FoldError::Db(db::Error::Unavailable(reason)) = error {
            return Err(Failure::Passing(reason.clone()));
        }
        let cursors = builds::cursors(&self.db, &*self.projection).await?;
        let now = if build == Build::Live { Some(cursors.live) } else { cursors.rebuild };
        if now != Some(seen) {
            return Ok(Step::Moved);
        }
        Err(Failure::Event(Stopped {
            position: event.position,
            event_type: Some(event.event.name()),
            reason: chain(error),
            in_rebuild: rebuild_of(build, seen),
        }))
    }

    /// Folds events and writes their rows with the cursor; `false` and nothing, when another node has
    /// done so.
    async fn write(
        &self,
        build: Build,
        cursor: Cursor,
        events: &[Arc<Recorded>],
    ) -> Result<bool, FoldError> {
        let Some(last) = events.last() else { return Ok(false) };
        let fold = AssertUnwindSafe(self.projection.fold(&self.db, build, events));
        let rows = fold.catch_unwind().await.unwrap_or_else(|_| {
            Err(FoldError::Event { position: last.position, reason: "the fold panicked".into() })
        })?;
        let projection = &*self.projection;
        let moved =
            builds::advance(&self.db, projection, build, cursor, last.position, rows).await?;
        if moved {
            // Those who wait for their own writes need not wait for the next step.
            self.standing.send_modify(|standing| match build {
                Build::Live => standing.position = last.position,
                Build::Rebuild => standing.rebuilding = Some(last.position),
            });
        }
        Ok(moved)
    }
}

impl From<db::Error> for Failure {
    fn from(error: db::Error) -> Self {
        Self::Passing(chain(&error))
    }
}

/// The long texts that an event may hold, in bytes; what else there is in it is small.
fn text_bytes(event: &Event) -> usize {
    match event {
        Event::Execution(ExecutionEvent::ExecutionRequested(request)) => {
            request.message.len() + request.system_prompt.as_ref().map_or(0, String::len)
        }
        Event::Execution(
            ExecutionEvent::ExecutionCompleted { outcome }
            | ExecutionEvent::ExecutionFailed { outcome, .. }
            | ExecutionEvent::ExecutionCancelled { outcome, .. },
        ) => outcome.response.as_ref().map_or(0, String::len),
        Event::Agent(AgentEvent::AgentCreated { config, .. }) => {
            config.custom_instructions.as_ref().map_or(0, String::len)
        }
        Event::Execution(_) | Event::Agent(_) | Event::Slots(_) | Event::Account(_) => 0,
    }
}

/// The generation, when the build is one beside the live tables.
fn rebuild_of(build: Build, cursor: Cursor) -> Option<i64> {
    (build == Build::Rebuild).then_some(cursor.generation)
}

fn failure(in_rebuild: Option<i64>, error: &LogError) -> Failure {
    let stopped = |position, reason| {
        Failure::Event(Stopped { position, event_type: None, reason, in_rebuild })
    };
    match error {
        LogError::Unreadable { position, .. } => stopped(*position, error.to_string()),
        LogError::Hole { expected } => stopped(*expected, error.to_string()),
        LogError::Unavailable(_) | LogError::BeyondHead { .. } => {
            Failure::Passing(error.to_string())
        }
    }
}

async fn pause(attempts: u32) {
    let backoff_ms = BACKOFF_MS_MIN << attempts.saturating_sub(1).min(16);
    tokio::time::sleep(Duration::from_millis(backoff_ms.min(BACKOFF_MS_MAX))).await;
}

/// The error with its sources, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        line = format!("{line}: {cause}");
        source = cause.source();
    }
    line
}
