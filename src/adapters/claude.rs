//! Claude Code, and everything that speaks its dialect.
//!
//! What the CLI does was observed on version 2.1.197; the reasons for each flag and variable stand
//! beside it.

pub mod line;

use trinity_agent_protocol::{FileSpec, SpawnErrorClass};

use super::judge::{Dialect, Judge};
use super::model_api::{ANTHROPIC, ModelApi};
use super::tools::{ToolError, ToolSet};
use super::{
    Adapter, CommandLine, Launcher, ModelError, Parser, RunResult, RunUser, Session, Surroundings,
    TaskSpec, first_word_of_version, models, never_a_command, spawn_error, tools,
};
use crate::domain::agent::Runtime;
use crate::domain::execution::ErrorClass;

/// Longest system prompt, in bytes: the kernel takes at most 128 KiB in one argument.
pub const SYSTEM_PROMPT_BYTES_MAX: usize = 100 * 1024;

/// Tries after a failed API call. The CLI's own 10 make a wrong key hang for minutes.
const RETRIES_MAX: &str = "3";

/// The variables of every run.
const VARIABLES: &[(&str, &str)] = &[
    ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1"),
    ("CLAUDE_CODE_MAX_RETRIES", RETRIES_MAX),
    ("DISABLE_AUTOUPDATER", "1"),
    ("DISABLE_ERROR_REPORTING", "1"),
    ("DISABLE_TELEMETRY", "1"),
];

/// The name of the file that lists a run's MCP servers.
const MCP_FILE: &str = "mcp.json";

/// How the CLI is read.
static DIALECT: Dialect = Dialect { read: line::read, class, exit_class: |_| ErrorClass::Exit };

/// The adapter for Claude Code.
pub struct Claude {
    runtime: Runtime,
    launcher: Launcher,
}

impl Claude {
    /// Builds the adapter from what starts the CLI.
    pub fn new(runtime: Runtime, launcher: Launcher) -> Self {
        Self { runtime, launcher }
    }

    /// What error texts call the CLI.
    fn program(&self) -> &str {
        match self.runtime {
            Runtime::Demo => "the demo",
            Runtime::ClaudeCode | Runtime::GeminiCli => self.launcher.program().unwrap_or("claude"),
        }
    }
}

impl Adapter for Claude {
    fn command(&self, task: &TaskSpec) -> CommandLine {
        let mut argv = self.launcher.words().to_vec();
        // stream-json without --verbose is refused.
        argv.extend(["-p", "--output-format=stream-json", "--verbose"].map(String::from));
        // Every value is joined by `=`: some flags take any number of values and would eat the
        // next word, and a value may begin with a dash.
        match &task.session {
            Session::New { id } => argv.push(format!("--session-id={id}")),
            Session::Resume { id } => argv.push(format!("--resume={id}")),
            Session::Fork { from, id } => {
                argv.push(format!("--resume={from}"));
                argv.push("--fork-session".to_owned());
                argv.push(format!("--session-id={id}"));
            }
        }
        if let Some(model) = &task.model {
            let model = models::resolve(self.runtime, model).unwrap_or_else(|_| model.clone());
            argv.push(format!("--model={model}"));
        }
        if let Some(text) = &task.system_prompt {
            argv.push(format!("--append-system-prompt={text}"));
        }
        if let Some(turns) = task.max_turns {
            argv.push(format!("--max-turns={turns}"));
        }
        permission_flags(&mut argv, &task.tools, task.surroundings.user);
        protection_flag(&mut argv, &task.protected_files);
        let files = mcp_flags(&mut argv, task);
        let env = self.launcher.environment(&task.surroundings, VARIABLES);
        CommandLine { argv, env, stdin: never_a_command(&task.message), files }
    }

    fn version_command(&self, surroundings: &Surroundings) -> CommandLine {
        let mut argv = self.launcher.words().to_vec();
        argv.push("--version".to_owned());
        let env = self.launcher.environment(surroundings, VARIABLES);
        CommandLine { argv, env, stdin: String::new(), files: Vec::new() }
    }

