//! The files that make a run of Gemini CLI what the task asks for.
//!
//! The CLI takes its settings from `.gemini/settings.json` of its home, which is the folder of the
//! run's files: no run finds what another one has written there. Settings for a whole machine
//! would be of no use, because the CLI ignores them unless root owns every folder above them.

use serde_json::{Value, json};
use trinity_agent_protocol::FileSpec;

use super::super::tools::{ToolSet, of_mcp};
use super::super::{RunUser, TaskSpec};

/// Tries of a failed API call. The CLI's own 10 take minutes when the API is overloaded.
const ATTEMPTS_MAX: u32 = 3;

/// The name of the settings.
const SETTINGS_FILE: &str = "settings.json";
/// The name of the rules for tools.
const POLICY_FILE: &str = "policy.toml";
/// The name of what is added to the system prompt.
const SYSTEM_PROMPT_FILE: &str = "system.md";
/// The name of what makes the CLI wait until its output is taken.
const BLOCKING_FILE: &str = "blocking.cjs";
/// The agent's own instructions, below the link to its workspace.
const INSTRUCTIONS_FILE: &str = "workspace/GEMINI.md";

/// What the shell does before it becomes the CLI: `$1` is the folder of the run's files, the rest
/// the command. The CLI's sessions live in the HOME, where the next run finds them. Rules for tools
/// are found in `policies`; a flag would take a comma in their path for the end of it. Skills are linked
/// like the instructions: the CLI takes none from a workspace that it does not trust.
pub const PROLOGUE: &str = r#"set -e
folder=$1
shift
command -v "$1" > /dev/null || {
    echo "Error: $1 not found; install it or create the agent with runtime \"demo\"" >&2
    exit 127
}
mkdir -p "$HOME/.gemini/tmp"
ln -sfn . "$folder/.gemini"
ln -sfn . "$folder/policies"
ln -sfn "$HOME/.gemini/tmp" "$folder/tmp"
ln -sfn "$PWD" "$folder/workspace"
ln -sfn "$PWD/.gemini/skills" "$folder/skills"
exec "$@""#;

/// Runs before the CLI, which ends without waiting for its reader: what does not fit into the pipe
/// would be lost, and the result with it. The commands of its tools do not inherit it.
const BLOCKING: &str = "process.stdout._handle?.setBlocking?.(true);\n\
                        delete process.env.NODE_OPTIONS;\n";

/// What follows the escapes of [`literal`], so that the model does not take them for the text.
const ESCAPES_EXPLAINED: &str =
    "In what follows and in all messages of the user, \\@ stands for a plain @.\n\n";

/// The files of a run.
pub fn files(task: &TaskSpec) -> Vec<FileSpec> {
    let file = |name: &str, content| FileSpec { name: name.to_owned(), content, mode: 0o600 };
    let settings = settings(task).to_string();
    let mut files = vec![file(SETTINGS_FILE, settings), file(BLOCKING_FILE, BLOCKING.to_owned())];
    files.extend(policy(&task.tools, task.surroundings.user).map(|text| file(POLICY_FILE, text)));
    files.extend(system_prompt(task).map(|text| file(SYSTEM_PROMPT_FILE, text)));
    files
}

/// The options of node that run [`BLOCKING`] first.
pub fn node_options(folder: &str) -> String {
    let folder = folder.replace('\\', "\\\\").replace('"', "\\\"");
    format!("--require \"{folder}/{BLOCKING_FILE}\"")
}

fn settings(task: &TaskSpec) -> Value {
    let mut settings = json!({
        "context": {"fileName": [SYSTEM_PROMPT_FILE, INSTRUCTIONS_FILE]},
        "general": {
            "enableAutoUpdate": false,
            "maxAttempts": ATTEMPTS_MAX,
            // The clean-up takes sessions that another run is about to write for broken ones.
            "sessionRetention": {"enabled": false},
        },
        "privacy": {"usageStatisticsEnabled": false},
        "security": {
            // Named, because with a base URL the CLI guesses a way that it does not have.
            "auth": {"selectedType": "gemini-api-key"},
            // Without this, the CLI refuses to work in a workspace that it does not trust.
            "folderTrust": {"enabled": false},
        },
    });
    if let Some(turns) = task.max_turns {
        settings["model"] = json!({"maxSessionTurns": turns});
    }
    if let Some(servers) = mcp_servers(task) {
        settings["mcpServers"] = servers;
    }
    settings
}

