//! The process that owns one execution.
//!
//! It is told what to run on its standard input and reports on its standard output. Its standard
//! input is also its lifeline: when it ends, the agent server is dead, and the run is stopped.

mod child;
mod lines;
mod memory;
mod store;
mod sweep;
mod watch;

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use chrono::{DateTime, Utc};
use nix::sys::prctl::set_child_subreaper;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::pipe::{Receiver, Sender};
use tokio::sync::{mpsc, watch as latest};
use trinity_agent_protocol::{ErrorBody, ExecutionStatus, StartRequest, Stop, StopReason};

use crate::isolation::{Confinement, Reach};
use crate::state::ExecutionFolder;

pub(crate) use child::not_spawned;

/// How long the last report may take; `exit.json` holds the truth anyway.
const REPORT_MS_MAX: u64 = 2_000;

/// What a runner is told first. It is never written anywhere.
#[derive(Serialize, Deserialize)]
pub(crate) struct Spec {
    pub id: String,
    pub folder: ExecutionFolder,
    /// Where the folder with the run's files is made.
    pub files: PathBuf,
    pub workspace: String,
    /// What the agent's runs are held by, whatever the request says.
    pub confinement: Confinement,
    pub request: StartRequest,
}

impl Spec {
    pub(crate) fn files_folder(&self) -> PathBuf {
        self.files.join(&self.id)
    }

    /// What the run reaches, if Landlock says so.
    fn reach(&self) -> Option<Reach> {
        let held = self.confinement.reach.clone();
        let Some(folders) = &self.request.writable_folders else { return held };
        let all = || Reach::of_everything(self.request.env.get("TMPDIR"));
        Some(held.unwrap_or_else(all).within(Path::new(&self.workspace), folders))
    }

    /// The user of the run; the runner's own when absent.
    fn uid(&self) -> Option<u32> {
        self.request.uid.or(self.confinement.uid)
    }

    /// The group of the run; an agent's user and group have the same number.
    fn gid(&self) -> Option<u32> {
        self.request.gid.or(self.confinement.uid)
    }
}

/// What a runner is told later.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct StopOrder {
    pub reason: StopReason,
    pub force: bool,
    /// Shortens the grace of the request.
    pub grace_ms: Option<u64>,
}

/// What a runner says, each time as a whole: only the newest report counts.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Report {
    /// The process could not be started; nothing ran and nothing else will be said.
    pub failed: Option<ErrorBody>,
    pub pid: Option<i32>,
    pub started_at: Option<DateTime<Utc>>,
    pub last_seq: u64,
    /// The bytes of the stored output, in whole lines.
    pub bytes: u64,
    pub stop: Option<Stop>,
    pub problem: Option<String>,
    /// How it ended; also in `exit.json`, unless that could not be written.
    pub ended: Option<ExecutionStatus>,
}

/// Runs one execution and returns when nothing of it is left.
pub(crate) fn main() -> anyhow::Result<()> {
    crate::serve::log_to_stderr();
    // Before any thread or child exists: every orphan below comes back to this process.
    set_child_subreaper(true).context("cannot become a subreaper")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (spec, orders) = listen().await?;
        let (report, said) = latest::channel(Report::default());
        let reporter = tokio::spawn(speak(said)?);
        let result = watch::run(spec, orders, report).await;
        let _ = tokio::time::timeout(Duration::from_millis(REPORT_MS_MAX), reporter).await;
        result
    })
}

/// Reads the spec, then passes orders on. The channel ends with the agent server.
async fn listen() -> anyhow::Result<(Spec, mpsc::Receiver<StopOrder>)> {
    let stdin = own_copy(std::io::stdin()).context("standard input is closed")?;
    let mut lines = BufReader::new(Receiver::from_owned_fd(stdin)?).lines();
    let first = lines.next_line().await?.context("told nothing")?;
    let spec = serde_json::from_str(&first).context("the first line is no spec")?;
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        while let Ok(Some(line)) = lines.next_line().await {
            match serde_json::from_str(&line) {
                Ok(order) if sender.send(order).await.is_ok() => {}
                Ok(_) => return,
                Err(error) => tracing::error!(%error, "cannot read an order"),
            }
        }
    });
    Ok((spec, receiver))
}

/// Writes the newest report whenever there is one. Never waited for: the reader may be frozen.
fn speak(mut said: latest::Receiver<Report>) -> anyhow::Result<impl Future<Output = ()>> {
    let stdout = own_copy(std::io::stdout()).context("standard output is closed")?;
    let mut pipe = Sender::from_owned_fd(stdout)?;
    Ok(async move {
        while said.changed().await.is_ok() {
            let Ok(mut line) = serde_json::to_vec(&*said.borrow_and_update()) else { continue };
            line.push(b'\n');
            // The agent server is gone: the lifeline says so too, nothing to do here.
            if pipe.write_all(&line).await.is_err() {
                return;
            }
        }
    })
}

/// Copies a descriptor so that the run does not inherit it: it would keep the pipe open.
fn own_copy(stream: impl AsFd) -> std::io::Result<OwnedFd> {
    stream.as_fd().try_clone_to_owned()
}
