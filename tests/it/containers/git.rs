//! Git in containers: with an image that has it, and with one that has not.

use serde_json::json;

use super::{ask, delete, fresh_name, server};
use crate::docker::{address, docker, git_image};
use crate::git::{PLANT, TOUCH};
use crate::server::{Server, until};

/// What opens the repository.
const TOKEN: &str = "ghp_7a3e5f1c9d2b8046ZZq";

/// A bare repository with one commit and a web server in front of it, inside of the container.
fn serve_inside(name: &str) {
    let conf = format!("/cgi-bin:x-access-token:{TOKEN}");
    let script = format!(
        "set -e; cd; mkdir -p www/cgi-bin; echo '{conf}' > www.conf; \
         git init -q --bare -b main repo.git; git clone -q repo.git work; cd work; echo one > README; \
         git add README; git -c user.name=a -c user.email=a@b commit -q -m first; \
         git push -q origin HEAD:main; cd; git -C repo.git config http.receivepack true; \
         printf '#!/bin/sh\\nexport GIT_PROJECT_ROOT=%s GIT_HTTP_EXPORT_ALL=1\\n\
         exec git http-backend\\n' \"$PWD\" > www/cgi-bin/git; chmod +x www/cgi-bin/git"
    );
    let container = format!("agent-{name}");
    let home = "HOME=/agent/workspace/.home";
    docker(&["exec", "-e", home, &container, "/bin/sh", "-c", &script]);
    let serve = "cd && exec httpd -f -p 127.0.0.1:8000 -h www -c ../www.conf";
    docker(&["exec", "-d", "-e", home, &container, "/bin/sh", "-c", serve]);
}

/// A server whose agents have git, and the image that they are made from.
async fn server_with_git() -> (Server, String) {
    let image = git_image();
    let environment = [
        ("TRINITY_AGENT_HOST", "docker"),
        ("TRINITY_DOCKER_HOST", &*address()),
        ("TRINITY_AGENT_IMAGE", &*image),
    ];
    (Server::start_with(&environment).await, image)
}

#[tokio::test]
async fn a_container_with_git_clones_commits_and_pushes() {
    let (server, image) = server_with_git().await;
    let name = fresh_name();
    server.agent(&name).await;
    serve_inside(&name);
    let path = |below: &str| format!("/api/agents/{name}{below}");
    server.put(&path("/credentials/GIT_TOKEN"), json!({ "value": "ghp_wrong0000000" })).await;
    let repository = "http://127.0.0.1:8000/cgi-bin/git/repo.git";
    server.put(&path("/git"), json!({ "repository": repository })).await.expect(200);
    let refused = until("the repository is served", async || {
        let refused = server.post(&path("/git/pull"), json!({})).await.problem(409, "conflict");
        let detail = refused["detail"].as_str().unwrap().to_owned();
        (!detail.contains("connect")).then_some(detail)
    });
    let refused = refused.await;
    assert!(refused.contains("check the credential GIT_TOKEN"), "{refused}");

    server.put(&path("/credentials/GIT_TOKEN"), json!({ "value": TOKEN })).await.expect(200);
    let pulled = server.post(&path("/git/pull"), json!({})).await.expect(200);
    assert_eq!(pulled["changed"], true, "{pulled}");
    let ended = server.script_ends(&name, &["exec cat README && echo two > two", "say made"]).await;
    assert_eq!(ended["status"], "completed", "{ended}");
    let status = server.get(&path("/git/status")).await.expect(200);
    assert_eq!(status["changes"], json!([{"path": "two", "code": "??"}]), "{status}");
    let message = json!({ "message": "Add two" });
    let made = server.post(&path("/git/commit"), message).await.expect(200);
    let pushed = server.post(&path("/git/push"), json!({})).await.expect(200);
    assert_eq!((&pushed["changed"], &pushed["commit"]), (&json!(true), &made["commit"]));
    let repo = "--git-dir=/agent/workspace/.home/repo.git";
    let said =
        docker(&["exec", &format!("agent-{name}"), "git", repo, "ls-tree", "--name-only", "main"]);
    assert_eq!(said, "README\ntwo", "no credentials and no HOME");
    // A clone that is there is none at the next start.
    ask(&server, &name, "stop", "stopped").await;
    ask(&server, &name, "start", "running").await;
    assert_eq!(server.get(&path("/git/status")).await.expect(200)["commit"], made["commit"]);
    delete(&server, &name).await;
    server.audit().await;
    docker(&["rmi", &image]);
}

