//! Who is calling, and what they may do.

mod access;
mod caller;
mod deleted;
mod gate;
mod identify;
mod origins;
pub mod password;
mod setup;

pub use access::{
    Level, OnAgent, Rights, TABLE, authorize, level, no_agent, no_execution, on_name, on_origin,
    permission_denied, require_owner, rights_on,
};
pub use caller::{Caller, Credential, Identity};
pub use gate::Gate;
pub use identify::{SESSION_COOKIE, authenticate, identify};
pub use origins::{Origin, Origins};
pub use setup::{FIRST_USER, LOCAL_TOKEN_FILE, Setup};
pub(super) use setup::{done, is_set_up, make_first_user};
