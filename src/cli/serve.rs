//! `trinity serve`: the server.

use std::io::{IsTerminal as _, stderr};
use std::process::ExitCode;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tracing_subscriber::EnvFilter;

use super::error::Exit;
use crate::config::{Config, Settings, variable};

/// What is logged unless `TRINITY_LOG` says otherwise.
const LOG_DEFAULT: &str = "warn,trinity=info";

/// How many files the server may have open, where the machine lets it.
const OPEN_FILES_MAX: u64 = 65_536;

/// What `trinity serve` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "What is not said here is read from config.toml in the data directory. \
                        TRINITY_LOG says what is logged, such as debug or trinity::reactors=trace.")]
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
            Err(error) => return refused(&error, Exit::Usage),
        };
        log_to_stderr();
        allow_open_files();
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        let served = match runtime {
            Ok(runtime) => runtime.block_on(crate::app::serve(config, self.demo)),
            Err(error) => Err(anyhow::Error::new(error).context("cannot start the runtime")),
        };
        served.unwrap_or_else(|error| refused(&error, Exit::Failed))
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

fn refused(error: &anyhow::Error, exit: Exit) -> ExitCode {
    eprintln!("{} {error:#}", console::style("error:").for_stderr().red().bold());
    ExitCode::from(exit as u8)
}

/// Standard output stays free for what commands answer.
fn log_to_stderr() {
    let filter = variable("TRINITY_LOG").unwrap_or_else(|| LOG_DEFAULT.to_owned());
    let is_colored = stderr().is_terminal() && console::colors_enabled_stderr();
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter))
        .with_writer(stderr)
        .with_ansi(is_colored)
        .init();
}
