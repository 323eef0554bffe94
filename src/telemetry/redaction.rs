//! Takes secrets out of text that others may read.
//!
//! Nothing logs a secret on purpose. What stands here is for the text of others that ends up in a
//! line all the same: a driver that names the URL it could not reach, a header in an error.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::{Captures, Regex};

/// What stands in the place of a secret.
const HIDDEN: &str = "***";

/// The length of 32 random bytes in base64url: sessions, one-time links, the token of this machine.
const TOKEN_LENGTH: usize = 43;

/// What a secret looks like, and what is left of it.
const RULES: [(&str, &str); 6] = [
    // API keys of this server.
    (r"trinity_mcp_[A-Za-z0-9_-]+", "trinity_mcp_***"),
    // Keys of those who serve the models.
    (r"\bsk-[A-Za-z0-9_-]{16,}", "sk-***"),
    (r"\bAIza[A-Za-z0-9_-]{30,}", "AIza***"),
    // The password of a URL.
    (r#"(?i)(:(?:/|%2f){2}[^:/@\s"]*):[^\s"]*@"#, "$1:***@"),
    // The header Authorization, whatever it is called where it is written.
    (r#"(?i)\b(bearer|basic)(\s+)[^\s"',]+"#, "$1$2***"),
    // A field with a telling name, as text, as JSON, as JSON inside of JSON, with colours or not.
    (
        concat!(
            r"(?i)((?:\b|\[[0-9;]*m)",
            r"(?:password|passwd|secret|token|api_key|apikey|access_token|setup_token|cookie))",
            r#"((?:\\?"|\x1b\[[0-9;]*m)*\s*[=:]\s*(?:\\?"|\x1b\[[0-9;]*m)*)"#,
            r#"(?:[^\s"\\&,;}\x1b]|\\\\)+"#,
        ),
        "$1$2***",
    ),
];

/// A run of characters that a token is made of.
const WORD: &str = r"[A-Za-z0-9_-]{43,}";

struct Rules {
    fixed: Vec<(Regex, &'static str)>,
    word: Option<Regex>,
}

static COMPILED: LazyLock<Rules> = LazyLock::new(|| Rules {
    fixed: RULES.iter().filter_map(|(like, left)| Some((Regex::new(like).ok()?, *left))).collect(),
    word: Regex::new(WORD).ok(),
});

/// The text without its secrets.
pub fn redact(text: &str) -> Cow<'_, str> {
    let mut clean = Cow::Borrowed(text);
    for (like, left) in &COMPILED.fixed {
        clean = replaced(clean, |text| like.replace_all(text, *left));
    }
    match &COMPILED.word {
        Some(word) => replaced(clean, |text| word.replace_all(text, hide_token)),
        None => clean,
    }
}

/// Replaces without a copy where there is nothing to replace.
fn replaced<'t>(
    text: Cow<'t, str>,
    replace: impl for<'a> Fn(&'a str) -> Cow<'a, str>,
) -> Cow<'t, str> {
    match text {
        Cow::Borrowed(text) => replace(text),
        Cow::Owned(text) => match replace(&text) {
            Cow::Borrowed(_) => Cow::Owned(text),
            Cow::Owned(clean) => Cow::Owned(clean),
        },
    }
}

/// Hides what has the length of a token and the mixture of one; names are all in lowercase.
fn hide_token(found: &Captures<'_>) -> String {
    let word = &found[0];
    let has = |kind: fn(&char) -> bool| word.chars().any(|c| kind(&c));
    let is_mixed =
        has(char::is_ascii_uppercase) && has(char::is_ascii_lowercase) && has(char::is_ascii_digit);
    let is_token = word.len() == TOKEN_LENGTH && is_mixed;
    (if is_token { HIDDEN } else { word }).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_is_a_regular_expression() {
        assert_eq!(COMPILED.fixed.len(), RULES.len());
        assert!(COMPILED.word.is_some());
    }

    #[test]
    fn secrets_are_hidden_wherever_they_stand() {
        let token = "Ab0".repeat(14) + "-";
        assert_eq!(token.len(), TOKEN_LENGTH);
        let cases = [
            ("key trinity_mcp_Ab-_9 used", "key trinity_mcp_*** used".to_owned()),
            ("postgres://u:p@ss/w@h:5432/d", "postgres://u:***@h:5432/d".to_owned()),
            ("/x/postgres:%2F%2Fu:p@h", "/x/postgres:%2F%2Fu:***@h".to_owned()),
            ("Authorization: Bearer abc.def", "Authorization: Bearer ***".to_owned()),
            (r#"{"password":"hunter2"}"#, r#"{"password":"***"}"#.to_owned()),
            (
                r#"{"m":"{\"password\":\"h\\\\2\"}"}"#,
                r#"{"m":"{\"password\":\"***\"}"}"#.to_owned(),
            ),
            ("password=hunter2&x=1", "password=***&x=1".to_owned()),
            (
                "\x1b[3mtoken\x1b[0m\x1b[2m=\x1b[0mabc",
                "\x1b[3mtoken\x1b[0m\x1b[2m=\x1b[0m***".into(),
            ),
            ("sk-ant-api03-abcdefghijklmnop", "sk-***".to_owned()),
            (&token, HIDDEN.to_owned()),
        ];
        for (text, expected) in cases {
            assert_eq!(redact(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_secret_stays_as_it_is() {
        let sha256 = "0a".repeat(32);
        let name = "a1-b2".repeat(9);
        let uuid = "0192f0c1-2f3a-7c3b-8d4e-0123456789ab";
        let url = "http://127.0.0.1:8000/api/agents";
        for text in [&sha256, &name[..TOKEN_LENGTH], uuid, url, "the password is wrong"] {
            assert_eq!(redact(text), text);
        }
    }
}
