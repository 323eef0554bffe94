//! Agents as processes of this machine.
//!
//! ```text
//! <data>/agents/<incarnation>/agent.json    what it was created with; its place is complete
//!                             workspace/    the agent's files; HOME of its runs is workspace/.home
//!                             tmp/          temporary files of its runs, emptied at each start
//!                             state/        the state folder of its agent server
//!                             files/        files that exist while a run lasts
//!                             server.log    what its agent server says
//! <data>/s/<8 hex>.sock                     its agent server
//! <data>/uids.json                          which users were given to agents
//! <data>/bin/                               the executable, when others may not execute the original
//! ```
//! The agent server is nobody's child: it outlives the platform and is found again by what its
//! state folder says. Other names in these folders are ignored.

mod disk;
mod folders;
mod isolation;
mod log;
mod uids;

pub use isolation::{Unavailable, choose as choose_isolation};

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::Permissions;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::stream::{self, BoxStream, StreamExt as _};
use nix::sys::signal::Signal;
use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixStream;
use tokio::process::Command;
use tokio::time::{Instant, sleep, timeout};
use trinity_agent_protocol::{GRACE_MS_DEFAULT, GRACE_MS_MAX, Isolation};
use trinity_agent_server::{
    ProcessIdentity, SELF_EXE, ServerRecord, TreeUsage, kill_user, runner_lives, usage_of_tree,
};
use uuid::Uuid;

use self::disk::make_folder;
use self::folders::{Folders, PASSAGE_MODE, Place};
use self::uids::Uids;
use super::usage::Usage;
use super::{
    AgentHost, AgentSpec, ByteStream, Change, Error, HostKind, HostState, HostedAgent,
    IsolationPlan, link,
};
use crate::config::{IsolationChoice, UidRange};

/// How long an agent server may take until it serves.
const START_MS_MAX: u64 = 20_000;

/// How much longer than the grace the end of an agent server may take.
const STOP_EXTRA_MS_MAX: u64 = 10_000;

/// How often the end of a process is looked for.
const POLL_MS: u64 = 20;

/// After this time without runs and without the platform an agent server ends by itself.
const IDLE_EXIT_MS_DEFAULT: u64 = 600_000;

/// What everybody must be allowed to do with the executable: to read and to execute it.
const EXECUTABLE_MODE: u32 = 0o005;

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
    /// What is to keep agents apart.
    pub isolation: IsolationChoice,
    /// The users that agents get.
    pub agent_uids: UidRange,
    /// What runs may read and execute beside the system's own paths.
    pub readable_paths: Vec<PathBuf>,
}

impl Options {
    /// Starts agent servers as this very executable.
    pub fn new(data_dir: PathBuf) -> Self {
        Self {
            data_dir,
            runtime_dir: None,
            executable: SELF_EXE.into(),
            idle_exit_ms: IDLE_EXIT_MS_DEFAULT,
            isolation: IsolationChoice::default(),
            agent_uids: UidRange::default(),
            readable_paths: Vec::new(),
        }
    }
}

/// Runs agents as processes of this machine.
pub struct ProcessHost {
    options: Options,
    /// What keeps agents apart that are started from now on.
    plan: IsolationPlan,
    folders: Folders,
    /// Locked while a user is given out.
    uids: Mutex<Uids>,
    /// What was in force for each agent when it was last looked at.
    in_force: Mutex<HashMap<Uuid, Isolation>>,
    /// One change of an agent's place at a time.
    changes: Mutex<HashMap<Uuid, Arc<tokio::sync::Mutex<()>>>>,
}

impl ProcessHost {
    /// Makes the folders that are missing and chooses what keeps agents apart.
    ///
    /// # Errors
    /// When a folder cannot be made, or the isolation that was asked for cannot be had.
    pub fn open(mut options: Options) -> Result<Self, Error> {
        let folders = Folders::open(&options.data_dir, options.runtime_dir.as_deref())
            .map_err(Error::host("cannot make the folders of agents in the data directory"))?;
        let resolve = options.data_dir.canonicalize();
        options.data_dir = resolve.map_err(Error::host("cannot resolve the data directory"))?;
        let plan = choose_isolation(options.isolation, options.agent_uids, &options.data_dir)
            .map_err(|error| Error::StartFailed(error.to_string()))?;
        if plan.has_own_users() {
            options.executable = executable_for_all(&options)
                .map_err(Error::host("cannot copy the executable into the data directory"))?;
        }
        let uids = Uids::new(options.agent_uids, options.data_dir.join("uids.json"));
        Ok(Self {
            options,
            plan,
            folders,
            uids: Mutex::new(uids),
            in_force: Mutex::default(),
            changes: Mutex::default(),
        })
    }

