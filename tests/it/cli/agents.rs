//! Agents, their settings and their queues.

use serde_json::json;

use super::support::User;
use crate::server::Server;

#[tokio::test]
async fn an_agent_lives_from_its_creation_to_its_deletion() {
    let server = Server::start().await;
    let user = User::of(&server);
    let nothing = user.run(&["agent", "ls", "--text"]).await.exits(0);
    assert_eq!(nothing.stdout, "");
    nothing.says("trinity agent create");

    let create = ["agent", "create", "scout", "--runtime", "demo", "--type", "research"];
    let made = user.run(&[&create[..], &["--capacity", "2", "--timeout", "60"]].concat()).await;
    let made = made.exits(0).json();
    assert_eq!((&made["name"], &made["phase"]), (&json!("scout"), &json!("running")));
    assert_eq!((&made["type"], &made["max_parallel_tasks"]), (&json!("research"), &json!(2)));
    user.run(&create).await.exits(5).says("exists").says("hint: ");

    let listed = user.run(&["agent", "ls"]).await.exits(0).json();
    assert_eq!(listed, server.get("/api/agents").await.expect(200), "the server's JSON, unchanged");
    let table = user.run(&["agent", "ls", "--text"]).await.exits(0).stdout;
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let mut lines = table.lines().map(words);
    let header = ["NAME", "STATUS", "RUNTIME", "SLOTS", "QUEUED", "OWNER"];
    assert_eq!(lines.next().unwrap(), header);
    assert_eq!(lines.next().unwrap()[..5], ["scout", "running", "demo", "0/2", "0"]);

    let shown = user.run(&["agent", "show", "scout", "--text"]).await.exits(0).stdout;
    assert!(shown.contains("research") && shown.contains("60 s"), "{shown}");

    for (verb, status) in [("stop", "stopped"), ("stop", "stopped"), ("start", "running")] {
        let done = user.run(&["agent", verb, "scout"]).await.exits(0).json();
        assert_eq!(done["status"], status, "{verb}");
    }
    user.run(&["agent", "delete", "scout", "--yes"]).await.exits(0);
    user.run(&["agent", "show", "scout"]).await.exits(4).says("hint: trinity agent ls");
}

#[tokio::test]
async fn a_new_agent_has_the_instructions_and_the_image_that_were_said() {
    let server = Server::start().await;
    let user = User::of(&server);
    let create = ["agent", "create", "--runtime", "demo", "--no-start"];
    let said = [&create[..], &["terse", "--custom-instructions", "Be brief."]].concat();
    let made = user.run(&said).await.exits(0).json();
    assert_eq!(made["custom_instructions"], "Be brief.");
    let piped = [&create[..], &["wordy", "--custom-instructions", "-"]].concat();
    let made = user.run_with_input(&piped, "Be long.\nAnd kind.\n").await.exits(0).json();
    assert_eq!(made["custom_instructions"], "Be long.\nAnd kind.\n");
    user.run(&piped).await.exits(2).says("custom_instructions must have 1 to 32768 bytes");
    // The server is asked, and allows none of this name wherever agents live.
    let image = [&create[..], &["boxed", "--base-image", "example/other:1"]].concat();
    user.run(&image).await.exits(2).says("agents");
}

#[tokio::test]
async fn settings_are_shown_without_a_value_and_set_with_one() {
    let server = Server::start().await;
    let user = User::of(&server);
    user.run(&["agent", "create", "scout", "--runtime", "demo", "--no-start"]).await.exits(0);
    let cases = [
        ("capacity", "5", "max_parallel_tasks", json!(3), json!(5)),
        ("timeout", "120", "execution_timeout_seconds", json!(900), json!(120)),
        ("model", "sonnet", "model", json!(null), json!("sonnet")),
        ("autonomy", "on", "enabled", json!(false), json!(true)),
    ];
    for (setting, value, field, before, after) in cases {
        let show = ["agent", setting, "scout"];
        let shown = user.run(&show).await.exits(0).json();
        assert_eq!(shown[field], before, "{setting}");
        let set = user.run(&[&show[..], &[value]].concat()).await.exits(0).json();
        assert_eq!(set[field], after, "{setting}");
        assert_eq!(user.run(&show).await.exits(0).json()[field], after, "{setting}");
    }
    user.run(&["agent", "model", "scout", "--default"]).await.exits(0);
    let model = user.run(&["agent", "model", "scout", "--text"]).await.exits(0).stdout;
    assert_eq!(model, "scout: tasks use the runtime's own model\n");
    user.run(&["agent", "capacity", "scout", "99"]).await.exits(2).says("1 to 32");
}

