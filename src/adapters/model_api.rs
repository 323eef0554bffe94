//! The API that a CLI reaches its model by, for whoever stands between the two.

/// An API of models: where it is, and how a CLI says who it is.
#[derive(Debug, PartialEq, Eq)]
pub struct ModelApi {
    /// The variable that holds the CLI's key.
    pub key: &'static str,
    /// The header in which the API expects it.
    pub key_header: &'static str,
    /// The variable that sends the CLI somewhere else than to [`ModelApi::url`].
    pub address: &'static str,
    /// Where the API is.
    pub url: &'static str,
    /// What the paths begin with that a CLI asks for.
    pub paths: &'static [&'static str],
    /// Further variables with which the CLI goes to something else, or says by another secret who it is.
    pub elsewhere: &'static [&'static str],
}

/// The API of Claude Code.
pub static ANTHROPIC: ModelApi = ModelApi {
    key: "ANTHROPIC_API_KEY",
    key_header: "x-api-key",
    address: "ANTHROPIC_BASE_URL",
    url: "https://api.anthropic.com",
    paths: &["/v1/"],
    elsewhere: &[
        "ANTHROPIC_AUTH_TOKEN",
        "ANTHROPIC_UNIX_SOCKET",
        "CLAUDE_CODE_OAUTH_TOKEN",
        "CLAUDE_CODE_USE_BEDROCK",
        "CLAUDE_CODE_USE_VERTEX",
    ],
};

/// The API of Gemini CLI.
pub static GEMINI: ModelApi = ModelApi {
    key: "GEMINI_API_KEY",
    key_header: "x-goog-api-key",
    address: "GOOGLE_GEMINI_BASE_URL",
    url: "https://generativelanguage.googleapis.com",
    paths: &["/v1/", "/v1alpha/", "/v1beta/"],
    elsewhere: &["GOOGLE_API_KEY", "GOOGLE_GENAI_USE_VERTEXAI", "GOOGLE_GENAI_USE_GCA"],
};

impl ModelApi {
    /// Whether an agent with these variables can be given the way without the key: it has one, and
    /// nothing that leads elsewhere.
    pub fn can_stand_in(&self, has_variable: impl Fn(&str) -> bool) -> bool {
        let leads_elsewhere = self.elsewhere.iter().chain([&self.address]);
        has_variable(self.key) && !leads_elsewhere.copied().any(has_variable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_key_alone_can_be_kept_from_the_agent() {
        let with = |names: &[&str]| ANTHROPIC.can_stand_in(|name| names.contains(&name));
        assert!(with(&["ANTHROPIC_API_KEY", "OTHER"]));
        assert!(!with(&["OTHER"]));
        assert!(!with(&["ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL"]));
        assert!(!with(&["ANTHROPIC_API_KEY", "CLAUDE_CODE_OAUTH_TOKEN"]));
    }
}