    /// Gives out a user, if agents have users of their own.
    fn new_uid(&self) -> Result<Option<u32>, Error> {
        if !self.plan.has_own_users() {
            return Ok(None);
        }
        let uids = self.uids.lock().unwrap_or_else(PoisonError::into_inner);
        let allocated = self.folders.uids().and_then(|taken| uids.allocate(&taken));
        allocated.map(Some).map_err(Error::host("cannot give the agent a user of its own"))
    }

    /// Shows a place and remembers what is in force there.
    fn show(&self, place: &Place) -> HostedAgent {
        let shown = place.show(self.plan.of(place.uid()));
        self.in_force().insert(place.spec().incarnation, shown.isolation);
        shown
    }

    fn in_force(&self) -> MutexGuard<'_, HashMap<Uuid, Isolation>> {
        self.in_force.lock().unwrap_or_else(PoisonError::into_inner)
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
    async fn launch(&self, place: &mut Place) -> Result<(), Error> {
        let uid = match place.uid().filter(|_| self.plan.has_own_users()) {
            Some(uid) => Some(uid),
            None => self.new_uid()?,
        };
        let lives = runner_lives(&place.state());
        if !lives.map_err(Error::host("cannot read the state folder of an agent"))? {
            self.clear(place).await?;
        }
        place.make_ready(uid).map_err(Error::host("cannot make an agent's folders ready"))?;
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
            .arg("--tmp")
            .arg(place.tmp())
            .arg("--require-token")
            .args(self.isolation_words(uid))
            .args(["--incarnation", &place.spec().incarnation.to_string()])
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

    /// What tells the agent server how to keep its runs apart.
    fn isolation_words(&self, uid: Option<u32>) -> Vec<OsString> {
        let mut words: Vec<OsString> = Vec::new();
        if let Some(uid) = uid {
            words.extend(["--run-uid".into(), uid.to_string().into()]);
        }
        if self.plan.landlock_abi.is_some() {
            words.extend(["--landlock".into(), "--private".into()]);
            words.push(self.options.data_dir.clone().into());
            for path in &self.options.readable_paths {
                words.extend(["--readable".into(), path.into()]);
            }
        }
        words
    }

    async fn dial(&self, place: &Place) -> Result<UnixStream, Error> {
        let not_running = Error::NotRunning(place.spec().incarnation);
        // The record says where: the folder for sockets may have been another one at its start.
        let Some(ServerRecord { socket, token, .. }) = place.server() else {
            return Err(not_running);
        };
        let mut stream = match UnixStream::connect(socket).await {
            Err(error)
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) =>
            {
                return Err(not_running);
            }
            other => other.map_err(Error::host("cannot connect to the agent server"))?,
        };
        let token = token.unwrap_or_default();
        let said = stream.write_all(token.as_bytes()).await;
        said.map_err(Error::host("cannot speak to the agent server"))?;
        Ok(stream)
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
        if !wait_until(limit, are_gone).await? {
            return Err(Error::StopFailed("a run does not end".into()));
        }
        self.clear(place).await
    }

