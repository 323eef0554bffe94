//! The words of an execution: what was asked for, how far it is, how it ended.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::domain::{AccountId, AgentName, ExecutionId, IncarnationId};

/// How an execution came to be.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    strum::IntoStaticStr,
    strum::EnumString,
    strum::VariantNames,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Trigger {
    /// A task that a person submitted.
    Manual,
    /// A cron fire.
    Schedule,
    /// A call over MCP, or by an agent's key.
    Mcp,
    /// A turn of a conversation.
    Chat,
    /// A request that was paid for.
    Paid,
    /// A step of a process.
    Process,
}

/// Who stands behind an execution.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    strum::EnumString,
    strum::IntoStaticStr,
    strum::VariantNames,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Source {
    /// A person.
    User,
    /// A schedule.
    Schedule,
    /// Another agent.
    Agent,
}

/// The wire's `status`.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    strum::IntoStaticStr,
    strum::EnumString,
    strum::VariantNames,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Status {
    /// Waiting for a slot, or granted one and not started.
    Pending,
    /// Its processes run.
    Running,
    /// It ended well.
    Completed,
    /// It ended badly.
    Failed,
    /// It was ended on request.
    Cancelled,
}

impl Status {
    /// Whether nothing can change any more.
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }
}

/// How far a stop has gone.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    strum::IntoStaticStr,
    strum::VariantNames,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum CancelPhase {
    /// Ended while it waited; no signal was needed.
    Queued,
    /// Asked for.
    Requested,
    /// The interrupt was sent.
    Interrupting,
    /// The kill was sent.
    Killing,
}

/// How a stop is carried out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Urgency {
    /// An interrupt, a grace, then the kill.
    #[default]
    Graceful,
    /// The kill at once.
    Kill,
}

/// Why an execution was cancelled.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    strum::IntoStaticStr,
    strum::VariantNames,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum CancelReason {
    /// Somebody asked.
    Requested,
    /// Somebody cleared the agent's queue.
    QueueCleared,
    /// Its agent was stopped.
    AgentStopped,
    /// Its agent was deleted.
    AgentDeleted,
}

/// Why an execution failed; the wire's `error_class`.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    strum::IntoStaticStr,
    strum::VariantNames,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum ErrorClass {
    /// It ran longer than it may.
    Timeout,
    /// The CLI ended without success.
    Exit,
    /// The model's service refused or failed.
    Api,
    /// Its budget was used up.
    Budget,
    /// Its turns were used up.
    MaxTurns,
    /// The CLI could not be started.
    Spawn,
    /// Its agent went down, or nothing was heard of it for too long.
    Lost,
    /// A permission it needs was gone when it was to start.
    Rejected,
    /// Its agent was deleted.
    AgentDeleted,
}

/// A task as submitted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// On which agent.
    pub agent: AgentName,
    /// On which life of it.
    pub incarnation: IncarnationId,
    /// By which road.
    pub triggered_by: Trigger,
    /// On whose behalf.
    pub source: Source,
    /// The person, if one stands behind it.
    #[serde(default)]
    pub source_user: Option<AccountId>,
    /// The calling agent.
    #[serde(default)]
    pub source_agent: Option<AgentName>,
    /// What to do.
    pub message: String,
    /// The model, if not the agent's.
    #[serde(default)]
    pub model: Option<String>,
    /// The only tools it may use; none is the agent's.
    #[serde(default)]
    pub allowed_tools: Option<Vec<String>>,
    /// Text added to the CLI's own system prompt.
    #[serde(default)]
    pub system_prompt: Option<String>,
    /// How long it may run, in seconds, if not as long as the agent allows.
    #[serde(default)]
    pub timeout_seconds: Option<u32>,
    /// How many turns it may take.
    #[serde(default)]
    pub max_turns: Option<u32>,
    /// The CLI session to go on with.
    #[serde(default)]
    pub resume_session_id: Option<String>,
    /// Whether it is a turn of a conversation, of which one at a time is active.
    #[serde(default)]
    pub is_chat_turn: bool,
    /// The execution that called for this one.
    #[serde(default)]
    pub parent_execution_id: Option<ExecutionId>,
    /// The schedule that fired.
    #[serde(default)]
    pub schedule_id: Option<Uuid>,
    /// The conversation it belongs to.
    #[serde(default)]
    pub chat_session_id: Option<Uuid>,
    /// The run of a process it belongs to.
    #[serde(default)]
    pub process_run_id: Option<Uuid>,
    /// The step of that process.
    #[serde(default)]
    pub step_id: Option<String>,
    /// The payment that bought it.
    #[serde(default)]
    pub payment_id: Option<String>,
    /// Free words to find it by.
    #[serde(default)]
    pub tags: Vec<String>,
}

