//! What holds for every route: ids of requests, traces, limits, the page with the description.

use std::num::NonZeroU32;

use serde_json::json;

use crate::support::TestApp;

#[tokio::test]
async fn a_request_keeps_its_id_in_header_problem_and_log() {
    let t = TestApp::start().await;
    let named = t.admin().with_header("x-request-id", "build-7/retry-1");
    let answer = named.get("/api/agents/nobody").await;
    assert_eq!(answer.header("x-request-id"), Some("build-7/retry-1"));
    assert_eq!(answer.problem(404, "not-found")["request_id"], "build-7/retry-1");
    named.post("/api/agents", json!({"name": "scout", "runtime": "demo"})).await.expect(201);
    let events = t.admin().get("/api/events?stream=agent:scout").await.expect(200);
    assert_eq!(events["items"][0]["correlation_id"], "build-7/retry-1");

    let bad = t.admin().with_header("x-request-id", "two words");
    let answer = bad.get("/api/agents").await;
    let made = answer.header("x-request-id").unwrap();
    assert!(made.parse::<uuid::Uuid>().is_ok(), "{made}");
    let other = t.admin().get("/api/agents").await;
    assert_ne!(other.header("x-request-id"), Some(made));
}

#[tokio::test]
async fn the_trace_of_a_client_is_given_back_and_recorded() {
    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let t = TestApp::start().await;
    let traced = t.admin().with_header("traceparent", PARENT);
    let made = traced.post("/api/agents", json!({"name": "scout", "runtime": "demo"})).await;
    assert_eq!(made.header("traceparent"), Some(PARENT));
    made.expect(201);
    let head = t.app.log.head();
    let last = t.app.log.event(head).await.unwrap().unwrap();
    assert_eq!(last.metadata.traceparent.as_deref(), Some(PARENT));
    let nonsense = t.admin().with_header("traceparent", "nonsense").get("/api/agents").await;
    assert_eq!(nonsense.header("traceparent"), None);
}

#[tokio::test]
async fn whoever_comes_too_often_is_told_when_to_come_back() {
    let t = TestApp::with(|settings| {
        settings.requests_per_second_max = NonZeroU32::new(5);
        settings.admin_password = Some(crate::support::PASSWORD.to_owned().into());
    })
    .await;
    let mut refused = None;
    for _ in 0..200 {
        let answer = t.admin().get("/api/users/me").await;
        if answer.status == 429 {
            refused = Some(answer);
            break;
        }
        answer.expect(200);
    }
    let refused = refused.expect("200 requests at once are more than 5 a second");
    let wait: u32 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=2).contains(&wait), "{wait}");
    refused.problem(429, "too-many-requests");
    // Probes pass, and the limit is each caller's own: nobody else is held up by it.
    for _ in 0..20 {
        t.anonymous().get("/livez").await.expect(200);
        t.anonymous().get("/readyz").await.expect(200);
    }
    let key = t.with_key(trinity::domain::account::Scope::System, None).await;
    key.get("/api/users/me").await.expect(200);
    // Whoever tries tokens is counted by address.
    let guess = async || t.anonymous().with_token("guess").get("/api/users/me").await.status;
    let mut last = guess().await;
    for _ in 0..200 {
        if last == 429 {
            break;
        }
        assert_eq!(last, 401);
        last = guess().await;
    }
    assert_eq!(last, 429);
}

#[tokio::test]
async fn nobody_is_limited_by_default() {
    let t = TestApp::start().await;
    let many = (0..300).map(|_| async { t.admin().get("/api/users/me").await.status.as_u16() });
    let statuses = futures::future::join_all(many).await;
    assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
}

#[tokio::test]
async fn the_page_of_the_description_loads_everything_from_this_server() {
    let t = TestApp::start().await;
    let page = t.anonymous().get("/api/docs").await;
    assert!(page.header("content-type").unwrap().starts_with("text/html"));
    let policy = page.header("content-security-policy").unwrap().to_owned();
    assert!(policy.contains("default-src 'none'") && policy.contains("script-src 'self'"));
    let scripts = policy.split(';').find(|part| part.trim().starts_with("script-src")).unwrap();
    assert!(!scripts.contains("unsafe"), "{policy}");
    let html = page.expect(200).as_str().unwrap().to_owned();
    assert!(!html.contains("://"), "something comes from elsewhere:\n{html}");
    assert!(!html.contains("<script>"), "a script inside of the page:\n{html}");
    let links = html.split('"').filter(|text| text.starts_with("/api/docs/"));
    let links: Vec<_> = links.collect();
    assert_eq!(links.len(), 4, "{links:?}");
    for link in links {
        let file = t.anonymous().get(link).await;
        assert!(file.header("content-type").is_some_and(|kind| !kind.contains("json")), "{link}");
        assert_eq!(file.status.as_u16(), 200, "{link}");
    }
    let start = t.anonymous().get("/api/docs/start.js").await.expect(200);
    assert!(start.as_str().unwrap().contains("/api/openapi.json"));
    t.anonymous().get("/api/docs/index.html").await.problem(404, "not-found");
    t.anonymous().get("/api/docs/..%2f..%2fetc").await.problem(404, "not-found");
}

