//! MCP servers of an agent: what their configuration may say, and how placeholders in it become the
//! agent's credentials.
//!
//! Both CLIs write such a configuration alike: an object `mcpServers` with one object for each server.
//! In its texts `${NAME}` stands for a credential, and `${NAME:-text}` for one that may be missing.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::truncated;
use crate::domain::agent::McpServers;

/// The file of a template, and of a workspace, that holds the configuration with its placeholders.
pub const TEMPLATE_FILE: &str = ".mcp.json.template";
/// Most servers of an agent.
pub const SERVERS_MAX: usize = 50;
/// Longest configuration, in bytes, before credentials are put in.
pub const TEMPLATE_BYTES_MAX: usize = 64 * 1024;
/// Longest configuration, in bytes, with credentials in it.
pub const RESOLVED_BYTES_MAX: usize = 1024 * 1024;
/// Longest name of a server, in bytes.
const NAME_BYTES_MAX: usize = 64;
/// How deep values may be in each other.
const DEPTH_MAX: usize = 8;
/// Longest quotation of what is wrong, in bytes.
const QUOTED_BYTES_MAX: usize = 80;

/// What begins a placeholder.
const OPEN: &str = "${";
/// What parts its name from what stands for a missing one.
const DEFAULT: &str = ":-";
/// The ways in which a server is spoken to.
const TRANSPORTS: [&str; 3] = ["stdio", "http", "sse"];

/// A configuration that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum McpError {
    /// Not the form of such a configuration.
    #[error("it is no JSON object with an object `mcpServers`: {0}")]
    Form(String),
    /// More than an agent can have.
    #[error("it has more than {SERVERS_MAX} servers or {TEMPLATE_BYTES_MAX} bytes")]
    TooLarge,
    /// Not a name that both CLIs can put into the names of tools.
    #[error("{0:?} is no name of a server: 1 to {NAME_BYTES_MAX} letters, digits, `-` and `_`")]
    Name(String),
    /// What is said of a server cannot be.
    #[error("MCP server `{server}`: {reason}")]
    Server {
        /// Which one.
        server: String,
        /// What is wrong.
        reason: String,
    },
    /// A credential that the agent does not have.
    #[error("MCP server `{server}` needs `{name}`, which the agent does not have; {}", cure(.name))]
    Missing {
        /// Which one.
        server: String,
        /// The name of the credential.
        name: String,
    },
    /// More than a run can be given.
    #[error("the MCP servers have more than {RESOLVED_BYTES_MAX} bytes with credentials in them")]
    ResolvedTooLarge,
}

impl McpError {
    /// The server that it is about.
    pub fn server(&self) -> Option<&str> {
        match self {
            Self::Name(server) | Self::Server { server, .. } | Self::Missing { server, .. } => {
                Some(server)
            }
            Self::Form(_) | Self::TooLarge | Self::ResolvedTooLarge => None,
        }
    }
}

/// What helps against a missing value.
fn cure(name: &str) -> &'static str {
    if name.starts_with("TRINITY_") {
        "the server does not know it either, see --agent-url"
    } else {
        "set it as a credential first"
    }
}

/// Reads a configuration as a file holds it.
///
/// # Errors
/// When it cannot be used, for whatever agent.
pub fn parse(bytes: &[u8]) -> Result<McpServers, McpError> {
    if bytes.len() > TEMPLATE_BYTES_MAX {
        return Err(McpError::TooLarge);
    }
    let form = |error: serde_json::Error| McpError::Form(error.to_string());
    let mut file: Map<String, Value> = serde_json::from_slice(bytes).map_err(form)?;
    let servers = match file.remove("mcpServers") {
        Some(Value::Object(servers)) => servers,
        Some(_) => return Err(McpError::Form("`mcpServers` is something else".to_owned())),
        None => return Err(McpError::Form("`mcpServers` is missing".to_owned())),
    };
    if let Some(more) = file.keys().next() {
        return Err(McpError::Form(format!("{:?} is not known beside it", quoted(more))));
    }
    check(&servers)?;
    Ok(servers)
}

