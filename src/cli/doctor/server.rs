//! The server of this data directory, if one runs.

use std::net::TcpListener;
use std::time::Duration;

use super::Check;
use crate::cli::server::Running;
use crate::cli::wire::Health;
use crate::config::Config;

/// How long the server may take to say how it is.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// Asks the server how it is; where none runs, looks whether one could listen.
pub(super) async fn look(config: &Config, running: &Running) -> Vec<Check> {
    let name = "server";
    match running {
        Running::No => {
            vec![Check::ok(name, "no server runs here; start one: trinity serve"), port(config)]
        }
        Running::Unknown(error) => {
            let detail = format!("whether one runs is not known: {error}");
            vec![Check::warn(name, detail, "run as the server's user")]
        }
        Running::Yes(None) => {
            let detail = "a server is starting or ending, or another command works here";
            vec![Check::warn(name, detail, "look again in a moment")]
        }
        Running::Yes(Some(url)) => vec![ask(url).await],
    }
}

async fn ask(url: &str) -> Check {
    let name = "server";
    let health = match read_health(url).await {
        Ok(health) => health,
        Err(error) => {
            let hint = "read its log; if it hangs, end it and start it again: trinity serve";
            return Check::fail(name, format!("{url} does not answer: {error}"), hint);
        }
    };
    let own = env!("CARGO_PKG_VERSION");
    let detail = format!("{url} is {}, version {}", health.status, health.version);
    if health.status != "healthy" {
        return Check::warn(name, detail, "see which read model stands still: trinity health");
    }
    if health.version != own {
        return Check::warn(name, detail, format!("this executable is {own}; restart the server"));
    }
    Check::ok(name, detail)
}

async fn read_health(url: &str) -> Result<Health, reqwest::Error> {
    let client = reqwest::Client::builder().timeout(ANSWER_MAX).no_proxy().build()?;
    client.get(format!("{url}/api/health")).send().await?.error_for_status()?.json().await
}

/// Tries to listen where the server would.
fn port(config: &Config) -> Check {
    let address = config.listen;
    match TcpListener::bind(address) {
        Ok(_) => Check::ok("port", format!("{address} is free")),
        Err(error) => {
            let hint = "end what listens there, or choose another address: --listen ADDR";
            Check::fail("port", format!("{address} cannot be listened on: {error}"), hint)
        }
    }
}
