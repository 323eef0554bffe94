//! The configuration of an agent: what a creator may ask for, with its ranges and defaults.

use serde::{Deserialize, Serialize};

use crate::domain::AgentName;

/// The fewest executions an agent may run at once.
pub const CAPACITY_MIN: u32 = 1;
/// The most executions an agent may run at once.
pub const CAPACITY_MAX: u32 = 32;
/// The shortest execution timeout, in seconds.
pub const TIMEOUT_SECONDS_MIN: u32 = 10;
/// The longest execution timeout, in seconds: one day.
pub const TIMEOUT_SECONDS_MAX: u32 = 86_400;

/// What an agent is made of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AgentConfig {
    /// The name, which is also the stream's id.
    pub name: AgentName,
    /// A word of the creator's for what the agent is for.
    #[serde(rename = "type")]
    pub kind: String,
    /// The CLI that does the work.
    pub runtime: Runtime,
    /// The model that tasks use when they name none; none is the CLI's own default.
    #[serde(default)]
    pub model: Option<String>,
    /// The container image, on hosts that have images.
    #[serde(default)]
    pub base_image: Option<String>,
    /// Processor and memory limits.
    #[serde(default)]
    pub resources: Resources,
    /// The default and the upper bound of every task's `allowed_tools`; empty is no bound.
    #[serde(default)]
    pub tools: Vec<String>,
    /// External MCP servers by name.
    #[serde(default)]
    pub mcp_servers: Vec<String>,
    /// The template the workspace is made from.
    #[serde(default)]
    pub template: Option<String>,
    /// The repository the workspace is cloned from.
    #[serde(default)]
    pub github_repo: Option<String>,
    /// Text for the agent's instruction file.
    #[serde(default)]
    pub custom_instructions: Option<String>,
    /// Whether schedules may start work.
    #[serde(default)]
    pub autonomy: bool,
    /// Files protected from the agent.
    #[serde(default)]
    pub read_only: ReadOnly,
    /// How many executions may run at once.
    pub max_parallel_tasks: u32,
    /// The longest time an execution may run, in seconds.
    pub execution_timeout_seconds: u32,
    /// Whether the container keeps its capabilities.
    #[serde(default)]
    pub full_capabilities: bool,
}

/// The CLI that does an agent's work.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    strum::IntoStaticStr,
    strum::EnumString,
    strum::VariantNames,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum Runtime {
    /// Claude Code.
    #[default]
    ClaudeCode,
    /// Gemini CLI.
    GeminiCli,
    /// Claude Code's adapter with a built-in stand-in for the CLI; needs no key and no network.
    Demo,
}

/// Processor and memory limits, in the words of the container host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resources {
    /// Processors, as a decimal number such as `1.5`.
    #[serde(default)]
    pub cpu: Option<String>,
    /// Memory with a unit, such as `2g`.
    #[serde(default)]
    pub memory: Option<String>,
}

/// Which files of the workspace the agent may not change.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadOnly {
    /// Whether the protection is on.
    pub enabled: bool,
    /// Patterns of protected files.
    #[serde(default)]
    pub blocked_patterns: Vec<String>,
    /// Patterns of files excepted from that.
    #[serde(default)]
    pub allowed_patterns: Vec<String>,
}

/// A setting outside its range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Too few or too many parallel executions.
    #[error("max_parallel_tasks is {0}; it must be {CAPACITY_MIN} to {CAPACITY_MAX}")]
    Capacity(u32),
    /// Too short or too long a timeout.
    #[error(
        "execution_timeout_seconds is {0}; it must be {TIMEOUT_SECONDS_MIN} to {TIMEOUT_SECONDS_MAX}"
    )]
    Timeout(u32),
}

/// Refuses a capacity outside its range.
pub fn check_capacity(max_parallel_tasks: u32) -> Result<(), ConfigError> {
    if (CAPACITY_MIN..=CAPACITY_MAX).contains(&max_parallel_tasks) {
        Ok(())
    } else {
        Err(ConfigError::Capacity(max_parallel_tasks))
    }
}

/// Refuses an execution timeout outside its range, in seconds.
pub fn check_timeout(seconds: u32) -> Result<(), ConfigError> {
    if (TIMEOUT_SECONDS_MIN..=TIMEOUT_SECONDS_MAX).contains(&seconds) {
        Ok(())
    } else {
        Err(ConfigError::Timeout(seconds))
    }
}

impl AgentConfig {
    /// A configuration with every default.
    pub fn new(name: AgentName, runtime: Runtime) -> Self {
        Self {
            name,
            kind: "general".to_owned(),
            runtime,
            model: None,
            base_image: None,
            resources: Resources::default(),
            tools: Vec::new(),
            mcp_servers: Vec::new(),
            template: None,
            github_repo: None,
            custom_instructions: None,
            autonomy: false,
            read_only: ReadOnly::default(),
            max_parallel_tasks: 3,
            execution_timeout_seconds: 900,
            full_capabilities: false,
        }
    }

    /// Refuses values outside their ranges.
    pub fn check(&self) -> Result<(), ConfigError> {
        check_capacity(self.max_parallel_tasks)?;
        check_timeout(self.execution_timeout_seconds)
    }
}
