//! Follows the output of a run: every line into the transcript, tool calls into the log, and at the
//! end the verdict.
//!
//! Lines are stored before anything is concluded from them, and the end is recorded after the last
//! line is stored. A server that is killed in between reads the stored lines again and goes on
//! after the last one: the log ignores what it knows already.

use std::time::Duration;

use anyhow::Context as _;
use chrono::{DateTime, TimeDelta, Utc};
use futures::StreamExt as _;
use tokio::time::{Instant, MissedTickBehavior};
use trinity_agent_protocol::{Exit, OutputLine, StopReason};

use super::credentials::OutputMasks;
use super::dispatch::stop_request;
use super::run::{Run, Step};
use super::wait::period;
use crate::adapters::{Conclusion, ERROR_BYTES_MAX, Event, Parser, input_preview, truncated};
use crate::commands::Cause;
use crate::commands::runs;
use crate::domain::agent::Agent;
use crate::domain::execution::{
    ErrorClass, Execution, ExecutionCommand, Outcome, ToolCall, Verdict,
};
use crate::hosts::link::Lines;
use crate::telemetry::traces::{self, Side};

/// How many lines are stored at once.
const BATCH_LINES_MAX: usize = 512;
/// How many stored lines are read again at once after a restart.
const REPLAY_LINES_MAX: usize = 1_000;
/// How often the progress of a stop is asked for.
const STOP_POLL: Duration = Duration::from_millis(200);
/// How long a process may live on after it has printed its result.
const RESULT_TO_EXIT_MAX: Duration = Duration::from_secs(10);
/// How much of an answer an event holds, in bytes; the whole is in the transcript store.
const RESPONSE_BYTES_MAX: usize = 64 * 1024;

/// What the lines of one batch say.
#[derive(Default)]
struct News {
    calls: Vec<ToolCall>,
    session: Option<ExecutionCommand>,
    result_seen: bool,
}

/// Follows the output of one run.
pub(super) struct Follower<'a> {
    run: &'a Run,
    parser: Box<dyn Parser>,
    masks: OutputMasks,
    last_seq: u64,
    cause: Cause,
    /// The last request to end the run, once there is one.
    end_asked: Option<Cause>,
    /// When the process must have exited, once it has printed its result.
    exit_by: Option<Instant>,
}

impl<'a> Follower<'a> {
    /// Reads what is stored of the output, so that the parser knows it and nothing is missing.
    pub(super) async fn new(
        run: &'a Run,
        execution: &Execution,
        cause: Cause,
    ) -> anyhow::Result<Self> {
        let context = &run.context;
        let agent = context.log.state::<Agent>(&run.agent).await?.state;
        let life = agent.life.context("the agent is gone")?;
        let parser = context.adapters.get(life.config.runtime).parser();
        let mut masks = OutputMasks::new(run.grant.incarnation.0);
        masks.newest(&context.vault).await?;
        let mut follower =
            Self { run, parser, masks, last_seq: 0, cause, end_asked: None, exit_by: None };
        let id = run.grant.execution_id;
        loop {
            let lines = context.transcripts.after(id, follower.last_seq, REPLAY_LINES_MAX).await?;
            if lines.is_empty() {
                break;
            }
            let news = follower.read(&lines);
            follower.record(news, execution).await?;
        }
        Ok(follower)
    }

    /// Follows until the end is recorded.
    pub(super) async fn follow(mut self) -> anyhow::Result<Step> {
        let run = self.run;
        let id = run.grant.execution_id.to_string();
        let output = run.link.output(&id, self.last_seq, Lines::Follow).await;
        let output = output.context("cannot follow the run")?;
        let mut output = std::pin::pin!(output.ready_chunks(BATCH_LINES_MAX));
        let mut execution = self.execution().await?;
        let mut poll = tokio::time::interval(STOP_POLL);
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut look = tokio::time::interval(period());
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        if execution.cancel.is_some() {
            run.stop(&execution).await?;
            self.end_asked = self.end_request().await?;
        }
        loop {
            let stopping = execution.cancel.is_some();
            tokio::select! {
                batch = output.next() => {
                    let Some(batch) = batch else { break };
                    let lines = batch.into_iter().collect::<Result<Vec<_>, _>>();
                    self.ingest(lines.context("the output broke off")?, &execution).await?;
                }
                () = run.hint.notified() => execution = self.heed(execution).await?,
                // A hint may be lost.
                _ = look.tick() => execution = self.heed(execution).await?,
                _ = poll.tick(), if stopping => self.record_signals(&id).await?,
                () = sleep_until(self.exit_by) => {
                    self.exit_by = None;
                    let request = stop_request(run.grant.epoch, StopReason::Finished, false);
                    run.link.stop(&id, &request).await.context("cannot stop the run")?;
                }
            }
        }
        let status = run.link.status(&id).await.context("cannot ask how the run ended")?;
        let ended = status.and_then(|status| Some((status.exit?, status.problem)));
        match ended {
            Some((exit, problem)) if exit.last_seq <= self.last_seq => {
                self.record_signals(&id).await?;
                self.conclude(&exit, problem).await
            }
            _ => Ok(Step::Again),
        }
    }

