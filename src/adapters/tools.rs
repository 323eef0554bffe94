//! What a run may use: the agent's tools are the bound, the task's list restricts it.

use crate::domain::agent::Runtime;

/// Most tools of a list.
pub const TOOLS_MAX: usize = 256;
/// Longest name of a tool, in bytes.
pub const TOOL_BYTES_MAX: usize = 256;

/// Tools that both CLIs have, by the name of Claude Code and that of Gemini CLI.
const TWINS: &[(&str, &str)] = &[
    ("Bash", "run_shell_command"),
    ("Edit", "replace"),
    ("Glob", "glob"),
    ("Grep", "grep_search"),
    ("LS", "list_directory"),
    ("Read", "read_file"),
    ("Skill", "activate_skill"),
    ("Task", "invoke_agent"),
    ("TodoWrite", "write_todos"),
    ("WebFetch", "web_fetch"),
    ("WebSearch", "google_web_search"),
    ("Write", "write_file"),
];

/// The tools of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToolSet {
    /// Everything the CLI has.
    Unrestricted,
    /// These and nothing else; may be empty.
    Only(Vec<String>),
}

/// A tool list that cannot be granted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ToolError {
    /// The task asks for more than the agent has.
    #[error("tool {tool:?} is not among the agent's tools ({})", .bound.join(", "))]
    OutsideBound {
        /// What was asked for.
        tool: String,
        /// The agent's tools.
        bound: Vec<String>,
    },
    /// Not a name of a tool.
    #[error(
        "{tool:?} is not a tool: use a name such as Bash or mcp__server__tool, without arguments"
    )]
    Malformed {
        /// What was given.
        tool: String,
    },
    /// A tool of the other CLI.
    #[error(
        "tool {tool:?} is one of {}; {} calls it {twin}",
        <&str>::from(.belongs_to), <&str>::from(.runtime)
    )]
    OfOtherCli {
        /// What was given.
        tool: String,
        /// The runtime whose tool is named so.
        belongs_to: Runtime,
        /// The runtime that was asked for it.
        runtime: Runtime,
        /// Its name there.
        twin: &'static str,
    },
    /// A name that the CLI's own rules cannot tell from others.
    #[error("{tool:?} cannot be restricted to by gemini-cli: an MCP server's name must not hold _")]
    Ambiguous {
        /// What was given.
        tool: String,
    },
    /// Too many.
    #[error("{count} tools are too many; at most {TOOLS_MAX} can be listed")]
    TooMany {
        /// How many were given.
        count: usize,
    },
}

impl ToolSet {
    /// The names that it lists.
    pub fn names(&self) -> &[String] {
        match self {
            Self::Unrestricted => &[],
            Self::Only(names) => names,
        }
    }

    /// Restricts the agent's tools to those that the task allows.
    ///
    /// An agent without tools in its list has no bound. A task without a list gets the agent's;
    /// an empty list allows nothing.
    pub fn resolve(agent: &[String], allowed: Option<&[String]>) -> Result<Self, ToolError> {
        for list in [Some(agent), allowed].into_iter().flatten() {
            check(list)?;
        }
        let Some(allowed) = allowed else {
            return Ok(if agent.is_empty() {
                Self::Unrestricted
            } else {
                Self::Only(distinct(agent))
            });
        };
        match allowed.iter().find(|tool| !within(tool, agent)) {
            Some(tool) => {
                Err(ToolError::OutsideBound { tool: tool.clone(), bound: agent.to_vec() })
            }
            None => Ok(Self::Only(distinct(allowed))),
        }
    }
}

/// Checks that a list holds names of tools, for an agent's configuration.
pub fn check(tools: &[String]) -> Result<(), ToolError> {
    if tools.len() > TOOLS_MAX {
        return Err(ToolError::TooMany { count: tools.len() });
    }
    match tools.iter().find(|tool| !is_tool(tool)) {
        Some(tool) => {
            Err(ToolError::Malformed { tool: super::truncated(tool.clone(), TOOL_BYTES_MAX) })
        }
        None => Ok(()),
    }
}

/// Refuses the names of the other CLI: the CLI takes them and would have no such tool.
pub fn check_of(runtime: Runtime, tools: &[String]) -> Result<(), ToolError> {
    let twin = |tool: &String| {
        TWINS.iter().find_map(|(claude, gemini)| match runtime {
            Runtime::GeminiCli => (tool == claude).then_some((Runtime::ClaudeCode, *gemini)),
            Runtime::ClaudeCode | Runtime::Demo => {
                (tool == gemini).then_some((Runtime::GeminiCli, *claude))
            }
        })
    };
    match tools.iter().find_map(|tool| Some((tool, twin(tool)?))) {
        Some((tool, (belongs_to, twin))) => {
            Err(ToolError::OfOtherCli { tool: tool.clone(), belongs_to, runtime, twin })
        }
        None => Ok(()),
    }
}

/// The server of a name such as `mcp__git__log`, and its tool where one is named.
pub fn of_mcp(tool: &str) -> Option<(&str, Option<&str>)> {
    let name = tool.strip_prefix("mcp__")?;
    match name.split_once("__") {
        None | Some((_, "*")) => Some((name.strip_suffix("__*").unwrap_or(name), None)),
        Some((server, tool)) => Some((server, Some(tool))),
    }
}

