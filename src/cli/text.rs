//! Values as people read them.
//!
//! Whatever an agent or another user wrote is hostile: [`clean`] takes out everything that a
//! terminal would obey instead of show.

use chrono::{DateTime, SecondsFormat, Utc};
use console::strip_ansi_codes;
use uuid::Uuid;

/// What stands where a value is not known.
pub const UNKNOWN: &str = "–";

/// How many columns a preview of a message takes at most.
const PREVIEW_COLUMNS_MAX: usize = 200;

/// Takes out every control sequence; newlines and tabs stay.
pub fn clean(text: &str) -> String {
    strip_ansi_codes(text).chars().filter(|char| is_shown(*char)).collect()
}

/// Whether a terminal shows the character; direction overrides are shown as something else.
fn is_shown(char: char) -> bool {
    let overrides_direction = matches!(char, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    matches!(char, '\n' | '\t') || !(char.is_control() || overrides_direction)
}

/// The text in one line, cut to a preview.
pub fn one_line(text: &str) -> String {
    let words = clean(text).split_whitespace().collect::<Vec<_>>().join(" ");
    console::truncate_str(&words, PREVIEW_COLUMNS_MAX, "…").into_owned()
}

/// The text in one line, whole: what a terminal would not show stands as its escape.
pub fn escaped(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for char in text.chars() {
        if is_shown(char) && !matches!(char, '\n' | '\t') {
            line.push(char);
        } else {
            line.extend(char.escape_default());
        }
    }
    line
}

/// JSON in which no character is left that a terminal would obey; still the same JSON.
///
/// JSON itself escapes only the first 32 control characters.
pub fn clean_json(json: &str) -> String {
    let mut safe = String::with_capacity(json.len());
    for char in json.chars() {
        if is_shown(char) || char == '\r' {
            safe.push(char);
        } else {
            // All of these are in the first 65,536 characters, which one escape can name.
            safe.extend(["\\u", &format!("{:04x}", u32::from(char))]);
        }
    }
    safe
}

/// A duration in milliseconds, with the two units that matter.
pub fn duration(duration_ms: u64) -> String {
    let seconds = duration_ms / 1_000;
    match seconds {
        0 => format!("{duration_ms} ms"),
        1..60 => format!("{seconds}.{} s", duration_ms % 1_000 / 100),
        60..3_600 => format!("{} m {:02} s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{} h {:02} m", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{} d {:02} h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

/// A cost in dollars, as exact as its size asks for.
pub fn cost(dollars: f64) -> String {
    match dollars {
        0.0 => "$0".to_owned(),
        ..0.000_1 => "<$0.0001".to_owned(),
        ..1.0 => format!("${dollars:.4}"),
        _ => format!("${dollars:.2}"),
    }
}

/// How long before `now` something was.
pub fn ago(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let seconds = u64::try_from((now - at).num_seconds()).unwrap_or_default();
    match seconds {
        0..5 => "now".to_owned(),
        5..60 => format!("{seconds} s ago"),
        60..3_600 => format!("{} min ago", seconds / 60),
        3_600..86_400 => format!("{} h ago", seconds / 3_600),
        _ => format!("{} d ago", seconds / 86_400),
    }
}

/// A time in full.
pub fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// The part of an execution's id that people copy: its last group, which is random.
///
/// The first groups are the time, alike for all that began together.
pub fn short_id(id: Uuid) -> String {
    format!("{:012x}", id.as_u128() & 0xffff_ffff_ffff)
}

/// A value, or the sign for none.
pub fn or_unknown(value: Option<String>) -> String {
    value.unwrap_or_else(|| UNKNOWN.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys_is_left() {
        let hostile = "a\x1b[31mred\x1b[0m \x1b]0;title\x07b \x1b]52;c;cHduZWQ=\x1b\\ \u{9b}2Jc\
                       \rd\x08\x7f \u{202e}e\u{2066}f \x1bPq#0\x1b\\ \x1b[2J\x1b";
        let clean = clean(hostile);
        assert!(clean.chars().all(|char| !char.is_control()), "{clean:?}");
        assert!(!clean.contains(['\u{202e}', '\u{2066}']), "{clean:?}");
        assert!(clean.starts_with("ared "), "{clean:?}");
    }

    #[test]
    fn removing_one_sequence_does_not_make_another() {
        let nested = "\x1b\x1b[31m[32mx \x1b[\x1b[0m2Jy";
        assert!(!clean(nested).contains('\x1b'));
    }

    #[test]
    fn words_lines_and_other_alphabets_stay() {
        let text = "häuser\n\tदेवनागरी 👩‍👩‍👧 «ok»";
        assert_eq!(clean(text), text);
    }

    #[test]
    fn a_preview_is_one_line() {
        assert_eq!(one_line("  a\n\n b\tc\x1b[1m d "), "a b c d");
        assert!(one_line(&"x".repeat(1_000)).ends_with("x…"));
    }

    #[test]
    fn an_escaped_text_is_one_line_and_whole() {
        assert_eq!(escaped("a\u{1b}[31mé\n  b\u{202e}"), "a\\u{1b}[31mé\\n  b\\u{202e}");
        assert_eq!(escaped(&"x ".repeat(500)).len(), 1_000);
    }

    #[test]
    fn cleaned_json_says_the_same() {
        let json = serde_json::to_string("\u{9b}31m \u{7f} \u{202e} \u{1b} ä").unwrap();
        let safe = clean_json(&json);
        assert!(!safe.contains(['\u{9b}', '\u{7f}', '\u{202e}']));
        let (before, after): (String, String) =
            (serde_json::from_str(&json).unwrap(), serde_json::from_str(&safe).unwrap());
        assert_eq!(before, after);
    }

    #[test]
    fn durations_show_the_two_units_that_matter() {
        let shown: Vec<String> =
            [0, 999, 1_000, 59_949, 65_000, 7_380_000, 273_600_000, u64::MAX].map(duration).into();
        assert_eq!(
            shown,
            [
                "0 ms",
                "999 ms",
                "1.0 s",
                "59.9 s",
                "1 m 05 s",
                "2 h 03 m",
                "3 d 04 h",
                "213503982334 d 14 h"
            ]
        );
    }

    #[test]
    fn costs_are_as_exact_as_their_size_asks_for() {
        let shown: Vec<String> = [0.0, 0.000_02, 0.012_34, 0.5, 12.345].map(cost).into();
        assert_eq!(shown, ["$0", "<$0.0001", "$0.0123", "$0.5000", "$12.35"]);
    }

    #[test]
    fn a_clock_behind_the_server_shows_no_negative_age() {
        let now = DateTime::UNIX_EPOCH;
        assert_eq!(ago(now + chrono::TimeDelta::seconds(90), now), "now");
        assert_eq!(ago(now, now + chrono::TimeDelta::seconds(90)), "1 min ago");
    }

    #[test]
    fn a_short_id_is_the_last_group() {
        let id = Uuid::parse_str("0199a0b1-c2d3-7e4f-8a5b-00c7d8e9f0a1").unwrap();
        assert_eq!(short_id(id), "00c7d8e9f0a1");
    }
}
