//! Agents: creation, lists, life cycle, settings.

use reqwest::Method;
use serde_json::{Value, json};
use trinity::commands::reports::LifeRef;
use trinity::domain::agent::Phase;

use crate::support::{Client, TestApp, until};

async fn create(client: &Client, body: Value) -> crate::support::Answer {
    client.post("/api/agents", body).await
}

#[tokio::test]
async fn a_created_agent_is_listed_and_shown_at_once() {
    let t = TestApp::start().await;
    let made = create(&t.admin(), json!({"name": "scout", "runtime": "demo"})).await;
    assert_eq!(made.header("location"), Some("/api/agents/scout"));
    let position = made.position();
    let made = made.expect(201);
    assert_eq!((&made["status"], &made["phase"]), (&json!("stopped"), &json!("creating")));
    assert_eq!(made["owner"], "admin");
    assert_eq!(made["slots"], json!({"active": 0, "max": 3, "queued": 0}));
    let list = t.admin().get("/api/agents").await;
    assert!(list.position() >= position);
    assert_eq!(list.expect(200), json!([made]));
    let detail = t.admin().get("/api/agents/scout").await.expect(200);
    assert_eq!(detail["name"], "scout");
    assert_eq!((&detail["can_delete"], &detail["shares"]), (&json!(true), &json!([])));
}

#[tokio::test]
async fn lists_are_plain_arrays_whose_link_leads_on() {
    let t = TestApp::start().await;
    for name in ["a", "b", "c", "d", "e"] {
        t.create_agent(name).await;
    }
    let (mut names, mut path) = (Vec::new(), "/api/agents?limit=2".to_owned());
    loop {
        let page = t.admin().get(&path).await;
        let link = page.header("link").map(str::to_owned);
        let page = page.expect(200);
        names.extend(page.as_array().unwrap().iter().map(|agent| agent["name"].clone()));
        let Some(link) = link else { break };
        assert!(link.ends_with("; rel=\"next\""), "{link}");
        path = link[1..link.find('>').unwrap()].to_owned();
    }
    assert_eq!(names, ["e", "d", "c", "b", "a"]);
}

#[tokio::test]
async fn a_bad_name_comes_back_with_a_good_one() {
    let t = TestApp::start().await;
    let bad = create(&t.admin(), json!({"name": "My Scout!"})).await.problem(400, "invalid-name");
    assert_eq!(bad["suggestion"], "my-scout");
    assert_eq!(bad["errors"][0]["pointer"], "/name");
    for name in ["", "-", "a_b", "é", "slots", "trinity-system", &"a".repeat(64)] {
        create(&t.admin(), json!({"name": name})).await.problem(400, "invalid-name");
    }
    create(&t.admin(), json!({})).await.problem(422, "invalid-field");
}

#[tokio::test]
async fn what_only_containers_are_held_to_is_refused_elsewhere() {
    let t = TestApp::start().await;
    t.create_agent("held").await;
    let of_containers = [
        ("resources", json!({"cpu": "1", "memory": null}), "/cpu"),
        ("resources", json!({"cpu": null, "memory": "1g"}), "/memory"),
        ("capabilities", json!({"full_capabilities": true}), "/full_capabilities"),
    ];
    for (setting, value, pointer) in of_containers {
        let path = format!("/api/agents/held/{setting}");
        let refused = t.admin().put(&path, value).await.problem(422, "not-enforceable");
        assert_eq!(refused["errors"][0]["pointer"], pointer, "{refused}");
        assert!(refused["detail"].as_str().unwrap().contains("--agent-host"), "{refused}");
        let shown = t.admin().get(&path).await.expect(200);
        assert_eq!(shown["restart_needed"], false, "{shown}");
    }
}

#[tokio::test]
async fn a_name_is_taken_until_its_agent_is_gone() {
    let t = TestApp::start().await;
    let life = t.create_agent("scout").await;
    let body = || json!({"name": "scout", "runtime": "demo"});
    create(&t.admin(), body()).await.problem(409, "already-exists");
    t.admin().delete("/api/agents/scout?wait_ms=0").await.expect(202);
    create(&t.admin(), body()).await.problem(409, "already-exists");
    t.report_deleted(&life).await;
    create(&t.admin(), body()).await.expect(201);
}

