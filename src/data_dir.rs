//! The data directory: what is in it, who may read it, and that one server at a time uses it.

use std::fs::{self, File, Permissions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::sys::stat::{Mode, umask};
use nix::sys::statvfs::statvfs;
use uuid::Uuid;

/// The directory itself can be passed through, so that runs with a user of their own reach their
/// workspaces; everything private in it cannot be read.
const DIR_MODE: u32 = 0o711;
/// For what only this server reads.
const PRIVATE_FILE_MODE: u32 = 0o600;
/// Every right of group and others.
const OTHERS_MODE: u32 = 0o077;

/// The room on the disk of a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// What this process may still take, in bytes.
    pub free_bytes: u64,
    /// How large the file system is, in bytes.
    pub total_bytes: u64,
}

/// Makes whatever this process creates from now on its user's alone: databases and their journals,
/// whoever makes them when.
pub fn keep_private() {
    umask(Mode::from_bits_truncate(OTHERS_MODE));
}

/// Looks at the room on the disk of a folder.
///
/// # Errors
/// When the system does not say.
pub fn space(dir: &Path) -> Result<Space, Errno> {
    let found = statvfs(dir)?;
    let of = |blocks: u64| blocks.saturating_mul(found.fragment_size());
    Ok(Space { free_bytes: of(found.blocks_available()), total_bytes: of(found.blocks()) })
}

/// Another process has the data directory to itself: a server, or a command that needs no server.
#[derive(Debug, thiserror::Error)]
#[error(
    "the data directory {} is in use by another server or command (pid {pid}); stop it or say \
     --data-dir DIR",
    .path.display()
)]
pub struct InUse {
    /// The directory.
    pub path: PathBuf,
    /// The process that holds it, as it says itself.
    pub pid: String,
}

/// A data directory that this process has to itself.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    /// Held as long as the server lives; closed on exec, so that agent servers do not inherit it.
    _lock: Flock<File>,
}

impl DataDir {
    /// Makes the directory where it is missing, and takes it.
    ///
    /// # Errors
    /// When it cannot be written, or another process uses it, which is [`InUse`].
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let shown = path.display();
        let made = fs::DirBuilder::new().recursive(true).mode(DIR_MODE).create(path);
        made.with_context(|| format!("cannot make the data directory {shown}"))?;
        fs::set_permissions(path, Permissions::from_mode(DIR_MODE))
            .with_context(|| format!("the data directory {shown} belongs to somebody else"))?;
        let lock = path.join("lock");
        let file = fs::OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .mode(PRIVATE_FILE_MODE)
            .open(&lock)
            .with_context(|| format!("cannot write in the data directory {shown}"))?;
        let mut lock = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => lock,
            Err((mut file, _)) => {
                let mut holder = String::new();
                let _unreadable = file.read_to_string(&mut holder);
                let pid = holder.trim();
                let (path, pid) = (path.to_owned(), pid.to_owned());
                return Err(InUse { path, pid }.into());
            }
        };
        close_files(path).with_context(|| format!("cannot look at the files in {shown}"))?;
        lock.set_len(0).context("cannot write the lock file")?;
        writeln!(lock, "{}", std::process::id()).context("cannot write the lock file")?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A file or folder in it.
    pub fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The id of this node, made at its first start.
    ///
    /// # Errors
    /// When the file cannot be read or written, or holds something else.
    pub fn node_id(&self) -> anyhow::Result<Uuid> {
        let path = self.join("node_id");
        match fs::read_to_string(&path) {
            Ok(text) => Uuid::parse_str(text.trim())
                .with_context(|| format!("{} does not hold a node id", path.display())),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let node_id = Uuid::now_v7();
                self.write_private("node_id", &node_id.to_string())?;
                Ok(node_id)
            }
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    /// Writes a file that only this user can read, in one piece.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_private(&self, name: &str, content: &str) -> anyhow::Result<()> {
        let (path, fresh) = (self.join(name), self.join(&format!("{name}.new")));
        let write = || {
            let mut file = fs::OpenOptions::new()
                .create(true)
                .write(true)
                .truncate(true)
                .mode(PRIVATE_FILE_MODE)
                .open(&fresh)?;
            file.write_all(content.as_bytes())?;
            file.sync_all()?;
            fs::rename(&fresh, &path)
        };
        write().with_context(|| format!("cannot write {}", path.display()))
    }

    /// Removes a file, if it is there.
    ///
    /// # Errors
    /// When it is there and cannot be removed.
    pub fn remove(&self, name: &str) -> anyhow::Result<()> {
        let path = self.join(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(error).with_context(|| format!("cannot remove {}", path.display()))
            }
            _ => Ok(()),
        }
    }
}

/// Takes from others the right to read the files in the directory, databases and settings: the
/// directory itself can be passed through, so a name that is known would be enough.
fn close_files(path: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let found = entry.metadata()?;
        let mode = found.permissions().mode();
        if found.is_file() && mode & OTHERS_MODE != 0 {
            fs::set_permissions(entry.path(), Permissions::from_mode(mode & !OTHERS_MODE))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_server_is_refused_and_told_who_holds_it() {
        let dir = tempfile::tempdir().unwrap();
        let first = DataDir::open(dir.path()).unwrap();
        let error = format!("{:#}", DataDir::open(dir.path()).unwrap_err());
        assert!(error.contains(&format!("pid {}", std::process::id())), "{error}");
        drop(first);
        DataDir::open(dir.path()).unwrap();
    }

    #[test]
    fn a_node_keeps_its_id() {
        let dir = tempfile::tempdir().unwrap();
        let first = DataDir::open(dir.path()).unwrap().node_id().unwrap();
        assert_eq!(DataDir::open(dir.path()).unwrap().node_id().unwrap(), first);
        let mode = fs::metadata(dir.path().join("node_id")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, PRIVATE_FILE_MODE);
    }

    #[test]
    fn files_that_others_could_read_are_closed() {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("config.toml");
        fs::write(&config, "grace_ms = 1").unwrap();
        fs::set_permissions(&config, Permissions::from_mode(0o644)).unwrap();
        DataDir::open(dir.path()).unwrap();
        assert_eq!(fs::metadata(&config).unwrap().permissions().mode() & 0o777, PRIVATE_FILE_MODE);
    }

    #[test]
    fn a_file_in_the_way_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, "x").unwrap();
        let error = format!("{:#}", DataDir::open(&path).unwrap_err());
        assert!(error.contains("file"), "{error}");
    }
}
