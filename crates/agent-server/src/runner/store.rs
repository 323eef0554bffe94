//! Numbers the lines of a run and stores them.
//!
//! A disk that takes nothing more stalls the run instead of losing output: the store keeps what it
//! could not write, and its owner reads no further until [`Store::flush`] succeeds.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write};

use chrono::{DateTime, Utc};
use trinity_agent_protocol::{
    Dropped, LineStream, Masks, OUTPUT_BYTES_MAX, OUTPUT_TAIL_BYTES_MAX, OutputLine,
    STDERR_TAIL_BYTES_MAX,
};

use super::lines::Line;

/// The numbered output of one run.
#[derive(Debug)]
pub(super) struct Store {
    file: File,
    /// Encoded lines, or the rest of one, that are not in the file yet.
    pending: Vec<u8>,
    /// Where each encoded line that is not stored as a whole ends in the file.
    pending_ends: VecDeque<u64>,
    /// How many bytes the file has and will have.
    written: u64,
    encoded: u64,
    stored: Stored,
    stderr_tail: VecDeque<u8>,
    /// What nothing that is stored may hold.
    masks: Masks,
    bounds: Bounds,
    /// The last lines of an output that went over its bound.
    tail: VecDeque<HeldLine>,
    tail_bytes: usize,
    dropped: Dropped,
}

/// How far the output is in the file, in whole lines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Stored {
    /// The number of the last line; 0 before the first.
    pub seq: u64,
    /// The bytes up to the end of that line.
    pub bytes: u64,
}

#[derive(Debug, Clone, Copy)]
struct Bounds {
    bytes: u64,
    tail_bytes: usize,
}

#[derive(Debug)]
struct HeldLine {
    at: DateTime<Utc>,
    stream: LineStream,
    line: Line,
}

impl Store {
    pub(super) fn new(file: File, masks: Masks) -> Self {
        Self {
            file,
            masks,
            pending: Vec::new(),
            pending_ends: VecDeque::new(),
            written: 0,
            encoded: 0,
            stored: Stored::default(),
            stderr_tail: VecDeque::new(),
            bounds: Bounds { bytes: OUTPUT_BYTES_MAX, tail_bytes: OUTPUT_TAIL_BYTES_MAX },
            tail: VecDeque::new(),
            tail_bytes: 0,
            dropped: Dropped::default(),
        }
    }

    pub(super) fn stored(&self) -> Stored {
        self.stored
    }

    /// Tells whether lines wait for a disk that does not take them.
    pub(super) fn is_stalled(&self) -> bool {
        !self.pending.is_empty()
    }

    /// How many lines are in no file: dropped because of the bound, or given up.
    pub(super) fn dropped_lines(&self) -> u64 {
        self.dropped.lines
    }

    /// The last bytes of stderr as text.
    pub(super) fn stderr_tail(&mut self) -> String {
        let bytes: &[u8] = self.stderr_tail.make_contiguous();
        // The bound may have torn the first character.
        let torn = bytes.iter().take(3).take_while(|byte| (0x80..0xC0).contains(*byte)).count();
        String::from_utf8_lossy(&bytes[torn..]).into_owned()
    }

    /// Takes lines that were read at `at`. They are in the file after the next [`Self::flush`].
    pub(super) fn push(&mut self, at: DateTime<Utc>, stream: LineStream, lines: Vec<Line>) {
        for mut line in lines {
            line.mask(&self.masks);
            if stream == LineStream::Stderr {
                self.remember_stderr(&line);
            }
            if self.encoded >= self.bounds.bytes {
                self.hold_back(HeldLine { at, stream, line });
            } else {
                self.encode(&HeldLine { at, stream, line }, None);
            }
        }
    }

    /// Encodes the lines that were held back; nothing may be pushed afterwards.
    pub(super) fn finish(&mut self) {
        let mut dropped = (self.dropped.lines > 0).then_some(self.dropped);
        for held in std::mem::take(&mut self.tail) {
            self.encode(&held, dropped.take());
        }
    }

