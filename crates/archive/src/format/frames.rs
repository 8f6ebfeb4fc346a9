//! The frames of a compressed archive and the two tables behind them, as bytes.
//!
//! The tables are a pure function of the frames. A reader of a file takes the frames from them; a reader of a stream, who has seen
//! the frames, computes them. Both require the same bytes, so there is no byte in them whose change goes unseen. The seek table is
//! the one of the zstd seekable format 0.1.0 (`contrib/seekable_format` in zstd's sources). Compression itself is not done here.

use icecore_io::digest::Crc32c;

/// Length in bytes of the piece of the archive that each frame holds, as it is written; the last frame holds the rest.
pub const FRAME_LEN: u32 = 8 << 20;
/// Shortest such length that a reader takes.
pub const FRAME_LEN_MIN: u32 = 4 << 20;
/// Longest such length that a reader takes.
pub const FRAME_LEN_MAX: u32 = 64 << 20;
/// By how much a compressed frame may be longer than its contents, beside one part in 256.
pub const FRAME_OVERHEAD_MAX: u32 = 1024;
/// Logarithm of the largest window that a stream may need.
pub const WINDOW_LOG_MAX: u32 = 26;
/// Most frames.
pub const FRAMES_MAX: u64 = 1 << 20;
/// The magic number of the skippable frame with the checksums.
pub const CHECKSUMS_MAGIC: u32 = 0x184D_2A5D;
/// What the skippable frame with the checksums begins with, after its length.
pub const CHECKSUMS_TAG: &[u8; 8] = b"icecore1";
/// Length of that frame in bytes, beside four for each frame.
pub const CHECKSUMS_LEN: u64 = 20;
/// The magic number of the skippable frame with the seek table.
pub const SEEK_TABLE_MAGIC: u32 = 0x184D_2A5E;
/// The last four bytes of the file.
pub const SEEKABLE_MAGIC: u32 = 0x8F92_EAB1;
/// Length of an entry of the seek table in bytes.
pub const SEEK_ENTRY_LEN: u64 = 8;
/// Length of the end of the seek table in bytes.
pub const SEEK_FOOTER_LEN: u64 = 9;

/// Longest tables in bytes.
pub(crate) const TABLES_LEN_MAX: u64 = tables_len_of(FRAMES_MAX);
/// What a skippable frame begins with: magic number and length.
const SKIPPABLE_HEADER_LEN: u64 = 8;
/// The descriptor of a seek table whose entries have no checksums of the contents: the frames have them.
const SEEK_DESCRIPTOR: u8 = 0;

/// One frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Frame {
    /// Where it begins in the file.
    pub(crate) offset: u64,
    /// Its length in the file.
    pub(crate) stored_len: u32,
    /// The length of its contents.
    pub(crate) len: u32,
    /// Checksum of its bytes in the file.
    pub(crate) crc32c: Crc32c,
}

/// What is wrong with tables, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TableFault {
    /// The offset in the tables.
    pub(crate) at: u64,
    pub(crate) rule: &'static str,
}

/// The frames of one file: of equal length but for the last, and neither too long nor too many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frames(Vec<Frame>);

impl Frames {
    /// Checks the rules. Offsets follow from the lengths.
    pub(crate) fn new(frames: Vec<Frame>) -> Result<Self, TableFault> {
        let count = frames.len() as u64;
        let fault = |index: usize, rule| TableFault { at: entry_at(count, index as u64), rule };
        let Some(first) = frames.first().map(|frame| frame.len) else {
            return Err(fault(0, "there has to be a frame"));
        };
        if count > FRAMES_MAX {
            return Err(fault(0, "there are more frames than an archive may have"));
        }
        let last = frames.len() - 1;
        for (index, frame) in frames.iter().enumerate() {
            let sound = match index == last {
                true => frame.len > 0 && (frame.len <= first || last == 0) && frame.len <= FRAME_LEN_MAX,
                false => frame.len == first && (FRAME_LEN_MIN..=FRAME_LEN_MAX).contains(&frame.len),
            };
            if !sound {
                return Err(fault(index, "a frame has to be as long as the first, or shorter if it is the last"));
            }
            if frame.stored_len == 0 || frame.stored_len > stored_len_max(frame.len) {
                return Err(fault(index, "a compressed frame cannot be that long"));
            }
        }
        Ok(Self(frames))
    }

