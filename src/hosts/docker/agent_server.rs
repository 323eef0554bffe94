//! The agent server that is copied into containers, for images that have none.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use elf::ElfBytes;
use elf::abi::PT_INTERP;
use elf::endian::AnyEndian;
use sha2::{Digest as _, Sha256};

use super::container::AGENT_SERVER_OF_IMAGE;

/// The name of the file that is looked for beside the server's own executable.
const FILE_NAME: &str = "trinity-agent";

/// An agent server, linked statically so that it needs nothing of the image.
#[derive(Clone)]
pub struct AgentServer {
    path: PathBuf,
    executable: Bytes,
    sha256: String,
}

/// Why a file cannot be the agent server of containers.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// It is not there, or not for this user.
    #[error("it cannot be read")]
    Unreadable(#[from] io::Error),
    /// It is something else.
    #[error("it is no executable of Linux")]
    NoExecutable,
    /// It needs what only some images have.
    #[error(
        "it is linked dynamically and needs {0}, which not every image has; \
         what `make agent-image` leaves in target/agent-image/context runs in all of them"
    )]
    Dynamic(String),
}

/// Which agent server containers are started with.
#[derive(Debug)]
pub enum Choice {
    /// A file that was named.
    Named(AgentServer),
    /// The file beside the server's own executable.
    Beside(AgentServer),
    /// Whatever the image has.
    OfImage,
    /// The same, because the file beside the server's own executable is of no use.
    Ignored {
        /// Which file.
        path: PathBuf,
        /// Why.
        reason: Unusable,
    },
}

impl Choice {
    /// Chooses the file that was named, else the one beside the server's `executable`.
    ///
    /// # Errors
    /// When the file that was named cannot be used.
    pub fn make(named: Option<&Path>, executable: Option<&Path>) -> Result<Self, Unusable> {
        if let Some(path) = named {
            return AgentServer::read(path).map(Self::Named);
        }
        let beside = executable.map(|executable| executable.with_file_name(FILE_NAME));
        let Some(path) = beside.filter(|path| path.exists()) else { return Ok(Self::OfImage) };
        Ok(match AgentServer::read(&path) {
            Ok(found) => Self::Beside(found),
            Err(reason) => Self::Ignored { path, reason },
        })
    }

    /// What is copied into containers, if anything is.
    pub fn copied(self) -> Option<AgentServer> {
        match self {
            Self::Named(found) | Self::Beside(found) => Some(found),
            Self::OfImage | Self::Ignored { .. } => None,
        }
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of_image = format_args!("{AGENT_SERVER_OF_IMAGE} of the image");
        match self {
            Self::Named(found) => write!(f, "{}, as it was named", found.path.display()),
            Self::Beside(found) => {
                write!(f, "{}, which lies beside this executable", found.path.display())
            }
            Self::OfImage => write!(f, "{of_image}"),
            Self::Ignored { path, reason } => {
                write!(f, "{of_image} and not {}: {reason}", path.display())
            }
        }
    }
}

impl AgentServer {
    /// Reads it.
    ///
    /// # Errors
    /// When the file cannot be read, is no executable or needs others to run.
    pub fn read(path: &Path) -> Result<Self, Unusable> {
        let executable = Bytes::from(std::fs::read(path)?);
        if let Some(interpreter) = interpreter(&executable)? {
            return Err(Unusable::Dynamic(interpreter));
        }
        let sha256 = hex::encode(Sha256::digest(&executable));
        Ok(Self { path: path.to_owned(), executable, sha256 })
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
        f.debug_tuple("AgentServer").field(&self.path).field(&self.sha256).finish()
    }
}

/// The program by which an executable has to be loaded; none when it is linked statically.
fn interpreter(executable: &[u8]) -> Result<Option<String>, Unusable> {
    let file = ElfBytes::<AnyEndian>::minimal_parse(executable);
    let file = file.map_err(|_| Unusable::NoExecutable)?;
    let mut segments = file.segments().into_iter().flatten();
    let Some(segment) = segments.find(|segment| segment.p_type == PT_INTERP) else {
        return Ok(None);
    };
    let path = file.segment_data(&segment).map_err(|_| Unusable::NoExecutable)?;
    Ok(Some(String::from_utf8_lossy(path).trim_end_matches('\0').to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An executable with these program headers, which does nothing.
    fn executable(segments: &[[u8; 56]], data: &[u8]) -> Vec<u8> {
        let mut bytes = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x3e\0\x01\0\0\0".to_vec();
        let number = u16::try_from(segments.len()).unwrap();
        let (entry, sections, flags) = ([0; 8], [0; 8], [0; 4]);
        bytes.extend(entry);
        bytes.extend(64_u64.to_le_bytes());
        bytes.extend(sections);
        bytes.extend(flags);
        for half in [64, 56, number, 64, 0, 0] {
            bytes.extend(u16::to_le_bytes(half));
        }
        assert_eq!(bytes.len(), 64);
        bytes.extend(segments.as_flattened());
        bytes.extend(data);
        bytes
    }

    /// The header of a segment that holds `length` bytes right behind all of one header.
    fn segment(kind: u32, length: u64) -> [u8; 56] {
        let mut header = [0; 56];
        header[..4].copy_from_slice(&kind.to_le_bytes());
        header[8..16].copy_from_slice(&(64_u64 + 56).to_le_bytes());
        header[32..40].copy_from_slice(&length.to_le_bytes());
        header
    }

    #[test]
    fn an_executable_that_needs_a_loader_is_of_no_use() {
        let of = |bytes: &[u8]| interpreter(bytes).map_err(|error| error.to_string());
        assert_eq!(of(&executable(&[], b"")), Ok(None));
        let loader = b"/lib/ld.so\0";
        assert_eq!(of(&executable(&[segment(1, 11)], loader)), Ok(None), "it is only loaded");
        let found = of(&executable(&[segment(PT_INTERP, 11)], loader));
        assert_eq!(found, Ok(Some("/lib/ld.so".to_owned())));
        let none = Err("it is no executable of Linux".to_owned());
        for bad in
            [&b""[..], b"#!/bin/sh\n", b"\x7fELF", &executable(&[segment(PT_INTERP, 99)], b"")]
        {
            assert_eq!(of(bad), none, "{bad:?}");
        }
    }

    #[test]
    fn what_was_named_wins_over_what_lies_beside_and_that_over_the_image() {
        let folder = tempfile::tempdir().unwrap();
        let [own, beside, named] =
            ["trinity", FILE_NAME, "named"].map(|name| folder.path().join(name));
        let words = |named: Option<&Path>| Choice::make(named, Some(&own)).map(|it| it.to_string());
        assert!(words(None).unwrap().ends_with("of the image"));
        std::fs::write(&beside, executable(&[], b"")).unwrap();
        assert!(words(None).unwrap().contains("trinity-agent, which lies beside"));
        std::fs::write(&named, executable(&[], b"other")).unwrap();
        assert!(words(Some(&named)).unwrap().contains("named, as it was named"));

        std::fs::write(&beside, executable(&[segment(PT_INTERP, 3)], b"/ld")).unwrap();
        let ignored = Choice::make(None, Some(&own)).unwrap();
        assert!(ignored.to_string().contains("linked dynamically and needs /ld,"), "{ignored}");
        assert!(ignored.copied().is_none());
        assert!(matches!(words(Some(&beside)), Err(Unusable::Dynamic(_))), "it was meant");
        std::fs::remove_file(&named).unwrap();
        assert!(matches!(words(Some(&named)), Err(Unusable::Unreadable(_))));
    }
}
