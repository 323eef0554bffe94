//! Calls to the server.

use std::cell::RefCell;
use std::time::Duration;

use bytes::Bytes;
use percent_encoding::{NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LINK};
use reqwest::{Method, RequestBuilder, Response, redirect};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::error::{Error, Exit, Problem, Result};
use super::server::{Common, Origin, Server, is_loopback};
use crate::config::Secret;

/// The largest answer that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 256 * 1024 * 1024;

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long an answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_mins(1);

/// How often a request is repeated whose connection broke off.
const REPEATS_MAX: u32 = 5;

/// The wait before the first repeat; it doubles.
const REPEAT_PAUSE: Duration = Duration::from_millis(200);

/// The server's word for a read model that is behind the log.
const LAG: &str = "projection-lag";

/// How often a read model that is behind is asked again.
const LAG_POLLS_MAX: u32 = 20;

/// How long to wait before that.
const LAG_POLL: Duration = Duration::from_millis(250);

/// How long a stream may be silent; the server sends a heartbeat every 15 seconds.
const SILENCE_MAX: Duration = Duration::from_secs(45);

/// The most pages that one list is read from.
const PAGES_MAX: usize = 1_000;

/// A client of one server.
#[derive(Debug)]
pub struct Client {
    requests: reqwest::Client,
    streams: reqwest::Client,
    common: Common,
    server: RefCell<Server>,
}

/// One request.
#[derive(Debug, Clone)]
pub struct Call {
    method: Method,
    path: String,
    query: Vec<(&'static str, String)>,
    headers: HeaderMap,
    body: Option<Body>,
    idempotency_key: Option<Uuid>,
}

#[derive(Debug, Clone)]
enum Body {
    Json(serde_json::Value),
    Form(Vec<(&'static str, Secret)>),
    Bytes(Bytes),
}

/// An answer below 400.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The body, as it came.
    pub body: String,
    next: Option<String>,
}

/// Writes a name as one segment of a path, whatever is in it.
pub fn segment(name: &str) -> PercentEncode<'_> {
    utf8_percent_encode(name, NON_ALPHANUMERIC)
}

impl Call {
    /// Reads.
    pub fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path.into())
    }

    /// Asks for something to be done.
    pub fn post(path: impl Into<String>) -> Self {
        Self::new(Method::POST, path.into())
    }

    /// Sets.
    pub fn put(path: impl Into<String>) -> Self {
        Self::new(Method::PUT, path.into())
    }

    /// Deletes.
    pub fn delete(path: impl Into<String>) -> Self {
        Self::new(Method::DELETE, path.into())
    }

    fn new(method: Method, path: String) -> Self {
        Self {
            method,
            path,
            query: Vec::new(),
            headers: HeaderMap::new(),
            body: None,
            idempotency_key: None,
        }
    }

    /// Adds a query parameter, if there is a value.
    #[must_use]
    pub fn query(mut self, name: &'static str, value: Option<impl ToString>) -> Self {
        self.query.extend(value.map(|value| (name, value.to_string())));
        self
    }

    /// Adds query parameters.
    #[must_use]
    pub fn pairs(mut self, pairs: Vec<(&'static str, String)>) -> Self {
        self.query.extend(pairs);
        self
    }

    /// Adds a body.
    #[must_use]
    pub fn json(mut self, body: serde_json::Value) -> Self {
        self.body = Some(Body::Json(body));
        self
    }

    /// Adds the fields of a form.
    #[must_use]
    pub fn form(mut self, fields: Vec<(&'static str, Secret)>) -> Self {
        self.body = Some(Body::Form(fields));
        self
    }

    /// Adds a body as it is.
    #[must_use]
    pub fn bytes(mut self, body: Bytes) -> Self {
        self.body = Some(Body::Bytes(body));
        self
    }

    /// Adds a header; one that no header can be is left out.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: &str) -> Self {
        self.headers.extend(HeaderValue::from_str(value).ok().map(|value| (name, value)));
        self
    }

    /// Whether the server, when it gets the request twice, does nothing more and answers the same.
    fn may_be_repeated(&self) -> bool {
        matches!(self.method, Method::GET | Method::PUT) || self.idempotency_key.is_some()
    }

    /// Makes the request safe to repeat.
    #[must_use]
    pub fn idempotency_key(mut self, key: Uuid) -> Self {
        self.idempotency_key = Some(key);
        self
    }
}

impl Client {
    /// Finds the server; calls nothing yet.
    pub fn new(common: &Common) -> Result<Self> {
        let server = common.find()?;
        Self::of(common.clone(), server)
    }

