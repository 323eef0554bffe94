//! The numbered output of an execution.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// One line of output.
///
/// Numbers are 1, 2, 3 … without a gap, one count over both streams, in the order of arrival.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputLine {
    /// The number of the line.
    pub seq: u64,
    /// When it was read.
    pub at: DateTime<Utc>,
    /// Where it was written.
    pub stream: LineStream,
    /// The line without its newline; what is no UTF-8 is replaced by U+FFFD.
    pub line: String,
    /// The line as it was, in base64, only when it is no UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw: Option<String>,
    /// The length of the whole line in bytes, when only [`crate::LINE_BYTES_MAX`] of it were kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub truncated: Option<u64>,
    /// The stream ended without a newline after this.
    #[serde(default, skip_serializing_if = "is_false")]
    pub partial: bool,
    /// What was dropped between the line before and this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dropped: Option<Dropped>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_false(value: &bool) -> bool {
    !*value
}

impl OutputLine {
    /// Gives the line's bytes as the process wrote them.
    ///
    /// Falls back to the readable text when `raw` is no base64, which no agent server sends.
    pub fn bytes(&self) -> Cow<'_, [u8]> {
        match self.raw.as_ref().and_then(|raw| STANDARD.decode(raw).ok()) {
            Some(bytes) => Cow::Owned(bytes),
            None => Cow::Borrowed(self.line.as_bytes()),
        }
    }

    /// Splits bytes into what `line` and `raw` hold.
    pub fn text_and_raw(bytes: &[u8]) -> (String, Option<String>) {
        match str::from_utf8(bytes) {
            Ok(text) => (text.to_owned(), None),
            Err(_) => (String::from_utf8_lossy(bytes).into_owned(), Some(STANDARD.encode(bytes))),
        }
    }
}

/// The stream a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LineStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Output that was left out because the execution wrote more than fits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dropped {
    /// How many lines; they have no numbers.
    pub lines: u64,
    /// How many bytes, newlines not counted.
    pub bytes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(bytes: &[u8]) -> OutputLine {
        let (line, raw) = OutputLine::text_and_raw(bytes);
        OutputLine {
            seq: 1,
            at: DateTime::UNIX_EPOCH,
            stream: LineStream::Stdout,
            line,
            raw,
            truncated: None,
            partial: false,
            dropped: None,
        }
    }

    #[test]
    fn text_is_carried_once_and_unmarked() {
        let json = serde_json::to_string(&line("häuser".as_bytes())).unwrap();
        assert_eq!(
            json,
            r#"{"seq":1,"at":"1970-01-01T00:00:00Z","stream":"stdout","line":"häuser"}"#
        );
    }

    #[test]
    fn bytes_that_are_no_text_come_back_unchanged() {
        let broken = b"ok \xff\xfe\x00 end";
        let json = serde_json::to_string(&line(broken)).unwrap();
        let read: OutputLine = serde_json::from_str(&json).unwrap();
        assert_eq!(read.bytes().as_ref(), broken);
        assert!(read.line.starts_with("ok \u{fffd}"));
    }
}
