//! Files of an agent's workspace: listed, downloaded, written and deleted while it runs.

use axum::body::Body as HttpBody;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use trinity_agent_protocol::{self as protocol, FILE_BYTES_MAX, FileQuery, FilesQuery};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouterExt as _};
use utoipa_axum::routes;

use super::ApiState;
use super::auth::{Caller, OnAgent};
use super::error::{ApiError, Code, Result};
use super::extract::{Bytes, Query, ReadQuery};
use super::inside;
use super::reply::{POSITION, Reply};
use crate::adapters::mcp;
use crate::commands::{agents, ids};
use crate::domain::AgentName;
use crate::domain::agent::Setting;
use crate::hosts::link::Written;
use crate::projections::{LIMIT_DEFAULT, LIMIT_MAX, PageError};

/// Between the path and the name in a cursor; neither has one.
const CURSOR_SEPARATOR: char = '\0';

/// Which folder, and which part of it.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// The folder, below the workspace; the workspace itself when left out.
    path: Option<String>,
    /// The most entries to answer with.
    #[param(minimum = 1, maximum = 1000, default = 50)]
    limit: Option<u32>,
    /// Where the page begins: `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Which file.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct PathQuery {
    /// The file, below the workspace: relative, without `.` and `..`.
    path: String,
}

/// What to delete.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct DeleteQuery {
    /// The file or folder, below the workspace: relative, without `.` and `..`.
    path: String,
    /// Delete a folder with everything in it.
    #[serde(default)]
    recursive: bool,
}

/// The conditions under which a file is changed.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "it describes headers, which are read as they come")]
struct Conditions {
    /// Only if the file is still at this version, as `ETag` named it; 412 when it is not.
    #[param(rename = "If-Match")]
    if_match: Option<String>,
    /// `*`: only if there is no such file; 412 when there is.
    #[param(rename = "If-None-Match")]
    if_none_match: Option<String>,
}

/// The bytes of a file.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary)]
#[expect(dead_code, reason = "it describes a body, which is read as it comes")]
struct Content(Vec<u8>);

/// What a path of the workspace names.
#[derive(Debug, Serialize, ToSchema)]
struct File {
    /// Where, below the workspace; empty for the workspace itself.
    path: String,
    kind: FileKind,
    /// How long its content is.
    size_bytes: u64,
    /// When its content last changed.
    modified_at: DateTime<Utc>,
    /// Its version, for `If-Match`.
    etag: String,
    /// Whether it holds credentials: then it is neither read nor changed as a file.
    holds_credentials: bool,
}

/// What a file is.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum FileKind {
    /// A plain file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link.
    Link,
    /// A device, a socket or a pipe, or what has a name that is no UTF-8.
    Other,
}

/// A page of a folder; without items when the path names no folder.
#[derive(Debug, Serialize, ToSchema)]
struct Folder {
    #[schema(value_type = String)]
    agent_name: AgentName,
    /// What the path names.
    file: File,
    /// What is in it, by name.
    items: Vec<File>,
    /// Where the next page begins; none when this is the last.
    #[schema(required = true)]
    next_cursor: Option<String>,
    position: i64,
}

/// What has become of a file.
#[derive(Debug, Serialize, ToSchema)]
struct Changed {
    #[schema(value_type = String)]
    agent_name: AgentName,
    path: String,
    status: ChangedStatus,
    /// The file as it is now; none when it was deleted.
    #[schema(required = true)]
    file: Option<File>,
    /// Whether these are the agent's instructions, which runs that start from now on read.
    is_instructions: bool,
    position: i64,
}

#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum ChangedStatus {
    Created,
    Replaced,
    Deleted,
}

/// The routes of this resource.
pub(super) fn router() -> OpenApiRouter<ApiState> {
    let limit = DefaultBodyLimit::max(FILE_BYTES_MAX);
    OpenApiRouter::new()
        .routes(routes!(list, remove))
        .routes(routes!(write).layer(limit))
        .routes(routes!(download))
}

