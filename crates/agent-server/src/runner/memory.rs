//! Whether the kernel kills for want of memory.

use std::fs;

use nix::sys::signal::Signal;

/// Where the control group of this container counts it, by the version of control groups. Outside of a
/// container it is that of the whole machine, or none.
const COUNTERS: [&str; 2] =
    ["/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control"];

/// How often the kernel had killed a process for want of memory when a run began.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kills(Option<u64>);

impl Kills {
    /// As it stands.
    pub(super) fn now() -> Self {
        Self(COUNTERS.iter().find_map(|path| count(&fs::read_to_string(path).ok()?)))
    }

    /// Whether a process that ended by this signal was one of those killed since then.
    pub(super) fn explain(self, signal: Option<i32>) -> bool {
        let Self(Some(then)) = self else { return false };
        let is_kill = signal == Some(Signal::SIGKILL as i32);
        is_kill && Self::now().0.is_some_and(|now| now > then)
    }
}

/// Reads the counter, one of several in a file.
fn count(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("oom_kill "))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counter_is_found_among_others_in_both_versions() {
        assert_eq!(count("oom_kill_disable 0\nunder_oom 0\noom_kill 3\n"), Some(3));
        assert_eq!(count("low 0\nhigh 1\nmax 2\noom 5\noom_kill 4\noom_group_kill 0\n"), Some(4));
        assert_eq!(count("oom_kill_disable 0\n"), None);
        assert_eq!(count(""), None);
    }

    #[test]
    fn only_a_kill_after_the_beginning_is_explained() {
        let before = Kills(Kills::now().0.map(|now| now.saturating_sub(1)));
        assert!(!before.explain(Some(Signal::SIGTERM as i32)) && !before.explain(None));
        assert!(!Kills(None).explain(Some(Signal::SIGKILL as i32)));
        assert!(!Kills(Some(u64::MAX)).explain(Some(Signal::SIGKILL as i32)));
    }
}
