//! Events as they stand in the log: one enum for the whole domain, and where each was recorded.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::account::AccountEvent;
use super::agent::AgentEvent;
use super::execution::ExecutionEvent;
use super::slots::SlotsEvent;
use super::{EventId, Metadata};

/// The `event_version` that this build writes; an upcaster brings older ones up to it.
pub(super) const EVENT_VERSION: &str = "1";

/// The kinds of streams, one per aggregate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StreamType {
    /// One agent name, over all its lives.
    Agent,
    /// The pool and the queue of one incarnation of an agent.
    Slots,
    /// One run of a task.
    Execution,
    /// A user or an API key.
    Account,
}

impl StreamType {
    /// Every kind of stream.
    pub const ALL: [Self; 4] = [Self::Agent, Self::Slots, Self::Execution, Self::Account];

    /// The word on the wire and in the column `aggregate_type`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Slots => "slots",
            Self::Execution => "execution",
            Self::Account => "account",
        }
    }
}

impl fmt::Display for StreamType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that names no kind of stream.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no stream type; there are agent, slots, execution, account")]
pub struct UnknownStreamType(pub String);

impl FromStr for StreamType {
    type Err = UnknownStreamType;

    fn from_str(text: &str) -> Result<Self, UnknownStreamType> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| UnknownStreamType(text.to_owned()))
    }
}

/// The address of one stream; written `stream_type:id`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId {
    /// Which aggregate the stream belongs to.
    pub kind: StreamType,
    /// The aggregate's own id: an agent name or a UUID.
    pub id: String,
}

impl StreamId {
    /// The stream of the aggregate `A` with that id.
    pub fn of<A: super::Decider>(id: impl fmt::Display) -> Self {
        Self { kind: A::STREAM, id: id.to_string() }
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind, self.id)
    }
}

/// Any event of the domain.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// Of an agent.
    Agent(AgentEvent),
    /// Of an agent's slots.
    Slots(SlotsEvent),
    /// Of an execution.
    Execution(ExecutionEvent),
    /// Of a user or key.
    Account(AccountEvent),
}

/// A stored payload that this build cannot read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read a payload of stream type {kind}")]
pub struct DecodeError {
    kind: StreamType,
    source: serde_json::Error,
}

impl Event {
    /// Reads a stored payload: the serde form of the aggregate's event enum.
    pub fn decode(kind: StreamType, payload: &str) -> Result<Self, DecodeError> {
        match kind {
            StreamType::Agent => serde_json::from_str(payload).map(Self::Agent),
            StreamType::Slots => serde_json::from_str(payload).map(Self::Slots),
            StreamType::Execution => serde_json::from_str(payload).map(Self::Execution),
            StreamType::Account => serde_json::from_str(payload).map(Self::Account),
        }
        .map_err(|source| DecodeError { kind, source })
    }

    /// Writes the payload: `{"VariantName": {…}}`.
    pub fn encode(&self) -> Result<String, serde_json::Error> {
        match self {
            Self::Agent(event) => serde_json::to_string(event),
            Self::Slots(event) => serde_json::to_string(event),
            Self::Execution(event) => serde_json::to_string(event),
            Self::Account(event) => serde_json::to_string(event),
        }
    }

    /// The variant's name: the column `event_type` and the wire's `type`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Agent(event) => event.name(),
            Self::Slots(event) => event.name(),
            Self::Execution(event) => event.name(),
            Self::Account(event) => event.name(),
        }
    }

    /// The kind of stream the event belongs to.
    pub fn stream_type(&self) -> StreamType {
        match self {
            Self::Agent(_) => StreamType::Agent,
            Self::Slots(_) => StreamType::Slots,
            Self::Execution(_) => StreamType::Execution,
            Self::Account(_) => StreamType::Account,
        }
    }

    /// The version under which the event is written.
    pub fn version(&self) -> &'static str {
        EVENT_VERSION
    }
}

/// An event that has happened, with its place in the log.
#[derive(Debug, Clone, PartialEq)]
pub struct Recorded {
    /// The place in the order of the whole log: 1..N without gaps, in commit order.
    pub position: i64,
    /// The event's own name.
    pub event_id: EventId,
    /// The stream it belongs to.
    pub stream: StreamId,
    /// The place in its stream, from 1 without gaps.
    pub version: i64,
    /// When it was committed; never steps back along positions.
    pub recorded_at: DateTime<Utc>,
    /// Who and why.
    pub metadata: Metadata,
    /// What happened.
    pub event: Event,
}
