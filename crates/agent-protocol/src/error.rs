//! What a refusal says.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The body of every answer that is not a success.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// What a program decides on.
    pub code: ErrorCode,
    /// What a person reads: what happened and what to do.
    pub message: String,
    /// Why a process could not be started, with [`ErrorCode::SpawnFailed`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<SpawnErrorClass>,
    /// The error number of the operating system, where there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errno: Option<i32>,
    /// The epoch that stands in the way, with the codes of a conflict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u64>,
    /// The version of the file that is there, with [`ErrorCode::FileChanged`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
}

impl ErrorBody {
    /// Makes a body with a code and a message alone.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), class: None, errno: None, epoch: None, etag: None }
    }
}

impl fmt::Display for ErrorBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// What went wrong, as a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// 400: the request cannot be read or breaks a bound.
    InvalidRequest,
    /// 404: no such execution, or no such route.
    NotFound,
    /// 405: the route does not know this method.
    MethodNotAllowed,
    /// 409: a newer epoch is here already.
    StaleEpoch,
    /// 409: this epoch was cancelled or deleted before it came; it will never start.
    Tombstone,
    /// 409: an older epoch is still here; stop it and delete it first.
    Occupied,
    /// 409: the execution has not ended, so it cannot be deleted.
    StillRunning,
    /// 404: no such file in the workspace.
    NoSuchFile,
    /// 409: the file, or what is in its way, is nothing that can be treated so; the message says why.
    FileRefused,
    /// 412: the file is not the version that was meant.
    FileChanged,
    /// 403: the file holds credentials.
    FileHoldsCredentials,
    /// 422: the timeout and the grace do not fit before the deadline.
    DeadlineTooNear,
    /// 503: the process could not be started; nothing ran.
    SpawnFailed,
    /// 503: as many runs or executions as fit are here already.
    Busy,
    /// 503: the agent server is about to end.
    ShuttingDown,
    /// 500: the agent server could not read or write its own state.
    Internal,
}

/// Why a process could not be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SpawnErrorClass {
    /// The executable does not exist (`ENOENT`).
    NotFound,
    /// The executable may not be executed (`EACCES`, `EPERM`) or is none (`ENOEXEC`).
    NotExecutable,
    /// The working directory is missing or cannot be entered.
    WorkingDirectory,
    /// The arguments and the environment are too big for the operating system (`E2BIG`).
    TooBig,
    /// The machine is out of processes, memory or file descriptors; it may work later.
    Resources,
    /// The state folder or a file of the run cannot be written; nothing was started.
    State,
    /// Anything else; the message says what.
    Other,
}

impl SpawnErrorClass {
    /// Tells whether the same request may succeed later without anybody changing it.
    pub fn is_transient(self) -> bool {
        matches!(self, Self::Resources | Self::State)
    }
}
