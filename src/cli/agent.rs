//! `trinity agent`: creates, shows and controls agents.

mod avatar;
mod create;
mod files;
mod git;
mod look;
mod mcp;
mod settings;
mod sharing;

use std::io::{IsTerminal as _, stderr, stdin};
use std::time::{Duration, Instant};

use super::Session;
use super::client::{Answer, Call};
use super::error::{Error, Exit, Result};
use super::output::{Form, cell, number, print, status, status_style};
use super::progress::Progress;
use super::server::Common;
use super::text::{UNKNOWN, ago, clean, or_unknown, short_id, time};
use super::when::Place;
use super::wire::{Agent, AgentStatus, Capacity};
use crate::clock;
use crate::domain::AgentName;

/// How often a state is asked for that is waited for.
const POLL: Duration = Duration::from_millis(250);

/// The most agents that a list shows.
const AGENTS_MAX: usize = 100_000;

/// What `trinity agent` takes.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Create an agent and start it
    Create(Box<create::CreateArgs>),
    /// List agents
    Ls(LsArgs),
    /// Show an agent and what it does
    Show(ShowArgs),
    /// Start an agent
    Start(WaitArgs),
    /// Stop an agent; what runs on it is cancelled, what waits stays
    Stop(WaitArgs),
    /// Freeze an agent with everything that runs on it
    Pause(WaitArgs),
    /// Let a frozen agent go on
    Unpause(WaitArgs),
    /// Delete an agent with its workspace
    Delete(DeleteArgs),
    /// Rebuild a system agent, such as trinity-system, with an empty workspace
    Reinitialize(DeleteArgs),
    /// Show or set how many executions run at once
    Capacity(settings::CapacityArgs),
    /// Show or set how long an execution may run
    Timeout(settings::TimeoutArgs),
    /// Show or set the model that tasks use when they name none
    Model(settings::ModelArgs),
    /// Show or set whether schedules may start work; there are none yet
    Autonomy(settings::AutonomyArgs),
    /// Show or set the limits of an agent's container
    Resources(settings::ResourcesArgs),
    /// Show or set whether runs may become root inside of their container
    Capabilities(settings::CapabilitiesArgs),
    /// Show or set whether runs may change the agent's workspace
    ReadOnly(settings::ReadOnlyArgs),
    /// Show what an agent's server and its startup.sh said
    Logs(look::LogsArgs),
    /// Show how much processor time and memory agents use
    Stats(look::StatsArgs),
    /// List, read, write and edit the files of an agent's workspace
    Files(files::FilesArgs),
    /// Synchronise an agent's workspace with a git repository
    Git(git::GitArgs),
    /// Show or set which skills of the library an agent has
    Skills(settings::SkillsArgs),
    /// Show the MCP servers of an agent, or set them from a file
    Mcp(mcp::McpArgs),
    /// Show or set the only tools that tasks may use
    Tools(settings::WordsArgs),
    /// Show or set the words by which an agent is found
    Tags(settings::WordsArgs),
    /// Set, save or remove the picture of an agent
    Avatar(avatar::AvatarArgs),
    /// Let another user operate an agent, or show who may
    Share(sharing::ShareArgs),
    /// Take back that another user may operate an agent
    Unshare(sharing::UnshareArgs),
}

#[derive(Debug, clap::Args)]
struct LsArgs {
    /// Only those with this tag
    #[arg(long)]
    tag: Option<String>,
    /// As they were at a position or a time, such as "yesterday 10:00"
    #[arg(long, value_name = "WHEN")]
    as_of: Option<Place>,
}

#[derive(Debug, clap::Args)]
struct ShowArgs {
    /// Name of the agent
    name: AgentName,
    /// As it was at a position or a time, such as "yesterday 10:00"
    #[arg(long, value_name = "WHEN")]
    as_of: Option<Place>,
}

#[derive(Debug, clap::Args)]
struct WaitArgs {
    /// Name of the agent
    name: AgentName,
    #[command(flatten)]
    wait: Wait,
}

#[derive(Debug, Clone, Copy, clap::Args)]
struct Wait {
    /// How long to wait until it is done; it goes on afterwards
    #[arg(long = "wait", value_name = "SECONDS", default_value_t = 60)]
    wait_seconds: u64,
}

#[derive(Debug, clap::Args)]
struct DeleteArgs {
    /// Name of the agent
    name: AgentName,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    wait: Wait,
}

