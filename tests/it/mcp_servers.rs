//! MCP servers through the whole system: what a run of the agent is really given, and what is refused.

use std::fs;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::cli::support::User;
use crate::credentials::assert_stored_nowhere;
use crate::server::{Server, until};

const TOKEN: &str = "ghp-4f8d1c\"0b7e\\2a";

fn servers() -> Value {
    json!({
        "git": {"command": "git-mcp", "args": ["--stdio"], "env": {"TOKEN": "${GIT_TOKEN}"}},
        "maps": {"type": "http", "url": "https://maps.example/${REGION:-eu}/mcp"},
    })
}

async fn put(server: &Server, agent: &str, servers: &Value) -> crate::server::Answer {
    let path = format!("/api/agents/{agent}/mcp-servers");
    server.put(&path, json!({ "mcp_servers": servers })).await
}

async fn credential(server: &Server, agent: &str, name: &str, value: &str) {
    let path = format!("/api/agents/{agent}/credentials/{name}");
    server.put(&path, json!({ "value": value })).await.expect(200);
}

/// What a run of the agent says of the servers that it was given: the CLI's own first line, the mode of
/// the file that lists them, and the digest of the token in it.
async fn given(server: &Server, agent: &str) -> String {
    let find = "f=$(tr '\\0' '\\n' < /proc/$PPID/cmdline | sed -n 's/^--mcp-config=//p')";
    let token =
        "sed -n 's/.*\"TOKEN\":\"\\(.*\\)\"}}.*maps.*/\\1/p' \"$f\" | tr -d '\\n' | sha256sum";
    let ops = [
        format!("exec {find}; test -z \"$f\" || stat -c 'mode %a' \"$f\""),
        format!("exec {find}; test -z \"$f\" || {token}"),
        "exec ls -A".to_owned(),
        "say done".to_owned(),
    ];
    let id = server.script(agent, &ops.each_ref().map(String::as_str)).await;
    let record = server.until_ended(&id).await;
    assert_eq!(record["status"], "completed", "{record}");
    json!(server.lines(&id).await).to_string()
}