    /// The frames that `tables` are about, which are the last bytes of a file of `file_len`.
    pub(crate) fn parse(tables: &[u8], file_len: u64) -> Result<Self, TableFault> {
        let tables_len = tables.len() as u64;
        let fault = |at, rule| TableFault { at, rule };
        let count = tables_len
            .checked_sub(tables_len_of(0))
            .filter(|rest| rest % (4 + SEEK_ENTRY_LEN) == 0)
            .map(|rest| rest / (4 + SEEK_ENTRY_LEN))
            .ok_or(fault(0, "they have no such length"))?;
        let mut frames = Vec::new();
        let mut offset = 0u64;
        for index in 0..count {
            let number = |at: u64| {
                let start = usize::try_from(at).ok()?;
                Some(u32::from_le_bytes(*tables.get(start..)?.first_chunk()?))
            };
            let at = entry_at(count, index);
            let entry = (number(at), number(at + 4), number(checksum_at(index)));
            let (Some(stored_len), Some(len), Some(crc32c)) = entry else {
                return Err(fault(at, "an entry is missing"));
            };
            frames.push(Frame { offset, stored_len, len, crc32c: Crc32c(crc32c) });
            offset += u64::from(stored_len);
        }
        let frames = Self::new(frames)?;
        if offset.checked_add(tables_len) != Some(file_len) {
            return Err(fault(entry_at(count, 0), "the lengths of all frames do not add up to that of the file"));
        }
        let expected = frames.tables();
        match expected.iter().zip(tables).position(|(expected, actual)| expected != actual) {
            Some(at) => Err(fault(at as u64, "a byte is not what it has to be")),
            None => Ok(frames),
        }
    }

    /// All of them, in order.
    pub(crate) fn as_slice(&self) -> &[Frame] {
        &self.0
    }

    /// Length of all contents.
    pub(crate) fn len(&self) -> u64 {
        self.0.iter().map(|frame| u64::from(frame.len)).sum()
    }

    /// Length of the contents of each frame but the last.
    pub(crate) fn frame_len(&self) -> u64 {
        self.0.first().map_or(1, |frame| u64::from(frame.len))
    }

    /// Where the tables begin.
    pub(crate) fn tables_offset(&self) -> u64 {
        self.0.last().map_or(0, |frame| frame.offset + u64::from(frame.stored_len))
    }

    /// What stands behind the frames.
    pub(crate) fn tables(&self) -> Vec<u8> {
        let count = self.0.len() as u64;
        let mut checksums = skippable(CHECKSUMS_MAGIC, CHECKSUMS_LEN + 4 * count - SKIPPABLE_HEADER_LEN);
        checksums.extend_from_slice(CHECKSUMS_TAG);
        self.0.iter().for_each(|frame| checksums.extend_from_slice(&frame.crc32c.0.to_le_bytes()));

        let mut seek = skippable(SEEK_TABLE_MAGIC, SEEK_ENTRY_LEN * (count + 1) + SEEK_FOOTER_LEN);
        let lens = self.0.iter().map(|frame| (frame.stored_len, frame.len)).chain([(narrow(CHECKSUMS_LEN + 4 * count), 0)]);
        for (stored_len, len) in lens {
            seek.extend_from_slice(&stored_len.to_le_bytes());
            seek.extend_from_slice(&len.to_le_bytes());
        }
        seek.extend_from_slice(&narrow(count + 1).to_le_bytes());
        seek.push(SEEK_DESCRIPTOR);
        seek.extend_from_slice(&SEEKABLE_MAGIC.to_le_bytes());

        let crc32c = Crc32c::of(&checksums).append(&seek);
        checksums.extend_from_slice(&crc32c.0.to_le_bytes());
        checksums.extend_from_slice(&seek);
        checksums
    }
}

/// Length of the tables of the file that ends in `footer`; `None` if no seek table ends so.
pub(crate) fn tables_len(footer: &[u8; 9]) -> Option<u64> {
    let (count, rest) = footer.split_first_chunk()?;
    (rest.last_chunk()? == &SEEKABLE_MAGIC.to_le_bytes())
        .then(|| tables_len_of(u64::from(u32::from_le_bytes(*count)).saturating_sub(1)))
}

/// The longest that a frame with contents of this length can be.
pub(crate) const fn stored_len_max(len: u32) -> u32 {
    len + len / 256 + FRAME_OVERHEAD_MAX
}

/// The longest that a compressed archive can be whose tar has this length.
pub(crate) fn file_len_max(archive_len: u64) -> u64 {
    let frames = archive_len.div_ceil(u64::from(FRAME_LEN));
    archive_len.saturating_add(archive_len / 256).saturating_add(frames * u64::from(FRAME_OVERHEAD_MAX) + tables_len_of(frames))
}

/// Length of the tables of so many frames.
const fn tables_len_of(count: u64) -> u64 {
    CHECKSUMS_LEN + 4 * count + SKIPPABLE_HEADER_LEN + SEEK_ENTRY_LEN * (count + 1) + SEEK_FOOTER_LEN
}

