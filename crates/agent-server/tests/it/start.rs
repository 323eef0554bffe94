//! Starting: once for each epoch, never too late, and with what was asked for alone.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use bytes::Bytes;
use chrono::TimeDelta;
use hyper::{Method, StatusCode};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use trinity_agent_protocol::{
    ErrorBody, ErrorCode, ExecutionState, ExecutionStatus, FileSpec, Info, SpawnErrorClass,
    StopReason, paths,
};

use crate::support::{Server, holds_text, json, now, shell};

fn refusal(answer: Result<ExecutionStatus, ErrorBody>) -> ErrorBody {
    answer.unwrap_err()
}

#[tokio::test]
async fn a_repeated_start_is_answered_and_not_repeated() {
    let server = Server::start().await;
    let request = shell("echo x >> count; sleep 60");
    let id = server.run(&request).await;
    let (code, answer) = server.put(&id, &request).await;
    assert_eq!((code, answer.unwrap().state), (StatusCode::OK, ExecutionState::Running));

    server.stop(&id, 1, true).await.1.unwrap();
    server.ended_run(&id).await;
    let (code, answer) = server.put(&id, &request).await;
    assert_eq!((code, answer.unwrap().state), (StatusCode::OK, ExecutionState::Exited));
    assert_eq!(fs::read_to_string(server.workspace().join("count")).unwrap(), "x\n");
}

#[tokio::test]
async fn of_many_starts_at_once_one_starts() {
    let server = Arc::new(Server::start().await);
    let request = Arc::new(shell("echo x >> count"));
    let starts = (0..20).map(|_| {
        let (server, request) = (Arc::clone(&server), Arc::clone(&request));
        tokio::spawn(async move { server.put("same", &request).await.0 })
    });
    let mut created = 0;
    for start in starts.collect::<Vec<_>>() {
        match start.await.unwrap() {
            StatusCode::CREATED => created += 1,
            code => assert_eq!(code, StatusCode::OK),
        }
    }
    server.ended_run("same").await;
    assert_eq!(created, 1);
    assert_eq!(fs::read_to_string(server.workspace().join("count")).unwrap(), "x\n");
}

#[tokio::test]
async fn epochs_only_go_forward() {
    let server = Server::start().await;
    let with_epoch = |epoch| {
        let mut request = shell("sleep 60");
        request.epoch = epoch;
        request
    };
    let id = server.run(&with_epoch(2)).await;
    let (code, answer) = server.put(&id, &with_epoch(1)).await;
    assert_eq!((code, refusal(answer).code), (StatusCode::CONFLICT, ErrorCode::StaleEpoch));
    let (code, answer) = server.put(&id, &with_epoch(3)).await;
    let body = refusal(answer);
    assert_eq!((code, body.code, body.epoch), (StatusCode::CONFLICT, ErrorCode::Occupied, Some(2)));
    let (code, answer) = server.stop(&id, 1, true).await;
    assert_eq!((code, refusal(answer).code), (StatusCode::CONFLICT, ErrorCode::StaleEpoch));
    assert_eq!(server.status(&id).await.state, ExecutionState::Running);

    server.stop(&id, 2, true).await.1.unwrap();
    server.ended_run(&id).await;
    assert_eq!(server.delete(&id).await, StatusCode::NO_CONTENT);
    assert_eq!(server.put(&id, &with_epoch(3)).await.0, StatusCode::CREATED);
}

#[tokio::test]
async fn a_tombstone_refuses_a_late_start_even_after_a_restart() {
    let mut server = Server::start().await;
    let (code, answer) = server.stop("late", 2, false).await;
    assert_eq!((code, answer.unwrap().state), (StatusCode::OK, ExecutionState::Tombstone));
    server.kill().await;
    server.start_again(&[]).await;

    for epoch in [1, 2] {
        let mut request = shell("echo x > started");
        request.epoch = epoch;
        let (code, answer) = server.put("late", &request).await;
        assert_eq!((code, refusal(answer).code), (StatusCode::CONFLICT, ErrorCode::Tombstone));
    }
    assert!(!server.workspace().join("started").exists());
    let mut next = shell("true");
    next.epoch = 3;
    assert_eq!(server.put("late", &next).await.0, StatusCode::CREATED);
}

