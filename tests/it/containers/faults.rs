//! What goes wrong around containers: the engine dies, an image is missing or does not serve, something
//! of somebody else's is in the way.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use super::engine::{Containers, Endpoint, Engine};
use super::{ask, delete, fresh_name, server, state};
use crate::docker::{address, docker, image};
use crate::server::{Server, until};

/// How many agents start and work while the engine is killed.
const AGENTS: usize = 20;

async fn on(engine: &Engine) -> Server {
    Server::start_with(&[
        ("TRINITY_AGENT_HOST", "docker"),
        ("TRINITY_DOCKER_HOST", &engine.address()),
        ("TRINITY_AGENT_IMAGE", &image()),
        ("TRINITY_GRACE_MS", "500"),
        ("DOCKER_CERT_PATH", ""),
    ])
    .await
}

/// Everything in the engine that is labelled as some agent's.
fn of_agents(engine: &Engine) -> Vec<String> {
    let mut found = Vec::new();
    for list in [&["container", "ls", "-a"] as &[&str], &["volume", "ls"], &["network", "ls"]] {
        let labelled = ["-q", "--filter", "label=trinity.incarnation"];
        let listed = engine.docker(&[list, &labelled].concat()).unwrap();
        found.extend(listed.lines().map(|id| format!("{} {id}", list[0])));
    }
    found
}

/// The processes of this machine that carry the link into a container.
fn bridges(name: &str) -> Vec<i32> {
    let listed = docker(&["top", &format!("agent-{name}"), "-eo", "pid,args"]);
    let is_bridge = |line: &&str| line.contains("trinity-agent bridge");
    let pid = |line: &str| line.split_whitespace().next().unwrap().parse().unwrap();
    listed.lines().filter(is_bridge).map(pid).collect()
}

/// How many lines a run says for some seconds.
const LINES: usize = 40;

/// Starts a run that says them.
async fn talk(server: &Server, name: &str) -> String {
    let ops: Vec<String> =
        (0..LINES).flat_map(|n| [format!("say line {n}"), "sleep 0.1".to_owned()]).collect();
    server.script(name, &ops.iter().map(String::as_str).collect::<Vec<_>>()).await
}

async fn until_heard(server: &Server, run: &str, lines: usize) {
    until("more is heard", async || (server.lines(run).await.len() > lines).then_some(())).await;
}

/// The run ends as it should, each of its lines is there once and in order, and its agent never went down.
async fn was_heard(server: &Server, run: &str) {
    let ended = server.until_ended(run).await;
    assert_eq!(ended["status"], "completed", "{ended}");
    let mut said: Vec<String> = (0..LINES).map(|n| format!("line {n}")).collect();
    assert_eq!(ended["response"], said.join("\n"));
    // The result says all of it once more.
    said.push(said.join("\n"));
    let lines = server.lines(run).await;
    let text = |line: &Value| line["blocks"][0]["text"].as_str().map(str::to_owned);
    let heard: Vec<_> = lines.iter().filter_map(text).filter(|t| t.starts_with("line ")).collect();
    assert_eq!(heard, said);
    let events = server.events().await;
    let name = &ended["agent_name"];
    let of_agent = events.iter().filter(|event| event["stream_id"] == *name);
    let moves = ["AgentStarted", "AgentStartFailed", "AgentStatusObserved", "AgentStopped"];
    let moves: Vec<_> =
        of_agent.filter(|event| moves.iter().any(|m| event["type"] == *m)).collect();
    assert!(moves.len() == 1 && moves[0]["type"] == "AgentStarted", "{moves:?}");
}

#[tokio::test]
async fn a_link_that_breaks_while_a_run_speaks_loses_and_repeats_no_line() {
    let server = server().await;
    let name = fresh_name();
    server.agent(&name).await;
    let run = talk(&server, &name).await;
    for heard in [5, 15, 25] {
        until_heard(&server, &run, heard).await;
        let carried = bridges(&name);
        assert!(!carried.is_empty(), "the link is up");
        for bridge in carried {
            // It may have ended by itself meanwhile.
            let _gone = kill(Pid::from_raw(bridge), Signal::SIGKILL);
        }
    }
    was_heard(&server, &run).await;
    delete(&server, &name).await;
    server.audit().await;
}

#[tokio::test]
async fn an_engine_whose_containers_outlive_it_takes_no_line_of_a_run_with_it() {
    let mut engine = Engine::start_with(Endpoint::Socket, Containers::Outlive).await;
    let server = on(&engine).await;
    server.agent("scout").await;
    let run = talk(&server, "scout").await;
    until_heard(&server, &run, 5).await;
    engine.kill();
    engine.start_again().await;
    was_heard(&server, &run).await;
    delete(&server, "scout").await;
    server.audit().await;
}

