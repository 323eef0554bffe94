//! The process host with real agent servers: the executable `trinity` started as itself.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use futures::TryStreamExt;
use nix::sys::signal::Signal;
use tempfile::TempDir;
use trinity::hosts::link::{self, Lines, Link, Started};
use trinity::hosts::process::{Options, ProcessHost};
use trinity::hosts::{AgentHost, AgentSpec, Error, HostState, Status};
use trinity_agent_protocol::{
    ErrorCode, ExecutionState, ExecutionStatus, StartRequest, StopReason, StopRequest,
};
use trinity_agent_server::ServerRecord;
use uuid::Uuid;

/// How long a test waits for what must happen.
const WAIT: Duration = Duration::from_secs(30);

const GRACE: Duration = Duration::from_millis(500);

/// A data directory with one agent; whatever still runs is stopped at the end.
struct Fixture {
    data: TempDir,
    host: Arc<dyn AgentHost>,
    spec: AgentSpec,
}

impl Fixture {
    async fn new() -> Self {
        let data = tempfile::tempdir().unwrap();
        let host = host(data.path());
        let labels = BTreeMap::from([("trinity.log-id".into(), "log-1".into())]);
        let spec = AgentSpec {
            name: "scout".into(),
            incarnation: Uuid::now_v7(),
            labels,
            workspace_files: BTreeMap::new(),
        };
        host.create(&spec).await.unwrap();
        Self { data, host, spec }
    }

