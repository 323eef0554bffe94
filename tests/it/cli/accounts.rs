//! Logging in, and who is let in.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, BufReader};

use super::support::User;
use crate::server::Server;

const PASSWORD: &str = "correct horse";

async fn server() -> Server {
    Server::start_with(&[("TRINITY_ADMIN_PASSWORD", PASSWORD)]).await
}

#[tokio::test]
async fn a_login_is_kept_privately_and_used_by_later_commands() {
    let server = server().await;
    let user = User::new();
    user.run(&["agent", "ls"]).await.exits(8);
    let login = ["login", &server.url, "--text"];
    let done = user.run_with_input(&login, &format!("{PASSWORD}\n")).await.exits(0);
    assert!(done.stdout.contains("as admin"), "{}", done.stdout);
    let kept = user.path(".config/trinity/login.toml");
    assert_eq!(std::fs::metadata(&kept).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!std::fs::read_to_string(&kept).unwrap().contains(PASSWORD));
    assert_eq!(user.run(&["agent", "ls"]).await.exits(0).json(), serde_json::json!([]));
}

#[tokio::test]
async fn a_wrong_password_changes_nothing() {
    let server = server().await;
    let user = User::new();
    let done = user.run_with_input(&["login", &server.url], "wrong\n").await.exits(3);
    let done = done.says("the name or the password is wrong").says("hint: trinity login");
    assert!(!done.stderr.contains("wrong\n\n"), "{}", done.stderr);
    assert!(!user.path(".config/trinity/login.toml").exists());
    user.run_with_input(&["login", &server.url], "").await.exits(2).says("empty");
}

#[tokio::test]
async fn a_token_that_is_not_valid_is_not_let_in_and_named() {
    let server = server().await;
    let user = User::of(&server).with("TRINITY_TOKEN", "nonsense");
    for words in [&["agent", "ls"][..], &["events", "tail"], &["run", "scout", "hi"]] {
        user.run(words).await.exits(3).says("TRINITY_TOKEN");
    }
    let user = User::new().with("TRINITY_URL", &server.url);
    user.run(&["agent", "ls"]).await.exits(3).says(&format!("trinity login {}", server.url));
    let token = std::fs::read_to_string(server.data_dir.join("local-token")).unwrap();
    let user = user.with("TRINITY_TOKEN", token);
    user.run(&["agent", "ls"]).await.exits(0);
}

#[tokio::test]
async fn the_link_of_the_first_run_lets_the_password_be_chosen_once() {
    let user = User::new();
    let mut serve = user.command(&["serve", "--listen", "127.0.0.1:0", "--data-dir", "data"]);
    let mut server = serve.stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(server.stderr.take().unwrap()).lines();
    let link = loop {
        let line = lines.next_line().await.unwrap().expect("the server says how to get in");
        if let Some(at) = line.find("http://").filter(|_| line.contains("/setup?token=")) {
            break line[at..].trim().to_owned();
        }
    };
    let url = link.split_once("/setup?").unwrap().0;
    let done = user.run_with_input(&["login", url], "anything\n").await.exits(3);
    done.says("no administrator yet").says("trinity login 'LINK'");
    user.run_with_input(&["login", &link], "short\n").await.exits(2).says("8");
    user.run_with_input(&["login", &link], &format!("{PASSWORD}\n")).await.exits(0);
    let agents = user.run(&["agent", "ls"]).await.exits(0).json();
    let names: Vec<_> = agents.as_array().unwrap().iter().map(|agent| &agent["name"]).collect();
    assert_eq!(names, ["trinity-system"]);
    user.run_with_input(&["login", &link], "another password\n").await.exits(3);
    user.run_with_input(&["login", url], &format!("{PASSWORD}\n")).await.exits(0);
}
