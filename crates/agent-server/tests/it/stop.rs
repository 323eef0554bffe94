//! Ends: how a process ended, how a stop goes, and that nothing is left.

use std::time::Duration;

use hyper::{Method, StatusCode};
use nix::sys::signal::Signal;
use trinity_agent_protocol::{
    ErrorCode, ExecutionState, ExecutionStatus, Info, StopPhase, StopReason, StopRequest, paths,
};

use crate::support::{Server, TOOL, json, processes_of, runner_of, shell, signal, wait_for};

#[tokio::test]
async fn exit_codes_and_signals_are_told_apart() {
    let server = Server::start().await;
    for (script, code, by_signal) in [
        ("exit 0", Some(0), None),
        ("exit 7", Some(7), None),
        ("exit 143", Some(143), None),
        ("kill -TERM $$", None, Some(15)),
        ("kill -KILL $$", None, Some(9)),
        ("ulimit -c 0; kill -SEGV $$", None, Some(11)),
        // A real-time signal, which has no name.
        ("kill -40 $$", None, Some(40)),
    ] {
        let (_, exit) = server.exit_of(&shell(script)).await;
        assert_eq!((exit.code, exit.signal), (code, by_signal), "{script}");
        assert_eq!((exit.stop_reason, exit.lost), (None, false), "{script}");
    }
}

#[tokio::test]
async fn what_a_finished_run_leaves_behind_is_swept() {
    let server = Server::start().await;
    // One holds the pipes, one does not.
    let script = format!("{TOOL} sleep 1000 & echo done; exit 5");
    let (id, exit) = server.exit_of(&shell(&script)).await;
    assert_eq!(exit.code, Some(5));
    assert!(exit.swept >= 2, "{exit:?}");
    assert_eq!(processes_of(&id), [0; 0]);
    assert_eq!(server.output(&id).await.len(), 1);
}

#[tokio::test]
async fn an_interrupt_lets_a_run_end_by_itself() {
    let server = Server::start().await;
    let script = "trap 'echo interrupted; exit 3' INT; echo up; while :; do sleep 0.02; done";
    let id = server.run(&shell(script)).await;
    server.is_up(&id).await;
    server.stop(&id, 1, false).await.1.unwrap();
    let status = server.ended_run(&id).await;
    let (stop, exit) = (status.stop.unwrap(), status.exit.unwrap());
    assert_eq!((exit.code, exit.stop_reason), (Some(3), Some(StopReason::Cancel)));
    assert_eq!((stop.phase, stop.kill_sent_at), (StopPhase::Interrupting, None));
    assert!(stop.interrupt_sent_at.is_some());
    let lines = server.output(&id).await;
    assert_eq!(lines.last().unwrap().line, "interrupted");
}

#[tokio::test]
async fn a_run_that_ignores_everything_is_killed_with_its_whole_tree() {
    let server = Server::start().await;
    let script = format!("trap '' INT TERM HUP; {TOOL} echo up; while :; do sleep 1; done");
    let id = server.run(&shell(&script)).await;
    server.is_up(&id).await;
    let runner = runner_of(&server.status(&id).await);
    server.stop(&id, 1, false).await.1.unwrap();
    let stopping = server.wait_status(&id, |status| status.stop.is_some()).await.stop.unwrap();
    assert_eq!(stopping.phase, StopPhase::Interrupting);

    let status = server.ended_run(&id).await;
    let (stop, exit) = (status.stop.unwrap(), status.exit.unwrap());
    assert_eq!((exit.signal, exit.stop_reason), (Some(9), Some(StopReason::Cancel)));
    assert_eq!(stop.phase, StopPhase::Killing);
    let grace = stop.kill_sent_at.unwrap() - stop.interrupt_sent_at.unwrap();
    assert!(grace >= chrono::TimeDelta::milliseconds(500), "{grace}");
    assert_eq!(stop.grace_ms, Some(500));
    assert_eq!(processes_of(&id), [0; 0]);
    wait_for(async || Some(()).filter(|()| runner.find_again().is_none())).await;
}

/// Looks for the same process once more.
trait FindAgain {
    fn find_again(&self) -> Option<Self>
    where
        Self: Sized;
}

impl FindAgain for trinity_agent_server::Process {
    fn find_again(&self) -> Option<Self> {
        Self::find(self.pid).filter(|found| found.started_ticks == self.started_ticks)
    }
}

#[tokio::test]
async fn a_forced_stop_gives_no_grace() {
    let server = Server::start().await;
    let mut request = shell("trap '' INT; echo up; sleep 1000; sleep 1000");
    request.grace_ms = 60_000;
    let id = server.run(&request).await;
    server.is_up(&id).await;
    // A stop that waits for its grace can be hurried up.
    server.stop(&id, 1, false).await.1.unwrap();
    server.wait_status(&id, |status| status.stop.is_some()).await;
    server.stop(&id, 1, true).await.1.unwrap();
    let exit = server.ended_run(&id).await.exit.unwrap();
    assert_eq!((exit.signal, exit.stop_reason), (Some(9), Some(StopReason::Cancel)));
    assert!(exit.duration_ms < 60_000);
    assert_eq!(processes_of(&id), [0; 0]);
}

