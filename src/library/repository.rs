//! A folder of the library that is a copy of a git repository.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBuilder};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::process::Command;
use tokio::sync::Mutex;
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use crate::config::GitSource;

/// How long a repository may take to be copied.
const PULL_MAX: Duration = Duration::from_mins(1);
/// The first wait before a repository is asked again of which there is no copy yet.
const AGAIN_WAIT_MIN: Duration = Duration::from_secs(1);
/// The longest of these waits.
const AGAIN_WAIT_MAX: Duration = Duration::from_mins(5);
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
    /// Why the last attempt failed, if it did; none before the first.
    last: Arc<StdMutex<Option<Result<(), String>>>>,
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
        Self { source, folder, one_at_a_time: Arc::default(), last: Arc::default() }
    }

    /// Where the newest copy is, once there is one.
    pub fn current(&self) -> PathBuf {
        self.folder.join(CURRENT)
    }

    /// Whether there is a copy.
    pub fn is_copied(&self) -> bool {
        self.current().exists()
    }

    /// Whether there is no copy and it is not known yet whether there can be one.
    pub fn is_awaited(&self) -> bool {
        self.last().is_none() && !self.is_copied()
    }

    /// Why there is no copy, if there is none.
    fn shortfall(&self) -> Option<String> {
        if self.is_copied() {
            return None;
        }
        Some(match self.last() {
            Some(Err(error)) => error,
            Some(Ok(())) | None => format!("{} is being copied", self.source.url),
        })
    }

    fn last(&self) -> Option<Result<(), String>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Copies the branch as it is now; again and again, later each time, until there is a copy.
    pub(super) async fn copy_at_start(&self) {
        let waits = ExponentialBuilder::new()
            .with_min_delay(AGAIN_WAIT_MIN)
            .with_max_delay(AGAIN_WAIT_MAX)
            .without_max_times();
        for wait in waits.build() {
            match self.pull().await {
                Ok(Pulled { source, commit }) => {
                    tracing::info!(url = source.url, commit, "copied");
                    return;
                }
                Err(error) if self.is_copied() => {
                    tracing::warn!("{error}; what was copied before stays in use");
                    return;
                }
                Err(error) => {
                    tracing::warn!("{error}; there is no copy yet, trying again in {wait:?}");
                }
            }
            sleep(wait).await;
        }
    }

    /// Copies the branch as it is now. Whoever reads meanwhile reads the copy of before, whole.
    ///
    /// # Errors
    /// When git cannot be run, or does not copy it; then nothing has changed.
    pub async fn pull(&self) -> Result<Pulled, PullError> {
        let pulled = self.pull_alone().await;
        let last = match &pulled {
            Ok(_) => Ok(()),
            Err(error) => Err(error.to_string()),
        };
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(last);
        pulled
    }

    async fn pull_alone(&self) -> Result<Pulled, PullError> {
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
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        git
    }

    /// Runs git to its end; gives what it printed.
    async fn run(&self, command: &mut Command) -> Result<String, PullError> {
        let url = || self.source.url.clone();
        let host = |source| PullError::Host { url: url(), source };
        let child = command.spawn().map_err(host)?;
        let _all = Group(child.id());
        let output = timeout(PULL_MAX, child.wait_with_output()).await;
        let output = output.map_err(|_| PullError::TooSlow(url()))?.map_err(host)?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        let begin = said.ceil_char_boundary(said.len().saturating_sub(SAID_BYTES_MAX));
        Err(PullError::Git { url: url(), said: said[begin..].to_owned() })
    }
}

/// A git with the programs that it has started: whoever does not wait for it any more ends them all.
struct Group(Option<u32>);

impl Drop for Group {
    fn drop(&mut self) {
        let leader = self.0.and_then(|id| i32::try_from(id).ok());
        if let Some(leader) = leader {
            // Of one that has ended by itself nothing is left.
            let _gone = killpg(Pid::from_raw(leader), Signal::SIGKILL);
        }
    }
}

/// Says where something is looked for that is not there.
pub(super) fn place(folder: &Path, repository: Option<&Repository>) -> String {
    match repository.and_then(Repository::shortfall) {
        Some(shortfall) => format!("the library yet: {shortfall}"),
        None => folder.display().to_string(),
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
        assert_eq!((repository.shortfall(), repository.is_awaited()), (None, false));
        fs::rename(&origin, dir.path().join("elsewhere")).unwrap();
        let error = repository.pull().await.unwrap_err();
        assert!(matches!(&error, PullError::Git { said, .. } if !said.is_empty()), "{error}");
        assert_eq!(read(), "three");
        assert_eq!(fs::read_dir(dir.path().join("copy")).unwrap().count(), 3);
    }

    #[tokio::test]
    async fn what_is_not_copied_yet_is_said_and_copied_once_it_can_be() {
        let dir = tempfile::tempdir().unwrap();
        let origin = dir.path().join("origin");
        let url = format!("file://{}", origin.display());
        let repository = Repository::new(url.parse().unwrap(), dir.path().join("copy"));
        assert!(repository.is_awaited());
        assert_eq!(repository.shortfall(), Some(format!("{url} is being copied")));
        let copying = repository.clone();
        let copying = tokio::spawn(async move { copying.copy_at_start().await });
        while repository.is_awaited() {
            sleep(Duration::from_millis(10)).await;
        }
        let shortfall = repository.shortfall().unwrap();
        assert!(shortfall.contains(&url) && shortfall.contains("git said"), "{shortfall}");
        let source = dir.path().join("source");
        fs::create_dir(&source).unwrap();
        fs::write(source.join("file"), "one").unwrap();
        run(&source, &["init", "--quiet"]);
        run(&source, &["add", "."]);
        run(&source, &["commit", "--quiet", "-m", "one"]);
        fs::rename(&source, &origin).unwrap();
        copying.await.unwrap();
        assert_eq!(repository.shortfall(), None);
        assert_eq!(fs::read_to_string(repository.current().join("file")).unwrap(), "one");
    }
}
