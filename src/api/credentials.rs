//! Credentials of an agent: set, named, given to it, never shown.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};
use trinity_agent_protocol::MASKED_BYTES_MIN;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ApiState;
use super::auth::{Caller, OnAgent, no_agent};
use super::error::{ApiError, Code, Result};
use super::etag::IfMatch;
use super::extract::{Body, Fields, NoFields, NoParams, Path, Query, ReadQuery};
use super::reply::Reply;
use crate::clock;
use crate::commands::{Refusal, Target, agents};
use crate::domain::AgentName;
use crate::domain::agent::{Agent, AgentError, Phase, Setting};
use crate::event_log::{ExecuteError, Receipt};
use crate::vault::{
    self, Changes, CredentialName, ENV_FILE, Entry, Injection, Kind, SecretText, env_file,
};

/// How long an answer waits until a running agent has what it was given.
const IN_FORCE_MS_MAX: u64 = 2_000;
/// How often that is looked at.
const IN_FORCE_POLL_MS: u64 = 50;

/// The value of one credential.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SetCredential {
    /// The value; it is never shown again. At most 65536 bytes.
    #[schema(value_type = String, write_only)]
    value: SecretText,
}

impl Fields for SetCredential {}

/// Files that hold credentials.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Inject {
    /// Contents by path in the workspace; the lines of `.env` become variables.
    #[schema(value_type = BTreeMap<String, String>, write_only)]
    files: BTreeMap<String, SecretText>,
}

impl Fields for Inject {}

/// Variables as text.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct HotReload {
    /// Lines of the form `NAME=value`; variables that are not among them stay.
    #[schema(value_type = String, write_only)]
    credentials_text: SecretText,
}

impl Fields for HotReload {}

/// A credential without its value.
#[derive(Debug, Serialize, ToSchema)]
struct Credential {
    /// The name of a variable, or the path of a file.
    name: String,
    /// What becomes of it: `variable` or `file`.
    kind: &'static str,
    /// When it was set.
    updated_at: DateTime<Utc>,
}

/// Which credentials there are, and which the running agent has.
#[derive(Debug, Serialize, ToSchema)]
struct CredentialsStatus {
    #[schema(value_type = String)]
    agent_name: AgentName,
    /// All of them, by name.
    credentials: Vec<Credential>,
    /// Whether the agent runs and has them as they are.
    in_force: bool,
    /// When it was last given any.
    injected_at: Option<DateTime<Utc>>,
    /// The names of what it was given then.
    injected: Vec<String>,
    /// Why it does not have them as they are, if that failed.
    error: Option<String>,
    /// Those among what was set whose values are too short to be taken out of output.
    not_masked: Vec<String>,
    position: i64,
}

/// The routes of this resource.
pub(super) fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(status))
        .routes(routes!(set, remove))
        .routes(routes!(inject))
        .routes(routes!(hot_reload))
        .routes(routes!(reload))
}

/// Shows which credentials an agent has, by name, and what of them is in force.
#[utoipa::path(
    get, path = "/api/agents/{name}/credentials/status", tag = "credentials",
    params(("name" = String, Path, description = "The agent's name"), super::extract::Fresh),
    responses((status = 200, body = CredentialsStatus)),
)]
async fn status(
    State(state): State<ApiState>,
    on: OnAgent,
    query: ReadQuery<NoParams>,
) -> Result<Reply<CredentialsStatus>> {
    state.wait_for_log(query.fresh).await?;
    let (body, version) = read(&state, &on, state.app.log.head()).await?;
    Ok(Reply::ok(body.position, body).version(version))
}

/// Sets one credential: a variable, or a file when its name has a dot or a slash.
///
/// A running agent is given it at once: runs that start from now on have the variable.
#[utoipa::path(
    put, path = "/api/agents/{name}/credentials/{key}", tag = "credentials",
    params(("name" = String, Path, description = "The agent's name"),
        ("key" = String, Path, description = "The credential's name"), IfMatch),
    request_body = SetCredential,
    responses((status = 200, body = CredentialsStatus)),
)]
async fn set(
    State(state): State<ApiState>,
    caller: Caller,
    on: OnAgent,
    Path((_name, key)): Path<(String, String)>,
    if_match: IfMatch,
    _query: Query<NoParams>,
    body: Body<SetCredential>,
) -> Result<Reply<CredentialsStatus>> {
    let name = key.parse().map_err(invalid_name)?;
    let changes = Changes::from([(name, Some(body.value.value))]);
    change(&state, &caller, &on, if_match, changes).await
}

