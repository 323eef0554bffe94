//! Submitting tasks, and what waiting for them answers.

use reqwest::Method;
use serde_json::{Value, json};
use trinity::commands::agents;
use trinity::domain::execution::{ErrorClass, Execution, Status, Verdict};
use trinity::domain::{AgentName, ExecutionId};

use crate::support::{Answer, Client, TestApp, metadata, until};

const PATH: &str = "/api/agents/scout/task";

fn id_of(answer: &Value) -> ExecutionId {
    answer["execution_id"].as_str().unwrap().parse().unwrap()
}

/// Waits until somebody has submitted a task with that message.
async fn submitted(t: &TestApp, message: &str) -> ExecutionId {
    until("the task is submitted", async || {
        let list = t.admin().get("/api/executions?limit=100").await.expect(200);
        let found = list.as_array().unwrap().iter().find(|row| row["message"] == message)?;
        Some(found["id"].as_str().unwrap().parse().unwrap())
    })
    .await
}

async fn task(client: &Client, body: Value) -> Answer {
    client.post(PATH, body).await
}

fn later(message: &str) -> Value {
    json!({"message": message, "async_mode": true})
}

#[tokio::test]
async fn a_task_is_accepted_or_queued_with_its_place() {
    let t = TestApp::start().await;
    t.running_agent("scout", 1).await;
    let accepted = task(&t.admin(), later("one")).await;
    let location = accepted.header("location").unwrap().to_owned();
    let position = accepted.position();
    let accepted = accepted.expect(202);
    assert_eq!(accepted["status"], "accepted");
    assert_eq!(accepted["queue_position"], json!(null));
    assert_eq!(accepted["async_mode"], true);
    assert_eq!(accepted["position"], position);
    assert_eq!(location, format!("/api/agents/scout/executions/{}", id_of(&accepted)));
    let queued = task(&t.admin(), later("two")).await.expect(202);
    assert_eq!((&queued["status"], &queued["queue_position"]), (&json!("queued"), &json!(1)));
    let shown = t.admin().get(&location).await.expect(200);
    assert_eq!((&shown["status"], &shown["triggered_by"]), (&json!("pending"), &json!("manual")));
}

#[tokio::test]
async fn a_full_queue_says_when_to_come_back() {
    let t = TestApp::with(|settings| settings.queue_length_max = Some(1)).await;
    t.running_agent("scout", 1).await;
    for message in ["one", "two"] {
        task(&t.admin(), later(message)).await.expect(202);
    }
    let full = task(&t.admin(), later("three")).await;
    assert!(full.header("retry-after").is_some());
    full.problem(429, "queue-full");
}

#[tokio::test]
async fn an_agent_that_does_not_run_takes_no_task() {
    let t = TestApp::start().await;
    t.create_agent("scout").await;
    let refused = task(&t.admin(), later("one")).await;
    assert!(refused.header("retry-after").is_some());
    let refused = refused.problem(503, "agent-not-running");
    assert_eq!(refused["detail"], "agent `scout` is creating; try again once it runs");
    let life = t.running_agent("stopped", 1).await;
    t.admin().post("/api/agents/stopped/stop?wait_ms=0", json!({})).await.expect(202);
    t.report_stopped(&life).await;
    let refused = t.admin().post("/api/agents/stopped/task", later("one")).await;
    let refused = refused.problem(503, "agent-not-running");
    let advice = refused["detail"].as_str().unwrap();
    assert!(advice.contains("start it, then try again"), "{advice}");
    t.admin().post("/api/agents/nobody/task", later("one")).await.problem(404, "not-found");
}

