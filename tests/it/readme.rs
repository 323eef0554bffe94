//! Every command in the README works as it stands there.

use std::process::Stdio;

use chrono::{DateTime, SubsecRound as _, TimeDelta, Timelike as _, Utc};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::crash::{clock, faketime};
use crate::event_log::support::environment;
use crate::server::{EXECUTABLE, Server};

/// The shell blocks of the README, in order.
fn blocks() -> Vec<String> {
    let readme = include_str!("../../README.md");
    let mut blocks = Vec::new();
    for after in readme.split("```sh\n").skip(1) {
        blocks.push(after.split("```").next().unwrap().to_owned());
    }
    assert!(blocks.len() > 5, "the README has commands");
    blocks
}

/// `make` cannot run inside of what it runs: its targets are checked, everything else is run.
fn runnable(line: &str) -> String {
    line.strip_prefix("make ")
        .map_or_else(|| line.to_owned(), |target| format!("make -n {target} >/dev/null"))
}

/// Runs lines of the README in a shell beside a server; gives what they print.
async fn shell(server: &Server, script: &str, variables: &[(&str, &str)]) -> String {
    let bin = std::path::Path::new(EXECUTABLE).parent().unwrap();
    let path = format!("{}:{}", bin.display(), environment("PATH").unwrap());
    let output = Command::new("bash")
        .args(["-euo", "pipefail", "-c", script])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("PATH", path)
        .env("TRINITY_DATA_DIR", &server.data_dir)
        .envs(server.database_url.as_ref().map(|url| ("TRINITY_DATABASE_URL", url)))
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}\n{said}\n{errors}");
    said
}

#[tokio::test]
async fn every_command_in_the_readme_works() {
    let server = Server::start_with_arguments(&["--demo"], &[]).await;
    server.until_phase("scout", "running").await;
    let script: Vec<String> =
        blocks().iter().flat_map(|block| block.lines().map(runnable).collect::<Vec<_>>()).collect();
    shell(&server, &script.join("\n"), &[]).await;
}

/// What the README asks about yesterday, at 10:00.
const AT_TEN: &str = "\"yesterday 10:00\"";

/// Answers to what the README asks about yesterday at 10:00, by its first two words.
struct Answers(Vec<(String, Vec<Value>)>);

impl Answers {
    /// Asks on the day after `at`, where it was 10:00 at that moment.
    async fn at(server: &Server, at: DateTime<Utc>, tomorrow: &[(&str, &str)]) -> Self {
        let west = i64::from(at.num_seconds_from_midnight()) - 10 * 60 * 60;
        let (hours, minutes, seconds) = (west.abs() / 3600, west.abs() / 60 % 60, west.abs() % 60);
        let sign = if west < 0 { '-' } else { '+' };
        let zone = format!("HERE{sign}{hours}:{minutes:02}:{seconds:02}");
        let environment = [tomorrow, &[("TZ", zone.as_str())]].concat();
        let blocks = blocks();
        let asked = blocks.iter().flat_map(|block| block.lines()).filter(|l| l.contains(AT_TEN));
        let mut answers = Vec::new();
        for line in asked {
            let said = shell(server, line, &environment).await;
            let values = serde_json::Deserializer::from_str(&said).into_iter();
            let values = values.map(|value| value.unwrap()).collect();
            let words = line.split(' ').skip(1).take(2).collect::<Vec<_>>().join(" ");
            answers.push((words, values));
        }
        assert!(answers.len() > 2, "the README asks about yesterday");
        Self(answers)
    }

    fn to(&self, words: &str) -> &[Value] {
        let answer = self.0.iter().find(|(asked, _)| asked == words);
        &answer.unwrap_or_else(|| panic!("the README does not ask for {words}")).1
    }

    /// The types of the events that were played.
    fn played(&self) -> Vec<&str> {
        let events = self.to("replay --from").iter();
        events.map(|event| event["type"].as_str().unwrap()).collect()
    }
}

/// When the first event of a type was recorded.
fn recorded_at(events: &[Value], kind: &str) -> DateTime<Utc> {
    let event = events.iter().find(|event| event["type"] == kind).unwrap();
    event["recorded_at"].as_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn what_happened_yesterday_at_ten_is_answered_as_the_readme_says() {
    let mut server = Server::start().await;
    server.agent("scout").await;
    let id = server.script("scout", &["say before", "sleep 3", "say after"]).await;
    server.until_ended(&id).await;
    server.agent("coder").await;
    server.post("/api/agents/scout/permissions/coder", json!({})).await.expect(200);
    let events = server.events().await;
    let whole = |at: DateTime<Utc>| at.trunc_subsecs(0);
    let during = whole(recorded_at(&events, "ExecutionStarted")) + TimeDelta::seconds(1);
    assert!(during < recorded_at(&events, "ExecutionCompleted"), "{events:?}");
    let before = events[0]["recorded_at"].as_str().unwrap().parse().unwrap();
    let before = whole(before) - TimeDelta::seconds(1);
    server.kill().await;
    let library = faketime();
    let tomorrow = clock(&library, "+86400s");
    server.start_again_with(&tomorrow).await;

    let then = Answers::at(&server, during, &tomorrow).await;
    let agents = then.to("agent ls")[0].as_array().unwrap();
    assert_eq!(agents.len(), 1, "{agents:?}");
    assert_eq!((&agents[0]["name"], &agents[0]["status"]), (&json!("scout"), &json!("running")));
    assert_eq!(then.to("perm ls")[0]["permissions"], json!([]));
    assert_eq!(then.played(), ["ExecutionCompleted"]);
    let path = format!("/api/agents/scout/capacity?as_of={}", during.format("%FT%TZ"));
    let slots = server.get(&path).await.expect(200);
    assert_eq!(slots["active_slots"], 1, "{slots}");

    let nothing = Answers::at(&server, before, &tomorrow).await;
    assert_eq!(nothing.to("agent ls")[0], json!([]));
    assert_eq!(nothing.to("perm ls")[0]["permissions"], json!([]));
    let all = ["ExecutionRequested", "ExecutionStarted", "ExecutionCompleted"];
    assert_eq!(nothing.played(), all);
    server.audit().await;
}
