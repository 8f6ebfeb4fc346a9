//! Members whose blocks the archive shares with their sources, where the file system can do that.
//!
//! Large members stand at block boundaries in the archive, so their whole blocks need not be copied. The rest of the archive is
//! written around them as always, and what is shared is read back from the archive to be digested and checked: what counts is what
//! will be read when the archive is needed. Whatever cannot be shared is copied; that is never an error. Nothing is synced here.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use icecore_io::File;

use super::{FileSink, Sink, Source};
use crate::Error;
use crate::format::layout::{ALIGN_FROM_LEN, DATA_ALIGNMENT};
use crate::plan::Plan;
use crate::progress::{Progress, advance};

/// Bytes that are asked for at once, so that a request to stop is heard.
const STEP_LEN: u64 = 256 << 20;

/// The file of an archive, of which some parts are there already.
pub(crate) struct SharedBlocks {
    file: Arc<dyn File>,
    /// Where in the archive they are, in order. Each begins where the data of a member does.
    ranges: Vec<Range<u64>>,
}

impl SharedBlocks {
    /// Lets `file`, which is empty, share all blocks of the members that it can.
    pub(crate) fn of(plan: &Plan, source: &dyn Source, file: &Arc<dyn File>, progress: &dyn Progress) -> Result<Self, Error> {
        let mut shared = Self { file: Arc::clone(file), ranges: Vec::new() };
        for placed in plan.placed() {
            if placed.member.len < ALIGN_FROM_LEN {
                continue;
            }
            let len = placed.member.len - placed.member.len % DATA_ALIGNMENT;
            // What is wrong with a source is found when it is copied.
            let Ok(from) = source.open(placed.index) else { break };
            if !file.shares_blocks_with(from.as_ref()) {
                break;
            }
            let done = shared.share(from.as_ref(), placed.data_offset, len, progress)?;
            if done > 0 {
                shared.ranges.push(placed.data_offset..placed.data_offset + done);
            }
            if done < len {
                break;
            }
        }
        Ok(shared)
    }

    /// Shares the first `len` bytes of a source; as many whole blocks as could be.
    fn share(&self, from: &dyn File, data_offset: u64, len: u64, progress: &dyn Progress) -> Result<u64, Error> {
        let mut done = 0;
        while done < len {
            advance(progress, 0)?;
            match self.file.copy_range(from, done, data_offset + done, STEP_LEN.min(len - done)) {
                Ok(0) => break,
                Ok(copied) => done += copied,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        Ok(done.min(len) - done.min(len) % DATA_ALIGNMENT)
    }

    /// Whether nothing is shared.
    pub(crate) fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// How many of the bytes that begin at this offset of the archive are there.
    pub(crate) fn len_at(&self, offset: u64) -> u64 {
        let index = self.ranges.partition_point(|range| range.end <= offset);
        let range = self.ranges.get(index).filter(|range| range.start <= offset);
        range.map_or(0, |range| range.end - offset)
    }

    /// The file.
    pub(crate) fn file(&self) -> &dyn File {
        self.file.as_ref()
    }
}

/// Writes the parts of the archive that are not there.
pub(crate) struct AroundSink<'a> {
    pub(crate) shared: &'a SharedBlocks,
    pub(crate) sink: FileSink,
}

impl Sink for AroundSink<'_> {
    fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let there = usize::try_from(self.shared.len_at(self.sink.offset())).unwrap_or(usize::MAX).min(bytes.len());
            if there > 0 {
                self.sink.skip(there as u64);
                bytes = bytes.get(there..).unwrap_or_default();
                continue;
            }
            let start = self.sink.offset();
            let next = self.shared.ranges.partition_point(|range| range.start < start);
            let until = self.shared.ranges.get(next).map_or(u64::MAX, |range| range.start - start);
            let (now, later) = bytes.split_at(usize::try_from(until).unwrap_or(usize::MAX).min(bytes.len()));
            self.sink.write(now)?;
            bytes = later;
        }
        Ok(())
    }
}
