//! Executions counted: queries over the rows of `executions`, nothing stored.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use super::Viewer;
use super::agents::visible_life;
use super::executions::{ExecutionFilter, ExecutionRow, narrow};
use super::wire::Cost;
use crate::db::{self, Column, Db, Record as _, Statement};
use crate::domain::execution::Status;

/// The most different values of one field that are counted.
pub const FACET_VALUES_MAX: u32 = 200;

/// How many executions there are of each value.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Facets {
    /// By status.
    pub status: BTreeMap<String, u64>,
    /// By how they came about.
    pub triggered_by: BTreeMap<String, u64>,
    /// By agent; the most frequent ones.
    pub agent: BTreeMap<String, u64>,
    /// In all.
    pub total: u64,
}

/// How executions went.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
pub struct Totals {
    /// How many were created.
    pub total: u64,
    /// By status.
    pub status: BTreeMap<String, u64>,
    /// The share of those that ended which ended well, 0 to 1; null when none has ended.
    #[schema(required = true)]
    pub success_rate: Option<f64>,
    /// What they cost in dollars.
    pub cost: Cost,
    /// Half of those that ended took this long or less.
    #[schema(required = true)]
    pub duration_ms_p50: Option<u64>,
    /// Of a hundred that ended, 95 took this long or less.
    #[schema(required = true)]
    pub duration_ms_p95: Option<u64>,
}

/// Queries that count.
#[derive(Debug)]
pub struct Statistics<'a>(pub(super) &'a Db);

impl Statistics<'_> {
    /// How many executions there are of each value, among those the viewer may see.
    pub async fn facets(
        &self,
        viewer: &Viewer,
        filter: &ExecutionFilter,
    ) -> Result<Facets, db::Error> {
        let status = self.count_by("status", viewer, filter).await?;
        let total = status.values().sum();
        let triggered_by = self.count_by("triggered_by", viewer, filter).await?;
        let agent = self.count_by("agent_name", viewer, filter).await?;
        Ok(Facets { status, triggered_by, agent, total })
    }

    /// How executions went, among those the viewer may see.
    pub async fn totals(
        &self,
        viewer: &Viewer,
        filter: &ExecutionFilter,
    ) -> Result<Totals, db::Error> {
        let status = self.count_by("status", viewer, filter).await?;
        let of = |status_wanted: Status| {
            let word: &str = status_wanted.into();
            status.get(word).copied().unwrap_or_default()
        };
        let completed = of(Status::Completed);
        let ended = completed + of(Status::Failed) + of(Status::Cancelled);
        let total = status.values().sum();
        #[expect(clippy::cast_precision_loss, reason = "a share of counts needs no more")]
        let success_rate = (ended > 0).then(|| completed as f64 / ended as f64);
        let cost = from(viewer, filter, "CAST(COALESCE(SUM(e.cost), 0) AS BIGINT)", "");
        let cost = self.one(cost).await?.map(Cost).unwrap_or_default();
        Ok(Totals {
            total,
            success_rate,
            cost,
            duration_ms_p50: self.percentile(viewer, filter, 50).await?,
            duration_ms_p95: self.percentile(viewer, filter, 95).await?,
            status,
        })
    }

    async fn count_by(
        &self,
        column: &str,
        viewer: &Viewer,
        filter: &ExecutionFilter,
    ) -> Result<BTreeMap<String, u64>, db::Error> {
        let mut select = from(viewer, filter, &format!("e.{column}, COUNT(*)"), "");
        select.push(&format!(" GROUP BY e.{column} ORDER BY 2 DESC, 1 LIMIT "));
        select.bind(FACET_VALUES_MAX);
        let rows = self.0.query(select).await?;
        rows.into_iter().map(|mut row| Ok((row.take()?, row.take()?))).collect()
    }

    /// The duration that so many of a hundred ended executions do not exceed.
    async fn percentile(
        &self,
        viewer: &Viewer,
        filter: &ExecutionFilter,
        percent: u32,
    ) -> Result<Option<u64>, db::Error> {
        let numbered = "e.duration_ms AS ms, \
             ROW_NUMBER() OVER (ORDER BY e.duration_ms) AS place, COUNT(*) OVER () AS total";
        let mut select = Statement::new("SELECT d.ms FROM (".to_owned());
        append(&mut select, viewer, filter, numbered, " AND e.duration_ms IS NOT NULL");
        select.push(") d WHERE d.place = (d.total * ").bind(percent);
        select.push(" + 99) / 100");
        self.one(select).await
    }

    async fn one<T: Column>(&self, select: Statement) -> Result<Option<T>, db::Error> {
        Ok(self.0.fetch_column(select).await?.pop())
    }
}

fn from(viewer: &Viewer, filter: &ExecutionFilter, columns: &str, more: &str) -> Statement {
    let mut select = Statement::new(String::new());
    append(&mut select, viewer, filter, columns, more);
    select
}

fn append(
    select: &mut Statement,
    viewer: &Viewer,
    filter: &ExecutionFilter,
    columns: &str,
    more: &str,
) {
    select.push(&format!("SELECT {columns} FROM {} e WHERE 1 = 1{more}", ExecutionRow::TABLE));
    narrow(select, filter);
    visible_life(select, "e.incarnation", viewer);
}
