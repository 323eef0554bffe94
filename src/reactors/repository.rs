//! The repository of an agent, brought into a workspace that is none yet.

use std::time::Duration;

use super::look::Look;
use crate::git::{Error, Operation, Remote, Workspace};
use crate::vault::Credentials;

/// How long a clone may take.
const TIMEOUT: Duration = Duration::from_mins(5);

/// Clones the repository, if the agent has one and its workspace is not one already.
pub(super) async fn bring(look: &Look<'_>, credentials: &Credentials) -> Result<(), Failed> {
    let Look { context, life, life_ref, link, .. } = look;
    let Some((repository, branch)) = &life.git_sync else { return Ok(()) };
    let adapter = context.adapters.get(life.config.runtime);
    let workspace = Workspace {
        link,
        search_path: &context.path,
        agent: &life_ref.name,
        credentials,
        model_api: adapter.model_api(),
        skills_folder: adapter.skills_folder(),
        skills: &life.skills,
        is_read_only: life.config.read_only.enabled,
    };
    let remote = Remote { repository, branch };
    let cloned = workspace.work(&Operation::Clone, &remote, TIMEOUT, context.log.now()).await;
    let failed = |source| Failed { repository: repository.clone(), source };
    cloned.map(drop).map_err(failed)
}

/// Why the workspace is not what its agent is to work on.
#[derive(Debug, thiserror::Error)]
#[error("cannot clone {repository}")]
pub(super) struct Failed {
    repository: String,
    source: Error,
}
