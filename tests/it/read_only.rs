//! Read-only mode through the whole system, on whichever host the suite runs with: a shell of a run is
//! refused by the kernel, in allowed folders it is not, and the owner's own writes go on to work.

use reqwest::Method;
use serde_json::{Value, json};

use crate::cli::support::User;
use crate::docker;
use crate::server::Server;

const READ_ONLY: &str = "/api/agents/scout/read-only";

/// What a run says that tries these commands one by one, each with a word for its success.
async fn tried(server: &Server, commands: &[(&str, &str)]) -> String {
    let ops: Vec<_> = commands
        .iter()
        .map(|(word, command)| {
            format!("exec ({command}) 2>/dev/null && echo did-{word} || echo not-{word}")
        })
        .collect();
    let ops: Vec<_> = ops.iter().map(String::as_str).chain(["say done"]).collect();
    let id = server.script("scout", &ops).await;
    let record = server.until_ended(&id).await;
    assert_eq!(record["status"], "completed", "{record}");
    json!(server.lines(&id).await).to_string()
}

async fn set(server: &Server, enabled: bool, allowed: &[&str], blocked: &[&str]) -> Value {
    let config = json!({"allowed_patterns": allowed, "blocked_patterns": blocked});
    server.put(READ_ONLY, json!({"enabled": enabled, "config": config})).await.expect(200)
}

#[tokio::test]
async fn a_shell_is_refused_every_change_but_in_allowed_folders() {
    let server = Server::start().await;
    server.agent("scout").await;
    let said = tried(&server, &[("begin", "echo one > file && mkdir src && echo x > src/x")]).await;
    assert!(said.contains("did-begin"), "{said}");

    let allowed = ["out/**", "deep/er/", "notes.md"];
    let shown = set(&server, true, &allowed, &["src/**", "out/keep.txt"]).await;
    assert_eq!((&shown["enforced"], &shown["restart_needed"]), (&json!(true), &json!(false)));
    let patterns: Vec<_> = shown["patterns"].as_array().unwrap().iter().collect();
    let told: Vec<_> = patterns.iter().map(|p| (&p["pattern"], p["enforced"] == true)).collect();
    let expected = [
        ("out/**", true),
        ("deep/er/", true),
        ("notes.md", false),
        ("src/**", true),
        ("out/keep.txt", false),
    ];
    assert_eq!(json!(told), json!(expected), "{shown}");
    assert_eq!(server.get(READ_ONLY).await.expect(200)["config"], shown["config"]);

    let refused = [
        ("append", "echo more >> file"),
        ("truncate", ": > file"),
        ("create", "echo x > new"),
        ("folder", "mkdir folder"),
        ("remove", "rm -f file; test ! -e file"),
        ("move", "mv file out/file"),
        ("bring", "echo x > out/x && mv out/x brought"),
        ("below", "echo more >> src/x"),
        ("link", "ln -s file link"),
        ("hard-link", "ln file out/hard && echo more >> out/hard"),
        ("finer", "echo x > notes.md"),
        ("root", "cd / && echo more >> proc/self/cwd/../file || echo more >> \"$OLDPWD/file\""),
    ];
    let granted = [
        ("read", "grep -q one file && cat src/x"),
        ("out", "echo x > out/made && mkdir out/sub && echo y > out/sub/y && rm out/made"),
        ("deep", "echo x > deep/er/made"),
        ("home", "echo x > \"$HOME/made\""),
        ("tmp", "echo x > \"${TMPDIR:-/tmp}/made\""),
        ("null", "echo x > /dev/null"),
    ];
    let said = tried(&server, &[&refused[..], &granted[..]].concat()).await;
    for (word, _) in refused {
        assert!(said.contains(&format!("not-{word}")), "{word}: {said}");
    }
    for (word, _) in granted {
        assert!(said.contains(&format!("did-{word}")), "{word}: {said}");
    }

    // What the owner writes is no run's doing.
    let file = "/api/agents/scout/files?path=CLAUDE.md";
    let written = server.try_send(server.request(Method::PUT, file).body("Be brief.")).await;
    written.unwrap().expect(201);
    let secret = json!({ "value": "a-secret-value" });
    let set_one = server.put("/api/agents/scout/credentials/API_KEY", secret).await.expect(200);
    assert_eq!(set_one["in_force"], true, "{set_one}");
    let said = tried(&server, &[("see", "grep -q brief CLAUDE.md && test -e .env")]).await;
    assert!(said.contains("did-see"), "{said}");

    server.post("/api/agents/scout/stop", json!({})).await.expect(200);
    assert_eq!(server.get(READ_ONLY).await.expect(200)["enforced"], Value::Null);
    server.post("/api/agents/scout/start", json!({})).await.expect(200);
    let said = tried(&server, &[("again", "echo more >> file")]).await;
    assert!(said.contains("not-again"), "{said}");
    let off = server.put(READ_ONLY, json!({"enabled": false})).await.expect(200);
    assert_eq!(off["config"], shown["config"], "patterns stay");
    let said = tried(&server, &[("off", "echo more >> file")]).await;
    assert!(said.contains("did-off"), "{said}");
    server.audit().await;
}

