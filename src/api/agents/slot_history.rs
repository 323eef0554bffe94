//! How full an agent was over time: its slots' own events, read from the newest back.

use std::sync::Arc;

use axum::extract::State;
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::ApiState;
use crate::api::auth::OnAgent;
use crate::api::error::{ApiError, Result};
use crate::api::extract::{Fresh, ReadQuery};
use crate::api::reply::Reply;
use crate::clock;
use crate::commands::reports::LifeRef;
use crate::domain::agent::{Agent, AgentEvent};
use crate::domain::slots::{Slots, SlotsEvent};
use crate::domain::{Event, IncarnationId, Recorded, StreamId};
use crate::event_log::{EventLog, LogError};
use crate::projections::Timestamp;

/// How many points one answer has; the newest are kept.
pub const POINTS_MAX: usize = 2_000;

/// How many events of an agent's slots are read for one answer.
const EVENTS_MAX: usize = 10_000;

/// How many events are read at once.
const PAGE_EVENTS: usize = 500;

/// How far back to look unless the client says so, in hours.
const HOURS_DEFAULT: i64 = 24;

#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct SlotHistoryQuery {
    /// From this time on; 24 hours before `to` when left out.
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<DateTime<Utc>>,
    /// Up to this time; now when left out.
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<DateTime<Utc>>,
    /// An earlier life of the name, for its owner then and for administrators.
    #[param(value_type = Option<uuid::Uuid>)]
    #[expect(dead_code, reason = "the authorization reads it")]
    incarnation: Option<IncarnationId>,
}

/// How full an agent was.
#[derive(Debug, Serialize, ToSchema)]
struct SlotHistory {
    /// How many executions may run at once now.
    max_parallel_tasks: u32,
    /// What changed, the oldest first; each holds until the next.
    points: Vec<SlotPoint>,
    /// Whether the beginning of the time is missing, because too much has happened since.
    is_cut: bool,
    position: i64,
}

/// How full an agent was from a time on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
struct SlotPoint {
    /// Since when.
    at: Timestamp,
    /// Slots taken.
    active: u32,
    /// Executions that waited.
    queued: u32,
    /// Slots there were.
    max: u32,
}

/// The newest events of an agent's slots, the oldest of them first.
struct Newest {
    events: Vec<Arc<Recorded>>,
    /// Whether what was before the first of them matters, and was not read.
    is_cut: bool,
}

pub(super) fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(show))
}

/// Shows how full an agent was over time, step by step.
///
/// The steps are taken from the events of its slots, of which the newest 10000 are looked at; the
/// newest 2000 steps are shown.
#[utoipa::path(
    get, path = "/api/agents/{name}/slots/history", tag = "agents",
    params(("name" = String, Path, description = "The agent's name"), SlotHistoryQuery, Fresh),
    responses((status = 200, body = SlotHistory)),
)]
async fn show(
    State(state): State<ApiState>,
    on: OnAgent,
    query: ReadQuery<SlotHistoryQuery>,
) -> Result<Reply<SlotHistory>> {
    state.wait_for_log(query.fresh).await?;
    let to = query.params.to.unwrap_or_else(clock::now);
    let day = TimeDelta::hours(HOURS_DEFAULT);
    let from = query.params.from.or_else(|| to.checked_sub_signed(day));
    let from = from.filter(|from| *from < to);
    let from = from.ok_or_else(|| ApiError::parameter("from", "from must be before to"))?;
    let log = &state.app.log;
    let position = log.head();
    let slots = log.state::<Slots>(on.life.incarnation).await?;
    let newest = newest(log, &on.life, slots.version, from).await?;
    let max_before = max_before(log, &on.life, slots.state.capacity, &newest.events).await?;
    let steps = steps(&slots.state, &newest.events, max_before);
    let (points, is_cut) = within(steps, from, to, newest.is_cut);
    let max_parallel_tasks = slots.state.capacity;
    Ok(Reply::ok(position, SlotHistory { max_parallel_tasks, points, is_cut, position }))
}

/// The events up to a version back to the last one before a time, as far as so many are read.
async fn newest(
    log: &EventLog,
    life: &LifeRef,
    version: i64,
    from: DateTime<Utc>,
) -> Result<Newest, LogError> {
    let stream = StreamId::of::<Slots>(life.incarnation);
    let (mut pages, mut before, mut count) = (Vec::new(), version, 0);
    let mut is_whole = false;
    while before > 0 && !is_whole && count < EVENTS_MAX {
        let page = page_before(log, &stream, before).await?;
        is_whole = page.first().is_none_or(|first| first.recorded_at < from);
        count += page.len();
        before -= signed(page.len());
        pages.push(page);
    }
    let events = pages.into_iter().rev().flatten().collect();
    Ok(Newest { events, is_cut: before > 0 && !is_whole })
}

/// How many slots there were before these events; as many as now, unless one of them changed it.
async fn max_before(
    log: &EventLog,
    life: &LifeRef,
    max_now: u32,
    events: &[Arc<Recorded>],
) -> Result<u32, LogError> {
    let changes = |event: &&Arc<Recorded>| {
        matches!(event.event, Event::Slots(SlotsEvent::CapacitySet { .. }))
    };
    let (Some(first), true) = (events.first(), events.iter().any(|event| changes(&event))) else {
        return Ok(max_now);
    };
    // The agent's own stream, which is short, says the same.
    let stream = StreamId::of::<Agent>(&life.name);
    let (mut before, mut looked_at) = (log.state::<Agent>(&life.name).await?.version, 0);
    while before > 0 && looked_at < EVENTS_MAX {
        let page = page_before(log, &stream, before).await?;
        let mut earlier = page.iter().rev().filter(|event| event.position < first.position);
        if let Some(max) = earlier.find_map(|event| max_of(event)) {
            return Ok(max);
        }
        before -= signed(page.len().max(1));
        looked_at += page.len();
    }
    Ok(max_now)
}

