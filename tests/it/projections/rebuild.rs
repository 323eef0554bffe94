//! What was built again is what was there, whatever happened, on either engine, by any number of nodes.

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use trinity::commands::accounts::{self, NewKey};
use trinity::commands::agents;
use trinity::commands::reports::LifeRef;
use trinity::domain::ExecutionId;
use trinity::domain::account::{Role, Scope};
use trinity::domain::agent::{RevokeReason, Setting};
use trinity::domain::execution::{ErrorClass, Source, Trigger, Verdict};
use trinity::projections::Views;

use super::world::{ViewsDb, World, dump};
use crate::event_log::support::{Engine, within};

const HISTORIES: u32 = 12;
const STEPS_MAX: usize = 80;

/// Something that somebody does; numbers choose among what there is.
#[derive(Debug, Clone)]
enum Step {
    Create(u8),
    Delete(u8),
    Configure(u8, u8),
    Grant(u8, u8),
    Revoke(u8, u8),
    Submit { agent: u8, how: u8, parent: Option<u8> },
    Start(u8),
    Tool { execution: u8, seq: u64, ends: bool },
    Cancel(u8),
    End { execution: u8, how: u8 },
}

fn step() -> impl Strategy<Value = Step> {
    let agent = 0..4u8;
    let execution = any::<u8>();
    prop_oneof![
        2 => agent.clone().prop_map(Step::Create),
        1 => agent.clone().prop_map(Step::Delete),
        1 => (agent.clone(), any::<u8>()).prop_map(|(a, b)| Step::Configure(a, b)),
        2 => (agent.clone(), agent.clone()).prop_map(|(a, b)| Step::Grant(a, b)),
        1 => (agent.clone(), agent.clone()).prop_map(|(a, b)| Step::Revoke(a, b)),
        6 => (agent, any::<u8>(), proptest::option::of(any::<u8>()))
            .prop_map(|(agent, how, parent)| Step::Submit { agent, how, parent }),
        6 => execution.prop_map(Step::Start),
        6 => (execution, 1..30u64, any::<bool>())
            .prop_map(|(execution, seq, ends)| Step::Tool { execution, seq, ends }),
        2 => execution.prop_map(Step::Cancel),
        5 => (execution, any::<u8>()).prop_map(|(execution, how)| Step::End { execution, how }),
    ]
}

/// A history as it comes about: who lives, and what was submitted.
struct History<'w> {
    world: &'w World,
    lives: Vec<Option<LifeRef>>,
    executions: Vec<(LifeRef, ExecutionId)>,
}

impl<'w> History<'w> {
    fn new(world: &'w World) -> Self {
        Self { world, lives: vec![None; 4], executions: Vec::new() }
    }

    fn execution(&self, choice: u8) -> Option<(LifeRef, ExecutionId)> {
        let count = self.executions.len();
        (count > 0).then(|| self.executions[usize::from(choice) % count].clone())
    }

    async fn take(&mut self, step: Step) {
        let world = self.world;
        match step {
            Step::Create(agent) => {
                let place = usize::from(agent);
                if self.lives[place].is_none() {
                    self.lives[place] = Some(world.agent(&format!("agent-{agent}")).await);
                }
            }
            Step::Delete(agent) => {
                if let Some(life) = self.lives[usize::from(agent)].take() {
                    world.delete(&life).await;
                }
            }
            Step::Configure(agent, how) => self.configure(agent, how).await,
            Step::Grant(caller, callee) => self.permit(caller, callee, true).await,
            Step::Revoke(caller, callee) => self.permit(caller, callee, false).await,
            Step::Submit { agent, how, parent } => self.submit(agent, how, parent).await,
            Step::Start(choice) => {
                if let Some((life, id)) = self.execution(choice) {
                    world.start(&life, id).await;
                    world.session(id).await;
                }
            }
            Step::Tool { execution, seq, ends } => {
                let Some((_, id)) = self.execution(execution) else { return };
                let call = format!("call-{}", seq % 3);
                if ends {
                    world.tool_finished(id, seq, &call, seq % 2 == 0).await;
                } else {
                    world.tool_started(id, seq, &call).await;
                }
            }
            Step::Cancel(choice) => {
                if let Some((_, id)) = self.execution(choice) {
                    world.cancel(id).await;
                }
            }
            Step::End { execution, how } => {
                let Some((life, id)) = self.execution(execution) else { return };
                let failed = Verdict::Failed { class: ErrorClass::Exit, error: "exit 1".into() };
                match how % 4 {
                    0 => world.end(&life, id, failed).await,
                    1 => world.lost(&life, id).await,
                    2 => world.never_started(&life, id).await,
                    _ => world.end(&life, id, Verdict::Completed).await,
                }
            }
        }
    }

