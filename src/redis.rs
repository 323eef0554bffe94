//! A Redis that saves work and may be away or emptied at any moment.
//!
//! Nothing is decided by what it says, so nothing it does is an error here: what it does not give is
//! read where it is durable. While it is away it is not asked for a moment after each failure, so
//! that its absence costs one short wait and not one for each question.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{AsyncCommands as _, Client, RedisResult};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::config::Secret;

/// How long a connection may take.
const CONNECT_MS_MAX: u64 = 500;
/// How long an answer may take.
const ANSWER_MS_MAX: u64 = 500;
/// How long it is left alone after a failure.
const AWAY_MS: u64 = 1_000;
/// How often a connection is tried at once before it counts as away.
const CONNECT_RETRIES_MAX: usize = 1;

/// A client of one Redis. A clone is another handle to the same.
#[derive(Clone)]
pub struct Redis {
    manager: ConnectionManager,
    /// Begins every key: several installations may share one Redis.
    prefix: Arc<str>,
    away: Arc<Away>,
}

/// What a Redis is found to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// Its version, where it says so.
    pub version: Option<String>,
    /// How long an answer took, once it was connected.
    pub answer_time: Duration,
}

#[derive(Default)]
struct Away {
    until: Mutex<Option<Instant>>,
    /// Whether that it is away was said.
    is_said: AtomicBool,
}

impl Redis {
    /// Makes a client; it connects when it is first asked, and again whenever it has lost contact.
    ///
    /// # Errors
    /// When the URL cannot be read.
    pub fn open(url: &Secret, prefix: &str) -> anyhow::Result<Self> {
        let client = Client::open(url.expose()).context("cannot read the URL of Redis")?;
        let config = ConnectionManagerConfig::new()
            .set_number_of_retries(CONNECT_RETRIES_MAX)
            .set_connection_timeout(Some(Duration::from_millis(CONNECT_MS_MAX)))
            .set_response_timeout(Some(Duration::from_millis(ANSWER_MS_MAX)));
        let manager = ConnectionManager::new_lazy_with_config(client, config);
        let manager = manager.context("cannot use the URL of Redis")?;
        Ok(Self { manager, prefix: prefix.into(), away: Arc::default() })
    }

    /// What it holds under a key; nothing when it holds nothing or is away.
    pub async fn get(&self, key: &str) -> Option<Vec<u8>> {
        let (mut manager, key) = (self.manager.clone(), self.key(key));
        self.ask(async move { manager.get(key).await }).await.flatten()
    }

    /// Lets it hold a value for some time.
    pub async fn set(&self, key: &str, value: &[u8], seconds: u64) {
        let (mut manager, key) = (self.manager.clone(), self.key(key));
        let _away: Option<()> =
            self.ask(async move { manager.set_ex(key, value, seconds).await }).await;
    }

    /// Lets it forget a value.
    pub async fn remove(&self, key: &str) {
        let (mut manager, key) = (self.manager.clone(), self.key(key));
        let _away: Option<()> = self.ask(async move { manager.del(key).await }).await;
    }

    /// Whether it answers.
    pub async fn is_there(&self) -> bool {
        let mut manager = self.manager.clone();
        self.ask(async move { redis::cmd("PING").query_async::<String>(&mut manager).await })
            .await
            .is_some()
    }

    /// Finds out what it is.
    ///
    /// # Errors
    /// When it does not answer, or refuses to: here that is the question.
    pub async fn describe(&self) -> RedisResult<Description> {
        let mut manager = self.manager.clone();
        // The first one connects.
        redis::cmd("PING").query_async::<String>(&mut manager).await?;
        let began = Instant::now();
        redis::cmd("PING").query_async::<String>(&mut manager).await?;
        let answer_time = began.elapsed();
        // Its version is not for everybody to ask for.
        let info = redis::cmd("INFO").arg("server").query_async::<String>(&mut manager).await.ok();
        let version = info.as_deref().and_then(version);
        Ok(Description { version, answer_time })
    }

    fn key(&self, key: &str) -> String {
        format!("{}:{key}", self.prefix)
    }

    async fn ask<T>(&self, question: impl Future<Output = RedisResult<T>>) -> Option<T> {
        if self.away.until.lock().await.is_some_and(|until| Instant::now() < until) {
            return None;
        }
        match question.await {
            Ok(answer) => {
                if self.away.is_said.swap(false, Ordering::Relaxed) {
                    tracing::info!("Redis is back");
                }
                Some(answer)
            }
            Err(error) => {
                let until = Instant::now() + Duration::from_millis(AWAY_MS);
                *self.away.until.lock().await = Some(until);
                if !self.away.is_said.swap(true, Ordering::Relaxed) {
                    // The text names the kind and the place of the failure, never the URL.
                    tracing::warn!("Redis does not answer, so the database does: {error}");
                }
                None
            }
        }
    }
}

/// The version in an answer to `INFO`.
fn version(info: &str) -> Option<String> {
    info.lines().find_map(|line| line.strip_prefix("redis_version:")).map(|it| it.trim().to_owned())
}

impl std::fmt::Debug for Redis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Redis").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}
