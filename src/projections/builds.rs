//! Where each read model stands: its cursors, and the tables that they speak of.

use std::collections::BTreeSet;
use std::path::Path;

use uuid::Uuid;

use super::{Build, Projection};
use crate::db::{Db, Durability, Error, Json, Param, Row, Statement};
use crate::event_log::{MigrateError, Migrations};

pub(super) const MIGRATIONS: Migrations = Migrations {
    component: "projections",
    sqlite: &[include_str!("../../migrations/sqlite/projections_0001.sql")],
    postgres: &[include_str!("../../migrations/postgres/projections_0001.sql")],
};

/// Why the read models could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Their database did not do it.
    #[error("cannot open the read models")]
    Db(#[from] Error),
    /// Their cursors were written by a later build.
    #[error(transparent)]
    Schema(#[from] MigrateError),
}

/// How far one build of a read model has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cursor {
    pub(super) generation: i64,
    pub(super) position: i64,
}

/// The cursors of a read model in its present version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cursors {
    pub(super) live: Cursor,
    pub(super) rebuild: Option<Cursor>,
}

impl Build {
    fn word(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Rebuild => "rebuild",
        }
    }
}

/// Opens the file of the read models; a damaged one is thrown away, for the log can make it again.
///
/// Its commits do not wait for the disk: after a loss of power the newest may be gone, rows and cursor
/// together, and are folded in again.
pub async fn open_file(path: &Path) -> Result<Db, Error> {
    match try_file(path).await {
        Err(Error::Damaged(reason)) => {
            tracing::warn!(path = %path.display(), reason, "the read models are built again");
            for suffix in ["", "-wal", "-shm"] {
                let mut name = path.as_os_str().to_owned();
                name.push(suffix);
                match std::fs::remove_file(&name) {
                    Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                        return Err(Error::Unavailable(error.to_string()));
                    }
                    _ => {}
                }
            }
            try_file(path).await
        }
        opened => opened,
    }
}

async fn try_file(path: &Path) -> Result<Db, Error> {
    let db = Db::open_sqlite(path, Durability::Normal)?;
    // The first statement reads the whole schema, the next ones where the read models stand.
    let select = "SELECT name FROM sqlite_master WHERE type = 'table' AND name IN \
                  ('projection_cursors', 'projection_source', 'schema_version')";
    for table in db.fetch_column::<String>(Statement::new(select)).await? {
        db.query(Statement::new(format!("SELECT * FROM {table}"))).await?;
    }
    Ok(db)
}

/// Makes the tables of cursors, and forgets every read model that another log was the source of.
pub(super) async fn open(db: &Db, log_id: Uuid) -> Result<(), OpenError> {
    match db.with_sqlite(|connection| MIGRATIONS.apply_sqlite(connection)).await {
        Some(migrated) => migrated??,
        None => {
            if let Some(pool) = db.pool() {
                MIGRATIONS.apply_postgres(pool).await?;
            }
        }
    }
    let insert = "INSERT INTO projection_source (singleton, log_id) VALUES (1, $1) \
                  ON CONFLICT (singleton) DO NOTHING";
    db.execute(Statement::new(insert).with(log_id)).await?;
    let select = Statement::new("SELECT log_id FROM projection_source");
    let source: Vec<Uuid> = db.fetch_column(select).await?;
    if source != [log_id] {
        tracing::warn!(%log_id, "the read models are of another log; they are built again");
        forget_all(db, log_id).await?;
    }
    Ok(())
}

async fn forget_all(db: &Db, log_id: Uuid) -> Result<(), Error> {
    let take_over = "UPDATE projection_source SET log_id = $1 WHERE log_id <> $1";
    let mut statements = vec![Statement::new(take_over).with(log_id).expecting(1)];
    let tables = Statement::new("SELECT tables FROM projection_cursors");
    for tables in db.fetch_column::<Json<Vec<String>>>(tables).await? {
        statements.extend(tables.0.iter().map(|table| drop_table(table)));
    }
    statements.push(Statement::new("DELETE FROM projection_cursors"));
    // Another node that was quicker has done the same.
    db.transaction(statements).await?;
    Ok(())
}

/// The cursors; the live tables are made when this version of the read model has none.
pub(super) async fn cursors(db: &Db, projection: &dyn Projection) -> Result<Cursors, Error> {
    loop {
        let select = "SELECT build, generation, position FROM projection_cursors \
                      WHERE projection = $1 AND version = $2";
        let select = Statement::new(select).with(projection.name()).with(projection.version());
        let (mut live, mut rebuild) = (None, None);
        for mut row in db.query(select).await? {
            let build: String = row.take()?;
            let cursor = Cursor { generation: row.take()?, position: row.take()? };
            *(if build == Build::Live.word() { &mut live } else { &mut rebuild }) = Some(cursor);
        }
        if let Some(live) = live {
            return Ok(Cursors { live, rebuild });
        }
        // `false` says that another node was quicker; either way there is one now.
        db.transaction(create(db, projection, Build::Live, 0)).await?;
    }
}

/// Moves a cursor together with the rows; `false` when it was moved already, and nothing is written.
pub(super) async fn advance(
    db: &Db,
    projection: &dyn Projection,
    build: Build,
    from: Cursor,
    position: i64,
    rows: Vec<Statement>,
) -> Result<bool, Error> {
    let mut update = Statement::new("UPDATE projection_cursors SET position = ");
    update.bind(position);
    whose(&mut update, projection, build, from);
    let mut statements = vec![update.expecting(1)];
    statements.extend(rows);
    db.transaction(statements).await
}

