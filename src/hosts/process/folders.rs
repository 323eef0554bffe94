//! The folders of the agents of a process host.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, chown};
use std::path::{Path, PathBuf};

use nix::unistd::geteuid;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use trinity_agent_protocol::Isolation;
use trinity_agent_server::ServerRecord;
use uuid::Uuid;

use super::disk::{
    PRIVATE_MODE, give_tree, make_folder, remove_if_there, remove_tree, write_file, write_private,
};
use super::log;
use crate::hosts::{AgentSpec, Error, HostState, HostedAgent};

/// How many bytes the path of a unix socket can have.
const SOCKET_PATH_BYTES_MAX: usize = 107;

/// How long a log may grow before it is begun anew at the next start.
const LOG_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Passed through by runs with a user of their own, listed by nobody else.
pub(super) const PASSAGE_MODE: u32 = 0o711;

/// Begins the name of a place that is being removed.
const REMOVED_PREFIX: &str = "removed-";

/// Where sockets go when nothing better is known.
const RUNTIME_DIR_DEFAULT: &str = "/tmp";

/// How many names are tried for a socket; two agents rarely want the same.
const SOCKET_NAMES_MAX: u32 = 16;

/// The folders of all agents.
pub(super) struct Folders {
    agents: PathBuf,
    sockets: PathBuf,
}

/// The place of one agent.
pub(super) struct Place {
    folder: PathBuf,
    record: Record,
}

/// What `agent.json` holds.
#[derive(Clone, Serialize, Deserialize)]
struct Record {
    #[serde(flatten)]
    spec: AgentSpec,
    socket_name: String,
    /// The user that is the agent's for ever, whether its runs have it at the moment or not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    uid: Option<u32>,
    /// To whom its files were given last; absent means the server's user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    owner: Option<u32>,
}

impl Folders {
    pub(super) fn open(data_dir: &Path, runtime_dir: Option<&Path>) -> io::Result<Self> {
        make_folder(data_dir, PASSAGE_MODE)?;
        // Agent servers run elsewhere, so no path may be relative.
        let data_dir = data_dir.canonicalize()?;
        let agents = data_dir.join("agents");
        make_folder(&agents, PASSAGE_MODE)?;
        let sockets = socket_folder(&data_dir, runtime_dir);
        make_folder(&sockets, PRIVATE_MODE)?;
        require_private(&sockets)?;
        let folders = Self { agents, sockets };
        folders.empty_trash()?;
        Ok(folders)
    }

