//! Names and values of credentials, and the bounds they keep.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use zeroize::{Zeroize, ZeroizeOnDrop};

/// How many credentials one agent has at most.
pub const CREDENTIALS_MAX: usize = 200;
/// How many bytes one value has at most.
pub const VALUE_BYTES_MAX: usize = 64 * 1024;
/// How many bytes all values of one agent have at most: they go into the environment of each run.
pub const VALUES_BYTES_MAX: usize = 128 * 1024;
/// How many bytes a name has at most.
pub const NAME_BYTES_MAX: usize = 128;
/// From how many bytes on a word of a file may be a secret.
const TOKEN_BYTES_MIN: usize = 16;
/// The file in the workspace that holds the variables.
pub const ENV_FILE: &str = ".env";
/// The variable with the agent's own API key, which the platform sets and nobody else.
pub const API_KEY_VARIABLE: &str = "TRINITY_TOKEN";

/// Variables that the platform sets itself, or that would change which programs are loaded.
const RESERVED: &[&str] = &["HOME", "LANG", "PATH", "PWD", "SHELL", "TMPDIR", "USER", "IFS"];
/// Beginnings of such variables.
const RESERVED_PREFIXES: &[&str] = &["TRINITY_", "LD_"];

/// A text that must not be printed and does not stay in memory.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Zeroize, ZeroizeOnDrop, serde::Deserialize)]
#[serde(transparent)]
pub struct SecretText(String);

impl SecretText {
    /// The text itself, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for SecretText {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// What becomes of a credential.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, strum::IntoStaticStr, strum::EnumString,
)]
#[strum(serialize_all = "lowercase")]
pub enum Kind {
    /// A variable of every run, and a line of `.env`.
    Variable,
    /// A file of the workspace.
    File,
}

/// The name of a credential: of a variable, or the path of a file, which has a dot or a slash.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct CredentialName(String);

/// Why a text is no name of a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// Neither of the two forms.
    #[error(
        "a credential is named like a variable (letters, digits and _, not first a digit, at most \
         {NAME_BYTES_MAX}) or like a file of the workspace (a relative path with a dot or a slash)"
    )]
    Form,
    /// A path that leaves the workspace, or goes where it must not.
    #[error("the path of a credential file is relative and stays in the workspace, without `..`")]
    Path,
    /// A variable of the platform's.
    #[error("this variable is set by the platform itself; choose another name")]
    Reserved,
    /// The file that variables make.
    #[error("`.env` is made of the variables; set them one by one, or send it as text")]
    EnvFile,
}

impl CredentialName {
    /// The agent's own API key, a name that no text is read as.
    pub(super) fn api_key() -> Self {
        Self(API_KEY_VARIABLE.to_owned())
    }

    /// What becomes of it.
    pub fn kind(&self) -> Kind {
        if self.0.contains(['.', '/']) { Kind::File } else { Kind::Variable }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CredentialName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for CredentialName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        if text.is_empty() || text.len() > NAME_BYTES_MAX {
            return Err(InvalidName::Form);
        }
        if text.contains(['.', '/']) {
            check_path(text)?;
        } else {
            check_variable(text)?;
        }
        Ok(Self(text.to_owned()))
    }
}

fn check_variable(text: &str) -> Result<(), InvalidName> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if !text.bytes().all(plain) || text.starts_with(|first: char| first.is_ascii_digit()) {
        return Err(InvalidName::Form);
    }
    let begins = |prefix: &&str| text.starts_with(*prefix);
    if RESERVED.contains(&text) || RESERVED_PREFIXES.iter().any(begins) {
        return Err(InvalidName::Reserved);
    }
    Ok(())
}

fn check_path(text: &str) -> Result<(), InvalidName> {
    if text == ENV_FILE {
        return Err(InvalidName::EnvFile);
    }
    let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'\\';
    if !text.bytes().all(plain) {
        return Err(InvalidName::Form);
    }
    // An empty part is a slash at an end, or two in a row.
    let mut parts = text.split('/');
    if parts.any(|part| part.is_empty() || part == "." || part == "..") {
        return Err(InvalidName::Path);
    }
    Ok(())
}

/// What is to become of credentials: a value for those that are set, none for those that go.
pub type Changes = BTreeMap<CredentialName, Option<SecretText>>;

/// The credentials of one agent, opened.
#[derive(Clone, Default)]
pub struct Credentials {
    /// Those that it was given.
    pub given: BTreeMap<CredentialName, SecretText>,
    /// Its own API key, which it has from the platform.
    pub api_key: Option<SecretText>,
}

impl Credentials {
    /// The names of what it was given.
    pub fn names(&self) -> BTreeSet<String> {
        self.given.keys().map(ToString::to_string).collect()
    }