#[tokio::test]
async fn one_skill_is_attached_or_detached_and_the_others_stay() {
    let server = Server::start().await;
    for skill in ["brief", "plain", "table"] {
        let folder = server.data_dir.join("skills").join(skill);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("SKILL.md"), "# Writes so\n").unwrap();
    }
    let user = User::of(&server);
    user.run(&["agent", "create", "scout", "--runtime", "demo", "--no-start"]).await.exits(0);
    let skills = ["agent", "skills", "scout"];
    let run = async |words: &[&str]| user.run(&[&skills[..], words].concat()).await;
    run(&["brief"]).await.exits(0);
    let both = run(&["--attach", "plain", "--attach", "table", "--detach", "brief"]).await.exits(0);
    assert_eq!(both.json()["skills"], json!(["plain", "table"]));
    let one = run(&["--detach", "plain", "--text"]).await.exits(0).stdout;
    assert_eq!(one, "scout: has the skills table\n");
    run(&["--attach", "nowhere"]).await.exits(2).says("nowhere");
    run(&["brief", "--attach", "plain"]).await.exits(2).says("cannot be used with");
    assert_eq!(run(&[]).await.exits(0).json()["skills"], json!(["table"]));
}

#[tokio::test]
async fn a_stopped_agent_takes_no_task_and_the_way_out_is_told() {
    let server = Server::start().await;
    let user = User::of(&server);
    user.run(&["agent", "create", "scout", "--runtime", "demo", "--no-start"]).await.exits(0);
    user.run(&["run", "scout", "hi"]).await.exits(5).says("hint: trinity agent start scout");
}

#[tokio::test]
async fn what_takes_longer_than_the_wait_goes_on_by_itself() {
    let server = Server::start().await;
    let user = User::of(&server);
    server.agent("scout").await;
    let id = server.script("scout", &["trap INT ignore", "hang"]).await;
    server.until_status(&id, "running").await;
    let done = user.run(&["agent", "stop", "scout", "--wait", "0"]).await.exits(6);
    done.says("it goes on").says("trinity agent show scout");
    server.until_phase("scout", "stopped").await;
}

#[tokio::test]
async fn a_queue_is_listed_and_cleared() {
    let server = Server::start().await;
    server.agent_with(json!({"name": "scout", "runtime": "demo", "max_parallel_tasks": 1})).await;
    let user = User::of(&server);
    let running = server.script("scout", &["hang"]).await;
    let waiting = server.script("scout", &["say later"]).await;

    let queue = user.run(&["queue", "ls", "scout"]).await.exits(0).json();
    assert_eq!(queue["queued_executions"][0]["execution_id"], waiting);
    let table = user.run(&["queue", "ls", "scout", "--text"]).await.exits(0).stdout;
    assert!(table.contains(&waiting[24..]), "{table}");

    let cleared = user.run(&["queue", "clear", "scout"]).await.exits(0).json();
    assert_eq!(cleared["cleared_count"], 1);
    server.until_status(&waiting, "cancelled").await;
    let released = user.run(&["queue", "release", "scout"]).await.exits(0).json();
    assert_eq!(released["was_running"], true);
    server.until_status(&running, "cancelled").await;
    user.run(&["queue", "ls", "nobody"]).await.exits(4);
}

#[tokio::test]
async fn health_and_rebuilds_are_asked_for_by_name() {
    let server = Server::start().await;
    let user = User::of(&server);
    let health = user.run(&["health"]).await.exits(0).json();
    assert_eq!(health["status"], "healthy");
    let names = health["projections"].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let text = user.run(&["health", "--text"]).await.exits(0).stdout;
    assert!(names.iter().all(|name| text.contains(name)), "{text}");
    user.run(&["rebuild", &names[0]]).await.exits(0);
    user.run(&["rebuild", "nonsense"]).await.exits(4).says(&names[0]);
}
