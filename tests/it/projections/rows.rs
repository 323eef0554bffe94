//! What the rows say: agents, slots, executions, permissions, accounts.

use std::collections::BTreeSet;

use serde_json::{Value as Json, json};
use trinity::clock;
use trinity::commands::accounts::{self, NewKey};
use trinity::commands::agents;
use trinity::commands::reports::LifeRef;
use trinity::domain::account::{Role, Scope};
use trinity::domain::agent::{RevokeReason, Setting};
use trinity::domain::execution::{ErrorClass, Verdict};
use trinity::projections::agents::AgentStatus;
use trinity::projections::{Timestamp, Viewer, Views};

use super::world::{ViewsDb, World};

async fn stage() -> (World, ViewsDb, Views) {
    let world = World::new().await;
    let store = world.db().await;
    let views = world.views(&store.db).await;
    (world, store, views)
}

fn keys(value: &Json) -> BTreeSet<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

/// The fields of an execution that clients rely on.
const EXECUTION_FIELDS: [&str; 39] = [
    "id",
    "agent_name",
    "status",
    "started_at",
    "completed_at",
    "duration_ms",
    "message",
    "response",
    "error",
    "cost",
    "model_used",
    "triggered_by",
    "claude_session_id",
    "created_at",
    "queue_position",
    "slot",
    "source",
    "source_agent",
    "source_user",
    "parent_execution_id",
    "schedule_id",
    "chat_session_id",
    "num_turns",
    "usage",
    "context_used",
    "context_max",
    "exit_code",
    "error_class",
    "tool_call_count",
    "cancel_phase",
    "queue_reason",
    "lost_contact_at",
    "tags",
    "response_ref",
    "incarnation",
    "cancel_reason",
    "timeout_seconds",
    "max_turns",
    "model",
];

#[tokio::test]
async fn an_execution_has_every_field_at_every_moment() {
    let (world, _store, views) = stage().await;
    let life = world.agent("scout").await;
    let id = world.submit(world.task(&life, "work")).await;
    let seen = || async {
        world.caught_up(&views).await;
        let row = views.executions().get(id).await.unwrap().unwrap();
        let row = serde_json::to_value(row).unwrap();
        let missing: Vec<_> =
            EXECUTION_FIELDS.iter().filter(|field| row.get(**field).is_none()).collect();
        assert_eq!(missing, Vec::<&&str>::new());
        for hidden in ["row_no", "queue_no", "message_is_cut"] {
            assert!(row.get(hidden).is_none(), "{hidden} is nobody's business");
        }
        row
    };
    let granted = seen().await;
    assert_eq!((&granted["status"], &granted["slot"]), (&json!("pending"), &json!(1)));
    assert_eq!(granted["timeout_seconds"], 900);
    assert_eq!((&granted["started_at"], &granted["cost"]), (&Json::Null, &Json::Null));
    world.start(&life, id).await;
    world.session(id).await;
    world.tool_started(id, 1, "call").await;
    let running = seen().await;
    assert_eq!((&running["status"], &running["model_used"]), (&json!("running"), &json!("demo")));
    assert_eq!(
        (&running["claude_session_id"], &running["tool_call_count"]),
        (&json!("bound"), &json!(1))
    );
    world.end(&life, id, Verdict::Completed).await;
    let ended = seen().await;
    assert_eq!((&ended["status"], &ended["response"]), (&json!("completed"), &json!("done")));
    assert_eq!((&ended["cost"], &ended["duration_ms"]), (&json!(0.012_345), &json!(1_500)));
    assert_eq!((&ended["num_turns"], &ended["error"]), (&json!(2), &Json::Null));
    assert_eq!((&ended["tags"], &ended["slot"]), (&json!(["a", "b"]), &json!(1)));
    let at = ended["completed_at"].as_str().unwrap();
    assert!(at.ends_with('Z') && at.len() == "2026-11-21T09:30:00.000Z".len(), "{at}");
    assert_eq!(keys(&granted), keys(&ended));
}

#[tokio::test]
async fn a_failed_run_says_why() {
    let (world, _store, views) = stage().await;
    let life = world.agent("scout").await;
    let id = world.submit(world.task(&life, "work")).await;
    world.start(&life, id).await;
    let failed = Verdict::Failed { class: ErrorClass::MaxTurns, error: "no turns left".into() };
    world.end(&life, id, failed).await;
    world.caught_up(&views).await;
    let row = views.executions().get(id).await.unwrap().unwrap();
    let row = serde_json::to_value(row).unwrap();
    assert_eq!(
        (&row["error_class"], &row["error"]),
        (&json!("max_turns"), &json!("no turns left"))
    );
    assert_eq!(row["response"], "done", "a partial response is kept");
}

