//! Reading the log and folding it: catch-up reads against the bare driver, and the rebuild of a read
//! model against the stock `GenericQuery`, on SQLite and on Postgres, in one run.
//!
//! The log is that of real commands: agents that take tasks, start them and end them.
//! `TRINITY_BENCH_EXECUTIONS` makes it longer. Run by `make bench`, or by
//! `scripts/with-postgres cargo bench --bench read`.

mod support;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use cqrs_es::persist::{GenericQuery, ViewRepository};
use cqrs_es::{EventEnvelope, Query, View};
use postgres_es::PostgresViewRepository;
use serde::{Deserialize, Serialize};
use sqlite_es::SqliteViewRepository;
use sqlx::postgres::PgPoolOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Executor as _, Row as _};
use trinity::clock;
use trinity::commands::reports::{self, LifeRef};
use trinity::commands::runs::{self, Grant};
use trinity::commands::tasks::{self, Submit, Waits};
use trinity::commands::{Cause, accounts, agents, ids};
use trinity::db::{Db, Durability};
use trinity::domain::account::Role;
use trinity::domain::agent::{AgentConfig, Create, Runtime};
use trinity::domain::execution::{Execution, Outcome, Request, Source, Trigger, Verdict};
use trinity::domain::slots::{QUEUE_LENGTH_MAX, Slots};
use trinity::domain::{AccountId, Actor, Event, IncarnationId, Metadata, Recorded};
use trinity::event_log::EventLog;
use trinity::projections::Views;
use uuid::Uuid;

const EXECUTIONS_DEFAULT: usize = 10_000;
const AGENTS: usize = 32;
const ROUNDS: usize = 3;
/// How many events one read asks for.
const PAGE_EVENTS: usize = 1_000;
/// How many events the stock query folds; it would take minutes for all.
const STOCK_EVENTS: usize = 4_000;
/// How long the read models may take to catch up.
const CATCH_UP_MAX: Duration = Duration::from_mins(10);
/// The table that the stock view repositories expect.
const STOCK_VIEW: &str = "CREATE TABLE stock_view (view_id text NOT NULL PRIMARY KEY, \
     version bigint NOT NULL CHECK (version >= 0), payload json NOT NULL)";
const SELECT_EVENTS: &str = "SELECT aggregate_type, aggregate_id, sequence, event_type, \
     event_version, payload, metadata, position, event_id, recorded_at FROM events \
     WHERE position > $1 ORDER BY position LIMIT $2";

fn metadata(actor: &Actor) -> Metadata {
    Metadata {
        actor: actor.to_string(),
        correlation_id: Uuid::now_v7().to_string(),
        causation_id: None,
        command_id: Uuid::now_v7().to_string(),
        body_sha256: None,
        traceparent: None,
    }
}

/// Lets one agent take, start and end its share of the executions.
async fn work(log: EventLog, owner: AccountId, number: usize, executions: usize) -> Result<()> {
    let create = Create {
        incarnation: IncarnationId(Uuid::now_v7()),
        owner,
        is_system: false,
        node_id: None,
        config: AgentConfig::new(format!("agent-{number}").parse()?, Runtime::Demo),
        start: true,
    };
    let by_owner = || metadata(&Actor::User(owner));
    let created = agents::create(&log, create, Vec::new(), by_owner(), clock::now()).await?;
    let first = log.event(created.position).await?.context("the agent's first event")?;
    let (life, cause) = (created.life, Cause::of(&first));
    reports::provisioned(&log, &life, "host".to_owned(), &cause).await?;
    let (host, hash) = ("host".to_owned(), "hash".to_owned());
    reports::started(&log, &life, host, hash, clock::now(), &cause).await?;
    for task in 0..executions {
        let submit = Submit {
            execution_id: ids::execution_id(None),
            request: request(&life, owner, task),
            caller: None,
            waits: Waits::ForNothing,
            queue_length_max: QUEUE_LENGTH_MAX,
            now: clock::now(),
        };
        let id = tasks::submit(&log, submit, by_owner()).await?.execution_id;
        let slots: Slots = log.state(life.incarnation).await?.state;
        let (slot, active) = slots.slot_of(id).context("a slot is free")?;
        let (incarnation, epoch) = (life.incarnation, active.epoch);
        let grant = Grant { execution_id: id, incarnation, slot, epoch };
        runs::record_started(&log, grant, "session".to_owned(), clock::now(), &cause).await?;
        let outcome = Outcome {
            response: Some("Everything is as it should be.".to_owned()),
            cost_usd_micros: Some(42_100),
            num_turns: Some(3),
            duration_ms: Some(1_234),
            ..Outcome::ended(clock::now())
        };
        runs::record_exit(&log, grant, Verdict::Completed, outcome, clock::now(), &cause).await?;
    }
    Ok(())
}

