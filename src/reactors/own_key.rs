//! The agent's own API key: made with the agent, another one at each of its starts, ended with it.
//!
//! Its runs have it in their environment. The vault keeps its text, the log its digest. The one of
//! before is ended first, and a new one stored before the log knows it: so none is left that works and
//! that nobody remembers.

use super::look::Look;
use crate::commands::accounts::{self, NewKey};
use crate::commands::{Refusal, ids};
use crate::domain::account::{Account, AccountError, Scope};
use crate::event_log::{ExecuteError, LogError};
use crate::vault::{self, SecretText};

/// What the list of keys says of it.
const DESCRIPTION: &str = "the agent's own, for its runs; each start gives it another one";

/// Why an agent has no key of its own, or still has one.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failed {
    /// Its text cannot be stored, or that of the one of before cannot be opened.
    #[error(transparent)]
    Vault(#[from] vault::Error),
    /// It cannot be recorded.
    #[error(transparent)]
    Record(#[from] ExecuteError<Refusal>),
    /// It cannot be told whether it works.
    #[error(transparent)]
    Log(#[from] LogError),
}

impl Failed {
    /// Tells whether the same may succeed later, as it is.
    pub(super) fn is_away(&self) -> bool {
        match self {
            Self::Vault(error) => error.is_away(),
            Self::Record(error) => matches!(
                error,
                ExecuteError::Unavailable(_)
                    | ExecuteError::Conflict
                    | ExecuteError::Log(LogError::Unavailable(_))
            ),
            Self::Log(error) => matches!(error, LogError::Unavailable(_)),
        }
    }
}

/// Makes sure that the agent has a key that works.
pub(super) async fn ensure(look: &Look<'_>) -> Result<(), Failed> {
    if let Some(api_key) = known(look).await? {
        let account = look.context.log.state::<Account>(ids::api_key_id(api_key.expose())).await?;
        if matches!(account.state, Account::Key(_)) {
            return Ok(());
        }
    }
    renew(look).await
}

/// Gives the agent another key, and ends the one of before.
pub(super) async fn renew(look: &Look<'_>) -> Result<(), Failed> {
    let Look { context, life_ref, life, cause, .. } = look;
    end(look).await?;
    let secret = accounts::random_text();
    let api_key = SecretText::from(accounts::api_key_of(&secret));
    context.vault.set_api_key(life_ref.incarnation.0, api_key, context.log.now()).await?;
    let new = NewKey {
        name: life_ref.name.to_string(),
        description: Some(DESCRIPTION.to_owned()),
        owner: life.owner,
        scope: Scope::Agent,
        agent: Some((*life_ref).clone()),
        expires_at: None,
    };
    accounts::issue_key_of(&context.log, new, &secret, cause.metadata()).await?;
    Ok(())
}

/// Ends the key of an agent that is deleted. One whose text cannot be opened any more works for nobody:
/// a key acts as one life of its agent, and this one is over.
pub(super) async fn end_for_ever(look: &Look<'_>) -> Result<(), Failed> {
    match end(look).await {
        Err(Failed::Vault(vault::Error::Damaged { .. } | vault::Error::Rotated)) => Ok(()),
        ended => ended,
    }
}

/// Ends the agent's key; one that its owner has ended, or that never was recorded, is ended already.
async fn end(look: &Look<'_>) -> Result<(), Failed> {
    let Some(api_key) = known(look).await? else { return Ok(()) };
    let id = ids::api_key_id(api_key.expose());
    match accounts::delete_key(&look.context.log, id, look.cause.metadata()).await {
        Ok(_) | Err(ExecuteError::Refused(Refusal::Account(AccountError::NotFound))) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

async fn known(look: &Look<'_>) -> Result<Option<SecretText>, vault::Error> {
    Ok(look.context.vault.read(look.life_ref.incarnation.0).await?.api_key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db;
    use crate::event_log::Unavailable;

    #[test]
    fn a_store_that_is_away_passes_and_what_it_refuses_does_not() {
        let away = || db::Error::Unavailable("restarting".to_owned());
        let passing = [
            Failed::Vault(away().into()),
            Failed::Vault(vault::Error::Busy),
            Failed::Record(ExecuteError::Unavailable(Unavailable::new("restarting"))),
            Failed::Record(ExecuteError::Conflict),
            Failed::Log(LogError::Unavailable(Unavailable::new("restarting"))),
        ];
        for failed in passing {
            assert!(failed.is_away(), "{failed}");
        }
        let staying = [
            Failed::Vault(db::Error::Damaged("no database".to_owned()).into()),
            Failed::Vault(vault::Error::Rotated),
            Failed::Record(ExecuteError::Refused(Refusal::Account(AccountError::NotFound))),
            Failed::Log(LogError::Hole { expected: 7 }),
        ];
        for failed in staying {
            assert!(!failed.is_away(), "{failed}");
        }
    }
}
