//! A log with agents and executions in it, made by the real commands, and read models over it.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::PgPool;
use tempfile::TempDir;
use trinity::clock;
use trinity::commands::reports::{self, LifeRef};
use trinity::commands::runs::{self, Grant};
use trinity::commands::tasks::{self, Submit, Waits};
use trinity::commands::{Cause, accounts, agents, ids};
use trinity::db::{self, Db, Durability, Record, Statement, Value};
use trinity::domain::account::Role;
use trinity::domain::agent::{AgentConfig, Create, Runtime};
use trinity::domain::execution::{
    CancelReason, Execution, ExecutionCommand, Outcome, Request, Source, ToolCall, Trigger,
    Urgency, Verdict,
};
use trinity::domain::slots::{QUEUE_LENGTH_MAX, Slots};
use trinity::domain::{AccountId, Actor, ExecutionId, IncarnationId, Metadata};
use trinity::event_log::EventLog;
use trinity::projections::executions::MessageWords;
use trinity::projections::{self, Views};
use uuid::Uuid;

use crate::event_log::support::{Engine, LIMIT, TestDb, create_database, postgres_url};

/// A log, and whom its agents belong to.
pub struct World {
    pub log: EventLog,
    pub store: TestDb,
    pub owner: AccountId,
    cause: Cause,
}

impl World {
    pub async fn new() -> Self {
        let store = TestDb::new().await;
        let log = store.open().await;
        let (name, role) = ("owner".to_owned(), Role::User);
        let created = accounts::create_user(&log, name, role, metadata(&Actor::System)).await;
        let first = log.event(created.unwrap().position).await.unwrap().unwrap();
        Self { log, store, owner: ids::user_id("owner"), cause: Cause::of(&first) }
    }

    pub fn by_owner(&self) -> Metadata {
        metadata(&Actor::User(self.owner))
    }

    pub async fn user(&self, name: &str, role: Role) -> AccountId {
        let created = accounts::create_user(&self.log, name.to_owned(), role, self.by_owner());
        created.await.unwrap();
        ids::user_id(name)
    }

    /// An agent that has been created, not more.
    pub async fn created(&self, name: &str) -> LifeRef {
        let create = Create {
            incarnation: IncarnationId(Uuid::now_v7()),
            owner: self.owner,
            is_system: false,
            node_id: None,
            config: AgentConfig::new(name.parse().unwrap(), Runtime::Demo),
            start: true,
        };
        let created =
            agents::create(&self.log, create, Vec::new(), self.by_owner(), clock::now()).await;
        created.unwrap().life
    }

    /// An agent that takes work.
    pub async fn agent(&self, name: &str) -> LifeRef {
        let life = self.created(name).await;
        self.run(&life).await;
        life
    }

    pub async fn run(&self, life: &LifeRef) {
        let host = || "host".to_owned();
        reports::provisioned(&self.log, life, host(), &self.cause).await.unwrap();
        let started =
            reports::started(&self.log, life, host(), "hash".into(), clock::now(), &self.cause);
        started.await.unwrap();
    }

    pub async fn delete(&self, life: &LifeRef) {
        agents::request_delete(&self.log, life, self.by_owner()).await.unwrap();
        reports::deleted(&self.log, life, &self.cause).await.unwrap();
    }

    /// A task as a person submits it by the task route.
    pub fn task(&self, life: &LifeRef, message: &str) -> Request {
        Request {
            agent: life.name.clone(),
            incarnation: life.incarnation,
            triggered_by: Trigger::Manual,
            source: Source::User,
            source_user: Some(self.owner),
            source_agent: None,
            message: message.to_owned(),
            model: None,
            allowed_tools: None,
            system_prompt: None,
            timeout_seconds: None,
            max_turns: None,
            resume_session_id: None,
            is_chat_turn: false,
            parent_execution_id: None,
            schedule_id: None,
            chat_session_id: None,
            process_run_id: None,
            step_id: None,
            payment_id: None,
            tags: vec!["a".into(), "b".into()],
        }
    }

    pub async fn submit(&self, request: Request) -> ExecutionId {
        self.try_submit(request, None).await.unwrap()
    }

