//! How events make the rows of executions.

use std::sync::Arc;

use async_trait::async_trait;

use super::counts::{Count, Counts, Duration};
use super::ends::{End, EndDuration, Ends, Failure};
use super::list::cost_class;
use super::words;
use super::{ExecutionRow, LongMessage, PREVIEW_CHARS_MAX, Usage};
use crate::db::{self, Db, Json, Rows, Statement};
use crate::domain::execution::{CancelPhase, ExecutionEvent, Outcome, Request, Status};
use crate::domain::slots::SlotsEvent;
use crate::domain::{Event, ExecutionId, Recorded};
use crate::projections::wire::preview;
use crate::projections::{Build, Cost, FoldError, Projection, TableDef, Timestamp};

/// The projection.
#[derive(Debug)]
pub(in crate::projections) struct ExecutionsProjection;

#[async_trait]
impl Projection for ExecutionsProjection {
    fn name(&self) -> &'static str {
        "executions"
    }

    fn version(&self) -> u32 {
        3
    }

    fn tables(&self) -> Vec<TableDef> {
        vec![
            TableDef::of::<ExecutionRow>(&[
                "(row_no)",
                "(created_at, row_no)",
                "(incarnation, (row_no + 0))",
                "(status, triggered_by, (row_no + 0))",
                "(incarnation, status, triggered_by, (row_no + 0))",
                "(cost_class, (row_no + 0)) WHERE cost_class IS NOT NULL",
                "(incarnation, cost_class, (row_no + 0)) WHERE cost_class IS NOT NULL",
                "(incarnation, queue_no) WHERE queue_no IS NOT NULL",
                "(parent_execution_id, (row_no + 0)) WHERE parent_execution_id IS NOT NULL",
            ]),
            TableDef::of::<LongMessage>(&[]),
            words::table(),
            TableDef::of::<Count>(&["(width, bucket)"]),
            TableDef::of::<Duration>(&[]),
            TableDef::of::<End>(&[]),
            TableDef::of::<EndDuration>(&[]),
            TableDef::of::<Failure>(&["(width, bucket)"]),
        ]
    }

    async fn fold(
        &self,
        db: &Db,
        build: Build,
        events: &[Arc<Recorded>],
    ) -> Result<Vec<Statement>, FoldError> {
        let table = build.table::<ExecutionRow>();
        let ids = events.iter().filter_map(|recorded| execution_of(recorded));
        let mut rows: Rows<ExecutionRow> = Rows::load(db, &table, ids).await?;
        let (mut messages, mut searched) = (Vec::new(), Vec::new());
        let (mut counts, mut ends) = (Counts::default(), Ends::default());
        for recorded in events {
            match &recorded.event {
                Event::Execution(ExecutionEvent::ExecutionRequested(request)) => {
                    let id = stream_id(recorded)?;
                    let row = requested(id, recorded, request);
                    if row.message_is_cut {
                        messages.push(LongMessage { id, message: request.message.clone() });
                    }
                    searched.push(words::row_of(db, row.row_no, &request.message));
                    rows.insert(row);
                }
                Event::Execution(event) => {
                    let row = rows.get_mut(&stream_id(recorded)?);
                    let row = row.ok_or_else(|| FoldError::event(recorded, "no request"))?;
                    let was_open = !row.status.is_terminal();
                    evolve(row, event, Timestamp(recorded.recorded_at));
                    if was_open && row.status.is_terminal() {
                        counts.add(row);
                        ends.add(row);
                    }
                }
                Event::Slots(event) => queue(&mut rows, event),
                Event::Agent(_) | Event::Account(_) => {}
            }
        }
        let mut statements = rows.into_statements(&table);
        statements.extend(db::upsert(&build.table::<LongMessage>(), &messages));
        statements.extend(words::insert(db, build, &searched));
        statements.extend(counts.into_statements(build));
        statements.extend(ends.into_statements(build));
        Ok(statements)
    }
}

/// The id of the execution whose stream an event stands in.
pub(in crate::projections) fn stream_id(recorded: &Recorded) -> Result<ExecutionId, FoldError> {
    let no_id = |_| FoldError::event(recorded, "its stream's id is no UUID");
    recorded.stream.id.parse().map_err(no_id)
}

/// The execution that an event of any stream is about.
fn execution_of(recorded: &Recorded) -> Option<ExecutionId> {
    match &recorded.event {
        Event::Execution(_) => recorded.stream.id.parse().ok(),
        Event::Slots(
            SlotsEvent::ExecutionEnqueued { execution_id, .. }
            | SlotsEvent::SlotAcquired { execution_id, .. }
            | SlotsEvent::ExecutionDequeued { execution_id, .. },
        ) => Some(*execution_id),
        Event::Slots(_) | Event::Agent(_) | Event::Account(_) => None,
    }
}

fn requested(id: ExecutionId, recorded: &Recorded, request: &Request) -> ExecutionRow {
    let request = request.clone();
    let message = preview(&request.message, PREVIEW_CHARS_MAX);
    ExecutionRow {
        id,
        agent_name: request.agent,
        incarnation: request.incarnation,
        row_no: recorded.position,
        status: Status::Pending,
        created_at: Timestamp(recorded.recorded_at),
        started_at: None,
        completed_at: None,
        duration_ms: None,
        message_is_cut: message.len() < request.message.len(),
        message,
        response: None,
        response_ref: None,
        error: None,
        error_class: None,
        cost: None,
        model: request.model,
        model_used: None,
        triggered_by: request.triggered_by,
        source: request.source,
        source_agent: request.source_agent,
        source_user: request.source_user,
        parent_execution_id: request.parent_execution_id,
        schedule_id: request.schedule_id,
        chat_session_id: request.chat_session_id,
        is_chat_turn: request.is_chat_turn,
        claude_session_id: None,
        resume_session_id: request.resume_session_id,
        timeout_seconds: request.timeout_seconds,
        max_turns: request.max_turns,
        allowed_tools: request.allowed_tools.map(Json),
        num_turns: None,
        usage: None,
        context_used: None,
        context_max: None,
        exit_code: None,
        exit_signal: None,
        tool_call_count: 0,
        slot: None,
        epoch: None,
        cancel_phase: None,
        cancel_reason: None,
        cancelled_by: None,
        lost_contact_at: None,
        tags: Json(request.tags),
        transcript_removed_at: None,
        cost_class: None,
        queue_no: None,
        queue_position: None,
        queue_reason: None,
    }
}

