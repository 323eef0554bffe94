//! What an agent server is told about the isolation of its runs, and what this kernel offers.
//!
//! The switch to the agent's user and the restriction happen in the last stage before the program of
//! a run, see `confine`: the agent server and its runners keep their user, so that a run can neither
//! read nor forge their records and sockets, and they can still kill and reap all of it.

use std::io;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, Compatible, LandlockStatus, Ruleset, RulesetAttr, RulesetCreatedAttr,
    RulesetStatus,
};
use serde::{Deserialize, Serialize};
use trinity_agent_protocol::{Isolation, IsolationKind};

/// How the runs of an agent are kept apart; what is not said does not happen.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct IsolationArgs {
    /// The user and group that runs get; the agent server must be root for it.
    #[arg(long)]
    run_uid: Option<u32>,
    /// Confines runs to their own folders and to what everybody may read.
    #[arg(long)]
    landlock: bool,
    /// Says that this agent server is alone in a container, which keeps its runs apart.
    #[arg(long, conflicts_with = "landlock")]
    container: bool,
    /// A folder that no run reaches, whatever it is in; repeatable.
    #[arg(long, value_name = "DIR")]
    private: Vec<PathBuf>,
    /// A folder or file that runs may read and execute beside the system's own; repeatable.
    #[arg(long, value_name = "PATH")]
    readable: Vec<PathBuf>,
}

/// What every run of this agent server is held by, as its runner is told.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Confinement {
    /// The user and group.
    pub uid: Option<u32>,
    /// What it reaches, if Landlock says so.
    pub reach: Option<Reach>,
}

/// What a confined run reaches beside what everybody may read.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Reach {
    /// Never, whatever else is said.
    pub private: Vec<PathBuf>,
    /// Reads and executes.
    pub readable: Vec<PathBuf>,
    /// Reads, executes and changes.
    pub writable: Vec<PathBuf>,
    /// Reads and executes whatever its user can: it is held in what it changes alone.
    pub reads_all: bool,
    /// Reads and executes, and changes only some folders of.
    pub workspace: Option<PathBuf>,
    /// Those folders, as paths below it.
    pub writable_folders: Vec<PathBuf>,
}

/// The folder of the workspace that is the HOME of runs.
const HOME: &str = ".home";

impl Reach {
    /// The reach of a run that nothing held before: what all users share for temporary files.
    pub(crate) fn of_everything(temporary: Option<&String>) -> Self {
        let shared = ["/tmp", "/var/tmp"].map(PathBuf::from).into_iter();
        let writable = shared.chain(temporary.map(PathBuf::from)).collect();
        Self { writable, reads_all: true, ..Self::default() }
    }

    /// The same, but of the workspace only HOME and these folders are changed.
    pub(crate) fn within(self, workspace: &Path, folders: &[String]) -> Self {
        // Rights on a folder are rights on all below it.
        let writable =
            self.writable.into_iter().filter(|path| !workspace.starts_with(path)).collect();
        let folders = folders.iter().map(PathBuf::from).chain([PathBuf::from(HOME)]);
        let (workspace, writable_folders) = (Some(workspace.to_owned()), folders.collect());
        Self { writable, workspace, writable_folders, ..self }
    }
}

/// The first version of Landlock that knows of every way to change what is in a file.
const WRITES_ABI_MIN: u32 = 3;

/// Tells whether runs can be held in what they change here.
pub(crate) fn restricts_writes() -> bool {
    landlock_abi().is_some_and(|abi| abi >= WRITES_ABI_MIN)
}

impl IsolationArgs {
    /// What runs are held by; `own` are the folders of the agent.
    pub(crate) fn confinement(&self, own: Vec<PathBuf>) -> Confinement {
        let reach = || Reach {
            private: self.private.clone(),
            readable: self.readable.clone(),
            writable: own,
            ..Reach::default()
        };
        Confinement { uid: self.run_uid, reach: self.landlock.then(reach) }
    }

    /// The search path of runs: in a container it is the image's, elsewhere the platform's.
    pub(crate) fn search_path(&self) -> Option<String> {
        let path = self.container.then(|| std::env::var_os("PATH")).flatten()?;
        path.into_string().ok()
    }

    /// Whether the agent server is alone in a container.
    pub(crate) fn is_container(&self) -> bool {
        self.container
    }

    /// What is in force, for whoever asks.
    ///
    /// # Errors
    /// When Landlock is wanted and this kernel has none: better no agent than one in the open.
    pub(crate) fn in_force(&self) -> io::Result<Isolation> {
        if self.container {
            let uid = Some(self.run_uid.unwrap_or(nix::unistd::geteuid().as_raw()));
            return Ok(Isolation { kind: IsolationKind::Container, uid, landlock_abi: None });
        }
        let landlock_abi = match (self.landlock, landlock_abi()) {
            (false, _) => None,
            (true, Some(abi)) => Some(abi),
            (true, None) => {
                return Err(io::Error::new(
                    io::ErrorKind::Unsupported,
                    "this kernel has no Landlock to confine runs with",
                ));
            }
        };
        let kind = match (self.run_uid, landlock_abi) {
            (Some(_), _) => IsolationKind::Uid,
            (None, Some(_)) => IsolationKind::Landlock,
            (None, None) => IsolationKind::None,
        };
        Ok(Isolation { kind, uid: self.run_uid, landlock_abi })
    }
}

/// Finds the version of Landlock that this kernel enforces; `None` where it enforces nothing.
///
/// It is tried and not asked: a thread of its own restricts itself and ends.
pub fn landlock_abi() -> Option<u32> {
    let tried = std::thread::spawn(|| {
        let status = Ruleset::default()
            .set_compatibility(landlock::CompatLevel::BestEffort)
            .handle_access(AccessFs::from_all(ABI::V1))
            .ok()?
            .create()
            .ok()?
            .no_new_privs(true)
            .restrict_self()
            .ok()?;
        match (status.ruleset, status.landlock) {
            (
                RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced,
                LandlockStatus::Available { effective_abi, kernel_abi },
            ) => u32::try_from(kernel_abi.unwrap_or(effective_abi as i32)).ok(),
            _ => None,
        }
    });
    tried.join().ok().flatten()
}
