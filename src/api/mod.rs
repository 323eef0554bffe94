//! The HTTP API: one file per resource, one place that authorizes, one form of errors.
//!
//! A resource file has its query and body types, its answers, then its handlers. A new one is a
//! file, a line in `routes`, a row in the table of `auth/access.rs`, and a row in the authorization
//! tests.

mod activities;
mod agents;
pub mod auth;
mod avatar;
mod credentials;
mod docs;
mod error;
mod etag;
mod events;
pub mod executions;
mod extract;
mod fields;
mod files;
mod frames;
mod git;
mod headers;
mod health;
mod host;
mod idempotency;
mod inside;
mod keys;
mod mcp_servers;
mod metrics;
mod moment;
mod openapi;
mod page;
mod permissions;
mod rates;
mod rebuild;
mod refusals;
mod replay;
mod reply;
mod request_id;
mod selections;
mod setup;
mod skills;
mod sse;
mod state;
mod stream;
mod system;
mod tasks;
mod templates;
mod tokens;
mod users;
mod watchers;
mod wire;

pub use error::{ApiError, Code, Problem};
pub use events::{CAUSE_DISTANCE_MAX, SCAN_EVENTS_MAX};
pub use sse::HEARTBEAT;
pub use state::ApiState;
pub use stream::LAG_EVENTS_MAX;

use std::any::Any;
use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use crate::app::App;
use crate::web;

/// The largest body of every route that says nothing else.
const BODY_BYTES_MAX: usize = 256 << 10;

/// Every resource.
fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .merge(health::router())
        .merge(system::router())
        .merge(openapi::router())
        .merge(docs::router())
        .merge(metrics::router())
        .merge(setup::router())
        .merge(tokens::router())
        .merge(users::router())
        .merge(keys::router())
        .merge(agents::router())
        .merge(credentials::router())
        .merge(files::router())
        .merge(git::router())
        .merge(host::router())
        .merge(templates::router())
        .merge(skills::router())
        .merge(mcp_servers::router())
        .merge(avatar::router())
        .merge(tasks::router())
        .merge(executions::router())
        .merge(activities::router())
        .merge(permissions::router())
        .merge(events::router())
        .merge(rebuild::router())
        .merge(replay::router())
        .merge(stream::router())
}

/// The description of the API.
pub fn openapi() -> OpenApi {
    openapi::complete(routes().into_openapi())
}

/// The API of this server, and the web interface where it has no route.
pub fn router(app: Arc<App>) -> Router {
    let description = openapi().to_json().unwrap_or_else(|error| {
        tracing::error!(%error, "the API has no description");
        "{}".to_owned()
    });
    let state = ApiState::new(app, description);
    let (routes, _) = routes().split_for_parts();
    routes
        .route_layer(from_fn_with_state(state.clone(), auth::authorize))
        .fallback(web::serve)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn(error::render))
        .layer(from_fn(headers::secure))
        .layer(from_fn(request_id::assign))
        .with_state(state)
}

#[expect(clippy::needless_pass_by_value, reason = "the layer hands the panic over")]
fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no text");
    ApiError::internal(&anyhow::anyhow!("a handler panicked: {text}")).into_response()
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::{Request, StatusCode};
    use axum::routing::get;
    use tower::ServiceExt as _;

    use super::*;

    /// What stands around every handler.
    fn around(routes: Router) -> Router {
        routes.layer(CatchPanicLayer::custom(panicked)).layer(from_fn(error::render))
    }

    async fn answer(routes: Router) -> (StatusCode, serde_json::Value) {
        let request = Request::get("/").body(Body::empty()).unwrap();
        let response = around(routes).oneshot(request).await.unwrap();
        let status = response.status();
        let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap())
    }

    #[tokio::test]
    async fn a_panic_is_a_problem_that_tells_nothing() {
        async fn panics() {
            panic!("secret");
        }
        let (status, problem) = answer(Router::new().route("/", get(panics))).await;
        assert_eq!(
            (status, &problem["code"]),
            (StatusCode::INTERNAL_SERVER_ERROR, &"internal".into())
        );
        assert!(!problem.to_string().contains("secret"), "{problem}");
    }

    #[tokio::test]
    async fn whatever_the_framework_refuses_is_a_problem_too() {
        async fn teapot() -> (StatusCode, &'static str) {
            (StatusCode::IM_A_TEAPOT, "plain text")
        }
        let (status, problem) = answer(Router::new().route("/", get(teapot))).await;
        assert_eq!((status.as_u16(), &problem["status"]), (418, &418.into()));
        assert_eq!(problem["code"], "malformed-request");
    }

    #[test]
    fn every_documented_route_has_a_row_in_the_access_table_and_the_reverse() {
        let api = openapi();
        let mut rows = 0;
        for (path, item) in &api.paths.paths {
            let operations = [
                ("GET", &item.get),
                ("POST", &item.post),
                ("PUT", &item.put),
                ("DELETE", &item.delete),
            ];
            for (method, operation) in operations {
                assert_eq!(
                    operation.is_some(),
                    auth::level(method, path).is_some(),
                    "{method} {path}"
                );
                rows += usize::from(operation.is_some());
            }
        }
        assert_eq!(rows, auth::TABLE.len());
    }
}
