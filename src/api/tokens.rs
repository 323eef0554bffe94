//! Logging in and out.

use std::net::{IpAddr, SocketAddr};

use axum::Extension;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum_extra::extract::cookie::{Cookie, CookieJar, SameSite};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ApiState;
use super::auth::{Caller, Credential, SESSION_COOKIE, password};
use super::error::{ApiError, Code, Result};
use super::extract::{Form, NoParams, Query};
use crate::clock;
use crate::commands::{accounts, ids};
use crate::domain::account::Account;

/// A login, in the words of OAuth 2.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Login {
    username: String,
    #[schema(format = Password)]
    password: String,
    /// `password`, which is also what is meant without it.
    grant_type: Option<String>,
    /// Taken without effect.
    #[expect(dead_code, reason = "OAuth clients send it")]
    scope: Option<String>,
    /// Taken without effect.
    #[expect(dead_code, reason = "OAuth clients send it")]
    client_id: Option<String>,
    /// Taken without effect.
    #[expect(dead_code, reason = "OAuth clients send it")]
    client_secret: Option<String>,
}

/// A session.
#[derive(Serialize, ToSchema)]
struct Token {
    /// To be sent as `Authorization: Bearer`; it lives for 12 hours after its last use.
    access_token: String,
    /// `bearer`.
    token_type: &'static str,
}

/// The routes of this resource.
pub(super) fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(log_in, log_out)).routes(routes!(log_in_short))
}

/// Begins a session: the answer has the token, and a cookie for browsers.
#[utoipa::path(
    post, path = "/api/token", tag = "accounts",
    request_body(content = Login, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, body = Token)),
)]
async fn log_in(
    State(state): State<ApiState>,
    from: Option<Extension<ConnectInfo<SocketAddr>>>,
    headers: HeaderMap,
    _query: Query<NoParams>,
    Form(login): Form<Login>,
) -> Result<Response> {
    begin(&state, from.map(|Extension(from)| from.0.ip()), &headers, login).await
}

/// The same under the short path.
#[utoipa::path(
    post, path = "/token", tag = "accounts",
    request_body(content = Login, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, body = Token)),
)]
async fn log_in_short(
    State(state): State<ApiState>,
    from: Option<Extension<ConnectInfo<SocketAddr>>>,
    headers: HeaderMap,
    _query: Query<NoParams>,
    Form(login): Form<Login>,
) -> Result<Response> {
    begin(&state, from.map(|Extension(from)| from.0.ip()), &headers, login).await
}

async fn begin(
    state: &ApiState,
    from: Option<IpAddr>,
    headers: &HeaderMap,
    login: Login,
) -> Result<Response> {
    if login.grant_type.as_deref().is_some_and(|kind| kind != "password") {
        let detail = "grant_type must be `password`, or left out";
        return Err(ApiError::field("/grant_type", detail));
    }
    let counted_as = counted_as(&login.username, from);
    let logins = &state.app.state.logins;
    if let Some(seconds) = logins.must_wait_seconds(&counted_as, clock::now()).await? {
        let detail = format!("too many wrong passwords; try again in {seconds} seconds");
        let seconds = u32::try_from(seconds).unwrap_or(u32::MAX);
        return Err(ApiError::new(Code::TooManyAttempts, detail).retry_after(seconds));
    }
    let id = ids::user_id(&login.username);
    let is_user = matches!(state.app.log.state::<Account>(id).await?.state, Account::User { .. });
    // Looked at also when there is no such user, so that the time taken does not tell.
    let is_right = login.password.len() <= password::PASSWORD_BYTES_MAX
        && state.app.state.passwords.check(id, &login.password).await?;
    if !(is_user && is_right) {
        logins.failed(&counted_as, clock::now()).await?;
        return Err(ApiError::new(Code::WrongCredentials, "the name or the password is wrong"));
    }
    logins.succeeded(&counted_as).await?;
    let access_token = accounts::random_text();
    let sessions = &state.app.state.sessions;
    sessions.begin(&ids::sha256_hex(&access_token), id, clock::now()).await?;
    let jar = CookieJar::new().add(cookie(access_token.clone(), is_behind_tls(headers)));
    let no_store = [(header::CACHE_CONTROL, "no-store")];
    let token = Token { access_token, token_type: "bearer" };
    Ok((jar, no_store, axum::Json(token)).into_response())
}

/// Failures are counted by name and by where they come from, so that a stranger cannot lock
/// somebody else out.
fn counted_as(name: &str, from: Option<IpAddr>) -> String {
    let name: String = name.chars().take(crate::domain::account::ACCOUNT_NAME_LENGTH_MAX).collect();
    from.map_or_else(|| name.clone(), |from| format!("{name} from {from}"))
}

/// A proxy that ends TLS in front of the server says so.
fn is_behind_tls(headers: &HeaderMap) -> bool {
    headers.get("x-forwarded-proto").is_some_and(|proto| proto.as_bytes() == b"https")
}

fn cookie(token: String, is_secure: bool) -> Cookie<'static> {
    Cookie::build((SESSION_COOKIE, token))
        .path("/")
        .http_only(true)
        .same_site(SameSite::Strict)
        .secure(is_secure)
        .build()
}

/// Ends the session that the request was made with.
#[utoipa::path(delete, path = "/api/token", tag = "accounts", responses((status = 204)))]
async fn log_out(
    State(state): State<ApiState>,
    caller: Caller,
    headers: HeaderMap,
    _query: Query<NoParams>,
) -> Result<Response> {
    if let Credential::Session(sha256) = &caller.credential {
        state.app.state.sessions.end(sha256).await?;
    }
    let mut gone = cookie(String::new(), is_behind_tls(&headers));
    gone.make_removal();
    Ok((StatusCode::NO_CONTENT, CookieJar::new().add(gone)).into_response())
}