#[tokio::test]
async fn values_out_of_range_and_settings_without_effect_are_refused() {
    let t = TestApp::start().await;
    let with = async |field: &str, value: Value| {
        let mut body = json!({"name": "scout", "runtime": "demo"});
        body[field] = value;
        create(&t.admin(), body).await
    };
    let cases = [
        ("max_parallel_tasks", json!(0), "invalid-field", "/max_parallel_tasks"),
        ("max_parallel_tasks", json!(33), "invalid-field", "/max_parallel_tasks"),
        ("max_parallel_tasks", json!("three"), "invalid-field", "/max_parallel_tasks"),
        ("execution_timeout_seconds", json!(9), "invalid-field", "/execution_timeout_seconds"),
        ("execution_timeout_seconds", json!(86_401), "invalid-field", "/execution_timeout_seconds"),
        ("runtime", json!("emacs"), "invalid-field", "/runtime"),
        ("model", json!("gemini-2.5-pro"), "invalid-field", "/model"),
        ("model", json!(""), "invalid-field", "/model"),
        ("tools", json!(["Bash(rm *)"]), "invalid-field", "/tools"),
        ("tools", json!(["run_shell_command"]), "invalid-field", "/tools"),
        ("custom_instructions", json!(" "), "invalid-field", "/custom_instructions"),
        ("custom_instructions", json!("x".repeat(32_769)), "invalid-field", "/custom_instructions"),
        ("resources", json!({"memory": "2g"}), "not-enforceable", "/resources/memory"),
        ("full_capabilities", json!(true), "not-enforceable", "/full_capabilities"),
    ];
    for (field, value, code, pointer) in cases {
        let refused = with(field, value).await.problem(422, code);
        assert_eq!(refused["errors"][0]["pointer"], pointer, "{refused}");
    }
    let gemini = async |field: &str, value: Value| {
        let body = json!({"name": "scout", "runtime": "gemini-cli", field: value});
        create(&t.admin(), body).await
    };
    for (field, value) in [("model", json!("sonnet-4.5")), ("tools", json!(["Bash"]))] {
        let refused = gemini(field, value).await.problem(422, "invalid-field");
        assert_eq!(refused["errors"][0]["pointer"], format!("/{field}"), "{refused}");
    }
    with("template", json!("no-such")).await.problem(400, "invalid-parameter");
    assert_eq!(t.admin().get("/api/agents").await.expect(200), json!([]));
}

#[tokio::test]
async fn an_unknown_field_is_refused_with_the_nearest_one_and_an_old_one_is_warned_about() {
    let t = TestApp::start().await;
    let body = json!({"name": "scout", "max_paralel_tasks": 1});
    let refused = create(&t.admin(), body).await.problem(422, "unknown-field");
    let detail = refused["errors"][0]["detail"].as_str().unwrap();
    assert!(detail.contains("max_paralel_tasks") && detail.contains("`max_parallel_tasks`"));
    let body = json!({"name": "scout", "runtime": "demo", "port": 2222});
    let made = create(&t.admin(), body).await;
    assert!(made.header("warning").unwrap().contains("port"), "{:?}", made.headers);
    made.expect(201);
    let plain = create(&t.admin(), json!({"name": "plain", "runtime": "demo"})).await;
    assert_eq!(plain.header("warning"), None);
}

#[tokio::test]
async fn creating_twice_under_one_key_is_creating_once() {
    let t = TestApp::start().await;
    let admin = t.admin().with_header("idempotency-key", "k1");
    let body = || json!({"name": "scout", "runtime": "demo"});
    let first = create(&admin, body()).await;
    assert_eq!(first.header("idempotent-replayed"), None);
    let again = create(&admin, json!({"runtime": "demo", "name": "scout"})).await;
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(again.position(), first.position());
    assert_eq!(again.expect(201), first.expect(201));
    let other = json!({"name": "scout", "runtime": "demo", "max_parallel_tasks": 1});
    create(&admin, other).await.problem(422, "idempotency-key-reused");
    create(&t.admin(), body()).await.problem(409, "already-exists");
    let empty = t.admin().with_header("idempotency-key", "");
    create(&empty, body()).await.problem(400, "malformed-request");
}

