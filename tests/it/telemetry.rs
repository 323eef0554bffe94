//! What operators see of a server: metrics, logs, traces.

mod collector;

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;
use tokio::process::Command;

use crate::server::{EXECUTABLE, Server, until};
use crate::store::fresh_database;
use crate::support::{Client, PASSWORD, TestApp};
use collector::Collector;

/// The value of a metric with these labels, in the text that Prometheus reads.
fn value(text: &str, metric: &str) -> Option<f64> {
    let line = text.lines().find(|line| line.starts_with(metric))?;
    line.rsplit(' ').next()?.parse().ok()
}

#[tokio::test]
async fn metrics_count_requests_by_route_and_show_what_there_is() {
    let t = TestApp::start().await;
    let life = t.running_agent("scout", 1).await;
    for message in ["one", "two", "three"] {
        let id = t.submit(&t.admin(), &life.name, message).await;
        t.write(id, &["twelve bytes"]).await;
    }
    t.admin().get("/api/agents/scout").await.expect(200);
    t.admin().get("/api/agents/no-such-agent").await.problem(404, "not-found");
    t.anonymous().get("/some/path/that/is/no/route").await.problem(404, "not-found");
    t.settle().await;
    let answer = t.admin().get("/metrics").await;
    assert!(answer.header("content-type").unwrap().starts_with("text/plain; version=0.0.4"));
    let text = answer.body.as_str().unwrap();
    let has = |metric: &str| value(text, metric).unwrap_or_else(|| panic!("{metric} in\n{text}"));
    let count = "trinity_http_request_duration_seconds_count";
    let task = "{method=\"POST\",route=\"/api/agents/{name}/task\",status=\"202\"}";
    assert!(has(&format!("{count}{task}")) >= 3.0);
    let missing = "{method=\"GET\",route=\"/api/agents/{name}\",status=\"404\"}";
    assert!(has(&format!("{count}{missing}")) >= 1.0);
    assert!(has(&format!("{count}{{method=\"GET\",route=\"none\",status=\"404\"}}")) >= 1.0);
    assert!(text.contains("trinity_http_request_duration_seconds_bucket"), "{text}");
    assert!(has("trinity_log_appends_total{outcome=\"committed\"}") >= 5.0);
    assert!(has("trinity_log_batch_appends_count") >= 1.0);
    assert!(has("trinity_log_position") >= 8.0);
    assert!(has("trinity_projection_lag_events{projection=\"executions\"}") >= 0.0);
    assert!(has("trinity_projection_degraded{projection=\"executions\"}").abs() < 0.5);
    assert!(has("trinity_transcript_bytes_total") >= 36.0);
    assert!((has("trinity_executions{status=\"running\"}") - 1.0).abs() < 0.5);
    assert!((has("trinity_executions{status=\"queued\"}") - 2.0).abs() < 0.5);
    assert!((has("trinity_slots") - 1.0).abs() < 0.5);
    assert!(has("trinity_sse_streams") >= 0.0);
    assert!(has("process_resident_memory_bytes") > 1e6);
    // What clients make up is no label.
    for made_up in ["no-such-agent", "/some/path", "scout"] {
        assert!(!text.contains(made_up), "{made_up} in\n{text}");
    }
}

#[tokio::test]
async fn metrics_are_for_administrators_unless_the_server_is_set_up_otherwise() {
    let t = TestApp::start().await;
    t.anonymous().get("/metrics").await.problem(401, "not-authenticated");
    t.user("ada").await.get("/metrics").await.problem(403, "missing_scope");
    t.admin().get("/metrics").await.expect(200);
    let open = TestApp::with(|settings| settings.metrics_open = Some(true)).await;
    open.anonymous().get("/metrics").await.expect(200);
}

/// A key of the configuration that looks like a few words, so that no pattern finds it.
const SHAPELESS_KEY: &str = "plain-words-of-a-key";

/// An agent whose CLI is not there has a run, and is deleted with everything that was started.
async fn a_run_fails_to_start(admin: &Client) {
    let agent = json!({"name": "coder", "runtime": "claude-code"});
    admin.post("/api/agents", agent).await.expect(201);
    until("the agent runs", async || {
        (admin.get("/api/agents/coder").await.body["phase"] == "running").then_some(())
    })
    .await;
    let task = json!({"message": "hello", "async_mode": true});
    let taken = admin.post("/api/agents/coder/task", task).await.expect(202);
    let path = format!("/api/executions/{}", taken["execution_id"].as_str().unwrap());
    let failed = until("the run has failed", async || {
        let answer = admin.get(&path).await;
        (answer.status == 200 && answer.body["status"] == "failed").then_some(answer.body)
    })
    .await;
    let error = failed["error"].as_str().unwrap();
    assert!(error.starts_with("/nowhere/claude not found") && !error.contains(SHAPELESS_KEY));
    admin.delete("/api/agents/coder").await;
    until("the agent is gone", async || {
        (admin.get("/api/agents/coder").await.status == 404).then_some(())
    })
    .await;
}

