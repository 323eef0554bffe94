//! Which model names each CLI takes: the short names of the API, and whose a name is.

use super::ModelError;
use crate::domain::agent::Runtime;

/// Claude's names without the maker's prefix, and what Claude Code takes for them.
///
/// The CLI knows `sonnet`, `opus`, `haiku` and its other aliases itself and sends any other name to
/// the API as it is, so a short name that is missing here fails there.
pub const CLAUDE: &[(&str, &str)] = &[
    ("fable-5", "claude-fable-5"),
    ("haiku-3.5", "claude-3-5-haiku-latest"),
    ("haiku-4.5", "claude-haiku-4-5"),
    ("mythos-5", "claude-mythos-5"),
    ("opus-4", "claude-opus-4-0"),
    ("opus-4.0", "claude-opus-4-0"),
    ("opus-4.1", "claude-opus-4-1"),
    ("opus-4.5", "claude-opus-4-5"),
    ("opus-4.6", "claude-opus-4-6"),
    ("opus-4.7", "claude-opus-4-7"),
    ("opus-4.8", "claude-opus-4-8"),
    ("sonnet-3.7", "claude-3-7-sonnet-latest"),
    ("sonnet-4", "claude-sonnet-4-0"),
    ("sonnet-4.0", "claude-sonnet-4-0"),
    ("sonnet-4.5", "claude-sonnet-4-5"),
    ("sonnet-4.6", "claude-sonnet-4-6"),
    ("sonnet-5", "claude-sonnet-5"),
];

/// Gemini's names without the maker's prefix, and what Gemini CLI takes for them.
///
/// The CLI knows `auto`, `pro`, `flash` and `flash-lite` itself and sends any other name to the
/// API as it is; the generation 3 is served under names that end in `-preview`.
pub const GEMINI: &[(&str, &str)] = &[
    ("2.5-flash", "gemini-2.5-flash"),
    ("2.5-flash-lite", "gemini-2.5-flash-lite"),
    ("2.5-pro", "gemini-2.5-pro"),
    ("3-flash", "gemini-3-flash-preview"),
    ("3-pro", "gemini-3-pro-preview"),
    ("3.1-flash-lite", "gemini-3.1-flash-lite"),
    ("3.1-pro", "gemini-3.1-pro-preview"),
    ("3.5-flash", "gemini-3.5-flash"),
    ("3.5-flash-lite", "gemini-3.5-flash-lite"),
    ("3.8-flash", "gemini-3.8-flash"),
];

/// The families of Claude's models: what its own aliases and short names begin with.
const CLAUDE_FAMILIES: &[&str] =
    &["claude", "fable", "haiku", "mythos", "opus", "opusplan", "sonnet"];

/// What Gemini's own aliases and names begin with.
const GEMINI_FAMILIES: &[&str] = &["auto-gemini", "flash", "gemini", "pro"];

/// Turns `name` into what the runtime's CLI takes; `claude-sonnet-4.5` is read like `sonnet-4.5`.
///
/// # Errors
/// When the name is one of the other CLI's.
pub fn resolve(runtime: Runtime, name: &str) -> Result<String, ModelError> {
    let lower = name.to_ascii_lowercase();
    // `models/` is how Gemini's own API spells its names.
    let bare = lower.strip_prefix("models/").unwrap_or(&lower);
    let (table, maker, other) = match runtime {
        Runtime::ClaudeCode | Runtime::Demo => (CLAUDE, "claude-", Runtime::GeminiCli),
        Runtime::GeminiCli => (GEMINI, "gemini-", Runtime::ClaudeCode),
    };
    if owner(bare) == Some(other) {
        return Err(ModelError { name: name.to_owned(), belongs_to: other, runtime });
    }
    let short = bare.strip_prefix(maker).unwrap_or(bare);
    let known = table.iter().find(|(known, _)| *known == short);
    Ok(known.map_or_else(|| name.to_owned(), |(_, full)| (*full).to_owned()))
}

/// Whose name it is, where that can be told.
fn owner(name: &str) -> Option<Runtime> {
    let is_of = |families: &[&str]| {
        families.iter().any(|family| {
            let rest = name.strip_prefix(family);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '[']))
        })
    };
    let is_short = |table: &[(&str, &str)]| table.iter().any(|(short, _)| *short == name);
    if is_of(CLAUDE_FAMILIES) {
        Some(Runtime::ClaudeCode)
    } else if is_of(GEMINI_FAMILIES) || is_short(GEMINI) {
        Some(Runtime::GeminiCli)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claude(name: &str) -> Result<String, ModelError> {
        resolve(Runtime::ClaudeCode, name)
    }

    fn gemini(name: &str) -> Result<String, ModelError> {
        resolve(Runtime::GeminiCli, name)
    }

    #[test]
    fn short_names_become_the_full_ones() {
        assert_eq!(claude("sonnet-4.5").unwrap(), "claude-sonnet-4-5");
        assert_eq!(claude("claude-sonnet-4.5").unwrap(), "claude-sonnet-4-5");
        assert_eq!(claude("Opus-4.1").unwrap(), "claude-opus-4-1");
        assert_eq!(gemini("2.5-pro").unwrap(), "gemini-2.5-pro");
        assert_eq!(gemini("gemini-2.5-pro").unwrap(), "gemini-2.5-pro");
        assert_eq!(gemini("models/gemini-2.5-flash").unwrap(), "gemini-2.5-flash");
        assert_eq!(gemini("Gemini-3-Pro").unwrap(), "gemini-3-pro-preview");
    }

    #[test]
    fn names_of_the_cli_and_unknown_ones_pass_unchanged() {
        for name in ["sonnet", "opus[1m]", "claude-sonnet-4-5-20250929", "Frobnicate-9", ""] {
            assert_eq!(claude(name).unwrap(), name);
        }
        for name in ["auto", "pro", "flash-lite", "gemini-4-ultra", "Frobnicate-9", ""] {
            assert_eq!(gemini(name).unwrap(), name);
        }
    }

    #[test]
    fn a_gemini_name_is_refused_by_claude() {
        for name in
            ["gemini-2.5-pro", "Gemini-3", "models/gemini-2.5-flash", "gemini", "flash", "2.5-pro"]
        {
            let error = claude(name).unwrap_err();
            assert_eq!(error.belongs_to, Runtime::GeminiCli);
            assert!(error.to_string().contains("belongs to gemini-cli"), "{error}");
            assert!(resolve(Runtime::Demo, name).is_err(), "{name}");
        }
    }

    #[test]
    fn a_claude_name_is_refused_by_gemini() {
        for name in ["sonnet", "opus[1m]", "haiku-4.5", "claude-sonnet-4-5", "Claude", "opusplan"] {
            let error = gemini(name).unwrap_err();
            assert_eq!(error.belongs_to, Runtime::ClaudeCode);
            assert!(error.to_string().ends_with("name a model of gemini-cli or leave it out"));
        }
    }
}
