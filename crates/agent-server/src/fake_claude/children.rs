//! Processes that a run starts, each by way of this executable's own helpers.

use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode, ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;

use crate::SELF_EXE;

/// How long a process that was left behind lives at most, in seconds.
const LEFT_BEHIND_SECONDS_MAX: u64 = 3_600;
/// Most bytes of a shell's output that are kept.
const OUTPUT_BYTES_MAX: usize = 30_000;
/// How long output is awaited after the shell's end, in milliseconds: something that it left behind
/// may hold the pipe.
const DRAIN_MS: u64 = 100;

/// How many bytes one read takes at most.
const READ_BYTES: usize = 8 * 1024;

const EXEC: &str = "__exec";
const FORK: &str = "__fork";
const STAY: &str = "__stay";

/// What this executable does when it starts itself.
pub enum Helper {
    /// Becomes a shell in a session of its own.
    Exec(String),
    /// Starts this many deaf processes and ends.
    Fork(u32),
    /// Stays, in a session of its own.
    Stay,
}

impl Helper {
    /// Reads the words of a helper.
    pub fn of(args: &[String]) -> Option<Self> {
        match args {
            [name, command] if name == EXEC => Some(Self::Exec(command.clone())),
            [name, count] if name == FORK => Some(Self::Fork(count.parse().ok()?)),
            [name] if name == STAY => Some(Self::Stay),
            _ => None,
        }
    }

    /// Does it.
    pub fn run(self) -> ExitCode {
        // Fails only for the leader of a process group, which no helper is.
        let _ = nix::unistd::setsid();
        match self {
            Self::Exec(command) => {
                let error = Command::new("/bin/sh").arg("-c").arg(command).exec();
                eprintln!("/bin/sh: {error}");
                ExitCode::from(127)
            }
            Self::Fork(count) => fork(count),
            Self::Stay => {
                std::thread::sleep(Duration::from_secs(LEFT_BEHIND_SECONDS_MAX));
                ExitCode::SUCCESS
            }
        }
    }
}

/// The signal mask is inherited, so the processes are deaf from their first instruction on.
fn fork(count: u32) -> ExitCode {
    let deaf = SigSet::from_iter([Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP]);
    let started = deaf.thread_block().map_err(std::io::Error::from).and_then(|()| {
        (0..count).try_for_each(|_| itself(STAY).stdin(Stdio::null()).spawn().map(drop))
    });
    match started {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("fake-claude: {error}");
            ExitCode::FAILURE
        }
    }
}

fn itself(helper: &str) -> Command {
    let mut command = Command::new(SELF_EXE);
    command.arg("fake-claude").arg(helper);
    command
}

/// Leaves `count` processes behind; returns when all of them are there.
pub async fn leave_behind(count: u32) -> std::io::Result<()> {
    let mut command = tokio::process::Command::from(itself(FORK));
    command.arg(count.to_string()).stdin(Stdio::null()).status().await.map(drop)
}

/// A shell in a session of its own.
pub struct Shell {
    child: tokio::process::Child,
    output: pipe::Receiver,
}

impl Shell {
    /// Starts it.
    pub fn start(command: &str) -> std::io::Result<Self> {
        let (reader, writer) = std::io::pipe()?;
        let mut helper = tokio::process::Command::from(itself(EXEC));
        helper.arg(command).stdin(Stdio::null());
        helper.stdout(writer.try_clone()?).stderr(writer);
        let child = helper.spawn()?;
        let output = pipe::Receiver::from_owned_fd(OwnedFd::from(reader))?;
        Ok(Self { child, output })
    }

    /// The process id, which is that of its session too.
    pub fn pid(&self) -> Option<i32> {
        self.child.id().and_then(|pid| i32::try_from(pid).ok())
    }

    /// Waits for the shell; gives how it ended and what it and its children printed until then.
    pub async fn wait(mut self) -> std::io::Result<(ExitStatus, String)> {
        let mut printed = Vec::new();
        let status = loop {
            tokio::select! {
                status = self.child.wait() => break status?,
                is_open = read_some(&mut self.output, &mut printed) => {
                    if !is_open {
                        break self.child.wait().await?;
                    }
                }
            }
        };
        let drain = async { while read_some(&mut self.output, &mut printed).await {} };
        // Running out of time is as good an end as the pipe's own.
        let _ = tokio::time::timeout(Duration::from_millis(DRAIN_MS), drain).await;
        Ok((status, String::from_utf8_lossy(&printed).into_owned()))
    }
}

/// Reads what is there, drops what is beyond the bound; false at the end.
async fn read_some(output: &mut pipe::Receiver, printed: &mut Vec<u8>) -> bool {
    let mut buffer = vec![0; READ_BYTES];
    let Ok(length @ 1..) = output.read(&mut buffer).await else { return false };
    let room = OUTPUT_BYTES_MAX.saturating_sub(printed.len());
    printed.extend(buffer.iter().take(length.min(room)));
    true
}
