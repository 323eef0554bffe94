//! The tables of the vault, on either engine.
//!
//! One row per agent holds its data key, wrapped by the master key, and a revision that every change
//! moves on; one row per credential holds its ciphertext. Whoever writes a wrapped key first takes
//! the row of the master key, so that nothing is wrapped by a key that is being rotated away.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::values::Kind;
use crate::db::{Db, Error, Json, Statement};

/// What is stored of one agent beside its credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AgentRow {
    /// The fingerprint of the master key that wraps the data key.
    pub(super) key_id: String,
    /// The data key, wrapped.
    pub(super) wrapped_key: Vec<u8>,
    /// Moved on by every change of a credential.
    pub(super) revision: u64,
}

/// One credential as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct CredentialRow {
    pub(super) name: String,
    pub(super) ciphertext: Vec<u8>,
    /// Microseconds since 1970.
    pub(super) updated_at: i64,
}

/// What was given to a running agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Injection {
    /// Which of the agent's changes to its credentials it was.
    pub version: u64,
    /// When.
    pub at: DateTime<Utc>,
    /// The names of what was given.
    pub names: Vec<String>,
    /// Why what came later could not be given.
    pub error: Option<String>,
}

/// The tables.
#[derive(Debug, Clone)]
pub(super) struct Store(pub(super) Db);

impl Store {
    /// The fingerprint of the master key that everything is wrapped by; none before the first.
    pub(super) async fn fingerprint(&self) -> Result<Option<String>, Error> {
        let find = Statement::new("SELECT fingerprint FROM vault_master");
        Ok(self.0.fetch_column(find).await?.pop())
    }

    /// Stores the fingerprint of the first master key, unless there is one.
    pub(super) async fn begin(&self, fingerprint: &str, now: DateTime<Utc>) -> Result<(), Error> {
        let begin = Statement::new(
            "INSERT INTO vault_master (id, fingerprint, changed_at) VALUES (1, $1, $2) \
             ON CONFLICT (id) DO NOTHING",
        );
        self.0.execute(begin.with(fingerprint).with(now)).await?;
        Ok(())
    }

    pub(super) async fn agent(&self, incarnation: Uuid) -> Result<Option<AgentRow>, Error> {
        let find = "SELECT key_id, wrapped_key, revision FROM vault_agents WHERE incarnation = $1";
        let mut rows = self.0.query(Statement::new(find).with(incarnation)).await?;
        let Some(row) = rows.first_mut() else { return Ok(None) };
        Ok(Some(AgentRow { key_id: row.take()?, wrapped_key: row.take()?, revision: row.take()? }))
    }

    pub(super) async fn credentials(&self, incarnation: Uuid) -> Result<Vec<CredentialRow>, Error> {
        let find = "SELECT name, ciphertext, updated_at FROM vault_credentials \
                    WHERE incarnation = $1 ORDER BY name";
        let rows = self.0.query(Statement::new(find).with(incarnation)).await?;
        let read = |mut row: crate::db::Row| {
            let (name, ciphertext, updated_at) = (row.take()?, row.take()?, row.take()?);
            Ok(CredentialRow { name, ciphertext, updated_at })
        };
        rows.into_iter().map(read).collect()
    }

    /// Names and times of an agent's credentials.
    pub(super) async fn entries(&self, incarnation: Uuid) -> Result<Vec<(String, i64)>, Error> {
        let find = "SELECT name, updated_at FROM vault_credentials \
                    WHERE incarnation = $1 ORDER BY name";
        let rows = self.0.query(Statement::new(find).with(incarnation)).await?;
        rows.into_iter().map(|mut row| Ok((row.take()?, row.take()?))).collect()
    }

