//! What the command line does without a server.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;

use super::support::{User, finish};

/// A port on which nothing listens: it was free a moment ago.
fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[tokio::test]
async fn what_cannot_be_meant_is_a_usage_error_that_names_it() {
    let user = User::new();
    let cases: [(&[&str], &str); 12] = [
        (&["agnet"], "agnet"),
        (&["agent", "create", "My Scout!"], "my-scout"),
        (&["agent", "create", "scout", "--capacity", "many"], "many"),
        (&["agent", "autonomy", "scout", "maybe"], "maybe"),
        (&["run", "scout"], "MESSAGE"),
        (&["run", "scout", "hi", "--detach", "--wait"], "--detach"),
        (&["run", "scout", "hi", "--parent", "7"], "--parent"),
        (&["exec", "show", "../etc"], "trinity exec ls"),
        (&["exec", "ls", "--from", "41"], "yesterday 10:00"),
        (&["agent", "ls", "--json", "--text"], "--json"),
        (&["rebuild", "a/b"], "a/b"),
        (&["agent", "ls", "--url", "ftp://a"], "http://"),
    ];
    for (words, named) in cases {
        let done = user.run(words).await.exits(2);
        assert!(done.stderr.contains(named), "{words:?}: {}", done.stderr);
        assert_eq!(done.stdout, "", "{words:?}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unreachable_whatever_is_asked() {
    let url = format!("http://127.0.0.1:{}", closed_port());
    let user = User::new().with("TRINITY_URL", &url).with("TRINITY_TOKEN", "t");
    let id = "0199a0b1-c2d3-7e4f-8a5b-00c7d8e9f0a1";
    let commands: [&[&str]; 10] = [
        &["agent", "ls"],
        &["agent", "create", "scout"],
        &["agent", "stop", "scout"],
        &["run", "scout", "hello"],
        &["exec", "ls"],
        &["exec", "logs", "-f", id],
        &["events", "tail"],
        &["queue", "clear", "scout"],
        &["health"],
        &["login"],
    ];
    for words in commands {
        let done = user.run(words).await.exits(8);
        assert!(
            done.stderr.starts_with(&format!("error: cannot reach {url}: ")),
            "{}",
            done.stderr
        );
        assert!(done.stderr.contains("\nhint: "), "{}", done.stderr);
        assert_eq!(done.stdout, "");
    }
}

#[tokio::test]
async fn a_message_is_read_from_standard_input_before_the_server_is_called() {
    let user = User::new().with("TRINITY_URL", format!("127.0.0.1:{}", closed_port()));
    user.run_with_input(&["run", "scout", "-"], "hello").await.exits(8);
    let mut broken = user.command(&["run", "scout", "-"]);
    broken.stdin(std::fs::File::open("/proc/self/mem").unwrap());
    let done = finish(broken.spawn().unwrap()).await.exits(2);
    assert!(done.stderr.contains("cannot read the message"), "{}", done.stderr);
}

/// Reads a request's head and body from a connection; gives the head.
fn request(stream: &std::net::TcpStream) -> String {
    let mut reader = BufReader::new(stream);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if let Some(value) = line.strip_prefix("content-length: ") {
            length = value.trim().parse().unwrap();
        }
        if line.trim().is_empty() {
            break;
        }
        head.push_str(&line);
    }
    reader.read_exact(&mut vec![0; length]).unwrap();
    head
}

#[tokio::test]
async fn a_task_whose_answer_is_lost_is_sent_again_under_the_same_key() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        let lost = request(&listener.accept().unwrap().0);
        let (mut second, _) = listener.accept().unwrap();
        let repeated = request(&second);
        let body = r#"{"execution_id":"0199a0b1-c2d3-7e4f-8a5b-00c7d8e9f0a1","status":"accepted"}"#;
        let length = body.len();
        let head = format!("HTTP/1.1 202 Accepted\r\ncontent-length: {length}\r\n\r\n");
        second.write_all(format!("{head}{body}").as_bytes()).unwrap();
        [lost, repeated]
    });
    let user = User::new().with("TRINITY_URL", address.to_string());
    user.run(&["run", "scout", "hello", "--detach"]).await.exits(0);
    let keys = server.join().unwrap().map(|head| {
        head.lines().find_map(|line| line.strip_prefix("idempotency-key: ").map(str::to_owned))
    });
    assert!(keys[0].is_some());
    assert_eq!(keys[0], keys[1]);
}

