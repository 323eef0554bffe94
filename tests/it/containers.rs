//! The whole system with agents in containers: what only that host has, asked for over the API and
//! seen by the engine's own client.

mod disk;
mod engine;
mod faults;
mod gateway;
mod git;
mod lost;
mod renewal;
mod secrets;
mod steps;

use std::collections::BTreeSet;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::docker::{address, agent_server, docker, foreign_image, image, labelled, shell_in};
use crate::server::{Server, until};

/// The name of an agent, of its own because all tests share one engine.
fn fresh_name() -> String {
    format!("scout-{}", &Uuid::new_v4().simple().to_string()[..8])
}

async fn server() -> Server {
    server_at(&address()).await
}

async fn server_at(engine: &str) -> Server {
    let environment = [
        ("TRINITY_AGENT_HOST", "docker"),
        ("TRINITY_DOCKER_HOST", engine),
        ("TRINITY_AGENT_IMAGE", &image()),
        ("TRINITY_GRACE_MS", "500"),
    ];
    Server::start_with(&environment).await
}

/// Asks an agent for something and waits until it is done, however busy the machine is.
async fn ask(server: &Server, name: &str, verb: &str, phase: &str) -> Value {
    let answer = server.post(&format!("/api/agents/{name}/{verb}"), json!({})).await;
    assert!(answer.status.is_success(), "{verb}: {}", answer.body);
    server.until_phase(name, phase).await
}

/// Deletes an agent and waits until it is gone.
async fn delete(server: &Server, name: &str) {
    let path = format!("/api/agents/{name}");
    let answer = server.delete(&path).await;
    assert!(answer.status.is_success(), "{}", answer.body);
    until("it is deleted", async || (server.get(&path).await.status.as_u16() == 404).then_some(()))
        .await;
}

/// Where the CLI remembers what it has read and said, as it was: its own files in its own HOME.
const SESSIONS: &str = "/agent/workspace/.home/.claude/projects/";

/// Every file of an agent, and every environment and command line of its processes, that holds a text:
/// what the agent's own user can find in its container.
fn found_inside(name: &str, text: &str) -> BTreeSet<String> {
    // In two halves, so that who looks is not found. A line ends for grep where a NUL is.
    let (begin, end) = text.split_at(text.len() / 2);
    let look = format!(
        "exec 2>/dev/null; t='{begin}'; t=\"${{t}}{end}\"; for f in $(find /agent /run /tmp -type f) \
         /proc/[0-9]*/environ /proc/[0-9]*/cmdline; do \
         tr '\\0' '\\n' < $f | grep -qF -e \"$t\" && echo $f; done; true"
    );
    shell_in(name, &look).lines().map(str::to_owned).collect()
}

fn state(name: &str) -> String {
    docker(&["inspect", "-f", "{{.State.Status}}", &format!("agent-{name}")])
}

#[tokio::test]
async fn an_agent_has_its_limits_and_labels_and_a_changed_one_at_its_next_start() {
    let server = server().await;
    let name = fresh_name();
    let resources = json!({"cpu": "0.5", "memory": "128m"});
    let template = server.data_dir.join("templates/worker");
    std::fs::create_dir_all(&template).unwrap();
    std::fs::write(template.join("template.yaml"), "runtime: demo\n").unwrap();
    let config =
        json!({"name": name, "template": "worker", "type": "helper", "resources": resources});
    server.agent_with(config).await;
    let shown: Value =
        serde_json::from_str(&docker(&["inspect", &format!("agent-{name}")])).unwrap();
    assert_eq!(shown[0]["HostConfig"]["NanoCpus"], 500_000_000);
    assert_eq!(shown[0]["HostConfig"]["Memory"], 128 << 20);
    let labels = &shown[0]["Config"]["Labels"];
    let expected = [
        ("agent-name", name.as_str()),
        ("agent-type", "helper"),
        ("runtime", "demo"),
        ("cpu", "0.5"),
        ("memory", "128m"),
        ("full-capabilities", "false"),
        ("template", "worker"),
    ];
    for (label, value) in expected {
        assert_eq!(labels[format!("trinity.{label}")], value, "{labels}");
    }
    for label in ["platform", "incarnation", "config-hash"] {
        assert!(labels[format!("trinity.{label}")].is_string(), "{label}: {labels}");
    }
    let agent = server.get(&format!("/api/agents/{name}")).await.expect(200);
    assert_eq!(agent["container_id"], format!("docker:{}", shown[0]["Id"].as_str().unwrap()));
    let life: Uuid = agent["incarnation"].as_str().unwrap().parse().unwrap();
    let created = chrono::DateTime::parse_from_rfc3339(labels["trinity.created"].as_str().unwrap());
    let (began, _) = life.get_timestamp().unwrap().to_unix();
    assert_eq!(created.unwrap().timestamp(), i64::try_from(began).unwrap(), "{labels}");
    assert_eq!((&agent["isolation"], &agent["run_uid"]), (&json!("container"), &json!(10_001)));

    for (resources, pointer) in
        [(json!({"memory": "2"}), "/resources/memory"), (json!({"cpu": "many"}), "/resources/cpu")]
    {
        let body = json!({"name": fresh_name(), "runtime": "demo", "resources": resources});
        let refused = server.post("/api/agents", body).await.expect(422);
        assert_eq!(refused["errors"][0]["pointer"], pointer, "{refused}");
    }
    let body = json!({"name": fresh_name(), "runtime": "demo", "base_image": "alpine:3"});
    let refused = server.post("/api/agents", body).await.expect(422);
    assert_eq!(refused["errors"][0]["pointer"], "/base_image", "{refused}");
    delete(&server, &name).await;
    for kind in ["container", "volume", "network"] {
        let left = labelled(kind, &format!("trinity.agent-name={name}"));
        assert!(left.is_empty(), "{kind}: {left:?}");
    }
    server.audit().await;
}

