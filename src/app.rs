//! The composition root: opens the stores, builds every long-lived thing once, owns shutdown.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use sqlx::postgres::PgPoolOptions;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use trinity_agent_protocol::IsolationKind;
use uuid::Uuid;

use crate::adapters::{Adapters, Launcher};
use crate::config::{AgentHostKind, Config, Secret, variable};
use crate::data_dir::{self, DataDir};
use crate::db::{ACQUIRE_TIMEOUT_MS, Db, Durability};
use crate::event_log::EventLog;
use crate::gateway::{Addresses, Gateway};
use crate::hosts::AgentHost;
use crate::hosts::docker::{self, AgentServer, AgentServerChoice, DockerHost, Endpoint};
use crate::hosts::links::Links;
use crate::hosts::process::{Options, ProcessHost};
use crate::hosts::usage::Meter;
use crate::library::Library;
use crate::projections::{self, Views};
use crate::reactors;
use crate::redis::Redis;
use crate::state::State;
use crate::telemetry::{logs, metrics};
use crate::vault::Vault;
use crate::{api, clock, demo, system_agent};

/// How long open requests have to end after the signal to stop.
const DRAIN_MAX: Duration = Duration::from_secs(10);
/// How often measurements are folded into their buckets.
const METRICS_UPKEEP_PERIOD: Duration = Duration::from_secs(5);
/// How many connections to Postgres the read models, sessions and transcripts share.
const CONNECTIONS_MAX: u32 = 16;
/// The search path of runs where the server itself has none.
const PATH_DEFAULT: &str = "/usr/local/bin:/usr/bin:/bin";
/// This very executable, also when its file was replaced by an upgrade.
const OWN_EXECUTABLE: &str = "/proc/self/exe";

/// Everything long-lived, built once.
pub struct App {
    /// What was configured.
    pub config: Config,
    /// The folder that this server has to itself.
    pub data_dir: DataDir,
    /// This node.
    pub node_id: Uuid,
    /// The truth.
    pub log: EventLog,
    /// What the truth looks like from different sides.
    pub views: Views,
    /// What events cannot rebuild: sessions, password hashes, transcripts.
    pub state: State,
    /// The credentials of agents.
    pub vault: Vault,
    /// What saves work, where there is one.
    pub redis: Option<Redis>,
    /// Where agents live.
    pub host: Arc<dyn AgentHost>,
    /// The links to the agents' servers.
    pub links: Links,
    /// The way from agents to their models.
    pub gateway: Gateway,
    /// What agents use.
    pub meter: Meter,
    /// The CLIs.
    pub adapters: Adapters,
    /// Templates and skills.
    pub library: Library,
    /// Who is allowed in before there is a user.
    pub setup: api::auth::Setup,
    /// Ends streams and reactors.
    pub shutdown: CancellationToken,
    /// When this server began to serve.
    pub started_at: DateTime<Utc>,
}

impl App {
    /// Opens the stores and builds everything; nothing is served and no agent is looked after yet.
    ///
    /// # Errors
    /// When the data directory, a store or a configured command cannot be used.
    pub async fn open(config: Config) -> anyhow::Result<Arc<Self>> {
        metrics::install()?;
        // Fails only when a provider is installed already, which then serves as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let data_dir = DataDir::open(&config.data_dir)?;
        let node_id = data_dir.node_id()?;
        let (log, views) = open_log_and_views(&config, &data_dir).await?;
        let state = match views.pool() {
            None => State::open_sqlite(data_dir.path()).await?,
            Some(pool) => State::open_postgres(pool.clone()).await?,
        };
        let views =
            Views::start(log.clone(), views).await.context("cannot open the read models")?;
        let host: Arc<dyn AgentHost> = match config.agent_host {
            AgentHostKind::Process => {
                let mut options = Options::new(data_dir.path().to_owned());
                options.runtime_dir = variable("XDG_RUNTIME_DIR").map(PathBuf::from);
                options.isolation = config.isolation;
                options.agent_uids = config.agent_uids;
                options.readable_paths = readable_paths(&config)?;
                Arc::new(ProcessHost::open(options).context("cannot host agents")?)
            }
            AgentHostKind::Docker => {
                let chosen = agent_server(&config)?;
                tracing::info!("the agent server of containers is {chosen}");
                let platform = log.log_id().to_string();
                Arc::new(DockerHost::new(docker_options(&config, chosen.copied(), platform)))
            }
        };
        let adapters = adapters(&config)?;
        let library = Library::of(&config);
        let vault =
            Vault::open(state.db.clone(), config.secret_key.as_ref(), &data_dir, clock::now());
        let vault = vault.await.context("cannot open the vault")?;
        let redis = match &config.redis_url {
            Some(url) => Some(Redis::open(url, &format!("trinity:{}", log.log_id()))?),
            None => None,
        };
        let vault = vault.with_copies(redis.clone());
        let addresses = Addresses {
            anthropic: config.anthropic_url.clone(),
            gemini: config.gemini_url.clone(),
        };
        let gateway = Gateway::new(Arc::clone(&host), vault.clone(), &addresses)?;
        let setup = api::auth::Setup::prepare(&config, &data_dir, &log, &state).await?;
        Ok(Arc::new(Self {
            config,
            data_dir,
            node_id,
            log,
            views,
            state,
            vault,
            redis,
            links: Links::new(Arc::clone(&host)),
            gateway,
            meter: Meter::new(Arc::clone(&host)),
            host,
            adapters,
            library,
            setup,
            shutdown: CancellationToken::new(),
            started_at: clock::now(),
        }))
    }

