//! How read models fail, stop, move on and are replaced.

use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use sqlx::postgres::PgPoolOptions;
use trinity::db::{self, Column, Db, Durability, Record, Row, Statement};
use trinity::domain::account::{Account, AccountCommand, Role};
use trinity::domain::{Event, EventId, Recorded};
use trinity::projections::{
    self, ATTEMPTS_MAX, Build, FoldError, Projection, RebuildError, TableDef, Views, all,
};

use super::world::{World, dump, until};
use crate::event_log::server::Server;
use crate::event_log::support::{LIMIT, within};

/// One row per event: the simplest read model there is.
#[derive(Debug, Clone)]
struct Seen {
    event_id: EventId,
    position: i64,
}

impl Record for Seen {
    type Key = EventId;
    const TABLE: &'static str = "seen_v1";
    const KEY: &'static [&'static str] = &["event_id"];
    const COLUMNS: &'static [db::ColumnDef] =
        &[db::ColumnDef::of::<EventId>("event_id"), db::ColumnDef::of::<i64>("position")];

    fn from_row(row: &mut Row) -> Result<Self, db::Error> {
        Ok(Self { event_id: row.take()?, position: row.take()? })
    }

    fn values(&self) -> Vec<db::Value> {
        vec![db::Param::to_value(&self.event_id), db::Param::to_value(&self.position)]
    }

    fn key(&self) -> EventId {
        self.event_id
    }

    fn key_values(key: &EventId) -> Vec<db::Value> {
        vec![db::Param::to_value(key)]
    }
}

/// How the event named in [`Moody::at`] is met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mood {
    Refuse,
    Panic,
    /// Writes its rows, then a statement that no database takes.
    BadStatement,
}

/// A read model that cannot stand one event.
#[derive(Debug)]
struct Moody {
    at: i64,
    mood: Mood,
    mended: AtomicBool,
    met: AtomicUsize,
}

impl Moody {
    fn new(at: i64, mood: Mood) -> Arc<Self> {
        Arc::new(Self { at, mood, mended: AtomicBool::new(false), met: AtomicUsize::new(0) })
    }
}

#[async_trait]
impl Projection for Moody {
    fn name(&self) -> &'static str {
        "moody"
    }

    fn version(&self) -> u32 {
        1
    }

    fn tables(&self) -> Vec<TableDef> {
        vec![TableDef::of::<Seen>(&["(position)"])]
    }

    async fn fold(
        &self,
        _db: &Db,
        build: Build,
        events: &[Arc<Recorded>],
    ) -> Result<Vec<Statement>, FoldError> {
        let seen: Vec<_> = events
            .iter()
            .map(|event| Seen { event_id: event.event_id, position: event.position })
            .collect();
        let mut statements = db::upsert(&build.table::<Seen>(), &seen);
        let meets = events.iter().any(|event| event.position == self.at);
        if meets && !self.mended.load(Ordering::SeqCst) {
            self.met.fetch_add(1, Ordering::SeqCst);
            match self.mood {
                Mood::Refuse => {
                    return Err(FoldError::Event { position: self.at, reason: "no".into() });
                }
                Mood::Panic => panic!("a fold that panics, on purpose"),
                Mood::BadStatement => {
                    statements.push(Statement::new("INSERT INTO no_such_table VALUES (1)"));
                }
            }
        }
        Ok(statements)
    }
}

async fn seen(db: &Db) -> Vec<i64> {
    let select = Statement::new("SELECT position FROM seen_v1 ORDER BY position");
    db.fetch_column(select).await.unwrap()
}

/// A log of so many events, all about one user.
async fn log_of(events: i64) -> World {
    let world = World::new().await;
    for _ in 1..events {
        touch(&world).await;
    }
    assert_eq!(world.log.head(), events);
    world
}

async fn touch(world: &World) {
    let command = AccountCommand::RecordPasswordChanged;
    world.log.execute::<Account>(world.owner, command, world.by_owner()).await.unwrap();
}

