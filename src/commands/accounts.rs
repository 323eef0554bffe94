//! Users and API keys.

use chrono::{DateTime, Utc};
use rand::Rng as _;

use super::reports::LifeRef;
use super::{Refusal, Result, ids};
use crate::domain::account::{Account, AccountCommand, AccountEvent, Key, Role, Scope};
use crate::domain::{AccountId, Event, Metadata, StreamId};
use crate::event_log::{Decision, EventLog, LogError, Plan, Receipt};

/// What every API key begins with.
pub const API_KEY_PREFIX: &str = "trinity_mcp_";

/// How many random bytes an API key holds.
const API_KEY_BYTES: usize = 32;

/// How many events of an account are read at once.
const PAGE_EVENTS_MAX: usize = 1_000;

/// How many characters of a key are recorded, to recognise it by.
const SHOWN_CHARACTERS: usize = API_KEY_PREFIX.len() + 6;

/// A key to be made.
#[derive(Debug, Clone)]
pub struct NewKey {
    /// The owner's word for it.
    pub name: String,
    /// The owner's longer words for it.
    pub description: Option<String>,
    /// Who makes it.
    pub owner: AccountId,
    /// On whose behalf it acts.
    pub scope: Scope,
    /// The life it acts as, with scope `agent`.
    pub agent: Option<LifeRef>,
    /// When it ends by itself.
    pub expires_at: Option<DateTime<Utc>>,
}

/// A key that was made; the only time its text is seen.
pub struct IssuedKey {
    /// Its id, under which it is revoked.
    pub id: AccountId,
    /// The key itself.
    pub api_key: String,
    /// Where the log says so.
    pub receipt: Receipt,
}

/// Makes an API key: `trinity_mcp_` and 32 random bytes in base64url.
///
/// Its id derives from its text, so it is found without an index and works as soon as the event is
/// in the log; what is recorded is its digest.
pub async fn issue_key(log: &EventLog, new: NewKey, metadata: Metadata) -> Result<IssuedKey> {
    issue_key_of(log, new, &random_text(), metadata).await
}

/// Makes the API key of that secret; a second time it exists already.
pub async fn issue_key_of(
    log: &EventLog,
    new: NewKey,
    secret: &str,
    metadata: Metadata,
) -> Result<IssuedKey> {
    let api_key = api_key_of(secret);
    let id = ids::api_key_id(&api_key);
    let (agent, incarnation) = new.agent.map(|life| (life.name, life.incarnation)).unzip();
    let key = Key {
        name: new.name,
        description: new.description,
        owner: new.owner,
        scope: new.scope,
        agent,
        incarnation,
        prefix: api_key.chars().take(SHOWN_CHARACTERS).collect(),
        sha256: ids::sha256_hex(&api_key),
        expires_at: new.expires_at,
    };
    let receipt = execute(log, id, AccountCommand::CreateKey(Box::new(key)), metadata).await?;
    Ok(IssuedKey { id, api_key, receipt })
}

/// The API key of a secret.
pub fn api_key_of(secret: &str) -> String {
    format!("{API_KEY_PREFIX}{secret}")
}

/// The API key of that id as it was made, whether it still works or not.
///
/// # Errors
/// When the log cannot be read.
pub async fn key(log: &EventLog, id: AccountId) -> std::result::Result<Option<Key>, LogError> {
    match log.state::<Account>(id).await?.state {
        Account::Key(key) => return Ok(Some(*key)),
        Account::Absent | Account::User { .. } | Account::DeletedKey => return Ok(None),
        Account::Revoked => {}
    }
    let first = log.stream(&StreamId::of::<Account>(id), 0, 1).await?.pop();
    Ok(first.and_then(|first| match &first.event {
        Event::Account(AccountEvent::ApiKeyCreated(key)) => Some((**key).clone()),
        _ => None,
    }))
}

/// Where in the log the account was changed first, by the command of that id if one is named.
///
/// # Errors
/// When the log cannot be read.
pub async fn changed_at(
    log: &EventLog,
    id: AccountId,
    command_id: Option<&str>,
) -> std::result::Result<Option<i64>, LogError> {
    let stream = StreamId::of::<Account>(id);
    let mut version = 0;
    loop {
        let page = log.stream(&stream, version, PAGE_EVENTS_MAX).await?;
        let Some(last) = page.last() else { return Ok(None) };
        version = last.version;
        let is_it = |of: &str| command_id.is_none_or(|command_id| command_id == of);
        if let Some(found) = page.iter().find(|recorded| is_it(&recorded.metadata.command_id)) {
            return Ok(Some(found.position));
        }
    }
}

/// Ends an API key and takes it out of every list.
pub async fn delete_key(log: &EventLog, id: AccountId, metadata: Metadata) -> Result<Receipt> {
    execute(log, id, AccountCommand::DeleteKey, metadata).await
}

/// Ends an API key.
pub async fn revoke_key(log: &EventLog, id: AccountId, metadata: Metadata) -> Result<Receipt> {
    execute(log, id, AccountCommand::RevokeKey, metadata).await
}

/// Makes a user; the name decides the id, so a second one of the name is refused.
pub async fn create_user(
    log: &EventLog,
    name: String,
    role: Role,
    metadata: Metadata,
) -> Result<Receipt> {
    let id = ids::user_id(&name);
    execute(log, id, AccountCommand::CreateUser { name, role }, metadata).await
}

/// Records that a user has another password now.
pub async fn record_password_changed(
    log: &EventLog,
    id: AccountId,
    metadata: Metadata,
) -> Result<Receipt> {
    execute(log, id, AccountCommand::RecordPasswordChanged, metadata).await
}

/// Removes a user.
pub async fn delete_user(log: &EventLog, id: AccountId, metadata: Metadata) -> Result<Receipt> {
    execute(log, id, AccountCommand::DeleteUser, metadata).await
}

/// Text from 32 random bytes: an API key, a session, a one-time link.
pub fn random_text() -> String {
    let mut bytes = [0; API_KEY_BYTES];
    rand::rng().fill_bytes(&mut bytes);
    text_of(&bytes)
}

/// Bytes as the text of a secret.
pub fn text_of(bytes: &[u8; API_KEY_BYTES]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

async fn execute(
    log: &EventLog,
    id: AccountId,
    command: AccountCommand,
    metadata: Metadata,
) -> Result<Receipt> {
    let plan = Plan::new().stream::<Account>(id);
    let decide =
        move |d: &mut Decision<'_>| d.decide::<Account>(id, command.clone()).map_err(Refusal::from);
    Ok(log.transact(plan, metadata, decide).await?.1)
}
