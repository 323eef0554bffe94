//! What an agent's host and its server say of it: its log, what it uses, what serves it.

use axum::extract::State;
use chrono::{DateTime, Utc};
use futures::TryStreamExt as _;
use serde::{Deserialize, Serialize};
use trinity_agent_protocol::LineStream;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ApiState;
use super::auth::{OnAgent, no_agent};
use super::error::{ApiError, Code, Result};
use super::extract::{Fresh, NoParams, ReadQuery};
use super::inside;
use super::reply::Reply;
use crate::domain::AgentName;
use crate::domain::agent::{Agent, Phase};
use crate::hosts;
use crate::hosts::link::{Lines, Link};
use crate::library::templates::Manifest;

/// The most lines of a log that one answer holds.
const LOG_LINES_MAX: u32 = 1_000;
/// The lines of a log when nobody says how many.
const LOG_LINES_DEFAULT: u32 = 100;
/// How many lines of `startup.sh` are looked at for the last of them.
const STARTUP_LINES_READ_MAX: u64 = 10_000;
/// How many bytes of each text one answer holds: the last of them.
const TEXT_BYTES_MAX: usize = 256 * 1024;

#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct LogsQuery {
    /// The most lines of each text, the last of them.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    tail: Option<u32>,
}

/// What was said, the latest at the end.
#[derive(Debug, Serialize, ToSchema)]
struct AgentLog {
    #[schema(value_type = String)]
    agent_name: AgentName,
    /// What the agent's server said; on Docker this is the log of the container.
    logs: String,
    /// What `startup.sh` said at the last start; none when the agent does not run or has none.
    #[schema(required = true)]
    startup: Option<String>,
    position: i64,
}

/// What an agent uses.
#[derive(Debug, Serialize, ToSchema)]
struct AgentUsage {
    #[schema(value_type = String)]
    agent_name: AgentName,
    /// When it was measured; an answer may be up to two seconds old.
    measured_at: DateTime<Utc>,
    /// How much of one processor it used lately, in percent; two processors are 200.
    cpu_percent: f64,
    /// The most it may use, in percent of one processor; none when its host holds it to nothing.
    #[schema(required = true)]
    cpu_percent_max: Option<f64>,
    /// Memory that is its own.
    memory_bytes: u64,
    /// The most memory it may have; none when its host holds it to nothing.
    #[schema(required = true)]
    memory_bytes_max: Option<u64>,
    /// Processes; in a container threads are counted too.
    processes: u64,
    position: i64,
}

/// What serves an agent.
#[derive(Debug, Serialize, ToSchema)]
struct AgentInfo {
    #[schema(value_type = String)]
    agent_name: AgentName,
    /// The CLI that does the work.
    runtime: &'static str,
    /// The template that it was made from.
    #[schema(required = true)]
    template: Option<String>,
    /// What that template says by now; null when it is not there any more, or cannot be used.
    #[schema(required = true)]
    manifest: Option<Manifest>,
    /// Where it lives: `process` or `docker`.
    #[schema(value_type = String)]
    host: hosts::HostKind,
    /// The version of the agent's server.
    version: String,
    /// The version of the protocol that is spoken with it.
    protocol: u32,
    /// When this life of the agent's server began.
    started_at: DateTime<Utc>,
    /// The agent's workspace, as its runs see it.
    workspace: String,
    /// What runs get as `HOME`.
    home: String,
    position: i64,
}

/// The routes of this resource.
pub(super) fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(logs)).routes(routes!(stats)).routes(routes!(info))
}

/// Shows what the agent's server said last, and its `startup.sh`.
#[utoipa::path(
    get, path = "/api/agents/{name}/logs", tag = "agents",
    params(("name" = String, Path, description = "The agent's name"), LogsQuery, Fresh),
    responses((status = 200, body = AgentLog)),
)]
async fn logs(
    State(state): State<ApiState>,
    on: OnAgent,
    query: ReadQuery<LogsQuery>,
) -> Result<Reply<AgentLog>> {
    state.wait_for_log(query.fresh).await?;
    let tail = query.params.tail.unwrap_or(LOG_LINES_DEFAULT);
    if !(1..=LOG_LINES_MAX).contains(&tail) {
        return Err(ApiError::parameter("tail", format!("tail must be 1 to {LOG_LINES_MAX}")));
    }
    inside::is_on_this_node(&state, &on)?;
    let said = state.app.host.log(on.life.incarnation.0, tail).await;
    let said = said.map_err(|error| unavailable(&on, &error))?;
    let startup = match phase(&state, &on).await? {
        Phase::Running => {
            let link = state.app.links.of(on.life.incarnation.0);
            let said = startup(&link).await;
            said.map_err(|error| inside::refused(&state, &on, error))?
        }
        _ => None,
    };
    let position = state.app.log.head();
    let startup = startup.map(|text| last_lines(&text, tail));
    let logs = last_lines(&said, tail);
    Ok(Reply::ok(position, AgentLog { agent_name: on.life.name, logs, startup, position }))
}

/// What `startup.sh` said at the last start.
async fn startup(link: &Link) -> Result<Option<String>, hosts::link::Error> {
    let run = hosts::startup_run(&link.info().await?);
    let Some(status) = link.status(&run).await? else { return Ok(None) };
    let after = status.last_seq.saturating_sub(STARTUP_LINES_READ_MAX);
    let lines = link.output(&run, after, Lines::AtMost(STARTUP_LINES_READ_MAX)).await?;
    let text = lines.try_fold(String::new(), async |mut text, line| {
        if matches!(line.stream, LineStream::Stdout | LineStream::Stderr) {
            text.push_str(&line.line);
            text.push('\n');
            // So that many long lines are not all held.
            if text.len() > 2 * TEXT_BYTES_MAX {
                text.drain(..text.ceil_char_boundary(text.len() - TEXT_BYTES_MAX));
            }
        }
        Ok(text)
    });
    Ok(Some(text.await?).filter(|text| !text.is_empty()))
}

