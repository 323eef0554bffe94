//! The real Gemini CLI, talking to a mock of the model's API on loopback.
//!
//! Not part of `make test`, because it installs the CLI: `make test-clis`.

use std::collections::BTreeSet;

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use trinity::adapters::gemini::Gemini;
use trinity::adapters::models;

use super::real::{only, setting, substitute};
use super::*;

/// What the CLI itself asks for in the place of models that are no longer served.
const SUBSTITUTES: &[(&str, &str)] = &[
    ("gemini-3-pro-preview", "gemini-3.1-pro-preview"),
    ("gemini-3.1-flash-lite", "gemini-3.5-flash-lite"),
    ("gemini-3.5-flash", "gemini-3.8-flash"),
];

fn gemini() -> Gemini {
    Gemini::new(Launcher::parse(&setting("TRINITY_GEMINI_COMMAND")).unwrap())
}

fn mock_url() -> String {
    setting("TRINITY_TEST_GEMINI_URL")
}

fn place() -> Place {
    Place::new(&[("GOOGLE_GEMINI_BASE_URL", &mock_url()), ("GEMINI_API_KEY", "dummy")])
}

fn requests_with(mark: &str) -> Vec<String> {
    real::requests_with(&mock_url(), mark)
}

fn shell(command: &str) -> String {
    format!("[[tool:run_shell_command {}]]", json!({"command": command}))
}

/// The answers of tools, and whether each failed.
fn answers(events: &[Event]) -> Vec<(bool, &str)> {
    let answer = |event| match event {
        &Event::ToolResult { is_error, ref content, .. } => Some((is_error, content.as_str())),
        _ => None,
    };
    events.iter().filter_map(answer).collect()
}

#[test]
#[ignore = "needs the real CLI: make test-clis"]
fn a_text_reply_completes() {
    let place = place();
    let task = TaskSpec { model: Some("2.5-pro".to_owned()), ..place.task("hello") };
    let conclusion = place.run(&gemini(), &task);
    assert_eq!(response(&conclusion), "mock reply: hello");
    assert_eq!(conclusion.session_id.as_deref(), Some(task.session.id()), "chosen by us");
    let outcome = conclusion.outcome;
    assert_eq!(outcome.model_used.as_deref(), Some("gemini-2.5-pro"));
    // 70 tokens at 1.25 dollars for a million, 30 cached ones at 0.125, 42 at 10.
    assert_eq!(outcome.cost_usd_micros, Some(511));
    assert_eq!(outcome.usage.unwrap().output_tokens, 42);
}

#[test]
#[ignore = "needs the real CLI: make test-clis"]
fn a_model_of_its_own_choice_is_reported() {
    let place = place();
    let outcome = place.run(&gemini(), &place.task("hello")).outcome;
    assert!(outcome.model_used.unwrap().starts_with("gemini-"));
    assert!(outcome.cost_usd_micros.unwrap() > 0, "the prices of its own models are known");
}

#[test]
#[ignore = "needs the real CLI: make test-clis"]
fn a_tool_call_is_shown_and_completes() {
    let place = place();
    let message = shell("echo hi; touch made; echo x > written");
    let task = TaskSpec { tools: only(&["run_shell_command"]), ..place.task(&message) };
    let (conclusion, events) = place.start(&gemini(), &task).end_with_events(None);
    assert!(response(&conclusion).contains("hi"));
    assert_eq!(conclusion.outcome.tool_call_count, 1);
    assert_eq!(answers(&events), [(false, "hi")]);
    assert!(place.path("workspace/made").exists() && place.path("workspace/written").exists());
}

#[test]
#[ignore = "needs the real CLI: make test-clis"]
fn a_tool_outside_the_list_does_not_exist() {
    let place = place();
    for tools in [only(&["read_file"]), only(&[]), only(&["mcp__git"])] {
        let task = TaskSpec { tools, ..place.task(&shell("touch made")) };
        let (conclusion, events) = place.start(&gemini(), &task).end_with_events(None);
        assert!(response(&conclusion).contains("not found"), "{conclusion:?}");
        assert!(answers(&events)[0].0, "{events:?}");
        assert!(!place.path("workspace/made").exists());
    }
    let named = requests_with("\"name\": \"read_file\"");
    assert!(!named.is_empty(), "the model is told of what it may use");
}

#[test]
#[ignore = "needs the real CLI: make test-clis"]
fn a_run_without_a_list_may_do_everything_but_never_as_root() {
    let place = place();
    let mut task = place.task(&shell("touch made"));
    task.surroundings.user = RunUser::Root;
    assert!(response(&place.run(&gemini(), &task)).contains("not found"));
    assert!(!place.path("workspace/made").exists());
    task.surroundings.user = RunUser::Unprivileged;
    task.session = Session::New { id: Uuid::new_v4().to_string() };
    assert_eq!(place.run(&gemini(), &task).verdict, Verdict::Completed);
    assert!(place.path("workspace/made").exists());
}

