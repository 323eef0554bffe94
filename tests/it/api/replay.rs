//! What happened, played again.

use serde_json::{Value, json};

use crate::support::{Client, TestApp};

/// One frame of a stream that has ended.
#[derive(Debug, Default, Clone, PartialEq)]
struct Frame {
    id: Option<i64>,
    event: String,
    data: Value,
}

/// Plays and gives the frames: those with events, and the last one, which says how it ended.
async fn play(client: &Client, query: &str) -> (Vec<Frame>, Frame) {
    play_at(client, "max", query).await
}

async fn play_at(client: &Client, speed: &str, query: &str) -> (Vec<Frame>, Frame) {
    let answer = client.get(&format!("/api/replay?speed={speed}{query}")).await;
    assert_eq!(answer.header("content-type"), Some("text/event-stream"), "{}", answer.body);
    let text = answer.expect(200).as_str().unwrap().to_owned();
    let mut frames: Vec<_> = text.trim_end().split("\n\n").map(frame).collect();
    let end = frames.pop().unwrap();
    assert_eq!(end.event, "stream.end");
    assert!(frames[0].event.is_empty() && frames[1].event == "stream.ready", "{frames:?}");
    (frames.split_off(2), end)
}

fn frame(text: &str) -> Frame {
    let mut frame = Frame::default();
    for line in text.lines() {
        match line.split_once(": ") {
            Some(("id", id)) => frame.id = Some(id.parse().unwrap()),
            Some(("event", event)) => event.clone_into(&mut frame.event),
            Some(("data", data)) => frame.data = serde_json::from_str(data).unwrap(),
            _ => assert!(line.starts_with("retry:"), "{line}"),
        }
    }
    frame
}

fn ids(frames: &[Frame]) -> Vec<i64> {
    frames.iter().map(|frame| frame.id.unwrap()).collect()
}

async fn history(t: &TestApp) {
    let life = t.running_agent("scout", 2).await;
    let other = t.running_agent("other", 2).await;
    for (life, response) in [(&life, "one"), (&other, "two"), (&life, "three")] {
        let id = t.submit(&t.admin(), &life.name, response).await;
        t.complete(id, response).await;
    }
}

#[tokio::test]
async fn a_stretch_is_played_in_its_order_and_ends() {
    let t = TestApp::start().await;
    history(&t).await;
    let head = t.app.log.head();
    let (all, end) = play(&t.admin(), "&topics=all").await;
    assert_eq!(ids(&all), (1..=head).collect::<Vec<_>>());
    assert_eq!(end.data, json!({"reason": "finished", "position": head}));
    let page = t.admin().get("/api/events?limit=1000").await.expect(200);
    let data: Vec<_> = all.iter().map(|frame| frame.data.clone()).collect();
    assert_eq!(json!(data), page["items"]);
    assert_eq!(all[0].event, "account.user_created");

    let (activity, _) = play(&t.admin(), "").await;
    for speed in ["1", "1000", "0"] {
        assert_eq!(play_at(&t.admin(), speed, "").await.0, activity, "at any pace");
    }
    let names: Vec<_> = activity.iter().map(|frame| frame.event.as_str()).collect();
    let one = ["execution.requested", "execution.started", "execution.completed"];
    assert_eq!(names, [one, one, one].concat());
    let positions = ids(&activity);
    let (from, to) = (positions[2], positions[6]);
    let (part, end) = play(&t.admin(), &format!("&from={from}&to={to}")).await;
    assert_eq!(ids(&part), positions[2..=6]);
    assert_eq!(end.data["reason"], "finished");
    let (of_other, _) = play(&t.admin(), "&agent=other").await;
    assert_eq!(ids(&of_other), positions[3..6]);
    let (nothing, end) = play(&t.admin(), &format!("&from={to}&to={from}")).await;
    assert_eq!((nothing, &end.data["reason"]), (vec![], &json!("finished")));
}

#[tokio::test]
async fn times_name_the_first_and_the_last_event_of_a_stretch() {
    let t = TestApp::start().await;
    history(&t).await;
    let head = t.app.log.head();
    let time = async |position: i64| {
        let at = t.app.log.recorded_at(position).await.unwrap().unwrap();
        at.to_rfc3339_opts(chrono::SecondsFormat::Micros, true)
    };
    let (from, to) = (head / 3, head * 2 / 3);
    let query = format!("&topics=all&from={}&to={}", time(from).await, time(to).await);
    let played = ids(&play(&t.admin(), &query).await.0);
    // Several events may have been recorded in one instant, and then they belong together.
    let (first, last) = (played[0], played[played.len() - 1]);
    assert!(first <= from && to <= last, "{first}..{last} for {from}..{to}");
    assert_eq!(time(first).await, time(from).await);
    assert_eq!(time(last).await, time(to).await);
    assert!(first == 1 || time(first - 1).await < time(from).await);
    assert!(last == head || time(last + 1).await > time(to).await);
    let (nothing, _) = play(&t.admin(), "&from=2999-01-01T00:00:00Z").await;
    assert_eq!(nothing, []);
}

#[tokio::test]
async fn a_replay_that_broke_off_goes_on_after_the_last_event() {
    let t = TestApp::start().await;
    history(&t).await;
    let (all, _) = play(&t.admin(), "&topics=all&from=3").await;
    let client = t.admin().with_header("last-event-id", &all[4].id.unwrap().to_string());
    let (rest, _) = play(&client, "&topics=all&from=3").await;
    assert_eq!(rest, all[5..]);
}

#[tokio::test]
async fn everyone_is_played_what_they_may_see() {
    let t = TestApp::start().await;
    let ada = t.user("ada").await;
    let life = t.create_agent_as(&ada, "hers", json!({})).await;
    t.report_running(&life).await;
    t.submit(&ada, &life.name, "one").await;
    history(&t).await;
    let seen = play(&ada, "&topics=all").await.0;
    let page = ada.get("/api/events?limit=1000").await.expect(200);
    let data: Vec<_> = seen.into_iter().map(|frame| frame.data).collect();
    assert!(!data.is_empty());
    assert_eq!(json!(data), page["items"]);
    assert_eq!(play(&t.user("eve").await, "&topics=all").await.0, []);
}

#[tokio::test]
async fn what_cannot_be_played_is_refused() {
    let t = TestApp::start().await;
    let head = t.app.log.head();
    let beyond = format!("to={}", head + 1);
    let queries =
        ["from=99999", &beyond, "from=yesterday", "speed=-1", "speed=fast", "topics=all,agent"];
    for query in queries {
        let answer = t.admin().get(&format!("/api/replay?{query}")).await;
        answer.problem(400, "invalid-parameter");
    }
}

#[tokio::test]
async fn who_has_seen_another_log_is_told_and_played_everything() {
    let t = TestApp::start().await;
    history(&t).await;
    let (all, end) = play(&t.admin(), "&topics=all&from=3").await;
    for seen in ["nonsense", "-1", "999999"] {
        let client = t.admin().with_header("last-event-id", seen);
        let (mut frames, its_end) = play(&client, "&topics=all&from=3").await;
        let reset = frames.remove(0);
        assert_eq!(reset.event, "stream.reset");
        assert_eq!(reset.data, json!({"reason": "unknown-position", "position": 2}));
        assert_eq!((frames, its_end), (all.clone(), end.clone()), "after {seen}");
    }
    let client = t.admin().with_header("last-event-id", &t.app.log.head().to_string());
    assert_eq!(play(&client, "&topics=all&from=3").await.0, [], "all of it was seen");
}
