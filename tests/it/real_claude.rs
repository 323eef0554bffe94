//! The real Claude Code through the whole system, talking to a mock of the model's API on loopback.
//!
//! Not part of `make test`, because it installs the CLI: `make test-claude`.

use serde_json::{Value, json};

use crate::event_log::support::environment;
use crate::server::{Server, until};

fn setting(name: &str) -> String {
    environment(name).unwrap_or_else(|| panic!("{name} is not set; run: make test-claude"))
}

/// A server whose agent `coder` runs the real CLI.
async fn server() -> Server {
    let command = setting("TRINITY_CLAUDE_COMMAND");
    let url = setting("TRINITY_TEST_ANTHROPIC_URL");
    let command = format!("env ANTHROPIC_BASE_URL={url} ANTHROPIC_API_KEY=dummy {command}");
    let server = Server::start_with(&[("TRINITY_CLAUDE_COMMAND", &command)]).await;
    server.agent_with(json!({"name": "coder", "runtime": "claude-code"})).await;
    server
}

/// Submits a task that may use the shell; gives its id.
async fn task(server: &Server, message: &str) -> String {
    let body = json!({"message": message, "async_mode": true, "allowed_tools": ["Bash"]});
    let accepted = server.post("/api/agents/coder/task", body).await.expect(202);
    accepted["execution_id"].as_str().unwrap().to_owned()
}

async fn terminate(server: &Server, id: &str) {
    let path = format!("/api/agents/coder/executions/{id}/terminate");
    assert_eq!(server.post(&path, json!({})).await.expect(200)["status"], "cancelling");
}

/// Whether an entry of the output is of this kind.
async fn until_line(server: &Server, id: &str, kind: &str) {
    until(&format!("{id} says {kind}"), async || {
        let lines = server.lines(id).await;
        lines.iter().any(|line| line.to_string().contains(kind)).then_some(())
    })
    .await;
}

#[tokio::test]
#[ignore = "needs the real CLI: make test-claude"]
async fn a_task_with_a_tool_call_completes_with_its_cost_and_activities() {
    let server = server().await;
    let id = task(&server, r#"[[tool:Bash {"command":"echo from the shell"}]]"#).await;
    let ended = server.until_ended(&id).await;
    assert_eq!(ended["status"], "completed", "{ended}");
    assert_eq!(ended["response"], "tool said: from the shell");
    assert!(ended["cost"].as_f64().unwrap() > 0.0, "{ended}");
    assert!(!ended["claude_session_id"].as_str().unwrap().is_empty());
    assert!(ended["model_used"].as_str().unwrap().starts_with("claude-"), "{ended}");
    let calls: Vec<Value> = until("the activities are there", async || {
        let path = "/api/agents/coder/activities?activity_type=tool_call";
        let page = server.get(path).await.expect(200);
        let items = page["activities"].as_array().unwrap().clone();
        items.iter().any(|call| call["activity_state"] == "completed").then_some(items)
    })
    .await;
    assert_eq!(calls.len(), 1, "{calls:?}");
    assert_eq!(calls[0]["details"]["name"], "Bash", "{calls:?}");
    assert!(Server::processes(&id).is_empty());
    server.audit().await;
}

#[tokio::test]
#[ignore = "needs the real CLI: make test-claude"]
async fn a_stop_in_mid_stream_cancels_and_leaves_no_process() {
    let server = server().await;
    let id = task(&server, "[[slow:600:0.1]]").await;
    until_line(&server, &id, "session_id").await;
    assert!(!Server::processes(&id).is_empty(), "the CLI runs");
    terminate(&server, &id).await;
    let ended = server.until_ended(&id).await;
    assert_eq!(ended["status"], "cancelled", "{ended}");
    assert!(Server::processes(&id).is_empty(), "cancelled means gone");
    let next = task(&server, "hello").await;
    assert_eq!(server.until_ended(&next).await["response"], "mock reply: hello");
    server.audit().await;
}

#[tokio::test]
#[ignore = "needs the real CLI: make test-claude"]
async fn a_run_of_the_real_cli_outlives_the_server() {
    let mut server = server().await;
    let id = task(&server, r#"[[tool:Bash {"command":"sleep 3; echo late"}]]"#).await;
    until_line(&server, &id, "tool_use").await;
    server.crash().await;
    let ended = server.until_ended(&id).await;
    assert_eq!(ended["status"], "completed", "{ended}");
    assert_eq!(ended["response"], "tool said: late");
    server.audit().await;
}