    /// Where runs look for programs, unless where they live says so itself.
    pub fn search_path() -> String {
        variable("PATH").unwrap_or_else(|| PATH_DEFAULT.to_owned())
    }

    /// What reactors work with; `address` is where this server serves.
    pub fn reactors(&self, address: SocketAddr) -> reactors::Context {
        reactors::Context {
            log: self.log.clone(),
            views: self.views.clone(),
            transcripts: self.state.transcripts.clone(),
            vault: self.vault.clone(),
            avatars: self.state.avatars.clone(),
            host: Arc::clone(&self.host),
            links: self.links.clone(),
            gateway: self.gateway.clone(),
            adapters: self.adapters.clone(),
            library: self.library.clone(),
            node_id: self.node_id,
            path: Self::search_path(),
            agent_url: self.config.url_for_agents(address),
            grace_ms: self.config.grace_ms,
            shutdown: self.shutdown.clone(),
            runs: reactors::Hints::default(),
        }
    }
}

/// Which agent server containers are started with: what was named, what lies beside this executable,
/// or what their image has.
///
/// # Errors
/// When what was named cannot be used.
pub fn agent_server(config: &Config) -> anyhow::Result<AgentServerChoice> {
    let named = config.agent_server.as_deref();
    let own = std::env::current_exe().ok();
    AgentServerChoice::make(named, own.as_deref()).with_context(|| {
        let path = named.unwrap_or(Path::new(""));
        format!("cannot use the agent server {}", path.display())
    })
}

/// What containers are made with, and `agent_server` is copied into; `platform` is the id of the log
/// that their agents belong to.
pub fn docker_options(
    config: &Config,
    agent_server: Option<AgentServer>,
    platform: String,
) -> docker::Options {
    docker::Options {
        endpoint: Endpoint {
            address: config.docker_host.clone(),
            certificates: config.docker_cert_path.clone(),
        },
        image: config.agent_image.clone(),
        agent_server,
        network: config.agent_network,
        gateway: config.model_gateway,
        platform,
    }
}

/// Opens the event log and the database of the read models, which on Postgres is that of the state too.
///
/// # Errors
/// When one of them cannot be opened, or was written by a later build.
pub async fn open_log_and_views(
    config: &Config,
    data_dir: &DataDir,
) -> anyhow::Result<(EventLog, Db)> {
    let Some(url) = &config.database_url else {
        let log = EventLog::open_sqlite(&data_dir.join("log.db")).await;
        let log = log.context("cannot open the event log")?;
        let views = projections::open_file(&data_dir.join(projections::FILE)).await;
        return Ok((log, views.context("cannot open the read models")?));
    };
    let log = EventLog::open_postgres(url.expose()).await;
    let log = log.context("cannot open the event log on Postgres")?;
    let pool = PgPoolOptions::new()
        .max_connections(CONNECTIONS_MAX)
        .acquire_timeout(Duration::from_millis(ACQUIRE_TIMEOUT_MS))
        .connect(url.expose())
        .await
        .context("cannot connect to Postgres")?;
    // Rows and cursor of a read model are lost together, so they need not wait for the disk.
    Ok((log, Db::postgres(pool, Durability::Normal)))
}

/// What runs may read and execute: what was configured, and the files that the commands name.
fn readable_paths(config: &Config) -> anyhow::Result<Vec<PathBuf>> {
    let mut paths = config.readable_paths.clone();
    for command in [&config.claude_command, &config.gemini_command].into_iter().flatten() {
        let launcher = Launcher::parse(command.expose());
        let launcher = launcher.context("cannot split a configured command")?;
        let words = launcher.words().iter().map(PathBuf::from);
        paths.extend(words.filter(|word| word.is_absolute()));
    }
    Ok(paths)
}

fn adapters(config: &Config) -> anyhow::Result<Adapters> {
    let claude = config.claude_command.as_ref().map_or("claude", Secret::expose);
    let claude = Launcher::parse(claude).context("cannot use TRINITY_CLAUDE_COMMAND")?;
    let gemini = config.gemini_command.as_ref().map_or("gemini", Secret::expose);
    let gemini = Launcher::parse(gemini).context("cannot use TRINITY_GEMINI_COMMAND")?;
    let demo = [OWN_EXECUTABLE, "fake-claude"].map(str::to_owned).to_vec();
    Ok(Adapters::new(claude, gemini, Launcher::new(demo)))
}

