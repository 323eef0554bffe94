//! Agents in containers of a Docker engine.
//!
//! ```text
//! container  agent-<name>              docker-init, then the agent server: its end is the container's
//! volume     agent-<name>-workspace    at /agent: workspace/ (HOME is workspace/.home) and state/
//! network    agent-<name>              where agents are let out; the container's only one
//! in memory  /run/trinity, /tmp        the socket and files of runs; what ends with the container
//! ```
//! Everything carries the labels `trinity.platform` and `trinity.incarnation`. What is ours has them and
//! its name; what has only one of both is somebody else's and left alone. The link is HTTP/2 over one
//! exec of the agent server's bridge, so that no port is opened and the engine can be elsewhere.

mod agent_server;
mod belongings;
mod changes;
mod container;
mod contents;
mod engine;
mod look;
mod search;
mod stream;

pub use agent_server::{AgentServer, Choice as AgentServerChoice};
pub use engine::Endpoint;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bollard::Docker;
use bollard::models::ContainerCreateBody;
use bollard::query_parameters::{
    ContainerArchiveInfoOptionsBuilder, CreateContainerOptionsBuilder,
    RemoveContainerOptionsBuilder, StopContainerOptionsBuilder, UploadToContainerOptionsBuilder,
};
use futures::stream::BoxStream;
use trinity_agent_protocol::{GRACE_MS_DEFAULT, GRACE_MS_MAX, Isolation};
use uuid::Uuid;

use self::container::{Found, VOLUME};
use self::engine::{Engine, optional, status_of};
use super::usage::Usage;
use super::{
    AgentHost, AgentSpec, ByteStream, Change, Error, HostKind, HostState, HostedAgent,
    IsolationPlan, link,
};
pub use crate::config::AgentNetwork;

/// How long an agent server may take until it serves.
const START_MS_MAX: u64 = 20_000;

/// How much longer than the grace the end of an agent server may take before it is killed.
const STOP_EXTRA_MS_MAX: u64 = 10_000;

/// What the engine says of a container whose start it has forgotten: one of these.
const START_IS_KNOWN: [&str; 2] = ["already exists", "id already in use"];

/// The exit code of a container whose agent server was killed.
const EXIT_BY_KILL: i64 = 137;

/// How many of an agent server's last lines explain a failed start.
const LAST_LINES_MAX: u32 = 20;

/// How many bytes of them.
const LAST_WORDS_BYTES_MAX: usize = 2048;

/// What a Docker host works with.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the engine is.
    pub endpoint: Endpoint,
    /// The image of agents that name none.
    pub image: String,
    /// What is copied into every container; without it images need one of their own.
    pub agent_server: Option<AgentServer>,
    /// What agents reach.
    pub network: AgentNetwork,
    /// Whether agents reach the APIs of their models through the platform.
    pub gateway: bool,
    /// The id of the log that the agents belong to.
    pub platform: String,
}

/// What a Docker engine says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// Its version.
    pub version: String,
    /// The version of the API that is spoken with it.
    pub api_version: String,
    /// Whether it has the image of agents that name none.
    pub has_image: bool,
    /// What its machine cannot hold containers to.
    pub limits_missing: Vec<&'static str>,
}

/// Runs agents in containers.
pub struct DockerHost {
    options: Options,
    plan: IsolationPlan,
    engine: Engine,
    /// The agents that were seen here and not removed since.
    known: Mutex<HashSet<Uuid>>,
    /// One change of an agent's place at a time.
    changes: Mutex<HashMap<Uuid, Arc<tokio::sync::Mutex<()>>>>,
}

impl DockerHost {
    /// Makes a host; the engine is reached at the first call, and again after it was away.
    pub fn new(options: Options) -> Self {
        let isolation = container::isolation();
        let plan = IsolationPlan { kind: isolation.kind, landlock_abi: None, shortfall: None };
        let engine = Engine::new(options.endpoint.clone());
        Self { options, plan, engine, known: Mutex::default(), changes: Mutex::default() }
    }

