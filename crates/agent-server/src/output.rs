//! Replays and follows the stored output of an execution.
//!
//! Line `n` of the file is line number `n`, so positions are found by counting newlines, and what
//! is sent are the stored bytes as they are.

use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Seek, SeekFrom};
use std::sync::{Arc, PoisonError};

use bytes::Bytes;
use futures::Stream;
use futures::stream::try_unfold;
use tokio::sync::watch;

use crate::executions::{Execution, Live, blocking};

/// How many bytes are read and sent at once.
const CHUNK_BYTES: usize = 256 * 1024;

/// A place in the file is remembered every so many lines.
const SEEK_POINT_LINES: u64 = 1_000;

/// Remembers where some lines end, so that a position far inside is found without a full scan.
#[derive(Debug, Default)]
pub(crate) struct SeekIndex {
    /// Element `n` is where line `(n + 1) * SEEK_POINT_LINES` ends.
    points: Vec<u64>,
}

impl SeekIndex {
    /// Finds where line `seq` ends, among the first `bytes` of the file.
    ///
    /// Gives `bytes` when there are fewer lines.
    fn end_of(&mut self, file: &File, seq: u64, bytes: u64) -> io::Result<u64> {
        let known = (seq / SEEK_POINT_LINES).min(self.points.len() as u64);
        let index = usize::try_from(known).unwrap_or(usize::MAX);
        let mut offset = index.checked_sub(1).map_or(0, |last| self.points[last]);
        let mut line = known * SEEK_POINT_LINES;
        let mut from = file;
        from.seek(SeekFrom::Start(offset))?;
        let mut reader = BufReader::with_capacity(CHUNK_BYTES, from);
        while line < seq && offset < bytes {
            offset += reader.skip_until(b'\n')? as u64;
            line += 1;
            if line == (self.points.len() as u64 + 1) * SEEK_POINT_LINES {
                self.points.push(offset);
            }
        }
        Ok(offset)
    }
}

/// Which lines to give.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted {
    /// Lines after this number.
    pub after: u64,
    /// At most so many lines.
    pub limit: u64,
    /// Waits for more until the execution has ended.
    pub follow: bool,
}

struct Reader {
    execution: Arc<Execution>,
    live: watch::Receiver<Live>,
    wanted: Wanted,
    file: Option<Arc<File>>,
    /// How far lines are skipped or sent.
    offset: u64,
    /// Lines still to be skipped before the first one is sent.
    has_found_start: bool,
    left: u64,
}

/// Gives the wanted lines as NDJSON, in chunks that need not end with a line.
pub(crate) fn stream(
    execution: Arc<Execution>,
    wanted: Wanted,
) -> impl Stream<Item = io::Result<Bytes>> + use<> {
    let reader = Reader {
        live: execution.subscribe(),
        execution,
        left: wanted.limit,
        wanted,
        file: None,
        offset: 0,
        has_found_start: wanted.after == 0,
    };
    try_unfold(
        reader,
        |mut reader| async move { Ok(reader.next().await?.map(|chunk| (chunk, reader))) },
    )
}

impl Reader {
    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            let (bytes, last_seq, has_ended) = {
                let live = self.live.borrow_and_update();
                let has_ended = live.status.state.is_final() || live.failed.is_some();
                (live.bytes, live.status.last_seq, has_ended)
            };
            if self.left == 0 {
                return Ok(None);
            }
            if last_seq > self.wanted.after && self.offset < bytes {
                return self.read(bytes).await.map(Some);
            }
            if has_ended || !self.wanted.follow || self.live.changed().await.is_err() {
                return Ok(None);
            }
        }
    }

    /// Reads the next chunk of the first `bytes` of the file.
    async fn read(&mut self, bytes: u64) -> io::Result<Bytes> {
        let file = match &self.file {
            Some(file) => Arc::clone(file),
            None => Arc::new(File::open(self.execution.folder.output_path())?),
        };
        self.file = Some(Arc::clone(&file));
        let (execution, after) = (Arc::clone(&self.execution), self.wanted.after);
        let (known, left) = (self.has_found_start.then_some(self.offset), self.left);
        let (chunk, offset, left) = blocking(move || {
            let from = if let Some(offset) = known {
                offset
            } else {
                let mut seek = execution.seek.lock().unwrap_or_else(PoisonError::into_inner);
                seek.end_of(&file, after, bytes)?
            };
            read_chunk(&file, from, bytes, left)
        })
        .await?;
        (self.offset, self.left, self.has_found_start) = (offset, left, true);
        Ok(chunk)
    }
}

/// Reads from `from` at most up to `bytes` and at most `left` lines; gives what is left of both.
fn read_chunk(file: &File, from: u64, bytes: u64, left: u64) -> io::Result<(Bytes, u64, u64)> {
    let length = usize::try_from(bytes.saturating_sub(from)).unwrap_or(CHUNK_BYTES);
    let mut chunk = vec![0; length.min(CHUNK_BYTES)];
    let mut reader = file;
    reader.seek(SeekFrom::Start(from))?;
    let count = reader.read(&mut chunk)?;
    if count == 0 {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    chunk.truncate(count);
    let mut lines = 0;
    let ends = chunk.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
    for (index, _) in ends {
        lines += 1;
        if lines == left {
            chunk.truncate(index + 1);
            break;
        }
    }
    let offset = from + chunk.len() as u64;
    Ok((chunk.into(), offset, left - lines))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_position_is_found_with_and_without_the_index() {
        let mut file = tempfile::tempfile().unwrap();
        for line in 0..3_500 {
            writeln!(file, "{line}").unwrap();
        }
        let bytes = file.metadata().unwrap().len();
        let mut index = SeekIndex::default();
        for seq in [3_500, 1_000, 2_999, 10, 0, 9_999] {
            let end = index.end_of(&file, seq, bytes).unwrap();
            let mut text = String::new();
            file.seek(SeekFrom::Start(end)).unwrap();
            file.read_to_string(&mut text).unwrap();
            let first = text.lines().next().map(str::to_owned);
            assert_eq!(first, (seq < 3_500).then(|| seq.to_string()), "after {seq}");
        }
        assert_eq!(index.points.len(), 3);
    }

    #[test]
    fn a_chunk_ends_with_the_last_wanted_line() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"a\nbb\nccc\n").unwrap();
        let (chunk, offset, left) = read_chunk(&file, 2, 9, 1).unwrap();
        assert_eq!((chunk.as_ref(), offset, left), (b"bb\n".as_slice(), 5, 0));
    }
}
