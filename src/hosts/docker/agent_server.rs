//! The agent server that is copied into containers, for images that have none.

use std::fmt;
use std::io;
use std::path::Path;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

/// How every executable of Linux begins.
const MAGIC: &[u8] = b"\x7fELF";

/// An agent server, linked statically so that it needs nothing of the image.
#[derive(Clone)]
pub struct AgentServer {
    executable: Bytes,
    sha256: String,
}

impl AgentServer {
    /// Reads it.
    ///
    /// # Errors
    /// When the file cannot be read or is no executable.
    pub fn read(path: &Path) -> io::Result<Self> {
        let executable = Bytes::from(std::fs::read(path)?);
        if !executable.starts_with(MAGIC) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it is no executable of Linux"));
        }
        let sha256 = hex::encode(Sha256::digest(&executable));
        Ok(Self { executable, sha256 })
    }

    pub(super) fn executable(&self) -> &[u8] {
        &self.executable
    }

    pub(super) fn sha256(&self) -> &str {
        &self.sha256
    }
}

impl fmt::Debug for AgentServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AgentServer").field(&self.sha256).finish()
    }
}
