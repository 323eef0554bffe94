//! The demo fleet: two agents and a few runs, so that no page and no list is empty.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use uuid::Uuid;

use crate::app::App;
use crate::commands::tasks::{Submit, Waits};
use crate::commands::{agents, ids, tasks};
use crate::domain::agent::{Agent, AgentConfig, Create, Phase, Runtime};
use crate::domain::execution::{Request, Source, Trigger};
use crate::domain::{AccountId, AgentName, IncarnationId, Metadata};

/// How long the fleet has to start before its runs are given up.
const START_MAX: Duration = Duration::from_secs(30);
/// How often it is looked at meanwhile.
const START_POLL: Duration = Duration::from_millis(50);

/// The agents, each with the tasks it is given.
const FLEET: [(&str, &[&str]); 2] = [
    (
        "scout",
        &[
            "Find out which of our services answer slowest, and say why.",
            "#!demo\nsay Looking for the changelog.\ntool Read {\"file_path\":\"CHANGELOG.md\"} => \
             No such file\nsay There is no changelog to summarise.\nresult error_max_turns 0.012",
        ],
    ),
    (
        "scribe",
        &[
            "Write the release notes for this week.",
            "#!demo\nsay Reading the draft.\ntool Read {\"file_path\":\"notes.md\"} => # Notes\n\
             sleep 1\nsay The notes are ready: three features, one fix.\nresult success 0.021",
        ],
    ),
];

/// Makes the demo fleet where it is missing and gives each new agent its tasks.
pub async fn seed(app: Arc<App>) {
    let owner = ids::user_id(crate::api::auth::FIRST_USER);
    for (name, messages) in FLEET {
        if let Err(error) = seed_agent(&app, owner, name, messages).await {
            tracing::warn!(agent = name, "no demo: {error:#}");
        }
    }
}

async fn seed_agent(
    app: &App,
    owner: AccountId,
    name: &str,
    messages: &[&str],
) -> anyhow::Result<()> {
    let name: AgentName = name.parse()?;
    if app.log.state::<Agent>(&name).await?.state.life.is_some() {
        return Ok(());
    }
    let incarnation = ids::incarnation_id(None);
    let create = Create {
        incarnation,
        owner,
        is_system: false,
        node_id: Some(app.node_id),
        config: AgentConfig::new(name.clone(), Runtime::Demo),
        start: true,
    };
    agents::create(&app.log, create, Vec::new(), metadata(), app.log.now()).await?;
    let running = tokio::time::timeout(START_MAX, until_running(app, &name)).await;
    running.context("it did not start")??;
    for message in messages {
        let request = request(&name, incarnation, owner, message);
        let submit = Submit {
            execution_id: ids::execution_id(None),
            request,
            caller: None,
            waits: Waits::ForNothing,
            queue_length_max: app.config.queue_length_max,
            now: app.log.now(),
        };
        tasks::submit(&app.log, submit, metadata()).await?;
    }
    Ok(())
}

async fn until_running(app: &App, name: &AgentName) -> anyhow::Result<()> {
    while app.log.state::<Agent>(name).await?.state.phase != Phase::Running {
        tokio::time::sleep(START_POLL).await;
    }
    Ok(())
}

fn metadata() -> Metadata {
    Metadata::by_system(Uuid::now_v7())
}

fn request(
    agent: &AgentName,
    incarnation: IncarnationId,
    owner: AccountId,
    message: &str,
) -> Request {
    Request {
        agent: agent.clone(),
        incarnation,
        triggered_by: Trigger::Manual,
        source: Source::User,
        source_user: Some(owner),
        source_agent: None,
        message: message.to_owned(),
        model: None,
        allowed_tools: None,
        system_prompt: None,
        timeout_seconds: None,
        max_turns: None,
        resume_session_id: None,
        is_chat_turn: false,
        parent_execution_id: None,
        schedule_id: None,
        chat_session_id: None,
        process_run_id: None,
        step_id: None,
        payment_id: None,
        tags: Vec::new(),
    }
}
