//! How long to wait before looking again.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

/// How often the world is compared with the log when nothing hints at a change.
const PERIOD: Duration = Duration::from_secs(2);
/// The first wait after a failure.
const FAILURE_WAIT_MIN: Duration = Duration::from_millis(50);
/// The longest wait after repeated failures.
const FAILURE_WAIT_MAX: Duration = Duration::from_secs(5);

/// The wait between two looks: about two seconds, different each time so that agents do not
/// march in step.
pub(super) fn period() -> Duration {
    PERIOD.mul_f64(rand::random_range(0.75..1.25))
}

/// Waits that grow with every failure and begin anew after a success.
pub(super) struct Waits(Option<ExponentialBackoff>);

impl Waits {
    pub(super) fn new() -> Self {
        Self(None)
    }

    pub(super) fn succeeded(&mut self) {
        self.0 = None;
    }

    pub(super) fn failed(&mut self) -> Duration {
        let builder = ExponentialBuilder::new()
            .with_min_delay(FAILURE_WAIT_MIN)
            .with_max_delay(FAILURE_WAIT_MAX)
            .with_jitter()
            .without_max_times();
        self.0.get_or_insert_with(|| builder.build()).next().unwrap_or(FAILURE_WAIT_MAX)
    }

    /// Whether the last attempt failed too, so that the same failure is not logged again.
    pub(super) fn failing(&self) -> bool {
        self.0.is_some()
    }
}
