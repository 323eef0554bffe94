//! The files of the workspace that hold the agent's credentials.
//!
//! The state folder lists their paths, so that a file that is not wanted any more is removed, also
//! by a later life of the agent server; the values are in the workspace alone.

use std::io;
use std::path::Path;

use tokio::sync::Mutex;
use trinity_agent_protocol::{CredentialFiles, ErrorBody, ErrorCode};

use crate::executions::{Executions, blocking};
use crate::workspace::Workspace;

/// One change of the files at a time.
#[derive(Debug, Default)]
pub(crate) struct CredentialsLock(Mutex<()>);

/// Writes these files and removes those of before.
pub(crate) async fn put(
    executions: &Executions,
    lock: &CredentialsLock,
    wanted: CredentialFiles,
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
        let before = state.credential_paths()?;
        // Whatever becomes of this call, the next one knows what it may have left.
        let mut all = before.clone();
        all.extend(wanted.files.iter().map(|file| file.path.clone()));
        state.write_credential_paths(&all)?;
        for path in before.iter().filter(|path| wanted.files.iter().all(|f| f.path != **path)) {
            workspace.remove(path).map_err(at(path))?;
        }
        for file in &wanted.files {
            workspace.write_private(&file.path, file.content.as_bytes()).map_err(at(&file.path))?;
        }
        state.write_credential_paths(&wanted.files.iter().map(|file| file.path.clone()).collect())
    });
    written.await.map_err(|error| {
        let message = format!("cannot write the credentials: {error}");
        ErrorBody { errno: error.raw_os_error(), ..ErrorBody::new(ErrorCode::Internal, message) }
    })
}

fn at(path: &str) -> impl FnOnce(io::Error) -> io::Error {
    let path = path.to_owned();
    move |error| io::Error::new(error.kind(), format!("{path}: {error}"))
}
