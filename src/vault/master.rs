//! The master key: where it comes from, and that it is the one the database was made with.
//!
//! `TRINITY_SECRET_KEY` names it, else it is in `secret.key` of the data directory, made at the first
//! start. The database keeps its fingerprint, so that a server with another key stops before it
//! writes anything that nobody can read.
//!
//! A rotation writes the new key to `secret.key.next` first, then the database, then renames the
//! file: whatever is found at a start, the fingerprint tells which file is the key.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::PathBuf;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

use super::cipher::{KEY_BYTES, Key};
use crate::config::{SECRET_KEY_VARIABLE as KEY_VARIABLE, Secret};
use crate::data_dir::DataDir;

/// The environment variable that holds the key to change to.
pub const NEW_KEY_VARIABLE: &str = "TRINITY_NEW_SECRET_KEY";
/// The file in the data directory that holds the key when no variable does.
pub const KEY_FILE: &str = "secret.key";
/// The file that holds the key that is being changed to.
pub const NEXT_KEY_FILE: &str = "secret.key.next";

/// What to do where there is no usable key.
const HOW_TO_MAKE_ONE: &str = "make one by: openssl rand -hex 32";

/// Reads a key from text: 64 hexadecimal digits, or 32 bytes in base64.
///
/// # Errors
/// For any other text; the message says how to make a key and never shows the text.
pub fn parse(text: &str) -> anyhow::Result<Key> {
    let text = text.trim();
    let unpadded = text.trim_end_matches('=');
    let bytes = match text.len() {
        64 => hex::decode(text).ok(),
        _ => STANDARD_NO_PAD.decode(unpadded).or_else(|_| URL_SAFE_NO_PAD.decode(unpadded)).ok(),
    };
    let bytes = bytes.map(Zeroizing::new);
    bytes.and_then(|bytes| Key::from_bytes(&bytes)).with_context(|| {
        format!(
            "a master key is {KEY_BYTES} random bytes, as {} hexadecimal digits or in base64; \
             {HOW_TO_MAKE_ONE}",
            2 * KEY_BYTES
        )
    })
}

/// A key as text for a file.
fn text_of(key: &Key) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(2 * KEY_BYTES + 1));
    text.push_str(&Zeroizing::new(hex::encode(key.expose())));
    text.push('\n');
    text
}

/// Where a master key is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// In `TRINITY_SECRET_KEY`.
    Variable,
    /// In a file of the data directory.
    File(PathBuf),
}

/// The master key and where it was found.
#[derive(Debug, Clone)]
pub struct Master {
    /// The key.
    pub key: Key,
    /// Where it was found.
    pub source: Source,
}

impl Master {
    /// Finds the key; makes one where neither a key nor anything encrypted exists.
    ///
    /// # Errors
    /// When there is none, it cannot be read, or it is not the one of that fingerprint.
    pub fn find(
        variable: Option<&Secret>,
        data_dir: &DataDir,
        fingerprint: Option<&str>,
    ) -> anyhow::Result<Self> {
        if let Some(text) = variable {
            let key = parse(text.expose()).with_context(|| format!("cannot use {KEY_VARIABLE}"))?;
            let master = Self { key, source: Source::Variable };
            return master.checked(fingerprint);
        }
        let path = data_dir.join(KEY_FILE);
        let (key, next) = (read(data_dir, KEY_FILE)?, read(data_dir, NEXT_KEY_FILE)?);
        if let Some(next) = next {
            if fingerprint.is_some_and(|fingerprint| next.fingerprint() == fingerprint) {
                // A rotation was interrupted after the database had changed to the new key.
                adopt_next(data_dir)?;
                return Ok(Self { key: next, source: Source::File(path) });
            }
            if key.is_some() {
                // It was interrupted before that: the new key was used for nothing.
                data_dir.remove(NEXT_KEY_FILE)?;
            }
        }
        match (key, fingerprint) {
            (Some(key), _) => Self { key, source: Source::File(path) }.checked(fingerprint),
            (None, None) => {
                let key = Key::generate();
                write(data_dir, KEY_FILE, &key)?;
                Ok(Self { key, source: Source::File(path) })
            }
            (None, Some(fingerprint)) => anyhow::bail!(
                "the credentials in this database are encrypted with master key {fingerprint}, and \
                 there is none here: set {KEY_VARIABLE} to it, or copy {KEY_FILE} from the data \
                 directory of the server that has it to {}",
                path.display()
            ),
        }
    }

    fn checked(self, fingerprint: Option<&str>) -> anyhow::Result<Self> {
        let own = self.key.fingerprint();
        let Some(stored) = fingerprint.filter(|stored| **stored != own) else { return Ok(self) };
        let what = match &self.source {
            Source::Variable => KEY_VARIABLE.to_owned(),
            Source::File(path) => path.display().to_string(),
        };
        anyhow::bail!(
            "the credentials in this database are encrypted with master key {stored}, and {what} \
             holds key {own}: set {KEY_VARIABLE} to the key that belongs to the database (every \
             node of one database has the same; a server without the variable keeps its key in \
             {KEY_FILE} of its data directory)"
        )
    }
}

