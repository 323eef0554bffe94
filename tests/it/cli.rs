//! The command line, as the real executable.

mod accounts;
mod agents;
mod doctor;
mod offline;
mod past;
mod rebuild;
mod restart;
mod runs;
pub mod support;
mod terminal;
