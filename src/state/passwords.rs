//! Passwords: Argon2id hashes, made and checked on threads that may take their time.

use anyhow::Context as _;
use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, PasswordHasher as _, PasswordVerifier as _};
use chrono::{DateTime, Utc};

use crate::db::{Db, Statement};
use crate::domain::AccountId;

/// The hash that a check runs against when there is none, so that it takes as long.
const NOBODYS_PASSWORD: &str = "no password is this long, and none is this one";

/// The passwords of this installation.
#[derive(Debug, Clone)]
pub struct Passwords(Db);

impl Passwords {
    pub(super) fn new(db: Db) -> Self {
        Self(db)
    }

    /// Sets a user's password.
    ///
    /// # Errors
    /// When it cannot be hashed or stored.
    pub async fn set(
        &self,
        user: AccountId,
        password: &str,
        now: DateTime<Utc>,
    ) -> anyhow::Result<()> {
        let phc = hash(password).await?;
        let set = Statement::new(
            "INSERT INTO passwords (user_id, phc, changed_at) VALUES ($1, $2, $3) \
             ON CONFLICT (user_id) DO UPDATE SET phc = excluded.phc, \
             changed_at = excluded.changed_at",
        );
        self.0.execute(set.with(user.0).with(phc).with(now)).await.context("cannot store it")?;
        Ok(())
    }

    /// Whether the user has a password at all.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn is_set(&self, user: AccountId) -> anyhow::Result<bool> {
        let find = Statement::new("SELECT user_id FROM passwords WHERE user_id = $1").with(user.0);
        Ok(!self.0.query(find).await?.is_empty())
    }

    /// Whether this is the user's password. Takes as long for a user without one.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn check(&self, user: AccountId, password: &str) -> anyhow::Result<bool> {
        let find = Statement::new("SELECT phc FROM passwords WHERE user_id = $1").with(user.0);
        let phc: Option<String> = self.0.fetch_column(find).await?.pop();
        let Some(phc) = phc else {
            hash(NOBODYS_PASSWORD).await?;
            return Ok(false);
        };
        let password = password.to_owned();
        let checked = tokio::task::spawn_blocking(move || {
            let hash = PasswordHash::new(&phc).context("a stored password hash is damaged")?;
            Ok(Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
        });
        checked.await.context("the check was interrupted")?
    }

    /// Forgets a user's password.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub async fn remove(&self, user: AccountId) -> anyhow::Result<()> {
        let remove = Statement::new("DELETE FROM passwords WHERE user_id = $1").with(user.0);
        self.0.execute(remove).await.context("cannot remove it")?;
        Ok(())
    }
}

async fn hash(password: &str) -> anyhow::Result<String> {
    let password = password.to_owned();
    let hashed = tokio::task::spawn_blocking(move || {
        let hashed = Argon2::default().hash_password(password.as_bytes());
        hashed.map(|hash| hash.to_string())
    });
    let hashed = hashed.await.context("the hashing was interrupted")?;
    hashed.map_err(|error| anyhow::anyhow!("cannot hash the password: {error}"))
}
