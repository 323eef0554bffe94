//! The server's own agent: made at the first start, never deleted, rebuilt on request.

use serde_json::{Value, json};

use crate::docker::{self, docker, image};
use crate::server::Server;

const PATH: &str = "/api/agents/trinity-system";

async fn server() -> Server {
    let environment = [
        ("TRINITY_SYSTEM_AGENT", "true"),
        ("TRINITY_CLAUDE_COMMAND", "/proc/self/exe fake-claude"),
        ("TRINITY_GRACE_MS", "500"),
        ("TRINITY_ADMIN_PASSWORD", "correct horse"),
    ];
    let server = Server::start_with(&environment).await;
    server.until_phase("trinity-system", "running").await;
    server
}

/// Runs a script to its end; gives its whole transcript as text.
async fn said(server: &Server, ops: &[&str]) -> String {
    let id = server.script("trinity-system", ops).await;
    let ended = server.until_ended(&id).await;
    assert_eq!(ended["status"], "completed", "{ended}");
    serde_json::to_string(&server.lines(&id).await).unwrap()
}

fn of_type<'e>(events: &'e [Value], name: &str) -> Vec<&'e Value> {
    events.iter().filter(|event| event["type"] == name).collect()
}

#[tokio::test]
async fn it_is_made_once_and_cannot_be_deleted() {
    let mut server = server().await;
    let shown = server.get("/api/system-agent/status").await.expect(200);
    assert_eq!(shown["name"], "trinity-system");
    assert_eq!((&shown["is_system"], &shown["owner"]), (&json!(true), &json!("admin")));
    let refused = server.delete(PATH).await.expect(403);
    assert!(refused["detail"].as_str().unwrap().contains("reinitialize"), "{refused}");
    assert_eq!(server.get(PATH).await.expect(200)["can_delete"], false);

    // It calls whom it likes; nobody has granted it anything.
    server.agent("scout").await;
    let path = "/api/permissions/check?caller=trinity-system&callee=scout";
    let may = server.get(path).await.expect(200);
    assert_eq!(may["allowed"], true, "{may}");

    server.crash().await;
    server.until_phase("trinity-system", "running").await;
    let events = server.events().await;
    let made = of_type(&events, "AgentCreated");
    assert_eq!(made.len(), 2, "itself and scout: {made:?}");
    server.audit().await;
}

#[tokio::test]
async fn it_is_rebuilt_with_all_but_its_workspace_and_what_ran_on_it() {
    let server = server().await;
    server.agent("scout").await;
    server
        .put(&format!("{PATH}/credentials/KEY"), json!({"value": "value-of-key"}))
        .await
        .expect(200);
    let granted = server.post("/api/agents/scout/permissions/trinity-system", json!({})).await;
    assert!(granted.status.is_success(), "{}", granted.body);
    server.put(&format!("{PATH}/capacity"), json!({"max_parallel_tasks": 1})).await.expect(200);
    let before = server.get(PATH).await.expect(200);
    let first =
        said(&server, &["exec cat CLAUDE.md; echo more >> CLAUDE.md; echo mine > note"]).await;
    assert!(first.contains("You are the system agent"), "{first}");

    let running = server.script("trinity-system", &["say busy", "hang"]).await;
    server.until_status(&running, "running").await;
    let waiting = server
        .script(
            "trinity-system",
            &["exec test ! -e note && tail -n 1 CLAUDE.md; wc -c .env", "say up"],
        )
        .await;
    let rebuilt = server.post(&format!("{PATH}/reinitialize?wait_ms=10000"), json!({})).await;
    assert!(matches!(rebuilt.status.as_u16(), 200 | 202), "{}", rebuilt.body);
    let ended = server.until_ended(&running).await;
    assert_eq!(
        (&ended["status"], &ended["cancel_reason"]),
        (&json!("cancelled"), &json!("agent-stopped"))
    );
    Server::until_gone(&running).await;
    server.until_phase("trinity-system", "running").await;
    let ended = server.until_ended(&waiting).await;
    assert_eq!(ended["response"], "up", "what waits goes on");
    let seen = serde_json::to_string(&server.lines(&waiting).await).unwrap();
    assert!(seen.contains("unless you were asked to."), "it begins anew: {seen}");
    assert!(seen.contains(".env") && !seen.contains("No such file"), "{seen}");

    let after = server.get(PATH).await.expect(200);
    for kept in ["incarnation", "owner", "credentials", "max_parallel_tasks", "name"] {
        assert_eq!(after[kept], before[kept], "{kept}");
    }
    let permissions = server.get("/api/agents/scout/permissions").await.expect(200);
    assert!(permissions.to_string().contains("trinity-system"), "{permissions}");
    // Closed in the same append, so that nothing is granted to a place that goes.
    let events = server.events().await;
    let rebuilt = of_type(&events, "AgentReinitialized")[0];
    let same = |event: &&&Value| event["command_id"] == rebuilt["command_id"];
    let closed = of_type(&events, "AdmissionSuspended");
    let closed = closed.iter().find(same).expect("in one append");
    assert_eq!(closed["data"]["reason"], "not-started");
    server.audit().await;
}