#[tokio::test]
async fn bad_tasks_are_refused_by_the_field_that_is_wrong() {
    let t = TestApp::start().await;
    let more = json!({"tools": ["Read"], "execution_timeout_seconds": 60});
    let life = t.create_agent_as(&t.admin(), "scout", more).await;
    t.report_running(&life).await;
    let cases = [
        (json!({"message": ""}), "/message"),
        (json!({"message": " \n"}), "/message"),
        (json!({"message": 7}), "/message"),
        (json!({"message": null}), "/message"),
        (json!({"message": ["m"]}), "/message"),
        (json!({"message": "a\u{0}b"}), "/message"),
        (json!({}), "/message"),
        (json!({"message": "m", "timeout_seconds": 61}), "/timeout_seconds"),
        (json!({"message": "m", "timeout_seconds": 0}), "/timeout_seconds"),
        (json!({"message": "m", "timeout_seconds": -1}), "/timeout_seconds"),
        (json!({"message": "m", "max_turns": 0}), "/max_turns"),
        (json!({"message": "m", "model": "gemini-2.5-pro"}), "/model"),
        (json!({"message": "m", "allowed_tools": ["Bash"]}), "/allowed_tools"),
        (json!({"message": "m", "allowed_tools": ["Read", 1]}), "/allowed_tools/1"),
        (json!({"message": "m", "resume_session_id": "--help"}), "/resume_session_id"),
        (json!({"message": "m", "parent_execution_id": "nonsense"}), "/parent_execution_id"),
        (json!({"message": "m", "async_mode": "yes"}), "/async_mode"),
        (json!([]), ""),
    ];
    for (body, pointer) in cases {
        let refused = task(&t.admin(), body.clone()).await.problem(422, "invalid-field");
        assert_eq!(refused["errors"][0]["pointer"], pointer, "{body}: {refused}");
    }
    let misspelt = json!({"message": "m", "allowed_tols": ["Read"]});
    let refused = task(&t.admin(), misspelt).await.problem(422, "unknown-field");
    assert!(refused["detail"].as_str().unwrap().contains("`allowed_tools`"), "{refused}");
    let unknown = uuid::Uuid::now_v7().to_string();
    let body = json!({"message": "m", "parent_execution_id": unknown});
    task(&t.admin(), body).await.problem(422, "invalid-parent");
    let typo = t.admin().post("/api/agents/scout/task?asyncmode=1", later("m")).await;
    typo.problem(400, "unknown-parameter");
    assert_eq!(t.admin().get("/api/executions").await.expect(200), json!([]));
}

#[tokio::test]
async fn what_gemini_cli_does_not_have_is_refused() {
    let t = TestApp::start().await;
    let more = json!({"runtime": "gemini-cli"});
    let life = t.create_agent_as(&t.admin(), "scout", more).await;
    t.report_running(&life).await;
    let cases = [
        ("model", json!("sonnet"), "claude-code"),
        ("allowed_tools", json!(["read_file", "Bash"]), "run_shell_command"),
        ("allowed_tools", json!(["mcp__my_server"]), "must not hold _"),
        ("resume_session_id", json!("latest"), "claude_session_id"),
    ];
    for (field, value, hint) in cases {
        let body = json!({"message": "m", field: value});
        let refused = task(&t.admin(), body).await.problem(422, "invalid-field");
        assert_eq!(refused["errors"][0]["pointer"], format!("/{field}"), "{refused}");
        assert!(refused.to_string().contains(hint), "{refused}");
    }
    let fine = json!({"message": "m", "async_mode": true, "model": "2.5-pro",
        "allowed_tools": ["read_file"], "max_turns": 3, "system_prompt": "Be brief.",
        "resume_session_id": uuid::Uuid::new_v4()});
    task(&t.admin(), fine).await.expect(202);
}

#[tokio::test]
async fn a_message_has_a_mebibyte_and_a_body_eight() {
    let t = TestApp::start().await;
    t.running_agent("scout", 3).await;
    let mebibyte = 1 << 20;
    task(&t.admin(), later(&"x".repeat(mebibyte))).await.expect(202);
    // Each of these is six bytes of JSON.
    let escaped = later(&"\u{1}".repeat(mebibyte));
    task(&t.admin(), escaped).await.expect(202);
    let over = task(&t.admin(), later(&"x".repeat(mebibyte + 1))).await;
    let over = over.problem(422, "invalid-field");
    assert_eq!(over["errors"][0]["pointer"], "/message");
    let body = vec![b'x'; (8 << 20) + 1];
    let large = t.admin().send_raw(PATH, "application/json", body).await;
    large.problem(413, "body-too-large");
}

#[tokio::test]
async fn the_same_key_and_body_are_one_task_and_the_same_answer() {
    let t = TestApp::start().await;
    let life = t.running_agent("scout", 1).await;
    let admin = t.admin().with_header("idempotency-key", "k1");
    let first = task(&admin, later("one")).await;
    assert_eq!(first.header("idempotent-replayed"), None);
    let first = first.expect(202);
    t.complete(id_of(&first), "done").await;
    agents::request_stop(&t.app.log, &life, metadata()).await.unwrap();
    let again = task(&admin, later("one")).await;
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(again.expect(202), first);
    task(&admin, later("two")).await.problem(422, "idempotency-key-reused");
    // Another caller's key is another key.
    let ada = t.user("ada").await.with_header("idempotency-key", "k1");
    task(&ada, later("one")).await.problem(404, "not-found");
}

