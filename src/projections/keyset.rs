//! Long lists read in order at a cost that does not grow with their length.
//!
//! Rows are numbered in the order of the log, and times grow with the numbers, so `row_no` alone is the
//! order of a list. A filter over several columns is taken apart into branches: one combination of
//! values each, which an index holds in the order of `row_no`. Every branch gives its first rows, and
//! the first of these are the page.
//!
//! An index over such columns ends in `row_no + 0`, and so does what is asked of it: were it the plain
//! number, Postgres would rather walk the index of all numbers and hope to meet the rows soon.

use chrono::{DateTime, Utc};

use super::page::Order;
use crate::db::{self, Db, Statement, Value};

/// The most branches that one statement merges; SQLite takes 500.
const BRANCHES_MAX: usize = 100;

/// A part of a list by the numbers of its rows, the end not included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) from: i64,
    pub(super) to: i64,
}

impl Range {
    /// The whole list.
    pub(super) const ALL: Self = Self { from: 0, to: i64::MAX };

    /// Whether no row can be in it.
    pub(super) fn is_empty(self) -> bool {
        self.from >= self.to
    }

    /// Whether a row is in it.
    pub(super) fn contains(self, row_no: i64) -> bool {
        (self.from..self.to).contains(&row_no)
    }

    /// What comes after a row.
    pub(super) fn after(self, row_no: i64, order: Order) -> Self {
        match order {
            Order::NewestFirst => Self { to: self.to.min(row_no), ..self },
            Order::OldestFirst => Self { from: self.from.max(row_no.saturating_add(1)), ..self },
        }
    }

    /// The rows made within these times, the end not included.
    pub(super) async fn made_within(
        db: &Db,
        table: &str,
        from: Option<DateTime<Utc>>,
        to: Option<DateTime<Utc>>,
    ) -> Result<Self, db::Error> {
        let mut range = Self::ALL;
        if let Some(at) = from {
            range.from = first_at(db, table, at).await?.unwrap_or(i64::MAX);
        }
        if let Some(at) = to {
            range.to = first_at(db, table, at).await?.unwrap_or(i64::MAX);
        }
        Ok(range)
    }
}

/// The number of the first row made at that time or later.
async fn first_at(db: &Db, table: &str, at: DateTime<Utc>) -> Result<Option<i64>, db::Error> {
    let mut select =
        Statement::new(format!("SELECT e.row_no FROM {table} e WHERE e.created_at >= "));
    select.bind(at.timestamp_micros()).push(" ORDER BY e.created_at, e.row_no LIMIT 1");
    Ok(db.fetch_column(select).await?.pop())
}

/// The rows of a page, by number, in order.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) row_nos: Vec<i64>,
    /// After which row the next page begins, if there may be one.
    pub(super) rest: Option<i64>,
}

impl Found {
    /// A page of rows of which one more than it holds was asked for.
    pub(super) fn of(mut row_nos: Vec<i64>, limit: u32) -> Self {
        let more = row_nos.len() > limit as usize;
        row_nos.truncate(limit as usize);
        Self { rest: row_nos.last().copied().filter(|_| more), row_nos }
    }
}

/// Rows that have one of the given values in each of some columns.
#[derive(Debug)]
pub(super) struct Branches<'t> {
    pub(super) table: &'t str,
    /// The columns of an index before `row_no`, in its order, each with the values wanted.
    pub(super) columns: Vec<(&'static str, Vec<Value>)>,
}

