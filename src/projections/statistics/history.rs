//! The course of things: how the executions went that ended within each hour or day, and what failed.

use std::collections::BTreeMap;

use chrono::DateTime;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Statistics, percentile, scopes};
use crate::db::{self, Db, Record as _, Statement};
use crate::domain::execution::{ErrorClass, Status};
use crate::domain::{AgentName, ExecutionId, IncarnationId};
use crate::projections::executions::counts::{DAY, HOUR, MINUTE_MICROS, buckets};
use crate::projections::executions::ends::{End, EndDuration, Failure};
use crate::projections::executions::{ExecutionRow, PREVIEW_CHARS_MAX};
use crate::projections::keyset::values;
use crate::projections::wire::{Cost, Timestamp, words};
use crate::projections::{Viewer, lives};

/// The most buckets of one history.
pub const BUCKETS_MAX: i64 = 400;
/// The most kinds of failures that are shown.
pub const FAILURES_MAX: usize = 50;
/// The most hours over which failures are counted: a year.
pub const FAILURE_HOURS_MAX: i64 = 366 * 24;

/// How long a bucket is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, serde::Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum BucketWidth {
    #[default]
    Hour,
    /// From midnight to midnight in UTC.
    Day,
}

impl BucketWidth {
    fn minutes(self) -> i64 {
        match self {
            Self::Hour => HOUR,
            Self::Day => DAY,
        }
    }
}

/// Whole buckets that follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// How long each is.
    pub width: BucketWidth,
    /// The number of the first, counted from 1970.
    from: i64,
    /// The number after that of the last.
    to: i64,
}

impl Span {
    /// The buckets that hold everything from one time to before another.
    pub fn around(width: BucketWidth, from: Timestamp, to: Timestamp) -> Self {
        let micros = width.minutes() * MINUTE_MICROS;
        let of = |at: Timestamp| at.0.timestamp_micros();
        let to = of(to).div_euclid(micros) + i64::from(of(to).rem_euclid(micros) > 0);
        Self { width, from: of(from).div_euclid(micros), to }
    }

    /// The last buckets up to the one that holds what was just before a time.
    pub fn last(width: BucketWidth, count: i64, to: Timestamp) -> Self {
        let all = Self::around(width, to, to);
        Self { from: all.to - count, ..all }
    }

    /// How many they are.
    pub fn len(self) -> i64 {
        self.to - self.from
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.len() <= 0
    }

    /// When a bucket begins; none when no calendar knows the time.
    fn start(self, bucket: i64) -> Option<Timestamp> {
        let micros = bucket.checked_mul(self.width.minutes() * MINUTE_MICROS)?;
        DateTime::from_timestamp_micros(micros).map(Timestamp)
    }
}

/// How the executions went that ended within a bucket.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct HistoryBucket {
    /// When it begins.
    pub start: Timestamp,
    /// How many ended well.
    pub completed: u64,
    /// How many failed.
    pub failed: u64,
    /// How many were cancelled.
    pub cancelled: u64,
    /// How many ended.
    pub total: u64,
    /// What they cost in dollars.
    pub cost: Cost,
    /// Half of them took this long or less, to within three percent; null when none ran.
    #[schema(required = true)]
    pub duration_p50_ms: Option<u64>,
    /// Of a hundred of them, 95 took this long or less, to within three percent.
    #[schema(required = true)]
    pub duration_p95_ms: Option<u64>,
}

/// Executions of an agent that failed in the same way.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct FailureGroup {
    #[schema(schema_with = words::<ErrorClass>)]
    pub error_class: String,
    #[schema(value_type = String)]
    pub agent_name: AgentName,
    /// How many.
    pub count: u64,
    /// When the last of them ended.
    pub last_at: Timestamp,
    /// Which was the last.
    #[schema(value_type = Uuid)]
    pub last_id: ExecutionId,
    /// What it says, cut at 2000 characters.
    #[schema(required = true)]
    pub last_error: Option<String>,
}

/// Failures of one life and class, added up.
#[derive(Debug, Clone, Copy)]
struct Failed {
    executions: u64,
    last_at: Timestamp,
    last_row_no: i64,
}

