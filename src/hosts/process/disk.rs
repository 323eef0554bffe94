//! Folders and files of a process host: whose they are, and how they are written and removed.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, lchown};
use std::path::Path;

use crate::hosts::WorkspaceFile;

/// For what belongs to one user alone.
pub(super) const PRIVATE_MODE: u32 = 0o700;

/// For a file that belongs to one user alone.
const PRIVATE_FILE_MODE: u32 = 0o600;

/// Makes a folder of these rights with those that it is in; one that is there stays as it is.
pub(super) fn make_folder(path: &Path, mode: u32) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(mode).create(path)?;
    // Whatever file mode mask this process has.
    fs::set_permissions(path, Permissions::from_mode(mode))
}

/// Writes a file of a workspace that no run has seen yet, with the folders that it is in.
pub(super) fn write_file(path: &Path, file: &WorkspaceFile) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        make_folder(folder, PRIVATE_MODE)?;
    }
    fs::write(path, &file.content)?;
    let mode = if file.is_executable { PRIVATE_MODE } else { PRIVATE_FILE_MODE };
    fs::set_permissions(path, Permissions::from_mode(mode))
}

/// Writes a file that only this user can read, durable and in one piece.
pub(super) fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    let fresh = path.with_extension("new");
    let mut options = OpenOptions::new();
    let mut file =
        options.write(true).create(true).truncate(true).mode(PRIVATE_FILE_MODE).open(&fresh)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&fresh, path)?;
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

pub(super) fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Removes a folder with everything in it, what a run made read-only included.
pub(super) fn remove_tree(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            make_removable(path)?;
            fs::remove_dir_all(path)
        }
        other => other,
    }
}

/// Gives a folder with everything in it to a user and the group of the same number.
///
/// Links themselves are given, never what they lead to.
pub(super) fn give_tree(root: &Path, owner: u32) -> io::Result<()> {
    let mut open = vec![root.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                open.push(entry.path());
            } else {
                lchown(entry.path(), Some(owner), Some(owner))?;
            }
        }
        lchown(&folder, Some(owner), Some(owner))?;
    }
    Ok(())
}

/// Gives back the right to change every folder below; links are not followed.
fn make_removable(root: &Path) -> io::Result<()> {
    let mut open = vec![root.to_owned()];
    while let Some(folder) = open.pop() {
        fs::set_permissions(&folder, Permissions::from_mode(PRIVATE_MODE))?;
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                open.push(entry.path());
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_run_made_read_only_is_removed_too() {
        let root = tempfile::tempdir().unwrap();
        let deep = root.path().join("place/cache/module");
        make_folder(&deep, 0o755).unwrap();
        fs::write(deep.join("file"), "x").unwrap();
        fs::set_permissions(&deep, Permissions::from_mode(0o500)).unwrap();
        fs::set_permissions(root.path().join("place/cache"), Permissions::from_mode(0o000))
            .unwrap();
        make_removable(&root.path().join("place")).unwrap();
        remove_tree(&root.path().join("place")).unwrap();
        assert!(!root.path().join("place").exists());
    }
}
