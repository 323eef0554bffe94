//! Logs: lines on standard error, for people or for programs, without secrets.

use std::io::{self, IsTerminal as _, Write, stderr};

use serde_json::json;
use tracing_subscriber::EnvFilter;

use super::redaction::redact;
use crate::clock;
use crate::config::{LogFormat, variable};

/// What is logged unless `TRINITY_LOG` says otherwise.
const LOG_DEFAULT: &str = "warn,trinity=info";

/// Logs to standard error from now on; standard output stays free for what commands answer.
pub fn init(format: LogFormat) {
    let filter = variable("TRINITY_LOG").unwrap_or_else(|| LOG_DEFAULT.to_owned());
    let is_colored = stderr().is_terminal() && console::colors_enabled_stderr();
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter))
        .with_writer(|| Redacting(stderr()))
        .with_ansi(is_colored && format == LogFormat::Text);
    match format {
        LogFormat::Text => subscriber.init(),
        LogFormat::Json => subscriber.json().init(),
    }
    // A panic is a line like any other; without this it would be some lines of text.
    std::panic::set_hook(Box::new(|panic| {
        let text = panic.payload_as_str().unwrap_or("no text");
        let at = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(at, "panicked: {text}");
    }));
}

/// Says something at the start or the end, whatever `TRINITY_LOG` says.
///
/// Secrets are left in it: the one-time link of the first run is shown here and nowhere else.
pub fn say(format: LogFormat, text: &str) {
    match format {
        LogFormat::Text => eprintln!("{text}"),
        LogFormat::Json => {
            let timestamp = clock::now().to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
            let fields = json!({"message": text.trim()});
            let target = "trinity";
            let line = json!({
                "timestamp": timestamp, "level": "INFO", "fields": fields, "target": target,
            });
            eprintln!("{line}");
        }
    }
}

/// Writes without secrets; what comes in one piece is one line.
struct Redacting<W>(W);

impl<W: Write> Write for Redacting<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        self.0.write_all(redact(&text).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_written_without_its_secrets() {
        let mut written = Vec::new();
        Redacting(&mut written).write_all(b"cannot reach postgres://u:hunter2@h/d\n").unwrap();
        assert_eq!(written, b"cannot reach postgres://u:***@h/d\n");
    }
}
