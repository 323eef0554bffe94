//! What the engine says of one container: its log, and what it uses.

use bollard::Docker;
use bollard::container::LogOutput;
use bollard::errors::Error;
use bollard::models::ContainerMemoryStats;
use bollard::query_parameters::{InspectContainerOptions, LogsOptionsBuilder, StatsOptionsBuilder};
use futures::{StreamExt as _, TryStreamExt as _};

use crate::hosts::usage::Usage;

/// How many bytes of a log are read; its lines are bounded, each of them is not.
const LOG_READ_BYTES_MAX: usize = 1024 * 1024;

/// The last lines of what a container said.
pub(super) async fn log(docker: &Docker, id: &str, lines_max: u32) -> Result<String, Error> {
    let options = LogsOptionsBuilder::new().stdout(true).stderr(true).tail(&lines_max.to_string());
    let parts = docker.logs(id, Some(options.build())).map_ok(LogOutput::into_bytes);
    let said = parts.try_fold(Vec::new(), async |mut said, part| {
        said.extend_from_slice(&part);
        // The end is what is asked for.
        if said.len() > LOG_READ_BYTES_MAX {
            said.drain(..said.len() - LOG_READ_BYTES_MAX);
        }
        Ok(said)
    });
    Ok(String::from_utf8_lossy(&said.await?).into_owned())
}

/// What a container that runs uses, and may use.
pub(super) async fn usage(docker: &Docker, id: &str) -> Result<Usage, Error> {
    let limits = docker.inspect_container(id, None::<InspectContainerOptions>).await?.host_config;
    let limit = |of: Option<i64>| of.and_then(|limit| u64::try_from(limit).ok()).filter(|l| *l > 0);
    let options = StatsOptionsBuilder::new().stream(false).one_shot(true).build();
    let stats = docker.stats(id, Some(options)).next().await;
    let nothing = || Error::DockerStreamError { error: "it measured nothing".to_owned() };
    let stats = stats.ok_or_else(nothing)??;
    let cpu_ns = stats.cpu_stats.and_then(|cpu| cpu.cpu_usage?.total_usage);
    Ok(Usage {
        cpu_us: cpu_ns.unwrap_or_default() / 1_000,
        nano_cpus_max: limit(limits.as_ref().and_then(|limits| limits.nano_cpus)),
        memory_bytes: stats.memory_stats.as_ref().map(own_memory).unwrap_or_default(),
        memory_bytes_max: limit(limits.as_ref().and_then(|limits| limits.memory)),
        processes: stats.pids_stats.and_then(|pids| pids.current).unwrap_or_default(),
    })
}

/// Memory without the part of the file cache that can be had back at once, as the engine's own client
/// counts it; the name of that part is another one for each version of control groups.
fn own_memory(memory: &ContainerMemoryStats) -> u64 {
    let named = |name: &str| memory.stats.as_ref().and_then(|stats| stats.get(name).copied());
    let cache = named("total_inactive_file").or_else(|| named("inactive_file"));
    memory.usage.unwrap_or_default().saturating_sub(cache.unwrap_or_default())
}
