//! What a request says, read strictly: every refusal is a problem that names what is wrong.
//!
//! The names that a query or a body may use come from the same derive that writes the OpenAPI
//! document, so what is documented and what is taken cannot differ.

use axum::body;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::error::{ApiError, Code, FieldError};
use super::fields;
use crate::commands::ids::sha256_hex;

/// Path parameters; what cannot be read names nothing that exists.
#[derive(Debug, Clone, Copy)]
pub struct Path<T>(pub T);

impl<T, S> FromRequestParts<S> for Path<T>
where
    T: DeserializeOwned + Send,
    S: Send + Sync,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match axum::extract::Path::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(value)) => Ok(Self(value)),
            Err(_) => Err(ApiError::not_found(format_args!("resource at {}", parts.uri.path()))),
        }
    }
}

/// The query parameters of a route that changes something.
#[derive(Debug, Clone, Copy)]
pub struct Query<T>(pub T);

impl<T, S> FromRequestParts<S> for Query<T>
where
    T: DeserializeOwned + IntoParams + Send,
    S: Send + Sync,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        let query = parts.uri.query().unwrap_or_default();
        check_names(query, &names::<T>())?;
        Ok(Self(parse(query)?))
    }
}

/// The query parameters of a read: those of the route, and how fresh the answer must be.
#[derive(Debug, Clone, Copy)]
pub struct ReadQuery<T> {
    /// Those of the route.
    pub params: T,
    /// How fresh the answer must be.
    pub fresh: Fresh,
}

impl<T, S> FromRequestParts<S> for ReadQuery<T>
where
    T: DeserializeOwned + IntoParams + Send,
    S: Send + Sync,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        let query = parts.uri.query().unwrap_or_default();
        let mut known = names::<T>();
        known.extend(names::<Fresh>());
        check_names(query, &known)?;
        let fresh: Fresh = parse(query)?;
        fresh.check()?;
        Ok(Self { params: parse(query)?, fresh })
    }
}

/// The longest that a request waits for what it asks for, in milliseconds.
pub const WAIT_MS_MAX: u64 = 10_000;

/// How long a read waits for the position it asks for, unless it says so, in milliseconds.
pub const WAIT_MS_DEFAULT: u64 = 2_000;

/// How fresh the answer to a read must be.
#[derive(Debug, Clone, Copy, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Fresh {
    /// Answer with what holds at this position of the log or later; 503 when that takes too long.
    #[param(minimum = 0)]
    pub min_position: Option<i64>,
    /// How long to wait for it, in milliseconds; 2000 when left out.
    #[param(maximum = 10000)]
    pub wait_ms: Option<u64>,
}

impl Fresh {
    pub(super) fn check(&self) -> Result<(), ApiError> {
        if self.min_position.is_some_and(|position| position < 0) {
            return Err(ApiError::parameter("min_position", "min_position is 0 or more"));
        }
        check_wait_ms(self.wait_ms)
    }

    /// How long the read waits, in milliseconds.
    pub fn wait_ms(&self) -> u64 {
        self.wait_ms.unwrap_or(WAIT_MS_DEFAULT)
    }
}

/// Refuses to wait longer than is good for either side.
pub fn check_wait_ms(wait_ms: Option<u64>) -> Result<(), ApiError> {
    match wait_ms {
        Some(wait_ms) if wait_ms > WAIT_MS_MAX => Err(ApiError::parameter(
            "wait_ms",
            format!("wait_ms is {wait_ms}; it must be 0 to {WAIT_MS_MAX}"),
        )),
        _ => Ok(()),
    }
}

/// From here on a float stands for more than one integer.
const WHOLE_BELOW: f64 = 9_007_199_254_740_992.0;

/// A query without parameters of its own.
#[derive(Debug, Clone, Copy, Default, Deserialize, IntoParams)]
pub struct NoParams {}

/// A body that may hold nothing.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NoFields {}

impl Fields for NoFields {}

/// What may stand in a body beside its documented fields.
pub trait Fields {
    /// Fields of older clients: taken without effect, and answered with a `Warning`.
    const LEGACY: &'static [&'static str] = &[];
}

/// A JSON body; one without any byte counts as `{}`.
#[derive(Debug, Clone)]
pub struct Body<T> {
    /// What it says.
    pub value: T,
    /// Fields that were there without effect.
    pub legacy: Vec<&'static str>,
    /// SHA-256 of the body, whatever the order and the spacing of its fields.
    pub sha256: String,
}

impl<T, S> FromRequest<S> for Body<T>
where
    T: DeserializeOwned + ToSchema + Fields,
    S: Send + Sync,
{
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let has_other_type = !is_type(request.headers(), "application/json");
        let bytes = read(request, state).await?;
        if has_other_type && !bytes.is_empty() {
            let detail = "the body must be JSON, with Content-Type: application/json";
            return Err(ApiError::new(Code::UnsupportedMediaType, detail));
        }
        let mut value = json(&bytes)?;
        let sha256 = sha256_hex(value.to_string());
        let legacy = fields::take_legacy(&mut value, T::LEGACY);
        fields::check::<T>(&value)?;
        let value = serde_path_to_error::deserialize(value).map_err(|error| {
            let pointer = fields::pointer(error.path());
            ApiError::field(&pointer, format!("{}: {}", error.path(), error.inner()))
        })?;
        Ok(Self { value, legacy, sha256 })
    }
}

