//! Who may call whom: grants stand on the caller's stream, so every change is one append there.

use super::agents::is_current;
use super::reports::LifeRef;
use super::{Result, Target};
use crate::domain::agent::{Agent, AgentCommand, RevokeReason, Setting};
use crate::domain::{AgentName, Metadata};
use crate::event_log::{Decision, EventLog, Plan, Receipt};

/// What is to change about whom one agent may call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Change {
    /// Who may be called from now on, and which life of theirs.
    pub grant: Vec<LifeRef>,
    /// Who may not be called any more.
    pub revoke: Vec<AgentName>,
}

/// Grants and revokes, all or nothing; what holds already is no event.
pub async fn change(
    log: &EventLog,
    caller: impl Into<Target>,
    change: Change,
    reason: RevokeReason,
    metadata: Metadata,
) -> Result<Receipt> {
    let Target { life: caller, expected } = caller.into();
    let plan = Plan::new().stream::<Agent>(&caller.name);
    let decide = move |d: &mut Decision<'_>| {
        is_current(d, &caller)?;
        expected.check(d, &caller.name)?;
        for callee in change.revoke.clone() {
            let setting = Setting::Revoke { callee, reason };
            d.decide::<Agent>(&caller.name, AgentCommand::Configure(setting))?;
        }
        for LifeRef { name: callee, incarnation: callee_incarnation } in change.grant.clone() {
            let setting = Setting::Grant { callee, callee_incarnation };
            d.decide::<Agent>(&caller.name, AgentCommand::Configure(setting))?;
        }
        Ok(())
    };
    let ((), receipt) = log.transact(plan, metadata, decide).await?;
    Ok(receipt)
}
