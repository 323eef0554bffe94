//! Starts runners, follows them, and settles what they leave.

use std::collections::HashSet;
use std::io::{self, ErrorKind};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use trinity_agent_protocol::{ErrorBody, ExecutionState, ExecutionStatus, Exit};

use crate::executions::{Execution, Executions, blocking, starting};
use crate::processes::{self, Process, descendants, execution_of, kill_now};
use crate::runner::{Report, Spec, StopOrder, not_spawned};
use crate::{SELF_EXE, clock};

/// How often a runner of an earlier life of the agent server is looked at.
const RUNNER_POLL_MS: u64 = 50;

/// How long the last report of a runner that has ended may take.
const LAST_REPORT_MS_MAX: u64 = 1_000;

/// The pause between two rounds of a sweep.
const SWEEP_PAUSE_MS: u64 = 20;

/// How often an end that could not be written is tried again.
const WRITE_RETRY_MS: u64 = 5_000;

/// The runners that live.
#[derive(Debug, Default)]
pub(crate) struct Runners {
    pids: Mutex<HashSet<i32>>,
}

impl Runners {
    /// Starts a runner. A sweep cannot run between its birth and its entry in the list.
    fn spawn(&self) -> io::Result<(Child, i32)> {
        let mut pids = self.pids.lock().unwrap_or_else(PoisonError::into_inner);
        let child = Command::new(SELF_EXE)
            .arg("runner")
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // A signal for the group of the agent server is not meant for it.
            .process_group(0)
            .spawn()?;
        let pid = child.id().and_then(|id| i32::try_from(id).ok()).unwrap_or_default();
        pids.insert(pid);
        Ok((child, pid))
    }

    fn remove(&self, pid: i32) {
        self.pids.lock().unwrap_or_else(PoisonError::into_inner).remove(&pid);
    }

    /// Kills once what belongs to `id` or to no living runner; gives what was there.
    ///
    /// The agent server is a subreaper, so the orphans of a dead runner are its own children.
    fn sweep_once(&self, id: &str) -> Vec<Process> {
        let pids = self.pids.lock().unwrap_or_else(PoisonError::into_inner);
        let own = i32::try_from(std::process::id()).unwrap_or(i32::MAX);
        let table = processes::all();
        let mut found = descendants(&table, own, &pids);
        let below: HashSet<i32> = found.iter().map(|process| process.pid).collect();
        let named = |process: &&Process| {
            let is_ours = process.pid == own || pids.contains(&process.pid);
            !is_ours && !below.contains(&process.pid) && !process.is_zombie()
        };
        let stray: Vec<_> = table.iter().filter(named).copied().collect();
        found.extend(stray.iter().filter(|p| execution_of(p.pid).as_deref() == Some(id)));
        for process in &found {
            if !process.is_zombie() {
                kill_now(process.pid);
            } else if process.parent == own {
                // Reaped whatever it says; how an orphan ended is nobody's question.
                let _ = waitpid(Pid::from_raw(process.pid), Some(WaitPidFlag::WNOHANG));
            }
        }
        found
    }
}

/// Runs one accepted execution: starts its runner and follows it to its end.
pub(crate) async fn run(
    executions: &Arc<Executions>,
    execution: &Arc<Execution>,
    spec: &Spec,
    orders: mpsc::Receiver<StopOrder>,
) {
    let (mut child, pid) = match executions.runners.spawn() {
        Ok(spawned) => spawned,
        Err(error) => return give_back(executions, execution, not_spawned(&error)).await,
    };
    let last = follow(execution, spec, &mut child, orders).await;
    if let Err(error) = child.wait().await {
        tracing::error!(id = execution.id, %error, "cannot wait for a runner");
    }
    executions.runners.remove(pid);
    match last.failed {
        Some(failed) => give_back(executions, execution, failed).await,
        None => settle(executions, execution, last.ended).await,
    }
}

