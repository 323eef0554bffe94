//! The thin drivers: what one SQL text may count on, on either engine.

use sqlx::PgPool;
use trinity::db::{Db, Durability, Error, Row, Statement, Value, power_chunks};

use crate::store::fresh_database;

async fn fresh() -> (Db, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let db = match fresh_database().await {
        None => Db::open_sqlite(&dir.path().join("test.db"), Durability::Normal).unwrap(),
        Some(url) => Db::postgres(PgPool::connect(&url).await.unwrap(), Durability::Full),
    };
    let create = "CREATE TABLE numbers (id BIGINT PRIMARY KEY, word TEXT)";
    db.execute(Statement::new(create)).await.unwrap();
    (db, dir)
}

fn insert(id: i64, word: Option<String>) -> Statement {
    Statement::new("INSERT INTO numbers (id, word) VALUES ($1, $2)").with(id).with(word)
}

async fn ids(db: &Db) -> Vec<i64> {
    db.fetch_column(Statement::new("SELECT id FROM numbers ORDER BY id")).await.unwrap()
}

#[tokio::test]
async fn placeholders_are_numbered_wherever_they_stand() {
    let (db, _dir) = fresh().await;
    let swapped = Statement::new("INSERT INTO numbers (word, id) VALUES ($2, $1)");
    db.execute(swapped.with(7_i64).with("seven")).await.unwrap();
    let twice = "SELECT word FROM numbers WHERE word = $2 AND id = $1 AND id = $1";
    let twice = Statement::new(twice).with(7_i64).with("seven");
    assert_eq!(db.fetch_column::<String>(twice).await.unwrap(), ["seven"]);
}

#[tokio::test]
async fn absent_values_come_and_go() {
    let (db, _dir) = fresh().await;
    db.execute(insert(1, None)).await.unwrap();
    let mut rows = db.query(Statement::new("SELECT id, word FROM numbers")).await.unwrap();
    assert_eq!(rows[0].take::<i64>().unwrap(), 1);
    assert_eq!(rows[0].take::<Option<String>>().unwrap(), None);
    let mut row = Row::new(vec![Value::Text(Some("x".into()))]);
    assert!(matches!(row.take::<i64>(), Err(Error::Column { number: 1, .. })));
}

#[tokio::test]
async fn a_transaction_is_all_or_nothing() {
    let (db, _dir) = fresh().await;
    db.execute(insert(1, None)).await.unwrap();
    // A statement that did not find the rows it expected takes back those before it.
    let nobody = Statement::new("UPDATE numbers SET word = 'x' WHERE id = 99").expecting(1);
    assert!(!db.transaction(vec![insert(2, None), nobody.clone()]).await.unwrap());
    // So does one that fails.
    let again = db.transaction(vec![insert(3, None), insert(1, None)]).await;
    assert!(matches!(again, Err(Error::Refused(_))), "{again:?}");
    assert_eq!(ids(&db).await, [1]);
    let found = Statement::new("UPDATE numbers SET word = 'x' WHERE id = 1").expecting(1);
    assert!(db.transaction(vec![insert(2, None), found]).await.unwrap());
    assert_eq!(ids(&db).await, [1, 2]);
}

#[tokio::test]
async fn a_caller_that_leaves_leaves_nothing_half_done() {
    let (db, _dir) = fresh().await;
    for first in (0..200).step_by(10) {
        let inserts = (first..first + 10).map(|id| insert(id, Some("word".repeat(1_000))));
        let transaction = db.transaction(inserts.collect());
        let patience = std::time::Duration::from_micros(300);
        let _done_or_left = tokio::time::timeout(patience, transaction).await;
    }
    // Waits for whatever goes on: a writer of one file takes its turn.
    db.execute(insert(1_000, None)).await.unwrap();
    let ids = ids(&db).await;
    assert_eq!(ids.len() % 10, 1, "whole tens and the last one: {ids:?}");
}

#[tokio::test]
async fn readers_do_not_wait_for_each_other_or_the_writer() {
    let (db, _dir) = fresh().await;
    db.transaction((0..500).map(|id| insert(id, None)).collect()).await.unwrap();
    let readers = (0..32).map(|_| {
        let db = db.clone();
        tokio::spawn(async move { ids(&db).await.len() })
    });
    let readers: Vec<_> = readers.collect();
    db.execute(insert(1_000, None)).await.unwrap();
    for reader in readers {
        assert!(reader.await.unwrap() >= 500);
    }
}

#[test]
fn a_file_that_is_no_database_is_called_damaged() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("views.db");
    std::fs::write(&path, "this is no database, and long enough to be looked at".repeat(100))
        .unwrap();
    let opened = Db::open_sqlite(&path, Durability::Normal);
    assert!(matches!(opened, Err(Error::Damaged(_))), "{opened:?}");
    let nowhere = dir.path().join("no/such/folder/views.db");
    let opened = Db::open_sqlite(&nowhere, Durability::Normal);
    assert!(matches!(opened, Err(Error::Unavailable(_))), "{opened:?}");
}

#[test]
fn rows_are_split_into_few_different_lengths() {
    let rows: Vec<u32> = (0..1_000).collect();
    let chunks: Vec<_> = power_chunks(&rows, 256).collect();
    assert_eq!(chunks.iter().map(|chunk| chunk.len()).sum::<usize>(), 1_000);
    assert!(chunks.iter().all(|chunk| chunk.len().is_power_of_two() && chunk.len() <= 256));
    assert_eq!(chunks.concat(), rows);
    assert_eq!(power_chunks::<u32>(&[], 256).count(), 0);
}
