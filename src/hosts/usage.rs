//! What agents use of their machine, asked of the host as rarely as is enough.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::{AgentHost, Error};
use crate::clock;

/// How old a measurement may be that is given again, in milliseconds.
pub const MEASURED_AGE_MS_MAX: u64 = 2_000;

/// How old the measurement may be that the next one is compared with.
const COMPARED_AGE_MS_MAX: u64 = 60_000;

/// How far apart two measurements are that are made for one answer.
const SPAN_MS: u64 = 250;

/// What an agent has used up to now, and holds at this moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Processor time since it was started, in microseconds.
    pub cpu_us: u64,
    /// The most processor time it may use, in billionths of one processor.
    pub nano_cpus_max: Option<u64>,
    /// Memory that is its own.
    pub memory_bytes: u64,
    /// The most memory it may have.
    pub memory_bytes_max: Option<u64>,
    /// Processes and, where its host counts them so, threads.
    pub processes: u64,
}

/// A measurement.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measured {
    /// When it was made.
    pub at: DateTime<Utc>,
    /// How much of one processor it used lately, in percent; two processors are 200.
    pub cpu_percent: f64,
    /// What it holds.
    pub usage: Usage,
}

/// Measures the agents of one host; whoever asks soon after another gets the same answer.
pub struct Meter {
    host: Arc<dyn AgentHost>,
    gauges: Mutex<HashMap<Uuid, Arc<tokio::sync::Mutex<Gauge>>>>,
}

#[derive(Default)]
struct Gauge {
    last: Option<Sample>,
    shown: Option<Measured>,
}

#[derive(Clone, Copy)]
struct Sample {
    at: Instant,
    usage: Usage,
}

impl Meter {
    /// Makes a meter for the agents of this host.
    pub fn new(host: Arc<dyn AgentHost>) -> Self {
        Self { host, gauges: Mutex::default() }
    }

    /// Measures an agent, or gives what was measured [`MEASURED_AGE_MS_MAX`] ago or later.
    ///
    /// # Errors
    /// [`Error::NotRunning`] when nothing of it runs, and whatever else its host says.
    pub async fn of(&self, incarnation: Uuid) -> Result<Measured, Error> {
        let gauge = Arc::clone(self.lock().entry(incarnation).or_default());
        // Who comes meanwhile waits, and asks the host no second time.
        let measured = gauge.lock().await.measure(&*self.host, incarnation).await;
        if measured.is_err() {
            self.lock().remove(&incarnation);
        }
        measured
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Uuid, Arc<tokio::sync::Mutex<Gauge>>>> {
        self.gauges.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Gauge {
    async fn measure(
        &mut self,
        host: &dyn AgentHost,
        incarnation: Uuid,
    ) -> Result<Measured, Error> {
        let is_within =
            |sample: &Sample, limit_ms| sample.at.elapsed() < Duration::from_millis(limit_ms);
        if let (Some(last), Some(shown)) = (&self.last, self.shown)
            && is_within(last, MEASURED_AGE_MS_MAX)
        {
            return Ok(shown);
        }
        let compared = self.last.filter(|last| is_within(last, COMPARED_AGE_MS_MAX));
        let compared = if let Some(last) = compared {
            last
        } else {
            let first = sample(host, incarnation).await?;
            sleep(Duration::from_millis(SPAN_MS)).await;
            first
        };
        let now = sample(host, incarnation).await?;
        let cpu_percent = cpu_percent(&compared, &now);
        let measured = Measured { at: clock::now(), cpu_percent, usage: now.usage };
        (self.last, self.shown) = (Some(now), Some(measured));
        Ok(measured)
    }
}

async fn sample(host: &dyn AgentHost, incarnation: Uuid) -> Result<Sample, Error> {
    let usage = host.usage(incarnation).await?;
    Ok(Sample { at: Instant::now(), usage })
}

/// The share of one processor between two samples; one that began anew meanwhile has used nothing.
fn cpu_percent(before: &Sample, now: &Sample) -> f64 {
    let used = Duration::from_micros(now.usage.cpu_us.saturating_sub(before.usage.cpu_us));
    let passed = now.at.duration_since(before.at).as_secs_f64();
    if passed > 0.0 { 100.0 * used.as_secs_f64() / passed } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_becomes_a_share_of_one_processor() {
        let at = Instant::now();
        let sample = |ms: u64, cpu_us| Sample {
            at: at + Duration::from_millis(ms),
            usage: Usage { cpu_us, ..Usage::default() },
        };
        let percent = |before, now| cpu_percent(&before, &now).round();
        assert!((percent(sample(0, 0), sample(1_000, 500_000)) - 50.0).abs() < 1e-9);
        assert!((percent(sample(0, 7), sample(500, 1_000_007)) - 200.0).abs() < 1e-9);
        assert!(percent(sample(0, 900), sample(500, 100)).abs() < 1e-9, "it was started anew");
        assert!(percent(sample(0, 0), sample(0, 100)).abs() < 1e-9);
    }
}
