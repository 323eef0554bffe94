//! What led to an event: an earlier one, or somebody's request.
//!
//! Whether there is such an earlier event at all, the source looks up when it has read the log; here
//! is checked what an event says by itself.

use super::report::{Invariant, Tally};
use super::row::Row;
use super::schema;
use super::world::{Standing, World};

/// Checks what the row says of its cause.
pub(super) fn observe(world: &mut World, row: &Row) {
    world.append.add(&row.event_id);
    let fault = match world.metadata.causation_id() {
        None if begins_a_chain(&row.stream_type, &row.event_type) => None,
        None => Some("it names no event that led to it".to_owned()),
        Some(id) if world.append.has(id) => {
            Some(format!("event {id}, which led to it, is of the same append"))
        }
        Some(_) => None,
    };
    world.tally.check(Invariant::Causes, row, fault.is_none(), || fault.unwrap_or_default());
}

/// Tells what names no earlier event.
pub(super) fn finish(standing: &Standing, tally: &mut Tally) {
    let Some((row, strays)) = &standing.strays else { return };
    for _ in 0..*strays {
        tally.check(Invariant::Causes, row, false, || {
            "what led to it is no earlier event of the log".to_owned()
        });
    }
}

/// Whether a request writes such events, which no event has led to. The others report what became of
/// something, so that something led to them.
fn begins_a_chain(stream_type: &str, event_type: &str) -> bool {
    match stream_type {
        "agent" => {
            schema::is_setting(event_type)
                || matches!(
                    event_type,
                    "AgentCreated"
                        | "AgentStartRequested"
                        | "AgentStopRequested"
                        | "AgentPauseRequested"
                        | "AgentDeleteRequested"
                        | "AgentReinitialized"
                )
        }
        // An agent that is asked to stop takes no more work, a task that is sent may have a slot at
        // once, and what waits is ended by the request itself.
        "slots" => matches!(
            event_type,
            "CapacitySet"
                | "AgentTimeoutSet"
                | "AdmissionSuspended"
                | "ExecutionEnqueued"
                | "SlotAcquired"
                | "ExecutionDequeued"
        ),
        "execution" => {
            matches!(event_type, "ExecutionRequested" | "CancelRequested" | "ExecutionCancelled")
        }
        "account" => true,
        _ => false,
    }
}
