//! Every command of the slots, granted and refused, and the frozen JSON.

use strum::VariantNames;

use super::*;
use crate::domain::testing::{after, assert_frozen, at, given, id};

mod properties;

use SlotsCommand as C;
use SlotsError as R;
use SlotsEvent as E;

const TIMEOUT_SECONDS: u32 = 900;

fn entry(number: u128) -> Entry {
    Entry { execution_id: id(number), is_chat_turn: false, timeout_seconds: None }
}

fn chat(number: u128) -> Entry {
    Entry { is_chat_turn: true, ..entry(number) }
}

fn enqueue(entry: Entry) -> SlotsCommand {
    C::Enqueue { entry, queue_length_max: QUEUE_LENGTH_MAX, now: at(0) }
}

fn enqueued(entry: &Entry, queue_no: u64) -> SlotsEvent {
    E::ExecutionEnqueued {
        execution_id: entry.execution_id,
        is_chat_turn: entry.is_chat_turn,
        timeout_seconds: entry.timeout_seconds,
        queue_no,
    }
}

/// A grant at second 0 under the agent's own timeout.
fn acquired(entry: &Entry, slot: u32) -> SlotsEvent {
    E::SlotAcquired {
        execution_id: entry.execution_id,
        slot,
        epoch: 1,
        is_chat_turn: entry.is_chat_turn,
        timeout_seconds: entry.timeout_seconds.unwrap_or(TIMEOUT_SECONDS),
        expires_at: at(i64::from(TIMEOUT_SECONDS) + SLOT_BUFFER_SECONDS),
    }
}

fn released(number: u128, slot: u32) -> SlotsEvent {
    E::SlotReleased { execution_id: id(number), slot, reason: ReleaseReason::Exited }
}

fn release(number: u128) -> SlotsCommand {
    C::Release { execution_id: id(number), reason: ReleaseReason::Exited, now: at(0) }
}

fn suspended(reason: SuspendReason) -> SlotsEvent {
    E::AdmissionSuspended { reason }
}

/// The slots of a running agent.
fn open(max_parallel_tasks: u32) -> Vec<SlotsEvent> {
    vec![
        E::CapacitySet { max_parallel_tasks },
        E::AgentTimeoutSet { seconds: TIMEOUT_SECONDS },
        E::AdmissionResumed {},
    ]
}

/// The slots of a running agent, and what these entries in turn lead to.
fn with(max_parallel_tasks: u32, entries: impl IntoIterator<Item = Entry>) -> Vec<SlotsEvent> {
    let mut history = open(max_parallel_tasks);
    for entry in entries {
        let decided = after::<Slots>(history.clone()).decide(enqueue(entry));
        history.extend(decided.unwrap());
    }
    history
}

fn and(mut history: Vec<SlotsEvent>, event: SlotsEvent) -> Vec<SlotsEvent> {
    history.push(event);
    history
}

#[test]
fn slots_are_born_suspended() {
    given::<Slots>([])
        .when(enqueue(entry(1)))
        .then_refused(&R::Suspended(SuspendReason::NotStarted));
    given::<Slots>([]).when(C::Suspend { reason: SuspendReason::NotStarted }).then_nothing();
}

#[test]
fn a_free_slot_is_granted_in_the_append_that_enqueues() {
    given::<Slots>(open(2))
        .when(enqueue(entry(1)))
        .then([enqueued(&entry(1), 1), acquired(&entry(1), 1)]);
    given::<Slots>(with(2, [entry(1)]))
        .when(enqueue(entry(2)))
        .then([enqueued(&entry(2), 2), acquired(&entry(2), 2)]);
    given::<Slots>(with(2, [entry(1), entry(2)]))
        .when(enqueue(entry(3)))
        .then([enqueued(&entry(3), 3)]);
}

#[test]
fn enqueueing_what_waits_or_runs_is_a_no_op() {
    let history = with(1, [entry(1), entry(2)]);
    given::<Slots>(history.clone()).when(enqueue(entry(1))).then_nothing();
    given::<Slots>(history.clone()).when(enqueue(entry(2))).then_nothing();
    let stopped = and(history, suspended(SuspendReason::AgentStopped));
    given::<Slots>(stopped).when(enqueue(entry(2))).then_nothing();
}

#[test]
fn nothing_is_accepted_while_suspended() {
    for reason in [
        SuspendReason::AgentStopped,
        SuspendReason::AgentCrashed,
        SuspendReason::AgentPaused,
        SuspendReason::AgentDeleted,
    ] {
        given::<Slots>(and(open(1), suspended(reason)))
            .when(enqueue(entry(1)))
            .then_refused(&R::Suspended(reason));
    }
}

