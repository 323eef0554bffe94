//! Credentials through the whole system: a run has them, and nothing that is stored shows them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::cli::support::User;
use crate::docker;
use crate::server::{Server, until};
use crate::traces::{files_with, incarnations_in, tables_with};

/// Values that are found wherever they are left.
const SECRET: &str = "sk-test-\"3f9a1c7e\\kzq7x";
const NEWER: &str = "sk-test-0d4c8b6a2f1e";
const IN_A_FILE: &str = "ghp0123456789abcdefghij";

fn sha256(text: &str) -> String {
    hex::encode(Sha256::digest(text))
}

pub async fn workspace(server: &Server, agent: &str) -> PathBuf {
    let agent = server.get(&format!("/api/agents/{agent}")).await.expect(200);
    let incarnation = agent["incarnation"].as_str().unwrap();
    server.data_dir.join("agents").join(incarnation).join("workspace")
}

async fn set(server: &Server, agent: &str, name: &str, value: &str) -> Value {
    let path = format!("/api/agents/{agent}/credentials/{name}");
    server.put(&path, json!({ "value": value })).await.expect(200)
}

async fn status(server: &Server, agent: &str) -> Value {
    server.get(&format!("/api/agents/{agent}/credentials/status")).await.expect(200)
}

pub async fn assert_stored_nowhere(server: &Server, log: &Path, texts: &[&str]) {
    assert_eq!(files_with(&server.data_dir, texts), Vec::<PathBuf>::new());
    let said = std::fs::read_to_string(log).unwrap();
    assert!(!said.is_empty() && !texts.iter().any(|text| said.contains(text)), "{said}");
    let events = json!(server.events().await).to_string();
    for text in texts {
        let quoted = serde_json::to_string(text).unwrap();
        assert!(!events.contains(text) && !events.contains(quoted.trim_matches('"')), "{events}");
    }
    assert_eq!(tables_with(server, texts).await, BTreeSet::new());
}

#[tokio::test]
async fn a_run_has_its_credentials_and_nothing_that_is_stored_shows_them() {
    let (server, log) = Server::start_with_log(&[("TRINITY_LOG", "debug")]).await;
    server.agent("scout").await;
    let set_one = set(&server, "scout", "API_TOKEN", SECRET).await;
    assert_eq!(set_one["in_force"], true, "{set_one}");
    let files = json!({"files": {
        ".mcp.json": format!("{{\n  \"token\": \"{IN_A_FILE}\"\n}}"),
        ".env": "# more\nSECOND_TOKEN='other-secret-value'\n",
    }});
    let injected = server.post("/api/agents/scout/credentials/inject", files).await.expect(200);
    assert_eq!(injected["in_force"], true, "{injected}");
    assert_eq!(injected["injected"], json!([".mcp.json", "API_TOKEN", "SECOND_TOKEN"]));
    let ops = [
        "exec printf %s \"$API_TOKEN\" | sha256sum",
        "exec . ./.env; printf %s \"$API_TOKEN\" | sha256sum",
        "exec echo \"the key is $API_TOKEN\"",
        "exec cat .env .mcp.json",
        "exec echo \"complaint about $SECOND_TOKEN\" >&2",
        "say done",
    ];
    let id = server.script("scout", &ops).await;
    let record = server.until_ended(&id).await;
    assert_eq!(record["status"], "completed", "{record}");
    let lines = json!(server.lines(&id).await).to_string();
    assert_eq!(lines.matches(&sha256(SECRET)).count(), 2, "it had the value twice: {lines}");
    assert!(lines.contains("the key is ***") && lines.contains("complaint about ***"), "{lines}");
    let texts = ["sk-test-", "kzq7x", IN_A_FILE, "other-secret-value"];
    assert!(!texts.iter().any(|text| lines.contains(text)), "{lines}");
    assert_stored_nowhere(&server, &log, &[SECRET, "kzq7x", IN_A_FILE, "other-secret-value"]).await;

    // A failure quotes what the run has said last.
    let ops = ["exec echo \"failed with $API_TOKEN\" >&2", "exit 3"];
    let id = server.script("scout", &ops).await;
    let record = server.until_ended(&id).await;
    assert_eq!(record["status"], "failed", "{record}");
    assert!(!record.to_string().contains("kzq7x"), "{record}");
    let events = json!(server.events().await).to_string();
    assert!(events.contains("CredentialsChanged") && events.contains("SECOND_TOKEN"));
    assert_stored_nowhere(&server, &log, &[SECRET, "kzq7x"]).await;
}

