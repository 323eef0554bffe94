//! What the benches share: figures, fresh databases, and the real executable as a server.

#![allow(clippy::allow_attributes, dead_code, reason = "every bench takes another part of this")]

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::str::FromStr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, Executor};
use tokio::process::{Child, Command};
use trinity::db::postgres_settings;
use uuid::Uuid;

#[path = "../../tests/it/processes.rs"]
#[expect(clippy::unwrap_used, reason = "/proc is there, as in the tests")]
mod processes;

/// How long a server may take to be healthy, and an agent to run.
const START_MAX: Duration = Duration::from_mins(1);
/// How often a condition is looked at.
const POLL: Duration = Duration::from_millis(2);

/// The URL of the private Postgres server that `make bench` starts.
pub fn postgres_url() -> Result<String> {
    text_setting("TRINITY_TEST_POSTGRES_URL")
}

/// A text that the bench's runner gives it.
#[expect(clippy::disallowed_methods, reason = "a bench has no configuration but its runner's")]
pub fn text_setting(name: &str) -> Result<String> {
    std::env::var(name).with_context(|| format!("{name} is not set; run this by `make bench`"))
}

/// A number from the environment that makes a measurement larger or smaller.
#[expect(clippy::disallowed_methods, reason = "a bench has no configuration but its runner's")]
pub fn setting(name: &str, default: usize) -> Result<usize> {
    match std::env::var(name) {
        Ok(text) => text.parse().with_context(|| format!("{name} is no number: {text}")),
        Err(_) => Ok(default),
    }
}

/// A new empty database on the server.
pub async fn fresh_database(server_url: &str) -> Result<PgConnectOptions> {
    let server = PgConnectOptions::from_str(server_url)?;
    let name = format!("bench_{}", Uuid::new_v4().simple());
    let mut connection = server.connect().await?;
    connection.execute(format!("CREATE DATABASE {name}").as_str()).await?;
    connection.close().await?;
    Ok(postgres_settings(server.database(&name)))
}

/// The latency that this share of all, in percent, stayed below, in milliseconds.
pub fn percentile_ms(sorted: &[Duration], percent: usize) -> f64 {
    let index = sorted.len() * percent / 100;
    sorted.get(index).or(sorted.last()).map_or(0.0, |latency| latency.as_secs_f64() * 1e3)
}

/// A server of the optimised executable on data of its own.
pub struct Server {
    pub url: String,
    pub token: String,
    pub cold_start: Duration,
    child: Child,
    data_dir: PathBuf,
    _temporary: tempfile::TempDir,
}

impl Server {
    /// Starts a server; on SQLite without a URL.
    pub async fn start(database_url: Option<&str>) -> Result<Self> {
        Self::start_with(database_url, &[]).await
    }

    /// The same with more in its environment.
    pub async fn start_with(
        database_url: Option<&str>,
        environment: &[(&str, &str)],
    ) -> Result<Self> {
        let temporary = tempfile::tempdir()?;
        let data_dir = temporary.path().join("data");
        let last_words = temporary.path().join("stderr");
        let mut command = Command::new(env!("CARGO_BIN_EXE_trinity"));
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(&data_dir)
            .env_remove("TRINITY_DATABASE_URL")
            .env("TRINITY_LOG", "error")
            .env("TRINITY_SYSTEM_AGENT", "false")
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stderr(std::fs::File::create(&last_words)?)
            .kill_on_drop(true);
        if let Some(url) = database_url {
            command.env("TRINITY_DATABASE_URL", url);
        }
        let said = || std::fs::read_to_string(&last_words).unwrap_or_default();
        let begun = Instant::now();
        let mut child = command.spawn()?;
        let http = reqwest::Client::new();
        let url = loop {
            if let Some(status) = child.try_wait()? {
                bail!("the server ended at its start: {status}\n{}", said());
            }
            if let Ok(url) = std::fs::read_to_string(data_dir.join("address"))
                && http.get(format!("{url}/health")).send().await.is_ok()
            {
                break url;
            }
            if begun.elapsed() > START_MAX {
                bail!("the server did not start in {START_MAX:?}\n{}", said());
            }
            tokio::time::sleep(POLL).await;
        };
        let cold_start = begun.elapsed();
        let token = std::fs::read_to_string(data_dir.join("local-token"))?.trim().to_owned();
        Ok(Self { url, token, cold_start, child, data_dir, _temporary: temporary })
    }

    /// The memory that the server holds, in bytes.
    pub fn memory_bytes(&self) -> Result<u64> {
        let pid = self.child.id().context("the server is gone")?;
        Ok(processes::memory_bytes(i32::try_from(pid)?))
    }

    /// A client with connections of its own.
    pub fn client(&self) -> Client {
        let http = reqwest::Client::new();
        Client { http, url: self.url.clone(), token: self.token.clone() }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _gone = self.child.start_kill();
        for pid in processes::processes_of(Path::new(&self.data_dir)) {
            let _gone = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}

/// A client of a server.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    url: String,
    token: String,
}

impl Client {
    pub async fn get(&self, path: &str) -> Result<Value> {
        let request = self.http.get(format!("{}{path}", self.url)).bearer_auth(&self.token);
        Ok(request.send().await?.error_for_status()?.json().await?)
    }

    pub async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        let request = self.http.post(format!("{}{path}", self.url)).bearer_auth(&self.token);
        Ok(request.json(body).send().await?.error_for_status()?.json().await?)
    }

    pub async fn put(&self, path: &str, body: &Value) -> Result<Value> {
        let request = self.http.put(format!("{}{path}", self.url)).bearer_auth(&self.token);
        Ok(request.json(body).send().await?.error_for_status()?.json().await?)
    }

    pub async fn delete(&self, path: &str) -> Result<()> {
        let request = self.http.delete(format!("{}{path}", self.url)).bearer_auth(&self.token);
        request.send().await?.error_for_status()?;
        Ok(())
    }

    /// Makes an agent of runtime `demo` and waits until it runs.
    pub async fn agent(&self, name: &str, max_parallel_tasks: u32) -> Result<()> {
        let config =
            json!({"name": name, "runtime": "demo", "max_parallel_tasks": max_parallel_tasks});
        self.post("/api/agents", &config).await?;
        let begun = Instant::now();
        while self.get(&format!("/api/agents/{name}")).await?["status"] != "running" {
            if begun.elapsed() > START_MAX {
                bail!("{name} does not run after {START_MAX:?}");
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    /// Submits a task; gives its id once it is accepted.
    pub async fn task(&self, agent: &str, message: &str) -> Result<String> {
        let body = json!({"message": message, "async_mode": true});
        let accepted = self.post(&format!("/api/agents/{agent}/task"), &body).await?;
        let id = accepted["execution_id"].as_str().context("no execution_id")?;
        Ok(id.to_owned())
    }
}
