//! `/api/templates`: what agents can be made from.

use axum::extract::{Path, State};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ApiState;
use super::error::{ApiError, Code, Result};
use super::extract::{Body, NoFields, NoParams, Query};
use super::reply::Reply;
use crate::library::repository::{Pulled, Repository};
use crate::library::templates::{self as library, Manifest, Named, TemplateError};

/// A template, or why it cannot be used.
#[derive(Debug, Serialize, ToSchema)]
struct Template {
    /// The name that `template` of a new agent says.
    id: String,
    /// What it says of its agents; null when it cannot be used.
    #[schema(required = true)]
    manifest: Option<Manifest>,
    /// What is wrong with it, if anything is.
    #[schema(required = true)]
    error: Option<String>,
}

/// A template with the files of its workspaces.
#[derive(Debug, Serialize, ToSchema)]
struct TemplateDetail {
    /// The name that `template` of a new agent says.
    id: String,
    /// What it says of its agents.
    manifest: Manifest,
    /// The files that a workspace made from it begins with.
    files: Vec<TemplateFile>,
}

/// A file of a template.
#[derive(Debug, Serialize, ToSchema)]
struct TemplateFile {
    /// Where in the workspace.
    path: String,
    /// How long, in bytes.
    bytes: usize,
    /// Whether it can be run.
    is_executable: bool,
}

/// What a library is a copy of.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PulledLibrary {
    /// Where the repository is.
    url: String,
    /// The branch; null is the repository's own choice.
    #[schema(required = true)]
    branch: Option<String>,
    /// The commit that is in use from now on.
    commit: String,
    position: i64,
}

pub(super) fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(show)).routes(routes!(pull))
}

/// Copies the repository of templates as it is now; agents that are made from now on have it.
#[utoipa::path(
    post, path = "/api/templates/pull", tag = "agents",
    responses((status = 200, body = PulledLibrary)),
)]
async fn pull(
    State(state): State<ApiState>,
    _query: Query<NoParams>,
    _body: Body<NoFields>,
) -> Result<Reply<PulledLibrary>> {
    let repository = state.app.library.templates_repository.as_ref();
    pull_library(&state, repository, "templates", "--templates-git").await
}

/// Copies a repository of the library as it is now.
pub(super) async fn pull_library(
    state: &ApiState,
    repository: Option<&Repository>,
    what: &str,
    flag: &str,
) -> Result<Reply<PulledLibrary>> {
    let conflict = |detail: String| ApiError::new(Code::Conflict, detail);
    let none = || {
        conflict(format!(
            "{what} are in a folder of this server; serve with {flag} URL to copy them"
        ))
    };
    let pulled = repository.ok_or_else(none)?.pull().await;
    let Pulled { source, commit } = pulled.map_err(|error| conflict(error.to_string()))?;
    let position = state.app.log.head();
    let body = PulledLibrary { url: source.url, branch: source.branch, commit, position };
    Ok(Reply::ok(position, body))
}

/// Lists the templates of this server by name, those that cannot be used with the reason.
#[utoipa::path(
    get, path = "/api/templates", tag = "agents",
    responses((status = 200, body = Vec<Template>)),
)]
async fn list(
    State(state): State<ApiState>,
    _query: Query<NoParams>,
) -> Result<Reply<Vec<Template>>> {
    let found = state.app.library.read(|library| library.templates.list()).await;
    let found = found.map_err(|error| ApiError::internal(&error.into()))?;
    let template = |(id, manifest): Named| match manifest {
        Ok(manifest) => Template { id, manifest: Some(manifest), error: None },
        Err(error) => Template { id, manifest: None, error: Some(error.to_string()) },
    };
    Ok(Reply::ok(state.app.log.head(), found.into_iter().map(template).collect()))
}

/// Shows a template with the files that its workspaces begin with.
#[utoipa::path(
    get, path = "/api/templates/{id}", tag = "agents",
    params(("id" = String, Path, description = "The template's name")),
    responses((status = 200, body = TemplateDetail)),
)]
async fn show(
    State(state): State<ApiState>,
    Path(id): Path<String>,
    _query: Query<NoParams>,
) -> Result<Reply<TemplateDetail>> {
    let name = id.clone();
    let read = state.app.library.read(move |library| library.templates.get(&name));
    let library::Template { manifest, files } = read.await.map_err(|error| match error {
        TemplateError::Missing { .. } => ApiError::not_found(format_args!("template `{id}`")),
        error => ApiError::new(Code::Conflict, error.to_string()),
    })?;
    let file = |(path, file): (String, crate::hosts::WorkspaceFile)| TemplateFile {
        path,
        bytes: file.content.len(),
        is_executable: file.is_executable,
    };
    let files = files.into_iter().map(file).collect();
    Ok(Reply::ok(state.app.log.head(), TemplateDetail { id, manifest, files }))
}
