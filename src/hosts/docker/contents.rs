//! What an agent's volume begins with, as the archive that the engine unpacks into it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use tar::{Builder, EntryType, Header};

use super::container::AGENT_UID;
use crate::hosts::WorkspaceFile;

/// Passed through and listed, or run, by the agent's own user alone.
const FOLDER_MODE: u32 = 0o700;

const FILE_MODE: u32 = 0o600;

/// Below the volume: what says that the rest is complete. No run can make or remove it, because the
/// root of the volume belongs to root.
pub(super) const MADE: &str = ".made";

/// The folders of an agent, and the files its workspace begins with.
pub(super) fn first(
    folders: &[&str],
    workspace_files: &BTreeMap<String, WorkspaceFile>,
) -> io::Result<Vec<u8>> {
    let mut archive = Builder::new(Vec::new());
    for folder in folders {
        let mut header = header(EntryType::Directory, FOLDER_MODE, 0, AGENT_UID);
        archive.append_data(&mut header, format!("{folder}/"), io::empty())?;
    }
    for folder in parents(workspace_files.keys()) {
        let mut header = header(EntryType::Directory, FOLDER_MODE, 0, AGENT_UID);
        archive.append_data(&mut header, format!("workspace/{folder}/"), io::empty())?;
    }
    for (path, WorkspaceFile { content, is_executable }) in workspace_files {
        let mode = if *is_executable { FOLDER_MODE } else { FILE_MODE };
        let mut header = header(EntryType::Regular, mode, content.len(), AGENT_UID);
        let path_in_volume = format!("workspace/{path}");
        // The engine would put the file in the folder's place.
        if folders.contains(&path_in_volume.as_str()) {
            let reason = format!("{path} is a folder of every agent");
            return Err(io::Error::new(io::ErrorKind::IsADirectory, reason));
        }
        archive.append_data(&mut header, path_in_volume, content.as_slice())?;
    }
    archive.into_inner()
}

/// Every folder that one of these paths is in, the outer ones first.
fn parents<'p>(paths: impl Iterator<Item = &'p String>) -> BTreeSet<&'p str> {
    let slashes = |path: &'p String| path.match_indices('/').map(|(at, _)| &path[..at]);
    paths.flat_map(slashes).collect()
}

/// Passed through and executed by everybody, changed by root alone.
const EXECUTABLE_MODE: u32 = 0o755;

/// Below the volume: a link whose target, which is not there, names the agent server beside it.
pub(super) const COPIED: &str = ".agent-server";

/// The agent server for an image that has none.
pub(super) fn agent_server(executable: &[u8]) -> io::Result<Vec<u8>> {
    let mut archive = Builder::new(Vec::new());
    let mut folder = header(EntryType::Directory, EXECUTABLE_MODE, 0, 0);
    archive.append_data(&mut folder, "bin/", io::empty())?;
    let mut file = header(EntryType::Regular, EXECUTABLE_MODE, executable.len(), 0);
    archive.append_data(&mut file, "bin/trinity-agent", executable)?;
    archive.into_inner()
}

/// What says which agent server was copied in as a whole.
pub(super) fn copied(sha256: &str) -> io::Result<Vec<u8>> {
    let mut archive = Builder::new(Vec::new());
    let mut link = header(EntryType::Symlink, FILE_MODE, 0, 0);
    archive.append_link(&mut link, COPIED, sha256)?;
    archive.into_inner()
}

/// What says that the first archive was unpacked as a whole.
pub(super) fn made() -> io::Result<Vec<u8>> {
    let mut archive = Builder::new(Vec::new());
    archive.append_data(&mut header(EntryType::Regular, FILE_MODE, 0, 0), MADE, io::empty())?;
    archive.into_inner()
}

fn header(kind: EntryType, mode: u32, bytes: usize, owner: u32) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(bytes as u64);
    header.set_uid(owner.into());
    header.set_gid(owner.into());
    header
}
