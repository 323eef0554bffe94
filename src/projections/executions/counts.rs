//! Executions counted as they end, so that nothing is counted again when somebody asks.
//!
//! Each execution that ends is counted once, under the time it was created, in buckets of several
//! widths and for its life as well as for all lives together. A stretch of time is then a few buckets
//! of each width, and what is left at its edges is less than a minute. Those that have not ended are
//! few, and are counted from their rows.
//!
//! Durations are counted in classes, the widest of which is three percent wide.

use std::collections::{BTreeMap, HashMap};
use std::ops::AddAssign;

use super::ExecutionRow;
use crate::db::{Column as _, Param, Record, Statement, power_chunks, record};
use crate::domain::IncarnationId;
use crate::domain::execution::{Status, Trigger};
use crate::projections::{Build, Timestamp};

/// What stands for the life when all are counted together.
pub(in crate::projections) const EVERY_LIFE: &str = "";
/// Microseconds of the narrowest buckets.
pub(in crate::projections) const MINUTE_MICROS: i64 = 60_000_000;
/// Minutes of an hour.
pub(in crate::projections) const HOUR: i64 = 60;
/// Minutes of a day.
pub(in crate::projections) const DAY: i64 = 24 * HOUR;
/// Minutes of the widest buckets: 32 days.
pub(super) const MONTH: i64 = 32 * DAY;
/// The widths of buckets in minutes, each a multiple of the one before.
const WIDTHS: [i64; 4] = [1, HOUR, DAY, MONTH];
/// The width that stands for the one bucket of all times.
const ALWAYS: i64 = 0;
/// Durations up to this many milliseconds are a class each.
const EXACT_MS_MAX: u64 = 64;
/// Beyond it, every doubling is so many classes.
const CLASSES_PER_DOUBLING: u64 = 32;
/// How many rows one statement writes.
const ROWS_MAX: usize = 256;

/// What becomes of columns when a row is added to one of the same key; `{t}` is the table.
pub(super) const EXECUTIONS: &str = "executions = {t}.executions + excluded.executions";
pub(super) const COST: &str = "cost = {t}.cost + excluded.cost";
pub(super) const LONGEST: &str = "longest_ms = CASE WHEN {t}.longest_ms < excluded.longest_ms \
                                  THEN excluded.longest_ms ELSE {t}.longest_ms END";
pub(super) const LAST: &str = "last_at = excluded.last_at, last_row_no = excluded.last_row_no";

record! {
    /// How many executions of a life that were created within a bucket have ended so.
    #[derive(Debug, Clone)]
    pub struct Count in "execution_counts_v3"
        key(incarnation: String, width: i64, bucket: i64, status: String, triggered_by: String)
    {
        pub incarnation: String,
        pub width: i64,
        pub bucket: i64,
        pub status: String,
        pub triggered_by: String,
        pub executions: i64,
        pub cost: i64,
    }
}

record! {
    /// How many executions of a life that were created within a bucket have taken so long.
    #[derive(Debug, Clone)]
    pub struct Duration in "execution_durations_v3"
        key(incarnation: String, width: i64, bucket: i64, class: i64)
    {
        pub incarnation: String,
        pub width: i64,
        pub bucket: i64,
        pub class: i64,
        pub executions: i64,
        pub longest_ms: u64,
    }
}

/// Buckets of one width, by number, the end not included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::projections) struct Buckets {
    pub(in crate::projections) width: i64,
    pub(in crate::projections) from: i64,
    pub(in crate::projections) to: i64,
}

/// The executions of a batch that have ended, counted by life and minute: the wider buckets, and those
/// of all lives, are sums of these, made once a batch.
#[derive(Debug, Default)]
pub(super) struct Counts {
    counts: HashMap<(IncarnationId, i64, Status, Trigger), Spent>,
    durations: HashMap<(IncarnationId, i64, i64), Taken>,
}

/// How many executions, and what they cost in micro-dollars.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Spent {
    pub(super) executions: i64,
    pub(super) cost: i64,
}

/// How many executions, and how long the longest took.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Taken {
    pub(super) executions: i64,
    pub(super) longest_ms: u64,
}

impl Spent {
    /// What one execution counts.
    pub(super) fn of(row: &ExecutionRow) -> Self {
        Self { executions: 1, cost: row.cost.unwrap_or_default().0 }
    }
}

