//! One adapter per CLI: the command that runs a task, and what its output means.
//!
//! Everything here is pure: no process, file, clock or environment is touched. The agent server
//! runs the [`CommandLine`] and numbers its output; the platform feeds the lines to a [`Parser`]
//! and asks for the [`Verdict`] once the process tree is gone.

pub mod claude;
pub mod gemini;
pub mod judge;
mod launcher;
pub mod line;
pub mod mcp;
pub mod model_api;
pub mod models;
#[cfg(test)]
mod testing;
pub mod tools;
pub mod transcript;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde_json::Value;
use trinity_agent_protocol::{Exit, FileSpec, LineStream, SpawnErrorClass};
use uuid::Uuid;

use self::claude::Claude;
use self::gemini::Gemini;
use self::model_api::ModelApi;
use self::tools::{ToolError, ToolSet};
use crate::domain::agent::Runtime;
use crate::domain::execution::{Outcome, Usage, Verdict};

pub use launcher::{CommandLineError, Launcher, split_command_line};

/// Longest error text of a [`Verdict`], in bytes.
pub const ERROR_BYTES_MAX: usize = 4 * 1024;
/// Longest [`input_preview`] of a tool call, in bytes.
pub const INPUT_PREVIEW_BYTES_MAX: usize = 512;

/// The speaker of one CLI's dialect.
pub trait Adapter: Send + Sync {
    /// Makes the command that runs `task`.
    fn command(&self, task: &TaskSpec) -> CommandLine;
    /// Makes the command that prints the CLI's version, read by [`Adapter::version`].
    fn version_command(&self, surroundings: &Surroundings) -> CommandLine;
    /// Reads the output of [`Adapter::version_command`]; `None` when it is not a version.
    fn version(&self, output: &[u8]) -> Option<String>;
    /// Turns a model name of the API into what the CLI takes; unknown names pass unchanged.
    fn model(&self, name: &str) -> Result<String, ModelError>;
    /// Refuses names of tools that the CLI cannot be restricted to.
    fn tools(&self, names: &[String]) -> Result<(), ToolError>;
    /// The name of the file in the workspace that holds the agent's instructions.
    fn instructions_file(&self) -> &'static str;
    /// The folder in the workspace in which the CLI looks for skills.
    fn skills_folder(&self) -> &'static str;
    /// The API that the CLI reaches its model by, if it has a model.
    fn model_api(&self) -> Option<&'static ModelApi>;
    /// Whether the CLI would take `id` for the id of one session, and for nothing else.
    fn is_session(&self, id: &str) -> bool;
    /// Gives the id of the fresh session of an execution: always the same one, which no other
    /// execution has.
    fn session_id(&self, execution_id: Uuid) -> String {
        execution_id.to_string()
    }
    /// Says in words for a person why the CLI could not be started.
    fn spawn_error(&self, class: SpawnErrorClass, message: &str) -> String;
    /// Makes the reader of one execution's output.
    fn parser(&self) -> Box<dyn Parser>;
}

/// The reader of one execution's output; it must be fed every line from the first one on.
pub trait Parser: Send + Sync {
    /// Reads one line without its newline; a `seq` that was read before yields nothing.
    ///
    /// Every other line yields at least one event, whatever its bytes are.
    fn parse(&mut self, seq: u64, stream: LineStream, line: &[u8]) -> Vec<Event>;
    /// Judges the run from the lines read and its exit.
    fn finish(&self, exit: &Exit) -> Conclusion;
}

/// A model of another CLI was named.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "model {name:?} belongs to {}; name a model of {} or leave it out",
    <&str>::from(.belongs_to), <&str>::from(.runtime)
)]
pub struct ModelError {
    /// The name as it was given.
    pub name: String,
    /// The runtime whose models are named so.
    pub belongs_to: Runtime,
    /// The runtime that was asked to use it.
    pub runtime: Runtime,
}

/// What a run asks of a CLI.
#[derive(Debug, Clone)]
pub struct TaskSpec {
    /// The prompt, untrusted; it never becomes a command of the CLI.
    pub message: String,
    /// The CLI session to use.
    pub session: Session,
    /// A model as the API names it; the CLI's default without one.
    pub model: Option<String>,
    /// What the run may use.
    pub tools: ToolSet,
    /// Files that the CLI is told not to change, as patterns below the workspace.
    pub protected_files: Vec<String>,
    /// Text added to the CLI's own system prompt.
    pub system_prompt: Option<String>,
    /// Most turns the CLI may take.
    pub max_turns: Option<u32>,
    /// Content of the resolved MCP configuration (JSON); no MCP server without one.
    pub mcp_config: Option<String>,
    /// The absolute path of the folder in which the run finds its files.
    pub files_dir: String,
    /// Where it runs.
    pub surroundings: Surroundings,
}

