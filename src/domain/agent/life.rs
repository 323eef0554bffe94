//! The current life of an agent's name, and how each event moves it.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::{
    Agent, AgentConfig, AgentEvent, CRASH_WINDOW_SECONDS, CRASHES_MAX, CrashCause, McpServers,
    ObservedStatus, Phase, Step, StepFailure, StopReason,
};
use crate::domain::{AccountId, AgentName, IncarnationId};

/// Between the names of an agent's own settings and of its host's.
const HASHES_SEPARATOR: char = '.';

pub(super) fn evolve(agent: &mut Agent, event: &AgentEvent) {
    use AgentEvent as E;
    if let E::AgentCreated { incarnation, owner, is_system, node_id, config, start } = event {
        let life = Life::begin(*incarnation, *owner, *is_system, *node_id, config, *start);
        *agent = Agent { phase: Phase::Creating, life: Some(life) };
        return;
    }
    let Agent { phase, life: Some(life) } = agent else { return };
    match life.lifecycle(*phase, event) {
        Some(Phase::Absent) => *agent = Agent::default(),
        Some(next) => *phase = next,
        None => life.settings(event),
    }
}

/// What is true of the current life of a name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "they are independent facts")]
pub struct Life {
    /// Which life.
    pub incarnation: IncarnationId,
    /// Who may administer it.
    pub owner: AccountId,
    /// The server's own agent.
    pub is_system: bool,
    /// The node on whose disk it lives, if it is bound to one.
    pub node_id: Option<Uuid>,
    /// The configuration as it stands.
    pub config: AgentConfig,
    /// Whether it is to run once that is possible.
    pub start_wanted: bool,
    /// Whether it is to be frozen, which has not been seen yet.
    #[serde(default)]
    pub pause_wanted: bool,
    /// Whether its place is to be removed, with its workspace, before it is made anew.
    #[serde(default)]
    pub rebuild_wanted: bool,
    /// How the host knows it, once it is provisioned.
    pub host_ref: Option<String>,
    /// The configuration it last started with.
    pub config_hash: Option<String>,
    /// The step that failed, with its error, until the agent runs or is asked for something else.
    pub failure: Option<(Step, String)>,
    /// Who else may operate it.
    pub shares: BTreeSet<AccountId>,
    /// Whom it may call, and which life of theirs.
    pub grants: BTreeMap<AgentName, IncarnationId>,
    /// Tags, skills and credential names, as last set.
    pub tags: BTreeSet<String>,
    /// Attached skills.
    pub skills: BTreeSet<String>,
    /// Names of credentials, never values.
    pub credentials: BTreeSet<String>,
    /// How its MCP servers are started or reached, with placeholders for credentials.
    #[serde(default)]
    pub mcp_servers: McpServers,
    /// How often what is kept in its workspace was changed, or asked to be given anew: credentials,
    /// skills and the configuration of MCP servers.
    #[serde(default)]
    pub kept_version: u64,
    /// Digest of the instruction file.
    pub instructions_sha256: Option<String>,
    /// Digest of the picture.
    pub avatar_sha256: Option<String>,
    /// Whether its `shared-out` is open, and whether it sees others'.
    pub folders: (bool, bool),
    /// Repository and branch it is synchronised with.
    pub git_sync: Option<(String, String)>,
    /// When it crashed, the latest [`CRASHES_MAX`] within the window.
    pub crashes: Vec<DateTime<Utc>>,
    /// What is known of why it crashed the last time.
    #[serde(default)]
    pub crash_cause: Option<CrashCause>,
}

impl Life {
    /// Names what the agent's place is made from: by its own settings, and by those of its host, which
    /// that gives as `host_hash`. Another value means that it is to be made anew.
    pub fn config_hash_on(&self, host_hash: &str) -> String {
        format!("{}{HASHES_SEPARATOR}{host_hash}", self.place_hash())
    }

    /// What the settings of its host were when it last started, if that was kept.
    pub fn host_hash(&self) -> Option<&str> {
        Some(self.config_hash.as_ref()?.split_once(HASHES_SEPARATOR)?.1)
    }

    fn place_hash(&self) -> String {
        let parts = serde_json::json!({
            "base_image": self.config.base_image,
            "resources": self.config.resources,
            "full_capabilities": self.config.full_capabilities,
            "folders": self.folders,
            "runtime": self.config.runtime,
        });
        hex::encode(Sha256::digest(parts.to_string()))
    }

