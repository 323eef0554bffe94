//! What is done to files of the workspace from outside: as the user of the agent's runs, so that
//! nothing is reached or left that a run could not reach or change.

use std::collections::{BTreeSet, HashSet};
use std::fs::File;
use std::io::{self, ErrorKind, Read as _};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use chrono::DateTime;
use nix::unistd::{setfsgid, setfsuid};
use rustix::fs::{
    AtFlags, Dir, FileType, Mode, OFlags, Statx, StatxFlags, openat, statx, unlinkat,
};
use rustix::io::Errno;
use rustix::thread::set_thread_groups;
use tokio::sync::{Semaphore, oneshot};
use trinity_agent_protocol::{
    ErrorBody, ErrorCode, FILE_ENTRIES_MAX, FileEntry, FileKind, FilePage, FileQuery, FilesQuery,
    InvalidRequest,
};

use crate::executions::Executions;
use crate::workspace::{Missing, Workspace, remove_tree};

/// How many operations go on at once; others wait.
const OPERATIONS_MAX: usize = 8;
/// How many entries a folder may have that is listed.
const FOLDER_ENTRIES_MAX: usize = 1_000_000;
/// The rights of a file that was not there before.
const FRESH_FILE: Mode = Mode::RUSR.union(Mode::WUSR).union(Mode::RGRP).union(Mode::ROTH);

type Answer<T> = Result<T, ErrorBody>;

/// Does what is asked, and one change at a time.
pub(crate) struct Files {
    executions: Arc<Executions>,
    turns: Semaphore,
    changes: Arc<Mutex<()>>,
}

/// Whether a write made something new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Written {
    Fresh,
    Replaced,
}

impl Files {
    pub(crate) fn new(executions: Arc<Executions>) -> Self {
        let turns = Semaphore::new(OPERATIONS_MAX);
        Self { executions, turns, changes: Arc::default() }
    }

    pub(crate) async fn list(&self, query: FilesQuery) -> Answer<FilePage> {
        query.validate().map_err(invalid)?;
        self.on_workspace(move |tree| tree.list(&query)).await
    }

    /// Opens a file to be read to the length that its entry says.
    pub(crate) async fn open(&self, query: FileQuery) -> Answer<(FileEntry, File)> {
        query.validate().map_err(invalid)?;
        self.on_workspace(move |tree| tree.open(&query.path)).await
    }

    pub(crate) async fn write(
        &self,
        query: FileQuery,
        content: Bytes,
    ) -> Answer<(Written, FileEntry)> {
        query.validate().map_err(invalid)?;
        let changes = Arc::clone(&self.changes);
        self.on_workspace(move |tree| {
            let _one_at_a_time = changes.lock().unwrap_or_else(PoisonError::into_inner);
            tree.write(&query, &content)
        })
        .await
    }

    pub(crate) async fn remove(&self, query: FileQuery) -> Answer<()> {
        query.validate().map_err(invalid)?;
        let changes = Arc::clone(&self.changes);
        self.on_workspace(move |tree| {
            let _one_at_a_time = changes.lock().unwrap_or_else(PoisonError::into_inner);
            tree.remove(&query)
        })
        .await
    }

    /// Does something as the agent's user, on a thread that ends with it: what a thread may do, it
    /// cannot get back.
    async fn on_workspace<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Tree) -> Answer<T> + Send + 'static,
    ) -> Answer<T> {
        let unusable = |error: io::Error| {
            let message = format!("cannot use the workspace: {error}");
            ErrorBody {
                errno: error.raw_os_error(),
                ..ErrorBody::new(ErrorCode::Internal, message)
            }
        };
        // Closed by nobody.
        let _turn = self.turns.acquire().await;
        let executions = Arc::clone(&self.executions);
        let (sender, receiver) = oneshot::channel();
        let thread = std::thread::Builder::new().name("files".to_owned());
        let spawned = thread.spawn(move || {
            let answer = Tree::enter(&executions).map_err(unusable).and_then(|tree| work(&tree));
            // Whoever asked may have left.
            let _ = sender.send(answer);
        });
        spawned.map_err(unusable)?;
        receiver.await.unwrap_or_else(|_| Err(unusable(io::Error::other("the thread has ended"))))
    }
}

