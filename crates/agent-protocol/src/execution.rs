//! The life of one execution as the agent server tells it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// One execution: `GET /executions/{id}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecutionStatus {
    /// The execution's id.
    pub id: String,
    /// Which attempt at it this is.
    pub epoch: u64,
    /// Where it stands.
    pub state: ExecutionState,
    /// The process id of the main process, seen from the agent server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<i32>,
    /// When the main process was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<DateTime<Utc>>,
    /// The number of the last stored output line; 0 before the first.
    pub last_seq: u64,
    /// The stop under way or done, if one was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop: Option<Stop>,
    /// How it ended, once it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<Exit>,
    /// What hinders the run at the moment, for example a full disk, while the run itself goes on; of one
    /// that has ended, why lines of its output are lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// Where an execution stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExecutionState {
    /// Accepted; the process is being started.
    Starting,
    /// The process, or something it left behind, lives.
    Running,
    /// Ended, and the whole process tree is gone.
    Exited,
    /// Ended, but nobody saw how; the process tree is gone.
    Lost,
    /// Cancelled or deleted; this epoch will never start.
    Tombstone,
}

impl ExecutionState {
    /// Tells whether the process tree is gone for good.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Exited | Self::Lost | Self::Tombstone)
    }
}

/// A stop under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    /// Why; the first reason stays.
    pub reason: StopReason,
    /// How far it has come.
    pub phase: StopPhase,
    /// When SIGINT was sent to the main process group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interrupt_sent_at: Option<DateTime<Utc>>,
    /// How long after SIGINT whatever is left was to be killed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grace_ms: Option<u64>,
    /// When SIGKILL was sent to every process of the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kill_sent_at: Option<DateTime<Utc>>,
}

/// How far a stop has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopPhase {
    /// Asked for, nothing sent yet.
    Requested,
    /// SIGINT was sent; the grace runs.
    Interrupting,
    /// SIGKILL was sent to every process of the run.
    Killing,
}

/// Why an execution is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// Somebody cancelled it.
    Cancel,
    /// Its agent is stopped.
    AgentStopped,
    /// Its timeout is over. The runner itself decides this.
    Timeout,
    /// The platform has no open record of it.
    Orphan,
    /// Its result was seen, but the process did not end.
    Finished,
    /// The agent server died. The runner itself decides this.
    AgentServerLost,
}

/// Stops an execution: `POST /executions/{id}/stop`.
///
/// An unknown id leaves a tombstone, so that a start of this epoch that comes later is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopRequest {
    /// The epoch meant; a newer one is left alone.
    pub epoch: u64,
    /// Why.
    pub reason: StopReason,
    /// Sends SIGKILL at once instead of SIGINT and a grace.
    #[serde(default)]
    pub force: bool,
}

/// How an execution ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// The exit code of the main process, unless a signal ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<i32>,
    /// The signal that ended the main process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    /// When the process tree was gone.
    pub ended_at: DateTime<Utc>,
    /// From the start to the end of the main process, on a clock that nobody sets.
    pub duration_ms: u64,
    /// Why it was stopped, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_reason: Option<StopReason>,
    /// Nobody saw the end: the runner died. Code, signal and duration are then unknown.
    #[serde(default)]
    pub lost: bool,
    /// The kernel killed the main process because the agent's memory was used up.
    #[serde(default)]
    pub out_of_memory: bool,
    /// The number of the last stored output line.
    pub last_seq: u64,
    /// How many left-over processes were killed.
    #[serde(default)]
    pub swept: u64,
    /// Output that was dropped because of a bound or because the disk was full to the end.
    #[serde(default)]
    pub dropped_lines: u64,
    /// The last bytes of stderr, at most [`crate::STDERR_TAIL_BYTES_MAX`].
    #[serde(default)]
    pub stderr_tail: String,
}