impl Args {
    /// Does what the subcommand says.
    pub async fn execute(self) -> Result<()> {
        let session = Session::new(&self.common)?;
        match self.command {
            Command::Create(args) => session.create(*args).await,
            Command::Ls(args) => session.list_agents(args).await,
            Command::Show(ShowArgs { name, as_of }) => session.show_agent(&name, as_of).await,
            Command::Start(args) => session.ask("start", args).await,
            Command::Stop(args) => session.ask("stop", args).await,
            Command::Pause(args) => session.ask("pause", args).await,
            Command::Unpause(args) => session.ask("unpause", args).await,
            Command::Delete(args) => session.delete(args).await,
            Command::Reinitialize(args) => session.reinitialize(args).await,
            Command::Capacity(args) => session.capacity(args).await,
            Command::Timeout(args) => session.timeout(args).await,
            Command::Model(args) => session.model(args).await,
            Command::Autonomy(args) => session.autonomy(args).await,
            Command::Resources(args) => session.resources(args).await,
            Command::Capabilities(args) => session.capabilities(args).await,
            Command::ReadOnly(args) => session.read_only(args).await,
            Command::Logs(args) => session.agent_logs(&args).await,
            Command::Stats(args) => session.stats(&args).await,
            Command::Files(args) => session.files(args).await,
            Command::Git(args) => session.git(args).await,
            Command::Skills(args) => session.skills_of(args).await,
            Command::Mcp(args) => session.mcp(args).await,
            Command::Tools(args) => session.tools(args).await,
            Command::Tags(args) => session.tags(args).await,
            Command::Avatar(args) => session.avatar(args).await,
            Command::Share(args) => session.share(args).await,
            Command::Unshare(args) => session.unshare(args).await,
        }
    }
}

fn path(name: &AgentName) -> String {
    format!("/api/agents/{name}")
}

impl Session {
    async fn list_agents(&self, LsArgs { tag, as_of }: LsArgs) -> Result<()> {
        let call = Call::get("/api/agents").query("limit", Some(1_000)).query("tag", tag);
        let call = call.query("as_of", as_of);
        let items = self.client.list(call, AGENTS_MAX).await?;
        if self.output.form() == Form::Json {
            return self.output.json_list(&items);
        }
        let agents = items.iter().map(|item| super::client::read_json::<Agent>(item.get()));
        let rows = agents.map(|agent| agent.map(row)).collect::<Result<Vec<_>>>()?;
        let header = ["NAME", "STATUS", "RUNTIME", "SLOTS", "QUEUED", "OWNER"];
        let spare = ["RUNTIME", "QUEUED"];
        self.output.table(
            &header,
            &spare,
            rows,
            "no agents yet; make one: trinity agent create NAME",
        )
    }

    async fn show_agent(&self, name: &AgentName, as_of: Option<Place>) -> Result<()> {
        let answer = self.client.call(Call::get(path(name)).query("as_of", as_of)).await?;
        if self.output.form() == Form::Json {
            return self.output.json(&answer.body);
        }
        let agent: Agent = answer.read()?;
        let capacity = Call::get(format!("{}/capacity", path(name))).query("as_of", as_of);
        let capacity = self.client.call(capacity).await?;
        self.output.block(block(&agent))?;
        let capacity: Capacity = capacity.read()?;
        let rows = capacity.slots.iter().map(|slot| {
            let age = super::text::duration(slot.duration_seconds.saturating_mul(1_000));
            vec![
                number(slot.slot_number),
                cell(short_id(slot.execution_id)),
                number(age),
                cell(super::text::one_line(&slot.message_preview)),
            ]
        });
        print("")?;
        let header = ["SLOT", "EXECUTION", "FOR", "MESSAGE"];
        self.output.table(&header, &["FOR"], rows.collect(), "nothing runs on it")
    }

    async fn ask(&self, verb: &str, args: WaitArgs) -> Result<()> {
        let answer = self.until_done(&args.name, verb, args.wait).await?;
        self.told(&args.name, &answer)
    }

    /// Asks until the answer is not "still on the way": asking again changes nothing.
    async fn until_done(&self, name: &AgentName, verb: &str, wait: Wait) -> Result<Answer> {
        let progress = Progress::new(&format!("{verb} {name}"));
        let deadline = wait.deadline();
        loop {
            let call = Call::post(format!("{}/{verb}", path(name)));
            let answer = self.client.call(call.query("wait_ms", Some(deadline.wait_ms()))).await?;
            if answer.status != 202 {
                return Ok(answer);
            }
            let state: AgentStatus = answer.read()?;
            let word = state.status.unwrap_or_default();
            progress.say(&format!("{name} is {word}"));
            if deadline.is_over() {
                return Err(wait.over(name, &word));
            }
        }
    }

    fn told(&self, name: &AgentName, answer: &Answer) -> Result<()> {
        match self.output.form() {
            Form::Json => self.output.json(&answer.body),
            Form::Text => {
                let state: AgentStatus = answer.read()?;
                let word = or_unknown(state.status);
                let word = status_style(&word).apply_to(clean(&word));
                print(&format!("{name} is {word}"))
            }
        }
    }