/// Everything a server says on standard error until it is stopped, after a scenario full of
/// secrets; with the secrets.
async fn said(arguments: &[&str]) -> (String, Vec<String>) {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let mut command = Command::new(EXECUTABLE);
    command.args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(&data).args(arguments);
    command.env("TRINITY_LOG", "debug").env("TRINITY_ADMIN_PASSWORD", PASSWORD);
    command.env_remove("TRINITY_DATABASE_URL");
    let database = fresh_database().await;
    // The database trusts everybody, so the password is one for this test alone.
    let database =
        database.map(|url| url.replace("postgres://postgres@", "postgres://postgres:hunter2@"));
    if let Some(url) = &database {
        command.env("TRINITY_DATABASE_URL", url);
    }
    let claude = format!("env ANTHROPIC_API_KEY={SHAPELESS_KEY} /nowhere/claude");
    command.env("TRINITY_CLAUDE_COMMAND", claude);
    let mut child = command.stderr(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    let mut stderr = child.stderr.take().unwrap();
    let reader = tokio::spawn(async move {
        let mut text = String::new();
        stderr.read_to_string(&mut text).await.unwrap();
        text
    });
    let url = until("it serves", async || std::fs::read_to_string(data.join("address")).ok()).await;
    let local_token = std::fs::read_to_string(data.join("local-token")).unwrap();
    let admin = Client::new(&url).with_token(&local_token);
    let key =
        admin.post("/api/mcp/keys", json!({"name": "ci"})).await.expect(201)["api_key"].clone();
    let key = key.as_str().unwrap().to_owned();
    let token =
        Client::new(&url).log_in("admin", PASSWORD).await.expect(200)["access_token"].clone();
    let token = token.as_str().unwrap().to_owned();
    Client::new(&url).log_in("admin", "a-wrong-password-1").await.problem(401, "wrong-credentials");
    for holder in [&key, &token] {
        let client = Client::new(&url).with_token(holder);
        client.get("/api/users/me").await.expect(200);
        client
            .get(&format!("/api/executions?statsu={holder}"))
            .await
            .problem(400, "unknown-parameter");
    }
    // A caller's own id and a path may hold anything.
    admin.with_header("x-request-id", &key).get("/api/agents").await.expect(200);
    admin.get(&format!("/api/agents/{key}")).await.problem(404, "not-found");
    admin.get("/api/users/postgres:%2F%2Fu:hunter2@h").await.problem(404, "not-found");
    let user = json!({"username": "ada", "password": "her-own-password-2"});
    admin.post("/api/users", user).await.expect(201);
    a_run_fails_to_start(&admin).await;
    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    assert!(child.wait().await.unwrap().success());
    let secrets = [&key, &token, &local_token].map(Clone::clone).into_iter();
    let words = [PASSWORD, "a-wrong-password-1", "her-own-password-2", "hunter2", SHAPELESS_KEY];
    let secrets = secrets.chain(words.map(str::to_owned)).collect();
    (reader.await.unwrap(), secrets)
}

#[tokio::test]
async fn no_secret_of_a_whole_scenario_is_in_the_log() {
    let (text, secrets) = said(&[]).await;
    assert!(text.contains("/api/mcp/keys") && text.contains("answered"), "{text}");
    for secret in secrets {
        let secret = secret.trim();
        assert!(!text.contains(secret), "{secret} is in the log:\n{text}");
    }
}

#[tokio::test]
async fn every_line_of_a_json_log_is_json_and_without_secrets() {
    let (text, secrets) = said(&["--log-format", "json"]).await;
    let mut requests = 0;
    for line in text.lines() {
        let entry: Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        for member in ["timestamp", "level", "target", "fields"] {
            assert!(!entry[member].is_null(), "no {member}: {line}");
        }
        requests += usize::from(entry["span"]["name"] == "request");
    }
    assert!(requests > 5, "{text}");
    for secret in secrets {
        assert!(!text.contains(secret.trim()), "a secret is in the log:\n{text}");
    }
}

#[tokio::test]
async fn a_trace_goes_from_the_request_to_the_exit_across_a_restart_of_the_server() {
    let collector = Collector::start().await;
    let mut server = Server::start_with(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url),
        ("OTEL_BSP_SCHEDULE_DELAY", "100"),
    ])
    .await;
    server.agent("scout").await;
    let trace_id = "4bf92f3577b34da6a3ce929d0e0e4736";
    let parent = format!("00-{trace_id}-00f067aa0ba902b7-01");
    let body = json!({"message": "#!demo\nsay waiting\nhang", "async_mode": true});
    let request = server.request(reqwest::Method::POST, "/api/agents/scout/task");
    let answer = request.header("traceparent", &parent).json(&body).send().await.unwrap();
    let given_back = answer.headers()["traceparent"].to_str().unwrap().to_owned();
    assert!(given_back.contains(trace_id) && given_back != parent, "{given_back}");
    let taken: Value = answer.json().await.unwrap();
    let id = taken["execution_id"].as_str().unwrap().to_owned();
    server.until_status(&id, "running").await;
    let has = async |name: &str| {
        let what = format!("there is a span {name}");
        until(&what, async || collector.span(trace_id, name)).await
    };
    let post = has("POST /api/agents/{name}/task").await;
    assert_eq!(post.parent_id, "00f067aa0ba902b7");
    assert!(given_back.contains(&post.id));
    has("execution.dispatch").await;
    has("execution.start").await;
    assert!(collector.span(trace_id, "execution.exit").is_none());
    server.crash().await;
    // The request that ends the run has a trace of its own; the run stays in that of its task.
    server
        .post(&format!("/api/agents/scout/executions/{id}/terminate"), json!({}))
        .await
        .expect(200);
    server.until_status(&id, "cancelled").await;
    for name in ["execution.exit", "execution"] {
        assert_eq!(has(name).await.parent_id, post.id, "{name}");
    }
    for name in ["execution.dispatch", "execution.start"] {
        assert_eq!(has(name).await.parent_id, post.id, "{name}");
    }
    let (names, services) = (collector.names(trace_id), collector.services());
    assert_eq!(names.iter().filter(|name| *name == "execution.start").count(), 1, "{names:?}");
    assert_eq!(services, ["trinity"]);
}
