//! Requests under an idempotency key, where the id of what is made cannot derive from the key: a
//! user's derives from the name, an API key's from its secret.
//!
//! The claim is made before the deed. A server that is ended in between has done nothing, and the
//! repeat does it; whether the deed was done already, the log says.

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::db::{Db, Error, Statement};

/// How long a repeat is recognised, in seconds.
pub const CLAIM_SECONDS: i64 = 24 * 3_600;

/// The claims of this installation.
#[derive(Debug, Clone)]
pub struct Claims(Db);

/// What stands under a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// This request is the first one.
    New,
    /// The same request came before, with this salt.
    Repeated {
        /// What was drawn for the first one.
        salt: String,
    },
    /// Another request came before under the same key.
    Taken,
}

impl Claims {
    pub(super) fn new(db: Db) -> Self {
        Self(db)
    }

    /// Claims a key for the request of that fingerprint, and forgets old claims.
    pub async fn claim(
        &self,
        id: Uuid,
        fingerprint: &str,
        salt: &str,
        now: DateTime<Utc>,
    ) -> Result<Claim, Error> {
        let old = now - TimeDelta::seconds(CLAIM_SECONDS);
        let sweep = Statement::new("DELETE FROM idempotency_claims WHERE created_at < $1");
        let claim = Statement::new(
            "INSERT INTO idempotency_claims (id, fingerprint, salt, created_at) \
             VALUES ($1, $2, $3, $4) ON CONFLICT (id) DO NOTHING",
        );
        let claim = claim.with(id).with(fingerprint).with(salt).with(now);
        self.0.transaction(vec![sweep.with(old), claim]).await?;
        let find = Statement::new("SELECT fingerprint, salt FROM idempotency_claims WHERE id = $1");
        let mut rows = self.0.query(find.with(id)).await?;
        let Some(row) = rows.first_mut() else { return Ok(Claim::New) };
        let (found, first): (String, String) = (row.take()?, row.take()?);
        Ok(match (found == fingerprint, first == salt) {
            (false, _) => Claim::Taken,
            (true, true) => Claim::New,
            (true, false) => Claim::Repeated { salt: first },
        })
    }
}
