//! `accounts`: the users there are, and every API key of theirs.
//!
//! Reads every event of accounts, and of agents `AgentDeleted`, with which the keys of the agent go.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use serde::Serialize;
use utoipa::ToSchema;

use super::page::{Filter, Listed, Order, Page, PageRequest, Place};
use super::wire::{Timestamp, words};
use super::{Build, FoldError, Projection, TableDef, Viewer};
use crate::db::{self, Db, Record, Rows, Statement, record};
use crate::domain::account::{AccountEvent, Key, Role, Scope};
use crate::domain::agent::AgentEvent;
use crate::domain::{AccountId, AgentName, Event, IncarnationId, Recorded};

record! {
    /// A user.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
    pub struct User in "users_v1" key(id: AccountId) {
        #[schema(value_type = Uuid)]
        pub id: AccountId,
        pub username: String,
        #[schema(required = true)]
        pub email: Option<String>,
        #[schema(schema_with = words::<Role>)]
        pub role: Role,
        pub created_at: Timestamp,
        #[serde(skip)]
        pub row_no: i64,
    }
}

record! {
    /// An API key, without the key.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
    pub struct ApiKey in "api_keys_v1" key(id: AccountId) {
        #[schema(value_type = Uuid)]
        pub id: AccountId,
        pub name: String,
        #[schema(required = true)]
        pub description: Option<String>,
        #[schema(value_type = Uuid)]
        pub owner_id: AccountId,
        #[schema(schema_with = words::<Scope>)]
        pub scope: Scope,
        /// The agent it acts as.
        #[schema(required = true, value_type = Option<String>)]
        pub agent_name: Option<AgentName>,
        #[serde(skip)]
        pub incarnation: Option<IncarnationId>,
        /// Its first characters, to recognise it by.
        pub key_prefix: String,
        #[serde(skip)]
        pub sha256: String,
        pub created_at: Timestamp,
        #[serde(skip)]
        pub row_no: i64,
        #[schema(required = true)]
        pub expires_at: Option<Timestamp>,
        #[schema(required = true)]
        pub revoked_at: Option<Timestamp>,
    }
    derived {
        /// Whether it works.
        pub is_active: bool,
        /// Counted apart from the log, so that a query leaves them empty.
        #[schema(required = true)]
        pub last_used_at: Option<Timestamp>,
        pub usage_count: u64,
    }
}

/// Which users a list shows: all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UserFilter {}

impl Filter for UserFilter {
    const LIST: &'static str = "users";
}

impl Listed for User {
    fn place(&self) -> Place {
        Place { created_at: self.created_at.0.timestamp_micros(), row_no: self.row_no }
    }
}

/// Which keys a list shows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KeyFilter {
    /// Of this user; none is everyone's.
    pub owner: Option<AccountId>,
}

impl Filter for KeyFilter {
    const LIST: &'static str = "keys";
}

impl Listed for ApiKey {
    fn place(&self) -> Place {
        Place { created_at: self.created_at.0.timestamp_micros(), row_no: self.row_no }
    }
}

/// Queries over users and keys.
#[derive(Debug)]
pub struct Accounts<'a>(pub(super) &'a Db);

