//! The configuration: flags over environment over `config.toml` over defaults, in one struct.

mod agent_url;
mod git_source;
mod isolation;

use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use serde::Deserialize;

use crate::domain::slots::QUEUE_LENGTH_MAX;

pub use git_source::{GitSource, InvalidGitSource};
pub use isolation::{InvalidRange, IsolationChoice, UidRange};

/// The file with settings inside the data directory.
const CONFIG_FILE: &str = "config.toml";

/// The environment variable that holds the master key of the credentials.
pub const SECRET_KEY_VARIABLE: &str = "TRINITY_SECRET_KEY";

/// How long a run has, after the interrupt, to end by itself, in milliseconds.
const GRACE_MS_DEFAULT: u64 = 5_000;

/// Where a Docker engine of this machine listens.
const DOCKER_HOST_DEFAULT: &str = "unix:///var/run/docker.sock";

/// The image of agents that name none.
const AGENT_IMAGE_DEFAULT: &str = "trinity-agent-base:latest";

/// Every version of that image.
const ALLOWED_IMAGES_DEFAULT: &str = "trinity-agent-base:*";

/// A text that must not be printed.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// The text itself, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl std::str::FromStr for Secret {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Where agents live.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ValueEnum, strum::IntoStaticStr,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum AgentHostKind {
    /// As processes of this machine.
    #[default]
    Process,
    /// In containers of a Docker engine.
    Docker,
}

/// What agents in containers reach.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ValueEnum, strum::IntoStaticStr,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum AgentNetwork {
    /// Nothing.
    #[default]
    None,
    /// A network of the agent's own with no way out of it.
    Internal,
    /// A network of the agent's own with a way out.
    Outbound,
}

