//! Transcripts: every line that a run has written, numbered by its supervisor.
//!
//! Lines are kept in compressed chunks addressed by `(execution, seq)`; a read takes only the chunks
//! that it needs, from either end. Compressing and searching is done on threads that may block. Appending lines that are
//! there already changes nothing, so a tail can be read again after any interruption; a gap is
//! refused. Whoever waits for new lines of a run is told in process; on another node of the same
//! Postgres database one looks again after [`FOREIGN_POLL`].

mod chunk;

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
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
/// How many lines one search looks through at most.
pub const SEARCH_LINES_MAX: usize = 50_000;
/// How many bytes of lines one search looks through, unless a single chunk is larger.
pub const SEARCH_BYTES_MAX: usize = 32 * 1024 * 1024;
/// How many chunks are read at once when the first did not hold enough.
const CHUNKS_MAX: i64 = 4;

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

/// A transcript that nothing was added to for some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Old {
    /// Whose it is.
    pub id: ExecutionId,
    /// How many lines it has.
    pub lines: u64,
    /// When the last of them was written.
    pub last_at: DateTime<Utc>,
}

/// Lines that were searched for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Searched {
    /// The lines that fit, oldest first.
    pub lines: Vec<OutputLine>,
    /// The last line that was looked at.
    pub last_seq: u64,
}

impl Transcripts {
    pub(super) fn new(db: Db) -> Self {
        Self { db, readers: Arc::default() }
    }

    /// Stores lines in order; those that are stored already are passed over.
    pub async fn append(&self, id: ExecutionId, lines: &[OutputLine]) -> Result<(), Error> {
        let Some((newest, last_at)) = lines.last().map(|line| (line.seq, line.at)) else {
            return Ok(());
        };
        loop {
            let (known, small) = self.end(id).await?;
            if known >= newest {
                break;
            }
            let fresh = lines.iter().filter(|line| line.seq > known);
            let found = fresh.clone().next().map_or(newest, |line| line.seq);
            if found != known + 1 {
                return Err(Error::Gap { last: known, found });
            }
            let mut together = match small {
                Some(body) => chunk::blocking(id, move || chunk::unpack(id, &body)).await?,
                None => Vec::new(),
            };
            together.extend(fresh.cloned());
            let packed = chunk::blocking(id, move || chunk::pack_lines(id, &together)).await?;
            if self.db.transaction(statements(id, known, (newest, last_at), packed)).await? {
                let bytes = lines.iter().map(|line| line.line.len() as u64).sum();
                metrics::counter!("trinity_transcript_bytes_total").increment(bytes);
                break;
            }
            // Somebody else has stored some of them meanwhile.
        }
        self.tell(id, newest);
        Ok(())
    }

    /// The number of the last stored line, with the body of its chunk when that is small.
    async fn end(&self, id: ExecutionId) -> Result<(u64, Option<Vec<u8>>), Error> {
        let find = Statement::new(
            "SELECT last_seq, (SELECT body FROM transcript_chunks AS c \
                 WHERE c.execution_id = t.execution_id AND c.last_seq = t.last_seq \
                     AND length(body) < $2 ORDER BY first_seq DESC LIMIT 1) \
             FROM transcripts AS t WHERE execution_id = $1",
        );
        let find = find.with(id.0).with(REPACK_BYTES_MAX as u64);
        let Some(mut row) = self.db.query(find).await?.pop() else { return Ok((0, None)) };
        Ok((row.take()?, row.take()?))
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
        let mut read = chunk::Read::new(limit.min(READ_LINES_MAX), READ_BYTES_MAX);
        let (mut last, mut chunks) = (after, 1);
        while !read.is_full() {
            let found = self.chunks_after(id, last, chunks).await?;
            if found.is_empty() {
                break;
            }
            let before = last;
            (read, last) = chunk::blocking(id, move || read.forwards(id, &found, before)).await?;
            if last == before {
                break;
            }
            chunks = CHUNKS_MAX;
        }
        Ok(read.lines)
    }

    /// The chunk that the line after `last` is in, and those that follow it.
    async fn chunks_after(
        &self,
        id: ExecutionId,
        last: u64,
        chunks: i64,
    ) -> Result<Vec<Vec<u8>>, Error> {
        let find = Statement::new(
            "SELECT body FROM transcript_chunks WHERE execution_id = $1 AND first_seq >= \
             COALESCE((SELECT MAX(first_seq) FROM transcript_chunks \
             WHERE execution_id = $1 AND first_seq <= $2), 0) ORDER BY first_seq LIMIT $3",
        );
        Ok(self.db.fetch_column(find.with(id.0).with(last + 1).with(chunks)).await?)
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
        let mut read = chunk::Read::new(limit.min(READ_LINES_MAX), READ_BYTES_MAX);
        let mut chunks = 1;
        while end > 0 && !read.is_full() {
            let find = Statement::new(
                "SELECT body FROM transcript_chunks WHERE execution_id = $1 AND first_seq <= $2 \
                 ORDER BY first_seq DESC LIMIT $3",
            );
            let found: Vec<Vec<u8>> =
                self.db.fetch_column(find.with(id.0).with(end).with(chunks)).await?;
            if found.is_empty() {
                break;
            }
            (read, end) = chunk::blocking(id, move || read.backwards(id, &found, end)).await?;
            chunks = CHUNKS_MAX;
        }
        read.lines.reverse();
        Ok(read.lines)
    }

