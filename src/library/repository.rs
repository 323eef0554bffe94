//! A folder of the library that is a copy of a git repository.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use tokio::process::Command;
use tokio::sync::Mutex;
use tokio::time::timeout;
use uuid::Uuid;

use crate::config::GitSource;

/// How long a repository may take to be copied.
const PULL_MAX: Duration = Duration::from_mins(1);
/// How many of the last bytes of what git said an error holds.
const SAID_BYTES_MAX: usize = 1_024;
/// The name under which the newest copy is found.
const CURRENT: &str = "current";

/// A repository, and where it is copied to. A clone is another handle to the same.
#[derive(Debug, Clone)]
pub struct Repository {
    source: GitSource,
    folder: PathBuf,
    one_at_a_time: Arc<Mutex<()>>,
}

/// What a copy is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pulled {
    /// Where it came from.
    pub source: GitSource,
    /// The commit.
    pub commit: String,
}

/// A repository that could not be copied; the copy of before stays.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    /// There is no git here, or no room.
    #[error("cannot copy {url}: {source}")]
    Host {
        /// Which repository.
        url: String,
        /// Why.
        source: io::Error,
    },
    /// Git says no.
    #[error("cannot copy {url}: git said: {said}")]
    Git {
        /// Which repository.
        url: String,
        /// The last of what it said.
        said: String,
    },
    /// It took too long.
    #[error("cannot copy {0}: it took longer than {max} s", max = PULL_MAX.as_secs())]
    TooSlow(String),
}

impl Repository {
    /// A repository that is copied below this folder.
    pub fn new(source: GitSource, folder: PathBuf) -> Self {
        Self { source, folder, one_at_a_time: Arc::default() }
    }

    /// Where the newest copy is, once there is one.
    pub fn current(&self) -> PathBuf {
        self.folder.join(CURRENT)
    }

    /// Whether there is a copy.
    pub fn is_copied(&self) -> bool {
        self.current().exists()
    }

    /// Copies the branch as it is now. Whoever reads meanwhile reads the copy of before, whole.
    ///
    /// # Errors
    /// When git cannot be run, or does not copy it; then nothing has changed.
    pub async fn pull(&self) -> Result<Pulled, PullError> {
        let alone = Arc::clone(&self.one_at_a_time).lock_owned().await;
        let host = |source| PullError::Host { url: self.source.url.clone(), source };
        let fresh = Uuid::new_v4().to_string();
        tokio::fs::create_dir_all(&self.folder).await.map_err(host)?;
        let copied = self.copy(&self.folder.join(&fresh)).await;
        let (folder, keep) = (self.folder.clone(), copied.is_ok().then(|| fresh.clone()));
        let settled = tokio::task::spawn_blocking(move || {
            // Held until it is over, also if whoever asked for it has left.
            let _alone = alone;
            settle(&folder, keep.as_deref())
        });
        let commit = copied?;
        settled.await.map_err(io::Error::other).flatten().map_err(host)?;
        Ok(Pulled { source: self.source.clone(), commit })
    }

    /// Makes a copy; gives its commit.
    async fn copy(&self, into: &Path) -> Result<String, PullError> {
        let mut clone = Self::git();
        clone.args(["clone", "--quiet", "--depth=1", "--single-branch", "--no-tags"]);
        clone.args(self.source.branch.iter().map(|branch| format!("--branch={branch}")));
        self.run(clone.arg("--").arg(&self.source.url).arg(into)).await?;
        let commit = self.run(Self::git().arg("-C").arg(into).args(["rev-parse", "HEAD"])).await?;
        Ok(commit.trim().to_owned())
    }

    fn git() -> Command {
        let mut git = Command::new("git");
        git.args(["-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false"])
            .env("GIT_TERMINAL_PROMPT", "0")
            .stdin(Stdio::null())
            .kill_on_drop(true);
        git
    }

    /// Runs git to its end; gives what it printed.
    async fn run(&self, command: &mut Command) -> Result<String, PullError> {
        let url = || self.source.url.clone();
        let output = timeout(PULL_MAX, command.output()).await;
        let output = output.map_err(|_| PullError::TooSlow(url()))?;
        let output = output.map_err(|source| PullError::Host { url: url(), source })?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        let begin = said.ceil_char_boundary(said.len().saturating_sub(SAID_BYTES_MAX));
        Err(PullError::Git { url: url(), said: said[begin..].to_owned() })
    }
}

/// Makes a copy the current one, and removes all but it and the one before, which may still be read;
/// without one, removes what was left half done.
fn settle(folder: &Path, fresh: Option<&str>) -> io::Result<()> {
    let current = folder.join(CURRENT);
    let before = fs::read_link(&current).ok();
    if let Some(fresh) = fresh {
        let next = folder.join(format!("{fresh}.link"));
        symlink(fresh, &next)?;
        fs::rename(next, &current)?;
    }
    let kept = [Some(Path::new(CURRENT)), before.as_deref(), fresh.map(Path::new)];
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if !kept.contains(&Some(Path::new(&entry.file_name()))) {
            let path = entry.path();
            if entry.file_type()?.is_dir() {
                fs::remove_dir_all(path)?;
            } else {
                fs::remove_file(path)?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(folder: &Path, words: &[&str]) {
        let identity =
            ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main"];
        let mut git = std::process::Command::new("git");
        let status = git.current_dir(folder).args(identity).args(words).status().unwrap();
        assert!(status.success(), "{words:?}");
    }

    #[tokio::test]
    async fn a_copy_follows_its_branch_and_stays_when_the_repository_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let origin = dir.path().join("origin");
        fs::create_dir_all(origin.join("brief")).unwrap();
        fs::write(origin.join("brief/SKILL.md"), "one").unwrap();
        run(&origin, &["init", "--quiet"]);
        run(&origin, &["add", "."]);
        run(&origin, &["commit", "--quiet", "-m", "one"]);
        let source: GitSource = format!("file://{}#main", origin.display()).parse().unwrap();
        let repository = Repository::new(source, dir.path().join("copy"));
        let read = || fs::read_to_string(repository.current().join("brief/SKILL.md")).unwrap();
        let first = repository.pull().await.unwrap().commit;
        assert_eq!(read(), "one");
        for text in ["two", "three"] {
            fs::write(origin.join("brief/SKILL.md"), text).unwrap();
            run(&origin, &["commit", "--quiet", "-a", "-m", text]);
            assert_ne!(repository.pull().await.unwrap().commit, first);
            assert_eq!(read(), text);
        }
        let copies = fs::read_dir(dir.path().join("copy")).unwrap().count();
        assert_eq!(copies, 3, "this one, the one before, and the name of this one");
        fs::rename(&origin, dir.path().join("elsewhere")).unwrap();
        let error = repository.pull().await.unwrap_err();
        assert!(matches!(&error, PullError::Git { said, .. } if !said.is_empty()), "{error}");
        assert_eq!(read(), "three");
        assert_eq!(fs::read_dir(dir.path().join("copy")).unwrap().count(), 3);
    }
}
