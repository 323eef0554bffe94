//! `trinity rebuild`: builds a read model again from the log.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use nix::unistd::geteuid;
use serde_json::json;
use tokio::time::Instant;

use super::Session;
use super::client::Call;
use super::error::{Error, Exit, Result};
use super::output::{Form, Output, print};
use super::progress::Progress;
use super::server::{Common, Running};
use super::text::clean;
use crate::app::open_log_and_views;
use crate::config::{Config, Secret, Settings, variable};
use crate::data_dir::{self, DataDir, InUse};
use crate::event_log::{inspect_postgres, inspect_sqlite};
use crate::projections::{self, RebuildError, Views};
use crate::telemetry::logs;

/// The longest name of a projection, in characters.
const NAME_LENGTH_MAX: usize = 63;

/// How often it is looked how far a rebuild is.
const LOOK_PERIOD: Duration = Duration::from_millis(200);

/// How long a rebuild may stand still: a batch takes seconds, a store that is away may come back, and the
/// tables of millions of rows are dropped in one step.
const STILL_MAX: Duration = Duration::from_mins(10);

/// What `trinity rebuild` takes.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The projection; `trinity health` lists them
    #[arg(value_parser = projection_name)]
    name: String,
    /// The Postgres of the data directory's server [env: TRINITY_DATABASE_URL=]
    #[arg(long, value_name = "URL", requires = "data_dir")]
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
    /// Asks the server to build the projection again, or does so where no server runs.
    pub async fn execute(self) -> Result<()> {
        if self.common.elsewhere()?.is_some() {
            let name = &self.name;
            let hint = format!(
                "without a server, and without TRINITY_URL: trinity rebuild {name} --data-dir DIR"
            );
            return self.ask(hint).await;
        }
        let path = self.common.local_data_dir()?;
        let dir = path.display();
        match Running::find(&path) {
            Running::No => self.build(&path).await,
            Running::Yes(Some(_)) => {
                let hint = format!("if no server runs, a command has it: see {dir}/lock");
                self.ask(hint).await
            }
            Running::Yes(None) => {
                let who = "a server starts or ends there, or another command works on it";
                let error = Error::new(Exit::Conflict, format!("{dir} is in use: {who}"));
                Err(error.hint("say it again in a moment"))
            }
            Running::Unknown(error) => {
                let detail = format!("whether a server runs on {dir} is not known: {error}");
                Err(Error::new(Exit::Auth, detail).hint("run as the server's user"))
            }
        }
    }

    /// Asks the server; `hint` is for one that does not answer.
    async fn ask(&self, hint: String) -> Result<()> {
        let session = Session::new(&self.common)?;
        let path = format!("/api/projections/{}/rebuild", self.name);
        let answer = session.client.call(Call::post(path)).await.map_err(|error| {
            let is_silent = error.exit() == Some(Exit::Unreachable) && error.code().is_none();
            if is_silent { error.hint(hint) } else { error }
        })?;
        match session.output.form() {
            Form::Json => session.output.json(&answer.body),
            Form::Text => {
                let name = clean(&self.name);
                print(&format!("{name} is being built again; see: trinity health"))
            }
        }
    }

    /// Builds the read model again on the data directory of a server that does not run.
    async fn build(self, path: &Path) -> Result<()> {
        let projection = projections::named(&self.name)?;
        let settings = Settings {
            data_dir: Some(path.to_owned()),
            database_url: self
                .database_url
                .or_else(|| variable("TRINITY_DATABASE_URL").map(Secret::from)),
            ..Settings::default()
        };
        let config = Config::load(settings).map_err(|error| Error::of(Exit::Usage, &error))?;
        require_log(&config).await?;
        data_dir::keep_private();
        let data_dir = DataDir::open(&config.data_dir).map_err(|error| {
            let exit = if error.is::<InUse>() { Exit::Conflict } else { Exit::Failed };
            Error::of(exit, &error)
        })?;
        // What it waits for, and what is wrong with the tables that it finds, is told there.
        logs::init(config.log_format);
        let opened = open_log_and_views(&config, &data_dir).await;
        let (log, db) = opened.map_err(|error| Error::of(Exit::Failed, &error))?;
        let views = Views::start_with(log.clone(), db, vec![projection]);
        let views = views.await.map_err(|error| Error::of(Exit::Failed, &error.into()))?;
        let position = built(&views, &self.name, log.head()).await;
        views.shutdown().await;
        log.close().await;
        let position = position?;
        let output = Output::new(&self.common);
        match output.form() {
            Form::Json => {
                let (name, status) = (&self.name, "rebuilt");
                let built = json!({"name": name, "status": status, "position": position});
                output.json(&built.to_string())
            }
            Form::Text => {
                print(&format!("{} was built again up to position {position}", self.name))
            }
        }
    }
}

