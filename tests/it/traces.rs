//! Where something has left traces: every table of every store, and every file.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, PgConnection, Row as _, SqliteConnection};

use crate::server::Server;

/// Every file below a folder that holds one of the texts, workspaces left out.
pub fn files_with(folder: &Path, texts: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if !path.ends_with("workspace") {
                found.extend(files_with(&path, texts));
            }
        } else if holds_one_of(&path, texts) {
            found.push(path);
        }
    }
    found
}

/// Everything below a folder that has one of the texts in its name or in its content, workspaces and
/// what is in them included.
pub fn places_with(folder: &Path, texts: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let (path, kind, name) = (entry.path(), entry.file_type().unwrap(), entry.file_name());
        if kind.is_dir() {
            found.extend(places_with(&path, texts));
        }
        let is_named = texts.iter().any(|text| name.to_string_lossy().contains(text));
        if is_named || kind.is_file() && holds_one_of(&path, texts) {
            found.push(path);
        }
    }
    found
}

/// Whether a file has one of the texts in it; one that cannot be read has none.
fn holds_one_of(file: &Path, texts: &[&str]) -> bool {
    let Ok(bytes) = std::fs::read(file) else { return false };
    let holds = |text: &&str| bytes.windows(text.len()).any(|part| part == text.as_bytes());
    texts.iter().any(holds)
}

/// Every table of a server's stores that holds one of the texts, as text or as bytes.
pub async fn tables_with(server: &Server, texts: &[&str]) -> BTreeSet<String> {
    let hexadecimal = texts.iter().map(hex::encode);
    let wanted: Vec<String> =
        texts.iter().map(|text| (*text).to_owned()).chain(hexadecimal).collect();
    let tables = match &server.database_url {
        Some(url) => postgres_tables(url).await,
        None => sqlite_tables(&server.data_dir).await,
    };
    assert!(tables.iter().any(|(name, _)| name == "vault_credentials"), "{tables:?}");
    let holds = |row: &String| wanted.iter().any(|text| row.contains(text.as_str()));
    let found = tables.into_iter().filter(|(_, rows)| rows.iter().any(holds));
    found.map(|(name, _)| name).collect()
}

/// The lives that have a row in a table of a server's own state.
pub async fn incarnations_in(server: &Server, table: &str) -> Vec<String> {
    let select = format!("SELECT incarnation FROM {table}");
    if let Some(url) = &server.database_url {
        let mut connection = PgConnection::connect(url).await.unwrap();
        return sqlx::query_scalar(&select).fetch_all(&mut connection).await.unwrap();
    }
    let db = rusqlite::Connection::open(server.data_dir.join("state.db")).unwrap();
    let mut select = db.prepare(&select).unwrap();
    select.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

/// Every table with its rows as text.
async fn postgres_tables(url: &str) -> Vec<(String, Vec<String>)> {
    let mut connection = PgConnection::connect(url).await.unwrap();
    let names = "SELECT table_name::text FROM information_schema.tables \
                 WHERE table_schema = 'public' AND table_type = 'BASE TABLE'";
    let names: Vec<String> = sqlx::query_scalar(names).fetch_all(&mut connection).await.unwrap();
    let mut tables = Vec::new();
    for name in names {
        let rows = format!("SELECT t::text FROM {name} t");
        let rows = sqlx::query_scalar(&rows).fetch_all(&mut connection).await.unwrap();
        tables.push((name, rows));
    }
    tables
}

async fn sqlite_tables(data_dir: &Path) -> Vec<(String, Vec<String>)> {
    let mut tables = Vec::new();
    for entry in std::fs::read_dir(data_dir).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "db") {
            let options = SqliteConnectOptions::new().filename(&path).read_only(true);
            let mut connection = options.connect().await.unwrap();
            tables.extend(sqlite_tables_of(&mut connection).await);
        }
    }
    tables
}

async fn sqlite_tables_of(connection: &mut SqliteConnection) -> Vec<(String, Vec<String>)> {
    // What virtual tables hold is in tables of theirs.
    let names = "SELECT name FROM sqlite_master \
                 WHERE type = 'table' AND sql NOT LIKE 'CREATE VIRTUAL%'";
    let names: Vec<String> = sqlx::query_scalar(names).fetch_all(&mut *connection).await.unwrap();
    let mut tables = Vec::new();
    for name in names {
        let columns = format!("SELECT name FROM pragma_table_info('{name}')");
        let columns: Vec<String> =
            sqlx::query_scalar(&columns).fetch_all(&mut *connection).await.unwrap();
        let all = columns.iter().map(|column| format!("CAST(\"{column}\" AS TEXT)"));
        let rows = format!("SELECT {} FROM \"{name}\"", all.collect::<Vec<_>>().join(", "));
        let rows = sqlx::query(&rows).fetch_all(&mut *connection).await.unwrap();
        // A blob is text that may be none.
        let text = |row: sqlx::sqlite::SqliteRow| {
            let cells = (0..row.len()).map(|column| row.try_get_unchecked::<Vec<u8>, _>(column));
            let cells = cells.map(Result::unwrap_or_default);
            cells
                .map(|cell| String::from_utf8_lossy(&cell).into_owned())
                .collect::<Vec<_>>()
                .join(" ")
        };
        tables.push((name, rows.into_iter().map(text).collect()));
    }
    tables
}