#[test]
fn a_task_may_not_ask_for_more_time_than_the_agent_allows() {
    let asking = |seconds| Entry { timeout_seconds: Some(seconds), ..entry(1) };
    given::<Slots>(open(1))
        .when(enqueue(asking(901)))
        .then_refused(&R::TimeoutTooLong { asked: 901, allowed: 900 });
    for seconds in [900, 60] {
        given::<Slots>(open(1))
            .when(enqueue(asking(seconds)))
            .then([enqueued(&asking(seconds), 1), acquired(&asking(seconds), 1)]);
    }
}

#[test]
fn a_queue_has_a_bound_and_what_runs_at_once_does_not_wait_in_it() {
    let bounded = |entry, queue_length_max| C::Enqueue { entry, queue_length_max, now: at(0) };
    let full = with(1, [entry(1), entry(2), entry(3)]);
    given::<Slots>(full.clone())
        .when(bounded(entry(4), 2))
        .then_refused(&R::QueueFull { length: 2 });
    given::<Slots>(full).when(bounded(entry(4), 3)).then([enqueued(&entry(4), 4)]);

    given::<Slots>(open(1))
        .when(bounded(entry(1), 0))
        .then([enqueued(&entry(1), 1), acquired(&entry(1), 1)]);
    given::<Slots>(with(1, [entry(1)]))
        .when(bounded(entry(2), 0))
        .then_refused(&R::QueueFull { length: 0 });
    let chats = with(2, [chat(1), chat(2)]);
    given::<Slots>(chats.clone())
        .when(bounded(entry(3), 1))
        .then([enqueued(&entry(3), 3), acquired(&entry(3), 2)]);
    given::<Slots>(chats).when(bounded(chat(3), 1)).then_refused(&R::QueueFull { length: 1 });
}

#[test]
fn a_grant_fixes_the_shorter_timeout_of_that_moment() {
    let asking = Entry { timeout_seconds: Some(600), ..entry(2) };
    let mut history = with(1, [entry(1), asking]);
    history.push(E::AgentTimeoutSet { seconds: 300 });
    given::<Slots>(history).when(release(1)).then([
        released(1, 1),
        E::SlotAcquired {
            execution_id: id(2),
            slot: 1,
            epoch: 1,
            is_chat_turn: false,
            timeout_seconds: 300,
            expires_at: at(600),
        },
    ]);
}

#[test]
fn a_release_grants_the_next_in_the_same_append() {
    given::<Slots>(with(1, [entry(1), entry(2), entry(3)]))
        .when(release(1))
        .then([released(1, 1), acquired(&entry(2), 1)]);
    given::<Slots>(with(1, [entry(1)])).when(release(1)).then([released(1, 1)]);
}

#[test]
fn releasing_what_holds_no_slot_is_a_no_op() {
    given::<Slots>(with(1, [entry(1), entry(2)])).when(release(2)).then_nothing();
    given::<Slots>(and(with(1, [entry(1)]), released(1, 1))).when(release(1)).then_nothing();
    given::<Slots>([]).when(release(1)).then_nothing();
}

#[test]
fn every_reason_of_a_release_is_recorded() {
    for reason in [
        ReleaseReason::Exited,
        ReleaseReason::NeverStarted,
        ReleaseReason::Rejected,
        ReleaseReason::Lost,
    ] {
        given::<Slots>(with(1, [entry(1)]))
            .when(C::Release { execution_id: id(1), reason, now: at(0) })
            .then([E::SlotReleased { execution_id: id(1), slot: 1, reason }]);
    }
}

#[test]
fn one_chat_turn_is_active_and_others_pass_the_waiting_one() {
    let history = with(3, [chat(1), chat(2)]);
    given::<Slots>(history.clone())
        .when(enqueue(entry(3)))
        .then([enqueued(&entry(3), 3), acquired(&entry(3), 2)]);
    given::<Slots>(history).when(release(1)).then([released(1, 1), acquired(&chat(2), 1)]);
}

#[test]
fn a_waiting_chat_turn_is_first_again_once_no_other_is_active() {
    let history = with(2, [chat(1), entry(2), chat(3), entry(4)]);
    given::<Slots>(history.clone()).when(release(1)).then([released(1, 1), acquired(&chat(3), 1)]);
    given::<Slots>(history).when(release(2)).then([released(2, 2), acquired(&entry(4), 2)]);
}

