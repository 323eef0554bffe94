//! Event by event: whether one caller may see it.

use std::collections::HashMap;

use super::access::{Rights, on_origin};
use super::{Caller, identify};
use crate::api::ApiState;
use crate::api::error::Result;
use crate::domain::agent::AgentEvent;
use crate::domain::{AgentName, Event, IncarnationId, Recorded};

/// How many verdicts are remembered for one caller; a full memory starts again.
const VERDICTS_MAX: usize = 10_000;

/// Decides for one caller which events it may see, and notices when that changes.
#[derive(Debug)]
pub struct Gate {
    caller: Caller,
    /// What the caller may see, by the life of an agent; dropped when rights change.
    verdicts: HashMap<IncarnationId, bool>,
}

impl Gate {
    /// A gate for that caller.
    pub fn new(caller: Caller) -> Self {
        Self { caller, verdicts: HashMap::new() }
    }

    /// Whether the caller may see the event; it must be asked about every event, in order.
    pub async fn shows(&mut self, state: &ApiState, recorded: &Recorded) -> Result<bool> {
        if changes_rights(&recorded.event) {
            self.verdicts.clear();
        }
        if self.caller.is_admin() {
            return Ok(true);
        }
        let Some(origin) = state.origins.of_event(&state.app.log, recorded).await? else {
            return Ok(false);
        };
        let incarnation = origin.life.incarnation;
        if let Some(verdict) = self.verdicts.get(&incarnation) {
            return Ok(*verdict);
        }
        let rights = on_origin(state, &self.caller, &origin).await?.rights;
        if self.verdicts.len() >= VERDICTS_MAX {
            self.verdicts.clear();
        }
        self.verdicts.insert(incarnation, rights > Rights::Nothing);
        Ok(rights > Rights::Nothing)
    }

    /// Who the caller is by now.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// Whether the event is about the agent of that name.
    pub async fn is_about(state: &ApiState, recorded: &Recorded, name: &AgentName) -> Result<bool> {
        let origin = state.origins.of_event(&state.app.log, recorded).await?;
        Ok(origin.is_some_and(|origin| origin.life.name == *name))
    }

    /// Asks anew who the caller is: it may have lost its role, its key or its session.
    ///
    /// # Errors
    /// 401 when the caller is nobody any more.
    pub async fn renew(&mut self, state: &ApiState) -> Result<()> {
        let identity = identify(state, &self.caller.credential).await?;
        if identity != self.caller.identity {
            self.caller.identity = identity;
            self.verdicts.clear();
        }
        Ok(())
    }
}

/// Whether the event may change who sees what.
fn changes_rights(event: &Event) -> bool {
    match event {
        Event::Agent(event) => matches!(
            event,
            AgentEvent::AgentCreated { .. }
                | AgentEvent::AgentDeleted {}
                | AgentEvent::AgentShared { .. }
                | AgentEvent::AgentUnshared { .. }
                | AgentEvent::PermissionGranted { .. }
                | AgentEvent::PermissionRevoked { .. }
        ),
        Event::Account(_) => true,
        Event::Slots(_) | Event::Execution(_) => false,
    }
}
