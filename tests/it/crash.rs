//! Nothing is lost when the server, its agent servers, or the machine go down.

use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::docker;
use crate::event_log::support::environment;
use crate::server::{EXECUTABLE, Server, until};

/// How often `make test` kills the server under load; `make test-long` says more.
const KILLS_DEFAULT: usize = 20;

fn kills() -> usize {
    environment("TRINITY_TEST_KILLS").map_or(KILLS_DEFAULT, |count| count.parse().unwrap())
}

#[tokio::test]
async fn a_run_outlives_the_server_and_is_adopted_with_its_exact_output() {
    let mut server = Server::start().await;
    server.agent("scout").await;
    let id =
        server.script("scout", &["say one", "sleep 2", "say two", "sleep 1", "say three"]).await;
    server.until_status(&id, "running").await;
    server.kill().await;
    assert!(!Server::processes(&id).is_empty(), "the run goes on without the server");
    server.start_again().await;

    let ended = server.until_ended(&id).await;
    assert_eq!(ended["status"], "completed", "{ended}");
    assert_eq!(ended["response"], "one\ntwo\nthree");
    assert_eq!(ended["exit_code"], 0);
    let seqs: Vec<u64> =
        server.lines(&id).await.iter().map(|line| line["seq"].as_u64().unwrap()).collect();
    assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>(), "numbered without a gap");
    server.audit().await;
}

#[tokio::test]
async fn a_run_that_ends_while_the_server_is_away_is_recorded_with_its_end() {
    let mut server = Server::start().await;
    server.agent("scout").await;
    let id = server.script("scout", &["say before", "sleep 1", "say after", "exit 3"]).await;
    server.until_status(&id, "running").await;
    server.kill().await;
    Server::until_gone(&id).await;
    server.start_again().await;

    let ended = server.until_ended(&id).await;
    assert_eq!(ended["status"], "failed", "{ended}");
    assert_eq!(ended["error_class"], "exit");
    assert_eq!(ended["exit_code"], 3);
    server.audit().await;
}

#[tokio::test]
async fn a_reboot_ends_running_executions_as_lost_and_starts_the_agents_again() {
    let mut server = Server::start().await;
    server.agent("scout").await;
    let id = server.script("scout", &["say hello", "hang"]).await;
    server.until_status(&id, "running").await;
    server.kill().await;
    server.kill_agent_servers();
    server.start_again().await;

    let ended = server.until_ended(&id).await;
    assert_eq!((&ended["status"], &ended["error_class"]), (&json!("failed"), &json!("lost")));
    server.until_phase("scout", "running").await;
    let next = server.script("scout", &["say again"]).await;
    assert_eq!(server.until_ended(&next).await["status"], "completed");
    server.audit().await;
}

#[tokio::test]
async fn a_crashed_agent_server_is_started_again_and_its_run_is_lost() {
    let server = Server::start().await;
    server.agent("scout").await;
    let id = server.script("scout", &["say hello", "fork 2", "hang"]).await;
    server.until_status(&id, "running").await;
    server.kill_agent_servers();
    let ended = server.until_ended(&id).await;
    assert_eq!((&ended["status"], &ended["error_class"]), (&json!("failed"), &json!("lost")));
    Server::until_gone(&id).await;
    server.until_phase("scout", "running").await;
    server.audit().await;
}

#[tokio::test]
async fn an_agent_that_cannot_be_started_again_stops_and_says_at_which_step() {
    let server = Server::start().await;
    server.agent("scout").await;
    let content = "test -e .broken && { echo no more >&2; exit 4; }; true";
    let ops = [&*format!("exec echo '{content}' > startup.sh"), "exec touch .broken"];
    assert_eq!(server.script_ends("scout", &ops).await["status"], "completed");
    server.kill_agent_servers();

    let stopped = server.until_phase("scout", "stopped").await;
    assert_eq!(stopped["failure"]["step"], "startup", "{stopped}");
    assert!(docker::is_chosen() || server.agent_server().is_none(), "nothing of it runs on");
    let events = server.events().await;
    let of_type = |wanted: &str| -> Vec<&Value> {
        events.iter().filter(|event| event["type"] == wanted).collect()
    };
    let (again, given_up) = (of_type("AgentStatusObserved"), of_type("AgentStopped"));
    assert!(again[0]["data"].get("failure").is_none(), "it was killed: {}", again[0]);
    assert_eq!(given_up[0]["data"]["reason"], "crash-loop", "{given_up:?}");
    for event in again.iter().skip(1).chain(&given_up) {
        let failure = &event["data"]["failure"];
        assert_eq!(failure["step"], "startup", "{event}");
        assert!(failure["error"].as_str().unwrap().contains("no more"), "{event}");
    }
    server.audit().await;
}

