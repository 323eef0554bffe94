//! Starts the main process of a run.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::unistd::{Gid, Uid};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::{Receiver, Sender};
use trinity_agent_protocol::{
    EXECUTION_ID_VARIABLE, ErrorBody, ErrorCode, FileSpec, SpawnErrorClass, StartRequest,
};

use super::Spec;
use crate::workspace::Workspace;
use crate::{SELF_EXE, confine};

/// A started main process and the runner's ends of its pipes.
pub(super) struct Spawned {
    pub child: Child,
    pub stdin: Sender,
    pub stdout: Receiver,
    pub stderr: Receiver,
}

/// Starts the program through the `confine` stage and waits until it is the program.
pub(super) async fn spawn(spec: &Spec) -> Result<Spawned, ErrorBody> {
    let request = &spec.request;
    let directory = request.cwd.as_deref().unwrap_or(&spec.workspace);
    if !Path::new(directory).is_dir() {
        let message = format!("the working directory {directory} does not exist");
        return Err(failure(SpawnErrorClass::WorkingDirectory, None, message));
    }
    if request.allow_new_privileges && spec.confinement.reach.is_some() {
        let message = "a run that Landlock confines cannot gain privileges";
        return Err(failure(SpawnErrorClass::Other, None, message.into()));
    }
    make_writable_folders(spec).map_err(|error| {
        let message = format!("cannot make a folder that the run may change: {error}");
        failure(SpawnErrorClass::Other, error.raw_os_error(), message)
    })?;
    write_files(spec).map_err(|error| {
        failure(
            SpawnErrorClass::State,
            error.raw_os_error(),
            format!("cannot write files: {error}"),
        )
    })?;
    start(spec, directory).await
}

async fn start(spec: &Spec, directory: &str) -> Result<Spawned, ErrorBody> {
    let (mut child, streams, status) = launch(spec, directory).map_err(|e| not_spawned(&e))?;
    let mut said = String::new();
    let read = match Receiver::from_owned_fd(status) {
        Ok(mut status) => status.read_to_string(&mut said).await,
        Err(error) => Err(error),
    };
    if let Err(error) = read {
        return Err(not_spawned(&error));
    }
    if said.is_empty() {
        return Spawned::new(child, streams).map_err(|e| not_spawned(&e));
    }
    let _ = child.wait();
    Err(not_executed(&spec.request, &said))
}

/// Starts the `confine` stage. Every end of a pipe that it has is closed here on return: as long as
/// one is open, that pipe does not end.
fn launch(spec: &Spec, directory: &str) -> io::Result<(Child, Streams, OwnedFd)> {
    let (status, status_of_child) = status_pipe(spec)?;
    let mut command = command(spec, directory, &status_of_child);
    let streams = connect(&mut command, spec)?;
    Ok((command.spawn()?, streams, status))
}

impl Spawned {
    fn new(child: Child, streams: Streams) -> io::Result<Self> {
        Ok(Self {
            child,
            stdin: Sender::from_owned_fd(streams.stdin)?,
            stdout: Receiver::from_owned_fd(streams.stdout)?,
            stderr: Receiver::from_owned_fd(streams.stderr)?,
        })
    }
}

fn command(spec: &Spec, directory: &str, status: &OwnedFd) -> Command {
    let request = &spec.request;
    let mut command = Command::new(SELF_EXE);
    command.arg("confine").arg("--status-fd").arg(status.as_raw_fd().to_string());
    if request.allow_new_privileges {
        command.arg("--allow-new-privileges");
    }
    if let Some(reach) = spec.reach() {
        confine::add_words(&mut command, &reach);
        command.arg("--writable").arg(spec.files_folder());
    }
    command.arg("--").args(&request.argv);
    command.env_clear().envs(&request.env).env(EXECUTION_ID_VARIABLE, &spec.id);
    command.current_dir(directory).process_group(0);
    if let Some(gid) = spec.gid() {
        command.gid(gid);
    }
    if let Some(uid) = spec.uid() {
        command.uid(uid);
    }
    command
}