#[tokio::test]
async fn a_creation_repeated_when_its_agent_is_gone_says_so_and_shows_no_other() {
    let t = TestApp::start().await;
    let (one, two) = ["k1", "k2"].map(|key| t.admin().with_header("idempotency-key", key)).into();
    let body = || json!({"name": "scout", "runtime": "demo"});
    let made = create(&one, body()).await.expect(201);
    let incarnation = made["incarnation"].as_str().unwrap().parse().unwrap();
    let life = LifeRef { name: "scout".parse().unwrap(), incarnation };
    t.report_running(&life).await;
    t.admin().delete("/api/agents/scout?wait_ms=0").await.expect(202);
    assert_eq!(create(&one, body()).await.expect(201)["phase"], "deleting", "it is there still");
    t.report_deleted(&life).await;
    let gone = async || {
        let gone = create(&one, body()).await.problem(404, "not-found");
        assert_eq!(gone["incarnation"], made["incarnation"]);
        let detail = gone["detail"].as_str().unwrap();
        let left = &detail[detail.find("/api/").unwrap()..];
        t.admin().get(left).await.expect(200);
    };
    gone().await;
    let another = create(&two, body()).await.expect(201);
    assert_ne!(another["incarnation"], made["incarnation"]);
    gone().await;
    let again = create(&two, body()).await;
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(again.expect(201), another);
}

#[tokio::test]
async fn a_creation_is_repeated_even_when_its_template_is_gone() {
    let t = TestApp::start().await;
    let template = t.app.data_dir.join("templates/writer");
    std::fs::create_dir_all(&template).unwrap();
    let manifest = "description: Writes notes.\nruntime: demo\n";
    std::fs::write(template.join("template.yaml"), manifest).unwrap();
    let admin = t.admin().with_header("idempotency-key", "k1");
    let body = || json!({"name": "scribe", "template": "writer"});
    let made = create(&admin, body()).await.expect(201);
    std::fs::remove_dir_all(&template).unwrap();
    let again = create(&admin, body()).await;
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(again.expect(201), made);
    let other = json!({"name": "scribe", "template": "writer", "type": "other"});
    create(&admin, other).await.problem(400, "invalid-parameter");
    create(&t.admin(), body()).await.problem(400, "invalid-parameter");
}

#[tokio::test]
async fn starting_twice_is_a_no_op() {
    let t = TestApp::start().await;
    t.running_agent("scout", 1).await;
    for _ in 0..2 {
        let started = t.admin().post("/api/agents/scout/start", json!({})).await.expect(200);
        assert_eq!((&started["status"], &started["phase"]), (&json!("running"), &json!("running")));
    }
    let events = t.agent_events("scout").await;
    let requests = events.iter().filter(|kind| *kind == "AgentStartRequested").count();
    assert_eq!(requests, 1, "{events:?}");
}

#[tokio::test]
async fn stopping_answers_with_the_state_reached_in_time() {
    let t = TestApp::start().await;
    let life = t.running_agent("scout", 1).await;
    let slow = t.admin().post("/api/agents/scout/stop?wait_ms=0", json!({})).await.expect(202);
    assert_eq!(slow["phase"], "stopping");
    let admin = t.admin();
    let (stopped, ()) = tokio::join!(
        admin.send(Method::POST, "/api/agents/scout/stop", None),
        t.report_stopped(&life),
    );
    let stopped = stopped.expect(200);
    assert_eq!((&stopped["status"], &stopped["phase"]), (&json!("stopped"), &json!("stopped")));
    let shown = t.admin().get("/api/agents/scout").await.expect(200);
    assert_eq!(shown["phase"], "stopped");
}

#[tokio::test]
async fn a_start_that_fails_says_at_which_step() {
    use trinity::commands::{Cause, reports};
    use trinity::domain::agent::Step;
    let t = TestApp::start().await;
    let body = json!({"name": "scout", "runtime": "demo"});
    let made = t.admin().post("/api/agents?start=false", body).await.expect(201);
    let incarnation = made["incarnation"].as_str().unwrap().parse().unwrap();
    let life = LifeRef { name: "scout".parse().unwrap(), incarnation };
    let cause = Cause::of(&t.app.log.event(1).await.unwrap().unwrap());
    let error = "no space left".to_owned();
    let failed = reports::provision_failed(&t.app.log, &life, Step::Volume, error, &cause);
    let admin = t.admin();
    let start = async {
        // The request is in the log before its failure is reported.
        until("the start is asked for", async || {
            let agent = t.agent(&life.name).await;
            agent.life.filter(|life| life.start_wanted).map(|_| ())
        })
        .await;
        failed.await.unwrap();
    };
    let (answer, ()) = tokio::join!(admin.post("/api/agents/scout/start", json!({})), start);
    let problem = answer.problem(503, "agent-not-running");
    assert_eq!(problem["step"], "volume");
    assert!(problem["detail"].as_str().unwrap().contains("no space left"));
    let shown = t.admin().get("/api/agents/scout").await.expect(200);
    assert_eq!(shown["phase"], "failed");
    assert_eq!(shown["failure"], json!({"step": "volume", "error": "no space left"}));
}

