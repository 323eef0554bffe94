//! Watches one run: reads, stops, sweeps and records.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe::{Receiver, Sender};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use trinity_agent_protocol::{
    ExecutionState, ExecutionStatus, Exit, LineStream, Masks, Stop, StopPhase, StopReason,
};

use super::child::{self, Spawned};
use super::lines::Splitter;
use super::memory::Kills;
use super::store::Store;
use super::sweep::{reap_orphans, sweep};
use super::{Report, Spec, StopOrder};
use crate::clock;

/// How many bytes are read at once.
const CHUNK_BYTES: usize = 64 * 1024;

/// How long to wait for the end of the pipes once every process is gone.
///
/// Only a process outside the tree that was handed the pipe can hold it open then.
const PIPES_END_MS_MAX: u64 = 2_000;

/// How often a disk that takes nothing is tried again.
const DISK_RETRY_MS: u64 = 200;

/// How long a disk that takes nothing is waited for once the run has ended.
///
/// A slot outlives the timeout of its run by 300 s; the end must be told well before.
const DISK_WAIT_MS_MAX: u64 = 60_000;

/// Signals whose inherited disposition must not reach the run.
///
/// A shell starts background jobs with SIGINT ignored, and an ignored signal stays ignored over
/// `exec`. A handler does not: so each gets one, and the run starts with the default action.
///
/// SIGXFSZ is here for the runner itself: a limit on file sizes is then an error like a full disk.
const SIGNALS_RESET: [SignalKind; 8] = [
    SignalKind::interrupt(),
    SignalKind::terminate(),
    SignalKind::hangup(),
    SignalKind::quit(),
    SignalKind::user_defined1(),
    SignalKind::user_defined2(),
    SignalKind::alarm(),
    SignalKind::from_raw(Signal::SIGXFSZ as i32),
];

/// Runs the execution to its end. Fails only when the end could not be recorded.
pub(super) async fn run(
    spec: Spec,
    orders: mpsc::Receiver<StopOrder>,
    report: watch::Sender<Report>,
) -> anyhow::Result<()> {
    let _lock = spec.folder.lock()?;
    for kind in SIGNALS_RESET {
        drop(signal(kind)?);
    }
    let output = spec.folder.create_output()?;
    let started_at = clock::now();
    let started = clock::since_boot();
    let kills = Kills::now();
    let spawned = match child::spawn(&spec).await {
        Ok(spawned) => spawned,
        Err(failed) => {
            remove_files(&spec);
            report.send_modify(|report| report.failed = Some(failed));
            return Ok(());
        }
    };
    let Spawned { child, stdin, stdout, stderr } = spawned;
    let masks = Masks::new(spec.request.masked.iter().map(String::as_str));
    let pid = i32::try_from(child.id())?;
    report.send_modify(|report| {
        report.pid = Some(pid);
        report.started_at = Some(started_at);
    });
    let prompt = tokio::spawn(feed(stdin, spec.request.stdin.clone()));
    let mut watch = Watch {
        pid,
        child,
        ended: None,
        started,
        kills,
        pipes: [Pipe::new(stdout, LineStream::Stdout), Pipe::new(stderr, LineStream::Stderr)],
        store: Store::new(output, masks),
        given_up: None,
        stop: None,
        kill_at: None,
        spec,
        report,
    };
    watch.until_end(orders).await?;
    let result = watch.finish().await;
    prompt.abort();
    result
}

/// Writes the prompt and closes the pipe. A process that does not read it all may do so.
async fn feed(mut stdin: Sender, prompt: String) {
    let _ = stdin.write_all(prompt.as_bytes()).await;
}

fn remove_files(spec: &Spec) {
    match std::fs::remove_dir_all(spec.files_folder()) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::error!(%error, "cannot remove the files of a run");
        }
        _ => {}
    }
}

/// One run that is being watched.
struct Watch {
    spec: Spec,
    pid: i32,
    child: Child,
    /// How the main process ended, and the time since boot at which that was seen.
    ended: Option<(ExitStatus, Duration)>,
    started: Duration,
    kills: Kills,
    pipes: [Pipe; 2],
    store: Store,
    /// Why lines were given up that could not be stored, if some were.
    given_up: Option<String>,
    stop: Option<Stop>,
    /// When the grace of a stop is over.
    kill_at: Option<Instant>,
    report: watch::Sender<Report>,
}

