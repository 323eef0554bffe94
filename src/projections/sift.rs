//! Pages of rows that no index knows exactly: candidates are offered in order, and those that fit are kept.

use std::collections::HashSet;

use super::executions::words::Search;
use super::keyset::{Branches, Found, Range};
use super::page::Order;
use crate::db::{self, Db, Statement};

/// After how many rows a request looks at no more, where no index knows which of them fit.
pub const LOOKED_AT_MAX: usize = 2_500;
/// How many steps one search takes, some of which may find nothing.
const STEPS_MAX: usize = 64;
/// How many rows are looked at in one step.
const STEP_ROWS_MAX: u32 = 500;

/// Which rows of a list fit, asked of single ones.
pub(super) trait Sieve {
    /// The table of the list.
    const TABLE: &'static str;
    /// Those of its columns that [`Sieve::narrow`] asks about, in a SELECT over table `e`.
    const COLUMNS: &'static str;

    /// Whether a row that was offered may not fit, or may not be there.
    fn is_needed(&self) -> bool;

    /// Appends the conditions to a SELECT over table `e`.
    fn narrow(&self, select: &mut Statement);
}

/// Where rows come from, in order.
pub(super) enum Candidates {
    /// Those with all words of a text in the message that they begin with.
    Words(Opening),
    /// Those that an index holds under some values, some of every branch at a time.
    Branches { branches: Branches<'static>, range: Range, step: u32 },
}

/// The rows of a list that requests have made, found by the words of these.
pub(super) struct Opening {
    /// Goes through the numbers of the requests, which are positions of the log.
    search: Search,
    numbering: Numbering,
    range: Range,
}

/// How a list numbers the rows that an event makes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Numbering {
    /// How many numbers an event has; the first is its position times this.
    pub(super) per_event: i64,
    /// How many of them may be taken by rows that show the message of a request.
    pub(super) opening: i64,
}

impl Numbering {
    /// The requests that may have made rows in a range.
    fn requests(self, Range { from, to }: Range) -> Range {
        let per_event = self.per_event;
        Range { from: from / per_event, to: to / per_event + i64::from(to % per_event != 0) }
    }

    /// The rows that requests may have made, in the order they have.
    fn rows(self, requests: Vec<i64>, order: Order) -> impl Iterator<Item = i64> {
        let Self { per_event, opening } = self;
        requests.into_iter().flat_map(move |request| {
            (0..opening).map(move |number| match order {
                Order::NewestFirst => request * per_event + opening - 1 - number,
                Order::OldestFirst => request * per_event + number,
            })
        })
    }
}

impl Opening {
    /// Begins to look for the words of a text; none, when it has no word to look for.
    pub(super) async fn begin(
        db: &Db,
        text: &str,
        (range, numbering): (Range, Numbering),
        order: Order,
    ) -> Result<Option<Self>, db::Error> {
        let search = Search::begin(db, text, numbering.requests(range), order).await?;
        Ok(search.map(|search| Self { search, numbering, range }))
    }

    async fn next(&mut self, db: &Db, order: Order) -> Result<Option<Vec<i64>>, db::Error> {
        let Some(requests) = self.search.next(db).await? else { return Ok(None) };
        let rows = self.numbering.rows(requests, order);
        Ok(Some(rows.filter(|row_no| self.range.contains(*row_no)).collect()))
    }

    /// The row after which it goes on.
    fn place(&self, order: Order) -> i64 {
        let (rest, per_event) = (self.search.rest(), self.numbering.per_event);
        match order {
            Order::NewestFirst => rest.to.saturating_mul(per_event).min(self.range.to),
            Order::OldestFirst => rest.from.saturating_mul(per_event).max(self.range.from) - 1,
        }
    }
}

