//! The rules that every manifest keeps. They are checked before one is written and after one is read.

use super::model::ShardManifest;

/// No generation, segment or record has this number or a larger one.
const NUMBER_END: u64 = 1 << 63;

/// The first rule that is broken, in words.
pub(crate) fn check(manifest: &ShardManifest) -> Result<(), String> {
    numbers_leave_room(manifest)?;
    segments_ascend(manifest)?;
    segments_are_below_the_next(manifest)?;
    tombstones_fit(manifest)?;
    segments_need_records(manifest)
}

/// Numbers only grow, and must not overflow: a foreign archive may begin with any.
fn numbers_leave_room(manifest: &ShardManifest) -> Result<(), String> {
    let numbers = [manifest.generation.0, manifest.next_segment_id.0, manifest.flushed_lsn.0];
    match numbers.into_iter().find(|number| *number >= NUMBER_END) {
        Some(number) => Err(format!("the number {number} is too large for any to follow")),
        None => Ok(()),
    }
}

/// Ids ascend, so none occurs twice.
fn segments_ascend(manifest: &ShardManifest) -> Result<(), String> {
    match manifest.segments.windows(2).find(|pair| pair[0].id >= pair[1].id) {
        Some(pair) => Err(format!("segment {} stands before segment {}", pair[0].id, pair[1].id)),
        None => Ok(()),
    }
}

/// An id is never given twice.
fn segments_are_below_the_next(manifest: &ShardManifest) -> Result<(), String> {
    match manifest.segments.last() {
        Some(last) if last.id >= manifest.next_segment_id => {
            Err(format!("segment {} is not below the next id {}", last.id, manifest.next_segment_id))
        }
        _ => Ok(()),
    }
}

/// A segment lists tombstones only if it has some, and leaves the manifest when all its points are dead.
fn tombstones_fit(manifest: &ShardManifest) -> Result<(), String> {
    for segment in &manifest.segments {
        let marked = segment.tombstones.as_ref().map_or(0, |tombstones| tombstones.marked);
        if segment.tombstones.is_some() && marked == 0 {
            return Err(format!("segment {} has a tombstone file without marks", segment.id));
        }
        if marked >= segment.rows {
            return Err(format!("segment {} has {} points, {marked} of them dead", segment.id, segment.rows));
        }
        if let Some(tombstones) = &segment.tombstones
            && tombstones.generation > manifest.generation
        {
            return Err(format!(
                "the tombstones of segment {} are of the later generation {}",
                segment.id, tombstones.generation
            ));
        }
    }
    Ok(())
}

/// Points come from records.
fn segments_need_records(manifest: &ShardManifest) -> Result<(), String> {
    if manifest.flushed_lsn.0 == 0 && !manifest.segments.is_empty() {
        return Err("there are segments, but no record was flushed".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checksum::Hasher;
    use crate::ids::{Generation, Lsn, SegmentId};
    use crate::manifest::{SegmentEntry, TombstoneEntry};

    fn manifest() -> ShardManifest {
        let digest = Hasher::default().finish();
        let segment = |id, marked| SegmentEntry {
            id: SegmentId(id),
            rows: 10,
            digest,
            tombstones: (marked > 0).then_some(TombstoneEntry { generation: Generation(4), marked, digest }),
        };
        ShardManifest {
            generation: Generation(5),
            flushed_lsn: Lsn(7),
            next_segment_id: SegmentId(3),
            segments: vec![segment(1, 0), segment(2, 9)],
        }
    }

    #[test]
    fn a_sound_manifest_passes_and_each_broken_rule_is_found() {
        assert_eq!(check(&manifest()), Ok(()));
        let breaks: [(&str, fn(&mut ShardManifest)); 9] = [
            ("no generation left", |manifest| manifest.generation = Generation(u64::MAX)),
            ("no segment left", |manifest| manifest.next_segment_id = SegmentId(u64::MAX)),
            ("no record left", |manifest| manifest.flushed_lsn = Lsn(NUMBER_END)),
            ("order", |manifest| manifest.segments.swap(0, 1)),
            ("twice", |manifest| manifest.segments[1].id = SegmentId(1)),
            ("next id", |manifest| manifest.next_segment_id = SegmentId(2)),
            ("all dead", |manifest| manifest.segments[1].rows = 9),
            ("later generation", |manifest| manifest.generation = Generation(3)),
            ("no record", |manifest| manifest.flushed_lsn = Lsn(0)),
        ];
        for (name, damage) in breaks {
            let mut manifest = manifest();
            damage(&mut manifest);
            assert!(check(&manifest).is_err(), "{name}");
        }
    }
}
