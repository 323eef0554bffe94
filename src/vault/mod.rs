//! The vault: credentials of agents, encrypted before they are stored.
//!
//! Every agent has a data key of its own, wrapped by the master key; each value is sealed by the data
//! key for that life of the agent and that name alone. Destroying the row of a data key makes every
//! copy of the agent's ciphertexts useless, also those in backups that hold no keys. Values are
//! opened in memory only, for those who give them to an agent or look for them in its output.

pub mod cipher;
mod copies;
pub mod env_file;
pub mod master;
mod rotate;
mod store;
mod values;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use chrono::{DateTime, Utc};
use tokio::sync::{Mutex, OwnedMutexGuard};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::config::Secret;
use crate::data_dir::DataDir;
use crate::db::Db;
use crate::redis::Redis;

pub use cipher::Key;
pub use master::{Master, Source};
pub use rotate::{Rotated, rotate};
pub use store::Injection;
pub use values::{
    API_KEY_VARIABLE, CREDENTIALS_MAX, Changes, CredentialName, Credentials, ENV_FILE, Entry,
    InvalidName, Kind, NAME_BYTES_MAX, SecretText, VALUE_BYTES_MAX, VALUES_BYTES_MAX,
};

use cipher::{Purpose, SEALED_EXTRA_BYTES};
use copies::Copies;
use store::{AgentRow, CredentialRow, Store};

/// How often a change is tried on top of what others have stored meanwhile.
const ATTEMPTS_MAX: usize = 16;

/// How many agents' credentials are changed at the same time.
const LANES: usize = 32;

/// Why the vault did not do it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database did not.
    #[error(transparent)]
    Db(#[from] crate::db::Error),
    /// Something stored does not open.
    #[error("{} of agent incarnation {incarnation} cannot be opened", sealed(.name))]
    Damaged {
        /// Whose it is.
        incarnation: Uuid,
        /// Which one; the data key itself when it is empty.
        name: String,
        /// Why.
        #[source]
        source: cipher::Sealed,
    },
    /// The master key was rotated while this server ran.
    #[error(
        "the master key was rotated since this server was started: start it again with the new one"
    )]
    Rotated,
    /// Too many credentials, or too large.
    #[error("{0}")]
    Bounds(String),
    /// Others changed the same agent again and again.
    #[error("the credentials of this agent are being changed by somebody else; try again")]
    Busy,
}

impl Error {
    /// Whether the same may succeed later, as it is.
    pub fn is_away(&self) -> bool {
        matches!(self, Self::Db(crate::db::Error::Unavailable(_)) | Self::Busy)
    }
}

/// The vault of this installation. A clone is another handle to the same.
#[derive(Debug, Clone)]
pub struct Vault {
    store: Store,
    master: Key,
    fingerprint: Arc<str>,
    /// Moved on whenever values may be new to whoever looks for them in output.
    generation: Arc<AtomicU64>,
    lanes: Arc<[Arc<Mutex<()>>; LANES]>,
    copies: Option<Copies>,
}

impl Vault {
    /// Opens the vault in a database; the first start makes the master key.
    ///
    /// # Errors
    /// When there is no master key, or another one than the database was made with.
    pub async fn open(
        db: Db,
        variable: Option<&Secret>,
        data_dir: &DataDir,
        now: DateTime<Utc>,
    ) -> anyhow::Result<Self> {
        let store = Store(db);
        let known = store.fingerprint().await?;
        let mut master = Master::find(variable, data_dir, known.as_deref())?;
        if known.is_none() {
            store.begin(&master.key.fingerprint(), now).await?;
            // Another node may have begun at the same time.
            let known = store.fingerprint().await?;
            master = Master::find(variable, data_dir, known.as_deref())?;
        }
        Ok(Self::on(store, master.key))
    }

    fn on(store: Store, master: Key) -> Self {
        let fingerprint = master.fingerprint().into();
        Self {
            store,
            master,
            fingerprint,
            generation: Arc::default(),
            lanes: Arc::default(),
            copies: None,
        }
    }

    /// Lets a Redis hold copies of what is stored, sealed as it is.
    #[must_use]
    pub fn with_copies(self, redis: Option<Redis>) -> Self {
        Self { copies: redis.map(Copies::new), ..self }
    }

