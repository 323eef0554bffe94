//! What stands in the tables: states, old events, poison, schema versions, plans.

use cqrs_es::persist::SemanticVersionEventUpcaster;
use serde_json::Value;
use trinity::domain::account::{Account, AccountCommand, Role};
use trinity::domain::slots::{Slots, SlotsCommand};
use trinity::event_log::{
    EventLog, ExecuteError, Invalid, LogError, OpenError, Plan, SNAPSHOT_EVENTS, Upcasters,
};

use super::support::{Engine, TestDb, create_user, make_user, metadata, touch, within};

/// Sets the agent's timeout `count` times over, one event each.
async fn set_timeouts(log: &EventLog, id: &str, count: i64) {
    for _ in 0..count {
        let version = log.state::<Slots>(id).await.unwrap().version;
        let seconds = u32::try_from(10 + version).unwrap();
        let command = SlotsCommand::SetTimeout { seconds };
        log.execute::<Slots>(id, command, metadata()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_state_and_the_later_events_equal_the_whole_replay() {
    let db = TestDb::new().await;
    let log = db.open().await;
    set_timeouts(&log, "s", SNAPSHOT_EVENTS + 7).await;
    let kept = "SELECT version FROM aggregate_states WHERE aggregate_id = 's'";
    within("the state", async {
        while db.integers(kept).await != [SNAPSHOT_EVENTS] {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let live = log.state::<Slots>("s").await.unwrap();
    assert_eq!(live.version, SNAPSHOT_EVENTS + 7);

    // In another process: from the state kept and the tail. The first events are out of reach, so
    // it cannot have been the whole replay.
    drop(log);
    db.run("UPDATE events SET payload = '{\"Damaged\":{}}' WHERE sequence < 200").await;
    let from_state = db.open().await.state::<Slots>("s").await.unwrap();
    assert_eq!(from_state, live);

    // Kept by other code, it is not used.
    db.run("UPDATE aggregate_states SET fingerprint = 'other'").await;
    let result = db.open().await.state::<Slots>("s").await;
    assert!(matches!(result, Err(LogError::Unreadable { position: 1, .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_replay_equals_the_live_state() {
    let db = TestDb::new().await;
    let log = db.open().await;
    set_timeouts(&log, "s", SNAPSHOT_EVENTS + 7).await;
    let live = log.state::<Slots>("s").await.unwrap();
    drop(log);
    db.run("DELETE FROM aggregate_states").await;
    assert_eq!(db.open().await.state::<Slots>("s").await.unwrap(), live);
}

/// An event as an early version might have written it: the role was called `rank`.
const OLD_EVENT: &str = "INSERT INTO events (aggregate_type, aggregate_id, sequence, event_type, \
     event_version, payload, metadata) VALUES ('account', 'ada', 1, 'UserCreated', '0.9', \
     '{\"UserCreated\":{\"name\":\"ada\",\"rank\":\"admin\"}}', '{}')";

fn rename_rank() -> Upcasters {
    let rename = |mut payload: Value| {
        if let Some(created) = payload["UserCreated"].as_object_mut()
            && let Some(rank) = created.remove("rank")
        {
            created.insert("role".to_owned(), rank);
        }
        payload
    };
    let upcaster = SemanticVersionEventUpcaster::new("UserCreated", "1", Box::new(rename));
    Upcasters::new(vec![Box::new(upcaster)])
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_event_is_read_by_its_upcaster_and_refused_without() {
    let db = TestDb::new().await;
    drop(db.open().await);
    db.run(OLD_EVENT).await;
    let log = db.open().await;
    let unread = log.execute::<Account>("ada", create_user("ada"), metadata()).await;
    assert!(matches!(unread, Err(ExecuteError::Log(LogError::Unreadable { position: 1, .. }))));
    drop(log);

    let log = db.open_with(rename_rank()).await;
    let ada = log.state::<Account>("ada").await.unwrap();
    assert_eq!(ada.state, Account::User { name: "ada".to_owned(), role: Role::Admin });
    assert_eq!(log.after(0, 10).await.unwrap().len(), 1);
    assert_eq!(touch(&log, "ada").await.version, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_of_a_version_to_come_is_unreadable_and_not_guessed_at() {
    let db = TestDb::new().await;
    let log = db.open().await;
    make_user(&log, "ada").await;
    drop(log);
    db.run("UPDATE events SET event_version = '2'").await;
    let result = db.open().await.after(0, 10).await;
    assert!(matches!(result, Err(LogError::Unreadable { position: 1, .. })));
    db.run("UPDATE events SET event_version = '1', event_type = 'UserDeleted'").await;
    let result = db.open().await.after(0, 10).await;
    assert!(matches!(result, Err(LogError::Unreadable { position: 1, .. })));
}

/// A rule of the database that only some rows break.
async fn refuse_poison(db: &TestDb) {
    let sql = match db.engine {
        Engine::Sqlite => {
            "CREATE TRIGGER poison BEFORE INSERT ON events WHEN NEW.metadata LIKE '%poison%' \
             BEGIN SELECT RAISE(ABORT, 'poison'); END"
        }
        Engine::Postgres => {
            "ALTER TABLE events ADD CONSTRAINT poison CHECK (metadata::text NOT LIKE '%poison%')"
        }
    };
    db.run(sql).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poisonous_row_fails_alone() {
    const USERS: usize = 60;
    let db = TestDb::new().await;
    let log = db.open().await;
    refuse_poison(&db).await;
    let mut tasks = Vec::new();
    for user in 0..USERS {
        let log = log.clone();
        tasks.push(tokio::spawn(async move {
            let name = format!("user-{user}");
            let mut metadata = metadata();
            if user % 7 == 3 {
                "poison".clone_into(&mut metadata.actor);
            }
            log.execute::<Account>(&name, create_user(&name), metadata).await
        }));
    }
    let mut written = 0;
    for (user, task) in tasks.into_iter().enumerate() {
        match within("the command", task).await.unwrap() {
            Ok(_) => {
                assert_ne!(user % 7, 3);
                written += 1;
            }
            Err(ExecuteError::Invalid(Invalid::Rejected(reason))) => {
                assert_eq!(user % 7, 3, "{reason}");
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(log.head(), written);
    db.assert_dense().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_of_a_newer_schema_is_refused_with_both_versions() {
    let db = TestDb::new().await;
    drop(db.open().await);
    db.run("UPDATE schema_version SET version = 99 WHERE component = 'event_log'").await;
    let opened = match db.engine {
        Engine::Sqlite => EventLog::open_sqlite(&db.path()).await,
        Engine::Postgres => EventLog::open_postgres(db.url()).await,
    };
    let Err(OpenError::Schema(error)) = opened else { panic!("{opened:?}") };
    let text = error.to_string();
    assert!(text.contains("99") && text.contains("newer"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_nodes_may_start_at_once_on_an_empty_database() {
    let db = std::sync::Arc::new(TestDb::new().await);
    let mut nodes = Vec::new();
    for _ in 0..8 {
        let db = std::sync::Arc::clone(&db);
        nodes.push(tokio::spawn(async move { db.open().await.log_id() }));
    }
    let mut ids = Vec::new();
    for node in nodes {
        ids.push(within("the start", node).await.unwrap());
    }
    ids.dedup();
    assert_eq!(ids.len(), 1, "one log has one id");
}

/// The append must probe the index whatever the planner makes of a large table.
#[tokio::test(flavor = "multi_thread")]
async fn an_append_to_a_large_log_reads_no_table_from_end_to_end() {
    const EVENTS: i64 = 100_000;
    let db = TestDb::on(Engine::Postgres).await;
    let log = db.open().await;
    make_user(&log, "ada").await;
    db.run(&format!(
        "INSERT INTO events (aggregate_type, aggregate_id, sequence, event_type, event_version, \
             payload, metadata, position, event_id, recorded_at) \
         SELECT 'account', 'user-' || n, 1, 'PasswordChanged', '1', '{{\"PasswordChanged\":{{}}}}', \
             '{{}}', n + 1, gen_random_uuid()::text, 1 FROM generate_series(1, {EVENTS}) AS n; \
         UPDATE event_log_head SET position = {EVENTS} + 1; ANALYZE events"
    ))
    .await;
    drop(log);
    let log = db.open().await;
    // Often enough that the server keeps a plan for all of them; in batches and alone.
    for round in 0..20 {
        let commands = (0..=round * 4).map(|n| {
            let (log, name) = (log.clone(), format!("new-{round}-{n}"));
            async move { make_user(&log, &name).await }
        });
        futures::future::join_all(commands).await;
    }
    touch(&log, "ada").await;
    drop(log);
    // The writers' counters reach the view when their sessions end.
    let probes = "SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname = 'events_pkey'";
    within("the statistics", async {
        while db.integers(probes).await[0] < 700 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    // While it was all but empty it was read so, which may be counted only now.
    let scanned = "SELECT seq_tup_read FROM pg_stat_user_tables WHERE relname = 'events'";
    assert!(db.integers(scanned).await[0] < EVENTS, "{:?}", db.integers(scanned).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_append_that_is_too_large_is_refused_and_the_next_one_goes_through() {
    let db = TestDb::new().await;
    let log = db.open().await;
    make_user(&log, "ada").await;
    let plan = Plan::new().stream::<Account>("ada");
    let result = log
        .transact(plan, metadata(), |decision| {
            (0..=trinity::event_log::APPEND_EVENTS_MAX).try_for_each(|_| {
                decision.decide::<Account>("ada", AccountCommand::RecordPasswordChanged)
            })
        })
        .await;
    assert!(matches!(result, Err(ExecuteError::Invalid(Invalid::TooLarge { .. }))));
    assert_eq!(touch(&log, "ada").await.position, 2);
}
