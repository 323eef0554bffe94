//! Users.

use serde_json::json;

use crate::support::{PASSWORD, TestApp};

#[tokio::test]
async fn an_administrator_makes_lists_and_removes_users() {
    let t = TestApp::start().await;
    let body = json!({"username": "Ada", "password": PASSWORD});
    let made = t.admin().post("/api/users", body).await;
    let location = made.header("location").unwrap().to_owned();
    let position = made.position();
    let mut made = made.expect(201);
    assert_eq!(made.as_object_mut().unwrap().remove("position"), Some(json!(position)));
    assert_eq!((&made["username"], &made["role"]), (&json!("Ada"), &json!("user")));
    assert_eq!(made["email"], json!(null));
    assert_eq!(t.admin().get(&location).await.expect(200), made);
    let list = t.admin().get("/api/users").await.expect(200);
    let names: Vec<_> = list["items"].as_array().unwrap().iter().map(|u| &u["username"]).collect();
    assert_eq!(names, ["Ada", "admin"]);
    assert_eq!(t.admin().delete(&location).await.status, 204);
    t.admin().get(&location).await.problem(404, "not-found");
    t.admin().delete(&location).await.problem(404, "not-found");
}

#[tokio::test]
async fn names_that_differ_only_in_case_are_one_name() {
    let t = TestApp::start().await;
    t.user("ada").await;
    let body = json!({"username": "ADA", "password": PASSWORD});
    t.admin().post("/api/users", body).await.problem(409, "already-exists");
    t.log_in("Ada", PASSWORD).await;
}

#[tokio::test]
async fn a_removed_user_is_logged_out_at_once_and_the_name_can_be_used_again() {
    let t = TestApp::start().await;
    let ada = t.user("ada").await;
    let me = ada.get("/api/users/me").await.expect(200);
    let path = format!("/api/users/{}", me["id"].as_str().unwrap());
    assert_eq!(t.admin().delete(&path).await.status, 204);
    ada.get("/api/users/me").await.problem(401, "not-authenticated");
    t.anonymous().log_in("ada", PASSWORD).await.problem(401, "wrong-credentials");
    t.user("ada").await.get("/api/users/me").await.expect(200);
}

#[tokio::test]
async fn nobody_removes_the_administrator() {
    let t = TestApp::start().await;
    let me = t.admin().get("/api/users/me").await.expect(200);
    let path = format!("/api/users/{}", me["id"].as_str().unwrap());
    t.admin().delete(&path).await.problem(409, "conflict");
}

#[tokio::test]
async fn a_new_password_needs_the_old_one_and_ends_every_session() {
    let t = TestApp::start().await;
    let ada = t.user("ada").await;
    let change = async |current: &str, new: &str| {
        let body = json!({"current_password": current, "password": new});
        ada.put("/api/users/me/password", body).await
    };
    change("wrong", "battery staple").await.problem(400, "invalid-password");
    change(PASSWORD, "short").await.problem(400, "invalid-password");
    assert_eq!(change(PASSWORD, "battery staple").await.status, 204);
    ada.get("/api/users/me").await.problem(401, "not-authenticated");
    t.log_in("ada", "battery staple").await;
}

#[tokio::test]
async fn a_user_needs_a_name_and_a_password_worth_the_word() {
    let t = TestApp::start().await;
    let create = async |name: &str, password: &str| {
        t.admin().post("/api/users", json!({"username": name, "password": password})).await
    };
    create("ada", "short").await.problem(400, "invalid-password");
    create("", PASSWORD).await.problem(422, "invalid-field");
    create(" ada", PASSWORD).await.problem(422, "invalid-field");
    create(&"a".repeat(65), PASSWORD).await.problem(422, "invalid-field");
    let body = json!({"username": "ada", "password": PASSWORD, "role": "root"});
    let unknown = t.admin().post("/api/users", body).await.problem(422, "invalid-field");
    assert_eq!(unknown["errors"][0]["pointer"], "/role");
}
