//! What holds of an agent's events after any sequence of commands.

use proptest::prelude::*;

use super::*;
use crate::domain::Decider;

/// A command, with the seconds that pass before it.
fn command() -> impl Strategy<Value = (i64, AgentCommand)> {
    let status = prop_oneof![
        Just(ObservedStatus::Running),
        Just(ObservedStatus::Paused),
        Just(ObservedStatus::Restarting),
        Just(ObservedStatus::Stopped),
    ];
    let cause = prop_oneof![Just(None), Just(Some(CrashCause::OutOfMemory))];
    let (step, error) = (Step::Start, "failed".to_owned());
    let command = prop_oneof![
        2 => Just(C::Create(Box::new(create()))),
        1 => Just(C::Create(Box::new(Create { start: false, ..create() }))),
        1 => Just(C::Create(Box::new(Create { is_system: true, ..create() }))),
        4 => Just(C::RecordProvisioned { host_ref: "host-1".into() }),
        1 => Just(C::RecordProvisionFailed { step, error: error.clone() }),
        4 => Just(C::RequestStart),
        8 => Just(C::RecordStarted { host_ref: "host-1".into(), config_hash: "hash".into() }),
        1 => Just(C::RecordStartFailed { step, error, at: at(0) }),
        2 => Just(C::RequestStop),
        2 => Just(C::RecordStopped { exit_code: None }),
        8 => (status, cause).prop_map(|(status, cause)| {
            C::RecordObserved { status, cause, at: at(0) }
        }),
        2 => Just(C::RequestPause),
        2 => Just(C::RequestUnpause),
        1 => Just(C::RequestDelete),
        1 => Just(C::RecordDeleted),
        1 => Just(C::Reinitialize),
        1 => (4..8_u32).prop_map(|n| C::Configure(Setting::SetCapacity { max_parallel_tasks: n })),
    ];
    (0..200_i64, command)
}

/// Puts the time of the report into the command.
fn timed(command: AgentCommand, second: i64) -> AgentCommand {
    match command {
        C::RecordObserved { status, cause, .. } => {
            C::RecordObserved { status, cause, at: at(second) }
        }
        C::RecordStartFailed { step, error, .. } => {
            C::RecordStartFailed { step, error, at: at(second) }
        }
        other => other,
    }
}

/// The phases from which an event may come, and those it may lead to.
fn legal(event: &AgentEvent) -> (&'static [Phase], &'static [Phase]) {
    const LIVE: &[Phase] = &[
        P::Creating,
        P::Failed,
        P::Stopped,
        P::Starting,
        P::Running,
        P::Paused,
        P::Restarting,
        P::Stopping,
    ];
    match event {
        E::AgentCreated { .. } => (&[P::Absent], &[P::Creating]),
        E::AgentProvisioned { .. } => (&[P::Creating], &[P::Stopped]),
        E::AgentProvisionFailed { .. } => (&[P::Creating], &[P::Failed]),
        E::AgentStartRequested {} => {
            (&[P::Creating, P::Failed, P::Stopped, P::Paused], &[P::Creating, P::Starting])
        }
        E::AgentStarted { .. } => (&[P::Starting, P::Restarting], &[P::Running]),
        E::AgentStartFailed { .. } => (&[P::Starting], &[P::Failed]),
        E::AgentStopRequested {} => (
            &[P::Creating, P::Failed, P::Starting, P::Running, P::Paused, P::Restarting],
            &[P::Creating, P::Stopping],
        ),
        E::AgentStopped { reason: StopReason::Requested, .. } => (&[P::Stopping], &[P::Stopped]),
        E::AgentStopped { reason: StopReason::CrashLoop | StopReason::OutOfMemory, .. } => {
            (&[P::Running, P::Paused, P::Restarting], &[P::Stopped])
        }
        E::AgentStatusObserved { status, .. } => match status {
            ObservedStatus::Running => (&[P::Running, P::Paused, P::Restarting], &[P::Running]),
            ObservedStatus::Paused => (&[P::Running], &[P::Paused]),
            ObservedStatus::Restarting | ObservedStatus::Stopped => {
                (&[P::Running, P::Paused, P::Restarting], &[P::Restarting])
            }
        },
        E::AgentPauseRequested {} => (&[P::Running], &[P::Running]),
        E::AgentDeleteRequested {} => (LIVE, &[P::Deleting]),
        E::AgentDeleted {} => (&[P::Deleting], &[P::Absent]),
        E::AgentReinitialized {} => (LIVE, &[P::Creating]),
        _ => (LIVE, LIVE),
    }
}

