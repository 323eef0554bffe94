//! The API keeps what `openapi.json` says, whatever it is sent: tried by schemathesis, which makes
//! up requests from the description and checks every answer against it. `TRINITY_TEST_EXAMPLES` says how
//! many for each operation, if not so few that everybody can wait for it.

use std::process::Stdio;

use tokio::process::Command;

use crate::event_log::support::environment;
use crate::server::Server;

const SCHEMATHESIS: &str = "schemathesis==4.32.5";

#[tokio::test]
async fn every_answer_is_as_the_description_says_and_none_is_a_server_error() {
    let server = Server::start_with_arguments(&["--demo"], &[]).await;
    server.until_phase("scout", "running").await;
    let root = env!("CARGO_MANIFEST_DIR");
    let output = Command::new(format!("{root}/scripts/python-tool"))
        .args([SCHEMATHESIS, "schemathesis", "--config-file"])
        .arg(format!("{root}/tests/schemathesis.toml"))
        .arg("run")
        .arg(format!("{}/api/openapi.json", server.url))
        // What follows the present ends with it; tests/it/streams.rs reads those two.
        .args(["--exclude-path-regex", "/stream$"])
        .args(environment("TRINITY_TEST_EXAMPLES").map(|most| format!("--max-examples={most}")))
        .env("TRINITY_TOKEN", server.token())
        // What it remembers of earlier runs goes here.
        .current_dir(&server.data_dir)
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    let report = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{report}\n{errors}");
    println!("{report}");
    server.audit().await;
}
