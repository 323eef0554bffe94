//! Lists: pages, cursors, filters, and who sees what.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use trinity::commands::agents;
use trinity::domain::account::Role;
use trinity::domain::agent::Setting;
use trinity::domain::execution::{ErrorClass, Status, Trigger, Verdict};
use trinity::domain::{AccountId, ExecutionId};
use trinity::projections::agents::AgentFilter;
use trinity::projections::executions::{ExecutionFilter, PREVIEW_CHARS_MAX};
use trinity::projections::{Cost, Filter, LIMIT_MAX, Order, PageError, PageRequest, Viewer, Views};

use super::world::World;

async fn ids(views: &Views, viewer: &Viewer, filter: &ExecutionFilter) -> Vec<ExecutionId> {
    let page = filter.page(Some(LIMIT_MAX), None).unwrap();
    let page = views.executions().list(viewer, filter, &page).await.unwrap();
    page.items.iter().map(|row| row.id).collect()
}

#[tokio::test]
async fn pages_neither_repeat_nor_miss_a_row_while_rows_come() {
    let world = World::new().await;
    let store = world.db().await;
    let views = world.views(&store.db).await;
    let life = world.agent("scout").await;
    let mut before = Vec::new();
    for number in 0..30 {
        before.push(world.submit(world.task(&life, &number.to_string())).await);
    }
    world.caught_up(&views).await;

    let filter = ExecutionFilter { agent: vec![life.name.clone()], ..Default::default() };
    let done = AtomicBool::new(false);
    let inserting = async {
        while !done.load(Ordering::SeqCst) {
            world.submit(world.task(&life, "meanwhile")).await;
        }
    };
    let reading = async {
        let (mut seen, mut cursor) = (Vec::new(), None::<String>);
        loop {
            let page = filter.page(Some(4), cursor.as_deref()).unwrap();
            let page = views.executions().list(&Viewer::System, &filter, &page).await.unwrap();
            seen.extend(page.items.iter().map(|row| row.id));
            cursor = page.next_cursor;
            if cursor.is_none() {
                done.store(true, Ordering::SeqCst);
                return seen;
            }
        }
    };
    let ((), seen) = tokio::join!(inserting, reading);
    let distinct: BTreeSet<_> = seen.iter().collect();
    assert_eq!(distinct.len(), seen.len(), "no row twice");
    before.reverse();
    let old: Vec<_> = seen.into_iter().filter(|id| before.contains(id)).collect();
    assert_eq!(old, before, "every row, newest first");
}

#[tokio::test]
async fn the_last_page_has_no_cursor() {
    let world = World::new().await;
    let store = world.db().await;
    let life = world.agent("scout").await;
    for _ in 0..4 {
        world.submit(world.task(&life, "task")).await;
    }
    let views = world.views(&store.db).await;
    let filter = ExecutionFilter::default();
    let first = filter.page(Some(2), None).unwrap();
    let first = views.executions().list(&Viewer::System, &filter, &first).await.unwrap();
    let cursor = first.next_cursor.unwrap();
    let last = filter.page(Some(2), Some(&cursor)).unwrap();
    let last = views.executions().list(&Viewer::System, &filter, &last).await.unwrap();
    assert_eq!((last.items.len(), last.next_cursor), (2, None));
}

#[test]
fn a_bad_limit_or_cursor_is_refused_by_name() {
    let filter = ExecutionFilter::default();
    assert_eq!(filter.page(Some(0), None), Err(PageError::Limit));
    assert_eq!(filter.page(Some(LIMIT_MAX + 1), None), Err(PageError::Limit));
    for bad in ["", "x", "not base64!", &"A".repeat(32), &"A".repeat(10_000)] {
        let refused = filter.page(None, Some(bad)).unwrap_err();
        assert!(matches!(refused, PageError::Cursor | PageError::Filter), "{bad:.9}");
    }
}

#[tokio::test]
async fn a_cursor_of_another_filter_is_refused() {
    let world = World::new().await;
    let store = world.db().await;
    let life = world.agent("scout").await;
    for _ in 0..3 {
        world.submit(world.task(&life, "task")).await;
    }
    let views = world.views(&store.db).await;
    let all = ExecutionFilter::default();
    let page = views.executions().list(&Viewer::System, &all, &PageRequest::first(1)).await;
    let cursor = page.unwrap().next_cursor.unwrap();
    let pending = ExecutionFilter { status: vec![Status::Pending], ..Default::default() };
    assert_eq!(pending.page(None, Some(&cursor)), Err(PageError::Filter));
    assert_eq!(AgentFilter::default().page(None, Some(&cursor)), Err(PageError::Filter));
    assert!(all.page(Some(7), Some(&cursor)).is_ok(), "another limit is the same list");
}

