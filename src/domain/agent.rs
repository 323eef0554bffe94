//! An agent: an isolated workspace plus a coding-agent CLI, owned by one user.
//!
//! ```text
//! Absent ─Create→ Creating ─RecordProvisioned→ Stopped ─RequestStart→ Starting ─RecordStarted→ Running
//!                    └─RecordProvisionFailed→ Failed ←─RecordStartFailed─┘
//! Running ⇄ Paused, Running → Restarting → Running    as observed in the world
//! Running ─RequestPause→ Running, to be frozen        Paused ─RequestUnpause→ Starting
//! Running ─RequestStop→ Stopping ─RecordStopped→ Stopped
//! any live phase ─RequestDelete→ Deleting ─RecordDeleted→ Absent
//! ```
//!
//! The stream carries a name across its lives; each life is an incarnation. "Running" is a wish until
//! a stop is asked for: after a crash the agent is `Restarting` and started again, until it has
//! crashed [`CRASHES_MAX`] times within [`CRASH_WINDOW_SECONDS`].

mod config;
mod life;
mod read_only;
mod setting;
mod words;

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use config::{
    AgentConfig, CAPACITY_MAX, CAPACITY_MIN, ConfigError, McpServers, ReadOnly, Resources, Runtime,
    TIMEOUT_SECONDS_MAX, TIMEOUT_SECONDS_MIN, check_capacity, check_timeout,
};
pub use life::Life;
pub use setting::{SKILLS_MAX, Setting};
pub use words::{CrashCause, ObservedStatus, Phase, RevokeReason, Step, StepFailure, StopReason};

use super::{AccountId, AgentName, Decider, Event, IncarnationId, StreamType, aggregate};

/// How many crashes within the window are followed by a restart; one more ends in `crash-loop`.
pub const CRASHES_MAX: usize = 5;

/// How far back crashes count, in seconds.
pub const CRASH_WINDOW_SECONDS: i64 = 600;

/// What can be asked of an agent, or reported about it.
#[derive(Debug, Clone, PartialEq)]
pub enum AgentCommand {
    /// Begins a life of the name.
    Create(Box<Create>),
    /// The workspace and whatever else the agent lives in exist.
    RecordProvisioned { host_ref: String },
    /// A step of the creation failed; `RequestStart` tries again from there.
    RecordProvisionFailed { step: Step, error: String },
    /// Asks for the agent to run.
    RequestStart,
    /// The agent answers its health check.
    RecordStarted { host_ref: String, config_hash: String },
    /// A step of the start failed.
    RecordStartFailed { step: Step, error: String, at: DateTime<Utc> },
    /// Asks for the agent to stop.
    RequestStop,
    /// The agent has stopped as asked.
    RecordStopped { exit_code: Option<i32> },
    /// Asks for a running agent to be frozen.
    RequestPause,
    /// Asks for a frozen agent to go on.
    RequestUnpause,
    /// What the host shows, asked for or not.
    RecordObserved { status: ObservedStatus, cause: Option<CrashCause>, at: DateTime<Utc> },
    /// Asks for the agent and all its belongings to go.
    RequestDelete,
    /// Everything of this life is removed.
    RecordDeleted,
    /// Asks for the workspace to be rebuilt from its template.
    Reinitialize,
    /// Changes one setting.
    Configure(Setting),
}

/// Everything a new life begins with.
#[derive(Debug, Clone, PartialEq)]
pub struct Create {
    /// Made by the caller: a UUIDv7.
    pub incarnation: IncarnationId,
    /// Who may administer it.
    pub owner: AccountId,
    /// The server's own agent, which may call every other and cannot be deleted.
    pub is_system: bool,
    /// The node on whose disk it lives, on hosts that are bound to one machine.
    pub node_id: Option<Uuid>,
    /// What was asked for.
    pub config: AgentConfig,
    /// Whether it starts once it is provisioned.
    pub start: bool,
}