    fn empty_trash(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.agents)? {
            let entry = entry?;
            if entry.file_name().as_encoded_bytes().starts_with(REMOVED_PREFIX.as_bytes()) {
                remove_tree(&entry.path())?;
            }
        }
        Ok(())
    }

    /// Makes the place of an agent. `agent.json` comes last: with it the place is complete.
    /// With a user, its files are that user's. Creating what is there is a no-op.
    pub(super) fn create(&self, spec: &AgentSpec, uid: Option<u32>) -> Result<Place, Error> {
        let cannot = || Error::host("cannot make an agent's place");
        if let Some(place) = self.find(spec.incarnation).map_err(cannot())? {
            return Ok(place);
        }
        let made = self.make_folders(spec, uid).map_err(cannot());
        let place = made.map_err(Error::of(Error::Workspace))?;
        let filled = fill(&place, uid).map_err(Error::host("cannot fill an agent's workspace"));
        filled.map_err(Error::of(Error::Contents))?;
        place.write().map_err(cannot())?;
        Ok(place)
    }

    fn make_folders(&self, spec: &AgentSpec, uid: Option<u32>) -> io::Result<Place> {
        let folder = self.agents.join(spec.incarnation.to_string());
        let socket_name = self.free_socket_name(spec.incarnation)?;
        let record = Record { spec: spec.clone(), socket_name, uid, owner: uid };
        let place = Place { folder, record };
        make_folder(&place.folder, PASSAGE_MODE)?;
        for private in [place.workspace(), place.home(), place.tmp(), place.state()] {
            make_folder(&private, PRIVATE_MODE)?;
        }
        Ok(place)
    }

    /// The users of agents of which anything is left, half-removed ones included.
    pub(super) fn uids(&self) -> io::Result<HashSet<u32>> {
        let mut found = HashSet::new();
        for entry in fs::read_dir(&self.agents)? {
            let folder = entry?.path();
            // Which of these is still there depends on how far a removal got.
            let record = fs::read(folder.join("agent.json"));
            let record = record.ok().and_then(|json| serde_json::from_slice::<Record>(&json).ok());
            found
                .extend(record.into_iter().flat_map(|record| [record.uid, record.owner]).flatten());
            let owners = ["workspace", "tmp"].map(|name| fs::symlink_metadata(folder.join(name)));
            found.extend(owners.into_iter().flatten().map(|found| found.uid()));
        }
        Ok(found)
    }

    pub(super) fn find(&self, incarnation: Uuid) -> io::Result<Option<Place>> {
        let folder = self.agents.join(incarnation.to_string());
        match fs::read(folder.join("agent.json")) {
            Ok(json) => {
                let record = serde_json::from_slice(&json)?;
                Ok(Some(Place { folder, record }))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) fn list(&self) -> io::Result<Vec<Place>> {
        let mut places = Vec::new();
        for entry in fs::read_dir(&self.agents)? {
            let name = entry?.file_name();
            let Some(incarnation) = name.to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            match self.find(incarnation) {
                Ok(found) => places.extend(found),
                Err(error) => {
                    tracing::error!(%incarnation, %error, "cannot read the place of an agent");
                }
            }
        }
        Ok(places)
    }

    /// Removes what is there of a place; a half-removed one is none, and goes at the next `open`.
    pub(super) fn remove(&self, incarnation: Uuid) -> io::Result<()> {
        if let Some(place) = self.find(incarnation)? {
            remove_if_there(&self.socket(&place))?;
        }
        let trash = self.agents.join(format!("{REMOVED_PREFIX}{incarnation}"));
        remove_tree(&trash)?;
        match fs::rename(self.agents.join(incarnation.to_string()), &trash) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
            Ok(()) => remove_tree(&trash),
        }
    }

    pub(super) fn socket(&self, place: &Place) -> PathBuf {
        self.sockets.join(&place.record.socket_name)
    }

    fn free_socket_name(&self, incarnation: Uuid) -> io::Result<String> {
        let places = self.list()?.into_iter();
        let taken: HashSet<_> = places.map(|place| place.record.socket_name).collect();
        (0..SOCKET_NAMES_MAX)
            .map(|attempt| {
                let digest = Sha256::digest(format!("{incarnation} {attempt}"));
                format!("{}.sock", hex::encode(&digest[..4]))
            })
            .find(|name| !taken.contains(name))
            .ok_or_else(|| io::Error::other("no name is left for a socket"))
    }
}

impl Place {
    fn record_path(&self) -> PathBuf {
        self.folder.join("agent.json")
    }

    pub(super) fn workspace(&self) -> PathBuf {
        self.folder.join("workspace")
    }

    /// On the workspace, so that what a CLI remembers lives as long as the agent.
    fn home(&self) -> PathBuf {
        self.workspace().join(".home")
    }

    pub(super) fn state(&self) -> PathBuf {
        self.folder.join("state")
    }

    pub(super) fn files(&self) -> PathBuf {
        self.folder.join("files")
    }

    /// For temporary files: nobody else can name or read what is in it.
    pub(super) fn tmp(&self) -> PathBuf {
        self.folder.join("tmp")
    }

    pub(super) fn spec(&self) -> &AgentSpec {
        &self.record.spec
    }

    /// The agent's user, once it has one.
    pub(super) fn uid(&self) -> Option<u32> {
        self.record.uid
    }

