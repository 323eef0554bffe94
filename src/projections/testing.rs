//! What the tests of several read models need.

use super::keyset::{Branches, Range};
use super::{Order, Projection};
use crate::db::{Db, Durability, Statement};

/// The tables of a read model with their indexes, empty, in a folder of their own.
pub async fn empty(projection: &dyn Projection) -> (tempfile::TempDir, Db) {
    let folder = tempfile::tempdir().unwrap();
    let db = Db::open_sqlite(&folder.path().join("views.db"), Durability::Off).unwrap();
    for table in projection.tables() {
        let (create, indexes) = table.on(true);
        db.execute(Statement::new(create(table.name))).await.unwrap();
        for (number, columns) in indexes.iter().enumerate() {
            let (table, index) = (table.name, format!("{}_{number}", table.name));
            let create = format!("CREATE INDEX {index} ON {table} {columns}");
            db.execute(Statement::new(create)).await.unwrap();
        }
    }
    (folder, db)
}

/// How SQLite goes about a statement, line by line.
pub async fn plan(db: &Db, statement: &Statement) -> Vec<String> {
    let mut explain = Statement::new("EXPLAIN QUERY PLAN ");
    explain.append(statement);
    let mut plan = Vec::new();
    for mut row in db.query(explain).await.unwrap() {
        let _ids: (i64, i64, i64) = (row.take().unwrap(), row.take().unwrap(), row.take().unwrap());
        plan.push(row.take::<String>().unwrap());
    }
    plan
}

/// Asserts that a page of these branches is read from an index that has all of their columns, in its order.
pub async fn assert_reads_in_order(db: &Db, branches: &Branches<'_>, order: Order) {
    let plan = plan(db, &branches.statement(0..1, Range::ALL, order, 51)).await;
    let reads = plan.iter().find(|line| line.contains(" e ")).unwrap();
    assert!(reads.starts_with("SEARCH e USING"), "{branches:?}: {plan:?}");
    let sorts = plan.iter().filter(|line| line.contains("TEMP B-TREE")).count();
    // The merge of the branches is sorted; it is as long as a page.
    assert!(sorts <= 1, "{branches:?}: {plan:?}");
    for (column, _) in &branches.columns {
        assert!(reads.contains(&format!("{column}=?")), "{column}: {plan:?}");
    }
}

/// Asserts that a statement looks up rows by their numbers, and reads no others.
pub async fn assert_reads_by_number(db: &Db, statement: &Statement) {
    let plan = plan(db, statement).await;
    let reads: Vec<_> = plan.iter().filter(|line| line.contains("USING")).collect();
    assert!(
        matches!(reads[..], [read] if read.contains("row_no=?") || read.contains("rowid=?")),
        "{plan:?}"
    );
}
