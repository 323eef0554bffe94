//! Agents as processes of this machine.
//!
//! ```text
//! <data>/agents/<incarnation>/agent.json    what it was created with; its place is complete
//!                             workspace/    the agent's files; HOME of its runs is workspace/.home
//!                             state/        the state folder of its agent server
//!                             files/        files that exist while a run lasts
//!                             server.log    what its agent server says
//! <data>/s/<8 hex>.sock                     its agent server
//! ```
//! The agent server is nobody's child: it outlives the platform and is found again by what its
//! state folder says. Other names in these folders are ignored.

mod folders;

use std::collections::HashMap;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::net::UnixStream;
use tokio::process::Command;
use tokio::time::{Instant, sleep, timeout};
use trinity_agent_protocol::{GRACE_MS_DEFAULT, GRACE_MS_MAX};
use trinity_agent_server::{ProcessIdentity, SELF_EXE, ServerRecord, runner_lives};
use uuid::Uuid;

use self::folders::{Folders, Place};
use super::{AgentHost, AgentSpec, ByteStream, Error, HostKind, HostState, HostedAgent, link};

/// How long an agent server may take until it serves.
const START_MS_MAX: u64 = 20_000;

/// How much longer than the grace the end of an agent server may take.
const STOP_EXTRA_MS_MAX: u64 = 10_000;

/// How often the end of a process is looked for.
const POLL_MS: u64 = 20;

/// After this time without runs and without the platform an agent server ends by itself.
const IDLE_EXIT_MS_DEFAULT: u64 = 600_000;

/// What a process host works with.
#[derive(Debug, Clone)]
pub struct Options {
    /// The data directory.
    pub data_dir: PathBuf,
    /// Where sockets go when their path in the data directory would be too long, such as
    /// `$XDG_RUNTIME_DIR`; `/tmp` when absent.
    pub runtime_dir: Option<PathBuf>,
    /// The executable that has the subcommand `agent-server`.
    pub executable: PathBuf,
    /// After this time in milliseconds without runs and connections an agent server ends.
    pub idle_exit_ms: u64,
}

impl Options {
    /// Starts agent servers as this very executable.
    pub fn new(data_dir: PathBuf) -> Self {
        Self {
            data_dir,
            runtime_dir: None,
            executable: SELF_EXE.into(),
            idle_exit_ms: IDLE_EXIT_MS_DEFAULT,
        }
    }
}

/// Runs agents as processes of this machine.
pub struct ProcessHost {
    options: Options,
    folders: Folders,
    /// One change of an agent's place at a time.
    changes: Mutex<HashMap<Uuid, Arc<tokio::sync::Mutex<()>>>>,
}

impl ProcessHost {
    /// Makes the folders that are missing.
    pub fn open(options: Options) -> Result<Self, Error> {
        let folders = Folders::open(&options.data_dir, options.runtime_dir.as_deref())
            .map_err(Error::host("cannot make the folders of agents in the data directory"))?;
        Ok(Self { options, folders, changes: Mutex::default() })
    }

    fn change(&self, incarnation: Uuid) -> Arc<tokio::sync::Mutex<()>> {
        let mut changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(changes.entry(incarnation).or_default())
    }

    fn place(&self, incarnation: Uuid) -> Result<Place, Error> {
        let found = self.folders.find(incarnation);
        found.map_err(Error::host("cannot read agent.json"))?.ok_or(Error::NotFound(incarnation))
    }

    /// Starts the intermediate that starts the agent server, and waits until that serves.
    async fn launch(&self, place: &Place) -> Result<(), Error> {
        let log = place.open_log().map_err(Error::host("cannot open server.log"))?;
        let mut command = Command::new(&self.options.executable);
        command
            .args(["agent-server", "--detach", "--state"])
            .arg(place.state())
            .arg("--socket")
            .arg(self.folders.socket(place))
            .arg("--workspace")
            .arg(place.workspace())
            .arg("--files")
            .arg(place.files())
            .args(["--incarnation", &place.spec.incarnation.to_string()])
            .args(["--idle-exit-ms", &self.options.idle_exit_ms.to_string()])
            // Nothing of the platform's environment reaches an agent, secrets least of all.
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        let limit = Duration::from_millis(START_MS_MAX);
        let ended = match timeout(limit, command.status()).await {
            Ok(ended) => ended.map_err(Error::host("cannot start an agent server"))?,
            Err(_) => return Err(Error::StartFailed(format!("no answer in {START_MS_MAX} ms"))),
        };
        if ended.success() { Ok(()) } else { Err(Error::StartFailed(place.last_words())) }
    }

