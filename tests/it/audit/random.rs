//! Whatever the platform is asked to do, the log it writes is clean.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use trinity::clock;
use trinity::commands::reports::LifeRef;
use trinity::domain::ExecutionId;
use trinity::domain::agent::{ObservedStatus, Phase, RevokeReason, Setting};
use trinity::domain::execution::{ErrorClass, ExecutionCommand, Request, Verdict};

use super::fleet::{Fleet, task};
use super::{assert_clean, audit};
use crate::event_log::support::TestDb;

/// How many histories are tried; each is a log of its own.
const HISTORIES: u32 = 12;

const NAMES: [&str; 3] = ["a", "b", "c"];

/// Something that people, agents or hosts do; numbers pick among what there is.
#[derive(Debug, Clone)]
enum Act {
    Create(usize, u32),
    Provision(usize),
    Start(usize),
    RequestStart(usize),
    RequestStop(usize),
    Stopped(usize),
    Observe(usize, ObservedStatus),
    Delete(usize),
    SetCapacity(usize, u32),
    SetTimeout(usize, u32),
    Grant(usize, usize),
    Revoke(usize, usize),
    Task { agent: usize, is_chat_turn: bool, timeout_seconds: Option<u32> },
    Call { caller: usize, callee: usize, parent: Option<usize> },
    Dispatch(usize),
    Tools(usize, u64),
    Interrupt(usize),
    Complete(usize),
    Fail(usize),
    Cancel(usize),
    NeverStarted(usize),
    Lose(usize),
    Regrant(usize),
}

fn act() -> impl Strategy<Value = Act> {
    let status = prop_oneof![
        Just(ObservedStatus::Running),
        Just(ObservedStatus::Paused),
        Just(ObservedStatus::Stopped),
    ];
    let agent = 0..NAMES.len();
    let run = 0..1_000_usize;
    let timeout = proptest::option::of(10..90_u32);
    prop_oneof![
        2 => (agent.clone(), 1..4_u32).prop_map(|(agent, capacity)| Act::Create(agent, capacity)),
        2 => agent.clone().prop_map(Act::Provision),
        4 => agent.clone().prop_map(Act::Start),
        2 => agent.clone().prop_map(Act::RequestStart),
        1 => agent.clone().prop_map(Act::RequestStop),
        1 => agent.clone().prop_map(Act::Stopped),
        3 => (agent.clone(), status).prop_map(|(agent, status)| Act::Observe(agent, status)),
        1 => agent.clone().prop_map(Act::Delete),
        1 => (agent.clone(), 1..5_u32).prop_map(|(agent, n)| Act::SetCapacity(agent, n)),
        1 => (agent.clone(), 10..90_u32).prop_map(|(agent, n)| Act::SetTimeout(agent, n)),
        2 => (agent.clone(), agent.clone()).prop_map(|(a, b)| Act::Grant(a, b)),
        1 => (agent.clone(), agent.clone()).prop_map(|(a, b)| Act::Revoke(a, b)),
        8 => (agent.clone(), any::<bool>(), timeout).prop_map(|(agent, is_chat_turn, timeout_seconds)| {
            Act::Task { agent, is_chat_turn, timeout_seconds }
        }),
        4 => (agent.clone(), agent, proptest::option::of(run.clone()))
            .prop_map(|(caller, callee, parent)| Act::Call { caller, callee, parent }),
        10 => run.clone().prop_map(Act::Dispatch),
        2 => (run.clone(), 1..50_u64).prop_map(|(run, line)| Act::Tools(run, line)),
        1 => run.clone().prop_map(Act::Interrupt),
        6 => run.clone().prop_map(Act::Complete),
        1 => run.clone().prop_map(Act::Fail),
        2 => run.clone().prop_map(Act::Cancel),
        1 => run.clone().prop_map(Act::NeverStarted),
        1 => run.clone().prop_map(Act::Lose),
        1 => run.prop_map(Act::Regrant),
    ]
}

/// The world in which acts pick.
struct World {
    fleet: Fleet,
    lives: [Option<LifeRef>; NAMES.len()],
    runs: Vec<ExecutionId>,
}

impl World {
    /// One of the latest runs, so that most acts meet one that is alive.
    fn run(&self, which: usize) -> Option<ExecutionId> {
        let recent = self.runs.len().min(8);
        let place = which.checked_rem(recent)? + 1;
        self.runs.get(self.runs.len() - place).copied()
    }

