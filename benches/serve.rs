//! The server as its clients see it: how many tasks it accepts durably, how soon they run, how soon a
//! stream tells, and what an idle server costs; on SQLite and on Postgres, in one run.
//!
//! The real executable serves in a process of its own; its clients work on the same cores. Run by
//! `make bench`, or by `scripts/with-postgres cargo bench --bench serve`.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use chrono::DateTime;
use futures::StreamExt as _;
use serde_json::json;
use sqlx::ConnectOptions as _;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use trinity::clock;

use support::{Client, Server, fresh_database, percentile_ms, postgres_url, setting};

const AGENTS: usize = 64;
const CLIENTS: [usize; 4] = [1, 8, 32, 128];
/// What Restate 1.7.12 accepted per second on such a machine, by clients, for orientation.
const RESTATE: [f64; 4] = [565.0, 1_450.0, 2_255.0, 3_271.0];
const WARM_UP: Duration = Duration::from_millis(500);
const MEASURE: Duration = Duration::from_secs(4);
/// How many tasks are timed from their acceptance to their start, one after another.
const STARTS: usize = 200;
const STREAMS: [usize; 3] = [1, 1_000, 10_000];
/// How many events are timed on every stream, and how long after each other they are made.
const STREAM_EVENTS: usize = 20;
const STREAM_EVENT_EVERY: Duration = Duration::from_millis(500);
/// How many connections are opened at once.
const CONNECTS: usize = 64;
/// How long everything that was begun may take.
const PATIENCE: Duration = Duration::from_mins(2);
const COLD_STARTS: usize = 9;

/// A run that goes on for as long as a measurement and says something every second, more than an
/// agent that waits for its model does.
fn long_run() -> String {
    let ops = (0..120).map(|number| format!("say line {number}\nsleep 1"));
    format!("#!demo\n{}", ops.collect::<Vec<_>>().join("\n"))
}

