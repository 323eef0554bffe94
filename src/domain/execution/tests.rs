//! Every command of an execution in every state, and the frozen JSON.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a table names what stands out; all the rest answer alike"
)]

use strum::VariantNames;
use uuid::Uuid;

use super::*;
use crate::domain::testing::{after, assert_frozen, at, given, id, incarnation, name};

mod properties;

use ExecutionCommand as C;
use ExecutionError as R;
use ExecutionEvent as E;

/// The states a command can meet; `Cancelling` ones have been asked to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum In {
    Nothing,
    Pending,
    PendingCancelling,
    Running,
    RunningCancelling,
    Completed,
    Failed,
    Cancelled,
}

const STATES: [In; 8] = [
    In::Nothing,
    In::Pending,
    In::PendingCancelling,
    In::Running,
    In::RunningCancelling,
    In::Completed,
    In::Failed,
    In::Cancelled,
];

fn request() -> Box<Request> {
    Box::new(Request {
        agent: name("scout"),
        incarnation: incarnation(1),
        triggered_by: Trigger::Manual,
        source: Source::User,
        source_user: Some(id(10)),
        source_agent: None,
        message: "look around".into(),
        model: None,
        allowed_tools: None,
        system_prompt: None,
        timeout_seconds: None,
        max_turns: None,
        resume_session_id: None,
        is_chat_turn: false,
        parent_execution_id: None,
        schedule_id: None,
        chat_session_id: None,
        process_run_id: None,
        step_id: None,
        payment_id: None,
        tags: vec![],
    })
}

fn started() -> ExecutionEvent {
    E::ExecutionStarted { slot: 1, epoch: 1, claude_session_id: "s".into(), started_at: at(1) }
}

fn start() -> ExecutionCommand {
    C::RecordStarted { slot: 1, epoch: 1, claude_session_id: "s".into(), started_at: at(1) }
}

fn cancel_requested() -> ExecutionEvent {
    E::CancelRequested {
        by: "user:1".into(),
        reason: CancelReason::Requested,
        urgency: Urgency::Graceful,
    }
}

/// What the supervisor reports at the end of a run.
fn outcome() -> Box<Outcome> {
    Box::new(Outcome {
        response: Some("seen".into()),
        cost_usd_micros: Some(1_200),
        exit: Some(ExitStatus { code: Some(0), signal: None }),
        ended_at: Some(at(9)),
        duration_ms: Some(8_000),
        ..Outcome::default()
    })
}

fn only_time(seconds: i64) -> Box<Outcome> {
    Box::new(Outcome { ended_at: Some(at(seconds)), ..Outcome::default() })
}

fn completed() -> ExecutionEvent {
    E::ExecutionCompleted { outcome: outcome() }
}

fn lost() -> ExecutionEvent {
    E::ExecutionFailed {
        class: ErrorClass::Lost,
        error: "agent crashed".into(),
        outcome: only_time(9),
    }
}

fn cancelled(phase: CancelPhase, outcome: Box<Outcome>) -> ExecutionEvent {
    E::ExecutionCancelled { by: "user:1".into(), reason: CancelReason::Requested, phase, outcome }
}

fn exit(verdict: Verdict) -> ExecutionCommand {
    C::RecordExit { verdict, outcome: outcome() }
}

fn requested(events: impl IntoIterator<Item = ExecutionEvent>) -> Vec<ExecutionEvent> {
    std::iter::once(E::ExecutionRequested(request())).chain(events).collect()
}

fn running(events: impl IntoIterator<Item = ExecutionEvent>) -> Vec<ExecutionEvent> {
    requested(std::iter::once(started()).chain(events))
}

fn history(state: In) -> Vec<ExecutionEvent> {
    match state {
        In::Nothing => vec![],
        In::Pending => requested([]),
        In::PendingCancelling => requested([cancel_requested()]),
        In::Running => running([]),
        In::RunningCancelling => running([cancel_requested()]),
        In::Completed => running([completed()]),
        In::Failed => running([lost()]),
        In::Cancelled => {
            running([cancel_requested(), cancelled(CancelPhase::Requested, outcome())])
        }
    }
}

