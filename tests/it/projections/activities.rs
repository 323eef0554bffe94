//! The activity stream: which entries each way of an execution makes, and how they end.

use trinity::commands::agents;
use trinity::commands::reports::LifeRef;
use trinity::domain::ExecutionId;
use trinity::domain::agent::Setting;
use trinity::domain::execution::{ErrorClass, Request, Source, Trigger, Verdict};
use trinity::projections::activities::{ActivityFilter, ActivityRow, ActivityState, ActivityType};
use trinity::projections::{Filter as _, PageRequest, Viewer, Views};

use super::world::{ViewsDb, World};

struct Stage {
    world: World,
    _store: ViewsDb,
    views: Views,
    callee: LifeRef,
    caller: LifeRef,
}

impl Stage {
    async fn new() -> Self {
        let world = World::new().await;
        let store = world.db().await;
        let views = world.views(&store.db).await;
        let (callee, caller) = (world.agent("callee").await, world.agent("caller").await);
        let setting =
            Setting::Grant { callee: callee.name.clone(), callee_incarnation: callee.incarnation };
        agents::set(&world.log, &caller, setting, world.by_owner()).await.unwrap();
        Self { world, _store: store, views, callee, caller }
    }

    fn request(&self, triggered_by: Trigger, source: Source, is_chat_turn: bool) -> Request {
        let mut request = self.world.task(&self.callee, "do it");
        (request.triggered_by, request.source) = (triggered_by, source);
        request.is_chat_turn = is_chat_turn;
        if source == Source::Agent {
            (request.source_agent, request.source_user) = (Some(self.caller.name.clone()), None);
        }
        request
    }

    async fn submit(&self, request: Request) -> ExecutionId {
        let by_agent = request.source == Source::Agent;
        let caller = by_agent.then_some(&self.caller);
        self.world.try_submit(request, caller).await.unwrap()
    }

    /// The entries about an execution, oldest first.
    async fn entries(&self, id: ExecutionId) -> Vec<ActivityRow> {
        self.world.caught_up(&self.views).await;
        let filter = ActivityFilter { related_execution_id: Some(id), ..ActivityFilter::default() };
        let page = PageRequest::first(1_000);
        let page = self.views.activities().list(&Viewer::System, &filter, &page).await.unwrap();
        page.items.into_iter().rev().collect()
    }
}

/// Type, state, number of the parent among the entries.
type Shape = (ActivityType, ActivityState, Option<usize>);

fn shape(entries: &[ActivityRow]) -> Vec<Shape> {
    let number = |id| entries.iter().position(|entry| entry.id == id);
    let of = |entry: &ActivityRow| {
        (entry.activity_type, entry.activity_state, entry.parent_activity_id.and_then(number))
    };
    entries.iter().map(of).collect()
}

#[tokio::test]
async fn every_way_in_makes_its_entries() {
    use ActivityState as S;
    use ActivityType as T;
    let stage = Stage::new().await;
    let alone = |start, end| vec![(start, S::Completed, None), (end, S::Completed, Some(0))];
    let around = |start, end| {
        vec![
            (T::AgentCollaboration, S::Completed, None),
            (start, S::Completed, Some(0)),
            (end, S::Completed, Some(1)),
        ]
    };
    let (tasks, chats) = ((T::TaskStart, T::TaskEnd), (T::ChatStart, T::ChatEnd));
    let schedules = (T::ScheduleStart, T::ScheduleEnd);
    let ways = [
        ("task by a person", Trigger::Manual, Source::User, false, alone(tasks.0, tasks.1)),
        ("chat by a person", Trigger::Chat, Source::User, true, alone(chats.0, chats.1)),
        ("MCP by a person", Trigger::Mcp, Source::User, true, alone(chats.0, chats.1)),
        ("the same, parallel", Trigger::Mcp, Source::User, false, alone(chats.0, chats.1)),
        ("chat by an agent", Trigger::Mcp, Source::Agent, true, around(chats.0, chats.1)),
        ("the same, parallel", Trigger::Mcp, Source::Agent, false, around(tasks.0, tasks.1)),
        (
            "a cron fire",
            Trigger::Schedule,
            Source::Schedule,
            false,
            alone(schedules.0, schedules.1),
        ),
        ("paid", Trigger::Paid, Source::User, false, alone(tasks.0, tasks.1)),
        ("a process", Trigger::Process, Source::User, false, alone(tasks.0, tasks.1)),
    ];
    for (way, triggered_by, source, is_chat_turn, expected) in ways {
        let id = stage.submit(stage.request(triggered_by, source, is_chat_turn)).await;
        let open = stage.entries(id).await;
        assert!(open.iter().all(|entry| entry.activity_state == S::Started), "{way}: {open:?}");
        stage.world.start(&stage.callee, id).await;
        stage.world.end(&stage.callee, id, Verdict::Completed).await;
        let entries = stage.entries(id).await;
        assert_eq!(shape(&entries), expected, "{way}");
        for entry in &entries {
            assert_eq!(entry.triggered_by, source, "{way}");
            let by_caller = entry.activity_type == T::AgentCollaboration;
            let agent = if by_caller { &stage.caller } else { &stage.callee };
            assert_eq!(entry.agent_name, agent.name, "{way}");
            assert_eq!(entry.incarnation, Some(agent.incarnation), "{way}");
            assert_eq!(entry.user_id.is_some(), source != Source::Agent, "{way}");
            assert!(entry.completed_at.is_some() && entry.error.is_none(), "{way}: {entry:?}");
        }
        let start =
            entries.iter().find(|entry| entry.activity_type == expected[expected.len() - 2].0);
        assert_eq!(start.unwrap().duration_ms, Some(1_500), "{way}");
        assert_eq!(start.unwrap().details.0["message"], "do it", "{way}");
    }
}

