//! Executions counted: sums over the counts of those that ended, and over the rows of the others.

mod history;

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use super::agents::AgentLife;
use super::executions::counts::{
    Buckets, Count, Duration, EVERY_LIFE, MINUTE_MICROS, buckets, class_of, life_word,
};
use super::executions::{ExecutionFilter, ExecutionRow, Executions, narrow};
use super::keyset::values;
use super::wire::Cost;
use super::{Viewer, lives};
use crate::db::{self, Db, Record as _, Statement, power_chunks};
use crate::domain::IncarnationId;
use crate::domain::execution::Status;

pub use history::{
    BUCKETS_MAX, BucketWidth, FAILURE_HOURS_MAX, FAILURES_MAX, FailureGroup, HistoryBucket, Span,
};

/// The most different values of one field that are counted.
pub const FACET_VALUES_MAX: usize = 200;
/// How many lives one statement adds up.
const LIVES_PER_STATEMENT_MAX: usize = 256;

/// How many executions there are of each value.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct FacetCounts {
    /// By status.
    pub status: BTreeMap<String, u64>,
    /// By how they came about.
    pub triggered_by: BTreeMap<String, u64>,
    /// By agent; the most frequent ones.
    pub agent: BTreeMap<String, u64>,
    /// In all.
    pub total: u64,
    /// What all of them cost in dollars.
    pub cost: Cost,
    /// Whether there may be more than were counted: where words or costs are asked for, only the
    /// newest 1,000 are.
    pub is_cut: bool,
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
    /// Half of those that ended took this long or less, to within three percent.
    #[schema(required = true)]
    pub duration_ms_p50: Option<u64>,
    /// Of a hundred that ended, 95 took this long or less, to within three percent.
    #[schema(required = true)]
    pub duration_ms_p95: Option<u64>,
}

/// Queries that count.
#[derive(Debug)]
pub struct Statistics<'a>(pub(super) &'a Db);

/// A stretch of time: whole minutes that are counted in buckets, and edges that are counted in rows.
struct Stretch {
    buckets: Vec<Buckets>,
    /// From and to in microseconds, the end not included.
    edges: Vec<(i64, i64)>,
}

/// Numbers of executions, by what distinguishes them.
#[derive(Debug, Default)]
struct Sums {
    status: BTreeMap<String, u64>,
    triggered_by: BTreeMap<String, u64>,
    lives: BTreeMap<String, u64>,
    cost: i64,
}

