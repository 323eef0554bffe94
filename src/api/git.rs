//! The git repository that an agent's workspace is synchronised with.

use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ApiState;
use super::agents::{Current, current};
use super::auth::{Caller, OnAgent};
use super::error::{ApiError, Code, Result};
use super::etag::{IfMatch, IfNoneMatch};
use super::extract::{Body, Fields, Fresh, NoFields, NoParams, Query, ReadQuery};
use super::inside;
use super::reply::Reply;
use crate::adapters::model_api::ModelApi;
use crate::app::App;
use crate::commands::agents;
use crate::domain::AgentName;
use crate::domain::agent::{Life, Setting};
use crate::event_log::Receipt;
use crate::git::{self, BRANCH_DEFAULT, Operation, Remote, Workspace};
use crate::hosts::link::Link;
use crate::vault::Credentials;

/// How long git may take: less than clients wait for an answer.
const TIMEOUT: Duration = Duration::from_secs(50);
/// How many bytes a commit's message may have.
const MESSAGE_BYTES_MAX: usize = 8 * 1024;

/// What to synchronise with.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SetGit {
    /// The address, by https or http, without credentials: those are the credential `GIT_TOKEN`.
    #[schema(max_length = 2048)]
    repository: String,
    /// The branch; `main` when left out.
    #[schema(max_length = 244)]
    branch: Option<String>,
}

impl Fields for SetGit {}

/// What to record.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CommitChanges {
    /// What the commit says.
    #[schema(min_length = 1, max_length = 8192)]
    message: String,
}

impl Fields for CommitChanges {}

/// What a workspace is synchronised with; null without a repository.
#[derive(Debug, Serialize, ToSchema)]
struct GitSettings {
    #[schema(value_type = String)]
    agent_name: AgentName,
    #[schema(required = true)]
    repository: Option<String>,
    #[schema(required = true)]
    branch: Option<String>,
    position: i64,
}

/// How a workspace differs from its repository, as far as the last pull or push knew.
#[derive(Debug, Serialize, ToSchema)]
struct GitStatus {
    #[schema(value_type = String)]
    agent_name: AgentName,
    /// The branch that is checked out; null when none is.
    #[schema(required = true)]
    branch: Option<String>,
    /// The last commit; null before the first.
    #[schema(required = true)]
    commit: Option<String>,
    /// How many commits the repository does not have.
    ahead: u64,
    /// How many commits the workspace does not have.
    behind: u64,
    /// Files that differ from the last commit, at most 1000 of them.
    changes: Vec<GitChange>,
    /// Whether there are more of them.
    has_more_changes: bool,
    position: i64,
}

/// A file that differs from the last commit.
#[derive(Debug, Serialize, ToSchema)]
struct GitChange {
    /// The file; a folder, with a slash at its end, when all of it is new.
    path: String,
    /// Git's two letters: what is staged, and what is not; `??` for what is new.
    code: String,
}

/// What git has done.
#[derive(Debug, Serialize, ToSchema)]
struct GitDone {
    #[schema(value_type = String)]
    agent_name: AgentName,
    /// Whether there is a commit that was not there before: here, or for a push in the repository.
    changed: bool,
    /// The last commit now; null when there is none.
    #[schema(required = true)]
    commit: Option<String>,
    /// What git said, the last of it.
    output: String,
    position: i64,
}

/// The routes of this resource.
pub(super) fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(show, set, remove))
        .routes(routes!(status))
        .routes(routes!(pull))
        .routes(routes!(commit))
        .routes(routes!(push))
}

/// Shows what the agent's workspace is synchronised with.
#[utoipa::path(
    get, path = "/api/agents/{name}/git", tag = "git",
    params(("name" = String, Path, description = "The agent's name"), Fresh, IfNoneMatch),
    responses((status = 200, body = GitSettings)),
)]
async fn show(
    State(state): State<ApiState>,
    on: OnAgent,
    known: IfNoneMatch,
    query: ReadQuery<NoParams>,
) -> Result<Response> {
    let Current { life, version, position } = current(&state, &on, query.fresh).await?;
    let (repository, branch) = life.git_sync.unzip();
    let settings = GitSettings { agent_name: on.life.name, repository, branch, position };
    Ok(Reply::ok(position, settings).unless_known(version, &known))
}

