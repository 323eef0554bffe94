//! Agents in containers: what their life costs beside that of a bare container of the same image, how
//! fast the link to their servers is, and that a list of agents asks the engine for nothing.
//!
//! Run by `make bench`, or by `scripts/with-docker scripts/test-image cargo bench --bench containers`.

mod support;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bollard::Docker;
use bollard::exec::{CreateExecOptions, StartExecOptions, StartExecResults};
use bollard::models::{ContainerCreateBody, HostConfig};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, RemoveContainerOptionsBuilder, StopContainerOptionsBuilder,
};
use chrono::TimeDelta;
use futures::{StreamExt as _, TryStreamExt as _};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use trinity::clock;
use trinity::config::AgentNetwork;
use trinity::hosts::docker::{DockerHost, Endpoint, Options};
use trinity::hosts::link::{Lines, Link};
use trinity::hosts::{AgentHost, AgentSpec, ContainerSpec};
use trinity_agent_protocol::StartRequest;
use uuid::Uuid;

use support::{Server, percentile_ms, text_setting};

/// How many containers live and die on each side.
const LIVES: usize = 10;
/// How many calls are timed over a link, and how many by an exec of the engine's own.
const CALLS: usize = 500;
const EXECS: usize = 20;
/// How much a run says, in lines of this many bytes.
const OUTPUT_BYTES: usize = 64 << 20;
const LINE_BYTES: usize = 1_024;
/// How long a list is, and how often it is asked for.
const AGENTS: usize = 200;
const LISTS: usize = 200;
/// How many agents are made at once.
const MAKING: usize = 8;
/// How long nothing must be asked of the engine before it counts as silent: longer than the time between
/// two looks of the platform at one agent.
const SILENCE: Duration = Duration::from_secs(6);
const SILENCE_WAIT_MAX: Duration = Duration::from_mins(2);
const GRACE: Duration = Duration::from_millis(500);
const ENGINE_TIMEOUT_SECONDS: u64 = 60;

/// The steps in the life of a container.
const STEPS: [&str; 4] = ["create", "start", "stop", "remove"];

/// How long each step took, in every life.
type Lives = [Vec<Duration>; 4];

struct Engine {
    address: String,
    image: String,
    docker: Docker,
}

impl Engine {
    fn open() -> Result<Self> {
        let address = text_setting("TRINITY_TEST_DOCKER_HOST")?;
        let image = text_setting("TRINITY_TEST_AGENT_IMAGE")?;
        let version = bollard::API_DEFAULT_VERSION;
        let docker = Docker::connect_with_unix(&address, ENGINE_TIMEOUT_SECONDS, version)?;
        Ok(Self { address, image, docker })
    }

    fn host(&self) -> Arc<dyn AgentHost> {
        Arc::new(DockerHost::new(Options {
            endpoint: Endpoint { address: self.address.clone(), certificates: None },
            image: self.image.clone(),
            agent_server: None,
            network: AgentNetwork::None,
            gateway: true,
            platform: Uuid::new_v4().to_string(),
        }))
    }
}

fn spec() -> AgentSpec {
    AgentSpec {
        name: format!("bench-{}", &Uuid::new_v4().simple().to_string()[..8]),
        incarnation: Uuid::now_v7(),
        labels: [].into(),
        container: ContainerSpec::default(),
        workspace_files: [].into(),
    }
}

/// Takes the time of a step.
async fn timed<T, E>(
    times: &mut Vec<Duration>,
    step: impl Future<Output = Result<T, E>>,
) -> Result<T>
where
    E: Into<anyhow::Error>,
{
    let begun = Instant::now();
    let done = step.await.map_err(Into::into)?;
    times.push(begun.elapsed());
    Ok(done)
}

/// Agents as the platform keeps them: a volume, every bound, and an answer before a start counts.
async fn own_lives(engine: &Engine) -> Result<Lives> {
    let host = engine.host();
    let mut lives = Lives::default();
    let [create, start, stop, remove] = &mut lives;
    for _ in 0..LIVES {
        let spec = spec();
        timed(create, host.create(&spec)).await?;
        timed(start, host.start(spec.incarnation)).await?;
        timed(stop, host.stop(spec.incarnation, GRACE)).await?;
        timed(remove, host.remove(spec.incarnation)).await?;
    }
    Ok(lives)
}

