//! Restricts this process, and so the run that it becomes, by Landlock.
//!
//! Landlock only allows: what is not named is out of reach. A private folder is kept out by naming
//! the neighbours on the way to it instead of what it is in.

use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, BitFlags, PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreated,
    RulesetCreatedAttr, RulesetError, RulesetStatus, Scope, make_bitflags,
};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};
use rustix::io::Errno;
use rustix::thread::{CapabilitySet, remove_capability_from_bounding_set};

use crate::SELF_EXE;
use crate::isolation::Reach;

/// The newest version whose rights are asked for; an older kernel enforces those it knows.
const ABI_NEWEST: ABI = ABI::V9;

/// What every program may read and execute: the system, and nobody's data.
const SYSTEM_PATHS: [&str; 21] = [
    "/bin",
    "/etc",
    "/lib",
    "/lib32",
    "/lib64",
    "/nix/store",
    "/opt",
    "/proc",
    "/run/NetworkManager/resolv.conf",
    "/run/current-system",
    "/run/resolvconf",
    "/run/systemd/resolve",
    "/sbin",
    "/snap",
    "/sys/devices/system",
    "/sys/fs/cgroup",
    "/sys/kernel/mm",
    "/usr",
    "/var/lib/ca-certificates",
    "/var/lib/dpkg",
    "/var/lib/snapd",
];

/// Devices that hold nothing of anybody.
const DEVICES: [&str; 8] = [
    "/dev/full",
    "/dev/null",
    "/dev/ptmx",
    "/dev/pts",
    "/dev/random",
    "/dev/tty",
    "/dev/urandom",
    "/dev/zero",
];

/// Memory shared by name, which semaphores need. Names are unlisted, so only who knows one gets it.
const SHARED_MEMORY: &str = "/dev/shm";

/// Beside a folder of programs, what they load.
const LIBRARIES: [&str; 3] = ["lib", "lib64", "libexec"];

/// The folder of Node.js packages; a program in one needs its neighbours.
const NODE_PACKAGES: &str = "node_modules";

/// How many entries one folder on the way to a private one may have; the rest is out of reach.
const NEIGHBOURS_MAX: usize = 4_096;

/// What one rule allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Right {
    Read,
    Write,
    Device,
    SharedMemory,
}

impl Right {
    fn access(self) -> BitFlags<AccessFs> {
        match self {
            Self::Read => AccessFs::from_read(ABI_NEWEST),
            // Devices are made by nobody, root included.
            Self::Write => {
                AccessFs::from_all(ABI_NEWEST) & !(AccessFs::MakeBlock | AccessFs::MakeChar)
            }
            Self::Device => {
                make_bitflags!(AccessFs::{ReadFile | WriteFile | ReadDir | Truncate | IoctlDev})
            }
            Self::SharedMemory => {
                make_bitflags!(AccessFs::{
                    ReadFile | WriteFile | Truncate | MakeReg | RemoveFile
                })
            }
        }
    }
}

/// Restricts the calling process; what it becomes inherits it and cannot undo it.
///
/// # Errors
/// When the kernel does not enforce it: the program must not run then.
pub(super) fn restrict(reach: &Reach, program: &OsStr) -> io::Result<()> {
    if nix::unistd::geteuid().is_root() {
        give_up_capabilities()?;
    }
    // Opened first: a rule is for what is there, whatever its path leads to later.
    let folders = writable_folders(reach)?;
    let handled = if reach.reads_all {
        AccessFs::from_write(ABI_NEWEST)
    } else {
        AccessFs::from_all(ABI_NEWEST)
    };
    let status = enforce(handled, &rules(reach, program), folders).map_err(io::Error::other)?;
    match status {
        RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced => Ok(()),
        RulesetStatus::NotEnforced => {
            Err(io::Error::new(io::ErrorKind::Unsupported, "this kernel enforces no Landlock"))
        }
    }
}

/// Makes the program of root one without root's capabilities.
///
/// With them a run passes by Landlock: `CAP_PERFMON` reads the environment of every process, and
/// others load modules. The program gets only what is in the bounding set.
fn give_up_capabilities() -> io::Result<()> {
    for bit in 0..u64::BITS {
        let capability = CapabilitySet::from_bits_retain(1 << bit);
        match remove_capability_from_bounding_set(capability) {
            // The kernel knows no more of them.
            Err(Errno::INVAL) => break,
            other => other?,
        }
    }
    Ok(())
}

/// Opens the folders of the workspace that may be changed. The run may have filled it with links: none
/// is followed, and a folder that is none is left out.
fn writable_folders(reach: &Reach) -> io::Result<Vec<OwnedFd>> {
    let Some(workspace) = &reach.workspace else { return Ok(Vec::new()) };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let workspace = openat(CWD, workspace, flags, Mode::empty())?;
    let inside = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    let open = |folder: &PathBuf| openat2(&workspace, folder, flags, Mode::empty(), inside).ok();
    Ok(reach.writable_folders.iter().filter_map(open).collect())
}

fn enforce(
    handled: BitFlags<AccessFs>,
    rules: &[(PathBuf, Right)],
    writable: Vec<OwnedFd>,
) -> Result<RulesetStatus, RulesetError> {
    let mut ruleset =
        Ruleset::default().handle_access(handled)?.scope(Scope::from_all(ABI_NEWEST))?.create()?;
    for (path, right) in rules {
        let access = right.access() & handled;
        if !access.is_empty() {
            ruleset = allow(ruleset, path, access)?;
        }
    }
    for folder in writable {
        ruleset = ruleset.add_rule(PathBeneath::new(folder, Right::Write.access() & handled))?;
    }
    Ok(ruleset.restrict_self()?.ruleset)
}