    fn version(&self, output: &[u8]) -> Option<String> {
        first_word_of_version(output)
    }

    fn model(&self, name: &str) -> Result<String, ModelError> {
        models::resolve(self.runtime, name)
    }

    fn tools(&self, names: &[String]) -> Result<(), ToolError> {
        tools::check_of(self.runtime, names)
    }

    fn model_api(&self) -> Option<&'static ModelApi> {
        (self.runtime == Runtime::ClaudeCode).then_some(&ANTHROPIC)
    }

    fn is_session(&self, id: &str) -> bool {
        id.starts_with(|first: char| first.is_ascii_alphanumeric())
    }

    fn instructions_file(&self) -> &'static str {
        "CLAUDE.md"
    }

    fn skills_folder(&self) -> &'static str {
        ".claude/skills"
    }

    fn spawn_error(&self, class: SpawnErrorClass, message: &str) -> String {
        spawn_error(self.program(), class, message)
    }

    fn parser(&self) -> Box<dyn Parser> {
        Box::new(Judge::new(self.program().to_owned(), &DIALECT))
    }
}

/// The kind of a failure that the CLI reports itself. An API failure is told by a `success` that
/// is an error.
fn class(result: &RunResult) -> ErrorClass {
    match result.subtype.as_deref() {
        Some("success") => ErrorClass::Api,
        Some("error_max_turns") => ErrorClass::MaxTurns,
        Some("error_max_budget_usd") => ErrorClass::Budget,
        _ => ErrorClass::Exit,
    }
}

fn permission_flags(argv: &mut Vec<String>, tools: &ToolSet, user: RunUser) {
    match (tools, user) {
        (ToolSet::Unrestricted, RunUser::Unprivileged) => {
            argv.push("--permission-mode=bypassPermissions".to_owned());
        }
        // The CLI refuses to bypass permissions as root, and rightly so: what only reads inside
        // the workspace is allowed, all else is denied and reported.
        (ToolSet::Unrestricted, RunUser::Root) => argv.push("--permission-mode=dontAsk".to_owned()),
        (ToolSet::Only(names), _) => {
            argv.push("--permission-mode=dontAsk".to_owned());
            if !names.is_empty() {
                argv.push(format!("--allowedTools={}", names.join(",")));
            }
            // `dontAsk` alone lets every tool read inside the workspace; a built-in tool that is
            // not named here does not exist for the model. MCP tools are not named here: those
            // outside --allowedTools are denied.
            let built_in = names.iter().filter(|name| !name.starts_with("mcp__"));
            argv.push(format!("--tools={}", built_in.cloned().collect::<Vec<_>>().join(",")));
        }
    }
}

/// A rule for `Edit` holds for every tool of the CLI that changes files, but for no shell.
fn protection_flag(argv: &mut Vec<String>, patterns: &[String]) {
    let rule = |pattern: &String| {
        let below = if pattern.ends_with('/') { "**" } else { "" };
        format!("Edit({pattern}{below})")
    };
    if !patterns.is_empty() {
        let rules: Vec<_> = patterns.iter().map(rule).collect();
        argv.push(format!("--disallowedTools={}", rules.join(",")));
    }
}

fn mcp_flags(argv: &mut Vec<String>, task: &TaskSpec) -> Vec<FileSpec> {
    // Without this the CLI starts the commands of a `.mcp.json` in the workspace unasked.
    argv.push("--strict-mcp-config".to_owned());
    let Some(content) = task.mcp_config.clone() else { return Vec::new() };
    argv.push(format!("--mcp-config={}/{MCP_FILE}", task.files_dir));
    vec![FileSpec { name: MCP_FILE.to_owned(), content, mode: 0o600 }]
}

#[cfg(test)]
mod tests;
