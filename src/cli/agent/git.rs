//! The git repository that an agent's workspace is synchronised with.

use serde::Deserialize;
use serde_json::json;

use super::super::Session;
use super::super::client::Call;
use super::super::error::Result;
use super::super::output::{Form, cell, print};
use super::super::text::{clean, one_line};
use super::path;
use crate::domain::AgentName;

#[derive(Debug, clap::Args)]
pub struct GitArgs {
    #[command(subcommand)]
    command: GitCommand,
}

#[derive(Debug, clap::Subcommand)]
enum GitCommand {
    /// Show the repository
    Show(NameArgs),
    /// Set the repository, which the next start or pull clones
    Set(SetArgs),
    /// Take the repository away; the workspace keeps its files and its commits
    Unset(NameArgs),
    /// Show how the workspace differs from the repository
    Status(NameArgs),
    /// Take over what the repository has
    Pull(NameArgs),
    /// Record everything that has changed, but credentials
    Commit(CommitArgs),
    /// Give the repository what was recorded
    Push(NameArgs),
}

#[derive(Debug, clap::Args)]
struct NameArgs {
    /// Name of the agent
    name: AgentName,
}

#[derive(Debug, clap::Args)]
struct SetArgs {
    /// Name of the agent
    name: AgentName,
    /// The address, by https or http; its token is the credential GIT_TOKEN
    repository: String,
    /// The branch [default: main]
    #[arg(long)]
    branch: Option<String>,
}

#[derive(Debug, clap::Args)]
struct CommitArgs {
    /// Name of the agent
    name: AgentName,
    /// What the commit says
    #[arg(long, short)]
    message: String,
}

#[derive(Debug, Deserialize)]
struct Settings {
    repository: Option<String>,
    branch: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Status {
    branch: Option<String>,
    commit: Option<String>,
    ahead: u64,
    behind: u64,
    changes: Vec<Change>,
    has_more_changes: bool,
}

#[derive(Debug, Deserialize)]
struct Change {
    path: String,
    code: String,
}

#[derive(Debug, Deserialize)]
struct Done {
    changed: bool,
    commit: Option<String>,
    output: String,
}

impl Session {
    pub(super) async fn git(&self, args: GitArgs) -> Result<()> {
        match args.command {
            GitCommand::Show(NameArgs { name }) => self.repository(&name, Call::get).await,
            GitCommand::Set(SetArgs { name, repository, branch }) => {
                let body = json!({ "repository": repository, "branch": branch });
                self.repository(&name, |path| Call::put(path).json(body)).await
            }
            GitCommand::Unset(NameArgs { name }) => self.repository(&name, Call::delete).await,
            GitCommand::Status(NameArgs { name }) => self.git_status(&name).await,
            GitCommand::Pull(NameArgs { name }) => {
                self.git_work(&name, Call::post(git(&name, "/pull")), "pulled").await
            }
            GitCommand::Commit(CommitArgs { name, message }) => {
                let call = Call::post(git(&name, "/commit")).json(json!({ "message": message }));
                self.git_work(&name, call, "committed").await
            }
            GitCommand::Push(NameArgs { name }) => {
                self.git_work(&name, Call::post(git(&name, "/push")), "pushed").await
            }
        }
    }

    async fn repository(&self, name: &AgentName, call: impl FnOnce(String) -> Call) -> Result<()> {
        let answer = self.client.call(call(git(name, ""))).await?;
        if self.output.form() == Form::Json {
            return self.output.json(&answer.body);
        }
        let Settings { repository, branch } = answer.read()?;
        match repository {
            Some(repository) => {
                let branch = clean(&branch.unwrap_or_default());
                print(&format!("{name}: {}, branch {branch}", clean(&repository)))
            }
            None => print(&format!("{name} has no repository")),
        }
    }

    async fn git_status(&self, name: &AgentName) -> Result<()> {
        let answer = self.client.call(Call::get(git(name, "/status"))).await?;
        if self.output.form() == Form::Json {
            return self.output.json(&answer.body);
        }
        let Status { branch, commit, ahead, behind, changes, has_more_changes } = answer.read()?;
        let branch = branch.map_or("no branch".to_owned(), |branch| clean(&branch));
        let at = commit.map_or("no commit yet".to_owned(), |commit| short(&commit));
        print(&format!("{name}: {branch} at {at}, {ahead} to push, {behind} to pull"))?;
        let rows = changes
            .iter()
            .map(|Change { path, code }| vec![cell(clean(code)), cell(one_line(path))]);
        self.output.table(&["CODE", "PATH"], &[], rows.collect(), "nothing has changed")?;
        if has_more_changes {
            eprintln!("there are more changes than these");
        }
        Ok(())
    }

    async fn git_work(&self, name: &AgentName, call: Call, done: &str) -> Result<()> {
        let answer = self.client.call(call).await?;
        if self.output.form() == Form::Json {
            return self.output.json(&answer.body);
        }
        let Done { changed, commit, output } = answer.read()?;
        for line in output.lines() {
            eprintln!("{}", clean(line));
        }
        let at = commit.map_or("no commit yet".to_owned(), |commit| short(&commit));
        let what = if changed { done } else { "nothing to do" };
        print(&format!("{name}: {what}, at {at}"))
    }
}

fn git(name: &AgentName, below: &str) -> String {
    format!("{}/git{below}", path(name))
}

/// So many letters of a commit's name as people say.
fn short(commit: &str) -> String {
    clean(commit).chars().take(12).collect()
}
