//! Git through the whole system: a repository is cloned, changed, pulled and pushed, and the token that
//! opens it is seen nowhere.

mod remote;

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use self::remote::{Remote, TOKEN};
use crate::cli::support::User;
use crate::credentials::{assert_stored_nowhere, workspace};
use crate::server::{Server, until};

const GIT: &str = "/api/agents/scout/git";

/// What a run plants for whoever uses git after it: filters of the repository, one of them by a file that
/// its settings include, and the filter of a repository inside. Each leaves a mark when it runs, and so
/// does every hook.
pub const PLANT: &str = "exec git config filter.a.clean 'touch ran-clean; cat' && \
    git config filter.a.smudge 'touch ran-smudge; cat' && git config filter.a.required true && \
    git config include.path more && \
    git config -f .git/more filter.b.process 'touch ran-process; false' && \
    mkdir -p .git/info && printf '* filter=a\\nc filter=b\\n' > .git/info/attributes && \
    git init -q inside && mkdir -p inside/.git/info && echo x > inside/x && git -C inside add x && \
    git -C inside -c user.name=a -c user.email=a@b commit -q -m inside && git add inside && \
    git -C inside config filter.c.clean 'touch ../ran-inside; cat' && \
    echo '* filter=c' > inside/.git/info/attributes";
/// Makes git look at the content of files anew, which runs it through their filters.
pub const TOUCH: &str = "rm -f ran-* && touch README inside/x";

async fn set_token(server: &Server, value: &str) {
    let path = "/api/agents/scout/credentials/GIT_TOKEN";
    server.put(path, json!({ "value": value })).await.expect(200);
}

/// Makes an agent on this repository that is let in; it is not started.
async fn agent_on(server: &Server, remote: &Remote) {
    let config = json!({"name": "scout", "runtime": "demo", "github_repo": remote.url,
        "custom_instructions": "Be brief."});
    server.post("/api/agents?start=false", config).await.expect(201);
    server.until_phase("scout", "stopped").await;
    set_token(server, TOKEN).await;
}

/// The same, started.
async fn running_on(server: &Server, remote: &Remote) -> PathBuf {
    agent_on(server, remote).await;
    server.post("/api/agents/scout/start", json!({})).await.expect(200);
    server.until_phase("scout", "running").await;
    workspace(server, "scout").await
}

async fn post(server: &Server, verb: &str, body: Value) -> Value {
    server.post(&format!("{GIT}/{verb}"), body).await.expect(200)
}

/// Has git do something that it refuses; gives why.
async fn refused(server: &Server, verb: &str) -> String {
    let body = if verb == "commit" { json!({"message": "m"}) } else { json!({}) };
    let problem = server.post(&format!("{GIT}/{verb}"), body).await.problem(409, "conflict");
    problem["detail"].as_str().unwrap().to_owned()
}

async fn changes(server: &Server) -> Vec<String> {
    let status = server.get(&format!("{GIT}/status")).await.expect(200);
    let changes = status["changes"].as_array().unwrap().iter();
    changes
        .map(|change| format!("{} {}", change["code"], change["path"]).replace('"', ""))
        .collect()
}

async fn run(server: &Server, ops: &[&str]) -> String {
    let id = server.script("scout", ops).await;
    let record = server.until_ended(&id).await;
    assert_eq!(record["status"], "completed", "{record}");
    json!(server.lines(&id).await).to_string()
}

