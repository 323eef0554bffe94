//! The lines of a run as people read them.

use console::style;
use serde_json::Value;

use super::text::{clean, one_line};
use super::wire::{Block, Dropped, Entry};

/// How much of a line is shown that is no answer, in columns; `--json` has all of it.
const WORK_COLUMNS_MAX: usize = 2_000;

/// A piece of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// What it is, which decides where it goes.
    pub voice: Voice,
    /// Its text, free of control sequences but for our own colors.
    pub text: String,
}

/// Whose words a line has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Voice {
    /// The agent's answer.
    Agent,
    /// About what the agent does.
    Work,
}

/// Makes the lines of one entry, and says what is missing around them.
pub fn lines(entry: &Entry) -> Vec<Line> {
    let mut lines = Vec::new();
    if let Some(Dropped { lines: count, bytes }) = &entry.dropped {
        let noun = if *count == 1 { "line" } else { "lines" };
        let text = format!("{count} {noun} left out here, {bytes} bytes: the run printed too much");
        lines.push(work(&style("…").yellow(), &text));
    }
    lines.extend(printed(entry));
    if let Some(bytes) = entry.truncated {
        let text = format!("the line before goes on: of its {bytes} bytes the first are kept");
        lines.push(work(&style("…").yellow(), &text));
    }
    lines
}

/// What was printed: answers in full, the work around them in short.
fn printed(entry: &Entry) -> Vec<Line> {
    match entry.kind.as_str() {
        "assistant" | "user" => entry.blocks.iter().filter_map(|b| block(&entry.kind, b)).collect(),
        "stderr" => texts(entry).map(|text| work(&style("!").yellow(), text.trim_end())).collect(),
        "raw" => entry.raw.iter().map(|raw| work(&style("·").dim(), raw.trim_end())).collect(),
        // What the CLI says about itself and about the end stands in the record of the execution.
        _ => Vec::new(),
    }
}

/// The names and ids of the tool calls that the entry begins.
pub fn calls(entry: &Entry) -> impl Iterator<Item = (&str, &str)> {
    entry.blocks.iter().filter_map(|block| match block {
        Block::ToolUse { id, name, .. } => Some((id.as_str(), name.as_str())),
        _ => None,
    })
}

/// The ids of the tool calls that the entry ends.
pub fn answers(entry: &Entry) -> impl Iterator<Item = &str> {
    entry.blocks.iter().filter_map(|block| match block {
        Block::ToolResult { tool_use_id, .. } => Some(tool_use_id.as_str()),
        _ => None,
    })
}

fn block(kind: &str, block: &Block) -> Option<Line> {
    match block {
        Block::Text { text } if kind == "assistant" => {
            Some(Line { voice: Voice::Agent, text: clean(text) })
        }
        Block::Text { text } => Some(work(&style("‹").dim(), &one_line(text))),
        Block::Thinking { text } => Some(work(&style("∴").dim(), &one_line(text))),
        Block::ToolUse { name, input, .. } => {
            let (name, input) = (one_line(name), style(one_line(&input_preview(input))).dim());
            let name = style(name).bold();
            Some(Line {
                voice: Voice::Work, text: format!("{} {name} {input}", style("→").cyan())
            })
        }
        Block::ToolResult { is_error: true, content, .. } => {
            Some(work(&style("  ✗").red(), &one_line(content)))
        }
        Block::ToolResult { content, .. } => Some(work(&style("  ✓").green(), &size(content))),
        Block::Unknown => None,
    }
}

fn work(sign: &console::StyledObject<&str>, text: &str) -> Line {
    let text = clean(text);
    let text = console::truncate_str(&text, WORK_COLUMNS_MAX, "…");
    Line { voice: Voice::Work, text: format!("{sign} {}", style(text).dim()) }
}

fn texts(entry: &Entry) -> impl Iterator<Item = &str> {
    entry.blocks.iter().filter_map(|block| match block {
        Block::Text { text } => Some(text.as_str()),
        _ => None,
    })
}