impl Branches<'_> {
    /// How many combinations of values there are.
    pub(super) fn len(&self) -> usize {
        self.columns.iter().map(|(_, values)| values.len()).product()
    }

    /// The numbers of the first rows in a range, in order, at most `limit`.
    pub(super) async fn first(
        &self,
        db: &Db,
        mut range: Range,
        order: Order,
        limit: u32,
    ) -> Result<Vec<i64>, db::Error> {
        let (count, mut found) = (self.len(), Vec::new());
        for begin in (0..count).step_by(BRANCHES_MAX) {
            if range.is_empty() {
                break;
            }
            let end = count.min(begin + BRANCHES_MAX);
            let statement = self.statement(begin..end, range, order, limit);
            found.extend(db.fetch_column::<i64>(statement).await?);
            match order {
                Order::NewestFirst => found.sort_unstable_by(|a, b| b.cmp(a)),
                Order::OldestFirst => found.sort_unstable(),
            }
            found.truncate(limit as usize);
            // Rows behind a full page need not be looked for in the branches that are left.
            if let Some(last) = found.last().filter(|_| found.len() == limit as usize) {
                match order {
                    Order::NewestFirst => range.from = range.from.max(*last),
                    Order::OldestFirst => range.to = range.to.min(*last),
                }
            }
        }
        Ok(found)
    }

    /// The statement that merges some of the branches.
    pub(super) fn statement(
        &self,
        branches: std::ops::Range<usize>,
        range: Range,
        order: Order,
        limit: u32,
    ) -> Statement {
        let (word, table) = (order.word(), self.table);
        let number = if self.columns.is_empty() { "e.row_no" } else { "e.row_no + 0" };
        let mut statement = Statement::new(String::new());
        for (place, branch) in branches.enumerate() {
            if place > 0 {
                statement.push(" UNION ALL ");
            }
            statement.push(&format!(
                "SELECT b{place}.row_no FROM (SELECT e.row_no FROM {table} e WHERE {number} >= "
            ));
            statement.bind(range.from).push(&format!(" AND {number} < ")).bind(range.to);
            for (column, value) in self.values(branch) {
                statement.push(&format!(" AND e.{column} = ")).bind(value);
            }
            statement.push(&format!(" ORDER BY {number} {word} LIMIT ")).bind(limit);
            statement.push(&format!(") b{place}"));
        }
        statement.push(&format!(" ORDER BY 1 {word} LIMIT ")).bind(limit);
        statement
    }

    /// The combination of that number.
    fn values(&self, mut branch: usize) -> Vec<(&'static str, &Value)> {
        let pick = |(column, values): &'_ (&'static str, Vec<Value>)| {
            let chosen = branch % values.len();
            branch /= values.len();
            (*column, chosen)
        };
        let picked: Vec<_> = self.columns.iter().map(pick).collect();
        let value = |(number, (column, chosen)): (usize, (&'static str, usize))| {
            (column, &self.columns[number].1[chosen])
        };
        picked.into_iter().enumerate().map(value).collect()
    }
}

/// What stands in a column for each of these.
pub(super) fn values<T: db::Param>(items: &[T]) -> Vec<Value> {
    items.iter().map(db::Param::to_value).collect()
}

/// Every word that a column of words may hold.
pub(super) fn words<T: strum::VariantNames>() -> Vec<Value> {
    T::VARIANTS.iter().map(db::Param::to_value).collect()
}

/// The values wanted, or all there are when none is named.
pub(super) fn any_of<T: db::Param + strum::VariantNames>(items: &[T]) -> Vec<Value> {
    if items.is_empty() { words::<T>() } else { values(items) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::Param as _;

    #[test]
    fn branches_are_every_combination_once() {
        let columns = vec![
            ("a", vec![1.to_value(), 2.to_value()]),
            ("b", vec![1.to_value(), 2.to_value(), 3.to_value()]),
        ];
        let branches = Branches { table: "t", columns };
        let mut seen: Vec<_> = (0..branches.len())
            .map(|branch| {
                let values = branches.values(branch);
                values
                    .into_iter()
                    .map(|(column, value)| (column, value.clone()))
                    .collect::<Vec<_>>()
            })
            .collect();
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), 6);
        assert_eq!(Branches { table: "t", columns: vec![] }.len(), 1, "no filter is one branch");
        let none = Branches { table: "t", columns: vec![("a", vec![])] };
        assert_eq!(none.len(), 0, "a column without a wanted value has no rows");
    }

    #[test]
    fn a_range_goes_on_after_a_row_in_either_order() {
        let range = Range { from: 10, to: 20 };
        assert_eq!(range.after(15, Order::NewestFirst), Range { from: 10, to: 15 });
        assert_eq!(range.after(15, Order::OldestFirst), Range { from: 16, to: 20 });
        assert!(range.after(10, Order::NewestFirst).is_empty());
        assert!(range.after(19, Order::OldestFirst).is_empty());
    }
}
