//! Trinity: fleets of autonomous agents on one event log.
