//! The header `Idempotency-Key`.

use axum::http::HeaderMap;
use utoipa::IntoParams;

use super::error::{ApiError, Code, Result};
use crate::commands::ids::IdempotencyKey;

/// The longest key, in bytes.
pub const KEY_BYTES_MAX: usize = 255;

const NAME: &str = "idempotency-key";

/// The header as documented.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "only its description is used")]
pub struct Header {
    /// Names this request: one with the same key and body is done once, and answered alike.
    #[param(rename = "Idempotency-Key", max_length = 255)]
    idempotency_key: Option<String>,
}

/// The key of a request, if it has one.
///
/// # Errors
/// 400 for an empty or over-long key.
pub fn key<'a>(
    headers: &'a HeaderMap,
    caller: &'a str,
    route: &'a str,
) -> Result<Option<IdempotencyKey<'a>>> {
    let Some(value) = headers.get(NAME) else { return Ok(None) };
    let key = value.to_str().ok().filter(|key| (1..=KEY_BYTES_MAX).contains(&key.len()));
    let key = key.ok_or_else(|| {
        let detail = format!("Idempotency-Key must have 1 to {KEY_BYTES_MAX} printable characters");
        ApiError::new(Code::MalformedRequest, detail)
    })?;
    Ok(Some(IdempotencyKey { caller, route, key }))
}
