//! The real CLIs through the whole system, talking to mocks of their APIs on loopback.
//!
//! Not part of `make test`, because it installs the CLIs: `make test-clis`.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::credentials::workspace;
use crate::docker;
use crate::event_log::support::environment;
use crate::server::{Server, until};

/// What differs between the CLIs.
struct Cli {
    runtime: &'static str,
    command: &'static str,
    mock_url: &'static str,
    base_url: &'static str,
    key: &'static str,
    models: &'static str,
    shell: &'static str,
    reader: &'static str,
    writer: &'static str,
    /// Whether it has rules for single files.
    has_file_rules: bool,
    /// What the CLI calls the tool of [`MCP_SERVER`].
    mcp_tool: &'static str,
    unknown_session: &'static str,
}

const CLAUDE: Cli = Cli {
    runtime: "claude-code",
    command: "TRINITY_CLAUDE_COMMAND",
    mock_url: "TRINITY_TEST_ANTHROPIC_URL",
    base_url: "ANTHROPIC_BASE_URL",
    key: "ANTHROPIC_API_KEY",
    models: "claude-",
    shell: "Bash",
    reader: "Read",
    writer: "Write",
    has_file_rules: true,
    mcp_tool: "mcp__tides__height",
    unknown_session: "No conversation found with session ID",
};

const GEMINI: Cli = Cli {
    runtime: "gemini-cli",
    command: "TRINITY_GEMINI_COMMAND",
    mock_url: "TRINITY_TEST_GEMINI_URL",
    base_url: "GOOGLE_GEMINI_BASE_URL",
    key: "GEMINI_API_KEY",
    models: "gemini-",
    shell: "run_shell_command",
    reader: "read_file",
    writer: "write_file",
    has_file_rules: false,
    mcp_tool: "mcp_tides_height",
    unknown_session: "Error resuming session",
};

/// A server with one tool, whose answer nobody knows who has not its key.
const MCP_SERVER: &str = r#"
const { createHash } = require("node:crypto");
const tool = { name: "height", description: "Says how high the water stands.",
  inputSchema: { type: "object", properties: { place: { type: "string" } } } };
const digest = (place) => createHash("sha256").update(process.env.KEY + place).digest("hex");
const methods = {
  initialize: ({ protocolVersion }) => ({ protocolVersion, capabilities: { tools: {} },
    serverInfo: { name: "tides", version: "1.0.0" } }),
  "tools/list": () => ({ tools: [tool] }),
  "tools/call": (call) => ({ content: [{ type: "text", text: digest(call.arguments.place) }] }),
  ping: () => ({}),
};
require("node:readline").createInterface({ input: process.stdin }).on("line", (line) => {
  const { id, method, params } = JSON.parse(line);
  if (id === undefined) return;
  const known = methods[method];
  const answer = known
    ? { result: known(params) }
    : { error: { code: -32601, message: "there is no such method" } };
  console.log(JSON.stringify({ jsonrpc: "2.0", id, ...answer }));
});
"#;

macro_rules! with_both {
    ($($name:ident),* $(,)?) => {
        mod claude {
            $(#[tokio::test]
            #[ignore = "needs the real CLI: make test-clis"]
            async fn $name() {
                super::$name(&super::CLAUDE).await;
            })*
        }
        mod gemini {
            $(#[tokio::test]
            #[ignore = "needs the real CLI: make test-clis"]
            async fn $name() {
                super::$name(&super::GEMINI).await;
            })*
        }
    };
}

with_both!(
    a_task_with_a_tool_call_completes_with_its_cost_and_activities,
    a_tool_outside_the_list_is_refused_and_starts_no_process,
    the_tool_of_an_mcp_server_answers_and_only_a_task_that_may_use_it_is_told,
    in_read_only_mode_its_own_tools_write_only_where_they_may,
    a_stop_in_mid_stream_cancels_and_leaves_no_process,
    a_stop_in_the_middle_of_a_tool_leaves_no_process,
    a_run_outlives_the_server,
    a_session_goes_on_with_what_was_said,
    an_unknown_session_fails_clearly,
    a_wrong_key_fails_after_few_tries,
    instructions_and_options_reach_the_model,
    tasks_of_one_moment_do_not_disturb_each_other,
    an_agent_in_a_container_without_a_network_reaches_its_model_and_goes_on_in_another_one,
);

