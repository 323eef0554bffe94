//! Follows the database, so that what others have written reaches the feed of this node.
//!
//! Notifications make it quick; a look now and then makes it sure.

use std::sync::Arc;
use std::time::Duration;

use super::error::LogError;
use super::feed::Feed;
use super::store::Store;

/// How many events one read takes.
pub(super) const PAGE_EVENTS_MAX: usize = 1_000;
/// The longest time until events of another writer are seen when no notification came.
const POLL_MS: u64 = 500;
/// The pause after a read that failed.
pub(super) const RETRY_MS: u64 = 200;

/// Runs until it is dropped.
pub(super) async fn follow(store: Arc<Store>, feed: Arc<Feed>) {
    let mut reported = false;
    loop {
        tokio::select! {
            () = feed.gap() => {}
            () = tokio::time::sleep(Duration::from_millis(POLL_MS)) => {}
        }
        match catch_up(&store, &feed).await {
            Ok(()) => reported = false,
            Err(error) => {
                if !std::mem::replace(&mut reported, true) {
                    tracing::warn!(%error, "the feed of the event log stands still");
                }
                tokio::time::sleep(Duration::from_millis(RETRY_MS)).await;
            }
        }
    }
}

/// Reads until the feed holds what the database held at the start.
async fn catch_up(store: &Store, feed: &Feed) -> Result<(), LogError> {
    loop {
        let page = match store.after(feed.head(), PAGE_EVENTS_MAX).await {
            Err(error @ (LogError::Hole { .. } | LogError::Unreadable { .. })) => {
                // Readers who come to that place get the same error, others go on.
                feed.skip_to(store.standing(Vec::new()).await?.head);
                return Err(error);
            }
            page => page?,
        };
        let complete = page.len() < PAGE_EVENTS_MAX;
        feed.publish(page);
        if complete {
            return Ok(());
        }
    }
}
