//! With Redis, without it, and with one that comes and goes: nothing but latency changes.

use std::process::Stdio;
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;
use tokio::process::{Child, Command};
use trinity::config::Secret;
use trinity::redis::Redis;

use crate::cli::support::User;
use crate::event_log::support::environment;
use crate::server::{Server, until};

const SECRET: &str = "sk-test-3f9a1c7e5b2d";

/// A Redis of a test's own, on a port that it had before when it is started again.
struct Private {
    port: u16,
    dir: TempDir,
    child: Option<Child>,
}

impl Private {
    async fn start() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let mut redis = Self { port, dir: tempfile::tempdir().unwrap(), child: None };
        redis.start_again().await;
        redis
    }

    async fn start_again(&mut self) {
        let program = environment("TRINITY_TEST_REDIS_BIN")
            .expect("TRINITY_TEST_REDIS_BIN is not set; run the tests by `make test`");
        let mut command = Command::new(program);
        command.args(["--port", &self.port.to_string(), "--bind", "127.0.0.1", "--save", ""]);
        command.args(["--dir", self.dir.path().to_str().unwrap()]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true);
        self.child = Some(command.spawn().unwrap());
        let port = self.port;
        until("Redis listens", async || {
            tokio::net::TcpStream::connect(("127.0.0.1", port)).await.ok()
        })
        .await;
    }

    async fn kill(&mut self) {
        self.child.take().unwrap().kill().await.unwrap();
    }

    fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    async fn keys(&self) -> Vec<String> {
        let client = redis::Client::open(self.url()).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        redis::cmd("KEYS").arg("*").query_async(&mut connection).await.unwrap()
    }

    async fn value(&self, key: &str) -> Vec<u8> {
        let client = redis::Client::open(self.url()).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        redis::cmd("GET").arg(key).query_async(&mut connection).await.unwrap()
    }

    async fn flush(&self) {
        let client = redis::Client::open(self.url()).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        redis::cmd("FLUSHALL").query_async::<()>(&mut connection).await.unwrap();
    }
}

async fn health(server: &Server) -> serde_json::Value {
    server.get("/api/health").await.expect(200)["redis"].clone()
}

/// Runs a task that says whether it has the value.
async fn assert_a_run_has_it(server: &Server) {
    let id = server
        .script("scout", &["exec test \"${#API_TOKEN}\" = 20 && printf it-is-%s there"])
        .await;
    server.until_status(&id, "completed").await;
    let lines = json!(server.lines(&id).await).to_string();
    assert!(lines.contains("it-is-there"), "{lines}");
}

#[tokio::test]
async fn credentials_are_held_sealed_and_an_emptied_or_killed_redis_loses_none() {
    let mut redis = Private::start().await;
    let mut server = Server::start_with(&[("TRINITY_REDIS_URL", &redis.url())]).await;
    assert_eq!(health(&server).await, "connected");
    server.agent("scout").await;
    let path = "/api/agents/scout/credentials/API_TOKEN";
    server.put(path, json!({ "value": SECRET })).await.expect(200);
    let keys = redis.keys().await;
    assert_eq!(keys.len(), 1, "{keys:?}");
    let value = redis.value(&keys[0]).await;
    assert!(!value.is_empty());
    assert!(!String::from_utf8_lossy(&value).contains("sk-test"), "sealed");
    assert_a_run_has_it(&server).await;

    redis.flush().await;
    assert_a_run_has_it(&server).await;
    assert_eq!(redis.keys().await, keys, "what was lost is held again");

    redis.kill().await;
    assert_a_run_has_it(&server).await;
    assert_eq!(health(&server).await, "away");
    server.put(path, json!({ "value": format!("{}X", &SECRET[..19]) })).await.expect(200);
    server.crash().await;
    assert_a_run_has_it(&server).await;

    redis.start_again().await;
    until("Redis is used again", async || (health(&server).await == "connected").then_some(()))
        .await;
    assert_a_run_has_it(&server).await;
    until("the copy is made anew", async || {
        assert_a_run_has_it(&server).await;
        (redis.keys().await == keys).then_some(())
    })
    .await;
    server.delete("/api/agents/scout").await.expect(200);
    assert_eq!(redis.keys().await, Vec::<String>::new(), "nothing of a deleted agent is held");
}

