//! What people see: the same commands with a terminal as their output.

use std::fs::File;
use std::io::Read as _;
use std::process::Stdio;

use nix::pty::{Winsize, openpty};

use super::support::User;
use crate::server::Server;

const COLUMNS: u16 = 60;

/// Runs a command whose output is a terminal; gives what it showed.
async fn show(user: &User, words: &[&str]) -> String {
    let size = Winsize { ws_row: 24, ws_col: COLUMNS, ws_xpixel: 0, ws_ypixel: 0 };
    let terminal = openpty(&size, None).unwrap();
    let mut command = user.command(words);
    command
        .stdout(Stdio::from(terminal.slave.try_clone().unwrap()))
        .stderr(Stdio::from(terminal.slave))
        .env("TERM", "xterm-256color");
    let mut child = command.spawn().unwrap();
    // The terminal ends for its reader when nobody else holds the other side.
    drop(command);
    let reader = tokio::task::spawn_blocking(move || {
        let mut shown = Vec::new();
        let _hung_up = File::from(terminal.master).read_to_end(&mut shown);
        String::from_utf8(shown).unwrap()
    });
    let status = tokio::time::timeout(crate::server::WAIT_MAX, child.wait()).await.unwrap();
    assert!(status.unwrap().success());
    reader.await.unwrap()
}

#[tokio::test]
async fn a_table_fits_the_terminal_and_is_colored_unless_told_otherwise() {
    let server = Server::start().await;
    server.agent("scout").await;
    let id = server.task("scout", &format!("#!demo\nsay {}", "word ".repeat(100))).await;
    server.until_status(&id, "completed").await;

    let user = User::of(&server);
    let colored = show(&user, &["agent", "ls"]).await;
    assert!(colored.contains("scout") && colored.contains("\u{1b}["), "{colored:?}");
    let plain = show(&user.with("NO_COLOR", "1"), &["agent", "ls"]).await;
    assert!(plain.contains("scout") && !plain.contains('\u{1b}'), "{plain:?}");

    let user = User::of(&server).with("NO_COLOR", "1");
    let table = show(&user, &["exec", "ls"]).await;
    let widest = table.lines().map(|line| line.chars().count()).max().unwrap();
    assert!(widest <= usize::from(COLUMNS), "{widest} columns:\n{table}");
    assert!(table.contains(&id[24..]), "an id is never cut:\n{table}");
    assert_eq!(table.lines().count(), 2, "one line for each execution:\n{table}");
}

#[tokio::test]
async fn a_run_on_a_terminal_shows_what_it_does_and_leaves_its_answer() {
    let server = Server::start().await;
    server.agent("scout").await;
    let user = User::of(&server);
    let message = "#!demo\nsay before\ntool Bash {\"command\":\"make\"} => ok\nsleep 1\nsay after";
    let shown = show(&user, &["run", "scout", message]).await;
    let plain = console::strip_ansi_codes(&shown).into_owned();
    for seen in ["before", "→ Bash make", "after", "✓ completed", "scout is running"] {
        assert!(plain.contains(seen), "no {seen:?} in {plain:?}");
    }
}
