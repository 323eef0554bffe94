//! Secrets that are taken out of output before it is stored.
//!
//! Lines are looked at one by one. What could span lines is known by its parts: each line of a value
//! is looked for by itself. A value is also found as it stands in a JSON string, and in a JSON string
//! inside of one.

use std::borrow::Cow;
use std::collections::BTreeSet;

use aho_corasick::{AhoCorasick, MatchKind};

use crate::OutputLine;

/// What stands in the place of a secret.
pub const MASK: &str = "***";
/// Shorter values are not looked for: they stand in places where they are no secret, and without
/// them the lines of a CLI could not be read any more.
pub const MASKED_BYTES_MIN: usize = 8;
/// How many texts are looked for at most.
pub const MASKED_TEXTS_MAX: usize = 20_000;
/// How often a value may be quoted by JSON in JSON.
const QUOTINGS_MAX: usize = 2;

/// Finds secrets in output.
#[derive(Debug, Clone, Default)]
pub struct Masks {
    finder: Option<AhoCorasick>,
    texts: Vec<Vec<u8>>,
}

impl Masks {
    /// Looks for these values; those that are too short are left out.
    pub fn new<'a>(values: impl IntoIterator<Item = &'a str>) -> Self {
        let mut texts = BTreeSet::new();
        for value in values {
            for part in std::iter::once(value).chain(value.lines()) {
                let mut quoted = part.trim().to_owned();
                for _ in 0..=QUOTINGS_MAX {
                    if quoted.len() >= MASKED_BYTES_MIN && texts.len() < MASKED_TEXTS_MAX {
                        texts.insert(quoted.clone().into_bytes());
                    }
                    quoted = quote(&quoted);
                }
            }
        }
        let texts: Vec<_> = texts.into_iter().collect();
        // Fails only for more bytes than an automaton has states; then nothing can be told apart.
        let build =
            || AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(&texts).ok();
        Self { finder: (!texts.is_empty()).then(build).flatten(), texts }
    }

    /// Whether nothing is looked for.
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    /// The bytes without what is secret; the same bytes when they hold nothing of it.
    pub fn bytes<'a>(&self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        match &self.finder {
            Some(finder) if finder.is_match(bytes) => {
                let mut masked = Vec::with_capacity(bytes.len());
                finder.replace_all_with_bytes(bytes, &mut masked, |_, _, into| {
                    into.extend_from_slice(MASK.as_bytes());
                    true
                });
                Cow::Owned(masked)
            }
            _ => Cow::Borrowed(bytes),
        }
    }

    /// The text without what is secret.
    pub fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        match self.bytes(text.as_bytes()) {
            Cow::Borrowed(_) => Cow::Borrowed(text),
            Cow::Owned(masked) => Cow::Owned(String::from_utf8_lossy(&masked).into_owned()),
        }
    }

    /// The bytes of a line that was cut: also without the beginning of a secret at its end.
    pub fn cut(&self, bytes: &[u8]) -> Vec<u8> {
        let mut masked = self.bytes(bytes).into_owned();
        let begun = |text: &Vec<u8>| {
            let longest = text.len().min(masked.len());
            (1..=longest).rev().find(|length| masked.ends_with(&text[..*length]))
        };
        if let Some(length) = self.texts.iter().filter_map(begun).max() {
            masked.truncate(masked.len() - length);
            masked.extend_from_slice(MASK.as_bytes());
        }
        masked
    }

    /// A line of output without what is secret.
    #[must_use]
    pub fn line(&self, line: OutputLine) -> OutputLine {
        if self.is_empty() {
            return line;
        }
        let masked = match (self.bytes(&line.bytes()), line.truncated) {
            (_, Some(_)) => self.cut(&line.bytes()),
            (Cow::Owned(masked), None) => masked,
            (Cow::Borrowed(_), None) => return line,
        };
        let (text, raw) = OutputLine::text_and_raw(&masked);
        OutputLine { line: text, raw, ..line }
    }
}

/// The text as it stands between the quotes of a JSON string.
fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len());
    for next in text.chars() {
        match next {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{c}' => quoted.push_str("\\f"),
            control if control < ' ' => {
                quoted.push_str("\\u00");
                quoted.extend(format!("{:02x}", u32::from(control)).chars());
            }
            plain => quoted.push(plain),
        }
    }
    quoted
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::LineStream;

    const SECRET: &str = "sk-\"quoted\"\\key";

    fn line(bytes: &[u8], truncated: Option<u64>) -> OutputLine {
        let (line, raw) = OutputLine::text_and_raw(bytes);
        let (at, stream) = (DateTime::UNIX_EPOCH, LineStream::Stdout);
        OutputLine { seq: 1, at, stream, line, raw, truncated, partial: false, dropped: None }
    }

    #[test]
    fn a_value_is_found_as_it_is_and_quoted_once_and_twice() {
        let masks = Masks::new([SECRET]);
        let once = serde_json::to_string(&format!("the key is {SECRET}.")).unwrap();
        let twice = serde_json::to_string(&once).unwrap();
        for text in [format!("key={SECRET}!"), once, twice] {
            let masked = masks.text(&text);
            assert!(!masked.contains("quoted") && masked.contains(MASK), "{masked}");
        }
        assert_eq!(masks.text("nothing here"), "nothing here");
    }

    #[test]
    fn json_stays_json() {
        let masks = Masks::new([SECRET]);
        let text = serde_json::json!({ "a": SECRET, "b": [SECRET, 1] }).to_string();
        let masked: serde_json::Value = serde_json::from_str(&masks.text(&text)).unwrap();
        assert_eq!(masked, serde_json::json!({ "a": MASK, "b": [MASK, 1] }));
    }

    #[test]
    fn a_value_of_several_lines_is_found_line_by_line() {
        let masks = Masks::new(["-----BEGIN-----\nfirst-part-of-it\n  second-part-of-it\nend"]);
        for part in ["x first-part-of-it", "second-part-of-it y"] {
            assert!(masks.text(part).contains(MASK), "{part}");
        }
        assert_eq!(masks.text("the end"), "the end", "too short to be looked for");
        let quoted = serde_json::to_string("-----BEGIN-----\nfirst-part-of-it").unwrap();
        assert!(!masks.text(&quoted).contains("part-of-it"));
    }

    #[test]
    fn the_longest_of_two_values_is_taken_out_whole() {
        let masks = Masks::new(["password", "password-of-somebody"]);
        assert_eq!(masks.text("x password-of-somebody x"), "x *** x");
    }

    #[test]
    fn bytes_that_are_no_text_are_masked_too() {
        let masks = Masks::new(["password"]);
        let masked = masks.line(line(b"\xff password \xfe", None));
        assert_eq!(masked.bytes().as_ref(), b"\xff *** \xfe");
        assert!(masked.raw.is_some() && !masked.line.contains("password"));
    }

    #[test]
    fn a_cut_line_does_not_end_in_half_a_value() {
        let masks = Masks::new(["password-of-somebody"]);
        let masked = masks.line(line(b"say password-of-some", Some(99)));
        assert_eq!(masked.line, "say ***");
        assert_eq!(masks.line(line(b"say password-of-some", None)).line, "say password-of-some");
    }

    #[test]
    fn short_values_and_none_at_all_change_nothing() {
        let masks = Masks::new(["true", ""]);
        assert!(masks.is_empty());
        assert_eq!(masks.line(line(b"{\"is_error\":true}", None)).line, "{\"is_error\":true}");
    }
}