    /// Asks the engine what it is, for whoever wants to know before there are agents.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when it cannot be reached.
    pub async fn describe(&self) -> Result<Description, Error> {
        let docker = self.engine.client().await?;
        let info =
            self.engine.told("cannot ask the Docker engine what it is", docker.info().await)?;
        let image = optional(docker.inspect_image(&self.options.image).await);
        let image = self.engine.told("cannot look for the image of agents", image)?;
        let limits = [
            ("memory", info.memory_limit),
            ("swap", info.swap_limit),
            ("processors", info.cpu_cfs_quota),
            ("processes", info.pids_limit),
        ];
        let missing = limits.into_iter().filter(|(_, is_there)| *is_there == Some(false));
        Ok(Description {
            version: info.server_version.unwrap_or_default(),
            api_version: docker.client_version().to_string(),
            has_image: image.is_some(),
            limits_missing: missing.map(|(name, _)| name).collect(),
        })
    }

    fn known(&self) -> MutexGuard<'_, HashSet<Uuid>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, incarnation: Uuid) -> Arc<tokio::sync::Mutex<()>> {
        let mut changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(changes.entry(incarnation).or_default())
    }

    async fn make_container(
        &self,
        docker: &Docker,
        spec: &AgentSpec,
        body: ContainerCreateBody,
    ) -> Result<String, Error> {
        let name = container::container_name(&spec.name);
        let image = body.image.clone().unwrap_or_default();
        let options = CreateContainerOptionsBuilder::new().name(&name).build();
        match docker.create_container(Some(options), body).await {
            Err(error) if status_of(&error) == Some(409) => {
                let there = optional(docker.inspect_container(&name, None).await);
                let there = self.engine.told(format!("cannot look at container {name}"), there)?;
                let labels = there.and_then(|there| there.config?.labels).unwrap_or_default();
                self.check_is_ours(spec, "container", &name, &labels)?;
                // Made since it was looked for, or between two names: the next look finds it.
                self.engine.told(format!("cannot create container {name}"), Err(error))
            }
            Err(error) if status_of(&error) == Some(404) => {
                let doing = format!(
                    "cannot create container {name} from image {image}; is it there? See: \
                     docker pull {image}"
                );
                self.engine.told(doing, Err(error))
            }
            made => {
                let made = self.engine.told(format!("cannot create container {name}"), made);
                made.map(|made| made.id)
            }
        }
    }

    /// Fills the volume of a container that does not run, unless that was done once: what is in it
    /// since then is the agent's. The agent server is copied whenever it is another one.
    async fn fill(&self, docker: &Docker, spec: &AgentSpec, id: &str) -> Result<(), Error> {
        self.fill_volume(docker, spec, id).await.map_err(Error::of(Error::Contents))
    }

    async fn fill_volume(&self, docker: &Docker, spec: &AgentSpec, id: &str) -> Result<(), Error> {
        let pack = || Error::host("cannot pack what an agent's volume holds");
        if self.link_in_volume(docker, id, contents::MADE).await?.is_none() {
            let first = contents::first(&container::folders(), &spec.workspace_files);
            self.unpack(docker, id, first.map_err(pack())?).await?;
            self.unpack(docker, id, contents::made().map_err(pack())?).await?;
        }
        let Some(agent_server) = &self.options.agent_server else { return Ok(()) };
        let there = self.link_in_volume(docker, id, contents::COPIED).await?;
        // The engine shows where a link leads to, not its text.
        if there.is_some_and(|there| there.ends_with(agent_server.sha256())) {
            return Ok(());
        }
        let executable = contents::agent_server(agent_server.executable());
        self.unpack(docker, id, executable.map_err(pack())?).await?;
        let copied = contents::copied(agent_server.sha256());
        self.unpack(docker, id, copied.map_err(pack())?).await
    }

    /// Where a link of the volume leads to, which is nowhere for another file; `None` without it.
    async fn link_in_volume(
        &self,
        docker: &Docker,
        id: &str,
        name: &str,
    ) -> Result<Option<String>, Error> {
        let path = format!("{VOLUME}/{name}");
        let options = ContainerArchiveInfoOptionsBuilder::new().path(&path).build();
        let found = optional(docker.get_container_archive_info(id, Some(options)).await);
        let found = self.engine.told("cannot look into the agent's volume", found)?;
        Ok(found.map(|found| found.link_target))
    }

    async fn unpack(&self, docker: &Docker, id: &str, archive: Vec<u8>) -> Result<(), Error> {
        let options = UploadToContainerOptionsBuilder::new().path(VOLUME).build();
        let body = bollard::body_full(archive.into());
        let sent = docker.upload_to_container(id, Some(options), body).await;
        self.engine.told("cannot fill the agent's volume", sent)
    }

    /// Whether a container ended because the kernel killed its agent server for want of memory. A run
    /// that was killed alone leaves its container running.
    async fn ran_out_of_memory(&self, docker: &Docker, found: &Found) -> Result<bool, Error> {
        if !matches!(found.state, HostState::Exited | HostState::Dead) {
            return Ok(false);
        }
        let shown = optional(docker.inspect_container(&found.id, None).await);
        let shown = self.engine.told("cannot ask how the agent's container ended", shown)?;
        let state = shown.and_then(|shown| shown.state);
        Ok(state.is_some_and(|state| {
            state.oom_killed == Some(true) && state.exit_code == Some(EXIT_BY_KILL)
        }))
    }

    async fn remove_container(&self, docker: &Docker, id: &str) -> Result<(), Error> {
        // With the volumes that the image made for itself; the agent's own has a name and stays.
        let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
        let removed = optional(docker.remove_container(id, Some(options)).await);
        self.engine.told("cannot remove the agent's container", removed).map(drop)
    }

    /// Ends and removes everything of an agent but its volume; gives whether it had a container.
    async fn take_down(
        &self,
        docker: &Docker,
        incarnation: Uuid,
        grace: Duration,
    ) -> Result<bool, Error> {
        let found = self.find(docker, incarnation).await?;
        if let Some(found) = &found {
            self.end(docker, found, grace).await?;
            self.remove_container(docker, &found.id).await?;
        }
        self.remove_networks(docker, incarnation).await?;
        self.known().remove(&incarnation);
        Ok(found.is_some())
    }

    /// Starts a container that does not run, and waits until its agent server answers.
    async fn launch(&self, docker: &Docker, found: &Found) -> Result<(), Error> {
        let id = found.id.as_str();
        match docker.start_container(id, None).await {
            // An engine that was killed in the middle of a start knows nothing of it, but what runs
            // its containers does. Under another id it can be started.
            Err(error) if START_IS_KNOWN.iter().any(|said| error.to_string().contains(said)) => {
                self.remove_container(docker, id).await?;
                return Err(Error::Broken(error.to_string()));
            }
            Err(error) if status_of(&error).is_some() => {
                return Err(Error::StartFailed(error.to_string()));
            }
            started => self.engine.told("cannot start the agent's container", started)?,
        }
        let wait = Duration::from_millis(START_MS_MAX);
        let asked = async {
            let stream = stream::open(docker, (id, found.agent_server()), wait)
                .await
                .map_err(|error| error.to_string())?;
            link::ask_who_serves(stream, wait).await.map_err(|error| error.to_string())
        };
        let Err(error) = asked.await else { return Ok(()) };
        let words = self.last_words(docker, id).await;
        // What does not answer must not run on unseen.
        match docker.kill_container(id, None).await {
            // The engine has gone, and the way to the agent server with it.
            Err(error) if status_of(&error).is_none() => {
                return self.engine.told("cannot end a container that does not answer", Err(error));
            }
            Err(error) => tracing::debug!(%error, "what did not answer has ended already"),
            Ok(()) => {}
        }
        Err(Error::StartFailed(format!("{error}; it said last: {words}")))
    }

    /// What an agent server said last.
    async fn last_words(&self, docker: &Docker, id: &str) -> String {
        let said = match look::log(docker, id, LAST_LINES_MAX).await {
            Ok(said) => said.trim().to_owned(),
            Err(error) => return format!("its log cannot be read: {error}"),
        };
        let from = said.ceil_char_boundary(said.len().saturating_sub(LAST_WORDS_BYTES_MAX));
        if said.is_empty() { "nothing".to_owned() } else { said[from..].to_owned() }
    }

    /// Ends a container and returns when it and everything in it is gone.
    async fn end(&self, docker: &Docker, found: &Found, grace: Duration) -> Result<(), Error> {
        match found.state {
            HostState::Created | HostState::Exited | HostState::Dead => return Ok(()),
            HostState::Running | HostState::Restarting => {}
            HostState::Paused => {
                // A frozen agent server could not hear.
                let thawed = docker.unpause_container(&found.id).await;
                self.engine.told("cannot unfreeze the agent's container", thawed)?;
            }
        }
        let grace_ms = u64::try_from(grace.as_millis()).unwrap_or(GRACE_MS_MAX).min(GRACE_MS_MAX);
        let asked = async {
            let stream =
                stream::open(docker, (&found.id, found.agent_server()), Duration::ZERO).await;
            let stream = stream.map_err(|error| error.to_string())?;
            link::shut_down(stream, grace_ms).await.map_err(|error| error.to_string())
        };
        if let Err(error) = asked.await {
            tracing::warn!(error, "an agent server does not hear; it is terminated");
        }
        let wait = Duration::from_millis(grace_ms + STOP_EXTRA_MS_MAX).as_secs();
        let wait = i32::try_from(wait).unwrap_or(i32::MAX);
        let options = StopContainerOptionsBuilder::new().t(wait).build();
        let stopped = optional(docker.stop_container(&found.id, Some(options)).await);
        self.engine.told("cannot stop the agent's container", stopped).map(drop)
    }
}

