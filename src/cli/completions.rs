//! `trinity completions`: the completion script of a shell.

use std::io::Write as _;

use clap::Subcommand as _;
use clap_complete::Shell;

use super::UserCommand;
use super::error::Result;

/// What `trinity completions` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "For bash, until the shell ends: source <(trinity completions bash)")]
pub struct Args {
    /// The shell
    shell: Shell,
}

impl Args {
    /// Prints the script.
    pub fn execute(&self) -> Result<()> {
        let mut script = Vec::new();
        // Without the words by which the executable starts itself: nobody types them.
        let mut command = UserCommand::augment_subcommands(clap::Command::new("trinity"));
        clap_complete::generate(self.shell, &mut command, "trinity", &mut script);
        Ok(std::io::stdout().write_all(&script)?)
    }
}
