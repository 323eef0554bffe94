//! Signals, with and without traps.

use nix::sys::signal::Signal;
use serde_json::json;

use super::{Ended, Place, STREAMING, eventually};

/// Starts the script, waits until it says `ready`, and sends the signals.
fn signalled(script: &str, signals: &[Signal]) -> Ended {
    let mut run = Place::new().start(STREAMING, &format!("#!demo\n{script}"));
    run.until("ready");
    for signal in signals {
        run.signal(*signal);
    }
    run.end()
}

#[test]
fn an_interrupt_between_words_ends_with_an_error_and_code_0() {
    let ended = signalled("say ready\nhang", &[Signal::SIGINT]);
    assert_eq!(ended.code, Some(0));
    let words = &ended.of_type("user")[0]["message"]["content"][0]["text"];
    assert_eq!(words, "[Request interrupted by user]");
    let result = ended.result();
    assert_eq!(result["subtype"], "error_during_execution");
    assert_eq!(result["terminal_reason"], "aborted_streaming");
    assert_eq!((&result["is_error"], &result["total_cost_usd"]), (&json!(true), &json!(0.0)));
}

#[test]
fn an_interrupt_of_a_tool_ends_the_tool_and_keeps_the_cost() {
    let place = Place::new();
    let run = place.start(STREAMING, "#!demo\nexec touch started; sleep 600");
    eventually(|| place.workspace.path().join("started").exists().then_some(()));
    run.signal(Signal::SIGINT);
    eventually(|| run.offspring().is_empty().then_some(()));
    let ended = run.end();
    assert_eq!(ended.code, Some(1));
    assert_eq!(ended.answers().len(), 1);
    let result = ended.result();
    assert_eq!(result["terminal_reason"], "aborted_tools");
    assert!(result["total_cost_usd"].as_f64().unwrap() > 0.0);
}

#[test]
fn other_signals_end_it_without_a_word() {
    for (signal, code) in [(Signal::SIGTERM, 143), (Signal::SIGHUP, 129)] {
        let ended = signalled("say ready\nsleep 600", &[signal]);
        assert_eq!((ended.code, ended.of_type("result").len()), (Some(code), 0));
    }
}

#[test]
fn a_tool_outlives_a_cli_that_is_terminated() {
    let place = Place::new();
    let script = "#!demo\nexec trap '' INT TERM; touch started; while :; do sleep 1; done";
    let mut run = place.start(STREAMING, script);
    eventually(|| place.workspace.path().join("started").exists().then_some(()));
    run.signal(Signal::SIGTERM);
    assert_eq!(eventually(|| run.child.try_wait().unwrap()).code(), Some(143));
    assert!(!run.offspring().is_empty());
}

#[test]
fn an_interrupt_can_be_ignored() {
    let script = "trap INT ignore\nsay ready\nexec while ! test -e go; do sleep 0.01; done\nsay on";
    let place = Place::new();
    let mut run = place.start(STREAMING, &format!("#!demo\n{script}"));
    run.until("ready");
    run.signal(Signal::SIGINT);
    std::fs::write(place.workspace.path().join("go"), "").unwrap();
    let ended = run.end();
    assert_eq!((ended.code, &ended.result()["result"]), (Some(0), &json!("ready\non")));
}

#[test]
fn an_interrupt_can_end_in_success() {
    let ended = signalled("trap INT result\nsay ready\nsleep 600", &[Signal::SIGINT]);
    assert_eq!((ended.code, &ended.result()["result"]), (Some(0), &json!("ready")));
}

#[test]
fn an_interrupt_can_end_in_any_code() {
    let ended = signalled("trap INT exit:7\nsay ready\nsleep 600", &[Signal::SIGINT]);
    assert_eq!((ended.code, ended.of_type("result").len()), (Some(7), 0));
}

#[test]
fn a_termination_can_be_ignored() {
    let script = "trap TERM ignore\nsay ready\nhang";
    let ended = signalled(script, &[Signal::SIGTERM, Signal::SIGINT]);
    assert_eq!((ended.code, ended.of_type("result").len()), (Some(0), 1), "the interrupt ended it");
}

#[test]
fn a_run_that_has_printed_its_result_ends_quietly() {
    let ended = signalled("result success\nsay ready\nhang", &[Signal::SIGINT]);
    assert_eq!((ended.code, &ended.result()["is_error"]), (Some(0), &json!(false)));
}