/// Makes this thread one that reaches files as this user does, and owns what it makes so.
///
/// Its real user stays: a process of that user could otherwise end this one.
fn act_as(uid: u32) -> io::Result<()> {
    set_thread_groups(&[])?;
    setfsgid(uid.into());
    setfsuid(uid.into());
    // Neither says whether it worked; a second call says what is in force.
    if setfsuid(uid.into()).as_raw() == uid && setfsgid(uid.into()).as_raw() == uid {
        return Ok(());
    }
    Err(io::Error::new(ErrorKind::PermissionDenied, format!("cannot act as user {uid}")))
}

/// The workspace as one operation finds it.
struct Tree {
    workspace: Workspace,
    /// Where credentials are.
    secret_paths: BTreeSet<String>,
    /// What they are, by whatever name.
    secrets: HashSet<(u32, u32, u64)>,
}

impl Tree {
    fn enter(executions: &Executions) -> io::Result<Self> {
        let kept = executions.state.kept_paths()?;
        let secret_paths: BTreeSet<_> =
            kept.into_iter().filter(|(_, is_secret)| *is_secret).map(|(path, _)| path).collect();
        let places = &executions.places;
        if let Some(uid) = places.confinement.uid {
            act_as(uid)?;
        }
        let workspace = Workspace::open(Path::new(&places.workspace), None)?;
        let secrets = secret_paths.iter().filter_map(|path| {
            let (folder, name) = workspace.folder(path, Missing::Fail).ok()?;
            stat(&folder, name).ok().map(|found| identity(&found))
        });
        let secrets = secrets.collect();
        Ok(Self { workspace, secret_paths, secrets })
    }

    fn list(&self, query: &FilesQuery) -> Answer<FilePage> {
        let at = |error| refused(&query.path, &error);
        let found = self.workspace.open_inside(&query.path, OFlags::PATH).map_err(at)?;
        let entry = self.entry(query.path.clone(), &stat(&found, "").map_err(at)?);
        if entry.kind != FileKind::Folder {
            return Ok(FilePage { entry, entries: Vec::new(), next: None });
        }
        let limit = query.limit.unwrap_or(FILE_ENTRIES_MAX).clamp(1, FILE_ENTRIES_MAX);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = openat(&found, ".", flags, Mode::empty());
        let folder = folder.map_err(|errno| at(errno.into()))?;
        let after = query.after.as_deref().unwrap_or_default().as_bytes();
        let (names, has_more) = first_names(&folder, after, limit).map_err(at)?;
        let next = names.last().filter(|_| has_more);
        let next = next.map(|name| String::from_utf8_lossy(name).into_owned());
        // What has gone since it was listed is left out.
        let entries = names.iter().filter_map(|name| {
            let found = stat(&folder, name.as_slice()).ok()?;
            let text = String::from_utf8_lossy(name);
            let path = match query.path.as_str() {
                "" => text.clone().into_owned(),
                above => format!("{above}/{text}"),
            };
            let entry = self.entry(path, &found);
            let is_text = text.as_bytes() == name.as_slice();
            Some(if is_text { entry } else { FileEntry { kind: FileKind::Other, ..entry } })
        });
        Ok(FilePage { entry, entries: entries.collect(), next })
    }

    fn open(&self, path: &str) -> Answer<(FileEntry, File)> {
        // A pipe without a writer must not keep this thread.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        let opened = self.workspace.open_inside(path, flags);
        let file = opened.map_err(|error| refused(path, &error))?;
        let entry = stat(&file, "").map_err(|error| refused(path, &error))?;
        let entry = self.entry(path.to_owned(), &entry);
        check_is_open(&entry)?;
        match entry.kind {
            FileKind::File => Ok((entry, File::from(file))),
            FileKind::Folder => Err(no_file(path, "is a folder; list it instead")),
            FileKind::Link | FileKind::Other => Err(no_file(path, NEITHER)),
        }
    }

