//! How an agent server learns that it is to end when nobody reaches it any more.
//!
//! A container engine that was killed in the middle of a start can forget a container that runs all the
//! same. Its agent server then has the state folder, and the one in the next container, which shares
//! nothing but the volume with it, could never have it. So the folder itself is the way: by a pipe in it
//! the next one asks for the lock, and a folder that was removed serves nobody.

use std::fs::{self, File};
use std::io::ErrorKind::{self, BrokenPipe, NotFound, WouldBlock};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe;

use crate::state::State;

/// How long the agent server that has the state folder may take to leave it.
const WAIT_MS_MAX: u64 = 10_000;

/// How often it is asked.
const ASK_AGAIN_MS: u64 = 100;

/// The state folder as one agent server has it.
pub(crate) struct Tenure<'l> {
    lock: &'l File,
    /// Where a successor asks for the folder; nobody may where there is none.
    asked: Option<pipe::Receiver>,
}

impl<'l> Tenure<'l> {
    /// Has the folder; with `yields`, until a successor asks for it. To be called in a runtime.
    pub(crate) fn begin(lock: &'l File, state: &Path, yields: bool) -> Self {
        let asked = yields.then(|| open(&pipe_of(state))).transpose();
        // A run may have put anything there, and what serves runs is worth more than what follows it.
        let asked = asked.unwrap_or_else(|error| {
            tracing::error!(%error, "no successor will be heard");
            None
        });
        Self { lock, asked }
    }

    /// Returns when a successor wants the folder.
    pub(crate) async fn is_wanted(&mut self) {
        let read = match &mut self.asked {
            Some(asked) => asked.read(&mut [0]).await,
            None => std::future::pending().await,
        };
        if let Err(error) = read {
            tracing::error!(%error, "no successor can be heard");
            self.asked = None;
            std::future::pending::<()>().await;
        }
    }

    /// Whether the folder is there no more.
    pub(crate) fn is_void(&self) -> bool {
        self.lock.metadata().is_ok_and(|lock| lock.nlink() == 0)
    }
}

/// Takes the state folder for this process, from another agent server if need be: asks that to end.
///
/// Fails with `WouldBlock` when it does not.
pub(crate) fn succeed(state: &Path) -> io::Result<File> {
    let give_up_at = Instant::now() + Duration::from_millis(WAIT_MS_MAX);
    loop {
        match State::lock(state) {
            Err(error) if error.kind() == WouldBlock && Instant::now() < give_up_at => {}
            other => return other,
        }
        ask(&pipe_of(state))?;
        sleep(Duration::from_millis(ASK_AGAIN_MS));
    }
}

fn pipe_of(state: &Path) -> PathBuf {
    state.join("successor")
}

/// Asks whoever listens.
fn ask(path: &Path) -> io::Result<()> {
    // A run may have put anything there.
    let flags = (OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW).bits();
    let asked = fs::OpenOptions::new().write(true).custom_flags(flags).open(path);
    match asked.and_then(|mut pipe| pipe.write_all(b"\n")) {
        // It is about to end, or to listen, or was asked often enough.
        Err(error) if [NotFound, BrokenPipe, WouldBlock].contains(&error.kind()) => Ok(()),
        Err(error) if error.raw_os_error() == Some(Errno::ENXIO as i32) => Ok(()),
        asked => asked,
    }
}

/// Listens at a pipe, which is made when there is none.
fn open(path: &Path) -> io::Result<pipe::Receiver> {
    // Open for writing, too, or it would end with the first who has asked.
    let mut options = pipe::OpenOptions::new();
    options.read_write(true);
    match options.open_receiver(path) {
        Err(error) if error.kind() == NotFound => {}
        // A file of that name.
        Err(error) if error.kind() == ErrorKind::InvalidInput => fs::remove_file(path)?,
        other => return other,
    }
    mkfifo(path, Mode::S_IRUSR | Mode::S_IWUSR)?;
    options.open_receiver(path)
}
