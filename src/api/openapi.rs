//! The description of the API: made from the handlers, completed with what holds for all of them.

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use utoipa::openapi::path::{Operation, Parameter};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{
    Components, ContentBuilder, Header, HeaderBuilder, InfoBuilder, OpenApi, Ref, RefOr,
    Response as Described, ResponseBuilder,
};
use utoipa::{PartialSchema as _, ToSchema as _};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ApiState;
use super::auth::{Level, SESSION_COOKIE, level};
use super::error::{PROBLEM_JSON, Problem};
use super::extract::{NoParams, Query};

/// What says nothing of the log, and so has no position: how the server is, what it can do, who logs in.
const PLACELESS: &[&str] = &[
    "/livez",
    "/readyz",
    "/metrics",
    "/token",
    "/api/token",
    "/api/openapi.json",
    "/api/docs",
    "/api/docs/{file}",
    "/api/setup/status",
];

/// Reads that name the version of the agent, and hold what moves without it: a condition on one would
/// promise too much.
const VERSIONED: &[&str] =
    &["/api/agents/{name}/credentials/status", "/api/agents/{name}/mcp-servers"];

/// The routes of this resource.
pub(super) fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(show))
}

/// Describes this API in OpenAPI 3.1.
#[utoipa::path(
    get, path = "/api/openapi.json", tag = "health",
    responses((status = 200, body = Object)),
)]
async fn show(State(state): State<ApiState>, _query: Query<NoParams>) -> Response {
    let json = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, json)], state.openapi.to_string()).into_response()
}

/// Adds what no handler says of itself: who may call it, and how refusals look.
pub(super) fn complete(mut api: OpenApi) -> OpenApi {
    let description = "Runs fleets of autonomous AI agents. Every change is an event in one log; \
                       a write answers with its `position`, a read takes `min_position`.";
    api.info = InfoBuilder::new()
        .title("Trinity")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(description))
        .build();
    let components = api.components.get_or_insert_with(Components::new);
    let mut schemas = Vec::new();
    Problem::schemas(&mut schemas);
    components.schemas.extend(schemas);
    components.schemas.insert(Problem::name().into_owned(), Problem::schema());
    let bearer = Http::builder().scheme(HttpAuthScheme::Bearer).build();
    components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
    let cookie = ApiKey::Cookie(ApiKeyValue::new(SESSION_COOKIE));
    components.add_security_scheme("cookie", SecurityScheme::ApiKey(cookie));
    components.responses.insert("Problem".to_owned(), RefOr::T(problem()));
    for (path, item) in &mut api.paths.paths {
        let operations = [
            ("GET", &mut item.get),
            ("POST", &mut item.post),
            ("PUT", &mut item.put),
            ("DELETE", &mut item.delete),
        ];
        for (method, operation) in operations {
            if let Some(operation) = operation {
                operation.operation_id = Some(operation_id(method, path));
                complete_operation(operation, method, path);
            }
        }
    }
    api
}

/// A name for generated clients, such as `get_agents_by_name_queue`.
fn operation_id(method: &str, path: &str) -> String {
    let below = path.strip_prefix("/api/").unwrap_or(path);
    let words = below.split('/').map(|segment| {
        let parameter = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
        match parameter {
            Some(parameter) => format!("by_{parameter}"),
            None => segment.replace(['-', '.'], "_"),
        }
    });
    let words: Vec<String> = words.filter(|word| !word.is_empty()).collect();
    let root = if path.starts_with("/api/") { "" } else { "root_" };
    format!("{}_{root}{}", method.to_lowercase(), words.join("_"))
}

fn complete_operation(operation: &mut Operation, method: &str, path: &str) {
    let word = match level(method, path) {
        None | Some(Level::Open) => None,
        Some(Level::Auth) => Some("auth"),
        Some(Level::Access) => Some("access"),
        Some(Level::Inside) => Some("inside"),
        Some(Level::Operator) => Some("operator"),
        Some(Level::Owner) => Some("owner"),
        Some(Level::Admin) => Some("admin"),
    };
    operation.security = Some(match word {
        None => Vec::new(),
        Some(word) => {
            ["bearer", "cookie"].map(|scheme| SecurityRequirement::new(scheme, [word])).to_vec()
        }
    });
    let takes = |name: &str| {
        let is_it = |parameter: &RefOr<Parameter>| match parameter {
            RefOr::T(parameter) => parameter.name == name,
            RefOr::Ref(_) => false,
        };
        operation.parameters.iter().flatten().any(is_it)
    };
    let is_conditional_read = method == "GET" && takes("If-None-Match");
    let is_conditional_write = takes("If-Match");
    for (status, response) in &mut operation.responses.responses {
        if let RefOr::T(response) = response
            && response.description.is_empty()
        {
            in_words(status).clone_into(&mut response.description);
        }
        if let (true, RefOr::T(response)) = (status.starts_with('2'), response) {
            // A stream says it in its frames.
            let is_stream = response.content.contains_key("text/event-stream");
            if !is_stream && !PLACELESS.contains(&path) {
                response.headers.insert("Position".to_owned(), RefOr::T(position_header()));
            }
            let is_versioned = VERSIONED.contains(&path);
            if is_conditional_read || is_conditional_write || is_versioned {
                response.headers.insert("ETag".to_owned(), RefOr::T(etag_header()));
            }
        }
    }
    if is_conditional_read {
        let description = "The caller has this version already";
        let response = ResponseBuilder::new().description(description).build();
        operation.responses.responses.insert("304".to_owned(), RefOr::T(response));
    }
    let problem = RefOr::Ref(Ref::from_response_name("Problem"));
    operation.responses.responses.insert("default".to_owned(), problem);
}

/// What a status says; OpenAPI has no response without a description.
fn in_words(status: &str) -> &'static str {
    let status = status.parse().ok().and_then(|code| StatusCode::from_u16(code).ok());
    status.and_then(|status| status.canonical_reason()).unwrap_or("An answer")
}

fn position_header() -> Header {
    HeaderBuilder::new()
        .schema(Some(i64::schema()))
        .description(Some("The position of the log at which the answer holds"))
        .build()
}

fn etag_header() -> Header {
    HeaderBuilder::new()
        .schema(Some(String::schema()))
        .description(Some("The version of what is shown, such as `\"v17\"`, for `If-Match`"))
        .build()
}

fn problem() -> Described {
    let schema = RefOr::Ref(Ref::from_schema_name(Problem::name()));
    let content = ContentBuilder::new().schema(Some(schema)).build();
    ResponseBuilder::new()
        .description("What went wrong, and what to do about it")
        .content(PROBLEM_JSON, content)
        .build()
}
