//! The settings of an agent that can be changed at any time: shown without a value, set with one.

use serde::Deserialize;
use serde_json::{Value, json};

use super::super::Session;
use super::super::client::{Answer, Call};
use super::super::error::Result;
use super::super::output::{Form, print};
use super::super::text::clean;
use super::path;
use crate::domain::AgentName;

#[derive(Debug, clap::Args)]
pub struct CapacityArgs {
    /// Name of the agent
    name: AgentName,
    /// Executions that run at once, 1 to 32
    value: Option<u32>,
}

#[derive(Debug, clap::Args)]
pub struct TimeoutArgs {
    /// Name of the agent
    name: AgentName,
    /// Seconds that an execution may run, 10 to 86400
    seconds: Option<u32>,
}

#[derive(Debug, clap::Args)]
pub struct ModelArgs {
    /// Name of the agent
    name: AgentName,
    /// The model
    #[arg(conflicts_with = "default")]
    model: Option<String>,
    /// Leave the model to the runtime
    #[arg(long)]
    default: bool,
}

#[derive(Debug, clap::Args)]
pub struct AutonomyArgs {
    /// Name of the agent
    name: AgentName,
    /// Whether schedules may start work
    value: Option<Switch>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Switch {
    On,
    Off,
}

/// What the answers of these routes have in common: fields of which each has one.
#[derive(Debug, Deserialize)]
struct Setting {
    max_parallel_tasks: Option<u32>,
    active_slots: Option<u32>,
    execution_timeout_seconds: Option<u32>,
    model: Option<String>,
    #[serde(alias = "autonomy")]
    enabled: Option<bool>,
}

impl Session {
    pub(super) async fn capacity(&self, args: CapacityArgs) -> Result<()> {
        let body = args.value.map(|value| json!({ "max_parallel_tasks": value }));
        self.setting(&args.name, "capacity", body, |setting| {
            let count = setting.max_parallel_tasks.unwrap_or_default();
            let busy = setting.active_slots.map(|active| format!(", {active} do now"));
            format!("{count} executions run at once{}", busy.unwrap_or_default())
        })
        .await
    }

    pub(super) async fn timeout(&self, args: TimeoutArgs) -> Result<()> {
        let body = args.seconds.map(|seconds| json!({ "execution_timeout_seconds": seconds }));
        self.setting(&args.name, "timeout", body, |setting| {
            let seconds = setting.execution_timeout_seconds.unwrap_or_default();
            format!("an execution may run {seconds} s")
        })
        .await
    }

    pub(super) async fn model(&self, args: ModelArgs) -> Result<()> {
        let body = match (args.model, args.default) {
            (Some(model), _) => Some(json!({ "model": model })),
            (None, true) => Some(json!({ "model": null })),
            (None, false) => None,
        };
        self.setting(&args.name, "model", body, |setting| match setting.model {
            Some(model) => format!("tasks use the model {}", clean(&model)),
            None => "tasks use the runtime's own model".to_owned(),
        })
        .await
    }

    pub(super) async fn autonomy(&self, args: AutonomyArgs) -> Result<()> {
        let body = args.value.map(|value| json!({ "enabled": value == Switch::On }));
        self.setting(&args.name, "autonomy", body, |setting| match setting.enabled {
            Some(true) => "schedules may start work".to_owned(),
            _ => "schedules start no work".to_owned(),
        })
        .await
    }

    /// Sets what there is a body for, and prints what then holds.
    async fn setting(
        &self,
        name: &AgentName,
        setting: &str,
        body: Option<Value>,
        words: impl FnOnce(Setting) -> String,
    ) -> Result<()> {
        let path = format!("{}/{setting}", path(name));
        let call = match body {
            Some(body) => Call::put(path).json(body),
            None => Call::get(path),
        };
        let answer: Answer = self.client.call(call).await?;
        match self.output.form() {
            Form::Json => self.output.json(&answer.body),
            Form::Text => print(&format!("{name}: {}", words(answer.read()?))),
        }
    }
}
