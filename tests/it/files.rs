//! Files of an agent's workspace through the whole system, on whichever host the suite runs with.

use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::cli::support::User;
use crate::docker;
use crate::server::{Answer, Server, until};

const FILES: &str = "/api/agents/scout/files";

fn sha256(text: &str) -> String {
    hex::encode(Sha256::digest(text))
}

async fn put(server: &Server, path: &str, content: &str) -> Answer {
    let request = server.request(Method::PUT, FILES).query(&[("path", path)]);
    server.try_send(request.body(content.to_owned())).await.unwrap()
}

async fn get(server: &Server, path: &str) -> reqwest::Response {
    let request = server.request(Method::GET, &format!("{FILES}/download"));
    request.query(&[("path", path)]).send().await.unwrap()
}

/// What a run of these ops says.
async fn run(server: &Server, ops: &[&str]) -> String {
    let id = server.script("scout", ops).await;
    let record = server.until_ended(&id).await;
    assert_eq!(record["status"], "completed", "{record}");
    json!(server.lines(&id).await).to_string()
}

/// The changes of instructions that the log has.
async fn instructions(server: &Server) -> Vec<Value> {
    let events = server.events().await.into_iter();
    let of_type = |event: &Value| event["type"] == "InstructionsChanged";
    events.filter(of_type).map(|event| event["data"]["sha256"].clone()).collect()
}

#[tokio::test]
async fn new_instructions_are_an_event_and_the_next_run_reads_them() {
    let server = Server::start().await;
    server.agent("scout").await;
    let before = run(&server, &["exec cat CLAUDE.md 2>&1 || echo nothing"]).await;
    assert!(before.contains("nothing"), "{before}");
    let written = put(&server, "CLAUDE.md", "always be kind").await.expect(201);
    assert_eq!(
        (&written["status"], &written["is_instructions"]),
        (&json!("created"), &json!(true))
    );
    assert!(run(&server, &["exec cat CLAUDE.md"]).await.contains("always be kind"));
    let written = put(&server, "CLAUDE.md", "always be brief").await.expect(200);
    assert!(run(&server, &["exec cat CLAUDE.md"]).await.contains("always be brief"));
    // The same once more is no change, and what is no instruction is none.
    put(&server, "CLAUDE.md", "always be brief").await.expect(200);
    put(&server, "notes/today.md", "x").await.expect(201);
    let expected = [sha256("always be kind"), sha256("always be brief")];
    assert_eq!(instructions(&server).await, expected.map(Value::from));
    assert!(written["position"].as_i64().unwrap() > 0);

    server.post("/api/agents/scout/stop", json!({})).await.expect(200);
    let refused = put(&server, "CLAUDE.md", "late").await.expect(503);
    assert_eq!(refused["code"], "agent-not-running", "{refused}");
    assert!(refused["detail"].as_str().unwrap().contains("/start"), "{refused}");
    server.post("/api/agents/scout/start", json!({})).await.expect(200);
    assert!(run(&server, &["exec cat CLAUDE.md"]).await.contains("always be brief"));
    server.delete(&format!("{FILES}?path=CLAUDE.md")).await.expect(200);
    assert_eq!(instructions(&server).await.last(), Some(&json!(sha256(""))));
    server.audit().await;
}

