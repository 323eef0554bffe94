//! The one error of the API, and how it becomes `application/problem+json` (RFC 9457).
//!
//! A handler answers with [`ApiError`]; the middleware [`render`] writes the body, because only it
//! knows the request's id and path. It does the same for whatever the framework refuses by itself,
//! so that no answer of 400 or above has another form.

use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Map, Value};

use super::reply::POSITION;
use super::request_id::RequestId;

/// The media type of every error body.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// What a handler gives back when it does not fail.
pub type Result<T, E = ApiError> = std::result::Result<T, E>;

/// What went wrong, as a word that stays the same for programs.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    strum::IntoStaticStr,
    strum::VariantArray,
    serde::Serialize,
    utoipa::ToSchema,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum Code {
    MalformedBody,
    MalformedRequest,
    UnknownParameter,
    InvalidParameter,
    InvalidCursor,
    InvalidName,
    InvalidPassword,
    NotAuthenticated,
    WrongCredentials,
    Forbidden,
    CrossSite,
    #[serde(rename = "missing_scope")]
    #[strum(serialize = "missing_scope")]
    MissingScope,
    #[serde(rename = "permission_denied")]
    #[strum(serialize = "permission_denied")]
    PermissionDenied,
    SetupDone,
    WrongSetupToken,
    NotFound,
    NoSuchFile,
    MethodNotAllowed,
    AlreadyExists,
    Conflict,
    ExecutionCancelled,
    WouldDeadlock,
    TranscriptRemoved,
    PreconditionFailed,
    BodyTooLarge,
    UnsupportedMediaType,
    UnknownField,
    InvalidField,
    InvalidParent,
    IdempotencyKeyReused,
    NotEnforceable,
    QueueFull,
    TooManyAttempts,
    TooManyRequests,
    Internal,
    ExecutionFailed,
    AgentNotRunning,
    HostUnavailable,
    ProjectionLag,
    LogUnavailable,
    StoreUnavailable,
    Overloaded,
    NotReady,
    ExecutionTimeout,
}

impl Code {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// The HTTP status that the code always comes with.
    pub fn status(self) -> StatusCode {
        match self {
            Self::MalformedBody
            | Self::MalformedRequest
            | Self::UnknownParameter
            | Self::InvalidParameter
            | Self::InvalidCursor
            | Self::InvalidName
            | Self::InvalidPassword => StatusCode::BAD_REQUEST,
            Self::NotAuthenticated | Self::WrongCredentials => StatusCode::UNAUTHORIZED,
            Self::Forbidden
            | Self::CrossSite
            | Self::MissingScope
            | Self::PermissionDenied
            | Self::SetupDone
            | Self::WrongSetupToken => StatusCode::FORBIDDEN,
            Self::NotFound | Self::NoSuchFile => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::AlreadyExists
            | Self::Conflict
            | Self::ExecutionCancelled
            | Self::WouldDeadlock => StatusCode::CONFLICT,
            Self::TranscriptRemoved => StatusCode::GONE,
            Self::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::UnknownField
            | Self::InvalidField
            | Self::InvalidParent
            | Self::IdempotencyKeyReused
            | Self::NotEnforceable => StatusCode::UNPROCESSABLE_ENTITY,
            Self::QueueFull | Self::TooManyAttempts | Self::TooManyRequests => {
                StatusCode::TOO_MANY_REQUESTS
            }
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::ExecutionFailed => StatusCode::BAD_GATEWAY,
            Self::AgentNotRunning
            | Self::HostUnavailable
            | Self::ProjectionLag
            | Self::LogUnavailable
            | Self::StoreUnavailable
            | Self::Overloaded
            | Self::NotReady => StatusCode::SERVICE_UNAVAILABLE,
            Self::ExecutionTimeout => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// How long to wait before trying again, in seconds, for the codes that pass by themselves.
    fn retry_after_seconds(self) -> Option<u32> {
        match self.status() {
            StatusCode::TOO_MANY_REQUESTS => Some(5),
            StatusCode::SERVICE_UNAVAILABLE => Some(1),
            _ => None,
        }
    }

    /// The code of an answer that the framework gave without us.
    fn of_status(status: StatusCode) -> Self {
        match status {
            StatusCode::NOT_FOUND => Self::NotFound,
            StatusCode::METHOD_NOT_ALLOWED => Self::MethodNotAllowed,
            StatusCode::PAYLOAD_TOO_LARGE => Self::BodyTooLarge,
            StatusCode::UNSUPPORTED_MEDIA_TYPE => Self::UnsupportedMediaType,
            status if status.is_client_error() => Self::MalformedRequest,
            _ => Self::Internal,
        }
    }
}

/// One thing that is wrong with the input, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct FieldError {
    /// Where: a JSON pointer into the body, or the name of a query parameter after `?`.
    pub pointer: String,
    /// What kind of mistake it is.
    pub code: Code,
    /// What to do about it.
    pub detail: String,
}

/// An error on its way to the client.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{detail}")]
pub struct ApiError {
    code: Code,
    detail: String,
    errors: Vec<FieldError>,
    /// Members beyond those of every problem, such as `execution_id`.
    members: Box<Map<String, Value>>,
    retry_after_seconds: Option<u32>,
}

/// The body of every answer of 400 and above.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Problem {
    /// Names the kind of problem; the same for the same `code`.
    #[serde(rename = "type")]
    kind: String,
    /// The kind of problem in a few words.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// What happened, and what to do about it.
    detail: String,
    /// The path that was asked for.
    instance: String,
    /// The kind of problem for programs.
    code: Code,
    /// Finds the request in the server's own log.
    request_id: String,
    /// What exactly is wrong with the input, if that is the problem.
    errors: Vec<FieldError>,
    /// Members of single kinds, such as `execution_id`, `caller`, `callee`.
    #[serde(flatten)]
    #[schema(ignore)]
    members: Map<String, Value>,
}

