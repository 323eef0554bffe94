//! The first run: the first administrator, the one-time link, and the token of this machine.

use std::sync::Mutex;
use std::sync::PoisonError;

use anyhow::Context as _;
use uuid::Uuid;

use super::identify::by_form;
use super::{Credential, password};
use crate::api::error::{ApiError, Code, Result};
use crate::clock;
use crate::commands::{Refusal, accounts, ids};
use crate::config::{Config, Secret};
use crate::data_dir::DataDir;
use crate::domain::account::{Account, AccountError, Role};
use crate::domain::{Actor, Metadata};
use crate::event_log::{EventLog, ExecuteError};
use crate::state::State;

/// The name of the first administrator.
pub const FIRST_USER: &str = "admin";

/// The file in the data directory whose reader is an administrator.
pub const LOCAL_TOKEN_FILE: &str = "local-token";

/// Who is let in before there is a user, and who can read the data directory.
#[derive(Debug)]
pub struct Setup {
    /// SHA-256 of the token in the data directory.
    local_token_sha256: String,
    /// The one-time token of the setup link; none once there is an administrator.
    link_token: Mutex<Option<Secret>>,
}

impl Setup {
    /// Makes the first administrator from the configured password, or a one-time link; and the
    /// token of this machine, anew with every start.
    ///
    /// # Errors
    /// When a store or the data directory cannot be written.
    pub async fn prepare(
        config: &Config,
        data_dir: &DataDir,
        log: &EventLog,
        state: &State,
    ) -> anyhow::Result<Self> {
        let local_token = accounts::random_text();
        data_dir.write_private(LOCAL_TOKEN_FILE, &local_token)?;
        let local_token_sha256 = ids::sha256_hex(&local_token);
        let link_token = match (&config.admin_password, is_set_up(log, state).await?) {
            (None, false) => Some(Secret::from(accounts::random_text())),
            (None, true) => None,
            (Some(_), true) => {
                tracing::info!("TRINITY_ADMIN_PASSWORD is ignored: there is an administrator");
                None
            }
            (Some(password), false) => {
                password::check(password.expose())
                    .map_err(|error| anyhow::anyhow!("TRINITY_ADMIN_PASSWORD: {error}"))?;
                make_first_user(log, state, password.expose(), metadata()).await?;
                None
            }
        };
        Ok(Self { local_token_sha256, link_token: Mutex::new(link_token) })
    }

    /// How somebody gets in, in one line for the terminal; the link is shown this once.
    pub fn how_to_log_in(&self, url: &str) -> String {
        match &*self.link() {
            Some(token) => format!(
                "first run: choose the administrator's password at {url}/setup?token={}",
                token.expose()
            ),
            None => {
                format!("log in as `{FIRST_USER}`, or on this machine simply: trinity agent ls")
            }
        }
    }

    /// What a bearer token stands for.
    pub(super) fn credential(&self, token: &str) -> Credential {
        // Digests are compared, so how long that takes says nothing about the token.
        if ids::sha256_hex(token) == self.local_token_sha256 {
            Credential::LocalToken
        } else {
            by_form(token)
        }
    }

    /// Refuses whoever does not hold the one-time link.
    ///
    /// # Errors
    /// 403 for a wrong token, and when the setup is done.
    pub fn check_link(&self, token: &str) -> Result<()> {
        match &*self.link() {
            None => Err(done()),
            Some(expected) if ids::sha256_hex(expected.expose()) == ids::sha256_hex(token) => {
                Ok(())
            }
            Some(_) => {
                let detail = "setup_token is not that of the link which the server printed at \
                              its start";
                Err(ApiError::new(Code::WrongSetupToken, detail))
            }
        }
    }

    /// Ends the validity of the link.
    pub fn finish(&self) {
        *self.link() = None;
    }

    /// Nothing panics while the lock is held, so a poisoned one is as good as any.
    fn link(&self) -> std::sync::MutexGuard<'_, Option<Secret>> {
        self.link_token.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The answer once there is an administrator.
pub(in crate::api) fn done() -> ApiError {
    let detail = "the administrator exists; log in at POST /api/token";
    ApiError::new(Code::SetupDone, detail)
}

/// Whether there is an administrator who can log in.
///
/// A server that was ended between the two steps of the first run begins it again.
pub(in crate::api) async fn is_set_up(log: &EventLog, state: &State) -> anyhow::Result<bool> {
    let id = ids::user_id(FIRST_USER);
    let account = log.state::<Account>(id).await.context("cannot read the event log")?.state;
    Ok(account != Account::Absent && state.passwords.is_set(id).await?)
}

/// Makes the first administrator, and the password only if nobody else has made one meanwhile.
pub(in crate::api) async fn make_first_user(
    log: &EventLog,
    state: &State,
    password: &str,
    metadata: Metadata,
) -> anyhow::Result<()> {
    let made = accounts::create_user(log, FIRST_USER.to_owned(), Role::Admin, metadata).await;
    match made {
        Ok(_) | Err(ExecuteError::Refused(Refusal::Account(AccountError::AlreadyExists))) => {}
        Err(error) => return Err(error).context("cannot make the administrator"),
    }
    if !is_set_up(log, state).await? {
        state.passwords.set(ids::user_id(FIRST_USER), password, clock::now()).await?;
    }
    Ok(())
}

fn metadata() -> Metadata {
    let id = Uuid::now_v7().to_string();
    Metadata {
        actor: Actor::System.to_string(),
        correlation_id: id.clone(),
        causation_id: None,
        command_id: id,
        body_sha256: None,
        traceparent: None,
    }
}