#[async_trait::async_trait]
impl AgentHost for DockerHost {
    fn kind(&self) -> HostKind {
        HostKind::Docker
    }

    fn enforces_limits(&self) -> bool {
        true
    }

    fn outage(&self) -> Option<String> {
        self.engine.outage()
    }

    fn unreached(&self) -> u64 {
        self.engine.unreached()
    }

    fn isolation_plan(&self) -> &IsolationPlan {
        &self.plan
    }

    fn settings_hash(&self, image: Option<&str>) -> String {
        container::settings_hash(&self.options, image)
    }

    async fn create(&self, spec: &AgentSpec) -> Result<String, Error> {
        let change = self.change(spec.incarnation);
        let _one_at_a_time = change.lock().await;
        let docker = self.engine.client().await?;
        let body = container::body(&self.options, spec);
        if let Some(found) = self.find(&docker, spec.incarnation).await? {
            let is_at_rest = found.state.is_at_rest();
            if !is_at_rest || found.is_made_by(&body) && found.state != HostState::Dead {
                // A crash may have come between its making and its filling.
                if is_at_rest {
                    self.fill(&docker, spec, &found.id).await?;
                }
                self.known().insert(spec.incarnation);
                return Ok(container::host_ref(&found.id));
            }
            self.remove_container(&docker, &found.id).await?;
        }
        self.make_volume(&docker, spec).await.map_err(Error::of(Error::Workspace))?;
        self.make_network(&docker, spec).await?;
        let id = self.make_container(&docker, spec, body).await?;
        self.fill(&docker, spec, &id).await?;
        self.known().insert(spec.incarnation);
        Ok(container::host_ref(&id))
    }

