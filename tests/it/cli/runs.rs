//! Tasks and their executions.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use trinity_agent_protocol::LINE_BYTES_MAX;

use super::support::{User, finish};
use crate::server::{Server, until};

async fn server_with_scout() -> (Server, User) {
    let server = Server::start().await;
    server.agent("scout").await;
    let user = User::of(&server);
    (server, user)
}

fn script(ops: &[&str]) -> String {
    format!("#!demo\n{}", ops.join("\n"))
}

#[tokio::test]
async fn a_run_is_watched_to_its_end() {
    let (server, user) = server_with_scout().await;
    let message = script(&[
        "say first",
        r#"tool Bash {"command":"ls -la"} => a"#,
        "say second",
        "result success 0.25",
    ]);
    let record = user.run(&["run", "scout", &message]).await.exits(0).json();
    assert_eq!(record["status"], "completed");
    assert_eq!(record["response"], "first\nsecond");
    let path = format!("/api/executions/{}", record["id"].as_str().unwrap());
    assert_eq!(record, server.get(&path).await.expect(200), "the server's JSON, unchanged");

    let done = user.run_with_input(&["run", "scout", "-", "--text"], &message).await.exits(0);
    assert_eq!(done.stdout, "first\nsecond\n", "the answer, and nothing else");
    done.says("→ Bash ls -la").says("✓ completed in").says("$0.2500").says("1 tool call");
}

#[tokio::test]
async fn a_run_that_fails_fails_the_command() {
    let (_server, user) = server_with_scout().await;
    let message = script(&["say almost", "result error_max_turns 0.01"]);
    let done = user.run(&["run", "scout", &message, "--text"]).await.exits(1);
    assert_eq!(done.stdout, "almost\n");
    done.says("✗ failed").says("error: ").says("hint: trinity exec show");
    let done = user.run(&["run", "scout", &message]).await.exits(1);
    assert_eq!(done.json()["error_class"], "max_turns");
}

#[tokio::test]
async fn a_task_that_cannot_be_taken_is_refused_with_its_reason() {
    let (_server, user) = server_with_scout().await;
    user.run(&["run", "nobody", "hi"]).await.exits(4).says("nobody").says("trinity agent ls");
    user.run(&["run", "scout", " "]).await.exits(2).says("message");
    user.run(&["run", "scout", "hi", "--timeout", "901"]).await.exits(2).says("900");
    let long = "x".repeat((1 << 20) + 1);
    user.run_with_input(&["run", "scout", "-"], &long).await.exits(2).says("1048576");
}

#[tokio::test]
async fn a_detached_run_gives_its_id() {
    let (server, user) = server_with_scout().await;
    let message = script(&["say done"]);
    let taken = user.run(&["run", "scout", &message, "--detach"]).await.exits(0).json();
    assert_eq!((&taken["status"], &taken["async_mode"]), (&json!("accepted"), &json!(true)));
    server.until_status(taken["execution_id"].as_str().unwrap(), "completed").await;

    let done = user.run(&["run", "scout", &message, "--detach", "--text"]).await.exits(0);
    let id = done.stdout.trim();
    assert_eq!(server.until_ended(id).await["status"], "completed");
    done.says("trinity exec logs -f");
}

#[tokio::test]
async fn a_run_is_given_once_more_by_the_end_of_its_id() {
    let (server, user) = server_with_scout().await;
    let before = user.run(&["run", "scout", &script(&["say done"])]).await.exits(0).json();
    let id = before["id"].as_str().unwrap();
    let taken = user.run(&["exec", "rerun", &id[id.len() - 8..]]).await.exits(0).json();
    let again = taken["execution_id"].as_str().unwrap();
    assert_ne!(again, id);
    let after = server.until_ended(again).await;
    assert_eq!((&after["status"], &after["response"]), (&json!("completed"), &json!("done")));
    assert_eq!(after["message"], before["message"]);
    user.run(&["exec", "rerun", "00000000-0000-4000-8000-000000000000"]).await.exits(4);
}

