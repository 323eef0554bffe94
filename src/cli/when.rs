//! Places in the log as people name them: a position, or a time in their own zone.

use std::fmt;
use std::str::FromStr;

use chrono::{
    DateTime, Days, Local, LocalResult, NaiveDate, NaiveDateTime, NaiveTime, SecondsFormat,
    TimeDelta, TimeZone, Utc,
};

use crate::clock;

/// A position, or a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A position of the log.
    Position(u64),
    /// A moment.
    Time(DateTime<Utc>),
}

impl fmt::Display for Place {
    /// As the server reads it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Position(position) => position.fmt(f),
            Self::Time(at) => f.write_str(&at.to_rfc3339_opts(SecondsFormat::Micros, true)),
        }
    }
}

/// What a time may look like.
const TIMES: &str = "a time: 2026-11-20T10:00, 2026-11-20, 10:00, yesterday 10:00, today, \
                     \"2 hours ago\", now";

/// Nobody can tell what is meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("it is not a position such as 41, or {TIMES}")]
pub struct Unknown;

/// What is meant is no time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("it is not {TIMES}")]
pub struct NoTime;

/// Reads a time where a position would mean nothing.
pub fn time(text: &str) -> Result<DateTime<Utc>, NoTime> {
    match text.parse() {
        Ok(Place::Time(at)) => Ok(at),
        Ok(Place::Position(_)) | Err(Unknown) => Err(NoTime),
    }
}

impl FromStr for Place {
    type Err = Unknown;

    fn from_str(text: &str) -> Result<Self, Unknown> {
        read(text.trim(), &clock::now().with_timezone(&Local)).ok_or(Unknown)
    }
}

/// Reads a place as of `now`, whose zone is that of times without one.
fn read<Z: TimeZone>(text: &str, now: &DateTime<Z>) -> Option<Place> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().ok().map(Place::Position);
    }
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Some(Place::Time(at.to_utc()));
    }
    if text == "now" {
        return Some(Place::Time(now.to_utc()));
    }
    if let Some(elapsed) = text.strip_suffix(" ago") {
        return Some(Place::Time(now.to_utc().checked_sub_signed(elapsed_time(elapsed)?)?));
    }
    let local = date_and_time(text, now.date_naive())?;
    let at = match now.timezone().from_local_datetime(&local) {
        // Of an hour that there is twice, the first one.
        LocalResult::Single(at) | LocalResult::Ambiguous(at, _) => at,
        LocalResult::None => return None,
    };
    Some(Place::Time(at.to_utc()))
}

/// A count and a unit, such as `2 hours`, `90 s`, `1d`.
fn elapsed_time(text: &str) -> Option<TimeDelta> {
    let end = text.find(|c: char| !c.is_ascii_digit())?;
    let count: i64 = text[..end].parse().ok()?;
    match text[end..].trim_start() {
        "s" | "sec" | "second" | "seconds" => TimeDelta::try_seconds(count),
        "m" | "min" | "minute" | "minutes" => TimeDelta::try_minutes(count),
        "h" | "hour" | "hours" => TimeDelta::try_hours(count),
        "d" | "day" | "days" => TimeDelta::try_days(count),
        "w" | "week" | "weeks" => TimeDelta::try_weeks(count),
        _ => None,
    }
}

/// A day, a time of today, or both with a space or a `T` between them.
fn date_and_time(text: &str, today: NaiveDate) -> Option<NaiveDateTime> {
    if let Some(time) = time_of_day(text) {
        return Some(today.and_time(time));
    }
    let (day, time) = match text.split_once(' ').or_else(|| text.split_once('T')) {
        Some((day, time)) => (day, time_of_day(time.trim_start())?),
        None => (text, NaiveTime::MIN),
    };
    let day = match day {
        "today" => today,
        "yesterday" => today.checked_sub_days(Days::new(1))?,
        day => NaiveDate::parse_from_str(day, "%Y-%m-%d").ok()?,
    };
    Some(day.and_time(time))
}

fn time_of_day(text: &str) -> Option<NaiveTime> {
    let parsed = ["%H:%M", "%H:%M:%S%.f"].iter().map(|form| NaiveTime::parse_from_str(text, form));
    parsed.flatten().next()
}

#[cfg(test)]
mod tests {
    use chrono::FixedOffset;

    use super::*;

    /// Half past three in the afternoon, two hours east of Greenwich.
    fn read_then(text: &str) -> Option<String> {
        let now: DateTime<FixedOffset> = "2026-11-21T15:30:00+02:00".parse().unwrap();
        read(text, &now).map(|place| place.to_string())
    }

    #[test]
    fn a_place_is_a_position_or_a_time_in_the_zone_of_whoever_asks() {
        let cases = [
            ("41", "41"),
            ("2026-11-20T10:00:00Z", "2026-11-20T10:00:00.000000Z"),
            ("2026-11-20T10:00:00.5+01:00", "2026-11-20T09:00:00.500000Z"),
            ("2026-11-20T10:00", "2026-11-20T08:00:00.000000Z"),
            ("2026-11-20 10:00:30", "2026-11-20T08:00:30.000000Z"),
            ("2026-11-20", "2026-11-19T22:00:00.000000Z"),
            ("yesterday 10:00", "2026-11-20T08:00:00.000000Z"),
            ("yesterday", "2026-11-19T22:00:00.000000Z"),
            ("today 09:15", "2026-11-21T07:15:00.000000Z"),
            ("09:15", "2026-11-21T07:15:00.000000Z"),
            ("2 hours ago", "2026-11-21T11:30:00.000000Z"),
            ("90s ago", "2026-11-21T13:28:30.000000Z"),
            ("now", "2026-11-21T13:30:00.000000Z"),
        ];
        for (text, expected) in cases {
            assert_eq!(read_then(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn a_position_is_no_time() {
        assert_eq!(time("41"), Err(NoTime));
        assert_eq!(time("noon"), Err(NoTime));
        assert_eq!(time("2026-11-20T10:00:00Z").unwrap().timestamp(), 1_795_168_800);
    }

    #[test]
    fn what_nobody_can_mean_is_refused() {
        let beyond = ["9".repeat(30), format!("{} weeks ago", i64::MAX)];
        let nonsense =
            ["", "-1", "tomorrow", "yesterday 25:00", "2026-13-01", "ago", "3 moons ago"];
        for text in nonsense.into_iter().chain(beyond.iter().map(String::as_str)) {
            assert_eq!(read_then(text), None, "{text}");
        }
    }
}