    /// Stores changes on top of what was read; `false` when it has changed meanwhile, or the master
    /// key has.
    pub(super) async fn change(
        &self,
        incarnation: Uuid,
        before: Option<&AgentRow>,
        new_key: Option<(&str, Vec<u8>)>,
        sealed: BTreeMap<String, Option<Vec<u8>>>,
        now: DateTime<Utc>,
    ) -> Result<bool, Error> {
        let mut statements = Vec::new();
        match (before, new_key) {
            (Some(before), _) => {
                let advance = "UPDATE vault_agents SET revision = revision + 1 \
                               WHERE incarnation = $1 AND revision = $2";
                let advance = Statement::new(advance).with(incarnation).with(before.revision);
                statements.push(advance.expecting(1));
            }
            (None, Some((key_id, wrapped))) => {
                statements.push(take_master(key_id));
                let insert = "INSERT INTO vault_agents \
                              (incarnation, key_id, wrapped_key, revision, created_at) \
                              VALUES ($1, $2, $3, 1, $4) ON CONFLICT (incarnation) DO NOTHING";
                let insert = Statement::new(insert).with(incarnation).with(key_id).with(wrapped);
                statements.push(insert.with(now).expecting(1));
            }
            (None, None) => return Ok(false),
        }
        for (name, ciphertext) in sealed {
            statements.push(match ciphertext {
                Some(ciphertext) => upsert(incarnation, name, ciphertext, now),
                None => Statement::new(
                    "DELETE FROM vault_credentials WHERE incarnation = $1 AND name = $2",
                )
                .with(incarnation)
                .with(name),
            });
        }
        self.0.transaction(statements).await
    }

    /// Removes everything of an agent, also from the pages of the file.
    pub(super) async fn destroy(&self, incarnation: Uuid) -> Result<(), Error> {
        let of = |table: &str| {
            let delete = format!("DELETE FROM {table} WHERE incarnation = $1");
            Statement::new(delete).with(incarnation)
        };
        self.0.transaction(vec![of("vault_agents"), of("vault_credentials")]).await?;
        self.0.scrub().await
    }

    /// Every agent that something is stored for.
    pub(super) async fn incarnations(&self) -> Result<Vec<Uuid>, Error> {
        let find = "SELECT incarnation FROM vault_agents ORDER BY incarnation";
        self.0.fetch_column(Statement::new(find)).await
    }

    pub(super) async fn injection(&self, incarnation: Uuid) -> Result<Option<Injection>, Error> {
        let find = "SELECT injected_version, injected_at, injected_names, injection_error FROM vault_agents \
                    WHERE incarnation = $1 AND injected_at IS NOT NULL";
        let mut rows = self.0.query(Statement::new(find).with(incarnation)).await?;
        let Some(row) = rows.first_mut() else { return Ok(None) };
        let (version, at, names): (u64, _, Json<Vec<String>>) =
            (row.take()?, row.take()?, row.take()?);
        Ok(Some(Injection { version, at, names: names.0, error: row.take()? }))
    }

    pub(super) async fn record_injection(
        &self,
        incarnation: Uuid,
        injection: &Injection,
    ) -> Result<(), Error> {
        let update = "UPDATE vault_agents SET injected_version = $2, injected_at = $3, \
                      injected_names = $4, injection_error = $5 WHERE incarnation = $1";
        let update = Statement::new(update).with(incarnation).with(injection.version);
        let update = update.with(injection.at).with(Json(injection.names.clone()));
        let update = update.with(injection.error.clone());
        self.0.execute(update).await?;
        Ok(())
    }
}

/// Takes the row of the master key, if it still is that one: nobody rotates it meanwhile.
pub(super) fn take_master(fingerprint: &str) -> Statement {
    let take = "UPDATE vault_master SET fingerprint = fingerprint WHERE fingerprint = $1";
    Statement::new(take).with(fingerprint).expecting(1)
}

fn upsert(incarnation: Uuid, name: String, ciphertext: Vec<u8>, now: DateTime<Utc>) -> Statement {
    Statement::new(
        "INSERT INTO vault_credentials (incarnation, name, ciphertext, updated_at) \
         VALUES ($1, $2, $3, $4) ON CONFLICT (incarnation, name) \
         DO UPDATE SET ciphertext = excluded.ciphertext, updated_at = excluded.updated_at",
    )
    .with(incarnation)
    .with(name)
    .with(ciphertext)
    .with(now)
}

/// What a stored name is, which was checked before it was stored.
pub(super) fn kind_of(name: &str) -> Kind {
    name.parse::<super::CredentialName>().map_or(Kind::File, |name| name.kind())
}
