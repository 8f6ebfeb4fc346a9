//! Checks the bytes of an archive as they pass, and goes on after damage and after read errors.
//!
//! Every byte is either compared with what the manifest gives or covered by its member's digests. Which bytes pass, and on which
//! threads, is the caller's business.

use std::ops::Range;

use icecore_io::File;
use icecore_io::digest::Hasher;

use crate::Error;
use crate::compressed::ahead::FramesAhead;
use crate::format::layout::MANIFEST_NAME;
use crate::in_order::{InOrder, Supply};
use crate::plan::{Placed, Plan, TRAILER};
use crate::problem::Problem;
use crate::progress::{Progress, advance};
use crate::reader::check_member;
use crate::writer::hash::Behind;

/// A part of an archive, or all of it, as a walk along its bytes.
pub(super) struct Scan<'a, B> {
    bytes: InOrder<LenientSupply<'a, B>>,
}

/// What a scan has found.
pub(super) struct Scanned {
    /// In the order of the archive.
    pub(super) problems: Vec<Problem>,
    /// Whether all bytes could be had.
    pub(super) complete: bool,
    /// What was behind the scan, for the next one.
    pub(super) behind: Behind,
}

impl<'a, B: Bytes> Scan<'a, B> {
    /// A walk along the bytes at these offsets.
    pub(super) fn new(bytes: B, range: Range<u64>, behind: Behind, progress: &'a dyn Progress) -> Self {
        let supply = LenientSupply { bytes, progress, unreadable_end: 0, problems: Vec::new() };
        Self { bytes: InOrder::new(supply, range, behind) }
    }

    /// Checks the whole archive, at whose beginning the walk is.
    pub(super) fn archive(&mut self, plan: &Plan) -> Result<(), Error> {
        self.prelude(plan)?;
        for placed in plan.placed() {
            self.member(&placed)?;
        }
        self.trailer(plan)
    }

    /// Checks what stands before the first member.
    pub(super) fn prelude(&mut self, plan: &Plan) -> Result<(), Error> {
        // Opening has read these, but only the bytes that pass now are known to be those.
        if !self.equals(&plan.manifest_header())? | !self.equals(plan.manifest_bytes())? | !self.equals(&plan.digest_member())? {
            self.found(Problem::Header { member: MANIFEST_NAME.to_owned(), offset: 0 });
        }
        Ok(())
    }

    /// Checks what stands after the last member.
    pub(super) fn trailer(&mut self, plan: &Plan) -> Result<(), Error> {
        if !self.equals(&TRAILER)? {
            self.found(plan.trailer_problem());
        }
        Ok(())
    }

    /// Checks the next member with everything around its data.
    pub(super) fn member(&mut self, placed: &Placed<'_>) -> Result<(), Error> {
        if !self.equals(&placed.headers())? {
            self.found(placed.header_problem());
        }
        let start = placed.data_offset;
        let mut hasher = Hasher::default();
        let mut left = placed.member.len;
        while left > 0 {
            let bytes = self.bytes.next(left)?;
            hasher.update(bytes);
            left -= bytes.len() as u64;
        }
        if self.bytes.supply.unreadable_end <= start {
            self.bytes.supply.problems.extend(check_member(placed.member, hasher));
        }
        if !self.equals(placed.padding())? {
            self.found(placed.padding_problem());
        }
        Ok(())
    }

    /// What was found.
    pub(super) fn finish(self) -> Scanned {
        let (LenientSupply { problems, unreadable_end, .. }, behind) = self.bytes.finish();
        Scanned { problems, complete: unreadable_end == 0, behind }
    }

    /// Whether the next bytes are `expected`. Bytes that cannot be read count as equal: they are a problem of their own.
    fn equals(&mut self, expected: &[u8]) -> Result<bool, Error> {
        let start = self.bytes.position();
        Ok(self.bytes.equals(expected)? || self.bytes.supply.unreadable_end > start)
    }

    fn found(&mut self, problem: Problem) {
        self.bytes.supply.problems.push(problem);
    }
}

/// Where the bytes are that can be had.
pub(super) trait Bytes {
    /// Fills `room` with the bytes at `offset`, which is where the call before ended. Puts zeros where there are none, adds the
    /// problem, and returns where the next ones can be had.
    fn fill(&mut self, room: &mut [u8], offset: u64, problems: &mut Vec<Problem>) -> Option<u64>;
}

impl Bytes for &dyn File {
    fn fill(&mut self, room: &mut [u8], offset: u64, problems: &mut Vec<Problem>) -> Option<u64> {
        let source = self.read_exact_at(room, offset).err()?;
        room.fill(0);
        let len = room.len() as u64;
        problems.push(Problem::Read { offset, len, source });
        Some(offset + len)
    }
}

impl Bytes for FramesAhead {
    fn fill(&mut self, room: &mut [u8], offset: u64, problems: &mut Vec<Problem>) -> Option<u64> {
        self.fill(room, offset, problems)
    }
}

/// Gives all bytes, with zeros in place of those that cannot be had.
struct LenientSupply<'a, B> {
    bytes: B,
    progress: &'a dyn Progress,
    /// Where the last stretch of bytes ends that could not be had; 0 if there was none.
    unreadable_end: u64,
    problems: Vec<Problem>,
}

impl<B: Bytes> Supply for LenientSupply<'_, B> {
    fn fill(&mut self, room: &mut [u8], offset: u64) -> Result<(), Error> {
        if let Some(end) = self.bytes.fill(room, offset, &mut self.problems) {
            self.unreadable_end = end;
        }
        advance(self.progress, room.len() as u64)
    }
}
