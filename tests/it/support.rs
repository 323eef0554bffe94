//! A server in this process, reached over real HTTP, with nobody who looks after its agents: what
//! the world would report, a test reports itself. So a test decides when a run starts and ends.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use trinity::api;
use trinity::app::App;
use trinity::clock;
use trinity::commands::accounts::{self, NewKey};
use trinity::commands::reports::{self, LifeRef};
use trinity::commands::{Cause, Refusal, agents, runs};
use trinity::config::{Config, Settings};
use trinity::domain::account::Scope;
use trinity::domain::agent::{Agent, AgentCommand, Setting};
use trinity::domain::execution::{Execution, ExitStatus, Outcome, Verdict};
use trinity::domain::slots::Slots;
use trinity::domain::{AgentName, ExecutionId, IncarnationId, Metadata};
use trinity::event_log::{APPEND_EVENTS_MAX, Decision, Plan};
use trinity_agent_protocol::{LineStream, OutputLine};
use uuid::Uuid;

use crate::store::fresh_database;

/// The administrator's password.
pub const PASSWORD: &str = "correct horse";

/// The master key of credentials that all nodes of a test have.
const SECRET_KEY: &str = "4242424242424242424242424242424242424242424242424242424242424242";

/// How long a condition may take before a test gives up; generous, because the machine may be busy.
const WAIT_MAX: Duration = Duration::from_mins(1);

/// A server on a free port, with data of its own.
pub struct TestApp {
    /// Its parts, for what no client can do.
    pub app: Arc<App>,
    /// Where it serves.
    pub url: String,
    admin: Client,
    dir: TempDir,
}

/// Who sends requests, and how.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    url: String,
    headers: HeaderMap,
    /// After whose writes a test's reads find what was written, however busy the machine is.
    settles: Option<Arc<App>>,
}

/// An answer over HTTP.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body; a string when it is no JSON.
    pub body: Value,
}

impl TestApp {
    /// A server with an administrator.
    pub async fn start() -> Self {
        Self::with(|settings| settings.admin_password = Some(PASSWORD.to_owned().into())).await
    }

    /// A server that nobody has ever logged in to.
    pub async fn first_run() -> Self {
        Self::with(|_| ()).await
    }

    /// A server with these settings.
    pub async fn with(settle: impl FnOnce(&mut Settings)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut settings = Settings {
            data_dir: Some(dir.path().join("data")),
            database_url: fresh_database().await.map(Into::into),
            secret_key: Some(SECRET_KEY.to_owned().into()),
            ..Settings::default()
        };
        settle(&mut settings);
        let app = App::open(Config::load(settings).unwrap()).await.unwrap();
        let url = serve(Arc::clone(&app)).await;
        let token = std::fs::read_to_string(app.data_dir.join("local-token")).unwrap();
        let admin = Client::new(&url).settling(&app).with_token(&token);
        Self { app, url, admin, dir }
    }

    /// Whoever runs another server on the same log, and that server's parts: a second node on
    /// Postgres; on SQLite, which one process has at a time, another door to the same server.
    pub async fn second_node(&self) -> (Client, Arc<App>) {
        let app = match &self.app.config.database_url {
            None => Arc::clone(&self.app),
            Some(url) => {
                let settings = Settings {
                    data_dir: Some(self.dir.path().join("second")),
                    database_url: Some(url.clone()),
                    secret_key: Some(SECRET_KEY.to_owned().into()),
                    ..Settings::default()
                };
                App::open(Config::load(settings).unwrap()).await.unwrap()
            }
        };
        let url = serve(Arc::clone(&app)).await;
        let token = std::fs::read_to_string(app.data_dir.join("local-token")).unwrap();
        (Client::new(&url).settling(&app).with_token(&token), app)
    }

    /// Whoever runs the server.
    pub fn admin(&self) -> Client {
        self.admin.clone()
    }

    /// Nobody.
    pub fn anonymous(&self) -> Client {
        Client::new(&self.url).settling(&self.app)
    }

