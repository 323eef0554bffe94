//! Payloads of events, one a line, after a first byte that says of which aggregate: what can be read is
//! written and read again the same, and moves the aggregate's state without a panic. A line that begins
//! with `!` is of an earlier version, which is brought up to date first.

#![no_main]

use std::sync::LazyLock;

use cqrs_es::persist::SemanticVersionEventUpcaster;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use trinity::domain::account::Account;
use trinity::domain::agent::Agent;
use trinity::domain::execution::Execution;
use trinity::domain::slots::Slots;
use trinity::domain::{Decider, Event, StreamId};
use trinity::event_log::Upcasters;

const VERSION: &str = "1";
const EARLIER: &str = "0.9";

/// One event of each aggregate is concerned; the account's had a field that was called otherwise.
static UPCASTERS: LazyLock<Upcasters> = LazyLock::new(|| {
    let names = ["UserCreated", "AgentCreated", "SlotAcquired", "ExecutionRequested"];
    let upcaster = |name| SemanticVersionEventUpcaster::new(name, VERSION, Box::new(rename_rank));
    Upcasters::new(names.map(|name| Box::new(upcaster(name)) as Box<_>).into())
});

fn rename_rank(mut payload: Value) -> Value {
    if let Some(fields) = payload.get_mut("UserCreated").and_then(Value::as_object_mut)
        && let Some(rank) = fields.remove("rank")
    {
        fields.insert("role".to_owned(), rank);
    }
    payload
}

fuzz_target!(|data: &[u8]| {
    let Some((kind, rest)) = data.split_first() else { return };
    let Ok(text) = std::str::from_utf8(rest) else { return };
    match kind % 4 {
        0 => fold::<Agent>(text),
        1 => fold::<Slots>(text),
        2 => fold::<Execution>(text),
        _ => fold::<Account>(text),
    }
});

fn fold<A: Decider>(text: &str) {
    let stream = StreamId::of::<A>("fuzz");
    let mut state = A::default();
    for (version, line) in (1..).zip(text.lines()) {
        let (payload, event_version) =
            line.strip_prefix('!').map_or((line, VERSION), |payload| (payload, EARLIER));
        // The name of the only field is that of the event.
        let Some(event_type) = payload.split('"').nth(1) else { continue };
        let read = |payload| UPCASTERS.event(&stream, version, event_type, event_version, payload);
        let Ok(event) = read(payload) else { continue };
        let own = A::unwrap(&event).expect("an event of the kind that was asked for");
        let written = serde_json::to_string(own).expect("an event can be written");
        let again = Event::decode(A::STREAM, &written).expect("what was written can be read");
        assert_eq!(event, again, "{written}");
        state.evolve(own);
    }
}
