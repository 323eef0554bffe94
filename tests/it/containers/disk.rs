//! Agents in containers whose disk is full.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{ask, delete, fresh_name, server};
use crate::docker::{docker, image};
use crate::server::{Server, until};

/// How much the disk of the agent holds.
const DISK_MIB: u32 = 8;
/// How long a run may take that gives up what it cannot store: a minute after its end.
const GIVING_UP_MAX: Duration = Duration::from_mins(3);
/// What fills the disk.
const FILL: &str = "exec dd if=/dev/zero of=big bs=64k count=1024";
/// How much a run then says, here and again in its result: more than what is left of a file's last page,
/// and less than what a pipe holds.
const WORDS_BYTES: usize = 15_000;

/// The small disk of an agent, which is there as long as a container of its own has it.
struct Disk {
    holder: String,
}

impl Disk {
    /// Takes the place of the volume of an agent that was made and not started.
    fn of(name: &str) -> Self {
        let (container, volume) = (format!("agent-{name}"), format!("agent-{name}-workspace"));
        let labels = docker(&["volume", "inspect", "-f", "{{json .Labels}}", &volume]);
        let labels: BTreeMap<String, String> = serde_json::from_str(&labels).unwrap();
        let labels: Vec<_> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        docker(&["rm", &container]);
        docker(&["volume", "rm", &volume]);
        let size = format!("o=size={DISK_MIB}m");
        let mut create = vec!["volume", "create", "-o", "type=tmpfs", "-o", "device=tmpfs"];
        create.extend(["-o", size.as_str()]);
        create.extend(labels.iter().flat_map(|label| ["--label", label.as_str()]));
        create.push(&volume);
        docker(&create);
        let mount = format!("{volume}:/disk");
        let holder = docker(&["run", "-d", "-v", &mount, &image(), "/bin/sleep", "100000"]);
        Self { holder }
    }

    fn shell(&self, command: &str) -> String {
        docker(&["exec", &self.holder, "/bin/sh", "-c", command])
    }

    async fn until_full(&self) {
        let free = "df -k /disk | tail -n 1 | awk '{ print $4 }'";
        until("the disk is full", async || (self.shell(free) == "0").then_some(())).await;
    }

    fn make_room(&self) {
        self.shell("rm -f /disk/workspace/big");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        docker(&["rm", "-f", &self.holder]);
    }
}

/// Makes an agent on a disk of its own, and starts it.
async fn agent_on_small_disk(server: &Server) -> (String, Disk) {
    let name = fresh_name();
    let config = json!({"name": name, "runtime": "demo"});
    server.post("/api/agents?start=false", config).await.expect(201);
    server.until_phase(&name, "stopped").await;
    let disk = Disk::of(&name);
    ask(server, &name, "start", "running").await;
    let ended = server.script_ends(&name, &["say ready"]).await;
    assert_eq!(ended["response"], "ready", "{ended}");
    (name, disk)
}

fn text(lines: &[Value]) -> String {
    serde_json::to_string(lines).unwrap()
}

#[tokio::test]
async fn a_run_that_fills_the_disk_waits_for_room_and_loses_nothing() {
    let server = server().await;
    let (name, disk) = agent_on_small_disk(&server).await;
    let words = "x".repeat(WORDS_BYTES);
    let run = server.script(&name, &[FILL, &format!("say {words}"), "say went on"]).await;
    disk.until_full().await;
    // The run goes on, and so does everything around it.
    assert_eq!(server.get("/api/health").await.expect(200)["status"], "healthy");
    let waiting = server.script(&name, &["say later"]).await;
    disk.make_room();
    let ended = server.until_ended(&run).await;
    assert_eq!(ended["status"], "completed", "{ended}");
    assert!(ended["response"].as_str().unwrap().ends_with("went on"), "{ended}");
    let lines = server.lines(&run).await;
    assert!(text(&lines).contains("No space left on device"), "{lines:?}");
    let seqs: Vec<_> = lines.iter().map(|line| line["seq"].as_u64().unwrap()).collect();
    assert!(seqs.iter().copied().eq(1..=seqs.len() as u64), "{seqs:?}");
    assert_eq!(server.until_ended(&waiting).await["response"], "later");
    drop(disk);
    delete(&server, &name).await;
    server.audit().await;
}

#[tokio::test]
async fn a_run_on_a_disk_that_stays_full_ends_with_what_could_be_kept_and_says_what_could_not() {
    let server = server().await;
    let (name, disk) = agent_on_small_disk(&server).await;
    let words = format!("never kept {}", "x".repeat(WORDS_BYTES));
    let run = server.script(&name, &["say before", FILL, &format!("say {words}")]).await;
    disk.until_full().await;
    let other = fresh_name();
    server.agent(&other).await;
    assert_eq!(server.script_ends(&other, &["say fine"]).await["response"], "fine");
    let begun = Instant::now();
    let ended = loop {
        let record = server.execution(&run).await;
        if record["status"] != "running" {
            break record;
        }
        assert!(begun.elapsed() < GIVING_UP_MAX, "{record}");
        tokio::time::sleep(Duration::from_millis(500)).await;
    };
    assert_eq!(ended["status"], "failed", "{ended}");
    let error = ended["error"].as_str().unwrap();
    assert!(error.contains("lines of its output are lost"), "{error}");
    assert!(error.contains("No space left on device"), "{error}");
    let kept = text(&server.lines(&run).await);
    assert!(kept.contains("before") && !kept.contains("never kept x"), "{kept}");
    assert_eq!(server.get("/api/health").await.expect(200)["status"], "healthy");
    assert_eq!(server.get(&format!("/api/agents/{name}")).await.expect(200)["phase"], "running");

    // What is asked of it now waits until there is room.
    let next = server.script(&name, &["say again"]).await;
    disk.make_room();
    let ended = server.until_ended(&next).await;
    assert_eq!((&ended["status"], &ended["response"]), (&json!("completed"), &json!("again")));
    drop(disk);
    for name in [&name, &other] {
        delete(&server, name).await;
    }
    server.audit().await;
}
