//! The headers `ETag`, `If-Match` and `If-None-Match`: which version of an agent is meant.
//!
//! The version is that of the agent's own stream. What changes with its slots or its runs does not
//! move it.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, header};
use utoipa::IntoParams;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::{PartialSchema as _, openapi::Required};

use super::auth::OnAgent;
use crate::commands::{Expected, Target};

/// The name of a version, such as `"v17"`.
pub fn text(version: i64) -> String {
    format!("\"v{version}\"")
}

/// The condition of a request that changes an agent: only if it is still as the caller knows it.
#[derive(Debug, Clone, Default)]
pub struct IfMatch(Expected);

impl IfMatch {
    /// The agent of the request, as the caller has it in mind.
    pub fn target(self, on: &OnAgent) -> Target {
        Target { life: on.life.clone(), expected: self.0 }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        let Some(listed) = listed(&parts.headers, &header::IF_MATCH) else {
            return Ok(Self::default());
        };
        if listed.iter().any(|tag| tag == "*") {
            return Ok(Self::default());
        }
        // A weak tag, or one that is not ours, is the name of no version.
        Ok(Self(Expected::OneOf(listed.iter().filter_map(|tag| version(tag)).collect())))
    }
}

impl IntoParams for IfMatch {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let description = "Do it only if the agent is still at this version, as `ETag` named it; \
                           412 when it is not";
        vec![parameter("If-Match", description)]
    }
}

/// The condition of a read: only if there is something new.
#[derive(Debug, Clone, Default)]
pub struct IfNoneMatch(Vec<String>);

impl IfNoneMatch {
    /// Whether the caller has this version already.
    pub fn has(&self, version: i64) -> bool {
        let text = text(version);
        self.0.iter().any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == text)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for IfNoneMatch {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(Self(listed(&parts.headers, &header::IF_NONE_MATCH).unwrap_or_default()))
    }
}

impl IntoParams for IfNoneMatch {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let description = "Answer 304 without a body if the agent is still at this version";
        vec![parameter("If-None-Match", description)]
    }
}

fn parameter(name: &str, description: &str) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(description))
        .schema(Some(String::schema()))
        .build()
}

/// The tags of a header, if it is there.
fn listed(headers: &HeaderMap, name: &HeaderName) -> Option<Vec<String>> {
    let mut values = headers.get_all(name).iter().peekable();
    values.peek()?;
    let texts = values.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    Some(texts.flat_map(|text| split(&text)).collect())
}

fn split(text: &str) -> Vec<String> {
    text.split(',').map(|tag| tag.trim().to_owned()).filter(|tag| !tag.is_empty()).collect()
}

fn version(tag: &str) -> Option<i64> {
    tag.strip_prefix("\"v")?.strip_suffix('"')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn if_match(value: &str) -> Expected {
        let request = axum::http::Request::builder().header("if-match", value).body(()).unwrap();
        IfMatch::from_request_parts(&mut request.into_parts().0, &()).await.unwrap().0
    }

    #[tokio::test]
    async fn a_condition_names_versions_and_nothing_else_meets_it() {
        assert_eq!(if_match("*").await, Expected::Any);
        assert_eq!(if_match("\"v17\"").await, Expected::OneOf(vec![17]));
        assert_eq!(if_match("\"v1\" , \"v2\"").await, Expected::OneOf(vec![1, 2]));
        for never in ["W/\"v17\"", "v17", "\"17\"", "nonsense", ""] {
            assert_eq!(if_match(never).await, Expected::OneOf(vec![]), "{never}");
        }
    }

    #[test]
    fn a_read_knows_its_version_however_weakly_it_is_named() {
        let tags = |text: &str| IfNoneMatch(split(text));
        assert!(tags("\"v17\"").has(17) && tags("W/\"v17\"").has(17) && tags("*").has(1));
        assert!(!tags("\"v16\"").has(17) && !tags("").has(17));
    }
}
