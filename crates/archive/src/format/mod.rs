//! The bytes of an archive: pure functions of the manifest, without I/O.

pub(crate) mod frames;
mod json;
pub(crate) mod layout;
pub(crate) mod manifest;
pub(crate) mod path;
mod records;
pub(crate) mod tar;
pub(crate) mod version;