#[tokio::test]
async fn a_run_is_given_its_servers_with_credentials_that_nothing_else_shows() {
    let (server, log) = Server::start_with_log(&[("TRINITY_LOG", "debug")]).await;
    server.agent("scout").await;
    let none = given(&server, "scout").await;
    assert!(none.contains(r#"mcp_servers\":[]"#) && !none.contains("mode 6"), "{none}");

    credential(&server, "scout", "GIT_TOKEN", TOKEN).await;
    let set = put(&server, "scout", &servers()).await.expect(200);
    assert_eq!(set["mcp_servers"], servers(), "as it was set");
    assert_eq!((&set["credentials"], &set["missing"]), (&json!(["GIT_TOKEN"]), &json!([])));
    let said = given(&server, "scout").await;
    for name in ["git", "maps"] {
        assert!(said.contains(&format!(r#"{{\"name\":\"{name}\",\"status\""#)), "{name}: {said}");
    }
    let escaped = serde_json::to_string(TOKEN).unwrap();
    let digest = hex::encode(Sha256::digest(escaped.trim_matches('"')));
    assert!(said.contains("mode 600") && said.contains(&digest), "{digest}: {said}");
    let others = said.replace(".mcp.json.template", "");
    assert!(!others.contains(".mcp.json"), "nothing is resolved in the workspace: {said}");
    // What stands there is what was set.
    let file = "/api/agents/scout/files/download?path=.mcp.json.template";
    until("the template is there", async || {
        let answer = server.get(file).await;
        (answer.body["mcpServers"] == servers()).then_some(())
    })
    .await;
    let agent = server.get("/api/agents/scout").await.expect(200);
    assert_eq!(agent["mcp_servers"], json!(["git", "maps"]));
    assert_stored_nowhere(&server, &log, &[TOKEN, "ghp-4f8d1c"]).await;

    put(&server, "scout", &json!({})).await.expect(200);
    let none = given(&server, "scout").await;
    assert!(none.contains(r#"mcp_servers\":[]"#) && !none.contains("mode 6"), "{none}");
    until("the template is gone", async || (server.get(file).await.status == 404).then_some(()))
        .await;
    server.audit().await;
}

#[tokio::test]
async fn what_cannot_be_used_is_refused_where_it_is_known_and_named_where_it_is_not() {
    let server = Server::start().await;
    server.agent("scout").await;
    for (servers, pointer, words) in [
        (json!({"a b": {"command": "x"}}), "/mcp_servers/a b", "no name"),
        (json!({"git": {"command": 1}}), "/mcp_servers/git", "no text"),
        (json!({"git": {"command": "x", "args": ["${A B}"]}}), "/mcp_servers/git", "${A B}"),
        (servers(), "/mcp_servers/git", "GIT_TOKEN"),
    ] {
        let refused = put(&server, "scout", &servers).await.problem(422, "invalid-field");
        assert_eq!(refused["errors"][0]["pointer"], pointer, "{refused}");
        assert!(refused["detail"].as_str().unwrap().contains(words), "{refused}");
    }
    // What the server itself gives to each run needs no credential.
    let own = json!({"trinity": {"url": "https://trinity.example/mcp",
        "headers": {"Authorization": "Bearer ${TRINITY_TOKEN}"}}});
    put(&server, "scout", &own).await.expect(200);

    credential(&server, "scout", "GIT_TOKEN", TOKEN).await;
    put(&server, "scout", &servers()).await.expect(200);
    server.delete("/api/agents/scout/credentials/GIT_TOKEN").await.expect(200);
    let shown = server.get("/api/agents/scout/mcp-servers").await.expect(200);
    assert_eq!(shown["missing"], json!(["GIT_TOKEN"]));
    let failed = server.script_ends("scout", &["say here"]).await;
    assert_eq!((&failed["status"], &failed["error_class"]), (&json!("failed"), &json!("spawn")));
    assert!(failed["error"].as_str().unwrap().contains("`git` needs `GIT_TOKEN`"), "{failed}");

    server.post("/api/agents/scout/stop", json!({})).await.expect(200);
    server.post("/api/agents/scout/start?wait_ms=0", json!({})).await;
    let agent = until("the start fails", async || {
        let agent = server.get("/api/agents/scout").await.body;
        (agent["phase"] == "failed").then_some(agent)
    })
    .await;
    assert_eq!(agent["failure"]["step"], "credentials", "{agent}");
    assert!(agent["failure"]["error"].as_str().unwrap().contains("GIT_TOKEN"), "{agent}");
    credential(&server, "scout", "GIT_TOKEN", TOKEN).await;
    server.post("/api/agents/scout/start", json!({})).await;
    server.until_phase("scout", "running").await;
    assert_eq!(server.script_ends("scout", &["say here"]).await["response"], "here");

    let path = "/api/agents/scout/files?path=.mcp.json.template";
    server.put(path, json!({})).await.problem(409, "conflict");
    server.delete(path).await.problem(409, "conflict");
}

#[tokio::test]
async fn a_template_brings_its_servers_along() {
    let server = Server::start().await;
    let folder = server.data_dir.join("templates/coder");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("template.yaml"), "runtime: demo\n").unwrap();
    let file = folder.join(".mcp.json.template");
    let create = async |name: &str| {
        server.post("/api/agents", json!({"name": name, "template": "coder"})).await
    };
    for (text, words) in [("{", "JSON"), (r#"{"mcpServers": {"git": {}}}"#, "`git`")] {
        fs::write(&file, text).unwrap();
        let refused = create("scout").await.problem(400, "invalid-parameter");
        let detail = refused["detail"].as_str().unwrap();
        assert!(detail.contains(".mcp.json.template") && detail.contains(words), "{refused}");
    }
    fs::write(&file, json!({"mcpServers": servers()}).to_string()).unwrap();
    create("scout").await.expect(201);
    let agent = until("it cannot start yet", async || {
        let agent = server.get("/api/agents/scout").await.body;
        (agent["phase"] == "failed").then_some(agent)
    })
    .await;
    assert_eq!(agent["failure"]["step"], "credentials", "{agent}");
    credential(&server, "scout", "GIT_TOKEN", TOKEN).await;
    server.post("/api/agents/scout/start", json!({})).await;
    server.until_phase("scout", "running").await;
    let said = given(&server, "scout").await;
    assert!(said.contains("mode 600") && said.contains(r#"\"name\":\"maps\""#), "{said}");

    // What is said wins over the template.
    let body = json!({"name": "other", "template": "coder", "mcp_servers": {}});
    server.agent_with(body).await;
    let said = given(&server, "other").await;
    assert!(!said.contains("mode 6") && !said.contains(".mcp.json.template"), "{said}");
}

#[tokio::test]
async fn the_command_line_sets_them_from_a_file() {
    let server = Server::start().await;
    server.agent("scout").await;
    credential(&server, "scout", "GIT_TOKEN", TOKEN).await;
    let user = User::of(&server);
    let file = json!({"mcpServers": servers()}).to_string();
    let set = user.run_with_input(&["agent", "mcp", "scout", "--file", "-", "--text"], &file).await;
    let listed = set.exits(0).stdout;
    assert!(listed.contains("git-mcp") && listed.contains("https://maps.example/"), "{listed}");
    let bad = user.run_with_input(&["agent", "mcp", "scout", "--file", "-"], "{}").await.exits(2);
    assert!(bad.stderr.contains("mcpServers"), "{bad:?}");
    let shown = user.run(&["agent", "mcp", "scout", "--json"]).await.exits(0).json();
    assert_eq!(shown["mcp_servers"], servers());
    let none = user.run(&["agent", "mcp", "scout", "--none", "--text"]).await.exits(0);
    assert!((none.stdout + &none.stderr).contains("no MCP servers"));
}