#[test]
#[ignore = "needs the real CLI: make test-clis"]
fn nothing_in_the_workspace_runs_commands_unasked() {
    let place = place();
    let folder = place.path("workspace/.gemini");
    std::fs::create_dir(&folder).unwrap();
    let touch = |mark: &str| format!("/bin/touch {}", place.path(mark).display());
    let hook = json!([{"hooks": [{"type": "command", "command": touch("hooked")}]}]);
    let settings = json!({
        "hooks": {"SessionStart": hook, "BeforeAgent": hook},
        "hooksConfig": {"enabled": true},
        "mcpServers": {"theirs": {"command": "/bin/touch", "args": [place.path("started")]}},
        "tools": {"allowed": ["run_shell_command"], "discoveryCommand": touch("discovered")},
    });
    std::fs::write(folder.join("settings.json"), settings.to_string()).unwrap();
    let task = TaskSpec { tools: only(&["read_file"]), ..place.task(&shell("touch made")) };
    assert!(response(&place.run(&gemini(), &task)).contains("not found"));
    for mark in ["hooked", "started", "discovered", "workspace/made"] {
        assert!(!place.path(mark).exists(), "{mark}");
    }
}

#[test]
#[ignore = "needs the real CLI: make test-clis"]
fn our_own_mcp_servers_are_started() {
    let place = place();
    let start = |mark: &str| json!({"command": "/bin/touch", "args": [place.path(mark)]});
    std::fs::create_dir(place.path("workspace/.gemini")).unwrap();
    let theirs = json!({"mcpServers": {"theirs": start("theirs")}}).to_string();
    std::fs::write(place.path("workspace/.gemini/settings.json"), theirs).unwrap();
    let mut task = place.task("hello");
    task.mcp_config = Some(json!({"mcpServers": {"ours": start("ours")}}).to_string());
    assert_eq!(place.run(&gemini(), &task).verdict, Verdict::Completed);
    assert!(place.path("ours").exists() && !place.path("theirs").exists());
}

#[test]
#[ignore = "needs the real CLI: make test-clis"]
fn failures_have_their_class_and_their_words() {
    let place = place();
    let conclusion = place.run(&gemini(), &place.task("[[error:400]]"));
    let (class, error) = failure(&conclusion);
    assert_eq!(class, ErrorClass::Api);
    assert!(error.contains("400"), "{error}");

    let message = format!("{} {} {}", shell("echo 1"), shell("echo 2"), shell("echo 3"));
    let mut task = TaskSpec { tools: only(&["run_shell_command"]), ..place.task(&message) };
    task.max_turns = Some(2);
    let conclusion = place.run(&gemini(), &task);
    assert_eq!(failure(&conclusion).0, ErrorClass::MaxTurns);
    assert_eq!(conclusion.outcome.tool_call_count, 2);

    let missing = Gemini::new(Launcher::parse("no-such-cli").unwrap());
    let conclusion = place.run(&missing, &place.task("x"));
    let (class, error) = failure(&conclusion);
    assert_eq!(class, ErrorClass::Spawn);
    assert!(error.contains("no-such-cli not found; install it"), "{error}");
}

#[test]
#[ignore = "needs the real CLI: make test-clis"]
fn a_key_that_is_missing_is_said_at_once() {
    let place = Place::new(&[("GOOGLE_GEMINI_BASE_URL", &mock_url())]);
    let conclusion = place.run(&gemini(), &place.task("hello"));
    let (class, error) = failure(&conclusion);
    assert_eq!(class, ErrorClass::Api);
    assert!(error.contains("GEMINI_API_KEY"), "{error}");
}

#[test]
#[ignore = "needs the real CLI: make test-clis"]
fn a_message_reaches_the_model_whatever_it_begins_with() {
    let place = place();
    std::fs::write(place.path("workspace/made"), "the-secret-content").unwrap();
    let expected = |message: &str| format!("mock reply: {}", message.replace('@', "\\@"));
    for message in ["/cost", "--help", "-p", "@made", "me@made", "! ls", "#memory"] {
        let task = TaskSpec { tools: only(&[]), ..place.task(message) };
        let conclusion = place.run(&gemini(), &task);
        assert_eq!(response(&conclusion), expected(message));
    }
    assert!(requests_with("the-secret-content").is_empty(), "no file is read unasked");
}

#[test]
#[ignore = "needs the real CLI: make test-clis"]
fn a_long_message_reaches_the_model_whole_and_its_result_is_not_lost() {
    let place = place();
    let words: Vec<String> = (0..120_000).map(|n| n.to_string()).collect();
    let message = format!("{} the end", words.join(" "));
    assert_eq!(place.run(&gemini(), &place.task(&message)).verdict, Verdict::Completed);
    assert!(requests_with("119999 the end").iter().any(|request| request.contains(&message)));
}

