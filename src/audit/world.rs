//! Everything that is remembered while the log is read, and what each row does to it.

use std::collections::HashMap;

use uuid::Uuid;

use super::accounts::{self, Account};
use super::agents;
use super::boundary::{self, Append};
use super::causes;
use super::executions::{self, Execution};
use super::life::Agent;
use super::metadata::Metadata;
use super::order::Order;
use super::place::Place;
use super::pools::{self, Pool};
use super::report::{Invariant, Report, Tally};
use super::row::{Entry, Row};
use super::schema;

/// One life of an agent.
#[derive(Debug)]
pub(super) struct Life {
    pub(super) agent: String,
    pub(super) is_over: bool,
}

/// What the rows before one say of its execution, which is no longer in memory.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Past {
    /// The highest version among them.
    pub(super) version: i64,
    /// How many terminal events.
    pub(super) ends: i64,
    /// How many late reports.
    pub(super) late: i64,
    /// How many removals of its transcript.
    pub(super) removals: i64,
}

/// What the log says of itself beside its events.
#[derive(Debug, Default)]
pub(super) struct Standing {
    pub(super) log_id: String,
    /// Position and time of the head row, the time in microseconds since 1970.
    pub(super) head: Option<(i64, i64)>,
    /// All rows, also those without a position.
    pub(super) rows: i64,
    /// Event ids that occur more than once: the first repeat, and how many repeats there are.
    pub(super) repeated: Option<(Row, i64)>,
    /// Causes that are no earlier event: the first event that names one, and how many do.
    pub(super) strays: Option<(Row, i64)>,
}

#[derive(Debug, Default)]
pub(super) struct World {
    pub(super) tally: Tally,
    pub(super) order: Order,
    pub(super) metadata: Metadata,
    pub(super) append: Append,
    pub(super) agents: HashMap<String, Agent>,
    /// Every life there ever was.
    pub(super) lives: HashMap<Uuid, Life>,
    pub(super) pools: HashMap<Uuid, Pool>,
    /// Those that have not ended, and those of the append being read.
    pub(super) executions: HashMap<Uuid, Execution>,
    pub(super) accounts: HashMap<Uuid, Account>,
}

impl World {
    /// Prepares for a row; says whether the past of its execution must be looked up.
    pub(super) fn begin(&mut self, row: &Row) -> bool {
        self.metadata = Metadata::read(&row.metadata);
        if !self.append.goes_on_with(self.metadata.command_id()) {
            boundary::close(self);
            self.append = Append::begin(self.metadata.command_id());
        }
        self.append.grow();
        let id = Uuid::parse_str(&row.stream_id).ok();
        row.stream_type == "execution"
            && row.version > 1
            && id.is_some_and(|id| !self.executions.contains_key(&id))
    }

    /// Checks a row for which [`World::begin`] was called.
    pub(super) fn observe(&mut self, row: &Row, past: Option<Past>) {
        if let Some(past) = past {
            executions::recall(self, row, past);
        }
        self.order.observe(row, self.append.is_at_start(), &mut self.tally);
        self.metadata.check(row, &mut self.tally);
        causes::observe(self, row);
        let is_addressed = self.advance(row);
        let body = if is_addressed {
            row.body()
        } else {
            Err("the stream's type or id is none".to_owned())
        };
        let fault = body.as_ref().err().cloned();
        self.tally.check(Invariant::Readable, row, fault.is_none(), || fault.unwrap_or_default());
        if let Ok(body) = body {
            self.dispatch(&Entry { row, body: &body });
        }
    }

    /// Counts the row in its stream; says whether the stream has an id of its type.
    fn advance(&mut self, row: &Row) -> bool {
        let id = schema::is_uuid(&row.stream_id).then(|| Uuid::parse_str(&row.stream_id));
        let id = id.and_then(Result::ok);
        let version = match (row.stream_type.as_str(), id) {
            ("agent", _) if schema::is_name(&row.stream_id) => {
                &mut self.agents.entry(row.stream_id.clone()).or_default().version
            }
            ("slots", Some(id)) => &mut self.pools.entry(id).or_default().version,
            ("execution", Some(id)) => &mut self.executions.entry(id).or_default().version,
            ("account", Some(id)) => &mut self.accounts.entry(id).or_default().version,
            _ => return false,
        };
        let expected = *version + 1;
        *version = row.version;
        self.tally.check(Invariant::Order, row, row.version == expected, || {
            format!("version {} of the stream, expected {expected}", row.version)
        });
        true
    }

    fn dispatch(&mut self, entry: &Entry<'_>) {
        match entry.row.stream_type.as_str() {
            "agent" => agents::observe(self, entry),
            "slots" => pools::observe(self, entry),
            "execution" => executions::observe(self, entry),
            _ => accounts::observe(self, entry),
        }
    }

    /// Says that the store itself cannot give the row after the last one.
    pub(super) fn break_off(&mut self, reason: &str) {
        let position = self.order.position() + 1;
        let place = || Place { position, stream: "the log".into(), event_type: "-".into() };
        self.tally.check_at(Invariant::Readable, false, place, || reason.to_owned());
    }

    /// Ends the reading.
    pub(super) fn finish(mut self, log: String, standing: &Standing) -> Report {
        boundary::close(&mut self);
        self.order.finish(standing, &mut self.tally);
        causes::finish(standing, &mut self.tally);
        Report {
            log,
            log_id: standing.log_id.clone(),
            position: self.order.position(),
            events: self.order.events(),
            open_executions: self.executions.len(),
            checks: self.tally.into_checks(),
        }
    }
}
