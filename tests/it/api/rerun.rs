//! Executions once more.

use serde_json::{Value, json};
use trinity::domain::ExecutionId;
use trinity::domain::execution::{Execution, Request};

use crate::support::{Answer, Client, TestApp};

async fn request_of(t: &TestApp, id: &Value) -> Request {
    let id: ExecutionId = id.as_str().unwrap().parse().unwrap();
    *t.app.log.state::<Execution>(id).await.unwrap().state.request.unwrap()
}

async fn rerun(client: &Client, agent: &str, id: &Value) -> Answer {
    let id = id.as_str().unwrap();
    client.post(&format!("/api/agents/{agent}/executions/{id}/rerun"), json!({})).await
}

/// Submits a task with every option; gives its id.
async fn submit(t: &TestApp) -> Value {
    let body = json!({"message": "m".repeat(5_000), "async_mode": true, "model": "sonnet",
        "allowed_tools": ["Read"], "system_prompt": "Be brief.", "timeout_seconds": 60,
        "max_turns": 7, "resume_session_id": uuid::Uuid::new_v4().to_string()});
    t.admin().post("/api/agents/scout/task", body).await.expect(202)["execution_id"].clone()
}

#[tokio::test]
async fn the_task_is_submitted_anew_with_its_options_in_a_fresh_session() {
    let t = TestApp::start().await;
    t.running_agent("scout", 1).await;
    let id = submit(&t).await;
    let answer = rerun(&t.admin(), "scout", &id).await;
    let location = answer.header("location").unwrap().to_owned();
    let taken = answer.expect(202);
    assert_ne!(taken["execution_id"], id);
    assert_eq!((&taken["status"], &taken["queue_position"]), (&json!("queued"), &json!(1)));
    assert_eq!((&taken["agent_name"], &taken["async_mode"]), (&json!("scout"), &json!(true)));
    let (before, after) = (request_of(&t, &id).await, request_of(&t, &taken["execution_id"]).await);
    assert_eq!(after, Request { resume_session_id: None, ..before });
    let row = t.admin().get(&location).await.expect(200);
    assert_eq!((&row["id"], &row["status"]), (&taken["execution_id"], &json!("pending")));
}

#[tokio::test]
async fn its_cause_is_the_request_that_it_repeats() {
    let t = TestApp::start().await;
    t.running_agent("scout", 1).await;
    let id = submit(&t).await;
    let taken = rerun(&t.admin(), "scout", &id).await.expect(202);
    let events = async |id: &Value| {
        let path = format!("/api/events?stream=execution:{}", id.as_str().unwrap());
        t.admin().get(&path).await.expect(200)["items"].clone()
    };
    let (before, after) = (events(&id).await, events(&taken["execution_id"]).await);
    assert_eq!(before[0]["type"], "ExecutionRequested");
    assert_eq!(after[0]["causation_id"], before[0]["event_id"]);
    assert_ne!(after[0]["correlation_id"], before[0]["correlation_id"]);
}

#[tokio::test]
async fn it_is_done_for_whoever_asks_for_it() {
    let t = TestApp::start().await;
    let callee = t.running_agent("scout", 3).await;
    let caller = t.running_agent("caller", 3).await;
    let id = submit(&t).await;
    let client = t.as_agent(&caller).await;
    rerun(&client, "scout", &id).await.problem(403, "permission_denied");
    t.grant(&caller, &callee).await;
    let taken = rerun(&client, "scout", &id).await.expect(202);
    let request = request_of(&t, &taken["execution_id"]).await;
    assert_eq!(request.source_agent, Some(caller.name));
    assert_eq!(request.source_user, None);
}

#[tokio::test]
async fn the_same_key_is_one_rerun() {
    let t = TestApp::start().await;
    t.running_agent("scout", 3).await;
    let (id, other) = (submit(&t).await, submit(&t).await);
    let admin = t.admin().with_header("idempotency-key", "k1");
    let first = rerun(&admin, "scout", &id).await.expect(202);
    let again = rerun(&admin, "scout", &id).await;
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(again.expect(202), first);
    let another = rerun(&admin, "scout", &other).await.expect(202);
    assert_ne!(another["execution_id"], first["execution_id"]);
}

#[tokio::test]
async fn a_repeat_is_answered_as_one_whatever_its_agent_allows_since() {
    let t = TestApp::start().await;
    t.running_agent("scout", 3).await;
    let id = submit(&t).await;
    let admin = t.admin().with_header("idempotency-key", "k1");
    let first = rerun(&admin, "scout", &id).await.expect(202);
    t.admin().put("/api/agents/scout/tools", json!({"tools": ["Bash"]})).await.expect(200);
    let again = rerun(&admin, "scout", &id).await;
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(again.expect(202), first);
    let refused = rerun(&t.admin(), "scout", &id).await.problem(422, "invalid-field");
    assert_eq!(refused["errors"][0]["pointer"], "/allowed_tools");
}

#[tokio::test]
async fn what_the_agent_does_not_allow_any_more_is_refused() {
    let t = TestApp::start().await;
    t.running_agent("scout", 3).await;
    let id = submit(&t).await;
    let body = json!({"execution_timeout_seconds": 59});
    t.admin().put("/api/agents/scout/timeout", body).await.expect(200);
    let refused = rerun(&t.admin(), "scout", &id).await.problem(422, "invalid-field");
    assert_eq!(refused["errors"][0]["pointer"], "/timeout_seconds");
}

#[tokio::test]
async fn an_execution_of_another_agent_or_of_a_life_that_is_over_is_not_found() {
    let t = TestApp::start().await;
    let life = t.running_agent("scout", 3).await;
    t.running_agent("other", 3).await;
    let id = submit(&t).await;
    rerun(&t.admin(), "other", &id).await.problem(404, "not-found");
    let unknown = json!(uuid::Uuid::now_v7().to_string());
    rerun(&t.admin(), "scout", &unknown).await.problem(404, "not-found");
    t.complete(id.as_str().unwrap().parse().unwrap(), "done").await;
    t.admin().delete("/api/agents/scout?wait_ms=0").await.expect(202);
    t.report_deleted(&life).await;
    rerun(&t.admin(), "scout", &id).await.problem(404, "not-found");
    t.running_agent("scout", 3).await;
    rerun(&t.admin(), "scout", &id).await.problem(404, "not-found");
}
