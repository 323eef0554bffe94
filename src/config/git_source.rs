//! The name of a git repository in the configuration.

use std::str::FromStr;

use serde::Deserialize;

/// How many bytes an address may have.
const SOURCE_BYTES_MAX: usize = 2_048;

/// Where a repository is, and which of its branches is meant: `URL` or `URL#BRANCH`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct GitSource {
    /// The address, as git understands it.
    pub url: String,
    /// The branch; the repository's own choice without one.
    pub branch: Option<String>,
}

/// A text that names no repository.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidGitSource {
    /// No address that git can be given.
    #[error(
        "a repository is named as URL or URL#BRANCH, such as https://host/team/skills.git#main"
    )]
    Form,
    /// A secret where everybody can read it.
    #[error("no password belongs into the address of a repository; git's credential helper has it")]
    Password,
}

impl FromStr for GitSource {
    type Err = InvalidGitSource;

    fn from_str(text: &str) -> Result<Self, InvalidGitSource> {
        let (url, branch) = match text.split_once('#') {
            Some((url, branch)) => (url, Some(branch)),
            None => (text, None),
        };
        let plain = |part: &str| {
            !part.is_empty() && !part.starts_with('-') && part.chars().all(|c| c.is_ascii_graphic())
        };
        // `ext::` and its like make git run what the address says.
        if text.len() > SOURCE_BYTES_MAX || !plain(url) || url.contains("::") {
            return Err(InvalidGitSource::Form);
        }
        if branch.is_some_and(|branch| !plain(branch)) {
            return Err(InvalidGitSource::Form);
        }
        let authority =
            url.split_once("://").map(|(_, rest)| rest.split('/').next().unwrap_or(rest));
        let user = authority.and_then(|authority| authority.rsplit_once('@')).map(|(user, _)| user);
        // Over ssh a user is no secret; over http a token is often all of it.
        let is_web = url.starts_with("http");
        if user.is_some_and(|user| is_web || user.contains(':')) {
            return Err(InvalidGitSource::Password);
        }
        Ok(Self { url: url.to_owned(), branch: branch.map(str::to_owned) })
    }
}

impl TryFrom<String> for GitSource {
    type Error = InvalidGitSource;

    fn try_from(text: String) -> Result<Self, InvalidGitSource> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_an_address_and_perhaps_a_branch() {
        let source: GitSource = "https://example.test/a.git#main".parse().unwrap();
        assert_eq!(
            (source.url.as_str(), source.branch.as_deref()),
            ("https://example.test/a.git", Some("main"))
        );
        let plain: GitSource = "git@example.test:team/a.git".parse().unwrap();
        assert_eq!(plain.branch, None);
        assert!(
            "/srv/git/a".parse::<GitSource>().is_ok()
                && "ssh://git@example.test/a".parse::<GitSource>().is_ok()
        );
        for bad in [
            "",
            "#main",
            "-x",
            "https://a b",
            "ext::sh -c x",
            "ext::x",
            "https://x#",
            "https://x#-u",
        ] {
            assert_eq!(bad.parse::<GitSource>(), Err(InvalidGitSource::Form), "{bad}");
        }
        for secret in ["https://user:token@example.test/a", "https://ghp_token@example.test/a"] {
            assert_eq!(secret.parse::<GitSource>(), Err(InvalidGitSource::Password), "{secret}");
        }
    }
}
