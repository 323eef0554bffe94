//! Read-only mode: what of its workspace an agent may still change.
//!
//! While it is on, the workspace is read-only but for the folders that an allowed pattern names as a
//! whole, as `out/` or `out/**`. That is held by the kernel, against a shell too. A blocked pattern inside
//! of such a folder, and anything finer than a folder, can only be told to the CLI.

use super::{ConfigError, ReadOnly};

/// How many patterns of each kind there are at most.
pub const PATTERNS_MAX: usize = 100;
/// The HOME of runs, which always may be changed.
const HOME: &str = ".home";
/// How many bytes one has at most.
pub const PATTERN_BYTES_MAX: usize = 256;

impl ReadOnly {
    /// Refuses what names no files of a workspace.
    pub fn check(&self) -> Result<(), ConfigError> {
        for patterns in [&self.blocked_patterns, &self.allowed_patterns] {
            if patterns.len() > PATTERNS_MAX {
                return Err(ConfigError::Patterns(patterns.len()));
            }
            if let Some(bad) = patterns.iter().find(|pattern| !is_pattern(pattern)) {
                return Err(ConfigError::Pattern(bad.clone()));
            }
        }
        Ok(())
    }

    /// The folders that may be changed, as paths below the workspace.
    pub fn writable_folders(&self) -> impl Iterator<Item = &str> {
        self.allowed_patterns.iter().filter_map(|pattern| folder(pattern))
    }

    /// Whether the kernel sees to an allowed pattern: what is finer than a folder stays read-only.
    pub fn is_allowance_enforced(&self, pattern: &str) -> bool {
        folder(pattern).is_some()
    }

    /// Whether the kernel sees to a blocked pattern: it does outside of the folders that may be changed.
    pub fn is_block_enforced(&self, pattern: &str) -> bool {
        let fixed = fixed_part(pattern);
        let writable = self.writable_folders().chain([HOME]);
        { writable }.all(|folder| !is_below(folder, fixed) && !is_below(fixed, folder))
    }

    /// Blocked patterns that only the CLI can be told of.
    pub fn told_to_the_cli(&self) -> impl Iterator<Item = &String> {
        self.blocked_patterns.iter().filter(|pattern| !self.is_block_enforced(pattern))
    }
}

/// The folder that a pattern names as a whole.
fn folder(pattern: &str) -> Option<&str> {
    let folder = pattern.strip_suffix("/**").or_else(|| pattern.strip_suffix('/'))?;
    (fixed_part(folder) == folder).then_some(folder)
}

/// The folders of a pattern before the first that stands for several; the whole when none does.
fn fixed_part(pattern: &str) -> &str {
    match pattern.find(['*', '?', '[', '{', '!']) {
        Some(at) => pattern[..at].rsplit_once('/').map_or("", |(folders, _)| folders),
        None => pattern.trim_end_matches('/'),
    }
}

/// Whether a path is a folder, or in it; everything is in the workspace, whose path is empty.
fn is_below(folder: &str, path: &str) -> bool {
    let rest = path.strip_prefix(folder);
    folder.is_empty() || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn is_pattern(pattern: &str) -> bool {
    let body = pattern.strip_suffix('/').unwrap_or(pattern);
    let is_part = |part: &str| !part.is_empty() && part != "." && part != "..";
    let is_plain = |c: char| !c.is_control() && !",()\"'\\".contains(c);
    pattern.len() <= PATTERN_BYTES_MAX
        && pattern.chars().all(is_plain)
        && body.split('/').all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_only(allowed: &[&str], blocked: &[&str]) -> ReadOnly {
        let owned = |patterns: &[&str]| patterns.iter().map(ToString::to_string).collect();
        ReadOnly {
            enabled: true,
            blocked_patterns: owned(blocked),
            allowed_patterns: owned(allowed),
        }
    }

    #[test]
    fn only_whole_folders_may_be_changed() {
        let allowed = ["out/", "a/b/**", "notes.md", "*.md", "x*/", "c/*", "**"];
        let read_only = read_only(&allowed, &[]);
        assert_eq!(read_only.check(), Ok(()));
        assert_eq!(read_only.writable_folders().collect::<Vec<_>>(), ["out", "a/b"]);
    }

    #[test]
    fn what_is_blocked_in_a_folder_that_may_be_changed_is_told_to_the_cli() {
        let blocked = ["src/**", "out/keep", "out", "*.py", "output/x", "out/a/*.txt"];
        let read_only = read_only(&["out/**"], &blocked);
        let told: Vec<_> = read_only.told_to_the_cli().collect();
        assert_eq!(told, ["out/keep", "out", "*.py", "out/a/*.txt"]);
    }

    #[test]
    fn a_pattern_stays_in_the_workspace_and_is_no_rule_of_its_own() {
        for bad in ["", "/etc", "../x", "a//b", "a/../b", "/", "./a", "a,b", "a)", "a\n", "\"a"] {
            let refused = read_only(&[bad], &[]).check();
            assert_eq!(refused, Err(ConfigError::Pattern(bad.to_owned())), "{bad}");
            assert!(read_only(&[], &[bad]).check().is_err(), "{bad}");
        }
        assert!(read_only(&["a/"; PATTERNS_MAX + 1], &[]).check().is_err());
        assert_eq!(read_only(&["ä b/"; PATTERNS_MAX], &["**/*.py"]).check(), Ok(()));
    }
}
