//! A client that reconnects, after a crash or to another node, misses and repeats nothing.

use std::time::{Duration, Instant};

use eventsource_stream::Eventsource as _;
use futures::StreamExt as _;
use reqwest::Method;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use trinity::api::HEARTBEAT;

use crate::event_log::support::environment;
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

/// How many clients `make test` connects; `make test-long` says more.
const CLIENTS_DEFAULT: usize = 300;
/// What a stream may take of the server's memory, its buffers included.
const BYTES_PER_STREAM_MAX: u64 = 256 << 10;
/// How many events every client is told.
const TOLD_EVENTS: usize = 200;

/// Opens a stream and reads nothing of it.
async fn open_raw(server: &Server, after: i64) -> BufReader<TcpStream> {
    let address = server.url.strip_prefix("http://").unwrap();
    let token = server.token();
    let request = format!(
        "GET /api/stream?after={after} HTTP/1.1\r\nHost: {address}\r\n\
         Authorization: Bearer {token}\r\n\r\n"
    );
    let mut connection = TcpStream::connect(address).await.unwrap();
    connection.write_all(request.as_bytes()).await.unwrap();
    BufReader::new(connection)
}

/// Reads lines until that of the event at this position.
async fn read_up_to(connection: &mut BufReader<TcpStream>, position: i64) {
    let id = format!("id: {position}");
    let mut lines = connection.lines();
    while let Some(line) = lines.next_line().await.unwrap() {
        if line == id {
            return;
        }
    }
    panic!("the stream ended before position {position}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_never_read_hold_up_nobody_and_cost_little() {
    let clients = environment("TRINITY_TEST_STREAMS")
        .map_or(CLIENTS_DEFAULT, |clients| clients.parse().unwrap());
    let server = Server::start().await;
    let config = serde_json::json!({"name": "scout", "runtime": "demo"});
    server.post("/api/agents?start=false", config).await.expect(201);
    let before = server.memory_bytes();
    let mut silent = Vec::with_capacity(clients / 2);
    let mut readers = tokio::task::JoinSet::new();
    let last = server.events().await.len() + TOLD_EVENTS;
    let last = i64::try_from(last).unwrap();
    for number in 0..clients {
        let mut connection = open_raw(&server, 0).await;
        if number % 2 == 0 {
            silent.push(connection);
        } else {
            readers.spawn(async move { read_up_to(&mut connection, last).await });
        }
    }
    for number in 0..TOLD_EVENTS {
        let body = serde_json::json!({"enabled": number % 2 == 0});
        server.put("/api/agents/scout/autonomy", body).await.expect(200);
    }
    while let Some(read) = readers.join_next().await {
        read.unwrap();
    }
    let taken = server.memory_bytes().saturating_sub(before) / clients as u64;
    assert!(taken < BYTES_PER_STREAM_MAX, "{taken} bytes a stream");
    // One who begins to read after all has missed nothing.
    read_up_to(&mut silent.pop().unwrap(), last).await;
    server.audit().await;
}

/// How many clients stop reading.
const SLOW_CLIENTS: usize = 30;
/// How large the events are that fill whatever holds back data for them, and how many.
const LARGE_BYTES: usize = 1 << 20;
const LARGE_EVENTS: usize = 12;
/// The most of it that the server may keep for each of them, beside what it keeps for itself.
const BYTES_PER_SLOW_CLIENT_MAX: u64 = 4 << 20;
const BYTES_OF_THE_SERVER_MAX: u64 = 128 << 20;

/// Writes so much that no buffer takes it, and more events than a client may fall behind.
async fn run_away(server: &Server) {
    let hanging = server.script("busy", &["say busy", "hang"]).await;
    server.until_status(&hanging, "running").await;
    for _ in 0..LARGE_EVENTS {
        server.task("busy", &"x".repeat(LARGE_BYTES)).await;
    }
    // As many calls as an execution records.
    let calls = vec![r#"tool Read {"file_path":"a"} => text"#; 2_000];
    let mut runs = Vec::new();
    for _ in 0..3 {
        runs.push(server.script("scout", &calls).await);
    }
    for run in runs {
        assert_eq!(server.until_ended(&run).await["status"], "completed");
    }
}

/// Reads until the client is sent away; gives the position it has come to, and the reason.
async fn read_until_reset(connection: &mut BufReader<TcpStream>) -> (i64, String) {
    let (mut last, mut event) = (0, String::new());
    let mut lines = connection.lines();
    loop {
        let line = lines.next_line().await.unwrap().expect("the stream says why it ends");
        match line.split_once(": ") {
            Some(("id", id)) => {
                let position: i64 = id.parse().unwrap();
                assert!(last == 0 || position == last + 1, "{position} follows {last}");
                last = position;
            }
            Some(("event", name)) => name.clone_into(&mut event),
            Some(("data", data)) if event == "stream.reset" => return (last, data.to_owned()),
            _ => {}
        }
    }
}

/// Reads up to the next event; gives its position.
async fn next_position(connection: &mut BufReader<TcpStream>) -> i64 {
    let mut lines = connection.lines();
    loop {
        let line = lines.next_line().await.unwrap().expect("the stream goes on");
        if let Some(id) = line.strip_prefix("id: ") {
            return id.parse().unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_stop_reading_are_sent_away_and_hold_little_memory() {
    let server = Server::start().await;
    for (name, capacity) in [("scout", 3), ("busy", 1)] {
        let config =
            serde_json::json!({"name": name, "runtime": "demo", "max_parallel_tasks": capacity});
        server.agent_with(config).await;
    }
    let mut clients = Vec::with_capacity(SLOW_CLIENTS);
    for _ in 0..SLOW_CLIENTS {
        clients.push(open_raw(&server, 0).await);
    }
    // Every one of them has been at the end of the log.
    let head = i64::try_from(server.events().await.len()).unwrap();
    for client in &mut clients {
        read_up_to(client, head).await;
    }
    let before = server.memory_bytes();
    run_away(&server).await;
    let taken = server.memory_bytes().saturating_sub(before);
    let most = BYTES_OF_THE_SERVER_MAX + BYTES_PER_SLOW_CLIENT_MAX * SLOW_CLIENTS as u64;
    let unread = (LARGE_BYTES * LARGE_EVENTS * SLOW_CLIENTS) as u64;
    println!("{} MiB taken, {} MiB not read", taken >> 20, unread >> 20);
    assert!(most < unread && taken < most, "{taken} bytes taken of {unread} that nobody read");

    let mut places = Vec::new();
    for client in &mut clients {
        let (last, reason) = read_until_reset(client).await;
        assert_eq!(reason, r#"{"reason":"too-slow"}"#);
        places.push(last);
    }
    let system = server.get("/api/system").await.expect(200);
    assert_eq!(system["streams"]["slow_resets_total"], SLOW_CLIENTS, "{system}");
    let metrics = server.get("/metrics").await.expect(200);
    let resets = format!("trinity_sse_slow_resets_total {SLOW_CLIENTS}\n");
    assert!(metrics.as_str().unwrap().contains(&resets), "{metrics}");
    // Who comes back goes on where it was.
    let head = i64::try_from(server.events().await.len()).unwrap();
    let mut back = open_raw(&server, places[0]).await;
    assert_eq!(next_position(&mut back).await, places[0] + 1);
    read_up_to(&mut back, head).await;
    server.audit().await;
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

/// The first heartbeat of a stream on which nothing happens, and how long it was waited for.
async fn heartbeat(server: &Server, path: &str) -> (String, Duration) {
    let mut response = server.request(Method::GET, path).send().await.unwrap();
    assert_eq!(response.status(), 200, "{path}");
    let (began, mut text) = (Instant::now(), String::new());
    loop {
        let chunk = tokio::time::timeout(WAIT_MAX, response.chunk()).await.unwrap();
        text.push_str(std::str::from_utf8(&chunk.unwrap().unwrap()).unwrap());
        let mut frames = text.split_inclusive("\n\n").filter(|frame| frame.ends_with("\n\n"));
        if let Some(frame) = frames.find(|frame| frame.contains("event: heartbeat\n")) {
            return (frame.to_owned(), began.elapsed());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_on_which_nothing_happens_says_that_it_lives() {
    let server = Server::start().await;
    server.agent("scout").await;
    let id = server.script("scout", &["say here", "hang"]).await;
    let paths = [
        "/api/stream?topics=permission".to_owned(),
        format!("/api/agents/scout/executions/{id}/stream"),
    ];
    let beats = futures::future::join_all(paths.iter().map(|path| heartbeat(&server, path))).await;
    for (path, (frame, waited)) in paths.iter().zip(beats) {
        assert!((HEARTBEAT / 2..HEARTBEAT * 2).contains(&waited), "{path}: {waited:?}");
        // A client that resumes goes on after the last event, wherever the heartbeat came.
        assert!(!frame.lines().any(|line| line.starts_with("id:")), "{path}: {frame}");
        let data = frame.lines().find_map(|line| line.strip_prefix("data: ")).unwrap();
        assert!(serde_json::from_str::<Value>(data).unwrap()["at"].is_string(), "{path}: {frame}");
    }
}