    /// A client of a server that is known already.
    pub fn of(common: Common, server: Server) -> Result<Self> {
        let build = |builder: reqwest::ClientBuilder| {
            let builder = builder
                .user_agent(concat!("trinity/", env!("CARGO_PKG_VERSION")))
                .connect_timeout(CONNECT_TIMEOUT)
                .redirect(redirect::Policy::none());
            // A proxy of the environment does not lead to this machine.
            let builder = if is_loopback(&server.url) { builder.no_proxy() } else { builder };
            let text = "cannot make an HTTP client";
            builder.build().map_err(|error| Error::new(Exit::Failed, format!("{text}: {error}")))
        };
        Ok(Self {
            requests: build(reqwest::Client::builder().timeout(ANSWER_TIMEOUT))?,
            streams: build(reqwest::Client::builder().read_timeout(SILENCE_MAX))?,
            common,
            server: RefCell::new(server),
        })
    }

    /// Where the server is.
    pub fn url(&self) -> String {
        self.server.borrow().url.clone()
    }

    /// Makes the call; an answer of 400 or above is an error.
    ///
    /// A read model that is behind is waited for: what was just made is shown in a moment.
    pub async fn call(&self, call: Call) -> Result<Answer> {
        let mut answer = self.call_once(&call).await;
        for _ in 0..LAG_POLLS_MAX {
            if !answer.as_ref().is_err_and(|error| error.code() == Some(LAG)) {
                break;
            }
            tokio::time::sleep(LAG_POLL).await;
            answer = self.call_once(&call).await;
        }
        answer
    }

    async fn call_once(&self, call: &Call) -> Result<Answer> {
        let response = self.send(&self.requests, call, HeaderMap::new()).await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = read_body(response).await.map_err(|error| self.unreachable(&error))?;
        if status >= 400 {
            return Err(self.refusal(status, &call.path, &body));
        }
        Ok(Answer { status, body, next: next_page(&headers) })
    }

    /// Opens a stream of server-sent events.
    pub async fn stream(&self, call: &Call, headers: HeaderMap) -> Result<Response> {
        let response = self.send(&self.streams, call, headers).await?;
        let status = response.status().as_u16();
        if status >= 400 {
            let body = read_body(response).await.map_err(|error| self.unreachable(&error))?;
            return Err(self.refusal(status, &call.path, &body));
        }
        Ok(response)
    }

    /// Reads the next part of a body.
    pub async fn chunk(&self, response: &mut Response) -> Result<Option<Bytes>> {
        response.chunk().await.map_err(|error| self.unreachable(&error))
    }

    /// Reads a whole body.
    pub async fn body(&self, response: Response) -> Result<Vec<u8>> {
        read_bytes(response).await.map_err(|error| self.unreachable(&error))
    }

    /// Reads a list that is a plain array, page after page, at most `items_max` items.
    pub async fn list(&self, call: Call, items_max: usize) -> Result<Vec<Box<RawValue>>> {
        let mut items: Vec<Box<RawValue>> = Vec::new();
        let mut next = Some(call);
        for _ in 0..PAGES_MAX {
            let Some(call) = next.take() else { break };
            let answer = self.call(call).await?;
            items.extend(answer.read::<Vec<Box<RawValue>>>()?);
            next = answer.next.filter(|_| items.len() < items_max).map(Call::get);
        }
        items.truncate(items_max);
        Ok(items)
    }

    /// Sends, and once more when the server of this machine has moved or has a new token.
    async fn send(
        &self,
        http: &reqwest::Client,
        call: &Call,
        headers: HeaderMap,
    ) -> Result<Response> {
        let first = self.request(http, call).headers(headers.clone()).send().await;
        let stale = match &first {
            Ok(response) => response.status().as_u16() == 401,
            Err(error) => error.is_connect(),
        };
        let mut sent = if stale && self.refresh() {
            self.request(http, call).headers(headers.clone()).send().await
        } else {
            first
        };
        // A connection that broke off in the middle leaves open what was done; one that was refused
        // does not, unless it is the server's restart after that.
        let mut broke_off = false;
        for repeat in 0..REPEATS_MAX {
            broke_off |= sent.as_ref().is_err_and(is_broken_off);
            if sent.is_ok() || !broke_off || !call.may_be_repeated() {
                break;
            }
            tokio::time::sleep(REPEAT_PAUSE * 2_u32.pow(repeat)).await;
            sent = self.request(http, call).headers(headers.clone()).send().await;
        }
        sent.map_err(|error| self.unreachable(&error))
    }

    /// Reads again where the server of this machine is, and says whether that is news.
    fn refresh(&self) -> bool {
        if !matches!(self.server.borrow().origin, Origin::Local(_)) {
            return false;
        }
        let Ok(found) = self.common.find() else { return false };
        let secret = |server: &Server| server.token.as_ref().map(|t| t.expose().to_owned());
        let is_news = {
            let known = self.server.borrow();
            (&known.url, secret(&known)) != (&found.url, secret(&found))
        };
        if is_news {
            self.server.replace(found);
        }
        is_news
    }

