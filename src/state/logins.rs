//! Failed logins, counted so that passwords cannot be tried at will.

use chrono::{DateTime, TimeDelta, Utc};

use crate::db::{Db, Error, Statement};

/// How many failed logins of one name are tried before further ones have to wait.
pub const LOGIN_FAILURES_MAX: u32 = 10;
/// How long they have to wait after the last failure, in seconds.
pub const LOGIN_WAIT_SECONDS: i64 = 60;

/// The counters of this installation.
#[derive(Debug, Clone)]
pub struct Logins(Db);

impl Logins {
    pub(super) fn new(db: Db) -> Self {
        Self(db)
    }

    /// How many seconds this name has to wait before another try; none when it may try now.
    ///
    /// Unknown names are counted like known ones, so the answer does not tell them apart.
    pub async fn must_wait_seconds(
        &self,
        name: &str,
        now: DateTime<Utc>,
    ) -> Result<Option<u64>, Error> {
        let find = Statement::new("SELECT failures, last_at FROM login_failures WHERE name = $1");
        let mut rows = self.0.query(find.with(name.to_lowercase())).await?;
        let Some(row) = rows.first_mut() else { return Ok(None) };
        let failures: u32 = row.take()?;
        let last_at: DateTime<Utc> = row.take()?;
        let until = last_at + TimeDelta::seconds(LOGIN_WAIT_SECONDS);
        let wait = (until - now).num_seconds() + 1;
        let waits = failures >= LOGIN_FAILURES_MAX && until > now;
        Ok(waits.then(|| u64::try_from(wait).unwrap_or_default()))
    }

    /// Counts a failed login; after the wait the count begins anew.
    pub async fn failed(&self, name: &str, now: DateTime<Utc>) -> Result<(), Error> {
        let old = now - TimeDelta::seconds(LOGIN_WAIT_SECONDS);
        let sweep = Statement::new("DELETE FROM login_failures WHERE last_at < $1").with(old);
        let count = Statement::new(
            "INSERT INTO login_failures (name, failures, last_at) VALUES ($1, 1, $2) \
             ON CONFLICT (name) DO UPDATE SET failures = login_failures.failures + 1, \
             last_at = excluded.last_at",
        );
        let count = count.with(name.to_lowercase()).with(now);
        self.0.transaction(vec![sweep, count]).await?;
        Ok(())
    }

    /// Forgets the failures of a name after a success.
    pub async fn succeeded(&self, name: &str) -> Result<(), Error> {
        let forget = Statement::new("DELETE FROM login_failures WHERE name = $1");
        self.0.execute(forget.with(name.to_lowercase())).await?;
        Ok(())
    }
}
