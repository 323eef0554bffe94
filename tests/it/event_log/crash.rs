//! kill -9 in the middle of batches: what was acknowledged is there, and nothing is half there.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use trinity::domain::slots::{Slots, SlotsCommand, SlotsError};
use trinity::event_log::{EventLog, Plan};

use super::support::{Engine, TestDb, environment, metadata, within};

/// Tells the writer process where the log is: a path, or a URL.
const WRITER_LOG: &str = "TRINITY_TEST_WRITER_LOG";
const WRITERS: usize = 16;
const CYCLES: usize = 8;
/// Acknowledgements of one life of the writer process before it is killed.
const ACKNOWLEDGED_MIN: usize = 150;
/// Events of one append: two streams, so that a torn one would show.
const APPEND_EVENTS: usize = 3;

/// Not a test but the process that the tests below kill.
#[test]
#[ignore = "runs as a process of its own, started and killed by another test"]
fn writer_process() {
    let Some(place) = environment(WRITER_LOG) else { return };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let log = if place.starts_with("postgres") {
            EventLog::open_postgres(&place).await.unwrap()
        } else {
            EventLog::open_sqlite(place.as_ref()).await.unwrap()
        };
        let life = uuid::Uuid::new_v4().simple().to_string();
        let writers = (0..WRITERS).map(|writer| {
            let (log, name) = (log.clone(), format!("{life}-{writer}"));
            tokio::spawn(async move { append_for_ever(&log, &name).await })
        });
        futures::future::join_all(writers).await;
    });
}

async fn append_for_ever(log: &EventLog, name: &str) {
    let mut seconds = 10;
    loop {
        seconds = if seconds == 10 { 11 } else { 10 };
        let plan =
            Plan::new().stream::<Slots>(format!("{name}-a")).stream::<Slots>(format!("{name}-b"));
        let own = name.to_owned();
        let ((), receipt) = log
            .transact(plan, metadata(), move |decision| {
                let set = |seconds| SlotsCommand::SetTimeout { seconds };
                decision.decide::<Slots>(format!("{own}-a"), set(seconds))?;
                decision.decide::<Slots>(format!("{own}-a"), set(seconds + 2))?;
                decision.decide::<Slots>(format!("{own}-b"), set(seconds))?;
                Ok::<_, SlotsError>(())
            })
            .await
            .unwrap();
        let first = &receipt.events[0];
        // One write of one line: the pipe takes it whole, also from a process about to die.
        let line = format!("ack {} {} {}\n", first.position, first.version, first.event_id);
        std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
    }
}

/// Lets a process write, kills it, and answers with what it had acknowledged.
fn acknowledged_before_kill(db: &TestDb) -> Vec<(i64, i64, String)> {
    let place = match db.engine {
        Engine::Sqlite => db.path().to_str().unwrap().to_owned(),
        Engine::Postgres => db.url().to_owned(),
    };
    let mut writer = Command::new(std::env::current_exe().unwrap())
        .args(["event_log::crash::writer_process", "--exact", "--ignored", "--nocapture"])
        .env(WRITER_LOG, place)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(writer.stdout.take().unwrap()).lines();
    let mut acknowledged = Vec::new();
    // Also what is still in the pipe after the kill: it was said.
    for line in lines.map_while(Result::ok) {
        let Some(words) = line.strip_prefix("ack ") else { continue };
        let words: Vec<&str> = words.split(' ').collect();
        let [position, version, event_id] = words[..] else { continue };
        acknowledged.push((
            position.parse().unwrap(),
            version.parse().unwrap(),
            event_id.to_owned(),
        ));
        if acknowledged.len() == ACKNOWLEDGED_MIN {
            writer.kill().unwrap();
        }
    }
    writer.wait().unwrap();
    assert!(acknowledged.len() >= ACKNOWLEDGED_MIN, "the writer ended by itself");
    acknowledged
}

#[tokio::test(flavor = "multi_thread")]
async fn killing_the_writer_loses_nothing_acknowledged_and_tears_nothing() {
    let db = TestDb::new().await;
    let mut acknowledged = Vec::new();
    for _ in 0..CYCLES {
        acknowledged.extend(tokio::task::block_in_place(|| acknowledged_before_kill(&db)));
        let log = db.open().await;
        db.assert_dense().await;
        let events = within("the replay", all(&log)).await;
        assert_eq!(events.len() % APPEND_EVENTS, 0, "an append was torn");
        for append in events.chunks(APPEND_EVENTS) {
            let commands: Vec<_> = append.iter().map(|event| &event.metadata.command_id).collect();
            assert!(commands.iter().all(|command| *command == commands[0]), "an append was torn");
        }
        for (position, version, event_id) in &acknowledged {
            let event = &events[usize::try_from(position - 1).unwrap()];
            assert_eq!((event.version, event.event_id.to_string()), (*version, event_id.clone()));
        }
    }
    assert!(acknowledged.len() >= CYCLES * ACKNOWLEDGED_MIN);
}

async fn all(log: &EventLog) -> Vec<std::sync::Arc<trinity::domain::Recorded>> {
    let mut events = Vec::new();
    loop {
        let after = i64::try_from(events.len()).unwrap();
        let page = log.after(after, 1_000).await.unwrap();
        if page.is_empty() {
            return events;
        }
        events.extend(page);
    }
}
