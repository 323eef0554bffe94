//! `executions`: one row per execution, of every life of every agent.
//!
//! Reads every event of executions, and of slots `ExecutionEnqueued`, `SlotAcquired` and
//! `ExecutionDequeued` for the place in the queue. A message longer than [`PREVIEW_CHARS_MAX`] stands
//! whole in a table beside, so that a row that changes with every tool call stays small. The words of
//! messages are indexed for search, and those that have ended are counted by when they were created and
//! by when they ended, each in tables beside.

pub(super) mod counts;
pub(super) mod ends;
mod fold;
mod latest;
mod list;
pub(super) mod words;

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::agents::visible_life;
use super::keyset::Found;
use super::page::{Filter, LIMIT_MAX, Order, Page, PageRequest, Place};
use super::wire::{Cost, Timestamp, words, words_or_null};
use super::{Viewer, keyset, lives, narrow};
use crate::db::{self, Db, Json, Record, Statement, record};
use crate::domain::execution::{CancelPhase, CancelReason, ErrorClass, Source, Status, Trigger};
use crate::domain::slots::SuspendReason;
use crate::domain::{AccountId, AgentName, ExecutionId, IncarnationId};

pub(super) use fold::{ExecutionsProjection, stream_id};
pub use latest::LatestExecution;
pub use words::{MessageWords, WORD_CHARS_MAX, WORDS_BYTES_MAX};

/// How much of a message, a response or an error a list shows, in characters.
pub const PREVIEW_CHARS_MAX: usize = 2_000;

record! {
    /// An execution. In a list its texts are cut at [`PREVIEW_CHARS_MAX`] characters.
    #[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
    #[schema(as = Execution)]
    pub struct ExecutionRow in "executions_v3" key(id: ExecutionId) {
        #[schema(value_type = Uuid)]
        pub id: ExecutionId,
        #[schema(value_type = String)]
        pub agent_name: AgentName,
        /// The life of the agent it ran in.
        #[schema(value_type = Uuid)]
        pub incarnation: IncarnationId,
        #[serde(skip)]
        pub row_no: i64,
        #[schema(schema_with = words::<Status>)]
        pub status: Status,
        pub created_at: Timestamp,
        #[schema(required = true)]
        pub started_at: Option<Timestamp>,
        #[schema(required = true)]
        pub completed_at: Option<Timestamp>,
        #[schema(required = true)]
        pub duration_ms: Option<u64>,
        pub message: String,
        #[schema(required = true)]
        pub response: Option<String>,
        /// Where the whole response is, when it is longer than a record holds.
        #[schema(required = true)]
        pub response_ref: Option<String>,
        #[schema(required = true)]
        pub error: Option<String>,
        #[schema(required = true, schema_with = words_or_null::<ErrorClass>)]
        pub error_class: Option<ErrorClass>,
        /// In dollars, as the CLI reported it.
        #[schema(required = true)]
        pub cost: Option<Cost>,
        /// The model that was asked for, if any was.
        #[schema(required = true)]
        pub model: Option<String>,
        #[schema(required = true)]
        pub model_used: Option<String>,
        #[schema(schema_with = words::<Trigger>)]
        pub triggered_by: Trigger,
        #[schema(schema_with = words::<Source>)]
        pub source: Source,
        #[schema(required = true, value_type = Option<String>)]
        pub source_agent: Option<AgentName>,
        #[schema(required = true, value_type = Option<Uuid>)]
        pub source_user: Option<AccountId>,
        #[schema(required = true, value_type = Option<Uuid>)]
        pub parent_execution_id: Option<ExecutionId>,
        #[schema(required = true)]
        pub schedule_id: Option<Uuid>,
        #[schema(required = true)]
        pub chat_session_id: Option<Uuid>,
        pub is_chat_turn: bool,
        #[schema(required = true)]
        pub claude_session_id: Option<String>,
        /// The CLI session it goes on with, if any.
        #[schema(required = true)]
        pub resume_session_id: Option<String>,
        /// How long it may run: what the slot granted, or what was asked for.
        #[schema(required = true)]
        pub timeout_seconds: Option<u32>,
        #[schema(required = true)]
        pub max_turns: Option<u32>,
        /// The only tools it may use; null is the agent's.
        #[schema(required = true, value_type = Option<Vec<String>>)]
        pub allowed_tools: Option<Json<Vec<String>>>,
        #[schema(required = true)]
        pub num_turns: Option<u32>,
        #[schema(required = true, value_type = Option<Usage>)]
        pub usage: Option<Json<Usage>>,
        #[schema(required = true)]
        pub context_used: Option<u64>,
        #[schema(required = true)]
        pub context_max: Option<u64>,
        #[schema(required = true)]
        pub exit_code: Option<i32>,
        #[schema(required = true)]
        pub exit_signal: Option<i32>,
        pub tool_call_count: u32,
        /// The slot it holds or held.
        #[schema(required = true)]
        pub slot: Option<u32>,
        #[schema(required = true)]
        pub epoch: Option<u32>,
        #[schema(required = true, schema_with = words_or_null::<CancelPhase>)]
        pub cancel_phase: Option<CancelPhase>,
        #[schema(required = true, schema_with = words_or_null::<CancelReason>)]
        pub cancel_reason: Option<CancelReason>,
        /// Who asked for its end.
        #[schema(required = true)]
        pub cancelled_by: Option<String>,
        /// Since when nothing has been heard of it.
        #[schema(required = true)]
        pub lost_contact_at: Option<Timestamp>,
        #[schema(value_type = Vec<String>)]
        pub tags: Json<Vec<String>>,
        /// Since when its transcript is gone, as the retention setting said.
        #[schema(required = true)]
        pub transcript_removed_at: Option<Timestamp>,
        #[serde(skip)]
        pub cost_class: Option<u32>,
        #[serde(skip)]
        pub queue_no: Option<u64>,
        #[serde(skip)]
        pub message_is_cut: bool,
    }
    derived {
        /// Its place among those that wait for the agent, from 1.
        #[schema(required = true)]
        pub queue_position: Option<u32>,
        /// Why nothing is granted while it waits; null when only slots are missing.
        #[schema(required = true, schema_with = words_or_null::<SuspendReason>)]
        pub queue_reason: Option<SuspendReason>,
    }
}

