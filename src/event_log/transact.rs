//! Commands: load, decide, append, and again on fresh state when another writer came first.

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use super::append::{Append, AppendError};
use super::error::{ExecuteError, Invalid, Unavailable};
use super::feed::Placed;
use super::kind::Versioned;
use super::plan::{Decided, Decision, Plan, Planned, Role};
use super::snapshots::{self, KeptState, SNAPSHOT_BYTES_MAX};
use super::{EventLog, LogError};
use crate::domain::{Decider, Metadata, Recorded, StreamId};

/// How often a command is decided again before it gives up.
pub const RETRIES_MAX: u32 = 8;
/// The first pause before another attempt is drawn from 0 up to this, and doubles.
const BACKOFF_MS: u64 = 2;
/// The longest pause before another attempt.
const BACKOFF_MS_MAX: u64 = 200;

/// What a command has done.
#[derive(Debug, Clone, PartialEq)]
pub struct Receipt {
    /// The position of the last event written; for a no-op the end of the log it was decided at.
    pub position: i64,
    /// The version of the stream (of the first one planned) after the command.
    pub version: i64,
    /// The events written, in order; empty for a no-op.
    pub events: Vec<Arc<Recorded>>,
}

impl EventLog {
    /// Carries out a command on one aggregate.
    ///
    /// It runs in a task of its own: a caller that goes away does not cancel it. A refusal and a
    /// no-op are confirmed on fresh state.
    ///
    /// # Errors
    /// See [`ExecuteError`].
    pub async fn execute<A>(
        &self,
        id: impl Display,
        command: A::Command,
        metadata: Metadata,
    ) -> Result<Receipt, ExecuteError<A::Error>>
    where
        A: Decider,
        A::Command: Clone + Send + Sync + 'static,
        A::Error: Send + 'static,
    {
        let id = id.to_string();
        self.execute_planned::<A>(Plan::new().stream::<A>(&id), id, command, metadata).await
    }

    /// Carries out a command that begins a stream whose id was just made: as
    /// [`EventLog::execute`], without reading the stream first ([`Plan::create`]).
    ///
    /// # Errors
    /// See [`ExecuteError`].
    pub async fn create<A>(
        &self,
        id: impl Display,
        command: A::Command,
        metadata: Metadata,
    ) -> Result<Receipt, ExecuteError<A::Error>>
    where
        A: Decider,
        A::Command: Clone + Send + Sync + 'static,
        A::Error: Send + 'static,
    {
        let id = id.to_string();
        self.execute_planned::<A>(Plan::new().create::<A>(&id), id, command, metadata).await
    }

    async fn execute_planned<A>(
        &self,
        plan: Plan,
        id: String,
        command: A::Command,
        metadata: Metadata,
    ) -> Result<Receipt, ExecuteError<A::Error>>
    where
        A: Decider,
        A::Command: Clone + Send + Sync + 'static,
        A::Error: Send + 'static,
    {
        let decide = move |decision: &mut Decision<'_>| decision.decide::<A>(&id, command.clone());
        let ((), receipt) = self.transact(plan, metadata, decide).await?;
        Ok(receipt)
    }

