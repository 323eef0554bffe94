//! What the tests of every adapter need.

use chrono::{DateTime, Utc};
use proptest::prelude::*;
use trinity_agent_protocol::{Exit, LineStream, OutputLine, StopReason};

use super::tools::ToolSet;
use super::transcript::{self, Entry};
use super::{Adapter, Conclusion, Env, Event, Parser, RunUser, Session, Surroundings, TaskSpec};
use crate::domain::execution::{ErrorClass, Verdict};

/// A captured output of a real CLI and its name.
pub type Fixture = (&'static str, &'static [u8]);

macro_rules! fixture {
    ($name:literal) => {
        include_bytes!(concat!("../../../tests/fixtures/cli-output/", $name, ".jsonl"))
    };
}
pub(super) use fixture;

/// The lines of a captured output.
pub fn lines(fixtures: &[Fixture], name: &str) -> Vec<&'static [u8]> {
    let (_, bytes) = fixtures.iter().find(|(fixture, _)| *fixture == name).unwrap();
    bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect()
}

/// What the API shows of a line that was printed so.
pub fn entry(seq: u64, at: DateTime<Utc>, stream: LineStream, bytes: &[u8]) -> Entry {
    let (line, raw) = OutputLine::text_and_raw(bytes);
    let (truncated, partial, dropped) = (None, false, None);
    transcript::entry(&OutputLine { seq, at, stream, line, raw, truncated, partial, dropped })
}

/// An exit nobody asked for.
pub fn exited(code: i32) -> Exit {
    Exit {
        code: Some(code),
        signal: None,
        ended_at: DateTime::UNIX_EPOCH,
        duration_ms: 1_500,
        stop_reason: None,
        lost: false,
        out_of_memory: false,
        last_seq: 0,
        swept: 0,
        dropped_lines: 0,
        stderr_tail: String::new(),
    }
}

/// The exit of a run that was stopped.
pub fn stopped(reason: StopReason) -> Exit {
    Exit { stop_reason: Some(reason), ..exited(0) }
}

/// Feeds the lines to a fresh parser.
pub fn read<L: AsRef<[u8]>>(
    adapter: &dyn Adapter,
    lines: impl IntoIterator<Item = L>,
) -> (Box<dyn Parser>, Vec<Event>) {
    let mut parser = adapter.parser();
    let mut events = Vec::new();
    for (line, seq) in lines.into_iter().zip(1..) {
        events.extend(parser.parse(seq, LineStream::Stdout, line.as_ref()));
    }
    (parser, events)
}

/// Why a run failed.
pub fn failure(conclusion: &Conclusion) -> (ErrorClass, &str) {
    match &conclusion.verdict {
        Verdict::Failed { class, error } => (*class, error),
        Verdict::Completed => panic!("it completed"),
    }
}

/// A plain task.
pub fn task() -> TaskSpec {
    TaskSpec {
        message: "hello".to_owned(),
        session: Session::New { id: "11111111-1111-4111-8111-111111111111".to_owned() },
        model: None,
        tools: ToolSet::Unrestricted,
        system_prompt: None,
        max_turns: None,
        protected_files: Vec::new(),
        mcp_config: None,
        files_dir: "/run/files/x".to_owned(),
        surroundings: Surroundings {
            home: "/workspace/.home".to_owned(),
            path: "/usr/bin:/bin".to_owned(),
            secrets: Env::default(),
            user: RunUser::Unprivileged,
        },
    }
}

/// A word for the kind of an event.
pub fn kind(event: &Event) -> &'static str {
    match event {
        Event::Init { .. } => "init",
        Event::Text { .. } => "text",
        Event::Thinking { .. } => "thinking",
        Event::ToolUse { .. } => "tool_use",
        Event::ToolResult { .. } => "tool_result",
        Event::Retry { .. } => "retry",
        Event::Result(_) => "result",
        Event::Raw => "raw",
    }
}

/// A captured line with some of its bytes replaced, removed or doubled.
pub fn mutated(fixtures: &'static [Fixture]) -> impl Strategy<Value = Vec<u8>> {
    let all: Vec<&'static [u8]> =
        fixtures.iter().flat_map(|(name, _)| lines(fixtures, name)).collect();
    let edit = (any::<prop::sample::Index>(), any::<u8>(), 0..4_u8);
    (prop::sample::select(all), prop::collection::vec(edit, 1..8)).prop_map(|(line, edits)| {
        let mut line = line.to_vec();
        for (index, byte, kind) in edits {
            let at = index.index(line.len().max(1));
            match kind {
                0 if at < line.len() => line[at] = byte,
                1 if at < line.len() => drop(line.remove(at)),
                2 => line.truncate(at),
                _ => line.insert(at.min(line.len()), byte),
            }
        }
        line
    })
}
