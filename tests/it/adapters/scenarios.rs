//! What a CLI may do to its adapter, played by runtime `demo`: the same adapter with another
//! command.

use nix::sys::signal::Signal;
use trinity::adapters::claude::Claude;
use trinity::domain::agent::Runtime;
use trinity_agent_protocol::SpawnErrorClass;

use super::*;

fn demo() -> Claude {
    let exe = env!("CARGO_BIN_EXE_trinity").to_owned();
    Claude::new(Runtime::Demo, Launcher::new(vec![exe, "fake-claude".to_owned()]))
}

fn place() -> Place {
    Place::new(&[])
}

fn run(script: &str) -> Conclusion {
    let place = place();
    place.run(&demo(), &place.task(&format!("#!demo\n{script}")))
}

/// Starts the script, waits until it has said `ready`, signals it, and tells it as a stop.
fn stopped(script: &str, signal: Signal, reason: StopReason) -> Conclusion {
    let place = place();
    let mut run = place.start(&demo(), &place.task(&format!("#!demo\n{script}")));
    run.until(|event| matches!(event, Event::Text { text } if text == "ready"));
    run.signal(signal);
    run.end(Some(reason))
}

#[test]
fn a_run_completes_with_all_its_figures() {
    let place = place();
    let task = place.task("#!demo\nsay one\ntool Read {\"a\": 1} => x\nsay two");
    let conclusion = place.run(&demo(), &task);
    assert_eq!(response(&conclusion), "one\ntwo");
    assert_eq!(conclusion.session_id.as_deref(), Some(task.session.id()));
    let outcome = conclusion.outcome;
    assert_eq!(outcome.model_used.as_deref(), Some("demo"));
    assert_eq!((outcome.num_turns, outcome.tool_call_count), (Some(2), 1));
    assert!(outcome.cost_usd_micros.unwrap() > 0 && outcome.usage.unwrap().output_tokens > 0);
    assert!(outcome.context_used.unwrap() < outcome.context_max.unwrap());
}

#[test]
fn the_end_of_the_script_decides() {
    let line = r#"{"type":"result","subtype":"success","is_error":true,"result":"API Error: 529"}"#;
    let api = run(&format!("raw {line}\nresult none\nexit 1"));
    assert_eq!(failure(&api), (ErrorClass::Api, "API Error: 529"));
    let turns = run("say hi\nresult error_max_turns 0.5\nexit 1");
    assert_eq!(failure(&turns).0, ErrorClass::MaxTurns);
    assert_eq!(turns.outcome.cost_usd_micros, Some(500_000));
    let silent = run("say hi\nresult none");
    assert_eq!(failure(&silent).0, ErrorClass::Exit);
    assert_eq!(silent.outcome.response.as_deref(), Some("hi"));
    let unknown = run("frobnicate");
    assert!(failure(&unknown).1.contains("unknown op \"frobnicate\""));
}

#[test]
fn exit_codes_beat_a_result() {
    for code in [1, 137, 139, 143] {
        let ended = run(&format!("result success\nexit {code}"));
        let error = format!("exited with code {code}");
        assert_eq!(failure(&ended).0, ErrorClass::Exit);
        assert!(failure(&ended).1.ends_with(&error), "{ended:?}");
    }
    assert!(failure(&run("result success\nabort")).1.ends_with("was ended by signal 6"));
}

#[test]
fn a_crash_in_the_middle_of_a_line_keeps_what_came_before() {
    let ended = run("say before\nraw {\"type\":\"assi\nabort");
    assert_eq!(failure(&ended).0, ErrorClass::Exit);
    assert_eq!(ended.outcome.response.as_deref(), Some("before"));
}

#[test]
fn strange_lines_change_nothing() {
    let ended = run("raw \\xff\\xfe\\n\nraw no json\nraw {\"type\":\"dance\"}\nraw []\n\
                     raw {\"type\":\"assistant\"}\nsay fine");
    assert_eq!(response(&ended), "fine");
}

#[test]
fn the_session_is_the_one_that_the_cli_tells() {
    let ended =
        run("raw {\"type\":\"system\",\"subtype\":\"init\",\"session_id\":\"other\"}\nexit 0");
    assert_eq!(ended.session_id.as_deref(), Some("other"));
}