fn setting(name: &str) -> String {
    environment(name).unwrap_or_else(|| panic!("{name} is not set; run: make test-clis"))
}

impl Cli {
    /// A server whose agent `coder` runs the CLI.
    async fn server(&self) -> Server {
        self.server_with(json!({})).await
    }

    async fn server_with(&self, more: Value) -> Server {
        let (url, command) = (setting(self.mock_url), setting(self.command));
        let command = format!("env {}={url} {}=dummy {command}", self.base_url, self.key);
        let server = Server::start_with(&[(self.command, &command)]).await;
        let mut agent = json!({"name": "coder", "runtime": self.runtime});
        agent.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        server.agent_with(agent).await;
        server
    }

    /// Words that make the mock's model call the shell.
    fn run(&self, command: &str) -> String {
        format!("[[tool:{} {}]]", self.shell, json!({"command": command}))
    }

    /// Words that make the mock's model call the tool of the MCP server.
    fn ask_for_height(&self, place: &str) -> String {
        format!("[[tool:{} {}]]", self.mcp_tool, json!({"place": place}))
    }

    /// Submits a task that may use the shell; gives its id.
    async fn task(&self, server: &Server, message: &str) -> String {
        self.task_with(server, message, json!({"allowed_tools": [self.shell]})).await
    }

    async fn task_with(&self, server: &Server, message: &str, more: Value) -> String {
        self.task_of("coder", server, message, more).await
    }

    async fn task_of(&self, agent: &str, server: &Server, message: &str, more: Value) -> String {
        let mut body = json!({"message": message, "async_mode": true});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let accepted = server.post(&format!("/api/agents/{agent}/task"), body).await.expect(202);
        accepted["execution_id"].as_str().unwrap().to_owned()
    }

    /// The requests with `mark` that the mock has seen, as text.
    async fn requests_with(&self, mark: &str) -> Vec<String> {
        let log = reqwest::get(format!("{}/__log", setting(self.mock_url))).await.unwrap();
        let log = log.text().await.unwrap();
        log.lines().filter(|line| line.contains(mark)).map(str::to_owned).collect()
    }
}

async fn terminate(server: &Server, id: &str) {
    let path = format!("/api/agents/coder/executions/{id}/terminate");
    assert_eq!(server.post(&path, json!({})).await.expect(200)["status"], "cancelling");
}

/// Waits until a line of the output holds this text.
async fn until_line(server: &Server, id: &str, text: &str) {
    until(&format!("{id} says {text}"), async || {
        let lines = server.lines(id).await;
        lines.iter().any(|line| line.to_string().contains(text)).then_some(())
    })
    .await;
}

async fn a_task_with_a_tool_call_completes_with_its_cost_and_activities(cli: &Cli) {
    let server = cli.server().await;
    let id = cli.task(&server, &cli.run("echo from the shell")).await;
    let ended = server.until_ended(&id).await;
    assert_eq!(ended["status"], "completed", "{ended}");
    let response = ended["response"].as_str().unwrap();
    assert!(response.starts_with("tool said: ") && response.contains("from the shell"), "{ended}");
    assert!(ended["cost"].as_f64().unwrap() > 0.0, "{ended}");
    assert!(!ended["claude_session_id"].as_str().unwrap().is_empty());
    assert!(ended["model_used"].as_str().unwrap().starts_with(cli.models), "{ended}");
    let calls: Vec<Value> = until("the activities are there", async || {
        let path = "/api/agents/coder/activities?activity_type=tool_call";
        let page = server.get(path).await.expect(200);
        let items = page["activities"].as_array().unwrap().clone();
        items.iter().any(|call| call["activity_state"] == "completed").then_some(items)
    })
    .await;
    assert_eq!(calls.len(), 1, "{calls:?}");
    assert_eq!(calls[0]["details"]["name"], cli.shell, "{calls:?}");
    assert!(Server::processes(&id).is_empty());
    server.audit().await;
}

