//! The reader of one run: what its lines mean, and the verdict about it.

use trinity_agent_protocol::{Exit, LineStream, StopReason};

use serde_json::{Map, Value};

use super::line::{self, Block, Line, Message};
use super::{Conclusion, ERROR_BYTES_MAX, Event, Parser, RunResult, truncated};
use crate::domain::execution::{ErrorClass, ExitStatus, Outcome, Usage, Verdict};

/// Most bytes of the model's words that are kept for a run without a result.
const PARTIAL_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Most bytes of standard error in an error text.
const STDERR_BYTES_MAX: usize = 2 * 1024;

/// What is one CLI's own in the reading of its output.
#[derive(Debug)]
pub struct Dialect {
    /// Reads the object of a line.
    pub read: fn(Map<String, Value>) -> Line,
    /// Gives the kind of a failure that the CLI reports itself.
    pub class: fn(&RunResult) -> ErrorClass,
    /// Gives the kind of a failure without a result, by the exit code.
    pub exit_class: fn(i32) -> ErrorClass,
}

/// The reader of one run.
#[derive(Debug)]
pub struct Judge {
    dialect: &'static Dialect,
    program: String,
    seq: u64,
    session_id: Option<String>,
    model_used: Option<String>,
    context_used: Option<u64>,
    partial: String,
    /// Where in `partial` the words after the last call of a tool begin.
    answer_from: usize,
    tool_call_count: u32,
    complaint: Option<String>,
    result: Option<RunResult>,
}

impl Judge {
    /// Makes a reader for a run of `program`.
    pub fn new(program: String, dialect: &'static Dialect) -> Self {
        Self {
            dialect,
            program,
            seq: 0,
            session_id: None,
            model_used: None,
            context_used: None,
            partial: String::new(),
            answer_from: 0,
            tool_call_count: 0,
            complaint: None,
            result: None,
        }
    }

    fn read(&mut self, bytes: &[u8]) -> Vec<Event> {
        match line::object(bytes).map(self.dialect.read) {
            Some(Line::Init(init)) => {
                self.session_id = init.session_id.clone().or(self.session_id.take());
                self.model_used = init.model.clone().or(self.model_used.take());
                vec![Event::Init {
                    session_id: init.session_id,
                    model: init.model,
                    cli_version: init.cli_version,
                    mcp_servers: init.mcp_servers,
                }]
            }
            Some(Line::Retry(retry)) => vec![Event::Retry {
                attempt: retry.attempt,
                attempts_max: retry.attempts_max,
                status: retry.status,
                delay_ms: retry.delay_ms,
                error: retry.error,
            }],
            Some(Line::Assistant(message)) => {
                self.remember(&message);
                let is_call = |block: &&Block| matches!(block, Block::ToolUse { .. });
                let calls = message.blocks.iter().filter(is_call).count();
                self.tool_call_count =
                    self.tool_call_count.saturating_add(u32::try_from(calls).unwrap_or(u32::MAX));
                events(message)
            }
            Some(Line::User(message)) => events(message),
            Some(Line::Complaint(words)) => {
                self.complaint = Some(words);
                vec![Event::Raw]
            }
            Some(Line::Result(result)) => {
                let result = self.explained(result);
                self.session_id = result.session_id.clone().or(self.session_id.take());
                self.model_used = result.model_used.clone().or(self.model_used.take());
                let event = Event::Result(result.clone());
                self.result = Some(merged(self.result.take(), result));
                vec![event]
            }
            Some(Line::System | Line::Unknown) | None => vec![Event::Raw],
        }
    }

    fn remember(&mut self, message: &Message) {
        if message.is_synthetic || message.is_of_subagent {
            return;
        }
        self.model_used = message.model.clone().or(self.model_used.take());
        self.context_used = message.context_used.or(self.context_used);
        for block in &message.blocks {
            match block {
                Block::Text(text) => self.keep(text, message.is_delta),
                // What a CLI that prints deltas says next is a message of its own.
                Block::ToolUse { .. } if message.is_delta => {
                    if !self.partial.is_empty() && !self.partial.ends_with('\n') {
                        self.partial.push('\n');
                    }
                    self.answer_from = self.partial.len();
                }
                Block::ToolUse { .. }
                | Block::ToolResult { .. }
                | Block::Thinking(_)
                | Block::Unknown => {}
            }
        }
    }

