//! An execution: one run of a task on an agent.
//!
//! ```text
//! (none) ─Request→ Pending ─RecordStarted→ Running ─RecordExit→ Completed | Failed | Cancelled
//! Pending, in the queue ─CancelQueued→ Cancelled
//! Pending, granted ─Reject→ Failed(rejected | spawn)     ─RecordNeverStarted, if cancelled→ Cancelled
//! Pending | Running ─RecordLost→ Failed(lost)
//! ```
//!
//! A cancel of a granted or running execution is only a request: `Cancelled` is written when the end
//! of its processes was observed. The first terminal event wins; a later report is kept as
//! `LateResultObserved` and changes nothing. Long after the end its transcript may be removed, which is
//! on record too.

mod values;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

pub use values::{
    CancelPhase, CancelReason, ErrorClass, ExitStatus, Outcome, Request, Source, Status, ToolCall,
    Trigger, Urgency, Usage, Verdict,
};

use super::{Decider, Event, StreamType, aggregate};

/// How many tool calls of one run become events; later ones are only counted.
pub const TOOL_CALL_EVENTS_MAX: u32 = 2_000;

/// What can be asked of an execution, or reported about it.
#[derive(Debug, Clone, PartialEq)]
pub enum ExecutionCommand {
    /// Submits the task.
    Request(Box<Request>),
    /// The supervisor has started it.
    RecordStarted { slot: u32, epoch: u32, claude_session_id: String, started_at: DateTime<Utc> },
    /// The CLI has said which session and model it uses.
    RecordSession {
        claude_session_id: String,
        model_used: Option<String>,
        cli_version: Option<String>,
    },
    /// Tool calls that one reading of the output showed; whole lines, in order.
    RecordToolCalls { calls: Vec<ToolCall> },
    /// Asks for the end of a run that has been granted a slot; again, to make it urgent.
    RequestCancel { by: String, reason: CancelReason, urgency: Urgency },
    /// Ends an execution that still waits in the queue.
    CancelQueued { by: String, reason: CancelReason },
    /// The supervisor has sent the first signal.
    RecordInterruptSent { at: DateTime<Utc>, grace_ms: Option<u64> },
    /// The supervisor has sent the last signal.
    RecordKillSent { at: DateTime<Utc> },
    /// Its agent server has not answered since then.
    RecordContactLost { since: DateTime<Utc> },
    /// Its agent server answers.
    RecordContactRegained { at: DateTime<Utc> },
    /// The processes have ended and the output is ingested.
    RecordExit { verdict: Verdict, outcome: Box<Outcome> },
    /// The supervisor holds no such run, and will not start it any more.
    RecordNeverStarted { at: DateTime<Utc> },
    /// The grant cannot be carried out.
    Reject { class: ErrorClass, error: String, at: DateTime<Utc> },
    /// The agent went down and took the run with it, or nothing was heard of it for too long.
    RecordLost { evidence: Evidence, error: String, at: DateTime<Utc> },
    /// Its transcript is as old as the retention setting allows, and goes.
    RecordTranscriptRemoved { lines: u64, bytes: u64, retention_days: u32, at: DateTime<Utc> },
}

/// How a run came to be declared lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Evidence {
    /// The end of its processes was seen.
    Observed,
    /// Its time was over and nothing answered.
    Expired,
}

