//! What an agent's volume begins with, as the archive that the engine unpacks into it.

use std::collections::BTreeMap;
use std::io;

use tar::{Builder, EntryType, Header};

use super::container::AGENT_UID;

/// Passed through and listed by the agent's own user alone.
const FOLDER_MODE: u32 = 0o700;

const FILE_MODE: u32 = 0o600;

/// Below the volume: what says that the rest is complete. No run can make or remove it, because the
/// root of the volume belongs to root.
pub(super) const MADE: &str = ".made";

/// The folders of an agent, and the files its workspace begins with.
pub(super) fn first(
    folders: &[&str],
    workspace_files: &BTreeMap<String, String>,
) -> io::Result<Vec<u8>> {
    let mut archive = Builder::new(Vec::new());
    for folder in folders {
        let mut header = header(EntryType::Directory, FOLDER_MODE, 0, AGENT_UID);
        archive.append_data(&mut header, format!("{folder}/"), io::empty())?;
    }
    for (name, content) in workspace_files {
        let bytes = content.as_bytes();
        let mut header = header(EntryType::Regular, FILE_MODE, bytes.len(), AGENT_UID);
        archive.append_data(&mut header, format!("workspace/{name}"), bytes)?;
    }
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
