//! The client of an agent server, over the byte stream that its host opens.
//!
//! One HTTP/2 connection carries every call and every followed output of an agent. It is opened at
//! the first call and again when it has broken.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::Stream;
use futures::stream::{TryStreamExt as _, try_unfold};
use http_body_util::{BodyDataStream, BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper::{Method, Request, Response, StatusCode, header};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::Mutex;
use tokio::time::timeout;
use trinity_agent_protocol::{
    ErrorBody, ErrorCode, ExecutionStatus, FileEntry, FilePage, FileQuery, FilesQuery, Info,
    KeptFiles, OUTPUT_LINE_WIRE_BYTES_MAX, OutputLine, PROTOCOL_VERSION, ShutdownRequest,
    StartRequest, StopRequest, paths,
};
use uuid::Uuid;

use super::{AgentHost, ByteStream, errand};

/// How long opening a connection may take.
const CONNECT_MS_MAX: u64 = 5_000;

/// How long the head of an answer may take. A start waits for the process to be there.
const ANSWER_MS_MAX: u64 = 30_000;

/// How many bytes an answer that is no output may have.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// How often a call is sent: a second time when the connection turns out to be dead.
const ATTEMPTS_MAX: usize = 2;

/// How often the other side is asked for a sign of life, and how long that may take.
const PING_MS: u64 = 10_000;

/// How many bytes of one output may wait for their reader.
const STREAM_WINDOW_BYTES: u32 = 1024 * 1024;

/// How many bytes may wait on one connection: so many that one slow reader delays no other.
const CONNECTION_WINDOW_BYTES: u32 = 256 * 1024 * 1024;

/// Why a call to an agent server gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No answer: it is not there, frozen, or the connection broke. The call may have arrived.
    #[error("cannot reach the agent server: {0}")]
    Unreachable(String),
    /// An answer that makes no sense, or of a protocol that is not spoken here.
    #[error("cannot understand the agent server: {0}")]
    Protocol(String),
    /// It says no, and why.
    #[error("{0}")]
    Refused(ErrorBody),
}

impl Error {
    /// Tells whether there was no answer at all.
    pub fn is_silence(&self) -> bool {
        matches!(self, Self::Unreachable(_))
    }

    /// Gives the word of a refusal.
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Refused(body) => Some(body.code),
            Self::Unreachable(_) | Self::Protocol(_) => None,
        }
    }
}

/// Whether a start made something new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Started {
    /// This call started it.
    Now,
    /// An earlier call did.
    Already,
}

/// The lines of an output; ends after the last one, or with an error when the connection breaks.
pub type OutputStream = Pin<Box<dyn Stream<Item = Result<OutputLine, Error>> + Send>>;

/// The content of a file as it comes over the link.
pub struct FileContent {
    /// The version that it is of.
    pub etag: String,
    /// How long it is.
    pub size_bytes: u64,
    /// The bytes; ends with an error when there turn out to be fewer.
    pub bytes: Pin<Box<dyn Stream<Item = Result<Bytes, Error>> + Send>>,
}

/// Whether a write made a file that was not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// It was not there.
    Fresh,
    /// It was.
    Replaced,
}

/// Which lines of an output to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lines {
    /// At most so many of those that are there.
    AtMost(u64),
    /// All there are and all that come, until the execution has ended.
    Follow,
}

/// A client of one agent's server. Clones share one connection.
#[derive(Clone)]
pub struct Link {
    host: Arc<dyn AgentHost>,
    incarnation: Uuid,
    connection: Arc<Mutex<Option<Connection>>>,
    errand: errand::Current,
}

impl Link {
    /// Makes a client; the connection is opened at the first call.
    pub fn new(host: Arc<dyn AgentHost>, incarnation: Uuid) -> Self {
        Self { host, incarnation, connection: Arc::default(), errand: errand::Current::default() }
    }

    /// The errand that is under way there, if one is.
    pub fn errand(&self) -> &errand::Current {
        &self.errand
    }

    /// Asks who serves; an answer also means that it does.
    ///
    /// # Errors
    /// [`Error::Protocol`] when it speaks neither this protocol nor the one before, or serves
    /// another agent.
    pub async fn info(&self) -> Result<Info, Error> {
        let info: Info = self.call(Method::GET, paths::INFO, Bytes::new()).await?;
        if !(PROTOCOL_VERSION - 1..=PROTOCOL_VERSION).contains(&info.protocol) {
            let text = format!("it speaks protocol {}, not {PROTOCOL_VERSION}", info.protocol);
            return Err(Error::Protocol(text));
        }
        if info.incarnation != self.incarnation.to_string() {
            return Err(Error::Protocol(format!("it serves agent {}", info.incarnation)));
        }
        Ok(info)
    }

    /// Lists every execution that has a state folder, without the tails of stderr.
    pub async fn executions(&self) -> Result<Vec<ExecutionStatus>, Error> {
        self.call(Method::GET, paths::EXECUTIONS, Bytes::new()).await
    }

