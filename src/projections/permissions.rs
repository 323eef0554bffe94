//! `permissions`: which agent may call which, between the lives they have now.
//!
//! Reads of agents `PermissionGranted` and `PermissionRevoked`, which stand on the caller's stream,
//! `AgentCreated` and `AgentDeleted`: a grant ends with either life, and nothing says so but that end.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use serde::Serialize;
use utoipa::ToSchema;

use super::wire::Timestamp;
use super::{Build, FoldError, Projection, TableDef};
use crate::db::{self, Db, Record, Rows, Statement, record};
use crate::domain::agent::AgentEvent;
use crate::domain::{AgentName, Event, IncarnationId, Recorded};

record! {
    /// A live grant: the caller may call the callee, not the other way round.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
    #[schema(as = Permission)]
    pub struct PermissionRow in "permissions_v1" key(caller: AgentName, callee: AgentName) {
        #[schema(value_type = String)]
        pub caller: AgentName,
        #[schema(value_type = String)]
        pub callee: AgentName,
        #[schema(value_type = Uuid)]
        pub caller_incarnation: IncarnationId,
        #[schema(value_type = Uuid)]
        pub callee_incarnation: IncarnationId,
        pub granted_at: Timestamp,
        /// Who granted it.
        pub granted_by: String,
    }
}

record! {
    /// The life an agent has now.
    #[derive(Debug, Clone)]
    struct CurrentLife in "permission_agents_v1" key(agent_name: AgentName) {
        agent_name: AgentName,
        incarnation: IncarnationId,
        is_system: bool,
    }
}

/// Queries over permissions.
#[derive(Debug)]
pub struct Permissions<'a>(pub(super) &'a Db);

impl Permissions<'_> {
    /// Whether the caller is the callee, a system agent, or has a live grant; both must exist.
    pub async fn may_call(
        &self,
        caller: &AgentName,
        callee: &AgentName,
    ) -> Result<bool, db::Error> {
        let (lives, grants) = (CurrentLife::TABLE, PermissionRow::TABLE);
        let mut select = Statement::new(format!(
            "SELECT COUNT(*) FROM {lives} a JOIN {lives} b ON b.agent_name = "
        ));
        select.bind(callee).push(" WHERE a.agent_name = ").bind(caller);
        select.push(&format!(
            " AND (a.agent_name = b.agent_name OR a.is_system = 1 OR EXISTS (SELECT 1 \
             FROM {grants} p WHERE p.caller = a.agent_name AND p.callee = b.agent_name))"
        ));
        Ok(self.0.fetch_column::<i64>(select).await?.first().is_some_and(|found| *found > 0))
    }

    /// Whom an agent may call, by name.
    pub async fn callees(&self, caller: &AgentName) -> Result<Vec<PermissionRow>, db::Error> {
        self.of("p.caller = ", caller).await
    }

    /// Who may call an agent, by name.
    pub async fn callers(&self, callee: &AgentName) -> Result<Vec<PermissionRow>, db::Error> {
        self.of("p.callee = ", callee).await
    }

    /// Every grant, by name.
    pub async fn all(&self) -> Result<Vec<PermissionRow>, db::Error> {
        let mut select = select(PermissionRow::TABLE);
        select.push("1 = 1 ORDER BY p.caller, p.callee");
        self.0.fetch(select).await
    }

    async fn of(&self, condition: &str, name: &AgentName) -> Result<Vec<PermissionRow>, db::Error> {
        let mut select = select(PermissionRow::TABLE);
        select.push(condition).bind(name).push(" ORDER BY p.caller, p.callee");
        self.0.fetch(select).await
    }
}

fn select(table: &str) -> Statement {
    let columns = PermissionRow::columns("p");
    Statement::new(format!("SELECT {columns} FROM {table} p WHERE "))
}

/// The projection.
#[derive(Debug)]
pub(super) struct PermissionsProjection;