#[tokio::test]
async fn without_any_server_the_next_steps_are_told() {
    let user = User::new();
    let done = user.run(&["agent", "ls"]).await.exits(8);
    assert!(done.stderr.contains("trinity serve"), "{}", done.stderr);
    assert!(done.stderr.contains("trinity login URL"), "{}", done.stderr);
}

#[tokio::test]
async fn the_server_of_a_data_directory_is_found_by_its_files() {
    let user = User::new().with("TRINITY_DATA_DIR", "data");
    let url = format!("http://127.0.0.1:{}", closed_port());
    std::fs::create_dir(user.path("data")).unwrap();
    std::fs::write(user.path("data/local-token"), "t").unwrap();
    std::fs::write(user.path("data/address"), &url).unwrap();
    let done = user.run(&["agent", "ls"]).await.exits(8);
    assert!(done.stderr.contains(&url), "{}", done.stderr);
    // A directory that is named wins over that of the environment.
    let done = user.run(&["agent", "ls", "--data-dir", "other"]).await.exits(8);
    assert!(done.stderr.contains("other"), "{}", done.stderr);
}

#[tokio::test]
async fn a_login_file_that_cannot_be_understood_is_named() {
    let user = User::new();
    std::fs::create_dir_all(user.path(".config/trinity")).unwrap();
    std::fs::write(user.path(".config/trinity/login.toml"), "url = 7").unwrap();
    let done = user.run(&["agent", "ls"]).await.exits(3);
    assert!(done.stderr.contains("login.toml"), "{}", done.stderr);
    assert!(done.stderr.contains("trinity login URL"), "{}", done.stderr);
}

#[tokio::test]
async fn every_shell_gets_completions_that_it_accepts() {
    let user = User::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = user.run(&["completions", shell]).await.exits(0).stdout;
        for word in ["agent", "exec", "autonomy", "allowed-tools"] {
            assert!(script.contains(word), "{shell} does not complete {word}");
        }
        assert!(!script.contains("fake-claude"), "{shell} completes what nobody types");
        assert_is_accepted(&user, shell, &script);
        let broken = format!("{script}\nif\necho (\n");
        assert!(!read_by(&user, shell, &broken).status.success(), "{shell} accepts anything");
    }
}

/// Lets the shell read a script without running it.
fn read_by(user: &User, shell: &str, script: &str) -> std::process::Output {
    let path = user.path("completions");
    std::fs::write(&path, script).unwrap();
    let mut command = std::process::Command::new(shell);
    command.arg("-n").arg(&path).env("HOME", user.path(""));
    command.output().unwrap_or_else(|error| panic!("{shell}: {error}; run: make test"))
}

#[track_caller]
fn assert_is_accepted(user: &User, shell: &str, script: &str) {
    let read = read_by(user, shell, script);
    let said = String::from_utf8_lossy(&read.stderr);
    assert!(read.status.success() && said.is_empty(), "{shell}: {said}");
}

#[tokio::test]
async fn the_help_is_what_was_agreed_on() {
    let user = User::new();
    let commands: [&[&str]; 6] =
        [&[], &["agent"], &["agent", "create"], &["run"], &["exec"], &["exec", "ls"]];
    let mut help = String::new();
    for words in commands {
        let words = [words, &["--help"]].concat();
        let done = user.run(&words).await.exits(0);
        help.extend(["$ trinity ", &words.join(" "), "\n", &done.stdout, "\n"]);
    }
    insta::assert_snapshot!(help);
}

#[tokio::test]
async fn output_whose_reader_has_gone_is_no_failure() {
    let user = User::new();
    let script = user.path("gone.sh");
    let program = env!("CARGO_BIN_EXE_trinity");
    // The reader is gone before the first byte: the pipe is closed on both commands' ends.
    std::fs::write(&script, format!("set -o pipefail\n{program} completions bash | true\n"))
        .unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    let done = std::process::Command::new("bash").arg(&script).output().unwrap();
    let stderr = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success() && !stderr.contains("panicked"), "{stderr}");
}