    /// Waits until nobody else of this process changes the credentials of that agent, and keeps
    /// them from it: what is stored and what the log says of it change together.
    pub async fn alone(&self, incarnation: Uuid) -> OwnedMutexGuard<()> {
        let lane = usize::try_from(incarnation.as_u128() % LANES as u128).unwrap_or_default();
        Arc::clone(&self.lanes[lane]).lock_owned().await
    }

    /// Names the master key without telling it.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Changes credentials of one life of an agent, all or nothing; repeating it changes nothing
    /// but times.
    ///
    /// # Errors
    /// [`Error::Bounds`] when there would be too many, or they would be too large.
    pub async fn change(
        &self,
        incarnation: Uuid,
        changes: &Changes,
        now: DateTime<Utc>,
    ) -> Result<(), Error> {
        for _ in 0..ATTEMPTS_MAX {
            let before = self.store.agent(incarnation).await?;
            let (data_key, new_key) = if let Some(row) = &before {
                (self.unwrap(incarnation, row)?, None)
            } else {
                let key = Key::generate();
                let purpose = Purpose::DataKey { incarnation };
                let wrapped = self.master.seal(purpose, key.expose());
                let wrapped = wrapped.map_err(damaged(incarnation, ""))?;
                (key, Some((&*self.fingerprint, wrapped)))
            };
            let sealed = seal(&data_key, incarnation, changes)?;
            self.check_bounds(incarnation, changes).await?;
            let stored = self.store.change(incarnation, before.as_ref(), new_key, sealed, now);
            if stored.await? {
                if self.copies.is_some() {
                    let revision = before.map_or(0, |before| before.revision) + 1;
                    self.rows(incarnation, revision).await?;
                }
                self.generation.fetch_add(1, Ordering::Release);
                return Ok(());
            }
            if self.store.fingerprint().await?.as_deref() != Some(&*self.fingerprint) {
                return Err(Error::Rotated);
            }
        }
        Err(Error::Busy)
    }

    /// Opens every credential of one life of an agent.
    ///
    /// # Errors
    /// [`Error::Damaged`] when one does not open: nothing is given out in part.
    pub async fn read(&self, incarnation: Uuid) -> Result<Credentials, Error> {
        let Some(row) = self.store.agent(incarnation).await? else {
            return Ok(Credentials::default());
        };
        let data_key = self.unwrap(incarnation, &row)?;
        let mut credentials = Credentials::default();
        for row in self.rows(incarnation, row.revision).await? {
            let value = open(&data_key, incarnation, &row)?;
            if row.name == API_KEY_VARIABLE {
                credentials.api_key = Some(value);
                continue;
            }
            let name =
                row.name.parse().map_err(|_| damaged(incarnation, &row.name)(cipher::Sealed));
            credentials.given.insert(name?, value);
        }
        Ok(credentials)
    }

    /// Stores the own API key of one life of an agent in place of the one of before.
    pub async fn set_api_key(
        &self,
        incarnation: Uuid,
        api_key: SecretText,
        now: DateTime<Utc>,
    ) -> Result<(), Error> {
        let changes = Changes::from([(CredentialName::api_key(), Some(api_key))]);
        self.change(incarnation, &changes, now).await
    }

    /// The sealed credentials at a revision or a later one, from a copy where there is one.
    async fn rows(&self, incarnation: Uuid, revision: u64) -> Result<Vec<CredentialRow>, Error> {
        let Some(copies) = &self.copies else {
            return Ok(self.store.credentials(incarnation).await?);
        };
        if let Some(rows) = copies.get(incarnation, revision).await {
            return Ok(rows);
        }
        let rows = self.store.credentials(incarnation).await?;
        // Rows that were changed while they were read are of no one revision.
        let after = self.store.agent(incarnation).await?;
        if after.is_some_and(|after| after.revision == revision) {
            copies.put(incarnation, revision, &rows).await;
        }
        Ok(rows)
    }

    /// Names and times of the credentials that one life was given; nothing is opened for it.
    pub async fn entries(&self, incarnation: Uuid) -> Result<Vec<Entry>, Error> {
        let rows = self.store.entries(incarnation).await?;
        let rows = rows.into_iter().filter(|(name, _)| name != API_KEY_VARIABLE);
        let entry = |(name, updated_at): (String, i64)| Entry {
            kind: store::kind_of(&name),
            name,
            updated_at: DateTime::from_timestamp_micros(updated_at).unwrap_or_default(),
        };
        Ok(rows.map(entry).collect())
    }

