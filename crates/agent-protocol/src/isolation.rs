//! What keeps a run apart from everything that is not its own.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What is in force for the runs of one agent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Isolation {
    /// What stands between the run and the rest of the machine.
    pub kind: IsolationKind,
    /// The user and group of the runs, when it is not that of the agent server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// The version of Landlock that confines the runs as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub landlock_abi: Option<u32>,
}

/// The boundary around a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IsolationKind {
    /// The agent is alone in a container, with no capability and a user that is not root.
    Container,
    /// The agent has a user of its own.
    Uid,
    /// The runs have the agent server's user; Landlock says what they reach.
    Landlock,
    /// Nothing: a run can do what the agent server's user can do.
    #[default]
    None,
}

impl IsolationKind {
    /// Gives the word that is also used on the wire.
    pub fn word(self) -> &'static str {
        match self {
            Self::Container => "container",
            Self::Uid => "uid",
            Self::Landlock => "landlock",
            Self::None => "none",
        }
    }
}

impl fmt::Display for Isolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.word())?;
        let uid = self.uid.map(|uid| format!("user {uid}"));
        let landlock = self.landlock_abi.map(|abi| format!("Landlock ABI {abi}"));
        let parts: Vec<_> = [uid, landlock].into_iter().flatten().collect();
        if parts.is_empty() { Ok(()) } else { write!(f, " ({})", parts.join(", ")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_of_before_says_that_nothing_is_in_force() {
        let isolation: Isolation = serde_json::from_str(r#"{"kind":"none"}"#).unwrap();
        assert_eq!(isolation, Isolation::default());
    }

    #[test]
    fn the_text_names_user_and_landlock() {
        let isolation =
            Isolation { kind: IsolationKind::Uid, uid: Some(200_001), landlock_abi: Some(7) };
        assert_eq!(isolation.to_string(), "uid (user 200001, Landlock ABI 7)");
        assert_eq!(Isolation::default().to_string(), "none");
    }
}
