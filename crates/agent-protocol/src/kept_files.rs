//! The files of a workspace that the platform keeps as it wants them: credentials and skills.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::InvalidRequest;

/// How many files of an agent the platform keeps at most.
pub const KEPT_FILES_MAX: usize = 4_096;
/// How many bytes all of them have at most.
pub const KEPT_BYTES_MAX: usize = 8 * 1024 * 1024;
/// How many bytes a path has at most.
const PATH_BYTES_MAX: usize = 1024;

/// Writes these files, and removes those of an earlier call that are not among them:
/// `PUT /kept-files`.
///
/// Each gets the user of the agent's runs, who alone can read it. Repeating it writes the same files
/// again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptFiles {
    /// All of them.
    pub files: Vec<KeptFile>,
}

/// One file that the platform keeps.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptFile {
    /// Where, below the workspace: a relative path without `.` and `..`.
    pub path: String,
    /// The content; base64 on the wire.
    #[serde(serialize_with = "write_base64", deserialize_with = "read_base64")]
    pub content: Vec<u8>,
    /// Whether it can be run.
    #[serde(default)]
    pub is_executable: bool,
    /// Whether it is shown to nobody who asks for the files of the workspace.
    pub is_secret: bool,
}

fn write_base64<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&STANDARD.encode(bytes))
}

fn read_base64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let text = String::deserialize(deserializer)?;
    STANDARD.decode(text).map_err(|error| de::Error::custom(format!("no base64: {error}")))
}

impl fmt::Debug for KeptFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} bytes)", self.path, self.content.len())
    }
}

impl KeptFiles {
    /// Checks every bound.
    ///
    /// # Errors
    /// For too many files or bytes, and for a path that is not below the workspace.
    pub fn validate(&self) -> Result<(), InvalidRequest> {
        if self.files.len() > KEPT_FILES_MAX {
            return Err(InvalidRequest(format!("at most {KEPT_FILES_MAX} files")));
        }
        if self.files.iter().map(|file| file.content.len()).sum::<usize>() > KEPT_BYTES_MAX {
            return Err(InvalidRequest(format!("at most {KEPT_BYTES_MAX} bytes in all files")));
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

    fn file(path: &str, content: &[u8]) -> KeptFile {
        KeptFile {
            path: path.into(),
            content: content.into(),
            is_executable: false,
            is_secret: true,
        }
    }

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
    fn every_bound_is_checked() {
        let with = |files| KeptFiles { files }.validate();
        assert_eq!(with(vec![file(".env", b"x"); KEPT_FILES_MAX]), Ok(()));
        assert!(with(vec![file(".env", b"x"); KEPT_FILES_MAX + 1]).is_err());
        assert_eq!(with(vec![file("big", &vec![0; KEPT_BYTES_MAX])]), Ok(()));
        assert!(with(vec![file("big", &vec![0; KEPT_BYTES_MAX + 1])]).is_err());
        assert!(with(vec![file("../x", b"x")]).is_err());
    }

    #[test]
    fn debug_shows_no_content() {
        let files = KeptFiles { files: vec![file(".env", b"KEY=hunter2")] };
        assert_eq!(format!("{files:?}"), "KeptFiles { files: [.env (11 bytes)] }");
    }

    #[test]
    fn any_bytes_survive_the_wire() {
        let files = KeptFiles { files: vec![file("x", &[0, 255, 10])] };
        let json = serde_json::to_string(&files).unwrap();
        assert_eq!(serde_json::from_str::<KeptFiles>(&json).unwrap(), files);
        assert!(serde_json::from_str::<KeptFiles>(&json.replace("AP8K", "?")).is_err());
    }
}
