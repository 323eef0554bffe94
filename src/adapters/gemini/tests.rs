use std::collections::BTreeMap;

use chrono::DateTime;
use proptest::prelude::*;
use serde_json::{Value, json};
use trinity_agent_protocol::{Exit, LineStream, StopReason};

use super::super::testing::{self, exited, failure, fixture, kind, stopped, task};
use super::super::tools::ToolSet;
use super::super::transcript::{Block, Kind};
use super::super::{Conclusion, Env, Event, RunUser};
use super::*;
use crate::domain::execution::{Usage, Verdict};

/// Every captured output of the real CLI.
const FIXTURES: &[testing::Fixture] = &[
    ("g_err400", fixture!("g_err400")),
    ("g_loop", fixture!("g_loop")),
    ("g_maxturns", fixture!("g_maxturns")),
    ("g_stream", fixture!("g_stream")),
    ("g_tool_denied", fixture!("g_tool_denied")),
    ("g_tool_yolo", fixture!("g_tool_yolo")),
];

fn lines(name: &str) -> Vec<&'static [u8]> {
    testing::lines(FIXTURES, name)
}

fn gemini() -> Gemini {
    Gemini::new(Launcher::parse("gemini").unwrap())
}

fn read<L: AsRef<[u8]>>(lines: impl IntoIterator<Item = L>) -> (Box<dyn Parser>, Vec<Event>) {
    testing::read(&gemini(), lines)
}

fn conclusion(fixture: &str, exit: &Exit) -> Conclusion {
    read(lines(fixture)).0.finish(exit)
}

fn only(tools: &[&str]) -> ToolSet {
    ToolSet::Only(tools.iter().map(|tool| (*tool).to_owned()).collect())
}

/// The content of a file that the run brings along.
fn file(task: &TaskSpec, name: &str) -> Option<String> {
    let files = gemini().command(task).files;
    files.into_iter().find(|file| file.name == name).map(|file| file.content)
}

fn settings(task: &TaskSpec) -> Value {
    serde_json::from_str(&file(task, "settings.json").unwrap()).unwrap()
}

#[test]
fn a_shell_prepares_the_files_and_becomes_the_cli() {
    let argv = gemini().command(&task()).argv;
    assert_eq!(argv[..2], ["/bin/sh", "-c"]);
    assert_eq!(
        argv[3..],
        [
            "gemini",
            "/run/files/x",
            "gemini",
            "--output-format=stream-json",
            "--session-id=11111111-1111-4111-8111-111111111111",
        ]
    );
    assert!(!argv[2].contains("11111111"), "nothing of a task is ever read as a script");
}

#[test]
fn the_options_of_a_task_become_flags_and_settings() {
    let task = TaskSpec {
        model: Some("3-pro".to_owned()),
        system_prompt: Some("be brief".to_owned()),
        max_turns: Some(7),
        session: Session::Resume { id: "a".to_owned() },
        ..task()
    };
    let argv = gemini().command(&task).argv;
    assert!(argv.contains(&"--resume=a".to_owned()));
    assert!(argv.contains(&"--model=gemini-3-pro-preview".to_owned()));
    assert!(!argv.iter().any(|argument| argument.starts_with("--session-id")));
    assert_eq!(settings(&task)["model"]["maxSessionTurns"], 7);
    assert_eq!(file(&task, "system.md").as_deref(), Some("be brief"));
}

#[test]
fn a_plain_task_has_the_settings_that_the_cli_needs_and_no_more() {
    let settings = settings(&task());
    assert_eq!(settings["security"]["auth"]["selectedType"], "gemini-api-key");
    assert_eq!(settings["context"]["fileName"], json!(["system.md", "workspace/GEMINI.md"]));
    assert_eq!(settings["general"]["maxAttempts"], 3);
    assert_eq!((&settings["model"], &settings["mcpServers"]), (&Value::Null, &Value::Null));
    assert_eq!(file(&task(), "system.md"), None);
    assert!(gemini().command(&task()).files.iter().all(|file| file.mode == 0o600));
}

