//! The way into a running agent, and what is said when there is none.

use trinity_agent_protocol::ErrorCode;

use super::ApiState;
use super::auth::{OnAgent, no_agent};
use super::error::{ApiError, Code, Result};
use crate::domain::AgentName;
use crate::domain::agent::{Agent, Phase};
use crate::hosts::link::{self, Link};

/// The link to the agent's server.
///
/// # Errors
/// 503 with the next step when the agent does not run, or runs on another node.
pub async fn link(state: &ApiState, on: &OnAgent) -> Result<Link> {
    let name = &on.life.name;
    let life = on.current()?;
    let agent = state.app.log.state::<Agent>(name).await?.state;
    if agent.life.as_ref().is_none_or(|now| now.incarnation != life.incarnation) {
        return Err(no_agent(name));
    }
    is_on_this_node(state, on)?;
    match agent.phase {
        Phase::Running => Ok(state.app.links.of(on.life.incarnation.0)),
        phase => Err(not_running(name, phase)),
    }
}

/// The answer to whoever needs a running agent and finds it in another phase, with the next step.
pub fn not_running(name: &AgentName, phase: Phase) -> ApiError {
    let is: &str = (&phase).into();
    let detail = match phase {
        Phase::Creating | Phase::Starting | Phase::Restarting => {
            format!("agent `{name}` is {is}; try again once it runs")
        }
        Phase::Running => format!("agent `{name}` takes no work at the moment; try again"),
        Phase::Stopped | Phase::Failed | Phase::Paused => format!(
            "agent `{name}` does not run, it is {is}; start it, then try again: \
             POST /api/agents/{name}/start"
        ),
        Phase::Stopping => format!("agent `{name}` is {is}; start it once it has stopped"),
        Phase::Deleting | Phase::Absent => {
            format!("agent `{name}` is being deleted; once it is gone, another can have its name")
        }
    };
    ApiError::new(Code::AgentNotRunning, detail)
}

/// Refuses what only the node can answer on whose disk the agent lives.
pub fn is_on_this_node(state: &ApiState, on: &OnAgent) -> Result<()> {
    match on.current()?.node_id.filter(|node_id| *node_id != state.app.node_id) {
        None => Ok(()),
        Some(node_id) => {
            let detail = format!("the agent lives on node {node_id}; ask the server of that node");
            Err(ApiError::new(Code::HostUnavailable, detail))
        }
    }
}

/// The answer when the agent's server gave none, or refused.
pub fn refused(state: &ApiState, on: &OnAgent, error: link::Error) -> ApiError {
    let name = &on.life.name;
    let body = match error {
        link::Error::Refused(body) => body,
        link::Error::Unreachable(error) => {
            if let Some(outage) = state.app.host.outage() {
                let detail = format!("the host of agents cannot be reached: {outage}");
                return ApiError::new(Code::HostUnavailable, detail);
            }
            let detail = format!("agent `{name}` does not answer, try again in a moment: {error}");
            return ApiError::new(Code::AgentNotRunning, detail);
        }
        error @ link::Error::Protocol(_) => return ApiError::internal(&anyhow::Error::new(error)),
    };
    match body.code {
        ErrorCode::InvalidRequest => ApiError::parameter("path", body.message),
        ErrorCode::NoSuchFile => ApiError::new(Code::NoSuchFile, body.message),
        ErrorCode::FileRefused => ApiError::new(Code::Conflict, body.message),
        ErrorCode::FileHoldsCredentials => ApiError::new(Code::Forbidden, body.message),
        ErrorCode::FileChanged => {
            let error = ApiError::new(Code::PreconditionFailed, body.message);
            error.with("etag", body.etag)
        }
        ErrorCode::NotFound | ErrorCode::MethodNotAllowed => {
            let detail = format!(
                "agent `{name}` was started by an older server and cannot do this yet; stop it and \
                 start it"
            );
            ApiError::new(Code::AgentNotRunning, detail)
        }
        ErrorCode::ShuttingDown | ErrorCode::Busy => {
            ApiError::new(Code::AgentNotRunning, body.message)
        }
        ErrorCode::StaleEpoch
        | ErrorCode::Tombstone
        | ErrorCode::Occupied
        | ErrorCode::StillRunning
        | ErrorCode::DeadlineTooNear
        | ErrorCode::SpawnFailed
        | ErrorCode::Internal => {
            let error = link::Error::Refused(body);
            ApiError::internal(&anyhow::Error::new(error).context("an agent server failed"))
        }
    }
}
