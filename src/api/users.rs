//! Users.

use axum::extract::{OriginalUri, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::ApiState;
use super::auth::{Caller, Identity, password};
use super::error::{ApiError, Code, Result};
use super::extract::{Body, Fields, Fresh, NoFields, NoParams, Path, Query, ReadQuery};
use super::idempotency::{self, Claimed};
use super::reply::{Reply, Written};
use crate::clock;
use crate::commands::{Refusal, accounts, ids};
use crate::domain::account::{AccountError, Role};
use crate::domain::{AccountId, Metadata};
use crate::event_log::ExecuteError;
use crate::projections::Filter as _;
use crate::projections::accounts::{User, UserFilter};

const VIEWS: &[&str] = &["accounts"];

#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// The most users to answer with.
    #[param(minimum = 1, maximum = 1000, default = 50)]
    limit: Option<u32>,
    /// Where the page begins: `next_cursor` of the page before.
    cursor: Option<String>,
}

/// A page of users, newest first.
#[derive(Debug, Serialize, ToSchema)]
struct Users {
    items: Vec<User>,
    /// Where the next page begins; null on the last one.
    next_cursor: Option<String>,
    position: i64,
}

/// A user to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CreateUser {
    /// 1 to 64 characters; names that differ only in case are the same.
    #[schema(min_length = 1, max_length = 64)]
    username: String,
    /// 8 characters or more.
    #[schema(min_length = 8, format = Password)]
    password: String,
    /// `user` (default) or `admin`.
    #[schema(value_type = Option<String>)]
    role: Option<Role>,
}

impl Fields for CreateUser {}

/// A new password for oneself.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ChangePassword {
    /// The one until now.
    #[schema(format = Password)]
    current_password: String,
    /// 8 characters or more.
    #[schema(min_length = 8, format = Password)]
    password: String,
}

impl Fields for ChangePassword {}

/// Who the caller is.
#[derive(Debug, Serialize, ToSchema)]
struct Me {
    /// The account; null for an agent.
    #[schema(value_type = Option<uuid::Uuid>)]
    id: Option<AccountId>,
    username: String,
    email: Option<String>,
    /// `admin` or `user`; null for an agent.
    #[schema(value_type = Option<String>)]
    role: Option<Role>,
    /// The agent that the caller acts as, with an agent's key.
    agent_name: Option<String>,
}

/// The routes of this resource.
pub(super) fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(me))
        .routes(routes!(change_password))
        .routes(routes!(list, create))
        .routes(routes!(show, delete))
}

/// Says who the caller is.
#[utoipa::path(
    get, path = "/api/users/me", tag = "accounts",
    params(Fresh),
    responses((status = 200, body = Me)),
)]
async fn me(
    State(state): State<ApiState>,
    caller: Caller,
    query: ReadQuery<NoParams>,
) -> Result<Reply<Me>> {
    state.wait_for_log(query.fresh).await?;
    let me = match caller.identity {
        Identity::User { id, name, role } => {
            Me { id: Some(id), username: name, email: None, role: Some(role), agent_name: None }
        }
        Identity::Agent(life) => {
            let name = life.name.to_string();
            Me { id: None, username: name.clone(), email: None, role: None, agent_name: Some(name) }
        }
        Identity::System => {
            let (username, role) = (crate::domain::name::SYSTEM_AGENT.to_owned(), Role::Admin);
            Me { id: None, username, email: None, role: Some(role), agent_name: None }
        }
    };
    Ok(Reply::ok(state.app.log.head(), me))
}

/// Changes the caller's own password and ends every other session of theirs.
#[utoipa::path(
    put, path = "/api/users/me/password", tag = "accounts",
    request_body = ChangePassword,
    responses((status = 204)),
)]
async fn change_password(
    State(state): State<ApiState>,
    caller: Caller,
    _query: Query<NoParams>,
    body: Body<ChangePassword>,
) -> Result<Response> {
    let id = caller
        .user_id()
        .ok_or_else(|| ApiError::new(Code::MissingScope, "only a person has a password"))?;
    let ChangePassword { current_password, password } = body.value;
    password::check(&password)?;
    let stores = &state.app.state;
    if !stores.passwords.check(id, &current_password).await? {
        let error = ApiError::field("/current_password", "current_password is wrong");
        return Err(error.with_code(Code::InvalidPassword));
    }
    stores.passwords.set(id, &password, clock::now()).await?;
    let receipt = accounts::record_password_changed(&state.app.log, id, caller.metadata()).await?;
    stores.sessions.end_all(id).await?;
    let position = [(super::reply::POSITION, receipt.position.to_string())];
    Ok((StatusCode::NO_CONTENT, position).into_response())
}