/// Writes a configuration as a file holds it, with its placeholders.
pub fn template(servers: &McpServers) -> String {
    format!("{:#}\n", json!({ "mcpServers": servers }))
}

/// Checks what a configuration says of each server.
///
/// # Errors
/// When it cannot be used, for whatever agent.
pub fn check(servers: &McpServers) -> Result<(), McpError> {
    if servers.len() > SERVERS_MAX || template(servers).len() > TEMPLATE_BYTES_MAX {
        return Err(McpError::TooLarge);
    }
    for (name, server) in servers {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.bytes().all(plain) {
            return Err(McpError::Name(quoted(name)));
        }
        let wrong = |reason| McpError::Server { server: name.clone(), reason };
        check_server(server).map_err(wrong)?;
        let mut walk = Walk { value_of: &|_: &str| Some(String::new()), missing: None };
        walk.value(server, 0).map_err(wrong)?;
    }
    Ok(())
}

fn check_server(server: &Value) -> Result<(), String> {
    let fields = server.as_object().ok_or("it is no object")?;
    let ways = ["command", "url", "httpUrl"].map(|way| fields.get(way));
    match ways.iter().flatten().collect::<Vec<_>>()[..] {
        [Value::String(text)] if !text.is_empty() => {}
        [_] => return Err("`command` or `url` is no text".to_owned()),
        [] => return Err("it has neither `command` nor `url`".to_owned()),
        _ => return Err("it has more than one of `command`, `url` and `httpUrl`".to_owned()),
    }
    let is_text = |value: &Value| value.is_string();
    let texts = |value: &Value| value.as_object().is_some_and(|map| map.values().all(is_text));
    for (field, value) in fields {
        let is_right = match field.as_str() {
            "args" => value.as_array().is_some_and(|items| items.iter().all(is_text)),
            "env" | "headers" => texts(value),
            "type" => value.as_str().is_some_and(|word| TRANSPORTS.contains(&word)),
            _ => true,
        };
        if !is_right {
            let what = match field.as_str() {
                "args" => "a list of texts".to_owned(),
                "type" => format!("one of {}", TRANSPORTS.join(", ")),
                _ => "an object of texts".to_owned(),
            };
            return Err(format!("`{field}` must be {what}"));
        }
    }
    Ok(())
}

/// Names what the placeholders of a checked configuration stand for, with the first server that needs
/// each, unless the placeholder says what stands for a missing one.
pub fn needed(servers: &McpServers) -> BTreeMap<String, String> {
    let mut needed = BTreeMap::new();
    let none = |_: &str| None;
    for (name, server) in servers {
        let mut missing = Vec::new();
        let mut walk = Walk { value_of: &none, missing: Some(&mut missing) };
        // What was checked is not wrong.
        let _checked = walk.value(server, 0);
        for credential in missing {
            needed.entry(credential).or_insert_with(|| name.clone());
        }
    }
    needed
}

/// Puts the values of credentials into a configuration; gives the content of the file for a run.
///
/// # Errors
/// When a credential is missing, or all of it is too long.
pub fn resolve(
    servers: &McpServers,
    value_of: impl Fn(&str) -> Option<String>,
) -> Result<String, McpError> {
    let mut resolved = Map::new();
    for (name, server) in servers {
        let mut missing = Vec::new();
        let mut walk = Walk { value_of: &value_of, missing: Some(&mut missing) };
        let wrong = |reason| McpError::Server { server: name.clone(), reason };
        let value = walk.value(server, 0).map_err(wrong)?;
        if let Some(credential) = missing.pop() {
            return Err(McpError::Missing { server: name.clone(), name: credential });
        }
        resolved.insert(name.clone(), value);
    }
    let text = json!({ "mcpServers": resolved }).to_string();
    if text.len() > RESOLVED_BYTES_MAX { Err(McpError::ResolvedTooLarge) } else { Ok(text) }
}

