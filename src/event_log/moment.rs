//! Moments of the log: which position a time means, and the events of some streams up to one.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::{EventLog, LogError, recorded};
use crate::domain::{Recorded, StreamType};

impl EventLog {
    /// The last position recorded at a time or before; 0 when the log began later.
    ///
    /// Time never steps back along positions, so some twenty readings find it among a million.
    pub async fn position_at(&self, at: DateTime<Utc>) -> Result<i64, LogError> {
        let (mut low, mut high) = (0, self.head());
        while low < high {
            let middle = low + (high - low + 1) / 2;
            let recorded_at = self.recorded_at(middle).await?;
            if recorded_at.ok_or(LogError::Hole { expected: middle })? <= at {
                low = middle;
            } else {
                high = middle - 1;
            }
        }
        Ok(low)
    }

    /// When the event at a position was recorded, if the log reaches so far.
    pub async fn recorded_at(&self, position: i64) -> Result<Option<DateTime<Utc>>, LogError> {
        self.0.store.recorded_at(position).await
    }

    /// The events of these kinds of streams after one position up to another, in order.
    ///
    /// At most as many as there are positions between the two, which is how a reader bounds it.
    pub async fn of_types(
        &self,
        types: &[StreamType],
        after: i64,
        until: i64,
    ) -> Result<Vec<Arc<Recorded>>, LogError> {
        Ok(recorded(self.0.store.of_types(types, (after, until)).await?))
    }
}
