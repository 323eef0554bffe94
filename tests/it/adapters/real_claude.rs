//! The real Claude Code, talking to a mock of the model's API on loopback.
//!
//! Not part of `make test`, because it installs the CLI: `make test-clis`.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;

use nix::sys::signal::Signal;
use serde_json::Value;
use trinity::adapters::claude::Claude;
use trinity::adapters::models;
use trinity::domain::agent::Runtime;

use super::real::{only, setting, substitute};
use super::*;

/// What the CLI itself asks for in the place of models that are no longer served.
const SUBSTITUTES: &[(&str, &str)] =
    &[("claude-opus-4-0", "claude-opus-4-8"), ("claude-opus-4-1", "claude-opus-4-8")];

fn claude() -> Claude {
    let launcher = Launcher::parse(&setting("TRINITY_CLAUDE_COMMAND")).unwrap();
    Claude::new(Runtime::ClaudeCode, launcher)
}

fn mock_url() -> String {
    setting("TRINITY_TEST_ANTHROPIC_URL")
}

fn place() -> Place {
    Place::new(&[("ANTHROPIC_BASE_URL", &mock_url()), ("ANTHROPIC_API_KEY", "dummy")])
}

fn requests_with(mark: &str) -> Vec<String> {
    real::requests_with(&mock_url(), mark)
}

fn bash(command: &str) -> String {
    format!("[[tool:Bash {}]]", serde_json::json!({"command": command}))
}

#[test]
#[ignore = "needs the real CLI: make test-clis"]
fn a_text_reply_completes() {
    let place = place();
    let task = place.task("hello");
    let conclusion = place.run(&claude(), &task);
    assert_eq!(response(&conclusion), "mock reply: hello");
    assert_eq!(conclusion.session_id.as_deref(), Some(task.session.id()), "chosen by us");
    let outcome = conclusion.outcome;
    assert!(outcome.model_used.unwrap().starts_with("claude-"));
    assert!(outcome.cost_usd_micros.unwrap() > 0);
    assert_eq!(outcome.usage.unwrap().output_tokens, 42);
    assert_eq!((outcome.num_turns, outcome.tool_call_count), (Some(1), 0));
    assert_eq!(outcome.context_used, Some(150));
}

#[test]
#[ignore = "needs the real CLI: make test-clis"]
fn a_tool_call_is_shown_and_completes() {
    let place = place();
    let task = TaskSpec { tools: only(&["Bash"]), ..place.task(&bash("echo hi; touch made")) };
    let (conclusion, events) = place.start(&claude(), &task).end_with_events(None);
    assert_eq!(response(&conclusion), "tool said: hi");
    assert_eq!(conclusion.outcome.tool_call_count, 1);
    assert!(place.path("workspace/made").exists());
    let call = events.iter().find_map(|event| match event {
        Event::ToolUse { id, name, input } => Some((id, name, input)),
        _ => None,
    });
    let (id, name, input) = call.unwrap();
    assert_eq!((name.as_str(), &input["command"]), ("Bash", &"echo hi; touch made".into()));
    let answer = Event::ToolResult { id: id.clone(), is_error: false, content: "hi".to_owned() };
    assert!(events.contains(&answer));
}

#[test]
#[ignore = "needs the real CLI: make test-clis"]
fn a_tool_outside_the_list_does_not_exist() {
    let place = place();
    let task = TaskSpec { tools: only(&["Read"]), ..place.task(&bash("touch made")) };
    let conclusion = place.run(&claude(), &task);
    assert!(response(&conclusion).contains("No such tool available: Bash"));
    assert!(!place.path("workspace/made").exists());
    let none = TaskSpec { tools: only(&[]), ..place.task(&bash("touch made")) };
    assert!(response(&place.run(&claude(), &none)).contains("No such tool available"));
    assert!(!place.path("workspace/made").exists());
}

