//! The two streams: of the log, and of one execution.

use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::BoxStream;
use reqwest::Method;
use serde_json::{Value, json};
use trinity::api::LAG_EVENTS_MAX;
use trinity::domain::agent::Setting;
use trinity::domain::execution::{
    Execution, ExecutionCommand, TOOL_CALL_EVENTS_MAX, ToolCall, Verdict,
};

use crate::support::{Client, TestApp, metadata, said};

/// How long a frame may take; generous, because the machine may be busy.
const FRAME_WAIT_MAX: Duration = Duration::from_mins(1);

/// One frame, field by field as it was sent.
#[derive(Debug, Clone, Default, PartialEq)]
struct Frame {
    id: Option<String>,
    event: Option<String>,
    data: Value,
    retry: Option<u64>,
}

struct Frames {
    bytes: BoxStream<'static, reqwest::Result<bytes::Bytes>>,
    read: bytes::BytesMut,
    /// How far `read` has been searched for the end of a frame.
    searched: usize,
}

impl Frames {
    async fn open(client: &Client, path: &str) -> Self {
        let response = client.request(Method::GET, path).send().await.unwrap();
        assert_eq!(response.status(), 200, "{path}");
        let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
        assert_eq!(header("content-type"), "text/event-stream");
        assert_eq!(header("cache-control"), "no-store, no-transform");
        assert_eq!(header("x-accel-buffering"), "no");
        let read = bytes::BytesMut::new();
        Self { bytes: response.bytes_stream().boxed(), read, searched: 0 }
    }

    /// The next frame, or none when the server has closed.
    async fn next(&mut self) -> Option<Frame> {
        loop {
            let unsearched = &self.read[self.searched..];
            if let Some(at) = unsearched.windows(2).position(|two| two == b"\n\n") {
                let frame = self.read.split_to(self.searched + at + 2);
                self.searched = 0;
                return Some(parse(std::str::from_utf8(&frame).unwrap().trim_end()));
            }
            self.searched = self.read.len().saturating_sub(1);
            let bytes = tokio::time::timeout(FRAME_WAIT_MAX, self.bytes.next()).await;
            let bytes = bytes.expect("no frame in time")?.ok()?;
            self.read.extend_from_slice(&bytes);
        }
    }

    /// The next frame of that event; what comes before is passed over, the end is not expected.
    async fn next_of(&mut self, event: &str) -> Frame {
        loop {
            let frame = self.next().await.unwrap_or_else(|| panic!("no {event} before the end"));
            if frame.event.as_deref() == Some(event) {
                return frame;
            }
        }
    }

    /// Every frame that carries an id, until one of that event.
    async fn until(&mut self, event: &str) -> Vec<Frame> {
        let mut frames = Vec::new();
        loop {
            let frame = self.next().await.unwrap_or_else(|| panic!("no {event} before the end"));
            if frame.event.as_deref() == Some(event) {
                frames.push(frame);
                return frames;
            }
            if frame.id.is_some() {
                frames.push(frame);
            }
        }
    }
}

fn parse(text: &str) -> Frame {
    let mut frame = Frame::default();
    for line in text.lines() {
        let (field, value) = line.split_once(':').unwrap();
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "id" => frame.id = Some(value.to_owned()),
            "event" => frame.event = Some(value.to_owned()),
            "data" => frame.data = serde_json::from_str(value).unwrap(),
            "retry" => frame.retry = Some(value.parse().unwrap()),
            other => panic!("unknown field {other}"),
        }
    }
    frame
}

fn positions(frames: &[Frame]) -> Vec<i64> {
    frames.iter().filter_map(|frame| frame.id.as_ref()?.parse().ok()).collect()
}

#[tokio::test]
async fn the_stream_begins_with_retry_and_ready_and_names_its_events() {
    let t = TestApp::start().await;
    let mut frames = Frames::open(&t.admin(), "/api/stream").await;
    let retry = frames.next().await.unwrap().retry.unwrap();
    assert!((1_000..=5_000).contains(&retry), "{retry}");
    let ready = frames.next().await.unwrap();
    assert_eq!((ready.event.as_deref(), &ready.id), (Some("stream.ready"), &None));
    assert_eq!(ready.data["log_id"], t.app.log.log_id().to_string());
    let life = t.running_agent("scout", 1).await;
    let id = t.submit(&t.admin(), &life.name, "one").await;
    t.complete(id, "done").await;
    let seen = frames.until("execution.completed").await;
    let names: Vec<_> = seen.iter().map(|frame| frame.event.clone().unwrap()).collect();
    for name in [
        "agent.created",
        "slots.capacity_set",
        "slots.agent_timeout_set",
        "agent.started",
        "slots.admission_resumed",
        "execution.requested",
        "slots.execution_enqueued",
        "slots.slot_acquired",
        "execution.started",
    ] {
        assert!(names.iter().any(|seen| seen == name), "no {name} in {names:?}");
    }
    let first: i64 = seen[0].id.as_ref().unwrap().parse().unwrap();
    let last = first + i64::try_from(seen.len()).unwrap();
    assert_eq!(positions(&seen), (first..last).collect::<Vec<_>>());
    let path = format!("/api/events/{first}");
    assert_eq!(t.admin().get(&path).await.expect(200)["event"], seen[0].data);
}

