//! The settings of an agent that can be changed at any time: shown without a value, set with one.

use serde::Deserialize;
use serde_json::{Value, json};

use super::super::Session;
use super::super::client::{Answer, Call, segment};
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

#[derive(Debug, clap::Args)]
pub struct ResourcesArgs {
    /// Name of the agent
    name: AgentName,
    /// Processors such as 1.5, or "default"
    #[arg(long, value_name = "N")]
    cpu: Option<String>,
    /// Memory such as 512m or 2g, or "default"
    #[arg(long, value_name = "SIZE")]
    memory: Option<String>,
}

#[derive(Debug, clap::Args)]
pub struct CapabilitiesArgs {
    /// Name of the agent
    name: AgentName,
    /// Whether runs may become root inside of their container
    value: Option<Switch>,
}

#[derive(Debug, clap::Args)]
pub struct ReadOnlyArgs {
    /// Name of the agent
    name: AgentName,
    /// Whether runs may change nothing of the workspace
    value: Option<Switch>,
    /// Except in this folder, such as out/
    #[arg(long, value_name = "PATTERN", requires = "value")]
    allow: Vec<String>,
    /// But not these files there
    #[arg(long, value_name = "PATTERN", requires = "value")]
    block: Vec<String>,
}

impl ReadOnlyArgs {
    /// What is to be set, if anything is; patterns stay as they are unless some are said.
    fn body(&self) -> Option<Value> {
        let enabled = self.value? == Switch::On;
        if self.allow.is_empty() && self.block.is_empty() {
            return Some(json!({ "enabled": enabled }));
        }
        let config = json!({ "allowed_patterns": self.allow, "blocked_patterns": self.block });
        Some(json!({ "enabled": enabled, "config": config }))
    }
}

/// What the settings that are lists of words take.
#[derive(Debug, clap::Args)]
pub struct WordsArgs {
    /// Name of the agent
    name: AgentName,
    /// All of them
    #[arg(conflicts_with = "none")]
    words: Vec<String>,
    /// Take them all away
    #[arg(long)]
    none: bool,
}

impl WordsArgs {
    /// What is to be set, if anything is.
    fn body(&self, field: &str) -> Option<Value> {
        let is_set = self.none || !self.words.is_empty();
        is_set.then(|| json!({ field: self.words }))
    }
}

#[derive(Debug, clap::Args)]
pub struct SkillsArgs {
    #[command(flatten)]
    all: WordsArgs,
    /// Attach this one, and leave the others
    #[arg(long, value_name = "SKILL", conflicts_with_all = ["words", "none"])]
    attach: Vec<String>,
    /// Detach this one, and leave the others
    #[arg(long, value_name = "SKILL", conflicts_with_all = ["words", "none"])]
    detach: Vec<String>,
}

impl SkillsArgs {
    /// What changes one skill each, so that what others do meanwhile stays.
    fn calls(&self) -> Vec<Call> {
        let skills = format!("{}/skills", path(&self.all.name));
        let attach = |skill: &String| Call::post(skills.as_str()).json(json!({ "skill": skill }));
        let detach = |skill: &String| Call::delete(format!("{skills}/{}", segment(skill)));
        self.attach.iter().map(attach).chain(self.detach.iter().map(detach)).collect()
    }
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
    cpu: Option<String>,
    memory: Option<String>,
    full_capabilities: Option<bool>,
    restart_needed: Option<bool>,
    enforced: Option<bool>,
    patterns: Option<Vec<Exception>>,
    #[serde(alias = "skills", alias = "tags", alias = "tools")]
    words: Option<Vec<String>>,
}

/// A pattern of read-only mode.
#[derive(Debug, Deserialize)]
struct Exception {
    pattern: String,
    kind: String,
    enforced: bool,
}

/// What stands for the server's own limit.
const DEFAULT: &str = "default";

