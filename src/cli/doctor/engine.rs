//! The Docker engine that agents live in.

use super::Check;
use crate::app::docker_options;
use crate::config::Config;
use crate::hosts::docker::{Description, DockerHost};

/// Asks the engine what it is, and whether it can start an agent.
pub(super) async fn look(config: &Config) -> Vec<Check> {
    let name = "docker";
    // Nothing is made or looked up that has an owner.
    let options = match docker_options(config, String::new()) {
        Ok(options) => options,
        Err(error) => {
            let hint = "name a file that is there, or leave it out: --agent-server FILE";
            return vec![Check::fail("agent server", format!("{error:#}"), hint)];
        }
    };
    match DockerHost::new(options).describe().await {
        Err(error) => {
            let hint = "start Docker, or name another engine: --docker-host URL";
            vec![Check::fail(name, error.to_string(), hint)]
        }
        Ok(description) => vec![engine(config, &description), image(config, &description)],
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
