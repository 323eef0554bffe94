//! The pure core: aggregates, their commands and events, and the words they share.
//!
//! Nothing here reads a clock, makes an id, or does I/O: whatever a decision needs comes in its command.
//! An aggregate is one file: life cycle, commands, events, refusals, `decide`, `evolve`, value types, tests.

#![warn(clippy::wildcard_enum_match_arm)]

pub mod account;
pub mod agent;
pub mod execution;
mod id;
mod metadata;
pub mod name;
mod recorded;
pub mod slots;
#[cfg(test)]
mod testing;

pub use id::{AccountId, EventId, ExecutionId, IncarnationId, InvalidId};
pub use metadata::{Actor, Metadata};
pub use name::AgentName;
pub use recorded::{DecodeError, Event, Recorded, StreamId, StreamType, UnknownStreamType};

use cqrs_es::Aggregate;

/// An aggregate whose decisions are a pure function of its state and the command.
///
/// `cqrs-es` lets `handle` do I/O; ours never does, so the same decision can be repeated on fresh
/// state after a conflict, and several aggregates can decide inside one append.
pub trait Decider: Aggregate<Services = ()> + Clone + std::fmt::Debug + 'static {
    /// The kind of stream this aggregate lives in; its word is `Aggregate::TYPE`.
    const STREAM: StreamType;

    /// Says which events follow from the command, or why it is refused; an empty list is a no-op.
    fn decide(&self, command: Self::Command) -> Result<Vec<Self::Event>, Self::Error>;

    /// Moves the state by one event that has happened; never fails.
    fn evolve(&mut self, event: &Self::Event);

    /// Wraps an event of this aggregate in the enum of the whole domain.
    fn wrap(event: Self::Event) -> Event;

    /// Takes the event out of the enum of the whole domain, when it is one of this aggregate.
    fn unwrap(event: &Event) -> Option<&Self::Event>;
}

/// Connects an aggregate's `decide` and `evolve` to the `cqrs-es` framework.
macro_rules! aggregate {
    ($aggregate:ident, $command:ty, $event:ident, $error:ty) => {
        impl cqrs_es::Aggregate for $aggregate {
            const TYPE: &'static str = $crate::domain::StreamType::$aggregate.as_str();
            type Command = $command;
            type Event = $event;
            type Error = $error;
            type Services = ();

            async fn handle(
                &mut self,
                command: Self::Command,
                _services: &(),
                sink: &cqrs_es::event_sink::EventSink<Self>,
            ) -> Result<(), Self::Error> {
                for event in $crate::domain::Decider::decide(self, command)? {
                    sink.write(event, self).await;
                }
                Ok(())
            }

            fn apply(&mut self, event: Self::Event) {
                $crate::domain::Decider::evolve(self, &event);
            }
        }

        impl cqrs_es::DomainEvent for $event {
            fn event_type(&self) -> String {
                self.name().to_owned()
            }

            fn event_version(&self) -> String {
                $crate::domain::recorded::EVENT_VERSION.to_owned()
            }
        }

        impl $event {
            /// The variant's name, letter by letter what `event_type` and the wire's `type` say.
            pub fn name(&self) -> &'static str {
                self.into()
            }
        }
    };
}
use aggregate;
