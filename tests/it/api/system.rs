//! The server as those who run it see it.

use serde_json::json;
use trinity::domain::execution::Verdict;

use crate::support::TestApp;

#[tokio::test]
async fn the_system_says_what_it_holds_and_where() {
    let t = TestApp::start().await;
    let life = t.running_agent("scout", 1).await;
    t.create_agent("new").await;
    let first = t.submit(&t.admin(), &life.name, "one").await;
    t.submit(&t.admin(), &life.name, "two").await;
    let answer = t.admin().get("/api/system").await;
    let position = answer.position();
    let system = answer.expect(200);
    let health = t.admin().get("/api/health").await.expect(200);
    for field in ["version", "node_id", "isolation", "projections"] {
        assert_eq!(system[field], health[field], "{field}");
    }
    assert_eq!(system["position"], position);
    assert_eq!(system["log"]["position"], health["log_position"]);
    let newest = t.app.log.recorded_at(t.app.log.head()).await.unwrap().unwrap();
    let newest = newest.to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
    assert_eq!(system["log"]["recorded_at"], newest);
    assert!(system["log"]["events_per_second"].as_f64().unwrap() > 0.0, "{system}");
    assert_eq!(system["agents"], json!({"running": 1, "stopped": 1, "failed": 0}));
    assert_eq!(system["executions"], json!({"running": 1, "queued": 1}));
    let engine = if t.app.config.database_url.is_some() { "postgres" } else { "sqlite" };
    assert_eq!(
        (&system["store"]["engine"], &system["store"]["schema"]),
        (&json!(engine), &json!(1))
    );
    assert!(system["store"]["size_bytes"].as_u64().unwrap() > 10_000, "{system}");
    assert!(system["memory_bytes"].as_u64().unwrap() > 1 << 20, "{system}");
    let disk = &system["disk"];
    let of = |field: &str| disk[field].as_u64().unwrap();
    assert!(of("data_dir_free_bytes") <= of("data_dir_total_bytes"), "{disk}");
    assert!(of("data_dir_total_bytes") > 1 << 20, "{disk}");
    assert_eq!(system["streams"], json!({"open": 0, "slow_resets_total": 0}));
    let stream = t.admin().request(reqwest::Method::GET, "/api/stream").send().await.unwrap();
    assert_eq!(stream.status(), 200);
    assert_eq!(t.admin().get("/api/system").await.expect(200)["streams"]["open"], 1);
    drop(stream);
    let grant = t.report_started(first).await;
    t.report_exit(grant, Verdict::Completed, "done").await;
    let system = t.admin().get("/api/system").await.expect(200);
    assert_eq!(system["executions"], json!({"running": 1, "queued": 0}));
}
