//! The command line: one file per noun, and what they share.

mod agent;
mod audit;
mod client;
mod completions;
mod credential;
mod doctor;
mod error;
mod events;
mod exec;
mod health;
mod input;
mod library;
mod login;
mod output;
mod perm;
mod progress;
mod queue;
mod rebuild;
mod replay;
mod run;
mod serve;
mod server;
mod stream;
mod text;
mod transcript;
mod vault;
mod watch;
mod when;
mod wire;

use std::future::Future;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use client::Client;
use error::{Error, Exit, Result};
use output::Output;
use server::Common;

/// What the help says below the commands.
const AFTER_HELP: &str = "\
Exit codes: 0 ok, 1 failed, 2 usage, 3 not allowed, 4 not found, 5 conflict, \
6 waited too long, 8 server unreachable.
The server is found by TRINITY_URL and TRINITY_TOKEN, else by `trinity login`, else, on the same \
machine, in the data directory.";

/// Runs fleets of autonomous AI agents.
#[derive(Debug, Parser)]
#[command(name = "trinity", version, about, after_help = AFTER_HELP)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    #[command(flatten)]
    User(UserCommand),
    #[command(flatten)]
    AgentServer(trinity_agent_server::Command),
}

/// The commands that people type.
#[derive(Debug, Subcommand)]
enum UserCommand {
    /// Run the server
    Serve(Box<serve::Args>),
    #[command(flatten)]
    Client(Box<ClientCommand>),
    /// Prove that an event log keeps its invariants
    Audit(audit::Args),
    /// Look whether this machine can serve, and say what to do where it cannot
    Doctor(Box<doctor::Args>),
    /// Change the key that credentials are encrypted by
    Vault(vault::Args),
    /// Write the completion script of a shell
    Completions(completions::Args),
}

/// The commands that call a server.
#[derive(Debug, Subcommand)]
enum ClientCommand {
    /// Log in to a server, for all later commands
    Login(login::Args),
    /// Create, show and control agents
    Agent(agent::Args),
    /// Give an agent a task and watch it
    Run(run::Args),
    /// Look at executions and stop them
    Exec(exec::Args),
    /// Follow the log of everything that happens
    Events(events::Args),
    /// Look at the queue of an agent and empty it
    Queue(queue::Args),
    /// Say which agent may call which
    Perm(perm::Args),
    /// Give an agent credentials, and say which it has
    Credential(credential::Args),
    /// Look at the templates that agents can be made from
    Template(library::Args),
    /// Look at the skills that agents can have
    Skill(library::Args),
    /// Play again what happened
    Replay(replay::Args),
    /// Build a read model again from the log
    ///
    /// A running server builds it beside the one that is read, and swaps it in. Where none runs on the
    /// data directory, this command does so by itself and waits for the end; no server can start there
    /// meanwhile. When it is ended in the middle, the next server goes on. On Postgres, where other nodes
    /// may run, it must be of the same build as they are.
    Rebuild(rebuild::Args),
    /// Ask the server how it is
    Health(health::Args),
}

/// Does what the command line says and gives the exit code of the process.
pub fn main() -> ExitCode {
    // Fails only when a provider is installed already, which then serves as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match Cli::parse().command {
        Command::User(UserCommand::Serve(args)) => args.execute(),
        Command::User(UserCommand::Client(command)) => {
            block_on(async { report(&command.execute().await) })
        }
        Command::User(UserCommand::Audit(args)) => {
            block_on(async { args.execute().await.unwrap_or_else(|error| error.report()) })
        }
        Command::User(UserCommand::Doctor(args)) => {
            block_on(async { args.execute().await.unwrap_or_else(|error| error.report()) })
        }
        Command::User(UserCommand::Vault(args)) => {
            block_on(async { report(&args.execute().await) })
        }
        Command::User(UserCommand::Completions(args)) => report(&args.execute()),
        Command::AgentServer(command) => command.execute(),
    }
}

impl ClientCommand {
    async fn execute(self) -> Result<()> {
        match self {
            Self::Login(args) => args.execute().await,
            Self::Agent(args) => args.execute().await,
            Self::Run(args) => args.execute().await,
            Self::Exec(args) => args.execute().await,
            Self::Events(args) => args.execute().await,
            Self::Queue(args) => args.execute().await,
            Self::Perm(args) => args.execute().await,
            Self::Credential(args) => args.execute().await,
            Self::Template(args) => args.execute_on_templates().await,
            Self::Skill(args) => args.execute_on_skills().await,
            Self::Replay(args) => args.execute().await,
            Self::Rebuild(args) => args.execute().await,
            Self::Health(args) => args.execute().await,
        }
    }
}

/// Runs a command that waits; one thread is enough for it.
fn block_on(command: impl Future<Output = ExitCode>) -> ExitCode {
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(command),
        Err(error) => {
            report(&Err(Error::new(Exit::Failed, format!("cannot start the runtime: {error}"))))
        }
    }
}

fn report(result: &Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => error.report(),
    }
}

/// A client and where its answers go.
struct Session {
    client: Client,
    output: Output,
}

impl Session {
    fn new(common: &Common) -> Result<Self> {
        Ok(Self { client: Client::new(common)?, output: Output::new(common) })
    }
}