/// Removes one credential, if it is there, also from the running agent; runs that have it keep it to their end.
#[utoipa::path(
    delete, path = "/api/agents/{name}/credentials/{key}", tag = "credentials",
    params(("name" = String, Path, description = "The agent's name"),
        ("key" = String, Path, description = "The credential's name"), IfMatch),
    responses((status = 200, body = CredentialsStatus)),
)]
async fn remove(
    State(state): State<ApiState>,
    caller: Caller,
    on: OnAgent,
    Path((_name, key)): Path<(String, String)>,
    if_match: IfMatch,
    _query: Query<NoParams>,
) -> Result<Reply<CredentialsStatus>> {
    let name: CredentialName = key.parse().map_err(invalid_name)?;
    change(&state, &caller, &on, if_match, Changes::from([(name, None)])).await
}

/// Sets credentials from files: the lines of `.env` become variables, any other path a file.
#[utoipa::path(
    post, path = "/api/agents/{name}/credentials/inject", tag = "credentials",
    params(("name" = String, Path, description = "The agent's name"), IfMatch),
    request_body = Inject,
    responses((status = 200, body = CredentialsStatus)),
)]
async fn inject(
    State(state): State<ApiState>,
    caller: Caller,
    on: OnAgent,
    if_match: IfMatch,
    _query: Query<NoParams>,
    body: Body<Inject>,
) -> Result<Reply<CredentialsStatus>> {
    let mut changes = Changes::new();
    for (path, content) in body.value.files {
        let pointer = format!("/files/{}", path.replace('~', "~0").replace('/', "~1"));
        if path == ENV_FILE {
            changes.extend(variables(&pointer, &content)?);
            continue;
        }
        let name: CredentialName = path
            .parse()
            .map_err(|error: vault::InvalidName| ApiError::field(&pointer, error.to_string()))?;
        if name.kind() != Kind::File {
            let detail = "a file's path has a dot or a slash; say ./NAME in a folder instead";
            return Err(ApiError::field(&pointer, detail));
        }
        changes.insert(name, Some(content));
    }
    change(&state, &caller, &on, if_match, changes).await
}

/// Sets variables from text of the form of `.env`, and gives them to the running agent.
#[utoipa::path(
    post, path = "/api/agents/{name}/credentials/hot-reload", tag = "credentials",
    params(("name" = String, Path, description = "The agent's name"), IfMatch),
    request_body = HotReload,
    responses((status = 200, body = CredentialsStatus)),
)]
async fn hot_reload(
    State(state): State<ApiState>,
    caller: Caller,
    on: OnAgent,
    if_match: IfMatch,
    _query: Query<NoParams>,
    body: Body<HotReload>,
) -> Result<Reply<CredentialsStatus>> {
    let changes = variables("/credentials_text", &body.value.credentials_text)?;
    change(&state, &caller, &on, if_match, changes).await
}

/// Gives a running agent its credentials once more, as they are in the vault.
#[utoipa::path(
    post, path = "/api/agents/{name}/credentials/reload", tag = "credentials",
    params(("name" = String, Path, description = "The agent's name"), IfMatch),
    responses((status = 200, body = CredentialsStatus)),
)]
async fn reload(
    State(state): State<ApiState>,
    caller: Caller,
    on: OnAgent,
    if_match: IfMatch,
    _query: Query<NoParams>,
    _body: Body<NoFields>,
) -> Result<Reply<CredentialsStatus>> {
    on.current()?;
    let (log, target) = (&state.app.log, if_match.target(&on));
    let receipt = agents::set(log, target, Setting::ReloadCredentials, caller.metadata()).await?;
    answer(&state, &on, receipt, Vec::new()).await
}

fn invalid_name(error: vault::InvalidName) -> ApiError {
    ApiError::parameter("key", error.to_string())
}

/// The variables of a text of the form of `.env`.
fn variables(pointer: &str, text: &SecretText) -> Result<Changes> {
    let found = env_file::read(text.expose());
    let found = found.map_err(|error| ApiError::field(pointer, error.to_string()))?;
    let parsed = found.into_iter().map(|(name, value)| {
        let parsed = name.parse::<CredentialName>();
        let parsed = parsed.map_err(|error| error.to_string()).and_then(|name| match name.kind() {
            Kind::Variable => Ok(name),
            Kind::File => Err("this is the name of a file, not of a variable".to_owned()),
        });
        let refused = |error| ApiError::field(pointer, format!("{name:?}: {error}"));
        Ok((parsed.map_err(refused)?, Some(SecretText::from(value))))
    });
    parsed.collect()
}

