//! One request of a CLI to the API of its model, with the agent's key.

use std::time::Duration;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use futures::TryStreamExt as _;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyDataStream, BodyExt, Full, Limited, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Request, Response, StatusCode};
use reqwest::Url;
use serde_json::json;
use uuid::Uuid;

use super::{Addresses, Shared};
use crate::adapters::model_api::{ANTHROPIC, GEMINI, ModelApi};
use crate::vault::Kind;

/// How many bytes a request may have; the APIs themselves take 32 MB and 20 MB.
const REQUEST_BYTES_MAX: usize = 32 * 1024 * 1024;

/// How long it may take to reach an API.
pub(super) const CONNECT_MAX: Duration = Duration::from_secs(10);

/// How long an API may say nothing; a model may think for minutes before its first word.
pub(super) const SILENCE_MAX: Duration = Duration::from_mins(10);

/// Headers that are of one connection, that say who a CLI takes itself for, or that are made anew.
const NOT_PASSED_ON: [HeaderName; 15] = [
    header::AUTHORIZATION,
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::COOKIE,
    header::HOST,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::SET_COOKIE,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("x-api-key"),
    HeaderName::from_static("x-goog-api-key"),
];

/// The body of an answer.
type Body = BoxBody<Bytes, reqwest::Error>;

/// Where the APIs are.
pub(super) struct Upstreams {
    anthropic: Url,
    gemini: Url,
}

impl Upstreams {
    pub(super) fn new(addresses: &Addresses) -> anyhow::Result<Self> {
        Ok(Self {
            anthropic: parse(addresses.anthropic.as_deref(), &ANTHROPIC)?,
            gemini: parse(addresses.gemini.as_deref(), &GEMINI)?,
        })
    }

    /// The address of what a CLI asks for; `None` for what is no part of its API.
    fn address(&self, api: &ModelApi, path_and_query: &str) -> Option<Url> {
        let base = if *api == GEMINI { &self.gemini } else { &self.anthropic };
        let base = base.as_str().trim_end_matches('/');
        let url = Url::parse(&format!("{base}{path_and_query}")).ok()?;
        let prefix = Url::parse(base).ok()?;
        // Compared once it is parsed, which resolves `..`.
        let path = url.path().strip_prefix(prefix.path().trim_end_matches('/'))?;
        let is_of_api = api.paths.iter().any(|begin| path.starts_with(begin));
        (is_of_api && url.origin() == prefix.origin()).then_some(url)
    }
}

fn parse(address: Option<&str>, api: &ModelApi) -> anyhow::Result<Url> {
    let text = address.unwrap_or(api.url);
    let url = Url::parse(text).with_context(|| format!("{text:?} is no address of an API"))?;
    if !matches!(url.scheme(), "http" | "https") || url.query().is_some() {
        bail!(
            "{text:?} is no address of an API: it begins with https:// or http://, without a query"
        );
    }
    Ok(url)
}

/// Answers a CLI as the API of its model does.
pub(super) async fn answer(
    shared: &Shared,
    incarnation: Uuid,
    api: &'static ModelApi,
    request: Request<Incoming>,
) -> Response<Body> {
    pass_on(shared, incarnation, api, request).await.unwrap_or_else(|Refusal(status, message)| {
        tracing::debug!(%incarnation, %status, "a request to a model was refused: {message}");
        refusal(status, &message)
    })
}

/// What is answered instead of the API.
struct Refusal(StatusCode, String);

