//! `trinity queue`: what waits for an agent.

use serde::Deserialize;

use super::Session;
use super::client::Call;
use super::error::Result;
use super::output::{Form, cell, number, print};
use super::server::Common;
use super::text::{ago, clean, one_line, short_id};
use super::wire::Queue;
use crate::clock;
use crate::domain::AgentName;

/// What `trinity queue` takes.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List what waits for a slot
    Ls(AgentArgs),
    /// Cancel everything that waits
    Clear(AgentArgs),
    /// Free the slots of an agent that is stuck, ending what runs
    Release(AgentArgs),
}

#[derive(Debug, clap::Args)]
struct AgentArgs {
    /// Name of the agent
    agent: AgentName,
}

#[derive(Debug, Deserialize)]
struct Cleared {
    cleared_count: u64,
}

#[derive(Debug, Deserialize)]
struct Released {
    was_running: bool,
}

impl Args {
    /// Does what the subcommand says.
    pub async fn execute(self) -> Result<()> {
        let session = Session::new(&self.common)?;
        match self.command {
            Command::Ls(AgentArgs { agent }) => session.show_queue(&agent).await,
            Command::Clear(AgentArgs { agent }) => session.clear_queue(&agent).await,
            Command::Release(AgentArgs { agent }) => session.release(&agent).await,
        }
    }
}

impl Session {
    async fn show_queue(&self, agent: &AgentName) -> Result<()> {
        let answer = self.client.call(Call::get(format!("/api/agents/{agent}/queue"))).await?;
        if self.output.form() == Form::Json {
            return self.output.json(&answer.body);
        }
        let queue: Queue = answer.read()?;
        let now = clock::now();
        let rows = queue.queued_executions.iter().map(|waiting| {
            vec![
                number(waiting.queue_position),
                cell(short_id(waiting.execution_id)),
                cell(ago(waiting.queued_at, now)),
                cell(one_line(&waiting.message_preview)),
            ]
        });
        let free = if queue.is_busy { "every slot is taken" } else { "a slot is free" };
        let nothing = format!("nothing waits for {agent}: {free}");
        let header = ["#", "EXECUTION", "QUEUED", "MESSAGE"];
        self.output.table(&header, &["QUEUED"], rows.collect(), &nothing)
    }

    async fn clear_queue(&self, agent: &AgentName) -> Result<()> {
        let answer =
            self.client.call(Call::post(format!("/api/agents/{agent}/queue/clear"))).await?;
        match self.output.form() {
            Form::Json => self.output.json(&answer.body),
            Form::Text => {
                let count = answer.read::<Cleared>()?.cleared_count;
                print(&format!("cancelled {count} that waited for {agent}"))
            }
        }
    }

    async fn release(&self, agent: &AgentName) -> Result<()> {
        let answer =
            self.client.call(Call::post(format!("/api/agents/{agent}/queue/release"))).await?;
        match self.output.form() {
            Form::Json => self.output.json(&answer.body),
            Form::Text if answer.read::<Released>()?.was_running => {
                print(&format!("the slots of {} are being freed", clean(agent.as_str())))
            }
            Form::Text => print(&format!("nothing was running on {agent}")),
        }
    }
}