/// Refuses a data directory in which no server has run, so that nothing is made there, and that of
/// another user, who could not open what is made.
async fn require_log(config: &Config) -> Result<()> {
    let dir = config.data_dir.as_path();
    let missing = |what: &str| {
        let detail = format!("no server runs on {}, and {what}", dir.display());
        Error::new(Exit::Unreachable, detail)
            .hint("a server elsewhere: trinity login URL")
            .hint("another directory of this machine: --data-dir DIR, and its --database-url URL")
    };
    let Ok(node_id) = fs::metadata(dir.join("node_id")) else {
        return Err(missing("none has ever run there"));
    };
    if node_id.uid() != geteuid().as_raw() {
        let detail = format!("{} belongs to the user with id {}", dir.display(), node_id.uid());
        return Err(Error::new(Exit::Auth, detail).hint("run as the server's user"));
    }
    let log = dir.join("log.db");
    let found = match &config.database_url {
        Some(url) => inspect_postgres(url.expose()).await,
        None if !log.exists() => return Err(missing("it has no log.db")),
        None => inspect_sqlite(&log),
    };
    let found = found.map_err(|error| Error::of(Exit::Failed, &error.into()))?;
    found.head.map(|_| ()).ok_or_else(|| missing("its log has not begun"))
}

/// Builds the read model again and says how far it is; gives the position up to which it goes.
async fn built(views: &Views, name: &str, head: i64) -> Result<i64> {
    let progress = Progress::new(&format!("{name} is being built again"));
    views.rebuild(name).await?;
    let mut built = std::pin::pin!(views.rebuilt(name));
    let mut looks = tokio::time::interval(LOOK_PERIOD);
    let (mut seen, mut moved_at) = (None, Instant::now());
    loop {
        tokio::select! {
            built = &mut built => return Ok(built?),
            _ = looks.tick() => {
                let Some(health) = views.health().remove(name) else { continue };
                if let Some(position) = health.rebuilding {
                    progress.say(&format!("{name} has got to {position} of {head} events"));
                }
                let now = Some((health.position, health.rebuilding));
                if seen != now {
                    (seen, moved_at) = (now, Instant::now());
                } else if moved_at.elapsed() > STILL_MAX {
                    let still_min = STILL_MAX.as_secs() / 60;
                    let detail = format!("{name} has not got further for {still_min} minutes");
                    return Err(Error::new(Exit::TimedOut, detail).hint("trinity doctor"));
                }
            }
        }
    }
}

impl From<RebuildError> for Error {
    fn from(error: RebuildError) -> Self {
        match &error {
            RebuildError::Unknown { .. } => Self::of(Exit::NotFound, &error.into()),
            RebuildError::Stopped { .. } => Self::of(Exit::Failed, &error.into())
                .hint("whether the log is whole: trinity audit verify")
                .hint("what is read is as it was; a later build of trinity may know that event"),
            RebuildError::Db(_) | RebuildError::ShuttingDown => {
                Self::of(Exit::Failed, &error.into())
            }
        }
    }
}
