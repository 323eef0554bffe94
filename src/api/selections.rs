//! What somebody has chosen to act on together: kept in memory on the node where it was chosen, until
//! it is acted on or too old.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::auth::Identity;
use crate::domain::ExecutionId;

/// How long a selection is kept.
pub const SELECTION_AGE_MAX: TimeDelta = TimeDelta::minutes(10);

/// How many selections are kept; the oldest goes first.
const SELECTIONS_MAX: usize = 256;

/// How many selections are kept of one caller; the oldest goes first.
const SELECTIONS_OF_ONE_MAX: usize = 8;

/// The selections that wait to be acted on, the oldest first.
#[derive(Debug, Default)]
pub struct Selections(Mutex<VecDeque<Selection>>);

#[derive(Debug)]
struct Selection {
    id: Uuid,
    owner: Identity,
    executions: Vec<ExecutionId>,
    expires_at: DateTime<Utc>,
}

impl Selections {
    /// Keeps a selection; gives its id and until when it is kept.
    pub fn keep(
        &self,
        owner: Identity,
        executions: Vec<ExecutionId>,
        now: DateTime<Utc>,
    ) -> (Uuid, DateTime<Utc>) {
        let (id, expires_at) = (Uuid::new_v4(), now + SELECTION_AGE_MAX);
        let mut kept = self.lock();
        kept.retain(|selection| selection.expires_at > now);
        if kept.iter().filter(|selection| selection.owner == owner).count() >= SELECTIONS_OF_ONE_MAX
            && let Some(oldest) = kept.iter().position(|selection| selection.owner == owner)
        {
            kept.remove(oldest);
        }
        if kept.len() >= SELECTIONS_MAX {
            kept.pop_front();
        }
        kept.push_back(Selection { id, owner, executions, expires_at });
        (id, expires_at)
    }

    /// Takes a selection of the caller's out, once; none when it is another's or not there any more.
    pub fn take(&self, id: Uuid, owner: &Identity, now: DateTime<Utc>) -> Option<Vec<ExecutionId>> {
        let mut kept = self.lock();
        kept.retain(|selection| selection.expires_at > now);
        let is_it = |selection: &Selection| selection.id == id && selection.owner == *owner;
        let place = kept.iter().position(is_it)?;
        kept.remove(place).map(|selection| selection.executions)
    }

    /// Nothing panics while the lock is held, so a poisoned one is as good as any.
    fn lock(&self) -> MutexGuard<'_, VecDeque<Selection>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;
    use crate::domain::AccountId;
    use crate::domain::account::Role;

    fn user() -> Identity {
        Identity::User { id: AccountId(Uuid::new_v4()), name: "ada".into(), role: Role::User }
    }

    fn executions() -> Vec<ExecutionId> {
        vec![ExecutionId(Uuid::new_v4())]
    }

    #[test]
    fn a_selection_is_taken_once_and_by_its_owner_alone() {
        let (selections, ada, eve, now) = (Selections::default(), user(), user(), clock::now());
        let chosen = executions();
        let (id, _) = selections.keep(ada.clone(), chosen.clone(), now);
        assert_eq!(selections.take(id, &eve, now), None);
        assert_eq!(selections.take(id, &ada, now), Some(chosen));
        assert_eq!(selections.take(id, &ada, now), None);
    }

    #[test]
    fn a_selection_is_forgotten_when_it_is_too_old() {
        let (selections, ada, now) = (Selections::default(), user(), clock::now());
        let (id, expires_at) = selections.keep(ada.clone(), executions(), now);
        assert_eq!(expires_at, now + SELECTION_AGE_MAX);
        assert_eq!(selections.take(id, &ada, expires_at), None);
    }

    #[test]
    fn one_caller_has_few_and_all_together_a_bounded_number() {
        let (selections, ada, now) = (Selections::default(), user(), clock::now());
        let keep = |owner: &Identity| selections.keep(owner.clone(), executions(), now).0;
        let of_ada: Vec<_> = (0..=SELECTIONS_OF_ONE_MAX).map(|_| keep(&ada)).collect();
        assert_eq!(selections.take(of_ada[0], &ada, now), None, "the oldest went");
        assert!(selections.take(of_ada[1], &ada, now).is_some());
        let others: Vec<_> = (0..=SELECTIONS_MAX).map(|_| user()).collect();
        let ids: Vec<_> = others.iter().map(keep).collect();
        assert_eq!(selections.lock().len(), SELECTIONS_MAX);
        assert_eq!(selections.take(ids[0], &others[0], now), None, "the oldest went");
        assert!(selections.take(ids[SELECTIONS_MAX], &others[SELECTIONS_MAX], now).is_some());
    }
}
