//! Files of an agent's workspace.

use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command as Process;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use reqwest::Response;
use reqwest::header::{ETAG, HeaderMap, IF_MATCH, IF_NONE_MATCH};
use serde::Deserialize;
use serde_json::value::RawValue;
use tempfile::TempDir;
use trinity_agent_protocol::FILE_BYTES_MAX;

use super::super::Session;
use super::super::client::{Answer, Call, read_json};
use super::super::error::{Error, Exit, Result};
use super::super::output::{Form, cell, number, print};
use super::super::text::{ago, clean};
use super::path;
use crate::adapters::split_command_line;
use crate::clock;
use crate::config::variable;
use crate::domain::AgentName;

/// The editor where the user names none.
const EDITOR_DEFAULT: &str = "vi";
/// The server's word for a file that is not there.
const NO_SUCH_FILE: &str = "no-such-file";
/// How many entries are asked for at once.
const PAGE_ENTRIES: u32 = 1_000;
/// How many pages of a folder are shown.
const PAGES_MAX: usize = 1_000;

#[derive(Debug, clap::Args)]
pub struct FilesArgs {
    #[command(subcommand)]
    command: FilesCommand,
}

#[derive(Debug, clap::Subcommand)]
enum FilesCommand {
    /// List a folder of the workspace
    Ls(LsArgs),
    /// Print a file, or save it
    Get(GetArgs),
    /// Write a file from one of this machine, or from what is piped in
    Put(PutArgs),
    /// Delete a file or a folder
    Rm(RmArgs),
    /// Edit a file in $VISUAL or $EDITOR, such as CLAUDE.md
    Edit(EditArgs),
}

#[derive(Debug, clap::Args)]
struct LsArgs {
    /// Name of the agent
    name: AgentName,
    /// The folder, below the workspace
    #[arg(default_value = "")]
    path: String,
}

#[derive(Debug, clap::Args)]
struct GetArgs {
    /// Name of the agent
    name: AgentName,
    /// The file, below the workspace
    path: String,
    /// Where to save it
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
struct PutArgs {
    /// Name of the agent
    name: AgentName,
    /// The file, below the workspace
    path: String,
    /// The file of this machine; standard input without one
    from: Option<PathBuf>,
    /// Refuse when there is such a file already
    #[arg(long)]
    new: bool,
}

#[derive(Debug, clap::Args)]
struct RmArgs {
    /// Name of the agent
    name: AgentName,
    /// The file or folder, below the workspace
    path: String,
    /// Delete a folder with everything in it
    #[arg(long, short)]
    recursive: bool,
}

#[derive(Debug, clap::Args)]
struct EditArgs {
    /// Name of the agent
    name: AgentName,
    /// The file, below the workspace
    path: String,
}

#[derive(Debug, Deserialize)]
struct Folder {
    file: Box<RawValue>,
    items: Vec<Box<RawValue>>,
    next_cursor: Option<String>,
}

#[derive(Debug, Deserialize)]
struct File {
    path: String,
    kind: String,
    size_bytes: u64,
    modified_at: DateTime<Utc>,
    holds_credentials: bool,
}

#[derive(Debug, Deserialize)]
struct Changed {
    status: String,
    is_instructions: bool,
}

/// Whether what is there may be replaced.
enum Condition {
    None,
    /// Only this version.
    Version(String),
    /// Nothing may be there.
    Absent,
}

impl Session {
    pub(super) async fn files(&self, args: FilesArgs) -> Result<()> {
        match args.command {
            FilesCommand::Ls(args) => self.list_files(&args).await,
            FilesCommand::Get(args) => self.get_file(&args).await,
            FilesCommand::Put(PutArgs { name, path, from, new }) => {
                let condition = if new { Condition::Absent } else { Condition::None };
                let content = read(from.as_deref(), FILE_BYTES_MAX)?;
                let answer = self.write_file(&name, &path, content, condition).await?;
                self.changed_file(&name, &path, &answer)
            }
            FilesCommand::Rm(RmArgs { name, path, recursive }) => {
                let call = Call::delete(files(&name)).query("path", Some(&path));
                let call = call.query("recursive", recursive.then_some(true));
                self.changed_file(&name, &path, &self.client.call(call).await?)
            }
            FilesCommand::Edit(args) => self.edit_file(&args).await,
        }
    }

