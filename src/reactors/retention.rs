//! Transcripts that are older than is wanted.
//!
//! The removal is recorded first and done then, so whatever is gone is on record; a server that was
//! killed in between removes the rest at its next look. Nothing is removed of an execution that has
//! not ended.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use chrono::{DateTime, TimeDelta, Utc};
use tokio::task::JoinHandle;

use super::Context;
use crate::clock;
use crate::commands::Cause;
use crate::domain::StreamId;
use crate::domain::execution::{Execution, ExecutionCommand};
use crate::state::transcripts::Old;

/// How often old transcripts are looked for.
const PERIOD: Duration = Duration::from_hours(1);
/// How many transcripts are looked at together.
const BATCH: u32 = 100;
/// How many transcripts one look removes at most; the rest waits for the next.
pub const REMOVALS_MAX: usize = 10_000;

/// Removes what is older than so many days until shutdown, at once and then every hour.
pub fn spawn(context: Arc<Context>, retention_days: u32) -> JoinHandle<()> {
    tokio::spawn(async move {
        loop {
            match remove_old_transcripts(&context, retention_days, clock::now()).await {
                Ok(0) => {}
                Ok(removed) => tracing::info!(removed, retention_days, "old transcripts removed"),
                Err(error) => tracing::warn!("cannot remove old transcripts: {error:#}"),
            }
            tokio::select! {
                () = tokio::time::sleep(PERIOD) => {}
                () = context.shutdown.cancelled() => break,
            }
        }
    })
}

/// Removes the transcripts whose last line is older than so many days; gives how many there were.
///
/// # Errors
/// When the log or the store does not answer; what was removed until then stays removed.
pub async fn remove_old_transcripts(
    context: &Context,
    retention_days: u32,
    now: DateTime<Utc>,
) -> anyhow::Result<usize> {
    let before = now - TimeDelta::days(i64::from(retention_days));
    let (mut removed, mut place) = (0, None);
    while removed < REMOVALS_MAX && !context.shutdown.is_cancelled() {
        let old = context.transcripts.older_than(before, place, BATCH).await;
        let old = old.context("cannot look for old transcripts")?;
        let Some(last) = old.last() else { break };
        place = Some((last.last_at, last.id));
        for transcript in &old {
            if remove(context, transcript, retention_days, now).await? {
                removed += 1;
            }
        }
    }
    Ok(removed)
}

/// Removes one transcript, unless its execution can still go on.
async fn remove(
    context: &Context,
    transcript: &Old,
    retention_days: u32,
    now: DateTime<Utc>,
) -> anyhow::Result<bool> {
    let id = transcript.id;
    let execution = context.log.state::<Execution>(id).await?;
    if !execution.state.is_terminal() {
        return Ok(false);
    }
    let stream = StreamId::of::<Execution>(id);
    let last = context.log.stream(&stream, execution.version - 1, 1).await?;
    let cause = Cause::of(last.first().context("the execution has no event")?);
    let bytes = context.transcripts.stored_bytes(id).await.context("cannot measure")?;
    let command = ExecutionCommand::RecordTranscriptRemoved {
        lines: transcript.lines,
        bytes,
        retention_days,
        at: now,
    };
    context.log.execute::<Execution>(id, command, cause.metadata()).await?;
    context.transcripts.remove(id).await.context("cannot remove a transcript")?;
    Ok(true)
}
