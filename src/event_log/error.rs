//! What can go wrong with the log, as far as a caller decides on it.

use std::fmt;
use std::sync::Arc;

use super::migrations::MigrateError;
use crate::domain::StreamId;

/// The database did not do it, for a reason that passes: it is away, full, or overloaded.
///
/// Nothing that was acknowledged is affected. What was being appended may or may not have been
/// committed; a caller that repeats it under the same idempotency key finds out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the event log is not available: {0}")]
pub struct Unavailable(Arc<str>);

impl Unavailable {
    /// An outage, with its reason in words for an operator.
    pub fn new(reason: impl fmt::Display) -> Self {
        Self(reason.to_string().into())
    }
}

/// Why the log was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file cannot be made or used.
    #[error("cannot open the event log {path}")]
    File {
        /// The file asked for.
        path: String,
        /// What the system or SQLite said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The database server cannot be reached, or refuses the user or the database.
    #[error("cannot connect to the Postgres of the event log; check the database URL")]
    Connect(#[source] sqlx::Error),
    /// The database server is too old.
    #[error("the event log needs Postgres {needed} or later; this server is version {found}")]
    ServerTooOld {
        /// The server's own word.
        found: String,
        /// The oldest major version that works.
        needed: i32,
    },
    /// The tables do not fit this build.
    #[error("cannot use the tables of the event log")]
    Schema(#[from] MigrateError),
    /// The log opened, but could not be read.
    #[error("cannot read the event log")]
    Read(#[from] LogError),
}

/// Why the log could not be read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LogError {
    /// See [`Unavailable`].
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// A position is missing: the log was damaged, never merely late.
    #[error("position {expected} is missing from the event log")]
    Hole {
        /// The position that should be there.
        expected: i64,
    },
    /// The reader has seen more than this log holds: it speaks of another log, or a backup was restored.
    #[error("position {after} is beyond {head}, the end of the event log")]
    BeyondHead {
        /// Where the reader was.
        after: i64,
        /// Where the log ends.
        head: i64,
    },
    /// A row that this build cannot read: written by a newer one, or damaged.
    #[error("the event at position {position} cannot be read: {reason}")]
    Unreadable {
        /// Where the row stands.
        position: i64,
        /// What is wrong with it.
        reason: Arc<str>,
    },
}

/// An append that no database would take, refused before it reaches one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// Text with U+0000, which Postgres cannot store.
    #[error("{0} contains the character U+0000")]
    NulCharacter(&'static str),
    /// An event that does not become JSON.
    #[error("the event {event_type} cannot be written as JSON: {reason}")]
    Unserialisable {
        /// The event's name.
        event_type: String,
        /// What serde said.
        reason: String,
    },
    /// More than one append may hold.
    #[error("the append has {found} {what}; at most {max} are possible")]
    TooLarge {
        /// What there is too much of.
        what: &'static str,
        /// How much there is.
        found: usize,
        /// How much there may be.
        max: usize,
    },
    /// The decision used a stream that its plan does not name.
    #[error("the plan of this append does not name the stream {0}")]
    NotPlanned(StreamId),
    /// The plan names no stream, or more than an append spans.
    #[error("an append spans 1 to {streams_max} streams and up to {guards_max} guards")]
    Plan {
        /// The most streams.
        streams_max: usize,
        /// The most guards.
        guards_max: usize,
    },
    /// The database refused this append, and only this one.
    #[error("the database refused the event: {0}")]
    Rejected(String),
}

/// Why a command has not been carried out.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ExecuteError<E> {
    /// The aggregate said no, on fresh state.
    #[error(transparent)]
    Refused(E),
    /// Others kept winning; every attempt was used up. Nothing was written.
    #[error("other writers kept changing the same streams; try again")]
    Conflict,
    /// See [`Unavailable`].
    #[error(transparent)]
    Unavailable(Unavailable),
    /// The append can never succeed. Nothing was written.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The streams could not be read.
    #[error(transparent)]
    Log(LogError),
}

impl<E> From<LogError> for ExecuteError<E> {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Unavailable(unavailable) => Self::Unavailable(unavailable),
            error => Self::Log(error),
        }
    }
}
