//! The server's own agent, made at its first start.
//!
//! It may call every other agent, belongs to the first administrator, and is rebuilt instead of deleted.

use anyhow::Context as _;
use uuid::Uuid;

use crate::app::App;
use crate::commands::{Refusal, agents, ids};
use crate::domain::agent::{Agent, AgentConfig, AgentError, Create, Runtime};
use crate::domain::name::SYSTEM_AGENT;
use crate::domain::{AgentName, Metadata};
use crate::event_log::ExecuteError;

/// What its word for what it is for says.
const KIND: &str = "system";

/// What it is told of itself.
const INSTRUCTIONS: &str = "\
# trinity-system

You are the system agent of a Trinity server. You may call every agent of it without a permission.

Look after the fleet for its administrator: find out what runs, what waits and what failed, say why, and
propose what to do. Stop, change or delete nothing unless you were asked to.
";

/// Makes it, unless it is there. Of nodes that share a log one does.
///
/// # Errors
/// When the log cannot be read or written.
pub async fn make(app: &App) -> anyhow::Result<()> {
    let name: AgentName = SYSTEM_AGENT.parse()?;
    let known = app.log.state::<Agent>(&name).await.context("cannot look for the system agent")?;
    if known.state.life.is_some() {
        return Ok(());
    }
    let create = Create {
        incarnation: ids::incarnation_id(None),
        owner: ids::user_id(crate::api::auth::FIRST_USER),
        is_system: true,
        node_id: Some(app.node_id),
        config: AgentConfig {
            kind: KIND.to_owned(),
            custom_instructions: Some(INSTRUCTIONS.to_owned()),
            ..AgentConfig::new(name, Runtime::default())
        },
        start: true,
    };
    let metadata = Metadata::by_system(Uuid::now_v7());
    match agents::create(&app.log, create, Vec::new(), metadata, app.log.now()).await {
        Err(ExecuteError::Refused(Refusal::Agent(AgentError::AlreadyExists))) | Ok(_) => Ok(()),
        Err(error) => Err(error).context("cannot make the system agent"),
    }
}
