//! The state folder of an agent server.
//!
//! ```text
//! server.json                     which process serves, or last did, and where it listens
//! lock                            held by the one agent server that serves this folder
//! successor                       a pipe: where the next one asks for the lock, in containers
//! executions/<id>/request.json    that this epoch was accepted; durable before anything starts
//! executions/<id>/lock            held by the runner while it lives
//! executions/<id>/out.ndjson      the numbered output
//! executions/<id>/exit.json       how it ended, the final status
//! tombstones/<id>.json            an epoch that will never start (again)
//! kept-files.json                 which files of the workspace the platform keeps, not what
//! trash/                          folders being removed
//! ```
//! No file holds an environment, standard input or a file of a run.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use trinity_agent_protocol::{ExecutionStatus, Isolation, execution_id_is_valid};

use crate::processes::ProcessIdentity;

/// The file in a state folder that holds the [`ServerRecord`] of its agent server.
const SERVER_FILE: &str = "server.json";

/// The file in a state folder that lists the files of the workspace which the platform keeps.
const KEPT_FILES_FILE: &str = "kept-files.json";

/// Which process serves a state folder, or last did, and where it listens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerRecord {
    /// The process.
    #[serde(flatten)]
    pub process: ProcessIdentity,
    /// Its unix socket.
    pub socket: PathBuf,
    /// What a connection must say first, if anything: see [`crate::TOKEN_BYTES`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// What is in force for its runs; a record of before says nothing, and nothing was.
    #[serde(default)]
    pub isolation: Isolation,
}

impl ServerRecord {
    /// Reads the record of a state folder; `None` before its agent server was first started.
    pub fn read(state: &Path) -> io::Result<Option<Self>> {
        optional(read_json(&state.join(SERVER_FILE)))
    }
}

/// The state folder of one agent server.
#[derive(Debug, Clone)]
pub(crate) struct State {
    root: PathBuf,
}

/// What is kept of a start request.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct RequestRecord {
    pub epoch: u64,
    pub program: String,
    pub timeout_ms: u64,
    pub grace_ms: u64,
    pub deadline: DateTime<Utc>,
    pub accepted_at: DateTime<Utc>,
}

/// An epoch that will never start (again).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tombstone {
    pub epoch: u64,
    /// From then on a late start is refused by its deadline anyway.
    pub expires_at: DateTime<Utc>,
}

/// The files of one execution.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ExecutionFolder(PathBuf);

impl State {
    /// Makes what is missing and empties the trash.
    pub(crate) fn open(root: &Path) -> io::Result<Self> {
        let state = Self { root: root.to_owned() };
        for folder in ["executions", "tombstones", "trash"] {
            create_private_folder(&root.join(folder))?;
        }
        for entry in fs::read_dir(root.join("trash"))? {
            fs::remove_dir_all(entry?.path())?;
        }
        Ok(state)
    }

    /// Takes the folder for this process; fails with `WouldBlock` when another one has it.
    pub(crate) fn lock(root: &Path) -> io::Result<File> {
        create_private_folder(root)?;
        lock_file(&root.join("lock"))
    }

    pub(crate) fn write_server(&self, record: &ServerRecord) -> io::Result<()> {
        write_durable(&self.root, SERVER_FILE, record)
    }

    /// The files of the workspace that the platform keeps, or may, and whether each is secret.
    pub(crate) fn kept_paths(&self) -> io::Result<BTreeMap<String, bool>> {
        Ok(optional(read_json(&self.root.join(KEPT_FILES_FILE)))?.unwrap_or_default())
    }

    pub(crate) fn write_kept_paths(&self, paths: &BTreeMap<String, bool>) -> io::Result<()> {
        write_durable(&self.root, KEPT_FILES_FILE, paths)
    }

    pub(crate) fn execution(&self, id: &str) -> ExecutionFolder {
        ExecutionFolder(self.root.join("executions").join(id))
    }

    /// Lists the ids that have a folder. Foreign names are ignored.
    pub(crate) fn execution_ids(&self) -> io::Result<Vec<String>> {
        list_names(&self.root.join("executions"))
    }

    /// Makes the folder of an accepted execution, durable before it returns.
    ///
    /// The exclusive `mkdir` is the fence: of two starts only one gets past it.
    pub(crate) fn accept(&self, id: &str, record: &RequestRecord) -> io::Result<ExecutionFolder> {
        let folder = self.execution(id);
        DirBuilder::new().mode(0o700).create(&folder.0)?;
        let durable = write_durable(&folder.0, "request.json", record)
            .and_then(|()| sync_folder(&self.root.join("executions")));
        if let Err(error) = durable {
            // Nothing was started, so nothing may stay behind that looks as if it had been.
            let _ = fs::remove_dir_all(&folder.0);
            return Err(error);
        }
        Ok(folder)
    }

