//! `agents`: one row per agent that exists, one per life there ever was, and who shares what.
//!
//! Reads every event of agents. The fold is the aggregate's own `evolve`, so a page shows exactly the
//! state that decisions are made on. A life's row outlives the agent: it says whose the history is.

mod fold;
mod rows;

use std::collections::BTreeSet;

use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::Viewer;
use super::accounts::User;
use super::page::{Filter, Listed, Order, Page, PageRequest, Place};
use super::slots::{SlotCounts, SlotsRow};
use super::wire::{Timestamp, words};
use crate::db::{self, Db, Json, Record, Statement, record};
use crate::domain::agent::{Life, Phase, Runtime};
use crate::domain::{AccountId, AgentName, IncarnationId};

pub(super) use fold::AgentsProjection;

/// The most lives of which one user sees the past.
pub const LIVES_MAX: u32 = 10_000;

record! {
    /// An agent as stored: its state, and what queries look for.
    #[derive(Debug, Clone, PartialEq)]
    pub struct AgentRecord in "agents_v2" key(name: AgentName) {
        pub name: AgentName,
        pub incarnation: IncarnationId,
        pub row_no: i64,
        pub created_at: Timestamp,
        pub owner: AccountId,
        pub is_system: bool,
        pub phase: Phase,
        pub node_id: Option<Uuid>,
        /// The position of the last event of the agent's stream.
        pub position: i64,
        /// The version of the agent's stream.
        pub version: i64,
        pub life: Json<Life>,
    }
    derived {
        pub owner_name: Option<String>,
        pub is_shared: bool,
        pub active: u32,
        pub queued: u32,
    }
}

record! {
    /// One life of a name, kept for ever.
    #[derive(Debug, Clone, PartialEq)]
    pub struct AgentLife in "agent_lives_v2" key(incarnation: IncarnationId) {
        pub incarnation: IncarnationId,
        pub agent_name: AgentName,
        pub owner: AccountId,
        pub created_at: Timestamp,
        pub deleted_at: Option<Timestamp>,
    }
}

record! {
    /// A user who may operate another's agent.
    #[derive(Debug, Clone, PartialEq)]
    struct Share in "agent_shares_v2" key(agent_name: AgentName, user_id: AccountId) {
        agent_name: AgentName,
        user_id: AccountId,
        incarnation: IncarnationId,
    }
}

record! {
    /// A word by which an agent is found.
    #[derive(Debug, Clone, PartialEq)]
    struct Tag in "agent_tags_v2" key(agent_name: AgentName, tag: String) {
        agent_name: AgentName,
        tag: String,
    }
}

/// The seed's four words for what an agent is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AgentStatus {
    Running,
    Stopped,
    Paused,
    Restarting,
}

impl From<Phase> for AgentStatus {
    /// What the host would show: an agent that is being stopped still runs.
    fn from(phase: Phase) -> Self {
        match phase {
            Phase::Running | Phase::Stopping => Self::Running,
            Phase::Paused => Self::Paused,
            Phase::Restarting => Self::Restarting,
            Phase::Absent
            | Phase::Creating
            | Phase::Failed
            | Phase::Stopped
            | Phase::Starting
            | Phase::Deleting => Self::Stopped,
        }
    }
}

/// An agent as lists show it to one viewer.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = Agent)]
#[expect(clippy::struct_excessive_bools, reason = "they are independent fields of the wire")]
pub struct AgentRow {
    #[schema(value_type = String)]
    pub name: AgentName,
    /// Which life of the name.
    #[schema(value_type = Uuid)]
    pub incarnation: IncarnationId,
    #[serde(rename = "type")]
    pub kind: String,
    pub status: AgentStatus,
    #[schema(schema_with = words::<Phase>)]
    pub phase: Phase,
    /// The step of creation or start that failed, while the phase is `failed`; of a restart, until it
    /// runs again or is asked to start or stop.
    #[schema(required = true)]
    pub failure: Option<Failure>,
    #[schema(schema_with = words::<Runtime>)]
    pub runtime: Runtime,
    /// The model that tasks use when they name none; null is the CLI's own default.
    #[schema(required = true)]
    pub model: Option<String>,
    pub created: Timestamp,
    pub resources: Resources,
    /// How the host knows the agent, once it is provisioned.
    #[schema(required = true)]
    pub container_id: Option<String>,
    #[schema(required = true)]
    pub template: Option<String>,
    /// The owner's name.
    pub owner: String,
    #[schema(value_type = Uuid)]
    pub owner_id: AccountId,
    pub is_owner: bool,
    /// Whether it is another's who shares it with the viewer.
    pub is_shared: bool,
    pub is_system: bool,
    pub autonomy: bool,
    pub tags: BTreeSet<String>,
    /// The digest of the agent's picture, if it has one.
    #[schema(required = true)]
    pub avatar_sha256: Option<String>,
    pub slots: SlotCounts,
    pub max_parallel_tasks: u32,
    pub execution_timeout_seconds: u32,
    /// The node on whose disk it lives, if it is bound to one.
    #[schema(required = true)]
    pub node_id: Option<Uuid>,
    /// What keeps its runs apart now, as the host tells: `container`, `uid`, `landlock` or `none`;
    /// null when it lives elsewhere, and in the past.
    #[schema(required = true)]
    pub isolation: Option<&'static str>,
    /// The version of Landlock that confines its runs.
    #[schema(required = true)]
    pub landlock_abi: Option<u32>,
    /// The user of its runs, when it has one of its own.
    #[schema(required = true)]
    pub run_uid: Option<u32>,
    /// The position of its last event.
    pub position: i64,
    /// The version of its stream.
    pub version: i64,
}

