//! The links of this node, one for each agent, whoever uses it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

use super::AgentHost;
use super::link::Link;

/// The links of this node. A clone is another handle to the same.
#[derive(Clone)]
pub struct Links {
    host: Arc<dyn AgentHost>,
    known: Arc<Mutex<HashMap<Uuid, Link>>>,
}

impl Links {
    /// Makes links to agents of this host.
    pub fn new(host: Arc<dyn AgentHost>) -> Self {
        Self { host, known: Arc::default() }
    }

    /// The link to an agent's server; its connection is opened at the first call.
    pub fn of(&self, incarnation: Uuid) -> Link {
        let fresh = || Link::new(Arc::clone(&self.host), incarnation);
        self.known().entry(incarnation).or_insert_with(fresh).clone()
    }

    /// Forgets the link of a life that is over; its connection ends with the last user.
    pub fn forget(&self, incarnation: Uuid) {
        self.known().remove(&incarnation);
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Uuid, Link>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
