//! Where agents live: the trait that every host implements, and the words for what it shows.
//!
//! A host makes a place for an agent and runs one agent server in it. Nothing above this trait may
//! know which host it is. Every operation is idempotent, because a reactor repeats it whenever it
//! cannot tell whether the last attempt arrived.

/// Agents in containers of a Docker engine.
pub mod docker;
/// Short programs in an agent's workspace.
pub mod errand;
/// The client of an agent server.
pub mod link;
/// One link for each agent.
pub mod links;
/// Agents as processes of this machine.
pub mod process;
/// What agents use of their machine.
pub mod usage;

use std::collections::BTreeMap;
use std::time::Duration;

use futures::stream::BoxStream;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite};
use trinity_agent_protocol::{Info, Isolation, IsolationKind};
use uuid::Uuid;

use self::usage::Usage;

/// Begins the names of the runs of an agent's own `startup.sh`; the life of its server follows.
pub const STARTUP_RUN_PREFIX: &str = "startup-";

/// The label that says to which log a place belongs: the log's id, the same for every server on it.
pub const PLATFORM_LABEL: &str = "trinity.platform";

/// The name of the run of `startup.sh` in this life of an agent's server.
pub fn startup_run(info: &Info) -> String {
    format!("{STARTUP_RUN_PREFIX}{}", info.boot_id)
}

/// Manages the places where agents live.
#[async_trait::async_trait]
pub trait AgentHost: Send + Sync {
    /// Tells which kind of host this is, for banners and records alone.
    fn kind(&self) -> HostKind;

    /// Tells whether agents here can have an image and limits of their own, and can be frozen as a
    /// whole.
    fn enforces_limits(&self) -> bool;

    /// Tells why this host cannot be reached, if the last attempt to reach it failed.
    fn outage(&self) -> Option<String>;

    /// How many attempts to reach this host have failed so far. Whoever finds more of them than when it
    /// began cannot take what has failed meanwhile for an answer of the host.
    fn unreached(&self) -> u64;

    /// Tells what keeps the agents apart that are started from now on.
    fn isolation_plan(&self) -> &IsolationPlan;

    /// Names what this host's own settings make of the place of an agent of this image, or of none of its
    /// own; another value means that its place is made anew at its next start. It is always the same where
    /// places hold nothing of these settings.
    fn settings_hash(&self, image: Option<&str>) -> String;

    /// Makes the place of an agent: its workspace and what runs in it, not started.
    ///
    /// Answers with the host's own reference to it. Creating what is there is a no-op, except that a
    /// place in which nothing runs is made anew around the same workspace where `spec` asks for what
    /// the host cannot change in it, such as another image.
    async fn create(&self, spec: &AgentSpec) -> Result<String, Error>;

    /// Starts the agent's server and returns when it answers.
    ///
    /// Starting a running agent is a no-op; a paused one goes on.
    async fn start(&self, incarnation: Uuid) -> Result<(), Error>;

    /// Stops the agent's server with everything it runs and returns when all of it is gone.
    ///
    /// Runs get SIGINT and `grace` to end by themselves. The workspace stays. Stopping a stopped
    /// agent, or one without a place, is a no-op.
    async fn stop(&self, incarnation: Uuid, grace: Duration) -> Result<(), Error>;

    /// Freezes the agent's server with everything it runs; `start` lets it go on.
    ///
    /// Freezing a frozen agent is a no-op, and so is freezing one in which nothing runs.
    async fn pause(&self, incarnation: Uuid) -> Result<(), Error>;

    /// Ends what runs in the agent's place and removes what it runs in; its workspace stays. Gives whether
    /// there was any of that.
    async fn evict(&self, incarnation: Uuid, grace: Duration) -> Result<bool, Error>;

    /// Removes the agent's place with its workspace. Removing what is gone is a no-op.
    ///
    /// A running agent is stopped first.
    async fn remove(&self, incarnation: Uuid) -> Result<(), Error>;

    /// Shows one agent, or `None` when the host has no place for it.
    async fn inspect(&self, incarnation: Uuid) -> Result<Option<HostedAgent>, Error>;

