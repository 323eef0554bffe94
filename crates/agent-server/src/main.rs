//! The executable of containers: an agent server and the helpers it starts itself as.

use std::process::ExitCode;

use clap::Parser;
use trinity_agent_server::{Command, ServeArgs};

/// Supervises the runs of one agent.
#[derive(Parser)]
#[command(name = "trinity-agent", version)]
struct Cli {
    #[command(subcommand)]
    command: CliCommand,
}

#[derive(clap::Subcommand)]
enum CliCommand {
    /// Serves one agent on a unix socket.
    Serve(Box<ServeArgs>),
    #[command(flatten)]
    Shared(Command),
}

fn main() -> ExitCode {
    match Cli::parse().command {
        CliCommand::Serve(args) => Command::AgentServer(args).execute(),
        CliCommand::Shared(command) => command.execute(),
    }
}
