//! Rows that do not say what they should, and the order of the log.

use trinity::audit::Invariant::{Causes, Metadata, Order, Readable};

use super::super::tamper::{Log, Op};
use super::{Corruption, edited, spoilt};

pub(super) fn all(log: &Log) -> Vec<Corruption> {
    [readable(log), metadata(log), causes(log), order(log), ids_and_times(log)]
        .into_iter()
        .flatten()
        .collect()
}

fn set(position: i64, columns: &str) -> Vec<Op> {
    vec![Op::Set(position, columns.to_owned())]
}

fn readable(log: &Log) -> Vec<Corruption> {
    let failed = log.nth("ExecutionFailed", 0).position;
    let grant = log.nth("SlotAcquired", 1).position;
    let bound = log.nth("SessionBound", 0).position;
    let renamed = vec![
        Op::Set(bound, "event_type = 'SessionBent'".into()),
        Op::Payload(bound, "SessionBound".into(), "SessionBent".into()),
    ];
    let completed = "event_type = 'ExecutionCompleted'";
    vec![
        spoilt("another type", set(failed, completed), Readable, failed),
        spoilt("an unknown type", renamed, Readable, bound),
        spoilt("an unknown stream", set(bound, "aggregate_type = 'session'"), Readable, bound),
        spoilt("an id of no stream", set(bound, "aggregate_id = 'one'"), Readable, bound),
        spoilt("an unknown version", set(bound, "event_version = '2'"), Readable, bound),
        spoilt("a payload that is a list", set(bound, "payload = '[]'"), Readable, bound),
        spoilt("a payload that is null", set(bound, "payload = 'null'"), Readable, bound),
        edited("a field gone", grant, "epoch", "epoc", Readable),
        edited("a number as text", grant, "\"epoch\":1", "\"epoch\":\"1\"", Readable),
        edited("a word nobody knows", failed, "\"lost\"", "\"last\"", Readable),
        edited("an id that is none", grant, "execution_id\":\"", "execution_id\":\"x", Readable),
        edited("a time that is none", grant, "\"expires_at\":\"2", "\"expires_at\":\"", Readable),
    ]
}

fn metadata(log: &Log) -> Vec<Corruption> {
    let at = log.nth("SessionBound", 0).position;
    let edit = |from: &str, to: &str| vec![Op::Metadata(at, from.into(), to.into())];
    vec![
        spoilt("no actor", edit("\"actor\"", "\"factor\""), Metadata, at),
        spoilt("an actor of no kind", edit("\"system\"", "\"root\""), Metadata, at),
        spoilt("no request", edit("correlation_id", "correlation"), Metadata, at),
        spoilt(
            "a command without an id",
            edit("command_id\":\"", "command_id\":\"x"),
            Metadata,
            at,
        ),
        spoilt(
            "a cause that is none",
            edit("causation_id\":\"", "causation_id\":\"x"),
            Metadata,
            at,
        ),
        spoilt("metadata that is a list", set(at, "metadata = '[]'"), Metadata, at),
    ]
}

/// Each of these reports names the event before it as what led to it.
fn causes(log: &Log) -> Vec<Corruption> {
    let at = log.nth("SessionBound", 0).position;
    let (end, last) = (log.nth("ExecutionCompleted", 0).position, log.last().position);
    let renamed = |row: i64, id: &str| Op::Set(row, format!("event_id = {id}"));
    let id_of = |row: i64| format!("(SELECT event_id FROM events WHERE position = {row})");
    let gone = || renamed(at - 1, "'00000000-0000-4000-8000-000000000002'");
    let moved = |to: i64| vec![renamed(to, &id_of(at - 1)), gone()];
    let silent = vec![Op::Metadata(at, "causation_id".into(), "caused_by".into())];
    let within = vec![renamed(end, &id_of(end - 1))];
    vec![
        spoilt("a cause that is no event", vec![gone()], Causes, at),
        spoilt("a cause that comes later", moved(last), Causes, at),
        spoilt("an event that led to itself", moved(at), Causes, at),
        spoilt("a cause of the same append", within, Causes, end),
        spoilt("a report that nothing led to", silent, Causes, at),
    ]
}

fn order(log: &Log) -> Vec<Corruption> {
    let last = log.last().position;
    let middle = last / 2;
    let delete =
        |position: i64| vec![Op::Sql(format!("DELETE FROM events WHERE position = {position};"))];
    let shift =
        |n: i64| vec![Op::Sql(format!("UPDATE event_log_head SET position = position + {n};"))];
    let no_head = vec![Op::Sql("DELETE FROM event_log_head;".into())];
    let started = log.nth("ExecutionStarted", 1);
    let asked = log.of("ExecutionRequested", &started.stream_id).position;
    let swap = vec![Op::Swap(started.position, asked)];
    vec![
        spoilt("a row gone", delete(middle), Order, middle + 1),
        spoilt("the end gone", delete(last), Order, last),
        spoilt("the head behind", shift(-1), Order, last),
        spoilt("the head ahead", shift(1), Order, last + 1),
        spoilt("no head", no_head, Order, last),
        spoilt("two events of a stream exchanged", swap, Order, asked),
    ]
}

fn ids_and_times(log: &Log) -> Vec<Corruption> {
    let last = log.last().position;
    let middle = last / 2;
    let skipped = format!("sequence = {}", log.last().version + 1);
    let copied = format!("event_id = (SELECT event_id FROM events WHERE position = {middle})");
    let early_head = vec![Op::Sql("UPDATE event_log_head SET recorded_at = 1;".into())];
    vec![
        spoilt("a version left out", set(last, &skipped), Order, last),
        spoilt("an id twice", set(last, &copied), Order, last),
        spoilt("an id that is no UUID", set(middle, "event_id = 'e'"), Order, middle),
        spoilt("time steps back", set(middle, "recorded_at = 1"), Order, middle),
        spoilt("a head before its time", early_head, Order, last),
    ]
}