#[tokio::test]
async fn a_value_that_changes_under_a_run_is_masked_old_and_new() {
    let (server, log) = Server::start_with_log(&[]).await;
    server.agent("scout").await;
    set(&server, "scout", "API_TOKEN", SECRET).await;
    let ops = [
        "exec while [ ! -e go ]; do echo waiting $API_TOKEN; sleep 0.2; done",
        "exec echo \"old $API_TOKEN\"; cat .env",
    ];
    let id = server.script("scout", &ops).await;
    server.until_status(&id, "running").await;
    // While it runs, its output is in a file of its supervisor too.
    assert_eq!(files_with(&server.data_dir, &["kzq7x"]), Vec::<PathBuf>::new());
    let newer = set(&server, "scout", "API_TOKEN", NEWER).await;
    assert_eq!(newer["in_force"], true, "{newer}");
    let env = server.shell("scout", "cat .env; touch go").await;
    assert_eq!(env, format!("API_TOKEN={NEWER}"));
    let record = server.until_ended(&id).await;
    assert_eq!(record["status"], "completed", "{record}");
    let lines = json!(server.lines(&id).await).to_string();
    assert!(lines.contains("old ***") && lines.contains("API_TOKEN=***"), "{lines}");
    assert!(!lines.contains("kzq7x") && !lines.contains(NEWER), "{lines}");
    until("the run is forgotten", async || {
        files_with(&server.data_dir, &[NEWER]).is_empty().then_some(())
    })
    .await;
    assert_stored_nowhere(&server, &log, &[NEWER, "kzq7x"]).await;
}

#[tokio::test]
async fn credentials_outlive_stop_crash_and_restart_and_go_when_removed() {
    let mut server = Server::start().await;
    server.agent("scout").await;
    set(&server, "scout", "API_TOKEN", SECRET).await;
    set(&server, "scout", "keys%2Fservice.pem", IN_A_FILE).await;
    let there = server.shell("scout", "stat -c %a .env; cat keys/service.pem; rm .env").await;
    assert_eq!(there, format!("600\n{IN_A_FILE}"));

    server.post("/api/agents/scout/stop", json!({})).await.expect(200);
    server.crash().await;
    assert_eq!(status(&server, "scout").await["in_force"], false);
    server.post("/api/agents/scout/start", json!({})).await.expect(200);
    let after = status(&server, "scout").await;
    assert_eq!(after["in_force"], true, "{after}");
    // What the agent does away with comes back when it is asked for.
    let env = server.shell("scout", "cat .env; rm .env").await;
    assert!(env.contains("sk-test-"), "{env}");
    let path = "/api/agents/scout/credentials";
    let reloaded = server.post(&format!("{path}/reload"), json!({})).await.expect(200);
    assert_eq!(reloaded["in_force"], true, "{reloaded}");
    server.shell("scout", "test -f .env").await;

    for name in ["API_TOKEN", "keys%2Fservice.pem"] {
        let removed = server.delete(&format!("{path}/{name}")).await.expect(200);
        assert_eq!(removed["in_force"], true, "{removed}");
    }
    server.shell("scout", "test ! -e .env -a ! -e keys/service.pem").await;
    let id = server.script("scout", &["exec echo \"[$API_TOKEN]\""]).await;
    server.until_status(&id, "completed").await;
    assert!(json!(server.lines(&id).await).to_string().contains("[]"));
}