    /// Decides over several streams and appends the events in one piece.
    ///
    /// `decide` may be called again, on fresh state: it must depend on nothing else. When it answers
    /// with an error, nothing is written, whatever was decided before. A planned stream on which
    /// nothing is decided must still be at its version when the others are written, as a guard must.
    ///
    /// # Errors
    /// See [`ExecuteError`].
    pub async fn transact<R, E>(
        &self,
        plan: Plan,
        metadata: Metadata,
        decide: impl Fn(&mut Decision<'_>) -> Result<R, E> + Send + Sync + 'static,
    ) -> Result<(R, Receipt), ExecuteError<E>>
    where
        R: Send + 'static,
        E: Send + 'static,
    {
        plan.validate()?;
        let log = self.clone();
        let task =
            tokio::spawn(async move { log.decide_and_append(&plan, &metadata, decide).await });
        task.await.unwrap_or_else(|error| {
            // The runtime is shutting down, or the decision panicked.
            Err(ExecuteError::Unavailable(Unavailable::new(error)))
        })
    }

    async fn decide_and_append<R, E>(
        &self,
        plan: &Plan,
        metadata: &Metadata,
        decide: impl Fn(&mut Decision<'_>) -> Result<R, E>,
    ) -> Result<(R, Receipt), ExecuteError<E>> {
        let writable = plan.entries.iter().filter(|entry| entry.role != Role::Guard);
        let _held = self.0.locks.acquire(writable.map(|entry| entry.stream.clone())).await;
        for attempt in 0..=RETRIES_MAX {
            if attempt > 0 {
                metrics::counter!("trinity_log_retries_total").increment(1);
                back_off(attempt).await;
            }
            let bases = self.bases(plan, attempt).await?;
            let (verdict, decided) = decide_once(plan, &bases, &decide)?;
            let result = match verdict {
                Ok(result) if !decided.events.is_empty() => result,
                verdict => match self.confirm(plan, &bases).await? {
                    Some(receipt) => {
                        let result = verdict.map_err(ExecuteError::Refused)?;
                        return Ok((result, receipt));
                    }
                    None => continue,
                },
            };
            drop(bases);
            let append = Append::new(decided.checks, decided.events, metadata.clone(), metadata)?;
            let base_version = append.checks.first().map_or(0, |check| check.version);
            match self.0.queue.append(append).await {
                Ok(placed) => return Ok((result, self.settle(plan, base_version, &placed))),
                Err(error) => {
                    plan.entries.iter().for_each(|entry| self.0.cache.evict(&entry.stream));
                    match error {
                        AppendError::Conflict => {}
                        AppendError::Unavailable(error) => {
                            return Err(ExecuteError::Unavailable(error));
                        }
                        AppendError::Invalid(error) => return Err(error.into()),
                    }
                }
            }
        }
        Err(ExecuteError::Conflict)
    }

    async fn bases(&self, plan: &Plan, attempt: u32) -> Result<Vec<Versioned>, LogError> {
        let mut bases = Vec::with_capacity(plan.entries.len());
        for Planned { stream, kind, role } in &plan.entries {
            if let Some(cached) = self.0.cache.get(stream) {
                bases.push(cached);
                continue;
            }
            let (base, checked) = match role {
                // That the stream is empty is a guess until it is written.
                Role::New if attempt == 0 => (Versioned::empty(*kind), 0),
                _ => {
                    let head = self.head();
                    (self.0.store.load(stream, *kind).await?, head)
                }
            };
            self.0.cache.insert(stream, &base, checked);
            bases.push(base);
        }
        Ok(bases)
    }

    /// The receipt of a decision that writes nothing, if what it read is the newest there is.
    async fn confirm(&self, plan: &Plan, bases: &[Versioned]) -> Result<Option<Receipt>, LogError> {
        let streams: Vec<StreamId> =
            plan.entries.iter().map(|entry| entry.stream.clone()).collect();
        let standing = self.0.store.standing(streams).await?;
        let mut fresh = true;
        for ((entry, base), version) in plan.entries.iter().zip(bases).zip(standing.versions) {
            if base.version != version {
                self.0.cache.evict(&entry.stream);
                fresh = false;
            }
        }
        let version = bases.first().map_or(0, |base| base.version);
        Ok(fresh.then_some(Receipt { position: standing.head, version, events: Vec::new() }))
    }

    /// Moves the cached states by what was committed.
    fn settle(&self, plan: &Plan, base_version: i64, placed: &[Placed]) -> Receipt {
        for entry in &plan.entries {
            let own: Vec<&Placed> =
                placed.iter().filter(|placed| placed.recorded.stream == entry.stream).collect();
            let Some(last) = own.last() else { continue };
            let version = last.recorded.version;
            let before = version - i64::try_from(own.len()).unwrap_or(version);
            let moved = self.0.cache.advance(&entry.stream, &own);
            if snapshots::is_due(before, version)
                && let Some(moved) = moved
            {
                self.keep_state(&entry.stream, &moved);
            }
        }
        let first = plan.entries.first().map(|entry| &entry.stream);
        let last = placed.iter().rfind(|placed| Some(&placed.recorded.stream) == first);
        Receipt {
            position: placed.last().map_or(0, Placed::position),
            version: last.map_or(base_version, |placed| placed.recorded.version),
            events: placed.iter().map(|placed| Arc::clone(&placed.recorded)).collect(),
        }
    }

    fn keep_state(&self, stream: &StreamId, versioned: &Versioned) {
        match versioned.state.to_json() {
            Ok(json) if json.len() <= SNAPSHOT_BYTES_MAX => self.0.queue.keep_state(KeptState {
                stream: stream.clone(),
                version: versioned.version,
                position: versioned.position,
                json,
            }),
            Ok(_) => {}
            Err(error) => tracing::warn!(%stream, %error, "an aggregate's state is not JSON"),
        }
    }
}

/// Apart from the async caller, because a working copy never crosses an await.
fn decide_once<R, E>(
    plan: &Plan,
    bases: &[Versioned],
    decide: impl Fn(&mut Decision<'_>) -> Result<R, E>,
) -> Result<(Result<R, E>, Decided), Invalid> {
    let mut decision = Decision::new(plan, bases);
    let verdict = decide(&mut decision);
    Ok((verdict, decision.into_parts()?))
}

/// Full jitter: writers that met once should not meet again.
async fn back_off(attempt: u32) {
    let ceiling_ms = (BACKOFF_MS << attempt.min(16)).min(BACKOFF_MS_MAX);
    tokio::time::sleep(Duration::from_millis(rand::random_range(0..=ceiling_ms))).await;
}
