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

mod fold;
mod past;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Viewer;
use super::agents::visible_life;
use super::page::{Filter, Listed, Order, Page, PageRequest, Place};
use super::wire::{Timestamp, words};
use crate::db::{self, Db, Json, Record, Statement, record, word_columns};
use crate::domain::execution::Source;
use crate::domain::{AccountId, AgentName, EventId, ExecutionId, IncarnationId};

pub(super) use fold::ActivitiesProjection;
pub use past::{LOOKED_AT_MAX, PastActivities};

/// How much of a message or an error an entry shows, in characters.
pub const DETAIL_CHARS_MAX: usize = 500;

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
    /// Made by an event up to that position, with the time at which it was recorded.
    pub until: Option<(i64, DateTime<Utc>)>,
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
    if let Some((position, recorded_at)) = filter.until {
        // The time says the same, as an index can use it.
        select.push(" AND a.created_at <= ").bind(recorded_at);
        select.push(" AND a.row_no < ").bind(fold::row_no_after(position));
    }
}