    async fn configure(&self, agent: u8, how: u8) {
        let Some(life) = &self.lives[usize::from(agent)] else { return };
        let user = self.world.owner;
        let setting = match how % 5 {
            0 => Setting::SetAutonomy { enabled: how > 100 },
            1 => Setting::SetTags { tags: [format!("tag-{how}")].into() },
            2 => Setting::Share { user },
            3 => Setting::Unshare { user },
            _ => Setting::SetModel { model: Some(format!("model-{how}")) },
        };
        let world = self.world;
        agents::set(&world.log, life, setting, world.by_owner()).await.unwrap();
    }

    async fn permit(&self, caller: u8, callee: u8, granted: bool) {
        let (Some(caller), Some(callee)) =
            (&self.lives[usize::from(caller)], &self.lives[usize::from(callee)])
        else {
            return;
        };
        if caller == callee {
            return;
        }
        let (name, callee_incarnation) = (callee.name.clone(), callee.incarnation);
        let setting = if granted {
            Setting::Grant { callee: name, callee_incarnation }
        } else {
            Setting::Revoke { callee: name, reason: RevokeReason::Requested }
        };
        let world = self.world;
        agents::set(&world.log, caller, setting, world.by_owner()).await.unwrap();
    }

    async fn submit(&mut self, agent: u8, how: u8, parent: Option<u8>) {
        let Some(life) = &self.lives[usize::from(agent)] else { return };
        let mut request = self.world.task(life, &format!("message {how}"));
        let ways = [
            (Trigger::Manual, Source::User),
            (Trigger::Chat, Source::User),
            (Trigger::Schedule, Source::Schedule),
            (Trigger::Mcp, Source::User),
        ];
        (request.triggered_by, request.source) = ways[usize::from(how) % ways.len()];
        request.is_chat_turn = request.triggered_by == Trigger::Chat;
        let parent = parent.and_then(|choice| self.execution(choice));
        if let Some((caller, id)) = &parent {
            (request.triggered_by, request.source) = (Trigger::Mcp, Source::Agent);
            request.source_agent = Some(caller.name.clone());
            request.parent_execution_id = Some(*id);
        }
        let caller = parent.map(|(caller, _)| caller);
        // A refusal (not permitted, not running) is a step that leads nowhere.
        if let Ok(id) = self.world.try_submit(request, caller.as_ref()).await {
            self.executions.push((life.clone(), id));
        }
    }
}

async fn rebuild_all(views: &Views) {
    for projection in trinity::projections::all() {
        views.rebuild(projection.name()).await.unwrap();
    }
    for projection in trinity::projections::all() {
        within("a rebuild", views.rebuilt(projection.name())).await.unwrap();
    }
}

#[test]
fn rebuilt_rows_equal_live_rows_for_any_history() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let config = ProptestConfig { cases: HISTORIES, ..ProptestConfig::default() };
    let histories = proptest::collection::vec(step(), 1..STEPS_MAX);
    let run = |steps: Vec<Step>| {
        runtime.block_on(async {
            let world = World::new().await;
            let store = world.db().await;
            // The rows come about a few events at a time, the rebuilt ones in a single batch.
            let views = world.views(&store.db).await;
            let mut history = History::new(&world);
            for step in steps {
                history.take(step).await;
            }
            world.caught_up(&views).await;
            let live = dump(&store.db).await;
            rebuild_all(&views).await;
            let rebuilt = dump(&store.db).await;
            views.shutdown().await;
            prop_assert_eq!(live, rebuilt);
            Ok(())
        })
    };
    TestRunner::new(config).run(&histories, run).unwrap();
}

