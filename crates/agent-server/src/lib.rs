//! The supervisor that runs inside every agent.
//!
//! An *agent server* serves HTTP on a unix socket and starts one *runner* process for each
//! execution. The runner owns the process tree: it numbers the output into the state folder,
//! enforces the timeout, stops the tree and sweeps what is left. It ends with the agent server,
//! whose death it sees as the end of its standard input. Neither knows any coding-agent CLI.

/// Joins standard input and output to a unix socket.
pub mod bridge;
mod cli;
mod clock;
mod confine;
mod detach;
mod door;
mod executions;
/// A stand-in for Claude Code that needs no key and no network.
pub mod fake_claude;
mod files;
mod gateway;
mod http;
mod isolation;
mod kept_files;
mod output;
mod processes;
mod runner;
mod serve;
mod state;
mod succession;
mod supervise;
mod usage;
mod workspace;

pub use cli::Command;
pub use isolation::{IsolationArgs, landlock_abi};
pub use processes::{Process, ProcessIdentity, kill_user};
pub use serve::Args as ServeArgs;
pub use state::{ServerRecord, runner_lives};
pub use usage::{TreeUsage, usage_of_tree};

/// The path that starts this very executable again.
///
/// Unlike the path it was started from, it works after an upgrade has replaced the file.
pub const SELF_EXE: &str = "/proc/self/exe";

/// The length of the secret that opens a connection, sent before the first byte of HTTP.
pub const TOKEN_BYTES: usize = 64;
