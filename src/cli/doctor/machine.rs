//! The data directory and what the operating system gives.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit};
use trinity_agent_protocol::IsolationKind;

use super::Check;
use crate::config::Config;
use crate::data_dir;
use crate::hosts::process::choose_isolation;

/// With less space than this nothing can be recorded for long.
const FREE_BYTES_MIN: u64 = 64 << 20;

/// With less space than this it is time to act.
const FREE_BYTES_LOW: u64 = 1 << 30;

/// How often a write is made durable to see how long that takes.
const SYNCS: usize = 5;

/// A disk that takes longer to make a write durable slows every request down.
const SYNC_SLOW: Duration = Duration::from_millis(50);

/// Each running task takes some descriptors, each open stream one.
const OPEN_FILES_LOW: u64 = 4_096;

/// What is written to see whether it becomes durable.
const PROBE: [u8; 4_096] = [0; 4_096];

const MIB: u64 = 1 << 20;

/// Looks at the data directory: whether it can be written, its space, its speed.
pub(super) fn data_dir(config: &Config) -> Vec<Check> {
    let (dir, shown) = (&config.data_dir, config.data_dir.display());
    if !dir.exists() {
        let detail = format!("{shown} does not exist yet; the first start makes it");
        let space = dir.ancestors().find(|folder| folder.exists()).map(space);
        let begin = Check::warn("data directory", detail, "trinity serve");
        return [begin].into_iter().chain(space).collect();
    }
    match sync_time(dir) {
        Err(error) => {
            let detail = format!("{shown} cannot be written: {error}");
            let hint = format!("run as the server's user, or: chown \"$USER\" {shown}");
            vec![Check::fail("data directory", detail, hint), space(dir)]
        }
        Ok(time) => {
            let detail = format!("{shown} can be written");
            vec![Check::ok("data directory", detail), space(dir), fsync(time)]
        }
    }
}

fn space(dir: &Path) -> Check {
    let free = match data_dir::space(dir) {
        Ok(space) => space.free_bytes,
        Err(errno) => {
            let detail = format!("the free space of {} is not known: {errno}", dir.display());
            return Check::warn("disk space", detail, "df -h");
        }
    };
    let detail = format!("{} MiB are free", free / MIB);
    let hint = format!("make room on the disk of {}", dir.display());
    match free {
        ..FREE_BYTES_MIN => Check::fail("disk space", detail, hint),
        FREE_BYTES_MIN..FREE_BYTES_LOW => Check::warn("disk space", detail, hint),
        _ => Check::ok("disk space", detail),
    }
}

fn fsync(time: Duration) -> Check {
    let detail = format!("a write is durable after {:.1} ms", time.as_secs_f64() * 1e3);
    if time < SYNC_SLOW {
        return Check::ok("fsync", detail);
    }
    Check::warn("fsync", detail, "put the data directory on a faster disk, see --data-dir")
}

/// Writes a file some times and gives the median time until it was durable.
fn sync_time(dir: &Path) -> io::Result<Duration> {
    let path = dir.join(format!("doctor-{}.tmp", std::process::id()));
    let measured = measure(&path);
    let removed = fs::remove_file(&path);
    let mut times = measured?;
    removed?;
    times.sort();
    Ok(times[times.len() / 2])
}

fn measure(path: &Path) -> io::Result<Vec<Duration>> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    (0..SYNCS)
        .map(|_| {
            let began = Instant::now();
            file.write_all(&PROBE)?;
            file.sync_all()?;
            Ok(began.elapsed())
        })
        .collect()
}

/// Says what would keep agents apart if a server were started now, as this user.
pub(super) fn isolation(config: &Config) -> Check {
    let name = "isolation";
    let plan = match choose_isolation(config.isolation, config.agent_uids, &config.data_dir) {
        Ok(plan) => plan,
        Err(error) => return Check::fail(name, error.to_string(), "say --isolation auto"),
    };
    let landlock = match plan.landlock_abi {
        Some(abi) => format!("Landlock ABI {abi}"),
        None => "no Landlock".to_owned(),
    };
    let detail = match plan.kind {
        IsolationKind::Container => "container: each agent is alone in one".to_owned(),
        IsolationKind::Uid => {
            format!("uid: each agent has a user of its own ({}), {landlock}", config.agent_uids)
        }
        IsolationKind::Landlock => format!("landlock: runs are confined by {landlock}"),
        IsolationKind::None => "NONE: agents can read whatever this user can read".to_owned(),
    };
    match plan.shortfall {
        None => Check::ok(name, detail),
        Some(shortfall) => Check::warn(name, detail, shortfall),
    }
}

/// Looks at how many files one process may have open.
pub(super) fn open_files() -> Check {
    let name = "open files";
    match getrlimit(Resource::RLIMIT_NOFILE) {
        Ok((soft, hard)) => {
            let detail = format!("a process may have {soft} files open, at most {hard}");
            if hard >= OPEN_FILES_LOW {
                return Check::ok(name, detail);
            }
            Check::warn(
                name,
                detail,
                format!("ulimit -n {OPEN_FILES_LOW}, or raise the hard limit"),
            )
        }
        Err(errno) => Check::warn(name, format!("the limit is not known: {errno}"), "ulimit -n"),
    }
}