/// Goes through every text of a value.
struct Walk<'w> {
    value_of: &'w dyn Fn(&str) -> Option<String>,
    /// Where names go that have no value.
    missing: Option<&'w mut Vec<String>>,
}

impl Walk<'_> {
    fn value(&mut self, value: &Value, depth: usize) -> Result<Value, String> {
        if depth > DEPTH_MAX {
            return Err(format!("values are more than {DEPTH_MAX} deep in each other"));
        }
        Ok(match value {
            Value::String(text) => Value::String(self.text(text)?),
            Value::Array(items) => {
                let walk = |item: &Value| self.value(item, depth + 1);
                Value::Array(items.iter().map(walk).collect::<Result<_, _>>()?)
            }
            Value::Object(fields) => {
                let walk = |(name, value): (&String, &Value)| {
                    Ok::<_, String>((name.clone(), self.value(value, depth + 1)?))
                };
                Value::Object(fields.iter().map(walk).collect::<Result<_, _>>()?)
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
        })
    }

    fn text(&mut self, text: &str) -> Result<String, String> {
        if text.contains('\0') {
            return Err("a text contains a NUL character".to_owned());
        }
        let (mut resolved, mut rest) = (String::with_capacity(text.len()), text);
        while let Some((before, after)) = rest.split_once(OPEN) {
            resolved.push_str(before);
            let not_one = || {
                let placeholder = quoted(&rest[before.len()..]);
                format!(
                    "`{placeholder}` is no placeholder: write ${{NAME}} or ${{NAME:-text}}, with \
                     the name of a credential"
                )
            };
            let (inner, after) = after.split_once('}').ok_or_else(not_one)?;
            let (name, default) = match inner.split_once(DEFAULT) {
                Some((name, default)) => (name, Some(default)),
                None => (inner, None),
            };
            if !is_variable(name) {
                return Err(not_one());
            }
            match ((self.value_of)(name), default) {
                (Some(value), _) => resolved.push_str(&value),
                (None, Some(default)) => resolved.push_str(default),
                (None, None) => self.missing.iter_mut().for_each(|all| all.push(name.to_owned())),
            }
            rest = after;
        }
        resolved.push_str(rest);
        Ok(resolved)
    }
}

fn is_variable(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    !name.is_empty()
        && name.bytes().all(plain)
        && !name.starts_with(|first: char| first.is_ascii_digit())
}

