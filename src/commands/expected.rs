//! What a caller relies on when it changes an agent.

use super::Refusal;
use super::reports::LifeRef;
use crate::domain::AgentName;
use crate::domain::agent::Agent;
use crate::event_log::Decision;

/// Which versions of the agent's stream the caller has in mind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Expected {
    /// Whichever there is.
    #[default]
    Any,
    /// One of these.
    OneOf(Vec<i64>),
}

impl Expected {
    /// Refuses an agent at another version; part of the decision, so nothing comes in between.
    pub(super) fn check(&self, d: &Decision<'_>, name: &AgentName) -> Result<(), Refusal> {
        let version = d.version::<Agent>(name);
        match self {
            Self::OneOf(versions) if !versions.contains(&version) => {
                Err(Refusal::Stale { version })
            }
            Self::Any | Self::OneOf(_) => Ok(()),
        }
    }
}

/// The life of an agent that a command is for, as the caller has it in mind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Which life.
    pub life: LifeRef,
    /// At which version.
    pub expected: Expected,
}

impl From<&LifeRef> for Target {
    fn from(life: &LifeRef) -> Self {
        Self { life: life.clone(), expected: Expected::Any }
    }
}
