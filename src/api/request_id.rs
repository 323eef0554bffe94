//! The id of a request: in its log lines, in its answer's header, in its problem body, and as the
//! correlation id of every event that follows from it.

use std::convert::Infallible;
use std::fmt;

use axum::extract::{FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use tracing::Instrument as _;
use uuid::Uuid;

/// The header that tells a client the id of its request.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Names one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestId(pub Uuid);

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for RequestId {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get().copied().unwrap_or_else(Self::make))
    }
}

impl RequestId {
    pub(super) fn make() -> Self {
        Self(Uuid::now_v7())
    }
}

/// Gives the request its id, and every log line and answer of it too.
pub async fn assign(mut request: Request, next: Next) -> Response {
    let id = RequestId::make();
    request.extensions_mut().insert(id);
    let span = tracing::info_span!(
        "request",
        id = %id,
        method = %request.method(),
        path = request.uri().path(),
    );
    let began = std::time::Instant::now();
    let answered = async {
        let response = next.run(request).await;
        let (status, elapsed) = (response.status().as_u16(), began.elapsed());
        tracing::debug!(status, elapsed_ms = elapsed.as_millis(), "answered");
        response
    };
    let mut response = answered.instrument(span).await;
    if let Ok(value) = HeaderValue::from_str(&id.to_string()) {
        response.headers_mut().insert(X_REQUEST_ID, value);
    }
    response
}
