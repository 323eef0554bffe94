//! What is seen of an agent from outside, on whichever host the suite runs with: its log, what it
//! uses, what serves it.

use std::time::Duration;

use serde_json::{Value, json};

use crate::cli::support::User;
use crate::docker;
use crate::server::{Server, until};

async fn get(server: &Server, what: &str) -> Value {
    server.get(&format!("/api/agents/scout/{what}")).await.expect(200)
}

#[tokio::test]
async fn a_log_has_what_the_server_and_the_startup_script_said_and_ends_at_the_tail() {
    let server = Server::start().await;
    server.agent("scout").await;
    let script = "for i in 1 2 3 4 5; do echo \"step $i\"; done; echo careful >&2";
    let put = server.request(reqwest::Method::PUT, "/api/agents/scout/files?path=startup.sh");
    server.try_send(put.body(script)).await.unwrap().expect(201);
    assert_eq!(get(&server, "logs").await["startup"], Value::Null, "it had none at its start");
    server.post("/api/agents/scout/stop", json!({})).await.expect(200);
    server.post("/api/agents/scout/start", json!({})).await.expect(200);
    let logs = get(&server, "logs").await;
    let startup = logs["startup"].as_str().unwrap();
    assert!(startup.contains("step 1\n") && startup.contains("careful"), "{logs}");
    assert!(logs["logs"].as_str().unwrap().contains("ending"), "of its last life: {logs}");
    let few = get(&server, "logs?tail=2").await;
    assert_eq!(few["startup"].as_str().unwrap().lines().count(), 2, "{few}");
    assert!(few["logs"].as_str().unwrap().lines().count() <= 2, "{few}");
    for tail in ["0", "1001", "many"] {
        server.get(&format!("/api/agents/scout/logs?tail={tail}")).await.expect(400);
    }
    server.post("/api/agents/scout/stop", json!({})).await.expect(200);
    let stopped = get(&server, "logs").await;
    assert!(stopped["logs"].as_str().unwrap().contains("ending"), "{stopped}");
    assert_eq!(stopped["startup"], Value::Null);
}

#[tokio::test]
async fn what_a_run_uses_is_measured_with_its_children_and_not_with_every_request() {
    let server = Server::start().await;
    server.agent("scout").await;
    let idle = get(&server, "stats").await;
    assert!(idle["memory_bytes"].as_u64().unwrap() > 0, "{idle}");
    let again = get(&server, "stats").await;
    assert_eq!(again["measured_at"], idle["measured_at"], "the same measurement");
    // One processor busy, in a child of the run.
    let id = server.script("scout", &["exec while :; do :; done"]).await;
    server.until_status(&id, "running").await;
    let busy = until("it is seen to be busy", async || {
        // No more often than it is measured.
        tokio::time::sleep(Duration::from_millis(500)).await;
        let stats = get(&server, "stats").await;
        (stats["cpu_percent"].as_f64()? > 10.0).then_some(stats)
    })
    .await;
    assert!(busy["processes"].as_u64() > idle["processes"].as_u64(), "{idle} {busy}");
    let max = |name: &str| busy[name].as_f64();
    if docker::is_chosen() {
        assert_eq!(max("cpu_percent_max"), Some(200.0), "{busy}");
        assert!(max("memory_bytes_max") > Some(1e9), "{busy}");
    } else {
        assert_eq!((max("cpu_percent_max"), max("memory_bytes_max")), (None, None), "{busy}");
    }
    let user = User::of(&server);
    let shown = user.run(&["agent", "stats", "--text"]).await.exits(0).stdout;
    assert!(shown.contains("scout") && shown.contains('%'), "{shown}");
    let one = user.run(&["agent", "stats", "scout"]).await.exits(0).json();
    assert_eq!(one["agent_name"], "scout", "{one}");
    server.post("/api/agents/scout/stop", json!({})).await.expect(200);
    let refused = server.get("/api/agents/scout/stats").await.expect(503);
    assert_eq!(refused["code"], "agent-not-running", "{refused}");
    let shown = user.run(&["agent", "stats", "--text"]).await.exits(0);
    assert!(shown.stderr.contains("no agent runs"), "{shown:?}");
    user.run(&["agent", "stats", "scout"]).await.exits(5).says("trinity agent start scout");
    let said = user.run(&["agent", "logs", "scout", "--text", "--tail", "5"]).await.exits(0).stdout;
    assert!(said.contains("ending"), "{said}");
    user.run(&["agent", "logs", "nobody"]).await.exits(4);
}

#[tokio::test]
async fn what_serves_an_agent_is_told_while_it_runs() {
    let server = Server::start().await;
    server.agent("scout").await;
    let info = get(&server, "info").await;
    let host = if docker::is_chosen() { "docker" } else { "process" };
    assert_eq!((&info["host"], &info["runtime"]), (&json!(host), &json!("demo")), "{info}");
    assert_eq!(info["version"], env!("CARGO_PKG_VERSION"));
    assert!(info["home"].as_str().unwrap().starts_with(info["workspace"].as_str().unwrap()));
    server.post("/api/agents/scout/stop", json!({})).await.expect(200);
    server.get("/api/agents/scout/info").await.expect(503);
}