fn quoted(text: &str) -> String {
    truncated(text.to_owned(), QUOTED_BYTES_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn servers(server: Value) -> McpServers {
        Map::from_iter([("git".to_owned(), server)])
    }

    fn refusal(server: Value) -> String {
        check(&servers(server)).unwrap_err().to_string()
    }

    #[test]
    fn credentials_take_the_place_of_their_names_wherever_a_text_is() {
        let template = json!({
            "command": "${HOME_OF_IT}/bin",
            "args": ["--key=${KEY}", "${REGION:-eu}", "$KEY", "a}b"],
            "env": {"KEY": "${KEY}${KEY}"},
            "timeout": 5,
            "nested": [{"deep": "${KEY}"}],
        });
        let template = servers(template);
        assert_eq!(check(&template), Ok(()));
        let expected = [("HOME_OF_IT", "git"), ("KEY", "git")];
        let expected = expected.map(|(name, server)| (name.to_owned(), server.to_owned()));
        assert_eq!(needed(&template), BTreeMap::from(expected));
        let value_of = |name: &str| match name {
            "KEY" => Some("a\"b\\${KEY}".to_owned()),
            "HOME_OF_IT" => Some("/opt".to_owned()),
            _ => None,
        };
        let resolved: Value = serde_json::from_str(&resolve(&template, value_of).unwrap()).unwrap();
        let key = "a\"b\\${KEY}";
        let expected = json!({"mcpServers": {"git": {
            "command": "/opt/bin",
            "args": [format!("--key={key}"), "eu", "$KEY", "a}b"],
            "env": {"KEY": format!("{key}{key}")},
            "timeout": 5,
            "nested": [{"deep": key}],
        }}});
        assert_eq!(resolved, expected, "a value is a value, whatever is in it");
    }

    #[test]
    fn a_missing_credential_is_named_with_its_server() {
        let template = servers(json!({"command": "x", "env": {"A": "${GIT_TOKEN}"}}));
        let error = resolve(&template, |_| None).unwrap_err();
        assert_eq!(error.server(), Some("git"));
        let error = error.to_string();
        assert!(
            error.contains("`git` needs `GIT_TOKEN`") && error.contains("credential"),
            "{error}"
        );
        let template = servers(json!({"url": "${TRINITY_URL}/mcp"}));
        let error = resolve(&template, |_| None).unwrap_err().to_string();
        assert!(error.contains("--agent-url"), "{error}");
    }

    #[test]
    fn what_cannot_be_used_is_said_of_its_server() {
        for (server, reason) in [
            (json!("x"), "no object"),
            (json!({}), "neither"),
            (json!({"command": ""}), "no text"),
            (json!({"command": "x", "url": "y"}), "more than one"),
            (json!({"command": "x", "args": "y"}), "`args` must be a list of texts"),
            (json!({"command": "x", "env": {"A": 1}}), "`env` must be an object of texts"),
            (json!({"url": "x", "type": "smoke"}), "stdio, http, sse"),
            (json!({"command": "x\0"}), "NUL"),
            (json!({"command": "${}"}), "`${}` is no placeholder"),
            (json!({"command": "${A B}"}), "`${A B}` is no placeholder"),
            (json!({"command": "${1A}"}), "no placeholder"),
            (json!({"command": "x", "args": ["${OPEN"]}), "`${OPEN` is no placeholder"),
            (json!({"command": "x", "a": [[[[[[[[[[]]]]]]]]]]}), "deep"),
        ] {
            let refusal = refusal(server);
            assert!(refusal.contains("`git`") && refusal.contains(reason), "{reason}: {refusal}");
        }
        let name = Map::from_iter([("a b".to_owned(), json!({"command": "x"}))]);
        assert_eq!(check(&name), Err(McpError::Name("a b".to_owned())));
        let many = (0..=SERVERS_MAX).map(|n| (format!("s{n}"), json!({"command": "x"})));
        assert_eq!(check(&many.collect()), Err(McpError::TooLarge));
        let long = json!({"command": "x".repeat(TEMPLATE_BYTES_MAX)});
        assert_eq!(check(&servers(long)), Err(McpError::TooLarge));
    }

    #[test]
    fn a_file_is_read_as_it_is_written_and_any_other_refused() {
        let all = servers(json!({"command": "x", "args": ["${A}"]}));
        assert_eq!(parse(template(&all).as_bytes()), Ok(all));
        for (text, reason) in [
            ("", "JSON"),
            ("{", "JSON"),
            ("[]", "JSON"),
            ("{}", "missing"),
            (r#"{"mcpServers": []}"#, "something else"),
            (r#"{"mcpServers": {}, "more": 1}"#, "more"),
        ] {
            let error = parse(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
        assert_eq!(parse(&vec![b' '; TEMPLATE_BYTES_MAX + 1]), Err(McpError::TooLarge));
    }

    #[test]
    fn what_becomes_too_long_is_refused() {
        let many = servers(json!({"command": "x", "args": vec!["${A}"; 20]}));
        let resolved = resolve(&many, |_| Some("a".repeat(RESOLVED_BYTES_MAX / 16)));
        assert_eq!(resolved, Err(McpError::ResolvedTooLarge));
    }
}
