//! What of an engine is ours: it has our labels, and the name that they say.
//!
//! Labels alone prove nothing. An image that somebody committed from an agent's container has them too,
//! and hands them on to every container that is made of it; a name is given once.

use std::collections::HashMap;

use bollard::Docker;
use bollard::models::{ContainerSummary, Network, Volume};
use bollard::query_parameters::ListContainersOptionsBuilder;
use uuid::Uuid;

use super::container::{self, AGENT_NAME, Found, INCARNATION};
use super::{DockerHost, Error};
use crate::hosts::PLATFORM_LABEL;

/// What the engine looks for.
type Filters = HashMap<String, Vec<String>>;

impl DockerHost {
    /// The labels of everything that belongs to one agent.
    pub(super) fn labels_of(&self, incarnation: Uuid) -> Filters {
        let mut filters = self.labels_of_all();
        let of_one = format!("{INCARNATION}={incarnation}");
        filters.entry("label".to_owned()).or_default().push(of_one);
        filters
    }

    /// The label of everything that belongs to an agent of this platform.
    pub(super) fn labels_of_all(&self) -> Filters {
        let platform = format!("{PLATFORM_LABEL}={}", self.options.platform);
        HashMap::from([("label".to_owned(), vec![platform])])
    }

    /// The containers of agents with these labels.
    pub(super) async fn containers(
        &self,
        docker: &Docker,
        labels: &Filters,
    ) -> Result<Vec<Found>, Error> {
        let options = ListContainersOptionsBuilder::new().all(true).filters(labels).build();
        let listed = docker.list_containers(Some(options)).await;
        let listed = self.engine.told("cannot list containers", listed)?;
        Ok(listed.into_iter().filter(is_own_container).filter_map(Found::of).collect())
    }

    /// The agent's container.
    pub(super) async fn find(
        &self,
        docker: &Docker,
        incarnation: Uuid,
    ) -> Result<Option<Found>, Error> {
        Ok(self.containers(docker, &self.labels_of(incarnation)).await?.into_iter().next())
    }
}

/// Whether a container with an agent's labels has the agent's name too.
fn is_own_container(container: &ContainerSummary) -> bool {
    let names = container.names.iter().flatten().map(|name| name.trim_start_matches('/'));
    is_own(container.labels.as_ref(), container::container_name, names)
}

/// The same for a volume.
pub(super) fn is_own_volume(volume: &Volume) -> bool {
    is_own(Some(&volume.labels), container::volume_name, [volume.name.as_str()])
}

/// The same for a network.
pub(super) fn is_own_network(network: &Network) -> bool {
    is_own(network.labels.as_ref(), container::container_name, network.name.as_deref())
}

fn is_own<'n>(
    labels: Option<&HashMap<String, String>>,
    name_of: fn(&str) -> String,
    names: impl IntoIterator<Item = &'n str>,
) -> bool {
    let agent = labels.and_then(|labels| labels.get(AGENT_NAME));
    let own = agent.map(|agent| name_of(agent));
    own.is_some_and(|own| names.into_iter().any(|name| name == own))
}
