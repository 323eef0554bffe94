//! The programs that agents run.

use std::process::Stdio;
use std::time::Duration;

use futures::future::join_all;
use tokio::process::Command;

use super::Check;
use crate::adapters::split_command_line;
use crate::config::Config;

/// How long a program may take to say its version; one of them starts a JavaScript engine first.
const ANSWER_MAX: Duration = Duration::from_secs(20);

/// How much of what a program says is shown, in characters.
const SHOWN_CHARS_MAX: usize = 100;

/// Asks every program for its version, all at once.
pub(super) async fn look(config: &Config) -> Vec<Check> {
    let claude = config.claude_command.as_deref().unwrap_or("claude");
    let gemini = config.gemini_command.as_deref().unwrap_or("gemini");
    let install = "npm install -g";
    let programs = [
        ("claude", claude, format!("{install} @anthropic-ai/claude-code, or --claude-command")),
        ("gemini", gemini, format!("{install} @google/gemini-cli, or --gemini-command")),
        ("git", "git", "install git, on Debian: apt-get install git".to_owned()),
    ];
    join_all(programs.map(|(name, command, hint)| ask(name, command.to_owned(), hint))).await
}

async fn ask(name: &'static str, command: String, hint: String) -> Check {
    let words = match split_command_line(&command) {
        Ok(words) => words,
        Err(error) => return Check::fail(name, format!("`{command}`: {error}"), hint),
    };
    let Some((program, arguments)) = words.split_first() else {
        return Check::fail(name, "the command is empty", hint);
    };
    let run = Command::new(program)
        .args(arguments)
        .arg("--version")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    match tokio::time::timeout(ANSWER_MAX, run).await {
        Err(_) => {
            let detail =
                format!("`{command} --version` says nothing in {} s", ANSWER_MAX.as_secs());
            Check::warn(name, detail, hint)
        }
        Ok(Err(error)) => {
            Check::warn(name, format!("`{program}` cannot be started: {error}"), hint)
        }
        Ok(Ok(output)) if !output.status.success() => {
            let said = first_line(&output.stderr);
            Check::warn(name, format!("`{command} --version` failed: {said}"), hint)
        }
        Ok(Ok(output)) => Check::ok(name, format!("`{command}` is {}", first_line(&output.stdout))),
    }
}

fn first_line(said: &[u8]) -> String {
    let text = String::from_utf8_lossy(said);
    let line = text.lines().find(|line| !line.trim().is_empty()).unwrap_or("silent");
    line.trim().chars().take(SHOWN_CHARS_MAX).collect()
}