impl Candidates {
    async fn next(&mut self, db: &Db, order: Order) -> Result<Option<Vec<i64>>, db::Error> {
        match self {
            Self::Words(opening) => opening.next(db, order).await,
            Self::Branches { range, .. } if range.is_empty() => Ok(None),
            Self::Branches { branches, range, step } => {
                let found = branches.first(db, *range, order, *step).await?;
                *range = match found.last() {
                    Some(last) if found.len() == *step as usize => range.after(*last, order),
                    _ => Range { from: 0, to: 0 },
                };
                // Few fit: more are looked at in the next step.
                *step = (*step * 2).min(STEP_ROWS_MAX.max(*step));
                Ok(Some(found))
            }
        }
    }
}

/// Keeps of the candidates those that fit, until there are enough for a page, or so many have been
/// looked at that the rest is for the next request.
pub(super) async fn sift(
    db: &Db,
    mut candidates: Candidates,
    sieve: &impl Sieve,
    (order, limit): (Order, u32),
) -> Result<Found, db::Error> {
    let (mut row_nos, mut looked_at, mut place) = (Vec::new(), 0, None);
    for _ in 0..STEPS_MAX {
        let Some(offered) = candidates.next(db, order).await? else {
            return Ok(Found { row_nos, rest: None });
        };
        looked_at += offered.len();
        place = match &candidates {
            Candidates::Words(opening) => Some(opening.place(order)),
            Candidates::Branches { .. } => offered.last().copied().or(place),
        };
        row_nos.extend(fitting(db, offered, sieve).await?);
        if row_nos.len() > limit as usize {
            return Ok(Found::of(row_nos, limit));
        }
        if looked_at >= LOOKED_AT_MAX {
            break;
        }
    }
    Ok(Found { row_nos, rest: place })
}

/// Those of the rows that fit, in the order they have.
async fn fitting(db: &Db, offered: Vec<i64>, sieve: &impl Sieve) -> Result<Vec<i64>, db::Error> {
    if offered.is_empty() || !sieve.is_needed() {
        return Ok(offered);
    }
    let kept = db.fetch_column::<i64>(looking_at(db, &offered, sieve)).await?;
    let kept: HashSet<_> = kept.into_iter().collect();
    Ok(offered.into_iter().filter(|row_no| kept.contains(row_no)).collect())
}

/// The statement that looks at rows by their numbers.
pub(super) fn looking_at<S: Sieve>(db: &Db, offered: &[i64], sieve: &S) -> Statement {
    let (table, columns) = (S::TABLE, S::COLUMNS);
    let mut select = Statement::new(format!(
        "SELECT e.row_no FROM (SELECT e.row_no, {columns} FROM {table} e WHERE e.row_no"
    ));
    // The limit keeps SQLite from walking every row of a status or a life instead of these.
    let count = i64::try_from(offered.len()).unwrap_or(i64::MAX);
    select.among(db, offered).push(" LIMIT ").bind(count).push(") e WHERE 1 = 1");
    sieve.narrow(&mut select);
    select
}

#[cfg(test)]
mod tests {
    use super::*;

    const FOUR: Numbering = Numbering { per_event: 4, opening: 2 };

    #[test]
    fn a_request_has_the_first_numbers_of_its_event_in_either_order() {
        let rows = |order| FOUR.rows(vec![7, 5], order).collect::<Vec<_>>();
        assert_eq!(rows(Order::NewestFirst), [29, 28, 21, 20]);
        assert_eq!(rows(Order::OldestFirst), [28, 29, 20, 21]);
    }

    #[test]
    fn a_range_that_ends_amid_an_event_has_its_request() {
        assert_eq!(FOUR.requests(Range { from: 20, to: 28 }), Range { from: 5, to: 7 });
        assert_eq!(FOUR.requests(Range { from: 21, to: 29 }), Range { from: 5, to: 8 });
        assert_eq!(FOUR.requests(Range { from: 0, to: 0 }), Range { from: 0, to: 0 });
        assert!(FOUR.requests(Range::ALL).contains(i64::MAX / 4));
    }
}