#[tokio::test]
async fn every_refusal_for_the_moment_says_when_to_try_again() {
    let t = TestApp::start().await;
    t.create_agent("scout").await;
    let body = json!({"message": "m", "async_mode": true});
    let stopped = t.admin().post("/api/agents/scout/task", body).await;
    assert!(stopped.header("retry-after").is_some());
    stopped.problem(503, "agent-not-running");
    let ahead = t.admin().get("/api/agents?min_position=1000000&wait_ms=1").await;
    assert!(ahead.header("retry-after").is_some());
    ahead.problem(503, "projection-lag");
    for _ in 0..10 {
        t.anonymous().log_in("ada", "wrong-wrong").await.problem(401, "wrong-credentials");
    }
    let tried = t.anonymous().log_in("ada", "wrong-wrong").await;
    let wait: u32 = tried.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=61).contains(&wait));
    tried.problem(429, "too-many-attempts");
}

#[tokio::test]
async fn every_read_that_reads_the_log_takes_a_position_and_says_where_it_is() {
    let t = TestApp::start().await;
    let life = t.running_agent("scout", 1).await;
    let id = t.submit(&t.admin(), &life.name, "one").await;
    t.settle().await;
    let description = serde_json::to_value(trinity::api::openapi()).unwrap();
    // What has nothing to do with the log, or is the log as it comes.
    let exempt = [
        "/health",
        "/api/health",
        "/livez",
        "/readyz",
        "/metrics",
        "/api/openapi.json",
        "/api/docs",
        "/api/docs/{file}",
        "/api/setup/status",
        "/api/stream",
        "/api/replay",
        "/api/agents/{name}/executions/{id}/stream",
        "/api/templates",
        "/api/templates/{id}",
        "/api/skills/library",
        "/api/skills/library/{id}",
    ];
    let head = t.app.log.head();
    for (path, item) in description["paths"].as_object().unwrap() {
        let Some(read) = item.get("get").filter(|_| !exempt.contains(&path.as_str())) else {
            continue;
        };
        let takes = |name: &str| {
            let parameters = read["parameters"].as_array();
            parameters.is_some_and(|all| all.iter().any(|one| one["name"] == name))
        };
        assert!(takes("min_position") && takes("wait_ms"), "{path} takes no position");
        let filled = path.replace("{name}", "scout").replace("{position}", "1");
        let filled = filled.replace("{id}", &id.to_string());
        let needed = match path.rsplit('/').next() {
            Some("check") => "caller=scout&callee=scout&",
            Some("download") => "path=note&",
            _ => "",
        };
        let filled = format!("{filled}?{needed}min_position=");
        let ahead = t.admin().get(&format!("{filled}{}&wait_ms=0", head + 1_000)).await;
        assert_eq!(ahead.status.as_u16(), 503, "{path}: {}", ahead.body);
        let now = t.admin().get(&format!("{filled}{head}")).await;
        if now.status == 200 {
            assert!(now.position() >= head, "{path}");
        }
    }
}

#[tokio::test]
async fn a_number_without_a_fraction_is_an_integer() {
    let t = TestApp::start().await;
    t.running_agent("scout", 1).await;
    let task = |timeout_seconds: f64| {
        let turns = 1e1;
        json!({"message": "m", "async_mode": true, "timeout_seconds": timeout_seconds,
            "max_turns": turns})
    };
    let path = "/api/agents/scout/task";
    let taken = t.admin().post(path, task(15.0)).await.expect(202);
    let id = taken["execution_id"].as_str().unwrap();
    let shown = t.admin().get(&format!("/api/agents/scout/executions/{id}")).await.expect(200);
    assert_eq!(shown["timeout_seconds"], 15, "{shown}");
    t.admin().post(path, task(15.5)).await.problem(422, "invalid-field");
}

#[tokio::test]
async fn a_stream_begins_at_no_negative_position_whatever_the_header_says() {
    let t = TestApp::start().await;
    let client = t.admin().with_header("last-event-id", "1");
    client.get("/api/stream?after=-1").await.problem(400, "invalid-parameter");
}
