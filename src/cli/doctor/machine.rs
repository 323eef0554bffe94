//! The data directory and what the operating system gives.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit};
use trinity_agent_protocol::IsolationKind;

use super::Check;
use crate::config::{Config, UidRange};
use crate::data_dir;
use crate::hosts::IsolationPlan;
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

/// The name of the check of what keeps agents apart.
const ISOLATION: &str = "isolation";

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
    enough(free, dir)
}

fn enough(free_bytes: u64, dir: &Path) -> Check {
    let detail = format!("{} MiB are free", free_bytes / MIB);
    let hint = format!("make room on the disk of {}", dir.display());
    match free_bytes {
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
    match choose_isolation(config.isolation, config.agent_uids, &config.data_dir) {
        Ok(plan) => in_words(plan, config.agent_uids),
        Err(error) => Check::fail(ISOLATION, error.to_string(), "say --isolation auto"),
    }
}

fn in_words(plan: IsolationPlan, agent_uids: UidRange) -> Check {
    let landlock = match plan.landlock_abi {
        Some(abi) => format!("Landlock ABI {abi}"),
        None => "no Landlock".to_owned(),
    };
    let detail = match plan.kind {
        IsolationKind::Container => "container: each agent is alone in one".to_owned(),
        IsolationKind::Uid => {
            format!("uid: each agent has a user of its own ({agent_uids}), {landlock}")
        }
        IsolationKind::Landlock => format!("landlock: runs are confined by {landlock}"),
        IsolationKind::None => "NONE: agents can read whatever this user can read".to_owned(),
    };
    match plan.shortfall {
        None => Check::ok(ISOLATION, detail),
        Some(shortfall) => Check::warn(ISOLATION, detail, shortfall),
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

#[cfg(test)]
mod tests {
    use super::super::Status;
    use super::*;

    #[test]
    fn little_space_warns_and_hardly_any_fails() {
        let dir = Path::new("/data");
        let cases = [
            (0, Status::Fail),
            (FREE_BYTES_MIN - 1, Status::Fail),
            (FREE_BYTES_MIN, Status::Warn),
            (FREE_BYTES_LOW - 1, Status::Warn),
            (FREE_BYTES_LOW, Status::Ok),
            (u64::MAX, Status::Ok),
        ];
        for (free_bytes, status) in cases {
            let check = enough(free_bytes, dir);
            assert_eq!(check.status, status, "{free_bytes}");
            assert!(check.detail.starts_with(&(free_bytes / MIB).to_string()));
            assert_eq!(check.hint.is_some_and(|hint| hint.contains("/data")), status != Status::Ok);
        }
    }

    #[test]
    fn a_slow_disk_warns() {
        assert_eq!(fsync(SYNC_SLOW.saturating_sub(Duration::from_nanos(1))).status, Status::Ok);
        assert_eq!(fsync(SYNC_SLOW).status, Status::Warn);
    }

    #[test]
    fn every_kind_of_isolation_is_named_and_less_than_could_be_warns() {
        let range = UidRange::default();
        let cases = [
            (IsolationKind::Container, None, "container: "),
            (IsolationKind::Uid, Some(6), "uid: "),
            (IsolationKind::Uid, None, "uid: "),
            (IsolationKind::Landlock, Some(1), "landlock: runs are confined by Landlock ABI 1"),
            (IsolationKind::None, None, "NONE: agents can read whatever this user can read"),
        ];
        for (kind, landlock_abi, begin) in cases {
            let plan = |shortfall| IsolationPlan { kind, landlock_abi, shortfall };
            let whole = in_words(plan(None), range);
            assert_eq!((whole.status, &whole.hint), (Status::Ok, &None));
            assert!(whole.detail.starts_with(begin), "{}", whole.detail);
            let less = in_words(plan(Some("do better".to_owned())), range);
            assert_eq!((less.status, less.hint.as_deref()), (Status::Warn, Some("do better")));
            assert_eq!(less.detail, whole.detail);
        }
    }

    #[test]
    fn isolation_that_was_turned_off_is_a_warning() {
        let settings = crate::config::Settings {
            data_dir: Some("/nowhere".into()),
            isolation: Some(crate::config::IsolationChoice::None),
            ..crate::config::Settings::default()
        };
        let check = isolation(&Config::load(settings).unwrap());
        assert_eq!(check.status, Status::Warn);
        assert!(check.detail.starts_with("NONE: "), "{}", check.detail);
        assert!(check.hint.unwrap().contains("--isolation none"));
    }
}