    /// Shows every agent that this host has a place for, those of other logs included where they share it.
    async fn list(&self) -> Result<Vec<HostedAgent>, Error>;

    /// Tells of changes as they happen, for as long as it is read. It never ends, and what it tells of
    /// is to be looked at: changes may be missed, told twice, or be over by then.
    fn changes(&self) -> BoxStream<'_, Change>;

    /// Tells what keeps the agent's runs apart, or will once it is started; `None` when this host has
    /// no place for it. Answers from memory where it can.
    fn isolation(&self, incarnation: Uuid) -> Option<Isolation>;

    /// Gives what the agent's server has said, at most so many of the last lines.
    async fn log(&self, incarnation: Uuid, lines_max: u32) -> Result<String, Error>;

    /// Tells what the agent has used since its start, and holds at this moment.
    ///
    /// It is an error when nothing of it runs. What asks often goes through a [`usage::Meter`].
    async fn usage(&self, incarnation: Uuid) -> Result<Usage, Error>;

    /// Opens a byte stream to the agent's server, on which nothing but HTTP is to be said.
    async fn connect(&self, incarnation: Uuid) -> Result<ByteStream, Error>;
}

/// What a host keeps the agents apart by that it starts from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IsolationPlan {
    /// The boundary.
    pub kind: IsolationKind,
    /// The version of Landlock, where it confines runs.
    pub landlock_abi: Option<u32>,
    /// Why it is not more, and what would make it so.
    pub shortfall: Option<String>,
}

impl IsolationPlan {
    /// Tells whether agents have users of their own.
    pub fn has_own_users(&self) -> bool {
        self.kind == IsolationKind::Uid
    }

    /// What is in force for an agent with this user once it is started.
    pub fn of(&self, uid: Option<u32>) -> Isolation {
        let uid = uid.filter(|_| self.has_own_users());
        Isolation { kind: self.kind, uid, landlock_abi: self.landlock_abi }
    }
}

/// What has changed on a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// This agent's place.
    Of(Uuid),
    /// Nobody knows what: something may have been missed.
    Unknown,
}

/// A two-way stream of bytes to an agent server.
pub type ByteStream = Box<dyn Duplex>;

/// Anything that can be read from and written to.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// The kinds of host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HostKind {
    /// A container of a Docker engine.
    Docker,
    /// A process and a directory of this machine.
    Process,
}

/// What a host needs to know to make an agent's place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentSpec {
    /// The agent's name, for people who look at the host.
    pub name: String,
    /// The life of the agent that the place belongs to; it names the place.
    pub incarnation: Uuid,
    /// Labels kept with the place and shown by `inspect` and `list`, such as `trinity.platform`.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// What its container is like, on hosts that have containers.
    #[serde(skip)]
    pub container: ContainerSpec,
    /// Files that the workspace begins with, by their paths there; what becomes of them is the agent's.
    #[serde(skip)]
    pub workspace_files: BTreeMap<String, WorkspaceFile>,
}

/// A file of a workspace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WorkspaceFile {
    /// What is in it.
    pub content: Vec<u8>,
    /// Whether it can be run.
    pub is_executable: bool,
}

impl From<String> for WorkspaceFile {
    fn from(text: String) -> Self {
        Self { content: text.into_bytes(), is_executable: false }
    }
}

impl AgentSpec {
    /// Shows the agent that was made by this.
    pub fn hosted(self, host_ref: String, state: HostState, isolation: Isolation) -> HostedAgent {
        let Self { name, incarnation, labels, .. } = self;
        let out_of_memory = false;
        HostedAgent { name, incarnation, labels, host_ref, state, isolation, out_of_memory }
    }
}

/// What an agent's container is like; what is not said is as the host has it for all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ContainerSpec {
    /// The image.
    pub image: Option<String>,
    /// The most processor time, in billionths of one processor.
    pub nano_cpus: Option<i64>,
    /// The most memory, in bytes.
    pub memory_bytes: Option<i64>,
    /// Whether runs may become root inside of it.
    pub full_capabilities: bool,
}