    fn keep(&mut self, text: &str, is_delta: bool) {
        if self.partial.len() + text.len() >= PARTIAL_BYTES_MAX {
            return;
        }
        if !is_delta && !self.partial.is_empty() {
            self.partial.push('\n');
        }
        self.partial.push_str(text);
    }

    /// Gives a result the words of the last complaint where it has none of its own: a CLI that
    /// gave up without an answer has failed, whatever it calls that.
    fn explained(&mut self, mut result: RunResult) -> RunResult {
        let is_silent = result.text.is_none() && result.errors.is_empty();
        let is_answer = !result.is_error && !self.partial.is_empty();
        if is_silent
            && !is_answer
            && let Some(complaint) = self.complaint.take()
        {
            result.is_error = true;
            result.errors.push(complaint);
        }
        result
    }

    fn verdict(&self, exit: &Exit) -> Verdict {
        let failed = |class, error: String| {
            let error = truncated(error, ERROR_BYTES_MAX);
            Verdict::Failed { class, error }
        };
        if exit.lost {
            let error = "the supervisor of the run is gone; its end was not seen";
            return failed(ErrorClass::Lost, error.to_owned());
        }
        match (exit.stop_reason, &self.result) {
            (Some(StopReason::Timeout), _) => {
                let error = "the run took longer than its timeout and was stopped";
                failed(ErrorClass::Timeout, error.to_owned())
            }
            (Some(StopReason::AgentServerLost), _) => {
                let error = "the agent server of the run was gone and the run was stopped";
                failed(ErrorClass::Lost, error.to_owned())
            }
            // Where somebody has asked for it, the execution makes a cancelled one of this.
            (Some(StopReason::AgentStopped), _) => {
                let error = "the agent went down and took the run with it";
                failed(ErrorClass::Lost, error.to_owned())
            }
            (Some(StopReason::Cancel | StopReason::Orphan), _) => {
                failed(ErrorClass::Exit, "the run was stopped on request".to_owned())
            }
            (_, Some(result)) if result.is_error => {
                failed((self.dialect.class)(result), self.error(result, exit))
            }
            (Some(StopReason::Finished), _) => failed(
                ErrorClass::Exit,
                format!("{} printed its result but did not exit and was stopped", self.program),
            ),
            (None, _) if exit.out_of_memory => {
                let error = "the run was killed because the agent's memory was used up; give it more, \
                             or less to do at once";
                failed(ErrorClass::Exit, error.to_owned())
            }
            (None, Some(_)) if exit.code == Some(0) => Verdict::Completed,
            (None, result) => {
                let code = exit.code.filter(|_| result.is_none());
                let class = code.map_or(ErrorClass::Exit, self.dialect.exit_class);
                failed(class, self.exit_error(exit))
            }
        }
    }

    /// The CLI's own words for a failure.
    fn error(&self, result: &RunResult, exit: &Exit) -> String {
        let words: Vec<&str> =
            result.text.iter().chain(&result.errors).map(|text| text.trim()).collect();
        match words.join("; ") {
            words if !words.is_empty() => words,
            _ => match &result.subtype {
                Some(subtype) => format!("{} ended with {subtype}", self.program),
                None => self.exit_error(exit),
            },
        }
    }

    fn exit_error(&self, exit: &Exit) -> String {
        let end = match (exit.signal, exit.code) {
            (Some(signal), _) => format!("was ended by signal {signal}"),
            (None, Some(code)) => format!("exited with code {code}"),
            (None, None) => "ended in an unknown way".to_owned(),
        };
        let result = if self.result.is_some() { "" } else { " without a result" };
        match last_words(&exit.stderr_tail) {
            "" => format!("{} {end}{result}", self.program),
            words => format!("{} {end}{result}: {words}", self.program),
        }
    }

