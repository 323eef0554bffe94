//! Types, paths and bounds that the platform and the agent server share. No I/O.
//!
//! The agent server speaks HTTP over a byte stream. One *execution* is one supervised process tree,
//! named by its id; `epoch` counts the attempts at it, so that a late message of an older attempt
//! can be told from the current one. Bodies are JSON, output is NDJSON, refusals are [`ErrorBody`].

mod error;
mod execution;
mod files;
mod isolation;
mod kept_files;
mod masks;
mod output;
pub mod paths;
mod start;

pub use error::{ErrorBody, ErrorCode, SpawnErrorClass};
pub use execution::{
    ExecutionState, ExecutionStatus, Exit, Stop, StopPhase, StopReason, StopRequest,
};
pub use files::{
    FILE_BYTES_MAX, FILE_ENTRIES_MAX, FileEntry, FileKind, FilePage, FileQuery, FilesQuery,
};
pub use isolation::{Isolation, IsolationKind};
pub use kept_files::{KEPT_BYTES_MAX, KEPT_FILES_MAX, KeptFile, KeptFiles, path_is_below};
pub use masks::{MASK, MASKED_BYTES_MIN, MASKED_TEXTS_MAX, Masks};
pub use output::{Dropped, LineStream, OutputLine};
pub use start::{FileSpec, InvalidRequest, StartRequest, execution_id_is_valid};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// The version of this protocol. The platform speaks this one and the one before it.
pub const PROTOCOL_VERSION: u32 = 1;

/// The variable that every process of a run carries, holding the execution's id.
pub const EXECUTION_ID_VARIABLE: &str = "TRINITY_EXECUTION_ID";

/// What a connection is upgraded to on which the agent server asks, see [`paths::GATEWAY`].
pub const GATEWAY_UPGRADE: &str = "trinity-gateway";

/// How many bytes of one line are kept; the rest of a longer line is dropped and marked.
pub const LINE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// How many bytes one line of NDJSON output can take on the wire.
///
/// A control character takes six bytes in JSON; bytes that are no UTF-8 come a second time as base64.
pub const OUTPUT_LINE_WIRE_BYTES_MAX: usize = 8 * LINE_BYTES_MAX;

/// How many bytes of output of one execution are stored as they come.
///
/// Beyond it the middle is dropped and counted, see [`Dropped`]; the tail is always kept.
pub const OUTPUT_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// How many of the last bytes are kept once [`OUTPUT_BYTES_MAX`] is reached.
pub const OUTPUT_TAIL_BYTES_MAX: usize = 32 * 1024 * 1024;

/// How many of the last bytes of stderr an [`Exit`] carries.
pub const STDERR_TAIL_BYTES_MAX: usize = 64 * 1024;

/// How many bytes the body of a request may have.
pub const REQUEST_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The longest timeout of an execution in milliseconds: one day.
pub const TIMEOUT_MS_MAX: u64 = 86_400_000;

/// The time between SIGINT and SIGKILL in milliseconds, unless the request says otherwise.
pub const GRACE_MS_DEFAULT: u64 = 5_000;

/// The longest time between SIGINT and SIGKILL in milliseconds.
pub const GRACE_MS_MAX: u64 = 60_000;

/// How many executions one agent server runs at once, probes included.
pub const RUNS_MAX: usize = 128;

/// How many executions one agent server holds, ended ones that were not deleted included.
pub const EXECUTIONS_MAX: usize = 10_000;

/// How many lines one answer of the output route holds when it does not follow.
pub const OUTPUT_LINES_MAX: u64 = 100_000;

/// Who answers: `GET /info`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Info {
    /// [`PROTOCOL_VERSION`] of the agent server.
    pub protocol: u32,
    /// The version of the executable.
    pub version: String,
    /// A random id of this life of the agent server; another one means that it was started again.
    pub boot_id: String,
    /// The incarnation of the agent that this server serves.
    pub incarnation: String,
    /// When this life of the agent server began.
    pub started_at: DateTime<Utc>,
    /// The agent's workspace, the working directory of runs that name none.
    pub workspace: String,
    /// What a run is given as `HOME`; the same in every life of the agent.
    pub home: String,
    /// The folder under which a run finds its files as `FOLDER/<execution id>/<name>`.
    pub files: String,
    /// The folder for temporary files of the agent alone; the machine's own when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tmp: Option<String>,
    /// The search path of runs, where the agent server's own surroundings say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The address at which runs reach their model's API through the platform, if they can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<String>,
    /// Whether runs can be held to [`StartRequest::writable_folders`]; older servers do not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restricts_writes: Option<bool>,
    /// What keeps its runs apart from everything else; older servers have nothing.
    #[serde(default)]
    pub isolation: Isolation,
}

/// Ends the agent server: `POST /shutdown`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShutdownRequest {
    /// The time between SIGINT and SIGKILL for every run; each run's own when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grace_ms: Option<u64>,
}
