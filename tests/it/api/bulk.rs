//! Many executions at once: a preview, then a commit.

use serde_json::{Value, json};
use trinity::domain::ExecutionId;
use trinity::domain::agent::Setting;
use trinity::domain::execution::Verdict;

use crate::support::{Client, TestApp};

const PREVIEW: &str = "/api/executions/bulk/preview";

async fn preview(client: &Client, filter: Value) -> Value {
    client.post(PREVIEW, json!({"action": "terminate", "filter": filter})).await.expect(200)
}

async fn commit(client: &Client, selection: &Value) -> crate::support::Answer {
    let id = selection["selection_id"].as_str().unwrap();
    client.post(&format!("/api/executions/bulk/{id}/commit"), json!({})).await
}

/// An agent with one slot: an execution that runs, one that waits, and one that is completed.
async fn three(t: &TestApp, name: &str) -> Vec<ExecutionId> {
    let life = t.running_agent(name, 1).await;
    let completed = t.submit(&t.admin(), &life.name, "was easy").await;
    t.complete(completed, "done").await;
    let running = t.submit(&t.admin(), &life.name, "takes long").await;
    t.report_started(running).await;
    let waiting = t.submit(&t.admin(), &life.name, "waits long").await;
    vec![running, waiting, completed]
}

fn result(committed: &Value, id: ExecutionId) -> Value {
    let results = committed["results"].as_array().unwrap();
    results.iter().find(|result| result["id"] == id.to_string()).unwrap().clone()
}

#[tokio::test]
async fn a_preview_shows_what_has_not_ended_and_a_commit_ends_it() {
    let t = TestApp::start().await;
    let ids = three(&t, "scout").await;
    let shown = preview(&t.admin(), json!({})).await;
    assert_eq!((&shown["action"], &shown["count"]), (&json!("terminate"), &json!(2)));
    assert_eq!((&shown["agents"], &shown["is_cut"]), (&json!({"scout": 2}), &json!(false)));
    let sample = json!([
        {"id": ids[1], "agent_name": "scout", "status": "pending", "message": "waits long"},
        {"id": ids[0], "agent_name": "scout", "status": "running", "message": "takes long"},
    ]);
    assert_eq!(shown["sample"], sample);
    for id in &ids[..2] {
        let row = t.admin().get(&format!("/api/executions/{id}")).await.expect(200);
        assert_eq!(row["cancel_phase"], Value::Null, "a preview changes nothing");
    }
    let committed = commit(&t.admin(), &shown).await;
    let position = committed.position();
    let committed = committed.expect(200);
    assert_eq!(committed["position"], position);
    assert_eq!(committed["counts"], json!({"cancelling": 1, "cancelled_while_queued": 1}));
    let expected = json!({"id": ids[1], "status": "cancelled_while_queued"});
    assert_eq!(result(&committed, ids[1]), expected);
    let row = t.admin().get(&format!("/api/executions/{}", ids[0])).await.expect(200);
    assert_eq!(row["cancel_phase"], "requested");
    commit(&t.admin(), &shown).await.problem(404, "not-found");
}

#[tokio::test]
async fn of_many_commits_of_one_selection_one_does_it_and_the_others_nothing() {
    let t = TestApp::start().await;
    let ids = three(&t, "scout").await;
    let shown = preview(&t.admin(), json!({})).await;
    let admin = t.admin();
    let all = futures::future::join_all((0..8).map(|_| commit(&admin, &shown))).await;
    let (done, refused): (Vec<_>, Vec<_>) = all.into_iter().partition(|a| a.status == 200);
    assert_eq!((done.len(), refused.len()), (1, 7));
    for answer in refused {
        answer.problem(404, "not-found");
    }
    t.settle().await;
    // As if the answer had been lost: the client asks again, later and under a key.
    let head = t.app.log.head();
    let again = commit(&t.admin().with_header("idempotency-key", "k-1"), &shown).await;
    assert!(again.problem(404, "not-found")["detail"].as_str().unwrap().contains("committed"));
    assert_eq!(t.app.log.head(), head, "nothing was recorded");
    let cancelled = t.admin().get(&format!("/api/executions/{}", ids[1])).await.expect(200);
    assert_eq!(cancelled["status"], "cancelled", "the execution says what has become of it");
}