#[tokio::test]
async fn the_tree_crosses_agents() {
    let stage = Stage::new().await;
    let parent = stage.world.submit(stage.world.task(&stage.caller, "delegate")).await;
    stage.world.start(&stage.caller, parent).await;
    let mut call = stage.request(Trigger::Mcp, Source::Agent, true);
    call.parent_execution_id = Some(parent);
    let child = stage.submit(call).await;
    let of_child = stage.entries(child).await;
    let of_parent = stage.entries(parent).await;
    let around = &of_child[0];
    assert_eq!(around.activity_type, ActivityType::AgentCollaboration);
    assert_eq!(around.parent_activity_id, Some(of_parent[0].id), "the caller's execution");
    assert_eq!(of_child[1].parent_activity_id, Some(around.id), "the call is between them");
    assert_eq!(around.details.0["source_agent"], "caller");
    assert_eq!(around.details.0["target_agent"], "callee");
    // The caller may end before the callee; its entry is found all the same.
    stage.world.end(&stage.caller, parent, Verdict::Completed).await;
    stage.world.start(&stage.callee, child).await;
    stage.world.end(&stage.callee, child, Verdict::Completed).await;
    let ended = stage.entries(child).await;
    assert!(ended.iter().all(|entry| entry.activity_state == ActivityState::Completed));
}

#[tokio::test]
async fn tool_calls_are_below_the_start_entry_and_none_stays_open() {
    use {ActivityState as S, ActivityType as T};
    let stage = Stage::new().await;
    let id = stage.submit(stage.request(Trigger::Manual, Source::User, false)).await;
    stage.world.start(&stage.callee, id).await;
    for (seq, call) in [(1, "good"), (2, "bad"), (3, "open")] {
        stage.world.tool_started(id, seq, call).await;
    }
    stage.world.tool_finished(id, 4, "good", false).await;
    stage.world.tool_finished(id, 5, "bad", true).await;
    let failed = Verdict::Failed { class: ErrorClass::Timeout, error: "too long".into() };
    stage.world.end(&stage.callee, id, failed).await;
    let entries = stage.entries(id).await;
    let expected = [
        (T::TaskStart, S::Failed, None),
        (T::ToolCall, S::Completed, Some(0)),
        (T::ToolCall, S::Failed, Some(0)),
        (T::ToolCall, S::Failed, Some(0)),
        (T::TaskEnd, S::Failed, Some(0)),
    ];
    assert_eq!(shape(&entries), expected);
    let errors: Vec<_> = entries.iter().map(|entry| entry.error.as_deref()).collect();
    let unfinished = Some("the run ended before the tool answered");
    let tool = Some("the tool reported an error");
    assert_eq!(errors, [Some("too long"), None, tool, unfinished, Some("too long")]);
    assert_eq!(entries[1].details.0["name"], "Bash");
    assert!(entries.iter().all(|entry| entry.duration_ms.is_some()));
}

