//! What may be written to a collection, and to which shard each part of it goes.
//!
//! Everything is checked before anything is logged: an operation in the log can be applied. Vectors leave here as they are stored:
//! normalised where the distance asks for it, rounded to their datatype, sparse ones sorted.

use std::collections::BTreeSet;

use crate::codec::BODY_LEN_MAX;
use crate::collection::Collection;
use crate::config::{DenseParams, Distance};
use crate::error::{Error, Result};
use crate::filter::Filter;
use crate::ids::PointId;
use crate::normalize::normalize;
use crate::op::{NamedVector, Operation, Target, Vector};
use crate::payload::{self, JsonPath};
use crate::vector::Datatype;

impl Collection {
    /// Checks an operation against the configuration and splits it by shard. Shards without a part do not occur; an operation by
    /// filter goes to all.
    pub(crate) fn prepare(&self, operation: Operation) -> Result<Vec<(usize, Operation)>> {
        match operation {
            Operation::Upsert { mut points, mode, condition } => {
                condition.as_deref().map_or(Ok(()), check_filter)?;
                for point in &mut points {
                    check_payload(point.id, &mut point.payload)?;
                    self.check_vectors(point.id, &mut point.vectors)?;
                }
                let part = |points| Operation::Upsert { points, mode, condition: condition.clone() };
                self.split(points, |point| point.id, len(&condition), part)
            }
            Operation::UpdateVectors { mut points, condition } => {
                condition.as_deref().map_or(Ok(()), check_filter)?;
                for point in &mut points {
                    self.check_vectors(point.id, &mut point.vectors)?;
                }
                let part = |points| Operation::UpdateVectors { points, condition: condition.clone() };
                self.split(points, |point| point.id, len(&condition), part)
            }
            Operation::Delete { target } => self.split_target(target, 0, |target| Operation::Delete { target }),
            Operation::SetPayload { target, mut payload, key } => {
                check_payload(first(&target), &mut payload)?;
                key.as_deref().map_or(Ok(()), |key| check_place(key, &payload))?;
                let part = |target| Operation::SetPayload { target, payload: payload.clone(), key: key.clone() };
                self.split_target(target, payload.len() + len(&key), part)
            }
            Operation::OverwritePayload { target, mut payload } => {
                check_payload(first(&target), &mut payload)?;
                self.split_target(target, payload.len(), |target| Operation::OverwritePayload {
                    target,
                    payload: payload.clone(),
                })
            }
            Operation::DeletePayload { target, keys } => {
                keys.iter().try_for_each(|key| check_path(key))?;
                let len = keys.iter().map(String::len).sum();
                self.split_target(target, len, |target| Operation::DeletePayload { target, keys: keys.clone() })
            }
            Operation::ClearPayload { target } => self.split_target(target, 0, |target| Operation::ClearPayload { target }),
            Operation::DeleteVectors { target, names } => {
                for name in &names {
                    if !self.config.has_vector(name) {
                        return Err(Error::VectorName { name: name.clone() });
                    }
                }
                let len = names.iter().map(String::len).sum();
                self.split_target(target, len, |target| Operation::DeleteVectors { target, names: names.clone() })
            }
        }
    }

    /// `copied` is as in [`Collection::split`]; a filter comes on top.
    fn split_target(&self, target: Target, copied: usize, part: impl Fn(Target) -> Operation) -> Result<Vec<(usize, Operation)>> {
        match target {
            Target::Ids(ids) => self.split(ids, |id| *id, copied, |ids| part(Target::Ids(ids))),
            Target::Filter(text) => {
                check_filter(&text)?;
                check_copies(self.shards.len(), copied + text.len())?;
                Ok((0..self.shards.len()).map(|shard| (shard, part(Target::Filter(text.clone())))).collect())
            }
        }
    }

