//! Versions of agents: `ETag`, `If-Match`, `If-None-Match`.

use serde_json::{Value, json};

use crate::coverage::{ROWS, Row};
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

/// Where nothing is frozen or no file is written, that is said whatever the version; and the version
/// of a file is one of its own.
const NOT_HERE: [(&str, &str); 3] = [
    ("POST", "/api/agents/{name}/pause"),
    ("PUT", "/api/agents/{name}/files"),
    ("DELETE", "/api/agents/{name}/files"),
];

#[tokio::test]
async fn every_operation_that_takes_a_version_refuses_a_stale_one_and_changes_nothing() {
    let t = TestApp::start().await;
    t.user("guest").await;
    for agent in ["scout", "other"] {
        t.create_agent(agent).await;
    }
    let stale = t.admin().get("/api/agents/scout").await.header("etag").unwrap().to_owned();
    t.admin().put("/api/agents/scout/autonomy", json!({"enabled": true})).await.expect(200);
    // The skill that the rows name.
    let skill = t.app.data_dir.join("skills/none");
    std::fs::create_dir_all(&skill).unwrap();
    std::fs::write(skill.join("SKILL.md"), "Do nothing.").unwrap();
    let late = t.admin().with_header("if-match", &stale);
    let api = serde_json::to_value(trinity::api::openapi()).unwrap();
    let takes_a_version = |(method, path, ..): &&Row| {
        let parameters = api["paths"][path][method.to_lowercase()]["parameters"].as_array();
        parameters.is_some_and(|all| all.iter().any(|parameter| parameter["name"] == "If-Match"))
    };
    let (head, mut tried) = (t.app.log.head(), Vec::new());
    for (method, route, _, body) in ROWS.iter().filter(takes_a_version) {
        let path = route.replace("{name}", "scout").replace("{target}", "other");
        let path = path.replace("{username}", "guest").replace("{key}", "API_KEY");
        let path = path.replace("{skill}", "none");
        let path = if path.ends_with("/files") { path + "?path=note" } else { path };
        let mut request = late.request(method.parse().unwrap(), &path);
        if !body.is_empty() {
            request = request.header("content-type", "application/json").body(*body);
        }
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let problem: Value = answer.json().await.unwrap();
        if NOT_HERE.contains(&(*method, *route)) {
            let codes = [json!("not-enforceable"), json!("agent-not-running")];
            assert!(codes.contains(&problem["code"]), "{method} {route}: {problem}");
        } else {
            let expected = (412, &json!("precondition-failed"));
            assert_eq!((status, &problem["code"]), expected, "{method} {route}: {problem}");
        }
        assert_eq!(t.app.log.head(), head, "{method} {route}");
        tried.push((*method, *route));
    }
    // The list of rows is complete, or its own test fails.
    assert!(NOT_HERE.iter().all(|there| tried.contains(there)), "{tried:?}");
    assert!(tried.len() > 30, "{tried:?}");
}

#[tokio::test]
async fn a_change_of_whom_an_agent_may_call_names_its_version_and_moves_it() {
    let t = TestApp::start().await;
    for agent in ["scout", "other"] {
        t.create_agent(agent).await;
    }
    let tag = async || {
        let answer = t.admin().get("/api/agents/scout").await;
        answer.header("etag").unwrap().to_owned()
    };
    let first = tag().await;
    let knowing = t.admin().with_header("if-match", &first);
    let one = "/api/agents/scout/permissions/other";
    let added = knowing.post(one, json!({})).await;
    let second = added.header("etag").unwrap().to_owned();
    assert_eq!(added.expect(200)["status"], "added");
    assert!(second != first && second == tag().await, "{first} {second}");
    knowing.delete(one).await.problem(412, "precondition-failed");
    let none = json!({"permitted_agents": []});
    let all = "/api/agents/scout/permissions";
    knowing.put(all, none.clone()).await.problem(412, "precondition-failed");
    let replaced = t.admin().with_header("if-match", &second).put(all, none).await;
    assert_eq!(replaced.header("etag"), Some(tag().await.as_str()));
    replaced.expect(200);
    let removed = t.admin().with_header("if-match", &tag().await).delete(one).await;
    assert_eq!(removed.expect(200)["status"], "not_found");
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
