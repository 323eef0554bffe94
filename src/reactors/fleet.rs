//! One task per agent that lives on this node.
//!
//! After a start the agents are found in the read model; from there on the feed names new ones and
//! wakes the tasks of those that something happened to. A hint that is lost costs one period.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use futures::StreamExt as _;
use tokio::sync::Notify;
use tokio::task::{self, JoinError, JoinHandle, JoinSet};
use uuid::Uuid;

use super::Context;
use super::agent::AgentTask;
use super::wait::{Waits, period};
use crate::commands::reports::LifeRef;
use crate::domain::agent::AgentEvent;
use crate::domain::execution::ExecutionEvent;
use crate::domain::slots::SlotsEvent;
use crate::domain::{Event, IncarnationId, Recorded};
use crate::hosts::Change;

/// How long the list of agents may take to reach the end of the log, before that is said.
const VIEW_WAIT: Duration = Duration::from_secs(30);

/// Looks after the agents of this node until shutdown.
pub fn spawn(context: Arc<Context>) -> JoinHandle<()> {
    tokio::spawn(async move {
        let shutdown = context.shutdown.clone();
        let mut waits = Waits::new();
        loop {
            let mut fleet = Fleet::new(Arc::clone(&context));
            let ended = tokio::select! {
                ended = fleet.run() => ended,
                () = shutdown.cancelled() => break,
            };
            if let Err(error) = ended {
                tracing::warn!("agents are not looked after: {error:#}; trying again");
            }
            tokio::select! {
                () = tokio::time::sleep(waits.failed()) => {}
                () = shutdown.cancelled() => break,
            }
        }
    })
}

struct Fleet {
    context: Arc<Context>,
    hints: HashMap<IncarnationId, (LifeRef, Arc<Notify>)>,
    tasks: JoinSet<IncarnationId>,
    lives: HashMap<task::Id, LifeRef>,
}

impl Fleet {
    fn new(context: Arc<Context>) -> Self {
        Self { context, hints: HashMap::new(), tasks: JoinSet::new(), lives: HashMap::new() }
    }

    async fn run(&mut self) -> anyhow::Result<()> {
        let head = self.context.log.head();
        let views = &self.context.views;
        views.wait_for(&["agents"], head, VIEW_WAIT).await?;
        let known = views.agents().all().await.context("cannot list the agents of this node")?;
        for agent in known {
            if self.is_ours(agent.node_id) {
                self.look_after(LifeRef { name: agent.name, incarnation: agent.incarnation });
            }
        }
        let mut feed = std::pin::pin!(self.context.log.subscribe(head));
        let host = Arc::clone(&self.context.host);
        let mut changes = host.changes();
        loop {
            tokio::select! {
                next = feed.next() => {
                    let event = next.context("the feed of events ended")?;
                    let event = event.context("cannot read the feed of events")?;
                    self.hint(&event);
                }
                Some(change) = changes.next() => self.changed(change),
                Some(ended) = self.tasks.join_next_with_id() => self.ended(ended),
            }
        }
    }

    /// Forgets a task that has ended, and starts one anew that panicked: its agent lives on.
    fn ended(&mut self, ended: Result<(task::Id, IncarnationId), JoinError>) {
        let id = ended.as_ref().map_or_else(JoinError::id, |(id, _)| *id);
        let Some(life) = self.lives.remove(&id) else { return };
        self.hints.remove(&life.incarnation);
        if let Err(error) = ended {
            tracing::error!(agent = %life.name, %error, "whoever looks after it is started anew");
            // Not at once: it may panic again.
            self.look_after_in(period(), life);
        }
    }

    /// Whether an agent lives here: on this node, or on a host that every node reaches.
    fn is_ours(&self, node_id: Option<Uuid>) -> bool {
        node_id.is_none_or(|node| node == self.context.node_id)
    }

    fn look_after(&mut self, life: LifeRef) {
        self.look_after_in(Duration::ZERO, life);
    }

    fn look_after_in(&mut self, wait: Duration, life: LifeRef) {
        if self.hints.contains_key(&life.incarnation) {
            return;
        }
        let hint = Arc::new(Notify::new());
        self.hints.insert(life.incarnation, (life.clone(), Arc::clone(&hint)));
        let task = AgentTask::new(Arc::clone(&self.context), life.clone(), hint);
        let task = async move {
            tokio::time::sleep(wait).await;
            task.run().await
        };
        self.lives.insert(self.tasks.spawn(task).id(), life);
    }

    /// Has the agent looked at whose place has changed.
    fn changed(&self, change: Change) {
        match change {
            Change::Of(incarnation) => {
                if let Some((_, hint)) = self.hints.get(&IncarnationId(incarnation)) {
                    hint.notify_one();
                }
            }
            Change::Unknown => self.hints.values().for_each(|(_, hint)| hint.notify_one()),
        }
    }

    fn hint(&mut self, recorded: &Recorded) {
        match &recorded.event {
            Event::Agent(AgentEvent::AgentCreated { incarnation, node_id, config, .. }) => {
                if self.is_ours(*node_id) {
                    let name = config.name.clone();
                    self.look_after(LifeRef { name, incarnation: *incarnation });
                }
            }
            Event::Agent(_) => {
                let name = &recorded.stream.id;
                let lives = self.hints.values().filter(|(life, _)| life.name.as_str() == name);
                lives.for_each(|(_, hint)| hint.notify_one());
            }
            // Whoever waits is no matter until a slot is theirs.
            Event::Slots(SlotsEvent::ExecutionEnqueued { .. }) => {}
            Event::Slots(_) => {
                let hint = recorded.stream.id.parse().ok().and_then(|id| self.hints.get(&id));
                if let Some((_, hint)) = hint {
                    hint.notify_one();
                }
            }
            Event::Execution(ExecutionEvent::CancelRequested { .. }) => {
                if let Ok(id) = recorded.stream.id.parse() {
                    self.context.runs.wake(id);
                }
            }
            Event::Execution(_) | Event::Account(_) => {}
        }
    }
}
