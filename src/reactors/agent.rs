//! One look after another at one life of an agent.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::Notify;
use tokio::task::{AbortHandle, JoinSet};

use super::credentials::Injector;
use super::look::{Look, Next, grants};
use super::reconcile::Reconciler;
use super::run::Run;
use super::wait::{Waits, period};
use super::{Context, lifecycle, removal};
use crate::commands::Cause;
use crate::commands::reports::LifeRef;
use crate::domain::agent::{Agent, Life, Phase};
use crate::domain::execution::CancelReason;
use crate::domain::slots::Slots;
use crate::domain::{ExecutionId, IncarnationId, StreamId};
use crate::hosts::link::Link;

/// Looks after one life of an agent until it is over.
pub(super) struct AgentTask {
    context: Arc<Context>,
    life: LifeRef,
    hint: Arc<Notify>,
    link: Link,
    runs: JoinSet<(ExecutionId, u32)>,
    followed: HashMap<(ExecutionId, u32), AbortHandle>,
    reconciler: Reconciler,
    injector: Injector,
}

impl AgentTask {
    pub(super) fn new(context: Arc<Context>, life: LifeRef, hint: Arc<Notify>) -> Self {
        let link = context.links.of(life.incarnation.0);
        Self {
            context,
            life,
            hint,
            link,
            runs: JoinSet::new(),
            followed: HashMap::new(),
            reconciler: Reconciler::new(),
            injector: Injector::default(),
        }
    }

    pub(super) async fn run(mut self) -> IncarnationId {
        let mut waits = Waits::new();
        loop {
            let wait = match self.look().await {
                Ok(Next::Over) => break,
                Ok(next) => {
                    waits.succeeded();
                    match next {
                        Next::Again => Duration::ZERO,
                        Next::After(wait) => wait.min(period()),
                        Next::Wait | Next::Over => period(),
                    }
                }
                Err(error) => {
                    if !waits.failing() {
                        tracing::warn!(agent = %self.life.name, "{error:#}; trying again");
                    }
                    waits.failed()
                }
            };
            tokio::select! {
                () = self.hint.notified() => {}
                () = tokio::time::sleep(wait) => {}
                Some(ended) = self.runs.join_next(), if !self.runs.is_empty() => {
                    if let Ok(run) = ended {
                        self.followed.remove(&run);
                    } else {
                        // A run task that panicked is followed anew.
                        self.followed.retain(|_, task| !task.is_finished());
                    }
                }
                () = self.context.shutdown.cancelled() => break,
            }
        }
        self.context.links.forget(self.life.incarnation.0);
        self.life.incarnation
    }

    async fn look(&mut self) -> anyhow::Result<Next> {
        let log = &self.context.log;
        let agent = log.state::<Agent>(&self.life.name).await.context("cannot read the agent")?;
        let this_life = |life: &&Life| life.incarnation == self.life.incarnation;
        let Some(life) = agent.state.life.as_ref().filter(this_life) else {
            return Ok(Next::Over);
        };
        let slots = log.state::<Slots>(self.life.incarnation).await;
        let slots = slots.context("cannot read the agent's slots")?.state;
        let stream = StreamId::of::<Agent>(&self.life.name);
        let last = log.stream(&stream, agent.version - 1, 1).await;
        let last = last.context("cannot read the agent's last event")?;
        let cause = Cause::of(last.first().context("the agent has no last event")?);

        let context = Arc::clone(&self.context);
        let look = Look {
            context: &context,
            life_ref: &self.life,
            life,
            slots: &slots,
            link: &self.link,
            cause,
        };
        let next = match agent.state.phase {
            Phase::Absent => return Ok(Next::Over),
            Phase::Creating => lifecycle::provision(&look).await?,
            Phase::Starting => lifecycle::start(&look).await?,
            Phase::Restarting => lifecycle::restart(&look).await?,
            Phase::Running | Phase::Paused => lifecycle::observe(&look, agent.state.phase).await?,
            Phase::Stopping => lifecycle::stop(&look).await?,
            Phase::Deleting => removal::remove(&look, CancelReason::AgentDeleted).await?,
            Phase::Stopped | Phase::Failed => lifecycle::down(&look).await?,
        };
        // Who is frozen answers nothing, and its slots do not expire meanwhile. Who is stopped was seen
        // at rest: a fleet that does nothing asks nothing of its host.
        let phase = agent.state.phase;
        let is_at_rest = phase == Phase::Stopped && slots.active.is_empty();
        if next == Next::Wait && phase != Phase::Paused && !is_at_rest {
            self.reconciler.look(&look).await?;
            if phase == Phase::Running {
                self.injector.look(&look).await?;
            }
        }
        self.follow_runs(&slots);
        Ok(next)
    }

    /// Follows every granted run exactly once.
    fn follow_runs(&mut self, slots: &Slots) {
        for grant in grants(self.life.incarnation, slots) {
            let key = (grant.execution_id, grant.epoch);
            if !self.followed.contains_key(&key) {
                let run = Run::new(
                    Arc::clone(&self.context),
                    self.life.name.clone(),
                    grant,
                    self.link.clone(),
                );
                self.followed.insert(key, self.runs.spawn(run.follow()));
            }
        }
    }
}