/// Whether `tool` is a built-in tool, or a server, tool or all tools (`*`) of an MCP server.
fn is_tool(tool: &str) -> bool {
    let name =
        tool.strip_prefix("mcp__").map_or(tool, |rest| rest.strip_suffix("__*").unwrap_or(rest));
    tool.len() <= TOOL_BYTES_MAX
        && name.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
}

fn within(tool: &str, bound: &[String]) -> bool {
    bound.is_empty() || bound.iter().any(|b| b == tool || covers(b, tool))
}

/// Whether `server`, such as `mcp__git` or `mcp__git__*`, names the MCP server of `tool`.
fn covers(server: &str, tool: &str) -> bool {
    let server = server.strip_suffix("__*").unwrap_or(server);
    server.starts_with("mcp__")
        && (tool == server || tool.strip_prefix(server).is_some_and(|rest| rest.starts_with("__")))
}

fn distinct(tools: &[String]) -> Vec<String> {
    let mut seen = std::collections::HashSet::new();
    tools.iter().filter(|tool| seen.insert(tool.as_str())).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(agent: &[&str], allowed: Option<&[&str]>) -> Result<ToolSet, ToolError> {
        let owned = |list: &[&str]| list.iter().map(|tool| (*tool).to_owned()).collect::<Vec<_>>();
        ToolSet::resolve(&owned(agent), allowed.map(owned).as_deref())
    }

    fn only(tools: &[&str]) -> ToolSet {
        ToolSet::Only(tools.iter().map(|tool| (*tool).to_owned()).collect())
    }

    #[test]
    fn a_task_without_a_list_gets_what_the_agent_has() {
        assert_eq!(resolve(&[], None), Ok(ToolSet::Unrestricted));
        assert_eq!(resolve(&["Bash", "Read", "Bash"], None), Ok(only(&["Bash", "Read"])));
    }

    #[test]
    fn a_task_can_only_restrict() {
        assert_eq!(resolve(&["Bash", "Read"], Some(&["Read"])), Ok(only(&["Read"])));
        assert_eq!(resolve(&[], Some(&["Read"])), Ok(only(&["Read"])));
        assert_eq!(resolve(&["Bash"], Some(&[])), Ok(only(&[])));
        let refusal = resolve(&["Bash", "Read"], Some(&["Read", "Write"])).unwrap_err();
        assert_eq!(
            refusal.to_string(),
            "tool \"Write\" is not among the agent's tools (Bash, Read)"
        );
    }

    #[test]
    fn an_mcp_server_covers_its_tools() {
        for bound in ["mcp__git", "mcp__git__*"] {
            assert_eq!(resolve(&[bound], Some(&["mcp__git__log"])), Ok(only(&["mcp__git__log"])));
            assert!(resolve(&[bound], Some(&["mcp__github__log"])).is_err());
            assert!(resolve(&[bound], Some(&["Bash"])).is_err());
        }
        assert!(resolve(&["mcp__git__log"], Some(&["mcp__git"])).is_err());
    }

    /// The CLI lets read-only commands pass whatever the rule for a part of a tool says.
    #[test]
    fn what_the_cli_cannot_enforce_is_refused() {
        for tool in ["Bash(git:*)", "", "Bash,Write", "Bash Write", "-x", "Bä", "*", "a\0b"] {
            let refusal = resolve(&[], Some(&[tool])).unwrap_err();
            assert!(matches!(refusal, ToolError::Malformed { .. }), "{tool:?}");
            assert!(resolve(&[tool], None).is_err(), "{tool:?}");
        }
    }

    #[test]
    fn the_names_of_the_other_cli_are_refused_with_the_right_one() {
        let check = |runtime, tool: &str| check_of(runtime, &["mcp__a".into(), tool.to_owned()]);
        let refusal = check(Runtime::GeminiCli, "Bash").unwrap_err().to_string();
        assert_eq!(
            refusal,
            "tool \"Bash\" is one of claude-code; gemini-cli calls it run_shell_command"
        );
        let refusal = check(Runtime::ClaudeCode, "read_file").unwrap_err().to_string();
        assert_eq!(refusal, "tool \"read_file\" is one of gemini-cli; claude-code calls it Read");
        assert!(check(Runtime::Demo, "run_shell_command").is_err());
        assert_eq!(check(Runtime::GeminiCli, "run_shell_command"), Ok(()));
        assert_eq!(check(Runtime::ClaudeCode, "Bash"), Ok(()));
        assert_eq!(check(Runtime::GeminiCli, "a_tool_of_next_year"), Ok(()));
    }

    #[test]
    fn an_mcp_name_has_a_server_and_perhaps_a_tool() {
        assert_eq!(of_mcp("mcp__git"), Some(("git", None)));
        assert_eq!(of_mcp("mcp__git__*"), Some(("git", None)));
        assert_eq!(of_mcp("mcp__git__log_all"), Some(("git", Some("log_all"))));
        assert_eq!(of_mcp("Bash"), None);
    }

    #[test]
    fn lists_are_bounded() {
        let many = vec!["Bash"; TOOLS_MAX + 1];
        assert_eq!(resolve(&many, None), Err(ToolError::TooMany { count: TOOLS_MAX + 1 }));
        let long = "a".repeat(TOOL_BYTES_MAX + 1);
        assert!(matches!(resolve(&[&long], None), Err(ToolError::Malformed { .. })));
    }
}
