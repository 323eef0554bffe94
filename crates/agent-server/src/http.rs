//! The routes of the agent server.

use std::sync::Arc;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::rejection::QueryRejection;
use axum::extract::{DefaultBodyLimit, Path, Query, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Router, body};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::io::AsyncReadExt as _;
use tokio::sync::mpsc;
use tokio_util::io::ReaderStream;
use trinity_agent_protocol::{
    ErrorBody, ErrorCode, ExecutionStatus, FileEntry, FilePage, FileQuery, FilesQuery,
    GATEWAY_UPGRADE, Info, KeptFiles, OUTPUT_LINES_MAX, REQUEST_BYTES_MAX, ShutdownRequest,
    StartRequest, StopReason, StopRequest, execution_id_is_valid, paths,
};

use crate::executions::{Executions, Started};
use crate::files::{Files, Written};
use crate::gateway::Gateway;
use crate::kept_files::{self, KeptFilesLock};
use crate::output::{self, Wanted};

/// What the handlers share.
#[derive(Clone)]
pub(crate) struct Server {
    pub executions: Arc<Executions>,
    pub info: Info,
    pub kept_files: Arc<KeptFilesLock>,
    pub files: Arc<Files>,
    pub gateway: Option<Arc<Gateway>>,
    pub shutdown: mpsc::Sender<ShutdownRequest>,
}

/// How many bytes of a file are read at once.
const FILE_READ_BYTES: usize = 64 * 1024;

type Answer<T> = Result<T, Refusal>;

/// Builds the routes.
pub(crate) fn router(server: Server) -> Router {
    let execution = get(show).put(start).delete(delete);
    Router::new()
        .route(paths::INFO, get(info))
        .route(paths::KEPT_FILES, put(put_kept_files))
        .route(paths::FILES, get(list_files))
        .route(paths::FILE_CONTENT, get(read_file).put(write_file).delete(remove_file))
        .route(paths::EXECUTIONS, get(list))
        .route("/executions/{id}", execution)
        .route("/executions/{id}/output", get(read_output))
        .route("/executions/{id}/stop", post(stop))
        .route(paths::GATEWAY, get(turn_around))
        .route(paths::SHUTDOWN, post(shutdown))
        .fallback(async || refusal(ErrorCode::NotFound, "no such route"))
        .method_not_allowed_fallback(async || {
            refusal(ErrorCode::MethodNotAllowed, "the route does not know this method")
        })
        .layer(middleware::from_fn(spell_out_refusals))
        .layer(DefaultBodyLimit::max(REQUEST_BYTES_MAX))
        .with_state(server)
}

async fn info(State(server): State<Server>) -> Json<Info> {
    Json(server.info)
}

async fn put_kept_files(State(server): State<Server>, body: Bytes) -> Answer<StatusCode> {
    let wanted: KeptFiles = parse(&body)?;
    kept_files::put(&server.executions, &server.kept_files, wanted).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn list_files(
    State(server): State<Server>,
    query: Result<Query<FilesQuery>, QueryRejection>,
) -> Answer<Json<FilePage>> {
    Ok(Json(server.files.list(asked(query)?).await?))
}

async fn read_file(
    State(server): State<Server>,
    query: Result<Query<FileQuery>, QueryRejection>,
) -> Answer<Response> {
    let (entry, file) = server.files.open(asked(query)?).await?;
    // What is added meanwhile is not of this version; what is cut off breaks the answer.
    let content = tokio::fs::File::from_std(file).take(entry.size_bytes);
    let body = Body::from_stream(ReaderStream::with_capacity(content, FILE_READ_BYTES));
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::CONTENT_LENGTH, entry.size_bytes.to_string()),
        (header::ETAG, entry.etag),
    ];
    Ok((headers, body).into_response())
}

async fn write_file(
    State(server): State<Server>,
    query: Result<Query<FileQuery>, QueryRejection>,
    body: Bytes,
) -> Answer<(StatusCode, Json<FileEntry>)> {
    let (written, entry) = server.files.write(asked(query)?, body).await?;
    let code = match written {
        Written::Fresh => StatusCode::CREATED,
        Written::Replaced => StatusCode::OK,
    };
    Ok((code, Json(entry)))
}

