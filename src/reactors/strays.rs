//! Places of agents that the log does not hold: such as were made after the backup that was restored,
//! or by a server that was slower than a deletion.
//!
//! The host is asked for all places of this log now and then, and they are compared with the lives in it.
//! What is in no life for a while is ended and taken away; the workspace goes too where the log says that
//! the life is over, and stays where it knows nothing of it, because nobody has asked for its end. Places
//! of other logs are left alone.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::wait::Waits;
use super::{Context, chain};
use crate::domain::IncarnationId;
use crate::domain::agent::Agent;
use crate::domain::slots::Slots;
use crate::hosts::{self, HostedAgent};
use crate::telemetry::metrics::STRAYS;

/// How often the host is asked for all its places, after a first time at the start.
const PERIOD: Duration = Duration::from_mins(1);
/// How long a place must have been in no life before it is taken away.
const GRACE: Duration = Duration::from_secs(15);
/// How many places one look takes away at most; the rest waits for the next.
const REMOVALS_MAX: usize = 16;

/// Takes away what the log does not hold until shutdown.
pub fn spawn(context: Arc<Context>) -> JoinHandle<()> {
    tokio::spawn(async move {
        let (mut strays, mut waits) = (Strays::default(), Waits::new());
        loop {
            let wait = match strays.look(&context).await {
                Ok(is_done) => {
                    waits.succeeded();
                    if is_done { PERIOD } else { GRACE }
                }
                Err(error) => {
                    if !waits.failing() {
                        tracing::warn!("places are not compared with the log: {error:#}");
                    }
                    waits.failed()
                }
            };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = context.shutdown.cancelled() => break,
            }
        }
    })
}

/// Since when places have been in no life, or when it was last tried to take them away.
#[derive(Default)]
struct Strays {
    since: HashMap<Uuid, Instant>,
    /// Lives that are over, of whose places something is left that the host may list no more.
    rest: Vec<HostedAgent>,
}

/// What the log says of a place that is in no life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stray {
    /// Nothing: it holds no such life.
    Unknown,
    /// That its life is over.
    Over,
}

impl Strays {
    /// Gives whether nothing is left to be taken away.
    async fn look(&mut self, context: &Context) -> anyhow::Result<bool> {
        let placed = context.host.list().await?;
        let live = context.views.agents().all().await.context("cannot list the agents")?;
        let live: HashSet<_> = live.into_iter().map(|agent| agent.incarnation.0).collect();
        let platform = context.log.log_id().to_string();
        let mut found = Vec::new();
        for place in placed {
            if !place.belongs_to(&platform) || live.contains(&place.incarnation) {
                continue;
            }
            // The list of agents may be behind the log, which alone decides.
            if let Some(stray) = stray(context, &place).await? {
                found.push((place, stray));
            }
        }
        let listed: HashSet<_> = found.iter().map(|(place, _)| place.incarnation).collect();
        let rest = std::mem::take(&mut self.rest);
        let rest = rest.into_iter().filter(|place| !listed.contains(&place.incarnation));
        found.extend(rest.map(|place| (place, Stray::Over)));
        let (now, before) = (Instant::now(), std::mem::take(&mut self.since));
        let since = |place: &HostedAgent| before.get(&place.incarnation).copied().unwrap_or(now);
        // Whatever cannot be taken away stands in nobody's way.
        found.sort_by_key(|(place, _)| since(place));
        let (mut left, mut tried) = (found.len(), 0);
        for (place, stray) in found {
            let is_due = tried < REMOVALS_MAX && now.duration_since(since(&place)) >= GRACE;
            let mut is_rest = !listed.contains(&place.incarnation);
            if is_due {
                tried += 1;
                let is_done = take_away(context, &place, stray).await;
                left -= usize::from(is_done);
                is_rest = !is_done && stray == Stray::Over;
            }
            self.since.insert(place.incarnation, if is_due { now } else { since(&place) });
            if is_rest {
                self.rest.push(place);
            }
        }
        Ok(left == 0)
    }
}

async fn stray(context: &Context, place: &HostedAgent) -> anyhow::Result<Option<Stray>> {
    let incarnation = IncarnationId(place.incarnation);
    // The slots of a life begin in the append that begins the life.
    let slots = context.log.state::<Slots>(incarnation).await.context("cannot read the log")?;
    if slots.version == 0 {
        return Ok(Some(Stray::Unknown));
    }
    let agent = context.log.state::<Agent>(&place.name).await.context("cannot read the log")?;
    let is_live = agent.state.life.is_some_and(|life| life.incarnation == incarnation);
    Ok((!is_live).then_some(Stray::Over))
}

/// Ends what runs in a place, and removes the place. What fails is tried again at the next look. Gives
/// whether nothing is left to be done.
async fn take_away(context: &Context, place: &HostedAgent, stray: Stray) -> bool {
    let HostedAgent { name, incarnation, host_ref, .. } = place;
    match try_to_take_away(context, place, stray).await {
        Ok(false) => true,
        Ok(true) => {
            let kept = if stray == Stray::Unknown { "; its workspace stays" } else { "" };
            tracing::warn!(agent = name, %incarnation, host_ref, "taken away, no life has it{kept}");
            metrics::counter!(STRAYS).increment(1);
            true
        }
        Err(error) => {
            let error = chain(&error);
            tracing::warn!(agent = name, %incarnation, host_ref, "cannot be taken away: {error}");
            false
        }
    }
}

/// Gives whether there was anything to take away.
async fn try_to_take_away(
    context: &Context,
    place: &HostedAgent,
    stray: Stray,
) -> Result<bool, hosts::Error> {
    match stray {
        Stray::Unknown => {
            let grace = Duration::from_millis(context.grace_ms);
            context.host.evict(place.incarnation, grace).await
        }
        Stray::Over => context.host.remove(place.incarnation).await.map(|()| true),
    }
}
