//! Reads the process table of `/proc` and ends processes by it.

use std::collections::{HashMap, HashSet};
use std::{fs, io};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use trinity_agent_protocol::EXECUTION_ID_VARIABLE;

/// One process as the kernel shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Process {
    /// Its id.
    pub pid: i32,
    /// Its parent's id.
    pub parent: i32,
    /// `R`, `S`, `D`, `T` (stopped), `Z` (zombie) and so on.
    pub state: char,
    /// When it started, in clock ticks since boot. With `pid` it names one process for ever.
    pub started_ticks: u64,
}

impl Process {
    /// Finds a process by its id.
    pub fn find(pid: i32) -> Option<Self> {
        parse_stat(&fs::read(format!("/proc/{pid}/stat")).ok()?)
    }

    /// Tells whether it has ended and only waits for its parent to notice.
    pub fn is_zombie(&self) -> bool {
        matches!(self.state, 'Z' | 'X')
    }
}

/// Names one process for ever: its id alone is given out again once it has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessIdentity {
    /// The process id.
    pub pid: i32,
    /// When it started, in clock ticks since boot.
    pub started_ticks: u64,
    /// Which boot of the machine that was.
    pub machine_boot_id: String,
}

impl ProcessIdentity {
    /// Names the calling process.
    pub fn own() -> io::Result<Self> {
        let pid = i32::try_from(std::process::id()).map_err(io::Error::other)?;
        let process = Process::find(pid).ok_or(io::ErrorKind::NotFound)?;
        let machine_boot_id = machine_boot_id()?;
        Ok(Self { pid, started_ticks: process.started_ticks, machine_boot_id })
    }

    /// Finds the process, unless it has ended.
    pub fn find(&self) -> Option<Process> {
        let process = Process::find(self.pid).filter(|process| !process.is_zombie())?;
        let is_same = process.started_ticks == self.started_ticks
            && machine_boot_id().is_ok_and(|id| id == self.machine_boot_id);
        is_same.then_some(process)
    }

    /// Sends a signal to the process, unless it has ended.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        if self.find().is_none() {
            return Ok(());
        }
        match kill(Pid::from_raw(self.pid), signal) {
            Err(Errno::ESRCH) => Ok(()),
            other => Ok(other?),
        }
    }
}

fn machine_boot_id() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

/// Parses `/proc/PID/stat`. The name in parentheses is the process's own choice, so it may hold
/// anything, parentheses and newlines included: what follows its last `)` is sound.
fn parse_stat(stat: &[u8]) -> Option<Process> {
    let close = stat.iter().rposition(|byte| *byte == b')')?;
    let open = stat.iter().position(|byte| *byte == b'(')?;
    let pid = str::from_utf8(&stat[..open]).ok()?.trim().parse().ok()?;
    let mut rest = str::from_utf8(&stat[close + 1..]).ok()?.split_ascii_whitespace();
    let state = rest.next()?.chars().next()?;
    let parent = rest.next()?.parse().ok()?;
    // Fields are numbered from 1 in proc(5): state is 3, the parent 4, the start time 22.
    let started_ticks = rest.nth(17)?.parse().ok()?;
    Some(Process { pid, parent, state, started_ticks })
}

/// Reads the whole table. Processes that end meanwhile are left out.
pub(crate) fn all() -> Vec<Process> {
    let Ok(folder) = fs::read_dir("/proc") else { return Vec::new() };
    folder
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(Process::find)
        .collect()
}

/// Picks from the table what descends from `root`, without the trees below `except`.
pub(crate) fn descendants(table: &[Process], root: i32, except: &HashSet<i32>) -> Vec<Process> {
    let mut children: HashMap<i32, Vec<&Process>> = HashMap::new();
    for process in table {
        children.entry(process.parent).or_default().push(process);
    }
    let (mut found, mut open) = (Vec::new(), vec![root]);
    while let Some(parent) = open.pop() {
        for child in children.remove(&parent).unwrap_or_default() {
            if !except.contains(&child.pid) {
                found.push(*child);
                open.push(child.pid);
            }
        }
    }
    found
}

/// Closes what this process inherited beyond the three standard streams.
///
/// Whoever started the platform may have left descriptors open, a lock among them, that must not
/// live on in an agent. To be called before this process opens anything itself.
pub(crate) fn close_inherited() -> io::Result<()> {
    let listed: Vec<i32> = fs::read_dir("/proc/self/fd")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    for descriptor in listed.into_iter().filter(|descriptor| *descriptor > 2) {
        // The folder that was listed is among them and closed already.
        let _ = nix::unistd::close(descriptor);
    }
    Ok(())
}

/// Sends SIGKILL to one process. One that is gone already is none of our business.
pub(crate) fn kill_now(pid: i32) {
    if let Err(errno) = kill(Pid::from_raw(pid), Signal::SIGKILL)
        && errno != Errno::ESRCH
    {
        tracing::warn!(pid, %errno, "cannot kill a process");
    }
}

/// Kills once every process of a user; gives how many there were, ended ones left out.
///
/// For a user that is one agent's alone, when nothing of the agent may run: whatever session,
/// environment and parent its processes chose, their user they could not change.
pub fn kill_user(uid: u32) -> usize {
    let living = all().into_iter().filter(|process| !process.is_zombie());
    let theirs: Vec<_> = living.filter(|process| uid_of(process.pid) == Some(uid)).collect();
    for process in &theirs {
        kill_now(process.pid);
    }
    theirs.len()
}

/// Gives the real user of a process.
fn uid_of(pid: i32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let uids = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    uids.split_ascii_whitespace().next()?.parse().ok()
}

/// Gives the execution a process belongs to, read from the environment it was started with.
pub(crate) fn execution_of(pid: i32) -> Option<String> {
    let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
    environment.split(|byte| *byte == 0).find_map(|variable| {
        let value = variable.strip_prefix(EXECUTION_ID_VARIABLE.as_bytes())?.strip_prefix(b"=")?;
        String::from_utf8(value.to_vec()).ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_name_does_not_shift_the_fields() {
        let mut stat = b"42 (a) R 1 (\n) S 7 42 42 0 -1 4194560 ".to_vec();
        stat.extend_from_slice(b"0 0 0 0 0 0 0 0 20 0 1 0 987 0 0");
        let process = parse_stat(&stat).unwrap();
        assert_eq!(process, Process { pid: 42, parent: 7, state: 'S', started_ticks: 987 });
    }

    #[test]
    fn this_process_is_found_below_its_parent() {
        let me = Process::find(i32::try_from(std::process::id()).unwrap()).unwrap();
        let table = all();
        let below = descendants(&table, me.parent, &HashSet::new());
        assert!(below.iter().any(|process| process.pid == me.pid));
        let without = descendants(&table, me.parent, &HashSet::from([me.pid]));
        assert!(without.iter().all(|process| process.pid != me.pid));
    }
}
