//! The past on a terminal: replays, causes, permissions and states of earlier moments.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::support::User;
use crate::server::Server;

async fn position(server: &Server) -> u64 {
    server.get("/api/health").await.expect(200)["log_position"].as_u64().unwrap()
}

#[tokio::test]
async fn permissions_are_given_taken_back_and_listed() {
    let server = Server::start().await;
    server.agent("scout").await;
    server.agent("coder").await;
    let user = User::of(&server);
    let say = async |words: &[&str]| user.run(&[words, &["--text"]].concat()).await.exits(0).stdout;
    user.run(&["perm", "ls", "--text"]).await.exits(0).says("no agent may call another");
    assert_eq!(say(&["perm", "allow", "scout", "coder"]).await, "scout may call coder\n");
    assert_eq!(
        say(&["perm", "allow", "scout", "coder"]).await,
        "scout may call coder, as before\n"
    );
    let granted = position(&server).await.to_string();
    let list = say(&["perm", "ls"]).await;
    assert!(list.contains("CALLER") && list.contains("scout"), "{list}");
    assert!(say(&["perm", "ls", "coder"]).await.contains("scout"));
    let denied = user.run(&["perm", "deny", "scout", "coder"]).await.exits(0).json();
    assert_eq!(denied["status"], "removed");
    let now = user.run(&["perm", "ls"]).await.exits(0).json();
    assert_eq!(now["permissions"], Value::Array(vec![]));
    let then = user.run(&["perm", "ls", "--as-of", &granted]).await.exits(0).json();
    assert_eq!(then["permissions"][0]["callee"], "coder");
    let then = user.run(&["perm", "ls", "scout", "--as-of", "now"]).await.exits(0).json();
    assert_eq!(then["permitted_agents"], Value::Array(vec![]));
    user.run(&["perm", "allow", "scout", "scout"]).await.exits(2).says("itself");
    user.run(&["perm", "allow", "scout", "nobody"]).await.exits(4).says("nobody");
    user.run(&["perm", "ls", "--as-of", "99999"]).await.exits(2).says("the log ends at");
    user.run(&["perm", "ls", "--as-of", "soon"]).await.exits(2).says("yesterday 10:00");
}

#[tokio::test]
async fn what_happened_is_played_again_as_text_and_as_lines() {
    let server = Server::start().await;
    server.agent("scout").await;
    let user = User::of(&server);
    let before = position(&server).await;
    user.run(&["run", "scout", "#!demo\nsay hello"]).await.exits(0);
    let from = (before + 1).to_string();
    let played = user.run(&["replay", "--from", &from, "--speed", "max"]).await.exits(0);
    let events = played.json_lines();
    assert_eq!(events[0]["type"], "ExecutionRequested");
    assert_eq!(events[events.len() - 1]["type"], "ExecutionCompleted");
    let words = ["replay", "--from", "yesterday 10:00", "--to", "now", "--speed", "0", "--text"];
    let text = user.run(&words).await.exits(0).stdout;
    assert!(text.contains("ExecutionCompleted") && !text.contains("SlotAcquired"), "{text}");
    let all = user.run(&[&words[..], &["--topics", "all"]].concat()).await.exits(0).stdout;
    assert!(all.contains("SlotAcquired") && all.contains("AgentCreated"), "{all}");
    let nothing = user.run(&["replay", "--from", "now", "--speed", "1"]).await.exits(0);
    assert_eq!(nothing.stdout, "");
    user.run(&["replay", "--from", "1", "--speed", "fast"]).await.exits(2).says("speed");
    user.run(&["replay", "--from", "noon"]).await.exits(2).says("2026-11-20T10:00");
}

#[tokio::test]
async fn executions_are_listed_between_times_in_words() {
    let server = Server::start().await;
    server.agent("scout").await;
    let user = User::of(&server);
    user.run(&["run", "scout", "#!demo\nsay hello"]).await.exits(0);
    let list = async |words: &[&str]| {
        let list = user.run(&[&["exec", "ls"], words].concat()).await.exits(0).json();
        list.as_array().unwrap().len()
    };
    assert_eq!(list(&["--from", "yesterday 10:00", "--to", "now"]).await, 1);
    assert_eq!(list(&["--from", "2 hours ago"]).await, 1);
    assert_eq!(list(&["--to", "yesterday 10:00"]).await, 0);
    user.run(&["exec", "ls", "--to", "41"]).await.exits(2).says("2026-11-20T10:00");
}