    /// Ends what is left of the agent's own user once nothing of the agent may run: processes that
    /// outlived both their runner and their agent server, and whose environment no longer says whose
    /// they are.
    async fn clear(&self, place: &Place) -> Result<(), Error> {
        let Some(uid) = place.uid() else { return Ok(()) };
        let limit = Duration::from_millis(STOP_EXTRA_MS_MAX);
        if wait_until(limit, || Ok(kill_user(uid) == 0)).await? {
            return Ok(());
        }
        Err(Error::StopFailed(format!("processes of user {uid} live on")))
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

    fn enforces_limits(&self) -> bool {
        false
    }

    fn outage(&self) -> Option<String> {
        None
    }

    fn unreached(&self) -> u64 {
        0
    }

    fn isolation_plan(&self) -> &IsolationPlan {
        &self.plan
    }

    /// A place here is folders; what its agent server is started with is said by its isolation.
    fn settings_hash(&self, _image: Option<&str>) -> String {
        String::new()
    }

    async fn create(&self, spec: &AgentSpec) -> Result<String, Error> {
        let change = self.change(spec.incarnation);
        let _one_at_a_time = change.lock().await;
        let place = match self.place(spec.incarnation) {
            Err(Error::NotFound(_)) => self.folders.create(spec, self.new_uid()?)?,
            found => found?,
        };
        Ok(self.show(&place).host_ref)
    }

    async fn start(&self, incarnation: Uuid) -> Result<(), Error> {
        let change = self.change(incarnation);
        let _one_at_a_time = change.lock().await;
        let mut place = self.place(incarnation)?;
        match place.state_now() {
            HostState::Running => {}
            HostState::Paused => match place.server() {
                Some(server) => signal(&server.process, Signal::SIGCONT)?,
                None => self.launch(&mut place).await?,
            },
            HostState::Created | HostState::Exited | HostState::Dead | HostState::Restarting => {
                self.launch(&mut place).await?;
            }
        }
        self.show(&place);
        Ok(())
    }

    async fn stop(&self, incarnation: Uuid, grace: Duration) -> Result<(), Error> {
        let change = self.change(incarnation);
        let _one_at_a_time = change.lock().await;
        match self.place(incarnation) {
            Err(Error::NotFound(_)) => Ok(()),
            place => self.end(&place?, grace).await,
        }
    }

    /// Its agent server alone could be frozen, but not what that runs: it would run on unsupervised.
    async fn pause(&self, _incarnation: Uuid) -> Result<(), Error> {
        Err(Error::CannotPause)
    }

    async fn evict(&self, incarnation: Uuid, grace: Duration) -> Result<bool, Error> {
        let change = self.change(incarnation);
        let _one_at_a_time = change.lock().await;
        let place = match self.place(incarnation) {
            Err(Error::NotFound(_)) => return Ok(false),
            place => place?,
        };
        let is_up = !place.state_now().is_at_rest();
        self.end(&place, grace).await?;
        Ok(is_up)
    }

    async fn remove(&self, incarnation: Uuid) -> Result<(), Error> {
        let change = self.change(incarnation);
        let _one_at_a_time = change.lock().await;
        match self.place(incarnation) {
            Ok(place) => self.end(&place, Duration::from_millis(GRACE_MS_DEFAULT)).await?,
            Err(Error::NotFound(_)) => {}
            Err(error) => return Err(error),
        }
        self.in_force().remove(&incarnation);
        self.folders.remove(incarnation).map_err(Error::host("cannot remove an agent's place"))
    }

    async fn inspect(&self, incarnation: Uuid) -> Result<Option<HostedAgent>, Error> {
        match self.place(incarnation) {
            Ok(place) => Ok(Some(self.show(&place))),
            Err(Error::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn list(&self) -> Result<Vec<HostedAgent>, Error> {
        let places = self.folders.list().map_err(Error::host("cannot list the agents' places"))?;
        Ok(places.iter().map(|place| self.show(place)).collect())
    }

    fn changes(&self) -> BoxStream<'_, Change> {
        stream::pending().boxed()
    }

    fn isolation(&self, incarnation: Uuid) -> Option<Isolation> {
        if let Some(known) = self.in_force().get(&incarnation) {
            return Some(*known);
        }
        self.place(incarnation).ok().map(|place| self.show(&place).isolation)
    }

    async fn log(&self, incarnation: Uuid, _lines_max: u32) -> Result<String, Error> {
        self.place(incarnation)?.log().map_err(Error::host("cannot read server.log"))
    }

    async fn usage(&self, incarnation: Uuid) -> Result<Usage, Error> {
        let place = self.place(incarnation)?;
        let process = place.server().and_then(|server| server.process.find());
        let root = process.ok_or(Error::NotRunning(incarnation))?.pid;
        // The whole process table is looked through.
        let looked = tokio::task::spawn_blocking(move || usage_of_tree(root)).await;
        let TreeUsage { cpu_us, memory_bytes, processes } = looked
            .unwrap_or_else(|error| Err(io::Error::other(error)))
            .map_err(Error::host("cannot read what an agent uses from /proc"))?;
        Ok(Usage { cpu_us, memory_bytes, processes, ..Usage::default() })
    }

    async fn connect(&self, incarnation: Uuid) -> Result<ByteStream, Error> {
        Ok(Box::new(self.dial(&self.place(incarnation)?).await?))
    }
}

/// The executable, or a copy of it that every user can execute.
///
/// It is started through `/proc/self/exe`, so only its own mode counts and not the way to it.
fn executable_for_all(options: &Options) -> io::Result<PathBuf> {
    let original = options.executable.canonicalize()?;
    let found = std::fs::metadata(&original)?;
    if found.mode() & EXECUTABLE_MODE == EXECUTABLE_MODE {
        return Ok(options.executable.clone());
    }
    let folder = options.data_dir.join("bin");
    make_folder(&folder, PASSAGE_MODE)?;
    let (copy, fresh) = (folder.join("trinity"), folder.join("trinity.new"));
    // Renamed into place: what runs from the last copy goes on.
    std::fs::copy(&original, &fresh)?;
    std::fs::set_permissions(&fresh, Permissions::from_mode(0o755))?;
    std::fs::rename(&fresh, &copy)?;
    Ok(copy)
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
