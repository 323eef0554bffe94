//! `trinity exec`: looks at executions and stops them.

mod find;
mod logs;
mod show;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::Session;
use super::client::{Call, read_json};
use super::error::Result;
use super::output::{Form, cell, number, print, status};
use super::run::detached;
use super::server::Common;
use super::text::{UNKNOWN, ago, cost, duration, one_line, short_id};
use super::when;
use super::wire::{Execution, Terminated};
use crate::api::executions::{ExecutionQuery, Sort};
use crate::clock;
use crate::domain::AgentName;

pub use show::{summary, tool_calls};

/// The most executions that a list asks for at once.
const PAGE_LENGTH_MAX: usize = 1_000;

/// What `trinity exec` takes.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List executions
    #[command(mut_arg("from", as_people_say_it), mut_arg("to", as_people_say_it))]
    Ls(LsArgs),
    /// Show an execution with its answer
    Show(IdArgs),
    /// Print what an execution has put out
    Logs(LogsArgs),
    /// Give the agent the same task once more, with the same options
    Rerun(IdArgs),
    /// Stop an execution
    Stop(StopArgs),
}

#[derive(Debug, clap::Args)]
struct LsArgs {
    /// Only of these agents
    #[arg(long, short, value_name = "NAME,…", value_delimiter = ',')]
    agent: Vec<AgentName>,
    #[command(flatten)]
    filter: ExecutionQuery,
    /// The newest first, as without it, or the oldest
    #[arg(long, value_name = "ORDER", allow_hyphen_values = true)]
    sort: Option<Sort>,
    /// How many at most
    #[arg(long, short = 'n', value_name = "N", default_value_t = 20)]
    limit: usize,
}

#[derive(Debug, clap::Args)]
struct IdArgs {
    /// Its id, or the end of it as the list shows it
    id: find::Fragment,
}

#[derive(Debug, clap::Args)]
struct LogsArgs {
    #[command(flatten)]
    id: IdArgs,
    /// Go on until the execution is over
    #[arg(long, short)]
    follow: bool,
    /// Begin after the line of this number
    #[arg(long, value_name = "SEQ")]
    after: Option<u64>,
}

#[derive(Debug, clap::Args)]
struct StopArgs {
    #[command(flatten)]
    id: IdArgs,
    /// Kill it at once instead of asking it to end
    #[arg(long, short)]
    force: bool,
}

/// Lets a time be given in words; the query of REST, which these flags are, takes none.
fn as_people_say_it(time: clap::Arg) -> clap::Arg {
    let help = time.get_help().map(|help| format!("{help}, such as \"yesterday 10:00\""));
    time.value_parser(when::time).help(help.unwrap_or_default())
}

impl Args {
    /// Does what the subcommand says.
    pub async fn execute(self) -> Result<()> {
        let session = Session::new(&self.common)?;
        match self.command {
            Command::Ls(args) => session.list_executions(args).await,
            Command::Show(args) => session.show_execution(&args.id).await,
            Command::Logs(args) => session.logs(&args).await,
            Command::Rerun(args) => session.rerun(&args.id).await,
            Command::Stop(args) => session.stop_execution(&args).await,
        }
    }
}

impl Session {
    async fn list_executions(&self, args: LsArgs) -> Result<()> {
        let joined = |words: Vec<String>| Some(words.join(",")).filter(|list| !list.is_empty());
        let agents = args.agent.iter().map(ToString::to_string).collect();
        let call = Call::get("/api/executions")
            .query("limit", Some(args.limit.clamp(1, PAGE_LENGTH_MAX)))
            .query("agent", joined(agents))
            .query("sort", args.sort)
            .pairs(args.filter.pairs());
        let items = self.client.list(call, args.limit).await?;
        if self.output.form() == Form::Json {
            return self.output.json_list(&items);
        }
        let now = clock::now();
        let executions = items.iter().map(|item| read_json::<Execution>(item.get()));
        let rows =
            executions.map(|found| found.map(|e| row(&e, now))).collect::<Result<Vec<_>>>()?;
        let header = ["ID", "STATUS", "AGENT", "TRIGGER", "STARTED", "DURATION", "COST", "MESSAGE"];
        let spare = ["COST", "TRIGGER", "DURATION", "STARTED", "AGENT"];
        self.output.table(&header, &spare, rows, "no executions; make one: trinity run AGENT \"…\"")
    }

    async fn rerun(&self, id: &find::Fragment) -> Result<()> {
        let before = self.find(id).await?;
        let path = format!("/api/agents/{}/executions/{}/rerun", before.agent, before.id);
        let call = Call::post(path).idempotency_key(Uuid::new_v4());
        let answer = self.client.call(call).await?;
        let accepted = answer.read()?;
        detached(self, &answer.body, &accepted)
    }

    async fn stop_execution(&self, args: &StopArgs) -> Result<()> {
        let watched = self.find(&args.id.id).await?;
        let path = format!("/api/agents/{}/executions/{}/terminate", watched.agent, watched.id);
        let call = Call::post(path).query("force", args.force.then_some(true));
        let answer = self.client.call(call).await?;
        if self.output.form() == Form::Json {
            return self.output.json(&answer.body);
        }
        let Terminated { status, execution_id: id } = answer.read()?;
        let words = match status.as_str() {
            "cancelling" => "is being stopped",
            "cancelled" => "was stopped",
            "cancelled_while_queued" => "was taken out of the queue; it never ran",
            "already_finished" => "was over already",
            other => other,
        };
        print(&format!("{id} {}", super::text::clean(words)))?;
        if status == "cancelling" {
            eprintln!("watch it end: trinity exec logs -f {id}");
        }
        Ok(())
    }
}

fn row(execution: &Execution, now: DateTime<Utc>) -> Vec<comfy_table::Cell> {
    let running_ms = || {
        let since = execution.started_at.filter(|_| !execution.is_over())?;
        u64::try_from((now - since).num_milliseconds()).ok()
    };
    let took = execution.duration_ms.or_else(running_ms);
    vec![
        cell(short_id(execution.id)),
        status(&execution.status),
        cell(&execution.agent_name),
        cell(&execution.triggered_by),
        cell(execution.started_at.map_or(UNKNOWN.into(), |at| ago(at, now))),
        number(took.map_or(UNKNOWN.into(), duration)),
        number(execution.cost.map_or(UNKNOWN.into(), cost)),
        cell(one_line(&execution.message)),
    ]
}