    pub async fn try_submit(
        &self,
        request: Request,
        caller: Option<&LifeRef>,
    ) -> trinity::commands::Result<ExecutionId> {
        let submit = Submit {
            execution_id: ids::execution_id(None),
            request,
            caller: caller.cloned(),
            waits: Waits::ForNothing,
            queue_length_max: QUEUE_LENGTH_MAX,
            now: clock::now(),
        };
        Ok(tasks::submit(&self.log, submit, self.by_owner()).await?.execution_id)
    }

    async fn grant(&self, life: &LifeRef, id: ExecutionId) -> Option<Grant> {
        let slots: Slots = self.log.state(life.incarnation).await.unwrap().state;
        slots.slot_of(id).map(|(slot, active)| Grant {
            execution_id: id,
            incarnation: life.incarnation,
            slot,
            epoch: active.epoch,
        })
    }

    /// Records the start of an execution, if it has a slot.
    pub async fn start(&self, life: &LifeRef, id: ExecutionId) {
        let Some(grant) = self.grant(life, id).await else { return };
        let started =
            runs::record_started(&self.log, grant, "session".into(), clock::now(), &self.cause);
        started.await.unwrap();
    }

    async fn tell(&self, id: ExecutionId, command: ExecutionCommand) {
        self.log.execute::<Execution>(id, command, self.cause.metadata()).await.unwrap();
    }

    pub async fn session(&self, id: ExecutionId) {
        let (claude_session_id, model_used) = ("bound".into(), Some("demo".into()));
        let bound =
            ExecutionCommand::RecordSession { claude_session_id, model_used, cli_version: None };
        self.tell(id, bound).await;
    }

    pub async fn tool_started(&self, id: ExecutionId, seq: u64, call: &str) {
        let call = ToolCall::Started {
            seq,
            tool_call_id: call.to_owned(),
            name: "Bash".into(),
            input_preview: "ls".into(),
            at: clock::now(),
        };
        self.tell(id, ExecutionCommand::RecordToolCalls { calls: vec![call] }).await;
    }

    pub async fn tool_finished(&self, id: ExecutionId, seq: u64, call: &str, is_error: bool) {
        let tool_call_id = call.to_owned();
        let call = ToolCall::Finished { seq, tool_call_id, is_error, at: clock::now() };
        self.tell(id, ExecutionCommand::RecordToolCalls { calls: vec![call] }).await;
    }

    pub async fn cancel(&self, id: ExecutionId) {
        let (reason, urgency) = (CancelReason::Requested, Urgency::Graceful);
        tasks::cancel(&self.log, id, reason, urgency, self.by_owner()).await.unwrap();
    }

    /// Records the end of a run, if it holds a slot and has started.
    pub async fn end(&self, life: &LifeRef, id: ExecutionId, verdict: Verdict) {
        let Some(grant) = self.grant(life, id).await else { return };
        let outcome = outcome(clock::now());
        let ended =
            runs::record_exit(&self.log, grant, verdict, outcome, clock::now(), &self.cause);
        // Refused when it has not started: then nothing has happened.
        let _refused = ended.await;
    }

    pub async fn never_started(&self, life: &LifeRef, id: ExecutionId) {
        let Some(grant) = self.grant(life, id).await else { return };
        let never = runs::record_never_started(&self.log, grant, clock::now(), &self.cause);
        never.await.unwrap();
    }

    pub async fn lost(&self, life: &LifeRef, id: ExecutionId) {
        let Some(grant) = self.grant(life, id).await else { return };
        let lost = runs::record_lost(&self.log, grant, "gone".into(), clock::now(), &self.cause);
        lost.await.unwrap();
    }

    /// Where the read models of this log would be on the engine of this run.
    pub async fn db(&self) -> ViewsDb {
        ViewsDb::on(self.store.engine).await
    }

    /// Read models of one's own, caught up.
    pub async fn views(&self, db: &Db) -> Views {
        let views = Views::start(self.log.clone(), db.clone()).await.unwrap();
        self.caught_up(&views).await;
        views
    }