impl Taken {
    /// What one execution counts that took so long.
    pub(super) fn of(duration_ms: u64) -> Self {
        Self { executions: 1, longest_ms: duration_ms }
    }
}

impl AddAssign for Spent {
    fn add_assign(&mut self, other: Self) {
        self.executions += other.executions;
        self.cost += other.cost;
    }
}

impl AddAssign for Taken {
    fn add_assign(&mut self, other: Self) {
        self.executions += other.executions;
        self.longest_ms = self.longest_ms.max(other.longest_ms);
    }
}

impl Counts {
    /// Counts an execution that has just ended.
    pub(super) fn add(&mut self, row: &ExecutionRow) {
        let (life, minute) = (row.incarnation, minute_of(row.created_at));
        let count = self.counts.entry((life, minute, row.status, row.triggered_by)).or_default();
        *count += Spent::of(row);
        if let Some(duration_ms) = row.duration_ms {
            let duration = self.durations.entry((life, minute, class_of(duration_ms))).or_default();
            *duration += Taken::of(duration_ms);
        }
    }

    /// What to write, in the same transaction as the rows and the cursor.
    pub(super) fn into_statements(self, build: Build) -> Vec<Statement> {
        let mut counts = BTreeMap::<<Count as Record>::Key, Spent>::new();
        for ((life, minute, status, trigger), spent) in self.counts {
            let (status, trigger) = (word(status), word(trigger));
            for (life, width, bucket) in places(life, buckets_of(minute)) {
                let key = (life, width, bucket, status.clone(), trigger.clone());
                *counts.entry(key).or_default() += spent;
            }
        }
        let durations = spread(self.durations, buckets_of);
        let counts = counts.into_iter().map(|(key, Spent { executions, cost })| {
            let (incarnation, width, bucket, status, triggered_by) = key;
            Count { incarnation, width, bucket, status, triggered_by, executions, cost }
        });
        let durations = durations.into_iter().map(|(key, Taken { executions, longest_ms })| {
            let (incarnation, width, bucket, class) = key;
            Duration { incarnation, width, bucket, class, executions, longest_ms }
        });
        let mut statements = add_to(build, &counts.collect::<Vec<_>>(), &[EXECUTIONS, COST]);
        statements.extend(add_to(build, &durations.collect::<Vec<_>>(), &[EXECUTIONS, LONGEST]));
        statements
    }
}

/// Where something of a life is counted: in each of these buckets, for all lives and for it alone.
pub(super) fn places(
    life: IncarnationId,
    buckets: impl Iterator<Item = (i64, i64)>,
) -> impl Iterator<Item = (String, i64, i64)> {
    let life = life_word(life);
    buckets.flat_map(move |(width, bucket)| {
        [EVERY_LIFE.to_owned(), life.clone()].map(|life| (life, width, bucket))
    })
}

/// Durations by life, time and class, in every bucket that the time is within.
pub(super) fn spread<B: Iterator<Item = (i64, i64)>>(
    durations: HashMap<(IncarnationId, i64, i64), Taken>,
    buckets_of: impl Fn(i64) -> B,
) -> BTreeMap<(String, i64, i64, i64), Taken> {
    let mut spread = BTreeMap::<_, Taken>::new();
    for ((life, time, class), taken) in durations {
        for (life, width, bucket) in places(life, buckets_of(time)) {
            *spread.entry((life, width, bucket, class)).or_default() += taken;
        }
    }
    spread
}

/// The word that stands for a value in a column.
pub(super) fn word(value: impl Param) -> String {
    String::from_value(value.to_value()).unwrap_or_default()
}

/// The buckets that a minute is within, one of each width.
fn buckets_of(minute: i64) -> impl Iterator<Item = (i64, i64)> {
    WIDTHS.into_iter().map(move |width| (width, minute.div_euclid(width))).chain([(ALWAYS, 0)])
}

