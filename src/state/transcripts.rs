//! Transcripts: every line that a run has written, numbered by its supervisor.
//!
//! Lines are kept in compressed chunks addressed by `(execution, seq)`. Appending lines that are
//! there already changes nothing, so a tail can be read again after any interruption; a gap is
//! refused. Whoever waits for new lines of a run is told in process; on another node of the same
//! Postgres database one looks again after [`FOREIGN_POLL`].

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use trinity_agent_protocol::OutputLine;

use crate::db::{Db, Statement};
use crate::domain::ExecutionId;

/// How many bytes of lines one chunk holds before compression, unless a single line is longer.
pub const CHUNK_BYTES_MAX: usize = 1024 * 1024;
/// How many lines one read answers with at most.
pub const READ_LINES_MAX: usize = 1_000;
/// How many bytes of lines one read answers with, unless a single line is longer.
pub const READ_BYTES_MAX: usize = 8 * 1024 * 1024;
/// How often a reader looks for lines that another node has stored.
pub const FOREIGN_POLL: Duration = Duration::from_millis(500);
/// A last chunk that is smaller than this, compressed, is packed again together with the lines that
/// follow it: output that comes line by line does not end up in as many chunks.
pub const REPACK_BYTES_MAX: usize = 8 * 1024;
/// How many chunks are read at once.
const CHUNKS_MAX: i64 = 4;
/// zstd's own default: good and fast.
const COMPRESSION_LEVEL: i32 = 3;

