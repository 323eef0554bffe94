//! What becomes of an agent in the world: it is frozen, and it goes down by itself.

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
        let observed = E::AgentStatusObserved { status, cause, at: at(second) };
        given::<Agent>(history.clone()).when(crash(second)).then([observed.clone()]);
        history.extend([observed, started()]);
    }
    let ended = E::AgentStopped { reason: StopReason::OutOfMemory, exit_code: None };
    given::<Agent>(history.clone()).when(crash(5)).then([ended.clone()]);
    let life = after::<Agent>(history.iter().cloned().chain([ended])).life.unwrap();
    assert!(life.loss().contains("out of memory"), "{}", life.loss());
    let killed = C::RecordObserved { status: ObservedStatus::Stopped, cause: None, at: at(5) };
    let ended = E::AgentStopped { reason: StopReason::CrashLoop, exit_code: None };
    given::<Agent>(history).when(killed).then([ended]);
}