impl Statistics<'_> {
    /// How the executions went that ended within each bucket, among those the viewer may see.
    ///
    /// Every bucket is there, also one in which nothing ended.
    pub async fn history(
        &self,
        viewer: &Viewer,
        agents: &[AgentName],
        span: Span,
    ) -> Result<Vec<HistoryBucket>, db::Error> {
        let lives = lives::of(self.0, viewer, agents, None).await?;
        let mut found = BTreeMap::new();
        for bucket in span.from..span.to {
            let Some(start) = span.start(bucket) else { continue };
            found.insert(bucket, HistoryBucket::empty(start));
        }
        for chunk in scopes(lives.as_deref()) {
            let columns = "c.bucket, c.status, CAST(SUM(c.executions) AS BIGINT), \
                           CAST(SUM(c.cost) AS BIGINT)";
            let mut select = span.select(columns, End::TABLE, &chunk);
            select.push(" GROUP BY c.bucket, c.status");
            for mut row in self.0.query(select).await? {
                let (bucket, status): (i64, Status) = (row.take()?, row.take()?);
                let (executions, cost): (u64, i64) = (row.take()?, row.take()?);
                if let Some(bucket) = found.get_mut(&bucket) {
                    bucket.add(status, executions, cost);
                }
            }
        }
        for (bucket, durations) in self.end_durations(lives.as_deref(), span).await? {
            if let Some(bucket) = found.get_mut(&bucket) {
                bucket.duration_p50_ms = percentile(&durations, 50);
                bucket.duration_p95_ms = percentile(&durations, 95);
            }
        }
        Ok(found.into_values().collect())
    }

    /// How many took how long, by bucket and class.
    async fn end_durations(
        &self,
        lives: Option<&[IncarnationId]>,
        span: Span,
    ) -> Result<BTreeMap<i64, BTreeMap<i64, (u64, u64)>>, db::Error> {
        let mut found: BTreeMap<i64, BTreeMap<i64, (u64, u64)>> = BTreeMap::new();
        for chunk in scopes(lives) {
            let columns = "c.bucket, c.class, CAST(SUM(c.executions) AS BIGINT), MAX(c.longest_ms)";
            let mut select = span.select(columns, EndDuration::TABLE, &chunk);
            select.push(" GROUP BY c.bucket, c.class");
            for mut row in self.0.query(select).await? {
                let (bucket, class): (i64, i64) = (row.take()?, row.take()?);
                let (executions, longest_ms): (u64, u64) = (row.take()?, row.take()?);
                let duration = found.entry(bucket).or_default().entry(class).or_default();
                *duration = (duration.0 + executions, duration.1.max(longest_ms));
            }
        }
        Ok(found)
    }

    /// What failed and ended within the hours, by class and agent, the most frequent first.
    ///
    /// Lives of one name are added up, as far as the viewer may see them.
    pub async fn failures(
        &self,
        viewer: &Viewer,
        agents: &[AgentName],
        span: Span,
    ) -> Result<Vec<FailureGroup>, db::Error> {
        let lives = lives::of(self.0, viewer, agents, None).await?;
        let mut groups: BTreeMap<(AgentName, String), Failed> = BTreeMap::new();
        for ((name, class), failed) in self.failed(lives.as_deref(), span).await? {
            let group = groups.entry((name, class)).or_insert(Failed { executions: 0, ..failed });
            group.add(failed);
        }
        let mut groups: Vec<_> = groups.into_iter().collect();
        // The keys are in order, and stay so among groups of the same size.
        groups.sort_by_key(|(_, failed)| std::cmp::Reverse(failed.executions));
        groups.truncate(FAILURES_MAX);
        let last = groups.iter().map(|(_, failed)| failed.last_row_no).collect::<Vec<_>>();
        let mut errors = last_errors(self.0, &last).await?;
        let groups = groups.into_iter().filter_map(|((agent_name, error_class), failed)| {
            let (last_id, last_error) = errors.remove(&failed.last_row_no)?;
            let Failed { executions: count, last_at, .. } = failed;
            Some(FailureGroup { error_class, agent_name, count, last_at, last_id, last_error })
        });
        Ok(groups.collect())
    }

    /// Failures by the names of lives and by class, bucket by bucket.
    async fn failed(
        &self,
        lives: Option<&[IncarnationId]>,
        span: Span,
    ) -> Result<Vec<((AgentName, String), Failed)>, db::Error> {
        let chunks = match lives {
            None => vec![None],
            Some(_) => scopes(lives).into_iter().map(Some).collect(),
        };
        let minutes = span.width.minutes();
        let mut found = Vec::new();
        for chunk in chunks {
            for part in buckets(Some(span.from * minutes), Some(span.to * minutes)) {
                let mut select = Statement::new(format!(
                    "SELECT l.agent_name, c.error_class, c.executions, c.last_at, c.last_row_no \
                     FROM {} c JOIN {} l ON l.incarnation = c.incarnation WHERE c.width = ",
                    Failure::TABLE,
                    super::AgentLife::TABLE,
                ));
                select.bind(part.width).push(" AND c.bucket >= ").bind(part.from);
                select.push(" AND c.bucket < ").bind(part.to);
                if let Some(lives) = &chunk {
                    select.push(" AND c.incarnation IN (").bind_list(values(lives)).push(")");
                }
                for mut row in self.0.query(select).await? {
                    let key = (row.take()?, row.take()?);
                    let (executions, last_at) = (row.take()?, row.take()?);
                    found.push((key, Failed { executions, last_at, last_row_no: row.take()? }));
                }
            }
        }
        Ok(found)
    }
}