/// What has happened to an execution.
#[derive(
    Debug, Clone, PartialEq, Serialize, Deserialize, strum::IntoStaticStr, strum::VariantNames,
)]
pub enum ExecutionEvent {
    ExecutionRequested(Box<Request>),
    ExecutionStarted {
        slot: u32,
        epoch: u32,
        claude_session_id: String,
        started_at: DateTime<Utc>,
    },
    SessionBound {
        claude_session_id: String,
        #[serde(default)]
        model_used: Option<String>,
        #[serde(default)]
        cli_version: Option<String>,
    },
    ToolCallStarted {
        seq: u64,
        tool_call_id: String,
        name: String,
        input_preview: String,
        at: DateTime<Utc>,
    },
    ToolCallFinished {
        seq: u64,
        tool_call_id: String,
        is_error: bool,
        duration_ms: u64,
        at: DateTime<Utc>,
    },
    CancelRequested {
        by: String,
        reason: CancelReason,
        #[serde(default)]
        urgency: Urgency,
    },
    InterruptSent {
        at: DateTime<Utc>,
        /// How long after it whatever is left of the run is killed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        grace_ms: Option<u64>,
    },
    KillSent {
        at: DateTime<Utc>,
    },
    ContactLost {
        since: DateTime<Utc>,
    },
    ContactRegained {
        at: DateTime<Utc>,
    },
    ExecutionCompleted {
        outcome: Box<Outcome>,
    },
    ExecutionFailed {
        class: ErrorClass,
        error: String,
        outcome: Box<Outcome>,
    },
    ExecutionCancelled {
        by: String,
        reason: CancelReason,
        phase: CancelPhase,
        outcome: Box<Outcome>,
    },
    LateResultObserved {
        verdict: Verdict,
        outcome: Box<Outcome>,
    },
    TranscriptRemoved {
        /// How many lines it had.
        lines: u64,
        /// How many bytes they took in the store, compressed.
        bytes: u64,
        retention_days: u32,
        at: DateTime<Utc>,
    },
}

/// Why a command to an execution is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExecutionError {
    /// No such execution.
    #[error("there is no execution of this id")]
    NotFound,
    /// The id is taken by another request.
    #[error("an execution of this id exists already")]
    AlreadyExists,
    /// An end was reported before the start.
    #[error("the execution has not started")]
    NotStarted,
}

/// The state of an execution.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Execution {
    /// Where it is in its life; none before the request.
    pub status: Option<Status>,
    /// What was asked for.
    pub request: Option<Box<Request>>,
    /// The epoch under which it started.
    pub epoch: Option<u32>,
    /// The CLI session it runs in, as the platform chose it or the CLI reported it.
    pub claude_session_id: Option<String>,
    /// Whether the CLI has reported its session.
    pub session_bound: bool,
    /// Who asked for its end, and why.
    pub cancel: Option<(String, CancelReason)>,
    /// How urgently.
    pub urgency: Option<Urgency>,
    /// How far the stop has gone.
    pub cancel_phase: Option<CancelPhase>,
    /// Since when its agent server has not answered; none while it does.
    #[serde(default)]
    pub lost_contact_at: Option<DateTime<Utc>>,
    /// The last output line whose tool calls are recorded.
    pub tool_seq: u64,
    /// How many tool calls have been recorded.
    pub tool_calls: u32,
    /// Tool calls that have not finished, with the time of their line.
    pub open_tool_calls: BTreeMap<String, DateTime<Utc>>,
    /// Whether the terminal event came from the supervisor's report.
    pub exit_reported: bool,
    /// Whether a report after the terminal event was kept.
    pub late_result_kept: bool,
    /// When its transcript was removed.
    pub transcript_removed_at: Option<DateTime<Utc>>,
}

impl Execution {
    /// Whether a terminal event stands in the log.
    pub fn is_terminal(&self) -> bool {
        self.status.is_some_and(Status::is_terminal)
    }

    /// Whether a grant may still lead to a start: asked for, not started, not to be ended.
    pub fn may_start(&self) -> bool {
        self.status == Some(Status::Pending) && self.cancel.is_none()
    }

    fn cancelled(&self, outcome: Outcome) -> Option<ExecutionEvent> {
        let (by, reason) = self.cancel.clone()?;
        let phase = self.cancel_phase.unwrap_or(CancelPhase::Requested);
        Some(ExecutionEvent::ExecutionCancelled { by, reason, phase, outcome: Box::new(outcome) })
    }

    fn failed(class: ErrorClass, error: String, outcome: Outcome) -> ExecutionEvent {
        ExecutionEvent::ExecutionFailed { class, error, outcome: Box::new(outcome) }
    }

    fn exit(&self, verdict: Verdict, outcome: Outcome) -> ExecutionEvent {
        if let Some(cancelled) = self.cancelled(outcome.clone()) {
            return cancelled;
        }
        match verdict {
            Verdict::Completed => ExecutionEvent::ExecutionCompleted { outcome: Box::new(outcome) },
            Verdict::Failed { class, error } => Self::failed(class, error, outcome),
        }
    }

