//! Versions of agents: `ETag`, `If-Match`, `If-None-Match`.

use serde_json::json;

use crate::support::TestApp;

const SETTINGS: [&str; 5] = ["autonomy", "timeout", "model", "resources", "capabilities"];

#[tokio::test]
async fn an_agent_and_its_settings_name_their_version_and_a_change_moves_it() {
    let t = TestApp::start().await;
    t.create_agent("scout").await;
    let tag = async |path: &str| {
        let answer = t.admin().get(&format!("/api/agents/scout{path}")).await;
        let tag = answer.header("etag").unwrap().to_owned();
        answer.expect(200);
        tag
    };
    let first = tag("").await;
    let events = t.agent_events("scout").await.len();
    assert_eq!(first, format!("\"v{events}\""));
    for setting in SETTINGS {
        assert_eq!(tag(&format!("/{setting}")).await, first);
    }
    let put = t.admin().put("/api/agents/scout/autonomy", json!({"enabled": true})).await;
    assert_eq!(put.header("etag"), Some(format!("\"v{}\"", events + 1).as_str()));
    assert_eq!(put.header("etag"), Some(tag("").await.as_str()));
    put.expect(200);
}

#[tokio::test]
async fn a_write_on_a_stale_version_is_refused_and_changes_nothing() {
    let t = TestApp::start().await;
    t.create_agent("scout").await;
    let path = "/api/agents/scout/timeout";
    let stale = t.admin().get(path).await.header("etag").unwrap().to_owned();
    t.admin().put("/api/agents/scout/autonomy", json!({"enabled": true})).await.expect(200);
    let before = t.agent_events("scout").await;
    let late = t.admin().with_header("if-match", &stale);
    let writes = [
        late.put(path, json!({"execution_timeout_seconds": 60})).await,
        late.put("/api/agents/scout/autonomy", json!({"enabled": false})).await,
        late.put("/api/agents/scout/model", json!({"model": null})).await,
        late.put("/api/agents/scout/capacity", json!({"max_parallel_tasks": 5})).await,
        late.post("/api/agents/scout/start?wait_ms=0", json!({})).await,
        late.post("/api/agents/scout/stop?wait_ms=0", json!({})).await,
        late.delete("/api/agents/scout?wait_ms=0").await,
    ];
    for write in writes {
        let problem = write.problem(412, "precondition-failed");
        assert_eq!(problem["etag"], format!("\"v{}\"", before.len()));
    }
    assert_eq!(t.agent_events("scout").await, before);
    let fresh = t.admin().get(path).await.header("etag").unwrap().to_owned();
    let (listed, body) = (format!("\"v1\", {fresh}"), json!({"execution_timeout_seconds": 60}));
    t.admin().with_header("if-match", &listed).put(path, body.clone()).await.expect(200);
    let again = t.admin().with_header("if-match", &fresh).put(path, body.clone()).await;
    again.problem(412, "precondition-failed");
    t.admin().with_header("if-match", "*").put(path, body).await.expect(200);
}

#[tokio::test]
async fn of_writers_with_one_version_in_mind_exactly_one_gets_through() {
    let t = TestApp::start().await;
    t.create_agent("scout").await;
    let path = "/api/agents/scout/timeout";
    let tag = t.admin().get(path).await.header("etag").unwrap().to_owned();
    let (second, _node) = t.second_node().await;
    let writers = (0..12_u32).map(|n| {
        let client = if n % 2 == 0 { t.admin() } else { second.clone() };
        let client = client.with_header("if-match", &tag);
        async move { client.put(path, json!({"execution_timeout_seconds": 100 + n})).await.status }
    });
    let statuses = futures::future::join_all(writers).await;
    let passed = statuses.iter().filter(|status| status.as_u16() == 200).count();
    let refused = statuses.iter().filter(|status| status.as_u16() == 412).count();
    assert_eq!((passed, refused), (1, 11), "{statuses:?}");
}

#[tokio::test]
async fn a_read_of_what_is_known_already_has_no_body() {
    let t = TestApp::start().await;
    t.create_agent("scout").await;
    for below in ["", "/autonomy", "/timeout", "/model"] {
        let path = format!("/api/agents/scout{below}");
        let tag = t.admin().get(&path).await.header("etag").unwrap().to_owned();
        let known = t.admin().with_header("if-none-match", &tag);
        let answer = known.get(&path).await;
        assert_eq!((answer.status.as_u16(), &answer.body), (304, &json!("")));
        assert_eq!(answer.header("etag"), Some(tag.as_str()));
        assert!(answer.position() > 0);
        t.admin().with_header("if-none-match", "\"v0\"").get(&path).await.expect(200);
    }
}