/// How log lines look.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ValueEnum, strum::IntoStaticStr,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// What can be set by flag, environment variable or file; what is not said is left out.
#[derive(Debug, Clone, Default, Args, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Folder for everything this server keeps [default: $XDG_DATA_HOME/trinity]
    #[arg(long, env = "TRINITY_DATA_DIR", value_name = "DIR")]
    pub data_dir: Option<PathBuf>,

    /// Address to serve on [default: 127.0.0.1:8000]
    #[arg(long, env = "TRINITY_LISTEN", value_name = "ADDR")]
    pub listen: Option<SocketAddr>,

    /// Postgres instead of the embedded store: postgres://USER:PASSWORD@HOST/DATABASE
    #[arg(long, env = "TRINITY_DATABASE_URL", value_name = "URL", hide_env_values = true)]
    pub database_url: Option<Secret>,

    /// Where agents live
    #[arg(long, env = "TRINITY_AGENT_HOST", value_name = "HOST")]
    pub agent_host: Option<AgentHostKind>,

    /// Docker engine of the `docker` host [default: $DOCKER_HOST, unix:///var/run/docker.sock]
    #[arg(long, env = "TRINITY_DOCKER_HOST", value_name = "URL")]
    pub docker_host: Option<String>,

    /// Folder of ca.pem, cert.pem and key.pem for a TCP engine [default: $DOCKER_CERT_PATH]
    #[arg(long, env = "TRINITY_DOCKER_CERT_PATH", value_name = "DIR")]
    pub docker_cert_path: Option<PathBuf>,

    /// Image of agents that name none, on the `docker` host [default: trinity-agent-base:latest]
    #[arg(long, env = "TRINITY_AGENT_IMAGE", value_name = "IMAGE")]
    pub agent_image: Option<String>,

    /// Static agent server that is copied into containers [default: `trinity-agent` beside this
    /// executable if it is static, else each image has its own]
    #[arg(long, env = "TRINITY_AGENT_SERVER", value_name = "FILE")]
    pub agent_server: Option<PathBuf>,

    /// Keep the keys of models out of containers: runs reach their model through this server, which
    /// adds the key [default: true]
    #[arg(long, env = "TRINITY_MODEL_GATEWAY", value_name = "BOOL")]
    pub model_gateway: Option<bool>,

    /// API of Claude Code that the gateway passes requests on to [default: its maker's]
    #[arg(long, env = "TRINITY_ANTHROPIC_URL", value_name = "URL")]
    pub anthropic_url: Option<String>,

    /// API of Gemini CLI that the gateway passes requests on to [default: its maker's]
    #[arg(long, env = "TRINITY_GEMINI_URL", value_name = "URL")]
    pub gemini_url: Option<String>,

    /// Images that agents may name, a `*` at the end for any; repeatable, or joined by commas
    /// [default: trinity-agent-base:*]
    #[arg(long, env = "TRINITY_ALLOWED_IMAGES", value_name = "IMAGE", value_delimiter = ',')]
    pub allowed_images: Option<Vec<String>>,

    /// What agents reach on the `docker` host [default: none]
    #[arg(long, env = "TRINITY_AGENT_NETWORK", value_name = "WHAT")]
    pub agent_network: Option<AgentNetwork>,

    /// URL at which agents reach this server [default: where it serves, on the `process` host]
    #[arg(long, env = "TRINITY_AGENT_URL", value_name = "URL")]
    pub agent_url: Option<String>,

    /// What keeps agents apart on the `process` host [default: auto]
    #[arg(long, env = "TRINITY_ISOLATION", value_name = "WHAT")]
    pub isolation: Option<IsolationChoice>,

    /// Users of which each agent gets one, when root serves [default: 200000-265535]
    #[arg(long, env = "TRINITY_AGENT_UIDS", value_name = "FIRST-LAST")]
    pub agent_uids: Option<UidRange>,

    /// What runs may read and execute beside the system's own paths; repeatable, or joined by `:`
    #[arg(long, env = "TRINITY_READABLE_PATHS", value_name = "PATH", value_delimiter = ':')]
    pub readable_paths: Option<Vec<PathBuf>>,

    /// Folder of templates, one folder each [default: `templates` in the data directory]
    #[arg(long, env = "TRINITY_TEMPLATES_DIR", value_name = "DIR")]
    pub templates_dir: Option<PathBuf>,

    /// Folder of skills, one folder each [default: `skills` in the data directory]
    #[arg(long, env = "TRINITY_SKILLS_DIR", value_name = "DIR")]
    pub skills_dir: Option<PathBuf>,

    /// Git repository of templates, instead of a folder: URL or URL#BRANCH
    #[arg(
        long,
        env = "TRINITY_TEMPLATES_GIT",
        value_name = "URL",
        conflicts_with = "templates_dir"
    )]
    pub templates_git: Option<GitSource>,

    /// Git repository of skills, instead of a folder: URL or URL#BRANCH
    #[arg(long, env = "TRINITY_SKILLS_GIT", value_name = "URL", conflicts_with = "skills_dir")]
    pub skills_git: Option<GitSource>,

    /// Command line that replaces `claude`, split as a shell would
    #[arg(long, env = "TRINITY_CLAUDE_COMMAND", value_name = "COMMAND", hide_env_values = true)]
    pub claude_command: Option<Secret>,

    /// Command line that replaces `gemini`, split as a shell would
    #[arg(long, env = "TRINITY_GEMINI_COMMAND", value_name = "COMMAND", hide_env_values = true)]
    pub gemini_command: Option<Secret>,

    /// Password of the first administrator; ignored once there is one
    #[arg(long, env = "TRINITY_ADMIN_PASSWORD", value_name = "PASSWORD", hide_env_values = true)]
    pub admin_password: Option<Secret>,

    /// Master key of the credentials; never a flag, which others on this machine can read.
    #[arg(skip)]
    pub secret_key: Option<Secret>,

    /// Redis that also holds the encrypted credentials: `redis://USER:PASSWORD@HOST:PORT/`
    #[arg(long, env = "TRINITY_REDIS_URL", value_name = "URL", hide_env_values = true)]
    pub redis_url: Option<Secret>,

    /// Make the server's own agent, `trinity-system`, at the first start [default: true]
    #[arg(long, env = "TRINITY_SYSTEM_AGENT", value_name = "BOOL")]
    pub system_agent: Option<bool>,

    /// Executions that may wait for one agent [default: 1000]
    #[arg(long, env = "TRINITY_QUEUE_LENGTH_MAX", value_name = "N")]
    pub queue_length_max: Option<usize>,

    /// Milliseconds between the interrupt and the kill of a run that is stopped [default: 5000]
    #[arg(long, env = "TRINITY_GRACE_MS", value_name = "MS")]
    pub grace_ms: Option<u64>,

    /// Days after which the transcript of an execution is removed [default: it is kept for ever]
    #[arg(long, env = "TRINITY_TRANSCRIPT_RETENTION_DAYS", value_name = "DAYS")]
    pub transcript_retention_days: Option<u32>,

    /// How log lines on stderr look [default: text]
    #[arg(long, env = "TRINITY_LOG_FORMAT", value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,

    /// Let anybody read /metrics, not only administrators
    #[arg(long, env = "TRINITY_METRICS_OPEN", value_name = "BOOL", num_args = 0..=1,
        default_missing_value = "true")]
    pub metrics_open: Option<bool>,

    /// Requests a second that one caller may make; more are answered 429 [default: no limit]
    #[arg(long, env = "TRINITY_REQUESTS_PER_SECOND_MAX", value_name = "N")]
    pub requests_per_second_max: Option<NonZeroU32>,
}