async fn a_tool_outside_the_list_is_refused_and_starts_no_process(cli: &Cli) {
    let server = cli.server_with(json!({"tools": [cli.reader]})).await;
    server.agent_with(json!({"name": "unrestricted", "runtime": cli.runtime})).await;
    let message = cli.run("touch made");
    let reader = json!({"allowed_tools": [cli.reader]});
    let cases = [
        ("coder", json!({})),
        ("coder", reader.clone()),
        ("coder", json!({"allowed_tools": []})),
        // Here the list of the task alone stands in the way.
        ("unrestricted", reader),
        ("unrestricted", json!({"allowed_tools": []})),
    ];
    for (agent, more) in cases {
        let made = workspace(&server, agent).await.join("made");
        let id = cli.task_of(agent, &server, &message, more).await;
        let ended = server.until_ended(&id).await;
        assert_eq!(ended["status"], "completed", "the model is told and goes on: {ended}");
        let lines = server.lines(&id).await;
        let refused = |line: &Value| {
            let blocks = line["blocks"].as_array().unwrap();
            blocks.iter().any(|block| block["is_error"] == true)
        };
        assert!(lines.iter().any(refused), "{lines:?}");
        assert!(!made.exists());
    }
    let wider = json!({"message": message, "allowed_tools": [cli.shell]});
    server.post("/api/agents/coder/task", wider).await.expect(422);
    let allowed = json!({"allowed_tools": [cli.shell]});
    let id = cli.task_of("unrestricted", &server, &message, allowed).await;
    assert_eq!(server.until_ended(&id).await["status"], "completed");
    assert!(workspace(&server, "unrestricted").await.join("made").exists(), "it could, if it may");
}

/// Gives an agent the MCP server; the answers of its tool are made with this key.
async fn give_mcp_server(server: &Server, agent: &str) -> String {
    let key = Uuid::new_v4().to_string();
    let credential = format!("/api/agents/{agent}/credentials/TIDES_KEY");
    server.put(&credential, json!({ "value": key })).await.expect(200);
    let tides =
        json!({"command": "node", "args": ["-e", MCP_SERVER], "env": {"KEY": "${TIDES_KEY}"}});
    let servers = json!({"mcp_servers": {"tides": tides}});
    server.put(&format!("/api/agents/{agent}/mcp-servers"), servers).await.expect(200);
    key
}

/// What the tool says of a place.
fn height(key: &str, place: &str) -> String {
    hex::encode(Sha256::digest(format!("{key}{place}")))
}

/// Has a task call the tool, and looks for its answer where the model sees it.
async fn call_mcp_server(cli: &Cli, server: &Server, agent: &str, key: &str, more: Value) {
    let place = Uuid::new_v4().to_string();
    let id = cli.task_of(agent, server, &cli.ask_for_height(&place), more).await;
    let ended = server.until_ended(&id).await;
    assert_eq!((&ended["status"], &ended["tool_call_count"]), (&json!("completed"), &json!(1)));
    assert!(ended["response"].as_str().unwrap().contains(&height(key, &place)), "{ended}");
    let asked = cli.requests_with(&place).await;
    assert!(asked.iter().any(|request| request.contains(&height(key, &place))), "it goes back");
}