#[tokio::test]
async fn a_deleted_run_cannot_come_back() {
    let mut server = Server::start().await;
    let request = shell("true");
    let (id, _) = server.exit_of(&request).await;
    assert_eq!(server.delete(&id).await, StatusCode::NO_CONTENT);
    assert_eq!(server.delete(&id).await, StatusCode::NO_CONTENT);
    assert!(!server.state().join("executions").join(&id).exists());
    server.kill().await;
    server.start_again(&[]).await;
    let (code, answer) = server.put(&id, &request).await;
    assert_eq!((code, refusal(answer).code), (StatusCode::CONFLICT, ErrorCode::Tombstone));
    assert_eq!(server.delete("unknown").await, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_run_that_does_not_fit_before_its_deadline_is_refused() {
    let server = Server::start().await;
    let mut request = shell("echo x > started");
    request.deadline = now() + TimeDelta::milliseconds(60_400);
    let (code, answer) = server.put("tight", &request).await;
    assert_eq!(
        (code, refusal(answer).code),
        (StatusCode::UNPROCESSABLE_ENTITY, ErrorCode::DeadlineTooNear)
    );
    assert!(!server.workspace().join("started").exists());
    assert!(!server.state().join("executions/tight").exists());
    request.deadline = now() + TimeDelta::minutes(2);
    assert_eq!(server.put("tight", &request).await.0, StatusCode::CREATED);
}

#[tokio::test]
async fn a_program_that_cannot_be_executed_is_named_with_its_error() {
    let server = Server::start().await;
    let plain = server.workspace().join("plain");
    fs::write(&plain, "text").unwrap();
    let plain = plain.to_str().unwrap();
    let cases = [
        ("no-such-program", SpawnErrorClass::NotFound, 2),
        ("/no/such/program", SpawnErrorClass::NotFound, 2),
        (plain, SpawnErrorClass::NotExecutable, 13),
        ("/usr", SpawnErrorClass::NotExecutable, 13),
    ];
    for (program, class, errno) in cases {
        let mut request = shell("");
        request.argv = vec![program.into()];
        let (code, answer) = server.put("x", &request).await;
        let body = refusal(answer);
        assert_eq!(code, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!((body.code, body.class), (ErrorCode::SpawnFailed, Some(class)), "{program}");
        assert_eq!(body.errno, Some(errno), "{program}");
        assert!(body.message.contains(program), "{}", body.message);
    }
    // A folder of the search path that may not be entered hides nothing.
    let closed = server.workspace().join("closed");
    fs::create_dir(&closed).unwrap();
    fs::write(closed.join("hidden"), "text").unwrap();
    let path = format!("{}:/usr/bin", closed.display());
    for (program, class) in
        [("absent", SpawnErrorClass::NotFound), ("hidden", SpawnErrorClass::NotExecutable)]
    {
        let mut request = shell("");
        request.argv = vec![program.into()];
        request.env.insert("PATH".into(), path.clone());
        let body = refusal(server.put("x", &request).await.1);
        assert_eq!(body.class, Some(class), "{program}: {}", body.message);
    }
    let mut request = shell("true");
    request.cwd = Some("/no/such/folder".into());
    let body = refusal(server.put("x", &request).await.1);
    assert_eq!(body.class, Some(SpawnErrorClass::WorkingDirectory));
    // Nothing ran and nothing stayed, so the same id and epoch can still start.
    assert_eq!(server.put("x", &shell("true")).await.0, StatusCode::CREATED);
}

#[tokio::test]
async fn a_state_folder_that_cannot_be_written_starts_nothing() {
    let server = Server::start().await;
    let executions = server.state().join("executions");
    fs::rename(&executions, server.state().join("away")).unwrap();
    fs::write(&executions, "in the way").unwrap();
    let request = shell("echo x > started");
    let (code, answer) = server.put("x", &request).await;
    let body = refusal(answer);
    assert_eq!((code, body.class), (StatusCode::SERVICE_UNAVAILABLE, Some(SpawnErrorClass::State)));
    assert!(!server.workspace().join("started").exists());

    fs::remove_file(&executions).unwrap();
    fs::rename(server.state().join("away"), &executions).unwrap();
    assert_eq!(server.put("x", &request).await.0, StatusCode::CREATED);
}

#[tokio::test]
async fn a_run_gets_its_environment_input_and_files_and_the_state_none_of_them() {
    let server = Server::start().await;
    let (_, info) = server.call::<Info>(Method::GET, paths::INFO, "").await;
    let files = info.unwrap().files;
    let mut request = shell(
        "env | sort; cat; cat \"$FILES/key.json\"; stat -c %a \"$FILES/key.json\"; echo up; sleep 60",
    );
    request.env.insert("SECRET".into(), "secret-in-environment".into());
    request.env.insert("FILES".into(), format!("{files}/with-files"));
    request.stdin = "secret-in-input\n".into();
    let content = "secret-in-file\n".into();
    request.files = vec![FileSpec { name: "key.json".into(), content, mode: 0o600 }];
    assert_eq!(server.put("with-files", &request).await.0, StatusCode::CREATED);

    server.wait_status("with-files", |status| status.last_seq >= 9).await;
    for secret in ["secret-in-environment", "secret-in-input", "secret-in-file"] {
        let mut places = vec![server.state().join("tombstones"), server.state().join("trash")];
        // What the run prints is its output; everything else must not know.
        let folder = server.state().join("executions/with-files");
        fs::rename(folder.join("out.ndjson"), server.folder.path().join("seen")).unwrap();
        places.push(folder.clone());
        assert!(!places.iter().any(|place| holds_text(place, secret)), "{secret}");
        fs::rename(server.folder.path().join("seen"), folder.join("out.ndjson")).unwrap();
    }
    server.stop("with-files", 1, true).await.1.unwrap();
    server.ended_run("with-files").await;
    let lines = server.output("with-files").await;
    let texts: Vec<_> = lines.iter().map(|line| line.line.as_str()).collect();
    let own_of_the_shell = |text: &&str| !text.starts_with("PWD=") && !text.starts_with("_=");
    let texts: Vec<_> = texts.into_iter().filter(own_of_the_shell).collect();
    let files_line = format!("FILES={files}/with-files");
    assert_eq!(
        texts,
        [
            files_line.as_str(),
            "PATH=/usr/bin:/bin",
            "SECRET=secret-in-environment",
            "TRINITY_EXECUTION_ID=with-files",
            "secret-in-input",
            "secret-in-file",
            "600",
            "up",
        ]
    );
    assert!(!std::path::Path::new(&files).join("with-files").exists());
}

#[tokio::test]
async fn a_run_inherits_no_descriptor() {
    let server = Server::start().await;
    let (id, _) = server.exit_of(&shell("exec ls /proc/self/fd")).await;
    let lines = server.output(&id).await;
    let texts: Vec<_> = lines.iter().map(|line| line.line.as_str()).collect();
    // The fourth is the folder that is listed.
    assert_eq!(texts, ["0", "1", "2", "3"]);
}

#[tokio::test]
async fn a_big_prompt_is_read_while_output_is_written() {
    let server = Server::start().await;
    let mut request = shell("cat");
    request.stdin = format!("{}\n", "x".repeat(99)).repeat(40_000);
    let (id, exit) = server.exit_of(&request).await;
    assert_eq!((exit.code, exit.last_seq), (Some(0), 40_000));
    assert!(server.output(&id).await.iter().all(|line| line.line.len() == 99));
}

#[tokio::test]
async fn a_run_has_default_signals_whatever_the_server_was_started_with() {
    let mut server = Server::start().await;
    server.kill().await;
    // As a shell starts its background jobs, and worse.
    let launcher = "trap '' INT QUIT HUP TERM USR1 USR2 ALRM PIPE; exec \"$0\" \"$@\"";
    server.start_again(&["sh", "-c", launcher]).await;
    let (id, _) = server.exit_of(&shell("exec grep SigIgn /proc/self/status")).await;
    let line = server.output(&id).await[0].line.clone();
    let ignored = u64::from_str_radix(line.trim_start_matches("SigIgn:\t"), 16).unwrap();
    // Above 31 are the real-time signals, some of which the C library keeps for itself.
    assert_eq!(ignored & 0x7fff_ffff, 0, "{line}");

    let id = server.run(&shell("exec sleep 60")).await;
    server.stop(&id, 1, false).await.1.unwrap();
    let exit = server.ended_run(&id).await.exit.unwrap();
    assert_eq!((exit.signal, exit.stop_reason), (Some(2), Some(StopReason::Cancel)));
}

#[tokio::test]
async fn a_run_gains_no_rights_unless_it_may() {
    let server = Server::start().await;
    for (allow, expected) in [(false, "NoNewPrivs:\t1"), (true, "NoNewPrivs:\t0")] {
        let mut request = shell("grep NoNewPrivs /proc/self/status; umask");
        request.allow_new_privileges = allow;
        let (id, _) = server.exit_of(&request).await;
        let lines = server.output(&id).await;
        assert_eq!((lines[0].line.as_str(), lines[1].line.as_str()), (expected, "0022"));
    }
}

#[tokio::test]
async fn a_user_of_its_own_needs_root() {
    let server = Server::start().await;
    let files = server.folder.path().join("files/own-user");
    let mut request = shell("id -u; id -g; id -G; cat \"$FILES/key\"");
    request.env.insert("FILES".into(), files.to_str().unwrap().into());
    request.files = vec![FileSpec { name: "key".into(), content: "k".into(), mode: 0o600 }];
    (request.uid, request.gid) = (Some(65_534), Some(65_534));
    request.cwd = Some("/".into());
    fs::set_permissions(server.folder.path(), fs::Permissions::from_mode(0o711)).unwrap();
    let (code, answer) = server.put("own-user", &request).await;
    if nix::unistd::geteuid().is_root() {
        assert_eq!(code, StatusCode::CREATED, "{answer:?}");
        let lines = server.output("own-user").await;
        let texts: Vec<_> = lines.iter().map(|line| line.line.as_str()).collect();
        assert_eq!(texts, ["65534", "65534", "65534", "k"]);
    } else {
        assert_eq!(refusal(answer).code, ErrorCode::SpawnFailed);
    }
}

#[tokio::test]
async fn bad_requests_are_refused_in_words() {
    let server = Server::start().await;
    let mut no_program = shell("");
    no_program.argv.clear();
    let cases: [(Method, &str, Bytes, StatusCode, ErrorCode); 7] = [
        (
            Method::PUT,
            "/executions/x",
            "{".into(),
            StatusCode::BAD_REQUEST,
            ErrorCode::InvalidRequest,
        ),
        (
            Method::PUT,
            "/executions/x",
            json(&no_program),
            StatusCode::BAD_REQUEST,
            ErrorCode::InvalidRequest,
        ),
        (
            Method::PUT,
            "/executions/a%2Fb",
            json(&shell("")),
            StatusCode::BAD_REQUEST,
            ErrorCode::InvalidRequest,
        ),
        (
            Method::GET,
            "/executions/x/output?after=-1",
            "".into(),
            StatusCode::BAD_REQUEST,
            ErrorCode::InvalidRequest,
        ),
        (
            Method::GET,
            "/executions/x/output",
            "".into(),
            StatusCode::NOT_FOUND,
            ErrorCode::NotFound,
        ),
        (Method::GET, "/nowhere", "".into(), StatusCode::NOT_FOUND, ErrorCode::NotFound),
        (
            Method::POST,
            "/info",
            "".into(),
            StatusCode::METHOD_NOT_ALLOWED,
            ErrorCode::MethodNotAllowed,
        ),
    ];
    for (method, path, body, code, word) in cases {
        let (status, answer) = server.call::<ExecutionStatus>(method, path, body).await;
        assert_eq!((status, refusal(answer).code), (code, word), "{path}");
    }
    let big = vec![b' '; trinity_agent_protocol::REQUEST_BYTES_MAX + 1];
    let (status, answer) = server.call::<ExecutionStatus>(Method::PUT, "/executions/x", big).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(refusal(answer).code, ErrorCode::InvalidRequest);
}

#[tokio::test]
async fn a_second_server_on_the_same_folder_is_refused() {
    let server = Server::start().await;
    let second = server.command(&[env!("CARGO_BIN_EXE_trinity-agent")]).output().await.unwrap();
    assert!(!second.status.success());
    let said = String::from_utf8_lossy(&second.stderr);
    assert!(said.contains("another agent server has"), "{said}");
    let (code, _) = server.call::<Info>(Method::GET, paths::INFO, "").await;
    assert_eq!(code, StatusCode::OK);
}

#[tokio::test]
async fn a_bridge_joins_two_pipes_to_the_socket() {
    let server = Server::start().await;
    let mut bridge = Command::new(env!("CARGO_BIN_EXE_trinity-agent"))
        .arg("bridge")
        .arg(server.socket())
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let call = b"GET /info HTTP/1.1\r\nhost: agent\r\nconnection: close\r\n\r\n";
    // The pipe stays open: the bridge must end with the socket, not with its input.
    let mut stdin = bridge.stdin.take().unwrap();
    stdin.write_all(call).await.unwrap();
    let output = bridge.wait_with_output().await.unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("HTTP/1.1 200") && text.contains("\"protocol\":1"), "{text}");
    assert!(output.status.success());
}

#[tokio::test]
async fn a_list_shows_every_run_and_no_tombstone() {
    let server = Server::start().await;
    let (first, _) = server.exit_of(&shell("echo oops >&2")).await;
    let second = server.run(&shell("sleep 60")).await;
    server.stop("unknown", 1, false).await.1.unwrap();
    let (_, list) = server.call::<Vec<ExecutionStatus>>(Method::GET, paths::EXECUTIONS, "").await;
    let list: BTreeMap<_, _> = list.unwrap().into_iter().map(|one| (one.id.clone(), one)).collect();
    assert_eq!(list.len(), 2);
    assert_eq!(list[&first].exit.as_ref().unwrap().stderr_tail, "");
    assert_eq!(server.status(&first).await.exit.unwrap().stderr_tail, "oops\n");
    assert_eq!(list[&second].state, ExecutionState::Running);
}