    /// Splits items by shard; `copied` are the bytes that `part` copies into each part.
    fn split<T>(
        &self,
        items: Vec<T>,
        id: impl Fn(&T) -> PointId,
        copied: usize,
        part: impl Fn(Vec<T>) -> Operation,
    ) -> Result<Vec<(usize, Operation)>> {
        let mut parts: Vec<Vec<T>> = self.shards.iter().map(|_| Vec::new()).collect();
        for item in items {
            parts[id(&item).shard(self.config.shard_number) as usize].push(item);
        }
        check_copies(parts.iter().filter(|items| !items.is_empty()).count(), copied)?;
        let parts = parts.into_iter().enumerate().filter(|(_, items)| !items.is_empty());
        Ok(parts.map(|(shard, items)| (shard, part(items))).collect())
    }

    /// Checks the vectors of a point and makes them what is stored.
    fn check_vectors(&self, id: PointId, vectors: &mut [NamedVector]) -> Result<()> {
        let mut names = BTreeSet::new();
        if let Some(named) = vectors.iter().find(|named| !names.insert(named.name.as_str())) {
            return Err(Error::VectorTwice { name: named.name.clone(), id });
        }
        for NamedVector { name, vector } in vectors {
            if let Some(params) = self.config.vectors.get(name) {
                match (params.multi, vector) {
                    (false, Vector::Dense(values)) => {
                        if values.len() != params.size {
                            return Err(dimension(name, params.size, values.len()));
                        }
                        check_dense(name, id, *params, values)?;
                    }
                    // A single vector is a multi-vector of one.
                    (true, vector @ Vector::Dense(_)) => {
                        let Vector::Dense(mut values) = std::mem::replace(vector, Vector::Multi(Vec::new())) else { continue };
                        if values.len() > params.size {
                            return Err(dimension(name, params.size, values.len()));
                        }
                        check_multi(name, id, *params, &mut values)?;
                        *vector = Vector::Multi(values);
                    }
                    (true, Vector::Multi(values)) => check_multi(name, id, *params, values)?,
                    (multi, vector) => {
                        let expected = if multi { "a multi-vector" } else { "dense" };
                        return Err(Error::VectorKind { name: name.clone(), id, expected, actual: kind(vector) });
                    }
                }
            } else if self.config.sparse_vectors.contains_key(name) {
                let Vector::Sparse { indices, values } = vector else {
                    return Err(Error::VectorKind { name: name.clone(), id, expected: "sparse", actual: kind(vector) });
                };
                check_sparse(name, id, indices, values)?;
            } else {
                return Err(Error::VectorName { name: name.clone() });
            }
        }
        Ok(())
    }
}

/// Bytes of a text that may be missing.
fn len(text: &Option<String>) -> usize {
    text.as_ref().map_or(0, String::len)
}

/// Refuses an operation that would become many times its own size because every shard gets a copy of what its points share. The
/// bound is that of what a request may take in the log.
fn check_copies(parts: usize, copied: usize) -> Result<()> {
    let len = parts.saturating_mul(copied);
    if len > BODY_LEN_MAX { Err(Error::OperationTooLarge { len: len as u64, max: BODY_LEN_MAX as u64 }) } else { Ok(()) }
}

fn dimension(name: &str, expected: usize, actual: usize) -> Error {
    Error::VectorDimension { name: name.to_owned(), expected, actual }
}

fn kind(vector: &Vector) -> &'static str {
    match vector {
        Vector::Dense(_) => "a dense vector",
        Vector::Sparse { .. } => "a sparse vector",
        Vector::Multi(_) => "a multi-vector",
    }
}

/// Checks and converts the components of one vector.
fn check_dense(name: &str, id: PointId, params: DenseParams, values: &mut [f32]) -> Result<()> {
    if !values.iter().all(|value| value.is_finite()) {
        return Err(Error::VectorNotFinite { name: name.to_owned(), id });
    }
    // Bytes have no length 1 to be normalised to (source: Qdrant's metrics of byte vectors).
    if params.distance == Distance::Cosine && params.datatype != Datatype::Uint8 {
        normalize(values);
    }
    if let Some(&value) = values.iter().find(|value| !params.datatype.holds(**value)) {
        let datatype = params.datatype.name();
        return Err(Error::VectorDatatype { name: name.to_owned(), id, value, datatype });
    }
    params.datatype.round(values);
    Ok(())
}

