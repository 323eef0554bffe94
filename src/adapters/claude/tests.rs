use std::collections::BTreeMap;

use chrono::DateTime;
use proptest::prelude::*;
use serde_json::json;
use trinity_agent_protocol::{Exit, LineStream, StopReason};

use super::super::testing::{self, exited, failure, fixture, kind, stopped, task};
use super::super::transcript::{Block, Kind};
use super::super::{Conclusion, Env, Event, RunResult};
use super::*;
use crate::domain::execution::{ErrorClass, Usage, Verdict};

/// Every captured output of the real CLI.
const FIXTURES: &[testing::Fixture] = &[
    ("budget", fixture!("budget")),
    ("err400", fixture!("err400")),
    ("err529", fixture!("err529")),
    ("maxturns", fixture!("maxturns")),
    ("mcp", fixture!("mcp")),
    ("partial", fixture!("partial")),
    ("replay", fixture!("replay")),
    ("resume_bad", fixture!("resume_bad")),
    ("t_json", fixture!("t_json")),
    ("tool_allowed", fixture!("tool_allowed")),
    ("tool_default", fixture!("tool_default")),
];

fn lines(name: &str) -> Vec<&'static [u8]> {
    testing::lines(FIXTURES, name)
}

fn claude() -> Claude {
    Claude::new(Runtime::ClaudeCode, Launcher::parse("claude").unwrap())
}

fn read<L: AsRef<[u8]>>(lines: impl IntoIterator<Item = L>) -> (Box<dyn Parser>, Vec<Event>) {
    testing::read(&claude(), lines)
}

fn conclusion(fixture: &str, exit: &Exit) -> Conclusion {
    read(lines(fixture)).0.finish(exit)
}

fn arguments(task: &TaskSpec) -> Vec<String> {
    claude().command(task).argv.split_off(1)
}

#[test]
fn a_plain_task_gets_the_flags_that_the_cli_needs() {
    assert_eq!(
        claude().command(&task()).argv,
        [
            "claude",
            "-p",
            "--output-format=stream-json",
            "--verbose",
            "--session-id=11111111-1111-4111-8111-111111111111",
            "--permission-mode=bypassPermissions",
            "--strict-mcp-config",
        ]
    );
}

#[test]
fn every_value_is_joined_to_its_flag() {
    let task = TaskSpec {
        model: Some("sonnet-4.5".to_owned()),
        system_prompt: Some("--be brief".to_owned()),
        max_turns: Some(7),
        protected_files: Vec::new(),
        mcp_config: Some("{}".to_owned()),
        ..task()
    };
    let command = claude().command(&task);
    for flag in [
        "--model=claude-sonnet-4-5",
        "--append-system-prompt=--be brief",
        "--max-turns=7",
        "--mcp-config=/run/files/x/mcp.json",
    ] {
        assert!(command.argv.iter().any(|argument| argument == flag), "{flag}");
    }
    assert!(command.argv[1..].iter().all(|argument| argument.starts_with('-')));
    assert_eq!(command.files[0].name, "mcp.json");
    assert_eq!(command.files[0].mode, 0o600);
}

#[test]
fn a_session_is_resumed_or_forked_under_a_known_id() {
    let resume = TaskSpec { session: Session::Resume { id: "a".to_owned() }, ..task() };
    assert!(arguments(&resume).contains(&"--resume=a".to_owned()));
    assert!(!arguments(&resume).iter().any(|argument| argument.starts_with("--session-id")));
    let session = Session::Fork { from: "a".to_owned(), id: "b".to_owned() };
    assert_eq!(session.id(), "b");
    let fork = arguments(&TaskSpec { session, ..task() });
    assert_eq!(fork[3..6], ["--resume=a", "--fork-session", "--session-id=b"]);
}

#[test]
fn root_never_bypasses_permissions() {
    let mut task = task();
    task.surroundings.user = RunUser::Root;
    assert!(arguments(&task).contains(&"--permission-mode=dontAsk".to_owned()));
    assert!(!arguments(&task).join(" ").contains("bypass"));
}

