//! What only processes of this machine do.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use trinity::hosts::process::{Options, ProcessHost};
use trinity::hosts::{AgentHost as _, AgentSpec, ContainerSpec, Error, HostState};
use uuid::Uuid;

use super::{Fixture, Place, wait_for};

#[tokio::test]
async fn an_agent_server_outlives_the_process_that_started_it() {
    let t = Fixture::started_at(Place::process()).await;
    let parent = t.server().process.find().unwrap().parent;
    let own = i32::try_from(std::process::id()).unwrap();
    assert_ne!(parent, own);
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
        container: ContainerSpec::default(),
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
    let t = Fixture::started_at(Place::process()).await;
    let Place::Process(data) = &t.place else { unreachable!() };
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    let agent = data.path().join(format!("agents/{}", t.id()));
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
        container: ContainerSpec::default(),
        workspace_files: BTreeMap::new(),
    };
    host.create(&spec).await.unwrap();
    assert!(matches!(host.start(spec.incarnation).await, Err(Error::StartFailed(_))));
}
