//! A stream of bytes to an agent server: one exec of its bridge, whose ends are joined to it.

use std::io;
use std::time::Duration;

use bollard::Docker;
use bollard::container::LogOutput;
use bollard::exec::{CreateExecOptions, StartExecOptions, StartExecResults};
use futures::{StreamExt as _, future};
use tokio_util::io::StreamReader;

use super::container::SOCKET;
use crate::hosts::ByteStream;

/// How many bytes are asked of the engine's connection at once.
const READ_BYTES: usize = 64 * 1024;

/// Opens a stream to the agent server in a container, waiting for it to listen.
///
/// The bridge ends when either side does, so nothing is left in the container when this end is
/// dropped.
pub(super) async fn open(
    docker: &Docker,
    (container, agent_server): (&str, &str),
    wait: Duration,
) -> Result<ByteStream, bollard::errors::Error> {
    let wait_ms = wait.as_millis().to_string();
    let command = [agent_server, "bridge", SOCKET, "--wait-ms", &wait_ms];
    let exec = CreateExecOptions {
        attach_stdin: Some(true),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        cmd: Some(command.map(str::to_owned).to_vec()),
        ..CreateExecOptions::default()
    };
    let exec = docker.create_exec(container, exec).await?;
    let options = StartExecOptions { output_capacity: Some(READ_BYTES), ..Default::default() };
    match docker.start_exec(&exec.id, Some(options)).await? {
        StartExecResults::Attached { output, input } => {
            let bytes = output.filter_map(|part| future::ready(bytes_of(part)));
            Ok(Box::new(tokio::io::join(StreamReader::new(bytes), input)))
        }
        StartExecResults::Detached => {
            let text = "the engine detached an exec that was to be attached";
            Err(io::Error::other(text).into())
        }
    }
}

/// What the bridge passes on; what it complains about goes to the log.
fn bytes_of(part: Result<LogOutput, bollard::errors::Error>) -> Option<io::Result<bytes::Bytes>> {
    match part {
        Ok(LogOutput::StdErr { message }) => {
            tracing::debug!(said = %String::from_utf8_lossy(&message), "the bridge to an agent");
            None
        }
        Ok(part) => Some(Ok(part.into_bytes())),
        Err(error) => Some(Err(io::Error::other(error))),
    }
}