/// The events of a stream up to a version, as many as are read at once.
async fn page_before(
    log: &EventLog,
    stream: &StreamId,
    version: i64,
) -> Result<Vec<Arc<Recorded>>, LogError> {
    let count = usize::try_from(version).unwrap_or_default().min(PAGE_EVENTS);
    log.stream(stream, version - signed(count), count).await
}

fn max_of(event: &Recorded) -> Option<u32> {
    match &event.event {
        Event::Agent(AgentEvent::AgentCreated { config, .. }) => Some(config.max_parallel_tasks),
        Event::Agent(AgentEvent::CapacityChanged { max_parallel_tasks }) => {
            Some(*max_parallel_tasks)
        }
        _ => None,
    }
}

/// What was so after each event, the oldest first; what is so now is where it leads to.
fn steps(now: &Slots, events: &[Arc<Recorded>], max_before: u32) -> Vec<SlotPoint> {
    let change = |event: &Recorded| match &event.event {
        Event::Slots(event) => change(event),
        _ => (0, 0),
    };
    let (mut active, mut queued) = (signed(now.active.len()), signed(now.queue.len()));
    for event in events {
        let (of_active, of_queued) = change(event);
        (active, queued) = (active - of_active, queued - of_queued);
    }
    let mut max = max_before;
    let mut steps: Vec<SlotPoint> = Vec::new();
    for event in events {
        let (of_active, of_queued) = change(event);
        (active, queued) = (active + of_active, queued + of_queued);
        if let Event::Slots(SlotsEvent::CapacitySet { max_parallel_tasks }) = &event.event {
            max = *max_parallel_tasks;
        }
        let at = Timestamp(event.recorded_at);
        let step = SlotPoint { at, active: count(active), queued: count(queued), max };
        match steps.last_mut() {
            // What happens in one moment is one step.
            Some(last) if last.at == at => *last = step,
            Some(last) if SlotPoint { at, ..*last } == step => {}
            _ => steps.push(step),
        }
    }
    steps
}

/// By how much an event changes how many run and how many wait.
fn change(event: &SlotsEvent) -> (i64, i64) {
    match event {
        SlotsEvent::ExecutionEnqueued { .. } => (0, 1),
        SlotsEvent::ExecutionDequeued { .. } => (0, -1),
        // A slot that is granted once more was not waited for.
        SlotsEvent::SlotAcquired { epoch, .. } => (1, if *epoch > 1 { 0 } else { -1 }),
        SlotsEvent::SlotReleased { .. } | SlotsEvent::SlotExpired { .. } => (-1, 0),
        SlotsEvent::CapacitySet { .. }
        | SlotsEvent::AgentTimeoutSet { .. }
        | SlotsEvent::AdmissionSuspended { .. }
        | SlotsEvent::AdmissionResumed {} => (0, 0),
    }
}

fn signed(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn count(number: i64) -> u32 {
    u32::try_from(number).unwrap_or_default()
}

/// The steps of a time, of which the first is what held at its beginning, and whether that is missing.
fn within(
    steps: Vec<SlotPoint>,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
    is_cut: bool,
) -> (Vec<SlotPoint>, bool) {
    let begun = steps.iter().rposition(|step| step.at.0 <= from);
    let is_cut = is_cut && begun.is_none();
    let steps = steps.into_iter().skip(begun.unwrap_or_default());
    let mut points: Vec<_> = steps.take_while(|step| step.at.0 <= to).collect();
    if let Some(first) = points.first_mut() {
        first.at = first.at.max(Timestamp(from));
    }
    let surplus = points.len().saturating_sub(POINTS_MAX);
    points.drain(..surplus);
    (points, is_cut || surplus > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ExecutionId;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    /// A step a second, from the first second on.
    fn seconds(count: u32) -> Vec<SlotPoint> {
        let step =
            |n| SlotPoint { at: Timestamp(at(i64::from(n))), active: n, queued: 0, max: count };
        (1..=count).map(step).collect()
    }

    #[test]
    fn what_held_at_the_beginning_is_the_first_step() {
        let (points, is_cut) = within(seconds(9), at(3), at(5), true);
        assert_eq!(points.iter().map(|p| p.active).collect::<Vec<_>>(), [3, 4, 5]);
        assert!(!is_cut, "nothing of the time is missing");
        let (points, _) = within(seconds(9), at(60), at(61), false);
        assert_eq!((points.len(), points[0].active, points[0].at), (1, 9, Timestamp(at(60))));
    }

    #[test]
    fn a_beginning_that_was_not_read_is_missing() {
        assert!(within(seconds(9), at(0), at(5), true).1);
        assert!(!within(seconds(9), at(0), at(5), false).1, "there was nothing before");
    }

    #[test]
    fn the_newest_points_are_kept() {
        let most = u32::try_from(POINTS_MAX).unwrap();
        let (points, is_cut) = within(seconds(most + 3), at(0), at(9_999), false);
        assert_eq!((points.len(), points[0].active), (POINTS_MAX, 4));
        assert!(is_cut);
        assert!(!within(seconds(most), at(0), at(9_999), false).1);
    }

    #[test]
    fn a_slot_that_is_granted_again_takes_nobody_from_the_queue() {
        let acquired = |epoch| SlotsEvent::SlotAcquired {
            execution_id: ExecutionId(uuid::Uuid::nil()),
            slot: 1,
            epoch,
            is_chat_turn: false,
            timeout_seconds: 60,
            expires_at: at(60),
        };
        assert_eq!((change(&acquired(1)), change(&acquired(2))), ((1, -1), (1, 0)));
    }
}
