//! One line of Claude Code's `stream-json` output.

use serde_json::{Map, Value};

use super::super::line::{Block, Init, Line, Message, Retry, number, string};
use super::super::{McpServer, RunResult};
use crate::domain::execution::Usage;

/// The largest cost that is believed, in dollars: above it the number is noise.
const COST_USD_MAX: f64 = 1e9;

/// Reads the object of a line.
pub fn read(line: Map<String, Value>) -> Line {
    match (string(&line, "type").as_deref(), string(&line, "subtype").as_deref()) {
        (Some("system"), Some("init")) => Line::Init(init(&line)),
        (Some("system"), Some("api_retry")) => Line::Retry(retry(&line)),
        (Some("system"), _) => Line::System,
        (Some("assistant"), _) => Line::Assistant(message(line)),
        (Some("user"), _) => Line::User(message(line)),
        (Some("result"), _) => Line::Result(result(&line)),
        _ => Line::Unknown,
    }
}

fn init(line: &Map<String, Value>) -> Init {
    let servers = line.get("mcp_servers").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let server = |value: &Value| {
        let server = value.as_object()?;
        let status = string(server, "status").unwrap_or_default();
        Some(McpServer { name: string(server, "name")?, status })
    };
    Init {
        session_id: string(line, "session_id"),
        model: string(line, "model").map(without_mark),
        cli_version: string(line, "claude_code_version"),
        mcp_servers: servers.iter().filter_map(server).collect(),
    }
}

/// The first line may say `claude-opus-4-8[1m]` where messages say `claude-opus-4-8`.
fn without_mark(mut model: String) -> String {
    if let Some(mark) = model.find('[').filter(|_| model.ends_with(']')) {
        model.truncate(mark);
    }
    model
}

fn retry(line: &Map<String, Value>) -> Retry {
    Retry {
        attempt: number(line, "attempt").unwrap_or(0),
        attempts_max: number(line, "max_retries"),
        status: number(line, "error_status"),
        delay_ms: number(line, "retry_delay_ms"),
        error: string(line, "error"),
    }
}

fn message(mut line: Map<String, Value>) -> Message {
    let is_of_subagent = line.get("parent_tool_use_id").is_some_and(Value::is_string);
    let failed = line.get("error").is_some_and(|error| !error.is_null());
    let Some(Value::Object(mut message)) = line.remove("message") else {
        return Message { blocks: vec![Block::Unknown], is_of_subagent, ..Message::default() };
    };
    let blocks = match message.remove("content") {
        Some(Value::String(text)) => vec![Block::Text(text)],
        Some(Value::Array(blocks)) => blocks.into_iter().map(block).collect(),
        _ => vec![Block::Unknown],
    };
    let model = string(&message, "model");
    let is_synthetic = failed || model.as_deref() == Some("<synthetic>");
    let usage = message.get("usage").and_then(Value::as_object);
    let context_used = usage.filter(|_| !is_synthetic && !is_of_subagent).map(|usage| {
        ["input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens"]
            .iter()
            .filter_map(|name| number(usage, name))
            .fold(0, u64::saturating_add)
    });
    Message { blocks, is_delta: false, model, is_synthetic, is_of_subagent, context_used }
}

fn block(value: Value) -> Block {
    let Value::Object(mut block) = value else { return Block::Unknown };
    match string(&block, "type").as_deref() {
        Some("text") => string(&block, "text").map_or(Block::Unknown, Block::Text),
        Some("thinking") => string(&block, "thinking").map_or(Block::Unknown, Block::Thinking),
        Some("tool_use") => match (string(&block, "id"), string(&block, "name")) {
            (Some(id), Some(name)) => {
                Block::ToolUse { id, name, input: block.remove("input").unwrap_or(Value::Null) }
            }
            _ => Block::Unknown,
        },
        Some("tool_result") => match string(&block, "tool_use_id") {
            Some(id) => Block::ToolResult {
                id,
                is_error: block.get("is_error").and_then(Value::as_bool).unwrap_or(false),
                content: answer(block.remove("content")),
            },
            None => Block::Unknown,
        },
        _ => Block::Unknown,
    }
}

/// The answer of a tool is a string, or an array of which only the text can be shown.
fn answer(content: Option<Value>) -> String {
    match content {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text,
        Some(Value::Array(parts)) => {
            let part = |part: Value| match part {
                Value::String(text) => text,
                Value::Object(part) => string(&part, "text").unwrap_or_else(|| {
                    format!("[{}]", string(&part, "type").unwrap_or_else(|| "unknown".to_owned()))
                }),
                other => other.to_string(),
            };
            parts.into_iter().map(part).collect::<Vec<_>>().join("\n")
        }
        Some(other) => other.to_string(),
    }
}

fn result(line: &Map<String, Value>) -> RunResult {
    let errors = line.get("errors").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    RunResult {
        is_error: line.get("is_error").and_then(Value::as_bool).unwrap_or(true),
        subtype: string(line, "subtype"),
        text: string(line, "result"),
        errors: errors.iter().filter_map(Value::as_str).map(String::from).collect(),
        session_id: string(line, "session_id"),
        num_turns: number(line, "num_turns").and_then(|turns| u32::try_from(turns).ok()),
        cost_usd_micros: line.get("total_cost_usd").and_then(Value::as_f64).and_then(micros),
        usage: usage(line),
        context_max: models(line).filter_map(|model| number(model, "contextWindow")).max(),
        model_used: None,
    }
}

/// Dollars to micro-dollars, rounded to the nearest; `None` for what is no amount.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the range was checked: 1e15 micro-dollars at most, exact in an f64"
)]
fn micros(usd: f64) -> Option<i64> {
    (0.0..=COST_USD_MAX).contains(&usd).then(|| (usd * 1e6).round() as i64)
}

fn models(line: &Map<String, Value>) -> impl Iterator<Item = &Map<String, Value>> {
    let models = line.get("modelUsage").and_then(Value::as_object);
    models.into_iter().flat_map(Map::values).filter_map(Value::as_object)
}

/// Tokens of the process so far.
///
/// `modelUsage` adds up over the process, like the cost that it explains. `usage` counts the main
/// conversation since the last result only, and is zero when the budget ran out; it serves where
/// there is no `modelUsage`.
fn usage(line: &Map<String, Value>) -> Option<Usage> {
    let sum =
        |name| models(line).filter_map(|model| number(model, name)).fold(0, u64::saturating_add);
    if models(line).next().is_some() {
        return Some(Usage {
            input_tokens: sum("inputTokens"),
            output_tokens: sum("outputTokens"),
            cache_read_tokens: sum("cacheReadInputTokens"),
            cache_creation_tokens: sum("cacheCreationInputTokens"),
        });
    }
    let usage = line.get("usage").and_then(Value::as_object)?;
    let field = |name| number(usage, name).unwrap_or(0);
    Some(Usage {
        input_tokens: field("input_tokens"),
        output_tokens: field("output_tokens"),
        cache_read_tokens: field("cache_read_input_tokens"),
        cache_creation_tokens: field("cache_creation_input_tokens"),
    })
}