/// Tokens used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, serde::Deserialize, ToSchema)]
pub struct Usage {
    pub input_tokens: u64,
    pub output_tokens: u64,
    pub cache_read_tokens: u64,
    pub cache_creation_tokens: u64,
}

record! {
    /// A message that is longer than a row of the list holds.
    #[derive(Debug, Clone)]
    struct LongMessage in "execution_messages_v3" key(id: ExecutionId) {
        id: ExecutionId,
        message: String,
    }
}

/// Which executions a list shows; values of one field are alternatives, an empty field is none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExecutionFilter {
    /// Of these agents.
    pub agent: Vec<AgentName>,
    /// Of this life only.
    pub incarnation: Option<IncarnationId>,
    /// With one of these statuses.
    pub status: Vec<Status>,
    /// That came about in one of these ways.
    pub triggered_by: Vec<Trigger>,
    /// Called for by this execution.
    pub parent_execution_id: Option<ExecutionId>,
    /// Created at that time or later.
    pub from: Option<DateTime<Utc>>,
    /// Created before that time.
    pub to: Option<DateTime<Utc>>,
    /// Known to have cost this much or more.
    pub cost_min: Option<Cost>,
    /// Known to have cost this much or less.
    pub cost_max: Option<Cost>,
    /// With every word of this text in the message, without regard to case.
    pub q: Option<String>,
    /// In which order.
    pub order: Order,
}

impl Filter for ExecutionFilter {
    const LIST: &'static str = "executions";
}

impl ExecutionFilter {
    /// Whether it asks for more than is counted as executions come and go.
    pub(super) fn is_beyond_counts(&self) -> bool {
        self.words().is_some() || self.has_cost() || self.parent_execution_id.is_some()
    }

    /// The text that is searched for, if there is any in it.
    fn words(&self) -> Option<&str> {
        self.q.as_deref().filter(|text| !text.trim().is_empty())
    }

    fn has_cost(&self) -> bool {
        self.cost_min.is_some() || self.cost_max.is_some()
    }

    /// Whether it says anything about single rows beside their words and their time.
    fn narrows_rows(&self) -> bool {
        self.has_cost()
            || self.parent_execution_id.is_some()
            || !self.status.is_empty()
            || !self.triggered_by.is_empty()
    }
}

/// Queries over executions.
#[derive(Debug)]
pub struct Executions<'a>(pub(super) &'a Db);