/// Lists a folder of the agent's workspace, by name; a file is shown by itself.
#[utoipa::path(
    get, path = "/api/agents/{name}/files", tag = "files",
    params(("name" = String, Path, description = "The agent's name"), ListQuery, super::extract::Fresh),
    responses((status = 200, body = Folder)),
)]
async fn list(
    State(state): State<ApiState>,
    on: OnAgent,
    query: ReadQuery<ListQuery>,
) -> Result<Reply<Folder>> {
    state.wait_for_log(query.fresh).await?;
    let ListQuery { path, limit, cursor } = query.params;
    let path = path.unwrap_or_default();
    let limit = limit.unwrap_or(LIMIT_DEFAULT);
    if !(1..=LIMIT_MAX).contains(&limit) {
        return Err(PageError::Limit.into());
    }
    let after = cursor.map(|cursor| after(&path, &cursor)).transpose()?;
    let link = inside::link(&state, &on).await?;
    let wanted = FilesQuery { path, after, limit: usize::try_from(limit).ok() };
    let page = link.files(&wanted).await;
    let page = page.map_err(|error| inside::refused(&state, &on, error))?;
    let position = state.app.log.head();
    let next_cursor = page
        .next
        .map(|name| URL_SAFE_NO_PAD.encode(format!("{}{CURSOR_SEPARATOR}{name}", wanted.path)));
    let folder = Folder {
        agent_name: on.life.name,
        file: page.entry.into(),
        items: page.entries.into_iter().map(File::from).collect(),
        next_cursor,
        position,
    };
    Ok(Reply::ok(position, folder))
}

/// Reads the name after which a page of this folder begins.
fn after(path: &str, cursor: &str) -> Result<String, PageError> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| PageError::Cursor)?;
    let text = String::from_utf8(bytes).map_err(|_| PageError::Cursor)?;
    match text.split_once(CURSOR_SEPARATOR) {
        None => Err(PageError::Cursor),
        Some((of, _)) if of != path => Err(PageError::Filter),
        Some((_, name)) => Ok(name.to_owned()),
    }
}

/// Downloads a file of the agent's workspace; it is never shown as a page.
#[utoipa::path(
    get, path = "/api/agents/{name}/files/download", tag = "files",
    params(("name" = String, Path, description = "The agent's name"), PathQuery, super::extract::Fresh),
    responses((
        status = 200, body = Content, content_type = "application/octet-stream",
        headers(("ETag" = String, description = "The version of the file, for `If-Match`")),
    )),
)]
async fn download(
    State(state): State<ApiState>,
    on: OnAgent,
    query: ReadQuery<PathQuery>,
) -> Result<Response> {
    state.wait_for_log(query.fresh).await?;
    let link = inside::link(&state, &on).await?;
    let wanted = FileQuery { path: query.params.path, ..FileQuery::default() };
    let content = link.read_file(&wanted).await;
    let content = content.map_err(|error| inside::refused(&state, &on, error))?;
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream")),
        (header::CONTENT_DISPOSITION, attachment(&wanted.path)),
        (header::CONTENT_LENGTH, HeaderValue::from(content.size_bytes)),
        (POSITION, HeaderValue::from(state.app.log.head())),
    ];
    let mut response = (headers, HttpBody::from_stream(content.bytes)).into_response();
    if let Ok(etag) = HeaderValue::from_str(&content.etag) {
        response.headers_mut().insert(header::ETAG, etag);
    }
    Ok(response)
}

/// Says that it is to be saved, and under which name.
fn attachment(path: &str) -> HeaderValue {
    let name = path.rsplit_once('/').map_or(path, |(_, name)| name);
    let encoded = utf8_percent_encode(name, NON_ALPHANUMERIC);
    HeaderValue::from_str(&format!("attachment; filename*=UTF-8''{encoded}"))
        .unwrap_or(HeaderValue::from_static("attachment"))
}

