//! A server as its users run it: the real executable in a process of its own, that can be killed
//! and started again on the same data.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::process::{Child, Command};

use crate::docker;
use crate::processes::{memory_bytes, pids, processes_of};
use crate::store::fresh_database;

/// How long anything may take before a test gives up; generous, because the machine may be busy.
pub const WAIT_MAX: Duration = Duration::from_mins(1);
/// The master key of credentials where several servers may share a database.
const SECRET_KEY: &str = "4242424242424242424242424242424242424242424242424242424242424242";
/// How often a condition is looked at.
const POLL: Duration = Duration::from_millis(20);
/// The executable under test.
pub const EXECUTABLE: &str = env!("CARGO_BIN_EXE_trinity");

/// Waits until `look` finds something.
pub async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(began.elapsed() < WAIT_MAX, "waited too long until {what}");
        tokio::time::sleep(POLL).await;
    }
}

/// An answer over HTTP.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub body: Value,
}

impl Answer {
    /// The body, when the status is the expected one.
    #[track_caller]
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.body);
        self.body
    }

    /// The problem, when it is the expected one.
    #[track_caller]
    pub fn problem(self, status: u16, code: &str) -> Value {
        let problem = self.expect(status);
        assert_eq!(problem["code"], code, "{problem}");
        problem
    }
}

/// A running server on data of its own.
pub struct Server {
    pub data_dir: PathBuf,
    pub database_url: Option<String>,
    pub url: String,
    token: String,
    child: Child,
    http: reqwest::Client,
    launch: Launch,
    _temporary: tempfile::TempDir,
}

impl Server {
    /// Starts a server on an empty store.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// Starts a server with these environment variables.
    pub async fn start_with(environment: &[(&str, &str)]) -> Self {
        Self::start_with_arguments(&[], environment).await
    }

    /// Starts a server with these further arguments and environment variables.
    pub async fn start_with_arguments(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let temporary = passable_folder();
        let data_dir = temporary.path().join("data");
        // A test that brings a database of its own gets no other.
        let brought = environment.iter().find(|(name, _)| *name == "TRINITY_DATABASE_URL");
        let database_url = match brought {
            Some((_, url)) => Some((*url).to_owned()),
            None => fresh_database().await,
        };
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let launch = Launch {
            arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect(),
            environment: environment.iter().map(owned).collect(),
            ..Launch::default()
        };
        Self::launch(launch, temporary, data_dir, database_url).await
    }

    /// Starts a server with these environment variables that prints into a file.
    pub async fn start_with_log(environment: &[(&str, &str)]) -> (Self, PathBuf) {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let temporary = passable_folder();
        let (data_dir, log) = (temporary.path().join("data"), temporary.path().join("log"));
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let environment = environment.iter().map(owned).collect();
        let launch = Launch { environment, log: Some(log.clone()), ..Launch::default() };
        let database_url = fresh_database().await;
        (Self::launch(launch, temporary, data_dir, database_url).await, log)
    }