impl ApiError {
    /// An error with its words for the person who reads it.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
            errors: Vec::new(),
            members: Box::default(),
            retry_after_seconds: code.retry_after_seconds(),
        }
    }

    /// What went wrong.
    pub fn code(&self) -> Code {
        self.code
    }

    /// What exactly is wrong with the input.
    pub fn errors(&self) -> &[FieldError] {
        &self.errors
    }

    /// The answer to whoever asks for what is not there, or may not know that it is.
    pub fn not_found(what: impl std::fmt::Display) -> Self {
        Self::new(Code::NotFound, format!("there is no {what}"))
    }

    /// A body field with a value that breaks a rule; `pointer` is a JSON pointer.
    pub fn field(pointer: &str, detail: impl Into<String>) -> Self {
        Self::listed(Code::InvalidField, pointer.to_owned(), detail.into())
    }

    /// A query parameter with a value that cannot be meant.
    pub fn parameter(name: &str, detail: impl Into<String>) -> Self {
        Self::listed(Code::InvalidParameter, format!("?{name}"), detail.into())
    }

    fn listed(code: Code, pointer: String, detail: String) -> Self {
        let error = FieldError { pointer, code, detail: detail.clone() };
        Self { errors: vec![error], ..Self::new(code, detail) }
    }

    /// Something that must not happen; it is logged here and the client learns nothing of it.
    pub fn internal(error: &anyhow::Error) -> Self {
        tracing::error!(error = format!("{error:#}"), "a request failed");
        Self::new(
            Code::Internal,
            "the server failed at this; its log says more under the request id",
        )
    }

    /// The same error under another code.
    #[must_use]
    pub fn with_code(mut self, code: Code) -> Self {
        self.code = code;
        for error in &mut self.errors {
            error.code = code;
        }
        self
    }

    /// The same error with a list of what exactly is wrong.
    #[must_use]
    pub fn with_errors(self, errors: Vec<FieldError>) -> Self {
        Self { errors, ..self }
    }

    /// The same error with one more member in its body.
    #[must_use]
    pub fn with(mut self, member: &str, value: impl Into<Value>) -> Self {
        self.members.insert(member.to_owned(), value.into());
        self
    }

    /// The same error with another time to wait before the next attempt, in seconds.
    #[must_use]
    pub fn retry_after(self, seconds: u32) -> Self {
        Self { retry_after_seconds: Some(seconds), ..self }
    }

    fn into_problem(self, status: StatusCode, instance: String, request_id: String) -> Problem {
        Problem {
            kind: format!("urn:problem:trinity:{}", self.code.as_str()),
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            detail: self.detail,
            instance,
            code: self.code,
            request_id,
            errors: self.errors,
            members: *self.members,
        }
    }
}

impl IntoResponse for ApiError {
    /// Only the status and the headers: `render` adds the body.
    fn into_response(self) -> Response {
        let mut response = self.code.status().into_response();
        if let Some(position) = self.members.get("position").and_then(Value::as_i64) {
            response.headers_mut().insert(POSITION, HeaderValue::from(position));
        }
        if let Some(seconds) = self.retry_after_seconds {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if response.status() == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Bearer");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        response.extensions_mut().insert(self);
        response
    }
}

/// Writes the body of every answer of 400 and above.
pub async fn render(request_id: RequestId, request: Request, next: Next) -> Response {
    let instance = request.uri().path().to_owned();
    let mut response = next.run(request).await;
    let status = response.status();
    if status.as_u16() < 400 {
        return response;
    }
    let error = match response.extensions_mut().remove::<ApiError>() {
        Some(error) => error,
        None if is_problem(&response) => return response,
        None => foreign(status, &instance),
    };
    let mut headers = std::mem::take(response.headers_mut());
    headers.remove(header::CONTENT_LENGTH);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
    let problem = error.into_problem(status, instance, request_id.to_string());
    // A problem holds only strings and what was JSON already, so this cannot fail.
    let body = serde_json::to_vec(&problem).unwrap_or_default();
    (status, headers, body).into_response()
}

fn is_problem(response: &Response) -> bool {
    response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(PROBLEM_JSON.as_bytes()))
}

/// An error for an answer that came from the framework.
fn foreign(status: StatusCode, path: &str) -> ApiError {
    let code = Code::of_status(status);
    let detail = match code {
        Code::NotFound => format!("there is no route {path}; /api/openapi.json lists all"),
        Code::MethodNotAllowed => {
            "this route does not know the method; the Allow header lists those it does".to_owned()
        }
        Code::BodyTooLarge => "the body is larger than this route takes".to_owned(),
        _ => status.canonical_reason().unwrap_or("the request failed").to_lowercase(),
    };
    ApiError::new(code, detail)
}
