//! Names of archives: which texts can be one, where an archive of that name belongs, and what a new one is called.
//!
//! The one place where such names are checked: whoever has an [`ArchiveName`] can join it to a directory without leaving it.

use std::fmt;
use std::str::FromStr;

/// What every archive's name ends with.
pub(crate) const SUFFIX: &str = ".snapshot";

/// The longest name in bytes: what file systems take, less what the names of side files and temporaries add.
pub(crate) const NAME_LEN_MAX: usize = 255 - RESERVED_LEN;

/// Bytes kept free for `.checksum`, `.meta.json` and the suffix of temporary files after the name.
const RESERVED_LEN: usize = 24;

/// The name of an archive: a bare file name that ends in `.snapshot`, with nothing in it that means a directory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ArchiveName(String);

/// Why a text is no archive name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} cannot be the name of a snapshot: {rule}")]
pub(crate) struct NameError {
    /// The text.
    pub(crate) name: String,
    /// The rule that it breaks.
    pub(crate) rule: &'static str,
}

/// Where an archive belongs in a store. Collections are given by their own names, never by an alias.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Place {
    /// Archives of everything.
    Storage,
    /// Archives of a collection.
    Collection(String),
    /// Archives of one shard of a collection.
    Shard {
        /// The collection's name.
        collection: String,
        /// The shard's number.
        shard: u32,
    },
}

impl ArchiveName {
    /// The name as text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ArchiveName {
    type Err = NameError;

    fn from_str(name: &str) -> Result<Self, NameError> {
        let refuse = |rule| Err(NameError { name: name.chars().take(300).collect(), rule });
        if name.len() > NAME_LEN_MAX {
            return refuse("it is too long");
        }
        if name.chars().any(|character| matches!(character, '/' | '\\') || character.is_control()) {
            return refuse("it contains a slash, a backslash or a control character");
        }
        if name.starts_with('.') {
            return refuse("it begins with a dot");
        }
        if !name.ends_with(SUFFIX) {
            return refuse("it does not end in `.snapshot`");
        }
        Ok(Self(name.to_owned()))
    }
}

impl fmt::Display for ArchiveName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}
