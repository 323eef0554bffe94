//! One line of a CLI's `stream-json` output, whichever CLI printed it.
//!
//! Lines are hostile input of CLIs that change often: what is missing, of another type or unknown
//! is skipped, and a line that is no JSON object has no [`Line`] at all.

use serde_json::{Map, Value};

use super::{McpServer, RunResult};

/// A line that has a meaning.
#[derive(Debug, Clone, PartialEq)]
pub enum Line {
    /// The CLI is up.
    Init(Init),
    /// A call of the API failed and is made again.
    Retry(Retry),
    /// What went wrong, or nearly, without ending the run by itself.
    Complaint(String),
    /// Anything else that the CLI says about itself.
    System,
    /// Content of the model.
    Assistant(Message),
    /// What the model was given.
    User(Message),
    /// The end.
    Result(RunResult),
    /// A JSON object of an unknown type.
    Unknown,
}

/// What the CLI says when it is up.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Init {
    /// The session.
    pub session_id: Option<String>,
    /// The model, where the CLI has settled on one.
    pub model: Option<String>,
    /// The CLI's version.
    pub cli_version: Option<String>,
    /// The MCP servers.
    pub mcp_servers: Vec<McpServer>,
}

/// A failed call of the API that is made again.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Retry {
    /// The number of the try.
    pub attempt: u64,
    /// Most tries.
    pub attempts_max: Option<u64>,
    /// The HTTP status.
    pub status: Option<u64>,
    /// The wait.
    pub delay_ms: Option<u64>,
    /// The word for the failure.
    pub error: Option<String>,
}

/// A message of the conversation.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Message {
    /// Its content in order.
    pub blocks: Vec<Block>,
    /// Whether it goes on where the message before it stopped, in the middle of a word even.
    pub is_delta: bool,
    /// The model that wrote it.
    pub model: Option<String>,
    /// Whether the CLI wrote it itself, in place of an answer that failed.
    pub is_synthetic: bool,
    /// Whether it belongs to an agent that a tool call started.
    pub is_of_subagent: bool,
    /// Tokens of the request that it answers: how full the context was.
    pub context_used: Option<u64>,
}

/// A piece of a message.
#[derive(Debug, Clone, PartialEq)]
pub enum Block {
    /// Words.
    Text(String),
    /// Thoughts.
    Thinking(String),
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
        id: String,
        /// Whether it failed.
        is_error: bool,
        /// The answer as text.
        content: String,
    },
    /// Something else, such as an image.
    Unknown,
}

/// Reads the JSON object of a line; bytes that are no UTF-8 are replaced.
pub fn object(bytes: &[u8]) -> Option<Map<String, Value>> {
    match serde_json::from_str(&String::from_utf8_lossy(bytes)) {
        Ok(Value::Object(line)) => Some(line),
        _ => None,
    }
}

/// Gives a field that is a string.
pub fn string(object: &Map<String, Value>, name: &str) -> Option<String> {
    object.get(name).and_then(Value::as_str).map(String::from)
}

/// Gives a field that is a number and not negative; fractions are cut off.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a cast from f64 saturates, and the sign was checked"
)]
pub fn number(object: &Map<String, Value>, name: &str) -> Option<u64> {
    let value = object.get(name)?;
    value.as_u64().or_else(|| value.as_f64().filter(|n| *n >= 0.0).map(|n| n as u64))
}