/// Where the checksum of a frame stands in the tables.
fn checksum_at(index: u64) -> u64 {
    SKIPPABLE_HEADER_LEN + CHECKSUMS_TAG.len() as u64 + 4 * index
}

/// Where the entry of a frame stands in the tables.
fn entry_at(count: u64, index: u64) -> u64 {
    CHECKSUMS_LEN + 4 * count + SKIPPABLE_HEADER_LEN + SEEK_ENTRY_LEN * index
}

/// The beginning of a skippable frame (RFC 8878, section 3.1.2) with this much in it.
fn skippable(magic: u32, len: u64) -> Vec<u8> {
    [magic.to_le_bytes(), narrow(len).to_le_bytes()].concat()
}

/// A number that [`FRAMES_MAX`] bounds.
fn narrow(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

const _: () = assert!(SEEK_ENTRY_LEN * (FRAMES_MAX + 1) + SEEK_FOOTER_LEN < u32::MAX as u64);
const _: () = assert!(FRAME_LEN >= FRAME_LEN_MIN && FRAME_LEN <= FRAME_LEN_MAX);
const _: () = assert!(1 << WINDOW_LOG_MAX == FRAME_LEN_MAX);
const _: () = assert!(CHECKSUMS_LEN == SKIPPABLE_HEADER_LEN + CHECKSUMS_TAG.len() as u64 + 4);

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(lens: &[(u32, u32)]) -> Result<Frames, TableFault> {
        let mut offset = 0;
        let frame = |(stored_len, len): &(u32, u32)| {
            let frame = Frame { offset, stored_len: *stored_len, len: *len, crc32c: Crc32c(stored_len ^ 7) };
            offset += u64::from(*stored_len);
            frame
        };
        Frames::new(lens.iter().map(frame).collect())
    }

    #[test]
    fn tables_are_read_as_they_are_written() {
        for lens in [&[(1, 1)][..], &[(70, FRAME_LEN_MAX)], &[(9, FRAME_LEN), (8, FRAME_LEN), (7, 3)]] {
            let frames = frames(lens).unwrap();
            let tables = frames.tables();
            assert_eq!(tables.len() as u64, tables_len_of(lens.len() as u64));
            assert_eq!(tables_len(tables.last_chunk().unwrap()), Some(tables.len() as u64));
            let file_len = frames.tables_offset() + tables.len() as u64;
            assert_eq!(Frames::parse(&tables, file_len).unwrap(), frames);
            assert!(Frames::parse(&tables, file_len + 1).is_err());
        }
    }

    #[test]
    fn every_byte_of_the_tables_counts() {
        let sound = frames(&[(9, FRAME_LEN), (8, FRAME_LEN), (7, 3)]).unwrap();
        let tables = sound.tables();
        for at in 0..tables.len() {
            for bit in 0..8 {
                let mut damaged = tables.clone();
                damaged[at] ^= 1 << bit;
                assert!(Frames::parse(&damaged, 24 + tables.len() as u64).is_err(), "{at} {bit}");
            }
        }
        for len in 0..tables.len() {
            assert!(Frames::parse(&tables[..len], 24 + len as u64).is_err(), "{len}");
        }
    }

    #[test]
    fn lengths_that_no_writer_makes_are_refused() {
        let most = stored_len_max(FRAME_LEN_MIN);
        assert!(frames(&[(most, FRAME_LEN_MIN), (1, FRAME_LEN_MIN)]).is_ok());
        for wrong in [
            &[][..],
            &[(9, 0)],
            &[(0, 9)],
            &[(9, FRAME_LEN_MAX + 1)],
            &[(9, FRAME_LEN_MIN - 1), (9, 1)],
            &[(9, FRAME_LEN_MIN), (9, FRAME_LEN_MIN + 1)],
            &[(9, FRAME_LEN), (9, FRAME_LEN_MIN), (9, 1)],
            &[(most + 1, FRAME_LEN_MIN), (1, 1)],
            &[(u32::MAX, 1)],
        ] {
            assert!(frames(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn the_longest_file_is_known_before_it_is_made() {
        for len in [1, 4096, u64::from(FRAME_LEN), u64::from(FRAME_LEN) + 1, 1 << 40] {
            let count = len.div_ceil(u64::from(FRAME_LEN));
            let stored = u64::from(stored_len_max(FRAME_LEN)) * (count - 1);
            let last = u32::try_from(len - (count - 1) * u64::from(FRAME_LEN)).unwrap();
            assert!(file_len_max(len) >= stored + u64::from(stored_len_max(last)) + tables_len_of(count), "{len}");
        }
        assert_eq!(file_len_max(u64::MAX), u64::MAX);
    }
}
