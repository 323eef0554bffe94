//! `?as_of=`: the same answers as they were at an earlier position or time.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use utoipa::openapi::schema::Type;
use utoipa::openapi::{ObjectBuilder, RefOr, Schema};
use utoipa::{IntoParams, PartialSchema, ToSchema};

use super::ApiState;
use super::auth::{Caller, OnAgent};
use super::error::{ApiError, Code, Result};
use super::extract::Fresh;
use crate::clock;
use crate::domain::IncarnationId;
use crate::projections::agents::Agents;
use crate::projections::permissions::Permissions;
use crate::projections::slots::Slots;
use crate::projections::{Past, PastError, Viewer, Views};

/// What fits a place in the log; not everything that fits it is a day of a month.
const PLACE: &str = "^([0-9]{1,18}|[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}\
                     (\\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2}))$";

/// The most digits of a position.
const POSITION_DIGITS_MAX: usize = 18;

/// How a request names a place in the log: a position, or a time (RFC 3339).
pub(super) struct PlaceText;

impl PartialSchema for PlaceText {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new().schema_type(Type::String).pattern(Some(PLACE)).into()
    }
}

impl ToSchema for PlaceText {}

/// What a list takes that can look back.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct AsOf {
    /// Answer with what was so at this position of the log or at this time (RFC 3339).
    #[param(inline, value_type = Option<PlaceText>)]
    pub as_of: Option<String>,
}

/// What a route about one agent takes that can look back.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct AgentAsOf {
    /// Answer with what was so at this position of the log or at this time (RFC 3339).
    #[param(inline, value_type = Option<PlaceText>)]
    pub as_of: Option<String>,
    /// An earlier life of the name, for its owner then and for administrators.
    #[param(value_type = Option<uuid::Uuid>)]
    #[expect(dead_code, reason = "the authorization reads it")]
    incarnation: Option<IncarnationId>,
}

/// The read models at the moment that a request is about: now, or earlier.
#[derive(Debug)]
pub(super) struct Moment<'a> {
    /// The position at which the answer holds.
    pub position: i64,
    /// The time at which it holds, for durations that go on.
    pub at: DateTime<Utc>,
    views: &'a Views,
    past: Option<Arc<Past>>,
}

impl Moment<'_> {
    /// Agents as they are or were.
    pub fn agents(&self) -> Agents<'_> {
        self.past.as_deref().map_or_else(|| self.views.agents(), Past::agents)
    }

    /// Who may or might call whom.
    pub fn permissions(&self) -> Permissions<'_> {
        self.past.as_deref().map_or_else(|| self.views.permissions(), Past::permissions)
    }

    /// How full agents are or were.
    pub fn slots(&self) -> Slots<'_> {
        self.past.as_deref().map_or_else(|| self.views.slots(), Past::slots)
    }

    /// The slots of one life with the executions in them.
    pub async fn slots_of(&self, incarnation: IncarnationId) -> Result<Slots<'_>> {
        match &self.past {
            None => Ok(self.views.slots()),
            Some(past) => Ok(past.slots_of(incarnation).await?),
        }
    }

    /// Makes sure that this life of the agent was there at that moment.
    pub async fn must_have(&self, on: &OnAgent) -> Result<()> {
        let found = self.agents().find(&on.life.name).await?;
        match found.filter(|agent| agent.incarnation == on.life.incarnation) {
            Some(_) => Ok(()),
            None => Err(self.not_there(on)),
        }
    }

    /// The answer when an agent was not there at that moment.
    ///
    /// Now, the log has it and the read model does not, yet.
    pub fn not_there(&self, on: &OnAgent) -> ApiError {
        let (name, position) = (&on.life.name, self.position);
        if self.past.is_none() {
            return match on.current() {
                Ok(_) => super::agents::not_shown_yet(position),
                Err(over) => over,
            };
        }
        let detail = format!(
            "this life of agent `{name}` was not there at position {position}; \
             say ?incarnation= for another one"
        );
        ApiError::new(Code::NotFound, detail)
    }
}

