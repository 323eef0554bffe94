//! The life of an agent as its events tell it.

use std::collections::HashMap;

use uuid::Uuid;

use super::row::Entry;

/// How many crashes within the window are followed by a restart.
const CRASHES_MAX: usize = 5;
/// How far back crashes count, in microseconds.
const CRASH_WINDOW_MICROS: i64 = 600 * 1_000_000;

/// Where an agent is in its life.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Phase {
    #[default]
    Absent,
    Creating,
    Failed,
    Stopped,
    Starting,
    Running,
    Paused,
    Restarting,
    Stopping,
    Deleting,
}

/// A right to call another agent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Granted {
    /// The life of the callee.
    pub(super) incarnation: Uuid,
    /// The position at which it ended; none while it holds.
    pub(super) ended_at: Option<i64>,
}

/// A name, and its current life.
#[derive(Debug, Default)]
pub(super) struct Agent {
    pub(super) version: i64,
    pub(super) phase: Phase,
    pub(super) incarnation: Uuid,
    pub(super) is_system: bool,
    pub(super) capacity: u64,
    pub(super) timeout_seconds: u64,
    /// By the name of the callee.
    pub(super) grants: HashMap<String, Granted>,
    /// The position at which the last life ended.
    pub(super) ended_at: i64,
    is_provisioned: bool,
    is_pause_wanted: bool,
    /// Of the running wish, in microseconds since 1970; the latest ones.
    crashes: Vec<i64>,
}

impl Agent {
    /// Begins a life.
    pub(super) fn create(&mut self, entry: &Entry<'_>) {
        let config = entry.body.get("config");
        let setting =
            |name: &str| config.and_then(|config| config.get(name)?.as_u64()).unwrap_or_default();
        *self = Self {
            version: self.version,
            phase: Phase::Creating,
            incarnation: entry.id("incarnation"),
            is_system: entry.flag("is_system"),
            capacity: setting("max_parallel_tasks"),
            timeout_seconds: setting("execution_timeout_seconds"),
            ended_at: self.ended_at,
            ..Self::default()
        };
    }

    /// The phase that the event leads to; none when it may not come now.
    pub(super) fn next(&self, entry: &Entry<'_>) -> Option<Phase> {
        use Phase as P;
        let up = matches!(self.phase, P::Running | P::Paused | P::Restarting);
        let live = !matches!(self.phase, P::Absent | P::Deleting);
        let (is_legal, next) = match entry.row.event_type.as_str() {
            "AgentCreated" => (self.phase == P::Absent, P::Creating),
            "AgentProvisioned" => (self.phase == P::Creating, P::Stopped),
            "AgentProvisionFailed" => (self.phase == P::Creating, P::Failed),
            "AgentStartRequested" => (
                matches!(self.phase, P::Creating | P::Failed | P::Stopped | P::Paused),
                if self.is_provisioned { P::Starting } else { P::Creating },
            ),
            "AgentStarted" => {
                let was_asked = matches!(self.phase, P::Starting | P::Restarting);
                (was_asked && self.is_provisioned, P::Running)
            }
            "AgentStartFailed" => (self.phase == P::Starting, P::Failed),
            "AgentStopRequested" => {
                let next = if self.phase == P::Creating { P::Creating } else { P::Stopping };
                (live && !matches!(self.phase, P::Stopped | P::Stopping), next)
            }
            "AgentStopped" if matches!(entry.text("reason"), "crash-loop" | "out-of-memory") => {
                (up && self.crashes.len() >= CRASHES_MAX, P::Stopped)
            }
            "AgentStopped" => (self.phase == P::Stopping, P::Stopped),
            "AgentStatusObserved" => match entry.text("status") {
                "running" => (
                    matches!(self.phase, P::Paused | P::Restarting)
                        || self.phase == P::Running && self.is_pause_wanted,
                    P::Running,
                ),
                "paused" => (self.phase == P::Running, P::Paused),
                _ => (up && self.recent_crashes(entry.micros("at")) < CRASHES_MAX, P::Restarting),
            },
            "AgentPauseRequested" => {
                (self.phase == P::Running && !self.is_pause_wanted, P::Running)
            }
            "AgentDeleteRequested" => (live && !self.is_system, P::Deleting),
            "AgentDeleted" => (self.phase == P::Deleting, P::Absent),
            "AgentReinitialized" => (live && self.is_system, P::Creating),
            _ => (live, self.phase),
        };
        is_legal.then_some(next)
    }

    fn recent_crashes(&self, at: i64) -> usize {
        self.crashes.iter().filter(|crash| at - **crash < CRASH_WINDOW_MICROS).count()
    }

    /// Applies what the event says beside the phase.
    pub(super) fn apply(&mut self, entry: &Entry<'_>) {
        match entry.row.event_type.as_str() {
            "AgentPauseRequested" => self.is_pause_wanted = true,
            "AgentStatusObserved"
            | "AgentStartRequested"
            | "AgentStopRequested"
            | "AgentStopped"
            | "AgentReinitialized" => self.is_pause_wanted = false,
            _ => {}
        }
        match entry.row.event_type.as_str() {
            "AgentProvisioned" => self.is_provisioned = true,
            "AgentReinitialized" => {
                self.is_provisioned = false;
                self.crashes.clear();
            }
            "AgentStopped" => self.crashes.clear(),
            "AgentStatusObserved" if matches!(entry.text("status"), "restarting" | "stopped") => {
                self.crashes.push(entry.micros("at"));
                let surplus = self.crashes.len().saturating_sub(CRASHES_MAX);
                self.crashes.drain(..surplus);
            }
            "AgentDeleted" => self.ended_at = entry.row.position,
            "CapacityChanged" => self.capacity = entry.number("max_parallel_tasks"),
            "ExecutionTimeoutChanged" => self.timeout_seconds = entry.number("seconds"),
            "PermissionGranted" => {
                let incarnation = entry.id("callee_incarnation");
                let granted = Granted { incarnation, ended_at: None };
                self.grants.insert(entry.text("callee").to_owned(), granted);
            }
            "PermissionRevoked" => {
                if let Some(granted) = self.grants.get_mut(entry.text("callee")) {
                    granted.ended_at = Some(entry.row.position);
                }
            }
            _ => {}
        }
    }
}
