//! The flags of the CLI: formats, sessions, turns, tools.

use serde_json::json;
use uuid::Uuid;

use super::{Place, STREAMING, run};

fn with<'a>(more: &[&'a str]) -> Vec<&'a str> {
    STREAMING.iter().chain(more).copied().collect()
}

#[test]
fn a_version_is_printed_without_a_run() {
    let ended = Place::new().start(&["--version"], "").end();
    assert_eq!(ended.printed, b"2.1.197 (fake-claude)\n");
    assert_eq!(ended.code, Some(0));
}

#[test]
fn the_other_formats_print_the_end_alone() {
    let prompt = "#!demo\nsay one\ntool Read {} => x\nsay two";
    let text = Place::new().start(&["-p"], prompt).end();
    assert_eq!(text.printed, b"one\ntwo\n");
    let json = Place::new().start(&["-p", "--output-format", "json"], prompt).end();
    assert_eq!(json.lines(), [json.result()]);
    assert_eq!(json.result()["result"], "one\ntwo");
}

#[test]
fn the_prompt_may_be_an_argument() {
    let flags = with(&["--model", "haiku", "--frobnicate", "#!demo\nsay argument"]);
    let ended = Place::new().start(&flags, "#!demo\nsay stdin").end();
    assert_eq!(ended.result()["result"], "argument");
}

#[test]
fn the_environment_may_hold_the_script() {
    let place = Place::new();
    let script = [("FAKE_CLAUDE_SCRIPT", "say from the environment")];
    let ended = place.start_in(place.workspace.path(), STREAMING, "anything", &script).end();
    assert_eq!(ended.result()["result"], "from the environment");
}

#[test]
fn what_the_cli_refuses_is_refused() {
    let no_verbose = ["-p", "--output-format=stream-json"];
    let refused = |flags: &[&str], prompt: &str| {
        let ended = Place::new().start(flags, prompt).end();
        assert_eq!((ended.code, ended.printed.len()), (Some(1), 0), "{flags:?}");
        ended.stderr
    };
    assert!(refused(&no_verbose, "hi").contains("requires --verbose"));
    assert!(refused(STREAMING, "").contains("Input must be provided"));
    assert!(refused(&with(&["--session-id=abc"]), "hi").contains("valid UUID"));
    assert!(refused(&with(&["--mcp-config=/nowhere.json"]), "hi").contains("Invalid MCP"));
}

