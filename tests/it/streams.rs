//! A client that reconnects, after a crash or to another node, misses and repeats nothing.

use std::time::Duration;

use eventsource_stream::Eventsource as _;
use futures::StreamExt as _;
use reqwest::Method;
use serde_json::Value;

use crate::server::{Server, WAIT_MAX};
use crate::store::fresh_postgres_database;

/// Reads events after `last` until the connection breaks or nothing comes for a while; gives their
/// ids and types.
async fn read(server: &Server, last: i64, quiet: Duration) -> Vec<(i64, String)> {
    let request = server
        .request(Method::GET, "/api/stream?after=0")
        .header("Last-Event-ID", last.to_string());
    let Ok(response) = request.send().await else { return Vec::new() };
    let mut stream = response.bytes_stream().eventsource();
    let mut seen = Vec::new();
    while let Ok(Some(Ok(event))) = tokio::time::timeout(quiet, stream.next()).await {
        if event.id.is_empty() || event.event == "heartbeat" {
            continue;
        }
        let data: Value = serde_json::from_str(&event.data).unwrap();
        let position = data["position"].as_i64().unwrap();
        assert_eq!(event.id, position.to_string());
        seen.push((position, data["type"].as_str().unwrap().to_owned()));
    }
    seen
}

/// Reads events after `last` until the server is killed, which happens after some time.
async fn read_until_killed(server: &Server, last: i64, alive_ms: u64) -> Vec<(i64, String)> {
    let mut reading = std::pin::pin!(read(server, last, WAIT_MAX));
    tokio::select! {
        more = &mut reading => more,
        () = tokio::time::sleep(Duration::from_millis(alive_ms)) => {
            nix::sys::signal::kill(server.pid(), nix::sys::signal::Signal::SIGKILL).unwrap();
            reading.await
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_goes_on_after_every_crash_without_a_gap_or_a_repeat() {
    let mut server = Server::start().await;
    server.agent("scout").await;
    let mut seen: Vec<(i64, String)> = Vec::new();
    for round in 0..5 {
        for number in 0..4 {
            server.script("scout", &[&format!("say {round} {number}")]).await;
        }
        let last = seen.last().map_or(0, |(position, _)| *position);
        seen.extend(read_until_killed(&server, last, 150 + 40 * round).await);
        server.crash().await;
    }
    let last = seen.last().map_or(0, |(position, _)| *position);
    seen.extend(read(&server, last, Duration::from_secs(3)).await);

    assert_is_the_log(&server, &seen).await;
}

/// Only Postgres lets two servers work on one log.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_moves_to_another_server_on_the_log_misses_and_repeats_nothing() {
    let url = fresh_postgres_database().await;
    let environment = [("TRINITY_DATABASE_URL", url.as_str())];
    let mut servers =
        [Server::start_with(&environment).await, Server::start_with(&environment).await];
    servers[0].agent("alice").await;
    servers[1].agent("bob").await;
    let mut seen: Vec<(i64, String)> = Vec::new();
    for round in 0..6 {
        // Either takes tasks for the agents of both.
        for number in 0..2 {
            for (server, agent) in servers.iter().zip(["bob", "alice"]) {
                server.script(agent, &[&format!("say {round} {number}")]).await;
            }
        }
        let last = seen.last().map_or(0, |(position, _)| *position);
        let gone = round % 2;
        seen.extend(read_until_killed(&servers[gone], last, 150 + 40 * round as u64).await);
        servers[gone].crash().await;
    }
    let last = seen.last().map_or(0, |(position, _)| *position);
    seen.extend(read(&servers[0], last, Duration::from_secs(3)).await);
    assert_is_the_log(&servers[1], &seen).await;
    for server in &servers {
        for agent in ["alice", "bob"] {
            let path = format!("/api/agents/{agent}/executions?limit=100");
            let list = server.get(&path).await.expect(200);
            let ended = list.as_array().unwrap().iter().filter(|run| run["status"] == "completed");
            assert_eq!(ended.count(), 12, "{list}");
        }
    }
    servers[0].audit().await;
}

/// What a client saw is the log up to there, and the end of the log is near.
async fn assert_is_the_log(server: &Server, seen: &[(i64, String)]) {
    let events = server.events().await;
    let expected: Vec<(i64, String)> = events
        .iter()
        .map(|event| {
            (event["position"].as_i64().unwrap(), event["type"].as_str().unwrap().to_owned())
        })
        .collect();
    assert!(expected.len() >= seen.len());
    assert_eq!(seen, &expected[..seen.len()], "the stream is the log");
    let open = expected.len() - seen.len();
    assert!(open < 8, "all but what was written after the last look: {open} are missing");
}

#[tokio::test]
async fn the_output_of_a_run_is_followed_across_a_crash_by_line_number() {
    let mut server = Server::start().await;
    server.agent("scout").await;
    let ops: Vec<String> =
        (0..20).flat_map(|n| [format!("say {n}"), "sleep 0.1".to_owned()]).collect();
    let ops: Vec<&str> = ops.iter().map(String::as_str).collect();
    let id = server.script("scout", &ops).await;
    server.until_status(&id, "running").await;
    let path = format!("/api/agents/scout/executions/{id}/stream");
    let mut lines: Vec<(u64, Value)> = Vec::new();
    let mut ended = false;
    let mut crashed = false;
    while !ended {
        let last = lines.last().map_or(0, |(seq, _)| *seq);
        let request = server.request(Method::GET, &path).header("Last-Event-ID", last.to_string());
        let mut stream = request.send().await.unwrap().bytes_stream().eventsource();
        while let Ok(Some(Ok(event))) = tokio::time::timeout(WAIT_MAX, stream.next()).await {
            match event.event.as_str() {
                "log" => {
                    let seq = event.id.parse().unwrap();
                    lines.push((seq, serde_json::from_str(&event.data).unwrap()));
                }
                "stream.end" => {
                    ended = true;
                    break;
                }
                _ => {}
            }
            if lines.len() == 8 && !crashed {
                crashed = true;
                server.crash().await;
                break;
            }
        }
    }
    let stored = server.lines(&id).await;
    let expected: Vec<(u64, Value)> =
        stored.into_iter().map(|line| (line["seq"].as_u64().unwrap(), line)).collect();
    assert_eq!(lines, expected);
    assert!(expected.len() > 20);
}
