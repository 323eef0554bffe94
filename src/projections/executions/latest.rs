//! The newest execution of each agent: what a list of agents says of their last run.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use super::{ExecutionRow, Executions};
use crate::db::{self, Record as _, Statement};
use crate::domain::execution::Status;
use crate::domain::{AgentName, ExecutionId};
use crate::projections::Viewer;
use crate::projections::agents::{AgentLife, LIVES_MAX, visible_life};
use crate::projections::wire::{Timestamp, words};

/// An execution in a few words.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct LatestExecution {
    #[schema(value_type = uuid::Uuid)]
    pub id: ExecutionId,
    #[schema(schema_with = words::<Status>)]
    pub status: Status,
    pub created_at: Timestamp,
    #[schema(required = true)]
    pub completed_at: Option<Timestamp>,
}

impl Executions<'_> {
    /// The newest execution of every living agent that the viewer may see, by name, of the newest
    /// [`LIVES_MAX`] agents; an agent that has never run anything is left out.
    pub async fn latest(
        &self,
        viewer: &Viewer,
    ) -> Result<BTreeMap<AgentName, LatestExecution>, db::Error> {
        let (lives, rows) = (AgentLife::TABLE, ExecutionRow::TABLE);
        let mut select = Statement::new(format!(
            "SELECT e.agent_name, e.id, e.status, e.created_at, e.completed_at \
             FROM {lives} v JOIN {rows} e ON e.row_no = (SELECT x.row_no FROM {rows} x \
             WHERE x.incarnation = v.incarnation ORDER BY x.row_no + 0 DESC LIMIT 1) \
             WHERE v.deleted_at IS NULL"
        ));
        visible_life(&mut select, "v.incarnation", viewer);
        select.push(" ORDER BY v.created_at DESC LIMIT ").bind(LIVES_MAX);
        let latest = |mut row: db::Row| {
            let name = row.take()?;
            let latest = LatestExecution {
                id: row.take()?,
                status: row.take()?,
                created_at: row.take()?,
                completed_at: row.take()?,
            };
            Ok((name, latest))
        };
        self.0.query(select).await?.into_iter().map(latest).collect()
    }
}
