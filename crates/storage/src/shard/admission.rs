//! How much an operation changes, asked before it is logged.
//!
//! An operation of a few bytes can change every point, and what it changes is in memory until it is flushed; and again at every
//! start, until then, because its record is in the log. So it is bounded here, where it can still be refused. What is
//! applied may be a little more: points may come between the question and the operation's place in the log.

use super::Shard;
use super::apply::{filter, matches};
use super::found::Found;
use crate::error::{Error, Result};
use crate::op::{Operation, Target};

/// The most memory that one operation may need for what it changes in one shard.
pub(crate) const CHANGE_BYTES_MAX: u64 = 512 * 1024 * 1024;

/// What a changed point takes besides its payload.
const POINT_BYTES: u64 = 200;

/// What an operation needs for each point that it changes.
struct Cost<'a> {
    target: &'a Target,
    /// Bytes that every point gets.
    added: usize,
    /// Whether the payload that a point has comes into memory too.
    keeps_payload: bool,
}

impl Shard {
    /// Refuses an operation that changes more than [`CHANGE_BYTES_MAX`] can hold.
    pub(crate) fn check_change(&self, operation: &Operation) -> Result<()> {
        let Some(cost) = cost(operation) else { return Ok(()) };
        let view = self.view();
        let each = cost.added as u64 + POINT_BYTES;
        let stored: u64 = view.version.manifest.segments.iter().map(|entry| entry.digest.len).sum();
        let stored = if cost.keeps_payload { stored + self.memtable_bytes() } else { 0 };
        let points = match cost.target {
            Target::Ids(ids) => ids.len() as u64,
            Target::Filter(_) => self.points(),
        };
        if points.saturating_mul(each).saturating_add(stored) <= CHANGE_BYTES_MAX {
            return Ok(());
        }
        // It could be too much: look at the points.
        let mut bytes = 0;
        let mut add = |found: &Found| {
            // Damage is met again, and reported, when the operation is applied.
            let payload = if cost.keeps_payload { found.payload().map_or(0, str::len) } else { 0 };
            bytes += each + payload as u64;
            if bytes > CHANGE_BYTES_MAX { Err(Error::ChangeTooLarge { max: CHANGE_BYTES_MAX }) } else { Ok(()) }
        };
        match cost.target {
            Target::Ids(ids) => ids.iter().filter_map(|id| view.get(*id).ok().flatten()).try_for_each(|found| add(&found)),
            Target::Filter(text) => {
                let filter = filter(text)?;
                let found = view.scan(None)?.filter_map(Result::ok);
                found
                    .filter(|(id, found)| matches(Some(&filter), *id, found).unwrap_or(true))
                    .try_for_each(|(_, found)| add(&found))
            }
        }
    }
}

/// The cost of an operation on a target; one that brings its points along is bounded by its own length.
fn cost(operation: &Operation) -> Option<Cost<'_>> {
    let (target, added, keeps_payload) = match operation {
        Operation::Upsert { .. } | Operation::UpdateVectors { .. } => return None,
        Operation::Delete { target } | Operation::ClearPayload { target } => (target, 0, false),
        Operation::SetPayload { target, payload, key } => (target, payload.len() + key.as_ref().map_or(0, String::len), true),
        Operation::OverwritePayload { target, payload } => (target, payload.len(), false),
        Operation::DeletePayload { target, .. } => (target, 0, true),
        Operation::DeleteVectors { target, names } => (target, names.iter().map(|name| name.len() + 80).sum(), false),
    };
    Some(Cost { target, added, keeps_payload })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;
    use std::sync::Arc;
    use std::time::Duration;

    use icecore_io::{ManualClock, MemFs};

    use super::*;
    use crate::config::CollectionConfig;
    use crate::engine::{Durability, Options, Storage};
    use crate::ids::PointId;
    use crate::op::Point;

    /// Once one request of 2 MiB for all points took as many copies of it, and so did every start after it.
    #[test]
    fn a_small_request_that_would_fill_the_memory_is_refused_before_it_is_logged() {
        let options = Options { background: false, ..Options::default() };
        let clock = Arc::new(ManualClock::new(Duration::ZERO));
        let storage = Storage::open(Arc::new(MemFs::new()), clock, Path::new("/db"), options).unwrap();
        let config = CollectionConfig {
            shard_number: 1,
            vectors: BTreeMap::new(),
            sparse_vectors: BTreeMap::new(),
            settings: serde_json::Value::Null,
        };
        storage.create_collection("c", config).unwrap();
        let points = (0..600).map(|id| Point { id: PointId::Num(id), vectors: Vec::new(), payload: format!(r#"{{"n":{id}}}"#) });
        storage.write("c", Operation::upsert(points.collect()), Durability::Buffered).unwrap();
        let before = storage.info("c").unwrap().shards[0].last_lsn;

        let payload = format!(r#"{{"x":"{}"}}"#, "x".repeat(1024 * 1024));
        let all = || Target::Filter("{}".into());
        let ids = || Target::Ids((0..600).map(PointId::Num).collect());
        for target in [all(), ids()] {
            let set = Operation::SetPayload { target: target.clone(), payload: payload.clone(), key: None };
            assert!(matches!(storage.write("c", set, Durability::Buffered), Err(Error::ChangeTooLarge { .. })));
            let overwrite = Operation::OverwritePayload { target, payload: payload.clone() };
            assert!(matches!(storage.write("c", overwrite, Durability::Buffered), Err(Error::ChangeTooLarge { .. })));
        }
        assert_eq!(storage.info("c").unwrap().shards[0].last_lsn, before, "nothing was logged");

        // What matches counts, not what there is.
        let few = Target::Filter(r#"{"must":[{"key":"n","range":{"lt":2}}]}"#.into());
        let set = Operation::SetPayload { target: few, payload, key: None };
        storage.write("c", set, Durability::Buffered).unwrap();
        storage.write("c", Operation::Delete { target: all() }, Durability::Buffered).unwrap();
        assert_eq!(storage.count("c", None).unwrap(), 0);
    }
}