    /// Whether something was set that is in force only from the next start on: on the agent, or on its
    /// host, whose settings go by the name `host_hash` now, if they are asked for.
    pub fn needs_restart(&self, host_hash: Option<&str>) -> bool {
        let Some(started_with) = &self.config_hash else { return false };
        let own = started_with.split_once(HASHES_SEPARATOR).map_or(&**started_with, |(own, _)| own);
        let has_host_changed =
            matches!((self.host_hash(), host_hash), (Some(then), Some(now)) if then != now);
        has_host_changed || own != self.place_hash()
    }

    fn recent_crashes(&self, at: DateTime<Utc>) -> impl Iterator<Item = DateTime<Utc>> + '_ {
        let since = at - TimeDelta::seconds(CRASH_WINDOW_SECONDS);
        self.crashes.iter().copied().filter(move |crash| *crash > since)
    }

    pub(super) fn crash(
        &self,
        cause: Option<CrashCause>,
        failure: Option<StepFailure>,
        at: DateTime<Utc>,
    ) -> AgentEvent {
        if self.recent_crashes(at).count() < CRASHES_MAX {
            let status = ObservedStatus::Restarting;
            return AgentEvent::AgentStatusObserved { status, cause, at, failure };
        }
        let reason = match cause {
            Some(CrashCause::OutOfMemory) => StopReason::OutOfMemory,
            None => StopReason::CrashLoop,
        };
        AgentEvent::AgentStopped { reason, exit_code: None, failure }
    }

    /// Says what became of the runs that were under way when the agent went down the last time.
    pub fn loss(&self) -> String {
        match self.crash_cause {
            None => "the agent went down and took the run with it".to_owned(),
            Some(CrashCause::OutOfMemory) => {
                let limit = self.config.resources.memory.as_deref().unwrap_or("the server's limit");
                format!(
                    "the agent ran out of memory ({limit}) and took the run with it; give it more: \
                     trinity agent resources {} --memory SIZE",
                    self.config.name
                )
            }
        }
    }

    fn begin(
        incarnation: IncarnationId,
        owner: AccountId,
        is_system: bool,
        node_id: Option<Uuid>,
        config: &AgentConfig,
        start_wanted: bool,
    ) -> Self {
        Self {
            incarnation,
            owner,
            is_system,
            node_id,
            config: config.clone(),
            start_wanted,
            pause_wanted: false,
            rebuild_wanted: false,
            host_ref: None,
            config_hash: None,
            failure: None,
            shares: BTreeSet::new(),
            grants: BTreeMap::new(),
            tags: BTreeSet::new(),
            skills: BTreeSet::new(),
            credentials: BTreeSet::new(),
            mcp_servers: McpServers::new(),
            kept_version: 0,
            instructions_sha256: None,
            avatar_sha256: None,
            folders: (false, false),
            git_sync: None,
            crashes: Vec::new(),
            crash_cause: None,
        }
    }

    /// The phase that follows, for the events that move an agent through its life.
    #[expect(clippy::wildcard_enum_match_arm, reason = "`settings` names every other event")]
    fn lifecycle(&mut self, phase: Phase, event: &AgentEvent) -> Option<Phase> {
        use AgentEvent as E;
        // Whatever moves an agent on answers the wish to freeze it.
        let was_wanted = std::mem::take(&mut self.pause_wanted);
        Some(match event {
            E::AgentPauseRequested {} => {
                self.pause_wanted = true;
                phase
            }
            E::AgentProvisioned { host_ref } => {
                self.rebuild_wanted = false;
                self.host_ref = Some(host_ref.clone());
                Phase::Stopped
            }
            E::AgentProvisionFailed { step, error } | E::AgentStartFailed { step, error } => {
                self.failure = Some((*step, error.clone()));
                Phase::Failed
            }
            E::AgentStartRequested {} => {
                self.start_wanted = true;
                self.failure = None;
                if self.host_ref.is_some() { Phase::Starting } else { Phase::Creating }
            }
            E::AgentStarted { host_ref, config_hash } => {
                self.host_ref = Some(host_ref.clone());
                self.config_hash = Some(config_hash.clone());
                self.failure = None;
                Phase::Running
            }
            E::AgentStopRequested {} => {
                self.start_wanted = false;
                self.failure = None;
                if phase == Phase::Creating { Phase::Creating } else { Phase::Stopping }
            }
            E::AgentStopped { reason, failure, .. } => {
                self.fail(failure.as_ref());
                if *reason != StopReason::Requested {
                    self.crash_cause = match reason {
                        StopReason::OutOfMemory => Some(CrashCause::OutOfMemory),
                        StopReason::Requested | StopReason::CrashLoop => None,
                    };
                }
                self.start_wanted = false;
                self.crashes.clear();
                Phase::Stopped
            }
            E::AgentStatusObserved { status, cause, at, failure } => {
                self.fail(failure.as_ref());
                self.observe(*status, *cause, *at)
            }
            E::AgentDeleteRequested {} => {
                self.start_wanted = false;
                self.failure = None;
                Phase::Deleting
            }
            E::AgentDeleted {} => Phase::Absent,
            E::AgentReinitialized {} => {
                self.start_wanted = self.start_wanted || phase == Phase::Running;
                self.rebuild_wanted = true;
                self.crashes.clear();
                self.host_ref = None;
                self.config_hash = None;
                self.failure = None;
                Phase::Creating
            }
            _ => {
                self.pause_wanted = was_wanted;
                return None;
            }
        })
    }

    fn fail(&mut self, failure: Option<&StepFailure>) {
        self.failure = failure.map(|StepFailure { step, error }| (*step, error.clone()));
    }

    fn observe(
        &mut self,
        status: ObservedStatus,
        cause: Option<CrashCause>,
        at: DateTime<Utc>,
    ) -> Phase {
        match status {
            ObservedStatus::Running => Phase::Running,
            ObservedStatus::Paused => Phase::Paused,
            ObservedStatus::Restarting | ObservedStatus::Stopped => {
                let mut crashes: Vec<_> = self.recent_crashes(at).collect();
                crashes.push(at);
                crashes.drain(..crashes.len().saturating_sub(CRASHES_MAX));
                (self.crashes, self.crash_cause) = (crashes, cause);
                Phase::Restarting
            }
        }
    }

    fn settings(&mut self, event: &AgentEvent) {
        use AgentEvent as E;
        let config = &mut self.config;
        match event {
            E::AutonomyChanged { enabled } => config.autonomy = *enabled,
            E::ReadOnlyChanged(read_only) => config.read_only = read_only.clone(),
            E::ResourcesChanged(resources) => config.resources = resources.clone(),
            E::CapacityChanged { max_parallel_tasks } => {
                config.max_parallel_tasks = *max_parallel_tasks;
            }
            E::ExecutionTimeoutChanged { seconds } => config.execution_timeout_seconds = *seconds,
            E::ModelChanged { model } => config.model.clone_from(model),
            E::CapabilitiesChanged { full_capabilities } => {
                config.full_capabilities = *full_capabilities;
            }
            E::InstructionsChanged { sha256 } => self.instructions_sha256 = Some(sha256.clone()),
            E::ToolsChanged { tools } => config.tools.clone_from(tools),
            E::McpServersChanged { mcp_servers, servers } => {
                config.mcp_servers.clone_from(mcp_servers);
                self.mcp_servers.clone_from(servers);
                self.kept_version += 1;
            }
            E::SkillsChanged { names } => {
                self.skills.clone_from(names);
                self.kept_version += 1;
            }
            E::TagsChanged { tags } => self.tags.clone_from(tags),
            E::AvatarChanged { sha256 } => self.avatar_sha256.clone_from(sha256),
            E::CredentialsChanged { names, .. } => {
                self.credentials.clone_from(names);
                self.kept_version += 1;
            }
            E::CredentialsReloadRequested {} => self.kept_version += 1,
            E::FoldersChanged { expose, consume } => self.folders = (*expose, *consume),
            E::AgentShared { user } => {
                self.shares.insert(*user);
            }
            E::AgentUnshared { user } => {
                self.shares.remove(user);
            }
            E::GitSyncConfigured { repository, branch } => {
                self.git_sync = Some((repository.clone(), branch.clone()));
            }
            E::GitSyncRemoved {} => self.git_sync = None,
            E::PermissionGranted { callee, callee_incarnation } => {
                self.grants.insert(callee.clone(), *callee_incarnation);
            }
            E::PermissionRevoked { callee, .. } => {
                self.grants.remove(callee);
            }
            E::AgentCreated { .. }
            | E::AgentProvisioned { .. }
            | E::AgentProvisionFailed { .. }
            | E::AgentStartRequested {}
            | E::AgentStarted { .. }
            | E::AgentStartFailed { .. }
            | E::AgentStopRequested {}
            | E::AgentStopped { .. }
            | E::AgentPauseRequested {}
            | E::AgentStatusObserved { .. }
            | E::AgentDeleteRequested {}
            | E::AgentDeleted {}
            | E::AgentReinitialized {} => {}
        }
    }
}
