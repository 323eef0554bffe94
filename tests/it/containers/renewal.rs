//! What is set on the server is in force for an agent once its container was made anew, and said until
//! then.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};

use super::{ask, delete, fresh_name, server};
use crate::docker::{address, agent_server, docker, image, labelled};
use crate::server::Server;

/// Whether an agent is said to need a start.
async fn needs_restart(server: &Server, name: &str) -> bool {
    let mut said = Vec::new();
    for below in ["", "/resources", "/capabilities"] {
        let shown = server.get(&format!("/api/agents/{name}{below}")).await.expect(200);
        said.push(shown["restart_needed"].as_bool().unwrap());
    }
    assert!(said.iter().all(|needs| *needs == said[0]), "{said:?}");
    said[0]
}

/// Starts the server again with these settings.
async fn set(server: &mut Server, settings: &[(&str, &str)]) {
    server.kill().await;
    server.start_again_with(settings).await;
}

async fn restart(server: &Server, name: &str) {
    ask(server, name, "stop", "stopped").await;
    ask(server, name, "start", "running").await;
}

fn inspected(format: &str, name: &str) -> String {
    docker(&["inspect", "-f", format, &format!("agent-{name}")])
}

#[tokio::test]
async fn another_network_or_default_image_is_in_force_from_the_next_start_on() {
    let other = format!("other-{}:1", uuid::Uuid::new_v4().simple());
    docker(&["tag", &image(), &other]);
    let mut server = server().await;
    let (name, of_own_image) = (fresh_name(), fresh_name());
    server.agent(&name).await;
    let config = json!({"name": of_own_image, "runtime": "demo", "base_image": image()});
    server.agent_with(config).await;
    let ended = server.script_ends(&name, &["exec echo kept > note", "say done"]).await;
    assert_eq!(ended["status"], "completed", "{ended}");
    assert!(!needs_restart(&server, &name).await);
    server.crash().await;
    assert!(!needs_restart(&server, &name).await, "nothing has changed");

    let mode = "{{.HostConfig.NetworkMode}}";
    for (network, internal) in [("internal", "true"), ("outbound", "false")] {
        let before = inspected(mode, &name);
        set(&mut server, &[("TRINITY_AGENT_NETWORK", network)]).await;
        assert!(needs_restart(&server, &name).await, "{network}");
        assert_eq!(inspected(mode, &name), before, "it goes on as it was started");
        restart(&server, &name).await;
        assert!(!needs_restart(&server, &name).await, "{network}");
        let own = format!("agent-{name}");
        assert_eq!(inspected(mode, &name), own);
        assert_eq!(docker(&["network", "inspect", "-f", "{{.Internal}}", &own]), internal);
    }
    restart(&server, &of_own_image).await;

    set(&mut server, &[("TRINITY_AGENT_IMAGE", &other), ("TRINITY_ALLOWED_IMAGES", &image())])
        .await;
    assert!(needs_restart(&server, &name).await);
    assert!(!needs_restart(&server, &of_own_image).await, "it has an image of its own");
    restart(&server, &name).await;
    assert!(!needs_restart(&server, &name).await);
    assert_eq!(inspected("{{.Config.Image}}", &name), other);
    let ended = server.script_ends(&name, &["exec grep kept note", "say done"]).await;
    assert_eq!(ended["response"], "done", "{ended}");
    for name in [&name, &of_own_image] {
        delete(&server, name).await;
        let left = labelled("network", &format!("trinity.agent-name={name}"));
        assert!(left.is_empty(), "{left:?}");
    }
    docker(&["rmi", &other]);
    server.audit().await;
}

/// An agent server as it was before it said whether it holds runs in what they write: the word for that is
/// another one, which nobody knows.
fn agent_server_of_before(folder: &std::path::Path) -> String {
    let (word, other) = (b"restricts_writes", b"restricts_writez");
    let mut executable = std::fs::read(agent_server()).unwrap();
    let found = |bytes: &[u8]| bytes.windows(word.len()).position(|part| part == word);
    assert!(found(&executable).is_some());
    while let Some(at) = found(&executable) {
        executable[at..at + word.len()].copy_from_slice(other);
    }
    let path = folder.join("trinity-agent");
    std::fs::write(&path, executable).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path.display().to_string()
}

#[tokio::test]
async fn read_only_mode_says_that_a_new_agent_server_is_needed_until_there_is_one() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start_with(&[
        ("TRINITY_AGENT_HOST", "docker"),
        ("TRINITY_DOCKER_HOST", &address()),
        ("TRINITY_AGENT_IMAGE", &image()),
        ("TRINITY_AGENT_SERVER", &agent_server_of_before(folder.path())),
    ])
    .await;
    let name = fresh_name();
    server.agent(&name).await;
    let path = format!("/api/agents/{name}/read-only");
    let told = |shown: &Value| (shown["enforced"].clone(), shown["restart_needed"].clone());
    let set_one = server.put(&path, json!({"enabled": true})).await.expect(200);
    assert_eq!(told(&set_one), (json!(false), json!(true)), "{set_one}");
    let refused = server.script_ends(&name, &["exec touch file"]).await;
    assert_eq!(refused["status"], "failed", "{refused}");
    assert!(refused["error"].as_str().unwrap().contains("stop it and start it"), "{refused}");

    set(&mut server, &[("TRINITY_AGENT_SERVER", &agent_server())]).await;
    let shown = server.get(&path).await.expect(200);
    assert_eq!(told(&shown), (json!(false), json!(true)), "{shown}");
    assert!(needs_restart(&server, &name).await);
    restart(&server, &name).await;
    let shown = server.get(&path).await.expect(200);
    assert_eq!(told(&shown), (json!(true), json!(false)), "{shown}");
    assert!(!needs_restart(&server, &name).await);
    let held = ["exec touch file 2>/dev/null || echo it-is-held", "say done"];
    let id = server.script(&name, &held).await;
    assert_eq!(server.until_ended(&id).await["response"], "done");
    assert!(json!(server.lines(&id).await).to_string().contains("it-is-held"));
    delete(&server, &name).await;
    server.audit().await;
}
