//! What the slots of an agent never do.

use trinity::audit::Invariant::{
    Admission, Capacity, ChatTurns, Configuration, Epochs, Fifo, GrantTerms, NoStartAfterEnd,
    Queue, SlotEnds, WorkConserving,
};

use super::super::tamper::{Log, Op};
use super::{Corruption, edited, removed, repeated, spoilt};

pub(super) fn all(log: &Log) -> Vec<Corruption> {
    let of = Landmarks::of(log);
    [grants(&of), terms(&of), chat_turns(&of), ends(&of), queue(&of), admission(&of)]
        .into_iter()
        .flatten()
        .collect()
}

/// Agent `scout` with two slots: the first run and a chat turn hold them; a second chat turn, a
/// third run and one that is cancelled wait; the third is granted the slot that the first gives
/// back, and granted it anew before it starts.
struct Landmarks<'l> {
    log: &'l Log,
    first: String,
    chat: String,
    second_chat: String,
    third: String,
    unwanted: String,
    /// The first run's slot comes back.
    freed: i64,
    /// The grant to the third, right behind.
    follows: i64,
}

impl<'l> Landmarks<'l> {
    fn of(log: &'l Log) -> Self {
        let [first, chat, second_chat, third, unwanted] =
            [0, 1, 2, 3, 4].map(|n| log.run("scout", n));
        let freed = log.of("SlotReleased", &first).position;
        let follows = log.of("SlotAcquired", &third).position;
        assert_eq!(follows, freed + 1);
        Self { log, first, chat, second_chat, third, unwanted, freed, follows }
    }

    fn grant(&self, id: &str) -> i64 {
        self.log.of("SlotAcquired", id).position
    }

    fn enqueued(&self, id: &str) -> i64 {
        self.log.of("ExecutionEnqueued", id).position
    }
}

fn grants(of: &Landmarks<'_>) -> Vec<Corruption> {
    let scout = of.log.life("scout", 0);
    let capacity = of.log.of("CapacitySet", &scout).position;
    let (first, chat) = (of.grant(&of.first), of.grant(&of.chat));
    let regrant = of.log.after("SlotExpired", of.follows).position + 1;
    let from = "\"max_parallel_tasks\":2".to_owned();
    let lowered = vec![Op::Payload(capacity, from, "\"max_parallel_tasks\":1".into())];
    vec![
        spoilt("a grant above the capacity", lowered, Capacity, chat),
        edited("a slot beyond the pool", chat, "\"slot\":2", "\"slot\":3", Capacity),
        edited("a grant to a cancelled one", of.follows, &of.third, &of.unwanted, NoStartAfterEnd),
        repeated("a second grant", first, first, NoStartAfterEnd),
        edited("a regrant under the same epoch", regrant, "\"epoch\":2", "\"epoch\":1", Epochs),
        edited("a grant under a later epoch", first, "\"epoch\":1", "\"epoch\":2", Epochs),
        removed("a slot left free", of.follows, WorkConserving, of.freed),
        edited(
            "a number of the queue twice",
            of.enqueued(&of.third),
            "\"queue_no\":4",
            "\"queue_no\":3",
            Fifo,
        ),
        spoilt(
            "the later passes the earlier",
            vec![Op::Payload(
                of.enqueued(&of.second_chat),
                "\"is_chat_turn\":true".into(),
                "\"is_chat_turn\":false".into(),
            )],
            Fifo,
            of.follows,
        ),
    ]
}

fn terms(of: &Landmarks<'_>) -> Vec<Corruption> {
    let (first, chat) = (of.grant(&of.first), of.grant(&of.chat));
    let expiry = of.log.at(first).get("expires_at").as_str().unwrap();
    let (later, earlier) = (expiry.replacen("20", "21", 1), expiry.replacen("20", "19", 1));
    let (sixty, thirty) = ("\"timeout_seconds\":60", "\"timeout_seconds\":30");
    let asks = of.enqueued(&of.third);
    vec![
        edited("a slot held twice", chat, "\"slot\":2", "\"slot\":1", GrantTerms),
        edited("slot nought", chat, "\"slot\":2", "\"slot\":0", GrantTerms),
        edited("more time than allowed", first, sixty, "\"timeout_seconds\":61", GrantTerms),
        edited("less than asked for", of.follows, thirty, "\"timeout_seconds\":29", GrantTerms),
        edited("too much asked for", asks, thirty, "\"timeout_seconds\":61", GrantTerms),
        edited("a slot that lives too long", first, expiry, &later, GrantTerms),
        edited("a slot that dies too early", first, expiry, &earlier, GrantTerms),
    ]
}

fn chat_turns(of: &Landmarks<'_>) -> Vec<Corruption> {
    let (yes, no) = ("\"is_chat_turn\":true", "\"is_chat_turn\":false");
    let (first, chat) = (of.grant(&of.first), of.grant(&of.chat));
    let both = [of.enqueued(&of.first), first];
    let both = both.map(|position| Op::Payload(position, no.into(), yes.into()));
    vec![
        edited("a chat turn granted as none", chat, yes, no, ChatTurns),
        spoilt("two chat turns at once", both.to_vec(), ChatTurns, chat),
    ]
}

fn ends(of: &Landmarks<'_>) -> Vec<Corruption> {
    let completed = of.log.of("ExecutionCompleted", &of.first).position;
    let expired = vec![
        Op::Set(of.freed, "event_type = 'SlotExpired'".into()),
        Op::Payload(of.freed, "SlotReleased".into(), "SlotExpired".into()),
    ];
    let other = vec![Op::Payload(of.freed, "\"slot\":1".into(), "\"slot\":2".into())];
    vec![
        spoilt("a slot of somebody else", other, SlotEnds, completed),
        removed("an end that keeps its slot", of.freed, SlotEnds, completed),
        removed("a slot without an end", completed, SlotEnds, of.freed),
        spoilt("taken back before its time", expired, SlotEnds, of.freed),
        repeated("given back twice", of.freed, of.freed, SlotEnds),
    ]
}

fn queue(of: &Landmarks<'_>) -> Vec<Corruption> {
    let log = of.log;
    let dequeued = log.of("ExecutionDequeued", &of.unwanted).position;
    let cancelled = log.of("ExecutionCancelled", &of.unwanted).position;
    let waits = of.enqueued(&of.second_chat);
    let asked = log.of("ExecutionRequested", &of.second_chat).position;
    vec![
        removed("cancelled in the queue", dequeued, Queue, cancelled),
        removed("out of the queue and alive", cancelled, Queue, dequeued),
        removed("a request outside the queue", waits, Queue, asked),
        removed("an entry that nobody asked for", asked, Queue, waits),
        repeated("in the queue twice", waits, waits, Queue),
    ]
}

fn admission(of: &Landmarks<'_>) -> Vec<Corruption> {
    let log = of.log;
    let busy = log.life("busy", 0);
    let created = log.of("AgentCreated", "busy").position;
    let (set, timeout) = (log.of("CapacitySet", &busy), log.of("AgentTimeoutSet", &busy));
    let resumed = log.of("AdmissionResumed", &busy).position;
    let suspended = log.nth("AdmissionSuspended", 0).position;
    vec![
        removed("admission stays suspended", resumed, Admission, resumed - 1),
        removed("admission stays open", suspended, Admission, suspended - 1),
        repeated("admission opened twice", resumed, resumed, Admission),
        removed("slots without a capacity", set.position, Configuration, created),
        removed("slots without a timeout", timeout.position, Configuration, created),
    ]
}
