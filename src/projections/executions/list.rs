//! Which rows are on a page: exactly those of an index where there is one for the filter, else those
//! of the rows that an index offers which fit.

use super::{ExecutionFilter, ExecutionRow, NARROWED_COLUMNS, narrow};
use crate::db::{self, Db, Param as _, Record as _, Statement};
use crate::domain::IncarnationId;
use crate::projections::keyset::{Branches, Found, Range, any_of, values};
use crate::projections::page::PageRequest;
use crate::projections::sift::{Candidates, Numbering, Opening, Sieve, sift};

/// The most combinations of lives and costs that are read one by one.
const BRANCHES_MAX: usize = 500;
/// The highest class of costs: everything from 2^39 millionths of a dollar.
const COST_CLASS_MAX: u32 = 40;
/// A request makes one row, whose number is its position.
const REQUESTS: Numbering = Numbering { per_event: 1, opening: 1 };

/// The class of a cost in millionths of a dollar: each is twice as wide as the one before.
pub(super) fn cost_class(cost: i64) -> u32 {
    if cost < 1 { 0 } else { (cost.ilog2() + 1).min(COST_CLASS_MAX) }
}

/// Finds the rows of a page.
pub(super) async fn find(
    db: &Db,
    filter: &ExecutionFilter,
    lives: Option<Vec<IncarnationId>>,
    page: &PageRequest,
) -> Result<Found, db::Error> {
    let mut range = Range::made_within(db, ExecutionRow::TABLE, filter.from, filter.to).await?;
    if let Some(row_no) = page.after_row_no() {
        range = range.after(row_no, filter.order);
    }
    if range.is_empty() || lives.as_ref().is_some_and(Vec::is_empty) {
        return Ok(Found::default());
    }
    let (lives, limit) = (lives.as_deref(), page.limit());
    let sieve = Narrowed { filter, lives };
    if let Some(text) = filter.words() {
        let within = (range, REQUESTS);
        let Some(opening) = Opening::begin(db, text, within, filter.order).await? else {
            return Ok(Found::default());
        };
        return sift(db, Candidates::Words(opening), &sieve, (filter.order, limit)).await;
    }
    if filter.has_cost() || filter.parent_execution_id.is_some() {
        let branches = offering(filter, lives);
        let candidates = Candidates::Branches { branches, range, step: limit + 1 };
        return sift(db, candidates, &sieve, (filter.order, limit)).await;
    }
    let branches = exactly(filter, lives);
    Ok(Found::of(branches.first(db, range, filter.order, limit + 1).await?, limit))
}

/// The branches of an index that hold what the filter wants and nothing else.
fn exactly(filter: &ExecutionFilter, lives: Option<&[IncarnationId]>) -> Branches<'static> {
    let mut columns: Vec<_> =
        lives.map(|lives| ("incarnation", values(lives))).into_iter().collect();
    // Both columns stand in one index, so the one that is not asked for has all its words.
    if !filter.status.is_empty() || !filter.triggered_by.is_empty() {
        columns.push(("status", any_of(&filter.status)));
        columns.push(("triggered_by", any_of(&filter.triggered_by)));
    }
    Branches { table: ExecutionRow::TABLE, columns }
}

/// The branches of an index that hold what the filter wants among other rows.
fn offering(filter: &ExecutionFilter, lives: Option<&[IncarnationId]>) -> Branches<'static> {
    let table = ExecutionRow::TABLE;
    if let Some(parent) = filter.parent_execution_id {
        return Branches { table, columns: vec![("parent_execution_id", values(&[parent]))] };
    }
    let lowest = cost_class(filter.cost_min.map_or(0, |cost| cost.0));
    let highest = filter.cost_max.map_or(COST_CLASS_MAX, |cost| cost_class(cost.0));
    let classes: Vec<_> = (lowest..=highest).map(|class| class.to_value()).collect();
    let mut columns = Vec::new();
    if let Some(lives) = lives.filter(|lives| lives.len() * classes.len() <= BRANCHES_MAX) {
        columns.push(("incarnation", values(lives)));
    }
    columns.push(("cost_class", classes));
    Branches { table, columns }
}

