//! Whose event it is: the life of an agent that a stream belongs to.
//!
//! These are facts that never change, so they are found in the log once and remembered.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::commands::reports::LifeRef;
use crate::domain::agent::AgentEvent;
use crate::domain::execution::ExecutionEvent;
use crate::domain::slots::Slots;
use crate::domain::{
    AccountId, AgentName, Event, ExecutionId, IncarnationId, Recorded, StreamId, StreamType,
};
use crate::event_log::{EventLog, LogError};

/// How many facts of each kind are remembered; a full memory starts again.
const REMEMBERED_MAX: usize = 50_000;

/// How many events of a stream are read at once.
const PAGE_EVENTS_MAX: usize = 1_000;

/// One life of an agent, as it began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Which life.
    pub life: LifeRef,
    /// Who owned it then.
    pub owner: AccountId,
}

/// Remembers to which life streams belong.
#[derive(Debug, Default)]
pub struct Origins {
    lives: Memory<IncarnationId, Arc<Origin>>,
    executions: Memory<ExecutionId, IncarnationId>,
    names: Memory<AgentName, Lives>,
}

/// The lives of a name, in order, as far as its stream was read.
#[derive(Debug, Clone, Default)]
struct Lives {
    read_version: i64,
    begun: Vec<(i64, IncarnationId)>,
}

impl Origins {
    /// The life that an event belongs to; none for events of accounts.
    pub async fn of_event(
        &self,
        log: &EventLog,
        recorded: &Recorded,
    ) -> Result<Option<Arc<Origin>>, LogError> {
        let id = &recorded.stream.id;
        match recorded.stream.kind {
            StreamType::Account => Ok(None),
            StreamType::Agent => match id.parse() {
                Ok(name) => self.of_agent_event(log, &name, recorded.version).await,
                Err(_) => Ok(None),
            },
            StreamType::Slots => match id.parse() {
                Ok(incarnation) => self.of_incarnation(log, incarnation).await,
                Err(_) => Ok(None),
            },
            StreamType::Execution => match id.parse() {
                Ok(execution) => self.of_execution(log, execution).await,
                Err(_) => Ok(None),
            },
        }
    }

    /// The life that an execution runs on.
    pub async fn of_execution(
        &self,
        log: &EventLog,
        execution: ExecutionId,
    ) -> Result<Option<Arc<Origin>>, LogError> {
        if let Some(incarnation) = self.executions.get(&execution) {
            return self.of_incarnation(log, incarnation).await;
        }
        let stream = StreamId { kind: StreamType::Execution, id: execution.to_string() };
        let first = log.stream(&stream, 0, 1).await?.pop();
        let Some(Event::Execution(ExecutionEvent::ExecutionRequested(request))) =
            first.as_ref().map(|recorded| &recorded.event)
        else {
            return Ok(None);
        };
        self.executions.put(execution, request.incarnation);
        self.of_incarnation(log, request.incarnation).await
    }

    /// The life with that id.
    pub async fn of_incarnation(
        &self,
        log: &EventLog,
        incarnation: IncarnationId,
    ) -> Result<Option<Arc<Origin>>, LogError> {
        if let Some(origin) = self.lives.get(&incarnation) {
            return Ok(Some(origin));
        }
        // The slots of a life begin right after the event that begins the life, in its append.
        let slots = StreamId::of::<Slots>(incarnation);
        let Some(first) = log.stream(&slots, 0, 1).await?.pop() else { return Ok(None) };
        let Some(created) = log.event(first.position - 1).await? else { return Ok(None) };
        Ok(self.remember(&created).filter(|origin| origin.life.incarnation == incarnation))
    }

    /// The last life of a name, as its stream was at a version.
    pub async fn of_last_life(
        &self,
        log: &EventLog,
        name: &AgentName,
        version: i64,
    ) -> Result<Option<Arc<Origin>>, LogError> {
        self.of_agent_event(log, name, version).await
    }

    /// The life during which an event of an agent's own stream was recorded.
    async fn of_agent_event(
        &self,
        log: &EventLog,
        name: &AgentName,
        version: i64,
    ) -> Result<Option<Arc<Origin>>, LogError> {
        let mut lives = self.names.get(name).unwrap_or_default();
        let stream = StreamId { kind: StreamType::Agent, id: name.to_string() };
        while lives.read_version < version {
            let page = log.stream(&stream, lives.read_version, PAGE_EVENTS_MAX).await?;
            let Some(last) = page.last() else { break };
            lives.read_version = last.version;
            for recorded in &page {
                if let Some(origin) = self.remember(recorded) {
                    lives.begun.push((recorded.version, origin.life.incarnation));
                }
            }
        }
        let life = lives.begun.iter().rev().find(|(begun, _)| *begun <= version).copied();
        self.names.put(name.clone(), lives);
        match life {
            Some((_, incarnation)) => self.of_incarnation(log, incarnation).await,
            None => Ok(None),
        }
    }

    /// Remembers a life from the event that began it.
    fn remember(&self, recorded: &Recorded) -> Option<Arc<Origin>> {
        let Event::Agent(AgentEvent::AgentCreated { incarnation, owner, .. }) = &recorded.event
        else {
            return None;
        };
        let name = recorded.stream.id.parse().ok()?;
        let life = LifeRef { name, incarnation: *incarnation };
        let origin = Arc::new(Origin { life, owner: *owner });
        self.lives.put(*incarnation, Arc::clone(&origin));
        Some(origin)
    }
}

/// A bounded memory of facts.
#[derive(Debug)]
struct Memory<K, V>(Mutex<HashMap<K, V>>);

impl<K, V> Default for Memory<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Hash + Eq, V: Clone> Memory<K, V> {
    fn get(&self, key: &K) -> Option<V> {
        self.lock().get(key).cloned()
    }

    fn put(&self, key: K, value: V) {
        let mut memory = self.lock();
        if memory.len() >= REMEMBERED_MAX {
            memory.clear();
        }
        memory.insert(key, value);
    }

    /// Nothing panics while the lock is held, so a poisoned one is as good as any.
    fn lock(&self) -> MutexGuard<'_, HashMap<K, V>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
