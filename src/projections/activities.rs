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
//! entry below it; both have its cost then. A cancelled run closes as `failed` with the error
//! `cancelled` and has an `execution_cancelled` entry below it. Tool calls are below the start entry.
//!
//! Words of messages are found by the index that `executions` keeps of them.

mod fold;
mod list;
mod past;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::agents::visible_life;
use super::keyset::Found;
use super::page::{Filter, Page, PageRequest, Place};
use super::wire::{Cost, Timestamp, words};
use super::{Viewer, lives};
use crate::db::{self, Db, Json, Record, Statement, record, word_columns};
use crate::domain::execution::Source;
use crate::domain::{AccountId, AgentName, EventId, ExecutionId, IncarnationId};

pub(super) use fold::ActivitiesProjection;
pub use fold::ENTRIES_PER_EVENT_MAX;
pub use past::{FOLDED_MAX, PastActivities};

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
    strum::EnumIter,
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
    pub struct ActivityRow in "activities_v3" key(id: EventId) {
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
        /// What the run cost in dollars, in the entries of its beginning and its end, once it is known.
        #[schema(required = true)]
        pub cost: Option<Cost>,
        pub created_at: Timestamp,
        #[serde(skip)]
        pub tool_call_id: Option<String>,
    }
}

record! {
    /// Which life an agent name has now.
    #[derive(Debug, Clone)]
    struct CallerLife in "activity_callers_v3" key(agent_name: AgentName) {
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
    /// Triggered by one of these.
    pub triggered_by: Vec<Source>,
    /// About this execution.
    pub related_execution_id: Option<ExecutionId>,
    /// Of a beginning or an end of a run that is known to have cost this much or more.
    pub cost_min: Option<Cost>,
    /// Of a beginning or an end of a run that is known to have cost this much or less.
    pub cost_max: Option<Cost>,
    /// That open with a message with every word of this text in it, without regard to case: those that a
    /// request has made.
    pub q: Option<String>,
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

impl ActivityFilter {
    /// The text that is searched for, if there is any in it.
    pub fn words(&self) -> Option<&str> {
        self.q.as_deref().filter(|text| !text.trim().is_empty())
    }

    fn has_cost(&self) -> bool {
        self.cost_min.is_some() || self.cost_max.is_some()
    }

    /// Whether an entry has a cost that is asked for.
    fn allows_cost(&self, cost: Option<Cost>) -> bool {
        self.cost_min.is_none_or(|least| cost.is_some_and(|cost| cost >= least))
            && self.cost_max.is_none_or(|most| cost.is_some_and(|cost| cost <= most))
    }
}

/// Queries over activities.
#[derive(Debug)]
pub struct Activities<'a>(pub(super) &'a Db);

impl Activities<'_> {
    /// A page of the entries of agents that the viewer may see, newest first.
    ///
    /// Where no index knows which entries fit, it ends after about [`super::LOOKED_AT_MAX`] that were
    /// looked at: it may then be shorter than asked for and still lead to a next one.
    pub async fn list(
        &self,
        viewer: &Viewer,
        filter: &ActivityFilter,
        page: &PageRequest,
    ) -> Result<Page<ActivityRow>, db::Error> {
        let (items, rest) = self.rows(viewer, filter, page).await?;
        let at = |row_no| filter.cursor_at(Place { created_at: 0, row_no });
        Ok(Page { items, next_cursor: rest.map(at) })
    }

    /// The rows of a page, and after which number the next one begins, if there may be one.
    async fn rows(
        &self,
        viewer: &Viewer,
        filter: &ActivityFilter,
        page: &PageRequest,
    ) -> Result<(Vec<ActivityRow>, Option<i64>), db::Error> {
        let lives = lives::of(self.0, viewer, &filter.agent, filter.incarnation).await?;
        let Found { row_nos, rest } = list::find(self.0, filter, lives.as_deref(), page).await?;
        if row_nos.is_empty() {
            return Ok((Vec::new(), rest));
        }
        let mut select = select();
        select.push(" AND e.row_no").among(self.0, &row_nos);
        select.push(&format!(" ORDER BY e.row_no {}", list::ORDER.word()));
        Ok((self.0.fetch(select).await?, rest))
    }

    /// An entry, if the viewer may see it.
    pub async fn get(
        &self,
        viewer: &Viewer,
        id: EventId,
    ) -> Result<Option<ActivityRow>, db::Error> {
        let mut select = select();
        visible_life(&mut select, "e.incarnation", viewer);
        select.push(" AND e.id = ").bind(id);
        Ok(self.0.fetch(select).await?.pop())
    }
}

/// The SELECT of all columns; it ends in a condition that always holds.
fn select() -> Statement {
    let (columns, table) = (ActivityRow::columns("e"), ActivityRow::TABLE);
    Statement::new(format!("SELECT {columns} FROM {table} e WHERE 1 = 1"))
}
