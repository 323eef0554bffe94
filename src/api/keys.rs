//! API keys: made, listed, ended; and what a key is good for.

use axum::extract::{OriginalUri, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ApiState;
use super::auth::{Caller, Credential, FIRST_USER, Identity, Rights, no_agent, rights_on};
use super::error::{ApiError, Code, Result};
use super::extract::{Body, Fields, Fresh, NoFields, NoParams, Path, Query, ReadQuery};
use super::idempotency::{self, Claimed};
use super::reply::{POSITION, Reply, Written};
use crate::clock;
use crate::commands::accounts::{self, NewKey};
use crate::commands::reports::LifeRef;
use crate::commands::{Refusal, ids};
use crate::domain::account::{AccountError, Scope};
use crate::domain::agent::Agent;
use crate::domain::{AccountId, AgentName};
use crate::event_log::ExecuteError;
use crate::projections::accounts::{ApiKey, KeyFilter};
use crate::projections::{Filter as _, Timestamp, Viewer};

const VIEWS: &[&str] = &["accounts"];

/// The longest description of a key, in bytes.
const DESCRIPTION_BYTES_MAX: usize = 1_024;

#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// The most keys to answer with.
    #[param(minimum = 1, maximum = 1000, default = 50)]
    limit: Option<u32>,
    /// Where the page begins: `next_cursor` of the page before.
    cursor: Option<String>,
}

/// A page of keys, newest first.
#[derive(Debug, Serialize, ToSchema)]
struct Keys {
    items: Vec<ApiKey>,
    /// Where the next page begins; null on the last one.
    next_cursor: Option<String>,
    position: i64,
}

/// A key to be made.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CreateKey {
    /// 1 to 64 characters, to find it again by.
    #[schema(min_length = 1, max_length = 64)]
    name: String,
    /// What it is for: up to 1024 bytes.
    #[schema(max_length = 1024)]
    description: Option<String>,
    /// On whose behalf it acts: `user` (default, its maker), `agent` (the one in `agent_name`), or
    /// `system` (only administrators make one).
    #[schema(value_type = Option<String>)]
    scope: Option<Scope>,
    /// The agent that a key of scope `agent` acts as; the key ends with it.
    agent_name: Option<String>,
    /// When it ends by itself; never when left out.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<DateTime<Utc>>,
}

impl Fields for CreateKey {}

/// A key that was made.
#[derive(Debug, Serialize, ToSchema)]
struct MadeKey {
    #[serde(flatten)]
    key: ApiKey,
    /// The key itself, shown this once: `trinity_mcp_` and 32 random bytes in base64url.
    api_key: String,
}

/// A key that was ended.
#[derive(Debug, Serialize, ToSchema)]
struct Revoked {
    /// `revoked`.
    status: &'static str,
    #[schema(value_type = uuid::Uuid)]
    id: AccountId,
    position: i64,
}

/// What a key is good for.
#[derive(Debug, Serialize, ToSchema)]
struct Validated {
    /// Always true here.
    valid: bool,
    /// Who made it.
    #[schema(value_type = uuid::Uuid)]
    user_id: AccountId,
    key_name: String,
    /// The agent it acts as.
    #[schema(value_type = Option<String>)]
    agent_name: Option<AgentName>,
    #[schema(value_type = String)]
    scope: Scope,
}

/// The routes of this resource.
pub(super) fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(show, delete))
        .routes(routes!(revoke))
        .routes(routes!(validate))
}

/// Lists the caller's keys, newest first; administrators see everyone's.
#[utoipa::path(
    get, path = "/api/mcp/keys", tag = "accounts",
    params(ListQuery, Fresh),
    responses((status = 200, body = Keys)),
)]
async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    query: ReadQuery<ListQuery>,
) -> Result<Reply<Keys>> {
    let filter = KeyFilter { owner: owner_filter(&caller)? };
    let page = filter.page(query.params.limit, query.params.cursor.as_deref())?;
    let position = state.caught_up(query.fresh, VIEWS).await?;
    let now = Timestamp(clock::now());
    let found = state.app.views.accounts().keys(&filter, &page, now).await?;
    let (mut items, next_cursor) = (found.items, found.next_cursor);
    add_usage(&state, &mut items).await?;
    Ok(Reply::ok(position, Keys { items, next_cursor, position }))
}

