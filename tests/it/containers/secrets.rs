//! Secrets in a container that they are injected into: who has them, and where they are not.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use reqwest::Method;
use serde_json::{Value, json};

use super::{SESSIONS, address, ask, delete, found_inside, fresh_name, image, shell_in};
use crate::credentials::assert_stored_nowhere;
use crate::server::{Server, until};

const KEY: &str = "sk-ant-injected-5c1f8e2b7d40";
const IN_A_FILE: &str = "ghp5c1f8e2b7d40injected";

/// A server that gives its agents the keys of their models, and its log; its agent has a key, a file, a
/// network, and a startup script that is careless.
async fn server_with_secrets(name: &str) -> (Server, PathBuf) {
    let (image, engine) = (image(), address());
    let environment = [
        ("TRINITY_AGENT_HOST", "docker"),
        ("TRINITY_DOCKER_HOST", engine.as_str()),
        ("TRINITY_AGENT_IMAGE", image.as_str()),
        ("TRINITY_AGENT_NETWORK", "internal"),
        ("TRINITY_MODEL_GATEWAY", "false"),
        ("TRINITY_CLAUDE_COMMAND", "/proc/self/exe fake-claude"),
        ("TRINITY_GRACE_MS", "500"),
        ("TRINITY_LOG", "debug"),
    ];
    let (server, log) = Server::start_with_log(&environment).await;
    let config = json!({"name": name, "runtime": "claude-code", "max_parallel_tasks": 2});
    server.agent_with(config).await;
    for (credential, value) in [("ANTHROPIC_API_KEY", KEY), ("keys%2Fservice.json", IN_A_FILE)] {
        let path = format!("/api/agents/{name}/credentials/{credential}");
        let set = server.put(&path, json!({ "value": value })).await.expect(200);
        assert_eq!(set["in_force"], true, "{set}");
    }
    let script = "echo startup has $(cat keys/service.json)";
    let path = format!("/api/agents/{name}/files?path=startup.sh");
    let put = server.request(Method::PUT, &path).body(script);
    server.try_send(put).await.unwrap().expect(201);
    ask(&server, name, "stop", "stopped").await;
    ask(&server, name, "start", "running").await;
    (server, log)
}

/// Everything that the engine says of an agent: container, volume and network, processes, and what the
/// container has printed.
fn told_by_the_engine(name: &str) -> String {
    let ask = format!(
        "set -e; ask() {{ docker -H {} \"$@\" 2>&1; }}; ask container inspect agent-{name}; \
         ask volume inspect agent-{name}-workspace; ask network inspect agent-{name}; \
         ask top agent-{name} -eo pid,args; ask logs agent-{name}",
        address()
    );
    let output = Command::new("bash").args(["-c", &ask]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}");
    said
}

#[tokio::test]
async fn what_is_injected_is_in_its_files_and_in_runs_and_nowhere_else() {
    let name = fresh_name();
    let (server, log) = server_with_secrets(&name).await;
    let ops = [
        "exec echo out $ANTHROPIC_API_KEY and; cat keys/service.json",
        "exec echo err $ANTHROPIC_API_KEY $(cat keys/service.json) > /proc/$PPID/fd/2",
        "hang",
    ];
    let run = server.script(&name, &ops).await;
    let said = until("it has said all on both streams", async || {
        let lines = server.lines(&run).await;
        let is_error = |line: &Value| line["stream"] == "stderr";
        lines.iter().any(is_error).then(|| json!(lines).to_string())
    })
    .await;
    assert!(said.contains("out *** and") && said.contains("err *** ***"), "{said}");

    // While it is at work: in the environment of its processes, on no command line, in one file each,
    // unless the CLI has read it.
    let found = |text: &str| {
        let all = found_inside(&name, text).into_iter();
        all.filter(|path| !path.starts_with(SESSIONS)).collect::<BTreeSet<_>>()
    };
    let (processes, files): (BTreeSet<_>, BTreeSet<_>) =
        found(KEY).into_iter().partition(|path| path.starts_with("/proc/"));
    assert_eq!(files, BTreeSet::from(["/agent/workspace/.env".to_owned()]));
    assert!(!processes.is_empty(), "a run has it");
    assert!(processes.iter().all(|path| path.ends_with("/environ")), "{processes:?}");
    let file = BTreeSet::from(["/agent/workspace/keys/service.json".to_owned()]);
    assert_eq!(found(IN_A_FILE), file);

    let ops = ["exec echo broken by $ANTHROPIC_API_KEY > /proc/$PPID/fd/2", "exit 3"];
    let failed = server.script_ends(&name, &ops).await;
    assert_eq!(failed["status"], "failed", "{failed}");
    assert!(failed["error"].as_str().unwrap().contains("broken by ***"), "{failed}");
    let logs = server.get(&format!("/api/agents/{name}/logs")).await.expect(200);
    assert!(logs["startup"].as_str().unwrap().contains("startup has ***"), "{logs}");
    let engine = told_by_the_engine(&name);
    assert!(engine.contains("trinity.incarnation") && engine.contains("fake-claude"), "{engine}");
    for text in [KEY, IN_A_FILE] {
        assert!(![&said, &engine, &logs.to_string()].iter().any(|said| said.contains(text)));
    }
    assert_stored_nowhere(&server, &log, &[KEY, IN_A_FILE]).await;
    delete(&server, &name).await;
    assert_stored_nowhere(&server, &log, &[KEY, IN_A_FILE]).await;
    server.audit().await;
}

#[tokio::test]
async fn files_with_secrets_are_the_agents_alone_and_are_there_again_after_a_start() {
    let name = fresh_name();
    let (server, _) = server_with_secrets(&name).await;
    let both = ".env keys/service.json";
    let look = format!("stat -c '%a %u' {both}; cat {both}");
    let before = shell_in(&name, &look);
    assert!(before.starts_with("600 10001\n600 10001\n"), "{before}");
    assert!(before.contains(KEY) && before.ends_with(IN_A_FILE), "{before}");

    shell_in(&name, "rm -r .env keys");
    ask(&server, &name, "stop", "stopped").await;
    for file in both.split(' ') {
        let from = format!("agent-{name}:/agent/workspace/{file}");
        let mut copy = Command::new("docker");
        let copied = copy.args(["-H", &address(), "cp", &from, "-"]).output().unwrap();
        assert!(!copied.status.success(), "{file} is there while the agent is stopped");
    }
    ask(&server, &name, "start", "running").await;
    assert_eq!(shell_in(&name, &look), before);
    let has_it = format!("exec [ ${{#ANTHROPIC_API_KEY}} = {} ] && echo has-it-again", KEY.len());
    let ended = server.script_ends(&name, &[&has_it]).await;
    assert_eq!(ended["status"], "completed", "{ended}");
    let said = json!(server.lines(ended["id"].as_str().unwrap()).await).to_string();
    assert!(said.contains("\"has-it-again"), "{said}");
    delete(&server, &name).await;
    server.audit().await;
}