#[tokio::test]
async fn a_repository_is_cloned_changed_pushed_and_pulled_and_shows_its_token_nowhere() {
    let remote = Remote::with(&[("README", "one"), ("CLAUDE.md", "theirs"), ("d/x", "y")]).await;
    let (server, log) = Server::start_with_log(&[("TRINITY_LOG", "debug")]).await;
    agent_on(&server, &remote).await;
    let settings = server.get(GIT).await.expect(200);
    assert_eq!(
        (&settings["repository"], &settings["branch"]),
        (&json!(remote.url), &json!("main"))
    );
    let asleep = server.get(&format!("{GIT}/status")).await;
    asleep.problem(503, "agent-not-running");
    server.post("/api/agents/scout/start", json!({})).await.expect(200);
    server.until_phase("scout", "running").await;
    // What was in the workspace stays, and shows as a change; what holds credentials does not.
    let said = run(&server, &["exec cat README d/x CLAUDE.md; ls -A"]).await;
    assert!(
        said.contains("one") && said.contains("Be brief.") && !said.contains("theirs"),
        "{said}"
    );
    assert!(said.contains(".env") && !said.contains("trinity-clone"), "{said}");
    assert_eq!(changes(&server).await, [".M CLAUDE.md"]);

    run(&server, &["exec mkdir new && echo two > new/file && echo more >> README"]).await;
    assert_eq!(changes(&server).await, [".M CLAUDE.md", ".M README", "?? new/"]);
    let message = "Add \"$(id)\" and 'more'\n\n# not a comment";
    let made = post(&server, "commit", json!({ "message": message })).await;
    assert_eq!(made["changed"], true, "{made}");
    let status = server.get(&format!("{GIT}/status")).await.expect(200);
    let told =
        ["branch", "ahead", "behind", "changes", "commit"].map(|field| status[field].clone());
    assert_eq!(json!(told), json!(["main", 1, 0, [], made["commit"]]), "{status}");
    let again = post(&server, "commit", json!({ "message": "empty" })).await;
    assert_eq!((&again["changed"], &again["commit"]), (&json!(false), &made["commit"]));

    let pushed = post(&server, "push", json!({})).await;
    assert_eq!((&pushed["changed"], &pushed["commit"]), (&json!(true), &made["commit"]));
    assert_eq!(remote.git(&["rev-parse", "main"]), made["commit"].as_str().unwrap());
    assert_eq!(remote.git(&["log", "-1", "--format=%B", "main"]), message);
    assert_eq!(
        remote.git(&["log", "-1", "--format=%an <%ae>", "main"]),
        "scout <scout@trinity.invalid>"
    );
    assert_eq!(remote.git(&["show", "main:new/file"]), "two");
    for secret in [".env", ".home"] {
        assert!(
            !remote.git(&["ls-tree", "-r", "--name-only", "main"]).contains(secret),
            "{secret}"
        );
    }
    assert_eq!(post(&server, "push", json!({})).await["changed"], false);

    remote.commit(&[("theirs/file", "three")], "theirs");
    let pulled = post(&server, "pull", json!({})).await;
    assert_eq!(pulled["changed"], true, "{pulled}");
    assert!(run(&server, &["exec cat theirs/file"]).await.contains("three"));
    assert_eq!(post(&server, "pull", json!({})).await["changed"], false);

    // No errand is an execution, and none shows what it was given.
    let executions = server.get("/api/agents/scout/executions").await.expect(200);
    assert_eq!(executions.as_array().unwrap().len(), 3, "{executions}");
    assert_stored_nowhere(&server, &log, &[TOKEN]).await;
    let config = std::fs::read_to_string(workspace(&server, "scout").await.join(".git/config"));
    assert!(!config.unwrap().contains(TOKEN));

    let before = remote.sha256();
    server.delete("/api/agents/scout").await.expect(200);
    assert_eq!(remote.sha256(), before, "the repository is not the agent's");
    server.audit().await;
}

#[tokio::test]
async fn a_clone_that_fails_is_a_step_with_its_reason_and_a_start_tries_again() {
    let remote = Remote::with(&[("README", "one")]).await;
    let (server, log) = Server::start_with_log(&[("TRINITY_LOG", "debug")]).await;
    let config = json!({"name": "scout", "runtime": "demo", "github_repo": remote.url});
    server.post("/api/agents", config).await.expect(201);
    let failure = async |reason: &str| {
        let failed = server.until_phase("scout", "failed").await;
        let failure = &failed["failure"];
        assert_eq!(failure["step"], "repository", "{failed}");
        let error = failure["error"].as_str().unwrap();
        assert!(error.contains(&remote.url) && error.contains(reason), "{error}");
        error.to_owned()
    };
    failure("set the credential GIT_TOKEN").await;
    let wrong = "ghp_0000000000000000wrongQ";
    set_token(&server, wrong).await;
    server.post("/api/agents/scout/start", json!({})).await;
    let error = failure("check the credential GIT_TOKEN").await;
    assert!(!error.contains(wrong), "{error}");
    let workspace = workspace(&server, "scout").await;
    assert!(!workspace.join(".git").exists());

    set_token(&server, TOKEN).await;
    let set = json!({"repository": remote.url, "branch": "nowhere"});
    server.put(GIT, set).await.expect(200);
    server.post("/api/agents/scout/start", json!({})).await;
    failure("nowhere").await;
    server.put(GIT, json!({"repository": remote.url})).await.expect(200);
    server.post("/api/agents/scout/start", json!({})).await.expect(200);
    server.until_phase("scout", "running").await;
    assert_eq!(std::fs::read_to_string(workspace.join("README")).unwrap(), "one");

    // The same over the API: what was right may be so no longer.
    set_token(&server, wrong).await;
    let error = refused(&server, "pull").await;
    assert!(error.contains("check the credential GIT_TOKEN") && !error.contains(wrong), "{error}");
    assert_stored_nowhere(&server, &log, &[TOKEN, wrong]).await;
    server.audit().await;
}

