//! Crashes: of the agent server, of a runner, of both. Nothing is left, and every end is told.

use std::fs;
use std::io::Write;

use nix::sys::signal::Signal;
use trinity_agent_protocol::{ExecutionState, ExecutionStatus, StopReason};
use trinity_agent_server::Process;

use crate::support::{Server, TOOL, children_of, processes_of, runner_of, shell, signal, wait_for};

/// A run with a stubborn tool that has written two lines.
async fn with_tool(server: &Server) -> ExecutionStatus {
    let id = server.run(&shell(&format!("{TOOL} echo one; echo two; sleep 1000"))).await;
    server.wait_status(&id, |status| status.last_seq == 2).await
}

#[tokio::test]
async fn a_run_ends_with_its_server_and_is_reported_by_the_next() {
    let mut server = Server::start().await;
    let id = with_tool(&server).await.id;
    server.kill().await;
    wait_for(async || Some(()).filter(|()| processes_of(&id).is_empty())).await;
    server.start_again(&[]).await;

    let status = server.ended_run(&id).await;
    assert_eq!(status.state, ExecutionState::Exited);
    let exit = status.exit.unwrap();
    assert_eq!((exit.stop_reason, exit.lost), (Some(StopReason::AgentServerLost), false));
    assert_eq!((exit.signal, exit.last_seq), (Some(2), 2));
    let lines = server.output(&id).await;
    let texts: Vec<_> = lines.iter().map(|line| line.line.as_str()).collect();
    assert_eq!(texts, ["one", "two"]);
    // The next life starts runs like the first.
    let (_, exit) = server.exit_of(&shell("exit 3")).await;
    assert_eq!(exit.code, Some(3));
}

#[tokio::test]
async fn a_server_that_is_back_at_once_waits_for_the_runner_of_its_last_life() {
    let mut server = Server::start().await;
    // It needs the whole grace, so that the new server meets the old runner.
    let script = "trap '' INT; echo up; sleep 1000; sleep 1000";
    let id = server.run(&shell(script)).await;
    server.is_up(&id).await;
    server.kill().await;
    server.start_again(&[]).await;
    let status = server.status(&id).await;
    assert_eq!(status.state, ExecutionState::Running);
    let exit = server.ended_run(&id).await.exit.unwrap();
    assert_eq!((exit.signal, exit.lost), (Some(9), false));
    assert_eq!(exit.stop_reason, Some(StopReason::AgentServerLost));
    assert_eq!(processes_of(&id), [0; 0]);
}

#[tokio::test]
async fn the_tree_of_a_killed_runner_is_swept_and_its_run_is_lost() {
    let server = Server::start().await;
    let other = server.run(&shell("echo up; sleep 1000")).await;
    server.is_up(&other).await;
    let status = with_tool(&server).await;
    let id = status.id.clone();
    signal(runner_of(&status).pid, Signal::SIGKILL);

    let status = server.ended_run(&id).await;
    assert_eq!(status.state, ExecutionState::Lost);
    let exit = status.exit.unwrap();
    assert!(exit.lost && exit.swept >= 2, "{exit:?}");
    assert_eq!((exit.code, exit.signal, exit.last_seq), (None, None, 2));
    assert_eq!(processes_of(&id), [0; 0]);
    assert_eq!(server.output(&id).await.len(), 2);
    // Only the tree of the dead runner went.
    assert_eq!(server.status(&other).await.state, ExecutionState::Running);
    let runner = runner_of(&server.status(&other).await).pid;
    assert_eq!(children_of(server.pid()), [runner]);
    server.stop(&other, 1, true).await.1.unwrap();
    server.ended_run(&other).await;
}

