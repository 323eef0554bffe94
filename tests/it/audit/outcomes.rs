//! What the check says where there is nothing to prove, or somebody writes meanwhile.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Parser;
use trinity::audit::{self, Invariant, OpenError, Options, Source, verify};
use trinity::clock;

use super::fleet::Fleet;
use super::{assert_clean, audit, history, source};
use crate::event_log::support::{Engine, TestDb, within};

/// The command line around the arguments, as the program has it.
#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    audit: audit::Args,
}

async fn run(arguments: &[&str]) -> ExitCode {
    let line = ["audit", "verify"].iter().chain(arguments);
    audit::run(Cli::try_parse_from(line).unwrap().audit).await
}

/// The arguments that name the log of a test.
fn arguments(db: &TestDb) -> [String; 2] {
    match db.engine {
        Engine::Sqlite => {
            let folder = db.path().parent().unwrap().to_owned();
            ["--data-dir".into(), folder.to_str().unwrap().into()]
        }
        Engine::Postgres => ["--database-url".into(), db.url().into()],
    }
}

#[tokio::test]
async fn the_exit_code_is_0_for_a_clean_log_and_1_for_a_violated_one() {
    let db = history::build().await;
    let [flag, value] = arguments(&db);
    assert_eq!(run(&[&flag, &value]).await, ExitCode::SUCCESS);
    assert_eq!(run(&[&flag, &value, "--json"]).await, ExitCode::SUCCESS);
    db.run("UPDATE events SET event_type = 'Nothing' WHERE position = 3").await;
    assert_eq!(run(&[&flag, &value]).await, ExitCode::from(1));
    assert_eq!(run(&[&flag, &value, "--json"]).await, ExitCode::from(1));
}

#[tokio::test]
async fn the_exit_code_is_2_for_a_log_that_cannot_be_opened() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    assert_eq!(run(&["--data-dir", path]).await, ExitCode::from(2));
    std::fs::write(folder.path().join("log.db"), "this is no database").unwrap();
    assert_eq!(run(&["--data-dir", path]).await, ExitCode::from(2));
    std::fs::write(folder.path().join("log.db"), "").unwrap();
    assert_eq!(run(&["--data-dir", path]).await, ExitCode::from(2));
    let nobody = "postgres://nobody@127.0.0.1:1/nothing";
    assert_eq!(run(&["--database-url", nobody]).await, ExitCode::from(2));
    assert_eq!(run(&["--database-url", "no url"]).await, ExitCode::from(2));
}

#[tokio::test]
async fn the_database_wins_over_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let missing = verify(&Source::Sqlite(folder.path().join("log.db")), Options::default()).await;
    assert!(matches!(missing, Err(OpenError::Missing(_))), "{missing:?}");
    let nobody = "postgres://nobody@127.0.0.1:1/nothing";
    let db = TestDb::new().await;
    db.open().await.close().await;
    if db.engine == Engine::Postgres {
        let both = ["--data-dir", path, "--database-url", db.url()];
        assert_eq!(run(&both).await, ExitCode::SUCCESS);
    } else {
        let [flag, value] = arguments(&db);
        assert_eq!(run(&[&flag, &value]).await, ExitCode::SUCCESS);
        let both = [&flag, value.as_str(), "--database-url", nobody];
        assert_eq!(run(&both).await, ExitCode::from(2));
    }
}

#[tokio::test]
async fn an_empty_log_is_clean() {
    let db = TestDb::new().await;
    db.open().await.close().await;
    let report = audit(&db).await;
    assert_clean(&report);
    assert_eq!((report.events, report.position), (0, 0));
}

#[tokio::test]
async fn a_log_is_checked_beside_its_writer() {
    let db = TestDb::new().await;
    let fleet = Fleet { log: db.open().await, now: clock::now() };
    let life = fleet.running("scout", 2).await;
    let done = Arc::new(AtomicBool::new(false));
    let writer = tokio::spawn({
        let done = Arc::clone(&done);
        async move {
            let mut fleet = fleet;
            while !done.load(Ordering::Relaxed) {
                fleet.now = clock::now();
                let id = fleet.task(&life).await;
                fleet.dispatch(id).await;
                fleet.tools(id, 1).await;
                fleet.complete(id).await;
            }
            fleet.log.head()
        }
    });
    let growing = async {
        let mut positions = Vec::new();
        while positions.len() < 5 {
            let report = audit(&db).await;
            assert_clean(&report);
            if positions.last() != Some(&report.position) {
                positions.push(report.position);
            }
        }
        positions
    };
    let positions = within("five looks at a growing log", growing).await;
    done.store(true, Ordering::Relaxed);
    assert!(writer.await.unwrap() >= positions[4]);
}

#[tokio::test]
async fn checking_changes_nothing() {
    let db = history::build().await;
    let sum = "SELECT CAST(sum(position * length(CAST(payload AS text))) AS bigint) FROM events";
    let before = db.integers(sum).await;
    assert_clean(&audit(&db).await);
    assert_eq!(db.integers(sum).await, before);
}

#[tokio::test]
async fn a_report_names_no_password() {
    let db = TestDb::new().await;
    db.open().await.close().await;
    let secret = match db.engine {
        Engine::Sqlite => source(&db),
        // The private server asks for no password, so any will do.
        Engine::Postgres => Source::Postgres(db.url().replacen('@', ":hushhush@", 1)),
    };
    let report = verify(&secret, Options::default()).await.unwrap();
    let json = serde_json::to_string(&report).unwrap();
    assert!(!json.contains("hushhush"), "{json}");
}

#[tokio::test]
async fn bytes_that_are_no_text_and_no_json_are_violations() {
    let db = TestDb::on(Engine::Sqlite).await;
    let fleet = Fleet { log: db.open().await, now: clock::now() };
    fleet.running("scout", 2).await;
    fleet.log.close().await;
    drop(fleet);
    for (column, spoilt) in [
        ("payload", "'{\"CapacitySet\"'"),
        ("payload", "CAST(x'ff' AS text)"),
        ("event_type", "CAST(x'ff' AS text)"),
    ] {
        let kept = "CREATE TABLE kept AS SELECT * FROM events WHERE position = 2;";
        db.run(&format!("{kept} UPDATE events SET {column} = {spoilt} WHERE position = 2")).await;
        let report = audit(&db).await;
        let first = report.check(Invariant::Readable).unwrap().first.clone().unwrap();
        assert_eq!(first.position, 2, "{spoilt}");
        db.run("REPLACE INTO events SELECT * FROM kept; DROP TABLE kept;").await;
    }
    // The head agrees; only the number of rows does not.
    db.run("UPDATE events SET position = NULL WHERE position = 7").await;
    db.run("UPDATE event_log_head SET position = 6").await;
    let report = audit(&db).await;
    assert!(report.check(Invariant::Order).unwrap().violations > 0);
}