/// A body as a form, for the one route that OAuth clients know as one.
#[derive(Debug, Clone)]
pub struct Form<T>(pub T);

impl<T, S> FromRequest<S> for Form<T>
where
    T: DeserializeOwned + ToSchema,
    S: Send + Sync,
{
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        if !is_type(request.headers(), "application/x-www-form-urlencoded") {
            let detail = "the body must be a form: Content-Type: application/x-www-form-urlencoded";
            return Err(ApiError::new(Code::UnsupportedMediaType, detail));
        }
        let bytes = read(request, state).await?;
        let pairs = form_urlencoded::parse(&bytes);
        let object = pairs.map(|(name, text)| (name.into_owned(), Value::from(text.into_owned())));
        let value = Value::Object(object.collect());
        fields::check::<T>(&value)?;
        let read = serde_path_to_error::deserialize(value);
        let invalid = |error: serde_path_to_error::Error<serde_json::Error>| {
            ApiError::field(&fields::pointer(error.path()), error.into_inner().to_string())
        };
        read.map(Self).map_err(invalid)
    }
}

/// A body as it is, whatever its type.
#[derive(Debug, Clone)]
pub struct Bytes(pub body::Bytes);

impl<S: Send + Sync> FromRequest<S> for Bytes {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        read(request, state).await.map(Self)
    }
}

async fn read<S: Send + Sync>(request: Request, state: &S) -> Result<body::Bytes, ApiError> {
    let path = request.uri().path().to_owned();
    body::Bytes::from_request(request, state).await.map_err(|rejection| {
        if rejection.status() == axum::http::StatusCode::PAYLOAD_TOO_LARGE {
            let detail = format!("the body is larger than {path} takes");
            ApiError::new(Code::BodyTooLarge, detail)
        } else {
            ApiError::new(Code::MalformedBody, "the body ended before its announced length")
        }
    })
}

fn json(bytes: &[u8]) -> Result<Value, ApiError> {
    if bytes.is_empty() {
        return Ok(Value::Object(serde_json::Map::new()));
    }
    let mut value = serde_json::from_slice(bytes).map_err(|error| {
        ApiError::new(Code::MalformedBody, format!("the body is not JSON: {error}"))
    })?;
    make_whole(&mut value);
    Ok(value)
}

/// Writes every number without a fraction as an integer: to a JSON Schema `15.0` is one, and clients
/// whose language has one kind of number may send it so.
fn make_whole(value: &mut Value) {
    match value {
        Value::Number(number) if number.is_f64() => {
            let whole = number.as_f64().filter(|n| n.fract() == 0.0 && n.abs() < WHOLE_BELOW);
            // Far within what an i64 holds.
            if let Some(whole) = whole.and_then(|whole| format!("{whole:.0}").parse::<i64>().ok()) {
                *value = whole.into();
            }
        }
        Value::Array(items) => items.iter_mut().for_each(make_whole),
        Value::Object(fields) => fields.values_mut().for_each(make_whole),
        _ => {}
    }
}

/// Whether the body is of that type, or says nothing about its type.
fn is_type(headers: &HeaderMap, expected: &str) -> bool {
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return true };
    let essence = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    let is_json_suffix = expected.ends_with("json") && essence.ends_with("+json");
    essence.eq_ignore_ascii_case(expected) || is_json_suffix
}

/// The names that a query may use.
pub(super) fn names<T: IntoParams>() -> Vec<String> {
    T::into_params(|| None).into_iter().map(|parameter| parameter.name).collect()
}

/// Refuses a query with other names, or with a NUL in it.
pub(super) fn check_names(query: &str, known: &[String]) -> Result<(), ApiError> {
    let mut errors = Vec::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        if !known.iter().any(|known| *known == name) {
            let detail = format!("unknown query parameter `{name}`{}", fields::hint(&name, known));
            let pointer = format!("?{name}");
            errors.push(FieldError { pointer, code: Code::UnknownParameter, detail });
        } else if value.contains('\0') {
            return Err(ApiError::parameter(&name, format!("{name} contains a NUL character")));
        }
    }
    match errors.first() {
        None => Ok(()),
        Some(first) => {
            let error = ApiError::new(Code::UnknownParameter, first.detail.clone());
            Err(error.with_errors(errors))
        }
    }
}

/// Reads those parameters of a query that `T` has.
pub(super) fn parse<T: DeserializeOwned>(query: &str) -> Result<T, ApiError> {
    let pairs = form_urlencoded::parse(query.as_bytes());
    let deserializer = serde_urlencoded::Deserializer::new(pairs);
    serde_path_to_error::deserialize(deserializer).map_err(|error| {
        let name = error.path().to_string();
        let detail = format!("{name}: {}", error.inner());
        ApiError::parameter(&name, detail)
    })
}