async fn one_event_stops_only_one(mood: Mood) {
    let world = World::new().await;
    let store = world.db().await;
    for number in 0..8 {
        world.user(&format!("user-{number}"), Role::User).await;
    }
    let moody = Moody::new(5, mood);
    let mut projections = all();
    projections.push(Arc::<Moody>::clone(&moody));
    let views = Views::start_with(world.log.clone(), store.db.clone(), projections).await.unwrap();
    let names: Vec<_> = all().iter().map(|projection| projection.name()).collect();
    views.wait_for(&names, world.log.head(), LIMIT).await.unwrap();
    let stopped = || async { views.health()["moody"].degraded };
    until("the stop", stopped).await;

    // Everything before the event is there, nothing of it or after it.
    assert_eq!(seen(&store.db).await, [1, 2, 3, 4], "{mood:?}");
    let health = &views.health()["moody"];
    assert_eq!((health.position, health.lag), (4, world.log.head() - 4));
    let error = health.error.clone().unwrap();
    assert!(error.contains("UserCreated at position 5"), "{error}");
    let met = moody.met.load(Ordering::SeqCst);
    assert!(met >= ATTEMPTS_MAX as usize, "{met} attempts");
    let lag = views.wait_for(&["moody"], 5, LIMIT).await.unwrap_err();
    assert_eq!((lag.projection, lag.reached), ("moody", 4), "a stopped one is not waited for");
    assert!(views.health()["executions"].error.is_none());

    // A rebuild before the event is mended fails and says so; the rows stay.
    views.rebuild("moody").await.unwrap();
    let failed = within("the failure", views.rebuilt("moody")).await.unwrap_err();
    assert!(matches!(failed, RebuildError::Stopped { position: 5, .. }), "{failed}");
    assert_eq!(seen(&store.db).await, [1, 2, 3, 4]);

    moody.mended.store(true, Ordering::SeqCst);
    views.rebuild("moody").await.unwrap();
    within("the rebuild", views.rebuilt("moody")).await.unwrap();
    views.wait_for(&["moody"], world.log.head(), LIMIT).await.unwrap();
    until("health", || async { !views.health()["moody"].degraded }).await;
    assert_eq!(seen(&store.db).await, (1..=world.log.head()).collect::<Vec<_>>());
    views.shutdown().await;
}

#[tokio::test]
async fn an_event_that_cannot_be_folded_stops_one_read_model_only() {
    one_event_stops_only_one(Mood::Refuse).await;
}

#[tokio::test]
async fn a_fold_that_panics_stops_one_read_model_only() {
    one_event_stops_only_one(Mood::Panic).await;
}

#[tokio::test]
async fn rows_and_cursor_are_written_together_or_not_at_all() {
    one_event_stops_only_one(Mood::BadStatement).await;
}

#[tokio::test]
async fn a_cursor_beyond_the_log_builds_the_read_model_again() {
    let world = World::new().await;
    let store = world.db().await;
    let life = world.agent("scout").await;
    let id = world.submit(world.task(&life, "before")).await;
    let views = world.views(&store.db).await;
    let before = dump(&store.db).await;
    views.shutdown().await;
    // As after a backup of the log was put back: the rows have seen what is no more.
    let ahead = "UPDATE projection_cursors SET position = position + 100";
    store.db.execute(Statement::new(ahead)).await.unwrap();
    let ghost = "UPDATE executions_v3 SET status = 'running', message = 'of another history'";
    store.db.execute(Statement::new(ghost)).await.unwrap();
    let views = Views::start(world.log.clone(), store.db.clone()).await.unwrap();
    let at_head = || async {
        let head = world.log.head();
        views.health().values().all(|health| health.position == head)
    };
    until("the rebuild", at_head).await;
    assert_eq!(dump(&store.db).await, before);
    assert_eq!(views.executions().get(id).await.unwrap().unwrap().message, "before");
    views.shutdown().await;
}

