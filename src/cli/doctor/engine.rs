//! The Docker engine that agents live in.

use super::Check;
use crate::app;
use crate::config::Config;
use crate::hosts::docker::{AgentServerChoice, Description, DockerHost};

/// What the check of the agent server is called.
const AGENT_SERVER: &str = "agent server";

/// Asks the engine what it is, and whether it can start an agent.
pub(super) async fn look(config: &Config) -> Vec<Check> {
    let (chosen, agent_server) = match app::agent_server(config) {
        Ok(chosen) => {
            let check = agent_server(&chosen);
            (chosen, check)
        }
        Err(error) => {
            let hint = "name one that is linked statically, or none: --agent-server FILE";
            return vec![Check::fail(AGENT_SERVER, format!("{error:#}"), hint)];
        }
    };
    // Nothing is made or looked up that has an owner.
    let options = app::docker_options(config, chosen.copied(), String::new());
    match DockerHost::new(options).describe().await {
        Err(error) => {
            let hint = "start Docker, or name another engine: --docker-host URL";
            vec![Check::fail("docker", error.to_string(), hint), agent_server]
        }
        Ok(found) => vec![engine(config, &found), image(config, &found), agent_server],
    }
}

fn agent_server(chosen: &AgentServerChoice) -> Check {
    match chosen {
        AgentServerChoice::Named(_) | AgentServerChoice::Beside(_) | AgentServerChoice::OfImage => {
            Check::ok(AGENT_SERVER, chosen.to_string())
        }
        AgentServerChoice::Ignored { .. } => {
            let hint = "put one there that is linked statically, or name one: --agent-server FILE";
            Check::warn(AGENT_SERVER, chosen.to_string(), hint)
        }
    }
}

fn engine(config: &Config, found: &Description) -> Check {
    let name = "docker";
    let (address, version) = (&config.docker_host, &found.version);
    let detail = format!("{address} is Docker {version}, spoken to by API {}", found.api_version);
    if found.limits_missing.is_empty() {
        return Check::ok(name, detail);
    }
    let hint =
        "let its kernel account for them, see the boot parameters cgroup_enable, swapaccount";
    let missing = found.limits_missing.join(", ");
    Check::warn(name, format!("{detail}; it cannot limit: {missing}"), hint)
}

fn image(config: &Config, found: &Description) -> Check {
    let name = "agent image";
    let image = &config.agent_image;
    if found.has_image {
        return Check::ok(name, format!("{image} is there"));
    }
    let hint = "load or build it, or name another one: --agent-image IMAGE";
    Check::fail(name, format!("{image} is not there"), hint)
}

#[cfg(test)]
mod tests {
    use super::super::Status;
    use super::*;
    use crate::config::Settings;

    #[test]
    fn a_missing_image_fails_and_a_missing_limit_warns() {
        let data_dir = Some(std::path::PathBuf::from("/nowhere"));
        let config = Config::load(Settings { data_dir, ..Settings::default() }).unwrap();
        let mut found = Description {
            version: "20.10".into(),
            api_version: "1.41".into(),
            has_image: true,
            limits_missing: Vec::new(),
        };
        assert_eq!(engine(&config, &found).status, Status::Ok);
        assert_eq!(image(&config, &found).status, Status::Ok);
        found.has_image = false;
        found.limits_missing = vec!["swap"];
        assert_eq!(image(&config, &found).status, Status::Fail);
        let warned = engine(&config, &found);
        assert_eq!(warned.status, Status::Warn);
        assert!(warned.detail.contains("swap"), "{}", warned.detail);
    }
}
