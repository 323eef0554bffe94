//! The slots of one agent: the pool and the queue in one stream, so that every grant is one decision.
//!
//! ```text
//! Enqueue ─→ queued ─[a slot is free]→ active ─Release | Expire→ gone
//!               └─Dequeue→ gone
//! ```
//!
//! Whatever frees a slot or opens admission grants it in the same decision, so there is never a free
//! slot while an entry that may run waits. Entries run in order of `queue_no`; a waiting chat turn
//! is passed over only while another chat turn is active. Lowering the capacity never ends a run.
//! Slots are born suspended: nothing is granted until the agent runs.

use std::collections::{BTreeMap, VecDeque};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::agent::{ConfigError, check_capacity, check_timeout};
use super::{Decider, Event, ExecutionId, StreamType, aggregate};

/// How many executions may wait for one agent, unless configured otherwise.
pub const QUEUE_LENGTH_MAX: usize = 1_000;

/// How long a slot outlives the agent's timeout, in seconds: by then the supervisor, which ends the
/// run on its own clock, has long done so, even if it could not be reached.
pub const SLOT_BUFFER_SECONDS: i64 = 300;

/// What can be asked of an agent's slots, or reported about them.
#[derive(Debug, Clone, PartialEq)]
pub enum SlotsCommand {
    /// Sets how many executions may run at once.
    SetCapacity { max_parallel_tasks: u32, now: DateTime<Utc> },
    /// Sets the longest time an execution granted from now on may run.
    SetTimeout { seconds: u32 },
    /// Asks for a slot.
    Enqueue { entry: Entry, queue_length_max: usize, now: DateTime<Utc> },
    /// The execution's processes are gone, or never were.
    Release { execution_id: ExecutionId, reason: ReleaseReason, now: DateTime<Utc> },
    /// The slot's time is over without any evidence from the agent.
    Expire { execution_id: ExecutionId, epoch: u32, now: DateTime<Utc> },
    /// The grant ran out before the run began: the same slot is granted anew under the next epoch.
    Regrant { execution_id: ExecutionId, epoch: u32, now: DateTime<Utc> },
    /// Takes a waiting execution out of the queue.
    Dequeue { execution_id: ExecutionId, reason: DequeueReason },
    /// Stops granting and accepting.
    Suspend { reason: SuspendReason },
    /// Grants and accepts again.
    Resume { now: DateTime<Utc> },
}

/// An execution that asks for a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Which execution.
    pub execution_id: ExecutionId,
    /// Whether it is a turn of a conversation, of which one at a time is active.
    pub is_chat_turn: bool,
    /// The task's own timeout, in seconds; none is the agent's at the time of the grant.
    pub timeout_seconds: Option<u32>,
}

/// What has happened to an agent's slots.
#[derive(
    Debug, Clone, PartialEq, Serialize, Deserialize, strum::IntoStaticStr, strum::VariantNames,
)]
pub enum SlotsEvent {
    CapacitySet {
        max_parallel_tasks: u32,
    },
    AgentTimeoutSet {
        seconds: u32,
    },
    ExecutionEnqueued {
        execution_id: ExecutionId,
        is_chat_turn: bool,
        #[serde(default)]
        timeout_seconds: Option<u32>,
        queue_no: u64,
    },
    SlotAcquired {
        execution_id: ExecutionId,
        slot: u32,
        epoch: u32,
        #[serde(default)]
        is_chat_turn: bool,
        timeout_seconds: u32,
        expires_at: DateTime<Utc>,
    },
    SlotReleased {
        execution_id: ExecutionId,
        slot: u32,
        reason: ReleaseReason,
    },
    SlotExpired {
        execution_id: ExecutionId,
        slot: u32,
    },
    ExecutionDequeued {
        execution_id: ExecutionId,
        reason: DequeueReason,
    },
    AdmissionSuspended {
        reason: SuspendReason,
    },
    AdmissionResumed {},
}