    /// Starts an execution, once for each epoch.
    pub async fn start(
        &self,
        id: &str,
        request: &StartRequest,
    ) -> Result<(Started, ExecutionStatus), Error> {
        let answer = self.send(Method::PUT, &paths::execution(id), encode(request)?).await?;
        let started = match answer.status() {
            StatusCode::CREATED => Started::Now,
            _ => Started::Already,
        };
        Ok((started, read(answer).await?))
    }

    /// Shows one execution or its tombstone; `None` when it is not known there.
    pub async fn status(&self, id: &str) -> Result<Option<ExecutionStatus>, Error> {
        match self.call(Method::GET, &paths::execution(id), Bytes::new()).await {
            Ok(status) => Ok(Some(status)),
            Err(error) if error.code() == Some(ErrorCode::NotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Stops an execution; an unknown one leaves a tombstone.
    pub async fn stop(&self, id: &str, request: &StopRequest) -> Result<ExecutionStatus, Error> {
        self.call(Method::POST, &paths::stop(id), encode(request)?).await
    }

    /// Forgets an execution that has ended. Forgetting an unknown one is a no-op.
    pub async fn delete(&self, id: &str) -> Result<(), Error> {
        match self.send(Method::DELETE, &paths::execution(id), Bytes::new()).await {
            Ok(_) => Ok(()),
            Err(error) if error.code() == Some(ErrorCode::NotFound) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Reads the output of an execution after line `after`.
    pub async fn output(&self, id: &str, after: u64, lines: Lines) -> Result<OutputStream, Error> {
        let path = match lines {
            Lines::AtMost(limit) => paths::output(id, after, limit),
            Lines::Follow => paths::follow(id, after),
        };
        let answer = self.send(Method::GET, &path, Bytes::new()).await?;
        let reader = LineReader { body: answer.into_body(), buffer: BytesMut::new(), searched: 0 };
        Ok(Box::pin(try_unfold(reader, |mut reader| async move {
            Ok(reader.next().await?.map(|line| (line, reader)))
        })))
    }

    /// Writes the files that the platform keeps in the workspace, these and no others.
    pub async fn put_kept_files(&self, files: &KeptFiles) -> Result<(), Error> {
        self.send(Method::PUT, paths::KEPT_FILES, encode(files)?).await.map(drop)
    }

    /// Lists a folder of the workspace, one page of it.
    pub async fn files(&self, query: &FilesQuery) -> Result<FilePage, Error> {
        self.call(Method::GET, &with_query(paths::FILES, query)?, Bytes::new()).await
    }

    /// Reads a file of the workspace.
    pub async fn read_file(&self, query: &FileQuery) -> Result<FileContent, Error> {
        let path = with_query(paths::FILE_CONTENT, query)?;
        let answer = self.send(Method::GET, &path, Bytes::new()).await?;
        let text = |name| answer.headers().get(name).and_then(|value| value.to_str().ok());
        let etag = text(header::ETAG).map(str::to_owned);
        let size = text(header::CONTENT_LENGTH).and_then(|length| length.parse().ok());
        let (Some(etag), Some(size_bytes)) = (etag, size) else {
            return Err(Error::Protocol("it does not say which file it sends".into()));
        };
        let bytes = BodyDataStream::new(answer.into_body()).map_err(unreachable);
        Ok(FileContent { etag, size_bytes, bytes: Box::pin(bytes) })
    }

    /// Writes a file of the workspace in one piece.
    pub async fn write_file(
        &self,
        query: &FileQuery,
        content: Bytes,
    ) -> Result<(Written, FileEntry), Error> {
        let path = with_query(paths::FILE_CONTENT, query)?;
        let answer = self.send(Method::PUT, &path, content).await?;
        let written = match answer.status() {
            StatusCode::CREATED => Written::Fresh,
            _ => Written::Replaced,
        };
        Ok((written, read(answer).await?))
    }

    /// Removes a file or a folder of the workspace.
    pub async fn remove_file(&self, query: &FileQuery) -> Result<(), Error> {
        let path = with_query(paths::FILE_CONTENT, query)?;
        self.send(Method::DELETE, &path, Bytes::new()).await.map(drop)
    }

    /// Tells the agent server to stop every run and to end.
    pub async fn shutdown(&self, grace_ms: Option<u64>) -> Result<(), Error> {
        let body = encode(&ShutdownRequest { grace_ms })?;
        self.send(Method::POST, paths::SHUTDOWN, body).await.map(drop)
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<T, Error> {
        read(self.send(method, path, body).await?).await
    }

    /// Sends a call, again when the connection was dead: every call can be repeated.
    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<Response<Incoming>, Error> {
        let mut attempt = 1;
        loop {
            let (mut connection, is_fresh) = self.connection().await?;
            match connection.send(method.clone(), path, body.clone()).await {
                Err(Error::Unreachable(_)) if !is_fresh && attempt < ATTEMPTS_MAX => attempt += 1,
                other => return other,
            }
            self.connection.lock().await.take_if(|stored| stored.id == connection.id);
        }
    }

    async fn connection(&self) -> Result<(Connection, bool), Error> {
        let mut stored = self.connection.lock().await;
        if let Some(open) = stored.as_ref().filter(|open| !open.sender.is_closed()) {
            return Ok((open.clone(), false));
        }
        let limit = Duration::from_millis(CONNECT_MS_MAX);
        let opened = timeout(limit, async {
            let stream = self.host.connect(self.incarnation).await.map_err(unreachable)?;
            Connection::open(stream).await
        });
        let fresh = opened.await.map_err(unreachable)??;
        *stored = Some(fresh.clone());
        Ok((fresh, true))
    }
}

/// One open connection.
#[derive(Clone)]
struct Connection {
    id: Uuid,
    sender: SendRequest<Full<Bytes>>,
}

impl Connection {
    async fn open(stream: ByteStream) -> Result<Self, Error> {
        let (sender, driver) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .keep_alive_interval(Duration::from_millis(PING_MS))
            .keep_alive_timeout(Duration::from_millis(PING_MS))
            .keep_alive_while_idle(true)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(unreachable)?;
        tokio::spawn(async move {
            if let Err(error) = driver.await {
                tracing::debug!(%error, "the link to an agent server broke");
            }
        });
        Ok(Self { id: Uuid::new_v4(), sender })
    }

    async fn send(
        &mut self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<Response<Incoming>, Error> {
        let request = Request::builder()
            .method(method)
            .uri(format!("http://agent{path}"))
            .body(Full::new(body))
            .map_err(|error| Error::Protocol(error.to_string()))?;
        let limit = Duration::from_millis(ANSWER_MS_MAX);
        let answer = timeout(limit, self.sender.send_request(request)).await;
        let answer = answer.map_err(unreachable)?.map_err(unreachable)?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        let status = answer.status();
        match read(answer).await {
            Ok(body) => Err(Error::Refused(body)),
            Err(Error::Protocol(text)) => Err(Error::Protocol(format!("{status}: {text}"))),
            Err(error) => Err(error),
        }
    }
}

/// Asks over a stream of its own who serves; a stream that is joined to its server later may take
/// `wait` until then.
pub(super) async fn ask_who_serves(stream: ByteStream, wait: Duration) -> Result<Info, Error> {
    let asked = async {
        let mut connection = Connection::open(stream).await?;
        read(connection.send(Method::GET, paths::INFO, Bytes::new()).await?).await
    };
    timeout(wait, asked).await.map_err(unreachable)?
}

/// Tells a server over a stream of its own to stop every run and to end.
pub(super) async fn shut_down(stream: ByteStream, grace_ms: u64) -> Result<(), Error> {
    let limit = Duration::from_millis(CONNECT_MS_MAX);
    let mut connection = timeout(limit, Connection::open(stream)).await.map_err(unreachable)??;
    let body = encode(&ShutdownRequest { grace_ms: Some(grace_ms) })?;
    timeout(limit, connection.send(Method::POST, paths::SHUTDOWN, body))
        .await
        .map_err(unreachable)?
        .map(drop)
}

fn with_query(path: &str, query: &impl Serialize) -> Result<String, Error> {
    let query = serde_urlencoded::to_string(query);
    Ok(format!("{path}?{}", query.map_err(|error| Error::Protocol(error.to_string()))?))
}

fn encode(value: &impl Serialize) -> Result<Bytes, Error> {
    let body = serde_json::to_vec(value).map_err(|error| Error::Protocol(error.to_string()))?;
    Ok(body.into())
}

async fn read<T: DeserializeOwned>(answer: Response<Incoming>) -> Result<T, Error> {
    let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect();
    let limit = Duration::from_millis(ANSWER_MS_MAX);
    let body =
        timeout(limit, body).await.map_err(unreachable)?.map_err(|error| describe(&*error))?;
    serde_json::from_slice(&body.to_bytes()).map_err(|error| Error::Protocol(error.to_string()))
}

fn unreachable(error: impl std::error::Error) -> Error {
    describe(&error)
}

/// Names the whole chain of causes, since the outer ones say little.
fn describe(error: &dyn std::error::Error) -> Error {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    Error::Unreachable(text)
}

/// Splits a body into lines.
struct LineReader {
    body: Incoming,
    buffer: BytesMut,
    /// The buffer holds no newline before this.
    searched: usize,
}

impl LineReader {
    async fn next(&mut self) -> Result<Option<OutputLine>, Error> {
        loop {
            let fresh = &self.buffer[self.searched..];
            if let Some(end) = fresh.iter().position(|byte| *byte == b'\n') {
                let line = self.buffer.split_to(self.searched + end + 1);
                self.searched = 0;
                let parsed = serde_json::from_slice(&line);
                return parsed.map(Some).map_err(|error| Error::Protocol(error.to_string()));
            }
            self.searched = self.buffer.len();
            if self.searched > OUTPUT_LINE_WIRE_BYTES_MAX {
                return Err(Error::Protocol("a line of output is too long".into()));
            }
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.buffer.extend_from_slice(&data);
                    }
                }
                Some(Err(error)) => return Err(unreachable(error)),
                None if self.buffer.is_empty() => return Ok(None),
                None => return Err(Error::Unreachable("the output ended inside a line".into())),
            }
        }
    }
}
