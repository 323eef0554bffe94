//! The first run: choosing the administrator's password.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ApiState;
use super::auth::{FIRST_USER, done, is_set_up, make_first_user, password};
use super::error::{ApiError, Code, Result};
use super::extract::{Body, Fields, NoParams, Query};
use super::reply::Reply;
use super::request_id::RequestId;
use crate::domain::{Actor, Metadata};

/// Whether the first run is over.
#[derive(Debug, Serialize, ToSchema)]
struct SetupStatus {
    /// Whether there is an administrator who can log in.
    setup_completed: bool,
}

/// The administrator's password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct AdminPassword {
    /// 8 characters or more.
    #[schema(min_length = 8, format = Password)]
    password: String,
    /// The same again.
    #[schema(format = Password)]
    confirm_password: String,
    /// The `token` of the link that the server printed when it started.
    setup_token: String,
}

impl Fields for AdminPassword {}

/// The first administrator.
#[derive(Debug, Serialize, ToSchema)]
struct SetUp {
    /// What to do next.
    message: String,
    /// The name to log in with.
    username: &'static str,
    position: i64,
}

/// The routes of this resource.
pub(super) fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(status)).routes(routes!(set_password))
}

/// Says whether the first run is over.
#[utoipa::path(
    get, path = "/api/setup/status", tag = "accounts",
    responses((status = 200, body = SetupStatus)),
)]
async fn status(
    State(state): State<ApiState>,
    _query: Query<NoParams>,
) -> Result<axum::Json<SetupStatus>> {
    let setup_completed = is_set_up(&state.app.log, &state.app.state).await?;
    Ok(axum::Json(SetupStatus { setup_completed }))
}

/// Makes the first administrator; possible once, with the token of the printed link.
#[utoipa::path(
    post, path = "/api/setup/admin-password", tag = "accounts",
    request_body = AdminPassword,
    responses((status = 200, body = SetUp)),
)]
async fn set_password(
    State(state): State<ApiState>,
    request_id: RequestId,
    _query: Query<NoParams>,
    body: Body<AdminPassword>,
) -> Result<Reply<SetUp>> {
    let AdminPassword { password, confirm_password, setup_token } = body.value;
    let (log, stores) = (&state.app.log, &state.app.state);
    if is_set_up(log, stores).await? {
        return Err(done());
    }
    state.setup().check_link(&setup_token)?;
    password::check(&password)?;
    if password != confirm_password {
        let detail = "confirm_password is not the same as password";
        let error = ApiError::field("/confirm_password", detail);
        return Err(error.with_code(Code::InvalidPassword));
    }
    let metadata = Metadata {
        actor: Actor::System.to_string(),
        correlation_id: request_id.to_string(),
        causation_id: None,
        command_id: uuid::Uuid::now_v7().to_string(),
        body_sha256: None,
        traceparent: request_id.traceparent(),
    };
    make_first_user(log, stores, &password, metadata).await?;
    state.setup().finish();
    let message = format!("log in as `{FIRST_USER}` at POST /api/token");
    let position = log.head();
    Ok(Reply::ok(position, SetUp { message, username: FIRST_USER, position }))
}