#[test]
#[ignore = "needs the real CLI: make test-clis"]
fn a_session_is_resumed() {
    let place = place();
    let mark = Uuid::new_v4().to_string();
    let first = place.task(&format!("first {mark}"));
    let id = first.session.id().to_owned();
    response(&place.run(&gemini(), &first));

    let resume = TaskSpec { session: Session::Resume { id: id.clone() }, ..place.task("second") };
    let conclusion = place.run(&gemini(), &resume);
    assert_eq!(response(&conclusion), "mock reply: second");
    assert_eq!(conclusion.session_id.as_deref(), Some(id.as_str()));
    assert!(requests_with(&mark).iter().any(|request| request.contains("second")), "history");

    let again = TaskSpec { session: Session::New { id: id.clone() }, ..place.task("again") };
    let conclusion = place.run(&gemini(), &again);
    assert_eq!(failure(&conclusion).0, ErrorClass::Exit);
    assert!(failure(&conclusion).1.contains("already exists"), "{conclusion:?}");

    let session = Session::Resume { id: Uuid::new_v4().to_string() };
    let conclusion = place.run(&gemini(), &TaskSpec { session, ..place.task("x") });
    assert!(failure(&conclusion).1.contains("Invalid session identifier"), "{conclusion:?}");
}

#[test]
#[ignore = "needs the real CLI: make test-clis"]
fn an_interrupt_ends_it_at_once_and_without_a_result() {
    let place = place();
    let mut run = place.start(&gemini(), &place.task("[[slow:600:0.1]]"));
    run.until(|event| matches!(event, Event::Text { text } if text.starts_with("chunk")));
    run.signal(Signal::SIGINT);
    let conclusion = run.end(Some(StopReason::Cancel));
    assert_eq!(failure(&conclusion).0, ErrorClass::Exit);
    assert_eq!(conclusion.outcome.exit.unwrap().code, Some(0), "the trap: it says it went well");
    assert!(conclusion.outcome.response.unwrap().starts_with("chunk0 "));
    assert!(processes_in(place.folder.path()).is_empty());
}

#[test]
#[ignore = "needs the real CLI: make test-clis"]
fn a_system_prompt_and_instructions_reach_the_api() {
    let place = place();
    let [prompt, instructions, imported] = [(); 3].map(|()| Uuid::new_v4().to_string());
    std::fs::write(place.path("workspace/GEMINI.md"), format!("{instructions}\n@./more.md\n"))
        .unwrap();
    std::fs::write(place.path("workspace/more.md"), &imported).unwrap();
    let mut task = place.task("hello");
    task.system_prompt = Some(format!("{prompt} @./settings.json"));
    assert_eq!(response(&place.run(&gemini(), &task)), "mock reply: hello");
    let requests = requests_with(&prompt);
    let request = requests.iter().find(|request| request.contains(&instructions)).unwrap();
    assert!(request.contains(&imported), "the instructions may import what they want");
    assert!(!request.contains("selectedType"), "a system prompt may not");
}

#[test]
#[ignore = "needs the real CLI: make test-clis"]
fn the_cli_takes_every_short_name_of_a_model() {
    let place = place();
    let (mut asked, mut expected) = (Vec::new(), Vec::new());
    for (short, full) in models::GEMINI {
        let mark = Uuid::new_v4().to_string();
        let task = TaskSpec { model: Some((*short).to_owned()), ..place.task(&mark) };
        place.run(&gemini(), &task);
        let requests = requests_with(&mark);
        let requests = requests.iter().map(|line| serde_json::from_str(line).unwrap());
        let models: BTreeSet<String> = requests.map(|request: Value| model_of(&request)).collect();
        asked.push((*short, models));
        expected.push((*short, BTreeSet::from([substitute(SUBSTITUTES, full)])));
    }
    assert_eq!(asked, expected);
}

/// The model that a request is for, which its path names: `/v1beta/models/NAME:METHOD`.
fn model_of(request: &Value) -> String {
    let (_, rest) = request["path"].as_str().unwrap().split_once("/models/").unwrap();
    rest.split_once(':').unwrap().0.to_owned()
}

#[test]
#[ignore = "needs the real CLI: make test-clis"]
fn its_version_can_be_read() {
    let place = place();
    let line = gemini().version_command(&place.task("").surroundings);
    let output = Command::new(&line.argv[0])
        .args(&line.argv[1..])
        .env_clear()
        .envs(&line.env.0)
        .output()
        .unwrap();
    let version = gemini().version(&output.stdout).unwrap();
    assert!(version.starts_with("0."), "{version}");
}