#[tokio::test]
async fn other_limits_and_capabilities_are_in_force_from_the_next_start_on() {
    let server = server().await;
    let name = fresh_name();
    server.agent(&name).await;
    let path = |below: &str| format!("/api/agents/{name}{below}");
    let says = async |commands: &[&str]| {
        let ops: Vec<_> = commands.iter().map(|command| format!("exec {command}")).collect();
        let id = server.script(&name, &ops.iter().map(String::as_str).collect::<Vec<_>>()).await;
        let ended = server.until_ended(&id).await;
        assert_eq!(ended["status"], "completed", "{ended}");
        serde_json::to_string(&server.lines(&id).await).unwrap()
    };
    let limit = "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max \
                 /sys/fs/cgroup/cpu/cpu.cfs_quota_us /sys/fs/cgroup/cpu.max 2>/dev/null || true";
    // What the kernel holds an agent to, in bytes and in microseconds of 100,000.
    let is_limited = |said: &str| [said.contains("134217728"), said.contains("\\n50000")];
    let become_root = "/bin/su -c 'echo now-$(id -u)' 2>/dev/null || echo now-$(id -u)";
    let first = says(&["echo kept > note", become_root, limit]).await;
    assert!(first.contains("now-10001") && is_limited(&first) == [false; 2], "{first}");
    let container = server.get(&path("")).await.expect(200)["container_id"].clone();

    let refused = server.put(&path("/resources"), json!({"cpu": "1"})).await.expect(422);
    assert!(refused["detail"].as_str().unwrap().contains("memory"), "{refused}");
    let tiny = json!({"cpu": null, "memory": "2"});
    let refused = server.put(&path("/resources"), tiny).await.expect(422);
    assert_eq!(refused["errors"][0]["pointer"], "/memory", "{refused}");
    let set = json!({"cpu": "0.5", "memory": "128m"});
    let set = server.put(&path("/resources"), set).await.expect(200);
    assert_eq!((&set["cpu"], &set["restart_needed"]), (&json!("0.5"), &json!(true)));
    let set = server.put(&path("/capabilities"), json!({"full_capabilities": true})).await;
    assert_eq!(set.expect(200)["restart_needed"], true);
    for below in ["", "/resources", "/capabilities"] {
        let shown = server.get(&path(below)).await.expect(200);
        assert_eq!(shown["restart_needed"], true, "{below}: {shown}");
    }
    let meanwhile = says(&[become_root, limit]).await;
    assert!(meanwhile.contains("now-10001") && is_limited(&meanwhile) == [false; 2], "{meanwhile}");

    // What is frozen goes on as it was: that is no start of its container.
    docker(&["pause", &format!("agent-{name}")]);
    server.until_phase(&name, "paused").await;
    let unfrozen = ask(&server, &name, "start", "running").await;
    assert_eq!(unfrozen["restart_needed"], true);

    ask(&server, &name, "stop", "stopped").await;
    ask(&server, &name, "start", "running").await;
    let shown = server.get(&path("")).await.expect(200);
    assert_eq!(shown["restart_needed"], false, "{shown}");
    assert_ne!(shown["container_id"], container, "it was made anew");
    let then = says(&["cat note", become_root, limit]).await;
    assert!(then.contains("kept") && is_limited(&then) == [true; 2], "{then}");
    assert!(then.contains("\"now-0\""), "{then}");

    let set = json!({"cpu": null, "memory": "128m"});
    let set = server.put(&path("/resources"), set).await.expect(200);
    assert_eq!(set["restart_needed"], true);
    let set = json!({"cpu": "0.5", "memory": "128m"});
    let set = server.put(&path("/resources"), set).await.expect(200);
    assert_eq!(set["restart_needed"], false, "it is as it was started with");
    delete(&server, &name).await;
    server.audit().await;
}

