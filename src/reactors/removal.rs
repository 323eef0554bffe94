//! Deletion: whoever keeps something for an agent is named here, with how it goes.
//!
//! Kept under the old incarnation are the log, executions, activities and transcripts. Everything
//! else goes, and only when all of it is gone the deletion is recorded. What read models show of
//! the current life goes with the events themselves.

use super::lifecycle::runs_have_ended;
use super::look::{Look, Next};
use super::own_key;
use crate::commands::{reports, tasks};
use crate::domain::execution::CancelReason;

/// Something that is kept for an agent and goes with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kept {
    /// Executions that wait; they end as cancelled.
    Queue,
    /// Executions that run; they are stopped and end as cancelled.
    Runs,
    /// Its own API key.
    Key,
    /// The agent's place: its agent server, its workspace, its network.
    Place,
    /// Its picture.
    Avatar,
    /// Its credentials, with the key that opens them.
    Credentials,
}

/// In this order: what waits must not be granted a slot that a run gives back.
const REGISTRY: [Kept; 6] =
    [Kept::Queue, Kept::Runs, Kept::Key, Kept::Place, Kept::Avatar, Kept::Credentials];

/// Removes everything that is kept for the agent.
pub(super) async fn remove(look: &Look<'_>, reason: CancelReason) -> anyhow::Result<Next> {
    let Look { context, life_ref, cause, .. } = look;
    for kept in REGISTRY {
        let gone = match kept {
            Kept::Queue => {
                for queued in &look.slots.queue {
                    let (id, metadata) = (queued.execution_id, cause.metadata());
                    tasks::cancel_if_queued(&context.log, id, reason, metadata).await?;
                }
                true
            }
            Kept::Runs => runs_have_ended(look, reason).await?,
            Kept::Key => {
                own_key::end_for_ever(look).await?;
                true
            }
            Kept::Place => {
                context.host.remove(life_ref.incarnation.0).await?;
                true
            }
            Kept::Avatar => {
                let _alone = context.vault.alone(life_ref.incarnation.0).await;
                context.avatars.remove_all_but(life_ref.incarnation.0, None).await?;
                true
            }
            Kept::Credentials => {
                let _alone = context.vault.alone(life_ref.incarnation.0).await;
                context.vault.destroy(life_ref.incarnation.0).await?;
                true
            }
        };
        if !gone {
            return Ok(Next::Wait);
        }
    }
    reports::deleted(&context.log, life_ref, cause).await?;
    tracing::info!(agent = %life_ref.name, "deleted");
    Ok(Next::Over)
}