#[tokio::test]
async fn a_client_that_comes_back_misses_and_repeats_nothing_on_any_node() {
    let t = TestApp::start().await;
    let life = t.running_agent("scout", 2).await;
    let (second, _app) = t.second_node().await;
    let mut seen = Vec::new();
    for round in 0..4 {
        // As after a restart, or behind a balancer.
        let client = if round % 2 == 0 { t.admin() } else { second.clone() };
        let last = seen.last().map(i64::to_string);
        let resumed = match &last {
            Some(last) => client.with_header("last-event-id", last),
            None => client.clone(),
        };
        let mut frames = Frames::open(&resumed, "/api/stream?after=0").await;
        let id = t.submit(&t.admin(), &life.name, "work").await;
        t.complete(id, "done").await;
        loop {
            let found = frames.until("execution.completed").await;
            seen.extend(positions(&found));
            if found.last().unwrap().data["stream_id"] == id.to_string() {
                break;
            }
        }
    }
    let head = *seen.last().unwrap();
    assert_eq!(seen, (1..=head).collect::<Vec<_>>());
}

#[tokio::test]
async fn any_node_follows_and_ends_what_another_took() {
    let t = TestApp::start().await;
    let life = t.running_agent("scout", 1).await;
    let (second, _app) = t.second_node().await;
    let id = t.submit(&t.admin(), &life.name, "talk").await;
    let path = format!("/api/agents/scout/executions/{id}");
    let ended = second.post(&format!("{path}/terminate"), json!({})).await.expect(200);
    assert_eq!(ended["status"], "cancelling");
    let grant = t.report_started(id).await;
    let mut frames = Frames::open(&second, &format!("{path}/stream")).await;
    frames.next_of("stream.ready").await;
    t.write(id, &[&said("one")]).await;
    assert_eq!(frames.next_of("log").await.data["blocks"][0]["text"], "one");
    t.report_exit(grant, Verdict::Completed, "one").await;
    let end = frames.next_of("stream.end").await;
    assert_eq!(end.data, json!({"reason": "finished", "seq": 1}));
    let shown = second.get(&format!("{path}?min_position={}", t.app.log.head())).await;
    assert_eq!(shown.expect(200)["status"], "cancelled");
}

#[tokio::test]
async fn the_header_wins_over_the_parameter_and_neither_means_from_now_on() {
    let t = TestApp::start().await;
    t.create_agent("first").await;
    let head = t.app.log.head();
    let by_header = t.admin().with_header("last-event-id", &(head - 1).to_string());
    let mut frames = Frames::open(&by_header, "/api/stream?after=0").await;
    frames.next_of("stream.ready").await;
    assert_eq!(frames.next().await.unwrap().id, Some(head.to_string()));
    let mut live = Frames::open(&t.admin(), "/api/stream").await;
    live.next_of("stream.ready").await;
    t.create_agent("second").await;
    assert_eq!(live.next().await.unwrap().id, Some((head + 1).to_string()));
}

#[tokio::test]
async fn a_place_this_log_never_had_is_reset_and_the_stream_goes_on() {
    let t = TestApp::start().await;
    let head = t.app.log.head();
    for place in [(head + 1_000).to_string(), "nonsense".to_owned(), i64::MAX.to_string()] {
        let client = t.admin().with_header("last-event-id", &place);
        let mut frames = Frames::open(&client, "/api/stream").await;
        let reset = frames.next_of("stream.reset").await;
        assert_eq!((&reset.data["reason"], &reset.id), (&json!("unknown-position"), &None));
        let at = reset.data["position"].as_i64().unwrap();
        t.create_agent(&format!("a{}", t.app.log.head())).await;
        assert_eq!(frames.next().await.unwrap().id, Some((at + 1).to_string()));
    }
    t.admin().get("/api/stream?after=-1").await.problem(400, "invalid-parameter");
}

