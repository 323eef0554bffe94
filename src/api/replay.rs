//! What happened, played again: the events of a stretch of the log, in their order and their rhythm.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use axum::response::sse::Event as Frame;
use chrono::{DateTime, TimeDelta, Utc};
use futures::Stream;
use serde::Deserialize;
use serde_json::json;
use tokio::time::Instant;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ApiState;
use super::auth::{Caller, Gate};
use super::error::{ApiError, Result};
use super::extract::Query;
use super::moment::PlaceText;
use super::sse::{self, StreamFrame};
use super::stream::{Interest, frame};
use super::wire::millis;
use crate::clock;
use crate::domain::Recorded;

/// How many events are read from the log at once.
const PAGE_EVENTS: usize = 256;

/// The longest pause between two events, whatever time passed between them.
const GAP_MAX: Duration = Duration::from_secs(5);

/// How long one replay goes on before the client has to ask for the rest.
const REPLAY_MAX: Duration = Duration::from_mins(30);

/// The slowest that is played, and the fastest that is not "at once".
const SPEEDS: std::ops::RangeInclusive<f64> = 0.01..=1_000_000.0;

/// What is played when nobody says.
const TOPICS_DEFAULT: &str = "activity";

/// The word for every topic.
const TOPICS_ALL: &str = "all";

#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ReplayQuery {
    /// Begin with this position, or at this time (RFC 3339). From the beginning when left out; the
    /// header `Last-Event-ID` wins.
    #[param(inline, value_type = Option<PlaceText>)]
    from: Option<String>,
    /// End with this position, or at this time. At the end of the log when left out.
    #[param(inline, value_type = Option<PlaceText>)]
    to: Option<String>,
    /// How many times as fast as it happened, 0.01 to 1000000; `0` or `max` is at once, 1 when left
    /// out. No pause is longer than 5 seconds.
    speed: Option<String>,
    /// Only these topics, as in `/api/stream`; `activity` when left out, `all` for every event.
    topics: Option<String>,
    /// Only events about the agent of this name.
    agent: Option<String>,
}

/// The routes of this resource.
pub(super) fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(replay))
}

/// Plays a stretch of the log again (Server-Sent Events).
///
/// The frames are those of `/api/stream`; after a `stream.reset` the stretch is played from its
/// beginning. `stream.end` says why there are no more: `finished`, or
/// `time-is-up` after half an hour, when the client goes on by `Last-Event-ID`.
#[utoipa::path(
    get, path = "/api/replay", tag = "events",
    params(ReplayQuery,
        ("Last-Event-ID" = Option<i64>, Header, description = "Begin after this position")),
    responses((status = 200, body = StreamFrame, content_type = "text/event-stream")),
)]
async fn replay(
    State(state): State<ApiState>,
    caller: Caller,
    headers: HeaderMap,
    Query(query): Query<ReplayQuery>,
) -> Result<Response> {
    let topics = query.topics.as_deref().unwrap_or(TOPICS_DEFAULT);
    let interest = Interest::parse(
        Some(topics).filter(|topics| *topics != TOPICS_ALL),
        query.agent.as_deref(),
    )?;
    let speed = speed(query.speed.as_deref())?;
    let until = match query.to.as_deref() {
        None => state.app.log.head(),
        Some(to) => state.place("to", to).await?.0,
    };
    let from = match query.from.as_deref() {
        None => 0,
        Some(from) => state.place_before("from", from).await?,
    };
    let after = sse::position(&headers, Some(from))?.unwrap_or_default();
    let is_unknown = state.app.log.is_beyond_head(after).await?;
    let player = Player {
        gate: Gate::new(caller),
        interest,
        speed,
        position: if is_unknown { from } else { after },
        is_reset: is_unknown,
        until,
        last_at: None,
        due: Instant::now(),
        deadline: Instant::now() + REPLAY_MAX,
        state,
    };
    let place = player.state.open_stream()?;
    Ok(sse::respond(place, player.frames()))
}

/// How many times as fast as it happened; none is at once.
fn speed(text: Option<&str>) -> Result<Option<f64>> {
    let text = text.unwrap_or("1");
    let speed = match text {
        "max" => Some(0.0),
        number => number.parse().ok().filter(|speed: &f64| *speed == 0.0 || SPEEDS.contains(speed)),
    };
    let speed = speed.ok_or_else(|| {
        let (min, max) = (SPEEDS.start(), SPEEDS.end());
        let detail = format!("speed is `{text}`; it must be {min} to {max}, or 0 or max: at once");
        ApiError::parameter("speed", detail)
    })?;
    Ok(Some(speed).filter(|speed| *speed > 0.0))
}

struct Player {
    state: ApiState,
    gate: Gate,
    interest: Interest,
    speed: Option<f64>,
    /// Everything up to here was played or passed over.
    position: i64,
    /// Whether the client has seen what is not of this log, so that it is played from the beginning.
    is_reset: bool,
    until: i64,
    /// When the event happened that was played last.
    last_at: Option<DateTime<Utc>>,
    /// When that was due.
    due: Instant,
    deadline: Instant,
}

