//! The request that starts an execution, and its bounds.

use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::{GRACE_MS_DEFAULT, GRACE_MS_MAX, TIMEOUT_MS_MAX, path_is_below};

/// How many bytes an execution id may have.
const ID_BYTES_MAX: usize = 64;

/// How many files a run may bring along.
const FILES_MAX: usize = 64;

/// How many folders of the workspace a run may be held to.
const WRITABLE_FOLDERS_MAX: usize = 256;

/// How many bytes the name of a file may have.
const FILE_NAME_BYTES_MAX: usize = 128;

/// Starts an execution: `PUT /executions/{id}`.
///
/// 201 the first time, 200 when this epoch is here already, 409 when it will never start, 422 when
/// it no longer fits before the deadline, 503 when the process could not be started.
///
/// Environment, standard input and files are secrets: they are given to the process and never
/// written to the state folder, and `Debug` leaves them out.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartRequest {
    /// Which attempt at the execution this is, from 1.
    pub epoch: u64,
    /// The program, looked up in the `PATH` of `env`, and its arguments. Never given to a shell.
    pub argv: Vec<String>,
    /// The whole environment; only `TRINITY_EXECUTION_ID` is added.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// What the process reads from its standard input, which is closed after it.
    #[serde(default)]
    pub stdin: String,
    /// Files that exist while the run lasts.
    #[serde(default)]
    pub files: Vec<FileSpec>,
    /// Texts that are taken out of the output before it is stored; see [`crate::Masks`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub masked: Vec<String>,
    /// The working directory; the agent's workspace when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// After this time the run is stopped.
    pub timeout_ms: u64,
    /// The time between SIGINT and SIGKILL.
    #[serde(default = "grace_ms_default")]
    pub grace_ms: u64,
    /// When the slot expires. The run must fit before it: `now + timeout + grace <= deadline`.
    pub deadline: DateTime<Utc>,
    /// The user to run as; that of the agent's runs when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// The group to run as; that of the agent's runs when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gid: Option<u32>,
    /// Lets the run gain rights by set-user-id programs such as `sudo`; off unless asked for.
    ///
    /// A process that gained rights may be out of reach of SIGKILL, so the run's end can hang. Refused
    /// where Landlock confines the run: the kernel allows that only without new rights.
    #[serde(default)]
    pub allow_new_privileges: bool,
    /// The only folders of the workspace that the run may change beside its HOME, as paths below it; they
    /// are made when missing. Everything may be changed when absent.
    ///
    /// Only an agent server that says so in [`crate::Info::restricts_writes`] holds a run to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub writable_folders: Option<Vec<String>>,
}

fn grace_ms_default() -> u64 {
    GRACE_MS_DEFAULT
}

/// A file that exists while a run lasts, as `<files>/<execution id>/<name>`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileSpec {
    /// A plain name, no path.
    pub name: String,
    /// The content.
    pub content: String,
    /// The permission bits; 0600 when absent.
    #[serde(default = "file_mode_default")]
    pub mode: u32,
}

fn file_mode_default() -> u32 {
    0o600
}

/// Why a start request cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidRequest(pub String);

impl fmt::Display for InvalidRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for InvalidRequest {}

impl StartRequest {
    /// Checks every bound that needs no clock.
    pub fn validate(&self) -> Result<(), InvalidRequest> {
        let invalid = |text: String| Err(InvalidRequest(text));
        if self.epoch == 0 {
            return invalid("epoch starts at 1".into());
        }
        if self.argv.first().is_none_or(String::is_empty) {
            return invalid("argv must name a program".into());
        }
        if self.timeout_ms == 0 || self.timeout_ms > TIMEOUT_MS_MAX {
            return invalid(format!("timeout_ms must be 1 to {TIMEOUT_MS_MAX}"));
        }
        if self.grace_ms > GRACE_MS_MAX {
            return invalid(format!("grace_ms must be at most {GRACE_MS_MAX}"));
        }
        if self.argv.iter().any(|argument| argument.contains('\0')) {
            return invalid("an argument holds a NUL byte".into());
        }
        let bad_name = |name: &String| name.is_empty() || name.contains(['=', '\0']);
        if self.env.iter().any(|(name, value)| bad_name(name) || value.contains('\0')) {
            return invalid("a variable has an empty name, '=' in its name or a NUL byte".into());
        }
        if self.cwd.as_ref().is_some_and(|cwd| !cwd.starts_with('/') || cwd.contains('\0')) {
            return invalid("cwd must be an absolute path".into());
        }
        let folders = self.writable_folders.iter().flatten();
        if folders.clone().count() > WRITABLE_FOLDERS_MAX {
            return invalid(format!("at most {WRITABLE_FOLDERS_MAX} writable folders"));
        }
        if let Some(folder) = folders.clone().find(|folder| !path_is_below(folder)) {
            return invalid(format!("{folder:?} is no folder below the workspace"));
        }
        self.validate_files()
    }

