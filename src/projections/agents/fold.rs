//! How events make the rows of agents.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;

use super::{AgentLife, AgentRecord, Share, Tag};
use crate::db::{self, Db, Json, Record, Rows, Statement};
use crate::domain::agent::{Agent, AgentEvent};
use crate::domain::{AgentName, Decider, Event, IncarnationId, Recorded};
use crate::projections::{Build, FoldError, Projection, TableDef, Timestamp};

/// The projection.
#[derive(Debug)]
pub(in crate::projections) struct AgentsProjection;

#[async_trait]
impl Projection for AgentsProjection {
    fn name(&self) -> &'static str {
        "agents"
    }

    fn version(&self) -> u32 {
        2
    }

    fn tables(&self) -> Vec<TableDef> {
        vec![
            TableDef::of::<AgentRecord>(&["(created_at, row_no)"]),
            TableDef::of::<AgentLife>(&["(agent_name)"]),
            TableDef::of::<Share>(&["(user_id)"]),
            TableDef::of::<Tag>(&["(tag)"]),
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
            if let Event::Agent(event) = &recorded.event {
                memory.evolve(recorded, event)?;
            }
        }
        let mut statements = memory.agents.into_statements(&build.table::<AgentRecord>());
        statements.extend(memory.lives.into_statements(&build.table::<AgentLife>()));
        statements.extend(memory.shares.into_statements(&build.table::<Share>()));
        statements.extend(memory.tags.into_statements(&build.table::<Tag>()));
        Ok(statements)
    }
}

struct Memory {
    agents: Rows<AgentRecord>,
    lives: Rows<AgentLife>,
    shares: Rows<Share>,
    tags: Rows<Tag>,
}

impl Memory {
    /// Reads the agents of the streams, their lives and their shares.
    async fn load(db: &Db, build: Build, events: &[Arc<Recorded>]) -> Result<Self, FoldError> {
        let mut names = BTreeSet::new();
        for recorded in events {
            if matches!(recorded.event, Event::Agent(_)) {
                names.insert(name_of(recorded)?);
            }
        }
        let names: Vec<_> = names.into_iter().collect();
        let (shares, tags) = (held(db, build, &names).await?, held(db, build, &names).await?);
        let agents: Rows<AgentRecord> =
            Rows::load(db, &build.table::<AgentRecord>(), names).await?;
        let lives = agents.iter().map(|agent| agent.incarnation);
        let lives = Rows::load(db, &build.table::<AgentLife>(), lives).await?;
        Ok(Self { agents, lives, shares, tags })
    }

    fn evolve(&mut self, recorded: &Recorded, event: &AgentEvent) -> Result<(), FoldError> {
        let name = name_of(recorded)?;
        let at = Timestamp(recorded.recorded_at);
        if let AgentEvent::AgentCreated { incarnation, owner, .. } = event {
            self.lives.insert(AgentLife {
                incarnation: *incarnation,
                agent_name: name.clone(),
                owner: *owner,
                created_at: at,
                deleted_at: None,
            });
        }
        let before = self.agents.get(&name);
        let (row_no, created_at) =
            before.map_or((recorded.position, at), |row| (row.row_no, row.created_at));
        let mut agent = before.map_or_else(Agent::default, |row| Agent {
            phase: row.phase,
            life: Some(row.life.0.clone()),
        });
        let ended = agent.life.as_ref().map(|life| life.incarnation);
        Decider::evolve(&mut agent, event);
        let Some(mut life) = agent.life else {
            let ended = ended.ok_or_else(|| FoldError::event(recorded, "no agent"))?;
            self.end(&name, ended, at);
            return Ok(());
        };
        // The read model of permissions has them, and forgets those for agents that are gone.
        life.grants.clear();
        self.share(&name, life.incarnation, event);
        if let AgentEvent::TagsChanged { tags } = event {
            remove_all(&mut self.tags, |tag| tag.agent_name == name);
            for tag in tags {
                self.tags.insert(Tag { agent_name: name.clone(), tag: tag.clone() });
            }
        }
        self.agents.insert(AgentRecord {
            name,
            incarnation: life.incarnation,
            row_no,
            created_at,
            owner: life.owner,
            is_system: life.is_system,
            phase: agent.phase,
            node_id: life.node_id,
            position: recorded.position,
            version: recorded.version,
            life: Json(life),
            owner_name: None,
            is_shared: false,
            active: 0,
            queued: 0,
        });
        Ok(())
    }

    fn share(&mut self, name: &AgentName, incarnation: IncarnationId, event: &AgentEvent) {
        if let AgentEvent::AgentShared { user } = event {
            self.shares.insert(Share { agent_name: name.clone(), user_id: *user, incarnation });
        } else if let AgentEvent::AgentUnshared { user } = event {
            self.shares.remove(&(name.clone(), *user));
        }
    }

    fn end(&mut self, name: &AgentName, incarnation: IncarnationId, at: Timestamp) {
        self.agents.remove(name);
        remove_all(&mut self.shares, |share| share.agent_name == *name);
        remove_all(&mut self.tags, |tag| tag.agent_name == *name);
        if let Some(life) = self.lives.get_mut(&incarnation) {
            life.deleted_at = Some(at);
        }
    }
}

/// What a table holds for agents of these names.
async fn held<R: Record>(db: &Db, build: Build, names: &[AgentName]) -> Result<Rows<R>, db::Error> {
    let mut rows = Rows::default();
    for chunk in db::power_chunks(names, db::LOOKUP_KEYS_MAX) {
        let mut select = Statement::new(format!(
            "SELECT {} FROM {} r WHERE r.agent_name IN (",
            R::columns("r"),
            build.table::<R>(),
        ));
        select.bind_list(chunk.iter().map(db::Param::to_value).collect()).push(")");
        rows.hold(db.fetch::<R>(select).await?);
    }
    Ok(rows)
}

fn remove_all<R: Record>(rows: &mut Rows<R>, is_over: impl Fn(&R) -> bool) {
    let over: Vec<_> = rows.iter().filter(|row| is_over(row)).map(Record::key).collect();
    for key in over {
        rows.remove(&key);
    }
}

fn name_of(recorded: &Recorded) -> Result<AgentName, FoldError> {
    let no_name = |_| FoldError::event(recorded, "its stream's id is no agent name");
    recorded.stream.id.parse().map_err(no_name)
}
