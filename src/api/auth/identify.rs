//! From what a request shows to who sends it.

use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, header};
use axum_extra::extract::cookie::CookieJar;

use super::{Caller, Credential, Identity};
use crate::api::ApiState;
use crate::api::error::{ApiError, Code, Result};
use crate::api::request_id::RequestId;
use crate::clock;
use crate::commands::accounts::API_KEY_PREFIX;
use crate::commands::ids;
use crate::commands::reports::LifeRef;
use crate::domain::AccountId;
use crate::domain::account::{Account, Key, Role, Scope};
use crate::domain::agent::Agent;

/// The cookie that holds the session of a browser.
pub const SESSION_COOKIE: &str = "trinity_session";

/// Finds out who sends the request.
///
/// # Errors
/// 401 when it shows nothing, or nothing that is worth anything; 403 when a page of another site
/// made the browser send it.
pub async fn authenticate(state: &ApiState, parts: &Parts) -> Result<Caller> {
    let request_id = parts.extensions.get().cloned().unwrap_or_else(RequestId::make);
    let credential = if let Some(token) = bearer(&parts.headers)? {
        state.setup().credential(token)
    } else {
        let jar = CookieJar::from_headers(&parts.headers);
        let missing = || {
            let detail = "this needs a login: send Authorization: Bearer TOKEN, with a token from \
                          POST /api/token or an API key";
            ApiError::new(Code::NotAuthenticated, detail)
        };
        let cookie = jar.get(SESSION_COOKIE).ok_or_else(missing)?;
        refuse_cross_site(parts)?;
        Credential::Session(ids::sha256_hex(cookie.value()))
    };
    let identity = identify(state, &credential).await?;
    if let Credential::Key(key) = &credential {
        state.app.state.key_usages.count(*key, clock::now());
    }
    Ok(Caller { identity, request_id, credential })
}

/// The token of the header `Authorization: Bearer`.
fn bearer(headers: &HeaderMap) -> Result<Option<&str>> {
    let Some(value) = headers.get(header::AUTHORIZATION) else { return Ok(None) };
    let token = value.to_str().ok().and_then(|value| value.split_once(' '));
    match token {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(Some(token.trim())),
        _ => {
            let detail = "Authorization must be: Bearer TOKEN";
            Err(ApiError::new(Code::NotAuthenticated, detail))
        }
    }
}

/// A browser sends its cookie along whoever made it send the request; so a request that changes
/// something must come from a page of this very server.
///
/// The cookie is `SameSite=Strict` too; this also covers sites that share the server's domain.
fn refuse_cross_site(parts: &Parts) -> Result<()> {
    if matches!(parts.method, Method::GET | Method::HEAD | Method::OPTIONS) {
        return Ok(());
    }
    let text = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
    let is_own = match (text("sec-fetch-site"), text("origin")) {
        (Some(site), _) => matches!(site, "same-origin" | "none"),
        (None, Some(origin)) => {
            let host = origin.split_once("://").map(|(_, host)| host);
            host.is_some() && host == text("host")
        }
        // No browser that this server is made for leaves both out.
        (None, None) => true,
    };
    if is_own {
        return Ok(());
    }
    Err(ApiError::new(Code::CrossSite, "a page of another site may not use this login"))
}

/// Finds out who is behind a credential now.
///
/// # Errors
/// 401 when nobody is, any more or at all.
pub async fn identify(state: &ApiState, credential: &Credential) -> Result<Identity> {
    match credential {
        Credential::LocalToken => Ok(Identity::User {
            id: ids::user_id(super::FIRST_USER),
            name: super::FIRST_USER.to_owned(),
            role: Role::Admin,
        }),
        Credential::Session(sha256) => {
            let user = state.app.state.sessions.user(sha256, clock::now()).await?;
            user_of(state, user.ok_or_else(worthless)?).await
        }
        Credential::Key(id) => match state.app.log.state::<Account>(id).await?.state {
            Account::Key(key) => holder(state, *key).await,
            Account::Absent | Account::User { .. } | Account::Revoked | Account::DeletedKey => {
                Err(worthless())
            }
        },
    }
}

async fn user_of(state: &ApiState, id: AccountId) -> Result<Identity> {
    match state.app.log.state::<Account>(id).await?.state {
        Account::User { name, role } => Ok(Identity::User { id, name, role }),
        Account::Absent | Account::Key(_) | Account::Revoked | Account::DeletedKey => {
            Err(worthless())
        }
    }
}

/// On whose behalf a key acts; one of an agent ends with the agent's life.
async fn holder(state: &ApiState, key: Key) -> Result<Identity> {
    if key.expires_at.is_some_and(|at| at <= clock::now()) {
        return Err(worthless());
    }
    match (key.scope, key.agent, key.incarnation) {
        (Scope::User, ..) => user_of(state, key.owner).await,
        (Scope::System, ..) => Ok(Identity::System),
        (Scope::Agent, Some(name), Some(incarnation)) => {
            let agent = state.app.log.state::<Agent>(&name).await?.state;
            let is_alive = agent.life.is_some_and(|life| life.incarnation == incarnation);
            if !is_alive {
                return Err(worthless());
            }
            Ok(Identity::Agent(LifeRef { name, incarnation }))
        }
        (Scope::Agent, ..) => Err(worthless()),
    }
}

fn worthless() -> ApiError {
    let detail = "the token is unknown, revoked or expired; log in again";
    ApiError::new(Code::NotAuthenticated, detail)
}

/// What a bearer token is, by its form.
pub(super) fn by_form(token: &str) -> Credential {
    if token.starts_with(API_KEY_PREFIX) {
        Credential::Key(ids::api_key_id(token))
    } else {
        Credential::Session(ids::sha256_hex(token))
    }
}
