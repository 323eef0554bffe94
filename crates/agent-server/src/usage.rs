//! What a process and everything below it uses, as `/proc` shows it.

use std::collections::HashSet;
use std::{fs, io};

use crate::processes::{Process, all, descendants};

/// What a tree of processes has used and holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TreeUsage {
    /// Processor time in microseconds, that of ended children included.
    pub cpu_us: u64,
    /// Memory that is its own: what is mapped from files is left out, which others may share.
    pub memory_bytes: u64,
    /// How many processes it has.
    pub processes: u64,
}

/// Measures a process and all that descends from it.
///
/// # Errors
/// When the process has ended.
pub fn usage_of_tree(root: i32) -> io::Result<TreeUsage> {
    let process = Process::find(root).ok_or(io::ErrorKind::NotFound)?;
    let mut usage = TreeUsage::default();
    let below = descendants(&all(), root, &HashSet::new());
    // One that ends meanwhile is counted by its parent the next time.
    for pid in below.iter().chain([&process]).map(|process| process.pid) {
        let Some(ticks) = fs::read(format!("/proc/{pid}/stat")).ok().and_then(|s| ticks_of(&s))
        else {
            continue;
        };
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        usage.cpu_us += ticks * 1_000_000 / rustix::param::clock_ticks_per_second().max(1);
        usage.memory_bytes += own_memory(&status);
        usage.processes += 1;
    }
    Ok(usage)
}

/// Processor time in clock ticks: in user mode and in the kernel, its own and of its ended children.
fn ticks_of(stat: &[u8]) -> Option<u64> {
    // The name before may hold anything.
    let close = stat.iter().rposition(|byte| *byte == b')')?;
    let rest = str::from_utf8(&stat[close + 1..]).ok()?;
    // Fields 14 to 17 of proc(5), the first here being 3.
    let times = rest.split_ascii_whitespace().skip(11).take(4);
    times.map(|field| field.parse::<u64>().ok()).sum()
}

fn own_memory(status: &str) -> u64 {
    let bytes = |line: &str| {
        let kib = line.strip_prefix("RssAnon:").or_else(|| line.strip_prefix("RssShmem:"))?;
        kib.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
    };
    status.lines().filter_map(bytes).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_very_process_uses_something() {
        let own = i32::try_from(std::process::id()).unwrap();
        let usage = usage_of_tree(own).unwrap();
        assert!(usage.memory_bytes > 0 && usage.processes >= 1, "{usage:?}");
    }

    #[test]
    fn times_and_memory_are_read_whatever_the_name_is() {
        let stat = b"42 (a) R 1 (\n) S 7 42 42 0 -1 4194560 1 2 3 4 10 20 30 40 20 0 1 0 987 0 0";
        assert_eq!(ticks_of(stat), Some(100));
        assert_eq!(ticks_of(b"42 (a) S"), Some(0));
        let status = "Name:\tx\nRssAnon:\t     100 kB\nRssFile:\t 9 kB\nRssShmem:\t       4 kB\n";
        assert_eq!(own_memory(status), 104 * 1024);
    }
}