    async fn start(&self, incarnation: Uuid) -> Result<(), Error> {
        let change = self.change(incarnation);
        let _one_at_a_time = change.lock().await;
        let docker = self.engine.client().await?;
        let found = self.find(&docker, incarnation).await?.ok_or(Error::NotFound(incarnation))?;
        match found.state {
            HostState::Running | HostState::Restarting => Ok(()),
            HostState::Paused => {
                let thawed = docker.unpause_container(&found.id).await;
                self.engine.told("cannot unfreeze the agent's container", thawed)
            }
            HostState::Created | HostState::Exited | HostState::Dead => {
                self.launch(&docker, &found).await
            }
        }
    }

    async fn stop(&self, incarnation: Uuid, grace: Duration) -> Result<(), Error> {
        let change = self.change(incarnation);
        let _one_at_a_time = change.lock().await;
        let docker = self.engine.client().await?;
        let Some(found) = self.find(&docker, incarnation).await? else { return Ok(()) };
        self.end(&docker, &found, grace).await
    }

    async fn pause(&self, incarnation: Uuid) -> Result<(), Error> {
        let change = self.change(incarnation);
        let _one_at_a_time = change.lock().await;
        let docker = self.engine.client().await?;
        let found = self.find(&docker, incarnation).await?.ok_or(Error::NotFound(incarnation))?;
        if found.state != HostState::Running {
            return Ok(());
        }
        let paused = docker.pause_container(&found.id).await;
        self.engine.told("cannot freeze the agent's container", paused)
    }

