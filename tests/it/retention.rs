//! Transcripts that are older than is wanted: removed, on record, and never shown as empty ones.

use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection};
use trinity::clock;
use trinity::commands::Cause;
use trinity::domain::ExecutionId;
use trinity::domain::execution::{Execution, ExecutionCommand};
use trinity::reactors::remove_old_transcripts;

use crate::server::{Server, until};
use crate::support::TestApp;

const DAYS: u32 = 30;

fn in_days(days: i64) -> chrono::DateTime<Utc> {
    clock::now() + TimeDelta::days(days)
}

async fn events(t: &TestApp, id: ExecutionId) -> Vec<Value> {
    let path = format!("/api/events?stream=execution:{id}&type=TranscriptRemoved");
    let events = t.admin().get(&path).await.expect(200);
    events["items"].as_array().unwrap().clone()
}

#[tokio::test]
async fn an_old_transcript_is_removed_and_the_removal_is_on_record() {
    let t = TestApp::start().await;
    let life = t.running_agent("scout", 2).await;
    let id = t.submit(&t.admin(), &life.name, "work").await;
    t.complete(id, "done").await;
    let log = format!("/api/agents/scout/executions/{id}/log");
    let reactors = t.app.reactors(([127, 0, 0, 1], 8000).into());
    assert_eq!(remove_old_transcripts(&reactors, DAYS, in_days(29)).await.unwrap(), 0);
    assert_eq!(t.admin().get(&log).await.expect(200)["total"], 1);

    assert_eq!(remove_old_transcripts(&reactors, DAYS, in_days(31)).await.unwrap(), 1);
    let recorded = events(&t, id).await;
    assert_eq!(recorded.len(), 1);
    let data = &recorded[0]["data"];
    assert_eq!((&data["lines"], &data["retention_days"]), (&json!(1), &json!(DAYS)));
    assert!(data["bytes"].as_u64().unwrap() > 0, "{data}");
    let gone = t.admin().get(&log).await.problem(410, "transcript-removed");
    let detail = gone["detail"].as_str().unwrap();
    assert!(detail.contains("removed at") && detail.contains("TranscriptRemoved"), "{detail}");
    for tail in ["?after=0", "?q=done"] {
        t.admin().get(&format!("{log}{tail}")).await.problem(410, "transcript-removed");
    }
    let stream = format!("/api/agents/scout/executions/{id}/stream");
    t.admin().get(&stream).await.problem(410, "transcript-removed");
    let row = t.admin().get(&format!("/api/executions/{id}")).await.expect(200);
    assert!(row["transcript_removed_at"].is_string(), "{row}");
    assert_eq!(row["response"], "done", "the record stays");

    assert_eq!(remove_old_transcripts(&reactors, DAYS, in_days(32)).await.unwrap(), 0);
    assert_eq!(events(&t, id).await.len(), 1);
}

#[tokio::test]
async fn the_transcript_of_an_execution_that_goes_on_is_kept() {
    let t = TestApp::start().await;
    let life = t.running_agent("scout", 2).await;
    let id = t.submit(&t.admin(), &life.name, "work").await;
    t.report_started(id).await;
    t.write(id, &["a line"]).await;
    let reactors = t.app.reactors(([127, 0, 0, 1], 8000).into());
    assert_eq!(remove_old_transcripts(&reactors, DAYS, in_days(400)).await.unwrap(), 0);
    let log = format!("/api/agents/scout/executions/{id}/log");
    assert_eq!(t.admin().get(&log).await.expect(200)["total"], 1);
    let empty = t.submit(&t.admin(), &life.name, "nothing yet").await;
    let log = format!("/api/agents/scout/executions/{empty}/log");
    assert_eq!(t.admin().get(&log).await.expect(200)["entries"], json!([]));
}

#[tokio::test]
async fn a_removal_that_was_only_recorded_is_done_later_and_recorded_once() {
    let t = TestApp::start().await;
    let life = t.running_agent("scout", 2).await;
    let id = t.submit(&t.admin(), &life.name, "work").await;
    t.complete(id, "done").await;
    let first = t.app.log.event(1).await.unwrap().unwrap();
    let (lines, bytes, at) = (1, 1, clock::now());
    let record =
        ExecutionCommand::RecordTranscriptRemoved { lines, bytes, retention_days: DAYS, at };
    let metadata = Cause::of(&first).metadata();
    t.app.log.execute::<Execution>(id, record, metadata).await.unwrap();
    let reactors = t.app.reactors(([127, 0, 0, 1], 8000).into());
    assert_eq!(remove_old_transcripts(&reactors, DAYS, in_days(31)).await.unwrap(), 1);
    assert_eq!(t.app.state.transcripts.last_seq(id).await.unwrap(), 0);
    assert_eq!(events(&t, id).await.len(), 1);
}

/// Lets the last line of a transcript have been written so many days earlier.
async fn make_older(server: &Server, id: &str, days: i64) {
    let micros = TimeDelta::days(days).num_microseconds().unwrap();
    let update = "UPDATE transcripts SET last_at = last_at - $1 WHERE execution_id = $2";
    let changed = if let Some(url) = &server.database_url {
        let mut connection = PgConnection::connect(url).await.unwrap();
        let update = sqlx::query(update).bind(micros).bind(id);
        update.execute(&mut connection).await.unwrap().rows_affected()
    } else {
        let connection = rusqlite::Connection::open(server.data_dir.join("transcripts.db"));
        connection.unwrap().execute(update, (micros, id)).unwrap() as u64
    };
    assert_eq!(changed, 1);
}

#[tokio::test]
async fn a_server_removes_by_itself_what_is_older_than_it_was_told_to_keep() {
    let mut server = Server::start().await;
    server.agent("scout").await;
    let mut ids = Vec::new();
    for word in ["old", "recent"] {
        let run = server.script_ends("scout", &[&format!("say {word}")]).await;
        ids.push(run["id"].as_str().unwrap().to_owned());
    }
    server.kill().await;
    make_older(&server, &ids[0], 40).await;
    server.start_again().await;
    let log = |id: &str| format!("/api/agents/scout/executions/{id}/log");
    let total = async |id: &str| server.get(&log(id)).await.expect(200)["total"].clone();
    let lines = total(&ids[0]).await;
    assert!(lines.as_u64().unwrap() > 0, "nobody said that it may go");

    server.kill().await;
    server.start_again_with(&[("TRINITY_TRANSCRIPT_RETENTION_DAYS", "30")]).await;
    let removed = until("the old one is gone", async || {
        let path = "/api/events?type=TranscriptRemoved";
        server.get(path).await.expect(200)["items"].get(0).cloned()
    })
    .await;
    assert_eq!(removed["stream_id"], ids[0].as_str(), "{removed}");
    let data = &removed["data"];
    assert_eq!((&data["lines"], &data["retention_days"]), (&lines, &json!(30)), "{removed}");
    until("its lines are gone too", async || {
        (server.get(&log(&ids[0])).await.status == 410).then_some(())
    })
    .await;
    assert!(server.get(&log(&ids[1])).await.expect(200)["total"].as_u64().unwrap() > 0);
    server.audit().await;
}
