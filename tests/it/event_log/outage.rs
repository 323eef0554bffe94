//! The database goes away, fills up, or answers into the void.

use std::pin::pin;
use std::process::Command;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use futures::StreamExt;
use sqlx::ConnectOptions;
use sqlx::postgres::PgConnectOptions;
use trinity::domain::account::Account;
use trinity::domain::{Metadata, Recorded, StreamId};
use trinity::event_log::{EventLog, ExecuteError, LogError};

use super::server::{Server, Wire};
use super::support::{
    TestDb, create_user, environment, make_user, metadata, postgres_url, touch, within,
};

const WRITERS: usize = 12;

/// Appends to its own stream until told to stop; answers with what was acknowledged.
async fn write_until(
    log: EventLog,
    name: String,
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicI64>,
) -> Vec<Arc<Recorded>> {
    let mut events = Vec::new();
    while !stop.load(Ordering::SeqCst) {
        let command = if events.is_empty() {
            create_user(&name)
        } else {
            trinity::domain::account::AccountCommand::RecordPasswordChanged
        };
        match log.execute::<Account>(&name, command, metadata()).await {
            Ok(receipt) => {
                acknowledged.fetch_add(1, Ordering::SeqCst);
                events.extend(receipt.events);
            }
            // Not acknowledged; `AlreadyExists` when it was committed all the same.
            Err(ExecuteError::Unavailable(_)) => tokio::task::yield_now().await,
            Err(ExecuteError::Refused(_)) => events.extend(
                log.stream(&StreamId::of::<Account>(&name), 0, 1).await.unwrap_or_default(),
            ),
            Err(error) => panic!("{error}"),
        }
    }
    events
}

#[tokio::test(flavor = "multi_thread")]
async fn killing_the_database_loses_nothing_acknowledged_and_the_feed_goes_on() {
    const CYCLES: usize = 2;
    let mut server = Server::start();
    let log = EventLog::open_postgres(&server.url()).await.unwrap();
    let (stop, acknowledged) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicI64::new(0)));
    let mut writers = Vec::new();
    for writer in 0..WRITERS {
        let name = format!("user-{writer}");
        let (stop, acknowledged) = (Arc::clone(&stop), Arc::clone(&acknowledged));
        writers.push(tokio::spawn(write_until(log.clone(), name, stop, acknowledged)));
    }
    let mut feed = Box::pin(log.subscribe(0));
    let follower = tokio::spawn(async move {
        let mut seen = Vec::new();
        while let Some(event) = feed.next().await {
            seen.push(event.unwrap());
            if seen.last().is_some_and(|event| event.stream.id == "last") {
                break;
            }
        }
        seen
    });
    for _ in 0..CYCLES {
        let goal = acknowledged.load(Ordering::SeqCst) + 200;
        within("the appends", async {
            while acknowledged.load(Ordering::SeqCst) < goal {
                tokio::task::yield_now().await;
            }
        })
        .await;
        tokio::task::block_in_place(|| server.kill());
        let away = log.execute::<Account>("away", create_user("away"), metadata()).await;
        assert!(matches!(away, Err(ExecuteError::Unavailable(_))), "{away:?}");
        tokio::task::block_in_place(|| server.run());
    }
    let recovered = acknowledged.load(Ordering::SeqCst) + 200;
    within("the recovery", async {
        while acknowledged.load(Ordering::SeqCst) < recovered {
            tokio::task::yield_now().await;
        }
    })
    .await;
    stop.store(true, Ordering::SeqCst);
    let mut acknowledged = Vec::new();
    for writer in writers {
        acknowledged.extend(within("the writer", writer).await.unwrap());
    }
    make_user(&log, "last").await;
    let seen = within("the feed", follower).await.unwrap();
    for (event, position) in seen.iter().zip(1..) {
        assert_eq!(event.position, position, "the feed has a gap or a repeat");
    }
    // The feed, the log and what was acknowledged agree.
    let head = usize::try_from(log.head()).unwrap();
    assert_eq!(seen.len(), head);
    drop(log);
    let log = EventLog::open_postgres(&server.url()).await.unwrap();
    assert_eq!(log.after(0, head + 1).await.unwrap(), seen);
    for event in acknowledged {
        assert_eq!(seen[usize::try_from(event.position - 1).unwrap()], event);
    }
}

