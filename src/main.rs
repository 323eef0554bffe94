//! The command line.

use std::process::ExitCode;

use clap::Parser;

/// Runs fleets of autonomous agents on your own machines, on one event log.
#[derive(Parser)]
#[command(name = "trinity", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// What this executable starts itself as.
    #[command(flatten)]
    AgentServer(trinity_agent_server::Command),
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::AgentServer(command) => command.execute(),
    }
}