#[track_caller]
fn in_every_state(
    command: &ExecutionCommand,
    expected: impl Fn(In) -> Result<Vec<ExecutionEvent>, ExecutionError>,
) {
    for state in STATES {
        let decided = given::<Execution>(history(state)).when(command.clone());
        match expected(state) {
            Ok(events) => decided.then(events),
            Err(error) => decided.then_refused(&error),
        }
    }
}

#[test]
fn histories_lead_to_their_status() {
    let status = |state| after::<Execution>(history(state)).status;
    assert_eq!(status(In::Nothing), None);
    assert_eq!(status(In::Pending), Some(Status::Pending));
    assert_eq!(status(In::PendingCancelling), Some(Status::Pending));
    assert_eq!(status(In::Running), Some(Status::Running));
    assert_eq!(status(In::RunningCancelling), Some(Status::Running));
    assert_eq!(status(In::Completed), Some(Status::Completed));
    assert_eq!(status(In::Failed), Some(Status::Failed));
    assert_eq!(status(In::Cancelled), Some(Status::Cancelled));
    for state in STATES {
        let terminal = matches!(state, In::Completed | In::Failed | In::Cancelled);
        assert_eq!(after::<Execution>(history(state)).is_terminal(), terminal);
    }
}

#[test]
fn an_id_is_requested_once() {
    in_every_state(&C::Request(request()), |state| match state {
        In::Nothing => Ok(vec![E::ExecutionRequested(request())]),
        _ => Err(R::AlreadyExists),
    });
}

#[test]
fn a_run_starts_once_and_never_after_its_end() {
    in_every_state(&start(), |state| match state {
        In::Nothing => Err(R::NotFound),
        In::Pending | In::PendingCancelling => Ok(vec![started()]),
        _ => Ok(vec![]),
    });
    let state = after::<Execution>(running([]));
    assert_eq!(state.epoch, Some(1));
    assert_eq!(state.claude_session_id.as_deref(), Some("s"));
}

#[test]
fn the_session_is_bound_once_while_running() {
    let command = C::RecordSession {
        claude_session_id: "t".into(),
        model_used: Some("m".into()),
        cli_version: None,
    };
    let bound = E::SessionBound {
        claude_session_id: "t".into(),
        model_used: Some("m".into()),
        cli_version: None,
    };
    in_every_state(&command, |state| match state {
        In::Nothing => Err(R::NotFound),
        In::Running | In::RunningCancelling => Ok(vec![bound.clone()]),
        _ => Ok(vec![]),
    });
    given::<Execution>(running([bound.clone()])).when(command).then_nothing();
    let state = after::<Execution>(running([bound]));
    assert_eq!(state.claude_session_id.as_deref(), Some("t"));
}

fn call_started(seq: u64, tool_call_id: &str) -> ToolCall {
    ToolCall::Started {
        seq,
        tool_call_id: tool_call_id.into(),
        name: "Bash".into(),
        input_preview: "ls".into(),
        at: at(2),
    }
}

fn call_finished(seq: u64, tool_call_id: &str) -> ToolCall {
    ToolCall::Finished { seq, tool_call_id: tool_call_id.into(), is_error: false, at: at(5) }
}

fn tool_started(seq: u64, tool_call_id: &str) -> ExecutionEvent {
    E::ToolCallStarted {
        seq,
        tool_call_id: tool_call_id.into(),
        name: "Bash".into(),
        input_preview: "ls".into(),
        at: at(2),
    }
}

fn tool_finished(seq: u64, tool_call_id: &str) -> ExecutionEvent {
    E::ToolCallFinished {
        seq,
        tool_call_id: tool_call_id.into(),
        is_error: false,
        duration_ms: 3_000,
        at: at(5),
    }
}