    /// All of them but one.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.given.retain(|known, _| known.as_str() != name);
        self
    }

    /// What no output may show: the agent's own key, the variables' values, and what looks like a
    /// secret in files, of which most is form.
    pub fn masked(&self) -> impl Iterator<Item = &str> {
        let tokens = self.of(Kind::File).flat_map(|(_, text)| tokens(text));
        let values = self.of(Kind::Variable).map(|(_, value)| value).chain(tokens);
        self.api_key.iter().map(SecretText::expose).chain(values)
    }

    /// Names and values of one kind of what it was given.
    pub fn of(&self, kind: Kind) -> impl Iterator<Item = (&str, &str)> {
        let all = self.given.iter().filter(move |(name, _)| name.kind() == kind);
        all.map(|(name, value)| (name.as_str(), value.expose()))
    }

    /// The files of the workspace that hold them: `.env` with the variables, if there are any, and
    /// one for each file.
    pub fn files(&self) -> BTreeMap<String, String> {
        let mut files: BTreeMap<_, _> =
            self.of(Kind::File).map(|(path, text)| (path.to_owned(), text.to_owned())).collect();
        let text = super::env_file::write(self.of(Kind::Variable));
        if !text.is_empty() {
            files.insert(ENV_FILE.to_owned(), text);
        }
        files
    }
}

/// Long runs of letters, digits and what keys are written with, that have both.
fn tokens(text: &str) -> impl Iterator<Item = &str> {
    let plain = |char: char| char.is_ascii_alphanumeric() || "_-+/=.~".contains(char);
    let parts = text.split(move |char: char| !plain(char));
    parts.filter(|part| {
        part.len() >= TOKEN_BYTES_MIN
            && part.contains(|char: char| char.is_ascii_digit())
            && part.contains(|char: char| char.is_ascii_alphabetic())
    })
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.given.keys()).finish()
    }
}

/// A credential as it may be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// What becomes of it.
    pub kind: Kind,
    /// When it was set.
    pub updated_at: chrono::DateTime<chrono::Utc>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_a_variable_from_a_file() {
        let kind = |text: &str| text.parse::<CredentialName>().map(|name| name.kind());
        assert_eq!(kind("API_KEY"), Ok(Kind::Variable));
        assert_eq!(kind("_x9"), Ok(Kind::Variable));
        assert_eq!(kind(".mcp.json"), Ok(Kind::File));
        assert_eq!(kind("config/service.json"), Ok(Kind::File));
    }

    #[test]
    fn names_that_would_do_harm_are_refused() {
        let refused = |text: &str| text.parse::<CredentialName>().unwrap_err();
        for text in ["", "9X", "A-B", "A B", "Ä", "a\nb.c", &"X".repeat(129)] {
            assert_eq!(refused(text), InvalidName::Form, "{text:?}");
        }
        for text in ["../x", "/etc/passwd", "a/../b", "a//b", "./x", "a/", ".", ".."] {
            assert_eq!(refused(text), InvalidName::Path, "{text:?}");
        }
        for text in ["PATH", "HOME", "LD_PRELOAD", "TRINITY_TOKEN"] {
            assert_eq!(refused(text), InvalidName::Reserved, "{text:?}");
        }
        assert_eq!(refused(".env"), InvalidName::EnvFile);
    }

    #[test]
    fn of_a_file_only_what_may_be_a_secret_is_masked() {
        let text =
            r#"{"type": "service", "private_key": "-----BEGIN KEY-----\nMIIEv0123456789ab\n"}"#;
        let name = |text: &str| text.parse::<CredentialName>().unwrap();
        let given = BTreeMap::from([
            (name("A"), SecretText::from("short".to_owned())),
            (name("a.json"), SecretText::from(text.to_owned())),
        ]);
        let api_key = Some(SecretText::from("trinity_mcp_x".to_owned()));
        let credentials = Credentials { given, api_key };
        let masked: Vec<_> = credentials.masked().collect();
        assert_eq!(masked, ["trinity_mcp_x", "short", "nMIIEv0123456789ab"]);
        assert!(!credentials.names().contains(API_KEY_VARIABLE), "nobody gave it that one");
        assert!(!credentials.files()[ENV_FILE].contains("trinity_mcp_x"));
    }

    #[test]
    fn nothing_that_is_printed_holds_a_value() {
        let name: CredentialName = "API_KEY".parse().unwrap();
        let value = SecretText::from("hunter2-hunter2".to_owned());
        let given = BTreeMap::from([(name.clone(), value.clone())]);
        let credentials = Credentials { given, api_key: Some(value.clone()) };
        let changes = Changes::from([(name, Some(value))]);
        let text = format!("{credentials:?} {changes:?}");
        assert!(text.contains("API_KEY") && !text.contains("hunter2"), "{text}");
    }
}