#[tokio::test]
async fn rows_of_another_log_are_thrown_away() {
    let one = World::new().await;
    let store = one.db().await;
    one.agent("of-the-first").await;
    one.views(&store.db).await.shutdown().await;

    let two = World::new().await;
    two.agent("of-the-second").await;
    let views = two.views(&store.db).await;
    let agents = views.agents().all().await.unwrap();
    let names: Vec<_> = agents.iter().map(|agent| agent.name.as_str()).collect();
    assert_eq!(names, ["of-the-second"]);
    views.shutdown().await;
}

/// The same read model in its next version, with another table.
#[derive(Debug)]
struct Next(Arc<Moody>);

#[async_trait]
impl Projection for Next {
    fn name(&self) -> &'static str {
        "moody"
    }

    fn version(&self) -> u32 {
        2
    }

    fn tables(&self) -> Vec<TableDef> {
        vec![TableDef::of::<SeenNext>(&["(position)"])]
    }

    async fn fold(
        &self,
        db: &Db,
        build: Build,
        events: &[Arc<Recorded>],
    ) -> Result<Vec<Statement>, FoldError> {
        let users = events.iter().filter(|event| matches!(event.event, Event::Account(_)));
        let rows: Vec<_> = users
            .map(|event| SeenNext(Seen { event_id: event.event_id, position: event.position * 10 }))
            .collect();
        // What the earlier version wrote is of no use to this one.
        let _ = (db, &self.0);
        Ok(db::upsert(&build.table::<SeenNext>(), &rows))
    }
}

#[derive(Debug, Clone)]
struct SeenNext(Seen);

impl Record for SeenNext {
    type Key = EventId;
    const TABLE: &'static str = "seen_v2";
    const KEY: &'static [&'static str] = Seen::KEY;
    const COLUMNS: &'static [db::ColumnDef] = Seen::COLUMNS;

    fn from_row(row: &mut Row) -> Result<Self, db::Error> {
        Seen::from_row(row).map(Self)
    }

    fn values(&self) -> Vec<db::Value> {
        self.0.values()
    }

    fn key(&self) -> EventId {
        self.0.key()
    }

    fn key_values(key: &EventId) -> Vec<db::Value> {
        Seen::key_values(key)
    }
}

#[tokio::test]
async fn a_new_version_is_built_beside_the_old_one_which_is_then_dropped() {
    let world = log_of(20).await;
    let (log, store) = (world.log.clone(), world.db().await);
    let db = store.db.clone();
    let first: Vec<Arc<dyn Projection>> = vec![Moody::new(-1, Mood::Refuse)];
    let views = Views::start_with(log.clone(), db.clone(), first).await.unwrap();
    views.wait_for(&[], 20, LIMIT).await.unwrap();
    views.shutdown().await;

    let next: Vec<Arc<dyn Projection>> = vec![Arc::new(Next(Moody::new(-1, Mood::Refuse)))];
    let views = Views::start_with(log.clone(), db.clone(), next).await.unwrap();
    views.wait_for(&[], 20, LIMIT).await.unwrap();
    let select = Statement::new("SELECT position FROM seen_v2 ORDER BY position");
    let positions: Vec<i64> = db.fetch_column(select).await.unwrap();
    assert_eq!(positions, (1..=20).map(|position| position * 10).collect::<Vec<_>>());
    let old_is_gone =
        || async { db.query(Statement::new("SELECT position FROM seen_v1")).await.is_err() };
    until("the drop of the old table", old_is_gone).await;
    views.shutdown().await;
}

#[tokio::test]
async fn an_unreadable_event_stops_before_it_and_is_named() {
    let world = log_of(10).await;
    world.log.close().await;
    world.store.run("UPDATE events SET event_type = 'SomethingNew' WHERE position = 7").await;
    // Opened anew, so that the events are read and not remembered.
    let (log, store) = (world.store.open().await, world.db().await);
    let views = Views::start(log.clone(), store.db.clone()).await.unwrap();
    let all_stopped = || async { views.health().values().all(|health| health.degraded) };
    until("the stop", all_stopped).await;
    let health = &views.health()["accounts"];
    assert_eq!(health.position, 6);
    assert!(health.error.as_ref().unwrap().contains("position 7"), "{health:?}");
    assert!(views.accounts().has_admin().await.is_ok(), "what is there can be read");
    views.shutdown().await;
}

