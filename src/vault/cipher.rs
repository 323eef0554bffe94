//! Encryption: XChaCha20-Poly1305 under keys that leave memory with their owner.
//!
//! A sealed text is one byte that names the form, 24 random bytes, the ciphertext and its tag. What
//! it is for is authenticated with it, so that a sealed text that is moved to another agent or
//! under another name does not open.

use std::fmt;

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use rand::Rng as _;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// How many bytes a key has.
pub const KEY_BYTES: usize = 32;
/// How many bytes a nonce has: so many that random ones never meet.
const NONCE_BYTES: usize = 24;
/// How many bytes a sealed text is longer than the text.
pub const SEALED_EXTRA_BYTES: usize = 1 + NONCE_BYTES + 16;
/// The form of a sealed text.
const FORM: u8 = 1;
/// How many bytes of its digest name a key.
const FINGERPRINT_BYTES: usize = 16;

/// A sealed text that does not open: damaged, of another key, or for something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it does not open: it is damaged, sealed by another key, or was stored for something else")]
pub struct Sealed;

/// What a sealed text is for.
#[derive(Debug, Clone, Copy)]
pub enum Purpose<'a> {
    /// The data key of one agent.
    DataKey { incarnation: Uuid },
    /// One credential of one agent.
    Credential { incarnation: Uuid, name: &'a str },
}

impl Purpose<'_> {
    /// Parts of a known length first, so that no two purposes have the same bytes.
    fn associated_data(self) -> Vec<u8> {
        let (tag, incarnation, name) = match self {
            Self::DataKey { incarnation } => (b'k', incarnation, ""),
            Self::Credential { incarnation, name } => (b'c', incarnation, name),
        };
        let mut data = b"trinity-vault".to_vec();
        data.extend([FORM, tag]);
        data.extend(incarnation.as_bytes());
        data.extend(name.as_bytes());
        data
    }
}

/// A key, never printed and wiped when it goes.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Key([u8; KEY_BYTES]);

impl Key {
    /// A new random key.
    pub fn generate() -> Self {
        let mut key = Self([0; KEY_BYTES]);
        rand::rng().fill_bytes(&mut key.0);
        key
    }

    /// A key of these bytes; none of another number.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut key = Self([0; KEY_BYTES]);
        (bytes.len() == KEY_BYTES).then(|| {
            key.0.copy_from_slice(bytes);
            key
        })
    }

    /// The bytes, for the one place that stores them.
    pub fn expose(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }

    /// Names the key without telling it.
    pub fn fingerprint(&self) -> String {
        let mut digest = Sha256::new();
        digest.update(b"trinity-vault key fingerprint");
        digest.update(self.0);
        let bytes = digest.finalize();
        hex::encode(&bytes[..FINGERPRINT_BYTES])
    }

    /// Seals a text for one purpose.
    ///
    /// # Errors
    /// For a text of over 256 GiB.
    pub fn seal(&self, purpose: Purpose<'_>, text: &[u8]) -> Result<Vec<u8>, Sealed> {
        let mut nonce = [0; NONCE_BYTES];
        rand::rng().fill_bytes(&mut nonce);
        let data = purpose.associated_data();
        let payload = Payload { msg: text, aad: &data };
        let sealed = self.cipher().encrypt(&XNonce::from(nonce), payload).map_err(|_| Sealed)?;
        Ok([&[FORM], nonce.as_slice(), &sealed].concat())
    }

    /// Opens what was sealed for that purpose.
    ///
    /// # Errors
    /// [`Sealed`] when a single bit differs.
    pub fn open(&self, purpose: Purpose<'_>, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Sealed> {
        let (form, rest) = sealed.split_first().ok_or(Sealed)?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_BYTES>().ok_or(Sealed)?;
        if *form != FORM {
            return Err(Sealed);
        }
        let data = purpose.associated_data();
        let payload = Payload { msg: sealed, aad: &data };
        let opened = self.cipher().decrypt(&XNonce::from(*nonce), payload);
        opened.map(Zeroizing::new).map_err(|_| Sealed)
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(&self.0.into())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8] = b"sk-ant-0123456789";

    fn purpose(agent: u128, name: &str) -> Purpose<'_> {
        Purpose::Credential { incarnation: Uuid::from_u128(agent), name }
    }

    #[test]
    fn what_is_sealed_opens_and_no_two_are_alike() {
        let key = Key::generate();
        let sealed = key.seal(purpose(1, "A"), SECRET).unwrap();
        assert_eq!(key.open(purpose(1, "A"), &sealed).unwrap().as_slice(), SECRET);
        assert!(!sealed.windows(SECRET.len()).any(|window| window == SECRET));
        assert_eq!(sealed.len(), SECRET.len() + SEALED_EXTRA_BYTES);
        assert_ne!(key.seal(purpose(1, "A"), SECRET).unwrap(), sealed);
    }

    #[test]
    fn a_single_changed_bit_or_a_missing_byte_is_noticed() {
        let key = Key::generate();
        let sealed = key.seal(purpose(1, "A"), SECRET).unwrap();
        for bit in 0..sealed.len() * 8 {
            let mut tampered = sealed.clone();
            tampered[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(key.open(purpose(1, "A"), &tampered), Err(Sealed), "bit {bit}");
        }
        for length in 0..sealed.len() {
            assert_eq!(key.open(purpose(1, "A"), &sealed[..length]), Err(Sealed));
        }
    }

    #[test]
    fn it_opens_for_no_other_agent_name_purpose_or_key() {
        let key = Key::generate();
        let sealed = key.seal(purpose(1, "A"), SECRET).unwrap();
        assert_eq!(key.open(purpose(2, "A"), &sealed), Err(Sealed));
        assert_eq!(key.open(purpose(1, "B"), &sealed), Err(Sealed));
        assert_eq!(key.open(purpose(1, ""), &sealed), Err(Sealed));
        let incarnation = Uuid::from_u128(1);
        assert_eq!(key.open(Purpose::DataKey { incarnation }, &sealed), Err(Sealed));
        assert_eq!(Key::generate().open(purpose(1, "A"), &sealed), Err(Sealed));
    }

    #[test]
    fn a_key_is_not_printed_and_its_fingerprint_stays() {
        let key = Key::from_bytes(&[7; KEY_BYTES]).unwrap();
        assert_eq!(format!("{key:?}"), "***");
        assert_eq!(key.fingerprint(), "b8379886f1e8b69a8b9cbfd9b7f02f40");
        assert_ne!(Key::generate().fingerprint(), key.fingerprint());
        assert_eq!(Key::from_bytes(&[7; 31]), None);
    }
}