#[test]
fn a_tool_list_denies_everything_else() {
    let policy =
        |tools: &[&str]| file(&TaskSpec { tools: only(tools), ..task() }, "policy.toml").unwrap();
    let rules = |tools: &[&str]| {
        let policy: toml::Table = policy(tools).parse().unwrap();
        policy["rule"].as_array().unwrap().clone()
    };
    let none = rules(&[]);
    assert_eq!(none.len(), 1);
    assert_eq!((&none[0]["toolName"], &none[0]["decision"]), (&"*".into(), &"deny".into()));
    let some = rules(&["read_file", "mcp__git", "mcp__hub__search"]);
    assert_eq!(some[0], none[0]);
    let allowed = |rule: &toml::Value| {
        assert_eq!(rule["decision"], "allow".into());
        assert!(rule["priority"].as_integer() > some[0]["priority"].as_integer());
        let field = |name: &str| rule.get(name).and_then(toml::Value::as_str).map(str::to_owned);
        (field("mcpName"), field("toolName"))
    };
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(
        some[1..].iter().map(allowed).collect::<Vec<_>>(),
        [(None, text("read_file")), (text("git"), None), (text("hub"), text("search")),]
    );
}

#[test]
fn without_a_list_everything_is_allowed_but_never_as_root() {
    let policy: toml::Table = file(&task(), "policy.toml").unwrap().parse().unwrap();
    assert_eq!(policy["rule"][0]["toolName"], "*".into());
    assert_eq!(policy["rule"][0]["decision"], "allow".into());
    let mut task = task();
    task.surroundings.user = RunUser::Root;
    assert_eq!(file(&task, "policy.toml"), None);
    assert!(!gemini().command(&task).argv.concat().contains("yolo"));
}

#[test]
fn what_cannot_be_enforced_is_refused() {
    let check = |tool: &str| gemini().tools(&[tool.to_owned()]);
    assert!(matches!(check("mcp__my_server__log"), Err(ToolError::Ambiguous { .. })));
    assert!(matches!(check("Bash"), Err(ToolError::OfOtherCli { .. })));
    for tool in ["run_shell_command", "mcp__my-server__read_log", "mcp__git__*"] {
        assert_eq!(check(tool), Ok(()), "{tool}");
    }
}

#[test]
fn a_message_is_never_a_command_nor_a_path() {
    let stdin =
        |message: &str| gemini().command(&TaskSpec { message: message.to_owned(), ..task() }).stdin;
    assert_eq!(stdin("/cost"), " /cost");
    assert_eq!(stdin("--help"), "--help");
    assert_eq!(stdin("@made and a@b.org"), "\\@made and a\\@b.org");
    assert_eq!(stdin("@\"a b\" @.env @/etc"), "\\@\"a b\" \\@.env \\@/etc");
    assert_eq!(stdin("a \\@b @ @, me@"), "a \\@b @ @, me@");
    let task = TaskSpec { message: "@made".to_owned(), ..task() };
    let explained = file(&task, "system.md").unwrap();
    assert!(explained.contains("\\@ stands for a plain @"), "{explained}");
}

#[test]
fn a_system_prompt_imports_nothing() {
    let task = TaskSpec { system_prompt: Some("see @./secret".to_owned()), ..task() };
    assert!(file(&task, "system.md").unwrap().ends_with("\n\nsee \\@./secret"));
}

#[test]
fn the_workspace_is_trusted_only_where_mcp_servers_need_it() {
    let trust =
        |task: &TaskSpec| gemini().command(task).env.0["GEMINI_CLI_TRUST_WORKSPACE"].clone();
    assert_eq!(trust(&task()), "false");
    let mcp_config = json!({"mcpServers": {"git": {"command": "git-mcp"}}}).to_string();
    let task = TaskSpec { mcp_config: Some(mcp_config), ..task() };
    assert_eq!(trust(&task), "true");
    assert_eq!(settings(&task)["mcpServers"]["git"]["command"], "git-mcp");
    let flag = "--allowed-mcp-server-names=git".to_owned();
    assert!(gemini().command(&task).argv.contains(&flag));
}