    fn write(&self, query: &FileQuery, content: &[u8]) -> Answer<(Written, FileEntry)> {
        let path = query.path.as_str();
        let at = |error| refused(path, &error);
        let before = self.look(path)?;
        if let Some((entry, _)) = &before {
            match entry.kind {
                FileKind::File => {}
                FileKind::Folder => return Err(no_file(path, "is a folder")),
                FileKind::Link => {
                    return Err(no_file(path, "is a link; name the file that it leads to"));
                }
                FileKind::Other => return Err(no_file(path, NEITHER)),
            }
        }
        self.check_is_no_secret(path, before.as_ref().map(|(entry, _)| entry))?;
        if let Err(error) = check(query, before.as_ref().map(|(entry, _)| entry)) {
            // The same request may have come before, and its answer not got back.
            return match before {
                Some((entry, _)) if self.holds(path, content) => Ok((Written::Replaced, entry)),
                _ => Err(error),
            };
        }
        let mode = before.as_ref().map_or(FRESH_FILE, |(_, found)| {
            Mode::from_raw_mode(found.stx_mode.into()) & (Mode::RWXU | Mode::RWXG | Mode::RWXO)
        });
        let (folder, name) = self.workspace.folder(path, Missing::Make).map_err(at)?;
        let file = self.workspace.put(&folder, name, content, mode).map_err(at)?;
        let entry = self.entry(path.to_owned(), &stat(&file, "").map_err(at)?);
        let written = if before.is_some() { Written::Replaced } else { Written::Fresh };
        Ok((written, entry))
    }

    fn remove(&self, query: &FileQuery) -> Answer<()> {
        let path = query.path.as_str();
        let Some((entry, _)) = self.look(path)? else {
            return Err(refused(path, &ErrorKind::NotFound.into()));
        };
        self.check_is_no_secret(path, Some(&entry))?;
        check(query, Some(&entry))?;
        let (folder, name) =
            self.workspace.folder(path, Missing::Fail).map_err(|error| refused(path, &error))?;
        let removed = match (entry.kind, query.recursive) {
            (FileKind::Folder, true) => remove_tree(&folder, name),
            (FileKind::Folder, false) => {
                unlinkat(&folder, name, AtFlags::REMOVEDIR).map_err(io::Error::from)
            }
            _ => unlinkat(&folder, name, AtFlags::empty()).map_err(io::Error::from),
        };
        removed.map_err(|error| refused(path, &error))
    }

    /// What has exactly this name, no link followed for its last part; `None` when nothing has.
    fn look(&self, path: &str) -> Answer<Option<(FileEntry, Statx)>> {
        let looked = self.workspace.folder(path, Missing::Fail);
        match looked.and_then(|(folder, name)| stat(&folder, name)) {
            Ok(found) => Ok(Some((self.entry(path.to_owned(), &found), found))),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(refused(path, &error)),
        }
    }

    /// Whether a file has exactly this content.
    fn holds(&self, path: &str, content: &[u8]) -> bool {
        let Ok((entry, file)) = self.open(path) else { return false };
        let mut there = Vec::new();
        entry.size_bytes == content.len() as u64
            && file.take(entry.size_bytes).read_to_end(&mut there).is_ok()
            && there == content
    }

    fn entry(&self, path: String, found: &Statx) -> FileEntry {
        let modified = &found.stx_mtime;
        let modified_at = DateTime::from_timestamp(modified.tv_sec, modified.tv_nsec);
        let holds_credentials = self.secrets.contains(&identity(found));
        FileEntry {
            path,
            kind: kind(found),
            size_bytes: found.stx_size,
            modified_at: modified_at.unwrap_or(DateTime::UNIX_EPOCH),
            etag: etag(found),
            holds_credentials,
        }
    }

    fn check_is_no_secret(&self, path: &str, there: Option<&FileEntry>) -> Answer<()> {
        if self.secret_paths.contains(path) {
            return Err(secret(path));
        }
        there.map_or(Ok(()), check_is_open)
    }
}

fn check_is_open(entry: &FileEntry) -> Answer<()> {
    if entry.holds_credentials { Err(secret(&entry.path)) } else { Ok(()) }
}

/// What is no file, no folder and no link.
const NEITHER: &str = "is a device, a socket or a pipe";

/// The first names of a folder after one of them, by their bytes, and whether there are more.
fn first_names(folder: &OwnedFd, after: &[u8], limit: usize) -> io::Result<(Vec<Vec<u8>>, bool)> {
    let (mut first, mut has_more) = (BTreeSet::new(), false);
    for (count, entry) in Dir::read_from(folder)?.enumerate() {
        if count >= FOLDER_ENTRIES_MAX {
            let text = format!("the folder has more than {FOLDER_ENTRIES_MAX} entries");
            return Err(io::Error::new(ErrorKind::InvalidInput, text));
        }
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name == b"." || name == b".." || name <= after {
            continue;
        }
        first.insert(name.to_vec());
        if first.len() > limit {
            first.pop_last();
            has_more = true;
        }
    }
    Ok((first.into_iter().collect(), has_more))
}

