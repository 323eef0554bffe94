//! The command line, as the real executable.

mod offline;
mod support;
