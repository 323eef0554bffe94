//! Streams that break off, against a real server on the loopback interface.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::super::server::{Common, Origin, Server};
use super::*;

/// What the server does with one connection before it breaks it off.
#[derive(Debug, Clone)]
enum Script {
    /// Sends this.
    Sends(String),
    /// Answers with this status.
    Refuses(u16),
}

/// A server that plays one script for each connection.
#[derive(Debug, Clone, Default)]
struct Played {
    scripts: Arc<Mutex<VecDeque<Script>>>,
    /// The `Last-Event-ID` of each connection.
    resumed_from: Arc<Mutex<Vec<Option<String>>>>,
}

impl Played {
    async fn serve(self, listener: TcpListener) -> std::io::Result<()> {
        loop {
            let (mut socket, _) = listener.accept().await?;
            let last = last_event_id(&mut socket).await?;
            self.resumed_from.lock().unwrap().push(last);
            let script = self.scripts.lock().unwrap().pop_front().unwrap();
            let answer = match script {
                Script::Refuses(status) => {
                    format!("HTTP/1.1 {status} No\r\ncontent-length: 0\r\n\r\n")
                }
                // A chunk, and never the one that ends the body.
                Script::Sends(frames) => format!(
                    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{frames}\r\n",
                    frames.len()
                ),
            };
            socket.write_all(answer.as_bytes()).await?;
            socket.shutdown().await?;
        }
    }
}

/// Reads the head of a request.
async fn last_event_id(socket: &mut TcpStream) -> std::io::Result<Option<String>> {
    let mut lines = BufReader::new(socket).lines();
    let mut last = None;
    while let Some(line) = lines.next_line().await?.filter(|line| !line.is_empty()) {
        last = line.strip_prefix("last-event-id: ").map(str::to_owned).or(last);
    }
    Ok(last)
}

async fn start(scripts: Vec<Script>) -> (Played, Client) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let server = Played { scripts: Arc::new(Mutex::new(scripts.into())), ..Played::default() };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(server.clone().serve(listener));
    let found = Server { url, token: None, origin: Origin::Named };
    (server, Client::of(Common::default(), found).unwrap())
}

fn follow(client: &Client) -> Follow<'_> {
    let mut follow = Follow::new(client, Call::get("/stream"), Numbered::Only("log"), None);
    follow.retry = Duration::from_millis(1);
    follow
}

fn log(ids: std::ops::RangeInclusive<u64>) -> String {
    let frame = |id| format!("id: {id}\nevent: log\ndata: {{\"seq\":{id}}}\n\n");
    ids.map(frame).collect::<Vec<_>>().concat()
}

const END_FRAME: &str = "event: stream.end\ndata: {\"reason\":\"finished\"}\n\n";

/// Follows to the end; gives the numbers of the frames and how often the stream was lost.
async fn all(mut follow: Follow<'_>) -> Result<(Vec<u64>, usize)> {
    let (mut ids, mut losses) = (Vec::new(), 0);
    while let Some(step) = follow.next().await? {
        match step {
            Step::Frame(frame) => ids.extend(frame.id),
            Step::Lost => losses += 1,
            Step::Open | Step::Reset => {}
        }
    }
    Ok((ids, losses))
}