#[tokio::test]
async fn what_has_diverged_is_left_to_the_agent_and_nothing_is_lost() {
    let remote = Remote::with(&[("file", "one"), ("other", "x")]).await;
    let server = Server::start().await;
    let workspace = running_on(&server, &remote).await;
    run(&server, &["exec echo mine > file"]).await;
    remote.commit(&[("file", "theirs")], "theirs");
    // What is not recorded stands in the way.
    let error = refused(&server, "pull").await;
    assert!(error.contains("file"), "{error}");
    assert_eq!(std::fs::read_to_string(workspace.join("file")).unwrap(), "mine\n");

    let made = post(&server, "commit", json!({"message": "mine"})).await;
    let error = refused(&server, "pull").await;
    assert!(error.contains("diverged") && error.contains("not there: 1"), "{error}");
    let error = refused(&server, "push").await;
    assert!(error.contains("pull first"), "{error}");
    let status = server.get(&format!("{GIT}/status")).await.expect(200);
    let told = ["commit", "ahead", "behind"].map(|field| status[field].clone());
    assert_eq!(json!(told), json!([made["commit"], 1, 1]), "{status}");
    assert_eq!(std::fs::read_to_string(workspace.join("file")).unwrap(), "mine\n");
    assert_eq!(remote.git(&["show", "main:file"]), "theirs");

    run(&server, &["exec git -c user.name=a -c user.email=a@b merge -q -X ours origin/main"]).await;
    post(&server, "push", json!({})).await;
    assert_eq!(remote.git(&["show", "main:file"]), "mine");
    run(&server, &["exec git switch -q -c elsewhere"]).await;
    for verb in ["pull", "push"] {
        let error = refused(&server, verb).await;
        assert!(error.contains("elsewhere"), "{error}");
    }
}

#[tokio::test]
async fn no_hook_runs_and_no_credential_is_committed_or_pushed() {
    let remote = Remote::with(&[("README", "one")]).await;
    let server = Server::start().await;
    let workspace = running_on(&server, &remote).await;
    let names = "pre-commit commit-msg post-commit post-merge post-checkout pre-push";
    let hooks = format!(
        "exec mkdir -p .git/hooks && for hook in {names}; do \
         printf '#!/bin/sh\\ntouch \"$HOME/ran-%s\"' $hook > .git/hooks/$hook; \
         chmod +x .git/hooks/$hook; done; echo made > made; git add -f .env"
    );
    run(&server, &[&hooks]).await;
    remote.commit(&[("theirs", "x")], "theirs");
    post(&server, "pull", json!({})).await;
    post(&server, "commit", json!({"message": "mine"})).await;
    post(&server, "push", json!({})).await;
    let ran = std::fs::read_dir(workspace.join(".home")).unwrap();
    let ran: Vec<_> = ran.map(|entry| entry.unwrap().file_name()).collect();
    assert!(!ran.iter().any(|name| name.to_str().unwrap().starts_with("ran-")), "{ran:?}");
    assert!(remote.has("made") && !remote.has(".env"));
    assert!(workspace.join(".env").exists());

    // What the agent has done itself is not sent on.
    let own = "exec git add -f .env && \
         git -c core.hooksPath=/dev/null -c user.name=a -c user.email=a@b commit -q -m oops";
    run(&server, &[own]).await;
    let before = remote.sha256();
    let error = refused(&server, "push").await;
    assert!(error.contains(".env") && error.contains("credentials"), "{error}");
    assert_eq!(remote.sha256(), before);
}

