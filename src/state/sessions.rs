//! Sessions: an opaque token that only its holder knows; stored is its digest.

use chrono::{DateTime, TimeDelta, Utc};

use crate::db::{Db, Error, Statement};
use crate::domain::AccountId;

/// How long a session lives after its last use, in seconds.
pub const SESSION_SECONDS: i64 = 12 * 3_600;
/// How much of its life must be over before a use prolongs it, so that not every request writes.
const PROLONG_AFTER_SECONDS: i64 = 600;

/// The sessions of this installation.
#[derive(Debug, Clone)]
pub struct Sessions(Db);

impl Sessions {
    pub(super) fn new(db: Db) -> Self {
        Self(db)
    }

    /// Begins a session for a user, and forgets those that are over.
    pub async fn begin(
        &self,
        token_sha256: &str,
        user: AccountId,
        now: DateTime<Utc>,
    ) -> Result<(), Error> {
        let sweep = Statement::new("DELETE FROM sessions WHERE expires_at <= $1").with(now);
        let begin = Statement::new(
            "INSERT INTO sessions (token_sha256, user_id, created_at, expires_at) \
             VALUES ($1, $2, $3, $4)",
        );
        let begin = begin.with(token_sha256).with(user.0).with(now).with(expiry(now));
        self.0.transaction(vec![sweep, begin]).await?;
        Ok(())
    }

    /// Whose session the token is, if it goes on; a use prolongs it.
    pub async fn user(
        &self,
        token_sha256: &str,
        now: DateTime<Utc>,
    ) -> Result<Option<AccountId>, Error> {
        let find = Statement::new(
            "SELECT user_id, expires_at FROM sessions WHERE token_sha256 = $1 AND expires_at > $2",
        );
        let mut rows = self.0.query(find.with(token_sha256).with(now)).await?;
        let Some(row) = rows.first_mut() else { return Ok(None) };
        let user = AccountId(row.take()?);
        let expires_at: DateTime<Utc> = row.take()?;
        if expires_at < expiry(now) - TimeDelta::seconds(PROLONG_AFTER_SECONDS) {
            let prolong = Statement::new(
                "UPDATE sessions SET expires_at = $1 WHERE token_sha256 = $2 AND expires_at < $1",
            );
            self.0.execute(prolong.with(expiry(now)).with(token_sha256)).await?;
        }
        Ok(Some(user))
    }

    /// Ends one session.
    pub async fn end(&self, token_sha256: &str) -> Result<(), Error> {
        let end = Statement::new("DELETE FROM sessions WHERE token_sha256 = $1");
        self.0.execute(end.with(token_sha256)).await?;
        Ok(())
    }

    /// Ends every session of a user.
    pub async fn end_all(&self, user: AccountId) -> Result<(), Error> {
        let end = Statement::new("DELETE FROM sessions WHERE user_id = $1");
        self.0.execute(end.with(user.0)).await?;
        Ok(())
    }
}

fn expiry(now: DateTime<Utc>) -> DateTime<Utc> {
    now + TimeDelta::seconds(SESSION_SECONDS)
}