    /// Makes the place fit for runs of this user, or of the server's own. Nothing may run in it.
    ///
    /// # Errors
    /// When a file cannot be given to that user, for example because the server is not root.
    pub(super) fn make_ready(&mut self, uid: Option<u32>) -> io::Result<()> {
        remove_tree(&self.tmp())?;
        make_folder(&self.tmp(), PRIVATE_MODE)?;
        if self.record.owner != uid {
            // Before the files: a crash in between must not forget whose number it is.
            self.record.uid = uid.or(self.record.uid);
            self.write()?;
            give_tree(&self.workspace(), uid.unwrap_or(geteuid().as_raw()))?;
            self.record.owner = uid;
            self.write()?;
        }
        chown(self.tmp(), uid, uid)
    }

    fn write(&self) -> io::Result<()> {
        write_private(&self.record_path(), &serde_json::to_vec_pretty(&self.record)?)
    }

    pub(super) fn host_ref(&self) -> String {
        format!("process:{}", self.spec().incarnation)
    }

    /// Shows the place; `next` is what will keep it apart once it is started again.
    pub(super) fn show(&self, next: Isolation) -> HostedAgent {
        let state = self.state_now();
        let serves = matches!(state, HostState::Running | HostState::Paused);
        let server = self.server().filter(|_| serves);
        let isolation = server.map_or(next, |server| server.isolation);
        self.spec().clone().hosted(self.host_ref(), state, isolation)
    }

    /// Which process serves, or last did, and where; `None` before the first start.
    pub(super) fn server(&self) -> Option<ServerRecord> {
        let read = ServerRecord::read(&self.state());
        read.unwrap_or_else(|error| {
            let incarnation = self.spec().incarnation;
            tracing::error!(%incarnation, %error, "cannot read which process serves an agent");
            None
        })
    }

    pub(super) fn state_now(&self) -> HostState {
        let Some(server) = self.server() else { return HostState::Created };
        match server.process.find() {
            Some(process) if matches!(process.state, 'T' | 't') => HostState::Paused,
            Some(_) => HostState::Running,
            None => HostState::Exited,
        }
    }

    pub(super) fn open_log(&self) -> io::Result<File> {
        let path = self.log_path();
        let is_long = fs::metadata(&path).is_ok_and(|log| log.len() > LOG_BYTES_MAX);
        if is_long {
            fs::remove_file(&path)?;
        }
        OpenOptions::new().append(true).create(true).mode(0o600).open(path)
    }

    /// What the agent server said last, in few words.
    pub(super) fn last_words(&self) -> String {
        match log::tail(&self.log_path(), log::LAST_WORDS_BYTES_MAX) {
            Ok(text) => text.trim().to_owned(),
            Err(error) => format!("its log cannot be read: {error}"),
        }
    }

    /// What the agent server said, as far as one looks; nothing before its first start.
    pub(super) fn log(&self) -> io::Result<String> {
        match log::tail(&self.log_path(), log::READ_BYTES_MAX) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(String::new()),
            read => read,
        }
    }

    fn log_path(&self) -> PathBuf {
        self.folder.join("server.log")
    }
}

/// Writes what an agent's workspace begins with, and gives its folders to the agent's user.
fn fill(place: &Place, uid: Option<u32>) -> io::Result<()> {
    for (path, file) in &place.record.spec.workspace_files {
        write_file(&place.workspace().join(path), file)?;
    }
    let Some(uid) = uid else { return Ok(()) };
    give_tree(&place.workspace(), uid)?;
    give_tree(&place.tmp(), uid)
}

/// Chooses where sockets go: a socket's path has a bound that a long data directory breaks.
fn socket_folder(data_dir: &Path, runtime_dir: Option<&Path>) -> PathBuf {
    let preferred = data_dir.join("s");
    let longest = preferred.join("01234567.sock");
    if longest.as_os_str().len() <= SOCKET_PATH_BYTES_MAX {
        return preferred;
    }
    let digest = Sha256::digest(data_dir.as_os_str().as_encoded_bytes());
    let runtime_dir = runtime_dir.unwrap_or(Path::new(RUNTIME_DIR_DEFAULT));
    runtime_dir.join(format!("trinity-{}-{}", geteuid(), hex::encode(&digest[..4])))
}