/// The one argument that says most, else all of them.
fn input_preview(input: &Value) -> String {
    let telling = ["command", "file_path", "path", "pattern", "url", "query", "description"];
    let told = telling.iter().find_map(|key| input.get(key).and_then(Value::as_str));
    match (told, input) {
        (Some(told), _) => told.to_owned(),
        (None, Value::Null) => String::new(),
        (None, Value::Object(fields)) if fields.is_empty() => String::new(),
        (None, input) => input.to_string(),
    }
}

fn size(content: &str) -> String {
    match content.lines().count() {
        0 => "no output".to_owned(),
        1 => one_line(content),
        count => {
            format!("{} … {count} lines", one_line(content.lines().next().unwrap_or_default()))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shown(entry: Value) -> Vec<(Voice, String)> {
        let entry: Entry = serde_json::from_value(entry).unwrap();
        let plain = |line: Line| (line.voice, console::strip_ansi_codes(&line.text).into_owned());
        lines(&entry).into_iter().map(plain).collect()
    }

    #[test]
    fn an_answer_is_shown_in_full_and_free_of_control_sequences() {
        let entry = json!({"seq": 3, "kind": "assistant", "blocks": [
            {"type": "text", "text": "one\n\u{1b}]0;x\u{7}two"}]});
        let [(Voice::Agent, text)] = &shown(entry)[..] else { panic!("one answer") };
        assert!(text.starts_with("one\n") && text.ends_with("two"), "{text:?}");
        assert!(!text.contains(['\u{1b}', '\u{7}']), "{text:?}");
    }

    #[test]
    fn a_tool_call_shows_its_telling_argument() {
        let call = |input: Value| {
            let block = json!({"type": "tool_use", "id": "t", "name": "Bash", "input": input});
            let entry = json!({"seq": 1, "kind": "assistant", "blocks": [block]});
            shown(entry).pop().unwrap().1
        };
        assert_eq!(call(json!({"command": "ls -la\nrm x", "timeout": 3})), "→ Bash ls -la rm x");
        assert_eq!(call(json!({"n": 3})), r#"→ Bash {"n":3}"#);
        assert_eq!(call(json!({})), "→ Bash ");
    }

    #[test]
    fn a_tool_result_shows_how_much_there_is_or_what_went_wrong() {
        let result = |is_error: bool, content: &str| {
            let block = json!({"type": "tool_result", "tool_use_id": "t", "is_error": is_error,
                "content": content});
            shown(json!({"seq": 1, "kind": "user", "blocks": [block]})).pop().unwrap().1
        };
        assert_eq!(result(false, "a\nb\nc"), "  ✓ a … 3 lines");
        assert_eq!(result(false, ""), "  ✓ no output");
        assert_eq!(result(true, "no such\nfile"), "  ✗ no such file");
    }

    #[test]
    fn lines_of_other_kinds_and_blocks_of_later_versions_are_no_error() {
        let stderr =
            json!({"seq": 1, "kind": "stderr", "blocks": [{"type": "text", "text": "w\n"}]});
        assert_eq!(shown(stderr), [(Voice::Work, "! w".to_owned())]);
        let raw = json!({"seq": 1, "kind": "raw", "blocks": [], "raw": "junk\u{7}"});
        assert_eq!(shown(raw), [(Voice::Work, "· junk".to_owned())]);
        let later = json!({"seq": 1, "kind": "assistant", "blocks": [{"type": "image", "x": 1}]});
        assert_eq!(shown(later), []);
        assert_eq!(shown(json!({"seq": 1, "kind": "hologram", "blocks": []})), []);
    }

    #[test]
    fn what_is_missing_is_said_where_it_is_missing() {
        let entry = json!({"seq": 9, "kind": "raw", "blocks": [], "raw": "xx",
            "truncated": 20_000_000, "dropped": {"lines": 12, "bytes": 3_456}});
        let lines: Vec<String> = shown(entry).into_iter().map(|(_, text)| text).collect();
        assert_eq!(
            lines,
            [
                "… 12 lines left out here, 3456 bytes: the run printed too much",
                "· xx",
                "… the line before goes on: of its 20000000 bytes the first are kept",
            ]
        );
        let dropped = json!({"lines": 1, "bytes": 7});
        let one = json!({"seq": 9, "kind": "system", "blocks": [], "dropped": dropped});
        assert!(shown(one)[0].1.starts_with("… 1 line left out here, 7 bytes"));
    }
}
