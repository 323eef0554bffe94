//! Users and keys.

use super::report::Invariant;
use super::row::Entry;
use super::world::World;

/// What an account is, as its events tell it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Absent,
    User,
    Key,
    Revoked,
    DeletedKey,
}

#[derive(Debug, Default)]
pub(super) struct Account {
    pub(super) version: i64,
    state: State,
}

pub(super) fn observe(world: &mut World, entry: &Entry<'_>) {
    let account = world.accounts.entry(entry.stream_uuid()).or_default();
    let before = account.state;
    let (needed, next) = match entry.row.event_type.as_str() {
        "UserCreated" => (State::Absent, State::User),
        "UserDeleted" => (State::User, State::Absent),
        "ApiKeyCreated" => (State::Absent, State::Key),
        "ApiKeyRevoked" => (State::Key, State::Revoked),
        // One that was revoked before goes the same way.
        "ApiKeyDeleted" if before == State::Revoked => (State::Revoked, State::DeletedKey),
        "ApiKeyDeleted" => (State::Key, State::DeletedKey),
        _ => (State::User, State::User),
    };
    account.state = next;
    let is_bound = entry.row.event_type != "ApiKeyCreated" || is_bound(entry);
    world.tally.check(Invariant::Accounts, entry.row, before == needed, || {
        format!("it may not come while the account is {before:?}")
    });
    world.tally.check(Invariant::Accounts, entry.row, is_bound, || {
        "a key of scope agent names an agent and its life, and no other key does".to_owned()
    });
}

fn is_bound(entry: &Entry<'_>) -> bool {
    let is_agents = entry.text("scope") == "agent";
    let named =
        (entry.optional_text("agent").is_some(), entry.optional_id("incarnation").is_some());
    named == (is_agents, is_agents)
}