/// Why a command to an agent's slots is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SlotsError {
    /// The agent is not running, so nothing is accepted.
    #[error("the agent is not running")]
    Suspended(SuspendReason),
    /// As many as allowed are waiting.
    #[error("{length} executions are waiting for this agent, as many as its queue holds")]
    QueueFull {
        /// The bound that was reached.
        length: usize,
    },
    /// The task asks for more time than the agent allows.
    #[error("timeout_seconds is {asked}; this agent allows {allowed} at most")]
    TimeoutTooLong {
        /// What the task asked for, in seconds.
        asked: u32,
        /// The agent's own timeout, in seconds.
        allowed: u32,
    },
    /// A value outside its range.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

/// Why a slot was given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReleaseReason {
    /// The run's processes have ended.
    Exited,
    /// The run never began.
    NeverStarted,
    /// The dispatch was refused.
    Rejected,
    /// The agent went down and took the run with it.
    Lost,
}

/// Why a waiting execution left the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DequeueReason {
    /// It was cancelled.
    Cancelled,
    /// Its agent is being deleted.
    AgentDeleted,
}

/// Why an agent takes no work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, strum::VariantNames)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum SuspendReason {
    /// It has not started yet.
    NotStarted,
    /// It was stopped.
    AgentStopped,
    /// It crashed.
    AgentCrashed,
    /// It is frozen; its slots do not expire meanwhile.
    AgentPaused,
    /// It is being deleted.
    AgentDeleted,
}

/// The pool and the queue of one incarnation of an agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Slots {
    /// How many may run at once; zero before the first `CapacitySet`.
    pub capacity: u32,
    /// The agent's timeout, in seconds.
    pub timeout_seconds: u32,
    /// Why nothing is granted, if so.
    pub suspended: Option<SuspendReason>,
    /// Who waits, in order.
    pub queue: VecDeque<Queued>,
    /// Who runs, by slot number from 1.
    pub active: BTreeMap<u32, Active>,
    /// The number of the next entry.
    pub next_queue_no: u64,
}

/// An execution that waits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Queued {
    /// Which execution.
    pub execution_id: ExecutionId,
    /// Its place in the order of arrival.
    pub queue_no: u64,
    /// Whether it is a turn of a conversation.
    pub is_chat_turn: bool,
    /// The task's own timeout, in seconds.
    pub timeout_seconds: Option<u32>,
}

/// An execution that holds a slot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Active {
    /// Which execution.
    pub execution_id: ExecutionId,
    /// Fences the start: a supervisor refuses any lower one.
    pub epoch: u32,
    /// Whether it is a turn of a conversation.
    pub is_chat_turn: bool,
    /// How long it may run, in seconds, fixed at the grant.
    pub timeout_seconds: u32,
    /// When the slot may be taken back without evidence.
    pub expires_at: DateTime<Utc>,
}

impl Default for Slots {
    fn default() -> Self {
        Self {
            capacity: 0,
            timeout_seconds: 0,
            suspended: Some(SuspendReason::NotStarted),
            queue: VecDeque::new(),
            active: BTreeMap::new(),
            next_queue_no: 1,
        }
    }
}

impl Slots {
    /// The slot that an execution holds.
    pub fn slot_of(&self, execution_id: ExecutionId) -> Option<(u32, &Active)> {
        self.active
            .iter()
            .find(|(_, active)| active.execution_id == execution_id)
            .map(|(slot, active)| (*slot, active))
    }

    /// The place of a waiting execution, from 1.
    pub fn queue_position(&self, execution_id: ExecutionId) -> Option<usize> {
        self.queue
            .iter()
            .position(|queued| queued.execution_id == execution_id)
            .map(|index| index + 1)
    }

    /// Whether the slot may be taken back without evidence: still held under that epoch, due, and
    /// not frozen.
    pub fn may_expire(&self, execution_id: ExecutionId, epoch: u32, now: DateTime<Utc>) -> bool {
        self.slot_of(execution_id).is_some_and(|(_, active)| {
            active.epoch == epoch
                && active.expires_at <= now
                && self.suspended != Some(SuspendReason::AgentPaused)
        })
    }

