//! The picture of an agent: a small image, kept beside the log, which holds its digest. What the log names
//! is shown, so that a change that is refused shows nothing else.

use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouterExt as _};
use utoipa_axum::routes;

use super::ApiState;
use super::agents::{Current, current};
use super::auth::{Caller, OnAgent};
use super::error::{ApiError, Code, Result};
use super::etag::IfMatch;
use super::extract::{Bytes, Fresh, NoParams, Query, ReadQuery};
use super::reply::{POSITION, Reply};
use crate::commands::{Target, agents, ids};
use crate::domain::AgentName;
use crate::domain::agent::{Agent, Phase, Setting};
use crate::event_log::{ExecuteError, Receipt};
use crate::state::avatars::{Avatar, IMAGE_BYTES_MAX};

/// How often a picture is looked for that was replaced meanwhile.
const LOOKS_MAX: usize = 3;

/// A picture is shown as such and never as a page, whatever is in it.
const POLICY: HeaderValue = HeaderValue::from_static("default-src 'none'; sandbox");

/// A browser asks each time whether it is still the same.
const CACHING: HeaderValue = HeaderValue::from_static("private, no-cache");

/// The bytes of an image.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary)]
#[expect(dead_code, reason = "it describes a body, which is read as it comes")]
struct Image(Vec<u8>);

/// What has become of an agent's picture.
#[derive(Debug, Serialize, ToSchema)]
struct AvatarSetting {
    #[schema(value_type = String)]
    agent_name: AgentName,
    /// The digest of the picture; null when there is none.
    #[schema(required = true)]
    avatar_sha256: Option<String>,
    position: i64,
}

/// The routes of this resource.
pub(super) fn router() -> OpenApiRouter<ApiState> {
    let limit = DefaultBodyLimit::max(IMAGE_BYTES_MAX);
    OpenApiRouter::new().routes(routes!(show, remove)).routes(routes!(set).layer(limit))
}

/// Shows the picture of an agent; 404 when it has none.
#[utoipa::path(
    get, path = "/api/agents/{name}/avatar", tag = "agents",
    params(("name" = String, Path, description = "The agent's name"), Fresh),
    responses((
        status = 200, body = Image, content_type = "image/*",
        headers(("ETag" = String, description = "The digest of the picture")),
    )),
)]
async fn show(
    State(state): State<ApiState>,
    on: OnAgent,
    headers: HeaderMap,
    query: ReadQuery<NoParams>,
) -> Result<Response> {
    let (avatar, position) = find(&state, &on, query.fresh).await?;
    let etag = format!("\"{}\"", avatar.sha256);
    let all = [
        (header::ETAG, header_value(&etag)?),
        (header::CACHE_CONTROL, CACHING),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (POSITION, HeaderValue::from(position)),
    ];
    let known = headers.get_all(header::IF_NONE_MATCH).iter();
    let mut known = known.filter_map(|value| value.to_str().ok()).flat_map(|tags| tags.split(','));
    if known.any(|tag| tag.trim().trim_start_matches("W/") == etag) {
        return Ok((StatusCode::NOT_MODIFIED, all).into_response());
    }
    let content_type = header_value(&avatar.content_type)?;
    Ok((all, [(header::CONTENT_TYPE, content_type)], avatar.image).into_response())
}

/// The picture that the log names; another one may take its place while it is looked for.
async fn find(state: &ApiState, on: &OnAgent, fresh: Fresh) -> Result<(Avatar, i64)> {
    for _ in 0..LOOKS_MAX {
        let Current { life, position, .. } = current(state, on, fresh).await?;
        let Some(sha256) = life.avatar_sha256 else { break };
        let avatar = state.app.state.avatars.get(on.life.incarnation.0, &sha256).await?;
        if let Some(avatar) = avatar {
            return Ok((avatar, position));
        }
    }
    Err(ApiError::not_found(format_args!("picture of agent `{}`", on.life.name)))
}

fn header_value(text: &str) -> Result<HeaderValue> {
    HeaderValue::from_str(text).map_err(|error| ApiError::internal(&error.into()))
}

