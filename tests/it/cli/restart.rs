//! What follows a stream lives through the death of its server.

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout};

use super::support::{User, finish};
use crate::server::{Server, WAIT_MAX};

fn seqs(lines: &[Value]) -> Vec<u64> {
    lines.iter().map(|line| line["seq"].as_u64().unwrap()).collect()
}

fn lines_of(child: &mut Child) -> Lines<BufReader<ChildStdout>> {
    BufReader::new(child.stdout.take().unwrap()).lines()
}

async fn next(lines: &mut Lines<BufReader<ChildStdout>>) -> Option<Value> {
    let line = tokio::time::timeout(WAIT_MAX, lines.next_line()).await.unwrap().unwrap();
    line.map(|line| serde_json::from_str(&line).unwrap())
}

/// A script of that many lines with a pause after each, in seconds.
fn counting(lines: u32, pause: &str) -> Vec<String> {
    (0..lines).flat_map(|line| [format!("say line {line}"), format!("sleep {pause}")]).collect()
}

#[tokio::test]
async fn a_log_is_followed_across_kills_of_the_server_without_gap_or_repeat() {
    let mut server = Server::start().await;
    server.agent("scout").await;
    let user = User::of(&server);
    let ops = counting(60, "0.2");
    let id = server.script("scout", &ops.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let mut follower = user.command(&["exec", "logs", "-f", &id]).spawn().unwrap();
    let mut lines = lines_of(&mut follower);
    let mut seen = vec![next(&mut lines).await.unwrap()];
    for _ in 0..2 {
        server.crash().await;
        // It goes on after the restart, not only at the end.
        for _ in 0..5 {
            seen.push(next(&mut lines).await.expect("the run goes on"));
        }
        let record = server.execution(&id).await;
        assert_eq!(record["status"], "running", "{record}");
    }
    while let Some(line) = next(&mut lines).await {
        seen.push(line);
    }
    finish(follower).await.exits(0);
    assert_eq!(seqs(&seen), (1..=seen.len() as u64).collect::<Vec<_>>());
    assert_eq!(seen, server.lines(&id).await, "exactly what the server has");
    assert_eq!(server.execution(&id).await["status"], "completed");
}

#[tokio::test]
async fn a_run_is_watched_to_its_end_across_a_kill_of_the_server() {
    let mut server = Server::start().await;
    server.agent("scout").await;
    let user = User::of(&server);
    let message = format!("#!demo\n{}", counting(15, "0.2").join("\n"));
    let mut watcher = user.command(&["run", "scout", &message, "--text"]).spawn().unwrap();
    let mut lines = lines_of(&mut watcher);
    let mut said = vec![lines.next_line().await.unwrap().unwrap()];
    server.crash().await;
    while let Some(line) = tokio::time::timeout(WAIT_MAX, lines.next_line()).await.unwrap().unwrap()
    {
        said.push(line);
    }
    finish(watcher).await.exits(0).says("✓ completed");
    let expected: Vec<String> = (0..15).map(|line| format!("line {line}")).collect();
    assert_eq!(said, expected);
}

#[tokio::test]
async fn events_are_followed_across_a_stop_and_a_kill_of_the_server() {
    let mut server = Server::start().await;
    let user = User::of(&server);
    let mut tail = user.command(&["events", "tail", "--after", "0"]).spawn().unwrap();
    let mut lines = lines_of(&mut tail);
    let mut positions = Vec::new();
    server.agent("scout").await;
    let mut head = server.events().await.len() as u64;
    for round in 0..3 {
        while positions.last() != Some(&head) {
            let event = next(&mut lines).await.expect("the log goes on");
            positions.push(event["position"].as_u64().unwrap());
        }
        match round {
            0 => {
                server.signal(nix::sys::signal::Signal::SIGTERM).await;
                server.start_again().await;
            }
            1 => server.crash().await,
            _ => {}
        }
        let id = server.script("scout", &["say hi"]).await;
        server.until_status(&id, "completed").await;
        head = server.events().await.len() as u64;
    }
    assert_eq!(positions, (1..=positions.len() as u64).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_server_that_has_stopped_is_told_apart_from_one_that_was_never_there() {
    let mut server = Server::start().await;
    let user = User::of(&server);
    user.run(&["agent", "ls"]).await.exits(0);
    server.kill().await;
    user.run(&["agent", "ls"]).await.exits(8).says(&server.url).says("trinity serve");
    server.start_again().await;
    user.run(&["agent", "ls"]).await.exits(0);
    server.signal(nix::sys::signal::Signal::SIGTERM).await;
    user.run(&["agent", "ls"]).await.exits(8).says("no server found").says("trinity serve");
}
