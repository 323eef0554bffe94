//! `trinity replay`: plays what happened again, in its order and its rhythm.

use super::Session;
use super::client::{Call, read_json};
use super::error::Result;
use super::events::line;
use super::output::{Form, print};
use super::server::Common;
use super::stream::{Follow, Numbered, Step};
use super::when::Place;
use super::wire::Event;
use crate::domain::AgentName;

/// What `trinity replay` takes.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    common: Common,
    /// Begin at this position or time, such as "yesterday 10:00"
    #[arg(long, value_name = "WHEN")]
    from: Place,
    /// End at this position or time [default: now]
    #[arg(long, value_name = "WHEN")]
    to: Option<Place>,
    /// So many times as fast as it happened; 0 or max is at once
    #[arg(long, value_name = "N", default_value = "1")]
    speed: String,
    /// Only about: agent, execution, activity, permission, all
    #[arg(long, value_name = "TOPIC,…", value_delimiter = ',')]
    topics: Vec<String>,
    /// Only of this agent
    #[arg(long, value_name = "NAME")]
    agent: Option<AgentName>,
}

impl Args {
    /// Plays.
    pub async fn execute(self) -> Result<()> {
        let session = Session::new(&self.common)?;
        let topics = Some(self.topics.join(",")).filter(|topics| !topics.is_empty());
        let call = Call::get("/api/replay")
            .query("from", Some(self.from))
            .query("to", self.to)
            .query("speed", Some(self.speed))
            .query("topics", topics)
            .query("agent", self.agent);
        let mut follow = Follow::new(&session.client, call, Numbered::All, None);
        while let Some(step) = follow.next().await? {
            let frame = match step {
                Step::Frame(frame) => frame,
                Step::Reset => {
                    eprintln!("the server does not know the last position; it plays all again");
                    continue;
                }
                Step::Open | Step::Lost => continue,
            };
            match session.output.form() {
                Form::Json => session.output.json(&frame.data)?,
                Form::Text => print(&line(&read_json::<Event>(&frame.data)?))?,
            }
        }
        Ok(())
    }
}
