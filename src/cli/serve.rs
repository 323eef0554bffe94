//! `trinity serve`: the server.

use std::process::ExitCode;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::error::{Error, Exit};
use crate::config::{Config, Settings};
use crate::telemetry::{logs, traces};

/// How many files the server may have open, where the machine lets it.
const OPEN_FILES_MAX: u64 = 65_536;

/// What `trinity serve` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "What is not said here is read from config.toml in the data directory. \
                        TRINITY_LOG says what is logged, such as debug or trinity::reactors=trace. \
                        OTEL_EXPORTER_OTLP_ENDPOINT says where traces go.")]
pub struct Args {
    #[command(flatten)]
    settings: Settings,
    /// Make two agents that need no key, with a few runs, where they are missing
    #[arg(long)]
    demo: bool,
}

impl Args {
    /// Serves until a signal says to stop.
    pub fn execute(self) -> ExitCode {
        let config = match Config::load(self.settings) {
            Ok(config) => config,
            Err(error) => return Error::of(Exit::Usage, &error).report(),
        };
        logs::init(config.log_format);
        let traces = match traces::install() {
            Ok(traces) => traces,
            Err(error) => return Error::of(Exit::Usage, &error).report(),
        };
        allow_open_files();
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        let served = match runtime {
            Ok(runtime) => runtime.block_on(crate::app::serve(config, self.demo)),
            Err(error) => Err(anyhow::Error::new(error).context("cannot start the runtime")),
        };
        traces.shutdown();
        served.unwrap_or_else(|error| Error::of(Exit::Failed, &error).report())
    }
}

/// Every stream is an open file, and the usual soft limit is 1,024.
fn allow_open_files() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE).and_then(|(soft, hard)| {
        let wanted = hard.min(OPEN_FILES_MAX).max(soft);
        setrlimit(Resource::RLIMIT_NOFILE, wanted, hard)
    });
    if let Err(error) = raised {
        tracing::warn!("cannot raise the limit of open files: {error}");
    }
}
