//! Git in an agent's workspace: what can be done there, by whom, and what came of it.
//!
//! Git runs where the agent lives, as an errand: as the agent's own user, held like its runs. What it
//! does is the agent's owner's wish all the same, so it happens while nothing else is asked of git there,
//! and it runs nothing that the agent has planted in the settings of its repository.

mod script;
mod status;

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, Utc};
use trinity_agent_protocol::{ErrorBody, ErrorCode, Masks, SpawnErrorClass, StopReason};

pub use self::status::{CHANGES_MAX, Change, Status};
use crate::adapters::model_api::ModelApi;
use crate::domain::AgentName;
use crate::gateway;
use crate::hosts::errand::{self, Errand};
use crate::hosts::link::{self, Link};
use crate::vault::{Credentials, Kind};

/// The credential that git is given, by its name.
pub const TOKEN_NAME: &str = "GIT_TOKEN";
/// The branch where nobody names one.
pub const BRANCH_DEFAULT: &str = "main";
/// The folder of the workspace that is the agent's HOME: what its CLI keeps there is its own.
const HOME: &str = ".home";
/// The folder of the workspace that is git's own.
const REPOSITORY: &str = ".git";
/// How many bytes the address of a repository may have.
const REPOSITORY_BYTES_MAX: usize = 2_048;
/// How many bytes the name of a branch may have.
const BRANCH_BYTES_MAX: usize = 244;

/// What is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// Fills a workspace that is no repository yet; any other is left as it is.
    Clone,
    /// Says how the workspace differs.
    Status,
    /// Takes over what the repository has, if nothing here stands against it.
    Pull,
    /// Records everything that has changed, but credentials.
    Commit {
        /// What it says.
        message: String,
    },
    /// Gives the repository what was recorded.
    Push,
}

impl Operation {
    /// The one folder of the workspace that it changes; none where it changes whatever there is.
    fn changes(&self) -> Option<&'static str> {
        match self {
            Self::Status | Self::Commit { .. } | Self::Push => Some(REPOSITORY),
            Self::Clone | Self::Pull => None,
        }
    }
}

/// What a workspace is synchronised with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Remote<'a> {
    /// The address of the repository.
    pub repository: &'a str,
    /// The branch.
    pub branch: &'a str,
}

/// The workspace of an agent that is up.
pub struct Workspace<'a> {
    /// The way there.
    pub link: &'a Link,
    /// Where programs are looked for, unless the place says so itself.
    pub search_path: &'a str,
    /// Whose it is.
    pub agent: &'a AgentName,
    /// What the agent has been given: a token may be among it, and none of it is committed.
    pub credentials: &'a Credentials,
    /// The API of its model, whose key its place may not know.
    pub model_api: Option<&'static ModelApi>,
    /// Where its CLI looks for skills.
    pub skills_folder: &'a str,
    /// The skills that the platform keeps there.
    pub skills: &'a BTreeSet<String>,
    /// Whether its runs may not change it: then git itself changes no more than it must.
    pub is_read_only: bool,
}

/// What git has done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Done {
    /// The last commit before, if there was one: here, or for a push there.
    pub before: Option<String>,
    /// The last commit now.
    pub commit: Option<String>,
    /// What git said, the last of it.
    pub words: String,
}

/// Why git has not done it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Something else is being done there.
    #[error("git is at work in this workspace; try again in a moment")]
    Busy,
    /// The place has no git.
    #[error("there is no git where the agent lives; install it, or use an image that has it")]
    NoGit,
    /// It was given up.
    #[error("git took longer than {} s", .0.as_secs())]
    TimedOut(Duration),
    /// Git says no, and why.
    #[error("{0}")]
    Refused(String),
    /// The way there is broken.
    #[error(transparent)]
    Link(#[from] link::Error),
}

/// Why a repository or branch cannot be meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// No address that git may be given.
    #[error("a repository is an address that begins with https:// or http://")]
    Repository,
    /// A secret where everybody can read it.
    #[error("no credentials belong into an address; set them as the credential {TOKEN_NAME}")]
    Credentials,
    /// No name of a branch.
    #[error("a branch has letters, digits, '.', '_', '-' and '/', and does not begin with '-'")]
    Branch,
}

/// Refuses what git could take for something else, and what has a secret in it.
///
/// # Errors
/// When the address or the branch cannot be meant.
pub fn check(remote: &Remote<'_>) -> Result<(), Invalid> {
    let Remote { repository, branch } = *remote;
    let schemes = ["https://", "http://"];
    let rest = schemes.into_iter().find_map(|scheme| repository.strip_prefix(scheme));
    let server = rest.ok_or(Invalid::Repository)?.split('/').next().unwrap_or_default();
    if server.contains('@') {
        return Err(Invalid::Credentials);
    }
    let is_plain = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '\'' | '\\' | '`' | '$');
    let is_address = !server.is_empty() && repository.len() <= REPOSITORY_BYTES_MAX;
    if !is_address || !repository.chars().all(is_plain) {
        return Err(Invalid::Repository);
    }
    let is_of_branch = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/');
    let is_part = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && !part.ends_with('.')
            && part.strip_suffix(".lock").is_none()
    };
    let is_branch = branch.len() <= BRANCH_BYTES_MAX
        && branch.chars().all(is_of_branch)
        && branch.split('/').all(is_part)
        && !branch.contains("..")
        && !branch.starts_with('-');
    if is_branch { Ok(()) } else { Err(Invalid::Branch) }
}