#[tokio::test]
async fn filters_narrow_by_every_field() {
    let world = World::new().await;
    let store = world.db().await;
    let (one, two) = (world.agent("one").await, world.agent("two").await);
    let done = world.submit(world.task(&one, "done")).await;
    world.start(&one, done).await;
    world.end(&one, done, Verdict::Completed).await;
    let running = world.submit(world.task(&one, "running")).await;
    world.start(&one, running).await;
    let mut chat = world.task(&two, "chat");
    (chat.triggered_by, chat.is_chat_turn) = (Trigger::Chat, true);
    let chat = world.submit(chat).await;
    let views = world.views(&store.db).await;
    let list = |filter: ExecutionFilter| {
        let views = views.clone();
        async move { ids(&views, &Viewer::System, &filter).await }
    };
    let none = ExecutionFilter::default;

    assert_eq!(list(none()).await, [chat, running, done]);
    let of_one = ExecutionFilter { agent: vec![one.name.clone()], ..none() };
    assert_eq!(list(of_one).await, [running, done]);
    let life = ExecutionFilter { incarnation: Some(two.incarnation), ..none() };
    assert_eq!(list(life).await, [chat]);
    let status = vec![Status::Running, Status::Completed];
    assert_eq!(list(ExecutionFilter { status, ..none() }).await, [running, done]);
    let chats = ExecutionFilter { triggered_by: vec![Trigger::Chat], ..none() };
    assert_eq!(list(chats).await, [chat]);

    let row = views.executions().get(running).await.unwrap().unwrap();
    let at = row.created_at.0;
    assert_eq!(list(ExecutionFilter { from: Some(at), ..none() }).await, [chat, running]);
    assert_eq!(list(ExecutionFilter { to: Some(at), ..none() }).await, [done]);
}

#[tokio::test]
async fn long_texts_are_cut_in_lists_and_whole_in_records() {
    let world = World::new().await;
    let store = world.db().await;
    let life = world.agent("scout").await;
    let message = "ä".repeat(PREVIEW_CHARS_MAX + 1);
    let id = world.submit(world.task(&life, &message)).await;
    let short = world.submit(world.task(&life, "short")).await;
    let views = world.views(&store.db).await;
    let page = PageRequest::first(10);
    let filter = ExecutionFilter::default();
    let page = views.executions().list(&Viewer::System, &filter, &page).await.unwrap();
    let listed = page.items.iter().find(|row| row.id == id).unwrap();
    assert_eq!(listed.message.chars().count(), PREVIEW_CHARS_MAX);
    assert_eq!(views.executions().get(id).await.unwrap().unwrap().message, message);
    assert_eq!(views.executions().get(short).await.unwrap().unwrap().message, "short");
}

#[tokio::test]
async fn a_user_sees_what_is_theirs_or_shared_with_them() {
    let world = World::new().await;
    let store = world.db().await;
    let (friend, stranger) =
        (world.user("friend", Role::User).await, world.user("stranger", Role::User).await);
    let (shared, private) = (world.agent("shared").await, world.agent("private").await);
    let setting = Setting::Share { user: friend };
    agents::set(&world.log, &shared, setting, world.by_owner()).await.unwrap();
    let on_shared = world.submit(world.task(&shared, "x")).await;
    let on_private = world.submit(world.task(&private, "x")).await;
    let views = world.views(&store.db).await;

    let names = |user: AccountId| {
        let views = views.clone();
        async move {
            let (viewer, page) = (Viewer::User(user), PageRequest::first(10));
            let page = views.agents().list(&viewer, &AgentFilter::default(), &page).await.unwrap();
            page.items.into_iter().map(|row| row.name.to_string()).collect::<Vec<_>>()
        }
    };
    assert_eq!(names(world.owner).await, ["private", "shared"]);
    assert_eq!(names(friend).await, ["shared"]);
    assert_eq!(names(stranger).await, Vec::<String>::new());
    let everything = ExecutionFilter::default();
    let (owner, friend, stranger) =
        (Viewer::User(world.owner), Viewer::User(friend), Viewer::User(stranger));
    assert_eq!(ids(&views, &owner, &everything).await, [on_private, on_shared]);
    assert_eq!(ids(&views, &friend, &everything).await, [on_shared]);
    assert_eq!(ids(&views, &stranger, &everything).await, []);
    let executions = views.executions();
    assert!(executions.get_visible(&friend, on_shared).await.unwrap().is_some());
    assert!(executions.get_visible(&friend, on_private).await.unwrap().is_none());
    assert_eq!(views.slots().counts(&friend).await.unwrap().len(), 1);

    let row = views.agents().get(&friend, &shared.name).await.unwrap().unwrap();
    assert_eq!((row.owner.as_str(), row.is_owner, row.is_shared), ("owner", false, true));
    let detail = views.agents().detail(&owner, &shared.name).await.unwrap().unwrap();
    assert_eq!(detail.shares[0].username, "friend");
    assert!(detail.can_share && detail.can_delete);

    // History stays with its owner when the agent goes, and only with them.
    world.cancel(on_shared).await;
    world.delete(&shared).await;
    world.caught_up(&views).await;
    assert_eq!(names(world.owner).await, ["private"]);
    assert_eq!(ids(&views, &owner, &everything).await, [on_private, on_shared]);
    assert_eq!(ids(&views, &friend, &everything).await, []);
}

