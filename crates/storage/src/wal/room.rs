//! Zeros behind the records of a log file, which the next records are written over.
//!
//! A sync of bytes that a file has already, on blocks that it has already, is only a sync of these bytes. One of a file that has grown
//! also waits for the file system's journal, and where that is committed in order with data (ext4), for whatever else was written
//! meanwhile: an archive, say. So whoever makes a file longer by a short write makes it longer for many such writes at once. A long write is
//! not helped by that, and gets no room.
//!
//! Room is a convenience: where there is no space for it, there is none. Which bytes are room is for the reader to find out
//! ([`super::reader`]): nothing but zeros up to the end of the file.

use std::io;

use icecore_io::File;

/// How many more writes of the same length have room.
const WRITES: usize = 256;
/// The least room that is made, in bytes.
const LEN_MIN: usize = 64 << 10;
/// The most room that is made at once, in bytes.
const LEN_MAX: usize = 2 << 20;
/// The longest write that gets room, in bytes.
const WRITE_LEN_MAX: usize = 64 << 10;
/// Files are as long as pages of memory, or a later write would have to read what is on the disk of its last page.
const PAGE: u64 = 4096;

/// The length of a file with its room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Room {
    file_len: u64,
    /// There was no space for it: no more is asked for in this file, or every write would take what is left from all others for a moment.
    is_refused: bool,
}

impl Room {
    /// No room: the file is as long as its records.
    pub(crate) fn none(records_len: u64) -> Self {
        Self { file_len: records_len, is_refused: false }
    }

    /// The room of a file of this length.
    pub(crate) fn of(file: &dyn File) -> io::Result<Self> {
        Ok(Self { file_len: file.len()?, is_refused: false })
    }

    /// Takes note that the file was cut to this length.
    pub(crate) fn cut(&mut self, file_len: u64) {
        self.file_len = file_len;
    }

    /// Takes note of a write of `len` bytes at `offset`, and makes room behind it if it has made the file longer.
    ///
    /// An error if it is not known what stands behind the write.
    pub(crate) fn after(&mut self, file: &dyn File, offset: u64, len: usize) -> io::Result<()> {
        let end = offset + len as u64;
        if end <= self.file_len {
            return Ok(());
        }
        self.file_len = end;
        if len > WRITE_LEN_MAX || self.is_refused {
            return Ok(());
        }
        let room = (len * WRITES).clamp(LEN_MIN, LEN_MAX) as u64;
        let file_len = (end + room).next_multiple_of(PAGE);
        let zeros = vec![0; usize::try_from(file_len - end).unwrap_or(0)];
        match file.write_all_at(&zeros, end) {
            Ok(()) => self.file_len = file_len,
            Err(_) => {
                self.is_refused = true;
                file.set_len(end)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use icecore_io::{Fault, FaultFs, Fs, MemFs, Operation};

    use super::*;

    /// A file with something in it, and how to make it fail.
    fn prepared() -> (FaultFs, Arc<dyn File>, Room) {
        let fs = FaultFs::new(Arc::new(MemFs::new()));
        let file = fs.create_new(Path::new("file")).unwrap();
        file.write_all_at(b"0123456789", 0).unwrap();
        (fs, file, Room::none(0))
    }

    #[test]
    fn a_short_write_gets_room_for_many_and_the_next_ones_use_it() {
        let (fs, file, mut room) = prepared();
        room.after(file.as_ref(), 0, 10).unwrap();
        let len = file.len().unwrap();
        assert_eq!(len, (10 + LEN_MIN as u64).next_multiple_of(PAGE));
        assert_eq!(room, Room::of(file.as_ref()).unwrap());
        let writes = fs.faults().calls(Operation::WriteAt);
        room.after(file.as_ref(), 10, LEN_MIN).unwrap();
        room.after(file.as_ref(), len - 1, 1).unwrap();
        assert_eq!((file.len().unwrap(), fs.faults().calls(Operation::WriteAt)), (len, writes));
        room.after(file.as_ref(), len - 1, 1001).unwrap();
        assert_eq!(file.len().unwrap(), (len + 1000 + 1001 * WRITES as u64).next_multiple_of(PAGE), "by the length of the write");
    }

    #[test]
    fn a_long_write_gets_none() {
        let (_, file, mut room) = prepared();
        room.after(file.as_ref(), 0, WRITE_LEN_MAX + 1).unwrap();
        assert_eq!(file.len().unwrap(), 10);
        assert_eq!(room, Room::none(WRITE_LEN_MAX as u64 + 1));
    }

    #[test]
    fn a_disk_without_space_for_it_is_no_error() {
        let (fs, file, mut room) = prepared();
        fs.faults().inject(Fault::short_write(50).errno(28));
        room.after(file.as_ref(), 0, 10).unwrap();
        assert_eq!((file.len().unwrap(), room.file_len), (10, 10));
        let writes = fs.faults().calls(Operation::WriteAt);
        room.after(file.as_ref(), 10, 10).unwrap();
        room.cut(10);
        room.after(file.as_ref(), 10, 10).unwrap();
        assert_eq!(fs.faults().calls(Operation::WriteAt), writes, "it is not asked for again");
    }

    #[test]
    fn what_may_be_no_zeros_is_an_error() {
        let (fs, file, mut room) = prepared();
        fs.faults().inject(Fault::short_write(50).errno(28));
        fs.faults().inject(Fault::on(Operation::SetLen));
        room.after(file.as_ref(), 0, 10).unwrap_err();
    }
}
