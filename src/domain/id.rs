//! Typed identifiers, so that an execution can never be passed where an incarnation is meant.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A text that should have been a UUID.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a UUID")]
pub struct InvalidId(pub String);

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Uuid::parse_str(text).map(Self).map_err(|_| InvalidId(text.to_owned()))
            }
        }
    };
}

uuid_id!(
    /// Names one event for ever; made by the node that appends it.
    EventId
);
uuid_id!(
    /// Names one run of a task: a UUIDv7, or a UUIDv8 derived from an idempotency key.
    ExecutionId
);
uuid_id!(
    /// Names one life of an agent name: deleted and created again, the name has a new incarnation.
    IncarnationId
);
uuid_id!(
    /// Names a user (derived from the lowercase name, so names are unique) or an API key.
    AccountId
);