    fn validate_files(&self) -> Result<(), InvalidRequest> {
        if self.files.len() > FILES_MAX {
            return Err(InvalidRequest(format!("at most {FILES_MAX} files")));
        }
        for (index, file) in self.files.iter().enumerate() {
            let plain = !file.name.starts_with('.') && !file.name.contains(['/', '\0']);
            if file.name.is_empty() || file.name.len() > FILE_NAME_BYTES_MAX || !plain {
                return Err(InvalidRequest(format!("file {index} needs a plain name")));
            }
            if self.files[..index].iter().any(|other| other.name == file.name) {
                return Err(InvalidRequest(format!("two files are named {}", file.name)));
            }
        }
        Ok(())
    }

    /// Tells whether the run can end before its deadline when it starts at `now`.
    pub fn fits_before_deadline(&self, now: DateTime<Utc>) -> bool {
        let needed_ms = self.timeout_ms.saturating_add(self.grace_ms);
        let needed = TimeDelta::milliseconds(i64::try_from(needed_ms).unwrap_or(i64::MAX));
        self.deadline.signed_duration_since(now) >= needed
    }
}

impl fmt::Debug for StartRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StartRequest")
            .field("epoch", &self.epoch)
            .field("program", &self.argv.first())
            .field("arguments", &self.argv.len().saturating_sub(1))
            .field("env", &format_args!("{:?} (values left out)", self.env.keys()))
            .field("stdin_bytes", &self.stdin.len())
            .field("files", &self.files)
            .field("masked", &self.masked.len())
            .field("cwd", &self.cwd)
            .field("timeout_ms", &self.timeout_ms)
            .field("grace_ms", &self.grace_ms)
            .field("deadline", &self.deadline)
            .field("uid", &self.uid)
            .field("gid", &self.gid)
            .field("allow_new_privileges", &self.allow_new_privileges)
            .field("writable_folders", &self.writable_folders)
            .finish()
    }
}

impl fmt::Debug for FileSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} bytes, {:o})", self.name, self.content.len(), self.mode)
    }
}

/// Tells whether an execution id can be a folder's name: letters, digits, `-` and `_`.
pub fn execution_id_is_valid(id: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    !id.is_empty() && id.len() <= ID_BYTES_MAX && id.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> StartRequest {
        StartRequest {
            epoch: 1,
            argv: vec!["claude".into()],
            env: BTreeMap::from([("API_KEY".into(), "sk-secret".into())]),
            stdin: "the prompt".into(),
            files: vec![FileSpec { name: "mcp.json".into(), content: "{}".into(), mode: 0o600 }],
            masked: vec!["sk-secret".into()],
            cwd: None,
            timeout_ms: 10_000,
            grace_ms: 5_000,
            deadline: DateTime::UNIX_EPOCH + TimeDelta::milliseconds(15_000),
            uid: None,
            gid: None,
            allow_new_privileges: false,
            writable_folders: None,
        }
    }

    #[test]
    fn a_run_fits_until_the_last_millisecond() {
        let request = request();
        assert!(request.fits_before_deadline(DateTime::UNIX_EPOCH));
        let late = DateTime::UNIX_EPOCH + TimeDelta::milliseconds(1);
        assert!(!request.fits_before_deadline(late));
    }

    #[test]
    fn debug_shows_no_secret() {
        let text = format!("{:?}", request());
        assert!(text.contains("API_KEY") && text.contains("mcp.json"));
        assert!(!text.contains("sk-secret") && !text.contains("the prompt"));
    }

    #[test]
    fn bounds_are_refused_by_name() {
        type Spoil = fn(&mut StartRequest);
        let cases: [(&str, Spoil); 8] = [
            ("epoch", |r| r.epoch = 0),
            ("program", |r| r.argv.clear()),
            ("timeout_ms", |r| r.timeout_ms = TIMEOUT_MS_MAX + 1),
            ("grace_ms", |r| r.grace_ms = GRACE_MS_MAX + 1),
            ("NUL", |r| r.argv.push("a\0b".into())),
            ("cwd", |r| r.cwd = Some("relative".into())),
            ("plain name", |r| r.files[0].name = "../escape".into()),
            ("workspace", |r| r.writable_folders = Some(vec!["../out".into()])),
        ];
        assert_eq!(request().validate(), Ok(()));
        for (word, spoil) in cases {
            let mut request = request();
            spoil(&mut request);
            let refusal = request.validate().unwrap_err().to_string();
            assert!(refusal.contains(word), "{refusal}");
        }
    }

    #[test]
    fn an_id_cannot_leave_its_folder() {
        assert!(execution_id_is_valid("0198c0de-0000-7000-8000-000000000000"));
        for bad in ["", ".", "..", "a/b", "a\0", "ä", &"x".repeat(65)] {
            assert!(!execution_id_is_valid(bad), "{bad:?}");
        }
    }

    #[test]
    fn a_short_request_gets_the_defaults() {
        let json =
            r#"{"epoch":1,"argv":["true"],"timeout_ms":1,"deadline":"2030-01-01T00:00:00Z"}"#;
        let request: StartRequest = serde_json::from_str(json).unwrap();
        assert_eq!(request.grace_ms, GRACE_MS_DEFAULT);
        assert!(!request.allow_new_privileges);
    }
}
