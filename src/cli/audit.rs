//! `trinity audit`: whether a log keeps its invariants.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use rusqlite::ErrorCode;
use serde::Serialize;

use super::error::{Error, Exit, Result};
use super::output::{Form, Output, ReportForm, cell, number, print};
use super::text::escaped;
use crate::audit::{Check, OpenError, Options, Report, Source, verify};
use crate::config::{Config, Secret, Settings};

/// What `trinity audit` takes.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Check every invariant over the event log; exit 1 when one does not hold
    Verify(VerifyArgs),
}

#[derive(Debug, clap::Args)]
struct VerifyArgs {
    /// Folder of the server whose log is checked [default: $XDG_DATA_HOME/trinity]
    #[arg(long, env = "TRINITY_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Postgres database whose log is checked, rather than the folder's
    #[arg(long, env = "TRINITY_DATABASE_URL", value_name = "URL", hide_env_values = true)]
    database_url: Option<Secret>,
    #[command(flatten)]
    form: ReportForm,
}

/// A report, and what it comes to.
#[derive(Debug, Serialize)]
struct Told<'r> {
    #[serde(flatten)]
    report: &'r Report,
    is_clean: bool,
}

impl Args {
    /// Does what the subcommand says; 0 when every invariant holds, 1 when one does not.
    pub async fn execute(self) -> Result<ExitCode> {
        let Command::Verify(args) = self.command;
        let output = args.form.output();
        let report = verify(&args.source()?, Options { progress: Some(tell) }).await?;
        let is_clean = report.is_clean();
        let printed = match output.form() {
            Form::Json => output.report(&Told { report: &report, is_clean }),
            Form::Text => print_text(output, &report),
        };
        match printed {
            // Whoever reads may leave before the end; the exit code still tells.
            Ok(()) | Err(Error::OutputClosed) => {}
            Err(error) => return Err(error),
        }
        Ok(if is_clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

impl VerifyArgs {
    /// The log of a server is where its own settings say it is.
    fn source(self) -> Result<Source> {
        let Self { data_dir, database_url, .. } = self;
        if let Some(url) = database_url {
            return Ok(Source::Postgres(url.expose().to_owned()));
        }
        let config = Config::load(Settings { data_dir, ..Settings::default() });
        let config = config.map_err(|error| Error::of(exit_of(&error), &error))?;
        Ok(match config.database_url {
            Some(url) => Source::Postgres(url.expose().to_owned()),
            None => Source::Sqlite(config.data_dir.join("log.db")),
        })
    }
}

/// Settings that this user may not read are another fault than those that cannot be meant.
fn exit_of(error: &anyhow::Error) -> Exit {
    let is_denied = |cause: &io::Error| cause.kind() == io::ErrorKind::PermissionDenied;
    let denied = error.chain().filter_map(|cause| cause.downcast_ref()).any(is_denied);
    if denied { Exit::Auth } else { Exit::Usage }
}

fn tell(done: u64, all: u64) {
    let _ = writeln!(io::stderr(), "checked {done} of {all} events");
}

/// Every check, then those that do not hold with their first event, and a summary.
fn print_text(output: Output, report: &Report) -> Result<()> {
    let row = |check: &Check| {
        let counts = [check.checked, check.violations].map(number).into_iter();
        [cell(check.invariant)].into_iter().chain(counts).chain([cell(check.title)]).collect()
    };
    let rows = report.checks.iter().map(row).collect();
    let header = ["INVARIANT", "CHECKS", "VIOLATED", "SAYS"];
    output.table(&header, &["CHECKS"], rows, "nothing was checked")?;
    print("")?;
    for check in report.violated() {
        let Check { invariant, title, checked, violations, first } = check;
        print(&format!("violated {invariant}: {title} ({violations} of {checked} checks)"))?;
        if let Some(first) = first {
            let position = first.position;
            // One line each and whole: it is the evidence, and must not look like the summary.
            let words = [&first.stream, &first.event_type, &first.message];
            let [stream, event_type, message] = words.map(|text| escaped(text));
            print(&format!("  first at position {position}, {stream}, {event_type}: {message}"))?;
        }
    }
    let checked: u64 = report.checks.iter().map(|check| check.checked).sum();
    let word = if report.is_clean() { "clean" } else { "violated" };
    let Report { position, events, open_executions, .. } = report;
    let [log, log_id] = [&report.log, &report.log_id].map(|text| escaped(text));
    print(&format!(
        "{word}: {events} events up to position {position} of log {log_id} ({log}), \
         {open_executions} executions still open, {checked} checks"
    ))
}

impl From<OpenError> for Error {
    fn from(error: OpenError) -> Self {
        use sqlx::Error::{Configuration, Io, PoolTimedOut, Tls};
        let (exit, hint) = match &error {
            OpenError::Missing(_) => (Exit::NotFound, None),
            OpenError::Sqlite { source, .. }
                if source.sqlite_error_code() == Some(ErrorCode::CannotOpen) =>
            {
                (Exit::Auth, Some("run as the server's user"))
            }
            OpenError::Postgres(Configuration(_)) => (Exit::Usage, None),
            OpenError::Postgres(Io(_) | Tls(_) | PoolTimedOut) => (Exit::Unreachable, None),
            OpenError::Sqlite { .. } | OpenError::Postgres(_) | OpenError::Interrupted(_) => {
                (Exit::Failed, Some("trinity doctor"))
            }
        };
        let told = Self::of(exit, &error.into());
        hint.into_iter().fold(told, Self::hint)
    }
}
