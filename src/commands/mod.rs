//! Commands that several aggregates decide together, in one append.
//!
//! Each is a thin function over [`EventLog::transact`]: it
//! names the streams, lets the aggregates decide in the order in which the log shows it, and says
//! what came of it. Handlers, reactors and the command line share them.

pub mod accounts;
pub mod agents;
mod cause;
mod expected;
pub mod ids;
pub mod permissions;
pub mod reports;
pub mod runs;
pub mod tasks;

pub use cause::Cause;
pub use expected::{Expected, Target};

use std::sync::Arc;

use crate::domain::account::AccountError;
use crate::domain::agent::AgentError;
use crate::domain::execution::ExecutionError;
use crate::domain::slots::SlotsError;
use crate::domain::{Recorded, StreamId};
use crate::event_log::{EventLog, ExecuteError, LogError};

/// Why a command over several aggregates is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// By the agent.
    #[error(transparent)]
    Agent(#[from] AgentError),
    /// By the agent's slots.
    #[error(transparent)]
    Slots(#[from] SlotsError),
    /// By the execution.
    #[error(transparent)]
    Execution(#[from] ExecutionError),
    /// By the account.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// By the rules about who may submit what.
    #[error(transparent)]
    Submit(#[from] tasks::SubmitError),
    /// By the caller's own condition.
    #[error("the agent has changed since you read it: it is at version {version} now")]
    Stale {
        /// The version of the agent's stream.
        version: i64,
    },
}

/// The outcome of a command over several aggregates.
pub type Result<T> = std::result::Result<T, ExecuteError<Refusal>>;

/// The first event of a stream, if a request with this very body wrote it; one without a digest is nobody's.
async fn begun_by(
    log: &EventLog,
    stream: &StreamId,
    body_sha256: Option<&str>,
) -> std::result::Result<Option<Arc<Recorded>>, LogError> {
    let first = log.stream(stream, 0, 1).await?.pop();
    let is_same = |first: &Arc<Recorded>| {
        body_sha256.is_some() && first.metadata.body_sha256.as_deref() == body_sha256
    };
    Ok(first.filter(is_same))
}

#[cfg(test)]
mod tests;
