//! What the CLI prints: lines of its shapes, with figures that add up.

use std::io::Write;
use std::time::Instant;

use chrono::SecondsFormat;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::VERSION;
use super::flags::Flags;
use super::sessions::Session;

/// The name of the model.
const MODEL: &str = "demo";
/// The size of its context, in tokens.
const CONTEXT_TOKENS_MAX: u64 = 200_000;
/// What the CLI sends before the prompt, in tokens.
const SYSTEM_TOKENS: u64 = 2_400;
/// Characters of a token, roughly.
const TOKEN_CHARS: usize = 4;

const TOOLS: &[&str] = &[
    "Task",
    "Bash",
    "Edit",
    "Glob",
    "Grep",
    "NotebookEdit",
    "Read",
    "TodoWrite",
    "WebFetch",
    "WebSearch",
    "Write",
];

/// `--output-format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// The answer alone.
    #[default]
    Text,
    /// The result alone.
    Json,
    /// Every line as it comes.
    StreamJson,
}

impl Format {
    /// Reads the flag's value.
    pub fn of(value: &str) -> Result<Self, String> {
        match value {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            "stream-json" => Ok(Self::StreamJson),
            _ => Err(format!(
                "error: option '--output-format <format>' argument '{value}' is invalid. Allowed \
                 choices are text, json, stream-json."
            )),
        }
    }
}

/// Tokens of the run so far.
#[derive(Default)]
struct Tally {
    input: u64,
    output: u64,
    cache_read: u64,
    cache_creation: u64,
    /// In the context and in the cache.
    cached: u64,
    /// In the context since the last request.
    fresh: u64,
}

impl Tally {
    /// Counts a request: what was sent before comes from the cache, the rest goes into it.
    fn request(&mut self) -> Value {
        let usage = json!({
            "input_tokens": 3,
            "cache_creation_input_tokens": self.fresh,
            "cache_read_input_tokens": self.cached,
            "output_tokens": 1,
        });
        self.input += 3;
        self.cache_read += self.cached;
        self.cache_creation += self.fresh;
        self.cached += self.fresh;
        self.fresh = 0;
        usage
    }

    fn answer(&mut self, text: &str) {
        let tokens = tokens(text);
        self.output += tokens;
        self.fresh += tokens;
    }

    fn cost_usd(&self) -> f64 {
        const NANODOLLARS: (u64, u64, u64, u64) = (3_000, 15_000, 300, 3_750);
        let (input, output, cache_read, cache_creation) = NANODOLLARS;
        let nanos = self.input * input
            + self.output * output
            + self.cache_read * cache_read
            + self.cache_creation * cache_creation;
        f64::from(u32::try_from(nanos / 1_000).unwrap_or(u32::MAX)) / 1e6
    }
}

fn tokens(text: &str) -> u64 {
    u64::try_from(text.len() / TOKEN_CHARS + 1).unwrap_or(u64::MAX)
}

/// Prints the lines of one run.
pub struct Printer {
    format: Format,
    session: Session,
    started: Instant,
    is_mid_line: bool,
    said: Vec<String>,
    turns: u32,
    turn_usage: Option<Value>,
    tally: Tally,
    denials: Vec<Value>,
    has_result: bool,
    /// The cost in dollars, instead of one made up from the tokens.
    pub cost_usd: Option<f64>,
}

impl Printer {
    /// Prepares a run.
    pub fn new(format: Format, session: Session, prompt: &str) -> Self {
        let tally = Tally { fresh: SYSTEM_TOKENS + tokens(prompt), ..Tally::default() };
        Self {
            format,
            session,
            started: Instant::now(),
            is_mid_line: false,
            said: Vec::new(),
            turns: 0,
            turn_usage: None,
            tally,
            denials: Vec::new(),
            has_result: false,
            cost_usd: None,
        }
    }

    /// Whether a result line was printed.
    pub fn has_result(&self) -> bool {
        self.has_result
    }

    /// Whether one more word of the model would be a turn too many.
    pub fn is_out_of_turns(&self, turns_max: Option<u32>) -> bool {
        self.turn_usage.is_none() && turns_max.is_some_and(|max| self.turns >= max)
    }