/// Adds a rule; what cannot be opened is not there for the run either.
fn allow(
    ruleset: RulesetCreated,
    path: &Path,
    access: BitFlags<AccessFs>,
) -> Result<RulesetCreated, RulesetError> {
    match PathFd::new(path) {
        Ok(opened) => ruleset.add_rule(PathBeneath::new(opened, access)),
        Err(_) => Ok(ruleset),
    }
}

/// Everything that is allowed.
fn rules(reach: &Reach, program: &OsStr) -> Vec<(PathBuf, Right)> {
    let folders = program_folders();
    let found = find_program(program, &folders);
    let system = SYSTEM_PATHS.map(PathBuf::from).into_iter();
    let read = system
        .chain(reach.readable.iter().map(|path| whole(path)))
        .chain(folders.iter().flat_map(|folder| with_libraries(folder)))
        .chain(found.map(|path| package_of(&path)))
        .flat_map(|path| without_private(&path, &reach.private))
        .map(|path| (path, Right::Read));
    let devices = DEVICES.map(|path| (PathBuf::from(path), Right::Device));
    let shared = Some(PathBuf::from(SHARED_MEMORY))
        .filter(|path| reach.private.iter().all(|private| !private.starts_with(path)))
        .map(|path| (path, Right::SharedMemory));
    let own = reach.writable.iter().map(|path| (path.clone(), Right::Write));
    // Private or not, like what may be changed.
    let workspace = reach.workspace.iter().map(|path| (path.clone(), Right::Read));
    // This very executable, which runs start as a helper, also when its file was replaced.
    let own_executable = (PathBuf::from(SELF_EXE), Right::Read);
    read.chain(devices).chain(shared).chain(own).chain(workspace).chain([own_executable]).collect()
}

/// The folders in which the run looks for programs; the environment here is the run's own.
fn program_folders() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).filter(|folder| folder.is_absolute()).collect()
}

fn with_libraries(folder: &Path) -> Vec<PathBuf> {
    let prefix = folder.parent().filter(|_| folder.ends_with("bin"));
    let libraries = prefix.into_iter().flat_map(|prefix| LIBRARIES.map(|name| prefix.join(name)));
    libraries.chain([folder.to_owned()]).collect()
}

fn find_program(program: &OsStr, folders: &[PathBuf]) -> Option<PathBuf> {
    let named = Path::new(program);
    let candidates = match named.components().count() {
        1 if !named.is_absolute() => folders.iter().map(|folder| folder.join(named)).collect(),
        _ => vec![named.to_owned()],
    };
    candidates.into_iter().find_map(|path| path.canonicalize().ok().filter(|path| path.is_file()))
}

/// What was named, and what it needs when it is a program.
fn whole(named: &Path) -> PathBuf {
    let is_file = named.canonicalize().ok().filter(|path| path.is_file());
    is_file.map_or_else(|| named.to_owned(), |path| package_of(&path))
}

/// A program that is a file of a Node.js package needs all packages beside it; others only themselves.
fn package_of(program: &Path) -> PathBuf {
    let packages = program.ancestors().filter(|folder| folder.ends_with(NODE_PACKAGES)).last();
    packages.unwrap_or(program).to_owned()
}

/// Gives `path`, or what is beside the private folders in it; nothing inside a private folder.
fn without_private(path: &Path, private: &[PathBuf]) -> Vec<PathBuf> {
    // A link leads where it leads.
    let Ok(path) = path.canonicalize() else { return Vec::new() };
    if private.iter().any(|private| path.starts_with(private)) {
        return Vec::new();
    }
    if !private.iter().any(|private| private.starts_with(&path)) {
        return vec![path];
    }
    let Ok(entries) = std::fs::read_dir(&path) else { return Vec::new() };
    entries
        .take(NEIGHBOURS_MAX)
        .filter_map(|entry| Some(entry.ok()?.path()))
        .flat_map(|neighbour| without_private(&neighbour, private))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_private_folder_is_left_out_of_what_it_is_in() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        for folder in ["opt/tool", "opt/trinity/data", "opt/trinity/bin"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        let private = [root.join("opt/trinity/data")];
        let mut left = without_private(&root.join("opt"), &private);
        left.sort();
        assert_eq!(left, [root.join("opt/tool"), root.join("opt/trinity/bin")]);
        assert_eq!(without_private(&root.join("opt/tool"), &private), [root.join("opt/tool")]);
        assert!(without_private(&root.join("opt/trinity/data"), &private).is_empty());
    }

    #[test]
    fn a_link_into_a_private_folder_opens_nothing() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("data/secret")).unwrap();
        std::os::unix::fs::symlink(root.join("data"), root.join("link")).unwrap();
        let private = [root.join("data")];
        assert!(without_private(&root.join("link"), &private).is_empty());
        assert!(without_private(&root.join("link/secret"), &private).is_empty());
    }

    #[test]
    fn a_node_program_brings_its_packages_and_others_only_themselves() {
        let gemini = Path::new("/home/a/lib/node_modules/@google/gemini-cli/dist/index.js");
        assert_eq!(package_of(gemini), Path::new("/home/a/lib/node_modules"));
        assert_eq!(package_of(Path::new("/home/a/bin/claude")), Path::new("/home/a/bin/claude"));
    }

    #[test]
    fn programs_bring_the_libraries_beside_them() {
        let all = with_libraries(Path::new("/home/a/node/bin"));
        assert!(
            all.contains(&"/home/a/node/lib".into()) && all.contains(&"/home/a/node/bin".into())
        );
        assert_eq!(with_libraries(Path::new("/home/a/tools")), [Path::new("/home/a/tools")]);
    }
}