    /// Removes everything of one life of an agent, its data key first of all. Removing what is gone
    /// is a no-op.
    pub async fn destroy(&self, incarnation: Uuid) -> Result<(), Error> {
        self.store.destroy(incarnation).await?;
        if let Some(copies) = &self.copies {
            copies.remove(incarnation).await;
        }
        Ok(())
    }

    /// What was last given to the running agent.
    pub async fn injection(&self, incarnation: Uuid) -> Result<Option<Injection>, Error> {
        Ok(self.store.injection(incarnation).await?)
    }

    /// Keeps what was given to the running agent.
    pub async fn record_injection(
        &self,
        incarnation: Uuid,
        injection: &Injection,
    ) -> Result<(), Error> {
        Ok(self.store.record_injection(incarnation, injection).await?)
    }

    /// Says that values are about to be given to an agent that this process did not store itself.
    pub fn announce(&self) {
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// A number that moves on before an agent can know a value that it did not know.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    fn unwrap(&self, incarnation: Uuid, row: &AgentRow) -> Result<Key, Error> {
        if row.key_id != *self.fingerprint {
            return Err(Error::Rotated);
        }
        unwrap(&self.master, incarnation, &row.wrapped_key)
    }

    async fn check_bounds(&self, incarnation: Uuid, changes: &Changes) -> Result<(), Error> {
        let mut all = BTreeMap::new();
        for CredentialRow { name, ciphertext, .. } in self.store.credentials(incarnation).await? {
            all.insert(name, ciphertext.len().saturating_sub(SEALED_EXTRA_BYTES));
        }
        for (name, value) in changes {
            match value {
                Some(value) => all.insert(name.to_string(), value.expose().len()),
                None => all.remove(name.as_str()),
            };
        }
        all.remove(API_KEY_VARIABLE);
        let bounds = |text: String| Err(Error::Bounds(text));
        if let Some((name, bytes)) = all.iter().find(|(_, bytes)| **bytes > VALUE_BYTES_MAX) {
            return bounds(format!("{name} has {bytes} bytes; at most {VALUE_BYTES_MAX}"));
        }
        if all.len() > CREDENTIALS_MAX {
            return bounds(format!("an agent has at most {CREDENTIALS_MAX} credentials"));
        }
        if all.values().sum::<usize>() > VALUES_BYTES_MAX {
            return bounds(format!("an agent's credentials have at most {VALUES_BYTES_MAX} bytes"));
        }
        Ok(())
    }
}

/// What does not open, in words.
fn sealed(name: &str) -> String {
    if name.is_empty() { "the data key".to_owned() } else { format!("credential {name}") }
}

fn damaged(incarnation: Uuid, name: &str) -> impl FnOnce(cipher::Sealed) -> Error {
    let name = name.to_owned();
    move |source| Error::Damaged { incarnation, name, source }
}

fn unwrap(master: &Key, incarnation: Uuid, wrapped: &[u8]) -> Result<Key, Error> {
    let opened = master.open(Purpose::DataKey { incarnation }, wrapped);
    let opened = opened.map_err(damaged(incarnation, ""))?;
    Key::from_bytes(&opened).ok_or_else(|| damaged(incarnation, "")(cipher::Sealed))
}

fn seal(
    data_key: &Key,
    incarnation: Uuid,
    changes: &Changes,
) -> Result<BTreeMap<String, Option<Vec<u8>>>, Error> {
    let one = |(name, value): (&CredentialName, &Option<SecretText>)| {
        let name = name.as_str();
        let sealed = value.as_ref().map(|value| {
            let sealed =
                data_key.seal(Purpose::Credential { incarnation, name }, value.expose().as_bytes());
            sealed.map_err(damaged(incarnation, name))
        });
        Ok((name.to_owned(), sealed.transpose()?))
    };
    changes.iter().map(one).collect()
}

fn open(data_key: &Key, incarnation: Uuid, row: &CredentialRow) -> Result<SecretText, Error> {
    let name = &row.name;
    let bytes = data_key.open(Purpose::Credential { incarnation, name }, &row.ciphertext);
    let bytes: Zeroizing<Vec<u8>> = bytes.map_err(damaged(incarnation, name))?;
    let text = str::from_utf8(&bytes).map_err(|_| damaged(incarnation, name)(cipher::Sealed))?;
    Ok(SecretText::from(text.to_owned()))
}