#[tokio::test]
async fn the_queue_is_seen_from_every_side() {
    let (world, _store, views) = stage().await;
    let life = world.agent("scout").await;
    let mut ids = Vec::new();
    for number in 1..=5 {
        ids.push(world.submit(world.task(&life, &format!("task {number}"))).await);
    }
    world.start(&life, ids[0]).await;
    world.caught_up(&views).await;
    let place = |number: usize| {
        let (views, id) = (views.clone(), ids[number]);
        async move { views.executions().get(id).await.unwrap().unwrap() }
    };
    assert_eq!((place(0).await.queue_position, place(0).await.slot), (None, Some(1)));
    assert_eq!((place(3).await.queue_position, place(3).await.slot), (Some(1), None));
    assert_eq!(place(4).await.queue_position, Some(2));
    assert_eq!(place(4).await.queue_reason, None, "only slots are missing");

    let counts = &views.slots().counts(&Viewer::System).await.unwrap()[&life.name];
    assert_eq!((counts.active, counts.max, counts.queued), (3, 3, 2));
    let now = Timestamp(clock::now());
    let capacity = views.slots().capacity(life.incarnation, now).await.unwrap().unwrap();
    assert_eq!((capacity.active_slots, capacity.available_slots), (3, 0));
    let numbers: Vec<_> = capacity.slots.iter().map(|slot| slot.slot_number).collect();
    assert_eq!(numbers, [1, 2, 3]);
    assert_eq!(capacity.slots[0].message_preview, "task 1");
    assert!(capacity.slots[0].started_at.is_some() && capacity.slots[1].started_at.is_none());
    let queue = views.slots().queue(life.incarnation).await.unwrap().unwrap();
    assert_eq!((queue.is_busy, queue.queue_length), (true, 2));
    assert_eq!(queue.current_execution, Some(ids[0]));
    let waiting: Vec<_> = queue.queued_executions.iter().map(|entry| entry.execution_id).collect();
    assert_eq!(waiting, ids[3..]);

    agents::request_stop(&world.log, &life, world.by_owner()).await.unwrap();
    world.caught_up(&views).await;
    let row = serde_json::to_value(place(3).await).unwrap();
    assert_eq!(
        (&row["queue_reason"], &row["status"]),
        (&json!("agent-stopped"), &json!("pending"))
    );

    world.cancel(ids[3]).await;
    world.caught_up(&views).await;
    assert_eq!(place(4).await.queue_position, Some(1), "the next one moves up");
    let counts = &views.slots().counts(&Viewer::System).await.unwrap()[&life.name];
    assert_eq!((counts.active, counts.queued), (3, 1));
}

#[tokio::test]
async fn an_agent_shows_where_it_is_in_its_life() {
    let (world, _store, views) = stage().await;
    let viewer = Viewer::User(world.owner);
    let life = world.created("scout").await;
    let seen = || async {
        world.caught_up(&views).await;
        views.agents().get(&viewer, &life.name).await.unwrap().unwrap()
    };
    let creating = seen().await;
    assert_eq!(creating.status, AgentStatus::Stopped);
    let wire = serde_json::to_value(&creating).unwrap();
    assert_eq!((&wire["phase"], &wire["type"]), (&json!("creating"), &json!("general")));
    assert_eq!((&wire["runtime"], &wire["container_id"]), (&json!("demo"), &Json::Null));
    assert_eq!(wire["slots"], json!({ "active": 0, "max": 3, "queued": 0 }));
    let fields = [
        "name",
        "type",
        "status",
        "phase",
        "runtime",
        "model",
        "created",
        "resources",
        "container_id",
        "template",
        "owner",
        "is_owner",
        "is_shared",
        "is_system",
        "autonomy",
        "tags",
        "slots",
        "position",
        "failure",
        "incarnation",
    ];
    assert!(fields.iter().all(|field| wire.get(*field).is_some()), "{wire}");
    world.run(&life).await;
    let running = seen().await;
    assert_eq!(
        (running.status, running.container_id.as_deref()),
        (AgentStatus::Running, Some("host"))
    );
    let set = |setting| agents::set(&world.log, &life, setting, world.by_owner());
    set(Setting::SetTags { tags: ["x".to_owned()].into() }).await.unwrap();
    set(Setting::SetAutonomy { enabled: true }).await.unwrap();
    agents::set_capacity(&world.log, &life, 7, world.by_owner(), clock::now()).await.unwrap();
    let changed = seen().await;
    assert_eq!((changed.autonomy, changed.slots.max), (true, 7));
    assert!(changed.tags.contains("x") && changed.position > running.position);
    world.delete(&life).await;
    world.caught_up(&views).await;
    assert_eq!(views.agents().get(&viewer, &life.name).await.unwrap(), None);
    let gone = views.agents().life(life.incarnation).await.unwrap().unwrap();
    assert!(gone.deleted_at.is_some() && gone.owner == world.owner);
    assert!(views.slots().pool(life.incarnation).await.unwrap().is_none());

    let again = world.agent("scout").await;
    assert_ne!(again.incarnation, life.incarnation);
    let row = seen().await;
    assert_eq!((row.incarnation, row.autonomy), (again.incarnation, false), "nothing is inherited");
}

async fn grant(world: &World, caller: &LifeRef, callee: &LifeRef) {
    let setting =
        Setting::Grant { callee: callee.name.clone(), callee_incarnation: callee.incarnation };
    agents::set(&world.log, caller, setting, world.by_owner()).await.unwrap();
}

