//! What an agent has beside its container: its volume, its network, and whose they are.

use std::collections::HashMap;

use bollard::Docker;
use bollard::models::{NetworkCreateRequest, VolumeCreateRequest};
use bollard::query_parameters::{
    ListNetworksOptionsBuilder, ListVolumesOptionsBuilder, RemoveVolumeOptions,
};
use uuid::Uuid;

use super::engine::optional;
use super::search::{is_own_network, is_own_volume};
use super::{AgentNetwork, DockerHost, container};
use crate::hosts::{AgentSpec, Error};

/// The option of a bridge that gives the machine no address in its network.
const NO_ADDRESS: &str = "com.docker.network.bridge.inhibit_ipv4";

impl DockerHost {
    /// Makes the volume, or takes the one that is there and ours.
    pub(super) async fn make_volume(&self, docker: &Docker, spec: &AgentSpec) -> Result<(), Error> {
        let name = container::volume_name(&spec.name);
        let there = optional(docker.inspect_volume(&name).await);
        if let Some(volume) = self.engine.told(format!("cannot look at volume {name}"), there)? {
            return self.check_is_ours(spec, "volume", &name, &volume.labels);
        }
        let labels = Some(container::ownership(&self.options.platform, spec));
        let wanted = VolumeCreateRequest { name: Some(name.clone()), labels, ..Default::default() };
        let made = docker.create_volume(wanted).await;
        self.engine.told(format!("cannot create volume {name}"), made).map(drop)
    }

    /// Makes the agent's network where it has one, or takes the one that is there and ours.
    pub(super) async fn make_network(
        &self,
        docker: &Docker,
        spec: &AgentSpec,
    ) -> Result<(), Error> {
        let internal = match self.options.network {
            AgentNetwork::None => return Ok(()),
            AgentNetwork::Internal => true,
            AgentNetwork::Outbound => false,
        };
        // An internal network is closed to other networks, and open to the machine unless that has no
        // address in it.
        let closed = internal.then(|| (NO_ADDRESS.to_owned(), "true".to_owned()));
        let options: HashMap<_, _> = closed.into_iter().collect();
        let name = container::container_name(&spec.name);
        let filter = HashMap::from([("name", vec![format!("^{name}$")])]);
        let filter = ListNetworksOptionsBuilder::new().filters(&filter).build();
        let there = docker.list_networks(Some(filter)).await;
        let there = self.engine.told("cannot list networks", there)?;
        if let Some(network) = there.iter().find(|found| found.name.as_deref() == Some(&name)) {
            let labels = network.labels.clone().unwrap_or_default();
            self.check_is_ours(spec, "network", &name, &labels)?;
            let has_options = network.options.clone().unwrap_or_default() == options;
            if network.internal == Some(internal) && has_options {
                return Ok(());
            }
            let removed = docker.remove_network(&name).await;
            self.engine.told(format!("cannot remove network {name}"), removed)?;
        }
        let wanted = NetworkCreateRequest {
            name: name.clone(),
            driver: Some("bridge".to_owned()),
            internal: Some(internal),
            options: Some(options),
            labels: Some(container::ownership(&self.options.platform, spec)),
            ..NetworkCreateRequest::default()
        };
        let made = docker.create_network(wanted).await;
        self.engine.told(format!("cannot create network {name}"), made).map(drop)
    }

    /// Refuses what has the name of ours and belongs to somebody else.
    pub(super) fn check_is_ours(
        &self,
        spec: &AgentSpec,
        what: &str,
        name: &str,
        labels: &HashMap<String, String>,
    ) -> Result<(), Error> {
        let wanted = container::ownership(&self.options.platform, spec);
        if wanted.iter().all(|(key, value)| labels.get(key) == Some(value)) {
            return Ok(());
        }
        Err(Error::Foreign(format!(
            "there is a {what} named {name} that is not this agent's; it is left alone: rename or \
             remove it, or choose another name for the agent"
        )))
    }

    pub(super) async fn remove_volumes(
        &self,
        docker: &Docker,
        incarnation: Uuid,
    ) -> Result<(), Error> {
        let labels = self.labels_of(incarnation);
        let options = ListVolumesOptionsBuilder::new().filters(&labels).build();
        let listed = docker.list_volumes(Some(options)).await;
        let listed = self.engine.told("cannot list volumes", listed)?;
        for volume in listed.volumes.unwrap_or_default().into_iter().filter(is_own_volume) {
            let removed =
                optional(docker.remove_volume(&volume.name, None::<RemoveVolumeOptions>).await);
            self.engine.told(format!("cannot remove volume {}", volume.name), removed)?;
        }
        Ok(())
    }

    pub(super) async fn remove_networks(
        &self,
        docker: &Docker,
        incarnation: Uuid,
    ) -> Result<(), Error> {
        let labels = self.labels_of(incarnation);
        let options = ListNetworksOptionsBuilder::new().filters(&labels).build();
        let listed = docker.list_networks(Some(options)).await;
        let listed = self.engine.told("cannot list networks", listed)?;
        for network in listed.into_iter().filter(is_own_network) {
            let id = network.id.unwrap_or_default();
            let removed = optional(docker.remove_network(&id).await);
            self.engine.told(format!("cannot remove network {id}"), removed)?;
        }
        Ok(())
    }
}
