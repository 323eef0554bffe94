//! Credentials over HTTP: what is taken, what is refused, and that no value comes back.

use serde_json::{Value, json};
use trinity::domain::agent::Setting;

use crate::support::TestApp;

const SECRET: &str = "sk-test-3f9a1c7e5b2d";
const PATH: &str = "/api/agents/scout/credentials";

fn names(status: &Value) -> Vec<&str> {
    let all = status["credentials"].as_array().unwrap();
    all.iter().map(|one| one["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_value_goes_in_and_never_comes_out() {
    let t = TestApp::start().await;
    let life = t.create_agent("scout").await;
    let set = t.admin().put(&format!("{PATH}/API_KEY"), json!({ "value": SECRET })).await;
    assert!(set.header("etag").is_some());
    let set = set.expect(200);
    assert_eq!((names(&set), &set["in_force"]), (vec!["API_KEY"], &json!(false)), "not running");
    assert_eq!(set["credentials"][0]["kind"], "variable");
    let text = json!({"credentials_text": "A=1\nexport B='two words'\n"});
    let set = t.admin().post(&format!("{PATH}/hot-reload"), text).await.expect(200);
    assert_eq!(set["not_masked"], json!(["A"]), "too short to be taken out of output");
    let status = t.admin().get(&format!("{PATH}/status")).await.expect(200);
    assert_eq!(names(&status), ["A", "API_KEY", "B"]);
    let removed = t.admin().delete(&format!("{PATH}/A")).await.expect(200);
    assert_eq!(names(&removed), ["API_KEY", "B"]);
    let agent = t.admin().get("/api/agents/scout").await.expect(200);
    assert_eq!(agent["credentials"], json!(["API_KEY", "B"]));
    let changes = t.agent_events("scout").await;
    let changes = changes.iter().filter(|kind| *kind == "CredentialsChanged");
    assert_eq!(changes.count(), 3);
    let events = t.admin().get("/api/events?limit=1000").await.expect(200);
    for shown in [&status, &removed, &agent, &events] {
        assert!(!shown.to_string().contains(SECRET), "{shown}");
    }
    let read = t.app.vault.read(life.incarnation.0).await.unwrap();
    assert_eq!(read.masked().collect::<Vec<_>>(), [SECRET, "two words"]);
}

#[tokio::test]
async fn names_and_texts_that_cannot_be_meant_are_refused_by_name() {
    let t = TestApp::start().await;
    t.create_agent("scout").await;
    let put = async |name: &str, body: Value| t.admin().put(&format!("{PATH}/{name}"), body).await;
    let value = json!({ "value": SECRET });
    for name in ["PATH", "9X", "..%2Fx", "%2Fetc%2Fx", ".env", "A-B"] {
        put(name, value.clone()).await.problem(400, "invalid-parameter");
    }
    put("A", json!({})).await.problem(422, "invalid-field");
    put("A", json!({ "value": "x", "valeu": 1 })).await.problem(422, "unknown-field");
    put("A", json!({ "value": "a\u{0}b" })).await.problem(422, "invalid-field");
    let mistyped = put("A", json!({ "value": [SECRET] })).await.problem(422, "invalid-field");
    assert!(!mistyped.to_string().contains(SECRET), "{mistyped}");
    put("A", json!({ "value": "x".repeat(65_537) })).await.problem(422, "invalid-field");
    let reload = async |text: &str| {
        let body = json!({ "credentials_text": text });
        t.admin().post(&format!("{PATH}/hot-reload"), body).await
    };
    let unreadable = reload(&format!("A=1\n{SECRET}\n")).await.problem(422, "invalid-field");
    let detail = unreadable["detail"].as_str().unwrap();
    assert!(detail.contains("line 2") && !detail.contains(SECRET), "{detail}");
    reload("PATH=/x").await.problem(422, "invalid-field");
    reload("# nothing").await.problem(422, "invalid-field");
    let files = json!({"files": {"Makefile": "x"}});
    t.admin().post(&format!("{PATH}/inject"), files).await.problem(422, "invalid-field");
    t.admin().delete(&format!("{PATH}/A")).await.expect(200);
    let status = t.admin().get(&format!("{PATH}/status")).await.expect(200);
    assert_eq!(names(&status), Vec::<&str>::new(), "nothing of it was stored");
    let events = t.agent_events("scout").await;
    assert!(!events.contains(&"CredentialsChanged".to_owned()), "{events:?}");
}

#[tokio::test]
async fn a_stale_condition_stores_nothing() {
    let t = TestApp::start().await;
    let life = t.create_agent("scout").await;
    let set = t.admin().put(&format!("{PATH}/A"), json!({ "value": "first-value" })).await;
    let etag = set.header("etag").unwrap().to_owned();
    t.admin().put(&format!("{PATH}/A"), json!({ "value": "other-value" })).await.expect(200);
    let stale = t.admin().with_header("if-match", &etag);
    let refused = stale.put(&format!("{PATH}/A"), json!({ "value": "stale-value" })).await;
    refused.problem(412, "precondition-failed");
    let read = t.app.vault.read(life.incarnation.0).await.unwrap();
    assert_eq!(read.masked().collect::<Vec<_>>(), ["other-value"]);
}

#[tokio::test]
async fn whoever_may_only_use_an_agent_sees_names_and_changes_nothing() {
    let t = TestApp::start().await;
    let life = t.create_agent("scout").await;
    t.admin().put(&format!("{PATH}/A"), json!({ "value": SECRET })).await.expect(200);
    let guest = t.user("guest").await;
    let me = guest.get("/api/users/me").await.expect(200);
    let user = me["id"].as_str().unwrap().parse().unwrap();
    t.set(&life, Setting::Share { user }).await;
    let seen = guest.get(&format!("{PATH}/status")).await.expect(200);
    assert_eq!(names(&seen), ["A"]);
    guest.put(&format!("{PATH}/A"), json!({ "value": "x" })).await.problem(403, "forbidden");
    guest.delete(&format!("{PATH}/A")).await.problem(403, "forbidden");
    t.user("stranger").await.get(&format!("{PATH}/status")).await.problem(404, "not-found");
}

#[tokio::test]
async fn an_agent_that_is_being_deleted_takes_no_credential() {
    let t = TestApp::start().await;
    let life = t.running_agent("scout", 1).await;
    t.admin().delete("/api/agents/scout?wait_ms=0").await.expect(202);
    let late = t.admin().put(&format!("{PATH}/A"), json!({ "value": SECRET })).await;
    late.problem(409, "conflict");
    assert!(t.app.vault.entries(life.incarnation.0).await.unwrap().is_empty());
}
