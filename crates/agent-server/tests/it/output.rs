//! Output: every line once, numbered without a gap, whatever bytes a process writes.

use std::fs;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tokio::process::Command;
use trinity_agent_protocol::{
    ExecutionState, LINE_BYTES_MAX, LineStream, STDERR_TAIL_BYTES_MAX, paths,
};

use crate::support::{Server, runner_of, shell};

#[tokio::test]
async fn lines_are_numbered_over_both_streams_and_replayed_from_any() {
    let server = Server::start().await;
    // The pauses order the two pipes, which are read as they become ready.
    let script = "echo a; sleep 0.1; echo b >&2; sleep 0.1; echo c; printf end";
    let (id, exit) = server.exit_of(&shell(script)).await;
    let all = server.output(&id).await;
    let seen: Vec<_> = all.iter().map(|l| (l.seq, l.stream, l.line.as_str(), l.partial)).collect();
    let (out, err) = (LineStream::Stdout, LineStream::Stderr);
    assert_eq!(
        seen,
        [(1, out, "a", false), (2, err, "b", false), (3, out, "c", false), (4, out, "end", true)]
    );
    assert_eq!(exit.last_seq, 4);
    for after in 0..6 {
        let rest = server.lines(&paths::follow(&id, after)).await;
        assert_eq!(rest, all[usize::try_from(after).unwrap().min(4)..]);
        let one = server.lines(&paths::output(&id, after, 1)).await;
        assert_eq!(one, rest[..rest.len().min(1)]);
    }
    let stored = server.state().join("executions").join(&id).join("out.ndjson");
    assert_eq!(fs::read_to_string(stored).unwrap().lines().count(), 4);
}

#[tokio::test]
async fn a_follower_sees_a_line_while_the_run_goes_on() {
    let server = Server::start().await;
    // It ends when the test has seen the line, or the run's timeout fails the test.
    let script = "echo first; until [ -e go ]; do sleep 0.02; done; echo last";
    let id = server.run(&shell(script)).await;
    let stream = UnixStream::connect(server.socket()).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = Request::get(paths::follow(&id, 0)).header("host", "agent");
    let answer = sender.send_request(request.body(Empty::<Bytes>::new()).unwrap()).await.unwrap();
    let mut body = answer.into_body();
    let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert!(first.starts_with(b"{\"seq\":1,") && first.ends_with(b"\n"));
    assert_eq!(server.lines(&paths::output(&id, 0, 10)).await.len(), 1);
    fs::write(server.workspace().join("go"), "").unwrap();
    let rest = body.collect().await.unwrap().to_bytes();
    assert!(rest.starts_with(b"{\"seq\":2,"));
}

#[tokio::test]
async fn long_lines_are_kept_and_over_long_ones_marked() {
    let server = Server::start().await;
    let script = format!(
        "head -c 3000000 /dev/zero | tr '\\0' x; echo; \
         head -c {} /dev/zero | tr '\\0' y; echo; echo after",
        LINE_BYTES_MAX + 7
    );
    let (id, exit) = server.exit_of(&shell(&script)).await;
    assert_eq!((exit.code, exit.last_seq), (Some(0), 3));
    let lines = server.output(&id).await;
    assert_eq!((lines[0].line.len(), lines[0].truncated), (3_000_000, None));
    assert_eq!(lines[1].line.len(), LINE_BYTES_MAX);
    assert_eq!(lines[1].truncated, Some(LINE_BYTES_MAX as u64 + 7));
    assert_eq!(lines[2].line, "after");
}

#[tokio::test]
async fn a_hundred_thousand_lines_keep_their_order() {
    let server = Server::start().await;
    let id = server.run(&shell("seq 1 100000")).await;
    // Followed while they are written, and read again in two halves afterwards.
    let lines = server.output(&id).await;
    assert_eq!(lines.len(), 100_000);
    for (line, number) in lines.iter().zip(1_u64..) {
        assert_eq!((line.seq, line.line.as_str()), (number, number.to_string().as_str()));
    }
    let first = server.lines(&paths::output(&id, 0, 61_234)).await;
    let second = server.lines(&paths::output(&id, 61_234, 100_000)).await;
    assert_eq!([first, second].concat(), lines);
}