impl Accounts<'_> {
    /// The user of that id; a name's id derives from the name.
    pub async fn user(&self, id: AccountId) -> Result<Option<User>, db::Error> {
        Ok(db::lookup(self.0, User::TABLE, &[id]).await?.pop())
    }

    /// A page of users, newest first.
    pub async fn users(
        &self,
        filter: &UserFilter,
        page: &PageRequest,
    ) -> Result<Page<User>, db::Error> {
        let (columns, table) = (User::columns("u"), User::TABLE);
        let mut select = Statement::new(format!("SELECT {columns} FROM {table} u WHERE 1 = 1"));
        page.finish(&mut select, "u", Order::NewestFirst);
        page.page(filter, self.0.query(select).await?)
    }

    /// Whether anyone is an administrator yet.
    pub async fn has_admin(&self) -> Result<bool, db::Error> {
        let select = format!("SELECT COUNT(*) FROM {} WHERE role = ", User::TABLE);
        let mut select = Statement::new(select);
        select.bind(Role::Admin);
        Ok(self.0.fetch_column::<i64>(select).await?.first().is_some_and(|count| *count > 0))
    }

    /// The key with that digest; whether it works is in `is_active`.
    pub async fn key_by_sha256(
        &self,
        sha256: &str,
        now: Timestamp,
    ) -> Result<Option<ApiKey>, db::Error> {
        let mut select = select_keys(now);
        select.push(" AND k.sha256 = ").bind(sha256);
        Ok(self.0.fetch(select).await?.pop())
    }

    /// The key of that id, if it is the viewer's or the viewer sees everyone's.
    pub async fn key(
        &self,
        viewer: &Viewer,
        id: AccountId,
        now: Timestamp,
    ) -> Result<Option<ApiKey>, db::Error> {
        let mut select = select_keys(now);
        select.push(" AND k.id = ").bind(id);
        if let Viewer::User(user) = viewer {
            select.push(" AND k.owner_id = ").bind(*user);
        }
        Ok(self.0.fetch(select).await?.pop())
    }

    /// A page of keys, newest first.
    pub async fn keys(
        &self,
        filter: &KeyFilter,
        page: &PageRequest,
        now: Timestamp,
    ) -> Result<Page<ApiKey>, db::Error> {
        let mut select = select_keys(now);
        if let Some(owner) = filter.owner {
            select.push(" AND k.owner_id = ").bind(owner);
        }
        page.finish(&mut select, "k", Order::NewestFirst);
        page.page(filter, self.0.query(select).await?)
    }
}

fn select_keys(now: Timestamp) -> Statement {
    let (columns, table) = (ApiKey::columns("k"), ApiKey::TABLE);
    let mut select = Statement::new(format!(
        "SELECT {columns}, CASE WHEN k.revoked_at IS NULL AND (k.expires_at IS NULL \
           OR k.expires_at > "
    ));
    select.bind(now).push(&format!(") THEN 1 ELSE 0 END FROM {table} k WHERE 1 = 1"));
    select
}

/// The projection.
#[derive(Debug)]
pub(super) struct AccountsProjection;

#[async_trait]
impl Projection for AccountsProjection {
    fn name(&self) -> &'static str {
        "accounts"
    }

    fn version(&self) -> u32 {
        1
    }

    fn tables(&self) -> Vec<TableDef> {
        vec![
            TableDef::of::<User>(&["(created_at, row_no)"]),
            TableDef::of::<ApiKey>(&["(sha256)", "(owner_id, created_at, row_no)", "(agent_name)"]),
        ]
    }

    async fn fold(
        &self,
        db: &Db,
        build: Build,
        events: &[Arc<Recorded>],
    ) -> Result<Vec<Statement>, FoldError> {
        let mut memory = Memory::load(db, build, events).await?;
        for recorded in events {
            match &recorded.event {
                Event::Account(event) => memory.evolve(recorded, event)?,
                Event::Agent(AgentEvent::AgentDeleted {}) => {
                    let agent = recorded.stream.id.as_str();
                    memory.each_key(
                        |key| key.agent_name.as_ref().is_some_and(|name| name.as_str() == agent),
                        |keys, id| {
                            keys.remove(&id);
                        },
                    );
                }
                Event::Agent(_) | Event::Slots(_) | Event::Execution(_) => {}
            }
        }
        let mut statements = memory.users.into_statements(&build.table::<User>());
        statements.extend(memory.keys.into_statements(&build.table::<ApiKey>()));
        Ok(statements)
    }
}

struct Memory {
    users: Rows<User>,
    keys: Rows<ApiKey>,
}

