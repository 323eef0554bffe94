//! Lists, records, counts, transcripts, and ends of executions.

use chrono::DateTime;
use serde_json::{Value, json};
use trinity::domain::ExecutionId;
use trinity::domain::execution::{ErrorClass, Verdict};
use trinity_agent_protocol::{Dropped, LineStream, OutputLine};

use crate::support::{TestApp, said};

fn ids(list: &Value) -> Vec<String> {
    let id = |row: &Value| row["id"].as_str().unwrap().to_owned();
    list.as_array().unwrap().iter().map(id).collect()
}

/// Three executions of one agent: completed, failed, pending.
async fn three(t: &TestApp) -> Vec<ExecutionId> {
    let life = t.running_agent("scout", 3).await;
    let mut ids = Vec::new();
    for message in ["find the bug", "fix the bug", "write the Report"] {
        ids.push(t.submit(&t.admin(), &life.name, message).await);
    }
    t.complete(ids[0], "found").await;
    let grant = t.report_started(ids[1]).await;
    let verdict = Verdict::Failed { class: ErrorClass::Exit, error: "exit code 1".into() };
    t.report_exit(grant, verdict, "").await;
    ids
}

#[tokio::test]
async fn lists_are_newest_first_and_narrowed_by_filters() {
    let t = TestApp::start().await;
    let three = three(&t).await;
    let name = |index: usize| three[index].to_string();
    let cases = [
        ("/api/executions", vec![2, 1, 0]),
        ("/api/agents/scout/executions", vec![2, 1, 0]),
        ("/api/executions?sort=created_at", vec![0, 1, 2]),
        ("/api/executions?sort=-created_at", vec![2, 1, 0]),
        ("/api/executions?status=completed,failed", vec![1, 0]),
        ("/api/agents/scout/executions?status=pending", vec![2]),
        ("/api/executions?triggered_by=manual&status=failed", vec![1]),
        ("/api/executions?triggered_by=schedule,chat", vec![]),
        ("/api/executions?agent=scout,other", vec![2, 1, 0]),
        ("/api/executions?agent=other", vec![]),
        ("/api/executions?q=BUG", vec![1, 0]),
        ("/api/executions?q=report&status=pending", vec![2]),
        ("/api/executions?q=%25", vec![]),
        ("/api/executions?from=2000-01-01T00:00:00Z", vec![2, 1, 0]),
        ("/api/executions?to=2000-01-01T00:00:00Z", vec![]),
        ("/api/agents/scout/executions/running", vec![]),
    ];
    for (path, expected) in cases {
        let expected: Vec<_> = expected.into_iter().map(name).collect();
        assert_eq!(ids(&t.admin().get(path).await.expect(200)), expected, "{path}");
    }
    t.report_started(three[2]).await;
    let running = t.admin().get("/api/agents/scout/executions/running").await.expect(200);
    assert_eq!(ids(&running), [name(2)]);
}

#[tokio::test]
async fn pages_lead_through_the_whole_list_without_a_repeat() {
    let t = TestApp::start().await;
    let life = t.running_agent("scout", 1).await;
    let mut expected = Vec::new();
    for number in 0..7 {
        expected
            .push(t.submit(&t.admin(), &life.name, &format!("task {number}")).await.to_string());
    }
    expected.reverse();
    for first in ["/api/executions?limit=3", "/api/executions?limit=3&q=TASK&status=pending"] {
        let (mut found, mut path) = (Vec::new(), first.to_owned());
        loop {
            let page = t.admin().get(&path).await;
            let link = page.header("link").map(str::to_owned);
            let rows = ids(&page.expect(200));
            assert!(rows.len() <= 3);
            found.extend(rows);
            let Some(link) = link else { break };
            path = link[1..link.find('>').unwrap()].to_owned();
        }
        assert_eq!(found, expected, "{first}");
    }
}

#[tokio::test]
async fn a_cursor_is_good_for_its_own_list_and_filter() {
    let t = TestApp::start().await;
    three(&t).await;
    let page = t.admin().get("/api/executions?limit=1").await;
    let link = page.header("link").unwrap().to_owned();
    let cursor = link.split_once("cursor=").unwrap().1.split('>').next().unwrap().to_owned();
    let paths = [
        format!("/api/executions?status=failed&cursor={cursor}"),
        format!("/api/executions?q=bug&cursor={cursor}"),
        format!("/api/executions?sort=created_at&cursor={cursor}"),
        format!("/api/agents?cursor={cursor}"),
        "/api/executions?cursor=nonsense".to_owned(),
        "/api/executions?cursor=".to_owned(),
        "/api/agents/scout/activities?cursor=%F0%9F%92%A5".to_owned(),
    ];
    for path in paths {
        t.admin().get(&path).await.problem(400, "invalid-cursor");
    }
}

