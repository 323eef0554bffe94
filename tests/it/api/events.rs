//! The log over HTTP.

use serde_json::{Value, json};

use trinity::api::{CAUSE_DISTANCE_MAX, SCAN_EVENTS_MAX};
use trinity::clock;
use trinity::commands::permissions::{self, Change};
use trinity::commands::reports::LifeRef;
use trinity::commands::{Cause, runs};
use trinity::domain::agent::RevokeReason;
use trinity::domain::execution::{Outcome, Verdict};

use crate::support::{Answer, Client, TestApp, metadata};

async fn items(client: &Client, query: &str) -> Vec<Value> {
    let page = client.get(&format!("/api/events{query}")).await.expect(200);
    page["items"].as_array().unwrap().clone()
}

fn positions(items: &[Value]) -> Vec<i64> {
    items.iter().map(|event| event["position"].as_i64().unwrap()).collect()
}

fn kinds(items: &[Value]) -> Vec<&str> {
    items.iter().map(|event| event["type"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn an_administrator_reads_every_event_in_order_page_by_page() {
    let t = TestApp::start().await;
    let life = t.running_agent("scout", 1).await;
    let id = t.submit(&t.admin(), &life.name, "one").await;
    t.complete(id, "done").await;
    let head = t.app.log.head();
    let (mut all, mut after) = (Vec::new(), 0);
    loop {
        let page = t.admin().get(&format!("/api/events?after={after}&limit=4")).await.expect(200);
        let found = page["items"].as_array().unwrap().clone();
        after = page["position"].as_i64().unwrap();
        if found.is_empty() {
            break;
        }
        all.extend(found);
    }
    assert_eq!(positions(&all), (1..=head).collect::<Vec<_>>());
    assert_eq!(after, head);
    let started = all.iter().find(|event| event["type"] == "ExecutionStarted").unwrap();
    assert_eq!(started["stream_type"], "execution");
    assert_eq!(started["stream_id"], id.to_string());
    assert_eq!(started["data"]["epoch"], 1);
    for member in ["event_id", "recorded_at", "actor", "correlation_id", "command_id"] {
        assert!(started[member].is_string(), "{started}");
    }
}

#[tokio::test]
async fn filters_narrow_the_log_by_stream_type_and_actor() {
    let t = TestApp::start().await;
    let life = t.running_agent("scout", 1).await;
    t.running_agent("other", 1).await;
    let id = t.submit(&t.admin(), &life.name, "one").await;
    t.complete(id, "done").await;
    let of_stream = items(&t.admin(), &format!("?stream=execution:{id}")).await;
    let expected = ["ExecutionRequested", "ExecutionStarted", "ExecutionCompleted"];
    assert_eq!(kinds(&of_stream), expected);
    let positions = positions(&of_stream);
    let later = format!("?stream=execution:{id}&after={}", positions[0]);
    assert_eq!(kinds(&items(&t.admin(), &later).await), expected[1..]);
    let none = format!("?stream=execution:{id}&after={}", positions[2]);
    assert!(items(&t.admin(), &none).await.is_empty());
    let created = items(&t.admin(), "?type=AgentCreated,AgentDeleted").await;
    assert_eq!(kinds(&created), ["AgentCreated", "AgentCreated"]);
    let actor = created[0]["actor"].as_str().unwrap();
    let by_admin = items(&t.admin(), &format!("?actor={actor}&limit=1000")).await;
    assert!(by_admin.iter().all(|event| event["actor"] == actor) && !by_admin.is_empty());
    assert!(items(&t.admin(), "?type=NoSuchEvent").await.is_empty());
    for query in ["stream=scout", "stream=planet:earth", "after=-1", "format=xml"] {
        let answer = t.admin().get(&format!("/api/events?{query}")).await;
        answer.problem(400, "invalid-parameter");
    }
}

#[tokio::test]
async fn others_read_what_happened_to_agents_of_theirs() {
    let t = TestApp::start().await;
    let ada = t.user("ada").await;
    let life = t.create_agent_as(&ada, "scout", json!({})).await;
    t.report_running(&life).await;
    let id = t.submit(&ada, &life.name, "one").await;
    t.create_agent("secret").await;
    let seen = items(&ada, "?limit=1000").await;
    let streams: std::collections::BTreeSet<_> =
        seen.iter().map(|event| event["stream_id"].as_str().unwrap().to_owned()).collect();
    let expected = ["scout".to_owned(), life.incarnation.to_string(), id.to_string()];
    assert_eq!(streams, expected.into());
    let secret = items(&t.admin(), "?stream=agent:secret").await;
    let path = format!("/api/events/{}", secret[0]["position"]);
    ada.get(&path).await.problem(404, "not-found");
    assert!(items(&ada, "?stream=agent:secret").await.is_empty());
    assert!(items(&t.user("eve").await, "").await.is_empty());
}

#[tokio::test]
async fn one_event_comes_with_the_chain_that_led_to_it() {
    let t = TestApp::start().await;
    let life = t.running_agent("scout", 1).await;
    let started = items(&t.admin(), "?type=AgentStarted").await;
    let shown = t.admin().get(&format!("/api/events/{}", started[0]["position"])).await.expect(200);
    assert_eq!(shown["event"], started[0]);
    let causes = shown["causes"].as_array().unwrap();
    assert_eq!(causes[0]["event_id"], started[0]["causation_id"]);
    let created = items(&t.admin(), &format!("?stream=agent:{}&limit=1", life.name)).await;
    let path = format!("/api/events/{}", created[0]["position"]);
    assert_eq!(t.admin().get(&path).await.expect(200)["causes"], json!([]));
}

#[tokio::test]
async fn the_log_is_also_written_as_lines_and_as_cloud_events() {
    let t = TestApp::start().await;
    t.create_agent("scout").await;
    let all = items(&t.admin(), "").await;
    let lines = t.admin().get("/api/events?format=ndjson").await;
    assert_eq!(lines.header("content-type"), Some("application/x-ndjson"));
    assert_eq!(lines.position(), t.app.log.head());
    let text = lines.body.as_str().unwrap();
    let read: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(read, all);
    let batch = t.admin().get("/api/events?format=cloudevents").await;
    assert_eq!(batch.header("content-type"), Some("application/cloudevents-batch+json"));
    let batch = batch.expect(200);
    assert_eq!(batch.as_array().unwrap().len(), all.len());
    for (event, plain) in batch.as_array().unwrap().iter().zip(&all) {
        let mut expected = json!({
            "specversion": "1.0",
            "id": plain["event_id"],
            "source": format!("/streams/{}", plain["stream_type"].as_str().unwrap()),
            "subject": plain["stream_id"],
            "type": format!("trinity.{}", plain["type"].as_str().unwrap()),
            "time": plain["recorded_at"],
            "datacontenttype": "application/json",
            "sequence": plain["position"].to_string(),
            "actor": plain["actor"],
            "correlationid": plain["correlation_id"],
            "commandid": plain["command_id"],
            "data": plain["data"],
        });
        if !plain["causation_id"].is_null() {
            expected["causationid"] = plain["causation_id"].clone();
        }
        assert_eq!(*event, expected);
        let attributes = event.as_object().unwrap().keys();
        assert!(attributes.into_iter().all(|name| name.chars().all(|c| c.is_ascii_alphanumeric())));
    }
}

/// A log of more than a thousand events, by one agent that may call many.
async fn long_log(t: &TestApp) {
    let life = t.running_agent("scout", 1).await;
    let callee = |number| LifeRef {
        name: format!("callee-{number}").parse().unwrap(),
        incarnation: life.incarnation,
    };
    let change = Change { grant: (0..1_100).map(callee).collect(), revoke: Vec::new() };
    let reason = RevokeReason::Requested;
    permissions::change(&t.app.log, &life, change, reason, metadata()).await.unwrap();
    t.settle().await;
}

fn lines(answer: &Answer) -> Vec<Value> {
    assert_eq!(answer.header("content-type"), Some("application/x-ndjson"));
    let text = answer.body.as_str().unwrap();
    assert!(text.is_empty() || text.ends_with('\n'));
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn lines_without_a_limit_are_the_whole_log_and_go_on_anywhere() {
    let t = TestApp::start().await;
    long_log(&t).await;
    let head = t.app.log.head();
    assert!(head > 1_000);
    let answer = t.admin().get("/api/events?format=ndjson").await;
    assert_eq!(answer.position(), head);
    let all = lines(&answer);
    assert_eq!(positions(&all), (1..=head).collect::<Vec<_>>());
    assert_eq!(all[..3], items(&t.admin(), "?limit=3").await);
    let rest = lines(&t.admin().get("/api/events?format=ndjson&after=700").await);
    assert_eq!(rest, all[700..]);
    let page = t.admin().get("/api/events?format=ndjson&after=700&limit=5").await;
    assert_eq!((page.position(), lines(&page)), (705, all[700..705].to_vec()));
    let granted = lines(&t.admin().get("/api/events?format=ndjson&type=PermissionGranted").await);
    assert_eq!(granted.len(), 1_100);
    let stream = lines(&t.admin().get("/api/events?format=ndjson&stream=agent:scout").await);
    let is_of_scout = |event: &&Value| event["stream_id"] == "scout";
    assert_eq!(stream, all.iter().filter(is_of_scout).cloned().collect::<Vec<_>>());
    let cloud = t.admin().get("/api/events?format=cloudevents-ndjson").await;
    let cloud = lines(&cloud);
    assert_eq!(cloud.len(), all.len());
    for (cloud, event) in cloud.iter().zip(&all) {
        assert_eq!((&cloud["id"], &cloud["data"]), (&event["event_id"], &event["data"]));
        assert_eq!(cloud["sequence"], event["position"].to_string());
        assert_eq!(cloud.get("causationid"), event.get("causation_id").filter(|id| !id.is_null()));
    }
    let stranger = t.user("stranger").await;
    assert_eq!(lines(&stranger.get("/api/events?format=ndjson").await), Vec::<Value>::new());
}

#[tokio::test]
async fn a_page_without_events_leads_on_to_what_is_far_behind() {
    let t = TestApp::start().await;
    let life = t.create_agent("scout").await;
    let begun = t.app.log.head();
    t.change_model(&life, SCAN_EVENTS_MAX + 1_000).await;
    for name in ["coder", "helper"] {
        t.create_agent(name).await;
    }
    let begin = |format: &str| {
        format!("/api/events?type=AgentCreated&after={begun}&limit=9&format={format}")
    };
    let next = |answer: &Answer| {
        let link = answer.header("link")?;
        Some(link[1..link.find('>').unwrap()].to_owned())
    };
    let page = t.admin().get(&begin("json")).await;
    let rest = next(&page).unwrap();
    let page = page.expect(200);
    assert_eq!((&page["items"], &page["is_end"]), (&json!([]), &json!(false)));
    assert!(rest.starts_with("/api/events?") && rest.contains("type=AgentCreated"), "{rest}");
    assert!(rest.ends_with(&format!("after={}", page["position"])), "{rest}");
    let page = t.admin().get(&rest).await;
    assert_eq!(next(&page), None);
    let page = page.expect(200);
    assert_eq!((&page["items"][0]["stream_id"], &page["is_end"]), (&json!("coder"), &json!(true)));
    for format in ["ndjson", "cloudevents-ndjson"] {
        let page = t.admin().get(&begin(format)).await;
        assert_eq!(lines(&page), Vec::<Value>::new());
        let rest = t.admin().get(&next(&page).unwrap()).await;
        assert_eq!((lines(&rest).len(), next(&rest)), (2, None));
        // Without a limit it goes on by itself.
        let whole = t.admin().get(&begin(format).replace("&limit=9", "")).await;
        assert_eq!(lines(&whole).len(), 2);
    }
}

#[tokio::test]
async fn an_event_says_whether_its_chain_is_whole_and_what_it_led_to() {
    let t = TestApp::start().await;
    t.running_agent("scout", 1).await;
    let show = async |event: &Value| {
        t.admin().get(&format!("/api/events/{}", event["position"])).await.expect(200)
    };
    for event in items(&t.admin(), "?limit=1000").await {
        let shown = show(&event).await;
        assert_eq!(shown["is_complete"], true);
        let mut below = event.clone();
        for cause in shown["causes"].as_array().unwrap() {
            assert_eq!(below["causation_id"], cause["event_id"]);
            let effects = show(cause).await["effects"].clone();
            assert!(effects.as_array().unwrap().contains(&below), "{below} of {cause}");
            below = cause.clone();
        }
        assert_eq!(below["causation_id"], Value::Null);
        for effect in shown["effects"].as_array().unwrap() {
            assert_eq!(effect["causation_id"], event["event_id"]);
        }
    }
}

#[tokio::test]
async fn the_end_of_a_long_run_leads_back_to_its_start() {
    let t = TestApp::start().await;
    let life = t.running_agent("scout", 1).await;
    let id = t.submit(&t.admin(), &life.name, "one").await;
    let grant = t.report_started(id).await;
    let start = t.app.log.head();
    t.change_model(&life, usize::try_from(CAUSE_DISTANCE_MAX).unwrap() + 1).await;
    let cause = Cause::of(&t.app.log.event(start).await.unwrap().unwrap());
    let outcome = Outcome::ended(clock::now());
    let end =
        runs::record_exit(&t.app.log, grant, Verdict::Completed, outcome, clock::now(), &cause);
    end.await.unwrap();
    let ended = items(&t.admin(), &format!("?stream=execution:{id}&type=ExecutionCompleted")).await;
    let path = format!("/api/events/{}", ended[0]["position"]);
    let shown = t.admin().get(&path).await.expect(200);
    let causes = shown["causes"].as_array().unwrap();
    assert_eq!(
        (&causes[0]["type"], &causes[0]["position"]),
        (&json!("ExecutionStarted"), &json!(start))
    );
    assert_eq!(shown["is_complete"], true, "{shown}");
}

#[tokio::test]
async fn a_rebuilt_read_model_shows_what_it_showed() {
    let t = TestApp::start().await;
    let life = t.running_agent("scout", 1).await;
    let id = t.submit(&t.admin(), &life.name, "one").await;
    t.complete(id, "done").await;
    let before = t.admin().get("/api/executions").await.expect(200);
    let begun = t.admin().post("/api/projections/executions/rebuild", json!({})).await.expect(202);
    assert_eq!(begun["status"], "rebuilding");
    t.app.views.rebuilt("executions").await.unwrap();
    assert_eq!(t.admin().get("/api/executions").await.expect(200), before);
}
