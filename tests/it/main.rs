//! The integration tests of the root package: one binary, because linking many costs more than
//! running them. One module per part; what opens a store runs on SQLite and on Postgres alike.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test says by a panic that something is not as it should be"
)]

mod adapters;
mod api;
mod audit;
mod avatar;
mod causes;
mod cli;
mod containers;
mod contract;
mod coverage;
mod crash;
mod credentials;
mod db;
mod docker;
mod duckdb;
mod event_log;
mod failures;
mod files;
mod git;
mod hosts;
mod isolation;
mod library;
mod mcp_servers;
mod observed;
mod own_key;
mod processes;
mod projections;
mod read_only;
mod readme;
mod real_clis;
mod redis;
mod removal;
mod retention;
mod scenarios;
mod server;
mod settings;
mod state;
mod store;
mod streams;
mod support;
mod system_agent;
mod telemetry;
mod tidy;
mod traces;
mod vault;
mod web;
