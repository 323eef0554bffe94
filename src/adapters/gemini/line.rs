//! One line of Gemini CLI's `stream-json` output.

use serde_json::{Map, Value};

use super::super::RunResult;
use super::super::line::{Block, Init, Line, Message, number, string};
use super::prices;
use crate::domain::execution::Usage;

/// How the CLI calls the choice that it makes itself, for each request anew.
const AUTO: &str = "auto";

/// Whether the object is a line of this CLI: no other prints a result with a `status`.
pub fn is_one(line: &Map<String, Value>) -> bool {
    match string(line, "type").as_deref() {
        Some("init" | "message" | "tool_use" | "tool_result" | "error") => true,
        Some("result") => line.contains_key("status"),
        _ => false,
    }
}

/// Reads the object of a line.
pub fn read(line: Map<String, Value>) -> Line {
    match string(&line, "type").as_deref() {
        Some("init") => Line::Init(init(&line)),
        Some("message") => message(&line),
        Some("tool_use") => Line::Assistant(said(tool_use(line))),
        Some("tool_result") => Line::User(said(tool_result(&line))),
        Some("error") => string(&line, "message").map_or(Line::System, Line::Complaint),
        Some("result") => Line::Result(result(&line)),
        _ => Line::Unknown,
    }
}

fn init(line: &Map<String, Value>) -> Init {
    Init {
        session_id: string(line, "session_id"),
        model: string(line, "model").filter(|model| !model.starts_with(AUTO)),
        ..Init::default()
    }
}

fn said(block: Block) -> Message {
    Message { blocks: vec![block], is_delta: true, ..Message::default() }
}

fn message(line: &Map<String, Value>) -> Line {
    let block = string(line, "content").map_or(Block::Unknown, Block::Text);
    let is_delta = line.get("delta").and_then(Value::as_bool).unwrap_or(false);
    let message = Message { is_delta, ..said(block) };
    match string(line, "role").as_deref() {
        Some("assistant") => Line::Assistant(message),
        Some("user") => Line::User(message),
        _ => Line::Unknown,
    }
}

fn tool_use(mut line: Map<String, Value>) -> Block {
    match (string(&line, "tool_id"), string(&line, "tool_name")) {
        (Some(id), Some(name)) => {
            Block::ToolUse { id, name, input: line.remove("parameters").unwrap_or(Value::Null) }
        }
        _ => Block::Unknown,
    }
}

fn tool_result(line: &Map<String, Value>) -> Block {
    let Some(id) = string(line, "tool_id") else { return Block::Unknown };
    let error = line.get("error").and_then(Value::as_object);
    let words = error.and_then(|error| string(error, "message"));
    Block::ToolResult {
        id,
        is_error: string(line, "status").as_deref() != Some("success"),
        content: string(line, "output").or(words).unwrap_or_default(),
    }
}

fn result(line: &Map<String, Value>) -> RunResult {
    let error = line.get("error").and_then(Value::as_object);
    let words = error.and_then(|error| string(error, "message"));
    let stats = line.get("stats").and_then(Value::as_object);
    RunResult {
        is_error: string(line, "status").as_deref() != Some("success"),
        subtype: error.and_then(|error| string(error, "type")),
        errors: words.into_iter().collect(),
        cost_usd_micros: stats.and_then(cost_usd_micros),
        usage: stats.map(|stats| Tokens::of(stats).into()),
        model_used: stats.and_then(busiest_model),
        ..RunResult::default()
    }
}

/// The tokens that one model, or all of them, have used.
#[derive(Debug, Clone, Copy)]
struct Tokens {
    input: u64,
    cached: u64,
    output: u64,
}

impl Tokens {
    /// `input_tokens` holds the cached ones; only the total holds the thoughts.
    fn of(stats: &Map<String, Value>) -> Self {
        let field = |name| number(stats, name).unwrap_or(0);
        let prompt = field("input_tokens");
        let cached = field("cached").min(prompt);
        let beyond_prompt = field("total_tokens").saturating_sub(prompt);
        Self { input: prompt - cached, cached, output: field("output_tokens").max(beyond_prompt) }
    }
}

impl From<Tokens> for Usage {
    fn from(tokens: Tokens) -> Self {
        Self {
            input_tokens: tokens.input,
            output_tokens: tokens.output,
            cache_read_tokens: tokens.cached,
            cache_creation_tokens: 0,
        }
    }
}

fn models(stats: &Map<String, Value>) -> impl Iterator<Item = (&String, Tokens)> {
    let models = stats.get("models").and_then(Value::as_object);
    let tokens = |(name, stats): (_, &Value)| Some((name, Tokens::of(stats.as_object()?)));
    models.into_iter().flatten().filter_map(tokens)
}

/// What all models cost together, rounded to the nearest; `None` unless every price is known.
fn cost_usd_micros(stats: &Map<String, Value>) -> Option<i64> {
    let mut used = models(stats).peekable();
    used.peek()?;
    let nanos = used.try_fold(0_u64, |sum, (model, tokens)| {
        let price = prices::of(model)?;
        sum.checked_add(price.nanos(tokens.input, tokens.cached, tokens.output)?)
    })?;
    i64::try_from(nanos.checked_add(500)? / 1_000).ok()
}

/// The model with the most tokens: besides it, small ones choose and sum up.
fn busiest_model(stats: &Map<String, Value>) -> Option<String> {
    let all =
        |tokens: &Tokens| tokens.input.saturating_add(tokens.cached).saturating_add(tokens.output);
    models(stats).max_by_key(|(_, tokens)| all(tokens)).map(|(model, _)| model.clone())
}
