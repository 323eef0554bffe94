//! `trinity credential`: gives an agent credentials; their values are read, never shown.

use std::io::{self, IsTerminal as _, Read as _};

use chrono::{DateTime, Utc};
use console::Term;
use serde::Deserialize;
use serde_json::json;

use super::Session;
use super::client::{Answer, Call, segment};
use super::error::{Error, Exit, Result};
use super::output::{Form, cell, print};
use super::server::Common;
use super::text::{ago, clean};
use crate::clock;
use crate::config::Secret;
use crate::domain::AgentName;
use crate::vault::VALUE_BYTES_MAX;

/// What `trinity credential` takes.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Set a credential to what is typed, or to what is piped in
    Set(SetArgs),
    /// List the credentials of an agent by name, and whether it has them
    Ls(LsArgs),
    /// Remove a credential
    Rm(PairArgs),
}

#[derive(Debug, clap::Args)]
#[command(after_help = "A value is never an argument, which others on this machine can read. \
    Piped in, it is taken as it is, without a newline at its end:\n  \
    trinity credential set scout API_KEY < key.txt")]
struct SetArgs {
    #[command(flatten)]
    pair: PairArgs,
}

#[derive(Debug, clap::Args)]
struct PairArgs {
    /// Name of the agent
    agent: AgentName,
    /// Name of a variable, or the path of a file of the workspace, with a dot or a slash
    name: String,
}

#[derive(Debug, clap::Args)]
struct LsArgs {
    /// Name of the agent
    agent: AgentName,
}

#[derive(Debug, Deserialize)]
struct Status {
    credentials: Vec<Credential>,
    in_force: bool,
    injected: Vec<String>,
    error: Option<String>,
    not_masked: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Credential {
    name: String,
    kind: String,
    updated_at: DateTime<Utc>,
}

impl Args {
    /// Does what the subcommand says.
    pub async fn execute(self) -> Result<()> {
        let session = Session::new(&self.common)?;
        match self.command {
            Command::Set(SetArgs { pair: PairArgs { agent, name } }) => {
                let value = read_value(&format!("Value of {} for {agent}", clean(&name)))?;
                let body = json!({ "value": value.expose() });
                let call = Call::put(path(&agent, &name)).json(body);
                session.changed(call, &format!("{agent}: {} is set", clean(&name))).await
            }
            Command::Rm(PairArgs { agent, name }) => {
                let call = Call::delete(path(&agent, &name));
                session.changed(call, &format!("{agent}: {} is removed", clean(&name))).await
            }
            Command::Ls(LsArgs { agent }) => session.credentials(&agent).await,
        }
    }
}

/// The path of one credential; a file's name has slashes of its own.
fn path(agent: &AgentName, name: &str) -> String {
    format!("/api/agents/{agent}/credentials/{}", segment(name))
}

/// Reads a value without showing it, or all that is piped in.
fn read_value(prompt: &str) -> Result<Secret> {
    let unreadable =
        |error: io::Error| Error::new(Exit::Usage, format!("cannot read the value: {error}"));
    let value = if io::stdin().is_terminal() {
        eprint!("{prompt}: ");
        let value = Term::stderr().read_secure_line().map_err(unreadable)?;
        eprintln!();
        value
    } else {
        let mut value = String::new();
        let bound = u64::try_from(VALUE_BYTES_MAX + 2).unwrap_or(u64::MAX);
        io::stdin().lock().take(bound).read_to_string(&mut value).map_err(unreadable)?;
        let whole = value.strip_suffix('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
        whole.map(str::to_owned).unwrap_or(value)
    };
    if value.is_empty() {
        return Err(Error::new(Exit::Usage, "the value is empty"));
    }
    Ok(Secret::from(value))
}

impl Session {
    async fn changed(&self, call: Call, done: &str) -> Result<()> {
        let answer: Answer = self.client.call(call).await?;
        if self.output.form() == Form::Json {
            return self.output.json(&answer.body);
        }
        let status: Status = answer.read()?;
        let mut words = match (&status.error, status.in_force) {
            (Some(error), _) => format!("{done}, but not in force: {}", clean(error)),
            (None, true) => format!("{done} and in force for runs that start from now on"),
            (None, false) => format!("{done}; in force once the agent runs"),
        };
        if !status.not_masked.is_empty() {
            words.push_str("; it is too short to be taken out of output");
        }
        print(&words)
    }

    async fn credentials(&self, agent: &AgentName) -> Result<()> {
        let call = Call::get(format!("/api/agents/{agent}/credentials/status"));
        let answer = self.client.call(call).await?;
        if self.output.form() == Form::Json {
            return self.output.json(&answer.body);
        }
        let status: Status = answer.read()?;
        let now = clock::now();
        let rows = status.credentials.iter().map(|credential| {
            let was_given = status.injected.contains(&credential.name);
            let given = match (status.in_force, was_given) {
                (true, true) => "yes",
                (false, true) => "an earlier one",
                (_, false) => "no",
            };
            let (name, kind) = (cell(&credential.name), cell(&credential.kind));
            vec![name, kind, cell(ago(credential.updated_at, now)), cell(given)]
        });
        let header = ["NAME", "KIND", "SET", "IN FORCE"];
        let nothing = format!("{agent} has no credentials");
        self.output.table(&header, &["SET", "KIND"], rows.collect(), &nothing)?;
        match &status.error {
            Some(error) => print(&format!("not in force: {}", clean(error))),
            None => Ok(()),
        }
    }
}