impl Watch {
    /// Returns when the main process has ended or must be killed.
    async fn until_end(&mut self, mut orders: mpsc::Receiver<StopOrder>) -> anyhow::Result<()> {
        let mut children = signal(SignalKind::child())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let timeout_ms = self.spec.request.timeout_ms;
        let timeout =
            clock::sleep_until_since_boot(self.started + Duration::from_millis(timeout_ms));
        tokio::pin!(timeout);
        let (mut has_lifeline, mut has_timeout) = (true, true);
        // The main process may have ended before the signal was listened for.
        self.reap()?;
        while self.ended.is_none() && !self.must_kill() {
            let kill_at = self.kill_at;
            let stalled = self.store.is_stalled();
            let [out, err] = &mut self.pipes;
            tokio::select! {
                chunk = out.read(), if !stalled => self.store_chunk(0, &chunk),
                chunk = err.read(), if !stalled => self.store_chunk(1, &chunk),
                () = sleep(Duration::from_millis(DISK_RETRY_MS)), if stalled => self.flush(),
                _ = children.recv() => self.reap()?,
                order = orders.recv(), if has_lifeline => {
                    has_lifeline = order.is_some();
                    self.order(order.unwrap_or_else(|| stop_for(StopReason::AgentServerLost)));
                }
                _ = terminate.recv() => self.order(stop_for(StopReason::AgentStopped)),
                _ = interrupt.recv() => self.order(stop_for(StopReason::AgentStopped)),
                () = &mut timeout, if has_timeout => {
                    has_timeout = false;
                    self.order(stop_for(StopReason::Timeout));
                }
                () = until(kill_at) => self.begin_killing(),
            }
        }
        Ok(())
    }

    fn must_kill(&self) -> bool {
        self.stop.as_ref().is_some_and(|stop| stop.phase == StopPhase::Killing)
    }

