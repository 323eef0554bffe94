//! What the agent server is asked for a grant: to start a run, and to stop it.

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use nix::unistd::Uid;
use trinity_agent_protocol::{Info, IsolationKind, StartRequest, StopReason, StopRequest};

use super::{Context, credentials};
use crate::adapters::mcp::{self, McpError};
use crate::adapters::tools::ToolSet;
use crate::adapters::{Adapter, Env, RunUser, Session, Surroundings, TaskSpec};
use crate::commands::runs::Grant;
use crate::domain::agent::{Agent, Life};
use crate::domain::execution::{ErrorClass, Request};
use crate::domain::slots::Active;
use crate::gateway::{self, StandIn};
use crate::vault::{API_KEY_VARIABLE, Credentials, Kind, SecretText};

/// The variable by which a run finds this server, as its own command line does.
const URL_VARIABLE: &str = "TRINITY_URL";

/// A grant that cannot be carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) class: ErrorClass,
    pub(super) error: String,
}

/// The CLI session of a run: the one to go on with, else one named like the execution.
///
/// The execution's id is a UUID that no session can have yet, so the session is known before the
/// first line of output, and a start that is repeated names the same one.
pub(super) fn session(adapter: &dyn Adapter, request: &Request, grant: &Grant) -> Session {
    match &request.resume_session_id {
        Some(id) => Session::Resume { id: id.clone() },
        None => Session::New { id: adapter.session_id(grant.execution_id.0) },
    }
}

/// Checks that the caller may still call, for a request made by another agent.
pub(super) async fn check_permission(
    context: &Context,
    request: &Request,
) -> anyhow::Result<Result<(), Refused>> {
    let Some(caller) = &request.source_agent else { return Ok(Ok(())) };
    let agent = context.log.state::<Agent>(caller).await.context("cannot read the caller")?;
    if agent.state.may_call(&request.agent, request.incarnation) {
        return Ok(Ok(()));
    }
    let error = format!("{caller} may no longer call {}", request.agent);
    Ok(Err(Refused { class: ErrorClass::Rejected, error }))
}