#[tokio::test]
async fn a_chain_of_forks_does_not_outrun_the_sweep() {
    let server = Server::start().await;
    let chain = server.workspace().join("chain");
    // Each link starts the next in a session of its own and ends.
    std::fs::write(&chain, "trap '' INT TERM HUP\nsetsid sh ./chain >/dev/null 2>&1 &\n").unwrap();
    let id = server.run(&shell("for i in 1 2 3 4; do sh ./chain; done; echo up; sleep 1000")).await;
    server.is_up(&id).await;
    server.stop(&id, 1, false).await.1.unwrap();
    let exit = server.ended_run(&id).await.exit.unwrap();
    assert!(exit.swept >= 1, "{exit:?}");
    assert_eq!(processes_of(&id), [0; 0]);
}

#[tokio::test]
async fn a_run_does_not_outlive_its_timeout_even_when_the_server_is_frozen() {
    let server = Server::start().await;
    let mut request = shell("trap '' INT; echo up; sleep 1000; sleep 1000");
    (request.timeout_ms, request.grace_ms) = (400, 100);
    let id = server.run(&request).await;
    server.is_up(&id).await;
    signal(server.pid(), Signal::SIGSTOP);
    wait_for(async || Some(()).filter(|()| processes_of(&id).is_empty())).await;
    signal(server.pid(), Signal::SIGCONT);
    let exit = server.ended_run(&id).await.exit.unwrap();
    assert_eq!((exit.signal, exit.stop_reason), (Some(9), Some(StopReason::Timeout)));
    assert!(exit.duration_ms >= 500, "{exit:?}");
}

#[tokio::test]
async fn a_stop_before_the_process_is_there_still_stops_it() {
    let server = Server::start().await;
    let request = shell("sleep 1000");
    let start = async { server.put("early", &request).await.0 };
    let stop = async {
        wait_for(async || {
            let (code, answer) = server.stop("early", 1, false).await;
            (code == StatusCode::OK).then(|| answer.unwrap())
        })
        .await
    };
    let (started, stopped) = tokio::join!(start, stop);
    // Either the stop came first and buried the epoch, or the run was there and ends.
    if stopped.state == ExecutionState::Tombstone {
        assert_eq!(started, StatusCode::CONFLICT);
    } else {
        let exit = server.ended_run("early").await.exit.unwrap();
        assert_eq!(exit.stop_reason, Some(StopReason::Cancel));
    }
    assert_eq!(processes_of("early"), [0; 0]);
}

