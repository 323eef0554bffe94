//! One life of an agent as a look at the log finds it, and what the look comes to.

use std::time::Duration;

use super::Context;
use crate::commands::Cause;
use crate::commands::reports::LifeRef;
use crate::commands::runs::Grant;
use crate::domain::IncarnationId;
use crate::domain::agent::Life;
use crate::domain::slots::Slots;
use crate::hosts::link::Link;

/// What a look at an agent comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Look again when something hints at a change, or after the period.
    Wait,
    /// Look again at once: the phase has changed.
    Again,
    /// Look again after this time at the latest.
    After(Duration),
    /// This life is over.
    Over,
}

/// One life of an agent as a look finds it.
pub(super) struct Look<'a> {
    pub(super) context: &'a Context,
    pub(super) life_ref: &'a LifeRef,
    pub(super) life: &'a Life,
    pub(super) slots: &'a Slots,
    pub(super) link: &'a Link,
    pub(super) cause: Cause,
}

impl Look<'_> {
    /// The executions that hold a slot.
    pub(super) fn grants(&self) -> impl Iterator<Item = Grant> + '_ {
        grants(self.life_ref.incarnation, self.slots)
    }
}

/// The executions that hold a slot.
pub(super) fn grants(
    incarnation: IncarnationId,
    slots: &Slots,
) -> impl Iterator<Item = Grant> + '_ {
    slots.active.iter().map(move |(slot, active)| Grant {
        execution_id: active.execution_id,
        incarnation,
        slot: *slot,
        epoch: active.epoch,
    })
}