/// Makes the start request: the adapter's command with the numbers of the grant, and no others.
pub(super) fn start_request(
    context: &Context,
    adapter: &dyn Adapter,
    life: &Life,
    request: &Request,
    grant: &Grant,
    active: &Active,
    surroundings: (&Info, &Credentials),
) -> Result<StartRequest, Refused> {
    let (info, credentials) = surroundings;
    let refused = |error: String| Refused { class: ErrorClass::Rejected, error };
    let allowed = request.allowed_tools.as_deref();
    let tools = ToolSet::resolve(&life.config.tools, allowed)
        .and_then(|tools| adapter.tools(tools.names()).map(|()| tools))
        .map_err(|error| refused(error.to_string()))?;
    check_writes_are_held(life, info).map_err(refused)?;
    let (given, stand_in) = gateway::given(adapter.model_api(), info, credentials);
    let mut secrets = variables(context, &given);
    let own = stand_in.iter().flat_map(StandIn::variables);
    secrets.0.extend(own.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let mcp_config = mcp_config(life, &secrets)
        .map_err(|error| Refused { class: ErrorClass::Spawn, error: error.to_string() })?;
    let task = TaskSpec {
        message: request.message.clone(),
        session: session(adapter, request, grant),
        model: request.model.clone().or_else(|| life.config.model.clone()),
        tools,
        system_prompt: request.system_prompt.clone(),
        max_turns: request.max_turns,
        protected_files: protected_files(life),
        mcp_config,
        files_dir: format!("{}/{}", info.files, grant.execution_id),
        surroundings: Surroundings {
            home: info.home.clone(),
            path: search_path(context, info).to_owned(),
            secrets,
            user: run_user(info),
        },
    };
    let mut command = adapter.command(&task);
    command.env.0.extend(temporary(info));
    Ok(StartRequest {
        epoch: u64::from(grant.epoch),
        argv: command.argv,
        env: command.env.0,
        stdin: command.stdin,
        files: command.files,
        masked: credentials::masked(&given),
        cwd: None,
        timeout_ms: u64::from(active.timeout_seconds) * 1_000,
        grace_ms: context.grace_ms,
        deadline: deadline(active),
        uid: None,
        gid: None,
        allow_new_privileges: may_gain_privileges(life, info),
        writable_folders: writable_folders(life),
    })
}

/// Whether a run may become root: in a container of its own, where its owner wants that.
pub(super) fn may_gain_privileges(life: &Life, info: &Info) -> bool {
    let is_wanted = life.config.full_capabilities && !life.config.read_only.enabled;
    is_wanted && info.isolation.kind == IsolationKind::Container
}

/// What a run may change of the workspace, in read-only mode.
pub(super) fn writable_folders(life: &Life) -> Option<Vec<String>> {
    let read_only = &life.config.read_only;
    read_only.enabled.then(|| read_only.writable_folders().map(str::to_owned).collect())
}

/// What the CLI is told not to change, in read-only mode.
fn protected_files(life: &Life) -> Vec<String> {
    let read_only = Some(&life.config.read_only).filter(|read_only| read_only.enabled);
    read_only.into_iter().flat_map(|read_only| read_only.told_to_the_cli().cloned()).collect()
}

/// Better no run than one that changes what its agent's owner relies on.
pub(super) fn check_writes_are_held(life: &Life, info: &Info) -> Result<(), String> {
    if !life.config.read_only.enabled || info.restricts_writes == Some(true) {
        return Ok(());
    }
    Err(match info.restricts_writes {
        None => {
            "the agent is read-only, which its agent server is too old for; stop it and start it"
        }
        Some(_) => {
            "the agent is read-only, which cannot be enforced where it lives: that needs Landlock \
             (Linux 6.2 or later); switch read-only mode off to run it all the same"
        }
    }
    .to_owned())
}

/// The configuration of the agent's MCP servers with its credentials in it; none where it has none.
pub(super) fn mcp_config(life: &Life, variables: &Env) -> Result<Option<String>, McpError> {
    if life.mcp_servers.is_empty() {
        return Ok(None);
    }
    mcp::resolve(&life.mcp_servers, |name| variables.0.get(name).cloned()).map(Some)
}

/// The variables among the credentials, and what lets a run use this server as its agent.
pub(super) fn variables(context: &Context, credentials: &Credentials) -> Env {
    let api_key = credentials.api_key.as_ref().map(SecretText::expose);
    let own = [(API_KEY_VARIABLE, api_key), (URL_VARIABLE, context.agent_url.as_deref())];
    let own = own.into_iter().filter_map(|(name, value)| Some((name, value?)));
    let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    Env(credentials.of(Kind::Variable).chain(own).map(owned).collect())
}

/// Whom the run is: an agent's own user is never root, whatever the agent server is.
fn run_user(info: &Info) -> RunUser {
    if info.isolation.uid.is_none() && Uid::effective().is_root() {
        RunUser::Root
    } else {
        RunUser::Unprivileged
    }
}

/// Where a run looks for programs: where it lives is not always where the platform does.
pub(super) fn search_path<'a>(context: &'a Context, info: &'a Info) -> &'a str {
    info.path.as_deref().unwrap_or(&context.path)
}

/// Where a run puts temporary files: what all users share is out of its reach.
pub(super) fn temporary(info: &Info) -> Option<(String, String)> {
    info.tmp.as_ref().map(|folder| ("TMPDIR".to_owned(), folder.clone()))
}

/// When the slot expires: a start that could not end before it is refused by the agent server.
fn deadline(active: &Active) -> DateTime<Utc> {
    active.expires_at
}

/// A stop request for a grant's epoch.
pub(super) fn stop_request(epoch: u32, reason: StopReason, force: bool) -> StopRequest {
    StopRequest { epoch: u64::from(epoch), reason, force }
}
