//! Adapters with real child processes: the command they make is run, its lines are read, and the
//! verdict is checked.

mod real;
mod real_claude;
mod real_gemini;
mod scenarios;

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tempfile::TempDir;
use trinity::adapters::tools::ToolSet;
use trinity::adapters::{
    Adapter, Conclusion, Env, Event, Launcher, Parser, RunUser, Session, Surroundings, TaskSpec,
};
use trinity::domain::execution::{ErrorClass, Verdict};
use trinity_agent_protocol::{Exit, LineStream, StopReason};
use uuid::Uuid;

/// How long anything may take before a test gives up.
const PATIENCE: Duration = Duration::from_mins(1);
/// The user that a run gets when the tests are run by root.
const UID: u32 = 10_001;

/// A HOME, a workspace and a folder for files.
struct Place {
    folder: TempDir,
    secrets: Env,
}

impl Place {
    fn new(secrets: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["home", "workspace", "files"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Self { folder, secrets: Env(secrets.iter().map(owned).collect()) }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A fresh session with all tools, as far as the user of the tests may have them.
    fn task(&self, message: &str) -> TaskSpec {
        let is_root = nix::unistd::geteuid().is_root();
        TaskSpec {
            message: message.to_owned(),
            session: Session::New { id: Uuid::new_v4().to_string() },
            model: None,
            tools: ToolSet::Unrestricted,
            system_prompt: None,
            max_turns: None,
            protected_files: Vec::new(),
            mcp_config: None,
            files_dir: self.path("files").display().to_string(),
            surroundings: Surroundings {
                home: self.path("home").display().to_string(),
                path: "/usr/local/bin:/usr/bin:/bin".to_owned(),
                secrets: self.secrets.clone(),
                user: if is_root { RunUser::Root } else { RunUser::Unprivileged },
            },
        }
    }

    /// Gives everything in it to the unprivileged user.
    fn give_away(&self) {
        for name in ["home", "workspace", "files", ""] {
            std::os::unix::fs::chown(self.path(name), Some(UID), Some(UID)).unwrap();
        }
    }

    fn start(&self, adapter: &dyn Adapter, task: &TaskSpec) -> Run {
        self.start_as(None, adapter, task)
    }

    fn start_as(&self, uid: Option<u32>, adapter: &dyn Adapter, task: &TaskSpec) -> Run {
        let line = adapter.command(task);
        for file in &line.files {
            std::fs::write(self.path("files").join(&file.name), &file.content).unwrap();
        }
        let mut command = Command::new(&line.argv[0]);
        command
            .args(&line.argv[1..])
            .current_dir(self.path("workspace"))
            .env_clear()
            .envs(&line.env.0)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if let Some(uid) = uid {
            command.uid(uid).gid(uid);
        }
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        std::thread::spawn(move || stdin.write_all(line.stdin.as_bytes()));
        let (sender, lines) = channel();
        forward(child.stdout.take().unwrap(), LineStream::Stdout, sender.clone());
        forward(child.stderr.take().unwrap(), LineStream::Stderr, sender);
        let parser = adapter.parser();
        Run { child, lines, parser, seq: 0, events: Vec::new(), stderr: Vec::new() }
    }

    fn run(&self, adapter: &dyn Adapter, task: &TaskSpec) -> Conclusion {
        self.start(adapter, task).end(None)
    }
}

type Lines = Receiver<(LineStream, Vec<u8>)>;

fn forward(
    pipe: impl Read + Send + 'static,
    stream: LineStream,
    sender: Sender<(LineStream, Vec<u8>)>,
) {
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
            if sender.send((stream, line)).is_err() {
                return;
            }
        }
    });
}

/// A run under way.
struct Run {
    child: Child,
    lines: Lines,
    parser: Box<dyn Parser>,
    seq: u64,
    events: Vec<Event>,
    stderr: Vec<u8>,
}

impl Run {
    /// Reads one line; false at the end of both pipes.
    fn read(&mut self) -> bool {
        let (stream, line) = match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => line,
            Err(RecvTimeoutError::Disconnected) => return false,
            Err(RecvTimeoutError::Timeout) => panic!("no line in {PATIENCE:?}"),
        };
        self.seq += 1;
        if stream == LineStream::Stderr {
            self.stderr.extend(&line);
            self.stderr.push(b'\n');
        }
        let events = self.parser.parse(self.seq, stream, &line);
        assert!(!events.is_empty(), "every line is an event");
        self.events.extend(events);
        true
    }

    /// Reads until there is such an event.
    fn until(&mut self, is_it: impl Fn(&Event) -> bool) {
        while !self.events.iter().any(&is_it) {
            assert!(self.read(), "it ended with {:?}", self.events);
        }
    }

    fn signal(&self, signal: Signal) {
        killpg(Pid::from_raw(self.child.id().try_into().unwrap()), signal).unwrap();
    }

    /// Reads the rest and waits for the end, as the supervisor would tell it.
    fn end(self, stop_reason: Option<StopReason>) -> Conclusion {
        self.end_with_events(stop_reason).0
    }

    fn end_with_events(mut self, stop_reason: Option<StopReason>) -> (Conclusion, Vec<Event>) {
        while self.read() {}
        let status = eventually(|| self.child.try_wait().unwrap());
        let exit = Exit {
            code: status.code(),
            signal: status.signal(),
            ended_at: chrono::DateTime::UNIX_EPOCH,
            duration_ms: 1,
            stop_reason,
            lost: false,
            out_of_memory: false,
            last_seq: self.seq,
            swept: 0,
            dropped_lines: 0,
            stderr_tail: String::from_utf8_lossy(&self.stderr).into_owned(),
        };
        (self.parser.finish(&exit), std::mem::take(&mut self.events))
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn failure(conclusion: &Conclusion) -> (ErrorClass, &str) {
    match &conclusion.verdict {
        Verdict::Failed { class, error } => (*class, error),
        Verdict::Completed => panic!("it completed: {conclusion:?}"),
    }
}

fn response(conclusion: &Conclusion) -> &str {
    assert_eq!(conclusion.verdict, Verdict::Completed);
    conclusion.outcome.response.as_deref().unwrap()
}

/// Asks again and again until there is an answer.
fn eventually<T>(mut question: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(answer) = question() {
            return answer;
        }
        assert!(started.elapsed() < PATIENCE, "it did not happen in {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The processes whose working directory is below `folder`.
fn processes_in(folder: &Path) -> Vec<i32> {
    let numbers = std::fs::read_dir("/proc").unwrap().filter_map(|entry| {
        entry.unwrap().file_name().to_str().and_then(|name| name.parse::<i32>().ok())
    });
    let is_inside = |pid: &i32| {
        std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd.starts_with(folder))
    };
    numbers.filter(is_inside).collect()
}
