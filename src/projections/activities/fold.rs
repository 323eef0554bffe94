//! How events make the entries of the activity stream.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::json;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{ActivityRow, ActivityState, ActivityType, CallerLife, DETAIL_CHARS_MAX};
use crate::db::{self, Db, Json, Record, Rows, Statement};
use crate::domain::agent::AgentEvent;
use crate::domain::execution::{ExecutionEvent, Outcome, Request, Source, Trigger};
use crate::domain::{AgentName, Event, EventId, ExecutionId, Recorded};
use crate::projections::executions::stream_id;
use crate::projections::wire::preview;
use crate::projections::{Build, Cost, FoldError, Projection, TableDef, Timestamp};

/// Entries that one event makes at most; their numbers stand in `row_no` below its position.
pub const ENTRIES_PER_EVENT_MAX: i64 = 4;

/// How many of these a request makes at most, with its message in them; they have the first numbers.
pub(super) const OPENING_ENTRIES_MAX: i64 = 2;

/// The pair of entries that an execution has.
fn types_of(request: &Request) -> (ActivityType, ActivityType) {
    use ActivityType as T;
    match (request.triggered_by, request.source) {
        (Trigger::Schedule, _) => (T::ScheduleStart, T::ScheduleEnd),
        (Trigger::Chat, _) | (Trigger::Mcp, Source::User) => (T::ChatStart, T::ChatEnd),
        _ if request.is_chat_turn => (T::ChatStart, T::ChatEnd),
        _ => (T::TaskStart, T::TaskEnd),
    }
}

impl ActivityType {
    /// The entry that marks the end of what this one began.
    pub(super) fn end(self) -> Option<Self> {
        match self {
            Self::ChatStart => Some(Self::ChatEnd),
            Self::ScheduleStart => Some(Self::ScheduleEnd),
            Self::TaskStart => Some(Self::TaskEnd),
            Self::ChatEnd
            | Self::ScheduleEnd
            | Self::TaskEnd
            | Self::ToolCall
            | Self::AgentCollaboration
            | Self::ExecutionCancelled => None,
        }
    }
}

/// The projection.
#[derive(Debug)]
pub(in crate::projections) struct ActivitiesProjection;

#[async_trait]
impl Projection for ActivitiesProjection {
    fn name(&self) -> &'static str {
        "activities"
    }

    fn version(&self) -> u32 {
        3
    }

    fn tables(&self) -> Vec<TableDef> {
        vec![
            TableDef::of::<ActivityRow>(&[
                "(row_no)",
                "(created_at, row_no)",
                "(incarnation, (row_no + 0))",
                "(activity_type, activity_state, (row_no + 0))",
                "(incarnation, activity_type, activity_state, (row_no + 0))",
                "(related_execution_id, (row_no + 0))",
            ]),
            TableDef::of::<CallerLife>(&[]),
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
                Event::Execution(event) => {
                    memory.execution(recorded, stream_id(recorded)?, event)?;
                }
                Event::Agent(AgentEvent::AgentCreated { incarnation, config, .. }) => {
                    let agent_name = config.name.clone();
                    memory.callers.insert(CallerLife { agent_name, incarnation: *incarnation });
                }
                Event::Agent(AgentEvent::AgentDeleted {}) => {
                    if let Ok(name) = recorded.stream.id.parse() {
                        memory.callers.remove(&name);
                    }
                }
                Event::Agent(_) | Event::Slots(_) | Event::Account(_) => {}
            }
        }
        let mut statements = memory.rows.into_statements(&build.table::<ActivityRow>());
        statements.extend(memory.callers.into_statements(&build.table::<CallerLife>()));
        Ok(statements)
    }
}

struct Memory {
    rows: Rows<ActivityRow>,
    callers: Rows<CallerLife>,
    /// The start entry of every execution that a batch names.
    starts: BTreeMap<ExecutionId, EventId>,
    /// The entries that are not closed yet, by execution.
    open: BTreeMap<ExecutionId, BTreeSet<EventId>>,
}

