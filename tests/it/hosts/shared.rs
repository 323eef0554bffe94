//! What every host does, by the same tests on each: `TRINITY_TEST_AGENT_HOST` says which.

use std::collections::BTreeMap;

use trinity::hosts::link::{self, Link, Started};
use trinity::hosts::{Error, HostState, Status};
use trinity_agent_protocol::{ErrorCode, ExecutionState, StopReason, StopRequest};

use uuid::Uuid;

use super::{Fixture, GRACE, ended, shell, texts, wait_for};
use crate::server::Server;

#[tokio::test]
async fn an_agent_is_created_started_stopped_and_removed() {
    let t = Fixture::new().await;
    assert_eq!(t.state().await, HostState::Created);
    assert!(matches!(t.host.connect(t.id()).await, Err(Error::NotRunning(_))));

    t.host.start(t.id()).await.unwrap();
    assert_eq!(t.state().await, HostState::Running);
    let info = t.link().info().await.unwrap();
    assert!(info.home.starts_with(&info.workspace), "{info:?}");

    t.host.stop(t.id(), GRACE).await.unwrap();
    assert_eq!(t.state().await, HostState::Exited);
    t.host.stop(t.id(), GRACE).await.unwrap();

    t.host.remove(t.id()).await.unwrap();
    assert_eq!(t.host.inspect(t.id()).await.unwrap(), None);
    t.host.remove(t.id()).await.unwrap();
    assert!(matches!(t.host.start(t.id()).await, Err(Error::NotFound(_))));
    t.host.stop(t.id(), GRACE).await.unwrap();
    t.assert_nothing_is_left();
}

#[tokio::test]
async fn starting_and_creating_twice_is_a_no_op() {
    let t = Fixture::started().await;
    let first = t.link().info().await.unwrap();
    let (one, two) = tokio::join!(t.host.start(t.id()), t.host.start(t.id()));
    one.and(two).unwrap();
    t.host.create(&t.spec).await.unwrap();
    assert_eq!(t.link().info().await.unwrap().boot_id, first.boot_id);
    t.finish().await;
}

#[tokio::test]
async fn a_run_is_started_followed_and_forgotten_over_the_link() {
    let t = Fixture::started().await;
    let link = t.link();
    let mut request = shell("cat; pwd; echo $HOME; exit 3");
    let info = link.info().await.unwrap();
    request.env.insert("HOME".into(), info.home.clone());
    request.stdin = "hello\n".into();

    let (started, _) = link.start("run", &request).await.unwrap();
    assert_eq!(started, Started::Now);
    let (started, _) = link.start("run", &request).await.unwrap();
    assert_eq!(started, Started::Already);
    let expected = [(1, "hello".into()), (2, info.workspace), (3, info.home)];
    assert_eq!(texts(&link, "run", 0).await, expected);
    assert_eq!(texts(&link, "run", 2).await, expected[2..]);

    let status = ended(&link, "run").await;
    assert_eq!(status.exit.unwrap().code, Some(3));
    assert_eq!(link.executions().await.unwrap().len(), 1);
    link.delete("run").await.unwrap();
    link.delete("never there").await.unwrap_err();
    link.delete("never-there").await.unwrap();
    assert_eq!(link.status("never-there").await.unwrap(), None);
    let late = link.start("run", &request).await.unwrap_err();
    assert_eq!(late.code(), Some(ErrorCode::Tombstone));
    t.finish().await;
}

#[tokio::test]
async fn the_environment_of_the_platform_reaches_no_run() {
    let t = Fixture::started().await;
    let link = t.link();
    let mut request = shell("");
    request.argv = vec!["/bin/env".into()];
    request.env = BTreeMap::from([("ONLY".into(), "this".into())]);
    link.start("run", &request).await.unwrap();
    let mut lines: Vec<_> = texts(&link, "run", 0).await.into_iter().map(|line| line.1).collect();
    lines.sort();
    assert_eq!(lines, ["ONLY=this", "TRINITY_EXECUTION_ID=run"]);
    t.finish().await;
}

#[tokio::test]
async fn stopping_an_agent_stops_its_runs_and_keeps_their_record() {
    let t = Fixture::started().await;
    t.link().start("run", &shell("trap '' INT; sleep 1000 & echo up; wait; wait")).await.unwrap();
    wait_for(async || (t.link().status("run").await.ok()??.last_seq > 0).then_some(())).await;
    t.host.stop(t.id(), GRACE).await.unwrap();
    t.host.start(t.id()).await.unwrap();

    let status = t.link().status("run").await.unwrap().unwrap();
    assert_eq!(status.state, ExecutionState::Exited);
    let exit = status.exit.unwrap();
    assert_eq!(exit.stop_reason, Some(StopReason::AgentStopped));
    assert_eq!((exit.signal, exit.swept), (Some(9), 1));
    t.finish().await;
}

