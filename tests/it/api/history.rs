//! How executions went from hour to hour and from day to day, and what failed.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use trinity::clock;
use trinity::domain::ExecutionId;
use trinity::domain::agent::Setting;
use trinity::domain::execution::{ErrorClass, Verdict};

use crate::support::{Client, TestApp};

fn failed(class: ErrorClass, error: &str) -> Verdict {
    Verdict::Failed { class, error: error.to_owned() }
}

async fn fail(t: &TestApp, id: ExecutionId, class: ErrorClass, error: &str) {
    let grant = t.report_started(id).await;
    t.report_exit(grant, failed(class, error), "").await;
}

/// Two agents: one with an execution of each end, one with a failure; gives the ids.
async fn ended(t: &TestApp) -> Vec<ExecutionId> {
    let scout = t.running_agent("scout", 4).await;
    let other = t.running_agent("other", 1).await;
    let mut ids = Vec::new();
    for name in [&scout.name, &scout.name, &scout.name, &other.name] {
        ids.push(t.submit(&t.admin(), name, "work").await);
    }
    t.complete(ids[0], "done").await;
    fail(t, ids[1], ErrorClass::Exit, "exit code 1").await;
    let grant = t.report_started(ids[2]).await;
    let path = format!("/api/agents/scout/executions/{}/terminate", ids[2]);
    t.admin().post(&path, json!({})).await.expect(200);
    t.report_exit(grant, Verdict::Completed, "").await;
    fail(t, ids[3], ErrorClass::Exit, "exit code 2").await;
    // One that has not ended is no part of it.
    t.submit(&t.admin(), &scout.name, "more").await;
    ids
}

async fn history(client: &Client, query: &str) -> Vec<Value> {
    let path = format!("/api/executions/history{query}");
    let history = client.get(&path).await.expect(200);
    history["buckets"].as_array().unwrap().clone()
}

fn sum(buckets: &[Value], field: &str) -> u64 {
    buckets.iter().map(|bucket| bucket[field].as_u64().unwrap()).sum()
}