    /// Writes what is pending. After an error, what is left stays pending.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        let mut done = 0;
        let result = loop {
            if done == self.pending.len() {
                break Ok(());
            }
            match self.file.write(&self.pending[done..]) {
                Ok(0) => break Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break Err(error),
            }
        };
        self.pending.drain(..done);
        self.written += done as u64;
        while let Some(end) = self.pending_ends.front().filter(|end| **end <= self.written) {
            self.stored = Stored { seq: self.stored.seq + 1, bytes: *end };
            self.pending_ends.pop_front();
        }
        result
    }

    /// Drops what could not be written and cuts the file back to whole lines.
    pub(super) fn give_up(&mut self) {
        self.dropped.lines += self.pending_ends.len() as u64;
        self.pending.clear();
        self.pending_ends.clear();
        // If even this fails, whoever reads the file stops at the last whole line.
        let _ = self.file.set_len(self.stored.bytes);
    }

    /// Makes what was written durable.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_all()
    }

    fn encode(&mut self, held: &HeldLine, dropped: Option<Dropped>) {
        let (line, raw) = OutputLine::text_and_raw(&held.line.bytes);
        let numbered = OutputLine {
            seq: self.stored.seq + self.pending_ends.len() as u64 + 1,
            at: held.at,
            stream: held.stream,
            line,
            raw,
            truncated: held.line.truncated,
            partial: held.line.partial,
            dropped,
        };
        let before = self.pending.len();
        if serde_json::to_writer(&mut self.pending, &numbered).is_err() {
            // Strings and numbers always encode; should one ever not, it must not tear the file.
            self.pending.truncate(before);
            self.dropped.lines += 1;
            return;
        }
        self.pending.push(b'\n');
        self.encoded += (self.pending.len() - before) as u64;
        self.pending_ends.push_back(self.encoded);
    }

    fn hold_back(&mut self, held: HeldLine) {
        self.tail_bytes += held.line.bytes.len();
        self.tail.push_back(held);
        while self.tail_bytes > self.bounds.tail_bytes && self.tail.len() > 1 {
            let Some(oldest) = self.tail.pop_front() else { break };
            self.tail_bytes -= oldest.line.bytes.len();
            self.dropped.lines += 1;
            self.dropped.bytes += oldest.line.bytes.len() as u64;
        }
    }

    fn remember_stderr(&mut self, line: &Line) {
        let kept = line.bytes.len().min(STDERR_TAIL_BYTES_MAX);
        self.stderr_tail.extend(&line.bytes[line.bytes.len() - kept..]);
        self.stderr_tail.push_back(b'\n');
        let excess = self.stderr_tail.len().saturating_sub(STDERR_TAIL_BYTES_MAX);
        self.stderr_tail.drain(..excess);
    }
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;

    use super::*;

    fn line(text: &str) -> Line {
        Line { bytes: text.as_bytes().to_vec(), truncated: None, partial: false }
    }

    fn push(store: &mut Store, texts: &[&str]) {
        let lines = texts.iter().map(|text| line(text)).collect();
        store.push(DateTime::UNIX_EPOCH, LineStream::Stdout, lines);
    }

    fn read(path: &std::path::Path) -> Vec<OutputLine> {
        let text = std::fs::read_to_string(path).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn over_the_bound_the_tail_is_kept_and_the_middle_counted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        let mut store = Store::new(File::create(&path).unwrap(), Masks::default());
        store.bounds = Bounds { bytes: 100, tail_bytes: 8 };
        push(&mut store, &["first", "second", "dropped", "kept", "last"]);
        store.finish();
        store.flush().unwrap();

        let lines = read(&path);
        let texts: Vec<_> = lines.iter().map(|line| (line.seq, line.line.as_str())).collect();
        assert_eq!(texts, [(1, "first"), (2, "second"), (3, "kept"), (4, "last")]);
        assert_eq!(lines[2].dropped, Some(Dropped { lines: 1, bytes: 7 }));
        assert_eq!((store.dropped_lines(), store.stored().seq), (1, 4));
    }

    #[test]
    fn a_full_disk_stalls_and_gives_up_only_when_told() {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut store = Store::new(full, Masks::default());
        push(&mut store, &["one", "two"]);
        let error = store.flush().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert!(store.is_stalled());
        assert_eq!(store.stored(), Stored::default());
        store.give_up();
        assert!(!store.is_stalled());
        assert_eq!(store.dropped_lines(), 2);
    }

    #[test]
    fn what_waited_for_the_disk_is_written_without_a_gap() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut store = Store::new(full, Masks::default());
        push(&mut store, &["one"]);
        store.flush().unwrap_err();
        store.file = File::create(&path).unwrap();
        push(&mut store, &["two"]);
        store.flush().unwrap();
        let seqs: Vec<_> = read(&path).iter().map(|line| line.seq).collect();
        assert_eq!(seqs, [1, 2]);
        assert_eq!(store.stored().bytes, std::fs::metadata(&path).unwrap().len());
    }

    #[test]
    fn the_tail_of_stderr_is_bounded_and_starts_at_a_character() {
        let folder = tempfile::tempdir().unwrap();
        let mut store =
            Store::new(File::create(folder.path().join("out")).unwrap(), Masks::default());
        let long = "ä".repeat(STDERR_TAIL_BYTES_MAX);
        store.push(DateTime::UNIX_EPOCH, LineStream::Stderr, vec![line(&long), line("end")]);
        let tail = store.stderr_tail();
        assert!(tail.len() <= STDERR_TAIL_BYTES_MAX);
        assert!(tail.starts_with('ä') && tail.ends_with("ä\nend\n"));
    }
}
