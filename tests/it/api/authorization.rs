//! Who sees what, beyond the row of each route.

use serde_json::{Value, json};
use trinity::domain::AccountId;
use trinity::domain::account::Scope;
use trinity::domain::agent::Setting;

use crate::support::{Client, TestApp};

async fn names(client: &Client) -> Vec<String> {
    let list = client.get("/api/agents").await.expect(200);
    let name = |agent: &Value| agent["name"].as_str().unwrap().to_owned();
    list.as_array().unwrap().iter().map(name).collect()
}

async fn id_of(client: &Client) -> AccountId {
    let me = client.get("/api/users/me").await.expect(200);
    me["id"].as_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_user_sees_own_and_shared_agents_an_administrator_all_an_agent_all_names() {
    let t = TestApp::start().await;
    let (ada, eve) = (t.user("ada").await, t.user("eve").await);
    let mine = t.create_agent_as(&ada, "mine", json!({})).await;
    t.create_agent_as(&eve, "hers", json!({})).await;
    t.create_agent("ours").await;
    assert_eq!(names(&ada).await, ["mine"]);
    assert_eq!(names(&eve).await, ["hers"]);
    assert_eq!(names(&t.admin()).await, ["ours", "hers", "mine"]);
    assert_eq!(names(&t.as_agent(&mine).await).await, ["ours", "hers", "mine"]);
    let user = id_of(&eve).await;
    t.set(&mine, Setting::Share { user }).await;
    assert_eq!(names(&eve).await, ["hers", "mine"]);
    let shared = eve.get("/api/agents/mine").await.expect(200);
    assert_eq!((&shared["is_shared"], &shared["is_owner"]), (&json!(true), &json!(false)));
    assert_eq!((&shared["can_share"], &shared["can_delete"]), (&json!(false), &json!(false)));
    t.set(&mine, Setting::Unshare { user }).await;
    eve.get("/api/agents/mine").await.problem(404, "not-found");
}

#[tokio::test]
async fn an_agent_reads_its_own_work_and_that_of_agents_it_may_call() {
    let t = TestApp::start().await;
    let caller = t.running_agent("caller", 3).await;
    let callee = t.running_agent("callee", 3).await;
    let other = t.running_agent("other", 3).await;
    for life in [&caller, &callee, &other] {
        t.submit(&t.admin(), &life.name, "work").await;
    }
    t.grant(&caller, &callee).await;
    let client = t.as_agent(&caller).await;
    let list = client.get("/api/executions").await.expect(200);
    let seen: Vec<_> = list.as_array().unwrap().iter().map(|row| &row["agent_name"]).collect();
    assert_eq!(seen, ["callee", "caller"]);
    let slots = client.get("/api/agents/slots").await.expect(200);
    let seen: Vec<_> = slots["agents"].as_object().unwrap().keys().collect();
    assert_eq!(seen, ["callee", "caller"]);
    client.get("/api/agents/callee/executions").await.expect(200);
    client.get("/api/agents/other/executions").await.problem(403, "permission_denied");
    for name in ["caller", "callee"] {
        let path = format!("/api/agents/{name}/timeout");
        let body = json!({"execution_timeout_seconds": 60});
        client.put(&path, body).await.problem(403, "permission_denied");
    }
}

#[tokio::test]
async fn a_grant_ends_with_either_life() {
    let t = TestApp::start().await;
    let caller = t.running_agent("caller", 3).await;
    let first = t.running_agent("callee", 3).await;
    t.grant(&caller, &first).await;
    let client = t.as_agent(&caller).await;
    client.get("/api/agents/callee").await.expect(200);
    t.admin().delete("/api/agents/callee?wait_ms=0").await.expect(202);
    t.report_deleted(&first).await;
    t.running_agent("callee", 3).await;
    client.get("/api/agents/callee").await.problem(403, "permission_denied");
    let body = json!({"message": "m", "async_mode": true});
    client.post("/api/agents/callee/task", body).await.problem(403, "permission_denied");
}

#[tokio::test]
async fn a_key_of_the_system_passes_every_check() {
    let t = TestApp::start().await;
    t.running_agent("scout", 1).await;
    let system = t.with_key(Scope::System, None).await;
    system.get("/api/users").await.expect(200);
    let body = json!({"message": "m", "async_mode": true});
    let taken = system.post("/api/agents/scout/task", body).await.expect(202);
    let path = format!("/api/executions/{}", taken["execution_id"].as_str().unwrap());
    let row = system.get(&path).await.expect(200);
    assert_eq!((&row["source"], &row["source_agent"]), (&json!("agent"), &json!("trinity-system")));
}

#[tokio::test]
async fn an_agent_that_creates_an_agent_makes_it_for_its_own_owner() {
    let t = TestApp::start().await;
    let ada = t.user("ada").await;
    let life = t.create_agent_as(&ada, "parent", json!({})).await;
    let client = t.as_agent(&life).await;
    client.post("/api/agents", json!({"name": "child", "runtime": "demo"})).await.expect(201);
    let child = ada.get("/api/agents/child").await.expect(200);
    assert_eq!((&child["owner"], &child["is_owner"]), (&json!("ada"), &json!(true)));
}
