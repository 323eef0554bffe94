//! Scripts: one op a line.

use std::time::Duration;

use serde_json::Value;

/// Longest wait of one `sleep`, in seconds.
const SLEEP_SECONDS_MAX: f64 = 86_400.0;
/// Most bytes of one `big`.
const BIG_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Most processes of one `fork`.
const FORK_PROCESSES_MAX: u32 = 256;
/// Most characters of a line that an error quotes.
const QUOTE_CHARS_MAX: usize = 80;

/// One step of a run.
#[derive(Debug, Clone, PartialEq)]
pub enum Op {
    /// Prints words of the model.
    Say(String),
    /// Prints a tool call and, after a pause, its answer.
    Tool {
        /// The tool.
        name: String,
        /// Its arguments.
        input: Value,
        /// Its answer.
        result: String,
        /// The time it seems to take.
        pause: Duration,
    },
    /// Waits.
    Sleep(Duration),
    /// Prints bytes.
    Raw(Vec<u8>),
    /// Prints this many bytes of words.
    Big(usize),
    /// Prints a line to standard error.
    Stderr(String),
    /// Runs a shell and waits for it.
    Exec(String),
    /// Leaves processes behind.
    Fork(u32),
    /// Changes what SIGINT does.
    TrapInt(TrapInt),
    /// Makes SIGTERM do nothing.
    TrapTerm,
    /// Prints the result line, or makes sure that none is printed.
    Result {
        /// Which.
        kind: ResultKind,
        /// The cost in dollars, instead of a made-up one.
        cost_usd: Option<f64>,
    },
    /// Closes standard output.
    Close,
    /// Ends with this code.
    Exit(u8),
    /// Ends by SIGABRT.
    Abort,
    /// Waits for a signal.
    Hang,
}

/// What SIGINT does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrapInt {
    /// Nothing.
    Ignore,
    /// Ends in success.
    Result,
    /// Ends with this code, without a result.
    Exit(u8),
}

/// The kinds of result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResultKind {
    /// The task is done.
    Success,
    /// The turns are used up.
    ErrorMaxTurns,
    /// No result line at all.
    None,
}

/// A line that is no op.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// The number of the line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub problem: String,
    /// The line itself, shortened.
    pub quote: String,
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { line, problem, quote } = self;
        write!(f, "demo script, line {line}: {problem}: {quote}")
    }
}

/// Reads a script. A first line `#!demo` is a comment like any other.
pub fn parse(script: &str) -> Result<Vec<Op>, Error> {
    let mut ops = Vec::new();
    for (line, number) in script.lines().zip(1..) {
        let line = line.strip_suffix('\r').unwrap_or(line);
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        ops.push(op(line).map_err(|problem| Error {
            line: number,
            problem,
            quote: line.chars().take(QUOTE_CHARS_MAX).collect(),
        })?);
    }
    Ok(ops)
}

/// Reads one line; the error is what is wrong with it.
fn op(line: &str) -> Result<Op, String> {
    let (name, rest) = word(line.trim_start());
    match name {
        "say" => Ok(Op::Say(rest.to_owned())),
        "tool" => tool(rest),
        "sleep" => Ok(Op::Sleep(seconds(rest)?)),
        "raw" => Ok(Op::Raw(unescaped(rest))),
        "big" => Ok(Op::Big(number("big", rest, &BIG_BYTES_MAX)?)),
        "stderr" => Ok(Op::Stderr(rest.to_owned())),
        "exec" if rest.trim().is_empty() => Err("op \"exec\" needs a command".to_owned()),
        "exec" => Ok(Op::Exec(rest.to_owned())),
        "fork" => Ok(Op::Fork(number("fork", rest, &FORK_PROCESSES_MAX)?)),
        "trap" => trap(rest),
        "result" => result(rest),
        "close" => bare(rest, Op::Close),
        "exit" => Ok(Op::Exit(number("exit", rest, &u8::MAX)?)),
        "abort" => bare(rest, Op::Abort),
        "hang" => bare(rest, Op::Hang),
        unknown => Err(format!("unknown op {unknown:?}")),
    }
}