/// Where a run lives: the same for every run of an agent.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// The HOME of the run, absolute; the CLI keeps its sessions there.
    pub home: String,
    /// The PATH of the run.
    pub path: String,
    /// Keys and other variables of the agent; the adapter's own variables win over them.
    pub secrets: Env,
    /// Whether the run has a user of its own.
    pub user: RunUser,
}

/// The user that a run gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunUser {
    /// Anyone but root.
    Unprivileged,
    /// uid 0.
    Root,
}

/// The CLI session of a run. Resuming needs the HOME and the workspace of the first run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Session {
    /// A fresh session with an id chosen before the start.
    New {
        /// A UUID that no session has.
        id: String,
    },
    /// The next turn of an existing session.
    Resume {
        /// The session's id.
        id: String,
    },
    /// A copy of an existing session under an id chosen before the start.
    Fork {
        /// The session to copy.
        from: String,
        /// A UUID that no session has.
        id: String,
    },
}

impl Session {
    /// The id that the run's session has when the CLI honours it.
    pub fn id(&self) -> &str {
        match self {
            Self::New { id } | Self::Resume { id } | Self::Fork { id, .. } => id,
        }
    }
}

/// Environment variables; `Debug` shows only their names.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Env(pub BTreeMap<String, String>);

impl fmt::Debug for Env {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// A command for the agent server, to be run in the workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandLine {
    /// The program and its arguments; never passed through a shell.
    pub argv: Vec<String>,
    /// The whole environment.
    pub env: Env,
    /// What standard input delivers before it is closed.
    pub stdin: String,
    /// Files of the run, in its [`TaskSpec::files_dir`]; they may hold secrets.
    pub files: Vec<FileSpec>,
}

/// What a line of output means.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The CLI is up and says who it is.
    Init {
        /// The session it really uses.
        session_id: Option<String>,
        /// The model it really uses.
        model: Option<String>,
        /// Its version.
        cli_version: Option<String>,
        /// The MCP servers it was given.
        mcp_servers: Vec<McpServer>,
    },
    /// Words of the model.
    Text {
        /// The words.
        text: String,
    },
    /// Thoughts of the model.
    Thinking {
        /// The thoughts.
        text: String,
    },
    /// The model calls a tool.
    ToolUse {
        /// Pairs the call with its result.
        id: String,
        /// The tool.
        name: String,
        /// Its arguments.
        input: Value,
    },
    /// A tool has answered.
    ToolResult {
        /// The id of the call.
        id: String,
        /// Whether the tool failed or was refused.
        is_error: bool,
        /// Its answer as text.
        content: String,
    },
    /// A call of the model's API failed and is made again.
    Retry {
        /// The number of this try, from 1.
        attempt: u64,
        /// Most tries the CLI will make.
        attempts_max: Option<u64>,
        /// The HTTP status that failed.
        status: Option<u64>,
        /// The wait before the next try.
        delay_ms: Option<u64>,
        /// The CLI's word for the failure.
        error: Option<String>,
    },
    /// The CLI is done.
    Result(RunResult),
    /// A line without a meaning of its own; it stays in the transcript as it is.
    Raw,
}

/// An MCP server and its state as the CLI reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct McpServer {
    /// The name in the configuration.
    pub name: String,
    /// The CLI's word for its state, such as `connected` or `failed`.
    pub status: String,
}

/// The last words of a CLI about its run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RunResult {
    /// Whether the CLI says that it failed. True when it does not say.
    pub is_error: bool,
    /// The CLI's word for the kind of end, such as `success` or `error_max_turns`.
    pub subtype: Option<String>,
    /// The answer, or the words for the failure.
    pub text: Option<String>,
    /// Further words for the failure.
    pub errors: Vec<String>,
    /// The session it used.
    pub session_id: Option<String>,
    /// Turns since the result before.
    pub num_turns: Option<u32>,
    /// What the process has spent so far.
    pub cost_usd_micros: Option<i64>,
    /// What the process has used so far.
    pub usage: Option<Usage>,
    /// The size of the model's context, in tokens.
    pub context_max: Option<u64>,
    /// The model that did most of the work, where only the result tells it.
    pub model_used: Option<String>,
}