#[tokio::test]
async fn an_engine_that_is_killed_amid_starts_and_runs_loses_no_execution() {
    let mut engine = Engine::start(Endpoint::Socket).await;
    let server = on(&engine).await;
    let names: Vec<String> = (0..AGENTS).map(|n| format!("a{n}")).collect();
    let (early, late) = names.split_at(AGENTS / 2);
    for name in early {
        server.agent(name).await;
    }
    let mut runs = Vec::new();
    for name in early {
        runs.push((name, server.script(name, &["say on it", "hang"]).await));
    }
    for (_, run) in &runs {
        server.until_status(run, "running").await;
        until("it is at work", async || (!server.lines(run).await.is_empty()).then_some(())).await;
    }
    for name in late {
        server.post("/api/agents", json!({"name": name, "runtime": "demo"})).await.expect(201);
    }
    until("some of the late ones start", async || {
        let listed = engine.docker(&["ps", "-q"]).ok()?;
        (listed.lines().count() > early.len()).then_some(())
    })
    .await;
    engine.kill();
    let listed = server.get("/api/agents").await.expect(200);
    let listed = listed.as_array().unwrap();
    let is_late = |agent: &&Value| late.iter().any(|name| agent["name"] == *name);
    let up = listed.iter().filter(is_late).filter(|agent| agent["phase"] == "running").count();
    assert_eq!(listed.len(), AGENTS);
    assert!(up < late.len(), "no start was in flight");
    let refused = server.post("/api/agents/a0/stop?wait_ms=2000", json!({})).await.expect(503);
    assert_eq!(refused["code"], "host-unavailable", "{refused}");
    for asked in ["logs", "stats", "files"] {
        let refused = server.get(&format!("/api/agents/a1/{asked}")).await.expect(503);
        assert_eq!(refused["code"], "host-unavailable", "{asked}: {refused}");
    }
    engine.start_again().await;

    for name in late {
        server.until_phase(name, "running").await;
    }
    for (name, run) in &runs {
        let ended = server.until_ended(run).await;
        let kind = (ended["status"].as_str().unwrap(), ended["error_class"].as_str());
        let was_told_to_stop = *name == "a0" && kind.0 == "cancelled";
        assert!(was_told_to_stop || kind == ("failed", Some("lost")), "{name}: {ended}");
    }
    server.until_phase("a0", "stopped").await;
    for name in &names[1..] {
        server.until_phase(name, "running").await;
        let ended = server.script_ends(name, &["say alive"]).await;
        assert_eq!(ended["response"], "alive", "{ended}");
    }
    assert_eq!(of_agents(&engine).len(), 2 * AGENTS, "a container and a volume each");
    assert!(engine.contained().len() >= 2 * (AGENTS - 1), "all but the one that was stopped");
    futures::future::join_all(names.iter().map(|name| delete(&server, name))).await;
    assert_eq!(of_agents(&engine), Vec::<String>::new());
    until("nothing runs on that the engine has forgotten", async || {
        engine.contained().is_empty().then_some(())
    })
    .await;
    server.audit().await;
}

#[tokio::test]
async fn an_engine_elsewhere_is_spoken_to_by_tls_and_by_nobody_without_a_certificate() {
    let engine = Engine::start(Endpoint::Tls).await;
    let certificates = engine.certificates().display().to_string();
    let environment = |certificates: &'static str| {
        [("TRINITY_AGENT_HOST", "docker"), ("TRINITY_DOCKER_CERT_PATH", certificates)]
    };
    let certificates: &'static str = certificates.leak();
    let (address, image) = (engine.address(), image());
    let mut known = environment(certificates).to_vec();
    known.extend([("TRINITY_DOCKER_HOST", address.as_str()), ("TRINITY_AGENT_IMAGE", &image)]);
    let server = Server::start_with(&known).await;
    let name = fresh_name();
    server.agent(&name).await;
    assert_eq!(server.script_ends(&name, &["say over tls"]).await["response"], "over tls");
    delete(&server, &name).await;
    server.audit().await;

    let stranger = on(&engine).await;
    stranger.post("/api/agents", json!({"name": "x", "runtime": "demo"})).await.expect(201);
    let refused = stranger.post("/api/agents/x/start?wait_ms=3000", json!({})).await;
    assert!(refused.status.as_u16() >= 500, "{}", refused.body);
    assert_eq!(engine.docker(&["ps", "-aq"]).unwrap(), "");
}

/// The step that failed, and why.
fn failure(agent: &Value) -> (&str, &str) {
    let failure = &agent["failure"];
    (failure["step"].as_str().unwrap(), failure["error"].as_str().unwrap())
}

#[tokio::test]
async fn an_image_that_is_missing_is_named_and_the_start_goes_on_from_there_once_it_is_there() {
    let missing = format!("missing-{}:1", uuid::Uuid::new_v4().simple());
    let server = Server::start_with(&[
        ("TRINITY_AGENT_HOST", "docker"),
        ("TRINITY_DOCKER_HOST", &address()),
        ("TRINITY_AGENT_IMAGE", &missing),
    ])
    .await;
    let name = fresh_name();
    server.post("/api/agents", json!({"name": name, "runtime": "demo"})).await.expect(201);
    let failed = server.until_phase(&name, "failed").await;
    let (step, error) = failure(&failed);
    assert_eq!(step, "container");
    assert!(error.contains(&missing) && error.contains("docker pull"), "{error}");
    docker(&["tag", &image(), &missing]);
    ask(&server, &name, "start", "running").await;
    assert_eq!(server.script_ends(&name, &["say here"]).await["response"], "here");
    delete(&server, &name).await;
    docker(&["rmi", &missing]);
    server.audit().await;
}