    fn knows(&self, execution_id: ExecutionId) -> bool {
        self.slot_of(execution_id).is_some() || self.queue_position(execution_id).is_some()
    }

    fn acquired(&self, queued: &Queued, slot: u32, epoch: u32, now: DateTime<Utc>) -> SlotsEvent {
        let asked = queued.timeout_seconds.unwrap_or(self.timeout_seconds);
        let life = TimeDelta::seconds(i64::from(self.timeout_seconds) + SLOT_BUFFER_SECONDS);
        SlotsEvent::SlotAcquired {
            execution_id: queued.execution_id,
            slot,
            epoch,
            is_chat_turn: queued.is_chat_turn,
            timeout_seconds: asked.min(self.timeout_seconds),
            expires_at: now + life,
        }
    }

    /// The entry that runs next, if any may run now, and the lowest free slot for it.
    fn next_grant(&self) -> Option<(&Queued, u32)> {
        if self.suspended.is_some() || self.active.len() >= self.capacity as usize {
            return None;
        }
        let chat_is_active = self.active.values().any(|active| active.is_chat_turn);
        let next = self.queue.iter().find(|queued| !(queued.is_chat_turn && chat_is_active))?;
        let slot = (1..=self.capacity).find(|slot| !self.active.contains_key(slot))?;
        Some((next, slot))
    }

    /// Appends every grant that `events` make possible, so that none is ever owed.
    fn with_grants(&self, mut events: Vec<SlotsEvent>, now: DateTime<Utc>) -> Vec<SlotsEvent> {
        if events.is_empty() {
            return events;
        }
        let mut after = self.clone();
        for event in &events {
            after.evolve(event);
        }
        while let Some((next, slot)) = after.next_grant() {
            let granted = after.acquired(next, slot, 1, now);
            after.evolve(&granted);
            events.push(granted);
        }
        events
    }

    fn enqueue(&self, entry: &Entry) -> Result<SlotsEvent, SlotsError> {
        if let Some(reason) = self.suspended {
            return Err(SlotsError::Suspended(reason));
        }
        if let Some(asked) = entry.timeout_seconds.filter(|asked| *asked > self.timeout_seconds) {
            return Err(SlotsError::TimeoutTooLong { asked, allowed: self.timeout_seconds });
        }
        Ok(SlotsEvent::ExecutionEnqueued {
            execution_id: entry.execution_id,
            is_chat_turn: entry.is_chat_turn,
            timeout_seconds: entry.timeout_seconds,
            queue_no: self.next_queue_no,
        })
    }

    fn regrant(
        &self,
        execution_id: ExecutionId,
        epoch: u32,
        now: DateTime<Utc>,
    ) -> Vec<SlotsEvent> {
        let held = self.slot_of(execution_id);
        let due = held.filter(|(_, active)| active.epoch == epoch && self.suspended.is_none());
        let Some((slot, active)) = due else { return vec![] };
        let again = Queued {
            execution_id,
            queue_no: 0,
            is_chat_turn: active.is_chat_turn,
            timeout_seconds: Some(active.timeout_seconds),
        };
        let granted = self.acquired(&again, slot, epoch + 1, now);
        vec![SlotsEvent::SlotExpired { execution_id, slot }, granted]
    }
}

impl Decider for Slots {
    const STREAM: StreamType = StreamType::Slots;