/// The configuration of a server, complete.
#[derive(Debug, Clone)]
pub struct Config {
    /// Folder for everything this server keeps.
    pub data_dir: PathBuf,
    /// Address to serve on.
    pub listen: SocketAddr,
    /// Postgres instead of the embedded store.
    pub database_url: Option<Secret>,
    /// Where agents live.
    pub agent_host: AgentHostKind,
    /// Docker engine of the `docker` host: `unix://PATH` or `tcp://HOST:PORT`.
    pub docker_host: String,
    /// Folder of `ca.pem`, `cert.pem` and `key.pem`, with which a TCP engine is spoken to by TLS.
    pub docker_cert_path: Option<PathBuf>,
    /// Image of agents that name none.
    pub agent_image: String,
    /// What is copied into containers; none is what lies beside this executable, or the image's own.
    pub agent_server: Option<PathBuf>,
    /// Whether runs in containers reach their models through this server.
    pub model_gateway: bool,
    /// The API of Claude Code that they reach, if not its own.
    pub anthropic_url: Option<String>,
    /// The API of Gemini CLI that they reach, if not its own.
    pub gemini_url: Option<String>,
    /// Images that agents may name, beside that one; a `*` at the end stands for anything.
    pub allowed_images: Vec<String>,
    /// What agents in containers reach.
    pub agent_network: AgentNetwork,
    /// Where agents reach this server, if that was said.
    pub agent_url: Option<String>,
    /// What keeps agents apart on the `process` host.
    pub isolation: IsolationChoice,
    /// Users of which each agent gets one.
    pub agent_uids: UidRange,
    /// What runs may read and execute beside the system's own paths.
    pub readable_paths: Vec<PathBuf>,
    /// Folder of templates, one folder each.
    pub templates_dir: PathBuf,
    /// Folder of skills, one folder each.
    pub skills_dir: PathBuf,
    /// Git repository of templates, instead of that folder.
    pub templates_git: Option<GitSource>,
    /// Git repository of skills, instead of that folder.
    pub skills_git: Option<GitSource>,
    /// Command line that replaces `claude`; it may hold a key.
    pub claude_command: Option<Secret>,
    /// Command line that replaces `gemini`; it may hold a key.
    pub gemini_command: Option<Secret>,
    /// Password of the first administrator.
    pub admin_password: Option<Secret>,
    /// Master key of the credentials; none is a file of the data directory.
    pub secret_key: Option<Secret>,
    /// Redis that also holds the encrypted credentials.
    pub redis_url: Option<Secret>,
    /// Whether the server's own agent is made at the first start.
    pub system_agent: bool,
    /// Executions that may wait for one agent.
    pub queue_length_max: usize,
    /// Milliseconds between the interrupt and the kill of a run that is stopped.
    pub grace_ms: u64,
    /// Days after which the transcript of an execution is removed; none keeps it for ever.
    pub transcript_retention_days: Option<u32>,
    /// How log lines on stderr look.
    pub log_format: LogFormat,
    /// Whether anybody may read `/metrics`.
    pub metrics_open: bool,
    /// Requests a second that one caller may make; none is no limit.
    pub requests_per_second_max: Option<NonZeroU32>,
}