/// Writes the key that is being changed to, durable before it returns.
pub(super) fn write_next(data_dir: &DataDir, key: &Key) -> anyhow::Result<()> {
    write(data_dir, NEXT_KEY_FILE, key)
}

/// Makes the key that was being changed to the key.
pub(super) fn adopt_next(data_dir: &DataDir) -> anyhow::Result<()> {
    let (next, path) = (data_dir.join(NEXT_KEY_FILE), data_dir.join(KEY_FILE));
    fs::rename(&next, &path).with_context(|| format!("cannot replace {}", path.display()))?;
    sync(data_dir)
}

fn read(data_dir: &DataDir, name: &str) -> anyhow::Result<Option<Key>> {
    let path = data_dir.join(name);
    match fs::read_to_string(&path).map(Zeroizing::new) {
        Ok(text) => {
            let key = parse(&text).with_context(|| format!("cannot use {}", path.display()))?;
            Ok(Some(key))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

fn write(data_dir: &DataDir, name: &str, key: &Key) -> anyhow::Result<()> {
    data_dir.write_private(name, &text_of(key))?;
    sync(data_dir)
}

/// A key that is lost with the power would take every credential with it.
fn sync(data_dir: &DataDir) -> anyhow::Result<()> {
    let folder = File::open(data_dir.path()).and_then(|folder| folder.sync_all());
    folder.context("cannot make the data directory durable")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn message(found: anyhow::Result<Master>) -> String {
        format!("{:#}", found.unwrap_err())
    }

    #[test]
    fn a_key_is_read_from_hexadecimal_and_base64() {
        let key = Key::from_bytes(&[0xAB; 32]).unwrap();
        for text in [
            "ab".repeat(32),
            format!("{}\n", "AB".repeat(32)),
            base64::engine::general_purpose::STANDARD.encode([0xAB; 32]),
            URL_SAFE_NO_PAD.encode([0xAB; 32]),
        ] {
            assert_eq!(parse(&text).unwrap(), key, "{text}");
        }
        assert_eq!(parse(&text_of(&key)).unwrap(), key);
    }

    #[test]
    fn a_weak_key_is_refused_with_the_way_to_a_good_one() {
        for text in ["", "correct horse battery staple", &"zz".repeat(32), &"ab".repeat(31)] {
            let error = format!("{:#}", parse(text).unwrap_err());
            assert!(error.contains("openssl rand -hex 32"), "{error}");
            assert!(text.is_empty() || !error.contains(text), "{error}");
        }
    }

    #[test]
    fn the_first_start_makes_a_private_file_that_the_next_one_finds() {
        let dir = tempfile::tempdir().unwrap();
        let data_dir = DataDir::open(dir.path()).unwrap();
        let made = Master::find(None, &data_dir, None).unwrap();
        let path = dir.path().join(KEY_FILE);
        assert_eq!(made.source, Source::File(path.clone()));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let fingerprint = made.key.fingerprint();
        let found = Master::find(None, &data_dir, Some(&fingerprint)).unwrap();
        assert_eq!(found.key, made.key);
    }

    #[test]
    fn another_key_and_a_missing_one_are_refused_with_the_next_step() {
        let dir = tempfile::tempdir().unwrap();
        let data_dir = DataDir::open(dir.path()).unwrap();
        let missing = message(Master::find(None, &data_dir, Some("0123")));
        assert!(missing.contains("0123") && missing.contains(KEY_VARIABLE), "{missing}");
        assert!(!dir.path().join(KEY_FILE).exists(), "no key is made in its place");
        Master::find(None, &data_dir, None).unwrap();
        let other = message(Master::find(None, &data_dir, Some("0123")));
        assert!(other.contains("0123") && other.contains(KEY_FILE), "{other}");
        let variable = Secret::from("ab".repeat(32));
        let other = message(Master::find(Some(&variable), &data_dir, Some("0123")));
        assert!(other.contains(KEY_VARIABLE) && !other.contains("abab"), "{other}");
    }

    #[test]
    fn an_interrupted_rotation_ends_with_the_key_that_the_database_names() {
        let dir = tempfile::tempdir().unwrap();
        let data_dir = DataDir::open(dir.path()).unwrap();
        let old = Master::find(None, &data_dir, None).unwrap().key;
        let new = Key::generate();
        write_next(&data_dir, &new).unwrap();
        let found = Master::find(None, &data_dir, Some(&old.fingerprint())).unwrap();
        assert_eq!(found.key, old);
        assert!(!dir.path().join(NEXT_KEY_FILE).exists());
        write_next(&data_dir, &new).unwrap();
        let found = Master::find(None, &data_dir, Some(&new.fingerprint())).unwrap();
        assert_eq!(found.key, new);
        assert_eq!(read(&data_dir, KEY_FILE).unwrap(), Some(new));
        assert!(!dir.path().join(NEXT_KEY_FILE).exists());
    }
}
