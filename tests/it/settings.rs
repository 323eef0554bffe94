//! Settings that are changed under a running agent, on whichever host the suite runs with: what its next
//! runs then do.

use serde_json::{Value, json};

use crate::server::Server;

async fn set(server: &Server, what: &str, to: Value) {
    server.put(&format!("/api/agents/scout/{what}"), to).await.expect(200);
}

/// The words that the CLI of a run was started with, one on each line.
async fn words(server: &Server) -> String {
    let ops = ["exec tr '\\0' '\\n' < /proc/$PPID/cmdline", "say done"];
    let ended = server.script_ends("scout", &ops).await;
    assert_eq!(ended["status"], "completed", "{ended}");
    let lines = server.lines(ended["id"].as_str().unwrap()).await;
    let mut blocks = lines.iter().flat_map(|line| line["blocks"].as_array().unwrap());
    let result = blocks.rfind(|block| block["type"] == "tool_result").unwrap();
    let words = result["content"].as_str().unwrap().to_owned();
    assert!(words.contains("--output-format=stream-json"), "{words}");
    words
}

fn has(words: &str, wanted: &str) -> bool {
    words.lines().any(|word| word == wanted)
}

#[tokio::test]
async fn what_is_set_while_an_agent_runs_holds_for_its_next_runs() {
    let server = Server::start_with(&[("TRINITY_GRACE_MS", "500")]).await;
    let config = json!({"name": "scout", "runtime": "demo", "max_parallel_tasks": 1});
    server.agent_with(config).await;
    let plain = words(&server).await;
    for flag in ["--model", "--tools", "--allowedTools"] {
        assert!(!plain.contains(flag), "{flag}: {plain}");
    }

    // The least there may be; the default is many minutes.
    set(&server, "timeout", json!({"execution_timeout_seconds": 10})).await;
    let hanging = server.script("scout", &["say busy", "hang"]).await;
    server.until_status(&hanging, "running").await;
    let waiting = server.script("scout", &["say had its turn"]).await;
    assert_eq!(server.execution(&waiting).await["status"], "pending");
    set(&server, "capacity", json!({"max_parallel_tasks": 2})).await;
    assert_eq!(server.until_ended(&waiting).await["response"], "had its turn");
    assert_eq!(server.execution(&hanging).await["status"], "running", "beside the other");

    set(&server, "model", json!({"model": "opus-4.5"})).await;
    assert!(has(&words(&server).await, "--model=claude-opus-4-5"));
    set(&server, "model", json!({"model": "haiku-4.5"})).await;
    set(&server, "tools", json!({"tools": ["Bash", "Read"]})).await;
    let held = words(&server).await;
    for word in ["--model=claude-haiku-4-5", "--tools=Bash,Read", "--allowedTools=Bash,Read"] {
        assert!(has(&held, word), "{word}: {held}");
    }
    // Without the tool a run gets nowhere.
    set(&server, "tools", json!({"tools": ["Read"]})).await;
    let ended = server.script_ends("scout", &["exec echo done > note", "say tried"]).await;
    let lines = json!(server.lines(ended["id"].as_str().unwrap()).await).to_string();
    assert!(lines.contains("No such tool available: Bash"), "{lines}");

    let ended = server.until_ended(&hanging).await;
    assert_eq!((&ended["status"], &ended["error_class"]), (&json!("failed"), &json!("timeout")));
    set(&server, "model", json!({"model": null})).await;
    set(&server, "tools", json!({"tools": []})).await;
    assert_eq!(words(&server).await.matches("--model").count(), 0);
    let events = server.events().await;
    let starts = events.iter().filter(|event| event["type"] == "AgentStarted").count();
    assert_eq!(starts, 1, "all of it without another start");
    server.audit().await;
}