async fn the_tool_of_an_mcp_server_answers_and_only_a_task_that_may_use_it_is_told(cli: &Cli) {
    let server = cli.server().await;
    let key = give_mcp_server(&server, "coder").await;
    for more in [json!({}), json!({"allowed_tools": ["mcp__tides__height"]})] {
        call_mcp_server(cli, &server, "coder", &key, more).await;
    }
    let place = Uuid::new_v4().to_string();
    let reader = json!({"allowed_tools": [cli.reader]});
    let id = cli.task_with(&server, &cli.ask_for_height(&place), reader).await;
    let ended = server.until_ended(&id).await;
    let asked = cli.requests_with(&place).await;
    let told = asked.iter().filter(|request| request.contains(&height(&key, &place))).count();
    assert!(!asked.is_empty() && told == 0, "{told} of {} requests: {ended}", asked.len());
    let path = "/api/agents/coder/activities?activity_type=tool_call";
    let calls = server.get(path).await.expect(200)["activities"].clone();
    assert!(calls.to_string().contains(cli.mcp_tool), "{calls}");
    server.audit().await;
}

async fn in_read_only_mode_its_own_tools_write_only_where_they_may(cli: &Cli) {
    let server = cli.server().await;
    let config = json!({"allowed_patterns": ["out/**"], "blocked_patterns": ["out/keep.txt"]});
    let body = json!({"enabled": true, "config": config});
    server.put("/api/agents/coder/read-only", body).await.expect(200);
    let workspace = workspace(&server, "coder").await;
    let is_written = async |path: &str| {
        let file = workspace.join(path);
        let input = json!({"file_path": file, "content": "made\n"});
        let id = server.task("coder", &format!("[[tool:{} {input}]]", cli.writer)).await;
        let record = server.until_ended(&id).await;
        assert_eq!(record["status"], "completed", "{path}: {record}");
        file.exists()
    };
    assert!(!is_written("elsewhere.txt").await, "the kernel refuses it");
    assert!(is_written("out/made.txt").await, "the folder is allowed");
    // Finer than folders are the rules of a CLI alone.
    assert_eq!(is_written("out/keep.txt").await, !cli.has_file_rules);
    server.audit().await;
}

async fn a_stop_in_mid_stream_cancels_and_leaves_no_process(cli: &Cli) {
    let server = cli.server().await;
    let id = cli.task(&server, "[[slow:600:0.1]]").await;
    until_line(&server, &id, "session_id").await;
    assert!(!Server::processes(&id).is_empty(), "the CLI runs");
    terminate(&server, &id).await;
    let ended = server.until_ended(&id).await;
    assert_eq!(ended["status"], "cancelled", "{ended}");
    assert!(Server::processes(&id).is_empty(), "cancelled means gone");
    let next = cli.task(&server, "hello").await;
    assert_eq!(server.until_ended(&next).await["response"], "mock reply: hello");
    server.audit().await;
}

/// Both CLIs start a tool in a session of its own, out of reach of a signal to their group.
async fn a_stop_in_the_middle_of_a_tool_leaves_no_process(cli: &Cli) {
    let server = cli.server().await;
    let id = cli.task(&server, &cli.run("trap '' INT TERM; echo up; sleep 600")).await;
    until_line(&server, &id, "tool_use").await;
    until("the tool runs", async || (Server::processes(&id).len() > 2).then_some(())).await;
    terminate(&server, &id).await;
    let ended = server.until_ended(&id).await;
    assert_eq!(ended["status"], "cancelled", "{ended}");
    assert!(Server::processes(&id).is_empty(), "cancelled means gone");
    server.audit().await;
}

async fn a_run_outlives_the_server(cli: &Cli) {
    let mut server = cli.server().await;
    let id = cli.task(&server, &cli.run("sleep 3; echo late")).await;
    until_line(&server, &id, "tool_use").await;
    server.crash().await;
    let ended = server.until_ended(&id).await;
    assert_eq!(ended["status"], "completed", "{ended}");
    assert!(ended["response"].as_str().unwrap().contains("late"), "{ended}");
    server.audit().await;
}

