//! The files of the workspace that the platform keeps: credentials and skills.
//!
//! The state folder lists their paths, so that a file that is not wanted any more is removed, also
//! by a later life of the agent server; what is in them is in the workspace alone.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use tokio::sync::Mutex;
use trinity_agent_protocol::{ErrorBody, ErrorCode, KeptFiles};

use crate::executions::{Executions, blocking};
use crate::workspace::Workspace;

/// One change of the files at a time.
#[derive(Debug, Default)]
pub(crate) struct KeptFilesLock(Mutex<()>);

/// Writes these files and removes those of before.
pub(crate) async fn put(
    executions: &Executions,
    lock: &KeptFilesLock,
    wanted: KeptFiles,
) -> Result<(), ErrorBody> {
    let invalid = |error: trinity_agent_protocol::InvalidRequest| {
        ErrorBody::new(ErrorCode::InvalidRequest, error.to_string())
    };
    wanted.validate().map_err(invalid)?;
    let _turn = lock.0.lock().await;
    let (state, places) = (executions.state.clone(), &executions.places);
    let (workspace, owner) = (places.workspace.clone(), places.confinement.uid);
    let written = blocking(move || {
        let workspace = Workspace::open(Path::new(&workspace), owner)?;
        let before = state.kept_paths()?;
        // Whatever becomes of this call, the next one knows what it may have left.
        let after: BTreeMap<_, _> =
            wanted.files.iter().map(|file| (file.path.clone(), file.is_secret)).collect();
        let mut all = before.clone();
        for (path, is_secret) in &after {
            *all.entry(path.clone()).or_default() |= is_secret;
        }
        state.write_kept_paths(&all)?;
        for path in before.keys().filter(|path| !after.contains_key(*path)) {
            workspace.remove(path).map_err(at(path))?;
        }
        for file in &wanted.files {
            let written = workspace.write_private(&file.path, &file.content, file.is_executable);
            written.map_err(at(&file.path))?;
        }
        state.write_kept_paths(&after)
    });
    written.await.map_err(|error| {
        let message = format!("cannot write the files of the platform: {error}");
        ErrorBody { errno: error.raw_os_error(), ..ErrorBody::new(ErrorCode::Internal, message) }
    })
}

fn at(path: &str) -> impl FnOnce(io::Error) -> io::Error {
    let path = path.to_owned();
    move |error| io::Error::new(error.kind(), format!("{path}: {error}"))
}