/// A history in which everything occurs that a read model knows.
async fn rich(world: &World) {
    let (scout, writer) = (world.agent("scout").await, world.agent("writer").await);
    let friend = world.user("friend", Role::User).await;
    let by = || world.by_owner();
    let set = |setting| agents::set(&world.log, &scout, setting, by());
    set(Setting::Share { user: friend }).await.unwrap();
    set(Setting::SetTags { tags: ["docs".to_owned(), "night".to_owned()].into() }).await.unwrap();
    let (callee, callee_incarnation) = (writer.name.clone(), writer.incarnation);
    set(Setting::Grant { callee, callee_incarnation }).await.unwrap();
    let parent = world.submit(world.task(&scout, &"long ".repeat(1_000))).await;
    world.start(&scout, parent).await;
    world.session(parent).await;
    world.tool_started(parent, 1, "call").await;
    let mut call = world.task(&writer, "from an agent");
    (call.triggered_by, call.source) = (Trigger::Mcp, Source::Agent);
    (call.source_agent, call.parent_execution_id) = (Some(scout.name.clone()), Some(parent));
    let child = world.try_submit(call, Some(&scout)).await.unwrap();
    world.start(&writer, child).await;
    world.end(&writer, child, Verdict::Completed).await;
    world.tool_finished(parent, 2, "call", false).await;
    world.end(&scout, parent, Verdict::Completed).await;
    let fails = world.submit(world.task(&writer, "fails")).await;
    world.start(&writer, fails).await;
    let failed = Verdict::Failed { class: ErrorClass::Exit, error: "exit 1".into() };
    world.end(&writer, fails, failed).await;
    for number in 0..5 {
        let id = world.submit(world.task(&scout, &format!("task {number}"))).await;
        if number % 2 == 0 {
            world.start(&scout, id).await;
            world.cancel(id).await;
        }
    }
    let key = NewKey {
        name: "key".into(),
        description: None,
        owner: friend,
        scope: Scope::User,
        agent: None,
        expires_at: None,
    };
    accounts::issue_key(&world.log, key, by()).await.unwrap();
    let gone = world.agent("gone").await;
    world.submit(world.task(&gone, "never")).await;
    world.delete(&gone).await;
}

#[tokio::test]
async fn sqlite_and_postgres_hold_identical_rows() {
    let world = World::new().await;
    let (files, server) = (ViewsDb::on(Engine::Sqlite).await, ViewsDb::on(Engine::Postgres).await);
    let (on_files, on_server) = (world.views(&files.db).await, world.views(&server.db).await);
    rich(&world).await;
    world.caught_up(&on_files).await;
    world.caught_up(&on_server).await;
    let (on_files, on_server) = (dump(&files.db).await, dump(&server.db).await);
    let empty: Vec<_> = on_files.iter().filter(|(_, rows)| rows.is_empty()).collect();
    assert_eq!(empty, [], "every table has rows");
    assert_eq!(on_files, on_server);
}

#[tokio::test]
async fn two_nodes_apply_nothing_twice() {
    let world = World::new().await;
    let shared = world.db().await;
    let one = world.views(&shared.db).await;
    // On Postgres the other node follows the log by itself.
    let log = match world.store.engine {
        Engine::Sqlite => world.log.clone(),
        Engine::Postgres => world.store.open().await,
    };
    let two = Views::start(log, shared.again().await).await.unwrap();
    for _ in 0..3 {
        rich_again(&world).await;
    }
    world.caught_up(&one).await;
    world.caught_up(&two).await;
    let alone = world.db().await;
    let views = world.views(&alone.db).await;
    assert_eq!(dump(&shared.db).await, dump(&alone.db).await);
    views.shutdown().await;
}

/// Counted things on agents of their own: a second application of an event would show.
async fn rich_again(world: &World) {
    let name = format!("agent-{}", world.log.head());
    let life = world.agent(&name).await;
    for number in 0..6 {
        let id = world.submit(world.task(&life, "count me")).await;
        world.start(&life, id).await;
        for seq in 1..5 {
            world.tool_started(id, seq, &format!("call-{seq}")).await;
        }
        if number % 2 == 0 {
            world.end(&life, id, Verdict::Completed).await;
        }
    }
}

#[tokio::test]
async fn a_rebuild_goes_on_after_a_restart_and_while_events_come() {
    let world = World::new().await;
    let store = world.db().await;
    let views = world.views(&store.db).await;
    rich(&world).await;
    world.caught_up(&views).await;
    // Asked for and left alone at once, as by a server that is killed.
    views.shutdown().await;
    views.rebuild("executions").await.unwrap();
    drop(views);
    let views = Views::start(world.log.clone(), store.again().await).await.unwrap();
    rich_again(&world).await;
    within("the rebuild", views.rebuilt("executions")).await.unwrap();
    world.caught_up(&views).await;
    let alone = world.db().await;
    let other = world.views(&alone.db).await;
    assert_eq!(dump(&store.db).await, dump(&alone.db).await);
    other.shutdown().await;
}
