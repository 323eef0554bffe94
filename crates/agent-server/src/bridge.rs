//! Joins standard input and output to a unix socket, for hosts that only offer an exec stream.

use std::path::PathBuf;

use anyhow::Context;
use tokio::io::{AsyncWriteExt, copy, stdin, stdout};
use tokio::net::UnixStream;

/// Where to connect to.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The socket of the agent server.
    socket: PathBuf,
}

/// Copies both ways until the socket ends or either side breaks.
pub(crate) fn main(args: &Args) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let result = runtime.block_on(join(args));
    // A read of standard input cannot be cancelled; without this the process would wait for it.
    runtime.shutdown_background();
    result
}

async fn join(args: &Args) -> anyhow::Result<()> {
    let socket = UnixStream::connect(&args.socket)
        .await
        .with_context(|| format!("cannot connect to {}", args.socket.display()))?;
    let (mut from_socket, mut to_socket) = socket.into_split();
    let upward = tokio::spawn(async move {
        copy(&mut stdin(), &mut to_socket).await?;
        to_socket.shutdown().await
    });
    let mut out = stdout();
    let downward = async {
        copy(&mut from_socket, &mut out).await?;
        out.flush().await
    };
    let result = downward.await.context("the stream broke");
    upward.abort();
    result
}
