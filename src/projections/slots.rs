//! `slots`: the pool and the queue of every agent's current life.
//!
//! Reads every event of slots, `AgentCreated` for the name, `AgentDeleted`, with which the rows go.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use serde::Serialize;
use utoipa::ToSchema;

use super::agents::visible_life;
use super::executions::ExecutionRow;
use super::wire::Timestamp;
use super::{Build, FoldError, Projection, TableDef, Viewer};
use crate::db::{self, Db, Record, Row, Rows, Statement, record};
use crate::domain::agent::AgentEvent;
use crate::domain::slots::{QUEUE_LENGTH_MAX, SlotsEvent, SuspendReason};
use crate::domain::{AgentName, Event, ExecutionId, IncarnationId, Recorded};

/// How much of a message the list of slots shows, in characters.
pub const MESSAGE_PREVIEW_CHARS_MAX: usize = 200;

record! {
    /// The pool of one agent.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct SlotsRow in "slots_v1" key(incarnation: IncarnationId) {
        pub incarnation: IncarnationId,
        pub agent_name: AgentName,
        pub max: u32,
        pub timeout_seconds: u32,
        pub suspended: Option<SuspendReason>,
        pub active: u32,
        pub queued: u32,
    }
}

record! {
    /// An execution that waits for a slot or holds one.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct SlotEntry in "slot_entries_v1" key(execution_id: ExecutionId) {
        pub execution_id: ExecutionId,
        pub incarnation: IncarnationId,
        pub is_chat_turn: bool,
        pub queued_at: Timestamp,
        pub queue_no: u64,
        pub slot: Option<u32>,
        pub epoch: Option<u32>,
        pub acquired_at: Option<Timestamp>,
        pub timeout_seconds: Option<u32>,
        pub expires_at: Option<Timestamp>,
    }
}

/// How full an agent is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct SlotCounts {
    /// Slots taken.
    pub active: u32,
    /// Slots there are.
    pub max: u32,
    /// Executions that wait.
    pub queued: u32,
}

/// How full all agents are together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SlotTotals {
    /// Slots taken.
    pub active: u64,
    /// Slots there are.
    pub max: u64,
    /// Executions that wait.
    pub queued: u64,
}

/// An agent's pool, slot by slot.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Capacity {
    #[schema(value_type = String)]
    pub agent_name: AgentName,
    pub max_parallel_tasks: u32,
    pub active_slots: u32,
    pub available_slots: u32,
    pub slots: Vec<ActiveSlot>,
}

/// A slot that is taken.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ActiveSlot {
    pub slot_number: u32,
    #[schema(value_type = Uuid)]
    pub execution_id: ExecutionId,
    /// When the run began; null while it is on its way to the agent.
    #[schema(required = true)]
    pub started_at: Option<Timestamp>,
    /// The beginning of the message.
    pub message_preview: String,
    /// Since the run began, or since the slot was granted.
    pub duration_seconds: u64,
    pub acquired_at: Timestamp,
    pub expires_at: Timestamp,
    pub is_chat_turn: bool,
}

/// Who waits for an agent.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Queue {
    #[schema(value_type = String)]
    pub agent_name: AgentName,
    /// Whether every slot is taken.
    pub is_busy: bool,
    /// The execution that has run longest.
    #[schema(required = true, value_type = Option<Uuid>)]
    pub current_execution: Option<ExecutionId>,
    pub queue_length: u32,
    pub queued_executions: Vec<QueuedExecution>,
}

/// An execution that waits.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct QueuedExecution {
    #[schema(value_type = Uuid)]
    pub execution_id: ExecutionId,
    /// From 1.
    pub queue_position: u32,
    pub queued_at: Timestamp,
    pub message_preview: String,
    pub is_chat_turn: bool,
}

/// Queries over slots.
#[derive(Debug)]
pub struct Slots<'a>(pub(super) &'a Db);