    /// The lines after `after` that fit, oldest first, at most `limit`, and how far it was looked:
    /// no further than [`SEARCH_LINES_MAX`] lines and [`SEARCH_BYTES_MAX`] bytes.
    pub async fn search(
        &self,
        id: ExecutionId,
        after: u64,
        limit: usize,
        fits: Arc<dyn Fn(&OutputLine) -> bool + Send + Sync>,
    ) -> Result<Searched, Error> {
        let mut search = chunk::Search::new(after, limit.min(READ_LINES_MAX));
        loop {
            let found = self.chunks_after(id, search.last_seq, 1).await?;
            if found.is_empty() {
                break;
            }
            let (before, fits) = (search.last_seq, Arc::clone(&fits));
            search = chunk::blocking(id, move || search.go_on(id, &found, &*fits)).await?;
            if search.is_done() || search.last_seq == before {
                break;
            }
        }
        Ok(Searched { lines: search.lines, last_seq: search.last_seq })
    }

    /// Transcripts whose last line is older than `before`, the oldest first, after a place.
    pub async fn older_than(
        &self,
        before: DateTime<Utc>,
        place: Option<(DateTime<Utc>, ExecutionId)>,
        limit: u32,
    ) -> Result<Vec<Old>, Error> {
        let (at, id) = place
            .map_or((i64::MIN, String::new()), |(at, id)| (at.timestamp_micros(), id.to_string()));
        let find = Statement::new(
            "SELECT execution_id, last_seq, last_at FROM transcripts \
             WHERE last_at < $1 AND (last_at, execution_id) > ($2, $3) \
             ORDER BY last_at, execution_id LIMIT $4",
        );
        let find = find.with(before).with(at).with(id).with(limit);
        let old = |mut row: crate::db::Row| {
            Ok(Old { id: ExecutionId(row.take()?), lines: row.take()?, last_at: row.take()? })
        };
        self.db.query(find).await?.into_iter().map(old).collect()
    }

    /// How many bytes a transcript takes, compressed, with the whole answer if it is kept.
    pub async fn stored_bytes(&self, id: ExecutionId) -> Result<u64, Error> {
        let find = Statement::new(
            "SELECT CAST((SELECT COALESCE(SUM(length(body)), 0) FROM transcript_chunks \
             WHERE execution_id = $1) + (SELECT COALESCE(SUM(length(body)), 0) \
             FROM transcript_responses WHERE execution_id = $1) AS BIGINT)",
        );
        let found: Vec<u64> = self.db.fetch_column(find.with(id.0)).await?;
        Ok(found.first().copied().unwrap_or_default())
    }

    /// Removes a transcript, and the whole answer with it; once more changes nothing.
    pub async fn remove(&self, id: ExecutionId) -> Result<(), Error> {
        let of = |table: &str| {
            Statement::new(format!("DELETE FROM {table} WHERE execution_id = $1")).with(id.0)
        };
        let tables = ["transcript_chunks", "transcript_responses", "transcripts"];
        self.db.transaction(tables.map(of).to_vec()).await?;
        Ok(())
    }

    /// Stores a whole answer that is too long for an event; gives the reference for the event.
    pub async fn put_response(&self, id: ExecutionId, text: &str) -> Result<String, Error> {
        let bytes = text.as_bytes().to_vec();
        let body = chunk::blocking(id, move || chunk::pack(id, &bytes)).await?;
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
        let text = chunk::blocking(id, move || chunk::expand(id, &body)).await?;
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
    (newest, last_at): (u64, DateTime<Utc>),
    packed: Vec<chunk::Packed>,
) -> Vec<Statement> {
    let begin = (known == 0).then(|| {
        let insert = "INSERT INTO transcripts (execution_id, last_seq, last_at) VALUES ($1, 0, 0) \
                      ON CONFLICT DO NOTHING";
        Statement::new(insert).with(id.0)
    });
    let advance = Statement::new(
        "UPDATE transcripts SET last_seq = $1, last_at = $2 \
         WHERE execution_id = $3 AND last_seq = $4",
    );
    let advance = advance.with(newest).with(last_at).with(id.0).with(known).expecting(1);
    let write = |chunk::Packed { first_seq, last_seq, body }| {
        let insert = Statement::new(
            "INSERT INTO transcript_chunks (execution_id, first_seq, last_seq, body) \
             VALUES ($1, $2, $3, $4) ON CONFLICT (execution_id, first_seq) \
             DO UPDATE SET last_seq = excluded.last_seq, body = excluded.body",
        );
        insert.with(id.0).with(first_seq).with(last_seq).with(body)
    };
    begin.into_iter().chain([advance]).chain(packed.into_iter().map(write)).collect()
}
