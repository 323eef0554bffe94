//! Files of the workspace, which its agent fills as it likes.
//!
//! Every path is opened from the workspace on and must stay inside, which the kernel sees to: whatever
//! the agent has put there, nothing outside is touched. What is made is made in folders that were
//! opened one by one, no link among them.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{
    AtFlags, CWD, Dir, Gid, Mode, OFlags, ResolveFlags, Uid, fchmod, fchown, mkdirat, openat,
    openat2, renameat, unlinkat,
};
use rustix::io::Errno;

/// The rights of a file that its owner alone reads.
pub(crate) const PRIVATE_FILE: Mode = Mode::RUSR.union(Mode::WUSR);
/// The rights of one that can be run, and of a folder.
const PRIVATE_FOLDER: Mode = Mode::RWXU;
/// A folder, and neither a link to one nor anything else.
const FOLDER: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
/// How deep in each other folders that are removed may be.
const REMOVED_DEPTH_MAX: usize = 100;

/// The workspace of one agent.
#[derive(Debug)]
pub(crate) struct Workspace {
    root: OwnedFd,
    /// Whose its files are; those of who makes them when absent.
    owner: Option<u32>,
}

/// What is done about folders that are not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    /// They are made.
    Make,
    /// It is an error.
    Fail,
}

impl Workspace {
    pub(crate) fn open(path: &Path, owner: Option<u32>) -> io::Result<Self> {
        // The platform made it: only what is in it is the agent's.
        let root = openat(CWD, path, FOLDER, Mode::empty())?;
        Ok(Self { root, owner })
    }

    /// Writes a file that only its owner reads, in one piece; whatever had its name is replaced.
    ///
    /// `path` must be below the workspace by its text.
    pub(crate) fn write_private(
        &self,
        path: &str,
        content: &[u8],
        is_executable: bool,
    ) -> io::Result<()> {
        let (folder, name) = self.folder(path, Missing::Make)?;
        let mode = if is_executable { PRIVATE_FOLDER } else { PRIVATE_FILE };
        self.put(&folder, name, content, mode).map(drop)
    }

    /// Writes a file of this folder in one piece; whatever had its name is replaced.
    pub(crate) fn put(
        &self,
        folder: &OwnedFd,
        name: &str,
        content: &[u8],
        mode: Mode,
    ) -> io::Result<File> {
        let fresh = format!(".{name}.trinity-new");
        remove(folder, &fresh)?;
        let exclusive = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let mut file = File::from(openat(folder, fresh.as_str(), exclusive, PRIVATE_FILE)?);
        let written = self
            .give(&file)
            .and_then(|()| file.write_all(content))
            // Whatever mask this process has.
            .and_then(|()| Ok(fchmod(&file, mode)?))
            .and_then(|()| file.sync_all())
            .and_then(|()| Ok(renameat(folder, fresh.as_str(), folder, name)?));
        if written.is_err() {
            remove(folder, &fresh)?;
        }
        written.map(|()| file)
    }

    /// Removes a file or a link, not what it leads to, and the folders that are empty then. Removing
    /// what is gone is a no-op.
    pub(crate) fn remove(&self, path: &str) -> io::Result<()> {
        let (folder, name) = match self.folder(path, Missing::Fail) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            found => found?,
        };
        remove(&folder, name)?;
        let mut rest = path;
        while let Some((parent, _)) = rest.rsplit_once('/') {
            let (folder, name) = self.folder(parent, Missing::Fail)?;
            match unlinkat(&folder, name, AtFlags::REMOVEDIR) {
                Ok(()) => rest = parent,
                Err(_in_use) => break,
            }
        }
        Ok(())
    }

    /// Opens what a path leads to, the workspace itself when it is empty.
    ///
    /// # Errors
    /// `EXDEV` when it leads out of the workspace.
    pub(crate) fn open_inside(&self, path: &str, flags: OFlags) -> io::Result<OwnedFd> {
        let path = if path.is_empty() { "." } else { path };
        let inside = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        Ok(openat2(&self.root, path, flags | OFlags::CLOEXEC, Mode::empty(), inside)?)
    }

    /// The folder that a path's last part is in, and that part.
    pub(crate) fn folder<'p>(
        &self,
        path: &'p str,
        missing: Missing,
    ) -> io::Result<(OwnedFd, &'p str)> {
        let (folders, name) = path.rsplit_once('/').unwrap_or(("", path));
        let folder = match self.open_inside(folders, OFlags::RDONLY | OFlags::DIRECTORY) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && missing == Missing::Make => {
                self.make_folders(folders)?
            }
            opened => opened?,
        };
        Ok((folder, name))
    }

    /// Opens a folder, which is made when it is not there with those that it is in; no link is followed.
    pub(crate) fn make_folders(&self, folders: &str) -> io::Result<OwnedFd> {
        let mut folder = self.root.try_clone()?;
        for part in folders.split('/').filter(|part| !part.is_empty()) {
            folder = match openat(&folder, part, FOLDER, Mode::empty()) {
                Err(Errno::NOENT) => {
                    mkdirat(&folder, part, PRIVATE_FOLDER)?;
                    let made = openat(&folder, part, FOLDER, Mode::empty())?;
                    self.give(&made)?;
                    made
                }
                opened => opened?,
            };
        }
        Ok(folder)
    }

    fn give(&self, file: impl AsFd) -> io::Result<()> {
        let Some(owner) = self.owner else { return Ok(()) };
        Ok(fchown(file, Some(Uid::from_raw(owner)), Some(Gid::from_raw(owner)))?)
    }
}