#[test]
fn the_environment_is_only_what_the_adapter_and_the_agent_give() {
    let mut task = task();
    let secrets = [("GEMINI_API_KEY", "k-1"), ("HOME", "/etc"), ("GEMINI_CLI_NO_RELAUNCH", "no")];
    task.surroundings.secrets =
        Env(secrets.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    let command = gemini().command(&task);
    let expected: BTreeMap<String, String> = [
        ("COLORTERM", "truecolor"),
        ("GEMINI_API_KEY", "k-1"),
        ("GEMINI_CLI_HOME", "/run/files/x"),
        ("GEMINI_CLI_NO_RELAUNCH", "true"),
        ("GEMINI_CLI_TRUST_WORKSPACE", "false"),
        ("GEMINI_SYSTEM_MD", "false"),
        ("HOME", "/workspace/.home"),
        ("LANG", "C.UTF-8"),
        ("NODE_OPTIONS", "--require \"/run/files/x/blocking.cjs\""),
        ("NO_COLOR", "1"),
        ("PATH", "/usr/bin:/bin"),
        ("TMPDIR", "/run/files/x"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    assert_eq!(command.env.0, expected);
    assert!(!format!("{command:?}").contains("k-1"));
}

#[test]
fn a_key_of_the_command_is_a_variable_and_no_argument() {
    let gemini = Gemini::new(Launcher::parse("env GEMINI_API_KEY=of-the-server gemini").unwrap());
    let task = task();
    for command in [gemini.command(&task), gemini.version_command(&task.surroundings)] {
        assert!(command.argv.contains(&"gemini".to_owned()));
        assert!(!command.argv.contains(&"env".to_owned()));
        assert_eq!(command.env.0["GEMINI_API_KEY"], "of-the-server");
        assert!(!command.argv.concat().contains("of-the-server"), "{:?}", command.argv);
    }
}

#[test]
fn only_an_id_names_a_session() {
    assert!(gemini().is_session("019a2b3c-4d5e-7f60-8123-456789abcdef"));
    for id in ["latest", "5", "abc"] {
        assert!(!gemini().is_session(id), "{id} is a way to name the newest or the fifth one");
    }
}

#[test]
fn sessions_of_executions_of_one_minute_differ_in_their_first_digits() {
    let id = |text: &str| gemini().session_id(text.parse().unwrap());
    let one = id("019a2b3c-4d5e-7f60-8123-456789abcdef");
    let two = id("019a2b3c-4d5e-7f60-8123-456789abcdf0");
    assert_eq!(one, "efcdab89-6745-8381-a07f-5e4d3c2b9a01");
    assert_ne!(one[..8], two[..8]);
}

#[test]
fn the_version_is_the_first_word() {
    assert_eq!(gemini().version(b"0.61.0\n").as_deref(), Some("0.61.0"));
    assert_eq!(gemini().version(b"bash: no such thing"), None);
    let surroundings = task().surroundings;
    assert_eq!(gemini().version_command(&surroundings).argv, ["gemini", "--version"]);
}

#[test]
fn a_run_with_a_tool_call_completes_with_all_its_figures() {
    let (parser, events) = read(lines("g_tool_yolo"));
    let Conclusion { verdict, outcome, session_id } = parser.finish(&exited(0));
    assert_eq!(verdict, Verdict::Completed);
    assert!(outcome.response.unwrap().starts_with("tool said: {\"output\""));
    // 140 at 1.25, 60 at 0.125 and 84 at 10 dollars for a million.
    assert_eq!(outcome.cost_usd_micros, Some(1_023), "1022.5 is rounded");
    assert_eq!(
        outcome.usage,
        Some(Usage {
            input_tokens: 140,
            output_tokens: 84,
            cache_read_tokens: 60,
            cache_creation_tokens: 0
        })
    );
    assert_eq!(outcome.model_used.as_deref(), Some("gemini-2.5-pro"));
    assert_eq!((outcome.num_turns, outcome.tool_call_count), (None, 1));
    assert_eq!(session_id.as_deref(), Some("0cdd307f-a1e6-4b59-a927-e5972ef55f4c"));
    let kinds: Vec<&str> = events.iter().map(kind).collect();
    assert_eq!(kinds, ["init", "text", "tool_use", "tool_result", "text", "result"]);
    let id = "run_shell_command__run_shell_command_1795243224328_0".to_owned();
    let input = json!({"command": "echo hi-from-tool; id -u"});
    let name = "run_shell_command".to_owned();
    assert_eq!(events[2], Event::ToolUse { id: id.clone(), name, input });
    let content = "hi-from-tool\n0".to_owned();
    assert_eq!(events[3], Event::ToolResult { id, is_error: false, content });
}

#[test]
fn a_model_that_the_cli_chose_is_told_at_the_end() {
    let (parser, events) = read(lines("g_stream"));
    let Event::Init { model, .. } = &events[0] else { panic!("{events:?}") };
    assert_eq!(*model, None, "`auto` is no model");
    let outcome = parser.finish(&exited(0)).outcome;
    assert!(outcome.model_used.unwrap().starts_with("gemini-3"));
    assert_eq!(outcome.response.as_deref(), Some("mock reply: hi"));
}

#[test]
fn a_model_without_a_price_costs_nobody_knows_what() {
    let cost = |models: Value| {
        let line = json!({"type": "result", "status": "success", "stats": {"models": models}});
        read([line.to_string()]).0.finish(&exited(0)).outcome.cost_usd_micros
    };
    let tokens = json!({"total_tokens": 1_000_000, "input_tokens": 1_000_000, "cached": 0});
    assert_eq!(cost(json!({"gemini-2.5-pro": tokens})), Some(1_250_000));
    assert_eq!(cost(json!({"gemini-2.5-pro": tokens, "gemini-99": tokens})), None);
    assert_eq!(cost(json!({})), None);
    assert_eq!(cost(json!({"gemini-2.5-pro": {"input_tokens": u64::MAX}})), None);
}

#[test]
fn thoughts_are_paid_for_like_words() {
    let line = json!({"type": "result", "status": "success", "stats":
        {"total_tokens": 100, "input_tokens": 40, "output_tokens": 10, "cached": 50}});
    let usage = read([line.to_string()]).0.finish(&exited(0)).outcome.usage.unwrap();
    assert_eq!((usage.input_tokens, usage.output_tokens, usage.cache_read_tokens), (0, 60, 40));
}

#[test]
fn deltas_are_one_text_and_the_answer_is_what_follows_the_last_tool() {
    let say = |text: &str| {
        json!({"type": "message", "role": "assistant", "content": text, "delta": true}).to_string()
    };
    let call = json!({"type": "tool_use", "tool_id": "t", "tool_name": "glob"}).to_string();
    let done = json!({"type": "result", "status": "success"}).to_string();
    let start = vec![say("I lo"), say("ok"), call];
    let end = vec![say("Fou"), say("nd")];
    let whole = [start.clone(), end, vec![done.clone()]].concat();
    let (parser, _) = read(whole.clone());
    assert_eq!(parser.finish(&exited(0)).outcome.response.as_deref(), Some("Found"));
    let (parser, _) = read(&whole[..5]);
    let broken = parser.finish(&exited(1));
    assert_eq!(broken.outcome.response.as_deref(), Some("I look\nFound"), "what there is of it");
    let (parser, _) = read([start, vec![done]].concat());
    assert_eq!(parser.finish(&exited(0)).outcome.response.as_deref(), Some("I look\n"));
}

#[test]
fn a_denied_tool_does_not_fail_the_run() {
    let (parser, events) = read(lines("g_tool_denied"));
    assert_eq!(parser.finish(&exited(0)).verdict, Verdict::Completed);
    let denied = |event: &Event| {
        matches!(event, Event::ToolResult { is_error: true, content, .. }
            if content.starts_with("Tool \"run_shell_command\" not found"))
    };
    assert!(events.iter().any(denied), "{events:?}");
}

#[test]
fn a_failure_has_a_class_of_its_own() {
    let api = conclusion("g_err400", &exited(144));
    assert_eq!(failure(&api).0, ErrorClass::Api);
    assert!(failure(&api).1.contains("mock error 400"));
    assert_eq!(api.outcome.cost_usd_micros, Some(0));
    let turns = conclusion("g_maxturns", &exited(53));
    assert_eq!(failure(&turns).0, ErrorClass::MaxTurns);
    assert_eq!(turns.outcome.tool_call_count, 2);
}

#[test]
fn a_run_that_gave_up_without_an_answer_has_failed() {
    let gave_up = conclusion("g_loop", &exited(0));
    assert_eq!(failure(&gave_up), (ErrorClass::Exit, "Loop detected, stopping execution"));
    let mut warned = lines("g_stream");
    warned.insert(2, lines("g_loop")[2]);
    assert_eq!(read(warned).0.finish(&exited(0)).verdict, Verdict::Completed);
}

#[test]
fn a_run_without_a_result_is_told_by_its_exit_and_its_last_error() {
    let ended = |code, stderr: &str| {
        let exit = Exit { stderr_tail: stderr.to_owned(), ..exited(code) };
        let conclusion = read(Vec::<&str>::new()).0.finish(&exit);
        let (class, error) = failure(&conclusion);
        (class, error.to_owned())
    };
    let stderr = "Ripgrep is not available.\nError resuming session: Invalid session identifier";
    let (class, error) = ended(42, stderr);
    assert_eq!(class, ErrorClass::Exit);
    assert_eq!(
        error,
        "gemini exited with code 42 without a result: \
         Error resuming session: Invalid session identifier"
    );
    assert_eq!(ended(41, "Invalid auth method selected.").0, ErrorClass::Api);
    assert_eq!(ended(53, "").0, ErrorClass::MaxTurns);
    assert_eq!(ended(127, "Error: gemini not found").0, ErrorClass::Spawn);
    assert_eq!(ended(0, "").0, ErrorClass::Exit, "an interrupt ends it with 0");
}

#[test]
fn a_stopped_run_is_never_a_success() {
    for (reason, class) in [
        (StopReason::Cancel, ErrorClass::Exit),
        (StopReason::AgentStopped, ErrorClass::Lost),
        (StopReason::Timeout, ErrorClass::Timeout),
    ] {
        let ended = conclusion("g_tool_yolo", &stopped(reason));
        assert_eq!(failure(&ended).0, class, "{reason:?}");
        assert_eq!(ended.outcome.cost_usd_micros, Some(1_023), "{reason:?}");
    }
}

#[test]
fn lines_without_a_meaning_stay_raw() {
    for line in [
        b"".as_slice(),
        b"YOLO mode is enabled.",
        b"\xff\xfe\x00",
        b"{\"type\":\"mess",
        b"[1,2]",
        b"{}",
        br#"{"type":"thought","content":"of another version"}"#,
        br#"{"type":"message","role":"narrator","content":"x"}"#,
        br#"{"type":"message","role":"assistant"}"#,
        br#"{"type":"tool_use"}"#,
        br#"{"type":"tool_result","tool_id":7}"#,
        br#"{"type":"error"}"#,
    ] {
        let (_, events) = read([line]);
        assert_eq!(events, [Event::Raw], "{}", String::from_utf8_lossy(line));
    }
}

#[test]
fn a_line_of_three_megabytes_is_read_and_half_of_one_changes_nothing() {
    let text = "ä".repeat(1_500_000);
    let long = json!({"type": "message", "role": "assistant", "content": text, "delta": true});
    let long = long.to_string().into_bytes();
    let mut whole = lines("g_tool_yolo");
    whole.insert(4, &long[..long.len() / 2]);
    assert_eq!(read(&whole).0.finish(&exited(0)).verdict, Verdict::Completed);
    whole[4] = &long;
    let outcome = read(&whole).0.finish(&exited(0)).outcome;
    assert!(outcome.response.unwrap().len() > 3_000_000);
}

#[test]
fn entries_show_each_kind_of_line() {
    let at = DateTime::from_timestamp_millis(1_795_000_000_120).unwrap();
    let entry = |line| testing::entry(3, at, LineStream::Stdout, line);
    let run = lines("g_tool_yolo");
    let kinds: Vec<Kind> = run.iter().map(|line| entry(line).kind).collect();
    let (tool, said) = (Kind::User, Kind::Assistant);
    assert_eq!(kinds, [Kind::System, Kind::User, said, tool, said, Kind::Result]);
    assert!(matches!(&entry(run[2]).blocks[0], Block::ToolUse { name, .. }
        if name == "run_shell_command"));
    let gave_up = entry(lines("g_loop")[2]);
    let text = "Loop detected, stopping execution".to_owned();
    assert_eq!((gave_up.kind, gave_up.blocks), (Kind::System, vec![Block::Text { text }]));
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
        let mut parser = gemini().parser();
        for (line, seq) in lines.iter().zip(1..) {
            prop_assert!(!parser.parse(seq, LineStream::Stdout, line).is_empty());
            let entry = testing::entry(seq, DateTime::UNIX_EPOCH, LineStream::Stdout, line);
            prop_assert!(entry.raw.is_some() || !entry.blocks.is_empty());
        }
        let conclusion = parser.finish(&exited(code));
        prop_assert!(code == 0 || conclusion.verdict != Verdict::Completed);
    }

    #[test]
    fn no_text_is_ever_read_as_a_path(text in "[@\\\\ a-z./\"{}\n]{0,40}") {
        let literal = home::literal(&text);
        let mut before = None;
        for (index, c) in literal.char_indices() {
            let next = literal[index + 1..].chars().next();
            let is_inert = next.is_none_or(|next| " \t\n\r,;!?()[]{}".contains(next));
            prop_assert!(c != '@' || before == Some('\\') || is_inert, "{literal}");
            before = Some(c);
        }
        prop_assert_eq!(literal.replace("\\@", "@"), text.replace("\\@", "@"));
    }
}
