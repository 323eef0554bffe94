//! What should not be there: runs nobody knows of, and slots past their time.
//!
//! Evidence comes before time: while the agent server answers, it alone says how a run ended. Only
//! when it has not answered for a while, and a slot's time is over, the slot is taken back.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use trinity_agent_protocol::{ExecutionStatus, StopReason};

use super::chain;
use super::dispatch::stop_request;
use super::look::Look;
use crate::clock;
use crate::commands::runs;
use crate::domain::ExecutionId;
use crate::domain::execution::Execution;
use crate::hosts::errand::ERRAND_RUN_PREFIX;

/// How long an agent server must have been unreachable before a slot may expire.
const UNREACHABLE_MIN: Duration = Duration::from_mins(1);
/// How far the wall clock may move against the monotonic one between two looks; beyond it no slot
/// expires until the next look.
const CLOCK_JUMP_MAX: Duration = Duration::from_secs(30);

/// Looks for what should not be there on one agent.
pub(super) struct Reconciler {
    unreachable_since: Option<Instant>,
    last_look: (Instant, DateTime<Utc>),
}

impl Reconciler {
    pub(super) fn new() -> Self {
        Self { unreachable_since: None, last_look: (Instant::now(), clock::now()) }
    }

    pub(super) async fn look(&mut self, look: &Look<'_>) -> anyhow::Result<()> {
        let steady = self.clock_is_steady();
        match look.link.executions().await {
            Ok(statuses) => {
                self.unreachable_since = None;
                for status in statuses {
                    end_if_unknown(look, &status).await?;
                }
            }
            Err(error) => {
                let since = *self.unreachable_since.get_or_insert_with(Instant::now);
                if since.elapsed() >= UNREACHABLE_MIN && steady {
                    expire(look, &chain(&error)).await?;
                }
            }
        }
        Ok(())
    }

    fn clock_is_steady(&mut self) -> bool {
        let (then, wall_then) = self.last_look;
        let (now, wall_now) = (Instant::now(), clock::now());
        self.last_look = (now, wall_now);
        let elapsed = i64::try_from((now - then).as_millis()).unwrap_or(i64::MAX);
        let jump_ms = (wall_now - wall_then).num_milliseconds().abs_diff(elapsed);
        u128::from(jump_ms) <= CLOCK_JUMP_MAX.as_millis()
    }
}

/// Ends a run that holds no slot: its execution has ended, or was never granted here.
async fn end_if_unknown(look: &Look<'_>, status: &ExecutionStatus) -> anyhow::Result<()> {
    if status.id.starts_with(ERRAND_RUN_PREFIX) {
        return end_if_left(look, &status.id).await;
    }
    // What is no execution of the log, such as a start script, has an owner of its own.
    let Ok(id) = status.id.parse::<ExecutionId>() else { return Ok(()) };
    if look.context.runs.follows(id) {
        return Ok(());
    }
    let held = look.slots.slot_of(id).map(|(_, active)| u64::from(active.epoch));
    if held.is_some_and(|epoch| epoch >= status.epoch) {
        return Ok(());
    }
    // The slots were read before the agent server was asked: the grant may be newer than them.
    let execution = look.context.log.state::<Execution>(id).await?.state;
    if !execution.is_terminal() && execution.status.is_some() {
        return Ok(());
    }
    if status.state.is_final() {
        look.link.delete(&status.id).await?;
    } else {
        tracing::warn!(agent = %look.life_ref.name, execution = %id, "ends a run nobody waits for");
        let epoch = u32::try_from(status.epoch).unwrap_or(u32::MAX);
        let request = stop_request(epoch, StopReason::Orphan, false);
        look.link.stop(&status.id, &request).await?;
    }
    Ok(())
}

/// Ends and forgets an errand that nobody waits for: whoever did has died.
async fn end_if_left(look: &Look<'_>, id: &str) -> anyhow::Result<()> {
    if look.link.errand().is(id) {
        return Ok(());
    }
    // It may have ended, and been forgotten, since the list was made.
    match look.link.status(id).await? {
        None => {}
        Some(status) if status.state.is_final() => look.link.delete(id).await?,
        Some(_) => {
            tracing::warn!(agent = %look.life_ref.name, id, "ends an errand nobody waits for");
            look.link.stop(id, &stop_request(1, StopReason::Orphan, false)).await?;
        }
    }
    Ok(())
}

/// Takes back the slots whose time is over.
async fn expire(look: &Look<'_>, error: &str) -> anyhow::Result<()> {
    let now = look.context.log.now();
    for grant in look.grants() {
        if look.slots.may_expire(grant.execution_id, grant.epoch, now) {
            let error = format!("nothing was heard of the run until its slot expired: {error}");
            runs::expire(&look.context.log, grant, error, now, &look.cause).await?;
        }
    }
    Ok(())
}
