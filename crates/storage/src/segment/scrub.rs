//! Reads a whole segment file again and says everything that is wrong with it.
//!
//! Reads with `pread` and never through the memory map: a device error is then an error and not the end of the process.
//! Every byte of the file is covered: frame, blocks, and the padding between sections. Sections without damage are also
//! checked for the order that lookups rely on, which only a faulty or hostile writer breaks. Nothing is repaired or
//! remembered, and texts are not decoded.

use icecore_io::File;

use super::blocks::{BadBlock, Blocks};
use super::order::Order;
use super::reader::read_frame;
use super::{ALIGNMENT, BLOCK_LEN, HEADER_LEN, Segment, zeros};
use crate::checksum::Crc32c;
use crate::error::{Error, Result, on};

impl Segment {
    /// Checks every byte of `file`, which is this segment's, and returns all problems; none if the file is as it was written.
    pub(crate) fn scrub(&self, file: &dyn File) -> Vec<Error> {
        let mut problems = Vec::new();
        problems.extend(read_frame(file, &self.path, self.id, self.len).err());
        let mut end = HEADER_LEN as u64;
        for (blocks, total) in self.sections() {
            let section = blocks.section();
            problems.extend(self.scrub_padding(file, end, section.offset).err());
            end = section.offset + section.len;
            let before = problems.len();
            let mut order = Order::new(section.kind, total);
            let mut ordered = Ok(());
            for index in 0..section.block_count() {
                match self.read_block(file, blocks, index) {
                    Ok(block) => ordered = ordered.and_then(|()| order.feed(&block)),
                    Err(error) => problems.push(error),
                }
            }
            // Nothing can be said about the order where elements are missing.
            if problems.len() == before {
                let ordered = ordered.and_then(|()| order.finish());
                problems.extend(ordered.err().map(|reason| self.malformed(section.offset, reason)));
            }
        }
        problems.extend(self.scrub_padding(file, end, end.next_multiple_of(ALIGNMENT)).err());
        problems
    }

    fn read_block(&self, file: &dyn File, blocks: &Blocks, index: u64) -> Result<Vec<u8>> {
        let (section, start) = (blocks.section(), index * BLOCK_LEN);
        let offset = section.offset + start;
        let block = self.read(file, offset, BLOCK_LEN.min(section.len - start))?;
        let (expected, actual) = (blocks.crc(index), Crc32c::of(&block));
        if expected != actual {
            return Err(self.bad_block(BadBlock { offset, expected, actual }));
        }
        Ok(block)
    }

    fn scrub_padding(&self, file: &dyn File, start: u64, end: u64) -> Result<()> {
        let bytes = self.read(file, start, end - start)?;
        zeros(&bytes, 0..bytes.len()).map_err(|violation| violation.shifted(start).into_error(&self.path))
    }

    fn read(&self, file: &dyn File, offset: u64, len: u64) -> Result<Vec<u8>> {
        // A block or less than a page.
        let mut bytes = vec![0; usize::try_from(len).unwrap_or(usize::MAX)];
        file.read_exact_at(&mut bytes, offset).map_err(on("read", &self.path))?;
        Ok(bytes)
    }
}
