//! Copies of sealed credentials in Redis, told from stale ones by their revision.
//!
//! A copy holds no key: with the row of the data key gone from the database it is useless, also where
//! Redis was away when it should have been removed.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::store::CredentialRow;
use crate::redis::Redis;

/// How long a copy is held that nobody renews.
const COPY_SECONDS: u64 = 24 * 3_600;

/// The copies.
#[derive(Debug, Clone)]
pub(super) struct Copies(Redis);

#[derive(Serialize, Deserialize)]
struct Copy<T> {
    revision: u64,
    rows: T,
}

impl Copies {
    pub(super) fn new(redis: Redis) -> Self {
        Self(redis)
    }

    /// The copy of this revision; none of another one is as good as none.
    pub(super) async fn get(&self, agent: Uuid, revision: u64) -> Option<Vec<CredentialRow>> {
        let bytes = self.0.get(&key(agent)).await?;
        let copy: Copy<Vec<CredentialRow>> = serde_json::from_slice(&bytes).ok()?;
        (copy.revision == revision).then_some(copy.rows)
    }

    pub(super) async fn put(&self, agent: Uuid, revision: u64, rows: &[CredentialRow]) {
        if let Ok(bytes) = serde_json::to_vec(&Copy { revision, rows }) {
            self.0.set(&key(agent), &bytes, COPY_SECONDS).await;
        }
    }

    pub(super) async fn remove(&self, agent: Uuid) {
        self.0.remove(&key(agent)).await;
    }
}

fn key(agent: Uuid) -> String {
    format!("credentials:{agent}")
}