impl Setting {
    /// What is to be said after a setting that a running agent does not have yet.
    fn when(&self) -> &'static str {
        if self.restart_needed == Some(true) { "; in force from the next start on" } else { "" }
    }

    /// What is excepted from a setting, and how far that is seen to.
    fn patterns(&self) -> String {
        let said = self.patterns.iter().flatten().map(|Exception { pattern, kind, enforced }| {
            let how = if *enforced { "" } else { " (not enforced)" };
            format!("; {} {}{how}", clean(kind), clean(pattern))
        });
        said.collect()
    }

    /// The words of a list, or what it means that there are none.
    fn words(&self, of: &str, none: &str) -> String {
        let words: Vec<_> = self.words.iter().flatten().map(|word| clean(word)).collect();
        if words.is_empty() { none.to_owned() } else { format!("{of} {}", words.join(", ")) }
    }
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

    pub(super) async fn resources(&self, args: ResourcesArgs) -> Result<()> {
        let ResourcesArgs { name, cpu, memory } = args;
        let body = if cpu.is_some() || memory.is_some() {
            // The request replaces both, so what was not said stays as it is.
            let now = self.client.call(Call::get(format!("{}/resources", path(&name)))).await?;
            let now: Setting = now.read()?;
            let wanted = |said: Option<String>, now: Option<String>| match said {
                Some(said) => Some(said).filter(|said| said != DEFAULT),
                None => now,
            };
            let (cpu, memory) = (wanted(cpu, now.cpu), wanted(memory, now.memory));
            Some(json!({ "cpu": cpu, "memory": memory }))
        } else {
            None
        };
        self.setting(&name, "resources", body, |setting| {
            let said = |limit: &Option<String>| match limit {
                Some(limit) => clean(limit),
                None => "the server's limit".to_owned(),
            };
            let (cpu, memory) = (said(&setting.cpu), said(&setting.memory));
            format!("processors {cpu}, memory {memory}{}", setting.when())
        })
        .await
    }

    pub(super) async fn capabilities(&self, args: CapabilitiesArgs) -> Result<()> {
        let body = args.value.map(|value| json!({ "full_capabilities": value == Switch::On }));
        self.setting(&args.name, "capabilities", body, |setting| {
            let may = if setting.full_capabilities == Some(true) { "may" } else { "cannot" };
            format!("runs {may} become root in their container{}", setting.when())
        })
        .await
    }

    pub(super) async fn read_only(&self, args: ReadOnlyArgs) -> Result<()> {
        self.setting(&args.name, "read-only", args.body(), |setting| {
            let what = match (setting.enabled, setting.enforced) {
                (Some(true), Some(false)) => "must not change its workspace, and so cannot run",
                (Some(true), _) => "cannot change its workspace",
                _ => "can change its workspace",
            };
            format!("{what}{}{}", setting.patterns(), setting.when())
        })
        .await
    }

    pub(super) async fn skills_of(&self, args: SkillsArgs) -> Result<()> {
        let words = |setting: Setting| setting.words("has the skills", "has no skills");
        let mut last = None;
        for call in args.calls() {
            last = Some(self.client.call(call).await?);
        }
        let SkillsArgs { all, .. } = args;
        match last {
            Some(answer) => self.holds(&all.name, &answer, words),
            None => self.setting(&all.name, "skills", all.body("skills"), words).await,
        }
    }

    pub(super) async fn tags(&self, args: WordsArgs) -> Result<()> {
        let words = |setting: Setting| setting.words("has the tags", "has no tags");
        self.setting(&args.name, "tags", args.body("tags"), words).await
    }

    pub(super) async fn tools(&self, args: WordsArgs) -> Result<()> {
        let words = |setting: Setting| setting.words("tasks use only", "tasks use any tool");
        self.setting(&args.name, "tools", args.body("tools"), words).await
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
        self.holds(name, &self.client.call(call).await?, words)
    }

    /// Prints what now holds.
    fn holds(
        &self,
        name: &AgentName,
        answer: &Answer,
        words: impl FnOnce(Setting) -> String,
    ) -> Result<()> {
        match self.output.form() {
            Form::Json => self.output.json(&answer.body),
            Form::Text => print(&format!("{name}: {}", words(answer.read()?))),
        }
    }
}