    /// Carries out what was asked for since the execution was read.
    async fn heed(&mut self, before: Execution) -> anyhow::Result<Execution> {
        let now = self.execution().await?;
        if now.cancel.is_some() && now.urgency != before.urgency {
            self.run.stop(&now).await?;
            self.end_asked = self.end_request().await?;
        }
        Ok(now)
    }

    async fn end_request(&self) -> anyhow::Result<Option<Cause>> {
        let asked = runs::end_request(&self.run.context.log, self.run.grant.execution_id).await;
        asked.context("cannot read who asked for the end")
    }

    async fn execution(&self) -> anyhow::Result<Execution> {
        let id = self.run.grant.execution_id;
        let execution = self.run.context.log.state::<Execution>(id).await;
        Ok(execution.context("cannot read the execution")?.state)
    }

    async fn ingest(
        &mut self,
        lines: Vec<OutputLine>,
        execution: &Execution,
    ) -> anyhow::Result<()> {
        let id = self.run.grant.execution_id;
        let masks = self.masks.newest(&self.run.context.vault).await?;
        let lines: Vec<_> = lines.into_iter().map(|line| masks.line(line)).collect();
        let stored = self.run.context.transcripts.append(id, &lines).await;
        stored.context("cannot store the output")?;
        let news = self.read(&lines);
        self.record(news, execution).await
    }

    fn read(&mut self, lines: &[OutputLine]) -> News {
        let mut news = News::default();
        for line in lines {
            for event in self.parser.parse(line.seq, line.stream, &line.bytes()) {
                news.take(event, line);
            }
            self.last_seq = line.seq;
        }
        if news.result_seen {
            self.exit_by = Some(Instant::now() + RESULT_TO_EXIT_MAX);
        }
        news
    }

    async fn record(&mut self, news: News, execution: &Execution) -> anyhow::Result<()> {
        let log = &self.run.context.log;
        let id = self.run.grant.execution_id;
        let calls = news.calls.iter().any(|call| call.seq() > execution.tool_seq);
        let calls = calls.then_some(ExecutionCommand::RecordToolCalls { calls: news.calls });
        let session = news.session.filter(|_| !execution.session_bound);
        for command in session.into_iter().chain(calls) {
            log.execute::<Execution>(id, command, self.cause.metadata()).await?;
        }
        Ok(())
    }

    /// Records which signals the supervisor has sent.
    async fn record_signals(&self, id: &str) -> anyhow::Result<()> {
        let status = self.run.link.status(id).await.context("cannot ask how the stop goes")?;
        let Some(stop) = status.and_then(|status| status.stop) else { return Ok(()) };
        let grace_ms = stop.grace_ms;
        // What the supervisor does by itself nobody has asked for, even if somebody has since.
        let by_itself = matches!(stop.reason, StopReason::Timeout | StopReason::Finished);
        let asked = self.end_asked.as_ref().filter(|_| !by_itself);
        let interrupt =
            stop.interrupt_sent_at.map(|at| ExecutionCommand::RecordInterruptSent { at, grace_ms });
        let kill = stop.kill_sent_at.map(|at| ExecutionCommand::RecordKillSent { at });
        for command in interrupt.into_iter().chain(kill) {
            let (id, metadata) =
                (self.run.grant.execution_id, asked.unwrap_or(&self.cause).metadata());
            self.run.context.log.execute::<Execution>(id, command, metadata).await?;
        }
        Ok(())
    }

