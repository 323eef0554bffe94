//! The web interface: the files that `ui/` is built into, embedded in the binary, and which of them
//! answers which request.
//!
//! A build without them works too and says how to make them. In debug builds they are read from the
//! disk, so that a new build of the interface needs none of the server.

use std::borrow::Cow;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{Html, IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use rust_embed::RustEmbed;

/// What `scripts/ui build` makes.
#[derive(RustEmbed)]
#[folder = "ui/dist"]
struct Interface;

/// The page of a build without the interface.
const NOT_BUILT: &str = include_str!("web/not_built.html");

/// The one page; every address of the interface is read by its scripts.
const PAGE: &str = "index.html";

/// Stands in the page for the word by which its policy knows its styles.
const NONCE_PLACEHOLDER: &str = "%CSP_NONCE%";

/// How many random bytes that word is made of.
const NONCE_BYTES: usize = 16;

/// Below this folder, a name says what is in the file, so it never changes.
const HASHED: &str = "assets/";

/// What is never an address of the interface, even when a browser asks for it.
const OTHERS: [&str; 3] = ["api", "mcp", "ws"];

/// Answers whatever no route of the API does; 404 without a body where that is nothing of ours.
pub async fn serve(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    answer::<Interface>(&method, uri.path(), &headers)
}

fn answer<F: RustEmbed>(method: &Method, path: &str, headers: &HeaderMap) -> Response {
    let name = path.trim_start_matches('/');
    let is_ours = !OTHERS.contains(&name.split('/').next().unwrap_or_default());
    if !(is_ours && matches!(*method, Method::GET | Method::HEAD)) {
        return StatusCode::NOT_FOUND.into_response();
    }
    if name.is_empty() || name == PAGE {
        return page::<F>();
    }
    if let Some(file) = file::<F>(name, headers) {
        return file;
    }
    if !name.starts_with(HASHED) && wants_page(headers) {
        return page::<F>();
    }
    StatusCode::NOT_FOUND.into_response()
}

/// Whether somebody looks at an address, rather than a program asking for something.
fn wants_page(headers: &HeaderMap) -> bool {
    words(headers, &header::ACCEPT).any(|kind| kind == "text/html")
}

/// The page, which allows nothing but files of this server, and styles that know a word made for
/// this answer: the library of components writes the variables of its theme into a style element.
fn page<F: RustEmbed>() -> Response {
    let nonce = STANDARD_NO_PAD.encode(rand::random::<[u8; NONCE_BYTES]>());
    let built = F::get(PAGE).map(|file| file.data);
    let html = built.as_deref().map_or(Cow::Borrowed(NOT_BUILT), String::from_utf8_lossy);
    let html = html.replace(NONCE_PLACEHOLDER, &nonce);
    let policy = format!(
        "default-src 'self'; style-src 'self' 'nonce-{nonce}'; object-src 'none'; \
         base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    );
    let mut response = Html(html).into_response();
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    let no_store = HeaderValue::from_static("no-store");
    response.headers_mut().insert(header::CACHE_CONTROL, no_store);
    response
}

/// A file of the build, as it was compressed there if the client can read that.
fn file<F: RustEmbed>(name: &str, headers: &HeaderMap) -> Option<Response> {
    // What begins with a dot is for the build.
    let is_hidden = name.split('/').any(|part| part.starts_with('.'));
    let plain = if is_hidden { None } else { F::get(name) }?;
    let reads_gzip = words(headers, &header::ACCEPT_ENCODING).any(|coding| coding == "gzip");
    let packed = reads_gzip.then(|| F::get(&format!("{name}.gz"))).flatten();
    let is_packed = packed.is_some();
    let body = match packed.unwrap_or_else(|| plain.clone()).data {
        Cow::Borrowed(bytes) => Body::from(bytes),
        Cow::Owned(bytes) => Body::from(bytes),
    };
    let mut response = body.into_response();
    let headers = response.headers_mut();
    let kind = HeaderValue::from_str(plain.metadata.mimetype()).ok()?;
    headers.insert(header::CONTENT_TYPE, kind);
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if is_packed {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    let keep =
        if name.starts_with(HASHED) { "public, max-age=31536000, immutable" } else { "no-cache" };
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(keep));
    Some(response)
}

/// The members of a header that is a list, without what is refused by a weight of nothing.
fn words<'h>(headers: &'h HeaderMap, name: &header::HeaderName) -> impl Iterator<Item = &'h str> {
    let lists = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    lists.flat_map(|list| list.split(',')).filter_map(|member| {
        let mut parts = member.split(';').map(str::trim);
        let word = parts.next()?;
        let is_refused = parts.any(|part| matches!(part, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"));
        (!is_refused).then_some(word)
    })
}

#[cfg(test)]
mod tests;