#[async_trait]
impl Projection for PermissionsProjection {
    fn name(&self) -> &'static str {
        "permissions"
    }

    fn version(&self) -> u32 {
        1
    }

    fn tables(&self) -> Vec<TableDef> {
        vec![TableDef::of::<PermissionRow>(&["(callee)"]), TableDef::of::<CurrentLife>(&[])]
    }

    async fn fold(
        &self,
        db: &Db,
        build: Build,
        events: &[Arc<Recorded>],
    ) -> Result<Vec<Statement>, FoldError> {
        let mut memory = Memory::load(db, build, events).await?;
        for recorded in events {
            if let Event::Agent(event) = &recorded.event {
                memory.evolve(recorded, event)?;
            }
        }
        let mut statements = memory.grants.into_statements(&build.table::<PermissionRow>());
        statements.extend(memory.lives.into_statements(&build.table::<CurrentLife>()));
        Ok(statements)
    }
}

struct Memory {
    grants: Rows<PermissionRow>,
    lives: Rows<CurrentLife>,
}

impl Memory {
    /// Reads the lives of everyone named, the grants named, and all grants of agents that go.
    async fn load(db: &Db, build: Build, events: &[Arc<Recorded>]) -> Result<Self, FoldError> {
        let (mut names, mut pairs, mut deleted) =
            (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for recorded in events {
            let Event::Agent(event) = &recorded.event else { continue };
            let touches = [
                matches!(event, AgentEvent::AgentDeleted {}),
                matches!(event, AgentEvent::PermissionGranted { .. }),
                matches!(event, AgentEvent::PermissionRevoked { .. }),
            ];
            if !touches.contains(&true) {
                continue;
            }
            let caller = name_of(recorded)?;
            if let AgentEvent::PermissionGranted { callee, .. }
            | AgentEvent::PermissionRevoked { callee, .. } = event
            {
                names.insert(callee.clone());
                pairs.insert((caller.clone(), callee.clone()));
            } else {
                deleted.insert(caller.clone());
            }
            names.insert(caller);
        }
        let table = build.table::<PermissionRow>();
        let mut grants = Rows::load(db, &table, pairs).await?;
        for name in deleted {
            let mut select = select(&table);
            select.push("p.caller = ").bind(&name).push(" OR p.callee = ").bind(&name);
            grants.hold(db.fetch::<PermissionRow>(select).await?);
        }
        let lives = Rows::load(db, &build.table::<CurrentLife>(), names).await?;
        Ok(Self { grants, lives })
    }

    fn evolve(&mut self, recorded: &Recorded, event: &AgentEvent) -> Result<(), FoldError> {
        match event {
            AgentEvent::AgentCreated { incarnation, is_system, config, .. } => {
                let (agent_name, incarnation) = (config.name.clone(), *incarnation);
                self.lives.insert(CurrentLife { agent_name, incarnation, is_system: *is_system });
            }
            AgentEvent::AgentDeleted {} => {
                let name = name_of(recorded)?;
                let ended = self.grants.iter();
                let ended = ended.filter(|grant| grant.caller == name || grant.callee == name);
                for grant in ended.map(Record::key).collect::<Vec<_>>() {
                    self.grants.remove(&grant);
                }
                self.lives.remove(&name);
            }
            AgentEvent::PermissionGranted { callee, callee_incarnation } => {
                self.grant(recorded, callee, *callee_incarnation)?;
            }
            AgentEvent::PermissionRevoked { callee, .. } => {
                self.grants.remove(&(name_of(recorded)?, callee.clone()));
            }
            _ => {}
        }
        Ok(())
    }

    /// A grant to a life that has ended meanwhile was never worth anything.
    fn grant(
        &mut self,
        recorded: &Recorded,
        callee: &AgentName,
        callee_incarnation: IncarnationId,
    ) -> Result<(), FoldError> {
        let caller = name_of(recorded)?;
        let life = self.lives.get(&caller).map(|life| life.incarnation);
        let caller_incarnation =
            life.ok_or_else(|| FoldError::event(recorded, "no such caller"))?;
        let current = self.lives.get(callee).map(|life| life.incarnation);
        if current != Some(callee_incarnation) {
            self.grants.remove(&(caller, callee.clone()));
            return Ok(());
        }
        self.grants.insert(PermissionRow {
            caller,
            callee: callee.clone(),
            caller_incarnation,
            callee_incarnation,
            granted_at: Timestamp(recorded.recorded_at),
            granted_by: recorded.metadata.actor.clone(),
        });
        Ok(())
    }
}

fn name_of(recorded: &Recorded) -> Result<AgentName, FoldError> {
    let no_name = |_| FoldError::event(recorded, "its stream's id is no agent name");
    recorded.stream.id.parse().map_err(no_name)
}