#[tokio::test]
async fn a_list_is_read_from_either_end_and_searched_for_words() {
    let world = World::new().await;
    let store = world.db().await;
    let life = world.agent("scout").await;
    let mut submitted = Vec::new();
    for message in ["Deploy the site", "count sheep", "then undeploy: DEPLOY!"] {
        submitted.push(world.submit(world.task(&life, message)).await);
    }
    let views = world.views(&store.db).await;
    let oldest = ExecutionFilter { order: Order::OldestFirst, ..Default::default() };
    assert_eq!(ids(&views, &Viewer::System, &oldest).await, submitted);
    let first = oldest.page(Some(2), None).unwrap();
    let first = views.executions().list(&Viewer::System, &oldest, &first).await.unwrap();
    let rest = oldest.page(Some(2), first.next_cursor.as_deref()).unwrap();
    let rest = views.executions().list(&Viewer::System, &oldest, &rest).await.unwrap();
    assert_eq!(rest.items[0].id, submitted[2]);
    let deploys = ExecutionFilter { q: Some("DEPLOY".into()), ..Default::default() };
    assert_eq!(ids(&views, &Viewer::System, &deploys).await, [submitted[2], submitted[0]]);
}

#[tokio::test]
async fn executions_are_counted_as_far_as_they_may_be_seen() {
    let world = World::new().await;
    let store = world.db().await;
    let life = world.agent("scout").await;
    for number in 0..4 {
        let id = world.submit(world.task(&life, "task")).await;
        world.start(&life, id).await;
        let failed = Verdict::Failed { class: ErrorClass::Exit, error: "exit 1".into() };
        world.end(&life, id, if number == 0 { failed } else { Verdict::Completed }).await;
    }
    world.submit(world.task(&life, "waits")).await;
    let views = world.views(&store.db).await;
    let all = ExecutionFilter::default();
    let facets = views.statistics().facets(&Viewer::System, &all).await.unwrap();
    assert_eq!((facets.total, facets.agent["scout"]), (5, 5));
    assert_eq!((facets.status["completed"], facets.status["pending"]), (3, 1));
    let totals = views.statistics().totals(&Viewer::System, &all).await.unwrap();
    assert_eq!((totals.total, totals.success_rate), (5, Some(0.75)));
    assert_eq!(totals.cost, Cost(4 * 12_345));
    assert_eq!((totals.duration_ms_p50, totals.duration_ms_p95), (Some(1_500), Some(1_500)));
    let dear = ExecutionFilter { cost_min: Some(Cost(12_345)), ..all.clone() };
    let facets = views.statistics().facets(&Viewer::System, &dear).await.unwrap();
    assert_eq!((facets.total, facets.cost, facets.is_cut), (4, Cost(4 * 12_345), false));
    assert_eq!(facets.agent["scout"], 4);
    let stranger = Viewer::User(AccountId(uuid::Uuid::nil()));
    let facets = views.statistics().facets(&stranger, &dear).await.unwrap();
    assert_eq!((facets.total, facets.cost), (0, Cost(0)));
    let nothing = views.statistics().totals(&stranger, &all).await.unwrap();
    assert_eq!((nothing.total, nothing.success_rate, nothing.cost), (0, None, Cost(0)));
    let lives = Viewer::Lives(vec![life.incarnation]);
    assert_eq!(ids(&views, &lives, &all).await.len(), 5, "an agent sees what it may call");
}
