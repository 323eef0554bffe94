//! The event log on both engines.

mod commands;
mod feed;
mod support;
