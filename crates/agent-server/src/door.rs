//! The connections of an agent server, and who is let in.
//!
//! A socket's mode keeps other users out. A run with the agent server's own user can connect to it
//! all the same, since no Landlock before ABI 9 hinders that: so a connection must say a secret first
//! that such a run cannot read. In a container, where it could, no process of a run is let in at all.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::io::AsyncReadExt as _;
use tokio::net::UnixStream;
use tokio::time::timeout;
use uuid::Uuid;

use crate::TOKEN_BYTES;
use crate::http::{self, Server};
use crate::processes::Process;

/// How many connections are open at once; one platform needs one.
const CONNECTIONS_MAX: usize = 256;

/// How many requests share one HTTP/2 connection.
const STREAMS_MAX: u32 = 256;

/// How long open answers may take when the agent server ends.
const LAST_ANSWERS_MS_MAX: u64 = 2_000;

/// How many parents, one above the other, a process may have.
const ANCESTORS_MAX: usize = 10_000;

/// How long a connection may take to say the secret.
const TOKEN_MS_MAX: u64 = 2_000;

/// Makes a secret: [`TOKEN_BYTES`] hexadecimal digits from the system's randomness.
pub(crate) fn new_token() -> String {
    format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple())
}

/// The open connections.
pub(crate) struct Connections {
    service: TowerToHyperService<axum::Router>,
    http: auto::Builder<TokioExecutor>,
    open: Arc<AtomicUsize>,
    graceful: GracefulShutdown,
    token: Option<Arc<str>>,
}

impl Connections {
    pub(crate) fn new(server: Server, token: Option<String>) -> Self {
        let mut http = auto::Builder::new(TokioExecutor::new());
        http.http2().max_concurrent_streams(STREAMS_MAX).adaptive_window(true);
        Self {
            service: TowerToHyperService::new(http::router(server)),
            http,
            open: Arc::default(),
            graceful: GracefulShutdown::new(),
            token: token.map(Into::into),
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    pub(crate) fn serve(&self, mut stream: UnixStream) {
        if self.count() >= CONNECTIONS_MAX {
            tracing::warn!("too many connections; one was refused");
            return;
        }
        self.open.fetch_add(1, Ordering::Relaxed);
        let (http, service) = (self.http.clone(), self.service.clone());
        let (open, token) = (Arc::clone(&self.open), self.token.clone());
        let watcher = self.graceful.watcher();
        tokio::spawn(async move {
            let may_enter = !is_of_a_run(&stream);
            if may_enter && is_let_in(&mut stream, token.as_deref()).await {
                let connection = http.serve_connection_with_upgrades(TokioIo::new(stream), service);
                if let Err(error) = watcher.watch(connection.into_owned()).await {
                    tracing::debug!(error, "a connection broke");
                }
            } else {
                tracing::warn!("a connection of a run, or without the secret, was closed");
            }
            open.fetch_sub(1, Ordering::Relaxed);
        });
    }

    /// Lets open answers end.
    pub(crate) async fn end(self) {
        let limit = Duration::from_millis(LAST_ANSWERS_MS_MAX);
        let _ = timeout(limit, self.graceful.shutdown()).await;
    }
}

/// Tells whether a process of a run is at the other end: its runner, which nothing of it outlives, is
/// below this process. Who cannot be found any more is taken for one.
fn is_of_a_run(stream: &UnixStream) -> bool {
    let own = i32::try_from(std::process::id()).unwrap_or(i32::MAX);
    let Some(mut pid) = stream.peer_cred().ok().and_then(|peer| peer.pid()) else { return true };
    for _ in 0..ANCESTORS_MAX {
        match pid {
            _ if pid == own => return true,
            // Beyond the container, or beyond every parent.
            0 | 1 => return false,
            _ => match Process::find(pid) {
                Some(process) => pid = process.parent,
                None => return true,
            },
        }
    }
    true
}

/// Reads the secret, where there is one, and nothing beyond it.
async fn is_let_in(stream: &mut UnixStream, token: Option<&str>) -> bool {
    let Some(token) = token else { return true };
    let mut said = [0; TOKEN_BYTES];
    let limit = Duration::from_millis(TOKEN_MS_MAX);
    let read = timeout(limit, stream.read_exact(&mut said)).await;
    // Compared as a whole, so that the time tells nothing about where the two differ.
    let difference = said.iter().zip(token.as_bytes()).fold(0, |all, (a, b)| all | (a ^ b));
    matches!(read, Ok(Ok(_))) && token.len() == TOKEN_BYTES && difference == 0
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    async fn lets_in(said: &str, token: &str) -> bool {
        let (mut client, mut server) = UnixStream::pair().unwrap();
        client.write_all(said.as_bytes()).await.unwrap();
        drop(client);
        is_let_in(&mut server, Some(token)).await
    }

    #[tokio::test]
    async fn only_the_whole_secret_opens_the_door() {
        let token = new_token();
        assert_eq!(token.len(), TOKEN_BYTES);
        assert!(lets_in(&format!("{token}GET /info"), &token).await);
        for wrong in ["", "GET /info HTTP/1.1", &new_token(), &token[1..], &"0".repeat(64)] {
            assert!(!lets_in(wrong, &token).await, "{wrong}");
        }
    }

    #[tokio::test]
    async fn who_says_nothing_is_not_waited_for() {
        let (_client, mut server) = UnixStream::pair().unwrap();
        assert!(!is_let_in(&mut server, Some(&new_token())).await);
    }
}
