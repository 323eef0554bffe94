//! Ids that derive from what they stand for, so that the repeat of a request meets what the first
//! one made: no index is needed to find it.

use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::domain::{AccountId, ExecutionId, IncarnationId};

/// A request that may come twice: who sends it, where to, and the sender's own word for it.
#[derive(Debug, Clone, Copy)]
pub struct IdempotencyKey<'a> {
    /// The caller, as an [`Actor`](crate::domain::Actor) prints it.
    pub caller: &'a str,
    /// The route with its parameters filled in, such as `/api/agents/scout/task`.
    pub route: &'a str,
    /// The value of `Idempotency-Key`.
    pub key: &'a str,
}

impl IdempotencyKey<'_> {
    /// The id of the request.
    pub fn id(&self) -> Uuid {
        uuid_v8(&[self.caller, self.route, self.key])
    }

    /// What tells the request from others under the same key. The key is part of it, so that a
    /// password in the body cannot be guessed from it.
    pub fn fingerprint(&self, body_sha256: &str) -> String {
        sha256_hex(digest(&["fingerprint", self.caller, self.route, self.key, body_sha256]))
    }

    /// 32 bytes that follow from the key and a salt that is kept in secret, and from neither alone.
    pub fn secret(&self, salt: &str) -> [u8; 32] {
        digest(&["secret", salt, self.caller, self.route, self.key])
    }
}

/// The id of an execution: derived from the key, or a new one.
pub fn execution_id(key: Option<IdempotencyKey<'_>>) -> ExecutionId {
    ExecutionId(derived_or_new(key))
}

/// The id of a life of an agent: derived from the key, or a new one.
pub fn incarnation_id(key: Option<IdempotencyKey<'_>>) -> IncarnationId {
    IncarnationId(derived_or_new(key))
}

/// The id of a user: derived from the name without regard to case, so that no two have the same.
pub fn user_id(name: &str) -> AccountId {
    AccountId(uuid_v8(&["user", &name.to_lowercase()]))
}

/// The id of an API key: derived from the key itself, so that it is found without an index.
pub fn api_key_id(secret: &str) -> AccountId {
    AccountId(uuid_v8(&["api-key", secret]))
}

/// SHA-256 in hexadecimal, as digests are recorded.
pub fn sha256_hex(bytes: impl AsRef<[u8]>) -> String {
    hex::encode(Sha256::digest(bytes))
}

fn derived_or_new(key: Option<IdempotencyKey<'_>>) -> Uuid {
    match key {
        Some(key) => key.id(),
        None => Uuid::now_v7(),
    }
}

/// A UUIDv8 from the digest of the parts; each with its length, so that no two lists meet.
fn uuid_v8(parts: &[&str]) -> Uuid {
    let digest = digest(parts);
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    Uuid::new_v8(bytes)
}

fn digest(parts: &[&str]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part.len().to_be_bytes());
        hasher.update(part);
    }
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key<'a>(caller: &'a str, route: &'a str, key: &'a str) -> IdempotencyKey<'a> {
        IdempotencyKey { caller, route, key }
    }

    #[test]
    fn the_same_key_gives_the_same_id_and_any_other_another() {
        let id = execution_id(Some(key("user:1", "/a", "k")));
        assert_eq!(id, execution_id(Some(key("user:1", "/a", "k"))));
        for other in [("user:2", "/a", "k"), ("user:1", "/b", "k"), ("user:1", "/ak", "")] {
            assert_ne!(id, execution_id(Some(key(other.0, other.1, other.2))));
        }
        assert_ne!(execution_id(None), execution_id(None));
        assert_eq!(id.0.get_version_num(), 8);
    }

    #[test]
    fn a_secret_needs_both_the_key_and_the_salt() {
        let secret = key("user:1", "/a", "k").secret("salt");
        assert_eq!(secret, key("user:1", "/a", "k").secret("salt"));
        assert_ne!(secret, key("user:1", "/a", "k").secret("other"));
        assert_ne!(secret, key("user:1", "/a", "j").secret("salt"));
    }

    #[test]
    fn user_names_are_one_in_any_case() {
        assert_eq!(user_id("Ada"), user_id("ADA"));
        assert_ne!(user_id("ada"), user_id("eve"));
    }

    #[test]
    fn digests_are_the_well_known_ones() {
        assert!(sha256_hex("abc").starts_with("ba7816bf8f01cfea"));
    }
}