fn remove(folder: &OwnedFd, name: &str) -> io::Result<()> {
    match unlinkat(folder, name, AtFlags::empty()) {
        Err(Errno::NOENT) | Ok(()) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// Removes a folder with everything in it; no link is followed.
pub(crate) fn remove_tree(folder: &OwnedFd, name: &str) -> io::Result<()> {
    remove_below(folder, name.as_bytes(), 0)
}

fn remove_below(folder: &OwnedFd, name: &[u8], depth: usize) -> io::Result<()> {
    match unlinkat(folder, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::ISDIR) => {}
        Err(errno) => return Err(errno.into()),
    }
    if depth == REMOVED_DEPTH_MAX {
        let text = format!("folders are more than {REMOVED_DEPTH_MAX} deep in each other");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    let inner = openat(folder, name, FOLDER, Mode::empty())?;
    for entry in Dir::read_from(&inner)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            remove_below(&inner, name, depth + 1)?;
        }
    }
    Ok(unlinkat(folder, name, AtFlags::REMOVEDIR)?)
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
        workspace.write_private("a/b/.key", b"one", false).unwrap();
        workspace.write_private("a/b/.key", b"two", false).unwrap();
        let path = dir.path().join("workspace/a/b/.key");
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(dir.path().join("workspace/a/b")).unwrap().count(), 1);
        fs::write(dir.path().join("workspace/a/other"), "x").unwrap();
        workspace.remove("a/b/.key").unwrap();
        workspace.remove("a/b/.key").unwrap();
        workspace.remove("nowhere/x").unwrap();
        assert!(!path.exists() && !path.parent().unwrap().exists());
        assert!(dir.path().join("workspace/a/other").exists());
    }

    #[test]
    fn no_link_leads_out_of_the_workspace() {
        let (dir, workspace) = fixture();
        let inside = dir.path().join("workspace");
        symlink(dir.path().join("outside"), inside.join("folder")).unwrap();
        symlink(dir.path().join("outside/file"), inside.join(".env")).unwrap();
        symlink(dir.path().join("outside/file"), inside.join("..env.trinity-new")).unwrap();
        assert!(workspace.write_private("folder/file", b"secret", false).is_err());
        assert!(workspace.remove("folder/file").is_err());
        workspace.write_private(".env", b"secret", false).unwrap();
        assert_eq!(fs::read(dir.path().join("outside/file")).unwrap(), b"theirs");
        assert_eq!(fs::read(inside.join(".env")).unwrap(), b"secret");
        assert!(!fs::symlink_metadata(inside.join(".env")).unwrap().is_symlink());
    }

    #[test]
    fn what_is_in_the_way_is_said_and_nothing_is_left() {
        let (dir, workspace) = fixture();
        fs::create_dir(dir.path().join("workspace/.env")).unwrap();
        fs::write(dir.path().join("workspace/plain"), "x").unwrap();
        assert!(workspace.write_private(".env", b"secret", false).is_err());
        assert!(workspace.write_private("plain/.env", b"secret", false).is_err());
        assert_eq!(fs::read_dir(dir.path().join("workspace")).unwrap().count(), 2);
    }

    #[test]
    fn a_link_inside_is_followed_and_one_that_leads_out_is_not() {
        let (dir, workspace) = fixture();
        let inside = dir.path().join("workspace");
        fs::write(inside.join("real"), "mine").unwrap();
        symlink("real", inside.join("near")).unwrap();
        symlink("../outside/file", inside.join("far")).unwrap();
        symlink(dir.path().join("outside/file"), inside.join("absolute")).unwrap();
        symlink("/proc/self/root", inside.join("magic")).unwrap();
        symlink("loop", inside.join("loop")).unwrap();
        workspace.open_inside("near", OFlags::RDONLY).unwrap();
        for path in ["far", "absolute", "magic", "magic/etc/passwd", "loop", "../outside/file"] {
            assert!(workspace.open_inside(path, OFlags::RDONLY).is_err(), "{path}");
        }
    }

    #[test]
    fn a_tree_goes_without_what_its_links_lead_to() {
        let (dir, workspace) = fixture();
        let inside = dir.path().join("workspace");
        fs::create_dir_all(inside.join("tree/deep/er")).unwrap();
        fs::write(inside.join("tree/deep/er/file"), "x").unwrap();
        symlink(dir.path().join("outside"), inside.join("tree/deep/link")).unwrap();
        let (folder, name) = workspace.folder("tree", Missing::Fail).unwrap();
        remove_tree(&folder, name).unwrap();
        assert_eq!(fs::read_dir(&inside).unwrap().count(), 0);
        assert_eq!(fs::read(dir.path().join("outside/file")).unwrap(), b"theirs");
    }

    #[test]
    fn a_tree_that_is_too_deep_is_refused() {
        let (dir, workspace) = fixture();
        let deep = vec!["d"; REMOVED_DEPTH_MAX + 2].join("/");
        fs::create_dir_all(dir.path().join("workspace").join(deep)).unwrap();
        let (folder, name) = workspace.folder("d", Missing::Fail).unwrap();
        assert!(remove_tree(&folder, name).unwrap_err().to_string().contains("deep"));
    }
}