#[tokio::test]
async fn a_broken_stream_goes_on_where_it_broke_off() {
    let scripts = vec![
        Script::Sends(log(1..=3)),
        // Half a frame is none.
        Script::Sends(format!("{}id: 6\nevent: log\ndata: {{\"se", log(4..=5))),
        Script::Sends(format!("{}{END_FRAME}", log(6..=7))),
    ];
    let (server, client) = start(scripts).await;
    let (ids, losses) = all(follow(&client)).await.unwrap();
    assert_eq!(ids, [1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(losses, 2);
    let resumed_from = server.resumed_from.lock().unwrap().clone();
    assert_eq!(resumed_from, [None, Some("3".to_owned()), Some("5".to_owned())]);
}

#[tokio::test]
async fn a_long_line_comes_in_one_piece() {
    let long = "x".repeat(5_000_000);
    let frame = format!("id: 1\nevent: log\ndata: \"{long}\"\n\n");
    let (_server, client) = start(vec![Script::Sends(format!("{frame}{END_FRAME}"))]).await;
    let mut follow = follow(&client);
    let mut data = String::new();
    while let Some(step) = follow.next().await.unwrap() {
        if let Step::Frame(frame) = step {
            data = frame.data;
        }
    }
    assert_eq!(data.len(), long.len() + 2);
}

#[tokio::test]
async fn what_a_server_sends_twice_is_given_once() {
    let scripts =
        vec![Script::Sends(log(1..=4)), Script::Sends(format!("{}{END_FRAME}", log(1..=6)))];
    let (_server, client) = start(scripts).await;
    assert_eq!(all(follow(&client)).await.unwrap().0, [1, 2, 3, 4, 5, 6]);
}

#[tokio::test]
async fn a_server_that_is_not_ready_is_waited_for_once_the_stream_was_open() {
    let scripts = vec![
        Script::Sends(log(1..=1)),
        Script::Refuses(503),
        Script::Refuses(503),
        Script::Sends(format!("{}{END_FRAME}", log(2..=2))),
    ];
    let (_server, client) = start(scripts).await;
    assert_eq!(all(follow(&client)).await.unwrap().0, [1, 2]);
}

#[tokio::test]
async fn a_refusal_ends_the_stream_with_its_reason() {
    for (status, exit) in [(404, Exit::NotFound), (403, Exit::Auth)] {
        let (_server, client) =
            start(vec![Script::Sends(log(1..=1)), Script::Refuses(status)]).await;
        assert_eq!(all(follow(&client)).await.unwrap_err().exit(), Some(exit));
    }
}

#[tokio::test]
async fn a_server_that_was_never_there_is_not_waited_for() {
    let (_server, client) = start(vec![Script::Refuses(503)]).await;
    assert_eq!(all(follow(&client)).await.unwrap_err().exit(), Some(Exit::Unreachable));
}

#[tokio::test]
async fn a_reader_that_was_sent_away_comes_back_where_it_was() {
    let reset = "event: stream.reset\ndata: {\"reason\":\"too-slow\"}\n\n";
    let scripts = vec![
        Script::Sends(format!("{}{reset}{}", log(1..=2), log(3..=3))),
        Script::Sends(format!("{}{END_FRAME}", log(3..=3))),
    ];
    let (server, client) = start(scripts).await;
    assert_eq!(all(follow(&client)).await.unwrap(), (vec![1, 2, 3], 1));
    assert_eq!(server.resumed_from.lock().unwrap()[1].as_deref(), Some("2"));
}

#[tokio::test]
async fn a_server_that_stops_is_waited_for() {
    let stops = "event: stream.end\ndata: {\"reason\":\"shutdown\"}\n\n";
    let scripts = vec![
        Script::Sends(format!("{}{stops}", log(1..=2))),
        Script::Sends(format!("{}{END_FRAME}", log(3..=3))),
    ];
    let (_server, client) = start(scripts).await;
    assert_eq!(all(follow(&client)).await.unwrap(), (vec![1, 2, 3], 1));
}

#[tokio::test]
async fn a_server_that_lost_the_place_says_where_it_goes_on() {
    let reset = "event: stream.reset\ndata: {\"reason\":\"unknown-position\",\"seq\":0}\n\n";
    let scripts =
        vec![Script::Sends(log(1..=9)), Script::Sends(format!("{reset}{}{END_FRAME}", log(1..=2)))];
    let (_server, client) = start(scripts).await;
    let mut follow = follow(&client);
    let mut seen = Vec::new();
    while let Some(step) = follow.next().await.unwrap() {
        seen.push(match step {
            Step::Frame(frame) => frame.id,
            Step::Reset => Some(0),
            Step::Open | Step::Lost => None,
        });
    }
    let numbers: Vec<u64> = seen.into_iter().flatten().collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1, 2]);
}

#[tokio::test]
async fn frames_without_a_number_pass_between_numbered_ones() {
    let status = "event: status\ndata: {\"status\":\"running\"}\n\n";
    let beat = "event: heartbeat\ndata: {}\n\n";
    let sent = format!("{status}{}{status}{beat}{status}{END_FRAME}", log(1..=1));
    let (_server, client) = start(vec![Script::Sends(sent)]).await;
    let mut follow = follow(&client);
    let mut seen = Vec::new();
    while let Some(step) = follow.next().await.unwrap() {
        if let Step::Frame(frame) = step {
            seen.push((frame.event, frame.id));
        }
    }
    let frame = |event: &str, id| (event.to_owned(), id);
    let expected =
        ["status", "log", "status", "status"].map(|e| frame(e, (e == "log").then_some(1)));
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn the_server_says_how_long_to_wait_within_a_bound() {
    let said = |ms: u64| format!("retry: {ms}\n\nevent: stream.ready\ndata: {{}}\n\n{END_FRAME}");
    for (ms, expected) in [(7, Duration::from_millis(7)), (9_999_999, RETRY_MAX)] {
        let (_server, client) = start(vec![Script::Sends(said(ms))]).await;
        let mut follow = follow(&client);
        while follow.next().await.unwrap().is_some() {}
        assert_eq!(follow.retry, expected);
        assert!(follow.pause() <= expected && follow.pause() >= expected / 2);
    }
}