    /// Starts a server as this user, who is not root; only root can do so.
    pub async fn start_as(uid: u32) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let temporary = passable_folder();
        // Who knows where the original lies, and whether that user gets there.
        let executable = temporary.path().join("trinity");
        std::fs::copy(EXECUTABLE, &executable).unwrap();
        let data_dir = temporary.path().join("data");
        std::fs::create_dir(&data_dir).unwrap();
        std::os::unix::fs::chown(&data_dir, Some(uid), Some(uid)).unwrap();
        let launch = Launch {
            environment: vec![("HOME".into(), temporary.path().display().to_string())],
            executable,
            uid: Some(uid),
            ..Launch::default()
        };
        Self::launch(launch, temporary, data_dir, fresh_database().await).await
    }

    /// Starts a server with these environment variables that has an agent server beside it.
    pub async fn start_beside(agent_server: &str, environment: &[(&str, &str)]) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let temporary = passable_folder();
        let executable = beside(temporary.path(), agent_server.as_ref());
        let data_dir = temporary.path().join("data");
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let environment = environment.iter().map(owned).collect();
        let launch = Launch { environment, executable, ..Launch::default() };
        Self::launch(launch, temporary, data_dir, fresh_database().await).await
    }

    async fn launch(
        launch: Launch,
        temporary: tempfile::TempDir,
        data_dir: PathBuf,
        database_url: Option<String>,
    ) -> Self {
        let (child, url, token) = launch.spawn(&data_dir, database_url.as_deref()).await;
        Self {
            data_dir,
            database_url,
            url,
            token,
            child,
            http: reqwest::Client::new(),
            launch,
            _temporary: temporary,
        }
    }

    /// Ends the server as a power cut would; its agent servers live on.
    pub async fn kill(&mut self) {
        self.child.start_kill().unwrap();
        self.child.wait().await.unwrap();
    }

    /// What the administrator's requests carry.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// The process id of the server.
    pub fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id().unwrap()).unwrap())
    }

    /// The memory that the server holds, in bytes.
    pub fn memory_bytes(&self) -> u64 {
        memory_bytes(self.pid().as_raw())
    }

    /// Sends a signal and waits for the end.
    pub async fn signal(&mut self, signal: Signal) -> std::process::ExitStatus {
        kill(self.pid(), signal).unwrap();
        tokio::time::timeout(WAIT_MAX, self.child.wait()).await.unwrap().unwrap()
    }

    /// Starts the server again on the same data.
    pub async fn start_again(&mut self) {
        let url = self.database_url.as_deref();
        (self.child, self.url, self.token) = self.launch.spawn(&self.data_dir, url).await;
    }

    /// Starts the server again on the same data, with further environment variables.
    pub async fn start_again_with(&mut self, environment: &[(&str, &str)]) {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        self.launch.environment.extend(environment.iter().map(owned));
        self.start_again().await;
    }

    /// Prints into a file from the next start on.
    pub fn log_into_a_file(&mut self) -> PathBuf {
        let path = self.data_dir.with_file_name("log");
        self.launch.log = Some(path.clone());
        path
    }

    /// Kills the server and starts it again.
    pub async fn crash(&mut self) {
        self.kill().await;
        self.start_again().await;
    }

    /// The arguments that let `trinity audit verify` and others find the store.
    pub fn store_arguments(&self) -> Vec<String> {
        match &self.database_url {
            Some(url) => vec!["--database-url".to_owned(), url.clone()],
            None => vec!["--data-dir".to_owned(), self.data_dir.display().to_string()],
        }
    }

    /// A request as the administrator.
    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url)).bearer_auth(&self.token)
    }

    /// Sends a request and reads the answer; a server that is not there answers nothing.
    pub async fn try_send(&self, request: reqwest::RequestBuilder) -> Option<Answer> {
        let response = request.send().await.ok()?;
        let status = response.status();
        let text = response.text().await.ok()?;
        Some(Answer { status, body: serde_json::from_str(&text).unwrap_or(Value::String(text)) })
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.try_send(self.request(Method::GET, path)).await.expect("the server answers")
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        let request = self.request(Method::POST, path).json(&body);
        self.try_send(request).await.expect("the server answers")
    }

    pub async fn put(&self, path: &str, body: Value) -> Answer {
        let request = self.request(Method::PUT, path).json(&body);
        self.try_send(request).await.expect("the server answers")
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.try_send(self.request(Method::DELETE, path)).await.expect("the server answers")
    }

    /// Makes an agent of runtime `demo` and waits until it runs.
    pub async fn agent(&self, name: &str) {
        self.agent_with(json!({"name": name, "runtime": "demo"})).await;
    }

    /// Makes an agent and waits until it runs.
    pub async fn agent_with(&self, config: Value) {
        let name = config["name"].as_str().unwrap().to_owned();
        self.post("/api/agents", config).await.expect(201);
        self.until_phase(&name, "running").await;
    }

    /// Waits until the agent is in this phase.
    pub async fn until_phase(&self, name: &str, phase: &str) -> Value {
        let path = format!("/api/agents/{name}");
        until(&format!("{name} is {phase}"), async || {
            let agent = self.try_send(self.request(Method::GET, &path)).await?.body;
            assert!(phase == "failed" || agent["phase"] != "failed", "{agent}");
            (agent["phase"] == phase).then_some(agent)
        })
        .await
    }

    /// Submits a task without waiting for its end; gives its id.
    pub async fn task(&self, agent: &str, message: &str) -> String {
        let body = json!({"message": message, "async_mode": true});
        let accepted = self.post(&format!("/api/agents/{agent}/task"), body).await.expect(202);
        accepted["execution_id"].as_str().unwrap().to_owned()
    }

    /// Submits a task of the demo runtime, one op a line.
    pub async fn script(&self, agent: &str, ops: &[&str]) -> String {
        self.task(agent, &format!("#!demo\n{}", ops.join("\n"))).await
    }

    /// Submits a task of the demo runtime and waits for its end.
    pub async fn script_ends(&self, agent: &str, ops: &[&str]) -> Value {
        let id = self.script(agent, ops).await;
        self.until_ended(&id).await
    }

    /// The record of an execution.
    pub async fn execution(&self, id: &str) -> Value {
        self.get(&format!("/api/executions/{id}")).await.expect(200)
    }

    /// Waits until the execution has this status.
    pub async fn until_status(&self, id: &str, status: &str) -> Value {
        let path = format!("/api/executions/{id}");
        until(&format!("{id} is {status}"), async || {
            let answer = self.try_send(self.request(Method::GET, &path)).await?;
            (answer.body["status"] == status).then_some(answer.body)
        })
        .await
    }

    /// Waits for the end of an execution, whatever it is.
    pub async fn until_ended(&self, id: &str) -> Value {
        let path = format!("/api/executions/{id}");
        until(&format!("{id} has ended"), async || {
            let answer = self.try_send(self.request(Method::GET, &path)).await?;
            let status = answer.body["status"].as_str()?.to_owned();
            ["completed", "failed", "cancelled"].contains(&status.as_str()).then_some(answer.body)
        })
        .await
    }

    /// Every line of an execution's output, as text.
    pub async fn lines(&self, id: &str) -> Vec<Value> {
        let agent = self.execution(id).await["agent_name"].as_str().unwrap().to_owned();
        let path = format!("/api/agents/{agent}/executions/{id}/log?after=0&limit=1000");
        self.get(&path).await.expect(200)["entries"].as_array().unwrap().clone()
    }

    /// Every event of the log.
    pub async fn events(&self) -> Vec<Value> {
        let mut events = Vec::new();
        loop {
            let after = events.len();
            let page = self.get(&format!("/api/events?after={after}&limit=1000")).await.expect(200);
            let items = page["items"].as_array().unwrap();
            if items.is_empty() {
                return events;
            }
            events.extend(items.iter().cloned());
        }
    }

    /// Proves the invariants over the log with the real command.
    pub async fn audit(&self) {
        let output = Command::new(EXECUTABLE)
            .args(["audit", "verify", "--text"])
            .args(self.store_arguments())
            .output()
            .await
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "the log is not clean:\n{said}\n{errors}");
    }

    /// Runs a shell command in an agent's workspace, not as a run of it but from outside; gives what it
    /// printed, trimmed.
    pub async fn shell(&self, agent: &str, command: &str) -> String {
        if docker::is_chosen() {
            return docker::shell_in(agent, command);
        }
        let agent = self.get(&format!("/api/agents/{agent}")).await.expect(200);
        let incarnation = agent["incarnation"].as_str().unwrap();
        let workspace = self.data_dir.join("agents").join(incarnation).join("workspace");
        let mut shell = Command::new("/bin/sh");
        let output = shell.args(["-c", command]).current_dir(workspace).output().await.unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command}: {errors}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// The ids of processes that belong to this execution.
    pub fn processes(id: &str) -> Vec<i32> {
        let variable = format!("TRINITY_EXECUTION_ID={id}");
        pids(|pid| {
            let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environment.split(|byte| *byte == 0).any(|entry| entry == variable.as_bytes())
        })
    }

    /// Waits until nothing of an execution is left.
    pub async fn until_gone(id: &str) {
        until("no process is left", async || Self::processes(id).is_empty().then_some(())).await;
    }

    /// Ends every agent server and everything they run, as a reboot would.
    pub fn kill_agent_servers(&self) {
        if docker::is_chosen() {
            return docker::kill_labelled("trinity.platform");
        }
        // Frozen first: in a reboot none of them sees another one die.
        self.signal_agent_servers(Signal::SIGSTOP);
        self.signal_agent_servers(Signal::SIGKILL);
    }

    /// The only agent server, with the arguments it was started with.
    pub fn agent_server(&self) -> Option<(Pid, Vec<String>)> {
        let arguments = |pid: i32| {
            let arguments = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).ok()?;
            let words = arguments.trim_end_matches('\0').split('\0').skip(1);
            let words: Vec<String> = words.map(str::to_owned).collect();
            (words.first()? == "agent-server").then_some((Pid::from_raw(pid), words))
        };
        let mut found = processes_of(&self.data_dir).into_iter().filter_map(arguments);
        let only = found.next();
        assert!(found.next().is_none(), "more than one agent server");
        only
    }

    /// Sends a signal to every agent server and its runners.
    pub fn signal_agent_servers(&self, signal: Signal) {
        let server = self.child.id().and_then(|id| i32::try_from(id).ok());
        for pid in processes_of(&self.data_dir).into_iter().filter(|pid| Some(*pid) != server) {
            let _gone = kill(Pid::from_raw(pid), signal);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _gone = self.child.start_kill();
        if docker::is_chosen() {
            // The names of containers are the engine's alone: the next test has the same ones.
            docker::remove_labelled("trinity.platform");
        }
        self.signal_agent_servers(Signal::SIGKILL);
    }
}