#[test]
fn tool_calls_are_recorded_while_running() {
    let calls = vec![call_started(3, "a"), call_started(3, "b"), call_finished(4, "a")];
    in_every_state(&C::RecordToolCalls { calls }, |state| match state {
        In::Nothing => Err(R::NotFound),
        In::Running | In::RunningCancelling => {
            Ok(vec![tool_started(3, "a"), tool_started(3, "b"), tool_finished(4, "a")])
        }
        _ => Ok(vec![]),
    });
}

#[test]
fn output_that_is_read_again_adds_no_tool_calls() {
    let seen = running([tool_started(3, "a"), tool_finished(4, "a"), tool_started(5, "b")]);
    let again = vec![call_started(3, "a"), call_finished(4, "a"), call_started(5, "b")];
    given::<Execution>(seen.clone()).when(C::RecordToolCalls { calls: again }).then_nothing();
    let one_line = running([tool_started(3, "a"), tool_finished(3, "a")]);
    let again = vec![call_started(3, "a"), call_finished(3, "a")];
    given::<Execution>(one_line).when(C::RecordToolCalls { calls: again }).then_nothing();
    let more = vec![call_started(5, "b"), call_finished(6, "b"), call_started(7, "a")];
    given::<Execution>(seen)
        .when(C::RecordToolCalls { calls: more })
        .then([tool_finished(6, "b"), tool_started(7, "a")]);
}

#[test]
fn a_tool_result_without_its_call_and_a_repeated_call_are_not_recorded() {
    let calls = vec![call_finished(1, "z"), call_started(2, "a"), call_started(3, "a")];
    given::<Execution>(running([])).when(C::RecordToolCalls { calls }).then([tool_started(2, "a")]);
}

#[test]
fn tool_calls_beyond_the_bound_are_only_counted() {
    let many = u64::from(TOOL_CALL_EVENTS_MAX);
    let calls = |range: std::ops::RangeInclusive<u64>| {
        range.flat_map(|n| [call_started(n, &n.to_string()), call_finished(n, &n.to_string())])
    };
    let state = after::<Execution>(running([]));
    let events = state.decide(C::RecordToolCalls { calls: calls(1..=many + 5).collect() }).unwrap();
    assert_eq!(events.len() as u64, many * 2);
    let full = after::<Execution>(running(events));
    assert_eq!(full.tool_calls, TOOL_CALL_EVENTS_MAX);
    let later = calls(many + 6..=many + 9).collect();
    assert_eq!(full.decide(C::RecordToolCalls { calls: later }), Ok(vec![]));
}

#[test]
fn a_cancel_of_what_runs_is_a_request_that_can_only_become_more_urgent() {
    let reason = CancelReason::Requested;
    let ask = |urgency| C::RequestCancel { by: "user:1".into(), reason, urgency };
    let asked = |urgency| E::CancelRequested { by: "user:1".into(), reason, urgency };
    in_every_state(&ask(Urgency::Graceful), |state| match state {
        In::Nothing => Err(R::NotFound),
        In::Pending | In::Running => Ok(vec![asked(Urgency::Graceful)]),
        _ => Ok(vec![]),
    });
    in_every_state(&ask(Urgency::Kill), |state| match state {
        In::Nothing => Err(R::NotFound),
        In::Pending | In::PendingCancelling | In::Running | In::RunningCancelling => {
            Ok(vec![asked(Urgency::Kill)])
        }
        _ => Ok(vec![]),
    });
    let urgent = running([asked(Urgency::Kill)]);
    given::<Execution>(urgent.clone()).when(ask(Urgency::Kill)).then_nothing();
    given::<Execution>(urgent).when(ask(Urgency::Graceful)).then_nothing();
}

#[test]
fn who_asked_first_stays_on_record() {
    let again = E::CancelRequested {
        by: "user:2".into(),
        reason: CancelReason::AgentStopped,
        urgency: Urgency::Kill,
    };
    let history =
        running([cancel_requested(), E::InterruptSent { at: at(3), grace_ms: Some(5_000) }, again]);
    let state = after::<Execution>(history.clone());
    assert_eq!(state.urgency, Some(Urgency::Kill));
    given::<Execution>(history)
        .when(exit(Verdict::Completed))
        .then([cancelled(CancelPhase::Interrupting, outcome())]);
}