#[tokio::test]
async fn what_happens_to_a_container_by_hand_is_seen_and_mended() {
    let server = server().await;
    let name = fresh_name();
    server.agent(&name).await;
    let container = format!("agent-{name}");
    let first = server.script(&name, &["exec echo kept > note", "say done"]).await;
    assert_eq!(server.until_ended(&first).await["status"], "completed");

    docker(&["pause", &container]);
    server.until_phase(&name, "paused").await;
    ask(&server, &name, "start", "running").await;
    assert_eq!(state(&name), "running");

    let lost = server.script(&name, &["say busy", "hang"]).await;
    server.until_status(&lost, "running").await;
    docker(&["rm", "-f", &container]);
    let ended = server.until_ended(&lost).await;
    assert_eq!((&ended["status"], &ended["error_class"]), (&json!("failed"), &json!("lost")));
    server.until_phase(&name, "running").await;
    let next = server.script(&name, &["exec cat note"]).await;
    assert_eq!(server.until_ended(&next).await["status"], "completed");
    let said = server.lines(&next).await;
    assert!(said.iter().any(|line| line.to_string().contains("kept")), "{said:?}");

    docker(&["stop", "-t", "20", &container]);
    until("it is started again", async || (state(&name) == "running").then_some(())).await;
    server.until_phase(&name, "running").await;
    delete(&server, &name).await;
    server.audit().await;
}

#[tokio::test]
async fn a_paused_agent_stands_still_keeps_its_runs_and_goes_on() {
    let server = server().await;
    let name = fresh_name();
    server.agent(&name).await;
    let path = |verb: &str| format!("/api/agents/{name}/{verb}");
    let run = server
        .script(&name, &["exec for i in 1 2 3 4; do date +%s%N; sleep 0.2; done", "say on"])
        .await;
    server.until_status(&run, "running").await;
    for _ in 0..2 {
        let paused = ask(&server, &name, "pause", "paused").await;
        assert_eq!(paused["status"], "paused");
        assert_eq!(state(&name), "paused");
    }
    let body = json!({"message": "hello", "async_mode": true});
    let refused = server.post(&path("task"), body).await.expect(503);
    assert_eq!(refused["code"], "agent-not-running", "{refused}");
    assert_eq!(server.execution(&run).await["status"], "running");
    for _ in 0..2 {
        ask(&server, &name, "unpause", "running").await;
        assert_eq!(state(&name), "running");
    }
    assert_eq!(server.until_ended(&run).await["response"], "on");
    assert_eq!(server.script_ends(&name, &["say more"]).await["response"], "more");

    ask(&server, &name, "pause", "paused").await;
    ask(&server, &name, "stop", "stopped").await;
    for verb in ["pause", "unpause"] {
        let refused = server.post(&path(verb), json!({})).await.expect(409);
        assert!(refused["detail"].as_str().unwrap().contains("not running"), "{refused}");
    }
    delete(&server, &name).await;
    server.audit().await;
}

#[tokio::test]
async fn a_run_whose_time_is_up_while_its_agent_is_frozen_ends_once_it_goes_on() {
    let server = server().await;
    let name = fresh_name();
    server.agent(&name).await;
    let message = "#!demo\nsay begun\nhang";
    let task = json!({"message": message, "async_mode": true, "timeout_seconds": 3});
    let taken = server.post(&format!("/api/agents/{name}/task"), task).await.expect(202);
    let id = taken["execution_id"].as_str().unwrap();
    until("it has begun", async || (!server.lines(id).await.is_empty()).then_some(())).await;
    ask(&server, &name, "pause", "paused").await;
    tokio::time::sleep(std::time::Duration::from_secs(4)).await;
    let frozen = server.execution(id).await;
    assert_eq!(frozen["status"], "running", "its slot does not expire meanwhile: {frozen}");
    ask(&server, &name, "unpause", "running").await;
    let ended = server.until_ended(id).await;
    assert_eq!((&ended["status"], &ended["error_class"]), (&json!("failed"), &json!("timeout")));
    assert_eq!(server.script_ends(&name, &["say more"]).await["response"], "more");
    delete(&server, &name).await;
    server.audit().await;
}