#[tokio::test]
async fn a_container_that_never_serves_fails_its_start_by_the_name_of_the_step() {
    let mute = format!("mute-{}:1", uuid::Uuid::new_v4().simple());
    let (engine, base) = (address(), image());
    // It has everything but an agent server that answers.
    let script = format!(
        "set -eo pipefail; id=$(docker -H {engine} create {base} /x); folder=$(mktemp -d); \
         printf '#!/bin/sh\\necho mute; exec /bin/sleep 1000\\n' > $folder/trinity-agent; \
         chmod 755 $folder/trinity-agent; \
         docker -H {engine} cp $folder/trinity-agent $id:/usr/local/bin/trinity-agent; \
         docker -H {engine} commit $id {mute}; docker -H {engine} rm $id; rm -r $folder"
    );
    let made = std::process::Command::new("bash").args(["-c", &script]).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let server = Server::start_with(&[
        ("TRINITY_AGENT_HOST", "docker"),
        ("TRINITY_DOCKER_HOST", &engine),
        ("TRINITY_AGENT_IMAGE", &mute),
    ])
    .await;
    let name = fresh_name();
    server.post("/api/agents", json!({"name": name, "runtime": "demo"})).await.expect(201);
    let failed = server.until_phase(&name, "failed").await;
    let (step, error) = failure(&failed);
    assert_eq!(step, "start");
    assert!(error.contains("mute"), "it says what it said last: {error}");
    assert_eq!(state(&name), "exited", "what does not answer does not run on");
    delete(&server, &name).await;
    docker(&["rmi", "-f", &mute]);
    server.audit().await;
}

#[tokio::test]
async fn what_is_in_the_way_is_left_alone_and_waited_for() {
    let environment = [
        ("TRINITY_AGENT_HOST", "docker"),
        ("TRINITY_DOCKER_HOST", &*address()),
        ("TRINITY_AGENT_IMAGE", &*image()),
    ];
    let (server, log) = Server::start_with_log(&environment).await;
    let name = fresh_name();
    let (container, volume) = (format!("agent-{name}"), format!("agent-{name}-workspace"));
    let id = docker(&["create", "--name", &container, &image(), "/bin/sleep", "1000"]);
    server.post("/api/agents", json!({"name": name, "runtime": "demo"})).await.expect(201);
    let failed = server.until_phase(&name, "failed").await;
    let (step, error) = failure(&failed);
    assert_eq!(step, "container");
    assert!(error.contains(&container) && error.contains("left alone"), "{error}");
    assert_eq!(docker(&["inspect", "-f", "{{.Id}}", &container]), id);
    docker(&["rm", &container]);
    ask(&server, &name, "start", "running").await;

    // Somebody looks into the volume while the agent is deleted, which is said.
    let mount = format!("{volume}:/looked-into");
    let reader = docker(&["create", "-v", &mount, &image(), "/bin/sleep", "1000"]);
    let path = format!("/api/agents/{name}");
    let deleting = server.delete(&format!("{path}?wait_ms=2000")).await.expect(202);
    assert_eq!(deleting["phase"], "deleting", "{deleting}");
    until("it is said what is in the way", async || {
        let said = std::fs::read_to_string(&log).unwrap();
        (said.contains(&format!("cannot remove volume {volume}")) && said.contains("in use"))
            .then_some(())
    })
    .await;
    docker(&["rm", "-f", &reader]);
    until("it is deleted", async || (server.get(&path).await.status.as_u16() == 404).then_some(()))
        .await;
    assert!(docker(&["volume", "ls", "-q", "--filter", &format!("name={volume}")]).is_empty());
    server.audit().await;
}

#[tokio::test]
async fn a_volume_that_somebody_else_uses_fails_the_step_that_makes_it_until_it_is_gone() {
    let server = server().await;
    let name = fresh_name();
    let volume = format!("agent-{name}-workspace");
    let mount = format!("{volume}:/mine");
    let user = docker(&["create", "-v", &mount, &image(), "/bin/sleep", "1000"]);
    server.post("/api/agents", json!({"name": name, "runtime": "demo"})).await.expect(201);
    let failed = server.until_phase(&name, "failed").await;
    let (step, error) = failure(&failed);
    assert_eq!(step, "volume");
    assert!(error.contains(&volume) && error.contains("left alone"), "{error}");
    docker(&["volume", "inspect", &volume]);
    docker(&["rm", &user]);
    docker(&["volume", "rm", &volume]);
    ask(&server, &name, "start", "running").await;
    assert_eq!(server.script_ends(&name, &["say here"]).await["response"], "here");
    delete(&server, &name).await;
    server.audit().await;
}
