//! What becomes of an agent in the world: it is frozen, goes down by itself, is rebuilt.

use super::*;

#[test]
fn only_what_runs_can_be_frozen_and_only_what_is_frozen_goes_on() {
    in_every_phase(&C::RequestPause, |phase| match phase {
        P::Absent => Err(R::NotFound),
        P::Running => Ok(vec![E::AgentPauseRequested {}]),
        P::Paused => Ok(vec![]),
        P::Deleting => Err(R::Deleting),
        _ => Err(R::NotRunning),
    });
    in_every_phase(&C::RequestUnpause, |phase| match phase {
        P::Absent => Err(R::NotFound),
        P::Paused => Ok(vec![E::AgentStartRequested {}]),
        P::Running | P::Starting | P::Restarting => Ok(vec![]),
        P::Deleting => Err(R::Deleting),
        _ => Err(R::NotRunning),
    });
}

#[test]
fn a_pause_is_wanted_until_it_is_seen_or_was_not_possible() {
    let wanted = running([E::AgentPauseRequested {}]);
    let state = after::<Agent>(wanted.clone());
    assert_eq!((state.phase, state.life.unwrap().pause_wanted), (P::Running, true));
    given::<Agent>(wanted.clone()).when(C::RequestPause).then([]);
    let model = E::ModelChanged { model: Some("m".into()) };
    let with = |event: AgentEvent| {
        let state = after::<Agent>(wanted.iter().cloned().chain([event]));
        (state.phase, state.life.unwrap().pause_wanted)
    };
    assert_eq!(with(model), (P::Running, true));
    for (status, phase) in [
        (ObservedStatus::Paused, P::Paused),
        (ObservedStatus::Running, P::Running),
        (ObservedStatus::Restarting, P::Restarting),
    ] {
        let observe = C::RecordObserved { status, cause: None, at: at(0) };
        given::<Agent>(wanted.clone()).when(observe).then([observed(status)]);
        assert_eq!(with(observed(status)), (phase, false));
    }
    assert_eq!(with(E::AgentStopRequested {}), (P::Stopping, false));
}

#[test]
fn a_crash_for_want_of_memory_is_named_to_the_end() {
    let cause = Some(CrashCause::OutOfMemory);
    let status = ObservedStatus::Restarting;
    let crash =
        |second| C::RecordObserved { status: ObservedStatus::Stopped, cause, at: at(second) };
    let mut history = running([]);
    for second in 0..5 {
        let observed = E::AgentStatusObserved { status, cause, at: at(second), failure: None };
        given::<Agent>(history.clone()).when(crash(second)).then([observed.clone()]);
        history.extend([observed, started()]);
    }
    let ended = E::AgentStopped { reason: StopReason::OutOfMemory, exit_code: None, failure: None };
    given::<Agent>(history.clone()).when(crash(5)).then([ended.clone()]);
    let life = after::<Agent>(history.iter().cloned().chain([ended])).life.unwrap();
    assert!(life.loss().contains("out of memory"), "{}", life.loss());
    let killed = C::RecordObserved { status: ObservedStatus::Stopped, cause: None, at: at(5) };
    let ended = E::AgentStopped { reason: StopReason::CrashLoop, exit_code: None, failure: None };
    given::<Agent>(history).when(killed).then([ended]);
}

/// A system agent that runs.
fn system(events: impl IntoIterator<Item = AgentEvent>) -> Vec<AgentEvent> {
    let made = created(Create { is_system: true, ..create() });
    let up = [made, provisioned(), E::AgentStartRequested {}, started()];
    up.into_iter().chain(events).collect()
}

#[test]
fn only_system_agents_are_rebuilt_and_only_others_deleted() {
    in_every_phase(&C::Reinitialize, |phase| match phase {
        P::Absent => Err(R::NotFound),
        P::Deleting => Err(R::Deleting),
        _ => Err(R::NotSystemAgent),
    });
    given::<Agent>(system([])).when(C::RequestDelete).then_refused(&R::SystemAgent);
    given::<Agent>(system([])).when(C::Reinitialize).then([E::AgentReinitialized {}]);
}

#[test]
fn a_rebuilt_agent_ends_where_it_was() {
    let rebuilt = || E::AgentReinitialized {};
    given::<Agent>(system([rebuilt()])).when(C::Reinitialize).then([]);
    let again = C::RecordProvisioned { host_ref: "host-2".into() };
    let made = E::AgentProvisioned { host_ref: "host-2".into() };
    given::<Agent>(system([rebuilt()]))
        .when(again.clone())
        .then([made.clone(), E::AgentStartRequested {}]);
    let resting = system([E::AgentStopRequested {}, stopped(), rebuilt()]);
    given::<Agent>(resting).when(again).then([made.clone()]);
    let failed = E::AgentProvisionFailed { step: Step::Volume, error: "busy".into() };
    let life = after::<Agent>(system([rebuilt(), failed, E::AgentStartRequested {}])).life.unwrap();
    assert!(life.rebuild_wanted && life.host_ref.is_none(), "a retry removes first, too");
    let life = after::<Agent>(system([rebuilt(), made])).life.unwrap();
    assert!(!life.rebuild_wanted);
    assert_eq!(life.incarnation, incarnation(1));
    assert_eq!(after::<Agent>(system([rebuilt()])).phase, P::Creating);
}