    /// A new user, logged in.
    pub async fn user(&self, name: &str) -> Client {
        let body = json!({"username": name, "password": PASSWORD});
        self.admin.post("/api/users", body).await.expect(201);
        self.log_in(name, PASSWORD).await
    }

    /// A user who exists, logged in.
    pub async fn log_in(&self, name: &str, password: &str) -> Client {
        let answer = self.anonymous().log_in(name, password).await.expect(200);
        self.anonymous().with_token(answer["access_token"].as_str().unwrap())
    }

    /// Somebody with a key of the agent.
    pub async fn as_agent(&self, life: &LifeRef) -> Client {
        self.with_key(Scope::Agent, Some(life.clone())).await
    }

    /// Somebody with a new key of the administrator's.
    pub async fn with_key(&self, scope: Scope, agent: Option<LifeRef>) -> Client {
        let new = NewKey {
            name: "test".into(),
            description: None,
            owner: trinity::commands::ids::user_id("admin"),
            scope,
            agent,
            expires_at: None,
        };
        let issued = accounts::issue_key(&self.app.log, new, metadata()).await.unwrap();
        self.anonymous().with_token(&issued.api_key)
    }

    /// A new agent of the administrator's that nobody has provisioned.
    pub async fn create_agent(&self, name: &str) -> LifeRef {
        self.create_agent_as(&self.admin, name, json!({})).await
    }