    async fn act(&mut self, act: Act) {
        self.fleet.now = clock::now();
        match act {
            Act::Create(agent, capacity) => {
                if let Some(life) = self.fleet.create(NAMES[agent], capacity).await {
                    self.lives[agent] = Some(life);
                }
            }
            Act::Task { agent, is_chat_turn, timeout_seconds } => {
                let Some(life) = &self.lives[agent] else { return };
                let request = Request { is_chat_turn, timeout_seconds, ..task(life) };
                let submitted = self.fleet.submit(request, None).await;
                self.runs.extend(submitted.map(|submitted| submitted.execution_id));
            }
            Act::Call { caller, callee, parent } => {
                let (Some(from), Some(to)) = (&self.lives[caller], &self.lives[callee]) else {
                    return;
                };
                let parent = parent.and_then(|parent| self.run(parent));
                self.runs.extend(self.fleet.call(from, to, parent).await);
            }
            Act::Grant(caller, callee) | Act::Revoke(caller, callee) => {
                let (Some(from), Some(to)) = (&self.lives[caller], &self.lives[callee]) else {
                    return;
                };
                let (callee, reason) = (to.name.clone(), RevokeReason::Requested);
                if matches!(act, Act::Grant(..)) {
                    self.fleet.grant(from, to).await;
                } else {
                    self.fleet.set(from, Setting::Revoke { callee, reason }).await;
                }
            }
            Act::Provision(agent)
            | Act::Start(agent)
            | Act::RequestStart(agent)
            | Act::RequestStop(agent)
            | Act::Stopped(agent)
            | Act::Observe(agent, _)
            | Act::Delete(agent)
            | Act::SetCapacity(agent, _)
            | Act::SetTimeout(agent, _) => {
                let Some(life) = self.lives[agent].clone() else { return };
                self.act_on_agent(act, &life).await;
            }
            Act::Dispatch(run)
            | Act::Tools(run, _)
            | Act::Interrupt(run)
            | Act::Complete(run)
            | Act::Fail(run)
            | Act::Cancel(run)
            | Act::NeverStarted(run)
            | Act::Lose(run)
            | Act::Regrant(run) => {
                let Some(run) = self.run(run) else { return };
                self.act_on_run(act, run).await;
            }
        }
    }

    async fn act_on_agent(&self, act: Act, life: &LifeRef) {
        let fleet = &self.fleet;
        match act {
            Act::Provision(_) => fleet.provision(life).await,
            Act::Start(_) => fleet.start(life).await,
            Act::RequestStart(_) => fleet.request_start(life).await,
            Act::RequestStop(_) => fleet.request_stop(life).await,
            Act::Stopped(_) => fleet.stopped(life).await,
            Act::Observe(_, status) => fleet.observe(life, status).await,
            Act::SetCapacity(_, capacity) => fleet.set_capacity(life, capacity).await,
            Act::SetTimeout(_, seconds) => fleet.set_timeout(life, seconds).await,
            _ if fleet.phase(life).await != Phase::Absent => fleet.delete(life).await,
            _ => {}
        }
    }

    async fn act_on_run(&self, act: Act, run: ExecutionId) {
        let fleet = &self.fleet;
        match act {
            Act::Dispatch(_) => fleet.dispatch(run).await,
            Act::Tools(_, line) => fleet.tools(run, line).await,
            Act::Interrupt(_) => {
                fleet
                    .tell(
                        run,
                        ExecutionCommand::RecordInterruptSent {
                            at: fleet.now,
                            grace_ms: Some(5_000),
                        },
                    )
                    .await;
            }
            Act::Complete(_) => fleet.complete(run).await,
            Act::Fail(_) => {
                let (class, error) = (ErrorClass::Exit, "exit code 1".to_owned());
                fleet.exit(run, Verdict::Failed { class, error }).await;
            }
            Act::Cancel(_) => fleet.cancel(run).await,
            Act::NeverStarted(_) => fleet.never_started(run).await,
            Act::Lose(_) => fleet.lose(run).await,
            _ => fleet.regrant(run).await,
        }
    }
}

async fn play(acts: Vec<Act>) -> u64 {
    let db = TestDb::new().await;
    let fleet = Fleet { log: db.open().await, now: clock::now() };
    let mut world = World { fleet, lives: [const { None }; 3], runs: Vec::new() };
    for (agent, name) in NAMES.iter().enumerate().take(2) {
        world.lives[agent] = Some(world.fleet.running(name, 2).await);
    }
    for act in acts {
        world.act(act).await;
    }
    world.fleet.log.close().await;
    let report = audit(&db).await;
    assert_clean(&report);
    report.events
}

#[test]
fn random_histories_are_clean() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let config = Config { failure_persistence: None, ..Config::with_cases(HISTORIES) };
    let acts = proptest::collection::vec(act(), 80..160);
    let mut events = 0;
    let mut runner = TestRunner::new(config);
    let counted = std::cell::RefCell::new(&mut events);
    let outcome = runner.run(&acts, |acts| {
        **counted.borrow_mut() += runtime.block_on(play(acts));
        Ok::<(), TestCaseError>(())
    });
    outcome.unwrap();
    // They have 60 on average, with a deviation of 5 over all of them.
    assert!(events > u64::from(HISTORIES) * 30, "the histories are trivial: {events} events");
}