async fn remove_file(
    State(server): State<Server>,
    query: Result<Query<FileQuery>, QueryRejection>,
) -> Answer<StatusCode> {
    server.files.remove(asked(query)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn list(State(server): State<Server>) -> Json<Vec<ExecutionStatus>> {
    Json(server.executions.list())
}

async fn show(
    State(server): State<Server>,
    Path(id): Path<String>,
) -> Answer<Json<ExecutionStatus>> {
    Ok(Json(server.executions.status(&checked(id)?)?))
}

async fn start(
    State(server): State<Server>,
    Path(id): Path<String>,
    body: Bytes,
) -> Answer<(StatusCode, Json<ExecutionStatus>)> {
    let request: StartRequest = parse(&body)?;
    let (started, status) = server.executions.start(&checked(id)?, request).await?;
    let code = match started {
        Started::Now => StatusCode::CREATED,
        Started::Already => StatusCode::OK,
    };
    Ok((code, Json(status)))
}

async fn stop(
    State(server): State<Server>,
    Path(id): Path<String>,
    body: Bytes,
) -> Answer<Json<ExecutionStatus>> {
    let request: StopRequest = parse(&body)?;
    if matches!(request.reason, StopReason::Timeout | StopReason::AgentServerLost) {
        let message =
            "this reason is the runner's own; say cancel, agent_stopped, orphan or finished";
        return Err(refusal(ErrorCode::InvalidRequest, message));
    }
    Ok(Json(server.executions.stop(&checked(id)?, request).await?))
}

async fn delete(State(server): State<Server>, Path(id): Path<String>) -> Answer<StatusCode> {
    server.executions.delete(&checked(id)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
struct OutputQuery {
    #[serde(default)]
    after: u64,
    limit: Option<u64>,
    #[serde(default)]
    follow: bool,
}

async fn read_output(
    State(server): State<Server>,
    Path(id): Path<String>,
    query: Result<Query<OutputQuery>, QueryRejection>,
) -> Answer<Response> {
    let query = asked(query)?;
    let id = checked(id)?;
    let Some(execution) = server.executions.find(&id) else {
        return Err(refusal(ErrorCode::NotFound, format!("no execution {id} here")));
    };
    // Who follows wants all there will be; who reads pages asks again.
    let limit_max = if query.follow { u64::MAX } else { OUTPUT_LINES_MAX };
    let limit = query.limit.unwrap_or(limit_max).min(limit_max);
    let wanted = Wanted { after: query.after, limit, follow: query.follow };
    let body = Body::from_stream(output::stream(execution, wanted));
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], body).into_response())
}

async fn turn_around(State(server): State<Server>, mut request: Request) -> Answer<Response> {
    let Some(gateway) = server.gateway else {
        return Err(refusal(ErrorCode::NotFound, "this agent server has no gateway"));
    };
    let wanted = request.headers().get(header::UPGRADE).map(HeaderValue::as_bytes);
    if wanted != Some(GATEWAY_UPGRADE.as_bytes()) {
        let message = format!("say `Connection: upgrade` and `Upgrade: {GATEWAY_UPGRADE}`");
        return Err(refusal(ErrorCode::InvalidRequest, message));
    }
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        match upgrade.await {
            Ok(stream) => gateway.ask_on(stream).await,
            Err(error) => tracing::debug!(%error, "a connection could not be turned around"),
        }
    });
    let headers = [(header::CONNECTION, "upgrade"), (header::UPGRADE, GATEWAY_UPGRADE)];
    Ok((StatusCode::SWITCHING_PROTOCOLS, headers).into_response())
}

async fn shutdown(State(server): State<Server>, body: Bytes) -> Answer<StatusCode> {
    let request = if body.is_empty() { ShutdownRequest::default() } else { parse(&body)? };
    // Full means that a shutdown is under way.
    let _ = server.shutdown.try_send(request);
    Ok(StatusCode::ACCEPTED)
}

fn asked<T>(query: Result<Query<T>, QueryRejection>) -> Answer<T> {
    let refused = |error: QueryRejection| refusal(ErrorCode::InvalidRequest, error.body_text());
    query.map(|Query(query)| query).map_err(refused)
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Answer<T> {
    serde_json::from_slice(body).map_err(|error| {
        refusal(ErrorCode::InvalidRequest, format!("cannot read the body: {error}"))
    })
}

fn checked(id: String) -> Answer<String> {
    if execution_id_is_valid(&id) {
        return Ok(id);
    }
    Err(refusal(ErrorCode::InvalidRequest, "an execution id has letters, digits, '-' and '_'"))
}

/// A refusal on its way out.
struct Refusal(ErrorBody);

fn refusal(code: ErrorCode, message: impl Into<String>) -> Refusal {
    Refusal(ErrorBody::new(code, message))
}

impl From<ErrorBody> for Refusal {
    fn from(body: ErrorBody) -> Self {
        Self(body)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = match self.0.code {
            ErrorCode::InvalidRequest => StatusCode::BAD_REQUEST,
            ErrorCode::NotFound | ErrorCode::NoSuchFile => StatusCode::NOT_FOUND,
            ErrorCode::FileHoldsCredentials => StatusCode::FORBIDDEN,
            ErrorCode::FileChanged => StatusCode::PRECONDITION_FAILED,
            ErrorCode::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            ErrorCode::StaleEpoch
            | ErrorCode::Tombstone
            | ErrorCode::Occupied
            | ErrorCode::FileRefused
            | ErrorCode::StillRunning => StatusCode::CONFLICT,
            ErrorCode::DeadlineTooNear => StatusCode::UNPROCESSABLE_ENTITY,
            ErrorCode::SpawnFailed | ErrorCode::Busy | ErrorCode::ShuttingDown => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            ErrorCode::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        };
        (status, Json(self.0)).into_response()
    }
}

/// Turns the plain-text refusals of the framework, such as a body over its bound, into ours.
async fn spell_out_refusals(request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let is_ours = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/"));
    let status = response.status();
    if !status.is_client_error() || is_ours {
        return response;
    }
    let text = body::to_bytes(response.into_body(), 1024).await.unwrap_or_default();
    let message = String::from_utf8_lossy(&text).into_owned();
    (status, Json(ErrorBody::new(ErrorCode::InvalidRequest, message))).into_response()
}