impl Config {
    /// Completes `settings` from the file in the data directory and the defaults.
    ///
    /// # Errors
    /// When the file exists and cannot be read or understood, or no data directory can be named.
    pub fn load(settings: Settings) -> anyhow::Result<Self> {
        let data_dir = match &settings.data_dir {
            Some(dir) => std::path::absolute(dir).context("cannot resolve the data directory")?,
            None => default_data_dir()?,
        };
        let file = read_file(&data_dir.join(CONFIG_FILE))?;
        let listen = settings.listen.or(file.listen);
        let grace_ms = settings.grace_ms.or(file.grace_ms);
        let transcript_retention_days =
            settings.transcript_retention_days.or(file.transcript_retention_days);
        if transcript_retention_days == Some(0) {
            anyhow::bail!("transcript_retention_days must be 1 or more; leave it out to keep them");
        }
        let queue_length_max = settings.queue_length_max.or(file.queue_length_max);
        // Where the engine's own client finds it, so does this one.
        let docker_host = settings.docker_host.or(file.docker_host);
        let docker_host = docker_host.or_else(|| variable("DOCKER_HOST"));
        let docker_cert_path = settings.docker_cert_path.or(file.docker_cert_path);
        let docker_cert_path =
            docker_cert_path.or_else(|| variable("DOCKER_CERT_PATH").map(PathBuf::from));
        let allowed_images = settings.allowed_images.or(file.allowed_images);
        let agent_image = settings.agent_image.or(file.agent_image);
        // A folder that was named for this start wins over a repository in the file.
        let file_templates_git = file.templates_git.filter(|_| settings.templates_dir.is_none());
        let file_skills_git = file.skills_git.filter(|_| settings.skills_dir.is_none());
        let templates_dir = settings.templates_dir.or(file.templates_dir);
        let skills_dir = settings.skills_dir.or(file.skills_dir);
        let agent_url = settings.agent_url.or(file.agent_url);
        agent_url.as_deref().map_or(Ok(()), agent_url::check)?;
        Ok(Self {
            templates_dir: templates_dir.unwrap_or_else(|| data_dir.join("templates")),
            skills_dir: skills_dir.unwrap_or_else(|| data_dir.join("skills")),
            data_dir,
            listen: listen.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 8000))),
            database_url: settings.database_url.or(file.database_url),
            agent_host: settings.agent_host.or(file.agent_host).unwrap_or_default(),
            docker_host: docker_host.unwrap_or_else(|| DOCKER_HOST_DEFAULT.to_owned()),
            docker_cert_path,
            agent_image: agent_image.unwrap_or_else(|| AGENT_IMAGE_DEFAULT.to_owned()),
            agent_server: settings.agent_server.or(file.agent_server),
            model_gateway: settings.model_gateway.or(file.model_gateway).unwrap_or(true),
            anthropic_url: settings.anthropic_url.or(file.anthropic_url),
            gemini_url: settings.gemini_url.or(file.gemini_url),
            allowed_images: allowed_images
                .unwrap_or_else(|| vec![ALLOWED_IMAGES_DEFAULT.to_owned()]),
            agent_network: settings.agent_network.or(file.agent_network).unwrap_or_default(),
            agent_url,
            isolation: settings.isolation.or(file.isolation).unwrap_or_default(),
            agent_uids: settings.agent_uids.or(file.agent_uids).unwrap_or_default(),
            readable_paths: settings.readable_paths.or(file.readable_paths).unwrap_or_default(),
            templates_git: settings.templates_git.or(file_templates_git),
            skills_git: settings.skills_git.or(file_skills_git),
            claude_command: settings.claude_command.or(file.claude_command),
            gemini_command: settings.gemini_command.or(file.gemini_command),
            admin_password: settings.admin_password.or(file.admin_password),
            secret_key: settings
                .secret_key
                .or_else(|| variable(SECRET_KEY_VARIABLE).map(Secret::from))
                .or(file.secret_key),
            redis_url: settings.redis_url.or(file.redis_url),
            system_agent: settings.system_agent.or(file.system_agent).unwrap_or(true),
            queue_length_max: queue_length_max.unwrap_or(QUEUE_LENGTH_MAX),
            grace_ms: grace_ms.unwrap_or(GRACE_MS_DEFAULT),
            transcript_retention_days,
            log_format: settings.log_format.or(file.log_format).unwrap_or_default(),
            metrics_open: settings.metrics_open.or(file.metrics_open).unwrap_or_default(),
            requests_per_second_max: settings
                .requests_per_second_max
                .or(file.requests_per_second_max),
        })
    }
}

impl Config {
    /// Tells whether an agent may name this image.
    pub fn allows_image(&self, image: &str) -> bool {
        let matches = |pattern: &String| match pattern.strip_suffix('*') {
            Some(begin) => image.starts_with(begin),
            None => image == pattern,
        };
        image == self.agent_image || self.allowed_images.iter().any(matches)
    }
}

fn read_file(path: &Path) -> anyhow::Result<Settings> {
    match std::fs::read_to_string(path) {
        Ok(text) => toml::from_str(&text).map_err(|error| misunderstood(path, &text, &error)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Settings::default()),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// Says where the file is wrong and why, but not the line itself, which may hold a secret.
fn misunderstood(path: &Path, text: &str, error: &toml::de::Error) -> anyhow::Error {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    anyhow::anyhow!("cannot understand {}, line {line}: {}", path.display(), error.message())
}

/// The data directory when none is named: `$XDG_DATA_HOME/trinity`, else `~/.local/share/trinity`.
///
/// # Errors
/// When neither variable is set.
pub fn default_data_dir() -> anyhow::Result<PathBuf> {
    let absolute = |name: &str| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = absolute("XDG_DATA_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/share")))
        .context("neither XDG_DATA_HOME nor HOME is set; say --data-dir DIR")?;
    Ok(base.join("trinity"))
}

/// An environment variable that is set and not empty.
#[expect(clippy::disallowed_methods, reason = "this is the place that reads the environment")]
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests;