async fn a_session_goes_on_with_what_was_said(cli: &Cli) {
    let server = cli.server().await;
    let mark = Uuid::new_v4().to_string();
    let first = cli.task(&server, &format!("first {mark}")).await;
    let first = server.until_ended(&first).await;
    assert_eq!(first["status"], "completed", "{first}");
    let more = json!({"resume_session_id": first["claude_session_id"]});
    let second = cli.task_with(&server, "and then", more).await;
    let second = server.until_ended(&second).await;
    assert_eq!(second["response"], "mock reply: and then", "{second}");
    assert_eq!(second["claude_session_id"], first["claude_session_id"]);
    let requests = cli.requests_with(&mark).await;
    assert!(requests.iter().any(|request| request.contains("and then")), "history is sent");
}

/// With the image that `make agent-image` makes: what the model is asked comes by the gateway alone.
async fn an_agent_in_a_container_without_a_network_reaches_its_model_and_goes_on_in_another_one(
    cli: &Cli,
) {
    let [mark, instructions, skill] = [(); 3].map(|()| Uuid::new_v4().to_string());
    let library = tempfile::tempdir().unwrap();
    let folder = library.path().join("tides");
    std::fs::create_dir(&folder).unwrap();
    let text = format!("---\nname: tides\ndescription: Knows the tides of {skill}\n---\nLook.\n");
    std::fs::write(folder.join("SKILL.md"), text).unwrap();
    let (engine, upstream) = (docker::address(), setting(cli.mock_url));
    let server = Server::start_with(&[
        ("TRINITY_AGENT_HOST", "docker"),
        ("TRINITY_DOCKER_HOST", &engine),
        // Those of the image.
        ("TRINITY_CLAUDE_COMMAND", "claude"),
        ("TRINITY_GEMINI_COMMAND", "gemini"),
        ("TRINITY_ANTHROPIC_URL", &upstream),
        ("TRINITY_GEMINI_URL", &upstream),
        ("TRINITY_SKILLS_DIR", library.path().to_str().unwrap()),
    ])
    .await;
    // All tests share one engine, where a container has the name of its agent.
    let name = cli.runtime;
    let path = |below: &str| format!("/api/agents/{name}{below}");
    let agent = json!({"name": name, "runtime": cli.runtime, "custom_instructions": instructions});
    server.agent_with(agent).await;
    server.put(&path("/skills"), json!({"skills": ["tides"]})).await.expect(200);
    let credential = path(&format!("/credentials/{}", cli.key));
    server.put(&credential, json!({"value": "the-real-key-of-the-mock"})).await.expect(200);
    let container = server.get(&path("")).await.expect(200)["container_id"].clone();

    let message = format!("{mark} {}", cli.run("id -u"));
    // A list of tools would leave out the one by which skills are used.
    let first = cli.task_of(name, &server, &message, json!({})).await;
    let first = server.until_ended(&first).await;
    assert_eq!(first["status"], "completed", "{first}");
    let response = first["response"].as_str().unwrap();
    assert!(response.starts_with("tool said: ") && response.contains("10001"), "{first}");
    let asked = cli.requests_with(&mark).await.join("\n");
    assert!(asked.contains(&instructions), "the instructions reach the model");
    assert!(asked.contains(&skill), "the skill reaches the model");

    let limits = json!({"cpu": null, "memory": "3g"});
    let set = server.put(&path("/resources"), limits).await.expect(200);
    assert_eq!(set["restart_needed"], true, "{set}");
    for (verb, phase) in [("stop", "stopped"), ("start", "running")] {
        server.post(&path(&format!("/{verb}")), json!({})).await;
        server.until_phase(name, phase).await;
    }
    let agent = server.get(&path("")).await.expect(200);
    assert_ne!(agent["container_id"], container, "it lives in another container");
    let more = json!({"resume_session_id": first["claude_session_id"]});
    let second = cli.task_of(name, &server, "and then", more).await;
    let second = server.until_ended(&second).await;
    assert_eq!(second["response"], "mock reply: and then", "{second}");
    let asked = cli.requests_with(&mark).await;
    assert!(asked.iter().any(|request| request.contains("and then")), "history is sent");
    let key = give_mcp_server(&server, name).await;
    call_mcp_server(cli, &server, name, &key, json!({})).await;
    server.delete(&path("")).await;
    until("it is deleted", async || {
        (server.get(&path("")).await.status.as_u16() == 404).then_some(())
    })
    .await;
}

