//! Where agents reach the server.

use std::net::{Ipv4Addr, SocketAddr};

use super::{AgentHostKind, Config};

impl Config {
    /// Where agents reach a server that serves at this address, as far as that is known: those in
    /// containers have a network of their own, if any.
    pub fn url_for_agents(&self, mut address: SocketAddr) -> Option<String> {
        match (&self.agent_url, self.agent_host) {
            (Some(url), _) => Some(url.trim_end_matches('/').to_owned()),
            (None, AgentHostKind::Process) => {
                if address.ip().is_unspecified() {
                    address.set_ip(Ipv4Addr::LOCALHOST.into());
                }
                Some(format!("http://{address}"))
            }
            (None, AgentHostKind::Docker) => None,
        }
    }
}

/// Refuses what is no URL of a server.
pub(super) fn check(text: &str) -> anyhow::Result<()> {
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    let plain = |c: char| !c.is_whitespace() && !c.is_control();
    if rest.is_some_and(|rest| !rest.is_empty() && rest.chars().all(plain)) {
        return Ok(());
    }
    anyhow::bail!("agent_url is {text:?}; it must be a URL such as http://10.0.0.1:8000")
}

#[cfg(test)]
mod tests {
    use super::super::Settings;
    use super::*;

    #[test]
    fn agents_of_this_machine_find_the_server_where_it_serves_and_others_where_it_was_said() {
        let dir = tempfile::tempdir().unwrap();
        let with = |agent_url: Option<&str>| {
            let data_dir = Some(dir.path().to_owned());
            let agent_url = agent_url.map(str::to_owned);
            Config::load(Settings { data_dir, agent_url, ..Settings::default() })
        };
        let address: SocketAddr = ([0, 0, 0, 0], 8000).into();
        let config = with(None).unwrap();
        let url = config.url_for_agents(address);
        assert_eq!(url.as_deref(), Some("http://127.0.0.1:8000"));
        let docker = Config { agent_host: AgentHostKind::Docker, ..config };
        assert_eq!(docker.url_for_agents(address), None);
        let said = with(Some("https://trinity.example/")).unwrap().url_for_agents(address);
        assert_eq!(said.as_deref(), Some("https://trinity.example"));
        for bad in ["", "trinity.example", "http://", "ftp://x", "http://a b"] {
            assert!(with(Some(bad)).is_err(), "{bad:?}");
        }
    }
}