#[tokio::test]
async fn what_a_run_makes_is_listed_downloaded_and_deleted_and_never_rendered() {
    let server = Server::start().await;
    server.agent("scout").await;
    run(
        &server,
        &[
            "exec mkdir -p site && printf '<script>alert(1)</script>' > 'site/in dex.html'",
            "exec ln -s /etc/passwd site/out && mkfifo site/pipe",
        ],
    )
    .await;
    let listed = server.get(&format!("{FILES}?path=site&limit=2")).await.expect(200);
    let names = |page: &Value| -> Vec<String> {
        let items = page["items"].as_array().unwrap().iter();
        items.map(|item| format!("{} {}", item["kind"], item["path"]).replace('"', "")).collect()
    };
    assert_eq!(names(&listed), ["file site/in dex.html", "link site/out"]);
    let cursor = listed["next_cursor"].as_str().unwrap();
    let rest = server.get(&format!("{FILES}?path=site&cursor={cursor}")).await.expect(200);
    assert_eq!(
        (names(&rest), &rest["next_cursor"]),
        (vec!["other site/pipe".into()], &Value::Null)
    );
    let other = server.get(&format!("{FILES}?path=&cursor={cursor}")).await.expect(400);
    assert_eq!(other["code"], "invalid-cursor", "{other}");

    let response = get(&server, "site/in dex.html").await;
    let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(header("content-type"), "application/octet-stream");
    assert_eq!(header("content-disposition"), "attachment; filename*=UTF-8''in%20dex%2Ehtml");
    assert_eq!(header("x-content-type-options"), "nosniff");
    assert_eq!(header("content-length"), "25");
    let etag = header("etag");
    assert_eq!(response.text().await.unwrap(), "<script>alert(1)</script>");
    for (path, status, code) in [
        ("site/out", 400, "invalid-parameter"),
        ("site/pipe", 409, "conflict"),
        ("site", 409, "conflict"),
        ("../workspace/x", 400, "invalid-parameter"),
        ("/etc/passwd", 400, "invalid-parameter"),
        ("nowhere", 404, "no-such-file"),
    ] {
        let answer = get(&server, path).await;
        assert_eq!(answer.status(), status, "{path}");
        assert_eq!(answer.json::<Value>().await.unwrap()["code"], code, "{path}");
    }
    put(&server, "site/in dex.html", "changed").await.expect(200);
    let stale = server.request(Method::DELETE, FILES).query(&[("path", "site/in dex.html")]);
    let stale = server.try_send(stale.header("if-match", &etag)).await.unwrap().expect(412);
    assert_eq!(stale["code"], "precondition-failed", "{stale}");
    assert!(stale["etag"].is_string() && stale["etag"] != etag, "{stale}");
    server.delete(&format!("{FILES}?path=site")).await.expect(409);
    server.delete(&format!("{FILES}?path=site&recursive=true")).await.expect(200);
    server.get(&format!("{FILES}?path=site")).await.expect(404);
}

#[tokio::test]
async fn a_run_owns_what_is_written_for_it_and_credentials_stay_unseen() {
    let server = Server::start().await;
    server.agent("scout").await;
    put(&server, "deep/er/tool.sh", "#!/bin/sh\necho used").await.expect(201);
    let said = run(&server, &[
        "exec test -O deep/er/tool.sh && chmod +x deep/er/tool.sh && ./deep/er/tool.sh",
        "exec echo more >> deep/er/tool.sh && rm deep/er/tool.sh && rmdir deep/er && echo clean",
    ])
    .await;
    assert!(said.contains("used") && said.contains("clean"), "{said}");
    let path = "/api/agents/scout/credentials/SERVICE_KEY";
    server.put(path, json!({ "value": "sk-0123456789" })).await.expect(200);
    let answer = get(&server, ".env").await;
    assert_eq!(answer.status(), 403);
    assert!(!answer.text().await.unwrap().contains("sk-0123"));
    put(&server, ".env", "SERVICE_KEY=mine").await.expect(403);
    run(&server, &["exec ln -s .env env-link"]).await;
    assert_eq!(get(&server, "env-link").await.status(), 403);
}

#[tokio::test]
async fn what_is_larger_than_a_file_may_be_is_refused_and_leaves_nothing() {
    let server = Server::start().await;
    server.agent("scout").await;
    let large = "x".repeat((16 << 20) + 1);
    let refused = put(&server, "large", &large).await.expect(413);
    assert_eq!(refused["code"], "body-too-large", "{refused}");
    put(&server, "large", &large[1..]).await.expect(201);
    let content = get(&server, "large").await.bytes().await.unwrap();
    assert_eq!(content.len(), 16 << 20);
    let listed = server.get(FILES).await.expect(200);
    let names: Vec<_> = listed["items"].as_array().unwrap().iter().map(|i| &i["path"]).collect();
    assert_eq!(names, [".home", "large"]);
}

