//! `activities`: what happened, for people: a tree of entries that crosses agents.
//!
//! Reads of executions `ExecutionRequested`, `ExecutionStarted`, the tool calls and the terminal
//! events; of agents `AgentCreated` and `AgentDeleted`, to know which life of a calling agent called.
//!
//! | how the execution came about | activities |
//! |---|---|
//! | `manual`, `paid`, `process` | `task_start`, `task_end` |
//! | `chat`; `mcp` by a person | `chat_start`, `chat_end` |
//! | `mcp` by an agent | `agent_collaboration` of the caller, around `chat_*` for a turn, else `task_*` |
//! | `schedule` | `schedule_start`, `schedule_end` |
//!
//! The start entry opens with the request and is itself closed by the terminal event, beside an end
//! entry below it. A cancelled run closes as `failed` with the error `cancelled` and has an
//! `execution_cancelled` entry below it. Tool calls are below the start entry.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};
use utoipa::ToSchema;
use uuid::Uuid;

use super::agents::visible_life;
use super::executions::stream_id;
use super::page::{Filter, Listed, Order, Page, PageRequest, Place};
use super::wire::{Timestamp, preview, words};
use super::{Build, FoldError, Projection, TableDef, Viewer};
use crate::db::{self, Db, Json, Record, Rows, Statement, record, word_columns};
use crate::domain::agent::AgentEvent;
use crate::domain::execution::{ExecutionEvent, Outcome, Request, Source, Trigger};
use crate::domain::{AccountId, AgentName, Event, EventId, ExecutionId, IncarnationId, Recorded};

/// How much of a message or an error an entry shows, in characters.
pub const DETAIL_CHARS_MAX: usize = 500;
/// Entries that one event makes at most; their numbers stand in `row_no` below its position.
const ENTRIES_PER_EVENT_MAX: i64 = 4;

/// What an entry is about.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    ToSchema,
    strum::EnumString,
    strum::IntoStaticStr,
    strum::VariantNames,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum ActivityType {
    ChatStart,
    ChatEnd,
    ScheduleStart,
    ScheduleEnd,
    TaskStart,
    TaskEnd,
    ToolCall,
    AgentCollaboration,
    ExecutionCancelled,
}

/// How far it is.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    ToSchema,
    strum::EnumString,
    strum::IntoStaticStr,
    strum::VariantNames,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum ActivityState {
    Started,
    Completed,
    Failed,
}

word_columns!(ActivityType, ActivityState);

record! {
    /// An entry of the activity stream.
    #[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
    #[schema(as = Activity)]
    pub struct ActivityRow in "activities_v1" key(id: EventId) {
        #[schema(value_type = Uuid)]
        pub id: EventId,
        #[schema(value_type = String)]
        pub agent_name: AgentName,
        /// The life of the agent it belongs to.
        #[schema(required = true, value_type = Option<Uuid>)]
        pub incarnation: Option<IncarnationId>,
        #[serde(skip)]
        pub row_no: i64,
        pub activity_type: ActivityType,
        pub activity_state: ActivityState,
        #[schema(required = true, value_type = Option<Uuid>)]
        pub parent_activity_id: Option<EventId>,
        pub started_at: Timestamp,
        #[schema(required = true)]
        pub completed_at: Option<Timestamp>,
        #[schema(required = true)]
        pub duration_ms: Option<u64>,
        /// A person, a schedule or an agent.
        #[schema(schema_with = words::<Source>)]
        pub triggered_by: Source,
        #[schema(required = true, value_type = Option<Uuid>)]
        pub user_id: Option<AccountId>,
        #[schema(value_type = Uuid)]
        pub related_execution_id: ExecutionId,
        #[schema(value_type = Object)]
        pub details: Json<serde_json::Value>,
        #[schema(required = true)]
        pub error: Option<String>,
        pub created_at: Timestamp,
        #[serde(skip)]
        pub tool_call_id: Option<String>,
    }
}

record! {
    /// Which life an agent name has now.
    #[derive(Debug, Clone)]
    struct CallerLife in "activity_callers_v1" key(agent_name: AgentName) {
        agent_name: AgentName,
        incarnation: IncarnationId,
    }
}