#[test]
fn a_raised_capacity_grants_at_once_and_a_lowered_one_only_blocks() {
    let history = with(1, [entry(1), entry(2), entry(3), entry(4)]);
    let set = |max_parallel_tasks| C::SetCapacity { max_parallel_tasks, now: at(0) };
    given::<Slots>(history.clone()).when(set(3)).then([
        E::CapacitySet { max_parallel_tasks: 3 },
        acquired(&entry(2), 2),
        acquired(&entry(3), 3),
    ]);
    given::<Slots>(history.clone()).when(set(1)).then_nothing();
    let lowered =
        and(with(2, [entry(1), entry(2), entry(3)]), E::CapacitySet { max_parallel_tasks: 1 });
    given::<Slots>(lowered.clone()).when(release(1)).then([released(1, 1)]);
    given::<Slots>(and(lowered, released(1, 1)))
        .when(release(2))
        .then([released(2, 2), acquired(&entry(3), 1)]);
    let frozen = and(history, suspended(SuspendReason::AgentStopped));
    given::<Slots>(frozen).when(set(3)).then([E::CapacitySet { max_parallel_tasks: 3 }]);
}

#[test]
fn capacity_and_timeout_outside_their_ranges_are_refused() {
    for max_parallel_tasks in [0, 33] {
        given::<Slots>(open(1))
            .when(C::SetCapacity { max_parallel_tasks, now: at(0) })
            .then_refused(&R::Config(ConfigError::Capacity(max_parallel_tasks)));
    }
    for seconds in [9, 86_401] {
        given::<Slots>(open(1))
            .when(C::SetTimeout { seconds })
            .then_refused(&R::Config(ConfigError::Timeout(seconds)));
    }
}

#[test]
fn a_timeout_is_set_once_and_touches_no_grant() {
    let history = with(1, [entry(1)]);
    given::<Slots>(history.clone())
        .when(C::SetTimeout { seconds: 60 })
        .then([E::AgentTimeoutSet { seconds: 60 }]);
    given::<Slots>(history.clone()).when(C::SetTimeout { seconds: 900 }).then_nothing();
    let changed = after::<Slots>(and(history.clone(), E::AgentTimeoutSet { seconds: 60 }));
    assert_eq!(changed.active, after::<Slots>(history).active);
}

#[test]
fn a_slot_expires_when_it_is_due_and_the_next_is_granted() {
    let history = with(1, [entry(1), entry(2)]);
    let expire = |epoch, second| C::Expire { execution_id: id(1), epoch, now: at(second) };
    let expired = E::SlotExpired { execution_id: id(1), slot: 1 };
    given::<Slots>(history.clone()).when(expire(1, 1_199)).then_nothing();
    given::<Slots>(history.clone()).when(expire(2, 1_200)).then_nothing();
    given::<Slots>(history.clone()).when(expire(1, 1_200)).then([
        expired.clone(),
        E::SlotAcquired {
            execution_id: id(2),
            slot: 1,
            epoch: 1,
            is_chat_turn: false,
            timeout_seconds: TIMEOUT_SECONDS,
            expires_at: at(2_400),
        },
    ]);
    let stopped = and(history.clone(), suspended(SuspendReason::AgentStopped));
    given::<Slots>(stopped).when(expire(1, 1_200)).then([expired]);
    let paused = and(history, suspended(SuspendReason::AgentPaused));
    given::<Slots>(paused).when(expire(1, 9_999)).then_nothing();
    given::<Slots>([]).when(expire(1, 9_999)).then_nothing();
}

#[test]
fn a_regrant_keeps_the_slot_under_the_next_epoch() {
    let asking = Entry { timeout_seconds: Some(60), ..entry(1) };
    let history = with(2, [asking, chat(2), entry(3)]);
    let regrant = |number, epoch| C::Regrant { execution_id: id(number), epoch, now: at(100) };
    let again = |number, slot, epoch, is_chat_turn, timeout_seconds| {
        [
            E::SlotExpired { execution_id: id(number), slot },
            E::SlotAcquired {
                execution_id: id(number),
                slot,
                epoch,
                is_chat_turn,
                timeout_seconds,
                expires_at: at(1_300),
            },
        ]
    };
    given::<Slots>(history.clone()).when(regrant(1, 1)).then(again(1, 1, 2, false, 60));
    given::<Slots>(history.clone()).when(regrant(2, 1)).then(again(2, 2, 2, true, 900));
    given::<Slots>(history.clone()).when(regrant(1, 2)).then_nothing();
    given::<Slots>(history.clone()).when(regrant(3, 1)).then_nothing();
    let twice: Vec<_> = history.clone().into_iter().chain(again(1, 1, 2, false, 60)).collect();
    given::<Slots>(twice.clone()).when(regrant(1, 1)).then_nothing();
    given::<Slots>(twice).when(regrant(1, 2)).then(again(1, 1, 3, false, 60));
    let lowered = and(history.clone(), E::CapacitySet { max_parallel_tasks: 1 });
    given::<Slots>(lowered).when(regrant(2, 1)).then(again(2, 2, 2, true, 900));
    for reason in [SuspendReason::AgentPaused, SuspendReason::AgentStopped] {
        let closed = and(history.clone(), suspended(reason));
        given::<Slots>(closed).when(regrant(1, 1)).then_nothing();
    }
}

