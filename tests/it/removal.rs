//! What is left of an agent that was deleted: its history, and nothing else.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::docker;
use crate::server::Server;
use crate::traces::{places_with, tables_with};

/// What is kept of an agent under its old life: its history. Everything else must be gone.
const HISTORY: [&str; 12] = [
    "activities_v3",
    "agent_lives_v2",
    "aggregate_states",
    "events",
    "execution_counts_v3",
    "execution_durations_v3",
    "execution_end_durations_v3",
    "execution_ends_v3",
    "executions_v3",
    "idempotency_claims",
    "transcript_chunks",
    "transcript_responses",
];

const PICTURE: &[u8] = b"\x89PNG\r\n\x1a\nof a mole";

/// Files and folders, containers, volumes and networks with one of the texts in their names or contents,
/// the files of databases left out.
fn left_outside_of_stores(server: &Server, texts: &[&str]) -> Vec<String> {
    let mut files = places_with(&server.data_dir, texts);
    files.retain(|path| !path.file_name().unwrap().to_string_lossy().contains(".db"));
    let files = files.iter().map(|path| path.display().to_string());
    let objects = if docker::is_chosen() { docker::objects_with(texts) } else { Vec::new() };
    files.chain(objects).collect()
}

#[tokio::test]
async fn only_the_history_of_a_deleted_agent_names_it() {
    let name = format!("mole-{}", &Uuid::new_v4().simple().to_string()[..8]);
    let library = tempfile::tempdir().unwrap();
    std::fs::create_dir(library.path().join("brief")).unwrap();
    std::fs::write(library.path().join("brief/SKILL.md"), "Be brief.").unwrap();
    let environment =
        [("TRINITY_GRACE_MS", "500"), ("TRINITY_SKILLS_DIR", library.path().to_str().unwrap())];
    let server = Server::start_with(&environment).await;
    let path = |below: &str| format!("/api/agents/{name}{below}");
    server.agent("other").await;
    let config = json!({"name": name, "runtime": "demo", "custom_instructions": "Dig."});
    server.agent_with(config).await;
    server.put(&path("/tags"), json!({"tags": ["digger"]})).await.expect(200);
    let incarnation = server.get(&path("")).await.expect(200)["incarnation"].clone();
    let incarnation = incarnation.as_str().unwrap();
    server
        .put(&path("/credentials/SERVICE_KEY"), json!({"value": "a-secret-of-it"}))
        .await
        .expect(200);
    server.put(&path("/skills"), json!({"skills": ["brief"]})).await.expect(200);
    server.post(&path("/permissions/other"), json!({})).await.expect(200);
    server.post(&format!("/api/agents/other/permissions/{name}"), json!({})).await.expect(200);
    let key = json!({"name": "its own", "scope": "agent", "agent_name": name});
    let key = server.post("/api/mcp/keys", key).await.expect(201);
    let key = key["api_key"].as_str().unwrap();
    let ada = json!({"username": "ada", "password": "12345678"});
    server.post("/api/users", ada).await.expect(201);
    server.post(&path("/share"), json!({"username": "ada"})).await.expect(200);
    let picture = server.request(Method::PUT, &path("/avatar")).body(PICTURE);
    server.try_send(picture).await.unwrap().expect(200);
    let servers = json!({"maps": {"type": "http", "url": "https://maps.example/mcp"}});
    server.put(&path("/mcp-servers"), json!({ "mcp_servers": servers })).await.expect(200);
    let ended = server.script_ends(&name, &["exec echo kept > note", "say done"]).await;
    assert_eq!(ended["status"], "completed", "{ended}");
    let hanging = server.script(&name, &["say busy", "hang"]).await;
    server.until_status(&hanging, "running").await;
    let read_only = json!({"enabled": true, "config": {"allowed_patterns": ["out/**"]}});
    server.put(&path("/read-only"), read_only).await.expect(200);

    assert!(!left_outside_of_stores(&server, &[&name, incarnation]).is_empty(), "while it lives");

    server.delete(&path("")).await.expect(200);
    assert_eq!(server.get(&path("")).await.status, 404);
    let named = tables_with(&server, &[&name, incarnation]).await;
    let history = BTreeSet::from(HISTORY.map(str::to_owned));
    assert_eq!(named.difference(&history).collect::<Vec<_>>(), Vec::<&String>::new());
    let left = left_outside_of_stores(&server, &[&name, incarnation]);
    assert_eq!(left, Vec::<String>::new());
    let request = reqwest::Client::new().get(format!("{}/api/agents", server.url));
    assert_eq!(request.bearer_auth(key).send().await.unwrap().status(), 401, "its key is dead");

    server.agent_with(json!({"name": name, "runtime": "demo"})).await;
    let again = server.get(&path("")).await.expect(200);
    assert_ne!(again["incarnation"], incarnation);
    assert_eq!((&again["tags"], &again["shares"]), (&json!([]), &json!([])), "{again}");
    for (below, list) in [("/credentials/status", "credentials"), ("/skills", "skills")] {
        let shown = server.get(&path(below)).await.expect(200);
        assert_eq!(shown[list], json!([]), "{shown}");
    }
    assert_eq!(again["avatar_sha256"], Value::Null);
    let servers = server.get(&path("/mcp-servers")).await.expect(200);
    assert_eq!(servers["mcp_servers"], json!({}), "{servers}");
    let read_only = server.get(&path("/read-only")).await.expect(200);
    assert_eq!(read_only["enabled"], false, "{read_only}");
    assert_eq!(read_only["config"]["allowed_patterns"], json!([]), "{read_only}");
    let may = server.get(&path("/permissions")).await.expect(200);
    assert_eq!((&may["permitted_agents"], &may["callers"]), (&json!([]), &json!([])), "{may}");
    let ended = server.script_ends(&name, &["exec ls -A; cat note .env 2>&1 || true"]).await;
    let said = json!(server.lines(ended["id"].as_str().unwrap()).await).to_string();
    assert!(!said.contains("kept") && !said.contains("SERVICE_KEY"), "{said}");
    server.audit().await;
}
