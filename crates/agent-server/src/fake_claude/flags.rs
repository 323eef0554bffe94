//! The CLI's flags, read by its rules.

use super::lines::Format;

/// What the words of the command line say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Flags {
    /// `--version`.
    pub is_version: bool,
    /// `--output-format`.
    pub format: Format,
    /// `--verbose`.
    pub is_verbose: bool,
    /// `--session-id`.
    pub session_id: Option<String>,
    /// `--resume`.
    pub resume: Option<String>,
    /// `--fork-session`.
    pub is_fork: bool,
    /// `--max-turns`.
    pub max_turns: Option<u32>,
    /// `--permission-mode`.
    pub permission_mode: String,
    /// `--allowedTools`.
    pub allowed_tools: Vec<String>,
    /// `--tools`; without it every tool exists.
    pub tools: Option<Vec<String>>,
    /// `--mcp-config`.
    pub mcp_configs: Vec<String>,
    /// The prompt, unless it comes by standard input.
    pub prompt: Option<String>,
}

/// Flags that take one value and mean nothing here.
const IGNORED_WITH_VALUE: &[&str] = &[
    "--model",
    "--append-system-prompt",
    "--append-system-prompt-file",
    "--system-prompt",
    "--max-budget-usd",
    "--fallback-model",
    "--input-format",
    "--setting-sources",
    "--settings",
    "--effort",
    "--name",
    "-n",
];

/// Flags that take any number of values; they eat the prompt too, as those of the CLI do.
const VARIADIC: &[&str] = &[
    "--allowedTools",
    "--allowed-tools",
    "--disallowedTools",
    "--disallowed-tools",
    "--tools",
    "--mcp-config",
    "--add-dir",
    "--betas",
];

impl Flags {
    /// Reads the words; a refusal is what the CLI prints.
    pub fn read(args: &[String]) -> Result<Self, String> {
        let mut flags = Self { permission_mode: "default".to_owned(), ..Self::default() };
        let mut words = Words { args, next: 0 };
        while let Some(word) = words.take() {
            flags.read_one(word, &mut words)?;
        }
        flags.check()?;
        Ok(flags)
    }

    fn read_one(&mut self, word: &str, words: &mut Words<'_>) -> Result<(), String> {
        if word == "--" {
            if let Some(prompt) = words.take() {
                self.set_prompt(prompt);
            }
            return Ok(());
        }
        if !word.starts_with('-') {
            self.set_prompt(word);
            return Ok(());
        }
        let (flag, joined) = match word.split_once('=') {
            Some((flag, value)) => (flag, Some(value)),
            None => (word, None),
        };
        match flag {
            "-v" | "--version" => self.is_version = true,
            "--verbose" => self.is_verbose = true,
            "--fork-session" => self.is_fork = true,
            "--dangerously-skip-permissions" => {
                "bypassPermissions".clone_into(&mut self.permission_mode);
            }
            _ if VARIADIC.contains(&flag) => self.read_list(flag, joined, words),
            "--output-format" | "--session-id" | "--resume" | "-r" | "--max-turns"
            | "--permission-mode" => {
                let value = joined.or_else(|| words.take());
                let value = value.ok_or_else(|| format!("error: option '{flag}' needs a value"))?;
                self.read_value(flag, value)?;
            }
            _ if IGNORED_WITH_VALUE.contains(&flag) && joined.is_none() => {
                words.take();
            }
            // Unknown flags are ignored, so that a newer command line still plays.
            _ => {}
        }
        Ok(())
    }

    fn read_value(&mut self, flag: &str, value: &str) -> Result<(), String> {
        match flag {
            "--output-format" => self.format = Format::of(value)?,
            "--session-id" => self.session_id = Some(value.to_owned()),
            "--max-turns" => {
                let turns = value.parse();
                self.max_turns =
                    Some(turns.map_err(|_| "Error: --max-turns must be a number".to_owned())?);
            }
            "--permission-mode" => value.clone_into(&mut self.permission_mode),
            _ => self.resume = Some(value.to_owned()),
        }
        Ok(())
    }

    fn read_list(&mut self, flag: &str, joined: Option<&str>, words: &mut Words<'_>) {
        let mut values = Vec::new();
        match joined {
            Some(value) => values.push(value),
            None => {
                while let Some(value) = words.take_if(|word| !word.starts_with('-')) {
                    values.push(value);
                }
            }
        }
        let items = values.iter().flat_map(|value| value.split([',', ' ']));
        let items = items.filter(|item| !item.is_empty()).map(String::from);
        match flag {
            "--allowedTools" | "--allowed-tools" => self.allowed_tools.extend(items),
            "--tools" => self.tools.get_or_insert_default().extend(items),
            "--mcp-config" => self.mcp_configs.extend(values.into_iter().map(String::from)),
            _ => {}
        }
    }

    fn set_prompt(&mut self, word: &str) {
        self.prompt.get_or_insert_with(|| word.to_owned());
    }