/// What a run leaves behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conclusion {
    /// Whether the task is done. A run that was stopped is never done, whatever it printed: the
    /// execution knows whether that makes it a cancelled one.
    pub verdict: Verdict,
    /// Answer, cost, tokens and exit; of a failed run as much as there is of it. The response is
    /// whole, of any size.
    pub outcome: Outcome,
    /// The session that the CLI reported.
    pub session_id: Option<String>,
}

/// The adapters of this installation.
#[derive(Clone)]
pub struct Adapters {
    claude: Arc<dyn Adapter>,
    gemini: Arc<dyn Adapter>,
    demo: Arc<dyn Adapter>,
}

impl Adapters {
    /// Builds the adapters from what starts the CLIs.
    pub fn new(claude: Launcher, gemini: Launcher, demo: Launcher) -> Self {
        Self {
            claude: Arc::new(Claude::new(Runtime::ClaudeCode, claude)),
            gemini: Arc::new(Gemini::new(gemini)),
            demo: Arc::new(Claude::new(Runtime::Demo, demo)),
        }
    }

    /// The adapter of `runtime`.
    pub fn get(&self, runtime: Runtime) -> &Arc<dyn Adapter> {
        match runtime {
            Runtime::ClaudeCode => &self.claude,
            Runtime::GeminiCli => &self.gemini,
            Runtime::Demo => &self.demo,
        }
    }
}

/// Untrusted text must not run a command of the CLI, which a `/` at the very start would do.
fn never_a_command(message: &str) -> String {
    if message.starts_with('/') { format!(" {message}") } else { message.to_owned() }
}

/// Says why `program` could not be started.
fn spawn_error(program: &str, class: SpawnErrorClass, message: &str) -> String {
    match class {
        SpawnErrorClass::NotFound => {
            format!("{program} not found; install it or create the agent with runtime \"demo\"")
        }
        SpawnErrorClass::NotExecutable => {
            format!("{program} cannot be executed; check its file mode and kind: {message}")
        }
        _ => format!("{program} could not be started: {message}"),
    }
}

/// The version that begins a CLI's answer to `--version`.
fn first_word_of_version(output: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(output);
    let word = text.split_whitespace().next()?;
    word.starts_with(|first: char| first.is_ascii_digit()).then(|| word.to_owned())
}

/// Shortens the arguments of a tool call to compact JSON of [`INPUT_PREVIEW_BYTES_MAX`] bytes.
pub fn input_preview(input: &Value) -> String {
    truncated(input.to_string(), INPUT_PREVIEW_BYTES_MAX)
}

/// Cuts `text` to at most `bytes_max` bytes at a character's border, marked with an ellipsis.
pub(crate) fn truncated(mut text: String, bytes_max: usize) -> String {
    const ELLIPSIS: char = '…';
    if text.len() > bytes_max {
        text.truncate(text.floor_char_boundary(bytes_max.saturating_sub(ELLIPSIS.len_utf8())));
        text.push(ELLIPSIS);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_runtime_has_an_adapter_and_demo_is_claude_with_another_command() {
        let [claude, gemini, demo] =
            ["claude", "gemini", "exe fake"].map(|line| Launcher::parse(line).unwrap());
        let adapters = Adapters::new(claude, gemini, demo);
        let surroundings = Surroundings {
            home: "/h".to_owned(),
            path: "/bin".to_owned(),
            secrets: Env::default(),
            user: RunUser::Unprivileged,
        };
        let argv = |runtime| adapters.get(runtime).version_command(&surroundings).argv;
        assert_eq!(argv(Runtime::ClaudeCode), ["claude", "--version"]);
        assert_eq!(argv(Runtime::Demo), ["exe", "fake", "--version"]);
        assert_eq!(argv(Runtime::GeminiCli), ["gemini", "--version"]);
    }

    #[test]
    fn a_preview_is_cut_at_a_character() {
        let preview = input_preview(&serde_json::json!({"text": "ä".repeat(1000)}));
        assert!(preview.len() <= INPUT_PREVIEW_BYTES_MAX && preview.ends_with('…'));
        assert_eq!(input_preview(&serde_json::json!({"a": 1})), r#"{"a":1}"#);
    }
}