#[tokio::test]
async fn a_link_that_a_run_has_left_opens_nothing() {
    let server = Server::start().await;
    server.agent("scout").await;
    let links = "mkdir src a && echo x > src/x && ln -s ../src a/b && ln -s src out";
    tried(&server, &[("begin", links)]).await;
    set(&server, true, &["a/"], &[]).await;
    let said =
        tried(&server, &[("inside", "echo more > a/file"), ("through", "echo more >> a/b/x")])
            .await;
    assert!(said.contains("did-inside") && said.contains("not-through"), "{said}");
    // A folder to be opened that is a link is none.
    for allowed in ["a/b/", "out/"] {
        set(&server, true, &[allowed], &[]).await;
        let id = server.script("scout", &["exec echo more >> src/x", "say done"]).await;
        let ended = server.until_ended(&id).await;
        let said = json!(server.lines(&id).await).to_string();
        assert_eq!(ended["status"], "failed", "{ended} {said}");
        assert!(ended["error"].as_str().unwrap().contains("folder"), "{ended}");
    }
    set(&server, false, &[], &[]).await;
    let said = tried(&server, &[("same", "test \"$(cat src/x)\" = x")]).await;
    assert!(said.contains("did-same"), "{said}");
}

#[tokio::test]
async fn an_agent_is_made_read_only_and_patterns_are_checked() {
    let server = Server::start().await;
    let read_only = json!({"enabled": true, "allowed_patterns": ["out/"]});
    server.agent_with(json!({"name": "scout", "runtime": "demo", "read_only": read_only})).await;
    let said = tried(&server, &[("file", "echo x > file"), ("out", "echo x > out/file")]).await;
    assert!(said.contains("not-file") && said.contains("did-out"), "{said}");
    for bad in ["../x", "/etc", "a,b", ""] {
        let config = json!({ "allowed_patterns": [bad] });
        let refused = server.put(READ_ONLY, json!({"enabled": true, "config": config})).await;
        let refused = refused.problem(422, "invalid-field");
        assert_eq!(refused["errors"][0]["pointer"], "/config", "{refused}");
    }
    let both = json!({"name": "both", "runtime": "demo", "full_capabilities": true,
        "read_only": {"enabled": true}});
    server.post("/api/agents", both).await.problem(422, "not-enforceable");
    let events = server.events().await;
    assert!(!events.iter().any(|event| event["type"] == "ReadOnlyChanged"), "nothing was changed");

    let user = User::of(&server);
    let shown = user.run(&["agent", "read-only", "scout", "--text"]).await.exits(0).stdout;
    assert_eq!(shown, "scout: cannot change its workspace; allowed out/\n");
    let words =
        ["agent", "read-only", "scout", "on", "--allow", "a/", "--block", "a/*.md", "--text"];
    let set = user.run(&words).await.exits(0).stdout;
    assert!(set.contains("allowed a/; blocked a/*.md (not enforced)"), "{set}");
    let off = user.run(&["agent", "read-only", "scout", "off", "--text"]).await.exits(0).stdout;
    assert!(off.starts_with("scout: can change"), "{off}");
}

#[tokio::test]
async fn in_a_container_no_run_speaks_to_its_supervisor() {
    if !docker::is_chosen() {
        return;
    }
    let server = Server::start().await;
    server.agent("scout").await;
    let ask = "printf 'GET /info HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n' | \
               timeout 5 /usr/local/bin/trinity-agent bridge /run/trinity/agent.sock | grep -q 200";
    let said = tried(&server, &[("asked", ask)]).await;
    assert!(said.contains("not-asked"), "{said}");
}
