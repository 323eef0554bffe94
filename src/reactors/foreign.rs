//! Slots of agents that live on other nodes, when such a node is away for good.
//!
//! Only its own node can ask an agent server of the `process` host. When that node does not come
//! back, the slots of its agents must not stay taken for ever: any node takes them back, but only
//! long after their time, so that the node itself, if it lives, has done so before.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use chrono::TimeDelta;
use tokio::task::JoinHandle;

use super::Context;
use super::look::grants;
use crate::commands::{Cause, runs};
use crate::domain::StreamId;
use crate::domain::slots::Slots;
use crate::projections::agents::AgentRecord;

/// How often the slots of other nodes are looked at.
const PERIOD: Duration = Duration::from_mins(1);
/// How long after its time a slot of another node is taken back, in seconds.
const AWAY_SECONDS: i64 = 300;

/// Looks after the slots of other nodes until shutdown.
pub fn spawn(context: Arc<Context>) -> JoinHandle<()> {
    tokio::spawn(async move {
        loop {
            tokio::select! {
                () = tokio::time::sleep(PERIOD) => {}
                () = context.shutdown.cancelled() => break,
            }
            if let Err(error) = look(&context).await {
                tracing::warn!("cannot look after the slots of other nodes: {error:#}");
            }
        }
    })
}

async fn look(context: &Context) -> anyhow::Result<()> {
    let agents = context.views.agents().all().await.context("cannot list the agents")?;
    let is_foreign =
        |agent: &&AgentRecord| agent.node_id.is_some_and(|node| node != context.node_id);
    for agent in agents.iter().filter(is_foreign) {
        take_back(context, agent).await?;
    }
    Ok(())
}

async fn take_back(context: &Context, agent: &AgentRecord) -> anyhow::Result<()> {
    let slots = context.log.state::<Slots>(agent.incarnation).await?;
    let due = context.log.now() - TimeDelta::seconds(AWAY_SECONDS);
    for grant in grants(agent.incarnation, &slots.state) {
        if !slots.state.may_expire(grant.execution_id, grant.epoch, due) {
            continue;
        }
        let stream = StreamId::of::<Slots>(agent.incarnation);
        let last = context.log.stream(&stream, slots.version - 1, 1).await?;
        let cause = Cause::of(last.first().context("the slots have no event")?);
        let error = "the node of the agent is away and the slot's time is over".to_owned();
        runs::expire(&context.log, grant, error, context.log.now(), &cause).await?;
    }
    Ok(())
}