impl Statistics<'_> {
    /// How many executions there are of each value, among those the viewer may see.
    ///
    /// Where the filter asks for words, cost or parents, no more than
    /// [`LIMIT_MAX`](super::page::LIMIT_MAX) are counted.
    pub async fn facets(
        &self,
        viewer: &Viewer,
        filter: &ExecutionFilter,
    ) -> Result<FacetCounts, db::Error> {
        let lives = lives::of(self.0, viewer, &filter.agent, filter.incarnation).await?;
        let (sums, is_cut) = if filter.is_beyond_counts() {
            self.sums_of_rows(filter, lives).await?
        } else {
            let stretch = Stretch::of(filter);
            let mut sums = self.sums(filter, lives.as_deref(), &stretch).await?;
            if lives.is_none() {
                self.add_lives(&mut sums, filter, &stretch).await?;
            }
            (sums, false)
        };
        let agent = self.by_agent(&sums.lives).await?;
        let total = sums.status.values().sum();
        let Sums { status, triggered_by, cost, .. } = sums;
        Ok(FacetCounts { status, triggered_by, agent, total, cost: Cost(cost), is_cut })
    }

    /// Sums over the rows that fit, and whether there may be more.
    async fn sums_of_rows(
        &self,
        filter: &ExecutionFilter,
        lives: Option<Vec<IncarnationId>>,
    ) -> Result<(Sums, bool), db::Error> {
        let found = Executions(self.0).matching(filter, lives).await?;
        let mut sums = Sums::default();
        let mut select = select_sums();
        select.push("e.row_no").among(self.0, &found.row_nos).push(BY_KIND);
        for row in self.0.query(select).await? {
            sums.add(row)?;
        }
        Ok((sums, found.rest.is_some()))
    }

    /// How executions went, among those the viewer may see.
    pub async fn totals(
        &self,
        viewer: &Viewer,
        filter: &ExecutionFilter,
    ) -> Result<Totals, db::Error> {
        let lives = lives::of(self.0, viewer, &filter.agent, filter.incarnation).await?;
        let stretch = Stretch::of(filter);
        let Sums { status, cost, .. } = self.sums(filter, lives.as_deref(), &stretch).await?;
        let of = |status_wanted: Status| {
            let word: &str = status_wanted.into();
            status.get(word).copied().unwrap_or_default()
        };
        let completed = of(Status::Completed);
        let ended = completed + of(Status::Failed) + of(Status::Cancelled);
        #[expect(clippy::cast_precision_loss, reason = "a share of counts needs no more")]
        let success_rate = (ended > 0).then(|| completed as f64 / ended as f64);
        let durations = self.durations(filter, lives.as_deref(), &stretch).await?;
        Ok(Totals {
            total: status.values().sum(),
            success_rate,
            cost: Cost(cost),
            duration_ms_p50: percentile(&durations, 50),
            duration_ms_p95: percentile(&durations, 95),
            status,
        })
    }

    /// Sums by status and trigger, and by life where lives are chosen.
    async fn sums(
        &self,
        filter: &ExecutionFilter,
        lives: Option<&[IncarnationId]>,
        stretch: &Stretch,
    ) -> Result<Sums, db::Error> {
        let mut sums = Sums::default();
        for chunk in scopes(lives) {
            let columns = "c.incarnation, c.status, c.triggered_by, c.executions, c.cost";
            let mut select = Statement::new(
                "SELECT s.incarnation, s.status, s.triggered_by, \
                 CAST(SUM(s.executions) AS BIGINT), CAST(SUM(s.cost) AS BIGINT) FROM (",
            );
            stretch.select_counts(&mut select, columns, Count::TABLE, Some(&chunk), filter);
            select.push(") s GROUP BY s.incarnation, s.status, s.triggered_by");
            for row in self.0.query(select).await? {
                sums.add(row)?;
            }
        }
        for select in rows_beside(filter, lives, stretch) {
            for row in self.0.query(select).await? {
                sums.add(row)?;
            }
        }
        Ok(sums)
    }

    /// Adds sums by life over all lives.
    async fn add_lives(
        &self,
        sums: &mut Sums,
        filter: &ExecutionFilter,
        stretch: &Stretch,
    ) -> Result<(), db::Error> {
        let mut select =
            Statement::new("SELECT s.incarnation, CAST(SUM(s.executions) AS BIGINT) FROM (");
        let columns = "c.incarnation, c.executions";
        stretch.select_counts(&mut select, columns, Count::TABLE, None, filter);
        select.push(") s WHERE s.incarnation <> ").bind(EVERY_LIFE);
        select.push(" GROUP BY s.incarnation");
        for mut row in self.0.query(select).await? {
            let (life, executions): (String, u64) = (row.take()?, row.take()?);
            *sums.lives.entry(life).or_default() += executions;
        }
        Ok(())
    }

    /// How many took how long, by class.
    async fn durations(
        &self,
        filter: &ExecutionFilter,
        lives: Option<&[IncarnationId]>,
        stretch: &Stretch,
    ) -> Result<BTreeMap<i64, (u64, u64)>, db::Error> {
        let mut found: BTreeMap<i64, (u64, u64)> = BTreeMap::new();
        let mut add = |class, executions: u64, longest_ms: u64| {
            let (count, longest) = found.entry(class).or_default();
            *count += executions;
            *longest = (*longest).max(longest_ms);
        };
        for chunk in scopes(lives) {
            let mut select = Statement::new(
                "SELECT s.class, CAST(SUM(s.executions) AS BIGINT), MAX(s.longest_ms) FROM (",
            );
            let columns = "c.class, c.executions, c.longest_ms";
            let none = ExecutionFilter::default();
            stretch.select_counts(&mut select, columns, Duration::TABLE, Some(&chunk), &none);
            select.push(") s GROUP BY s.class");
            for mut row in self.0.query(select).await? {
                add(row.take()?, row.take()?, row.take()?);
            }
        }
        for (from, to) in &stretch.edges {
            let table = ExecutionRow::TABLE;
            let mut select = Statement::new(format!(
                "SELECT e.duration_ms FROM {table} e WHERE e.duration_ms IS NOT NULL \
                 AND e.created_at >= "
            ));
            select.bind(*from).push(" AND e.created_at < ").bind(*to);
            narrow(&mut select, &filter.of_counts(), lives);
            for duration_ms in self.0.fetch_column::<u64>(select).await? {
                add(class_of(duration_ms), 1, duration_ms);
            }
        }
        Ok(found)
    }

    /// The most frequent agents; lives of one name are added up.
    async fn by_agent(
        &self,
        lives: &BTreeMap<String, u64>,
    ) -> Result<BTreeMap<String, u64>, db::Error> {
        let ids: Vec<_> = lives.keys().cloned().collect();
        let mut agents: BTreeMap<String, u64> = BTreeMap::new();
        for chunk in power_chunks(&ids, db::LOOKUP_KEYS_MAX) {
            let table = AgentLife::TABLE;
            let mut select = Statement::new(format!(
                "SELECT l.incarnation, l.agent_name FROM {table} l WHERE l.incarnation IN ("
            ));
            select.bind_list(values(chunk)).push(")");
            for mut row in self.0.query(select).await? {
                let (life, name): (String, String) = (row.take()?, row.take()?);
                *agents.entry(name).or_default() += lives.get(&life).copied().unwrap_or_default();
            }
        }
        let mut agents: Vec<_> = agents.into_iter().collect();
        agents.sort_by(|(a, m), (b, n)| n.cmp(m).then(a.cmp(b)));
        agents.truncate(FACET_VALUES_MAX);
        Ok(agents.into_iter().collect())
    }
}

