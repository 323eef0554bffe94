//! How full an agent was over time.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use trinity::clock;

use crate::support::{TestApp, until};

async fn history(t: &TestApp, query: &str) -> Value {
    t.admin().get(&format!("/api/agents/scout/slots/history{query}")).await.expect(200)
}

/// The steps without their times: taken, waiting, there.
fn steps(history: &Value) -> Vec<[u64; 3]> {
    let points = history["points"].as_array().unwrap();
    let step =
        |point: &Value| ["active", "queued", "max"].map(|field| point[field].as_u64().unwrap());
    points.iter().map(step).collect()
}

fn at(value: &Value) -> DateTime<Utc> {
    value.as_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn every_step_is_there_since_the_agent_was_made() {
    let t = TestApp::start().await;
    let life = t.running_agent("scout", 1).await;
    assert_eq!(steps(&history(&t, "").await), [[0, 0, 1]]);
    let first = t.submit(&t.admin(), &life.name, "one").await;
    let second = t.submit(&t.admin(), &life.name, "two").await;
    let third = t.submit(&t.admin(), &life.name, "three").await;
    t.complete(first, "done").await;
    let body = json!({"max_parallel_tasks": 3});
    t.admin().put("/api/agents/scout/capacity", body).await.expect(200);
    let found = history(&t, "").await;
    let all = [[0, 0, 1], [1, 0, 1], [1, 1, 1], [1, 2, 1], [1, 1, 1], [2, 0, 3]];
    assert_eq!(steps(&found), all);
    assert_eq!((&found["max_parallel_tasks"], &found["is_cut"]), (&json!(3), &json!(false)));
    let points = found["points"].as_array().unwrap();
    assert!(points.is_sorted_by_key(|point| at(&point["at"])));
    for id in [second, third] {
        t.complete(id, "done").await;
    }
    let found = history(&t, "").await;
    assert_eq!(steps(&found)[5..], [[2, 0, 3], [1, 0, 3], [0, 0, 3]]);
}

#[tokio::test]
async fn a_time_begins_with_what_held_then() {
    let t = TestApp::start().await;
    let life = t.running_agent("scout", 1).await;
    t.submit(&t.admin(), &life.name, "one").await;
    t.submit(&t.admin(), &life.name, "two").await;
    let points = history(&t, "").await["points"].clone();
    // Steps are told apart by microseconds, and shown by milliseconds.
    let after = |point: usize| at(&points[point]["at"]) + TimeDelta::milliseconds(1);
    let query = |at: DateTime<Utc>| at.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string();
    until("the clock goes on", async || (clock::now() > after(2)).then_some(())).await;
    let body = json!({"max_parallel_tasks": 2});
    t.admin().put("/api/agents/scout/capacity", body).await.expect(200);
    let found = history(&t, &format!("?from={}", query(after(2)))).await;
    assert_eq!(steps(&found), [[1, 1, 1], [2, 0, 2]]);
    let early = format!("?from=2026-01-01T00:00:00Z&to={}", query(after(0)));
    assert_eq!(steps(&history(&t, &early).await)[0], [0, 0, 1]);
    let before = "?from=2026-01-01T00:00:00Z&to=2026-01-02T00:00:00Z";
    assert_eq!(steps(&history(&t, before).await), Vec::<[u64; 3]>::new());
    let [hence, later] = [1, 2].map(|hours| query(clock::now() + TimeDelta::hours(hours)));
    let found = history(&t, &format!("?from={hence}&to={later}")).await;
    assert_eq!(steps(&found), [[2, 0, 2]]);
    assert!(at(&found["points"][0]["at"]) >= clock::now());
    let turned =
        "/api/agents/scout/slots/history?from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z";
    t.admin().get(turned).await.problem(400, "invalid-parameter");
}

#[tokio::test]
async fn an_earlier_life_has_its_own_steps() {
    let t = TestApp::start().await;
    let first = t.running_agent("scout", 2).await;
    let id = t.submit(&t.admin(), &first.name, "one").await;
    t.complete(id, "done").await;
    t.admin().delete("/api/agents/scout?wait_ms=0").await.expect(202);
    t.report_deleted(&first).await;
    t.running_agent("scout", 5).await;
    assert_eq!(steps(&history(&t, "").await), [[0, 0, 5]]);
    let found = history(&t, &format!("?incarnation={}", first.incarnation)).await;
    assert_eq!(steps(&found), [[0, 0, 2], [1, 0, 2], [0, 0, 2]]);
}
