//! Every command in the README works as it stands there.

use std::process::Stdio;

use tokio::process::Command;

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

#[tokio::test]
async fn every_command_in_the_readme_works() {
    let server = Server::start_with_arguments(&["--demo"], &[]).await;
    server.until_phase("scout", "running").await;
    let script: Vec<String> =
        blocks().iter().flat_map(|block| block.lines().map(runnable).collect::<Vec<_>>()).collect();
    let bin = std::path::Path::new(EXECUTABLE).parent().unwrap();
    let path = format!("{}:{}", bin.display(), environment("PATH").unwrap());
    let output = Command::new("bash")
        .args(["-euo", "pipefail", "-c", &script.join("\n")])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("PATH", path)
        .env("TRINITY_DATA_DIR", &server.data_dir)
        .envs(server.database_url.as_ref().map(|url| ("TRINITY_DATABASE_URL", url)))
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    assert!(
        output.status.success(),
        "{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