impl Slots<'_> {
    /// How full each agent is that the viewer may see, by name.
    pub async fn counts(
        &self,
        viewer: &Viewer,
    ) -> Result<BTreeMap<AgentName, SlotCounts>, db::Error> {
        let mut select = Statement::new(format!(
            "SELECT {} FROM {} s WHERE 1 = 1",
            SlotsRow::columns("s"),
            SlotsRow::TABLE,
        ));
        visible_life(&mut select, "s.incarnation", viewer);
        let rows: Vec<SlotsRow> = self.0.fetch(select).await?;
        Ok(rows.into_iter().map(|row| (row.agent_name.clone(), row.counts())).collect())
    }

    /// How full all agents are together.
    pub async fn totals(&self) -> Result<SlotTotals, db::Error> {
        let sum = |column: &str| format!("CAST(COALESCE(SUM(s.{column}), 0) AS BIGINT)");
        let [active, max, queued] = ["active", "max", "queued"].map(sum);
        let table = SlotsRow::TABLE;
        let select = format!("SELECT {active}, {max}, {queued} FROM {table} s");
        let mut rows = self.0.query(Statement::new(select)).await?;
        let Some(row) = rows.first_mut() else { return Ok(SlotTotals::default()) };
        Ok(SlotTotals { active: row.take()?, max: row.take()?, queued: row.take()? })
    }

    /// The pool of one life, if it is the current one of its name.
    pub async fn pool(&self, incarnation: IncarnationId) -> Result<Option<SlotsRow>, db::Error> {
        Ok(db::lookup(self.0, SlotsRow::TABLE, &[incarnation]).await?.pop())
    }

    /// The executions that hold or await a slot of a life without a row of their own.
    pub(super) async fn without_execution(
        &self,
        incarnation: IncarnationId,
    ) -> Result<Vec<ExecutionId>, db::Error> {
        let mut select = Statement::new(format!(
            "SELECT e.execution_id FROM {} e LEFT JOIN {} x ON x.id = e.execution_id \
             WHERE x.id IS NULL AND e.incarnation = ",
            SlotEntry::TABLE,
            ExecutionRow::TABLE,
        ));
        select.bind(incarnation);
        self.0.fetch_column(select).await
    }

    /// The pool slot by slot; durations are counted up to `now`.
    pub async fn capacity(
        &self,
        incarnation: IncarnationId,
        now: Timestamp,
    ) -> Result<Option<Capacity>, db::Error> {
        let Some(pool) = self.pool(incarnation).await? else { return Ok(None) };
        let mut select = entries("e.slot, e.acquired_at, e.expires_at, x.started_at");
        select.push(" AND e.slot IS NOT NULL AND e.incarnation = ").bind(incarnation);
        select.push(" ORDER BY e.slot");
        let rows = self.0.query(select).await?;
        let slots = rows.into_iter().map(|row| active_slot(row, now)).collect::<Result<_, _>>()?;
        Ok(Some(Capacity {
            agent_name: pool.agent_name,
            max_parallel_tasks: pool.max,
            active_slots: pool.active,
            available_slots: pool.max.saturating_sub(pool.active),
            slots,
        }))
    }

    /// The queue in its order.
    pub async fn queue(&self, incarnation: IncarnationId) -> Result<Option<Queue>, db::Error> {
        let Some(pool) = self.pool(incarnation).await? else { return Ok(None) };
        let mut select = entries("e.queued_at");
        select.push(" AND e.slot IS NULL AND e.incarnation = ").bind(incarnation);
        select.push(" ORDER BY e.queue_no LIMIT ").bind(QUEUE_LENGTH_MAX as u64);
        let rows = self.0.query(select).await?;
        let numbered = (1..).zip(rows);
        let queued_executions =
            numbered.map(|(place, row)| queued(place, row)).collect::<Result<Vec<_>, _>>()?;
        let mut oldest = Statement::new(format!(
            "SELECT execution_id FROM {} WHERE slot IS NOT NULL AND incarnation = ",
            SlotEntry::TABLE,
        ));
        oldest.bind(incarnation).push(" ORDER BY acquired_at, slot LIMIT 1");
        Ok(Some(Queue {
            agent_name: pool.agent_name,
            is_busy: pool.active >= pool.max,
            current_execution: self.0.fetch_column(oldest).await?.pop(),
            queue_length: pool.queued,
            queued_executions,
        }))
    }
}

/// A SELECT over entries: id, whether a chat turn, the message's beginning, then `more`.
fn entries(more: &str) -> Statement {
    Statement::new(format!(
        "SELECT e.execution_id, e.is_chat_turn, \
           substr(COALESCE(x.message, ''), 1, {MESSAGE_PREVIEW_CHARS_MAX}), {more} \
         FROM {} e LEFT JOIN {} x ON x.id = e.execution_id WHERE 1 = 1",
        SlotEntry::TABLE,
        ExecutionRow::TABLE,
    ))
}

