//! API keys.

use serde_json::{Value, json};
use trinity::domain::account::Scope;

use crate::support::TestApp;

/// The one header that tells a repeat.
const REPLAYED: &str = "idempotent-replayed";

#[tokio::test]
async fn a_key_is_shown_once_works_and_can_be_revoked_and_deleted() {
    let t = TestApp::start().await;
    let ada = t.user("ada").await;
    let body = json!({"name": "ci", "description": "nightly"});
    let made = ada.post("/api/mcp/keys", body).await;
    let path = made.header("location").unwrap().to_owned();
    let made = made.expect(201);
    let key = made["api_key"].as_str().unwrap();
    assert_eq!((key.len(), key.starts_with("trinity_mcp_")), (12 + 43, true));
    assert!(key.starts_with(made["key_prefix"].as_str().unwrap()));
    assert_eq!((&made["scope"], &made["is_active"]), (&json!("user"), &json!(true)));

    let holder = t.anonymous().with_token(key);
    assert_eq!(holder.get("/api/users/me").await.expect(200)["username"], "ada");
    let valid = holder.post("/api/mcp/validate", json!({})).await.expect(200);
    let me = ada.get("/api/users/me").await.expect(200);
    let expected = json!({
        "valid": true, "user_id": me["id"], "key_name": "ci", "agent_name": null, "scope": "user",
    });
    assert_eq!(valid, expected);
    ada.post("/api/mcp/validate", json!({})).await.problem(400, "malformed-request");
    let unknown = t.anonymous().with_token("trinity_mcp_unknown");
    unknown.post("/api/mcp/validate", json!({})).await.problem(401, "not-authenticated");

    let shown = ada.get(&path).await.expect(200);
    assert_eq!(shown["api_key"], Value::Null);
    assert_eq!(shown["usage_count"], 2);
    assert!(shown["last_used_at"].is_string(), "{shown}");

    let revoke = format!("{path}/revoke");
    assert_eq!(ada.post(&revoke, json!({})).await.expect(200)["status"], "revoked");
    ada.post(&revoke, json!({})).await.expect(200);
    holder.get("/api/users/me").await.problem(401, "not-authenticated");
    assert_eq!(ada.get(&path).await.expect(200)["is_active"], false);
    assert_eq!(ada.delete(&path).await.status, 204);
    ada.get(&path).await.problem(404, "not-found");
    ada.delete(&path).await.problem(404, "not-found");
    ada.post(&revoke, json!({})).await.problem(404, "not-found");
    assert_eq!(ada.get("/api/mcp/keys").await.expect(200)["items"], json!([]));
}

#[tokio::test]
async fn everybody_sees_their_own_keys_and_administrators_all() {
    let t = TestApp::start().await;
    let (ada, eve) = (t.user("ada").await, t.user("eve").await);
    for (client, name) in [(&ada, "a1"), (&eve, "e1"), (&ada, "a2"), (&t.admin(), "root")] {
        client.post("/api/mcp/keys", json!({"name": name})).await.expect(201);
    }
    let names = async |client: &crate::support::Client, query: &str| {
        let list = client.get(&format!("/api/mcp/keys{query}")).await.expect(200);
        let items = list["items"].as_array().unwrap().iter();
        let names: Vec<_> = items.map(|key| key["name"].as_str().unwrap().to_owned()).collect();
        (names, list["next_cursor"].clone())
    };
    assert_eq!(names(&ada, "").await.0, ["a2", "a1"]);
    assert_eq!(names(&t.admin(), "").await.0, ["root", "a2", "e1", "a1"]);
    let (first, cursor) = names(&t.admin(), "?limit=3").await;
    assert_eq!(first, ["root", "a2", "e1"]);
    let rest = format!("?limit=3&cursor={}", cursor.as_str().unwrap());
    assert_eq!(names(&t.admin(), &rest).await, (vec!["a1".to_owned()], Value::Null));

    let list = ada.get("/api/mcp/keys").await.expect(200);
    let path = format!("/api/mcp/keys/{}", list["items"][0]["id"].as_str().unwrap());
    eve.get(&path).await.problem(404, "not-found");
    eve.delete(&path).await.problem(404, "not-found");
    eve.post(&format!("{path}/revoke"), json!({})).await.problem(404, "not-found");
    t.admin().post(&format!("{path}/revoke"), json!({})).await.expect(200);
}

#[tokio::test]
async fn a_key_of_an_agent_is_for_its_owner_to_make_and_acts_as_the_agent_alone() {
    let t = TestApp::start().await;
    let (ada, eve) = (t.user("ada").await, t.user("eve").await);
    t.create_agent_as(&ada, "scout", json!({})).await;
    let body = json!({"name": "scout's", "scope": "agent", "agent_name": "scout"});
    eve.post("/api/mcp/keys", body.clone()).await.problem(404, "not-found");
    let made = ada.post("/api/mcp/keys", body).await.expect(201);
    let agent = t.anonymous().with_token(made["api_key"].as_str().unwrap());
    assert_eq!(agent.get("/api/users/me").await.expect(200)["agent_name"], "scout");
    let valid = agent.post("/api/mcp/validate", json!({})).await.expect(200);
    assert_eq!((&valid["agent_name"], &valid["scope"]), (&json!("scout"), &json!("agent")));
    agent.get("/api/mcp/keys").await.problem(403, "missing_scope");
    let more = json!({"name": "more"});
    agent.post("/api/mcp/keys", more).await.problem(403, "missing_scope");
}

