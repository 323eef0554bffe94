//! The invariants of the slots after any sequence of commands, checked on the events alone.

use std::collections::{BTreeMap, HashMap, HashSet};

use proptest::prelude::*;

use super::*;

/// A command that may speak of executions by their number; out of turn as often as not.
#[derive(Debug, Clone)]
enum Step {
    Enqueue { is_chat_turn: bool, timeout_seconds: Option<u32> },
    EnqueueAgain(usize),
    Release(usize),
    Expire { which: usize, epoch: u32 },
    Regrant { which: usize, epoch: u32 },
    Dequeue(usize),
    SetCapacity(u32),
    SetTimeout(u32),
    Suspend(SuspendReason),
    Resume,
}

fn step() -> impl Strategy<Value = (i64, Step)> {
    let which = 0..1_000_usize;
    let reason = prop_oneof![
        Just(SuspendReason::AgentStopped),
        Just(SuspendReason::AgentPaused),
        Just(SuspendReason::AgentCrashed),
    ];
    let step = prop_oneof![
        12 => (any::<bool>(), proptest::option::of(10..2_000_u32))
            .prop_map(|(is_chat_turn, timeout_seconds)| Step::Enqueue { is_chat_turn, timeout_seconds }),
        1 => which.clone().prop_map(Step::EnqueueAgain),
        8 => which.clone().prop_map(Step::Release),
        3 => (which.clone(), 1..3_u32).prop_map(|(which, epoch)| Step::Expire { which, epoch }),
        3 => (which.clone(), 1..3_u32).prop_map(|(which, epoch)| Step::Regrant { which, epoch }),
        2 => which.prop_map(Step::Dequeue),
        2 => (0..6_u32).prop_map(Step::SetCapacity),
        1 => (5..1_500_u32).prop_map(Step::SetTimeout),
        2 => reason.prop_map(Step::Suspend),
        4 => Just(Step::Resume),
    ];
    (0..400_i64, step)
}

/// Waiting executions, held slots and what was ever granted, kept by its own rules.
#[derive(Default)]
struct Model {
    capacity: u32,
    timeout_seconds: u32,
    open: bool,
    paused: bool,
    waiting: Vec<(ExecutionId, bool, Option<u32>)>,
    held: BTreeMap<u32, (ExecutionId, bool, DateTime<Utc>)>,
    epochs: HashMap<ExecutionId, u32>,
    gone: HashSet<ExecutionId>,
    /// Taken back before its time, which only a regrant may do.
    expired_early: Option<ExecutionId>,
    queue_no: u64,
}

impl Model {
    fn chat_is_held(&self) -> bool {
        self.held.values().any(|(_, is_chat_turn, _)| *is_chat_turn)
    }

    /// The entry whose turn it is.
    fn turn(&self) -> Option<usize> {
        let chat_is_held = self.chat_is_held();
        self.waiting.iter().position(|(_, is_chat_turn, _)| !(*is_chat_turn && chat_is_held))
    }

    fn leave(&mut self, execution_id: ExecutionId, slot: u32) -> (bool, DateTime<Utc>) {
        let (holder, is_chat_turn, expires_at) = self.held.remove(&slot).expect("a held slot");
        assert_eq!(holder, execution_id, "given back by its holder");
        (is_chat_turn, expires_at)
    }

    fn grant(&mut self, event: &SlotsEvent, before: Option<&SlotsEvent>, now: DateTime<Utc>) {
        let E::SlotAcquired {
            execution_id,
            slot,
            epoch,
            is_chat_turn,
            timeout_seconds,
            expires_at,
        } = event
        else {
            unreachable!()
        };
        assert!(self.open, "no grant while suspended");
        let is_regrant = matches!(before, Some(E::SlotExpired { execution_id: expired, slot: freed })
            if expired == execution_id && freed == slot);
        if is_regrant {
            self.gone.remove(execution_id);
            self.expired_early = None;
            assert!(*timeout_seconds <= self.timeout_seconds);
        } else {
            assert!(self.held.len() < self.capacity as usize, "more than the capacity");
            assert!((1..=self.capacity).contains(slot));
            let turn = self.turn().expect("somebody waits");
            let (waiting, chat, asked) = self.waiting.remove(turn);
            assert_eq!((waiting, chat), (*execution_id, *is_chat_turn), "not in its turn");
            let allowed = asked.unwrap_or(self.timeout_seconds).min(self.timeout_seconds);
            assert_eq!(*timeout_seconds, allowed);
        }
        assert!(!self.gone.contains(execution_id), "granted after it was given back");
        let life = i64::from(self.timeout_seconds) + SLOT_BUFFER_SECONDS;
        assert_eq!((*expires_at - now).num_seconds(), life);
        let last = self.epochs.insert(*execution_id, *epoch).unwrap_or_default();
        assert_eq!(*epoch, last + 1, "epochs strictly increase");
        assert!(!(*is_chat_turn && self.chat_is_held()), "two chat turns");
        let holder = (*execution_id, *is_chat_turn, *expires_at);
        assert_eq!(self.held.insert(*slot, holder), None, "a slot granted twice");
    }

