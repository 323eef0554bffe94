//! The files of the workspace that hold credentials.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::InvalidRequest;

/// How many files an agent's credentials have at most.
pub const CREDENTIAL_FILES_MAX: usize = 256;
/// How many bytes a path has at most.
const PATH_BYTES_MAX: usize = 1024;

/// Writes the files that hold credentials, and removes those of an earlier call that are not
/// among them: `PUT /credentials`.
///
/// Each gets the user of the agent's runs and mode 0600. Repeating it writes the same files again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CredentialFiles {
    /// All of them.
    pub files: Vec<CredentialFile>,
}

/// One file that holds credentials.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CredentialFile {
    /// Where, below the workspace: a relative path without `.` and `..`.
    pub path: String,
    /// The content, which is secret.
    pub content: String,
}

impl fmt::Debug for CredentialFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} bytes)", self.path, self.content.len())
    }
}

impl CredentialFiles {
    /// Checks every bound.
    ///
    /// # Errors
    /// For too many files, and for a path that is not below the workspace.
    pub fn validate(&self) -> Result<(), InvalidRequest> {
        if self.files.len() > CREDENTIAL_FILES_MAX {
            return Err(InvalidRequest(format!("at most {CREDENTIAL_FILES_MAX} files")));
        }
        match self.files.iter().find(|file| !path_is_below(&file.path)) {
            Some(file) => Err(InvalidRequest(format!(
                "{:?} is no path below the workspace: it is relative, without `.` and `..`",
                file.path
            ))),
            None => Ok(()),
        }
    }
}

/// Tells whether a path is relative and names something below the folder it starts in.
pub fn path_is_below(path: &str) -> bool {
    let plain = |part: &str| !part.is_empty() && part != "." && part != "..";
    path.len() <= PATH_BYTES_MAX && !path.contains('\0') && path.split('/').all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stays_below_the_workspace() {
        for good in [".env", "config/a.json", "..x", "a b"] {
            assert!(path_is_below(good), "{good:?}");
        }
        for bad in
            ["", "/etc/passwd", "../x", "a/../b", "a//b", "a/", ".", "a\0", &"x".repeat(1025)]
        {
            assert!(!path_is_below(bad), "{bad:?}");
        }
    }

    #[test]
    fn debug_shows_no_content() {
        let file = CredentialFile { path: ".env".into(), content: "KEY=hunter2".into() };
        let files = CredentialFiles { files: vec![file] };
        assert_eq!(files.validate(), Ok(()));
        assert_eq!(format!("{files:?}"), "CredentialFiles { files: [.env (11 bytes)] }");
    }
}