/// What has happened to an agent.
#[derive(
    Debug, Clone, PartialEq, Serialize, Deserialize, strum::IntoStaticStr, strum::VariantNames,
)]
pub enum AgentEvent {
    AgentCreated {
        incarnation: IncarnationId,
        owner: AccountId,
        is_system: bool,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        node_id: Option<Uuid>,
        config: Box<AgentConfig>,
        start: bool,
    },
    AgentProvisioned {
        host_ref: String,
    },
    AgentProvisionFailed {
        step: Step,
        error: String,
    },
    AgentStartRequested {},
    AgentStarted {
        host_ref: String,
        config_hash: String,
    },
    AgentStartFailed {
        step: Step,
        error: String,
    },
    AgentStopRequested {},
    AgentStopped {
        reason: StopReason,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        exit_code: Option<i32>,
        /// What its last restart failed at, when it crashed too often.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        failure: Option<StepFailure>,
    },
    AgentPauseRequested {},
    AgentStatusObserved {
        status: ObservedStatus,
        /// Why it went down, if it did and that is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cause: Option<CrashCause>,
        at: DateTime<Utc>,
        /// What its restart failed at, if it is one that failed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        failure: Option<StepFailure>,
    },
    AgentDeleteRequested {},
    AgentDeleted {},
    AgentReinitialized {},
    AutonomyChanged {
        enabled: bool,
    },
    ReadOnlyChanged(ReadOnly),
    ResourcesChanged(Resources),
    CapacityChanged {
        max_parallel_tasks: u32,
    },
    ExecutionTimeoutChanged {
        seconds: u32,
    },
    ModelChanged {
        model: Option<String>,
    },
    CapabilitiesChanged {
        full_capabilities: bool,
    },
    InstructionsChanged {
        sha256: String,
    },
    ToolsChanged {
        tools: Vec<String>,
    },
    McpServersChanged {
        /// Their names.
        mcp_servers: Vec<String>,
        /// How each of them is started or reached, by name, with placeholders for credentials.
        #[serde(default, skip_serializing_if = "McpServers::is_empty")]
        servers: McpServers,
    },
    SkillsChanged {
        names: BTreeSet<String>,
    },
    TagsChanged {
        tags: BTreeSet<String>,
    },
    AvatarChanged {
        sha256: Option<String>,
    },
    CredentialsChanged {
        names: BTreeSet<String>,
        #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
        changed: BTreeSet<String>,
    },
    CredentialsReloadRequested {},
    FoldersChanged {
        expose: bool,
        consume: bool,
    },
    AgentShared {
        user: AccountId,
    },
    AgentUnshared {
        user: AccountId,
    },
    GitSyncConfigured {
        repository: String,
        branch: String,
    },
    GitSyncRemoved {},
    PermissionGranted {
        callee: AgentName,
        callee_incarnation: IncarnationId,
    },
    PermissionRevoked {
        callee: AgentName,
        reason: RevokeReason,
    },
}

/// Why a command to an agent is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AgentError {
    /// No life of this name goes on.
    #[error("there is no agent of this name")]
    NotFound,
    /// The name is taken.
    #[error("an agent of this name exists already")]
    AlreadyExists,
    /// The name belongs to the server.
    #[error("this name is reserved")]
    ReservedName,
    /// The stop has not ended yet.
    #[error("the agent is stopping; start it once it has stopped")]
    Stopping,
    /// The deletion has begun and cannot be taken back.
    #[error("the agent is being deleted")]
    Deleting,
    /// The server's own agent.
    #[error("a system agent cannot be deleted; reinitialize it instead")]
    SystemAgent,
    /// Only what runs can be frozen, and only what is frozen can go on.
    #[error("the agent is not running; start it first")]
    NotRunning,
    /// What others have made of their agents is not rebuilt.
    #[error("only a system agent can be reinitialized; delete this one and create it anew instead")]
    NotSystemAgent,
    /// A grant to itself would say nothing.
    #[error("an agent needs no permission to call itself")]
    SelfGrant,
    /// More of them than it may have.
    #[error("an agent has at most {SKILLS_MAX} skills; detach one first")]
    TooManySkills,
    /// A value outside its range.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