impl Span {
    /// A SELECT over the counts of these lives within the span.
    fn select(self, columns: &str, table: &str, lives: &[String]) -> Statement {
        let mut select =
            Statement::new(format!("SELECT {columns} FROM {table} c WHERE c.width = "));
        select.bind(self.width.minutes()).push(" AND c.bucket >= ").bind(self.from);
        select.push(" AND c.bucket < ").bind(self.to);
        select.push(" AND c.incarnation IN (").bind_list(values(lives)).push(")");
        select
    }
}

impl HistoryBucket {
    fn empty(start: Timestamp) -> Self {
        Self {
            start,
            completed: 0,
            failed: 0,
            cancelled: 0,
            total: 0,
            cost: Cost::default(),
            duration_p50_ms: None,
            duration_p95_ms: None,
        }
    }

    fn add(&mut self, status: Status, executions: u64, cost: i64) {
        match status {
            Status::Completed => self.completed += executions,
            Status::Failed => self.failed += executions,
            Status::Cancelled => self.cancelled += executions,
            // These have not ended, so nothing counts them.
            Status::Pending | Status::Running => {}
        }
        self.total += executions;
        self.cost.0 += cost;
    }
}

impl Failed {
    fn add(&mut self, other: Self) {
        self.executions += other.executions;
        if (other.last_at, other.last_row_no) > (self.last_at, self.last_row_no) {
            (self.last_at, self.last_row_no) = (other.last_at, other.last_row_no);
        }
    }
}

/// What executions say about their failure, by number.
async fn last_errors(
    db: &Db,
    row_nos: &[i64],
) -> Result<BTreeMap<i64, (ExecutionId, Option<String>)>, db::Error> {
    let mut select = Statement::new(format!(
        "SELECT e.row_no, e.id, substr(e.error, 1, {PREVIEW_CHARS_MAX}) FROM {} e WHERE e.row_no",
        ExecutionRow::TABLE,
    ));
    select.among(db, row_nos);
    let mut found = BTreeMap::new();
    for mut row in db.query(select).await? {
        found.insert(row.take()?, (row.take()?, row.take()?));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp(text.parse().unwrap())
    }

    #[test]
    fn a_span_holds_every_moment_from_the_first_to_before_the_last() {
        let (noon, later) = (at("2026-11-21T12:00:00Z"), at("2026-11-21T13:00:00Z"));
        assert_eq!(Span::around(BucketWidth::Hour, noon, later).len(), 1);
        let past_one = at("2026-11-21T13:00:00.000001Z");
        let span = Span::around(BucketWidth::Hour, noon, past_one);
        assert_eq!((span.len(), span.start(span.from)), (2, Some(noon)));
        let before = at("2026-11-21T11:59:59.999999Z");
        let span = Span::around(BucketWidth::Hour, before, later);
        assert_eq!((span.len(), span.start(span.from)), (2, Some(at("2026-11-21T11:00:00Z"))));
        assert_eq!(Span::around(BucketWidth::Day, noon, later).len(), 1);
        assert!(Span::around(BucketWidth::Hour, noon, noon).is_empty());
    }

    #[test]
    fn the_last_buckets_hold_the_moment_before() {
        let span = Span::last(BucketWidth::Hour, 24, at("2026-11-21T12:30:00Z"));
        assert_eq!((span.len(), span.start(span.to)), (24, Some(at("2026-11-21T13:00:00Z"))));
        let span = Span::last(BucketWidth::Day, 2, at("2026-11-21T00:00:00Z"));
        assert_eq!(span.start(span.from), Some(at("2026-11-19T00:00:00Z")));
    }
}