fn at(value: &Value) -> DateTime<Utc> {
    value.as_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn the_last_day_is_there_hour_by_hour_with_what_ended() {
    let t = TestApp::start().await;
    let ids = ended(&t).await;
    let answer = t.admin().get("/api/executions/history").await;
    let position = answer.position();
    let answer = answer.expect(200);
    assert_eq!((&answer["bucket"], &answer["position"]), (&json!("hour"), &json!(position)));
    let buckets = answer["buckets"].as_array().unwrap();
    assert_eq!(buckets.len(), 24);
    for pair in buckets.windows(2) {
        assert_eq!(at(&pair[1]["start"]) - at(&pair[0]["start"]), TimeDelta::hours(1));
    }
    let counts = ["completed", "failed", "cancelled", "total"].map(|field| sum(buckets, field));
    assert_eq!(counts, [1, 2, 1, 4]);
    // The hour may have turned in between; what ended is in the hour of its end.
    for id in ids {
        let row = t.admin().get(&format!("/api/executions/{id}")).await.expect(200);
        let ended_at = at(&row["completed_at"]);
        let holds = |bucket: &&Value| {
            let start = at(&bucket["start"]);
            start <= ended_at && ended_at < start + TimeDelta::hours(1)
        };
        let bucket = buckets.iter().find(holds).unwrap();
        assert!(bucket["total"].as_u64().unwrap() > 0);
        assert_eq!(bucket["duration_p50_ms"], 1_500);
        assert_eq!(bucket["duration_p95_ms"], 1_500);
    }
    let cost: f64 = buckets.iter().map(|bucket| bucket["cost"].as_f64().unwrap()).sum();
    assert!((cost - 4.0 * 0.021).abs() < 1e-9, "{cost}");
    let empty = json!({"start": buckets[0]["start"], "completed": 0, "failed": 0, "cancelled": 0,
        "total": 0, "cost": 0.0, "duration_p50_ms": null, "duration_p95_ms": null});
    assert_eq!(buckets[0], empty);
}

#[tokio::test]
async fn a_history_is_narrowed_by_agent_and_time_and_counts_whole_buckets() {
    let t = TestApp::start().await;
    ended(&t).await;
    let admin = t.admin();
    assert_eq!(sum(&history(&admin, "?agent=scout").await, "total"), 3);
    assert_eq!(sum(&history(&admin, "?agent=scout,other").await, "total"), 4);
    assert_eq!(sum(&history(&admin, "?agent=nobody").await, "total"), 0);
    let days = history(&admin, "?bucket=day&from=2026-01-01T12:00:00Z&to=2026-01-31T00:00:00Z");
    let days = days.await;
    assert_eq!((days.len(), &days[0]["start"]), (30, &json!("2026-01-01T00:00:00.000Z")));
    assert_eq!(sum(&days, "total"), 0);
    let now = clock::now().format("%Y-%m-%dT%H:%M:%SZ");
    let days = history(&admin, &format!("?bucket=day&from={now}")).await;
    assert_eq!(sum(&days, "total"), 4, "the day is counted from its beginning");
    let of_day = history(&admin, "?bucket=day").await;
    assert_eq!(of_day.len(), 2, "24 hours touch two days");
}

#[tokio::test]
async fn a_history_that_is_too_long_or_turned_around_is_refused() {
    let t = TestApp::start().await;
    let cases = [
        "history?from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z",
        "history?from=2026-01-01T00:00:00Z&to=2026-01-17T17:00:00Z",
        "history?bucket=day&from=2024-01-01T00:00:00Z&to=2026-01-01T00:00:00Z",
        "history?from=-262143-01-01T00:00:00Z&to=%2B262142-12-31T23:59:59Z",
        "history?bucket=week",
        "history?agent=No%20Name",
        "failures?from=2024-01-01T00:00:00Z&to=2026-01-01T00:00:00Z",
        "failures?from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z",
    ];
    for case in cases {
        let refused = t.admin().get(&format!("/api/executions/{case}")).await;
        refused.problem(400, "invalid-parameter");
    }
    let longest = "?from=2026-01-01T00:00:00Z&to=2026-01-17T16:00:00Z";
    assert_eq!(history(&t.admin(), longest).await.len(), 400);
}

#[tokio::test]
async fn failures_are_grouped_by_class_and_agent_the_most_frequent_first() {
    let t = TestApp::start().await;
    let ids = ended(&t).await;
    let scout = "scout".parse().unwrap();
    let second = t.submit(&t.admin(), &scout, "again").await;
    fail(&t, second, ErrorClass::Exit, "exit code 3").await;
    let third = t.submit(&t.admin(), &scout, "again").await;
    fail(&t, third, ErrorClass::Timeout, "ran longer than 9 s").await;
    let failures = async |client: &Client, query: &str| {
        let path = format!("/api/executions/failures{query}");
        client.get(&path).await.expect(200)["failures"].as_array().unwrap().clone()
    };
    let found = failures(&t.admin(), "").await;
    let short = |failure: &Value| {
        let fields = ["error_class", "agent_name", "count", "last_id", "last_error"];
        fields.map(|field| failure[field].clone())
    };
    let expected = [
        [json!("exit"), json!("scout"), json!(2), json!(second), json!("exit code 3")],
        [json!("exit"), json!("other"), json!(1), json!(ids[3]), json!("exit code 2")],
        [json!("timeout"), json!("scout"), json!(1), json!(third), json!("ran longer than 9 s")],
    ];
    assert_eq!(found.iter().map(short).collect::<Vec<_>>(), expected);
    let row = t.admin().get(&format!("/api/executions/{second}")).await.expect(200);
    assert_eq!(found[0]["last_at"], row["completed_at"]);
    assert_eq!(failures(&t.admin(), "?agent=other").await.len(), 1);
    let before = "?from=2026-01-01T00:00:00Z&to=2026-02-01T00:00:00Z";
    assert_eq!(failures(&t.admin(), before).await, Vec::<Value>::new());
}

#[tokio::test]
async fn everybody_sees_the_course_of_their_own_agents() {
    let t = TestApp::start().await;
    ended(&t).await;
    let ada = t.user("ada").await;
    assert_eq!(sum(&history(&ada, "").await, "total"), 0);
    let failures = "/api/executions/failures";
    assert_eq!(ada.get(failures).await.expect(200)["failures"], json!([]));
    let me = ada.get("/api/users/me").await.expect(200);
    let user = me["id"].as_str().unwrap().parse().unwrap();
    let other = t.admin().get("/api/agents/other").await.expect(200);
    let incarnation = other["incarnation"].as_str().unwrap().parse().unwrap();
    let name = "other".parse().unwrap();
    let life = trinity::commands::reports::LifeRef { name, incarnation };
    t.set(&life, Setting::Share { user }).await;
    assert_eq!(sum(&history(&ada, "").await, "failed"), 1);
    let found = ada.get(failures).await.expect(200);
    assert_eq!(found["failures"][0]["agent_name"], "other");
}
