//! The decision of one append: which streams it may write, what it must not find changed, and the
//! working copy on which several aggregates decide one after the other.

use std::any::Any;
use std::cell::{OnceCell, RefCell};
use std::fmt::Display;
use std::ops::Deref;

use super::append::{Check, check_id};
use super::error::Invalid;
use super::kind::{Kind, State, Versioned};
use crate::domain::{Decider, Event, StreamId};

/// The most streams that one append writes to.
pub const STREAMS_MAX: usize = 3;
/// The most streams that one append only guards.
pub const GUARDS_MAX: usize = 2;

/// The streams of one append, named before anything is decided.
///
/// ```ignore
/// Plan::new().stream::<Execution>(id).stream::<Slots>(incarnation).guard::<Agent>(name)
/// ```
#[derive(Debug, Clone, Default)]
pub struct Plan {
    pub(super) entries: Vec<Planned>,
}

#[derive(Debug, Clone)]
pub(super) struct Planned {
    pub(super) stream: StreamId,
    pub(super) kind: Kind,
    pub(super) role: Role,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Stream,
    /// A stream that is taken for empty without looking, at first.
    New,
    Guard,
}

impl Plan {
    /// Starts with no streams.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a stream that the append may write to; if it does not, the stream is a guard.
    #[must_use]
    pub fn stream<A: Decider>(self, id: impl Display) -> Self {
        self.with::<A>(id, Role::Stream)
    }

    /// Adds a stream that the append is to begin, as its id was just made.
    ///
    /// It is taken for empty without being read, which saves a round trip. If it is not empty, the
    /// decision is made again on what is there: right as ever, only slower.
    #[must_use]
    pub fn create<A: Decider>(self, id: impl Display) -> Self {
        self.with::<A>(id, Role::New)
    }

    /// Adds a stream that is only read: the append stands if nothing was written to it meanwhile.
    #[must_use]
    pub fn guard<A: Decider>(self, id: impl Display) -> Self {
        self.with::<A>(id, Role::Guard)
    }

    /// A stream named twice is one entry, and writable if either says so.
    fn with<A: Decider>(mut self, id: impl Display, role: Role) -> Self {
        let stream = StreamId::of::<A>(id);
        match self.entries.iter_mut().find(|entry| entry.stream == stream) {
            Some(entry) if entry.role == Role::Guard => entry.role = role,
            Some(_) => {}
            None => self.entries.push(Planned { stream, kind: Kind::of::<A>(), role }),
        }
        self
    }

    pub(super) fn validate(&self) -> Result<(), Invalid> {
        let streams = self.entries.iter().filter(|entry| entry.role != Role::Guard).count();
        let guards = self.entries.len() - streams;
        if (1..=STREAMS_MAX).contains(&streams) && guards <= GUARDS_MAX {
            self.entries.iter().try_for_each(|entry| check_id(&entry.stream))
        } else {
            Err(Invalid::Plan { streams_max: STREAMS_MAX, guards_max: GUARDS_MAX })
        }
    }
}

/// The working copy that a decision reads and moves.
///
/// Events take the order in which they are decided, across streams.
pub struct Decision<'a> {
    plan: &'a Plan,
    bases: &'a [Versioned],
    /// Per entry, the base moved by the events so far; made only when somebody looks.
    moved: Vec<OnceCell<Box<dyn State>>>,
    /// The entry's index and the event.
    events: Vec<(usize, Event)>,
    misuse: RefCell<Option<StreamId>>,
}

/// A state that a decision may look at.
///
/// For a stream that the plan does not name it is the empty state, and the append is refused.
pub enum Seen<'d, A> {
    /// The stream's state, events decided so far included.
    Planned(&'d A),
    /// No such stream in the plan.
    Missing(A),
}

impl<A> Deref for Seen<'_, A> {
    type Target = A;

    fn deref(&self) -> &A {
        match self {
            Self::Planned(state) => state,
            Self::Missing(state) => state,
        }
    }
}

