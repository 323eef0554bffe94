//! Short programs that the platform runs in an agent's workspace: started, waited for, forgotten.
//!
//! An errand runs like any run of the agent, under its supervisor and held by the same confinement,
//! but is no execution of the log. What a server leaves behind that dies in between is ended and
//! forgotten by whoever looks after the agent next, who knows errands by their names.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures::TryStreamExt as _;
use trinity_agent_protocol::{Exit, GRACE_MS_DEFAULT, Info, LineStream, StartRequest};
use uuid::Uuid;

use super::link::{Error, Lines, Link};

/// Begins the names of these runs.
pub const ERRAND_RUN_PREFIX: &str = "errand-";
/// How many of the first bytes of standard output are kept.
const OUTPUT_BYTES_MAX: usize = 256 * 1024;
/// How many of the last bytes of standard error are kept.
const WORDS_BYTES_MAX: usize = 2 * 1024;
/// How much longer than its timeout and the grace a run may be kept.
const DEADLINE_MARGIN: Duration = Duration::from_secs(30);

/// What is to be run; `Debug` shows no secret.
#[derive(Clone)]
pub struct Errand {
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// What it finds in its environment beside [`surroundings`].
    pub env: BTreeMap<String, String>,
    /// What is taken out of its output.
    pub masked: Vec<String>,
    /// How long it may take.
    pub timeout: Duration,
    /// The only folders of the workspace that it may change beside HOME; all of it when nothing is said.
    pub writable_folders: Option<Vec<String>>,
}

impl fmt::Debug for Errand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Errand")
            .field("argv", &self.argv)
            .field("env", &self.env.keys())
            .field("masked", &self.masked.len())
            .field("timeout", &self.timeout)
            .field("writable_folders", &self.writable_folders)
            .finish()
    }
}

/// What came of it.
#[derive(Debug)]
pub struct Done {
    /// How it ended.
    pub exit: Exit,
    /// What it wrote to standard output, the first of it.
    pub output: String,
    /// What it wrote to standard error, the last of it.
    pub words: String,
}

/// The errand of one agent that is under way: there is one at a time.
#[derive(Debug, Clone, Default)]
pub struct Current(Arc<Mutex<Option<String>>>);

/// Makes way for the next errand when it is dropped.
#[derive(Debug)]
pub struct Turn(Current);

impl Current {
    /// Whether somebody of this server waits for this run.
    pub fn is(&self, id: &str) -> bool {
        self.id().as_deref() == Some(id)
    }

    fn begin(&self, id: &str) -> Option<Turn> {
        let mut current = self.id();
        if current.is_some() {
            return None;
        }
        *current = Some(id.to_owned());
        Some(Turn(self.clone()))
    }

    fn id(&self) -> MutexGuard<'_, Option<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        *self.0.id() = None;
    }
}

/// The environment of every program in an agent's workspace; `path` holds where it says none itself.
pub fn surroundings(info: &Info, path: &str) -> BTreeMap<String, String> {
    let path = info.path.as_deref().unwrap_or(path);
    let tmp = info.tmp.as_deref().map(|folder| ("TMPDIR", folder));
    let named = [("PATH", path), ("HOME", info.home.as_str()), ("LANG", "C.UTF-8")];
    let named = named.into_iter().chain(tmp);
    named.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// Runs a program to its end; `None` while another errand of this agent is under way.
///
/// # Errors
/// When it cannot be started, or its agent server does not say how it ended.
pub async fn run(
    link: &Link,
    info: &Info,
    path: &str,
    errand: Errand,
    now: DateTime<Utc>,
) -> Result<Option<Done>, Error> {
    let id = format!("{ERRAND_RUN_PREFIX}{}", Uuid::new_v4());
    let Some(_turn) = link.errand().begin(&id) else { return Ok(None) };
    let Errand { argv, env, masked, timeout, writable_folders } = errand;
    let wait = timeout + Duration::from_millis(GRACE_MS_DEFAULT) + DEADLINE_MARGIN;
    let wait = TimeDelta::from_std(wait).unwrap_or(TimeDelta::MAX);
    let mut all = surroundings(info, path);
    all.extend(env);
    let request = StartRequest {
        epoch: 1,
        argv,
        env: all,
        stdin: String::new(),
        files: Vec::new(),
        masked,
        cwd: None,
        timeout_ms: u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX),
        grace_ms: GRACE_MS_DEFAULT,
        deadline: now.checked_add_signed(wait).unwrap_or(now),
        uid: None,
        gid: None,
        allow_new_privileges: false,
        writable_folders,
    };
    link.start(&id, &request).await?;
    let (output, words) = read(link, &id).await?;
    let exit = link.status(&id).await?.and_then(|status| status.exit);
    let exit = exit.ok_or_else(|| Error::Protocol("it has no trace of what it ran".to_owned()))?;
    link.delete(&id).await?;
    Ok(Some(Done { exit, output, words }))
}

/// Follows both outputs to their end.
async fn read(link: &Link, id: &str) -> Result<(String, String), Error> {
    let lines = link.output(id, 0, Lines::Follow).await?;
    let said = (String::new(), String::new());
    let fold = lines.try_fold(said, async |(mut output, mut words), line| {
        match line.stream {
            LineStream::Stdout => {
                let left = OUTPUT_BYTES_MAX.saturating_sub(output.len());
                output.push_str(&line.line[..line.line.floor_char_boundary(left)]);
                if !line.partial && output.len() < OUTPUT_BYTES_MAX {
                    output.push('\n');
                }
            }
            LineStream::Stderr => {
                words.push_str(&line.line);
                words.push('\n');
                let spare = words.len().saturating_sub(WORDS_BYTES_MAX);
                words.drain(..words.ceil_char_boundary(spare));
            }
        }
        Ok((output, words))
    });
    fold.await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_one_errand_at_a_time() {
        let current = Current::default();
        let turn = current.begin("errand-1").unwrap();
        assert!(current.is("errand-1") && !current.is("errand-2"));
        assert!(current.begin("errand-2").is_none());
        drop(turn);
        assert!(!current.is("errand-1"));
        assert!(current.begin("errand-2").is_some());
    }

    #[test]
    fn debug_shows_no_secret() {
        let errand = Errand {
            argv: vec!["sh".into()],
            env: [("GIT_TOKEN".to_owned(), "sk-secret".to_owned())].into(),
            masked: vec!["sk-secret".into()],
            timeout: Duration::from_secs(1),
            writable_folders: None,
        };
        let text = format!("{errand:?}");
        assert!(text.contains("GIT_TOKEN") && !text.contains("sk-secret"), "{text}");
    }
}
