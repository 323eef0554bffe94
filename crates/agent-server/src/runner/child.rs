//! Starts the main process of a run.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::unistd::{Gid, Uid};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::{Receiver, Sender};
use trinity_agent_protocol::{
    EXECUTION_ID_VARIABLE, ErrorBody, ErrorCode, FileSpec, SpawnErrorClass, StartRequest,
};

use super::Spec;
use crate::SELF_EXE;

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
    write_files(&spec.files_folder(), request).map_err(|error| {
        failure(
            SpawnErrorClass::State,
            error.raw_os_error(),
            format!("cannot write files: {error}"),
        )
    })?;
    start(spec, directory).await
}

async fn start(spec: &Spec, directory: &str) -> Result<Spawned, ErrorBody> {
    let (status, status_of_child) = status_pipe(&spec.request).map_err(|e| not_spawned(&e))?;
    let mut child =
        command(spec, directory, &status_of_child).spawn().map_err(|e| not_spawned(&e))?;
    // As long as this end is open, the pipe does not end.
    drop(status_of_child);
    let pipes = async_pipes(&mut child).map_err(|e| not_spawned(&e))?;
    let mut said = String::new();
    let read = match Receiver::from_owned_fd(status) {
        Ok(mut status) => status.read_to_string(&mut said).await,
        Err(error) => Err(error),
    };
    if let Err(error) = read {
        return Err(not_spawned(&error));
    }
    if said.is_empty() {
        let (stdin, stdout, stderr) = pipes;
        return Ok(Spawned { child, stdin, stdout, stderr });
    }
    let _ = child.wait();
    let program = spec.request.argv.first().map_or("", String::as_str);
    Err(not_executed(program, &said))
}

fn command(spec: &Spec, directory: &str, status: &OwnedFd) -> Command {
    let request = &spec.request;
    let mut command = Command::new(SELF_EXE);
    command.arg("confine").arg("--status-fd").arg(status.as_raw_fd().to_string());
    if request.allow_new_privileges {
        command.arg("--allow-new-privileges");
    }
    command.arg("--").args(&request.argv);
    command.env_clear().envs(&request.env).env(EXECUTION_ID_VARIABLE, &spec.id);
    command.current_dir(directory).process_group(0);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    if let Some(gid) = request.gid {
        command.gid(gid);
    }
    if let Some(uid) = request.uid {
        command.uid(uid);
    }
    command
}

/// Makes the pipe through which `confine` says why it could not become the program.
///
/// Its write end is inherited: this process starts no other one meanwhile.
fn status_pipe(request: &StartRequest) -> io::Result<(OwnedFd, OwnedFd)> {
    let (read, write) = nix::unistd::pipe2(OFlag::empty())?;
    fcntl(&read, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
    if request.uid.is_some() || request.gid.is_some() {
        // `confine` opens it again by path, which only the owner of the pipe may do.
        let (uid, gid) = (request.uid.map(Uid::from_raw), request.gid.map(Gid::from_raw));
        nix::unistd::fchown(&write, uid, gid)?;
    }
    Ok((read, write))
}

fn async_pipes(child: &mut Child) -> io::Result<(Sender, Receiver, Receiver)> {
    let missing = || io::Error::other("the process has no pipe");
    let stdin = OwnedFd::from(child.stdin.take().ok_or_else(missing)?);
    let stdout = OwnedFd::from(child.stdout.take().ok_or_else(missing)?);
    let stderr = OwnedFd::from(child.stderr.take().ok_or_else(missing)?);
    Ok((
        Sender::from_owned_fd(stdin)?,
        Receiver::from_owned_fd(stdout)?,
        Receiver::from_owned_fd(stderr)?,
    ))
}

fn write_files(folder: &PathBuf, request: &StartRequest) -> io::Result<()> {
    if request.files.is_empty() {
        return Ok(());
    }
    crate::state::create_private_folder(folder)?;
    for file in &request.files {
        write_file(folder, file, request)?;
    }
    // Last, so that nobody but the owner of the run ever looks into a half-filled folder.
    chown(folder, request.uid, request.gid)
}

fn write_file(folder: &Path, file: &FileSpec, request: &StartRequest) -> io::Result<()> {
    let path = folder.join(&file.name);
    let mut open = OpenOptions::new().mode(0o600).write(true).create_new(true).open(&path)?;
    open.write_all(file.content.as_bytes())?;
    open.set_permissions(fs::Permissions::from_mode(file.mode & 0o777))?;
    chown(&path, request.uid, request.gid)
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
fn not_executed(program: &str, said: &str) -> ErrorBody {
    let (number, text) = said.trim_end().split_once(' ').unwrap_or(("", said));
    let errno = number.parse().ok().filter(|errno| *errno != 0);
    let class = match errno.map(Errno::from_raw) {
        Some(Errno::ENOENT | Errno::ENOTDIR) => SpawnErrorClass::NotFound,
        Some(Errno::EACCES | Errno::EPERM | Errno::ENOEXEC) => SpawnErrorClass::NotExecutable,
        Some(Errno::E2BIG) => SpawnErrorClass::TooBig,
        Some(errno) if is_shortage(errno) => SpawnErrorClass::Resources,
        _ => SpawnErrorClass::Other,
    };
    failure(class, errno, format!("cannot execute {program}: {text}"))
}

fn is_shortage(errno: Errno) -> bool {
    matches!(errno, Errno::EAGAIN | Errno::ENOMEM | Errno::EMFILE | Errno::ENFILE)
}
