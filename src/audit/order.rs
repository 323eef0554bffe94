//! Positions, ids and times: what can be said of rows without understanding them.

use super::place::Place;
use super::report::{Invariant, Tally};
use super::row::Row;
use super::schema;
use super::world::Standing;

/// The last row, and the time of the append before it.
#[derive(Debug, Default)]
pub(super) struct Order {
    position: i64,
    events: u64,
    recorded_at: i64,
    is_later: bool,
}

impl Order {
    pub(super) fn position(&self) -> i64 {
        self.position
    }

    pub(super) fn events(&self) -> u64 {
        self.events
    }

    /// When the row that is being checked was recorded, in microseconds since 1970.
    pub(super) fn recorded_at(&self) -> i64 {
        self.recorded_at
    }

    /// Whether that time is later than that of any append before, so that it was surely read from a
    /// clock: while a clock lags behind the log, rows repeat the log's last time.
    pub(super) fn is_later(&self) -> bool {
        self.is_later
    }

    pub(super) fn observe(&mut self, row: &Row, starts_append: bool, tally: &mut Tally) {
        let mut check = |holds, message: &dyn Fn() -> String| {
            tally.check(Invariant::Order, row, holds, message);
        };
        let (last, time) = (self.position, row.recorded_at);
        check(row.position == last + 1, &|| format!("follows position {last}"));
        check(time.is_some(), &|| "it has no recorded_at".to_owned());
        check(time.is_none_or(|time| time >= self.recorded_at), &|| {
            "recorded_at is earlier than that of the event before".to_owned()
        });
        check(schema::is_uuid(&row.event_id), &|| "event_id is not a UUID".to_owned());
        self.position = row.position;
        self.events += 1;
        if let Some(time) = time {
            self.is_later = if starts_append { time > self.recorded_at } else { self.is_later };
            self.recorded_at = self.recorded_at.max(time);
        }
    }

    /// Compares what was read with what the log says of itself.
    pub(super) fn finish(&self, standing: &Standing, tally: &mut Tally) {
        let mut check = |holds, position, message: &dyn Fn() -> String| {
            let place = || Place { position, stream: "the log".into(), event_type: "-".into() };
            tally.check_at(Invariant::Order, holds, place, message);
        };
        let last = self.position;
        check(standing.head.is_some(), last, &|| "there is no head row".to_owned());
        let (head, head_recorded_at) = standing.head.unwrap_or((last, self.recorded_at));
        check(head == last, last.max(head), &|| {
            format!("the head row says {head}, the last event has position {last}")
        });
        check(head_recorded_at >= self.recorded_at, last, &|| {
            "the head row's recorded_at is earlier than the last event's".to_owned()
        });
        let rows = u64::try_from(standing.rows).unwrap_or_default();
        check(rows == self.events, last, &|| {
            format!("{rows} rows, {} of them in the order of positions", self.events)
        });
        let Some((row, repeats)) = &standing.repeated else { return };
        for _ in 0..*repeats {
            tally.check(Invariant::Order, row, false, || {
                format!("event_id {} is that of an earlier event", row.event_id)
            });
        }
    }
}
