//! The log in DuckDB, as the README says, counts what the database of the log itself counts.

use std::collections::BTreeMap;
use std::process::Stdio;

use sqlx::Row as _;
use tokio::process::Command;

use crate::server::Server;

type Counts = BTreeMap<String, i64>;

/// The query of the README, over that file.
fn readme_query(file: &str) -> String {
    let readme = include_str!("../../README.md");
    let after = readme.split("duckdb.sql('''").nth(1).expect("the README loads the log in DuckDB");
    after.split("'''").next().unwrap().replace("$log", file)
}

async fn in_duckdb(query: &str) -> Counts {
    let root = env!("CARGO_MANIFEST_DIR");
    let script = "import duckdb, json, sys\n\
                  rows = duckdb.sql(sys.argv[1]).fetchall()\n\
                  print(json.dumps({row[0]: row[1] for row in rows}))";
    let output = Command::new(format!("{root}/scripts/python-tool"))
        .args(["duckdb==1.4.2", "python", "-c", script, query])
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// What SQL counts up to a position in the very table of the log.
async fn in_sql(server: &Server, position: i64) -> Counts {
    let query = "SELECT event_type, COUNT(*) AS events FROM events WHERE position <= $1 \
                 GROUP BY event_type";
    if let Some(url) = &server.database_url {
        let pool = sqlx::PgPool::connect(url).await.unwrap();
        let rows = sqlx::query(query).bind(position).fetch_all(&pool).await.unwrap();
        return rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    }
    let file = sqlx::sqlite::SqliteConnectOptions::new().filename(server.data_dir.join("log.db"));
    let pool = sqlx::SqlitePool::connect_with(file.read_only(true)).await.unwrap();
    let rows = sqlx::query(query).bind(position).fetch_all(&pool).await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

#[tokio::test]
async fn the_log_in_duckdb_counts_what_sql_counts() {
    let server = Server::start().await;
    server.agent("scout").await;
    for ops in [&["say one", r#"tool Bash {"a":1} => b"#][..], &["exit 1"], &["say \"quoted\" 𝄞"]]
    {
        let id = server.script("scout", ops).await;
        server.until_ended(&id).await;
    }
    let lines = server.get("/api/events?format=ndjson").await;
    let lines = lines.body.as_str().unwrap();
    let last: serde_json::Value = serde_json::from_str(lines.lines().last().unwrap()).unwrap();
    let position = last["position"].as_i64().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("events.ndjson");
    std::fs::write(&file, lines).unwrap();
    let counts = in_duckdb(&readme_query(file.to_str().unwrap())).await;
    assert_eq!(counts, in_sql(&server, position).await);
    assert_eq!(counts.values().sum::<i64>(), position, "every position is there once");
    assert_eq!(counts["ExecutionRequested"], 3);
    assert!(counts["ToolCallFinished"] > 0, "{counts:?}");
}