#[tokio::test]
async fn a_record_has_every_field_and_null_for_what_is_unknown() {
    let t = TestApp::start().await;
    let three = three(&t).await;
    let path = format!("/api/executions/{}", three[2]);
    let row = t.admin().get(&path).await.expect(200);
    let fields = [
        "started_at",
        "completed_at",
        "duration_ms",
        "response",
        "error",
        "cost",
        "model_used",
        "claude_session_id",
        "queue_position",
        "source_agent",
        "parent_execution_id",
        "schedule_id",
        "chat_session_id",
        "num_turns",
        "usage",
        "context_used",
        "context_max",
        "exit_code",
        "error_class",
        "cancel_phase",
        "queue_reason",
        "lost_contact_at",
    ];
    for field in fields {
        assert_eq!(row.get(field), Some(&Value::Null), "{field}: {row}");
    }
    let fields = [
        "id",
        "agent_name",
        "status",
        "message",
        "triggered_by",
        "created_at",
        "source",
        "slot",
        "source_user",
        "tool_call_count",
        "tags",
    ];
    for field in fields {
        assert!(row.get(field).is_some_and(|value| !value.is_null()), "{field}: {row}");
    }
    let of_agent = format!("/api/agents/scout/executions/{}", three[0]);
    let row = t.admin().get(&of_agent).await.expect(200);
    assert_eq!((&row["response"], &row["exit_code"]), (&json!("found"), &json!(0)));
    let created = row["created_at"].as_str().unwrap();
    assert_eq!((created.len(), created.ends_with('Z')), (24, true), "{created}");
}

#[tokio::test]
async fn an_execution_is_found_under_its_own_agent_alone() {
    let t = TestApp::start().await;
    let three = three(&t).await;
    t.running_agent("other", 1).await;
    for tail in ["", "/log", "/stream"] {
        let path = format!("/api/agents/other/executions/{}{tail}", three[0]);
        t.admin().get(&path).await.problem(404, "not-found");
    }
    let path = format!("/api/agents/other/executions/{}/terminate", three[2]);
    t.admin().post(&path, json!({})).await.problem(404, "not-found");
}

#[tokio::test]
async fn an_earlier_life_is_history_for_those_who_ask_for_it() {
    let t = TestApp::start().await;
    let ada = t.user("ada").await;
    let first = t.create_agent_as(&ada, "scout", json!({})).await;
    t.report_running(&first).await;
    let id = t.submit(&ada, &first.name, "old work").await;
    t.complete(id, "old answer").await;
    ada.delete("/api/agents/scout?wait_ms=0").await.expect(202);
    t.report_deleted(&first).await;
    let eve = t.user("eve").await;
    t.create_agent_as(&eve, "scout", json!({})).await;

    assert_eq!(eve.get("/api/agents/scout/executions").await.expect(200), json!([]));
    eve.get(&format!("/api/executions/{id}")).await.problem(404, "not-found");
    eve.get(&format!("/api/agents/scout/executions/{id}")).await.problem(404, "not-found");
    let old = format!("/api/agents/scout/executions?incarnation={}", first.incarnation);
    eve.get(&old).await.problem(404, "not-found");
    for client in [&ada, &t.admin()] {
        assert_eq!(ids(&client.get(&old).await.expect(200)), [id.to_string()]);
        client.get(&format!("/api/executions/{id}")).await.expect(200);
        let query = format!("incarnation={}", first.incarnation);
        for tail in ["", "/log"] {
            let path = format!("/api/agents/scout/executions/{id}{tail}?{query}");
            client.get(&path).await.expect(200);
        }
        let activities = format!("/api/agents/scout/activities?{query}");
        assert_eq!(client.get(&activities).await.expect(200)["count"], 2);
    }
    ada.get("/api/agents/scout").await.problem(404, "not-found");
}