#[test]
fn only_what_waits_and_is_not_to_be_ended_may_start() {
    for state in STATES {
        let may_start = after::<Execution>(history(state)).may_start();
        assert_eq!(may_start, state == In::Pending, "{state:?}");
    }
}

#[test]
fn a_cancel_in_the_queue_ends_the_execution_at_once() {
    let reason = CancelReason::QueueCleared;
    let by = || "user:1".to_owned();
    in_every_state(&C::CancelQueued { by: by(), reason }, |state| match state {
        In::Nothing => Err(R::NotFound),
        In::Pending | In::PendingCancelling => Ok(vec![E::ExecutionCancelled {
            by: by(),
            reason,
            phase: CancelPhase::Queued,
            outcome: Box::default(),
        }]),
        _ => Ok(vec![]),
    });
}

#[test]
fn signals_are_recorded_once_in_order_and_while_running() {
    let interrupt = C::RecordInterruptSent { at: at(3), grace_ms: Some(5_000) };
    let kill = C::RecordKillSent { at: at(4) };
    let interrupted = || E::InterruptSent { at: at(3), grace_ms: Some(5_000) };
    let killed = || E::KillSent { at: at(4) };
    in_every_state(&interrupt, |state| match state {
        In::Nothing => Err(R::NotFound),
        In::Running | In::RunningCancelling => Ok(vec![interrupted()]),
        _ => Ok(vec![]),
    });
    in_every_state(&kill, |state| match state {
        In::Nothing => Err(R::NotFound),
        In::Running | In::RunningCancelling => Ok(vec![killed()]),
        _ => Ok(vec![]),
    });
    let soft = running([cancel_requested(), interrupted()]);
    given::<Execution>(soft.clone()).when(interrupt.clone()).then_nothing();
    given::<Execution>(soft).when(kill.clone()).then([killed()]);
    let hard = running([cancel_requested(), killed()]);
    given::<Execution>(hard.clone()).when(interrupt).then_nothing();
    given::<Execution>(hard).when(kill).then_nothing();
}

#[test]
fn a_cancel_after_a_signal_does_not_step_back() {
    let timed_out = running([E::InterruptSent { at: at(3), grace_ms: Some(5_000) }]);
    let asked = timed_out.into_iter().chain([cancel_requested()]).collect::<Vec<_>>();
    let state = after::<Execution>(asked.clone());
    assert_eq!(state.cancel_phase, Some(CancelPhase::Interrupting));
    given::<Execution>(asked.clone())
        .when(C::RecordInterruptSent { at: at(4), grace_ms: Some(5_000) })
        .then_nothing();
    given::<Execution>(asked)
        .when(exit(Verdict::Completed))
        .then([cancelled(CancelPhase::Interrupting, outcome())]);
}

#[test]
fn an_exit_ends_a_run_as_its_verdict_says_unless_a_cancel_was_asked_for() {
    let failed = Verdict::Failed { class: ErrorClass::Exit, error: "exit code 3".into() };
    let as_failed = || E::ExecutionFailed {
        class: ErrorClass::Exit,
        error: "exit code 3".into(),
        outcome: outcome(),
    };
    for (verdict, end) in [(Verdict::Completed, completed()), (failed, as_failed())] {
        in_every_state(&exit(verdict.clone()), |state| match state {
            In::Nothing => Err(R::NotFound),
            In::Pending | In::PendingCancelling => Err(R::NotStarted),
            In::Running => Ok(vec![end.clone()]),
            In::RunningCancelling => Ok(vec![cancelled(CancelPhase::Requested, outcome())]),
            In::Failed => {
                Ok(vec![E::LateResultObserved { verdict: verdict.clone(), outcome: outcome() }])
            }
            In::Completed | In::Cancelled => Ok(vec![]),
        });
    }
}

