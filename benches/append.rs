//! Appends per second through the framework: the stock stores against this project's log, on SQLite
//! and on Postgres, in one run.
//!
//! Every command writes one event and waits for its commit (`synchronous=FULL`,
//! `synchronous_commit=on`). A client makes a user, changes its password a few times, and goes on
//! with the next user: streams are short, as most are. Run by `make bench`, or by
//! `scripts/with-postgres cargo bench --bench append`.

mod support;

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use cqrs_es::persist::{PersistedEventRepository, PersistedEventStore};
use cqrs_es::{CqrsFramework, EventStore};
use postgres_es::PostgresEventRepository;
use sqlite_es::SqliteEventRepository;
use sqlx::postgres::PgPoolOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Executor as _};
use trinity::domain::Metadata;
use trinity::domain::account::{Account, AccountCommand, Role};
use trinity::event_log::EventLog;
use uuid::Uuid;

use support::{fresh_database, percentile_ms, postgres_url};

const CLIENTS: [usize; 4] = [1, 16, 64, 256];
const ROUNDS: usize = 3;
const WARM_UP_MS: u64 = 300;
const MEASURE_MS: u64 = 2_000;
/// The length of a stream when its client goes on to the next.
const STREAM_EVENTS: u64 = 10;
/// The connections of the stock store on Postgres.
const STOCK_POOL: u32 = 64;
/// How many times the stock store's rate the log should reach, by clients.
const GOALS_POSTGRES: [f64; 4] = [2.0, 4.0, 11.0, 15.0];
const GOALS_SQLITE: [f64; 4] = [2.0, 10.0, 16.0, 18.0];

/// The table of the stock stores, as their own migrations make it.
const STOCK_TABLE: &str = "CREATE TABLE events (aggregate_type text NOT NULL, \
     aggregate_id text NOT NULL, sequence bigint NOT NULL CHECK (sequence >= 0), \
     event_type text NOT NULL, event_version text NOT NULL, payload json NOT NULL, \
     metadata json NOT NULL, PRIMARY KEY (aggregate_type, aggregate_id, sequence))";
const STOCK_TABLE_SQLITE: &str = "CREATE TABLE events (aggregate_type text NOT NULL, \
     aggregate_id text NOT NULL, sequence integer NOT NULL CHECK (sequence >= 0), \
     event_type text NOT NULL, event_version text NOT NULL, payload text NOT NULL, \
     metadata text NOT NULL, PRIMARY KEY (aggregate_type, aggregate_id, sequence)) STRICT";

/// Something that carries out commands.
trait Subject: Send + Sync + 'static {
    fn execute(&self, id: &str, command: AccountCommand)
    -> impl Future<Output = Result<()>> + Send;
}

struct Stock<R: PersistedEventRepository>(CqrsFramework<Account, PersistedEventStore<R, Account>>);

impl<R: PersistedEventRepository + 'static> Stock<R>
where
    PersistedEventStore<R, Account>: EventStore<Account>,
{
    fn new(repository: R) -> Self {
        let store = PersistedEventStore::new_event_store(repository);
        Self(CqrsFramework::new(store, vec![], ()))
    }
}

impl<R: PersistedEventRepository + 'static> Subject for Stock<R> {
    async fn execute(&self, id: &str, command: AccountCommand) -> Result<()> {
        let metadata = metadata().to_map();
        Ok(self.0.execute_with_metadata(id, command, metadata).await?)
    }
}

impl Subject for EventLog {
    async fn execute(&self, id: &str, command: AccountCommand) -> Result<()> {
        match &command {
            AccountCommand::CreateUser { .. } => {
                self.create::<Account>(id, command, metadata()).await?
            }
            _ => EventLog::execute::<Account>(self, id, command, metadata()).await?,
        };
        Ok(())
    }
}

fn metadata() -> Metadata {
    Metadata {
        actor: "user:6f1c1a52-8d4c-4a44-9a0c-0d9c5b2d8a11".to_owned(),
        correlation_id: "0190f3d2-7c1e-7b3a-b5f6-1f2e3d4c5b6a".to_owned(),
        causation_id: None,
        command_id: Uuid::now_v7().to_string(),
        body_sha256: None,
        traceparent: None,
    }
}

/// What one measurement saw.
#[derive(Debug, Clone, Copy)]
struct Figures {
    per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
    failures: u64,
}