/// The first word, and what follows the one blank behind it.
fn word(text: &str) -> (&str, &str) {
    text.split_once([' ', '\t']).unwrap_or((text, ""))
}

fn bare(rest: &str, op: Op) -> Result<Op, String> {
    if rest.trim().is_empty() { Ok(op) } else { Err("this op takes nothing".to_owned()) }
}

fn number<N>(op: &str, text: &str, max: &N) -> Result<N, String>
where
    N: std::str::FromStr + PartialOrd + std::fmt::Display,
{
    let number = text.trim().parse::<N>().ok().filter(|number| number <= max);
    number.ok_or_else(|| format!("op {op:?} takes a whole number up to {max}"))
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.trim().parse::<f64>().ok();
    seconds
        .filter(|seconds| (0.0..=SLEEP_SECONDS_MAX).contains(seconds))
        .map(Duration::from_secs_f64)
        .ok_or_else(|| format!("op \"sleep\" takes seconds up to {SLEEP_SECONDS_MAX}"))
}

fn tool(rest: &str) -> Result<Op, String> {
    const FORM: &str = "op \"tool\" takes NAME JSON => RESULT";
    let (name, rest) = word(rest.trim_start());
    // The JSON may hold an arrow of its own, so its end is where its value ends.
    let mut values = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
    let input = match values.next() {
        Some(Ok(input)) if !name.is_empty() => input,
        Some(Err(error)) => return Err(format!("{FORM}; the JSON is broken: {error}")),
        _ => return Err(FORM.to_owned()),
    };
    let rest = rest.get(values.byte_offset()..).unwrap_or_default().trim_start();
    let result = rest.strip_prefix("=>").ok_or(FORM)?;
    let result = result.strip_prefix(' ').unwrap_or(result).to_owned();
    Ok(Op::Tool { name: name.to_owned(), input, result, pause: Duration::ZERO })
}

fn trap(rest: &str) -> Result<Op, String> {
    let words: Vec<&str> = rest.split_whitespace().collect();
    match words[..] {
        ["INT", "ignore"] => Ok(Op::TrapInt(TrapInt::Ignore)),
        ["INT", "result"] => Ok(Op::TrapInt(TrapInt::Result)),
        ["TERM", "ignore"] => Ok(Op::TrapTerm),
        ["INT", exit] if exit.starts_with("exit:") => {
            let code = exit.trim_start_matches("exit:");
            Ok(Op::TrapInt(TrapInt::Exit(number("trap INT exit:N", code, &u8::MAX)?)))
        }
        _ => Err("op \"trap\" takes INT ignore, INT result, INT exit:N or TERM ignore".to_owned()),
    }
}

fn result(rest: &str) -> Result<Op, String> {
    const FORM: &str =
        "op \"result\" takes success, error_max_turns or none, and a cost in dollars";
    let words: Vec<&str> = rest.split_whitespace().collect();
    let (kind, cost) = match words[..] {
        [kind] => (kind, None),
        [kind, cost] => (kind, Some(cost)),
        _ => return Err(FORM.to_owned()),
    };
    let kind = match kind {
        "success" => ResultKind::Success,
        "error_max_turns" => ResultKind::ErrorMaxTurns,
        "none" => ResultKind::None,
        _ => return Err(FORM.to_owned()),
    };
    let cost_usd = cost.map(|cost| cost.trim_start_matches('$').parse::<f64>());
    match cost_usd.transpose() {
        Ok(cost_usd) if cost_usd.is_none_or(|cost| cost.is_finite() && cost >= 0.0) => {
            Ok(Op::Result { kind, cost_usd })
        }
        _ => Err(FORM.to_owned()),
    }
}