#[tokio::test]
async fn waiting_for_a_position_ends_with_it_or_with_the_time() {
    let world = log_of(3).await;
    let store = world.db().await;
    let views = Views::start(world.log.clone(), store.db.clone()).await.unwrap();
    views.wait_for(&["accounts"], 3, LIMIT).await.unwrap();
    assert!(views.position(&["accounts"]) >= 3);
    let lag = views.wait_for(&["accounts"], 4, Duration::from_millis(10)).await.unwrap_err();
    assert_eq!((lag.wanted, lag.reached), (4, 3));
    let waiting = views.clone();
    let waiter = tokio::spawn(async move { waiting.wait_for(&["accounts"], 4, LIMIT).await });
    touch(&world).await;
    within("the position", waiter).await.unwrap().unwrap();
    let unknown = views.rebuild("nothing").await.unwrap_err().to_string();
    assert!(unknown.contains("`nothing`") && unknown.contains("executions"), "{unknown}");
    views.shutdown().await;
}

#[test]
fn table_names_end_in_the_version() {
    for projection in all() {
        for table in projection.tables() {
            let version = format!("_v{}", projection.version());
            assert!(table.name.ends_with(&version), "{} {version}", table.name);
        }
    }
}

/// The column types of ids are what the tests' own records rely on.
#[test]
fn ids_are_text() {
    assert_eq!(EventId::KIND, db::Kind::Text);
}

#[tokio::test(flavor = "multi_thread")]
async fn read_models_wait_while_their_database_is_away_and_then_go_on() {
    let world = World::new().await;
    let mut server = Server::start();
    let pool = PgPoolOptions::new().acquire_timeout(Duration::from_secs(2));
    let pool = pool.connect(&server.url()).await.unwrap();
    let db = Db::postgres(pool, Durability::Normal);
    let views = world.views(&db).await;
    server.kill();
    let life = world.agent("scout").await;
    let id = world.submit(world.task(&life, "meanwhile")).await;
    let away = views.executions().get(id).await.unwrap_err();
    assert!(matches!(away, db::Error::Unavailable(_)), "{away:?}");
    assert!(views.health().values().all(|health| !health.degraded), "to wait is no failure");
    server.run();
    world.caught_up(&views).await;
    assert_eq!(views.executions().get(id).await.unwrap().unwrap().message, "meanwhile");
    let alone = world.db().await;
    let other = world.views(&alone.db).await;
    assert_eq!(dump(&db).await, dump(&alone.db).await);
    other.shutdown().await;
    views.shutdown().await;
}

#[tokio::test]
async fn a_damaged_file_is_thrown_away_and_made_again() {
    let world = World::new().await;
    world.agent("scout").await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("views.db");
    let whole = |path: &Path| {
        std::fs::write(path, "no database any more, for whatever reason".repeat(1_000)).unwrap();
    };
    // A page in the middle: the schema is read without a complaint.
    let cursors = |path: &Path| {
        let connection = rusqlite::Connection::open(path).unwrap();
        let ask = |sql| connection.query_row(sql, [], |row| row.get::<_, u64>(0)).unwrap();
        let root = ask("SELECT rootpage FROM sqlite_master WHERE name = 'projection_cursors'");
        let page_bytes = ask("PRAGMA page_size");
        ask("PRAGMA wal_checkpoint(TRUNCATE)");
        drop(connection);
        let file = std::fs::File::options().write(true).open(path).unwrap();
        file.write_all_at(&[0xff; 512], (root - 1) * page_bytes).unwrap();
    };
    for damage in [&whole as &dyn Fn(&Path), &cursors] {
        let views = world.views(&projections::open_file(&path).await.unwrap()).await;
        views.shutdown().await;
        drop(views);
        damage(&path);
        let views = world.views(&projections::open_file(&path).await.unwrap()).await;
        assert_eq!(views.agents().all().await.unwrap().len(), 1);
        views.shutdown().await;
    }
}