    /// Prints the first line.
    pub fn init(&mut self, flags: &Flags, mcp_servers: &[String]) {
        let servers = mcp_servers.iter().map(|name| json!({"name": name, "status": "pending"}));
        let tools = match &flags.tools {
            Some(tools) => json!(tools),
            None => json!(TOOLS),
        };
        let here = std::env::current_dir().unwrap_or_default();
        self.line(json!({
            "type": "system",
            "subtype": "init",
            "cwd": here.to_string_lossy(),
            "tools": tools,
            "mcp_servers": servers.collect::<Vec<_>>(),
            "model": MODEL,
            "permissionMode": flags.permission_mode,
            "slash_commands": [],
            "apiKeySource": "none",
            "claude_code_version": VERSION,
            "output_style": "default",
        }));
    }

    /// Prints words that are part of the response.
    pub fn say(&mut self, text: &str) {
        self.said.push(text.to_owned());
        self.words(text);
    }

    /// Prints words.
    pub fn words(&mut self, text: &str) {
        self.assistant(&json!({"type": "text", "text": text}), text);
    }

    /// Prints a tool call; gives its id.
    pub fn tool_use(&mut self, name: &str, input: &Value) -> String {
        let id = format!("toolu_demo_{}", short_id());
        let block = json!({"type": "tool_use", "id": id, "name": name, "input": input});
        self.assistant(&block, &input.to_string());
        id
    }

    /// Prints the answer of a tool.
    pub fn tool_result(&mut self, id: &str, content: &str, is_error: bool) {
        self.tally.fresh += tokens(content);
        self.turn_usage = None;
        let block = json!({
            "type": "tool_result", "tool_use_id": id, "content": content, "is_error": is_error,
        });
        let result = if is_error {
            json!(format!("Error: {content}"))
        } else {
            json!({"stdout": content, "stderr": "", "interrupted": false})
        };
        self.user(&block, Some(result));
    }

    /// Remembers that a tool was refused, for the result line.
    pub fn deny(&mut self, id: &str, name: &str, input: &Value) {
        self.denials.push(json!({"tool_name": name, "tool_use_id": id, "tool_input": input}));
    }

    /// Prints what the CLI says after a signal: of a tool call, or of the model's words.
    pub fn interrupted(&mut self, tool_use_id: Option<&str>) {
        let (text, reason) = match tool_use_id {
            Some(id) => {
                self.tool_result(id, "The tool call was stopped: the user interrupted it.", true);
                ("[Request interrupted by user for tool use]", "aborted_tools")
            }
            None => ("[Request interrupted by user]", "aborted_streaming"),
        };
        self.user(&json!({"type": "text", "text": text}), None);
        if tool_use_id.is_none() {
            // An answer that was cut off is not counted by the real CLI.
            self.cost_usd = Some(0.0);
            self.tally = Tally::default();
        }
        self.turns += 1;
        let error = format!("[ede_diagnostic] result_type=user reason={reason}");
        self.error_result("error_during_execution", &error, reason);
    }

    /// Prints the result of a task that is done.
    pub fn success(&mut self) {
        let response = self.said.join("\n");
        self.answer(&response);
    }

    /// Prints an answer that the CLI gives without the model.
    pub fn local_answer(&mut self, text: &str) {
        let message = json!({
            "id": Uuid::new_v4(), "type": "message", "role": "assistant", "model": "<synthetic>",
            "content": [{"type": "text", "text": text}],
        });
        self.line(json!({"type": "assistant", "message": message, "parent_tool_use_id": null}));
        self.tally = Tally::default();
        self.answer(text);
    }

    fn answer(&mut self, response: &str) {
        let result = self.result(json!({
            "subtype": "success",
            "is_error": false,
            "api_error_status": null,
            "result": response,
            "stop_reason": "end_turn",
            "terminal_reason": "completed",
        }));
        self.last(result, response);
    }

    /// Prints the result of a run that has used up its turns.
    pub fn out_of_turns(&mut self, turns_max: Option<u32>) {
        let turns_max = turns_max.unwrap_or(self.turns);
        self.turns = self.turns.max(turns_max.saturating_add(1));
        let error = format!("Reached maximum number of turns ({turns_max})");
        self.error_result("error_max_turns", &error, "max_turns");
    }

    /// Prints the result of a run that failed.
    pub fn failure(&mut self, subtype: &str, error: &str) {
        self.error_result(subtype, error, "error");
    }

