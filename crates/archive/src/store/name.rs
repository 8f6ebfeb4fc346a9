//! Names of archives in a directory, and of their temporaries.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::side::{CHECKSUM_SUFFIX, META_SUFFIX};
use crate::Error;

/// How the name of an archive ends.
pub const ARCHIVE_SUFFIX: &str = ".snapshot";
/// How the name of a compressed archive ends, whatever comes before.
pub const COMPRESSED_SUFFIX: &str = ".zst";
/// Longest name of an archive in bytes; with what is put around it a file name stays below 255.
pub const ARCHIVE_NAME_LEN_MAX: usize = 220;
/// How the name of an archive in the making ends.
pub(super) const TEMP_SUFFIX: &str = ".tmp";

/// The file name of an archive: one path component, visible, without control characters. Those that a directory of archives lists
/// and sweeps end in `.snapshot`, or in `.snapshot.zst` if they are compressed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ArchiveName(String);

impl ArchiveName {
    /// Checks the name of an archive that lists show; [`Error::ArchiveName`] says what is wrong with it.
    pub fn new(name: impl Into<String>) -> Result<Self, Error> {
        let name = name.into();
        let plain = name.strip_suffix(COMPRESSED_SUFFIX).unwrap_or(&name);
        if plain.strip_suffix(ARCHIVE_SUFFIX).is_none_or(str::is_empty) {
            return Err(Error::ArchiveName { name, rule: "it must be something followed by `.snapshot` or `.snapshot.zst`" });
        }
        Self::unlisted(name)
    }

    /// Checks the name of an archive that need not be listed: it may end in anything that is not the end of a side file or of a
    /// temporary. [`sweep`](crate::sweep()) does not look after it.
    pub fn unlisted(name: impl Into<String>) -> Result<Self, Error> {
        let name = name.into();
        let rule = if name.is_empty() {
            "it must not be empty"
        } else if name.len() > ARCHIVE_NAME_LEN_MAX {
            "it must not be longer than 220 bytes"
        } else if [CHECKSUM_SUFFIX, META_SUFFIX, TEMP_SUFFIX].iter().any(|suffix| name.ends_with(suffix)) {
            "it must not end as the files beside an archive do (`.checksum`, `.meta.json`, `.tmp`)"
        } else if name.starts_with('.') {
            "it must not begin with a dot"
        } else if name.chars().any(|character| matches!(character, '/' | '\\') || character.is_control()) {
            "it must not contain slashes, backslashes or control characters"
        } else {
            return Ok(Self(name));
        };
        Err(Error::ArchiveName { name, rule })
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is the name of a compressed archive.
    pub fn is_compressed(&self) -> bool {
        self.0.ends_with(COMPRESSED_SUFFIX)
    }

    /// What this archive is called in `dir` while it is made.
    pub(super) fn temp_path(&self, dir: &Path) -> PathBuf {
        dir.join(format!(".{}{TEMP_SUFFIX}", self.0))
    }

    /// The archive that a file with this name will become.
    pub(super) fn of_temp(file_name: &str) -> Option<Self> {
        Self::new(file_name.strip_prefix('.')?.strip_suffix(TEMP_SUFFIX)?).ok()
    }
}

impl FromStr for ArchiveName {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        Self::new(name)
    }
}

impl fmt::Display for ArchiveName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_single_visible_components() {
        for name in ["a.snapshot", "my collection-1-2026-01-01-00-00-00.snapshot", "\u{e9}.snapshot"] {
            assert!(ArchiveName::new(name).is_ok(), "{name}");
        }
        for name in ["a.snapshot.zst", "a.snapshot.snapshot.zst"] {
            assert!(ArchiveName::new(name).is_ok_and(|name| name.is_compressed()), "{name}");
        }
        assert!(!ArchiveName::new("a.zst.snapshot").unwrap().is_compressed());
        for name in [".snapshot.zst", "a.zst", "a.snapshot.zst.zst", "a.snapshot.zst.checksum", ".a.snapshot.zst"] {
            assert!(matches!(ArchiveName::new(name), Err(Error::ArchiveName { .. })), "{name:?}");
        }
        for name in ["", ".snapshot", ".a.snapshot", "a", "a.snapshot.checksum", "../a.snapshot", "a/b.snapshot", "a\n.snapshot"]
        {
            assert!(matches!(ArchiveName::new(name), Err(Error::ArchiveName { .. })), "{name:?}");
        }
        assert!(ArchiveName::new("x".repeat(212) + ".snapshot").is_err());
        for name in ["a", "a.tar", "a.snapshot", "checksum"] {
            assert!(ArchiveName::unlisted(name).is_ok(), "{name}");
        }
        for name in ["", ".a", "..", "a/b", "a.checksum", "a.snapshot.meta.json", "a.tmp", "a\u{85}"] {
            assert!(matches!(ArchiveName::unlisted(name), Err(Error::ArchiveName { .. })), "{name:?}");
        }
    }

    #[test]
    fn temporaries_know_their_archive() {
        for name in ["a.snapshot", "a.snapshot.zst"] {
            let name = ArchiveName::new(name).unwrap();
            let temp = format!(".{name}.tmp");
            assert_eq!(name.temp_path(Path::new("")), Path::new(&temp));
            assert_eq!(ArchiveName::of_temp(&temp), Some(name));
        }
        for other in ["a.snapshot", "a.snapshot.tmp", ".b.tmp", "..a.snapshot.tmp", ".a.snapshot"] {
            assert_eq!(ArchiveName::of_temp(other), None, "{other}");
        }
    }
}
