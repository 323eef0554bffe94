//! Files of the workspace, which its agent fills as it likes.
//!
//! A path is walked part by part from the workspace, each part opened as a folder and no link
//! followed: whatever the agent has put there, nothing outside is touched.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open, openat, renameat};
use nix::sys::stat::{Mode, mkdirat};
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchown, unlinkat};

/// The rights of a file that holds credentials.
const PRIVATE_FILE: Mode = Mode::S_IRUSR.union(Mode::S_IWUSR);
/// The rights of a folder that is made for one.
const PRIVATE_FOLDER: Mode = PRIVATE_FILE.union(Mode::S_IXUSR);
/// A folder, and neither a link to one nor anything else.
const FOLDER: OFlag =
    OFlag::O_RDONLY.union(OFlag::O_DIRECTORY).union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);

/// The workspace of one agent.
#[derive(Debug)]
pub(crate) struct Workspace {
    root: OwnedFd,
    /// Whose its files are; this process's own when absent.
    owner: Option<u32>,
}

impl Workspace {
    pub(crate) fn open(path: &Path, owner: Option<u32>) -> io::Result<Self> {
        // The platform made it: only what is in it is the agent's.
        let root = open(path, FOLDER, Mode::empty())?;
        Ok(Self { root, owner })
    }

    /// Writes a file that only its owner reads, in one piece; whatever had its name is replaced.
    ///
    /// `path` must be below the workspace by its text.
    pub(crate) fn write_private(&self, path: &str, content: &[u8]) -> io::Result<()> {
        let (folder, name) = self.folder(path, Missing::Make)?;
        let fresh = format!(".{name}.trinity-new");
        remove(&folder, &fresh)?;
        let exclusive = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
        let mut file = File::from(openat(&folder, fresh.as_str(), exclusive, PRIVATE_FILE)?);
        let written = self
            .give(&file)
            .and_then(|()| file.write_all(content))
            .and_then(|()| Ok(renameat(&folder, fresh.as_str(), &folder, name)?));
        if written.is_err() {
            remove(&folder, &fresh)?;
        }
        written
    }

    /// Removes a file or a link, not what it leads to. Removing what is gone is a no-op.
    pub(crate) fn remove(&self, path: &str) -> io::Result<()> {
        match self.folder(path, Missing::Fail) {
            Ok((folder, name)) => remove(&folder, name),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The folder that a path's last part is in, and that part.
    fn folder<'p>(&self, path: &'p str, missing: Missing) -> io::Result<(OwnedFd, &'p str)> {
        let (folders, name) = path.rsplit_once('/').unwrap_or(("", path));
        let mut folder = self.root.try_clone()?;
        for part in folders.split('/').filter(|part| !part.is_empty()) {
            folder = match openat(&folder, part, FOLDER, Mode::empty()) {
                Err(Errno::ENOENT) if missing == Missing::Make => {
                    mkdirat(&folder, part, PRIVATE_FOLDER)?;
                    let made = openat(&folder, part, FOLDER, Mode::empty())?;
                    self.give(&made)?;
                    made
                }
                opened => opened?,
            };
        }
        Ok((folder, name))
    }

    fn give(&self, file: impl AsFd) -> io::Result<()> {
        let Some(owner) = self.owner else { return Ok(()) };
        Ok(fchown(file, Some(Uid::from_raw(owner)), Some(Gid::from_raw(owner)))?)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Missing {
    Make,
    Fail,
}

fn remove(folder: &OwnedFd, name: &str) -> io::Result<()> {
    match unlinkat(folder, name, UnlinkatFlags::NoRemoveDir) {
        Err(Errno::ENOENT) | Ok(()) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn fixture() -> (tempfile::TempDir, Workspace) {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("workspace")).unwrap();
        fs::create_dir(dir.path().join("outside")).unwrap();
        fs::write(dir.path().join("outside/file"), "theirs").unwrap();
        let workspace = Workspace::open(&dir.path().join("workspace"), None).unwrap();
        (dir, workspace)
    }

    #[test]
    fn a_file_is_private_whole_and_replaced() {
        let (dir, workspace) = fixture();
        workspace.write_private("a/b/.key", b"one").unwrap();
        workspace.write_private("a/b/.key", b"two").unwrap();
        let path = dir.path().join("workspace/a/b/.key");
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(dir.path().join("workspace/a/b")).unwrap().count(), 1);
        workspace.remove("a/b/.key").unwrap();
        workspace.remove("a/b/.key").unwrap();
        workspace.remove("nowhere/x").unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn no_link_leads_out_of_the_workspace() {
        let (dir, workspace) = fixture();
        let inside = dir.path().join("workspace");
        symlink(dir.path().join("outside"), inside.join("folder")).unwrap();
        symlink(dir.path().join("outside/file"), inside.join(".env")).unwrap();
        symlink(dir.path().join("outside/file"), inside.join("..env.trinity-new")).unwrap();
        assert!(workspace.write_private("folder/file", b"secret").is_err());
        assert!(workspace.remove("folder/file").is_err());
        workspace.write_private(".env", b"secret").unwrap();
        assert_eq!(fs::read(dir.path().join("outside/file")).unwrap(), b"theirs");
        assert_eq!(fs::read(inside.join(".env")).unwrap(), b"secret");
        assert!(!fs::symlink_metadata(inside.join(".env")).unwrap().is_symlink());
    }

    #[test]
    fn what_is_in_the_way_is_said_and_nothing_is_left() {
        let (dir, workspace) = fixture();
        fs::create_dir(dir.path().join("workspace/.env")).unwrap();
        fs::write(dir.path().join("workspace/plain"), "x").unwrap();
        assert!(workspace.write_private(".env", b"secret").is_err());
        assert!(workspace.write_private("plain/.env", b"secret").is_err());
        assert_eq!(fs::read_dir(dir.path().join("workspace")).unwrap().count(), 2);
    }
}