impl Sums {
    fn add(&mut self, mut row: db::Row) -> Result<(), db::Error> {
        let (life, status, trigger): (String, String, String) =
            (row.take()?, row.take()?, row.take()?);
        let (executions, cost): (u64, i64) = (row.take()?, row.take()?);
        *self.status.entry(status).or_default() += executions;
        *self.triggered_by.entry(trigger).or_default() += executions;
        if life != EVERY_LIFE {
            *self.lives.entry(life).or_default() += executions;
        }
        self.cost += cost;
        Ok(())
    }
}

impl ExecutionFilter {
    /// The part that counts know.
    fn of_counts(&self) -> Self {
        Self {
            status: self.status.clone(),
            triggered_by: self.triggered_by.clone(),
            ..Self::default()
        }
    }
}

impl Stretch {
    fn of(filter: &ExecutionFilter) -> Self {
        let from = filter.from.map(|at| at.timestamp_micros().max(0));
        let to = filter.to.map(|at| at.timestamp_micros().max(0));
        let first = from.map(|at| (at + MINUTE_MICROS - 1) / MINUTE_MICROS);
        let last = to.map(|at| at / MINUTE_MICROS);
        if let (Some(from), Some(to), Some(first), Some(last)) = (from, to, first, last)
            && first >= last
        {
            return Self { buckets: Vec::new(), edges: vec![(from, to)] };
        }
        let left = from.zip(first.map(|minute| minute * MINUTE_MICROS));
        let right = last.map(|minute| minute * MINUTE_MICROS).zip(to);
        let edges = left.into_iter().chain(right).filter(|(from, to)| from < to).collect();
        Self { buckets: buckets(first, last), edges }
    }

