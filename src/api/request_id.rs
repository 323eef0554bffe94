//! The id of a request: in its log lines, in its answer's header, in its problem body, and as the
//! correlation id of every event that follows from it. Beside it the request's place in a trace.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{FromRequestParts, MatchedPath, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
use axum::middleware::Next;
use axum::response::Response;
use tracing::Instrument as _;
use uuid::Uuid;

use crate::telemetry::metrics::HTTP_REQUEST_DURATION;
use crate::telemetry::traces::{Side, Span, TRACEPARENT};

/// The header that tells a client the id of its request; one that a client sends is kept.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The longest id that is taken from a client, in bytes.
const REQUEST_ID_BYTES_MAX: usize = 128;

/// What stands for the route of a request that no route takes.
const NO_ROUTE: &str = "none";

/// Names one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId {
    id: Arc<str>,
    traceparent: Option<Arc<str>>,
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.id.fmt(f)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for RequestId {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get().cloned().unwrap_or_else(Self::make))
    }
}

impl RequestId {
    pub(super) fn make() -> Self {
        Self { id: Uuid::now_v7().to_string().into(), traceparent: None }
    }

    /// The id that the client has given the request, if that can stand in a log, else a new one.
    fn of(headers: &HeaderMap) -> Self {
        let given = headers.get(&X_REQUEST_ID).and_then(|value| value.to_str().ok());
        match given.filter(|id| is_plain(id)) {
            Some(id) => Self { id: id.into(), traceparent: None },
            None => Self::make(),
        }
    }

    /// The span of the request, for whatever follows from it.
    pub fn traceparent(&self) -> Option<String> {
        self.traceparent.as_deref().map(str::to_owned)
    }
}

/// Whether the text is one word that needs no escape anywhere.
fn is_plain(id: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':' | '/');
    (1..=REQUEST_ID_BYTES_MAX).contains(&id.len()) && id.chars().all(is_word)
}

/// Gives the request its id and its span, and every log line and answer of it too.
pub async fn assign(mut request: Request, next: Next) -> Response {
    let mut id = RequestId::of(request.headers());
    let method = method_word(request.method());
    let route = request.extensions().get::<MatchedPath>().cloned();
    let parent = request.headers().get(TRACEPARENT).and_then(|value| value.to_str().ok());
    let trace = Span::begin(method, Side::Server, parent);
    id.traceparent = trace.traceparent().map(Into::into);
    request.extensions_mut().insert(id.clone());
    let span = tracing::info_span!(
        "request",
        id = %id,
        method,
        path = request.uri().path(),
        traceparent = id.traceparent.as_deref(),
    );
    let began = Instant::now();
    let answered = async {
        let response = next.run(request).await;
        let (status, elapsed) = (response.status().as_u16(), began.elapsed());
        tracing::debug!(status, elapsed_ms = elapsed.as_millis(), "answered");
        response
    };
    let mut response = answered.instrument(span).await;
    let route = route.as_ref().map_or(NO_ROUTE, MatchedPath::as_str);
    observe(&trace, method, route, &response, began);
    let traceparent = (HeaderName::from_static(TRACEPARENT), id.traceparent.as_deref());
    for (name, value) in [(X_REQUEST_ID, Some(&*id.id)), traceparent] {
        if let Some(Ok(value)) = value.map(HeaderValue::from_str) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// Tells metrics and trace what has become of the request.
fn observe(trace: &Span, method: &'static str, route: &str, response: &Response, began: Instant) {
    let status = response.status();
    trace.rename(format!("{method} {route}"));
    trace.set("http.request.method", method);
    trace.set("http.route", route.to_owned());
    trace.set("http.response.status_code", i64::from(status.as_u16()));
    if status.is_server_error() {
        trace.failed(status.canonical_reason().unwrap_or("failed"));
    }
    metrics::histogram!(
        HTTP_REQUEST_DURATION,
        "method" => method,
        "route" => route.to_owned(),
        "status" => status.as_str().to_owned(),
    )
    .record(began.elapsed());
}

/// The method, as one of a few words: a client may make up any number of others.
fn method_word(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "OTHER",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_of_the_client_is_kept_if_it_is_one_plain_word() {
        let of = |id: &str| {
            let value = HeaderValue::from_str(id).unwrap();
            RequestId::of(&HeaderMap::from_iter([(X_REQUEST_ID, value)])).to_string()
        };
        assert_eq!(of("build-7.3:retry/1"), "build-7.3:retry/1");
        for bad in ["", "two words", "a\"b", &"x".repeat(REQUEST_ID_BYTES_MAX + 1)] {
            assert_ne!(of(bad), bad);
        }
    }
}