/// The marks that something planted has left.
fn marks(workspace: &Path) -> Vec<String> {
    let names = std::fs::read_dir(workspace).unwrap().map(|entry| entry.unwrap().file_name());
    names.filter_map(|name| name.into_string().ok()).filter(|n| n.starts_with("ran-")).collect()
}

#[tokio::test]
async fn what_a_run_has_planted_changes_nothing_when_the_owner_uses_git() {
    let remote = Remote::with(&[("README", "one"), ("b", "one")]).await;
    let server = Server::start().await;
    let workspace = running_on(&server, &remote).await;
    run(&server, &[PLANT]).await;
    run(&server, &[&format!("exec {TOUCH} && git status && touch README && git add README")]).await;
    let own = marks(&workspace);
    assert!(own.contains(&"ran-clean".into()) && own.contains(&"ran-inside".into()), "{own:?}");

    // Nothing of the repository's own runs, in any mode.
    run(
        &server,
        &["exec git update-index --force-remove inside && rm -rf inside ran-* && touch README"],
    )
    .await;
    remote.commit(&[("README", "two"), ("b", "two"), ("c", "two")], "theirs");
    assert_eq!(changes(&server).await, ["?? CLAUDE.md"]);
    post(&server, "pull", json!({})).await;
    for name in ["README", "b", "c"] {
        assert_eq!(std::fs::read_to_string(workspace.join(name)).unwrap(), "two");
    }
    run(&server, &["exec echo mine > mine"]).await;
    post(&server, "commit", json!({"message": "mine"})).await;
    post(&server, "push", json!({})).await;
    assert_eq!(remote.git(&["show", "main:mine"]), "mine");
    assert_eq!(marks(&workspace), Vec::<String>::new());
}

#[tokio::test]
async fn in_read_only_mode_git_changes_nothing_but_its_own_folder() {
    let remote = Remote::with(&[("README", "one")]).await;
    let server = Server::start().await;
    let workspace = running_on(&server, &remote).await;
    run(&server, &[PLANT]).await;
    run(&server, &[&format!("exec {TOUCH}")]).await;
    let read_only = json!({"enabled": true});
    server.put("/api/agents/scout/read-only", read_only).await.expect(200);
    assert_eq!(changes(&server).await, ["A. inside", "?? CLAUDE.md"]);
    post(&server, "commit", json!({"message": "mine"})).await;
    post(&server, "push", json!({})).await;
    remote.commit(&[("theirs", "two")], "theirs");
    post(&server, "pull", json!({})).await;
    assert_eq!(std::fs::read_to_string(workspace.join("theirs")).unwrap(), "two");
    assert_eq!(marks(&workspace), Vec::<String>::new());
    server.audit().await;
}