#[test]
#[ignore = "needs the real CLI: make test-clis"]
fn a_run_without_a_list_may_do_everything_but_never_as_root() {
    let place = place();
    let mut task = place.task(&bash("id -u > made; echo done"));
    if !nix::unistd::geteuid().is_root() {
        assert_eq!(response(&place.run(&claude(), &task)), "tool said: done");
        return;
    }
    // As root the run is asked to do without.
    assert!(response(&place.run(&claude(), &task)).contains("denied"));
    assert!(!place.path("workspace/made").exists());

    // With a user of its own it may; the executable must be where that user can reach it.
    place.give_away();
    let launcher = Launcher::parse(&setting("TRINITY_CLAUDE_COMMAND")).unwrap();
    let copy = place.path("claude");
    std::fs::copy(std::fs::canonicalize(launcher.program().unwrap()).unwrap(), &copy).unwrap();
    std::fs::set_permissions(&copy, std::fs::Permissions::from_mode(0o755)).unwrap();
    let adapter = Claude::new(Runtime::ClaudeCode, Launcher::new(vec![copy.display().to_string()]));
    task.surroundings.user = RunUser::Unprivileged;
    task.session = Session::New { id: Uuid::new_v4().to_string() };
    // The first run, by root, has left files of its own in the HOME.
    task.surroundings.home = place.path("workspace").display().to_string();
    let conclusion = place.start_as(Some(UID), &adapter, &task).end(None);
    assert_eq!(response(&conclusion), "tool said: done");
    let uid = std::fs::read_to_string(place.path("workspace/made")).unwrap();
    assert_eq!(uid.trim(), UID.to_string());
}

#[test]
#[ignore = "needs the real CLI: make test-clis"]
fn an_api_error_is_a_failure_of_class_api() {
    let place = place();
    let task = place.task("[[error:400:invalid_request_error]]");
    let conclusion = place.run(&claude(), &task);
    let (class, error) = failure(&conclusion);
    assert_eq!(class, ErrorClass::Api);
    assert!(error.contains("400"), "{error}");
    assert_eq!(conclusion.outcome.exit.unwrap().code, Some(1));
}

#[test]
#[ignore = "needs the real CLI: make test-clis"]
fn the_turns_are_bounded() {
    let place = place();
    let message = format!("{} {} {}", bash("echo 1"), bash("echo 2"), bash("echo 3"));
    let mut task = TaskSpec { tools: only(&["Bash"]), ..place.task(&message) };
    task.max_turns = Some(2);
    let conclusion = place.run(&claude(), &task);
    assert_eq!(failure(&conclusion), (ErrorClass::MaxTurns, "Reached maximum number of turns (2)"));
    assert_eq!(conclusion.outcome.tool_call_count, 2);
}

#[test]
#[ignore = "needs the real CLI: make test-clis"]
fn a_message_reaches_the_model_whatever_it_begins_with() {
    let place = place();
    for message in ["/cost", "--help", "-p", "@made", "! ls", "#memory"] {
        let conclusion = place.run(&claude(), &place.task(message));
        assert_eq!(response(&conclusion), format!("mock reply: {message}"));
        assert_eq!(conclusion.outcome.num_turns, Some(1), "{message}");
    }
}

#[test]
#[ignore = "needs the real CLI: make test-clis"]
fn a_session_is_resumed_and_forked() {
    let place = place();
    let mark = Uuid::new_v4().to_string();
    let first = place.task(&format!("first {mark}"));
    let id = first.session.id().to_owned();
    response(&place.run(&claude(), &first));

    let resume = TaskSpec { session: Session::Resume { id: id.clone() }, ..place.task("second") };
    let conclusion = place.run(&claude(), &resume);
    assert_eq!(response(&conclusion), "mock reply: second");
    assert_eq!(conclusion.session_id.as_deref(), Some(id.as_str()));
    assert!(requests_with(&mark).iter().any(|request| request.contains("second")), "history");

    let copy = Uuid::new_v4().to_string();
    let session = Session::Fork { from: id.clone(), id: copy.clone() };
    let conclusion = place.run(&claude(), &TaskSpec { session, ..place.task("third") });
    assert_eq!(conclusion.session_id, Some(copy));
    assert!(requests_with(&mark).iter().any(|request| request.contains("third")), "history");

    let again = TaskSpec { session: Session::New { id: id.clone() }, ..place.task("again") };
    let conclusion = place.run(&claude(), &again);
    let (class, error) = failure(&conclusion);
    assert_eq!(class, ErrorClass::Exit);
    assert!(error.contains(&format!("Session ID {id} is already in use")), "{error}");

    let session = Session::Resume { id: Uuid::new_v4().to_string() };
    let conclusion = place.run(&claude(), &TaskSpec { session, ..place.task("x") });
    assert!(failure(&conclusion).1.starts_with("No conversation found"));
}