async fn an_unknown_session_fails_clearly(cli: &Cli) {
    let server = cli.server().await;
    let more = json!({"resume_session_id": Uuid::new_v4()});
    let id = cli.task_with(&server, "go on", more).await;
    let ended = server.until_ended(&id).await;
    assert_eq!((&ended["status"], &ended["error_class"]), (&json!("failed"), &json!("exit")));
    assert!(ended["error"].as_str().unwrap().contains(cli.unknown_session), "{ended}");
}

/// A CLI left to itself tries a wrong key again for minutes.
async fn a_wrong_key_fails_after_few_tries(cli: &Cli) {
    const TRIES_MAX: usize = 4;
    const FAILED_WITHIN: Duration = Duration::from_mins(1);
    let server = cli.server().await;
    let mark = Uuid::new_v4().to_string();
    let began = Instant::now();
    let id = cli.task(&server, &format!("{mark} [[error:401:authentication_error]]")).await;
    let ended = server.until_ended(&id).await;
    assert!(began.elapsed() < FAILED_WITHIN, "{:?}", began.elapsed());
    assert_eq!((&ended["status"], &ended["error_class"]), (&json!("failed"), &json!("api")));
    assert!(ended["error"].as_str().unwrap().contains("401"), "{ended}");
    let tries = cli.requests_with(&mark).await.len();
    assert!((1..=TRIES_MAX).contains(&tries), "{tries} tries");
}

async fn instructions_and_options_reach_the_model(cli: &Cli) {
    let [instructions, prompt, mark] = [(); 3].map(|()| Uuid::new_v4().to_string());
    let server = cli.server_with(json!({"custom_instructions": instructions})).await;
    let model = if cli.runtime == CLAUDE.runtime { "haiku-4.5" } else { "2.5-flash" };
    let message = format!("{mark} {} {} {}", cli.run("true"), cli.run("true"), cli.run("true"));
    let more = json!({"model": model, "system_prompt": prompt, "max_turns": 2,
        "allowed_tools": [cli.shell]});
    let id = cli.task_with(&server, &message, more).await;
    let ended = server.until_ended(&id).await;
    assert_eq!(
        (&ended["status"], &ended["error_class"]),
        (&json!("failed"), &json!("max_turns")),
        "{ended}"
    );
    assert_eq!(ended["tool_call_count"], 2, "{ended}");
    let used = ended["model_used"].as_str().unwrap();
    assert!(used.contains("haiku-4-5") || used == "gemini-2.5-flash", "{used}");
    let requests = cli.requests_with(&mark).await;
    let reached = |request: &&String| request.contains(&instructions) && request.contains(&prompt);
    assert!(requests.iter().any(|request| reached(&request)), "{} requests", requests.len());
}

async fn tasks_of_one_moment_do_not_disturb_each_other(cli: &Cli) {
    let server = cli.server().await;
    let mut sessions = Vec::new();
    let mut ids = Vec::new();
    for word in ["one", "two", "three"] {
        ids.push((word, cli.task(&server, word).await));
    }
    for (word, id) in ids {
        let ended = server.until_ended(&id).await;
        assert_eq!(ended["response"], format!("mock reply: {word}"), "{ended}");
        sessions.push((word, ended["claude_session_id"].clone()));
    }
    for (word, session) in sessions {
        let mark = Uuid::new_v4().to_string();
        let id = cli.task_with(&server, &mark, json!({"resume_session_id": session})).await;
        assert_eq!(server.until_ended(&id).await["status"], "completed");
        let requests = cli.requests_with(&mark).await;
        let others = ["one", "two", "three"].into_iter().filter(|other| *other != word);
        let said = |word: &str| requests[0].contains(&format!("mock reply: {word}"));
        assert!(said(word) && !others.into_iter().any(said), "{word} remembers itself alone");
    }
}