/// An agent as its host shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostedAgent {
    /// The agent's name.
    pub name: String,
    /// The life of the agent.
    pub incarnation: Uuid,
    /// The labels it was created with.
    pub labels: BTreeMap<String, String>,
    /// The host's own reference to it.
    pub host_ref: String,
    /// What it does.
    pub state: HostState,
    /// What keeps its runs apart.
    pub isolation: Isolation,
    /// Whether it ended for want of memory.
    pub out_of_memory: bool,
}

impl HostedAgent {
    /// Whether it is of the log of this id.
    pub fn belongs_to(&self, platform: &str) -> bool {
        self.labels.get(PLATFORM_LABEL).is_some_and(|label| label == platform)
    }
}

/// What an agent's place does, in the words of container engines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HostState {
    /// Made and never started.
    Created,
    /// Its agent server runs.
    Running,
    /// Its agent server is frozen.
    Paused,
    /// It ended and is being started again by its host.
    Restarting,
    /// It ended.
    Exited,
    /// It could not be started, or its end left it unusable.
    Dead,
}

/// The four states that clients see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It takes work.
    Running,
    /// Its place is there, nothing runs in it.
    Stopped,
    /// It is frozen.
    Paused,
    /// It is being started again.
    Restarting,
}

impl HostState {
    /// Tells whether nothing runs in it.
    pub fn is_at_rest(self) -> bool {
        self.normalised() == Status::Stopped
    }

    /// Gives the state that clients see.
    pub fn normalised(self) -> Status {
        match self {
            Self::Running => Status::Running,
            Self::Paused => Status::Paused,
            Self::Restarting => Status::Restarting,
            Self::Created | Self::Exited | Self::Dead => Status::Stopped,
        }
    }
}

/// Why a host could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The host has no place for this agent; `create` makes one.
    #[error("the host has no place for agent incarnation {0}; create it first")]
    NotFound(Uuid),
    /// The place is there, its agent server does not run; `start` starts it.
    #[error("the agent server of incarnation {0} does not run; start the agent")]
    NotRunning(Uuid),
    /// Agents here cannot be frozen as a whole.
    #[error(
        "agents that live as processes of this machine cannot be paused; those in containers can"
    )]
    CannotPause,
    /// Something that is not the agent's has a name that its place needs; it is left alone.
    #[error("{0}")]
    Foreign(String),
    /// The host cannot be reached; it is tried again.
    #[error("the host of agents cannot be reached: {0}")]
    Unavailable(String),
    /// The agent's workspace could not be made.
    #[error(transparent)]
    Workspace(Box<Error>),
    /// What the workspace begins with could not be written.
    #[error(transparent)]
    Contents(Box<Error>),
    /// The place could not be started any more, and is gone but for the workspace; `create` makes it
    /// anew.
    #[error("the agent's place is to be made anew: {0}")]
    Broken(String),
    /// The agent server did not come up.
    #[error("the agent server did not start: {0}")]
    StartFailed(String),
    /// The agent server, or something it runs, could not be ended.
    #[error("the agent server did not end: {0}")]
    StopFailed(String),
    /// The host itself failed, or cannot be reached.
    #[error("{doing}")]
    Host {
        /// What was being done.
        doing: String,
        /// The operating system's answer.
        #[source]
        source: std::io::Error,
    },
}

impl Error {
    /// Wraps an I/O error with what was being done.
    pub fn host(doing: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Host { doing, source }
    }

    /// Says which part of a place could not be made; a host that is away is just that.
    fn of(part: fn(Box<Self>) -> Self) -> impl FnOnce(Self) -> Self {
        move |error| match error {
            away @ Self::Unavailable(_) => away,
            error => part(Box::new(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn container_words_become_the_four_states_of_clients() {
        let table = [
            (HostState::Created, Status::Stopped),
            (HostState::Exited, Status::Stopped),
            (HostState::Dead, Status::Stopped),
            (HostState::Running, Status::Running),
            (HostState::Paused, Status::Paused),
            (HostState::Restarting, Status::Restarting),
        ];
        for (state, status) in table {
            assert_eq!(state.normalised(), status, "{state:?}");
        }
    }
}
