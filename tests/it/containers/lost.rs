//! The read models are lost and the log is not: what is whose is known all the same.

use serde_json::json;
use sqlx::{Connection as _, PgConnection};

use super::{delete, docker, fresh_name, image, server};
use crate::server::{Server, until};

/// Takes every read model away, as a new or emptied database would.
async fn lose_read_models(server: &Server) {
    let Some(url) = &server.database_url else {
        std::fs::remove_file(server.data_dir.join("views.db")).unwrap();
        for beside in ["views.db-wal", "views.db-shm"] {
            let _absent = std::fs::remove_file(server.data_dir.join(beside));
        }
        return;
    };
    let projections = trinity::projections::all();
    let tables = projections.iter().flat_map(|projection| projection.tables());
    let tables: Vec<_> = tables.map(|table| table.name).collect();
    let forget = format!(
        "DROP TABLE {}; DELETE FROM projection_cursors; DELETE FROM projection_source;",
        tables.join(", ")
    );
    let mut connection = PgConnection::connect(url).await.unwrap();
    sqlx::raw_sql(&forget).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

/// What tells one life of a container from another.
fn life(container: &str) -> String {
    let format = "{{.Id}} {{.State.Status}} {{.State.StartedAt}} {{.State.Pid}}";
    docker(&["inspect", "-f", format, container])
}

#[tokio::test]
async fn an_agent_without_read_models_keeps_its_container_its_workspace_and_its_run() {
    let mut server = server().await;
    let name = fresh_name();
    server.agent(&name).await;
    let path = |below: &str| format!("/api/agents/{name}{below}");
    let wait = "exec echo kept > note; while [ ! -e go ]; do sleep 0.1; done";
    let run = server.script(&name, &[wait, "say went on"]).await;
    until("it is at work", async || (!server.lines(&run).await.is_empty()).then_some(())).await;
    // One that looks like ours to people, and to the labels like that of another platform.
    let foreign = format!("agent-{}", fresh_name());
    let label = |name: &str, value: &str| format!("trinity.{name}={value}");
    let life_of_another = label("incarnation", &uuid::Uuid::now_v7().to_string());
    docker(&[
        "run",
        "--detach",
        "--network=none",
        "--name",
        &foreign,
        "--label",
        &label("platform", "another"),
        "--label",
        &life_of_another,
        &image(),
        "/bin/sleep",
        "1000",
    ]);
    let containers = [format!("agent-{name}"), foreign.clone()];
    let before = containers.each_ref().map(|container| life(container));
    let shown = server.get(&path("")).await.expect(200);

    server.kill().await;
    lose_read_models(&server).await;
    server.start_again().await;
    let again = server.until_phase(&name, "running").await;
    for field in ["container_id", "incarnation", "owner", "created_at"] {
        assert_eq!(again[field], shown[field], "{field}: {again}");
    }
    let put = server.request(reqwest::Method::PUT, &path("/files?path=go")).body("");
    server.try_send(put).await.unwrap().expect(201);
    assert_eq!(server.until_ended(&run).await["response"], "went on");
    let ended = server.script_ends(&name, &["exec grep -q kept note || exit 1", "say found"]).await;
    assert_eq!((&ended["status"], &ended["response"]), (&json!("completed"), &json!("found")));
    let said = json!(server.lines(ended["id"].as_str().unwrap()).await).to_string();
    assert!(!said.contains("Exit code"), "{said}");
    assert_eq!(server.get("/api/agents").await.expect(200).as_array().unwrap().len(), 1);
    assert_eq!(containers.each_ref().map(|container| life(container)), before);

    delete(&server, &name).await;
    assert_eq!(life(&foreign), before[1], "nobody touches what is somebody else's");
    docker(&["rm", "-f", &foreign]);
    server.audit().await;
}