#[tokio::test]
async fn what_no_key_can_be_made_of_is_refused() {
    let t = TestApp::start().await;
    let ada = t.user("ada").await;
    let system = json!({"name": "root", "scope": "system"});
    ada.post("/api/mcp/keys", system.clone()).await.problem(403, "missing_scope");
    t.admin().post("/api/mcp/keys", system).await.expect(201);
    let nobody = json!({"name": "x", "scope": "agent"});
    ada.post("/api/mcp/keys", nobody).await.problem(422, "invalid-field");
    let both = json!({"name": "x", "scope": "user", "agent_name": "scout"});
    ada.post("/api/mcp/keys", both).await.problem(422, "invalid-field");
    let over = json!({"name": "x", "expires_at": "2020-01-01T00:00:00Z"});
    ada.post("/api/mcp/keys", over).await.problem(422, "invalid-field");
    ada.post("/api/mcp/keys", json!({"name": " "})).await.problem(422, "invalid-field");
    ada.get("/api/mcp/keys/nonsense").await.problem(404, "not-found");
}

#[tokio::test]
async fn the_same_request_for_a_key_gives_the_same_key() {
    let t = TestApp::start().await;
    let ada = t.user("ada").await.with_header("idempotency-key", "k1");
    let body = json!({"name": "ci"});
    let first = ada.post("/api/mcp/keys", body.clone()).await;
    assert_eq!(first.header(REPLAYED), None);
    let first = first.expect(201);
    let again = ada.post("/api/mcp/keys", body.clone()).await;
    assert_eq!(again.header(REPLAYED), Some("true"));
    assert_eq!(again.expect(201), first);
    let other = json!({"name": "other"});
    ada.post("/api/mcp/keys", other).await.problem(422, "idempotency-key-reused");
    // Another caller's word is another word, and what is gone does not come back.
    let eve = t.user("eve").await.with_header("idempotency-key", "k1");
    let hers = eve.post("/api/mcp/keys", body.clone()).await.expect(201);
    assert_ne!(hers["api_key"], first["api_key"]);
    let path = format!("/api/mcp/keys/{}", first["id"].as_str().unwrap());
    assert_eq!(ada.delete(&path).await.status, 204);
    ada.post("/api/mcp/keys", body).await.problem(404, "not-found");
}

#[tokio::test]
async fn the_same_request_for_a_user_makes_one_user() {
    let t = TestApp::start().await;
    let admin = t.admin().with_header("idempotency-key", "k1");
    let body = json!({"username": "ada", "password": "12345678"});
    let first = admin.post("/api/users", body.clone()).await.expect(201);
    let again = admin.post("/api/users", body.clone()).await;
    assert_eq!(again.header(REPLAYED), Some("true"));
    assert_eq!(again.expect(201), first);
    let other = json!({"username": "eve", "password": "12345678"});
    admin.post("/api/users", other).await.problem(422, "idempotency-key-reused");
    let password = json!({"username": "ada", "password": "87654321"});
    admin.post("/api/users", password).await.problem(422, "idempotency-key-reused");
    // Under another word, or under none, it is another request.
    t.admin().post("/api/users", body.clone()).await.problem(409, "already-exists");
    let second = t.admin().with_header("idempotency-key", "k2");
    second.post("/api/users", body.clone()).await.problem(409, "already-exists");
    t.log_in("ada", "12345678").await;
    // A user who was removed since is not made again by the repeat.
    let path = format!("/api/users/{}", first["id"].as_str().unwrap());
    assert_eq!(t.admin().delete(&path).await.status, 204);
    admin.post("/api/users", body).await.problem(404, "not-found");
}

#[tokio::test]
async fn requests_under_one_key_at_once_make_one_key_and_one_user() {
    let t = TestApp::start().await;
    let admin = t.admin().with_header("idempotency-key", "k1");
    for (path, body) in [
        ("/api/mcp/keys", json!({"name": "ci"})),
        ("/api/users", json!({"username": "ada", "password": "12345678"})),
    ] {
        let posts = (0..8).map(|_| admin.post(path, body.clone()));
        let answers: Vec<_> =
            futures::future::join_all(posts).await.into_iter().map(|a| a.expect(201)).collect();
        assert!(answers.iter().all(|answer| answer["id"] == answers[0]["id"]), "{answers:?}");
    }
    let events = t.admin().get("/api/events?type=ApiKeyCreated,UserCreated").await.expect(200);
    let made = events["items"].as_array().unwrap().len();
    assert_eq!(made, 3, "the administrator, one user, one key: {events}");
}

#[tokio::test]
async fn every_use_of_a_key_is_counted_and_none_of_it_is_an_event() {
    let t = TestApp::start().await;
    let key = t.with_key(Scope::User, None).await;
    t.settle().await;
    let head = t.app.log.head();
    for _ in 0..5 {
        key.get("/api/users/me").await.expect(200);
    }
    t.app.state.key_usages.flush().await.unwrap();
    key.get("/api/users/me").await.expect(200);
    let list = t.admin().get("/api/mcp/keys").await.expect(200);
    assert_eq!(list["items"][0]["usage_count"], 6);
    assert_eq!(t.app.log.head(), head);
}
