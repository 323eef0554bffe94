//! Calls between agents: permitted when they are made, and when they start.

use uuid::Uuid;

use super::executions::{Caller, Execution, Phase};
use super::life;
use super::report::Invariant;
use super::row::Entry;
use super::world::World;

/// The server's own agent, which may call every other.
const SYSTEM_AGENT: &str = "trinity-system";

/// Checks a request: its agent lives, its caller may call, its parent is the caller's own.
pub(super) fn check_request(world: &mut World, entry: &Entry<'_>) -> Option<Caller> {
    let callee = world.agents.get(entry.text("agent"));
    let is_current = callee.is_some_and(|agent| {
        agent.incarnation == entry.id("incarnation")
            && !matches!(agent.phase, life::Phase::Absent | life::Phase::Deleting)
    });
    world.tally.check(Invariant::AgentLife, entry.row, is_current, || {
        "it asks for work of a life that is over or ending".to_owned()
    });
    let caller = caller(world, entry);
    if let Some(caller) = &caller {
        let incarnation = entry.id("incarnation");
        let is_permitted = is_permitted(world, caller, entry.text("agent"), incarnation, None);
        world.tally.check(Invariant::Calls, entry.row, is_permitted, || {
            format!("agent {} calls {} without a grant", caller.agent, entry.text("agent"))
        });
    }
    check_parent(world, entry, caller.as_ref());
    caller
}

/// The agent that calls, in its current life; the key that is used decides who that is.
fn caller(world: &mut World, entry: &Entry<'_>) -> Option<Caller> {
    let is_call = entry.text("source") == "agent";
    let named = entry.optional_text("source_agent").filter(|_| is_call);
    let acting = world.metadata.acting_agent();
    let is_true = is_call == named.is_some()
        && acting.is_none_or(|acting| named == Some(acting))
        && !(is_call && world.metadata.is_by_person());
    let acting = acting.map(str::to_owned);
    world.tally.check(Invariant::Calls, entry.row, is_true, || {
        format!("agent {acting:?} calls in the name of {named:?}")
    });
    let agent = named?.to_owned();
    // The server's own key speaks in that name, whether or not such an agent lives.
    if agent == SYSTEM_AGENT && world.metadata.is_by_system() {
        return None;
    }
    let incarnation = world.agents.get(&agent).map(|agent| agent.incarnation).unwrap_or_default();
    Some(Caller { agent, incarnation })
}

/// Whether the caller's life may call that life; with `since`, whether it might at any time since
/// then, because a start that has begun is not undone by a revocation.
fn is_permitted(
    world: &World,
    caller: &Caller,
    callee: &str,
    callee_incarnation: Uuid,
    since: Option<i64>,
) -> bool {
    let Some(agent) = world.agents.get(&caller.agent) else { return false };
    let held_since = |ended_at: i64| since.is_some_and(|since| ended_at > since);
    let lives = agent.phase != life::Phase::Absent && agent.incarnation == caller.incarnation;
    if !lives {
        return held_since(agent.ended_at);
    }
    let granted =
        agent.grants.get(callee).filter(|granted| granted.incarnation == callee_incarnation);
    agent.is_system
        || agent.incarnation == callee_incarnation
        || granted.is_some_and(|granted| granted.ended_at.is_none_or(held_since))
}

fn check_parent(world: &mut World, entry: &Entry<'_>, caller: Option<&Caller>) {
    let Some(id) = entry.optional_id("parent_execution_id") else { return };
    let parent = world.executions.get(&id).filter(|parent| parent.phase == Phase::Running);
    let is_own = parent.is_some_and(|parent| match caller {
        Some(caller) => parent.agent == caller.agent && parent.incarnation == caller.incarnation,
        None => {
            parent.source_user.is_some() && parent.source_user == entry.optional_id("source_user")
        }
    });
    world.tally.check(Invariant::Parents, entry.row, is_own, || {
        format!("execution {id} does not run, or is not the caller's")
    });
}

/// Checks a start: the permission held at some time since the slot was granted.
pub(super) fn check_start(world: &mut World, entry: &Entry<'_>, execution: &Execution) {
    let Some(caller) = &execution.caller else { return };
    let since = execution.grant.map(|grant| grant.position);
    let (callee, incarnation) = (execution.agent.as_str(), execution.incarnation);
    let is_permitted = is_permitted(world, caller, callee, incarnation, since);
    world.tally.check(Invariant::Calls, entry.row, is_permitted, || {
        format!("agent {} lost its grant before the slot was granted", caller.agent)
    });
}
