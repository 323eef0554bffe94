//! The past: `?as_of=` answers what was answered then.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use trinity::domain::agent::Setting;
use trinity::domain::execution::{ErrorClass, Verdict};
use trinity::projections::{FOLD_SPAN_POSITIONS, PASTS_MAX};

use crate::support::{Client, TestApp, until};

/// The routes that can look back.
const ROUTES: [&str; 17] = [
    "/api/agents",
    "/api/agents?limit=1",
    "/api/agents/scout",
    "/api/agents/coder",
    "/api/agents/scout/permissions",
    "/api/permissions",
    "/api/permissions/check?caller=scout&callee=coder",
    "/api/agents/slots",
    "/api/agents/scout/capacity",
    "/api/agents/scout/queue",
    "/api/agents/scout/activities",
    "/api/agents/scout/activities?activity_state=started",
    "/api/activities/timeline?limit=3",
    "/api/activities/timeline?activity_types=tool_call,agent_collaboration",
    "/api/activities/timeline?cost_min=0",
    "/api/activities/timeline?q=help",
    "/api/activities/timeline?triggered_by=agent&activity_state=completed",
];

/// What every route answered at one moment.
struct Seen {
    position: i64,
    at: DateTime<Utc>,
    answers: BTreeMap<&'static str, (u16, Value)>,
}