/// The control group that holds a process to its memory.
fn memory_group(pid: &str) -> String {
    let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    let first = |line: &str| line.split_once(":memory:").map(|(_, path)| format!("/memory{path}"));
    let second = |line: &str| line.strip_prefix("0::").map(str::to_owned);
    let path = groups.lines().find_map(first).or_else(|| groups.lines().find_map(second));
    format!("/sys/fs/cgroup{}", path.unwrap())
}

#[tokio::test]
async fn who_runs_out_of_memory_is_said_so_a_run_alone_or_the_agent_with_its_runs() {
    let server = server().await;
    let name = fresh_name();
    let resources = json!({"memory": "64m"});
    server.agent_with(json!({"name": name, "runtime": "demo", "resources": resources})).await;
    // What is in /tmp counts as its memory.
    let fill = "i=0; while :; do i=$((i+1)); head -c 1m /dev/zero > /tmp/$i || exit; done";
    let ended = server.script_ends(&name, &[&format!("exec {fill}"), "hang"]).await;
    assert_eq!((&ended["status"], &ended["error_class"]), (&json!("failed"), &json!("exit")));
    assert!(ended["error"].as_str().unwrap().contains("memory was used up"), "{ended}");
    // What is in memory goes with a stop.
    ask(&server, &name, "stop", "stopped").await;
    ask(&server, &name, "start", "running").await;

    // The kernel is made to prefer the agent server to those that take its memory.
    let lost = server.script(&name, &["say busy", "hang"]).await;
    server.until_status(&lost, "running").await;
    let init = docker(&["inspect", "-f", "{{.State.Pid}}", &format!("agent-{name}")]);
    let children = std::fs::read_to_string(format!("/proc/{init}/task/{init}/children")).unwrap();
    std::fs::write(format!("/proc/{}/oom_score_adj", children.trim()), "1000").unwrap();
    let take = "for i in 1 2 3 4; do head -c 30m /dev/zero | tail > /dev/null & done; wait";
    let join = format!("echo $$ > {}/cgroup.procs", memory_group(&init));
    let hog = std::process::Command::new("bash").args(["-c", &format!("{join}; {take}")]).output();
    hog.unwrap();
    let ended = server.until_ended(&lost).await;
    assert_eq!((&ended["status"], &ended["error_class"]), (&json!("failed"), &json!("lost")));
    let error = ended["error"].as_str().unwrap();
    assert!(error.contains("ran out of memory (64m)"), "{error}");
    server.until_phase(&name, "running").await;
    let events = server.events().await;
    let observed = events.iter().find(|event| event["type"] == "AgentStatusObserved").unwrap();
    assert_eq!(observed["data"]["cause"], "out-of-memory", "{observed}");
    assert_eq!(server.script_ends(&name, &["say alive"]).await["response"], "alive");
    delete(&server, &name).await;
    server.audit().await;
}

#[tokio::test]
async fn an_agent_lives_in_an_image_that_knows_nothing_of_it() {
    let foreign = foreign_image();
    let files = docker(&["run", "--rm", &foreign, "/bin/find", "/", "-xdev", "-name", "*trinity*"]);
    assert_eq!(files, "");
    let server = Server::start_with(&[
        ("TRINITY_AGENT_HOST", "docker"),
        ("TRINITY_DOCKER_HOST", &address()),
        ("TRINITY_AGENT_IMAGE", &foreign),
        ("TRINITY_AGENT_SERVER", &agent_server()),
    ])
    .await;
    let name = fresh_name();
    server.agent(&name).await;
    let here = server.script_ends(&name, &["exec echo mine > note", "say here"]).await;
    assert_eq!(here["response"], "here", "{here}");
    let changes = ["exec rm -f /agent/bin/trinity-agent; ls /agent/bin", "say tried"];
    assert_eq!(server.script_ends(&name, &changes).await["response"], "tried");
    ask(&server, &name, "stop", "stopped").await;
    ask(&server, &name, "start", "running").await;
    let id = server.script(&name, &["exec cat note"]).await;
    assert_eq!(server.until_ended(&id).await["status"], "completed");
    let said = serde_json::to_string(&server.lines(&id).await).unwrap();
    assert!(said.contains("mine"), "{said}");
    delete(&server, &name).await;
    server.audit().await;
    docker(&["rmi", &foreign]);
}

