//! `trinity audit`: the command line of the checks.

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args as ClapArgs, Subcommand};

use super::render;
use super::source::Source;
use super::{Options, Report, verify};
use crate::config::{Config, Secret, Settings};

/// The exit code of a log that breaks an invariant.
const EXIT_VIOLATED: u8 = 1;
/// The exit code when the log could not be checked.
const EXIT_NOT_CHECKED: u8 = 2;

/// Arguments of `trinity audit`.
#[derive(Debug, ClapArgs)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check every invariant over the event log; exit 0 when all hold, 1 when one does not, 2 when
    /// the log cannot be opened
    Verify(VerifyArgs),
}

#[derive(Debug, ClapArgs)]
struct VerifyArgs {
    /// Folder of the server whose log is checked [default: $XDG_DATA_HOME/trinity]
    #[arg(long, env = "TRINITY_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,

    /// Postgres database whose log is checked, rather than the folder's
    #[arg(long, env = "TRINITY_DATABASE_URL", value_name = "URL", hide_env_values = true)]
    database_url: Option<Secret>,

    /// Print the whole report as JSON
    #[arg(long)]
    json: bool,
}

/// Runs `trinity audit`. The report goes to standard output, progress to standard error.
pub async fn run(args: Args) -> ExitCode {
    let Command::Verify(args) = args.command;
    let is_json = args.json;
    let outcome = match source(args) {
        Ok(source) => verify(&source, Options { progress: Some(tell) }).await.map_err(Into::into),
        Err(error) => Err(error),
    };
    match outcome {
        Ok(report) => finish(&report, is_json),
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: {}", causes(&error));
            ExitCode::from(EXIT_NOT_CHECKED)
        }
    }
}

/// The error and its causes in one line; a cause that is told already is not told twice.
fn causes(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if line.is_empty() {
            line = cause;
        } else if !line.ends_with(&cause) {
            line = format!("{line}: {cause}");
        }
    }
    line
}

/// The log of a running server is where its own settings say it is.
fn source(args: VerifyArgs) -> anyhow::Result<Source> {
    let VerifyArgs { data_dir, database_url, .. } = args;
    if let Some(url) = database_url {
        return Ok(Source::Postgres(url.expose().to_owned()));
    }
    let config = Config::load(Settings { data_dir, ..Settings::default() })?;
    Ok(match config.database_url {
        Some(url) => Source::Postgres(url.expose().to_owned()),
        None => Source::Sqlite(config.data_dir.join("log.db")),
    })
}

fn finish(report: &Report, is_json: bool) -> ExitCode {
    let mut out = std::io::stdout().lock();
    let text = if is_json { render::json(report) } else { render::text(report, out.is_terminal()) };
    // Whoever reads may leave before the end; the exit code still tells.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    ExitCode::from(if report.is_clean() { 0 } else { EXIT_VIOLATED })
}

fn tell(done: u64, all: u64) {
    let _ = writeln!(std::io::stderr(), "checked {done} of {all} events");
}
