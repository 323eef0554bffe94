//! First run, logging in and out, keys.

use std::os::unix::fs::PermissionsExt as _;

use chrono::TimeDelta;
use reqwest::Method;
use serde_json::json;
use trinity::commands::accounts;
use trinity::commands::ids;
use trinity::domain::account::Scope;

use crate::support::{Client, PASSWORD, TestApp, metadata};

/// The token of the link that the server prints at its first start.
fn link_token(t: &TestApp) -> String {
    let line = t.app.setup.how_to_log_in(&t.url);
    line.split_once("?token=").expect("no link").1.to_owned()
}

async fn set_up(t: &TestApp, password: &str, confirm: &str, token: &str) -> crate::support::Answer {
    let body = json!({"password": password, "confirm_password": confirm, "setup_token": token});
    t.anonymous().post("/api/setup/admin-password", body).await
}

fn session_cookie(answer: &crate::support::Answer) -> String {
    answer.header("set-cookie").unwrap().split(';').next().unwrap().to_owned()
}

#[tokio::test]
async fn the_configured_password_makes_the_administrator() {
    let t = TestApp::start().await;
    let admin = t.log_in("admin", PASSWORD).await;
    let me = admin.get("/api/users/me").await.expect(200);
    assert_eq!((&me["username"], &me["role"]), (&json!("admin"), &json!("admin")));
    let status = t.anonymous().get("/api/setup/status").await.expect(200);
    assert_eq!(status, json!({"setup_completed": true}));
    let body = set_up(&t, PASSWORD, PASSWORD, "any").await;
    body.problem(403, "setup-done");
}

#[tokio::test]
async fn the_first_run_takes_a_password_from_whoever_holds_the_link_and_only_once() {
    let t = TestApp::first_run().await;
    let status = t.anonymous().get("/api/setup/status").await.expect(200);
    assert_eq!(status, json!({"setup_completed": false}));
    let token = link_token(&t);
    set_up(&t, PASSWORD, PASSWORD, "guess").await.problem(403, "wrong-setup-token");
    set_up(&t, "short", "short", &token).await.problem(400, "invalid-password");
    set_up(&t, PASSWORD, "another one", &token).await.problem(400, "invalid-password");
    set_up(&t, PASSWORD, PASSWORD, &token).await.expect(200);
    t.log_in("admin", PASSWORD).await.get("/api/users").await.expect(200);
    set_up(&t, "other password", "other password", &token).await.problem(403, "setup-done");
    assert!(!t.app.setup.how_to_log_in(&t.url).contains("token="));
}

#[tokio::test]
async fn ten_wrong_passwords_are_answered_and_then_none_for_a_while() {
    let t = TestApp::start().await;
    t.user("ada").await;
    for _ in 0..10 {
        let wrong = t.anonymous().log_in("Ada", "wrong password").await;
        wrong.problem(401, "wrong-credentials");
    }
    let waits = t.anonymous().log_in("ada", PASSWORD).await;
    let seconds: u32 = waits.header("retry-after").unwrap().parse().unwrap();
    assert!(seconds >= 1);
    waits.problem(429, "too-many-attempts");
    t.log_in("admin", PASSWORD).await;
}

#[tokio::test]
async fn an_unknown_name_is_answered_like_a_wrong_password() {
    let t = TestApp::start().await;
    let unknown = t.anonymous().log_in("nobody", PASSWORD).await.problem(401, "wrong-credentials");
    let wrong = t.anonymous().log_in("admin", "wrong").await.problem(401, "wrong-credentials");
    assert_eq!(unknown["detail"], wrong["detail"]);
}

#[tokio::test]
async fn a_login_is_a_form_and_says_what_is_missing() {
    let t = TestApp::start().await;
    let json = json!({"username": "admin", "password": PASSWORD});
    t.anonymous().post("/api/token", json).await.problem(415, "unsupported-media-type");
    let form = "application/x-www-form-urlencoded";
    let body = b"username=admin".to_vec();
    let missing = t.anonymous().send_raw("/token", form, body).await.problem(422, "invalid-field");
    assert_eq!(missing["errors"][0]["pointer"], "/password");
    let body =
        format!("username=admin&password={}&grant_type=password", PASSWORD.replace(' ', "+"));
    let token = t.anonymous().send_raw("/token", form, body.into_bytes()).await.expect(200);
    assert_eq!(token["token_type"], "bearer");
}

#[tokio::test]
async fn a_session_ends_with_the_logout() {
    let t = TestApp::start().await;
    let ada = t.user("ada").await;
    ada.get("/api/users/me").await.expect(200);
    let out = ada.delete("/api/token").await;
    assert_eq!(out.status, 204);
    ada.get("/api/users/me").await.problem(401, "not-authenticated");
}

