//! `trinity perm`: which agent may call which.

use serde::Deserialize;
use serde_json::json;

use super::Session;
use super::client::Call;
use super::error::Result;
use super::output::{Form, cell, print};
use super::server::Common;
use super::text::{ago, clean, or_unknown};
use super::when::Place;
use super::wire::{Permission, Permissions};
use crate::clock;
use crate::domain::AgentName;

/// What `trinity perm` takes.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Let an agent call another one
    Allow(PairArgs),
    /// Take that back
    Deny(PairArgs),
    /// List who may call whom, or whom one agent may call and who may call it
    Ls(LsArgs),
}

#[derive(Debug, clap::Args)]
struct PairArgs {
    /// The agent that calls
    caller: AgentName,
    /// The agent that is called
    callee: AgentName,
}

#[derive(Debug, clap::Args)]
struct LsArgs {
    /// Only the permissions of this agent, in both directions
    agent: Option<AgentName>,
    /// As it was at a position or a time, such as "yesterday 10:00"
    #[arg(long, value_name = "WHEN")]
    as_of: Option<Place>,
}

#[derive(Debug, Deserialize)]
struct Toggled {
    status: String,
}

#[derive(Debug, Deserialize)]
struct Matrix {
    permissions: Vec<Permission>,
}

impl Args {
    /// Does what the subcommand says.
    pub async fn execute(self) -> Result<()> {
        let session = Session::new(&self.common)?;
        match self.command {
            Command::Allow(PairArgs { caller, callee }) => {
                let call = Call::post(path(&caller, &callee)).json(json!({}));
                session.toggle(call, &format!("{caller} may call {callee}")).await
            }
            Command::Deny(PairArgs { caller, callee }) => {
                let call = Call::delete(path(&caller, &callee));
                session.toggle(call, &format!("{caller} may not call {callee}")).await
            }
            Command::Ls(LsArgs { agent: None, as_of }) => session.matrix(as_of).await,
            Command::Ls(LsArgs { agent: Some(agent), as_of }) => {
                session.permissions_of(&agent, as_of).await
            }
        }
    }
}

fn path(caller: &AgentName, callee: &AgentName) -> String {
    format!("/api/agents/{caller}/permissions/{callee}")
}

impl Session {
    async fn toggle(&self, call: Call, now: &str) -> Result<()> {
        let answer = self.client.call(call).await?;
        if self.output.form() == Form::Json {
            return self.output.json(&answer.body);
        }
        let is_old =
            matches!(answer.read::<Toggled>()?.status.as_str(), "already_exists" | "not_found");
        print(&if is_old { format!("{now}, as before") } else { now.to_owned() })
    }

    async fn matrix(&self, as_of: Option<Place>) -> Result<()> {
        let answer = self.client.call(Call::get("/api/permissions").query("as_of", as_of)).await?;
        if self.output.form() == Form::Json {
            return self.output.json(&answer.body);
        }
        let now = clock::now();
        let rows = answer.read::<Matrix>()?.permissions.into_iter().map(|grant| {
            vec![
                cell(&grant.caller),
                cell(&grant.callee),
                cell(ago(grant.granted_at, now)),
                cell(&grant.granted_by),
            ]
        });
        let header = ["CALLER", "CALLEE", "GRANTED", "BY"];
        self.output.table(&header, &["BY", "GRANTED"], rows.collect(), "no agent may call another")
    }

    async fn permissions_of(&self, agent: &AgentName, as_of: Option<Place>) -> Result<()> {
        let call = Call::get(format!("/api/agents/{agent}/permissions")).query("as_of", as_of);
        let answer = self.client.call(call).await?;
        if self.output.form() == Form::Json {
            return self.output.json(&answer.body);
        }
        let found: Permissions = answer.read()?;
        let name = clean(agent.as_str());
        let callees = found.permitted_agents.into_iter().map(|peer| (name.clone(), peer, true));
        let callers = found.callers.into_iter().map(|peer| (name.clone(), peer, false));
        let rows = callees.chain(callers).map(|(name, peer, is_callee)| {
            let other = clean(&peer.name);
            let (caller, callee) = if is_callee { (name, other) } else { (other, name) };
            vec![cell(caller), cell(callee), cell(or_unknown(peer.status))]
        });
        let nothing = format!("{agent} may call no agent, and none may call it");
        self.output.table(
            &["CALLER", "CALLEE", "OTHER IS"],
            &["OTHER IS"],
            rows.collect(),
            &nothing,
        )
    }
}
