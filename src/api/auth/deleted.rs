//! What is said of an agent that was deleted, to those who could see it.

use std::sync::Arc;

use super::access::no_agent;
use super::{Caller, Origin};
use crate::api::ApiState;
use crate::api::error::{ApiError, Code, Result};
use crate::api::wire::millis;
use crate::domain::agent::{Agent, AgentEvent};
use crate::domain::{AgentName, Event, Recorded, StreamId};

/// How far back in the agent's stream it is looked for who asked for the deletion, in events.
const REQUEST_DISTANCE_MAX: i64 = 100;

/// The answer about a name without a life, at a version of its stream.
///
/// Its owner and administrators learn when and by whom it was deleted, and how to reach what is left;
/// everybody else the same as about a name that never was.
///
/// # Errors
/// When the log does not answer.
pub async fn no_agent_any_more(
    state: &ApiState,
    caller: &Caller,
    name: &AgentName,
    version: i64,
) -> Result<ApiError> {
    let log = &state.app.log;
    let origin = state.origins.of_last_life(log, name, version).await?;
    let may_see = |origin: &Origin| caller.is_admin() || caller.user_id() == Some(origin.owner);
    let Some(origin) = origin.filter(|origin| may_see(origin)) else { return Ok(no_agent(name)) };
    let after = (version - REQUEST_DISTANCE_MAX).max(0);
    let count = usize::try_from(version - after).unwrap_or_default();
    let events = log.stream(&StreamId::of::<Agent>(name), after, count).await?;
    let last = |is_it: fn(&AgentEvent) -> bool| {
        let fits = |event: &&Arc<Recorded>| {
            let Event::Agent(event) = &event.event else { return false };
            is_it(event)
        };
        events.iter().rev().find(fits)
    };
    let Some(deleted) = last(|event| matches!(event, AgentEvent::AgentDeleted {})) else {
        return Ok(no_agent(name));
    };
    // Whoever reports that it is gone is the server; somebody has asked for it before.
    let asked = last(|event| matches!(event, AgentEvent::AgentDeleteRequested {}));
    let by = asked.unwrap_or(deleted).metadata.actor.clone();
    let (at, incarnation) = (millis(deleted.recorded_at), origin.life.incarnation);
    let detail = format!(
        "agent `{name}` was deleted at {at}; its executions are at \
         /api/agents/{name}/executions?incarnation={incarnation}"
    );
    Ok(ApiError::new(Code::NotFound, detail)
        .with("deleted_at", at)
        .with("deleted_by", by)
        .with("incarnation", incarnation.to_string())
        .with("position", deleted.position))
}
