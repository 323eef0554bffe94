//! `/api/templates`: what agents can be made from.

use axum::extract::{Path, State};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ApiState;
use super::error::{ApiError, Result};
use super::extract::{NoParams, Query};
use super::reply::Reply;
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

pub(super) fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(show))
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
        error => ApiError::new(super::error::Code::Conflict, error.to_string()),
    })?;
    let file = |(path, file): (String, crate::hosts::WorkspaceFile)| TemplateFile {
        path,
        bytes: file.content.len(),
        is_executable: file.is_executable,
    };
    let files = files.into_iter().map(file).collect();
    Ok(Reply::ok(state.app.log.head(), TemplateDetail { id, manifest, files }))
}