impl ApiState {
    /// The moment that a request is about; without `as_of`, now, as far as these read models are.
    ///
    /// # Errors
    /// 400 for a moment that the log has not reached; 503 while its state is still being folded.
    pub(super) async fn moment(
        &self,
        as_of: Option<&str>,
        fresh: Fresh,
        names: &[&str],
    ) -> Result<Moment<'_>> {
        let views = &self.app.views;
        let Some(as_of) = as_of else {
            let position = self.caught_up(fresh, names).await?;
            return Ok(Moment { position, at: clock::now(), views, past: None });
        };
        self.wait_for_log(fresh).await?;
        let (position, at) = self.place("as_of", as_of).await?;
        let past = views.past(position, Duration::from_millis(fresh.wait_ms())).await?;
        Ok(Moment { position, at, views, past: Some(past) })
    }

    /// The position and the time that a parameter means, which is one or the other.
    ///
    /// A time means the last position recorded at or before it.
    pub(super) async fn place(&self, name: &str, text: &str) -> Result<(i64, DateTime<Utc>)> {
        let log = &self.app.log;
        let position = match place(name, text)? {
            Place::Position(position) => position,
            Place::Time(at) => return Ok((log.position_at(at).await?, at)),
        };
        if position == 0 {
            return Ok((0, self.app.log.recorded_at(1).await?.unwrap_or_else(clock::now)));
        }
        match log.recorded_at(position).await? {
            Some(at) if position <= log.head() => Ok((position, at)),
            _ => {
                let head = log.head();
                let detail = format!("{name} is {position}; the log ends at position {head}");
                Err(ApiError::parameter(name, detail))
            }
        }
    }

    /// The position before the first event that a parameter means: that position, or the first one
    /// recorded at that time or later.
    pub(super) async fn place_before(&self, name: &str, text: &str) -> Result<i64> {
        match place(name, text)? {
            Place::Position(_) => Ok((self.place(name, text).await?.0 - 1).max(0)),
            Place::Time(at) => {
                let before = at.checked_sub_signed(TimeDelta::microseconds(1)).unwrap_or(at);
                Ok(self.app.log.position_at(before).await?)
            }
        }
    }

    /// Through whose eyes lists of that moment are read: always by the rights of today.
    pub(super) async fn viewer_at(&self, caller: &Caller, moment: &Moment<'_>) -> Result<Viewer> {
        let viewer = self.viewer(caller).await?;
        self.rights_of_today(viewer, moment).await
    }

    /// Through whose eyes the list of agents of that moment is read.
    pub(super) async fn viewer_of_agents_at(
        &self,
        caller: &Caller,
        moment: &Moment<'_>,
    ) -> Result<Viewer> {
        let viewer = self.viewer_of_agents(caller).await?;
        self.rights_of_today(viewer, moment).await
    }

    async fn rights_of_today(&self, viewer: Viewer, moment: &Moment<'_>) -> Result<Viewer> {
        let Viewer::User(id) = viewer else { return Ok(viewer) };
        if moment.past.is_none() {
            return Ok(viewer);
        }
        let lives = self.app.views.agents().visible_lives(&viewer).await?;
        Ok(Viewer::UserOf(id, lives))
    }
}

/// A place in the log as somebody names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Position(i64),
    Time(DateTime<Utc>),
}

fn place(name: &str, text: &str) -> Result<Place> {
    let is_number = (1..=POSITION_DIGITS_MAX).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_number && let Ok(position) = text.parse() {
        return Ok(Place::Position(position));
    }
    match DateTime::parse_from_rfc3339(text) {
        Ok(at) => Ok(Place::Time(at.to_utc())),
        Err(_) => Err(ApiError::parameter(
            name,
            format!("{name} is a position or a time such as 2026-11-20T10:00:00Z, not `{text}`"),
        )),
    }
}

impl From<PastError> for ApiError {
    fn from(error: PastError) -> Self {
        let detail = error.to_string();
        match error {
            PastError::Folding { reached, .. } => {
                Self::new(Code::ProjectionLag, detail).with("position", reached)
            }
            PastError::Busy => Self::new(Code::Overloaded, detail),
            PastError::Unavailable(reason) => {
                tracing::warn!(reason, "the past cannot be folded");
                let detail = "the log is not available at the moment; try again";
                Self::new(Code::LogUnavailable, detail)
            }
            PastError::Damaged(_) => Self::internal(&anyhow::Error::new(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_position_or_a_time() {
        assert_eq!(place("as_of", "41").unwrap(), Place::Position(41));
        let at = "2026-11-20T10:00:00Z".parse().unwrap();
        for text in ["2026-11-20T10:00:00Z", "2026-11-20T12:00:00.000+02:00"] {
            assert_eq!(place("as_of", text).unwrap(), Place::Time(at));
        }
        for text in
            ["", "-1", "yesterday", "2026-11-20", "2026-11-20T10:00:00", "9".repeat(30).as_str()]
        {
            assert_eq!(place("as_of", text).unwrap_err().code(), Code::InvalidParameter, "{text}");
        }
    }
}