#[test]
#[ignore = "needs the real CLI: make test-clis"]
fn an_interrupt_in_mid_stream_ends_it_and_leaves_nothing() {
    let place = place();
    let mark = Uuid::new_v4().to_string();
    let mut run = place.start(&claude(), &place.task(&format!("{mark} [[slow:600:0.1]]")));
    run.until(|event| matches!(event, Event::Init { .. }));
    eventually(|| (!requests_with(&mark).is_empty()).then_some(()));
    run.signal(Signal::SIGINT);
    let conclusion = run.end(Some(StopReason::Cancel));
    assert_eq!(failure(&conclusion).0, ErrorClass::Exit);
    assert_eq!(conclusion.outcome.exit.unwrap().code, Some(0), "the trap: it says it went well");
    assert!(processes_in(place.folder.path()).is_empty());
}

#[test]
#[ignore = "needs the real CLI: make test-clis"]
fn an_interrupt_of_a_tool_keeps_the_cost() {
    let place = place();
    let message = bash("touch started; sleep 600");
    let task = TaskSpec { tools: only(&["Bash"]), ..place.task(&message) };
    let mut run = place.start(&claude(), &task);
    run.until(|event| matches!(event, Event::ToolUse { .. }));
    eventually(|| place.path("workspace/started").exists().then_some(()));
    run.signal(Signal::SIGINT);
    let conclusion = run.end(Some(StopReason::Cancel));
    assert_eq!(failure(&conclusion).0, ErrorClass::Exit);
    assert!(conclusion.outcome.cost_usd_micros.unwrap() > 0);
    eventually(|| processes_in(place.folder.path()).is_empty().then_some(()));
}

#[test]
#[ignore = "needs the real CLI: make test-clis"]
fn only_our_own_mcp_servers_are_started() {
    let place = place();
    let config = |mark: &str| {
        let file = place.path(mark).display().to_string();
        serde_json::json!({"mcpServers": {mark: {"command": "/bin/touch", "args": [file]}}})
    };
    std::fs::write(place.path("workspace/.mcp.json"), config("theirs").to_string()).unwrap();
    let mut task = place.task("hello");
    task.mcp_config = Some(config("ours").to_string());
    let (conclusion, events) = place.start(&claude(), &task).end_with_events(None);
    assert_eq!(conclusion.verdict, Verdict::Completed);
    let Some(Event::Init { mcp_servers, .. }) = events.first() else { panic!("{events:?}") };
    assert_eq!(mcp_servers.len(), 1);
    assert_eq!(mcp_servers[0].name, "ours");
    assert!(place.path("ours").exists() && !place.path("theirs").exists());
}

#[test]
#[ignore = "needs the real CLI: make test-clis"]
fn a_system_prompt_and_a_model_reach_the_api() {
    let place = place();
    let mark = format!("--{}", Uuid::new_v4());
    let mut task = place.task("hello");
    task.system_prompt = Some(mark.clone());
    task.model = Some("sonnet-4.5".to_owned());
    let conclusion = place.run(&claude(), &task);
    assert_eq!(conclusion.outcome.model_used.as_deref(), Some("claude-sonnet-4-5"));
    let requests = requests_with(&mark);
    assert!(requests.iter().any(|request| request.contains("\"model\": \"claude-sonnet-4-5\"")));
}

#[test]
#[ignore = "needs the real CLI: make test-clis"]
fn the_cli_takes_every_short_name_of_a_model() {
    let place = place();
    let (mut asked, mut expected) = (Vec::new(), Vec::new());
    for (short, full) in models::CLAUDE {
        let mark = Uuid::new_v4().to_string();
        let task = TaskSpec { model: Some((*short).to_owned()), ..place.task(&mark) };
        place.run(&claude(), &task);
        let requests = requests_with(&mark);
        let requests = requests.iter().map(|line| serde_json::from_str(line).unwrap());
        let models: BTreeSet<String> = requests
            .map(|request: Value| request["body"]["model"].as_str().unwrap().to_owned())
            .collect();
        asked.push((*short, models));
        expected.push((*short, BTreeSet::from([substitute(SUBSTITUTES, full)])));
    }
    assert_eq!(asked, expected);
}

#[test]
#[ignore = "needs the real CLI: make test-clis"]
fn its_version_can_be_read() {
    let place = place();
    let line = claude().version_command(&place.task("").surroundings);
    let output = Command::new(&line.argv[0])
        .args(&line.argv[1..])
        .env_clear()
        .envs(&line.env.0)
        .output()
        .unwrap();
    let version = claude().version(&output.stdout).unwrap();
    assert!(version.starts_with("2."), "{version}");
}
