//! Who is calling.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use uuid::Uuid;

use crate::api::error::{ApiError, Result};
use crate::api::request_id::RequestId;
use crate::commands::reports::LifeRef;
use crate::domain::account::Role;
use crate::domain::{AccountId, Actor, Metadata};

/// On whose behalf a request is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// A person.
    User {
        /// The account.
        id: AccountId,
        /// Its name.
        name: String,
        /// What it may do.
        role: Role,
    },
    /// An agent, by its own key.
    Agent(LifeRef),
    /// The server's own agent, by a key of scope `system`.
    System,
}

/// The caller of a request, once the request has passed the authorization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// On whose behalf.
    pub identity: Identity,
    /// The request, which all that follows from it is correlated by.
    pub request_id: RequestId,
    /// How the caller showed who it is.
    pub credential: Credential,
}

/// What a caller shows, as far as it must be kept to look again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// A session, by the SHA-256 of its token.
    Session(String),
    /// An API key, by its account.
    Key(AccountId),
    /// The token in the data directory: whoever can read it is who runs the server.
    LocalToken,
}

impl Caller {
    /// Who is recorded beside every event that follows.
    pub fn actor(&self) -> Actor {
        match &self.identity {
            Identity::User { id, .. } => Actor::User(*id),
            Identity::Agent(life) => Actor::Agent(life.name.clone()),
            Identity::System => Actor::System,
        }
    }

    /// The metadata of one command of this request.
    pub fn metadata(&self) -> Metadata {
        Metadata {
            actor: self.actor().to_string(),
            correlation_id: self.request_id.to_string(),
            causation_id: None,
            command_id: Uuid::now_v7().to_string(),
            body_sha256: None,
            traceparent: self.request_id.traceparent(),
        }
    }

    /// The metadata of a command whose stream's id derives from an idempotency key.
    pub fn metadata_with_body(&self, body_sha256: &str) -> Metadata {
        Metadata { body_sha256: Some(body_sha256.to_owned()), ..self.metadata() }
    }

    /// The person, when one calls.
    pub fn user_id(&self) -> Option<AccountId> {
        match &self.identity {
            Identity::User { id, .. } => Some(*id),
            Identity::Agent(_) | Identity::System => None,
        }
    }

    /// Whether every check passes.
    pub fn is_admin(&self) -> bool {
        matches!(self.identity, Identity::System | Identity::User { role: Role::Admin, .. })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self> {
        passed(parts)
    }
}

/// What the authorization has left for the handler.
pub(super) fn passed<T: Clone + Send + Sync + 'static>(parts: &Parts) -> Result<T> {
    parts.extensions.get().cloned().ok_or_else(|| {
        let missing = std::any::type_name::<T>();
        ApiError::internal(&anyhow::anyhow!("{} gives its handler no {missing}", parts.uri.path()))
    })
}
