//! Whose rows a list shows: the lives of agents that a filter names and a viewer may see.

use super::Viewer;
use super::agents::{AgentLife, LIVES_MAX, visible_life};
use crate::db::{self, Db, Param as _, Record as _, Statement};
use crate::domain::{AgentName, IncarnationId};

/// The lives that are wanted and visible, the newest [`LIVES_MAX`] of them; `None` is every one.
pub(super) async fn of(
    db: &Db,
    viewer: &Viewer,
    names: &[AgentName],
    incarnation: Option<IncarnationId>,
) -> Result<Option<Vec<IncarnationId>>, db::Error> {
    let sees_all = matches!(viewer, Viewer::Admin(_) | Viewer::System);
    match (sees_all, names, incarnation) {
        (true, [], None) => return Ok(None),
        (true, [], Some(life)) => return Ok(Some(vec![life])),
        _ => {}
    }
    let table = AgentLife::TABLE;
    let mut select = Statement::new(format!("SELECT x.incarnation FROM {table} x WHERE 1 = 1"));
    if !names.is_empty() {
        let names = names.iter().map(db::Param::to_value).collect();
        select.push(" AND x.agent_name IN (").bind_list(names).push(")");
    }
    if let Some(life) = incarnation {
        select.push(" AND x.incarnation = ").bind(life.to_value());
    }
    visible_life(&mut select, "x.incarnation", viewer);
    select.push(" ORDER BY x.created_at DESC, x.incarnation LIMIT ").bind(LIVES_MAX);
    Ok(Some(db.fetch_column(select).await?))
}