    /// Records the end; `problem` is why lines of the output are lost.
    async fn conclude(&self, exit: &Exit, problem: Option<String>) -> anyhow::Result<Step> {
        let mut conclusion = self.conclusion(exit);
        if let (Verdict::Failed { error, .. }, Some(problem)) = (&mut conclusion.verdict, problem) {
            let lines = exit.dropped_lines;
            // What the agent's place says may hold anything.
            let problem = self.masks.known().text(&problem).into_owned();
            let problem = truncated(problem, ERROR_BYTES_MAX);
            *error = format!("{error}; {lines} lines of its output are lost: {problem}");
        }
        if exit.stop_reason == Some(StopReason::AgentServerLost) {
            self.explain_loss(&mut conclusion.verdict).await?;
        }
        let outcome = self.bounded(conclusion.outcome).await?;
        let Run { context, grant, .. } = self.run;
        let now = context.log.now();
        let ended_at = outcome.ended_at.unwrap_or(now);
        let took = outcome.duration_ms.and_then(|ms| i64::try_from(ms).ok()).unwrap_or_default();
        let time = (ended_at - TimeDelta::milliseconds(took), ended_at);
        let verdict = conclusion.verdict;
        let span = self.run.span("execution.exit", Side::Internal).await;
        let cause = &self.cause;
        runs::record_exit(&context.log, *grant, verdict.clone(), outcome, now, cause).await?;
        drop(span);
        self.trace(&verdict, time).await;
        Ok(Step::Again)
    }

    /// Says why the agent went down that took the run with it, where that is known.
    async fn explain_loss(&self, verdict: &mut Verdict) -> anyhow::Result<()> {
        let Verdict::Failed { class: ErrorClass::Lost, error } = verdict else { return Ok(()) };
        let agent = self.run.context.log.state::<Agent>(&self.run.agent).await;
        let agent = agent.context("cannot read the agent")?.state;
        if let Some(life) = agent.life.filter(|life| life.crash_cause.is_some()) {
            *error = life.loss();
        }
        Ok(())
    }

    /// What the run came to, without what is secret: pieces of it may have come in several lines.
    fn conclusion(&self, exit: &Exit) -> Conclusion {
        let masks = self.masks.known();
        let text = |text: String| masks.text(&text).into_owned();
        let mut conclusion = self.parser.finish(exit);
        conclusion.outcome.response = conclusion.outcome.response.map(text);
        conclusion.verdict = match conclusion.verdict {
            Verdict::Failed { class, error } => Verdict::Failed { class, error: text(error) },
            Verdict::Completed => Verdict::Completed,
        };
        conclusion
    }

    /// Tells the trace how long the run took, by the supervisor's clocks: a server that saw its
    /// beginning may be long gone.
    async fn trace(&self, verdict: &Verdict, time: (DateTime<Utc>, DateTime<Utc>)) {
        let class = match verdict {
            Verdict::Failed { class, .. } => (*class).into(),
            Verdict::Completed => "none",
        };
        let facts = [
            ("trinity.agent", self.run.agent.to_string()),
            ("trinity.execution_id", self.run.grant.execution_id.to_string()),
            ("error.type", class.to_owned()),
        ];
        let traceparent = self.run.traceparent().await;
        traces::record("execution", traceparent, time, facts);
    }

    /// Keeps the beginning of a long answer in the event and the whole of it in the store.
    async fn bounded(&self, mut outcome: Outcome) -> anyhow::Result<Outcome> {
        let Some(response) = outcome.response.as_mut() else { return Ok(outcome) };
        if response.len() > RESPONSE_BYTES_MAX {
            let Run { context, grant, .. } = self.run;
            let stored = context.transcripts.put_response(grant.execution_id, response).await;
            outcome.response_ref = Some(stored.context("cannot store the answer")?);
            response.truncate(response.floor_char_boundary(RESPONSE_BYTES_MAX));
        }
        Ok(outcome)
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

impl News {
    fn take(&mut self, event: Event, line: &OutputLine) {
        let (seq, at) = (line.seq, line.at);
        match event {
            Event::Init { session_id: Some(claude_session_id), model, cli_version, .. } => {
                self.session = Some(ExecutionCommand::RecordSession {
                    claude_session_id,
                    model_used: model,
                    cli_version,
                });
            }
            Event::ToolUse { id, name, input } => self.calls.push(ToolCall::Started {
                seq,
                tool_call_id: id,
                name,
                input_preview: input_preview(&input),
                at,
            }),
            Event::ToolResult { id, is_error, .. } => {
                self.calls.push(ToolCall::Finished { seq, tool_call_id: id, is_error, at });
            }
            Event::Result(_) => self.result_seen = true,
            Event::Init { .. }
            | Event::Text { .. }
            | Event::Thinking { .. }
            | Event::Retry { .. }
            | Event::Raw => {}
        }
    }
}
