//! The event log on both engines.

mod commands;
mod contention;
mod crash;
mod feed;
mod outage;
pub mod server;
mod stock;
mod storage;
pub mod support;