#[tokio::test]
async fn a_filter_finds_what_the_list_does() {
    let t = TestApp::start().await;
    three(&t, "scout").await;
    three(&t, "other").await;
    let cases = [
        (json!({"agent": ["scout"]}), 2),
        (json!({"agent": ["scout", "other"], "status": ["running"]}), 2),
        (json!({"status": ["completed"]}), 0),
        (json!({"status": ["completed", "pending"]}), 2),
        (json!({"q": "WAITS"}), 2),
        (json!({"q": "easy"}), 0),
        (json!({"triggered_by": ["manual"]}), 4),
        (json!({"triggered_by": ["schedule"]}), 0),
        (json!({"to": "2000-01-01T00:00:00Z"}), 0),
        (json!({"from": "2000-01-01T00:00:00Z"}), 4),
        (json!({"cost_min": 0}), 0),
    ];
    for (filter, count) in cases {
        let shown = preview(&t.admin(), filter.clone()).await;
        assert_eq!((&shown["count"], &shown["is_cut"]), (&json!(count), &json!(false)), "{filter}");
    }
}

#[tokio::test]
async fn ids_are_those_of_the_caller_that_have_not_ended() {
    let t = TestApp::start().await;
    let ids = three(&t, "scout").await;
    let ada = t.user("ada").await;
    let unknown = uuid::Uuid::now_v7().to_string();
    let body = json!({"action": "terminate", "ids": [ids[0], ids[0], ids[2], unknown]});
    let shown = t.admin().post(PREVIEW, body.clone()).await.expect(200);
    assert_eq!((&shown["count"], &shown["sample"][0]["id"]), (&json!(1), &json!(ids[0])));
    assert_eq!(ada.post(PREVIEW, body).await.expect(200)["count"], 0);
    commit(&ada, &shown).await.problem(404, "not-found");
    commit(&t.admin(), &shown).await.expect(200);
}

#[tokio::test]
async fn a_commit_goes_by_the_rights_and_the_states_of_then() {
    let t = TestApp::start().await;
    let ada = t.user("ada").await;
    let mine = t.create_agent_as(&ada, "mine", json!({})).await;
    t.report_running(&mine).await;
    let ours = t.running_agent("ours", 1).await;
    let me = ada.get("/api/users/me").await.expect(200);
    let user = me["id"].as_str().unwrap().parse().unwrap();
    t.set(&ours, Setting::Share { user }).await;
    let shared = t.submit(&t.admin(), &ours.name, "one").await;
    let first = t.submit(&ada, &mine.name, "two").await;
    let second = t.submit(&ada, &mine.name, "three").await;
    let shown = preview(&ada, json!({})).await;
    assert_eq!(shown["agents"], json!({"mine": 2, "ours": 1}));
    t.set(&ours, Setting::Unshare { user }).await;
    let grant = t.report_started(first).await;
    t.report_exit(grant, Verdict::Completed, "done").await;
    let committed = commit(&ada, &shown).await.expect(200);
    let counts = json!({"failed": 1, "already_finished": 1, "cancelling": 1});
    assert_eq!(committed["counts"], counts);
    let failed = result(&committed, shared);
    assert!(failed["error"].as_str().unwrap().contains("there is no execution"), "{failed}");
    assert_eq!(result(&committed, second)["status"], "cancelling");
    let row = t.admin().get(&format!("/api/executions/{shared}")).await.expect(200);
    assert_eq!(row["cancel_phase"], Value::Null);
}

#[tokio::test]
async fn what_cannot_be_selected_is_refused_by_the_field_that_is_wrong() {
    let t = TestApp::start().await;
    let many = vec![uuid::Uuid::nil(); 1_001];
    let cases = [
        (json!({"action": "terminate"}), "/ids"),
        (json!({"action": "terminate", "ids": [], "filter": {}}), "/ids"),
        (json!({"action": "terminate", "ids": many}), "/ids"),
        (json!({"action": "terminate", "ids": ["x"]}), "/ids/0"),
        (json!({"action": "delete", "filter": {}}), "/action"),
        (json!({"filter": {}}), "/action"),
        (json!({"action": "terminate", "filter": {"status": ["asleep"]}}), "/filter/status/0"),
        (json!({"action": "terminate", "filter": {"cost_min": -1}}), "/filter/cost_min"),
        (json!({"action": "terminate", "filter": {"q": "x".repeat(1_001)}}), "/filter/q"),
    ];
    for (body, pointer) in cases {
        let refused = t.admin().post(PREVIEW, body.clone()).await.problem(422, "invalid-field");
        assert_eq!(refused["errors"][0]["pointer"], pointer, "{refused}");
    }
    let nonsense = "/api/executions/bulk/nonsense/commit";
    t.admin().post(nonsense, json!({})).await.problem(404, "not-found");
}