#[tokio::test]
async fn bytes_that_are_no_text_are_kept_as_they_were() {
    let server = Server::start().await;
    let script = r"printf 'ok \377\376 \001 end\nplain\n\000\n\r\n'";
    let (id, _) = server.exit_of(&shell(script)).await;
    let lines = server.output(&id).await;
    assert_eq!(lines[0].bytes().as_ref(), b"ok \xff\xfe \x01 end");
    assert_eq!(lines[0].line, "ok \u{fffd}\u{fffd} \u{1} end");
    assert_eq!((lines[1].line.as_str(), &lines[1].raw), ("plain", &None));
    assert_eq!((lines[2].line.as_str(), &lines[2].raw), ("\0", &None));
    assert_eq!(lines[3].line, "\r");
}

#[tokio::test]
async fn five_megabytes_of_stderr_are_stored_and_their_tail_reported() {
    let server = Server::start().await;
    let script = "yes 0123456789012345678901234567890123456789012345678 | head -100000 >&2; \
                  echo the reason >&2; exit 9";
    let (id, exit) = server.exit_of(&shell(script)).await;
    assert_eq!((exit.code, exit.last_seq, exit.dropped_lines), (Some(9), 100_001, 0));
    assert_eq!(exit.stderr_tail.len(), STDERR_TAIL_BYTES_MAX);
    assert!(exit.stderr_tail.ends_with("the reason\n"));
    let last = server.lines(&paths::output(&id, 100_000, 10)).await;
    assert_eq!((last.len(), last[0].line.as_str()), (1, "the reason"));
}

#[tokio::test]
async fn closed_pipes_do_not_end_a_run() {
    let server = Server::start().await;
    let id = server.run(&shell("echo up; exec >&- 2>&- <&-; sleep 0.5; exit 4")).await;
    let exit = server.ended_run(&id).await.exit.unwrap();
    assert_eq!(exit.code, Some(4));
    assert!(Duration::from_millis(exit.duration_ms) >= Duration::from_millis(500));
    assert_eq!(server.output(&id).await.len(), 1);
}

#[tokio::test]
async fn a_run_without_output_has_none() {
    let server = Server::start().await;
    let (id, exit) = server.exit_of(&shell("true")).await;
    assert_eq!((exit.last_seq, exit.swept, exit.stderr_tail.as_str()), (0, 0, ""));
    assert!(server.output(&id).await.is_empty());
}

#[tokio::test]
async fn a_disk_that_takes_nothing_stalls_a_run_and_loses_nothing() {
    let mut server = Server::start().await;
    server.kill().await;
    // A bound on file sizes stands for the full disk: both fail the write in the middle of a line.
    server.start_again(&["sh", "-c", "ulimit -S -f 64; exec \"$0\" \"$@\""]).await;
    let id = server.run(&shell("seq 1 100000")).await;
    let stalled = server.wait_status(&id, |status| status.problem.is_some()).await;
    assert_eq!(stalled.state, ExecutionState::Running);
    assert!(stalled.last_seq < 100_000);
    let stored = server.output_so_far(&id).await.len() as u64;
    assert_eq!(stored, stalled.last_seq.min(1_000));

    let runner = runner_of(&stalled).pid.to_string();
    let freed = Command::new("prlimit").args(["--pid", &runner, "--fsize=unlimited"]).status();
    assert!(freed.await.unwrap().success());
    let status = server.ended_run(&id).await;
    let exit = status.exit.unwrap();
    assert_eq!((exit.code, exit.last_seq, exit.dropped_lines), (Some(0), 100_000, 0));
    assert_eq!(status.problem, None);
    let lines = server.output(&id).await;
    assert!(lines.iter().zip(1_u64..).all(|(line, n)| line.seq == n && line.line == n.to_string()));
}