#[tokio::test]
async fn an_agent_may_name_an_image_that_is_allowed_and_lives_in_it() {
    let foreign = foreign_image();
    let server = Server::start_with(&[
        ("TRINITY_AGENT_HOST", "docker"),
        ("TRINITY_DOCKER_HOST", &address()),
        ("TRINITY_AGENT_IMAGE", &image()),
        ("TRINITY_ALLOWED_IMAGES", "trinity-agent-base:*,foreign-*"),
        ("TRINITY_AGENT_SERVER", &agent_server()),
    ])
    .await;
    let (own, common) = (fresh_name(), fresh_name());
    server.agent_with(json!({"name": own, "runtime": "demo", "base_image": foreign})).await;
    server.agent(&common).await;
    for (name, image) in [(&own, &foreign), (&common, &image())] {
        let container = format!("agent-{name}");
        assert_eq!(docker(&["inspect", "-f", "{{.Config.Image}}", &container]), *image);
        // Only the foreign one has nobody to its name.
        let ended =
            server.script_ends(name, &["exec test -e /etc/passwd && echo known", "say here"]);
        let ended = ended.await;
        assert_eq!((&ended["status"], &ended["response"]), (&json!("completed"), &json!("here")));
        let said = json!(server.lines(ended["id"].as_str().unwrap()).await).to_string();
        assert_eq!(said.contains("\"known"), *name == common, "{said}");
    }
    let refused = json!({"name": fresh_name(), "runtime": "demo", "base_image": "strange-1:1"});
    server.post("/api/agents", refused).await.problem(422, "invalid-field");
    delete(&server, &own).await;
    delete(&server, &common).await;
    server.audit().await;
    docker(&["rmi", &foreign]);
}

#[tokio::test]
async fn an_agent_server_beside_the_executable_is_copied_in_without_being_named() {
    let (engine, image) = (address(), foreign_image());
    let environment = [
        ("TRINITY_AGENT_HOST", "docker"),
        ("TRINITY_DOCKER_HOST", &*engine),
        ("TRINITY_AGENT_IMAGE", &*image),
    ];
    let server = Server::start_beside(&agent_server(), &environment).await;
    let name = fresh_name();
    server.agent(&name).await;
    assert_eq!(server.script_ends(&name, &["say here"]).await["response"], "here");
    delete(&server, &name).await;
    server.audit().await;
    docker(&["rmi", &image]);
}

#[tokio::test]
async fn the_banner_says_where_agents_live_and_what_they_reach() {
    let mut server = server().await;
    let log = server.log_into_a_file();
    server.kill().await;
    server.start_again().await;
    let said = std::fs::read_to_string(log).unwrap();
    let (engine, image) = (address(), image());
    let expected = format!(
        "  agents in containers of {engine}, image {image}; isolation container, network none"
    );
    assert!(said.lines().any(|line| line == expected), "{said}");
}

#[tokio::test]
async fn without_the_engine_lists_work_and_what_was_asked_for_happens_when_it_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("docker.sock");
    let server = server_at(&format!("unix://{}", socket.display())).await;
    let name = fresh_name();
    let body = json!({"name": name, "runtime": "demo"});
    server.post("/api/agents", body).await.expect(201);
    let path = format!("/api/agents/{name}/start?wait_ms=3000");
    let refused = server.post(&path, json!({})).await.expect(503);
    assert_eq!(refused["code"], "host-unavailable", "{refused}");
    assert!(refused["detail"].as_str().unwrap().contains("docker.sock"), "{refused}");
    let listed = server.get("/api/agents").await.expect(200);
    assert_eq!((&listed[0]["name"], &listed[0]["phase"]), (&json!(name), &json!("creating")));

    let engine = address();
    std::os::unix::fs::symlink(engine.strip_prefix("unix://").unwrap(), &socket).unwrap();
    server.until_phase(&name, "running").await;
    let id = server.script(&name, &["say here"]).await;
    assert_eq!(server.until_ended(&id).await["response"], "here");
    delete(&server, &name).await;
    server.audit().await;
}