#[tokio::test]
async fn a_stale_copy_is_not_believed() {
    let redis = Private::start().await;
    let server = Server::start_with(&[("TRINITY_REDIS_URL", &redis.url())]).await;
    server.agent("scout").await;
    let path = "/api/agents/scout/credentials/API_TOKEN";
    server.put(path, json!({ "value": "an-older-value" })).await.expect(200);
    let key = redis.keys().await.remove(0);
    let stale = redis.value(&key).await;
    server.put(path, json!({ "value": SECRET })).await.expect(200);
    let client = redis::Client::open(redis.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    redis::cmd("SET").arg(&key).arg(stale).query_async::<()>(&mut connection).await.unwrap();
    assert_a_run_has_it(&server).await;
}

#[tokio::test]
async fn what_is_not_there_costs_one_short_wait_and_no_error() {
    let url = Secret::from("redis://127.0.0.1:1/".to_owned());
    let absent = Redis::open(&url, "t").unwrap();
    let asked = async {
        for _ in 0..1_000 {
            absent.set("key", b"value", 60).await;
            assert_eq!(absent.get("key").await, None);
        }
        assert!(!absent.is_there().await);
    };
    tokio::time::timeout(Duration::from_secs(30), asked).await.expect("each question waits");
    assert!(Redis::open(&Secret::from("nonsense".to_owned()), "t").is_err());
}

#[tokio::test]
async fn the_doctor_says_what_redis_is_and_that_it_is_away() {
    let mut redis = Private::start().await;
    let port = redis.port;
    let look = async |url: &str, code: i32| {
        let report = User::new().run(&["doctor", "--json", "--redis-url", url]).await.exits(code);
        assert!(!report.stdout.contains("hunter2") && !report.stderr.contains("hunter2"));
        let checks = report.json()["checks"].as_array().unwrap().clone();
        checks.into_iter().find(|check| check["name"] == "redis").unwrap()
    };
    let there = look(&redis.url(), 0).await;
    let detail = there["detail"].as_str().unwrap();
    // A busy machine may take long; what it says is what counts.
    assert!(there["status"] != "fail" && detail.contains(" answers after "), "{there}");
    assert!(detail.starts_with("Redis ") && detail[6..].starts_with(char::is_numeric), "{detail}");

    redis.kill().await;
    let away = look(&format!("redis://someone:hunter2@127.0.0.1:{port}/"), 0).await;
    assert_eq!(away["status"], "warn", "the server works without");
    assert!(away["detail"].as_str().unwrap().contains("does not answer"), "{away}");
    let nonsense = look("hunter2 is no URL", 1).await;
    assert_eq!(nonsense["status"], "fail", "{nonsense}");

    let none = User::new().run(&["doctor", "--json"]).await.exits(0).json();
    let names: Vec<_> =
        none["checks"].as_array().unwrap().iter().map(|check| check["name"].clone()).collect();
    assert!(!names.contains(&json!("redis")), "{names:?}");
}

#[tokio::test]
async fn keys_of_two_installations_do_not_meet() {
    let url = environment("TRINITY_TEST_REDIS_URL")
        .expect("TRINITY_TEST_REDIS_URL is not set; run the tests by `make test`");
    let url = Secret::from(url);
    let prefixes = [uuid::Uuid::new_v4().to_string(), uuid::Uuid::new_v4().to_string()];
    let [one, two] = prefixes.map(|prefix| Redis::open(&url, &prefix).unwrap());
    one.set("key", b"value", 60).await;
    assert_eq!(one.get("key").await.as_deref(), Some(b"value".as_slice()));
    assert_eq!(two.get("key").await, None);
    one.remove("key").await;
    assert_eq!(one.get("key").await, None);
}
