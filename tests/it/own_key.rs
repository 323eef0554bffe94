//! The agent's own API key: its runs have it and act as the agent by it; each start gives another one.

use reqwest::Method;
use serde_json::{Value, json};
use trinity::db::Statement;

use crate::credentials::{assert_stored_nowhere, workspace};
use crate::server::{Answer, Server, until};
use crate::vault::state_of;

/// Sends a request with another key than the administrator's token.
async fn with_key(server: &Server, key: &str, method: Method, path: &str, body: Value) -> Answer {
    let url = format!("{}{path}", server.url);
    let request = reqwest::Client::new().request(method, url).bearer_auth(key).json(&body);
    server.try_send(request).await.expect("the server answers")
}

async fn validate(server: &Server, key: &str) -> Answer {
    with_key(server, key, Method::POST, "/api/mcp/validate", json!({})).await
}

/// The key that a run of the agent has now.
async fn key_of_a_run(server: &Server, agent: &str) -> String {
    let ops = ["exec printf %s \"$TRINITY_TOKEN\" > token", "exec echo my key is $TRINITY_TOKEN"];
    let id = server.script(agent, &ops).await;
    let record = server.until_ended(&id).await;
    assert_eq!(record["status"], "completed", "{record}");
    let said = json!(server.lines(&id).await).to_string();
    assert!(said.contains("my key is ***") && !said.contains("trinity_mcp_"), "{said}");
    server.shell(agent, "cat token").await
}

/// The keys that the administrator sees.
async fn listed(server: &Server) -> Vec<Value> {
    let list = server.get("/api/mcp/keys").await.expect(200);
    list["items"].as_array().unwrap().clone()
}

async fn ask(server: &Server, agent: &str, verb: &str, phase: &str) {
    let answer = server.post(&format!("/api/agents/{agent}/{verb}"), json!({})).await;
    assert!(answer.status.is_success(), "{verb}: {}", answer.body);
    server.until_phase(agent, phase).await;
}

#[tokio::test]
async fn a_run_uses_the_server_as_its_agent_and_as_nobody_else() {
    let (server, log) = Server::start_with_log(&[("TRINITY_LOG", "debug")]).await;
    for name in ["scout", "other"] {
        server.agent(name).await;
    }
    let curl = |method: &str, path: &str, more: &str| {
        format!(
            "exec curl -sS -X {method} -H \"Authorization: Bearer $TRINITY_TOKEN\" {more} \
             \"$TRINITY_URL{path}\" | tee {}.json",
            path.trim_start_matches('/').replace('/', "-"),
        )
    };
    let body = "-H 'Content-Type: application/json' -d '{\"message\":\"m\",\"async_mode\":true}'";
    let ops = [
        curl("POST", "/api/mcp/validate", ""),
        curl("GET", "/api/agents/scout", ""),
        curl("POST", "/api/agents/other/task", body),
        curl("PUT", "/api/agents/scout/tools", body),
    ];
    let id = server.script("scout", &ops.each_ref().map(String::as_str)).await;
    let record = server.until_ended(&id).await;
    assert_eq!(record["status"], "completed", "{record}");
    let workspace = workspace(&server, "scout").await;
    let answered = |name: &str| -> Value {
        let text = std::fs::read_to_string(workspace.join(name)).unwrap();
        serde_json::from_str(&text).unwrap_or_else(|_| panic!("{name}: {text}"))
    };
    let valid = answered("api-mcp-validate.json");
    assert_eq!((&valid["agent_name"], &valid["scope"]), (&json!("scout"), &json!("agent")));
    assert_eq!(answered("api-agents-scout.json")["phase"], "running");
    // Whom it may not call it may not call, and what it is held to it cannot lift.
    let denied = answered("api-agents-other-task.json");
    assert_eq!(
        (&denied["code"], &denied["caller"]),
        (&json!("permission_denied"), &json!("scout"))
    );
    let denied = answered("api-agents-scout-tools.json");
    assert!(denied["detail"].as_str().unwrap().contains("its owner can"), "{denied}");

    let key = key_of_a_run(&server, "scout").await;
    assert_stored_nowhere(&server, &log, &[&key]).await;
    let status = server.get("/api/agents/scout/credentials/status").await.expect(200);
    assert_eq!(status["credentials"], json!([]), "nobody gave it this one");
    let keys = listed(&server).await;
    let own = keys.iter().find(|listed| listed["agent_name"] == "scout").unwrap();
    assert_eq!((&own["scope"], &own["is_active"]), (&json!("agent"), &json!(true)));
    assert!(
        key.starts_with(own["key_prefix"].as_str().unwrap()) && !own.to_string().contains(&key)
    );
    server.audit().await;
}

