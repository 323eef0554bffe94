//! The configuration of an agent: what a creator may ask for, with its ranges and defaults.

use serde::{Deserialize, Serialize};

use super::read_only::{PATTERN_BYTES_MAX, PATTERNS_MAX};
use crate::domain::AgentName;

/// The fewest executions an agent may run at once.
pub const CAPACITY_MIN: u32 = 1;
/// The most executions an agent may run at once.
pub const CAPACITY_MAX: u32 = 32;
/// The shortest execution timeout, in seconds.
pub const TIMEOUT_SECONDS_MIN: u32 = 10;
/// The longest execution timeout, in seconds: one day.
pub const TIMEOUT_SECONDS_MAX: u32 = 86_400;

/// The least processor time of an agent, in billionths of one processor.
pub const NANO_CPUS_MIN: i64 = 100_000_000;
/// The most processor time of an agent, in billionths of one processor.
pub const NANO_CPUS_MAX: i64 = 1_024_000_000_000;
/// The least memory of an agent, in bytes: with less its own supervisor would not live.
pub const MEMORY_BYTES_MIN: i64 = 64 * 1024 * 1024;
/// The most memory of an agent, in bytes.
pub const MEMORY_BYTES_MAX: i64 = 64 * 1024 * 1024 * 1024 * 1024;
/// How many digits a number of processors may have after its point.
const CPU_DECIMALS_MAX: usize = 9;

/// How an agent's MCP servers are started or reached, by name, as their configuration writes it.
pub type McpServers = serde_json::Map<String, serde_json::Value>;

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
    /// Whether runs may become root inside of their container.
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
    /// No number of processors, or too few or too many of them.
    #[error("`{0}` is no number of processors; it must be 0.1 to 1024, such as 1.5")]
    Cpu(String),
    /// No pattern of files of a workspace.
    #[error(
        "`{0}` is no pattern: it is a path below the workspace of at most {PATTERN_BYTES_MAX} bytes, \
         without `..`, quotes, commas and parentheses"
    )]
    Pattern(String),
    /// Too many of them.
    #[error("{0} patterns are too many; it must be at most {PATTERNS_MAX}")]
    Patterns(usize),
    /// No amount of memory, or too little or too much of it.
    #[error("`{0}` is no amount of memory; it must be 64m to 64t, such as 512m or 2g")]
    Memory(String),
}

impl Resources {
    /// The processor limit in billionths of one processor; none is the host's own.
    pub fn nano_cpus(&self) -> Result<Option<i64>, ConfigError> {
        let Some(text) = &self.cpu else { return Ok(None) };
        parse_nano_cpus(text)
            .filter(|nano_cpus| (NANO_CPUS_MIN..=NANO_CPUS_MAX).contains(nano_cpus))
            .map(Some)
            .ok_or_else(|| ConfigError::Cpu(text.clone()))
    }

    /// The memory limit in bytes; none is the host's own.
    pub fn memory_bytes(&self) -> Result<Option<i64>, ConfigError> {
        let Some(text) = &self.memory else { return Ok(None) };
        parse_bytes(text)
            .filter(|bytes| (MEMORY_BYTES_MIN..=MEMORY_BYTES_MAX).contains(bytes))
            .map(Some)
            .ok_or_else(|| ConfigError::Memory(text.clone()))
    }

    /// Refuses values outside their ranges.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.nano_cpus()?;
        self.memory_bytes().map(drop)
    }
}

/// Reads a decimal number such as `1.5` without the rounding of floating point.
fn parse_nano_cpus(text: &str) -> Option<i64> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
    let is_number =
        |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(whole) || !is_number(decimals) || decimals.len() > CPU_DECIMALS_MAX {
        return None;
    }
    let nanos: i64 = format!("{decimals:0<CPU_DECIMALS_MAX$}").parse().ok()?;
    whole.parse::<i64>().ok()?.checked_mul(1_000_000_000)?.checked_add(nanos)
}

/// Reads a number with one of the units `b`, `k`, `m`, `g` and `t`, each 1024 times the last.
fn parse_bytes(text: &str) -> Option<i64> {
    let unit = text.chars().next_back()?.to_ascii_lowercase();
    let power = ['b', 'k', 'm', 'g', 't'].iter().position(|known| *known == unit)?;
    let digits = &text[..text.len() - 1];
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let factor = 1024_i64.checked_pow(u32::try_from(power).ok()?)?;
    digits.parse::<i64>().ok()?.checked_mul(factor)
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
        check_timeout(self.execution_timeout_seconds)?;
        self.read_only.check()?;
        self.resources.check()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_of_processors_is_exact_and_has_a_range() {
        let read = |text: &str| Resources { cpu: Some(text.into()), memory: None }.nano_cpus();
        let good = [
            ("1", 1_000_000_000),
            ("1.5", 1_500_000_000),
            ("0.1", 100_000_000),
            ("0.123456789", 123_456_789),
            ("1024", 1_024_000_000_000),
        ];
        for (text, nano_cpus) in good {
            assert_eq!(read(text), Ok(Some(nano_cpus)), "{text}");
        }
        for bad in ["", ".", "1.", ".5", "0", "0.05", "1025", "-1", "1e3", "1.0000000001", "two"] {
            assert_eq!(read(bad), Err(ConfigError::Cpu(bad.into())), "{bad}");
        }
        assert_eq!(Resources::default().nano_cpus(), Ok(None));
    }

    #[test]
    fn an_amount_of_memory_has_a_unit_and_a_range() {
        let read = |text: &str| Resources { cpu: None, memory: Some(text.into()) }.memory_bytes();
        let good = [
            ("64m", MEMORY_BYTES_MIN),
            ("67108864b", MEMORY_BYTES_MIN),
            ("2G", 2 << 30),
            ("64t", MEMORY_BYTES_MAX),
        ];
        for (text, bytes) in good {
            assert_eq!(read(text), Ok(Some(bytes)), "{text}");
        }
        for bad in ["", "2", "g", "1k", "65t", "-2g", "2gb", "2 g", "1.5g", "9999999999999t", "ä"]
        {
            assert_eq!(read(bad), Err(ConfigError::Memory(bad.into())), "{bad}");
        }
        assert_eq!(Resources::default().memory_bytes(), Ok(None));
    }
}