/// Writes a file of the agent's workspace in one piece, with the folders above it; at most 16 MiB.
///
/// The body is the file's content, whatever its type. Writing the file with the agent's
/// instructions, such as `CLAUDE.md`, changes what runs do that start from now on.
#[utoipa::path(
    put, path = "/api/agents/{name}/files", tag = "files",
    params(("name" = String, Path, description = "The agent's name"), PathQuery, Conditions),
    request_body(content = Content, content_type = "application/octet-stream"),
    responses((status = 200, body = Changed), (status = 201, body = Changed)),
)]
async fn write(
    State(state): State<ApiState>,
    caller: Caller,
    on: OnAgent,
    headers: HeaderMap,
    Query(query): Query<PathQuery>,
    Bytes(content): Bytes,
) -> Result<Response> {
    refuse_template(&on, &query.path)?;
    let link = inside::link(&state, &on).await?;
    let wanted = conditional(query.path, &headers);
    let sha256 = ids::sha256_hex(&content);
    let written = link.write_file(&wanted, content).await;
    let (written, entry) = written.map_err(|error| inside::refused(&state, &on, error))?;
    let (status, code) = match written {
        Written::Fresh => (ChangedStatus::Created, StatusCode::CREATED),
        Written::Replaced => (ChangedStatus::Replaced, StatusCode::OK),
    };
    let etag = HeaderValue::from_str(&entry.etag);
    let changed = changed(&state, &caller, &on, wanted.path, status, Some(entry), sha256).await?;
    let mut response = Reply::ok(changed.position, changed).status(code).into_response();
    if let Ok(etag) = etag {
        response.headers_mut().insert(header::ETAG, etag);
    }
    Ok(response)
}

/// Deletes a file of the agent's workspace, or a folder.
#[utoipa::path(
    delete, path = "/api/agents/{name}/files", tag = "files",
    params(("name" = String, Path, description = "The agent's name"), DeleteQuery, Conditions),
    responses((status = 200, body = Changed)),
)]
async fn remove(
    State(state): State<ApiState>,
    caller: Caller,
    on: OnAgent,
    headers: HeaderMap,
    Query(query): Query<DeleteQuery>,
) -> Result<Reply<Changed>> {
    refuse_template(&on, &query.path)?;
    let link = inside::link(&state, &on).await?;
    let wanted = FileQuery { recursive: query.recursive, ..conditional(query.path, &headers) };
    let removed = link.remove_file(&wanted).await;
    removed.map_err(|error| inside::refused(&state, &on, error))?;
    // No instructions are empty ones.
    let sha256 = ids::sha256_hex([]);
    let status = ChangedStatus::Deleted;
    let changed = changed(&state, &caller, &on, wanted.path, status, None, sha256).await?;
    Ok(Reply::ok(changed.position, changed))
}

/// Refuses to change the one file that is written from a setting: it would have no effect.
fn refuse_template(on: &OnAgent, path: &str) -> Result<()> {
    if path != mcp::TEMPLATE_FILE {
        return Ok(());
    }
    let name = &on.life.name;
    let detail = format!(
        "{path} is written from the agent's MCP servers; change these: \
         PUT /api/agents/{name}/mcp-servers"
    );
    Err(ApiError::new(Code::Conflict, detail))
}

/// Names a file under the conditions of the request.
fn conditional(path: String, headers: &HeaderMap) -> FileQuery {
    let all = |name| {
        let values = headers.get_all(name).iter();
        let texts: Vec<_> =
            values.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect();
        (!texts.is_empty()).then(|| texts.join(","))
    };
    let (if_match, if_none_match) = (all(header::IF_MATCH), all(header::IF_NONE_MATCH));
    FileQuery { path, if_match, if_none_match, recursive: false }
}

/// Records a change of the agent's instructions, and says what has become of the file.
async fn changed(
    state: &ApiState,
    caller: &Caller,
    on: &OnAgent,
    path: String,
    status: ChangedStatus,
    entry: Option<protocol::FileEntry>,
    sha256: String,
) -> Result<Changed> {
    let runtime = on.current()?.config.runtime;
    let is_instructions = state.app.adapters.get(runtime).instructions_file() == path;
    let position = if is_instructions {
        let setting = Setting::SetInstructions { sha256 };
        let recorded = agents::set(&state.app.log, &on.life, setting, caller.metadata());
        recorded.await?.position
    } else {
        state.app.log.head()
    };
    let agent_name = on.life.name.clone();
    Ok(Changed { agent_name, path, status, file: entry.map(File::from), is_instructions, position })
}

impl From<protocol::FileEntry> for File {
    fn from(entry: protocol::FileEntry) -> Self {
        let kind = match entry.kind {
            protocol::FileKind::File => FileKind::File,
            protocol::FileKind::Folder => FileKind::Folder,
            protocol::FileKind::Link => FileKind::Link,
            protocol::FileKind::Other => FileKind::Other,
        };
        let protocol::FileEntry { path, size_bytes, modified_at, etag, holds_credentials, .. } =
            entry;
        Self { path, kind, size_bytes, modified_at, etag, holds_credentials }
    }
}