async fn pass_on(
    shared: &Shared,
    incarnation: Uuid,
    api: &'static ModelApi,
    request: Request<Incoming>,
) -> Result<Response<Body>, Refusal> {
    let (head, body) = request.into_parts();
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    let url = shared.upstreams.address(api, path);
    let no_such = || Refusal(StatusCode::NOT_FOUND, "this is no part of the model's API".into());
    let url = url.ok_or_else(no_such)?;
    let mut headers = passed_on(&head.headers);
    if let Some(length) = head.headers.get(header::CONTENT_LENGTH) {
        let bytes = length.to_str().ok().and_then(|length| length.parse::<usize>().ok());
        if bytes.is_none_or(|bytes| bytes > REQUEST_BYTES_MAX) {
            let message = format!("a request has at most {REQUEST_BYTES_MAX} bytes");
            return Err(Refusal(StatusCode::PAYLOAD_TOO_LARGE, message));
        }
        headers.insert(header::CONTENT_LENGTH, length.clone());
    }
    // Passed on as it comes: what a run sends slowly, or not at all, takes no room here.
    let body = BodyDataStream::new(Limited::new(body, REQUEST_BYTES_MAX));
    let body = reqwest::Body::wrap_stream(body);
    headers.insert(HeaderName::from_static(api.key_header), key(shared, incarnation, api).await?);
    let sent = shared.http.request(head.method, url).headers(headers).body(body).send();
    let answer = sent.await.map_err(|error| {
        // Without the address, which is the server's own business.
        let message = format!("the model's API cannot be reached: {}", error.without_url());
        Refusal(StatusCode::BAD_GATEWAY, message)
    })?;
    let mut response = Response::builder().status(answer.status());
    if let Some(headers) = response.headers_mut() {
        *headers = passed_on(answer.headers());
    }
    let body = BodyExt::boxed(StreamBody::new(answer.bytes_stream().map_ok(Frame::data)));
    response.body(body).map_err(|error| Refusal(StatusCode::BAD_GATEWAY, error.to_string()))
}

async fn key(shared: &Shared, incarnation: Uuid, api: &ModelApi) -> Result<HeaderValue, Refusal> {
    let credentials = shared.vault.read(incarnation).await.map_err(|error| {
        Refusal(StatusCode::BAD_GATEWAY, format!("the agent's key cannot be opened: {error}"))
    })?;
    let unauthorized =
        |text: &str| Refusal(StatusCode::UNAUTHORIZED, format!("the agent's {} {text}", api.key));
    let key = credentials.of(Kind::Variable).find(|(name, _)| *name == api.key);
    let (_, key) = key.ok_or_else(|| unauthorized("is not set any more"))?;
    let mut value = HeaderValue::from_str(key.trim())
        .map_err(|_| unauthorized("has characters that no key has"))?;
    value.set_sensitive(true);
    Ok(value)
}

fn passed_on(headers: &HeaderMap) -> HeaderMap {
    let kept = headers.iter().filter(|(name, _)| !NOT_PASSED_ON.contains(name));
    kept.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// An error in a form in which every CLI finds the message.
fn refusal(status: StatusCode, message: &str) -> Response<Body> {
    let code = status.as_u16();
    let error =
        json!({ "type": "api_error", "code": code, "status": "GATEWAY", "message": message });
    let body = json!({ "type": "error", "error": error }).to_string();
    let body = Full::new(Bytes::from(body)).map_err(|never| match never {}).boxed();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upstreams(anthropic: &str) -> Upstreams {
        let anthropic = Some(anthropic.to_owned());
        Upstreams::new(&Addresses { anthropic, gemini: None }).unwrap()
    }

    #[test]
    fn only_the_api_itself_is_reached_whatever_is_asked_for() {
        let api = upstreams("https://models.test/proxy/");
        let address = |path| api.address(&ANTHROPIC, path).map(String::from);
        assert_eq!(
            address("/v1/messages?beta=true").as_deref(),
            Some("https://models.test/proxy/v1/messages?beta=true")
        );
        for path in ["/", "/v2/x", "/v1", "/v1/../../admin", "@evil.test/v1/x", "//evil.test/v1/"] {
            assert_eq!(address(path), None, "{path}");
        }
        let gemini = api.address(&GEMINI, "/v1beta/models/m:generateContent").map(String::from);
        let expected = "https://generativelanguage.googleapis.com/v1beta/models/m:generateContent";
        assert_eq!(gemini.as_deref(), Some(expected));
    }

    #[test]
    fn an_address_that_is_none_is_named() {
        for bad in ["models.test", "ftp://models.test", "https://models.test/?a=b"] {
            let addresses = Addresses { anthropic: Some(bad.to_owned()), gemini: None };
            let error = Upstreams::new(&addresses).err().unwrap();
            assert!(error.to_string().contains(bad), "{error}");
        }
    }

    #[test]
    fn who_a_cli_takes_itself_for_is_not_passed_on() {
        let mut headers = HeaderMap::new();
        for name in ["x-api-key", "authorization", "host", "connection", "anthropic-version"] {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static("x"));
        }
        let passed_on = passed_on(&headers);
        assert_eq!(passed_on.keys().collect::<Vec<_>>(), ["anthropic-version"]);
    }
}