    async fn evict(&self, incarnation: Uuid, grace: Duration) -> Result<bool, Error> {
        let change = self.change(incarnation);
        let _one_at_a_time = change.lock().await;
        let docker = self.engine.client().await?;
        self.take_down(&docker, incarnation, grace).await
    }

    async fn remove(&self, incarnation: Uuid) -> Result<(), Error> {
        let change = self.change(incarnation);
        let _one_at_a_time = change.lock().await;
        let docker = self.engine.client().await?;
        let grace = Duration::from_millis(GRACE_MS_DEFAULT);
        self.take_down(&docker, incarnation, grace).await?;
        self.remove_volumes(&docker, incarnation).await
    }

    async fn inspect(&self, incarnation: Uuid) -> Result<Option<HostedAgent>, Error> {
        let docker = self.engine.client().await?;
        let found = self.find(&docker, incarnation).await?;
        let Some(found) = found else { return Ok(None) };
        let mut shown = found.show();
        if let Some(shown) = &mut shown {
            self.known().insert(incarnation);
            shown.out_of_memory = self.ran_out_of_memory(&docker, &found).await?;
        }
        Ok(shown)
    }

    async fn list(&self) -> Result<Vec<HostedAgent>, Error> {
        let docker = self.engine.client().await?;
        let found = self.containers(&docker, &self.labels_of_all()).await?;
        let shown: Vec<_> = found.iter().filter_map(Found::show).collect();
        self.known().extend(shown.iter().map(|agent| agent.incarnation));
        Ok(shown)
    }

    fn changes(&self) -> BoxStream<'_, Change> {
        changes::of(&self.engine, &self.options.platform)
    }

    fn isolation(&self, incarnation: Uuid) -> Option<Isolation> {
        self.known().contains(&incarnation).then(container::isolation)
    }

    async fn log(&self, incarnation: Uuid, lines_max: u32) -> Result<String, Error> {
        let docker = self.engine.client().await?;
        let found = self.find(&docker, incarnation).await?.ok_or(Error::NotFound(incarnation))?;
        let said = look::log(&docker, &found.id, lines_max).await;
        self.engine.told("cannot read the log of the agent's container", said)
    }

    async fn usage(&self, incarnation: Uuid) -> Result<Usage, Error> {
        let docker = self.engine.client().await?;
        let found = self.find(&docker, incarnation).await?.ok_or(Error::NotFound(incarnation))?;
        if !matches!(found.state, HostState::Running | HostState::Paused) {
            return Err(Error::NotRunning(incarnation));
        }
        let measured = look::usage(&docker, &found.id).await;
        self.engine.told("cannot measure the agent's container", measured)
    }

    async fn connect(&self, incarnation: Uuid) -> Result<ByteStream, Error> {
        let docker = self.engine.client().await?;
        let found = self.find(&docker, incarnation).await?.ok_or(Error::NotFound(incarnation))?;
        if found.state != HostState::Running {
            return Err(Error::NotRunning(incarnation));
        }
        let opened = stream::open(&docker, (&found.id, found.agent_server()), Duration::ZERO).await;
        self.engine.told("cannot open a stream to the agent server", opened)
    }
}
