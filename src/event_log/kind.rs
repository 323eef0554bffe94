//! Aggregates of any type behind one face, so that one append can decide over several.

use std::any::Any;
use std::sync::Arc;

use super::feed::Placed;
use super::snapshots::KeptState;
use crate::domain::{Decider, Event, Recorded};

/// The state of some aggregate.
pub(super) trait State: Any + Send + Sync {
    /// Moves the state; an event of another aggregate changes nothing.
    fn evolve(&mut self, event: &Event);
    fn boxed_clone(&self) -> Box<dyn State>;
    fn to_json(&self) -> Result<String, serde_json::Error>;
}

impl<A: Decider> State for A {
    fn evolve(&mut self, event: &Event) {
        if let Some(event) = A::unwrap(event) {
            Decider::evolve(self, event);
        }
    }

    fn boxed_clone(&self) -> Box<dyn State> {
        Box::new(self.clone())
    }

    fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }
}

/// How to begin a state of one aggregate type.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kind {
    pub(super) empty: fn() -> Box<dyn State>,
    pub(super) from_json: fn(&str) -> Result<Box<dyn State>, serde_json::Error>,
}

impl Kind {
    pub(super) fn of<A: Decider>() -> Self {
        Self {
            empty: || Box::new(A::default()),
            from_json: |json| Ok(Box::new(serde_json::from_str::<A>(json)?)),
        }
    }
}

/// A state with its place: what a decision is made on.
#[derive(Clone)]
pub(super) struct Versioned {
    pub(super) state: Arc<dyn State>,
    /// The version of the stream's last event; 0 when there is none.
    pub(super) version: i64,
    /// The position of the stream's last event; 0 when there is none.
    pub(super) position: i64,
    /// The bytes of the payloads folded into it: a measure of its size in memory.
    pub(super) bytes: usize,
}

impl Versioned {
    /// The state of a stream without events.
    pub(super) fn empty(kind: Kind) -> Self {
        Self { state: (kind.empty)().into(), version: 0, position: 0, bytes: 0 }
    }

    /// The state that was kept.
    pub(super) fn restore(kind: Kind, kept: &KeptState) -> Result<Self, serde_json::Error> {
        let state = (kind.from_json)(&kept.json)?.into();
        let bytes = kept.json.len();
        Ok(Self { state, version: kept.version, position: kept.position, bytes })
    }

    /// Moves the state by its next event: in place, unless somebody else holds it too.
    pub(super) fn evolve(&mut self, placed: &Placed) {
        let Recorded { event, version, position, .. } = &*placed.recorded;
        if let Some(state) = Arc::get_mut(&mut self.state) {
            state.evolve(event);
        } else {
            let mut copy = self.state.boxed_clone();
            copy.evolve(event);
            self.state = copy.into();
        }
        self.version = *version;
        self.position = *position;
        self.bytes += placed.bytes;
    }

    /// The state as its own type; `None` when the stream was planned as another aggregate.
    pub(super) fn downcast<A: Decider>(&self) -> Option<&A> {
        let any: &dyn Any = &*self.state;
        any.downcast_ref()
    }
}