/// Makes the pipe through which `confine` says why it could not become the program.
///
/// Its write end is inherited: this process starts no other one meanwhile.
fn status_pipe(spec: &Spec) -> io::Result<(OwnedFd, OwnedFd)> {
    let (read, write) = nix::unistd::pipe2(OFlag::empty())?;
    fcntl(&read, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
    give(&write, spec)?;
    Ok((read, write))
}

/// Gives a pipe to the user of the run: only its owner may open it again by path, as `confine` does
/// with the status pipe and a shell with `/dev/stderr`.
fn give(pipe: impl AsFd, spec: &Spec) -> io::Result<()> {
    let (uid, gid) = (spec.uid().map(Uid::from_raw), spec.gid().map(Gid::from_raw));
    if uid.is_some() || gid.is_some() {
        nix::unistd::fchown(pipe, uid, gid)?;
    }
    Ok(())
}

/// The runner's ends of the three standard streams of a run.
struct Streams {
    stdin: OwnedFd,
    stdout: OwnedFd,
    stderr: OwnedFd,
}

/// Gives the command its standard streams, each a pipe that belongs to the user of the run.
fn connect(command: &mut Command, spec: &Spec) -> io::Result<Streams> {
    let (read_stdin, stdin) = io::pipe()?;
    let (stdout, write_stdout) = io::pipe()?;
    let (stderr, write_stderr) = io::pipe()?;
    give(&read_stdin, spec)?;
    give(&write_stdout, spec)?;
    give(&write_stderr, spec)?;
    command.stdin(read_stdin).stdout(write_stdout).stderr(write_stderr);
    Ok(Streams { stdin: stdin.into(), stdout: stdout.into(), stderr: stderr.into() })
}

/// The run itself cannot make them: they are in what it may not change.
fn make_writable_folders(spec: &Spec) -> io::Result<()> {
    let Some(folders) = &spec.request.writable_folders else { return Ok(()) };
    let workspace = Workspace::open(Path::new(&spec.workspace), spec.uid())?;
    folders.iter().try_for_each(|folder| workspace.make_folders(folder).map(drop))
}

fn write_files(spec: &Spec) -> io::Result<()> {
    if spec.request.files.is_empty() {
        return Ok(());
    }
    let folder = spec.files_folder();
    crate::state::create_private_folder(&folder)?;
    for file in &spec.request.files {
        write_file(&folder, file, spec)?;
    }
    // Last, so that nobody but the owner of the run ever looks into a half-filled folder.
    chown(&folder, spec.uid(), spec.gid())
}

fn write_file(folder: &Path, file: &FileSpec, spec: &Spec) -> io::Result<()> {
    let path = folder.join(&file.name);
    let mut open = OpenOptions::new().mode(0o600).write(true).create_new(true).open(&path)?;
    open.write_all(file.content.as_bytes())?;
    open.set_permissions(fs::Permissions::from_mode(file.mode & 0o777))?;
    chown(&path, spec.uid(), spec.gid())
}

fn failure(class: SpawnErrorClass, errno: Option<i32>, message: String) -> ErrorBody {
    ErrorBody { class: Some(class), errno, ..ErrorBody::new(ErrorCode::SpawnFailed, message) }
}

/// The process could not be made at all: the program itself was not tried yet.
pub(crate) fn not_spawned(error: &io::Error) -> ErrorBody {
    let errno = error.raw_os_error();
    let class = match errno.map(Errno::from_raw) {
        Some(Errno::E2BIG) => SpawnErrorClass::TooBig,
        Some(Errno::EACCES | Errno::ENOENT | Errno::ENOTDIR) => SpawnErrorClass::WorkingDirectory,
        Some(errno) if is_shortage(errno) => SpawnErrorClass::Resources,
        _ => SpawnErrorClass::Other,
    };
    failure(class, errno, format!("cannot start a process: {error}"))
}

/// Reads what `confine` said: the error number, a space, its text.
fn not_executed(request: &StartRequest, said: &str) -> ErrorBody {
    let program = request.argv.first().map_or("", String::as_str);
    let (number, text) = said.trim_end().split_once(' ').unwrap_or(("", said));
    let errno = number.parse().ok().filter(|errno| *errno != 0);
    let class = match errno.map(Errno::from_raw) {
        Some(Errno::ENOENT | Errno::ENOTDIR) => SpawnErrorClass::NotFound,
        // A search that met a folder it may not enter ends so although the program is nowhere.
        Some(Errno::EACCES) if is_nowhere(program, request) => SpawnErrorClass::NotFound,
        Some(Errno::EACCES | Errno::EPERM | Errno::ENOEXEC) => SpawnErrorClass::NotExecutable,
        Some(Errno::E2BIG) => SpawnErrorClass::TooBig,
        Some(errno) if is_shortage(errno) => SpawnErrorClass::Resources,
        _ => SpawnErrorClass::Other,
    };
    failure(class, errno, format!("cannot execute {program}: {text}"))
}

/// Whether a program that is searched for stands in no folder of the search path.
fn is_nowhere(program: &str, request: &StartRequest) -> bool {
    let folders = request.env.get("PATH").map_or("", String::as_str).split(':');
    !program.contains('/')
        && !folders.into_iter().any(|folder| Path::new(folder).join(program).exists())
}

fn is_shortage(errno: Errno) -> bool {
    matches!(errno, Errno::EAGAIN | Errno::ENOMEM | Errno::EMFILE | Errno::ENFILE)
}
