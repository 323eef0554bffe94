//! The words of an agent's life.

use serde::{Deserialize, Serialize};

/// Where an agent is in its life; the wire's `phase`.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    strum::IntoStaticStr,
    strum::VariantNames,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Phase {
    /// No life of the name goes on.
    #[default]
    Absent,
    /// Being provisioned.
    Creating,
    /// A step of creation or start failed.
    Failed,
    /// Provisioned and not running.
    Stopped,
    /// Asked to run.
    Starting,
    /// Accepting work.
    Running,
    /// Frozen by its host.
    Paused,
    /// Crashed, and to be started again.
    Restarting,
    /// Asked to stop.
    Stopping,
    /// Asked to go.
    Deleting,
}

/// What a host shows of an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, strum::IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum ObservedStatus {
    /// It runs.
    Running,
    /// It is frozen.
    Paused,
    /// It is gone and is being started again.
    Restarting,
    /// It is gone.
    Stopped,
}

/// What is known of why an agent went down by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, strum::IntoStaticStr)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum CrashCause {
    /// Its memory limit left nothing for its own supervisor.
    OutOfMemory,
}

/// The named steps of creation and start, in order.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    strum::IntoStaticStr,
    strum::VariantNames,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum Step {
    /// Its configuration is checked.
    Validate,
    /// Its life is recorded, with its owner: by the event that says so, without which there is no agent.
    Register,
    /// Its template is read.
    Template,
    /// Its own API key is made.
    Key,
    /// What its workspace begins with is written.
    Configure,
    /// Its workspace is made.
    Volume,
    /// What it runs in is made.
    Container,
    /// Its agent server is started.
    Start,
    /// Its repository is cloned.
    Repository,
    /// Its own script runs.
    Startup,
    /// Its credentials are read.
    Credentials,
    /// They are written into its workspace, with its skills.
    EnvFiles,
    /// Its agent server is asked whether it serves.
    Health,
    /// It is recorded that it runs: by the event that says so.
    Announce,
}

/// A step that failed, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepFailure {
    /// Which.
    pub step: Step,
    /// Why, in words.
    pub error: String,
}

/// Why an agent stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StopReason {
    /// Somebody asked.
    Requested,
    /// It crashed too often to be started again.
    CrashLoop,
    /// The same, the last time for want of memory.
    OutOfMemory,
}

/// Why a grant ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RevokeReason {
    /// Somebody took it back.
    Requested,
    /// A preset or a full replacement left it out.
    Replaced,
}