fn active_slot(mut row: Row, now: Timestamp) -> Result<ActiveSlot, db::Error> {
    let (execution_id, is_chat_turn, message_preview) = (row.take()?, row.take()?, row.take()?);
    let (slot_number, acquired_at, expires_at) = (row.take()?, row.take()?, row.take()?);
    let started_at: Option<Timestamp> = row.take()?;
    let duration_seconds = now.millis_since(started_at.unwrap_or(acquired_at)) / 1_000;
    Ok(ActiveSlot {
        slot_number,
        execution_id,
        started_at,
        message_preview,
        duration_seconds,
        acquired_at,
        expires_at,
        is_chat_turn,
    })
}

fn queued(queue_position: u32, mut row: Row) -> Result<QueuedExecution, db::Error> {
    let (execution_id, is_chat_turn, message_preview) = (row.take()?, row.take()?, row.take()?);
    let queued_at = row.take()?;
    Ok(QueuedExecution { execution_id, queue_position, queued_at, message_preview, is_chat_turn })
}

impl SlotsRow {
    /// The counts as lists show them.
    pub fn counts(&self) -> SlotCounts {
        SlotCounts { active: self.active, max: self.max, queued: self.queued }
    }
}

/// The projection.
#[derive(Debug)]
pub(super) struct SlotsProjection;

#[async_trait]
impl Projection for SlotsProjection {
    fn name(&self) -> &'static str {
        "slots"
    }

    fn version(&self) -> u32 {
        1
    }

    fn tables(&self) -> Vec<TableDef> {
        vec![
            TableDef::of::<SlotsRow>(&["(agent_name)"]),
            TableDef::of::<SlotEntry>(&["(incarnation, queue_no)"]),
        ]
    }

    async fn fold(
        &self,
        db: &Db,
        build: Build,
        events: &[Arc<Recorded>],
    ) -> Result<Vec<Statement>, FoldError> {
        let mut memory = Memory::load(db, build, events).await?;
        for recorded in events {
            match &recorded.event {
                Event::Agent(AgentEvent::AgentCreated { incarnation, config, .. }) => {
                    memory.pools.insert(SlotsRow {
                        incarnation: *incarnation,
                        agent_name: config.name.clone(),
                        max: config.max_parallel_tasks,
                        timeout_seconds: config.execution_timeout_seconds,
                        suspended: Some(SuspendReason::NotStarted),
                        active: 0,
                        queued: 0,
                    });
                }
                Event::Agent(AgentEvent::AgentDeleted {}) => memory.forget(&recorded.stream.id),
                Event::Slots(event) => memory.evolve(recorded, event)?,
                Event::Agent(_) | Event::Execution(_) | Event::Account(_) => {}
            }
        }
        let mut statements = memory.pools.into_statements(&build.table::<SlotsRow>());
        statements.extend(memory.entries.into_statements(&build.table::<SlotEntry>()));
        Ok(statements)
    }
}

struct Memory {
    pools: Rows<SlotsRow>,
    entries: Rows<SlotEntry>,
}

