//! `trinity doctor`: whether this machine can serve, and what to do where it cannot.

mod engine;
mod machine;
mod programs;
mod redis;
mod server;
mod store;
mod views;

use std::process::ExitCode;

use serde::Serialize;

use super::error::Result;
use super::output::{Form, Output, ReportForm, cell, print};
use super::server::Running;
use crate::config::{AgentHostKind, Config, Settings};

/// What `trinity doctor` takes: the settings of the server that it looks at.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    form: ReportForm,
}

/// What a check came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    /// As it should be.
    Ok,
    /// The server works, and something is missing or will be.
    Warn,
    /// The server does not work, or not for long.
    Fail,
}

impl Status {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Check {
    /// What was looked at.
    name: &'static str,
    status: Status,
    /// A sentence that says how it is.
    detail: String,
    /// What to do or to type next, unless all is well.
    hint: Option<String>,
}

impl Check {
    fn ok(name: &'static str, detail: impl Into<String>) -> Self {
        Self { name, status: Status::Ok, detail: detail.into(), hint: None }
    }

    fn warn(name: &'static str, detail: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { name, status: Status::Warn, detail: detail.into(), hint: Some(hint.into()) }
    }

    fn fail(name: &'static str, detail: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { name, status: Status::Fail, detail: detail.into(), hint: Some(hint.into()) }
    }
}

/// Everything that was looked at.
#[derive(Debug, Serialize)]
struct Report {
    /// The worst of all checks.
    status: Status,
    /// The version of this executable.
    version: &'static str,
    checks: Vec<Check>,
}

impl Args {
    /// Looks at everything; 0 when nothing failed, 1 when something did.
    pub async fn execute(self) -> Result<ExitCode> {
        let output = self.form.output();
        let checks = match Config::load(self.settings) {
            Ok(config) => look(&config).await,
            Err(error) => {
                let hint = "mend config.toml in the data directory, or the flag";
                vec![Check::fail("settings", format!("{error:#}"), hint)]
            }
        };
        let status = checks.iter().map(|check| check.status).max().unwrap_or(Status::Ok);
        let report = Report { status, version: env!("CARGO_PKG_VERSION"), checks };
        match output.form() {
            Form::Json => output.report(&report)?,
            Form::Text => print_table(output, &report)?,
        }
        Ok(if status == Status::Fail { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }
}

async fn look(config: &Config) -> Vec<Check> {
    let running = Running::find(&config.data_dir);
    let (store, redis, agents, server) = tokio::join!(
        store::look(config),
        redis::look(config),
        agents(config),
        server::look(config, &running)
    );
    let mut checks = vec![Check::ok("settings", "the settings are understood")];
    checks.extend(machine::data_dir(config));
    checks.extend(store);
    checks.extend(redis);
    checks.extend(agents);
    checks.push(machine::open_files());
    checks.extend(server);
    checks
}

/// Looks at what agents need where they live.
async fn agents(config: &Config) -> Vec<Check> {
    match config.agent_host {
        AgentHostKind::Process => {
            let mut checks = programs::look(config).await;
            checks.push(machine::isolation(config));
            checks
        }
        // What their runs start is in their image.
        AgentHostKind::Docker => engine::look(config).await,
    }
}

fn print_table(output: Output, report: &Report) -> Result<()> {
    let color = |status| match status {
        Status::Ok => comfy_table::Color::Green,
        Status::Warn => comfy_table::Color::Yellow,
        Status::Fail => comfy_table::Color::Red,
    };
    let row = |check: &Check| {
        let status = cell(check.status.word()).fg(color(check.status));
        vec![status, cell(check.name), cell(&check.detail)]
    };
    let rows = report.checks.iter().map(row).collect();
    output.table(&["", "CHECK", "WHAT WAS FOUND"], &[], rows, "nothing was checked")?;
    let hints = report.checks.iter().filter_map(|check| Some((check.name, check.hint.as_ref()?)));
    let lines: Vec<_> =
        hints.map(|(name, hint)| format!("{name}: {}", super::text::clean(hint))).collect();
    if lines.is_empty() {
        print("\nall is well")
    } else {
        print(&format!("\n{}", lines.join("\n")))
    }
}