/// Connects the agent's workspace to a repository, which its next start or pull clones into a
/// workspace that is none yet.
///
/// One that is a repository already stays as it is; pulls and pushes go to the new address.
#[utoipa::path(
    put, path = "/api/agents/{name}/git", tag = "git",
    params(("name" = String, Path, description = "The agent's name"), IfMatch),
    request_body = SetGit,
    responses((status = 200, body = GitSettings)),
)]
async fn set(
    State(state): State<ApiState>,
    caller: Caller,
    on: OnAgent,
    if_match: IfMatch,
    _query: Query<NoParams>,
    body: Body<SetGit>,
) -> Result<Reply<GitSettings>> {
    let SetGit { repository, branch } = body.value;
    let setting = synchronise(&repository, branch, ["/repository", "/branch"])?;
    change(&state, &caller, on, if_match, setting).await
}

/// Takes the repository away: pulls and pushes end, the workspace keeps its files and its commits.
#[utoipa::path(
    delete, path = "/api/agents/{name}/git", tag = "git",
    params(("name" = String, Path, description = "The agent's name"), IfMatch),
    responses((status = 200, body = GitSettings)),
)]
async fn remove(
    State(state): State<ApiState>,
    caller: Caller,
    on: OnAgent,
    if_match: IfMatch,
    _query: Query<NoParams>,
) -> Result<Reply<GitSettings>> {
    change(&state, &caller, on, if_match, Setting::RemoveGitSync).await
}

async fn change(
    state: &ApiState,
    caller: &Caller,
    on: OnAgent,
    if_match: IfMatch,
    setting: Setting,
) -> Result<Reply<GitSettings>> {
    let target = if_match.target(&on);
    let Receipt { position, version, .. } =
        agents::set(&state.app.log, target, setting.clone(), caller.metadata()).await?;
    let (repository, branch) = match setting {
        Setting::ConfigureGitSync { repository, branch } => (Some(repository), Some(branch)),
        _ => (None, None),
    };
    let settings = GitSettings { agent_name: on.life.name, repository, branch, position };
    Ok(Reply::ok(position, settings).version(version))
}

/// The setting of a repository and a branch, unless one of them cannot be meant.
pub(super) fn synchronise(
    repository: &str,
    branch: Option<String>,
    pointers: [&str; 2],
) -> Result<Setting> {
    let branch = branch.unwrap_or_else(|| BRANCH_DEFAULT.to_owned());
    let remote = Remote { repository, branch: &branch };
    git::check(&remote).map_err(|error| {
        let [of_repository, of_branch] = pointers;
        let pointer = if error == git::Invalid::Branch { of_branch } else { of_repository };
        ApiError::field(pointer, error.to_string())
    })?;
    Ok(Setting::ConfigureGitSync { repository: repository.to_owned(), branch })
}

/// Shows how the agent's workspace differs from its repository.
#[utoipa::path(
    get, path = "/api/agents/{name}/git/status", tag = "git",
    params(("name" = String, Path, description = "The agent's name"), Fresh),
    responses((status = 200, body = GitStatus)),
)]
async fn status(
    State(state): State<ApiState>,
    on: OnAgent,
    query: ReadQuery<NoParams>,
) -> Result<Reply<GitStatus>> {
    let life = current(&state, &on, query.fresh).await?.life;
    let place = Place::find(&state, &on, life).await?;
    let now = state.app.log.now();
    let found = place.workspace().status(&place.remote(), TIMEOUT, now).await;
    let git::Status { branch, commit, ahead, behind, changes, has_more } =
        found.map_err(|error| refused(&state, &on, error))?;
    let position = state.app.log.head();
    let change = |git::Change { path, code }| GitChange { path, code };
    let status = GitStatus {
        agent_name: on.life.name,
        branch,
        commit,
        ahead,
        behind,
        changes: changes.into_iter().map(change).collect(),
        has_more_changes: has_more,
        position,
    };
    Ok(Reply::ok(position, status))
}

/// Takes over what the repository has, unless something in the workspace stands against it.
#[utoipa::path(
    post, path = "/api/agents/{name}/git/pull", tag = "git",
    params(("name" = String, Path, description = "The agent's name")),
    responses((status = 200, body = GitDone)),
)]
async fn pull(
    State(state): State<ApiState>,
    on: OnAgent,
    _query: Query<NoParams>,
    _body: Body<NoFields>,
) -> Result<Reply<GitDone>> {
    work(state, on, Operation::Pull).await
}