#[tokio::test]
async fn whoever_shows_nothing_of_worth_is_told_how_to_log_in() {
    let t = TestApp::start().await;
    let clients = [
        t.anonymous(),
        t.anonymous().with_token("nonsense"),
        t.anonymous().with_token("trinity_mcp_nonsense"),
        t.anonymous().with_token(""),
        t.anonymous().with_header("authorization", "Basic YWRtaW46YWRtaW4="),
        t.anonymous().with_header("cookie", "trinity_session=nonsense"),
    ];
    for client in clients {
        let answer = client.get("/api/agents").await;
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        answer.problem(401, "not-authenticated");
    }
}

#[tokio::test]
async fn a_browser_session_is_for_pages_of_this_server_alone() {
    let t = TestApp::start().await;
    let login = t.anonymous().log_in("admin", PASSWORD).await;
    let cookie = login.header("set-cookie").unwrap();
    for attribute in ["HttpOnly", "SameSite=Strict", "Path=/"] {
        assert!(cookie.contains(attribute), "{cookie}");
    }
    let browser = t.anonymous().with_header("cookie", &session_cookie(&login));
    browser.get("/api/users/me").await.expect(200);
    let body = || json!({"username": "ada", "password": PASSWORD});
    let foreign = [("sec-fetch-site", "cross-site"), ("sec-fetch-site", "same-site")];
    for (name, value) in foreign.into_iter().chain([("origin", "https://evil.example")]) {
        let answer = browser.with_header(name, value).post("/api/users", body()).await;
        answer.problem(403, "cross-site");
    }
    let own = browser.with_header("sec-fetch-site", "same-origin");
    own.post("/api/users", body()).await.expect(201);
    own.with_header("origin", &t.url).delete("/api/token").await;
    browser.get("/api/users/me").await.problem(401, "not-authenticated");
}

#[tokio::test]
async fn whoever_can_read_the_data_directory_is_an_administrator() {
    let t = TestApp::start().await;
    let file = t.app.data_dir.join("local-token");
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let token = std::fs::read_to_string(&file).unwrap();
    let me = Client::new(&t.url).with_token(&token).get("/api/users/me").await.expect(200);
    assert_eq!(me["role"], "admin");
}

#[tokio::test]
async fn a_key_works_until_it_is_revoked() {
    let t = TestApp::start().await;
    let new = accounts::NewKey {
        name: "ci".into(),
        description: None,
        owner: ids::user_id("admin"),
        scope: Scope::User,
        agent: None,
        expires_at: None,
    };
    let issued = accounts::issue_key(&t.app.log, new, metadata()).await.unwrap();
    let ci = t.anonymous().with_token(&issued.api_key);
    ci.get("/api/users").await.expect(200);
    accounts::revoke_key(&t.app.log, issued.id, metadata()).await.unwrap();
    ci.get("/api/users").await.problem(401, "not-authenticated");
}

#[tokio::test]
async fn sessions_and_keys_end_by_themselves() {
    let t = TestApp::start().await;
    let admin = ids::user_id("admin");
    let now = trinity::clock::now();
    for (hours, status) in [(11, 200), (13, 401)] {
        let token = format!("session of {hours} hours ago");
        let began = now - TimeDelta::hours(hours);
        t.app.state.sessions.begin(&ids::sha256_hex(&token), admin, began).await.unwrap();
        let answer = t.anonymous().with_token(&token).get("/api/users/me").await;
        answer.expect(status);
    }
    for (seconds, status) in [(60, 200), (-1, 401)] {
        let new = accounts::NewKey {
            name: "ci".into(),
            description: None,
            owner: admin,
            scope: Scope::User,
            agent: None,
            expires_at: Some(now + TimeDelta::seconds(seconds)),
        };
        let issued = accounts::issue_key(&t.app.log, new, metadata()).await.unwrap();
        let answer = t.anonymous().with_token(&issued.api_key).get("/api/users/me").await;
        answer.expect(status);
    }
}

#[tokio::test]
async fn the_key_of_an_agent_ends_with_its_life() {
    let t = TestApp::start().await;
    let life = t.create_agent("scout").await;
    let scout = t.as_agent(&life).await;
    let me = scout.get("/api/users/me").await.expect(200);
    assert_eq!((&me["agent_name"], &me["role"]), (&json!("scout"), &json!(null)));
    t.admin().send(Method::DELETE, "/api/agents/scout?wait_ms=0", None).await.expect(202);
    t.report_deleted(&life).await;
    t.create_agent("scout").await;
    scout.get("/api/users/me").await.problem(401, "not-authenticated");
}
