//! The form of `.env` files: read strictly, and written so that shells and libraries read the same.
//!
//! Nothing is substituted: a `$` in a value is a `$`, whatever this process has in its environment.

use std::iter::Peekable;
use std::str::Chars;

/// What cannot be read, by the number of its line; the text itself may be a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct Unreadable {
    /// From 1.
    pub line: usize,
    /// What is wrong there.
    pub problem: &'static str,
}

/// Reads `NAME=value` lines; a name that comes twice has its last value.
///
/// # Errors
/// For the first line that is none of: empty, a comment, an assignment.
pub fn read(text: &str) -> Result<Vec<(String, String)>, Unreadable> {
    let mut reader = Reader { chars: text.chars().peekable(), line: 1 };
    let mut found = Vec::new();
    while reader.chars.peek().is_some() {
        if let Some(assignment) = reader.line()? {
            found.push(assignment);
        }
    }
    Ok(found)
}

struct Reader<'a> {
    chars: Peekable<Chars<'a>>,
    line: usize,
}

impl Reader<'_> {
    fn fail<T>(&self, problem: &'static str) -> Result<T, Unreadable> {
        Err(Unreadable { line: self.line, problem })
    }

    fn next(&mut self) -> Option<char> {
        let next = self.chars.next();
        self.line += usize::from(next == Some('\n'));
        next
    }

    fn skip_blanks(&mut self) {
        while self.chars.next_if(|next| matches!(next, ' ' | '\t' | '\r')).is_some() {}
    }

    /// One line, or several that a quote spans.
    fn line(&mut self) -> Result<Option<(String, String)>, Unreadable> {
        self.skip_blanks();
        match self.chars.peek() {
            None => return Ok(None),
            Some('\n') => {
                self.next();
                return Ok(None);
            }
            Some('#') => {
                self.rest();
                return Ok(None);
            }
            Some(_) => {}
        }
        let mut name = self.word();
        if name == "export" {
            self.skip_blanks();
            name = self.word();
        }
        self.skip_blanks();
        if name.is_empty() || self.chars.next_if_eq(&'=').is_none() {
            return self.fail("expected NAME=value");
        }
        self.skip_blanks();
        let value = match self.chars.peek().copied() {
            Some(quote @ ('\'' | '"')) => {
                self.next();
                let value = self.quoted(quote)?;
                self.skip_blanks();
                if !matches!(self.chars.peek(), None | Some('\n' | '#')) {
                    return self.fail("expected nothing after the closing quote");
                }
                self.rest();
                value
            }
            _ => self.bare(),
        };
        Ok(Some((name, value)))
    }

    fn word(&mut self) -> String {
        let plain = |next: &char| next.is_alphanumeric() || matches!(next, '_' | '.' | '-');
        std::iter::from_fn(|| self.chars.next_if(plain)).collect()
    }

    /// Up to the end of the line, or to a `#` after a blank.
    fn bare(&mut self) -> String {
        let rest = self.rest();
        let comment = rest
            .match_indices('#')
            .find(|(at, _)| rest[..*at].is_empty() || rest[..*at].ends_with([' ', '\t']));
        rest[..comment.map_or(rest.len(), |(at, _)| at)].trim_end().to_owned()
    }

    fn rest(&mut self) -> String {
        let mut rest = String::new();
        while let Some(next) = self.next().filter(|next| *next != '\n') {
            rest.push(next);
        }
        rest
    }

    fn quoted(&mut self, quote: char) -> Result<String, Unreadable> {
        let begin = self.line;
        let mut value = String::new();
        loop {
            match self.next() {
                None => {
                    return Err(Unreadable { line: begin, problem: "a quote is not closed" });
                }
                Some(next) if next == quote => return Ok(value),
                Some('\\') if quote == '"' => match self.next() {
                    Some('n') => value.push('\n'),
                    Some('r') => value.push('\r'),
                    Some('t') => value.push('\t'),
                    Some(escaped @ ('"' | '\\' | '$' | '`')) => value.push(escaped),
                    Some(other) => value.extend(['\\', other]),
                    None => {}
                },
                Some(next) => value.push(next),
            }
        }
    }
}

/// Writes variables, each so that [`read`] and a shell give its value back.
pub fn write<'a>(variables: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut text = String::new();
    for (name, value) in variables {
        text.push_str(name);
        text.push('=');
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./:@%+,=".contains(&byte);
        if !value.is_empty() && value.bytes().all(plain) {
            text.push_str(value);
        } else if !value.contains('\'') {
            text.extend(["'", value, "'"]);
        } else {
            text.push('"');
            for next in value.chars() {
                if matches!(next, '"' | '\\' | '$' | '`') {
                    text.push('\\');
                }
                text.push(next);
            }
            text.push('"');
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> String {
        read(&format!("X={text}\n")).unwrap().remove(0).1
    }

    #[test]
    fn the_usual_forms_are_read() {
        let text =
            "# keys\n\nexport A=one\nB = 'two words' # why\nC=\"three\\n$HOME\"\r\nD=\nE=x#y";
        let found = read(text).unwrap();
        let found: Vec<_> = found.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        let expected =
            [("A", "one"), ("B", "two words"), ("C", "three\n$HOME"), ("D", ""), ("E", "x#y")];
        assert_eq!(found, expected);
        assert_eq!(value("bare # comment"), "bare");
        assert_eq!(value("'over\nlines'"), "over\nlines");
    }

    #[test]
    fn a_bad_line_is_named_by_its_number_alone() {
        for (text, line) in [("A=1\nsk-secret\n", 2), ("A='x\n\n", 1), ("A=1\nB='x' y\n", 2)] {
            let error = read(text).unwrap_err();
            assert_eq!(error.line, line, "{text:?}");
            assert!(!error.to_string().contains("sk-secret"));
        }
    }

    #[test]
    fn what_is_written_is_read_back_here_and_by_a_shell() {
        let values =
            ["plain-1.2", "", "two words", "it's", "$HOME `id` \\ \"q\"", "it's $x\nlines", "#x"];
        for (index, expected) in values.into_iter().enumerate() {
            let text = write([("X", expected)]);
            assert_eq!(read(&text).unwrap(), [("X".to_owned(), expected.to_owned())], "{text}");
            let script = format!("{text}\nprintf %s \"$X\"");
            let said = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
            assert_eq!(String::from_utf8(said.stdout).unwrap(), expected, "value {index}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_value_comes_back(value in "[^\0\r]{0,40}") {
            let text = write([("X", value.as_str())]);
            proptest::prop_assert_eq!(read(&text).unwrap(), vec![("X".to_owned(), value)]);
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".{0,80}") {
            let _ = read(&text);
        }
    }
}
