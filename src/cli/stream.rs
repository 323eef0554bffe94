//! Follows a stream of the server across disconnects and restarts: no gap, no repeat.

use std::pin::Pin;
use std::time::{Duration, Instant};

use bytes::Bytes;
use eventsource_stream::{Event, EventStreamError, Eventsource as _};
use futures::{Stream, StreamExt as _};
use reqwest::Response;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use serde::Deserialize;

use super::client::{Call, Client};
use super::error::{Error, Exit, Result};

/// The wait before the first attempt to connect again, unless the server says another.
const RETRY_DEFAULT: Duration = Duration::from_secs(1);

/// The longest wait between two attempts.
const RETRY_MAX: Duration = Duration::from_secs(15);

/// How long a server may be gone before a stream that was open is given up.
const ABSENCE_MAX: Duration = Duration::from_mins(10);

/// The longest line of a stream, in bytes: the longest line of a run, escaped, and to spare.
const LINE_BYTES_MAX: usize = 256 * 1024 * 1024;

/// The most often the wait doubles.
const DOUBLINGS_MAX: u32 = 8;

/// The frames that the server sends about the stream itself.
const HEARTBEAT: &str = "heartbeat";
const READY: &str = "stream.ready";
const RESET: &str = "stream.reset";
const END: &str = "stream.end";

/// Why a stream ends of which nothing more will come.
const FINISHED: &str = "finished";

/// A stream that is followed.
pub struct Follow<'c> {
    client: &'c Client,
    call: Call,
    numbered: Numbered,
    last_id: Option<u64>,
    live: Option<Live>,
    retry: Duration,
    /// Attempts to connect since the last frame.
    attempts: u32,
    /// When the stream was lost; none before it was ever open.
    lost_at: Option<Instant>,
}

type Live = Pin<Box<dyn Stream<Item = Result<Event, EventStreamError<BodyError>>>>>;

/// Which frames of a stream carry a number of their own.
///
/// The parser hands the last number on to frames that have none, so it cannot tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Numbered {
    /// Those with this name.
    Only(&'static str),
    /// All that are not about the stream itself.
    All,
}

/// What frames about the stream itself say.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Control {
    reason: Option<String>,
    seq: Option<u64>,
    position: Option<u64>,
}

/// What happens to a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// It is open, or open again.
    Open,
    /// It broke off; it will be opened again.
    Lost,
    /// The server does not know the last frame that came, as after a backup was restored, and says
    /// where it goes on instead.
    Reset,
    /// A frame came.
    Frame(Frame),
}

/// One thing that the server sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Its number, if frames of its kind have one.
    pub id: Option<u64>,
    /// Its name.
    pub event: String,
    /// Its JSON.
    pub data: String,
}

impl<'c> Follow<'c> {
    /// Follows what `call` opens; `after` is the number of the last frame that is known already.
    pub fn new(client: &'c Client, call: Call, numbered: Numbered, after: Option<u64>) -> Self {
        Self {
            client,
            call,
            numbered,
            last_id: after,
            live: None,
            retry: RETRY_DEFAULT,
            attempts: 0,
            lost_at: None,
        }
    }

    /// Waits for what happens next; none is the end that the server announced.
    ///
    /// # Errors
    /// When the stream cannot be opened the first time, when the server refuses it, or when the
    /// server is gone for longer than [`ABSENCE_MAX`].
    pub async fn next(&mut self) -> Result<Option<Step>> {
        loop {
            let Some(live) = &mut self.live else {
                self.connect().await?;
                return Ok(Some(Step::Open));
            };
            let Some(Ok(event)) = live.next().await else {
                self.lose();
                return Ok(Some(Step::Lost));
            };
            match event.event.as_str() {
                READY | HEARTBEAT => {}
                RESET | END => {
                    let control = serde_json::from_str(&event.data).unwrap_or_default();
                    return Ok(self.obey(&event.event, &control));
                }
                _ => {
                    if let Some(frame) = self.take(event) {
                        return Ok(Some(Step::Frame(frame)));
                    }
                }
            }
        }
    }

