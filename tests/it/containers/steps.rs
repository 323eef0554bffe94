//! The steps of creation and start: each that fails is named, and what was wrong with it once mended, the
//! next start gets past it.

use serde_json::{Value, json};

use super::{ask, delete, fresh_name, server, state};
use crate::docker::docker;
use crate::server::{Server, until};

/// Asks for a start that fails; gives the step and why.
async fn fails(server: &Server, name: &str) -> (String, String) {
    let refused = server.post(&format!("/api/agents/{name}/start"), json!({})).await;
    if refused.status == 202 {
        // The machine is busy.
        let failed = server.until_phase(name, "failed").await;
        let (step, why) = failure(&failed);
        return (step.as_str().unwrap().to_owned(), why.to_owned());
    }
    let refused = refused.expect(503);
    let text = |field: &str| refused[field].as_str().unwrap().to_owned();
    (text("step"), text("detail"))
}

fn failure(agent: &Value) -> (&Value, &str) {
    (&agent["failure"]["step"], agent["failure"]["error"].as_str().unwrap())
}

#[tokio::test]
async fn a_template_that_is_gone_when_its_agent_is_made_is_named() {
    let server = server().await;
    let name = fresh_name();
    let (volume, template) =
        (format!("agent-{name}-workspace"), server.data_dir.join("templates/worker"));
    let write_template = || {
        std::fs::create_dir_all(&template).unwrap();
        std::fs::write(template.join("template.yaml"), "runtime: demo\n").unwrap();
        std::fs::write(template.join("CLAUDE.md"), "Work well.\n").unwrap();
    };
    write_template();
    // Something of somebody else's is in the way, so that it is made later than it was asked for.
    docker(&["volume", "create", &volume]);
    server.post("/api/agents", json!({"name": name, "template": "worker"})).await.expect(201);
    let failed = server.until_phase(&name, "failed").await;
    assert!(failure(&failed).1.contains(&volume), "{failed}");
    std::fs::remove_dir_all(&template).unwrap();
    docker(&["volume", "rm", &volume]);

    let (step, why) = fails(&server, &name).await;
    assert_eq!(step, "template", "{why}");
    assert!(why.contains("worker"), "{why}");
    assert_eq!(docker(&["ps", "-aq", "--filter", &format!("name=agent-{name}")]), "");
    write_template();
    ask(&server, &name, "start", "running").await;
    let (container, look) = (format!("agent-{name}"), "cat /agent/workspace/CLAUDE.md");
    let text = docker(&["exec", &container, "/bin/sh", "-c", look]);
    assert_eq!(text, "Work well.");
    delete(&server, &name).await;
    server.audit().await;
}

#[tokio::test]
async fn a_start_that_fails_leaves_nothing_up_and_the_next_one_has_the_limits_of_then() {
    let server = server().await;
    let name = fresh_name();
    server.agent(&name).await;
    let id = || docker(&["inspect", "-f", "{{.Id}}", &format!("agent-{name}")]);
    let path = format!("/api/agents/{name}/files?path=startup.sh");
    let script = "test -e .once && exit; touch .once; exit 3";
    let written = server.request(reqwest::Method::PUT, &path).body(script);
    server.try_send(written).await.unwrap().expect(201);
    ask(&server, &name, "stop", "stopped").await;
    let before = id();

    let (step, why) = fails(&server, &name).await;
    assert_eq!(step, "startup", "{why}");
    assert_eq!((state(&name).as_str(), id() == before), ("exited", true));
    docker(&["start", &format!("agent-{name}")]);
    until("what was started by hand is ended", async || (state(&name) == "exited").then_some(()))
        .await;
    let limits = json!({"cpu": null, "memory": "128m"});
    server.put(&format!("/api/agents/{name}/resources"), limits).await.expect(200);
    ask(&server, &name, "start", "running").await;
    assert_ne!(id(), before, "made anew, as its limits are others");
    let resources = server.get(&format!("/api/agents/{name}/resources")).await.expect(200);
    assert_eq!(resources["restart_needed"], false, "{resources}");
    delete(&server, &name).await;
    server.audit().await;
}

#[tokio::test]
async fn a_startup_script_that_silences_its_supervisor_fails_the_health_of_its_agent() {
    let server = server().await;
    let name = fresh_name();
    server.agent(&name).await;
    let script = "test -e .once && exit; touch .once; for process in /proc/[0-9]*; do \
                  grep -q serve $process/cmdline && kill -9 ${process#/proc/}; done; sleep 1000";
    let path = format!("/api/agents/{name}/files?path=startup.sh");
    let written = server.request(reqwest::Method::PUT, &path).body(script);
    server.try_send(written).await.unwrap().expect(201);
    ask(&server, &name, "stop", "stopped").await;

    let (step, why) = fails(&server, &name).await;
    assert_eq!(step, "health", "{why}");
    assert!(why.contains("agent server"), "{why}");
    assert_eq!(state(&name), "exited", "nothing runs on that nobody can speak to");
    let agent = server.get(&format!("/api/agents/{name}")).await.expect(200);
    assert_eq!((failure(&agent).0, &agent["phase"]), (&json!("health"), &json!("failed")));
    ask(&server, &name, "start", "running").await;
    assert_eq!(server.script_ends(&name, &["say here"]).await["response"], "here");
    delete(&server, &name).await;
    server.audit().await;
}