fn request(life: &LifeRef, owner: AccountId, task: usize) -> Request {
    Request {
        agent: life.name.clone(),
        incarnation: life.incarnation,
        triggered_by: Trigger::Manual,
        source: Source::User,
        source_user: Some(owner),
        source_agent: None,
        message: format!("Look at part {task} of the repository and say what is wrong with it."),
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
        tags: Vec::new(),
    }
}

/// Writes a history.
async fn fill(log: &EventLog, executions: usize) -> Result<()> {
    let by_system = metadata(&Actor::System);
    accounts::create_user(log, "owner".to_owned(), Role::User, by_system).await?;
    let owner = ids::user_id("owner");
    let work = (0..AGENTS)
        .map(|number| tokio::spawn(work(log.clone(), owner, number, executions.div_ceil(AGENTS))));
    for agent in work.collect::<Vec<_>>() {
        agent.await??;
    }
    Ok(())
}

/// Reads the whole log in pages; gives the number of events.
async fn catch_up(log: &EventLog) -> Result<usize> {
    let mut read = 0;
    let mut position = 0;
    loop {
        let page = log.after(position, PAGE_EVENTS).await?;
        let Some(last) = page.last() else { return Ok(read) };
        position = last.position;
        read += page.len();
    }
}

/// The same rows by the bare driver, as text.
async fn bare_postgres(pool: &sqlx::PgPool) -> Result<usize> {
    let (mut read, mut position) = (0, 0_i64);
    loop {
        let page = sqlx::query(SELECT_EVENTS).bind(position).bind(i64::try_from(PAGE_EVENTS)?);
        let page = page.fetch_all(pool).await?;
        for row in &page {
            for text in [0, 1, 3, 4, 8] {
                std::hint::black_box(row.try_get::<String, _>(text)?);
            }
            for json in [5, 6] {
                std::hint::black_box(
                    row.try_get::<&serde_json::value::RawValue, _>(json)?.get().to_owned(),
                );
            }
            std::hint::black_box((row.try_get::<i64, _>(2)?, row.try_get::<i64, _>(9)?));
            position = row.try_get(7)?;
        }
        if page.is_empty() {
            return Ok(read);
        }
        read += page.len();
    }
}

/// The same rows by the bare driver, as text.
fn bare_sqlite(path: &Path) -> Result<usize> {
    let connection = rusqlite::Connection::open(path)?;
    let mut statement = connection.prepare(SELECT_EVENTS)?;
    let (mut read, mut position) = (0, 0_i64);
    loop {
        let mut rows = statement.query((position, i64::try_from(PAGE_EVENTS)?))?;
        let before = read;
        while let Some(row) = rows.next()? {
            for text in [0, 1, 3, 4, 5, 6, 8] {
                std::hint::black_box(row.get::<_, String>(text)?);
            }
            std::hint::black_box((row.get::<_, i64>(2)?, row.get::<_, i64>(9)?));
            position = row.get(7)?;
            read += 1;
        }
        if read == before {
            return Ok(read);
        }
    }
}

/// What the stock query keeps of an execution: the aggregate's own state, as its examples do.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
struct StockView(Execution);

impl View<Execution> for StockView {
    fn update(&mut self, event: &EventEnvelope<Execution>) {
        cqrs_es::Aggregate::apply(&mut self.0, event.payload.clone());
    }
}

/// Folds the first events by the stock query; gives events per second.
async fn stock_rebuild<R>(events: &[Arc<Recorded>], repository: R) -> f64
where
    R: ViewRepository<StockView, Execution>,
{
    let query = GenericQuery::<R, StockView, Execution>::new(Arc::new(repository));
    let begun = Instant::now();
    for recorded in events {
        // As `cqrs_es` replays: every event to the query, which ignores what is not its own.
        let Event::Execution(event) = &recorded.event else { continue };
        let envelope = EventEnvelope {
            aggregate_id: recorded.stream.id.clone(),
            sequence: usize::try_from(recorded.version).unwrap_or_default(),
            payload: event.clone(),
            metadata: std::collections::HashMap::new(),
        };
        query.dispatch(&recorded.stream.id, &[envelope]).await;
    }
    per_second(events.len(), begun.elapsed())
}

#[expect(clippy::cast_precision_loss, reason = "a count of some millions")]
fn per_second(count: usize, elapsed: Duration) -> f64 {
    count as f64 / elapsed.as_secs_f64()
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates.get(rates.len() / 2).copied().unwrap_or_default()
}