#[test]
fn mcp_servers_are_listed() {
    let place = Place::new();
    let config = place.home.path().join("mcp.json");
    std::fs::write(&config, r#"{"mcpServers": {"git": {"command": "git-mcp"}}}"#).unwrap();
    let flag = format!("--mcp-config={}", config.display());
    let ended = place.start(&with(&["--strict-mcp-config", &flag]), "#!demo\nsay hi").end();
    let expected = json!([{"name": "git", "status": "pending"}]);
    assert_eq!(ended.lines()[0]["mcp_servers"], expected);
}

#[test]
fn a_prompt_that_begins_with_a_slash_is_no_prompt() {
    let command = run("/cost now");
    assert_eq!(command.result()["result"], "Unknown command: /cost");
    assert_eq!((command.code, &command.result()["num_turns"]), (Some(0), &json!(0)));
    let prompt = run(" /cost now");
    assert_eq!(prompt.answers().len(), 4, "a leading blank makes it a prompt");
}

#[test]
fn a_session_can_be_resumed_and_forked() {
    let place = Place::new();
    let (first, copy) = (Uuid::new_v4().to_string(), Uuid::new_v4().to_string());
    let flag = format!("--session-id={first}");
    let start = |flags: &[&str], prompt| {
        let script = [("FAKE_CLAUDE_SCRIPT", "say hi")];
        place.start_in(place.workspace.path(), &with(flags), prompt, &script).end()
    };
    let ended = start(&[&flag], "the first question");
    assert_eq!(ended.lines()[0]["session_id"], json!(first));

    let again = place.start(&with(&[&flag]), "#!demo\nsay hi").end();
    assert_eq!((again.code, again.printed.len()), (Some(1), 0));
    assert_eq!(again.stderr, format!("Error: Session ID {first} is already in use.\n"));

    let resume = format!("--resume={first}");
    let next = start(&[&resume], "and then?");
    assert_eq!(next.lines()[0]["session_id"], json!(first));

    let id = format!("--session-id={copy}");
    let fork = place.start(&with(&[&resume, "--fork-session", &id]), "another way?").end();
    assert_eq!(fork.lines()[0]["session_id"], json!(copy));
    let answer = fork.result()["result"].as_str().unwrap().to_owned();
    assert!(answer.contains("what you asked before: “and then?”"), "{answer}");
}

#[test]
fn a_session_that_is_unknown_here_cannot_be_resumed() {
    let place = Place::new();
    let id = Uuid::new_v4().to_string();
    place.start(&with(&[&format!("--session-id={id}")]), "#!demo\nsay hi").end();
    let elsewhere = tempfile::tempdir().unwrap();
    let resume = format!("--resume={id}");
    let ended = place.start_in(elsewhere.path(), &with(&[&resume]), "#!demo\nsay hi", &[]).end();
    assert_eq!(ended.code, Some(1));
    assert_eq!(ended.lines().len(), 1, "the result is the only line");
    let error = format!("No conversation found with session ID: {id}");
    assert_eq!(ended.result()["errors"], json!([error]));
    assert_eq!(ended.result()["num_turns"], 0);
}

#[test]
fn a_session_survives_a_run_that_was_killed() {
    let place = Place::new();
    let id = Uuid::new_v4().to_string();
    let mut run = place.start(&with(&[&format!("--session-id={id}")]), "#!demo\nsay hi\nhang");
    run.until("hi");
    run.signal(nix::sys::signal::Signal::SIGKILL);
    assert_eq!(run.end().signal, Some(9));
    let next = place.start(&with(&[&format!("--resume={id}")]), "#!demo\nsay again").end();
    assert_eq!(next.code, Some(0));
}

#[test]
fn turns_are_bounded() {
    let prompt = "#!demo\ntool Read {} => 1\ntool Read {} => 2\ntool Read {} => 3\nsay never";
    let ended = Place::new().start(&with(&["--max-turns=2"]), prompt).end();
    assert_eq!((ended.code, ended.answers().len()), (Some(1), 2));
    let result = ended.result();
    assert_eq!(result["subtype"], "error_max_turns");
    assert_eq!(result["errors"], json!(["Reached maximum number of turns (2)"]));
    assert_eq!((&result["num_turns"], result.get("result")), (&json!(3), None));
    let enough = Place::new().start(&with(&["--max-turns=4"]), prompt).end();
    assert_eq!(enough.code, Some(0));
}

#[test]
fn a_tool_outside_the_list_is_refused_and_runs_nothing() {
    let place = Place::new();
    let flags = with(&["--permission-mode=dontAsk", "--allowedTools=Read", "--tools=Read"]);
    let ended = place.start(&flags, "#!demo\ntool Read {} => yes\nexec touch made").end();
    let answers = ended.answers();
    assert_eq!(answers[0], ("yes".to_owned(), false));
    assert!(answers[1].0.contains("No such tool available: Bash") && answers[1].1);
    assert!(!place.workspace.path().join("made").exists());
    assert_eq!(ended.result()["permission_denials"][0]["tool_name"], "Bash");
    assert_eq!((ended.code, &ended.lines()[0]["tools"]), (Some(0), &json!(["Read"])));
}

#[test]
fn root_cannot_bypass_permissions() {
    if !nix::unistd::geteuid().is_root() {
        let ended = Place::new().start(&with(&["--permission-mode=bypassPermissions"]), "#!demo");
        assert_eq!(ended.end().code, Some(0));
        return;
    }
    let place = Place::new();
    let flags = with(&["--permission-mode=bypassPermissions"]);
    let refused = place.start_in(place.workspace.path(), &flags, "#!demo", &[("IS_SANDBOX", "")]);
    let refused = refused.end();
    assert_eq!((refused.code, refused.printed.len()), (Some(1), 0));
    assert!(refused.stderr.contains("root/sudo privileges"));
}