impl Memory {
    /// Reads what is open of the executions, the start entries of their parents, and the callers.
    async fn load(db: &Db, build: Build, events: &[Arc<Recorded>]) -> Result<Self, FoldError> {
        let (mut executions, mut parents, mut names) =
            (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for recorded in events {
            match &recorded.event {
                Event::Execution(event) => {
                    executions.insert(stream_id(recorded)?);
                    if let ExecutionEvent::ExecutionRequested(request) = event {
                        parents.extend(request.parent_execution_id);
                        names.extend(request.source_agent.clone());
                    }
                }
                Event::Agent(AgentEvent::AgentDeleted {}) => {
                    names.extend(recorded.stream.id.parse::<AgentName>());
                }
                Event::Agent(_) | Event::Slots(_) | Event::Account(_) => {}
            }
        }
        let callers = Rows::load(db, &build.table::<CallerLife>(), names).await?;
        let (rows, starts, open) = (Rows::default(), BTreeMap::new(), BTreeMap::new());
        let mut memory = Self { rows, callers, starts, open };
        memory.read(db, build, executions, "a.activity_state = 'started'").await?;
        let is_start = "a.activity_type IN ('chat_start', 'schedule_start', 'task_start')";
        memory.read(db, build, parents, is_start).await?;
        Ok(memory)
    }

    async fn read(
        &mut self,
        db: &Db,
        build: Build,
        executions: BTreeSet<ExecutionId>,
        condition: &str,
    ) -> Result<(), FoldError> {
        let executions: Vec<_> = executions.into_iter().collect();
        for chunk in db::power_chunks(&executions, db::LOOKUP_KEYS_MAX) {
            let mut select = Statement::new(format!(
                "SELECT {} FROM {} a WHERE {condition} AND a.related_execution_id IN (",
                ActivityRow::columns("a"),
                build.table::<ActivityRow>(),
            ));
            select.bind_list(chunk.iter().map(db::Param::to_value).collect()).push(")");
            let found: Vec<ActivityRow> = db.fetch(select).await?;
            for row in &found {
                self.index(row);
            }
            self.rows.hold(found);
        }
        Ok(())
    }

    fn index(&mut self, row: &ActivityRow) {
        if row.activity_type.end().is_some() {
            self.starts.insert(row.related_execution_id, row.id);
        }
        if row.activity_state == ActivityState::Started {
            self.open.entry(row.related_execution_id).or_default().insert(row.id);
        }
    }

    fn insert(&mut self, row: ActivityRow) {
        self.index(&row);
        self.rows.insert(row);
    }

    fn execution(
        &mut self,
        recorded: &Recorded,
        id: ExecutionId,
        event: &ExecutionEvent,
    ) -> Result<(), FoldError> {
        use ExecutionEvent as E;
        match event {
            E::ExecutionRequested(request) => self.requested(recorded, id, request),
            E::ExecutionStarted { started_at, .. } => {
                let start = self.start(recorded, id)?;
                if let Some(row) = self.rows.get_mut(&start) {
                    row.started_at = Timestamp(*started_at);
                }
            }
            E::ToolCallStarted { .. } => self.tool_started(recorded, id, event)?,
            E::ToolCallFinished { tool_call_id, is_error, duration_ms, at, .. } => {
                self.tool_finished(id, tool_call_id, *is_error, (*duration_ms, Timestamp(*at)));
            }
            E::ExecutionCompleted { outcome } => self.end(recorded, id, None, outcome)?,
            E::ExecutionFailed { error, outcome, .. } => {
                self.end(recorded, id, Some(preview(error, DETAIL_CHARS_MAX)), outcome)?;
            }
            E::ExecutionCancelled { by, reason, phase, outcome } => {
                self.end(recorded, id, Some("cancelled".to_owned()), outcome)?;
                let details = json!({ "cancelled_by": by, "reason": reason, "phase": phase });
                self.cancelled(recorded, id, outcome, by, details)?;
            }
            E::SessionBound { .. }
            | E::CancelRequested { .. }
            | E::InterruptSent { .. }
            | E::KillSent { .. }
            | E::ContactLost { .. }
            | E::ContactRegained { .. }
            | E::LateResultObserved { .. }
            | E::TranscriptRemoved { .. } => {}
        }
        Ok(())
    }

    /// The start entry of an execution that has been requested.
    fn start(&self, recorded: &Recorded, id: ExecutionId) -> Result<EventId, FoldError> {
        let start = self.starts.get(&id).copied();
        start.ok_or_else(|| FoldError::event(recorded, "no start entry"))
    }

    fn requested(&mut self, recorded: &Recorded, id: ExecutionId, request: &Request) {
        let at = Timestamp(recorded.recorded_at);
        let message = preview(&request.message, DETAIL_CHARS_MAX);
        let parent = request.parent_execution_id.and_then(|id| self.starts.get(&id).copied());
        let mut start = ActivityRow {
            id: recorded.event_id,
            agent_name: request.agent.clone(),
            incarnation: Some(request.incarnation),
            row_no: row_no(recorded, 0),
            activity_type: types_of(request).0,
            activity_state: ActivityState::Started,
            parent_activity_id: parent,
            started_at: at,
            completed_at: None,
            duration_ms: None,
            triggered_by: request.source,
            user_id: request.source_user,
            related_execution_id: id,
            details: Json(json!({
                "message": message,
                "triggered_by": request.triggered_by,
                "model": request.model,
            })),
            error: None,
            cost: None,
            created_at: at,
            tool_call_id: None,
        };
        if let (Source::Agent, Some(caller)) = (request.source, &request.source_agent) {
            let mut around = start.clone();
            around.id = derived_id(recorded, ActivityType::AgentCollaboration);
            around.activity_type = ActivityType::AgentCollaboration;
            around.agent_name = caller.clone();
            around.incarnation = self.callers.get(caller).map(|life| life.incarnation);
            around.details = Json(json!({
                "source_agent": caller,
                "target_agent": request.agent,
                "message": message,
                "parallel": !request.is_chat_turn,
            }));
            start.parent_activity_id = Some(around.id);
            start.row_no = row_no(recorded, 1);
            self.insert(around);
        }
        self.insert(start);
    }

    /// An entry below the start entry of an execution; it inherits whose and why.
    fn below(
        &self,
        recorded: &Recorded,
        id: ExecutionId,
        at: Timestamp,
    ) -> Result<ActivityRow, FoldError> {
        let start = self.start(recorded, id)?;
        let row = self.rows.get(&start);
        let row = row.ok_or_else(|| FoldError::event(recorded, "no start entry"))?;
        Ok(ActivityRow {
            id: recorded.event_id,
            row_no: row_no(recorded, 0),
            parent_activity_id: Some(start),
            started_at: at,
            completed_at: None,
            duration_ms: None,
            error: None,
            cost: None,
            created_at: Timestamp(recorded.recorded_at),
            tool_call_id: None,
            details: Json(json!({})),
            ..row.clone()
        })
    }

    fn tool_started(
        &mut self,
        recorded: &Recorded,
        id: ExecutionId,
        event: &ExecutionEvent,
    ) -> Result<(), FoldError> {
        let ExecutionEvent::ToolCallStarted { seq, tool_call_id, name, input_preview, at } = event
        else {
            return Ok(());
        };
        let row = self.below(recorded, id, Timestamp(*at))?;
        self.insert(ActivityRow {
            activity_type: ActivityType::ToolCall,
            activity_state: ActivityState::Started,
            details: Json(json!({
                "tool_call_id": tool_call_id,
                "name": name,
                "input_preview": input_preview,
                "seq": seq,
            })),
            tool_call_id: Some(tool_call_id.clone()),
            ..row
        });
        Ok(())
    }

    fn tool_finished(
        &mut self,
        id: ExecutionId,
        tool_call_id: &str,
        is_error: bool,
        (duration_ms, at): (u64, Timestamp),
    ) {
        let open = self.open.get(&id).into_iter().flatten().copied();
        let mut call = open.filter(|open| {
            let row = self.rows.get(open);
            row.is_some_and(|row| row.tool_call_id.as_deref() == Some(tool_call_id))
        });
        let Some(call) = call.next() else { return };
        let error = is_error.then(|| "the tool reported an error".to_owned());
        self.close(id, call, at, error, Some(duration_ms));
    }

    /// Closes an open entry; with an error it has failed.
    fn close(
        &mut self,
        execution: ExecutionId,
        id: EventId,
        at: Timestamp,
        error: Option<String>,
        duration_ms: Option<u64>,
    ) {
        let Some(row) = self.rows.get_mut(&id) else { return };
        row.activity_state =
            if error.is_some() { ActivityState::Failed } else { ActivityState::Completed };
        row.completed_at = Some(at);
        row.duration_ms = Some(duration_ms.unwrap_or_else(|| at.millis_since(row.started_at)));
        row.error = error;
        if let Some(open) = self.open.get_mut(&execution) {
            open.remove(&id);
        }
    }

    fn end(
        &mut self,
        recorded: &Recorded,
        id: ExecutionId,
        error: Option<String>,
        outcome: &Outcome,
    ) -> Result<(), FoldError> {
        let at = outcome.ended_at.map_or(Timestamp(recorded.recorded_at), Timestamp);
        let cost = outcome.cost_usd_micros.map(Cost);
        let start = self.start(recorded, id)?;
        for open in self.open.get(&id).cloned().unwrap_or_default() {
            let is_tool = self.rows.get(&open).is_some_and(|row| row.tool_call_id.is_some());
            let unfinished = || "the run ended before the tool answered".to_owned();
            let error = if is_tool { Some(unfinished()) } else { error.clone() };
            let duration_ms = outcome.duration_ms.filter(|_| open == start);
            self.close(id, open, at, error, duration_ms);
        }
        let row = self.below(recorded, id, at)?;
        let no_start = || FoldError::event(recorded, "no start entry");
        let began = self.rows.get_mut(&start).ok_or_else(no_start)?;
        began.cost = cost;
        let duration_ms = began.duration_ms;
        let end = began.activity_type.end().ok_or_else(no_start)?;
        self.insert(ActivityRow {
            activity_type: end,
            completed_at: Some(at),
            duration_ms,
            error,
            cost,
            ..row
        });
        Ok(())
    }

    fn cancelled(
        &mut self,
        recorded: &Recorded,
        id: ExecutionId,
        outcome: &Outcome,
        by: &str,
        details: serde_json::Value,
    ) -> Result<(), FoldError> {
        let at = outcome.ended_at.map_or(Timestamp(recorded.recorded_at), Timestamp);
        let row = self.below(recorded, id, at)?;
        let person = by.strip_prefix("user:").and_then(|id| id.parse().ok());
        self.insert(ActivityRow {
            id: derived_id(recorded, ActivityType::ExecutionCancelled),
            row_no: row_no(recorded, 1),
            activity_type: ActivityType::ExecutionCancelled,
            activity_state: ActivityState::Completed,
            completed_at: Some(at),
            duration_ms: Some(0),
            user_id: person.or(row.user_id),
            details: Json(details),
            ..row
        });
        Ok(())
    }
}

/// The least number of an entry that an event after the position made.
pub(super) fn row_no_after(position: i64) -> i64 {
    position.saturating_add(1).saturating_mul(ENTRIES_PER_EVENT_MAX)
}

fn row_no(recorded: &Recorded, ordinal: i64) -> i64 {
    recorded.position * ENTRIES_PER_EVENT_MAX + ordinal
}

/// The id of an event's second entry: always the same for the same event.
fn derived_id(recorded: &Recorded, kind: ActivityType) -> EventId {
    let word: &'static str = kind.into();
    let hash = Sha256::new_with_prefix(recorded.event_id.0).chain_update(word).finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash[..16]);
    EventId(Uuid::new_v8(bytes))
}
