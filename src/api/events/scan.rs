//! Walks along the log, keeping what the caller may see and has asked for.

use std::sync::Arc;

use super::EventsQuery;
use crate::api::ApiState;
use crate::api::auth::{Caller, Gate};
use crate::api::error::{ApiError, Result};
use crate::domain::{Recorded, StreamId};

/// How many events are read from the log at once.
pub(super) const SCAN_PAGE_EVENTS: usize = 500;

/// After how many events a page is closed before it is full, so that no request goes through a whole
/// log for the few events that are wanted, or for none.
pub const SCAN_EVENTS_MAX: usize = 20_000;

/// Which events are wanted.
pub(super) struct EventFilter {
    stream: Option<StreamId>,
    kinds: Option<Vec<String>>,
    actors: Option<Vec<String>>,
}

impl EventFilter {
    /// Reads what the query says.
    pub fn parse(query: &EventsQuery) -> Result<Self> {
        if query.after.is_some_and(|after| after < 0) {
            return Err(ApiError::parameter("after", "after is a position: 0 or more"));
        }
        let list = |text: &Option<String>| {
            let text = text.as_deref()?;
            Some(text.split(',').map(|word| word.trim().to_owned()).collect())
        };
        Ok(Self {
            stream: query.stream.as_deref().map(stream_id).transpose()?,
            kinds: list(&query.kind),
            actors: list(&query.actor),
        })
    }

    fn takes(&self, recorded: &Recorded) -> bool {
        let is_in = |words: &Option<Vec<String>>, word: &str| {
            words.as_ref().is_none_or(|words| words.iter().any(|known| known == word))
        };
        self.stream.as_ref().is_none_or(|stream| *stream == recorded.stream)
            && is_in(&self.kinds, recorded.event.name())
            && is_in(&self.actors, &recorded.metadata.actor)
    }
}

fn stream_id(text: &str) -> Result<StreamId> {
    let (kind, id) = text.split_once(':').ok_or_else(|| {
        ApiError::parameter("stream", "stream is stream_type:id, such as agent:scout")
    })?;
    let kind = kind.parse().map_err(|error| {
        ApiError::parameter("stream", crate::domain::UnknownStreamType::to_string(&error))
    })?;
    Ok(StreamId { kind, id: id.to_owned() })
}

/// A walk along the log that keeps what the caller may see and has asked for.
pub(super) struct Scan {
    state: ApiState,
    gate: Gate,
    filter: EventFilter,
    /// Everything up to here has been looked at.
    pub position: i64,
    /// Whether nothing followed.
    pub is_at_end: bool,
    /// Nothing after this is looked at.
    until: i64,
}

impl Scan {
    /// Begins after a position; `until` is the last one that is looked at.
    pub fn new(
        state: &ApiState,
        caller: Caller,
        filter: EventFilter,
        (after, until): (i64, i64),
    ) -> Self {
        let (state, gate) = (state.clone(), Gate::new(caller));
        Self { state, gate, filter, position: after, is_at_end: false, until }
    }

    /// Asks anew who the caller is, which a long walk must do now and then.
    ///
    /// # Errors
    /// 401 when the caller is nobody any more.
    pub async fn renew(&mut self) -> Result<()> {
        self.gate.renew(&self.state).await
    }

    /// Goes on until there are `limit` events, the log ends or enough were looked at. What was found
    /// may be nothing then: only `is_at_end` says that no more follows.
    pub async fn next(&mut self, limit: usize) -> Result<Vec<Arc<Recorded>>> {
        let (mut found, mut looked_at) = (Vec::new(), 0);
        while looked_at < SCAN_EVENTS_MAX {
            let page = self.next_page().await?;
            if page.is_empty() {
                self.is_at_end = true;
                break;
            }
            for recorded in page {
                if recorded.position > self.until {
                    self.is_at_end = true;
                    return Ok(found);
                }
                looked_at += 1;
                self.position = recorded.position;
                let wanted = self.filter.takes(&recorded);
                if wanted && self.gate.shows(&self.state, &recorded).await? {
                    found.push(recorded);
                }
                if found.len() == limit {
                    return Ok(found);
                }
            }
        }
        Ok(found)
    }

    async fn next_page(&mut self) -> Result<Vec<Arc<Recorded>>> {
        let log = &self.state.app.log;
        let Some(stream) = &self.filter.stream else {
            return Ok(log.after(self.position, SCAN_PAGE_EVENTS).await?);
        };
        let version = version_at(&self.state, stream, self.position).await?;
        Ok(log.stream(stream, version, SCAN_PAGE_EVENTS).await?)
    }
}

/// The version of the last event of a stream up to a position: both grow together, so it is found
/// in few steps however long the stream is.
async fn version_at(state: &ApiState, stream: &StreamId, position: i64) -> Result<i64> {
    let is_after = async |version: i64| -> Result<bool> {
        let next = state.app.log.stream(stream, version, 1).await?.pop();
        Ok(next.is_none_or(|next| next.position > position))
    };
    let (mut low, mut step) = (0, 1);
    while !is_after(low + step - 1).await? {
        low += step;
        step *= 2;
    }
    let mut high = low + step - 1;
    while low < high {
        let middle = low + (high - low) / 2;
        if is_after(middle).await? {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    Ok(low)
}
