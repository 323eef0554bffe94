//! The framework's own seam over the same machinery: `cqrs_es::EventStore`.
//!
//! What is written through it shares batches, positions and the feed with everything else. It has no
//! retry: a caller of the framework gets the conflict.

use std::collections::HashMap;

use cqrs_es::{AggregateContext, AggregateError, EventEnvelope, EventStore};

use super::append::{Append, AppendError, Check};
use super::error::LogError;
use super::{EventLog, Loaded};
use crate::domain::{Decider, Metadata, StreamId};

/// How many events one page of a stream takes.
const PAGE_EVENTS_MAX: usize = 1_000;

/// An aggregate on its way through the framework.
#[derive(Debug)]
pub struct LogContext<A> {
    id: String,
    loaded: Loaded<A>,
}

impl<A: Decider> AggregateContext<A> for LogContext<A> {
    fn aggregate(&mut self) -> &mut A {
        &mut self.loaded.state
    }
}

impl<A: Decider> EventStore<A> for EventLog {
    type AC = LogContext<A>;

    async fn load_events(
        &self,
        aggregate_id: &str,
    ) -> Result<Vec<EventEnvelope<A>>, AggregateError<A::Error>> {
        let stream = StreamId::of::<A>(aggregate_id);
        let mut envelopes: Vec<EventEnvelope<A>> = Vec::new();
        loop {
            let version = i64::try_from(envelopes.len()).unwrap_or(i64::MAX);
            let page =
                self.stream(&stream, version, PAGE_EVENTS_MAX).await.map_err(aggregate_error)?;
            let complete = page.len() < PAGE_EVENTS_MAX;
            for recorded in page {
                envelopes.extend(A::unwrap(&recorded.event).map(|event| EventEnvelope {
                    aggregate_id: aggregate_id.to_owned(),
                    sequence: usize::try_from(recorded.version).unwrap_or(usize::MAX),
                    payload: event.clone(),
                    metadata: recorded.metadata.to_map(),
                }));
            }
            if complete {
                return Ok(envelopes);
            }
        }
    }

    async fn load_aggregate(
        &self,
        aggregate_id: &str,
    ) -> Result<LogContext<A>, AggregateError<A::Error>> {
        let loaded = self.state::<A>(aggregate_id).await.map_err(aggregate_error)?;
        Ok(LogContext { id: aggregate_id.to_owned(), loaded })
    }

    async fn commit(
        &self,
        events: Vec<A::Event>,
        context: LogContext<A>,
        metadata: HashMap<String, String>,
    ) -> Result<Vec<EventEnvelope<A>>, AggregateError<A::Error>> {
        if events.is_empty() {
            return Ok(Vec::new());
        }
        let stream = StreamId::of::<A>(&context.id);
        let version = context.loaded.version;
        let checks = vec![Check { stream: stream.clone(), version }];
        let new = (version + 1..).zip(events.iter().cloned());
        let new = new.map(|(version, event)| (stream.clone(), version, A::wrap(event))).collect();
        let append = Append::new(checks, new, Metadata::from_map(metadata.clone()), &metadata)
            .map_err(|error| AggregateError::UnexpectedError(error.into()))?;
        // The framework has moved its own copy; the cached one is behind now.
        let placed = self.0.queue.append(append).await;
        self.0.cache.evict(&stream);
        let placed = placed.map_err(|error| match error {
            AppendError::Conflict => AggregateError::AggregateConflict,
            AppendError::Unavailable(error) => {
                AggregateError::DatabaseConnectionError(error.into())
            }
            AppendError::Invalid(error) => AggregateError::UnexpectedError(error.into()),
        })?;
        let envelopes = placed.iter().zip(events).map(|(placed, payload)| EventEnvelope {
            aggregate_id: context.id.clone(),
            sequence: usize::try_from(placed.recorded.version).unwrap_or(usize::MAX),
            payload,
            metadata: metadata.clone(),
        });
        Ok(envelopes.collect())
    }
}

fn aggregate_error<E: std::error::Error>(error: LogError) -> AggregateError<E> {
    match error {
        LogError::Unavailable(error) => AggregateError::DatabaseConnectionError(error.into()),
        error @ LogError::Unreadable { .. } => AggregateError::DeserializationError(error.into()),
        error => AggregateError::UnexpectedError(error.into()),
    }
}
