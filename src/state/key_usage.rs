//! How often each API key was used, and when last: counters in memory, added to the store now and
//! then, and never events.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::db::{Db, Error, Statement};
use crate::domain::AccountId;

/// How often the counters are added to the store; a crash loses what was counted since.
const FLUSH_PERIOD: Duration = Duration::from_mins(1);
/// How many keys one statement asks for.
const KEYS_MAX: usize = 500;

/// The counters of this installation. A clone is another handle to the same.
#[derive(Debug, Clone)]
pub struct KeyUsages {
    db: Db,
    /// What is not in the store yet.
    pending: Arc<Mutex<HashMap<AccountId, KeyUsage>>>,
}

/// How often a key was used, and when last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyUsage {
    /// How often.
    pub usage_count: u64,
    /// When last.
    pub last_used_at: DateTime<Utc>,
}

impl KeyUsage {
    fn add(&mut self, more: Self) {
        self.usage_count += more.usage_count;
        self.last_used_at = self.last_used_at.max(more.last_used_at);
    }
}

impl KeyUsages {
    pub(super) fn new(db: Db) -> Self {
        Self { db, pending: Arc::default() }
    }

    /// Counts one use of a key that is known to exist.
    pub fn count(&self, key: AccountId, now: DateTime<Utc>) {
        let one = KeyUsage { usage_count: 1, last_used_at: now };
        self.lock().entry(key).and_modify(|usage| usage.add(one)).or_insert(one);
    }

    /// Adds what was counted to the store each minute, and once more when `stop` is cancelled.
    pub async fn flush_until(self, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(FLUSH_PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let is_last = tokio::select! {
                _ = ticks.tick() => false,
                () = stop.cancelled() => true,
            };
            if let Err(error) = self.flush().await {
                tracing::warn!(%error, "the use of keys was not written; the next time will do");
            }
            if is_last {
                return;
            }
        }
    }

    /// Adds what was counted to the store; what could not be added stays counted.
    pub async fn flush(&self) -> Result<(), Error> {
        let counted: Vec<_> = std::mem::take(&mut *self.lock()).into_iter().collect();
        if counted.is_empty() {
            return Ok(());
        }
        let statements = counted.iter().map(|(key, usage)| add(*key, *usage)).collect();
        let added = self.db.transaction(statements).await;
        if added.is_err() {
            let mut pending = self.lock();
            for (key, usage) in counted {
                pending.entry(key).and_modify(|later| later.add(usage)).or_insert(usage);
            }
        }
        added.map(drop)
    }

    /// How keys were used, by any node as far as that is in the store, and by this one until now;
    /// keys that never were used are left out.
    pub async fn of(&self, keys: &[AccountId]) -> Result<HashMap<AccountId, KeyUsage>, Error> {
        let mut usages = HashMap::new();
        for keys in keys.chunks(KEYS_MAX) {
            let mut find = Statement::new(
                "SELECT key_id, usage_count, last_used_at FROM key_usage WHERE key_id IN (",
            );
            for (index, key) in keys.iter().enumerate() {
                find.push(if index == 0 { "" } else { ", " }).bind(key.0);
            }
            find.push(")");
            for mut row in self.db.query(find).await? {
                let key = AccountId(row.take()?);
                let usage = KeyUsage { usage_count: row.take()?, last_used_at: row.take()? };
                usages.insert(key, usage);
            }
        }
        let pending = self.lock();
        for key in keys {
            if let Some(more) = pending.get(key) {
                usages.entry(*key).and_modify(|usage| usage.add(*more)).or_insert(*more);
            }
        }
        Ok(usages)
    }

    /// Nothing panics while the lock is held, so a poisoned one is as good as any.
    fn lock(&self) -> MutexGuard<'_, HashMap<AccountId, KeyUsage>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn add(key: AccountId, usage: KeyUsage) -> Statement {
    let KeyUsage { usage_count, last_used_at } = usage;
    Statement::new(
        "INSERT INTO key_usage (key_id, usage_count, last_used_at) VALUES ($1, $2, $3) \
         ON CONFLICT (key_id) DO UPDATE SET \
         usage_count = key_usage.usage_count + excluded.usage_count, \
         last_used_at = CASE WHEN excluded.last_used_at > key_usage.last_used_at \
         THEN excluded.last_used_at ELSE key_usage.last_used_at END",
    )
    .with(key.0)
    .with(usage_count)
    .with(last_used_at)
}
