//! Presets: who may call whom within a set of agents, all at once.

use std::collections::BTreeSet;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::ApiState;
use crate::api::auth::{Caller, OnAgent, on_name, require_owner};
use crate::api::error::{ApiError, Result};
use crate::api::extract::{Body, Fields, NoParams, Query};
use crate::api::reply::Reply;
use crate::commands::permissions::{Change, change};
use crate::domain::AgentName;
use crate::domain::agent::RevokeReason;

/// The most agents of one set.
const AGENTS_MAX: usize = 100;

/// Who may call whom within a set of agents.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ApplyPreset {
    /// The set, at most 100 agents; of `orchestrator-workers` the first one is the orchestrator.
    #[schema(max_items = 100, min_items = 1)]
    agents: Vec<String>,
    preset: Preset,
    /// Only tell what would change.
    #[serde(default)]
    #[schema(default = false)]
    dry_run: bool,
}

impl Fields for ApplyPreset {}

/// A rule for every pair of a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
enum Preset {
    /// Nobody may call anybody.
    None,
    /// Everybody may call everybody.
    FullMesh,
    /// The first one may call each of the others, and nobody else anybody.
    OrchestratorWorkers,
}

impl Preset {
    /// Whether one of the set may call another, by their places in it.
    fn allows(self, caller: usize) -> bool {
        match self {
            Self::None => false,
            Self::FullMesh => true,
            Self::OrchestratorWorkers => caller == 0,
        }
    }
}

/// What a preset changed, or would.
#[derive(Debug, Serialize, ToSchema)]
struct Applied {
    /// `applied`, or `dry_run`.
    status: &'static str,
    preset: Preset,
    granted: Vec<Pair>,
    revoked: Vec<Pair>,
    position: i64,
}

/// Who calls whom.
#[derive(Debug, Serialize, ToSchema)]
struct Pair {
    #[schema(value_type = String)]
    caller: AgentName,
    #[schema(value_type = String)]
    callee: AgentName,
}

pub(super) fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(apply))
}

/// Sets who may call whom within a set of agents, for the owner of all of them; nothing outside of
/// the set changes.
///
/// Each agent of the set is changed at once, one after the other; a repetition completes what was
/// interrupted.
#[utoipa::path(
    post, path = "/api/permissions/preset", tag = "permissions",
    request_body = ApplyPreset,
    responses((status = 200, body = Applied)),
)]
async fn apply(
    State(state): State<ApiState>,
    caller: Caller,
    _query: Query<NoParams>,
    body: Body<ApplyPreset>,
) -> Result<Reply<Applied>> {
    let ApplyPreset { agents, preset, dry_run } = body.value;
    let set = members(&state, &caller, &agents).await?;
    let (mut granted, mut revoked) = (Vec::new(), Vec::new());
    let mut position = state.app.log.head();
    for (index, source) in set.iter().enumerate() {
        let change_of = difference(&set, source, preset.allows(index))?;
        let pair =
            |callee: &AgentName| Pair { caller: source.life.name.clone(), callee: callee.clone() };
        granted.extend(change_of.grant.iter().map(|life| pair(&life.name)));
        revoked.extend(change_of.revoke.iter().map(pair));
        if !dry_run && change_of != Change::default() {
            let (log, metadata) = (&state.app.log, caller.metadata());
            let reason = RevokeReason::Replaced;
            let receipt = change(log, &source.life, change_of, reason, metadata).await?;
            position = position.max(receipt.position);
        }
    }
    let status = if dry_run { "dry_run" } else { "applied" };
    Ok(Reply::ok(position, Applied { status, preset, granted, revoked, position }))
}

/// The agents of the set, each of which the caller must own.
async fn members(state: &ApiState, caller: &Caller, names: &[String]) -> Result<Vec<OnAgent>> {
    if !(1..=AGENTS_MAX).contains(&names.len()) {
        let detail = format!("agents has {}; it must have 1 to {AGENTS_MAX}", names.len());
        return Err(ApiError::field("/agents", detail));
    }
    let mut seen = BTreeSet::new();
    let mut set = Vec::with_capacity(names.len());
    for (index, name) in names.iter().enumerate() {
        if !seen.insert(name) {
            let detail = format!("`{name}` is named twice");
            return Err(ApiError::field(&format!("/agents/{index}"), detail));
        }
        let member = on_name(state, caller, name).await?;
        require_owner(caller, &member)?;
        set.push(member);
    }
    Ok(set)
}

/// What is to change about whom one of the set may call.
fn difference(set: &[OnAgent], source: &OnAgent, is_allowed: bool) -> Result<Change> {
    let grants = &source.current()?.grants;
    let mut change_of = Change::default();
    for target in set.iter().filter(|target| target.life.name != source.life.name) {
        let (name, incarnation) = (&target.life.name, target.life.incarnation);
        match (is_allowed, grants.get(name)) {
            (true, granted) if granted != Some(&incarnation) => {
                change_of.grant.push(target.life.clone());
            }
            (false, Some(_)) => change_of.revoke.push(name.clone()),
            _ => {}
        }
    }
    Ok(change_of)
}
