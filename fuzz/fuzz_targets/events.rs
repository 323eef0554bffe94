//! Payloads of events, one a line, whose first byte says of which aggregate: what can be read is
//! written and read again the same, and moves the aggregate's state without a panic.

#![no_main]

use libfuzzer_sys::fuzz_target;
use trinity::domain::account::Account;
use trinity::domain::agent::Agent;
use trinity::domain::execution::Execution;
use trinity::domain::slots::Slots;
use trinity::domain::{Decider, Event, StreamType};

fuzz_target!(|data: &[u8]| {
    let Some((kind, rest)) = data.split_first() else { return };
    let Ok(text) = std::str::from_utf8(rest) else { return };
    match kind % 4 {
        0 => fold::<Agent>(StreamType::Agent, text),
        1 => fold::<Slots>(StreamType::Slots, text),
        2 => fold::<Execution>(StreamType::Execution, text),
        _ => fold::<Account>(StreamType::Account, text),
    }
});

fn fold<A: Decider>(kind: StreamType, text: &str) {
    let mut state = A::default();
    for line in text.lines() {
        let Ok(event) = Event::decode(kind, line) else { continue };
        let own = A::unwrap(&event).expect("an event of the kind that was asked for");
        let written = serde_json::to_string(own).expect("an event can be written");
        let again = Event::decode(kind, &written).expect("what was written can be read");
        assert_eq!(event, again, "{written}");
        state.evolve(own);
    }
}