    /// A new agent of that client's.
    pub async fn create_agent_as(&self, client: &Client, name: &str, more: Value) -> LifeRef {
        let mut body = json!({"name": name, "runtime": "demo"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let agent = client.post("/api/agents", body).await.expect(201);
        let incarnation: IncarnationId = agent["incarnation"].as_str().unwrap().parse().unwrap();
        LifeRef { name: name.parse().unwrap(), incarnation }
    }

    /// A running agent of the administrator's.
    pub async fn running_agent(&self, name: &str, max_parallel_tasks: u32) -> LifeRef {
        let more = json!({"max_parallel_tasks": max_parallel_tasks});
        let life = self.create_agent_as(&self.admin, name, more).await;
        self.report_running(&life).await;
        life
    }

    /// Reports that the agent is made and runs.
    pub async fn report_running(&self, life: &LifeRef) {
        let (log, cause) = (&self.app.log, self.cause().await);
        reports::provisioned(log, life, "here".into(), &cause).await.unwrap();
        let started = reports::started(log, life, "here".into(), "c".into(), clock::now(), &cause);
        started.await.unwrap();
        self.settle().await;
    }

    /// Waits until the read models have everything that is in the log.
    pub async fn settle(&self) {
        settle(&self.app).await;
    }

    /// Changes a setting that no route changes yet.
    pub async fn set(&self, life: &LifeRef, setting: Setting) {
        agents::set(&self.app.log, life, setting, metadata()).await.unwrap();
        self.settle().await;
    }

    /// So many events of one agent, in as few appends as that takes.
    pub async fn change_model(&self, life: &LifeRef, count: usize) {
        for begun in (0..count).step_by(APPEND_EVENTS_MAX) {
            let (name, last) = (life.name.clone(), count.min(begun + APPEND_EVENTS_MAX));
            let plan = Plan::new().stream::<Agent>(&name);
            let decide = move |d: &mut Decision<'_>| {
                for number in begun..last {
                    let model = Some(format!("model-{number}"));
                    let command = AgentCommand::Configure(Setting::SetModel { model });
                    d.decide::<Agent>(&name, command)?;
                }
                Ok::<_, Refusal>(())
            };
            self.app.log.transact(plan, metadata(), decide).await.unwrap();
        }
        self.settle().await;
    }

    /// Lets one agent call another.
    pub async fn grant(&self, caller: &LifeRef, callee: &LifeRef) {
        let (callee, callee_incarnation) = (callee.name.clone(), callee.incarnation);
        self.set(caller, Setting::Grant { callee, callee_incarnation }).await;
    }

    /// Reports that the agent has stopped.
    pub async fn report_stopped(&self, life: &LifeRef) {
        reports::stopped(&self.app.log, life, &self.cause().await).await.unwrap();
        self.settle().await;
    }

    /// Reports that the agent is gone.
    pub async fn report_deleted(&self, life: &LifeRef) {
        reports::deleted(&self.app.log, life, &self.cause().await).await.unwrap();
        self.settle().await;
    }

    /// Submits a task without waiting for it; gives its id.
    pub async fn submit(&self, client: &Client, agent: &AgentName, message: &str) -> ExecutionId {
        let body = json!({"message": message, "async_mode": true});
        let taken = client.post(&format!("/api/agents/{agent}/task"), body).await.expect(202);
        taken["execution_id"].as_str().unwrap().parse().unwrap()
    }

    /// Reports that an execution with a slot has started.
    pub async fn report_started(&self, id: ExecutionId) -> runs::Grant {
        let log = &self.app.log;
        let request = log.state::<Execution>(id).await.unwrap().state.request.unwrap();
        let incarnation = request.incarnation;
        let slots = log.state::<Slots>(incarnation).await.unwrap().state;
        let (slot, active) = slots.slot_of(id).expect("the execution has no slot");
        let grant = runs::Grant { execution_id: id, incarnation, slot, epoch: active.epoch };
        let session = Uuid::now_v7().to_string();
        let cause = self.cause().await;
        runs::record_started(log, grant, session, clock::now(), &cause).await.unwrap();
        self.settle().await;
        grant
    }

    /// Stores lines of output.
    pub async fn write(&self, id: ExecutionId, lines: &[&str]) {
        let transcripts = &self.app.state.transcripts;
        let last = transcripts.last_seq(id).await.unwrap();
        let line = |(seq, line): (u64, &&str)| OutputLine {
            seq,
            at: clock::now(),
            stream: LineStream::Stdout,
            line: (*line).to_owned(),
            raw: None,
            truncated: None,
            partial: false,
            dropped: None,
        };
        let lines: Vec<_> = (last + 1..).zip(lines).map(line).collect();
        transcripts.append(id, &lines).await.unwrap();
    }

    /// Reports the end of a run.
    pub async fn report_exit(&self, grant: runs::Grant, verdict: Verdict, response: &str) {
        let outcome = Outcome {
            response: Some(response.to_owned()),
            cost_usd_micros: Some(21_000),
            num_turns: Some(2),
            duration_ms: Some(1_500),
            exit: Some(ExitStatus { code: Some(0), signal: None }),
            ..Outcome::ended(clock::now())
        };
        let cause = self.cause().await;
        let (log, now) = (&self.app.log, clock::now());
        runs::record_exit(log, grant, verdict, outcome, now, &cause).await.unwrap();
        self.settle().await;
    }

    /// Starts and ends an execution well.
    pub async fn complete(&self, id: ExecutionId, response: &str) {
        let grant = self.report_started(id).await;
        self.write(id, &[&said(response)]).await;
        self.report_exit(grant, Verdict::Completed, response).await;
    }

    /// The names of the events of an agent's stream, in order.
    pub async fn agent_events(&self, name: &str) -> Vec<String> {
        let path = format!("/api/events?stream=agent:{name}&limit=1000");
        let events = self.admin.get(&path).await.expect(200);
        let kind = |event: &Value| event["type"].as_str().unwrap().to_owned();
        events["items"].as_array().unwrap().iter().map(kind).collect()
    }

    /// The agent as it stands in the log.
    pub async fn agent(&self, name: &AgentName) -> Agent {
        self.app.log.state::<Agent>(name).await.unwrap().state
    }

    async fn cause(&self) -> Cause {
        Cause::of(&self.app.log.event(1).await.unwrap().unwrap())
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        self.app.shutdown.cancel();
    }
}

async fn settle(app: &App) {
    app.views.wait_for(&[], app.log.head(), WAIT_MAX).await.unwrap();
}

/// Serves on a free port until the end of the test; gives the URL.
async fn serve(app: Arc<App>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = api::router(app).into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, service).await });
    format!("http://{address}")
}

