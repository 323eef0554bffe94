//! Which entries are on a page: exactly those of an index where there is one for the filter, else those
//! of the entries that an index or the words of messages offer which fit.

use strum::IntoEnumIterator as _;

use super::fold::{ENTRIES_PER_EVENT_MAX, OPENING_ENTRIES_MAX, row_no_after};
use super::{ActivityFilter, ActivityRow, ActivityState, ActivityType};
use crate::db::{self, Db, Record as _, Statement};
use crate::domain::{ExecutionId, IncarnationId};
use crate::projections::keyset::{Branches, Found, Range, any_of, values};
use crate::projections::narrow;
use crate::projections::page::{Order, PageRequest};
use crate::projections::sift::{Candidates, Numbering, Opening, Sieve, sift};

/// The order of the stream.
pub(super) const ORDER: Order = Order::NewestFirst;
/// An event makes a few entries; those of a request show its message.
const ENTRIES: Numbering =
    Numbering { per_event: ENTRIES_PER_EVENT_MAX, opening: OPENING_ENTRIES_MAX };

/// The most combinations of lives, types and states that are read one by one where entries are looked
/// at anyway.
const BRANCHES_MAX: usize = 500;

/// Finds the rows of a page. The entries of one execution are few, and each combination of life, type
/// and state has an index; sources and costs have none.
pub(super) async fn find(
    db: &Db,
    filter: &ActivityFilter,
    lives: Option<&[IncarnationId]>,
    page: &PageRequest,
) -> Result<Found, db::Error> {
    let (from, to) = (filter.start_time, filter.end_time);
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
    if filter.has_cost() || !filter.triggered_by.is_empty() {
        let branches = offering(filter, lives);
        let candidates = Candidates::Branches { branches, range, step: limit + 1 };
        return sift(db, candidates, &sieve, (ORDER, limit)).await;
    }
    let branches = exactly(filter, lives);
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

/// The branches of an index that hold the wanted types and states and nothing else.
fn exactly(filter: &ActivityFilter, lives: Option<&[IncarnationId]>) -> Branches<'static> {
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

/// The branches of an index that hold what the filter wants among other entries.
fn offering(filter: &ActivityFilter, lives: Option<&[IncarnationId]>) -> Branches<'static> {
    let mut wanted = filter.clone();
    if filter.has_cost() {
        // A run's beginning and its end have its cost, and it has ended.
        let with_cost = ActivityType::iter().filter_map(|of| Some([of, of.end()?])).flatten();
        let is_wanted = |of: &ActivityType| {
            filter.activity_type.is_empty() || filter.activity_type.contains(of)
        };
        wanted.activity_type = with_cost.filter(is_wanted).collect();
        if wanted.activity_type.is_empty() {
            return Branches {
                table: ActivityRow::TABLE,
                columns: vec![("activity_type", vec![])],
            };
        }
        if filter.activity_state.is_empty() {
            wanted.activity_state = vec![ActivityState::Completed, ActivityState::Failed];
        }
    }
    let branches = exactly(&wanted, lives);
    if branches.len() <= BRANCHES_MAX {
        return branches;
    }
    exactly(&wanted, None)
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
        let filter = self.filter;
        narrow::one_of(select, "activity_type", values(&filter.activity_type));
        narrow::one_of(select, "activity_state", values(&filter.activity_state));
        narrow::one_of(select, "triggered_by", values(&filter.triggered_by));
        let execution = values(filter.related_execution_id.as_slice());
        narrow::one_of(select, "related_execution_id", execution);
        narrow::lives(select, self.lives);
        narrow::cost(select, filter.cost_min, filter.cost_max);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::projections::activities::ActivitiesProjection;
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
                    testing::assert_reads_in_order(&db, &exactly(&filter, lives), ORDER).await;
                    let cost = ActivityFilter { cost_min: Some(Cost(1)), ..filter };
                    testing::assert_reads_in_order(&db, &offering(&cost, lives), ORDER).await;
                }
            }
        }
    }

    #[test]
    fn entries_with_a_cost_are_looked_for_where_they_can_be() {
        let cost = ActivityFilter { cost_min: Some(Cost(1)), ..ActivityFilter::default() };
        assert_eq!(offering(&cost, None).len(), 6 * 2);
        let tools = ActivityFilter { activity_type: vec![ActivityType::ToolCall], ..cost.clone() };
        assert_eq!(offering(&tools, None).len(), 0);
        let failed = ActivityFilter { activity_state: vec![ActivityState::Failed], ..cost };
        assert_eq!(offering(&failed, None).len(), 6);
        let lives: Vec<_> = (0..100).map(|id| IncarnationId(uuid::Uuid::from_u128(id))).collect();
        assert_eq!(offering(&failed, Some(&lives[..50])).len(), 50 * 6);
        assert_eq!(offering(&failed, Some(&lives)).len(), 6, "not each life by itself");
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
