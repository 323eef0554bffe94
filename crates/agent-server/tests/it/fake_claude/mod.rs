//! The stand-in for Claude Code, as a process: what it prints, how it ends, what it leaves behind.

mod flags;
mod script;
mod signals;

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;
use uuid::Uuid;

/// How long anything may take before a test gives up.
const PATIENCE: Duration = Duration::from_secs(30);

/// The flags that the platform gives.
const STREAMING: &[&str] = &["-p", "--output-format=stream-json", "--verbose"];

/// A HOME and a working directory for runs.
struct Place {
    home: TempDir,
    workspace: TempDir,
}

impl Place {
    fn new() -> Self {
        Self { home: tempfile::tempdir().unwrap(), workspace: tempfile::tempdir().unwrap() }
    }

    fn start(&self, flags: &[&str], prompt: &str) -> Run {
        self.start_in(self.workspace.path(), flags, prompt, &[])
    }

    fn start_in(&self, cwd: &Path, flags: &[&str], prompt: &str, env: &[(&str, &str)]) -> Run {
        let mark = Uuid::new_v4().to_string();
        let mut child = Command::new(env!("CARGO_BIN_EXE_trinity-agent"))
            .arg("fake-claude")
            .args(flags)
            .current_dir(cwd)
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("HOME", self.home.path())
            .env("MARK", &mark)
            // What the CLI asks for when its user is root; the tests may run as root.
            .env("IS_SANDBOX", "1")
            .envs(env.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let prompt = prompt.to_owned();
        // A run that needs no prompt does not read it.
        std::thread::spawn(move || stdin.write_all(prompt.as_bytes()));
        let stdout = Some(BufReader::new(child.stdout.take().unwrap()));
        Run { child, stdout, printed: Vec::new(), mark }
    }

    /// Runs to the end, with the flags that the platform gives.
    fn run(&self, prompt: &str) -> Ended {
        self.start(STREAMING, prompt).end()
    }
}

/// A run to the end in a place of its own.
fn run(prompt: &str) -> Ended {
    Place::new().run(prompt)
}

/// A run under way.
struct Run {
    child: Child,
    stdout: Option<BufReader<ChildStdout>>,
    printed: Vec<u8>,
    mark: String,
}

impl Run {
    /// Reads lines until one holds `text`.
    fn until(&mut self, text: &str) {
        let stdout = self.stdout.as_mut().unwrap();
        loop {
            let start = self.printed.len();
            let length = stdout.read_until(b'\n', &mut self.printed).unwrap();
            assert!(length > 0, "it ended before it printed {text:?}");
            if String::from_utf8_lossy(&self.printed[start..]).contains(text) {
                return;
            }
        }
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), signal).unwrap();
    }

    /// Reads the rest and waits for the end.
    fn end(mut self) -> Ended {
        let mut stderr = self.child.stderr.take().unwrap();
        let errors = std::thread::spawn(move || {
            let mut text = Vec::new();
            stderr.read_to_end(&mut text).unwrap();
            String::from_utf8_lossy(&text).into_owned()
        });
        if let Some(mut stdout) = self.stdout.take() {
            stdout.read_to_end(&mut self.printed).unwrap();
        }
        let status = eventually(|| self.child.try_wait().unwrap());
        Ended {
            code: status.code(),
            signal: status.signal(),
            printed: std::mem::take(&mut self.printed),
            stderr: errors.join().unwrap(),
        }
    }

    /// The processes, other than the run's own, that it or its children have started.
    fn offspring(&self) -> Vec<Pid> {
        let mark = format!("MARK={}", self.mark);
        let own = Pid::from_raw(self.child.id().try_into().unwrap());
        let is_marked = |pid: &Pid| {
            let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes())
        };
        let numbers = std::fs::read_dir("/proc").unwrap().filter_map(|entry| {
            entry.unwrap().file_name().to_str().and_then(|name| name.parse().ok())
        });
        numbers.map(Pid::from_raw).filter(|pid| *pid != own && is_marked(pid)).collect()
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        for pid in self.offspring() {
            // It may have ended by itself.
            let _ = kill(pid, Signal::SIGKILL);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A run that is over.
struct Ended {
    code: Option<i32>,
    signal: Option<i32>,
    printed: Vec<u8>,
    stderr: String,
}

impl Ended {
    /// The lines that are JSON.
    fn lines(&self) -> Vec<Value> {
        let lines = self.printed.split(|byte| *byte == b'\n');
        lines.filter_map(|line| serde_json::from_slice(line).ok()).collect()
    }

    fn of_type(&self, kind: &str) -> Vec<Value> {
        self.lines().into_iter().filter(|line| line["type"] == kind).collect()
    }

    /// The only result line.
    fn result(&self) -> Value {
        let mut results = self.of_type("result");
        assert_eq!(results.len(), 1, "{}", String::from_utf8_lossy(&self.printed));
        results.remove(0)
    }

    /// The answers of tools: text and whether it is an error.
    fn answers(&self) -> Vec<(String, bool)> {
        let content = |line: Value| line["message"]["content"][0].clone();
        let answer = |block: Value| {
            let text = block["content"].as_str()?.to_owned();
            Some((text, block["is_error"] == true))
        };
        self.of_type("user").into_iter().map(content).filter_map(answer).collect()
    }
}

/// Asks again and again until there is an answer.
fn eventually<T>(mut question: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(answer) = question() {
            return answer;
        }
        assert!(started.elapsed() < PATIENCE, "it did not happen in {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
