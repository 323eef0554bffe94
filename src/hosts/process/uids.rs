//! The users that agents get, each a number that is nobody else's.
//!
//! `uids.json` in the data directory holds the number that is tried next: it only goes forward, so
//! that a number comes back only when all others were given out, and then never while a folder of
//! its last agent exists.

use std::collections::HashSet;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::PathBuf;

use nix::unistd::{Gid, Group, Uid, User};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::disk::write_private;
use crate::config::UidRange;

/// Gives out numbers.
pub(super) struct Uids {
    range: UidRange,
    file: PathBuf,
}

/// What `uids.json` holds.
#[derive(Serialize, Deserialize)]
struct Record {
    /// How many numbers were given out; the next place in the range, counted around it.
    next: u64,
}

impl Uids {
    pub(super) fn new(range: UidRange, file: PathBuf) -> Self {
        Self { range, file }
    }

    /// Takes a number that nobody has; `taken` are those of which folders exist.
    ///
    /// It is durable before it is given, so that a crash loses a number and never gives one twice.
    ///
    /// # Errors
    /// When none is left, or the record cannot be read or written.
    pub(super) fn allocate(&self, taken: &HashSet<u32>) -> io::Result<u32> {
        let begin = self.next()?;
        for place in begin..begin + self.range.count() {
            let uid = self.range.at(place);
            if taken.contains(&uid) || is_somebody(uid)? {
                continue;
            }
            write_private(&self.file, &serde_json::to_vec(&Record { next: place + 1 })?)?;
            return Ok(uid);
        }
        let text = format!("every user from {} has an agent; widen --agent-uids", self.range);
        Err(io::Error::new(ErrorKind::StorageFull, text))
    }

    /// Where to look first. It begins at a place of its own for each data directory, so that two
    /// servers of one machine with the same range do not give two agents the same user.
    fn next(&self) -> io::Result<u64> {
        match fs::read(&self.file) {
            Ok(json) => Ok(serde_json::from_slice::<Record>(&json)?.next),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let digest = Sha256::digest(self.file.as_os_str().as_encoded_bytes());
                let place = digest.iter().take(7).fold(0, |all, byte| all << 8 | u64::from(*byte));
                Ok(place % self.range.count())
            }
            Err(error) => Err(error),
        }
    }
}

/// Tells whether a user or a group of this machine has the number.
fn is_somebody(uid: u32) -> io::Result<bool> {
    let is_user = User::from_uid(Uid::from_raw(uid))?.is_some();
    Ok(is_user || Group::from_gid(Gid::from_raw(uid))?.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uids(folder: &tempfile::TempDir, range: &str) -> Uids {
        Uids::new(range.parse().unwrap(), folder.path().join("uids.json"))
    }

    #[test]
    fn a_number_comes_back_only_after_all_others_and_never_while_it_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let mut given = Vec::new();
        for _ in 0..4 {
            // Each time as after a restart.
            given.push(uids(&folder, "900000-900003").allocate(&HashSet::new()).unwrap());
        }
        let all: HashSet<_> = given.iter().copied().collect();
        assert_eq!(all, HashSet::from([900_000, 900_001, 900_002, 900_003]));

        let uids = uids(&folder, "900000-900003");
        let taken = HashSet::from([given[0], given[1]]);
        assert_eq!(uids.allocate(&taken).unwrap(), given[2]);
        assert_eq!(uids.allocate(&taken).unwrap(), given[3]);
        assert_eq!(uids.allocate(&taken).unwrap(), given[2]);
        let error = uids.allocate(&all).unwrap_err().to_string();
        assert!(error.contains("900000-900003") && error.contains("--agent-uids"), "{error}");
    }

    #[test]
    fn a_user_of_the_machine_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        // 65534 is `nobody` everywhere.
        let uids = uids(&folder, "65534-65535");
        assert_eq!(uids.allocate(&HashSet::new()).unwrap(), 65_535);
        assert_eq!(uids.allocate(&HashSet::new()).unwrap(), 65_535);
    }
}