/// A container of the image with nothing but a name, which ends when it is told to.
async fn bare_lives(engine: &Engine) -> Result<Lives> {
    let docker = &engine.docker;
    let mut lives = Lives::default();
    let [create, start, stop, remove] = &mut lives;
    for _ in 0..LIVES {
        let (name, body) = bare(engine);
        let options = CreateContainerOptionsBuilder::new().name(&name).build();
        timed(create, docker.create_container(Some(options), body)).await?;
        timed(start, docker.start_container(&name, None)).await?;
        let options = StopContainerOptionsBuilder::new().t(10).build();
        timed(stop, docker.stop_container(&name, Some(options))).await?;
        let options = RemoveContainerOptionsBuilder::new().force(true).build();
        timed(remove, docker.remove_container(&name, Some(options))).await?;
    }
    Ok(lives)
}

fn bare(engine: &Engine) -> (String, ContainerCreateBody) {
    let body = ContainerCreateBody {
        image: Some(engine.image.clone()),
        entrypoint: Some(vec!["/bin/sleep".to_owned(), "1000".to_owned()]),
        host_config: Some(HostConfig {
            network_mode: Some("none".to_owned()),
            init: Some(true),
            ..HostConfig::default()
        }),
        labels: Some(HashMap::from([("trinity.bench".to_owned(), String::new())])),
        ..ContainerCreateBody::default()
    };
    (format!("bench-{}", Uuid::new_v4().simple()), body)
}

/// Reads what a command in a container says, by an exec of the engine's own; gives how many bytes.
async fn exec(docker: &Docker, container: &str, command: &str) -> Result<usize> {
    let words = ["/bin/sh", "-c", command].map(str::to_owned).to_vec();
    let options =
        CreateExecOptions { attach_stdout: Some(true), cmd: Some(words), ..Default::default() };
    let exec = docker.create_exec(container, options).await?;
    let options = StartExecOptions { output_capacity: Some(64 << 10), ..Default::default() };
    match docker.start_exec(&exec.id, Some(options)).await? {
        StartExecResults::Attached { output, .. } => {
            Ok(output.try_fold(0, async |sum, part| Ok(sum + part.into_bytes().len())).await?)
        }
        StartExecResults::Detached => bail!("the engine detached an exec"),
    }
}

/// Reads what a run says, over the link; gives how many bytes.
async fn run(link: &Link, command: &str) -> Result<usize> {
    let id = Uuid::new_v4().to_string();
    let request = StartRequest {
        epoch: 1,
        argv: ["/bin/sh", "-c", command].map(str::to_owned).to_vec(),
        env: [("PATH".to_owned(), "/bin".to_owned())].into(),
        stdin: String::new(),
        files: Vec::new(),
        masked: Vec::new(),
        cwd: None,
        timeout_ms: 60_000,
        grace_ms: 500,
        deadline: clock::now() + TimeDelta::minutes(5),
        uid: None,
        gid: None,
        allow_new_privileges: false,
        writable_folders: None,
    };
    link.start(&id, &request).await?;
    let lines = link.output(&id, 0, Lines::Follow).await?;
    let bytes = lines.try_fold(0, async |sum, line| Ok(sum + line.line.len() + 1)).await?;
    link.delete(&id).await?;
    Ok(bytes)
}

#[expect(clippy::cast_precision_loss, reason = "a count of megabytes")]
fn megabytes_per_second(bytes: usize, time: Duration) -> f64 {
    bytes as f64 / 1e6 / time.as_secs_f64()
}

struct Measured {
    calls: Vec<Duration>,
    execs: Vec<Duration>,
    own_megabytes: f64,
    bare_megabytes: f64,
}

