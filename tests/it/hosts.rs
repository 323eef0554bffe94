//! The hosts with real agent servers: processes of this machine, and containers of a real engine.

mod docker;
mod process;
mod shared;
mod strays;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use futures::TryStreamExt;
use nix::sys::signal::Signal;
use tempfile::TempDir;
use trinity::config::AgentNetwork;
use trinity::hosts::docker::{self as docker_host, DockerHost, Endpoint};
use trinity::hosts::link::{Lines, Link};
use trinity::hosts::process::{Options, ProcessHost};
use trinity::hosts::{AgentHost, AgentSpec, ContainerSpec, HostState};
use trinity_agent_protocol::{ExecutionStatus, StartRequest};
use trinity_agent_server::ServerRecord;
use uuid::Uuid;

use crate::docker as engine;

/// How long a test waits for what must happen.
const WAIT: Duration = Duration::from_secs(30);

const GRACE: Duration = Duration::from_millis(500);

/// Where the agents of a test live.
enum Place {
    Process(TempDir),
    /// With the id of the platform, which is this test's alone.
    Docker(String, AgentNetwork),
}

impl Place {
    fn chosen() -> Self {
        if engine::is_chosen() { Self::docker() } else { Self::process() }
    }

    fn process() -> Self {
        Self::Process(tempfile::tempdir().unwrap())
    }

    fn docker() -> Self {
        Self::Docker(Uuid::new_v4().to_string(), AgentNetwork::None)
    }

    fn label(platform: &str) -> String {
        format!("trinity.platform={platform}")
    }

    /// A host on what is there.
    fn open(&self) -> Arc<dyn AgentHost> {
        match self {
            Self::Process(data) => {
                let executable = env!("CARGO_BIN_EXE_trinity").into();
                let options = Options { executable, ..Options::new(data.path().to_owned()) };
                Arc::new(ProcessHost::open(options).unwrap())
            }
            Self::Docker(platform, network) => {
                Arc::new(DockerHost::new(docker_options(platform, *network)))
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Self::Docker(platform, _) = self {
            engine::remove_labelled(&Self::label(platform));
        }
    }
}

fn docker_options(platform: &str, network: AgentNetwork) -> docker_host::Options {
    docker_host::Options {
        endpoint: Endpoint { address: engine::address(), certificates: None },
        image: engine::image(),
        agent_server: None,
        network,
        gateway: true,
        platform: platform.to_owned(),
    }
}

/// A host with one agent; whatever still runs is stopped at the end.
struct Fixture {
    place: Place,
    host: Arc<dyn AgentHost>,
    spec: AgentSpec,
}

impl Fixture {
    async fn new() -> Self {
        Self::at(Place::chosen()).await
    }

    async fn at(place: Place) -> Self {
        let host = place.open();
        let incarnation = Uuid::now_v7();
        let platform = match &place {
            Place::Process(_) => "log-1",
            Place::Docker(platform, _) => platform,
        };
        let spec = AgentSpec {
            // Of its own, because all tests share one engine.
            name: format!("scout-{}", &Uuid::new_v4().simple().to_string()[..8]),
            incarnation,
            labels: BTreeMap::from([("trinity.platform".into(), platform.into())]),
            container: ContainerSpec::default(),
            workspace_files: BTreeMap::from([("CLAUDE.md".into(), "be kind".to_owned().into())]),
        };
        host.create(&spec).await.unwrap();
        Self { place, host, spec }
    }

    async fn started() -> Self {
        Self::started_at(Place::chosen()).await
    }

    async fn started_at(place: Place) -> Self {
        let fixture = Self::at(place).await;
        fixture.host.start(fixture.id()).await.unwrap();
        fixture
    }

    fn id(&self) -> Uuid {
        self.spec.incarnation
    }

    fn link(&self) -> Link {
        Link::new(Arc::clone(&self.host), self.id())
    }

    async fn state(&self) -> HostState {
        self.host.inspect(self.id()).await.unwrap().unwrap().state
    }

    /// The name of the agent's container.
    fn container(&self) -> String {
        format!("agent-{}", self.spec.name)
    }

    /// What the agent server of a process wrote of itself.
    fn server(&self) -> ServerRecord {
        let Place::Process(data) = &self.place else { panic!("it is no process of this machine") };
        let state = data.path().join(format!("agents/{}/state", self.id()));
        ServerRecord::read(&state).unwrap().unwrap()
    }

    /// Ends the agent server as no platform would.
    fn kill(&self) {
        match &self.place {
            Place::Process(_) => self.server().process.signal(Signal::SIGKILL).unwrap(),
            Place::Docker(..) => drop(engine::docker(&["kill", &self.container()])),
        }
    }

    /// Freezes the agent server by hand.
    fn freeze(&self) {
        match &self.place {
            Place::Process(_) => self.server().process.signal(Signal::SIGSTOP).unwrap(),
            Place::Docker(..) => drop(engine::docker(&["pause", &self.container()])),
        }
    }

    fn assert_nothing_is_left(&self) {
        match &self.place {
            Place::Process(data) => {
                for folder in ["agents", "s"] {
                    let left = std::fs::read_dir(data.path().join(folder)).unwrap().count();
                    assert_eq!(left, 0, "{folder}");
                }
            }
            Place::Docker(platform, _) => {
                for kind in ["container", "volume", "network"] {
                    let left = engine::labelled(kind, &Place::label(platform));
                    assert!(left.is_empty(), "{kind}: {left:?}");
                }
            }
        }
    }

    /// Runs a shell command to its end; gives what it printed.
    async fn run(&self, command: &str) -> Vec<String> {
        let id = Uuid::new_v4().to_string();
        let link = self.link();
        link.start(&id, &shell(command)).await.unwrap();
        texts(&link, &id, 0).await.into_iter().map(|(_, line)| line).collect()
    }

    async fn finish(self) {
        self.host.remove(self.id()).await.unwrap();
    }
}

/// A run of a shell command that may take a minute.
fn shell(command: &str) -> StartRequest {
    StartRequest {
        epoch: 1,
        argv: vec!["sh".into(), "-c".into(), command.into()],
        env: BTreeMap::from([("PATH".into(), "/usr/bin:/bin".into())]),
        stdin: String::new(),
        files: Vec::new(),
        masked: Vec::new(),
        cwd: None,
        timeout_ms: 60_000,
        grace_ms: 500,
        deadline: trinity::clock::now() + TimeDelta::minutes(10),
        uid: None,
        gid: None,
        allow_new_privileges: false,
        writable_folders: None,
    }
}

async fn texts(link: &Link, id: &str, after: u64) -> Vec<(u64, String)> {
    let lines = link.output(id, after, Lines::Follow).await.unwrap();
    lines.map_ok(|line| (line.seq, line.line)).try_collect().await.unwrap()
}

async fn ended(link: &Link, id: &str) -> ExecutionStatus {
    wait_for(async || {
        let status = link.status(id).await.ok()??;
        status.state.is_final().then_some(status)
    })
    .await
}

async fn wait_for<T>(look: impl AsyncFn() -> Option<T>) -> T {
    tokio::time::timeout(WAIT, async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .expect("what was waited for did not happen")
}