/// Builds the read model of executions again and again; gives events per second.
async fn own_rebuild(log: &EventLog, db: Db) -> Result<f64> {
    let views = Views::start(log.clone(), db).await?;
    views.wait_for(&[], log.head(), CATCH_UP_MAX).await?;
    let events = usize::try_from(log.head())?;
    let mut rates = Vec::new();
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        views.rebuild("executions").await?;
        views.rebuilt("executions").await?;
        rates.push(per_second(events, begun.elapsed()));
    }
    views.shutdown().await;
    Ok(median(rates))
}

/// The events that the stock query is measured with.
async fn first_events(log: &EventLog) -> Result<Vec<Arc<Recorded>>> {
    let mut events = Vec::new();
    while events.len() < STOCK_EVENTS {
        let position = events.last().map_or(0, |event: &Arc<Recorded>| event.position);
        let page = log.after(position, PAGE_EVENTS).await?;
        if page.is_empty() {
            break;
        }
        events.extend(page);
    }
    Ok(events)
}

struct Rates {
    events: i64,
    bare: f64,
    read: f64,
    stock: f64,
    rebuild: f64,
}

async fn sqlite(executions: usize) -> Result<Rates> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("log.db");
    fill(&EventLog::open_sqlite(&path).await?, executions).await?;
    let (mut bare, mut read) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        let bare_path = path.clone();
        let count = tokio::task::spawn_blocking(move || bare_sqlite(&bare_path)).await??;
        bare.push(per_second(count, begun.elapsed()));
        // Opened anew, so that nothing is in memory.
        let log = EventLog::open_sqlite(&path).await?;
        let begun = Instant::now();
        read.push(per_second(catch_up(&log).await?, begun.elapsed()));
    }
    let log = EventLog::open_sqlite(&path).await?;
    let options = SqliteConnectOptions::new()
        .filename(folder.path().join("stock.db"))
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        // It keeps no cursor: an update that a loss of power takes away is gone for good.
        .synchronous(SqliteSynchronous::Full);
    let pool = SqlitePoolOptions::new().connect_with(options).await?;
    pool.execute(STOCK_VIEW).await?;
    let view = SqliteViewRepository::new("stock_view", pool);
    let stock = stock_rebuild(&first_events(&log).await?, view).await;
    let db = Db::open_sqlite(&folder.path().join("views.db"), Durability::Normal)?;
    let rebuild = own_rebuild(&log, db).await?;
    Ok(Rates { events: log.head(), bare: median(bare), read: median(read), stock, rebuild })
}

async fn postgres(server_url: &str, executions: usize) -> Result<Rates> {
    let options = support::fresh_database(server_url).await?;
    let url = options.to_url_lossy();
    let pool = PgPoolOptions::new().connect_with(options).await?;
    fill(&EventLog::open_postgres(url.as_str()).await?, executions).await?;
    let (mut bare, mut read) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        bare.push(per_second(bare_postgres(&pool).await?, begun.elapsed()));
        let log = EventLog::open_postgres(url.as_str()).await?;
        let begun = Instant::now();
        read.push(per_second(catch_up(&log).await?, begun.elapsed()));
    }
    let log = EventLog::open_postgres(url.as_str()).await?;
    pool.execute(STOCK_VIEW).await?;
    let view = PostgresViewRepository::new("stock_view", pool.clone());
    let stock = stock_rebuild(&first_events(&log).await?, view).await;
    let rebuild = own_rebuild(&log, Db::postgres(pool, Durability::Normal)).await?;
    Ok(Rates { events: log.head(), bare: median(bare), read: median(read), stock, rebuild })
}

#[tokio::main]
async fn main() -> Result<()> {
    let url = support::postgres_url()?;
    let executions = support::setting("TRINITY_BENCH_EXECUTIONS", EXECUTIONS_DEFAULT)?;
    println!("## Reading the log and folding it\n");
    println!("Events per second; median of {ROUNDS} rounds. \"Bare\" reads the same pages of rows");
    println!("by the driver alone, without making events of them; \"stock\" is the `GenericQuery`");
    println!("of cqrs-es with the store's own view repository.\n");
    println!(
        "| store | events | bare read | own read | ratio | goal | stock fold | rebuild | ratio | goal |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    for (name, rates) in
        [("SQLite", sqlite(executions).await?), ("Postgres", postgres(&url, executions).await?)]
    {
        let Rates { events, bare, read, stock, rebuild } = rates;
        println!(
            "| {name} | {events} | {bare:.0} | {read:.0} | {:.2} | 0.8 | {stock:.0} | {rebuild:.0} | {:.0} | 300 |",
            read / bare,
            rebuild / stock,
        );
    }
    println!();
    Ok(())
}