/// The link to an agent server, beside execs of the engine's own in the same container.
async fn measure_link(engine: &Engine) -> Result<Measured> {
    let host = engine.host();
    let spec = spec();
    host.create(&spec).await?;
    host.start(spec.incarnation).await?;
    let link = Link::new(Arc::clone(&host), spec.incarnation);
    let container = format!("agent-{}", spec.name);
    link.info().await?;
    let (mut calls, mut execs) = (Vec::new(), Vec::new());
    for _ in 0..CALLS {
        timed(&mut calls, link.info()).await?;
    }
    for _ in 0..EXECS {
        timed(&mut execs, exec(&engine.docker, &container, "true")).await?;
    }
    let line = "x".repeat(LINE_BYTES - 1);
    let talk = format!("yes {line} | head -n {}", OUTPUT_BYTES / LINE_BYTES);
    let begun = Instant::now();
    let bytes = exec(&engine.docker, &container, &talk).await?;
    let bare_megabytes = megabytes_per_second(bytes, begun.elapsed());
    let begun = Instant::now();
    let bytes_here = run(&link, &talk).await?;
    let own_megabytes = megabytes_per_second(bytes_here, begun.elapsed());
    host.remove(spec.incarnation).await?;
    if (bytes, bytes_here) != (OUTPUT_BYTES, OUTPUT_BYTES) {
        bail!("{bytes} and {bytes_here} bytes came of {OUTPUT_BYTES}");
    }
    calls.sort_unstable();
    execs.sort_unstable();
    Ok(Measured { calls, execs, own_megabytes, bare_megabytes })
}

/// Passes everything on to an engine and counts the requests in it.
async fn count_requests(
    engine: &str,
    here: &UnixListener,
    requests: Arc<AtomicUsize>,
) -> Result<()> {
    let engine = engine.strip_prefix("unix://").context("an engine on a unix socket")?;
    loop {
        let (client, _) = here.accept().await?;
        let (mut from_client, mut to_client) = client.into_split();
        let (mut from_engine, mut to_engine) = UnixStream::connect(engine).await?.into_split();
        let requests = Arc::clone(&requests);
        tokio::spawn(async move {
            let mut bytes = vec![0; 64 << 10];
            while let Ok(count @ 1..) = from_client.read(&mut bytes).await {
                let heads = bytes[..count].windows(11).filter(|part| part == b" HTTP/1.1\r\n");
                requests.fetch_add(heads.count(), Ordering::Relaxed);
                if to_engine.write_all(&bytes[..count]).await.is_err() {
                    break;
                }
            }
        });
        tokio::spawn(async move { tokio::io::copy(&mut from_engine, &mut to_client).await });
    }
}