/// Adds rows to those of the same key.
pub(super) fn add_to<R: Record>(build: Build, rows: &[R], actions: &[&str]) -> Vec<Statement> {
    let table = build.table::<R>();
    let columns: Vec<_> = R::COLUMNS.iter().map(|column| column.name).collect();
    let of = |chunk: &[R]| {
        let mut statement =
            Statement::new(format!("INSERT INTO {table} ({}) VALUES ", columns.join(", ")));
        for (index, row) in chunk.iter().enumerate() {
            statement.push(if index == 0 { "(" } else { ", (" }).bind_list(row.values()).push(")");
        }
        let (key, actions) = (R::KEY.join(", "), actions.join(", ").replace("{t}", &table));
        statement.push(&format!(" ON CONFLICT ({key}) DO UPDATE SET {actions}"));
        statement
    };
    power_chunks(rows, ROWS_MAX).map(of).collect()
}

/// How a life stands in a count.
pub(in crate::projections) fn life_word(life: IncarnationId) -> String {
    life.to_string()
}

/// The minute that a time is within.
pub(in crate::projections) fn minute_of(at: Timestamp) -> i64 {
    at.0.timestamp_micros().div_euclid(MINUTE_MICROS)
}

/// The buckets that together are these whole minutes; an open end is one without a number.
pub(in crate::projections) fn buckets(from: Option<i64>, to: Option<i64>) -> Vec<Buckets> {
    if (from, to) == (None, None) {
        return vec![Buckets { width: ALWAYS, from: 0, to: 1 }];
    }
    let widest = WIDTHS[WIDTHS.len() - 1];
    // Both ends are whole buckets of the widest kind.
    let (mut from, mut to) = (from.unwrap_or(0), to.unwrap_or(widest * (1 << 32)));
    let mut found = Vec::new();
    let mut add = |width: i64, from: i64, to: i64| {
        if from < to {
            found.push(Buckets { width, from: from / width, to: to / width });
        }
    };
    for (place, width) in WIDTHS.into_iter().enumerate() {
        let Some(wider) = WIDTHS.get(place + 1) else {
            add(width, from, to);
            break;
        };
        let inner_from =
            from.div_euclid(*wider) * wider + if from % wider == 0 { 0 } else { *wider };
        let inner_to = to.div_euclid(*wider) * wider;
        if inner_from >= inner_to {
            add(width, from, to);
            break;
        }
        add(width, from, inner_from);
        add(width, inner_to, to);
        (from, to) = (inner_from, inner_to);
    }
    found
}

/// The class of a duration.
pub(in crate::projections) fn class_of(duration_ms: u64) -> i64 {
    if duration_ms < EXACT_MS_MAX {
        return i64::try_from(duration_ms).unwrap_or_default();
    }
    let doubling = u64::from(duration_ms.ilog2());
    let within = (duration_ms >> (doubling - 5)) - CLASSES_PER_DOUBLING;
    let class = EXACT_MS_MAX + (doubling - 6) * CLASSES_PER_DOUBLING + within;
    i64::try_from(class).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_cover_every_minute_once() {
        let stretches =
            [(0, 1), (59, 61), (1, 60), (7, 7), (100, 46_080 * 3 + 17), (46_079, 46_081)];
        for (from, to) in stretches {
            let mut minutes: Vec<i64> = buckets(Some(from), Some(to))
                .iter()
                .flat_map(|b| b.from * b.width..b.to * b.width)
                .collect();
            minutes.sort_unstable();
            assert_eq!(minutes, (from..to).collect::<Vec<_>>(), "{from}..{to}");
        }
    }

    #[test]
    fn a_long_stretch_is_few_ranges_of_buckets() {
        assert_eq!(buckets(None, None), [Buckets { width: ALWAYS, from: 0, to: 1 }]);
        assert!(buckets(Some(29_000_001), None).len() <= WIDTHS.len());
        assert!(buckets(None, Some(29_000_001)).len() <= WIDTHS.len());
        assert!(buckets(Some(1), Some(29_000_001)).len() < 2 * WIDTHS.len());
    }

    #[test]
    fn classes_of_durations_grow_and_are_narrow() {
        let (mut last, mut begins_at) = (-1, 0_u64);
        for duration_ms in 0..200_000_u64 {
            let class = class_of(duration_ms);
            if class != last {
                assert_eq!(class, last + 1, "{duration_ms}");
                (last, begins_at) = (class, duration_ms);
            }
            assert!((duration_ms - begins_at) * 32 <= begins_at.max(1), "{duration_ms}");
        }
        assert!(class_of(u64::MAX) > last);
    }
}