#[tokio::test]
async fn a_read_only_workspace_that_is_no_repository_stays_one_that_can_become_it() {
    let remote = Remote::with(&[("README", "one")]).await;
    let server = Server::start().await;
    server.agent("scout").await;
    server.put("/api/agents/scout/read-only", json!({"enabled": true})).await.expect(200);
    server.put(GIT, json!({"repository": remote.url})).await.expect(200);
    set_token(&server, TOKEN).await;
    let error = refused(&server, "commit").await;
    assert!(error.contains("pull to clone"), "{error}");
    assert_eq!(post(&server, "pull", json!({})).await["changed"], true);
    assert_eq!(changes(&server).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_workspace_that_is_a_repository_stays_as_it_is_and_an_empty_one_is_filled() {
    let remote = Remote::empty().await;
    let server = Server::start().await;
    server.agent("scout").await;
    for body in [
        json!({"repository": "https://me:secret@example.test/r"}),
        json!({"repository": "/etc"}),
        json!({"repository": remote.url, "branch": "-f"}),
    ] {
        server.put(GIT, body).await.problem(422, "invalid-field");
    }
    let body = json!({"name": "other", "github_branch": "main"});
    server.post("/api/agents", body).await.problem(422, "invalid-field");
    let error = refused(&server, "pull").await;
    assert!(error.contains("PUT /api/agents/scout/git"), "{error}");
    server.put(GIT, json!({"repository": remote.url})).await.expect(200);
    let error = refused(&server, "commit").await;
    assert!(error.contains("pull to clone"), "{error}");

    // An empty repository is one too: the first commit comes from here.
    set_token(&server, TOKEN).await;
    run(&server, &["exec echo mine > file"]).await;
    let pulled = post(&server, "pull", json!({})).await;
    assert_eq!((&pulled["changed"], &pulled["commit"]), (&json!(false), &Value::Null));
    let error = refused(&server, "push").await;
    assert!(error.contains("commit first"), "{error}");
    post(&server, "commit", json!({"message": "first"})).await;
    post(&server, "push", json!({})).await;
    assert_eq!(remote.git(&["show", "main:file"]), "mine");

    let other = Remote::with(&[("theirs", "x")]).await;
    server.put(GIT, json!({"repository": other.url})).await.expect(200);
    server.post("/api/agents/scout/stop", json!({})).await.expect(200);
    server.post("/api/agents/scout/start", json!({})).await.expect(200);
    let said = run(&server, &["exec git log --format=%s; ls"]).await;
    assert!(said.contains("first") && !said.contains("theirs"), "{said}");
    let error = refused(&server, "pull").await;
    assert!(error.contains("diverged"), "{error}");
}

#[tokio::test]
async fn a_repository_is_taken_away_and_the_workspace_keeps_what_it_has() {
    let remote = Remote::with(&[("README", "one")]).await;
    let server = Server::start().await;
    let workspace = running_on(&server, &remote).await;
    run(&server, &["exec echo mine > file"]).await;
    let before = remote.sha256();
    let stale = server.request(reqwest::Method::DELETE, GIT).header("if-match", "\"v1\"");
    server.try_send(stale).await.unwrap().problem(412, "precondition-failed");
    for _ in 0..2 {
        let gone = server.delete(GIT).await.expect(200);
        assert_eq!((&gone["repository"], &gone["branch"]), (&Value::Null, &Value::Null), "{gone}");
    }
    let agent = server.get("/api/agents/scout").await.expect(200);
    assert_eq!(agent["git_sync"], Value::Null, "{agent}");
    for verb in ["pull", "commit", "push"] {
        let error = refused(&server, verb).await;
        assert!(error.contains("has no repository"), "{error}");
    }
    server.get(&format!("{GIT}/status")).await.problem(409, "conflict");
    // Nor is it cloned, or asked for anything, by the next start.
    for (verb, phase) in [("stop", "stopped"), ("start", "running")] {
        server.post(&format!("/api/agents/scout/{verb}"), json!({})).await.expect(200);
        server.until_phase("scout", phase).await;
    }
    let said = run(&server, &["exec cat README file; git rev-parse HEAD"]).await;
    let commit = remote.git(&["rev-parse", "main"]);
    assert!(said.contains("one") && said.contains("mine") && said.contains(&commit), "{said}");
    let config = std::fs::read_to_string(workspace.join(".git/config")).unwrap();
    assert!(!config.contains(TOKEN), "{config}");
    assert_eq!(remote.sha256(), before);
    let events = server.events().await;
    assert_eq!(events.iter().filter(|event| event["type"] == "GitSyncRemoved").count(), 1);

    // What is there goes on where it was, once the repository is back.
    server.put(GIT, json!({"repository": remote.url})).await.expect(200);
    assert_eq!(changes(&server).await, ["?? CLAUDE.md", "?? file"]);
    server.audit().await;
}

#[tokio::test]
async fn an_agent_whose_clone_fails_starts_without_its_repository() {
    let remote = Remote::with(&[("README", "one")]).await;
    let server = Server::start().await;
    let config = json!({"name": "scout", "runtime": "demo", "github_repo": remote.url});
    server.post("/api/agents", config).await.expect(201);
    server.until_phase("scout", "failed").await;
    server.delete(GIT).await.expect(200);
    server.post("/api/agents/scout/start", json!({})).await.expect(200);
    server.until_phase("scout", "running").await;
    assert!(!workspace(&server, "scout").await.join(".git").exists());
    server.audit().await;
}

/// Everything below a folder that is named like the run of an errand.
fn errands(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let found = entries.filter(|path| path.is_dir() && !path.is_symlink()).flat_map(|path| {
        let is_errand = path.file_name().unwrap().to_str().unwrap().starts_with("errand-");
        if is_errand { vec![path] } else { errands(&path) }
    });
    found.collect()
}

#[tokio::test]
async fn what_a_server_that_died_was_waiting_for_is_ended_and_forgotten() {
    let remote = Remote::with(&[("README", "one")]).await;
    let mut server = Server::start().await;
    running_on(&server, &remote).await;
    let agents = server.data_dir.join("agents");
    assert_eq!(errands(&agents), Vec::<PathBuf>::new(), "the clone is forgotten");
    remote.fall_silent();
    let pull = server.request(reqwest::Method::POST, &format!("{GIT}/pull"));
    let pull = tokio::spawn(pull.json(&json!({})).send());
    until("the repository is asked", async || (remote.waiting() > 0).then_some(())).await;
    assert_eq!(errands(&agents).len(), 1);
    let busy = refused(&server, "push").await;
    assert!(busy.contains("at work"), "{busy}");
    server.kill().await;
    assert!(pull.await.unwrap().is_err());
    let id = errands(&agents)[0].file_name().unwrap().to_str().unwrap().to_owned();
    assert!(!Server::processes(&id).is_empty(), "it goes on without the server");
    server.start_again().await;
    until("nothing is left of it", async || errands(&agents).is_empty().then_some(())).await;
    Server::until_gone(&id).await;
    run(&server, &["say still here"]).await;
    let executions = server.get("/api/agents/scout/executions").await.expect(200);
    assert_eq!(executions.as_array().unwrap().len(), 1, "{executions}");
    server.audit().await;
}

#[tokio::test]
async fn the_command_line_sets_shows_commits_and_pushes() {
    let remote = Remote::with(&[("README", "one")]).await;
    let server = Server::start().await;
    let user = User::of(&server);
    let create = ["agent", "create", "scout", "--runtime", "demo", "--no-start", "--github-repo"];
    user.run(&[&create[..], &[&remote.url]].concat()).await.exits(0);
    user.run_with_input(&["credential", "set", "scout", "GIT_TOKEN"], TOKEN).await.exits(0);
    user.run(&["agent", "start", "scout"]).await.exits(0);
    let shown = user.run(&["agent", "git", "show", "scout", "--text"]).await.exits(0).stdout;
    assert_eq!(shown, format!("scout: {}, branch main\n", remote.url));
    std::fs::write(workspace(&server, "scout").await.join("README"), "two").unwrap();
    let status = user.run(&["agent", "git", "status", "scout", "--text"]).await.exits(0).stdout;
    assert!(status.contains("0 to push") && status.contains("README"), "{status}");
    let commit = ["agent", "git", "commit", "scout", "-m", "Change it", "--text"];
    let done = user.run(&commit).await.exits(0).stdout;
    assert!(done.contains("committed, at "), "{done}");
    let done = user.run(&["agent", "git", "push", "scout", "--json"]).await.exits(0).json();
    assert_eq!(done["commit"], remote.git(&["rev-parse", "main"]));
    let done = user.run(&["agent", "git", "pull", "scout", "--text"]).await.exits(0).stdout;
    assert!(done.contains("nothing to do"), "{done}");
    user.run(&["agent", "git", "set", "scout", "nowhere"]).await.exits(2).says("https://");
    let set = ["agent", "git", "set", "scout", &remote.url, "--branch", "next"];
    assert_eq!(user.run(&set).await.exits(0).json()["branch"], "next");
    user.run(&["agent", "git", "push", "scout"]).await.exits(5).says("next");
    let none = user.run(&["agent", "git", "unset", "scout", "--text"]).await.exits(0).stdout;
    assert_eq!(none, "scout has no repository\n");
    user.run(&["agent", "git", "push", "scout"]).await.exits(5).says("has no repository");
}
