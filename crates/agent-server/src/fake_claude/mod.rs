//! A stand-in for Claude Code that needs no key and no network.
//!
//! It takes the CLI's flags, prints lines of the same shape and answers signals in the same way,
//! so that runtime `demo` and the tests go through the very same code as the real CLI. What it does
//! comes from a script: the lines of the prompt after a first line `#!demo`, else the variable
//! `FAKE_CLAUDE_SCRIPT`, else a believable run of some seconds that is made up from the prompt.
//!
//! | op | does |
//! |---|---|
//! | `say TEXT` | prints words of the model; all of them are the response |
//! | `tool NAME JSON => RESULT` | prints a tool call and its answer; runs nothing |
//! | `sleep SECONDS` | waits |
//! | `raw BYTES` | prints bytes; `\n \r \t \0 \\ \xHH` are escapes; no newline is added, but whatever is printed next begins on a new line |
//! | `big N` | prints N bytes of words in one line; no part of the response |
//! | `stderr TEXT` | prints a line to standard error |
//! | `exec COMMAND` | runs a shell in a session of its own and waits for it, as tool `Bash` |
//! | `fork N` | leaves N processes behind, each in a session of its own and deaf to INT, TERM and HUP |
//! | `trap INT ignore`, `trap INT result`, `trap INT exit:N` | from now on SIGINT does nothing, ends in success, ends with code N |
//! | `trap TERM ignore` | from now on SIGTERM does nothing |
//! | `result success\|error_max_turns\|none COST_USD` | prints the result line now; `none`: none at all. The cost may be left out |
//! | `close` | closes standard output |
//! | `exit N` | ends with code N |
//! | `abort` | ends by SIGABRT |
//! | `hang` | waits for a signal |
//!
//! A script that ends without `result` ends in success; the exit code is then 0. Empty lines and
//! lines that begin with `#` are skipped. An op that cannot be read fails the run before it starts.

mod children;
mod flags;
mod lines;
mod player;
mod script;
mod sessions;
mod story;

use std::ffi::OsString;
use std::io::{Read, Write};
use std::process::ExitCode;

use self::flags::Flags;
use self::lines::{Format, Printer};
use self::player::Player;
use self::sessions::{Session, Sessions};

/// What `--version` prints, and the first line of a run.
const VERSION: &str = "2.1.197";
/// Longest prompt on standard input, in bytes.
const PROMPT_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// The flags of Claude Code, read by [`main`].
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub struct Args {
    /// Claude Code's own flags and the prompt.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub words: Vec<OsString>,
}

/// Runs with the words after the subcommand's name.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<String> =
        args.into_iter().map(|arg| arg.to_string_lossy().into_owned()).collect();
    if let Some(helper) = children::Helper::of(&args) {
        return helper.run();
    }
    let flags = match Flags::read(&args) {
        Ok(flags) => flags,
        Err(message) => return refuse(&message),
    };
    if flags.is_version {
        println!("{VERSION} (fake-claude)");
        return ExitCode::SUCCESS;
    }
    run(flags)
}

/// The CLI's own checks, in its own words, then the run.
fn run(mut flags: Flags) -> ExitCode {
    let is_root = nix::unistd::geteuid().is_root()
        && std::env::var_os("IS_SANDBOX").is_none_or(|v| v.is_empty());
    if flags.permission_mode == "bypassPermissions" && is_root {
        return refuse(
            "--dangerously-skip-permissions cannot be used with root/sudo privileges for security \
             reasons",
        );
    }
    let servers = match flags.mcp_servers() {
        Ok(servers) => servers,
        Err(message) => return refuse(&message),
    };
    let prompt = match flags.prompt.take() {
        Some(prompt) => prompt,
        None => standard_input(),
    };
    if prompt.is_empty() {
        return refuse(
            "Error: Input must be provided either through stdin or as a prompt argument when \
             using --print",
        );
    }
    let session = match Sessions::of_this_folder().open(&flags) {
        Ok(session) => session,
        Err(refusal) => return no_session(&flags, &refusal),
    };
    play(&flags, &servers, &prompt, session)
}

fn standard_input() -> String {
    let mut bytes = Vec::new();
    // What was read before an error is the prompt.
    let _ = std::io::stdin().lock().take(PROMPT_BYTES_MAX).read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

fn play(flags: &Flags, servers: &[String], prompt: &str, mut session: Session) -> ExitCode {
    session.remember_prompt(prompt);
    let script = match script_of(prompt) {
        Some(script) => script::parse(&script),
        None if prompt.starts_with('/') => return slash_command(flags, prompt, session),
        None => Ok(story::of(prompt, &session.earlier_prompts())),
    };
    let mut printer = Printer::new(flags.format, session, prompt);
    printer.init(flags, servers);
    let ops = match script {
        Ok(ops) => ops,
        Err(error) => {
            printer.failure("error_during_execution", &error.to_string());
            return ExitCode::FAILURE;
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.and_then(|runtime| runtime.block_on(Player::run(printer, flags.clone(), ops))) {
        Ok(code) => code,
        Err(error) => refuse(&format!("fake-claude: {error}")),
    }
}

/// The script, its first line being that of `#!demo`, so that numbers of lines are the prompt's.
fn script_of(prompt: &str) -> Option<String> {
    let first = prompt.lines().next().unwrap_or_default();
    if first.trim_end() == "#!demo" {
        return Some(prompt.to_owned());
    }
    // The real CLI takes its settings from the environment too.
    let script = std::env::var_os("FAKE_CLAUDE_SCRIPT")?;
    Some(script.to_string_lossy().into_owned())
}

/// A prompt that begins with a slash never reaches the model.
fn slash_command(flags: &Flags, prompt: &str, session: Session) -> ExitCode {
    let name = prompt.split_whitespace().next().unwrap_or("/");
    let mut printer = Printer::new(flags.format, session, prompt);
    printer.init(flags, &[]);
    printer.local_answer(&format!("Unknown command: {name}"));
    ExitCode::SUCCESS
}

fn no_session(flags: &Flags, refusal: &sessions::Refusal) -> ExitCode {
    if let (sessions::Refusal::NotFound(id), Format::StreamJson) = (refusal, flags.format) {
        let mut printer = Printer::new(flags.format, Session::unsaved(id.clone()), "");
        printer.failure("error_during_execution", &refusal.to_string());
    }
    refuse(&refusal.to_string())
}

fn refuse(message: &str) -> ExitCode {
    // Nobody is left to hear that standard error is gone.
    let _ = writeln!(std::io::stderr(), "{message}");
    ExitCode::FAILURE
}
