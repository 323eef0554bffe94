//! What led to an event, and what it led to.

use std::sync::Arc;

use super::scan::SCAN_PAGE_EVENTS;
use crate::api::ApiState;
use crate::api::auth::Gate;
use crate::api::error::Result;
use crate::domain::Recorded;

/// How many events lead to one, at most, as far as they are shown.
const CAUSES_MAX: usize = 64;

/// How far back the cause of an event is looked for, in events.
const CAUSE_DISTANCE_MAX: usize = 20_000;

/// How many events are shown that one has led to.
const EFFECTS_MAX: usize = 64;

/// How far ahead they are looked for, in events.
const EFFECT_DISTANCE_MAX: usize = 2_000;

/// The chain of events that led to one, the nearest first.
pub(super) struct Chain {
    pub causes: Vec<Arc<Recorded>>,
    /// Whether it goes back to an event that no other one led to.
    pub is_complete: bool,
}

/// Goes back along the causes, as far as they are shown to the caller.
pub(super) async fn chain(state: &ApiState, gate: &mut Gate, of: &Arc<Recorded>) -> Result<Chain> {
    let mut causes = Vec::new();
    let mut last = Arc::clone(of);
    while last.metadata.causation_id.is_some() && causes.len() < CAUSES_MAX {
        match cause(state, &last).await? {
            Some(cause) if gate.shows(state, &cause).await? => {
                causes.push(Arc::clone(&cause));
                last = cause;
            }
            _ => break,
        }
    }
    Ok(Chain { is_complete: last.metadata.causation_id.is_none(), causes })
}

/// What an event led to at once, as far as it is shown to the caller and not far ahead.
pub(super) async fn effects(
    state: &ApiState,
    gate: &mut Gate,
    of: &Recorded,
) -> Result<Vec<Arc<Recorded>>> {
    let id = of.event_id.to_string();
    let (mut effects, mut position, mut looked_at) = (Vec::new(), of.position, 0);
    while looked_at < EFFECT_DISTANCE_MAX && effects.len() < EFFECTS_MAX {
        let page = state.app.log.after(position, SCAN_PAGE_EVENTS).await?;
        let Some(last) = page.last() else { break };
        position = last.position;
        looked_at += page.len();
        for event in page {
            let follows = event.metadata.causation_id.as_ref() == Some(&id);
            if follows && effects.len() < EFFECTS_MAX && gate.shows(state, &event).await? {
                effects.push(event);
            }
        }
    }
    Ok(effects)
}

/// The event that led to another one: before it, and in most cases not far.
async fn cause(state: &ApiState, of: &Recorded) -> Result<Option<Arc<Recorded>>> {
    let Some(id) = &of.metadata.causation_id else { return Ok(None) };
    let mut before = of.position;
    let mut looked_at = 0;
    while before > 1 && looked_at < CAUSE_DISTANCE_MAX {
        let page = i64::try_from(SCAN_PAGE_EVENTS).unwrap_or(i64::MAX).min(before - 1);
        let count = usize::try_from(page).unwrap_or(SCAN_PAGE_EVENTS);
        let events = state.app.log.after(before - 1 - page, count).await?;
        if let Some(cause) = events.iter().rev().find(|event| event.event_id.to_string() == *id) {
            return Ok(Some(Arc::clone(cause)));
        }
        before -= page;
        looked_at += count;
    }
    Ok(None)
}