#[tokio::test]
async fn a_deleted_agent_is_not_found() {
    let t = TestApp::start().await;
    let life = t.running_agent("scout", 1).await;
    let admin = t.admin();
    let gone = async {
        until("the deletion is asked for", async || {
            (t.agent(&life.name).await.phase == Phase::Deleting).then_some(())
        })
        .await;
        t.report_deleted(&life).await;
    };
    let (deleted, ()) = tokio::join!(admin.delete("/api/agents/scout"), gone);
    assert!(deleted.expect(200)["message"].as_str().unwrap().contains("deleted"));
    for path in ["", "/queue", "/capacity", "/executions", "/activities"] {
        let path = format!("/api/agents/scout{path}");
        t.admin().get(&path).await.problem(404, "not-found");
    }
    t.admin().delete("/api/agents/scout").await.problem(404, "not-found");
    assert_eq!(t.admin().get("/api/agents").await.expect(200), json!([]));
}

#[tokio::test]
async fn settings_are_shown_as_they_were_set() {
    let t = TestApp::start().await;
    t.running_agent("scout", 1).await;
    let cases = [
        ("autonomy", "enabled", json!(true)),
        ("timeout", "execution_timeout_seconds", json!(60)),
        ("model", "model", json!("sonnet-4.5")),
        ("model", "model", json!(null)),
        ("capacity", "max_parallel_tasks", json!(5)),
    ];
    for (noun, field, value) in cases {
        let path = format!("/api/agents/scout/{noun}");
        let set = t.admin().put(&path, json!({field: value})).await.expect(200);
        assert_eq!(set[field], value, "{noun}: {set}");
        let shown = t.admin().get(&path).await.expect(200);
        assert_eq!(shown[field], value, "{noun}: {shown}");
        assert_eq!(shown["agent_name"], "scout");
    }
    let capacity = t.admin().get("/api/agents/scout/capacity").await.expect(200);
    assert_eq!((&capacity["active_slots"], &capacity["available_slots"]), (&json!(0), &json!(5)));
}

#[tokio::test]
async fn settings_out_of_range_are_refused_by_name() {
    let t = TestApp::start().await;
    t.running_agent("scout", 1).await;
    let cases = [
        ("capacity", json!({"max_parallel_tasks": 0}), "/max_parallel_tasks"),
        ("capacity", json!({"max_parallel_tasks": -1}), "/max_parallel_tasks"),
        ("timeout", json!({"execution_timeout_seconds": 5}), "/execution_timeout_seconds"),
        ("autonomy", json!({"enabled": "yes"}), "/enabled"),
        ("model", json!({"model": "gemini-2.5-pro"}), "/model"),
        ("autonomy", json!({}), "/enabled"),
    ];
    for (noun, body, pointer) in cases {
        let path = format!("/api/agents/scout/{noun}");
        let refused = t.admin().put(&path, body).await.problem(422, "invalid-field");
        assert_eq!(refused["errors"][0]["pointer"], pointer, "{refused}");
    }
}

#[tokio::test]
async fn the_queue_is_shown_in_order_and_cleared_on_request() {
    let t = TestApp::start().await;
    let life = t.running_agent("scout", 1).await;
    let mut ids = Vec::new();
    for message in ["first", "second", "third"] {
        ids.push(t.submit(&t.admin(), &life.name, message).await.to_string());
    }
    let queue = t.admin().get("/api/agents/scout/queue").await.expect(200);
    assert_eq!(queue["is_busy"], true);
    assert_eq!(queue["current_execution"], ids[0]);
    assert_eq!(queue["queue_length"], 2);
    let queued = queue["queued_executions"].as_array().unwrap();
    let places: Vec<_> = queued.iter().map(|q| q["execution_id"].as_str().unwrap()).collect();
    assert_eq!(places, ids[1..]);
    let slots = t.admin().get("/api/agents/slots").await.expect(200);
    assert_eq!(slots["agents"]["scout"], json!({"active": 1, "max": 1, "queued": 2}));
    let cleared = t.admin().post("/api/agents/scout/queue/clear", json!({})).await.expect(200);
    assert_eq!((&cleared["status"], &cleared["cleared_count"]), (&json!("cleared"), &json!(2)));
    let again = t.admin().send(Method::POST, "/api/agents/scout/queue/clear", None).await;
    assert_eq!(again.expect(200)["cleared_count"], 0);
    let released = t.admin().post("/api/agents/scout/queue/release", json!({})).await.expect(200);
    assert_eq!((&released["status"], &released["was_running"]), (&json!("released"), &json!(true)));
    let first = t.admin().get(&format!("/api/executions/{}", ids[0])).await.expect(200);
    assert_eq!(first["cancel_phase"], "requested");
}

