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

use super::agents::visible_life;
use super::keyset::{self, Branches, Found, Range};
use super::page::{Filter, Listed, Order, Page, PageRequest, Place};
use super::wire::{Timestamp, words};
use super::{Viewer, lives};
use crate::db::{self, Db, Json, Record, Statement, record, word_columns};
use crate::domain::execution::Source;
use crate::domain::{AccountId, AgentName, EventId, ExecutionId, IncarnationId};

pub(super) use fold::ActivitiesProjection;
pub use fold::ENTRIES_PER_EVENT_MAX;
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
    pub struct ActivityRow in "activities_v2" key(id: EventId) {
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
    struct CallerLife in "activity_callers_v2" key(agent_name: AgentName) {
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
        let lives = lives::of(self.0, viewer, &filter.agent, filter.incarnation).await?;
        let found = self.find(filter, lives, page).await?;
        let at = |row_no| filter.cursor_at(Place { created_at: 0, row_no });
        let next_cursor = found.rest.map(at);
        if found.row_nos.is_empty() {
            return Ok(Page { items: Vec::new(), next_cursor });
        }
        let mut select = select();
        select.push(" AND a.row_no").among(self.0, &found.row_nos);
        select.push(&format!(" ORDER BY a.row_no {}", Order::NewestFirst.word()));
        Ok(Page { items: self.0.fetch(select).await?, next_cursor })
    }

    /// The rows of a page. The entries of one execution are few; all others have an index for each
    /// combination of life, type and state.
    async fn find(
        &self,
        filter: &ActivityFilter,
        lives: Option<Vec<IncarnationId>>,
        page: &PageRequest,
    ) -> Result<Found, db::Error> {
        let (table, order) = (ActivityRow::TABLE, Order::NewestFirst);
        let micros = |at: Option<DateTime<Utc>>| at.map(|at| at.timestamp_micros());
        let (from, to) = (micros(filter.start_time), micros(filter.end_time));
        let mut range = Range::made_within(self.0, table, from, to).await?;
        if let Some((position, _)) = filter.until {
            range.to = range.to.min(fold::row_no_after(position));
        }
        if let Some(row_no) = page.after_row_no() {
            range = range.after(row_no, order);
        }
        if let Some(execution) = filter.related_execution_id {
            let mut select = about(execution, range);
            narrow(&mut select, filter, lives.as_deref());
            select.push(" ORDER BY a.row_no + 0 DESC LIMIT ").bind(page.limit() + 1);
            return Ok(Found::of(self.0.fetch_column(select).await?, page.limit()));
        }
        let branches = branches(filter, lives.as_deref());
        let row_nos = branches.first(self.0, range, order, page.limit() + 1).await?;
        Ok(Found::of(row_nos, page.limit()))
    }

    /// An entry, if the viewer may see it.
    pub async fn get(
        &self,
        viewer: &Viewer,
        id: EventId,
    ) -> Result<Option<ActivityRow>, db::Error> {
        let mut select = select();
        visible_life(&mut select, "a.incarnation", viewer);
        select.push(" AND a.id = ").bind(id);
        Ok(self.0.fetch(select).await?.pop())
    }
}

/// The SELECT of the rows about an execution; it ends in a condition.
fn about(execution: ExecutionId, range: Range) -> Statement {
    let table = ActivityRow::TABLE;
    let mut select = Statement::new(format!("SELECT a.row_no FROM {table} a WHERE 1 = 1"));
    select.push(" AND a.related_execution_id = ").bind(execution);
    select.push(" AND a.row_no + 0 >= ").bind(range.from);
    select.push(" AND a.row_no + 0 < ").bind(range.to);
    select
}

/// The combinations of columns that a list is merged from.
fn branches(filter: &ActivityFilter, lives: Option<&[IncarnationId]>) -> Branches<'static> {
    let mut columns = Vec::new();
    if let Some(lives) = lives {
        columns.push(("incarnation", keyset::values(lives)));
    }
    if !filter.activity_type.is_empty() || !filter.activity_state.is_empty() {
        columns.push(("activity_type", keyset::any_of(&filter.activity_type)));
        columns.push(("activity_state", keyset::any_of(&filter.activity_state)));
    }
    Branches { table: ActivityRow::TABLE, columns }
}

/// The SELECT of all columns; it ends in a condition that always holds.
fn select() -> Statement {
    let (columns, table) = (ActivityRow::columns("a"), ActivityRow::TABLE);
    Statement::new(format!("SELECT {columns} FROM {table} a WHERE 1 = 1"))
}

/// Appends what the filter says about single rows, and their lives.
fn narrow(select: &mut Statement, filter: &ActivityFilter, lives: Option<&[IncarnationId]>) {
    let mut one_of = |column: &str, values: Vec<db::Value>| {
        if !values.is_empty() {
            select.push(&format!(" AND a.{column} IN (")).bind_list(values).push(")");
        }
    };
    one_of("activity_type", keyset::values(&filter.activity_type));
    one_of("activity_state", keyset::values(&filter.activity_state));
    match lives {
        Some([]) => {
            select.push(" AND 1 = 0");
        }
        lives => one_of("incarnation", keyset::values(lives.unwrap_or_default())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::projections::testing;

    #[tokio::test]
    async fn every_combination_is_read_from_an_index_in_its_order() {
        let (_folder, db) = testing::empty(&ActivitiesProjection).await;
        let life = [IncarnationId(uuid::Uuid::nil())];
        for lives in [None, Some(&life[..])] {
            for activity_type in [vec![], vec![ActivityType::TaskStart, ActivityType::ToolCall]] {
                for activity_state in [vec![], vec![ActivityState::Failed]] {
                    let activity_type = activity_type.clone();
                    let none = ActivityFilter::default();
                    let filter = ActivityFilter { activity_type, activity_state, ..none };
                    let branches = branches(&filter, lives);
                    testing::assert_reads_in_order(&db, &branches, Order::NewestFirst).await;
                }
            }
        }
    }

    #[tokio::test]
    async fn what_is_about_an_execution_is_read_from_its_index() {
        let (_folder, db) = testing::empty(&ActivitiesProjection).await;
        let plan = testing::plan(&db, &about(ExecutionId(uuid::Uuid::nil()), Range::ALL)).await;
        assert!(plan[0].contains("related_execution_id=?"), "{plan:?}");
    }
}