/// A line in which the CLI says something.
pub fn said(text: &str) -> String {
    let content = json!([{"type": "text", "text": text}]);
    json!({"type": "assistant", "message": {"role": "assistant", "content": content}}).to_string()
}

/// The metadata of a command that no request has led to.
pub fn metadata() -> Metadata {
    let id = Uuid::now_v7().to_string();
    Metadata {
        actor: "system".into(),
        correlation_id: id.clone(),
        causation_id: None,
        command_id: id,
        body_sha256: None,
        traceparent: None,
    }
}

/// Waits until `look` finds something.
pub async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let began = tokio::time::Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(began.elapsed() < WAIT_MAX, "waited too long until {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

impl Client {
    /// Nobody, at that server.
    pub fn new(url: &str) -> Self {
        // Fails where it is installed already, which is as good.
        let _installed = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().timeout(WAIT_MAX).build().unwrap();
        Self { http, url: url.to_owned(), headers: HeaderMap::new(), settles: None }
    }

    /// The same, who waits after each write until the read models have it.
    #[must_use]
    pub fn settling(self, app: &Arc<App>) -> Self {
        Self { settles: Some(Arc::clone(app)), ..self }
    }

    /// Somebody with that token.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Self {
        self.with_header("authorization", &format!("Bearer {token}"))
    }

    /// The same with one more header.
    #[must_use]
    pub fn with_header(&self, name: &str, value: &str) -> Self {
        let mut headers = self.headers.clone();
        let name: HeaderName = name.parse().unwrap();
        headers.insert(name, HeaderValue::from_str(value).unwrap());
        Self { headers, ..self.clone() }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, None).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(Method::POST, path, Some(body)).await
    }

    pub async fn put(&self, path: &str, body: Value) -> Answer {
        self.send(Method::PUT, path, Some(body)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, None).await
    }

    /// Logs in by form.
    pub async fn log_in(&self, name: &str, password: &str) -> Answer {
        let form = [("username", name), ("password", password)];
        answer(self.request(Method::POST, "/api/token").form(&form)).await
    }

    /// Sends a request with a JSON body, or with none.
    pub async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let is_write = method != Method::GET;
        let request = self.request(method, path);
        let answer = answer(match &body {
            Some(body) => request.json(body),
            None => request,
        })
        .await;
        if let (Some(app), true) = (&self.settles, is_write) {
            settle(app).await;
        }
        answer
    }

    /// Sends a body as it is.
    pub async fn send_raw(&self, path: &str, kind: &str, body: Vec<u8>) -> Answer {
        let request = self.request(Method::POST, path);
        answer(request.header("content-type", kind).body(body)).await
    }

    /// A request that is not sent yet.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url)).headers(self.headers.clone())
    }
}

async fn answer(request: RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    let text = response.text().await.unwrap();
    let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
    Answer { status, headers, body }
}

impl Answer {
    /// The body, when the status is the expected one.
    #[track_caller]
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.body);
        self.body
    }

    /// The problem's detail, when status, code and form are the expected ones.
    #[track_caller]
    pub fn problem(self, status: u16, code: &str) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.body);
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{}", self.body);
        assert_eq!(self.body["code"], code, "{}", self.body);
        assert_eq!(self.body["status"], status, "{}", self.body);
        for member in ["type", "title", "detail", "instance", "request_id"] {
            assert!(self.body[member].is_string(), "no {member}: {}", self.body);
        }
        assert!(self.body["errors"].is_array(), "{}", self.body);
        self.body
    }

    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The position that the answer holds at.
    #[track_caller]
    pub fn position(&self) -> i64 {
        self.header("position").expect("no Position header").parse().unwrap()
    }
}
