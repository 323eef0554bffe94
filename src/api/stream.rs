//! The log as it grows: one stream for a browser, resumable at any position and on any node.

use std::pin::pin;
use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use axum::response::sse::Event as Frame;
use futures::{Stream, StreamExt as _};
use serde::Deserialize;
use serde_json::json;
use strum::VariantNames as _;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ApiState;
use super::auth::{Caller, Gate};
use super::error::{ApiError, Result};
use super::extract::Query;
use super::sse::{self, StreamFrame};
use super::wire::{event_name, millis};
use crate::clock;
use crate::domain::agent::AgentEvent;
use crate::domain::execution::ExecutionEvent;
use crate::domain::{AgentName, Event, Recorded, StreamType};
use crate::event_log::LogError;

/// How far a client that was once at the end of the log may fall behind it, in events. One that
/// reads more slowly than the log grows is sent away, and goes on where it was when it comes back.
pub const LAG_EVENTS_MAX: i64 = 8_192;

#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct StreamQuery {
    /// Only these topics, separated by commas: `agent`, `execution`, `activity`, `permission`,
    /// `schedule`, `chat`. All events when left out.
    topics: Option<String>,
    /// Only events about the agent of this name.
    agent: Option<String>,
    /// Begin after this position; the header `Last-Event-ID` wins. From now on when both are
    /// missing.
    #[param(minimum = 0)]
    after: Option<i64>,
}

/// What a client may want to hear about.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, strum::EnumString, strum::VariantNames, strum::IntoStaticStr,
)]
#[strum(serialize_all = "snake_case")]
enum Topic {
    Agent,
    Execution,
    Activity,
    Permission,
    Schedule,
    Chat,
}

/// The routes of this resource.
pub(super) fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(stream))
}

/// Streams events as they are recorded (Server-Sent Events).
///
/// `id:` is the position, `event:` a name such as `execution.started`, `data:` the event as
/// `/api/events` has it. Control frames without id: `stream.ready` first, `heartbeat` every 15
/// seconds, `stream.reset` when what the client has seen is not of this log or it reads too slowly,
/// `stream.end` before the server closes.
#[utoipa::path(
    get, path = "/api/stream", tag = "events",
    params(StreamQuery,
        ("Last-Event-ID" = Option<i64>, Header, description = "Begin after this position")),
    responses((status = 200, body = StreamFrame, content_type = "text/event-stream")),
)]
async fn stream(
    State(state): State<ApiState>,
    caller: Caller,
    headers: HeaderMap,
    Query(query): Query<StreamQuery>,
) -> Result<Response> {
    let interest = Interest::parse(query.topics.as_deref(), query.agent.as_deref())?;
    let after = sse::position(&headers, query.after)?;
    let place = state.open_stream()?;
    let gate = Gate::new(caller);
    Ok(sse::respond(place, frames(state, gate, interest, after)))
}

/// Which events a client wants to hear about.
#[derive(Debug)]
pub(super) struct Interest {
    topics: Option<Vec<Topic>>,
    agent: Option<AgentName>,
}

impl Interest {
    /// Reads the words of a query.
    pub fn parse(words: Option<&str>, agent: Option<&str>) -> Result<Self> {
        let topics = words.map(topics).transpose()?;
        let agent = agent.map(str::parse).transpose();
        let agent = agent.map_err(|error: crate::domain::name::InvalidName| {
            ApiError::parameter("agent", error.to_string())
        })?;
        Ok(Self { topics, agent })
    }

    async fn covers(&self, state: &ApiState, recorded: &Recorded) -> Result<bool> {
        let is_of_topic = |topics: &Vec<Topic>| topics.iter().any(|topic| topic.covers(recorded));
        if !self.topics.as_ref().is_none_or(is_of_topic) {
            return Ok(false);
        }
        match &self.agent {
            Some(name) => Gate::is_about(state, recorded, name).await,
            None => Ok(true),
        }
    }
}

fn topics(text: &str) -> Result<Vec<Topic>> {
    let parse = |word: &str| {
        word.trim().parse().map_err(|_| {
            let known = Topic::VARIANTS.join(", ");
            ApiError::parameter("topics", format!("`{word}` is no topic; there are {known}"))
        })
    };
    text.split(',').map(parse).collect()
}