/// Which entries a list shows; values of one field are alternatives, an empty field is none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ActivityFilter {
    /// Of these agents.
    pub agent: Vec<AgentName>,
    /// Of this life only.
    pub incarnation: Option<IncarnationId>,
    /// Of these types.
    pub activity_type: Vec<ActivityType>,
    /// In these states.
    pub activity_state: Vec<ActivityState>,
    /// About this execution.
    pub related_execution_id: Option<ExecutionId>,
    /// Created at that time or later.
    pub start_time: Option<DateTime<Utc>>,
    /// Created before that time.
    pub end_time: Option<DateTime<Utc>>,
}

impl Filter for ActivityFilter {
    const LIST: &'static str = "activities";
}

impl Listed for ActivityRow {
    fn place(&self) -> Place {
        Place { created_at: self.created_at.0.timestamp_micros(), row_no: self.row_no }
    }
}

/// Queries over activities.
#[derive(Debug)]
pub struct Activities<'a>(pub(super) &'a Db);

impl Activities<'_> {
    /// A page of the entries of agents that the viewer may see, newest first.
    pub async fn list(
        &self,
        viewer: &Viewer,
        filter: &ActivityFilter,
        page: &PageRequest,
    ) -> Result<Page<ActivityRow>, db::Error> {
        let mut select = select(viewer);
        narrow(&mut select, filter);
        page.finish(&mut select, "a", Order::NewestFirst);
        page.page(filter, self.0.query(select).await?)
    }

    /// An entry, if the viewer may see it.
    pub async fn get(
        &self,
        viewer: &Viewer,
        id: EventId,
    ) -> Result<Option<ActivityRow>, db::Error> {
        let mut select = select(viewer);
        select.push(" AND a.id = ").bind(id);
        Ok(self.0.fetch(select).await?.pop())
    }
}

/// The SELECT of what the viewer may see; it ends in a condition.
fn select(viewer: &Viewer) -> Statement {
    let (columns, table) = (ActivityRow::columns("a"), ActivityRow::TABLE);
    let mut select = Statement::new(format!("SELECT {columns} FROM {table} a WHERE 1 = 1"));
    visible_life(&mut select, "a.incarnation", viewer);
    select
}

fn narrow(select: &mut Statement, filter: &ActivityFilter) {
    let mut one_of = |column: &str, values: Vec<db::Value>| {
        if !values.is_empty() {
            select.push(&format!(" AND a.{column} IN (")).bind_list(values).push(")");
        }
    };
    one_of("agent_name", filter.agent.iter().map(db::Param::to_value).collect());
    one_of("incarnation", filter.incarnation.iter().map(db::Param::to_value).collect());
    one_of("activity_type", filter.activity_type.iter().map(db::Param::to_value).collect());
    one_of("activity_state", filter.activity_state.iter().map(db::Param::to_value).collect());
    let execution = filter.related_execution_id.iter().map(db::Param::to_value).collect();
    one_of("related_execution_id", execution);
    if let Some(from) = filter.start_time {
        select.push(" AND a.created_at >= ").bind(from);
    }
    if let Some(to) = filter.end_time {
        select.push(" AND a.created_at < ").bind(to);
    }
}

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
    fn end(self) -> Option<Self> {
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
pub(super) struct ActivitiesProjection;

#[async_trait]
impl Projection for ActivitiesProjection {
    fn name(&self) -> &'static str {
        "activities"
    }

    fn version(&self) -> u32 {
        1
    }

    fn tables(&self) -> Vec<TableDef> {
        vec![
            TableDef::of::<ActivityRow>(&[
                "(created_at, row_no)",
                "(agent_name, created_at, row_no)",
                "(related_execution_id)",
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
            | E::LateResultObserved { .. } => {}
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
        let start = self.start(recorded, id)?;
        for open in self.open.get(&id).cloned().unwrap_or_default() {
            let is_tool = self.rows.get(&open).is_some_and(|row| row.tool_call_id.is_some());
            let unfinished = || "the run ended before the tool answered".to_owned();
            let error = if is_tool { Some(unfinished()) } else { error.clone() };
            let duration_ms = outcome.duration_ms.filter(|_| open == start);
            self.close(id, open, at, error, duration_ms);
        }
        let row = self.below(recorded, id, at)?;
        let began = self.rows.get(&start);
        let end = began.and_then(|began| began.activity_type.end());
        let duration_ms = began.and_then(|began| began.duration_ms);
        let end = end.ok_or_else(|| FoldError::event(recorded, "no start entry"))?;
        self.insert(ActivityRow {
            activity_type: end,
            completed_at: Some(at),
            duration_ms,
            error,
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
