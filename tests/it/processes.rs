//! The processes of this machine, found by what the kernel says of them.

use std::path::Path;

/// The ids of the processes that match.
pub fn pids(matches: impl Fn(i32) -> bool) -> Vec<i32> {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| matches(*pid)).collect()
}

/// The processes other than the server that were started for this data directory, with everything
/// below them: a runner's own words and environment do not say whose it is.
pub fn processes_of(data_dir: &Path) -> Vec<i32> {
    let own = i32::try_from(std::process::id()).unwrap();
    let mentions = |pid| mentions(pid, "cmdline", data_dir) || mentions(pid, "environ", data_dir);
    let found = pids(|pid| pid != own && mentions(pid));
    with_all_below(found)
}

/// Whether a process was given the name of this folder: as an argument (`cmdline`), or in a variable
/// (`environ`).
pub fn mentions(pid: i32, file: &str, folder: &Path) -> bool {
    let needle = folder.as_os_str().as_encoded_bytes();
    let bytes = std::fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
    bytes.windows(needle.len()).any(|window| window == needle)
}

/// These processes and everything below them.
pub fn with_all_below(mut found: Vec<i32>) -> Vec<i32> {
    let own = i32::try_from(std::process::id()).unwrap();
    let all = pids(|pid| pid != own);
    loop {
        let is_below = |pid: &i32| parent(*pid).is_some_and(|parent| found.contains(&parent));
        let more: Vec<i32> =
            all.iter().copied().filter(|pid| !found.contains(pid) && is_below(pid)).collect();
        if more.is_empty() {
            return found;
        }
        found.extend(more);
    }
}

fn parent(pid: i32) -> Option<i32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything; the parent follows the state after it.
    stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
}

/// The memory that a process holds, in bytes.
pub fn memory_bytes(pid: i32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() << 10
}