    /// Appends a SELECT of counts: of these lives, or of every one by itself and all together.
    fn select_counts(
        &self,
        select: &mut Statement,
        columns: &str,
        table: &str,
        lives: Option<&[String]>,
        filter: &ExecutionFilter,
    ) {
        for (place, Buckets { width, from, to }) in self.buckets.iter().enumerate() {
            let and = if place == 0 { "" } else { " UNION ALL " };
            select.push(&format!("{and}SELECT {columns} FROM {table} c WHERE c.width = "));
            select.bind(*width).push(" AND c.bucket >= ").bind(*from);
            select.push(" AND c.bucket < ").bind(*to);
            if let Some(lives) = lives {
                select.push(" AND c.incarnation IN (").bind_list(values(lives)).push(")");
            }
            if !filter.status.is_empty() {
                let wanted = values(&filter.status);
                select.push(" AND c.status IN (").bind_list(wanted).push(")");
            }
            if !filter.triggered_by.is_empty() {
                let wanted = values(&filter.triggered_by);
                select.push(" AND c.triggered_by IN (").bind_list(wanted).push(")");
            }
        }
        if self.buckets.is_empty() {
            select.push(&format!("SELECT {columns} FROM {table} c WHERE 1 = 0"));
        }
    }
}

/// What the sums of [`select_sums`] are by.
const BY_KIND: &str = " GROUP BY e.incarnation, e.status, e.triggered_by";

/// Begins a statement that counts rows; their condition and [`BY_KIND`] are to follow.
fn select_sums() -> Statement {
    Statement::new(format!(
        "SELECT e.incarnation, e.status, e.triggered_by, COUNT(*), \
         CAST(COALESCE(SUM(e.cost), 0) AS BIGINT) FROM {} e WHERE ",
        ExecutionRow::TABLE,
    ))
}

/// The statements that count rows: of those that have not ended, and at the edges of the stretch.
fn rows_beside(
    filter: &ExecutionFilter,
    lives: Option<&[IncarnationId]>,
    stretch: &Stretch,
) -> Vec<Statement> {
    let open = [Status::Pending, Status::Running];
    let mut statements = Vec::new();
    let end = |mut select: Statement| {
        narrow(&mut select, &filter.of_counts(), lives);
        select.push(BY_KIND);
        select
    };
    let mut select = select_sums();
    select.push("e.status IN (").bind_list(values(&open)).push(")");
    if let Some(from) = filter.from {
        select.push(" AND e.created_at >= ").bind(from);
    }
    if let Some(to) = filter.to {
        select.push(" AND e.created_at < ").bind(to);
    }
    statements.push(end(select));
    for (from, to) in &stretch.edges {
        let mut select = select_sums();
        select.push("e.status NOT IN (").bind_list(values(&open)).push(") AND e.created_at >= ");
        select.bind(*from).push(" AND e.created_at < ").bind(*to);
        statements.push(end(select));
    }
    statements
}

/// Whose counts are added up, a bounded number at a time.
fn scopes(lives: Option<&[IncarnationId]>) -> Vec<Vec<String>> {
    let Some(lives) = lives else { return vec![vec![EVERY_LIFE.to_owned()]] };
    let words: Vec<_> = lives.iter().copied().map(life_word).collect();
    power_chunks(&words, LIVES_PER_STATEMENT_MAX).map(<[String]>::to_vec).collect()
}

/// The duration that so many of a hundred do not exceed.
fn percentile(durations: &BTreeMap<i64, (u64, u64)>, percent: u64) -> Option<u64> {
    let total: u64 = durations.values().map(|(executions, _)| executions).sum();
    let place = (total * percent).div_ceil(100);
    let mut seen = 0;
    let reached = durations.values().find(|(executions, _)| {
        seen += executions;
        seen >= place
    });
    reached.map(|(_, longest_ms)| *longest_ms)
}
