//! Skills: the library of this server, and which of it an agent has.

use std::collections::BTreeSet;

use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ApiState;
use super::agents::{Current, current};
use super::auth::{Caller, OnAgent};
use super::error::{ApiError, Code, Result};
use super::etag::{IfMatch, IfNoneMatch};
use super::extract::{Body, Fields, Fresh, NoFields, NoParams, Path, Query, ReadQuery};
use super::reply::Reply;
use super::templates::{PulledLibrary, pull_library};
use crate::commands::agents;
use crate::domain::AgentName;
use crate::domain::agent::{SKILLS_MAX, Setting};
use crate::library::skills::{Named, SKILL_FILE, Skill, SkillError};

/// A skill of the library, or why it cannot be used.
#[derive(Debug, Serialize, ToSchema)]
struct LibrarySkill {
    /// The name by which agents get it.
    name: String,
    /// What it is good for.
    #[schema(required = true)]
    description: Option<String>,
    /// What is wrong with it, if anything is.
    #[schema(required = true)]
    error: Option<String>,
}

/// A skill of the library with its text.
#[derive(Debug, Serialize, ToSchema)]
struct SkillDetail {
    /// The name by which agents get it.
    name: String,
    /// What it is good for.
    #[schema(required = true)]
    description: Option<String>,
    /// What its `SKILL.md` says.
    text: String,
    /// Every file it consists of.
    files: Vec<String>,
}

/// Which skills an agent is to have.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SetSkills {
    /// All of them, by name; at most 50. One that is named twice counts once.
    #[schema(max_items = 50)]
    skills: Vec<String>,
}

impl Fields for SetSkills {}

/// Which skill an agent is to have beside those that it has.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct AttachSkill {
    /// Its name in the library.
    skill: String,
}

impl Fields for AttachSkill {}

/// Which skills an agent has.
#[derive(Debug, Serialize, ToSchema)]
struct AgentSkills {
    #[schema(value_type = String)]
    agent_name: AgentName,
    skills: BTreeSet<String>,
    position: i64,
}

pub(super) fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(library))
        .routes(routes!(show))
        .routes(routes!(pull))
        .routes(routes!(skills, set_skills, attach))
        .routes(routes!(detach))
}

/// Lists the skills of this server by name, those that cannot be used with the reason.
#[utoipa::path(
    get, path = "/api/skills/library", tag = "agents",
    responses((status = 200, body = Vec<LibrarySkill>)),
)]
async fn library(
    State(state): State<ApiState>,
    _query: Query<NoParams>,
) -> Result<Reply<Vec<LibrarySkill>>> {
    let found = state.app.library.read(|library| library.skills.list()).await;
    let found = found.map_err(|error| ApiError::internal(&error.into()))?;
    let skill = |(name, skill): Named| match skill {
        Ok(skill) => LibrarySkill { name, description: skill.description, error: None },
        Err(error) => LibrarySkill { name, description: None, error: Some(error.to_string()) },
    };
    Ok(Reply::ok(state.app.log.head(), found.into_iter().map(skill).collect()))
}

/// Shows a skill of the library with its text.
#[utoipa::path(
    get, path = "/api/skills/library/{id}", tag = "agents",
    params(("id" = String, Path, description = "The skill's name")),
    responses((status = 200, body = SkillDetail)),
)]
async fn show(
    State(state): State<ApiState>,
    Path(id): Path<String>,
    _query: Query<NoParams>,
) -> Result<Reply<SkillDetail>> {
    let name = id.clone();
    let found = state.app.library.read(move |library| library.skills.get(&name)).await;
    let Skill { name, description, files } = found.map_err(|error| match error {
        SkillError::Missing { .. } => ApiError::not_found(format_args!("skill `{id}`")),
        error => ApiError::new(Code::Conflict, error.to_string()),
    })?;
    let text = files.get(SKILL_FILE).map(|file| String::from_utf8_lossy(&file.content));
    let text = text.unwrap_or_default().into_owned();
    let files = files.into_keys().collect();
    Ok(Reply::ok(state.app.log.head(), SkillDetail { name, description, text, files }))
}

/// Copies the repository of skills as it is now; agents have it from their next start on.
#[utoipa::path(
    post, path = "/api/skills/library/pull", tag = "agents",
    responses((status = 200, body = PulledLibrary)),
)]
async fn pull(
    State(state): State<ApiState>,
    _query: Query<NoParams>,
    _body: Body<NoFields>,
) -> Result<Reply<PulledLibrary>> {
    let repository = state.app.library.skills_repository.as_ref();
    pull_library(&state, repository, "skills", "--skills-git").await
}

