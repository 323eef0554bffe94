//! What the check says where there is nothing to prove, or somebody writes meanwhile.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;
use trinity::audit::{Invariant, OpenError, Options, Source, verify};
use trinity::clock;

use super::fleet::Fleet;
use super::{assert_clean, audit, history, source};
use crate::event_log::support::{Engine, TestDb, within};

/// A server that is not there.
const NOBODY: &str = "postgres://nobody@127.0.0.1:1/nothing";

/// What the executable answers.
struct Answer {
    code: i32,
    stdout: String,
    stderr: String,
}

/// Runs `trinity audit verify` with an environment of its own.
fn run(arguments: &[&str]) -> Answer {
    answer(Command::new(env!("CARGO_BIN_EXE_trinity")).args(["audit", "verify"]).args(arguments))
}

fn answer(command: &mut Command) -> Answer {
    let home = tempfile::tempdir().unwrap();
    let output = command.env_clear().env("HOME", home.path()).output().unwrap();
    Answer {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
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
    let clean = run(&[&flag, &value]);
    assert_eq!((clean.code, clean.stderr.as_str()), (0, ""), "{}", clean.stdout);
    let report: Value = serde_json::from_str(&clean.stdout).expect("no terminal, so JSON");
    assert_eq!(report["is_clean"], true);
    assert_eq!(report["checks"].as_array().unwrap().len(), Invariant::ALL.len());
    assert_eq!(run(&[&flag, &value, "--json"]).stdout, clean.stdout);
    let text = run(&[&flag, &value, "--text"]);
    assert_eq!(text.code, 0);
    assert!(text.stdout.starts_with("INVARIANT "), "{}", text.stdout);
    assert!(text.stdout.contains("\nclean: "), "{}", text.stdout);

    db.run("UPDATE events SET event_type = 'Nothing' WHERE position = 3").await;
    let violated = run(&[&flag, &value, "--text"]);
    assert_eq!((violated.code, violated.stderr.as_str()), (1, ""), "{}", violated.stdout);
    assert!(violated.stdout.contains("\nviolated readable: "), "{}", violated.stdout);
    assert!(violated.stdout.contains("\n  first at position 3, account:"), "{}", violated.stdout);
    let told = run(&[&flag, &value]);
    assert_eq!(told.code, 1);
    let report: Value = serde_json::from_str(&told.stdout).unwrap();
    assert_eq!(report["is_clean"], false);
    assert_eq!(report["checks"][0]["first"]["position"], 3);
}

#[test]
fn a_log_that_cannot_be_checked_has_the_exit_codes_of_every_command() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let file = folder.path().join("log.db");
    let cases: [(Option<&str>, [&str; 2], i32); 5] = [
        (None, ["--data-dir", path], 4),
        (Some("this is no database, however long it may be"), ["--data-dir", path], 1),
        (Some(""), ["--data-dir", path], 1),
        (None, ["--database-url", NOBODY], 8),
        (None, ["--database-url", "no url"], 2),
    ];
    for (content, arguments, code) in cases {
        let _ = content.map(|content| std::fs::write(&file, content).unwrap());
        let answer = run(&arguments);
        assert_eq!((answer.code, answer.stdout.as_str()), (code, ""), "{arguments:?}");
        assert!(answer.stderr.starts_with("error: "), "{}", answer.stderr);
    }
    std::fs::write(folder.path().join("config.toml"), "grace_mss = 1\n").unwrap();
    let answer = run(&["--data-dir", path]);
    assert_eq!(answer.code, 2, "{}", answer.stderr);
    assert!(answer.stderr.contains("grace_mss"), "{}", answer.stderr);
}

#[tokio::test]
async fn the_database_wins_over_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let missing = verify(&Source::Sqlite(folder.path().join("log.db")), Options::default()).await;
    assert!(matches!(missing, Err(OpenError::Missing(_))), "{missing:?}");
    let db = TestDb::new().await;
    db.open().await.close().await;
    if db.engine == Engine::Postgres {
        assert_eq!(run(&["--data-dir", path, "--database-url", db.url()]).code, 0);
        let settings = format!("database_url = '{}'", db.url());
        std::fs::write(folder.path().join("config.toml"), settings).unwrap();
        assert_eq!(run(&["--data-dir", path]).code, 0, "the folder's server has its log there");
    } else {
        let [flag, value] = arguments(&db);
        assert_eq!(run(&[&flag, &value]).code, 0);
        assert_eq!(run(&[&flag, &value, "--database-url", NOBODY]).code, 8);
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

/// A user who may write nowhere.
const NOBODY_ID: u32 = 65_534;

#[tokio::test]
async fn a_log_in_a_folder_that_may_not_be_written_is_checked() {
    let db = TestDb::on(Engine::Sqlite).await;
    let fleet = Fleet { log: db.open().await, now: clock::now() };
    fleet.running("scout", 2).await;
    fleet.log.close().await;
    let folder = tempfile::tempdir().unwrap();
    let (copy, program) = (folder.path().join("log.db"), folder.path().join("trinity"));
    db.run(&format!("VACUUM INTO '{}'", copy.display())).await;
    rusqlite::Connection::open(&copy).unwrap().pragma_update(None, "journal_mode", "WAL").unwrap();
    std::fs::copy(env!("CARGO_BIN_EXE_trinity"), &program).unwrap();
    let mode = |path: &Path, mode| {
        std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    };
    mode(&copy, 0o444);
    mode(folder.path(), 0o555);
    let mut command = Command::new(&program);
    command.args(["audit", "verify", "--text", "--data-dir"]).arg(folder.path());
    if nix::unistd::geteuid().is_root() {
        command.uid(NOBODY_ID).gid(NOBODY_ID);
    }
    let answer = answer(&mut command);
    assert_eq!(answer.code, 0, "{}{}", answer.stdout, answer.stderr);
    assert!(answer.stdout.contains("\nclean: 7 events"), "{}", answer.stdout);
    mode(&copy, 0o000);
    let answer = self::answer(&mut command);
    assert_eq!((answer.code, answer.stdout.as_str()), (3, ""), "{}", answer.stderr);
    assert!(answer.stderr.contains("\nhint: run as the server's user"), "{}", answer.stderr);
    mode(folder.path(), 0o755);
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