#[tokio::test]
async fn facets_and_statistics_count_what_the_lists_show() {
    let t = TestApp::start().await;
    three(&t).await;
    let facets = t.admin().get("/api/executions/facets").await.expect(200);
    assert_eq!(facets["status"], json!({"completed": 1, "failed": 1, "pending": 1}));
    assert_eq!(facets["triggered_by"], json!({"manual": 3}));
    assert_eq!((&facets["agent"], &facets["total"]), (&json!({"scout": 3}), &json!(3)));
    assert_eq!((&facets["cost"], &facets["is_cut"]), (&json!(0.042), &json!(false)));
    let failed = t.admin().get("/api/executions/facets?status=failed").await.expect(200);
    assert_eq!(failed["total"], 1);
    let dear = t.admin().get("/api/executions/facets?cost_min=0.03").await.expect(200);
    let all = t.admin().get("/api/executions").await.expect(200);
    let is_dear = |run: &&serde_json::Value| run["cost"].as_f64().is_some_and(|cost| cost >= 0.03);
    let matching = all.as_array().unwrap().iter().filter(is_dear).count();
    assert_eq!(dear["total"], matching);
    let none = t.admin().get("/api/executions/facets?q=nowhere").await.expect(200);
    assert_eq!((&none["total"], &none["status"]), (&json!(0), &json!({})));
    let stats = t.admin().get("/api/executions/stats").await.expect(200);
    assert_eq!((&stats["hours"], &stats["total"]), (&json!(24), &json!(3)));
    assert_eq!((&stats["success_rate"], &stats["cost"]), (&json!(0.5), &json!(0.042)));
    assert_eq!(stats["duration_ms_p50"], 1_500);
    assert_eq!(stats["duration_ms_p95"], 1_500);
    for hours in ["0", "8785", "x"] {
        let path = format!("/api/executions/stats?hours={hours}");
        t.admin().get(&path).await.problem(400, "invalid-parameter");
    }
    let stranger = t.user("ada").await;
    assert_eq!(stranger.get("/api/executions/facets").await.expect(200)["total"], 0);
    let stats = stranger.get("/api/executions/stats").await.expect(200);
    assert_eq!((&stats["total"], &stats["success_rate"]), (&json!(0), &json!(null)));
}

#[tokio::test]
async fn the_newest_execution_of_each_agent_is_known_to_those_who_may_see_it() {
    let t = TestApp::start().await;
    let three = three(&t).await;
    let other = t.running_agent("other", 1).await;
    let never = t.running_agent("never", 1).await;
    let only = t.submit(&t.admin(), &other.name, "look around").await;
    let latest = t.admin().get("/api/executions/latest").await.expect(200);
    let agents = latest["agents"].as_object().unwrap();
    assert_eq!(agents.keys().collect::<Vec<_>>(), ["other", "scout"]);
    assert_eq!(agents["scout"]["id"], three[2].to_string());
    assert_eq!(
        (&agents["scout"]["status"], &agents["other"]["id"]),
        (&json!("pending"), &json!(only.to_string()),)
    );
    assert_eq!(agents["other"]["completed_at"], json!(null));
    assert!(!agents.contains_key(never.name.as_str()));
    let stranger = t.user("ada").await;
    assert_eq!(stranger.get("/api/executions/latest").await.expect(200)["agents"], json!({}));
}

#[tokio::test]
async fn a_transcript_opens_at_its_end_and_is_read_in_both_directions() {
    let t = TestApp::start().await;
    let life = t.running_agent("scout", 1).await;
    let id = t.submit(&t.admin(), &life.name, "talk").await;
    let lines: Vec<String> = (1..=120).map(|n| said(&format!("line {n}"))).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    t.write(id, &lines).await;
    let log = async |query: &str| {
        let path = format!("/api/agents/scout/executions/{id}/log{query}");
        let log = t.admin().get(&path).await.expect(200);
        let seq = |entry: &Value| entry["seq"].as_u64().unwrap();
        let entries: Vec<u64> = log["entries"].as_array().unwrap().iter().map(seq).collect();
        assert_eq!(log["total"], 120);
        (entries, log["next"].as_u64().unwrap())
    };
    let range = |from: u64, to: u64| (from..=to).collect::<Vec<_>>();
    assert_eq!(log("").await, (range(71, 120), 120));
    assert_eq!(log("?limit=2").await, (range(119, 120), 120));
    assert_eq!(log("?before=71&limit=3").await, (range(68, 70), 70));
    assert_eq!(log("?after=0&limit=3").await, (range(1, 3), 3));
    assert_eq!(log("?after=118").await, (range(119, 120), 120));
    assert_eq!(log("?after=120").await, (vec![], 120));
    assert_eq!(log("?q=LINE%207&limit=3").await, (vec![7, 70, 71], 71));
    assert_eq!(log("?q=line%207&after=71&limit=2").await, (vec![72, 73], 73));
    assert_eq!(log("?q=nowhere").await, (vec![], 120));
    let both = format!("/api/agents/scout/executions/{id}/log?after=1&before=3");
    t.admin().get(&both).await.problem(400, "invalid-parameter");
}

