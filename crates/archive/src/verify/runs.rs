//! Checks the members of a plain archive on several threads.
//!
//! A member cannot be divided, since its digest is sequential, but many can be checked at once. Small ones that follow each other
//! make a run, which is read as one piece; the longest run is begun first, so that no thread is left with it in the end.

use std::cmp::Reverse;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use icecore_io::File;

use super::scan::{Scan, Scanned};
use crate::Error;
use crate::plan::Plan;
use crate::problem::Problem;
use crate::progress::Progress;
use crate::workers;
use crate::writer::buffer::BUFFER_LEN;
use crate::writer::hash::Behind;

/// Members that one thread checks.
struct Run {
    /// Their numbers.
    members: Range<usize>,
    /// Their bytes, headers and padding included.
    bytes: Range<u64>,
}

impl Run {
    fn len(&self) -> u64 {
        self.bytes.end - self.bytes.start
    }
}

/// All problems of a plain archive, in its order.
pub(super) fn check(plan: &Plan, file: &dyn File, threads: NonZeroUsize, progress: &dyn Progress) -> Result<Vec<Problem>, Error> {
    let members_offset = plan.header_offset(0).unwrap_or(plan.trailer_offset());
    let mut prelude = Scan::new(file, 0..members_offset, Behind::default(), progress);
    prelude.prelude(plan)?;
    let Scanned { mut problems, behind, .. } = prelude.finish();

    let found = Mutex::new(Vec::new());
    let mut runs = runs(plan);
    runs.sort_by_key(|run| Reverse(run.len()));
    workers::run(&runs, threads, Behind::default, |run, behind| {
        let mut scan = Scan::new(file, run.bytes.clone(), std::mem::take(behind), progress);
        for placed in run.members.clone().filter_map(|index| plan.place(index)) {
            scan.member(&placed)?;
        }
        let scanned = scan.finish();
        *behind = scanned.behind;
        if !scanned.problems.is_empty() {
            found.lock().unwrap_or_else(PoisonError::into_inner).push((run.members.start, scanned.problems));
        }
        Ok(())
    })?;
    let mut found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    found.sort_by_key(|(first, _)| *first);
    problems.extend(found.into_iter().flat_map(|(_, problems)| problems));

    let mut trailer = Scan::new(file, plan.trailer_offset()..plan.archive_len(), behind, progress);
    trailer.trailer(plan)?;
    problems.extend(trailer.finish().problems);
    Ok(problems)
}

/// All members: in runs that end as soon as they are as long as a buffer.
fn runs(plan: &Plan) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for placed in plan.placed() {
        let bytes = placed.header_offset..placed.data_end() + placed.padding().len() as u64;
        match runs.last_mut() {
            Some(run) if run.len() < BUFFER_LEN as u64 => {
                run.members.end = placed.index + 1;
                run.bytes.end = bytes.end;
            }
            _ => runs.push(Run { members: placed.index..placed.index + 1, bytes }),
        }
    }
    runs
}
