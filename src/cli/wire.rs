//! The parts of the server's answers that are shown.
//!
//! These are not the types that the server writes: a client meets servers of other versions, so every
//! word is a text here, and what is missing is unknown rather than an error.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

/// An agent.
#[derive(Debug, Deserialize)]
pub struct Agent {
    pub name: String,
    pub status: String,
    pub phase: Option<String>,
    #[serde(rename = "type")]
    pub kind: Option<String>,
    pub failure: Option<Failure>,
    pub runtime: Option<String>,
    pub model: Option<String>,
    pub created: Option<DateTime<Utc>>,
    pub container_id: Option<String>,
    pub owner: Option<String>,
    #[serde(default)]
    pub autonomy: bool,
    #[serde(default)]
    pub slots: SlotCounts,
    pub execution_timeout_seconds: Option<u32>,
    pub isolation: Option<Value>,
    #[serde(default)]
    pub restart_needed: bool,
}

impl Agent {
    /// The finer of the two words for its state.
    pub fn state(&self) -> &str {
        self.phase.as_deref().unwrap_or(&self.status)
    }
}

/// The step of creation or start that failed.
#[derive(Debug, Deserialize)]
pub struct Failure {
    pub step: String,
    pub error: String,
}

/// How full an agent is.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct SlotCounts {
    pub active: u32,
    pub max: u32,
    pub queued: u32,
}

/// What a command on an agent leads to.
#[derive(Debug, Deserialize)]
pub struct AgentStatus {
    pub status: Option<String>,
}

/// An agent's pool.
#[derive(Debug, Deserialize)]
pub struct Capacity {
    pub slots: Vec<ActiveSlot>,
}

/// A slot that is taken.
#[derive(Debug, Deserialize)]
pub struct ActiveSlot {
    pub slot_number: u32,
    pub execution_id: Uuid,
    pub message_preview: String,
    pub duration_seconds: u64,
}

/// Who waits for an agent.
#[derive(Debug, Deserialize)]
pub struct Queue {
    pub is_busy: bool,
    pub queued_executions: Vec<QueuedExecution>,
}

/// An execution that waits.
#[derive(Debug, Deserialize)]
pub struct QueuedExecution {
    pub execution_id: Uuid,
    pub queue_position: u32,
    pub queued_at: DateTime<Utc>,
    pub message_preview: String,
}

/// The answer to a task that was submitted.
#[derive(Debug, Deserialize)]
pub struct Accepted {
    pub execution_id: Uuid,
    pub status: String,
    pub queue_position: Option<u32>,
}

/// The answer to a request to stop an execution.
#[derive(Debug, Deserialize)]
pub struct Terminated {
    pub execution_id: Uuid,
    pub status: String,
}

/// An execution.
#[derive(Debug, Deserialize)]
pub struct Execution {
    pub id: Uuid,
    pub agent_name: String,
    pub incarnation: Option<Uuid>,
    pub status: String,
    pub created_at: DateTime<Utc>,
    pub started_at: Option<DateTime<Utc>>,
    pub completed_at: Option<DateTime<Utc>>,
    pub duration_ms: Option<u64>,
    pub message: String,
    pub response: Option<String>,
    pub error: Option<String>,
    pub error_class: Option<String>,
    pub cost: Option<f64>,
    pub model_used: Option<String>,
    pub triggered_by: String,
    pub source_agent: Option<String>,
    pub parent_execution_id: Option<Uuid>,
    pub claude_session_id: Option<String>,
    pub queue_position: Option<u32>,
    pub queue_reason: Option<String>,
    pub cancel_phase: Option<String>,
    pub slot: Option<u32>,
    pub num_turns: Option<u32>,
    pub usage: Option<Usage>,
    pub tool_call_count: Option<u32>,
    pub exit_code: Option<i32>,
    pub lost_contact_at: Option<DateTime<Utc>>,
}

impl Execution {
    /// Whether nothing can change any more.
    pub fn is_over(&self) -> bool {
        matches!(self.status.as_str(), "completed" | "failed" | "cancelled")
    }
}

/// The tokens that were used.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Usage {
    #[serde(rename = "input_tokens")]
    pub input: u64,
    #[serde(rename = "output_tokens")]
    pub output: u64,
    #[serde(rename = "cache_read_tokens")]
    pub cache_read: u64,
}

/// A page of lines of a run.
#[derive(Debug, Deserialize)]
pub struct LogPage {
    pub entries: Vec<Box<serde_json::value::RawValue>>,
    pub next: Option<u64>,
}

/// One line of a run.
#[derive(Debug, Deserialize)]
pub struct Entry {
    pub kind: String,
    #[serde(default)]
    pub blocks: Vec<Block>,
    pub raw: Option<String>,
    pub truncated: Option<u64>,
    pub dropped: Option<Dropped>,
}

/// Output that was left out before a line.
#[derive(Debug, Deserialize)]
pub struct Dropped {
    pub lines: u64,
    pub bytes: u64,
}

/// A piece of a line.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Block {
    Text {
        text: String,
    },
    Thinking {
        text: String,
    },
    ToolUse {
        id: String,
        name: String,
        #[serde(default)]
        input: Value,
    },
    ToolResult {
        tool_use_id: String,
        #[serde(default)]
        is_error: bool,
        #[serde(default)]
        content: String,
    },
    #[serde(other)]
    Unknown,
}

/// What the stream of an execution says about its state.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct StatusFrame {
    pub status: Option<String>,
    pub cancel_phase: Option<String>,
}

/// An event of the log.
#[derive(Debug, Deserialize)]
pub struct Event {
    pub position: u64,
    #[serde(rename = "type")]
    pub kind: String,
    pub stream_type: String,
    pub stream_id: String,
    pub recorded_at: DateTime<Utc>,
    pub actor: Value,
    #[serde(default)]
    pub data: Value,
}

/// An event with what led to it and what it led to.
#[derive(Debug, Deserialize)]
pub struct EventWithCauses {
    pub event: Event,
    /// The nearest first.
    pub causes: Vec<Event>,
    /// Whether the first cause of all is among them.
    #[serde(default)]
    pub is_complete: bool,
    #[serde(default)]
    pub effects: Vec<Event>,
}

/// How the server is.
#[derive(Debug, Deserialize)]
pub struct Health {
    pub status: String,
    pub version: String,
    pub log_position: Option<i64>,
    pub agent_host: Option<Value>,
    #[serde(default)]
    pub projections: std::collections::BTreeMap<String, ProjectionHealth>,
}

/// How far a read model is.
#[derive(Debug, Deserialize)]
pub struct ProjectionHealth {
    pub position: i64,
    pub lag: i64,
    #[serde(default)]
    pub degraded: bool,
    pub error: Option<String>,
    pub rebuilding: Option<i64>,
}

/// A grant.
#[derive(Debug, Deserialize)]
pub struct Permission {
    pub caller: String,
    pub callee: String,
    pub granted_at: DateTime<Utc>,
    pub granted_by: String,
}

/// Whom an agent may call, and who may call it.
#[derive(Debug, Deserialize)]
pub struct Permissions {
    pub permitted_agents: Vec<Peer>,
    pub callers: Vec<Peer>,
}

/// Another agent.
#[derive(Debug, Deserialize)]
pub struct Peer {
    pub name: String,
    pub status: Option<String>,
}
