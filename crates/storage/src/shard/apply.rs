//! What an operation does: the same when it is first applied and when it is replayed from the log.
//!
//! Only one thread at a time applies, in the order of the log. Filters see the points as all operations before left them, and
//! what the operation itself did to a point so far where it names one twice.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::found::Found;
use super::view::View;
use crate::error::{Error, Result};
use crate::filter::Filter;
use crate::ids::{Lsn, PointId};
use crate::memtable::{Entry, Part, Row, RowVectors};
use crate::op::{Operation, Point, PointVectors, Target, UpsertMode};
use crate::payload::{self, EditError, JsonPath, edit};
use crate::shard::candidate::FoundPoint;

/// What one operation changes, before it is put in place in one step.
struct Changes<'a> {
    view: &'a View,
    lsn: Lsn,
    entries: BTreeMap<PointId, Entry>,
    /// Points that came or went.
    balance: i64,
}

/// Applies a record to the view's active memtable, and says how many points came (or, negative, went). An error means that (a
/// part of) the operation has no effect, and will have none when it is replayed; the record stays in the log.
pub(super) fn apply(view: &View, lsn: Lsn, operation: Operation) -> (i64, Result<()>) {
    let mut changes = Changes { view, lsn, entries: BTreeMap::new(), balance: 0 };
    let outcome = changes.run(operation);
    view.active.apply(changes.entries);
    (changes.balance, outcome)
}

impl Changes<'_> {
    fn run(&mut self, operation: Operation) -> Result<()> {
        match operation {
            Operation::Upsert { points, mode, condition } => self.upsert(points, mode, condition.as_deref()),
            Operation::Delete { target } => self.delete(target),
            Operation::SetPayload { target, payload, key } => {
                let values = payload::parse(&payload).ok_or(Error::PayloadNotObject { id: PointId::Num(0) })?;
                let key = key.as_deref().map(|text| place(text, &values)).transpose()?;
                self.change_payloads(target, |old| edit::set(old, &values, key.as_ref()))
            }
            Operation::OverwritePayload { target, payload } => self.replace_payloads(target, &payload),
            Operation::DeletePayload { target, keys } => {
                let keys = keys.iter().map(|key| path(key)).collect::<Result<Vec<_>>>()?;
                self.change_payloads(target, |old| edit::delete(old, &keys))
            }
            Operation::ClearPayload { target } => self.replace_payloads(target, ""),
            Operation::UpdateVectors { points, condition } => self.update_vectors(points, condition.as_deref()),
            Operation::DeleteVectors { target, names } => self.delete_vectors(target, &names),
        }
    }

    fn upsert(&mut self, points: Vec<Point>, mode: UpsertMode, condition: Option<&str>) -> Result<()> {
        let condition = condition.map(filter).transpose()?;
        let mut problem = None;
        for point in points {
            // The common case asks nothing of what is there.
            let wanted = match (mode, &condition) {
                (UpsertMode::Upsert, None) => Ok(true),
                _ => self.find(point.id).and_then(|found| match (found, mode) {
                    (None, UpsertMode::UpdateOnly) | (Some(_), UpsertMode::InsertOnly) => Ok(false),
                    (None, UpsertMode::Upsert | UpsertMode::InsertOnly) => Ok(true),
                    (Some(found), UpsertMode::Upsert | UpsertMode::UpdateOnly) => matches(condition.as_ref(), point.id, &found),
                }),
            };
            match wanted {
                Ok(true) => self.put(point.id, RowVectors::Here(point.vectors), Part::Here(point.payload)),
                Ok(false) => {}
                Err(error) => problem = Some(worse(problem, error)),
            }
        }
        problem.map_or(Ok(()), Err)
    }

    fn delete(&mut self, target: Target) -> Result<()> {
        match target {
            Target::Ids(ids) => {
                for id in ids.into_iter().filter(|id| self.exists(*id)).collect::<Vec<_>>() {
                    self.insert(id, Entry::Dead);
                }
            }
            Target::Filter(text) => {
                let (matching, problem) = self.matching(&text)?;
                for (id, _) in matching {
                    self.insert(id, Entry::Dead);
                }
                problem.map_or(Ok(()), Err)?;
            }
        }
        Ok(())
    }

    /// Gives each target the payload that `change` makes of its own.
    fn change_payloads(&mut self, target: Target, change: impl Fn(&str) -> Result<String, EditError>) -> Result<()> {
        self.for_each(target, |id, found| {
            let payload = change(found.payload()?).map_err(|error| match error {
                EditError::NotAnObject => Error::Payload { id, reason: error.to_string() },
                // What cannot be done to any payload is no damage of this one.
                EditError::TooDeep(_) => Error::PayloadPath { path: String::new(), reason: error.to_string() },
            })?;
            Ok((found.keep_vectors(), Part::Here(payload)))
        })
    }

    /// Gives each target this payload, whatever it has, readable or not.
    fn replace_payloads(&mut self, target: Target, payload: &str) -> Result<()> {
        self.for_each(target, |_, found| Ok((found.keep_vectors(), Part::Here(payload.to_owned()))))
    }

    fn update_vectors(&mut self, points: Vec<PointVectors>, condition: Option<&str>) -> Result<()> {
        let condition = condition.map(filter).transpose()?;
        let mut problem = None;
        for PointVectors { id, vectors } in points {
            let wanted = |found: Found| Ok(matches(condition.as_ref(), id, &found)?.then_some(found));
            match self.find(id).and_then(|found| found.ok_or(Error::PointNotFound { id })).and_then(wanted) {
                Ok(Some(found)) => {
                    let mut all = found.keep_vectors();
                    vectors.into_iter().for_each(|named| all.change(&named.name, Some(named.vector)));
                    self.put(id, all, found.keep_payload());
                }
                Ok(None) => {}
                Err(error) => problem = Some(worse(problem, error)),
            }
        }
        problem.map_or(Ok(()), Err)
    }

    fn delete_vectors(&mut self, target: Target, names: &[String]) -> Result<()> {
        self.for_each(target, |_, found| {
            let mut vectors = found.keep_vectors();
            names.iter().for_each(|name| vectors.change(name, None));
            Ok((vectors, found.keep_payload()))
        })
    }

    /// Replaces each target by what `change` makes of it. A point that is named but missing, or damaged, is reported after the
    /// others were changed.
    fn for_each(&mut self, target: Target, change: impl Fn(PointId, &Found) -> Result<Changed>) -> Result<()> {
        let mut problem = None;
        match target {
            Target::Filter(text) => {
                let (matching, unknown) = self.matching(&text)?;
                problem = unknown;
                for (id, found) in matching {
                    match change(id, &found) {
                        Ok((vectors, payload)) => self.put(id, vectors, payload),
                        Err(error) => problem = Some(worse(problem, error)),
                    }
                }
            }
            Target::Ids(ids) => {
                for id in ids {
                    let found = self.find(id).and_then(|found| found.ok_or(Error::PointNotFound { id }));
                    match found.and_then(|found| change(id, &found)) {
                        Ok((vectors, payload)) => self.put(id, vectors, payload),
                        Err(error) => problem = Some(worse(problem, error)),
                    }
                }
            }
        }
        problem.map_or(Ok(()), Err)
    }

    /// The points that match a filter. Call before the operation has changed anything.
    fn matching(&self, text: &str) -> Result<Matching> {
        debug_assert!(self.entries.is_empty(), "a filter is evaluated once, first");
        let filter = filter(text)?;
        let (mut matching, mut problem) = (Vec::new(), None);
        for item in self.view.scan(None)? {
            let (id, found) = item?;
            match matches(Some(&filter), id, &found) {
                Ok(true) => matching.push((id, found)),
                Ok(false) => {}
                Err(error) => problem = Some(worse(problem, error)),
            }
        }
        Ok((matching, problem))
    }

    fn put(&mut self, id: PointId, vectors: RowVectors, payload: Part<String>) {
        self.insert(id, Entry::Live(Arc::new(Row { version: self.lsn, vectors, payload })));
    }

    fn insert(&mut self, id: PointId, entry: Entry) {
        let before = i64::from(self.exists(id));
        let after = i64::from(matches!(entry, Entry::Live(_)));
        self.balance += after - before;
        self.entries.insert(id, entry);
    }

    /// Whether the point is live. Where damage hides the answer, it is taken to be: a delete must not be lost, and
    /// a count that is one off in a damaged shard does no harm.
    fn exists(&self, id: PointId) -> bool {
        self.find(id).map_or(true, |found| found.is_some())
    }

    /// The point as it is after what this operation did so far.
    fn find(&self, id: PointId) -> Result<Option<Found>> {
        match self.entries.get(&id) {
            Some(Entry::Live(row)) => Ok(Some(Found::InMemory(row.clone()))),
            Some(Entry::Dead) => Ok(None),
            None => self.view.get(id),
        }
    }
}