/// The last lines of a text, and no more than the last of its bytes.
fn last_lines(text: &str, lines_max: u32) -> String {
    let lines_max = usize::try_from(lines_max).unwrap_or(usize::MAX);
    let text = text.trim_end_matches('\n');
    let from = text.rmatch_indices('\n').nth(lines_max - 1).map_or(0, |(at, _)| at + 1);
    let enough = text.ceil_char_boundary(text.len().saturating_sub(TEXT_BYTES_MAX));
    text[from.max(enough)..].to_owned()
}

/// Shows how much processor time and memory the agent uses.
///
/// The host is asked every two seconds at most, however often this is.
#[utoipa::path(
    get, path = "/api/agents/{name}/stats", tag = "agents",
    params(("name" = String, Path, description = "The agent's name"), Fresh),
    responses((status = 200, body = AgentUsage)),
)]
async fn stats(
    State(state): State<ApiState>,
    on: OnAgent,
    query: ReadQuery<NoParams>,
) -> Result<Reply<AgentUsage>> {
    state.wait_for_log(query.fresh).await?;
    inside::link(&state, &on).await?;
    let measured = state.app.meter.of(on.life.incarnation.0).await;
    let measured = measured.map_err(|error| unavailable(&on, &error))?;
    let position = state.app.log.head();
    let usage = measured.usage;
    let stats = AgentUsage {
        agent_name: on.life.name,
        measured_at: measured.at,
        cpu_percent: (measured.cpu_percent * 10.0).round() / 10.0,
        cpu_percent_max: usage.nano_cpus_max.map(percent),
        memory_bytes: usage.memory_bytes,
        memory_bytes_max: usage.memory_bytes_max,
        processes: usage.processes,
        position,
    };
    Ok(Reply::ok(position, stats))
}

/// Billionths of a processor as percent of one.
#[expect(clippy::cast_precision_loss, reason = "no machine has so many processors")]
fn percent(nano_cpus: u64) -> f64 {
    nano_cpus as f64 / 1e7
}

/// Shows what serves the agent.
#[utoipa::path(
    get, path = "/api/agents/{name}/info", tag = "agents",
    params(("name" = String, Path, description = "The agent's name"), Fresh),
    responses((status = 200, body = AgentInfo)),
)]
async fn info(
    State(state): State<ApiState>,
    on: OnAgent,
    query: ReadQuery<NoParams>,
) -> Result<Reply<AgentInfo>> {
    state.wait_for_log(query.fresh).await?;
    let link = inside::link(&state, &on).await?;
    let info = link.info().await.map_err(|error| inside::refused(&state, &on, error))?;
    let config = &on.current()?.config;
    let manifest = match config.template.clone() {
        Some(name) => {
            let read = state.app.library.read(move |library| library.templates.get(&name));
            read.await.ok().map(|template| template.manifest)
        }
        None => None,
    };
    let position = state.app.log.head();
    let info = AgentInfo {
        agent_name: on.life.name.clone(),
        runtime: config.runtime.into(),
        template: config.template.clone(),
        manifest,
        host: state.app.host.kind(),
        version: info.version,
        protocol: info.protocol,
        started_at: info.started_at,
        workspace: info.workspace,
        home: info.home,
        position,
    };
    Ok(Reply::ok(position, info))
}

async fn phase(state: &ApiState, on: &OnAgent) -> Result<Phase> {
    let agent = state.app.log.state::<Agent>(&on.life.name).await?.state;
    let is_this = agent.life.is_some_and(|life| life.incarnation == on.life.incarnation);
    if is_this { Ok(agent.phase) } else { Err(no_agent(&on.life.name)) }
}

/// The answer when the host has nothing to say of the agent.
fn unavailable(on: &OnAgent, error: &hosts::Error) -> ApiError {
    let name = &on.life.name;
    match error {
        hosts::Error::NotFound(_) => {
            let detail = format!("agent `{name}` has no place on its host yet; start it");
            ApiError::new(Code::AgentNotRunning, detail)
        }
        hosts::Error::NotRunning(_) => {
            let detail = format!("agent `{name}` does not run; start it");
            ApiError::new(Code::AgentNotRunning, detail)
        }
        hosts::Error::Unavailable(_) | hosts::Error::Foreign(_) => {
            ApiError::new(Code::HostUnavailable, error.to_string())
        }
        hosts::Error::Workspace(error) | hosts::Error::Contents(error) => unavailable(on, error),
        hosts::Error::CannotPause
        | hosts::Error::Broken(_)
        | hosts::Error::StartFailed(_)
        | hosts::Error::StopFailed(_)
        | hosts::Error::Host { .. } => {
            let error = anyhow::anyhow!("{error}");
            ApiError::internal(&error.context("the host of an agent failed"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_kept_and_no_more_bytes_than_allowed() {
        assert_eq!(last_lines("", 3), "");
        assert_eq!(last_lines("a\nb\nc\n", 2), "b\nc");
        assert_eq!(last_lines("a\nb", 5), "a\nb");
        let long = format!("first\n{}", "é".repeat(TEXT_BYTES_MAX));
        let kept = last_lines(&long, 5);
        assert!(kept.len() <= TEXT_BYTES_MAX && kept.chars().all(|char| char == 'é'));
    }
}