/// Makes a key; the answer is the only place where it is ever shown.
#[utoipa::path(
    post, path = "/api/mcp/keys", tag = "accounts",
    params(idempotency::Header),
    request_body = CreateKey,
    responses((status = 201, body = Written<MadeKey>)),
)]
async fn create(
    State(state): State<ApiState>,
    caller: Caller,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    _query: Query<NoParams>,
    body: Body<CreateKey>,
) -> Result<Reply<Written<MadeKey>>> {
    let new = new_key(&state, &caller, body.value).await?;
    let actor = caller.actor().to_string();
    let key = idempotency::key(&headers, &actor, uri.path())?;
    let claimed = idempotency::claim(&state, key, &body.sha256).await?;
    let secret = match &claimed {
        Some(claimed) => accounts::text_of(&claimed.secret()),
        None => accounts::random_text(),
    };
    let api_key = accounts::api_key_of(&secret);
    let (log, metadata) = (&state.app.log, caller.metadata());
    let (made_at, is_replay) = match accounts::issue_key_of(log, new, &secret, metadata).await {
        Ok(issued) => (issued.receipt.position, false),
        Err(error) if is_repeat(&error, claimed.as_ref()) => {
            let made_at = accounts::changed_at(log, ids::api_key_id(&api_key), None).await?;
            (made_at.unwrap_or_default(), true)
        }
        Err(error) => return Err(error.into()),
    };
    let fresh = Fresh { min_position: Some(made_at), ..Fresh::default() };
    let position = state.caught_up(fresh, VIEWS).await?;
    let key = find(&state, &caller, ids::api_key_id(&api_key)).await?;
    let location = format!("/api/mcp/keys/{}", key.id);
    let made = Written::at(made_at, MadeKey { key, api_key });
    let reply = Reply::ok(position, made).status(StatusCode::CREATED);
    Ok(reply.location(&location).replayed(is_replay))
}

/// Whether the key exists because the same request has made it.
fn is_repeat(error: &ExecuteError<Refusal>, claimed: Option<&Claimed<'_>>) -> bool {
    let exists =
        matches!(error, ExecuteError::Refused(Refusal::Account(AccountError::AlreadyExists)));
    exists && claimed.is_some()
}

async fn new_key(state: &ApiState, caller: &Caller, asked: CreateKey) -> Result<NewKey> {
    let scope = asked.scope.unwrap_or(Scope::User);
    let owner = match &caller.identity {
        Identity::User { id, .. } => *id,
        Identity::System => ids::user_id(FIRST_USER),
        Identity::Agent(_) => return Err(not_for_agents()),
    };
    if scope == Scope::System && !caller.is_admin() {
        let detail = "only an administrator makes a key of scope `system`";
        return Err(ApiError::new(Code::MissingScope, detail));
    }
    if asked.description.as_ref().is_some_and(|text| text.len() > DESCRIPTION_BYTES_MAX) {
        let detail = format!("description must have {DESCRIPTION_BYTES_MAX} bytes or fewer");
        return Err(ApiError::field("/description", detail));
    }
    if asked.expires_at.is_some_and(|at| at <= clock::now()) {
        return Err(ApiError::field("/expires_at", "expires_at is over already"));
    }
    let agent = match (scope, asked.agent_name) {
        (Scope::Agent, Some(name)) => Some(owned_agent(state, caller, &name).await?),
        (Scope::User | Scope::System, None) => None,
        _ => return Err(AccountError::ScopeMismatch.into()),
    };
    let (name, description, expires_at) = (asked.name, asked.description, asked.expires_at);
    Ok(NewKey { name, description, owner, scope, agent, expires_at })
}

/// The agent that a key is made for, which the caller must own.
async fn owned_agent(state: &ApiState, caller: &Caller, text: &str) -> Result<LifeRef> {
    let name: AgentName = text.parse().map_err(|_| no_agent(text))?;
    let agent = state.app.log.state::<Agent>(&name).await?.state;
    let life = agent.life.ok_or_else(|| no_agent(&name))?;
    match rights_on(state, caller, &life).await? {
        Rights::Own => Ok(LifeRef { name, incarnation: life.incarnation }),
        Rights::Nothing => Err(no_agent(&name)),
        Rights::Operate => {
            let detail = format!("only the owner of agent `{name}` makes keys for it");
            Err(ApiError::new(Code::Forbidden, detail))
        }
    }
}

/// Shows a key, without the key.
#[utoipa::path(
    get, path = "/api/mcp/keys/{id}", tag = "accounts",
    params(("id" = uuid::Uuid, Path, description = "The key's id"), Fresh),
    responses((status = 200, body = ApiKey)),
)]
async fn show(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<AccountId>,
    query: ReadQuery<NoParams>,
) -> Result<Reply<ApiKey>> {
    let position = state.caught_up(query.fresh, VIEWS).await?;
    Ok(Reply::ok(position, find(&state, &caller, id).await?))
}

