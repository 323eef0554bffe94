//! Splits a stream of bytes into lines of bounded length.

use std::borrow::Cow;

use trinity_agent_protocol::{LINE_BYTES_MAX, Masks};

/// One line as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// The line without its newline, at most [`LINE_BYTES_MAX`] bytes of it.
    pub bytes: Vec<u8>,
    /// The length of the whole line, when it was longer than that.
    pub truncated: Option<u64>,
    /// The stream ended without a newline.
    pub partial: bool,
}

impl Line {
    /// Takes out what is secret.
    pub(super) fn mask(&mut self, masks: &Masks) {
        if self.truncated.is_some() {
            self.bytes = masks.cut(&self.bytes);
        } else if let Cow::Owned(masked) = masks.bytes(&self.bytes) {
            self.bytes = masked;
        }
    }
}

/// Holds the line that is not complete yet.
#[derive(Debug)]
pub(super) struct Splitter {
    bytes: Vec<u8>,
    /// How many bytes the line has, those that were dropped included.
    length: u64,
    max: usize,
}

impl Default for Splitter {
    fn default() -> Self {
        Self { bytes: Vec::new(), length: 0, max: LINE_BYTES_MAX }
    }
}

impl Splitter {
    /// Takes the next bytes and gives every line that they complete.
    pub(super) fn feed(&mut self, chunk: &[u8]) -> Vec<Line> {
        let mut lines = Vec::new();
        let mut rest = chunk;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            self.extend(&rest[..end]);
            lines.push(self.take(false));
            rest = &rest[end + 1..];
        }
        self.extend(rest);
        lines
    }

    /// Gives what came after the last newline, if anything did.
    pub(super) fn finish(&mut self) -> Option<Line> {
        (self.length > 0).then(|| self.take(true))
    }

    fn extend(&mut self, bytes: &[u8]) {
        let room = self.max - self.bytes.len();
        self.bytes.extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.length += bytes.len() as u64;
    }

    fn take(&mut self, partial: bool) -> Line {
        let mut bytes = std::mem::take(&mut self.bytes);
        let length = std::mem::take(&mut self.length);
        let truncated = (length > bytes.len() as u64).then_some(length);
        if truncated.is_some() {
            drop_torn_character(&mut bytes);
        }
        Line { bytes, truncated, partial }
    }
}

/// Cuts off a character that the bound tore, so that the text before it stays valid.
fn drop_torn_character(bytes: &mut Vec<u8>) {
    if let Err(error) = str::from_utf8(bytes)
        && error.error_len().is_none()
    {
        bytes.truncate(error.valid_up_to());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(lines: &[Line]) -> Vec<&str> {
        lines.iter().map(|line| str::from_utf8(&line.bytes).unwrap()).collect()
    }

    #[test]
    fn lines_are_joined_over_chunks() {
        let mut splitter = Splitter::default();
        assert_eq!(texts(&splitter.feed(b"one\ntw")), ["one"]);
        assert_eq!(texts(&splitter.feed(b"o\n\nthree")), ["two", ""]);
        let last = splitter.finish().unwrap();
        assert_eq!((last.bytes.as_slice(), last.partial), (b"three".as_slice(), true));
        assert_eq!(splitter.finish(), None);
    }

    #[test]
    fn a_long_line_is_cut_at_a_character_and_marked() {
        let mut splitter = Splitter { max: 4, ..Splitter::default() };
        let lines = splitter.feed("abcäxyz\nnext\n".as_bytes());
        assert_eq!(texts(&lines), ["abc", "next"]);
        assert_eq!(lines[0].truncated, Some(8));
        assert_eq!(lines[1].truncated, None);
    }
}
