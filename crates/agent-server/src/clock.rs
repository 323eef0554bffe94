//! The only place of this crate that asks what time it is.

use std::time::Duration;

use chrono::{DateTime, SubsecRound, Utc};
use nix::time::{ClockId, clock_gettime};

/// How often the clock that counts the machine's sleep is looked at: no timer of tokio does.
const LOOK_MS: u64 = 1_000;

/// Gives the wall-clock time in whole microseconds.
#[expect(clippy::disallowed_methods, reason = "this is the clock of the agent server")]
pub(crate) fn now() -> DateTime<Utc> {
    Utc::now().trunc_subsecs(6)
}

/// Gives the time since the machine was started, its sleep included.
pub(crate) fn since_boot() -> Duration {
    clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(Duration::ZERO, Duration::from)
}

/// Waits until [`since_boot`] has reached a moment.
pub(crate) async fn sleep_until_since_boot(moment: Duration) {
    loop {
        let left = moment.saturating_sub(since_boot());
        if left.is_zero() {
            return;
        }
        tokio::time::sleep(left.min(Duration::from_millis(LOOK_MS))).await;
    }
}
