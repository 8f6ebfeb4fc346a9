//! Where in a bucket the objects of an archive are. FORMAT.md has the table.
//!
//! The layout is that of the local store, so that an archive is found where one looks for it: `<collection>/<name>`. Keys are made
//! of checked names only; nothing that a client sends leaves the prefix or reaches a neighbour.

use super::id::Id;
use icecore_archive::ArchiveName;
use object_store::path::Path;

use super::super::{Result, StoreError};
use crate::usecases::naming::Place;

/// What follows an archive's key in that of its digest.
pub(super) const CHECKSUM_SUFFIX: &str = ".checksum";
/// What follows an archive's key in that of its index object.
pub(super) const META_SUFFIX: &str = ".meta.json";
/// What follows an archive's key in that of the note that it was read back.
const VERIFIED_SUFFIX: &str = ".verified.json";
/// What follows an archive's key in those of the claims on its name; then comes the id of whoever claims it.
const CLAIMS_SUFFIX: &str = ".making/";

/// The keys of one archive.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    /// The archive itself.
    pub(super) data: Path,
    /// Its digest, 64 hexadecimal digits.
    pub(super) checksum: Path,
    /// Its index object: what makes it listed.
    pub(super) meta: Path,
    /// The note that all of its bytes were read back and found sound, if they were.
    pub(super) verified: Path,
}

impl Keys {
    /// Those of an archive of a place.
    pub(super) fn new(prefix: &str, place: &Place, name: &ArchiveName) -> Result<Self> {
        Self::of(&format!("{}{name}", dir(prefix, place)?)).ok_or_else(|| StoreError::NotFound { name: name.to_string() })
    }

    /// Those of an archive by its own. `None` if no archive has such a key.
    pub(super) fn of(data: &str) -> Option<Self> {
        let key = |suffix: &str| {
            Path::parse(format!("{data}{suffix}")).ok().filter(|key| key.as_ref().len() == data.len() + suffix.len())
        };
        let (checksum, meta) = (key(CHECKSUM_SUFFIX)?, key(META_SUFFIX)?);
        Some(Self { data: key("")?, checksum, meta, verified: key(VERIFIED_SUFFIX)? })
    }

    /// The claim of this id on the name.
    pub(super) fn claim(&self, id: Id) -> Path {
        // Not refused: it is a key with two more names.
        Path::parse(format!("{}{CLAIMS_SUFFIX}{id}", self.data)).unwrap_or_default()
    }

    /// Whose claim this key is, if it is one on the name.
    pub(super) fn claimed_by(&self, key: &Path) -> Option<Id> {
        key.as_ref().strip_prefix(self.data.as_ref())?.strip_prefix(CLAIMS_SUFFIX)?.parse().ok()
    }
}

/// What the keys of a place begin with: empty, or with a slash at its end.
pub(super) fn dir(prefix: &str, place: &Place) -> Result<String> {
    let dirs = place.dirs().map_err(StoreError::Place)?;
    Ok(dirs.into_iter().fold(prefix.to_owned(), |key, dir| format!("{key}{dir}/")))
}

/// The place of an archive by its key; `None` if no archive has such a key.
pub(super) fn place(prefix: &str, data: &str) -> Option<Place> {
    let (dirs, _) = data.strip_prefix(prefix)?.rsplit_once('/').unwrap_or_default();
    let dirs: Vec<&str> = if dirs.is_empty() { Vec::new() } else { dirs.split('/').collect() };
    Place::at(&dirs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn archives_lie_as_in_a_directory() {
        let name = "x.snapshot".parse().unwrap();
        let shard = Place::Shard { collection: "c".to_owned(), shard: 7 };
        let elsewhere = Place::Elsewhere { cluster: "east".to_owned(), collection: "c".to_owned(), shard: Some(7) };
        for (prefix, place, expected) in [
            ("", Place::Storage, "x.snapshot"),
            ("p/", Place::Collection("a b%".to_owned()), "p/a b%/x.snapshot"),
            ("", shard, "c/shards/7/x.snapshot"),
            ("p/", elsewhere, "p/c/clusters/east/shards/7/x.snapshot"),
        ] {
            let keys = Keys::new(prefix, &place, &name).unwrap();
            assert_eq!(keys.data.as_ref(), expected);
            assert_eq!(keys.meta.as_ref(), format!("{expected}.meta.json"));
            assert_eq!(super::place(prefix, expected).as_ref(), Some(&place));
        }
        for hostile in ["..", "a/b", ""] {
            assert!(Keys::new("", &Place::Collection(hostile.to_owned()), &name).is_err(), "{hostile}");
        }
    }

    #[test]
    fn claims_know_their_archive_and_their_owner() {
        let keys = Keys::of("c/x.snapshot").unwrap();
        let id = Id::random().unwrap();
        assert_eq!(keys.claimed_by(&keys.claim(id)), Some(id));
        for other in [
            "c/x.snapshot",
            "c/x.snapshot.making/a.snapshot",
            "c/x.snapshot.meta.json",
            "c/x.snapshot.verified.json",
            "c/x.snapshot.zst",
        ] {
            assert_eq!(keys.claimed_by(&Path::parse(other).unwrap()), None, "{other}");
        }
    }
}
