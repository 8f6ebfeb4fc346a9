//! The document that keeps all configurations: `{"format", "sha256", "stores"}`, replaced as a whole by one rename.
//!
//! The digest is that of `stores` as this writes it, so that no flipped bit becomes a path that archives are written to. After a
//! replacement of which nobody knows whether it is durable, nothing is replaced any more until a restart reads what the disk holds.

use std::io;
use std::path::PathBuf;

use icecore_archive::Sha256Digest;
use icecore_io::{Existing, Fs, PublishError, read_file};
use serde::{Deserialize, Serialize};

use super::{Record, Result, StoresError, publish_private};

/// The format that is written.
const FORMAT: u32 = 1;
/// The longest document that is read, in bytes.
const LEN_MAX: u64 = 16 * 1024 * 1024;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Contents {
    format: u32,
    sha256: String,
    stores: Vec<Record>,
}

/// Only the format, which says whether the rest can be understood.
#[derive(Deserialize)]
struct Header {
    format: u32,
}

/// The document and what it says.
#[derive(Debug)]
pub(super) struct Document {
    path: PathBuf,
    records: Vec<Record>,
    poisoned: bool,
}

impl Document {
    /// Reads the document; without a file it is empty.
    pub(super) fn open(fs: &dyn Fs, path: PathBuf) -> Result<Self> {
        let records = match read_file(fs, &path, LEN_MAX) {
            Ok(bytes) => parse(&bytes, &path)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(source) => return Err(StoresError::Io { operation: "read", path, source }),
        };
        Ok(Self { path, records, poisoned: false })
    }

    /// What it says.
    pub(super) fn records(&self) -> &[Record] {
        &self.records
    }

    /// Makes it say something else; durable when this returns. After an error it says what it said.
    pub(super) fn replace(&mut self, fs: &dyn Fs, records: Vec<Record>) -> Result<()> {
        if self.poisoned {
            return Err(StoresError::Poisoned);
        }
        let text = render(&records).map_err(|source| self.failed("encode", io::Error::other(source)))?;
        match publish_private(fs, &self.path, &text, Existing::Replace) {
            Ok(()) => {
                self.records = records;
                Ok(())
            }
            Err(PublishError::NotPublished(source)) => Err(self.failed("publish", source)),
            Err(PublishError::Uncertain(source)) => {
                self.poisoned = true;
                Err(self.failed("sync", source))
            }
        }
    }

    fn failed(&self, operation: &'static str, source: io::Error) -> StoresError {
        StoresError::Io { operation, path: self.path.clone(), source }
    }
}

fn digest(stores: &[Record]) -> serde_json::Result<String> {
    Ok(Sha256Digest::of(&serde_json::to_vec(stores)?).to_string())
}

fn render(records: &[Record]) -> serde_json::Result<Vec<u8>> {
    let contents = Contents { format: FORMAT, sha256: digest(records)?, stores: records.to_vec() };
    let mut text = serde_json::to_vec_pretty(&contents)?;
    text.push(b'\n');
    Ok(text)
}

fn parse(bytes: &[u8], path: &std::path::Path) -> Result<Vec<Record>> {
    let damaged = |reason: String| StoresError::Damaged { path: path.to_owned(), reason };
    let header: Header = serde_json::from_slice(bytes).map_err(|error| damaged(error.to_string()))?;
    if header.format > FORMAT {
        return Err(StoresError::Newer { path: path.to_owned(), found: header.format, known: FORMAT });
    }
    let contents: Contents = serde_json::from_slice(bytes).map_err(|error| damaged(error.to_string()))?;
    let found = digest(&contents.stores).map_err(|error| damaged(error.to_string()))?;
    if found != contents.sha256 {
        return Err(damaged(format!("its stores have digest {found}, it says {}", contents.sha256)));
    }
    if contents.stores.iter().filter(|record| record.is_default).count() > 1 {
        return Err(damaged("more than one store is the default".to_owned()));
    }
    Ok(contents.stores)
}
