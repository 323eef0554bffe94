//! Every corruption is told: the invariant that it breaks, and the event where it first shows.

mod lives;
mod rows;
mod slots;

use trinity::audit::Invariant;

use super::tamper::{Log, Op, keep, restore, spoil};
use super::{assert_clean, audit, history};

/// What is done to the log, the invariant it breaks, and the first position where that shows.
struct Corruption {
    name: &'static str,
    ops: Vec<Op>,
    breaks: Invariant,
    first_at: i64,
}

fn spoilt(name: &'static str, ops: Vec<Op>, breaks: Invariant, first_at: i64) -> Corruption {
    Corruption { name, ops, breaks, first_at }
}

/// A corruption by one change of a payload, told at that very event.
fn edited(
    name: &'static str,
    position: i64,
    from: &str,
    to: &str,
    breaks: Invariant,
) -> Corruption {
    spoilt(name, vec![Op::Payload(position, from.into(), to.into())], breaks, position)
}

/// A corruption by a row that is gone with no gap left, told at the event before or after.
fn removed(name: &'static str, position: i64, breaks: Invariant, first_at: i64) -> Corruption {
    let first_at = if first_at > position { first_at - 1 } else { first_at };
    spoilt(name, vec![Op::Remove(position)], breaks, first_at)
}

/// A corruption by a copy of the row behind another, told at the copy.
fn repeated(name: &'static str, position: i64, behind: i64, breaks: Invariant) -> Corruption {
    spoilt(name, vec![Op::Repeat(position, behind)], breaks, behind + 1)
}

#[tokio::test]
async fn every_corruption_is_told_with_its_invariant_and_its_first_event() {
    let db = history::build().await;
    keep(&db).await;
    let log = Log::read(&db).await;
    let corruptions: Vec<_> =
        [rows::all(&log), slots::all(&log), lives::all(&log)].into_iter().flatten().collect();
    assert!(corruptions.len() >= 60, "{}", corruptions.len());
    let mut missed = Vec::new();
    for Corruption { name, ops, breaks, first_at } in corruptions {
        spoil(&db, &log, &ops).await;
        let report = audit(&db).await;
        let check = report.check(breaks).unwrap();
        let found = check.first.as_ref().map(|first| first.position);
        if found != Some(first_at) {
            let all: Vec<_> = report.violated().collect();
            let code = breaks.code();
            missed.push(format!("{name}: {code} at {first_at}, found {found:?}; all: {all:#?}"));
        }
    }
    restore(&db).await;
    assert_clean(&audit(&db).await);
    assert!(missed.is_empty(), "{} missed:\n{}", missed.len(), missed.join("\n"));
}
