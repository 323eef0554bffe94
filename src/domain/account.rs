//! An account: a user, or an API key of one.
//!
//! ```text
//! Absent ─CreateUser→ User ─DeleteUser→ Absent
//! Absent ─CreateKey→ Key ─RevokeKey→ Revoked       Key | Revoked ─DeleteKey→ DeletedKey
//! ```
//!
//! A user's stream id derives from the lowercase name, so two users of one name cannot be appended.
//! Password hashes are never in the log; a key's digest is, the key itself is shown once.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{AccountId, AgentName, Decider, Event, IncarnationId, StreamType, aggregate};

/// The longest user name or key name, in characters.
pub const ACCOUNT_NAME_LENGTH_MAX: usize = 64;

/// What can be asked of an account.
#[derive(Debug, Clone, PartialEq)]
pub enum AccountCommand {
    /// Makes a user.
    CreateUser { name: String, role: Role },
    /// Gives a user another role.
    ChangeRole { role: Role },
    /// Removes a user.
    DeleteUser,
    /// Says that a user's password is another one now.
    RecordPasswordChanged,
    /// Makes an API key.
    CreateKey(Box<Key>),
    /// Ends an API key.
    RevokeKey,
    /// Ends an API key and takes it out of every list.
    DeleteKey,
}

/// What has happened to an account.
#[derive(
    Debug, Clone, PartialEq, Serialize, Deserialize, strum::IntoStaticStr, strum::VariantNames,
)]
pub enum AccountEvent {
    UserCreated { name: String, role: Role },
    UserRoleChanged { role: Role },
    UserDeleted {},
    PasswordChanged {},
    ApiKeyCreated(Box<Key>),
    ApiKeyRevoked {},
    ApiKeyDeleted {},
}

/// Why a command to an account is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AccountError {
    /// No such account.
    #[error("there is no such account")]
    NotFound,
    /// The name is taken.
    #[error("an account of this name exists already")]
    AlreadyExists,
    /// A name nobody could type or show.
    #[error(
        "names have 1 to {ACCOUNT_NAME_LENGTH_MAX} characters, none of them a control character"
    )]
    InvalidName,
    /// A key bound to no life of an agent, or an agent where none belongs.
    #[error("a key of scope `agent` names its agent and that agent's life, and no other key does")]
    ScopeMismatch,
}

/// What a user may do.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    strum::IntoStaticStr,
    strum::EnumString,
    strum::VariantNames,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Role {
    /// Everything.
    Admin,
    /// What the user owns or was let in on.
    User,
}

/// On whose behalf a key acts.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    strum::IntoStaticStr,
    strum::EnumString,
    strum::VariantNames,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Scope {
    /// Its owner.
    User,
    /// One agent.
    Agent,
    /// The system agent.
    System,
}

/// An API key as recorded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Key {
    /// The owner's word for it.
    pub name: String,
    /// The owner's longer words for it.
    #[serde(default)]
    pub description: Option<String>,
    /// Who made it.
    pub owner: AccountId,
    /// On whose behalf it acts.
    pub scope: Scope,
    /// The agent it acts as.
    #[serde(default)]
    pub agent: Option<AgentName>,
    /// The life of that agent; the key ends with it.
    #[serde(default)]
    pub incarnation: Option<IncarnationId>,
    /// Its first characters, to recognise it by.
    pub prefix: String,
    /// SHA-256 of the key in hexadecimal.
    pub sha256: String,
    /// When it ends by itself.
    #[serde(default)]
    pub expires_at: Option<DateTime<Utc>>,
}

/// The state of an account.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub enum Account {
    /// No such account, or a deleted one.
    #[default]
    Absent,
    /// A user.
    User {
        /// As typed at creation.
        name: String,
        /// What the user may do.
        role: Role,
    },
    /// A key that works.
    Key(Box<Key>),
    /// A key that no longer works.
    Revoked,
    /// A key that no longer works nor shows; none of this id is ever made again.
    DeletedKey,
}

fn check_name(name: &str) -> Result<(), AccountError> {
    let length = name.chars().count();
    let fits = (1..=ACCOUNT_NAME_LENGTH_MAX).contains(&length);
    if fits && name.trim() == name && !name.chars().any(char::is_control) {
        Ok(())
    } else {
        Err(AccountError::InvalidName)
    }
}

impl Decider for Account {
    const STREAM: StreamType = StreamType::Account;

    fn decide(&self, command: AccountCommand) -> Result<Vec<AccountEvent>, AccountError> {
        use AccountCommand as C;
        use AccountEvent as E;
        match (command, self) {
            (C::CreateUser { name, role }, Self::Absent) => {
                check_name(&name)?;
                Ok(vec![E::UserCreated { name, role }])
            }
            (C::CreateKey(key), Self::Absent) => {
                check_name(&key.name)?;
                let bound = (key.agent.is_some(), key.incarnation.is_some());
                if bound != (key.scope == Scope::Agent, key.scope == Scope::Agent) {
                    return Err(AccountError::ScopeMismatch);
                }
                Ok(vec![E::ApiKeyCreated(key)])
            }
            (C::CreateUser { .. } | C::CreateKey(_), _) => Err(AccountError::AlreadyExists),
            (C::ChangeRole { role }, Self::User { role: current, .. }) => {
                let changed = role != *current;
                Ok(changed.then_some(E::UserRoleChanged { role }).into_iter().collect())
            }
            (C::DeleteUser, Self::User { .. }) => Ok(vec![E::UserDeleted {}]),
            (C::RecordPasswordChanged, Self::User { .. }) => Ok(vec![E::PasswordChanged {}]),
            (C::RevokeKey, Self::Key(_)) => Ok(vec![E::ApiKeyRevoked {}]),
            (C::RevokeKey, Self::Revoked) => Ok(vec![]),
            (C::DeleteKey, Self::Key(_) | Self::Revoked) => Ok(vec![E::ApiKeyDeleted {}]),
            (
                C::ChangeRole { .. }
                | C::DeleteUser
                | C::RecordPasswordChanged
                | C::RevokeKey
                | C::DeleteKey,
                Self::Absent | Self::User { .. } | Self::Key(_) | Self::Revoked | Self::DeletedKey,
            ) => Err(AccountError::NotFound),
        }
    }

    fn evolve(&mut self, event: &AccountEvent) {
        use AccountEvent as E;
        match event {
            E::UserCreated { name, role } => *self = Self::User { name: name.clone(), role: *role },
            E::UserRoleChanged { role: new } => {
                if let Self::User { role, .. } = self {
                    *role = *new;
                }
            }
            E::UserDeleted {} => *self = Self::Absent,
            E::PasswordChanged {} => {}
            E::ApiKeyCreated(key) => *self = Self::Key(key.clone()),
            E::ApiKeyRevoked {} => *self = Self::Revoked,
            E::ApiKeyDeleted {} => *self = Self::DeletedKey,
        }
    }

    fn wrap(event: AccountEvent) -> Event {
        Event::Account(event)
    }

    fn unwrap(event: &Event) -> Option<&AccountEvent> {
        if let Event::Account(event) = event { Some(event) } else { None }
    }
}

aggregate!(Account, AccountCommand, AccountEvent, AccountError);

#[cfg(test)]
mod tests;
