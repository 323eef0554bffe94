//! Files of the workspace, as they are listed, read, written and removed from outside.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{InvalidRequest, REQUEST_BYTES_MAX, path_is_below};

/// How many bytes a file that is written may have.
pub const FILE_BYTES_MAX: usize = REQUEST_BYTES_MAX;

/// How many entries of a folder one answer holds.
pub const FILE_ENTRIES_MAX: usize = 1_000;

/// Lists a folder page by page, or shows a file: `GET /files`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilesQuery {
    /// Which, below the workspace; the workspace itself when empty.
    #[serde(default)]
    pub path: String,
    /// The name after which the page begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// The most entries to answer with, at most [`FILE_ENTRIES_MAX`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}

/// Names one file, and how it must be: `GET`, `PUT` and `DELETE /files/content`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileQuery {
    /// Which, below the workspace.
    pub path: String,
    /// Only if it is one of these versions, as the HTTP header of this name lists them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub if_match: Option<String>,
    /// Only if it is none of these versions; `*` means that it must not be there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub if_none_match: Option<String>,
    /// Removes a folder with everything in it.
    #[serde(default)]
    pub recursive: bool,
}

/// What a path of the workspace names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Where, below the workspace; empty for the workspace itself.
    pub path: String,
    /// What it is.
    pub kind: FileKind,
    /// How long its content is.
    pub size_bytes: u64,
    /// When its content last changed.
    pub modified_at: DateTime<Utc>,
    /// Its version, quoted as HTTP has it; another one after every change.
    pub etag: String,
    /// Whether it holds credentials and is neither read nor changed from outside.
    pub holds_credentials: bool,
}

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileKind {
    /// A plain file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link.
    Link,
    /// A device, a socket or a pipe, or what has a name that is no UTF-8.
    Other,
}

/// One page of a folder, by name; no entries when the path names no folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilePage {
    /// What the path names.
    pub entry: FileEntry,
    /// What is in it.
    pub entries: Vec<FileEntry>,
    /// The name after which the next page begins, if there is one.
    pub next: Option<String>,
}

impl FilesQuery {
    /// Checks the path.
    ///
    /// # Errors
    /// When it could lead out of the workspace.
    pub fn validate(&self) -> Result<(), InvalidRequest> {
        if self.path.is_empty() { Ok(()) } else { check_path(&self.path) }
    }
}

impl FileQuery {
    /// Checks the path.
    ///
    /// # Errors
    /// When it could lead out of the workspace, or names the workspace itself.
    pub fn validate(&self) -> Result<(), InvalidRequest> {
        check_path(&self.path)
    }

    /// Tells whether the conditions hold for the version that is there, or for none.
    pub fn allows(&self, current: Option<&str>) -> bool {
        let is_listed = |tags: &str| current.is_some_and(|etag| lists(tags, etag));
        self.if_match.as_deref().is_none_or(is_listed)
            && !self.if_none_match.as_deref().is_some_and(is_listed)
    }
}

fn check_path(path: &str) -> Result<(), InvalidRequest> {
    if path_is_below(path) {
        return Ok(());
    }
    let text =
        format!("{path:?} is no path below the workspace: it is relative, without `.` and `..`");
    Err(InvalidRequest(text))
}

fn lists(tags: &str, etag: &str) -> bool {
    tags.split(',').map(str::trim).any(|tag| tag == "*" || tag == etag)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(if_match: Option<&str>, if_none_match: Option<&str>) -> FileQuery {
        FileQuery {
            path: "a".into(),
            if_match: if_match.map(str::to_owned),
            if_none_match: if_none_match.map(str::to_owned),
            recursive: false,
        }
    }

    #[test]
    fn conditions_are_those_of_http() {
        let table = [
            (None, None, [true, true]),
            (Some("\"1\""), None, [false, true]),
            (Some("\"0\", \"1\""), None, [false, true]),
            (Some("\"0\""), None, [false, false]),
            (Some("1"), None, [false, false]),
            (Some(""), None, [false, false]),
            (Some("*"), None, [false, true]),
            (None, Some("*"), [true, false]),
            (None, Some("\"0\""), [true, true]),
        ];
        for (if_match, if_none_match, [absent, present]) in table {
            let query = query(if_match, if_none_match);
            assert_eq!(query.allows(None), absent, "{query:?}");
            assert_eq!(query.allows(Some("\"1\"")), present, "{query:?}");
        }
    }

    #[test]
    fn only_a_list_may_be_of_the_workspace_itself() {
        assert_eq!(FilesQuery::default().validate(), Ok(()));
        assert!(FileQuery::default().validate().is_err());
        for path in ["../x", "/etc/passwd", "a/../../b", "a//b", "."] {
            let list = FilesQuery { path: path.into(), ..FilesQuery::default() };
            assert!(list.validate().is_err(), "{path}");
        }
    }
}
