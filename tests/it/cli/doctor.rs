//! `trinity doctor`, with and without a server.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tokio::process::Command;
use trinity::db::Statement;
use trinity::event_log::EventLog;
use trinity::state::State;

use super::rebuild::tables;
use super::support::{User, finish};
use crate::server::{Server, beside};

/// The check of this name.
#[track_caller]
fn check<'r>(report: &'r Value, name: &str) -> &'r Value {
    let checks = report["checks"].as_array().unwrap();
    let found = checks.iter().find(|check| check["name"] == name);
    found.unwrap_or_else(|| panic!("no check {name}: {report}"))
}

/// A port that was free a moment ago.
fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

#[tokio::test]
async fn a_fresh_machine_may_begin_and_is_told_how() {
    let user = User::new().with("TRINITY_LISTEN", free_address());
    let report = user.run(&["doctor", "--json"]).await.exits(0).json();
    assert_eq!(report["status"], "warn");
    assert_eq!(report["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(check(&report, "data directory")["hint"], "trinity serve");
    assert_eq!(check(&report, "event log")["status"], "warn");
    assert_eq!(check(&report, "port")["status"], "ok");
    assert!(!user.path(".local/share/trinity").exists(), "looking changes nothing");
}

#[tokio::test]
async fn a_running_server_its_store_and_its_isolation_are_looked_at() {
    let server = Server::start().await;
    server.agent("scout").await;
    let user = User::of(&server);
    let store = server.store_arguments();
    let words = ["doctor", "--json"].into_iter().chain(store.iter().map(String::as_str));
    let report = user.run(&words.collect::<Vec<_>>()).await.exits(0).json();
    let store_checks = ["event log", "clock", "state", "transcripts", "read models"];
    for name in ["settings", "data directory", "disk space", "server"].iter().chain(&store_checks) {
        assert_eq!(check(&report, name)["status"], "ok", "{report}");
    }
    let log = check(&report, "event log")["detail"].as_str().unwrap();
    let engine = if server.database_url.is_some() { "Postgres" } else { "SQLite" };
    assert!(log.contains(engine) && log.contains("ends at position"), "{log}");
    let views = check(&report, "read models")["detail"].as_str().unwrap();
    assert!(views.contains("they have got to position"), "{views}");
    assert!(check(&report, "server")["detail"].as_str().unwrap().contains(&server.url));
    assert!(check(&report, "fsync")["detail"].as_str().unwrap().contains(" ms"));
    let kind = server.get("/api/health").await.expect(200)["isolation"]["kind"].clone();
    let isolation = check(&report, "isolation")["detail"].as_str().unwrap();
    assert!(isolation.to_lowercase().starts_with(kind.as_str().unwrap()), "{isolation}");

    let table = user.run(&["doctor", "--text"]).await;
    assert!(table.stdout.contains("WHAT WAS FOUND") && table.stdout.contains("isolation"));
    // It left nothing behind, and the server goes on.
    let left = std::fs::read_dir(&server.data_dir).unwrap().flatten();
    assert!(left.into_iter().all(|entry| !entry.file_name().to_string_lossy().contains("doctor")));
    server.audit().await;
}

#[tokio::test]
async fn what_hinders_a_start_is_a_failure_with_the_next_step() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let user = User::new().with("TRINITY_LISTEN", &address);
    let report = user.run(&["doctor", "--json"]).await.exits(1).json();
    let port = check(&report, "port");
    assert_eq!((&report["status"], &port["status"]), (&"fail".into(), &"fail".into()));
    assert!(port["hint"].as_str().unwrap().contains("--listen"));

    let user = User::new().with("TRINITY_LISTEN", free_address());
    let url = format!("postgres://nobody:hunter2@{}/none", free_address());
    let done = user.run(&["doctor", "--json", "--database-url", &url]).await.exits(1);
    assert!(!done.stdout.contains("hunter2") && !done.stderr.contains("hunter2"));
    let report = done.json();
    assert_eq!(check(&report, "event log")["status"], "fail");
    assert!(check(&report, "event log")["hint"].as_str().unwrap().contains("--database-url"));

    std::fs::create_dir_all(user.path("data")).unwrap();
    std::fs::write(user.path("data/config.toml"), "grace_mss = 1\n").unwrap();
    let data = user.path("data").display().to_string();
    let report = user.run(&["doctor", "--json", "--data-dir", &data]).await.exits(1).json();
    assert!(check(&report, "settings")["detail"].as_str().unwrap().contains("grace_mss"));
}

#[tokio::test]
async fn a_log_that_is_none_is_a_failure() {
    let user = User::new().with("TRINITY_LISTEN", free_address());
    let data = user.path("data");
    std::fs::create_dir_all(&data).unwrap();
    std::fs::write(data.join("log.db"), "this is no database, and long enough to be none").unwrap();
    let data = data.display().to_string();
    let report = user.run(&["doctor", "--json", "--data-dir", &data]).await.exits(1).json();
    assert_eq!(check(&report, "event log")["status"], "fail");
}

#[tokio::test]
async fn every_file_that_is_broken_newer_or_gone_is_named() {
    let user = User::new().with("TRINITY_LISTEN", free_address());
    let made = tempfile::tempdir().unwrap();
    let _log = EventLog::open_sqlite(&made.path().join("log.db")).await.unwrap();
    let _state = State::open_sqlite(made.path()).await.unwrap();
    // Copies that nobody has open may be broken.
    let copy = user.path("data");
    std::fs::create_dir_all(&copy).unwrap();
    for file in ["log.db", "state.db", "transcripts.db"] {
        let from = rusqlite::Connection::open(made.path().join(file)).unwrap();
        from.execute("VACUUM INTO ?1", [copy.join(file).to_str().unwrap()]).unwrap();
    }
    let copy_path = copy.display().to_string();
    let look = async |code: i32| {
        let words = ["doctor", "--json", "--data-dir", &copy_path];
        user.run(&words).await.exits(code).json()
    };
    let sound = look(0).await;
    assert_eq!(check(&sound, "state")["status"], "ok");
    assert_eq!(check(&sound, "transcripts")["status"], "ok");

    let state = rusqlite::Connection::open(copy.join("state.db")).unwrap();
    state.execute("UPDATE schema_version SET version = 99", []).unwrap();
    drop(state);
    let transcripts = std::fs::OpenOptions::new().write(true).open(copy.join("transcripts.db"));
    let transcripts = transcripts.unwrap();
    transcripts.set_len(transcripts.metadata().unwrap().len() / 2).unwrap();
    let report = look(1).await;
    assert_eq!(check(&report, "event log")["status"], "ok", "each file is looked at by itself");
    let newer = check(&report, "state");
    assert_eq!(newer["status"], "fail", "{newer}");
    assert!(newer["detail"].as_str().unwrap().contains("state.db has schema 99 of"), "{newer}");
    assert!(newer["hint"].as_str().unwrap().contains("newer build"), "{newer}");
    let broken = check(&report, "transcripts");
    assert_eq!(broken["status"], "fail", "{broken}");
    assert!(broken["detail"].as_str().unwrap().contains("transcripts.db"), "{broken}");
    assert!(broken["hint"].as_str().unwrap().contains("backup"), "{broken}");

    let nonsense = "this is no database, and long enough to be none";
    std::fs::write(copy.join("state.db"), nonsense).unwrap();
    std::fs::remove_file(copy.join("transcripts.db")).unwrap();
    let report = look(1).await;
    assert_eq!(check(&report, "state")["status"], "fail");
    assert_eq!(check(&report, "transcripts")["status"], "warn");
}

#[tokio::test]
async fn read_models_that_a_start_makes_again_are_no_failure() {
    let mut server = Server::start().await;
    let config = json!({"name": "scout", "runtime": "demo"});
    server.post("/api/agents?start=false", config).await.expect(201);
    server.signal(Signal::SIGTERM).await;
    let user = User::of(&server).with("TRINITY_LISTEN", free_address());
    let store = server.store_arguments();
    let look = async |status: &str| {
        let words = ["doctor", "--json"].into_iter().chain(store.iter().map(String::as_str));
        let report = user.run(&words.collect::<Vec<_>>()).await.exits(0).json();
        let found = check(&report, "read models");
        assert_eq!(found["status"], status, "{found}");
        found["detail"].as_str().unwrap().to_owned()
    };
    let change = async |statement: &'static str| {
        let views = tables(&server, "views.db").await;
        assert!(views.execute(Statement::new(statement)).await.unwrap() > 0);
    };
    change("UPDATE projection_cursors SET position = 1 WHERE projection = 'agents'").await;
    let behind = look("ok").await;
    assert!(behind.contains("they have got to position 1 of "), "{behind}");
    change("UPDATE projection_cursors SET position = 99999 WHERE projection = 'agents'").await;
    let ahead = look("warn").await;
    assert!(ahead.contains("they have got to position 99999, the log to "), "{ahead}");
    change("UPDATE projection_source SET log_id = 'another'").await;
    let foreign = look("warn").await;
    assert!(foreign.contains("they are of log another, not "), "{foreign}");
    if server.database_url.is_none() {
        let file = server.data_dir.join("views.db");
        std::fs::write(&file, "this is no database, and long enough to be none").unwrap();
        let broken = look("warn").await;
        assert!(broken.contains("views.db is damaged"), "{broken}");
        std::fs::remove_file(&file).unwrap();
        let missing = look("warn").await;
        assert!(missing.contains("views.db is missing"), "{missing}");
    }
}