/// Lists the users, newest first.
#[utoipa::path(
    get, path = "/api/users", tag = "accounts",
    params(ListQuery, Fresh),
    responses((status = 200, body = Users)),
)]
async fn list(State(state): State<ApiState>, query: ReadQuery<ListQuery>) -> Result<Reply<Users>> {
    let filter = UserFilter::default();
    let page = filter.page(query.params.limit, query.params.cursor.as_deref())?;
    let position = state.caught_up(query.fresh, VIEWS).await?;
    let found = state.app.views.accounts().users(&filter, &page).await?;
    let (items, next_cursor) = (found.items, found.next_cursor);
    Ok(Reply::ok(position, Users { items, next_cursor, position }))
}

/// Makes a user.
#[utoipa::path(
    post, path = "/api/users", tag = "accounts",
    params(idempotency::Header),
    request_body = CreateUser,
    responses((status = 201, body = Written<User>)),
)]
async fn create(
    State(state): State<ApiState>,
    caller: Caller,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    _query: Query<NoParams>,
    body: Body<CreateUser>,
) -> Result<Reply<Written<User>>> {
    let CreateUser { username, password, role } = body.value;
    password::check(&password)?;
    let (log, passwords) = (&state.app.log, &state.app.state.passwords);
    let id = ids::user_id(&username);
    let role = role.unwrap_or(Role::User);
    let actor = caller.actor().to_string();
    let key = idempotency::key(&headers, &actor, uri.path())?;
    let claimed = idempotency::claim(&state, key, &body.sha256).await?;
    let command_id = claimed.as_ref().map(Claimed::command_id);
    let metadata = Metadata {
        command_id: command_id.clone().unwrap_or_else(|| Uuid::now_v7().to_string()),
        ..caller.metadata()
    };
    let made_before = async || match &command_id {
        Some(_) => accounts::changed_at(log, id, command_id.as_deref()).await,
        None => Ok(None),
    };
    let is_repeat = claimed.is_some_and(|claimed| claimed.is_repeat);
    let mut replayed_at = if is_repeat { made_before().await? } else { None };
    let made_at = match replayed_at {
        Some(position) => position,
        None => match accounts::create_user(log, username, role, metadata).await {
            Ok(receipt) => receipt.position,
            Err(error) => {
                // Two requests under one key at once: the other one may have done it.
                replayed_at = if is_taken(&error) { made_before().await? } else { None };
                replayed_at.ok_or(error)?
            }
        },
    };
    let is_replay = replayed_at.is_some();
    let fresh = Fresh { min_position: Some(made_at), ..Fresh::default() };
    let position = state.caught_up(fresh, VIEWS).await?;
    let user = find(&state, id).await?;
    // The first request may have been cut off before this.
    if !(is_replay && passwords.is_set(id).await?) {
        passwords.set(id, &password, clock::now()).await?;
    }
    let user = Written::at(made_at, user);
    let reply = Reply::ok(position, user).status(StatusCode::CREATED).replayed(is_replay);
    Ok(reply.location(&format!("/api/users/{id}")))
}

/// Whether the name is somebody's.
fn is_taken(error: &ExecuteError<Refusal>) -> bool {
    matches!(error, ExecuteError::Refused(Refusal::Account(AccountError::AlreadyExists)))
}

/// Shows a user.
#[utoipa::path(
    get, path = "/api/users/{id}", tag = "accounts",
    params(("id" = uuid::Uuid, Path, description = "The user's id"), Fresh),
    responses((status = 200, body = User)),
)]
async fn show(
    State(state): State<ApiState>,
    Path(id): Path<AccountId>,
    query: ReadQuery<NoParams>,
) -> Result<Reply<User>> {
    let position = state.caught_up(query.fresh, VIEWS).await?;
    Ok(Reply::ok(position, find(&state, id).await?))
}

async fn find(state: &ApiState, id: AccountId) -> Result<User> {
    let user = state.app.views.accounts().user(id).await?;
    user.ok_or_else(|| ApiError::not_found(format_args!("user `{id}`")))
}

/// Removes a user and ends their sessions; what they own stays.
#[utoipa::path(
    delete, path = "/api/users/{id}", tag = "accounts",
    params(("id" = uuid::Uuid, Path, description = "The user's id")),
    responses((status = 204)),
)]
async fn delete(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<AccountId>,
    _query: Query<NoParams>,
    _body: Body<NoFields>,
) -> Result<Response> {
    if caller.user_id() == Some(id) || id == ids::user_id(super::auth::FIRST_USER) {
        let detail = "neither the first administrator nor oneself can be removed";
        return Err(ApiError::new(Code::Conflict, detail));
    }
    let receipt = accounts::delete_user(&state.app.log, id, caller.metadata()).await?;
    state.app.state.passwords.remove(id).await?;
    state.app.state.sessions.end_all(id).await?;
    let position = [(super::reply::POSITION, receipt.position.to_string())];
    Ok((StatusCode::NO_CONTENT, position).into_response())
}
