//! Who may operate an agent beside its owner and administrators.

use serde::Deserialize;
use serde_json::json;

use super::super::Session;
use super::super::client::{Answer, Call, segment};
use super::super::error::Result;
use super::super::output::{Form, print};
use super::super::text::clean;
use super::path;
use crate::domain::AgentName;

#[derive(Debug, clap::Args)]
pub struct ShareArgs {
    /// Name of the agent
    name: AgentName,
    /// Name of the user; without one, those are shown who may
    user: Option<String>,
}

#[derive(Debug, clap::Args)]
pub struct UnshareArgs {
    /// Name of the agent
    name: AgentName,
    /// Name of the user
    user: String,
}

#[derive(Debug, Deserialize)]
struct Shares {
    shares: Vec<User>,
}

#[derive(Debug, Deserialize)]
struct User {
    username: String,
}

impl Session {
    pub(super) async fn share(&self, args: ShareArgs) -> Result<()> {
        let Some(user) = args.user else { return self.shares(&args.name).await };
        let call = Call::post(format!("{}/share", path(&args.name)));
        let answer = self.client.call(call.json(json!({ "username": user }))).await?;
        self.shared(&answer, &format!("{} may operate {}", clean(&user), args.name))
    }

    pub(super) async fn unshare(&self, args: UnshareArgs) -> Result<()> {
        let share = format!("{}/share/{}", path(&args.name), segment(&args.user));
        let answer = self.client.call(Call::delete(share)).await?;
        let line = format!("{} may not operate {} any more", clean(&args.user), args.name);
        self.shared(&answer, &line)
    }

    async fn shares(&self, name: &AgentName) -> Result<()> {
        let answer = self.client.call(Call::get(format!("{}/shares", path(name)))).await?;
        let Shares { shares } = answer.read()?;
        let names: Vec<_> = shares.iter().map(|user| clean(&user.username)).collect();
        let line = match names.join(", ") {
            none if none.is_empty() => format!("{name} is shared with nobody"),
            names => format!("{name} is shared with {names}"),
        };
        self.shared(&answer, &line)
    }

    fn shared(&self, answer: &Answer, line: &str) -> Result<()> {
        match self.output.form() {
            Form::Json => self.output.json(&answer.body),
            Form::Text => print(line),
        }
    }
}
