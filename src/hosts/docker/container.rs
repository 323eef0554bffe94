//! What an agent's container is like: its names, its labels, and how it is held.

use std::collections::{BTreeMap, HashMap};

use bollard::models::{
    ContainerCreateBody, ContainerSummary, ContainerSummaryStateEnum as State, HealthConfig,
    HostConfig, HostConfigLogConfig, Mount, MountType, MountVolumeOptions,
};
use sha2::{Digest as _, Sha256};
use trinity_agent_protocol::{Isolation, IsolationKind};
use uuid::Uuid;

use super::{AgentNetwork, Options};
use crate::hosts::{AgentSpec, ContainerSpec, HostState, HostedAgent, PLATFORM_LABEL};

/// The label that names an agent for people.
pub(super) const AGENT_NAME: &str = "trinity.agent-name";

/// The label that says whose life a container, volume or network belongs to.
pub(super) const INCARNATION: &str = "trinity.incarnation";

/// The label by which a container is compared with what it should be.
const CONTAINER_HASH: &str = "trinity.container-hash";

/// The label that says what the agent reaches.
const NETWORK: &str = "trinity.network";

/// The agent server of an image that has one.
pub(super) const AGENT_SERVER_OF_IMAGE: &str = "/usr/local/bin/trinity-agent";

/// The agent server that was copied in. No run can change it: its folder belongs to root.
const AGENT_SERVER_COPIED: &str = "/agent/bin/trinity-agent";

/// The label that says where the agent server of a container is.
const AGENT_SERVER: &str = "trinity.agent-server";

/// The label that says which one was copied in.
const AGENT_SERVER_SHA256: &str = "trinity.agent-server-sha256";

/// The user and group of everything in a container.
pub(super) const AGENT_UID: u32 = 10_001;

/// The user and group of what supervises runs that may become root.
const ROOT: u32 = 0;

/// Where the volume is mounted. Its root belongs to nobody in the container.
pub(super) const VOLUME: &str = "/agent";

/// The agent's own files, its working directory; HOME is `.home` in it.
const WORKSPACE: &str = "/agent/workspace";

/// The state folder of the agent server.
const STATE: &str = "/agent/state";

/// The same where the agent server is root, whose files the agent's own user could not use later on.
const STATE_OF_ROOT: &str = "/agent/state-of-root";

/// What an agent with full capabilities may use, once it is root: enough to install packages, to keep
/// the owners of files, to become another user, and to serve on any port. Its supervisor needs the
/// right to end what it started.
const CAPABILITIES: [&str; 10] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETUID",
];

/// In memory: the socket, and files that exist while a run lasts.
const RUN_DIR: &str = "/run/trinity";

/// The socket of the agent server.
pub(super) const SOCKET: &str = "/run/trinity/agent.sock";

/// Where the files of runs are.
const FILES: &str = "/run/trinity/files";

/// Where runs reach their model's API through the platform: on the loopback that is theirs alone.
const GATEWAY: &str = "127.0.0.1:9479";

/// How many bytes the files of runs and `/tmp` may have each; they count as the agent's memory.
const TMPFS_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// How many processes and threads an agent may have.
const PIDS_MAX: i64 = 1_024;

/// How much memory an agent may have, unless its configuration says so.
const MEMORY_BYTES_DEFAULT: i64 = 4 * 1024 * 1024 * 1024;

/// How much processor time an agent may have, unless its configuration says so: two processors.
const NANO_CPUS_DEFAULT: i64 = 2_000_000_000;

/// How much of what the agent server says is kept.
const LOG_SIZE_MAX: &str = "4m";

/// The name of the container and of the network of the agent of this name.
pub(super) fn container_name(agent: &str) -> String {
    format!("agent-{agent}")
}

/// The name of the volume of the agent of this name.
pub(super) fn volume_name(agent: &str) -> String {
    format!("agent-{agent}-workspace")
}

/// The labels that say what is whose.
pub(super) fn ownership(platform: &str, spec: &AgentSpec) -> HashMap<String, String> {
    [
        (PLATFORM_LABEL, platform.to_owned()),
        (AGENT_NAME, spec.name.clone()),
        (INCARNATION, spec.incarnation.to_string()),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value))
    .collect()
}

