//! The programs that agents run.

use std::process::Stdio;
use std::time::Duration;

use futures::future::join_all;
use tokio::process::Command;

use super::Check;
use crate::adapters::Launcher;
use crate::config::{Config, Secret};

/// How long a program may take to say its version; one of them starts a JavaScript engine first.
const ANSWER_MAX: Duration = Duration::from_secs(20);

/// How much of what a program says is shown, in characters.
const SHOWN_CHARS_MAX: usize = 100;

/// What is shorter is no key, and part of many words.
const HIDDEN_BYTES_MIN: usize = 8;

/// Asks every program for its version, all at once.
pub(super) async fn look(config: &Config) -> Vec<Check> {
    let claude = config.claude_command.as_ref().map_or("claude", Secret::expose);
    let gemini = config.gemini_command.as_ref().map_or("gemini", Secret::expose);
    let install = "npm install -g";
    let programs = [
        ("claude", claude, format!("{install} @anthropic-ai/claude-code, or --claude-command")),
        ("gemini", gemini, format!("{install} @google/gemini-cli, or --gemini-command")),
        ("git", "git", "install git, on Debian: apt-get install git".to_owned()),
    ];
    join_all(programs.map(|(name, command, hint)| ask(name, command, hint))).await
}

/// Asks one program. Of its command the program alone is shown: keys stand before and behind it.
async fn ask(name: &'static str, command: &str, hint: String) -> Check {
    let launcher = match Launcher::parse(command) {
        Ok(launcher) => launcher,
        Err(error) => return Check::fail(name, error.to_string(), hint),
    };
    let Some((program, arguments)) = launcher.words().split_first() else {
        return Check::fail(name, "the command is empty", hint);
    };
    let run = Command::new(program)
        .args(arguments)
        .arg("--version")
        .envs(&launcher.variables().0)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    match tokio::time::timeout(ANSWER_MAX, run).await {
        Err(_) => {
            let detail =
                format!("`{program}` does not say its version in {} s", ANSWER_MAX.as_secs());
            Check::warn(name, detail, hint)
        }
        Ok(Err(error)) => {
            Check::warn(name, format!("`{program}` cannot be started: {error}"), hint)
        }
        Ok(Ok(output)) if !output.status.success() => {
            let said = first_line(&output.stderr, &launcher);
            Check::warn(name, format!("`{program}` does not say its version: {said}"), hint)
        }
        Ok(Ok(output)) => {
            let said = first_line(&output.stdout, &launcher);
            Check::ok(name, format!("`{program}` is {said}"))
        }
    }
}

/// The first line that a program says, without what it was given: some repeat what they do not
/// understand. Paths stay, which are no secrets and often what is wrong.
fn first_line(said: &[u8], launcher: &Launcher) -> String {
    let arguments = launcher.words().iter().skip(1).map(String::as_str);
    let values = arguments.clone().filter_map(|word| Some(word.split_once('=')?.1));
    let variables = launcher.variables().0.values().map(String::as_str);
    let given = arguments.chain(values).chain(variables);
    let given = given.filter(|text| text.len() >= HIDDEN_BYTES_MIN && !text.starts_with('/'));
    let said = String::from_utf8_lossy(said).into_owned();
    let text = given.fold(said, |said, given| said.replace(given, "***"));
    let line = text.lines().find(|line| !line.trim().is_empty()).unwrap_or("silent");
    line.trim().chars().take(SHOWN_CHARS_MAX).collect()
}
