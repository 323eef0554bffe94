//! A look at the read models from outside: reads alone, and needs no server to be stopped.

use std::path::Path;

use super::builds::MIGRATIONS;
use crate::event_log::{
    InspectError, SchemaVersion, read_postgres, read_sqlite, version_sqlite, versions_postgres,
};

/// One row, also where there are no cursors. Those of other versions and of read models that are no
/// more do not count: no start moves them.
fn select_reached() -> String {
    let known = super::all();
    let known: Vec<_> = known
        .iter()
        .map(|of| format!("(projection = '{}' AND version = {})", of.name(), of.version()))
        .collect();
    format!(
        "SELECT (SELECT log_id FROM projection_source), \
         min(CASE WHEN build = 'live' THEN position END), max(position) \
         FROM projection_cursors WHERE {}",
        known.join(" OR ")
    )
}

/// How the read models stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// The tables of their cursors.
    pub schema: SchemaVersion,
    /// How far they have got; `None` where there are no tables, or those of a newer build.
    pub reached: Option<Reached>,
}

/// How far the read models have got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reached {
    /// The log that they are made of, once there is one.
    pub log_id: Option<String>,
    /// The position of the one that is the furthest behind.
    pub first: i64,
    /// The position of the one that has got the furthest.
    pub last: i64,
}

type Row = (Option<String>, Option<i64>, Option<i64>);

impl Reached {
    fn of((log_id, first, last): Row) -> Self {
        Self { log_id, first: first.unwrap_or_default(), last: last.unwrap_or_default() }
    }
}

/// Looks at the read models in a SQLite file, which must exist. Blocks.
///
/// # Errors
/// When the file cannot be read as one of theirs.
pub fn inspect_sqlite(path: &Path) -> Result<Inspection, InspectError> {
    let schema = version_sqlite(path, &MIGRATIONS)?;
    let read = || {
        read_sqlite(path, |connection| {
            connection
                .query_row(&select_reached(), [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        })
    };
    let reached = is_known(schema).then(read).transpose()?.map(Reached::of);
    Ok(Inspection { schema, reached })
}

/// Looks at the read models in a Postgres database.
///
/// # Errors
/// When the database cannot be reached, does not answer in time, or cannot be read.
pub async fn inspect_postgres(url: &str) -> Result<Inspection, InspectError> {
    let versions = versions_postgres(url, &[MIGRATIONS]).await?;
    let schema = versions.first().copied();
    let schema = schema.unwrap_or(SchemaVersion { found: 0, known: MIGRATIONS.known_postgres() });
    if !is_known(schema) {
        return Ok(Inspection { schema, reached: None });
    }
    let read = read_postgres(url, async |connection| {
        let select = select_reached();
        sqlx::query_as::<_, Row>(&select).fetch_one(connection).await
    });
    Ok(Inspection { schema, reached: Some(Reached::of(read.await?)) })
}

fn is_known(SchemaVersion { found, known }: SchemaVersion) -> bool {
    (1..=known).contains(&found)
}
