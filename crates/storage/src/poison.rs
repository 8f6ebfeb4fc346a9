//! A switch that is thrown once: after a failed sync nobody knows what the disk holds, so nothing more is written.
//!
//! Reads go on. Only a restart, which reads what the disk really holds, clears it.

use std::sync::OnceLock;

use crate::error::{Error, Result};

/// Whether a part of the storage still takes writes.
#[derive(Debug, Default)]
pub(crate) struct Poison {
    reason: OnceLock<String>,
}

impl Poison {
    /// Throws the switch; the first reason stays.
    pub(crate) fn set(&self, reason: impl Into<String>) {
        // A second failure adds nothing: the part is closed already.
        let _ = self.reason.set(reason.into());
    }

    /// Why writes are refused, if they are.
    pub(crate) fn reason(&self) -> Option<&str> {
        self.reason.get().map(String::as_str)
    }

    /// `Poisoned` with what is poisoned and why, or nothing.
    pub(crate) fn check(&self, what: impl FnOnce() -> String) -> Result<()> {
        match self.reason() {
            None => Ok(()),
            Some(reason) => Err(Error::Poisoned { what: what(), reason: reason.to_owned() }),
        }
    }
}