#[test]
fn only_what_waits_can_be_dequeued() {
    let history = with(1, [entry(1), entry(2), entry(3)]);
    for reason in [DequeueReason::Cancelled, DequeueReason::AgentDeleted] {
        let dequeue = |number| C::Dequeue { execution_id: id(number), reason };
        let dequeued = E::ExecutionDequeued { execution_id: id(2), reason };
        given::<Slots>(history.clone()).when(dequeue(2)).then([dequeued.clone()]);
        given::<Slots>(history.clone()).when(dequeue(1)).then_nothing();
        given::<Slots>(history.clone()).when(dequeue(4)).then_nothing();
        let gone = and(history.clone(), dequeued);
        given::<Slots>(gone.clone()).when(dequeue(2)).then_nothing();
        given::<Slots>(gone).when(release(1)).then([released(1, 1), acquired(&entry(3), 1)]);
    }
}

#[test]
fn a_suspension_is_recorded_per_reason_and_keeps_queue_and_slots() {
    let history = with(1, [entry(1), entry(2)]);
    let suspend = |reason| C::Suspend { reason };
    let (paused, stopped) = (SuspendReason::AgentPaused, SuspendReason::AgentStopped);
    given::<Slots>(history.clone()).when(suspend(paused)).then([suspended(paused)]);
    let frozen = and(history.clone(), suspended(paused));
    given::<Slots>(frozen.clone()).when(suspend(paused)).then_nothing();
    given::<Slots>(frozen.clone()).when(suspend(stopped)).then([suspended(stopped)]);
    given::<Slots>(frozen.clone()).when(release(1)).then([released(1, 1)]);
    let (before, state) = (after::<Slots>(history), after::<Slots>(frozen));
    assert_eq!((state.queue, state.active), (before.queue, before.active));
}

#[test]
fn resumed_admission_grants_at_once() {
    let mut history = with(2, [entry(1), entry(2), entry(3)]);
    history.extend([suspended(SuspendReason::AgentStopped), released(1, 1), released(2, 2)]);
    given::<Slots>(history)
        .when(C::Resume { now: at(0) })
        .then([E::AdmissionResumed {}, acquired(&entry(3), 1)]);
    given::<Slots>(open(1)).when(C::Resume { now: at(0) }).then_nothing();
    given::<Slots>([]).when(C::Resume { now: at(0) }).then([E::AdmissionResumed {}]);
}

#[test]
fn places_in_queue_and_pool_can_be_asked_for() {
    let state = after::<Slots>(with(1, [entry(1), entry(2), entry(3)]));
    assert_eq!(state.slot_of(id(1)).map(|(slot, active)| (slot, active.epoch)), Some((1, 1)));
    assert_eq!(state.slot_of(id(2)), None);
    assert_eq!(state.queue_position(id(1)), None);
    assert_eq!(state.queue_position(id(3)), Some(2));
}

#[test]
fn the_json_of_every_event_is_frozen() {
    let asking = Entry { timeout_seconds: Some(60), ..chat(2) };
    assert_frozen::<Slots>(
        vec![
            E::CapacitySet { max_parallel_tasks: 3 },
            E::AgentTimeoutSet { seconds: 900 },
            enqueued(&entry(1), 1),
            enqueued(&asking, 2),
            acquired(&entry(1), 1),
            acquired(&asking, 2),
            released(1, 1),
            E::SlotReleased { execution_id: id(1), slot: 1, reason: ReleaseReason::NeverStarted },
            E::SlotExpired { execution_id: id(2), slot: 2 },
            E::ExecutionDequeued { execution_id: id(2), reason: DequeueReason::AgentDeleted },
            suspended(SuspendReason::AgentPaused),
            E::AdmissionResumed {},
        ],
        SlotsEvent::VARIANTS,
    );
}