#[tokio::test]
async fn a_grant_lives_as_long_as_both_agents() {
    let (world, _store, views) = stage().await;
    let (a, b) = (world.agent("a").await, world.agent("b").await);
    let may = |caller: &LifeRef, callee: &LifeRef| {
        let (caller, callee) = (caller.name.clone(), callee.name.clone());
        let (views, world) = (&views, &world);
        async move {
            world.caught_up(views).await;
            views.permissions().may_call(&caller, &callee).await.unwrap()
        }
    };
    assert!(!may(&a, &b).await, "nothing is granted by default");
    assert!(may(&a, &a).await, "an agent may call itself");
    grant(&world, &a, &b).await;
    assert!(may(&a, &b).await);
    assert!(!may(&b, &a).await, "a grant has a direction");
    assert_eq!(views.permissions().callees(&a.name).await.unwrap()[0].callee, b.name);
    assert_eq!(views.permissions().callers(&b.name).await.unwrap()[0].caller, a.name);

    world.delete(&b).await;
    assert!(!may(&a, &b).await, "who is gone cannot be called");
    let b_again = world.agent("b").await;
    assert!(!may(&a, &b_again).await, "a new life inherits nothing");
    // The caller's stream still holds the old grant; asking for it anew is one for this life.
    grant(&world, &a, &b_again).await;
    assert!(may(&a, &b_again).await);
    let revoke = Setting::Revoke { callee: b.name.clone(), reason: RevokeReason::Requested };
    agents::set(&world.log, &a, revoke, world.by_owner()).await.unwrap();
    assert!(!may(&a, &b_again).await);

    grant(&world, &b_again, &a).await;
    world.delete(&b_again).await;
    world.caught_up(&views).await;
    assert_eq!(views.permissions().all().await.unwrap(), [], "a grant ends with its caller too");
}

#[tokio::test]
async fn keys_are_found_by_digest_and_end_with_what_they_belong_to() {
    let (world, _store, views) = stage().await;
    let life = world.agent("scout").await;
    let user = world.user("ann", Role::User).await;
    let key = |name: &str, scope, agent: Option<&LifeRef>| NewKey {
        name: name.to_owned(),
        description: None,
        owner: user,
        scope,
        agent: agent.cloned(),
        expires_at: None,
    };
    let issue = |new| accounts::issue_key(&world.log, new, world.by_owner());
    let (plain, revoked, of_agent) = (
        issue(key("plain", Scope::User, None)).await.unwrap(),
        issue(key("revoked", Scope::User, None)).await.unwrap(),
        issue(key("agent", Scope::Agent, Some(&life))).await.unwrap(),
    );
    accounts::revoke_key(&world.log, revoked.id, world.by_owner()).await.unwrap();
    let find = |api_key: String| {
        let (views, world) = (&views, &world);
        async move {
            world.caught_up(views).await;
            let digest = trinity::commands::ids::sha256_hex(&api_key);
            views.accounts().key_by_sha256(&digest, Timestamp(clock::now())).await.unwrap()
        }
    };
    let found = find(plain.api_key.clone()).await.unwrap();
    assert_eq!((found.id, found.owner_id, found.is_active), (plain.id, user, true));
    assert!(plain.api_key.starts_with(&found.key_prefix));
    let wire = serde_json::to_string(&found).unwrap();
    assert!(!wire.contains(&found.sha256), "the digest stays inside");
    assert!(!find(revoked.api_key.clone()).await.unwrap().is_active);
    assert!(find("trinity_mcp_unknown".into()).await.is_none());
    assert_eq!(find(of_agent.api_key.clone()).await.unwrap().agent_name, Some(life.name.clone()));
    world.delete(&life).await;
    assert!(find(of_agent.api_key.clone()).await.is_none(), "an agent's key goes with it");
    accounts::delete_user(&world.log, user, world.by_owner()).await.unwrap();
    assert!(!find(plain.api_key.clone()).await.unwrap().is_active);
    assert_eq!(views.accounts().user(user).await.unwrap(), None);
}

#[tokio::test]
async fn a_key_ends_at_its_time() {
    let (world, _store, views) = stage().await;
    let now = clock::now();
    let expires_at = Some(now + chrono::TimeDelta::hours(1));
    let new = NewKey {
        name: "short".into(),
        description: Some("for an hour".into()),
        owner: world.owner,
        scope: Scope::User,
        agent: None,
        expires_at,
    };
    let issued = accounts::issue_key(&world.log, new, world.by_owner()).await.unwrap();
    world.caught_up(&views).await;
    let viewer = Viewer::User(world.owner);
    let at = |now| {
        let (views, viewer) = (views.clone(), viewer.clone());
        async move {
            let key = views.accounts().key(&viewer, issued.id, Timestamp(now)).await;
            key.unwrap().unwrap()
        }
    };
    assert!(at(now).await.is_active);
    assert!(!at(now + chrono::TimeDelta::hours(1)).await.is_active);
    let other = Viewer::User(world.user("other", Role::User).await);
    world.caught_up(&views).await;
    let seen = views.accounts().key(&other, issued.id, Timestamp(now)).await.unwrap();
    assert_eq!(seen, None, "another's key is not seen");
}