#[test]
fn a_cancelled_run_says_how_far_the_stop_went() {
    for (signal, phase) in [
        (E::InterruptSent { at: at(3), grace_ms: Some(5_000) }, CancelPhase::Interrupting),
        (E::KillSent { at: at(4) }, CancelPhase::Killing),
    ] {
        given::<Execution>(running([cancel_requested(), signal]))
            .when(exit(Verdict::Completed))
            .then([cancelled(phase, outcome())]);
    }
}

#[test]
fn one_report_after_a_guessed_end_is_kept() {
    let late = E::LateResultObserved { verdict: Verdict::Completed, outcome: outcome() };
    given::<Execution>(running([lost(), late])).when(exit(Verdict::Completed)).then_nothing();
    let unheard = requested([E::ExecutionFailed {
        class: ErrorClass::Lost,
        error: "silent".into(),
        outcome: only_time(9),
    }]);
    given::<Execution>(unheard)
        .when(exit(Verdict::Completed))
        .then([E::LateResultObserved { verdict: Verdict::Completed, outcome: outcome() }]);
}

#[test]
fn what_never_started_ends_only_if_a_cancel_was_asked_for() {
    in_every_state(&C::RecordNeverStarted { at: at(9) }, |state| match state {
        In::Nothing => Err(R::NotFound),
        In::PendingCancelling => Ok(vec![cancelled(CancelPhase::Requested, only_time(9))]),
        _ => Ok(vec![]),
    });
}

#[test]
fn a_grant_that_cannot_be_carried_out_fails_what_has_not_started() {
    for class in [ErrorClass::Rejected, ErrorClass::Spawn] {
        let error = || "no permission".to_owned();
        in_every_state(&C::Reject { class, error: error(), at: at(9) }, |state| match state {
            In::Nothing => Err(R::NotFound),
            In::Pending => {
                Ok(vec![E::ExecutionFailed { class, error: error(), outcome: only_time(9) }])
            }
            In::PendingCancelling => Ok(vec![cancelled(CancelPhase::Requested, only_time(9))]),
            _ => Ok(vec![]),
        });
    }
}

#[test]
fn a_lost_run_is_cancelled_only_when_its_end_was_seen() {
    let error = || "agent crashed".to_owned();
    let lose = |evidence| C::RecordLost { evidence, error: error(), at: at(9) };
    in_every_state(&lose(Evidence::Observed), |state| match state {
        In::Nothing => Err(R::NotFound),
        In::Pending | In::Running => Ok(vec![lost()]),
        In::PendingCancelling | In::RunningCancelling => {
            Ok(vec![cancelled(CancelPhase::Requested, only_time(9))])
        }
        _ => Ok(vec![]),
    });
    in_every_state(&lose(Evidence::Expired), |state| match state {
        In::Nothing => Err(R::NotFound),
        In::Pending | In::PendingCancelling | In::Running | In::RunningCancelling => {
            Ok(vec![lost()])
        }
        _ => Ok(vec![]),
    });
}

#[test]
fn open_tool_calls_end_with_the_execution() {
    let state = after::<Execution>(running([tool_started(3, "a")]));
    assert_eq!(state.open_tool_calls.len(), 1);
    let ended = after::<Execution>(running([tool_started(3, "a"), completed()]));
    assert!(ended.open_tool_calls.is_empty());
}

#[test]
fn a_stop_request_from_before_urgency_is_graceful() {
    let old = r#"{"CancelRequested":{"by":"user:1","reason":"requested"}}"#;
    let read = Event::decode(StreamType::Execution, old).unwrap();
    assert_eq!(read, Event::Execution(cancel_requested()));
}

fn full_request() -> Box<Request> {
    Box::new(Request {
        triggered_by: Trigger::Mcp,
        source: Source::Agent,
        source_agent: Some(name("lead")),
        model: Some("m".into()),
        allowed_tools: Some(vec!["Read".into()]),
        system_prompt: Some("Be brief.".into()),
        timeout_seconds: Some(60),
        max_turns: Some(4),
        resume_session_id: Some("s".into()),
        is_chat_turn: true,
        parent_execution_id: Some(id(2)),
        schedule_id: Some(Uuid::from_u128(3)),
        chat_session_id: Some(Uuid::from_u128(4)),
        process_run_id: Some(Uuid::from_u128(5)),
        step_id: Some("one".into()),
        payment_id: Some("p".into()),
        tags: vec!["night".into()],
        ..*request()
    })
}