impl Memory {
    /// Reads the pools of the streams, the executions, and all of agents that are deleted.
    async fn load(db: &Db, build: Build, events: &[Arc<Recorded>]) -> Result<Self, FoldError> {
        let (mut lives, mut executions, mut deleted) =
            (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for recorded in events {
            match &recorded.event {
                Event::Slots(event) => {
                    lives.insert(incarnation_of(recorded)?);
                    executions.extend(execution_of(event));
                }
                Event::Agent(AgentEvent::AgentDeleted {}) => {
                    deleted.insert(recorded.stream.id.clone());
                }
                Event::Agent(_) | Event::Execution(_) | Event::Account(_) => {}
            }
        }
        let (pools_table, entries_table) = (build.table::<SlotsRow>(), build.table::<SlotEntry>());
        let mut pools = Rows::load(db, &pools_table, lives).await?;
        let mut entries = Rows::load(db, &entries_table, executions).await?;
        for name in deleted {
            let of_name = |columns: String, condition: &str| {
                Statement::new(format!("SELECT {columns} FROM {condition} p.agent_name = $1"))
                    .with(&name)
            };
            let condition = format!("{pools_table} p WHERE");
            let gone: Vec<SlotsRow> = db.fetch(of_name(SlotsRow::columns("p"), &condition)).await?;
            let condition = format!(
                "{entries_table} e JOIN {pools_table} p ON p.incarnation = e.incarnation WHERE"
            );
            let left: Vec<SlotEntry> =
                db.fetch(of_name(SlotEntry::columns("e"), &condition)).await?;
            pools.hold(gone);
            entries.hold(left);
        }
        Ok(Self { pools, entries })
    }

    fn forget(&mut self, name: &str) {
        let of_name = self.pools.iter().filter(|pool| pool.agent_name.as_str() == name);
        let gone: BTreeSet<_> = of_name.map(|pool| pool.incarnation).collect();
        let left = self.entries.iter().filter(|entry| gone.contains(&entry.incarnation));
        let left: Vec<_> = left.map(|entry| entry.execution_id).collect();
        for incarnation in gone {
            self.pools.remove(&incarnation);
        }
        for execution_id in left {
            self.entries.remove(&execution_id);
        }
    }

    fn evolve(&mut self, recorded: &Recorded, event: &SlotsEvent) -> Result<(), FoldError> {
        let incarnation = incarnation_of(recorded)?;
        // What is reported after the agent was deleted changes nothing.
        let Some(pool) = self.pools.get_mut(&incarnation) else { return Ok(()) };
        match event {
            SlotsEvent::CapacitySet { max_parallel_tasks } => pool.max = *max_parallel_tasks,
            SlotsEvent::AgentTimeoutSet { seconds } => pool.timeout_seconds = *seconds,
            SlotsEvent::AdmissionSuspended { reason } => pool.suspended = Some(*reason),
            SlotsEvent::AdmissionResumed {} => pool.suspended = None,
            SlotsEvent::ExecutionEnqueued { execution_id, is_chat_turn, queue_no, .. } => {
                pool.queued += 1;
                self.entries.insert(SlotEntry {
                    execution_id: *execution_id,
                    incarnation,
                    is_chat_turn: *is_chat_turn,
                    queued_at: Timestamp(recorded.recorded_at),
                    queue_no: *queue_no,
                    slot: None,
                    epoch: None,
                    acquired_at: None,
                    timeout_seconds: None,
                    expires_at: None,
                });
            }
            SlotsEvent::SlotAcquired { execution_id, .. } => {
                pool.active += 1;
                let waited = self.entries.get(execution_id).map(|entry| entry.queued_at);
                if waited.is_some() {
                    pool.queued = pool.queued.saturating_sub(1);
                }
                self.acquired(incarnation, event, Timestamp(recorded.recorded_at));
            }
            SlotsEvent::SlotReleased { execution_id, .. }
            | SlotsEvent::SlotExpired { execution_id, .. } => {
                pool.active = pool.active.saturating_sub(1);
                self.entries.remove(execution_id);
            }
            SlotsEvent::ExecutionDequeued { execution_id, .. } => {
                pool.queued = pool.queued.saturating_sub(1);
                self.entries.remove(execution_id);
            }
        }
        Ok(())
    }

    fn acquired(&mut self, incarnation: IncarnationId, event: &SlotsEvent, at: Timestamp) {
        let SlotsEvent::SlotAcquired {
            execution_id,
            slot,
            epoch,
            is_chat_turn,
            timeout_seconds,
            expires_at,
        } = event
        else {
            return;
        };
        let waited = self.entries.get(execution_id);
        self.entries.insert(SlotEntry {
            execution_id: *execution_id,
            incarnation,
            is_chat_turn: *is_chat_turn,
            queued_at: waited.map_or(at, |entry| entry.queued_at),
            queue_no: waited.map_or(0, |entry| entry.queue_no),
            slot: Some(*slot),
            epoch: Some(*epoch),
            acquired_at: Some(at),
            timeout_seconds: Some(*timeout_seconds),
            expires_at: Some(Timestamp(*expires_at)),
        });
    }
}

fn incarnation_of(recorded: &Recorded) -> Result<IncarnationId, FoldError> {
    let no_id = |_| FoldError::event(recorded, "its stream's id is no UUID");
    recorded.stream.id.parse().map_err(no_id)
}

fn execution_of(event: &SlotsEvent) -> Option<ExecutionId> {
    match event {
        SlotsEvent::ExecutionEnqueued { execution_id, .. }
        | SlotsEvent::SlotAcquired { execution_id, .. }
        | SlotsEvent::SlotReleased { execution_id, .. }
        | SlotsEvent::SlotExpired { execution_id, .. }
        | SlotsEvent::ExecutionDequeued { execution_id, .. } => Some(*execution_id),
        SlotsEvent::CapacitySet { .. }
        | SlotsEvent::AgentTimeoutSet { .. }
        | SlotsEvent::AdmissionSuspended { .. }
        | SlotsEvent::AdmissionResumed {} => None,
    }
}