/// What a filter asks of single executions.
struct Narrowed<'a> {
    filter: &'a ExecutionFilter,
    lives: Option<&'a [IncarnationId]>,
}

impl Sieve for Narrowed<'_> {
    const TABLE: &'static str = ExecutionRow::TABLE;
    const COLUMNS: &'static str = NARROWED_COLUMNS;

    fn is_needed(&self) -> bool {
        self.lives.is_some() || self.filter.narrows_rows()
    }

    fn narrow(&self, select: &mut Statement) {
        narrow(select, self.filter, self.lives);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::execution::{Status, Trigger};
    use crate::projections::executions::ExecutionsProjection;
    use crate::projections::page::Order;
    use crate::projections::sift::looking_at;
    use crate::projections::{Build, Cost, testing};

    /// Every combination of columns that a list is narrowed by.
    fn combinations() -> Vec<Branches<'static>> {
        let life = [IncarnationId(uuid::Uuid::nil())];
        let none = ExecutionFilter::default;
        let mut found = Vec::new();
        for lives in [None, Some(&life[..])] {
            for status in [vec![], vec![Status::Failed, Status::Pending]] {
                for triggered_by in [vec![], vec![Trigger::Mcp]] {
                    let status = status.clone();
                    found.push(exactly(&ExecutionFilter { status, triggered_by, ..none() }, lives));
                }
            }
            let cost = ExecutionFilter { cost_min: Some(Cost(5)), ..none() };
            found.push(offering(&cost, lives));
        }
        let parent = crate::domain::ExecutionId(uuid::Uuid::nil());
        found
            .push(offering(&ExecutionFilter { parent_execution_id: Some(parent), ..none() }, None));
        found
    }

    #[tokio::test]
    async fn rows_are_looked_at_by_their_numbers_alone() {
        let (_folder, db) = testing::empty(&ExecutionsProjection).await;
        let life = [IncarnationId(uuid::Uuid::nil())];
        let filter = ExecutionFilter {
            status: vec![Status::Failed],
            triggered_by: vec![Trigger::Mcp],
            cost_min: Some(Cost(5)),
            ..ExecutionFilter::default()
        };
        let offered: Vec<i64> = (0..512).collect();
        let sieve = Narrowed { filter: &filter, lives: Some(&life) };
        testing::assert_reads_by_number(&db, &looking_at(&db, &offered, &sieve)).await;
    }

    #[tokio::test]
    async fn every_combination_is_read_from_an_index_in_its_order() {
        let (_folder, db) = testing::empty(&ExecutionsProjection).await;
        assert_eq!(Build::Live.table::<ExecutionRow>(), ExecutionRow::TABLE);
        for branches in combinations() {
            for order in [Order::NewestFirst, Order::OldestFirst] {
                testing::assert_reads_in_order(&db, &branches, order).await;
            }
        }
    }

    #[test]
    fn classes_of_costs_are_powers_of_two() {
        assert_eq!([0, 1, 2, 3, 4, 1_000_000].map(cost_class), [0, 1, 2, 2, 3, 20]);
        assert_eq!(cost_class(-5), 0);
        assert_eq!(cost_class(i64::MAX), COST_CLASS_MAX);
    }

    #[test]
    fn a_cost_is_looked_for_where_it_can_be() {
        let filter = ExecutionFilter {
            cost_min: Some(Cost(1_000)),
            cost_max: Some(Cost(5_000)),
            ..ExecutionFilter::default()
        };
        let branches = offering(&filter, None);
        assert_eq!(branches.columns, [("cost_class", values(&[10_u32, 11, 12, 13]))]);
        let all =
            offering(&ExecutionFilter { cost_min: Some(Cost(0)), ..Default::default() }, None);
        assert_eq!(all.len(), 41);
    }
}
