//! An agent server in a folder of its own, a client of it, and a look at the process table.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};
use trinity_agent_protocol::{
    ErrorBody, ExecutionStatus, Exit, OutputLine, StartRequest, StopReason, StopRequest, paths,
};
use trinity_agent_server::{Process, runner_lives};
use uuid::Uuid;

/// How long a test waits for what must happen.
const WAIT: Duration = Duration::from_mins(1);

/// Starts a tool in a session of its own that ignores what can be ignored, and waits until it does.
pub(crate) const TOOL: &str = "(setsid sh -c 'trap \"\" INT TERM HUP; echo > up; sleep 1000; sleep 1000' >/dev/null 2>&1 &); \
     until [ -e up ]; do sleep 0.01; done; ";

/// An answer: the code, and the body or the refusal.
pub(crate) type Answer<T> = (StatusCode, Result<T, ErrorBody>);

/// A folder with an agent server that can be killed and started again.
pub(crate) struct Server {
    pub folder: TempDir,
    child: Option<Child>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let mut server = Self { folder: tempfile::tempdir().unwrap(), child: None };
        std::fs::create_dir(server.workspace()).unwrap();
        server.start_again(&[]).await;
        server
    }

    /// Starts the agent server, through `launcher` if there is one, and waits until it serves.
    pub(crate) async fn start_again(&mut self, launcher: &[&str]) {
        let mut words: Vec<&str> = launcher.to_vec();
        words.push(env!("CARGO_BIN_EXE_trinity-agent"));
        let mut child = self.command(&words).stdout(Stdio::piped()).spawn().unwrap();
        let mut ready = String::new();
        let stdout = child.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut ready).await.unwrap();
        assert!(ready.contains("pid"), "the agent server did not start: {ready:?}");
        self.child = Some(child);
    }

    /// The command that starts an agent server on this folder.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).arg("serve").arg("--state").arg(self.state());
        command.arg("--socket").arg(self.socket()).arg("--workspace").arg(self.workspace());
        command.arg("--files").arg(self.folder.path().join("files"));
        command.args(["--incarnation", "test"]).kill_on_drop(true);
        command
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("s/agent.sock")
    }

    pub(crate) fn workspace(&self) -> PathBuf {
        self.folder.path().join("workspace")
    }

    pub(crate) fn pid(&self) -> i32 {
        i32::try_from(self.child.as_ref().unwrap().id().unwrap()).unwrap()
    }

    /// Leaves the agent server to itself.
    pub(crate) fn leave(&mut self) -> Child {
        self.child.take().unwrap()
    }

    /// Waits until the agent server has ended, whatever ended it.
    pub(crate) async fn ended(&mut self) -> std::process::ExitStatus {
        self.child.take().unwrap().wait().await.unwrap()
    }

    pub(crate) async fn kill(&mut self) {
        signal(self.pid(), Signal::SIGKILL);
        self.ended().await;
    }

    pub(crate) async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: impl Into<Bytes>,
    ) -> Answer<T> {
        let (status, body) = self.raw(method, path, body.into()).await;
        if status.is_success() {
            (status, Ok(serde_json::from_slice(&body).unwrap()))
        } else {
            (status, Err(serde_json::from_slice(&body).unwrap()))
        }
    }

    pub(crate) async fn raw(&self, method: Method, path: &str, body: Bytes) -> (StatusCode, Bytes) {
        let stream = UnixStream::connect(self.socket()).await.unwrap();
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let request = Request::builder().method(method).uri(path).header("host", "agent");
        let request = request.body(Full::new(body)).unwrap();
        let answer = sender.send_request(request).await.unwrap();
        (answer.status(), answer.into_body().collect().await.unwrap().to_bytes())
    }

    pub(crate) async fn put(&self, id: &str, request: &StartRequest) -> Answer<ExecutionStatus> {
        self.call(Method::PUT, &paths::execution(id), json(request)).await
    }

    /// Starts a run that must start.
    pub(crate) async fn run(&self, request: &StartRequest) -> String {
        let id = Uuid::new_v4().to_string();
        let (code, answer) = self.put(&id, request).await;
        assert_eq!(code, StatusCode::CREATED, "{answer:?}");
        id
    }

    /// Runs a request to its end.
    pub(crate) async fn exit_of(&self, request: &StartRequest) -> (String, Exit) {
        let id = self.run(request).await;
        let exit = self.ended_run(&id).await.exit.unwrap();
        (id, exit)
    }

    pub(crate) async fn status(&self, id: &str) -> ExecutionStatus {
        let (_, answer) = self.call(Method::GET, &paths::execution(id), "").await;
        answer.unwrap()
    }

    pub(crate) async fn stop(&self, id: &str, epoch: u64, force: bool) -> Answer<ExecutionStatus> {
        let request = StopRequest { epoch, reason: StopReason::Cancel, force };
        self.call(Method::POST, &paths::stop(id), json(&request)).await
    }

    pub(crate) async fn delete(&self, id: &str) -> StatusCode {
        self.raw(Method::DELETE, &paths::execution(id), Bytes::new()).await.0
    }

    pub(crate) async fn lines(&self, path: &str) -> Vec<OutputLine> {
        let (code, body) = self.raw(Method::GET, path, Bytes::new()).await;
        assert_eq!(code, StatusCode::OK);
        let lines = body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines.map(|line| serde_json::from_slice(line).unwrap()).collect()
    }

    /// Every line of a run, waiting for its end.
    pub(crate) async fn output(&self, id: &str) -> Vec<OutputLine> {
        self.lines(&paths::follow(id, 0)).await
    }

    /// The lines that a run has written by now.
    pub(crate) async fn output_so_far(&self, id: &str) -> Vec<OutputLine> {
        self.lines(&paths::output(id, 0, 1_000)).await
    }

    pub(crate) async fn ended_run(&self, id: &str) -> ExecutionStatus {
        self.wait_status(id, |status| status.state.is_final()).await
    }

    /// Waits until the run has written its first line, so its script has come that far.
    pub(crate) async fn is_up(&self, id: &str) -> ExecutionStatus {
        self.wait_status(id, |status| status.last_seq > 0).await
    }

    pub(crate) async fn wait_status(
        &self,
        id: &str,
        holds: impl Fn(&ExecutionStatus) -> bool,
    ) -> ExecutionStatus {
        wait_for(async || Some(self.status(id).await).filter(&holds)).await
    }
}