fn full_outcome() -> Box<Outcome> {
    Box::new(Outcome {
        response_ref: Some("r".into()),
        usage: Some(Usage {
            input_tokens: 1,
            output_tokens: 2,
            cache_read_tokens: 3,
            cache_creation_tokens: 4,
        }),
        num_turns: Some(2),
        context_used: Some(10),
        context_max: Some(200_000),
        model_used: Some("m".into()),
        tool_call_count: 1,
        ..*outcome()
    })
}

fn transcript_removed() -> E {
    E::TranscriptRemoved { lines: 40, bytes: 1_234, retention_days: 30, at: at(9) }
}

#[test]
fn a_transcript_is_removed_once_and_only_after_the_end() {
    let remove =
        || C::RecordTranscriptRemoved { lines: 40, bytes: 1_234, retention_days: 30, at: at(9) };
    given::<Execution>([E::ExecutionRequested(request()), started()]).when(remove()).then_nothing();
    given::<Execution>([E::ExecutionRequested(request()), started(), completed()])
        .when(remove())
        .then([transcript_removed()]);
    given::<Execution>([
        E::ExecutionRequested(request()),
        started(),
        completed(),
        transcript_removed(),
    ])
    .when(remove())
    .then_nothing();
}

#[test]
fn contact_is_lost_and_regained_in_turn_while_the_run_goes_on() {
    let lose = || C::RecordContactLost { since: at(3) };
    let regain = || C::RecordContactRegained { at: at(4) };
    let requested = || E::ExecutionRequested(request());
    let (lost, regained) = (E::ContactLost { since: at(3) }, E::ContactRegained { at: at(4) });
    given::<Execution>([requested()]).when(lose()).then_nothing();
    given::<Execution>([requested(), started()]).when(regain()).then_nothing();
    given::<Execution>([requested(), started()]).when(lose()).then([lost.clone()]);
    let out_of_contact = || [requested(), started(), lost.clone()];
    given::<Execution>(out_of_contact()).when(lose()).then_nothing();
    given::<Execution>(out_of_contact()).when(regain()).then([regained.clone()]);
    let back = [requested(), started(), lost.clone(), regained];
    given::<Execution>(back.clone()).when(regain()).then_nothing();
    given::<Execution>(back).when(lose()).then([lost.clone()]);
    given::<Execution>([requested(), started(), lost, completed()]).when(regain()).then_nothing();
}

#[test]
fn the_json_of_every_event_is_frozen() {
    let late = Verdict::Failed { class: ErrorClass::MaxTurns, error: "too many turns".into() };
    let session = |model_used, cli_version| E::SessionBound {
        claude_session_id: "s".into(),
        model_used,
        cli_version,
    };
    assert_frozen::<Execution>(
        vec![
            E::ExecutionRequested(request()),
            E::ExecutionRequested(full_request()),
            started(),
            session(None, None),
            session(Some("m".into()), Some("1.0".into())),
            tool_started(3, "a"),
            tool_finished(4, "a"),
            cancel_requested(),
            E::InterruptSent { at: at(3), grace_ms: None },
            E::InterruptSent { at: at(3), grace_ms: Some(5_000) },
            E::KillSent { at: at(4) },
            E::ContactLost { since: at(5) },
            E::ContactRegained { at: at(6) },
            completed(),
            E::ExecutionCompleted { outcome: full_outcome() },
            lost(),
            cancelled(CancelPhase::Killing, full_outcome()),
            cancelled(CancelPhase::Queued, Box::default()),
            E::LateResultObserved { verdict: Verdict::Completed, outcome: outcome() },
            E::LateResultObserved { verdict: late, outcome: Box::default() },
            transcript_removed(),
        ],
        ExecutionEvent::VARIANTS,
    );
}