#[tokio::test]
async fn topics_and_agents_narrow_the_stream() {
    let t = TestApp::start().await;
    let life = t.running_agent("scout", 1).await;
    let other = t.running_agent("other", 1).await;
    t.grant(&life, &other).await;
    let id = t.submit(&t.admin(), &life.name, "one").await;
    t.complete(id, "done").await;
    let end = t.create_agent("end").await;
    t.submit(&t.admin(), &other.name, "last").await;
    let streams = async |query: &str, last: &str| {
        let path = format!("/api/stream?after=0&{query}");
        let frames = Frames::open(&t.admin(), &path).await.until(last).await;
        let name = |frame: &Frame| frame.event.clone().unwrap();
        frames.iter().map(name).collect::<Vec<_>>()
    };
    let permission = streams("topics=permission", "agent.permission_granted").await;
    assert_eq!(permission, ["agent.permission_granted"]);
    let execution = streams("topics=execution&agent=scout", "execution.completed").await;
    assert_eq!(execution, ["execution.requested", "execution.started", "execution.completed"]);
    let agent = streams("topics=agent&agent=end", "slots.agent_timeout_set").await;
    assert_eq!(agent, ["agent.created", "slots.capacity_set", "slots.agent_timeout_set"]);
    let activity = streams("topics=activity,permission", "execution.completed").await;
    assert_eq!(activity[0], "agent.permission_granted");
    assert!(activity[1..].iter().all(|name| name.starts_with("execution.")), "{activity:?}");
    assert!(t.agent(&end.name).await.life.is_some());
    for query in ["topics=weather", "topics=", "agent=Not%20one", "topic=agent"] {
        let answer = t.admin().get(&format!("/api/stream?{query}")).await;
        assert_eq!(answer.status, 400, "{query}: {}", answer.body);
    }
}

#[tokio::test]
async fn everyone_hears_of_their_own_agents_until_it_is_taken_from_them() {
    let t = TestApp::start().await;
    let ada = t.user("ada").await;
    let me = ada.get("/api/users/me").await.expect(200);
    let user = me["id"].as_str().unwrap().parse().unwrap();
    let mut frames = Frames::open(&ada, "/api/stream").await;
    frames.next_of("stream.ready").await;
    let secret = t.create_agent("secret").await;
    let shared = t.create_agent("shared").await;
    t.set(&shared, Setting::Share { user }).await;
    let first = frames.next().await.unwrap();
    assert_eq!(
        (first.event.as_deref(), &first.data["stream_id"]),
        (Some("agent.shared"), &json!("shared"))
    );
    let tags = Setting::SetTags { tags: ["seen".to_owned()].into() };
    t.set(&secret, tags.clone()).await;
    t.set(&shared, tags).await;
    let tagged = frames.next().await.unwrap();
    assert_eq!(
        (tagged.event.as_deref(), &tagged.data["stream_id"]),
        (Some("agent.tags_changed"), &json!("shared"))
    );
    t.set(&shared, Setting::Unshare { user }).await;
    let tags = Setting::SetTags { tags: ["unseen".to_owned()].into() };
    t.set(&shared, tags).await;
    t.create_agent_as(&ada, "own", json!({})).await;
    let next = frames.next().await.unwrap();
    assert_eq!(
        (next.event.as_deref(), &next.data["stream_id"]),
        (Some("agent.created"), &json!("own"))
    );
    // A user who is removed hears no more.
    t.admin().delete(&format!("/api/users/{}", me["id"].as_str().unwrap())).await;
    let end = frames.next_of("stream.end").await;
    assert_eq!(end.data["reason"], "not-authenticated");
    assert_eq!(frames.next().await, None);
}

#[tokio::test]
async fn a_shutdown_ends_the_streams() {
    let t = TestApp::start().await;
    let life = t.running_agent("scout", 1).await;
    let id = t.submit(&t.admin(), &life.name, "one").await;
    let execution = format!("/api/agents/scout/executions/{id}/stream");
    let mut streams = Vec::new();
    for path in ["/api/stream", execution.as_str()] {
        let mut frames = Frames::open(&t.admin(), path).await;
        frames.next_of("stream.ready").await;
        streams.push(frames);
    }
    t.app.shutdown.cancel();
    for mut frames in streams {
        assert_eq!(frames.next_of("stream.end").await.data["reason"], "shutdown");
        assert_eq!(frames.next().await, None);
    }
}

#[tokio::test]
async fn a_client_that_reads_too_slowly_is_sent_away_and_goes_on_where_it_was() {
    let t = TestApp::start().await;
    let life = t.running_agent("scout", 32).await;
    let mut frames = Frames::open(&t.admin(), "/api/stream").await;
    frames.next_of("stream.ready").await;
    let mut running = Vec::new();
    for _ in 0..3 {
        let id = t.submit(&t.admin(), &life.name, "work").await;
        t.report_started(id).await;
        running.push(id);
    }
    let mut seen = Vec::new();
    for _ in &running {
        seen.extend(frames.until("execution.started").await);
    }
    // What fits into the buffers of the connection is not lag yet: fill them with large events,
    // then let the log run away.
    for _ in 0..16 {
        t.submit(&t.admin(), &life.name, &"x".repeat(1 << 20)).await;
    }
    for id in running {
        call_tools(&t, id).await;
    }
    let rest = frames.until("stream.reset").await;
    assert_eq!(rest.last().unwrap().data["reason"], "too-slow");
    assert_eq!(frames.next().await, None);
    let mut all = positions(&seen);
    all.extend(positions(&rest));
    let last = *all.last().unwrap();
    assert!(last < t.app.log.head() - LAG_EVENTS_MAX);
    assert_eq!(all, (all[0]..=last).collect::<Vec<_>>());
    let back = t.admin().with_header("last-event-id", &last.to_string());
    let mut frames = Frames::open(&back, "/api/stream").await;
    frames.next_of("stream.ready").await;
    assert_eq!(frames.next().await.unwrap().id, Some((last + 1).to_string()));
}