    fn reap(&mut self) -> io::Result<()> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait()?.map(|status| (status, clock::since_boot()));
        }
        if self.ended.is_none() {
            reap_orphans(&self.child);
        }
        Ok(())
    }

    /// Begins a stop, or hurries one up. The first reason stays.
    fn order(&mut self, order: StopOrder) {
        let grace_ms = order.grace_ms.unwrap_or(self.spec.request.grace_ms);
        let kill_at = Instant::now() + Duration::from_millis(grace_ms);
        if self.stop.is_none() {
            self.stop = Some(Stop {
                reason: order.reason,
                phase: StopPhase::Requested,
                interrupt_sent_at: None,
                grace_ms: None,
                kill_sent_at: None,
            });
        }
        if order.force {
            self.begin_killing();
        } else {
            self.kill_at = Some(self.kill_at.map_or(kill_at, |earlier| earlier.min(kill_at)));
            self.interrupt(grace_ms);
        }
        self.tell();
    }

    /// Sends SIGINT to the main process group, once: a CLI then ends its tools and its result line.
    fn interrupt(&mut self, grace_ms: u64) {
        let Some(stop) = self.stop.as_mut().filter(|stop| stop.phase == StopPhase::Requested)
        else {
            return;
        };
        if let Err(errno) = killpg(Pid::from_raw(self.pid), Signal::SIGINT) {
            tracing::warn!(%errno, "cannot interrupt a run");
        }
        stop.phase = StopPhase::Interrupting;
        stop.interrupt_sent_at = Some(clock::now());
        stop.grace_ms = Some(grace_ms);
    }

    fn begin_killing(&mut self) {
        if let Some(stop) = &mut self.stop {
            stop.phase = StopPhase::Killing;
            stop.kill_sent_at = Some(clock::now());
        }
        self.tell();
    }

    fn store_chunk(&mut self, pipe: usize, chunk: &io::Result<Vec<u8>>) {
        let pipe = &mut self.pipes[pipe];
        let lines = match chunk {
            Ok(bytes) if !bytes.is_empty() => pipe.splitter.feed(bytes),
            _ => pipe.end(),
        };
        self.store.push(clock::now(), pipe.stream, lines);
        self.flush();
    }

    fn flush(&mut self) {
        let problem = self.store.flush().err().map(|error| format!("cannot store output: {error}"));
        let stored = self.store.stored();
        self.report.send_if_modified(|report| {
            let changed = report.bytes != stored.bytes || report.problem != problem;
            report.last_seq = stored.seq;
            report.bytes = stored.bytes;
            report.problem = problem;
            changed
        });
    }

    fn tell(&self) {
        self.report.send_modify(|report| report.stop.clone_from(&self.stop));
    }

    /// Sweeps what is left, stores the rest of the output and records the end.
    async fn finish(mut self) -> anyhow::Result<()> {
        let ended = self.ended.map(|(status, _)| status);
        let swept = sweep(&mut self.child, ended).await?;
        let main_ended = self.ended.map_or_else(clock::since_boot, |(_, at)| at);
        remove_files(&self.spec);
        let disk_until = Instant::now() + Duration::from_millis(DISK_WAIT_MS_MAX);
        self.drain(disk_until).await;
        let exit = Exit {
            code: swept.main.code(),
            signal: swept.main.signal(),
            ended_at: clock::now(),
            duration_ms: millis(main_ended.saturating_sub(self.started)),
            stop_reason: self.stop.as_ref().map(|stop| stop.reason),
            lost: false,
            out_of_memory: self.stop.is_none() && self.kills.explain(swept.main.signal()),
            last_seq: self.store.stored().seq,
            swept: swept.count,
            dropped_lines: self.store.dropped_lines(),
            stderr_tail: self.store.stderr_tail(),
        };
        self.record(exit, disk_until).await
    }

    /// Reads until both pipes have ended, which they do once every process is gone.
    async fn drain(&mut self, disk_until: Instant) {
        let mut left = Duration::from_millis(PIPES_END_MS_MAX);
        while self.pipes.iter().any(|pipe| pipe.receiver.is_some()) {
            self.wait_for_disk(disk_until).await;
            let [out, err] = &mut self.pipes;
            let before = Instant::now();
            let read = timeout(left, async {
                tokio::select! {
                    chunk = out.read() => (0, chunk),
                    chunk = err.read() => (1, chunk),
                }
            });
            let Ok((pipe, chunk)) = read.await else { break };
            left = left.saturating_sub(before.elapsed());
            self.store_chunk(pipe, &chunk);
        }
        for pipe in 0..self.pipes.len() {
            self.store_chunk(pipe, &Ok(Vec::new()));
        }
        self.store.finish();
        self.flush();
        self.wait_for_disk(disk_until).await;
    }

    /// Waits for a disk that takes nothing; in the end gives up what is not stored.
    async fn wait_for_disk(&mut self, until: Instant) {
        while self.store.is_stalled() {
            if Instant::now() >= until {
                if self.given_up.is_none() {
                    self.given_up.clone_from(&self.report.borrow().problem);
                    let problem = &self.given_up;
                    tracing::error!(id = self.spec.id, problem, "gives up lines of a run's output");
                }
                self.store.give_up();
                return;
            }
            sleep(Duration::from_millis(DISK_RETRY_MS)).await;
            self.flush();
        }
    }

    /// Writes `exit.json`, after the output is durable, and reports the same.
    async fn record(&mut self, exit: Exit, disk_until: Instant) -> anyhow::Result<()> {
        let said = self.report.borrow().clone();
        let status = ExecutionStatus {
            id: self.spec.id.clone(),
            epoch: self.spec.request.epoch,
            state: ExecutionState::Exited,
            pid: said.pid,
            started_at: said.started_at,
            last_seq: exit.last_seq,
            stop: self.stop.clone(),
            exit: Some(exit),
            problem: self.given_up.take(),
        };
        let written = loop {
            let written = self.store.sync().and_then(|()| self.spec.folder.write_exit(&status));
            // A folder that is gone does not come back.
            let is_final = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
            if written.as_ref().err().is_none_or(is_final) || Instant::now() >= disk_until {
                break written;
            }
            sleep(Duration::from_millis(DISK_RETRY_MS)).await;
        };
        // The agent server keeps it in memory and goes on trying to write it.
        self.report.send_modify(|report| report.ended = Some(status));
        Ok(written?)
    }
}

/// One of the two streams of the main process.
struct Pipe {
    stream: LineStream,
    receiver: Option<Receiver>,
    splitter: Splitter,
}

impl Pipe {
    fn new(receiver: Receiver, stream: LineStream) -> Self {
        Self { stream, receiver: Some(receiver), splitter: Splitter::default() }
    }

    /// Reads the next bytes; none at the end; waits for ever once that was said.
    async fn read(&mut self) -> io::Result<Vec<u8>> {
        let Some(receiver) = &mut self.receiver else { return std::future::pending().await };
        let mut chunk = Vec::with_capacity(CHUNK_BYTES);
        receiver.read_buf(&mut chunk).await?;
        Ok(chunk)
    }

    fn end(&mut self) -> Vec<super::lines::Line> {
        self.receiver = None;
        self.splitter.finish().into_iter().collect()
    }
}

fn stop_for(reason: StopReason) -> StopOrder {
    StopOrder { reason, force: false, grace_ms: None }
}

async fn until(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
