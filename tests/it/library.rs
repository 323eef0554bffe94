//! Templates and skills through the whole system: what agents are made from, and what they then know.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use futures::future::join_all;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::processes::pids;
use crate::server::{Server, until};

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// A library with one template that asks for one skill, and one more skill.
fn fill(server: &Server) {
    let template = server.data_dir.join("templates/writer");
    write(
        &template.join("template.yaml"),
        "description: Writes notes.\ntype: docs\nruntime: demo\nmax_parallel_tasks: 2\n\
         execution_timeout_seconds: 77\ntags: [notes]\nskills: [greet]\n\
         credentials:\n  API_KEY: for the service\n",
    );
    write(&template.join("CLAUDE.md"), "Write notes.\n");
    write(&template.join("bin/tool"), "#!/bin/sh\necho tool at work\n");
    fs::set_permissions(template.join("bin/tool"), fs::Permissions::from_mode(0o755)).unwrap();
    let skills = server.data_dir.join("skills");
    write(&skills.join("greet/SKILL.md"), "---\ndescription: Says hello.\n---\nSay hello.\n");
    write(&skills.join("greet/words/list.txt"), "bonjour\n");
    write(&skills.join("count/SKILL.md"), "# Counts things\n");
}

/// What one run of the agent says when these shell commands are run in its workspace.
async fn said(server: &Server, agent: &str, commands: &[&str]) -> String {
    let ops: Vec<_> = commands.iter().map(|command| format!("exec {command}")).collect();
    let ops: Vec<_> = ops.iter().map(String::as_str).chain(["say done"]).collect();
    let id = server.script(agent, &ops).await;
    let record = server.until_ended(&id).await;
    assert_eq!(record["status"], "completed", "{record}");
    json!(server.lines(&id).await).to_string()
}