/// The step of creation or start that failed.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Failure {
    pub step: String,
    pub error: String,
}

/// Processor and memory limits.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Resources {
    #[schema(required = true)]
    pub cpu: Option<String>,
    #[schema(required = true)]
    pub memory: Option<String>,
}

/// An agent with everything that its page shows.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[expect(clippy::struct_excessive_bools, reason = "they are independent fields of the wire")]
pub struct AgentDetail {
    #[serde(flatten)]
    pub agent: AgentRow,
    pub shares: Vec<SharedWith>,
    pub can_share: bool,
    pub can_delete: bool,
    #[schema(required = true)]
    pub base_image: Option<String>,
    #[schema(required = true)]
    pub github_repo: Option<String>,
    #[schema(required = true)]
    pub custom_instructions: Option<String>,
    pub tools: Vec<String>,
    pub mcp_servers: Vec<String>,
    pub skills: BTreeSet<String>,
    /// Names of credentials, never their values.
    pub credentials: BTreeSet<String>,
    pub read_only: ReadOnly,
    pub full_capabilities: bool,
    /// Whether something was set that is in force only from the next start on.
    pub restart_needed: bool,
    /// What the settings of its host were when it last started: no event says when these change, so whoever
    /// shows it asks the host.
    #[serde(skip)]
    pub host_hash: Option<String>,
    pub folders: Folders,
    #[schema(required = true)]
    pub git_sync: Option<GitSync>,
}

/// A user with whom an agent is shared.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct SharedWith {
    #[schema(value_type = Uuid)]
    pub user_id: AccountId,
    pub username: String,
}

/// Files of the workspace protected from the agent.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ReadOnly {
    pub enabled: bool,
    pub blocked_patterns: Vec<String>,
    pub allowed_patterns: Vec<String>,
}

/// Whether the agent's shared folder is open, and whether it sees others'.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Folders {
    pub expose_enabled: bool,
    pub consume_enabled: bool,
}

/// The repository that the workspace is synchronised with.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct GitSync {
    pub repository: String,
    pub branch: String,
}

/// Which agents a list shows: all, unless something is said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AgentFilter {
    /// Only those with this tag.
    pub tag: Option<String>,
}

impl Filter for AgentFilter {
    const LIST: &'static str = "agents";
}

impl Listed for AgentRecord {
    fn place(&self) -> Place {
        Place { created_at: self.created_at.0.timestamp_micros(), row_no: self.row_no }
    }
}

/// Queries over agents.
#[derive(Debug)]
pub struct Agents<'a>(pub(super) &'a Db);

