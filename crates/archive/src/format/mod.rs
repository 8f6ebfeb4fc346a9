//! The bytes of an archive: pure functions of the manifest, without I/O.

pub(crate) mod layout;
pub(crate) mod manifest;
pub(crate) mod path;
pub(crate) mod tar;
pub(crate) mod version;