    fn request(&self, http: &reqwest::Client, call: &Call) -> RequestBuilder {
        let server = self.server.borrow();
        let mut request = http
            .request(call.method.clone(), format!("{}{}", server.url, call.path))
            .query(&call.query)
            .headers(call.headers.clone());
        if let Some(token) = &server.token {
            request = request.bearer_auth(token.expose());
        }
        if let Some(key) = call.idempotency_key {
            request = request.header("idempotency-key", key.to_string());
        }
        match &call.body {
            Some(Body::Json(body)) => request.json(body),
            Some(Body::Form(fields)) => {
                let fields: Vec<_> = fields.iter().map(|(n, value)| (n, value.expose())).collect();
                request.form(&fields)
            }
            Some(Body::Bytes(bytes)) => {
                request.header(CONTENT_TYPE, "application/octet-stream").body(bytes.clone())
            }
            None => request,
        }
    }

    fn refusal(&self, status: u16, path: &str, body: &str) -> Error {
        let error = Error::from(Problem::read(status, path, body));
        if status != 401 || error.code() == Some("wrong-credentials") {
            return error;
        }
        let server = self.server.borrow();
        match (&server.origin, &server.token) {
            (_, Some(_)) if crate::config::variable("TRINITY_TOKEN").is_some() => {
                error.hint("TRINITY_TOKEN is not valid there; unset it, or: trinity login")
            }
            (Origin::Local(data_dir), _) => {
                let folder = data_dir.display();
                error.hint(format!(
                    "the server at {} does not keep its data in {folder}",
                    server.url
                ))
            }
            _ => error.hint(format!("trinity login {}", server.url)),
        }
    }

    /// The words for a server that does not answer.
    fn unreachable(&self, error: &(dyn std::error::Error + 'static)) -> Error {
        let url = &self.server.borrow().url;
        let mut cause = error;
        while let Some(source) = cause.source() {
            cause = source;
        }
        let error = Error::new(Exit::Unreachable, format!("cannot reach {url}: {cause}"));
        if is_loopback(url) {
            error.hint("is it running? start it: trinity serve")
        } else {
            error.hint("check the URL, or name another server: trinity login URL")
        }
    }
}

impl Answer {
    /// Reads the body.
    ///
    /// # Errors
    /// When the server speaks of something else than this client expects.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T> {
        read_json(&self.body)
    }
}

/// Reads JSON of the server.
pub fn read_json<T: DeserializeOwned>(json: &str) -> Result<T> {
    serde_json::from_str(json).map_err(|error| {
        Error::new(Exit::Failed, format!("cannot understand the server's answer: {error}"))
            .hint("are server and client of the same version? trinity health, trinity --version")
    })
}

fn is_broken_off(error: &reqwest::Error) -> bool {
    error.is_request() && !error.is_connect() && !error.is_timeout()
}

#[derive(Debug, thiserror::Error)]
enum BodyError {
    #[error(transparent)]
    Http(#[from] reqwest::Error),
    #[error("the answer is longer than {ANSWER_BYTES_MAX} bytes")]
    TooLong,
}

async fn read_body(response: Response) -> Result<String, BodyError> {
    Ok(String::from_utf8_lossy(&read_bytes(response).await?).into_owned())
}

async fn read_bytes(mut response: Response) -> Result<Vec<u8>, BodyError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if bytes.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(BodyError::TooLong);
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// The path and query behind `rel="next"` of a `Link` header.
fn next_page(headers: &HeaderMap) -> Option<String> {
    let links = headers.get_all(LINK).iter().filter_map(|value| value.to_str().ok());
    let next = links
        .flat_map(|value| value.split(", "))
        .find_map(|link| link.strip_suffix(r#"; rel="next""#))?;
    let target = next.trim().strip_prefix('<')?.strip_suffix('>')?;
    Some(target.to_owned()).filter(|target| target.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next_of(link: &str) -> Option<String> {
        next_page(&HeaderMap::from_iter([(LINK, link.parse().unwrap())]))
    }

    #[test]
    fn the_next_page_is_what_the_link_header_says() {
        let link = r#"</api/executions?status=failed%2Cpending&cursor=abc>; rel="next""#;
        let expected = "/api/executions?status=failed%2Cpending&cursor=abc";
        assert_eq!(next_of(link).as_deref(), Some(expected));
        assert_eq!(next_of(r#"</a>; rel="prev", </b>; rel="next""#).as_deref(), Some("/b"));
        assert_eq!(next_of(r#"</a>; rel="prev""#), None);
    }

    #[test]
    fn a_link_to_another_server_is_not_followed() {
        assert_eq!(next_of(r#"<http://elsewhere/api>; rel="next""#), None);
    }
}
