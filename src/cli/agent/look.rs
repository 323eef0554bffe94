//! What is seen of an agent from outside: its log, and what it uses.

use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::super::Session;
use super::super::client::{Call, read_json};
use super::super::error::Result;
use super::super::output::{Form, cell, number, print};
use super::super::text::clean;
use super::super::wire::Agent;
use super::{AGENTS_MAX, path};
use crate::domain::AgentName;

/// How many agents are measured at once.
const MEASURED_AT_ONCE: usize = 8;

#[derive(Debug, clap::Args)]
pub struct LogsArgs {
    /// Name of the agent
    name: AgentName,
    /// How many of the last lines, 1 to 1000
    #[arg(long, default_value_t = 100)]
    tail: u32,
}

#[derive(Debug, clap::Args)]
pub struct StatsArgs {
    /// Name of the agent; all that run without one
    name: Option<AgentName>,
}

#[derive(Debug, Deserialize)]
struct Logs {
    logs: String,
    startup: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Stats {
    agent_name: String,
    cpu_percent: f64,
    cpu_percent_max: Option<f64>,
    memory_bytes: u64,
    memory_bytes_max: Option<u64>,
    processes: u64,
}

impl Session {
    pub(super) async fn agent_logs(&self, args: &LogsArgs) -> Result<()> {
        let call = Call::get(format!("{}/logs", path(&args.name))).query("tail", Some(args.tail));
        let answer = self.client.call(call).await?;
        if self.output.form() == Form::Json {
            return self.output.json(&answer.body);
        }
        let logs: Logs = answer.read()?;
        if let Some(startup) = logs.startup {
            print(&format!("startup.sh:\n{}\n", clean(&startup)))?;
        }
        print(&clean(&logs.logs))
    }

    pub(super) async fn stats(&self, args: &StatsArgs) -> Result<()> {
        let Some(name) = &args.name else { return self.stats_of_all().await };
        let answer = self.client.call(stats_of(name.as_str())).await?;
        match self.output.form() {
            Form::Json => self.output.json(&answer.body),
            Form::Text => self.measured(vec![answer.read()?]),
        }
    }

    async fn stats_of_all(&self) -> Result<()> {
        let call = Call::get("/api/agents").query("limit", Some(1_000));
        let agents = self.client.list(call, AGENTS_MAX).await?;
        let agents = agents.iter().map(|agent| read_json::<Agent>(agent.get()));
        let agents = agents.collect::<Result<Vec<_>>>()?;
        let running = agents.into_iter().filter(|agent| agent.state() == "running");
        let measured = stream::iter(running).map(async |agent| {
            match self.client.call(stats_of(&agent.name)).await {
                Ok(answer) => Ok(Some(answer.body)),
                // It has stopped meanwhile, or is gone.
                Err(error) if matches!(error.code(), Some("agent-not-running" | "not-found")) => {
                    Ok(None)
                }
                Err(error) => Err(error),
            }
        });
        let measured: Vec<_> = measured.buffered(MEASURED_AT_ONCE).try_collect().await?;
        let measured: Vec<String> = measured.into_iter().flatten().collect();
        if self.output.form() == Form::Json {
            let items = measured.iter().map(|body| read_json::<Box<RawValue>>(body));
            return self.output.json_list(&items.collect::<Result<Vec<_>>>()?);
        }
        self.measured(measured.iter().map(|body| read_json(body)).collect::<Result<_>>()?)
    }

    fn measured(&self, stats: Vec<Stats>) -> Result<()> {
        let rows = stats.into_iter().map(|stats| {
            let cpu = of_max(
                format!("{:.1} %", stats.cpu_percent),
                stats.cpu_percent_max.map(|max| format!("{max:.0} %")),
            );
            let memory = of_max(mib(stats.memory_bytes), stats.memory_bytes_max.map(mib));
            vec![cell(&stats.agent_name), number(cpu), number(memory), number(stats.processes)]
        });
        let header = ["NAME", "CPU", "MEMORY", "PROCESSES"];
        self.output.table(&header, &["PROCESSES"], rows.collect(), "no agent runs")
    }
}

fn stats_of(name: &str) -> Call {
    Call::get(format!("/api/agents/{name}/stats"))
}

fn of_max(value: String, max: Option<String>) -> String {
    match max {
        Some(max) => format!("{value} of {max}"),
        None => value,
    }
}

/// Bytes in mebibytes, to one decimal.
fn mib(bytes: u64) -> String {
    let tenths = bytes.saturating_mul(10) / (1 << 20);
    format!("{}.{} MiB", tenths / 10, tenths % 10)
}
