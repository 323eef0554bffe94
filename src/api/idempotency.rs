//! The header `Idempotency-Key`.

use axum::http::HeaderMap;
use utoipa::IntoParams;

use super::ApiState;
use super::error::{ApiError, Code, Result};
use crate::clock;
use crate::commands::accounts::random_text;
use crate::commands::ids::IdempotencyKey;
use crate::commands::tasks::SubmitError;
use crate::state::claims::Claim;

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

/// A request under a key, claimed for its body.
#[derive(Debug, Clone)]
pub struct Claimed<'a> {
    key: IdempotencyKey<'a>,
    salt: String,
    /// Whether the same request came before.
    pub is_repeat: bool,
}

impl Claimed<'_> {
    /// The id of the command that does it, whichever of the requests carries it out.
    pub fn command_id(&self) -> String {
        self.key.id().to_string()
    }

    /// 32 bytes that are the same for each repeat and that nobody else can know.
    pub fn secret(&self) -> [u8; 32] {
        self.key.secret(&self.salt)
    }
}

/// Claims the key for this body, where what is made does not have its id from the key.
///
/// # Errors
/// 422 when the key came with another body before.
pub async fn claim<'a>(
    state: &ApiState,
    key: Option<IdempotencyKey<'a>>,
    body_sha256: &str,
) -> Result<Option<Claimed<'a>>> {
    let Some(key) = key else { return Ok(None) };
    let drawn = random_text();
    let fingerprint = key.fingerprint(body_sha256);
    let claims = &state.app.state.claims;
    let (salt, is_repeat) = match claims.claim(key.id(), &fingerprint, &drawn, clock::now()).await?
    {
        Claim::New => (drawn, false),
        Claim::Repeated { salt } => (salt, true),
        Claim::Taken => return Err(SubmitError::KeyReused.into()),
    };
    Ok(Some(Claimed { key, salt, is_repeat }))
}
