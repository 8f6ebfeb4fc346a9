//! Reads of a collection: by id, in the order of ids, in the order of values, and counts.
//!
//! Each shard answers from one view, so that a page never mixes states of one request in one shard. Without an index, a read by
//! filter looks at every point; what it keeps in memory is bounded by the answer, not by the collection. The exception is a facet,
//! which keeps a count for each different value of its key, whatever its limit.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use crate::collection::Collection;
use crate::error::Result;
use crate::filter::Filter;
use crate::ids::PointId;
use crate::payload::facet::facet_values;
use crate::payload::order::order_values;
use crate::payload::{FacetValue, OrderValue};
use crate::read::{Facet, FacetHit, OrderedScroll, Page, Record, Scroll, Select};
use crate::shard::candidate::FoundPoint;
use crate::shard::{Found, View};

impl Collection {
    /// The points of these ids that exist, in the order asked; an id asked twice comes once, where it is first asked for (source:
    /// Qdrant's `Collection::retrieve`).
    pub(crate) fn retrieve(&self, ids: &[PointId], select: &Select) -> Result<Vec<Record>> {
        let mut records = Vec::with_capacity(ids.len().min(1024));
        let mut asked = BTreeSet::new();
        for &id in ids {
            if asked.insert(id)
                && let Some(found) = self.shard_of(id).get(id)?
            {
                records.push(found.load(id, select)?);
            }
        }
        Ok(records)
    }

    /// See [`Scroll`].
    pub(crate) fn scroll(&self, scroll: &Scroll) -> Result<Page> {
        // One more shows whether, and where, there is a next page.
        let wanted = scroll.limit.saturating_add(1);
        let mut found = Vec::new();
        for shard in &self.shards {
            let view = shard.view();
            let mut taken = 0;
            for item in matching(&view, scroll.from, scroll.filter.as_ref())? {
                found.push(item?);
                taken += 1;
                if taken == wanted {
                    break;
                }
            }
        }
        found.sort_by_key(|(id, _)| *id);
        let next = found.get(scroll.limit).map(|(id, _)| *id);
        found.truncate(scroll.limit);
        let records = found.iter().map(|(id, place)| place.load(*id, &scroll.select)).collect::<Result<_>>()?;
        Ok(Page { records, next })
    }

    /// See [`OrderedScroll`].
    pub(crate) fn scroll_ordered(&self, scroll: &OrderedScroll) -> Result<Vec<(Record, OrderValue)>> {
        // The worst of the entries that are kept is on top.
        let mut best: BinaryHeap<Ranked> = BinaryHeap::new();
        for shard in &self.shards {
            let view = shard.view();
            for item in matching(&view, None, scroll.filter.as_ref())? {
                let (id, found) = item?;
                for value in ordered_values(id, &found, scroll)? {
                    best.push(Ranked { value, id, descending: scroll.descending, found: found.clone() });
                    if best.len() > scroll.limit {
                        best.pop();
                    }
                }
            }
        }
        let best = best.into_sorted_vec().into_iter();
        best.map(|entry| Ok((entry.found.load(entry.id, &scroll.select)?, entry.value))).collect()
    }

    /// Live points that match; without a filter nothing is looked at.
    pub(crate) fn count(&self, filter: Option<&Filter>) -> Result<u64> {
        if filter.is_none() {
            return Ok(self.shards.iter().map(|shard| shard.points()).sum());
        }
        let mut count = 0;
        for shard in &self.shards {
            for item in matching(&shard.view(), None, filter)? {
                item?;
                count += 1;
            }
        }
        Ok(count)
    }

    /// The values with the most points, and among those with as many the smallest first.
    pub(crate) fn facet(&self, facet: &Facet) -> Result<Vec<FacetHit>> {
        let mut counts: BTreeMap<FacetValue, u64> = BTreeMap::new();
        for shard in &self.shards {
            for item in matching(&shard.view(), None, facet.filter.as_ref())? {
                let (id, found) = item?;
                let point = FoundPoint::new(id, &found);
                for value in facet_values(&facet.key.values(crate::filter::Candidate::payload(&point)?), facet.kind) {
                    *counts.entry(value).or_default() += 1;
                }
            }
        }
        let mut hits: Vec<FacetHit> = counts.into_iter().collect();
        hits.sort_by(|(left, left_count), (right, right_count)| right_count.cmp(left_count).then_with(|| left.cmp(right)));
        hits.truncate(facet.limit);
        Ok(hits)
    }
}

/// The live points of a view with ids of `from` or more that match.
fn matching<'a>(
    view: &'a View,
    from: Option<PointId>,
    filter: Option<&'a Filter>,
) -> Result<impl Iterator<Item = Result<(PointId, Found)>> + 'a> {
    Ok(view.scan(from)?.filter_map(move |item| match (item, filter) {
        (Ok((id, found)), Some(filter)) => match filter.matches(&FoundPoint::new(id, &found)) {
            Ok(true) => Some(Ok((id, found))),
            Ok(false) => None,
            Err(error) => Some(Err(error)),
        },
        (item, _) => Some(item),
    }))
}

/// The values that a point comes with in an ordered scroll.
fn ordered_values(id: PointId, found: &Found, scroll: &OrderedScroll) -> Result<Vec<OrderValue>> {
    let point = FoundPoint::new(id, found);
    let mut values = order_values(&scroll.key.values(crate::filter::Candidate::payload(&point)?), scroll.kind);
    if let Some(first) = &scroll.start_from {
        values.retain(|value| if scroll.descending { value <= first } else { value >= first });
    }
    Ok(values)
}

/// An entry of an ordered scroll; the smallest comes first.
struct Ranked {
    value: OrderValue,
    id: PointId,
    descending: bool,
    found: Found,
}

impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> Ordering {
        let ascending = self.value.cmp(&other.value).then_with(|| self.id.cmp(&other.id));
        if self.descending { ascending.reverse() } else { ascending }
    }
}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ranked {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Ranked {}