/// The answer without what depends on when it was given, and on what else it was asked; what a host
/// says of this moment is in no event.
fn lasting(mut answer: Value) -> Value {
    match &mut answer {
        Value::Object(fields) => {
            let of_the_moment = ["timestamp", "duration_seconds", "next_cursor"];
            let of_the_host = ["isolation", "landlock_abi", "run_uid"];
            for name in of_the_moment.into_iter().chain(of_the_host) {
                fields.remove(name);
            }
            for value in fields.values_mut() {
                *value = lasting(value.take());
            }
        }
        Value::Array(items) => {
            for item in items {
                *item = lasting(item.take());
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    answer
}

async fn look(client: &Client, path: &str) -> (u16, Value) {
    let answer = client.get(path).await;
    let status = answer.status.as_u16();
    (status, if status == 200 { lasting(answer.body) } else { Value::Null })
}

async fn see(t: &TestApp) -> Seen {
    let position = t.app.log.head();
    let mut answers = BTreeMap::new();
    for route in ROUTES {
        answers.insert(route, look(&t.admin(), route).await);
    }
    assert_eq!(t.app.log.head(), position, "reading writes nothing");
    let at = t.app.log.recorded_at(position).await.unwrap().unwrap();
    Seen { position, at, answers }
}

fn with(path: &str, as_of: impl std::fmt::Display) -> String {
    let separator = if path.contains('?') { '&' } else { '?' };
    format!("{path}{separator}as_of={as_of}")
}

/// Two agents, one of which calls the other; what was seen after each step.
async fn history(t: &TestApp) -> Vec<Seen> {
    let mut seen = Vec::new();
    let scout = t.create_agent("scout").await;
    seen.push(see(t).await);
    t.report_running(&scout).await;
    let coder = t.running_agent("coder", 1).await;
    seen.push(see(t).await);
    let one = t.submit(&t.admin(), &coder.name, &"long ".repeat(300)).await;
    let mut of_scout = Vec::new();
    for message in ["first", "second", "third", "fourth", "fifth"] {
        of_scout.push(t.submit(&t.admin(), &scout.name, message).await);
        seen.push(see(t).await);
    }
    let grant = t.report_started(of_scout[0]).await;
    t.grant(&scout, &coder).await;
    seen.push(see(t).await);
    let body = json!({"message": "help", "async_mode": true, "parent_execution_id": of_scout[0]});
    let agent = t.as_agent(&scout).await;
    agent.post("/api/agents/coder/task", body).await.expect(202);
    seen.push(see(t).await);
    t.report_exit(grant, Verdict::Completed, "done").await;
    t.complete(one, "done").await;
    seen.push(see(t).await);
    let grant = t.report_started(of_scout[1]).await;
    seen.push(see(t).await);
    let failed = Verdict::Failed { class: ErrorClass::Exit, error: "exit code 1".into() };
    t.report_exit(grant, failed, "").await;
    t.set(&scout, Setting::SetModel { model: Some("sonnet".into()) }).await;
    let path = "/api/agents/scout/capacity";
    t.admin().put(path, json!({"max_parallel_tasks": 5})).await.expect(200);
    seen.push(see(t).await);
    t.admin().delete("/api/agents/scout/permissions/coder").await.expect(200);
    seen.push(see(t).await);
    t.admin().delete("/api/agents/coder?wait_ms=0").await.expect(202);
    seen.push(see(t).await);
    seen
}

#[tokio::test]
async fn every_answer_is_what_was_answered_at_that_position() {
    let t = TestApp::start().await;
    let seen = history(&t).await;
    assert!(seen.len() > 12);
    // The order is neither that of time nor its reverse, so that folds begin anywhere.
    let (even, odd): (Vec<_>, Vec<_>) = (0..seen.len()).partition(|index| index % 2 == 0);
    for index in odd.into_iter().rev().chain(even) {
        let Seen { position, at, answers } = &seen[index];
        let is_last_at_its_time = seen.get(index + 1).is_none_or(|next| next.at > *at);
        for (route, (status, then)) in answers {
            let answer = t.admin().get(&with(route, position)).await;
            assert_eq!(answer.status.as_u16(), *status, "{route} at {position}: {}", answer.body);
            if *status != 200 {
                continue;
            }
            assert_eq!(answer.position(), *position, "{route}");
            assert_eq!(lasting(answer.body), *then, "{route} at {position}");
            if is_last_at_its_time {
                let time = at.to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
                let by_time = look(&t.admin(), &with(route, time)).await;
                assert_eq!(by_time, (200, then.clone()), "{route} at {at}");
            }
        }
    }
}

#[tokio::test]
async fn pages_of_the_past_lead_to_each_other_and_are_those_of_then() {
    let t = TestApp::start().await;
    let seen = history(&t).await;
    let then = &seen[seen.len() - 5];
    let whole = with("/api/activities/timeline?limit=1000", then.position);
    let whole = t.admin().get(&whole).await.expect(200);
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = with(&format!("/api/activities/timeline?limit=2{cursor}"), then.position);
        let page = t.admin().get(&path).await.expect(200);
        all.extend(page["activities"].as_array().unwrap().clone());
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(Value::Array(all.clone()), whole["activities"]);
    assert!(all.len() > 6);
    let id = |index: usize| all[index]["id"].as_str().unwrap().to_owned();
    let path = format!("/api/activities/{}", id(0));
    assert_eq!(t.admin().get(&with(&path, then.position)).await.expect(200), all[0]);
    t.admin().get(&with(&path, 1)).await.problem(404, "not-found");
    // A cursor of one moment is none of another.
    let path = with(&format!("/api/activities/timeline?limit=2{cursor}"), then.position - 1);
    t.admin().get(&path).await.problem(400, "invalid-cursor");
    let agents = t.admin().get(&with("/api/agents?limit=1", then.position)).await;
    let link = agents.header("link").unwrap().to_owned();
    assert!(link.contains(&format!("as_of={}", then.position)), "{link}");
    let next = link.trim_start_matches('<').split('>').next().unwrap();
    assert_eq!(t.admin().get(next).await.expect(200)[0]["name"], "scout");
}

#[tokio::test]
async fn a_moment_that_never_was_is_refused_and_one_before_all_is_empty() {
    let t = TestApp::start().await;
    t.create_agent("scout").await;
    t.create_agent("coder").await;
    let head = t.app.log.head();
    for route in ROUTES {
        let beyond = t.admin().get(&with(route, head + 1)).await;
        let problem = beyond.problem(400, "invalid-parameter");
        assert!(problem["detail"].as_str().unwrap().contains(&head.to_string()), "{problem}");
        for nonsense in ["yesterday", "-1", "1.5", "2026-11-20", "99999999999999999999"] {
            let answer = t.admin().get(&with(route, nonsense)).await;
            answer.problem(400, "invalid-parameter");
        }
    }
    let began = t.app.log.recorded_at(1).await.unwrap().unwrap();
    for before in ["0".to_owned(), (began - TimeDelta::seconds(1)).to_rfc3339().replace('+', "%2B")]
    {
        let answer = t.admin().get(&with("/api/agents", &before)).await;
        assert_eq!(answer.position(), 0);
        assert_eq!(answer.expect(200), json!([]));
        let page = t.admin().get(&with("/api/activities/timeline", &before)).await.expect(200);
        assert_eq!(page["count"], 0);
        t.admin().get(&with("/api/agents/scout", &before)).await.problem(404, "not-found");
    }
    let far = t.admin().get(&with("/api/agents", "2999-01-01T00:00:00Z")).await;
    assert_eq!(far.position(), head);
}

#[tokio::test]
async fn the_rights_of_today_tell_whose_past_is_seen() {
    let t = TestApp::start().await;
    let (ada, eve) = (t.user("ada").await, t.user("eve").await);
    let life = t.create_agent_as(&ada, "scout", json!({})).await;
    t.report_running(&life).await;
    t.submit(&ada, &life.name, "secret").await;
    let me = eve.get("/api/users/me").await.expect(200);
    let user = me["id"].as_str().unwrap().parse().unwrap();
    t.set(&life, Setting::Share { user }).await;
    let shared = t.app.log.head();
    let names = async |client: &Client, position: i64| {
        let list = client.get(&with("/api/agents", position)).await.expect(200);
        list.as_array().unwrap().len()
    };
    let then = eve.get(&with("/api/agents/scout", shared)).await.expect(200);
    assert_eq!((&then["is_shared"], &then["can_delete"]), (&json!(true), &json!(false)));
    assert_eq!((names(&eve, shared).await, names(&ada, shared).await), (1, 1));
    t.set(&life, Setting::Unshare { user }).await;
    eve.get(&with("/api/agents/scout", shared)).await.problem(404, "not-found");
    let page = eve.get(&with("/api/activities/timeline", shared)).await.expect(200);
    assert_eq!((names(&eve, shared).await, &page["count"]), (0, &json!(0)));
    let slots = eve.get(&with("/api/agents/slots", shared)).await.expect(200);
    assert_eq!(slots["agents"], json!({}));
    let own = ada.get(&with("/api/agents/scout", shared)).await.expect(200);
    assert_eq!(own["is_owner"], true);

    // A life that is over is for its owner then, by its own id.
    t.admin().delete("/api/agents/scout?wait_ms=0").await.expect(202);
    t.report_deleted(&life).await;
    t.create_agent_as(&eve, "scout", json!({})).await;
    ada.get(&with("/api/agents/scout", shared)).await.problem(404, "not-found");
    eve.get(&with("/api/agents/scout", shared)).await.problem(404, "not-found");
    let path = with(&format!("/api/agents/scout?incarnation={}", life.incarnation), shared);
    assert_eq!(ada.get(&path).await.expect(200)["incarnation"], life.incarnation.to_string());
    eve.get(&path).await.problem(404, "not-found");
    assert_eq!((names(&eve, shared).await, names(&ada, shared).await), (0, 1));
    let path = format!("/api/agents/scout?incarnation={}", life.incarnation);
    ada.get(&path).await.problem(404, "not-found");
}

#[tokio::test]
async fn a_long_fold_goes_on_without_its_request_and_is_kept() {
    let t = TestApp::start().await;
    let life = t.create_agent("scout").await;
    let first = t.app.log.head();
    let count = FOLD_SPAN_POSITIONS * 2 + 100;
    t.change_model(&life, usize::try_from(count).unwrap()).await;
    let head = t.app.log.head();
    assert_eq!(head, first + count);
    let path = with("/api/agents/scout?wait_ms=0", head);
    let answer = t.admin().get(&path).await;
    assert_eq!(answer.header("retry-after"), Some("1"));
    answer.problem(503, "projection-lag");
    let folded = until("the fold has ended", async || {
        Some(t.admin().get(&path).await).filter(|answer| answer.status == 200)
    });
    assert_eq!(folded.await.expect(200)["model"], format!("model-{}", count - 1));
    // More moments than are kept, forth and back: each is right, begun anew or from another.
    let moments = i64::try_from(PASTS_MAX).unwrap() * 2;
    for number in (0..moments).chain((0..moments).rev()) {
        let position = first + 1 + number * (count - 1) / moments;
        let path = with("/api/agents/scout?wait_ms=10000", position);
        let answer = t.admin().get(&path).await;
        assert_eq!(answer.position(), position);
        let then = answer.expect(200);
        assert_eq!(then["model"], format!("model-{}", position - first - 1));
        assert_eq!(then["position"], position);
    }
}

#[tokio::test]
async fn another_node_shows_the_same_past() {
    let t = TestApp::start().await;
    let seen = history(&t).await;
    let (other, _app) = t.second_node().await;
    let then = &seen[seen.len() / 2];
    for (route, (status, answer)) in &then.answers {
        let path = with(route, then.position) + &format!("&min_position={}", then.position);
        let found = look(&other, &path).await;
        assert_eq!((found.0, &found.1), (*status, answer), "{route}");
    }
}