    /// The answer: the result's words when it succeeded, else the model's last ones, else all of
    /// its words so far.
    fn response(&self) -> Option<String> {
        let result = self.result.as_ref().filter(|result| !result.is_error);
        let answer = result.and_then(|result| result.text.clone());
        let last = result.and_then(|_| self.partial.get(self.answer_from..));
        let said = last.into_iter().chain([self.partial.as_str()]).find(|text| !text.is_empty());
        answer.or_else(|| said.map(str::to_owned))
    }
}

impl Parser for Judge {
    fn parse(&mut self, seq: u64, stream: LineStream, line: &[u8]) -> Vec<Event> {
        if seq <= self.seq {
            return Vec::new();
        }
        self.seq = seq;
        match stream {
            LineStream::Stdout => self.read(line),
            LineStream::Stderr => vec![Event::Raw],
        }
    }

    fn finish(&self, exit: &Exit) -> Conclusion {
        let result = self.result.as_ref();
        let outcome = Outcome {
            response: self.response(),
            response_ref: None,
            cost_usd_micros: result.and_then(|result| result.cost_usd_micros),
            usage: result.and_then(|result| result.usage),
            num_turns: result.and_then(|result| result.num_turns),
            context_used: self.context_used,
            context_max: result.and_then(|result| result.context_max),
            model_used: self.model_used.clone(),
            tool_call_count: self.tool_call_count,
            exit: (!exit.lost).then_some(ExitStatus { code: exit.code, signal: exit.signal }),
            ended_at: Some(exit.ended_at),
            duration_ms: (!exit.lost).then_some(exit.duration_ms),
        };
        Conclusion { verdict: self.verdict(exit), outcome, session_id: self.session_id.clone() }
    }
}

/// The end of standard error, from the start of a line where there is one: of the last line that
/// calls itself an error, so that warnings before it do not hide it.
fn last_words(stderr: &str) -> &str {
    let stderr = stderr.trim();
    let stderr = match stderr.rfind("\nError") {
        Some(line) if stderr.len() - line <= STDERR_BYTES_MAX => stderr[line..].trim(),
        _ => stderr,
    };
    let cut = stderr.ceil_char_boundary(stderr.len().saturating_sub(STDERR_BYTES_MAX));
    let tail = &stderr[cut..];
    if cut == 0 { tail } else { tail.split_once('\n').map_or(tail, |(_, lines)| lines.trim()) }
}

fn events(message: Message) -> Vec<Event> {
    let event = |block| match block {
        Block::Text(text) => Event::Text { text },
        Block::Thinking(text) => Event::Thinking { text },
        Block::ToolUse { id, name, input } => Event::ToolUse { id, name, input },
        Block::ToolResult { id, is_error, content } => Event::ToolResult { id, is_error, content },
        Block::Unknown => Event::Raw,
    };
    let events: Vec<Event> = message.blocks.into_iter().map(event).collect();
    if events.is_empty() { vec![Event::Raw] } else { events }
}

/// Later results win. Cost and tokens are those of the process so far and never shrink, though an
/// interrupted turn may report none; turns are counted anew in each result.
fn merged(earlier: Option<RunResult>, later: RunResult) -> RunResult {
    let Some(earlier) = earlier else { return later };
    let turns = match (earlier.num_turns, later.num_turns) {
        (Some(a), Some(b)) => Some(a.saturating_add(b)),
        (a, b) => a.or(b),
    };
    let usage = later.usage.filter(|usage| *usage != Usage::default());
    RunResult {
        num_turns: turns,
        cost_usd_micros: later.cost_usd_micros.max(earlier.cost_usd_micros),
        usage: usage.or(earlier.usage).or(later.usage),
        context_max: later.context_max.or(earlier.context_max),
        ..later
    }
}