    async fn list_files(&self, args: &LsArgs) -> Result<()> {
        let (mut items, mut cursor) = (Vec::new(), None);
        for _ in 0..PAGES_MAX {
            let call = Call::get(files(&args.name)).query("path", Some(&args.path));
            let call = call.query("limit", Some(PAGE_ENTRIES)).query("cursor", cursor.take());
            let answer = self.client.call(call).await?;
            let folder: Folder = read_json(&answer.body)?;
            let shown: File = read_json(folder.file.get())?;
            if shown.kind == "folder" {
                items.extend(folder.items);
            } else {
                items.push(folder.file);
            }
            cursor = folder.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
        if self.output.form() == Form::Json {
            return self.output.json_list(&items);
        }
        let now = clock::now();
        let rows = items.iter().map(|item| {
            let file: File = read_json(item.get())?;
            let kind = if file.holds_credentials { "credentials" } else { &file.kind };
            let size =
                if file.kind == "file" { file.size_bytes.to_string() } else { String::new() };
            let changed = cell(ago(file.modified_at, now));
            Ok(vec![cell(kind), number(size), changed, cell(&file.path)])
        });
        let rows = rows.collect::<Result<Vec<_>>>()?;
        let header = ["KIND", "BYTES", "CHANGED", "PATH"];
        self.output.table(&header, &["CHANGED", "KIND"], rows, "the folder is empty")
    }

    async fn get_file(&self, args: &GetArgs) -> Result<()> {
        let call = download(&args.name, &args.path);
        let mut response = self.client.stream(&call, HeaderMap::new()).await?;
        let Some(to) = &args.output else {
            let mut stdout = io::stdout().lock();
            // What an agent wrote must not command the terminal.
            if stdout.is_terminal() {
                drop(stdout);
                let content = self.client.body(response).await?;
                return print(&clean(&String::from_utf8_lossy(&content)));
            }
            while let Some(part) = self.client.chunk(&mut response).await? {
                stdout.write_all(&part)?;
            }
            return Ok(stdout.flush()?);
        };
        self.save(response, to).await
    }

    /// Saves a body, under its name not before it is whole.
    pub(super) async fn save(&self, mut response: Response, to: &Path) -> Result<()> {
        let mut part = to.to_owned().into_os_string();
        part.push(".part");
        let part = PathBuf::from(part);
        let saved = async {
            let mut file = std::fs::File::create(&part).map_err(unusable(&part))?;
            while let Some(bytes) = self.client.chunk(&mut response).await? {
                file.write_all(&bytes).map_err(unusable(&part))?;
            }
            std::fs::rename(&part, to).map_err(unusable(to))
        };
        let saved = saved.await;
        if saved.is_err() {
            let _absent = std::fs::remove_file(&part);
        }
        saved
    }

    async fn write_file(
        &self,
        name: &AgentName,
        path: &str,
        content: Bytes,
        condition: Condition,
    ) -> Result<Answer> {
        let call = Call::put(files(name)).query("path", Some(path)).bytes(content);
        let call = match condition {
            Condition::None => call,
            Condition::Version(etag) => call.header(IF_MATCH, &etag),
            Condition::Absent => call.header(IF_NONE_MATCH, "*"),
        };
        self.client.call(call).await
    }

    fn changed_file(&self, name: &AgentName, path: &str, answer: &Answer) -> Result<()> {
        if self.output.form() == Form::Json {
            return self.output.json(&answer.body);
        }
        let changed: Changed = answer.read()?;
        let path = clean(path);
        let mut words = format!("{name}: {path} is {}", clean(&changed.status));
        if changed.is_instructions {
            words.push_str("; runs that start from now on follow it");
        }
        print(&words)
    }

    /// Lets the user's editor change a copy, and writes that back if nobody else was faster.
    async fn edit_file(&self, args: &EditArgs) -> Result<()> {
        let EditArgs { name, path } = args;
        let opened = self.client.stream(&download(name, path), HeaderMap::new()).await;
        let (before, condition) = match opened {
            Ok(response) => {
                let etag = response.headers().get(ETAG).and_then(|etag| etag.to_str().ok());
                let etag = etag.unwrap_or_default().to_owned();
                let content = self.client.body(response).await?;
                (content, Condition::Version(etag))
            }
            Err(error) if error.code() == Some(NO_SUCH_FILE) => (Vec::new(), Condition::Absent),
            Err(error) => return Err(error),
        };
        let folder = TempDir::with_prefix("trinity-edit-").map_err(unusable(Path::new("/tmp")))?;
        let file_name = path.rsplit_once('/').map_or(path.as_str(), |(_, name)| name);
        let copy = folder.path().join(file_name);
        std::fs::write(&copy, &before).map_err(unusable(&copy))?;
        edit(&copy)?;
        let after = std::fs::read(&copy).map_err(unusable(&copy))?;
        if after == before {
            return print(&format!("{name}: {} is as it was", clean(path)));
        }
        match self.write_file(name, path, after.into(), condition).await {
            Ok(answer) => self.changed_file(name, path, &answer),
            Err(error) => {
                // What was typed is not lost.
                let kept = folder.keep().join(file_name);
                Err(error.hint(format!("what you wrote is in {}", kept.display())))
            }
        }
    }
}

fn files(name: &AgentName) -> String {
    format!("{}/files", path(name))
}

fn download(name: &AgentName, path: &str) -> Call {
    Call::get(format!("{}/download", files(name))).query("path", Some(path))
}

/// Opens the user's editor and waits for its end.
fn edit(copy: &Path) -> Result<()> {
    let named = variable("VISUAL").or_else(|| variable("EDITOR"));
    let editor = named.unwrap_or_else(|| EDITOR_DEFAULT.to_owned());
    let failed = |what: String| {
        let error = Error::new(Exit::Failed, format!("the editor {editor:?} {what}"));
        error.hint("name another one in EDITOR")
    };
    let words = split_command_line(&editor).map_err(|error| failed(format!("is none: {error}")))?;
    let (program, arguments) = words.split_first().ok_or_else(|| failed("is none".to_owned()))?;
    let ended = Process::new(program).args(arguments).arg(copy).status();
    let ended = ended.map_err(|error| failed(format!("cannot be started: {error}")))?;
    if ended.success() { Ok(()) } else { Err(failed(format!("ended with {ended}"))) }
}

/// Reads what is to be written, no more than can be: a file, or standard input.
pub(super) fn read(from: Option<&Path>, bytes_max: usize) -> Result<Bytes> {
    let bound = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
    let mut content = Vec::new();
    let name = from.unwrap_or(Path::new("standard input"));
    let read = match from {
        Some(path) => {
            std::fs::File::open(path).and_then(|file| file.take(bound).read_to_end(&mut content))
        }
        None => io::stdin().lock().take(bound).read_to_end(&mut content),
    };
    read.map_err(|error| {
        Error::new(Exit::Usage, format!("cannot read {}: {error}", name.display()))
    })?;
    if content.len() > bytes_max {
        let detail = format!("{} has more than {bytes_max} bytes", name.display());
        return Err(Error::new(Exit::Usage, detail));
    }
    Ok(content.into())
}

fn unusable(path: &Path) -> impl FnOnce(io::Error) -> Error + use<> {
    let path = path.to_owned();
    move |error| Error::new(Exit::Failed, format!("cannot use {}: {error}", path.display()))
}
