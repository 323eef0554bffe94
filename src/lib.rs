//! Trinity: fleets of autonomous agents on one event log.
//!
//! The list below is the table of contents; each module says more about itself.

// The CLIs: the command that runs a task, and what its output means.
pub mod adapters;
// The HTTP API: one file per resource.
pub mod api;
// The composition root.
pub mod app;
// Proofs of the invariants over any log.
pub mod audit;
// The command line.
pub mod cli;
// The one place that reads the wall clock.
pub mod clock;
// Commands that several aggregates decide in one append.
pub mod commands;
// The configuration: flags, environment, file, defaults.
pub mod config;
// The data directory: its files, its modes, its lock.
pub mod data_dir;
// One SQL text on SQLite and Postgres.
pub mod db;
// The demo fleet.
pub mod demo;
// Pure decisions: aggregates, commands, events.
pub mod domain;
// The append-only log of every decision.
pub mod event_log;
// The way from agents to the APIs of their models.
pub mod gateway;
// Git in the workspaces of agents.
pub mod git;
// Where agents live.
pub mod hosts;
// What agents are made from and taught with.
pub mod library;
// Read models: what the events add up to.
pub mod projections;
// Effects, and the reports of them.
pub mod reactors;
// A Redis that may be away at any moment.
pub mod redis;
// What must survive and events cannot rebuild.
pub mod state;
// The server's own agent.
pub mod system_agent;
// Logs, metrics, traces.
pub mod telemetry;
// The credentials of agents, encrypted.
pub mod vault;
// The web interface, embedded.
pub mod web;