impl Agents<'_> {
    /// A page of the agents that the viewer may see, newest first.
    pub async fn list(
        &self,
        viewer: &Viewer,
        filter: &AgentFilter,
        page: &PageRequest,
    ) -> Result<Page<AgentRow>, db::Error> {
        let mut select = select(viewer);
        if let Some(tag) = &filter.tag {
            select.push(&format!(
                " AND EXISTS (SELECT 1 FROM {} t WHERE t.agent_name = a.name AND t.tag = ",
                Tag::TABLE,
            ));
            select.bind(tag.as_str()).push(")");
        }
        page.finish(&mut select, "a", Order::NewestFirst);
        let found: Page<AgentRecord> = page.page(filter, self.0.query(select).await?)?;
        Ok(found.map(|record| record.into_row(viewer)))
    }

    /// The agent of that name, if the viewer may see it.
    pub async fn get(
        &self,
        viewer: &Viewer,
        name: &AgentName,
    ) -> Result<Option<AgentRow>, db::Error> {
        Ok(self.visible(viewer, name).await?.map(|record| record.into_row(viewer)))
    }

    /// The agent of that name with all that its page shows, if the viewer may see it.
    pub async fn detail(
        &self,
        viewer: &Viewer,
        name: &AgentName,
    ) -> Result<Option<AgentDetail>, db::Error> {
        let Some(record) = self.visible(viewer, name).await? else { return Ok(None) };
        let shares = self.shares(name).await?;
        Ok(Some(record.into_detail(viewer, shares)))
    }

    /// The agent of that name, whoever may see it.
    pub async fn find(&self, name: &AgentName) -> Result<Option<AgentRecord>, db::Error> {
        Ok(db::lookup(self.0, AgentRecord::TABLE, std::slice::from_ref(name)).await?.pop())
    }

    /// Every agent there is, by name; for those that look after all of them.
    pub async fn all(&self) -> Result<Vec<AgentRecord>, db::Error> {
        let (columns, table) = (AgentRecord::columns("a"), AgentRecord::TABLE);
        self.0
            .fetch(Statement::new(format!("SELECT {columns} FROM {table} a ORDER BY a.name")))
            .await
    }

    /// How many agents there are in each phase.
    pub async fn phases(&self) -> Result<Vec<(Phase, u64)>, db::Error> {
        let table = AgentRecord::TABLE;
        let select = format!("SELECT a.phase, COUNT(*) FROM {table} a GROUP BY a.phase");
        let rows = self.0.query(Statement::new(select)).await?;
        rows.into_iter().map(|mut row| Ok((row.take()?, row.take()?))).collect()
    }

    /// A life of any agent, also of one that is gone.
    pub async fn life(&self, incarnation: IncarnationId) -> Result<Option<AgentLife>, db::Error> {
        Ok(db::lookup(self.0, AgentLife::TABLE, &[incarnation]).await?.pop())
    }

    /// The newest lives, also such as are over, that the viewer may see by the rights of today.
    pub async fn visible_lives(&self, viewer: &Viewer) -> Result<Vec<IncarnationId>, db::Error> {
        let table = AgentLife::TABLE;
        let mut select = Statement::new(format!("SELECT v.incarnation FROM {table} v WHERE 1 = 1"));
        visible_life(&mut select, "v.incarnation", viewer);
        select.push(" ORDER BY v.created_at DESC LIMIT ").bind(LIVES_MAX);
        self.0.fetch_column(select).await
    }

    /// The users with whom an agent is shared, by name.
    pub async fn shares(&self, name: &AgentName) -> Result<Vec<SharedWith>, db::Error> {
        let mut select = Statement::new(format!(
            "SELECT s.user_id, u.username FROM {} s JOIN {} u ON u.id = s.user_id \
             WHERE s.agent_name = ",
            Share::TABLE,
            User::TABLE,
        ));
        select.bind(name).push(" ORDER BY u.username, s.user_id");
        let rows = self.0.query(select).await?;
        let share =
            |mut row: db::Row| Ok(SharedWith { user_id: row.take()?, username: row.take()? });
        rows.into_iter().map(share).collect()
    }

    async fn visible(
        &self,
        viewer: &Viewer,
        name: &AgentName,
    ) -> Result<Option<AgentRecord>, db::Error> {
        let mut select = select(viewer);
        select.push(" AND a.name = ").bind(name);
        Ok(self.0.fetch(select).await?.pop())
    }
}

/// The SELECT of every agent that the viewer may see; it ends in a condition.
fn select(viewer: &Viewer) -> Statement {
    let mut select = Statement::new(format!(
        "SELECT {}, (SELECT u.username FROM {} u WHERE u.id = a.owner), ",
        AgentRecord::columns("a"),
        User::TABLE,
    ));
    let shared = |select: &mut Statement, user: AccountId| {
        select.push(&format!(
            "EXISTS (SELECT 1 FROM {} s WHERE s.agent_name = a.name AND s.user_id = ",
            Share::TABLE,
        ));
        select.bind(user).push(")");
    };
    match viewer.user() {
        Some(user) => {
            select.push("CASE WHEN ");
            shared(&mut select, user);
            select.push(" THEN 1 ELSE 0 END");
        }
        None => {
            select.push("0");
        }
    }
    let (agents, slots) = (AgentRecord::TABLE, SlotsRow::TABLE);
    select.push(&format!(
        ", COALESCE(p.active, 0), COALESCE(p.queued, 0) FROM {agents} a \
         LEFT JOIN {slots} p ON p.incarnation = a.incarnation WHERE "
    ));
    match viewer {
        Viewer::User(user) => {
            select.push("(a.owner = ").bind(*user).push(" OR ");
            shared(&mut select, *user);
            select.push(")");
        }
        Viewer::Admin(_) | Viewer::System | Viewer::Lives(_) | Viewer::UserOf(..) => {
            select.push("1 = 1");
            visible_life(&mut select, "a.incarnation", viewer);
        }
    }
    select
}

/// Appends the condition that the viewer may see a life: none for who sees all.
pub(super) fn visible_life(select: &mut Statement, incarnation: &str, viewer: &Viewer) {
    let user = match viewer {
        Viewer::Admin(_) | Viewer::System => return,
        Viewer::Lives(lives) | Viewer::UserOf(_, lives) => {
            let lives = lives.iter().map(db::Param::to_value).collect();
            select.push(&format!(" AND {incarnation} IN (")).bind_list(lives).push(")");
            return;
        }
        Viewer::User(user) => *user,
    };
    select.push(&format!(
        " AND EXISTS (SELECT 1 FROM {} l WHERE l.incarnation = {incarnation} AND (l.owner = ",
        AgentLife::TABLE,
    ));
    select.bind(user).push(&format!(
        " OR EXISTS (SELECT 1 FROM {} s WHERE s.agent_name = l.agent_name \
           AND s.incarnation = l.incarnation AND s.user_id = ",
        Share::TABLE,
    ));
    select.bind(user).push(")))");
}
