//! Measures what a read model takes to answer with a page of executions, a page of activities or one
//! execution, from few rows to very many, on both stores.
//!
//! `TRINITY_BENCH_ROWS` names the sizes, separated by commas; ten thousand and a million unless it does.
//! Rows are made by the read model's own fold, its indexes after them. What is measured is the query with its rows as values;
//! the requests of one case come one after another. Run by `make bench`, or by
//! `scripts/with-postgres cargo bench --bench lists`.

#[path = "../tests/it/projections/fill.rs"]
mod fill;
mod support;

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use chrono::TimeDelta;
use sqlx::postgres::PgPoolOptions;
use trinity::db::{Db, Durability, Statement};
use trinity::domain::ExecutionId;
use trinity::domain::execution::{Source, Status, Trigger};
use trinity::event_log::EventLog;
use trinity::projections::activities::{
    ActivityFilter, ActivityState, ActivityType, ENTRIES_PER_EVENT_MAX,
};
use trinity::projections::executions::ExecutionFilter;
use trinity::projections::{Cost, Filter as _, Order, Place, Viewer, Views};

use fill::{Sample, fill, life, name, owner};
use support::{fresh_database, percentile_ms, postgres_url};

const ROWS: &str = "10000,1000000";
const PAGE: u32 = 50;
const WARM_UP_REQUESTS: usize = 20;
const REQUESTS: usize = 200;

/// Something that is asked for again and again.
enum Ask {
    List(Viewer, Box<ExecutionFilter>, Option<i64>),
    Facets(Box<ExecutionFilter>),
    Totals(Box<ExecutionFilter>),
    Detail(ExecutionId),
    Activities(Viewer, Box<ActivityFilter>, Option<i64>),
}

/// What is asked for, in words.
fn cases(count: u64) -> Vec<(&'static str, Ask)> {
    let none = ExecutionFilter::default;
    let list = |filter: ExecutionFilter| Ask::List(Viewer::System, Box::new(filter), None);
    let text = |q: &str| list(ExecutionFilter { q: Some(q.to_owned()), ..none() });
    let place = |number: u64| Some(Sample::of(number, count).row_no());
    let deep = |at| Ask::List(Viewer::System, Box::new(none()), place(at));
    let failed = ExecutionFilter { status: vec![Status::Failed], ..none() };
    let last = Sample::of(count - 1, count).created_at;
    let day = ExecutionFilter { from: Some(last - TimeDelta::hours(24)), ..none() };
    let (from, to) = (last - TimeDelta::minutes(90), last - TimeDelta::minutes(30));
    let deploy = ExecutionFilter { q: Some("deploy".to_owned()), ..none() };
    vec![
        ("first page", list(none())),
        ("first page, oldest first", list(ExecutionFilter { order: Order::OldestFirst, ..none() })),
        ("page in the middle", deep(count / 2)),
        ("last page but one", deep(75)),
        ("status", list(failed.clone())),
        (
            "status, page in the middle",
            Ask::List(Viewer::System, Box::new(failed), place(count / 2)),
        ),
        ("rare trigger", list(ExecutionFilter { triggered_by: vec![Trigger::Mcp], ..none() })),
        ("rare agent", list(ExecutionFilter { agent: vec![name(19)], ..none() })),
        (
            "agent, status, trigger",
            list(ExecutionFilter {
                agent: vec![name(17), name(18)],
                status: vec![Status::Failed, Status::Cancelled],
                triggered_by: vec![Trigger::Chat],
                ..none()
            }),
        ),
        ("dates", list(ExecutionFilter { from: Some(from), to: Some(to), ..none() })),
        ("cost", list(ExecutionFilter { cost_min: Some(Cost(1_500_000)), ..none() })),
        (
            "cost, agent, status",
            list(ExecutionFilter {
                incarnation: Some(life(15)),
                cost_min: Some(Cost(1_500_000)),
                status: vec![Status::Failed],
                ..none()
            }),
        ),
        ("as a user", Ask::List(Viewer::User(owner()), Box::new(none()), None)),
        ("search: a word of most messages", text("deploy")),
        ("search: two such words", text("deploy site")),
        ("search: a word of one in 5,000", text("word7")),
        ("search: a word of one message", text("only77")),
        ("search: a word of old messages", text("ancient")),
        ("search: a word of no message", text("nowhere")),
        ("search: `%`", text("%")),
        (
            "search and status",
            list(ExecutionFilter { status: vec![Status::Cancelled], ..deploy.clone() }),
        ),
        ("facets", Ask::Facets(Box::new(none()))),
        ("facets of a search", Ask::Facets(Box::new(deploy.clone()))),
        ("facets of a day", Ask::Facets(Box::new(day.clone()))),
        ("stats of a day", Ask::Totals(Box::new(day))),
    ]
}