#[tokio::test]
async fn a_stop_signal_leaves_runs_going() {
    let mut server = Server::start().await;
    server.agent("scout").await;
    let id = server.script("scout", &["say one", "sleep 2", "say two"]).await;
    server.until_status(&id, "running").await;
    assert!(server.signal(Signal::SIGTERM).await.success());
    assert!(!Server::processes(&id).is_empty());
    server.start_again().await;
    assert_eq!(server.until_ended(&id).await["response"], "one\ntwo");
    server.audit().await;
}

#[tokio::test]
async fn a_stop_asked_for_before_a_crash_is_carried_out_after_it() {
    let mut server = Server::start().await;
    server.agent("scout").await;
    let id = server.script("scout", &["trap INT ignore", "say busy", "hang"]).await;
    server.until_status(&id, "running").await;
    let path = format!("/api/agents/scout/executions/{id}/terminate");
    assert_eq!(server.post(&path, json!({})).await.expect(200)["status"], "cancelling");
    server.crash().await;
    assert_eq!(server.until_ended(&id).await["status"], "cancelled");
    Server::until_gone(&id).await;
    server.audit().await;
}

/// Submits tasks until told to stop; gives the ids that were acknowledged, with what they say.
async fn submit_steadily(
    server: &Server,
    agents: &[String],
    count: usize,
    so_far: &Mutex<Vec<String>>,
) -> Vec<(String, String)> {
    let mut acknowledged = Vec::new();
    for number in 0..count {
        let agent = &agents[number % agents.len()];
        let mark = uuid::Uuid::new_v4().simple().to_string();
        // Some take long enough to be there still when the server is killed.
        let pause = if number % 5 == 0 { "sleep 0.7" } else { "sleep 0.01" };
        let tool = "tool Bash {\"command\":\"true\"} => ok";
        let message = format!("#!demo\nsay {mark} 1\n{pause}\n{tool}\nsay {mark} 2");
        let path = format!("/api/agents/{agent}/task");
        let body = json!({"message": message, "async_mode": true});
        let request = server.request(reqwest::Method::POST, &path).json(&body);
        // A server that was killed meanwhile acknowledges nothing.
        let Some(answer) = server.try_send(request).await else { break };
        if answer.status.as_u16() == 202 {
            let id = answer.body["execution_id"].as_str().unwrap().to_owned();
            so_far.lock().unwrap().push(id.clone());
            acknowledged.push((id, mark));
        }
    }
    acknowledged
}

/// In every third round, waits until one of these is at work: a server that was only just started
/// accepts much before anything starts.
async fn at_work(round: usize, ids: &Mutex<Vec<String>>) {
    if !round.is_multiple_of(3) {
        return;
    }
    until("one of them is at work", async || {
        let ids: Vec<String> = ids.lock().unwrap().clone();
        ids.iter().any(|id| !Server::processes(id).is_empty()).then_some(())
    })
    .await;
}