/// Sets the picture of an agent: a PNG, JPEG, GIF or WebP image of at most 256 KiB.
///
/// The body is the image; what it is tells its content, not its type.
#[utoipa::path(
    put, path = "/api/agents/{name}/avatar", tag = "agents",
    params(("name" = String, Path, description = "The agent's name"), IfMatch),
    request_body(content = Image, content_type = "image/*"),
    responses((status = 200, body = AvatarSetting)),
)]
async fn set(
    State(state): State<ApiState>,
    caller: Caller,
    on: OnAgent,
    if_match: IfMatch,
    _query: Query<NoParams>,
    Bytes(image): Bytes,
) -> Result<Reply<AvatarSetting>> {
    let Some(content_type) = content_type(&image) else {
        let detail = "the body is no PNG, JPEG, GIF or WebP image";
        return Err(ApiError::new(Code::UnsupportedMediaType, detail));
    };
    let avatar = Avatar {
        sha256: ids::sha256_hex(&image),
        content_type: content_type.to_owned(),
        image: image.into(),
    };
    change(&state, &caller, &on, if_match, Some(avatar)).await
}

/// Removes the picture of an agent, if there is one.
#[utoipa::path(
    delete, path = "/api/agents/{name}/avatar", tag = "agents",
    params(("name" = String, Path, description = "The agent's name"), IfMatch),
    responses((status = 200, body = AvatarSetting)),
)]
async fn remove(
    State(state): State<ApiState>,
    caller: Caller,
    on: OnAgent,
    if_match: IfMatch,
    _query: Query<NoParams>,
) -> Result<Reply<AvatarSetting>> {
    change(&state, &caller, &on, if_match, None).await
}

/// Keeps the picture, or none, and records which.
async fn change(
    state: &ApiState,
    caller: &Caller,
    on: &OnAgent,
    if_match: IfMatch,
    avatar: Option<Avatar>,
) -> Result<Reply<AvatarSetting>> {
    on.current()?;
    let (log, avatars) = (&state.app.log, &state.app.state.avatars);
    let (target, incarnation): (Target, _) = (if_match.target(on), on.life.incarnation.0);
    let _alone = state.app.vault.alone(incarnation).await;
    // Nothing is kept for whom it would be refused.
    agents::check(log, target.clone(), caller.metadata()).await?;
    let sha256 = avatar.as_ref().map(|avatar| avatar.sha256.clone());
    if let Some(avatar) = &avatar {
        avatars.keep(incarnation, avatar.clone()).await?;
    }
    let setting = Setting::SetAvatar { sha256: sha256.clone() };
    let recorded = agents::set(log, target, setting, caller.metadata()).await;
    if let (Ok(_), Some(avatar)) = (&recorded, avatar) {
        // Another node may have taken it away before the log named it.
        avatars.keep(incarnation, avatar).await?;
    }
    // Where nobody knows whether it was recorded, both stay.
    if matches!(recorded, Ok(_) | Err(ExecuteError::Refused(_))) {
        remove_unnamed(state, on).await?;
    }
    let Receipt { position, version, .. } = recorded?;
    let agent_name = on.life.name.clone();
    let body = AvatarSetting { agent_name, avatar_sha256: sha256, position };
    Ok(Reply::ok(position, body).version(version))
}

/// Removes the pictures of the agent that the log does not name, or all once it is to be deleted.
async fn remove_unnamed(state: &ApiState, on: &OnAgent) -> Result<()> {
    let Agent { life, phase } = state.app.log.state::<Agent>(&on.life.name).await?.state;
    let life = life.filter(|life| life.incarnation == on.life.incarnation);
    let named = life.filter(|_| phase != Phase::Deleting).and_then(|life| life.avatar_sha256);
    let avatars = &state.app.state.avatars;
    Ok(avatars.remove_all_but(on.life.incarnation.0, named.as_deref()).await?)
}

/// What kind of image begins like this, of those that hold nothing but pixels.
fn content_type(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some("image/png"),
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some("image/gif"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some("image/webp"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::content_type;

    #[test]
    fn an_image_is_told_by_how_it_begins() {
        assert_eq!(content_type(b"\x89PNG\r\n\x1a\n...."), Some("image/png"));
        assert_eq!(content_type(b"\xff\xd8\xff\xe0"), Some("image/jpeg"));
        assert_eq!(content_type(b"GIF89a"), Some("image/gif"));
        assert_eq!(content_type(b"RIFF\0\0\0\0WEBPVP8 "), Some("image/webp"));
        for other in
            [&b""[..], b"<svg xmlns='x'>", b"<html>", b"RIFF\0\0\0\0WAVE", b"GIF88a", b"\x89PNG"]
        {
            assert_eq!(content_type(other), None, "{other:?}");
        }
    }
}
