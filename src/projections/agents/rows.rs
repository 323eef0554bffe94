//! What the wire shows of an agent as stored.

use super::{
    AgentDetail, AgentRecord, AgentRow, AgentStatus, Failure, Folders, GitSync, ReadOnly,
    Resources, SharedWith, SlotCounts,
};
use crate::domain::agent::Life;
use crate::projections::Viewer;

impl AgentRecord {
    /// The status as the wire has it.
    pub fn status(&self) -> AgentStatus {
        self.phase.into()
    }

    pub(super) fn into_row(self, viewer: &Viewer) -> AgentRow {
        let Life { config, host_ref, failure, tags, avatar_sha256, .. } = self.life.0;
        AgentRow {
            name: self.name,
            incarnation: self.incarnation,
            kind: config.kind,
            status: self.phase.into(),
            phase: self.phase,
            failure: failure.map(|(step, error)| Failure {
                step: <&'static str>::from(step).to_owned(),
                error,
            }),
            runtime: config.runtime,
            model: config.model,
            created: self.created_at,
            resources: Resources { cpu: config.resources.cpu, memory: config.resources.memory },
            container_id: host_ref,
            template: config.template,
            // Shown by id in the moment before the account is projected, or after it was deleted.
            owner: self.owner_name.unwrap_or_else(|| self.owner.to_string()),
            owner_id: self.owner,
            is_owner: viewer.user() == Some(self.owner),
            is_shared: self.is_shared,
            is_system: self.is_system,
            autonomy: config.autonomy,
            tags,
            avatar_sha256,
            slots: SlotCounts {
                active: self.active,
                max: config.max_parallel_tasks,
                queued: self.queued,
            },
            max_parallel_tasks: config.max_parallel_tasks,
            execution_timeout_seconds: config.execution_timeout_seconds,
            node_id: self.node_id,
            // No event says it: whoever shows the row asks the host.
            isolation: None,
            landlock_abi: None,
            run_uid: None,
            position: self.position,
            version: self.version,
        }
    }

    pub(super) fn into_detail(self, viewer: &Viewer, shares: Vec<SharedWith>) -> AgentDetail {
        let life = self.life.0.clone();
        let ((expose_enabled, consume_enabled), restart_needed) =
            (life.folders, life.needs_restart(None));
        let host_hash = life.host_hash().map(str::to_owned);
        let agent = self.into_row(viewer);
        let owns = agent.is_owner || matches!(viewer, Viewer::Admin(_) | Viewer::System);
        AgentDetail {
            can_share: owns,
            can_delete: owns && !agent.is_system,
            agent,
            shares,
            base_image: life.config.base_image,
            github_repo: life.config.github_repo,
            custom_instructions: life.config.custom_instructions,
            tools: life.config.tools,
            mcp_servers: life.config.mcp_servers,
            skills: life.skills,
            credentials: life.credentials,
            read_only: ReadOnly {
                enabled: life.config.read_only.enabled,
                blocked_patterns: life.config.read_only.blocked_patterns,
                allowed_patterns: life.config.read_only.allowed_patterns,
            },
            full_capabilities: life.config.full_capabilities,
            restart_needed,
            host_hash,
            folders: Folders { expose_enabled, consume_enabled },
            git_sync: life.git_sync.map(|(repository, branch)| GitSync { repository, branch }),
        }
    }
}