/// Looks at what has this name in a folder, or at what is open when it is empty.
fn stat(at: impl AsFd, name: impl rustix::path::Arg) -> io::Result<Statx> {
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::EMPTY_PATH;
    Ok(statx(at, name, flags, StatxFlags::BASIC_STATS)?)
}

fn kind(found: &Statx) -> FileKind {
    match FileType::from_raw_mode(found.stx_mode.into()) {
        FileType::RegularFile => FileKind::File,
        FileType::Directory => FileKind::Folder,
        FileType::Symlink => FileKind::Link,
        _ => FileKind::Other,
    }
}

/// Which file it is, by whatever name.
fn identity(found: &Statx) -> (u32, u32, u64) {
    (found.stx_dev_major, found.stx_dev_minor, found.stx_ino)
}

/// The name of a version. The time is that of the last change of anything, which nobody sets at will.
fn etag(found: &Statx) -> String {
    let changed = &found.stx_ctime;
    format!(
        "\"{:x}-{:x}-{:x}.{:x}\"",
        found.stx_ino, found.stx_size, changed.tv_sec, changed.tv_nsec
    )
}

fn check(query: &FileQuery, there: Option<&FileEntry>) -> Answer<()> {
    let etag = there.map(|entry| entry.etag.clone());
    if query.allows(etag.as_deref()) {
        return Ok(());
    }
    let message = match there {
        Some(_) => {
            format!("{:?} is another version by now; read it again, then decide", query.path)
        }
        None => format!("there is no {:?} in the workspace any more", query.path),
    };
    Err(ErrorBody { etag, ..ErrorBody::new(ErrorCode::FileChanged, message) })
}

#[expect(clippy::needless_pass_by_value, reason = "as `map_err` gives it")]
fn invalid(error: InvalidRequest) -> ErrorBody {
    ErrorBody::new(ErrorCode::InvalidRequest, error.to_string())
}

fn secret(path: &str) -> ErrorBody {
    let message = format!(
        "{path:?} holds credentials, which are neither shown nor changed as files; set or remove \
         them as credentials"
    );
    ErrorBody::new(ErrorCode::FileHoldsCredentials, message)
}

fn no_file(path: &str, what: &str) -> ErrorBody {
    ErrorBody::new(ErrorCode::FileRefused, format!("{path:?} {what}"))
}

/// Says why the system did not do it.
fn refused(path: &str, error: &io::Error) -> ErrorBody {
    use ErrorCode as C;
    let errno = error.raw_os_error();
    let (code, what) = match errno.map(Errno::from_raw_os_error) {
        Some(Errno::XDEV) => (C::InvalidRequest, "leads out of the workspace".to_owned()),
        Some(Errno::LOOP) => (C::FileRefused, "is a link that leads nowhere".to_owned()),
        Some(Errno::NOENT) => (C::NoSuchFile, "is not in the workspace".to_owned()),
        Some(Errno::NOTDIR) => (C::NoSuchFile, "is below something that is no folder".to_owned()),
        Some(Errno::NOTEMPTY | Errno::EXIST) => {
            (C::FileRefused, "is a folder with something in it; remove it recursively".to_owned())
        }
        Some(Errno::NXIO) => (C::FileRefused, NEITHER.to_owned()),
        Some(Errno::ACCESS | Errno::PERM) => {
            (C::FileRefused, "is closed to the agent's own user".to_owned())
        }
        Some(Errno::NAMETOOLONG) => (C::InvalidRequest, "has a part that is too long".to_owned()),
        Some(Errno::NOSPC | Errno::DQUOT) => {
            (C::FileRefused, "does not fit: the agent's disk is full".to_owned())
        }
        None if error.kind() == ErrorKind::NotFound => {
            (C::NoSuchFile, "is not in the workspace".to_owned())
        }
        None if error.kind() == ErrorKind::InvalidInput => {
            (C::FileRefused, format!("is too much: {error}"))
        }
        _ => (C::Internal, format!("cannot be used: {error}")),
    };
    ErrorBody { errno, ..ErrorBody::new(code, format!("{path:?} {what}")) }
}