    fn error_result(&mut self, subtype: &str, error: &str, reason: &str) {
        let result = self.result(json!({
            "subtype": subtype,
            "is_error": true,
            "errors": [error],
            "stop_reason": null,
            "terminal_reason": reason,
        }));
        self.last(result, error);
    }

    fn result(&self, own: Value) -> Value {
        let duration_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let cost_usd = self.cost_usd.unwrap_or_else(|| self.tally.cost_usd());
        let mut models = Map::new();
        if self.tally.input > 0 {
            models.insert(
                MODEL.to_owned(),
                json!({
                    "inputTokens": self.tally.input,
                    "outputTokens": self.tally.output,
                    "cacheReadInputTokens": self.tally.cache_read,
                    "cacheCreationInputTokens": self.tally.cache_creation,
                    "webSearchRequests": 0,
                    "costUSD": cost_usd,
                    "contextWindow": CONTEXT_TOKENS_MAX,
                    "maxOutputTokens": 64_000,
                }),
            );
        }
        let mut result = json!({
            "type": "result",
            "duration_ms": duration_ms,
            "duration_api_ms": duration_ms,
            "num_turns": self.turns,
            "total_cost_usd": cost_usd,
            "usage": {
                "input_tokens": self.tally.input,
                "cache_creation_input_tokens": self.tally.cache_creation,
                "cache_read_input_tokens": self.tally.cache_read,
                "output_tokens": self.tally.output,
                "service_tier": "standard",
            },
            "modelUsage": models,
            "permission_denials": self.denials,
        });
        if let (Value::Object(result), Value::Object(own)) = (&mut result, own) {
            result.extend(own);
        }
        result
    }

    fn last(&mut self, result: Value, text: &str) {
        self.has_result = true;
        match self.format {
            Format::Text => self.print(&format!("{text}\n")),
            Format::Json | Format::StreamJson => self.object(result),
        }
    }

    fn assistant(&mut self, block: &Value, text: &str) {
        let usage = self.turn_usage.take().unwrap_or_else(|| {
            self.turns = self.turns.saturating_add(1);
            self.tally.request()
        });
        self.tally.answer(text);
        let message = json!({
            "id": format!("msg_demo_{}", short_id()),
            "type": "message",
            "role": "assistant",
            "model": MODEL,
            "content": [block],
            "stop_reason": null,
            "stop_sequence": null,
            "usage": usage,
        });
        self.turn_usage = Some(usage);
        self.session.remember("assistant", &message);
        self.line(json!({
            "type": "assistant", "message": message, "parent_tool_use_id": null,
            "request_id": format!("req_demo_{}", short_id()),
        }));
    }

    fn user(&mut self, block: &Value, tool_use_result: Option<Value>) {
        let message = json!({"role": "user", "content": [block]});
        self.session.remember("user", &message);
        let now = crate::clock::now().to_rfc3339_opts(SecondsFormat::Millis, true);
        let mut line = json!({
            "type": "user", "message": message, "parent_tool_use_id": null, "timestamp": now,
        });
        if let Some(result) = tool_use_result {
            line["tool_use_result"] = result;
        }
        self.line(line);
    }

    fn line(&mut self, line: Value) {
        if self.format == Format::StreamJson {
            self.object(line);
        }
    }

    fn object(&mut self, mut line: Value) {
        line["session_id"] = json!(self.session.id);
        line["uuid"] = json!(Uuid::new_v4());
        self.print(&format!("{line}\n"));
    }

    fn print(&mut self, text: &str) {
        if self.is_mid_line {
            self.write(b"\n");
        }
        self.write(text.as_bytes());
    }

    /// Prints bytes as they are, on a new line.
    pub fn raw(&mut self, bytes: &[u8]) {
        if self.is_mid_line {
            self.write(b"\n");
        }
        self.write(bytes);
    }

    fn write(&mut self, bytes: &[u8]) {
        self.is_mid_line = bytes.last().is_some_and(|last| *last != b'\n');
        let mut stdout = std::io::stdout().lock();
        // The real CLI goes on when nobody reads its output.
        let _ = stdout.write_all(bytes).and_then(|()| stdout.flush());
    }
}

fn short_id() -> String {
    Uuid::new_v4().simple().to_string().chars().take(12).collect()
}
