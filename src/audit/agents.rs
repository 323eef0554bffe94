//! Checks of agent events.

use super::life::Phase;
use super::report::Invariant;
use super::row::Entry;
use super::world::{Life, World};

pub(super) fn observe(world: &mut World, entry: &Entry<'_>) {
    let name = &entry.row.stream_id;
    let is_creation = entry.row.event_type == "AgentCreated";
    let is_fresh = !is_creation || is_fresh(world, entry);
    let agent = world.agents.entry(name.clone()).or_default();
    let before = agent.phase;
    let next = agent.next(entry);
    world.tally.check(Invariant::AgentLife, entry.row, next.is_some(), || {
        format!("it may not come while the agent is {before:?}")
    });
    world.tally.check(Invariant::AgentLife, entry.row, is_fresh, || {
        "its name is another, or its incarnation had a life before".to_owned()
    });
    if is_creation {
        let life = Life { agent: name.clone(), is_over: false };
        world.lives.insert(entry.id("incarnation"), life);
        agent.create(entry);
    } else {
        agent.phase = next.unwrap_or(before);
        agent.apply(entry);
    }
    let (incarnation, has_ended) = (agent.incarnation, agent.phase == Phase::Absent);
    if let Some(life) = world.lives.get_mut(&incarnation) {
        life.is_over = has_ended;
    }
    let is_setting = before == world.agents[name].phase && !is_creation;
    world.append.touch_agent(entry.row, incarnation, is_setting);
}

/// A life has the stream's name and an incarnation that was never used.
fn is_fresh(world: &World, entry: &Entry<'_>) -> bool {
    let config = entry.body.get("config");
    let name = config.and_then(|config| config.get("name")?.as_str());
    name == Some(entry.row.stream_id.as_str())
        && !world.lives.contains_key(&entry.id("incarnation"))
}
