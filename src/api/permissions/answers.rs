//! What the routes of permissions answer with.

use std::collections::BTreeSet;

use serde::Serialize;
use utoipa::ToSchema;

use crate::api::reply::Reply;
use crate::domain::AgentName;
use crate::event_log::Receipt;
use crate::projections::agents::{AgentRow, AgentStatus};
use crate::projections::permissions::PermissionRow;

/// Whom an agent may call, and who may call it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Permissions {
    #[schema(value_type = String)]
    pub source_agent: AgentName,
    /// Whom it may call.
    pub permitted_agents: Vec<Peer>,
    /// Every other agent, the newest 1000, and whether it may be called.
    pub available_agents: Vec<Peer>,
    /// Who may call it.
    pub callers: Vec<Peer>,
    pub position: i64,
}

/// Another agent.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(super) struct Peer {
    #[schema(value_type = String)]
    pub name: AgentName,
    /// Null where the caller of the route may not read it.
    #[schema(required = true)]
    pub status: Option<AgentStatus>,
    /// Null where the caller of the route may not read it.
    #[serde(rename = "type")]
    #[schema(required = true)]
    pub kind: Option<String>,
    /// Whether the one may call the other.
    pub permitted: bool,
}

impl Peer {
    /// An agent, by name only unless it may be read.
    pub fn of(readable: &BTreeSet<AgentName>, agent: AgentRow) -> Self {
        let is_readable = readable.contains(&agent.name);
        Self {
            status: is_readable.then_some(agent.status),
            kind: is_readable.then_some(agent.kind),
            name: agent.name,
            permitted: false,
        }
    }

    /// An agent of which there is only the name.
    pub fn unknown(name: &AgentName) -> Self {
        Self { name: name.clone(), status: None, kind: None, permitted: false }
    }

    /// Whether more than its name may be read.
    pub fn is_readable(&self) -> bool {
        self.status.is_some()
    }
}

/// What came of setting all at once.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Replaced {
    /// `updated`.
    pub status: &'static str,
    #[schema(value_type = String)]
    pub source_agent: AgentName,
    /// How many agents it may call now.
    pub permitted_count: usize,
    pub position: i64,
}

/// What came of granting or taking back one permission.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Toggled {
    /// `added`, `already_exists`, `removed`, or `not_found`.
    status: &'static str,
    #[schema(value_type = String)]
    source_agent: AgentName,
    #[schema(value_type = String)]
    target_agent: AgentName,
    position: i64,
}

impl Toggled {
    /// The answer.
    pub fn reply(
        status: &'static str,
        source_agent: AgentName,
        target_agent: AgentName,
        receipt: &Receipt,
    ) -> Reply<Self> {
        let Receipt { position, version, .. } = *receipt;
        let body = Self { status, source_agent, target_agent, position };
        Reply::ok(position, body).version(version)
    }
}

/// Every grant.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Matrix {
    /// The agents that the caller may read, by name; the newest 1000.
    #[schema(value_type = Vec<String>)]
    pub agents: Vec<AgentName>,
    /// The grants from or to them, by name.
    pub permissions: Vec<PermissionRow>,
    /// Whether there are no more of them.
    pub is_complete: bool,
    pub position: i64,
}

/// Whether one agent may call another.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Checked {
    #[schema(value_type = String)]
    pub caller: AgentName,
    #[schema(value_type = String)]
    pub callee: AgentName,
    pub allowed: bool,
    pub reason: Reason,
    pub position: i64,
}

/// Why one agent may call another, or may not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Reason {
    /// They are the same.
    Itself,
    /// The caller is the server's own agent.
    System,
    /// There is a live grant.
    Granted,
    /// There is none.
    NotGranted,
}
