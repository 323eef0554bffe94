//! Given, when, then: the shape of every test of a decision, and the values such tests share.

use std::str::FromStr;

use chrono::{DateTime, TimeDelta, Utc};
use cqrs_es::test::TestFramework;
use uuid::Uuid;

use super::{AgentName, Decider, Event, IncarnationId, StreamType};

/// The history that a decision starts from.
pub(super) struct Given<A: Decider>(Vec<A::Event>);

/// What was decided.
pub(super) struct Decided<A: Decider>(Result<Vec<A::Event>, A::Error>);

/// Begins a test with what has happened already.
pub(super) fn given<A: Decider>(history: impl IntoIterator<Item = A::Event>) -> Given<A> {
    Given(history.into_iter().collect())
}

impl<A: Decider> Given<A> {
    /// Sends the command through the framework, as the event log would.
    pub(super) fn when(self, command: A::Command) -> Decided<A> {
        Decided(TestFramework::<A>::with(()).given(self.0).when(command).inspect_result())
    }
}

impl<A: Decider> Decided<A> {
    #[track_caller]
    pub(super) fn then(self, expected: impl IntoIterator<Item = A::Event>) {
        let expected: Vec<_> = expected.into_iter().collect();
        match self.0 {
            Ok(events) => assert_eq!(events, expected),
            Err(error) => panic!("refused: {error}; expected {expected:?}"),
        }
    }

    #[track_caller]
    pub(super) fn then_nothing(self) {
        self.then([]);
    }

    #[track_caller]
    pub(super) fn then_refused(self, expected: &A::Error)
    where
        A::Error: PartialEq,
    {
        match self.0 {
            Ok(events) => panic!("decided {events:?}; expected to be refused: {expected}"),
            Err(error) => assert_eq!(error, *expected),
        }
    }
}

/// The state after a history.
pub(super) fn after<A: Decider>(history: impl IntoIterator<Item = A::Event>) -> A {
    let mut state = A::default();
    for event in history {
        state.apply(event);
    }
    state
}

/// A second after an arbitrary beginning.
pub(super) fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::seconds(1_800_000_000 + seconds)
}

/// The same identifier for the same number.
pub(super) fn id<T: FromStr>(number: u128) -> T
where
    T::Err: std::fmt::Debug,
{
    Uuid::from_u128((0x7 << 76) | (0x8 << 60) | number).to_string().parse().unwrap()
}

pub(super) fn incarnation(number: u128) -> IncarnationId {
    id(number)
}

pub(super) fn name(text: &str) -> AgentName {
    text.parse().unwrap()
}

/// Holds every event of an aggregate against its frozen JSON, which the log keeps for ever.
///
/// `events` has each variant at least once; each is read back from its JSON as it was.
#[track_caller]
pub(super) fn assert_frozen<A: Decider>(events: Vec<A::Event>, variants: &[&str]) {
    let kind: StreamType = A::TYPE.parse().unwrap();
    let mut covered = std::collections::BTreeSet::new();
    let mut lines = String::new();
    for event in events {
        let event = A::wrap(event);
        let json = event.encode().unwrap();
        assert_eq!(Event::decode(kind, &json).unwrap(), event);
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        let keys: Vec<&String> = value.as_object().unwrap().keys().collect();
        assert_eq!(keys, [event.name()], "the payload's variant is the event type");
        let inner = A::unwrap(&event).unwrap();
        assert_eq!(cqrs_es::DomainEvent::event_type(inner), event.name());
        assert_eq!(cqrs_es::DomainEvent::event_version(inner), event.version());
        covered.insert(event.name());
        lines.push_str(&json);
        lines.push('\n');
    }
    let missing: Vec<_> = variants.iter().filter(|variant| !covered.contains(*variant)).collect();
    assert!(missing.is_empty(), "no frozen JSON of {missing:?}");
    insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!(format!("{}_events", A::TYPE), lines);
    });
}