/// What is asked for besides lists of executions, in words.
fn other_cases(count: u64) -> Vec<(&'static str, Ask)> {
    let none = ActivityFilter::default;
    let list = |filter| Ask::Activities(Viewer::System, Box::new(filter), None);
    let middle = Sample::of(count / 2, count);
    let deep = |filter| {
        Ask::Activities(
            Viewer::System,
            Box::new(filter),
            Some(middle.row_no() * ENTRIES_PER_EVENT_MAX),
        )
    };
    let agent_state = ActivityFilter {
        agent: vec![name(17)],
        activity_state: vec![ActivityState::Failed],
        ..none()
    };
    let ends = ActivityFilter { activity_type: vec![ActivityType::ScheduleEnd], ..none() };
    let rare = ActivityFilter { activity_type: vec![ActivityType::ExecutionCancelled], ..none() };
    vec![
        ("one execution", Ask::Detail(middle.id)),
        ("activities: first page", list(none())),
        ("activities: page in the middle", deep(none())),
        ("activities: agent, state", list(agent_state)),
        ("activities: type", list(ends.clone())),
        ("activities: type, page in the middle", deep(ends)),
        ("activities: rare type", list(rare)),
        (
            "activities: source",
            list(ActivityFilter { triggered_by: vec![Source::Agent], ..none() }),
        ),
        ("activities: cost", list(ActivityFilter { cost_min: Some(Cost(1_500_000)), ..none() })),
        (
            "activities: search: a word of one in 5,000",
            list(ActivityFilter { q: Some("word7".into()), ..none() }),
        ),
        (
            "activities: search and state",
            list(ActivityFilter {
                q: Some("deploy".into()),
                activity_state: vec![ActivityState::Failed],
                ..none()
            }),
        ),
        ("activities: as a user", Ask::Activities(Viewer::User(owner()), Box::new(none()), None)),
        (
            "activities: of one execution",
            list(ActivityFilter { related_execution_id: Some(middle.id), ..none() }),
        ),
    ]
}

async fn ask(views: &Views, ask: &Ask) -> Result<usize> {
    Ok(match ask {
        Ask::List(viewer, filter, place) => {
            let at = |row_no| filter.cursor_at(Place { created_at: 0, row_no });
            let page = filter.page(Some(PAGE), place.map(at).as_deref())?;
            views.executions().list(viewer, filter, &page).await?.items.len()
        }
        Ask::Facets(filter) => {
            let facets = views.statistics().facets(&Viewer::System, filter).await?;
            facets.status.len()
        }
        Ask::Totals(filter) => {
            let totals = views.statistics().totals(&Viewer::System, filter).await?;
            totals.status.len()
        }
        Ask::Detail(id) => usize::from(views.executions().get(*id).await?.is_some()),
        Ask::Activities(viewer, filter, place) => {
            let at = |row_no| filter.cursor_at(Place { created_at: 0, row_no });
            let page = filter.page(Some(PAGE), place.map(at).as_deref())?;
            views.activities().list(viewer, filter, &page).await?.items.len()
        }
    })
}

/// The median and the 99th of a hundred, in milliseconds, and the rows of an answer.
async fn measure(views: &Views, case: &Ask) -> Result<(f64, f64, usize)> {
    let mut rows = 0;
    for _ in 0..WARM_UP_REQUESTS {
        rows = ask(views, case).await?;
    }
    let mut took: Vec<Duration> = Vec::with_capacity(REQUESTS);
    for _ in 0..REQUESTS {
        let begun = Instant::now();
        ask(views, case).await?;
        took.push(begun.elapsed());
    }
    took.sort_unstable();
    Ok((percentile_ms(&took, 50), percentile_ms(&took, 99), rows))
}