/// The one of two problems that is reported: damage rather than a missing point, otherwise the first.
fn worse(before: Option<Error>, error: Error) -> Error {
    match before {
        Some(before) if before.is_corrupt() || !error.is_corrupt() => before,
        _ => error,
    }
}

/// The points that match a filter, and the first error of those of which it cannot be said: it does not keep the others from being
/// changed.
type Matching = (Vec<(PointId, Found)>, Option<Error>);

/// Vectors and payload of a changed point.
type Changed = (RowVectors, Part<String>);

/// A filter that was checked before it was logged.
pub(super) fn filter(text: &str) -> Result<Filter> {
    Filter::parse(text).map_err(|error| Error::Filter { reason: error.to_string() })
}

/// A path that was checked before it was logged.
fn path(text: &str) -> Result<JsonPath> {
    text.parse().map_err(|error| Error::PayloadPath { path: text.to_owned(), reason: format!("{error}") })
}

/// A path at which these keys can be set.
fn place(text: &str, values: &Map<String, Value>) -> Result<JsonPath> {
    let place = path(text)?;
    let wrong = |error: EditError| Error::PayloadPath { path: text.to_owned(), reason: error.to_string() };
    edit::check_depth(values, Some(&place)).map_err(wrong)?;
    Ok(place)
}

pub(super) fn matches(filter: Option<&Filter>, id: PointId, found: &Found) -> Result<bool> {
    match filter {
        None => Ok(true),
        Some(filter) => filter.matches(&FoundPoint::new(id, found)),
    }
}
