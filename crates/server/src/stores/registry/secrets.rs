//! Encrypts the keys of stores before they are kept, and decrypts them before they are used.
//!
//! AES-256-GCM with a random nonce; the id of the configuration is authenticated with it, so that the keys of one cannot be put into
//! another. The key comes from the settings, or from a file that is made at the first need and never replaced: a key that is lost
//! would take all secrets with it. Secrets that cannot be decrypted are left as they are.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use icecore_io::{Existing, Fs, PublishError, read_file};
use serde::{Deserialize, Serialize};

use super::record::StoreId;
use super::{Result, StoresError, publish_private};
use crate::config::{EncryptionKey, Secret, from_hex, to_hex};

/// More than a key file ever has.
const KEY_FILE_LEN_MAX: u64 = 1024;

/// Access key and secret key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Keys {
    pub(crate) access_key: Secret,
    pub(crate) secret_key: Secret,
}

/// How the keys are encoded before they are encrypted.
#[derive(Serialize, Deserialize)]
struct Plain {
    access_key: String,
    secret_key: String,
}

/// Encrypted keys: nonce, ciphertext and tag in hexadecimal digits.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Sealed(String);

impl fmt::Debug for Sealed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}

/// Whatever has the key.
#[derive(Debug)]
pub(super) struct Safe {
    fs: Arc<dyn Fs>,
    file: PathBuf,
    given: Option<EncryptionKey>,
}

impl Safe {
    /// A safe whose key is `given`, or else in `file`.
    pub(super) fn new(fs: Arc<dyn Fs>, file: PathBuf, given: Option<EncryptionKey>) -> Self {
        Self { fs, file, given }
    }

    /// Encrypts the keys of a configuration. Makes the key file if there is none and no key was given.
    pub(super) fn seal(&self, id: StoreId, keys: &Keys) -> Result<Sealed> {
        let key = match self.key()? {
            Some(key) => key,
            None => self.make_key()?,
        };
        let plain = Plain { access_key: keys.access_key.expose().to_owned(), secret_key: keys.secret_key.expose().to_owned() };
        let mut bytes = serde_json::to_vec(&plain).map_err(|_| StoresError::Encryption)?;
        let cipher = cipher(&key)?;
        let nonce =
            cipher.seal_in_place_append_tag(Aad::from(associated(id)), &mut bytes).map_err(|_| StoresError::Encryption)?;
        Ok(Sealed(to_hex(nonce.as_ref()) + &to_hex(&bytes)))
    }

    /// Decrypts the keys of the configuration `name`.
    pub(super) fn open(&self, id: StoreId, name: &str, sealed: &Sealed) -> Result<Keys> {
        let wrong = || StoresError::WrongKey { name: name.to_owned() };
        let key = self.key()?.ok_or_else(|| StoresError::NoKey { name: name.to_owned() })?;
        let bytes = from_hex(&sealed.0).ok_or_else(wrong)?;
        let (nonce, rest) = bytes.split_first_chunk::<NONCE_LEN>().ok_or_else(wrong)?;
        let mut rest = rest.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let plain = cipher(&key)?.open_in_place(nonce, Aad::from(associated(id)), &mut rest).map_err(|_| wrong())?;
        let Plain { access_key, secret_key } = serde_json::from_slice(plain).map_err(|_| wrong())?;
        Ok(Keys { access_key: Secret::new(access_key), secret_key: Secret::new(secret_key) })
    }

    /// The key, if there is one.
    fn key(&self) -> Result<Option<EncryptionKey>> {
        if let Some(key) = &self.given {
            return Ok(Some(key.clone()));
        }
        let bytes = match read_file(self.fs.as_ref(), &self.file, KEY_FILE_LEN_MAX) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(StoresError::Io { operation: "read", path: self.file.clone(), source }),
        };
        let key = str::from_utf8(&bytes).ok().and_then(|text| EncryptionKey::parse(text.trim_ascii_end()));
        key.map(Some).ok_or_else(|| StoresError::KeyFile { path: self.file.clone() })
    }

    /// Makes the key file; durable when this returns.
    fn make_key(&self) -> Result<EncryptionKey> {
        let mut bytes = [0; 32];
        aws_lc_rs::rand::fill(&mut bytes).map_err(|_| StoresError::Encryption)?;
        let key = EncryptionKey::new(bytes);
        let text = format!("{}\n", key.to_hex());
        match publish_private(self.fs.as_ref(), &self.file, text.as_bytes(), Existing::Keep) {
            Ok(()) => {
                tracing::info!(
                    "made the key file {:?}, without which the secrets of stores cannot be read: keep a copy",
                    self.file
                );
                Ok(key)
            }
            // Nothing is encrypted with a key that a power cut could take away: the next attempt finds the file, or makes another.
            Err(error) => {
                let (PublishError::NotPublished(source) | PublishError::Uncertain(source)) = error;
                Err(StoresError::Io { operation: "publish", path: self.file.clone(), source })
            }
        }
    }
}