/// One thing that the output said about a tool call.
#[derive(Debug, Clone, PartialEq)]
pub enum ToolCall {
    /// The CLI called a tool.
    Started {
        /// The output line that said so.
        seq: u64,
        /// The CLI's own id of the call.
        tool_call_id: String,
        /// The tool.
        name: String,
        /// The beginning of its input, for people.
        input_preview: String,
        /// When the line was written.
        at: DateTime<Utc>,
    },
    /// The tool has answered.
    Finished {
        /// The output line that said so.
        seq: u64,
        /// The CLI's own id of the call.
        tool_call_id: String,
        /// Whether the tool reported an error.
        is_error: bool,
        /// When the line was written.
        at: DateTime<Utc>,
    },
}

impl ToolCall {
    /// The output line it was read from.
    pub fn seq(&self) -> u64 {
        match self {
            Self::Started { seq, .. } | Self::Finished { seq, .. } => *seq,
        }
    }
}

/// What the end of a run means, before any cancel request is taken into account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The task is done.
    Completed,
    /// It is not.
    Failed {
        /// Why, for programs.
        class: ErrorClass,
        /// Why, for people.
        error: String,
    },
}

/// How the main process ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitStatus {
    /// The exit code, if it exited.
    #[serde(default)]
    pub code: Option<i32>,
    /// The signal, if one ended it.
    #[serde(default)]
    pub signal: Option<i32>,
}

/// Tokens used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    pub input_tokens: u64,
    pub output_tokens: u64,
    pub cache_read_tokens: u64,
    pub cache_creation_tokens: u64,
}

/// What a run leaves behind, whether it ended well or not.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// The answer, or as much of it as an event holds.
    #[serde(default)]
    pub response: Option<String>,
    /// Where the whole answer is, when it is larger than that.
    #[serde(default)]
    pub response_ref: Option<String>,
    /// Cost in millionths of a dollar, as the CLI reported it.
    #[serde(default)]
    pub cost_usd_micros: Option<i64>,
    /// Tokens used.
    #[serde(default)]
    pub usage: Option<Usage>,
    /// Turns taken.
    #[serde(default)]
    pub num_turns: Option<u32>,
    /// Tokens in the context at the end.
    #[serde(default)]
    pub context_used: Option<u64>,
    /// Tokens that the context holds.
    #[serde(default)]
    pub context_max: Option<u64>,
    /// The model that answered.
    #[serde(default)]
    pub model_used: Option<String>,
    /// How many tools were called, recorded or not.
    #[serde(default)]
    pub tool_call_count: u32,
    /// How the main process ended; none when nobody saw it.
    #[serde(default)]
    pub exit: Option<ExitStatus>,
    /// When it ended, by the supervisor's clock.
    #[serde(default)]
    pub ended_at: Option<DateTime<Utc>>,
    /// How long it ran, in milliseconds, by the supervisor's monotonic clock.
    #[serde(default)]
    pub duration_ms: Option<u64>,
}

impl Outcome {
    /// The outcome of a run of which only the time of its end is known.
    pub fn ended(at: DateTime<Utc>) -> Self {
        Self { ended_at: Some(at), ..Self::default() }
    }
}