#[tokio::test]
async fn whoever_stops_watching_does_not_stop_the_run() {
    let (server, user) = server_with_scout().await;
    let message = script(&["say working", "hang"]);
    let done = user.run(&["run", "scout", &message, "--wait=1"]).await.exits(6);
    done.says("goes on").says("trinity exec stop");

    let mut child = user.command(&["run", "scout", &message, "--text"]).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
    assert_eq!(lines.next_line().await.unwrap().as_deref(), Some("working"));
    let pid = Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap());
    kill(pid, Signal::SIGINT).unwrap();
    let done = finish(child).await.exits(130);
    assert!(!done.stderr.contains("error:"), "{}", done.stderr);
    done.says("goes on").says("trinity exec logs -f").says("trinity exec stop");

    let running = user.run(&["exec", "ls", "--status", "running"]).await.exits(0).json();
    let ids: Vec<&str> =
        running.as_array().unwrap().iter().map(|run| run["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), 2);
    for id in ids {
        server.until_status(id, "running").await;
        user.run(&["exec", "stop", id, "--force"]).await.exits(0);
        server.until_status(id, "cancelled").await;
    }
}

#[tokio::test]
async fn executions_are_listed_shown_and_stopped_by_the_end_of_their_id() {
    let (server, user) = server_with_scout().await;
    let done = server.script("scout", &["say good", "result success 0.5"]).await;
    server.until_status(&done, "completed").await;
    let hanging = server.script("scout", &["trap INT result", "hang"]).await;
    server.until_status(&hanging, "running").await;
    let short = &hanging[24..];

    let listed = user.run(&["exec", "ls"]).await.exits(0).json();
    let id = |place: usize| listed[place]["id"].as_str().unwrap();
    assert_eq!((id(0), id(1)), (hanging.as_str(), done.as_str()));
    for (order, first) in [("created_at", &done), ("-created_at", &hanging)] {
        let words = ["exec", "ls", "--sort", order, "--limit", "1"];
        let listed = user.run(&words).await.exits(0).json();
        assert_eq!(listed.as_array().unwrap().len(), 1, "{order}");
        assert_eq!(&listed[0]["id"], first, "{order}");
    }
    let table = user.run(&["exec", "ls", "-s", "completed", "--text"]).await.exits(0).stdout;
    assert_eq!(table.lines().count(), 2, "{table}");
    for shown in [&done[24..], "completed", "scout", "manual", "$0.5000", "#!demo say good"] {
        assert!(table.contains(shown), "no {shown} in {table}");
    }
    user.run(&["exec", "ls", "-s", "finished"]).await.exits(2).says("completed");

    let shown = user.run(&["exec", "show", short, "--text"]).await.exits(0);
    assert!(shown.stdout.contains(&hanging), "{}", shown.stdout);
    shown.says(&format!("next: trinity exec logs -f {short}"));
    assert_eq!(user.run(&["exec", "show", &done]).await.exits(0).json()["response"], "good");

    let stopped = user.run(&["exec", "stop", short]).await.exits(0).json();
    assert_eq!(stopped["status"], "cancelling");
    server.until_status(&hanging, "cancelled").await;
    let again = user.run(&["exec", "stop", &done]).await.exits(0).json();
    assert_eq!(again["status"], "already_finished");
    user.run(&["exec", "show", "ffffffffffff"]).await.exits(4).says("trinity exec ls");
    let nobody = "0199a0b1-c2d3-7e4f-8a5b-00c7d8e9f0a1";
    user.run(&["exec", "logs", "-f", nobody]).await.exits(4).says("trinity exec ls");
}

#[tokio::test]
async fn what_an_execution_put_out_is_printed_line_by_line() {
    let (server, user) = server_with_scout().await;
    let id = server.script("scout", &["say one", "stderr careful", "say two"]).await;
    server.until_status(&id, "completed").await;
    let lines = user.run(&["exec", "logs", &id]).await.exits(0).json_lines();
    assert_eq!(lines, server.lines(&id).await, "the server's entries, unchanged");
    let after = user.run(&["exec", "logs", &id, "--after", "1"]).await.exits(0).json_lines();
    assert_eq!(after, lines[1..]);
    let followed = user.run(&["exec", "logs", &id, "-f"]).await.exits(0).json_lines();
    assert_eq!(followed, lines);
    let text = user.run(&["exec", "logs", &id, "-f", "--text"]).await.exits(0);
    assert!(
        text.stdout.contains("one\n") && text.stdout.contains("! careful\n"),
        "{}",
        text.stdout
    );
    text.says("✓ completed");
}

#[tokio::test]
async fn a_long_log_is_printed_whole() {
    let (server, user) = server_with_scout().await;
    let ops: Vec<String> = (0..2_300).map(|line| format!("say line {line}")).collect();
    let ops: Vec<&str> = ops.iter().map(String::as_str).collect();
    let id = server.script("scout", &ops).await;
    server.until_status(&id, "completed").await;
    let lines = user.run(&["exec", "logs", &id]).await.exits(0).json_lines();
    let seqs: Vec<u64> = lines.iter().map(|line| line["seq"].as_u64().unwrap()).collect();
    assert!(seqs.len() > 2_300);
    assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_line_that_was_too_long_is_marked_wherever_it_is_shown() {
    let (server, user) = server_with_scout().await;
    let big = format!("big {LINE_BYTES_MAX}");
    let id = server.script("scout", &["say before", &big, "say after"]).await;
    server.until_ended(&id).await;
    let marked = |lines: &[serde_json::Value]| {
        let marked = lines.iter().filter(|line| !line["truncated"].is_null());
        marked.map(|line| line["seq"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    let printed = user.run(&["exec", "logs", &id]).await.exits(0).json_lines();
    let seqs = marked(&printed);
    assert!(!seqs.is_empty() && seqs.len() < printed.len(), "{seqs:?}");
    let text = user.run(&["exec", "logs", &id, "--text"]).await.exits(0).stdout;
    for seq in &seqs {
        let path = format!("/api/agents/scout/executions/{id}/log?after={}&limit=1", seq - 1);
        let line = server.get(&path).await.expect(200)["entries"][0].take();
        // The words, and the JSON around them.
        let bytes = line["truncated"].as_u64().unwrap();
        assert!(bytes > LINE_BYTES_MAX as u64, "{bytes}");
        assert_eq!(line["raw"].as_str().unwrap().len(), LINE_BYTES_MAX);
        assert!(text.contains(&format!("of its {bytes} bytes the first are kept")));
    }
    let followed = user.run(&["exec", "logs", &id, "-f"]).await.exits(0).json_lines();
    assert_eq!(marked(&followed), seqs, "the stream marks what the pages mark");
}

#[tokio::test]
async fn what_a_terminal_would_obey_is_not_printed() {
    let (_server, user) = server_with_scout().await;
    let message = script(&[
        "say \u{1b}[2J\u{1b}]0;title\u{7}shown\u{9b}31m",
        "stderr \u{1b}[31mred\u{8}",
        "tool B\u{1b}[1m {\"command\":\"\\u001b[5mls\"} => \u{1b}cx",
    ]);
    let done = user.run(&["run", "scout", &message, "--text"]).await.exits(0);
    let listed = user.run(&["exec", "ls", "--text"]).await.exits(0);
    for printed in [&done.stdout, &done.stderr, &listed.stdout] {
        let obeyed = |c: char| c.is_control() && c != '\n';
        assert!(!printed.contains(obeyed), "{printed:?}");
    }
    assert!(done.stdout.contains("shown"), "{}", done.stdout);
}

#[tokio::test]
async fn events_are_followed_from_any_position() {
    let (server, user) = server_with_scout().await;
    let id = server.script("scout", &["say hi"]).await;
    server.until_status(&id, "completed").await;
    let head = server.events().await.len();
    let count = head.to_string();
    let events = user.run(&["events", "tail", "--after", "0", "-n", &count]).await.exits(0);
    assert_eq!(events.json_lines(), server.events().await, "the server's events, unchanged");
    let only = ["events", "tail", "--after", "0", "--types", "ExecutionStarted", "-n", "1"];
    let started = user.run(&only).await.exits(0).json_lines();
    assert_eq!(started[0]["stream_id"], id);
    let text = user.run(&[&only[..], &["--text"]].concat()).await.exits(0).stdout;
    assert!(text.contains("ExecutionStarted") && text.contains(&id), "{text}");

    let mut tail = user.command(&["events", "tail"]).spawn().unwrap();
    let mut lines = BufReader::new(tail.stdout.take().unwrap()).lines();
    // Whenever the stream is open, the next change is seen.
    let seen = until("a later event is seen", async || {
        server.put("/api/agents/scout/model", json!({"model": "sonnet"})).await.expect(200);
        server.put("/api/agents/scout/model", json!({"model": null})).await.expect(200);
        let wait = std::time::Duration::from_millis(200);
        tokio::time::timeout(wait, lines.next_line()).await.ok()
    });
    let seen: serde_json::Value = serde_json::from_str(&seen.await.unwrap().unwrap()).unwrap();
    assert!(seen["position"].as_u64().unwrap() > head as u64, "{seen}");
    assert_eq!(seen["type"], "ModelChanged");
}
