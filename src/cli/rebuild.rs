//! `trinity rebuild`: builds a read model again from the log.

use super::Session;
use super::client::Call;
use super::error::{Error, Exit, Result};
use super::output::{Form, print};
use super::server::Common;
use super::text::clean;
use crate::config::{Config, Secret, Settings, variable};

/// The longest name of a projection, in characters.
const NAME_LENGTH_MAX: usize = 63;

/// What `trinity rebuild` takes.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The projection; `trinity health` lists them
    #[arg(value_parser = projection_name)]
    name: String,
    /// The Postgres database, when no server runs that could be asked
    #[arg(long, env = "TRINITY_DATABASE_URL", value_name = "URL", hide_env_values = true)]
    database_url: Option<Secret>,
    #[command(flatten)]
    common: Common,
}

fn projection_name(text: &str) -> Result<String, String> {
    let is_word = text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    if is_word && (1..=NAME_LENGTH_MAX).contains(&text.len()) {
        Ok(text.to_owned())
    } else {
        Err("this names no projection; `trinity health` lists them".to_owned())
    }
}

impl Args {
    /// Asks the server to build the projection again; without a server does so itself.
    pub async fn execute(self) -> Result<()> {
        match self.ask().await {
            Err(error) if error.exit() == Some(Exit::Unreachable) && self.is_local() => {
                self.build().await
            }
            asked => asked,
        }
    }

    /// Whether the data is that of this machine, not of a server that was named.
    fn is_local(&self) -> bool {
        self.common.url.is_none()
    }

    async fn build(self) -> Result<()> {
        let failed = |error: anyhow::Error| Error::new(Exit::Failed, format!("{error:#}"));
        let settings = Settings {
            data_dir: self.common.data_dir.or_else(|| variable("TRINITY_DATA_DIR").map(Into::into)),
            database_url: self.database_url,
            ..Settings::default()
        };
        let config = Config::load(settings).map_err(failed)?;
        crate::app::rebuild(&config, &self.name).await.map_err(failed)?;
        print(&format!("{} is built again; no server was running", clean(&self.name)))
    }

    async fn ask(&self) -> Result<()> {
        let session = Session::new(&self.common)?;
        let path = format!("/api/projections/{}/rebuild", self.name);
        let answer = session.client.call(Call::post(path)).await?;
        match session.output.form() {
            Form::Json => session.output.json(&answer.body),
            Form::Text => {
                let name = clean(&self.name);
                print(&format!("{name} is being built again; see: trinity health"))
            }
        }
    }
}