impl Executions<'_> {
    /// A page of the executions that the viewer may see, in the order of the filter.
    ///
    /// Where no index knows which rows fit, it ends after about [`super::LOOKED_AT_MAX`] that were looked
    /// at: it may then be shorter than asked for and still lead to a next one.
    pub async fn list(
        &self,
        viewer: &Viewer,
        filter: &ExecutionFilter,
        page: &PageRequest,
    ) -> Result<Page<ExecutionRow>, db::Error> {
        let lives = lives::of(self.0, viewer, &filter.agent, filter.incarnation).await?;
        let found = list::find(self.0, filter, lives, page).await?;
        let items = self.rows(&found.row_nos, filter.order).await?;
        let at = |row_no| filter.cursor_at(Place { created_at: 0, row_no });
        Ok(Page { items, next_cursor: found.rest.map(at) })
    }

    /// The numbers of the first rows that fit, at most [`LIMIT_MAX`], in the order of the filter.
    pub(super) async fn matching(
        &self,
        filter: &ExecutionFilter,
        lives: Option<Vec<IncarnationId>>,
    ) -> Result<Found, db::Error> {
        list::find(self.0, filter, lives, &PageRequest::first(LIMIT_MAX)).await
    }

    async fn rows(&self, row_nos: &[i64], order: Order) -> Result<Vec<ExecutionRow>, db::Error> {
        if row_nos.is_empty() {
            return Ok(Vec::new());
        }
        let mut select = Statement::new(select(Texts::Cut));
        select.push(" AND e.row_no").among(self.0, row_nos);
        select.push(&format!(" ORDER BY e.row_no {}", order.word()));
        self.0.fetch(select).await
    }

    /// Those of these executions that have not ended and that the viewer may see, the newest first.
    pub async fn open_among(
        &self,
        viewer: &Viewer,
        ids: &[ExecutionId],
    ) -> Result<Vec<ExecutionRow>, db::Error> {
        let open = ExecutionFilter {
            status: vec![Status::Pending, Status::Running],
            ..ExecutionFilter::default()
        };
        let mut rows: Vec<ExecutionRow> = Vec::new();
        for chunk in db::power_chunks(ids, db::LOOKUP_KEYS_MAX) {
            let mut select = Statement::new(select(Texts::Cut));
            select.push(" AND e.id IN (").bind_list(keyset::values(chunk)).push(")");
            narrow(&mut select, &open, None);
            visible_life(&mut select, "e.incarnation", viewer);
            rows.extend(self.0.fetch::<ExecutionRow>(select).await?);
        }
        rows.sort_by_key(|row| std::cmp::Reverse(row.row_no));
        // An id that stands in two chunks was found twice.
        rows.dedup_by_key(|row| row.row_no);
        Ok(rows)
    }

    /// An execution with its whole texts, whoever may see it.
    pub async fn get(&self, id: ExecutionId) -> Result<Option<ExecutionRow>, db::Error> {
        let mut select = Statement::new(select(Texts::Whole));
        select.push(" AND e.id = ").bind(id);
        Ok(self.0.fetch(select).await?.pop())
    }

    /// An execution with its whole texts, if the viewer may see it.
    pub async fn get_visible(
        &self,
        viewer: &Viewer,
        id: ExecutionId,
    ) -> Result<Option<ExecutionRow>, db::Error> {
        let mut select = Statement::new(select(Texts::Whole));
        select.push(" AND e.id = ").bind(id);
        visible_life(&mut select, "e.incarnation", viewer);
        Ok(self.0.fetch(select).await?.pop())
    }
}

#[derive(Clone, Copy)]
enum Texts {
    Cut,
    Whole,
}

/// The SELECT of all columns; it ends in a condition that always holds.
fn select(texts: Texts) -> String {
    let columns = ExecutionRow::COLUMNS.iter().map(|column| match (column.name, texts) {
        ("message", Texts::Whole) => format!(
            "CASE e.message_is_cut WHEN 0 THEN e.message ELSE \
             (SELECT m.message FROM {} m WHERE m.id = e.id) END",
            LongMessage::TABLE,
        ),
        (name @ ("response" | "error"), Texts::Cut) => {
            format!("substr(e.{name}, 1, {PREVIEW_CHARS_MAX})")
        }
        (name, _) => format!("e.{name}"),
    });
    let table = ExecutionRow::TABLE;
    format!(
        "SELECT {}, \
           CASE WHEN e.queue_no IS NULL THEN NULL ELSE (SELECT COUNT(*) FROM {table} q \
             WHERE q.incarnation = e.incarnation AND q.queue_no <= e.queue_no) END, \
           CASE WHEN e.queue_no IS NULL THEN NULL ELSE (SELECT s.suspended FROM {} s \
             WHERE s.incarnation = e.incarnation) END \
         FROM {table} e WHERE 1 = 1",
        columns.collect::<Vec<_>>().join(", "),
        super::slots::SlotsRow::TABLE,
    )
}

/// The columns that [`narrow`] asks about.
const NARROWED_COLUMNS: &str =
    "e.status, e.triggered_by, e.parent_execution_id, e.incarnation, e.cost";

/// Appends what the filter says about single rows, and their lives, to a SELECT over table `e`.
pub(super) fn narrow(
    select: &mut Statement,
    filter: &ExecutionFilter,
    lives: Option<&[IncarnationId]>,
) {
    narrow::one_of(select, "status", keyset::values(&filter.status));
    narrow::one_of(select, "triggered_by", keyset::values(&filter.triggered_by));
    let parent = keyset::values(filter.parent_execution_id.as_slice());
    narrow::one_of(select, "parent_execution_id", parent);
    narrow::lives(select, lives);
    narrow::cost(select, filter.cost_min, filter.cost_max);
}