    fn check(&self) -> Result<(), String> {
        if self.is_version {
            return Ok(());
        }
        if self.format == Format::StreamJson && !self.is_verbose {
            return Err(
                "Error: When using --print, --output-format=stream-json requires --verbose"
                    .to_owned(),
            );
        }
        if self.session_id.is_some() && self.resume.is_some() && !self.is_fork {
            return Err("Error: --session-id can only be used with --continue or --resume if \
                        --fork-session is also specified."
                .to_owned());
        }
        match &self.session_id {
            Some(id) if uuid::Uuid::try_parse(id).is_err() => {
                Err("Error: Invalid session ID. Must be a valid UUID.".to_owned())
            }
            _ => Ok(()),
        }
    }

    /// The names of the configured MCP servers; none of them is ever started.
    pub fn mcp_servers(&self) -> Result<Vec<String>, String> {
        let mut names = Vec::new();
        for path in &self.mcp_configs {
            let invalid = |error: String| format!("Error: Invalid MCP configuration: {error}");
            let text = std::fs::read_to_string(path).map_err(|error| {
                invalid(format!("MCP config file cannot be read: {path}: {error}"))
            })?;
            let config: serde_json::Value =
                serde_json::from_str(&text).map_err(|error| invalid(error.to_string()))?;
            let servers = config.get("mcpServers").and_then(serde_json::Value::as_object);
            let servers = servers.ok_or_else(|| invalid("mcpServers is missing".to_owned()))?;
            names.extend(servers.keys().cloned());
        }
        Ok(names)
    }

    /// Whether the lists let the run use a tool. Without lists every tool may be used.
    pub fn allows(&self, tool: &str) -> bool {
        if tool.starts_with("mcp__") {
            let covers = |rule: &String| {
                let server = rule.strip_suffix("__*").unwrap_or(rule);
                rule == tool || tool.strip_prefix(server).is_some_and(|rest| rest.starts_with("__"))
            };
            return self.tools.is_none() || self.allowed_tools.iter().any(covers);
        }
        self.tools.as_ref().is_none_or(|tools| tools.iter().any(|name| name == tool))
    }
}

struct Words<'a> {
    args: &'a [String],
    next: usize,
}

impl<'a> Words<'a> {
    fn take(&mut self) -> Option<&'a str> {
        self.take_if(|_| true)
    }

    fn take_if(&mut self, wanted: impl Fn(&str) -> bool) -> Option<&'a str> {
        let word = self.args.get(self.next).filter(|word| wanted(word))?;
        self.next += 1;
        Some(word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Flags, String> {
        Flags::read(&line.split_whitespace().map(String::from).collect::<Vec<_>>())
    }

    #[test]
    fn streaming_needs_verbose() {
        let refusal = read("-p --output-format stream-json hi").unwrap_err();
        assert!(refusal.contains("requires --verbose"));
        let flags = read("-p --output-format=stream-json --verbose hi").unwrap();
        assert_eq!((flags.format, flags.prompt.as_deref()), (Format::StreamJson, Some("hi")));
        assert!(read("-p --output-format xml hi").is_err());
    }

    #[test]
    fn a_list_eats_the_prompt_unless_it_is_joined() {
        assert_eq!(read("-p --allowedTools Bash hi").unwrap().prompt, None);
        let joined = read("-p --allowedTools=Bash,Read hi").unwrap();
        assert_eq!(joined.allowed_tools, ["Bash", "Read"]);
        assert_eq!(joined.prompt.as_deref(), Some("hi"));
        assert_eq!(read("-p --allowedTools Bash -- hi").unwrap().prompt.as_deref(), Some("hi"));
    }

    #[test]
    fn unknown_flags_are_ignored() {
        let flags = read("-p --frobnicate --x=1 --model haiku --max-turns=3 hi").unwrap();
        assert_eq!((flags.prompt.as_deref(), flags.max_turns), (Some("hi"), Some(3)));
    }

    #[test]
    fn a_session_id_is_a_uuid_and_excludes_resume_without_fork() {
        let id = "11111111-1111-4111-8111-111111111111";
        assert!(read("--session-id=abc").unwrap_err().contains("valid UUID"));
        assert!(read(&format!("--resume={id} --session-id={id}")).is_err());
        assert!(read(&format!("--resume={id} --fork-session --session-id={id}")).is_ok());
    }

    #[test]
    fn a_tool_list_hides_all_other_tools() {
        let flags = read("--tools=Bash --allowedTools=Bash,mcp__git__*").unwrap();
        assert!(flags.allows("Bash") && flags.allows("mcp__git__log"));
        assert!(!flags.allows("Read") && !flags.allows("mcp__web__get"));
        assert!(!read("--tools=").unwrap().allows("Bash"));
        assert!(read("--permission-mode=dontAsk").unwrap().allows("Bash"));
    }
}
