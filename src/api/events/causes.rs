//! What led to an event, and what it led to.

use std::sync::Arc;

use super::scan::SCAN_PAGE_EVENTS;
use crate::api::ApiState;
use crate::api::auth::Gate;
use crate::api::error::Result;
use crate::domain::{Recorded, StreamId};

/// How many events lead to one, at most, as far as they are shown.
const CAUSES_MAX: usize = 64;

/// How far back the cause of an event is looked for, in events: in its own stream, and in the log.
pub const CAUSE_DISTANCE_MAX: i64 = 20_000;

/// How many events are read at once to find it.
const PAGE_EVENTS: i64 = 500;

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

/// The event that led to another one: before it, and in most cases not far. What ended a long run was
/// led to by its start, which is far away in the log and near in the run's own stream.
async fn cause(state: &ApiState, of: &Recorded) -> Result<Option<Arc<Recorded>>> {
    let Some(id) = &of.metadata.causation_id else { return Ok(None) };
    let (log, stream) = (None, Some(&of.stream));
    let places = [
        (log, of.position, PAGE_EVENTS),
        (stream, of.version, CAUSE_DISTANCE_MAX),
        // However long a run is, its start is among the first events of its stream.
        (stream, (of.version - CAUSE_DISTANCE_MAX).min(PAGE_EVENTS + 1), PAGE_EVENTS),
        (log, of.position - PAGE_EVENTS, CAUSE_DISTANCE_MAX - PAGE_EVENTS),
    ];
    for (stream, before, distance_max) in places {
        let cause = find_back(state, id, stream, before, distance_max).await?;
        if cause.is_some() {
            return Ok(cause);
        }
    }
    Ok(None)
}

/// Looks for an event before a version of a stream or, without one, before a position of the log:
/// both number their events from 1 without gaps.
async fn find_back(
    state: &ApiState,
    id: &str,
    stream: Option<&StreamId>,
    mut before: i64,
    distance_max: i64,
) -> Result<Option<Arc<Recorded>>> {
    let log = &state.app.log;
    let first = (before - distance_max).max(1);
    while before > first {
        let after = (before - 1 - PAGE_EVENTS).max(first - 1);
        let count = usize::try_from(before - 1 - after).unwrap_or(SCAN_PAGE_EVENTS);
        let events = match stream {
            Some(stream) => log.stream(stream, after, count).await?,
            None => log.after(after, count).await?,
        };
        if let Some(cause) = events.iter().rfind(|event| event.event_id.to_string() == id) {
            return Ok(Some(Arc::clone(cause)));
        }
        before = after + 1;
    }
    Ok(None)
}