impl<'a> Decision<'a> {
    pub(super) fn new(plan: &'a Plan, bases: &'a [Versioned]) -> Self {
        let moved = plan.entries.iter().map(|_| OnceCell::new()).collect();
        Self { plan, bases, moved, events: Vec::new(), misuse: RefCell::new(None) }
    }

    /// The state of a planned stream, moved by the events decided so far.
    pub fn state<A: Decider>(&self, id: impl Display) -> Seen<'_, A> {
        let stream = StreamId::of::<A>(id);
        let planned = self.index(&stream).and_then(|index| self.moved_state::<A>(index));
        planned.map_or_else(
            || {
                self.misuse.replace(Some(stream));
                Seen::Missing(A::default())
            },
            Seen::Planned,
        )
    }

    /// The version of a planned stream, events decided so far included; 0 for an empty stream.
    pub fn version<A: Decider>(&self, id: impl Display) -> i64 {
        let stream = StreamId::of::<A>(id);
        let Some(index) = self.index(&stream) else {
            self.misuse.replace(Some(stream));
            return 0;
        };
        self.bases[index].version + self.events_of(index).map(|_| 1).sum::<i64>()
    }

    /// Lets a planned stream decide on a command; its events join the append.
    ///
    /// # Errors
    /// The aggregate's refusal. On a stream that the plan does not name as writable nothing is
    /// decided, and the append as a whole is refused.
    pub fn decide<A: Decider>(
        &mut self,
        id: impl Display,
        command: A::Command,
    ) -> Result<(), A::Error> {
        let stream = StreamId::of::<A>(id);
        let writable = |index: &usize| self.plan.entries[*index].role != Role::Guard;
        let index = self.index(&stream).filter(writable);
        let Some((index, state)) =
            index.and_then(|index| Some((index, self.moved_state::<A>(index)?)))
        else {
            self.misuse.replace(Some(stream));
            return Ok(());
        };
        let events = state.decide(command)?;
        for event in events.into_iter().map(A::wrap) {
            if let Some(moved) = self.moved[index].get_mut() {
                moved.evolve(&event);
            }
            self.events.push((index, event));
        }
        Ok(())
    }

    /// The events decided so far, in the order they will have in the log.
    pub fn events(&self) -> impl Iterator<Item = &Event> {
        self.events.iter().map(|(_, event)| event)
    }

    fn index(&self, stream: &StreamId) -> Option<usize> {
        self.plan.entries.iter().position(|entry| entry.stream == *stream)
    }

    fn events_of(&self, index: usize) -> impl Iterator<Item = &Event> {
        self.events.iter().filter(move |(of, _)| *of == index).map(|(_, event)| event)
    }

    /// The base as long as nothing has been decided on it: most decisions copy no state at all.
    fn moved_state<A: Decider>(&self, index: usize) -> Option<&A> {
        if self.events_of(index).next().is_none() {
            return self.bases[index].downcast();
        }
        let moved = self.moved[index].get_or_init(|| {
            let mut copy = self.bases[index].state.boxed_clone();
            self.events_of(index).for_each(|event| copy.evolve(event));
            copy
        });
        let any: &dyn Any = &**moved;
        any.downcast_ref()
    }

    /// What is to be checked and written; with no events the checks are what the decision read.
    pub(super) fn into_parts(self) -> Result<Decided, Invalid> {
        if let Some(stream) = self.misuse.into_inner() {
            return Err(Invalid::NotPlanned(stream));
        }
        let mut versions: Vec<i64> = self.bases.iter().map(|base| base.version).collect();
        let mut events = Vec::with_capacity(self.events.len());
        for (index, event) in self.events {
            versions[index] += 1;
            events.push((self.plan.entries[index].stream.clone(), versions[index], event));
        }
        let checks = self.plan.entries.iter().zip(self.bases);
        let checks = checks
            .map(|(entry, base)| Check { stream: entry.stream.clone(), version: base.version })
            .collect();
        Ok(Decided { checks, events })
    }
}

/// What came out of a decision.
pub(super) struct Decided {
    pub(super) checks: Vec<Check>,
    pub(super) events: Vec<(StreamId, i64, Event)>,
}