#[tokio::test]
async fn the_first_reason_stays() {
    let server = Server::start().await;
    let id = server.run(&shell("trap '' INT; echo up; sleep 1000; sleep 1000")).await;
    server.is_up(&id).await;
    for reason in [StopReason::Finished, StopReason::Cancel] {
        let request = StopRequest { epoch: 1, reason, force: false };
        let path = paths::stop(&id);
        server.call::<ExecutionStatus>(Method::POST, &path, json(&request)).await.1.unwrap();
    }
    let exit = server.ended_run(&id).await.exit.unwrap();
    assert_eq!(exit.stop_reason, Some(StopReason::Finished));
    let late = StopRequest { epoch: 1, reason: StopReason::Timeout, force: false };
    let path = paths::stop(&id);
    let (code, _) = server.call::<ExecutionStatus>(Method::POST, &path, json(&late)).await;
    assert_eq!(code, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_run_is_deleted_only_after_its_end() {
    let server = Server::start().await;
    let id = server.run(&shell("sleep 1000")).await;
    let (code, answer) =
        server.call::<ExecutionStatus>(Method::DELETE, &paths::execution(&id), "").await;
    assert_eq!((code, answer.unwrap_err().code), (StatusCode::CONFLICT, ErrorCode::StillRunning));
    server.stop(&id, 1, true).await.1.unwrap();
    server.ended_run(&id).await;
    assert_eq!(server.delete(&id).await, StatusCode::NO_CONTENT);
    assert_eq!(server.status(&id).await.state, ExecutionState::Tombstone);
}

#[tokio::test]
async fn a_shutdown_stops_every_run_and_ends_the_server() {
    let mut server = Server::start().await;
    let stubborn = server.run(&shell("trap '' INT; echo up; sleep 1000; sleep 1000")).await;
    let gentle = server.run(&shell("echo up; sleep 1000")).await;
    server.is_up(&stubborn).await;
    server.is_up(&gentle).await;
    let body = r#"{"grace_ms":100}"#;
    let (code, _) = server.raw(Method::POST, paths::SHUTDOWN, body.into()).await;
    assert_eq!(code, StatusCode::ACCEPTED);
    assert!(server.ended().await.success());
    assert!(!server.socket().exists());
    assert_eq!((processes_of(&stubborn), processes_of(&gentle)), (vec![], vec![]));

    server.start_again(&[]).await;
    for (id, by_signal) in [(stubborn, 9), (gentle, 2)] {
        let exit = server.status(&id).await.exit.unwrap();
        assert_eq!(exit.signal, Some(by_signal));
        assert_eq!(exit.stop_reason, Some(StopReason::AgentStopped));
    }
}

#[tokio::test]
async fn a_terminate_signal_ends_the_server_in_order() {
    let mut server = Server::start().await;
    let id = server.run(&shell("trap 'exit 6' INT; echo up; while :; do sleep 0.02; done")).await;
    server.is_up(&id).await;
    signal(server.pid(), Signal::SIGTERM);
    assert!(server.ended().await.success());
    server.start_again(&[]).await;
    assert_eq!(server.status(&id).await.exit.unwrap().code, Some(6));
}

#[tokio::test]
async fn an_ending_server_takes_no_more_runs() {
    let server = Server::start().await;
    let id = server.run(&shell("trap '' INT; echo up; sleep 1000; sleep 1000")).await;
    server.is_up(&id).await;
    let body = r#"{"grace_ms":5000}"#;
    server.raw(Method::POST, paths::SHUTDOWN, body.into()).await;
    server.wait_status(&id, |status| status.stop.is_some()).await;
    let (code, answer) = server.put("late", &shell("true")).await;
    assert_eq!(code, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.unwrap_err().code, ErrorCode::ShuttingDown);
    server.stop(&id, 1, true).await.1.unwrap();
}

#[tokio::test]
async fn orphans_of_a_running_run_are_reaped() {
    let server = Server::start().await;
    let script = "for i in 1 2 3 4 5 6 7 8 9 10; do (sleep 0.01 &); done; sleep 0.2; \
                  (sleep 0.01 &); echo up; sleep 1000";
    let id = server.run(&shell(script)).await;
    let status = server.is_up(&id).await;
    let runner = runner_of(&status);
    let only_main = || crate::support::children_of(runner.pid) == [status.pid.unwrap()];
    wait_for(async || Some(()).filter(|()| only_main())).await;
    server.stop(&id, 1, true).await.1.unwrap();
    server.ended_run(&id).await;
}

#[tokio::test]
async fn a_server_that_nobody_needs_ends_and_one_with_a_run_does_not() {
    let mut server = Server::start().await;
    server.kill().await;
    let script = "exec \"$0\" \"$@\" --idle-exit-ms 200";
    server.start_again(&["sh", "-c", script]).await;
    let id = server.run(&shell("sleep 1; echo done")).await;
    let lines = server.output(&id).await;
    assert_eq!(lines.len(), 1);
    let (_, info) = server.call::<Info>(Method::GET, paths::INFO, "").await;
    info.unwrap();
    let ended = tokio::time::timeout(Duration::from_mins(1), server.ended()).await;
    assert!(ended.unwrap().success());
}

/// Starts an agent server as in a container, where the volume is its alone.
const IN_A_CONTAINER: [&str; 3] = ["sh", "-c", "exec \"$0\" \"$@\" --container"];

#[tokio::test]
async fn in_a_container_the_next_server_takes_the_place_of_one_that_was_forgotten() {
    let mut server = Server::start().await;
    server.kill().await;
    server.start_again(&IN_A_CONTAINER).await;
    let mut request = shell("trap '' INT TERM; echo up; while :; do sleep 1; done");
    // Longer than the next one waits.
    request.grace_ms = 60_000;
    let id = server.run(&request).await;
    server.is_up(&id).await;
    let mut forgotten = server.leave();
    server.start_again(&IN_A_CONTAINER).await;
    assert!(forgotten.wait().await.unwrap().success());
    assert_eq!(processes_of(&id), [0; 0]);
    let exit = server.ended_run(&id).await.exit.unwrap();
    assert_eq!(exit.stop_reason, Some(StopReason::AgentStopped));
    let (_, info) = server.call::<Info>(Method::GET, paths::INFO, "").await;
    info.unwrap();
}

#[tokio::test]
async fn a_server_whose_folder_was_removed_ends_with_its_runs() {
    let mut server = Server::start().await;
    let id = server.run(&shell("trap '' INT TERM; echo up; while :; do sleep 1; done")).await;
    server.is_up(&id).await;
    std::fs::remove_dir_all(server.state()).unwrap();
    tokio::time::timeout(Duration::from_mins(1), server.ended()).await.unwrap();
    wait_for(async || processes_of(&id).is_empty().then_some(())).await;
}