#[tokio::test]
async fn in_read_only_mode_git_in_a_container_changes_nothing_but_its_own_folder() {
    let (server, image) = server_with_git().await;
    let name = fresh_name();
    server.agent(&name).await;
    let path = |below: &str| format!("/api/agents/{name}{below}");
    let repository = "http://127.0.0.1:8000/none.git";
    server.put(&path("/git"), json!({ "repository": repository })).await.expect(200);
    let commit = "git -c user.name=a -c user.email=a@b commit -q -m first";
    let begin =
        format!("exec git init -q -b main && echo one > README && git add README && {commit}");
    let again = format!("exec {TOUCH} && git status && echo left $(ls)");
    let ended = server.script_ends(&name, &[&begin, PLANT, &again, &format!("exec {TOUCH}")]).await;
    assert_eq!(ended["status"], "completed", "{ended}");
    let lines = server.lines(ended["id"].as_str().unwrap()).await;
    let said = serde_json::to_string(&lines).unwrap();
    assert!(said.contains("left README inside ran-clean ran-inside"), "{said}");

    server.put(&path("/read-only"), json!({ "enabled": true })).await.expect(200);
    let status = server.get(&path("/git/status")).await.expect(200);
    assert_eq!(status["changes"], json!([{"path": "inside", "code": "A."}]), "{status}");
    let made = server.post(&path("/git/commit"), json!({ "message": "Add it" })).await.expect(200);
    assert_eq!(made["changed"], true, "{made}");
    let files = docker(&["exec", &format!("agent-{name}"), "/bin/ls", "/agent/workspace"]);
    assert_eq!(files, "README\ninside");
    delete(&server, &name).await;
    server.audit().await;
    docker(&["rmi", &image]);
}

#[tokio::test]
async fn a_workspace_outlives_a_stop_and_another_container_with_all_that_is_in_it() {
    let (server, image) = server_with_git().await;
    let name = fresh_name();
    let config = json!({"name": name, "runtime": "demo", "custom_instructions": "Be brief."});
    server.agent_with(config).await;
    let path = |below: &str| format!("/api/agents/{name}{below}");
    for (file, text) in [("CLAUDE.md", "Be brief and kind."), ("CLAUDE.local.md", "Only here.")] {
        let file = path(&format!("/files?path={file}"));
        let put = server.request(reqwest::Method::PUT, &file).body(text).send().await.unwrap();
        assert!(put.status().is_success(), "{file}: {}", put.status());
    }
    let files = json!({"files": {"keys/a.json": "{\"key\": \"in-a-file-0123456789\"}",
        ".env": "SERVICE_KEY=a-secret-of-the-service"}});
    server.post(&path("/credentials/inject"), files).await.expect(200);
    let commit = "git -c user.name=a -c user.email=a@b commit -q -m";
    let work = format!(
        "exec git init -q -b main && git add CLAUDE.md && {commit} first && git checkout -q -b work && \
         echo one > b && git add b && {commit} second && echo two >> b && echo made > made"
    );
    let ended = server.script_ends(&name, &[&work]).await;
    assert_eq!(ended["status"], "completed", "{ended}");

    // What a run finds, and what is there.
    let found = async || {
        let ops =
            ["exec [ \"$SERVICE_KEY\" = a-secret-of-the-service ] && sha256sum keys/a.json .env"];
        let ended = server.script_ends(&name, &ops).await;
        assert_eq!(ended["status"], "completed", "{ended}");
        let look = "cd /agent/workspace; cat CLAUDE.md CLAUDE.local.md made keys/a.json .env b; \
                    git log --format=%s; git branch --show-current; git status --porcelain b";
        docker(&["exec", "-u", "10001", &format!("agent-{name}"), "/bin/sh", "-c", look])
    };
    let before = found().await;
    for wanted in ["kind.", "Only here.", "made", "in-a-file", "a-secret", "second", "work", " M b"]
    {
        assert!(before.contains(wanted), "{wanted}: {before}");
    }
    let container = server.get(&path("")).await.expect(200)["container_id"].clone();
    ask(&server, &name, "stop", "stopped").await;
    ask(&server, &name, "start", "running").await;
    assert_eq!(found().await, before, "after a stop and a start");

    let limits = json!({"cpu": null, "memory": "256m"});
    server.put(&path("/resources"), limits).await.expect(200);
    ask(&server, &name, "stop", "stopped").await;
    ask(&server, &name, "start", "running").await;
    assert_ne!(server.get(&path("")).await.expect(200)["container_id"], container);
    assert_eq!(found().await, before, "in another container");
    delete(&server, &name).await;
    server.audit().await;
    docker(&["rmi", &image]);
}

#[tokio::test]
async fn an_image_without_git_is_the_named_reason_of_a_failed_start() {
    let server = server().await;
    let name = fresh_name();
    let config =
        json!({"name": name, "runtime": "demo", "github_repo": "http://127.0.0.1:8000/r.git"});
    server.post("/api/agents", config).await.expect(201);
    let failed = server.until_phase(&name, "failed").await;
    assert_eq!(failed["failure"]["step"], "repository", "{failed}");
    let error = failed["failure"]["error"].as_str().unwrap();
    assert!(error.contains("there is no git") && error.contains("image"), "{error}");
    delete(&server, &name).await;
    server.audit().await;
}
