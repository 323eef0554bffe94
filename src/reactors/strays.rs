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
                Ok(()) => {
                    waits.succeeded();
                    if strays.0.is_empty() { PERIOD } else { GRACE }
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

/// Since when places have been in no life.
#[derive(Default)]
struct Strays(HashMap<Uuid, Instant>);

/// What the log says of a place that is in no life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stray {
    /// Nothing: it holds no such life.
    Unknown,
    /// That its life is over.
    Over,
}

impl Strays {
    async fn look(&mut self, context: &Context) -> anyhow::Result<()> {
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
        let now = Instant::now();
        let before = std::mem::take(&mut self.0);
        for (place, _) in &found {
            let since = before.get(&place.incarnation).copied().unwrap_or(now);
            self.0.insert(place.incarnation, since);
        }
        let is_due = |incarnation: &Uuid| {
            self.0.get(incarnation).is_some_and(|since| now.duration_since(*since) >= GRACE)
        };
        let due = found.iter().filter(|(place, _)| is_due(&place.incarnation));
        for (place, stray) in due.take(REMOVALS_MAX) {
            take_away(context, place, *stray).await;
        }
        Ok(())
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

/// Ends what runs in a place, and removes the place. What fails is tried again at the next look.
async fn take_away(context: &Context, place: &HostedAgent, stray: Stray) {
    let HostedAgent { name, incarnation, host_ref, .. } = place;
    match try_to_take_away(context, place, stray).await {
        Ok(false) => {}
        Ok(true) => {
            let kept = if stray == Stray::Unknown { "; its workspace stays" } else { "" };
            tracing::warn!(agent = name, %incarnation, host_ref, "taken away, no life has it{kept}");
            metrics::counter!(STRAYS).increment(1);
        }
        Err(error) => {
            let error = chain(&error);
            tracing::warn!(agent = name, %incarnation, host_ref, "cannot be taken away: {error}");
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