    fn tool_events(&self, calls: Vec<ToolCall>) -> Vec<ExecutionEvent> {
        let mut started = self.tool_calls;
        let mut open = self.open_tool_calls.clone();
        let mut events = Vec::new();
        for call in calls.into_iter().filter(|call| call.seq() > self.tool_seq) {
            match call {
                ToolCall::Started { seq, tool_call_id, name, input_preview, at } => {
                    if started < TOOL_CALL_EVENTS_MAX && !open.contains_key(&tool_call_id) {
                        started += 1;
                        open.insert(tool_call_id.clone(), at);
                        events.push(ExecutionEvent::ToolCallStarted {
                            seq,
                            tool_call_id,
                            name,
                            input_preview,
                            at,
                        });
                    }
                }
                ToolCall::Finished { seq, tool_call_id, is_error, at } => {
                    // The result of a call that was only counted, or of none, is not recorded.
                    let Some(began_at) = open.remove(&tool_call_id) else { continue };
                    let duration_ms =
                        u64::try_from((at - began_at).num_milliseconds()).unwrap_or_default();
                    events.push(ExecutionEvent::ToolCallFinished {
                        seq,
                        tool_call_id,
                        is_error,
                        duration_ms,
                        at,
                    });
                }
            }
        }
        events
    }

    fn signal(&self, phase: CancelPhase, event: ExecutionEvent) -> Vec<ExecutionEvent> {
        let running = self.status == Some(Status::Running);
        if running && self.cancel_phase < Some(phase) { vec![event] } else { vec![] }
    }

    fn after_the_end(&self, command: ExecutionCommand) -> Vec<ExecutionEvent> {
        use ExecutionCommand as C;
        match (command, self.transcript_removed_at) {
            (C::RecordExit { verdict, outcome }, _)
                if !self.exit_reported && !self.late_result_kept =>
            {
                vec![ExecutionEvent::LateResultObserved { verdict, outcome }]
            }
            (C::RecordTranscriptRemoved { lines, bytes, retention_days, at }, None) => {
                vec![ExecutionEvent::TranscriptRemoved { lines, bytes, retention_days, at }]
            }
            _ => vec![],
        }
    }
}

impl Decider for Execution {
    const STREAM: StreamType = StreamType::Execution;

    fn decide(&self, command: ExecutionCommand) -> Result<Vec<ExecutionEvent>, ExecutionError> {
        use ExecutionCommand as C;
        use ExecutionEvent as E;
        let status = match (command, self.status) {
            (C::Request(request), None) => return Ok(vec![E::ExecutionRequested(request)]),
            (C::Request(_), Some(_)) => return Err(ExecutionError::AlreadyExists),
            (_, None) => return Err(ExecutionError::NotFound),
            (command, Some(status)) if status.is_terminal() => {
                return Ok(self.after_the_end(command));
            }
            (command, Some(status)) => (command, status),
        };
        match status {
            (C::RecordStarted { slot, epoch, claude_session_id, started_at }, Status::Pending) => {
                Ok(vec![E::ExecutionStarted { slot, epoch, claude_session_id, started_at }])
            }
            (C::RecordSession { claude_session_id, model_used, cli_version }, Status::Running)
                if !self.session_bound =>
            {
                Ok(vec![E::SessionBound { claude_session_id, model_used, cli_version }])
            }
            (C::RecordToolCalls { calls }, Status::Running) => Ok(self.tool_events(calls)),
            (C::RequestCancel { by, reason, urgency }, _) if self.urgency < Some(urgency) => {
                Ok(vec![E::CancelRequested { by, reason, urgency }])
            }
            (C::CancelQueued { by, reason }, Status::Pending) => Ok(vec![E::ExecutionCancelled {
                by,
                reason,
                phase: CancelPhase::Queued,
                outcome: Box::default(),
            }]),
            (C::RecordInterruptSent { at, grace_ms }, _) => {
                Ok(self.signal(CancelPhase::Interrupting, E::InterruptSent { at, grace_ms }))
            }
            (C::RecordKillSent { at }, _) => {
                Ok(self.signal(CancelPhase::Killing, E::KillSent { at }))
            }
            (C::RecordContactLost { since }, Status::Running) if self.lost_contact_at.is_none() => {
                Ok(vec![E::ContactLost { since }])
            }
            (C::RecordContactRegained { at }, Status::Running)
                if self.lost_contact_at.is_some() =>
            {
                Ok(vec![E::ContactRegained { at }])
            }
            (C::RecordExit { verdict, outcome }, Status::Running) => {
                Ok(vec![self.exit(verdict, *outcome)])
            }
            (C::RecordExit { .. }, _) => Err(ExecutionError::NotStarted),
            (C::RecordNeverStarted { at }, Status::Pending) => {
                Ok(self.cancelled(Outcome::ended(at)).into_iter().collect())
            }
            (C::Reject { class, error, at }, Status::Pending) => {
                let outcome = Outcome::ended(at);
                let cancelled = self.cancelled(outcome.clone());
                Ok(vec![cancelled.unwrap_or_else(|| Self::failed(class, error, outcome))])
            }
            (C::RecordLost { evidence, error, at }, _) => {
                let outcome = Outcome::ended(at);
                let seen = evidence == Evidence::Observed;
                let cancelled = self.cancelled(outcome.clone()).filter(|_| seen);
                let lost = || Self::failed(ErrorClass::Lost, error, outcome);
                Ok(vec![cancelled.unwrap_or_else(lost)])
            }
            // A repeated report, or one that comes too early to matter, changes nothing.
            _ => Ok(vec![]),
        }
    }

