//! The one place that reads the wall clock.

use chrono::{DateTime, SubsecRound, Utc};

/// How finely times are kept, in decimal digits of a second: what both stores hold exactly.
const SUBSECOND_DIGITS: u16 = 6;

/// The time now, in whole microseconds.
#[expect(clippy::disallowed_methods, reason = "this is the place that reads the clock")]
pub fn now() -> DateTime<Utc> {
    Utc::now().trunc_subsecs(SUBSECOND_DIGITS)
}