/// Counts crashes without looking at the state.
#[derive(Default)]
struct Crashes(Vec<DateTime<Utc>>);

impl Crashes {
    fn recent(&self, now: DateTime<Utc>) -> usize {
        self.0.iter().filter(|crash| (now - **crash).num_seconds() < CRASH_WINDOW_SECONDS).count()
    }

    fn observe(&mut self, event: &AgentEvent, now: DateTime<Utc>) {
        match event {
            E::AgentStatusObserved { status: ObservedStatus::Restarting, at, .. } => {
                assert!(self.recent(*at) < CRASHES_MAX, "restarted too often");
                self.0.push(*at);
            }
            E::AgentStopped { reason: StopReason::CrashLoop | StopReason::OutOfMemory, .. } => {
                assert!(self.recent(now) >= CRASHES_MAX, "given up too early");
                self.0.clear();
            }
            E::AgentStopped { .. } | E::AgentCreated { .. } => self.0.clear(),
            _ => {}
        }
    }
}

proptest! {
    #[test]
    fn phases_are_legal_and_crash_loops_end(steps in proptest::collection::vec(command(), 1..80)) {
        let (mut agent, mut crashes, mut second) = (Agent::default(), Crashes::default(), 0);
        for (seconds, command) in steps {
            second += seconds;
            for event in agent.decide(timed(command, second)).unwrap_or_default() {
                let (from, to) = legal(&event);
                prop_assert!(from.contains(&agent.phase), "{event:?} in {:?}", agent.phase);
                let settles = from == to;
                let before = agent.phase;
                agent.evolve(&event);
                prop_assert!(to.contains(&agent.phase), "{event:?} led to {:?}", agent.phase);
                prop_assert!(!settles || agent.phase == before, "a setting moved the phase");
                prop_assert_eq!(agent.life.is_none(), agent.phase == P::Absent);
                crashes.observe(&event, at(second));
            }
            if let Some(life) = &agent.life {
                let hosted = !matches!(agent.phase, P::Creating | P::Failed | P::Deleting);
                prop_assert!(!hosted || life.host_ref.is_some());
                prop_assert!(life.crashes.len() <= CRASHES_MAX);
                // A restart may fail, too, and be tried again or given up.
                let may_have_failed = matches!(agent.phase, P::Failed | P::Restarting | P::Stopped);
                prop_assert!(life.failure.is_none() || may_have_failed);
                prop_assert!(life.failure.is_some() || agent.phase != P::Failed);
            }
            let stored = serde_json::to_string(&agent).unwrap();
            prop_assert_eq!(&serde_json::from_str::<Agent>(&stored).unwrap(), &agent);
        }
    }

    #[test]
    fn repeating_a_command_at_once_changes_nothing_more(
        steps in proptest::collection::vec(command(), 1..40),
    ) {
        let mut agent = Agent::default();
        for (_, command) in steps {
            let report = matches!(command, C::Reinitialize | C::RecordObserved { .. }
                | C::RecordStartFailed { .. });
            for event in agent.decide(command.clone()).unwrap_or_default() {
                agent.evolve(&event);
            }
            if !report {
                prop_assert_eq!(agent.decide(command).unwrap_or_default(), vec![]);
            }
        }
    }
}