/// Resolves escapes; a backslash before anything else stays as it is.
fn unescaped(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let (byte, length) = match rest {
            [b'\\', b'n', ..] => (b'\n', 2),
            [b'\\', b'r', ..] => (b'\r', 2),
            [b'\\', b't', ..] => (b'\t', 2),
            [b'\\', b'0', ..] => (b'\0', 2),
            [b'\\', b'\\', ..] => (b'\\', 2),
            [b'\\', b'x', high, low, ..] => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => (high << 4 | low, 4),
                _ => (b'\\', 1),
            },
            _ => (*first, 1),
        };
        bytes.push(byte);
        rest = tail.get(length - 1..).unwrap_or_default();
    }
    bytes
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn one(line: &str) -> Op {
        let mut ops = parse(line).unwrap();
        assert_eq!(ops.len(), 1, "{line}");
        ops.remove(0)
    }

    #[test]
    fn every_op_is_read() {
        let ops = parse(
            "#!demo\n\nsay  two  blanks \nsleep 0.25\nbig 3\nstderr oh no\nexec echo a | wc\n\
             fork 2\ntrap TERM ignore\nclose\nexit 7\nabort\nhang\r\n# a comment\n",
        )
        .unwrap();
        let expected = [
            Op::Say(" two  blanks ".to_owned()),
            Op::Sleep(Duration::from_millis(250)),
            Op::Big(3),
            Op::Stderr("oh no".to_owned()),
            Op::Exec("echo a | wc".to_owned()),
            Op::Fork(2),
            Op::TrapTerm,
            Op::Close,
            Op::Exit(7),
            Op::Abort,
            Op::Hang,
        ];
        assert_eq!(ops, expected);
        assert_eq!(one("say"), Op::Say(String::new()));
    }

    #[test]
    fn a_tool_call_ends_where_its_json_ends() {
        let call = one(r#"tool Bash {"command": "a => b"} => first => second"#);
        let expected = Op::Tool {
            name: "Bash".to_owned(),
            input: json!({"command": "a => b"}),
            result: "first => second".to_owned(),
            pause: Duration::ZERO,
        };
        assert_eq!(call, expected);
        for line in ["tool", "tool Bash", "tool Bash {} result", "tool Bash {broken => x"] {
            assert!(parse(line).unwrap_err().problem.contains("NAME JSON => RESULT"), "{line}");
        }
    }

    #[test]
    fn traps_and_results_are_read() {
        assert_eq!(one("trap INT ignore"), Op::TrapInt(TrapInt::Ignore));
        assert_eq!(one("trap INT result"), Op::TrapInt(TrapInt::Result));
        assert_eq!(one("trap INT exit:130"), Op::TrapInt(TrapInt::Exit(130)));
        let result = |kind, cost_usd| Op::Result { kind, cost_usd };
        assert_eq!(one("result success 0.25"), result(ResultKind::Success, Some(0.25)));
        assert_eq!(one("result success $0.25"), result(ResultKind::Success, Some(0.25)));
        assert_eq!(one("result error_max_turns"), result(ResultKind::ErrorMaxTurns, None));
        assert_eq!(one("result none"), result(ResultKind::None, None));
    }

    #[test]
    fn raw_bytes_may_be_escaped() {
        let raw = |text: &str| match one(&format!("raw {text}")) {
            Op::Raw(bytes) => bytes,
            other => panic!("{other:?}"),
        };
        assert_eq!(raw(r"a\xff\x0A\n\0\\"), b"a\xff\n\n\0\\");
        assert_eq!(raw(r#"{"a":"\"\u00e4"} \xg1 \"#), br#"{"a":"\"\u00e4"} \xg1 \"#);
        assert_eq!(raw("  ä"), "  ä".as_bytes());
    }

    #[test]
    fn an_error_names_the_op_and_the_line() {
        let error = parse("#!demo\nsay hi\nfrobnicate now").unwrap_err();
        assert_eq!(error.line, 3);
        assert_eq!(
            error.to_string(),
            "demo script, line 3: unknown op \"frobnicate\": frobnicate now"
        );
    }

    #[test]
    fn values_out_of_range_are_refused() {
        for line in [
            "sleep soon",
            "sleep -1",
            "sleep NaN",
            "sleep 1e9",
            "big -1",
            "big 999999999999",
            "fork 1000",
            "exit 256",
            "exit",
            "hang on",
            "exec ",
            "trap HUP ignore",
            "trap INT exit:x",
            "result maybe",
            "result success much",
            "result success -1",
            "result success 1 2",
            "SAY hi",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
