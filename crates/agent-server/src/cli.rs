//! The subcommands, the same words in every executable that links this library.

use std::process::ExitCode;

use crate::{bridge, confine, fake_claude, runner, serve};

/// What an executable that links this library can be started as.
///
/// The agent server starts its own executable again by these words, so every executable that has
/// `agent-server` must have the others too.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Serves one agent on a unix socket.
    #[command(hide = true)]
    AgentServer(Box<serve::Args>),
    /// Runs one execution; told what to do on standard input.
    #[command(hide = true)]
    Runner,
    /// Restricts itself, then becomes the program named after `--`.
    #[command(hide = true)]
    Confine(confine::Args),
    /// Joins standard input and output to a unix socket.
    #[command(hide = true)]
    Bridge(bridge::Args),
    /// Plays Claude Code, by the script in its prompt.
    #[command(hide = true)]
    FakeClaude(fake_claude::Args),
}

impl Command {
    /// Does what the command says and gives the exit code of the process.
    pub fn execute(self) -> ExitCode {
        match self {
            Self::AgentServer(args) => report(serve::main(*args)),
            Self::Runner => report(runner::main()),
            Self::Confine(args) => confine::main(args),
            Self::Bridge(args) => report(bridge::main(&args)),
            Self::FakeClaude(args) => fake_claude::main(args.words),
        }
    }
}

fn report(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