#[tokio::test]
async fn programs_are_asked_and_missing_ones_are_named() {
    let user = User::new();
    std::fs::create_dir_all(user.path("bin")).unwrap();
    let claude = user.path("bin/claude");
    std::fs::write(&claude, "#!/bin/sh\necho '9.8.7 (Claude Code)'\n").unwrap();
    std::fs::set_permissions(&claude, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:/usr/bin:/bin", user.path("bin").display());
    let user = user
        .with("PATH", path)
        .with("TRINITY_LISTEN", free_address())
        .with("TRINITY_GEMINI_COMMAND", "/nowhere/gemini");
    let report = user.run(&["doctor", "--json"]).await.exits(0).json();
    let detail = check(&report, "claude")["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("9.8.7"), "{detail}");
    assert_eq!(check(&report, "gemini")["status"], "warn");
    assert!(check(&report, "gemini")["hint"].as_str().unwrap().contains("npm install"));
}

/// What a server would start in containers, as this executable says it.
async fn agent_server(executable: &Path, more: &[&str]) -> Value {
    let home = tempfile::tempdir().unwrap();
    let engine = format!("unix://{}", home.path().join("docker.sock").display());
    let child = Command::new(executable)
        .args(["doctor", "--json", "--agent-host", "docker", "--docker-host", &engine])
        .args(more)
        .env_clear()
        .env("HOME", home.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    // There is no engine.
    let report = finish(child.unwrap()).await.exits(1).json();
    check(&report, "agent server").clone()
}

#[tokio::test]
async fn the_agent_server_of_containers_is_named_and_one_that_runs_not_everywhere_is_refused() {
    const DYNAMIC: &str = "/bin/sh";
    let folder = tempfile::tempdir().unwrap();
    let executable = beside(folder.path(), DYNAMIC.as_ref());
    let ignored = agent_server(&executable, &[]).await;
    let detail = ignored["detail"].as_str().unwrap();
    assert_eq!(ignored["status"], "warn", "{ignored}");
    assert!(detail.contains("of the image and not"), "{detail}");
    assert!(detail.contains("/trinity-agent: it is linked dynamically"), "{detail}");
    let refused = agent_server(&executable, &["--agent-server", DYNAMIC]).await;
    assert_eq!(refused["status"], "fail", "{refused}");
    assert!(refused["detail"].as_str().unwrap().contains("linked dynamically"), "{refused}");
    std::fs::remove_file(folder.path().join("trinity-agent")).unwrap();
    let of_image = agent_server(&executable, &[]).await;
    assert_eq!((&of_image["status"], &of_image["hint"]), (&"ok".into(), &Value::Null));
}

/// A value of no known form: no pattern for keys would find it.
const KEY: &str = "plain-words-of-a-key";

#[tokio::test]
async fn a_key_in_a_configured_command_is_not_shown() {
    let user = User::new();
    let failing = user.path("failing");
    std::fs::write(&failing, "#!/bin/sh\necho \"what is $1 to $KEY\" >&2\nexit 1\n").unwrap();
    std::fs::set_permissions(&failing, std::fs::Permissions::from_mode(0o755)).unwrap();
    let user = user.with("TRINITY_LISTEN", free_address());
    let working = user.path("working");
    std::fs::write(&working, "#!/bin/sh\n[ -n \"$KEY\" ] && echo 9.8.7\n").unwrap();
    std::fs::set_permissions(&working, std::fs::Permissions::from_mode(0o755)).unwrap();
    let (failing, working) = (failing.display().to_string(), working.display().to_string());
    let cases = [
        (format!("env KEY={KEY} {working}"), "ok", "9.8.7"),
        (format!("KEY={KEY} {working}"), "ok", "9.8.7"),
        (format!("env KEY={KEY} {failing} --key={KEY}"), "warn", "what is *** to ***"),
        (format!("env KEY={KEY} /nowhere/claude --key={KEY}"), "warn", "cannot be started"),
        (format!("env -i KEY={KEY} {failing} --key={KEY}"), "warn", "`env` does not say"),
        (format!("env KEY={KEY}"), "fail", "empty"),
        (format!("env KEY={KEY} claude 'open"), "fail", "open quote"),
    ];
    let mut user = user;
    for (command, status, detail) in cases {
        user =
            user.with("TRINITY_CLAUDE_COMMAND", &command).with("TRINITY_GEMINI_COMMAND", &command);
        for form in ["--json", "--text"] {
            let code = i32::from(status == "fail");
            let done = user.run(&["doctor", form]).await.exits(code);
            assert!(!done.stdout.contains(KEY) && !done.stderr.contains(KEY), "{done:?}");
            if form == "--json" {
                let found = done.json();
                for name in ["claude", "gemini"] {
                    let check = check(&found, name);
                    assert_eq!(check["status"], status, "{command}: {check}");
                    let said = check["detail"].as_str().unwrap();
                    assert!(said.contains(detail), "{command}: {said}");
                }
            }
        }
    }
    for words in [["serve", "--help"], ["doctor", "--help"]] {
        let help = user.run(&words).await.exits(0);
        assert!(help.stdout.contains("TRINITY_CLAUDE_COMMAND") && !help.stdout.contains(KEY));
    }
    let refused = user.run(&["serve", "--data-dir", "data"]).await.exits(1);
    assert!(refused.stderr.contains("open quote") && !refused.stderr.contains(KEY), "{refused:?}");
}
