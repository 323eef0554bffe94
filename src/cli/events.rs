//! `trinity events`: the log of everything that happens, as it happens, and what led to what.

use console::style;
use serde_json::Value;

use super::Session;
use super::client::{Call, read_json};
use super::error::Result;
use super::output::{Form, print};
use super::server::Common;
use super::stream::{Follow, Numbered, Step};
use super::text::{clean, one_line, time};
use super::wire::{Event, EventWithCauses};
use crate::domain::AgentName;

/// What `trinity events` takes.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Print events as they happen, until Ctrl-C
    Tail(TailArgs),
    /// Show an event and what led to it
    Show(ShowArgs),
}

#[derive(Debug, clap::Args)]
struct ShowArgs {
    /// The event's position in the log
    position: u64,
}

#[derive(Debug, clap::Args)]
struct TailArgs {
    /// Begin after this position; 0 is the beginning [default: now]
    #[arg(long, value_name = "POSITION")]
    after: Option<u64>,
    /// Only these types, such as ExecutionStarted
    #[arg(long, value_name = "TYPE,…", value_delimiter = ',')]
    types: Vec<String>,
    /// Only about: agent, execution, activity, permission
    #[arg(long, value_name = "TOPIC,…", value_delimiter = ',')]
    topics: Vec<String>,
    /// Only of this agent
    #[arg(long, value_name = "NAME")]
    agent: Option<AgentName>,
    /// End after so many events
    #[arg(long, short = 'n', value_name = "N")]
    limit: Option<u64>,
}

impl Args {
    /// Does what the subcommand says.
    pub async fn execute(self) -> Result<()> {
        let session = Session::new(&self.common)?;
        match self.command {
            Command::Tail(args) => session.tail(args).await,
            Command::Show(ShowArgs { position }) => session.show_event(position).await,
        }
    }
}

impl Session {
    async fn show_event(&self, position: u64) -> Result<()> {
        let answer = self.client.call(Call::get(format!("/api/events/{position}"))).await?;
        match self.output.form() {
            Form::Json => self.output.json(&answer.body),
            Form::Text => print(&tree(&answer.read()?).join("\n")),
        }
    }

    async fn tail(&self, args: TailArgs) -> Result<()> {
        let topics = Some(args.topics.join(",")).filter(|topics| !topics.is_empty());
        let call = Call::get("/api/stream").query("topics", topics).query("agent", args.agent);
        let mut follow = Follow::new(&self.client, call, Numbered::All, args.after);
        let mut left = args.limit.unwrap_or(u64::MAX);
        while left > 0
            && let Some(step) = follow.next().await?
        {
            let frame = match step {
                Step::Frame(frame) => frame,
                Step::Reset => {
                    eprintln!(
                        "the server does not know the last position; it goes on from its end"
                    );
                    continue;
                }
                Step::Open | Step::Lost => continue,
            };
            let event: Event = read_json(&frame.data)?;
            if args.types.is_empty() || args.types.contains(&event.kind) {
                left -= 1;
                match self.output.form() {
                    Form::Json => self.output.json(&frame.data)?,
                    Form::Text => print(&line(&event))?,
                }
            }
        }
        Ok(())
    }
}

/// The tree from the event it all began with down to the one that was asked for, and what that led
/// to.
fn tree(found: &EventWithCauses) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    if !found.is_complete {
        lines.push("…".to_owned());
    }
    let chain = found.causes.iter().rev().chain([&found.event]);
    for event in chain {
        let depth = lines.len();
        lines.push(branch(depth, &line(event)));
    }
    let depth = lines.len();
    lines.extend(found.effects.iter().map(|effect| branch(depth, &line(effect))));
    lines
}

fn branch(depth: usize, line: &str) -> String {
    match depth.checked_sub(1) {
        None => line.trim_start().to_owned(),
        Some(above) => format!("{}└─ {}", "   ".repeat(above), line.trim_start()),
    }
}

/// Position, time, type, stream, actor and what there is to say about it.
pub(super) fn line(event: &Event) -> String {
    let stream = clean(&format!("{}:{}", event.stream_type, event.stream_id));
    let data = match &event.data {
        Value::Null => String::new(),
        Value::Object(fields) if fields.is_empty() => String::new(),
        data => one_line(&data.to_string()),
    };
    format!(
        "{:>6} {} {} {stream} {} {}",
        event.position,
        style(time(event.recorded_at)).dim(),
        style(clean(&event.kind)).bold(),
        style(format!("by {}", actor(&event.actor))).dim(),
        style(data).dim(),
    )
}

fn actor(actor: &Value) -> String {
    match actor {
        Value::String(actor) => clean(actor),
        other => one_line(&other.to_string()),
    }
}