/// What the engine is asked for.
pub(super) fn body(options: &Options, spec: &AgentSpec) -> ContainerCreateBody {
    let mut labels: HashMap<_, _> = spec.labels.clone().into_iter().collect();
    labels.extend(ownership(&options.platform, spec));
    let agent_server = match &options.agent_server {
        Some(copied) => {
            labels.insert(AGENT_SERVER_SHA256.to_owned(), copied.sha256().to_owned());
            AGENT_SERVER_COPIED
        }
        None => AGENT_SERVER_OF_IMAGE,
    };
    labels.insert(AGENT_SERVER.to_owned(), agent_server.to_owned());
    // Otherwise an agent with a way out would be asked for like one without.
    let network: &str = options.network.into();
    labels.insert(NETWORK.to_owned(), network.to_owned());
    let mut body = ContainerCreateBody {
        hostname: Some(spec.name.clone()),
        image: Some(spec.container.image.clone().unwrap_or_else(|| options.image.clone())),
        user: Some(user(spec)),
        working_dir: Some(WORKSPACE.to_owned()),
        entrypoint: Some(vec![agent_server.to_owned()]),
        cmd: Some(command(options, spec)),
        // The image's own probe and signal are for what it would run by itself.
        healthcheck: Some(HealthConfig { test: Some(vec!["NONE".into()]), ..Default::default() }),
        stop_signal: Some("SIGTERM".to_owned()),
        host_config: Some(host_config(options, spec)),
        labels: Some(labels),
        ..ContainerCreateBody::default()
    };
    let hash = hash(&body);
    body.labels.get_or_insert_default().insert(CONTAINER_HASH.to_owned(), hash);
    body
}

/// Names what the engine is asked for by what the options say alone, for agents of this image or of none of
/// their own.
pub(super) fn settings_hash(options: &Options, image: Option<&str>) -> String {
    let image = image.map(str::to_owned);
    let nobodys = AgentSpec {
        name: String::new(),
        incarnation: Uuid::nil(),
        labels: BTreeMap::new(),
        container: ContainerSpec { image, ..ContainerSpec::default() },
        workspace_files: BTreeMap::new(),
    };
    let labels = body(options, &nobodys).labels.unwrap_or_default();
    labels.get(CONTAINER_HASH).cloned().unwrap_or_default()
}

/// Who supervises the agent's runs. What a run does as root only root can end, so where runs may
/// become root their supervisor is it; the runs themselves begin as the agent's user all the same.
fn user(spec: &AgentSpec) -> String {
    let uid = if spec.container.full_capabilities { ROOT } else { AGENT_UID };
    format!("{uid}:{uid}")
}

fn command(options: &Options, spec: &AgentSpec) -> Vec<String> {
    let is_root = spec.container.full_capabilities;
    let run_uid = is_root.then(|| ("--run-uid", AGENT_UID.to_string()));
    let places = [
        ("--state", if is_root { STATE_OF_ROOT } else { STATE }.to_owned()),
        ("--socket", SOCKET.to_owned()),
        ("--workspace", WORKSPACE.to_owned()),
        ("--files", FILES.to_owned()),
        ("--incarnation", spec.incarnation.to_string()),
    ];
    let gateway = options.gateway.then(|| ("--gateway", GATEWAY.to_owned()));
    let words = places.into_iter().chain(run_uid).chain(gateway);
    let words = words.flat_map(|(flag, value)| [flag.to_owned(), value]);
    ["serve".to_owned(), "--container".to_owned()].into_iter().chain(words).collect()
}

/// What holds the container: nothing here may be less than what the agent's owner relies on.
fn host_config(options: &Options, spec: &AgentSpec) -> HostConfig {
    let wanted = &spec.container;
    let memory = wanted.memory_bytes.unwrap_or(MEMORY_BYTES_DEFAULT);
    let network = match options.network {
        AgentNetwork::None => "none".to_owned(),
        AgentNetwork::Internal | AgentNetwork::Outbound => container_name(&spec.name),
    };
    let full = wanted.full_capabilities;
    // Runs of another user than the agent server's pass through, and change nothing there.
    let (mode, owner) = if full { ("0711", ROOT) } else { ("0700", AGENT_UID) };
    let owned = format!("mode={mode},uid={owner},gid={owner}");
    let tmpfs = [
        (RUN_DIR, format!("rw,noexec,nosuid,nodev,size={TMPFS_BYTES_MAX},{owned}")),
        ("/tmp", format!("rw,noexec,nosuid,nodev,size={TMPFS_BYTES_MAX},mode=1777")),
    ];
    HostConfig {
        init: Some(true),
        network_mode: Some(network),
        mounts: Some(vec![Mount {
            target: Some(VOLUME.to_owned()),
            source: Some(volume_name(&spec.name)),
            typ: Some(MountType::VOLUME),
            // Nothing of the image gets into it, whatever that has at this path.
            volume_options: Some(MountVolumeOptions { no_copy: Some(true), ..Default::default() }),
            ..Mount::default()
        }]),
        tmpfs: Some(tmpfs.map(|(path, options)| (path.to_owned(), options)).into()),
        memory: Some(memory),
        // The same: no swap beside it.
        memory_swap: Some(memory),
        nano_cpus: Some(wanted.nano_cpus.unwrap_or(NANO_CPUS_DEFAULT)),
        pids_limit: Some(PIDS_MAX),
        privileged: Some(false),
        publish_all_ports: Some(false),
        readonly_rootfs: Some(!full),
        cap_drop: Some(vec!["ALL".to_owned()]),
        cap_add: full.then(|| CAPABILITIES.map(str::to_owned).to_vec()),
        security_opt: (!full).then(|| vec!["no-new-privileges".to_owned()]),
        log_config: Some(HostConfigLogConfig {
            typ: Some("json-file".to_owned()),
            config: Some(HashMap::from([("max-size".to_owned(), LOG_SIZE_MAX.to_owned())])),
        }),
        ..HostConfig::default()
    }
}