/// The state of a name: its current life, or none.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Agent {
    /// Where it is in its life.
    pub phase: Phase,
    /// The current life; none while absent.
    pub life: Option<Life>,
}

impl Agent {
    /// Whether `callee` may be called: itself, by the system, or with a grant to that very life.
    pub fn may_call(&self, callee: &AgentName, callee_incarnation: IncarnationId) -> bool {
        self.life.as_ref().is_some_and(|life| {
            life.is_system
                || life.incarnation == callee_incarnation
                || life.grants.get(callee) == Some(&callee_incarnation)
        })
    }

    /// The current life, unless there is none or it is ending.
    pub fn live(&self) -> Result<&Life, AgentError> {
        match (&self.life, self.phase) {
            (None, _) | (_, Phase::Absent) => Err(AgentError::NotFound),
            (Some(_), Phase::Deleting) => Err(AgentError::Deleting),
            (Some(life), _) => Ok(life),
        }
    }

    fn create(create: Create) -> Result<Vec<AgentEvent>, AgentError> {
        if create.config.name.is_reserved() && !create.is_system {
            return Err(AgentError::ReservedName);
        }
        create.config.check()?;
        Ok(vec![AgentEvent::AgentCreated {
            incarnation: create.incarnation,
            owner: create.owner,
            is_system: create.is_system,
            node_id: create.node_id,
            config: Box::new(create.config),
            start: create.start,
        }])
    }

    fn request_start(&self, life: &Life) -> Result<Vec<AgentEvent>, AgentError> {
        let requested = vec![AgentEvent::AgentStartRequested {}];
        match self.phase {
            Phase::Creating if life.start_wanted => Ok(vec![]),
            Phase::Creating | Phase::Failed | Phase::Stopped | Phase::Paused => Ok(requested),
            Phase::Starting | Phase::Running | Phase::Restarting => Ok(vec![]),
            Phase::Stopping => Err(AgentError::Stopping),
            Phase::Deleting => Err(AgentError::Deleting),
            Phase::Absent => Err(AgentError::NotFound),
        }
    }

    fn request_stop(&self, life: &Life) -> Vec<AgentEvent> {
        match self.phase {
            Phase::Creating if !life.start_wanted => vec![],
            Phase::Failed if life.host_ref.is_none() => vec![],
            Phase::Creating
            | Phase::Failed
            | Phase::Starting
            | Phase::Running
            | Phase::Paused
            | Phase::Restarting => vec![AgentEvent::AgentStopRequested {}],
            Phase::Stopped | Phase::Stopping | Phase::Deleting | Phase::Absent => vec![],
        }
    }

    fn request_pause(&self, life: &Life) -> Result<Vec<AgentEvent>, AgentError> {
        match self.phase {
            Phase::Running if life.pause_wanted => Ok(vec![]),
            Phase::Running => Ok(vec![AgentEvent::AgentPauseRequested {}]),
            Phase::Paused => Ok(vec![]),
            Phase::Deleting => Err(AgentError::Deleting),
            Phase::Absent
            | Phase::Creating
            | Phase::Failed
            | Phase::Stopped
            | Phase::Starting
            | Phase::Restarting
            | Phase::Stopping => Err(AgentError::NotRunning),
        }
    }

    fn request_unpause(&self) -> Result<Vec<AgentEvent>, AgentError> {
        match self.phase {
            Phase::Paused => Ok(vec![AgentEvent::AgentStartRequested {}]),
            Phase::Running | Phase::Starting | Phase::Restarting => Ok(vec![]),
            Phase::Deleting => Err(AgentError::Deleting),
            Phase::Absent | Phase::Creating | Phase::Failed | Phase::Stopped | Phase::Stopping => {
                Err(AgentError::NotRunning)
            }
        }
    }

