//! The lines of a run as the API shows them.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Serialize, Serializer};
use serde_json::Value;

use trinity_agent_protocol::{LineStream, OutputLine};

use super::{claude, gemini, line};

/// One line of a run.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Entry {
    /// The number that the supervisor gave it: 1, 2, 3 … over both pipes.
    pub seq: u64,
    /// When the supervisor read it.
    #[serde(serialize_with = "rfc3339_millis")]
    pub at: DateTime<Utc>,
    /// The pipe it came from.
    #[schema(value_type = String, example = "stdout")]
    pub stream: LineStream,
    /// What kind of line it is.
    pub kind: Kind,
    /// Its content.
    pub blocks: Vec<Block>,
    /// The line as it was printed, where the blocks do not say all; bytes that are no UTF-8 are
    /// replaced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raw: Option<String>,
    /// The length of the whole line in bytes, when only its beginning was kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub truncated: Option<u64>,
    /// What was left out between the line before and this one, when the run printed more than is
    /// kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dropped: Option<Dropped>,
}

/// Output that was left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Dropped {
    /// How many lines; they have no numbers.
    pub lines: u64,
    /// How many bytes, newlines not counted.
    pub bytes: u64,
}

impl From<trinity_agent_protocol::Dropped> for Dropped {
    fn from(dropped: trinity_agent_protocol::Dropped) -> Self {
        let trinity_agent_protocol::Dropped { lines, bytes } = dropped;
        Self { lines, bytes }
    }
}

impl Entry {
    /// Whether a text of the line, as it is shown, is of that kind.
    pub fn shows(&self, fits: impl Fn(&str) -> bool) -> bool {
        let in_block = |block: &Block| match block {
            Block::Text { text } | Block::Thinking { text } => fits(text),
            Block::ToolUse { name, input, .. } => fits(name) || any_text(input, &fits),
            Block::ToolResult { content, .. } => fits(content),
        };
        self.blocks.iter().any(in_block) || self.raw.as_deref().is_some_and(&fits)
    }
}

/// Whether a text anywhere in a value is of that kind.
fn any_text(value: &Value, fits: &dyn Fn(&str) -> bool) -> bool {
    match value {
        Value::String(text) => fits(text),
        Value::Array(items) => items.iter().any(|item| any_text(item, fits)),
        Value::Object(fields) => fields.values().any(|field| any_text(field, fits)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// The kinds of lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The CLI about itself.
    System,
    /// The model.
    Assistant,
    /// What the model was given: mostly answers of tools.
    User,
    /// The end.
    Result,
    /// A line of standard error.
    Stderr,
    /// A line of standard output that is none of these.
    Raw,
}

/// A piece of a line.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Block {
    /// Words.
    Text {
        /// The words.
        text: String,
    },
    /// Thoughts of the model.
    Thinking {
        /// The thoughts.
        text: String,
    },
    /// A call of a tool.
    ToolUse {
        /// Pairs the call with its result.
        id: String,
        /// The tool.
        name: String,
        /// Its arguments.
        input: Value,
    },
    /// The answer of a tool.
    ToolResult {
        /// The id of the call.
        tool_use_id: String,
        /// Whether the tool failed or was refused.
        is_error: bool,
        /// The answer as text.
        content: String,
    },
}

fn rfc3339_millis<S: Serializer>(at: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&at.to_rfc3339_opts(SecondsFormat::Millis, true))
}

/// Turns a line as it was printed into its entry.
pub fn entry(line: &OutputLine) -> Entry {
    let OutputLine { seq, at, stream, line: text, truncated, dropped, .. } = line;
    let (kind, blocks, is_whole) = match stream {
        LineStream::Stdout => stdout(text.as_bytes()),
        LineStream::Stderr => (Kind::Stderr, vec![Block::Text { text: text.clone() }], true),
    };
    Entry {
        seq: *seq,
        at: *at,
        stream: *stream,
        kind,
        blocks,
        raw: (!is_whole).then(|| text.clone()),
        truncated: *truncated,
        dropped: dropped.map(Dropped::from),
    }
}

/// Reads a line of whichever CLI: each has types of lines that no other has.
fn read(bytes: &[u8]) -> Option<line::Line> {
    let object = line::object(bytes)?;
    Some(if gemini::line::is_one(&object) {
        gemini::line::read(object)
    } else {
        claude::line::read(object)
    })
}

/// The kind and the blocks of a line, and whether the blocks say all that matters.
fn stdout(bytes: &[u8]) -> (Kind, Vec<Block>, bool) {
    match read(bytes) {
        Some(line::Line::Init(_) | line::Line::Retry(_) | line::Line::System) => {
            (Kind::System, Vec::new(), false)
        }
        Some(line::Line::Complaint(text)) => (Kind::System, vec![Block::Text { text }], false),
        Some(line::Line::Assistant(message)) => conversation(Kind::Assistant, message),
        Some(line::Line::User(message)) => conversation(Kind::User, message),
        Some(line::Line::Result(result)) => {
            let texts = result.text.into_iter().chain(result.errors);
            (Kind::Result, texts.map(|text| Block::Text { text }).collect(), false)
        }
        Some(line::Line::Unknown) | None => (Kind::Raw, Vec::new(), false),
    }
}

fn conversation(kind: Kind, message: line::Message) -> (Kind, Vec<Block>, bool) {
    let count = message.blocks.len();
    let block = |block| match block {
        line::Block::Text(text) => Some(Block::Text { text }),
        line::Block::Thinking(text) => Some(Block::Thinking { text }),
        line::Block::ToolUse { id, name, input } => Some(Block::ToolUse { id, name, input }),
        line::Block::ToolResult { id: tool_use_id, is_error, content } => {
            Some(Block::ToolResult { tool_use_id, is_error, content })
        }
        line::Block::Unknown => None,
    };
    let blocks: Vec<Block> = message.blocks.into_iter().filter_map(block).collect();
    let is_whole = count > 0 && blocks.len() == count;
    (kind, blocks, is_whole)
}