/// Tells the runner what to do and takes in its reports; returns the last one.
async fn follow(
    execution: &Execution,
    spec: &Spec,
    child: &mut Child,
    mut orders: mpsc::Receiver<StopOrder>,
) -> Report {
    let mut last = Report::default();
    let (Some(mut stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
        return last;
    };
    // A runner that cannot be told anything ends, and its silence is settled like a death.
    if let Err(error) = tell(&mut stdin, spec).await {
        tracing::error!(id = execution.id, %error, "cannot talk to a runner");
        return last;
    }
    let mut lines = BufReader::new(stdout).lines();
    loop {
        tokio::select! {
            biased;
            report = next_report(&mut lines) => match report {
                Some(report) => {
                    show(execution, &report);
                    last = report;
                }
                None => return last,
            },
            // What the runner said last is in the pipe already. Its end is not waited for: should a
            // process of the run ever hold the pipe, it must not outlive the runner by that.
            _ = child.wait() => {
                let limit = Duration::from_millis(LAST_REPORT_MS_MAX);
                while let Ok(Some(report)) = timeout(limit, next_report(&mut lines)).await {
                    last = report;
                }
                return last;
            }
            Some(order) = orders.recv() => {
                if let Err(error) = tell(&mut stdin, &order).await {
                    tracing::warn!(id = execution.id, %error, "cannot pass an order on");
                }
            }
        }
    }
}

async fn tell(stdin: &mut ChildStdin, value: &impl serde::Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    stdin.write_all(&line).await
}

async fn next_report(lines: &mut Lines<BufReader<ChildStdout>>) -> Option<Report> {
    let line = lines.next_line().await.ok()??;
    serde_json::from_str(&line).ok()
}

/// Shows a report to whoever asks. An end is shown only once it is settled.
fn show(execution: &Execution, report: &Report) {
    if report.failed.is_some() || report.ended.is_some() {
        return;
    }
    execution.update(|live| {
        live.bytes = report.bytes;
        live.status.last_seq = report.last_seq;
        live.status.pid = report.pid;
        live.status.started_at = report.started_at;
        live.status.stop.clone_from(&report.stop);
        live.status.problem.clone_from(&report.problem);
        if report.pid.is_some() {
            live.status.state = ExecutionState::Running;
        }
    });
}

/// Nothing ran: takes the execution back, so that a later start may succeed.
async fn give_back(executions: &Executions, execution: &Execution, failed: ErrorBody) {
    let (state, id) = (executions.state.clone(), execution.id.clone());
    if let Err(error) = blocking(move || state.remove(&id)).await {
        tracing::error!(id = execution.id, %error, "cannot remove the folder of a failed start");
    }
    executions.forget_failed(execution, failed);
}

/// Waits for a runner of an earlier life of the agent server, which is about to end, then settles.
pub(crate) async fn settle_left_over(executions: Arc<Executions>, execution: Arc<Execution>) {
    loop {
        match execution.folder.lock() {
            Ok(_) => break,
            Err(error) if error.kind() == ErrorKind::NotFound => break,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                sleep(Duration::from_millis(RUNNER_POLL_MS)).await;
            }
            // Whether the runner lives is not known, so its run must not be settled yet.
            Err(error) => {
                tracing::error!(id = execution.id, %error, "cannot lock the folder of a run");
                sleep(Duration::from_millis(WRITE_RETRY_MS)).await;
            }
        }
    }
    settle(&executions, &execution, None).await;
}

/// Publishes the end of an execution whose runner is gone.
async fn settle(
    executions: &Arc<Executions>,
    execution: &Arc<Execution>,
    told: Option<ExecutionStatus>,
) {
    let folder = execution.folder.clone();
    let written = blocking(move || folder.exit()).await.unwrap_or_else(|error| {
        tracing::error!(id = execution.id, %error, "cannot read how a run ended");
        None
    });
    let (status, is_written) = match (written, told) {
        (Some(written), _) => (written, true),
        (None, Some(told)) => (told, false),
        (None, None) => (lose(executions, execution).await, false),
    };
    if !is_written {
        write(executions, execution, status.clone()).await;
    }
    publish(execution, status);
}

/// Sweeps what a dead runner left and makes up the record of a run whose end nobody saw.
async fn lose(executions: &Executions, execution: &Execution) -> ExecutionStatus {
    let mut swept = HashSet::new();
    loop {
        let found = executions.runners.sweep_once(&execution.id);
        swept.extend(found.iter().map(|process| (process.pid, process.started_ticks)));
        if found.is_empty() {
            break;
        }
        sleep(Duration::from_millis(SWEEP_PAUSE_MS)).await;
    }
    remove_files(executions, &execution.id);
    let folder = execution.folder.clone();
    let repaired = blocking(move || folder.repair_output()).await;
    let (last_seq, _) = repaired.unwrap_or_else(|error| {
        tracing::error!(id = execution.id, %error, "cannot repair the output of a lost run");
        (0, 0)
    });
    let known = execution.status();
    let exit = Exit {
        code: None,
        signal: None,
        ended_at: clock::now(),
        duration_ms: 0,
        stop_reason: known.stop.as_ref().map(|stop| stop.reason),
        lost: true,
        out_of_memory: false,
        last_seq,
        swept: swept.len() as u64,
        dropped_lines: 0,
        stderr_tail: String::new(),
    };
    ExecutionStatus {
        state: ExecutionState::Lost,
        last_seq,
        exit: Some(exit),
        problem: None,
        pid: known.pid,
        started_at: known.started_at,
        stop: known.stop,
        ..starting(&execution.id, execution.epoch)
    }
}

/// Writes `exit.json`; while the disk takes nothing the end is known in memory alone.
async fn write(executions: &Arc<Executions>, execution: &Arc<Execution>, status: ExecutionStatus) {
    let folder = execution.folder.clone();
    let attempt = move || folder.write_exit(&status);
    let Err(error) = blocking(attempt.clone()).await else { return };
    tracing::error!(id = execution.id, %error, "cannot write how a run ended; trying again");
    let (executions, execution) = (Arc::clone(executions), Arc::clone(execution));
    tokio::spawn(async move {
        loop {
            sleep(Duration::from_millis(WRITE_RETRY_MS)).await;
            // Deleted meanwhile: the folder is gone, or belongs to a later epoch.
            let here = executions.find(&execution.id);
            let is_here = here.is_some_and(|here| Arc::ptr_eq(&here, &execution));
            if !is_here || blocking(attempt.clone()).await.is_ok() {
                return;
            }
        }
    });
}

fn publish(execution: &Execution, status: ExecutionStatus) {
    let bytes = std::fs::metadata(execution.folder.output_path()).map_or(0, |file| file.len());
    execution.update(|live| {
        live.bytes = bytes;
        live.status = status;
    });
}

/// Removes the files of a run whose runner did not live to do it.
pub(crate) fn remove_files(executions: &Executions, id: &str) {
    match std::fs::remove_dir_all(executions.places.files.join(id)) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            tracing::error!(id, %error, "cannot remove the files of a run");
        }
        _ => {}
    }
}