/// The execution completed with its exact output: each line once, in order.
async fn assert_exact(server: &Server, id: &str, mark: &str) {
    let record = server.execution(id).await;
    assert_eq!(record["status"], "completed", "{record}");
    assert_eq!(record["response"], format!("{mark} 1\n{mark} 2"), "{record}");
    let lines = server.lines(id).await;
    let seqs: Vec<u64> = lines.iter().map(|line| line["seq"].as_u64().unwrap()).collect();
    assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>(), "{id}");
    for part in ["1", "2"] {
        let text = format!("\"text\":\"{mark} {part}\"");
        let holds = |line: &&Value| line.to_string().replace('\\', "").contains(&text);
        assert_eq!(lines.iter().filter(holds).count(), 1, "{id}: {lines:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_under_load_lose_nothing_and_leave_nothing_stuck() {
    let mut server = Server::start().await;
    let agents: Vec<String> = (0..4).map(|number| format!("agent-{number}")).collect();
    for agent in &agents {
        server.agent(agent).await;
    }
    let mut acknowledged = Vec::new();
    let mut survived = 0;
    for round in 0..kills() {
        // Killed at another instant of the work each time.
        let so_far = Mutex::new(Vec::<String>::new());
        let alive = async {
            let enough = 1 + round % 11;
            until("so many are accepted", async || {
                (so_far.lock().unwrap().len() >= enough).then_some(())
            })
            .await;
            at_work(round, &so_far).await;
            tokio::time::sleep(Duration::from_millis(7 * (round as u64 % 13))).await;
        };
        let submitted = {
            let submit = submit_steadily(&server, &agents, 24, &so_far);
            tokio::pin!(submit);
            tokio::select! {
                submitted = &mut submit => {
                    at_work(round, &so_far).await;
                    submitted
                }
                () = alive => {
                    let pid = server.pid();
                    nix::sys::signal::kill(pid, Signal::SIGKILL).unwrap();
                    submit.await
                }
            }
        };
        server.kill().await;
        survived += submitted.iter().filter(|(id, _)| !Server::processes(id).is_empty()).count();
        acknowledged.extend(submitted);
        server.start_again().await;
    }
    for (id, _) in &acknowledged {
        server.until_ended(id).await;
    }
    for (id, mark) in &acknowledged {
        assert_exact(&server, id, mark).await;
    }
    let count = acknowledged.len();
    eprintln!("{} kills: {count} executions, {survived} of them outlived a server", kills());
    assert!(
        count > 3 * kills() && survived > kills() / 10,
        "the load was real: {count}, {survived}"
    );
    server.audit().await;
}

/// The environment in which a process sees another time of day; its monotonic clock stays.
pub fn clock<'a>(library: &'a str, offset: &'a str) -> [(&'a str, &'a str); 4] {
    [
        ("LD_PRELOAD", library),
        ("FAKETIME", offset),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ("DONT_FAKE_MONOTONIC", "1"),
    ]
}

/// The library that moves a process's clock, where Debian's package puts it.
pub fn faketime() -> String {
    let found = ["x86_64-linux-gnu", "aarch64-linux-gnu"]
        .map(|triple| format!("/usr/lib/{triple}/faketime/libfaketime.so.1"))
        .into_iter()
        .find(|path| std::path::Path::new(path).exists());
    found.expect("libfaketime is not installed; run the tests by `make test`")
}

#[tokio::test]
async fn a_server_that_was_away_for_longer_than_a_slots_life_brings_every_run_to_its_end() {
    let mut server = Server::start_with(&[("TRINITY_GRACE_MS", "500")]).await;
    let config = json!({"name": "scout", "runtime": "demo", "execution_timeout_seconds": 10});
    server.agent_with(config).await;
    let finishes = server.script("scout", &["say started", "sleep 1", "say finished"]).await;
    let hangs = server.script("scout", &["say busy", "hang"]).await;
    for id in [&finishes, &hangs] {
        server.until_status(id, "running").await;
    }
    // Frozen, the agent server takes the grant of this one only after the server is gone.
    server.signal_agent_servers(Signal::SIGSTOP);
    let never_started = server.script("scout", &["say late"]).await;
    server.kill().await;
    server.signal_agent_servers(Signal::SIGCONT);
    let library = faketime();
    server.start_again_with(&clock(&library, "+3600s")).await;

    let finished = server.until_ended(&finishes).await;
    assert_eq!(finished["status"], "completed", "{finished}");
    assert_eq!(finished["response"], "started\nfinished");
    let started = server.until_ended(&never_started).await;
    assert_eq!(started["status"], "completed", "{started}");
    let timed_out = server.until_ended(&hangs).await;
    assert_eq!(
        (&timed_out["status"], &timed_out["error_class"]),
        (&json!("failed"), &json!("timeout")),
        "{timed_out}"
    );
    server.audit().await;
}

/// The log's time never steps back.
async fn assert_times_ascend(server: &Server) {
    let events = server.events().await;
    let times: Vec<&str> =
        events.iter().map(|event| event["recorded_at"].as_str().unwrap()).collect();
    assert!(times.is_sorted());
}

