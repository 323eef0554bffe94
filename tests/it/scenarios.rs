//! Everything a CLI can do to its supervisor, through the whole system: the right status, the right
//! class, nothing left running, and the next run starts.

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::docker;
use crate::server::{Server, until};

/// What a script must come to.
struct Scenario {
    name: &'static str,
    ops: Vec<String>,
    status: &'static str,
    class: Option<&'static str>,
    check: fn(&Value),
}

fn scenario(
    name: &'static str,
    ops: &[&str],
    status: &'static str,
    class: Option<&'static str>,
    check: fn(&Value),
) -> Scenario {
    let ops = ops.iter().map(|op| (*op).to_owned()).collect();
    Scenario { name, ops, status, class, check }
}

const NOTHING: fn(&Value) = |_| {};

/// A result line of a CLI whose model refused the request.
const API_ERROR: &str = concat!(
    r#"raw {"type":"result","subtype":"success","is_error":true,"api_error_status":400,"#,
    r#""result":"API Error: 400 bad request","num_turns":1,"total_cost_usd":0}\n"#
);

/// Which scripts print a line that no adapter knows, and what is kept of it.
const UNKNOWN_LINES: [(&str, &str); 3] = [
    ("a novel event", r#"{"type":"novel","x":1}"#),
    ("no JSON", "hello there"),
    ("bytes", "\u{fffd}\u{fffd} broken"),
];

fn well_behaved() -> Vec<Scenario> {
    vec![
        scenario("words", &["say one", "say two"], "completed", None, |record| {
            assert_eq!(record["response"], "one\ntwo");
            assert_eq!(record["model_used"], "demo");
            assert!(record["claude_session_id"].is_string());
        }),
        scenario(
            "tools",
            &[r#"tool Read {"file_path":"a"} => text"#, r#"tool Bash {"command":"ls"} => a b"#],
            "completed",
            None,
            |record| assert_eq!(record["tool_call_count"], 2),
        ),
        scenario("cost", &["say x", "result success 0.0123"], "completed", None, |record| {
            assert_eq!(record["cost"], 0.0123);
        }),
        scenario("grandchildren", &["fork 3", "say done"], "completed", None, NOTHING),
        scenario("a shell", &["exec echo from-a-shell"], "completed", None, NOTHING),
        scenario("bytes", &[r"raw \xff\xfe broken\n", "say ok"], "completed", None, NOTHING),
        scenario("no JSON", &[r"raw hello there\n", "say ok"], "completed", None, NOTHING),
        scenario(
            "a novel event",
            &[r#"raw {"type":"novel","x":1}\n"#, "say ok"],
            "completed",
            None,
            NOTHING,
        ),
        scenario("a long line", &["big 3000000"], "completed", None, NOTHING),
        scenario(
            "much on stderr",
            &["exec yes complaint | head -c 5000000 >&2", "say ok"],
            "completed",
            None,
            NOTHING,
        ),
    ]
}

fn ill_behaved() -> Vec<Scenario> {
    vec![
        scenario("the model refuses", &[API_ERROR, "exit 1"], "failed", Some("api"), |record| {
            assert!(record["error"].as_str().unwrap().contains("400"), "{record}");
        }),
        scenario(
            "turns are used up",
            &["say x", "result error_max_turns 0.5"],
            "failed",
            Some("max_turns"),
            |record| assert_eq!(record["cost"], 0.5),
        ),
        scenario("no result", &["say x", "result none 0"], "failed", Some("exit"), |record| {
            assert_eq!(record["exit_code"], 0);
        }),
        scenario(
            "a crash in a line",
            &[r#"raw {"type":"assis"#, "abort"],
            "failed",
            Some("exit"),
            NOTHING,
        ),
        scenario("code 143", &["exit 143"], "failed", Some("exit"), |record| {
            assert_eq!(record["exit_code"], 143);
        }),
        scenario("code 3 after words", &["say x", "exit 3"], "failed", Some("exit"), |record| {
            assert_eq!(record["exit_code"], 3);
            assert_eq!(record["response"], "x", "what was said is kept");
        }),
        scenario("an unknown op", &["say x", "dance"], "failed", None, |record| {
            let error = record["error"].as_str().unwrap();
            assert!(error.contains("dance") && error.contains('3'), "{error}");
        }),
        scenario(
            "a result and no exit",
            &["say x", "result success 0.01", "hang"],
            "failed",
            Some("exit"),
            |record| assert_eq!(record["response"], "x"),
        ),
        scenario("silence", &["hang"], "failed", Some("timeout"), NOTHING),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_script_ends_as_it_should_and_leaves_nothing() {
    let server = Server::start_with(&[("TRINITY_GRACE_MS", "500")]).await;
    let config = json!({
        "name": "scout",
        "runtime": "demo",
        "max_parallel_tasks": 32,
        "execution_timeout_seconds": 20,
    });
    server.agent_with(config).await;
    let mut started = Vec::new();
    for scenario in well_behaved().into_iter().chain(ill_behaved()) {
        let ops: Vec<&str> = scenario.ops.iter().map(String::as_str).collect();
        let id = server.script("scout", &ops).await;
        started.push((scenario, id));
    }
    for (scenario, id) in &started {
        let record = server.until_ended(id).await;
        assert_eq!(record["status"], scenario.status, "{}: {record}", scenario.name);
        if let Some(class) = scenario.class {
            assert_eq!(record["error_class"], class, "{}: {record}", scenario.name);
        }
        (scenario.check)(&record);
        Server::until_gone(id).await;
    }
    for (name, text) in UNKNOWN_LINES {
        let (_, id) = started.iter().find(|(scenario, _)| scenario.name == name).unwrap();
        let lines = server.lines(id).await;
        let kept: Vec<&Value> = lines.iter().filter(|line| line["kind"] == "raw").collect();
        let texts: Vec<&Value> = kept.iter().map(|line| &line["raw"]).collect();
        assert_eq!(texts, [text], "{name}");
    }
    let slots = server.get("/api/agents/scout/capacity").await.expect(200);
    assert_eq!(slots["active_slots"], 0, "every slot is back");
    let next = server.script("scout", &["say next"]).await;
    assert_eq!(server.until_ended(&next).await["status"], "completed");
    server.audit().await;
}

#[tokio::test]
async fn a_task_ends_at_the_time_that_it_was_given_itself() {
    let server = Server::start_with(&[("TRINITY_GRACE_MS", "500")]).await;
    server.agent("scout").await;
    let message = "#!demo\nsay begun\nhang";
    let task = json!({"message": message, "async_mode": true, "timeout_seconds": 2});
    let taken = server.post("/api/agents/scout/task", task).await.expect(202);
    let id = taken["execution_id"].as_str().unwrap();
    let ended = server.until_ended(id).await;
    assert_eq!((&ended["status"], &ended["error_class"]), (&json!("failed"), &json!("timeout")));
    Server::until_gone(id).await;
    server.audit().await;
}

#[tokio::test]
async fn a_hundred_thousand_lines_are_all_there() {
    let server = Server::start().await;
    server.agent("scout").await;
    let lines = r"line\n".repeat(100_000);
    let id = server.script("scout", &[&format!("raw {lines}"), "say done"]).await;
    assert_eq!(server.until_ended(&id).await["status"], "completed");
    let path = format!("/api/agents/scout/executions/{id}/log?after=99990&limit=1000");
    let page = server.get(&path).await.expect(200);
    assert!(page["total"].as_u64().unwrap() >= 100_000, "{}", page["total"]);
    server.audit().await;
}

#[tokio::test]
async fn a_line_of_three_megabytes_is_whole_and_what_follows_it_is_there() {
    let server = Server::start().await;
    server.agent("scout").await;
    let id = server.script("scout", &["say before", "big 3000000", "say after"]).await;
    let ended = server.until_ended(&id).await;
    assert_eq!(ended["response"], "before\nafter", "{}", ended["error"]);
    let lines = server.lines(&id).await;
    let text = |line: &Value| line["blocks"][0]["text"].as_str().unwrap_or_default().to_owned();
    let texts: Vec<String> = lines.iter().map(text).filter(|text| !text.is_empty()).collect();
    let shapes: Vec<_> = texts.iter().map(|text| (text.len(), &text[..2])).collect();
    assert_eq!(shapes[..3], [(6, "be"), (3_000_000, "xx"), (5, "af")]);
    assert_eq!(lines.last().unwrap()["kind"], "result");
    server.audit().await;
}

#[tokio::test]
async fn a_long_answer_is_cut_in_the_log_and_whole_wherever_it_is_asked_for() {
    const EVENT_BYTES_MAX: usize = 64 << 10;
    let server = Server::start().await;
    server.agent("scout").await;
    let long = "long ".repeat(EVENT_BYTES_MAX / 4);
    let message = format!("#!demo\nsay {}", long.trim_end());
    let task = json!({"message": message, "async_mode": false});
    let answer = server.post("/api/agents/scout/task", task).await.expect(200);
    assert_eq!(answer["response"], long.trim_end());
    let id = answer["execution_id"].as_str().unwrap();
    assert_eq!(server.execution(id).await["response"], long.trim_end());
    let task = json!({"message": format!("{message}\nexit 3"), "async_mode": false});
    let failed = server.post("/api/agents/scout/task", task).await;
    assert_eq!(failed.problem(502, "execution-failed")["response"], long.trim_end());
    let events = server.events().await;
    let ended = events.iter().find(|event| event["type"] == "ExecutionCompleted").unwrap();
    let kept = ended["data"]["outcome"]["response"].as_str().unwrap();
    assert!(kept.len() <= EVENT_BYTES_MAX && kept.len() > EVENT_BYTES_MAX / 2, "{}", kept.len());
    server.audit().await;
}

async fn terminate(server: &Server, id: &str, query: &str) -> Value {
    let path = format!("/api/agents/scout/executions/{id}/terminate{query}");
    server.post(&path, json!({})).await.expect(200)
}

#[tokio::test]
async fn a_stop_takes_as_much_as_it_needs_and_is_never_claimed_too_early() {
    let server = Server::start_with(&[("TRINITY_GRACE_MS", "700")]).await;
    server.agent("scout").await;
    for (ops, last_phase) in [
        (vec!["say busy", "hang"], "InterruptSent"),
        (vec!["trap INT result", "say busy", "hang"], "InterruptSent"),
        (vec!["trap INT exit:0", "say busy", "hang"], "InterruptSent"),
        (vec!["trap INT ignore", "trap TERM ignore", "fork 2", "say busy", "hang"], "KillSent"),
    ] {
        let id = server.script("scout", &ops).await;
        server.until_status(&id, "running").await;
        until("it is busy", async || (!server.lines(&id).await.is_empty()).then_some(())).await;
        assert_eq!(terminate(&server, &id, "").await["status"], "cancelling");
        let ended = server.until_ended(&id).await;
        assert_eq!(ended["status"], "cancelled", "{ended}");
        assert!(Server::processes(&id).is_empty(), "cancelled means gone");
        let events = server.events().await;
        let of_run = events.iter().filter(|event| event["stream_id"] == id.as_str());
        let kinds: Vec<&str> = of_run.map(|event| event["type"].as_str().unwrap()).collect();
        assert!(kinds.contains(&last_phase), "{kinds:?}");
        let interrupt = events.iter().rfind(|event| event["type"] == "InterruptSent").unwrap();
        assert_eq!(interrupt["data"]["grace_ms"], 700, "clients can count it down");
        assert_eq!(terminate(&server, &id, "").await["status"], "cancelled", "it is, already");
    }
    server.audit().await;
}

#[tokio::test]
async fn a_stop_can_be_made_urgent() {
    let server = Server::start_with(&[("TRINITY_GRACE_MS", "60000")]).await;
    server.agent("scout").await;
    let id = server.script("scout", &["trap INT ignore", "say busy", "hang"]).await;
    server.until_status(&id, "running").await;
    terminate(&server, &id, "").await;
    terminate(&server, &id, "?force=true").await;
    assert_eq!(server.until_ended(&id).await["status"], "cancelled");
    server.audit().await;
}

#[tokio::test]
async fn waiting_executions_start_in_order_and_can_be_cancelled_at_once() {
    let server = Server::start().await;
    let config = json!({"name": "scout", "runtime": "demo", "max_parallel_tasks": 1});
    server.agent_with(config).await;
    let first = server.script("scout", &["say busy", "hang"]).await;
    server.until_status(&first, "running").await;
    let mut waiting = Vec::new();
    for number in 0..3 {
        waiting.push(server.script("scout", &[&format!("say {number}")]).await);
    }
    let queue = server.get("/api/agents/scout/queue").await.expect(200);
    assert_eq!(queue["queue_length"], 3, "{queue}");
    assert_eq!(terminate(&server, &waiting[1], "").await["status"], "cancelled_while_queued");
    assert_eq!(server.execution(&waiting[1]).await["status"], "cancelled");
    terminate(&server, &first, "").await;
    for id in [&waiting[0], &waiting[2]] {
        assert_eq!(server.until_ended(id).await["status"], "completed");
    }
    server.put("/api/agents/scout/capacity", json!({"max_parallel_tasks": 5})).await.expect(200);
    server.audit().await;
}

/// How many runs wait for the three slots of an agent.
const CONTENDERS: usize = 8;

#[tokio::test]
async fn of_eight_runs_three_are_at_work_at_a_time_in_the_order_they_came() {
    let server = Server::start().await;
    let config = json!({"name": "scout", "runtime": "demo", "max_parallel_tasks": 3});
    server.agent_with(config).await;
    let file = |action: &str, name: &str| format!("/api/agents/scout/files{action}?path={name}");
    let mut ids = Vec::new();
    for number in 0..CONTENDERS {
        let work = format!(
            "exec echo begins {number} >> journal; while [ ! -e go-{number} ]; do sleep 0.05; done; \
             echo ends {number} >> journal"
        );
        ids.push(server.script("scout", &[&work, "say done"]).await);
    }
    // Let go in another order than they came in.
    for (released, number) in [1, 0, 3, 2, 5, 4, 7, 6].into_iter().enumerate() {
        let begun = CONTENDERS.min(released + 3);
        until("the next one is at work", async || {
            let at_work = ids.iter().filter(|id| !Server::processes(id).is_empty()).count();
            assert!(at_work <= 3, "{at_work} at once");
            for waiting in &ids[begun..] {
                assert_eq!(server.execution(waiting).await["status"], "pending");
            }
            let journal = server.get(&file("/download", "journal")).await.body;
            let text = journal.as_str().unwrap_or_default();
            let has_begun = text.matches("begins").count() == begun;
            (has_begun && at_work == begun - released).then_some(())
        })
        .await;
        let go = server.request(reqwest::Method::PUT, &file("", &format!("go-{number}"))).body("");
        server.try_send(go).await.unwrap().expect(201);
        assert_eq!(server.until_ended(&ids[number]).await["status"], "completed");
    }
    let journal = server.get(&file("/download", "journal")).await.expect(200);
    let mut at_work = 0_usize;
    let mut at_work_max = 0;
    let mut begun = Vec::new();
    for line in journal.as_str().unwrap().lines() {
        match line.split_once(' ').unwrap() {
            ("begins", number) => {
                at_work += 1;
                begun.push(number.parse::<usize>().unwrap());
            }
            _ => at_work -= 1,
        }
        at_work_max = at_work_max.max(at_work);
    }
    assert_eq!((at_work, at_work_max), (0, 3), "{journal}");
    // The first three begin at once, in whatever order; each later one after an end.
    begun[..3].sort_unstable();
    assert_eq!(begun, (0..CONTENDERS).collect::<Vec<_>>());
    server.audit().await;
}

#[tokio::test]
async fn stopping_an_agent_ends_its_runs_and_keeps_its_queue() {
    let server = Server::start_with(&[("TRINITY_GRACE_MS", "500")]).await;
    let config = json!({"name": "scout", "runtime": "demo", "max_parallel_tasks": 1});
    server.agent_with(config).await;
    let running = server.script("scout", &["say busy", "hang"]).await;
    server.until_status(&running, "running").await;
    let waiting = server.script("scout", &["say later"]).await;

    let stopped = server.post("/api/agents/scout/stop", json!({})).await.expect(200);
    assert_eq!(stopped["status"], "stopped", "{stopped}");
    assert_eq!(server.execution(&running).await["status"], "cancelled");
    let held = server.execution(&waiting).await;
    assert_eq!(held["status"], "pending");
    assert_eq!(held["queue_reason"], "agent-stopped", "{held}");
    let body = json!({"message": "more", "async_mode": true});
    let refused = server.post("/api/agents/scout/task", body).await.expect(503);
    assert_eq!(refused["code"], "agent-not-running", "{refused}");

    server.post("/api/agents/scout/start", json!({})).await.expect(200);
    assert_eq!(server.until_ended(&waiting).await["status"], "completed");
    server.audit().await;
}

#[tokio::test]
async fn a_startup_script_that_fails_is_said_and_runs_again_at_the_next_start() {
    let server = Server::start().await;
    server.agent("scout").await;
    let content = "test -e .ready || { touch .ready; echo not yet >&2; exit 3; }";
    let id = server.script("scout", &[&format!("exec echo '{content}' > startup.sh")]).await;
    assert_eq!(server.until_ended(&id).await["status"], "completed");
    server.post("/api/agents/scout/stop", json!({})).await.expect(200);

    let refused = server.post("/api/agents/scout/start", json!({})).await.expect(503);
    assert_eq!(refused["step"], "startup", "{refused}");
    let detail = refused["detail"].as_str().unwrap();
    assert!(detail.contains("code 3") && detail.contains("not yet"), "{detail}");
    assert!(docker::is_chosen() || server.agent_server().is_none(), "nothing of it runs on");
    server.post("/api/agents/scout/start", json!({})).await.expect(200);
    let next = server.script("scout", &["say on"]).await;
    assert_eq!(server.until_ended(&next).await["status"], "completed");
    server.audit().await;
}

#[tokio::test]
async fn a_startup_whose_files_cannot_be_written_is_said_and_done_again() {
    let server = Server::start().await;
    server.agent("scout").await;
    let secret = json!({ "value": "a-secret-value" });
    server.put("/api/agents/scout/credentials/API_KEY", secret).await.expect(200);
    let ops = ["exec rm -f .env && mkdir .env && touch .env/mine", "say done"];
    assert_eq!(server.script_ends("scout", &ops).await["response"], "done");
    server.post("/api/agents/scout/stop", json!({})).await.expect(200);

    let refused = server.post("/api/agents/scout/start", json!({})).await.expect(503);
    assert_eq!(refused["step"], "env-files", "{refused}");
    assert!(refused["detail"].as_str().unwrap().contains(".env"), "{refused}");
    if docker::is_chosen() {
        let (volume, image) = ("agent-scout-workspace:/agent", docker::image());
        let run = ["run", "--rm", "--network", "none", "-v", volume, &image];
        docker::docker(&[&run as &[&str], &["/bin/rm", "-r", "/agent/workspace/.env"]].concat());
    } else {
        let workspace = crate::credentials::workspace(&server, "scout").await;
        std::fs::remove_dir_all(workspace.join(".env")).unwrap();
    }
    server.post("/api/agents/scout/start", json!({})).await.expect(200);
    let ops = ["exec . ./.env && test \"$API_KEY\" = a-secret-value && echo it-is-there", "say on"];
    let id = server.script("scout", &ops).await;
    assert_eq!(server.until_ended(&id).await["status"], "completed");
    assert!(json!(server.lines(&id).await).to_string().contains("it-is-there"));
    server.audit().await;
}

#[tokio::test]
async fn deleting_an_agent_leaves_its_history_and_nothing_else() {
    let server = Server::start_with(&[("TRINITY_GRACE_MS", "500")]).await;
    let config = json!({"name": "scout", "runtime": "demo", "max_parallel_tasks": 1});
    server.agent_with(config.clone()).await;
    let running = server.script("scout", &["say busy", "hang"]).await;
    server.until_status(&running, "running").await;
    let waiting = server.script("scout", &["say never"]).await;

    server.delete("/api/agents/scout").await.expect(200);
    assert_eq!(server.get("/api/agents/scout").await.status, 404);
    for id in [&running, &waiting] {
        assert_eq!(server.execution(id).await["status"], "cancelled");
    }
    let agents = server.data_dir.join("agents");
    let left = std::fs::read_dir(agents).map(Iterator::count).unwrap_or_default();
    assert_eq!(left, 0, "the workspace is gone");
    if docker::is_chosen() {
        for kind in ["container", "volume", "network"] {
            let left = docker::labelled(kind, "trinity.agent-name=scout");
            assert!(left.is_empty(), "{kind}: {left:?}");
        }
    }

    server.agent_with(config).await;
    let list = server.get("/api/agents/scout/executions").await.expect(200);
    assert_eq!(list.as_array().unwrap().len(), 0, "a new life inherits nothing");
    server.audit().await;
}

#[tokio::test]
async fn a_missing_cli_is_said_with_what_to_do() {
    let server = Server::start_with(&[("TRINITY_CLAUDE_COMMAND", "/nowhere/claude")]).await;
    server.agent_with(json!({"name": "scout"})).await;
    let id = server.task("scout", "hello").await;
    let record = server.until_ended(&id).await;
    assert_eq!((&record["status"], &record["error_class"]), (&json!("failed"), &json!("spawn")));
    let error = record["error"].as_str().unwrap();
    assert!(error.contains("not found") && error.contains("demo"), "{error}");
    server.audit().await;
}

#[tokio::test]
async fn a_cli_has_the_variables_of_its_command_and_nobody_sees_them_as_arguments() {
    // Tests that run at the same time on this machine have keys of their own.
    let key = format!("key-{}-of-the-server", std::process::id());
    // The brackets keep the search from finding itself.
    let script = "echo \"has $OWN_KEY in $(cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' ' | \
                  grep -c \"[k]${OWN_KEY#?}\")\"";
    let command = format!("env OWN_KEY={key} /bin/sh -c {}", shlex::try_quote(script).unwrap());
    let settings = [("TRINITY_CLAUDE_COMMAND", &*command), ("TRINITY_GEMINI_COMMAND", &*command)];
    let server = Server::start_with(&settings).await;
    for runtime in ["claude-code", "gemini-cli"] {
        let agent = format!("told-{runtime}");
        server.agent_with(json!({"name": agent, "runtime": runtime})).await;
        let id = server.task(&agent, "hello").await;
        server.until_ended(&id).await;
        let lines = json!(server.lines(&id).await).to_string();
        assert!(lines.contains(&format!("has {key} in 0")), "{lines}");
    }
    server.audit().await;
}

#[tokio::test]
async fn a_client_that_leaves_does_not_stop_its_run() {
    let server = Server::start().await;
    server.agent("scout").await;
    let body = json!({"message": "#!demo\nsay one\nsleep 1\nsay two"});
    let request = server.request(reqwest::Method::POST, "/api/agents/scout/task").json(&body);
    let left = tokio::time::timeout(std::time::Duration::from_millis(400), request.send()).await;
    assert!(left.is_err(), "the client left before the answer");
    let list = server.get("/api/agents/scout/executions").await.expect(200);
    let id = list[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(server.until_ended(&id).await["response"], "one\ntwo");
}

#[tokio::test]
async fn a_run_that_is_killed_from_outside_is_failed_and_its_slot_is_free() {
    let server = Server::start().await;
    server.agent("scout").await;
    let id = server.script("scout", &["say busy", "hang"]).await;
    server.until_status(&id, "running").await;
    for pid in Server::processes(&id) {
        let _gone = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), Signal::SIGKILL);
    }
    let record = server.until_ended(&id).await;
    assert_eq!((&record["status"], &record["error_class"]), (&json!("failed"), &json!("exit")));
    server.audit().await;
}
