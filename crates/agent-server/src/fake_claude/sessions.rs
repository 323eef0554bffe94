//! Sessions on disk, where the CLI keeps its own: `$HOME/.claude/projects/<folder>/<id>.jsonl`.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;

use serde_json::{Value, json};
use uuid::Uuid;

use super::flags::Flags;

/// Most lines of a session that are read again.
const HISTORY_LINES_MAX: usize = 100_000;

/// The sessions of one working directory.
pub struct Sessions {
    folder: Option<PathBuf>,
}

/// Why a session cannot be used, in the CLI's own words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such session, or it belongs to another working directory.
    NotFound(String),
    /// The id of a new session is taken.
    InUse(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound(id) => write!(f, "No conversation found with session ID: {id}"),
            Self::InUse(id) => write!(f, "Error: Session ID {id} is already in use."),
        }
    }
}

impl Sessions {
    /// The sessions of the working directory; nothing is kept without a HOME.
    pub fn of_this_folder() -> Self {
        // The real CLI finds its sessions by these two as well.
        let home = std::env::var_os("HOME").filter(|home| !home.is_empty());
        let here = std::env::current_dir().ok();
        let folder = home.zip(here).map(|(home, here)| {
            let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
            let here: String = here.to_string_lossy().chars().map(plain).collect();
            PathBuf::from(home).join(".claude/projects").join(here)
        });
        Self { folder }
    }

    fn path(&self, id: &str) -> Option<PathBuf> {
        // An id from outside must not lead to another folder.
        let id = Uuid::try_parse(id).ok()?;
        self.folder.as_ref().map(|folder| folder.join(format!("{id}.jsonl")))
    }

    /// Opens the session that the flags ask for.
    pub fn open(&self, flags: &Flags) -> Result<Session, Refusal> {
        let Some(earlier) = &flags.resume else {
            let id = flags.session_id.clone().unwrap_or_else(|| Uuid::new_v4().to_string());
            return self.create(id, Vec::new());
        };
        let not_found = || Refusal::NotFound(earlier.clone());
        let path = self.path(earlier).ok_or_else(not_found)?;
        let history = read(&path).ok_or_else(not_found)?;
        if flags.is_fork {
            let id = flags.session_id.clone().unwrap_or_else(|| Uuid::new_v4().to_string());
            return self.create(id, history);
        }
        let file = OpenOptions::new().append(true).open(path).ok();
        Ok(Session { id: earlier.clone(), file, history })
    }

    fn create(&self, id: String, history: Vec<Value>) -> Result<Session, Refusal> {
        let Some(path) = self.path(&id) else { return Ok(Session::unsaved(id)) };
        if path.exists() {
            return Err(Refusal::InUse(id));
        }
        if let Some(folder) = &self.folder {
            // A HOME that cannot be written costs the session, not the run.
            let _ = fs::create_dir_all(folder);
        }
        let file = OpenOptions::new().append(true).create_new(true).open(path).ok();
        let mut session = Session { id, file, history: Vec::new() };
        for line in &history {
            session.write(line);
        }
        session.history = history;
        Ok(session)
    }
}

fn read(path: &PathBuf) -> Option<Vec<Value>> {
    let lines = BufReader::new(File::open(path).ok()?).lines().take(HISTORY_LINES_MAX);
    let lines = lines.map_while(Result::ok).filter_map(|line| serde_json::from_str(&line).ok());
    Some(lines.collect())
}

/// One session.
pub struct Session {
    /// Its id.
    pub id: String,
    file: Option<File>,
    history: Vec<Value>,
}

impl Session {
    /// A session that leaves nothing behind.
    pub fn unsaved(id: String) -> Self {
        Self { id, file: None, history: Vec::new() }
    }

    /// What was asked in it before, oldest first.
    pub fn earlier_prompts(&self) -> Vec<&str> {
        let prompts = self.history.iter().filter(|line| line["type"] == "user");
        prompts.filter_map(|line| line["message"]["content"].as_str()).collect()
    }

    /// Keeps a prompt.
    pub fn remember_prompt(&mut self, prompt: &str) {
        self.remember("user", &json!({"role": "user", "content": prompt}));
    }

    /// Keeps a message; a run that is killed leaves all messages so far.
    pub fn remember(&mut self, kind: &str, message: &Value) {
        let uuid = Uuid::new_v4();
        self.write(&json!({"type": kind, "message": message, "sessionId": self.id, "uuid": uuid}));
    }

    fn write(&mut self, line: &Value) {
        if let Some(file) = &mut self.file {
            // One write, so that a run that is killed leaves whole lines. A full disk costs the
            // session, not the run.
            let _ = file.write_all(format!("{line}\n").as_bytes());
        }
    }
}
