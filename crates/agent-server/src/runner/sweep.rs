//! Ends every process below the runner.

use std::collections::HashSet;
use std::process::{Child, ExitStatus};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::processes::{self, descendants, kill_now};

/// The first pause between two rounds, and the longest.
///
/// The rounds themselves have no bound: a slot must not be given on while a process lives.
const PAUSE_MS_MIN: u64 = 1;
const PAUSE_MS_MAX: u64 = 250;

/// What a sweep did.
#[derive(Debug)]
pub(super) struct Swept {
    /// How many processes other than the main one were killed.
    pub count: u64,
    /// How the main process ended.
    pub main: ExitStatus,
}

/// Kills and reaps until this process has no child left.
///
/// The runner is a subreaper, so whatever a run starts, in whatever session, is below it. A walk
/// races with forks; the loop ends only when the kernel says that there is no child (`ECHILD`).
pub(super) async fn sweep(main: &mut Child, ended: Option<ExitStatus>) -> std::io::Result<Swept> {
    let own = pid_of(std::process::id());
    let main_pid = pid_of(main.id());
    let mut ended = ended;
    let mut killed = HashSet::new();
    let mut pause_ms = PAUSE_MS_MIN;
    loop {
        let victims = descendants(&processes::all(), own, &HashSet::new());
        for victim in victims.iter().filter(|victim| !victim.is_zombie()) {
            kill_now(victim.pid);
            if killed.insert((victim.pid, victim.started_ticks)) {
                // Somebody forks: stay close behind.
                pause_ms = PAUSE_MS_MIN;
            }
        }
        if ended.is_none() {
            ended = main.try_wait()?;
        }
        if let Some(status) = ended
            && reap_all()
        {
            killed.retain(|(pid, _)| *pid != main_pid);
            return Ok(Swept { count: killed.len() as u64, main: status });
        }
        tokio::time::sleep(Duration::from_millis(pause_ms)).await;
        pause_ms = (pause_ms * 2).min(PAUSE_MS_MAX);
    }
}

/// Reaps every ended child; true when none is left. Only once the main process was waited for,
/// because its exit status must come from the standard library's handle.
fn reap_all() -> bool {
    loop {
        match waitpid(Pid::from_raw(-1), Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) => return false,
            Err(Errno::ECHILD) => return true,
            // EINVAL: the child was ended by a real-time signal, which nix cannot name. It is reaped.
            Ok(_) | Err(Errno::EINVAL | Errno::EINTR) => {}
            Err(errno) => {
                tracing::warn!(%errno, "cannot wait for left-over processes");
                return false;
            }
        }
    }
}

/// Reaps the ended orphans that were handed to this process while the main one goes on.
pub(super) fn reap_orphans(main: &Child) {
    let own = pid_of(std::process::id());
    let main_pid = pid_of(main.id());
    for process in processes::all() {
        if process.parent == own && process.is_zombie() && process.pid != main_pid {
            // Whatever it says, the child is reaped: see `reap_all`.
            let _ = waitpid(Pid::from_raw(process.pid), Some(WaitPidFlag::WNOHANG));
        }
    }
}

fn pid_of(id: u32) -> i32 {
    i32::try_from(id).unwrap_or(i32::MAX)
}
