//! The connection to a Docker engine, and its errors in words.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bollard::{API_DEFAULT_VERSION, Docker, errors};
use tokio::time::timeout;

use crate::hosts::Error;

/// How long the engine may take to answer. The longest is a stop, which waits for the grace of runs.
const ANSWER_SECONDS_MAX: u64 = 120;

/// How long the engine may take to say which API it speaks.
const NEGOTIATE_MS_MAX: u64 = 5_000;

/// Where a Docker engine is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// `unix://PATH` or `tcp://HOST:PORT`.
    pub address: String,
    /// The folder of `ca.pem`, `cert.pem` and `key.pem`; with it TCP is spoken to by TLS.
    pub certificates: Option<PathBuf>,
}

/// A Docker engine that may come and go.
pub(super) struct Engine {
    endpoint: Endpoint,
    /// Set once the version of the API is agreed on.
    client: Mutex<Option<Docker>>,
    /// Why the last call did not reach it.
    outage: Mutex<Option<String>>,
    /// How many calls did not reach it.
    unreached: AtomicU64,
}

impl Engine {
    pub(super) fn new(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            client: Mutex::default(),
            outage: Mutex::default(),
            unreached: AtomicU64::default(),
        }
    }

    /// The client; the first one agrees with the engine on a version of the API, and so does the first
    /// one after an outage: another engine may have come back.
    ///
    /// # Errors
    /// [`Error::Unavailable`] while the engine is not there.
    pub(super) async fn client(&self) -> Result<Docker, Error> {
        if let Some(client) = lock(&self.client).clone() {
            return Ok(client);
        }
        let client = self.open().map_err(|error| self.failed("cannot use its address", &error))?;
        let limit = Duration::from_millis(NEGOTIATE_MS_MAX);
        let negotiated = timeout(limit, client.negotiate_version()).await;
        let negotiated = negotiated.unwrap_or(Err(errors::Error::RequestTimeoutError));
        let client = self.told("cannot agree on a version with the Docker engine", negotiated)?;
        *lock(&self.client) = Some(client.clone());
        Ok(client)
    }

    fn open(&self) -> Result<Docker, errors::Error> {
        let Endpoint { address, certificates } = &self.endpoint;
        let is_tcp = address.starts_with("tcp://");
        match certificates {
            Some(folder) if is_tcp => Docker::connect_with_ssl(
                address,
                &folder.join("key.pem"),
                &folder.join("cert.pem"),
                &folder.join("ca.pem"),
                ANSWER_SECONDS_MAX,
                API_DEFAULT_VERSION,
            ),
            None if is_tcp => {
                Docker::connect_with_http(address, ANSWER_SECONDS_MAX, API_DEFAULT_VERSION)
            }
            _ if address.starts_with("unix://") => {
                Docker::connect_with_unix(address, ANSWER_SECONDS_MAX, API_DEFAULT_VERSION)
            }
            _ => Err(errors::Error::UnsupportedURISchemeError { uri: address.clone() }),
        }
    }

    /// Takes in the engine's answer to a call.
    pub(super) fn told<T>(
        &self,
        doing: impl Into<String>,
        answer: Result<T, errors::Error>,
    ) -> Result<T, Error> {
        match answer {
            Ok(answer) => {
                lock(&self.outage).take();
                Ok(answer)
            }
            Err(error) => Err(self.failed(doing, &error)),
        }
    }

    fn failed(&self, doing: impl Into<String>, error: &errors::Error) -> Error {
        if is_unreachable(error) {
            let text = format!("{}: {}", self.endpoint.address, in_words(error));
            *lock(&self.outage) = Some(text.clone());
            lock(&self.client).take();
            self.unreached.fetch_add(1, Ordering::Relaxed);
            return Error::Unavailable(text);
        }
        lock(&self.outage).take();
        Error::Host { doing: doing.into(), source: io::Error::other(in_words(error)) }
    }

    /// Why the last call did not reach the engine.
    pub(super) fn outage(&self) -> Option<String> {
        lock(&self.outage).clone()
    }

    /// How many calls did not reach the engine so far.
    pub(super) fn unreached(&self) -> u64 {
        self.unreached.load(Ordering::Relaxed)
    }
}

/// Takes an answer of "no such thing" for none.
pub(super) fn optional<T>(answer: Result<T, errors::Error>) -> Result<Option<T>, errors::Error> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if status_of(&error) == Some(404) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The HTTP status with which the engine refused.
pub(super) fn status_of(error: &errors::Error) -> Option<u16> {
    match error {
        errors::Error::DockerResponseServerError { status_code, .. } => Some(*status_code),
        _ => None,
    }
}

/// Tells whether a call did not get to the engine, or its answer not back.
fn is_unreachable(error: &errors::Error) -> bool {
    matches!(
        error,
        errors::Error::SocketNotFoundError(_)
            | errors::Error::RequestTimeoutError
            | errors::Error::IOError { .. }
            | errors::Error::HyperResponseError { .. }
            | errors::Error::HyperLegacyError { .. }
    )
}

/// What the engine said, or what went wrong on the way with all its causes.
fn in_words(error: &errors::Error) -> String {
    if let errors::Error::DockerResponseServerError { message, .. } = error {
        return message.clone();
    }
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn engine(address: &str) -> Engine {
        Engine::new(Endpoint { address: address.to_owned(), certificates: None })
    }

    #[tokio::test]
    async fn an_engine_that_is_not_there_is_unavailable_and_said_so() {
        for address in ["unix:///nowhere/docker.sock", "tcp://127.0.0.1:1"] {
            let engine = engine(address);
            assert_eq!(engine.outage(), None);
            let error = engine.client().await.unwrap_err();
            assert!(matches!(error, Error::Unavailable(_)), "{error}");
            assert!(engine.outage().unwrap().contains(address), "{:?}", engine.outage());
        }
    }

    #[tokio::test]
    async fn an_address_of_another_kind_is_refused() {
        let error = engine("ssh://somewhere").client().await.unwrap_err();
        assert!(matches!(error, Error::Host { .. }), "{error}");
    }
}
