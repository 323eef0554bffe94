//! The stock crates `sqlite-es` and `postgres-es` read and write our tables, and the framework runs
//! on our store.

use std::collections::HashMap;
use std::pin::pin;

use cqrs_es::persist::{PersistedEventRepository, PersistedEventStore};
use cqrs_es::{AggregateError, CqrsFramework, EventStore};
use futures::StreamExt;
use postgres_es::{PostgresEventRepository, default_postgress_pool};
use sqlite_es::{SqliteEventRepository, default_sqlite_pool};
use trinity::domain::StreamId;
use trinity::domain::account::{Account, AccountCommand, AccountEvent, Role};

use super::support::{Engine, TestDb, create_user, make_user, touch, within};

/// Runs the body with a stock repository of either engine.
macro_rules! with_stock_repository {
    ($db:ident, |$repository:ident| $body:expr) => {
        match $db.engine {
            Engine::Sqlite => {
                let pool = default_sqlite_pool($db.path().to_str().unwrap()).await;
                let $repository = SqliteEventRepository::new(pool);
                $body
            }
            Engine::Postgres => {
                let pool = default_postgress_pool($db.url()).await;
                let $repository = PostgresEventRepository::new(pool);
                $body
            }
        }
    };
}

async fn writes<R: PersistedEventRepository>(repository: R) {
    let store = PersistedEventStore::<R, Account>::new_event_store(repository);
    let framework = CqrsFramework::new(store, vec![], ());
    framework.execute("bob", create_user("bob")).await.unwrap();
    let who = HashMap::from([("actor".to_owned(), "stock".to_owned())]);
    let change = AccountCommand::ChangeRole { role: Role::Admin };
    framework.execute_with_metadata("ada", change, who).await.unwrap();
}

async fn reads<R: PersistedEventRepository>(repository: R) {
    let store = PersistedEventStore::<R, Account>::new_event_store(repository);
    let events = store.load_events("ada").await.unwrap();
    let sequences: Vec<_> = events.iter().map(|event| event.sequence).collect();
    assert_eq!(sequences, [1, 2, 3]);
    assert_eq!(events[1].payload, AccountEvent::UserRoleChanged { role: Role::Admin });
    assert_eq!(events[0].metadata["actor"], "system");
}

/// Its conflict is told as one, so its callers can try again.
async fn loses<R: PersistedEventRepository>(repository: R, log: &trinity::event_log::EventLog) {
    let store = PersistedEventStore::<R, Account>::new_event_store(repository);
    let context = store.load_aggregate("ada").await.unwrap();
    touch(log, "ada").await;
    let events = vec![AccountEvent::PasswordChanged {}];
    let result = store.commit(events, context, HashMap::new()).await;
    assert!(matches!(result, Err(AggregateError::AggregateConflict)));
}

#[tokio::test(flavor = "multi_thread")]
async fn stock_crates_read_and_write_our_tables() {
    let db = TestDb::new().await;
    let log = db.open().await;
    make_user(&log, "ada").await;
    let mut feed = pin!(log.subscribe(1));
    with_stock_repository!(db, |repository| writes(repository).await);

    // What they wrote has its place, its id and its time, and reaches the feed.
    let made = within("bob", feed.next()).await.unwrap().unwrap();
    let changed = within("the role", feed.next()).await.unwrap().unwrap();
    assert_eq!((made.position, made.stream.id.as_str(), made.version), (2, "bob", 1));
    assert_eq!((changed.position, changed.stream.id.as_str(), changed.version), (3, "ada", 2));
    assert_eq!(changed.metadata.actor, "stock");
    assert_ne!(made.event_id, changed.event_id);
    assert!(changed.recorded_at >= made.recorded_at);

    // Our cached state of `ada` was behind; the next command is decided on theirs.
    let receipt = touch(&log, "ada").await;
    assert_eq!((receipt.position, receipt.version), (4, 3));
    with_stock_repository!(db, |repository| reads(repository).await);
    with_stock_repository!(db, |repository| loses(repository, &log).await);
    assert_eq!(touch(&log, "ada").await.position, 6);
    db.assert_dense().await;
    assert_eq!(db.integers("SELECT count(DISTINCT event_id) FROM events").await, [6]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_framework_runs_on_our_store() {
    let db = TestDb::new().await;
    let log = db.open().await;
    let framework: CqrsFramework<Account, _> = CqrsFramework::new(log.clone(), vec![], ());
    framework.execute("ada", create_user("ada")).await.unwrap();
    let who = HashMap::from([("actor".to_owned(), "framework".to_owned())]);
    let change = AccountCommand::ChangeRole { role: Role::Admin };
    framework.execute_with_metadata("ada", change.clone(), who).await.unwrap();
    framework.execute("ada", change).await.unwrap(); // a no-op
    assert!(matches!(
        framework.execute("ada", create_user("ada")).await,
        Err(AggregateError::UserError(_))
    ));

    let events = log.stream(&StreamId::of::<Account>("ada"), 0, 10).await.unwrap();
    assert_eq!(events.len(), 2);
    assert_eq!(events[1].metadata.actor, "framework");
    let envelopes = EventStore::<Account>::load_events(&log, "ada").await.unwrap();
    assert_eq!(envelopes.len(), 2);
    assert_eq!(envelopes[1].payload, AccountEvent::UserRoleChanged { role: Role::Admin });

    // The framework has no retry: a context that is behind conflicts.
    let behind = EventStore::<Account>::load_aggregate(&log, "ada").await.unwrap();
    touch(&log, "ada").await;
    let events = vec![AccountEvent::PasswordChanged {}];
    let result = EventStore::<Account>::commit(&log, events, behind, HashMap::new()).await;
    assert!(matches!(result, Err(AggregateError::AggregateConflict)));
    db.assert_dense().await;
}
