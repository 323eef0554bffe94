//! Which rows are on a page: exactly those of an index where there is one for the filter, else those
//! of the rows that an index offers which fit.

use super::words::Search;
use super::{ExecutionFilter, ExecutionRow, NARROWED_COLUMNS, narrow};
use crate::db::{self, Db, Param as _, Record as _, Statement};
use crate::domain::IncarnationId;
use crate::projections::keyset::{Branches, Found, Range, any_of, values};
use crate::projections::page::PageRequest;

/// How many rows one request looks at where no index knows which of them fit.
pub const LOOKED_AT_MAX: usize = 2_500;
/// How many steps one search takes, some of which may find nothing.
const STEPS_MAX: usize = 64;
/// How many rows are looked at in one step.
const STEP_ROWS_MAX: u32 = 500;
/// The most combinations of lives and costs that are read one by one.
const BRANCHES_MAX: usize = 500;
/// The highest class of costs: everything from 2^39 millionths of a dollar.
const COST_CLASS_MAX: u32 = 40;

/// Where rows come from, in order.
enum Candidates {
    /// Those with all words of a text.
    Words(Search),
    /// Those that an index holds under some values, some of every branch at a time.
    Branches { branches: Branches<'static>, range: Range, step: u32 },
}

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
    let micros = |at: Option<chrono::DateTime<chrono::Utc>>| at.map(|at| at.timestamp_micros());
    let table = ExecutionRow::TABLE;
    let mut range = Range::made_within(db, table, micros(filter.from), micros(filter.to)).await?;
    if let Some(row_no) = page.after_row_no() {
        range = range.after(row_no, filter.order);
    }
    if range.is_empty() || lives.as_ref().is_some_and(Vec::is_empty) {
        return Ok(Found::default());
    }
    if let Some(text) = filter.words() {
        let Some(search) = Search::begin(db, text, range, filter.order).await? else {
            return Ok(Found::default());
        };
        return sift(db, Candidates::Words(search), filter, lives.as_deref(), page).await;
    }
    if filter.has_cost() || filter.parent_execution_id.is_some() {
        let branches = offering(filter, lives.as_deref());
        let candidates = Candidates::Branches { branches, range, step: page.limit() + 1 };
        return sift(db, candidates, filter, lives.as_deref(), page).await;
    }
    let limit = page.limit();
    let branches = exactly(filter, lives.as_deref());
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

impl Candidates {
    async fn next(
        &mut self,
        db: &Db,
        filter: &ExecutionFilter,
    ) -> Result<Option<Vec<i64>>, db::Error> {
        match self {
            Self::Words(search) => search.next(db).await,
            Self::Branches { range, .. } if range.is_empty() => Ok(None),
            Self::Branches { branches, range, step } => {
                let found = branches.first(db, *range, filter.order, *step).await?;
                *range = match found.last() {
                    Some(last) if found.len() == *step as usize => range.after(*last, filter.order),
                    _ => Range { from: 0, to: 0 },
                };
                // Few fit: more are looked at in the next step.
                *step = (*step * 2).min(STEP_ROWS_MAX.max(*step));
                Ok(Some(found))
            }
        }
    }
}

/// Keeps of the candidates those that the filter wants, until there are enough for a page, or so many
/// have been looked at that the rest is for the next request.
async fn sift(
    db: &Db,
    mut candidates: Candidates,
    filter: &ExecutionFilter,
    lives: Option<&[IncarnationId]>,
    page: &PageRequest,
) -> Result<Found, db::Error> {
    let limit = page.limit();
    let (mut row_nos, mut looked_at, mut place) = (Vec::new(), 0, None);
    for _ in 0..STEPS_MAX {
        let Some(offered) = candidates.next(db, filter).await? else {
            return Ok(Found { row_nos, rest: None });
        };
        looked_at += offered.len();
        place = match &candidates {
            Candidates::Words(search) => Some(search.place()),
            Candidates::Branches { .. } => offered.last().copied().or(place),
        };
        row_nos.extend(fitting(db, offered, filter, lives).await?);
        if row_nos.len() > limit as usize {
            return Ok(Found::of(row_nos, limit));
        }
        if looked_at >= LOOKED_AT_MAX {
            break;
        }
    }
    Ok(Found { row_nos, rest: place })
}

/// Those of the rows that the filter wants, in the order they have.
async fn fitting(
    db: &Db,
    offered: Vec<i64>,
    filter: &ExecutionFilter,
    lives: Option<&[IncarnationId]>,
) -> Result<Vec<i64>, db::Error> {
    if lives.is_none() && !filter.narrows_rows() {
        return Ok(offered);
    }
    let kept = db.fetch_column::<i64>(looking_at(db, &offered, filter, lives)).await?;
    let kept: std::collections::HashSet<_> = kept.into_iter().collect();
    Ok(offered.into_iter().filter(|row_no| kept.contains(row_no)).collect())
}

/// The statement that looks at rows by their numbers.
fn looking_at(
    db: &Db,
    offered: &[i64],
    filter: &ExecutionFilter,
    lives: Option<&[IncarnationId]>,
) -> Statement {
    let table = ExecutionRow::TABLE;
    let mut select = Statement::new(format!(
        "SELECT e.row_no FROM \
         (SELECT e.row_no, {NARROWED_COLUMNS} FROM {table} e WHERE e.row_no"
    ));
    // The limit keeps SQLite from walking every row of a status or a life instead of these.
    select.among(db, offered).push(&format!(" LIMIT {LOOKED_AT_MAX}) e WHERE 1 = 1"));
    narrow(&mut select, filter, lives);
    select
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::execution::{Status, Trigger};
    use crate::projections::executions::ExecutionsProjection;
    use crate::projections::page::Order;
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
        let plan = testing::plan(&db, &looking_at(&db, &offered, &filter, Some(&life))).await;
        let reads: Vec<_> = plan.iter().filter(|line| line.contains("USING")).collect();
        assert!(
            matches!(reads[..], [read] if read.contains("row_no=?") || read.contains("rowid=?"))
        );
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
