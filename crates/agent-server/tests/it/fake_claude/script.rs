//! Every op of a script.

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use serde_json::json;

use super::{Place, STREAMING, eventually, run};

#[test]
fn a_script_prints_the_kinds_of_lines_of_the_real_cli() {
    let ended =
        run("#!demo\nsay hello\ntool Read {\"file_path\": \"a\"} => its content\nsay bye\n");
    assert_eq!(ended.code, Some(0));
    let kinds: Vec<_> = ended
        .lines()
        .iter()
        .map(|line| (line["type"].clone(), line["message"]["content"][0]["type"].clone()))
        .collect();
    let expected = json!([
        ["system", null],
        ["assistant", "text"],
        ["assistant", "tool_use"],
        ["user", "tool_result"],
        ["assistant", "text"],
        ["result", null],
    ]);
    assert_eq!(json!(kinds), expected);

    let lines = ended.lines();
    assert_eq!(lines[0]["subtype"], "init");
    assert_eq!(lines[0]["model"], "demo");
    assert_eq!(lines[0]["claude_code_version"], "2.1.197");
    assert!(lines.iter().all(|line| line["session_id"] == lines[0]["session_id"]));
    let call = &lines[2]["message"]["content"][0];
    assert_eq!((&call["name"], &call["input"]), (&json!("Read"), &json!({"file_path": "a"})));
    assert_eq!(lines[3]["message"]["content"][0]["tool_use_id"], call["id"]);
    assert_eq!(ended.answers(), [("its content".to_owned(), false)]);
}

#[test]
fn the_result_joins_what_was_said_and_its_figures_add_up() {
    let result = run("#!demo\nsay one\ntool Read {} => x\nsay two\nbig 10").result();
    assert_eq!(result["result"], "one\ntwo");
    assert_eq!((&result["subtype"], &result["is_error"]), (&json!("success"), &json!(false)));
    assert_eq!(result["num_turns"], 2);
    let model = &result["modelUsage"]["demo"];
    assert_eq!(model["inputTokens"], result["usage"]["input_tokens"]);
    assert_eq!(model["costUSD"], result["total_cost_usd"]);
    assert!(result["total_cost_usd"].as_f64().unwrap() > 0.0);
    assert_eq!(model["contextWindow"], 200_000);
}

#[test]
fn a_result_may_come_early_with_its_own_cost() {
    let ended = run("#!demo\nsay one\nresult success 0.25\nsay two");
    assert_eq!(ended.result()["total_cost_usd"], 0.25);
    assert_eq!(ended.result()["result"], "one");
    assert_eq!(ended.lines().last().unwrap()["type"], "assistant");
    assert_eq!(ended.code, Some(0));

    let turns = run("#!demo\nresult error_max_turns 0.5").result();
    assert_eq!((&turns["subtype"], &turns["is_error"]), (&json!("error_max_turns"), &json!(true)));
    assert_eq!(turns["total_cost_usd"], 0.5);

    let none = run("#!demo\nsay one\nresult none 0");
    assert_eq!((none.of_type("result").len(), none.code), (0, Some(0)));
}

#[test]
fn an_op_that_is_none_fails_the_run_before_it_starts() {
    let ended = run("#!demo\nsay hi\nfrobnicate now");
    assert_eq!(ended.code, Some(1));
    let errors = json!(["demo script, line 3: unknown op \"frobnicate\": frobnicate now"]);
    assert_eq!(ended.result()["errors"], errors);
    assert_eq!(ended.result()["is_error"], true);
    assert!(ended.of_type("assistant").is_empty());
}

#[test]
fn raw_bytes_stand_on_a_line_of_their_own() {
    let ended =
        run("#!demo\nraw no \\xff json\nraw second\\n\\n\nsay hi\nraw {\"type\":\"assi\nexit 0");
    let text: Vec<&[u8]> = ended.printed.split(|byte| *byte == b'\n').collect();
    assert_eq!(text[1..4], [b"no \xff json".as_slice(), b"second", b""]);
    assert_eq!(*text.last().unwrap(), b"{\"type\":\"assi", "half a line at the end");
    assert_eq!((ended.code, ended.of_type("result").len()), (Some(0), 0));
}

#[test]
fn a_big_line_is_one_line() {
    let ended = run("#!demo\nbig 3000000");
    let text = ended.of_type("assistant")[0]["message"]["content"][0]["text"].clone();
    assert_eq!(text.as_str().unwrap().len(), 3_000_000);
}