/// The digest of the agent's key that the log knows.
async fn recorded(server: &Server) -> String {
    let events = server.events().await;
    let made = events.iter().rfind(|event| event["type"] == "ApiKeyCreated").unwrap();
    made["data"]["sha256"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_run_has_the_key_whose_digest_the_log_knows() {
    let server = Server::start().await;
    server.agent("scout").await;
    let mut before = String::new();
    for _ in 0..2 {
        let ops = ["exec printf %s \"$TRINITY_TOKEN\" | sha256sum", "exec echo $TRINITY_TOKEN."];
        let id = server.script("scout", &ops).await;
        assert_eq!(server.until_ended(&id).await["status"], "completed");
        let said = json!(server.lines(&id).await).to_string();
        let digest = recorded(&server).await;
        assert!(said.contains(&digest) && said.contains("***."), "{digest}: {said}");
        assert_ne!(digest, before, "each start gives another one");
        before = digest;
        ask(&server, "scout", "stop", "stopped").await;
        ask(&server, "scout", "start", "running").await;
    }
}

#[tokio::test]
async fn each_start_gives_an_agent_another_key_and_its_deletion_ends_the_last() {
    let mut server = Server::start().await;
    server.post("/api/agents?start=false", json!({"name": "scout", "runtime": "demo"})).await;
    server.until_phase("scout", "stopped").await;
    assert_eq!(listed(&server).await.len(), 1, "it has one from its creation on");
    ask(&server, "scout", "start", "running").await;
    let first = key_of_a_run(&server, "scout").await;
    validate(&server, &first).await.expect(200);
    // That of a server is no start of its agents.
    server.crash().await;
    assert_eq!(key_of_a_run(&server, "scout").await, first);

    ask(&server, "scout", "stop", "stopped").await;
    ask(&server, "scout", "start", "running").await;
    let second = key_of_a_run(&server, "scout").await;
    assert_ne!(second, first);
    validate(&server, &first).await.problem(401, "not-authenticated");
    validate(&server, &second).await.expect(200);

    // One that its owner has ended is replaced by the next start.
    let keys = listed(&server).await;
    assert_eq!(keys.len(), 1, "{keys:?}");
    let revoke = format!("/api/mcp/keys/{}/revoke", keys[0]["id"].as_str().unwrap());
    server.post(&revoke, json!({})).await.expect(200);
    validate(&server, &second).await.problem(401, "not-authenticated");
    server.kill_agent_servers();
    until("it has a key again", async || {
        let keys = listed(&server).await;
        (keys.len() == 1 && keys[0]["is_active"] == true).then_some(())
    })
    .await;
    server.until_phase("scout", "running").await;
    let third = key_of_a_run(&server, "scout").await;
    validate(&server, &third).await.expect(200);

    server.delete("/api/agents/scout").await.expect(200);
    for key in [&first, &second, &third] {
        validate(&server, key).await.problem(401, "not-authenticated");
    }
    assert_eq!(listed(&server).await, Vec::<Value>::new());
    server.audit().await;
}

#[tokio::test]
async fn a_key_that_cannot_be_made_fails_creation_and_start_by_the_name_of_the_step() {
    let server = Server::start().await;
    server.agent("scout").await;
    ask(&server, "scout", "stop", "stopped").await;
    let state = state_of(&server.data_dir, server.database_url.as_deref()).await;
    let run = async |statement: &'static str| {
        state.execute(Statement::new(statement)).await.unwrap();
    };
    let fails = async |name: &str| {
        let failed = server.until_phase(name, "failed").await;
        assert_eq!(failed["failure"]["step"], "key", "{failed}");
        failed["failure"]["error"].as_str().unwrap().to_owned()
    };

    run("CREATE TABLE aside AS SELECT * FROM vault_agents").await;
    run("UPDATE vault_agents SET wrapped_key = substr(wrapped_key, 2)").await;
    let refused = server.post("/api/agents/scout/start", json!({})).await.expect(503);
    assert_eq!(refused["step"], "key", "{refused}");
    let why = fails("scout").await;
    assert!(why.starts_with("the data key of agent"), "{why}");
    let mend = "UPDATE vault_agents SET wrapped_key = (SELECT aside.wrapped_key FROM aside \
                WHERE aside.incarnation = vault_agents.incarnation)";
    run(mend).await;
    ask(&server, "scout", "start", "running").await;
    validate(&server, &key_of_a_run(&server, "scout").await).await.expect(200);

    run("ALTER TABLE vault_agents RENAME TO elsewhere").await;
    let body = json!({"name": "second", "runtime": "demo"});
    server.post("/api/agents?start=false", body).await.expect(201);
    let why = fails("second").await;
    assert!(why.contains("vault_agents"), "{why}");
    run("ALTER TABLE elsewhere RENAME TO vault_agents").await;
    ask(&server, "second", "start", "running").await;
    validate(&server, &key_of_a_run(&server, "second").await).await.expect(200);
    server.audit().await;
}
