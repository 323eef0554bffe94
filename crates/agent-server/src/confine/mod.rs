//! The last stage before the program of a run: restricts itself, then becomes the program.
//!
//! It exists because a process can only restrict itself, and code between fork and exec would be
//! unsafe. What kept the program from starting goes back through a pipe that `exec` closes.

mod landlocked;

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use nix::sys::stat::{Mode, umask};

use crate::isolation::Reach;

/// The file mode mask of every run. The agent server's own is stricter.
const UMASK: u32 = 0o022;

/// How much sooner than others a run is ended when memory is short, of at most 1000. Its supervisor,
/// which would report that, must not be the one to go.
const OOM_SCORE: &str = "500";

/// The exit code when the program could not be started; the pipe says why.
const EXIT_NOT_STARTED: u8 = 127;

/// How to restrict, and what to become.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// An inherited descriptor that takes the error number as text if the program cannot start.
    #[arg(long)]
    status_fd: i32,
    /// Keeps the rights that set-user-id programs would give.
    #[arg(long, conflicts_with = "landlock")]
    allow_new_privileges: bool,
    /// Reaches only what is named here and what everybody may read.
    #[arg(long)]
    landlock: bool,
    /// What stays out of reach, whatever it is in.
    #[arg(long)]
    private: Vec<PathBuf>,
    /// What may be read and executed as well.
    #[arg(long)]
    readable: Vec<PathBuf>,
    /// What may be changed, private or not.
    #[arg(long)]
    writable: Vec<PathBuf>,
    /// Reads and executes everything: only changes are confined.
    #[arg(long)]
    reads_all: bool,
    /// What may be read and executed, and changed only in some folders.
    #[arg(long)]
    workspace: Option<PathBuf>,
    /// Those folders, as paths below the workspace.
    #[arg(long)]
    writable_folder: Vec<PathBuf>,
    /// The program and its arguments.
    #[arg(last = true, required = true)]
    argv: Vec<OsString>,
}

/// Adds the words that make [`main`] restrict itself so.
pub(crate) fn add_words(command: &mut Command, reach: &Reach) {
    command.arg("--landlock");
    if reach.reads_all {
        command.arg("--reads-all");
    }
    if let Some(workspace) = &reach.workspace {
        command.arg("--workspace").arg(workspace);
    }
    let lists = [
        ("--private", &reach.private),
        ("--readable", &reach.readable),
        ("--writable", &reach.writable),
        ("--writable-folder", &reach.writable_folders),
    ];
    for (word, paths) in lists {
        for path in paths {
            command.arg(word).arg(path);
        }
    }
}

/// Becomes the program; returns only when that fails.
pub(crate) fn main(args: Args) -> ExitCode {
    let mut status = match claim(args.status_fd) {
        Ok(status) => status,
        Err(error) => {
            eprintln!("error: cannot open the status pipe: {error}");
            return ExitCode::from(EXIT_NOT_STARTED);
        }
    };
    let error = become_program(args);
    let errno = error.raw_os_error().unwrap_or(0);
    if let Err(broken) = writeln!(status, "{errno} {error}") {
        eprintln!("error: cannot report {error}: {broken}");
    }
    ExitCode::from(EXIT_NOT_STARTED)
}

/// Takes over an inherited descriptor as one that `exec` closes.
fn claim(inherited: i32) -> io::Result<File> {
    let own = File::options().write(true).open(format!("/proc/self/fd/{inherited}"))?;
    nix::unistd::close(inherited)?;
    Ok(own)
}

fn become_program(args: Args) -> io::Error {
    umask(Mode::from_bits_truncate(UMASK));
    if !args.allow_new_privileges
        && let Err(errno) = nix::sys::prctl::set_no_new_privs()
    {
        return errno.into();
    }
    // Refused only where it is set higher already.
    let _as_it_is = std::fs::write("/proc/self/oom_score_adj", OOM_SCORE);
    let Some((program, arguments)) = args.argv.split_first() else {
        return io::ErrorKind::InvalidInput.into();
    };
    let reach = Reach {
        private: args.private,
        readable: args.readable,
        writable: args.writable,
        reads_all: args.reads_all,
        workspace: args.workspace,
        writable_folders: args.writable_folder,
    };
    if args.landlock
        && let Err(error) = landlocked::restrict(&reach, program)
    {
        return error;
    }
    Command::new(program).args(arguments).exec()
}