fn evolve(row: &mut ExecutionRow, event: &ExecutionEvent, recorded_at: Timestamp) {
    use ExecutionEvent as E;
    match event {
        E::ExecutionStarted { slot, epoch, claude_session_id, started_at } => {
            row.status = Status::Running;
            row.slot = Some(*slot);
            row.epoch = Some(*epoch);
            row.claude_session_id = Some(claude_session_id.clone());
            row.started_at = Some(Timestamp(*started_at));
        }
        E::SessionBound { claude_session_id, model_used, .. } => {
            row.claude_session_id = Some(claude_session_id.clone());
            row.model_used.clone_from(model_used);
        }
        E::ToolCallStarted { .. } => row.tool_call_count += 1,
        E::CancelRequested { by, reason, .. } => {
            row.cancelled_by.get_or_insert_with(|| by.clone());
            row.cancel_reason = row.cancel_reason.or(Some(*reason));
            row.cancel_phase = row.cancel_phase.or(Some(CancelPhase::Requested));
        }
        E::InterruptSent { .. } => row.cancel_phase = Some(CancelPhase::Interrupting),
        E::KillSent { .. } => row.cancel_phase = Some(CancelPhase::Killing),
        E::ContactLost { since } => row.lost_contact_at = Some(Timestamp(*since)),
        E::ContactRegained { .. } => row.lost_contact_at = None,
        E::ExecutionCompleted { outcome } => end(row, Status::Completed, outcome, recorded_at),
        E::ExecutionFailed { class, error, outcome } => {
            row.error_class = Some(*class);
            row.error = Some(error.clone());
            end(row, Status::Failed, outcome, recorded_at);
        }
        E::ExecutionCancelled { by, reason, phase, outcome } => {
            row.cancelled_by = Some(by.clone());
            row.cancel_reason = Some(*reason);
            row.cancel_phase = Some(*phase);
            end(row, Status::Cancelled, outcome, recorded_at);
        }
        E::TranscriptRemoved { at, .. } => row.transcript_removed_at = Some(Timestamp(*at)),
        // The request made the row; the rest changes nothing that a row shows.
        E::ExecutionRequested(_) | E::ToolCallFinished { .. } | E::LateResultObserved { .. } => {}
    }
}

fn end(row: &mut ExecutionRow, status: Status, outcome: &Outcome, recorded_at: Timestamp) {
    let outcome = outcome.clone();
    let ended_at = outcome.ended_at.map_or(recorded_at, Timestamp);
    row.status = status;
    row.completed_at = Some(ended_at);
    row.duration_ms =
        outcome.duration_ms.or_else(|| row.started_at.map(|at| ended_at.millis_since(at)));
    row.response = outcome.response;
    row.response_ref = outcome.response_ref;
    row.cost = outcome.cost_usd_micros.map(Cost);
    row.cost_class = outcome.cost_usd_micros.map(cost_class);
    row.usage = outcome.usage.map(|usage| {
        Json(Usage {
            input_tokens: usage.input_tokens,
            output_tokens: usage.output_tokens,
            cache_read_tokens: usage.cache_read_tokens,
            cache_creation_tokens: usage.cache_creation_tokens,
        })
    });
    row.num_turns = outcome.num_turns;
    row.context_used = outcome.context_used;
    row.context_max = outcome.context_max;
    row.model_used = outcome.model_used.or(row.model_used.take());
    row.tool_call_count = row.tool_call_count.max(outcome.tool_call_count);
    row.exit_code = outcome.exit.and_then(|exit| exit.code);
    row.exit_signal = outcome.exit.and_then(|exit| exit.signal);
    row.queue_no = None;
}

/// Follows the queue; an execution that nobody requested has no row to follow it in.
fn queue(rows: &mut Rows<ExecutionRow>, event: &SlotsEvent) {
    match event {
        SlotsEvent::ExecutionEnqueued { execution_id, queue_no, .. } => {
            if let Some(row) = rows.get_mut(execution_id) {
                row.queue_no = Some(*queue_no);
            }
        }
        SlotsEvent::SlotAcquired { execution_id, slot, epoch, timeout_seconds, .. } => {
            if let Some(row) = rows.get_mut(execution_id) {
                row.queue_no = None;
                row.slot = Some(*slot);
                row.epoch = Some(*epoch);
                row.timeout_seconds = Some(*timeout_seconds);
            }
        }
        SlotsEvent::ExecutionDequeued { execution_id, .. } => {
            if let Some(row) = rows.get_mut(execution_id) {
                row.queue_no = None;
            }
        }
        SlotsEvent::CapacitySet { .. }
        | SlotsEvent::AgentTimeoutSet { .. }
        | SlotsEvent::SlotReleased { .. }
        | SlotsEvent::SlotExpired { .. }
        | SlotsEvent::AdmissionSuspended { .. }
        | SlotsEvent::AdmissionResumed {} => {}
    }
}