/// Serves until a signal says to stop; a second one leaves at once.
///
/// # Errors
/// When something cannot be opened, or the address cannot be listened on.
pub async fn serve(config: Config, demo: bool) -> anyhow::Result<ExitCode> {
    data_dir::keep_private();
    let mut signals = Signals::new()?;
    let listener = TcpListener::bind(config.listen)
        .await
        .with_context(|| format!("cannot listen on {}; say --listen ADDR", config.listen))?;
    let address = listener.local_addr().context("cannot tell the address")?;
    let app = App::open(config).await?;
    if app.config.system_agent {
        system_agent::make(&app).await?;
    }
    let (library, shutdown) = (app.library.clone(), app.shutdown.child_token());
    let copies = async move { shutdown.run_until_cancelled(library.copy_at_start()).await };
    let copies = tokio::spawn(copies);
    let reactors = Arc::new(app.reactors(address));
    let fleet = reactors::spawn(Arc::clone(&reactors));
    reactors::spawn_foreign(Arc::clone(&reactors));
    reactors::spawn_strays(Arc::clone(&reactors));
    if let Some(days) = app.config.transcript_retention_days {
        reactors::spawn_retention(Arc::clone(&reactors), days);
    }
    announce(&app, address)?;

    let router = api::router(Arc::clone(&app));
    tokio::spawn(app.shutdown.child_token().run_until_cancelled_owned(keep_metrics()));
    let key_usages = app.state.key_usages.clone();
    let key_usages = tokio::spawn(key_usages.flush_until(app.shutdown.child_token()));
    let stop_accepting = app.shutdown.clone();
    let server = axum::serve(listener, router.into_make_service_with_connect_info::<SocketAddr>())
        .with_graceful_shutdown(async move { stop_accepting.cancelled().await });
    let server = tokio::spawn(server.into_future());
    if demo {
        tokio::spawn(demo::seed(Arc::clone(&app)));
    }

    signals.next().await;
    let running = reactors.runs.len();
    app.shutdown.cancel();
    let drain = async {
        let _ended = tokio::time::timeout(DRAIN_MAX, server).await;
        let _ended = fleet.await;
        let _ended = key_usages.await;
        let _ended = copies.await;
        app.views.shutdown().await;
        app.log.close().await;
    };
    tokio::select! {
        () = drain => {}
        () = signals.next() => {}
    }
    app.data_dir.remove("address")?;
    let stopped = match running {
        0 => "stopped".to_owned(),
        1 => "stopped; 1 run goes on and will be re-adopted".to_owned(),
        n => format!("stopped; {n} runs go on and will be re-adopted"),
    };
    logs::say(app.config.log_format, &stopped);
    Ok(ExitCode::SUCCESS)
}

/// Keeps what was measured from piling up between two looks at it.
async fn keep_metrics() {
    let mut ticks = tokio::time::interval(METRICS_UPKEEP_PERIOD);
    loop {
        ticks.tick().await;
        metrics::upkeep();
    }
}

/// Says where the server is and how to get in; clients on this machine read it from a file.
fn announce(app: &App, address: SocketAddr) -> anyhow::Result<()> {
    let url = format!("http://{address}");
    app.data_dir.write_private("address", &url)?;
    let store = if app.config.database_url.is_some() { "Postgres" } else { "SQLite" };
    let say = |line: &str| logs::say(app.config.log_format, line);
    say(&format!("Trinity {} serves on {url}", env!("CARGO_PKG_VERSION")));
    say(&format!("  data   {} ({store})", app.data_dir.path().display()));
    say(&format!("  agents {}; {}", agents_in_words(&app.config), isolation_in_words(app)));
    if let Some(shortfall) = &app.host.isolation_plan().shortfall {
        say(&format!("  WARNING: isolation could be better: {shortfall}"));
    }
    say(&format!("  {}", app.setup.how_to_log_in(&url)));
    Ok(())
}

/// Says where agents live.
fn agents_in_words(config: &Config) -> String {
    match config.agent_host {
        AgentHostKind::Process => "on this machine, as processes".to_owned(),
        AgentHostKind::Docker => {
            format!("in containers of {}, image {}", config.docker_host, config.agent_image)
        }
    }
}

/// Says what keeps agents apart.
fn isolation_in_words(app: &App) -> String {
    let plan = app.host.isolation_plan();
    let landlock = plan.landlock_abi.map(|abi| format!("Landlock ABI {abi}"));
    match (plan.kind, landlock) {
        (IsolationKind::Container, _) => {
            let network: &str = app.config.agent_network.into();
            format!("isolation container, network {network}")
        }
        (IsolationKind::Uid, Some(landlock)) => {
            format!(
                "isolation uid: each has a user of its own ({}), and {landlock}",
                app.config.agent_uids
            )
        }
        (IsolationKind::Uid, None) => {
            format!("isolation uid: each has a user of its own ({})", app.config.agent_uids)
        }
        (IsolationKind::Landlock, landlock) => {
            format!("isolation landlock: {}", landlock.unwrap_or_default())
        }
        (IsolationKind::None, _) => {
            "ISOLATION NONE: agents can read whatever this user can read".to_owned()
        }
    }
}

/// The signals that ask this process to stop.
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