/// Refuses a folder that somebody else prepared, as anybody can in a temporary directory.
fn require_private(folder: &Path) -> io::Result<()> {
    let found = fs::symlink_metadata(folder)?;
    let is_private =
        found.is_dir() && found.uid() == geteuid().as_raw() && found.mode() & 0o777 == PRIVATE_MODE;
    if is_private {
        return Ok(());
    }
    let text = format!("{} must be a folder that only this user can enter", folder.display());
    Err(io::Error::new(ErrorKind::PermissionDenied, text))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::hosts::WorkspaceFile;

    fn spec() -> AgentSpec {
        AgentSpec {
            name: "scout".into(),
            incarnation: Uuid::new_v4(),
            labels: BTreeMap::from([("trinity.platform".into(), "l".into())]),
            container: crate::hosts::ContainerSpec::default(),
            workspace_files: BTreeMap::new(),
        }
    }

    #[test]
    fn a_workspace_begins_with_the_files_that_were_asked_for() {
        let data = tempfile::tempdir().unwrap();
        let folders = Folders::open(data.path(), None).unwrap();
        let script = WorkspaceFile { content: b"#!/bin/sh\n".into(), is_executable: true };
        let text = WorkspaceFile::from("Be brief.".to_owned());
        let files = [("CLAUDE.md".to_owned(), text), ("bin/a/run".to_owned(), script)];
        let spec = AgentSpec { workspace_files: files.into(), ..spec() };
        let workspace = folders.create(&spec, None).unwrap().workspace();
        let mode = |path: &str| workspace.join(path).metadata().unwrap().mode() & 0o777;
        assert_eq!([mode("CLAUDE.md"), mode("bin/a/run"), mode("bin")], [0o600, 0o700, 0o700]);
        let file = workspace.join("CLAUDE.md");
        assert_eq!(fs::read_to_string(&file).unwrap(), "Be brief.");
        fs::write(&file, "Be long.").unwrap();
        folders.create(&spec, None).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "Be long.", "it is the agent's own now");
    }

    #[test]
    fn a_place_keeps_what_it_was_created_with() {
        let data = tempfile::tempdir().unwrap();
        let folders = Folders::open(data.path(), None).unwrap();
        let spec = spec();
        let created = folders.create(&spec, None).unwrap();
        let again = folders.find(spec.incarnation).unwrap().unwrap();
        assert_eq!(again.spec(), &spec);
        assert_eq!(folders.socket(&again), folders.socket(&created));
        assert_eq!(created.state_now(), HostState::Created);
        assert!(created.home().is_dir());
    }

    #[test]
    fn foreign_names_are_no_agents() {
        let data = tempfile::tempdir().unwrap();
        let folders = Folders::open(data.path(), None).unwrap();
        fs::write(data.path().join("agents/README"), "x").unwrap();
        fs::create_dir(data.path().join("agents").join(Uuid::new_v4().to_string())).unwrap();
        assert!(folders.list().unwrap().is_empty());
    }

    #[test]
    fn a_long_data_directory_gets_a_short_socket() {
        let root = tempfile::tempdir().unwrap();
        let data = root.path().join("x".repeat(120));
        let folders = Folders::open(&data, Some(root.path())).unwrap();
        let place = folders.create(&spec(), None).unwrap();
        let socket = folders.socket(&place);
        assert!(socket.as_os_str().len() <= SOCKET_PATH_BYTES_MAX, "{}", socket.display());
        assert!(socket.starts_with(root.path()));
    }

    #[test]
    fn a_socket_folder_of_others_is_refused() {
        let data = tempfile::tempdir().unwrap();
        make_folder(&data.path().join("s"), 0o755).unwrap();
        let error = Folders::open(data.path(), None).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    }
}
