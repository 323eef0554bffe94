//! Executions counted by the time they ended, for the course of things and for what fails.
//!
//! Each is counted once as it ends, by hour and by day (in UTC), for its life as well as for all
//! lives together; failures by class for their life alone, in wider buckets too. So no execution is
//! read when somebody asks how the last days went.

use std::collections::{BTreeMap, HashMap};

use super::ExecutionRow;
use super::counts::{
    COST, DAY, EXECUTIONS, HOUR, LAST, LONGEST, MONTH, Spent, Taken, add_to, class_of, life_word,
    minute_of, places, spread, word,
};
use crate::db::{Record, Statement, record};
use crate::domain::IncarnationId;
use crate::domain::execution::Status;
use crate::projections::{Build, Timestamp};

/// The widths of buckets in minutes.
const WIDTHS: [i64; 2] = [HOUR, DAY];
/// The widths of buckets of failures, of which a long stretch takes few.
const FAILURE_WIDTHS: [i64; 3] = [HOUR, DAY, MONTH];

record! {
    /// How many executions of a life have ended so within a bucket.
    #[derive(Debug, Clone)]
    pub struct End in "execution_ends_v3"
        key(incarnation: String, width: i64, bucket: i64, status: String)
    {
        pub incarnation: String,
        pub width: i64,
        pub bucket: i64,
        pub status: String,
        pub executions: i64,
        pub cost: i64,
    }
}

record! {
    /// How many executions of a life that ended within a bucket have taken so long.
    #[derive(Debug, Clone)]
    pub struct EndDuration in "execution_end_durations_v3"
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

record! {
    /// How many executions of a life have failed so within a bucket, and which the log had last.
    #[derive(Debug, Clone)]
    pub struct Failure in "execution_failures_v3"
        key(incarnation: String, width: i64, bucket: i64, error_class: String)
    {
        pub incarnation: String,
        pub width: i64,
        pub bucket: i64,
        pub error_class: String,
        pub executions: i64,
        pub last_at: Timestamp,
        pub last_row_no: i64,
    }
}

/// The executions of a batch that have ended, counted by life and the hour of the end; days, and those
/// of all lives, are sums of these, made once a batch. Failures, which are few, are counted in every bucket
/// at once.
#[derive(Debug, Default)]
pub(super) struct Ends {
    statuses: HashMap<(IncarnationId, i64, Status), Spent>,
    durations: HashMap<(IncarnationId, i64, i64), Taken>,
    failures: BTreeMap<<Failure as Record>::Key, (i64, Timestamp, i64)>,
}

impl Ends {
    /// Counts an execution that has just ended.
    pub(super) fn add(&mut self, row: &ExecutionRow) {
        let Some(completed_at) = row.completed_at else { return };
        let minute = minute_of(completed_at);
        let (life, hour) = (row.incarnation, minute.div_euclid(HOUR));
        *self.statuses.entry((life, hour, row.status)).or_default() += Spent::of(row);
        if let Some(duration_ms) = row.duration_ms {
            let duration = self.durations.entry((life, hour, class_of(duration_ms))).or_default();
            *duration += Taken::of(duration_ms);
        }
        let Some(class) = row.error_class else { return };
        for width in FAILURE_WIDTHS {
            let (life, bucket) = (life_word(row.incarnation), minute.div_euclid(width));
            let key = (life, width, bucket, word(class));
            let failure = self.failures.entry(key).or_insert((0, completed_at, row.row_no));
            *failure = (failure.0 + 1, completed_at, row.row_no);
        }
    }

    /// What to write, in the same transaction as the rows and the cursor.
    pub(super) fn into_statements(self, build: Build) -> Vec<Statement> {
        let mut statuses = BTreeMap::<<End as Record>::Key, Spent>::new();
        for ((life, hour, status), spent) in self.statuses {
            let status = word(status);
            for (life, width, bucket) in places(life, buckets_of(hour)) {
                *statuses.entry((life, width, bucket, status.clone())).or_default() += spent;
            }
        }
        let durations = spread(self.durations, buckets_of);
        let ends = statuses.into_iter().map(|(key, Spent { executions, cost })| {
            let (incarnation, width, bucket, status) = key;
            End { incarnation, width, bucket, status, executions, cost }
        });
        let durations = durations.into_iter().map(|(key, Taken { executions, longest_ms })| {
            let (incarnation, width, bucket, class) = key;
            EndDuration { incarnation, width, bucket, class, executions, longest_ms }
        });
        let failures =
            self.failures.into_iter().map(|(key, (executions, last_at, last_row_no))| {
                let (incarnation, width, bucket, error_class) = key;
                Failure {
                    incarnation,
                    width,
                    bucket,
                    error_class,
                    executions,
                    last_at,
                    last_row_no,
                }
            });
        let mut statements = add_to(build, &ends.collect::<Vec<_>>(), &[EXECUTIONS, COST]);
        statements.extend(add_to(build, &durations.collect::<Vec<_>>(), &[EXECUTIONS, LONGEST]));
        statements.extend(add_to(build, &failures.collect::<Vec<_>>(), &[EXECUTIONS, LAST]));
        statements
    }
}

/// The buckets that an hour is within, one of each width.
fn buckets_of(hour: i64) -> impl Iterator<Item = (i64, i64)> {
    WIDTHS.into_iter().map(move |width| (width, hour.div_euclid(width / HOUR)))
}
