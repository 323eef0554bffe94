//! A folder of plain files, read as a whole.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use crate::hosts::WorkspaceFile;

/// How many files one folder may have.
pub const FILES_MAX: usize = 1_000;
/// How many bytes all files of one folder may have together.
pub const BYTES_MAX: u64 = 16 * 1024 * 1024;
/// How deep folders may be in each other.
pub const DEPTH_MAX: usize = 16;
/// How many folders a library may have.
pub const ENTRIES_MAX: usize = 1_000;

/// What belongs to version control and not to what it keeps.
const GIT_FOLDER: &str = ".git";

/// A folder that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// It cannot be read.
    #[error("cannot read {path}: {source}")]
    Unreadable {
        /// Which file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Something in it is neither a folder nor a plain file.
    #[error("{0} is neither a folder nor a plain file; links are not followed")]
    NotPlain(PathBuf),
    /// A name in it is no text.
    #[error("the name of {0} is no UTF-8")]
    Name(PathBuf),
    /// It is more than a workspace should begin with.
    #[error("{0} has more than {FILES_MAX} files, {BYTES_MAX} bytes or {DEPTH_MAX} levels")]
    TooLarge(PathBuf),
}

impl TreeError {
    pub(super) fn at(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Unreadable { path, source }
    }
}

/// Every file below a folder, by its path there.
pub(super) fn read(folder: &Path) -> Result<BTreeMap<String, WorkspaceFile>, TreeError> {
    let (mut files, mut bytes) = (BTreeMap::new(), 0);
    // One level more than may be, so that what is too deep is said and not left out.
    let walk = WalkDir::new(folder).min_depth(1).max_depth(DEPTH_MAX + 1).sort_by_file_name();
    let walk = walk.into_iter().filter_entry(|entry| entry.file_name() != GIT_FOLDER);
    for entry in walk {
        let entry = entry.map_err(|error| {
            let path = error.path().unwrap_or(folder).to_owned();
            TreeError::Unreadable { path, source: error.into() }
        })?;
        let path = entry.path();
        if entry.depth() > DEPTH_MAX {
            return Err(TreeError::TooLarge(folder.to_owned()));
        }
        if entry.file_type().is_dir() {
            continue;
        }
        if !entry.file_type().is_file() {
            return Err(TreeError::NotPlain(path.to_owned()));
        }
        let below = path.strip_prefix(folder).ok().and_then(Path::to_str);
        let name = below.ok_or_else(|| TreeError::Name(path.to_owned()))?.to_owned();
        let file = read_file(path, BYTES_MAX - bytes)?;
        let file = file.ok_or_else(|| TreeError::TooLarge(folder.to_owned()))?;
        bytes += file.content.len() as u64;
        files.insert(name, file);
        if files.len() > FILES_MAX {
            return Err(TreeError::TooLarge(folder.to_owned()));
        }
    }
    Ok(files)
}

/// A file of so many bytes at most.
fn read_file(path: &Path, bytes_max: u64) -> Result<Option<WorkspaceFile>, TreeError> {
    let file = File::open(path).map_err(TreeError::at(path))?;
    let mode = file.metadata().map_err(TreeError::at(path))?.permissions().mode();
    let mut content = Vec::new();
    file.take(bytes_max + 1).read_to_end(&mut content).map_err(TreeError::at(path))?;
    let is_executable = mode & 0o100 != 0;
    Ok((content.len() as u64 <= bytes_max).then_some(WorkspaceFile { content, is_executable }))
}

/// The names of the folders in a folder, in order, the first [`ENTRIES_MAX`]; none where there is none.
pub(super) fn folders(of: &Path) -> Result<Vec<String>, TreeError> {
    let entries = match fs::read_dir(of) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(TreeError::at(of)(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(TreeError::at(of))?;
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        let name = entry.file_name().into_string().ok();
        names.extend(name.filter(|name| is_folder && is_name(name)));
    }
    names.sort_unstable();
    names.truncate(ENTRIES_MAX);
    Ok(names)
}

/// Tells whether a text can be the name of a template or a skill: 1 to 64 lowercase letters, digits
/// and inner hyphens.
pub(super) fn is_name(text: &str) -> bool {
    let plain = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    (1..=64).contains(&text.len())
        && text.bytes().all(plain)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn every_plain_file_is_read_with_its_right_to_run_and_version_control_is_left_out() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("bin/.git")).unwrap();
        fs::write(dir.path().join("bin/.git/config"), "x").unwrap();
        fs::write(dir.path().join("CLAUDE.md"), "be kind").unwrap();
        fs::write(dir.path().join("bin/run"), b"\xff\x00").unwrap();
        fs::set_permissions(dir.path().join("bin/run"), fs::Permissions::from_mode(0o755)).unwrap();
        let files = read(dir.path()).unwrap();
        assert_eq!(files.keys().collect::<Vec<_>>(), ["CLAUDE.md", "bin/run"]);
        assert_eq!(files["CLAUDE.md"], WorkspaceFile::from("be kind".to_owned()));
        assert_eq!(
            files["bin/run"],
            WorkspaceFile { content: b"\xff\x00".into(), is_executable: true }
        );
    }

    #[test]
    fn links_are_refused_and_so_is_what_is_too_deep_or_too_large() {
        let dir = tempfile::tempdir().unwrap();
        symlink("/etc/passwd", dir.path().join("x")).unwrap();
        assert!(matches!(read(dir.path()), Err(TreeError::NotPlain(_))));
        fs::remove_file(dir.path().join("x")).unwrap();

        let deep: PathBuf = (0..DEPTH_MAX).map(|_| "d").collect();
        fs::create_dir_all(dir.path().join(&deep)).unwrap();
        assert!(read(dir.path()).unwrap().is_empty());
        fs::write(dir.path().join(&deep).join("x"), "x").unwrap();
        assert!(matches!(read(dir.path()), Err(TreeError::TooLarge(_))));
        fs::remove_dir_all(dir.path().join("d")).unwrap();

        let file = File::create(dir.path().join("hole")).unwrap();
        file.set_len(BYTES_MAX).unwrap();
        assert_eq!(read(dir.path()).unwrap()["hole"].content.len() as u64, BYTES_MAX);
        file.set_len(BYTES_MAX + 1).unwrap();
        assert!(matches!(read(dir.path()), Err(TreeError::TooLarge(_))));
    }

    #[test]
    fn only_folders_with_a_plain_name_are_listed() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["b", "a-1", ".hidden", "A", "-x", "x-"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        fs::write(dir.path().join("file"), "x").unwrap();
        symlink("/etc", dir.path().join("link")).unwrap();
        assert_eq!(folders(dir.path()).unwrap(), ["a-1", "b"]);
        assert!(folders(&dir.path().join("nowhere")).unwrap().is_empty());
    }
}
