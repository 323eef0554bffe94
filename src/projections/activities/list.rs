//! Which entries are on a page: exactly those of an index where there is one for the filter, else those
//! of the entries that an index or the words of messages offer which fit.

use super::fold::{ENTRIES_PER_EVENT_MAX, OPENING_ENTRIES_MAX, row_no_after};
use super::{ActivityFilter, ActivityRow};
use crate::db::{self, Db, Record as _, Statement};
use crate::domain::{ExecutionId, IncarnationId};
use crate::projections::executions::narrow_cost;
use crate::projections::keyset::{Branches, Found, Range, any_of, values};
use crate::projections::page::{Order, PageRequest};
use crate::projections::sift::{Candidates, Numbering, Opening, Sieve, sift};

/// The order of the stream.
pub(super) const ORDER: Order = Order::NewestFirst;
/// An event makes a few entries; those of a request show its message.
const ENTRIES: Numbering =
    Numbering { per_event: ENTRIES_PER_EVENT_MAX, opening: OPENING_ENTRIES_MAX };

/// Finds the rows of a page. The entries of one execution are few; all others have an index for each
/// combination of life, type and state.
pub(super) async fn find(
    db: &Db,
    filter: &ActivityFilter,
    lives: Option<&[IncarnationId]>,
    page: &PageRequest,
) -> Result<Found, db::Error> {
    let micros = |at: Option<chrono::DateTime<chrono::Utc>>| at.map(|at| at.timestamp_micros());
    let (from, to) = (micros(filter.start_time), micros(filter.end_time));
    let mut range = Range::made_within(db, ActivityRow::TABLE, from, to).await?;
    if let Some((position, _)) = filter.until {
        range.to = range.to.min(row_no_after(position));
    }
    if let Some(row_no) = page.after_row_no() {
        range = range.after(row_no, ORDER);
    }
    if range.is_empty() || lives.is_some_and(<[_]>::is_empty) {
        return Ok(Found::default());
    }
    let (sieve, limit) = (Narrowed { filter, lives }, page.limit());
    if let Some(text) = filter.words() {
        if let Some(execution) = filter.related_execution_id {
            range = opening_of(db, execution, range).await?;
        }
        let Some(opening) = Opening::begin(db, text, (range, ENTRIES), ORDER).await? else {
            return Ok(Found::default());
        };
        return sift(db, Candidates::Words(opening), &sieve, (ORDER, limit)).await;
    }
    if let Some(execution) = filter.related_execution_id {
        let mut select = about(execution, range);
        sieve.narrow(&mut select);
        select.push(" ORDER BY e.row_no + 0 DESC LIMIT ").bind(limit + 1);
        return Ok(Found::of(db.fetch_column(select).await?, limit));
    }
    let branches = branches(filter, lives);
    if filter.has_cost() || !filter.triggered_by.is_empty() {
        let candidates = Candidates::Branches { branches, range, step: limit + 1 };
        return sift(db, candidates, &sieve, (ORDER, limit)).await;
    }
    Ok(Found::of(branches.first(db, range, ORDER, limit + 1).await?, limit))
}

/// The part of a range that holds the oldest entry about an execution, with which it opens.
async fn opening_of(db: &Db, execution: ExecutionId, range: Range) -> Result<Range, db::Error> {
    let mut select = about(execution, Range::ALL);
    select.push(" ORDER BY e.row_no + 0 LIMIT 1");
    let Some(first) = db.fetch_column::<i64>(select).await?.pop() else {
        return Ok(Range { from: 0, to: 0 });
    };
    let (from, to) = (range.from.max(first), range.to.min(first + OPENING_ENTRIES_MAX));
    Ok(Range { from, to })
}

/// The SELECT of the rows about an execution; it ends in a condition.
fn about(execution: ExecutionId, range: Range) -> Statement {
    let table = ActivityRow::TABLE;
    let mut select = Statement::new(format!("SELECT e.row_no FROM {table} e WHERE 1 = 1"));
    select.push(" AND e.related_execution_id = ").bind(execution);
    select.push(" AND e.row_no + 0 >= ").bind(range.from);
    select.push(" AND e.row_no + 0 < ").bind(range.to);
    select
}

