//! Effects: what must happen in the world because of what the log says, and the reports of it.
//!
//! Every reactor here is level-triggered: it looks at the state of the log and at the world, does
//! what is missing, idempotently, and records the outcome as another command. The feed of events
//! is only a hint to look sooner, so there is nothing to checkpoint, and a server that was killed
//! in the middle of anything simply looks again.
//!
//! | file | policy |
//! |---|---|
//! | `fleet` | one task per agent that lives on this node, woken by the feed |
//! | `agent` | one look at one agent: life cycle, its granted runs, what should not be there |
//! | `credentials` | what an agent is given at its start and when it changes, and never shows |
//! | `own_key` | the agent's own API key |
//! | `lifecycle` | the steps of creation, start and stop; crashes |
//! | `repository` | the clone of an agent's repository at its start |
//! | `startup` | the agent's own script at its start |
//! | `run` | one granted execution, from the start request to the slot's release |
//! | `dispatch` | what the agent server is asked to start |
//! | `output` | lines of output into the transcript and the log |
//! | `reconcile` | runs nobody knows, slots past their time |
//! | `foreign` | slots past their time on nodes that are away |
//! | `retention` | transcripts that are older than is wanted |
//! | `removal` | everything that goes with a deleted agent |
//! | `strays` | places that are in no life of an agent |

mod agent;
mod credentials;
mod dispatch;
mod fleet;
mod foreign;
mod lifecycle;
mod look;
mod output;
mod own_key;
mod reconcile;
mod removal;
mod repository;
mod retention;
mod run;
mod startup;
mod strays;
mod wait;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::adapters::Adapters;
use crate::domain::ExecutionId;
use crate::event_log::EventLog;
use crate::gateway::Gateway;
use crate::hosts::AgentHost;
use crate::hosts::links::Links;
use crate::library::Library;
use crate::projections::Views;
use crate::state::avatars::Avatars;
use crate::state::transcripts::Transcripts;
use crate::vault::Vault;

pub use fleet::spawn;
pub use foreign::spawn as spawn_foreign;
pub use retention::{remove_old_transcripts, spawn as spawn_retention};
pub use strays::spawn as spawn_strays;

/// What reactors work with; built once by the composition root.
pub struct Context {
    /// The truth.
    pub log: EventLog,
    /// Read models, to find the agents of this node after a start.
    pub views: Views,
    /// Where output is kept.
    pub transcripts: Transcripts,
    /// The credentials of agents.
    pub vault: Vault,
    /// The pictures of agents.
    pub avatars: Avatars,
    /// Where agents live.
    pub host: Arc<dyn AgentHost>,
    /// The links to the agents' servers.
    pub links: Links,
    /// The way from agents to their models.
    pub gateway: Gateway,
    /// The CLIs.
    pub adapters: Adapters,
    /// Templates and skills.
    pub library: Library,
    /// This node; on hosts bound to one machine only its own agents are looked after.
    pub node_id: Uuid,
    /// The search path that runs get.
    pub path: String,
    /// Where agents reach this server, as far as that is known.
    pub agent_url: Option<String>,
    /// Milliseconds between the interrupt and the kill.
    pub grace_ms: u64,
    /// Ends every reactor; runs go on in their agent servers.
    pub shutdown: CancellationToken,
    /// Wakes the task of a run when somebody asks for its end.
    pub runs: Hints,
}

/// Who is to be woken when an execution changes; two epochs of it may be followed for a moment.
#[derive(Debug, Default)]
pub struct Hints(Mutex<HashMap<ExecutionId, (Arc<Notify>, usize)>>);

impl Hints {
    fn register(&self, id: ExecutionId) -> Arc<Notify> {
        let mut hints = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (hint, followers) = hints.entry(id).or_default();
        *followers += 1;
        Arc::clone(hint)
    }

    fn forget(&self, id: ExecutionId) {
        let mut hints = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut entry) = hints.entry(id) {
            entry.get_mut().1 -= 1;
            if entry.get().1 == 0 {
                entry.remove();
            }
        }
    }

    fn wake(&self, id: ExecutionId) {
        let hints = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((hint, _)) = hints.get(&id) {
            hint.notify_waiters();
            hint.notify_one();
        }
    }

    /// Whether a run is being followed.
    fn follows(&self, id: ExecutionId) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&id)
    }

    /// How many runs are being followed.
    pub fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Whether no run is being followed.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// An error with everything that caused it, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
