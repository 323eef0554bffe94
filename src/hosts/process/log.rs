//! The end of a log file.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;

/// How many of the last bytes of a log explain a failed start.
pub(super) const LAST_WORDS_BYTES_MAX: u64 = 2048;

/// How many of the last bytes of a log are read for who wants to see it.
pub(super) const READ_BYTES_MAX: u64 = 512 * 1024;

/// Reads the last bytes of a log as text.
pub(super) fn tail(path: &Path, bytes_max: u64) -> io::Result<String> {
    let mut log = File::open(path)?;
    let length = log.metadata()?.len();
    log.seek(SeekFrom::Start(length.saturating_sub(bytes_max)))?;
    let mut text = Vec::new();
    log.take(bytes_max).read_to_end(&mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}
