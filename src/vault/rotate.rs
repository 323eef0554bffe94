//! The rotation of the master key: every data key is wrapped anew, in one transaction.
//!
//! The credentials themselves are not touched. Killed at any instant, what is stored is wrapped
//! either by the old key or by the new one, never by both, and the fingerprint says by which. Backups
//! of before hold data keys that only the old master key opens: once that is gone, so is what was
//! deleted since.

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::cipher::{Key, Purpose};
use super::master::{Master, NEW_KEY_VARIABLE, Source, adopt_next, parse, write_next};
use super::store::Store;
use super::{ATTEMPTS_MAX, Error, damaged, unwrap};
use crate::config::{SECRET_KEY_VARIABLE, Secret};
use crate::data_dir::DataDir;
use crate::db::{Db, Statement};

/// What a rotation did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotated {
    /// How many agents have a data key.
    pub agents: usize,
    /// The fingerprint of the new master key.
    pub fingerprint: String,
    /// Where the new key is.
    pub source: Source,
}

/// Changes the master key of a database that no server uses: to the key in `new`, else, where the
/// old one is in a file, to one that is made for it.
///
/// Ended at any point and started again, it does what is missing.
///
/// # Errors
/// When the old key is not there, there is no new one, or the database does not take it. The old key
/// is still the key then.
pub async fn rotate(
    db: Db,
    (variable, new): (Option<&Secret>, Option<&Secret>),
    data_dir: &DataDir,
    now: DateTime<Utc>,
) -> anyhow::Result<Rotated> {
    let store = Store(db);
    let known = store.fingerprint().await?;
    let known =
        known.context("there is no master key yet; the first start of a server makes it")?;
    let old = Master::find(variable, data_dir, Some(&known))?;
    let new = match (new, &old.source) {
        (Some(text), _) => {
            parse(text.expose()).with_context(|| format!("cannot use {NEW_KEY_VARIABLE}"))?
        }
        (None, Source::File(_)) => Key::generate(),
        (None, Source::Variable) => anyhow::bail!(
            "the key is in {SECRET_KEY_VARIABLE}: make a new one by `openssl rand -hex 32`, set \
             {NEW_KEY_VARIABLE} to it, and say this again"
        ),
    };
    if let Source::File(_) = old.source {
        write_next(data_dir, &new)?;
    }
    let agents = rewrap_all(&store, &old.key, &new, now).await?;
    if let Source::File(_) = old.source {
        adopt_next(data_dir)?;
    }
    Ok(Rotated { agents, fingerprint: new.fingerprint(), source: old.source })
}

/// Wraps every data key by `new` that `old` wraps, all of them or none; gives their number.
async fn rewrap_all(
    store: &Store,
    old: &Key,
    new: &Key,
    now: DateTime<Utc>,
) -> Result<usize, Error> {
    for _ in 0..ATTEMPTS_MAX {
        let incarnations = store.incarnations().await?;
        // First the row that everybody takes who wraps a key.
        let change = "UPDATE vault_master SET fingerprint = $1, changed_at = $2 \
                      WHERE fingerprint = $3";
        let change = Statement::new(change).with(new.fingerprint()).with(now);
        let mut statements = vec![change.with(old.fingerprint()).expecting(1)];
        for incarnation in &incarnations {
            // Destroyed meanwhile: the transaction below finds another number of rows.
            let Some(row) = store.agent(*incarnation).await? else { continue };
            statements.push(rewrap(old, new, *incarnation, &row.wrapped_key)?);
        }
        // Nothing was added between the reading and the taking.
        let none_left = "UPDATE vault_master SET changed_at = changed_at WHERE NOT EXISTS \
                         (SELECT 1 FROM vault_agents WHERE key_id <> $1)";
        statements.push(Statement::new(none_left).with(new.fingerprint()).expecting(1));
        if store.0.transaction(statements).await? {
            store.0.scrub().await?;
            return Ok(incarnations.len());
        }
        if store.fingerprint().await?.as_deref() != Some(&old.fingerprint()) {
            return Err(Error::Rotated);
        }
    }
    Err(Error::Busy)
}

fn rewrap(old: &Key, new: &Key, incarnation: Uuid, wrapped: &[u8]) -> Result<Statement, Error> {
    let key = unwrap(old, incarnation, wrapped)?;
    let purpose = Purpose::DataKey { incarnation };
    let anew = new.seal(purpose, key.expose()).map_err(damaged(incarnation, ""))?;
    let update = "UPDATE vault_agents SET key_id = $1, wrapped_key = $2 \
                  WHERE incarnation = $3 AND key_id = $4";
    let update = Statement::new(update).with(new.fingerprint()).with(anew).with(incarnation);
    Ok(update.with(old.fingerprint()).expecting(1))
}