#[test]
fn long_and_many_lines_are_read() {
    let long = place();
    let task = long.task("#!demo\nbig 3000000\nsay end");
    let (conclusion, events) = long.start(&demo(), &task).end_with_events(None);
    assert_eq!(response(&conclusion), "end");
    let longest = events.iter().filter_map(|event| match event {
        Event::Text { text } => Some(text.len()),
        _ => None,
    });
    assert_eq!(longest.max(), Some(3_000_000));
    let many = run(&"say x\n".repeat(20_000));
    assert_eq!(response(&many).len(), 39_999);
}

#[test]
fn standard_error_is_no_sign_of_failure_and_bounded_when_it_is() {
    let noise = "exec head -c 5000000 /dev/zero | tr '\\0' 'x' > /proc/$PPID/fd/2";
    assert_eq!(response(&run(&format!("{noise}\nsay fine"))), "fine");
    let failed = run(&format!("{noise}\nstderr \nstderr last words\nexit 1"));
    let (_, error) = failure(&failed);
    assert!(error.ends_with("last words") && error.len() < 4_096, "{error}");
}

#[test]
fn a_stop_is_a_stop_whatever_the_cli_says() {
    let interrupt = |script| stopped(script, Signal::SIGINT, StopReason::Cancel);
    for script in ["say ready\nhang", "trap INT result\nsay ready\nhang", "say ready\nsleep 600"] {
        let ended = interrupt(script);
        assert_eq!(failure(&ended), (ErrorClass::Exit, "the run was stopped on request"));
        assert_eq!(ended.outcome.exit.unwrap().code, Some(0), "{script}");
    }
    let deaf = "trap INT ignore\nsay ready\nhang";
    let killed = stopped(deaf, Signal::SIGKILL, StopReason::Timeout);
    assert_eq!(failure(&killed).0, ErrorClass::Timeout);
    assert_eq!(killed.outcome.exit.unwrap().signal, Some(9));
    let lingering = "result success\nsay ready\nhang";
    let ended = stopped(lingering, Signal::SIGINT, StopReason::Finished);
    assert!(failure(&ended).1.contains("did not exit"));
}

#[test]
fn a_session_goes_on_in_another_run() {
    let place = place();
    let first = place.task("#!demo\nsay one");
    let id = first.session.id().to_owned();
    response(&place.run(&demo(), &first));
    let next = place.task("#!demo\nsay two");
    let next = TaskSpec { session: Session::Resume { id: id.clone() }, ..next };
    assert_eq!(place.run(&demo(), &next).session_id, Some(id));
    let unknown = Session::Resume { id: Uuid::new_v4().to_string() };
    let unknown = TaskSpec { session: unknown, ..place.task("#!demo\nsay three") };
    assert!(failure(&place.run(&demo(), &unknown)).1.starts_with("No conversation found"));
}

#[test]
fn the_settings_of_a_task_have_their_effect() {
    let place = place();
    let few = TaskSpec { max_turns: Some(1), ..place.task("#!demo\ntool A {} => b\nsay hi") };
    assert_eq!(failure(&place.run(&demo(), &few)).0, ErrorClass::MaxTurns);
    let tools = ToolSet::Only(vec!["Read".to_owned()]);
    let task = TaskSpec { tools, ..place.task("#!demo\nexec touch made") };
    assert_eq!(place.run(&demo(), &task).verdict, Verdict::Completed);
    assert!(!place.path("workspace/made").exists());
    let slash = place.run(&demo(), &place.task("/cost"));
    assert!(response(&slash).contains("/cost") && slash.outcome.tool_call_count > 0);
}

#[test]
fn a_cli_that_cannot_be_started_is_explained() {
    let missing = Claude::new(Runtime::ClaudeCode, Launcher::parse("claude").unwrap());
    let not_found = missing.spawn_error(SpawnErrorClass::NotFound, "ENOENT");
    assert!(not_found.starts_with("claude not found; install it"));
    let no_program = missing.spawn_error(SpawnErrorClass::NotExecutable, "EACCES");
    assert!(no_program.starts_with("claude cannot be executed"));
}

#[test]
fn the_script_in_the_manual_plays() {
    let page = include_str!("../../../docs/demo-scripts.md");
    let script = page.split("```text\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let place = place();
    let conclusion = place.run(&demo(), &place.task(script));
    assert_eq!(response(&conclusion), "Looking around\nDone");
    assert_eq!(conclusion.outcome.tool_call_count, 2);
}