/// Shows which skills an agent has.
#[utoipa::path(
    get, path = "/api/agents/{name}/skills", tag = "agents",
    params(("name" = String, Path, description = "The agent's name"), Fresh, IfNoneMatch),
    responses((status = 200, body = AgentSkills)),
)]
async fn skills(
    State(state): State<ApiState>,
    on: OnAgent,
    known: IfNoneMatch,
    query: ReadQuery<NoParams>,
) -> Result<Response> {
    let Current { life, version, position } = current(&state, &on, query.fresh).await?;
    let body = AgentSkills { agent_name: on.life.name, skills: life.skills, position };
    Ok(Reply::ok(position, body).unless_known(version, &known))
}

/// Sets which skills of the library an agent has; a running one gets or loses them at once.
#[utoipa::path(
    put, path = "/api/agents/{name}/skills", tag = "agents",
    params(("name" = String, Path, description = "The agent's name"), IfMatch),
    request_body = SetSkills,
    responses((status = 200, body = AgentSkills)),
)]
async fn set_skills(
    State(state): State<ApiState>,
    caller: Caller,
    on: OnAgent,
    if_match: IfMatch,
    _query: Query<NoParams>,
    body: Body<SetSkills>,
) -> Result<Reply<AgentSkills>> {
    let names = body.value.skills;
    if names.len() > SKILLS_MAX {
        let detail = format!("skills: an agent has at most {SKILLS_MAX}");
        return Err(ApiError::field("/skills", detail));
    }
    let names: BTreeSet<String> = names.into_iter().collect();
    check(&state, names.clone(), "/skills").await?;
    change(&state, &caller, on, if_match, Setting::SetSkills { names }).await
}

/// Attaches one skill of the library and leaves the others; one that the agent has stays as it is.
#[utoipa::path(
    post, path = "/api/agents/{name}/skills", tag = "agents",
    params(("name" = String, Path, description = "The agent's name"), IfMatch),
    request_body = AttachSkill,
    responses((status = 200, body = AgentSkills)),
)]
async fn attach(
    State(state): State<ApiState>,
    caller: Caller,
    on: OnAgent,
    if_match: IfMatch,
    _query: Query<NoParams>,
    body: Body<AttachSkill>,
) -> Result<Reply<AgentSkills>> {
    let name = body.value.skill;
    let mut names = on.current()?.skills.clone();
    if names.insert(name.clone()) {
        check(&state, names, "/skill").await?;
    }
    change(&state, &caller, on, if_match, Setting::AttachSkill { name }).await
}

/// Detaches one skill and leaves the others; one that the agent has not is gone already.
#[utoipa::path(
    delete, path = "/api/agents/{name}/skills/{skill}", tag = "agents",
    params(
        ("name" = String, Path, description = "The agent's name"),
        ("skill" = String, Path, description = "The skill's name"),
        IfMatch,
    ),
    responses((status = 200, body = AgentSkills)),
)]
async fn detach(
    State(state): State<ApiState>,
    caller: Caller,
    on: OnAgent,
    if_match: IfMatch,
    Path((_name, skill)): Path<(String, String)>,
    _query: Query<NoParams>,
) -> Result<Reply<AgentSkills>> {
    change(&state, &caller, on, if_match, Setting::DetachSkill { name: skill }).await
}

/// Refuses skills that the library cannot give to one agent.
async fn check(state: &ApiState, names: BTreeSet<String>, pointer: &'static str) -> Result<()> {
    let found = state.app.library.read(move |library| library.skills.files(&names)).await;
    found.map(drop).map_err(|error| ApiError::field(pointer, error.to_string()))
}

/// Changes which skills the agent has, and answers with all that it then has.
async fn change(
    state: &ApiState,
    caller: &Caller,
    on: OnAgent,
    if_match: IfMatch,
    setting: Setting,
) -> Result<Reply<AgentSkills>> {
    agents::set(&state.app.log, if_match.target(&on), setting, caller.metadata()).await?;
    let Current { life, version, position } = current(state, &on, Fresh::default()).await?;
    let body = AgentSkills { agent_name: on.life.name, skills: life.skills, position };
    Ok(Reply::ok(position, body).version(version))
}