/// Agents with one slot each, in which a run is at work; everything else waits in their queues.
async fn busy_agents(client: &Client) -> Result<()> {
    let make = |number: usize| async move { client.agent(&format!("agent-{number}"), 1).await };
    let made: Vec<Result<()>> =
        futures::stream::iter(0..AGENTS).map(make).buffer_unordered(8).collect().await;
    made.into_iter().collect::<Result<()>>()?;
    for number in 0..AGENTS {
        client.task(&format!("agent-{number}"), &long_run()).await?;
    }
    let begun = Instant::now();
    while client.get("/api/executions?status=running&limit=1000").await?.as_array().map(Vec::len)
        != Some(AGENTS)
    {
        if begun.elapsed() > PATIENCE {
            bail!("not every run has started in {PATIENCE:?}");
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

struct Accepted {
    per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
    refused: usize,
}

/// Lets so many clients submit as fast as they are answered.
async fn accept(database_url: Option<&str>, clients: usize) -> Result<Accepted> {
    let server = Server::start(database_url).await?;
    busy_agents(&server.client()).await?;
    let (counting, stop) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let (next, refused) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let mut tasks = Vec::with_capacity(clients);
    for _ in 0..clients {
        let (counting, stop) = (Arc::clone(&counting), Arc::clone(&stop));
        let (next, refused) = (Arc::clone(&next), Arc::clone(&refused));
        let client = server.client();
        tasks.push(tokio::spawn(async move {
            let mut latencies = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                let agent = next.fetch_add(1, Ordering::Relaxed) % AGENTS;
                let begun = Instant::now();
                let done = client.task(&format!("agent-{agent}"), "#!demo\nsay hello").await;
                if counting.load(Ordering::Relaxed) {
                    if done.is_ok() {
                        latencies.push(begun.elapsed());
                    } else {
                        refused.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
            latencies
        }));
    }
    tokio::time::sleep(WARM_UP).await;
    counting.store(true, Ordering::Relaxed);
    let begun = Instant::now();
    tokio::time::sleep(MEASURE).await;
    stop.store(true, Ordering::Relaxed);
    let elapsed = begun.elapsed();
    let mut latencies = Vec::new();
    for task in tasks {
        latencies.extend(task.await.context("a client ended early")?);
    }
    latencies.sort_unstable();
    #[expect(clippy::cast_precision_loss, reason = "a count of some seconds")]
    let per_second = latencies.len() as f64 / elapsed.as_secs_f64();
    Ok(Accepted {
        per_second,
        p50_ms: percentile_ms(&latencies, 50),
        p99_ms: percentile_ms(&latencies, 99),
        refused: refused.load(Ordering::Relaxed),
    })
}

/// A stream of events, read line by line without more of a client than that.
struct Stream(BufReader<TcpStream>);

impl Stream {
    /// Opens a stream and waits until it is live.
    async fn open(server: &Server, path: &str) -> Result<Self> {
        let address = server.url.strip_prefix("http://").context("a plain URL")?;
        let mut connection = TcpStream::connect(address).await?;
        let token = &server.token;
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n\r\n"
        );
        connection.write_all(request.as_bytes()).await?;
        let mut stream = Self(BufReader::with_capacity(2 << 10, connection));
        while !stream.line().await?.contains("stream.ready") {}
        Ok(stream)
    }

    async fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        if self.0.read_line(&mut line).await? == 0 {
            bail!("the server has closed a stream");
        }
        Ok(line)
    }

    /// The next event's data.
    async fn data(&mut self) -> Result<serde_json::Value> {
        loop {
            let line = self.line().await?;
            if let Some(data) = line.strip_prefix("data:")
                && let Ok(data) = serde_json::from_str::<serde_json::Value>(data)
                && data.get("position").is_some()
            {
                return Ok(data);
            }
        }
    }
}

/// How long tasks take from their submission to the start of their process, as a stream tells it.
async fn starts(database_url: Option<&str>) -> Result<Vec<Duration>> {
    let server = Server::start(database_url).await?;
    let client = server.client();
    client.agent("scout", 1).await?;
    let mut stream = Stream::open(&server, "/api/stream?topics=execution").await?;
    let mut latencies = Vec::with_capacity(STARTS);
    for _ in 0..STARTS {
        let begun = Instant::now();
        client.task("scout", "#!demo\nsay hello").await?;
        while stream.data().await?["type"] != "ExecutionStarted" {}
        latencies.push(begun.elapsed());
        while stream.data().await?["type"] != "ExecutionCompleted" {}
    }
    latencies.sort_unstable();
    Ok(latencies)
}

struct Told {
    latencies: Vec<Duration>,
    bytes_per_stream: u64,
}

/// How long events take from the log to every one of so many clients.
async fn tell(database_url: Option<&str>, streams: usize) -> Result<Told> {
    let server = Arc::new(Server::start(database_url).await?);
    let client = server.client();
    client.post("/api/agents?start=false", &json!({"name": "scout", "runtime": "demo"})).await?;
    let before = server.memory_bytes()?;
    let open = |_| {
        let server = Arc::clone(&server);
        async move { Stream::open(&server, "/api/stream?topics=agent").await }
    };
    let opened: Vec<Result<Stream>> =
        futures::stream::iter(0..streams).map(open).buffer_unordered(CONNECTS).collect().await;
    let opened = opened.into_iter().collect::<Result<Vec<_>>>()?;
    let after = server.memory_bytes()?;
    let (send, mut told) = mpsc::unbounded_channel();
    for mut stream in opened {
        let send = send.clone();
        tokio::spawn(async move {
            while let Ok(data) = stream.data().await {
                if data["type"] == "AutonomyChanged"
                    && let Some(at) = data["recorded_at"].as_str()
                    && let Ok(at) = DateTime::parse_from_rfc3339(at)
                {
                    let latency = clock::now().signed_duration_since(at).to_std();
                    let _closed = send.send(latency.unwrap_or_default());
                }
            }
        });
    }
    for number in 0..STREAM_EVENTS {
        tokio::time::sleep(STREAM_EVENT_EVERY).await;
        client.put("/api/agents/scout/autonomy", &json!({"enabled": number % 2 == 0})).await?;
    }
    let mut latencies = Vec::with_capacity(streams * STREAM_EVENTS);
    while latencies.len() < streams * STREAM_EVENTS {
        let next = tokio::time::timeout(PATIENCE, told.recv()).await;
        latencies.push(next.context("an event did not arrive")?.context("every stream ended")?);
    }
    latencies.sort_unstable();
    let bytes_per_stream = after.saturating_sub(before) / streams as u64;
    Ok(Told { latencies, bytes_per_stream })
}

/// Starts servers on empty stores, one after another. Each has a database of its own, which knows the key
/// of the server that made it.
async fn idle(name: &str, server_url: &str) -> Result<(f64, f64)> {
    let mut starts = Vec::with_capacity(COLD_STARTS);
    let mut memory = 0;
    for _ in 0..COLD_STARTS {
        let url = database(name, server_url).await?;
        let server = Server::start(url.as_deref()).await?;
        starts.push(server.cold_start);
        tokio::time::sleep(Duration::from_millis(500)).await;
        memory = server.memory_bytes()?;
    }
    starts.sort_unstable();
    Ok((percentile_ms(&starts, 50), mebibytes(memory)))
}

#[expect(clippy::cast_precision_loss, reason = "sizes far below 2^52")]
fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

#[tokio::main]
async fn main() -> Result<()> {
    let server_url = postgres_url()?;
    let clients_max = setting("TRINITY_BENCH_CLIENTS", 128)?;
    let streams_max = setting("TRINITY_BENCH_STREAMS", 10_000)?;
    let _ = rustls::crypto::ring::default_provider().install_default();
    println!("## Tasks accepted\n");
    println!(
        "Durable 202 answers over {AGENTS} agents, each with one run at work and the rest in its"
    );
    println!(
        "queue; {} s a line. The goal is three times what Restate 1.7.12 took.\n",
        MEASURE.as_secs()
    );
    println!(
        "| store | clients | accepted/s | p50, ms | p99, ms | refused | ratio to Restate | goal |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for name in ["SQLite", "Postgres"] {
        let lines = CLIENTS.into_iter().zip(RESTATE);
        for (clients, restate) in lines.filter(|(clients, _)| *clients <= clients_max) {
            let url = database(name, &server_url).await?;
            let Accepted { per_second, p50_ms, p99_ms, refused } =
                accept(url.as_deref(), clients).await?;
            println!(
                "| {name} | {clients} | {per_second:.0} | {p50_ms:.2} | {p99_ms:.2} | {refused} | {:.1} | 3.0 |",
                per_second / restate,
            );
        }
    }
    println!("\n## From acceptance to the start of the process\n");
    println!("From the first byte of the request to the event `ExecutionStarted` on a stream;");
    println!("{STARTS} tasks, one after another.\n");
    println!("| store | p50, ms | p99, ms |\n|---|---|---|");
    for name in ["SQLite", "Postgres"] {
        let latencies = starts(database(name, &server_url).await?.as_deref()).await?;
        let (p50, p99) = (percentile_ms(&latencies, 50), percentile_ms(&latencies, 99));
        println!("| {name} | {p50:.1} | {p99:.1} |");
    }
    println!("\n## From the log to the clients of a stream\n");
    println!("From `recorded_at` (cut to milliseconds, before the commit) to the client;");
    println!("{STREAM_EVENTS} events, each on every stream.\n");
    println!(
        "| store | streams | p50, ms | p99, ms | memory per stream, KiB |\n|---|---|---|---|---|"
    );
    for name in ["SQLite", "Postgres"] {
        for streams in STREAMS.into_iter().filter(|streams| *streams <= streams_max) {
            let told = tell(database(name, &server_url).await?.as_deref(), streams).await?;
            let latencies = &told.latencies;
            let (p50, p99) = (percentile_ms(latencies, 50), percentile_ms(latencies, 99));
            println!(
                "| {name} | {streams} | {p50:.1} | {p99:.1} | {} |",
                told.bytes_per_stream >> 10
            );
        }
    }
    println!("\n## An idle server\n");
    let size = std::fs::metadata(env!("CARGO_BIN_EXE_trinity"))?.len();
    println!(
        "The executable has {:.1} MiB. Cold start is from the start of the process to the first",
        mebibytes(size)
    );
    println!("answer, on an empty store; median of {COLD_STARTS}.\n");
    println!("| store | cold start, ms | memory, MiB |\n|---|---|---|");
    for name in ["SQLite", "Postgres"] {
        let (start, memory) = idle(name, &server_url).await?;
        println!("| {name} | {start:.0} | {memory:.1} |");
    }
    println!();
    Ok(())
}

/// The URL of a new database, for the store of this name.
async fn database(name: &str, server_url: &str) -> Result<Option<String>> {
    if name == "SQLite" {
        return Ok(None);
    }
    Ok(Some(fresh_database(server_url).await?.to_url_lossy().to_string()))
}