/// Appends as many tool calls as an execution records: 4000 events.
async fn call_tools(t: &TestApp, id: trinity::domain::ExecutionId) {
    let at = trinity::clock::now();
    let call = |n: u32| {
        let (seq, tool_call_id) = (u64::from(n) * 2, format!("t{n}"));
        let started = ToolCall::Started {
            seq: seq - 1,
            tool_call_id: tool_call_id.clone(),
            name: "Read".into(),
            input_preview: "{}".into(),
            at,
        };
        [started, ToolCall::Finished { seq, tool_call_id, is_error: false, at }]
    };
    let calls = (1..=TOOL_CALL_EVENTS_MAX).flat_map(call).collect();
    let command = ExecutionCommand::RecordToolCalls { calls };
    let receipt = t.app.log.execute::<Execution>(id, command, metadata()).await.unwrap();
    assert_eq!(receipt.events.len(), 2 * TOOL_CALL_EVENTS_MAX as usize);
}

#[tokio::test]
async fn an_execution_is_replayed_then_live_then_ended() {
    let t = TestApp::start().await;
    let life = t.running_agent("scout", 1).await;
    let id = t.submit(&t.admin(), &life.name, "talk").await;
    let grant = t.report_started(id).await;
    t.write(id, &[&said("one"), &said("two")]).await;
    let path = format!("/api/agents/scout/executions/{id}/stream");
    let mut frames = Frames::open(&t.admin(), &path).await;
    let ready = frames.next_of("stream.ready").await;
    assert_eq!(ready.id, None);
    for (seq, text) in [(1, "one"), (2, "two")] {
        let line = frames.next_of("log").await;
        assert_eq!(line.id, Some(seq.to_string()));
        assert_eq!(
            (&line.data["seq"], &line.data["blocks"][0]["text"]),
            (&json!(seq), &json!(text))
        );
    }
    let running = frames.next_of("status").await;
    assert_eq!((&running.data["status"], &running.id), (&json!("running"), &None));
    t.write(id, &[&said("three")]).await;
    assert_eq!(frames.next_of("log").await.id, Some("3".into()));
    t.report_exit(grant, Verdict::Completed, "three").await;
    assert_eq!(frames.next_of("status").await.data["status"], "completed");
    let usage = frames.next_of("usage").await;
    assert_eq!((&usage.data["cost"], &usage.id), (&json!(0.021), &None));
    let end = frames.next().await.unwrap();
    assert_eq!((end.event.as_deref(), &end.data["seq"]), (Some("stream.end"), &json!(3)));
    assert_eq!(frames.next().await, None);
    let log = t.admin().get(&format!("/api/agents/scout/executions/{id}/log")).await.expect(200);
    let again = Frames::open(&t.admin(), &path).await.until("stream.end").await;
    let entries: Vec<_> = again.iter().filter(|f| f.id.is_some()).map(|f| f.data.clone()).collect();
    assert_eq!(log["entries"], json!(entries));
}

#[tokio::test]
async fn an_execution_stream_resumes_after_any_line() {
    let t = TestApp::start().await;
    let life = t.running_agent("scout", 1).await;
    let id = t.submit(&t.admin(), &life.name, "talk").await;
    t.write(id, &[&said("one"), &said("two"), &said("three")]).await;
    t.complete(id, "four").await;
    let path = format!("/api/agents/scout/executions/{id}/stream");
    let seqs = async |client: Client, query: &str| {
        let frames =
            Frames::open(&client, &format!("{path}{query}")).await.until("stream.end").await;
        positions(&frames)
    };
    assert_eq!(seqs(t.admin(), "?after=2").await, [3, 4]);
    let by_header = t.admin().with_header("last-event-id", "3");
    assert_eq!(seqs(by_header, "?after=0").await, [4]);
    assert_eq!(seqs(t.admin(), "?after=4").await, [0_i64; 0]);
    let beyond = t.admin().with_header("last-event-id", "99");
    let frames = Frames::open(&beyond, &path).await.until("stream.reset").await;
    assert_eq!(frames.last().unwrap().data["reason"], "unknown-position");
}