#[tokio::test]
async fn a_repeat_is_answered_as_one_whatever_its_agent_allows_since() {
    let t = TestApp::start().await;
    t.running_agent("scout", 1).await;
    let admin = t.admin().with_header("idempotency-key", "k1");
    let body =
        |message: &str| json!({"message": message, "async_mode": true, "allowed_tools": ["Bash"]});
    let first = task(&admin, body("one")).await.expect(202);
    t.admin().put("/api/agents/scout/tools", json!({"tools": ["Read"]})).await.expect(200);
    let again = task(&admin, body("one")).await;
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(again.expect(202), first);
    let other = t.admin().with_header("idempotency-key", "k2");
    for (client, message) in [(&admin, "two"), (&other, "one"), (&t.admin(), "one")] {
        let refused = task(client, body(message)).await.problem(422, "invalid-field");
        assert_eq!(refused["errors"][0]["pointer"], "/allowed_tools");
    }
}

/// The answer to a repeat of a synchronous task that has ended, under its key.
async fn repeated(client: &Client, message: &str) -> Answer {
    let again = task(client, json!({"message": message})).await;
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    again
}

#[tokio::test]
async fn a_synchronous_task_answers_with_what_can_be_read_at_once() {
    let t = TestApp::start().await;
    t.running_agent("scout", 1).await;
    let admin = t.admin();
    let world = async {
        let id = submitted(&t, "one").await;
        t.complete(id, "all done").await;
    };
    let (answer, ()) = tokio::join!(task(&admin, json!({"message": "one"})), world);
    let answer = answer.expect(200);
    assert_eq!((&answer["response"], &answer["status"]), (&json!("all done"), &json!("completed")));
    assert_eq!(answer["metadata"]["cost_usd"], 0.021);
    assert_eq!(answer["metadata"]["num_turns"], 2);
    assert_eq!(answer["execution_log"][0]["blocks"][0]["text"], "all done");
    let path = format!("/api/executions/{}", id_of(&answer));
    let row = t.admin().get(&path).await.expect(200);
    assert_eq!((&row["status"], &row["cost"]), (&json!("completed"), &json!(0.021)));
    let activities = t.admin().get("/api/agents/scout/activities").await.expect(200);
    let open = |activity: &&Value| activity["activity_state"] == "started";
    assert_eq!(activities["activities"].as_array().unwrap().iter().filter(open).count(), 0);
    assert_eq!(activities["count"], 2);
}

#[tokio::test]
async fn synchronous_tasks_that_do_not_end_well_say_how_and_which() {
    let t = TestApp::start().await;
    t.running_agent("scout", 3).await;
    let fails = |class, error: &str| Verdict::Failed { class, error: error.to_owned() };
    let cases = [
        ("broken", fails(ErrorClass::Exit, "exit code 3"), 502, "execution-failed"),
        ("slow", fails(ErrorClass::Timeout, "ran longer than 9 s"), 504, "execution-timeout"),
    ];
    for (message, verdict, status, code) in cases {
        let admin = t.admin().with_header("idempotency-key", message);
        let world = async {
            let id = submitted(&t, message).await;
            let grant = t.report_started(id).await;
            t.report_exit(grant, verdict, "partial").await;
            id
        };
        let (answer, id) = tokio::join!(task(&admin, json!({"message": message})), world);
        assert_eq!(answer.header("idempotent-replayed"), None);
        for answer in [answer, repeated(&admin, message).await] {
            let position = answer.position();
            let problem = answer.problem(status, code);
            assert_eq!(problem["execution_id"], id.to_string());
            assert_eq!(problem["position"], position);
            assert_eq!(problem["execution_status"], "failed");
            assert_eq!(problem["response"], "partial");
        }
    }
}

#[tokio::test]
async fn a_cancelled_synchronous_task_is_a_conflict() {
    let t = TestApp::start().await;
    t.running_agent("scout", 1).await;
    let admin = t.admin().with_header("idempotency-key", "k1");
    let world = async {
        let id = submitted(&t, "one").await;
        let grant = t.report_started(id).await;
        let path = format!("/api/agents/scout/executions/{id}/terminate");
        let asked = t.admin().post(&path, json!({})).await.expect(200);
        assert_eq!(asked["status"], "cancelling");
        t.report_exit(grant, Verdict::Completed, "late").await;
        id
    };
    let (answer, id) = tokio::join!(task(&admin, json!({"message": "one"})), world);
    assert_eq!(answer.header("idempotent-replayed"), None);
    for answer in [answer, repeated(&admin, "one").await] {
        let problem = answer.problem(409, "execution-cancelled");
        assert_eq!(problem["execution_id"], id.to_string());
    }
}

