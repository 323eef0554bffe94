//! `trinity vault`: the master key of the credentials, while no server runs.

use std::path::PathBuf;

use anyhow::Context as _;
use sqlx::PgPool;

use super::error::{Error, Exit, Result};
use super::output::print;
use crate::clock;
use crate::config::{Config, Secret, Settings, variable};
use crate::data_dir::DataDir;
use crate::state::State;
use crate::vault::master::{KEY_FILE, NEW_KEY_VARIABLE};
use crate::vault::{Rotated, Source, rotate};

/// What `trinity vault` takes.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Encrypt every credential's key by a new master key
    ///
    /// Stop every server of the database first. The new key is made, or is what
    /// TRINITY_NEW_SECRET_KEY holds where TRINITY_SECRET_KEY holds the old one. Nothing is lost when
    /// it is ended in the middle: say it again.
    Rotate(RotateArgs),
}

#[derive(Debug, clap::Args)]
struct RotateArgs {
    /// Folder of the server's data [default: $XDG_DATA_HOME/trinity]
    #[arg(long, env = "TRINITY_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// The server's Postgres, if it uses one
    #[arg(long, env = "TRINITY_DATABASE_URL", value_name = "URL", hide_env_values = true)]
    database_url: Option<Secret>,
}

impl Args {
    /// Does what the subcommand says.
    pub async fn execute(self) -> Result<()> {
        let Command::Rotate(args) = self.command;
        let rotated = args.rotate().await.map_err(|error| Error::of(Exit::Failed, &error));
        let Rotated { agents, fingerprint, source } = rotated?;
        let agents = match agents {
            1 => "1 agent".to_owned(),
            many => format!("{many} agents"),
        };
        let then = match source {
            Source::File(path) => format!(
                "it is in {}; other nodes of this database need the same {KEY_FILE}",
                path.display()
            ),
            Source::Variable => format!(
                "set TRINITY_SECRET_KEY to what {NEW_KEY_VARIABLE} holds, on every node, before you \
                 start a server"
            ),
        };
        print(&format!("the credentials of {agents} now need master key {fingerprint}: {then}"))
    }
}

impl RotateArgs {
    async fn rotate(self) -> anyhow::Result<Rotated> {
        let Self { data_dir, database_url } = self;
        let settings = Settings { data_dir, database_url, ..Settings::default() };
        let config = Config::load(settings)?;
        // Refuses while a server runs on this directory.
        let data_dir = DataDir::open(&config.data_dir)?;
        let state = match &config.database_url {
            None => State::open_sqlite(data_dir.path()).await?,
            Some(url) => {
                let pool = PgPool::connect(url.expose()).await;
                State::open_postgres(pool.context("cannot connect to Postgres")?).await?
            }
        };
        let new = variable(NEW_KEY_VARIABLE).map(Secret::from);
        let keys = (config.secret_key.as_ref(), new.as_ref());
        rotate(state.db, keys, &data_dir, clock::now()).await
    }
}