/// The combinations of columns that a list is merged from.
fn branches(filter: &ActivityFilter, lives: Option<&[IncarnationId]>) -> Branches<'static> {
    let mut columns = Vec::new();
    if let Some(lives) = lives {
        columns.push(("incarnation", values(lives)));
    }
    if !filter.activity_type.is_empty() || !filter.activity_state.is_empty() {
        columns.push(("activity_type", any_of(&filter.activity_type)));
        columns.push(("activity_state", any_of(&filter.activity_state)));
    }
    Branches { table: ActivityRow::TABLE, columns }
}

/// What a filter asks of single entries.
struct Narrowed<'a> {
    filter: &'a ActivityFilter,
    lives: Option<&'a [IncarnationId]>,
}

impl Sieve for Narrowed<'_> {
    const TABLE: &'static str = ActivityRow::TABLE;
    const COLUMNS: &'static str = "e.activity_type, e.activity_state, e.triggered_by, \
                                   e.related_execution_id, e.incarnation, e.cost";

    fn is_needed(&self) -> bool {
        true
    }

    fn narrow(&self, select: &mut Statement) {
        let Self { filter, lives } = self;
        let mut one_of = |column: &str, values: Vec<db::Value>| {
            if !values.is_empty() {
                select.push(&format!(" AND e.{column} IN (")).bind_list(values).push(")");
            }
        };
        one_of("activity_type", values(&filter.activity_type));
        one_of("activity_state", values(&filter.activity_state));
        one_of("triggered_by", values(&filter.triggered_by));
        one_of("related_execution_id", values(filter.related_execution_id.as_slice()));
        one_of("incarnation", values(lives.unwrap_or_default()));
        narrow_cost(select, filter.cost_min, filter.cost_max);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::projections::activities::{ActivitiesProjection, ActivityState, ActivityType};
    use crate::projections::sift::looking_at;
    use crate::projections::{Cost, testing};

    #[tokio::test]
    async fn every_combination_is_read_from_an_index_in_its_order() {
        let (_folder, db) = testing::empty(&ActivitiesProjection).await;
        let life = [IncarnationId(uuid::Uuid::nil())];
        for lives in [None, Some(&life[..])] {
            for activity_type in [vec![], vec![ActivityType::TaskStart, ActivityType::ToolCall]] {
                for activity_state in [vec![], vec![ActivityState::Failed]] {
                    let activity_type = activity_type.clone();
                    let none = ActivityFilter::default();
                    let filter = ActivityFilter { activity_type, activity_state, ..none };
                    let branches = branches(&filter, lives);
                    testing::assert_reads_in_order(&db, &branches, Order::NewestFirst).await;
                }
            }
        }
    }

    #[tokio::test]
    async fn what_is_about_an_execution_is_read_from_its_index() {
        let (_folder, db) = testing::empty(&ActivitiesProjection).await;
        let plan = testing::plan(&db, &about(ExecutionId(uuid::Uuid::nil()), Range::ALL)).await;
        assert!(plan[0].contains("related_execution_id=?"), "{plan:?}");
    }

    #[tokio::test]
    async fn entries_are_looked_at_by_their_numbers_alone() {
        let (_folder, db) = testing::empty(&ActivitiesProjection).await;
        let life = [IncarnationId(uuid::Uuid::nil())];
        let filter = ActivityFilter {
            activity_state: vec![ActivityState::Failed],
            cost_min: Some(Cost(5)),
            ..ActivityFilter::default()
        };
        let sieve = Narrowed { filter: &filter, lives: Some(&life) };
        let offered: Vec<i64> = (0..512).collect();
        testing::assert_reads_by_number(&db, &looking_at(&db, &offered, &sieve)).await;
    }
}
