//! Starts the agent server in the background.
//!
//! This process is the intermediate of a double fork: it leaves its session, starts its own
//! executable again without `--detach`, waits until that serves, and exits. What it started is then
//! nobody's child and outlives whoever asked for it.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

use crate::SELF_EXE;

/// How many bytes of what a failed start says are passed on.
const LAST_WORDS_BYTES_MAX: u64 = 4096;

/// Starts the agent server, prints what it printed when it was ready, and returns.
pub(crate) fn start() -> anyhow::Result<()> {
    nix::unistd::setsid().context("cannot leave the session")?;
    let arguments: Vec<OsString> =
        std::env::args_os().skip(1).filter(|argument| argument != "--detach").collect();
    let mut child = Command::new(SELF_EXE)
        .args(arguments)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start the agent server")?;
    let stdout = child.stdout.take().context("the agent server has no output")?;
    let mut ready = String::new();
    BufReader::new(stdout.take(LAST_WORDS_BYTES_MAX)).read_line(&mut ready)?;
    if ready.is_empty() {
        bail!("the agent server ended at once: {}", child.wait()?);
    }
    print!("{ready}");
    Ok(())
}