    async fn started() -> Self {
        let fixture = Self::new().await;
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

    fn server(&self) -> ServerRecord {
        let state = self.data.path().join(format!("agents/{}/state", self.id()));
        ServerRecord::read(&state).unwrap().unwrap()
    }

    async fn finish(self) {
        self.host.remove(self.id()).await.unwrap();
    }
}

fn host(data: &Path) -> Arc<dyn AgentHost> {
    let executable = env!("CARGO_BIN_EXE_trinity").into();
    let options = Options { executable, ..Options::new(data.to_owned()) };
    Arc::new(ProcessHost::open(options).unwrap())
}

/// A run of a shell command that may take a minute.
fn shell(command: &str) -> StartRequest {
    StartRequest {
        epoch: 1,
        argv: vec!["sh".into(), "-c".into(), command.into()],
        env: BTreeMap::from([("PATH".into(), "/usr/bin:/bin".into())]),
        stdin: String::new(),
        files: Vec::new(),
        cwd: None,
        timeout_ms: 60_000,
        grace_ms: 500,
        deadline: trinity::clock::now() + TimeDelta::minutes(10),
        uid: None,
        gid: None,
        allow_new_privileges: false,
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

#[tokio::test]
async fn an_agent_is_created_started_stopped_and_removed() {
    let t = Fixture::new().await;
    assert_eq!(t.state().await, HostState::Created);
    assert!(matches!(t.host.connect(t.id()).await, Err(Error::NotRunning(_))));

    t.host.start(t.id()).await.unwrap();
    assert_eq!(t.state().await, HostState::Running);
    let info = t.link().info().await.unwrap();
    assert!(info.home.starts_with(&info.workspace) && Path::new(&info.home).is_dir());

    t.host.stop(t.id(), GRACE).await.unwrap();
    assert_eq!(t.state().await, HostState::Exited);
    t.host.stop(t.id(), GRACE).await.unwrap();

    t.host.remove(t.id()).await.unwrap();
    assert_eq!(t.host.inspect(t.id()).await.unwrap(), None);
    t.host.remove(t.id()).await.unwrap();
    assert!(matches!(t.host.start(t.id()).await, Err(Error::NotFound(_))));
    assert_eq!(std::fs::read_dir(t.data.path().join("agents")).unwrap().count(), 0);
    assert_eq!(std::fs::read_dir(t.data.path().join("s")).unwrap().count(), 0);
}

#[tokio::test]
async fn starting_and_creating_twice_is_a_no_op() {
    let t = Fixture::started().await;
    let first = t.link().info().await.unwrap();
    let (one, two) = tokio::join!(t.host.start(t.id()), t.host.start(t.id()));
    one.and(two).unwrap();
    t.host.create(&t.spec).await.unwrap();
    assert_eq!(t.link().info().await.unwrap().boot_id, first.boot_id);
    t.finish().await;
}

#[tokio::test]
async fn a_run_is_started_followed_and_forgotten_over_the_link() {
    let t = Fixture::started().await;
    let link = t.link();
    let mut request = shell("cat; pwd; echo $HOME; exit 3");
    let info = link.info().await.unwrap();
    request.env.insert("HOME".into(), info.home.clone());
    request.stdin = "hello\n".into();

    let (started, _) = link.start("run", &request).await.unwrap();
    assert_eq!(started, Started::Now);
    let (started, _) = link.start("run", &request).await.unwrap();
    assert_eq!(started, Started::Already);
    let expected = [(1, "hello".into()), (2, info.workspace), (3, info.home)];
    assert_eq!(texts(&link, "run", 0).await, expected);
    assert_eq!(texts(&link, "run", 2).await, expected[2..]);

    let status = ended(&link, "run").await;
    assert_eq!(status.exit.unwrap().code, Some(3));
    assert_eq!(link.executions().await.unwrap().len(), 1);
    link.delete("run").await.unwrap();
    link.delete("never there").await.unwrap_err();
    link.delete("never-there").await.unwrap();
    assert_eq!(link.status("never-there").await.unwrap(), None);
    let late = link.start("run", &request).await.unwrap_err();
    assert_eq!(late.code(), Some(ErrorCode::Tombstone));
    t.finish().await;
}

#[tokio::test]
async fn the_environment_of_the_platform_reaches_no_run() {
    let t = Fixture::started().await;
    let link = t.link();
    let mut request = shell("");
    request.argv = vec!["/usr/bin/env".into()];
    request.env = BTreeMap::from([("ONLY".into(), "this".into())]);
    link.start("run", &request).await.unwrap();
    let mut lines: Vec<_> = texts(&link, "run", 0).await.into_iter().map(|line| line.1).collect();
    lines.sort();
    assert_eq!(lines, ["ONLY=this", "TRINITY_EXECUTION_ID=run"]);
    t.finish().await;
}

#[tokio::test]
async fn stopping_an_agent_stops_its_runs_and_keeps_their_record() {
    let t = Fixture::started().await;
    t.link().start("run", &shell("trap '' INT; sleep 1000 & echo up; wait; wait")).await.unwrap();
    wait_for(async || (t.link().status("run").await.ok()??.last_seq > 0).then_some(())).await;
    t.host.stop(t.id(), GRACE).await.unwrap();
    t.host.start(t.id()).await.unwrap();

    let status = t.link().status("run").await.unwrap().unwrap();
    assert_eq!(status.state, ExecutionState::Exited);
    let exit = status.exit.unwrap();
    assert_eq!(exit.stop_reason, Some(StopReason::AgentStopped));
    assert_eq!((exit.signal, exit.swept), (Some(9), 1));
    t.finish().await;
}

#[tokio::test]
async fn an_agent_server_is_found_again_by_another_platform() {
    let t = Fixture::started().await;
    let before = t.link().info().await.unwrap();
    t.link().start("run", &shell("echo one; sleep 1; echo two")).await.unwrap();

    // Nothing but the data directory is common to the two.
    let fresh = host(t.data.path());
    let agents = fresh.list().await.unwrap();
    assert_eq!(agents.len(), 1);
    assert_eq!((&agents[0].spec, agents[0].state.normalised()), (&t.spec, Status::Running));
    fresh.start(t.id()).await.unwrap();
    let link = Link::new(fresh, t.id());
    assert_eq!(link.info().await.unwrap().boot_id, before.boot_id);
    assert_eq!(texts(&link, "run", 0).await, [(1, "one".into()), (2, "two".into())]);
    t.finish().await;
}

#[tokio::test]
async fn an_agent_server_outlives_the_process_that_started_it() {
    let t = Fixture::started().await;
    let parent = t.server().process.find().unwrap().parent;
    let own = i32::try_from(std::process::id()).unwrap();
    assert_ne!(parent, own);
    t.finish().await;
}

#[tokio::test]
async fn a_killed_agent_server_is_seen_and_started_again() {
    let t = Fixture::started().await;
    let link = t.link();
    link.start("run", &shell("echo up; sleep 1000")).await.unwrap();
    wait_for(async || (link.status("run").await.ok()??.last_seq > 0).then_some(())).await;
    t.server().process.signal(Signal::SIGKILL).unwrap();
    wait_for(async || (t.state().await == HostState::Exited).then_some(())).await;
    assert!(matches!(link.info().await, Err(link::Error::Unreachable(_))));

    t.host.start(t.id()).await.unwrap();
    // The same link, a new connection.
    let exit = ended(&link, "run").await.exit.unwrap();
    assert_eq!(exit.stop_reason, Some(StopReason::AgentServerLost));
    t.finish().await;
}

#[tokio::test]
async fn a_frozen_agent_server_is_paused_and_goes_on() {
    let t = Fixture::started().await;
    t.server().process.signal(Signal::SIGSTOP).unwrap();
    wait_for(async || (t.state().await == HostState::Paused).then_some(())).await;
    t.host.start(t.id()).await.unwrap();
    wait_for(async || (t.state().await == HostState::Running).then_some(())).await;
    t.link().info().await.unwrap();
    t.finish().await;
}

#[tokio::test]
async fn an_agent_server_that_nobody_needs_ends() {
    let data = tempfile::tempdir().unwrap();
    let executable = env!("CARGO_BIN_EXE_trinity").into();
    let options = Options { executable, idle_exit_ms: 300, ..Options::new(data.path().to_owned()) };
    let host = ProcessHost::open(options).unwrap();
    let spec = AgentSpec {
        name: "idle".into(),
        incarnation: Uuid::now_v7(),
        labels: BTreeMap::new(),
        workspace_files: BTreeMap::new(),
    };
    host.create(&spec).await.unwrap();
    host.start(spec.incarnation).await.unwrap();
    wait_for(async || {
        let state = host.inspect(spec.incarnation).await.unwrap().unwrap().state;
        (state == HostState::Exited).then_some(())
    })
    .await;
    host.remove(spec.incarnation).await.unwrap();
}

#[tokio::test]
async fn only_the_owner_can_look_into_an_agent() {
    let t = Fixture::started().await;
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    let agent = t.data.path().join(format!("agents/{}", t.id()));
    assert_eq!(mode(&agent), 0o711);
    assert_eq!(mode(&agent.join("workspace")), 0o700);
    assert_eq!(mode(&agent.join("state")), 0o700);
    let socket = t.server().socket;
    assert_eq!((mode(socket.parent().unwrap()), mode(&socket)), (0o700, 0o600));
    t.finish().await;
}

#[tokio::test]
async fn an_executable_that_does_not_serve_is_a_clear_error() {
    let data = tempfile::tempdir().unwrap();
    let options =
        Options { executable: "/bin/false".into(), ..Options::new(data.path().to_owned()) };
    let host = ProcessHost::open(options).unwrap();
    let spec = AgentSpec {
        name: "x".into(),
        incarnation: Uuid::now_v7(),
        labels: BTreeMap::new(),
        workspace_files: BTreeMap::new(),
    };
    host.create(&spec).await.unwrap();
    assert!(matches!(host.start(spec.incarnation).await, Err(Error::StartFailed(_))));
}

#[tokio::test]
async fn a_stop_of_an_unknown_run_is_remembered_over_a_restart() {
    let t = Fixture::started().await;
    let stop = StopRequest { epoch: 1, reason: StopReason::Cancel, force: false };
    let status = t.link().stop("run", &stop).await.unwrap();
    assert_eq!(status.state, ExecutionState::Tombstone);
    t.host.stop(t.id(), GRACE).await.unwrap();
    t.host.start(t.id()).await.unwrap();
    let refusal = t.link().start("run", &shell("true")).await.unwrap_err();
    assert_eq!(refusal.code(), Some(ErrorCode::Tombstone));
    let mut next = shell("true");
    next.epoch = 2;
    t.link().start("run", &next).await.unwrap();
    t.finish().await;
}
