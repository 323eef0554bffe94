//! Trinity: fleets of autonomous agents on one event log.

/// Pure decisions: aggregates, commands, events.
pub mod domain;
/// Where agents live.
pub mod hosts;