    fn observe(&mut self, event: &SlotsEvent, before: Option<&SlotsEvent>, now: DateTime<Utc>) {
        match event {
            E::CapacitySet { max_parallel_tasks } => self.capacity = *max_parallel_tasks,
            E::AgentTimeoutSet { seconds } => self.timeout_seconds = *seconds,
            E::ExecutionEnqueued { execution_id, is_chat_turn, timeout_seconds, queue_no } => {
                assert!(self.open, "accepted while suspended");
                assert_eq!(*queue_no, self.queue_no + 1);
                self.queue_no = *queue_no;
                self.waiting.push((*execution_id, *is_chat_turn, *timeout_seconds));
            }
            E::SlotAcquired { .. } => self.grant(event, before, now),
            E::SlotReleased { execution_id, slot, .. } => {
                self.leave(*execution_id, *slot);
                self.gone.insert(*execution_id);
            }
            E::SlotExpired { execution_id, slot } => {
                assert!(!self.paused, "expired while frozen");
                let (_, expires_at) = self.leave(*execution_id, *slot);
                self.expired_early = (expires_at > now).then_some(*execution_id);
                self.gone.insert(*execution_id);
            }
            E::ExecutionDequeued { execution_id, .. } => {
                let place = self.waiting.iter().position(|(waiting, ..)| waiting == execution_id);
                self.waiting.remove(place.expect("it waits"));
                self.gone.insert(*execution_id);
            }
            E::AdmissionSuspended { reason } => {
                self.open = false;
                self.paused = *reason == SuspendReason::AgentPaused;
            }
            E::AdmissionResumed {} => (self.open, self.paused) = (true, false),
        }
    }

    fn assert_settled(&self) {
        assert_eq!(self.expired_early, None, "expired before its time");
        let free = self.open && self.held.len() < self.capacity as usize;
        assert!(!free || self.turn().is_none(), "a free slot while somebody may run");
    }
}

fn command(step: &Step, submitted: u128, now: DateTime<Utc>) -> SlotsCommand {
    let pick = |which: &usize| id(1 + *which as u128 % submitted.max(1));
    match step {
        Step::Enqueue { is_chat_turn, timeout_seconds } => C::Enqueue {
            entry: Entry {
                execution_id: id(submitted + 1),
                is_chat_turn: *is_chat_turn,
                timeout_seconds: *timeout_seconds,
            },
            queue_length_max: 8,
            now,
        },
        Step::EnqueueAgain(which) => {
            let entry =
                Entry { execution_id: pick(which), is_chat_turn: true, timeout_seconds: None };
            C::Enqueue { entry, queue_length_max: 8, now }
        }
        Step::Release(which) => {
            C::Release { execution_id: pick(which), reason: ReleaseReason::Exited, now }
        }
        Step::Expire { which, epoch } => {
            C::Expire { execution_id: pick(which), epoch: *epoch, now }
        }
        Step::Regrant { which, epoch } => {
            C::Regrant { execution_id: pick(which), epoch: *epoch, now }
        }
        Step::Dequeue(which) => {
            C::Dequeue { execution_id: pick(which), reason: DequeueReason::Cancelled }
        }
        Step::SetCapacity(max_parallel_tasks) => {
            C::SetCapacity { max_parallel_tasks: *max_parallel_tasks, now }
        }
        Step::SetTimeout(seconds) => C::SetTimeout { seconds: *seconds },
        Step::Suspend(reason) => C::Suspend { reason: *reason },
        Step::Resume => C::Resume { now },
    }
}

proptest! {
    #[test]
    fn the_invariants_hold_at_every_prefix(
        capacity in 1..5_u32,
        steps in proptest::collection::vec(step(), 1..120),
    ) {
        let (mut slots, mut model, mut second) = (after::<Slots>(open(capacity)), Model::default(), 0);
        for event in open(capacity) {
            model.observe(&event, None, at(0));
        }
        let mut submitted = 0;
        for (seconds, step) in steps {
            second += seconds;
            let now = at(second);
            // What has left is never enqueued again: its execution's own stream refuses that.
            let again = matches!(&step, Step::EnqueueAgain(which)
                if submitted == 0 || model.gone.contains(&id(1 + *which as u128 % submitted)));
            if again {
                continue;
            }
            let events = slots.decide(command(&step, submitted, now)).unwrap_or_default();
            if matches!(step, Step::Enqueue { .. }) && !events.is_empty() {
                submitted += 1;
            }
            let mut before = None;
            for event in &events {
                model.observe(event, before, now);
                slots.evolve(event);
                before = Some(event);
            }
            model.assert_settled();
            prop_assert_eq!(slots.active.len(), model.held.len());
            prop_assert!(slots.queue.len() <= 8, "the queue is bounded");
            let stored = serde_json::to_string(&slots).unwrap();
            prop_assert_eq!(&serde_json::from_str::<Slots>(&stored).unwrap(), &slots);
        }
    }
}
