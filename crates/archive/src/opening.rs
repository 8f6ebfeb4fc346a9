//! Reads the beginning of what may be an archive: the manifest and its digest, from which all the rest follows.
//!
//! One implementation for files and for streams: it reads strictly forward and relies on no length that it was told. The
//! manifest's memory grows with the bytes that arrive, up to [`MANIFEST_LEN_MAX`]. A length that is known is compared at the first
//! moment at which it can be wrong. Members are not looked at here.

use std::path::Path;

use crate::Error;
use crate::foreign::{Foreign, is_zstd};
use crate::format::layout::{
    DIGEST_NAME, MANIFEST_LEN_MAX, MANIFEST_NAME, TRAILER_LEN, digest_header, manifest_header, padding_len, prelude_len,
};
use crate::format::manifest::{Manifest, ParseError};
use crate::format::tar::{BLOCK_LEN, NAME_SIZE, RawHeader, has_magic};
use crate::format::version::LAYOUT;
use crate::plan::Plan;
use crate::problem::Problem;
use crate::writer::buffer::BUFFER_LEN;
use icecore_io::digest::Sha256Digest;

/// What an archive is opened from.
pub(crate) trait Input {
    /// Fills `buffer` with the next bytes and gives their number, which is less than its length only at the end.
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Error>;

    /// The length of the whole, as far as anybody knows it.
    fn whole_len(&self) -> Option<u64>;

    /// Says what it is, when it begins with this header of another tar. Nothing is read afterwards.
    fn identify(&mut self, first: &[u8; 512]) -> Result<Foreign, Error>;
}

/// Reads the plan of the archive that `label` stands for in errors; the next byte is then the first member's.
pub(crate) fn open(input: &mut impl Input, label: &Path) -> Result<Plan, Error> {
    let mut opening = Opening { input, label, offset: 0 };
    let manifest_len = opening.manifest_len()?;
    let bytes = opening.manifest(manifest_len)?;
    let manifest = Manifest::parse(&bytes).map_err(|error| opening.refused(error))?;
    let plan = Plan::from_manifest(manifest, bytes)
        .map_err(|source| Error::ManifestRule { path: label.to_owned(), source: Box::new(source) })?;
    let expected = plan.archive_len();
    match input.whole_len() {
        Some(actual) if actual < expected => Err(Error::Truncated { path: label.to_owned(), expected, actual }),
        Some(actual) if actual > expected => Err(Error::TrailingBytes { path: label.to_owned(), expected, actual }),
        _ => Ok(plan),
    }
}

struct Opening<'a, I> {
    input: &'a mut I,
    label: &'a Path,
    /// Bytes read so far.
    offset: u64,
}

impl<I: Input> Opening<'_, I> {
    /// The manifest's length, from a first header that is exactly ours.
    fn manifest_len(&mut self) -> Result<u64, Error> {
        let mut block = [0; 512];
        let available = self.read(&mut block)?;
        if is_zstd(&block) {
            return Err(self.foreign(Foreign::Zstd));
        }
        let ours = block.get(..NAME_SIZE).is_some_and(|name| name.starts_with(MANIFEST_NAME.as_bytes()));
        if available < block.len() {
            return match ours {
                true => Err(self.truncated(BLOCK_LEN, self.offset)),
                false => Err(self.not_tar()),
            };
        }
        match RawHeader::parse(&block) {
            Some(header) if block == manifest_header(header.size) => Ok(header.size),
            Some(_) => {
                let foreign = self.input.identify(&block)?;
                Err(self.foreign(foreign))
            }
            None if ours || has_magic(&block) => {
                Err(self.damaged(Problem::Header { member: MANIFEST_NAME.to_owned(), offset: 0 }))
            }
            None => Err(self.not_tar()),
        }
    }

    /// The manifest, whose digest stands in the second member.
    fn manifest(&mut self, manifest_len: u64) -> Result<Vec<u8>, Error> {
        if manifest_len > MANIFEST_LEN_MAX {
            let source = Box::new(Error::ManifestTooLong { len: manifest_len, max: MANIFEST_LEN_MAX });
            return Err(Error::ManifestRule { path: self.label.to_owned(), source });
        }
        let least = prelude_len(manifest_len) + TRAILER_LEN;
        if let Some(actual) = self.input.whole_len().filter(|len| *len < least) {
            return Err(self.truncated(least, actual));
        }
        let bytes = self.growing(manifest_len, least)?;

        let padding_offset = self.offset;
        let mut padding = vec![0; usize::try_from(padding_len(manifest_len)).unwrap_or(0)];
        self.exact(&mut padding, least)?;
        if padding.iter().any(|byte| *byte != 0) {
            return Err(self.damaged(Problem::Padding { member: MANIFEST_NAME.to_owned(), offset: padding_offset }));
        }
        let header_offset = self.offset;
        let mut header = [0; 512];
        self.exact(&mut header, least)?;
        if header != digest_header() {
            return Err(self.damaged(Problem::Header { member: DIGEST_NAME.to_owned(), offset: header_offset }));
        }
        let offset = self.offset;
        let mut block = [0; 512];
        self.exact(&mut block, least)?;
        let (digits, padding) = block.split_at(Sha256Digest::HEX_LEN);
        if padding.iter().any(|byte| *byte != 0) {
            let offset = offset + digits.len() as u64;
            return Err(self.damaged(Problem::Padding { member: DIGEST_NAME.to_owned(), offset }));
        }
        let expected = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
        let Some(expected) = expected else {
            return Err(self.damaged(Problem::ManifestDigestText { offset }));
        };
        let actual = Sha256Digest::of(&bytes);
        if actual != expected {
            return Err(Error::ManifestDigest { path: self.label.to_owned(), expected, actual });
        }
        Ok(bytes)
    }

    /// The next `len` bytes, of which no more than a buffer is taken on trust at any time.
    fn growing(&mut self, len: u64, least: u64) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        let mut left = usize::try_from(len).unwrap_or(usize::MAX);
        while left > 0 {
            let (start, step) = (bytes.len(), left.min(BUFFER_LEN));
            bytes.resize(start + step, 0);
            self.exact(bytes.get_mut(start..).unwrap_or_default(), least)?;
            left -= step;
        }
        Ok(bytes)
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        let read = self.input.read(buffer)?;
        self.offset += read as u64;
        Ok(read)
    }

    /// Fills the buffer from an input that needs at least `least` bytes to be an archive.
    fn exact(&mut self, buffer: &mut [u8], least: u64) -> Result<(), Error> {
        match self.read(buffer)? < buffer.len() {
            true => Err(self.truncated(least, self.offset)),
            false => Ok(()),
        }
    }

    fn refused(&self, error: ParseError) -> Error {
        let path = self.label.to_owned();
        match error {
            ParseError::Layout(found) => Error::Layout { path, found, known: LAYOUT },
            ParseError::Json(source) => Error::Manifest { path, source },
            ParseError::Form(offset) => Error::ManifestForm { path, offset },
            ParseError::Rule(source) => Error::ManifestRule { path, source: Box::new(source) },
        }
    }

    fn truncated(&self, expected: u64, actual: u64) -> Error {
        Error::Truncated { path: self.label.to_owned(), expected, actual }
    }

    fn not_tar(&self) -> Error {
        Error::NotTar { path: self.label.to_owned(), len: self.input.whole_len().unwrap_or(self.offset) }
    }

    fn foreign(&self, foreign: Foreign) -> Error {
        Error::Foreign { path: self.label.to_owned(), foreign }
    }

    fn damaged(&self, source: Problem) -> Error {
        Error::Damaged { path: self.label.to_owned(), source }
    }
}