#[tokio::test]
async fn a_cancelled_run_has_an_entry_of_its_own() {
    use {ActivityState as S, ActivityType as T};
    let stage = Stage::new().await;
    let expected = [
        (T::TaskStart, S::Failed, None),
        (T::TaskEnd, S::Failed, Some(0)),
        (T::ExecutionCancelled, S::Completed, Some(0)),
    ];
    let running = stage.submit(stage.request(Trigger::Manual, Source::User, false)).await;
    stage.world.start(&stage.callee, running).await;
    stage.world.cancel(running).await;
    stage.world.end(&stage.callee, running, Verdict::Completed).await;

    let mut queued = Vec::new();
    for _ in 0..4 {
        queued.push(stage.submit(stage.request(Trigger::Manual, Source::User, false)).await);
    }
    let waiting = *queued.last().unwrap();
    stage.world.cancel(waiting).await;
    for id in [running, waiting] {
        let entries = stage.entries(id).await;
        assert_eq!(shape(&entries), expected);
        assert_eq!(entries[0].error.as_deref(), Some("cancelled"));
        assert_eq!(entries[2].user_id, Some(stage.world.owner));
        assert_eq!(entries[2].details.0["reason"], "requested");
        assert_eq!(entries[2].cost, None, "that is the run's");
        assert_eq!(entries[0].cost, entries[1].cost);
        assert_eq!(entries[0].cost.is_some(), id == running);
    }
}

#[tokio::test]
async fn nothing_stays_started_after_the_end_of_its_execution() {
    let stage = Stage::new().await;
    let lost = stage.submit(stage.request(Trigger::Mcp, Source::Agent, false)).await;
    stage.world.start(&stage.callee, lost).await;
    stage.world.tool_started(lost, 1, "call").await;
    stage.world.lost(&stage.callee, lost).await;
    let never = stage.submit(stage.request(Trigger::Manual, Source::User, false)).await;
    stage.world.cancel(never).await;
    stage.world.never_started(&stage.callee, never).await;
    for id in [lost, never] {
        let entries = stage.entries(id).await;
        let open = |entry: &&ActivityRow| entry.activity_state == ActivityState::Started;
        assert_eq!(entries.iter().find(open), None);
    }
}

#[tokio::test]
async fn a_message_is_found_where_entries_open_with_it() {
    let stage = Stage::new().await;
    let mut call = stage.request(Trigger::Mcp, Source::Agent, true);
    call.message = format!("Count the sheep {} at dawn", "and more ".repeat(200));
    let called = stage.submit(call).await;
    stage.submit(stage.request(Trigger::Manual, Source::User, false)).await;
    stage.world.start(&stage.callee, called).await;
    stage.world.end(&stage.callee, called, Verdict::Completed).await;
    stage.world.caught_up(&stage.views).await;
    let none = ActivityFilter::default;
    // A page of one entry, so that every next one begins amid the entries of an event.
    let found = async |filter: ActivityFilter| {
        let (mut types, mut cursor) = (Vec::new(), None::<String>);
        loop {
            let page = filter.page(Some(1), cursor.as_deref()).unwrap();
            let page =
                stage.views.activities().list(&Viewer::System, &filter, &page).await.unwrap();
            types.extend(page.items.iter().map(|entry| entry.activity_type));
            cursor = page.next_cursor;
            if cursor.is_none() {
                return types;
            }
        }
    };
    let opening = [ActivityType::ChatStart, ActivityType::AgentCollaboration];
    for q in ["sheep", "COUNT dawn"] {
        assert_eq!(found(ActivityFilter { q: Some(q.into()), ..none() }).await, opening, "{q}");
    }
    let sheep = || ActivityFilter { q: Some("sheep".into()), ..none() };
    let of_caller = ActivityFilter { agent: vec![stage.caller.name.clone()], ..sheep() };
    assert_eq!(found(of_caller).await, opening[1..]);
    let about = ActivityFilter { related_execution_id: Some(called), ..sheep() };
    assert_eq!(found(about).await, opening);
    let of_people = ActivityFilter { triggered_by: vec![Source::User], ..sheep() };
    assert_eq!(found(of_people).await, []);
    for q in ["shee", "sheep goat", "!"] {
        assert_eq!(found(ActivityFilter { q: Some(q.into()), ..none() }).await, [], "{q}");
    }
}

#[tokio::test]
async fn the_cost_of_a_run_stands_at_its_beginning_and_its_end() {
    use ActivityType as T;
    let stage = Stage::new().await;
    let id = stage.submit(stage.request(Trigger::Mcp, Source::Agent, true)).await;
    stage.world.start(&stage.callee, id).await;
    stage.world.tool_started(id, 1, "call").await;
    assert!(stage.entries(id).await.iter().all(|entry| entry.cost.is_none()));
    stage.world.end(&stage.callee, id, Verdict::Completed).await;
    let entries = stage.entries(id).await;
    let costs: Vec<_> = entries.iter().map(|entry| (entry.activity_type, entry.cost)).collect();
    let cost = costs[1].1;
    assert!(cost.is_some(), "{costs:?}");
    let expected = [
        (T::AgentCollaboration, None),
        (T::ChatStart, cost),
        (T::ToolCall, None),
        (T::ChatEnd, cost),
    ];
    assert_eq!(costs, expected);
}
