//! `trinity run`: gives an agent a task and watches it.

use std::num::ParseIntError;
use std::str::FromStr;
use std::time::Duration;

use serde_json::{Map, Value};
use uuid::Uuid;

use super::Session;
use super::client::Call;
use super::error::{Error, Exit, Message, Result};
use super::exec::summary;
use super::input;
use super::output::{Form, print};
use super::server::Common;
use super::text::clean;
use super::watch::{Lines, Seen, Watched, unsuccessful};
use super::wire::Accepted;
use crate::domain::AgentName;

/// What `trinity run` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "The task goes on when this command ends early: Ctrl-C stops the watching \
                        alone.")]
pub struct Args {
    /// Name of the agent
    agent: AgentName,
    /// What to do; `-` reads it from standard input
    message: String,
    /// Submit the task and print its id, without watching
    #[arg(long, short)]
    detach: bool,
    /// Watch to the end, which is the default, or for SECONDS at most
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "forever", conflicts_with = "detach")]
    wait: Option<Limit>,
    /// Model, if not the agent's
    #[arg(long)]
    model: Option<String>,
    /// Seconds it may run, if not as long as the agent allows
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u32>,
    /// Turns it may take
    #[arg(long, value_name = "N")]
    max_turns: Option<u32>,
    /// Text added to the system prompt
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    system_prompt: Option<String>,
    /// The only tools it may use
    #[arg(long, value_name = "TOOL,…", value_delimiter = ',')]
    allowed_tools: Option<Vec<String>>,
    /// Session of an earlier run to go on with
    #[arg(long, value_name = "SESSION")]
    resume: Option<String>,
    /// Execution that calls for this one
    #[arg(long, value_name = "EXECUTION")]
    parent: Option<Uuid>,
    #[command(flatten)]
    common: Common,
}

/// How long to watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Limit {
    Forever,
    Seconds(u64),
}

impl FromStr for Limit {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, ParseIntError> {
        match text {
            "forever" => Ok(Self::Forever),
            seconds => seconds.parse().map(Self::Seconds),
        }
    }
}

impl Args {
    /// Submits the task; watches it to its end unless told otherwise.
    pub async fn execute(self) -> Result<()> {
        let session = Session::new(&self.common)?;
        let call = Call::post(format!("/api/agents/{}/task", self.agent))
            .json(self.body()?)
            .idempotency_key(Uuid::new_v4());
        let answer = session.client.call(call).await?;
        let accepted: Accepted = answer.read()?;
        if self.detach {
            return detached(&session, &answer.body, &accepted);
        }
        let watched =
            Watched { agent: self.agent.to_string(), id: accepted.execution_id, incarnation: None };
        let seen = tokio::select! {
            seen = session.watch(&watched, None, Lines::Answer) => seen?,
            () = elapsed(self.wait) => return Err(goes_on(watched.id, Exit::TimedOut)),
            Ok(()) = tokio::signal::ctrl_c() => {
                return Err(goes_on(watched.id, Exit::Interrupted));
            }
        };
        finish(&session, &seen)
    }

    fn body(&self) -> Result<Value> {
        let message = input::text(&self.message, "the message")?;
        let fields = [
            ("message", Some(Value::from(message))),
            ("async_mode", Some(Value::Bool(true))),
            ("model", self.model.clone().map(Value::from)),
            ("timeout_seconds", self.timeout.map(Value::from)),
            ("max_turns", self.max_turns.map(Value::from)),
            ("system_prompt", self.system_prompt.clone().map(Value::from)),
            ("allowed_tools", self.allowed_tools.clone().map(Value::from)),
            ("resume_session_id", self.resume.clone().map(Value::from)),
            ("parent_execution_id", self.parent.map(|id| Value::from(id.to_string()))),
        ];
        let said = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        Ok(Value::Object(said.collect::<Map<String, Value>>()))
    }
}

/// What is told about a task that nobody watches.
pub(super) fn detached(session: &Session, json: &str, accepted: &Accepted) -> Result<()> {
    if session.output.form() == Form::Json {
        return session.output.json(json);
    }
    let place = accepted.queue_position.map(|place| format!(", {place} in the queue"));
    eprintln!("{}{}", clean(&accepted.status), place.unwrap_or_default());
    eprintln!("follow it: trinity exec logs -f {}", accepted.execution_id);
    print(&accepted.execution_id.to_string())
}

async fn elapsed(limit: Option<Limit>) {
    match limit {
        Some(Limit::Seconds(seconds)) => tokio::time::sleep(Duration::from_secs(seconds)).await,
        Some(Limit::Forever) | None => std::future::pending().await,
    }
}

/// What is told when the watching ends before the run.
fn goes_on(id: Uuid, exit: Exit) -> Error {
    Error::Message(Box::new(Message {
        exit,
        detail: "the time to wait is over".to_owned(),
        hints: vec![
            format!("{id} goes on"),
            format!("follow it: trinity exec logs -f {id}"),
            format!("stop it:   trinity exec stop {id}"),
        ],
        code: None,
    }))
}

fn finish(session: &Session, seen: &Seen) -> Result<()> {
    let execution = &seen.execution;
    match session.output.form() {
        Form::Json => session.output.json(&seen.json)?,
        Form::Text => {
            let unsaid =
                execution.response.as_ref().filter(|text| !seen.answered && !text.is_empty());
            if let Some(response) = unsaid {
                print(&clean(response))?;
            }
            eprintln!("{}", summary(execution));
        }
    }
    unsuccessful(execution).map_or(Ok(()), Err)
}