impl Memory {
    /// Reads the accounts of the streams, and the keys of users and agents that go.
    async fn load(db: &Db, build: Build, events: &[Arc<Recorded>]) -> Result<Self, FoldError> {
        let (mut ids, mut gone) = (BTreeSet::new(), BTreeSet::new());
        for recorded in events {
            match &recorded.event {
                Event::Account(event) => {
                    ids.insert(account_of(recorded)?);
                    if matches!(event, AccountEvent::UserDeleted {}) {
                        gone.insert(("owner_id", recorded.stream.id.clone()));
                    }
                }
                Event::Agent(AgentEvent::AgentDeleted {}) => {
                    gone.insert(("agent_name", recorded.stream.id.clone()));
                }
                Event::Agent(_) | Event::Slots(_) | Event::Execution(_) => {}
            }
        }
        let users = Rows::load(db, &build.table::<User>(), ids.iter().copied()).await?;
        let mut keys = Rows::load(db, &build.table::<ApiKey>(), ids).await?;
        for (column, value) in gone {
            let (columns, table) = (ApiKey::columns("k"), build.table::<ApiKey>());
            let mut select =
                Statement::new(format!("SELECT {columns} FROM {table} k WHERE k.{column} = "));
            select.bind(value);
            keys.hold(db.fetch::<ApiKey>(select).await?);
        }
        Ok(Self { users, keys })
    }

    fn each_key(
        &mut self,
        chosen: impl Fn(&ApiKey) -> bool,
        change: impl Fn(&mut Rows<ApiKey>, AccountId),
    ) {
        let ids: Vec<_> = self.keys.iter().filter(|key| chosen(key)).map(|key| key.id).collect();
        for id in ids {
            change(&mut self.keys, id);
        }
    }

    fn evolve(&mut self, recorded: &Recorded, event: &AccountEvent) -> Result<(), FoldError> {
        let (id, at) = (account_of(recorded)?, Timestamp(recorded.recorded_at));
        match event {
            AccountEvent::UserCreated { name, role } => self.users.insert(User {
                id,
                username: name.clone(),
                email: None,
                role: *role,
                created_at: at,
                row_no: recorded.position,
            }),
            AccountEvent::UserRoleChanged { role } => {
                let user = self.users.get_mut(&id);
                user.ok_or_else(|| FoldError::event(recorded, "no such user"))?.role = *role;
            }
            AccountEvent::UserDeleted {} => {
                self.users.remove(&id);
                self.each_key(|key| key.owner_id == id, |keys, id| revoke(keys, id, at));
            }
            AccountEvent::PasswordChanged {} => {}
            AccountEvent::ApiKeyCreated(key) => self.keys.insert(key_row(id, recorded, key)),
            AccountEvent::ApiKeyRevoked {} => revoke(&mut self.keys, id, at),
            AccountEvent::ApiKeyDeleted {} => {
                self.keys.remove(&id);
            }
        }
        Ok(())
    }
}

/// Ends a key that has not ended.
fn revoke(keys: &mut Rows<ApiKey>, id: AccountId, at: Timestamp) {
    if let Some(key) = keys.get_mut(&id) {
        key.revoked_at.get_or_insert(at);
    }
}

fn key_row(id: AccountId, recorded: &Recorded, key: &Key) -> ApiKey {
    let key = key.clone();
    ApiKey {
        id,
        name: key.name,
        description: key.description,
        owner_id: key.owner,
        scope: key.scope,
        agent_name: key.agent,
        incarnation: key.incarnation,
        key_prefix: key.prefix,
        sha256: key.sha256,
        created_at: Timestamp(recorded.recorded_at),
        row_no: recorded.position,
        expires_at: key.expires_at.map(Timestamp),
        revoked_at: None,
        is_active: false,
        last_used_at: None,
        usage_count: 0,
    }
}

fn account_of(recorded: &Recorded) -> Result<AccountId, FoldError> {
    let no_id = |_| FoldError::event(recorded, "its stream's id is no UUID");
    recorded.stream.id.parse().map_err(no_id)
}
