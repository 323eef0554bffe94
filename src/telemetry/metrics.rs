//! Metrics, as Prometheus reads them.
//!
//! Whatever counts or measures says so through the crate `metrics`; what merely is, such as the end
//! of the log, is looked up when somebody asks. No label has values without a bound: routes, not
//! paths; statuses, not messages; no names of agents.

use std::fs;
use std::sync::OnceLock;

use anyhow::Context as _;
use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

/// How long requests took, by route, method and status.
pub const HTTP_REQUEST_DURATION: &str = "trinity_http_request_duration_seconds";
/// The position of the newest event.
pub const LOG_POSITION: &str = "trinity_log_position";
/// How many events a read model is behind, by its name.
pub const PROJECTION_LAG: &str = "trinity_projection_lag_events";
/// Whether a read model stands still, by its name.
pub const PROJECTION_DEGRADED: &str = "trinity_projection_degraded";
/// How many executions run, or wait.
pub const EXECUTIONS: &str = "trinity_executions";
/// How many slots there are.
pub const SLOTS: &str = "trinity_slots";
/// How many streams are open.
pub const STREAMS: &str = "trinity_sse_streams";
/// How many streams were ended because their clients read too slowly.
pub const SLOW_RESETS: &str = "trinity_sse_slow_resets_total";
/// How many places of agents that are in no life were taken away.
pub const STRAYS: &str = "trinity_stray_places_removed_total";
/// How much memory the process holds.
pub const RESIDENT_MEMORY: &str = "process_resident_memory_bytes";

/// Bounds of the buckets of durations, in seconds.
const SECONDS: [f64; 14] =
    [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0];
/// Bounds of the buckets of batch sizes.
const BATCH: [f64; 10] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];

static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();

/// Begins to collect, in this process, once.
///
/// # Errors
/// When something else in the process collects already.
pub fn install() -> anyhow::Result<()> {
    if HANDLE.get().is_some() {
        return Ok(());
    }
    let suffix = |suffix: &str| Matcher::Suffix(suffix.to_owned());
    let recorder = PrometheusBuilder::new()
        .set_buckets_for_metric(suffix("_seconds"), &SECONDS)
        .and_then(|builder| builder.set_buckets_for_metric(suffix("_batch_appends"), &BATCH))
        .context("cannot collect metrics")?
        .build_recorder();
    if HANDLE.set(recorder.handle()).is_ok() {
        metrics::set_global_recorder(recorder).context("cannot collect metrics")?;
        describe();
    }
    Ok(())
}

fn describe() {
    describe_histogram!(
        HTTP_REQUEST_DURATION,
        Unit::Seconds,
        "How long requests took until their answer began"
    );
    describe_counter!("trinity_log_appends_total", "Appends to the event log, by outcome");
    describe_histogram!("trinity_log_batch_appends", "How many appends shared one transaction");
    describe_counter!("trinity_log_retries_total", "Decisions made again on fresh state");
    describe_counter!(
        "trinity_transcript_bytes_total",
        Unit::Bytes,
        "Output of runs stored by this process"
    );
    describe_gauge!(LOG_POSITION, "The position of the newest event that this node knows");
    describe_gauge!(PROJECTION_LAG, "How many events a read model is behind");
    describe_gauge!(PROJECTION_DEGRADED, "1 while a read model stands still");
    describe_gauge!(EXECUTIONS, "Executions that hold a slot or wait for one");
    describe_gauge!(SLOTS, "Slots of all agents");
    describe_gauge!(STREAMS, "Streams that this process serves");
    describe_counter!(SLOW_RESETS, "Streams ended because their clients read too slowly");
    describe_counter!(STRAYS, "Places of agents that the log does not hold, taken away");
    describe_gauge!(RESIDENT_MEMORY, Unit::Bytes, "Resident memory of this process");
}

/// Folds what was measured into its buckets; without this it would pile up while nobody asks.
pub fn upkeep() {
    if let Some(handle) = HANDLE.get() {
        handle.run_upkeep();
    }
}

/// Everything collected so far, in the text format of Prometheus.
pub fn render() -> String {
    let Some(handle) = HANDLE.get() else { return String::new() };
    handle.run_upkeep();
    handle.render()
}

/// How much memory this process holds, in bytes; none where the system does not say.
pub fn resident_memory_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1_024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_knows_its_memory() {
        assert!(resident_memory_bytes().unwrap() > 1 << 20);
    }
}