#[tokio::test]
async fn a_client_that_leaves_does_not_end_its_run() {
    let t = TestApp::start().await;
    t.running_agent("scout", 1).await;
    let admin = t.admin();
    let request = admin.request(Method::POST, PATH).json(&json!({"message": "one"}));
    let gone = tokio::spawn(request.send());
    let id = submitted(&t, "one").await;
    let grant = t.report_started(id).await;
    gone.abort();
    assert!(gone.await.unwrap_err().is_cancelled());
    t.report_exit(grant, Verdict::Completed, "done").await;
    let row = t.admin().get(&format!("/api/executions/{id}")).await.expect(200);
    assert_eq!((&row["status"], &row["response"]), (&json!("completed"), &json!("done")));
}

#[tokio::test]
async fn a_shutdown_lets_waiting_clients_go_and_their_runs_go_on() {
    let t = TestApp::start().await;
    t.running_agent("scout", 1).await;
    let admin = t.admin();
    let world = async {
        let id = submitted(&t, "one").await;
        t.app.shutdown.cancel();
        id
    };
    let (answer, id) = tokio::join!(task(&admin, json!({"message": "one"})), world);
    let problem = answer.problem(503, "not-ready");
    assert_eq!(problem["execution_id"], id.to_string());
    let execution = t.app.log.state::<Execution>(id).await.unwrap().state;
    assert_eq!(execution.status, Some(Status::Pending));
}

#[tokio::test]
async fn an_agent_calls_whom_it_was_granted_and_headers_do_not_matter() {
    let t = TestApp::start().await;
    let caller = t.running_agent("caller", 3).await;
    let callee = t.running_agent("scout", 3).await;
    let as_caller = t.as_agent(&caller).await;
    let denied = task(&as_caller, later("one")).await.problem(403, "permission_denied");
    assert_eq!((&denied["caller"], &denied["callee"]), (&json!("caller"), &json!("scout")));
    let disguised = as_caller.with_header("x-source-agent", "scout");
    task(&disguised, later("one")).await.problem(403, "permission_denied");
    t.grant(&caller, &callee).await;
    let taken = task(&as_caller, later("one")).await.expect(202);
    let row = t.admin().get(&format!("/api/executions/{}", id_of(&taken))).await.expect(200);
    assert_eq!((&row["triggered_by"], &row["source"]), (&json!("mcp"), &json!("agent")));
    assert_eq!(row["source_agent"], "caller");
}

#[tokio::test]
async fn a_synchronous_call_into_ones_own_full_chain_is_refused() {
    let t = TestApp::start().await;
    let life = t.running_agent("scout", 1).await;
    let name: AgentName = "scout".parse().unwrap();
    let parent = t.submit(&t.admin(), &name, "outer").await;
    t.report_started(parent).await;
    let scout = t.as_agent(&life).await;
    let body = json!({"message": "inner", "parent_execution_id": parent.to_string()});
    let refused = task(&scout, body).await.problem(409, "would-deadlock");
    assert!(refused["execution_id"].is_string());
    let mut asynchronous = later("inner");
    asynchronous["parent_execution_id"] = json!(parent.to_string());
    assert_eq!(task(&scout, asynchronous).await.expect(202)["status"], "queued");
}

#[tokio::test]
async fn a_stop_right_after_the_answer_finds_its_task() {
    let t = TestApp::start().await;
    t.running_agent("scout", 1).await;
    for _ in 0..5 {
        let taken = task(&t.admin(), later("one")).await.expect(202);
        let path = format!("/api/agents/scout/executions/{}/terminate", id_of(&taken));
        let ended = t.admin().send(Method::POST, &path, None).await.expect(200);
        let expected =
            if taken["status"] == "queued" { "cancelled_while_queued" } else { "cancelling" };
        assert_eq!(ended["status"], expected);
    }
}

#[tokio::test]
async fn when_the_log_is_away_nothing_is_taken_and_the_client_may_come_back() {
    let t = TestApp::start().await;
    t.running_agent("scout", 1).await;
    t.app.log.close().await;
    let away = task(&t.admin(), later("one")).await;
    assert!(away.header("retry-after").is_some());
    away.problem(503, "log-unavailable");
}
