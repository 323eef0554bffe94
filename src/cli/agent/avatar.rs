//! The picture of an agent.

use std::io::{IsTerminal as _, Write as _, stdout};
use std::path::PathBuf;

use reqwest::header::HeaderMap;
use serde::Deserialize;

use super::super::Session;
use super::super::client::{Answer, Call};
use super::super::error::{Error, Exit, Result};
use super::super::output::{Form, print};
use super::{files, path};
use crate::domain::AgentName;
use crate::state::avatars::IMAGE_BYTES_MAX;

#[derive(Debug, clap::Args)]
pub struct AvatarArgs {
    #[command(subcommand)]
    command: AvatarCommand,
}

#[derive(Debug, clap::Subcommand)]
enum AvatarCommand {
    /// Set it to a PNG, JPEG, GIF or WebP image of at most 256 KiB
    Set(SetArgs),
    /// Write it to what it is piped into, or save it
    Get(GetArgs),
    /// Remove it
    Rm(RmArgs),
}

#[derive(Debug, clap::Args)]
struct SetArgs {
    /// Name of the agent
    name: AgentName,
    /// The image; standard input without one
    from: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
struct GetArgs {
    /// Name of the agent
    name: AgentName,
    /// Where to save it
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
struct RmArgs {
    /// Name of the agent
    name: AgentName,
}

#[derive(Debug, Deserialize)]
struct Setting {
    avatar_sha256: Option<String>,
}

impl Session {
    pub(super) async fn avatar(&self, args: AvatarArgs) -> Result<()> {
        match args.command {
            AvatarCommand::Set(SetArgs { name, from }) => {
                let image = files::read(from.as_deref(), IMAGE_BYTES_MAX)?;
                let answer = self.client.call(Call::put(avatar(&name)).bytes(image)).await?;
                self.changed_avatar(&name, &answer)
            }
            AvatarCommand::Get(args) => self.get_avatar(&args).await,
            AvatarCommand::Rm(RmArgs { name }) => {
                let answer = self.client.call(Call::delete(avatar(&name))).await?;
                self.changed_avatar(&name, &answer)
            }
        }
    }

    async fn get_avatar(&self, GetArgs { name, output }: &GetArgs) -> Result<()> {
        if output.is_none() && stdout().is_terminal() {
            let error = Error::new(Exit::Usage, "an image is nothing for a terminal");
            return Err(error.hint(format!("trinity agent avatar get {name} --output FILE")));
        }
        let response = self.client.stream(&Call::get(avatar(name)), HeaderMap::new()).await?;
        if let Some(to) = output {
            return self.save(response, to).await;
        }
        let image = self.client.body(response).await?;
        let mut out = stdout().lock();
        out.write_all(&image)?;
        Ok(out.flush()?)
    }

    fn changed_avatar(&self, name: &AgentName, answer: &Answer) -> Result<()> {
        if self.output.form() == Form::Json {
            return self.output.json(&answer.body);
        }
        let Setting { avatar_sha256 } = answer.read()?;
        let what = if avatar_sha256.is_some() { "a picture" } else { "no picture" };
        print(&format!("{name} has {what}"))
    }
}

fn avatar(name: &AgentName) -> String {
    format!("{}/avatar", path(name))
}
