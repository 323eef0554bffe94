//! Chunks: lines together, compressed; what takes time with them, for threads that may block.

use std::io;

use trinity_agent_protocol::OutputLine;

use super::{CHUNK_BYTES_MAX, Error, READ_BYTES_MAX, SEARCH_BYTES_MAX, SEARCH_LINES_MAX};
use crate::domain::ExecutionId;

/// zstd's own default: good and fast.
const COMPRESSION_LEVEL: i32 = 3;

/// A chunk as it is stored.
#[derive(Debug)]
pub(super) struct Packed {
    pub(super) first_seq: u64,
    pub(super) last_seq: u64,
    pub(super) body: Vec<u8>,
}

/// Lines on their way to a reader, within the bounds of one read.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) lines: Vec<OutputLine>,
    bytes: usize,
    limit: usize,
    bytes_max: usize,
    is_full: bool,
}

/// A search on its way through a transcript.
#[derive(Debug)]
pub(super) struct Search {
    pub(super) lines: Vec<OutputLine>,
    pub(super) last_seq: u64,
    limit: usize,
    found_bytes: usize,
    looked_at: usize,
    bytes: usize,
}

/// Does what takes the processor for long where no other task waits for it.
pub(super) async fn blocking<T: Send + 'static>(
    id: ExecutionId,
    job: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let done = tokio::task::spawn_blocking(job).await;
    done.map_err(|error| Error::Damaged(id, io::Error::other(error)))?
}

/// Compresses.
pub(super) fn pack(id: ExecutionId, bytes: &[u8]) -> Result<Vec<u8>, Error> {
    zstd::encode_all(bytes, COMPRESSION_LEVEL).map_err(|error| Error::Damaged(id, error))
}

/// What was compressed.
pub(super) fn expand(id: ExecutionId, body: &[u8]) -> Result<Vec<u8>, Error> {
    zstd::decode_all(body).map_err(|error| Error::Damaged(id, error))
}

/// Lines as chunks.
pub(super) fn pack_lines(id: ExecutionId, lines: &[OutputLine]) -> Result<Vec<Packed>, Error> {
    let mut packed = Vec::new();
    let mut rest = lines;
    while let (Some(first), (chunk, after)) = (rest.first(), split_chunk(rest)) {
        let mut text = Vec::new();
        for line in chunk {
            serde_json::to_writer(&mut text, line)
                .map_err(|error| Error::Damaged(id, error.into()))?;
            text.push(b'\n');
        }
        let (first_seq, last_seq) = (first.seq, chunk.last().map_or(first.seq, |line| line.seq));
        packed.push(Packed { first_seq, last_seq, body: pack(id, &text)? });
        rest = after;
    }
    Ok(packed)
}

/// As many lines as fit into one chunk, one at least, and the rest.
fn split_chunk(lines: &[OutputLine]) -> (&[OutputLine], &[OutputLine]) {
    let mut bytes = 0;
    let fits = lines.iter().take_while(|line| {
        bytes += line.line.len();
        bytes <= CHUNK_BYTES_MAX
    });
    let count = fits.count().max(1).min(lines.len());
    lines.split_at(count)
}

/// The lines of a chunk.
pub(super) fn unpack(id: ExecutionId, body: &[u8]) -> Result<Vec<OutputLine>, Error> {
    let text = expand(id, body)?;
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let read = |line: &[u8]| {
        serde_json::from_slice(line).map_err(|error| Error::Damaged(id, error.into()))
    };
    lines.map(read).collect()
}

impl Read {
    /// A read of at most so many lines and, unless one line is longer, so many bytes.
    pub(super) fn new(limit: usize, bytes_max: usize) -> Self {
        Self { lines: Vec::new(), bytes: 0, limit, bytes_max, is_full: limit == 0 }
    }

    /// Whether nothing more fits.
    pub(super) fn is_full(&self) -> bool {
        self.is_full
    }

    /// Takes the lines of these chunks that come after a line; tells the last one taken.
    pub(super) fn forwards(
        mut self,
        id: ExecutionId,
        chunks: &[Vec<u8>],
        after: u64,
    ) -> Result<(Self, u64), Error> {
        let mut last = after;
        for chunk in chunks {
            for line in unpack(id, chunk)?.into_iter().filter(|line| line.seq > after) {
                let seq = line.seq;
                if !self.take(line) {
                    return Ok((self, last));
                }
                last = seq;
            }
        }
        Ok((self, last))
    }

    /// Takes the lines of these chunks, newest first, from a line on; tells the one before the last
    /// one taken.
    pub(super) fn backwards(
        mut self,
        id: ExecutionId,
        chunks: &[Vec<u8>],
        mut end: u64,
    ) -> Result<(Self, u64), Error> {
        for chunk in chunks {
            for line in unpack(id, chunk)?.into_iter().rev() {
                let seq = line.seq;
                if seq > end {
                    continue;
                }
                if !self.take(line) {
                    return Ok((self, end));
                }
                end = seq - 1;
            }
        }
        Ok((self, end))
    }

    fn take(&mut self, line: OutputLine) -> bool {
        self.bytes += line.line.len();
        let is_too_much = self.bytes > self.bytes_max && !self.lines.is_empty();
        if self.lines.len() == self.limit || is_too_much {
            self.is_full = true;
            return false;
        }
        self.lines.push(line);
        self.is_full = self.lines.len() == self.limit;
        true
    }
}

impl Search {
    /// A search for at most so many lines after one.
    pub(super) fn new(last_seq: u64, limit: usize) -> Self {
        Self { lines: Vec::new(), last_seq, limit, found_bytes: 0, looked_at: 0, bytes: 0 }
    }

    /// Whether there are enough lines, or enough was looked through.
    pub(super) fn is_done(&self) -> bool {
        self.lines.len() >= self.limit
            || self.found_bytes > READ_BYTES_MAX
            || self.looked_at >= SEARCH_LINES_MAX
            || self.bytes > SEARCH_BYTES_MAX
    }

    /// Looks through chunks.
    pub(super) fn go_on(
        mut self,
        id: ExecutionId,
        chunks: &[Vec<u8>],
        fits: &dyn Fn(&OutputLine) -> bool,
    ) -> Result<Self, Error> {
        for chunk in chunks {
            let before = self.last_seq;
            for line in unpack(id, chunk)?.into_iter().filter(|line| line.seq > before) {
                if self.is_done() {
                    return Ok(self);
                }
                self.looked_at += 1;
                self.bytes += line.line.len();
                self.last_seq = line.seq;
                if fits(&line) {
                    self.found_bytes += line.line.len();
                    self.lines.push(line);
                }
            }
        }
        Ok(self)
    }
}