/// The servers of the task's MCP configuration, which both CLIs write alike, of which it may use a tool.
/// The CLI allows whatever the servers offer that it is told of, and no rule takes that back.
pub fn mcp_servers(task: &TaskSpec) -> Option<Value> {
    let mut config: Value = serde_json::from_str(task.mcp_config.as_ref()?).ok()?;
    let mut servers = config.get_mut("mcpServers")?.take();
    if let ToolSet::Only(names) = &task.tools {
        let granted: Vec<_> = names.iter().filter_map(|name| of_mcp(name)).collect();
        let servers = servers.as_object_mut()?;
        servers.retain(|name, _| granted.iter().any(|(server, _)| server == name));
        for (name, server) in servers.iter_mut() {
            let of_server = granted.iter().filter(|(server, _)| server == name);
            let tools: Option<Vec<&str>> = of_server.map(|(_, tool)| *tool).collect();
            if let (Some(tools), Some(server)) = (tools, server.as_object_mut()) {
                server.insert("includeTools".to_owned(), json!(tools));
            }
        }
    }
    Some(servers).filter(|servers| servers.as_object().is_some_and(|servers| !servers.is_empty()))
}

/// The rules for tools: what they deny, the model is not even told of. None as root without a
/// list: the CLI then only reads.
fn policy(tools: &ToolSet, user: RunUser) -> Option<String> {
    let names = match (tools, user) {
        (ToolSet::Unrestricted, RunUser::Root) => return None,
        (ToolSet::Unrestricted, RunUser::Unprivileged) => {
            let everything = rule("toolName = \"*\"", "allow", 1);
            // Nobody is there to answer or to approve.
            let nobody = "toolName = [\"ask_user\", \"enter_plan_mode\", \"exit_plan_mode\"]";
            return Some(everything + &rule(nobody, "deny", 999));
        }
        (ToolSet::Only(names), _) => names,
    };
    let mut policy = rule("toolName = \"*\"", "deny", 1);
    for name in names {
        let what = match of_mcp(name) {
            None => format!("toolName = \"{name}\""),
            Some((server, None)) => format!("mcpName = \"{server}\""),
            Some((server, Some(tool))) => format!("mcpName = \"{server}\"\ntoolName = \"{tool}\""),
        };
        policy += &rule(&what, "allow", 999);
    }
    Some(policy)
}

fn rule(what: &str, decision: &str, priority: u32) -> String {
    // Without the last line a shell command that writes into a file is denied.
    format!(
        "[[rule]]\n{what}\ndecision = \"{decision}\"\npriority = {priority}\n\
         allowRedirection = true\n\n"
    )
}

fn system_prompt(task: &TaskSpec) -> Option<String> {
    let asked = task.system_prompt.as_deref().unwrap_or_default();
    let (text, message) = (literal(asked), literal(&task.message));
    let explained = if text == asked && message == task.message { "" } else { ESCAPES_EXPLAINED };
    Some(format!("{explained}{text}")).filter(|text| !text.is_empty())
}

/// Escapes every `@` that the CLI would replace by the content of a file, whatever the tools.
pub fn literal(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let mut before = None;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '@' && before != Some('\\') && chars.peek().copied().is_some_and(begins_a_path) {
            escaped.push('\\');
        }
        escaped.push(c);
        before = Some(c);
    }
    escaped
}

/// Whether the CLI reads a path from here on.
fn begins_a_path(c: char) -> bool {
    !matches!(
        c,
        ' ' | '\t' | '\n' | '\r' | ',' | ';' | '!' | '?' | '(' | ')' | '[' | ']' | '{' | '}'
    )
}