#[tokio::test]
async fn the_command_line_lists_gets_puts_edits_and_removes() {
    let server = Server::start().await;
    server.agent("scout").await;
    let user = User::of(&server);
    let files = ["agent", "files"];
    let words = |rest: &[&'static str]| [&files[..], rest].concat();
    user.run_with_input(&words(&["put", "scout", "CLAUDE.md"]), "be kind\n").await.exits(0);
    user.run_with_input(&words(&["put", "scout", "CLAUDE.md", "--new"]), "no\n").await.exits(5);
    let got = user.run(&words(&["get", "scout", "CLAUDE.md"])).await.exits(0);
    assert_eq!(got.stdout, "be kind\n");
    user.run(&words(&["get", "scout", "CLAUDE.md", "-o", "copy"])).await.exits(0);
    assert_eq!(std::fs::read_to_string(user.path("copy")).unwrap(), "be kind\n");
    let listed = user.run(&words(&["ls", "scout", "--text"])).await.exits(0).stdout;
    assert!(listed.contains("CLAUDE.md") && listed.contains("file"), "{listed}");
    user.run(&words(&["get", "scout", "nowhere"])).await.exits(4).says("agent files ls scout");

    let append = User::of(&server).with("EDITOR", "sh -c 'echo \"and brief\" >> \"$1\"' sh");
    append.run(&words(&["edit", "scout", "CLAUDE.md", "--text"])).await.exits(0);
    append.run(&words(&["edit", "scout", "new/file.md"])).await.exits(0);
    let said = run(&server, &["exec cat CLAUDE.md new/file.md"]).await;
    assert!(said.contains("and brief") && said.matches("and brief").count() == 2, "{said}");
    let idle = User::of(&server).with("VISUAL", "true");
    let done = idle.run(&words(&["edit", "scout", "CLAUDE.md"])).await.exits(0);
    assert!(done.stdout.contains("as it was"), "{done:?}");
    // While the editor is open, somebody else writes.
    let other = format!(
        "sh -c 'curl -fsS -X PUT -H \"Authorization: Bearer {}\" -d theirs \
         \"{}{FILES}?path=CLAUDE.md\" >/dev/null && echo mine > \"$1\"' sh",
        server.token(),
        server.url
    );
    let late = User::of(&server).with("EDITOR", other);
    let done =
        late.run(&words(&["edit", "scout", "CLAUDE.md"])).await.exits(5).says("what you wrote");
    let kept = done.stderr.split("what you wrote is in ").nth(1).unwrap().trim();
    assert_eq!(std::fs::read_to_string(kept).unwrap(), "mine\n");
    std::fs::remove_dir_all(std::path::Path::new(kept).parent().unwrap()).unwrap();
    assert_eq!(get(&server, "CLAUDE.md").await.text().await.unwrap(), "theirs");

    user.run(&words(&["rm", "scout", "new"])).await.exits(5);
    user.run(&words(&["rm", "scout", "new", "-r"])).await.exits(0);
    server.post("/api/agents/scout/stop", json!({})).await.expect(200);
    user.run(&words(&["ls", "scout"])).await.exits(5).says("trinity agent start scout");
}

#[tokio::test]
async fn an_agent_server_that_is_killed_under_a_list_is_said_to_be_away_and_comes_back() {
    let server = Server::start().await;
    server.agent("scout").await;
    put(&server, "note", "kept").await.expect(201);
    server.kill_agent_servers();
    let answer = server.get(FILES).await;
    assert!([200, 503].contains(&answer.status.as_u16()), "{}", answer.body);
    until("the workspace is there again", async || {
        let answer = server.get(&format!("{FILES}?path=note")).await;
        assert!([200, 503].contains(&answer.status.as_u16()), "{}", answer.body);
        (answer.status == 200).then_some(())
    })
    .await;
    assert!(!docker::is_chosen() || docker::labelled("container", "trinity.platform").len() == 1);
}