    /// Removes the folder of an execution, in one step for whoever looks.
    pub(crate) fn remove(&self, id: &str) -> io::Result<()> {
        let folder = self.execution(id).0;
        let trash = self.root.join("trash").join(format!("{id}.{}", uuid::Uuid::new_v4()));
        match fs::rename(&folder, &trash) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            other => other?,
        }
        sync_folder(&self.root.join("executions"))?;
        fs::remove_dir_all(trash)
    }

    pub(crate) fn tombstones(&self) -> io::Result<Vec<(String, Tombstone)>> {
        let folder = self.root.join("tombstones");
        let mut found = Vec::new();
        for entry in fs::read_dir(&folder)? {
            let name = entry?.file_name();
            let Some(id) = name.to_str().and_then(|name| name.strip_suffix(".json")) else {
                continue;
            };
            if execution_id_is_valid(id) {
                found.push((id.to_owned(), read_json(&folder.join(&name))?));
            }
        }
        Ok(found)
    }

    pub(crate) fn bury(&self, id: &str, tombstone: &Tombstone) -> io::Result<()> {
        write_durable(&self.root.join("tombstones"), &format!("{id}.json"), tombstone)
    }

    pub(crate) fn unbury(&self, id: &str) -> io::Result<()> {
        match fs::remove_file(self.root.join("tombstones").join(format!("{id}.json"))) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }
}

impl ExecutionFolder {
    pub(crate) fn output_path(&self) -> PathBuf {
        self.0.join("out.ndjson")
    }

    /// Reads what was accepted, or `None` when the folder was left before that was durable.
    pub(crate) fn request(&self) -> io::Result<Option<RequestRecord>> {
        optional(read_json(&self.0.join("request.json")))
    }

    pub(crate) fn exit(&self) -> io::Result<Option<ExecutionStatus>> {
        optional(read_json(&self.0.join("exit.json")))
    }

    pub(crate) fn write_exit(&self, status: &ExecutionStatus) -> io::Result<()> {
        write_durable(&self.0, "exit.json", status)
    }

    /// Takes the folder for the runner; fails with `WouldBlock` while a runner has it.
    pub(crate) fn lock(&self) -> io::Result<File> {
        lock_file(&self.0.join("lock"))
    }

    pub(crate) fn create_output(&self) -> io::Result<File> {
        private_file().append(true).create_new(true).open(self.output_path())
    }

    /// Cuts a torn last line off the output and tells what is left: the last number, the bytes.
    pub(crate) fn repair_output(&self) -> io::Result<(u64, u64)> {
        let file = match OpenOptions::new().read(true).write(true).open(self.output_path()) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok((0, 0)),
            other => other?,
        };
        let mut reader = BufReader::with_capacity(1 << 20, &file);
        let (mut lines, mut bytes) = (0, 0);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line)? > 0 && line.last() == Some(&b'\n') {
            lines += 1;
            bytes += line.len() as u64;
            line.clear();
        }
        file.set_len(bytes)?;
        file.sync_all()?;
        Ok((lines, bytes))
    }
}

/// Tells whether a runner still lives below a state folder.
///
/// After its agent server was killed, a runner goes on until its run is stopped and swept.
pub fn runner_lives(state: &Path) -> io::Result<bool> {
    let executions = state.join("executions");
    let ids = match list_names(&executions) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        other => other?,
    };
    for id in ids {
        match ExecutionFolder(executions.join(id)).lock() {
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(false)
}

/// Makes a folder that only its owner can enter, with what is missing above it.
pub(crate) fn create_private_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

fn private_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(0o600);
    options
}

fn lock_file(path: &Path) -> io::Result<File> {
    let file = private_file().read(true).write(true).create(true).truncate(false).open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(ErrorKind::WouldBlock.into()),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Writes a file so that after a power cut it is there as a whole or not at all.
fn write_durable(folder: &Path, name: &str, value: &impl Serialize) -> io::Result<()> {
    let temporary = folder.join(format!("{name}.new"));
    let mut file = private_file().write(true).create(true).truncate(true).open(&temporary)?;
    file.write_all(&serde_json::to_vec(value)?)?;
    file.sync_all()?;
    fs::rename(&temporary, folder.join(name))?;
    sync_folder(folder)
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

fn read_json<T: DeserializeOwned>(path: &Path) -> io::Result<T> {
    Ok(serde_json::from_slice(&fs::read(path)?)?)
}

fn optional<T>(read: io::Result<T>) -> io::Result<Option<T>> {
    match read {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn list_names(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        if let Some(name) = entry?.file_name().to_str().filter(|name| execution_id_is_valid(name)) {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> RequestRecord {
        RequestRecord {
            epoch: 1,
            program: "true".into(),
            timeout_ms: 1,
            grace_ms: 1,
            deadline: DateTime::UNIX_EPOCH,
            accepted_at: DateTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn of_two_accepts_only_one_gets_past_the_fence() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::open(folder.path()).unwrap();
        state.accept("x", &record()).unwrap();
        let second = state.accept("x", &record()).unwrap_err();
        assert_eq!(second.kind(), ErrorKind::AlreadyExists);
        assert!(state.execution("x").request().unwrap().is_some());
    }

    #[test]
    fn a_torn_last_line_is_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::open(folder.path()).unwrap();
        let execution = state.accept("x", &record()).unwrap();
        fs::write(execution.output_path(), b"{1}\n{2}\n{3").unwrap();
        assert_eq!(execution.repair_output().unwrap(), (2, 8));
        assert_eq!(fs::read(execution.output_path()).unwrap(), b"{1}\n{2}\n");
    }

    #[test]
    fn a_locked_folder_refuses_a_second_owner() {
        let folder = tempfile::tempdir().unwrap();
        let held = State::lock(folder.path()).unwrap();
        assert_eq!(State::lock(folder.path()).unwrap_err().kind(), ErrorKind::WouldBlock);
        drop(held);
        State::lock(folder.path()).unwrap();
    }
}