/// Drops what no fold looks into; gives the statements that make it again.
///
/// The fold of activities looks for what is open by the execution that it is about.
async fn drop_indexes(db: &Db) -> Result<Vec<String>> {
    let select = if db.is_sqlite() {
        "SELECT name, sql FROM sqlite_schema \
         WHERE type = 'index' AND sql IS NOT NULL AND sql NOT LIKE '%(related_execution_id%' \
             AND (tbl_name LIKE 'execution%' OR tbl_name LIKE 'activit%')"
    } else {
        "SELECT indexname::text, indexdef FROM pg_indexes \
         WHERE indexname NOT LIKE '%_pkey' AND indexdef NOT LIKE '%(related_execution_id%' \
             AND (tablename LIKE 'execution%' OR tablename LIKE 'activit%')"
    };
    let mut indexes = Vec::new();
    for mut row in db.query(Statement::new(select)).await? {
        let (name, create): (String, String) = (row.take()?, row.take()?);
        db.execute(Statement::new(format!("DROP INDEX {name}"))).await?;
        indexes.push(create);
    }
    Ok(indexes)
}

/// What one case took at one size.
struct Measured {
    what: &'static str,
    rows: usize,
    p50_ms: f64,
    p99_ms: f64,
}

/// Fills a store with so many executions, and measures every case.
async fn measure_all(server_url: Option<&str>, count: u64) -> Result<Vec<Measured>> {
    let folder = tempfile::tempdir()?;
    let log = EventLog::open_sqlite(&folder.path().join("log.db")).await?;
    let db = match server_url {
        None => Db::open_sqlite(&folder.path().join("views.db"), Durability::Normal)?,
        Some(url) => {
            let pool = PgPoolOptions::new().max_connections(8);
            let pool = pool.connect_with(fresh_database(url).await?).await?;
            Db::postgres(pool, Durability::Normal)
        }
    };
    let views = Views::start(log.clone(), db.clone()).await?;
    let begun = Instant::now();
    let indexes = drop_indexes(&db).await?;
    fill(&db, &["agents", "executions", "activities"], count).await?;
    #[expect(clippy::cast_precision_loss, reason = "a rate")]
    let rate = count as f64 / begun.elapsed().as_secs_f64();
    println!("{count} executions and their activities folded, {rate:.0} per second");
    for index in indexes {
        db.execute(Statement::new(index)).await?;
    }
    println!("{:.0} s with their indexes", begun.elapsed().as_secs_f64());
    let mut measured = Vec::new();
    for (what, case) in cases(count).into_iter().chain(other_cases(count)) {
        let (p50_ms, p99_ms, rows) = measure(&views, &case).await?;
        measured.push(Measured { what, rows, p50_ms, p99_ms });
    }
    views.shutdown().await;
    Ok(measured)
}

/// One table: a line per case with the rows of its answer at the last size, a column per size.
async fn table(server_url: Option<&str>, sizes: &[u64]) -> Result<String> {
    let mut columns = Vec::new();
    for count in sizes {
        columns.push(measure_all(server_url, *count).await?);
    }
    let heads: Vec<_> = sizes.iter().map(|count| format!(" {count} rows |")).collect();
    let mut table =
        format!("\n| request |{}\n|---|{}\n", heads.concat(), "---|".repeat(sizes.len()));
    for (place, Measured { what, rows, .. }) in columns.last().into_iter().flatten().enumerate() {
        write!(table, "| {what} ({rows}) |")?;
        for Measured { p50_ms, p99_ms, .. } in columns.iter().filter_map(|column| column.get(place))
        {
            write!(table, " {p50_ms:.2} / {p99_ms:.2} |")?;
        }
        table.push('\n');
    }
    Ok(table)
}

/// The sizes to measure at.
#[expect(clippy::disallowed_methods, reason = "a bench has no configuration but its runner's")]
fn sizes() -> Result<Vec<u64>> {
    let rows = std::env::var("TRINITY_BENCH_ROWS").unwrap_or_else(|_| ROWS.to_owned());
    let size = |rows: &str| rows.trim().parse().context("TRINITY_BENCH_ROWS is a list of numbers");
    rows.split(',').map(size).collect()
}

#[tokio::main]
async fn main() -> Result<()> {
    let (url, sizes) = (postgres_url()?, sizes()?);
    println!(
        "Lists: p50 / p99 of {REQUESTS} requests, in milliseconds; rows of an answer at the last size in brackets.\n"
    );
    println!("SQLite:\n{}", table(None, &sizes).await?);
    println!("Postgres:\n{}", table(Some(&url), &sizes).await?);
    Ok(())
}