/// Records everything that has changed in the workspace; files that hold credentials never are.
#[utoipa::path(
    post, path = "/api/agents/{name}/git/commit", tag = "git",
    params(("name" = String, Path, description = "The agent's name")),
    request_body = CommitChanges,
    responses((status = 200, body = GitDone)),
)]
async fn commit(
    State(state): State<ApiState>,
    on: OnAgent,
    _query: Query<NoParams>,
    body: Body<CommitChanges>,
) -> Result<Reply<GitDone>> {
    let message = body.value.message;
    let is_text = !message.trim().is_empty() && !message.contains('\0');
    if !is_text || message.len() > MESSAGE_BYTES_MAX {
        let detail = format!("message has 1 to {MESSAGE_BYTES_MAX} bytes of text");
        return Err(ApiError::field("/message", detail));
    }
    work(state, on, Operation::Commit { message }).await
}

/// Gives the repository what was recorded.
#[utoipa::path(
    post, path = "/api/agents/{name}/git/push", tag = "git",
    params(("name" = String, Path, description = "The agent's name")),
    responses((status = 200, body = GitDone)),
)]
async fn push(
    State(state): State<ApiState>,
    on: OnAgent,
    _query: Query<NoParams>,
    _body: Body<NoFields>,
) -> Result<Reply<GitDone>> {
    work(state, on, Operation::Push).await
}

/// Has git do something; a client that leaves does not end it half-way.
async fn work(state: ApiState, on: OnAgent, operation: Operation) -> Result<Reply<GitDone>> {
    let done = tokio::spawn(async move {
        let life = current(&state, &on, Fresh::default()).await?.life;
        let place = Place::find(&state, &on, life).await?;
        let now = state.app.log.now();
        let done = place.workspace().work(&operation, &place.remote(), TIMEOUT, now).await;
        let git::Done { before, commit, words } =
            done.map_err(|error| refused(&state, &on, error))?;
        let (agent_name, changed) = (on.life.name, before != commit);
        let position = state.app.log.head();
        let done = GitDone { agent_name, changed, commit, output: words, position };
        Ok(Reply::ok(position, done))
    });
    done.await.map_err(|error| ApiError::internal(&anyhow::Error::new(error)))?
}

/// The workspace of a running agent that has a repository.
struct Place {
    link: Link,
    life: Life,
    repository: String,
    branch: String,
    credentials: Credentials,
    model_api: Option<&'static ModelApi>,
    skills_folder: &'static str,
    search_path: String,
}

impl Place {
    async fn find(state: &ApiState, on: &OnAgent, life: Life) -> Result<Self> {
        let name = &on.life.name;
        let Some((repository, branch)) = life.git_sync.clone() else {
            let detail =
                format!("agent `{name}` has no repository; set one: PUT /api/agents/{name}/git");
            return Err(ApiError::new(Code::Conflict, detail));
        };
        let adapter = state.app.adapters.get(life.config.runtime);
        Ok(Self {
            link: inside::link(state, on).await?,
            credentials: state.app.vault.read(life.incarnation.0).await?,
            model_api: adapter.model_api(),
            skills_folder: adapter.skills_folder(),
            search_path: App::search_path(),
            life,
            repository,
            branch,
        })
    }

    fn workspace(&self) -> Workspace<'_> {
        Workspace {
            link: &self.link,
            search_path: &self.search_path,
            agent: &self.life.config.name,
            credentials: &self.credentials,
            model_api: self.model_api,
            skills_folder: self.skills_folder,
            skills: &self.life.skills,
            is_read_only: self.life.config.read_only.enabled,
        }
    }

    fn remote(&self) -> Remote<'_> {
        Remote { repository: &self.repository, branch: &self.branch }
    }
}

/// The answer when git has not done it.
fn refused(state: &ApiState, on: &OnAgent, error: git::Error) -> ApiError {
    match error {
        git::Error::Link(error) => inside::refused(state, on, error),
        git::Error::Busy | git::Error::NoGit | git::Error::TimedOut(_) | git::Error::Refused(_) => {
            ApiError::new(Code::Conflict, error.to_string())
        }
    }
}