#[tokio::test]
async fn a_clock_that_is_set_back_an_hour_loses_no_run_and_no_order() {
    let mut server = Server::start_with(&[("TRINITY_GRACE_MS", "500")]).await;
    let config = json!({"name": "scout", "runtime": "demo", "execution_timeout_seconds": 10});
    server.agent_with(config).await;
    let survives = server.script("scout", &["say started", "sleep 2", "say finished"]).await;
    let hangs = server.script("scout", &["say busy", "hang"]).await;
    for id in [&survives, &hangs] {
        server.until_status(id, "running").await;
    }
    server.kill().await;
    let library = faketime();
    server.start_again_with(&clock(&library, "-3600s")).await;

    let new = server.script("scout", &["say new"]).await;
    assert_eq!(server.until_ended(&new).await["response"], "new");
    assert_eq!(server.until_ended(&survives).await["response"], "started\nfinished");
    let timed_out = server.until_ended(&hangs).await;
    assert_eq!(timed_out["error_class"], "timeout", "by the supervisor's own clock: {timed_out}");
    assert_times_ascend(&server).await;
    server.audit().await;
}

#[tokio::test]
async fn a_host_whose_clock_is_far_ahead_is_named() {
    let library = faketime();
    // Only the server's: its agent servers see the right time.
    let server = Server::start_with(&clock(&library, "-3600s")).await;
    server.post("/api/agents", json!({"name": "scout", "runtime": "demo"})).await.expect(201);
    if server.database_url.is_some() {
        // The database knows what time it is.
        server.until_phase("scout", "running").await;
        let id = server.script("scout", &["say hello"]).await;
        assert_eq!(server.until_ended(&id).await["status"], "completed");
    } else {
        let agent = server.until_phase("scout", "failed").await;
        let error = agent["failure"]["error"].as_str().unwrap();
        assert!(error.contains("NTP"), "{agent}");
    }
    assert_times_ascend(&server).await;
    server.audit().await;
}

#[tokio::test]
async fn a_host_whose_clock_is_set_ahead_later_on_is_named_too() {
    let mut server = Server::start().await;
    server.agent("scout").await;
    server.kill().await;
    let (_, arguments) = server.agent_server().unwrap();
    server.kill_agent_servers();
    until("the agent server is gone", async || server.agent_server().is_none().then_some(())).await;
    let library = faketime();
    let mut agent_server = Command::new(EXECUTABLE)
        .args(arguments)
        .env_clear()
        .envs(clock(&library, "+3600s"))
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    server.start_again().await;

    let refused = server.until_ended(&server.script("scout", &["say hello"]).await).await;
    assert_eq!(refused["error_class"], "spawn", "{refused}");
    assert!(refused["error"].as_str().unwrap().contains("NTP"), "{refused}");
    agent_server.kill().await.unwrap();
    let done = server.until_ended(&server.script("scout", &["say hello"]).await).await;
    assert_eq!(done["status"], "completed", "{done}");
    server.audit().await;
}

#[tokio::test]
async fn a_run_whose_agent_server_cannot_be_reached_says_since_when_and_goes_on() {
    let mut server = Server::start().await;
    server.agent("scout").await;
    let id = server.script("scout", &["say before", "sleep 20", "say after"]).await;
    server.until_status(&id, "running").await;
    server.kill().await;
    let (_, arguments) = server.agent_server().unwrap();
    let name = arguments.iter().position(|argument| argument == "--socket").unwrap() + 1;
    let socket = Path::new(&arguments[name]);
    let hidden = socket.with_extension("hidden");
    std::fs::rename(socket, &hidden).unwrap();
    server.start_again().await;

    let path = format!("/api/executions/{id}");
    let out_of_reach = until("contact is lost", async || {
        let shown = server.get(&path).await.expect(200);
        shown["lost_contact_at"].is_string().then_some(shown)
    })
    .await;
    assert_eq!(out_of_reach["status"], "running", "{out_of_reach}");
    std::fs::rename(&hidden, socket).unwrap();
    let ended = server.until_ended(&id).await;
    assert_eq!(ended["status"], "completed", "{ended}");
    assert_eq!(ended["response"], "before\nafter");
    assert_eq!(ended["lost_contact_at"], Value::Null);
    server.audit().await;
}
