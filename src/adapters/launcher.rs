//! The commands that start the CLIs, as they are configured.

use super::{Env, Surroundings};

/// The program that sets variables for another one.
const ENV: &str = "env";

/// What starts a CLI: the variables named before its program, the program and its arguments.
///
/// Every user of a machine can read the arguments of a process, only its own user the variables: a
/// key that is named before the program is never an argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launcher {
    variables: Env,
    words: Vec<String>,
}

/// A command line of the configuration that cannot be used. It never says the line, which may hold
/// a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CommandLineError {
    /// A quote is not closed or the line ends in a backslash.
    #[error("the command line has an open quote or ends in a backslash")]
    Unbalanced,
    /// It has no program.
    #[error("the command line is empty; name the program to run")]
    Empty,
}

impl Launcher {
    /// Reads a command line of the configuration, such as `env KEY=value claude`.
    ///
    /// # Errors
    /// When it cannot be split into words, or names variables and no program.
    pub fn parse(line: &str) -> Result<Self, CommandLineError> {
        let launcher = Self::new(split_command_line(line)?);
        let is_empty = launcher.words.first().is_none_or(String::is_empty);
        if is_empty { Err(CommandLineError::Empty) } else { Ok(launcher) }
    }

    /// Takes the variables off the words of a command, with the `env` before them if there is one.
    ///
    /// An `env` with options of its own stays what it is: a program with arguments.
    pub fn new(mut words: Vec<String>) -> Self {
        let is_env = words.first().is_some_and(|word| word.rsplit('/').next() == Some(ENV));
        let begin = usize::from(is_env);
        let is_variable = |word: &&String| match word.split_once('=') {
            Some((name, _)) if is_env => !name.is_empty() && !name.starts_with('-'),
            Some((name, _)) => is_shell_name(name),
            None => false,
        };
        let count = words.iter().skip(begin).take_while(is_variable).count();
        let has_options = words.get(begin + count).is_some_and(|word| word.starts_with('-'));
        if is_env && has_options {
            return Self { variables: Env::default(), words };
        }
        let named = words.drain(..begin + count).skip(begin);
        let variables = named.filter_map(|word| {
            let (name, value) = word.split_once('=')?;
            Some((name.to_owned(), value.to_owned()))
        });
        Self { variables: Env(variables.collect()), words }
    }

    /// What error texts call the CLI: its program, and nothing that may hold a key.
    pub fn program(&self) -> Option<&str> {
        self.words.first().map(String::as_str)
    }

    /// The program and its arguments.
    pub fn words(&self) -> &[String] {
        &self.words
    }

    /// The variables named before the program.
    pub fn variables(&self) -> &Env {
        &self.variables
    }

    /// Makes the environment of a run: the adapter's `own` variables win over the agent's, and those
    /// of the command, as behind an `env`, over all others.
    pub(super) fn environment(&self, surroundings: &Surroundings, own: &[(&str, &str)]) -> Env {
        let mut env = surroundings.secrets.0.clone();
        let everywhere = [
            ("HOME", surroundings.home.as_str()),
            ("LANG", "C.UTF-8"),
            ("PATH", surroundings.path.as_str()),
        ];
        let all = everywhere.iter().chain(own);
        env.extend(all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        env.extend(self.variables.0.clone());
        Env(env)
    }
}

/// Whether a shell takes `name=` before a program for a variable.
fn is_shell_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Splits a command line of the configuration into words as a shell would, without expansions.
///
/// # Errors
/// When a quote is open, or there is no word.
pub fn split_command_line(line: &str) -> Result<Vec<String>, CommandLineError> {
    match shlex::split(line) {
        None => Err(CommandLineError::Unbalanced),
        Some(words) if words.first().is_none_or(String::is_empty) => Err(CommandLineError::Empty),
        Some(words) => Ok(words),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::RunUser;

    /// The variables and the words of a command.
    fn split(line: &str) -> (Vec<(String, String)>, Vec<String>) {
        let Launcher { variables, words } = Launcher::parse(line).unwrap();
        (variables.0.into_iter().collect(), words)
    }

    #[test]
    fn a_command_line_is_split_as_a_shell_would() {
        let words = split_command_line("node '/opt/my cli.js' --flag").unwrap();
        assert_eq!(words, ["node", "/opt/my cli.js", "--flag"]);
        assert_eq!(split_command_line("  "), Err(CommandLineError::Empty));
        assert_eq!(split_command_line("''"), Err(CommandLineError::Empty));
        let open = split_command_line("env KEY=hunter2 claude 'open").unwrap_err();
        assert_eq!(open, CommandLineError::Unbalanced);
        assert!(!open.to_string().contains("hunter2"));
    }

    #[test]
    fn variables_before_the_program_are_no_arguments() {
        let own = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let all = vec![own("A", "1=2"), own("KEY", "a b")];
        for before in ["env KEY='a b' A=1=2", "/usr/bin/env A=1=2 KEY='a b'", "A=1=2 KEY='a b'"] {
            let (variables, words) = split(&format!("{before} claude --x B=3"));
            assert_eq!(variables, all, "{before}");
            assert_eq!(words, ["claude", "--x", "B=3"], "{before}");
        }
        assert_eq!(split("env a.b=1 c"), (vec![own("a.b", "1")], vec!["c".to_owned()]));
        assert_eq!(split("env claude").1, ["claude"]);
        assert_eq!(split("/opt/a=b/claude x").1, ["/opt/a=b/claude", "x"]);
    }

    #[test]
    fn an_env_with_options_is_a_program_like_any_other() {
        for line in ["env -i A=1 claude", "env A=1 -u B claude", "env -S 'A=1 claude'"] {
            let (variables, words) = split(line);
            assert_eq!(words, split_command_line(line).unwrap());
            assert_eq!(variables, []);
        }
    }

    #[test]
    fn variables_alone_name_no_program() {
        for line in ["env", "env A=1", "A=1", "A=1 ''"] {
            assert_eq!(Launcher::parse(line), Err(CommandLineError::Empty), "{line}");
        }
        let error = Launcher::parse("env A=hunter2").unwrap_err();
        assert!(!error.to_string().contains("hunter2"));
    }

    #[test]
    fn variables_of_the_command_win_and_are_not_shown() {
        let launcher = Launcher::parse("env KEY=hunter2 PATH=/own claude").unwrap();
        let secrets = [("KEY", "of-the-agent"), ("MORE", "1")];
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        let surroundings = Surroundings {
            home: "/h".to_owned(),
            path: "/bin".to_owned(),
            secrets: Env(secrets.map(owned).into()),
            user: RunUser::Unprivileged,
        };
        let expected = [
            ("HOME", "/h"),
            ("KEY", "hunter2"),
            ("LANG", "C.UTF-8"),
            ("MORE", "1"),
            ("OWN", "2"),
            ("PATH", "/own"),
        ];
        let env = launcher.environment(&surroundings, &[("OWN", "2")]);
        assert_eq!(env.0, expected.map(owned).into());
        assert!(!format!("{launcher:?} {env:?}").contains("hunter2"));
        assert_eq!(launcher.program(), Some("claude"));
    }
}