/// Stores changes, records that they were made, and waits a moment until a running agent has them.
async fn change(
    state: &ApiState,
    caller: &Caller,
    on: &OnAgent,
    if_match: IfMatch,
    changes: Changes,
) -> Result<Reply<CredentialsStatus>> {
    on.current()?;
    check_values(&changes)?;
    let (log, vault, incarnation) = (&state.app.log, &state.app.vault, on.life.incarnation.0);
    let target: Target = if_match.target(on);
    let alone = vault.alone(incarnation).await;
    // Nothing is stored for whom it would be refused.
    agents::check(log, target.clone(), caller.metadata()).await?;
    let before = vault.entries(incarnation).await?;
    vault.change(incarnation, &changes, clock::now()).await?;
    let names: BTreeSet<_> =
        vault.entries(incarnation).await?.into_iter().map(|entry| entry.name).collect();
    let was_there = |name: &String| before.iter().any(|entry| entry.name == *name);
    let changed = changes.keys().map(ToString::to_string);
    let changed = changed.filter(|name| was_there(name) || names.contains(name));
    let setting = Setting::SetCredentials { changed: changed.collect(), names };
    let recorded = agents::set(log, target, setting, caller.metadata()).await;
    if let Err(ExecuteError::Refused(Refusal::Agent(AgentError::NotFound | AgentError::Deleting))) =
        &recorded
    {
        // It was deleted meanwhile, and whoever removed its credentials may not have seen these.
        vault.destroy(incarnation).await?;
    }
    drop(alone);
    let is_short = |value: &SecretText| value.expose().trim().len() < MASKED_BYTES_MIN;
    let short = changes.iter().filter(|(_, value)| value.as_ref().is_some_and(is_short));
    let not_masked = short.map(|(name, _)| name.to_string()).collect();
    answer(state, on, recorded?, not_masked).await
}

/// No variable and no line of text holds a NUL.
fn check_values(changes: &Changes) -> Result<()> {
    if changes.is_empty() {
        return Err(ApiError::new(Code::InvalidField, "no credential is named"));
    }
    let holds_nul = |value: &SecretText| value.expose().contains('\0');
    match changes.iter().find(|(_, value)| value.as_ref().is_some_and(holds_nul)) {
        Some((name, _)) => {
            let detail = format!("the value of {name} contains a NUL character");
            Err(ApiError::new(Code::InvalidField, detail))
        }
        None => Ok(()),
    }
}

async fn answer(
    state: &ApiState,
    on: &OnAgent,
    receipt: Receipt,
    not_masked: Vec<String>,
) -> Result<Reply<CredentialsStatus>> {
    let until = Instant::now() + Duration::from_millis(IN_FORCE_MS_MAX);
    loop {
        let (body, _) = read(state, on, receipt.position).await?;
        let is_expected = is_running(state, on).await? && !body.in_force && body.error.is_none();
        if !is_expected || Instant::now() >= until {
            let body = CredentialsStatus { not_masked, ..body };
            return Ok(Reply::ok(receipt.position, body).version(receipt.version));
        }
        sleep(Duration::from_millis(IN_FORCE_POLL_MS)).await;
    }
}

async fn is_running(state: &ApiState, on: &OnAgent) -> Result<bool> {
    Ok(state.app.log.state::<Agent>(&on.life.name).await?.state.phase == Phase::Running)
}

/// What is stored and what is in force, with the version of the agent that says so.
async fn read(state: &ApiState, on: &OnAgent, position: i64) -> Result<(CredentialsStatus, i64)> {
    let agent = state.app.log.state::<Agent>(&on.life.name).await?;
    let life = agent.state.life.filter(|life| life.incarnation == on.life.incarnation);
    let life = life.ok_or_else(|| no_agent(&on.life.name))?;
    let (vault, incarnation) = (&state.app.vault, on.life.incarnation.0);
    let entries = vault.entries(incarnation).await?;
    let injection = vault.injection(incarnation).await?;
    let is_given = |given: &Injection| given.version == life.kept_version;
    let is_given = life.kept_version == 0 || injection.as_ref().is_some_and(is_given);
    let injected_at = injection.as_ref().filter(|given| given.version > 0).map(|given| given.at);
    let (injected, error) =
        injection.map_or((Vec::new(), None), |given| (given.names, given.error));
    let body = CredentialsStatus {
        agent_name: on.life.name.clone(),
        credentials: entries.into_iter().map(Credential::from).collect(),
        in_force: agent.state.phase == Phase::Running && is_given && error.is_none(),
        injected_at,
        injected,
        error,
        not_masked: Vec::new(),
        position,
    };
    Ok((body, agent.version))
}

impl From<Entry> for Credential {
    fn from(entry: Entry) -> Self {
        Self { name: entry.name, kind: entry.kind.into(), updated_at: entry.updated_at }
    }
}

impl From<vault::Error> for ApiError {
    fn from(error: vault::Error) -> Self {
        match error {
            vault::Error::Db(error) => error.into(),
            vault::Error::Bounds(detail) => Self::new(Code::InvalidField, detail),
            vault::Error::Busy => Self::new(Code::Conflict, error.to_string()),
            vault::Error::Rotated => Self::new(Code::StoreUnavailable, error.to_string()),
            error @ vault::Error::Damaged { .. } => Self::internal(&anyhow::Error::new(error)),
        }
    }
}