#[test]
fn many_short_lines_are_all_printed() {
    let prompt = format!("#!demo{}", "\nsay x".repeat(20_000));
    let ended = run(&prompt);
    assert_eq!(ended.of_type("assistant").len(), 20_000);
    assert_eq!(ended.result()["result"].as_str().unwrap().len(), 39_999);
}

#[test]
fn standard_error_is_apart() {
    let ended = run("#!demo\nstderr oh no");
    assert_eq!((ended.stderr.as_str(), ended.code), ("oh no\n", Some(0)));
}

#[test]
fn a_shell_runs_in_a_session_of_its_own_and_is_waited_for() {
    let place = Place::new();
    let ended = place.run(
        "#!demo\nexec cut -d ' ' -f 1,6 /proc/self/stat; cut -d ' ' -f 1,6 /proc/$PPID/stat\n\
         exec sleep 0.2; touch done; echo gone >&2; exit 3",
    );
    let answers = ended.answers();
    let numbers: Vec<&str> = answers[0].0.split_whitespace().collect();
    assert_ne!(numbers[1], numbers[3], "the sessions of the shell and of the CLI");
    assert_eq!(answers[1], ("Exit code 3\ngone".to_owned(), true));
    assert!(place.workspace.path().join("done").exists());
    let call = &ended.of_type("assistant")[0]["message"]["content"][0];
    assert_eq!(call["name"], "Bash");
}

#[test]
fn what_a_shell_leaves_behind_does_not_hold_the_run() {
    let mut run = Place::new().start(STREAMING, "#!demo\nexec sleep 600 & echo started\nhang");
    run.until("tool_result");
    assert!(!run.offspring().is_empty());
}

#[test]
fn forked_processes_stay_behind_and_are_deaf() {
    let mut run = Place::new().start(STREAMING, "#!demo\nfork 3\nsay forked\nhang");
    run.until("forked");
    let stays = |pid: &Pid| {
        let line = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let fields: Vec<i32> = line
            .rsplit(')')
            .next()
            .unwrap()
            .split_whitespace()
            .filter_map(|f| f.parse().ok())
            .collect();
        // ppid, pgrp, session
        (fields[0], fields[2])
    };
    let own = i32::try_from(run.child.id()).unwrap();
    // Each makes its own session a moment after its start.
    let forked = eventually(|| {
        let forked = run.offspring();
        let apart = |pid: &Pid| stays(pid).1 == pid.as_raw();
        (forked.len() == 3 && forked.iter().all(apart)).then_some(forked)
    });
    assert!(forked.iter().all(|pid| stays(pid).0 != own), "they are no children of the CLI");
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        for pid in &forked {
            nix::sys::signal::kill(*pid, signal).unwrap();
        }
    }
    run.signal(Signal::SIGKILL);
    eventually(|| run.child.try_wait().unwrap());
    assert_eq!(run.offspring().len(), 3);
}

#[test]
fn a_run_can_end_in_any_way() {
    assert_eq!(run("#!demo\nexit 143").code, Some(143));
    let aborted = run("#!demo\nsay hi\nabort");
    assert_eq!((aborted.signal, aborted.of_type("result").len()), (Some(6), 0));
}

#[test]
fn standard_output_can_be_closed_while_the_run_goes_on() {
    let mut run = Place::new().start(STREAMING, "#!demo\nsay hi\nclose\nsay lost\nhang");
    let mut stdout = run.stdout.take().unwrap();
    let mut printed = String::new();
    std::io::Read::read_to_string(&mut stdout, &mut printed).unwrap();
    assert!(printed.contains("hi") && !printed.contains("lost"));
    assert!(run.child.try_wait().unwrap().is_none());
}

#[test]
fn a_reader_that_leaves_does_not_stop_the_run() {
    let place = Place::new();
    let mut run = place.start(STREAMING, "#!demo\nsay one\nexec touch done\nsay two");
    drop(run.stdout.take());
    assert_eq!(run.end().code, Some(0));
    assert!(place.workspace.path().join("done").exists());
}

#[test]
fn a_prompt_without_a_script_gets_a_believable_run() {
    let ended = run("Count the rows of the report");
    assert_eq!(ended.code, Some(0));
    assert_eq!(ended.answers().len(), 4);
    assert!(ended.result()["result"].as_str().unwrap().contains("Count the rows of the report"));
    assert!(ended.result()["duration_ms"].as_u64().unwrap() >= 2_000);
}
