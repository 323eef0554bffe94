//! What was checked, how often, and the first event that breaks each invariant.

use serde::Serialize;

use super::place::Place;
use super::row::Row;

macro_rules! invariants {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $title:literal;)+) => {
        /// What must hold of every log.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Invariant {
            $($(#[$doc])* $name,)+
        }

        impl Invariant {
            /// Every invariant, in the order in which they are told.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// The short name.
            pub fn code(self) -> &'static str {
                match self {
                    $(Self::$name => $code,)+
                }
            }

            /// The whole sentence.
            pub fn title(self) -> &'static str {
                match self {
                    $(Self::$name => $title,)+
                }
            }
        }
    };
}

invariants! {
    /// Every row can be understood.
    Readable = "readable", "every row is an event of a known type, version and shape";
    /// Every row says where it comes from.
    Metadata = "metadata", "every event names its actor, its request and its command";
    /// Every chain of causes begins with a request.
    Causes = "causes", "every event names an earlier one that led to it, or is a request";
    /// Positions, versions, ids and times.
    Order = "I9", "positions and versions have no gap, ids are unique, time never steps back";
    /// Capacity.
    Capacity = "I1", "no slot is granted above the agent's capacity";
    /// One end.
    OneEnd = "I2", "an execution ends once; one late report and the removal of its transcript may follow";
    /// First come, first served.
    Fifo = "I3", "slots are granted in the order of the queue";
    /// Nothing from the dead.
    NoStartAfterEnd = "I4", "nothing is granted or started after its end or outside the queue";
    /// The life of an execution.
    Transitions = "I5", "executions take legal transitions only";
    /// Epochs.
    Epochs = "I6", "a grant starts one run at most, under the slot and epoch that it holds";
    /// No idle slot.
    WorkConserving = "I7", "no slot is free at the end of an append while an entry may run";
    /// Permissions.
    Calls = "I13", "no agent calls another without a live grant";
    /// The chain of callers.
    Parents = "parents", "a parent is a running execution of the caller";
    /// The life of an agent.
    AgentLife = "agent-life", "agents take legal transitions only, each life is a new one";
    /// Admission.
    Admission = "admission", "work is taken and granted only while the agent runs";
    /// Chat turns.
    ChatTurns = "chat-turns", "one chat turn of an agent is active at most";
    /// What a grant says.
    GrantTerms = "grant-terms", "a grant has a free slot number, the timeout and the expiry it should";
    /// How a slot comes back.
    SlotEnds = "slot-ends", "a slot comes back from its holder, with the holder's end, or when due";
    /// How an entry leaves and enters the queue.
    Queue = "queue", "a request enters the queue, and leaves it cancelled, in one append";
    /// Agent and slots agree.
    Configuration = "configuration", "the slots have the agent's capacity and timeout, in range";
    /// The life of an account.
    Accounts = "accounts", "users and keys take legal transitions only";
}

/// An event that breaks an invariant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// Where in the log; 0 for what belongs to no single event.
    pub position: i64,
    /// The stream, as `stream_type:id`.
    pub stream: String,
    /// The event's type.
    #[serde(rename = "type")]
    pub event_type: String,
    /// What is wrong with it.
    pub message: String,
}

/// One invariant, and how it held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// The invariant's short name.
    pub invariant: &'static str,
    /// What it says.
    pub title: &'static str,
    /// How often it was checked.
    pub checked: u64,
    /// How often it was broken.
    pub violations: u64,
    /// The first event that broke it.
    pub first: Option<Violation>,
}

/// The outcome of a whole check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Which log, without any password.
    pub log: String,
    /// The log's own id.
    pub log_id: String,
    /// The position of the last event.
    pub position: i64,
    /// How many events were read.
    pub events: u64,
    /// Executions that had not ended.
    pub open_executions: usize,
    /// Every invariant.
    pub checks: Vec<Check>,
}

impl Report {
    /// Whether every invariant held.
    pub fn is_clean(&self) -> bool {
        self.violated().next().is_none()
    }

    /// The invariants that did not hold.
    pub fn violated(&self) -> impl Iterator<Item = &Check> {
        self.checks.iter().filter(|check| check.violations > 0)
    }

    /// How one invariant held.
    pub fn check(&self, invariant: Invariant) -> Option<&Check> {
        self.checks.iter().find(|check| check.invariant == invariant.code())
    }
}

/// Counts checks while the log is read.
#[derive(Debug)]
pub(super) struct Tally(Vec<Check>);

impl Default for Tally {
    fn default() -> Self {
        let check = |invariant: &Invariant| Check {
            invariant: invariant.code(),
            title: invariant.title(),
            checked: 0,
            violations: 0,
            first: None,
        };
        Self(Invariant::ALL.iter().map(check).collect())
    }
}

impl Tally {
    /// Counts one check, and the violation if it does not hold.
    pub(super) fn check(
        &mut self,
        invariant: Invariant,
        row: &Row,
        holds: bool,
        message: impl FnOnce() -> String,
    ) {
        self.check_at(invariant, holds, || Place::of(row), message);
    }

    /// The same for a place that is no longer at hand as a row.
    pub(super) fn check_at(
        &mut self,
        invariant: Invariant,
        holds: bool,
        place: impl FnOnce() -> Place,
        message: impl FnOnce() -> String,
    ) {
        let Some(check) = self.0.get_mut(invariant as usize) else { return };
        check.checked += 1;
        if holds {
            return;
        }
        check.violations += 1;
        let Place { position, stream, event_type } = place();
        if check.first.as_ref().is_none_or(|first| position < first.position) {
            check.first = Some(Violation { position, stream, event_type, message: message() });
        }
    }

    pub(super) fn into_checks(self) -> Vec<Check> {
        self.0
    }
}
