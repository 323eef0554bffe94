//! What a server does with places that its log does not hold, on whichever host the suite runs with.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;
use trinity::config::AgentNetwork;
use trinity::hosts::docker::DockerHost;
use trinity::hosts::process::{Options, ProcessHost};
use trinity::hosts::{AgentHost, AgentSpec, ContainerSpec, HostState, PLATFORM_LABEL};
use uuid::Uuid;

use super::{GRACE, docker_options};
use crate::docker as engine;
use crate::server::{EXECUTABLE, Server, until};

/// Another door to the host of a server, for agents of the log of this id.
fn door(server: &Server, platform: &str) -> Arc<dyn AgentHost> {
    if engine::is_chosen() {
        return Arc::new(DockerHost::new(docker_options(platform, AgentNetwork::None)));
    }
    let executable = EXECUTABLE.into();
    let options = Options { executable, ..Options::new(server.data_dir.clone()) };
    Arc::new(ProcessHost::open(options).unwrap())
}

/// The id of the log of a server, which has one agent.
fn platform_of(server: &Server, agent: &Value) -> String {
    if engine::is_chosen() {
        let container = agent["container_id"].as_str().unwrap().trim_start_matches("docker:");
        let label = format!("{{{{index .Config.Labels \"{PLATFORM_LABEL}\"}}}}");
        return engine::docker(&["inspect", "-f", &label, container]);
    }
    let folder = server.data_dir.join("agents").join(agent["incarnation"].as_str().unwrap());
    let record = std::fs::read(folder.join("agent.json")).unwrap();
    let record: Value = serde_json::from_slice(&record).unwrap();
    record["labels"][PLATFORM_LABEL].as_str().unwrap().to_owned()
}

/// Makes and starts a place that no server was asked for.
async fn place(host: &Arc<dyn AgentHost>, incarnation: Uuid, platform: &str) -> AgentSpec {
    let spec = AgentSpec {
        name: format!("stray-{}", &Uuid::new_v4().simple().to_string()[..8]),
        incarnation,
        labels: BTreeMap::from([(PLATFORM_LABEL.to_owned(), platform.to_owned())]),
        container: ContainerSpec::default(),
        workspace_files: BTreeMap::from([("note".into(), "kept".to_owned().into())]),
    };
    host.create(&spec).await.unwrap();
    host.start(incarnation).await.unwrap();
    spec
}

fn has_workspace(server: &Server, spec: &AgentSpec) -> bool {
    if engine::is_chosen() {
        let label = format!("trinity.incarnation={}", spec.incarnation);
        return !engine::labelled("volume", &label).is_empty();
    }
    let folder = server.data_dir.join("agents").join(spec.incarnation.to_string());
    folder.join("workspace/note").exists()
}

#[tokio::test]
async fn what_is_in_no_life_is_taken_away_and_what_is_of_another_log_is_not() {
    let mut server = Server::start().await;
    server.agent("scout").await;
    server.agent("mole").await;
    let scout = server.get("/api/agents/scout").await.expect(200);
    let mole = server.get("/api/agents/mole").await.expect(200);
    server.delete("/api/agents/mole").await.expect(200);
    let platform = platform_of(&server, &scout);
    server.kill().await;
    let (ours, theirs) = (door(&server, &platform), door(&server, "another-log"));
    let over = mole["incarnation"].as_str().unwrap().parse().unwrap();
    let over = place(&ours, over, &platform).await;
    let unknown = place(&ours, Uuid::now_v7(), &platform).await;
    let foreign = place(&theirs, Uuid::now_v7(), "another-log").await;
    server.start_again().await;

    let state = async |host: &Arc<dyn AgentHost>, spec: &AgentSpec| {
        host.inspect(spec.incarnation).await.unwrap().map(|shown| shown.state)
    };
    // Not at once: who knows what is under way.
    assert_eq!(state(&ours, &unknown).await, Some(HostState::Running));
    let is_up = |state: Option<HostState>| state.is_some_and(|state| !state.is_at_rest());
    until("what nobody knows has ended", async || {
        (!is_up(state(&ours, &unknown).await)).then_some(())
    })
    .await;
    until("nothing is left of what is over", async || {
        (state(&ours, &over).await.is_none() && !has_workspace(&server, &over)).then_some(())
    })
    .await;
    if engine::is_chosen() {
        assert_eq!(state(&ours, &unknown).await, None, "its container is gone");
    }
    assert!(has_workspace(&server, &unknown), "nobody has asked for its end");
    assert_eq!(state(&theirs, &foreign).await, Some(HostState::Running));
    assert!(has_workspace(&server, &foreign));
    until("both are counted", async || {
        let metrics = server.get("/metrics").await.expect(200);
        metrics.as_str()?.contains("trinity_stray_places_removed_total 2").then_some(())
    })
    .await;
    assert_eq!(server.script_ends("scout", &["say alive"]).await["response"], "alive");
    theirs.stop(foreign.incarnation, GRACE).await.unwrap();
    server.audit().await;
}
