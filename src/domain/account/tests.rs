//! Every command of an account in every state, and the frozen JSON.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a table names what stands out; all the rest answer alike"
)]

use strum::VariantNames;

use super::*;
use crate::domain::testing::{after, assert_frozen, at, given, id, incarnation, name};

use AccountCommand as C;
use AccountError as R;
use AccountEvent as E;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum In {
    Absent,
    User,
    DeletedUser,
    Key,
    RevokedKey,
    DeletedKey,
}

const STATES: [In; 6] =
    [In::Absent, In::User, In::DeletedUser, In::Key, In::RevokedKey, In::DeletedKey];

fn key() -> Box<Key> {
    Box::new(Key {
        name: "ci".into(),
        description: None,
        owner: id(10),
        scope: Scope::User,
        agent: None,
        incarnation: None,
        prefix: "trinity_mcp_ab".into(),
        sha256: "ab".repeat(32),
        expires_at: None,
    })
}

fn agent_key() -> Box<Key> {
    Box::new(Key {
        scope: Scope::Agent,
        agent: Some(name("scout")),
        incarnation: Some(incarnation(1)),
        ..*key()
    })
}

fn user() -> AccountEvent {
    E::UserCreated { name: "Ada".into(), role: Role::User }
}

fn history(state: In) -> Vec<AccountEvent> {
    match state {
        In::Absent => vec![],
        In::User => vec![user()],
        In::DeletedUser => vec![user(), E::UserDeleted {}],
        In::Key => vec![E::ApiKeyCreated(key())],
        In::RevokedKey => vec![E::ApiKeyCreated(key()), E::ApiKeyRevoked {}],
        In::DeletedKey => vec![E::ApiKeyCreated(key()), E::ApiKeyDeleted {}],
    }
}

#[track_caller]
fn in_every_state(
    command: &AccountCommand,
    expected: impl Fn(In) -> Result<Vec<AccountEvent>, AccountError>,
) {
    for state in STATES {
        let decided = given::<Account>(history(state)).when(command.clone());
        match expected(state) {
            Ok(events) => decided.then(events),
            Err(error) => decided.then_refused(&error),
        }
    }
}

#[test]
fn a_user_name_is_free_before_the_user_and_after() {
    in_every_state(&C::CreateUser { name: "Ada".into(), role: Role::User }, |state| match state {
        In::Absent | In::DeletedUser => Ok(vec![user()]),
        In::User | In::Key | In::RevokedKey | In::DeletedKey => Err(R::AlreadyExists),
    });
}

#[test]
fn a_key_is_made_once() {
    in_every_state(&C::CreateKey(key()), |state| match state {
        In::Absent | In::DeletedUser => Ok(vec![E::ApiKeyCreated(key())]),
        In::User | In::Key | In::RevokedKey | In::DeletedKey => Err(R::AlreadyExists),
    });
}

#[test]
fn only_a_user_has_a_role_a_password_and_an_end() {
    in_every_state(&C::ChangeRole { role: Role::Admin }, |state| match state {
        In::User => Ok(vec![E::UserRoleChanged { role: Role::Admin }]),
        _ => Err(R::NotFound),
    });
    in_every_state(&C::RecordPasswordChanged, |state| match state {
        In::User => Ok(vec![E::PasswordChanged {}]),
        _ => Err(R::NotFound),
    });
    in_every_state(&C::DeleteUser, |state| match state {
        In::User => Ok(vec![E::UserDeleted {}]),
        _ => Err(R::NotFound),
    });
}

#[test]
fn a_role_is_changed_once() {
    let promoted = E::UserRoleChanged { role: Role::Admin };
    given::<Account>([user()]).when(C::ChangeRole { role: Role::User }).then_nothing();
    given::<Account>([user(), promoted.clone()])
        .when(C::ChangeRole { role: Role::Admin })
        .then_nothing();
    assert_eq!(
        after::<Account>([user(), E::PasswordChanged {}, promoted]),
        Account::User { name: "Ada".into(), role: Role::Admin }
    );
}

#[test]
fn only_a_key_can_be_revoked_and_once() {
    in_every_state(&C::RevokeKey, |state| match state {
        In::Key => Ok(vec![E::ApiKeyRevoked {}]),
        In::RevokedKey => Ok(vec![]),
        In::Absent | In::User | In::DeletedUser | In::DeletedKey => Err(R::NotFound),
    });
    assert_eq!(after::<Account>(history(In::RevokedKey)), Account::Revoked);
}

#[test]
fn only_a_key_can_be_deleted_and_it_never_comes_back() {
    in_every_state(&C::DeleteKey, |state| match state {
        In::Key | In::RevokedKey => Ok(vec![E::ApiKeyDeleted {}]),
        In::Absent | In::User | In::DeletedUser | In::DeletedKey => Err(R::NotFound),
    });
    assert_eq!(after::<Account>(history(In::DeletedKey)), Account::DeletedKey);
}

#[test]
fn names_nobody_could_type_are_refused() {
    let longest = "é".repeat(ACCOUNT_NAME_LENGTH_MAX);
    for bad in ["", " a", "a ", "a\nb", "\u{7f}", &format!("{longest}e")] {
        given::<Account>([])
            .when(C::CreateUser { name: bad.into(), role: Role::User })
            .then_refused(&R::InvalidName);
        given::<Account>([])
            .when(C::CreateKey(Box::new(Key { name: bad.into(), ..*key() })))
            .then_refused(&R::InvalidName);
    }
    given::<Account>([])
        .when(C::CreateUser { name: longest.clone(), role: Role::User })
        .then([E::UserCreated { name: longest, role: Role::User }]);
}

#[test]
fn a_key_of_scope_agent_names_the_agent_and_its_life() {
    given::<Account>([]).when(C::CreateKey(agent_key())).then([E::ApiKeyCreated(agent_key())]);
    for wrong in [
        Key { agent: None, incarnation: None, ..*agent_key() },
        Key { incarnation: None, ..*agent_key() },
        Key { agent: None, ..*agent_key() },
        Key { scope: Scope::User, ..*agent_key() },
        Key { scope: Scope::System, ..*agent_key() },
    ] {
        given::<Account>([]).when(C::CreateKey(Box::new(wrong))).then_refused(&R::ScopeMismatch);
    }
    let system = Box::new(Key { scope: Scope::System, ..*key() });
    given::<Account>([]).when(C::CreateKey(system.clone())).then([E::ApiKeyCreated(system)]);
}

#[test]
fn the_json_of_every_event_is_frozen() {
    let full = Key { description: Some("nightly".into()), expires_at: Some(at(0)), ..*agent_key() };
    assert_frozen::<Account>(
        vec![
            user(),
            E::UserRoleChanged { role: Role::Admin },
            E::UserDeleted {},
            E::PasswordChanged {},
            E::ApiKeyCreated(key()),
            E::ApiKeyCreated(Box::new(full)),
            E::ApiKeyRevoked {},
            E::ApiKeyDeleted {},
        ],
        AccountEvent::VARIANTS,
    );
}
