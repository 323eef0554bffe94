//! Short names of Claude's models.

use super::super::ModelError;
use crate::domain::agent::Runtime;

/// The names without the maker's prefix, and what the CLI takes for them.
///
/// The CLI knows `sonnet`, `opus`, `haiku` and its other aliases itself and sends any other name to
/// the API as it is, so a short name that is missing here fails there.
pub const SHORT_NAMES: &[(&str, &str)] = &[
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

/// Turns `name` into what the CLI takes; `claude-sonnet-4.5` is read like `sonnet-4.5`.
pub fn resolve(runtime: Runtime, name: &str) -> Result<String, ModelError> {
    let lower = name.to_ascii_lowercase();
    let short = lower.strip_prefix("claude-").unwrap_or(&lower);
    // `models/` is how Gemini's own API spells its names.
    if lower.strip_prefix("models/").unwrap_or(&lower).starts_with("gemini") {
        let name = name.to_owned();
        return Err(ModelError { name, belongs_to: Runtime::GeminiCli, runtime });
    }
    let known = SHORT_NAMES.iter().find(|(known, _)| *known == short);
    Ok(known.map_or_else(|| name.to_owned(), |(_, full)| (*full).to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claude(name: &str) -> Result<String, ModelError> {
        resolve(Runtime::ClaudeCode, name)
    }

    #[test]
    fn short_names_become_the_full_ones() {
        assert_eq!(claude("sonnet-4.5").unwrap(), "claude-sonnet-4-5");
        assert_eq!(claude("claude-sonnet-4.5").unwrap(), "claude-sonnet-4-5");
        assert_eq!(claude("Opus-4.1").unwrap(), "claude-opus-4-1");
    }

    #[test]
    fn names_of_the_cli_and_unknown_ones_pass_unchanged() {
        for name in ["sonnet", "opus[1m]", "claude-sonnet-4-5-20250929", "Frobnicate-9", ""] {
            assert_eq!(claude(name).unwrap(), name);
        }
    }

    #[test]
    fn a_gemini_name_is_refused() {
        for name in ["gemini-2.5-pro", "Gemini-3", "models/gemini-2.5-flash", "gemini"] {
            let error = claude(name).unwrap_err();
            assert_eq!(error.belongs_to, Runtime::GeminiCli);
            assert!(error.to_string().contains("belongs to gemini-cli"), "{error}");
        }
    }
}