async fn until_said(server: &Server, agent: &str, command: &str, wanted: &str) {
    until(&format!("`{command}` to say {wanted}"), async || {
        said(server, agent, &[command]).await.contains(wanted).then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_agent_made_from_a_template_has_its_files_settings_and_skills() {
    let server = Server::start().await;
    fill(&server);
    let listed = server.get("/api/templates").await.expect(200);
    assert_eq!(listed[0]["id"], "writer");
    assert_eq!(listed[0]["manifest"]["credentials"], json!({"API_KEY": "for the service"}));
    let shown = server.get("/api/templates/writer").await.expect(200);
    let paths: Vec<_> = shown["files"].as_array().unwrap().iter().map(|f| &f["path"]).collect();
    assert_eq!(paths, ["CLAUDE.md", "bin/tool"]);

    // What is said wins over the template.
    server.agent_with(json!({"name": "scribe", "template": "writer", "type": "own"})).await;
    server.until_phase("scribe", "running").await;
    let agent = server.get("/api/agents/scribe").await.expect(200);
    let told = ["template", "type", "runtime", "tags", "skills"].map(|field| agent[field].clone());
    assert_eq!(json!(told), json!(["writer", "own", "demo", ["notes"], ["greet"]]), "{agent}");
    assert_eq!(agent["slots"]["max"], 2);
    let info = server.get("/api/agents/scribe/info").await.expect(200);
    assert_eq!((&info["template"], &info["manifest"]), (&json!("writer"), &shown["manifest"]));
    assert_eq!(agent["execution_timeout_seconds"], 77);
    let commands = [
        "cat CLAUDE.md",
        "bin/tool",
        "cat .claude/skills/greet/SKILL.md .claude/skills/greet/words/list.txt",
        "ls -A",
    ];
    let lines = said(&server, "scribe", &commands).await;
    for text in ["Write notes.", "tool at work", "Say hello.", "bonjour"] {
        assert!(lines.contains(text), "{text}: {lines}");
    }
    assert!(!lines.contains("template.yaml"), "{lines}");
    server.audit().await;
}

#[tokio::test]
async fn skills_reach_a_running_agent_and_leave_it_again() {
    let server = Server::start().await;
    fill(&server);
    server.agent("scout").await;
    let library = server.get("/api/skills/library").await.expect(200);
    assert_eq!(
        library,
        json!([
            {"name": "count", "description": "Counts things", "error": null},
            {"name": "greet", "description": "Says hello.", "error": null},
        ])
    );
    let set = async |skills: Value| {
        server.put("/api/agents/scout/skills", json!({ "skills": skills })).await
    };
    set(json!(["greet", "nowhere"])).await.problem(422, "invalid-field");
    let both = set(json!(["greet", "count"])).await.expect(200);
    assert_eq!(both["skills"], json!(["count", "greet"]));
    until_said(&server, "scout", "ls .claude/skills", "greet").await;
    set(json!(["count"])).await.expect(200);
    let one_is_left = "test -e .claude/skills/count -a ! -e .claude/skills/greet && echo just one";
    until_said(&server, "scout", one_is_left, "just one").await;
}

#[tokio::test]
async fn one_skill_comes_or_goes_and_the_others_stay() {
    const SKILLS: &str = "/api/agents/scout/skills";
    let server = Server::start().await;
    fill(&server);
    server.agent("scout").await;
    let attach = async |skill: &str| server.post(SKILLS, json!({ "skill": skill })).await;
    assert_eq!(attach("greet").await.expect(200)["skills"], json!(["greet"]));
    until_said(&server, "scout", "ls .claude/skills", "greet").await;
    assert_eq!(attach("count").await.expect(200)["skills"], json!(["count", "greet"]));
    let attached = attach("count").await.expect(200);
    assert_eq!(attached["skills"], json!(["count", "greet"]), "again changes nothing");
    let refused = attach("nowhere").await.problem(422, "invalid-field");
    assert!(refused.to_string().contains("/skill\""), "{refused}");
    attach("../greet").await.problem(422, "invalid-field");
    let stale = server.request(reqwest::Method::POST, SKILLS).header("if-match", "\"v1\"");
    let stale = server.try_send(stale.json(&json!({"skill": "greet"}))).await.unwrap();
    stale.problem(412, "precondition-failed");

    // What the library has lost can be taken away all the same.
    fs::remove_dir_all(server.data_dir.join("skills/greet")).unwrap();
    attach("greet").await.expect(200);
    let detach = async |skill: &str| server.delete(&format!("{SKILLS}/{skill}")).await.expect(200);
    assert_eq!(detach("greet").await["skills"], json!(["count"]));
    assert_eq!(detach("greet").await["skills"], json!(["count"]), "it is gone already");
    let one_is_left = "test -e .claude/skills/count -a ! -e .claude/skills/greet && echo just one";
    until_said(&server, "scout", one_is_left, "just one").await;
    let events = server.events().await;
    assert_eq!(events.iter().filter(|event| event["type"] == "SkillsChanged").count(), 3);
    server.delete("/api/agents/scout/skills/count%2Fmore").await.expect(200);
    server.audit().await;
}

#[tokio::test]
async fn skills_that_are_attached_and_detached_at_once_lose_nothing() {
    const SKILLS: &str = "/api/agents/scout/skills";
    let server = Server::start().await;
    let [old, new] = ["old", "new"].map(|kind| (0..8).map(move |n| format!("{kind}-{n}")));
    for name in old.clone().chain(new.clone()) {
        let skill = server.data_dir.join("skills").join(name).join("SKILL.md");
        write(&skill, "# Knows something\n");
    }
    server.post("/api/agents?start=false", json!({"name": "scout"})).await.expect(201);
    let all = old.clone().collect::<Vec<_>>();
    server.put(SKILLS, json!({ "skills": all })).await.expect(200);
    let attach = async |skill: String| {
        let attached = server.post(SKILLS, json!({ "skill": skill })).await.expect(200);
        assert!(attached["skills"].as_array().unwrap().contains(&json!(skill)), "{attached}");
    };
    let detach = async |skill: String| {
        let detached = server.delete(&format!("{SKILLS}/{skill}")).await.expect(200);
        assert!(!detached["skills"].as_array().unwrap().contains(&json!(skill)), "{detached}");
    };
    tokio::join!(join_all(new.clone().map(&attach)), join_all(old.map(&detach)));
    let skills = server.get(SKILLS).await.expect(200)["skills"].clone();
    assert_eq!(skills, json!(new.collect::<Vec<_>>()));
    server.audit().await;
}

#[tokio::test]
async fn what_is_wrong_with_a_template_is_said_before_anything_is_made() {
    let server = Server::start().await;
    fill(&server);
    let create =
        async || server.post("/api/agents", json!({"name": "x", "template": "writer"})).await;
    let manifest = server.data_dir.join("templates/writer/template.yaml");
    for (text, reason) in [
        ("modell: opus\n", "modell"),
        ("skills: [nowhere]\n", "nowhere"),
        ("runtime: emacs\n", "emacs"),
    ] {
        fs::write(&manifest, text).unwrap();
        let refused = create().await.problem(400, "invalid-parameter");
        assert!(refused.to_string().contains(reason), "{reason}: {refused}");
    }
    fs::write(&manifest, "runtime: demo\nmodel: gemini-2.5-pro\n").unwrap();
    create().await.problem(422, "invalid-field");
    std::os::unix::fs::symlink("/etc/passwd", manifest.with_file_name("link")).unwrap();
    fs::write(&manifest, "runtime: demo\n").unwrap();
    let refused = create().await.problem(400, "invalid-parameter");
    assert!(refused.to_string().contains("link"), "{refused}");
    server.get("/api/templates/writer").await.problem(409, "conflict");
    server.get("/api/templates/nowhere").await.problem(404, "not-found");
    assert_eq!(server.get("/api/agents").await.expect(200), json!([]));
}

#[tokio::test]
async fn an_agent_whose_template_cannot_be_written_fails_by_the_name_of_the_step() {
    let server = Server::start().await;
    fill(&server);
    // There the home of every agent is.
    let obstacle = server.data_dir.join("templates/writer/.home");
    fs::write(&obstacle, "no folder").unwrap();
    server.post("/api/agents", json!({"name": "blocked", "template": "writer"})).await.expect(201);
    let failed = server.until_phase("blocked", "failed").await;
    assert_eq!(failed["failure"]["step"], "configure", "{failed}");
    fs::remove_file(&obstacle).unwrap();
    server.post("/api/agents/blocked/start", json!({})).await;
    server.until_phase("blocked", "running").await;
    assert!(said(&server, "blocked", &["cat CLAUDE.md"]).await.contains("Write notes."));
    server.audit().await;
}

#[tokio::test]
async fn agents_are_found_by_their_tags() {
    let server = Server::start().await;
    for name in ["one", "two"] {
        server.agent(name).await;
    }
    let set = async |name: &str, tags: Value| {
        server.put(&format!("/api/agents/{name}/tags"), json!({ "tags": tags })).await
    };
    set("one", json!(["a", "b"])).await.expect(200);
    set("two", json!(["b"])).await.expect(200);
    for bad in [json!([""]), json!(["a b"]), json!(["x".repeat(51)])] {
        set("two", bad).await.problem(422, "invalid-field");
    }
    let found = async |tag: &str| {
        let agents = server.get(&format!("/api/agents?tag={tag}")).await.expect(200);
        let names = agents.as_array().unwrap().iter();
        names.map(|agent| agent["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(found("a").await, ["one"]);
    assert_eq!(found("b").await, ["two", "one"]);
    set("one", json!([])).await.expect(200);
    assert_eq!(found("b").await, ["two"]);
    server.delete("/api/agents/two").await.expect(200);
    until("the tag to go with its agent", async || found("b").await.is_empty().then_some(())).await;
}

#[tokio::test]
async fn tools_that_are_taken_away_are_refused_to_the_next_task() {
    let server = Server::start().await;
    server.agent("scout").await;
    let task = async |tool: &str| {
        let body = json!({"message": "x", "allowed_tools": [tool], "async_mode": true});
        server.post("/api/agents/scout/task", body).await
    };
    assert!(task("Bash").await.status.is_success());
    server.put("/api/agents/scout/tools", json!({"tools": ["Read"]})).await.expect(200);
    assert!(task("Read").await.status.is_success());
    assert_eq!(task("Bash").await.status, 422);
    let bad = server.put("/api/agents/scout/tools", json!({"tools": ["Bash(rm *)"]})).await;
    bad.problem(422, "invalid-field");
}

/// Runs git in a folder, as somebody.
fn git(folder: &Path, words: &[&str]) {
    let identity = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main"];
    let mut git = std::process::Command::new("git");
    let status = git.current_dir(folder).args(identity).args(words).status().unwrap();
    assert!(status.success(), "{words:?}");
}

#[tokio::test]
async fn skills_and_templates_come_from_git_repositories_and_anew_when_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let origin = folder.path();
    write(&origin.join("greet/SKILL.md"), "---\ndescription: Says hello.\n---\nSay hello.\n");
    git(origin, &["init", "--quiet"]);
    git(origin, &["add", "."]);
    git(origin, &["commit", "--quiet", "-m", "one"]);
    let url = format!("file://{}", origin.display());
    let skills = format!("{url}#main");
    let nowhere = format!("file://{}/nowhere", origin.display());
    let environment = [("TRINITY_SKILLS_GIT", &*skills), ("TRINITY_TEMPLATES_GIT", &*nowhere)];
    let server = Server::start_with(&environment).await;
    let names = async || {
        let listed = server.get("/api/skills/library").await.expect(200);
        let names = listed.as_array().unwrap().iter().map(|skill| skill["name"].clone());
        names.collect::<Vec<_>>()
    };
    until("the repository is copied at the start", async || {
        (names().await == [json!("greet")]).then_some(())
    })
    .await;

    write(&origin.join("count/SKILL.md"), "# Counts things\n");
    git(origin, &["add", "."]);
    git(origin, &["commit", "--quiet", "-m", "two"]);
    assert_eq!(names().await.len(), 1, "nobody has asked for it");
    let pulled = server.post("/api/skills/library/pull", json!({})).await.expect(200);
    assert_eq!((&pulled["url"], &pulled["branch"]), (&json!(url), &json!("main")), "{pulled}");
    assert_eq!(pulled["commit"].as_str().unwrap().len(), 40);
    assert_eq!(names().await, [json!("count"), json!("greet")]);

    let refused = server.post("/api/templates/pull", json!({})).await.problem(409, "conflict");
    assert!(refused["detail"].as_str().unwrap().contains("git said"), "{refused}");
    assert_eq!(server.get("/api/templates").await.expect(200), json!([]));
    let plain = Server::start().await;
    let refused = plain.post("/api/skills/library/pull", json!({})).await.problem(409, "conflict");
    assert!(refused["detail"].as_str().unwrap().contains("--skills-git"), "{refused}");
}

#[tokio::test]
async fn a_repository_that_does_not_answer_delays_neither_the_start_nor_the_end_of_the_server() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/team/templates.git", silent.local_addr().unwrap());
    let mut server = Server::start_with(&[("TRINITY_TEMPLATES_GIT", &url)]).await;
    let _asked = silent.accept().await.unwrap();
    let health = server.get("/api/health").await.expect(200);
    let told = (&health["status"], &health["library_missing"]);
    assert_eq!(told, (&json!("healthy"), &json!(["templates"])));
    let create = json!({"name": "scribe", "template": "writer"});
    let refused = server.post("/api/agents", create).await.problem(400, "invalid-parameter");
    assert!(refused.to_string().contains(&format!("{url} is being copied")), "{refused}");
    server.agent("scout").await;

    let git = || {
        let says = |pid| std::fs::read_to_string(format!("/proc/{pid}/cmdline"));
        pids(|pid| says(pid).is_ok_and(|words| words.contains(&url)))
    };
    assert!(!git().is_empty(), "it still waits for an answer");
    assert!(server.signal(Signal::SIGINT).await.success());
    until("nothing of git is left", async || git().is_empty().then_some(())).await;
}

/// A repository whose branch `next` holds other text than `main`, in files that are called the same;
/// gives its URL.
fn repository(origin: &Path, files: &[(&str, &str)]) -> String {
    git(origin, &["init", "--quiet"]);
    for branch in ["main", "next"] {
        git(origin, &["checkout", "--quiet", "-B", branch]);
        for (path, text) in files {
            write(&origin.join(path), &text.replace("BRANCH", branch));
        }
        git(origin, &["add", "."]);
        git(origin, &["commit", "--quiet", "-m", branch]);
    }
    git(origin, &["checkout", "--quiet", "main"]);
    format!("file://{}", origin.display())
}

#[tokio::test]
async fn an_agent_is_made_from_what_the_named_branch_of_a_repository_holds() {
    let (templates, skills) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let manifest = "description: Of BRANCH.\nruntime: demo\ntags: [BRANCH]\nskills: [greet]\n";
    let templates = repository(
        templates.path(),
        &[("writer/template.yaml", manifest), ("writer/CLAUDE.md", "Write as in BRANCH.\n")],
    );
    let skill = "---\ndescription: Says hello of BRANCH.\n---\nSay hello from BRANCH.\n";
    let skills = repository(skills.path(), &[("greet/SKILL.md", skill)]);
    let (templates, skills) = (format!("{templates}#next"), format!("{skills}#next"));
    let environment = [("TRINITY_TEMPLATES_GIT", &*templates), ("TRINITY_SKILLS_GIT", &*skills)];
    let server = Server::start_with(&environment).await;
    until("both repositories are copied", async || {
        let template = server.get("/api/templates/writer").await;
        let skills = server.get("/api/skills/library").await.expect(200);
        let described = skills[0]["description"] == "Says hello of next.";
        (template.body["manifest"]["description"] == "Of next." && described).then_some(())
    })
    .await;
    for what in ["templates", "skills/library"] {
        let pulled = server.post(&format!("/api/{what}/pull"), json!({})).await.expect(200);
        assert_eq!(pulled["branch"], "next", "{pulled}");
    }

    server.agent_with(json!({"name": "scribe", "template": "writer"})).await;
    let agent = server.get("/api/agents/scribe").await.expect(200);
    let told = ["template", "runtime", "tags", "skills"].map(|field| agent[field].clone());
    assert_eq!(json!(told), json!(["writer", "demo", ["next"], ["greet"]]), "{agent}");
    let look = ["cat CLAUDE.md .claude/skills/greet/SKILL.md", "ls -A . .claude/skills/greet"];
    let lines = said(&server, "scribe", &look).await;
    assert!(lines.contains("Write as in next.") && lines.contains("Say hello from next."));
    for other in ["as in main", "from main", ".git\\n"] {
        assert!(!lines.contains(other), "{other}: {lines}");
    }
    server.audit().await;
}
