//! Subscriptions: replay from the database, then the live end, without a gap or a repeat.

use std::sync::Arc;
use std::time::Duration;

use futures::Stream;

use super::follow::{PAGE_EVENTS_MAX, RETRY_MS};
use super::{EventLog, Feed, LogError, Store, Tail, recorded};
use crate::domain::Recorded;

/// The most events taken from memory at once, so that a slow reader holds few.
const CHUNK_EVENTS_MAX: usize = 256;

impl EventLog {
    /// Every event after a position, for ever: first those there are, then those to come.
    ///
    /// While the database is away the stream waits. An error is final: [`LogError::Hole`],
    /// [`LogError::Unreadable`], or [`LogError::BeyondHead`] for a position this log has not reached.
    /// A slow reader is nobody's burden: what has left the memory it gets from the database.
    pub fn subscribe(
        &self,
        after: i64,
    ) -> impl Stream<Item = Result<Arc<Recorded>, LogError>> + Send + 'static {
        let (feed, store) = (Arc::clone(&self.0.feed), Arc::clone(&self.0.store));
        async_stream::stream! {
            let mut cursor = after.max(0);
            let mut head = feed.watch();
            loop {
                match next(&feed, &store, cursor).await {
                    Ok(events) if events.is_empty() => {
                        if head.wait_for(|head| *head > cursor).await.is_err() {
                            return;
                        }
                    }
                    Ok(events) => {
                        for event in events {
                            cursor = event.position;
                            yield Ok(event);
                        }
                    }
                    Err(LogError::Unavailable(_)) => {
                        tokio::time::sleep(Duration::from_millis(RETRY_MS)).await;
                    }
                    Err(error) => {
                        yield Err(error);
                        return;
                    }
                }
            }
        }
    }
}

/// The next events, or none when the reader is at the end.
async fn next(feed: &Feed, store: &Store, cursor: i64) -> Result<Vec<Arc<Recorded>>, LogError> {
    let head = feed.head();
    match feed.tail(cursor, CHUNK_EVENTS_MAX) {
        Tail::Events(events) => Ok(events),
        Tail::CaughtUp if cursor <= head => Ok(Vec::new()),
        Tail::CaughtUp => {
            // Another node may have told the reader of events that are still on their way here.
            let head = store.standing(Vec::new()).await?.head;
            if cursor > head {
                return Err(LogError::BeyondHead { after: cursor, head });
            }
            Ok(Vec::new())
        }
        Tail::Behind => {
            let page = store.after(cursor, PAGE_EVENTS_MAX).await?;
            if page.is_empty() {
                return Err(LogError::Hole { expected: cursor + 1 });
            }
            Ok(recorded(page))
        }
    }
}