/// What happens while an event is waited for.
enum Wait {
    Due,
    Heartbeat,
    End(&'static str),
}

impl Player {
    fn frames(mut self) -> impl Stream<Item = Frame> {
        async_stream::stream! {
            yield sse::retry();
            let ready = json!({
                "position": self.position,
                "until": self.until,
                "log_id": self.state.app.log.log_id(),
            });
            yield sse::control("stream.ready", &ready);
            if self.is_reset {
                let reset = json!({"reason": "unknown-position", "position": self.position});
                yield sse::control("stream.reset", &reset);
            }
            let mut heartbeat = sse::heartbeat();
            let end = 'play: loop {
                let page = match self.page().await {
                    Ok(page) if page.is_empty() => break 'play "finished",
                    Ok(page) => page,
                    Err(_) => break 'play "log-unavailable",
                };
                for recorded in page {
                    let Ok(frame) = self.frame(&recorded).await else {
                        break 'play "log-unavailable";
                    };
                    if let Some(frame) = frame {
                        self.schedule(recorded.recorded_at);
                        loop {
                            match self.wait(&mut heartbeat).await {
                                Wait::Due => break,
                                Wait::End(reason) => break 'play reason,
                                Wait::Heartbeat => {
                                    let at = millis(clock::now());
                                    let beat = json!({"position": self.position, "at": at});
                                    yield sse::control("heartbeat", &beat);
                                }
                            }
                        }
                        yield frame;
                    }
                    self.position = recorded.position;
                }
                if self.gate.renew(&self.state).await.is_err() {
                    break 'play "not-authenticated";
                }
            };
            yield sse::control("stream.end", &json!({"reason": end, "position": self.position}));
        }
    }

    /// The next events of the stretch.
    async fn page(&self) -> Result<Vec<Arc<Recorded>>> {
        let left = usize::try_from(self.until.saturating_sub(self.position)).unwrap_or_default();
        if left == 0 {
            return Ok(Vec::new());
        }
        Ok(self.state.app.log.after(self.position, left.min(PAGE_EVENTS)).await?)
    }

    async fn frame(&mut self, recorded: &Recorded) -> Result<Option<Frame>> {
        frame(&self.state, &mut self.gate, &self.interest, recorded).await
    }

    /// Says when an event is due: after the last one by the time between them, made faster.
    fn schedule(&mut self, at: DateTime<Utc>) {
        let passed = self.last_at.map_or(TimeDelta::zero(), |last| at - last);
        // A client that reads slowly is not made to catch up.
        self.due = self.due.max(Instant::now()) + gap(passed, self.speed);
        self.last_at = Some(at);
    }

    async fn wait(&mut self, heartbeat: &mut tokio::time::Interval) -> Wait {
        if Instant::now() >= self.deadline {
            return Wait::End("time-is-up");
        }
        tokio::select! {
            () = self.state.app.shutdown.cancelled() => Wait::End("shutdown"),
            () = tokio::time::sleep_until(self.due.min(self.deadline)) => {
                if self.due <= self.deadline { Wait::Due } else { Wait::End("time-is-up") }
            }
            _ = heartbeat.tick() => match self.gate.renew(&self.state).await {
                Ok(()) => Wait::Heartbeat,
                Err(_) => Wait::End("not-authenticated"),
            },
        }
    }
}

/// The pause between two events between which that much time passed.
fn gap(passed: TimeDelta, speed: Option<f64>) -> Duration {
    let (Some(speed), Ok(passed)) = (speed, passed.to_std()) else { return Duration::ZERO };
    let gap = Duration::try_from_secs_f64(passed.as_secs_f64() / speed);
    gap.unwrap_or(GAP_MAX).min(GAP_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::error::Code;

    #[test]
    fn a_pause_is_as_long_as_it_was_made_faster_and_never_longer_than_bearable() {
        let seconds = TimeDelta::seconds;
        assert_eq!(gap(seconds(3), Some(1.0)), Duration::from_secs(3));
        assert_eq!(gap(seconds(3), Some(10.0)), Duration::from_millis(300));
        assert_eq!(gap(seconds(3), Some(0.01)), GAP_MAX);
        assert_eq!(gap(TimeDelta::days(400), Some(1.0)), GAP_MAX);
        assert_eq!(gap(TimeDelta::MAX, Some(0.01)), GAP_MAX);
        assert_eq!(gap(seconds(3), None), Duration::ZERO);
        assert_eq!(gap(seconds(-3), Some(1.0)), Duration::ZERO);
    }

    #[test]
    fn a_speed_is_a_number_within_bounds_or_at_once() {
        assert_eq!(speed(None).unwrap(), Some(1.0));
        assert_eq!(speed(Some("0.5")).unwrap(), Some(0.5));
        assert_eq!(speed(Some("60")).unwrap(), Some(60.0));
        for at_once in ["0", "0.0", "max"] {
            assert_eq!(speed(Some(at_once)).unwrap(), None);
        }
        for bad in ["", "-1", "fast", "NaN", "inf", "1e9", "0.001"] {
            assert_eq!(speed(Some(bad)).unwrap_err().code(), Code::InvalidParameter, "{bad}");
        }
    }
}
