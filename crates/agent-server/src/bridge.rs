//! Joins standard input and output to a unix socket, for hosts that only offer an exec stream.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use tokio::io::{AsyncWriteExt, copy, stdin, stdout};
use tokio::net::UnixStream;
use tokio::time::{Instant, sleep};

/// How often a socket that is not there yet is looked for.
const POLL_MS: u64 = 20;

/// Where to connect to.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The socket of the agent server.
    socket: PathBuf,
    /// How long to wait for the socket, in milliseconds.
    #[arg(long, default_value_t = 0)]
    wait_ms: u64,
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
    let socket = connect(args)
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

/// Connects to the socket, later when nobody listens on it yet.
async fn connect(args: &Args) -> io::Result<UnixStream> {
    let give_up_at = Instant::now() + Duration::from_millis(args.wait_ms);
    loop {
        match UnixStream::connect(&args.socket).await {
            Err(error) if Instant::now() >= give_up_at => return Err(error),
            Err(_) => sleep(Duration::from_millis(POLL_MS)).await,
            connected => return connected,
        }
    }
}
