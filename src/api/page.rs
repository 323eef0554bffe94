//! Pages of lists: limits, and the `Link` header of lists that are plain arrays.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderValue, Uri};
use serde::de::DeserializeOwned;
use utoipa::IntoParams;

use super::error::{ApiError, Result};
use super::extract::{Fresh, check_names, names, parse};
use crate::projections::{LIMIT_DEFAULT, LIMIT_MAX};

/// The query of a list: its filter, which others may share, and what else the route takes.
#[derive(Debug, Clone, Copy)]
pub struct ListQuery<F, P> {
    /// Which rows are wanted.
    pub filter: F,
    /// Which of them, and what else the route takes.
    pub params: P,
    /// How fresh the answer must be.
    pub fresh: Fresh,
}

impl<F, P, S> FromRequestParts<S> for ListQuery<F, P>
where
    F: DeserializeOwned + IntoParams + Send,
    P: DeserializeOwned + IntoParams + Send,
    S: Send + Sync,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self> {
        let query = parts.uri.query().unwrap_or_default();
        let mut known = names::<F>();
        known.extend(names::<P>());
        known.extend(names::<Fresh>());
        check_names(query, &known)?;
        let fresh: Fresh = parse(query)?;
        fresh.check()?;
        Ok(Self { filter: parse(query)?, params: parse(query)?, fresh })
    }
}

/// The `limit` of a query, within its bounds.
pub fn limit(asked: Option<u32>) -> Result<usize> {
    let limit = asked.unwrap_or(LIMIT_DEFAULT);
    if (1..=LIMIT_MAX).contains(&limit) {
        Ok(usize::try_from(limit).unwrap_or(usize::MAX))
    } else {
        let detail = format!("limit is {limit}; it must be 1 to {LIMIT_MAX}");
        Err(ApiError::parameter("limit", detail))
    }
}

/// The `Link` header that leads to the next page of a plain array.
pub fn next_link(uri: &Uri, cursor: &str) -> Option<HeaderValue> {
    next_link_to(uri, "cursor", cursor)
}

/// The `Link` header to the same with another value of the parameter that says where it begins.
pub fn next_link_to(uri: &Uri, parameter: &str, place: &str) -> Option<HeaderValue> {
    let of_this_page = [parameter, "min_position", "wait_ms"];
    let kept = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes())
        .filter(|(name, _)| !of_this_page.contains(&name.as_ref()));
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(kept).append_pair(parameter, place);
    HeaderValue::from_str(&format!("<{}?{}>; rel=\"next\"", uri.path(), query.finish())).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::api::error::Code;

    fn code<T: std::fmt::Debug>(result: Result<T>) -> Code {
        result.unwrap_err().code()
    }

    #[test]
    fn limits_have_bounds() {
        assert_eq!(limit(None).unwrap(), 50);
        assert_eq!(limit(Some(1_000)).unwrap(), 1_000);
        assert_eq!(code(limit(Some(0))), Code::InvalidParameter);
        assert_eq!(code(limit(Some(1_001))), Code::InvalidParameter);
    }

    #[test]
    fn the_next_link_keeps_the_filter_and_replaces_the_cursor() {
        let uri: Uri = "/api/executions?status=a%2Cb&cursor=old&min_position=4".parse().unwrap();
        let link = next_link(&uri, "new").unwrap();
        let expected = "</api/executions?status=a%2Cb&cursor=new>; rel=\"next\"";
        assert_eq!(link.to_str().unwrap(), expected);
    }
}
