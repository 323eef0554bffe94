//! What holds of an execution's events after any sequence of commands.

use proptest::prelude::*;

use super::*;

fn verdict() -> impl Strategy<Value = Verdict> {
    prop_oneof![
        Just(Verdict::Completed),
        Just(Verdict::Failed { class: ErrorClass::Exit, error: "exit code 1".into() }),
    ]
}

fn tool_call() -> impl Strategy<Value = ToolCall> {
    (1..40_u64, 0..6_u8, any::<bool>()).prop_map(|(seq, call, starts)| {
        let tool_call_id = call.to_string();
        if starts { call_started(seq, &tool_call_id) } else { call_finished(seq, &tool_call_id) }
    })
}

/// Calls in the order of their lines, as a reading of the output finds them.
fn tool_calls() -> impl Strategy<Value = Vec<ToolCall>> {
    proptest::collection::vec(tool_call(), 0..6).prop_map(|mut calls| {
        calls.sort_by_key(ToolCall::seq);
        calls
    })
}

fn command() -> impl Strategy<Value = ExecutionCommand> {
    let reason = CancelReason::Requested;
    let by = || "user:1".to_owned();
    let error = || "gone".to_owned();
    let session =
        C::RecordSession { claude_session_id: "t".into(), model_used: None, cli_version: None };
    prop_oneof![
        4 => Just(C::Request(request())),
        4 => Just(start()),
        2 => Just(session),
        6 => tool_calls().prop_map(|calls| C::RecordToolCalls { calls }),
        2 => Just(C::RequestCancel { by: by(), reason, urgency: Urgency::Graceful }),
        1 => Just(C::RequestCancel { by: by(), reason, urgency: Urgency::Kill }),
        1 => Just(C::CancelQueued { by: by(), reason }),
        2 => Just(C::RecordInterruptSent { at: at(3), grace_ms: Some(5_000) }),
        2 => Just(C::RecordKillSent { at: at(4) }),
        2 => Just(C::RecordContactLost { since: at(5) }),
        2 => Just(C::RecordContactRegained { at: at(6) }),
        2 => verdict().prop_map(exit),
        1 => Just(C::RecordNeverStarted { at: at(9) }),
        1 => Just(C::Reject { class: ErrorClass::Spawn, error: error(), at: at(9) }),
        1 => Just(C::RecordLost { evidence: Evidence::Observed, error: error(), at: at(9) }),
        1 => Just(C::RecordLost { evidence: Evidence::Expired, error: error(), at: at(9) }),
    ]
}

fn is_terminal(event: &ExecutionEvent) -> bool {
    matches!(
        event,
        E::ExecutionCompleted { .. } | E::ExecutionFailed { .. } | E::ExecutionCancelled { .. }
    )
}

/// Checks a whole history by counting, without any state of the aggregate.
fn check(events: &[ExecutionEvent]) -> Result<(), TestCaseError> {
    let place = |wanted: fn(&E) -> bool| events.iter().position(wanted);
    prop_assert!(matches!(events.first(), None | Some(E::ExecutionRequested(_))));
    for once in [
        "ExecutionRequested",
        "ExecutionStarted",
        "SessionBound",
        "InterruptSent",
        "KillSent",
        "LateResultObserved",
        "TranscriptRemoved",
    ] {
        let count = events.iter().filter(|event| event.name() == once).count();
        prop_assert!(count <= 1, "{count} times {once}");
    }
    let asks = events.iter().filter(|event| event.name() == "CancelRequested").count();
    prop_assert!(asks <= 2, "{asks} requests to stop");
    let ends = events.iter().filter(|event| is_terminal(event)).count();
    prop_assert!(ends <= 1, "{ends} terminal events");
    let end = place(is_terminal).unwrap_or(events.len());
    for after in events.iter().skip(end + 1) {
        let may_follow =
            matches!(after, E::LateResultObserved { .. } | E::TranscriptRemoved { .. });
        prop_assert!(may_follow, "{after:?} after the end");
    }
    let begin = place(|event| matches!(event, E::ExecutionStarted { .. })).unwrap_or(events.len());
    for (index, event) in events.iter().enumerate() {
        let needs_a_run = matches!(
            event,
            E::ExecutionCompleted { .. }
                | E::SessionBound { .. }
                | E::ToolCallStarted { .. }
                | E::ToolCallFinished { .. }
                | E::InterruptSent { .. }
                | E::KillSent { .. }
                | E::ContactLost { .. }
                | E::ContactRegained { .. }
        );
        prop_assert!(!needs_a_run || begin < index, "{event:?} before the start");
        let cancelled = matches!(event, E::ExecutionCancelled { phase, .. }
            if *phase != CancelPhase::Queued);
        let asked = place(|event| matches!(event, E::CancelRequested { .. }));
        prop_assert!(!cancelled || asked.is_some_and(|asked| asked < index));
    }
    Ok(())
}

/// Every result belongs to an open call, and lines never step back.
fn check_tool_calls(events: &[ExecutionEvent]) -> Result<(), TestCaseError> {
    let (mut open, mut last) = (std::collections::BTreeSet::new(), 0);
    for event in events {
        if let E::ToolCallStarted { seq, tool_call_id, .. } = event {
            prop_assert!(*seq >= last && open.insert(tool_call_id.clone()));
            last = *seq;
        }
        if let E::ToolCallFinished { seq, tool_call_id, .. } = event {
            prop_assert!(*seq >= last && open.remove(tool_call_id));
            last = *seq;
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn a_history_has_one_end_and_nothing_starts_after_it(
        commands in proptest::collection::vec(command(), 1..60),
    ) {
        let (mut execution, mut events) = (Execution::default(), Vec::new());
        for command in commands {
            for event in execution.decide(command.clone()).unwrap_or_default() {
                execution.evolve(&event);
                events.push(event);
            }
            prop_assert_eq!(execution.decide(command).unwrap_or_default(), vec![]);
            let stored = serde_json::to_string(&execution).unwrap();
            prop_assert_eq!(&serde_json::from_str::<Execution>(&stored).unwrap(), &execution);
        }
        check(&events)?;
        check_tool_calls(&events)?;
        prop_assert_eq!(execution.is_terminal(), events.iter().any(is_terminal));
    }
}