#[tokio::test]
async fn what_of_a_transcript_is_missing_is_said_at_the_line() {
    let t = TestApp::start().await;
    let life = t.running_agent("scout", 1).await;
    let id = t.submit(&t.admin(), &life.name, "talk").await;
    let line = |seq, truncated, dropped| OutputLine {
        seq,
        at: DateTime::UNIX_EPOCH,
        stream: LineStream::Stderr,
        line: format!("line {seq}"),
        raw: None,
        truncated,
        partial: false,
        dropped,
    };
    let left_out = Dropped { lines: 12, bytes: 3_456 };
    let lines = [line(1, None, None), line(2, Some(77), None), line(3, None, Some(left_out))];
    t.app.state.transcripts.append(id, &lines).await.unwrap();
    for query in ["", "?after=0", "?q=line"] {
        let path = format!("/api/agents/scout/executions/{id}/log{query}");
        let log = t.admin().get(&path).await.expect(200);
        let marks = |entry: &Value| (entry["truncated"].clone(), entry["dropped"].clone());
        let marks: Vec<_> = log["entries"].as_array().unwrap().iter().map(marks).collect();
        let dropped = json!({"lines": 12, "bytes": 3_456});
        let (none, truncated) = (|| (json!(null), json!(null)), (json!(77), json!(null)));
        assert_eq!(marks, [none(), truncated, (json!(null), dropped)], "{query}");
    }
}

#[tokio::test]
async fn terminating_says_what_it_found() {
    let t = TestApp::start().await;
    let life = t.running_agent("scout", 1).await;
    let first = t.submit(&t.admin(), &life.name, "one").await;
    let second = t.submit(&t.admin(), &life.name, "two").await;
    let terminate = async |id: ExecutionId, query: &str| {
        let path = format!("/api/agents/scout/executions/{id}/terminate{query}");
        t.admin().post(&path, json!({})).await.expect(200)["status"].clone()
    };
    assert_eq!(terminate(second, "").await, "cancelled_while_queued");
    assert_eq!(terminate(second, "").await, "cancelled");
    let grant = t.report_started(first).await;
    assert_eq!(terminate(first, "").await, "cancelling");
    assert_eq!(terminate(first, "?force=true").await, "cancelling");
    t.report_exit(grant, Verdict::Completed, "partial").await;
    assert_eq!(terminate(first, "").await, "cancelled");
    let row = t.admin().get(&format!("/api/executions/{first}")).await.expect(200);
    assert_eq!((&row["status"], &row["response"]), (&json!("cancelled"), &json!("partial")));
    let third = t.submit(&t.admin(), &life.name, "three").await;
    t.complete(third, "done").await;
    assert_eq!(terminate(third, "").await, "already_finished");
    let unknown = uuid::Uuid::now_v7();
    let path = format!("/api/agents/scout/executions/{unknown}/terminate");
    t.admin().post(&path, json!({})).await.problem(404, "not-found");
}

#[tokio::test]
async fn activities_are_listed_by_agent_by_time_and_one_by_one() {
    let t = TestApp::start().await;
    three(&t).await;
    let of_agent = t.admin().get("/api/agents/scout/activities").await.expect(200);
    assert_eq!(of_agent["count"], 5);
    let first = &of_agent["activities"][0];
    let path = format!("/api/activities/{}", first["id"].as_str().unwrap());
    assert_eq!(t.admin().get(&path).await.expect(200), *first);
    let narrowed = "/api/agents/scout/activities?activity_type=task_start&activity_state=failed";
    assert_eq!(t.admin().get(narrowed).await.expect(200)["count"], 1);
    let timeline = "/api/activities/timeline?activity_types=task_end&limit=1";
    let page = t.admin().get(timeline).await;
    let link = page.header("link").unwrap().to_owned();
    let page = page.expect(200);
    assert_eq!(page["count"], 1);
    let next = format!("{timeline}&cursor={}", page["next_cursor"].as_str().unwrap());
    let last = t.admin().get(&next).await;
    assert_eq!(last.header("link"), None);
    let last = last.expect(200);
    assert_eq!((&last["count"], &last["next_cursor"]), (&json!(1), &json!(null)));
    let next = link.trim_start_matches('<').split('>').next().unwrap();
    assert_eq!(t.admin().get(next).await.expect(200)["activities"], last["activities"]);
    let stranger = t.user("ada").await;
    assert_eq!(stranger.get("/api/activities/timeline").await.expect(200)["count"], 0);
    stranger.get(&path).await.problem(404, "not-found");
    for (query, count) in [
        ("q=BUG", 2),
        ("q=the%20report&activity_state=started", 1),
        ("q=%25", 0),
        ("triggered_by=user", 5),
        ("triggered_by=schedule,agent", 0),
        ("cost_min=0", 4),
        ("cost_min=0&cost_max=0", 0),
    ] {
        for path in ["/api/agents/scout/activities", "/api/activities/timeline"] {
            let path = format!("{path}?{query}");
            assert_eq!(t.admin().get(&path).await.expect(200)["count"], count, "{path}");
        }
    }
    for wrong in ["activity_type=nap", "triggered_by=wind", "cost_min=-1", "cost_max=free"] {
        let path = format!("/api/agents/scout/activities?{wrong}");
        t.admin().get(&path).await.problem(400, "invalid-parameter");
    }
}
