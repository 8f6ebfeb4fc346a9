//! A point as a filter sees it: its payload is parsed when a condition first asks for it.

use std::cell::OnceCell;

use serde_json::{Map, Value};

use super::found::Found;
use crate::error::{Error, Result};
use crate::filter::Candidate;
use crate::ids::PointId;

/// A live point in front of a filter.
pub(crate) struct FoundPoint<'a> {
    id: PointId,
    found: &'a Found,
    payload: OnceCell<Map<String, Value>>,
}

impl<'a> FoundPoint<'a> {
    pub(crate) fn new(id: PointId, found: &'a Found) -> Self {
        Self { id, found, payload: OnceCell::new() }
    }
}

impl Candidate for FoundPoint<'_> {
    fn id(&self) -> PointId {
        self.id
    }

    fn payload(&self) -> Result<&Map<String, Value>> {
        if self.payload.get().is_none() {
            let text = self.found.payload()?;
            let parsed = if text.is_empty() { Ok(Map::new()) } else { serde_json::from_str(text) };
            let parsed = parsed.map_err(|error| Error::Payload { id: self.id, reason: error.to_string() })?;
            // The cell is empty: it was just looked at, and a cell is not shared between threads.
            let _ = self.payload.set(parsed);
        }
        Ok(self.payload.get_or_init(Map::new))
    }

    fn has_vector(&self, name: &str) -> Result<bool> {
        self.found.has_vector(name)
    }
}