#[tokio::test]
async fn a_process_without_the_environment_of_its_run_is_swept_too() {
    let server = Server::start().await;
    // Its parent ends, so it belongs to the runner, and after that to the agent server.
    let script = "(env -i setsid sleep 1000 >/dev/null 2>&1 & echo $!); sleep 1000";
    let id = server.run(&shell(script)).await;
    let status = server.is_up(&id).await;
    let hidden: i32 = server.output_so_far(&id).await[0].line.parse().unwrap();
    assert!(!processes_of(&id).contains(&hidden));
    let hidden = Process::find(hidden).unwrap();
    signal(runner_of(&status).pid, Signal::SIGKILL);
    assert_eq!(server.ended_run(&id).await.state, ExecutionState::Lost);
    assert_ne!(
        Process::find(hidden.pid).map(|found| found.started_ticks),
        Some(hidden.started_ticks)
    );
}

#[tokio::test]
async fn a_run_whose_server_and_runner_were_killed_is_swept_by_the_next_server() {
    let mut server = Server::start().await;
    let status = with_tool(&server).await;
    let id = status.id.clone();
    let runner = runner_of(&status).pid;
    signal(server.pid(), Signal::SIGSTOP);
    signal(runner, Signal::SIGKILL);
    server.kill().await;
    assert!(!processes_of(&id).is_empty());
    // The machine died in the middle of a line.
    let output = server.state().join("executions").join(&id).join("out.ndjson");
    let mut file = fs::OpenOptions::new().append(true).open(output).unwrap();
    file.write_all(b"{\"seq\":3,\"at\":\"20").unwrap();
    server.start_again(&[]).await;

    let status = server.ended_run(&id).await;
    let exit = status.exit.unwrap();
    assert_eq!((status.state, exit.lost, exit.last_seq), (ExecutionState::Lost, true, 2));
    assert_eq!(processes_of(&id), [0; 0]);
    assert_eq!(server.output(&id).await.len(), 2);
    assert!(!server.folder.path().join("files").join(&id).exists());
}

#[tokio::test]
async fn a_sweep_touches_no_process_of_another_state_folder() {
    let mut one = Server::start().await;
    let two = Server::start().await;
    let stays = two.run(&shell("echo up; sleep 1000")).await;
    two.is_up(&stays).await;
    let status = with_tool(&one).await;
    let id = status.id.clone();
    signal(one.pid(), Signal::SIGSTOP);
    signal(runner_of(&status).pid, Signal::SIGKILL);
    one.kill().await;
    one.start_again(&[]).await;
    assert_eq!(one.ended_run(&id).await.state, ExecutionState::Lost);
    assert_eq!(two.status(&stays).await.state, ExecutionState::Running);
    assert_eq!(processes_of(&stays).len(), 2);
}

#[tokio::test]
async fn a_folder_without_a_durable_request_never_started() {
    let mut server = Server::start().await;
    server.kill().await;
    let folder = server.state().join("executions/half");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("request.json.new"), "{\"ep").unwrap();
    server.start_again(&[]).await;
    assert!(!folder.exists());
    let (code, _) = server.put("half", &shell("true")).await;
    assert_eq!(code, hyper::StatusCode::CREATED);
}

#[tokio::test]
async fn an_exited_run_keeps_its_record_over_restarts() {
    let mut server = Server::start().await;
    let (id, exit) = server.exit_of(&shell("echo out; echo err >&2; exit 2")).await;
    let lines = server.output(&id).await;
    for _ in 0..2 {
        server.kill().await;
        server.start_again(&[]).await;
        assert_eq!(server.status(&id).await.exit, Some(exit.clone()));
        assert_eq!(server.output(&id).await, lines);
    }
}

#[tokio::test]
async fn a_file_in_the_state_that_cannot_be_read_hurts_only_its_own_run() {
    let mut server = Server::start().await;
    let (good, _) = server.exit_of(&shell("true")).await;
    let (bad, _) = server.exit_of(&shell("true")).await;
    server.kill().await;
    let folder = server.state().join("executions").join(&bad);
    fs::write(folder.join("request.json"), "no json").unwrap();
    fs::write(server.state().join("executions/.foreign"), "x").unwrap();
    server.start_again(&[]).await;
    assert_eq!(server.status(&good).await.state, ExecutionState::Exited);
    let (code, _) = server.put(&bad, &shell("true")).await;
    assert_eq!(code, hyper::StatusCode::SERVICE_UNAVAILABLE);
}