#[tokio::test]
async fn what_is_in_the_way_of_a_file_is_said_and_overcome_by_itself() {
    let server = Server::start().await;
    server.agent("scout").await;
    server.shell("scout", "mkdir .env").await;
    let set_one = set(&server, "scout", "API_TOKEN", SECRET).await;
    assert_eq!(set_one["in_force"], false, "{set_one}");
    assert!(set_one["error"].as_str().unwrap().contains(".env"), "{set_one}");
    let id = server.script("scout", &["exec printf %s \"$API_TOKEN\" | sha256sum"]).await;
    server.until_status(&id, "completed").await;
    assert!(json!(server.lines(&id).await).to_string().contains(&sha256(SECRET)));
    server.shell("scout", "rmdir .env").await;
    until("they are in force", async || {
        let status = status(&server, "scout").await;
        (status["in_force"] == true && status["error"].is_null()).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_link_in_the_workspace_leads_no_secret_out_of_it() {
    let server = Server::start().await;
    server.agent("scout").await;
    let outside = if docker::is_chosen() {
        "/tmp/outside".to_owned()
    } else {
        server.data_dir.join("outside").display().to_string()
    };
    server.shell("scout", &format!("mkdir {outside} && ln -s {outside} keys")).await;
    let refused = set(&server, "scout", "keys%2Fa.pem", IN_A_FILE).await;
    assert!(refused["error"].as_str().unwrap().contains("keys/a.pem"), "{refused}");
    assert_eq!(server.shell("scout", &format!("ls -A {outside}")).await, "");
}

#[tokio::test]
async fn a_deleted_agent_leaves_no_credential_to_the_next_of_its_name() {
    let (server, log) = Server::start_with_log(&[]).await;
    server.agent("scout").await;
    set(&server, "scout", "API_TOKEN", SECRET).await;
    let first = server.get("/api/agents/scout").await.expect(200);
    let incarnation = first["incarnation"].as_str().unwrap().to_owned();
    server.delete("/api/agents/scout").await.expect(200);
    server.agent("scout").await;
    let next = status(&server, "scout").await;
    assert_eq!((&next["credentials"], &next["injected"]), (&json!([]), &json!([])));
    assert!(next["injected_at"].is_null(), "{next}");
    let id = server.script("scout", &["exec echo \"[$API_TOKEN]\""]).await;
    server.until_status(&id, "completed").await;
    assert!(json!(server.lines(&id).await).to_string().contains("[]"));
    assert_stored_nowhere(&server, &log, &[SECRET, "kzq7x"]).await;
    let keys = incarnations_in(&server, "vault_agents").await;
    assert!(!keys.contains(&incarnation), "the data key is there still: {keys:?}");
}

#[tokio::test]
async fn the_command_line_sets_lists_and_removes_without_showing_a_value() {
    let server = Server::start().await;
    server.agent("scout").await;
    let user = User::of(&server);
    let words = ["credential", "set", "scout", "API_TOKEN", "--text"];
    let done = user.run_with_input(&words, &format!("{SECRET}\n")).await.exits(0);
    assert!(done.stdout.contains("in force") && !done.stdout.contains("kzq7x"), "{done:?}");
    let env = server.shell("scout", "cat .env; wc -l < .env").await;
    assert_eq!(env, format!("API_TOKEN='{SECRET}'\n1"), "without the newline");
    user.run_with_input(&["credential", "set", "scout", "keys/a.pem"], "x\ny\n").await.exits(0);
    let listed = user.run(&["credential", "ls", "scout", "--text"]).await.exits(0).stdout;
    assert!(listed.contains("API_TOKEN") && listed.contains("keys/a.pem"), "{listed}");
    assert!(!listed.contains("kzq7x"), "{listed}");
    user.run(&["credential", "rm", "scout", "keys/a.pem"]).await.exits(0);
    user.run(&["credential", "rm", "scout", "keys/a.pem"]).await.exits(0);
    user.run(&["credential", "rm", "nobody", "A"]).await.exits(4);
    user.run_with_input(&["credential", "set", "scout", "PATH"], "x").await.exits(2);
    user.run_with_input(&["credential", "set", "scout", "EMPTY"], "").await.exits(2);
    let left = user.run(&["credential", "ls", "scout", "--json"]).await.exits(0).json();
    assert_eq!(left["credentials"][0]["name"], "API_TOKEN", "{left}");
    assert_eq!(left["credentials"].as_array().unwrap().len(), 1);
}