    async fn dial(&self, place: &Place) -> Result<UnixStream, Error> {
        let not_running = Error::NotRunning(place.spec.incarnation);
        // The record says where: the folder for sockets may have been another one at its start.
        let Some(ServerRecord { socket, .. }) = place.server() else { return Err(not_running) };
        match UnixStream::connect(socket).await {
            Err(error)
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) =>
            {
                Err(not_running)
            }
            other => other.map_err(Error::host("cannot connect to the agent server")),
        }
    }

    /// Ends the agent server and returns when it and its runners are gone.
    async fn end(&self, place: &Place, grace: Duration) -> Result<(), Error> {
        let grace_ms = u64::try_from(grace.as_millis()).unwrap_or(GRACE_MS_MAX).min(GRACE_MS_MAX);
        let server = place.server().filter(|server| server.process.find().is_some());
        if let Some(ServerRecord { process: identity, .. }) = server {
            // A frozen server could not hear; a running one does not mind.
            signal(&identity, Signal::SIGCONT)?;
            if let Err(error) = self.ask_to_end(place, grace_ms).await {
                tracing::warn!(%error, "an agent server does not hear; it is terminated");
                signal(&identity, Signal::SIGTERM)?;
            }
            let limit = Duration::from_millis(grace_ms + STOP_EXTRA_MS_MAX);
            if !wait_until(limit, || Ok(identity.find().is_none())).await? {
                tracing::warn!(pid = identity.pid, "an agent server does not end; it is killed");
                signal(&identity, Signal::SIGKILL)?;
            }
            let limit = Duration::from_millis(STOP_EXTRA_MS_MAX);
            if !wait_until(limit, || Ok(identity.find().is_none())).await? {
                return Err(Error::StopFailed(format!("process {} lives on", identity.pid)));
            }
        }
        // The runners of a server that was killed stop their runs by themselves.
        let limit = Duration::from_millis(GRACE_MS_MAX + STOP_EXTRA_MS_MAX);
        let are_gone = || {
            let lives = runner_lives(&place.state());
            Ok(!lives.map_err(Error::host("cannot read the state folder of an agent"))?)
        };
        if wait_until(limit, are_gone).await? {
            return Ok(());
        }
        Err(Error::StopFailed("a run does not end".into()))
    }

    async fn ask_to_end(&self, place: &Place, grace_ms: u64) -> Result<(), link::Error> {
        let stream = self.dial(place).await;
        let stream = stream.map_err(|error| link::Error::Unreachable(error.to_string()))?;
        link::shut_down(Box::new(stream), grace_ms).await
    }
}

#[async_trait::async_trait]
impl AgentHost for ProcessHost {
    fn kind(&self) -> HostKind {
        HostKind::Process
    }

    async fn create(&self, spec: &AgentSpec) -> Result<String, Error> {
        let change = self.change(spec.incarnation);
        let _one_at_a_time = change.lock().await;
        let place =
            self.folders.create(spec).map_err(Error::host("cannot make an agent's place"))?;
        Ok(place.host_ref())
    }

    async fn start(&self, incarnation: Uuid) -> Result<(), Error> {
        let change = self.change(incarnation);
        let _one_at_a_time = change.lock().await;
        let place = self.place(incarnation)?;
        match place.state_now() {
            HostState::Running => Ok(()),
            HostState::Paused => match place.server() {
                Some(server) => signal(&server.process, Signal::SIGCONT),
                None => self.launch(&place).await,
            },
            HostState::Created | HostState::Exited | HostState::Dead | HostState::Restarting => {
                self.launch(&place).await
            }
        }
    }

    async fn stop(&self, incarnation: Uuid, grace: Duration) -> Result<(), Error> {
        let change = self.change(incarnation);
        let _one_at_a_time = change.lock().await;
        self.end(&self.place(incarnation)?, grace).await
    }

    async fn remove(&self, incarnation: Uuid) -> Result<(), Error> {
        let change = self.change(incarnation);
        let _one_at_a_time = change.lock().await;
        match self.place(incarnation) {
            Ok(place) => self.end(&place, Duration::from_millis(GRACE_MS_DEFAULT)).await?,
            Err(Error::NotFound(_)) => {}
            Err(error) => return Err(error),
        }
        self.folders.remove(incarnation).map_err(Error::host("cannot remove an agent's place"))
    }

    async fn inspect(&self, incarnation: Uuid) -> Result<Option<HostedAgent>, Error> {
        match self.place(incarnation) {
            Ok(place) => Ok(Some(place.show())),
            Err(Error::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn list(&self) -> Result<Vec<HostedAgent>, Error> {
        let places = self.folders.list().map_err(Error::host("cannot list the agents' places"))?;
        Ok(places.iter().map(Place::show).collect())
    }

    async fn connect(&self, incarnation: Uuid) -> Result<ByteStream, Error> {
        Ok(Box::new(self.dial(&self.place(incarnation)?).await?))
    }
}

fn signal(identity: &ProcessIdentity, signal: Signal) -> Result<(), Error> {
    identity.signal(signal).map_err(Error::host("cannot signal an agent server"))
}

/// Waits until something holds; false when it does not within `limit`.
async fn wait_until(
    limit: Duration,
    holds: impl Fn() -> Result<bool, Error>,
) -> Result<bool, Error> {
    let give_up_at = Instant::now() + limit;
    loop {
        if holds()? {
            return Ok(true);
        }
        if Instant::now() >= give_up_at {
            return Ok(false);
        }
        sleep(Duration::from_millis(POLL_MS)).await;
    }
}