#[tokio::test]
async fn a_volume_that_is_in_use_fails_its_rebuild_by_the_name_of_the_step() {
    if !docker::is_chosen() {
        return;
    }
    let server = server().await;
    assert!(said(&server, &["exec echo mine > note && echo done"]).await.contains("done"));
    let volume = "agent-trinity-system-workspace";
    let mount = format!("{volume}:/looked-into");
    let reader = docker(&["create", "-v", &mount, &image(), "/bin/sleep", "1000"]);
    server.post(&format!("{PATH}/reinitialize?wait_ms=0"), json!({})).await.expect(202);
    let failed = server.until_phase("trinity-system", "failed").await;
    let failure = &failed["failure"];
    assert_eq!(failure["step"], "volume", "{failed}");
    let error = failure["error"].as_str().unwrap();
    assert!(error.contains(volume) && error.contains("in use"), "{error}");
    docker(&["rm", &reader]);
    server.post(&format!("{PATH}/start"), json!({})).await.expect(200);
    server.until_phase("trinity-system", "running").await;
    let gone = said(&server, &["exec test -e note || echo it is gone"]).await;
    assert!(gone.contains("it is gone"), "{gone}");
    server.audit().await;
}

#[tokio::test]
async fn its_routes_are_for_administrators_and_for_agents_of_its_kind() {
    let server = server().await;
    server.agent("scout").await;
    let refused = server.post("/api/agents/scout/reinitialize", json!({})).await.expect(409);
    assert!(refused["detail"].as_str().unwrap().contains("system agent"), "{refused}");
    let note = said(&server, &["exec echo mine > note; echo done"]).await;
    assert!(note.contains("done"), "{note}");
    let restarted = server.post("/api/system-agent/restart", json!({})).await;
    assert!(matches!(restarted.status.as_u16(), 200 | 202), "{}", restarted.body);
    server.until_phase("trinity-system", "running").await;
    let kept = said(&server, &["exec cat note"]).await;
    assert!(kept.contains("mine"), "{kept}");

    server.post(&format!("{PATH}/stop"), json!({})).await.expect(200);
    let path = "/api/system-agent/reinitialize";
    let rebuilt = server.post(path, json!({})).await.expect(200);
    assert_eq!(rebuilt["phase"], "stopped", "as it was: {rebuilt}");
    server.post(&format!("{PATH}/start"), json!({})).await.expect(200);
    let gone = said(&server, &["exec test -e note || echo it is gone"]).await;
    assert!(gone.contains("it is gone"), "{gone}");
    server.audit().await;
}

#[tokio::test]
async fn it_can_be_configured_away() {
    let server = Server::start().await;
    server.get(PATH).await.expect(404);
    server.get("/api/system-agent/status").await.expect(404);
    assert_eq!(server.get("/api/agents").await.expect(200), json!([]));
}