#[tokio::test]
async fn who_asks_for_a_deleted_agent_learns_when_it_went_if_they_could_see_it() {
    let t = TestApp::start().await;
    let (ada, eve) = (t.user("ada").await, t.user("eve").await);
    let life = t.create_agent_as(&ada, "scout", json!({})).await;
    t.report_running(&life).await;
    ada.delete("/api/agents/scout?wait_ms=0").await.expect(202);
    t.report_deleted(&life).await;
    let me = ada.get("/api/users/me").await.expect(200);
    let by = format!("user:{}", me["id"].as_str().unwrap());
    for client in [&ada, &t.admin()] {
        let gone = client.get("/api/agents/scout").await.problem(404, "not-found");
        assert_eq!(gone["incarnation"], life.incarnation.to_string());
        assert_eq!(gone["deleted_by"], by, "not the server, which saw it go");
        let position = gone["position"].as_i64().unwrap();
        let event = t.app.log.event(position).await.unwrap().unwrap();
        assert_eq!(event.event.name(), "AgentDeleted");
        let at = event.recorded_at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
        assert_eq!(gone["deleted_at"], at);
        let old = format!("/api/agents/scout/executions?incarnation={}", life.incarnation);
        client.get(&old).await.expect(200);
    }
    let unknown = eve.get("/api/agents/scout").await.problem(404, "not-found");
    assert_eq!(unknown.get("deleted_at"), None);
    let never = eve.get("/api/agents/never").await.problem(404, "not-found");
    let detail = |problem: &Value| problem["detail"].as_str().unwrap().to_owned();
    assert_eq!(detail(&unknown), detail(&never).replace("never", "scout"));
    t.create_agent_as(&eve, "scout", json!({})).await;
    let another = ada.get("/api/agents/scout").await.problem(404, "not-found");
    assert_eq!(another.get("deleted_at"), None, "the name is another's now");
}

#[tokio::test]
async fn an_owner_lets_others_in_and_out_by_name() {
    let t = TestApp::start().await;
    let (ada, eve) = (t.user("ada").await, t.user("Eve").await);
    t.create_agent_as(&ada, "scout", json!({})).await;
    let share = "/api/agents/scout/share";
    eve.post(share, json!({"username": "eve"})).await.problem(404, "not-found");
    let shared = ada.post(share, json!({"username": "eve"})).await.expect(200);
    assert_eq!((&shared["status"], &shared["username"]), (&json!("shared"), &json!("Eve")));
    let again = ada.post(share, json!({"username": "EVE"})).await.expect(200);
    assert_eq!(again["status"], "already_shared");
    let shares = eve.get("/api/agents/scout/shares").await.expect(200);
    assert_eq!(shares["shares"][0]["username"], "Eve");
    eve.post(share, json!({"username": "ada"})).await.problem(403, "forbidden");
    let before = shared["position"].as_i64().unwrap() - 1;
    let earlier = ada.get(&format!("/api/agents/scout/shares?as_of={before}")).await.expect(200);
    assert_eq!(earlier["shares"], json!([]));

    for (name, why) in [("nobody", "there is no user"), ("ada", "owns this agent")] {
        let refused = ada.post(share, json!({"username": name})).await;
        let refused = refused.problem(422, "invalid-field");
        assert!(refused["detail"].as_str().unwrap().contains(why), "{refused}");
    }

    let unshare = |name: &str| format!("/api/agents/scout/share/{name}");
    let unshared = ada.delete(&unshare("eve")).await.expect(200);
    assert_eq!(unshared["status"], "unshared");
    assert_eq!(ada.delete(&unshare("eve")).await.expect(200)["status"], "not_shared");
    eve.get("/api/agents/scout").await.problem(404, "not-found");
}
