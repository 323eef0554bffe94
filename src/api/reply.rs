//! Answers that say at which position of the log they hold.

use axum::Json;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::etag::{self, IfNoneMatch};

/// The position of the log at which an answer holds.
pub const POSITION: HeaderName = HeaderName::from_static("position");

/// Says that an answer is the one that the first request with this key had.
const IDEMPOTENT_REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// A JSON answer with its position in the header `Position`.
#[derive(Debug)]
pub struct Reply<T> {
    status: StatusCode,
    headers: HeaderMap,
    body: T,
}

impl<T> Reply<T> {
    /// An answer of 200.
    pub fn ok(position: i64, body: T) -> Self {
        let headers = HeaderMap::from_iter([(POSITION, HeaderValue::from(position))]);
        Self { status: StatusCode::OK, headers, body }
    }

    /// The same answer with another status.
    #[must_use]
    pub fn status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    /// The same answer with another body.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Reply<U> {
        Reply { status: self.status, headers: self.headers, body: change(self.body) }
    }

    /// The same answer, saying where what was made is.
    #[must_use]
    pub fn location(self, path: &str) -> Self {
        self.header(header::LOCATION, HeaderValue::from_str(path).ok())
    }

    /// The same answer, saying where the next page is.
    #[must_use]
    pub fn link(self, link: Option<HeaderValue>) -> Self {
        self.header(header::LINK, link)
    }

    /// The same answer, saying that it was given before.
    #[must_use]
    pub fn replayed(self, is_replay: bool) -> Self {
        self.header(IDEMPOTENT_REPLAYED, is_replay.then(|| HeaderValue::from_static("true")))
    }

    /// The same answer, naming fields that were in the body without effect.
    #[must_use]
    pub fn ignored(self, fields: &[&str]) -> Self {
        if fields.is_empty() {
            return self;
        }
        let warning = format!("299 - \"fields without effect: {}\"", fields.join(", "));
        self.header(header::WARNING, HeaderValue::from_str(&warning).ok())
    }

    /// The same answer, naming the version of the agent that it shows.
    #[must_use]
    pub fn version(self, version: i64) -> Self {
        self.header(header::ETAG, HeaderValue::from_str(&etag::text(version)).ok())
    }

    fn header(mut self, name: HeaderName, value: Option<HeaderValue>) -> Self {
        if let Some(value) = value {
            self.headers.insert(name, value);
        }
        self
    }
}

/// The same answer, good or bad, saying whether it was given before.
pub fn replayed(mut response: Response, is_replay: bool) -> Response {
    if is_replay {
        response.headers_mut().insert(IDEMPOTENT_REPLAYED, HeaderValue::from_static("true"));
    }
    response
}

impl<T: Serialize> Reply<T> {
    /// The answer, or 304 when the caller has that version already.
    pub fn unless_known(self, version: i64, known: &IfNoneMatch) -> Response {
        let reply = self.version(version);
        if known.has(version) {
            return (StatusCode::NOT_MODIFIED, reply.headers).into_response();
        }
        reply.into_response()
    }
}

/// What a write has made or set, and the position at which it stands in the log.
#[derive(Debug, Serialize, ToSchema)]
pub struct Written<T> {
    #[serde(flatten)]
    what: T,
    position: i64,
}

impl<T> Written<T> {
    /// What was written at a position.
    pub fn at(position: i64, what: T) -> Self {
        Self { what, position }
    }
}

impl<T: Serialize> IntoResponse for Reply<T> {
    fn into_response(self) -> Response {
        (self.status, self.headers, Json(self.body)).into_response()
    }
}
