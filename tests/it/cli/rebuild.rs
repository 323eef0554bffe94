//! `trinity rebuild` where no server runs.

use nix::sys::signal::Signal;
use trinity::data_dir::DataDir;
use trinity::db::{Db, Durability, Record as _, Statement};
use trinity::projections;
use trinity::projections::executions::ExecutionRow;

use super::support::{Done, User};
use crate::server::Server;

/// `trinity rebuild` on the data of this server.
async fn rebuild(server: &Server, words: &[&str]) -> Done {
    let dir = server.data_dir.display().to_string();
    let mut words: Vec<_> = [&["rebuild", "--data-dir", &dir], words].concat();
    if let Some(url) = &server.database_url {
        words.extend(["--database-url", url]);
    }
    User::new().run(&words).await
}

/// The database with the tables of this file, which no server may have open.
pub(super) async fn tables(server: &Server, file: &str) -> Db {
    match &server.database_url {
        Some(url) => Db::postgres(sqlx::PgPool::connect(url).await.unwrap(), Durability::Normal),
        None => projections::open_file(&server.data_dir.join(file)).await.unwrap(),
    }
}

/// Loses every execution, as damage does that nobody notices; gives how many.
async fn lose_executions(server: &Server) -> u64 {
    let delete = Statement::new(format!("DELETE FROM {}", ExecutionRow::TABLE));
    tables(server, "views.db").await.execute(delete).await.unwrap()
}

/// How many executions there are, and how many builds of their tables.
async fn executions_and_builds(server: &Server) -> (i64, i64) {
    let db = tables(server, "views.db").await;
    let rows = Statement::new(format!("SELECT COUNT(*) FROM {}", ExecutionRow::TABLE));
    let builds = "SELECT COUNT(*) FROM projection_cursors WHERE projection = 'executions'";
    let rows: Vec<i64> = db.fetch_column(rows).await.unwrap();
    let builds: Vec<i64> = db.fetch_column(Statement::new(builds)).await.unwrap();
    (rows[0], builds[0])
}

async fn two_executions() -> Server {
    let server = Server::start().await;
    server.agent("scout").await;
    for message in ["first", "second"] {
        let id = server.task("scout", message).await;
        server.until_ended(&id).await;
    }
    server
}

#[tokio::test]
async fn without_a_server_a_read_model_is_built_again_by_the_command_itself() {
    let mut server = two_executions().await;
    let before = server.get("/api/executions").await.expect(200);
    let begun = rebuild(&server, &["executions"]).await.exits(0).json();
    assert_eq!(begun["status"], "rebuilding", "the server that runs is asked");
    let head = server.events().await.len();
    assert!(server.signal(Signal::SIGTERM).await.success());

    assert_eq!(lose_executions(&server).await, 2);
    let built = rebuild(&server, &["executions"]).await.exits(0).json();
    assert_eq!(
        built,
        serde_json::json!({"name": "executions", "status": "rebuilt", "position": head})
    );
    assert_eq!(executions_and_builds(&server).await, (2, 1), "nothing is left to the next server");
    server.start_again().await;
    assert_eq!(server.get("/api/executions").await.expect(200), before);

    // The files of a server that was killed name one that answers no more.
    server.kill().await;
    assert_eq!(lose_executions(&server).await, 2);
    let said = rebuild(&server, &["executions", "--text"]).await.exits(0).stdout;
    assert!(said.starts_with("executions was built again up to position "), "{said}");
    rebuild(&server, &["nonsense"]).await.exits(4).says("activities");
    server.start_again().await;
    assert_eq!(server.get("/api/executions").await.expect(200), before);
    server.audit().await;
}

#[tokio::test]
async fn what_cannot_be_built_leaves_what_is_read_as_it_was() {
    let mut server = two_executions().await;
    assert!(server.signal(Signal::SIGTERM).await.success());
    let other = DataDir::open(&server.data_dir).unwrap();
    rebuild(&server, &["executions"]).await.exits(5).says("is in use");
    drop(other);
    let unknown = "UPDATE events SET event_type = 'FromTomorrow' \
                   WHERE event_type = 'ExecutionCompleted'";
    tables(&server, "log.db").await.execute(Statement::new(unknown)).await.unwrap();
    let done = rebuild(&server, &["executions"]).await.exits(1);
    assert!(done.stderr.contains("FromTomorrow"), "{}", done.stderr);
    assert!(done.stderr.contains("trinity audit verify"), "{}", done.stderr);
    assert_eq!(executions_and_builds(&server).await.0, 2);
}

#[tokio::test]
async fn where_no_server_has_run_nothing_is_built_and_nothing_made() {
    let user = User::new();
    let words = ["rebuild", "executions", "--data-dir", "none"];
    for more in [&[][..], &["--database-url", "postgres://localhost:9/none"]] {
        let done = user.run(&[&words, more].concat()).await.exits(8);
        assert!(done.stderr.contains("none has ever run there"), "{}", done.stderr);
        assert!(!user.path("none").exists());
    }
    user.run(&["rebuild", "executions", "--database-url", "postgres://a"]).await.exits(2);
}