    async fn reinitialize(&self, args: DeleteArgs) -> Result<()> {
        args.confirm("rebuilds")?;
        let DeleteArgs { name, wait, .. } = args;
        self.ask("reinitialize", WaitArgs { name, wait }).await
    }

    async fn delete(&self, args: DeleteArgs) -> Result<()> {
        let name = &args.name;
        args.confirm("deletes")?;
        let progress = Progress::new(&format!("delete {name}"));
        let deadline = args.wait.deadline();
        let mut answer = self.client.call(Call::delete(path(name))).await?;
        while answer.status == 202 {
            if deadline.is_over() {
                return Err(args.wait.over(name, "deleting"));
            }
            tokio::time::sleep(POLL).await;
            match self.client.call(Call::get(path(name))).await {
                Ok(_) => {}
                Err(error) if error.exit() == Some(Exit::NotFound) => answer.status = 200,
                Err(error) => return Err(error),
            }
        }
        drop(progress);
        match self.output.form() {
            Form::Json => self.output.json(&answer.body),
            Form::Text => print(&format!("deleted {name}")),
        }
    }
}

impl DeleteArgs {
    /// Asks for the name, because the workspace does not come back.
    fn confirm(&self, does: &str) -> Result<()> {
        if self.yes || !stdin().is_terminal() || !stderr().is_terminal() {
            return Ok(());
        }
        let name = &self.name;
        eprint!("This {does} {name} with its workspace for ever. Its name, to confirm: ");
        let mut typed = String::new();
        let read = stdin().read_line(&mut typed);
        if read.is_ok() && typed.trim() == name.as_str() {
            return Ok(());
        }
        Err(Error::new(Exit::Usage, "that is another name; nothing was done"))
    }
}

/// The end of a wait.
#[derive(Debug, Clone, Copy)]
struct Deadline(Option<Instant>);

impl Wait {
    fn deadline(self) -> Deadline {
        Deadline(Instant::now().checked_add(Duration::from_secs(self.wait_seconds)))
    }

    fn over(self, name: &AgentName, word: &str) -> Error {
        let detail = format!("{name} is still {word} after {} s; it goes on", self.wait_seconds);
        Error::new(Exit::TimedOut, detail).hint(format!("trinity agent show {name}"))
    }
}

impl Deadline {
    /// The longest that the server may be asked to wait, in milliseconds.
    const SERVER_WAIT_MS_MAX: u64 = 10_000;

    fn is_over(self) -> bool {
        self.0.is_some_and(|at| Instant::now() >= at)
    }

    /// What is left of the wait, as far as the server waits at once.
    fn wait_ms(self) -> u64 {
        let left = self.0.map(|at| at.saturating_duration_since(Instant::now()).as_millis());
        let left = left.and_then(|left| u64::try_from(left).ok()).unwrap_or(u64::MAX);
        left.min(Self::SERVER_WAIT_MS_MAX)
    }
}

fn row(agent: Agent) -> Vec<comfy_table::Cell> {
    vec![
        cell(&agent.name),
        status(agent.state()),
        cell(or_unknown(agent.runtime)),
        number(format!("{}/{}", agent.slots.active, agent.slots.max)),
        number(agent.slots.queued),
        cell(or_unknown(agent.owner)),
    ]
}

fn block(agent: &Agent) -> Vec<(&'static str, String)> {
    let mut rows = vec![
        ("name", agent.name.clone()),
        ("status", agent.state().to_owned()),
        ("type", or_unknown(agent.kind.clone())),
        ("runtime", or_unknown(agent.runtime.clone())),
        ("model", agent.model.clone().unwrap_or_else(|| "the runtime's default".to_owned())),
        ("slots", format!("{} of {} taken", agent.slots.active, agent.slots.max)),
        ("queued", agent.slots.queued.to_string()),
        ("timeout", agent.execution_timeout_seconds.map_or(UNKNOWN.into(), |s| format!("{s} s"))),
        ("autonomy", if agent.autonomy { "on" } else { "off" }.to_owned()),
        ("owner", or_unknown(agent.owner.clone())),
    ];
    let created = |at| format!("{} ({})", time(at), ago(at, clock::now()));
    rows.extend(agent.created.map(|at| ("created", created(at))));
    rows.extend(agent.container_id.clone().map(|id| ("host reference", id)));
    if agent.restart_needed {
        rows.push(("changed", "in force from the next start on".to_owned()));
    }
    rows.extend(agent.isolation.as_ref().map(|isolation| ("isolation", isolation.to_string())));
    if let Some(failure) = &agent.failure {
        rows.push(("failed step", failure.step.clone()));
        rows.push(("error", failure.error.clone()));
    }
    rows
}