/// Lets so many clients work and counts what was acknowledged after the warm-up.
async fn measure<S: Subject>(subject: Arc<S>, clients: usize) -> Result<Figures> {
    let (counting, stop) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let failures = Arc::new(AtomicU64::new(0));
    let mut tasks = Vec::with_capacity(clients);
    for _ in 0..clients {
        let (subject, counting) = (Arc::clone(&subject), Arc::clone(&counting));
        let (stop, failures) = (Arc::clone(&stop), Arc::clone(&failures));
        tasks.push(tokio::spawn(async move {
            let mut latencies = Vec::new();
            let (mut id, mut length) = (String::new(), STREAM_EVENTS);
            while !stop.load(Ordering::Relaxed) {
                let command = if length == STREAM_EVENTS {
                    (id, length) = (Uuid::now_v7().to_string(), 0);
                    AccountCommand::CreateUser { name: "ada".to_owned(), role: Role::User }
                } else {
                    AccountCommand::RecordPasswordChanged
                };
                let begun = Instant::now();
                let done = subject.execute(&id, command).await;
                if !counting.load(Ordering::Relaxed) {
                    length = if done.is_ok() { length + 1 } else { STREAM_EVENTS };
                } else if done.is_ok() {
                    latencies.push(begun.elapsed());
                    length += 1;
                } else {
                    failures.fetch_add(1, Ordering::Relaxed);
                    length = STREAM_EVENTS;
                }
            }
            latencies
        }));
    }
    tokio::time::sleep(Duration::from_millis(WARM_UP_MS)).await;
    counting.store(true, Ordering::Relaxed);
    let begun = Instant::now();
    tokio::time::sleep(Duration::from_millis(MEASURE_MS)).await;
    stop.store(true, Ordering::Relaxed);
    let elapsed = begun.elapsed();
    let mut latencies = Vec::new();
    for task in tasks {
        latencies.extend(task.await.context("a client ended early")?);
    }
    latencies.sort_unstable();
    #[expect(clippy::cast_precision_loss, reason = "a count of some seconds")]
    let per_second = latencies.len() as f64 / elapsed.as_secs_f64();
    let failures = failures.load(Ordering::Relaxed);
    let (p50_ms, p99_ms) = (percentile_ms(&latencies, 50), percentile_ms(&latencies, 99));
    Ok(Figures { per_second, p50_ms, p99_ms, failures })
}

async fn stock_postgres(server_url: &str, clients: usize) -> Result<Figures> {
    let options = fresh_database(server_url).await?;
    let pool = PgPoolOptions::new().max_connections(STOCK_POOL).connect_with(options).await?;
    pool.execute(STOCK_TABLE).await?;
    let figures =
        measure(Arc::new(Stock::new(PostgresEventRepository::new(pool.clone()))), clients).await;
    pool.close().await;
    figures
}

async fn own_postgres(server_url: &str, clients: usize) -> Result<Figures> {
    let url = fresh_database(server_url).await?.to_url_lossy();
    let log = EventLog::open_postgres(url.as_str()).await?;
    measure(Arc::new(log), clients).await
}

async fn stock_sqlite(clients: usize) -> Result<Figures> {
    let folder = tempfile::tempdir()?;
    let options = SqliteConnectOptions::new()
        .filename(folder.path().join("log.db"))
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full);
    // As many connections as `default_sqlite_pool` has.
    let pool = SqlitePoolOptions::new().max_connections(10).connect_with(options).await?;
    pool.execute(STOCK_TABLE_SQLITE).await?;
    let figures =
        measure(Arc::new(Stock::new(SqliteEventRepository::new(pool.clone()))), clients).await;
    pool.close().await;
    figures
}

async fn own_sqlite(clients: usize) -> Result<Figures> {
    let folder = tempfile::tempdir()?;
    let log = EventLog::open_sqlite(&folder.path().join("log.db")).await?;
    measure(Arc::new(log), clients).await
}

/// The round with the median rate.
fn median(mut rounds: Vec<Figures>) -> Result<Figures> {
    rounds.sort_by(|a, b| a.per_second.total_cmp(&b.per_second));
    rounds.get(rounds.len() / 2).copied().context("no round was measured")
}

/// Measures one engine at every number of clients, stock and own in turn.
async fn compare(server_url: Option<&str>, goals: [f64; 4]) -> Result<String> {
    let mut table = String::new();
    for (clients, goal) in CLIENTS.into_iter().zip(goals) {
        let (mut stock, mut own) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            if let Some(url) = server_url {
                stock.push(stock_postgres(url, clients).await?);
                own.push(own_postgres(url, clients).await?);
            } else {
                stock.push(stock_sqlite(clients).await?);
                own.push(own_sqlite(clients).await?);
            }
        }
        let (stock, own) = (median(stock)?, median(own)?);
        let ratio = own.per_second / stock.per_second;
        writeln!(
            table,
            "| {clients} | {:.0} | {:.0} | {ratio:.1} | {goal:.1} | {:.2} / {:.2} | {:.2} / {:.2} | {} / {} |",
            stock.per_second,
            own.per_second,
            stock.p50_ms,
            stock.p99_ms,
            own.p50_ms,
            own.p99_ms,
            stock.failures,
            own.failures,
        )?;
    }
    Ok(table)
}

#[tokio::main]
async fn main() -> Result<()> {
    let url = postgres_url()?;
    let head = "| clients | stock, events/s | own, events/s | ratio | goal | \
         stock p50 / p99, ms | own p50 / p99, ms | failures |\n|---|---|---|---|---|---|---|---|";
    println!("## Appends through the framework\n");
    println!("Median of {ROUNDS} rounds of {MEASURE_MS} ms.\n");
    println!("Postgres, stock postgres-es with {STOCK_POOL} connections:\n\n{head}");
    println!("{}", compare(Some(&url), GOALS_POSTGRES).await?);
    println!("SQLite with synchronous=FULL, stock sqlite-es:\n\n{head}");
    println!("{}", compare(None, GOALS_SQLITE).await?);
    Ok(())
}
