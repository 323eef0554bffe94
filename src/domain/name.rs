//! Agent names: what a name may be, and what to suggest when it may not.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The longest agent name, in characters: a DNS label, so that it fits a container's host name.
pub const NAME_LENGTH_MAX: usize = 63;

/// The server's own agent, which may call every other.
pub const SYSTEM_AGENT: &str = "trinity-system";

/// Names that would hide a literal path segment under `/api/agents/`, and the server's own agent.
pub const RESERVED: [&str; 2] = [SYSTEM_AGENT, "slots"];

/// A valid agent name: lowercase letters, digits and inner hyphens, 1 to 63 characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AgentName(String);

/// Why a text is not an agent name, with the nearest name that would be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "agent names have 1 to {NAME_LENGTH_MAX} lowercase letters, digits and inner hyphens{}",
    .suggestion.as_ref().map(|name| format!("; try `{name}`")).unwrap_or_default()
)]
pub struct InvalidName {
    /// The sanitized form, when anything usable is left of the text.
    pub suggestion: Option<String>,
}

impl AgentName {
    /// Whether the name belongs to the server and no one may create it.
    pub fn is_reserved(&self) -> bool {
        RESERVED.contains(&self.0.as_str())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn sanitize(text: &str) -> Option<String> {
    let mapped = text.trim().to_lowercase();
    let words: Vec<&str> = mapped
        .split(|c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit()))
        .filter(|word| !word.is_empty())
        .collect();
    let name: String = words.join("-").chars().take(NAME_LENGTH_MAX).collect();
    let name = name.trim_end_matches('-').to_owned();
    (!name.is_empty()).then_some(name)
}

impl FromStr for AgentName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let valid = (1..=NAME_LENGTH_MAX).contains(&text.len())
            && text.chars().all(inner)
            && !text.starts_with('-')
            && !text.ends_with('-');
        if valid {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidName { suggestion: sanitize(text) })
        }
    }
}

impl TryFrom<String> for AgentName {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, InvalidName> {
        text.parse()
    }
}

impl From<AgentName> for String {
    fn from(name: AgentName) -> Self {
        name.0
    }
}

impl fmt::Display for AgentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_dns_labels() {
        for good in ["a", "scout", "agent-1", "0x", &"a".repeat(63)] {
            assert!(good.parse::<AgentName>().is_ok(), "{good}");
        }
        for bad in ["", "-a", "a-", "A", "a_b", "a b", "é", "a\0", &"a".repeat(64)] {
            assert!(bad.parse::<AgentName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_refused_name_comes_with_a_usable_suggestion() {
        let suggestion = |text: &str| text.parse::<AgentName>().unwrap_err().suggestion;
        assert_eq!(suggestion("My Scout!").as_deref(), Some("my-scout"));
        assert_eq!(suggestion("--"), None);
        let long = suggestion(&"ab-".repeat(40)).unwrap();
        assert!(long.parse::<AgentName>().is_ok(), "{long}");
    }
}
