//! Finds the store that a request names.
//!
//! Without a name it is the store of the server. There are no others yet.

use std::sync::Arc;

use super::Store;
use crate::error::Kind;

/// The stores that there are.
#[derive(Debug)]
pub(crate) struct Stores {
    own: Arc<dyn Store>,
}

/// A store with what it is called.
#[derive(Debug, Clone)]
pub(crate) struct ResolvedStore {
    /// The id of its configuration; `None` for the store of the server.
    pub(crate) id: Option<String>,
    /// The store.
    pub(crate) store: Arc<dyn Store>,
}

/// Why there is no such store.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoresError {
    /// No configuration has this id.
    #[error("Storage config not found")]
    NotFound,
}

impl StoresError {
    /// What the caller can do about it.
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::NotFound => Kind::NotFound,
        }
    }

    /// Whether its text may be shown to clients.
    pub(crate) fn is_presentable(&self) -> bool {
        match self {
            Self::NotFound => true,
        }
    }
}

impl Stores {
    /// Only the store of the server.
    pub(crate) fn new(own: Arc<dyn Store>) -> Self {
        Self { own }
    }

    /// The store whose configuration has this id; without one the default.
    pub(crate) fn resolve(&self, id: Option<&str>) -> Result<ResolvedStore, StoresError> {
        match id {
            None => Ok(ResolvedStore { id: None, store: Arc::clone(&self.own) }),
            Some(_) => Err(StoresError::NotFound),
        }
    }
}