/// Ends a key at once; it still shows. Ending it twice does nothing.
#[utoipa::path(
    post, path = "/api/mcp/keys/{id}/revoke", tag = "accounts",
    params(("id" = uuid::Uuid, Path, description = "The key's id")),
    responses((status = 200, body = Revoked)),
)]
async fn revoke(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<AccountId>,
    _query: Query<NoParams>,
    _body: Body<NoFields>,
) -> Result<Reply<Revoked>> {
    check_owner(&state, &caller, id).await?;
    let revoked = accounts::revoke_key(&state.app.log, id, caller.metadata());
    let position = revoked.await.map_err(|error| gone(error, id))?.position;
    Ok(Reply::ok(position, Revoked { status: "revoked", id, position }))
}

/// Ends a key at once and takes it out of every list.
#[utoipa::path(
    delete, path = "/api/mcp/keys/{id}", tag = "accounts",
    params(("id" = uuid::Uuid, Path, description = "The key's id")),
    responses((status = 204)),
)]
async fn delete(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<AccountId>,
    _query: Query<NoParams>,
    _body: Body<NoFields>,
) -> Result<Response> {
    check_owner(&state, &caller, id).await?;
    let deleted = accounts::delete_key(&state.app.log, id, caller.metadata());
    let position = deleted.await.map_err(|error| gone(error, id))?.position;
    Ok((StatusCode::NO_CONTENT, [(POSITION, position.to_string())]).into_response())
}

/// Says what the key is good for that the request was sent with.
#[utoipa::path(
    post, path = "/api/mcp/validate", tag = "accounts",
    responses((status = 200, body = Validated)),
)]
async fn validate(
    State(state): State<ApiState>,
    caller: Caller,
    _query: Query<NoParams>,
    _body: Body<NoFields>,
) -> Result<Reply<Validated>> {
    let Credential::Key(id) = caller.credential else {
        let detail = "this is the token of a login; send an API key, trinity_mcp_…";
        return Err(ApiError::new(Code::MalformedRequest, detail));
    };
    let key = accounts::key(&state.app.log, id).await?.ok_or_else(|| no_key(id))?;
    let body = Validated {
        valid: true,
        user_id: key.owner,
        key_name: key.name,
        agent_name: key.agent,
        scope: key.scope,
    };
    Ok(Reply::ok(state.app.log.head(), body))
}

/// Whose keys a caller sees: none is everyone's.
fn owner_filter(caller: &Caller) -> Result<Option<AccountId>> {
    match &caller.identity {
        _ if caller.is_admin() => Ok(None),
        Identity::User { id, .. } => Ok(Some(*id)),
        Identity::Agent(_) | Identity::System => Err(not_for_agents()),
    }
}

async fn find(state: &ApiState, caller: &Caller, id: AccountId) -> Result<ApiKey> {
    let viewer = match owner_filter(caller)? {
        None => Viewer::System,
        Some(owner) => Viewer::User(owner),
    };
    let now = Timestamp(clock::now());
    let found = state.app.views.accounts().key(&viewer, id, now).await?;
    let mut found = [found.ok_or_else(|| no_key(id))?];
    add_usage(state, &mut found).await?;
    let [key] = found;
    Ok(key)
}

/// Adds what is counted apart from the log.
async fn add_usage(state: &ApiState, keys: &mut [ApiKey]) -> Result<()> {
    let ids: Vec<_> = keys.iter().map(|key| key.id).collect();
    let usages = state.app.state.key_usages.of(&ids).await?;
    for key in keys {
        if let Some(usage) = usages.get(&key.id) {
            key.usage_count = usage.usage_count;
            key.last_used_at = Some(Timestamp(usage.last_used_at));
        }
    }
    Ok(())
}

/// Refuses whoever neither made the key nor administers the server, as if there were none.
async fn check_owner(state: &ApiState, caller: &Caller, id: AccountId) -> Result<()> {
    let owner = owner_filter(caller)?;
    let key = accounts::key(&state.app.log, id).await?.ok_or_else(|| no_key(id))?;
    if owner.is_none_or(|owner| owner == key.owner) { Ok(()) } else { Err(no_key(id)) }
}

fn no_key(id: AccountId) -> ApiError {
    ApiError::not_found(format_args!("key `{id}`"))
}

/// The answer when somebody else has just deleted it.
fn gone(error: ExecuteError<Refusal>, id: AccountId) -> ApiError {
    match error {
        ExecuteError::Refused(Refusal::Account(AccountError::NotFound)) => no_key(id),
        error => error.into(),
    }
}

fn not_for_agents() -> ApiError {
    ApiError::new(
        Code::MissingScope,
        "keys are for people: the key of an agent does not reach them",
    )
}