    pub async fn caught_up(&self, views: &Views) {
        views.wait_for(&[], self.log.head(), LIMIT).await.unwrap();
    }
}

/// An empty database for read models.
pub struct ViewsDb {
    pub db: Db,
    folder: TempDir,
    url: Option<String>,
}

impl ViewsDb {
    pub async fn on(engine: Engine) -> Self {
        let folder = TempDir::new().unwrap();
        let url = match engine {
            Engine::Sqlite => None,
            Engine::Postgres => Some(create_database(&postgres_url()).await),
        };
        let db = connect(&folder, url.as_deref()).await;
        Self { db, folder, url }
    }

    /// The same database as another node sees it.
    pub async fn again(&self) -> Db {
        connect(&self.folder, self.url.as_deref()).await
    }
}

async fn connect(folder: &TempDir, url: Option<&str>) -> Db {
    match url {
        None => Db::open_sqlite(&folder.path().join("views.db"), Durability::Normal).unwrap(),
        Some(url) => Db::postgres(PgPool::connect(url).await.unwrap(), Durability::Normal),
    }
}

pub fn metadata(actor: &Actor) -> Metadata {
    Metadata {
        actor: actor.to_string(),
        correlation_id: Uuid::new_v4().to_string(),
        causation_id: None,
        command_id: Uuid::new_v4().to_string(),
        body_sha256: None,
        traceparent: None,
    }
}

/// What a run leaves behind when all went well.
pub fn outcome(at: DateTime<Utc>) -> Outcome {
    Outcome {
        response: Some("done".into()),
        cost_usd_micros: Some(12_345),
        num_turns: Some(2),
        duration_ms: Some(1_500),
        ..Outcome::ended(at)
    }
}

/// Every row of every read model, with absent values alike on both engines.
pub async fn dump(db: &Db) -> BTreeMap<String, Vec<Vec<Value>>> {
    let mut dump = BTreeMap::new();
    for projection in projections::all() {
        for table in projection.tables() {
            let rows = if table.name == MessageWords::TABLE {
                words(db).await
            } else {
                let select = Statement::new(format!("SELECT * FROM {}", table.name));
                db.query(select).await.unwrap()
            };
            let rows = rows.into_iter();
            let alike = |value: Value| if value.is_null() { Value::Text(None) } else { value };
            let rows = rows.map(|row| row.into_values().into_iter().map(alike).collect());
            let mut rows: Vec<Vec<Value>> = rows.collect();
            rows.sort();
            dump.insert(table.name.to_owned(), rows);
        }
    }
    dump
}

/// Which word stands in which message; the words that only Postgres has are left out.
async fn words(db: &Db) -> Vec<db::Row> {
    let table = MessageWords::TABLE;
    let vocabulary = format!(
        "CREATE VIRTUAL TABLE IF NOT EXISTS temp.vocabulary \
         USING fts5vocab ('main', '{table}', 'instance')"
    );
    let on_sqlite = db.with_sqlite(move |connection| {
        connection.execute_batch(&vocabulary).unwrap();
        let mut select = connection.prepare("SELECT doc, term FROM temp.vocabulary").unwrap();
        let row = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?));
        select.query_map([], row).unwrap().collect::<Result<Vec<_>, _>>().unwrap()
    });
    if let Some(rows) = on_sqlite.await {
        let row =
            |(row_no, word)| db::Row::new(vec![Value::Int(Some(row_no)), Value::Text(Some(word))]);
        return rows.unwrap().into_iter().map(row).collect();
    }
    let select = format!(
        "SELECT t.row_no, w.word FROM {table} t, \
         unnest(tsvector_to_array(t.words::tsvector)) AS w (word) WHERE w.word NOT LIKE '\u{e001}%'"
    );
    db.query(Statement::new(select)).await.unwrap()
}

/// Looks again and again until it is so, with a limit.
pub async fn until<F: Future<Output = bool>>(what: &str, mut is_so: impl FnMut() -> F) {
    let deadline = tokio::time::Instant::now() + LIMIT;
    while !is_so().await {
        assert!(tokio::time::Instant::now() < deadline, "{what} did not happen within {LIMIT:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