impl Workspace<'_> {
    /// Says how the workspace differs from its repository.
    ///
    /// # Errors
    /// When git does not say it.
    pub async fn status(
        &self,
        remote: &Remote<'_>,
        timeout: Duration,
        now: DateTime<Utc>,
    ) -> Result<Status, Error> {
        let done = self.run(&Operation::Status, remote, timeout, now).await?;
        Ok(status::read(&done.output))
    }

    /// Has git do something.
    ///
    /// # Errors
    /// When it has not.
    pub async fn work(
        &self,
        operation: &Operation,
        remote: &Remote<'_>,
        timeout: Duration,
        now: DateTime<Utc>,
    ) -> Result<Done, Error> {
        let done = self.run(operation, remote, timeout, now).await?;
        let mut lines = done.output.lines().map(|line| Some(line.trim().to_owned()));
        let mut commit = || lines.next().flatten().filter(|line| !line.is_empty());
        let (before, commit) = (commit(), commit());
        Ok(Done { before, commit, words: done.words.trim().to_owned() })
    }

    async fn run(
        &self,
        operation: &Operation,
        remote: &Remote<'_>,
        timeout: Duration,
        now: DateTime<Utc>,
    ) -> Result<errand::Done, Error> {
        let info = self.link.info().await?;
        let (given, _) = gateway::given(self.model_api, &info, self.credentials);
        let token = self.credentials.of(Kind::Variable).find(|(name, _)| *name == TOKEN_NAME);
        let (files, skills) = (self.credentials.files().into_keys(), self.skills.iter());
        let identity = script::Identity {
            author: self.agent.as_str(),
            ceiling: info.workspace.rsplit_once('/').map_or("/", |(folder, _)| folder),
            secret_paths: files.chain([HOME.to_owned()]).collect(),
            kept_paths: skills.map(|skill| format!("{}/{skill}", self.skills_folder)).collect(),
            token: token.map(|(_, value)| value),
        };
        let argv = ["/bin/sh".to_owned(), "-c".to_owned(), script::script(operation)];
        let is_held = self.is_read_only && info.restricts_writes == Some(true);
        let writable = operation.changes().filter(|_| is_held);
        let errand = Errand {
            argv: argv.to_vec(),
            writable_folders: writable.map(|folder| vec![folder.to_owned()]),
            env: script::environment(operation, remote, &identity),
            masked: given.masked().map(str::to_owned).collect(),
            timeout,
        };
        let ended = errand::run(self.link, &info, self.search_path, errand, now).await;
        let ended = match ended {
            // There is not even a shell.
            Err(link::Error::Refused(body)) if is_no_shell(&body) => return Err(Error::NoGit),
            ended => ended?.ok_or(Error::Busy)?,
        };
        match (ended.exit.code, ended.exit.stop_reason) {
            (Some(0), _) => Ok(ended),
            (_, Some(StopReason::Timeout)) => Err(Error::TimedOut(timeout)),
            (Some(script::NO_GIT), _) => Err(Error::NoGit),
            _ => Err(Error::Refused(self.reason(&ended.words))),
        }
    }

    /// What git said when it refused, with what to do about it where that is known.
    fn reason(&self, words: &str) -> String {
        let hint = if words.contains("Authentication failed") {
            format!("; check the credential {TOKEN_NAME}")
        } else if words.contains("could not read Username") {
            format!("; set the credential {TOKEN_NAME}")
        } else if words.contains("[rejected]") {
            "; pull first".to_owned()
        } else {
            String::new()
        };
        // The agent server has done so already; an older one may not.
        let words = Masks::new(self.credentials.masked()).text(words.trim()).into_owned();
        if words.is_empty() { "git did not say why".to_owned() } else { words + &hint }
    }
}

/// Whether nothing was started for want of a shell.
fn is_no_shell(body: &ErrorBody) -> bool {
    body.code == ErrorCode::SpawnFailed && body.class == Some(SpawnErrorClass::NotFound)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(repository: &str, branch: &str) -> Result<(), Invalid> {
        super::check(&Remote { repository, branch })
    }

    #[test]
    fn an_address_is_of_the_web_and_holds_no_secret() {
        for good in ["https://example.test/r.git", "http://127.0.0.1:8080/a/b"] {
            assert_eq!(check(good, "main"), Ok(()), "{good}");
        }
        let bad = [
            "",
            "https://",
            "file:///etc",
            "ssh://x/y",
            "git@x:y",
            "-u",
            "https://x/a b",
            "ext::sh",
        ];
        for bad in bad {
            assert_eq!(check(bad, "main"), Err(Invalid::Repository), "{bad}");
        }
        for secret in ["https://user:token@example.test/r", "https://token@example.test/r"] {
            assert_eq!(check(secret, "main"), Err(Invalid::Credentials), "{secret}");
        }
    }

    #[test]
    fn a_branch_is_one_to_git_and_to_nobody_an_option() {
        let long = "x".repeat(245);
        let bad =
            ["", "-x", "a..b", "a b", "/a", "a/", "a//b", "x.lock", "a.lock/b", "a~1", ".a", &long];
        for bad in bad {
            assert_eq!(check("https://example.test/r", bad), Err(Invalid::Branch), "{bad}");
        }
        assert_eq!(check("https://example.test/r", "feature/a-1.x"), Ok(()));
    }
}