    fn decide(&self, command: SlotsCommand) -> Result<Vec<SlotsEvent>, SlotsError> {
        use SlotsCommand as C;
        use SlotsEvent as E;
        match command {
            C::SetCapacity { max_parallel_tasks, now } => {
                check_capacity(max_parallel_tasks)?;
                let changed = self.capacity != max_parallel_tasks;
                let set = changed.then_some(E::CapacitySet { max_parallel_tasks });
                Ok(self.with_grants(set.into_iter().collect(), now))
            }
            C::SetTimeout { seconds } => {
                check_timeout(seconds)?;
                let changed = self.timeout_seconds != seconds;
                Ok(changed.then_some(E::AgentTimeoutSet { seconds }).into_iter().collect())
            }
            C::Enqueue { entry, .. } if self.knows(entry.execution_id) => Ok(vec![]),
            C::Enqueue { entry, queue_length_max, now } => {
                let events = self.with_grants(vec![self.enqueue(&entry)?], now);
                // What runs at once does not wait, however many others do.
                if events.len() == 1 && self.queue.len() >= queue_length_max {
                    return Err(SlotsError::QueueFull { length: queue_length_max });
                }
                Ok(events)
            }
            C::Release { execution_id, reason, now } => {
                let held = self.slot_of(execution_id);
                let released = held.map(|(slot, _)| E::SlotReleased { execution_id, slot, reason });
                Ok(self.with_grants(released.into_iter().collect(), now))
            }
            C::Expire { execution_id, epoch, now } => {
                let due = self.may_expire(execution_id, epoch, now);
                let held = self.slot_of(execution_id).filter(|_| due);
                let expired = held.map(|(slot, _)| E::SlotExpired { execution_id, slot });
                Ok(self.with_grants(expired.into_iter().collect(), now))
            }
            C::Regrant { execution_id, epoch, now } => Ok(self.regrant(execution_id, epoch, now)),
            C::Dequeue { execution_id, reason } => {
                let waits = self.queue_position(execution_id).is_some();
                let dequeued = waits.then_some(E::ExecutionDequeued { execution_id, reason });
                Ok(dequeued.into_iter().collect())
            }
            C::Suspend { reason } if self.suspended == Some(reason) => Ok(vec![]),
            C::Suspend { reason } => Ok(vec![E::AdmissionSuspended { reason }]),
            C::Resume { .. } if self.suspended.is_none() => Ok(vec![]),
            C::Resume { now } => Ok(self.with_grants(vec![E::AdmissionResumed {}], now)),
        }
    }

    fn evolve(&mut self, event: &SlotsEvent) {
        use SlotsEvent as E;
        match event {
            E::CapacitySet { max_parallel_tasks } => self.capacity = *max_parallel_tasks,
            E::AgentTimeoutSet { seconds } => self.timeout_seconds = *seconds,
            E::ExecutionEnqueued { execution_id, is_chat_turn, timeout_seconds, queue_no } => {
                self.next_queue_no = queue_no + 1;
                self.queue.push_back(Queued {
                    execution_id: *execution_id,
                    queue_no: *queue_no,
                    is_chat_turn: *is_chat_turn,
                    timeout_seconds: *timeout_seconds,
                });
            }
            E::SlotAcquired {
                execution_id,
                slot,
                epoch,
                is_chat_turn,
                timeout_seconds,
                expires_at,
            } => {
                self.queue.retain(|queued| queued.execution_id != *execution_id);
                let active = Active {
                    execution_id: *execution_id,
                    epoch: *epoch,
                    is_chat_turn: *is_chat_turn,
                    timeout_seconds: *timeout_seconds,
                    expires_at: *expires_at,
                };
                self.active.insert(*slot, active);
            }
            E::SlotReleased { slot, .. } | E::SlotExpired { slot, .. } => {
                self.active.remove(slot);
            }
            E::ExecutionDequeued { execution_id, .. } => {
                self.queue.retain(|queued| queued.execution_id != *execution_id);
            }
            E::AdmissionSuspended { reason } => self.suspended = Some(*reason),
            E::AdmissionResumed {} => self.suspended = None,
        }
    }

    fn wrap(event: SlotsEvent) -> Event {
        Event::Slots(event)
    }

    fn unwrap(event: &Event) -> Option<&SlotsEvent> {
        if let Event::Slots(event) = event { Some(event) } else { None }
    }
}

aggregate!(Slots, SlotsCommand, SlotsEvent, SlotsError);

#[cfg(test)]
mod tests;