impl Drop for Server {
    /// Kills the agent server and waits for its runners, which then clean up by themselves.
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // It may have ended by itself.
            let _ = child.start_kill();
        }
        for _ in 0..500 {
            if !runner_lives(&self.state()).unwrap_or(false) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// A run of a shell command with a minute to end and half a second of grace.
pub(crate) fn shell(script: &str) -> StartRequest {
    StartRequest {
        epoch: 1,
        argv: vec!["sh".into(), "-c".into(), script.into()],
        env: BTreeMap::from([("PATH".into(), "/usr/bin:/bin".into())]),
        stdin: String::new(),
        files: Vec::new(),
        masked: Vec::new(),
        cwd: None,
        timeout_ms: 60_000,
        grace_ms: 500,
        deadline: now() + TimeDelta::minutes(10),
        uid: None,
        gid: None,
        allow_new_privileges: false,
        writable_folders: None,
    }
}

#[expect(clippy::disallowed_methods, reason = "a test makes deadlines for a real clock")]
pub(crate) fn now() -> DateTime<Utc> {
    Utc::now()
}

pub(crate) fn json(value: &impl Serialize) -> Bytes {
    serde_json::to_vec(value).unwrap().into()
}

/// Looks again and again until there is something to see.
pub(crate) async fn wait_for<T>(look: impl AsyncFn() -> Option<T>) -> T {
    tokio::time::timeout(WAIT, async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .expect("what was waited for did not happen")
}

pub(crate) fn signal(pid: i32, signal: Signal) {
    kill(Pid::from_raw(pid), signal).unwrap();
}

/// The processes that carry the id of a run, zombies left out: those have no environment.
pub(crate) fn processes_of(id: &str) -> Vec<i32> {
    let wanted = format!("TRINITY_EXECUTION_ID={id}");
    let carries = |pid: &i32| {
        std::fs::read(format!("/proc/{pid}/environ"))
            .is_ok_and(|all| all.split(|byte| *byte == 0).any(|one| one == wanted.as_bytes()))
    };
    pids().into_iter().filter(carries).collect()
}

/// The runner of a run: the parent of its main process.
pub(crate) fn runner_of(status: &ExecutionStatus) -> Process {
    let main = Process::find(status.pid.unwrap()).unwrap();
    let runner = Process::find(main.parent).unwrap();
    let line = std::fs::read(format!("/proc/{}/cmdline", runner.pid)).unwrap();
    assert!(line.ends_with(b"\0runner\0"), "{}", String::from_utf8_lossy(&line));
    runner
}

/// The children of a process, zombies included.
pub(crate) fn children_of(parent: i32) -> Vec<i32> {
    let is_child = |pid: &i32| Process::find(*pid).is_some_and(|found| found.parent == parent);
    pids().into_iter().filter(is_child).collect()
}

fn pids() -> Vec<i32> {
    let entries = std::fs::read_dir("/proc").unwrap();
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
}

/// Tells whether any file below holds the text.
pub(crate) fn holds_text(folder: &Path, text: &str) -> bool {
    std::fs::read_dir(folder).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return holds_text(&path, text);
        }
        let content = std::fs::read(&path).unwrap();
        content.windows(text.len()).any(|window| window == text.as_bytes())
    })
}
