//! What can be set on an agent, and what each change of it comes to.

use std::collections::BTreeSet;

use super::{
    Agent, AgentError, AgentEvent, Life, McpServers, ReadOnly, Resources, RevokeReason,
    check_capacity, check_timeout,
};
use crate::domain::{AccountId, AgentName, IncarnationId};

/// How many skills an agent may have.
pub const SKILLS_MAX: usize = 50;

/// One thing that can be set on an agent in any live phase.
#[derive(Debug, Clone, PartialEq)]
pub enum Setting {
    /// Switches scheduled work on or off.
    SetAutonomy { enabled: bool },
    /// Protects files of the workspace from the agent.
    SetReadOnly(ReadOnly),
    /// Sets processor and memory limits; in force from the next start on.
    SetResources(Resources),
    /// Sets how many executions may run at once.
    SetCapacity { max_parallel_tasks: u32 },
    /// Sets the longest time an execution may run.
    SetExecutionTimeout { seconds: u32 },
    /// Sets the model that tasks use when they name none.
    SetModel { model: Option<String> },
    /// Grants or withdraws the container's full capabilities; in force from the next start on.
    SetCapabilities { full_capabilities: bool },
    /// Says that the instruction file has changed.
    SetInstructions { sha256: String },
    /// Sets the tools that bound every task's.
    SetTools { tools: Vec<String> },
    /// Sets the external MCP servers.
    SetMcpServers { servers: McpServers },
    /// Sets the attached skills by name.
    SetSkills { names: BTreeSet<String> },
    /// Attaches one more skill.
    AttachSkill { name: String },
    /// Detaches one skill.
    DetachSkill { name: String },
    /// Sets the tags.
    SetTags { tags: BTreeSet<String> },
    /// Says that the picture has changed; none means removed.
    SetAvatar { sha256: Option<String> },
    /// Says which credentials exist, never their values, and which of them are new or gone.
    SetCredentials { names: BTreeSet<String>, changed: BTreeSet<String> },
    /// Has the credentials given to the running agent once more.
    ReloadCredentials,
    /// Opens or closes the shared folders in both directions.
    SetFolders { expose: bool, consume: bool },
    /// Lets another user operate the agent.
    Share { user: AccountId },
    /// Takes that back.
    Unshare { user: AccountId },
    /// Connects the workspace to a git repository.
    ConfigureGitSync { repository: String, branch: String },
    /// Takes that back.
    RemoveGitSync,
    /// Lets this agent call another.
    Grant { callee: AgentName, callee_incarnation: IncarnationId },
    /// Takes that back.
    Revoke { callee: AgentName, reason: RevokeReason },
}

impl Agent {
    pub(super) fn configure(&self, setting: Setting) -> Result<Vec<AgentEvent>, AgentError> {
        use AgentEvent as E;
        use Setting as S;
        let life = self.live()?;
        let config = &life.config;
        let (changed, event) = match setting {
            S::SetAutonomy { enabled } => {
                (config.autonomy != enabled, E::AutonomyChanged { enabled })
            }
            S::SetReadOnly(read_only) => {
                read_only.check()?;
                (config.read_only != read_only, E::ReadOnlyChanged(read_only))
            }
            S::SetResources(new) => {
                new.check()?;
                (config.resources != new, E::ResourcesChanged(new))
            }
            S::SetCapacity { max_parallel_tasks } => {
                check_capacity(max_parallel_tasks)?;
                let changed = config.max_parallel_tasks != max_parallel_tasks;
                (changed, E::CapacityChanged { max_parallel_tasks })
            }
            S::SetExecutionTimeout { seconds } => {
                check_timeout(seconds)?;
                let changed = config.execution_timeout_seconds != seconds;
                (changed, E::ExecutionTimeoutChanged { seconds })
            }
            S::SetModel { model } => (config.model != model, E::ModelChanged { model }),
            S::SetCapabilities { full_capabilities } => (
                config.full_capabilities != full_capabilities,
                E::CapabilitiesChanged { full_capabilities },
            ),
            S::SetInstructions { sha256 } => (
                life.instructions_sha256.as_ref() != Some(&sha256),
                E::InstructionsChanged { sha256 },
            ),
            S::SetTools { tools } => (config.tools != tools, E::ToolsChanged { tools }),
            S::SetMcpServers { servers } => {
                let mcp_servers = servers.keys().cloned().collect();
                (life.mcp_servers != servers, E::McpServersChanged { mcp_servers, servers })
            }
            S::SetSkills { names } => skills(life, names)?,
            S::AttachSkill { name } => skills(life, &life.skills | &BTreeSet::from([name]))?,
            S::DetachSkill { name } => skills(life, &life.skills - &BTreeSet::from([name]))?,
            S::SetTags { tags } => (life.tags != tags, E::TagsChanged { tags }),
            S::SetAvatar { sha256 } => (life.avatar_sha256 != sha256, E::AvatarChanged { sha256 }),
            S::SetCredentials { names, changed } => (
                life.credentials != names || !changed.is_empty(),
                E::CredentialsChanged { names, changed },
            ),
            S::ReloadCredentials => (true, E::CredentialsReloadRequested {}),
            S::SetFolders { expose, consume } => {
                (life.folders != (expose, consume), E::FoldersChanged { expose, consume })
            }
            S::Share { user } => (!life.shares.contains(&user), E::AgentShared { user }),
            S::Unshare { user } => (life.shares.contains(&user), E::AgentUnshared { user }),
            S::ConfigureGitSync { repository, branch } => (
                life.git_sync.as_ref() != Some(&(repository.clone(), branch.clone())),
                E::GitSyncConfigured { repository, branch },
            ),
            S::RemoveGitSync => (life.git_sync.is_some(), E::GitSyncRemoved {}),
            S::Grant { callee, callee_incarnation } => grant(life, callee, callee_incarnation)?,
            S::Revoke { callee, reason } => {
                (life.grants.contains_key(&callee), E::PermissionRevoked { callee, reason })
            }
        };
        Ok(if changed { vec![event] } else { vec![] })
    }
}

/// An event, and whether it says something new.
type Change = (bool, AgentEvent);

fn skills(life: &Life, names: BTreeSet<String>) -> Result<Change, AgentError> {
    // Whoever has too many may still lose some.
    if names.len() > SKILLS_MAX && !names.is_subset(&life.skills) {
        return Err(AgentError::TooManySkills);
    }
    Ok((life.skills != names, AgentEvent::SkillsChanged { names }))
}

fn grant(
    life: &Life,
    callee: AgentName,
    callee_incarnation: IncarnationId,
) -> Result<Change, AgentError> {
    if callee == life.config.name {
        return Err(AgentError::SelfGrant);
    }
    let changed = life.grants.get(&callee) != Some(&callee_incarnation);
    Ok((changed, AgentEvent::PermissionGranted { callee, callee_incarnation }))
}