/// The connection dies between the commit and its answer.
#[tokio::test(flavor = "multi_thread")]
async fn an_append_whose_answer_is_lost_is_found_and_not_repeated() {
    let url = super::support::create_database(&postgres_url()).await;
    let server = PgConnectOptions::from_str(&url).unwrap();
    let wire = Wire::to(server.get_port(), b"cut-here").await;
    let through = server.port(wire.port).to_url_lossy().to_string();
    let log = EventLog::open_postgres(&through).await.unwrap();
    make_user(&log, "ada").await;
    let marked = Metadata { actor: "cut-here".to_owned(), ..metadata() };
    let command = log.execute::<Account>("bob", create_user("bob"), marked);
    let receipt = within("the command", command).await.unwrap();
    assert!(wire.was_cut.load(Ordering::SeqCst), "the wire was never cut");
    assert_eq!((receipt.position, receipt.version), (2, 1));
    let events = log.after(0, 10).await.unwrap();
    assert_eq!(events.len(), 2, "appended twice");
    assert_eq!(events[1], receipt.events[0]);
    assert_eq!(touch(&log, "bob").await.version, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_not_there_is_a_clear_error_at_the_start() {
    let error = EventLog::open_postgres("postgres://postgres@127.0.0.1:1/none").await.unwrap_err();
    assert!(error.to_string().contains("check the database URL"), "{error}");
    let error = EventLog::open_postgres("not a url").await.unwrap_err();
    assert!(error.to_string().contains("check the database URL"), "{error}");
    let folder = tempfile::TempDir::new().unwrap();
    let error = EventLog::open_sqlite(folder.path()).await.unwrap_err();
    assert!(error.to_string().contains("cannot open the event log"), "{error}");
    let text = folder.path().join("text");
    std::fs::write(
        &text,
        "a letter to a friend, longer than the header of a database file is, \
        so that nobody takes it for an empty one",
    )
    .unwrap();
    let error = EventLog::open_sqlite(&text).await.unwrap_err();
    assert!(error.to_string().contains("cannot open the event log"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_log_finishes_what_it_has_and_takes_no_more() {
    let db = TestDb::new().await;
    let log = db.open().await;
    let commands = (0..50).map(|user| {
        let log = log.clone();
        tokio::spawn(async move {
            let name = format!("user-{user}");
            log.execute::<Account>(&name, create_user(&name), metadata()).await.is_ok()
        })
    });
    let commands: Vec<_> = commands.collect();
    log.close().await;
    let late = log.execute::<Account>("late", create_user("late"), metadata()).await;
    assert!(matches!(late, Err(ExecuteError::Unavailable(_))));
    let mut acknowledged = 0;
    for command in commands {
        acknowledged += i64::from(within("the command", command).await.unwrap());
    }
    assert_eq!(db.integers("SELECT count(*) FROM events").await, [acknowledged]);
    assert_eq!(log.after(0, 100).await.unwrap().len(), usize::try_from(acknowledged).unwrap());
}

/// Tells the process below where its small disk is.
const SMALL_DISK: &str = "TRINITY_TEST_SMALL_DISK";

/// Not a test but the process that fills a disk of its own.
#[test]
#[ignore = "runs as a process of its own, with a small disk mounted for it by another test"]
fn disk_filler() {
    let Some(folder) = environment(SMALL_DISK) else { return };
    let folder = std::path::PathBuf::from(folder);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let ballast = folder.join("ballast");
        std::fs::write(&ballast, vec![0; 1 << 20]).unwrap();
        let log = EventLog::open_sqlite(&folder.join("log.db")).await.unwrap();
        make_user(&log, "ada").await;
        let mut acknowledged = 1;
        let full = loop {
            let command = trinity::domain::account::AccountCommand::RecordPasswordChanged;
            match log.execute::<Account>("ada", command, metadata()).await {
                Ok(_) => acknowledged += 1,
                Err(error) => break error,
            }
        };
        assert!(matches!(full, ExecuteError::Unavailable(_)), "{full:?}");
        assert!(full.to_string().contains("disk"), "{full}");
        assert!(acknowledged > 100);
        // Reading still works, and shows all that was acknowledged.
        assert_eq!(log.state::<Account>("ada").await.unwrap().version, acknowledged);
        std::fs::remove_file(ballast).unwrap();
        assert_eq!(touch(&log, "ada").await.version, acknowledged + 1);
        drop(log);
        let log = EventLog::open_sqlite(&folder.join("log.db")).await.unwrap();
        assert_eq!(log.head(), acknowledged + 1);
        let mut feed = pin!(log.subscribe(0));
        for position in 1..=acknowledged + 1 {
            assert_eq!(feed.next().await.unwrap().unwrap().position, position);
        }
    });
}

#[test]
fn a_full_disk_refuses_and_loses_nothing_and_recovers() {
    let folder = tempfile::TempDir::new().unwrap();
    let mut filler = Command::new("unshare");
    // A mount namespace is root's; others get one inside a user namespace of their own.
    filler.arg(if nix::unistd::geteuid().is_root() { "--mount" } else { "-Urm" });
    let script = "mount -t tmpfs -o size=3m none \"$1\" && exec \"$2\" \
         event_log::outage::disk_filler --exact --ignored --nocapture";
    filler.args(["sh", "-c", script, "sh"]);
    filler.arg(folder.path()).arg(std::env::current_exe().unwrap());
    let output = filler.env(SMALL_DISK, folder.path()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_of_a_database_that_went_away_are_unavailable() {
    let mut server = Server::start();
    let log = EventLog::open_postgres(&server.url()).await.unwrap();
    make_user(&log, "ada").await;
    tokio::task::block_in_place(|| server.kill());
    let result = within("the answer", log.state::<Account>("bob")).await;
    assert!(matches!(result, Err(LogError::Unavailable(_))), "{result:?}");
    tokio::task::block_in_place(|| server.run());
    assert_eq!(log.state::<Account>("ada").await.unwrap().version, 1);
}
