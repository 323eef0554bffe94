//! What the server says when something around it fails, and that it loses nothing by it.

use std::path::PathBuf;
use std::process::{Output, Stdio};

use serde_json::json;
use tokio::process::Command;

use crate::event_log::server::Server as Postgres;
use crate::server::{EXECUTABLE, Server, until};

/// A server that cannot start ends by itself.
async fn refused(arguments: &[&str]) -> (Option<i32>, String) {
    let Output { status, stderr, .. } = Command::new(EXECUTABLE)
        .args(["serve", "--listen", "127.0.0.1:0"])
        .args(arguments)
        .env_remove("TRINITY_DATABASE_URL")
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    (status.code(), String::from_utf8_lossy(&stderr).into_owned())
}

#[tokio::test]
async fn a_data_directory_that_is_in_use_is_refused() {
    let server = Server::start().await;
    let (code, said) = refused(&["--data-dir", server.data_dir.to_str().unwrap()]).await;
    assert_ne!(code, Some(0));
    assert!(said.contains("in use by another server"), "{said}");
    assert!(said.contains(&server.pid().to_string()), "{said}");
    server.get("/health").await.expect(200);
}

#[tokio::test]
async fn a_data_directory_that_cannot_be_made_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let below = file.join("data");
    let (code, said) = refused(&["--data-dir", below.to_str().unwrap()]).await;
    assert_ne!(code, Some(0));
    assert!(said.contains(below.to_str().unwrap()), "{said}");
}

#[tokio::test]
async fn a_wrong_database_url_is_said_without_its_password() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().to_str().unwrap();
    for url in ["postgres://me:hunter2@127.0.0.1:1/none", "nonsense-hunter2"] {
        let (code, said) = refused(&["--data-dir", data, "--database-url", url]).await;
        assert_ne!(code, Some(0));
        assert!(said.contains("Postgres") || said.contains("postgres"), "{said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
}

#[tokio::test]
async fn an_address_in_use_is_refused() {
    let server = Server::start().await;
    let address = server.url.trim_start_matches("http://").to_owned();
    let dir = tempfile::tempdir().unwrap();
    let output = Command::new(EXECUTABLE)
        .args(["serve", "--listen", &address, "--data-dir", dir.path().to_str().unwrap()])
        .output()
        .await
        .unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains(&address));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_database_may_go_and_come_back() {
    let mut postgres = Postgres::start();
    let server = Server::start_with(&[("TRINITY_DATABASE_URL", &postgres.url())]).await;
    server.agent("scout").await;
    let busy = server.script("scout", &["say before", "sleep 2", "say after"]).await;
    server.until_status(&busy, "running").await;
    postgres.kill();

    let body = json!({"message": "#!demo\nsay x", "async_mode": true});
    let refused = until("a submission is refused", async || {
        let request = server.request(reqwest::Method::POST, "/api/agents/scout/task").json(&body);
        let response = request.send().await.unwrap();
        (response.status().as_u16() == 503).then_some(response)
    })
    .await;
    assert!(refused.headers().contains_key("retry-after"));
    let problem: serde_json::Value = refused.json().await.unwrap();
    assert_eq!(problem["code"], "log-unavailable", "{problem}");
    assert_eq!(server.get("/health").await.expect(200)["status"], "degraded");
    assert_eq!(server.get("/readyz").await.expect(503)["code"], "not-ready");
    server.get("/livez").await.expect(200);

    postgres.run();
    until("requests may come again", async || {
        (server.get("/readyz").await.status == 200).then_some(())
    })
    .await;
    let accepted = until("a submission is taken again", async || {
        let answer = server.post("/api/agents/scout/task", body.clone()).await;
        assert!([202, 503].contains(&answer.status.as_u16()), "{answer:?}");
        (answer.status == 202).then_some(answer.body)
    })
    .await;
    let id = accepted["execution_id"].as_str().unwrap();
    assert_eq!(server.until_ended(id).await["status"], "completed");
    let adopted = server.until_ended(&busy).await;
    assert_eq!(adopted["response"], "before\nafter", "{adopted}");
}

/// A server whose data directory is a small disk that only it sees.
struct OnSmallDisk {
    child: tokio::process::Child,
    data: PathBuf,
    url: String,
    token: String,
    http: reqwest::Client,
    _dir: tempfile::TempDir,
}

impl OnSmallDisk {
    async fn start() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let dir = tempfile::tempdir().unwrap();
        let mount = "mount -t tmpfs -o size=24m none \"$1\" && exec \"$2\" serve \
                     --listen 127.0.0.1:0 --data-dir \"$1/data\"";
        let namespace = if nix::unistd::geteuid().is_root() { "--mount" } else { "-Urm" };
        let child = Command::new("unshare")
            .args([namespace, "sh", "-c", mount, "sh"])
            .arg(dir.path())
            .arg(EXECUTABLE)
            .env_remove("TRINITY_DATABASE_URL")
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let root = PathBuf::from(format!("/proc/{}/root", child.id().unwrap()));
        let data = root.join(dir.path().strip_prefix("/").unwrap()).join("data");
        let url = until("it serves", async || std::fs::read_to_string(data.join("address")).ok());
        let url = url.await;
        let token = std::fs::read_to_string(data.join("local-token")).unwrap();
        Self { child, data, url, token, http: reqwest::Client::new(), _dir: dir }
    }

    /// Changes something; gives the status.
    async fn write(&self, number: usize) -> u16 {
        let body = json!({"name": format!("agent-{number}"), "runtime": "demo"});
        let request = self.http.post(format!("{}/api/agents?start=false", self.url));
        let answer = request.bearer_auth(self.token.trim()).json(&body).send().await.unwrap();
        let status = answer.status().as_u16();
        assert!([201, 503].contains(&status), "{}", answer.text().await.unwrap());
        status
    }
}

#[tokio::test]
async fn a_full_disk_is_said_and_nothing_that_was_answered_is_lost() {
    let mut server = OnSmallDisk::start().await;
    let mut made = 0;
    while made < 3 {
        assert_eq!(server.write(made).await, 201);
        made += 1;
    }
    let filler = server.data.join("filler");
    let mut file = std::fs::File::create(&filler).unwrap();
    while std::io::Write::write_all(&mut file, &[0; 4096]).is_ok() {}
    // What still fits is taken; then it is refused.
    let refused = until("a change is refused", async || {
        let status = server.write(made).await;
        if status == 201 {
            made += 1;
        }
        (status != 201).then_some(status)
    })
    .await;
    assert_eq!(refused, 503);
    // The room comes back when the file is closed too.
    drop(file);
    std::fs::remove_file(&filler).unwrap();
    until("changes are taken again", async || (server.write(1_000).await == 201).then_some(()))
        .await;
    let list = server.http.get(format!("{}/api/agents?limit=1000", server.url));
    let list = list.bearer_auth(server.token.trim()).send().await.unwrap();
    let agents: serde_json::Value = list.json().await.unwrap();
    // Beside the server's own.
    let there = agents.as_array().unwrap().iter().filter(|agent| agent["is_system"] == false);
    assert_eq!(there.count(), made + 1, "all that was answered is there");
    server.child.start_kill().unwrap();
}
