//! The one form of errors, whatever goes wrong.

use reqwest::Method;
use serde_json::json;

use crate::support::TestApp;

#[tokio::test]
async fn unknown_routes_and_methods_are_problems() {
    let t = TestApp::start().await;
    let nowhere = t.admin().get("/api/nowhere").await.problem(404, "not-found");
    assert_eq!(nowhere["instance"], "/api/nowhere");
    t.anonymous().get("/nowhere").await.problem(404, "not-found");
    let wrong = t.admin().send(Method::PATCH, "/api/agents", None).await;
    let allow = wrong.header("allow").unwrap().to_owned();
    assert!(allow.contains("GET") && allow.contains("POST"), "{allow}");
    wrong.problem(405, "method-not-allowed");
}

#[tokio::test]
async fn what_is_no_json_is_malformed_and_another_type_is_unsupported() {
    let t = TestApp::start().await;
    t.running_agent("scout", 1).await;
    let path = "/api/agents/scout/task";
    let bodies: [&[u8]; 6] =
        [b"{", b"nonsense", b"\xff\xfe", b"{\"a\":\"\\ud800\"}", b"{} {}", b"["];
    for body in bodies {
        let answer = t.admin().send_raw(path, "application/json", body.to_vec()).await;
        answer.problem(400, "malformed-body");
    }
    let deep = [b"{\"message\":".as_slice(), &vec![b'['; 100_000]].concat();
    let answer = t.admin().send_raw(path, "application/json", deep).await;
    answer.problem(400, "malformed-body");
    let answer = t.admin().send_raw(path, "text/plain", b"{}".to_vec()).await;
    answer.problem(415, "unsupported-media-type");
    let kind = "application/json; charset=utf-8";
    let body = b"{\"message\":\"m\",\"async_mode\":true}".to_vec();
    t.admin().send_raw(path, kind, body).await.expect(202);
}

#[tokio::test]
async fn a_route_without_fields_takes_no_body_an_empty_object_and_nothing_else() {
    let t = TestApp::start().await;
    t.running_agent("scout", 1).await;
    let path = "/api/agents/scout/queue/clear";
    t.admin().send(Method::POST, path, None).await.expect(200);
    t.admin().post(path, json!({})).await.expect(200);
    t.admin().post(path, json!({"force": true})).await.problem(422, "unknown-field");
    t.admin().post(path, json!(null)).await.problem(422, "invalid-field");
}

#[tokio::test]
async fn query_parameters_are_known_and_in_range_or_named() {
    let t = TestApp::start().await;
    let unknown = t.admin().get("/api/executions?statsu=failed").await;
    let unknown = unknown.problem(400, "unknown-parameter");
    assert_eq!(unknown["errors"][0]["pointer"], "?statsu");
    assert!(unknown["detail"].as_str().unwrap().contains("`status`"), "{unknown}");
    let cases = [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=ten", "limit"),
        ("limit=-1", "limit"),
        ("status=done", "status"),
        ("triggered_by=magic", "triggered_by"),
        ("agent=Not%20A%20Name", "agent"),
        ("from=yesterday", "from"),
        ("sort=cost", "sort"),
        ("min_position=-1", "min_position"),
        ("min_position=first", "min_position"),
        ("wait_ms=10001", "wait_ms"),
        ("q=a%00b", "q"),
    ];
    for (query, name) in cases {
        let answer = t.admin().get(&format!("/api/executions?{query}")).await;
        let refused = answer.problem(400, "invalid-parameter");
        assert_eq!(refused["errors"][0]["pointer"], format!("?{name}"), "{refused}");
    }
    t.admin().get("/api/executions?limit=1&limit=2").await.problem(400, "invalid-parameter");
}

#[tokio::test]
async fn what_no_path_can_mean_is_not_found() {
    let t = TestApp::start().await;
    let paths = [
        "/api/agents/%00",
        "/api/agents/A%20B",
        "/api/agents/%ff",
        "/api/agents/scout%2Fexecutions",
        "/api/agents/nobody/executions/nonsense",
        "/api/executions/nonsense",
        "/api/executions/00000000-0000-0000-0000-000000000000",
        "/api/events/nonsense",
        "/api/events/0",
        "/api/events/-1",
        "/api/events/9223372036854775807",
        "/api/events/9223372036854775808",
        "/api/activities/nonsense",
        "/api/users/nonsense",
    ];
    for path in paths {
        t.admin().get(path).await.problem(404, "not-found");
    }
    let rebuild = t.admin().post("/api/projections/nonsense/rebuild", json!({})).await;
    let detail = rebuild.problem(404, "not-found")["detail"].clone();
    assert!(detail.as_str().unwrap().contains("executions"), "{detail}");
}

#[tokio::test]
async fn a_read_that_must_not_be_stale_waits_and_then_says_so() {
    let t = TestApp::start().await;
    let made = t.create_agent("scout").await;
    let head = t.app.log.head();
    let path = format!("/api/agents/{}?min_position={head}", made.name);
    assert!(t.admin().get(&path).await.position() >= head);
    for path in ["/api/agents/scout", "/api/executions", "/api/events", "/api/agents/slots"] {
        let beyond = format!("{path}?min_position={}&wait_ms=50", head + 1_000);
        let answer = t.admin().get(&beyond).await;
        assert!(answer.header("retry-after").is_some());
        answer.problem(503, "projection-lag");
    }
}

#[tokio::test]
async fn every_answer_has_an_id_and_careful_headers() {
    let t = TestApp::start().await;
    for path in ["/api/health", "/api/agents", "/api/nowhere"] {
        let answer = t.anonymous().get(path).await;
        let id = answer.header("x-request-id").unwrap().to_owned();
        assert!(uuid::Uuid::parse_str(&id).is_ok());
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("x-frame-options"), Some("DENY"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        if answer.status.is_client_error() {
            assert_eq!(answer.body["request_id"], id);
        }
    }
}

#[tokio::test]
async fn health_says_how_far_everything_is() {
    let t = TestApp::start().await;
    t.create_agent("scout").await;
    let health = t.anonymous().get("/health").await.expect(200);
    assert_eq!(health["status"], "healthy");
    assert_eq!(health["agent_host"], "process");
    assert_eq!(health["redis"], json!(null));
    assert_eq!(health["log_position"], t.app.log.head());
    for name in ["agents", "executions", "activities", "permissions", "slots"] {
        assert!(health["projections"][name]["lag"].is_i64(), "{health}");
    }
    t.anonymous().get("/livez").await.expect(200);
    t.anonymous().get("/readyz").await.expect(200);
    t.app.shutdown.cancel();
    t.anonymous().get("/readyz").await.problem(503, "not-ready");
    t.anonymous().get("/api/health").await.expect(200);
}