fn check_multi(name: &str, id: PointId, params: DenseParams, values: &mut [f32]) -> Result<()> {
    if values.is_empty() {
        return Err(Error::EmptyMultiVector { name: name.to_owned(), id });
    }
    if !values.len().is_multiple_of(params.size) {
        return Err(dimension(name, params.size, values.len()));
    }
    values.chunks_exact_mut(params.size).try_for_each(|vector| check_dense(name, id, params, vector))
}

/// Checks a sparse vector and sorts it by index.
fn check_sparse(name: &str, id: PointId, indices: &mut Vec<u32>, values: &mut Vec<f32>) -> Result<()> {
    let wrong = |reason: String| Err(Error::SparseVector { name: name.to_owned(), id, reason });
    if indices.len() != values.len() {
        return wrong(format!("must be the same length as values: {} indices, {} values", indices.len(), values.len()));
    }
    if !values.iter().all(|value| value.is_finite()) {
        return Err(Error::VectorNotFinite { name: name.to_owned(), id });
    }
    if !indices.is_sorted() {
        let mut pairs: Vec<(u32, f32)> = indices.iter().copied().zip(values.iter().copied()).collect();
        pairs.sort_by_key(|(index, _)| *index);
        (*indices, *values) = pairs.into_iter().unzip();
    }
    match indices.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => wrong(format!("indices must be unique, {} occurs twice", pair[0])),
        None => Ok(()),
    }
}

/// A payload is empty or the text of a JSON object; one without keys is stored as no payload. It is parsed in full, as later
/// changes of it will: a check that only skips over values lets numbers, escapes and depths pass that no later parse takes.
fn check_payload(id: PointId, text: &mut String) -> Result<()> {
    if text == "{}" {
        text.clear();
    }
    if payload::parse(text).is_some() { Ok(()) } else { Err(Error::PayloadNotObject { id }) }
}

fn check_filter(text: &str) -> Result<()> {
    Filter::parse(text).map(drop).map_err(|error| Error::Filter { reason: error.to_string() })
}

fn check_path(text: &str) -> Result<()> {
    let parsed = text.parse::<JsonPath>().map(drop);
    parsed.map_err(|error| Error::PayloadPath { path: text.to_owned(), reason: error.to_string() })
}

/// Checks the place where the keys of a payload are set.
fn check_place(key: &str, payload: &str) -> Result<()> {
    let wrong = |reason: String| Error::PayloadPath { path: key.to_owned(), reason };
    let path = key.parse::<JsonPath>().map_err(|error| wrong(error.to_string()))?;
    let values = payload::parse(payload).unwrap_or_default();
    payload::edit::check_depth(&values, Some(&path)).map_err(|error| wrong(error.to_string()))
}

/// A point to name in an error about all of them.
fn first(target: &Target) -> PointId {
    match target {
        Target::Ids(ids) => ids.first().copied().unwrap_or(PointId::Num(0)),
        Target::Filter(_) => PointId::Num(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A payload of 32 MiB for all points of a collection of a thousand shards once took 64 GiB before anything refused it.
    #[test]
    fn what_every_shard_gets_a_copy_of_is_bounded_in_sum() {
        assert!(check_copies(1024, BODY_LEN_MAX / 1024).is_ok());
        for (parts, copied) in [(1024, BODY_LEN_MAX / 1024 + 1), (2, usize::MAX), (9, 32 * 1024 * 1024)] {
            assert!(matches!(check_copies(parts, copied), Err(Error::OperationTooLarge { .. })), "{parts} of {copied}");
        }
    }
}