    /// Does what a control frame says; none is the end.
    fn obey(&mut self, event: &str, control: &Control) -> Option<Step> {
        match (event, control.seq.or(control.position), control.reason.as_deref()) {
            (END, _, Some(FINISHED) | None) => None,
            (RESET, Some(last_id), _) => {
                self.last_id = Some(last_id);
                Some(Step::Reset)
            }
            // The server stops, or cannot keep up: it is there again soon, or another is.
            _ => {
                self.lose();
                Some(Step::Lost)
            }
        }
    }

    fn lose(&mut self) {
        self.live = None;
        self.lost_at.get_or_insert_with(Instant::now);
    }

    /// Gives the frame, unless it came already.
    fn take(&mut self, event: Event) -> Option<Frame> {
        self.attempts = 0;
        self.lost_at = None;
        let has_number = match self.numbered {
            Numbered::Only(name) => event.event == name,
            Numbered::All => true,
        };
        let id = event.id.parse().ok().filter(|_| has_number);
        if let Some(id) = id {
            if self.last_id.is_some_and(|last| id <= last) {
                return None;
            }
            self.last_id = Some(id);
        }
        Some(Frame { id, event: event.event, data: event.data })
    }

    async fn connect(&mut self) -> Result<()> {
        loop {
            if self.lost_at.is_some() {
                tokio::time::sleep(self.pause()).await;
                self.attempts += 1;
            }
            match self.open().await {
                Ok(live) => {
                    self.live = Some(live);
                    return Ok(());
                }
                Err(error) if self.is_final(&error) => return Err(error),
                Err(_) => {}
            }
        }
    }

    async fn open(&mut self) -> Result<Live> {
        let mut headers = HeaderMap::new();
        if let Some(id) = self.last_id {
            headers.insert(HeaderName::from_static("last-event-id"), HeaderValue::from(id));
        }
        let mut response = self.client.stream(&self.call, headers).await?;
        // The parser forgets a `retry:` that stands alone, and there the server puts it: first.
        let first = response.chunk().await.ok().flatten().unwrap_or_default();
        self.retry = retry(&first).unwrap_or(self.retry).min(RETRY_MAX);
        Ok(Box::pin(whole_lines(first, response).eventsource()))
    }

    fn is_final(&self, error: &Error) -> bool {
        let is_absence = error.exit() == Some(Exit::Unreachable);
        !is_absence || self.lost_at.is_none_or(|at| at.elapsed() > ABSENCE_MAX)
    }

    /// The wait before the next attempt: doubled each time, and never the same for two clients.
    fn pause(&self) -> Duration {
        let doubled = self.retry.saturating_mul(1 << self.attempts.min(DOUBLINGS_MAX));
        doubled.min(RETRY_MAX).mul_f64(rand::random_range(0.5..=1.0))
    }
}

/// Why the body of a stream is not read on.
#[derive(Debug, thiserror::Error)]
enum BodyError {
    #[error(transparent)]
    Http(#[from] reqwest::Error),
    #[error("a line has more than {LINE_BYTES_MAX} bytes")]
    TooLong,
}

/// Gives the parser nothing but whole lines: it looks through an unfinished one again with every
/// chunk that comes.
fn whole_lines(
    first: Bytes,
    mut response: Response,
) -> impl Stream<Item = Result<Vec<u8>, BodyError>> {
    async_stream::try_stream! {
        let mut held = Vec::new();
        let mut chunk = Some(first);
        while let Some(bytes) = chunk {
            let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
            held.extend_from_slice(&bytes[..whole]);
            if whole > 0 {
                yield std::mem::take(&mut held);
            }
            held.extend_from_slice(&bytes[whole..]);
            if held.len() > LINE_BYTES_MAX {
                Err(BodyError::TooLong)?;
            }
            chunk = response.chunk().await?;
        }
    }
}

/// The wait that the first line of a stream asks for.
fn retry(first: &[u8]) -> Option<Duration> {
    let line = first.split(|byte| *byte == b'\n').next()?;
    let millis = str::from_utf8(line).ok()?.strip_prefix("retry:")?.trim().parse().ok()?;
    Some(Duration::from_millis(millis))
}

#[cfg(test)]
mod tests;