/// Waits until nothing was asked of the engine for a while; gives how much was by then.
async fn until_silent(requests: &AtomicUsize) -> Result<usize> {
    let begun = Instant::now();
    let (mut seen, mut since) = (requests.load(Ordering::Relaxed), Instant::now());
    while since.elapsed() < SILENCE {
        if begun.elapsed() > SILENCE_WAIT_MAX {
            bail!(
                "in {SILENCE_WAIT_MAX:?} there were no {SILENCE:?} without a request to the engine"
            );
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        let now = requests.load(Ordering::Relaxed);
        if now != seen {
            (seen, since) = (now, Instant::now());
        }
    }
    Ok(seen)
}

/// Waits until the platform has had its next look at the whole engine, of which there is one a minute, and
/// is silent again; gives how much was asked by then.
async fn until_looked_at(requests: &AtomicUsize) -> Result<usize> {
    let (before, begun) = (until_silent(requests).await?, Instant::now());
    while requests.load(Ordering::Relaxed) == before {
        if begun.elapsed() > SILENCE_WAIT_MAX {
            bail!("the platform did not look at the engine in {SILENCE_WAIT_MAX:?}");
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    until_silent(requests).await
}

/// Lists many agents at rest; gives how long it took each time, and what the engine was asked meanwhile.
async fn list(engine: &Engine) -> Result<(Vec<Duration>, usize)> {
    let folder = tempfile::tempdir()?;
    let socket = folder.path().join("engine.sock");
    let (listener, requests) = (UnixListener::bind(&socket)?, Arc::new(AtomicUsize::new(0)));
    let (address, counted) = (engine.address.clone(), Arc::clone(&requests));
    let proxy = tokio::spawn(async move { count_requests(&address, &listener, counted).await });
    let through = format!("unix://{}", socket.display());
    let environment = [
        ("TRINITY_AGENT_HOST", "docker"),
        ("TRINITY_DOCKER_HOST", through.as_str()),
        ("TRINITY_AGENT_IMAGE", engine.image.as_str()),
    ];
    let server = Server::start_with(None, &environment).await?;
    let client = server.client();
    let make = async |number: usize| {
        let config = json!({"name": format!("agent-{number}"), "runtime": "demo"});
        client.post("/api/agents?start=false", &config).await
    };
    let made = futures::stream::iter(0..AGENTS).map(make).buffer_unordered(MAKING);
    made.try_collect::<Vec<_>>().await?;
    let is_made = async || {
        let agents = client.get("/api/agents?limit=1000").await?;
        let stopped = |agent: &&serde_json::Value| agent["phase"] == "stopped";
        let count = agents.as_array().map(|agents| agents.iter().filter(stopped).count());
        anyhow::Ok(count == Some(AGENTS))
    };
    let begun = Instant::now();
    while !is_made().await? {
        if begun.elapsed() > Duration::from_mins(3) {
            bail!("not all agents were made in three minutes");
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let before = until_looked_at(&requests).await?;
    if before == 0 {
        bail!("no request to the engine was counted while agents were made");
    }
    let mut times = Vec::new();
    for _ in 0..LISTS {
        timed(&mut times, client.get("/api/agents?limit=1000")).await?;
    }
    let asked = requests.load(Ordering::Relaxed) - before;
    let delete = async |number: usize| client.delete(&format!("/api/agents/agent-{number}")).await;
    let gone = futures::stream::iter(0..AGENTS).map(delete).buffer_unordered(MAKING);
    gone.try_collect::<Vec<_>>().await?;
    if requests.load(Ordering::Relaxed) - before < asked + AGENTS {
        bail!("requests to the engine were missed: each deletion is at least one");
    }
    proxy.abort();
    times.sort_unstable();
    Ok((times, asked))
}

#[tokio::main]
async fn main() -> Result<()> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    if text_setting("TRINITY_TEST_DOCKER_HOST").is_err() {
        println!("\nAgents in containers are not measured: no Docker daemon can run here.\n");
        return Ok(());
    }
    let engine = Engine::open()?;
    println!("\n## Agents in containers\n");
    println!(
        "Median of {LIVES} lives, network `none`. An agent's container has a volume, every bound"
    );
    println!(
        "and no way out; its start counts once its server answers. The bare one is of the same"
    );
    println!("image, with `docker-init` and `sleep`.\n");
    println!("| step | bare, ms | own, ms | ratio |\n|---|---|---|---|");
    let (bare, own) = (bare_lives(&engine).await?, own_lives(&engine).await?);
    for ((step, mut bare), mut own) in STEPS.into_iter().zip(bare).zip(own) {
        bare.sort_unstable();
        own.sort_unstable();
        let (bare, own) = (percentile_ms(&bare, 50), percentile_ms(&own, 50));
        println!("| {step} | {bare:.0} | {own:.0} | {:.1} |", own / bare);
    }
    let link = measure_link(&engine).await?;
    let (call, call99) = (percentile_ms(&link.calls, 50), percentile_ms(&link.calls, 99));
    let (exec, exec99) = (percentile_ms(&link.execs, 50), percentile_ms(&link.execs, 99));
    println!(
        "\nA call of the agent server, over the link that stays open and by an exec of its own:\n"
    );
    println!("| how | p50, ms | p99, ms |\n|---|---|---|");
    println!("| exec | {exec:.1} | {exec99:.1} |\n| link | {call:.2} | {call99:.2} |");
    println!(
        "\nOutput of {} MiB in lines of 1 KiB, numbered and kept on the way:\n",
        OUTPUT_BYTES >> 20
    );
    println!("| how | MB/s | ratio |\n|---|---|---|");
    let (bare, own) = (link.bare_megabytes, link.own_megabytes);
    println!("| exec, not kept | {bare:.0} | |\n| link | {own:.0} | {:.2} |", own / bare);
    let (times, asked) = list(&engine).await?;
    let (p50, p99) = (percentile_ms(&times, 50), percentile_ms(&times, 99));
    println!(
        "\nA list of {AGENTS} agents at rest, {LISTS} times: {p50:.1} ms p50, {p99:.1} ms p99; requests"
    );
    println!("to the engine meanwhile: {asked}.\n");
    if asked != 0 {
        bail!("a list of agents is to ask the engine for nothing");
    }
    Ok(())
}