#[test]
fn a_tool_list_both_allows_and_hides() {
    let tools = ["Bash", "mcp__rt__ping", "Read"].map(String::from).to_vec();
    let some = arguments(&TaskSpec { tools: ToolSet::Only(tools), ..task() });
    for flag in
        ["--permission-mode=dontAsk", "--allowedTools=Bash,mcp__rt__ping,Read", "--tools=Bash,Read"]
    {
        assert!(some.contains(&flag.to_owned()), "{flag}");
    }
    let none = arguments(&TaskSpec { tools: ToolSet::Only(Vec::new()), ..task() });
    assert!(none.contains(&"--tools=".to_owned()));
    assert!(!none.iter().any(|argument| argument.starts_with("--allowedTools")));
}

#[test]
fn a_message_never_becomes_a_command_of_the_cli() {
    let stdin =
        |message: &str| claude().command(&TaskSpec { message: message.to_owned(), ..task() }).stdin;
    assert_eq!(stdin("/cost"), " /cost");
    assert_eq!(stdin("a/b"), "a/b");
    assert_eq!(stdin("--help"), "--help");
}

#[test]
fn the_environment_is_only_what_the_adapter_and_the_agent_give() {
    let mut task = task();
    let secrets = [("ANTHROPIC_API_KEY", "sk-1"), ("HOME", "/etc"), ("DISABLE_AUTOUPDATER", "0")];
    task.surroundings.secrets =
        Env(secrets.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    let command = claude().command(&task);
    let expected: BTreeMap<String, String> = [
        ("ANTHROPIC_API_KEY", "sk-1"),
        ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1"),
        ("CLAUDE_CODE_MAX_RETRIES", "3"),
        ("DISABLE_AUTOUPDATER", "1"),
        ("DISABLE_ERROR_REPORTING", "1"),
        ("DISABLE_TELEMETRY", "1"),
        ("HOME", "/workspace/.home"),
        ("LANG", "C.UTF-8"),
        ("PATH", "/usr/bin:/bin"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    assert_eq!(command.env.0, expected);
    assert!(!format!("{command:?}").contains("sk-1"));
}

#[test]
fn a_key_of_the_command_is_a_variable_and_no_argument() {
    let launcher = Launcher::parse("env ANTHROPIC_API_KEY=of-the-server node cli.js").unwrap();
    let claude = Claude::new(Runtime::ClaudeCode, launcher);
    let mut task = task();
    task.surroundings.secrets =
        Env([("ANTHROPIC_API_KEY".to_owned(), "of-the-agent".to_owned())].into());
    for command in [claude.command(&task), claude.version_command(&task.surroundings)] {
        assert_eq!(command.argv[..2], ["node", "cli.js"]);
        assert_eq!(command.env.0["ANTHROPIC_API_KEY"], "of-the-server");
        assert!(!command.argv.concat().contains("of-the-server"), "{:?}", command.argv);
    }
    assert!(claude.spawn_error(SpawnErrorClass::NotFound, "").starts_with("node not found"));
}

#[test]
fn the_version_is_the_first_word() {
    assert_eq!(claude().version(b"2.1.197 (Claude Code)\n").as_deref(), Some("2.1.197"));
    assert_eq!(claude().version(b"bash: no such thing"), None);
    assert_eq!(claude().version(b""), None);
    let surroundings = task().surroundings;
    assert_eq!(claude().version_command(&surroundings).argv, ["claude", "--version"]);
}

#[test]
fn a_missing_cli_is_named_with_the_way_out() {
    assert_eq!(
        claude().spawn_error(SpawnErrorClass::NotFound, "ENOENT"),
        "claude not found; install it or create the agent with runtime \"demo\""
    );
}

#[test]
fn a_run_with_a_tool_call_completes_with_all_its_figures() {
    let (parser, events) = read(lines("tool_allowed"));
    let Conclusion { verdict, outcome, session_id } = parser.finish(&exited(0));
    assert_eq!(verdict, Verdict::Completed);
    assert_eq!(outcome.response.as_deref(), Some("tool said: hi\n0"));
    assert_eq!(outcome.cost_usd_micros, Some(4_270), "0.0042699999999999995 is rounded");
    assert_eq!(
        outcome.usage,
        Some(Usage {
            input_tokens: 310,
            output_tokens: 92,
            cache_read_tokens: 90,
            cache_creation_tokens: 60
        })
    );
    assert_eq!(outcome.num_turns, Some(2));
    assert_eq!(outcome.context_used, Some(110 + 20 + 30));
    assert_eq!(outcome.context_max, Some(1_000_000));
    assert_eq!(outcome.model_used.as_deref(), Some("claude-opus-4-8"));
    assert_eq!(outcome.tool_call_count, 1);
    assert_eq!(outcome.duration_ms, Some(1_500));
    assert_eq!(session_id.as_deref(), Some("d2c11e3b-6071-4be5-ad16-e7d6de0f25ab"));
    let kinds: Vec<&str> = events.iter().map(kind).collect();
    assert_eq!(kinds, ["init", "tool_use", "tool_result", "text", "result"]);
    assert_eq!(
        events[1],
        Event::ToolUse {
            id: "toolu_mock_0466a2deba59".to_owned(),
            name: "Bash".to_owned(),
            input: json!({"command": "echo hi; id -u"}),
        }
    );
}

#[test]
fn the_first_line_tells_session_model_version_and_servers() {
    let (_, events) = read(lines("mcp"));
    let Event::Init { session_id, model, cli_version, mcp_servers } = &events[0] else {
        panic!("{events:?}")
    };
    assert_eq!(session_id.as_deref(), Some("0dd5d882-ba51-4612-8737-551f9073b9a7"));
    assert_eq!(model.as_deref(), Some("claude-opus-4-8"), "without the mark [1m]");
    assert_eq!(cli_version.as_deref(), Some("2.1.197"));
    let servers: Vec<_> =
        mcp_servers.iter().map(|server| (server.name.as_str(), server.status.as_str())).collect();
    assert_eq!(servers, [("rt", "connected"), ("dead", "failed")]);
}

#[test]
fn the_answer_of_a_tool_may_be_a_string_or_an_array() {
    let answer = |fixture| {
        let (_, events) = read(lines(fixture));
        events.into_iter().find_map(|event| match event {
            Event::ToolResult { is_error, content, .. } => Some((is_error, content)),
            _ => None,
        })
    };
    assert_eq!(answer("tool_allowed"), Some((false, "hi\n0".to_owned())));
    assert_eq!(answer("mcp"), Some((false, "pong {\"x\": \"1\"}".to_owned())));
    assert_eq!(answer("tool_default"), Some((true, "Contains simple_expansion".to_owned())));
}

#[test]
fn a_denied_tool_does_not_fail_the_run() {
    assert_eq!(conclusion("tool_default", &exited(0)).verdict, Verdict::Completed);
}

#[test]
fn an_api_failure_is_told_by_a_success_that_is_an_error() {
    let bad = conclusion("err400", &exited(1));
    assert_eq!(failure(&bad), (ErrorClass::Api, "API Error: 400 mock error 400"));
    assert_eq!(bad.outcome.response, None, "the CLI's own words are no answer");
    assert_eq!(bad.outcome.model_used.as_deref(), Some("claude-opus-4-8"));
    let overloaded = conclusion("err529", &exited(1));
    assert_eq!(failure(&overloaded).0, ErrorClass::Api);
}

#[test]
fn a_retry_is_shown() {
    let (_, events) = read(lines("err529"));
    assert_eq!(
        events[1],
        Event::Retry {
            attempt: 1,
            attempts_max: Some(10),
            status: Some(529),
            delay_ms: Some(596),
            error: Some("overloaded".to_owned()),
        }
    );
}

#[test]
fn the_bounds_of_a_run_have_classes_of_their_own() {
    let turns = conclusion("maxturns", &exited(1));
    assert_eq!(failure(&turns), (ErrorClass::MaxTurns, "Reached maximum number of turns (2)"));
    assert_eq!(turns.outcome.cost_usd_micros, Some(3_845));
    assert_eq!(turns.outcome.num_turns, Some(3));
    let budget = conclusion("budget", &exited(1));
    assert_eq!(failure(&budget), (ErrorClass::Budget, "Reached maximum budget ($0.001)"));
    assert_eq!(budget.outcome.cost_usd_micros, Some(1_265));
    assert_eq!(budget.outcome.usage.unwrap().input_tokens, 100, "`usage` itself says 0");
}

#[test]
fn a_session_that_is_gone_is_named() {
    let (class, error) = (ErrorClass::Exit, "No conversation found with session ID: f9ca444a");
    let gone = conclusion("resume_bad", &exited(1));
    assert_eq!(failure(&gone).0, class);
    assert!(failure(&gone).1.starts_with(error));
}

#[test]
fn a_result_alone_is_enough() {
    let alone = conclusion("t_json", &exited(0));
    assert_eq!(alone.verdict, Verdict::Completed);
    assert_eq!(alone.outcome.response.as_deref(), Some("mock reply: hello"));
    assert_eq!(alone.session_id.as_deref(), Some("b96521c5-b604-453e-b4e4-46debd8d9629"));
}

#[test]
fn cost_is_cumulative_and_turns_are_not() {
    let two = conclusion("replay", &exited(0));
    assert_eq!(two.outcome.cost_usd_micros, Some(3_380));
    assert_eq!(two.outcome.num_turns, Some(2));
    assert_eq!(two.outcome.usage.unwrap().input_tokens, 200);
    assert_eq!(two.outcome.response.as_deref(), Some("mock reply: two"));
}

#[test]
fn an_interrupted_turn_does_not_lose_the_cost_of_the_one_before() {
    let aborted = br#"{"type":"result","subtype":"error_during_execution","is_error":true,
        "num_turns":1,"total_cost_usd":0,"modelUsage":{},"errors":["aborted"]}"#
        .as_slice();
    let (parser, _) = read(lines("t_json").into_iter().chain([aborted]));
    let conclusion = parser.finish(&stopped(StopReason::Cancel));
    assert_eq!(conclusion.outcome.cost_usd_micros, Some(1_690));
    assert_eq!(conclusion.outcome.usage.unwrap().output_tokens, 42);
}

#[test]
fn partial_messages_add_nothing_to_the_answer() {
    let partial = conclusion("partial", &exited(0));
    assert_eq!(partial.outcome.response.as_deref(), Some("chunk0 chunk1 chunk2 "));
    let (_, events) = read(lines("partial"));
    assert_eq!(events.iter().filter(|event| kind(event) == "text").count(), 1);
}

#[test]
fn success_needs_a_result_a_zero_and_no_stop() {
    let mut without_result = lines("tool_allowed");
    without_result.pop();
    let (parser, _) = read(without_result);
    let ended = parser.finish(&exited(0));
    assert_eq!(failure(&ended), (ErrorClass::Exit, "claude exited with code 0 without a result"));
    assert_eq!(ended.outcome.response.as_deref(), Some("tool said: hi\n0"), "what there is of it");

    let complaint = Exit { stderr_tail: "warning\nError: boom\n".to_owned(), ..exited(3) };
    let ended = conclusion("tool_allowed", &complaint);
    let error = "claude exited with code 3: Error: boom";
    assert_eq!(failure(&ended), (ErrorClass::Exit, error));

    let killed = Exit { code: None, signal: Some(9), ..exited(0) };
    let ended = conclusion("tool_allowed", &killed);
    assert_eq!(failure(&ended), (ErrorClass::Exit, "claude was ended by signal 9"));
}

#[test]
fn a_stopped_run_is_never_a_success() {
    for (reason, class) in [
        (StopReason::Cancel, ErrorClass::Exit),
        (StopReason::AgentStopped, ErrorClass::Lost),
        (StopReason::Orphan, ErrorClass::Exit),
        (StopReason::Finished, ErrorClass::Exit),
        (StopReason::Timeout, ErrorClass::Timeout),
        (StopReason::AgentServerLost, ErrorClass::Lost),
    ] {
        let ended = conclusion("tool_allowed", &stopped(reason));
        assert_eq!(failure(&ended).0, class, "{reason:?}");
        assert_eq!(ended.outcome.cost_usd_micros, Some(4_270), "{reason:?}");
    }
}

#[test]
fn a_lost_run_has_no_exit_of_its_own() {
    let lost = Exit { lost: true, code: None, ..exited(0) };
    let ended = conclusion("tool_allowed", &lost);
    assert_eq!(failure(&ended).0, ErrorClass::Lost);
    assert_eq!((ended.outcome.exit, ended.outcome.duration_ms), (None, None));
}

#[test]
fn the_same_line_counts_once() {
    let mut parser = claude().parser();
    let line = lines("tool_allowed")[1];
    assert_eq!(parser.parse(5, LineStream::Stdout, line).len(), 1);
    assert_eq!(parser.parse(5, LineStream::Stdout, line), []);
    assert_eq!(parser.parse(4, LineStream::Stdout, line), []);
    assert_eq!(parser.finish(&exited(0)).outcome.tool_call_count, 1);
}

#[test]
fn standard_error_is_never_read_as_output() {
    let mut parser = claude().parser();
    let result = lines("t_json")[0];
    assert_eq!(parser.parse(1, LineStream::Stderr, result), [Event::Raw]);
    assert_eq!(failure(&parser.finish(&exited(0))).0, ErrorClass::Exit);
}

#[test]
fn the_session_is_the_one_that_the_cli_reports() {
    let (parser, _) = read([br#"{"type":"system","subtype":"init","session_id":"other"}"#]);
    assert_eq!(parser.finish(&exited(0)).session_id.as_deref(), Some("other"));
}

#[test]
fn words_of_a_subagent_are_no_part_of_the_answer() {
    let line = br#"{"type":"assistant","parent_tool_use_id":"toolu_1",
        "message":{"model":"claude-haiku","content":[{"type":"text","text":"inner"}]}}"#;
    let (parser, events) = read([line]);
    assert_eq!(kind(&events[0]), "text");
    let outcome = parser.finish(&exited(1)).outcome;
    assert_eq!((outcome.response, outcome.model_used), (None, None));
}

#[test]
fn an_error_text_is_bounded() {
    let line = json!({"type": "result", "is_error": true, "result": "ä".repeat(100_000)});
    let (parser, _) = read([line.to_string().into_bytes()]);
    let ended = parser.finish(&exited(1));
    let (_, error) = failure(&ended);
    assert!(error.len() <= super::super::ERROR_BYTES_MAX && error.ends_with('…'));
}

#[test]
fn costs_that_are_no_amounts_are_left_out() {
    let cost = |text: &str| {
        let line = format!(r#"{{"type":"result","is_error":false,"total_cost_usd":{text}}}"#);
        let (parser, events) = read([line.as_bytes()]);
        assert_eq!(events.len(), 1);
        parser.finish(&exited(0)).outcome.cost_usd_micros
    };
    assert_eq!(cost("0.1"), Some(100_000));
    assert_eq!(cost("0.30000000000000004"), Some(300_000));
    assert_eq!(cost("0.0000004"), Some(0));
    assert_eq!(cost("12"), Some(12_000_000));
    for text in ["-1", "1e300", "1e999", "NaN", "\"1\"", "null", "[]"] {
        assert_eq!(cost(text), None, "{text}");
    }
}

#[test]
fn lines_without_a_meaning_stay_raw() {
    for line in [
        b"".as_slice(),
        b"not json",
        b"\xff\xfe\x00",
        b"{\"type\":\"assist",
        b"[1,2]",
        b"null",
        b"{}",
        br#"{"type":"dance"}"#,
        br#"{"type":7}"#,
        br#"{"type":"assistant"}"#,
        br#"{"type":"assistant","message":{"content":[]}}"#,
        br#"{"type":"user","message":{"content":[{"type":"image"}]}}"#,
    ] {
        let (_, events) = read([line]);
        assert_eq!(events, [Event::Raw], "{}", String::from_utf8_lossy(line));
    }
}

#[test]
fn a_result_without_a_verdict_is_an_error() {
    let (parser, events) = read([br#"{"type":"result"}"#]);
    assert_eq!(events, [Event::Result(RunResult { is_error: true, ..RunResult::default() })]);
    assert_eq!(failure(&parser.finish(&exited(0))).0, ErrorClass::Exit);
}

#[test]
fn entries_show_each_kind_of_line() {
    let at = DateTime::from_timestamp_millis(1_795_000_000_120).unwrap();
    let entry = |line| testing::entry(3, at, LineStream::Stdout, line);
    let run = lines("tool_allowed");
    assert_eq!(entry(run[0]).kind, Kind::System);
    assert_eq!(entry(run[0]).raw.unwrap().as_bytes(), run[0]);
    let call = serde_json::to_value(entry(run[1])).unwrap();
    assert_eq!(
        call,
        json!({
            "seq": 3,
            "at": "2026-11-18T11:06:40.120Z",
            "stream": "stdout",
            "kind": "assistant",
            "blocks": [{
                "type": "tool_use",
                "id": "toolu_mock_0466a2deba59",
                "name": "Bash",
                "input": {"command": "echo hi; id -u"},
            }],
        })
    );
    assert_eq!(
        entry(run[2]).blocks,
        [Block::ToolResult {
            tool_use_id: "toolu_mock_0466a2deba59".to_owned(),
            is_error: false,
            content: "hi\n0".to_owned(),
        }]
    );
    let last = entry(run[4]);
    assert_eq!(last.kind, Kind::Result);
    assert_eq!(last.blocks, [Block::Text { text: "tool said: hi\n0".to_owned() }]);
    let broken = entry(b"half \xff");
    assert_eq!((broken.kind, broken.blocks.len()), (Kind::Raw, 0));
    assert_eq!(broken.raw.as_deref(), Some("half \u{fffd}"));
    let stderr = testing::entry(4, at, LineStream::Stderr, b"{\"type\":\"result\"}");
    assert_eq!(stderr.kind, Kind::Stderr);
    assert_eq!(stderr.raw, None);
}

proptest! {
    #[test]
    fn no_bytes_panic_and_every_line_is_an_event(
        lines in prop::collection::vec(
            prop_oneof![testing::mutated(FIXTURES), prop::collection::vec(any::<u8>(), 0..300)],
            0..12,
        ),
        code in any::<i32>(),
    ) {
        let mut parser = claude().parser();
        for (line, seq) in lines.iter().zip(1..) {
            prop_assert!(!parser.parse(seq, LineStream::Stdout, line).is_empty());
            let entry = testing::entry(seq, DateTime::UNIX_EPOCH, LineStream::Stdout, line);
            prop_assert!(entry.raw.is_some() || !entry.blocks.is_empty());
        }
        let conclusion = parser.finish(&exited(code));
        prop_assert!(code == 0 || conclusion.verdict != Verdict::Completed);
    }
}

#[test]
fn protected_files_are_rules_against_every_edit() {
    let protected_files = vec!["out/keep.txt".to_owned(), "out/a/".to_owned()];
    let argv = arguments(&TaskSpec { protected_files, ..task() });
    let rules = "--disallowedTools=Edit(out/keep.txt),Edit(out/a/**)";
    assert!(argv.iter().any(|word| word == rules), "{argv:?}");
    assert!(!arguments(&task()).iter().any(|word| word.starts_with("--disallowed")));
}