/// How much time passes between the two events that are played again.
const APART: Duration = Duration::from_secs(2);

#[tokio::test]
async fn a_replay_takes_the_time_that_passed_or_so_many_times_less() {
    let server = Server::start().await;
    let config = serde_json::json!({"name": "scout", "runtime": "demo"});
    server.post("/api/agents?start=false", config).await.expect(201);
    server.until_phase("scout", "stopped").await;
    let user = User::of(&server);
    let change = async |enabled: bool| {
        let body = serde_json::json!({"enabled": enabled});
        server.put("/api/agents/scout/autonomy", body).await.expect(200);
        position(&server).await
    };
    let from = change(true).await;
    tokio::time::sleep(APART).await;
    let to = change(false).await;
    assert_eq!(to, from + 1);
    let (from, to) = (from.to_string(), to.to_string());
    let took = async |speed: &str| {
        let words = ["--from", &from, "--to", &to, "--speed", speed, "--topics", "all"];
        let began = Instant::now();
        let played = user.run(&[&["replay"], &words[..]].concat()).await.exits(0).json_lines();
        assert_eq!(played.len(), 2, "{played:?}");
        began.elapsed()
    };
    let (slow, fast) = (took("1").await, took("4").await);
    assert!(slow >= APART.mul_f64(0.95), "{slow:?}");
    assert!(fast < slow.mul_f64(0.75), "{fast:?} at four times the speed, {slow:?} as it was");
}

#[tokio::test]
async fn an_event_is_shown_below_what_led_to_it() {
    let server = Server::start().await;
    server.agent("scout").await;
    let user = User::of(&server);
    let events = server.get("/api/events?type=AgentStarted").await.expect(200);
    let started = events["items"][0]["position"].to_string();
    let text = user.run(&["events", "show", &started, "--text"]).await.exits(0).stdout;
    let lines: Vec<_> = text.lines().collect();
    assert!(lines[0].contains("AgentCreated"), "{text}");
    let depth = |line: &str| line.find("└─");
    assert_eq!(depth(lines[0]), None);
    let at = lines.iter().position(|line| line.contains("AgentStarted")).unwrap();
    for (line, above) in lines[1..=at].iter().zip(0..) {
        assert_eq!(depth(line), Some(3 * above), "{text}");
    }
    let shown = user.run(&["events", "show", &started]).await.exits(0).json();
    assert_eq!(shown["event"]["position"].to_string(), started);
    user.run(&["events", "show", "99999"]).await.exits(4).says("99999");
}

#[tokio::test]
async fn agents_are_listed_and_shown_as_they_were() {
    let server = Server::start().await;
    let began = position(&server).await.to_string();
    server.agent("scout").await;
    let user = User::of(&server);
    let running = position(&server).await.to_string();
    user.run(&["agent", "stop", "scout"]).await.exits(0);
    let now = user.run(&["agent", "show", "scout"]).await.exits(0).json();
    assert_eq!(now["status"], "stopped");
    let then = user.run(&["agent", "show", "scout", "--as-of", &running]).await.exits(0).json();
    assert_eq!(then["status"], "running");
    let text = user.run(&["agent", "show", "scout", "--as-of", &running, "--text"]).await.exits(0);
    assert!(text.stdout.contains("running"), "{}", text.stdout);
    let words = ["agent", "ls", "--as-of", &began];
    assert_eq!(user.run(&words).await.exits(0).json(), Value::Array(vec![]));
    let list = user.run(&["agent", "ls", "--as-of", &running]).await.exits(0).json();
    assert_eq!(list[0]["status"], "running");
    user.run(&["agent", "show", "scout", "--as-of", &began]).await.exits(4).says("not there");
}
