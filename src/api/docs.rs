//! The description of the API, to read and try in a browser: Swagger UI, embedded, so that it needs
//! no network but this server.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use utoipa_swagger_ui::Config;

use super::ApiState;
use super::error::{ApiError, Result};
use super::extract::{NoParams, Path, Query};

const PAGE: &str = include_str!("docs.html");
const START: &str = include_str!("docs.js");

/// What the page loads of the viewer; the rest of it stays unreachable.
const FILES: [&str; 3] = ["swagger-ui-bundle.js", "swagger-ui.css", "favicon-32x32.png"];

/// Everything comes from this server. The viewer sets styles on its elements and draws icons from
/// `data:` URLs; scripts come from files alone.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
     img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'",
);

/// How long a browser keeps the files of the viewer.
const KEEP: HeaderValue = HeaderValue::from_static("public, max-age=3600");

/// The routes of this resource.
pub(super) fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(page)).routes(routes!(file))
}

/// Shows this description to people.
#[utoipa::path(
    get, path = "/api/docs", tag = "health",
    responses((status = 200, body = String, content_type = "text/html")),
)]
async fn page(_query: Query<NoParams>) -> Response {
    let html = HeaderValue::from_static("text/html; charset=utf-8");
    ([(header::CONTENT_TYPE, html), (header::CONTENT_SECURITY_POLICY, POLICY)], PAGE)
        .into_response()
}

/// Gives a file that the page of `/api/docs` is made of.
#[utoipa::path(
    get, path = "/api/docs/{file}", tag = "health",
    params(("file" = String, Path, description = "Its name")),
    responses((status = 200, content(
        (String = "text/javascript"), (String = "text/css"), (String = "image/png"),
    ))),
)]
async fn file(Path(name): Path<String>, _query: Query<NoParams>) -> Result<Response> {
    if name == "start.js" {
        return Ok(answer("text/javascript", Body::from(START)));
    }
    let not_found = || ApiError::not_found(format_args!("file `{name}`"));
    let known = FILES.into_iter().find(|known| *known == name).ok_or_else(not_found)?;
    let found = utoipa_swagger_ui::serve(known, Arc::new(Config::from("/api/openapi.json")));
    let found = found.map_err(|error| {
        ApiError::internal(&anyhow::anyhow!("cannot read the viewer's {known}: {error}"))
    })?;
    let found = found.ok_or_else(not_found)?;
    let mut response = answer(&found.content_type, Body::from(found.bytes.into_owned()));
    if found.gzpipped {
        let gzip = HeaderValue::from_static("gzip");
        response.headers_mut().insert(header::CONTENT_ENCODING, gzip);
    }
    Ok(response)
}

fn answer(kind: &str, body: Body) -> Response {
    let mut response = body.into_response();
    let headers = response.headers_mut();
    if let Ok(kind) = HeaderValue::from_str(kind) {
        headers.insert(header::CONTENT_TYPE, kind);
    }
    headers.insert(header::CACHE_CONTROL, KEEP);
    response
}