/// A temporary folder that everybody can pass through, as agents with users of their own must.
fn passable_folder() -> tempfile::TempDir {
    let mode = std::fs::Permissions::from_mode(0o711);
    tempfile::Builder::new().permissions(mode).tempdir().unwrap()
}

/// Copies the executable under test into a folder, and an agent server beside it; gives its path.
pub fn beside(folder: &Path, agent_server: &Path) -> PathBuf {
    let executable = folder.join("trinity");
    // It is large, and stays as it is.
    if std::fs::hard_link(EXECUTABLE, &executable).is_err() {
        std::fs::copy(EXECUTABLE, &executable).unwrap();
    }
    std::fs::copy(agent_server, folder.join("trinity-agent")).unwrap();
    executable
}

/// How the server is started, each time anew.
struct Launch {
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    /// What is started.
    executable: PathBuf,
    /// Who starts it; this user when absent.
    uid: Option<u32>,
    /// Where everything goes that it prints; to the test's own output when absent.
    log: Option<PathBuf>,
}

impl Default for Launch {
    fn default() -> Self {
        Self {
            arguments: Vec::new(),
            environment: Vec::new(),
            executable: EXECUTABLE.into(),
            uid: None,
            log: None,
        }
    }
}

impl Launch {
    async fn spawn(&self, data_dir: &Path, database_url: Option<&str>) -> (Child, String, String) {
        let _absent = std::fs::remove_file(data_dir.join("address"));
        let mut command = Command::new(&self.executable);
        if let Some(uid) = self.uid {
            command.uid(uid).gid(uid);
        }
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(data_dir)
            .env_remove("TRINITY_DATABASE_URL")
            // Every node of a test's database has the same key.
            .envs(database_url.map(|_| ("TRINITY_SECRET_KEY", SECRET_KEY)))
            .args(&self.arguments)
            // Lists and logs of most tests hold what the test has made, and nothing else.
            .env("TRINITY_SYSTEM_AGENT", "false")
            .envs(self.environment.iter().cloned())
            .stdin(Stdio::null())
            .stdout(Stdio::inherit())
            .stderr(Stdio::inherit())
            .kill_on_drop(true);
        if let Some(url) = database_url {
            command.env("TRINITY_DATABASE_URL", url);
        }
        if docker::is_chosen() {
            command
                .env("TRINITY_AGENT_HOST", "docker")
                .env("TRINITY_DOCKER_HOST", docker::address())
                .env("TRINITY_AGENT_IMAGE", docker::image());
        }
        if let Some(path) = &self.log {
            let log = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
            command.stdout(log.try_clone().unwrap()).stderr(log);
        }
        let mut child = command.spawn().unwrap();
        let http = reqwest::Client::new();
        let url = until("the server is healthy", async || {
            assert!(child.try_wait().unwrap().is_none(), "the server ended at its start");
            let url = std::fs::read_to_string(data_dir.join("address")).ok()?;
            let health = http.get(format!("{url}/health")).send().await.ok()?;
            health.status().is_success().then_some(url)
        })
        .await;
        let token = std::fs::read_to_string(data_dir.join("local-token")).unwrap();
        (child, url, token.trim().to_owned())
    }
}