    fn observe(
        &self,
        life: &Life,
        status: ObservedStatus,
        cause: Option<CrashCause>,
        at: DateTime<Utc>,
    ) -> Vec<AgentEvent> {
        use ObservedStatus as O;
        let observed =
            vec![AgentEvent::AgentStatusObserved { status, cause: None, at, failure: None }];
        match (self.phase, status) {
            (Phase::Running | Phase::Paused, O::Stopped | O::Restarting) => {
                vec![life.crash(cause, None, at)]
            }
            (Phase::Running, O::Paused) | (Phase::Paused | Phase::Restarting, O::Running) => {
                observed
            }
            // It was to be frozen, and could not be.
            (Phase::Running, O::Running) if life.pause_wanted => observed,
            _ => vec![],
        }
    }
}

impl Decider for Agent {
    const STREAM: StreamType = StreamType::Agent;

    fn decide(&self, command: AgentCommand) -> Result<Vec<AgentEvent>, AgentError> {
        use AgentCommand as C;
        use AgentEvent as E;
        let Some(life) = &self.life else {
            let C::Create(create) = command else { return Err(AgentError::NotFound) };
            return Self::create(*create);
        };
        match (command, self.phase) {
            (C::Create(_), _) => Err(AgentError::AlreadyExists),
            (C::RecordProvisioned { host_ref }, Phase::Creating) => {
                let mut events = vec![E::AgentProvisioned { host_ref }];
                if life.start_wanted {
                    events.push(E::AgentStartRequested {});
                }
                Ok(events)
            }
            (C::RecordProvisionFailed { step, error }, Phase::Creating) => {
                Ok(vec![E::AgentProvisionFailed { step, error }])
            }
            (C::RequestStart, _) => self.request_start(life),
            (C::RecordStarted { host_ref, config_hash }, Phase::Starting | Phase::Restarting) => {
                Ok(vec![E::AgentStarted { host_ref, config_hash }])
            }
            (C::RecordStartFailed { step, error, .. }, Phase::Starting) => {
                Ok(vec![E::AgentStartFailed { step, error }])
            }
            (C::RecordStartFailed { step, error, at }, Phase::Restarting) => {
                Ok(vec![life.crash(None, Some(StepFailure { step, error }), at)])
            }
            (C::RequestStop, _) => Ok(self.request_stop(life)),
            (C::RecordStopped { exit_code }, Phase::Stopping) => {
                let reason = StopReason::Requested;
                Ok(vec![E::AgentStopped { reason, exit_code, failure: None }])
            }
            (C::RequestPause, _) => self.request_pause(life),
            (C::RequestUnpause, _) => self.request_unpause(),
            (C::RecordObserved { status, cause, at }, _) => {
                Ok(self.observe(life, status, cause, at))
            }
            (C::RequestDelete, Phase::Deleting) => Ok(vec![]),
            (C::RequestDelete, _) if life.is_system => Err(AgentError::SystemAgent),
            (C::RequestDelete, _) => Ok(vec![E::AgentDeleteRequested {}]),
            (C::RecordDeleted, Phase::Deleting) => Ok(vec![E::AgentDeleted {}]),
            (C::Reinitialize, Phase::Deleting) => Err(AgentError::Deleting),
            (C::Reinitialize, _) if !life.is_system => Err(AgentError::NotSystemAgent),
            // Under way already.
            (C::Reinitialize, Phase::Creating) if life.rebuild_wanted => Ok(vec![]),
            (C::Reinitialize, _) => Ok(vec![E::AgentReinitialized {}]),
            // A report that comes late changes nothing.
            (
                C::RecordProvisioned { .. }
                | C::RecordProvisionFailed { .. }
                | C::RecordStarted { .. }
                | C::RecordStartFailed { .. }
                | C::RecordStopped { .. }
                | C::RecordDeleted,
                _,
            ) => Ok(vec![]),
            (C::Configure(setting), _) => self.configure(setting),
        }
    }

    fn evolve(&mut self, event: &AgentEvent) {
        life::evolve(self, event);
    }

    fn wrap(event: AgentEvent) -> Event {
        Event::Agent(event)
    }

    fn unwrap(event: &Event) -> Option<&AgentEvent> {
        if let Event::Agent(event) = event { Some(event) } else { None }
    }
}

aggregate!(Agent, AgentCommand, AgentEvent, AgentError);

#[cfg(test)]
mod tests;