/// Names a request by everything in it.
fn hash(body: &ContainerCreateBody) -> String {
    // Through a value, whose members have an order.
    let canonical = serde_json::to_value(body).unwrap_or_default().to_string();
    hex::encode(Sha256::digest(canonical))
}

/// Where a container's bytes are put that the engine copies into its volume.
pub(super) fn folders() -> [&'static str; 3] {
    ["workspace", "workspace/.home", "state"]
}

/// A container as the engine lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub id: String,
    pub state: HostState,
    labels: BTreeMap<String, String>,
}

impl Found {
    /// `None` for what has no id.
    pub(super) fn of(summary: ContainerSummary) -> Option<Self> {
        let state = match summary.state {
            Some(State::RUNNING | State::STOPPING) => HostState::Running,
            Some(State::PAUSED) => HostState::Paused,
            Some(State::RESTARTING) => HostState::Restarting,
            Some(State::CREATED) => HostState::Created,
            Some(State::EXITED) => HostState::Exited,
            Some(State::DEAD | State::REMOVING | State::EMPTY) | None => HostState::Dead,
        };
        let labels = summary.labels.unwrap_or_default().into_iter().collect();
        Some(Self { id: summary.id?, state, labels })
    }

    /// The path of its agent server.
    pub(super) fn agent_server(&self) -> &str {
        self.labels.get(AGENT_SERVER).map_or(AGENT_SERVER_OF_IMAGE, String::as_str)
    }

    /// Whether it was made by exactly this request.
    pub(super) fn is_made_by(&self, body: &ContainerCreateBody) -> bool {
        let wanted = body.labels.as_ref().and_then(|labels| labels.get(CONTAINER_HASH));
        self.labels.get(CONTAINER_HASH) == wanted
    }

    /// `None` when its labels say nothing that is an agent.
    pub(super) fn show(&self) -> Option<HostedAgent> {
        Some(HostedAgent {
            name: self.labels.get(AGENT_NAME)?.clone(),
            incarnation: self.labels.get(INCARNATION)?.parse().ok()?,
            labels: self.labels.clone(),
            host_ref: host_ref(&self.id),
            state: self.state,
            isolation: isolation(),
            out_of_memory: false,
        })
    }
}

/// The host's reference to a container.
pub(super) fn host_ref(id: &str) -> String {
    format!("docker:{id}")
}

/// What keeps the runs of every agent here apart.
pub(super) fn isolation() -> Isolation {
    Isolation { kind: IsolationKind::Container, uid: Some(AGENT_UID), landlock_abi: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_of_a_container_is_one_of_a_host() {
        let states = [
            (Some(State::CREATED), HostState::Created, true),
            (Some(State::RUNNING), HostState::Running, false),
            (Some(State::STOPPING), HostState::Running, false),
            (Some(State::PAUSED), HostState::Paused, false),
            (Some(State::RESTARTING), HostState::Restarting, false),
            (Some(State::EXITED), HostState::Exited, true),
            (Some(State::DEAD), HostState::Dead, true),
            (Some(State::REMOVING), HostState::Dead, true),
            (Some(State::EMPTY), HostState::Dead, true),
            (None, HostState::Dead, true),
        ];
        for (state, expected, is_at_rest) in states {
            let id = Some("c".to_owned());
            let found = Found::of(ContainerSummary { id, state, ..Default::default() }).unwrap();
            assert_eq!(
                (found.state, found.state.is_at_rest()),
                (expected, is_at_rest),
                "{state:?}"
            );
        }
        assert_eq!(Found::of(ContainerSummary::default()), None, "without an id");
    }

    #[test]
    fn labels_alone_make_a_container_an_agent() {
        let life = "0192a3b4-0000-7000-8000-000000000001";
        let labels = |pairs: &[(&str, &str)]| {
            let pairs = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
            let labels = Some(pairs.collect());
            let summary = ContainerSummary { id: Some("c".into()), labels, ..Default::default() };
            Found::of(summary).unwrap()
        };
        let agent = labels(&[(AGENT_NAME, "scout"), (INCARNATION, life)]);
        let shown = agent.show().unwrap();
        assert_eq!((shown.name.as_str(), shown.incarnation.to_string()), ("scout", life.into()));
        assert_eq!(shown.host_ref, "docker:c");
        assert_eq!(agent.agent_server(), AGENT_SERVER_OF_IMAGE);
        assert_eq!(labels(&[(AGENT_SERVER, "/x")]).agent_server(), "/x");
        for lacking in [
            labels(&[]),
            labels(&[(AGENT_NAME, "scout")]),
            labels(&[(INCARNATION, life)]),
            labels(&[(AGENT_NAME, "scout"), (INCARNATION, "x")]),
        ] {
            assert_eq!(lacking.show(), None);
        }
    }
}