    fn evolve(&mut self, event: &ExecutionEvent) {
        use ExecutionEvent as E;
        match event {
            E::ExecutionRequested(request) => {
                self.status = Some(Status::Pending);
                self.request = Some(request.clone());
            }
            E::ExecutionStarted { epoch, claude_session_id, .. } => {
                self.status = Some(Status::Running);
                self.epoch = Some(*epoch);
                self.claude_session_id = Some(claude_session_id.clone());
            }
            E::SessionBound { claude_session_id, .. } => {
                self.session_bound = true;
                self.claude_session_id = Some(claude_session_id.clone());
            }
            E::ToolCallStarted { seq, tool_call_id, at, .. } => {
                self.tool_seq = *seq;
                self.tool_calls += 1;
                self.open_tool_calls.insert(tool_call_id.clone(), *at);
            }
            E::ToolCallFinished { seq, tool_call_id, .. } => {
                self.tool_seq = *seq;
                self.open_tool_calls.remove(tool_call_id);
            }
            E::CancelRequested { by, reason, urgency } => {
                // Who asked first stays on record; a second request can only make it urgent.
                self.cancel.get_or_insert_with(|| (by.clone(), *reason));
                self.urgency = Some(*urgency);
                self.cancel_phase = self.cancel_phase.or(Some(CancelPhase::Requested));
            }
            E::InterruptSent { .. } => self.cancel_phase = Some(CancelPhase::Interrupting),
            E::KillSent { .. } => self.cancel_phase = Some(CancelPhase::Killing),
            E::ContactLost { since } => self.lost_contact_at = Some(*since),
            E::ContactRegained { .. } => self.lost_contact_at = None,
            E::ExecutionCompleted { outcome } => self.end(Status::Completed, outcome),
            E::ExecutionFailed { outcome, .. } => self.end(Status::Failed, outcome),
            E::ExecutionCancelled { outcome, .. } => self.end(Status::Cancelled, outcome),
            E::LateResultObserved { .. } => self.late_result_kept = true,
            E::TranscriptRemoved { at, .. } => self.transcript_removed_at = Some(*at),
        }
    }

    fn wrap(event: ExecutionEvent) -> Event {
        Event::Execution(event)
    }

    fn unwrap(event: &Event) -> Option<&ExecutionEvent> {
        if let Event::Execution(event) = event { Some(event) } else { None }
    }
}

impl Execution {
    fn end(&mut self, status: Status, outcome: &Outcome) {
        self.status = Some(status);
        self.exit_reported = outcome.exit.is_some();
        self.open_tool_calls.clear();
    }
}

aggregate!(Execution, ExecutionCommand, ExecutionEvent, ExecutionError);

#[cfg(test)]
mod tests;