/// Why lines could not be stored or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database did not do it.
    #[error(transparent)]
    Db(#[from] crate::db::Error),
    /// Lines are missing before those that were to be stored.
    #[error("line {found} was to be stored after line {last}")]
    Gap {
        /// The last line that is stored.
        last: u64,
        /// The first line that was to be stored.
        found: u64,
    },
    /// A chunk cannot be read.
    #[error("the stored output of execution {0} is damaged")]
    Damaged(ExecutionId, #[source] io::Error),
}

/// The transcripts of this installation. A clone is another handle to the same.
#[derive(Debug, Clone)]
pub struct Transcripts {
    db: Db,
    readers: Arc<Mutex<HashMap<ExecutionId, watch::Sender<u64>>>>,
}

impl Transcripts {
    pub(super) fn new(db: Db) -> Self {
        Self { db, readers: Arc::default() }
    }

    /// Stores lines in order; those that are stored already are passed over.
    pub async fn append(&self, id: ExecutionId, lines: &[OutputLine]) -> Result<(), Error> {
        let Some(newest) = lines.last().map(|line| line.seq) else { return Ok(()) };
        let mut known = self.last_seq(id).await?;
        while known < newest {
            let fresh = lines.iter().filter(|line| line.seq > known);
            let found = fresh.clone().next().map_or(newest, |line| line.seq);
            if found != known + 1 {
                return Err(Error::Gap { last: known, found });
            }
            let repacked = self.small_last_chunk(id, known).await?;
            let together: Vec<_> = repacked.iter().chain(fresh).collect();
            if self.db.transaction(statements(id, known, newest, &together)?).await? {
                break;
            }
            // Somebody else has stored some of them meanwhile.
            known = self.last_seq(id).await?;
        }
        self.tell(id, newest);
        Ok(())
    }

    /// The lines of the last chunk, when it ends at `last_seq` and is small.
    async fn small_last_chunk(
        &self,
        id: ExecutionId,
        last_seq: u64,
    ) -> Result<Vec<OutputLine>, Error> {
        let find = Statement::new(
            "SELECT last_seq, CASE WHEN length(body) < $2 THEN body END FROM transcript_chunks \
             WHERE execution_id = $1 ORDER BY first_seq DESC LIMIT 1",
        );
        let find = find.with(id.0).with(REPACK_BYTES_MAX as u64);
        let Some(mut row) = self.db.query(find).await?.pop() else { return Ok(Vec::new()) };
        let (ends_at, body): (u64, Option<Vec<u8>>) = (row.take()?, row.take()?);
        body.filter(|_| ends_at == last_seq).map_or(Ok(Vec::new()), |body| unpack(id, &body))
    }

    /// The number of the last stored line; 0 before the first.
    pub async fn last_seq(&self, id: ExecutionId) -> Result<u64, Error> {
        let find = Statement::new("SELECT last_seq FROM transcripts WHERE execution_id = $1");
        let found: Vec<u64> = self.db.fetch_column(find.with(id.0)).await?;
        Ok(found.first().copied().unwrap_or_default())
    }

    /// The lines after `after`, oldest first, at most `limit` and within the bounds of one read.
    pub async fn after(
        &self,
        id: ExecutionId,
        after: u64,
        limit: usize,
    ) -> Result<Vec<OutputLine>, Error> {
        let limit = limit.min(READ_LINES_MAX);
        let (mut lines, mut bytes, mut last) = (Vec::new(), 0, after);
        loop {
            let find = Statement::new(
                "SELECT body FROM transcript_chunks WHERE execution_id = $1 AND first_seq >= \
                 COALESCE((SELECT MAX(first_seq) FROM transcript_chunks \
                 WHERE execution_id = $1 AND first_seq <= $2), 0) ORDER BY first_seq LIMIT $3",
            );
            let chunks: Vec<Vec<u8>> =
                self.db.fetch_column(find.with(id.0).with(last + 1).with(CHUNKS_MAX)).await?;
            let before = last;
            for chunk in chunks {
                for line in unpack(id, &chunk)?.into_iter().filter(|line| line.seq > before) {
                    bytes += line.line.len();
                    if lines.len() == limit || (bytes > READ_BYTES_MAX && !lines.is_empty()) {
                        return Ok(lines);
                    }
                    last = line.seq;
                    lines.push(line);
                }
            }
            if last == before {
                return Ok(lines);
            }
        }
    }

    /// The last lines before `before` (from the end without it), oldest first, at most `limit` and
    /// within the bounds of one read.
    pub async fn before(
        &self,
        id: ExecutionId,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<OutputLine>, Error> {
        let last = self.last_seq(id).await?;
        let mut end = before.map_or(last, |before| before.saturating_sub(1).min(last));
        let limit = limit.min(READ_LINES_MAX);
        let (mut lines, mut bytes) = (Vec::new(), 0);
        'read: while end > 0 {
            let find = Statement::new(
                "SELECT body FROM transcript_chunks WHERE execution_id = $1 AND first_seq <= $2 \
                 ORDER BY first_seq DESC LIMIT $3",
            );
            let chunks: Vec<Vec<u8>> =
                self.db.fetch_column(find.with(id.0).with(end).with(CHUNKS_MAX)).await?;
            if chunks.is_empty() {
                break;
            }
            for chunk in chunks {
                for line in unpack(id, &chunk)?.into_iter().rev() {
                    if line.seq > end {
                        continue;
                    }
                    bytes += line.line.len();
                    if lines.len() == limit || (bytes > READ_BYTES_MAX && !lines.is_empty()) {
                        break 'read;
                    }
                    end = line.seq - 1;
                    lines.push(line);
                }
            }
        }
        lines.reverse();
        Ok(lines)
    }

    /// Stores a whole answer that is too long for an event; gives the reference for the event.
    pub async fn put_response(&self, id: ExecutionId, text: &str) -> Result<String, Error> {
        let body = pack(id, text.as_bytes())?;
        let put = Statement::new(
            "INSERT INTO transcript_responses (execution_id, body) VALUES ($1, $2) \
             ON CONFLICT (execution_id) DO UPDATE SET body = excluded.body",
        );
        self.db.execute(put.with(id.0).with(body)).await?;
        Ok(format!("response:{id}"))
    }

    /// The whole answer of an execution whose event holds only its beginning.
    pub async fn response(&self, id: ExecutionId) -> Result<Option<String>, Error> {
        let find = Statement::new("SELECT body FROM transcript_responses WHERE execution_id = $1");
        let found: Option<Vec<u8>> = self.db.fetch_column(find.with(id.0)).await?.pop();
        let Some(body) = found else { return Ok(None) };
        let text = zstd::decode_all(&body[..]).map_err(|error| Error::Damaged(id, error))?;
        Ok(Some(String::from_utf8_lossy(&text).into_owned()))
    }

    /// Tells the number of the last line whenever it grows in this process.
    pub fn watch(&self, id: ExecutionId) -> watch::Receiver<u64> {
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        readers.retain(|_, sender| sender.receiver_count() > 0);
        readers.entry(id).or_insert_with(|| watch::channel(0).0).subscribe()
    }

    fn tell(&self, id: ExecutionId, last_seq: u64) {
        let readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = readers.get(&id) {
            sender.send_replace(last_seq);
        }
    }
}

/// Moves the end from `known` to `newest` and writes the chunks, all or nothing.
fn statements(
    id: ExecutionId,
    known: u64,
    newest: u64,
    lines: &[&OutputLine],
) -> Result<Vec<Statement>, Error> {
    let begin = Statement::new(
        "INSERT INTO transcripts (execution_id, last_seq) VALUES ($1, 0) ON CONFLICT DO NOTHING",
    );
    let advance = Statement::new(
        "UPDATE transcripts SET last_seq = $1 WHERE execution_id = $2 AND last_seq = $3",
    );
    let advance = advance.with(newest).with(id.0).with(known).expecting(1);
    let mut statements = vec![begin.with(id.0), advance];
    let mut rest = lines;
    while let (Some(first), (chunk, after)) = (rest.first(), split_chunk(rest)) {
        let last_seq = chunk.last().map_or(first.seq, |line| line.seq);
        let mut text = Vec::new();
        for line in chunk {
            serde_json::to_writer(&mut text, line)
                .map_err(|error| Error::Damaged(id, error.into()))?;
            text.push(b'\n');
        }
        let insert = Statement::new(
            "INSERT INTO transcript_chunks (execution_id, first_seq, last_seq, body) \
             VALUES ($1, $2, $3, $4) ON CONFLICT (execution_id, first_seq) \
             DO UPDATE SET last_seq = excluded.last_seq, body = excluded.body",
        );
        let insert = insert.with(id.0).with(first.seq).with(last_seq);
        statements.push(insert.with(pack(id, &text)?));
        rest = after;
    }
    Ok(statements)
}

/// As many lines as fit into one chunk, one at least, and the rest.
fn split_chunk<'l, 'o>(
    lines: &'l [&'o OutputLine],
) -> (&'l [&'o OutputLine], &'l [&'o OutputLine]) {
    let mut bytes = 0;
    let fits = lines.iter().take_while(|line| {
        bytes += line.line.len();
        bytes <= CHUNK_BYTES_MAX
    });
    let count = fits.count().max(1).min(lines.len());
    lines.split_at(count)
}

fn pack(id: ExecutionId, bytes: &[u8]) -> Result<Vec<u8>, Error> {
    zstd::encode_all(bytes, COMPRESSION_LEVEL).map_err(|error| Error::Damaged(id, error))
}

fn unpack(id: ExecutionId, body: &[u8]) -> Result<Vec<OutputLine>, Error> {
    let damaged = |error| Error::Damaged(id, error);
    let text = zstd::decode_all(body).map_err(damaged)?;
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let read = |line: &[u8]| serde_json::from_slice(line).map_err(|error| damaged(error.into()));
    lines.map(read).collect()
}