/// Begins to build beside the live tables; what was begun before is thrown away.
pub(super) async fn begin_rebuild(db: &Db, projection: &dyn Projection) -> Result<bool, Error> {
    let cursors = cursors(db, projection).await?;
    let mut statements = Vec::new();
    if let Some(begun) = cursors.rebuild {
        let mut delete = Statement::new("DELETE FROM projection_cursors");
        whose(&mut delete, projection, Build::Rebuild, begun);
        statements.push(delete.expecting(1));
    }
    // A generation of its own, also when a rebuild is begun twice: an index has its name from it.
    let begun = cursors.rebuild.map_or(cursors.live.generation, |cursor| cursor.generation);
    statements.extend(create(db, projection, Build::Rebuild, begun + 1));
    db.transaction(statements).await
}

/// Puts the rebuilt tables in the place of the live ones, which are dropped.
pub(super) async fn swap(
    db: &Db,
    projection: &dyn Projection,
    live: Cursor,
    rebuilt: Cursor,
) -> Result<bool, Error> {
    let mut delete = Statement::new("DELETE FROM projection_cursors");
    whose(&mut delete, projection, Build::Rebuild, rebuilt);
    let mut update = Statement::new("UPDATE projection_cursors SET position = ");
    update.bind(rebuilt.position).push(", generation = ").bind(rebuilt.generation);
    whose(&mut update, projection, Build::Live, live);
    let mut statements = vec![delete.expecting(1), update.expecting(1)];
    for table in projection.tables() {
        let (live, rebuilt) = (Build::Live.of(table.name), Build::Rebuild.of(table.name));
        statements.push(drop_table(&live));
        statements.push(Statement::new(format!("ALTER TABLE {rebuilt} RENAME TO {live}")));
    }
    db.transaction(statements).await
}

/// Empties a read model that has seen more than there is: its rows are of another history.
pub(super) async fn reset(
    db: &Db,
    projection: &dyn Projection,
    cursors: Cursors,
) -> Result<bool, Error> {
    let mut statements = Vec::new();
    let begun = cursors.rebuild.into_iter().map(|cursor| (Build::Rebuild, cursor));
    for (build, cursor) in [(Build::Live, cursors.live)].into_iter().chain(begun) {
        let mut delete = Statement::new("DELETE FROM projection_cursors");
        whose(&mut delete, projection, build, cursor);
        statements.push(delete.expecting(1));
        let tables = projection.tables();
        statements.extend(tables.iter().map(|table| drop_table(&build.of(table.name))));
    }
    let newest = cursors.rebuild.unwrap_or(cursors.live).generation;
    statements.extend(create(db, projection, Build::Live, newest + 1));
    db.transaction(statements).await
}

/// Drops the tables of earlier versions, once the present one has caught up.
pub(super) async fn drop_earlier(db: &Db, projection: &dyn Projection) -> Result<(), Error> {
    let condition = " FROM projection_cursors WHERE projection = $1 AND version < $2";
    let about = |text: &str| {
        Statement::new(format!("{text}{condition}"))
            .with(projection.name())
            .with(projection.version())
    };
    let rows = db.query(about("SELECT tables")).await?;
    if rows.is_empty() {
        return Ok(());
    }
    let kept: BTreeSet<_> =
        projection.tables().iter().map(|table| Build::Live.of(table.name)).collect();
    let mut statements = vec![about("DELETE").expecting(rows.len() as u64)];
    for mut row in rows {
        let tables: Json<Vec<String>> = Row::take(&mut row)?;
        let earlier = tables.0.iter().filter(|table| !kept.contains(*table));
        statements.extend(earlier.map(|table| drop_table(table)));
    }
    db.transaction(statements).await?;
    Ok(())
}

/// The statements that make a build: its cursor, which must not be there yet, and its tables.
fn create(db: &Db, projection: &dyn Projection, build: Build, generation: i64) -> Vec<Statement> {
    let tables = projection.tables();
    let names: Vec<_> = tables.iter().map(|table| build.of(table.name)).collect();
    let insert = "INSERT INTO projection_cursors \
                  (projection, version, build, generation, position, tables) \
                  VALUES ($1, $2, $3, $4, 0, $5) ON CONFLICT DO NOTHING";
    let insert = Statement::new(insert)
        .with(projection.name())
        .with(projection.version())
        .with(build.word())
        .with(generation)
        .with(Json(&names).to_value());
    let mut statements = vec![insert.expecting(1)];
    statements.extend(create_tables(db, projection, build, generation));
    statements
}

/// The statements that make the tables of a build, empty, in place of those that are there.
pub(super) fn create_tables(
    db: &Db,
    projection: &dyn Projection,
    build: Build,
    generation: i64,
) -> Vec<Statement> {
    let mut statements = Vec::new();
    for table in projection.tables() {
        let name = build.of(table.name);
        statements.push(drop_table(&name));
        let (create, indexes) = table.on(db.is_sqlite());
        statements.push(Statement::new(create(&name)));
        for (number, columns) in (1..).zip(indexes) {
            let index = format!("{}_g{generation}_{number}", table.name);
            statements.push(Statement::new(format!("CREATE INDEX {index} ON {name} {columns}")));
        }
    }
    statements
}

fn drop_table(name: &str) -> Statement {
    Statement::new(format!("DROP TABLE IF EXISTS {name}"))
}

/// Ends a statement about one cursor that must stand where it was seen.
fn whose(statement: &mut Statement, projection: &dyn Projection, build: Build, seen: Cursor) {
    statement.push(" WHERE projection = ").bind(projection.name());
    statement.push(" AND version = ").bind(projection.version());
    statement.push(" AND build = ").bind(build.word());
    statement.push(" AND generation = ").bind(seen.generation);
    statement.push(" AND position = ").bind(seen.position);
}
