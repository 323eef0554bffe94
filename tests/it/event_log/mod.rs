//! The event log on both engines.

mod commands;
mod contention;
mod feed;
mod stock;
mod storage;
mod support;