impl Topic {
    fn covers(self, recorded: &Recorded) -> bool {
        let kind = recorded.stream.kind;
        match self {
            Self::Agent => matches!(kind, StreamType::Agent | StreamType::Slots),
            Self::Execution => kind == StreamType::Execution,
            Self::Activity => makes_activity(&recorded.event),
            Self::Permission => matches!(
                recorded.event,
                Event::Agent(
                    AgentEvent::PermissionGranted { .. } | AgentEvent::PermissionRevoked { .. }
                )
            ),
            // Known words whose aggregates are still to come.
            Self::Schedule | Self::Chat => false,
        }
    }
}

/// Whether the event opens or closes a row of the activity stream.
fn makes_activity(event: &Event) -> bool {
    matches!(
        event,
        Event::Execution(
            ExecutionEvent::ExecutionRequested(_)
                | ExecutionEvent::ExecutionStarted { .. }
                | ExecutionEvent::ToolCallStarted { .. }
                | ExecutionEvent::ToolCallFinished { .. }
                | ExecutionEvent::ExecutionCompleted { .. }
                | ExecutionEvent::ExecutionFailed { .. }
                | ExecutionEvent::ExecutionCancelled { .. }
        )
    )
}

/// What to do after an event.
enum Next {
    Send(Box<Frame>),
    Skip,
    End(&'static str),
}

fn frames(
    state: ApiState,
    mut gate: Gate,
    interest: Interest,
    after: Option<i64>,
) -> impl Stream<Item = Frame> {
    async_stream::stream! {
        yield sse::retry();
        let log = state.app.log.clone();
        let mut position = after.unwrap_or_else(|| log.head());
        yield sse::control("stream.ready", &json!({"position": position, "log_id": log.log_id()}));
        let mut heartbeat = sse::heartbeat();
        let mut was_at_the_end = false;
        'subscribe: loop {
            let mut events = pin!(log.subscribe(position));
            loop {
                let event = tokio::select! {
                    () = state.app.shutdown.cancelled() => {
                        yield sse::control("stream.end", &json!({"reason": "shutdown"}));
                        return;
                    }
                    event = events.next() => event,
                    _ = heartbeat.tick() => {
                        if gate.renew(&state).await.is_err() {
                            yield sse::control("stream.end", &json!({"reason": "not-authenticated"}));
                            return;
                        }
                        let at = millis(clock::now());
                        yield sse::control("heartbeat", &json!({"position": position, "at": at}));
                        continue;
                    }
                };
                match event {
                    Some(Ok(recorded)) => {
                        position = recorded.position;
                        let lag = log.head() - position;
                        was_at_the_end |= lag == 0;
                        if was_at_the_end && lag > LAG_EVENTS_MAX {
                            state.count_slow_reset();
                            yield sse::control("stream.reset", &json!({"reason": "too-slow"}));
                            return;
                        }
                        match next(&state, &mut gate, &interest, &recorded).await {
                            Next::Send(frame) => yield *frame,
                            Next::Skip => {}
                            Next::End(reason) => {
                                yield sse::control("stream.end", &json!({"reason": reason}));
                                return;
                            }
                        }
                    }
                    // The client knows a log that went further: a backup was restored.
                    Some(Err(LogError::BeyondHead { head, .. })) => {
                        let reset = json!({"reason": "unknown-position", "position": head});
                        yield sse::control("stream.reset", &reset);
                        position = head;
                        continue 'subscribe;
                    }
                    Some(Err(error)) => {
                        tracing::error!(%error, "a stream of the log ended");
                        yield sse::control("stream.end", &json!({"reason": "log-unavailable"}));
                        return;
                    }
                    None => {
                        yield sse::control("stream.end", &json!({"reason": "shutdown"}));
                        return;
                    }
                }
            }
        }
    }
}

async fn next(
    state: &ApiState,
    gate: &mut Gate,
    interest: &Interest,
    recorded: &Arc<Recorded>,
) -> Next {
    if matches!(recorded.event, Event::Account(_)) && gate.renew(state).await.is_err() {
        return Next::End("not-authenticated");
    }
    match frame(state, gate, interest, recorded).await {
        Ok(Some(frame)) => Next::Send(Box::new(frame)),
        Ok(None) => Next::Skip,
        Err(_) => Next::End("log-unavailable"),
    }
}

/// The frame of an event, if the client may see it and wants to.
pub(super) async fn frame(
    state: &ApiState,
    gate: &mut Gate,
    interest: &Interest,
    recorded: &Recorded,
) -> Result<Option<Frame>> {
    let shows = gate.shows(state, recorded).await?;
    if !shows || !interest.covers(state, recorded).await? {
        return Ok(None);
    }
    let frame = Frame::default().id(recorded.position.to_string()).event(event_name(recorded));
    Ok(Some(frame.data(state.frames.text(recorded)?)))
}
