//! Gemini CLI.
//!
//! What the CLI does was observed on version 0.61.0; the reasons for each flag, setting and
//! variable stand beside it.

mod home;
pub mod line;
pub mod prices;

use trinity_agent_protocol::SpawnErrorClass;
use uuid::Uuid;

use super::judge::{Dialect, Judge};
use super::model_api::{GEMINI, ModelApi};
use super::tools::{ToolError, of_mcp};
use super::{
    Adapter, CommandLine, Launcher, ModelError, Parser, RunResult, Session, Surroundings, TaskSpec,
    first_word_of_version, models, never_a_command, spawn_error, tools,
};
use crate::domain::agent::Runtime;
use crate::domain::execution::ErrorClass;

/// The shell that prepares the run's files and becomes the CLI.
const SHELL: &str = "/bin/sh";

/// The exit code of a run whose key was not accepted before the first line.
const EXIT_AUTHENTICATION: i32 = 41;
/// The exit code of a run that took all its turns.
const EXIT_TURNS: i32 = 53;
/// The exit code of a shell that does not find the program.
const EXIT_NOT_FOUND: i32 = 127;

/// The variables of every call of the CLI.
const VARIABLES: &[(&str, &str)] = &[
    // Says that there are colors, or each run would complain that there are too few.
    ("COLORTERM", "truecolor"),
    // Else the CLI starts itself once more, and a signal to the first process is ignored.
    ("GEMINI_CLI_NO_RELAUNCH", "true"),
    ("GEMINI_SYSTEM_MD", "false"),
    ("NO_COLOR", "1"),
];

/// How the CLI is read.
static DIALECT: Dialect = Dialect { read: line::read, class, exit_class };

/// The adapter for Gemini CLI.
pub struct Gemini {
    launcher: Launcher,
}

impl Gemini {
    /// Builds the adapter from what starts the CLI.
    pub fn new(launcher: Launcher) -> Self {
        Self { launcher }
    }

    /// What error texts call the CLI.
    fn program(&self) -> &str {
        self.launcher.program().unwrap_or("gemini")
    }
}

impl Adapter for Gemini {
    fn command(&self, task: &TaskSpec) -> CommandLine {
        let folder = task.files_dir.as_str();
        let shell = [SHELL, "-c", home::PROLOGUE, self.program(), folder];
        let mut argv: Vec<String> = shell.map(String::from).into();
        argv.extend(self.launcher.words().iter().cloned());
        argv.push("--output-format=stream-json".to_owned());
        // The CLI cannot copy a session: a fork goes on in the one that it was to copy.
        match &task.session {
            Session::New { id } => argv.push(format!("--session-id={id}")),
            Session::Resume { id } | Session::Fork { from: id, .. } => {
                argv.push(format!("--resume={id}"));
            }
        }
        if let Some(model) = &task.model {
            let model = self.model(model).unwrap_or_else(|_| model.clone());
            argv.push(format!("--model={model}"));
        }
        let trust = mcp_flags(&mut argv, task);
        let node_options = home::node_options(folder);
        let own = [
            ("GEMINI_CLI_HOME", folder),
            ("GEMINI_CLI_TRUST_WORKSPACE", trust),
            ("NODE_OPTIONS", node_options.as_str()),
            // The CLI leaves reports with the whole conversation in the temporary folder.
            ("TMPDIR", folder),
        ];
        let env = self.launcher.environment(&task.surroundings, &[VARIABLES, &own].concat());
        let stdin = home::literal(&never_a_command(&task.message));
        CommandLine { argv, env, stdin, files: home::files(task) }
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
        models::resolve(Runtime::GeminiCli, name)
    }

    fn tools(&self, names: &[String]) -> Result<(), ToolError> {
        let is_ambiguous =
            |name: &&String| of_mcp(name).is_some_and(|(server, _)| server.contains('_'));
        if let Some(tool) = names.iter().find(is_ambiguous) {
            return Err(ToolError::Ambiguous { tool: tool.clone() });
        }
        tools::check_of(Runtime::GeminiCli, names)
    }

    fn model_api(&self) -> Option<&'static ModelApi> {
        Some(&GEMINI)
    }

    /// `latest` and numbers name sessions as well, but not always the same one.
    fn is_session(&self, id: &str) -> bool {
        Uuid::parse_str(id).is_ok()
    }

    fn instructions_file(&self) -> &'static str {
        "GEMINI.md"
    }

    fn skills_folder(&self) -> &'static str {
        ".gemini/skills"
    }

    /// The CLI names the file of a session by the minute and the first eight digits of the id, and
    /// those of executions say the minute as well: two of them would write into one file.
    fn session_id(&self, execution_id: Uuid) -> String {
        let mut bytes = execution_id.into_bytes();
        bytes.reverse();
        Uuid::new_v8(bytes).to_string()
    }

    fn spawn_error(&self, class: SpawnErrorClass, message: &str) -> String {
        spawn_error(SHELL, class, message)
    }

    fn parser(&self) -> Box<dyn Parser> {
        Box::new(Judge::new(self.program().to_owned(), &DIALECT))
    }
}

/// Names the MCP servers, and says whether the CLI trusts the workspace.
///
/// It does not where that can be helped: settings of the workspace run commands unasked. But it
/// starts MCP servers in a trusted workspace only; those that are not named stay off.
fn mcp_flags(argv: &mut Vec<String>, task: &TaskSpec) -> &'static str {
    let Some(servers) = home::mcp_servers(task) else { return "false" };
    let names: Vec<&str> =
        servers.as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
    argv.push(format!("--allowed-mcp-server-names={}", names.join(",")));
    "true"
}

/// The kind of a failure that the CLI reports itself.
fn class(result: &RunResult) -> ErrorClass {
    match result.subtype.as_deref() {
        Some("FatalTurnLimitedError") => ErrorClass::MaxTurns,
        Some("FatalAuthenticationError") => ErrorClass::Api,
        _ if result.errors.iter().any(|words| words.starts_with("[API Error")) => ErrorClass::Api,
        _ => ErrorClass::Exit,
    }
}

/// The kind of a failure that the CLI tells by its exit code alone.
fn exit_class(code: i32) -> ErrorClass {
    match code {
        EXIT_AUTHENTICATION => ErrorClass::Api,
        EXIT_TURNS => ErrorClass::MaxTurns,
        EXIT_NOT_FOUND => ErrorClass::Spawn,
        _ => ErrorClass::Exit,
    }
}

#[cfg(test)]
mod tests;