#[tokio::test]
async fn an_agent_server_is_found_again_by_another_platform() {
    let t = Fixture::started().await;
    let before = t.link().info().await.unwrap();
    t.link().start("run", &shell("echo one; sleep 1; echo two")).await.unwrap();

    // Nothing but what the host keeps is common to the two.
    let fresh = t.place.open();
    let agents = fresh.list().await.unwrap();
    assert_eq!(agents.len(), 1);
    assert_eq!((agents[0].incarnation, &agents[0].name), (t.id(), &t.spec.name));
    assert_eq!(agents[0].state.normalised(), Status::Running);
    let kept = |label| agents[0].labels.get(label) == t.spec.labels.get(label);
    assert!(t.spec.labels.keys().all(kept), "{:?}", agents[0].labels);
    fresh.start(t.id()).await.unwrap();
    let link = Link::new(fresh, t.id());
    assert_eq!(link.info().await.unwrap().boot_id, before.boot_id);
    assert_eq!(texts(&link, "run", 0).await, [(1, "one".into()), (2, "two".into())]);
    t.finish().await;
}

#[tokio::test]
async fn a_killed_agent_server_is_seen_and_started_again() {
    let t = Fixture::started().await;
    let link = t.link();
    link.start("run", &shell("echo up; sleep 1000")).await.unwrap();
    wait_for(async || (link.status("run").await.ok()??.last_seq > 0).then_some(())).await;
    t.kill();
    wait_for(async || (t.state().await == HostState::Exited).then_some(())).await;
    assert!(matches!(link.info().await, Err(link::Error::Unreachable(_))));

    t.host.start(t.id()).await.unwrap();
    // The same link, a new connection.
    let exit = ended(&link, "run").await.exit.unwrap();
    assert_eq!(exit.stop_reason, Some(StopReason::AgentServerLost));
    t.finish().await;
}

#[tokio::test]
async fn a_frozen_agent_server_is_paused_and_goes_on() {
    let t = Fixture::started().await;
    t.freeze();
    wait_for(async || (t.state().await == HostState::Paused).then_some(())).await;
    t.host.start(t.id()).await.unwrap();
    wait_for(async || (t.state().await == HostState::Running).then_some(())).await;
    t.link().info().await.unwrap();
    t.finish().await;
}

#[tokio::test]
async fn a_stop_of_an_unknown_run_is_remembered_over_a_restart() {
    let t = Fixture::started().await;
    let stop = StopRequest { epoch: 1, reason: StopReason::Cancel, force: false };
    let status = t.link().stop("run", &stop).await.unwrap();
    assert_eq!(status.state, ExecutionState::Tombstone);
    t.host.stop(t.id(), GRACE).await.unwrap();
    t.host.start(t.id()).await.unwrap();
    let refusal = t.link().start("run", &shell("true")).await.unwrap_err();
    assert_eq!(refusal.code(), Some(ErrorCode::Tombstone));
    let mut next = shell("true");
    next.epoch = 2;
    t.link().start("run", &next).await.unwrap();
    t.finish().await;
}

#[tokio::test]
async fn a_workspace_begins_with_its_files_and_keeps_what_becomes_of_them() {
    let t = Fixture::started().await;
    assert_eq!(t.run("cat CLAUDE.md; echo more >> CLAUDE.md").await, ["be kind"]);
    t.host.stop(t.id(), GRACE).await.unwrap();
    t.host.create(&t.spec).await.unwrap();
    t.host.start(t.id()).await.unwrap();
    assert_eq!(t.run("cat CLAUDE.md").await, ["be kindmore"]);
    t.finish().await;
}

#[tokio::test]
async fn nothing_of_a_stopped_run_is_left_whatever_it_does_about_it() {
    let t = Fixture::started().await;
    let (link, mark) = (t.link(), Uuid::new_v4().to_string());
    let stubborn = format!(
        "trap '' INT TERM HUP; for i in 1 2 3; do setsid sh -c \"trap '' INT TERM HUP; sleep 1000; \
         echo {mark}\" & done; echo up; while :; do sleep 1000; done"
    );
    link.start(&mark, &shell(&stubborn)).await.unwrap();
    wait_for(async || (link.status(&mark).await.ok()??.last_seq > 0).then_some(())).await;
    assert!(!Server::processes(&mark).is_empty());
    let stop = StopRequest { epoch: 1, reason: StopReason::Cancel, force: false };
    link.stop(&mark, &stop).await.unwrap();
    assert_eq!(ended(&link, &mark).await.exit.unwrap().signal, Some(9));
    assert_eq!(Server::processes(&mark), Vec::<i32>::new(), "ended means gone");
    t.finish().await;
}
