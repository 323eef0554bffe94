//! Events as text, written once however many clients hear of them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::error::{ApiError, Result};
use super::wire::WireEvent;
use crate::domain::Recorded;

/// How many events are kept as text.
const EVENTS_MAX: usize = 2_048;

/// How many bytes of them.
const BYTES_MAX: usize = 32 << 20;

/// The newest events as text, by position.
#[derive(Debug, Default)]
pub struct Frames(Mutex<Newest>);

#[derive(Debug, Default)]
struct Newest {
    texts: BTreeMap<i64, Arc<str>>,
    bytes: usize,
}

impl Frames {
    /// The event as clients see it, in JSON.
    pub fn text(&self, recorded: &Recorded) -> Result<Arc<str>> {
        if let Some(text) = self.lock().texts.get(&recorded.position) {
            return Ok(Arc::clone(text));
        }
        let text = serde_json::to_string(&WireEvent::new(recorded)?);
        let text: Arc<str> = text.map_err(|error| ApiError::internal(&error.into()))?.into();
        self.lock().put(recorded.position, &text);
        Ok(text)
    }

    /// Nothing panics while the lock is held, so a poisoned one is as good as any.
    fn lock(&self) -> MutexGuard<'_, Newest> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Newest {
    /// Keeps the text; when there are too many, the oldest goes, which is this one in a replay.
    fn put(&mut self, position: i64, text: &Arc<str>) {
        if self.texts.insert(position, Arc::clone(text)).is_none() {
            self.bytes += text.len();
        }
        while self.texts.len() > EVENTS_MAX || self.bytes > BYTES_MAX {
            let Some((_, oldest)) = self.texts.pop_first() else { break };
            self.bytes -= oldest.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_kept_and_memory_is_bounded() {
        let mut newest = Newest::default();
        for position in 1..=5_000 {
            newest.put(position, &"x".into());
            newest.put(position, &"x".into());
        }
        assert_eq!((newest.texts.len(), newest.bytes), (EVENTS_MAX, EVENTS_MAX));
        assert_eq!(newest.texts.last_key_value().map(|(position, _)| *position), Some(5_000));
        newest.put(1, &"x".into());
        assert!(!newest.texts.contains_key(&1));
        newest.put(5_001, &"x".repeat(BYTES_MAX).into());
        assert_eq!((newest.texts.len(), newest.bytes), (1, BYTES_MAX));
    }
}