fn cipher(key: &EncryptionKey) -> Result<RandomizedNonceKey> {
    RandomizedNonceKey::new(&AES_256_GCM, key.expose()).map_err(|_| StoresError::Encryption)
}

/// What is authenticated with the keys of a configuration.
fn associated(id: StoreId) -> Vec<u8> {
    format!("icecore store {id}").into_bytes()
}

#[cfg(test)]
mod tests {
    use icecore_io::MemFs;

    use super::*;

    fn keys() -> Keys {
        Keys { access_key: Secret::new("AKIA-1"), secret_key: Secret::new("hush-2") }
    }

    fn safe(fs: &MemFs, given: Option<EncryptionKey>) -> Safe {
        fs.create_dir_all("/storage".as_ref()).unwrap();
        Safe::new(Arc::new(fs.clone()), "/storage/secrets.key".into(), given)
    }

    #[test]
    fn what_is_sealed_is_opened_with_the_same_key_file() {
        let fs = MemFs::new();
        let id = StoreId::random().unwrap();
        let sealed = safe(&fs, None).seal(id, &keys()).unwrap();
        assert!(!sealed.0.contains(&to_hex(b"hush-2")));
        assert_eq!(safe(&fs, None).open(id, "s", &sealed).unwrap(), keys());
        assert_eq!(fs.metadata("/storage/secrets.key".as_ref()).unwrap().mode & 0o777, 0o600);
        // Twice the same is not twice the same text.
        assert_ne!(safe(&fs, None).seal(id, &keys()).unwrap(), sealed);
    }

    #[test]
    fn a_given_key_needs_no_file() {
        let fs = MemFs::new();
        let given = EncryptionKey::new([7; 32]);
        let id = StoreId::random().unwrap();
        let sealed = safe(&fs, Some(given.clone())).seal(id, &keys()).unwrap();
        assert!(!fs.exists("/storage/secrets.key".as_ref()).unwrap());
        assert_eq!(safe(&fs, Some(given)).open(id, "s", &sealed).unwrap(), keys());
        assert!(matches!(safe(&fs, None).open(id, "s", &sealed), Err(StoresError::NoKey { .. })));
    }

    #[test]
    fn another_key_another_configuration_and_damage_are_errors() {
        let fs = MemFs::new();
        let id = StoreId::random().unwrap();
        let mine = safe(&fs, Some(EncryptionKey::new([7; 32])));
        let sealed = mine.seal(id, &keys()).unwrap();
        let other = safe(&fs, Some(EncryptionKey::new([8; 32])));
        assert!(matches!(other.open(id, "s", &sealed), Err(StoresError::WrongKey { .. })));
        assert!(matches!(mine.open(StoreId::random().unwrap(), "s", &sealed), Err(StoresError::WrongKey { .. })));
        for damaged in ["", "00", &sealed.0[2..], &sealed.0.replace(&sealed.0[40..44], "zzzz")] {
            assert!(matches!(mine.open(id, "s", &Sealed(damaged.to_owned())), Err(StoresError::WrongKey { .. })), "{damaged}");
        }
        assert_eq!(mine.open(id, "s", &sealed).unwrap(), keys());
    }

    #[test]
    fn a_file_that_is_no_key_is_not_replaced() {
        let fs = MemFs::new();
        let safe = safe(&fs, None);
        fs.create_new("/storage/secrets.key".as_ref()).unwrap().write_all_at(b"not a key", 0).unwrap();
        assert!(matches!(safe.seal(StoreId::random().unwrap(), &keys()), Err(StoresError::KeyFile { .. })));
        assert_eq!(read_file(&fs, "/storage/secrets.key".as_ref(), 100).unwrap(), b"not a key");
    }
}
